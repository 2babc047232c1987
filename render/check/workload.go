package check

import (
	"slices"

	appsv1 "k8s.io/api/apps/v1"
	autoscalingv2 "k8s.io/api/autoscaling/v2"
	corev1 "k8s.io/api/core/v1"
	networkingv1 "k8s.io/api/networking/v1"

	"git.lastcloud.io/ronnibaslund/dezky/fleet/render/object"
)

// Workload is an object that makes pods, with what leads to them and what they
// read.
type Workload struct {
	// Object that makes the pods.
	*Object
	// Images of the containers, the init containers left out.
	Images []string
	// Least and Most are the numbers of replicas that it has. They differ
	// where it is scaled by itself. Both are 0 where its kind has no number.
	Least, Most int32
	// Services that select the pods.
	Services []*corev1.Service
	// Hosts of the Ingresses that lead to those Services, each once.
	Hosts []string
	// Secrets that the pods name, in the order of their fields, each once.
	Secrets []object.ID
}

// Workloads returns all objects that make pods, in the order in which they are
// applied.
func (s *Set) Workloads() []Workload {
	secrets := make(map[*Object][]object.ID)
	s.eachReference(func(r *reference) {
		if r.to.Kind == "Secret" && r.to.Group == "" && !slices.Contains(secrets[r.from], r.to) {
			secrets[r.from] = append(secrets[r.from], r.to)
		}
	})
	hosts := make(map[object.ID][]string) // of a Service
	for _, o := range s.Kind("networking.k8s.io", "Ingress") {
		ingress := As[*networkingv1.Ingress](o)
		if ingress == nil {
			continue
		}
		for _, rule := range ingress.Spec.Rules {
			if rule.HTTP == nil {
				continue
			}
			for _, path := range rule.HTTP.Paths {
				if b := path.Backend.Service; b != nil && rule.Host != "" {
					id := object.ID{Kind: "Service", Namespace: o.ID.Namespace, Name: b.Name}
					hosts[id] = append(hosts[id], rule.Host)
				}
			}
		}
	}
	var all []Workload
	at := make(map[*Object]int)
	for _, p := range s.allPods() {
		w := Workload{Object: p.of, Secrets: secrets[p.of]}
		for _, c := range p.spec.Containers {
			w.Images = append(w.Images, c.Image)
		}
		w.Least, w.Most = s.replicas(p.of)
		at[p.of] = len(all)
		all = append(all, w)
	}
	for _, o := range s.Kind("", "Service") {
		service := As[*corev1.Service](o)
		selector := selectorOf(service)
		if selector == nil {
			continue
		}
		for _, p := range s.podIndex().selected(o.ID.Namespace, selector) {
			w := &all[at[p.of]]
			w.Services = append(w.Services, service)
			for _, h := range hosts[o.ID] {
				if !slices.Contains(w.Hosts, h) {
					w.Hosts = append(w.Hosts, h)
				}
			}
		}
	}
	return all
}

// replicas returns the least and the most replicas of an object.
func (s *Set) replicas(o *Object) (least, most int32) {
	var n *int32
	switch {
	case o.ID.Group == "apps" && o.ID.Kind == "Deployment":
		n = As[*appsv1.Deployment](o).Spec.Replicas // it has pods, so it fits
	case o.ID.Group == "apps" && o.ID.Kind == "StatefulSet":
		n = As[*appsv1.StatefulSet](o).Spec.Replicas
	default:
		return 0, 0
	}
	for _, a := range s.Kind("autoscaling", "HorizontalPodAutoscaler") {
		hpa := As[*autoscalingv2.HorizontalPodAutoscaler](a)
		if hpa == nil || a.ID.Namespace != o.ID.Namespace || hpa.Spec.ScaleTargetRef.Kind != o.ID.Kind || hpa.Spec.ScaleTargetRef.Name != o.ID.Name {
			continue
		}
		least = 1
		if hpa.Spec.MinReplicas != nil {
			least = *hpa.Spec.MinReplicas
		}
		return least, hpa.Spec.MaxReplicas
	}
	if n == nil {
		return 1, 1
	}
	return *n, *n
}

// Hosts returns the hosts of all Ingresses, in the order in which they are
// applied, each once.
func (s *Set) Hosts() []string {
	var hosts []string
	for _, o := range s.Kind("networking.k8s.io", "Ingress") {
		if ingress := As[*networkingv1.Ingress](o); ingress != nil {
			for _, rule := range ingress.Spec.Rules {
				if rule.Host != "" && !slices.Contains(hosts, rule.Host) {
					hosts = append(hosts, rule.Host)
				}
			}
		}
	}
	return hosts
}
