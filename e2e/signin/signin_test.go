package signin

import (
	"io"
	"net/http"
	"net/url"
	"regexp"
	"strconv"
	"strings"
	"testing"
	"time"
)

// Sign-in begins on one replica and ends on the other, and both know the
// session from then on, after a restart too.
func TestSignIn(t *testing.T) {
	t.Parallel()
	w := newWorld(t, options{}, "portal")
	w.apps["portal"].choose = func(r *http.Request) int {
		if strings.HasSuffix(r.URL.Path, "/callback") {
			return 1
		}
		return 0
	}
	b := w.browser()
	home := b.signIn("portal")
	if !w.isHome("portal", home) {
		t.Fatalf("after sign-in: %v", home)
	}
	w.apps["portal"].choose = nil
	if got := b.call("portal", 40); got[200] != 40 {
		t.Errorf("40 calls over two replicas: %v", got)
	}
	for _, s := range []seen{home, b.open(w.at("portal", "/api/_auth/session"))} {
		if token := regexp.MustCompile(`eyJ[\w-]+\.`).FindString(s.body); token != "" {
			t.Errorf("a token is in %s", s.url)
		}
	}
	if stranger := w.browser().call("portal", 1); stranger[401] != 1 {
		t.Errorf("a call without a session: %v", stranger)
	}
	w.restart("portal", nil)
	if got := b.call("portal", 40); got[200] != 40 {
		t.Errorf("40 calls after a restart: %v", got)
	}
}

// Authentik takes the older callback too, so that a sign-in which the release
// before began comes back to the app, and takes no other.
func TestOlderCallback(t *testing.T) {
	t.Parallel()
	w := newWorld(t, options{}, "portal")
	env := w.environment(w.apps["portal"])
	authorize := func(callback string) seen {
		return w.browser().open(env["NUXT_OIDC_PROVIDERS_OIDC_AUTHORIZATION_URL"] + "?" + url.Values{
			"client_id": {env["NUXT_OIDC_CLIENT_ID"]}, "response_type": {"code"}, "scope": {"openid"}, "state": {"s"}, "redirect_uri": {callback},
		}.Encode())
	}
	older := env["NUXT_OIDC_REDIRECT_URI"]
	if older == "" || older == env["NUXT_OIDC_PROVIDERS_OIDC_REDIRECT_URI"] {
		t.Fatalf("the app's own callback is %q", older)
	}
	if s := authorize(older); !w.isLogin(s) {
		t.Errorf("%s: %v", older, s)
	}
	if s := authorize(older + "/other"); s.status != http.StatusBadRequest || s.url.Host != w.rendered.auth {
		t.Errorf("another callback: %v", s)
	}
}

// The control of TestSignIn: where sessions are in memory, the other replica
// does not know them, and a restart ends them.
func TestSessionsInMemory(t *testing.T) {
	t.Parallel()
	w := newWorld(t, options{env: map[string]string{"SESSION_REDIS_URL": ""}}, "portal")
	b := w.browser()
	w.apps["portal"].choose = func(*http.Request) int { return 0 }
	if home := b.signIn("portal"); !w.isHome("portal", home) {
		t.Fatalf("on one replica: %v", home)
	}
	w.apps["portal"].choose = nil
	got := b.call("portal", 40)
	t.Logf("40 calls over two replicas without a shared store: %v", got)
	if got[401] == 0 {
		t.Errorf("no call was refused: %v", got)
	}
}

// Development has one replica, and its sessions in memory.
func TestDevelopment(t *testing.T) {
	t.Parallel()
	w := newWorld(t, options{environment: "development"}, "portal")
	b := w.browser()
	if home := b.signIn("portal"); !w.isHome("portal", home) {
		t.Fatalf("after sign-in: %v", home)
	}
	if got := b.call("portal", 20); got[200] != 20 {
		t.Errorf("20 calls: %v", got)
	}
	if keys := w.redis.DB(1).Keys(); len(keys) > 0 {
		t.Errorf("development keeps %d keys in Redis", len(keys))
	}
}

