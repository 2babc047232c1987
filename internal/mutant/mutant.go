// Package mutant breaks manifests, one thing at a time, to find out whether
// the checks notice. What it breaks follows from the YAML alone: no name, rule
// or Go type stands here.
package mutant

import (
	"fmt"
	"maps"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime"

	"git.lastcloud.io/ronnibaslund/dezky/fleet/render/object"
)

// Mutant is an object with one thing broken.
type Mutant struct {
	// Change is what was done: other, missing, twice, …; see [Changes].
	Change string
	// Field that was changed, after the kind of the object. Items of lists and
	// keys of data have no name in it, so that it holds for all of them.
	Field string
	// Object that was changed, as it was.
	Object object.ID
	// At is the field with its indexes and keys.
	At string
	// Was and Is are the value before and after, for people.
	Was, Is string
	// Broken is the object after the change. It is nil where the object is
	// missing, and there are two where it is there twice.
	Broken []*unstructured.Unstructured
}

func (m Mutant) String() string {
	return fmt.Sprintf("%s: %s %s: %s, was %s", m.Object, m.Change, m.At, m.Is, m.Was)
}

// Changes are all kinds of changes, and what each does.
var Changes = []struct {
	// Name of the kind.
	Name string
	// Does says what is done.
	Does string
	// Value reports that a name, a key, a number or a quantity becomes another
	// one, which is as likely in any object. Of the rest one for each field
	// says it for all of them.
	Value bool
}{
	{"other", "a name, a key, a path or a word is another one: a letter more", true},
	{"next", "a number is one more", true},
	{"unit", "a quantity has another unit: 2Gi becomes 2m, and 50m becomes 50", true},
	{"address", "the host of an address is another one", true},
	{"port", "the port of an address is another one", true},
	{"missing", "a field, an item of a list or a whole object is not there", false},
	{"twice", "an item of a list or a whole object stands twice", false},
	{"misspelt", "the name of a field, or a key, has a letter more", false},
	{"empty", "a text is empty", false},
	{"invalid", "a text begins with a character that no name begins with", false},
	{"type", "a text is a number, a number or a bool is a text", false},
	{"negative", "a number is below zero", false},
	{"huge", "a number is far too large", false},
	{"flip", "true is false, and false is true", false},
}

// Of returns all mutants of an object.
func Of(o *unstructured.Unstructured) []Mutant {
	w := walk{o: o, id: object.IDOf(o)}
	w.add("missing", nil, "the object", "not there")
	w.add("twice", nil, "one", "two", o.DeepCopy(), o.DeepCopy())
	for _, key := range slices.Sorted(maps.Keys(o.Object)) {
		w.entry(nil, o.Object, key)
	}
	return w.all
}

type walk struct {
	o   *unstructured.Unstructured
	id  object.ID
	all []Mutant
}

// add notes a mutant.
func (w *walk) add(change string, path []any, was, is string, broken ...*unstructured.Unstructured) {
	pattern, at := w.id.Kind, ""
	for i, step := range path {
		switch step := step.(type) {
		case int:
			pattern += "[]"
			at += "[" + strconv.Itoa(step) + "]"
		case string:
			// Keys below these are names that people give.
			if i > 0 && (path[i-1] == "data" || path[i-1] == "stringData") {
				pattern += "[]"
				at += "[" + step + "]"
				continue
			}
			sep := "."
			if strings.ContainsAny(step, "./") {
				sep, step = "", "["+step+"]"
			}
			if i == 0 {
				pattern += " " + step
				at += step
			} else {
				pattern += sep + step
				at += sep + step
			}
		}
	}
	w.all = append(w.all, Mutant{Change: change, Field: alike(pattern), Object: w.id, At: at, Was: was, Is: is, Broken: broken})
}

// alike makes fields that every kind has, or every kind that makes pods, one.
func alike(field string) string {
	for _, part := range []string{"metadata", "spec"} {
		if _, rest, ok := strings.Cut(field, ".template."+part); ok {
			return strings.Replace("Pod "+part+rest, " spec.initContainers[]", " spec.containers[]", 1)
		}
	}
	if _, rest, ok := strings.Cut(field, " metadata"); ok {
		return "any metadata" + rest
	}
	return field
}

