package check

import (
	"fmt"
	"reflect"
	"regexp"
	"strings"
	"sync"

	admissionv1 "k8s.io/api/admissionregistration/v1"
	appsv1 "k8s.io/api/apps/v1"
	autoscalingv1 "k8s.io/api/autoscaling/v1"
	autoscalingv2 "k8s.io/api/autoscaling/v2"
	batchv1 "k8s.io/api/batch/v1"
	certificatesv1 "k8s.io/api/certificates/v1"
	coordinationv1 "k8s.io/api/coordination/v1"
	corev1 "k8s.io/api/core/v1"
	discoveryv1 "k8s.io/api/discovery/v1"
	eventsv1 "k8s.io/api/events/v1"
	flowcontrolv1 "k8s.io/api/flowcontrol/v1"
	networkingv1 "k8s.io/api/networking/v1"
	nodev1 "k8s.io/api/node/v1"
	policyv1 "k8s.io/api/policy/v1"
	rbacv1 "k8s.io/api/rbac/v1"
	resourcev1 "k8s.io/api/resource/v1"
	schedulingv1 "k8s.io/api/scheduling/v1"
	storagev1 "k8s.io/api/storage/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime/schema"

	"git.lastcloud.io/ronnibaslund/dezky/fleet/render/object"
)

// kind is a built-in kind of Kubernetes.
type kind struct {
	goType     reflect.Type
	namespaced bool
}

// builtin is the kinds of each stable API version of Kubernetes. A version
// that is not among them (alpha, beta, or of somebody else's group) is not
// judged.
var builtin = sync.OnceValue(func() map[schema.GroupVersion]map[string]*kind {
	all := make(map[schema.GroupVersion]map[string]*kind)
	for _, v := range []struct {
		version    schema.GroupVersion
		cluster    []object.Object
		namespaced []object.Object
	}{
		{corev1.SchemeGroupVersion,
			[]object.Object{&corev1.ComponentStatus{}, &corev1.Namespace{}, &corev1.Node{}, &corev1.PersistentVolume{}},
			//lint:ignore SA1019 Endpoints are deprecated, and still served
			[]object.Object{&corev1.Binding{}, &corev1.ConfigMap{}, &corev1.Endpoints{}, &corev1.Event{}, &corev1.LimitRange{}, &corev1.PersistentVolumeClaim{}, &corev1.Pod{}, &corev1.PodTemplate{}, &corev1.ReplicationController{}, &corev1.ResourceQuota{}, &corev1.Secret{}, &corev1.Service{}, &corev1.ServiceAccount{}}},
		{appsv1.SchemeGroupVersion, nil,
			[]object.Object{&appsv1.ControllerRevision{}, &appsv1.DaemonSet{}, &appsv1.Deployment{}, &appsv1.ReplicaSet{}, &appsv1.StatefulSet{}}},
		{batchv1.SchemeGroupVersion, nil,
			[]object.Object{&batchv1.CronJob{}, &batchv1.Job{}}},
		{networkingv1.SchemeGroupVersion,
			[]object.Object{&networkingv1.IPAddress{}, &networkingv1.IngressClass{}, &networkingv1.ServiceCIDR{}},
			[]object.Object{&networkingv1.Ingress{}, &networkingv1.NetworkPolicy{}}},
		{policyv1.SchemeGroupVersion, nil,
			[]object.Object{&policyv1.Eviction{}, &policyv1.PodDisruptionBudget{}}},
		{autoscalingv1.SchemeGroupVersion, nil,
			[]object.Object{&autoscalingv1.HorizontalPodAutoscaler{}, &autoscalingv1.Scale{}}},
		{autoscalingv2.SchemeGroupVersion, nil,
			[]object.Object{&autoscalingv2.HorizontalPodAutoscaler{}}},
		{rbacv1.SchemeGroupVersion,
			[]object.Object{&rbacv1.ClusterRole{}, &rbacv1.ClusterRoleBinding{}},
			[]object.Object{&rbacv1.Role{}, &rbacv1.RoleBinding{}}},
		{storagev1.SchemeGroupVersion,
			[]object.Object{&storagev1.CSIDriver{}, &storagev1.CSINode{}, &storagev1.StorageClass{}, &storagev1.VolumeAttachment{}, &storagev1.VolumeAttributesClass{}},
			[]object.Object{&storagev1.CSIStorageCapacity{}}},
		{schedulingv1.SchemeGroupVersion, []object.Object{&schedulingv1.PriorityClass{}}, nil},
		{nodev1.SchemeGroupVersion, []object.Object{&nodev1.RuntimeClass{}}, nil},
		{admissionv1.SchemeGroupVersion,
			[]object.Object{&admissionv1.MutatingAdmissionPolicy{}, &admissionv1.MutatingAdmissionPolicyBinding{}, &admissionv1.MutatingWebhookConfiguration{}, &admissionv1.ValidatingAdmissionPolicy{}, &admissionv1.ValidatingAdmissionPolicyBinding{}, &admissionv1.ValidatingWebhookConfiguration{}}, nil},
		{coordinationv1.SchemeGroupVersion, nil, []object.Object{&coordinationv1.Lease{}}},
		{discoveryv1.SchemeGroupVersion, nil, []object.Object{&discoveryv1.EndpointSlice{}}},
		{certificatesv1.SchemeGroupVersion, []object.Object{&certificatesv1.CertificateSigningRequest{}}, nil},
		{eventsv1.SchemeGroupVersion, nil, []object.Object{&eventsv1.Event{}}},
		{flowcontrolv1.SchemeGroupVersion, []object.Object{&flowcontrolv1.FlowSchema{}, &flowcontrolv1.PriorityLevelConfiguration{}}, nil},
		{resourcev1.SchemeGroupVersion,
			[]object.Object{&resourcev1.DeviceClass{}, &resourcev1.ResourceSlice{}},
			[]object.Object{&resourcev1.ResourceClaim{}, &resourcev1.ResourceClaimTemplate{}}},
	} {
		kinds := make(map[string]*kind, len(v.cluster)+len(v.namespaced))
		for _, o := range v.cluster {
			kinds[reflect.TypeOf(o).Elem().Name()] = &kind{reflect.TypeOf(o), false}
		}
		for _, o := range v.namespaced {
			kinds[reflect.TypeOf(o).Elem().Name()] = &kind{reflect.TypeOf(o), true}
		}
		all[v.version] = kinds
	}
	return all
})

