// Package golden compares what a Tree renders with files that were reviewed.
//
// A layer keeps the accepted files in a folder of its repository, exactly as
// the render command writes them, and has a test:
//
//	func TestGolden(t *testing.T) {
//		tree, err := data.Tree("", render.Images{})
//		if err != nil {
//			t.Fatal(err)
//		}
//		golden.Check(t, tree, "../golden")
//	}
//
// Run the test with -update to accept what is rendered, and review the change
// of the files. The package registers that flag: import it in tests only.
package golden

import (
	"cmp"
	"errors"
	"flag"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"path"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"testing"

	gocmp "github.com/google/go-cmp/cmp"
	"k8s.io/apimachinery/pkg/util/validation"
	"sigs.k8s.io/yaml"

	"git.lastcloud.io/ronnibaslund/dezky/fleet/render"
)

var update = flag.Bool("update", false, "write what is rendered to the golden files instead of comparing")

// Check renders the tree and fails the test where a file in dir differs, is
// missing, or is left over, and where a second rendering differs from the
// first, as when a component goes through a map in no order. With -update it
// writes the files instead of comparing them.
func Check(t testing.TB, tree render.Tree, dir string) {
	t.Helper()
	files, _, err := tree.Files()
	if err != nil {
		t.Fatalf("rendering for %s:\n%v", dir, err)
	}
	again, _, err := tree.Files()
	if err != nil {
		t.Fatalf("rendering for %s again:\n%v", dir, err)
	}
	if diff := compare(files, again); diff != "" {
		t.Fatalf("two renderings of one tree differ, so nothing can be accepted in %s: what makes these fields must give the same each time, such as the keys of a map in order (-first +second):\n\n%s", dir, diff)
	}
	if *update {
		report, err := tree.WriteDir(dir)
		if err != nil {
			t.Fatalf("updating %s:\n%v", dir, err)
		}
		for _, path := range report.Written {
			t.Logf("wrote %s", filepath.Join(dir, path))
		}
		for _, path := range report.Removed {
			t.Logf("removed %s", filepath.Join(dir, path))
		}
		return
	}
	diff, err := Diff(os.DirFS(dir), files)
	if err != nil {
		t.Fatal(err)
	}
	if diff != "" {
		t.Errorf("what is rendered is not what was accepted in %s (-golden +rendered):\n\n%s\nIf that is what you meant, accept it, and have the change reviewed:\n\n\t%s\n", dir, diff, acceptCommand())
	}
}

// acceptCommand is the command, from the root of the module, that accepts.
func acceptCommand() string {
	dir, err := os.Getwd()
	if err != nil {
		return "go test -update"
	}
	for root := dir; ; root = filepath.Dir(root) {
		if _, err := os.Stat(filepath.Join(root, "go.mod")); err == nil {
			if rel, err := filepath.Rel(root, dir); err == nil && rel != "." {
				return "go test ./" + filepath.ToSlash(rel) + " -update"
			}
			return "go test . -update"
		}
		if root == filepath.Dir(root) {
			return "go test -update"
		}
	}
}

// compare tells the difference between two renderings of the same files.
func compare(first, second []render.Rendered) string {
	var b strings.Builder
	for i, file := range first {
		if old, text := string(file.Data), string(second[i].Data); old != text {
			fmt.Fprintf(&b, "  %s\n%s", file.Path, fileDiff(file.Path, old, text))
		}
	}
	return b.String()
}

