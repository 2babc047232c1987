package components

import (
	"fmt"
	"slices"

	corev1 "k8s.io/api/core/v1"
	networkingv1 "k8s.io/api/networking/v1"
	rbacv1 "k8s.io/api/rbac/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/validation"
	"k8s.io/apimachinery/pkg/util/validation/field"

	"git.lastcloud.io/ronnibaslund/dezky/fleet/components/internal/validate"
	"git.lastcloud.io/ronnibaslund/dezky/fleet/components/secret"
	"git.lastcloud.io/ronnibaslund/dezky/fleet/render/object"
)

// Deployer is the identity with which a pipeline applies a layer: a
// ServiceAccount, a Role that allows exactly the kinds of that layer, their
// RoleBinding, a Secret in which the cluster puts the token, and an admission
// policy for what verbs and kinds do not say.
//
// The built-in ClusterRole admin would not do: it lacks Traefik's kinds. And
// it would be too much: whoever may read Secrets has them all.
//
// Who may apply a Deployment may run any image with any Secret of the
// namespace, take any host, and open a Service to the world. So the
// ValidatingAdmissionPolicy refuses what the objects of Applies do not do
// today: images of another registry folder, other hosts, Secrets, keys and
// ServiceAccounts than a workload has, Services that are open to the outside.
// Tags, variables, replicas and resources are free. It binds the Deployer
// alone, and nobody else. Custom kinds that route traffic or hold Secrets by
// themselves, such as Traefik's IngressRoute, it does not look into.
type Deployer struct {
	// Name of the objects; the Secret's has -token after it, and those of the
	// policy, which are not in a namespace, have the namespace after a dot.
	Name string
	// Namespace in which it may apply.
	Namespace string
	// Applies are the components that it applies. The Role is made from the
	// kinds of their objects, the policy from what they refer to.
	Applies []object.Component
	// Secrets are the contracts of a workload's own Secrets, by the name of
	// the workload: it may read each of their keys, also those that it does
	// not read today, so that a rollback to a release that read other keys
	// passes. Of other Secrets it may read what its objects do.
	Secrets map[string][]secret.Contract
	// Plurals are the names that RBAC has for kinds which are not in the
	// library's table, by Kind.group: kubectl api-resources lists them.
	Plurals map[string]string
	// Command applies the Deployer itself, for example "kubectl apply -f
	// out/ci". The policy's refusals name it. If empty, they say that the
	// layer of the Deployer must be applied.
	Command string
	// Prune allows it to delete objects of those kinds.
	Prune bool
	// Changes are applied to the objects last; see [Edit].
	Changes []Change
}

// About implements [object.Component].
func (Deployer) About() object.About { return object.About{} }

// Objects implements [object.Component].
func (d Deployer) Objects() ([]object.Object, error) {
	var errs field.ErrorList
	errs = validate.Name(errs, field.NewPath("name"), d.Name, validation.IsDNS1123Subdomain)
	errs = validate.Namespace(errs, field.NewPath("namespace"), d.Namespace)
	if len(d.Applies) == 0 {
		errs = append(errs, field.Required(field.NewPath("applies"), "give what it applies: without that it may do nothing"))
	}
	applied, mistakes := d.applied()
	errs = append(errs, mistakes...)
	rules, mistakes := d.rules(applied)
	errs = append(errs, mistakes...)
	policy, mistakes := d.policy(applied)
	errs = append(errs, mistakes...)
	objects := []object.Object{
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
		policy,
		d.binding(),
	}
	objects[3].SetAnnotations(map[string]string{corev1.ServiceAccountNameKey: d.Name})
	errs = append(errs, Apply(objects, d.Changes)...)
	return objects, object.Invalid(object.ID{Kind: "Deployer", Namespace: d.Namespace, Name: d.Name}, errs).Err()
}

// applied is an object that the Deployer applies.
type applied struct {
	object.Object
	// path of the component that has it.
	path *field.Path
}

