package check

import (
	"fmt"
	"regexp"
	"slices"
	"strconv"
	"strings"

	admissionv1 "k8s.io/api/admissionregistration/v1"
	corev1 "k8s.io/api/core/v1"
	networkingv1 "k8s.io/api/networking/v1"
	"k8s.io/apimachinery/pkg/util/validation"
)

// Of the kinds by which an admin keeps others in bounds: what the API server
// demands of them.

func ingressClassSpec(p *Pass, o *Object, c *networkingv1.IngressClass) {
	domain, path, _ := strings.Cut(c.Spec.Controller, "/")
	if !dnsName(domain) || path == "" {
		p.Report(o, "spec.controller", fmt.Sprintf("%q: must be a domain and a path", c.Spec.Controller), "such as traefik.io/ingress-controller")
	}
}

// quotaResources are what a quota counts beside the resources of containers,
// which it counts as requests and limits, and counts of objects (Kubernetes
// documentation, 'Resource Quotas').
var quotaResources = []string{
	"cpu", "memory", "ephemeral-storage", "pods", "resourcequotas", "services", "replicationcontrollers", "secrets", "configmaps",
	"persistentvolumeclaims", "services.nodeports", "services.loadbalancers", "requests.storage",
	"requests.cpu", "requests.memory", "requests.ephemeral-storage", "limits.cpu", "limits.memory", "limits.ephemeral-storage",
}

func quotaSpec(p *Pass, o *Object, q *corev1.ResourceQuota) {
	for _, name := range sortedKeys(q.Spec.Hard) {
		field := "spec.hard[" + string(name) + "]"
		if !slices.Contains(quotaResources, string(name)) && !strings.Contains(string(name), "/") && !strings.Contains(string(name), corev1.ResourceHugePagesPrefix) {
			p.Report(o, field, "a quota counts no such thing", near(string(name), quotaResources...))
		}
		if limit := q.Spec.Hard[name]; limit.Sign() < 0 {
			p.Report(o, field, limit.String()+": must not be negative", "")
		}
	}
}

func limitRangeSpec(p *Pass, o *Object, l *corev1.LimitRange) {
	for i := range l.Spec.Limits {
		limit := &l.Spec.Limits[i]
		at := "spec.limits[" + strconv.Itoa(i) + "]."
		if !strings.Contains(string(limit.Type), "/") {
			stated(p, o, at+"type", limit.Type, corev1.LimitTypePod, corev1.LimitTypeContainer, corev1.LimitTypePersistentVolumeClaim)
		}
		if slices.ContainsFunc(l.Spec.Limits[:i], func(other corev1.LimitRangeItem) bool { return other.Type == limit.Type }) {
			p.Report(o, at+"type", "two are for "+string(limit.Type), "make it one")
		}
		lists := []struct {
			name string
			list corev1.ResourceList
		}{{"min", limit.Min}, {"defaultRequest", limit.DefaultRequest}, {"default", limit.Default}, {"max", limit.Max}}
		for k, list := range lists {
			for _, name := range sortedKeys(list.list) {
				if limit.Type != corev1.LimitTypePersistentVolumeClaim && !knownResource(string(name)) {
					p.Report(o, at+list.name+"["+string(name)+"]", "there is no such resource", "it is cpu, memory or ephemeral-storage, or has a domain before it, as nvidia.com/gpu")
					continue
				}
				for _, more := range lists[k+1:] {
					least, most := list.list[name], more.list[name]
					if _, ok := more.list[name]; ok && least.Cmp(most) > 0 {
						p.Report(o, at+list.name+"["+string(name)+"]", least.String()+" is more than "+more.name+", "+most.String(), "")
					}
				}
			}
		}
	}
}

