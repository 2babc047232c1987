package components

import (
	_ "crypto/sha256" // the digests that an image can be pinned by
	_ "crypto/sha512"
	"errors"
	"fmt"
	"reflect"
	"slices"
	"strings"

	"github.com/distribution/reference"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/util/validation/field"

	"git.lastcloud.io/ronnibaslund/dezky/fleet/render/object"
)

// Plain makes a component of objects that are typed out in full, for what no
// constructor covers.
func Plain(objects ...object.Object) object.Component { return plain(objects) }

type plain []object.Object

func (p plain) About() object.About { return object.About{} }

func (p plain) Objects() ([]object.Object, error) {
	var out []object.Object
	var errs []error
	for i, o := range p {
		if object.IsNil(o) {
			errs = append(errs, fmt.Errorf("object %d is nil", i))
			continue
		}
		out = append(out, o.DeepCopyObject().(object.Object))
	}
	return out, errors.Join(errs...)
}

// Change changes the objects of a component after everything else; see [Edit].
type Change func([]object.Object) error

// Edit makes a Change of a function on one kind of object, the typed form of
// a kustomize patch. It is an error when the component has no object of that
// kind, and when the edit leaves every one of them as it was: a patch that
// changes nothing is a patch that somebody believes in.
//
//	Changes: []components.Change{components.Edit(func(d *appsv1.Deployment) {
//		d.Spec.Template.Spec.PriorityClassName = "apps"
//	})},
func Edit[T object.Object](edit func(T)) Change {
	return func(objects []object.Object) error {
		if edit == nil {
			return errors.New("is an Edit of no function: give it one, or remove it")
		}
		found, changed := false, false
		for _, o := range objects {
			typed, ok := o.(T)
			if !ok {
				continue
			}
			found = true
			before := typed.DeepCopyObject()
			edit(typed)
			changed = changed || !reflect.DeepEqual(before, runtime.Object(typed))
		}
		var none T
		switch {
		case !found:
			kinds := make([]string, len(objects))
			for i, o := range objects {
				kinds[i] = fmt.Sprintf("%T", o)
			}
			return fmt.Errorf("there is no %T to change: the objects are %s", none, strings.Join(kinds, ", "))
		case !changed:
			return fmt.Errorf("the edit leaves every %T as it was: remove it", none)
		}
		return nil
	}
}

// Apply applies changes to the objects of a component. It returns every
// mistake, each with its place below the field changes.
func Apply(objects []object.Object, changes []Change) field.ErrorList {
	path := field.NewPath("changes")
	var errs field.ErrorList
	for i, c := range changes {
		if c == nil {
			errs = append(errs, field.Required(path.Index(i), "is nil: make it with Edit"))
			continue
		}
		if err := apply(c, objects); err != nil {
			errs = append(errs, field.Invalid(path.Index(i), field.OmitValueType{}, err.Error()))
		}
	}
	return errs
}

// apply makes an error of a panic, so that it has the place of the change.
func apply(c Change, objects []object.Object) (err error) {
	defer object.Recovered(&err, "")
	return c(objects)
}

// CheckImage returns the mistakes in the reference to an image: it must have
// the form that container runtimes read, and a tag or a digest, since without
// one it follows latest, unseen.
func CheckImage(path *field.Path, image string) field.ErrorList {
	if image == "" {
		return field.ErrorList{field.Required(path, "give the image with its tag or digest")}
	}
	ref, err := reference.Parse(image)
	if err != nil {
		return field.ErrorList{field.Invalid(path, image, "must be a reference such as registry.example.com/team/app:tag: "+err.Error())}
	}
	if _, named := ref.(reference.Named); !named || reference.IsNameOnly(ref.(reference.Named)) {
		return field.ErrorList{field.Invalid(path, image, "must have a tag or a digest: without one it follows latest, unseen")}
	}
	return nil
}

// The label keys that every object carries, from the Kubernetes documentation,
// "Recommended Labels". Only the name is ever selected on: selectors cannot
// change after the fact, so nothing that a release changes may stand in them.
const (
	labelName      = "app.kubernetes.io/name"
	labelManagedBy = "app.kubernetes.io/managed-by"
)

// managedBy is the value of the managed-by label.
const managedBy = "fleet"

// Labels returns the labels that every object of a component carries.
func Labels(name string) map[string]string {
	return map[string]string{labelName: name, labelManagedBy: managedBy}
}

func selector(name string) map[string]string {
	return map[string]string{labelName: name}
}

func meta(namespace, name string) metav1.ObjectMeta {
	return metav1.ObjectMeta{Namespace: namespace, Name: name, Labels: Labels(name)}
}

func sortedKeys[V any](m map[string]V) []string {
	keys := make([]string, 0, len(m))
	for k := range m {
		keys = append(keys, k)
	}
	slices.Sort(keys)
	return keys
}
