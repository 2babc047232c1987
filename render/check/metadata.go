package check

import (
	"fmt"
	"slices"
	"strconv"
	"strings"

	corev1 "k8s.io/api/core/v1"
	networkingv1 "k8s.io/api/networking/v1"
	policyv1 "k8s.io/api/policy/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/validation"
)

// Limits of the API server.
const (
	maxAnnotations = 256 << 10 // bytes, keys and values (apimachinery, pkg/api/validation)
	maxConfig      = 1 << 20   // bytes of a ConfigMap or Secret (Kubernetes documentation, 'ConfigMaps')
)

func metadataRules() []Rule {
	return []Rule{{
		ID:     "object-name",
		Doc:    "The API server refuses a name that is no DNS name; a Namespace and a Service need one without dots.",
		Source: "Kubernetes documentation, 'Object Names and IDs'",
		Alone:  true,
		Run: func(p *Pass) {
			for _, o := range p.Objects() {
				if name := o.ID.Name; name != "" && (!dnsLabel(name) || o.ID.Kind == "CronJob") {
					if problems := nameProblems(o); len(problems) > 0 {
						p.Report(o, "metadata.name", fmt.Sprintf("%q: %s", name, brief(problems)), "")
					}
				}
				if ns := o.ID.Namespace; ns != "" && !dnsLabel(ns) {
					p.Report(o, "metadata.namespace", fmt.Sprintf("%q: %s", ns, brief(validation.IsDNS1123Label(ns))), "")
				}
			}
		},
	}, {
		ID:     "label",
		Doc:    "The API server refuses a label, a selector or an annotation whose key is no qualified name, a label's value of more than 63 letters or with others than letters, digits, '-', '_' and '.', and more than 256 KiB of annotations.",
		Source: "Kubernetes documentation, 'Labels and Selectors' and 'Annotations', Syntax and character set",
		Alone:  true,
		Run: func(p *Pass) {
			v := labelCheck{p: p, good: make(map[string]bool)}
			for _, o := range p.Objects() {
				v.labels(o, "metadata.labels", o.GetLabels())
				v.annotations(o, "metadata.annotations", o.GetAnnotations())
			}
			p.eachPods(func(pods *pods) {
				if pods.of.ID.Kind != "Pod" {
					at := strings.TrimSuffix(pods.at, "spec") + "metadata."
					v.labels(pods.of, at+"labels", pods.labels)
					v.annotations(pods.of, at+"annotations", pods.annotations)
					v.selector(pods.of, "spec.selector", pods.selector)
				}
				for i, c := range pods.spec.TopologySpreadConstraints {
					if c.LabelSelector == nil || v.known(c.LabelSelector) {
						continue
					}
					v.selector(pods.of, fmt.Sprintf("%s.topologySpreadConstraints[%d].labelSelector", pods.at, i), c.LabelSelector)
				}
			})
			each(p, "policy", "PodDisruptionBudget", func(p *Pass, o *Object, b *policyv1.PodDisruptionBudget) {
				v.selector(o, "spec.selector", b.Spec.Selector)
			})
			each(p, "networking.k8s.io", "NetworkPolicy", v.policy)
		},
	}, {
		ID:     "size",
		Doc:    "The API server refuses a ConfigMap or Secret of more than 1 MiB.",
		Source: "Kubernetes documentation, 'ConfigMaps', Motivation",
		Alone:  true,
		Run: func(p *Pass) {
			for _, o := range p.Kind("", "ConfigMap") {
				if m := As[*corev1.ConfigMap](o); m != nil {
					p.size(o, m.Data, m.BinaryData)
				}
			}
			for _, o := range p.Kind("", "Secret") {
				if s := As[*corev1.Secret](o); s != nil {
					p.size(o, s.StringData, s.Data)
				}
			}
		},
	}}
}

func (p *Pass) size(o *Object, text map[string]string, binary map[string][]byte) {
	n := 0
	for _, v := range text {
		n += len(v)
	}
	for _, v := range binary {
		n += len(v)
	}
	if n > maxConfig {
		p.Report(o, "data", fmt.Sprintf("has %d bytes, and may have %d", n, maxConfig), "split it, or bring large files by a volume")
	}
	var wrong []string
	for key := range text {
		if !plain(key) && len(validation.IsConfigMapKey(key)) > 0 {
			wrong = append(wrong, key)
		}
	}
	for key := range binary {
		if !plain(key) && len(validation.IsConfigMapKey(key)) > 0 {
			wrong = append(wrong, key)
		}
	}
	slices.Sort(wrong)
	for _, key := range wrong {
		p.Report(o, "data["+key+"]", brief(validation.IsConfigMapKey(key)), "")
	}
}

// nameProblems says what is wrong with the name of an object.
func nameProblems(o *Object) []string {
	switch {
	case o.ID.Group == "rbac.authorization.k8s.io", o.ID.Group == "" && o.ID.Kind == "ComponentStatus":
		if strings.ContainsAny(o.ID.Name, "/%") || o.ID.Name == "." || o.ID.Name == ".." {
			return []string{"must hold no / and no %"}
		}
		return nil
	case o.ID.Group == "" && (o.ID.Kind == "Namespace" || o.ID.Kind == "Service"):
		return validation.IsDNS1123Label(o.ID.Name)
	case o.ID.Group == "" && o.ID.Kind == "Event" || o.ID.Group == "networking.k8s.io" && o.ID.Kind == "IPAddress":
		return nil
	case o.ID.Group == "batch" && o.ID.Kind == "CronJob" && len(o.ID.Name) > 52:
		return []string{"must be no more than 52 letters: a Job's name has 11 more"}
	}
	return validation.IsDNS1123Subdomain(o.ID.Name)
}

