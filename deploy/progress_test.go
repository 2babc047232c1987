package deploy

import (
	"strings"
	"testing"

	"git.lastcloud.io/ronnibaslund/dezky/fleet/render/object"
)

func TestProgress(t *testing.T) {
	a, b := object.ID{Kind: "Deployment", Namespace: "ns", Name: "a"}, object.ID{Kind: "Deployment", Namespace: "ns", Name: "b"}
	show := func(terminal bool) string {
		var out strings.Builder
		d := &Deployer{Out: &out, Terminal: terminal}
		p := newProgress(d, []object.ID{a, b})
		p.set(a, "0/1")
		p.set(a, "0/1") // nothing new
		p.hint(a, noReason)
		p.hint(a, "crashes")
		p.set(b, "ready")
		p.set(a, "ready")
		p.end()
		return out.String()
	}
	const plain = `  Deployment ns/a: 0/1
  Deployment ns/a: 0/1: crashes
  Deployment ns/b: ready
  Deployment ns/a: ready
`
	if got := show(false); got != plain {
		t.Errorf("plain:\n%s", got)
	}
	// Drawn over in place: two lines at the end, whatever came before.
	got := show(true)
	if n := strings.Count(got, "\x1b[2A"); n != 3 {
		t.Errorf("it goes up %d times: %q", n, got)
	}
	if !strings.HasSuffix(got, "\r\x1b[K  Deployment ns/a: ready\n\r\x1b[K  Deployment ns/b: ready\n") {
		t.Errorf("the end is %q", got)
	}
	if got := clip("äöü", 2); got != "ä…" {
		t.Errorf("clip: %q", got)
	}
}
