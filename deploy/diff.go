package deploy

import (
	"fmt"
	"strings"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"

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
