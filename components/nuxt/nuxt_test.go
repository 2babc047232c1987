package nuxt_test

import (
	"maps"
	"strings"
	"testing"
	"time"

	"k8s.io/apimachinery/pkg/util/validation/field"

	"git.lastcloud.io/ronnibaslund/dezky/fleet/components"
	"git.lastcloud.io/ronnibaslund/dezky/fleet/components/nuxt"
	"git.lastcloud.io/ronnibaslund/dezky/fleet/components/secret"
)

func login() nuxt.Login {
	return nuxt.Login{
		Client:   components.OIDCClient{Name: "web", Namespace: "shop", Host: "www.example.com", Authentik: "auth.example.com"},
		Sessions: &nuxt.RedisSessions{Address: "redis.data:6379", Database: 1, Prefix: "web"},
	}
}

// with changes a copy of v.
func with[T any](v T, change func(*T)) T {
	change(&v)
	return v
}

const (
	logoutURI        = "NUXT_OIDC_PROVIDERS_OIDC_LOGOUT_REDIRECT_URI"
	logoutParameter  = "NUXT_OIDC_PROVIDERS_OIDC_LOGOUT_REDIRECT_PARAMETER_NAME"
	logoutParameters = "NUXT_OIDC_PROVIDERS_OIDC_ADDITIONAL_LOGOUT_PARAMETERS"
	exposeIDToken    = "NUXT_OIDC_PROVIDERS_OIDC_EXPOSE_ID_TOKEN"
)

// TestSignOut: the address after sign-out and the hint that Authentik demands
// for it are rendered together or not at all, and the ID token is given to
// pages only where the module has it in no other way.
func TestSignOut(t *testing.T) {
	for _, tc := range []struct {
		name            string
		change          func(*nuxt.Login)
		returns, expose bool
		code            []string
		not             []string
	}{
		{"by default", func(*nuxt.Login) {}, true, true,
			[]string{"deletes `idToken` from the session", "answers 401 it sends the browser to the option `logoutUrl`", "`/signed-out` needs no sign-in", "and Authentik's in this browser", "posts `token`"}, nil},
		{"the hint from the store", func(c *nuxt.Login) { c.ModuleVersion = "1.0.0-beta.12" }, true, false,
			[]string{"`/signed-out` needs no sign-in"}, []string{"idToken`", "exposeIdToken"}},
		{"no refresh token, so nothing in the store", func(c *nuxt.Login) { c.ModuleVersion = "1.0.0-beta.12"; c.Client.NoRefresh = true }, true, true,
			[]string{"deletes `idToken`", "no access token of the user"}, []string{"lock", "OIDC_REVOCATION_URL"}},
		{"at Authentik", func(c *nuxt.Login) { c.LogoutStays = true }, false, false,
			nil, []string{"idToken`", "exposeIdToken", "/signed-out", "logoutRedirectUri"}},
		{"the app's end alone", func(c *nuxt.Login) { c.Client.LogoutAppOnly = true; c.Client.LogoutPath = "/bye" }, true, true,
			[]string{"the next visit signs in with no click", "`/bye` needs no sign-in"}, []string{"and Authentik's in this browser", "/signed-out"}},
	} {
		t.Run(tc.name, func(t *testing.T) {
			c := with(login(), tc.change)
			if err := c.Validate(nil).ToAggregate(); err != nil {
				t.Fatal(err)
			}
			env := c.Env()
			want := map[string]string{logoutURI: "", logoutParameter: "", logoutParameters: "", exposeIDToken: ""}
			if tc.returns {
				want[logoutURI] = c.OIDCClient().LogoutURI()
				want[logoutParameter] = "post_logout_redirect_uri"
				want[logoutParameters] = `{"idTokenHint":""}`
			}
			if tc.expose {
				want[exposeIDToken] = "true"
			}
			for name, value := range want {
				if env[name] != value {
					t.Errorf("%s is %q, want %q", name, env[name], value)
				}
			}
			if tc.returns == (c.OIDCClient().LogoutURI() == "") {
				t.Errorf("after sign-out: %q", c.OIDCClient().LogoutURI())
			}
			code := strings.Join(nuxt.Code(components.WebApp{Login: c}), "\n")
			for _, s := range tc.code {
				if !strings.Contains(code, s) {
					t.Errorf("the app's code is not told %q:\n%s", s, code)
				}
			}
			for _, s := range tc.not {
				if strings.Contains(code, s) {
					t.Errorf("the app's code is told %q:\n%s", s, code)
				}
			}
		})
	}
}