// short gives access tokens that end soon. They must be longer than the time
// before their end at which the app renews them.
func short(p *provider) { p.accessLife = 8 * time.Second }

// signInBriefly signs in with an access token that ends soon, waits for its
// end, and gives tokens of full length from then on.
func signInBriefly(t *testing.T, w *world) *browser {
	t.Helper()
	full := w.idp.providers["portal"].accessLife
	w.idp.change("portal", short)
	b := w.browser()
	if home := b.signIn("portal"); !w.isHome("portal", home) {
		t.Fatalf("after sign-in: %v", home)
	}
	w.idp.untilExpired("portal")
	w.idp.change("portal", func(p *provider) { p.accessLife = full })
	return b
}

const calls = 20

// At the end of an access token one call renews it, and of many at once none
// is refused.
func TestExpiry(t *testing.T) {
	for _, tc := range []struct {
		name    string
		options options
		calls   int
		// refused are the calls that are answered 401: none, or some.
		refused bool
		// rotated says whether Authentik gives a new refresh token.
		rotated bool
	}{
		{name: "one call", calls: 1},
		{name: "calls in parallel", calls: calls},
		{name: "each renewal gives a new refresh token", calls: calls, options: options{provider: rotating}, rotated: true},
		{name: "control: no lock", calls: calls, options: options{provider: rotating, env: withoutLock}, rotated: true, refused: true},
		{name: "no lock, and the threshold", calls: calls, options: options{env: withoutLock}},
		{name: "control: no offline_access on the provider", calls: 1, options: options{blueprint: withoutOfflineAccess}, refused: true},
		{name: "control: no offline_access asked for", calls: 1, options: options{env: map[string]string{"NUXT_OIDC_PROVIDERS_OIDC_SCOPE": `["openid","profile","email"]`}}, refused: true},
	} {
		t.Run(tc.name, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t, tc.options, "portal")
			b := signInBriefly(t, w)
			before := w.idp.counts()
			got := b.call("portal", tc.calls)
			after := w.idp.counts()
			t.Logf("%d calls: %v; Authentik renewed %d, refused %d", tc.calls, got, after.renewed-before.renewed, after.refused-before.refused)
			if got[200]+got[401] != tc.calls {
				t.Errorf("answers: %v", got)
			}
			if (got[401] > 0) != tc.refused {
				t.Errorf("answers: %v; refused must be %v", got, tc.refused)
			}
			if !tc.refused && tc.options.env == nil && after.renewed-before.renewed != 1 {
				t.Errorf("%d renewals, want one", after.renewed-before.renewed)
			}
			if (after.rotated > before.rotated) != tc.rotated {
				t.Errorf("%d new refresh tokens", after.rotated-before.rotated)
			}
		})
	}
}

// rotating makes the provider give a new refresh token each time.
func rotating(p *provider) { p.threshold = 0 }

var withoutLock = map[string]string{"WITHOUT_LOCK": "1"}

// withoutOfflineAccess takes the mapping from every provider.
func withoutOfflineAccess(blueprint string) string {
	return regexp.MustCompile(`(?m)^.*/scope-offline_access\]\]\n`).ReplaceAllString(blueprint, "")
}

// Whoever gets no lock within 30 seconds is told so, and nobody is signed out.
func TestLockIsHeld(t *testing.T) {
	t.Parallel()
	w := newWorld(t, options{}, "portal")
	b := signInBriefly(t, w)
	keys := w.redis.DB(1).Keys()
	if len(keys) != 1 {
		t.Fatalf("the keys in Redis: %v", keys)
	}
	prefix, id, _ := strings.Cut(keys[0], ":")
	held := prefix + ":lock:" + id
	w.redis.DB(1).Set(held, "another's")
	start := time.Now()
	if got := b.call("portal", 2); got[503] != 2 {
		t.Errorf("while another holds the lock: %v", got)
	}
	if took := time.Since(start); took < 30*time.Second {
		t.Errorf("answered after %v", took)
	}
	if value, err := w.redis.DB(1).Get(held); value != "another's" || err != nil {
		t.Errorf("the other's lock is %q, %v", value, err)
	}
	w.redis.DB(1).Del(held)
	if got := b.call("portal", 2); got[200] != 2 {
		t.Errorf("after the lock is free: %v", got)
	}
}

