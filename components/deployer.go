package components

import (
	"fmt"
	"slices"

	corev1 "k8s.io/api/core/v1"
	rbacv1 "k8s.io/api/rbac/v1"
	apimeta "k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/validation"
	"k8s.io/apimachinery/pkg/util/validation/field"
)

// Deployer is the identity with which a pipeline applies a layer: a
// ServiceAccount, a Role that allows exactly the kinds of that layer, their
// RoleBinding, and a Secret in which the cluster puts the token.
//
// The built-in ClusterRole admin would not do: it lacks Traefik's kinds. And
// it would be too much: whoever may read Secrets has them all. Still, who may
// create pods can mount any Secret of the namespace.
type Deployer struct {
	// Name of all four objects; the Secret's has -token after it.
	Name string
	// Namespace in which it may apply.
	Namespace string
	// Applies are the components that it applies. The Role is made from the
	// kinds of their objects.
	Applies []Component
	// Prune allows it to delete objects of those kinds.
	Prune bool
	// Changes are the last words on the objects.
	Changes []Change
}

// About implements [Component].
func (Deployer) About() About { return About{} }

// Objects implements [Component].
func (d Deployer) Objects() ([]Object, error) {
	var errs field.ErrorList
	errs = checkName(errs, field.NewPath("name"), d.Name, validation.IsDNS1123Subdomain)
	errs = checkNamespace(errs, field.NewPath("namespace"), d.Namespace)
	if len(d.Applies) == 0 {
		errs = append(errs, field.Required(field.NewPath("applies"), "give what it applies: without that it may do nothing"))
	}
	rules, mistakes := d.rules(field.NewPath("applies"))
	errs = append(errs, mistakes...)
	objects := []Object{
		&corev1.ServiceAccount{
			TypeMeta:                     metav1.TypeMeta{APIVersion: "v1", Kind: "ServiceAccount"},
			ObjectMeta:                   meta(d.Namespace, d.Name),
			AutomountServiceAccountToken: new(false),
		},
		&rbacv1.Role{
			TypeMeta:   metav1.TypeMeta{APIVersion: rbacv1.SchemeGroupVersion.String(), Kind: "Role"},
			ObjectMeta: meta(d.Namespace, d.Name),
			Rules:      rules,
		},
		&rbacv1.RoleBinding{
			TypeMeta:   metav1.TypeMeta{APIVersion: rbacv1.SchemeGroupVersion.String(), Kind: "RoleBinding"},
			ObjectMeta: meta(d.Namespace, d.Name),
			RoleRef:    rbacv1.RoleRef{APIGroup: rbacv1.GroupName, Kind: "Role", Name: d.Name},
			Subjects:   []rbacv1.Subject{{Kind: rbacv1.ServiceAccountKind, Name: d.Name, Namespace: d.Namespace}},
		},
		&corev1.Secret{
			TypeMeta:   metav1.TypeMeta{APIVersion: "v1", Kind: "Secret"},
			ObjectMeta: meta(d.Namespace, d.Name+"-token"),
			Type:       corev1.SecretTypeServiceAccountToken,
		},
	}
	objects[3].SetAnnotations(map[string]string{corev1.ServiceAccountNameKey: d.Name})
	errs = append(errs, Apply(objects, d.Changes)...)
	return objects, Mistakes("Deployer", d.Namespace, d.Name, errs)
}

// rules allow to apply the kinds of the layer, and to watch a rollout.
func (d Deployer) rules(path *field.Path) ([]rbacv1.PolicyRule, field.ErrorList) {
	verbs := []string{"get", "list", "watch", "create", "patch"}
	if d.Prune {
		verbs = append(verbs, "delete")
	}
	var errs field.ErrorList
	byGroup := make(map[string][]string)
	for i, c := range d.Applies {
		if c == nil {
			errs = append(errs, field.Required(path.Index(i), "is nil"))
			continue
		}
		objects, err := c.Objects()
		if err != nil {
			// What is wrong is told where the component itself is rendered.
			errs = append(errs, field.Invalid(path.Index(i), field.OmitValueType{}, "its objects cannot be made"))
			continue
		}
		for _, o := range objects {
			gvk := o.GetObjectKind().GroupVersionKind()
			if o.GetNamespace() != d.Namespace {
				errs = append(errs, field.Invalid(path.Index(i), field.OmitValueType{}, fmt.Sprintf("%s %q is not in namespace %s: the deployer cannot apply it, leave it to a cluster admin's layer", gvk.Kind, o.GetName(), d.Namespace)))
				continue
			}
			plural, _ := apimeta.UnsafeGuessKindToResource(gvk)
			byGroup[plural.Group] = append(byGroup[plural.Group], plural.Resource)
		}
	}
	var rules []rbacv1.PolicyRule
	for _, group := range sortedKeys(byGroup) {
		slices.Sort(byGroup[group])
		rules = append(rules, rbacv1.PolicyRule{APIGroups: []string{group}, Resources: slices.Compact(byGroup[group]), Verbs: verbs})
	}
	read := []string{"get", "list", "watch"}
	return append(rules,
		rbacv1.PolicyRule{APIGroups: []string{""}, Resources: []string{"pods", "events"}, Verbs: read},
		rbacv1.PolicyRule{APIGroups: []string{"apps"}, Resources: []string{"replicasets"}, Verbs: read},
	), errs
}
