// Package live makes a live object comparable with a rendered one: it leaves
// out what only the server or another manager set.
package live

import (
	"encoding/json"
	"fmt"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"sigs.k8s.io/structured-merge-diff/v6/fieldpath"

	"git.lastcloud.io/ronnibaslund/dezky/fleet/render/diff"
)

// Applied returns the fields of a live object that a rendering answers for:
// those that the rendered object has too, and those that whoever applied it
// set, as its managed fields say. Rendered is nil where the object is no longer
// rendered. Ours reports whether an entry is of somebody who applied it.
//
// Of a client-side apply, what was applied stands in an annotation, and the
// managed fields have the server's defaults besides: there the annotation
// counts.
//
// Lists whose elements have keys are followed into their elements; others are
// kept or left out as a whole. The annotation in which kubectl keeps what it
// applied is left out.
func Applied(live, rendered *unstructured.Unstructured, ours func(metav1.ManagedFieldsEntry) bool, schema diff.Schema) (*unstructured.Unstructured, error) {
	var before map[string]any
	if text := live.GetAnnotations()[lastApplied]; text != "" {
		if err := json.Unmarshal([]byte(text), &before); err != nil {
			return nil, fmt.Errorf("annotation %s: %w", lastApplied, err)
		}
	}
	owned := fieldpath.NewSet()
	for _, entry := range live.GetManagedFields() {
		if entry.FieldsV1 == nil || !ours(entry) || before != nil && entry.Operation == metav1.ManagedFieldsOperationUpdate {
			continue
		}
		var set fieldpath.Set
		if err := set.FromJSON(entry.FieldsV1.GetRawReader()); err != nil {
			return nil, fmt.Errorf("managed fields of %s: %w", entry.Manager, err)
		}
		owned = owned.Union(&set)
	}
	var wants []any // what may say a field, the rendering first
	if rendered != nil {
		wants = append(wants, rendered.Object)
	}
	if before != nil {
		wants = append(wants, before)
	}
	fields := applied(live.Object, wants, owned, schema(live.GroupVersionKind()))
	result := &unstructured.Unstructured{Object: fields}
	result.SetAPIVersion(live.GetAPIVersion())
	result.SetKind(live.GetKind())
	result.SetNamespace(live.GetNamespace())
	result.SetName(live.GetName())
	delete(fields, "status")
	annotations := result.GetAnnotations()
	delete(annotations, lastApplied)
	if len(annotations) == 0 {
		unstructured.RemoveNestedField(fields, "metadata", "annotations")
	} else {
		result.SetAnnotations(annotations)
	}
	return result, nil
}

const lastApplied = "kubectl.kubernetes.io/last-applied-configuration"

// applied returns the fields of a map that are wanted or owned.
func applied(live map[string]any, wants []any, owned *fieldpath.Set, t *diff.Type) map[string]any {
	kept := make(map[string]any)
	for name, value := range live {
		at := fieldpath.PathElement{FieldName: &name}
		var below []any
		for _, want := range wants {
			m, _ := want.(map[string]any)
			if v, ok := m[name]; ok {
				below = append(below, v)
			}
		}
		if set := owned.WithPrefix(at); len(below) > 0 || owned.Members.Has(at) || !set.Empty() {
			kept[name] = part(value, below, owned.Members.Has(at), set, t.Field(name))
		}
	}
	return kept
}

// part returns what is wanted or owned of a value. Held reports that the value
// itself is owned: all of it, where nothing in it is.
func part(live any, wants []any, held bool, owned *fieldpath.Set, t *diff.Type) any {
	switch live := live.(type) {
	case map[string]any:
		if t.Atomic() && len(wants) > 0 {
			if want, ok := wants[0].(map[string]any); ok {
				return common(live, want)
			}
		}
		if !t.Atomic() && !(held && owned.Empty()) {
			return applied(live, wants, owned, t)
		}
	case []any:
		keys := t.Keys()
		if len(keys) == 0 && len(wants) > 0 {
			return withoutDefaults(live, wants[0])
		}
		if len(keys) == 0 || len(wants) == 0 && owned.Empty() {
			return live
		}
		var kept []any
		for _, e := range live {
			element, ok := e.(map[string]any)
			if !ok {
				return live
			}
			at := elementAt(element, keys)
			var below []any
			for _, want := range wants {
				list, _ := want.([]any)
				if is := find(list, element, keys); is != nil {
					below = append(below, is)
				}
			}
			if set := owned.WithPrefix(at); len(below) > 0 || owned.Members.Has(at) || !set.Empty() {
				kept = append(kept, part(element, below, false, set, t.Element()))
			}
		}
		return kept
	}
	return live
}

// elementAt is how managed fields name an element of a list.
func elementAt(element map[string]any, keys []string) fieldpath.PathElement {
	var pairs []any
	for _, key := range keys {
		if value, ok := element[key]; ok {
			pairs = append(pairs, key, value)
		}
	}
	return fieldpath.PathElement{Key: fieldpath.KeyByFields(pairs...)}
}

// find returns the element with the same keys. A key that one of them does not
// say has its default in the other.
func find(list []any, element map[string]any, keys []string) any {
	for _, e := range list {
		m, ok := e.(map[string]any)
		for _, key := range keys {
			a, said := m[key]
			b, set := element[key]
			ok = ok && (!said || !set || fmt.Sprint(a) == fmt.Sprint(b))
		}
		if ok {
			return e
		}
	}
	return nil
}

// defaults are what the server sets in what is owned as a whole, where managed
// fields do not tell it from what was applied: SetDefaults_* of networking/v1,
// rbac/v1, core/v1 and admissionregistration/v1. Selectors that are empty are
// set there too.
var defaults = map[string]string{
	"protocol":          "TCP",
	"apiGroup":          "rbac.authorization.k8s.io",
	"expirationSeconds": "3600",
	"volumeMode":        "Filesystem",
	"matchPolicy":       "Equivalent",
}

// withoutDefaults takes the server's defaults out of a list without keys,
// where its rendered like does not say them.
func withoutDefaults(live []any, rendered any) any {
	want, ok := rendered.([]any)
	if !ok || len(want) != len(live) {
		return live
	}
	kept := make([]any, len(live))
	for i := range live {
		kept[i] = live[i]
		a, isMap := live[i].(map[string]any)
		b, areMaps := want[i].(map[string]any)
		if isMap && areMaps {
			kept[i] = common(a, b)
		}
	}
	return kept
}

// common returns a live map without the server's defaults that the rendered one
// does not say.
func common(live, rendered map[string]any) map[string]any {
	kept := make(map[string]any)
	for name, value := range live {
		want, ok := rendered[name]
		if !ok {
			if m, isMap := value.(map[string]any); defaults[name] == fmt.Sprint(value) || isMap && len(m) == 0 {
				continue
			}
			kept[name] = value
			continue
		}
		switch v := value.(type) {
		case map[string]any:
			if w, ok := want.(map[string]any); ok {
				value = common(v, w)
			}
		case []any:
			value = withoutDefaults(v, want)
		}
		kept[name] = value
	}
	return kept
}
