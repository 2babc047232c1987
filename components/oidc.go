package components

import (
	"cmp"
	"slices"
	"strings"
	"time"

	"k8s.io/apimachinery/pkg/util/validation"
	"k8s.io/apimachinery/pkg/util/validation/field"

	"git.lastcloud.io/ronnibaslund/dezky/fleet/components/internal/validate"
	"git.lastcloud.io/ronnibaslund/dezky/fleet/components/secret"
	"git.lastcloud.io/ronnibaslund/dezky/fleet/render/object"
)

// OIDCClient is an app as a client of Authentik by OpenID Connect: one value
// for what the app and Authentik must agree on. Authentik's provider and
// application are made from it (package authentik), and so are the app's
// addresses and the contract of its Secret. What an app's own library makes of
// it is a [Login], such as the one of package nuxt.
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
	// CallbackPaths are the paths of the app to which Authentik may send a
	// browser after sign-in. There is at least one.
	CallbackPaths []string
	// LogoutPath is the page of the app to which Authentik may send a browser
	// after sign-out. It must need no sign-in: a page that does sends the
	// browser back to Authentik's login, and a sign-out while that page is
	// open signs nobody out (Authentik issue 25545). If empty, the browser
	// stays at Authentik.
	LogoutPath string
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
	// RefreshThreshold is what must be left of a refresh token for a refresh
	// to keep it; a refresh with less left gives a new one and revokes the
	// old. If zero, every refresh does.
	RefreshThreshold time.Duration
	// SecretName of the Secret with the client's keys. If empty, the name
	// with -secrets.
	SecretName string
	// Public says that the client keeps no secret, such as an app that runs in
	// the browser or on a phone: its Secret has no key for one. If false, it is
	// confidential (RFC 6749, section 2.1).
	Public bool
	// IDKey and SecretKey name the keys of that Secret that hold the client's
	// id and secret. If empty, OIDC_CLIENT_ID and OIDC_CLIENT_SECRET.
	IDKey, SecretKey string
	// Keys are further keys of that Secret, for the app's other needs.
	Keys []secret.Key
}

// Login is how an app signs its users in: what the app must be given for it,
// and what holds for its pods. Package nuxt has one.
type Login interface {
	// OIDCClient returns the client that signs users in.
	OIDCClient() OIDCClient
	// Env returns the public variables that the app must be given.
	Env() map[string]string
	// SecretEnv returns the secret variables that the app must be given.
	SecretEnv() map[string]secret.Ref
	// OnePod says why the app may have one pod only, as an error of its
	// replicas. It is empty where it may have more.
	OnePod() string
	// About returns what the login says of itself.
	About() object.About
	// Validate returns every mistake, below the path of the login.
	Validate(path *field.Path) field.ErrorList
}

// ScopeOfflineAccess is the scope that makes Authentik give refresh tokens.
const ScopeOfflineAccess = "offline_access"

// WithDefaults returns the client with every empty field filled in as its
// comment says.
func (c OIDCClient) WithDefaults() OIDCClient {
	c.Slug = cmp.Or(c.Slug, c.Name)
	if len(c.Scopes) == 0 {
		c.Scopes = []string{"openid", "profile", "email"}
		if !c.NoRefresh {
			c.Scopes = append(c.Scopes, ScopeOfflineAccess)
		}
	}
	c.AccessToken = cmp.Or(c.AccessToken, time.Hour)
	c.RefreshToken = cmp.Or(c.RefreshToken, 30*24*time.Hour)
	c.SecretName = cmp.Or(c.SecretName, c.Name+"-secrets")
	c.IDKey = cmp.Or(c.IDKey, "OIDC_CLIENT_ID")
	if !c.Public {
		c.SecretKey = cmp.Or(c.SecretKey, "OIDC_CLIENT_SECRET")
	}
	return c
}

// AuthURL returns Authentik's public address, without a slash at the end.
func (c OIDCClient) AuthURL() string { return "https://" + c.Authentik }

// Issuer returns the iss claim of the client's tokens. The slash at its end
// belongs to it.
func (c OIDCClient) Issuer() string {
	return c.AuthURL() + "/application/o/" + c.WithDefaults().Slug + "/"
}

// The addresses of Authentik (authentik/providers/oauth2/urls.py): those of
// one client, and those that all clients share.

// Discovery returns the address of the OpenID configuration.
func (c OIDCClient) Discovery() string { return c.Issuer() + ".well-known/openid-configuration" }

// JWKS returns the address of the keys that sign the client's tokens.
func (c OIDCClient) JWKS() string { return c.Issuer() + "jwks/" }

// EndSession returns the address to which a browser goes to sign out.
func (c OIDCClient) EndSession() string { return c.Issuer() + "end-session/" }

// Authorization returns the address to which a browser goes to sign in.
func (c OIDCClient) Authorization() string { return c.AuthURL() + "/application/o/authorize/" }

// Token returns the address at which the app gets its tokens.
func (c OIDCClient) Token() string { return c.AuthURL() + "/application/o/token/" }

// UserInfo returns the address at which the app asks who the user is.
func (c OIDCClient) UserInfo() string { return c.AuthURL() + "/application/o/userinfo/" }

// Revocation returns the address at which a token is made invalid before its
// end (RFC 7009).
func (c OIDCClient) Revocation() string { return c.AuthURL() + "/application/o/revoke/" }

