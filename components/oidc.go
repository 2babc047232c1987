package components

import (
	"encoding/json"
	"fmt"
	"net"
	"slices"
	"strconv"
	"strings"
	"time"

	"k8s.io/apimachinery/pkg/util/validation"
	"k8s.io/apimachinery/pkg/util/validation/field"
)

// OIDCClient is the sign-in of a Nuxt app with Authentik, through
// nuxt-oidc-auth: one value for what the app, Authentik and Redis must agree
// on. The app's variables, its Secret contract, Authentik's provider and
// application (package authentik) and the session store all come from it.
type OIDCClient struct {
	// Name of the client, and the app's name in Authentik.
	Name string
	// Slug of Authentik's application. If empty, the name.
	Slug string
	// Namespace of the app.
	Namespace string
	// Host is the app's public name; redirect URIs are made from it.
	Host string
	// Authentik is the public host of Authentik, such as auth.example.com.
	Authentik string
	// CallbackPaths are the paths to which Authentik may send a browser after
	// sign-in. If empty, the route of nuxt-oidc-auth and the older path that
	// the app also answers: /auth/oidc/callback and /auth/callback.
	CallbackPaths []string
	// LogoutPath is where Authentik sends a browser after sign-out. If empty, /.
	LogoutPath string
	// Scopes that the app asks for and that Authentik's provider maps. If
	// empty: openid, profile, email, and offline_access where the app
	// refreshes by itself.
	Scopes []string
	// NoRefresh says that the app does not refresh its tokens by itself. If
	// false, it does, and offline_access is needed: without it Authentik
	// gives no refresh token, and the session ends with the access token.
	NoRefresh bool
	// AccessToken is how long an access token is valid. If zero, an hour.
	AccessToken time.Duration
	// RefreshToken is how long a refresh token is valid. If zero, 30 days.
	// Each refresh gives a new one, so this is the longest pause.
	RefreshToken time.Duration
	// Cookie is how long after sign-in the session cookie is good, however
	// much it is used (h3, src/utils/session.ts: the cookie expires a maxAge
	// after the session was created). If zero, as long as the refresh token;
	// the module's own default is a day.
	Cookie time.Duration
	// Sessions is where sessions are kept. If nil, in the memory of the one
	// pod: a second pod would not know them, and every release ends them.
	Sessions *RedisSessions
	// Development allows sessions in memory. If false, Sessions is demanded.
	Development bool
	// SecretName of the Secret with the client's keys. If empty, the name
	// with -secrets.
	SecretName string
	// Keys are further keys of that Secret, for the app's other needs.
	Keys []SecretKey
}

// RedisSessions is a session store that all pods of an app share.
type RedisSessions struct {
	// Address is host:port of the Redis.
	Address string
	// Database number.
	Database int
	// Prefix of every key: the app's own, since apps share the database.
	Prefix string
	// TTL of a session that is not used. If zero, 14 days.
	TTL time.Duration
}

// Names of the Secret keys of a client. The first five are what the apps'
// own code reads; nuxt-oidc-auth's names are set beside them from the same
// keys.
const (
	KeyClientID          = "NUXT_OIDC_CLIENT_ID"
	KeyClientSecret      = "NUXT_OIDC_CLIENT_SECRET"
	KeyRedirectURI       = "NUXT_OIDC_REDIRECT_URI"
	KeySessionSecret     = "NUXT_OIDC_SESSION_SECRET"
	KeyAuthURL           = "NUXT_PUBLIC_AUTH_URL"
	KeyAuthSessionSecret = "NUXT_OIDC_AUTH_SESSION_SECRET"
	KeyTokenKey          = "NUXT_OIDC_TOKEN_KEY"
	KeyRedisURL          = "SESSION_REDIS_URL"
)

// provider is the prefix of nuxt-oidc-auth's variables for its generic
// provider, whose key is oidc. The route of that provider is /auth/oidc/.
const (
	provider      = "NUXT_OIDC_PROVIDERS_OIDC_"
	callbackRoute = "/auth/oidc/callback"
	// LoginRoute is where an app sends a browser that must sign in.
	LoginRoute = "/auth/oidc/login"
)

// ScopeOfflineAccess is the scope that makes Authentik give refresh tokens.
const ScopeOfflineAccess = "offline_access"

const day = 24 * time.Hour

