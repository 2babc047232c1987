package components

import (
	"fmt"
	"path"
	"regexp"
	"slices"
	"strings"

	admissionv1 "k8s.io/api/admissionregistration/v1"
	corev1 "k8s.io/api/core/v1"
	networkingv1 "k8s.io/api/networking/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/util/validation/field"

	"git.lastcloud.io/ronnibaslund/dezky/fleet/render/object"
)

// The admission policy of the Deployer is one question asked twice: what does
// an object refer to? In Go, it is asked of the objects that are rendered, and
// the answers go into the policy; in CEL, it is asked of the object that the
// Deployer applies, and the answers must be among them. The Go below and the
// CEL at the end of the file go through the same fields in the same order, so
// that they can be read side by side.
//
// A reference is written as
//
//	SECRET/KEY               one key of a Secret
//	SECRET/*                 a whole Secret
//	imagePullSecrets/SECRET  the registry's credential
//	serviceAccountName/NAME  of a pod
//	secretName/SECRET        the certificate of an Ingress
//	type/TYPE                of a Service that is not a ClusterIP
//	externalIPs/IP, externalName/NAME
//	Plugin/NAME              of a Middleware: plugins resolve Secrets by themselves
//
// None of them can be taken for a Secret where Secrets are referred to: the
// name of a Secret has no capital letter, and a Service has none.

// references is what one object refers to.
type references struct {
	list   []string
	images []string
	hosts  []string
	// annotations that Traefik or cert-manager read.
	annotations []string
	// identity is whether the object is a workload or a ServiceAccount: what
	// runs, and as whom, is not for the Deployer to add.
	identity bool
}

func referencesOf(o object.Object) (references, error) {
	content, err := runtime.DefaultUnstructuredConverter.ToUnstructured(o)
	if err != nil {
		return references{}, err
	}
	var r references
	pod, err := podOf(content)
	if err != nil {
		return references{}, err
	}
	if pod != nil {
		r.pod(pod)
	}
	switch o.GetObjectKind().GroupVersionKind().Kind {
	case "ServiceAccount":
		var account corev1.ServiceAccount
		err = from(content, &account)
		r.identity = true
		for _, s := range account.ImagePullSecrets {
			r.add("imagePullSecrets", s.Name)
		}
		for _, s := range account.Secrets {
			r.add(s.Name, "*")
		}
	case "Service":
		var service corev1.Service
		err = from(content, &service)
		if t := service.Spec.Type; t != "" && t != corev1.ServiceTypeClusterIP {
			r.add("type", string(t))
		}
		for _, ip := range service.Spec.ExternalIPs {
			r.add("externalIPs", ip)
		}
		if name := service.Spec.ExternalName; name != "" {
			r.add("externalName", name)
		}
		r.annotate(service.Annotations)
	case "Ingress":
		var ingress networkingv1.Ingress
		err = from(content, &ingress)
		r.ingress(&ingress)
		r.annotate(ingress.Annotations)
	case "Middleware":
		for _, path := range [][]string{{"basicAuth", "secret"}, {"digestAuth", "secret"}, {"forwardAuth", "tls", "caSecret"}, {"forwardAuth", "tls", "certSecret"}} {
			if name, ok := at(content, append([]string{"spec"}, path...)...).(string); ok {
				r.add(name, "*")
			}
		}
		if plugins, ok := at(content, "spec", "plugin").(map[string]any); ok {
			for _, name := range sortedKeys(plugins) {
				r.add("Plugin", name)
			}
		}
	}
	return r, err
}

// A [Job] has a checksum after its name, which is another at each release. Its
// references are those of the name before it.
const jobSuffix = `-[0-9a-f]{10}$`

var jobSum = regexp.MustCompile(jobSuffix)

func workloadName(kind, name string) string {
	if kind == "Job" {
		return jobSum.ReplaceAllString(name, "")
	}
	return name
}

func (r *references) add(of, what string) { r.list = append(r.list, of+"/"+what) }

