package manifest_test

import (
	"errors"
	"strings"
	"testing"
	"testing/iotest"

	"git.lastcloud.io/ronnibaslund/dezky/fleet/render/manifest"
	"git.lastcloud.io/ronnibaslund/dezky/fleet/render/object"
)

func TestRead(t *testing.T) {
	long := "# " + strings.Repeat("x", 10_000) + "\n"
	for _, tc := range []struct {
		name, stream string
		want         []string // line and identity
	}{
		{"nothing", "", nil},
		{"comments and separators only", "# a\n---\n\n---\n# b\n", nil},
		{"one", "kind: A\napiVersion: v1\nmetadata: {name: a}\n", []string{"1 A a"}},
		{"no line end", "kind: A\napiVersion: v1\nmetadata: {name: a}", []string{"1 A a"}},
		{"a separator first", "---\nkind: A\napiVersion: v1\nmetadata: {name: a}\n", []string{"2 A a"}},
		{"comments count", "# x\n\n---\n# y\n\nkind: A\napiVersion: v1\nmetadata: {name: a, namespace: ns}\n--- # z\n---\nkind: B\napiVersion: g/v1\nmetadata: {name: b}\n",
			[]string{"6 A ns/a", "11 B b"}},
		{"a line longer than any buffer", long + "kind: A\napiVersion: v1\nmetadata: {name: a}\n" + long + "---\nkind: B\napiVersion: v1\nmetadata: {name: b}\n",
			[]string{"2 A a", "7 B b"}},
		{"CRLF", "kind: A\r\napiVersion: v1\r\nmetadata: {name: a}\r\n---\r\nkind: B\r\napiVersion: v1\r\nmetadata: {name: b}\r\n", []string{"1 A a", "5 B b"}},
		{"JSON", `{"kind":"A","apiVersion":"v1","metadata":{"name":"a"}}`, []string{"1 A a"}},
		{"a List in a List", "---\nkind: List\napiVersion: v1\nitems:\n- {kind: A, apiVersion: v1, metadata: {name: a}}\n- kind: BList\n  apiVersion: g/v1\n  items: [{metadata: {name: b}}]\n",
			[]string{"2 A a", "2 B b"}},
		{"an empty List", "kind: List\napiVersion: v1\nitems: []\n", nil},
		{"a kind that ends in List", "kind: AllowList\napiVersion: g/v1\nmetadata: {name: a}\n", []string{"1 AllowList a"}},
		{"a separator within a text", "kind: A\napiVersion: v1\nmetadata: {name: a}\ndata: |\n  x\n  ---\n  y\n", []string{"1 A a"}},
	} {
		t.Run(tc.name, func(t *testing.T) {
			docs, err := manifest.Read(strings.NewReader(tc.stream))
			if err != nil {
				t.Fatal(err)
			}
			if got := strings.Join(list(docs), "; "); got != strings.Join(tc.want, "; ") {
				t.Errorf("got %s, want %s", got, strings.Join(tc.want, "; "))
			}
		})
	}
}

func list(docs []manifest.Document) []string {
	var all []string
	for _, d := range docs {
		all = append(all, string('0'+rune(d.Line/10))+string('0'+rune(d.Line%10))+" "+object.IDOf(d.Object).String())
	}
	for i := range all {
		all[i] = strings.TrimPrefix(all[i], "0")
	}
	return all
}

// TestReadGroup holds two kinds of one name apart by their group.
func TestReadGroup(t *testing.T) {
	docs, err := manifest.Read(strings.NewReader("kind: A\napiVersion: x/v1\nmetadata: {name: a}\n---\nkind: A\napiVersion: y/v1\nmetadata: {name: a}\n"))
	if err != nil || len(docs) != 2 {
		t.Fatal(docs, err)
	}
	if object.IDOf(docs[0].Object) == object.IDOf(docs[1].Object) {
		t.Error("two objects have one identity")
	}
}

func TestReadErrors(t *testing.T) {
	const good = "kind: A\napiVersion: v1\nmetadata: {name: a}\n---\n"
	for _, tc := range []struct{ name, stream, want string }{
		{"no object", good + "name: ci\non: push\n", "line 5: is no Kubernetes object: it has no apiVersion and no kind"},
		{"a list", good + "- a\n", "line 5: is no Kubernetes object"},
		{"a word", good + "\nhello\n", "line 6: is no Kubernetes object"},
		{"no apiVersion", good + "kind: A\n", "line 5: a A without apiVersion"},
		{"no kind", good + "apiVersion: v1\n", "line 5: an object of v1 without kind"},
		{"twice the same key", good + "kind: A\nkind: B\n", `line 5: yaml: unmarshal errors:`},
		{"broken", good + "kind: [\n", "line 5: "},
		{"items", good + "kind: List\napiVersion: v1\nitems: {a: b}\n", "line 5: a List whose items are no list"},
		{"an item", good + "kind: List\napiVersion: v1\nitems: [a]\n", "line 5: items[0] of a List is no object"},
		{"an item without kind", good + "kind: List\napiVersion: v1\nitems: [{apiVersion: v1}]\n", "line 5: items[0] of a List: an object of v1 without kind"},
		{"text after a separator", good + "--- text\n", "line 1: invalid Yaml document separator: text"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			docs, err := manifest.Read(strings.NewReader(tc.stream))
			if err == nil || !strings.HasPrefix(err.Error(), tc.want) {
				t.Errorf("error %v, want %s", err, tc.want)
			}
			if len(docs) != 1 {
				t.Errorf("%d objects beside the error, want 1", len(docs))
			}
		})
	}
	_, err := manifest.Read(strings.NewReader(good + "a: b\n"))
	if !errors.Is(err, manifest.ErrNotObject) {
		t.Errorf("%v is not ErrNotObject", err)
	}
	broken := errors.New("the disk is gone")
	if _, err := manifest.Read(iotest.ErrReader(broken)); !errors.Is(err, broken) {
		t.Errorf("a broken reader: %v", err)
	}
	// A reader that breaks within a line.
	if _, err := manifest.Read(iotest.TimeoutReader(iotest.HalfReader(strings.NewReader(good)))); !errors.Is(err, iotest.ErrTimeout) {
		t.Errorf("a reader that breaks: %v", err)
	}
}