// The cookie's end moves with each refresh: a session in use goes on, and one
// that does not refresh ends with the cookie.
func TestCookieEnd(t *testing.T) {
	t.Parallel()
	const age = 20 * time.Second
	w := newWorld(t, options{env: map[string]string{"NUXT_OIDC_SESSION_MAX_AGE": strconv.Itoa(int(age.Seconds()))}}, "portal")
	idle := w.browser()
	idle.signIn("portal")
	start := time.Now()
	page := w.browser()
	w.idp.change("portal", short)
	page.signIn("portal")
	used := signInBriefly(t, w)
	if got := used.call("portal", 1); got[200] != 1 {
		t.Fatalf("a call that refreshes: %v", got)
	}
	if home := page.open(w.at("portal", "/")); !w.isHome("portal", home) {
		t.Fatalf("a page that refreshes: %v", home)
	}
	time.Sleep(time.Until(start.Add(age + 2*time.Second)))
	if got := used.call("portal", 1); got[200] != 1 {
		t.Errorf("after a refresh by a call: %v", got)
	}
	if got := page.call("portal", 1); got[200] != 1 {
		t.Errorf("after a refresh by a page: %v", got)
	}
	if got := idle.call("portal", 1); got[401] != 1 {
		t.Errorf("without a refresh: %v", got)
	}
}

// A refresh token is kept while it is young, and renewed once it is old: who
// comes back within its life stays signed in.
func TestRefreshTokenThreshold(t *testing.T) {
	t.Parallel()
	w := newWorld(t, options{}, "portal")
	p := *w.idp.providers["portal"]
	if p.threshold == 0 || p.threshold >= p.refreshLife {
		t.Fatalf("the threshold is %v of %v", p.threshold, p.refreshLife)
	}
	b := signInBriefly(t, w)
	w.idp.age(p.refreshLife - p.threshold + time.Hour)
	before := w.idp.counts()
	if got := b.call("portal", calls); got[200] != calls {
		t.Errorf("%d calls with an old refresh token: %v", calls, got)
	}
	after := w.idp.counts()
	if after.renewed-before.renewed != 1 || after.rotated-before.rotated != 1 || after.refused != before.refused {
		t.Errorf("Authentik counted %+v before and %+v after", before, after)
	}
}

// Who comes back after the store has forgotten signs in anew.
func TestIdle(t *testing.T) {
	t.Parallel()
	w := newWorld(t, options{}, "portal")
	b := w.browser()
	b.signIn("portal")
	keys := w.redis.DB(1).Keys()
	if prefix := w.environment(w.apps["portal"])["SESSION_REDIS_PREFIX"]; len(keys) != 1 || prefix == "" || !strings.HasPrefix(keys[0], prefix+":") {
		t.Fatalf("the keys in Redis: %v", keys)
	}
	ttl := w.redis.DB(1).TTL(keys[0])
	w.redis.FastForward(ttl - time.Minute)
	if got := b.call("portal", 1); got[200] != 1 {
		t.Errorf("a minute before the end: %v", got)
	}
	w.redis.FastForward(2 * time.Minute)
	if got := b.call("portal", 1); got[401] != 1 {
		t.Errorf("after the end: %v", got)
	}
}

// Wrong keys and ids, each of which looks right to the eye.
func TestWrongValues(t *testing.T) {
	for _, tc := range []struct {
		name    string
		options options
		// symptom is what the browser shows instead of the start page.
		symptom func(w *world, s seen) bool
	}{
		{"the token key in hex", options{secrets: map[string]string{"NUXT_OIDC_TOKEN_KEY": strings.Repeat("0123456789abcdef", 4)}},
			func(_ *world, s seen) bool { return s.status == 500 && strings.HasSuffix(s.url.Path, "/callback") }},
		{"a client id of digits", options{secrets: map[string]string{"NUXT_OIDC_CLIENT_ID": "123456789012"}},
			func(_ *world, s seen) bool { return s.status == 302 }}, // from page to page, without end
		{"a client id that reads as a number with an exponent", options{secrets: map[string]string{"NUXT_OIDC_CLIENT_ID": "1234567e8901"}},
			func(w *world, s seen) bool { return s.status == 400 && s.url.Host == w.rendered.auth }},
	} {
		t.Run(tc.name, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t, tc.options, "portal")
			b := w.browser()
			s := b.open(w.at("portal", "/"))
			if w.isLogin(s) {
				s = b.fillIn(s)
			}
			t.Logf("the browser shows %d %s", s.status, s.url.Path)
			if !tc.symptom(w, s) {
				t.Errorf("the browser shows %v", s)
			}
		})
	}
}