// builtinKind returns the built-in kind of an object, or nil where it is none
// that is known.
func builtinKind(o object.Object) *kind {
	gvk := o.GetObjectKind().GroupVersionKind()
	return builtin()[gvk.GroupVersion()][gvk.Kind]
}

// removed is the API versions that Kubernetes no longer serves, by version and
// kind, with the minor version of Kubernetes 1 that no longer serves it,
// and the version that took its place. (Kubernetes documentation, 'Deprecated
// API Migration Guide'.)
var removed = sync.OnceValue(func() map[string]removal {
	all := make(map[string]removal)
	for _, r := range []struct {
		version, kinds string
		removal
	}{
		{"extensions/v1beta1", "DaemonSet Deployment ReplicaSet", removal{16, "apps/v1"}},
		{"extensions/v1beta1", "NetworkPolicy", removal{16, "networking.k8s.io/v1"}},
		{"extensions/v1beta1", "PodSecurityPolicy", removal{16, ""}},
		{"extensions/v1beta1", "Ingress", removal{22, "networking.k8s.io/v1"}},
		{"apps/v1beta1", "ControllerRevision Deployment StatefulSet", removal{16, "apps/v1"}},
		{"apps/v1beta2", "ControllerRevision DaemonSet Deployment ReplicaSet StatefulSet", removal{16, "apps/v1"}},
		{"admissionregistration.k8s.io/v1beta1", "MutatingWebhookConfiguration ValidatingWebhookConfiguration", removal{22, "admissionregistration.k8s.io/v1"}},
		{"admissionregistration.k8s.io/v1beta1", "ValidatingAdmissionPolicy ValidatingAdmissionPolicyBinding", removal{34, "admissionregistration.k8s.io/v1"}},
		{"admissionregistration.k8s.io/v1alpha1", "ValidatingAdmissionPolicy ValidatingAdmissionPolicyBinding", removal{32, "admissionregistration.k8s.io/v1"}},
		{"apiextensions.k8s.io/v1beta1", "CustomResourceDefinition", removal{22, "apiextensions.k8s.io/v1"}},
		{"apiregistration.k8s.io/v1beta1", "APIService", removal{22, "apiregistration.k8s.io/v1"}},
		{"certificates.k8s.io/v1beta1", "CertificateSigningRequest", removal{22, "certificates.k8s.io/v1"}},
		{"coordination.k8s.io/v1beta1", "Lease", removal{22, "coordination.k8s.io/v1"}},
		{"networking.k8s.io/v1beta1", "Ingress IngressClass", removal{22, "networking.k8s.io/v1"}},
		{"rbac.authorization.k8s.io/v1beta1", "ClusterRole ClusterRoleBinding Role RoleBinding", removal{22, "rbac.authorization.k8s.io/v1"}},
		{"rbac.authorization.k8s.io/v1alpha1", "ClusterRole ClusterRoleBinding Role RoleBinding", removal{22, "rbac.authorization.k8s.io/v1"}},
		{"scheduling.k8s.io/v1beta1", "PriorityClass", removal{22, "scheduling.k8s.io/v1"}},
		{"storage.k8s.io/v1beta1", "CSIDriver CSINode StorageClass VolumeAttachment", removal{22, "storage.k8s.io/v1"}},
		{"storage.k8s.io/v1beta1", "CSIStorageCapacity", removal{27, "storage.k8s.io/v1"}},
		{"storage.k8s.io/v1alpha1", "CSIStorageCapacity VolumeAttachment", removal{24, "storage.k8s.io/v1"}},
		{"storage.k8s.io/v1alpha1", "VolumeAttributesClass", removal{35, "storage.k8s.io/v1"}},
		{"batch/v1beta1", "CronJob", removal{25, "batch/v1"}},
		{"discovery.k8s.io/v1beta1", "EndpointSlice", removal{25, "discovery.k8s.io/v1"}},
		{"events.k8s.io/v1beta1", "Event", removal{25, "events.k8s.io/v1"}},
		{"node.k8s.io/v1beta1", "RuntimeClass", removal{25, "node.k8s.io/v1"}},
		{"policy/v1beta1", "PodDisruptionBudget Eviction", removal{25, "policy/v1"}},
		{"policy/v1beta1", "PodSecurityPolicy", removal{25, ""}},
		{"autoscaling/v2beta1", "HorizontalPodAutoscaler", removal{25, "autoscaling/v2"}},
		{"autoscaling/v2beta2", "HorizontalPodAutoscaler", removal{26, "autoscaling/v2"}},
		{"flowcontrol.apiserver.k8s.io/v1beta1", "FlowSchema PriorityLevelConfiguration", removal{26, "flowcontrol.apiserver.k8s.io/v1"}},
		{"flowcontrol.apiserver.k8s.io/v1beta2", "FlowSchema PriorityLevelConfiguration", removal{29, "flowcontrol.apiserver.k8s.io/v1"}},
		{"flowcontrol.apiserver.k8s.io/v1beta3", "FlowSchema PriorityLevelConfiguration", removal{32, "flowcontrol.apiserver.k8s.io/v1"}},
	} {
		for kind := range strings.FieldsSeq(r.kinds) {
			all[r.version+" "+kind] = r.removal
		}
	}
	return all
})