// TestDeclarations: every option that a variable sets is declared, with an
// empty value of its type, or Nuxt does not set it.
func TestDeclarations(t *testing.T) {
	c := login()
	var line string
	for _, l := range nuxt.Code(components.WebApp{Login: c}) {
		if strings.HasPrefix(l, "nuxt.config declares under `oidc.providers.oidc`") {
			line = l
		}
	}
	for _, want := range []string{
		"`additionalLogoutParameters: {}`", "`audience: ''`", "`authorizationUrl: ''`", "`clientId: ''`", "`clientSecret: ''`", "`exposeIdToken: false`",
		"`logoutRedirectParameterName: ''`", "`logoutRedirectUri: ''`", "`logoutUrl: ''`", "`openIdConfiguration: ''`", "`redirectUri: ''`", "`scope: []`", "`tokenUrl: ''`", "`userInfoUrl: ''`",
	} {
		if !strings.Contains(line, want) {
			t.Errorf("%s is not in %q", want, line)
		}
	}
	set := 0
	for name := range c.Env() {
		if strings.HasPrefix(name, "NUXT_OIDC_PROVIDERS_OIDC_") {
			set++
		}
	}
	for name := range c.SecretEnv() {
		if strings.HasPrefix(name, "NUXT_OIDC_PROVIDERS_OIDC_") {
			set++
		}
	}
	if got := strings.Count(line, ": "); got != set+1 { // and the one before the list
		t.Errorf("%d options are declared, %d are set: %s", got-1, set, line)
	}
}

// TestRefreshThreshold: whoever comes back before the store forgets has a
// refresh token that is still good, and the token outlives the threshold.
func TestRefreshThreshold(t *testing.T) {
	const day = 24 * time.Hour
	for _, tc := range []struct {
		name   string
		change func(*nuxt.Login)
		want   time.Duration
	}{
		{"by default", func(*nuxt.Login) {}, 14*day + time.Hour},
		{"another store", func(c *nuxt.Login) { c.Sessions.TTL = 2 * day; c.Client.AccessToken = 5 * time.Minute }, 2*day + 5*time.Minute},
		{"a store that keeps all", func(c *nuxt.Login) { c.Sessions.TTL = 30 * day }, 0},
		{"no room for a token", func(c *nuxt.Login) { c.Sessions.TTL = 30*day - time.Hour }, 0},
		{"memory", func(c *nuxt.Login) { c.Sessions = nil }, 0},
		{"no refresh", func(c *nuxt.Login) { c.Client.NoRefresh = true }, 0},
	} {
		c := with(login(), tc.change)
		if got := c.OIDCClient().RefreshThreshold; got != tc.want {
			t.Errorf("%s: %s, want %s", tc.name, got, tc.want)
		}
	}
}

// TestTokenKeyRotation: a new token key alone signs nobody out.
func TestTokenKeyRotation(t *testing.T) {
	rotation := func(c nuxt.Login) string {
		for _, k := range c.Secret().Keys {
			if k.Name == "NUXT_OIDC_TOKEN_KEY" {
				return string(k.Rotation)
			}
		}
		return ""
	}
	if got := rotation(login()); !strings.Contains(got, "the keys web:* are deleted from Redis database 1") || !strings.Contains(got, "calls answer 500") {
		t.Errorf("a new token key %s", got)
	}
	if got := rotation(with(login(), func(c *nuxt.Login) { c.Sessions = nil })); got != string(secret.RotationLogsOut) {
		t.Errorf("a new token key %s, with sessions in memory", got)
	}
}

