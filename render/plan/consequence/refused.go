package consequence

import (
	"slices"
	"strings"

	"k8s.io/apimachinery/pkg/api/meta"
	"k8s.io/apimachinery/pkg/api/resource"
	"k8s.io/apimachinery/pkg/runtime/schema"

	"git.lastcloud.io/ronnibaslund/dezky/fleet/render/object"
)

// immutable is a field that the API server does not let change.
type immutable struct {
	// kinds as group/Kind.
	kinds []string
	field string
	// otherwise is what the API server takes where the field is not set.
	otherwise any
	// keptWhenDropped reports that the live value stays where the field is no
	// longer set.
	keptWhenDropped bool
	// when says which objects it holds for. All, if nil.
	when func(was, is map[string]any) bool
	// do is what to do instead.
	do string
}

const (
	anotherName = "Render it under another name, or delete the old one first"
	replace     = "Bring the new one up under another name, move the traffic, then delete the old one"
	adopt       = "Let an admin deploy the layer once with -adopt, which replaces it beside the running one"
	runAgain    = "Render it under another name, or delete the finished one first"
)

var immutables = []immutable{
	{kinds: []string{"apps/Deployment"}, field: "spec.selector", do: adopt},
	{kinds: []string{"apps/ReplicaSet", "apps/DaemonSet"}, field: "spec.selector", do: replace},
	{kinds: []string{"/Secret"}, field: "type", otherwise: "Opaque", do: anotherName},
	{kinds: []string{"/Secret", "/ConfigMap"}, field: "data", when: isImmutable, do: anotherName},
	{kinds: []string{"/Secret", "/ConfigMap"}, field: "binaryData", when: isImmutable, do: anotherName},
	{kinds: []string{"/Secret"}, field: "stringData", when: func(was, is map[string]any) bool {
		// A key that goes from here stays in data.
		for key, value := range fields(is, "stringData") {
			if was["immutable"] == true && !same(fields(was, "stringData")[key], value) {
				return true
			}
		}
		return false
	}, do: anotherName},
	{kinds: []string{"/Secret", "/ConfigMap"}, field: "immutable", when: isImmutable, do: anotherName},
	{kinds: []string{"scheduling.k8s.io/PriorityClass"}, field: "value", do: anotherName},
	{kinds: []string{"scheduling.k8s.io/PriorityClass"}, field: "preemptionPolicy", otherwise: "PreemptLowerPriority", do: anotherName},
	{kinds: []string{"storage.k8s.io/StorageClass"}, field: "parameters", do: anotherName},
	{kinds: []string{"storage.k8s.io/StorageClass"}, field: "provisioner", do: anotherName},
	{kinds: []string{"storage.k8s.io/StorageClass"}, field: "reclaimPolicy", otherwise: "Delete", do: anotherName},
	{kinds: []string{"storage.k8s.io/StorageClass"}, field: "volumeBindingMode", otherwise: "Immediate", do: anotherName},
	{kinds: []string{"networking.k8s.io/IngressClass"}, field: "spec.controller", do: anotherName},
	{kinds: []string{"apiextensions.k8s.io/CustomResourceDefinition"}, field: "spec.group", do: anotherName},
	{kinds: []string{"apiextensions.k8s.io/CustomResourceDefinition"}, field: "spec.names.plural", do: anotherName},
	{kinds: []string{"apiextensions.k8s.io/CustomResourceDefinition"}, field: "spec.names.kind", do: anotherName},
	{kinds: []string{"apiextensions.k8s.io/CustomResourceDefinition"}, field: "spec.scope", do: anotherName},
	{kinds: []string{"batch/Job"}, field: "spec.selector", do: runAgain},
	{kinds: []string{"batch/Job"}, field: "spec.completionMode", otherwise: "NonIndexed", do: runAgain},
	{kinds: []string{"batch/Job"}, field: "spec.podFailurePolicy", do: runAgain},
	{kinds: []string{"batch/Job"}, field: "spec.backoffLimitPerIndex", do: runAgain},
	{kinds: []string{"batch/Job"}, field: "spec.managedBy", do: runAgain},
	{kinds: []string{"batch/Job"}, field: "spec.successPolicy", do: runAgain},
	{kinds: []string{"batch/Job"}, field: "spec.completions", do: runAgain, when: func(_, is map[string]any) bool {
		together := same(get(is, "spec", "completions"), or(get(is, "spec", "parallelism"), int64(1)))
		return text(is, "spec", "completionMode") != "Indexed" || !together
	}},
	{kinds: []string{"/PersistentVolume"}, field: "spec.volumeMode", otherwise: "Filesystem", do: anotherName},
	{kinds: []string{"/PersistentVolume"}, field: "spec.nodeAffinity", do: anotherName, when: func(was, _ map[string]any) bool {
		return get(was, "spec", "nodeAffinity") != nil
	}},
	{kinds: []string{"/Service"}, field: "spec.clusterIP", keptWhenDropped: true, do: replace, when: func(was, is map[string]any) bool {
		return !typed("ExternalName", was) && !typed("ExternalName", is)
	}},
	{kinds: []string{"/Service"}, field: "spec.loadBalancerClass", do: replace, when: func(was, is map[string]any) bool {
		return typed("LoadBalancer", was) && typed("LoadBalancer", is)
	}},
	{kinds: []string{"/Service"}, field: "spec.healthCheckNodePort", keptWhenDropped: true, do: replace, when: func(was, is map[string]any) bool {
		local := func(s map[string]any) bool {
			return typed("LoadBalancer", s) && text(s, "spec", "externalTrafficPolicy") == "Local"
		}
		return local(was) && local(is)
	}},
}

