package golden_test

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"runtime"
	"strings"
	"sync"
	"testing"

	"github.com/google/go-cmp/cmp"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"git.lastcloud.io/ronnibaslund/dezky/fleet/golden"
	"git.lastcloud.io/ronnibaslund/dezky/fleet/render"
	"git.lastcloud.io/ronnibaslund/dezky/fleet/render/object"
)

// tree is a small layer with a text beside it.
func tree(config map[string]string, more ...render.File) render.Tree {
	return render.Tree{
		Name:   "a test",
		Layers: []render.Layer{{Name: "a", Files: append([]render.File{{Name: "web", Components: []object.Component{data(config)}}}, more...)}},
		Texts:  []render.Text{{Name: "README.md", Content: func() (string, error) { return "one\n" + config["TEXT"] + "\n", nil }}},
	}
}

// data is a component of one ConfigMap.
type data map[string]string

func (d data) Objects() ([]object.Object, error) {
	return []object.Object{&corev1.ConfigMap{
		TypeMeta:   metav1.TypeMeta{APIVersion: "v1", Kind: "ConfigMap"},
		ObjectMeta: metav1.ObjectMeta{Name: "web", Namespace: "shop"},
		Data:       d,
	}}, nil
}

func (data) About() object.About { return object.About{} }

func header(path string) string {
	return "# Rendered by a test as " + path + ". Do not edit: change the definitions and render again.\n"
}

func write(t *testing.T, path, text string) {
	t.Helper()
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
		t.Fatal(err)
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
	runtime.Goexit()
}
func (r *recorder) Errorf(format string, args ...any) { r.failed = fmt.Sprintf(format, args...) }

// failure returns the text with which a test fails. It is empty where the test
// passes.
func failure(t *testing.T, test func(testing.TB)) string {
	t.Helper()
	r := &recorder{TB: t}
	var wg sync.WaitGroup
	wg.Go(func() { test(r) })
	wg.Wait()
	return r.failed
}

func check(t *testing.T, tree render.Tree, o golden.Options) string {
	t.Helper()
	return failure(t, func(t testing.TB) { golden.Check(t, tree, o) })
}

