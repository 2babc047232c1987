package render

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"maps"
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
// known as the Tree's own by its first line, which names the Tree and the
// place of the file. One that is not, where a file belongs or among the
// manifests of a layer (kubectl would apply it with them), is refused, and
// nothing else is ever touched.
//
// New texts are staged in a folder of the directory and moved to their place
// after the last check, a folder that is new in one move: an interruption
// leaves each file old or new. So a layer's folder must be a folder of the
// directory's own file system, and no link. While a rendering into the
// directory is under way, another one is refused, except on Windows and on
// file systems without flock(2).
func (t Tree) WriteDir(dir string) (Report, error) {
	return t.render(&directory{tree: t, root: dir, rename: os.Rename})
}

const stagePrefix = ".render-stage-"

type directory struct {
	tree  Tree
	root  string
	paths []string
	// exists tells which paths are there already.
	exists []bool
	// folders are those of the paths; true: the folder is there already.
	folders map[string]bool
	// stale paths are removed.
	stale   []string
	made    []string // the root, and what it is in, if they were not there
	lock    *os.File // the root, locked
	refused bool     // nothing may be written
	rename  func(from, to string) error

	read sync.Pool // *bytes.Buffer, for the files that are there

	mu      sync.Mutex
	stage   string          // made with the first file that differs
	holding map[string]bool // folders that the stage has
	staged  []int
}

// at is where a path stands.
func (d *directory) at(path string) string {
	return filepath.Join(d.root, filepath.FromSlash(path))
}

// prepare looks at what is there.
func (d *directory) prepare(paths []string) error {
	d.paths, d.exists = paths, make([]bool, len(paths))
	d.folders = make(map[string]bool)
	index := make(map[string]int, len(paths))
	names := make(map[string]string, len(paths)) // by their lower case
	for i, path := range paths {
		index[path] = i
		names[strings.ToLower(path)] = path
		if folder, _, ok := strings.Cut(path, "/"); ok {
			d.folders[folder] = false
			names[strings.ToLower(folder)] = folder
		}
	}
	if err := d.open(); err != nil {
		d.refused = true
		return err
	}
	layers := make(map[string]bool)
	for _, layer := range d.tree.Layers {
		layers[layer.Name] = true
	}

	var errs []error
	look := []string{""} // the root, then its folders
	for k := 0; k < len(look); k++ {
		folder := look[k]
		entries, err := os.ReadDir(d.at(folder))
		if err != nil {
			errs = append(errs, err)
			continue
		}
		for _, e := range entries {
			path := strings.TrimPrefix(folder+"/"+e.Name(), "/")
			i, wanted := index[path]
			_, wantedFolder := d.folders[path]
			name, alike := names[strings.ToLower(path)]
			switch {
			case alike && name != path:
				errs = append(errs, fmt.Errorf("%s: differs from %s in case only, which is one name on macOS and Windows: move it away", d.at(path), name))
			case wantedFolder && e.Type()&fs.ModeSymlink != 0:
				errs = append(errs, fmt.Errorf("%s: is a link, and a layer must be a folder of this directory: remove the link, or render into the directory that it leads to", d.at(path)))
			case wanted && !e.Type().IsRegular():
				errs = append(errs, fmt.Errorf("%s: is not a regular file: move it away, or choose another directory", d.at(path)))
			case wanted:
				d.exists[i] = true // put reads it, and looks whose it is
			case e.IsDir() && strings.HasPrefix(e.Name(), stagePrefix):
				d.stale = append(d.stale, path) // of an interrupted rendering
			case wantedFolder:
				d.folders[path] = true
				look = append(look, path)
			case folder == "" && e.IsDir():
				look = append(look, path) // may be what was a layer
			case layers[folder] && applied(path) && !e.IsDir() && !e.Type().IsRegular():
				errs = append(errs, d.foreign(path)) // a link, which kubectl follows
			case e.Type().IsRegular():
				own, err := d.own(path)
				switch {
				case err != nil:
					errs = append(errs, err)
				case own:
					d.stale = append(d.stale, path)
				case layers[folder] && applied(path):
					errs = append(errs, d.foreign(path))
				}
			}
		}
	}
	d.refused = len(errs) > 0
	return errors.Join(errs...)
}

// open makes the directory if it is not there, and locks it.
func (d *directory) open() error {
	for {
		made, err := mkdirAll(d.root)
		d.made = made
		if err != nil {
			return err
		}
		dir, err := os.Open(d.root)
		if errors.Is(err, fs.ErrNotExist) {
			continue // removed by another rendering that had made it
		}
		if err != nil {
			return err
		}
		ok, err := tryLock(dir)
		if err == nil && !ok {
			err = fmt.Errorf("%s: another rendering into it is under way: wait until it ends", d.root)
		}
		if err != nil {
			dir.Close()
			return err
		}
		locked, err := dir.Stat()
		if err == nil {
			var there fs.FileInfo
			if there, err = os.Stat(d.root); err == nil && os.SameFile(locked, there) {
				d.lock = dir
				return nil
			}
		}
		dir.Close()
		if err != nil && !errors.Is(err, fs.ErrNotExist) {
			return err
		}
	}
}

// close gives the lock back.
func (d *directory) close() {
	if d.lock != nil {
		d.lock.Close()
	}
}