func isImmutable(was, _ map[string]any) bool { return was["immutable"] == true }

func typed(kind string, service map[string]any) bool { return text(service, "spec", "type") == kind }

func refusedRules() []Rule {
	return []Rule{{
		ID:     "immutable-field",
		Doc:    "The API server refuses a change of a field that is set once and for all, and a larger claim of a StorageClass that does not allow it. Of a class that is not in the manifests nothing is said, except of local-path, which k3s brings. A strategy that may have no rollingUpdate is refused where the API server filled it in: server-side apply leaves what nobody applied.",
		Source: "Kubernetes, pkg/apis/*/validation: the Validate*Update functions; plugin/pkg/admission/storage/persistentvolume/resize; k3s, manifests/local-storage.yaml; pkg/apis/apps/v1/defaults.go",
		run: func(p *pass) {
			byKind := make(map[string][]immutable)
			for _, f := range immutables {
				for _, kind := range f.kinds {
					byKind[kind] = append(byKind[kind], f)
				}
			}
			for _, pair := range p.Pairs {
				if pair.Was == nil || pair.Is == nil {
					continue
				}
				kind := pair.ID.Group + "/" + pair.ID.Kind
				for _, f := range byKind[kind] {
					f.run(p, pair)
				}
				if other := immutableKinds[kind]; other != nil {
					other(p, pair)
				}
			}
		},
	}, {
		ID:     "role-ref",
		Doc:    "The role of a binding cannot change.",
		Source: "Kubernetes, pkg/apis/rbac/validation: ValidateRoleBindingUpdate",
		run: func(p *pass) {
			for _, pair := range p.Pairs {
				if pair.Was == nil || pair.Is == nil || pair.ID.Group != rbac || !strings.HasSuffix(pair.ID.Kind, "RoleBinding") {
					continue
				}
				was, is := fields(pair.Was.Fields, "roleRef"), fields(pair.Is.Fields, "roleRef")
				if text(was, "kind") != text(is, "kind") || text(was, "name") != text(is, "name") {
					p.report(Refused, pair.ID, "roleRef", "a binding keeps its role: it is "+text(was, "kind")+" "+text(was, "name")+", and would be "+text(is, "kind")+" "+text(is, "name"),
						"Let an admin deploy the layer once with -adopt, which makes it anew")
				}
			}
		},
	}, {
		ID:     "template-labels",
		Doc:    "A workload whose pods its own selector does not select is refused.",
		Source: "Kubernetes, pkg/apis/apps/validation: ValidatePodTemplateSpecForReplicaSet",
		run: func(p *pass) {
			for _, pair := range p.Pairs {
				if pair.Was == nil || pair.Is == nil || pair.ID.Group != "apps" {
					continue
				}
				w := p.Is.workloads[pair.ID]
				if w == nil || !same(get(pair.Was.Fields, "spec", "selector"), get(pair.Is.Fields, "spec", "selector")) {
					continue
				}
				if !w.selectsItself() {
					p.report(Refused, pair.ID, "spec.template.metadata.labels", "the selector does not match them", "Keep the labels that the selector names")
				}
			}
		},
	}}
}

