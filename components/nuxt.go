package components

import (
	"encoding/json"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"k8s.io/apimachinery/pkg/util/validation/field"

	"git.lastcloud.io/ronnibaslund/dezky/fleet/components/secret"
)

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

// Names of the Secret keys of a client. nuxt-oidc-auth reads the session
// secrets and the token key under these names. Client id, client secret and
// redirect URI are the app's own names: the module reads them under its own,
// which are set beside them from the same keys.
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

// Names of further variables of a client, which the app's own code reads.
const (
	EnvRedisPrefix = "SESSION_REDIS_PREFIX"
	EnvRedisTTL    = "SESSION_REDIS_TTL"
	EnvRevocation  = "OIDC_REVOCATION_URL"
)

// provider is the prefix of nuxt-oidc-auth's variables for its generic
// provider, whose key is oidc. The routes of that provider are below
// /auth/oidc/.
const (
	provider      = "NUXT_OIDC_PROVIDERS_OIDC_"
	cookieMaxAge  = "NUXT_OIDC_SESSION_MAX_AGE"
	callbackRoute = "/auth/oidc/callback"
	// LoginRoute is where an app sends a browser that must sign in.
	LoginRoute = "/auth/oidc/login"
	// LogoutRoute is where an app sends a browser that signs out.
	LogoutRoute = "/auth/oidc/logout"
)

// defaultModule is the release of nuxt-oidc-auth that is meant where none is
// stated.
const defaultModule = "1.0.0-beta.11"

// module is what differs between releases of nuxt-oidc-auth.
type module struct {
	version string
	// slides says that each refresh starts the cookie's age anew
	// (runtime/server/utils/session, refreshUserSession).
	slides bool
	// storedHint says that a sign-out takes the ID token from the session
	// store. Others take it from the session as pages see it
	// (runtime/server/handler/logout.get).
	storedHint bool
}

// modules are the releases whose code was read, oldest first.
var modules = []module{
	{version: "1.0.0-beta.10"},
	{version: "1.0.0-beta.11", slides: true},
	{version: "1.0.0-beta.12", slides: true, storedHint: true},
}

// module returns what is known of the client's release; of one that is not
// known, nothing.
func (c OIDCClient) module() module {
	version := c.WithDefaults().ModuleVersion
	if i := slices.IndexFunc(modules, func(m module) bool { return m.version == version }); i >= 0 {
		return modules[i]
	}
	return module{version: version}
}

func (c OIDCClient) validateModule(path *field.Path) field.ErrorList {
	var known []string
	for _, m := range modules {
		if m.version == c.ModuleVersion {
			return nil
		}
		known = append(known, m.version)
	}
	return field.ErrorList{field.Invalid(path, c.ModuleVersion, "is no release of nuxt-oidc-auth whose sessions and sign-out are known here: use one of "+strings.Join(known, ", "))}
}

// exposesIDToken reports whether the module must be told to give the ID token
// to the app's pages, since it finds it nowhere else at sign-out. Without a
// refresh token every release stores an ID token only then
// (runtime/server/handler/callback).
func (c OIDCClient) exposesIDToken() bool {
	return !c.LogoutStays && (!c.module().storedHint || c.NoRefresh)
}

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
		KeyAuthURL:     c.AuthURL(),
		KeyRedirectURI: c.appRedirectURI(),
		cookieMaxAge:   strconv.Itoa(int(c.Cookie.Seconds())),

		provider + "AUTHORIZATION_URL":     c.AuthURL() + "/application/o/authorize/",
		provider + "TOKEN_URL":             c.AuthURL() + "/application/o/token/",
		provider + "USER_INFO_URL":         c.AuthURL() + "/application/o/userinfo/",
		provider + "OPEN_ID_CONFIGURATION": c.Discovery(),
		provider + "REDIRECT_URI":          c.redirectURI(),
		provider + "SCOPE":                 string(scope),
		provider + "LOGOUT_URL":            c.EndSession(),
	}
	if !c.LogoutStays {
		env[provider+"LOGOUT_REDIRECT_URI"] = c.LogoutURI()
		// Without the parameter's name the module leaves the address out.
		env[provider+"LOGOUT_REDIRECT_PARAMETER_NAME"] = "post_logout_redirect_uri"
		// The module fills in the token; without it Authentik refuses the
		// address (authentik/providers/oauth2/views/end_session.py).
		env[provider+"ADDITIONAL_LOGOUT_PARAMETERS"] = `{"idTokenHint":""}`
	}
	if c.exposesIDToken() {
		env[provider+"EXPOSE_ID_TOKEN"] = "true"
	}
	if !c.NoRefresh {
		env[EnvRevocation] = c.Revocation()
	}
	if s := c.Sessions; s != nil {
		env[EnvRedisPrefix] = s.Prefix
		env[EnvRedisTTL] = strconv.Itoa(int(s.TTL.Seconds()))
	}
	return env
}

