// Package object holds what every room of fleet says about a Kubernetes
// object: what an object is, which one it is, and what is wrong with it.
//
// It is the one package that components, render and everything built on them
// import; it imports apimachinery and nothing else.
package object

import (
	"cmp"
	"reflect"
	"slices"
	"strings"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
)

// Object is a Kubernetes API object with its TypeMeta filled in: a pointer to
// a typed struct such as *appsv1.Deployment, or an *unstructured.Unstructured.
type Object = interface {
	metav1.Object
	runtime.Object
}

// ID identifies an object in a cluster. The version is left out: one object
// can be read and written in several versions of its group.
type ID struct {
	// Group of the API. Empty for the core group.
	Group string
	// Kind of the object.
	Kind string
	// Namespace of the object. Empty for a cluster-scoped object.
	Namespace string
	// Name of the object.
	Name string
}

// IDOf returns the identity of an object.
func IDOf(o Object) ID {
	gvk := o.GetObjectKind().GroupVersionKind()
	return ID{gvk.Group, gvk.Kind, o.GetNamespace(), o.GetName()}
}

// String returns the kind and the name, with the namespace before the name
// where there is one: "Deployment dezky-apps/portal". The group is left out:
// compare IDs, not their text.
func (id ID) String() string {
	if id.Namespace == "" {
		return id.Kind + " " + id.Name
	}
	return id.Kind + " " + id.Namespace + "/" + id.Name
}

// Compare orders identities by namespace, kind, name and group.
func (id ID) Compare(other ID) int {
	return cmp.Or(
		cmp.Compare(id.Namespace, other.Namespace),
		cmp.Compare(id.Kind, other.Kind),
		cmp.Compare(id.Name, other.Name),
		cmp.Compare(id.Group, other.Group),
	)
}

// IsNil reports whether an object is nil, or an interface that holds a nil
// pointer.
func IsNil(o Object) bool {
	if o == nil {
		return true
	}
	v := reflect.ValueOf(o)
	return v.Kind() == reflect.Pointer && v.IsNil()
}

// Field returns a field of an object as JSON has it, or nil where it is not
// there.
func Field(from map[string]any, path ...string) any {
	var value any = from
	for _, key := range path {
		m, ok := value.(map[string]any)
		if !ok {
			return nil
		}
		value = m[key]
	}
	return value
}

// AnnotationPrefix begins the keys of annotations that fleet reads itself.
const AnnotationPrefix = "fleet.dezky.eu/"

// BeforeReleaseAnnotation says of a Job, with the value true, that a deploy
// runs it to its end before it changes any other workload.
const BeforeReleaseAnnotation = AnnotationPrefix + "before-release"

// AllowanceAnnotation begins the key of an annotation that lets a consequence
// of a change pass which is meant; see consequence.AllowStated. The ID of the
// rule is the rest of the key, and the reason is the value.
const AllowanceAnnotation = AnnotationPrefix + "allow-"

// Reason says why what a rule says of an object is meant, as an annotation of
// the object states it.
type Reason struct {
	// Key of the annotation.
	Key string
	// Rule is the ID of the rule, and Text the reason, without space around it.
	Rule, Text string
}

// Reasons returns what the annotations say whose keys begin with the prefix,
// ordered by their keys.
func Reasons(annotations map[string]string, prefix string) []Reason {
	var all []Reason
	for key, value := range annotations {
		if rule, ok := strings.CutPrefix(key, prefix); ok {
			all = append(all, Reason{key, rule, strings.TrimSpace(value)})
		}
	}
	slices.SortFunc(all, func(a, b Reason) int { return strings.Compare(a.Key, b.Key) })
	return all
}