// podOf is the pod of a workload of any kind, or nil: all of them have their
// template at one of four places, custom ones too.
func podOf(content map[string]any) (*corev1.PodSpec, error) {
	var found any
	switch at(content, "kind") {
	case "Pod":
		found = at(content, "spec")
	case "PodTemplate":
		found = at(content, "template", "spec")
	default:
		if found = at(content, "spec", "jobTemplate", "spec", "template", "spec"); found == nil {
			found = at(content, "spec", "template", "spec")
		}
	}
	spec, ok := found.(map[string]any)
	if !ok {
		return nil, nil
	}
	pod := new(corev1.PodSpec)
	return pod, from(spec, pod)
}

func (r *references) pod(pod *corev1.PodSpec) {
	r.identity = true
	account := pod.ServiceAccountName
	if account == "" {
		account = "default"
	}
	r.add("serviceAccountName", account)
	for _, s := range pod.ImagePullSecrets {
		r.add("imagePullSecrets", s.Name)
	}
	containers := slices.Concat(pod.Containers, pod.InitContainers)
	for _, c := range pod.EphemeralContainers {
		containers = append(containers, corev1.Container(c.EphemeralContainerCommon))
	}
	for _, c := range containers {
		r.images = append(r.images, c.Image)
		for _, e := range c.Env {
			if e.ValueFrom != nil && e.ValueFrom.SecretKeyRef != nil {
				r.add(e.ValueFrom.SecretKeyRef.Name, e.ValueFrom.SecretKeyRef.Key)
			}
		}
		for _, e := range c.EnvFrom {
			if e.SecretRef != nil {
				r.add(e.SecretRef.Name, "*")
			}
		}
	}
	for _, v := range pod.Volumes {
		r.volume(v)
	}
}

func (r *references) volume(v corev1.Volume) {
	items := func(name string, items []corev1.KeyToPath) {
		if len(items) == 0 {
			r.add(name, "*")
		}
		for _, i := range items {
			r.add(name, i.Key)
		}
	}
	if v.Secret != nil {
		items(v.Secret.SecretName, v.Secret.Items)
	}
	if v.Projected != nil {
		for _, s := range v.Projected.Sources {
			if s.Secret != nil {
				items(s.Secret.Name, s.Secret.Items)
			}
		}
	}
	if v.Image != nil {
		r.images = append(r.images, v.Image.Reference)
	}
	var refs []*corev1.LocalObjectReference
	switch {
	case v.CSI != nil:
		refs = append(refs, v.CSI.NodePublishSecretRef)
	case v.FlexVolume != nil:
		refs = append(refs, v.FlexVolume.SecretRef)
	case v.ISCSI != nil:
		refs = append(refs, v.ISCSI.SecretRef)
	case v.RBD != nil:
		refs = append(refs, v.RBD.SecretRef)
	case v.CephFS != nil:
		refs = append(refs, v.CephFS.SecretRef)
	case v.ScaleIO != nil:
		refs = append(refs, v.ScaleIO.SecretRef)
	case v.StorageOS != nil:
		refs = append(refs, v.StorageOS.SecretRef)
	case v.AzureFile != nil:
		r.add(v.AzureFile.SecretName, "*")
	}
	for _, ref := range refs {
		if ref != nil {
			r.add(ref.Name, "*")
		}
	}
}

func (r *references) ingress(ingress *networkingv1.Ingress) {
	host := func(name string) {
		if name == "" {
			name = "*"
		}
		r.hosts = append(r.hosts, name)
	}
	for _, rule := range ingress.Spec.Rules {
		host(rule.Host)
	}
	for _, t := range ingress.Spec.TLS {
		for _, name := range t.Hosts {
			host(name)
		}
		if t.SecretName != "" {
			r.add("secretName", t.SecretName)
		}
	}
	if ingress.Spec.DefaultBackend != nil {
		host("*")
	}
}

// annotate takes down the annotations that Traefik and cert-manager read. The
// path matcher among Traefik's goes into the rule of the router as it stands,
// so it can take any host.
func (r *references) annotate(annotations map[string]string) {
	for _, key := range sortedKeys(annotations) {
		if strings.Contains(key, "traefik.") || strings.Contains(key, "cert-manager.io/") {
			r.annotations = append(r.annotations, key)
		}
	}
}

// at follows the keys of nested maps; nil where one is missing.
func at(content map[string]any, keys ...string) any {
	var v any = content
	for _, k := range keys {
		m, _ := v.(map[string]any)
		v = m[k]
	}
	return v
}

