package e2e

import (
	"cmp"
	"fmt"
	"regexp"
	"slices"
	"strings"

	"github.com/traefik/traefik/v3/pkg/provider/kubernetes/crd/traefikio/v1alpha1"
	networkingv1 "k8s.io/api/networking/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime"

	"git.lastcloud.io/ronnibaslund/dezky/fleet/render/object"
)

// route is one way from a host and path to a Service, as the manifests mean it.
type route struct {
	of object.ID
	// field of the object, such as spec.routes[0].
	field string
	// uses are the middlewares and Services that it goes through.
	uses []object.ID
	asks []ask
}

// ask is a request that a route is to answer.
type ask struct {
	entryPoint string
	secure     bool
	host, path string
	// service whose pods answer. Empty where any may, or none.
	service object.ID
	// certificate reports that the certificate is to be for the host.
	certificate bool
	// solver reports that a certificate authority asks, which the route is to
	// let through.
	solver bool
}

func (a ask) url() string {
	if a.secure {
		return "https://" + a.host + a.path
	}
	return "http://" + a.host + a.path
}

// anyHost is asked for where a route is for every host.
const anyHost = "any.example"

// typed returns an object in the Go type of its kind, or reports that it does
// not fit.
func typed[T any](o *unstructured.Unstructured) (*T, bool) {
	into := new(T)
	return into, runtime.DefaultUnstructuredConverter.FromUnstructured(o.Object, into) == nil
}

// manifests are what routes are made from.
type manifests struct {
	middlewares  map[string]object.ID // as an Ingress names them
	chains       map[object.ID][]object.ID
	routes       map[object.ID]*v1alpha1.IngressRoute
	parents      map[object.ID]bool
	certificates map[string][]string // the hosts of those in a namespace
}

// routesOf are the routes that objects mean for Traefik.
func routesOf(objects []*unstructured.Unstructured) []route {
	m := manifests{make(map[string]object.ID), make(map[object.ID][]object.ID), make(map[object.ID]*v1alpha1.IngressRoute), make(map[object.ID]bool), make(map[string][]string)}
	for _, o := range objects {
		switch id := object.IDOf(o); id.Kind {
		case "Middleware":
			m.middlewares[id.Namespace+"-"+id.Name+"@kubernetescrd"] = id
			if v, ok := typed[v1alpha1.Middleware](o); ok && v.Spec.Chain != nil {
				for _, next := range v.Spec.Chain.Middlewares {
					m.chains[id] = append(m.chains[id], traefikID("Middleware", next.Name, cmp.Or(next.Namespace, id.Namespace)))
				}
			}
		case "IngressRoute":
			if v, ok := typed[v1alpha1.IngressRoute](o); ok {
				m.routes[id] = v
				for _, ref := range v.Spec.ParentRefs {
					m.parents[traefikID("IngressRoute", ref.Name, cmp.Or(ref.Namespace, id.Namespace))] = true
				}
			}
		case "Certificate":
			hosts, _, _ := unstructured.NestedStringSlice(o.Object, "spec", "dnsNames")
			m.certificates[id.Namespace] = append(m.certificates[id.Namespace], hosts...)
		}
	}
	var all []route
	for _, o := range objects {
		switch id := object.IDOf(o); id.Kind {
		case "Ingress":
			if i, ok := typed[networkingv1.Ingress](o); ok {
				all = append(all, m.ingress(id, i)...)
			}
		case "IngressRoute":
			if i := m.routes[id]; i != nil && !m.parents[id] { // a parent is asked by its children
				all = append(all, m.ingressRoute(id, i)...)
			}
		}
	}
	for i := range all {
		for k := 0; k < len(all[i].uses); k++ { // which grows
			for _, next := range m.chains[all[i].uses[k]] {
				if !slices.Contains(all[i].uses, next) {
					all[i].uses = append(all[i].uses, next)
				}
			}
		}
	}
	return all
}

func traefikID(kind, name, namespace string) object.ID {
	return object.ID{Group: "traefik.io", Kind: kind, Namespace: namespace, Name: name}
}

func serviceID(name, namespace string) object.ID {
	return object.ID{Kind: "Service", Namespace: namespace, Name: name}
}

// annotated returns the items of an annotation of Traefik.
func annotated(i *networkingv1.Ingress, name string) []string {
	return strings.FieldsFunc(i.Annotations["traefik.ingress.kubernetes.io/"+name], func(r rune) bool { return r == ',' || r == ' ' })
}

// issued reports whether cert-manager makes the certificates of an Ingress.
func issued(i *networkingv1.Ingress) bool {
	return i.Annotations["cert-manager.io/cluster-issuer"] != "" || i.Annotations["cert-manager.io/issuer"] != ""
}

