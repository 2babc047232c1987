// Command everyday proves the first promise of the README: edit a definition,
// accept the goldens, commit. It makes everyday changes to a copy of this
// repository, one at a time, accepts the goldens after each, and runs the tests
// of every package that a definition reaches: nothing but a golden may hold
// what a definition says.
//
//	go run ./internal/everyday [-run REGEXP]
//
// It works in a copy at a fixed path in the user's cache directory, so that
// the build cache serves from one change to the next. The last line counts
// what passed; the exit status is 1 where a change failed.
package main

import (
	"bytes"
	"context"
	"errors"
	"flag"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
)

// change is what somebody does on an ordinary day.
type change struct {
	// name in a few words.
	name string
	// edits of the definitions.
	edits []edit
	// refused is a part of the message with which the tests must refuse the
	// change. If empty, it is accepted.
	refused string
	// silent says that no golden shows the change.
	silent bool
}

// edit changes one file.
type edit struct {
	// file below the root of the repository.
	file string
	// from is another file, of which file becomes a copy first. If empty, file
	// is there already.
	from string
	// pairs of old and new text; each old text stands in the file.
	pairs []string
	// remove removes the file.
	remove bool
}

func main() {
	only := flag.String("run", "", "make the changes whose name matches this `regexp` only")
	flag.Parse()
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	defer stop()
	if err := run(ctx, *only); err != nil {
		fmt.Fprintln(os.Stderr, "everyday:", err)
		stop()
		os.Exit(1)
	}
}

func run(ctx context.Context, only string) error {
	match, err := regexp.Compile(only)
	if err != nil {
		return fmt.Errorf("-run: %w", err)
	}
	cache, err := os.UserCacheDir()
	if err != nil {
		return err
	}
	c := copied{dir: filepath.Join(cache, "dezky-fleet-everyday", "fleet"), files: make(map[string][]byte)}
	if err := c.make(ctx); err != nil {
		return err
	}
	if err := c.reach(ctx); err != nil {
		return err
	}
	if _, err := c.accept(ctx); err != nil {
		return err
	}
	passed, failed := 0, 0
	for _, change := range changes() {
		if !match.MatchString(change.name) {
			continue
		}
		said, err := c.try(ctx, change)
		if ctx.Err() != nil {
			return ctx.Err()
		}
		if err != nil {
			failed++
			fmt.Printf("FAIL %s: %v\n", change.name, err)
			continue
		}
		passed++
		fmt.Printf("ok   %s: %s\n", change.name, said)
	}
	fmt.Printf("everyday: %d passed, %d failed\n", passed, failed)
	if failed > 0 {
		return errors.New("a change of a definition left more than goldens behind")
	}
	return nil
}

// copied is the copy of the repository.
type copied struct {
	dir string
	// files are what the repository holds, by path.
	files map[string][]byte
	// reached are the packages that a definition reaches: those that import
	// the tier, themselves or in their tests.
	reached []string
}

// reach finds the packages that a definition reaches.
func (c *copied) reach(ctx context.Context) error {
	out, err := c.command(ctx, "go", "list", "-test", "-f", `{{if .ForTest}}{{.ForTest}}{{else}}{{.ImportPath}}{{end}} {{join .Deps " "}}`, "./...")
	if err != nil {
		return fmt.Errorf("go list: %w\n%s", err, out)
	}
	seen := make(map[string]bool)
	for line := range strings.Lines(out) {
		words := strings.Fields(line)
		name := words[0]
		if !seen[name] && !strings.HasSuffix(name, ".test") && (strings.HasSuffix(name, "/fleet/apps") || slices.ContainsFunc(words[1:], func(dep string) bool { return strings.HasSuffix(dep, "/fleet/apps") })) {
			seen[name] = true
			c.reached = append(c.reached, name)
		}
	}
	return nil
}

