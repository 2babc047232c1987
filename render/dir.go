package render

import (
	"bytes"
	"cmp"
	"crypto/rand"
	"errors"
	"fmt"
	"io/fs"
	"iter"
	"os"
	"path"
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
// leaves each file old or new. So the folders of what is rendered must be
// folders of the directory's own file system, and no links; nothing outside of
// the directory is ever read or written. While a rendering into the
// directory is under way, another one is refused, except on Windows and on
// file systems without flock(2).
func (t Tree) WriteDir(dir string) (Report, error) {
	return t.render(&directory{tree: t, root: dir, rename: (*os.Root).Rename})
}

const stagePrefix = ".render-stage-"

type directory struct {
	tree  Tree
	root  string
	paths []string
	// exists tells which paths are there already.
	exists []bool
	// folders are those that the paths are in; true: it is there already.
	folders map[string]bool
	// stale paths are removed.
	stale   []string
	made    []string // the root, and what it is in, if they were not there
	lock    *os.File // the root, locked
	in      *os.Root // the root: all paths are below it
	refused bool     // nothing may be written
	rename  func(in *os.Root, from, to string) error

	read sync.Pool // *bytes.Buffer, for the files that are there

	mu      sync.Mutex
	opened  map[string]*os.Root // folders of the root, as their files need them
	stage   string              // made with the first file that differs
	holding map[string]bool     // folders that the stage has
	movable map[string]bool     // folders to which the stage can be moved
	staged  []int
}

// at is where a path stands, for messages.
func (d *directory) at(path string) string {
	return filepath.Join(d.root, filepath.FromSlash(path))
}

// wrap says of an error in which directory it happened.
func (d *directory) wrap(err error) error {
	if err == nil {
		return nil
	}
	return fmt.Errorf("%s: %w", d.root, err)
}

// folder opens a folder of the root once for all of its files.
func (d *directory) folder(name string) (*os.Root, error) {
	if name == "." {
		return d.in, nil
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	if opened, ok := d.opened[name]; ok {
		return opened, nil
	}
	opened, err := d.in.OpenRoot(name)
	if err == nil {
		if d.opened == nil {
			d.opened = make(map[string]*os.Root)
		}
		d.opened[name] = opened
	}
	return opened, err
}

func (d *directory) openFile(name string) (*os.File, error) {
	folder, err := d.folder(path.Dir(name))
	if err != nil {
		return nil, err
	}
	return folder.Open(path.Base(name))
}

func (d *directory) writeFile(name string, text []byte) error {
	folder, err := d.folder(path.Dir(name))
	if err != nil {
		return err
	}
	return folder.WriteFile(path.Base(name), text, 0o644)
}

// closeFolders closes what folder opened, before folders are moved.
func (d *directory) closeFolders() {
	for _, opened := range d.opened {
		opened.Close()
	}
	d.opened = nil
}

// parents are the folders that a path is in, outermost first.
func parents(path string) iter.Seq[string] {
	return func(yield func(string) bool) {
		for i, r := range path {
			if r == '/' && !yield(path[:i]) {
				return
			}
		}
	}
}

// prepare looks at what is there.
func (d *directory) prepare(paths []string) error {
	d.paths, d.exists = paths, make([]bool, len(paths))
	d.folders = make(map[string]bool)
	index := make(map[string]int, len(paths))
	names := make(map[string]string, len(paths)) // by their lower case
	for i, name := range paths {
		index[name] = i
		names[strings.ToLower(name)] = name
		for folder := range parents(name) {
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
	look := []string{"."} // the root, then all folders below it
	for k := 0; k < len(look); k++ {
		folder := look[k]
		entries, err := fs.ReadDir(d.in.FS(), folder)
		if _, wanted := d.folders[folder]; err != nil && !wanted && folder != "." && errors.Is(err, fs.ErrPermission) {
			continue // what cannot be read was not written here
		}
		if err != nil {
			errs = append(errs, d.wrap(err))
			continue
		}
		for _, e := range entries {
			at := path.Join(folder, e.Name())
			i, wanted := index[at]
			_, wantedFolder := d.folders[at]
			name, alike := names[strings.ToLower(at)]
			switch {
			case alike && name != at:
				errs = append(errs, fmt.Errorf("%s: differs from %s in case only, which is one name on macOS and Windows: move it away", d.at(at), name))
			case wantedFolder && e.Type()&fs.ModeSymlink != 0:
				errs = append(errs, fmt.Errorf("%s: is a link, and must be a folder of this directory: remove the link, or render into the directory that it leads to", d.at(at)))
			case wantedFolder && !e.IsDir():
				errs = append(errs, fmt.Errorf("%s: is not a directory: move it away, or choose another directory", d.at(at)))
			case wanted && !e.Type().IsRegular():
				errs = append(errs, fmt.Errorf("%s: is not a regular file: move it away, or choose another directory", d.at(at)))
			case wanted:
				d.exists[i] = true // put reads it, and looks whose it is
			case e.IsDir() && strings.HasPrefix(e.Name(), stagePrefix):
				d.stale = append(d.stale, at) // of an interrupted rendering
			case wantedFolder:
				d.folders[at] = true
				look = append(look, at)
			case e.IsDir() && !strings.HasPrefix(e.Name(), "."):
				look = append(look, at) // may be one of an earlier rendering
			case layers[folder] && applied(at) && !e.IsDir() && !e.Type().IsRegular():
				errs = append(errs, d.foreign(at)) // a link, which kubectl follows
			case e.Type().IsRegular():
				own, err := d.own(at)
				switch {
				case err != nil:
					errs = append(errs, err)
				case own:
					d.stale = append(d.stale, at)
				case layers[folder] && applied(at):
					errs = append(errs, d.foreign(at))
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
		same := false
		in, err := os.OpenRoot(d.root)
		if err == nil {
			if same, err = sameFile(dir, in); same {
				d.lock, d.in = dir, in
				return nil
			}
			in.Close()
		}
		dir.Close()
		if err != nil && !errors.Is(err, fs.ErrNotExist) {
			return err
		}
	}
}

// sameFile reports whether what was locked is what is written to.
func sameFile(locked *os.File, in *os.Root) (bool, error) {
	a, err := locked.Stat()
	if err != nil {
		return false, err
	}
	b, err := in.Stat(".")
	return err == nil && os.SameFile(a, b), err
}

// close gives the lock back.
func (d *directory) close() {
	if d.lock != nil {
		d.in.Close()
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
	if !slices.Contains(endings, filepath.Ext(path)) {
		return false, nil
	}
	f, err := d.in.Open(path)
	if errors.Is(err, fs.ErrPermission) {
		return false, nil // what cannot be read was not written here
	}
	if err != nil {
		return false, d.wrap(err)
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
		return d.wrap(err)
	}
	return d.wrap(d.writeFile(stage+"/"+path, text))
}

// same says whether a file of the Tree holds the text.
func (d *directory) same(path string, text []byte) (bool, error) {
	f, err := d.openFile(path)
	if err != nil {
		return false, d.wrap(err)
	}
	defer f.Close()
	old, ok := d.read.Get().(*bytes.Buffer)
	if !ok {
		old = new(bytes.Buffer)
	}
	defer d.read.Put(old)
	old.Reset()
	if _, err := old.ReadFrom(f); err != nil {
		return false, d.wrap(err)
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
		if err := d.makeStage(); err != nil {
			return "", err
		}
	}
	name := d.paths[i]
	for folder := range parents(name) {
		if !d.holding[folder] {
			if err := d.in.Mkdir(d.stage+"/"+folder, 0o755); err != nil {
				return "", err
			}
			d.holding[folder] = true
		}
	}
	if err := d.checkMove(path.Dir(d.unit(name))); err != nil {
		return "", err
	}
	d.staged = append(d.staged, i)
	return d.stage, nil
}

func (d *directory) makeStage() error {
	for {
		stage := stagePrefix + rand.Text()
		err := d.in.Mkdir(stage, 0o700)
		if errors.Is(err, fs.ErrExist) {
			continue
		}
		if err == nil {
			d.stage, d.holding, d.movable = stage, make(map[string]bool), make(map[string]bool)
		}
		return err
	}
}

// unit is what is moved in one move to bring a path to its place: the
// outermost folder that is new, or the file itself.
func (d *directory) unit(path string) string {
	for folder := range parents(path) {
		if !d.folders[folder] {
			return folder
		}
	}
	return path
}

// checkMove sees to it that files can be moved to a folder that is there, by
// moving an empty one: neither into another file system nor without the right
// to write can they.
func (d *directory) checkMove(folder string) error {
	if folder == "." || d.movable[folder] {
		return nil
	}
	from, to := d.stage+"/"+stagePrefix+"empty", folder+"/"+d.stage
	if err := d.in.Mkdir(from, 0o755); err != nil {
		return err
	}
	if err := d.rename(d.in, from, to); err != nil {
		return fmt.Errorf("%s: a file cannot be moved into it from %s, and it must be a folder of the same file system that can be written: %w", d.at(folder), d.root, err)
	}
	d.movable[folder] = true
	return d.in.Remove(to)
}

// commit moves what was staged to its place, and removes what is stale.
func (d *directory) commit(report *Report) error {
	defer d.close()
	d.closeFolders()
	if d.stage != "" {
		defer d.in.RemoveAll(d.stage)
	}
	slices.Sort(d.staged)
	moved := make(map[string]bool)
	var units []string
	for _, i := range d.staged {
		report.Written = append(report.Written, d.paths[i])
		if unit := d.unit(d.paths[i]); !moved[unit] {
			moved[unit] = true
			units = append(units, unit)
		}
	}
	// Folders that are new come first.
	slices.SortStableFunc(units, func(a, b string) int {
		return cmp.Compare(d.rank(a), d.rank(b))
	})
	for _, unit := range units {
		if err := d.rename(d.in, d.stage+"/"+unit, unit); err != nil {
			return d.wrap(err)
		}
	}
	for _, name := range d.stale {
		if err := d.in.RemoveAll(name); err != nil {
			return d.wrap(err)
		}
		if !strings.HasPrefix(path.Base(name), stagePrefix) {
			report.Removed = append(report.Removed, name)
		}
		for folder := path.Dir(name); folder != "."; folder = path.Dir(folder) {
			if d.in.Remove(folder) != nil {
				break // there is something in it
			}
		}
	}
	return nil
}

// rank is 0 for a folder that is new, and 1 for a file.
func (d *directory) rank(unit string) int {
	if _, folder := d.folders[unit]; folder {
		return 0
	}
	return 1
}

// abort leaves everything as it was.
func (d *directory) abort() {
	defer d.close()
	d.closeFolders()
	if d.stage != "" {
		d.in.RemoveAll(d.stage)
	}
	for _, dir := range slices.Backward(d.made) {
		os.Remove(dir) // unless there is something in it
	}
}
