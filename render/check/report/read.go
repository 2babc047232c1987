package report

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"unicode/utf8"

	"git.lastcloud.io/ronnibaslund/dezky/fleet/render/check"
	"git.lastcloud.io/ronnibaslund/dezky/fleet/render/manifest"
	"git.lastcloud.io/ronnibaslund/dezky/fleet/render/object"
)

// unreadable is the rule of what could not be read. It is an error, since
// what cannot be read cannot be found right.
const unreadable = "unreadable"

// stdinName is the name of standard input among the names of files.
const stdinName = "-"

// manifests are what was read.
type manifests struct {
	// Objects in the order of the files, and of a file in its order.
	Objects []*check.Object
	// Skipped is what is no object for the cluster, such as a workflow, each a
	// note with file, line and reason.
	Skipped object.Findings
	// Files that were read.
	Files int
}

// read reads files of YAML or JSON, and directories with their subfolders, of
// which it takes the files that end in .yaml, .yml or .json. The name - is
// standard input. A name that gives no object at all is an error.
//
// The error is an object.Findings of the rule unreadable; what could be read
// is returned beside it.
func read(stdin io.Reader, names ...string) (manifests, error) {
	var m manifests
	var mistakes object.Findings
	fail := func(file string, line int, problem string) {
		mistakes = append(mistakes, object.Finding{Rule: unreadable, File: filepath.ToSlash(file), Line: line, Problem: problem})
	}
	skip := func(file string, line int, reason string) {
		m.Skipped = append(m.Skipped, object.Finding{Severity: object.Note, File: filepath.ToSlash(file), Line: line, Problem: "skipped: " + reason})
	}
	take := func(file string, text []byte, err error) {
		if err != nil {
			fail(file, 0, reason(err))
			return
		}
		m.Files++
		before, failed, skipped := len(m.Objects), len(mistakes), len(m.Skipped)
		documents, err := decode(text)
		for _, err := range parts(err) {
			line := 0
			var at *manifest.Error
			if errors.As(err, &at) {
				line, err = at.Line, at.Err
			}
			if errors.Is(err, manifest.ErrNotObject) {
				skip(file, line, "it "+err.Error())
				continue
			}
			fail(file, line, err.Error())
		}
		for _, d := range documents {
			if id := object.IDOf(d.Object); id.Group == "kustomize.config.k8s.io" {
				skip(file, d.Line, id.Kind+" is for kustomize, not for the cluster: check what kustomize makes of it")
				continue
			}
			m.Objects = append(m.Objects, &check.Object{Object: d.Object, File: filepath.ToSlash(file), Line: d.Line})
		}
		if before == len(m.Objects) && failed == len(mistakes) && skipped == len(m.Skipped) {
			skip(file, 0, "it holds no object")
		}
	}
	for _, name := range names {
		before, failed := len(m.Objects), len(mistakes)
		if name == stdinName {
			text, err := io.ReadAll(stdin)
			take(name, text, err)
		} else {
			for _, file := range find(name, skip, fail) {
				text, err := os.ReadFile(file)
				take(file, text, err)
			}
		}
		if before == len(m.Objects) && failed == len(mistakes) {
			fail(name, 0, "holds no Kubernetes object")
		}
	}
	return m, mistakes.Err()
}

// find returns the file, or the manifests of the directory and its subfolders
// in the order of their names.
func find(name string, skip, fail func(file string, line int, problem string)) []string {
	if info, err := os.Stat(name); err != nil || !info.IsDir() {
		return []string{name}
	}
	var files []string
	err := filepath.WalkDir(filepath.Clean(name), func(path string, d fs.DirEntry, err error) error {
		switch {
		case err != nil:
			fail(path, 0, reason(err))
			return fs.SkipDir
		case d.IsDir() && d.Name() == ".git":
			return fs.SkipDir
		case d.IsDir():
			return nil
		}
		if d.Type()&fs.ModeSymlink != 0 {
			info, err := os.Stat(path)
			if err == nil && info.IsDir() {
				skip(path, 0, "it is a link to a directory: name that one too")
				return nil
			}
		}
		if slices.Contains([]string{".yaml", ".yml", ".json"}, filepath.Ext(path)) {
			files = append(files, path)
		}
		return nil
	})
	if err != nil {
		fail(name, 0, reason(err))
	}
	return files
}

// decode returns the objects of a text. JSON is taken as kubectl takes it: one
// object after the other, also without separators.
func decode(text []byte) ([]manifest.Document, error) {
	text = bytes.TrimPrefix(text, []byte("\ufeff"))
	if bytes.HasPrefix(text, []byte{0xff, 0xfe}) || bytes.HasPrefix(text, []byte{0xfe, 0xff}) {
		return nil, errors.New("is UTF-16: save it as UTF-8")
	}
	if !utf8.Valid(text) {
		for i, line := range bytes.Split(text, []byte("\n")) {
			if !utf8.Valid(line) {
				return nil, &manifest.Error{Line: i + 1, Err: errors.New("is no UTF-8")}
			}
		}
	}
	if bytes.HasPrefix(bytes.TrimSpace(text), []byte("{")) {
		if documents, err := decodeJSON(text); !errors.Is(err, errNotJSON) {
			return documents, err
		}
	}
	return manifest.Read(bytes.NewReader(text))
}

var errNotJSON = errors.New("is no JSON")

// decodeJSON reads a stream of JSON objects. The error is errNotJSON where the
// text is something else, such as YAML that begins with a brace.
func decodeJSON(text []byte) ([]manifest.Document, error) {
	var all []manifest.Document
	var errs []error
	stream := json.NewDecoder(bytes.NewReader(text))
	for {
		var raw json.RawMessage
		err := stream.Decode(&raw)
		if err == io.EOF {
			return all, errors.Join(errs...)
		}
		if err != nil {
			return nil, errNotJSON
		}
		start := int(stream.InputOffset()) - len(raw)
		line := 1 + bytes.Count(text[:start], []byte("\n"))
		var flat bytes.Buffer // YAML knows no tabs between the words
		if err := json.Compact(&flat, raw); err != nil {
			return nil, errNotJSON
		}
		documents, err := manifest.Read(&flat)
		for _, d := range documents {
			d.Line = line
			all = append(all, d)
		}
		for _, err := range parts(err) {
			var at *manifest.Error
			if errors.As(err, &at) {
				err = at.Err
			}
			errs = append(errs, &manifest.Error{Line: line, Err: err})
		}
	}
}

// parts takes a joined error apart.
func parts(err error) []error {
	if err == nil {
		return nil
	}
	if joined, ok := err.(interface{ Unwrap() []error }); ok {
		return joined.Unwrap()
	}
	return []error{err}
}

// reason is an error without the name of the file, which the finding has.
func reason(err error) string {
	var at *fs.PathError
	if errors.As(err, &at) {
		return fmt.Sprintf("cannot be read: %v", at.Err)
	}
	return "cannot be read: " + strings.TrimSpace(err.Error())
}

// readElsewhere reads the declarations of objects that exist in the cluster
// and are not under check. Each is a manifest that may be as short as its
// apiVersion, kind, namespace and name. Where a ConfigMap or Secret has data,
// it has those keys and no others; the values do not count. Where a Service
// has ports, likewise.
func readElsewhere(names ...string) ([]check.Elsewhere, error) {
	m, err := read(strings.NewReader(""), names...)
	if err != nil {
		return nil, err
	}
	all := make([]check.Elsewhere, len(m.Objects))
	for i, o := range m.Objects {
		all[i] = check.Declare(o.Object)
	}
	return all, nil
}