// Diff tells the difference between golden files and rendered ones: file by
// file, object by object, field by field. It is empty where there is none.
//
// A file that is not rendered is left over if an earlier rendering wrote it, or
// if it is a manifest beside those of a layer. Other files cannot be goldens,
// and are left alone: hidden ones, copies, and what editors and file managers
// leave behind.
func Diff(golden fs.FS, rendered []render.Rendered) (string, error) {
	files := make(map[string]string, len(rendered)) // the rendered text by its path
	layers := make(map[string]bool)                 // folders of rendered manifests
	for _, file := range rendered {
		files[file.Path] = string(file.Data)
		if strings.HasSuffix(file.Path, ".yaml") {
			layers[path.Dir(file.Path)] = true
		}
	}
	want := make(map[string]string)
	err := fs.WalkDir(golden, ".", func(name string, d fs.DirEntry, err error) error {
		_, wanted := files[name]
		switch {
		case errors.Is(err, fs.ErrNotExist) && name == ".":
			return fs.SkipAll // no goldens yet: every file is added
		case d != nil && d.IsDir() && name != "." && strings.HasPrefix(d.Name(), "."):
			return fs.SkipDir
		case err != nil || d.IsDir():
			return err
		case !wanted && (!d.Type().IsRegular() || !isName(name)):
			return nil
		}
		data, err := fs.ReadFile(golden, name)
		as, isRendered := render.RenderedPath(data)
		if wanted || as == name || !isRendered && layers[path.Dir(name)] && path.Ext(name) == ".yaml" {
			want[name] = string(data)
		}
		return err
	})
	if err != nil {
		return "", err
	}
	var b strings.Builder
	for _, file := range rendered {
		old, ok := want[file.Path]
		delete(want, file.Path)
		switch {
		case !ok:
			fmt.Fprintf(&b, "+ %s: a new file\n", file.Path)
		case old != string(file.Data):
			fmt.Fprintf(&b, "  %s\n%s", file.Path, fileDiff(file.Path, old, string(file.Data)))
		}
	}
	for _, name := range slices.Sorted(maps.Keys(want)) {
		fmt.Fprintf(&b, "- %s: not rendered; -update removes it if an earlier rendering wrote it\n", name)
	}
	return b.String(), nil
}

// isName reports whether a rendering can write a file of this name.
func isName(name string) bool {
	ext := path.Ext(name)
	return len(validation.IsDNS1123Subdomain(strings.ToLower(path.Base(name)))) == 0 && (ext == ".yaml" || ext == ".yml" || ext == ".md" || ext == ".txt")
}

// fileDiff compares two texts of one file, as objects where they are.
func fileDiff(path, old, text string) string {
	if !strings.HasSuffix(path, ".yaml") {
		return lineDiff(old, text)
	}
	was, err := objects(old)
	if err != nil {
		return lineDiff(old, text)
	}
	is, err := objects(text)
	if err != nil {
		return lineDiff(old, text)
	}
	var b strings.Builder
	for _, name := range slices.Sorted(maps.Keys(is)) {
		if _, ok := was[name]; !ok {
			fmt.Fprintf(&b, "  + %s: a new object\n", name)
			continue
		}
		if d := fieldDiff(was[name], is[name]); d != "" {
			fmt.Fprintf(&b, "    %s\n%s", name, d)
		}
	}
	for _, name := range slices.Sorted(maps.Keys(was)) {
		if _, ok := is[name]; !ok {
			fmt.Fprintf(&b, "  - %s: no longer rendered\n", name)
		}
	}
	if b.Len() == 0 { // comments, style, or the order of the objects
		return lineDiff(old, text)
	}
	return b.String()
}

// objects takes a file apart: each object by its kind and name, with lists of
// named things turned into maps, so that a path says which one it means.
func objects(text string) (map[string]any, error) {
	all := make(map[string]any)
	for doc := range strings.SplitSeq("\n"+text, "\n---\n") {
		var o map[string]any
		if err := yaml.Unmarshal([]byte(doc), &o); err != nil {
			return nil, err
		}
		if o == nil {
			continue
		}
		meta, _ := o["metadata"].(map[string]any)
		name := fmt.Sprint(o["kind"]) + " "
		if ns, ok := meta["namespace"]; ok {
			name += fmt.Sprint(ns) + "/"
		}
		all[name+fmt.Sprint(meta["name"])] = byName(o)
	}
	return all, nil
}

// byName turns lists whose elements all have a name of their own into maps.
func byName(v any) any {
	switch v := v.(type) {
	case map[string]any:
		for k, e := range v {
			v[k] = byName(e)
		}
	case []any:
		named := make(map[string]any, len(v))
		for i, e := range v {
			v[i] = byName(e)
			if m, ok := v[i].(map[string]any); ok {
				if name, ok := m["name"].(string); ok {
					named["["+name+"]"] = m
				}
			}
		}
		if len(v) > 0 && len(named) == len(v) {
			return named
		}
	}
	return v
}

