package check

import (
	"slices"
	"strings"

	corev1 "k8s.io/api/core/v1"
	policyv1 "k8s.io/api/policy/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// podIndex finds the pods that a selector selects without looking at all.
type podIndex struct {
	// in are the pods of a namespace.
	in map[string][]*pods
	// of are the pods by what makes them.
	of map[*Object]*pods
	// by are the pods by namespace, label and value.
	by map[label][]*pods
	// services are the pods that Services select.
	services map[*Object][]*pods
	// budgets are the pods that PodDisruptionBudgets select.
	budgets map[*Object][]*pods
	// declared are the labels of pods that exist elsewhere, by namespace.
	declared map[string][]map[string]string
}

type label struct{ namespace, key, value string }

func (s *Set) podIndex() *podIndex {
	s.indexOnce.Do(func() {
		all, services, budgets := s.allPods(), s.Kind("", "Service"), s.Kind("policy", "PodDisruptionBudget")
		x := podIndex{
			in:       make(map[string][]*pods),
			of:       make(map[*Object]*pods, len(all)),
			by:       make(map[label][]*pods, len(all)),
			services: make(map[*Object][]*pods, len(services)),
			budgets:  make(map[*Object][]*pods, len(budgets)),
			declared: make(map[string][]map[string]string),
		}
		for _, p := range all {
			if p.of.ID.Kind == "PodTemplate" {
				continue // makes none by itself
			}
			ns := p.of.ID.Namespace
			x.in[ns] = append(x.in[ns], p)
			x.of[p.of] = p
			for k, v := range p.labels {
				x.by[label{ns, k, v}] = append(x.by[label{ns, k, v}], p)
			}
		}
		for _, e := range s.others {
			if e.Labels != nil {
				x.declared[e.ID.Namespace] = append(x.declared[e.ID.Namespace], e.Labels)
			}
		}
		for _, o := range services {
			if selector := selectorOf(As[*corev1.Service](o)); selector != nil {
				x.services[o] = x.selected(o.ID.Namespace, selector)
			}
		}
		for _, o := range budgets {
			if b := As[*policyv1.PodDisruptionBudget](o); b != nil {
				x.budgets[o] = x.selected(o.ID.Namespace, b.Spec.Selector)
			}
		}
		s.index = x
	})
	return &s.index
}

// selected returns the pods of a namespace that a selector selects. The list
// is not to be changed.
func (x *podIndex) selected(namespace string, s *metav1.LabelSelector) []*pods {
	if s == nil {
		return nil
	}
	candidates := x.in[namespace]
	for k, v := range s.MatchLabels {
		if some := x.by[label{namespace, k, v}]; len(some) < len(candidates) && !generated(k) {
			candidates = some
		}
	}
	for i, p := range candidates {
		if p.selectedBy(s) {
			continue
		}
		// Only where some are left out is there a list to be made.
		some := slices.Clone(candidates[:i])
		for _, p := range candidates[i+1:] {
			if p.selectedBy(s) {
				some = append(some, p)
			}
		}
		return some
	}
	return candidates
}

// selectedBy reports whether a selector selects the pods. Labels that a
// controller gives them when it makes them count as given.
func (p *pods) selectedBy(s *metav1.LabelSelector) bool {
	if !temporary(s) {
		return matches(p.labels, s)
	}
	for k, v := range s.MatchLabels {
		if has, ok := p.labels[k]; (!ok || has != v) && !p.mayGet(k) {
			return false
		}
	}
	for _, e := range s.MatchExpressions {
		if !p.mayGet(e.Key) && !meets(p.labels, e) {
			return false
		}
	}
	return true
}

// mayGet reports whether the pods get the label from what makes them.
func (p *pods) mayGet(key string) bool {
	switch p.of.ID.Kind {
	case "StatefulSet":
		return key == "controller-revision-hash" || strings.HasPrefix(key, "statefulset.kubernetes.io/") || strings.HasPrefix(key, "apps.kubernetes.io/pod-")
	case "DaemonSet":
		return key == "controller-revision-hash" || key == "pod-template-generation"
	case "Deployment", "ReplicaSet":
		return key == "pod-template-hash"
	case "Job", "CronJob":
		return key == "job-name" || key == "controller-uid" || strings.HasPrefix(key, "batch.kubernetes.io/")
	}
	return false
}

// elsewhere reports whether pods that are declared have the labels.
func (x *podIndex) elsewhere(namespace string, s *metav1.LabelSelector) bool {
	for _, labels := range x.declared[namespace] {
		if matches(labels, s) {
			return true
		}
	}
	return false
}

// matches reports whether a selector selects pods of those labels. An empty one
// selects all, and nil none.
func matches(labels map[string]string, s *metav1.LabelSelector) bool {
	if s == nil {
		return false
	}
	for k, v := range s.MatchLabels {
		if has, ok := labels[k]; !ok || has != v {
			return false
		}
	}
	for _, e := range s.MatchExpressions {
		if !meets(labels, e) {
			return false
		}
	}
	return true
}

// meets reports whether labels meet an expression.
func meets(labels map[string]string, e metav1.LabelSelectorRequirement) bool {
	value, has := labels[e.Key]
	in := false
	for _, v := range e.Values {
		in = in || has && v == value
	}
	switch e.Operator {
	case metav1.LabelSelectorOpIn:
		return in
	case metav1.LabelSelectorOpNotIn:
		return !in
	case metav1.LabelSelectorOpExists:
		return has
	case metav1.LabelSelectorOpDoesNotExist:
		return !has
	}
	return true
}

// generated reports whether a controller gives pods the label when it makes
// them, so that no template has it (Kubernetes documentation, 'Well-Known
// Labels, Annotations and Taints'; cert-manager's solver).
func generated(key string) bool {
	switch key {
	case "pod-template-hash", "controller-revision-hash", "pod-template-generation", "job-name", "controller-uid":
		return true
	}
	return strings.HasPrefix(key, "statefulset.kubernetes.io/") || strings.HasPrefix(key, "batch.kubernetes.io/") ||
		strings.HasPrefix(key, "apps.kubernetes.io/pod-") || strings.HasPrefix(key, "acme.cert-manager.io/")
}

// temporary reports whether a selector looks at a label that a controller
// gives.
func temporary(s *metav1.LabelSelector) bool {
	for k := range s.MatchLabels {
		if generated(k) {
			return true
		}
	}
	for _, e := range s.MatchExpressions {
		if generated(e.Key) {
			return true
		}
	}
	return false
}

func isEmpty(s *metav1.LabelSelector) bool {
	return s == nil || len(s.MatchLabels)+len(s.MatchExpressions) == 0
}
