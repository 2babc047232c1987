package mutant_test

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"sigs.k8s.io/yaml"

	"git.lastcloud.io/ronnibaslund/dezky/fleet/internal/mutant"
)

// TestOf: one thing is broken at a time, all else stays, and so does the object
// that was given.
func TestOf(t *testing.T) {
	const text = "a: {b: [x], c: 2Gi}\nport: 80\nready: true\nurl: http://h.ns:80/p\n"
	var o unstructured.Unstructured
	if err := yaml.Unmarshal([]byte(text), &o.Object); err != nil {
		t.Fatal(err)
	}
	o.SetKind("K")
	before := o.DeepCopy()
	var got []string
	for _, m := range mutant.Of(&o) {
		if m.At == "kind" || m.Field == "K kind" {
			continue
		}
		var is []string
		for _, b := range m.Broken {
			delete(b.Object, "kind")
			out, err := yaml.Marshal(b.Object)
			if err != nil {
				t.Fatal(err)
			}
			is = append(is, strings.ReplaceAll(strings.TrimSpace(string(out)), "\n", "; "))
		}
		got = append(got, m.Change+" "+m.Field+" ("+m.At+"): "+strings.Join(is, " and "))
	}
	if diff := cmp.Diff(before, &o); diff != "" {
		t.Errorf("the object itself has changed:\n%s", diff)
	}
	want := []string{
		`missing K (): `,
		`twice K (): a:;   b:;   - x;   c: 2Gi; port: 80; ready: true; url: http://h.ns:80/p and a:;   b:;   - x;   c: 2Gi; port: 80; ready: true; url: http://h.ns:80/p`,
		`missing K a (a): port: 80; ready: true; url: http://h.ns:80/p`,
		`misspelt K a (a): ax:;   b:;   - x;   c: 2Gi; port: 80; ready: true; url: http://h.ns:80/p`,
		`missing K a.b (a.b): a:;   c: 2Gi; port: 80; ready: true; url: http://h.ns:80/p`,
		`misspelt K a.b (a.b): a:;   bx:;   - x;   c: 2Gi; port: 80; ready: true; url: http://h.ns:80/p`,
		`missing K a.b[] (a.b[0]): a:;   b: [];   c: 2Gi; port: 80; ready: true; url: http://h.ns:80/p`,
		`twice K a.b[] (a.b[0]): a:;   b:;   - x;   - x;   c: 2Gi; port: 80; ready: true; url: http://h.ns:80/p`,
		`other K a.b[] (a.b[0]): a:;   b:;   - xx;   c: 2Gi; port: 80; ready: true; url: http://h.ns:80/p`,
		`empty K a.b[] (a.b[0]): a:;   b:;   - "";   c: 2Gi; port: 80; ready: true; url: http://h.ns:80/p`,
		`invalid K a.b[] (a.b[0]): a:;   b:;   - _x;   c: 2Gi; port: 80; ready: true; url: http://h.ns:80/p`,
		`type K a.b[] (a.b[0]): a:;   b:;   - 7;   c: 2Gi; port: 80; ready: true; url: http://h.ns:80/p`,
		`missing K a.c (a.c): a:;   b:;   - x; port: 80; ready: true; url: http://h.ns:80/p`,
		`misspelt K a.c (a.c): a:;   b:;   - x;   cx: 2Gi; port: 80; ready: true; url: http://h.ns:80/p`,
		`unit K a.c (a.c): a:;   b:;   - x;   c: 2m; port: 80; ready: true; url: http://h.ns:80/p`,
		`other K a.c (a.c): a:;   b:;   - x;   c: 2Gix; port: 80; ready: true; url: http://h.ns:80/p`,
		`negative K a.c (a.c): a:;   b:;   - x;   c: -2Gi; port: 80; ready: true; url: http://h.ns:80/p`,
		`empty K a.c (a.c): a:;   b:;   - x;   c: ""; port: 80; ready: true; url: http://h.ns:80/p`,
		`missing K port (port): a:;   b:;   - x;   c: 2Gi; ready: true; url: http://h.ns:80/p`,
		`misspelt K port (port): a:;   b:;   - x;   c: 2Gi; portx: 80; ready: true; url: http://h.ns:80/p`,
		`next K port (port): a:;   b:;   - x;   c: 2Gi; port: 81; ready: true; url: http://h.ns:80/p`,
		`negative K port (port): a:;   b:;   - x;   c: 2Gi; port: -81; ready: true; url: http://h.ns:80/p`,
		`huge K port (port): a:;   b:;   - x;   c: 2Gi; port: 1000080; ready: true; url: http://h.ns:80/p`,
		`type K port (port): a:;   b:;   - x;   c: 2Gi; port: x80; ready: true; url: http://h.ns:80/p`,
		`missing K ready (ready): a:;   b:;   - x;   c: 2Gi; port: 80; url: http://h.ns:80/p`,
		`misspelt K ready (ready): a:;   b:;   - x;   c: 2Gi; port: 80; readyx: true; url: http://h.ns:80/p`,
		`flip K ready (ready): a:;   b:;   - x;   c: 2Gi; port: 80; ready: false; url: http://h.ns:80/p`,
		`type K ready (ready): a:;   b:;   - x;   c: 2Gi; port: 80; ready: "true"; url: http://h.ns:80/p`,
		`missing K url (url): a:;   b:;   - x;   c: 2Gi; port: 80; ready: true`,
		`misspelt K url (url): a:;   b:;   - x;   c: 2Gi; port: 80; ready: true; urlx: http://h.ns:80/p`,
		`address K url (url): a:;   b:;   - x;   c: 2Gi; port: 80; ready: true; url: http://hx.ns:80/p`,
		`port K url (url): a:;   b:;   - x;   c: 2Gi; port: 80; ready: true; url: http://h.ns:81/p`,
		`other K url (url): a:;   b:;   - x;   c: 2Gi; port: 80; ready: true; url: httpx://h.ns:80/p`,
		`empty K url (url): a:;   b:;   - x;   c: 2Gi; port: 80; ready: true; url: ""`,
		`invalid K url (url): a:;   b:;   - x;   c: 2Gi; port: 80; ready: true; url: _http://h.ns:80/p`,
		`type K url (url): a:;   b:;   - x;   c: 2Gi; port: 80; ready: true; url: 7`,
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("-want +got\n%s", diff)
	}
}
