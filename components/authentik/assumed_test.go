package authentik

import (
	"strings"
	"testing"
)

// TestAssumed: what nobody has confirmed is listed with what confirms it, and
// confirming it changes no byte of the blueprint.
func TestAssumed(t *testing.T) {
	for _, tc := range []struct {
		assumed          Assumed
		what, value, how string
	}{
		{Assumed{Version: true}, "the release of Authentik", "2026.8", "kubectl -n auth get pods"},
		{Assumed{Clients: true}, "the slugs of its applications, and the client ids of its providers", "portal (slug portal), admin-tools (slug tools)", "https://auth.example.com/api/v3/core/applications/"},
		{Assumed{Subject: true}, "the subject of the tokens (sub_mode)", "", "https://auth.example.com/api/v3/providers/oauth2/"},
	} {
		b := blueprint(func(b *Blueprint) { b.Assumed = tc.assumed })
		list := b.About().Assumed
		if len(list) != 1 {
			t.Fatalf("%+v: assumptions %v", tc.assumed, list)
		}
		a := list[0]
		if a.What != "Blueprint auth/example: "+tc.what || a.Value != tc.value || !strings.Contains(a.Confirm, tc.how) || a.Until == "" || a.Buys == "" {
			t.Errorf("assumption %+v", a)
		}
		if text(t, b) != text(t, blueprint()) {
			t.Errorf("%+v changes the blueprint", tc.assumed)
		}
		if strings.Contains(text(t, b), "sub_mode") {
			t.Error("sub_mode is rendered, and nobody has confirmed it")
		}
	}
	stated := blueprint(func(b *Blueprint) { b.SubMode = "user_email"; b.Assumed.Subject = true })
	if strings.Contains(text(t, stated), "sub_mode") {
		t.Error("a sub_mode that is assumed is rendered")
	}
	if list := blueprint().About().Assumed; len(list) != 0 {
		t.Errorf("confirmed, it still assumes %v", list)
	}
}