// WithDefaults is the client with every empty field filled in as its comment
// says.
func (c OIDCClient) WithDefaults() OIDCClient {
	if c.Slug == "" {
		c.Slug = c.Name
	}
	if len(c.CallbackPaths) == 0 {
		c.CallbackPaths = []string{callbackRoute, "/auth/callback"}
	}
	if c.LogoutPath == "" {
		c.LogoutPath = "/"
	}
	if len(c.Scopes) == 0 {
		c.Scopes = []string{"openid", "profile", "email"}
		if !c.NoRefresh {
			c.Scopes = append(c.Scopes, ScopeOfflineAccess)
		}
	}
	if c.AccessToken == 0 {
		c.AccessToken = time.Hour
	}
	if c.RefreshToken == 0 {
		c.RefreshToken = 30 * day
	}
	if c.Cookie == 0 {
		c.Cookie = c.RefreshToken
	}
	if c.Sessions != nil && c.Sessions.TTL == 0 {
		s := *c.Sessions
		s.TTL = 14 * day
		c.Sessions = &s
	}
	if c.SecretName == "" {
		c.SecretName = c.Name + "-secrets"
	}
	return c
}

// AuthURL is Authentik's public address, without a slash at the end.
func (c OIDCClient) AuthURL() string { return "https://" + c.Authentik }

// Issuer is the iss claim of the client's tokens. The slash at its end
// belongs to it.
func (c OIDCClient) Issuer() string {
	return c.AuthURL() + "/application/o/" + c.WithDefaults().Slug + "/"
}

// JWKS is where the keys are that sign the client's tokens.
func (c OIDCClient) JWKS() string { return c.Issuer() + "jwks/" }

// EndSession is Authentik's sign-out address.
func (c OIDCClient) EndSession() string { return c.Issuer() + "end-session/" }

// Discovery is the address of the OpenID configuration.
func (c OIDCClient) Discovery() string { return c.Issuer() + ".well-known/openid-configuration" }

// RedirectURIs are the addresses to which Authentik may send a browser after
// sign-in.
func (c OIDCClient) RedirectURIs() []string {
	c = c.WithDefaults()
	uris := make([]string, len(c.CallbackPaths))
	for i, path := range c.CallbackPaths {
		uris[i] = "https://" + c.Host + path
	}
	return uris
}

// LogoutURI is where Authentik sends a browser after sign-out.
func (c OIDCClient) LogoutURI() string { return "https://" + c.Host + c.WithDefaults().LogoutPath }

// redirectURI is the callback of nuxt-oidc-auth where it is among the paths.
func (c OIDCClient) redirectURI() string {
	uris := c.RedirectURIs()
	if i := slices.Index(c.WithDefaults().CallbackPaths, callbackRoute); i >= 0 {
		return uris[i]
	}
	return uris[0]
}

// appRedirectURI is the callback under the app's own name: the older path
// where it is registered beside the module's route.
func (c OIDCClient) appRedirectURI() string {
	uris := c.RedirectURIs()
	return uris[len(uris)-1]
}

// Env is the client's public variables for the app.
func (c OIDCClient) Env() map[string]string {
	c = c.WithDefaults()
	scope, err := json.Marshal(c.Scopes)
	if err != nil {
		scope = nil // a list of strings always marshals
	}
	env := map[string]string{
		KeyAuthURL:                  c.AuthURL(),
		KeyRedirectURI:              c.appRedirectURI(),
		"NUXT_OIDC_SESSION_MAX_AGE": strconv.Itoa(int(c.Cookie.Seconds())),

		provider + "AUTHORIZATION_URL":     c.AuthURL() + "/application/o/authorize/",
		provider + "TOKEN_URL":             c.AuthURL() + "/application/o/token/",
		provider + "USER_INFO_URL":         c.AuthURL() + "/application/o/userinfo/",
		provider + "OPEN_ID_CONFIGURATION": c.Discovery(),
		provider + "REDIRECT_URI":          c.redirectURI(),
		provider + "SCOPE":                 string(scope),
		provider + "LOGOUT_URL":            c.EndSession(),
		provider + "LOGOUT_REDIRECT_URI":   c.LogoutURI(),
		// Without the parameter's name the module leaves the address out.
		provider + "LOGOUT_REDIRECT_PARAMETER_NAME": "post_logout_redirect_uri",
	}
	if s := c.Sessions; s != nil {
		env["SESSION_REDIS_PREFIX"] = s.Prefix
		env["SESSION_REDIS_TTL"] = strconv.Itoa(int(s.TTL.Seconds()))
	}
	return env
}

// SecretEnv is the client's secret variables for the app. The audience of an
// Authentik token is the client's id.
func (c OIDCClient) SecretEnv() map[string]KeyRef {
	secret := c.Secret()
	env := secret.Env()
	env[provider+"CLIENT_ID"] = secret.Key(KeyClientID)
	env[provider+"CLIENT_SECRET"] = secret.Key(KeyClientSecret)
	env[provider+"AUDIENCE"] = secret.Key(KeyClientID)
	return env
}

