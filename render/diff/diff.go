// Package diff compares two renderings: which files, objects and fields came,
// went or changed. The result is data, and the same for the same input;
// [Text] writes it for people.
package diff

import (
	"bytes"
	"fmt"
	"maps"
	"reflect"
	"slices"
	"strings"

	textdiff "github.com/rogpeppe/go-internal/diff"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"

	"git.lastcloud.io/ronnibaslund/dezky/fleet/render/manifest"
	"git.lastcloud.io/ronnibaslund/dezky/fleet/render/object"
)

// Op says what happened to a file or an object.
type Op string

// The operations.
const (
	Created Op = "created"
	Changed Op = "changed"
	Deleted Op = "deleted"
	// Moved is an object that another file holds now. Its fields may differ
	// besides.
	Moved Op = "moved"
)

// File is a file that is not the same in both renderings.
type File struct {
	// Path of the file, with slashes.
	Path string
	// Op is what happened to the file. The other fields are empty but for a
	// changed one.
	Op Op
	// Objects of the file that differ, ordered by identity.
	Objects []Object
	// Lines that differ, each with - or + before it. Empty where Objects says
	// what differs.
	Lines []string
}

// Object is an object that is not the same in both renderings.
type Object struct {
	// ID of the object.
	ID object.ID
	// Op is what happened to it.
	Op Op
	// From is the file that held a moved object before.
	From string
	// Fields of a changed or moved object that differ.
	Fields []Field
}

// Field is a field that is not the same in both renderings.
type Field struct {
	// Path of the field, such as spec.template.spec.containers[portal].image.
	// An element of a list is named by its keys, such as ports[53,UDP], or by
	// its index from 0 where its list has none. A key that has its default is
	// left out where another one is left.
	Path string
	// Was and Is are the values as JSON has them: nil, bool, int64, float64,
	// string, []any or map[string]any. Nil where the field was or is not set.
	Was, Is any
	// Order reports that only the order of a list's elements differs: Was and
	// Is are their names.
	Order bool
}

// Files compares the files of two renderings, given by their path. YAML is
// compared by object and field, everything else by line; so is YAML whose
// objects are the same, and YAML that cannot be read.
func Files(was, is map[string][]byte, schema Schema) []File {
	paths := maps.Clone(was)
	if paths == nil {
		paths = make(map[string][]byte)
	}
	maps.Copy(paths, is)
	var files []File
	for _, path := range slices.Sorted(maps.Keys(paths)) {
		before, had := was[path]
		now, has := is[path]
		switch {
		case !had:
			files = append(files, File{Path: path, Op: Created})
		case !has:
			files = append(files, File{Path: path, Op: Deleted})
		case !bytes.Equal(before, now):
			f := File{Path: path, Op: Changed}
			if strings.HasSuffix(path, ".yaml") {
				f.Objects = objectsOf(before, now, schema)
			}
			if len(f.Objects) == 0 {
				f.Lines = lines(string(before), string(now))
			}
			files = append(files, f)
		}
	}
	return files
}

// objectsOf compares the objects of two texts. It returns none where a text
// cannot be read.
func objectsOf(before, now []byte, schema Schema) []Object {
	was, err := read(before)
	if err != nil {
		return nil
	}
	is, err := read(now)
	if err != nil {
		return nil
	}
	return Objects(was, is, schema)
}

func read(text []byte) ([]*unstructured.Unstructured, error) {
	documents, err := manifest.Read(bytes.NewReader(text))
	if err != nil {
		return nil, err
	}
	objects := make([]*unstructured.Unstructured, len(documents))
	for i, d := range documents {
		objects[i] = d.Object
	}
	return objects, nil
}

// Objects compares two sets of objects by their identity. Where one identity
// stands more than once, the first is compared with the first, and so on.
func Objects(was, is []*unstructured.Unstructured, schema Schema) []Object {
	before, now := byID(was), byID(is)
	ids := slices.AppendSeq(slices.Collect(maps.Keys(before)), maps.Keys(now))
	slices.SortFunc(ids, object.ID.Compare)
	var objects []Object
	for _, id := range slices.Compact(ids) {
		was, is := before[id], now[id]
		for i := range max(len(was), len(is)) {
			switch {
			case i >= len(was):
				objects = append(objects, Object{ID: id, Op: Created})
			case i >= len(is):
				objects = append(objects, Object{ID: id, Op: Deleted})
			default:
				if fields := Fields(was[i].Object, is[i].Object, schema); len(fields) > 0 {
					objects = append(objects, Object{ID: id, Op: Changed, Fields: fields})
				}
			}
		}
	}
	return objects
}

