package check

import (
	networkingv1 "k8s.io/api/networking/v1"
)

func ingressRules() []Rule {
	return []Rule{{
		ID:     "address-twice",
		Doc:    "Where two Ingresses have one host and path, either of them answers: which one is chance.",
		Source: "Traefik, pkg/muxer/http: routers of equal priority are not ordered",
		Run: func(p *Pass) {
			type address struct {
				host, path string
				pathType   networkingv1.PathType
			}
			first := make(map[address]*Object)
			for _, o := range p.Kind("networking.k8s.io", "Ingress") {
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
						if other := first[a]; other != nil {
							p.Report(o, "", "uses the address "+a.host+a.path+", and so does "+other.File+": "+other.ID.String(), "each needs its own")
							continue
						}
						first[a] = o
					}
				}
			}
		},
	}}
}
