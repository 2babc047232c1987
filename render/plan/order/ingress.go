package order

import (
	"cmp"

	networkingv1 "k8s.io/api/networking/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/util/intstr"

	"git.lastcloud.io/ronnibaslund/dezky/fleet/render/object"
)

// beforeServices returns the Ingresses and IngressRoutes that are applied
// before the Services that change: those that ask a Service for a port which is
// about to go, and no longer do. Otherwise a router would lead nowhere in
// between.
func beforeServices(changes []Change) map[object.ID]bool {
	first := make(map[object.ID]bool)
	services := make(map[object.ID]Change)
	for _, c := range changes {
		if c.ID.Group == "" && c.ID.Kind == "Service" && c.Was != nil && c.Is != nil {
			services[c.ID] = c
		}
	}
	for _, c := range changes {
		if c.ID.Kind != "Ingress" && c.ID.Kind != "IngressRoute" || c.Was == nil || c.Is == nil {
			continue
		}
		// lost reports whether a Service that changes lacks a port, on one side.
		lost := func(router *unstructured.Unstructured, side func(Change) *unstructured.Unstructured) bool {
			for _, b := range backends(router) {
				if s, ok := services[b.service]; ok && !hasPort(side(s), b.port) {
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

// backend is a port of a Service that a router asks for.
type backend struct {
	service object.ID
	port    intstr.IntOrString
}

// backends are what the rules of an Ingress or the routes of an IngressRoute
// lead to. Of one that cannot be read there are none: the server says what is
// wrong with it.
func backends(o *unstructured.Unstructured) []backend {
	var all []backend
	add := func(namespace, name string, port intstr.IntOrString) {
		all = append(all, backend{object.ID{Kind: "Service", Namespace: namespace, Name: name}, port})
	}
	if o.GetKind() == "IngressRoute" {
		var route struct {
			Spec struct {
				Routes []struct {
					Services []struct {
						Kind      string             `json:"kind"`
						Name      string             `json:"name"`
						Namespace string             `json:"namespace"`
						Port      intstr.IntOrString `json:"port"`
					} `json:"services"`
				} `json:"routes"`
			} `json:"spec"`
		}
		if runtime.DefaultUnstructuredConverter.FromUnstructured(o.Object, &route) != nil {
			return nil
		}
		for _, r := range route.Spec.Routes {
			for _, s := range r.Services {
				if s.Kind == "" || s.Kind == "Service" {
					add(cmp.Or(s.Namespace, o.GetNamespace()), s.Name, s.Port)
				}
			}
		}
		return all
	}
	var ingress networkingv1.Ingress
	if runtime.DefaultUnstructuredConverter.FromUnstructured(o.Object, &ingress) != nil {
		return nil
	}
	for _, rule := range ingress.Spec.Rules {
		if rule.HTTP == nil {
			continue
		}
		for _, p := range rule.HTTP.Paths {
			if s := p.Backend.Service; s != nil && s.Port.Name != "" {
				add(o.GetNamespace(), s.Name, intstr.FromString(s.Port.Name))
			} else if s != nil {
				add(o.GetNamespace(), s.Name, intstr.FromInt32(s.Port.Number))
			}
		}
	}
	return all
}

func hasPort(o *unstructured.Unstructured, port intstr.IntOrString) bool {
	service := serviceOf(o)
	if service == nil {
		return true
	}
	for _, p := range service.Spec.Ports {
		if port.Type == intstr.String && p.Name == port.StrVal || port.Type == intstr.Int && p.Port == port.IntVal {
			return true
		}
	}
	return false
}