// RedirectURIs returns the addresses to which Authentik may send a browser
// after sign-in.
func (c OIDCClient) RedirectURIs() []string {
	uris := make([]string, len(c.CallbackPaths))
	for i, path := range c.CallbackPaths {
		uris[i] = "https://" + c.Host + path
	}
	return uris
}

// LogoutURI returns the address to which Authentik sends a browser after
// sign-out. It is empty where the browser stays at Authentik.
func (c OIDCClient) LogoutURI() string {
	if c.LogoutPath == "" {
		return ""
	}
	return "https://" + c.Host + c.LogoutPath
}

// Secret returns the contract of the client's Secret.
func (c OIDCClient) Secret() secret.Contract {
	c = c.WithDefaults()
	keys := []secret.Key{{Name: c.IDKey, Purpose: "OIDC client id at Authentik; public, but random", Format: secret.Random(12), Rotation: secret.RotationNeedsBlueprint}}
	if !c.Public {
		keys = append(keys, secret.Key{Name: c.SecretKey, Purpose: "OIDC client secret at Authentik", Format: secret.Random(64), Rotation: secret.RotationNeedsBlueprint})
	}
	return secret.Contract{Name: c.SecretName, Namespace: c.Namespace, Keys: append(keys, c.Keys...)}
}

// ClientID refers to the client's id, which is the audience of its tokens too.
func (c OIDCClient) ClientID() secret.Ref { return c.Secret().Key(c.WithDefaults().IDKey) }

// ClientSecret refers to the client's secret. A public client has none.
func (c OIDCClient) ClientSecret() secret.Ref {
	if c.Public {
		return secret.Ref{}
	}
	return c.Secret().Key(c.WithDefaults().SecretKey)
}

// Claims returns what the client must have for itself.
func (c OIDCClient) Claims() []string {
	return []string{"the Authentik slug " + c.WithDefaults().Slug + " at " + c.Authentik}
}

// reservedSlugs are paths below /application/o/ that Authentik answers
// itself (authentik/providers/oauth2/urls.py).
var reservedSlugs = []string{"authorize", "token", "device", "userinfo", "introspect", "revoke"}

// Validate returns every mistake, below a path that may be nil.
func (c OIDCClient) Validate(path *field.Path) field.ErrorList {
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
		if !validate.IsPath(p) {
			errs = append(errs, field.Invalid(at("callbackPaths").Index(i), p, "must be a path that starts with one /, without spaces: the host is "+c.Host))
		}
		if slices.Index(c.CallbackPaths, p) < i {
			errs = append(errs, field.Duplicate(at("callbackPaths").Index(i), p))
		}
	}
	if len(c.CallbackPaths) == 0 {
		errs = append(errs, field.Required(at("callbackPaths"), "give the path of the app to which a browser comes back after sign-in"))
	}
	switch {
	case c.LogoutPath == "":
	case !validate.IsPath(c.LogoutPath):
		errs = append(errs, field.Invalid(at("logoutPath"), c.LogoutPath, "must be a path that starts with one /, without spaces: the host is "+c.Host))
	}
	if c.Public && c.SecretKey != "" {
		errs = append(errs, field.Forbidden(at("secretKey"), "a public client has no secret: leave it out, or leave out public"))
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
	}{{"accessToken", c.AccessToken}, {"refreshToken", c.RefreshToken}} {
		if d.value < time.Second {
			errs = append(errs, field.Invalid(at(d.name), d.value.String(), "must be a second or more"))
		}
	}
	if !c.NoRefresh && c.RefreshToken <= c.AccessToken {
		errs = append(errs, field.Invalid(at("refreshToken"), validate.Duration(c.RefreshToken), "must be longer than the access token ("+validate.Duration(c.AccessToken)+")"))
	}
	if c.RefreshThreshold < 0 || c.RefreshThreshold >= c.RefreshToken {
		errs = append(errs, field.Invalid(at("refreshThreshold"), validate.Duration(c.RefreshThreshold), "must be shorter than the refresh token ("+validate.Duration(c.RefreshToken)+")"))
	}
	if c.Name != "" && c.SecretName != c.Name+"-secrets" {
		errs = validate.Name(errs, at("secretName"), c.SecretName, validation.IsDNS1123Subdomain)
	}
	seen := map[string]bool{c.IDKey: true}
	errs = validateSecretKey(errs, at("idKey"), c.IDKey)
	if !c.Public {
		errs = validateSecretKey(errs, at("secretKey"), c.SecretKey)
		if seen[c.SecretKey] {
			errs = append(errs, field.Duplicate(at("secretKey"), c.SecretKey))
		}
		seen[c.SecretKey] = true
	}
	for i, k := range c.Keys {
		errs = append(errs, k.Validate(at("keys").Index(i))...)
		if seen[k.Name] {
			errs = append(errs, field.Duplicate(at("keys").Index(i).Child("name"), k.Name))
		}
		if k.Name != "" {
			seen[k.Name] = true
		}
	}
	return errs
}

// validateSecretKey appends what is wrong with the name of a key.
func validateSecretKey(errs field.ErrorList, path *field.Path, name string) field.ErrorList {
	for _, msg := range validation.IsConfigMapKey(name) {
		errs = append(errs, field.Invalid(path, name, validate.Plain(msg)))
	}
	return errs
}
