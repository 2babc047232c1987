// Package live makes a live object comparable with a rendered one: it leaves
// out what only the server or another manager set.
package live

import (
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
// Lists whose elements have keys are followed into their elements; others are
// kept or left out as a whole. The annotation in which kubectl keeps what it
// applied is left out.
func Applied(live, rendered *unstructured.Unstructured, ours func(metav1.ManagedFieldsEntry) bool, schema diff.Schema) (*unstructured.Unstructured, error) {
	owned := fieldpath.NewSet()
	for _, entry := range live.GetManagedFields() {
		if entry.FieldsV1 == nil || !ours(entry) {
			continue
		}
		var set fieldpath.Set
		if err := set.FromJSON(entry.FieldsV1.GetRawReader()); err != nil {
			return nil, fmt.Errorf("managed fields of %s: %w", entry.Manager, err)
		}
		owned = owned.Union(&set)
	}
	var want map[string]any
	if rendered != nil {
		want = rendered.Object
	}
	fields := applied(live.Object, want, owned, schema(live.GroupVersionKind()))
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

// applied returns the fields of a map that are rendered or owned.
func applied(live, rendered map[string]any, owned *fieldpath.Set, t *diff.Type) map[string]any {
	kept := make(map[string]any)
	for name, value := range live {
		at := fieldpath.PathElement{FieldName: &name}
		want, is := rendered[name]
		if below := owned.WithPrefix(at); is || owned.Members.Has(at) || !below.Empty() {
			kept[name] = part(value, want, is || owned.Members.Has(at), below, t.Field(name))
		}
	}
	return kept
}

// part returns what is rendered or owned of a value. Whole reports that the
// value itself is, and not only something in it.
func part(live, rendered any, whole bool, owned *fieldpath.Set, t *diff.Type) any {
	switch live := live.(type) {
	case map[string]any:
		if want, ok := rendered.(map[string]any); ok || !owned.Empty() {
			return applied(live, want, owned, t)
		}
	case []any:
		keys := t.Keys()
		want, ok := rendered.([]any)
		if len(keys) == 0 || !ok && owned.Empty() {
			return withoutDefaults(live, rendered)
		}
		var kept []any
		for _, e := range live {
			element, ok := e.(map[string]any)
			if !ok {
				return live
			}
			at := elementAt(element, keys)
			is := find(want, element, keys)
			if below := owned.WithPrefix(at); is != nil || owned.Members.Has(at) || !below.Empty() {
				kept = append(kept, part(element, is, true, below, t.Element()))
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

// defaults are what the server sets in the elements of lists without keys,
// where managed fields do not tell it from what was applied: SetDefaults_* of
// networking/v1, rbac/v1 and core/v1.
var defaults = map[string]string{
	"protocol":          "TCP",
	"apiGroup":          "rbac.authorization.k8s.io",
	"expirationSeconds": "3600",
	"volumeMode":        "Filesystem",
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

func common(live, rendered map[string]any) map[string]any {
	kept := make(map[string]any)
	for name, value := range live {
		want, ok := rendered[name]
		if !ok {
			if defaults[name] == fmt.Sprint(value) {
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
