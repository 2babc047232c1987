package render

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
)

// WriteDir renders the Tree into a directory, which is made if it is not
// there: a folder per layer, the texts beside them.
//
// Files whose text is the same already are not touched. Files of an earlier
// rendering of this Tree that are no longer rendered are removed. A file is
// known as the Tree's own by its first line; one that is not, where a file
// belongs or among the manifests of a layer (kubectl would apply it with
// them), is refused, and nothing else is ever touched.
//
// New texts are staged in a folder of the directory and moved to their place
// after the last check, a layer that is new in one move: an interruption leaves
// each file old or new.
func (t Tree) WriteDir(dir string) (Report, error) {
	return t.render(&directory{tree: t, root: dir})
}

const stagePrefix = ".render-stage-"

type directory struct {
	tree  Tree
	root  string
	paths []string
	// exists tells which paths are there already.
	exists []bool
	stale  []string
	isNew  bool            // the root was not there
	layers map[string]bool // → the folder is there already

	read sync.Pool // *bytes.Buffer, for the files that are there

	mu     sync.Mutex
	stage  string          // made with the first file that differs
	made   map[string]bool // layers that have a folder in the stage
	staged []int
}

// prepare looks at what is there.
func (d *directory) prepare(paths []string) error {
	d.paths, d.exists = paths, make([]bool, len(paths))
	index := make(map[string]int, len(paths))
	for i, p := range paths {
		index[p] = i
	}
	d.layers = make(map[string]bool, len(d.tree.Layers))
	for _, layer := range d.tree.Layers {
		d.layers[layer.Name] = false
	}
	var errs []error
	folders := []string{"."}
	for k := 0; k < len(folders); k++ {
		folder := folders[k]
		entries, err := os.ReadDir(filepath.Join(d.root, folder))
		if errors.Is(err, fs.ErrNotExist) {
			d.isNew = folder == "."
			break
		}
		if err != nil {
			errs = append(errs, err)
			continue
		}
		for _, e := range entries {
			path := filepath.ToSlash(filepath.Join(folder, e.Name()))
			i, ours := index[path]
			_, layer := d.layers[e.Name()]
			name := filepath.Join(d.root, path)
			switch {
			case ours && !e.Type().IsRegular():
				errs = append(errs, fmt.Errorf("%s: is not a regular file: move it away, or choose another directory", name))
			case ours:
				d.exists[i] = true // put reads it, and looks whose it is
			case folder == "." && e.IsDir() && strings.HasPrefix(e.Name(), stagePrefix):
				d.stale = append(d.stale, path) // of an interrupted rendering
			case folder == "." && (e.IsDir() || layer):
				folders = append(folders, e.Name()) // a layer, or what was one
				if layer {
					d.layers[e.Name()] = true
				}
			case e.Type().IsRegular() && (applied(e.Name()) || folder == "."):
				own, err := d.own(name)
				switch {
				case err != nil:
					errs = append(errs, err)
				case own:
					d.stale = append(d.stale, path)
				case d.layers[folder]:
					errs = append(errs, foreign(name))
				}
			}
		}
	}
	return errors.Join(errs...)
}

// applied says whether kubectl takes the file for a manifest.
func applied(name string) bool {
	return slices.Contains([]string{".yaml", ".yml", ".json"}, filepath.Ext(name))
}

func foreign(name string) error {
	return fmt.Errorf("%s: was not rendered by this program, and is in the way: move it, or choose another directory", name)
}

// own looks for the Tree's marker in the first line of a file.
func (d *directory) own(name string) (bool, error) {
	f, err := os.Open(name)
	if err != nil {
		return false, err
	}
	defer f.Close()
	head := make([]byte, len(d.tree.header(name)))
	n, err := f.ReadAt(head, 0)
	if n < len(head) {
		return false, nil
	}
	return d.isOwn(name, head), err
}

func (d *directory) isOwn(name string, text []byte) bool {
	return bytes.HasPrefix(text, []byte(d.tree.header(name)))
}

// put stages a text that differs from the file in its place.
func (d *directory) put(i int, text []byte) error {
	if d.exists[i] {
		same, err := d.same(filepath.Join(d.root, filepath.FromSlash(d.paths[i])), text)
		if same || err != nil {
			return err
		}
	}
	if err := d.addStaged(i); err != nil {
		return err
	}
	return os.WriteFile(filepath.Join(d.stage, filepath.FromSlash(d.paths[i])), text, 0o644)
}

// same says whether a file of the Tree holds the text.
func (d *directory) same(name string, text []byte) (bool, error) {
	f, err := os.Open(name)
	if err != nil {
		return false, err
	}
	defer f.Close()
	old, ok := d.read.Get().(*bytes.Buffer)
	if !ok {
		old = new(bytes.Buffer)
	}
	defer d.read.Put(old)
	old.Reset()
	if _, err := old.ReadFrom(f); err != nil {
		return false, err
	}
	if bytes.Equal(old.Bytes(), text) {
		return true, nil
	}
	if !d.isOwn(name, old.Bytes()) {
		return false, foreign(name)
	}
	return false, nil
}

// addStaged makes room in the stage, where a file waits for the commit under
// the path that it will have.
func (d *directory) addStaged(i int) error {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.stage == "" {
		if err := os.MkdirAll(d.root, 0o755); err != nil {
			return err
		}
		stage, err := os.MkdirTemp(d.root, stagePrefix)
		if err != nil {
			return err
		}
		d.stage, d.made = stage, make(map[string]bool)
	}
	if layer, _, ok := strings.Cut(d.paths[i], "/"); ok && !d.made[layer] {
		if err := os.Mkdir(filepath.Join(d.stage, layer), 0o755); err != nil {
			return err
		}
		d.made[layer] = true
	}
	d.staged = append(d.staged, i)
	return nil
}

// commit moves what was staged to its place, and removes what is stale.
func (d *directory) commit(report *Report) error {
	move := func(path string) error {
		path = filepath.FromSlash(path)
		return os.Rename(filepath.Join(d.stage, path), filepath.Join(d.root, path))
	}
	for _, layer := range d.tree.Layers {
		if d.made[layer.Name] && !d.layers[layer.Name] { // new: it takes its place as a whole
			if err := move(layer.Name); err != nil {
				return err
			}
		}
	}
	slices.Sort(d.staged)
	for _, i := range d.staged {
		if layer, _, ok := strings.Cut(d.paths[i], "/"); !ok || d.layers[layer] {
			if err := move(d.paths[i]); err != nil {
				return err
			}
		}
		report.Written = append(report.Written, d.paths[i])
	}
	for _, path := range d.stale {
		if err := os.RemoveAll(filepath.Join(d.root, filepath.FromSlash(path))); err != nil {
			return err
		}
		if !strings.HasPrefix(path, stagePrefix) {
			report.Removed = append(report.Removed, path)
		}
		if folder, _, ok := strings.Cut(path, "/"); ok {
			os.Remove(filepath.Join(d.root, folder)) // if that was its last file
		}
	}
	if d.stage != "" {
		return os.RemoveAll(d.stage)
	}
	return nil
}

// abort leaves everything as it was.
func (d *directory) abort() {
	if d.stage != "" {
		os.RemoveAll(d.stage)
	}
	if d.isNew {
		os.Remove(d.root)
	}
}