// change notes a mutant in which the value at the path is what edit makes of
// the map or list that holds it.
func (w *walk) change(name string, path []any, was, is string, edit func(parent any) any) {
	broken := w.o.DeepCopy()
	broken.Object = alter(broken.Object, path, edit).(map[string]any)
	w.add(name, path, was, is, broken)
}

// alter puts what edit makes of the parent of the last step in its place.
func alter(value any, path []any, edit func(parent any) any) any {
	if len(path) == 1 {
		return edit(value)
	}
	switch step := path[0].(type) {
	case int:
		list := value.([]any)
		list[step] = alter(list[step], path[1:], edit)
	case string:
		m := value.(map[string]any)
		m[step] = alter(m[step], path[1:], edit)
	}
	return value
}

// set is an edit that sets the value at the last step.
func set(step, to any) func(any) any {
	return func(parent any) any {
		switch step := step.(type) {
		case int:
			parent.([]any)[step] = to
		case string:
			parent.(map[string]any)[step] = to
		}
		return parent
	}
}

// entry breaks a field, and what it holds.
func (w *walk) entry(path []any, in map[string]any, key string) {
	path = append(slices.Clone(path), key)
	w.change("missing", path, key, "no such field", func(parent any) any {
		delete(parent.(map[string]any), key)
		return parent
	})
	w.change("misspelt", path, key, key+"x", func(parent any) any {
		m := parent.(map[string]any)
		m[key+"x"] = m[key]
		delete(m, key)
		return m
	})
	w.value(path, in[key])
}

func (w *walk) value(path []any, value any) {
	step := path[len(path)-1]
	to := func(change string, is any) {
		w.change(change, path, fmt.Sprintf("%#v", value), fmt.Sprintf("%#v", is), set(step, is))
	}
	switch v := value.(type) {
	case map[string]any:
		for _, key := range slices.Sorted(maps.Keys(v)) {
			w.entry(path, v, key)
		}
	case []any:
		for i, item := range v {
			at := append(slices.Clone(path), i)
			w.change("missing", at, "an item", "one less", func(parent any) any {
				return slices.Delete(parent.([]any), i, i+1)
			})
			w.change("twice", at, "an item", "one more", func(parent any) any {
				return append(parent.([]any), runtime.DeepCopyJSONValue(item))
			})
			w.value(at, item)
		}
	case bool:
		to("flip", !v)
		to("type", strconv.FormatBool(v))
	case int64:
		w.number(v, to)
	case float64:
		w.number(int64(v), to)
	case string:
		w.text(v, to)
	}
}

func (w *walk) number(n int64, to func(string, any)) {
	to("next", n+1)
	to("negative", -n-1)
	to("huge", n+1_000_000)
	to("type", "x"+strconv.FormatInt(n, 10))
}

var (
	quantity = regexp.MustCompile(`^([0-9]+)(m|[KMGT]i?)$`)
	// address is a host with a scheme before it or a port after it.
	address = regexp.MustCompile(`^([a-z]+://)([a-z0-9-]+)([^:]*)(:[0-9]+)?|^()([a-z0-9-]+)((?:\.[a-z0-9-]+)*)(:[0-9]+)$`)
	word    = regexp.MustCompile(`(^|,)([A-Za-z0-9._-]+)`)
)

func (w *walk) text(s string, to func(string, any)) {
	if q := quantity.FindStringSubmatch(s); q != nil {
		unit := "m"
		if q[2] == "m" {
			unit = ""
		}
		to("unit", q[1]+unit)
		to("other", s+"x")
		to("negative", "-"+s)
		to("empty", "")
		return
	}
	if a := address.FindStringSubmatchIndex(s); a != nil {
		group := func(i int) (start, end int) {
			if a[2*i] < 0 {
				i += 4
			}
			return a[2*i], a[2*i+1]
		}
		_, end := group(2)
		to("address", s[:end]+"x"+s[end:])
		if start, end := group(4); start >= 0 {
			port, _ := strconv.Atoi(s[start+1 : end])
			to("port", s[:start+1]+strconv.Itoa(port+1)+s[end:])
		}
	}
	for _, m := range word.FindAllStringSubmatchIndex(s, -1) {
		to("other", s[:m[5]]+"x"+s[m[5]:])
		if strings.ContainsAny(s, " \n{") {
			break // a sentence or a program, not a list
		}
	}
	if s != "" {
		to("empty", "")
	}
	to("invalid", "_"+s)
	to("type", int64(7))
}
