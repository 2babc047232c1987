package render_test

import (
	"bufio"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"testing"
	"time"

	"git.lastcloud.io/ronnibaslund/dezky/fleet/render"
	"git.lastcloud.io/ronnibaslund/dezky/fleet/render/object"
)

// snapshot is every file below a directory, with its text.
func snapshot(t *testing.T, dir string) map[string]string {
	t.Helper()
	files := make(map[string]string)
	err := filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		data, err := os.ReadFile(path)
		if d.Type()&fs.ModeSymlink != 0 {
			var to string
			to, err = os.Readlink(path)
			data = []byte("-> " + to)
		}
		rel, _ := filepath.Rel(dir, path)
		files[filepath.ToSlash(rel)] = string(data)
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return files
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

func TestWriteDir(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "new", "out")
	report, err := tree().WriteDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	if len(report.Written) != 4 || len(report.Removed) != 0 {
		t.Errorf("first: wrote %v, removed %v", report.Written, report.Removed)
	}
	files, _, err := tree().Files()
	if err != nil {
		t.Fatal(err)
	}
	want := make(map[string]string)
	for _, f := range files {
		want[f.Path] = string(f.Data)
	}
	if got := snapshot(t, dir); !maps.Equal(got, want) {
		t.Errorf("on disk: %v\nin memory: %v", got, want)
	}

	// The second time nothing is touched.
	past := time.Now().Add(-time.Hour).Truncate(time.Second)
	for path := range want {
		if err := os.Chtimes(filepath.Join(dir, path), past, past); err != nil {
			t.Fatal(err)
		}
	}
	report, err = tree().WriteDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	if len(report.Written)+len(report.Removed) != 0 {
		t.Errorf("again: wrote %v, removed %v", report.Written, report.Removed)
	}
	for path := range want {
		if info, err := os.Stat(filepath.Join(dir, path)); err != nil || !info.ModTime().Equal(past) {
			t.Errorf("%s was touched (%v)", path, err)
		}
	}

	// A change writes one file, a file less removes one, foreign files stay.
	write(t, filepath.Join(dir, "notes.txt"), "mine")
	write(t, filepath.Join(dir, "apps", "notes.txt"), "mine")
	write(t, filepath.Join(dir, "elsewhere", "own.yaml"), "a: 1\n")
	changed := tree()
	changed.Layers[1].Files = changed.Layers[1].Files[:2]
	changed.Layers[1].Files[1].Components = []object.Component{list{config("web-config", map[string]string{"A": "2"})}}
	report, err = changed.WriteDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	if !slices.Equal(report.Written, []string{"apps/config.yaml"}) || !slices.Equal(report.Removed, []string{"apps/more.yaml"}) {
		t.Errorf("changed: wrote %v, removed %v", report.Written, report.Removed)
	}
	got := slices.Sorted(maps.Keys(snapshot(t, dir)))
	if want := []string{"apps/config.yaml", "apps/notes.txt", "apps/web.yaml", "base/namespace.yaml", "elsewhere/own.yaml", "notes.txt"}; !slices.Equal(got, want) {
		t.Errorf("files %v, want %v", got, want)
	}

	// A layer less: its files go, and its folder.
	one := tree()
	one.Layers = one.Layers[:1]
	one.Secrets = nil
	if report, err = one.WriteDir(dir); err != nil {
		t.Fatal(err)
	}
	if !slices.Equal(report.Removed, []string{"apps/config.yaml", "apps/web.yaml"}) {
		t.Errorf("a layer less: removed %v", report.Removed)
	}
	if got := snapshot(t, dir); got["apps/notes.txt"] != "mine" {
		t.Error("a foreign file went with the layer")
	}
}

