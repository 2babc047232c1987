package check

import (
	"fmt"
	"slices"
	"strings"

	autoscalingv2 "k8s.io/api/autoscaling/v2"
	corev1 "k8s.io/api/core/v1"
	rbacv1 "k8s.io/api/rbac/v1"
	"k8s.io/apimachinery/pkg/api/meta"
	"k8s.io/apimachinery/pkg/api/resource"
	"k8s.io/apimachinery/pkg/runtime/schema"

	"git.lastcloud.io/ronnibaslund/dezky/fleet/render/object"
)

func roomRules() []Rule {
	return []Rule{{
		ID:     "quota",
		Doc:    "Pods for which the quota of their namespace has no room never come, and pods that do not state what the quota counts are refused.",
		Source: "Kubernetes documentation, 'Resource Quotas' and 'Limit Ranges'",
		Run:    quotas,
	}, {
		ID:       "autoscaler-metric",
		Severity: object.Warning,
		Doc:      "An autoscaler that is to keep to a share of what its pods request scales nothing where they request nothing, where nobody measures the resource, or where its target has no number of replicas.",
		Source:   "Kubernetes documentation, 'Horizontal Pod Autoscaling', Support for resource metrics",
		Run: func(p *Pass) {
			each(p, "autoscaling", "HorizontalPodAutoscaler", func(p *Pass, o *Object, h *autoscalingv2.HorizontalPodAutoscaler) {
				if o.GetObjectKind().GroupVersionKind().Version != "v2" {
					return
				}
				group, _, _ := strings.Cut(h.Spec.ScaleTargetRef.APIVersion, "/")
				target := p.Get(object.ID{Group: group, Kind: h.Spec.ScaleTargetRef.Kind, Namespace: o.ID.Namespace, Name: h.Spec.ScaleTargetRef.Name})
				if target != nil && builtinGroup(group) && slices.Contains([]string{"DaemonSet", "Job", "CronJob", "Pod"}, target.ID.Kind) {
					p.Report(o, "spec.scaleTargetRef", "a "+target.ID.Kind+" has no number of replicas to scale", "")
					return
				}
				metrics := h.Spec.Metrics
				if len(metrics) == 0 {
					metrics = defaultMetrics
				}
				for i, m := range metrics {
					if m.Resource == nil {
						continue
					}
					field, goal := fmt.Sprintf("spec.metrics[%d].resource", i), ".target.averageUtilization"
					if len(h.Spec.Metrics) == 0 {
						field, goal = "spec.metrics", ""
					}
					name := m.Resource.Name
					if name != corev1.ResourceCPU && name != corev1.ResourceMemory {
						p.Report(o, field+".name", fmt.Sprintf("%q: must be cpu or memory", name), "other metrics are of another type, such as Pods")
						continue
					}
					if m.Resource.Target.AverageUtilization == nil || target == nil {
						continue
					}
					pods := podsOf(target)
					if pods == nil {
						continue
					}
					for k := range pods.spec.Containers {
						c := &pods.spec.Containers[k]
						if request, _ := p.resources(target, c, name); request == nil {
							p.Report(o, field+goal, target.ID.String()+" requests no "+string(name)+" in the container "+c.Name+", so there is nothing to compare with", "state the request")
							break
						}
					}
				}
			})
		},
	}, {
		ID:       "rbac-name",
		Severity: object.Warning,
		Doc:      "A right on a resource that there is not, or by a verb that there is not, is no right: whoever needs it is refused.",
		Source:   "Kubernetes documentation, 'Using RBAC Authorization', Referring to resources, and 'Authorization', Request attributes",
		Alone:    true,
		Run: func(p *Pass) {
			each(p, rbacv1.GroupName, "Role", func(p *Pass, o *Object, r *rbacv1.Role) { rightNames(p, o, r.Rules) })
			each(p, rbacv1.GroupName, "ClusterRole", func(p *Pass, o *Object, r *rbacv1.ClusterRole) { rightNames(p, o, r.Rules) })
		},
	}}
}