func (f immutable) run(p *pass, pair change) {
	was, is := pair.Was.Fields, pair.Is.Fields
	if f.when != nil && !f.when(was, is) {
		return
	}
	path := strings.Split(f.field, ".")
	a, b := or(get(was, path...), f.otherwise), or(get(is, path...), f.otherwise)
	if same(a, b) || f.keptWhenDropped && empty(b) {
		return
	}
	p.report(Refused, pair.ID, f.field, "it cannot change once the "+pair.ID.Kind+" is there", f.do)
}

// immutableKinds are the kinds of which more can be refused than a field that
// differs.
var immutableKinds = map[string]func(*pass, change){
	"/Service":               serviceFamily,
	"/PersistentVolumeClaim": claim,
	"/PersistentVolume":      volume,
	"/Pod":                   pod,
	"apps/Deployment":        strategy("strategy", "Recreate"),
	"apps/StatefulSet":       statefulSet,
	"batch/Job":              job,
	"apiextensions.k8s.io/CustomResourceDefinition": definition,
}

func serviceFamily(p *pass, pair change) {
	was, is := strs(get(pair.Was.Fields, "spec", "ipFamilies")), strs(get(pair.Is.Fields, "spec", "ipFamilies"))
	if typed("ExternalName", pair.Was.Fields) || typed("ExternalName", pair.Is.Fields) || len(was) == 0 || len(is) == 0 || was[0] == is[0] {
		return
	}
	p.report(Refused, pair.ID, "spec.ipFamilies", "the first family cannot change: it is "+was[0], replace)
}

// strategy refuses a change to a strategy that may have no rollingUpdate where
// the API server has filled it in: server-side apply leaves what nobody
// applied. Where a part of it was applied, all of it goes.
func strategy(field, to string) func(*pass, change) {
	return func(p *pass, pair change) {
		was, is := fields(pair.Was.Fields, "spec", field), fields(pair.Is.Fields, "spec", field)
		if text(was, "type") == to || text(is, "type") != to || !empty(was["rollingUpdate"]) {
			return
		}
		at := ""
		if pair.ID.Namespace != "" {
			at = " -n " + pair.ID.Namespace
		}
		p.report(Refused, pair.ID, "spec."+field+".rollingUpdate", "the API server has filled it in, and "+to+" may not have it: server-side apply leaves it",
			"Change the "+field+" first: kubectl patch"+at+" "+strings.ToLower(pair.ID.Kind)+" "+pair.ID.Name+` -p '{"spec":{"`+field+`":{"type":"`+to+`","rollingUpdate":null}}}'`)
	}
}

// statefulSet: only these fields of the spec may change.
func statefulSet(p *pass, pair change) {
	strategy("updateStrategy", "OnDelete")(p, pair)
	may := []string{"replicas", "ordinals", "template", "updateStrategy", "revisionHistoryLimit", "persistentVolumeClaimRetentionPolicy", "minReadySeconds"}
	was, is := fields(pair.Was.Fields, "spec"), fields(pair.Is.Fields, "spec")
	for _, key := range union(was, is) {
		a, b := was[key], is[key]
		switch {
		case slices.Contains(may, key):
			continue
		case key == "podManagementPolicy":
			a, b = or(a, "OrderedReady"), or(b, "OrderedReady")
		case key == "volumeClaimTemplates":
			a, b = claimTemplates(a), claimTemplates(b)
		}
		if !same(a, b) {
			do := "Delete it with --cascade=orphan and apply again: its pods stay, and are adopted"
			if key == "selector" || key == "serviceName" {
				do = replace
			}
			p.report(Refused, pair.ID, "spec."+key, "it cannot change once the StatefulSet is there", do)
		}
	}
}

