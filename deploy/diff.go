package deploy

import (
	"fmt"
	"slices"
	"strconv"
	"strings"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"sigs.k8s.io/structured-merge-diff/v6/fieldpath"

	"git.lastcloud.io/ronnibaslund/dezky/fleet/render/diff"
	"git.lastcloud.io/ronnibaslund/dezky/fleet/render/object"
	"git.lastcloud.io/ronnibaslund/dezky/fleet/render/plan/apischema"
)

// action is what happens to an object.
type action string

// The actions.
const (
	actionCreate    action = "create"
	actionUpdate    action = "change"
	actionUnchanged action = "unchanged"
	actionDelete    action = "delete"
	actionRefused   action = "refused"
	// actionReplace makes an object anew, since a field of it cannot change.
	actionReplace action = "replace"
)

// objectChange is what a release does to one object.
type objectChange struct {
	// ID of the object.
	ID object.ID
	// Action says what happens to it.
	Action action
	// Fields that change. Empty for anything but an actionUpdate.
	Fields []diff.Field
	// Unchecked says why the server could not be asked. Empty where it was.
	Unchecked string

	// object is what is rendered, live what is there, and would what the server
	// says that it becomes: where it was not asked or refuses, object.
	object, live, would *unstructured.Unstructured
}

// fields compares two objects without what the server keeps for itself.
func fields(before, after *unstructured.Unstructured) []diff.Field {
	return diff.Fields(strip(before), strip(after), apischema.Types())
}

// shorten cuts what is too long for a line, and says so.
func shorten(s string) string {
	const most = 200
	if len(s) <= most {
		return s
	}
	return strings.ToValidUTF8(s[:most], "") + fmt.Sprintf("… (%d bytes)", len(s))
}

// below appends a key to a path, in brackets where it has dots.
func below(path, key string) string {
	switch {
	case strings.ContainsAny(key, "./"):
		return path + "[" + key + "]"
	case path == "":
		return key
	}
	return path + "." + key
}

func strip(o *unstructured.Unstructured) map[string]any {
	o = o.DeepCopy()
	delete(o.Object, "status")
	for _, name := range []string{"managedFields", "resourceVersion", "generation", "uid", "creationTimestamp", "selfLink"} {
		unstructured.RemoveNestedField(o.Object, "metadata", name)
	}
	// With kubectl's fields it goes; it repeats what is told field by field.
	annotations := o.GetAnnotations()
	delete(annotations, lastApplied)
	delete(annotations, "deployment.kubernetes.io/revision")
	if len(annotations) == 0 {
		unstructured.RemoveNestedField(o.Object, "metadata", "annotations")
	} else {
		o.SetAnnotations(annotations)
	}
	return o.Object
}

const lastApplied = "kubectl.kubernetes.io/last-applied-configuration"

// takenOver are the fields that kubectl applied, that nobody else holds, and
// that the new object does not have: they go when kubectl's fields are taken
// over. The server's dry run does not show them, since it cannot take over and
// apply in one request.
func takenOver(live, desired *unstructured.Unstructured) ([]diff.Field, error) {
	kubectl, others := fieldpath.NewSet(), fieldpath.NewSet()
	for _, entry := range live.GetManagedFields() {
		if entry.FieldsV1 == nil {
			continue
		}
		var set fieldpath.Set
		if err := set.FromJSON(entry.FieldsV1.GetRawReader()); err != nil {
			return nil, fmt.Errorf("managed fields of %s: %w", entry.Manager, err)
		}
		if ofKubectl(entry) {
			kubectl = kubectl.Union(&set)
		} else {
			others = others.Union(&set)
		}
	}
	var all []diff.Field
	for p := range kubectl.Difference(others).Leaves().All() {
		path, value, ok := lookup(live.Object, p)
		if !ok || strings.Contains(path, lastApplied) {
			continue
		}
		if _, _, stays := lookup(desired.Object, p); !stays {
			all = append(all, diff.Field{Path: path, Was: value})
		}
	}
	slices.SortFunc(all, func(a, b diff.Field) int { return strings.Compare(a.Path, b.Path) })
	return all, nil
}

// lookup finds a managed field in an object.
func lookup(o any, p fieldpath.Path) (path string, value any, ok bool) {
	value = o
	for _, e := range p {
		switch {
		case e.FieldName != nil:
			m, isMap := value.(map[string]any)
			if !isMap {
				return path, nil, false
			}
			if value, ok = m[*e.FieldName]; !ok {
				return path, nil, false
			}
			path = below(path, *e.FieldName)
		case e.Key != nil:
			list, _ := value.([]any)
			i := slices.IndexFunc(list, func(element any) bool {
				m, isMap := element.(map[string]any)
				if !isMap {
					return false
				}
				for _, k := range *e.Key {
					if v, has := m[k.Name]; has && fmt.Sprint(v) != fmt.Sprint(k.Value.Unstructured()) {
						return false
					}
				}
				return true
			})
			if i < 0 {
				return path, nil, false
			}
			value = list[i]
			path += "[" + fmt.Sprint((*e.Key)[0].Value.Unstructured()) + "]"
		case e.Value != nil:
			list, _ := value.([]any)
			want := (*e.Value).Unstructured()
			if !slices.ContainsFunc(list, func(v any) bool { return fmt.Sprint(v) == fmt.Sprint(want) }) {
				return path, nil, false
			}
			value = want
			path += "[" + fmt.Sprint(want) + "]"
		case e.Index != nil:
			list, _ := value.([]any)
			if *e.Index < 0 || *e.Index >= len(list) {
				return path, nil, false
			}
			value = list[*e.Index]
			path += "[" + strconv.Itoa(*e.Index) + "]"
		}
	}
	return path, value, len(p) > 0
}
