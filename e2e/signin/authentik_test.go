package signin

import (
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"html"
	"net/http"
	"net/url"
	"regexp"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/go-jose/go-jose/v4"
	"github.com/go-jose/go-jose/v4/jwt"
)

// authentik is the model of Authentik: what its source does at the addresses
// of an OAuth2 provider. The package comment says what comes from which file.
type authentik struct {
	t    *testing.T
	host string
	key  *rsa.PrivateKey

	mu sync.Mutex
	// providers by the slug of their application.
	providers map[string]*provider
	// browsers are the sessions of Authentik itself, by cookie.
	browsers map[string]*browserSession
	codes    map[string]*grant
	access   map[string]*grant
	refresh  map[string]*grant
	// away answers every token request with 502, as a proxy does while
	// Authentik starts.
	away bool

	// unrevoked answers a request to revoke a token in the model's place.
	unrevoked http.HandlerFunc

	// What the token endpoint did: renewals of an access token, those of them
	// that gave a new refresh token, and refusals.
	renewed, rotated, refused int
}

// provider is an OAuth2 provider with its application.
type provider struct {
	name, slug     string
	id, secret     string
	grantTypes     []string
	redirects      []redirect
	scopes         []string
	accessLife     time.Duration
	refreshLife    time.Duration
	threshold      time.Duration
	signed         bool      // by a key pair: RS256; if false, by the client secret: HS256
	endsAuthentik  bool      // its invalidation flow has a stage that signs out
	lastExpiration time.Time // of the newest access token
}

type redirect struct{ kind, mode, url string }

func (r redirect) matches(uri string) bool {
	if r.mode == "strict" {
		return r.url == uri
	}
	return regexp.MustCompile("^(?:" + r.url + ")$").MatchString(uri)
}

// allows reports whether one of the redirect URIs of that kind is the URI.
func (p *provider) allows(kind, uri string) bool {
	return slices.ContainsFunc(p.redirects, func(r redirect) bool { return r.kind == kind && r.matches(uri) })
}

func (p *provider) hasLogoutURI() bool {
	return slices.ContainsFunc(p.redirects, func(r redirect) bool { return r.kind == "logout" })
}

// browserSession is what Authentik knows of one browser.
type browserSession struct {
	user string // empty before the login
	// next is where an open login flow continues; empty where none is open.
	next string
}

// grant is a code, an access token or a refresh token.
type grant struct {
	provider  *provider
	user      string
	scopes    []string
	challenge string
	expires   time.Time
	revoked   bool
	session   *browserSession
}

func newAuthentik(t *testing.T, blueprint string, env map[string]string) *authentik {
	t.Helper()
	key, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		t.Fatal(err)
	}
	providers, err := applyBlueprint(blueprint, env)
	if err != nil {
		t.Fatalf("Authentik refuses the blueprint: %v\n%s", err, blueprint)
	}
	return &authentik{
		t: t, key: key, providers: providers,
		browsers: map[string]*browserSession{},
		codes:    map[string]*grant{}, access: map[string]*grant{}, refresh: map[string]*grant{},
	}
}

func random() string { return rand.Text() }

const (
	sessionCookie = "authentik_session"
	loginPath     = "/if/flow/default-authentication-flow/"
)

func (a *authentik) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	a.mu.Lock()
	if a.unrevoked != nil && r.URL.Path == "/application/o/revoke/" {
		a.mu.Unlock()
		a.unrevoked(w, r)
		return
	}
	defer a.mu.Unlock()
	switch path := r.URL.Path; path {
	case "/application/o/authorize/":
		a.authorize(w, r)
	case "/application/o/token/":
		a.token(w, r)
	case "/application/o/userinfo/":
		a.userinfo(w, r)
	case "/application/o/revoke/":
		a.revoke(w, r)
	case loginPath:
		a.login(w, r)
	default:
		rest, ok := strings.CutPrefix(path, "/application/o/")
		slug, rest, _ := strings.Cut(rest, "/")
		p := a.providers[slug]
		switch {
		case !ok || p == nil:
			http.NotFound(w, r)
		case rest == ".well-known/openid-configuration":
			a.discovery(w, r, p)
		case rest == "jwks/":
			a.jwks(w, p)
		case rest == "end-session/":
			a.endSession(w, r, p)
		default:
			http.NotFound(w, r)
		}
	}
}

// issuer is made from the name under which the request came.
func issuer(r *http.Request, p *provider) string {
	return "https://" + r.Host + "/application/o/" + p.slug + "/"
}

func (a *authentik) browser(w http.ResponseWriter, r *http.Request) *browserSession {
	if c, err := r.Cookie(sessionCookie); err == nil && a.browsers[c.Value] != nil {
		return a.browsers[c.Value]
	}
	return a.newBrowser(w, &browserSession{})
}