// ingress are the routes of an Ingress, none where another controller serves
// it.
func (m manifests) ingress(id object.ID, i *networkingv1.Ingress) []route {
	class := i.Annotations["kubernetes.io/ingress.class"]
	if i.Spec.IngressClassName != nil {
		class = *i.Spec.IngressClassName
	}
	if class != "" && class != "traefik" || strings.HasPrefix(i.Name, solverPrefix) {
		return nil
	}
	entryPoints := annotated(i, "router.entrypoints")
	if len(entryPoints) == 0 {
		entryPoints = []string{"web", "websecure"}
	}
	http := slices.Contains(entryPoints, "web")
	if len(i.Spec.TLS) > 0 && !slices.Contains(entryPoints, "websecure") {
		entryPoints = append(entryPoints, "websecure") // what else are the certificates for
	}
	var middlewares []object.ID
	for _, name := range annotated(i, "router.middlewares") {
		if id, ok := m.middlewares[name]; ok {
			middlewares = append(middlewares, id)
		}
	}
	at := func(field, host, path string, backend *networkingv1.IngressBackend) route {
		r := route{of: id, field: field, uses: slices.Clone(middlewares)}
		var service object.ID
		if backend != nil && backend.Service != nil {
			service = serviceID(backend.Service.Name, id.Namespace)
			r.uses = append(r.uses, service)
		}
		named := strings.Replace(cmp.Or(host, anyHost), "*", "any", 1)
		for _, e := range entryPoints {
			secure := e == "websecure"
			r.asks = append(r.asks, ask{
				entryPoint: e, secure: secure, host: named, path: cmp.Or(path, "/"), service: service,
				certificate: secure && (len(i.Spec.TLS) > 0 || issued(i)),
			})
		}
		if len(i.Spec.TLS) > 0 && http && solvable(host) {
			r.asks = append(r.asks, ask{entryPoint: "web", host: host, path: solverPath(id.Name), service: serviceID(solverPrefix+id.Name, id.Namespace), solver: true})
		}
		return r
	}
	var all []route
	for k, rule := range i.Spec.Rules {
		field := fmt.Sprintf("spec.rules[%d]", k)
		if rule.HTTP == nil {
			all = append(all, at(field, rule.Host, "", i.Spec.DefaultBackend))
			continue
		}
		for j, p := range rule.HTTP.Paths {
			all = append(all, at(fmt.Sprintf("%s.http.paths[%d]", field, j), rule.Host, p.Path, &p.Backend))
		}
	}
	if len(i.Spec.Rules) == 0 && i.Spec.DefaultBackend != nil {
		all = append(all, at("spec.defaultBackend", "", "", i.Spec.DefaultBackend))
	}
	return all
}

var (
	hostIn = regexp.MustCompile("(?i)host[a-z]*\\(`([^`)]+)")
	pathIn = regexp.MustCompile("(?i)path[a-z]*\\(`(/[^`]*)")
)

// plain is a regular expression of the tests without what makes it one.
var plain = strings.NewReplacer("^", "", "$", "", `\`, "")

// firstIn returns what a pattern finds first in the rules of a route and its
// parent.
func firstIn(pattern *regexp.Regexp, without string, rules ...string) string {
	for _, rule := range rules {
		if m := pattern.FindStringSubmatch(rule); m != nil {
			return m[1]
		}
	}
	return without
}

// ingressRoute are the routes of an IngressRoute.
func (m manifests) ingressRoute(id object.ID, i *v1alpha1.IngressRoute) []route {
	entryPoints := i.Spec.EntryPoints
	var parents []object.ID
	above := ""
	for _, ref := range i.Spec.ParentRefs {
		parent := traefikID("IngressRoute", ref.Name, cmp.Or(ref.Namespace, id.Namespace))
		parents = append(parents, parent)
		if p := m.routes[parent]; p != nil && len(p.Spec.Routes) > 0 {
			above, entryPoints = p.Spec.Routes[0].Match, p.Spec.EntryPoints
		}
	}
	switch {
	case len(entryPoints) > 0:
	case i.Spec.TLS != nil:
		entryPoints = []string{"websecure"}
	default:
		entryPoints = []string{"web", "websecure"}
	}
	var all []route
	for k, rt := range i.Spec.Routes {
		r := route{of: id, field: fmt.Sprintf("spec.routes[%d]", k), uses: slices.Clone(parents)}
		for _, m := range rt.Middlewares {
			r.uses = append(r.uses, traefikID("Middleware", m.Name, cmp.Or(m.Namespace, id.Namespace)))
		}
		var service object.ID
		for _, s := range rt.Services {
			namespace := cmp.Or(s.Namespace, id.Namespace)
			if s.Kind == "TraefikService" {
				r.uses = append(r.uses, traefikID(s.Kind, s.Name, namespace))
				continue
			}
			r.uses = append(r.uses, serviceID(s.Name, namespace))
			if len(rt.Services) == 1 {
				service = serviceID(s.Name, namespace)
			}
		}
		host := plain.Replace(firstIn(hostIn, anyHost, rt.Match, above))
		for _, e := range entryPoints {
			secure := e == "websecure" || i.Spec.TLS != nil
			r.asks = append(r.asks, ask{
				entryPoint: e, secure: secure, host: host, path: firstIn(pathIn, "/", rt.Match, above), service: service,
				certificate: secure && host != anyHost && (i.Spec.TLS != nil && i.Spec.TLS.SecretName != "" || slices.Contains(m.certificates[id.Namespace], host)),
			})
		}
		all = append(all, r)
	}
	return all
}

// solverPrefix begins the names of the Ingress and Service which stand beside an
// Ingress with certificates, as cert-manager's HTTP-01 solver does.
const solverPrefix = "cm-acme-http-solver-"

// solverPath is what the certificate authority asks for: its token has 43
// letters.
func solverPath(ingress string) string {
	return "/.well-known/acme-challenge/" + (ingress + strings.Repeat("0", 43))[:43]
}

// solvable reports whether HTTP-01 proves a host.
func solvable(host string) bool { return host != "" && !strings.Contains(host, "*") }