// claimTemplates are the templates of a StatefulSet with the defaults of the
// API server.
func claimTemplates(value any) any {
	var all []any
	for _, t := range list(value) {
		t = without(t, "apiVersion", "kind", "status")
		spec := without(fields(t, "spec"))
		if spec == nil {
			spec = make(map[string]any)
		}
		spec["volumeMode"] = or(spec["volumeMode"], "Filesystem")
		t["spec"] = spec
		all = append(all, t)
	}
	return all
}

// job: of the pods of one that is suspended, and may not have started, the
// labels and what schedules them may change.
func job(p *pass, pair change) {
	was, is := fields(pair.Was.Fields, "spec", "template"), fields(pair.Is.Fields, "spec", "template")
	if get(pair.Was.Fields, "spec", "suspend") == true {
		scheduling := func(t map[string]any) map[string]any {
			if t == nil {
				return nil
			}
			t = without(t, "metadata")
			t["spec"] = without(fields(t, "spec"), "nodeSelector", "affinity", "tolerations", "schedulingGates")
			return t
		}
		was, is = scheduling(was), scheduling(is)
	}
	if !same(was, is) {
		p.report(Refused, pair.ID, "spec.template", "it cannot change once the Job is there", runAgain)
	}
}

// claim: a larger request, once bound, and the class of attributes may change,
// and a storage class may be given once.
func claim(p *pass, pair change) {
	was, is := fields(pair.Was.Fields, "spec"), fields(pair.Is.Fields, "spec")
	for _, key := range union(was, is) {
		a, b := was[key], is[key]
		switch key {
		case "resources":
			if smaller(get(was, "resources", "requests", "storage"), get(is, "resources", "requests", "storage")) {
				p.report(Refused, pair.ID, "spec.resources.requests.storage", "a claim does not shrink", "Make a smaller claim under another name, and copy the data")
			}
			if why := p.fixed(is); why != "" && smaller(get(is, "resources", "requests", "storage"), get(was, "resources", "requests", "storage")) {
				p.report(Refused, pair.ID, "spec.resources.requests.storage", why, "Make a larger claim under another name, and copy the data")
			}
			continue
		case "volumeAttributesClassName":
			continue
		case "storageClassName":
			if a == nil {
				continue
			}
		case "volumeMode":
			a, b = or(a, "Filesystem"), or(b, "Filesystem")
		case "volumeName":
			if b == nil {
				continue // stays what it is
			}
		}
		if !same(a, b) {
			p.report(Refused, pair.ID, "spec."+key, "a claim does not change once it is there, but for a larger request", "Make a claim under another name, and copy the data. Never delete the old one to get past this: its data goes with it")
		}
	}
}

// fixed says why a claim cannot grow, as far as it is known: its class is in
// the set, or it is the one of k3s, which does not say that its claims may.
func (p *pass) fixed(claim map[string]any) string {
	name, set := claim["storageClassName"].(string)
	if !set {
		return "" // the default one, whichever that was
	}
	if name == "" {
		return "a claim without a StorageClass does not grow"
	}
	id := object.ID{Group: "storage.k8s.io", Kind: "StorageClass", Name: name}
	class := p.Is.byID[id]
	if class == nil {
		class = p.Was.byID[id]
	}
	if class == nil && name == "local-path" || class != nil && class.Fields["allowVolumeExpansion"] != true {
		return "the StorageClass " + name + " lets no claim grow: it has no allowVolumeExpansion"
	}
	return ""
}

func smaller(was, is any) bool {
	a, err := quantity(was)
	b, err2 := quantity(is)
	return err == nil && err2 == nil && b.Cmp(a) < 0
}

func quantity(value any) (resource.Quantity, error) {
	if n, ok := number(value); ok {
		return *resource.NewQuantity(int64(n), resource.DecimalSI), nil
	}
	s, _ := value.(string)
	return resource.ParseQuantity(s)
}

// volume: what is none of these fields says where the volume is.
func volume(p *pass, pair change) {
	others := []string{"capacity", "accessModes", "claimRef", "persistentVolumeReclaimPolicy", "storageClassName", "mountOptions", "volumeMode", "nodeAffinity", "volumeAttributesClassName"}
	was, is := fields(pair.Was.Fields, "spec"), fields(pair.Is.Fields, "spec")
	for _, key := range union(was, is) {
		if !slices.Contains(others, key) && !same(was[key], is[key]) {
			p.report(Refused, pair.ID, "spec."+key, "the source of a volume cannot change", anotherName)
		}
	}
}