// defaultMetrics are those of an autoscaler that states none (Kubernetes,
// pkg/apis/autoscaling/v2/defaults.go).
var defaultMetrics = []autoscalingv2.MetricSpec{{
	Type: autoscalingv2.ResourceMetricSourceType,
	Resource: &autoscalingv2.ResourceMetricSource{
		Name:   corev1.ResourceCPU,
		Target: autoscalingv2.MetricTarget{Type: autoscalingv2.UtilizationMetricType, AverageUtilization: new(int32(80))},
	},
}}

// resources returns what a container requests and is limited to of a resource,
// as the API server fills it in: by the limit, and by the LimitRange of the
// namespace. Nil is nothing.
func (s *Set) resources(o *Object, c *corev1.Container, name corev1.ResourceName) (request, limit *resource.Quantity) {
	get := func(list corev1.ResourceList) *resource.Quantity {
		if q, ok := list[name]; ok {
			return &q
		}
		return nil
	}
	request, limit = get(c.Resources.Requests), get(c.Resources.Limits)
	if request == nil && limit != nil {
		request = limit
	}
	for _, l := range s.Kind("", "LimitRange") {
		r := As[*corev1.LimitRange](l)
		if r == nil || l.ID.Namespace != o.ID.Namespace {
			continue
		}
		for i := range r.Spec.Limits {
			d := &r.Spec.Limits[i]
			if d.Type != corev1.LimitTypeContainer {
				continue
			}
			if limit == nil {
				limit = get(d.Default)
			}
			if request == nil {
				request = get(d.DefaultRequest)
			}
		}
	}
	if request == nil && limit != nil {
		request = limit
	}
	return request, limit
}

// quotas reports quotas that the pods of their namespace do not fit into.
func quotas(p *Pass) {
	each(p, "", "ResourceQuota", func(p *Pass, o *Object, q *corev1.ResourceQuota) {
		if len(q.Spec.Scopes) > 0 || q.Spec.ScopeSelector != nil {
			return // for some pods alone
		}
		scaled := p.autoscaled()
		sums := make(map[corev1.ResourceName]resource.Quantity)
		for _, pods := range p.podIndex().in[o.ID.Namespace] {
			n, runs := int64(1), true
			switch pods.of.ID.Kind {
			case "Deployment", "StatefulSet", "ReplicaSet":
				n = int64(replicas(pods.replicas))
				if a, ok := scaled[pods.of.ID]; ok {
					n = int64(a.least)
				}
			case "Pod":
			default:
				runs = false // one for each node, or now and then
			}
			if n == 0 {
				runs = false
			}
			add := func(name corev1.ResourceName, q resource.Quantity) {
				q.Mul(n)
				sum := sums[name]
				sum.Add(q)
				sums[name] = sum
			}
			if runs {
				add(corev1.ResourcePods, *resource.NewQuantity(1, resource.DecimalSI))
			}
			for _, name := range []corev1.ResourceName{corev1.ResourceCPU, corev1.ResourceMemory} {
				byRequest, byLimit := corev1.ResourceName("requests."+string(name)), corev1.ResourceName("limits."+string(name))
				pods.eachContainer(func(list string, c *corev1.Container) {
					request, limit := p.resources(pods.of, c, name)
					for _, r := range []struct {
						name corev1.ResourceName
						q    *resource.Quantity
					}{{byRequest, request}, {byLimit, limit}} {
						_, counted := q.Spec.Hard[r.name]
						if r.name == byRequest && !counted {
							_, counted = q.Spec.Hard[name]
						}
						if counted && r.q == nil && pods.spec.Resources == nil {
							what, _, _ := strings.Cut(string(r.name), ".")
							p.Report(pods.of, pods.at+"."+list+"["+c.Name+"].resources."+what, "says nothing of "+string(name)+", and "+o.ID.String()+" counts it: the pods are refused", "state it, or give the namespace a LimitRange with a default")
						}
						if r.q != nil && runs && serves(list, c) {
							add(r.name, *r.q)
						}
					}
				})
			}
		}
		for _, name := range sortedKeys(q.Spec.Hard) {
			counted := name
			if name == corev1.ResourceCPU || name == corev1.ResourceMemory {
				counted = "requests." + name
			}
			hard := q.Spec.Hard[name]
			if sum, ok := sums[counted]; ok && sum.Cmp(hard) > 0 {
				p.Report(o, "spec.hard["+string(name)+"]", hard.String()+" is less than what the pods of the namespace have together, "+sum.String(), "raise it, or let them have less")
			}
		}
	})
}