// A session secret that is too short is replaced by a random one in each pod.
func TestShortSessionSecret(t *testing.T) {
	t.Parallel()
	w := newWorld(t, options{secrets: map[string]string{"NUXT_OIDC_SESSION_SECRET": strings.Repeat("a", 47)}}, "portal")
	w.apps["portal"].choose = func(*http.Request) int { return 0 }
	b := w.browser()
	if home := b.signIn("portal"); !w.isHome("portal", home) {
		t.Fatalf("on one replica: %v", home)
	}
	w.apps["portal"].choose = func(*http.Request) int { return 1 }
	if got := b.call("portal", 1); got[401] != 1 {
		t.Errorf("on the other replica: %v", got)
	}
}

// A new token key signs nobody out: calls fail, of one session until a page is
// loaded after the end of its access token, and of all until the app's keys in
// the store are deleted.
func TestTokenKeyRotation(t *testing.T) {
	t.Parallel()
	w := newWorld(t, options{}, "portal")
	expired := signInBriefly(t, w)
	fresh := w.browser()
	fresh.signIn("portal")
	w.restart("portal", map[string]string{"NUXT_OIDC_TOKEN_KEY": "MDEyMzQ1Njc4OWFiY2RlZjAxMjM0NTY3ODlhYmNkZWY="})
	for name, b := range map[string]*browser{"with an expired token": expired, "with a fresh token": fresh} {
		if got := b.call("portal", 5); got[500] != 5 {
			t.Errorf("5 calls %s: %v", name, got)
		}
	}
	if home := expired.open(w.at("portal", "/")); !w.isHome("portal", home) {
		t.Errorf("a page with an expired token: %v", home)
	}
	if got := expired.call("portal", 5); got[200] != 5 {
		t.Errorf("5 calls after the page: %v", got)
	}
	for _, key := range w.redis.DB(1).Keys() {
		w.redis.DB(1).Del(key)
	}
	if got := fresh.call("portal", 1); got[401] != 1 {
		t.Errorf("a call after the deletion: %v", got)
	}
	if home := fresh.open(w.at("portal", "/")); !w.isHome("portal", home) {
		t.Errorf("a page after the deletion: %v", home)
	}
}

// While Redis is away calls fail, and nobody is signed out.
func TestRedisAway(t *testing.T) {
	t.Parallel()
	w := newWorld(t, options{}, "portal")
	b := w.browser()
	b.signIn("portal")
	w.redis.Close()
	start := time.Now()
	if got := b.call("portal", 2); got[500] != 2 {
		t.Errorf("while Redis is away: %v", got)
	}
	t.Logf("answered after %v", time.Since(start).Round(time.Second))
	if err := w.redis.Restart(); err != nil {
		t.Fatal(err)
	}
	deadline := time.Now().Add(30 * time.Second)
	got := b.call("portal", 1)
	for got[200] != 1 && got[500] == 1 && time.Now().Before(deadline) {
		time.Sleep(time.Second)
		got = b.call("portal", 1)
	}
	if got[200] != 1 {
		t.Errorf("after Redis is back: %v", got)
	}
}

// A refresh that fails because Authentik is away ends the session.
func TestAuthentikAway(t *testing.T) {
	t.Parallel()
	w := newWorld(t, options{}, "portal")
	b := signInBriefly(t, w)
	w.idp.setAway(true)
	if got := b.call("portal", 1); got[401] != 1 {
		t.Errorf("while Authentik is away: %v", got)
	}
	w.idp.setAway(false)
	if got := b.call("portal", 1); got[401] != 1 {
		t.Errorf("after Authentik is back: %v", got)
	}
}

