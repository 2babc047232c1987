package plan

import (
	"bytes"
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"os/exec"
	"path"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
)

// isRendered reports whether a rendering can have a file of this name. What
// else lies in a directory is left alone.
func isRendered(name string) bool {
	return slices.Contains([]string{".yaml", ".yml", ".md", ".txt"}, path.Ext(name))
}

// source reads one side. Directory is what git:REV is of where it names none.
func source(ctx context.Context, name, directory string, stdin io.Reader) (Rendering, error) {
	if rest, ok := strings.CutPrefix(name, "git:"); ok {
		rev, named, _ := strings.Cut(rest, ":")
		files, err := revision(ctx, rev, cmp.Or(named, directory))
		return Rendering{Files: files}, err
	}
	if directoryOf(name) != "" {
		files, err := readDirectory(name)
		return Rendering{Files: files}, err
	}
	var text []byte
	var err error
	if name == "-" {
		text, err = io.ReadAll(stdin)
		name = "standard input"
	} else {
		text, err = os.ReadFile(name)
	}
	if err != nil {
		return Rendering{}, err
	}
	objects, errs := parse(name, text)
	return Rendering{Loose: objects, Alone: true}, errs.Err()
}

// directoryOf returns the name where it is one of a directory, and nothing
// where it is one of a file, standard input or git.
func directoryOf(name string) string {
	if name == "" || name == "-" || strings.HasPrefix(name, "git:") {
		return ""
	}
	if info, err := os.Stat(name); err == nil && !info.IsDir() {
		return ""
	}
	return name
}

// readDirectory reads the rendered files of a directory, by their path in it.
func readDirectory(dir string) (map[string][]byte, error) {
	files := make(map[string][]byte)
	err := filepath.WalkDir(dir, func(name string, d fs.DirEntry, err error) error {
		switch {
		case err != nil:
			return err
		case d.IsDir() && name != dir && strings.HasPrefix(d.Name(), "."):
			return fs.SkipDir
		case !d.Type().IsRegular() || !isRendered(name):
			return nil
		}
		rel, err := filepath.Rel(dir, name)
		if err != nil {
			return err
		}
		files[filepath.ToSlash(rel)], err = os.ReadFile(name)
		return err
	})
	return files, err
}

// revision reads what directory would have read at a revision of git. A
// directory that the revision does not have is empty; a revision that is not
// there is an error.
func revision(ctx context.Context, rev, dir string) (map[string][]byte, error) {
	if strings.HasPrefix(rev, "-") || rev == "" {
		return nil, fmt.Errorf("git:%s: is no revision", rev)
	}
	commit, err := git(ctx, dir, nil, "rev-parse", "--verify", "--quiet", rev+"^{commit}")
	if err != nil {
		return nil, fmt.Errorf("git:%s: there is no such commit here: fetch it: %w", rev, err)
	}
	id := strings.TrimSpace(string(commit))
	prefix, err := git(ctx, dir, nil, "rev-parse", "--show-prefix")
	if err != nil {
		return nil, fmt.Errorf("git:%s: %w", rev, err)
	}
	folder := strings.TrimSuffix(strings.TrimSpace(string(prefix)), "/")
	tree := id + ":" + folder
	if _, err := git(ctx, dir, nil, "cat-file", "-e", tree); err != nil {
		listed, err := git(ctx, dir, nil, "ls-tree", "--full-tree", "--name-only", "-z", id, "--", folder)
		if err != nil || len(listed) > 0 {
			return nil, errors.Join(fmt.Errorf("git:%s: %s cannot be read", rev, folder), err)
		}
		return map[string][]byte{}, nil
	}
	listing, err := git(ctx, dir, nil, "ls-tree", "-r", "-z", "--full-tree", tree)
	if err != nil {
		return nil, fmt.Errorf("git:%s: %w", rev, err)
	}
	var names []string
	var blobs strings.Builder
	for entry := range strings.SplitSeq(strings.TrimSuffix(string(listing), "\x00"), "\x00") {
		about, name, ok := strings.Cut(entry, "\t") // mode, type, id
		parts := strings.Fields(about)
		if !ok || len(parts) != 3 || !strings.HasPrefix(parts[0], "100") || !isRendered(name) || hiddenPath(name) {
			continue // a link, or nothing that is rendered
		}
		names = append(names, name)
		blobs.WriteString(parts[2] + "\n")
	}
	text, err := git(ctx, dir, strings.NewReader(blobs.String()), "cat-file", "--batch")
	if err != nil {
		return nil, fmt.Errorf("git:%s: %w", rev, err)
	}
	files := make(map[string][]byte, len(names))
	for _, name := range names { // each: id, type and size on a line, the content, a line end
		head, rest, ok := bytes.Cut(text, []byte("\n"))
		parts := strings.Fields(string(head))
		if !ok || len(parts) != 3 {
			return nil, fmt.Errorf("git:%s: %s cannot be read: %s", rev, name, head)
		}
		size, err := strconv.Atoi(parts[2])
		if err != nil || size < 0 || size >= len(rest) {
			return nil, fmt.Errorf("git:%s: %s cannot be read: %s", rev, name, head)
		}
		files[name], text = rest[:size:size], rest[size+1:]
	}
	return files, nil
}

// current is a directory for people, with the commit that it is of where git
// has one and nothing was changed since.
func current(ctx context.Context, dir string) string {
	commit, err := git(ctx, dir, nil, "rev-parse", "--short=12", "HEAD")
	if err != nil {
		return dir
	}
	if changed, err := git(ctx, dir, nil, "status", "--porcelain", "--", "."); err != nil || len(changed) > 0 {
		return dir
	}
	return dir + " of " + strings.TrimSpace(string(commit))
}

func hiddenPath(name string) bool {
	return strings.HasPrefix(name, ".") || strings.Contains(name, "/.")
}

func git(ctx context.Context, dir string, stdin *strings.Reader, args ...string) ([]byte, error) {
	cmd := exec.CommandContext(ctx, "git", args...)
	cmd.Dir = dir
	if stdin != nil {
		cmd.Stdin = stdin
	}
	var stderr bytes.Buffer
	cmd.Stderr = &stderr
	out, err := cmd.Output()
	if err != nil && stderr.Len() > 0 {
		err = fmt.Errorf("git %s: %s", args[0], strings.TrimSpace(stderr.String()))
	} else if err != nil {
		err = fmt.Errorf("git %s: %w", args[0], err)
	}
	return out, err
}
