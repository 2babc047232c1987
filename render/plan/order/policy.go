package order

import (
	"slices"

	networkingv1 "k8s.io/api/networking/v1"
	"k8s.io/apimachinery/pkg/api/equality"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/apimachinery/pkg/runtime"
)

// label of pods in a namespace. Without a key it is every pod of it.
type label struct{ namespace, key, value string }

// read reads a selector, and returns one label that all pods have which it
// selects, so that they are found without looking at all others. A selector
// that cannot be read may select anything.
func read(namespace string, s metav1.LabelSelector) (label, labels.Selector) {
	l := label{namespace: namespace}
	selector, err := metav1.LabelSelectorAsSelector(&s)
	if err != nil {
		return l, labels.Everything()
	}
	for k, v := range s.MatchLabels {
		if l.key == "" || k < l.key {
			l.key, l.value = k, v
		}
	}
	return l, selector
}

// podLabels are the labels of pods by each of them, and by their namespace.
type podLabels map[label][]map[string]string

func podLabelsOf(pods map[string][]map[string]string) podLabels {
	r := make(podLabels)
	for namespace, list := range pods {
		r[label{namespace: namespace}] = list
		for _, pod := range list {
			for k, v := range pod {
				l := label{namespace, k, v}
				r[l] = append(r[l], pod)
			}
		}
	}
	return r
}

// policies are NetworkPolicies by a label of the pods that they select.
type policies map[label][]policy

type policy struct {
	types    []networkingv1.PolicyType
	selector labels.Selector
}

// livePolicies are the NetworkPolicies of the changes that are live now.
func livePolicies(changes []Change) policies {
	found := make(policies)
	for _, c := range changes {
		if isPolicy(c.ID) && c.Was != nil {
			if p, err := policyOf(c.Was); err == nil {
				l, selector := read(c.ID.Namespace, p.Spec.PodSelector)
				found[l] = append(found[l], policy{p.Spec.PolicyTypes, selector})
			}
		}
	}
	return found
}

// isolates reports whether a policy isolates the pod in that direction.
func (p policies) isolates(namespace string, pod map[string]string, direction networkingv1.PolicyType) bool {
	does := func(o policy) bool {
		return slices.Contains(o.types, direction) && o.selector.Matches(labels.Set(pod))
	}
	if slices.ContainsFunc(p[label{namespace: namespace}], does) {
		return true
	}
	for k, v := range pod {
		if slices.ContainsFunc(p[label{namespace, k, v}], does) {
			return true
		}
	}
	return false
}

func policyOf(u *unstructured.Unstructured) (*networkingv1.NetworkPolicy, error) {
	var p networkingv1.NetworkPolicy
	if err := runtime.DefaultUnstructuredConverter.FromUnstructured(u.Object, &p); err != nil {
		return nil, err
	}
	// As the API server fills it in; see NetworkPolicySpec.PolicyTypes.
	if len(p.Spec.PolicyTypes) == 0 {
		p.Spec.PolicyTypes = []networkingv1.PolicyType{networkingv1.PolicyTypeIngress}
		if len(p.Spec.Egress) > 0 {
			p.Spec.PolicyTypes = append(p.Spec.PolicyTypes, networkingv1.PolicyTypeEgress)
		}
	}
	return &p, nil
}

// openFirst splits a NetworkPolicy into what is applied before the workloads
// and what after them; either may be nil. One that only opens comes first, one
// that only closes last. One that does both is applied twice: first with the
// old rules beside the new, so that new pods have their connections while old
// ones keep theirs.
func openFirst(c Change, live policies, pods podLabels) (before, after *Step) {
	step := Step{ID: c.ID, Object: c.Is}
	now, err := policyOf(c.Is)
	if err != nil { // the server says what is wrong with it
		return nil, &step
	}
	if c.Was == nil {
		if isolatesNobody(now, live, pods) {
			step.Why = "cuts no connection of a pod that runs"
			return &step, nil
		}
		step.Why = "isolates pods that run"
		return nil, &step
	}
	old, err := policyOf(c.Was)
	if err != nil || !equality.Semantic.DeepEqual(old.Spec.PodSelector, now.Spec.PodSelector) {
		step.Why = "selects other pods"
		return nil, &step
	}
	both := now.DeepCopy()
	both.Spec.PolicyTypes = slices.DeleteFunc(both.Spec.PolicyTypes, func(t networkingv1.PolicyType) bool {
		return !slices.Contains(old.Spec.PolicyTypes, t)
	})
	closes := len(both.Spec.PolicyTypes) < len(now.Spec.PolicyTypes)
	for _, rule := range old.Spec.Ingress {
		if !slices.ContainsFunc(now.Spec.Ingress, func(r networkingv1.NetworkPolicyIngressRule) bool {
			return covers(r.From, rule.From) && covers(r.Ports, rule.Ports)
		}) {
			both.Spec.Ingress = append(both.Spec.Ingress, rule)
			closes = closes || slices.Contains(now.Spec.PolicyTypes, networkingv1.PolicyTypeIngress)
		}
	}
	for _, rule := range old.Spec.Egress {
		if !slices.ContainsFunc(now.Spec.Egress, func(r networkingv1.NetworkPolicyEgressRule) bool {
			return covers(r.To, rule.To) && covers(r.Ports, rule.Ports)
		}) {
			both.Spec.Egress = append(both.Spec.Egress, rule)
			closes = closes || slices.Contains(now.Spec.PolicyTypes, networkingv1.PolicyTypeEgress)
		}
	}
	if !closes {
		step.Why = "opens and closes nothing"
		return &step, nil
	}
	step.Why = "closes"
	if len(both.Spec.PolicyTypes) == 0 {
		return nil, &step
	}
	content, err := runtime.DefaultUnstructuredConverter.ToUnstructured(&networkingv1.NetworkPolicy{TypeMeta: both.TypeMeta, ObjectMeta: both.ObjectMeta, Spec: both.Spec})
	if err != nil {
		return nil, &step
	}
	union := &unstructured.Unstructured{Object: content}
	unstructured.RemoveNestedField(union.Object, "metadata", "creationTimestamp")
	return &Step{ID: c.ID, Object: union, Why: "the old rules beside the new"}, &step
}

// covers reports whether the new list of peers or ports allows all that the
// old one does. An empty list allows everything.
func covers[T any](now, old []T) bool {
	switch {
	case len(now) == 0:
		return true
	case len(old) == 0:
		return false
	}
	return !slices.ContainsFunc(old, func(o T) bool {
		return !slices.ContainsFunc(now, func(n T) bool { return equality.Semantic.DeepEqual(n, o) })
	})
}

// isolatesNobody reports whether a new policy takes no connection away from
// any pod that runs: it selects none, or only those that a policy of the same
// direction isolates already, since policies add up.
func isolatesNobody(p *networkingv1.NetworkPolicy, live policies, pods podLabels) bool {
	l, selector := read(p.Namespace, p.Spec.PodSelector)
	for _, pod := range pods[l] {
		if !selector.Matches(labels.Set(pod)) {
			continue
		}
		for _, t := range p.Spec.PolicyTypes {
			if !live.isolates(p.Namespace, pod, t) {
				return false
			}
		}
	}
	return true
}