func admissionPolicySpec(p *Pass, o *Object, a *admissionv1.ValidatingAdmissionPolicy) {
	empty := func(field, value string) {
		if strings.TrimSpace(value) == "" {
			p.Report(o, field, "is empty", "")
		}
	}
	if f := a.Spec.FailurePolicy; f != nil {
		stated(p, o, "spec.failurePolicy", *f, admissionv1.Fail, admissionv1.Ignore)
	}
	m := a.Spec.MatchConstraints
	if m == nil || len(m.ResourceRules) == 0 {
		p.Report(o, "spec.matchConstraints.resourceRules", "is empty", "say which requests the policy looks at")
	}
	if m != nil {
		labels := labelCheck{p: p, good: make(map[string]bool)}
		labels.selector(o, "spec.matchConstraints.namespaceSelector", m.NamespaceSelector)
		labels.selector(o, "spec.matchConstraints.objectSelector", m.ObjectSelector)
		for i := range m.ResourceRules {
			r, at := &m.ResourceRules[i], "spec.matchConstraints.resourceRules["+strconv.Itoa(i)+"]."
			words(p, o, at+"apiGroups", r.APIGroups, true)
			words(p, o, at+"apiVersions", r.APIVersions, false)
			words(p, o, at+"resources", r.Resources, false)
			words(p, o, at+"operations", r.Operations, false)
			for k, operation := range r.Operations {
				oneOf(p, o, at+"operations["+strconv.Itoa(k)+"]", operation, admissionv1.OperationAll, admissionv1.Create, admissionv1.Update, admissionv1.Delete, admissionv1.Connect)
			}
			if r.Scope != nil {
				stated(p, o, at+"scope", *r.Scope, admissionv1.AllScopes, admissionv1.ClusterScope, admissionv1.NamespacedScope)
			}
		}
	}
	conditions := make(map[string]bool)
	for i, c := range a.Spec.MatchConditions {
		at := "spec.matchConditions[" + strconv.Itoa(i) + "]."
		empty(at+"expression", c.Expression)
		if problems := validation.IsQualifiedName(c.Name); len(problems) > 0 {
			p.Report(o, at+"name", fmt.Sprintf("%q: %s", c.Name, brief(problems)), "")
		} else if conditions[c.Name] {
			p.Report(o, at+"name", "two conditions are named "+c.Name, "each needs its own")
		}
		conditions[c.Name] = true
	}
	if len(a.Spec.Validations)+len(a.Spec.AuditAnnotations) == 0 {
		p.Report(o, "spec.validations", "is empty", "a policy has one validation or more")
	}
	// An expression sees the variables that stand before it.
	given := make(map[string]bool)
	uses := func(field, expression string) {
		for _, m := range ofVariables.FindAllStringSubmatch(expression, -1) {
			if !given[m[1]] {
				p.Report(o, field, "there is no variable "+m[1]+" before it", near(m[1], sortedKeys(given)...))
				given[m[1]] = true // once is enough
			}
		}
	}
	declared := make(map[string]bool)
	for i, v := range a.Spec.Variables {
		at := "spec.variables[" + strconv.Itoa(i) + "]."
		empty(at+"expression", v.Expression)
		if !identifier.MatchString(v.Name) {
			p.Report(o, at+"name", fmt.Sprintf("%q: must be a name of letters, digits and _", v.Name), "")
		} else if declared[v.Name] {
			p.Report(o, at+"name", "two variables are named "+v.Name, "each needs its own")
		}
		uses(at+"expression", v.Expression)
		declared[v.Name], given[v.Name] = true, true
	}
	for i, v := range a.Spec.Validations {
		at := "spec.validations[" + strconv.Itoa(i) + "]."
		empty(at+"expression", v.Expression)
		uses(at+"expression", v.Expression)
		uses(at+"messageExpression", v.MessageExpression)
		if v.Reason != nil {
			stated(p, o, at+"reason", *v.Reason, "Forbidden", "Invalid", "RequestEntityTooLarge")
		}
	}
}

var (
	ofVariables = regexp.MustCompile(`\bvariables\.([A-Za-z_][A-Za-z0-9_]*)`)
	identifier  = regexp.MustCompile(`^[A-Za-z_][A-Za-z0-9_]*$`)
)

// words reports a list of a rule that is empty, or whose star is not alone.
// The core group alone is an empty word.
func words[T ~string](p *Pass, o *Object, at string, list []T, core bool) {
	if len(list) == 0 {
		p.Report(o, at, "is empty", "the star stands for all")
	}
	for i, word := range list {
		switch {
		case word == "" && !core:
			p.Report(o, at+"["+strconv.Itoa(i)+"]", "is empty", "")
		case (word == "*" || word == "*/*") && len(list) > 1:
			p.Report(o, at, string(word)+" stands for all, and others stand beside it", "leave them out")
			return
		}
	}
}

func admissionBindingSpec(p *Pass, o *Object, b *admissionv1.ValidatingAdmissionPolicyBinding) {
	if b.Spec.PolicyName == "" {
		p.Report(o, "spec.policyName", "is empty", "name the ValidatingAdmissionPolicy")
	}
	if len(b.Spec.ValidationActions) == 0 {
		p.Report(o, "spec.validationActions", "is empty", "it is Deny, Warn or Audit")
	}
	for i, action := range b.Spec.ValidationActions {
		field := "spec.validationActions[" + strconv.Itoa(i) + "]"
		stated(p, o, field, action, admissionv1.Deny, admissionv1.Warn, admissionv1.Audit)
		if slices.Contains(b.Spec.ValidationActions[:i], action) {
			p.Report(o, field, string(action)+" stands twice", "state it once")
		}
	}
}
