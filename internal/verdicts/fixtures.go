package verdicts

import (
	"archive/tar"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"io"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing/fstest"
)

// Cases reads the fixtures of a source: of its module, which is downloaded, or
// of the clone in the folder clones/NAME.
func (s Source) Cases(ctx context.Context, clones string) ([]Case, error) {
	files, err := s.files(ctx, clones)
	if err != nil {
		return nil, err
	}
	var cases []Case
	switch s.Name {
	case "kube-score":
		cases, err = kubeScore(files)
	case "kube-linter":
		cases, err = s.kubeLinter(files)
	case "kosko":
		cases, err = kosko(ctx, files)
	case "polaris":
		cases, err = polaris(files)
	case "traefik":
		cases, err = traefik(files)
	default:
		err = errors.New("nobody knows how to read its fixtures")
	}
	if err == nil && len(cases) == 0 {
		err = errors.New("no fixtures are found: are they elsewhere by now?")
	}
	if err != nil {
		return nil, fmt.Errorf("%s: %w", s.Name, err)
	}
	return cases, nil
}

// files returns the files of a source.
func (s Source) files(ctx context.Context, clones string) (fs.FS, error) {
	if s.Module == "" {
		dir := filepath.Join(clones, s.Name)
		out, err := run(ctx, "git", "-C", dir, "archive", s.Commit)
		if err != nil {
			return nil, fmt.Errorf("%w\ngit clone https://%s %s", err, s.Repository, dir)
		}
		return untar(out)
	}
	out, err := run(ctx, "go", "mod", "download", "-json", s.Module)
	if err != nil {
		return nil, err
	}
	var module struct{ Dir, Sum string }
	if err := json.Unmarshal(out, &module); err != nil {
		return nil, err
	}
	if s.Sum != "" && module.Sum != s.Sum {
		return nil, fmt.Errorf("%s has the checksum %s, want %s", s.Module, module.Sum, s.Sum)
	}
	return os.DirFS(module.Dir), nil
}

// untar returns the files of an archive.
func untar(text []byte) (fs.FS, error) {
	files := make(fstest.MapFS)
	archive := tar.NewReader(bytes.NewReader(text))
	for {
		header, err := archive.Next()
		if err == io.EOF {
			return files, nil
		}
		if err != nil {
			return nil, err
		}
		if header.Typeflag != tar.TypeReg {
			continue
		}
		data, err := io.ReadAll(archive)
		if err != nil {
			return nil, err
		}
		files[header.Name] = &fstest.MapFile{Data: data, Mode: 0o444}
	}
}

func run(ctx context.Context, name string, args ...string) ([]byte, error) {
	out, err := exec.CommandContext(ctx, name, args...).Output()
	if failed := (*exec.ExitError)(nil); errors.As(err, &failed) {
		return nil, fmt.Errorf("%s %s: %w\n%s%s", name, strings.Join(args, " "), err, out, failed.Stderr)
	}
	return out, err
}

// functionsOf returns the functions of a Go file.
func functionsOf(dir fs.FS, name string) ([]*ast.FuncDecl, error) {
	text, err := fs.ReadFile(dir, name)
	if err != nil {
		return nil, err
	}
	file, err := parser.ParseFile(token.NewFileSet(), name, text, 0)
	if err != nil {
		return nil, err
	}
	var functions []*ast.FuncDecl
	for _, decl := range file.Decls {
		if f, ok := decl.(*ast.FuncDecl); ok {
			functions = append(functions, f)
		}
	}
	return functions, nil
}