// pod: images, fewer gates, more tolerations and a shorter deadline may change.
func pod(p *pass, pair change) {
	was, is := fields(pair.Was.Fields, "spec"), fields(pair.Is.Fields, "spec")
	for _, key := range union(was, is) {
		a, b := was[key], is[key]
		ok := same(a, b)
		switch key {
		case "containers", "initContainers":
			ok = same(withoutImages(a), withoutImages(b))
		case "tolerations":
			ok = containsAll(b, a)
		case "schedulingGates":
			ok = containsAll(a, b)
		case "activeDeadlineSeconds":
			m, had := number(a)
			n, has := number(b)
			ok = ok || has && (!had || n <= m)
		}
		if !ok {
			p.report(Refused, pair.ID, "spec."+key, "it cannot change once the Pod is there", anotherName)
		}
	}
}

func withoutImages(value any) any {
	var all []any
	for _, c := range list(value) {
		all = append(all, without(c, "image"))
	}
	return all
}

func containsAll(list, of any) bool {
	all, _ := list.([]any)
	some, _ := of.([]any)
	for _, s := range some {
		if !slices.ContainsFunc(all, func(v any) bool { return same(v, s) }) {
			return false
		}
	}
	return true
}

// definition: objects may be stored in the version that was the one to store.
func definition(p *pass, pair change) {
	has := make(map[string]bool)
	for _, v := range list(get(pair.Is.Fields, "spec", "versions")) {
		has[text(v, "name")] = true
	}
	for _, v := range list(get(pair.Was.Fields, "spec", "versions")) {
		if name := text(v, "name"); v["storage"] == true && !has[name] {
			p.report(Refused, pair.ID, "spec.versions["+name+"]", "objects are stored in this version", "Keep it, unserved, until all are stored in another and status.storedVersions is without it")
		}
	}
}

// union returns the keys of two objects, each once, in their order.
func union(a, b map[string]any) []string {
	keys := append(sorted(a), sorted(b)...)
	slices.Sort(keys)
	return slices.Compact(keys)
}

const rbac = "rbac.authorization.k8s.io"

// right is a verb on a resource in a namespace.
type right struct{ group, resource, verb string }

// rights are what a Role or ClusterRole allows, with a star for all.
type rights map[right]bool

func rightsOf(role *Object) rights {
	all := make(rights)
	if role == nil {
		return all
	}
	for _, rule := range list(role.Fields["rules"]) {
		if !empty(rule["resourceNames"]) {
			continue // some of them only
		}
		for _, group := range strs(rule["apiGroups"]) {
			for _, resource := range strs(rule["resources"]) {
				for _, verb := range strs(rule["verbs"]) {
					all[right{group, resource, verb}] = true
				}
			}
		}
	}
	return all
}

func (r rights) allow(want right) bool {
	for _, group := range []string{want.group, "*"} {
		for _, resource := range []string{want.resource, "*"} {
			for _, verb := range []string{want.verb, "*"} {
				if r[right{group, resource, verb}] {
					return true
				}
			}
		}
	}
	return false
}

// builtin are the rights of the ClusterRoles that every cluster has, as far as
// a deploy needs them: plugin/pkg/auth/authorizer/rbac/bootstrappolicy.
// cert-manager's chart aggregates its own kinds to them, and Traefik's does not.
func builtin(name string) (rights, bool) {
	if name == "cluster-admin" {
		return rights{{"*", "*", "*"}: true}, true
	}
	if name != "admin" && name != "edit" {
		return nil, false
	}
	all := make(rights)
	for group, resources := range map[string][]string{
		"":                  {"configmaps", "secrets", "services", "serviceaccounts", "persistentvolumeclaims", "pods", "replicationcontrollers"},
		"apps":              {"*"},
		"batch":             {"*"},
		"autoscaling":       {"*"},
		"policy":            {"*"},
		"networking.k8s.io": {"ingresses", "networkpolicies"},
		"cert-manager.io":   {"*"},
	} {
		for _, resource := range resources {
			all[right{group, resource, "*"}] = true
		}
	}
	if name == "admin" {
		all[right{rbac, "roles", "*"}], all[right{rbac, "rolebindings", "*"}] = true, true
	}
	return all, true
}