// applied makes the objects of the components.
func (d Deployer) applied() ([]applied, field.ErrorList) {
	var list []applied
	var errs field.ErrorList
	noNamespace := len(validate.Namespace(nil, nil, d.Namespace)) > 0
	for i, c := range d.Applies {
		path := field.NewPath("applies").Index(i)
		if c == nil {
			errs = append(errs, field.Required(path, "is nil"))
			continue
		}
		objects, err := c.Objects()
		if err != nil {
			// What is wrong is told where the component itself is rendered.
			errs = append(errs, field.Invalid(path, field.OmitValueType{}, "its objects cannot be made"))
			continue
		}
		for _, o := range objects {
			if noNamespace {
				continue // which is the mistake
			}
			if o.GetNamespace() != d.Namespace {
				errs = append(errs, field.Invalid(path, field.OmitValueType{}, fmt.Sprintf("%s %q is not in namespace %s: the deployer cannot apply it, leave it to a cluster admin's layer",
					o.GetObjectKind().GroupVersionKind().Kind, o.GetName(), d.Namespace)))
				continue
			}
			list = append(list, applied{o, path})
		}
	}
	return list, errs
}

// rules allow to apply the kinds of the layer, and all else that a deploy does.
func (d Deployer) rules(objects []applied) ([]rbacv1.PolicyRule, field.ErrorList) {
	verbs := []string{"get", "list", "watch", "create", "patch"}
	if d.Prune {
		verbs = append(verbs, "delete")
	}
	var errs field.ErrorList
	byGroup := make(map[string][]string)
	told, used := make(map[string]bool), make(map[string]bool)
	for _, o := range objects {
		kind := o.GetObjectKind().GroupVersionKind().GroupKind()
		name := kind.String()
		used[name] = true
		if resource, ok := resourceOf(kind, d.Plurals); ok {
			byGroup[kind.Group] = append(byGroup[kind.Group], resource)
		} else if !told[name] {
			told[name] = true
			errs = append(errs, field.Required(field.NewPath("plurals").Key(name), fmt.Sprintf("say by which name RBAC knows the kind of %s %q in %s, for example Plurals: map[string]string{%q: %q}; the command kubectl api-resources --api-group=%s lists it",
				kind.Kind, o.GetName(), o.path, name, "…", kind.Group)))
		}
	}
	for _, name := range sortedKeys(d.Plurals) {
		path, plural := field.NewPath("plurals").Key(name), d.Plurals[name]
		for _, msg := range validation.IsDNS1035Label(plural) {
			errs = append(errs, field.Invalid(path, plural, msg))
		}
		if known, ok := plurals[name]; ok {
			errs = append(errs, field.Forbidden(path, "is known to be "+known+": leave it out"))
		} else if !used[name] {
			errs = append(errs, field.Forbidden(path, "nothing of this kind is applied: leave it out, or write the kind as Kind.group"))
		}
	}
	var rules []rbacv1.PolicyRule
	for _, group := range sortedKeys(byGroup) {
		slices.Sort(byGroup[group])
		rules = append(rules, rbacv1.PolicyRule{APIGroups: []string{group}, Resources: slices.Compact(byGroup[group]), Verbs: verbs})
	}
	return append(rules, watching(slices.Contains(byGroup[networkingv1.GroupName], "ingresses"))...), errs
}

// watching are the rights that a deploy needs besides those to apply, whatever
// the layer holds: the lock, the records of what it did, and what it looks at
// while it waits and when it says why a rollout hangs.
func watching(ingresses bool) []rbacv1.PolicyRule {
	read := []string{"get", "list", "watch"}
	rules := []rbacv1.PolicyRule{
		{APIGroups: []string{""}, Resources: []string{"configmaps"}, Verbs: []string{"get", "list", "create", "update", "delete"}},
		{APIGroups: []string{"coordination.k8s.io"}, Resources: []string{"leases"}, Verbs: []string{"get", "create", "update"}},
		{APIGroups: []string{""}, Resources: []string{"pods", "events"}, Verbs: read},
		{APIGroups: []string{""}, Resources: []string{"pods/log"}, Verbs: []string{"get"}},
		{APIGroups: []string{"apps"}, Resources: []string{"replicasets"}, Verbs: read},
	}
	if ingresses {
		rules = append(rules,
			rbacv1.PolicyRule{APIGroups: []string{"cert-manager.io"}, Resources: []string{"certificates", "certificaterequests"}, Verbs: read},
			rbacv1.PolicyRule{APIGroups: []string{"acme.cert-manager.io"}, Resources: []string{"challenges"}, Verbs: read},
		)
	}
	return rules
}