type removal struct {
	minor   int
	instead string
}

func kindRules() []Rule {
	return []Rule{{
		ID:     "api-version",
		Doc:    "The API server refuses an API version that it does not serve, or no longer, with all that depends on the object.",
		Source: "Kubernetes documentation, 'Deprecated API Migration Guide' and 'The Kubernetes API', API groups and versioning: the group of a custom kind is a domain",
		Alone:  true,
		Run: func(p *Pass) {
			var minor int
			if _, err := fmt.Sscanf(Kubernetes, "v1.%d", &minor); err != nil {
				p.broken(err)
				return
			}
			for _, o := range p.Objects() {
				if o.builtin != nil {
					continue // it is served
				}
				gvk := o.GetObjectKind().GroupVersionKind()
				r, ok := removed()[gvk.GroupVersion().String()+" "+gvk.Kind]
				if !ok {
					if problem, remedy := unknownVersion(gvk); problem != "" {
						p.Report(o, "apiVersion", problem, remedy)
					}
					continue
				}
				if r.minor > minor {
					continue
				}
				remedy := "write it as " + r.instead
				if r.instead == "" {
					remedy = "nothing took its place: leave it out"
				}
				p.Report(o, "apiVersion", fmt.Sprintf("%s has no %s since Kubernetes 1.%d", gvk.GroupVersion(), gvk.Kind, r.minor), remedy)
			}
		},
	}, {
		ID:     "kind",
		Doc:    "The API server refuses a kind that its API version does not have. A Go object whose TypeMeta says another kind than its type is refused here.",
		Source: "Kubernetes documentation, 'Kubernetes API Concepts', Resource URIs",
		Alone:  true,
		Run: func(p *Pass) {
			for _, o := range p.Objects() {
				if o.builtin != nil {
					if _, isUnstructured := o.Object.(*unstructured.Unstructured); !isUnstructured && reflect.TypeOf(o.Object) != o.builtin.goType {
						p.Report(o, "kind", fmt.Sprintf("is %s, and the Go object is %T", o.ID.Kind, o.Object), "the TypeMeta must name the type")
					}
					continue
				}
				gvk := o.GetObjectKind().GroupVersionKind()
				if kinds, ok := schemas()[gvk.GroupVersion()]; ok && kinds[gvk.Kind] == nil {
					p.Report(o, "kind", gvk.GroupVersion().String()+" has no kind "+gvk.Kind, "its kinds are "+strings.Join(sortedKeys(kinds), ", "))
				}
				if kinds, ok := builtin()[gvk.GroupVersion()]; ok && gvk.Kind != "" {
					remedy := "its kinds are " + strings.Join(sortedKeys(kinds), ", ")
					if versions := versionsOf(gvk.Kind); len(versions) > 0 {
						remedy = "it is in " + strings.Join(versions, " and ")
					}
					p.Report(o, "kind", gvk.GroupVersion().String()+" has no kind "+gvk.Kind, remedy)
				}
			}
		},
	}, {
		ID:       "scope",
		Severity: object.Warning,
		Doc:      "A namespace on an object of the whole cluster says nothing: whoever reads it believes in a fence that is not there.",
		Source:   "Kubernetes documentation, 'Namespaces', Not all objects are in a namespace",
		Alone:    true,
		Run: func(p *Pass) {
			for _, o := range p.Objects() {
				if o.builtin != nil && !o.builtin.namespaced && o.GetNamespace() != "" {
					p.Report(o, "metadata.namespace", "a "+o.ID.Kind+" is in no namespace", "leave it out")
				}
			}
		},
	}, {
		ID:       "namespace-open",
		Severity: object.Note,
		Doc:      "An object without a namespace goes where the context of whoever applies it points.",
		Source:   "Kubernetes documentation, 'Namespaces', Setting the namespace preference",
		Alone:    true,
		Run: func(p *Pass) {
			for _, o := range p.Objects() {
				if o.builtin != nil && o.builtin.namespaced && o.ID.Namespace == "" {
					p.Report(o, "metadata.namespace", "is empty: the object goes where the context of kubectl points", "state it")
				}
			}
		},
	}}
}