// Sign-out ends on a page of the app that needs no sign-in, and the next visit
// asks who it is: at Authentik too the user is signed out, and the refresh
// token is gone.
func TestSignOut(t *testing.T) {
	for _, tc := range []struct {
		name    string
		options options
		// end is where the browser is after the sign-out, and next what the
		// next visit of the start page shows.
		end, next func(*world, seen) bool
	}{
		{"as rendered", options{}, signedOut, (*world).isLogin},
		{
			"control: a flow without a stage",
			options{blueprint: func(b string) string {
				return strings.ReplaceAll(b, "default-invalidation-flow", "default-provider-invalidation-flow")
			}},
			signedOut, home, // signed in again, without a word
		},
		{
			"control: no hint",
			options{env: map[string]string{"NUXT_OIDC_PROVIDERS_OIDC_ADDITIONAL_LOGOUT_PARAMETERS": ""}},
			func(w *world, s seen) bool {
				return s.status == 400 && s.url.Host == w.rendered.auth && strings.Contains(s.body, "id_token_hint_missing")
			},
			home,
		},
	} {
		t.Run(tc.name, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t, tc.options, "portal")
			b := w.browser()
			b.signIn("portal")
			if s := b.open(w.at("portal", "/auth/oidc/logout")); !tc.end(w, s) {
				t.Errorf("after sign-out: %v", s)
			}
			if got := b.call("portal", 1); got[401] != 1 {
				t.Errorf("a call after sign-out: %v", got)
			}
			if n := w.idp.refreshTokens("portal"); n != 0 {
				t.Errorf("%d refresh tokens outlive the sign-out", n)
			}
			if s := b.open(w.at("portal", "/")); !tc.next(w, s) {
				t.Errorf("the next visit: %v", s)
			}
		})
	}
}

func signedOut(w *world, s seen) bool {
	return s.status == http.StatusOK && s.url.Host == w.apps["portal"].host && strings.Contains(s.body, "Signed out")
}

func home(w *world, s seen) bool { return w.isHome("portal", s) }

// Sign-out works after the end of the access token, too.
func TestSignOutLate(t *testing.T) {
	t.Parallel()
	w := newWorld(t, options{}, "portal")
	b := signInBriefly(t, w)
	if s := b.open(w.at("portal", "/auth/oidc/logout")); !signedOut(w, s) {
		t.Errorf("after sign-out: %v", s)
	}
}

// A sign-out whose session has ended already ends Authentik's, too. The module
// alone would go to the start page, where Authentik signs in again.
func TestSignOutOfEndedSession(t *testing.T) {
	for _, tc := range []struct {
		name      string
		env       map[string]string
		end, next func(*world, seen) bool
	}{
		{"as the list says", nil, func(w *world, s seen) bool {
			return s.status == http.StatusOK && s.url.Host == w.rendered.auth && strings.Contains(s.body, "logged out")
		}, (*world).isLogin},
		{"control: the module alone", map[string]string{"WITHOUT_SIGN_OUT": "1"}, home, home},
	} {
		t.Run(tc.name, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t, options{env: tc.env}, "portal")
			b := w.browser()
			b.signIn("portal")
			w.redis.FastForward(w.redis.DB(1).TTL(w.redis.DB(1).Keys()[0]) + time.Minute)
			if s := b.open(w.at("portal", "/auth/oidc/logout")); !tc.end(w, s) {
				t.Errorf("after sign-out: %v", s)
			}
			if s := b.open(w.at("portal", "/")); !tc.next(w, s) {
				t.Errorf("the next visit: %v", s)
			}
		})
	}
}

