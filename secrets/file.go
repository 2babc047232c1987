package secrets

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"time"
)

// readFile reads a file that is to be filled. There is none yet where its
// content is nil. Notes say what is to know of it.
func readFile(name string) (data []byte, notes []string, err error) {
	info, err := os.Lstat(name)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return nil, nil, nil
	case err != nil:
		return nil, nil, err
	case !info.Mode().IsRegular():
		return nil, nil, fmt.Errorf("%s: is not a regular file: name the file itself", name)
	}
	file, err := os.Open(name)
	if err != nil {
		return nil, nil, err
	}
	defer file.Close()
	// A link that took its place meanwhile is not followed.
	if opened, err := file.Stat(); err != nil || !os.SameFile(info, opened) {
		return nil, nil, fmt.Errorf("%s: changed while it was opened: try again", name)
	}
	if note := readableByOthers(name, info); note != "" {
		notes = append(notes, note+"; it becomes yours alone when it is written")
	}
	data, err = io.ReadAll(file)
	if data == nil {
		data = []byte{}
	}
	return data, notes, err
}

// readableByOthers says so of a file that holds secrets.
func readableByOthers(name string, info fs.FileInfo) string {
	if mode := info.Mode().Perm(); mode&0o077 != 0 {
		return fmt.Sprintf("%s: others than you may read it (mode %03o): chmod 600 %s", name, mode, name)
	}
	return ""
}

// writeFile writes a file that only its owner can read, whole or not at all.
// Old is what readFile found there, nil where there was nothing: a file that
// has appeared or changed since is left alone.
func writeFile(name string, old, data []byte) error {
	// In the directory of the other, since a rename stays within a file
	// system. CreateTemp opens the file with mode 0600.
	temp, err := os.CreateTemp(filepath.Dir(name), tempPrefix(name)+"*")
	if err != nil {
		return err
	}
	_, err = temp.Write(data)
	err = errors.Join(err, temp.Sync(), temp.Close())
	if err == nil {
		err = putInPlace(temp.Name(), name, old)
	}
	if removed := os.Remove(temp.Name()); err == nil && !errors.Is(removed, fs.ErrNotExist) {
		err = removed
	}
	return err
}

// putInPlace gives the temporary file its name.
func putInPlace(temp, name string, old []byte) error {
	if old == nil {
		// A link, unlike a rename, never replaces a file.
		if err := os.Link(temp, name); errors.Is(err, fs.ErrExist) {
			return fmt.Errorf("%s: appeared meanwhile, and is left as it is: look at it, and try again", name)
		} else if err != nil {
			return err
		}
		return nil
	}
	now, _, err := readFile(name)
	if err != nil {
		return err
	}
	if now == nil || !bytes.Equal(now, old) {
		return fmt.Errorf("%s: changed meanwhile, and is left as it is: look at it, and try again", name)
	}
	return os.Rename(temp, name)
}

// tempPrefix begins the names of the temporary files for a file.
func tempPrefix(name string) string { return "." + filepath.Base(name) + ".secrets-" }

// staleAfter is the age at which a temporary file is no longer being written:
// that takes moments.
const staleAfter = time.Minute

// removeStale removes the temporary files that killed runs left beside a
// file, and names them: they hold secrets.
func removeStale(name string) (notes []string, err error) {
	dir := filepath.Dir(name)
	entries, err := os.ReadDir(dir)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil // whoever writes there says so
	}
	if err != nil {
		return nil, err
	}
	for _, e := range entries {
		info, err := e.Info()
		if err != nil || !strings.HasPrefix(e.Name(), tempPrefix(name)) || !info.Mode().IsRegular() || time.Since(info.ModTime()) < staleAfter {
			continue
		}
		stale := filepath.Join(dir, e.Name())
		if err := os.Remove(stale); err != nil {
			return notes, err
		}
		notes = append(notes, stale+": was left by a run that was killed, and is removed")
	}
	return notes, nil
}