// granted returns what a binding grants, its layer, and false where the role
// is not known.
func (s *set) granted(binding *Object) (rights, string, bool) {
	if binding == nil {
		return nil, "", false
	}
	ref := fields(binding.Fields, "roleRef")
	id := object.ID{Group: rbac, Kind: text(ref, "kind"), Name: text(ref, "name")}
	if id.Kind == "Role" {
		id.Namespace = binding.ID.Namespace
	}
	if role := s.byID[id]; role != nil {
		return rightsOf(role), role.layer(), true
	}
	if id.Kind == "ClusterRole" {
		if r, ok := builtin(id.Name); ok {
			return r, binding.layer(), true
		}
	}
	return nil, "", false
}

// deploys reports whether rights are those of who deploys to a namespace.
func (r rights) deploys() bool {
	return r.allow(right{"apps", "deployments", "create"}) && r.allow(right{"", "services", "create"}) && r.allow(right{"networking.k8s.io", "ingresses", "create"})
}

func rightRules() []Rule {
	return []Rule{{
		ID: "deployer-rights",
		Doc: "Whoever a RoleBinding lets create the Deployments, Services and Ingresses of a namespace deploys to it, and is refused what the Role that runs does not allow. " +
			"What lies in the Role's own folder is applied by somebody else.",
		Source: "Kubernetes documentation, 'Using RBAC Authorization'; 'Server-Side Apply': patch, and create for what is new",
		run: func(p *pass) {
			changed := make(map[string][]change)
			for _, pair := range p.Pairs {
				if pair.Is != nil && pair.ID.Namespace != "" && (pair.Was == nil || !same(pair.Was.Fields, pair.Is.Fields)) {
					changed[pair.ID.Namespace] = append(changed[pair.ID.Namespace], pair)
				}
			}
			for _, pair := range p.Pairs {
				if pair.Was == nil || pair.ID.Group != rbac || pair.ID.Kind != "RoleBinding" || len(changed[pair.ID.Namespace]) == 0 {
					continue
				}
				has, _, ok := p.Was.granted(pair.Was)
				gets, layer, known := p.Is.granted(pair.Is)
				if !ok || !has.deploys() || pair.Is == nil {
					continue
				}
				lacks := make(map[right][]string)
				for _, c := range changed[pair.ID.Namespace] {
					if c.Is.layer() == layer && layer != "." || c.ID.Group == rbac || c.ID.Kind == "Secret" && c.ID.Group == "" {
						continue
					}
					want := right{c.ID.Group, resourceOf(c.ID), "patch"}
					if c.Was == nil {
						want.verb = "create"
					}
					if !has.allow(want) {
						want.verb = ""
						lacks[want] = append(lacks[want], c.ID.Kind+" "+c.ID.Name)
					}
				}
				for _, want := range sortedRights(lacks) {
					name := want.resource
					if want.group != "" {
						name += "." + want.group
					}
					do := "Let its Role in, and let an admin apply that first"
					if known && gets.allow(right{want.group, want.resource, "create"}) && gets.allow(right{want.group, want.resource, "patch"}) {
						do = "The Role that is rendered now allows it: an admin applies its folder first"
						if layer != "." {
							do = "The Role that is rendered now allows it: an admin applies " + layer + " first"
						}
					}
					p.report(Refused, pair.ID, "roleRef", "who deploys with it may not apply "+name+": "+strings.Join(lacks[want], ", "), do)
				}
			}
		},
	}}
}

// resourceOf is the resource of a kind, as rights name it.
func resourceOf(id object.ID) string {
	plural, _ := meta.UnsafeGuessKindToResource(schema.GroupVersionKind{Group: id.Group, Version: "v1", Kind: id.Kind})
	return plural.Resource
}

func sortedRights[V any](m map[right]V) []right {
	all := make([]right, 0, len(m))
	for r := range m {
		all = append(all, r)
	}
	slices.SortFunc(all, func(a, b right) int {
		return strings.Compare(a.group+"/"+a.resource+"/"+a.verb, b.group+"/"+b.resource+"/"+b.verb)
	})
	return all
}