// verbs are what one can do to the resources of Kubernetes.
var verbs = []string{
	"*", "get", "list", "watch", "create", "update", "patch", "delete", "deletecollection", "use", "bind", "escalate", "impersonate",
	"approve", "sign", "attest", "proxy", "post", "put", "head", "options",
}

// subresources of Kubernetes' own kinds.
var subresources = []string{
	"*", "status", "scale", "log", "exec", "attach", "portforward", "proxy", "binding", "eviction", "ephemeralcontainers", "resize",
	"finalize", "finalizers", "token", "approval", "nodeclient", "selfnodeclient", "selfnodeserver", "metrics", "stats", "spec", "configz", "healthz", "pods", "logs", "checkpoint",
}

// rightNames reports names in the rules of a Role that there are not.
func rightNames(p *Pass, o *Object, rules []rbacv1.PolicyRule) {
	known := resourceNames()
	groups := sortedKeys(known)
	for i, r := range rules {
		at := func(field string, k int) string { return fmt.Sprintf("rules[%d].%s[%d]", i, field, k) }
		custom := false
		for k, group := range r.APIGroups {
			if known[group] != nil {
				continue
			}
			custom = true
			if remedy := near(group, groups...); remedy != "" && group != "" || group == strings.ToLower(group) && !strings.ContainsAny(group, ".*") {
				p.Report(o, at("apiGroups", k), fmt.Sprintf("Kubernetes has no group %q", group), near(group, groups...))
			}
		}
		for k, verb := range r.Verbs {
			if !slices.Contains(verbs, verb) && !custom {
				p.Report(o, at("verbs", k), fmt.Sprintf("there is no verb %q", verb), near(verb, verbs...))
			}
		}
		if custom {
			continue
		}
		for k, name := range r.Resources {
			resource, sub, hasSub := strings.Cut(name, "/")
			if hasSub && !slices.Contains(subresources, sub) {
				p.Report(o, at("resources", k), resource+" has no "+sub, near(sub, subresources...))
				continue
			}
			var all []string
			for _, group := range r.APIGroups {
				all = append(all, known[group]...)
			}
			if resource != "*" && !slices.Contains(all, resource) {
				p.Report(o, at("resources", k), fmt.Sprintf("the groups of the rule have no resource %q", resource), near(resource, all...))
			}
		}
	}
}

// resourceNames returns the resources of the groups whose kinds are known.
func resourceNames() map[string][]string {
	names := map[string][]string{
		"":                          {"users", "groups", "serviceaccounts", "namespaces", "nodes", "events", "bindings"},
		"authentication.k8s.io":     {"tokenreviews", "selfsubjectreviews", "uids", "userextras"},
		"authorization.k8s.io":      {"subjectaccessreviews", "selfsubjectaccessreviews", "selfsubjectrulesreviews", "localsubjectaccessreviews"},
		"apiextensions.k8s.io":      {"customresourcedefinitions"},
		"apiregistration.k8s.io":    {"apiservices"},
		"certificates.k8s.io":       {"signers", "clustertrustbundles", "podcertificaterequests"},
		"rbac.authorization.k8s.io": nil, "policy": {"podsecuritypolicies"}, "storage.k8s.io": nil, "extensions": {"deployments", "ingresses", "daemonsets", "replicasets", "networkpolicies"},
		"coordination.k8s.io": {"leasecandidates"}, "resource.k8s.io": {"devicetaintrules"},
	}
	for gv, kinds := range builtin() {
		for kind := range kinds {
			plural, _ := meta.UnsafeGuessKindToResource(schema.GroupVersionKind{Group: gv.Group, Version: gv.Version, Kind: kind})
			names[gv.Group] = append(names[gv.Group], plural.Resource)
		}
	}
	names[""] = append(names[""], "endpoints")
	return names
}