func byID(objects []*unstructured.Unstructured) map[object.ID][]*unstructured.Unstructured {
	m := make(map[object.ID][]*unstructured.Unstructured, len(objects))
	for _, o := range objects {
		id := object.IDOf(o)
		m[id] = append(m[id], o)
	}
	return m
}

// Fields compares two values as JSON has them, such as the content of two
// objects. A field that is null is one that is not set.
func Fields(was, is map[string]any, schema Schema) []Field {
	return compare(nil, "", schema.of(is), was, is)
}

func compare(fields []Field, path string, t *Type, was, is any) []Field {
	switch before := was.(type) {
	case map[string]any:
		if now, ok := is.(map[string]any); ok {
			return compareMaps(fields, path, t, before, now)
		}
	case []any:
		if now, ok := is.([]any); ok {
			return compareLists(fields, path, t, before, now)
		}
	}
	if reflect.DeepEqual(was, is) {
		return fields
	}
	return append(fields, Field{Path: path, Was: was, Is: is})
}

func compareMaps(fields []Field, path string, t *Type, was, is map[string]any) []Field {
	keys := slices.AppendSeq(slices.Collect(maps.Keys(was)), maps.Keys(is))
	slices.Sort(keys)
	for _, key := range slices.Compact(keys) {
		fields = compare(fields, child(path, key), t.Field(key), was[key], is[key])
	}
	return fields
}

// child is the path of a field. A key that a path cannot hold, such as that of
// an annotation, stands in brackets.
func child(path, key string) string {
	switch {
	case key == "" || strings.ContainsAny(key, "./[] "):
		return path + "[" + key + "]"
	case path == "":
		return key
	}
	return path + "." + key
}

func compareLists(fields []Field, path string, t *Type, was, is []any) []Field {
	element, name, ordered := t.elements()
	before, beforeNames := byName(was, name)
	now, nowNames := byName(is, name)
	if before != nil && now != nil {
		names := slices.Concat(beforeNames, nowNames)
		slices.Sort(names)
		for _, name := range slices.Compact(names) {
			fields = compare(fields, path+"["+name+"]", element, before[name], now[name])
		}
		common := func(names []string, other map[string]any) []any {
			var list []any
			for _, n := range names {
				if _, ok := other[n]; ok {
					list = append(list, n)
				}
			}
			return list
		}
		if was, is := common(beforeNames, now), common(nowNames, before); ordered && !reflect.DeepEqual(was, is) {
			fields = append(fields, Field{Path: path, Was: was, Is: is, Order: true})
		}
		return fields
	}
	// What both begin and end with is the same; between, one after the other.
	start := 0
	for start < len(was) && start < len(is) && reflect.DeepEqual(was[start], is[start]) {
		start++
	}
	wasEnd, isEnd := len(was), len(is)
	for wasEnd > start && isEnd > start && reflect.DeepEqual(was[wasEnd-1], is[isEnd-1]) {
		wasEnd--
		isEnd--
	}
	for i := start; i < max(wasEnd, isEnd); i++ {
		at := fmt.Sprintf("%s[%d]", path, i)
		switch {
		case i >= wasEnd:
			fields = append(fields, Field{Path: at, Is: is[i]})
		case i >= isEnd:
			fields = append(fields, Field{Path: at, Was: was[i]})
		default:
			fields = compare(fields, at, element, was[i], is[i])
		}
	}
	return fields
}

// byName returns the elements of a list by their name, and the names in the
// list's order. It returns nil where an element has none or shares it.
func byName(list []any, nameOf func(any) (string, bool)) (map[string]any, []string) {
	named := make(map[string]any, len(list))
	names := make([]string, len(list))
	for i, e := range list {
		name, ok := nameOf(e)
		if _, twice := named[name]; !ok || twice {
			return nil, nil
		}
		named[name], names[i] = e, name
	}
	return named, names
}

// lines returns the lines by which two texts differ, each with its sign.
func lines(was, is string) []string {
	var all []string
	_, hunks, _ := strings.Cut(string(textdiff.Diff("", []byte(was), "", []byte(is))), "+++ \n")
	for line := range strings.Lines(hunks) {
		switch line = strings.TrimSuffix(line, "\n"); line[0] {
		case '-', '+':
			all = append(all, line)
		case '\\': // "\ No newline at end of file"
			all = append(all, `\`+line[2:])
		}
	}
	return all
}