// TestWriteDirRefuses: where anything is wrong, the directory stays as it was.
func TestWriteDirRefuses(t *testing.T) {
	for _, tc := range []struct {
		name    string
		prepare func(t *testing.T, dir string)
		tree    func() render.Tree
		want    string
	}{
		{
			"a foreign file in the way",
			func(t *testing.T, dir string) { write(t, filepath.Join(dir, "apps/web.yaml"), "a: 1\n") },
			func() render.Tree { return tree() },
			"apps/web.yaml: is no file of a test, and is in the way: move it, or choose another directory",
		},
		{
			"a foreign manifest in a layer",
			func(t *testing.T, dir string) { write(t, filepath.Join(dir, "apps/theirs.yml"), "a: 1\n") },
			func() render.Tree { return tree() },
			"apps/theirs.yml: is no file of a test",
		},
		{
			"a link among the manifests of a layer",
			func(t *testing.T, dir string) {
				write(t, filepath.Join(dir, "theirs"), "a: 1\n")
				if err := os.Mkdir(filepath.Join(dir, "apps"), 0o755); err != nil {
					t.Fatal(err)
				}
				if err := os.Symlink("../theirs", filepath.Join(dir, "apps", "link.yaml")); err != nil {
					t.Fatal(err)
				}
			},
			func() render.Tree { return tree() },
			"apps/link.yaml: is no file of a test, and is in the way",
		},
		{
			"a layer that is a link to nowhere",
			func(t *testing.T, dir string) {
				write(t, filepath.Join(dir, "base", "namespace.yaml"), "a: 1\n")
				if err := os.Symlink("nowhere", filepath.Join(dir, "apps")); err != nil {
					t.Fatal(err)
				}
			},
			func() render.Tree { return tree() },
			"apps: is a link, and must be a folder of this directory",
		},
		{
			"a layer that is a link to a folder",
			func(t *testing.T, dir string) {
				write(t, filepath.Join(dir, "elsewhere", "notes.txt"), "x")
				if err := os.Symlink("elsewhere", filepath.Join(dir, "apps")); err != nil {
					t.Fatal(err)
				}
			},
			func() render.Tree { return tree() },
			"apps: is a link, and must be a folder of this directory",
		},
		{
			"a link far below",
			func(t *testing.T, dir string) {
				elsewhere := t.TempDir()
				write(t, filepath.Join(dir, "docs/notes.txt"), "mine")
				if err := os.Symlink(elsewhere, filepath.Join(dir, "docs", "deep")); err != nil {
					t.Fatal(err)
				}
			},
			func() render.Tree { return deep() },
			"docs/deep: is a link, and must be a folder of this directory",
		},
		{
			"a folder far below that differs in case only",
			func(t *testing.T, dir string) { write(t, filepath.Join(dir, "docs/Deep/notes.txt"), "x") },
			func() render.Tree { return deep() },
			"docs/Deep: differs from docs/deep in case only",
		},
		{
			"a file where a folder belongs",
			func(t *testing.T, dir string) { write(t, filepath.Join(dir, "docs/deep"), "x") },
			func() render.Tree { return deep() },
			"docs/deep: is not a directory",
		},
		{
			"a foreign file far below",
			func(t *testing.T, dir string) { write(t, filepath.Join(dir, "docs/deep/er/ci.yml"), "a: 1\n") },
			func() render.Tree { return deep() },
			"docs/deep/er/ci.yml: is no file of a test, and is in the way",
		},
		{
			"a file that differs in case only",
			func(t *testing.T, dir string) { write(t, filepath.Join(dir, "apps/Web.yaml"), "a: 1\n") },
			func() render.Tree { return tree() },
			"Web.yaml: differs from apps/web.yaml in case only",
		},
		{
			"a folder that differs in case only",
			func(t *testing.T, dir string) { write(t, filepath.Join(dir, "Apps/notes.txt"), "x") },
			func() render.Tree { return tree() },
			"Apps: differs from apps in case only",
		},
		{
			"everything at once",
			func(t *testing.T, dir string) {
				write(t, filepath.Join(dir, "apps", "web.yaml"), "a: 1\n")
				write(t, filepath.Join(dir, "apps", "theirs.json"), "{}\n")
			},
			func() render.Tree { return tree(service()) },
			"theirs.json: is no file of a test, and is in the way: move it, or choose another directory\napps/web.yaml: ",
		},
		{
			"another tree's file",
			func(t *testing.T, dir string) {
				other := tree()
				other.Name = "another test"
				if _, err := other.WriteDir(dir); err != nil {
					t.Fatal(err)
				}
			},
			func() render.Tree { return tree(config("c", nil)) },
			"is no file of a test, and is in the way",
		},
		{
			"a folder in the way",
			func(t *testing.T, dir string) { write(t, filepath.Join(dir, "apps/web.yaml/x"), "") },
			func() render.Tree { return tree() },
			"apps/web.yaml: is not a regular file",
		},
		{
			"a file where a layer belongs",
			func(t *testing.T, dir string) { write(t, filepath.Join(dir, "apps"), "") },
			func() render.Tree { return tree() },
			"apps: is not a directory: move it away",
		},
		{
			"a mistake in the last file",
			func(t *testing.T, dir string) {},
			func() render.Tree { return tree(service()) },
			"Service ns/web: stands in",
		},
		{
			"a mistake, and files of an earlier rendering",
			func(t *testing.T, dir string) {
				old := tree(config("old", map[string]string{"B": "1"}))
				if _, err := old.WriteDir(dir); err != nil {
					t.Fatal(err)
				}
			},
			func() render.Tree { return tree(config("new", nil), service()) },
			"Service ns/web: stands in",
		},
	} {
		t.Run(tc.name, func(t *testing.T) {
			dir := t.TempDir()
			tc.prepare(t, dir)
			before := snapshot(t, dir)
			_, err := tc.tree().WriteDir(dir)
			if err == nil || !strings.Contains(err.Error(), tc.want) {
				t.Errorf("the error is %v\nwant in it %s", err, tc.want)
			}
			if after := snapshot(t, dir); !maps.Equal(before, after) {
				t.Errorf("the directory changed: before %v, after %v", slices.Sorted(maps.Keys(before)), slices.Sorted(maps.Keys(after)))
			}
		})
	}
}

