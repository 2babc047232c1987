package check

import (
	"fmt"
	"slices"

	networkingv1 "k8s.io/api/networking/v1"
)

func ingressRules() []Rule {
	return []Rule{{
		ID:     "ingress-backend",
		Doc:    "A rule of an Ingress without a path leads nowhere: its host answers 404.",
		Source: "Traefik, pkg/provider/kubernetes/ingress: a rule without http is passed over",
		Alone:  true,
		Run: func(p *Pass) {
			each(p, "networking.k8s.io", "Ingress", func(p *Pass, o *Object, i *networkingv1.Ingress) {
				for k, r := range i.Spec.Rules {
					if r.HTTP == nil && i.Spec.DefaultBackend == nil {
						p.Report(o, fmt.Sprintf("spec.rules[%d].http", k), "is empty, and there is no defaultBackend: the host answers 404", "give a path with its Service")
					}
				}
			})
		},
	}, {
		ID:     "address-twice",
		Doc:    "Where two Ingresses of one class have one host and path on one entry point, either of them answers: which one is chance.",
		Source: "Traefik, pkg/muxer/http: routers of equal priority are not ordered",
		Run: func(p *Pass) {
			type address struct {
				host, path string
				pathType   networkingv1.PathType
			}
			all := p.Kind("networking.k8s.io", "Ingress")
			seen := make(map[address][]*Object, len(all))
			for _, o := range all {
				i := As[*networkingv1.Ingress](o)
				if i == nil {
					continue
				}
				for _, rule := range i.Spec.Rules {
					if rule.HTTP == nil {
						continue
					}
					for _, path := range rule.HTTP.Paths {
						a := address{host: rule.Host, path: path.Path}
						if path.PathType != nil {
							a.pathType = *path.PathType
						}
						for _, other := range seen[a] {
							if meet(o, other) {
								p.Report(o, "", "uses the address "+a.host+a.path+", and so does "+other.File+": "+other.ID.String(), "each needs its own")
								break
							}
						}
						seen[a] = append(seen[a], o)
					}
				}
			}
		},
	}}
}

// meet reports whether two Ingresses are of one class and on one entry point:
// one for plain HTTP and one for HTTPS may have the same address.
func meet(a, b *Object) bool {
	if classOf(a) != classOf(b) {
		return false
	}
	one, two := entryPoints(a.GetAnnotations()), entryPoints(b.GetAnnotations())
	return len(one) == 0 || len(two) == 0 || slices.ContainsFunc(one, func(name string) bool { return slices.Contains(two, name) })
}

// classOf returns the class of an Ingress, empty where it has none.
func classOf(o *Object) string {
	if i := As[*networkingv1.Ingress](o); i != nil && i.Spec.IngressClassName != nil {
		return *i.Spec.IngressClassName
	}
	return o.GetAnnotations()[classAnnotation]
}

// classAnnotation is how the class of an Ingress was said before there was a
// field for it.
const classAnnotation = "kubernetes.io/ingress.class"