// While tokens cannot be revoked a sign-out is one all the same, a few seconds
// later at most; what is left is the refresh token.
func TestSignOutWithoutRevocation(t *testing.T) {
	for name, unrevoked := range map[string]http.HandlerFunc{
		"an error": func(w http.ResponseWriter, _ *http.Request) { http.Error(w, "Bad Gateway", http.StatusBadGateway) },
		"no answer": func(_ http.ResponseWriter, r *http.Request) {
			io.Copy(io.Discard, r.Body) // else the server does not notice that the client has gone
			<-r.Context().Done()
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t, options{}, "portal")
			w.idp.mu.Lock()
			w.idp.unrevoked = unrevoked
			w.idp.mu.Unlock()
			b := w.browser()
			b.signIn("portal")
			if s := b.open(w.at("portal", "/auth/oidc/logout")); !signedOut(w, s) {
				t.Errorf("after sign-out: %v", s)
			}
			if s := b.open(w.at("portal", "/")); !w.isLogin(s) {
				t.Errorf("the next visit: %v", s)
			}
			if n := w.idp.refreshTokens("portal"); n != 1 {
				t.Errorf("%d refresh tokens are left, want the one that could not be revoked", n)
			}
		})
	}
}

// What the sign-out of one app does not end is the session of the other.
func TestSignOutOfOneApp(t *testing.T) {
	t.Parallel()
	w := newWorld(t, options{}, "portal", "operator")
	b := w.browser()
	b.signIn("portal")
	if s := b.open(w.at("operator", "/")); !w.isHome("operator", s) {
		t.Fatalf("the other app, without another login: %v", s)
	}
	b.open(w.at("portal", "/auth/oidc/logout"))
	if got := b.call("operator", 1); got[200] != 1 {
		t.Errorf("the other app: %v", got)
	}
	if s := b.open(w.at("portal", "/")); !w.isLogin(s) {
		t.Errorf("the app itself: %v", s)
	}
}

// Were the page after sign-out one that needs a sign-in, the browser would
// stand at a login page, where the next sign-out is an empty page that signs
// nobody out.
func TestSignOutToPageThatNeedsSignIn(t *testing.T) {
	t.Parallel()
	w := newWorld(t, options{}, "portal", "operator")
	w.idp.change("portal", func(p *provider) {
		p.redirects = append(p.redirects, redirect{"logout", "strict", w.at("portal", "/")})
	})
	w.restart("portal", map[string]string{"NUXT_OIDC_PROVIDERS_OIDC_LOGOUT_REDIRECT_URI": w.at("portal", "/")})
	b := w.browser()
	b.signIn("portal")
	b.open(w.at("operator", "/"))
	if s := b.open(w.at("portal", "/auth/oidc/logout")); !w.isLogin(s) {
		t.Errorf("after sign-out: %v", s)
	}
	if s := b.open(w.at("operator", "/auth/oidc/logout")); s.url.Host != w.rendered.auth || s.body != "" {
		t.Errorf("after the other sign-out: %v", s)
	}
}

// platform-api takes the access tokens of both apps, and nothing else.
func TestPlatformAPI(t *testing.T) {
	t.Parallel()
	w := newWorld(t, options{}, "portal", "operator")
	b := w.browser()
	b.signIn("portal")
	b.open(w.at("operator", "/"))
	for _, name := range []string{"portal", "operator"} {
		if got := b.call(name, 1); got[200] != 1 {
			t.Errorf("a call as the user of %s: %v", name, got)
		}
	}
	for _, tc := range []struct {
		name  string
		token string
	}{
		{"an ID token", w.idp.issue("portal", "id_token", func(*provider) {})},
		{"a token without a key pair", w.idp.issue("portal", "access_token", func(p *provider) { p.signed = false })},
		{"a token for another client", w.idp.issue("portal", "access_token", func(p *provider) { p.id = "stranger" })},
		{"an expired token", w.idp.issue("portal", "access_token", func(p *provider) { p.accessLife = -time.Hour })},
		{"no token", ""},
	} {
		if claims, err := w.api.verify(tc.token); err == nil {
			t.Errorf("%s is taken: %+v", tc.name, claims)
		} else {
			t.Logf("%s: %v", tc.name, err)
		}
	}
	if _, err := w.api.verify(w.idp.issue("portal", "access_token", func(*provider) {})); err != nil {
		t.Errorf("an access token: %v", err)
	}
}