// TestCodeDeclares: the code must declare the key that each variable sets.
func TestCodeDeclares(t *testing.T) {
	for name, want := range map[string]string{
		"NUXT_API_BASE":                  "`apiBase` under `runtimeConfig`",
		"NUXT_SCOPE":                     "`scope` under `runtimeConfig`",
		"NUXT_PUBLIC_AUTH_URL":           "`authUrl` under `runtimeConfig.public`",
		"NUXT_PUBLIC_TURNSTILE_SITE_KEY": "`turnstileSiteKey` under `runtimeConfig.public`",
	} {
		want = "nuxt.config declares " + want + ", empty: Nuxt overrides declared keys only."
		if got := nuxt.Code(components.WebApp{Env: map[string]string{name: "x"}}); len(got) != 1 || got[0] != want {
			t.Errorf("%s: %q, want %q", name, got, want)
		}
	}
}

func TestLogin(t *testing.T) {
	c := login()
	for _, tc := range []struct{ what, got, want string }{
		{"issuer", c.OIDCClient().Issuer(), "https://auth.example.com/application/o/web/"},
		{"keys", c.OIDCClient().JWKS(), "https://auth.example.com/application/o/web/jwks/"},
		{"end of session", c.OIDCClient().EndSession(), "https://auth.example.com/application/o/web/end-session/"},
		{"discovery", c.OIDCClient().Discovery(), "https://auth.example.com/application/o/web/.well-known/openid-configuration"},
		{"after sign-out", c.OIDCClient().LogoutURI(), "https://www.example.com/signed-out"},
		{"scope", c.Env()["NUXT_OIDC_PROVIDERS_OIDC_SCOPE"], `["openid","profile","email","offline_access"]`},
		{"module's callback", c.Env()["NUXT_OIDC_PROVIDERS_OIDC_REDIRECT_URI"], "https://www.example.com/auth/oidc/callback"},
		{"app's callback", c.Env()["NUXT_OIDC_REDIRECT_URI"], "https://www.example.com/auth/callback"},
		{"prefix", c.Env()["SESSION_REDIS_PREFIX"], "web"},
		{"lifetime", c.Env()["SESSION_REDIS_TTL"], "1209600"},
		{"audience", c.SecretEnv()["NUXT_OIDC_PROVIDERS_OIDC_AUDIENCE"].String(), "shop/web-secrets.NUXT_OIDC_CLIENT_ID"},
		{"after sign-out, as a parameter", c.Env()["NUXT_OIDC_PROVIDERS_OIDC_LOGOUT_REDIRECT_PARAMETER_NAME"], "post_logout_redirect_uri"},
		{"cookie", c.Env()["NUXT_OIDC_SESSION_MAX_AGE"], "2592000"},
		{"limits", c.Limits(), "14 d without use (Redis forgets after 14 d, refresh token 30 d, cookie 30 d); one in use goes on, since each refresh by a call to `/api` starts the cookie's age anew (nuxt-oidc-auth 1.0.0-beta.11)"},
		{"limits of a short cookie", with(c, func(c *nuxt.Login) { c.Cookie = 24 * time.Hour }).Limits(), "1 d without use (Redis forgets after 14 d, refresh token 30 d, cookie 1 d)"},
		{"limits before the cookie slid", with(c, func(c *nuxt.Login) { c.ModuleVersion = "1.0.0-beta.10" }).Limits(),
			"30 d after sign-in at the latest (cookie, nuxt-oidc-auth 1.0.0-beta.10), or 14 d without use (Redis forgets after 14 d, refresh token 30 d)"},
		{"limits without refresh", nuxt.Login{Client: components.OIDCClient{NoRefresh: true, AccessToken: 90 * time.Minute}, Cookie: 10 * time.Second}.Limits(),
			"10s after sign-in, with the access token or the cookie: there is no refresh token"},
		{"revocation", c.Env()["OIDC_REVOCATION_URL"], "https://auth.example.com/application/o/revoke/"},
		{"notes", strings.Join(c.About().Notes, ""), "OIDCClient web: the session store forgets after 14 d, before the refresh token ends (30 d): who stays away longer signs in again"},
		{"a note of the cookie", strings.Join(with(c, func(c *nuxt.Login) { c.Cookie = 24 * time.Hour; c.Sessions = nil }).About().Notes, ""),
			"OIDCClient web: the cookie ends 1 d after the last refresh, before the refresh token does (30 d)"},
		{"a note of a cookie that does not slide", strings.Join(with(c, func(c *nuxt.Login) {
			c.Cookie, c.ModuleVersion = 24*time.Hour, "1.0.0-beta.10"
			c.Sessions = nil
		}).About().Notes, ""),
			"OIDCClient web: the cookie ends 1 d after sign-in, before the refresh token does (30 d)"},
	} {
		if !strings.HasPrefix(tc.got, tc.want) || tc.want == "" {
			t.Errorf("%s: %s, want %s", tc.what, tc.got, tc.want)
		}
	}
	c.Sessions.TTL = 30 * 24 * time.Hour
	if notes := c.About().Notes; notes != nil {
		t.Errorf("a store that lasts as long as the token is reported: %v", notes)
	}
	// Values that follow from the definitions stand inline, not in references.
	for _, name := range []string{"NUXT_OIDC_REDIRECT_URI", "NUXT_PUBLIC_AUTH_URL"} {
		if _, ok := c.SecretEnv()[name]; ok {
			t.Errorf("%s is read from the Secret, where it can be stale", name)
		}
		if !c.Secret().ReadElsewhere(name) {
			t.Errorf("%s would be reported as an orphan", name)
		}
	}
}