// SecretEnv is the client's secret variables for the app. The audience of an
// Authentik token is the client's id.
func (c OIDCClient) SecretEnv() map[string]secret.Ref {
	secret := c.Secret()
	env := secret.Env()
	env[provider+"CLIENT_ID"] = secret.Key(KeyClientID)
	env[provider+"CLIENT_SECRET"] = secret.Key(KeyClientSecret)
	env[provider+"AUDIENCE"] = secret.Key(KeyClientID)
	return env
}

// Secret is the contract of the client's Secret.
func (c OIDCClient) Secret() secret.Contract {
	c = c.WithDefaults()
	keys := []secret.Key{
		{Name: KeyClientID, Purpose: "OIDC client id at Authentik; public, but random", Format: secret.Random(12), Rotation: secret.RotationNeedsBlueprint},
		{Name: KeyClientSecret, Purpose: "OIDC client secret at Authentik", Format: secret.Random(64), Rotation: secret.RotationNeedsBlueprint},
		{Name: KeyRedirectURI, Purpose: "Callback after sign-in; the app takes it inline", Format: secret.URI{Scheme: "https", Host: c.Host}, Value: c.appRedirectURI()},
		{Name: KeySessionSecret, Purpose: "Encrypts the session cookie; one that is too short is silently replaced by a random one per pod", Format: secret.Random(48), Rotation: secret.RotationLogsOut},
		{Name: KeyAuthSessionSecret, Purpose: "Encrypts the cookie of a sign-in under way", Format: secret.Random(48)},
		{Name: KeyTokenKey, Purpose: "Encrypts the tokens in the session store; a wrong format fails at sign-in, not at start", Format: secret.Base64(32), Rotation: c.tokenKeyRotation()},
		{Name: KeyAuthURL, Purpose: "Public address of Authentik, for sign-in and full sign-out; the app takes it inline", Format: secret.URI{Scheme: "https", Host: c.Authentik}, Value: c.AuthURL()},
	}
	if s := c.Sessions; s != nil {
		keys = append(keys, secret.Key{
			Name:     KeyRedisURL,
			Purpose:  "Session store that all pods share",
			Source:   "the Redis password of the data tier, in " + secret.URI{Scheme: "redis", Host: s.Address, Database: strconv.Itoa(s.Database)}.String(),
			Format:   secret.URI{Scheme: "redis", Host: s.Address, Database: strconv.Itoa(s.Database), Password: true},
			Rotation: secret.RotationNeedsPeer,
		})
	}
	return secret.Contract{Name: c.SecretName, Namespace: c.Namespace, Keys: append(keys, c.Keys...)}
}

// tokenKeyRotation says what a new token key does. The module decrypts the
// stored tokens before anything else, and fails where it cannot.
func (c OIDCClient) tokenKeyRotation() secret.Rotation {
	if s := c.Sessions; s != nil {
		return secret.Rotation(fmt.Sprintf("logs everyone out, and only if the keys %s:* are deleted from Redis database %d with it: else calls answer 500 from the end of the access token until the page is loaded again", strings.TrimRight(s.Prefix, ":"), s.Database))
	}
	return secret.RotationLogsOut // memory forgets with the restart that the key needs
}

