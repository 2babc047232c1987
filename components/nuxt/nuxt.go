// Package nuxt is the sign-in of a Nuxt app through nuxt-oidc-auth: the
// variables of the app, the keys of its Secret, its sessions in Redis, what
// ends them, and what the app's own code must do for it all to hold.
package nuxt

import (
	"cmp"
	"encoding/json"
	"fmt"
	"maps"
	"net"
	"slices"
	"strconv"
	"strings"
	"time"

	"k8s.io/apimachinery/pkg/util/validation/field"

	"git.lastcloud.io/ronnibaslund/dezky/fleet/components"
	"git.lastcloud.io/ronnibaslund/dezky/fleet/components/internal/validate"
	"git.lastcloud.io/ronnibaslund/dezky/fleet/components/secret"
	"git.lastcloud.io/ronnibaslund/dezky/fleet/render/object"
)

// Login is the sign-in of a Nuxt app with Authentik. It implements
// components.Login.
type Login struct {
	// Client at Authentik. If its CallbackPaths are empty, they are the route of
	// nuxt-oidc-auth and the older path that the app also answers:
	// /auth/oidc/callback and /auth/callback. If its LogoutPath is empty, it is
	// /signed-out. RefreshThreshold, IDKey and SecretKey follow from the login:
	// see OIDCClient.
	Client components.OIDCClient
	// LogoutStays leaves a browser at Authentik after sign-out. If false, it
	// comes back to LogoutPath, for which Authentik demands the ID token as a
	// hint; some releases of nuxt-oidc-auth have it only where the app's pages
	// may have it too: see ModuleVersion.
	LogoutStays bool
	// ModuleVersion is the release of nuxt-oidc-auth in the app: releases
	// differ in what ends a session and in what a sign-out needs. If empty,
	// 1.0.0-beta.11. A release whose code was not read is refused.
	ModuleVersion string
	// Cookie is how long the session cookie is good: from the last refresh,
	// or, up to 1.0.0-beta.10 of the module, from the sign-in. If zero, as
	// long as the refresh token; the module's own default is a day.
	Cookie time.Duration
	// Sessions is where sessions are kept. If nil, in the memory of the one
	// pod: a second pod would not know them, and every release ends them.
	Sessions *RedisSessions
	// Development allows sessions in memory. If false, Sessions is demanded.
	Development bool
	// Assumed says what nobody has confirmed.
	Assumed Assumed
}

