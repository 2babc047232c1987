package deploy

import (
	"encoding/base64"
	"encoding/hex"
	"math/rand/v2"
	"strings"
	"testing"
)

func TestRedact(t *testing.T) {
	for _, tc := range []struct{ text, want string }{
		{"connect mongodb://user:hunter2@mongo.data:27017/db failed", "connect mongodb://[…]@mongo.data:27017/db failed"},
		{"redis://:p%40ss@redis:6379/1", "redis://[…]@redis:6379/1"},
		{"amqps://a:b@c:d@host/x", "amqps://[…]@host/x"},
		{"mongodb://user:a/b@mongo", "mongodb://[…]@mongo"},
		{"http://host:3000/a@b", "http://host:3000/a@b"},
		{"https://example.com/a@b", "https://example.com/a@b"},
		{"GET https://example.com/path?x=1", "GET https://example.com/path?x=1"},
		{"Authorization: Bearer abc.def.ghi-123", "Authorization: […] […]"},
		{"sent bearer abcdefgh", "sent bearer […]"},
		{"password=hunter2 user=ron", "password=[…] user=ron"},
		{`{"client_secret": "x y", "port": 3000}`, `{"client_secret": […], "port": 3000}`},
		{"API_KEY: short", "API_KEY: […]"},
		// What helps to find the fault stays.
		{"Error: Cannot find module '/app/node_modules/.pnpm/nitropack@2.9.6/dist/index.mjs'", "Error: Cannot find module '/app/node_modules/.pnpm/nitropack@2.9.6/dist/index.mjs'"},
		{"MongoServerSelectionError: connect ECONNREFUSED 10.43.12.5:27017", "MongoServerSelectionError: connect ECONNREFUSED 10.43.12.5:27017"},
		{"2026-11-25T15:41:54.000547Z listening on http://0.0.0.0:3000", "2026-11-25T15:41:54.000547Z listening on http://0.0.0.0:3000"},
		{"pod platform-api-6bc45cfd96-2hgmw in namespace dezky-apps", "pod platform-api-6bc45cfd96-2hgmw in namespace dezky-apps"},
		{"NuxtOidcAuthSessionStorageHandlerFactory is undefined", "NuxtOidcAuthSessionStorageHandlerFactory is undefined"},
		{"couldn't find key NUXT_OIDC_SESSION_SECRET in Secret dezky-apps/portal-secrets", "couldn't find key NUXT_OIDC_SESSION_SECRET in Secret dezky-apps/portal-secrets"},
		{`secret "portal-secrets" not found`, `secret "portal-secrets" not found`},
		{"git.lastcloud.io/ronnibaslund/dezky/platform-api:v1.2.3", "git.lastcloud.io/ronnibaslund/dezky/platform-api:v1.2.3"},
	} {
		if got := redact(tc.text); got != tc.want {
			t.Errorf("%q becomes %q, want %q", tc.text, got, tc.want)
		}
	}
}

// TestRedactRandom: keys as openssl makes them do not get through.
func TestRedactRandom(t *testing.T) {
	r := rand.New(rand.NewPCG(1, 2))
	// Of the shortest ones, a few look like names.
	for size, tolerated := range map[int]int{16: 30, 24: 200, 32: 1000, 48: 2000} { // one of so many
		missed := 0
		const tries = 2000
		for range tries {
			key := make([]byte, size)
			for i := range key {
				key[i] = byte(r.Uint32())
			}
			for _, text := range []string{hex.EncodeToString(key), base64.StdEncoding.EncodeToString(key), base64.RawURLEncoding.EncodeToString(key)} {
				if got := redact("value " + text + " refused"); strings.Contains(got, text[:12]) || strings.Contains(got, text[len(text)-12:]) {
					missed++
				}
			}
		}
		if missed*tolerated > tries*3 {
			t.Errorf("%d of %d keys of %d bytes get through", missed, tries*3, size)
		}
	}
}

func TestLogTail(t *testing.T) {
	var b strings.Builder
	for range 20 {
		b.WriteString("line\n\n")
	}
	b.WriteString("\x1b[31mred\x1b[0m\ttext\r\nlast\xff password=x")
	lines := logTail(b.String())
	if len(lines) != logLines || lines[logLines-2] != "[31mred[0m text" || lines[logLines-1] != "last? password=[…]" {
		t.Errorf("%q", lines)
	}
}