// newBrowser gives the session a cookie, a new one after each login.
func (a *authentik) newBrowser(w http.ResponseWriter, s *browserSession) *browserSession {
	id := random()
	a.browsers[id] = s
	http.SetCookie(w, &http.Cookie{Name: sessionCookie, Value: id, Path: "/", Secure: true, HttpOnly: true, SameSite: http.SameSiteLaxMode})
	return s
}

func page(w http.ResponseWriter, status int, title, body string) {
	w.Header().Set("Content-Type", "text/html; charset=utf-8")
	w.WriteHeader(status)
	fmt.Fprintf(w, "<!doctype html><title>%s - authentik</title><h1>%[1]s</h1>%s", html.EscapeString(title), body)
}

func (a *authentik) authorize(w http.ResponseWriter, r *http.Request) {
	q := r.URL.Query()
	var p *provider
	for _, candidate := range a.providers {
		if candidate.id == q.Get("client_id") {
			p = candidate
		}
	}
	if p == nil {
		page(w, http.StatusBadRequest, "invalid_client", "The client identifier is missing or invalid.")
		return
	}
	uri := q.Get("redirect_uri")
	if !p.allows("authorization", uri) {
		page(w, http.StatusBadRequest, "redirect_uri", "The request fails due to a missing, invalid, or mismatching redirection URI.")
		return
	}
	back := func(values url.Values) {
		values.Set("state", q.Get("state"))
		http.Redirect(w, r, uri+"?"+values.Encode(), http.StatusFound)
	}
	if q.Get("response_type") != "code" || !slices.Contains(p.grantTypes, "authorization_code") {
		back(url.Values{"error": {"unsupported_response_type"}})
		return
	}
	if method := q.Get("code_challenge_method"); q.Get("code_challenge") != "" && method != "S256" {
		a.t.Errorf("the module asks for the challenge method %q, which the model does not know", method)
	}
	s := a.browser(w, r)
	if s.user == "" {
		s.next = r.URL.RequestURI()
		http.Redirect(w, r, loginPath+"?next="+url.QueryEscape(s.next), http.StatusFound)
		return
	}
	// What is asked for and not mapped is dropped without a word.
	var scopes []string
	for _, scope := range strings.Fields(q.Get("scope")) {
		if slices.Contains(p.scopes, scope) {
			scopes = append(scopes, scope)
		}
	}
	code := random()
	a.codes[code] = &grant{
		provider: p, user: s.user, scopes: scopes, challenge: q.Get("code_challenge"),
		expires: time.Now().Add(time.Minute), session: s,
	}
	back(url.Values{"code": {code}})
}

// login is the flow that identifies the user, in one page.
func (a *authentik) login(w http.ResponseWriter, r *http.Request) {
	s := a.browser(w, r)
	if r.Method != http.MethodPost {
		page(w, http.StatusOK, "Welcome to authentik!", `<form method="post"><input name="user"></form>`)
		return
	}
	next := s.next
	s.user, s.next = r.PostFormValue("user"), ""
	a.newBrowser(w, s)
	http.Redirect(w, r, next, http.StatusFound)
}

// client authenticates the client of a request, by header or body.
func (a *authentik) client(r *http.Request) *provider {
	id, secret, ok := r.BasicAuth()
	if !ok {
		id, secret = r.PostFormValue("client_id"), r.PostFormValue("client_secret")
	}
	for _, p := range a.providers {
		if p.id == id && p.secret == secret {
			return p
		}
	}
	return nil
}

func answer(w http.ResponseWriter, status int, value any) {
	w.Header().Set("Content-Type", "application/json")
	w.Header().Set("Cache-Control", "no-store")
	w.WriteHeader(status)
	json.NewEncoder(w).Encode(value)
}