// Secret is the contract of the client's Secret.
func (c OIDCClient) Secret() Secret {
	c = c.WithDefaults()
	keys := []SecretKey{
		{Name: KeyClientID, Purpose: "OIDC client id at Authentik; public, but random", Format: Random(12), Rotation: RotationNeedsBlueprint},
		{Name: KeyClientSecret, Purpose: "OIDC client secret at Authentik", Format: Random(64), Rotation: RotationNeedsBlueprint},
		{Name: KeyRedirectURI, Purpose: "Callback after sign-in; the app takes it inline", Format: URI{Scheme: "https", Host: c.Host}, Value: c.appRedirectURI()},
		{Name: KeySessionSecret, Purpose: "Encrypts the session cookie; one that is too short is silently replaced by a random one per pod", Format: Random(48), Rotation: RotationLogsOut},
		{Name: KeyAuthSessionSecret, Purpose: "Encrypts the cookie of a sign-in under way", Format: Random(48)},
		{Name: KeyTokenKey, Purpose: "Encrypts the tokens in the session store; a wrong format fails at sign-in, not at start", Format: Base64(32), Rotation: RotationLogsOut},
		{Name: KeyAuthURL, Purpose: "Public address of Authentik, for sign-in and full sign-out; the app takes it inline", Format: URI{Scheme: "https", Host: c.Authentik}, Value: c.AuthURL()},
	}
	if s := c.Sessions; s != nil {
		keys = append(keys, SecretKey{
			Name:     KeyRedisURL,
			Purpose:  "Session store that all pods share",
			Source:   "the Redis password of the data tier, in " + URI{Scheme: "redis", Host: s.Address, Database: strconv.Itoa(s.Database)}.String(),
			Format:   URI{Scheme: "redis", Host: s.Address, Database: strconv.Itoa(s.Database), Password: true},
			Rotation: RotationNeedsPeer,
		})
	}
	return Secret{Name: c.SecretName, Namespace: c.Namespace, Keys: append(keys, c.Keys...)}
}

// Limits says when a session ends by itself: three values have a say.
func (c OIDCClient) Limits() string {
	c = c.WithDefaults()
	store := "the memory of the pod forgets with its next restart"
	idle := c.RefreshToken
	if s := c.Sessions; s != nil {
		store = "Redis forgets after " + days(s.TTL)
		idle = min(idle, s.TTL)
	}
	refresh := "refresh token " + days(c.RefreshToken)
	if c.NoRefresh {
		idle, refresh = min(idle, c.AccessToken), "no refresh token, access token "+days(c.AccessToken)
	}
	return fmt.Sprintf("%s after sign-in at the latest (cookie), or %s without use (%s, %s)", days(c.Cookie), days(min(idle, c.Cookie)), store, refresh)
}

// Notes reports a store or a cookie that ends before the refresh token does.
func (c OIDCClient) Notes() []string {
	c = c.WithDefaults()
	if c.NoRefresh {
		return nil
	}
	var notes []string
	if s := c.Sessions; s != nil && s.TTL < c.RefreshToken {
		notes = append(notes, fmt.Sprintf("OIDCClient %s: the session store forgets after %s, before the refresh token ends (%s): who stays away longer signs in again", c.Name, days(s.TTL), days(c.RefreshToken)))
	}
	if c.Cookie < c.RefreshToken {
		notes = append(notes, fmt.Sprintf("OIDCClient %s: the cookie ends %s after sign-in, before the refresh token does (%s)", c.Name, days(c.Cookie), days(c.RefreshToken)))
	}
	return notes
}

// Claims are what the client must have for itself.
func (c OIDCClient) Claims() []string {
	c = c.WithDefaults()
	claims := []string{"the Authentik slug " + c.Slug + " at " + c.Authentik}
	if s := c.Sessions; s != nil {
		claims = append(claims, fmt.Sprintf("the keys %s:* in Redis %s, database %d", strings.TrimRight(s.Prefix, ":"), s.Address, s.Database))
	}
	return claims
}

// days writes a duration in the unit in which people state it.
func days(d time.Duration) string {
	if d >= day && d%day == 0 {
		return strconv.Itoa(int(d/day)) + " d"
	}
	s := d.String()
	if strings.HasSuffix(s, "m0s") {
		s = strings.TrimSuffix(s, "0s")
	}
	if strings.HasSuffix(s, "h0m") {
		s = strings.TrimSuffix(s, "0m")
	}
	return s
}

