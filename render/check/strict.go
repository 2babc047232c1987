package check

import (
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"reflect"
	"slices"
	"strconv"
	"strings"

	"k8s.io/apimachinery/pkg/api/resource"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
)

func strictRules() []Rule {
	return []Rule{{
		ID:     "field",
		Doc:    "kubectl and the API server refuse a field that the kind does not have, and a value of another type than the field's: a number where a string is meant, or a quantity that is none.",
		Source: "Kubernetes documentation, 'Kubernetes API Concepts', Field validation",
		Alone:  true,
		Run: func(p *Pass) {
			var s strict
			for _, o := range p.Objects() {
				u, ok := o.Object.(*unstructured.Unstructured)
				if !ok {
					continue // Go has checked it
				}
				if o.builtin != nil {
					s.secret = o.ID.Kind == "Secret"
					s.report = func(field, problem, remedy string) { p.Report(o, field, problem, remedy) }
					s.value(o.builtin.goType.Elem(), u.Object, "")
				}
			}
		},
	}}
}

// strict holds the content of an unstructured object against the Go type of
// its kind, as the API server decodes it: every field must be there, in its
// own spelling, and have the type. It goes on after a mistake, and knows the
// path of each, which a decoder does not.
type strict struct {
	report func(field, problem, remedy string)
	fields map[reflect.Type]map[string]reflect.Type
	// secret says that no value may be shown.
	secret bool
}

var unmarshaler = reflect.TypeFor[json.Unmarshaler]()

// value holds a value against a type.
func (s *strict) value(t reflect.Type, value any, at string) {
	if value == nil {
		return // as if it were not there
	}
	for t.Kind() == reflect.Pointer {
		t = t.Elem()
	}
	if reflect.PointerTo(t).Implements(unmarshaler) {
		s.leaf(t, value, at)
		return
	}
	switch t.Kind() {
	case reflect.Struct:
		content, ok := value.(map[string]any)
		if !ok {
			s.report(at, "must be an object of fields, and is "+s.describe(value), "")
			return
		}
		fields := s.fieldsOf(t)
		for _, name := range slices.Sorted(maps.Keys(content)) {
			if field, ok := fields[name]; ok {
				s.value(field, content[name], child(at, name))
				continue
			}
			s.report(child(at, name), "there is no such field", near(name, slices.Sorted(maps.Keys(fields))...))
		}
	case reflect.Map:
		content, ok := value.(map[string]any)
		if !ok {
			s.report(at, "must be an object of keys and values, and is "+s.describe(value), "")
			return
		}
		for _, key := range slices.Sorted(maps.Keys(content)) {
			s.value(t.Elem(), content[key], at+"["+key+"]")
		}
	case reflect.Slice:
		if t.Elem().Kind() == reflect.Uint8 {
			s.leaf(t, value, at)
			return
		}
		items, ok := value.([]any)
		if !ok {
			s.report(at, "must be a list, and is "+s.describe(value), "")
			return
		}
		for i, item := range items {
			s.value(t.Elem(), item, at+"["+strconv.Itoa(i)+"]")
		}
	default:
		s.leaf(t, value, at)
	}
}

// leaf decodes a value that has no fields of its own.
func (s *strict) leaf(t reflect.Type, value any, at string) {
	if _, ok := value.(string); ok && t.Kind() == reflect.String {
		return
	}
	text, err := json.Marshal(value)
	if err == nil {
		err = json.Unmarshal(text, reflect.New(t).Interface())
	}
	if err == nil {
		return
	}
	switch t.Kind() {
	case reflect.String:
		remedy := "write it in quotes"
		switch value.(type) {
		case []any, map[string]any:
			remedy = ""
		}
		s.report(at, "must be a string, and is "+s.describe(value), remedy)
	case reflect.Bool:
		s.report(at, "must be true or false, and is "+s.describe(value), "")
	case reflect.Int32, reflect.Int64:
		s.report(at, "must be a whole number, and is "+s.describe(value), "")
	default:
		if t == reflect.TypeFor[resource.Quantity]() {
			s.report(at, "must be a quantity, and is "+s.describe(value), "such as 500m, 2, 512Mi or 1G")
			return
		}
		problem := "is no " + t.Name()
		if t.Kind() == reflect.Slice {
			problem = "must be base64"
		}
		if s.secret {
			err = errors.New("encode it, or put it into stringData")
		}
		s.report(at, problem+", and is "+s.describe(value), strings.TrimPrefix(err.Error(), "json: "))
	}
}

// fieldsOf returns the fields of a struct by their names in JSON.
func (s *strict) fieldsOf(t reflect.Type) map[string]reflect.Type {
	if fields, ok := s.fields[t]; ok {
		return fields
	}
	fields := make(map[string]reflect.Type)
	for i := range t.NumField() {
		f := t.Field(i)
		name, _, _ := strings.Cut(f.Tag.Get("json"), ",")
		switch {
		case name != "" && name != "-":
			fields[name] = f.Type
		case f.Anonymous:
			maps.Copy(fields, s.fieldsOf(f.Type))
		}
	}
	if s.fields == nil {
		s.fields = make(map[reflect.Type]map[string]reflect.Type)
	}
	s.fields[t] = fields
	return fields
}

func child(at, name string) string {
	if at == "" {
		return name
	}
	return at + "." + name
}

func (s *strict) describe(value any) string {
	switch v := value.(type) {
	case map[string]any:
		return "an object"
	case []any:
		return "a list"
	case string:
		if s.secret {
			return "a text"
		}
		return strconv.Quote(v)
	}
	if s.secret {
		return "a number, true or false"
	}
	return fmt.Sprintf("%v", value)
}

// near suggests which of the known names is meant: the same in another case,
// or with one letter more, less or other.
func near(name string, known ...string) string {
	for _, f := range known {
		if strings.EqualFold(f, name) || oneOff(f, name) {
			return "is " + f + " meant?"
		}
	}
	return ""
}

// oneOff reports whether two texts differ by one letter: more, less, other, or
// two that stand in the wrong order.
func oneOff(a, b string) bool {
	if len(a) > len(b) {
		a, b = b, a
	}
	if len(b)-len(a) > 1 || len(a) < 2 {
		return false
	}
	i := 0
	for i < len(a) && a[i] == b[i] {
		i++
	}
	if len(a) < len(b) {
		return a[i:] == b[i+1:]
	}
	if i >= len(a)-1 {
		return true
	}
	return a[i+1:] == b[i+1:] || a[i] == b[i+1] && a[i+1] == b[i] && a[i+2:] == b[i+2:]
}
