package golden_test

import (
	"fmt"
	"os"
	"path/filepath"
	goruntime "runtime"
	"strings"
	"sync"
	"testing"
	"testing/fstest"

	"github.com/google/go-cmp/cmp"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"git.lastcloud.io/ronnibaslund/dezky/fleet/golden"
	"git.lastcloud.io/ronnibaslund/dezky/fleet/render"
	"git.lastcloud.io/ronnibaslund/dezky/fleet/render/object"
)

const deployment = `# header
apiVersion: apps/v1
kind: Deployment
metadata:
  annotations:
    example.com/team: web
  name: web
  namespace: shop
spec:
  replicas: 2
  template:
    spec:
      containers:
      - env:
        - name: PORT
          value: "3000"
        - name: MODE
          value: |
            one
            two
            three
        args:
        - a
        - b
        name: web
`

const service = `apiVersion: v1
kind: Service
metadata:
  name: web
  namespace: shop
`

func header(path string) string {
	return "# Rendered by a test as " + path + ". Do not edit: change the definitions and render again.\n"
}

// TestLink: a lock file of Emacs is a link to nowhere.
func TestLink(t *testing.T) {
	dir := t.TempDir()
	if err := os.Symlink("me@host.1234", filepath.Join(dir, ".#web.yaml")); err != nil {
		t.Fatal(err)
	}
	if err := os.Symlink(t.TempDir(), filepath.Join(dir, "link.yaml")); err != nil {
		t.Fatal(err)
	}
	if diff, err := golden.Diff(os.DirFS(dir), nil); diff != "" || err != nil {
		t.Errorf("%v\n%s", err, diff)
	}
}

// recorder is a test that does not fail the one around it.
type recorder struct {
	testing.TB
	failed string
}

func (r *recorder) Helper() {}
func (r *recorder) Fatalf(format string, args ...any) {
	r.failed = fmt.Sprintf(format, args...)
	goruntime.Goexit()
}
func (r *recorder) Errorf(format string, args ...any) { r.failed = fmt.Sprintf(format, args...) }

// changing is a component that makes another object each time.
type changing struct{ count *int }

func (c changing) Objects() ([]render.Object, error) {
	*c.count++
	return []render.Object{&corev1.ConfigMap{
		TypeMeta:   metav1.TypeMeta{APIVersion: "v1", Kind: "ConfigMap"},
		ObjectMeta: metav1.ObjectMeta{Name: "c", Namespace: "shop"},
		Data:       map[string]string{"COUNT": fmt.Sprint("n", *c.count), "SAME": "1"},
	}}, nil
}

func (changing) About() object.About { return object.About{} }

// TestTwice: a component whose output changes is told from a change of the
// definitions.
func TestTwice(t *testing.T) {
	tree := render.Tree{Name: "a test", Layers: []render.Layer{{Name: "a", Files: []render.File{{Name: "c", Components: []render.Component{changing{new(int)}}}}}}}
	r := &recorder{TB: t}
	var wg sync.WaitGroup
	wg.Go(func() { golden.Check(r, tree, t.TempDir()) })
	wg.Wait()
	want := "  a/c.yaml\n    ConfigMap shop/c\n    -   data.COUNT: n1\n    +   data.COUNT: n2\n"
	if !strings.HasPrefix(r.failed, "two renderings of one tree differ") || !strings.HasSuffix(r.failed, want) {
		t.Errorf("the test says\n%s\nwant at its end\n%s", r.failed, want)
	}
}