func (a *authentik) token(w http.ResponseWriter, r *http.Request) {
	if a.away {
		http.Error(w, "Bad Gateway", http.StatusBadGateway)
		return
	}
	if err := r.ParseMultipartForm(1 << 20); err != nil && err != http.ErrNotMultipart {
		a.t.Errorf("a token request that cannot be read: %v", err)
	}
	refuse := func(code string) {
		a.refused++
		answer(w, http.StatusBadRequest, map[string]string{"error": code, "error_description": code})
	}
	p := a.client(r)
	if p == nil {
		refuse("invalid_client")
		return
	}
	grantType := r.PostFormValue("grant_type")
	if !slices.Contains(p.grantTypes, grantType) {
		refuse("unsupported_grant_type")
		return
	}
	now := time.Now()
	switch grantType {
	case "authorization_code":
		code := r.PostFormValue("code")
		g := a.codes[code]
		sum := sha256.Sum256([]byte(r.PostFormValue("code_verifier")))
		if !p.allows("authorization", r.PostFormValue("redirect_uri")) {
			refuse("invalid_client")
			return
		}
		if g == nil || g.provider != p || now.After(g.expires) || g.challenge != base64.RawURLEncoding.EncodeToString(sum[:]) {
			refuse("invalid_grant")
			return
		}
		delete(a.codes, code)
		response := a.newAccess(r, g)
		if slices.Contains(g.scopes, "offline_access") {
			response["refresh_token"] = a.newRefresh(g)
		}
		answer(w, http.StatusOK, response)
	case "refresh_token":
		g := a.refresh[r.PostFormValue("refresh_token")]
		if g == nil || g.provider != p || now.After(g.expires) || g.revoked {
			refuse("invalid_grant")
			return
		}
		if !slices.Contains(g.scopes, "offline_access") {
			refuse("invalid_scope")
			return
		}
		a.renewed++
		response := a.newAccess(r, g)
		if p.threshold == 0 || g.expires.Sub(now) < p.threshold {
			a.rotated++
			g.revoked = true
			response["refresh_token"] = a.newRefresh(g)
		}
		answer(w, http.StatusOK, response)
	default:
		refuse("unsupported_grant_type")
	}
}

// newAccess makes an access token and its ID token.
func (a *authentik) newAccess(r *http.Request, g *grant) map[string]any {
	p := g.provider
	now := time.Now()
	p.lastExpiration = now.Add(p.accessLife)
	claims := map[string]any{
		"iss": issuer(r, p), "sub": subject(g.user), "aud": p.id,
		"iat": now.Unix(), "exp": p.lastExpiration.Unix(), "auth_time": now.Unix(),
		"acr": "goauthentik.io/providers/oauth2/default",
	}
	for name, value := range userClaims(g.user, g.scopes) {
		claims[name] = value
	}
	id := a.sign(p, claims)
	claims["azp"], claims["uid"], claims["scope"] = p.id, random(), strings.Join(g.scopes, " ")
	access := a.sign(p, claims)
	a.access[access] = &grant{provider: p, user: g.user, scopes: g.scopes, expires: p.lastExpiration, session: g.session}
	return map[string]any{
		"access_token": access, "id_token": id, "token_type": "Bearer",
		"scope": strings.Join(g.scopes, " "), "expires_in": int(p.accessLife.Seconds()),
	}
}

func (a *authentik) newRefresh(g *grant) string {
	token := random()
	a.refresh[token] = &grant{provider: g.provider, user: g.user, scopes: g.scopes, expires: time.Now().Add(g.provider.refreshLife), session: g.session}
	return token
}

func (a *authentik) sign(p *provider, claims any) string {
	key := jose.SigningKey{Algorithm: jose.HS256, Key: []byte(p.secret)}
	if p.signed {
		key = jose.SigningKey{Algorithm: jose.RS256, Key: jose.JSONWebKey{Key: a.key, KeyID: "model"}}
	}
	signer, err := jose.NewSigner(key, (&jose.SignerOptions{}).WithType("JWT"))
	if err != nil {
		panic(err)
	}
	token, err := jwt.Signed(signer).Claims(claims).Serialize()
	if err != nil {
		panic(err)
	}
	return token
}

func subject(user string) string { return fmt.Sprintf("%x", sha256.Sum256([]byte(user))) }

// userClaims are what the scope mappings of a fresh Authentik say.
func userClaims(user string, scopes []string) map[string]any {
	claims := map[string]any{}
	if slices.Contains(scopes, "profile") {
		claims["name"], claims["preferred_username"], claims["nickname"] = user, user, user
		claims["groups"] = []string{"staff"}
	}
	if slices.Contains(scopes, "email") {
		claims["email"], claims["email_verified"] = user+"@example.com", false
	}
	return claims
}

func (a *authentik) userinfo(w http.ResponseWriter, r *http.Request) {
	token, _ := strings.CutPrefix(r.Header.Get("Authorization"), "Bearer ")
	g := a.access[token]
	if g == nil || time.Now().After(g.expires) {
		w.WriteHeader(http.StatusUnauthorized)
		return
	}
	claims := userClaims(g.user, g.scopes)
	claims["sub"] = subject(g.user)
	answer(w, http.StatusOK, claims)
}

func (a *authentik) revoke(w http.ResponseWriter, r *http.Request) {
	if a.client(r) == nil {
		answer(w, http.StatusUnauthorized, map[string]string{"error": "invalid_client"})
		return
	}
	delete(a.access, r.PostFormValue("token"))
	delete(a.refresh, r.PostFormValue("token"))
	answer(w, http.StatusOK, map[string]string{})
}

