package render

import (
	"errors"
	"os"
	"path"
	"path/filepath"
	"strings"
	"testing"
)

// TestOtherDevice: a layer into which files cannot be moved is refused before
// the first file is moved, and nothing is left behind.
func TestOtherDevice(t *testing.T) {
	dir := t.TempDir()
	if err := os.Mkdir(filepath.Join(dir, "b"), 0o755); err != nil {
		t.Fatal(err)
	}
	tree := Tree{Name: "a test", Layers: []Layer{{Name: "a", Files: []File{{Name: "f"}}}, {Name: "b", Files: []File{{Name: "f"}}}}}
	crossDevice := errors.New("invalid cross-device link")
	d := &directory{tree: tree, root: dir, rename: func(in *os.Root, from, to string) error {
		if path.Dir(to) == "b" {
			return crossDevice
		}
		return in.Rename(from, to)
	}}
	_, err := tree.render(d)
	if err == nil || !strings.Contains(err.Error(), filepath.Join(dir, "b")+": a file cannot be moved into it") || !strings.HasSuffix(err.Error(), crossDevice.Error()) {
		t.Errorf("the error is %v", err)
	}
	entries, err := os.ReadDir(dir)
	if err != nil || len(entries) != 1 {
		t.Errorf("the directory has %v (%v)", entries, err)
	}
	if _, err := tree.WriteDir(dir); err != nil {
		t.Errorf("on one device: %v", err)
	}
}
