package diff_test

import (
	"fmt"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"git.lastcloud.io/ronnibaslund/dezky/fleet/render/diff"
)

// document is an object of a kind, with more fields below it.
func document(apiVersion, kind, name, more string) string {
	return "apiVersion: " + apiVersion + "\nkind: " + kind + "\nmetadata:\n  name: " + name + "\n" + more
}

func TestText(t *testing.T) {
	for _, tc := range []struct{ name, was, is, want string }{
		{"the same", "spec: {a: 1}\n", "spec:\n  a: 1\n", "    -   spec: {a: 1}\n    +   spec:\n    +     a: 1\n"}, // by line
		{"a value", "spec: {a: 1}\n", "spec: {a: 2}\n", `    A a
    -   spec.a: 1
    +   spec.a: 2
`},
		{"a type", "spec: {a: 1}\n", "spec: {a: \"1\"}\n", `    A a
    -   spec.a: 1
    +   spec.a: "1"
`},
		{"null is not set", "spec: {a: null, b: 1}\n", "spec: {b: 2}\n", `    A a
    -   spec.b: 1
    +   spec.b: 2
`},
		{"came and went", "spec: {a: 1}\n", "spec: {b: {c: [x]}}\n", `    A a
    -   spec.a: 1
    +   spec.b:
    +       c:
    +       - x
`},
		{"keys that a path cannot hold", "data: {app.conf: 1, \"a b\": 1, \"\": 1}\n", "data: {app.conf: 2, \"a b\": 2, \"\": 2}\n", `    A a
    -   data[]: 1
    +   data[]: 2
    -   data[a b]: 1
    +   data[a b]: 2
    -   data[app.conf]: 1
    +   data[app.conf]: 2
`},
		{"a list by name", "env: [{name: A, value: x}, {name: B, value: x}]\n", "env: [{name: C, value: x}, {name: A, value: z}]\n", `    A a
    -   env[A].value: x
    +   env[A].value: z
    -   env[B]:
    -       name: B
    -       value: x
    +   env[C]:
    +       name: C
    +       value: x
`},
		{"an order beside another change", "env: [{name: A, value: x}, {name: B}, {name: C}]\n", "env: [{name: B}, {name: A, value: z}, {name: C}]\n", `    A a
    -   env[A].value: x
    +   env[A].value: z
    -   env (order):
    -       - A
    -       - B
    -       - C
    +   env (order):
    +       - B
    +       - A
    +       - C
`},
		{"a name twice is no name", "l: [{name: A, v: 1}, {name: A, v: 2}]\n", "l: [{name: A, v: 1}, {name: A, v: 3}]\n", `    A a
    -   l[1].v: 2
    +   l[1].v: 3
`},
		{"an element from the middle", "args: [a, b, c]\n", "args: [a, c]\n", `    A a
    -   args[1]: b
`},
		{"an element at the front", "args: [a, b]\n", "args: [x, a, b]\n", `    A a
    +   args[0]: x
`},
		{"elements between", "args: [a, b, c, d]\n", "args: [a, x, d]\n", `    A a
    -   args[1]: b
    +   args[1]: x
    -   args[2]: c
`},
		{"a list that goes", "args: [a]\n", "", `    A a
    -   args:
    -       - a
`},
		{"a text by line", "text: |\n  a\n  b\n  c\n", "text: |\n  a\n  x\n  c\n", `    A a
    -   text: b
    +   text: x
`},
	} {
		t.Run(tc.name, func(t *testing.T) {
			was, is := document("v1", "A", "a", tc.was), document("v1", "A", "a", tc.is)
			got := diff.Text(diff.Files(map[string][]byte{"f.yaml": []byte(was)}, map[string][]byte{"f.yaml": []byte(is)}, nil))
			if d := cmp.Diff("  f.yaml\n"+tc.want, got); d != "" {
				t.Errorf("(-want +got)\n%s", d)
			}
		})
	}
}