func (a *authentik) discovery(w http.ResponseWriter, r *http.Request, p *provider) {
	base := "https://" + r.Host + "/application/o/"
	answer(w, http.StatusOK, map[string]any{
		"issuer":                                issuer(r, p),
		"authorization_endpoint":                base + "authorize/",
		"token_endpoint":                        base + "token/",
		"userinfo_endpoint":                     base + "userinfo/",
		"revocation_endpoint":                   base + "revoke/",
		"end_session_endpoint":                  base + p.slug + "/end-session/",
		"jwks_uri":                              base + p.slug + "/jwks/",
		"scopes_supported":                      p.scopes,
		"id_token_signing_alg_values_supported": []string{map[bool]string{true: "RS256", false: "HS256"}[p.signed]},
	})
}

func (a *authentik) jwks(w http.ResponseWriter, p *provider) {
	set := jose.JSONWebKeySet{Keys: []jose.JSONWebKey{}}
	if p.signed {
		set.Keys = append(set.Keys, jose.JSONWebKey{Key: a.key.Public(), KeyID: "model", Algorithm: "RS256", Use: "sig"})
	}
	answer(w, http.StatusOK, set)
}

func (a *authentik) endSession(w http.ResponseWriter, r *http.Request, p *provider) {
	s := a.browser(w, r)
	if s.next != "" {
		// Another flow is open in this browser: an empty page, and nobody is
		// signed out.
		return
	}
	hint, uri := r.FormValue("id_token_hint"), r.FormValue("post_logout_redirect_uri")
	if hint != "" && !a.isHint(r, p, hint) {
		page(w, http.StatusBadRequest, "Bad Request", "invalid_request: id_token_hint_decode_failed")
		return
	}
	if uri != "" && p.hasLogoutURI() {
		if hint == "" {
			page(w, http.StatusBadRequest, "Bad Request", "invalid_request: id_token_hint_missing")
			return
		}
		if !p.allows("logout", uri) {
			page(w, http.StatusBadRequest, "Bad Request", "invalid_request: invalid_post_logout_redirect_uri")
			return
		}
	} else {
		uri = ""
	}
	for token, g := range a.access {
		if g.provider == p && g.session == s {
			delete(a.access, token)
		}
	}
	if p.endsAuthentik {
		// The tokens of every app go with the session, the refresh tokens do not.
		for token, g := range a.access {
			if g.session == s {
				delete(a.access, token)
			}
		}
		for id, other := range a.browsers {
			if other == s {
				delete(a.browsers, id)
			}
		}
	}
	if uri != "" {
		http.Redirect(w, r, uri, http.StatusFound)
		return
	}
	page(w, http.StatusOK, "You've logged out of "+p.name+".", "")
}

// isHint reports whether the text is an ID token of the provider, however old.
func (a *authentik) isHint(r *http.Request, p *provider, hint string) bool {
	algorithm, key := jose.HS256, any([]byte(p.secret))
	if p.signed {
		algorithm, key = jose.RS256, a.key.Public()
	}
	token, err := jwt.ParseSigned(hint, []jose.SignatureAlgorithm{algorithm})
	if err != nil {
		return false
	}
	var claims jwt.Claims
	if err := token.Claims(key, &claims); err != nil {
		return false
	}
	return claims.Issuer == issuer(r, p) && claims.Audience.Contains(p.id)
}

// The rest is for the tests.

// change alters a provider between two steps of a test.
func (a *authentik) change(slug string, f func(*provider)) {
	a.mu.Lock()
	defer a.mu.Unlock()
	f(a.providers[slug])
}

// untilExpired waits for the end of the newest access token of a provider.
func (a *authentik) untilExpired(slug string) {
	a.mu.Lock()
	end := a.providers[slug].lastExpiration
	a.mu.Unlock()
	time.Sleep(time.Until(end) + time.Second) // the module counts whole seconds
}

// age makes every refresh token older.
func (a *authentik) age(d time.Duration) {
	a.mu.Lock()
	defer a.mu.Unlock()
	for _, g := range a.refresh {
		g.expires = g.expires.Add(-d)
	}
}

type counts struct{ renewed, rotated, refused int }

func (a *authentik) counts() counts {
	a.mu.Lock()
	defer a.mu.Unlock()
	return counts{a.renewed, a.rotated, a.refused}
}

// refreshTokens counts the refresh tokens that a provider would still take.
func (a *authentik) refreshTokens(slug string) int {
	a.mu.Lock()
	defer a.mu.Unlock()
	n := 0
	for _, g := range a.refresh {
		if g.provider.slug == slug && !g.revoked {
			n++
		}
	}
	return n
}

// issue makes a token of a provider that is changed for this one.
func (a *authentik) issue(slug, kind string, change func(*provider)) string {
	a.mu.Lock()
	defer a.mu.Unlock()
	p := *a.providers[slug]
	change(&p)
	r := &http.Request{Host: a.host}
	return a.newAccess(r, &grant{provider: &p, user: "anna", scopes: p.scopes})[kind].(string)
}

func (a *authentik) setAway(away bool) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.away = away
}