// TestAssumed: what nobody has confirmed of a login is said with what confirms
// it, changes nothing of what is rendered, and is not said once confirmed.
func TestPublicRefused(t *testing.T) {
	c := with(login(), func(c *nuxt.Login) { c.Client.Public = true })
	const want = "login.client.public: Forbidden: the module runs on the app's server, which keeps a secret: leave it out"
	if errs := c.Validate(field.NewPath("login")); len(errs) != 1 || errs[0].Error() != want {
		t.Errorf("%v, want %s", errs, want)
	}
	if errs := login().Validate(field.NewPath("login")); len(errs) > 0 {
		t.Error(errs)
	}
}

func TestAssumed(t *testing.T) {
	confirmed := login()
	if list := confirmed.About().Assumed; len(list) != 0 {
		t.Errorf("confirmed, it still assumes %v", list)
	}
	for _, tc := range []struct {
		name             string
		assumed          nuxt.Assumed
		what, value, how string
	}{
		{"module", nuxt.Assumed{Module: true}, "the release of nuxt-oidc-auth", "1.0.0-beta.11", "npm ls nuxt-oidc-auth"},
		{"page", nuxt.Assumed{SignedOut: true}, "that the app has the page after sign-out, and that it needs no sign-in", "/signed-out", "https://www.example.com/signed-out"},
	} {
		open := confirmed
		open.Assumed = tc.assumed
		list := open.About().Assumed
		if len(list) != 1 {
			t.Fatalf("%s: assumptions %v", tc.name, list)
		}
		a := list[0]
		if a.What != "Login shop/web: "+tc.what || a.Value != tc.value || !strings.Contains(a.Confirm, tc.how) || a.Until == "" || a.Buys == "" {
			t.Errorf("%s: assumption %+v", tc.name, a)
		}
		if !maps.Equal(open.Env(), confirmed.Env()) {
			t.Errorf("%s: %v, confirmed %v", tc.name, open.Env(), confirmed.Env())
		}
	}
	stays := confirmed
	stays.Assumed, stays.LogoutStays = nuxt.Assumed{SignedOut: true}, true
	if list := stays.About().Assumed; len(list) != 0 {
		t.Errorf("without a page after sign-out it assumes %v", list)
	}
}