// Limits says what ends a session by itself, in the release of the module
// that is meant.
func (c OIDCClient) Limits() string {
	c = c.WithDefaults()
	store := "the memory of the pod forgets with its next restart"
	idle := c.RefreshToken
	if s := c.Sessions; s != nil {
		store = "Redis forgets after " + days(s.TTL)
		idle = min(idle, s.TTL)
	}
	m := c.module()
	switch {
	case c.NoRefresh:
		return fmt.Sprintf("%s after sign-in, with the access token or the cookie: there is no refresh token", days(min(c.AccessToken, c.Cookie)))
	case m.slides:
		return fmt.Sprintf("%s without use (%s, refresh token %s, cookie %s); one in use goes on, since each refresh by a call to `/api` starts the cookie's age anew (nuxt-oidc-auth %s)",
			days(min(idle, c.Cookie)), store, days(c.RefreshToken), days(c.Cookie), m.version)
	default:
		return fmt.Sprintf("%s after sign-in at the latest (cookie, nuxt-oidc-auth %s), or %s without use (%s, refresh token %s)",
			days(c.Cookie), m.version, days(min(idle, c.Cookie)), store, days(c.RefreshToken))
	}
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
		from := "sign-in"
		if c.module().slides {
			from = "the last refresh"
		}
		notes = append(notes, fmt.Sprintf("OIDCClient %s: the cookie ends %s after %s, before the refresh token does (%s)", c.Name, days(c.Cookie), from, days(c.RefreshToken)))
	}
	return notes
}