func TestFiles(t *testing.T) {
	a, b := document("v1", "A", "a", "x: 1\n"), document("v1", "B", "b", "x: 1\n")
	for _, tc := range []struct {
		name    string
		was, is map[string]string
		want    string
	}{
		{"nothing", nil, nil, ""},
		{"the same", map[string]string{"f.yaml": a}, map[string]string{"f.yaml": a}, ""},
		{"files", map[string]string{"old.yaml": a}, map[string]string{"new.yaml": a}, "+ new.yaml: a new file\n- old.yaml: no longer rendered\n"},
		{"objects", map[string]string{"f.yaml": a}, map[string]string{"f.yaml": b}, "  f.yaml\n  - A a: no longer rendered\n  + B b: a new object\n"},
		{"an object beside", map[string]string{"f.yaml": a}, map[string]string{"f.yaml": b + "---\n" + a}, "  f.yaml\n  + B b: a new object\n"},
		{
			"two kinds of one name",
			map[string]string{"f.yaml": document("x/v1", "A", "a", "x: 1\n") + "---\n" + document("y/v1", "A", "a", "x: 1\n")},
			map[string]string{"f.yaml": document("x/v1", "A", "a", "x: 2\n") + "---\n" + document("y/v1", "A", "a", "x: 1\n")},
			"  f.yaml\n    A a\n    -   x: 1\n    +   x: 2\n",
		},
		{
			"an object twice",
			map[string]string{"f.yaml": a + "---\n" + a},
			map[string]string{"f.yaml": a + "---\n" + strings.Replace(a, "x: 1", "x: 2", 1)},
			"  f.yaml\n    A a\n    -   x: 1\n    +   x: 2\n",
		},
		{
			"a comment", map[string]string{"f.yaml": "# one\n" + a}, map[string]string{"f.yaml": "# two\n" + a},
			"  f.yaml\n    -   # one\n    +   # two\n",
		},
		{
			"the order of objects", map[string]string{"f.yaml": a + "---\n" + b}, map[string]string{"f.yaml": b + "---\n" + a},
			"", // only that there is a difference
		},
		{
			"what cannot be read", map[string]string{"f.yaml": "a: [\n"}, map[string]string{"f.yaml": a},
			"  f.yaml\n    -   a: [\n    +   apiVersion: v1\n    +   kind: A\n    +   metadata:\n    +     name: a\n    +   x: 1\n",
		},
		{"prose", map[string]string{"README.md": "one\ntwo\n"}, map[string]string{"README.md": "one\n2\n"}, "  README.md\n    -   two\n    +   2\n"},
		{
			"the last line end", map[string]string{"README.md": "one\n"}, map[string]string{"README.md": "one"},
			"  README.md\n    -   one\n    +   one\n    \\   No newline at end of file\n",
		},
	} {
		t.Run(tc.name, func(t *testing.T) {
			got := diff.Text(diff.Files(texts(tc.was), texts(tc.is), nil))
			if tc.name == "the order of objects" {
				if got == "" {
					t.Error("two orders of the same objects are the same")
				}
				return
			}
			if d := cmp.Diff(tc.want, got); d != "" {
				t.Errorf("(-want +got)\n%s", d)
			}
		})
	}
}

func texts(m map[string]string) map[string][]byte {
	files := make(map[string][]byte)
	for path, text := range m {
		files[path] = []byte(text)
	}
	return files
}

// TestSameText compares two large objects many times: the text is always the
// same.
func TestSameText(t *testing.T) {
	var was, is strings.Builder
	for i := range 50 {
		fmt.Fprintf(&was, "k%d: {a: %d, list: [{name: x}, {name: y%d}]}\n", i, i, i)
		fmt.Fprintf(&is, "k%d: {b: %d, list: [{name: y%d}, {name: x, v: 1}]}\n", i, i, i+1)
	}
	files := func(text string) map[string][]byte {
		return map[string][]byte{"f.yaml": []byte(document("v1", "A", "a", text))}
	}
	first := diff.Text(diff.Files(files(was.String()), files(is.String()), nil))
	for range 20 {
		if again := diff.Text(diff.Files(files(was.String()), files(is.String()), nil)); again != first {
			t.Fatal("another text for the same input")
		}
	}
}