// deep is the tree with texts far below.
func deep(texts ...string) render.Tree {
	tr := tree()
	for _, name := range append([]string{"docs/deep/er/ci.yml"}, texts...) {
		tr.Texts = append(tr.Texts, render.Text{Name: name, Content: content("a: 1\n")})
	}
	return tr
}

// TestDeep: a text can stand in a folder of a folder, and what nobody renders
// any more goes with its folders.
func TestDeep(t *testing.T) {
	dir := t.TempDir()
	for _, step := range []struct {
		tree             render.Tree
		written, removed []string
	}{
		{deep(), []string{"base/namespace.yaml", "apps/config.yaml", "apps/more.yaml", "apps/web.yaml", "docs/deep/er/ci.yml"}, nil},
		{deep(), nil, nil},
		{deep("docs/README.md", "docs/deep/b.txt", "docs/new/er/c.md"), []string{"docs/README.md", "docs/deep/b.txt", "docs/new/er/c.md"}, nil},
		{deep("docs/deep/b.txt"), nil, []string{"docs/README.md", "docs/new/er/c.md"}},
		{tree(), nil, []string{"docs/deep/b.txt", "docs/deep/er/ci.yml"}},
	} {
		report, err := step.tree.WriteDir(dir)
		if err != nil {
			t.Fatal(err)
		}
		if !slices.Equal(report.Written, step.written) || !slices.Equal(report.Removed, step.removed) {
			t.Errorf("wrote %v, removed %v, want %v and %v", report.Written, report.Removed, step.written, step.removed)
		}
		files, _, err := step.tree.Files()
		if err != nil {
			t.Fatal(err)
		}
		want := make(map[string]string)
		for _, f := range files {
			want[f.Path] = string(f.Data)
		}
		if got := snapshot(t, dir); !maps.Equal(got, want) {
			t.Errorf("on disk %v, want %v", slices.Sorted(maps.Keys(got)), slices.Sorted(maps.Keys(want)))
		}
	}
	if _, err := os.Stat(filepath.Join(dir, "docs")); !errors.Is(err, fs.ErrNotExist) {
		t.Error("a folder is left over")
	}
}

func TestNothingIsMade(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "new")
	if _, err := tree(service()).WriteDir(filepath.Join(dir, "out")); err == nil {
		t.Error("no error")
	}
	if _, err := os.Stat(dir); !errors.Is(err, fs.ErrNotExist) {
		t.Error("a directory was made for nothing")
	}
}

func TestWriteDirUnwritable(t *testing.T) {
	dir := t.TempDir()
	write(t, filepath.Join(dir, "file"), "x")
	_, err := tree().WriteDir(filepath.Join(dir, "file", "out"))
	if err == nil || !strings.Contains(err.Error(), filepath.Join(dir, "file")) {
		t.Errorf("the error is %v", err)
	}
}