// labelCheck checks labels, annotations and selectors, each text once.
type labelCheck struct {
	p    *Pass
	good map[string]bool // keys that are
}

func (v *labelCheck) key(o *Object, at, key string) {
	if v.good[key] {
		return
	}
	if problems := validation.IsQualifiedName(strings.ToLower(key)); len(problems) > 0 {
		v.p.Report(o, at, fmt.Sprintf("the key %q: %s", key, brief(problems)), "")
		return
	}
	v.good[key] = true
}

func (v *labelCheck) labels(o *Object, at string, labels map[string]string) {
	for key, value := range labels {
		if v.good[key] && plain(value) {
			continue
		}
		// Something is new: look at all of them, in their order.
		for _, key := range sortedKeys(labels) {
			v.key(o, at, key)
			if value = labels[key]; !plain(value) {
				v.p.Report(o, at+"["+key+"]", fmt.Sprintf("%q: %s", value, brief(validation.IsValidLabelValue(value))), "")
			}
		}
		return
	}
}

func (v *labelCheck) annotations(o *Object, at string, annotations map[string]string) {
	size, known := 0, true
	for key, value := range annotations {
		size += len(key) + len(value)
		known = known && v.good[key]
	}
	if !known {
		for _, key := range sortedKeys(annotations) {
			v.key(o, at, key)
		}
	}
	if size > maxAnnotations {
		v.p.Report(o, at, fmt.Sprintf("have %d bytes, and may have %d", size, maxAnnotations), "")
	}
}

// policy checks the selectors of a NetworkPolicy.
func (v *labelCheck) policy(_ *Pass, o *Object, n *networkingv1.NetworkPolicy) {
	v.selector(o, "spec.podSelector", &n.Spec.PodSelector)
	peers := func(at string, peers []networkingv1.NetworkPolicyPeer) {
		for i := range peers {
			if s := peers[i].PodSelector; s != nil && !v.known(s) {
				v.selector(o, fmt.Sprintf("%s[%d].podSelector", at, i), s)
			}
			if s := peers[i].NamespaceSelector; s != nil && !v.known(s) {
				v.selector(o, fmt.Sprintf("%s[%d].namespaceSelector", at, i), s)
			}
		}
	}
	for i := range n.Spec.Ingress {
		peers("spec.ingress["+strconv.Itoa(i)+"].from", n.Spec.Ingress[i].From)
	}
	for i := range n.Spec.Egress {
		peers("spec.egress["+strconv.Itoa(i)+"].to", n.Spec.Egress[i].To)
	}
}

// known reports whether there is nothing to say of a selector.
func (v *labelCheck) known(s *metav1.LabelSelector) bool {
	for key, value := range s.MatchLabels {
		if !v.good[key] || !plain(value) {
			return false
		}
	}
	return len(s.MatchExpressions) == 0
}

func (v *labelCheck) selector(o *Object, at string, s *metav1.LabelSelector) {
	if s == nil {
		return
	}
	v.labels(o, at+".matchLabels", s.MatchLabels)
	for i, e := range s.MatchExpressions {
		at := fmt.Sprintf("%s.matchExpressions[%d]", at, i)
		switch e.Operator {
		case metav1.LabelSelectorOpIn, metav1.LabelSelectorOpNotIn:
			if len(e.Values) == 0 {
				v.p.Report(o, at+".values", "is empty", string(e.Operator)+" needs one or more")
			}
		case metav1.LabelSelectorOpExists, metav1.LabelSelectorOpDoesNotExist:
			if len(e.Values) > 0 {
				v.p.Report(o, at+".values", "must be empty: "+string(e.Operator)+" takes none", "")
			}
		default:
			v.p.Report(o, at+".operator", fmt.Sprintf("%q: must be one of In, NotIn, Exists, DoesNotExist", e.Operator), "")
		}
	}
}

// plain reports whether a text is a good value of a label.
func plain(s string) bool {
	for i := range len(s) {
		c := s[i]
		switch {
		case c >= 'a' && c <= 'z', c >= 'A' && c <= 'Z', c >= '0' && c <= '9':
		case (c == '-' || c == '_' || c == '.') && i > 0 && i < len(s)-1:
		default:
			return false
		}
	}
	return len(s) <= validation.LabelValueMaxLength
}

// dnsLabel reports whether a text is a DNS label.
func dnsLabel(s string) bool {
	for i := range len(s) {
		c := s[i]
		switch {
		case c >= 'a' && c <= 'z', c >= '0' && c <= '9':
		case c == '-' && i > 0 && i < len(s)-1:
		default:
			return false
		}
	}
	return s != "" && len(s) <= validation.DNS1123LabelMaxLength
}

// brief returns the first of the problems that the validators of apimachinery
// found, without the example and the regular expression that follow it.
func brief(problems []string) string {
	text, _, _ := strings.Cut(problems[0], " (e.g.")
	return text
}