// TestCheck: what was accepted passes, and everything else is told by file,
// object and field.
func TestCheck(t *testing.T) {
	extra := render.File{Name: "extra", Components: []object.Component{renamed{data{"A": "1"}}}}
	for _, tc := range []struct {
		name string
		// tree is rendered after the one of base was accepted.
		tree render.Tree
		// spoil changes the accepted files.
		spoil func(t *testing.T, dir string)
		want  string
	}{
		{name: "nothing", tree: tree(map[string]string{"A": "1", "TEXT": "two"})},
		{
			name: "fields and lines",
			tree: tree(map[string]string{"A": "2", "B": "3", "TEXT": "2"}),
			want: `  README.md
    -   two
    +   2
  a/web.yaml
    ConfigMap shop/web
    -   data.A: "1"
    +   data.A: "2"
    +   data.B: "3"
    -   data.TEXT: two
    +   data.TEXT: "2"
`,
		},
		{name: "a new file", tree: tree(map[string]string{"A": "1", "TEXT": "two"}, extra), want: "+ a/extra.yaml: a new file\n"},
		{
			name:  "a file that is missing",
			tree:  tree(map[string]string{"A": "1", "TEXT": "two"}),
			spoil: func(t *testing.T, dir string) { os.Remove(filepath.Join(dir, "a/web.yaml")) },
			want:  "+ a/web.yaml: a new file\n",
		},
		{
			name: "files of an earlier rendering",
			tree: tree(map[string]string{"A": "1", "TEXT": "two"}),
			spoil: func(t *testing.T, dir string) {
				write(t, filepath.Join(dir, "old/web.yaml"), header("old/web.yaml"))
				write(t, filepath.Join(dir, "deep/er/ci.yml"), header("deep/er/ci.yml"))
				write(t, filepath.Join(dir, "OLD.md"), "<!-- "+strings.TrimSpace(header("OLD.md")[2:])+" -->\n")
			},
			want: "- OLD.md: no longer rendered\n- deep/er/ci.yml: no longer rendered\n- old/web.yaml: no longer rendered\n",
		},
		{
			name:  "a manifest beside those of a layer",
			tree:  tree(map[string]string{"A": "1", "TEXT": "two"}),
			spoil: func(t *testing.T, dir string) { write(t, filepath.Join(dir, "a/theirs.yaml"), "a: 1\n") },
			want:  "- a/theirs.yaml: no longer rendered\n",
		},
		{
			name: "what cannot be an accepted file",
			tree: tree(map[string]string{"A": "1", "TEXT": "two"}),
			spoil: func(t *testing.T, dir string) {
				for path, text := range map[string]string{
					".DS_Store": "x", "a/.DS_Store": "x", "Thumbs.db": "x", "desktop.ini": "x", "a/4913": "",
					"a/.web.yaml.swp": "x", "a/.web.yaml": "a: 1\n", "a/._web.yaml": "x", "a/#web.yaml#": "a: 1\n",
					"a/web.yaml~": "a: 1\n", "a/web.yaml.orig": "a: 1\n", "a/web.yaml.rej": "x", "a/web.yaml.bak": "a: 1\n", "a/web.yaml.swp": "x",
					"a/web copy.yaml": header("a/web.yaml"), "a/Copy of web.yaml": "a: 1\n", "a/web (1).yaml": "a: 1\n",
					"a/web.bak.yaml": header("a/web.yaml"), "backup/web.yaml": header("a/web.yaml"),
					".git/config": "x", ".idea/a.yaml": "a: 1\n", "a/.vscode/web.yaml": header("a/.vscode/web.yaml"),
					"notes.txt": "mine", "a/NOTES.md": "mine", "elsewhere/values.yaml": "a: 1\n", "a/web.json": "{}",
				} {
					write(t, filepath.Join(dir, path), text)
				}
				// A lock file of Emacs is a link to nowhere.
				for link, to := range map[string]string{".#web.yaml": "me@host.1234", "link.yaml": t.TempDir()} {
					if err := os.Symlink(to, filepath.Join(dir, link)); err != nil {
						t.Fatal(err)
					}
				}
			},
		},
	} {
		t.Run(tc.name, func(t *testing.T) {
			dir := t.TempDir()
			base := tree(map[string]string{"A": "1", "TEXT": "two"})
			if failed := check(t, base, golden.Options{Dir: dir}); !strings.Contains(failed, "+ README.md: a new file\n+ a/web.yaml: a new file\n") {
				t.Errorf("before anything is accepted the test says\n%s", failed)
			}
			if failed := check(t, base, golden.Options{Dir: dir, Update: true}); failed != "" {
				t.Fatalf("accepting: %s", failed)
			}
			if tc.spoil != nil {
				tc.spoil(t, dir)
			}
			want := ""
			if tc.want != "" {
				want = "what is rendered is not what was accepted in " + dir + " (-accepted +rendered):\n\n" + tc.want +
					"\nIf that is what you meant, accept it, and have the change reviewed:\n\n\tgo test ./golden -update\n"
			}
			if d := cmp.Diff(want, check(t, tc.tree, golden.Options{Dir: dir})); d != "" {
				t.Errorf("(-want +got)\n%s", d)
			}
		})
	}
}

// renamed is the component with another name.
type renamed struct{ data }

func (r renamed) Objects() ([]object.Object, error) {
	objects, err := r.data.Objects()
	objects[0].SetName("extra")
	return objects, err
}

// TestFile: one text is compared, and written with update.
func TestFile(t *testing.T) {
	path := filepath.Join(t.TempDir(), "testdata", "list.txt")
	file := func(text string, update bool) string {
		return failure(t, func(t testing.TB) { golden.File(t, path, []byte(text), update) })
	}
	head, tail := "what is made is not what was accepted in "+path+" (-accepted +made):\n\n", "\nIf that is what you meant, accept it, and have the change reviewed:\n\n\tgo test ./golden -update\n"
	for _, step := range []struct {
		text   string
		update bool
		want   string
	}{
		{"a\nb\n", false, head + "+ list.txt: a new file\n" + tail},
		{"a\nb\n", true, ""},
		{"a\nb\n", false, ""},
		{"a\nc\n", false, head + "  list.txt\n    -   b\n    +   c\n" + tail},
		{"a\nc\n", true, ""},
		{"a\nc\n", false, ""},
	} {
		if got := file(step.text, step.update); got != step.want {
			t.Errorf("%q, update %v: the test says\n%s\nwant\n%s", step.text, step.update, got, step.want)
		}
	}
}