func from(content map[string]any, to any) error {
	return runtime.DefaultUnstructuredConverter.FromUnstructured(content, to)
}

// maxExpression is the length of an expression that the API server parses:
// cel-go's default, parser.ExpressionSizeCodePointLimit.
const maxExpression = 100_000

// policy is what the Deployer may apply, made from what it applies today.
func (d Deployer) policy(objects []applied) (*admissionv1.ValidatingAdmissionPolicy, field.ErrorList) {
	var errs field.ErrorList
	given := make(map[string][]string) // Kind/name → references
	var registries, hosts, annotations []string
	workloads := make(map[string]bool)
	for _, o := range objects {
		kind := o.GetObjectKind().GroupVersionKind().Kind
		name := workloadName(kind, o.GetName())
		r, err := referencesOf(o.Object)
		if err != nil {
			errs = append(errs, field.Invalid(o.path, field.OmitValueType{}, fmt.Sprintf("%s %q cannot be read: %v", kind, name, err)))
			continue
		}
		hosts, annotations = append(hosts, r.hosts...), append(annotations, r.annotations...)
		for _, image := range r.images {
			folder := path.Dir(image)
			if folder == "." || folder == "/" {
				errs = append(errs, field.Invalid(o.path, image, fmt.Sprintf("the image of %s %q names no registry, and the deployer may take images from the registry of the layer only: write it in full, such as docker.io/library/%s", kind, name, image)))
				continue
			}
			registries = append(registries, folder+"/")
		}
		if r.identity && kind != "ServiceAccount" {
			workloads[name] = true
			for _, contract := range d.Secrets[name] {
				for _, k := range contract.Keys {
					r.add(contract.Name, k.Name)
				}
			}
		}
		if r.identity || len(r.list) > 0 {
			given[kind+"/"+name] = append(given[kind+"/"+name], r.list...)
		}
	}
	for _, name := range sortedKeys(d.Secrets) {
		if !workloads[name] {
			errs = append(errs, field.Invalid(field.NewPath("secrets").Key(name), field.OmitValueType{}, "there is no workload of this name in applies"))
		}
		for i, contract := range d.Secrets[name] {
			if contract.Namespace != d.Namespace {
				errs = append(errs, field.Invalid(field.NewPath("secrets").Key(name).Index(i).Child("namespace"), contract.Namespace, "must be the deployer's, "+d.Namespace+": a pod reads only the Secrets of its own namespace"))
			}
		}
	}

	remedy := "A cluster admin lets in what is new (an app, a host, a Secret or a key of one) by applying the layer of " + d.Name + " first"
	if d.Command != "" {
		remedy += ": " + d.Command
	}
	variable := func(name, expression string) admissionv1.Variable {
		return admissionv1.Variable{Name: name, Expression: strings.TrimSpace(expression)}
	}
	policy := &admissionv1.ValidatingAdmissionPolicy{
		TypeMeta:   metav1.TypeMeta{APIVersion: admissionv1.SchemeGroupVersion.String(), Kind: "ValidatingAdmissionPolicy"},
		ObjectMeta: metav1.ObjectMeta{Name: d.policyName(), Labels: Labels(d.Name)},
		Spec: admissionv1.ValidatingAdmissionPolicySpec{
			FailurePolicy: new(admissionv1.Fail),
			MatchConstraints: &admissionv1.MatchResources{
				NamespaceSelector: &metav1.LabelSelector{MatchLabels: map[string]string{corev1.LabelMetadataName: d.Namespace}},
				ResourceRules: []admissionv1.NamedRuleWithOperations{{RuleWithOperations: admissionv1.RuleWithOperations{
					Operations: []admissionv1.OperationType{admissionv1.Create, admissionv1.Update},
					Rule:       admissionv1.Rule{APIGroups: []string{"*"}, APIVersions: []string{"*"}, Resources: []string{"*/*"}, Scope: new(admissionv1.NamespacedScope)},
				}}},
			},
			MatchConditions: []admissionv1.MatchCondition{{
				Name:       "deployer",
				Expression: fmt.Sprintf("request.userInfo.username == %q", "system:serviceaccount:"+d.Namespace+":"+d.Name),
			}},
			Variables: []admissionv1.Variable{
				variable("given", celMap(given)),
				variable("registries", celList(registries)),
				variable("hosts", celList(hosts)),
				variable("annotations", celList(annotations)),
				variable("name", celName),
				variable("pod", celPod),
				variable("containers", celContainers),
				variable("volumes", celVolumes),
				variable("podReferences", celPodReferences),
				variable("references", celReferences),
				variable("usedImages", celUsedImages),
				variable("usedHosts", celUsedHosts),
				variable("usedAnnotations", celUsedAnnotations),
				variable("faults", celFaults),
			},
			Validations: []admissionv1.Validation{{
				Expression:        "size(variables.faults) == 0",
				Message:           "more than " + d.Name + " may do. " + remedy,
				MessageExpression: fmt.Sprintf(`variables.name + ": " + variables.faults.join("; ") + ". " + %q`, remedy),
				Reason:            new(metav1.StatusReasonForbidden),
			}},
		},
	}
	for _, v := range policy.Spec.Variables {
		if len(v.Expression) > maxExpression {
			errs = append(errs, field.Invalid(field.NewPath("applies"), field.OmitValueType{}, fmt.Sprintf("is too much for one policy: the variable %s takes %d characters, and CEL allows %d: split the layer, with a Deployer for each part", v.Name, len(v.Expression), maxExpression)))
		}
	}
	return policy, errs
}