// make copies what git has, and what it has not yet been told to ignore.
func (c copied) make(ctx context.Context) error {
	list, err := exec.CommandContext(ctx, "git", "ls-files", "--cached", "--others", "--exclude-standard").Output()
	if err != nil {
		return fmt.Errorf("git ls-files: %w", err)
	}
	for path := range strings.Lines(string(list)) {
		path = strings.TrimSuffix(path, "\n")
		data, err := os.ReadFile(path)
		if errors.Is(err, fs.ErrNotExist) { // removed, and not committed
			continue
		}
		if err != nil {
			return err
		}
		c.files[path] = data
	}
	return c.reset()
}

// reset makes the copy what the repository is.
func (c copied) reset() error {
	if err := os.RemoveAll(c.dir); err != nil {
		return err
	}
	for path, data := range c.files {
		target := filepath.Join(c.dir, path)
		if err := os.MkdirAll(filepath.Dir(target), 0o755); err != nil {
			return err
		}
		if err := os.WriteFile(target, data, 0o644); err != nil {
			return err
		}
	}
	return nil
}

// accept accepts the goldens, and returns how many files that changed.
func (c copied) accept(ctx context.Context) (int, error) {
	if out, err := c.command(ctx, "make", "--no-print-directory", "golden"); err != nil {
		return 0, fmt.Errorf("make golden: %w\n%s", err, out)
	}
	changed := 0
	err := filepath.WalkDir(c.dir, func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		data, err := os.ReadFile(path)
		if err != nil {
			return err
		}
		rel, err := filepath.Rel(c.dir, path)
		if err != nil {
			return err
		}
		if rel = filepath.ToSlash(rel); strings.Contains("/"+rel, "/golden/") && !bytes.Equal(data, c.files[rel]) {
			changed++
		}
		return nil
	})
	return changed, err
}

// try makes one change, and undoes it.
func (c copied) try(ctx context.Context, change change) (string, error) {
	defer c.reset()
	for _, e := range change.edits {
		if err := c.edit(e); err != nil {
			return "", err
		}
	}
	goldens, err := c.accept(ctx)
	out := ""
	if err == nil {
		out, err = c.command(ctx, "go", append([]string{"test", "."}, c.reached...)...)
	} else {
		out = err.Error()
	}
	switch {
	case change.refused != "" && err == nil:
		return "", fmt.Errorf("it must be refused, and is not: %s", change.refused)
	case change.refused != "" && !strings.Contains(out, change.refused):
		return "", fmt.Errorf("it must be refused with %q, and says\n%s", change.refused, out)
	case change.refused != "":
		return "refused, as it must be: " + change.refused, nil
	case err != nil:
		return "", fmt.Errorf("with the goldens accepted, this is red:\n%s", failures(out))
	case goldens == 0 && !change.silent:
		return "", errors.New("no golden shows it")
	case goldens > 0 && change.silent:
		return "", fmt.Errorf("%d goldens show it, and none should", goldens)
	case change.silent:
		return "no golden shows it, as it should be", nil
	}
	return fmt.Sprintf("%d golden files, nothing else", goldens), nil
}

func (c copied) edit(e edit) error {
	if e.remove {
		return os.Remove(filepath.Join(c.dir, e.file))
	}
	source := e.file
	if e.from != "" {
		source = e.from
	}
	data, err := os.ReadFile(filepath.Join(c.dir, source))
	if err != nil {
		return err
	}
	text := string(data)
	for i := 0; i+1 < len(e.pairs); i += 2 {
		if !strings.Contains(text, e.pairs[i]) {
			return fmt.Errorf("%s does not hold %q: the change must follow the definitions", source, e.pairs[i])
		}
		text = strings.ReplaceAll(text, e.pairs[i], e.pairs[i+1])
	}
	return os.WriteFile(filepath.Join(c.dir, e.file), []byte(text), 0o644)
}

func (c copied) command(ctx context.Context, name string, args ...string) (string, error) {
	cmd := exec.CommandContext(ctx, name, args...)
	cmd.Dir = c.dir
	out, err := cmd.CombinedOutput()
	return string(out), err
}

// failures returns what failed, without the packages that passed.
func failures(out string) string {
	var b strings.Builder
	for line := range strings.Lines(out) {
		if !strings.HasPrefix(line, "ok ") && !strings.Contains(line, "[no test files]") {
			b.WriteString(line)
		}
	}
	return b.String()
}