// reservedSlugs are paths below /application/o/ that Authentik answers
// itself (authentik/providers/oauth2/urls.py).
var reservedSlugs = []string{"authorize", "token", "device", "userinfo", "introspect", "revoke"}

// isPath says that the value is a path on a host, and no address.
func isPath(value string) bool {
	return strings.HasPrefix(value, "/") && !strings.HasPrefix(value, "//") && !strings.ContainsAny(value, " \t\r\n\\")
}

// Validate reports every mistake.
func (c OIDCClient) Validate() error {
	return Mistakes("OIDCClient", c.Namespace, c.Name, c.validate(nil))
}

func (c OIDCClient) validate(path *field.Path) field.ErrorList {
	c = c.WithDefaults()
	at := func(name string) *field.Path { return path.Child(name) }
	var errs field.ErrorList
	errs = checkName(errs, at("name"), c.Name, validation.IsDNS1123Label)
	if c.Slug != c.Name {
		errs = checkName(errs, at("slug"), c.Slug, validation.IsDNS1123Label)
	}
	if slices.Contains(reservedSlugs, c.Slug) {
		errs = append(errs, field.Invalid(at("slug"), c.Slug, "Authentik answers /application/o/"+c.Slug+"/ itself: choose another slug"))
	}
	errs = checkNamespace(errs, at("namespace"), c.Namespace)
	errs = checkHost(errs, at("host"), c.Host)
	errs = checkHost(errs, at("authentik"), c.Authentik)
	for i, p := range c.CallbackPaths {
		if !isPath(p) {
			errs = append(errs, field.Invalid(at("callbackPaths").Index(i), p, "must be a path that starts with one /, without spaces: the host is "+c.Host))
		}
		if slices.Index(c.CallbackPaths, p) < i {
			errs = append(errs, field.Duplicate(at("callbackPaths").Index(i), p))
		}
	}
	if !isPath(c.LogoutPath) {
		errs = append(errs, field.Invalid(at("logoutPath"), c.LogoutPath, "must be a path that starts with one /, without spaces: the host is "+c.Host))
	}
	if !slices.Contains(c.Scopes, "openid") {
		errs = append(errs, field.Invalid(at("scopes"), c.Scopes, "must contain openid: without it there is no ID token"))
	}
	for i, s := range c.Scopes {
		if s == "" || strings.ContainsAny(s, " \"\\") {
			errs = append(errs, field.Invalid(at("scopes").Index(i), s, "must be one scope, without spaces or quotes"))
		}
		if slices.Index(c.Scopes, s) < i {
			errs = append(errs, field.Duplicate(at("scopes").Index(i), s))
		}
	}
	if !c.NoRefresh && !slices.Contains(c.Scopes, ScopeOfflineAccess) {
		errs = append(errs, field.Invalid(at("scopes"), c.Scopes,
			"must contain offline_access, since the app refreshes by itself: without it there is no refresh token, and sessions end with the access token (or say NoRefresh)"))
	}
	for _, d := range []struct {
		name  string
		value time.Duration
	}{{"accessToken", c.AccessToken}, {"refreshToken", c.RefreshToken}, {"cookie", c.Cookie}} {
		if d.value < time.Second {
			errs = append(errs, field.Invalid(at(d.name), d.value.String(), "must be a second or more"))
		}
	}
	if !c.NoRefresh && c.RefreshToken <= c.AccessToken {
		errs = append(errs, field.Invalid(at("refreshToken"), days(c.RefreshToken), "must be longer than the access token ("+days(c.AccessToken)+")"))
	}
	if c.Sessions == nil && !c.Development {
		errs = append(errs, field.Required(at("sessions"),
			"outside development sessions must be shared: those in memory are known to one pod only, and every release signs everyone out"))
	}
	if s := c.Sessions; s != nil {
		sp := at("sessions")
		if _, port, err := net.SplitHostPort(s.Address); err != nil || port == "" {
			errs = append(errs, field.Invalid(sp.Child("address"), s.Address, "must be host:port of the Redis"))
		}
		if s.Database < 0 {
			errs = append(errs, field.Invalid(sp.Child("database"), s.Database, "must not be negative"))
		}
		if s.Prefix == "" {
			errs = append(errs, field.Required(sp.Child("prefix"), "give the app's own key prefix: apps share the database"))
		}
		if s.TTL < time.Second {
			errs = append(errs, field.Invalid(sp.Child("ttl"), s.TTL.String(), "must be a second or more"))
		}
	}
	if err := c.Secret().Validate(); err != nil {
		errs = append(errs, field.Invalid(at("keys"), field.OmitValueType{}, err.Error()))
	}
	return errs
}
