package signin

import (
	"net/http"
	"regexp"
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
		{name: "one call", calls: 1, options: options{provider: rotating}, rotated: true},
		{name: "calls in parallel", calls: calls, options: options{provider: rotating}, rotated: true},
		{name: "control: no lock", calls: calls, options: options{provider: rotating, env: withoutLock}, rotated: true, refused: true},
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

// Who comes back after the store has forgotten signs in anew.
func TestIdle(t *testing.T) {
	t.Parallel()
	w := newWorld(t, options{}, "portal")
	b := w.browser()
	b.signIn("portal")
	keys := w.redis.DB(1).Keys()
	if len(keys) != 1 || !strings.HasPrefix(keys[0], "portal:") {
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

// A new token key signs nobody out: calls fail, until the app's keys in the
// store are deleted.
func TestTokenKeyRotation(t *testing.T) {
	t.Parallel()
	w := newWorld(t, options{}, "portal")
	b := signInBriefly(t, w)
	w.restart("portal", map[string]string{"NUXT_OIDC_TOKEN_KEY": "MDEyMzQ1Njc4OWFiY2RlZjAxMjM0NTY3ODlhYmNkZWY="})
	if got := b.call("portal", 5); got[500] != 5 {
		t.Errorf("after the rotation: %v", got)
	}
	for _, key := range w.redis.DB(1).Keys() {
		w.redis.DB(1).Del(key)
	}
	if got := b.call("portal", 1); got[401] != 1 {
		t.Errorf("after the deletion: %v", got)
	}
	if home := b.open(w.at("portal", "/")); !w.isHome("portal", home) {
		t.Errorf("a sign-in after the deletion: %v", home)
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
