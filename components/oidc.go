package components

import (
	"fmt"
	"net"
	"slices"
	"strconv"
	"strings"
	"time"

	"k8s.io/apimachinery/pkg/util/validation"
	"k8s.io/apimachinery/pkg/util/validation/field"

	"git.lastcloud.io/ronnibaslund/dezky/fleet/components/internal/validate"
	"git.lastcloud.io/ronnibaslund/dezky/fleet/components/secret"
)

// OIDCClient is the sign-in of a Nuxt app with Authentik, through
// nuxt-oidc-auth: one value for what the app, Authentik and Redis must agree
// on. The app's variables, its Secret contract, Authentik's provider and
// application (package authentik) and the session store all come from it.
//
// This file has what every client of Authentik has; nuxt.go has what
// nuxt-oidc-auth makes of it.
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
	// LogoutPath is the page of the app to which Authentik sends a browser
	// after sign-out. It must need no sign-in: a page that does sends the
	// browser back to Authentik's login, and a sign-out while that page is
	// open signs nobody out (Authentik issue 25545). If empty, /signed-out.
	LogoutPath string
	// LogoutStays leaves a browser at Authentik after sign-out. If false, it
	// comes back to LogoutPath, for which Authentik demands the ID token as a
	// hint; some releases of nuxt-oidc-auth have it only where the app's pages
	// may have it too: see ModuleVersion.
	LogoutStays bool
	// LogoutAppOnly ends the app's session alone at a sign-out: Authentik's
	// stays, and the next visit signs in with no click. If false, Authentik's
	// session ends too.
	LogoutAppOnly bool
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
	// SecretName of the Secret with the client's keys. If empty, the name
	// with -secrets.
	SecretName string
	// Keys are further keys of that Secret, for the app's other needs.
	Keys []secret.Key
}

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
		c.LogoutPath = "/signed-out"
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
	if c.ModuleVersion == "" {
		c.ModuleVersion = defaultModule
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

// Revocation is where a token is made invalid before its end (RFC 7009).
func (c OIDCClient) Revocation() string { return c.AuthURL() + "/application/o/revoke/" }

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

// LogoutURI is where Authentik sends a browser after sign-out, or nothing
// where the browser stays at Authentik.
func (c OIDCClient) LogoutURI() string {
	if c.LogoutStays {
		return ""
	}
	return "https://" + c.Host + c.WithDefaults().LogoutPath
}

// RefreshThreshold is what must be left of a refresh token for a refresh to
// keep it; a refresh with less left gives a new one and revokes the old. It
// is as long as the session store keeps a session that is not used, and an
// access token more, so that whoever comes back in time has a token that is
// still good. In between, requests that refresh at the same time do not
// revoke each other's token. It is zero, which renews at every refresh, where
// the app does not refresh, where sessions are in memory, and where the store
// keeps a session for as long as the token lives.
func (c OIDCClient) RefreshThreshold() time.Duration {
	c = c.WithDefaults()
	if c.NoRefresh || c.Sessions == nil {
		return 0
	}
	threshold := c.Sessions.TTL + c.AccessToken
	if threshold >= c.RefreshToken {
		return 0
	}
	return threshold
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
	errs = validate.Name(errs, at("name"), c.Name, validation.IsDNS1123Label)
	if c.Slug != c.Name {
		errs = validate.Name(errs, at("slug"), c.Slug, validation.IsDNS1123Label)
	}
	if slices.Contains(reservedSlugs, c.Slug) {
		errs = append(errs, field.Invalid(at("slug"), c.Slug, "Authentik answers /application/o/"+c.Slug+"/ itself: choose another slug"))
	}
	errs = validate.Namespace(errs, at("namespace"), c.Namespace)
	errs = validate.Host(errs, at("host"), c.Host)
	errs = validate.Host(errs, at("authentik"), c.Authentik)
	for i, p := range c.CallbackPaths {
		if !isPath(p) {
			errs = append(errs, field.Invalid(at("callbackPaths").Index(i), p, "must be a path that starts with one /, without spaces: the host is "+c.Host))
		}
		if slices.Index(c.CallbackPaths, p) < i {
			errs = append(errs, field.Duplicate(at("callbackPaths").Index(i), p))
		}
	}
	switch {
	case !isPath(c.LogoutPath):
		errs = append(errs, field.Invalid(at("logoutPath"), c.LogoutPath, "must be a path that starts with one /, without spaces: the host is "+c.Host))
	case c.LogoutPath == "/":
		errs = append(errs, field.Invalid(at("logoutPath"), c.LogoutPath, "must be a page that needs no sign-in, such as /signed-out: the start page sends the browser back to Authentik's login"))
	}
	errs = append(errs, c.validateModule(at("moduleVersion"))...)
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