// Assumed says what of a login nobody has confirmed. It is rendered all the
// same: what an app does not have, it ignores.
type Assumed struct {
	// Module is the release of nuxt-oidc-auth in the app.
	Module bool
	// SignedOut is that the app has the page after sign-out.
	SignedOut bool
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

// Names of the Secret keys of a client. nuxt-oidc-auth reads the session
// secrets and the token key under these names. Client id, client secret and
// redirect URI are the app's own names: the module reads them under its own,
// which are set beside them from the same keys.
const (
	keyClientID          = "NUXT_OIDC_CLIENT_ID"
	keyClientSecret      = "NUXT_OIDC_CLIENT_SECRET"
	keyRedirectURI       = "NUXT_OIDC_REDIRECT_URI"
	keySessionSecret     = "NUXT_OIDC_SESSION_SECRET"
	keyAuthURL           = "NUXT_PUBLIC_AUTH_URL"
	keyAuthSessionSecret = "NUXT_OIDC_AUTH_SESSION_SECRET"
	keyTokenKey          = "NUXT_OIDC_TOKEN_KEY"
	keyRedisURL          = "SESSION_REDIS_URL"
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
	// loginRoute is where an app sends a browser that must sign in.
	loginRoute = "/auth/oidc/login"
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

// withDefaults returns the login with every empty field filled in as its
// comment says.
func (l Login) withDefaults() Login {
	if len(l.Client.CallbackPaths) == 0 {
		l.Client.CallbackPaths = []string{callbackRoute, "/auth/callback"}
	}
	if l.Client.LogoutPath == "" {
		l.Client.LogoutPath = "/signed-out"
	}
	if l.LogoutStays {
		l.Client.LogoutPath = ""
	}
	l.Client.IDKey, l.Client.SecretKey = keyClientID, keyClientSecret
	l.Client = l.Client.WithDefaults()
	l.ModuleVersion = cmp.Or(l.ModuleVersion, defaultModule)
	l.Cookie = cmp.Or(l.Cookie, l.Client.RefreshToken)
	if l.Sessions != nil && l.Sessions.TTL == 0 {
		s := *l.Sessions
		s.TTL = 14 * 24 * time.Hour
		l.Sessions = &s
	}
	l.Client.RefreshThreshold = l.refreshThreshold()
	return l
}

// refreshThreshold is as long as the session store keeps a session that is not
// used, and an access token more, so that whoever comes back in time has a
// refresh token that is still good. In between, requests that refresh at the
// same time do not revoke each other's token. It is zero, which renews at
// every refresh, where the app does not refresh, where sessions are in memory,
// and where the store keeps a session for as long as the token lives.
func (l Login) refreshThreshold() time.Duration {
	if l.Client.NoRefresh || l.Sessions == nil {
		return 0
	}
	threshold := l.Sessions.TTL + l.Client.AccessToken
	if threshold >= l.Client.RefreshToken {
		return 0
	}
	return threshold
}

// OIDCClient implements components.Login: the client with all that follows
// from the login.
func (l Login) OIDCClient() components.OIDCClient {
	l = l.withDefaults()
	l.Client.Keys = slices.Concat(l.keys(), l.Client.Keys)
	return l.Client
}

// Secret returns the contract of the client's Secret.
func (l Login) Secret() secret.Contract { return l.OIDCClient().Secret() }

// module returns what is known of the client's release; of one that is not
// known, nothing.
func (l Login) module() module {
	version := l.withDefaults().ModuleVersion
	if i := slices.IndexFunc(modules, func(m module) bool { return m.version == version }); i >= 0 {
		return modules[i]
	}
	return module{version: version}
}

// Validate implements components.Login.
func (l Login) Validate(path *field.Path) field.ErrorList {
	l = l.withDefaults()
	at := func(name string) *field.Path { return path.Child(name) }
	if l.Client.Public {
		return field.ErrorList{field.Forbidden(at("client").Child("public"), "the module runs on the app's server, which keeps a secret: leave it out")}
	}
	errs := l.Client.Validate(at("client"))
	if len(errs) == 0 { // with the keys of the module, which follow from it
		errs = l.OIDCClient().Validate(at("client"))
	}
	var known []string
	for _, m := range modules {
		known = append(known, m.version)
	}
	if !slices.Contains(known, l.ModuleVersion) {
		errs = append(errs, field.Invalid(at("moduleVersion"), l.ModuleVersion, "is no release of nuxt-oidc-auth whose sessions and sign-out are known here: use one of "+strings.Join(known, ", ")))
	}
	if l.Client.LogoutPath == "/" {
		errs = append(errs, field.Invalid(at("client").Child("logoutPath"), "/", "must be a page that needs no sign-in, such as /signed-out: the start page sends the browser back to Authentik's login"))
	}
	if l.Cookie < time.Second {
		errs = append(errs, field.Invalid(at("cookie"), l.Cookie.String(), "must be a second or more"))
	}
	if l.Sessions == nil && !l.Development {
		errs = append(errs, field.Required(at("sessions"),
			"outside development sessions must be shared: those in memory are known to one pod only, and every release signs everyone out"))
	}
	if s := l.Sessions; s != nil {
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
	return errs
}

// exposesIDToken reports whether the module must be told to give the ID token
// to the app's pages, since it finds it nowhere else at sign-out. Without a
// refresh token every release stores an ID token only then
// (runtime/server/handler/callback).
func (l Login) exposesIDToken() bool {
	return !l.LogoutStays && (!l.module().storedHint || l.Client.NoRefresh)
}

// redirectURI returns the callback of nuxt-oidc-auth where it is among the
// paths.
func (l Login) redirectURI() string {
	uris := l.Client.RedirectURIs()
	if i := slices.Index(l.Client.CallbackPaths, callbackRoute); i >= 0 {
		return uris[i]
	}
	return uris[0]
}

// appRedirectURI is the callback under the app's own name: the older path
// where it is registered beside the module's route.
func (l Login) appRedirectURI() string {
	uris := l.Client.RedirectURIs()
	return uris[len(uris)-1]
}

// Env implements components.Login.
func (l Login) Env() map[string]string {
	l = l.withDefaults()
	scope, err := json.Marshal(l.Client.Scopes)
	if err != nil {
		scope = nil // a list of strings always marshals
	}
	env := map[string]string{
		keyAuthURL:     l.Client.AuthURL(),
		keyRedirectURI: l.appRedirectURI(),
		cookieMaxAge:   strconv.Itoa(int(l.Cookie.Seconds())),

		provider + "AUTHORIZATION_URL":     l.Client.Authorization(),
		provider + "TOKEN_URL":             l.Client.Token(),
		provider + "USER_INFO_URL":         l.Client.UserInfo(),
		provider + "OPEN_ID_CONFIGURATION": l.Client.Discovery(),
		provider + "REDIRECT_URI":          l.redirectURI(),
		provider + "SCOPE":                 string(scope),
		provider + "LOGOUT_URL":            l.Client.EndSession(),
	}
	if !l.LogoutStays {
		env[provider+"LOGOUT_REDIRECT_URI"] = l.Client.LogoutURI()
		// Without the parameter's name the module leaves the address out.
		env[provider+"LOGOUT_REDIRECT_PARAMETER_NAME"] = "post_logout_redirect_uri"
		// The module fills in the token; without it Authentik refuses the
		// address (authentik/providers/oauth2/views/end_session.py).
		env[provider+"ADDITIONAL_LOGOUT_PARAMETERS"] = `{"idTokenHint":""}`
	}
	if l.exposesIDToken() {
		env[provider+"EXPOSE_ID_TOKEN"] = "true"
	}
	if !l.Client.NoRefresh {
		env[EnvRevocation] = l.Client.Revocation()
	}
	if s := l.Sessions; s != nil {
		env[EnvRedisPrefix] = s.Prefix
		env[EnvRedisTTL] = strconv.Itoa(int(s.TTL.Seconds()))
	}
	return env
}

// SecretEnv implements components.Login. The audience of an Authentik token is
// the client's id.
func (l Login) SecretEnv() map[string]secret.Ref {
	contract := l.Secret()
	env := contract.Env()
	env[provider+"CLIENT_ID"] = contract.Key(keyClientID)
	env[provider+"CLIENT_SECRET"] = contract.Key(keyClientSecret)
	env[provider+"AUDIENCE"] = contract.Key(keyClientID)
	return env
}

// keys are the keys of the client's Secret beside its id and secret.
func (l Login) keys() []secret.Key {
	keys := []secret.Key{
		{Name: keyRedirectURI, Purpose: "Callback after sign-in; the app takes it inline", Format: secret.URI{Scheme: "https", Host: l.Client.Host}, Value: l.appRedirectURI()},
		{Name: keySessionSecret, Purpose: "Encrypts the session cookie; one that is too short is silently replaced by a random one per pod", Format: secret.Random(48), Rotation: secret.RotationLogsOut},
		{Name: keyAuthSessionSecret, Purpose: "Encrypts the cookie of a sign-in under way", Format: secret.Random(48)},
		{Name: keyTokenKey, Purpose: "Encrypts the tokens in the session store; a wrong format fails at sign-in, not at start", Format: secret.Base64(32), Rotation: l.tokenKeyRotation()},
		{Name: keyAuthURL, Purpose: "Public address of Authentik, for sign-in and full sign-out; the app takes it inline", Format: secret.URI{Scheme: "https", Host: l.Client.Authentik}, Value: l.Client.AuthURL()},
	}
	if s := l.Sessions; s != nil {
		uri := secret.URI{Scheme: "redis", Host: s.Address, Database: strconv.Itoa(s.Database), Password: true}
		keys = append(keys, secret.Key{
			Name:     keyRedisURL,
			Purpose:  "Session store that all pods share",
			Source:   "the Redis password of the data tier, in " + uri.String(),
			Format:   uri,
			Rotation: secret.RotationNeedsPeer,
		})
	}
	return keys
}

// tokenKeyRotation says what a new token key does. The module decrypts the
// stored tokens before anything else, and fails where it cannot.
func (l Login) tokenKeyRotation() secret.Rotation {
	if s := l.Sessions; s != nil {
		return secret.Rotation(fmt.Sprintf("logs everyone out, and only if the keys %s:* are deleted from Redis database %d with it: else calls answer 500 from the end of the access token until the page is loaded again", strings.TrimRight(s.Prefix, ":"), s.Database))
	}
	return secret.RotationLogsOut // memory forgets with the restart that the key needs
}

// Limits says what ends a session by itself, in the release of the module
// that is meant.
func (l Login) Limits() string {
	l = l.withDefaults()
	store := "the memory of the pod forgets with its next restart"
	idle := l.Client.RefreshToken
	if s := l.Sessions; s != nil {
		store = "Redis forgets after " + validate.Duration(s.TTL)
		idle = min(idle, s.TTL)
	}
	m := l.module()
	switch {
	case l.Client.NoRefresh:
		return fmt.Sprintf("%s after sign-in, with the access token or the cookie: there is no refresh token", validate.Duration(min(l.Client.AccessToken, l.Cookie)))
	case m.slides:
		return fmt.Sprintf("%s without use (%s, refresh token %s, cookie %s); one in use goes on, since each refresh by a call to `/api` starts the cookie's age anew (nuxt-oidc-auth %s)",
			validate.Duration(min(idle, l.Cookie)), store, validate.Duration(l.Client.RefreshToken), validate.Duration(l.Cookie), m.version)
	default:
		return fmt.Sprintf("%s after sign-in at the latest (cookie, nuxt-oidc-auth %s), or %s without use (%s, refresh token %s)",
			validate.Duration(l.Cookie), m.version, validate.Duration(min(idle, l.Cookie)), store, validate.Duration(l.Client.RefreshToken))
	}
}

// About implements components.Login.
func (l Login) About() object.About {
	claims := l.OIDCClient().Claims()
	if s := l.Sessions; s != nil {
		claims = append(claims, fmt.Sprintf("the keys %s:* in Redis %s, database %d", strings.TrimRight(s.Prefix, ":"), s.Address, s.Database))
	}
	return object.About{Claims: claims, Notes: l.notes(), Assumed: l.assumptions()}
}

// assumptions are those of the app's code beside its variables.
func (l Login) assumptions() []object.Assumption {
	assumed := l.Assumed
	l = l.withDefaults()
	at := "Login " + l.Client.Namespace + "/" + l.Client.Name + ": "
	var list []object.Assumption
	if assumed.Module {
		list = append(list, object.Assumption{
			What:    at + "the release of nuxt-oidc-auth",
			Value:   l.ModuleVersion,
			Confirm: "`npm ls nuxt-oidc-auth` in the app's code",
			Until:   "the variables are those of this release, and a module ignores what its release does not have; what ends a session, and what the code must do, is told for this release",
			Buys:    "certainty of when people must sign in again, and that a sign-out comes back",
		})
	}
	if assumed.SignedOut && l.Client.LogoutPath != "" {
		list = append(list, object.Assumption{
			What:    at + "that the app has the page after sign-out, and that it needs no sign-in",
			Value:   l.Client.LogoutPath,
			Confirm: fmt.Sprintf("`curl -si https://%s%s` answers 200", l.Client.Host, l.Client.LogoutPath),
			Until:   "where there is no such page, the sign-out is one, and ends on the app's page for what is not found: nuxt-oidc-auth asks nobody to sign in there",
			Buys:    "certainty that a sign-out does not end at a login page, where the next one signs nobody out",
		})
	}
	return list
}

// OnePod implements components.Login: sessions in memory are known to one pod
// alone, and about half of all calls would fail on two.
func (l Login) OnePod() string {
	if l.Sessions != nil {
		return ""
	}
	return "sessions are in the memory of one pod, and every other pod would refuse them: keep one pod, or give login.sessions a Redis"
}

// notes report a store or a cookie that ends before the refresh token does.
func (l Login) notes() []string {
	l = l.withDefaults()
	if l.Client.NoRefresh {
		return nil
	}
	var notes []string
	if s := l.Sessions; s != nil && s.TTL < l.Client.RefreshToken {
		notes = append(notes, fmt.Sprintf("OIDCClient %s: the session store forgets after %s, before the refresh token ends (%s): who stays away longer signs in again", l.Client.Name, validate.Duration(s.TTL), validate.Duration(l.Client.RefreshToken)))
	}
	if l.Cookie < l.Client.RefreshToken {
		from := "sign-in"
		if l.module().slides {
			from = "the last refresh"
		}
		notes = append(notes, fmt.Sprintf("OIDCClient %s: the cookie ends %s after %s, before the refresh token does (%s)", l.Client.Name, validate.Duration(l.Cookie), from, validate.Duration(l.Client.RefreshToken)))
	}
	return notes
}

// Code returns what the code of a Nuxt app must do, a sentence or a few each,
// in Markdown: what its variables demand of nuxt.config, and what its sign-in
// demands.
func Code(web components.WebApp) []string {
	names := slices.Collect(maps.Keys(web.Env))
	names = slices.AppendSeq(names, maps.Keys(web.SecretEnv))
	var list []string
	if web.Login != nil {
		names = slices.AppendSeq(names, maps.Keys(web.Login.Env()))
		if login, ok := web.Login.(Login); ok {
			list = login.code()
		}
	}
	slices.Sort(names)
	var public, private []string
	for _, name := range names {
		rest, nuxt := strings.CutPrefix(name, "NUXT_")
		key, isPublic := strings.CutPrefix(rest, "PUBLIC_")
		switch {
		case !nuxt || strings.HasPrefix(rest, "OIDC_"):
		case isPublic:
			public = append(public, runtimeConfigKey(key))
		default:
			private = append(private, runtimeConfigKey(rest))
		}
	}
	var declared []string
	if len(public) > 0 {
		declared = append(declared, quoted(public)+" under `runtimeConfig.public`")
	}
	if len(private) > 0 {
		declared = append(declared, quoted(private)+" under `runtimeConfig`")
	}
	if len(declared) == 0 {
		return list
	}
	return append([]string{"nuxt.config declares " + strings.Join(declared, " and ") + ", empty: Nuxt overrides declared keys only."}, list...)
}

// quoted is a list in Markdown's style of code.
func quoted(values []string) string { return "`" + strings.Join(values, "`, `") + "`" }

// code is what the app's own code must do for the sign-in to hold, a sentence
// or a few each, in Markdown.
func (l Login) code() []string {
	l = l.withDefaults()
	const (
		session  = "`nuxt-oidc-auth/runtime/server/utils/session.js`"
		security = "`nuxt-oidc-auth/runtime/server/utils/security.js`"
	)
	var list []string
	say := func(format string, args ...any) { list = append(list, fmt.Sprintf(format, args...)) }

	say("The module is nuxt-oidc-auth %s: what stands here was read in that release.", l.ModuleVersion)
	say("nuxt.config declares under `oidc.providers.oidc`: %s. Nuxt overrides declared keys only, and a `process.env` in nuxt.config is fixed at build time.", strings.Join(l.declarations(), ", "))
	own := []string{keyClientID, keyClientSecret, keyRedirectURI}
	if !l.Client.NoRefresh {
		own = append(own, EnvRevocation)
	}
	if l.Sessions != nil {
		own = append(own, keyRedisURL, EnvRedisPrefix, EnvRedisTTL)
	}
	say("The module reads `%s*`, `%s`, `%s`, `%s` and `%s`. It ignores `%s`: those are the app's own names.",
		provider, cookieMaxAge, keySessionSecret, keyAuthSessionSecret, keyTokenKey, strings.Join(own, "`, `"))
	say("A nitro plugin mounts `oidc` on Redis where `%s` is set: `useStorage().mount('oidc', redisDriver({ url, base, ttl }))` with unstorage's driver, which needs `ioredis` among the app's own dependencies, the base `%s` and the ttl `%s` in seconds. Where it is not set, sessions are in memory, for one replica.", keyRedisURL, EnvRedisPrefix, EnvRedisTTL)
	say("The module guards pages and never `/api`. A server middleware of the app answers 401 to calls below `/api/` that have no session: `getUserSession(event)` of %s throws it. It leaves `/api/health/` and `/api/_auth/` alone.", session)
	if l.Client.NoRefresh {
		say("The app's server has no access token of the user: the module stores none where there is no refresh token.")
	} else {
		say("One refresh per session at a time, over all replicas: the module takes no lock, Authentik may revoke a refresh token at its first use, and whoever is refused then clears the session that another request has just renewed. " +
			"So a server middleware comes before the module for every request with the session cookie `nuxt-oidc-auth`, pages and `/api/_auth/` too. (Without the cookie `getUserSessionId` would start a session.) " +
			"It reads the session from the store: `useStorage('oidc').getItem(await getUserSessionId(event))`, whose `exp` is in seconds. " +
			"Where `exp` is past or a few seconds away, it takes a lock in the store (in Redis `SET <prefix>:lock:<session id> <random> NX PX 30000`), reads the session again, calls `refreshUserSession(event)` only where it is still old, and frees the lock if the random value is still its own. " +
			"Who gets no lock within 30 seconds answers 503. Sessions in memory need no lock but one in the process. Where the refresh fails, a call below `/api/` that is guarded is answered with its error, and everything else goes on to the module, which sends a page to the login; where the store fails, everything is answered with 500. Code that refreshes in another way reads the store again when it is refused, and clears the session only where nobody has renewed it. The page does not call `useOidcAuth().refresh()`.")
		say("The app's server gets no access token from `getUserSession`. For platform-api it reads the user's from the store, after the middleware above: `decryptToken(stored.accessToken, process.env.%s)` of %s. (The option `exposeAccessToken` would give it to `getUserSession`, and to every page.)", keyTokenKey, security)
	}
	if l.exposesIDToken() {
		say("`exposeIdToken` is on because the module has the ID token at sign-out only then. It would give the token, with the user's name, mail and groups, to every page: so a nitro plugin deletes `idToken` from the session in the hooks `fetch` and `refresh` of `sessionHooks`.")
	}
	say("A client plugin watches `window.fetch` (a replaced `$fetch` sees nothing on Nuxt 4.5, which binds it when it loads). When a call below `/api/` other than `/api/_auth/` answers 401, it sends the browser to `%s?callbackRedirectUrl=<path of the page>`, once: it leaves a mark in the session storage, and does not go again while the mark is fresh.", loginRoute)
	ends := "It ends the session of this app and Authentik's in this browser; sessions of other apps go on until they end by themselves."
	if l.Client.LogoutAppOnly {
		ends = "It ends the session of this app alone: the next visit signs in with no click while Authentik's session lasts."
	}
	say("Sign-out is a navigation of the browser, and no fetch, to `%s`; no address of Authentik is written in the code. %s", LogoutRoute, ends)
	if !l.LogoutStays {
		say("The page `%s` needs no sign-in (`definePageMeta({ oidcAuth: { enabled: false } })`) and makes no call that needs one.", l.Client.LogoutPath)
	}
	say("A sign-out whose session has ended already reaches the module without one, and the module then goes to `/` instead of Authentik, which signs in again with no click: so a server middleware on `%s`, before the module, asks `getUserSession(event)`, and where that answers 401 it sends the browser to the option `logoutUrl` of the provider, where it stays.", LogoutRoute)
	if !l.Client.NoRefresh {
		say("A sign-out revokes the refresh token, which outlives Authentik's session: the same middleware reads it from the store (`decryptToken(stored.refreshToken, …)`) and posts `token` and `token_type_hint=refresh_token` as a form to `%s`, with client id and client secret in HTTP Basic. It waits a few seconds at most, and the sign-out goes on whatever the answer is.", EnvRevocation)
		say("Who may do what is asked anew, of `groups` in the access token, which each refresh makes anew: a refresh checks no group, and `userInfo` in the session is of the sign-in.")
	}
	return list
}

// declarations are the provider's options that are set by variables, each with
// an empty value of its type.
func (l Login) declarations() []string {
	env := l.Env()
	for name := range l.SecretEnv() {
		env[name] = ""
	}
	var list []string
	for _, name := range slices.Sorted(maps.Keys(env)) {
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
		list = append(list, "`"+runtimeConfigKey(option)+": "+empty+"`")
	}
	return list
}

// runtimeConfigKey returns the key of Nuxt's runtimeConfig that the rest of a
// variable's name sets: API_BASE sets apiBase.
func runtimeConfigKey(name string) string {
	words := strings.Split(strings.ToLower(name), "_")
	for i, w := range words[1:] {
		if w != "" {
			words[i+1] = strings.ToUpper(w[:1]) + w[1:]
		}
	}
	return strings.Join(words, "")
}
