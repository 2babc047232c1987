package components_test

import (
	"strings"
	"testing"
	"time"

	"git.lastcloud.io/ronnibaslund/dezky/fleet/components"
	"git.lastcloud.io/ronnibaslund/dezky/fleet/components/secret"
)

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
		change          func(*components.OIDCClient)
		returns, expose bool
		code            []string
		not             []string
	}{
		{"by default", func(*components.OIDCClient) {}, true, true,
			[]string{"deletes `idToken` from the session", "`/signed-out` needs no sign-in", "and Authentik's in this browser", "posts `token`"}, nil},
		{"the hint from the store", func(c *components.OIDCClient) { c.ModuleVersion = "1.0.0-beta.12" }, true, false,
			[]string{"`/signed-out` needs no sign-in"}, []string{"idToken`", "exposeIdToken"}},
		{"no refresh token, so nothing in the store", func(c *components.OIDCClient) { c.ModuleVersion = "1.0.0-beta.12"; c.NoRefresh = true }, true, true,
			[]string{"deletes `idToken`", "no access token of the user"}, []string{"lock", "OIDC_REVOCATION_URL"}},
		{"at Authentik", func(c *components.OIDCClient) { c.LogoutStays = true }, false, false,
			nil, []string{"idToken`", "exposeIdToken", "/signed-out", "logoutRedirectUri"}},
		{"the app's end alone", func(c *components.OIDCClient) { c.LogoutAppOnly = true; c.LogoutPath = "/bye" }, true, true,
			[]string{"the next visit signs in with no click", "`/bye` needs no sign-in"}, []string{"and Authentik's in this browser", "/signed-out"}},
	} {
		t.Run(tc.name, func(t *testing.T) {
			c := with(*login(), tc.change)
			if err := c.Validate(); err != nil {
				t.Fatal(err)
			}
			env := c.Env()
			want := map[string]string{logoutURI: "", logoutParameter: "", logoutParameters: "", exposeIDToken: ""}
			if tc.returns {
				want[logoutURI] = c.LogoutURI()
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
			if tc.returns == (c.LogoutURI() == "") {
				t.Errorf("after sign-out: %q", c.LogoutURI())
			}
			code := strings.Join(c.Code(), "\n")
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
	c := *login()
	var line string
	for _, l := range c.Code() {
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
		change func(*components.OIDCClient)
		want   time.Duration
	}{
		{"by default", func(*components.OIDCClient) {}, 14*day + time.Hour},
		{"another store", func(c *components.OIDCClient) { c.Sessions.TTL = 2 * day; c.AccessToken = 5 * time.Minute }, 2*day + 5*time.Minute},
		{"a store that keeps all", func(c *components.OIDCClient) { c.Sessions.TTL = 30 * day }, 0},
		{"no room for a token", func(c *components.OIDCClient) { c.Sessions.TTL = 30*day - time.Hour }, 0},
		{"memory", func(c *components.OIDCClient) { c.Sessions = nil }, 0},
		{"no refresh", func(c *components.OIDCClient) { c.NoRefresh = true }, 0},
	} {
		c := with(*login(), tc.change)
		if got := c.RefreshThreshold(); got != tc.want {
			t.Errorf("%s: %s, want %s", tc.name, got, tc.want)
		}
	}
}

// TestTokenKeyRotation: a new token key alone signs nobody out.
func TestTokenKeyRotation(t *testing.T) {
	rotation := func(c components.OIDCClient) string {
		for _, k := range c.Secret().Keys {
			if k.Name == components.KeyTokenKey {
				return string(k.Rotation)
			}
		}
		return ""
	}
	if got := rotation(*login()); !strings.Contains(got, "the keys web:* are deleted from Redis database 1") || !strings.Contains(got, "calls answer 500") {
		t.Errorf("a new token key %s", got)
	}
	if got := rotation(with(*login(), func(c *components.OIDCClient) { c.Sessions = nil })); got != string(secret.RotationLogsOut) {
		t.Errorf("a new token key %s, with sessions in memory", got)
	}
}

func TestRuntimeConfigKey(t *testing.T) {
	for name, want := range map[string]string{"API_BASE": "apiBase", "AUTH_URL": "authUrl", "TURNSTILE_SITE_KEY": "turnstileSiteKey", "SCOPE": "scope"} {
		if got := components.RuntimeConfigKey(name); got != want {
			t.Errorf("%s sets %s, want %s", name, got, want)
		}
	}
}