func (d Deployer) binding() *admissionv1.ValidatingAdmissionPolicyBinding {
	return &admissionv1.ValidatingAdmissionPolicyBinding{
		TypeMeta:   metav1.TypeMeta{APIVersion: admissionv1.SchemeGroupVersion.String(), Kind: "ValidatingAdmissionPolicyBinding"},
		ObjectMeta: metav1.ObjectMeta{Name: d.policyName(), Labels: Labels(d.Name)},
		Spec: admissionv1.ValidatingAdmissionPolicyBindingSpec{
			PolicyName:        d.policyName(),
			ValidationActions: []admissionv1.ValidationAction{admissionv1.Deny},
		},
	}
}

// policyName is of its own for each namespace, since policies are in none.
func (d Deployer) policyName() string { return d.Name + "." + d.Namespace }

// celList is a list of strings, each once, in order.
func celList(values []string) string {
	values = slices.Compact(slices.Sorted(slices.Values(values)))
	if len(values) == 0 {
		return "[]"
	}
	quoted := make([]string, len(values))
	for i, v := range values {
		quoted[i] = fmt.Sprintf("%q", v)
	}
	return "[\n  " + strings.Join(quoted, ",\n  ") + "\n]"
}

// celMap is a map of lists.
func celMap(lists map[string][]string) string {
	if len(lists) == 0 {
		return "{}"
	}
	var b strings.Builder
	b.WriteString("{\n")
	for i, k := range sortedKeys(lists) {
		if i > 0 {
			b.WriteString(",\n")
		}
		fmt.Fprintf(&b, "  %q: %s", k, strings.ReplaceAll(celList(lists[k]), "\n", "\n  "))
	}
	b.WriteString("\n}")
	return b.String()
}