func TestDiff(t *testing.T) {
	for _, tc := range []struct {
		name             string
		golden, rendered map[string]string
		want             string
	}{
		{"nothing", map[string]string{"a/web.yaml": deployment}, map[string]string{"a/web.yaml": deployment}, ""},
		{
			"fields",
			map[string]string{"a/web.yaml": deployment},
			map[string]string{"a/web.yaml": `# header
apiVersion: apps/v1
kind: Deployment
metadata:
  annotations:
    example.com/team: api
  name: web
  namespace: shop
spec:
  template:
    spec:
      containers:
      - env:
        - name: HOST
          value: "yes"
        - name: PORT
          value: "3001"
        - name: MODE
          value: |
            one
            2
            three
        args:
        - a
        - b
        - c
        name: web
        resources:
          limits:
            memory: 1Gi
`},
			`  a/web.yaml
    Deployment shop/web
    -   metadata.annotations[example.com/team]: web
    +   metadata.annotations[example.com/team]: api
    -   spec.replicas: 2
    +   spec.template.spec.containers[web].args[2]: c
    +   spec.template.spec.containers[web].env[HOST]:
    +       name: HOST
    +       value: "yes"
    -   spec.template.spec.containers[web].env[MODE].value: two
    +   spec.template.spec.containers[web].env[MODE].value: "2"
    -   spec.template.spec.containers[web].env[PORT].value: "3000"
    +   spec.template.spec.containers[web].env[PORT].value: "3001"
    +   spec.template.spec.containers[web].resources:
    +       limits:
    +         memory: 1Gi
`,
		},
		{
			"objects",
			map[string]string{"a/web.yaml": deployment},
			map[string]string{"a/web.yaml": service},
			`  a/web.yaml
  + Service shop/web: a new object
  - Deployment shop/web: no longer rendered
`,
		},
		{
			"files",
			map[string]string{"a/old.yaml": service},
			map[string]string{"a/new.yaml": service},
			"+ a/new.yaml: a new file\n- a/old.yaml: not rendered; -update removes it if an earlier rendering wrote it\n",
		},
		{
			"an old golden of a layer that is gone",
			map[string]string{"old/web.yaml": header("old/web.yaml") + service, "OLD.md": "<!-- " + strings.TrimSpace(header("OLD.md")[2:]) + " -->\n"},
			map[string]string{"a/new.yaml": service},
			"+ a/new.yaml: a new file\n- OLD.md: not rendered; -update removes it if an earlier rendering wrote it\n- old/web.yaml: not rendered; -update removes it if an earlier rendering wrote it\n",
		},
		{
			"what cannot be a golden",
			map[string]string{
				"a/web.yaml": header("a/web.yaml") + service,
				".DS_Store":  "x", "a/.DS_Store": "x", "Thumbs.db": "x", "desktop.ini": "x", "a/4913": "",
				"a/.web.yaml.swp": "x", "a/.web.yaml": service, "a/._web.yaml": "x", ".#web.yaml": "x", "a/#web.yaml#": service,
				"a/web.yaml~": service, "a/web.yaml.orig": service, "a/web.yaml.rej": "x", "a/web.yaml.bak": service, "a/web.yaml.swp": "x",
				"a/web copy.yaml": header("a/web.yaml") + service, "a/Copy of web.yaml": service, "a/web (1).yaml": service,
				"a/web.bak.yaml": header("a/web.yaml") + service, "backup/web.yaml": header("a/web.yaml") + service,
				".git/config": "x", ".idea/a.yaml": service, "a/.vscode/web.yaml": header("a/.vscode/web.yaml"),
				"notes.txt": "mine", "a/NOTES.md": "mine", "elsewhere/values.yaml": "a: 1\n", "a/web.json": "{}",
			},
			map[string]string{"a/web.yaml": header("a/web.yaml") + service},
			"",
		},
		{
			"a comment",
			map[string]string{"a/web.yaml": "# one\n" + service},
			map[string]string{"a/web.yaml": "# two\n" + service},
			"  a/web.yaml\n    -   # one\n    +   # two\n",
		},
		{
			"prose",
			map[string]string{"README.md": "one\ntwo\n"},
			map[string]string{"README.md": "one\n2\n"},
			"  README.md\n    -   two\n    +   2\n",
		},
		{
			"the order of objects",
			map[string]string{"a/web.yaml": service + "---\n" + deployment},
			map[string]string{"a/web.yaml": deployment + "---\n" + service},
			"", // only that there is a difference
		},
	} {
		t.Run(tc.name, func(t *testing.T) {
			files := fstest.MapFS{}
			for path, text := range tc.golden {
				files[path] = &fstest.MapFile{Data: []byte(text)}
			}
			var rendered []render.Rendered
			for path, text := range tc.rendered {
				rendered = append(rendered, render.Rendered{Path: path, Data: []byte(text)})
			}
			got, err := golden.Diff(files, rendered)
			if err != nil {
				t.Fatal(err)
			}
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
