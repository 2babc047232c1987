package order

import (
	corev1 "k8s.io/api/core/v1"
	networkingv1 "k8s.io/api/networking/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime"

	"git.lastcloud.io/ronnibaslund/dezky/fleet/render/object"
)

// beforeServices returns the Ingresses that are applied before the Services
// that change: those that ask a Service for a port which is about to go, and no
// longer do. Otherwise a router would lead nowhere in between.
func beforeServices(changes []Change) map[object.ID]bool {
	first := make(map[object.ID]bool)
	services := make(map[object.ID]Change)
	for _, c := range changes {
		if c.ID.Group == "" && c.ID.Kind == "Service" && c.Was != nil && c.Is != nil {
			services[c.ID] = c
		}
	}
	for _, c := range changes {
		if c.ID.Kind != "Ingress" || c.Was == nil || c.Is == nil {
			continue
		}
		// lost reports whether a Service that changes lacks a port, on one side.
		lost := func(ingress *unstructured.Unstructured, side func(Change) *unstructured.Unstructured) bool {
			for _, b := range backends(ingress) {
				s, ok := services[object.ID{Kind: "Service", Namespace: c.ID.Namespace, Name: b.Name}]
				if ok && !hasPort(side(s), b.Port) {
					return true
				}
			}
			return false
		}
		if lost(c.Was, func(s Change) *unstructured.Unstructured { return s.Is }) &&
			!lost(c.Is, func(s Change) *unstructured.Unstructured { return s.Was }) {
			first[c.ID] = true
		}
	}
	return first
}

// backends are the Services that the rules of an Ingress lead to.
func backends(o *unstructured.Unstructured) []networkingv1.IngressServiceBackend {
	var ingress networkingv1.Ingress
	if runtime.DefaultUnstructuredConverter.FromUnstructured(o.Object, &ingress) != nil {
		return nil // the server says what is wrong with it
	}
	var all []networkingv1.IngressServiceBackend
	for _, rule := range ingress.Spec.Rules {
		if rule.HTTP == nil {
			continue
		}
		for _, p := range rule.HTTP.Paths {
			if p.Backend.Service != nil {
				all = append(all, *p.Backend.Service)
			}
		}
	}
	return all
}

func hasPort(o *unstructured.Unstructured, port networkingv1.ServiceBackendPort) bool {
	var service corev1.Service
	if runtime.DefaultUnstructuredConverter.FromUnstructured(o.Object, &service) != nil {
		return true
	}
	for _, p := range service.Spec.Ports {
		if port.Name != "" && p.Name == port.Name || port.Name == "" && p.Port == port.Number {
			return true
		}
	}
	return false
}
