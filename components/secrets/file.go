package secrets

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
)

// readFile reads a file that is to be filled. There is none yet where its
// content is nil.
func readFile(name string) ([]byte, error) {
	info, err := os.Lstat(name)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return nil, nil
	case err != nil:
		return nil, err
	case !info.Mode().IsRegular():
		return nil, fmt.Errorf("%s: is not a regular file: name the file itself", name)
	}
	return os.ReadFile(name)
}

// writeFile writes a file that only its owner can read, whole or not at all.
func writeFile(name string, data []byte) error {
	// CreateTemp opens the file with mode 0600, in the directory of the
	// other since a rename stays within a file system.
	temp, err := os.CreateTemp(filepath.Dir(name), ".secrets-*")
	if err != nil {
		return err
	}
	_, err = temp.Write(data)
	err = errors.Join(err, temp.Sync(), temp.Close())
	if err == nil {
		err = os.Rename(temp.Name(), name)
	}
	if err != nil {
		return errors.Join(err, os.Remove(temp.Name()))
	}
	return nil
}
