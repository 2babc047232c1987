// Package golden compares what a Tree renders with files that were reviewed.
//
// A layer keeps the accepted files in a folder of its repository, exactly as
// the render command writes them, and has a test with a flag of its own:
//
//	var update = flag.Bool("update", false, "accept what is rendered")
//
//	func TestGolden(t *testing.T) {
//		tree, err := data.Tree("", render.Images{})
//		if err != nil {
//			t.Fatal(err)
//		}
//		golden.Check(t, tree, golden.Options{Dir: "golden", Update: *update})
//	}
//
// Run the test with -update to accept what is rendered, and review the change
// of the files. [File] does the same for one text of any kind.
package golden

import (
	"errors"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"strings"
	"testing"

	"k8s.io/apimachinery/pkg/util/validation"

	"git.lastcloud.io/ronnibaslund/dezky/fleet/render"
	"git.lastcloud.io/ronnibaslund/dezky/fleet/render/diff"
)

// Options of a check.
type Options struct {
	// Dir holds the accepted files. It need not exist before the first update.
	Dir string
	// Update writes what is rendered to Dir instead of comparing.
	Update bool
}

// Check renders the tree and fails the test where a file in the directory
// differs, is missing, or is no longer rendered. The text names each file,
// object and field, and the command that accepts them; it is the same at each
// run.
//
// A tree is rendered twice. Two renderings that differ, as when a component
// goes through a map in no order, fail the test and are never accepted.
func Check(t testing.TB, tree render.Tree, o Options) {
	t.Helper()
	var renderings [2]map[string][]byte
	for i := range renderings {
		files, _, err := tree.Files()
		if err != nil {
			t.Fatalf("rendering for %s:\n%v", o.Dir, err)
		}
		renderings[i] = make(map[string][]byte, len(files))
		for _, f := range files {
			renderings[i][f.Path] = f.Data
		}
	}
	rendered := renderings[0]
	if text := diff.Text(diff.Files(rendered, renderings[1], nil)); text != "" {
		t.Fatalf("two renderings of one tree differ, so nothing can be accepted in %s: what makes these fields must give the same each time, such as the keys of a map in order (-first +second):\n\n%s", o.Dir, text)
	}
	if o.Update {
		report, err := tree.WriteDir(o.Dir)
		if err != nil {
			t.Fatalf("updating %s:\n%v", o.Dir, err)
		}
		for _, path := range report.Written {
			t.Logf("wrote %s", filepath.Join(o.Dir, path))
		}
		for _, path := range report.Removed {
			t.Logf("removed %s", filepath.Join(o.Dir, path))
		}
		return
	}
	accepted, err := read(os.DirFS(o.Dir), rendered)
	if err != nil {
		t.Fatal(err)
	}
	if text := diff.Text(diff.Files(accepted, rendered, nil)); text != "" {
		fail(t, "rendered", o.Dir, text)
	}
}

// File compares a text with an accepted file, and fails the test where they
// differ or there is no such file. With update it writes the file instead.
func File(t testing.TB, name string, text []byte, update bool) {
	t.Helper()
	made, accepted := map[string][]byte{filepath.Base(name): text}, make(map[string][]byte)
	data, err := os.ReadFile(name)
	switch {
	case err == nil:
		accepted[filepath.Base(name)] = data
	case !errors.Is(err, fs.ErrNotExist):
		t.Fatal(err)
	}
	differs := diff.Text(diff.Files(accepted, made, nil))
	switch {
	case differs == "":
	case update:
		if err := errors.Join(os.MkdirAll(filepath.Dir(name), 0o755), os.WriteFile(name, text, 0o644)); err != nil {
			t.Fatal(err)
		}
		t.Logf("wrote %s", name)
	default:
		fail(t, "made", name, differs)
	}
}

func fail(t testing.TB, made, accepted, text string) {
	t.Helper()
	t.Errorf("what is %s is not what was accepted in %s (-accepted +%[1]s):\n\n%[3]s\nIf that is what you meant, accept it, and have the change reviewed:\n\n\t%[4]s\n", made, accepted, text, acceptCommand())
}

// read returns the accepted files by path.
//
// A file that is not rendered counts if an earlier rendering wrote it, or if
// it is a manifest beside those of a layer. Other files cannot be accepted
// ones, and are left alone: hidden ones, copies, and what editors and file
// managers leave behind.
func read(dir fs.FS, rendered map[string][]byte) (map[string][]byte, error) {
	layers := make(map[string]bool) // folders of rendered manifests
	for name := range rendered {
		if path.Ext(name) == ".yaml" {
			layers[path.Dir(name)] = true
		}
	}
	accepted := make(map[string][]byte)
	return accepted, fs.WalkDir(dir, ".", func(name string, d fs.DirEntry, err error) error {
		_, wanted := rendered[name]
		switch {
		case errors.Is(err, fs.ErrNotExist) && name == ".":
			return fs.SkipAll // nothing is accepted yet
		case d != nil && d.IsDir() && name != "." && strings.HasPrefix(d.Name(), "."):
			return fs.SkipDir
		case err != nil || d.IsDir():
			return err
		case !wanted && (!d.Type().IsRegular() || !isName(name)):
			return nil
		}
		data, err := fs.ReadFile(dir, name)
		as, isRendered := render.RenderedPath(data)
		if wanted || as == name || !isRendered && layers[path.Dir(name)] && path.Ext(name) == ".yaml" {
			accepted[name] = data
		}
		return err
	})
}

// isName reports whether a rendering can write a file of this name.
func isName(name string) bool {
	return len(validation.IsDNS1123Subdomain(strings.ToLower(path.Base(name)))) == 0
}

// acceptCommand returns the command that accepts, from the root of the module.
func acceptCommand() string {
	dir, err := os.Getwd()
	if err != nil {
		return "go test -update"
	}
	for root := dir; ; root = filepath.Dir(root) {
		if _, err := os.Stat(filepath.Join(root, "go.mod")); err == nil {
			if rel, err := filepath.Rel(root, dir); err == nil && rel != "." {
				return "go test ./" + filepath.ToSlash(rel) + " -update"
			}
			return "go test . -update"
		}
		if root == filepath.Dir(root) {
			return "go test -update"
		}
	}
}