// TestRefused: what cannot be rendered fails the test, and is not accepted.
func TestRefused(t *testing.T) {
	for _, update := range []bool{false, true} {
		dir := filepath.Join(t.TempDir(), "golden")
		twice := render.File{Name: "twice", Components: []object.Component{data{"A": "1"}}}
		failed := check(t, tree(nil, twice), golden.Options{Dir: dir, Update: update})
		if !strings.Contains(failed, "rendering for "+dir+":\n") || !strings.Contains(failed, "ConfigMap shop/web: stands in") {
			t.Errorf("update %v: the test says\n%s", update, failed)
		}
		if _, err := os.Stat(dir); !errors.Is(err, fs.ErrNotExist) {
			t.Errorf("update %v: something was accepted", update)
		}
	}
}

// TestTwice: a component whose output changes is told from a change of the
// definitions, and is not accepted.
func TestTwice(t *testing.T) {
	for _, update := range []bool{false, true} {
		dir := filepath.Join(t.TempDir(), "golden")
		changing := render.File{Name: "c", Components: []object.Component{changing{new(int)}}}
		failed := check(t, tree(nil, changing), golden.Options{Dir: dir, Update: update})
		want := "  a/c.yaml\n    ConfigMap shop/c\n    -   data.COUNT: n1\n    +   data.COUNT: n2\n"
		if !strings.HasPrefix(failed, "two renderings of one tree differ") || !strings.HasSuffix(failed, want) {
			t.Errorf("the test says\n%s\nwant at its end\n%s", failed, want)
		}
		if _, err := os.Stat(dir); !errors.Is(err, fs.ErrNotExist) {
			t.Error("something was accepted")
		}
	}
}

// changing is a component that makes another object each time.
type changing struct{ count *int }

func (c changing) Objects() ([]object.Object, error) {
	*c.count++
	return []object.Object{&corev1.ConfigMap{
		TypeMeta:   metav1.TypeMeta{APIVersion: "v1", Kind: "ConfigMap"},
		ObjectMeta: metav1.ObjectMeta{Name: "c", Namespace: "shop"},
		Data:       map[string]string{"COUNT": fmt.Sprint("n", *c.count), "SAME": "1"},
	}}, nil
}

func (changing) About() object.About { return object.About{} }

// TestTenStarts: a golden test that fails says the same at each start of the
// program.
func TestTenStarts(t *testing.T) {
	const env = "GOLDEN_TEST_DIR"
	many := func(value string) map[string]string {
		m := map[string]string{"TEXT": value}
		for i := range 40 {
			m[fmt.Sprintf("K%d", i)] = "one\n" + strings.Repeat(value+"\n", i%4) + "end\n"
		}
		return m
	}
	if dir := os.Getenv(env); dir != "" { // the program that is started
		golden.Check(t, tree(many("after")), golden.Options{Dir: dir})
		return
	}
	dir := t.TempDir()
	golden.Check(t, tree(many("before")), golden.Options{Dir: dir, Update: true})
	seconds := regexp.MustCompile(`\(\d+\.\d+s\)`)
	first := ""
	for i := range 10 {
		program := exec.Command(os.Args[0], "-test.run=^TestTenStarts$")
		program.Env = append(os.Environ(), env+"="+dir)
		out, err := program.CombinedOutput()
		var exit *exec.ExitError
		if !errors.As(err, &exit) {
			t.Fatalf("start %d does not fail: %v\n%s", i, err, out)
		}
		text := seconds.ReplaceAllString(string(out), "")
		if i == 0 {
			first = text
		}
		if !strings.Contains(text, "data.K1: after") || text != first {
			t.Fatalf("start %d says\n%s\nand the first said\n%s", i, text, first)
		}
	}
}