// The variables of the policy. An object that is about to be validated has
// passed the API's own validation, so names have no spaces in them, and lists
// of lists are made flat by joining and splitting: CEL has flatten in newer
// clusters only.
const (
	celName = `
object.kind + "/" + [object.?metadata.?name.orValue("")].map(n,
  object.kind == "Job" && n.matches("` + jobSuffix + `") ? n.substring(0, size(n) - 11) : n)[0]`

	celPod = `
object.kind == "Pod" ? object.spec :
object.kind == "PodTemplate" ? object.template.spec :
object.?spec.?jobTemplate.?spec.?template.?spec.orValue(object.?spec.?template.?spec.orValue({}))`

	celContainers = `
variables.pod.?containers.orValue([]) +
variables.pod.?initContainers.orValue([]) +
variables.pod.?ephemeralContainers.orValue([])`

	celVolumes = `variables.pod.?volumes.orValue([])`

	celPodReferences = `
size(variables.pod) == 0 ? [] :
["serviceAccountName/" + variables.pod.?serviceAccountName.orValue("default")] +
variables.pod.?imagePullSecrets.orValue([]).map(s, "imagePullSecrets/" + s.name) +
(
  variables.containers.map(c, c.?env.orValue([])
    .filter(e, has(e.valueFrom) && has(e.valueFrom.secretKeyRef))
    .map(e, e.valueFrom.secretKeyRef.name + "/" + e.valueFrom.secretKeyRef.key).join(" ")) +
  variables.containers.map(c, c.?envFrom.orValue([])
    .filter(e, has(e.secretRef))
    .map(e, e.secretRef.name + "/*").join(" ")) +
  variables.volumes.filter(v, has(v.secret)).map(v,
    size(v.secret.?items.orValue([])) == 0 ? v.secret.secretName + "/*" :
    v.secret.items.map(i, v.secret.secretName + "/" + i.key).join(" ")) +
  variables.volumes.filter(v, has(v.projected)).map(v, v.projected.?sources.orValue([])
    .filter(s, has(s.secret)).map(s,
      size(s.secret.?items.orValue([])) == 0 ? s.secret.name + "/*" :
      s.secret.items.map(i, s.secret.name + "/" + i.key).join(" ")).join(" ")) +
  variables.volumes.map(v, v.filter(k, !(k in ["name", "secret", "projected"])).map(k,
    [v[k].?nodePublishSecretRef.?name, v[k].?secretRef.?name, v[k].?secretName]
      .filter(n, n.hasValue()).map(n, n.value() + "/*").join(" ")).join(" "))
).join(" ").split(" ").filter(r, r != "")`

	celReferences = `
variables.podReferences +
(object.kind != "ServiceAccount" ? [] :
  object.?imagePullSecrets.orValue([]).map(s, "imagePullSecrets/" + s.name) +
  object.?secrets.orValue([]).map(s, s.name + "/*")) +
(object.kind != "Service" ? [] :
  [object.?spec.?type.orValue("ClusterIP")].filter(t, t != "ClusterIP").map(t, "type/" + t) +
  object.?spec.?externalIPs.orValue([]).map(ip, "externalIPs/" + ip) +
  [object.?spec.?externalName.orValue("")].filter(n, n != "").map(n, "externalName/" + n)) +
(object.kind != "Ingress" ? [] :
  object.?spec.?tls.orValue([]).filter(t, has(t.secretName)).map(t, "secretName/" + t.secretName)) +
(object.kind != "Middleware" ? [] :
  [
    object.?spec.?basicAuth.?secret, object.?spec.?digestAuth.?secret,
    object.?spec.?forwardAuth.?tls.?caSecret, object.?spec.?forwardAuth.?tls.?certSecret
  ].filter(s, s.hasValue()).map(s, s.value() + "/*") +
  object.?spec.?plugin.orValue({}).map(k, "Plugin/" + k))`

	celUsedImages = `
variables.containers.map(c, c.?image.orValue("")) +
variables.volumes.filter(v, has(v.image)).map(v, v.image.?reference.orValue(""))`

	celUsedHosts = `
object.kind != "Ingress" ? [] :
(
  object.?spec.?rules.orValue([]).map(r, r.?host.orValue("") == "" ? "*" : r.host) +
  object.?spec.?tls.orValue([]).map(t, t.?hosts.orValue([]).join(" ")) +
  (object.?spec.?defaultBackend.hasValue() ? ["*"] : [])
).join(" ").split(" ").filter(h, h != "")`

	celUsedAnnotations = `
!(object.kind in ["Ingress", "Service"]) ? [] :
object.?metadata.?annotations.orValue({}).filter(k, k.contains("traefik.") || k.contains("cert-manager.io/"))`

	celFaults = `
(!(variables.name in variables.given) && (size(variables.pod) > 0 || object.kind == "ServiceAccount") ?
  ["there is no such workload or ServiceAccount in the tier"] :
  variables.references.filter(r,
    !(r in variables.given[?variables.name].orValue([])) &&
    !(r.split("/")[0] + "/*" in variables.given[?variables.name].orValue([]))
  ).map(r, "it may not have " + r)) +
variables.usedImages.filter(i, !variables.registries.exists(r, i.startsWith(r))).map(i, "the image " + i + " is not from " + variables.registries.join(" or ")) +
variables.usedHosts.filter(h, !(h in variables.hosts)).map(h, "the host " + h + " is not of the tier") +
variables.usedAnnotations.filter(a, !(a in variables.annotations)).map(a, "the annotation " + a + " is not of the tier")`
)