// fieldDiff is a line for each field that was, and one for each that is.
func fieldDiff(was, is any) string {
	var r reporter
	gocmp.Equal(was, is, gocmp.Reporter(&r))
	slices.SortStableFunc(r.lines, func(a, b change) int { return cmp.Compare(a.path, b.path) })
	var b strings.Builder
	for _, l := range r.lines {
		if l.was.IsValid() {
			writeValue(&b, "-", l.path, l.was)
		}
		if l.is.IsValid() {
			writeValue(&b, "+", l.path, l.is)
		}
	}
	return b.String()
}

func writeValue(b *strings.Builder, sign, path string, v reflect.Value) {
	value := v.Interface()
	text, err := yaml.Marshal(value)
	if err != nil {
		text = fmt.Append(nil, value)
	}
	lines := strings.Split(strings.TrimRight(string(text), "\n"), "\n")
	if len(lines) == 1 {
		fmt.Fprintf(b, "    %s   %s: %s\n", sign, path, lines[0])
		return
	}
	fmt.Fprintf(b, "    %s   %s:\n", sign, path)
	for _, line := range lines {
		fmt.Fprintf(b, "    %s       %s\n", sign, line)
	}
}

// reporter gathers the fields that differ.
type reporter struct {
	path  gocmp.Path
	lines []change
}

type change struct {
	path    string
	was, is reflect.Value
}

func (r *reporter) PushStep(step gocmp.PathStep) { r.path = append(r.path, step) }
func (r *reporter) PopStep()                     { r.path = r.path[:len(r.path)-1] }

func (r *reporter) Report(result gocmp.Result) {
	if result.Equal() {
		return
	}
	was, is := r.path.Last().Values()
	if was.IsValid() && is.IsValid() && was.Kind() == reflect.String && is.Kind() == reflect.String &&
		strings.Contains(was.String(), "\n") && strings.Contains(is.String(), "\n") {
		r.lines = append(r.lines, textChanges(r.name(), was.String(), is.String())...)
		return
	}
	r.lines = append(r.lines, change{r.name(), was, is})
}

// name is the path as people write it: spec.containers[portal].env[PORT].value.
func (r *reporter) name() string {
	var b strings.Builder
	for _, step := range r.path {
		switch s := step.(type) {
		case gocmp.MapIndex:
			key := s.Key().String()
			switch {
			case strings.HasPrefix(key, "["):
			case strings.ContainsAny(key, "./"):
				key = "[" + key + "]"
			case b.Len() > 0:
				b.WriteByte('.')
			}
			b.WriteString(key)
		case gocmp.SliceIndex:
			i := s.Key()
			if was, is := s.SplitKeys(); i < 0 {
				i = max(was, is)
			}
			fmt.Fprintf(&b, "[%d]", i)
		}
	}
	return b.String()
}

// textChanges are the lines by which two texts in one field differ.
func textChanges(path, was, is string) []change {
	var all []change
	for _, l := range diffLines(was, is) {
		v := reflect.ValueOf(l.text)
		if l.sign == '-' {
			all = append(all, change{path: path, was: v})
		} else {
			all = append(all, change{path: path, is: v})
		}
	}
	return all
}

// lineDiff is for files that are not objects.
func lineDiff(was, is string) string {
	var b strings.Builder
	for _, l := range diffLines(was, is) {
		fmt.Fprintf(&b, "    %c   %s\n", l.sign, l.text)
	}
	return b.String()
}

type lineChange struct {
	sign byte
	text string
}

// diffLines are the lines that went and came, found by go-cmp's alignment.
func diffLines(was, is string) []lineChange {
	var r lineReporter
	gocmp.Equal(strings.Split(was, "\n"), strings.Split(is, "\n"), gocmp.Reporter(&r))
	return r.lines
}

type lineReporter struct {
	path  gocmp.Path
	lines []lineChange
}

func (r *lineReporter) PushStep(step gocmp.PathStep) { r.path = append(r.path, step) }
func (r *lineReporter) PopStep()                     { r.path = r.path[:len(r.path)-1] }

func (r *lineReporter) Report(result gocmp.Result) {
	if result.Equal() {
		return
	}
	was, is := r.path.Last().Values()
	if was.IsValid() {
		r.lines = append(r.lines, lineChange{'-', was.String()})
	}
	if is.IsValid() {
		r.lines = append(r.lines, lineChange{'+', is.String()})
	}
}
