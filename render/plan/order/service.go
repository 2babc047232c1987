package order

import (
	"cmp"
	"slices"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/equality"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/util/intstr"
)

// portsFirst splits a Service whose ports change into what is applied before
// the workloads, with the old ports beside the new, and what after the traffic
// has moved; either may be nil. So a port of before and a port of now both
// answer until nobody asks for the old one, whether by name or by number. Both
// are nil where the Service changes at once, with the traffic: its ports stay,
// it leads to other pods, or the two sets cannot stand beside each other.
func portsFirst(c Change) (before, after *Step) {
	was, is := serviceOf(c.Was), serviceOf(c.Is)
	if was == nil || is == nil || len(is.Spec.Selector) == 0 || !equality.Semantic.DeepEqual(was.Spec.Selector, is.Spec.Selector) {
		return nil, nil
	}
	for _, s := range []*corev1.Service{was, is} {
		if cmp.Or(s.Spec.Type, corev1.ServiceTypeClusterIP) != corev1.ServiceTypeClusterIP {
			return nil, nil // a node's port is taken once
		}
	}
	old, now := portsOf(was), portsOf(is)
	both := slices.Clone(old)
	for _, p := range now {
		name, number := hasName(old, p), hasNumber(old, p)
		if name && number {
			continue
		}
		// A name and a number stand once in a Service. Where one of the two is
		// taken, the port is found by the other.
		for name && (hasName(both, p) || hasName(now, p)) {
			p.Name += "-next"
		}
		if number {
			for p.Port = 65535; hasNumber(both, p) || hasNumber(now, p); {
				p.Port--
			}
		}
		both = append(both, p)
	}
	added := len(both) > len(old)
	kept := !slices.ContainsFunc(old, func(p corev1.ServicePort) bool {
		return !slices.ContainsFunc(now, func(q corev1.ServicePort) bool { return equality.Semantic.DeepEqual(p, q) })
	})
	goes := slices.ContainsFunc(old, func(p corev1.ServicePort) bool { return !hasName(now, p) || !hasNumber(now, p) })
	unnamed := slices.ContainsFunc(both, func(p corev1.ServicePort) bool { return p.Name == "" })
	after = &Step{ID: c.ID, Object: c.Is, Why: "takes the old ports away"}
	switch {
	case kept && added:
		return &Step{ID: c.ID, Object: c.Is, Why: "has new ports, and keeps the old"}, nil
	case len(both) > 1 && unnamed: // one without a name stands alone
		return nil, nil
	case !added && goes:
		return nil, after
	case !added:
		return nil, nil
	}
	union := c.Is.DeepCopy()
	ports := make([]any, len(both))
	for i := range both {
		content, err := runtime.DefaultUnstructuredConverter.ToUnstructured(&both[i])
		if err != nil {
			return nil, nil
		}
		ports[i] = content
	}
	if err := unstructured.SetNestedSlice(union.Object, ports, "spec", "ports"); err != nil {
		return nil, nil
	}
	return &Step{ID: c.ID, Object: union, Why: "the old ports beside the new"}, after
}

// KeepsPorts reports whether a Service whose ports change has the old ones as
// long as somebody may ask for them. If false, they change at once, or not at
// all.
func KeepsPorts(c Change) bool {
	_, after := portsFirst(c)
	return after != nil
}

// serviceOf is nil where the object is none that can be read: the server says
// what is wrong with it.
func serviceOf(o *unstructured.Unstructured) *corev1.Service {
	if o == nil {
		return nil
	}
	var s corev1.Service
	if runtime.DefaultUnstructuredConverter.FromUnstructured(o.Object, &s) != nil {
		return nil
	}
	return &s
}

// portsOf are the ports of a Service with the server's defaults.
func portsOf(s *corev1.Service) []corev1.ServicePort {
	ports := slices.Clone(s.Spec.Ports)
	for i := range ports {
		p := &ports[i]
		p.Protocol = cmp.Or(p.Protocol, corev1.ProtocolTCP)
		p.TargetPort = cmp.Or(p.TargetPort, intstr.FromInt32(p.Port))
	}
	return ports
}

func hasName(ports []corev1.ServicePort, p corev1.ServicePort) bool {
	return slices.ContainsFunc(ports, func(q corev1.ServicePort) bool { return q.Name == p.Name })
}

func hasNumber(ports []corev1.ServicePort, p corev1.ServicePort) bool {
	return slices.ContainsFunc(ports, func(q corev1.ServicePort) bool { return q.Port == p.Port && q.Protocol == p.Protocol })
}