// mkdirAll makes a directory and what it is in, and returns what was not there
// before, outermost first.
func mkdirAll(dir string) ([]string, error) {
	var missing []string
	for at := filepath.Clean(dir); ; at = filepath.Dir(at) {
		if _, err := os.Stat(at); !errors.Is(err, fs.ErrNotExist) {
			break
		}
		missing = append(missing, at)
	}
	slices.Reverse(missing)
	return missing, os.MkdirAll(dir, 0o755)
}

// applied says whether kubectl takes the file for a manifest.
func applied(path string) bool {
	return slices.Contains([]string{".yaml", ".yml", ".json"}, filepath.Ext(path))
}

func (d *directory) foreign(path string) error {
	return fmt.Errorf("%s: is no file of %s, and is in the way: move it, or choose another directory", d.at(path), d.tree.Name)
}

// own looks for the Tree's header in the first line of a file that is not
// rendered.
func (d *directory) own(path string) (bool, error) {
	f, err := os.Open(d.at(path))
	if errors.Is(err, fs.ErrPermission) {
		return false, nil // what cannot be read was not written here
	}
	if err != nil {
		return false, err
	}
	defer f.Close()
	head := make([]byte, len(d.tree.header(path)))
	if n, _ := f.ReadAt(head, 0); n < len(head) {
		return false, nil
	}
	return d.isOwn(path, head), nil
}

func (d *directory) isOwn(path string, text []byte) bool {
	return bytes.HasPrefix(text, []byte(d.tree.header(path)))
}

// put stages a text that differs from the file in its place.
func (d *directory) put(i int, text []byte) error {
	path := d.paths[i]
	if d.exists[i] {
		same, err := d.same(path, text)
		if same || err != nil {
			return err
		}
	}
	stage, err := d.addStaged(i)
	if stage == "" || err != nil {
		return err
	}
	return os.WriteFile(filepath.Join(stage, filepath.FromSlash(path)), text, 0o644)
}

// same says whether a file of the Tree holds the text.
func (d *directory) same(path string, text []byte) (bool, error) {
	f, err := os.Open(d.at(path))
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
	if !d.isOwn(path, old.Bytes()) {
		return false, d.foreign(path)
	}
	return false, nil
}

// addStaged makes room in the stage, where a file waits for the commit under
// the path that it will have. The stage is empty where nothing may be written;
// why it cannot be made is told once.
func (d *directory) addStaged(i int) (stage string, err error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.refused {
		return "", nil
	}
	defer func() { d.refused = err != nil }()
	if d.stage == "" {
		if d.stage, err = os.MkdirTemp(d.root, stagePrefix); err != nil {
			return "", err
		}
		d.holding = make(map[string]bool)
	}
	if folder, _, ok := strings.Cut(d.paths[i], "/"); ok && !d.holding[folder] {
		if err := os.Mkdir(filepath.Join(d.stage, folder), 0o755); err != nil {
			return "", err
		}
		if err := d.movable(folder); err != nil {
			return "", err
		}
		d.holding[folder] = true
	}
	d.staged = append(d.staged, i)
	return d.stage, nil
}

// movable sees to it that files can be moved to a folder that is there, by
// moving an empty one: neither into another file system nor without the right
// to write can they.
func (d *directory) movable(folder string) error {
	if !d.folders[folder] {
		return nil
	}
	from := filepath.Join(d.stage, stagePrefix+"empty")
	if err := os.Mkdir(from, 0o755); err != nil {
		return err
	}
	to := filepath.Join(d.at(folder), filepath.Base(d.stage))
	if err := d.rename(from, to); err != nil {
		return fmt.Errorf("%s: a file cannot be moved into it from %s, and a layer must be a folder of the same file system that can be written: %w", d.at(folder), d.root, err)
	}
	return os.Remove(to)
}

// commit moves what was staged to its place, and removes what is stale.
func (d *directory) commit(report *Report) error {
	defer d.close()
	if d.stage != "" {
		defer os.RemoveAll(d.stage)
	}
	move := func(path string) error {
		return d.rename(filepath.Join(d.stage, filepath.FromSlash(path)), d.at(path))
	}
	for _, folder := range sorted(d.holding) {
		if !d.folders[folder] { // new: it takes its place as a whole
			if err := move(folder); err != nil {
				return err
			}
		}
	}
	slices.Sort(d.staged)
	for _, i := range d.staged {
		if folder, _, ok := strings.Cut(d.paths[i], "/"); !ok || d.folders[folder] {
			if err := move(d.paths[i]); err != nil {
				return err
			}
		}
		report.Written = append(report.Written, d.paths[i])
	}
	for _, path := range d.stale {
		if err := os.RemoveAll(d.at(path)); err != nil {
			return err
		}
		if !strings.HasPrefix(filepath.Base(path), stagePrefix) {
			report.Removed = append(report.Removed, path)
		}
		if folder, _, ok := strings.Cut(path, "/"); ok {
			os.Remove(d.at(folder)) // if that was its last file
		}
	}
	return nil
}

// abort leaves everything as it was.
func (d *directory) abort() {
	defer d.close()
	if d.stage != "" {
		os.RemoveAll(d.stage)
	}
	for _, dir := range slices.Backward(d.made) {
		os.Remove(dir) // unless there is something in it
	}
}

func sorted(set map[string]bool) []string { return slices.Sorted(maps.Keys(set)) }
