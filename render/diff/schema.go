package diff

import (
	"fmt"
	"strings"

	"k8s.io/apimachinery/pkg/runtime/schema"
	smd "sigs.k8s.io/structured-merge-diff/v6/schema"
)

// Schema returns the type of the objects of a kind, or nil where the schema of
// the API does not have it. The type says by which keys the elements of a list
// are told apart. Lists of which nothing is known are compared by the names of
// their elements, where all have one of their own; so are all lists where the
// Schema is nil.
type Schema func(schema.GroupVersionKind) *Type

// Type is the type of a value in the schema of the API.
type Type struct {
	// Schema that has the type.
	Schema *smd.Schema
	// Ref names the type in it.
	Ref smd.TypeRef
}

// of returns the type of an object.
func (s Schema) of(object map[string]any) *Type {
	if s == nil {
		return nil
	}
	version, _ := object["apiVersion"].(string)
	kind, _ := object["kind"].(string)
	return s(schema.FromAPIVersionAndKind(version, kind))
}

// Field returns the type of a field, or nil where it is not known.
func (t *Type) Field(name string) *Type {
	if t == nil {
		return nil
	}
	atom, ok := t.Schema.Resolve(t.Ref)
	if !ok || atom.Map == nil {
		return nil
	}
	if f, ok := atom.Map.FindField(name); ok {
		return &Type{t.Schema, f.Type}
	}
	return &Type{t.Schema, atom.Map.ElementType}
}

// Element returns the type of the elements of a list, or nil where it is not
// known.
func (t *Type) Element() *Type {
	element, _, _ := t.elements()
	return element
}

// Keys returns the names of the fields by which the elements of a list are
// told apart. There are none where the list has no such fields, or nothing is
// known of it.
func (t *Type) Keys() []string {
	if t == nil {
		return nil
	}
	atom, ok := t.Schema.Resolve(t.Ref)
	if !ok || atom.List == nil || atom.List.ElementRelationship != smd.Associative {
		return nil
	}
	return atom.List.Keys
}

// Atomic reports whether the value is a map that is set as a whole, such as a
// selector.
func (t *Type) Atomic() bool {
	if t == nil {
		return false
	}
	atom, ok := t.Schema.Resolve(t.Ref)
	return ok && atom.Map != nil && atom.Map.ElementRelationship == smd.Atomic
}

// elements returns the type of the elements of a list, how they are told
// apart, and whether their order says something.
func (t *Type) elements() (element *Type, name func(any) (string, bool), ordered bool) {
	if t == nil {
		return nil, ownName, true
	}
	atom, ok := t.Schema.Resolve(t.Ref)
	if !ok || atom.List == nil {
		return nil, ownName, true
	}
	element = &Type{t.Schema, atom.List.ElementType}
	switch {
	case atom.List.ElementRelationship != smd.Associative:
		return element, func(any) (string, bool) { return "", false }, true
	case len(atom.List.Keys) == 0: // a set
		return element, func(e any) (string, bool) { return fmt.Sprint(e), true }, false
	}
	return element, func(e any) (string, bool) { return element.key(e, atom.List.Keys) }, true
}

// key returns the values of the keys of an element.
func (t *Type) key(e any, keys []string) (string, bool) {
	m, ok := e.(map[string]any)
	if !ok {
		return "", false
	}
	atom, _ := t.Schema.Resolve(t.Ref)
	var values []string
	for i, key := range keys {
		value, has := m[key]
		var otherwise any
		if atom.Map != nil {
			f, _ := atom.Map.FindField(key)
			otherwise = f.Default
		}
		switch {
		case !has && otherwise == nil && i == 0:
			return "", false
		case (!has || value == otherwise) && i > 0:
			continue
		case !has:
			value = otherwise
		}
		values = append(values, fmt.Sprint(value))
	}
	return strings.Join(values, ","), true
}

// ownName is the field name of an element.
func ownName(e any) (string, bool) {
	m, _ := e.(map[string]any)
	name, ok := m["name"].(string)
	return name, ok
}