// Code is what the app's own code must do for the sign-in to hold, a sentence
// or a few each, in Markdown.
func (c OIDCClient) Code() []string {
	c = c.WithDefaults()
	const (
		session  = "`nuxt-oidc-auth/runtime/server/utils/session.js`"
		security = "`nuxt-oidc-auth/runtime/server/utils/security.js`"
	)
	var list []string
	say := func(format string, args ...any) { list = append(list, fmt.Sprintf(format, args...)) }

	say("The module is nuxt-oidc-auth %s: what stands here was read in that release.", c.ModuleVersion)
	say("nuxt.config declares under `oidc.providers.oidc`: %s. Nuxt overrides declared keys only, and a `process.env` in nuxt.config is fixed at build time.", strings.Join(c.declarations(), ", "))
	own := []string{KeyClientID, KeyClientSecret, KeyRedirectURI}
	if !c.NoRefresh {
		own = append(own, EnvRevocation)
	}
	if c.Sessions != nil {
		own = append(own, KeyRedisURL, EnvRedisPrefix, EnvRedisTTL)
	}
	say("The module reads `%s*`, `%s`, `%s`, `%s` and `%s`. It ignores `%s`: those are the app's own names.",
		provider, cookieMaxAge, KeySessionSecret, KeyAuthSessionSecret, KeyTokenKey, strings.Join(own, "`, `"))
	say("A nitro plugin mounts `oidc` on Redis where `%s` is set: `useStorage().mount('oidc', redisDriver({ url, base, ttl }))` with unstorage's driver, which needs `ioredis` among the app's own dependencies, the base `%s` and the ttl `%s` in seconds. Where it is not set, sessions are in memory, for one replica.", KeyRedisURL, EnvRedisPrefix, EnvRedisTTL)
	say("The module guards pages and never `/api`. A server middleware of the app answers 401 to calls below `/api/` that have no session: `getUserSession(event)` of %s throws it. It leaves `/api/health/` and `/api/_auth/` alone.", session)
	if c.NoRefresh {
		say("The app's server has no access token of the user: the module stores none where there is no refresh token.")
	} else {
		say("One refresh per session at a time, over all replicas: the module takes no lock, Authentik may revoke a refresh token at its first use, and whoever is refused then clears the session that another request has just renewed. " +
			"So a server middleware comes before the module for every request with the session cookie `nuxt-oidc-auth`, pages and `/api/_auth/` too. (Without the cookie `getUserSessionId` would start a session.) " +
			"It reads the session from the store: `useStorage('oidc').getItem(await getUserSessionId(event))`, whose `exp` is in seconds. " +
			"Where `exp` is past or a few seconds away, it takes a lock in the store (in Redis `SET <prefix>:lock:<session id> <random> NX PX 30000`), reads the session again, calls `refreshUserSession(event)` only where it is still old, and frees the lock if the random value is still its own. " +
			"Who gets no lock within 30 seconds answers 503. Sessions in memory need no lock but one in the process. Where the refresh fails, a call below `/api/` that is guarded is answered with its error, and everything else goes on to the module, which sends a page to the login; where the store fails, everything is answered with 500. Code that refreshes in another way reads the store again when it is refused, and clears the session only where nobody has renewed it. The page does not call `useOidcAuth().refresh()`.")
		say("The app's server gets no access token from `getUserSession`. For platform-api it reads the user's from the store, after the middleware above: `decryptToken(stored.accessToken, process.env.%s)` of %s. (The option `exposeAccessToken` would give it to `getUserSession`, and to every page.)", KeyTokenKey, security)
	}
	if c.exposesIDToken() {
		say("`exposeIdToken` is on because the module has the ID token at sign-out only then. It would give the token, with the user's name, mail and groups, to every page: so a nitro plugin deletes `idToken` from the session in the hooks `fetch` and `refresh` of `sessionHooks`.")
	}
	say("A client plugin watches `window.fetch` (a replaced `$fetch` sees nothing on Nuxt 4.5, which binds it when it loads). When a call below `/api/` other than `/api/_auth/` answers 401, it sends the browser to `%s?callbackRedirectUrl=<path of the page>`, once: it leaves a mark in the session storage, and does not go again while the mark is fresh.", LoginRoute)
	ends := "It ends the session of this app and Authentik's in this browser; sessions of other apps go on until they end by themselves."
	if c.LogoutAppOnly {
		ends = "It ends the session of this app alone: the next visit signs in with no click while Authentik's session lasts."
	}
	say("Sign-out is a navigation of the browser, and no fetch, to `%s`; no address of Authentik is written in the code. %s", LogoutRoute, ends)
	if !c.LogoutStays {
		say("The page `%s` needs no sign-in (`definePageMeta({ oidcAuth: { enabled: false } })`) and makes no call that needs one.", c.LogoutPath)
	}
	if !c.NoRefresh {
		say("A sign-out revokes the refresh token, which outlives Authentik's session: a server middleware on `%s`, before the module, reads it from the store (`decryptToken(stored.refreshToken, …)`) and posts `token` and `token_type_hint=refresh_token` as a form to `%s`, with client id and client secret in HTTP Basic. It waits a few seconds at most, and the sign-out goes on whatever the answer is.", LogoutRoute, EnvRevocation)
		say("Who may do what is asked anew, of `groups` in the access token, which each refresh makes anew: a refresh checks no group, and `userInfo` in the session is of the sign-in.")
	}
	return list
}

// declarations are the provider's options that are set by variables, each with
// an empty value of its type.
func (c OIDCClient) declarations() []string {
	env := c.Env()
	for name := range c.SecretEnv() {
		env[name] = ""
	}
	var list []string
	for _, name := range sortedKeys(env) {
		option, ok := strings.CutPrefix(name, provider)
		if !ok {
			continue
		}
		empty := "''"
		switch value := env[name]; {
		case strings.HasPrefix(value, "["):
			empty = "[]"
		case strings.HasPrefix(value, "{"):
			empty = "{}"
		case value == "true":
			empty = "false"
		}
		list = append(list, "`"+RuntimeConfigKey(option)+": "+empty+"`")
	}
	return list
}

// RuntimeConfigKey returns the key of Nuxt's runtimeConfig that the rest of a
// variable's name sets: API_BASE sets apiBase.
func RuntimeConfigKey(name string) string {
	words := strings.Split(strings.ToLower(name), "_")
	for i, w := range words[1:] {
		if w != "" {
			words[i+1] = strings.ToUpper(w[:1]) + w[1:]
		}
	}
	return strings.Join(words, "")
}