// TestInterrupted: what an interrupted rendering staged is gone after the next.
func TestInterrupted(t *testing.T) {
	dir := t.TempDir()
	write(t, filepath.Join(dir, ".render-stage-123", "apps_web.yaml"), "half a fi")
	write(t, filepath.Join(dir, ".render", "x.yaml"), "not ours")
	for _, folder := range []string{"apps", "base"} { // as a look whether files can be moved there leaves it
		if err := os.MkdirAll(filepath.Join(dir, folder, ".render-stage-123"), 0o755); err != nil {
			t.Fatal(err)
		}
	}
	report, err := tree().WriteDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	if len(report.Removed) != 0 {
		t.Errorf("removed %v is told", report.Removed)
	}
	if _, err := os.Stat(filepath.Join(dir, ".render-stage-123")); !errors.Is(err, fs.ErrNotExist) {
		t.Error("the stage is still there")
	}
	if _, err := os.Stat(filepath.Join(dir, "apps", ".render-stage-123")); !errors.Is(err, fs.ErrNotExist) {
		t.Error("the stage in a layer is still there")
	}
	if _, err := os.Stat(filepath.Join(dir, ".render", "x.yaml")); err != nil {
		t.Error(err)
	}
}

// TestTwoAtATime: while one rendering is under way, another one into the same
// directory is refused; after it, even if it was killed, the next one is not.
func TestTwoAtATime(t *testing.T) {
	if runtime.GOOS == "windows" {
		t.Skipf("a directory cannot be locked on %s", runtime.GOOS)
	}
	const env = "RENDER_TEST_HOLD"
	if dir := os.Getenv(env); dir != "" { // the other process
		held := tree(config("c", nil))
		held.Texts = []render.Text{{Name: "x.md", Content: func() (string, error) {
			fmt.Println("held")
			time.Sleep(time.Minute) // until it is killed
			return "", nil
		}}}
		held.WriteDir(dir)
	}
	dir := filepath.Join(t.TempDir(), "out")
	other := exec.Command(os.Args[0], "-test.run=^TestTwoAtATime$")
	other.Env = append(os.Environ(), env+"="+dir)
	out, err := other.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := other.Start(); err != nil {
		t.Fatal(err)
	}
	line, err := bufio.NewReader(out).ReadString('\n')
	if line != "held\n" {
		t.Fatalf("the other process says %q, %v", line, err)
	}
	_, err = tree().WriteDir(dir)
	if err == nil || !strings.Contains(err.Error(), dir+": another rendering into it is under way") {
		t.Errorf("the second rendering: %v", err)
	}
	if _, err := tree().WriteDir(dir + "2"); err != nil {
		t.Errorf("another directory: %v", err)
	}
	other.Process.Kill()
	other.Wait()
	if _, err := tree().WriteDir(dir); err != nil {
		t.Errorf("after the first was killed: %v", err)
	}
	got := slices.Sorted(maps.Keys(snapshot(t, dir)))
	if want := []string{"apps/config.yaml", "apps/more.yaml", "apps/web.yaml", "base/namespace.yaml"}; !slices.Equal(got, want) {
		t.Errorf("files %v, want %v", got, want)
	}
}

func TestSameBytes(t *testing.T) {
	first, _, err := tree().Files()
	if err != nil {
		t.Fatal(err)
	}
	for range 20 {
		again, _, err := tree().Files()
		if err != nil {
			t.Fatal(err)
		}
		for i := range first {
			if string(first[i].Data) != string(again[i].Data) {
				t.Fatalf("%s differs from one rendering to the next", first[i].Path)
			}
		}
	}
}

// TestMissingLayer: a layer that is not there takes its place beside one that
// is, where a file is missing.
func TestMissingLayer(t *testing.T) {
	dir := t.TempDir()
	if _, err := tree().WriteDir(dir); err != nil {
		t.Fatal(err)
	}
	want := snapshot(t, dir)
	for _, path := range []string{"base", "apps/web.yaml"} {
		if err := os.RemoveAll(filepath.Join(dir, path)); err != nil {
			t.Fatal(err)
		}
	}
	report, err := tree().WriteDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	if !slices.Equal(report.Written, []string{"base/namespace.yaml", "apps/web.yaml"}) {
		t.Errorf("wrote %v", report.Written)
	}
	if got := snapshot(t, dir); !maps.Equal(got, want) {
		t.Errorf("got %v, want %v", got, want)
	}
	entries, err := os.ReadDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	if len(entries) != 2 {
		t.Errorf("besides the layers there is %v", entries)
	}
}
