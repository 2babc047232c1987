package components

import (
	"strconv"
	"strings"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/validation"
	"k8s.io/apimachinery/pkg/util/validation/field"

	"git.lastcloud.io/ronnibaslund/dezky/fleet/components/internal/validate"
	"git.lastcloud.io/ronnibaslund/dezky/fleet/render/object"
)

// Namespace is a namespace with its Pod Security level.
type Namespace struct {
	// Name of the namespace.
	Name string
	// PodSecurity is the level that is enforced, and warned of and audited
	// too: restricted, baseline or privileged (Kubernetes documentation, "Pod
	// Security Standards"). If empty, restricted.
	PodSecurity string
	// PodSecurityVersion is the Kubernetes release whose definition of the
	// level holds, such as v1.34. If empty, latest: then an upgrade of the
	// cluster may refuse pods that it took before.
	PodSecurityVersion string
	// Changes are applied to the object last; see [Edit].
	Changes []Change
}

// About implements [object.Component].
func (Namespace) About() object.About { return object.About{} }

// Objects implements [object.Component].
func (n Namespace) Objects() ([]object.Object, error) {
	errs := validate.Name(nil, field.NewPath("name"), n.Name, validation.IsDNS1123Label)
	level := n.PodSecurity
	switch level {
	case "":
		level = "restricted"
	case "restricted", "baseline", "privileged":
	default:
		errs = append(errs, field.NotSupported(field.NewPath("podSecurity"), level, []string{"restricted", "baseline", "privileged"}))
	}
	version := n.PodSecurityVersion
	if version == "" {
		version = "latest"
	} else if version != "latest" && !isRelease(version) {
		errs = append(errs, field.Invalid(field.NewPath("podSecurityVersion"), version, "must be a release of Kubernetes such as v1.34, without its patch, or latest"))
	}
	ns := &corev1.Namespace{
		TypeMeta:   metav1.TypeMeta{APIVersion: "v1", Kind: "Namespace"},
		ObjectMeta: meta("", n.Name),
	}
	for _, mode := range []string{"enforce", "warn", "audit"} {
		ns.Labels["pod-security.kubernetes.io/"+mode] = level
		ns.Labels["pod-security.kubernetes.io/"+mode+"-version"] = version
	}
	objects := []object.Object{ns}
	errs = append(errs, Apply(objects, n.Changes)...)
	return objects, object.Invalid(object.ID{Kind: "Namespace", Name: n.Name}, errs).Err()
}

// isRelease reports whether the value is a release of Kubernetes as the Pod
// Security labels have it, such as v1.34.
func isRelease(value string) bool {
	minor, ok := strings.CutPrefix(value, "v1.")
	_, err := strconv.ParseUint(minor, 10, 16)
	return ok && err == nil && (minor == "0" || minor[0] != '0')
}