// preview is a version that may or may not be served.
var preview = regexp.MustCompile(`^v[0-9]+(alpha|beta)[0-9]+$`)

// unknownVersion says what is wrong with an API version that no cluster has.
// Groups of others are not known, save that they are domains, and that one
// which is a letter off a known one, for a kind of that one, is a mistake.
func unknownVersion(gvk schema.GroupVersionKind) (problem, remedy string) {
	if builtin()[gvk.GroupVersion()] != nil || schemas()[gvk.GroupVersion()] != nil || gvk.Version == "" {
		return "", ""
	}
	version := gvk.GroupVersion().String()
	versions := make(map[string]bool)
	for gv, kinds := range builtin() {
		versions[gv.String()] = true
		if _, ok := kinds[gvk.Kind]; ok && gv.Group != gvk.Group && oneOff(gv.Group, gvk.Group) {
			return "there is no group " + gvk.Group + " with the kind " + gvk.Kind, "is " + gv.String() + " meant?"
		}
	}
	for gv, kinds := range schemas() {
		if _, ok := kinds[gvk.Kind]; ok && gv.Group != gvk.Group && oneOff(gv.Group, gvk.Group) {
			return "there is no group " + gvk.Group + " with the kind " + gvk.Kind, "is " + gv.String() + " meant?"
		}
	}
	switch {
	case !dnsLabel(gvk.Version):
		return fmt.Sprintf("%q is no version", gvk.Version), near(version, sortedKeys(versions)...)
	case preview.MatchString(gvk.Version), gvk.Group == "apiextensions.k8s.io", gvk.Group == "extensions":
		return "", "" // a version that may be served, or kinds that are not known
	case builtinGroup(gvk.Group):
		if served := versionsOf(gvk.Kind); len(served) > 0 {
			return "there is no " + version, "it is " + strings.Join(served, " or ")
		}
		return "there is no " + version, near(version, sortedKeys(versions)...)
	case !strings.Contains(gvk.Group, "."):
		return "Kubernetes has no group " + gvk.Group, "the group of a custom kind is a domain"
	}
	return "", ""
}

// versionsOf returns the stable API versions that have a kind.
func versionsOf(name string) []string {
	has := make(map[string]bool)
	for version, kinds := range builtin() {
		if _, ok := kinds[name]; ok {
			has[version.String()] = true
		}
	}
	return sortedKeys(has)
}
