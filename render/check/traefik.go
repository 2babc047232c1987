package check

import (
	"strings"
)

const middlewaresAnnotation = "traefik.ingress.kubernetes.io/router.middlewares"

func traefikRules() []Rule {
	return []Rule{{
		ID:     "traefik-annotation",
		Doc:    "Some annotations of Traefik break plain HTTP or the renewal of certificates on an Ingress that serves both entry points.",
		Source: "Traefik issue 8444; Traefik documentation, 'Routers', Priority",
		Run: func(p *Pass) {
			p.forbid(map[string]string{
				"traefik.ingress.kubernetes.io/router.tls":      "makes the router TLS-only, and port 80 answers 404: leave it out, the entry point websecure has TLS",
				"traefik.ingress.kubernetes.io/router.priority": "can outrank cert-manager's HTTP-01 solver, and certificates stop renewing: leave it out",
			})
		},
	}, {
		ID:     "traefik-middleware",
		Doc:    "Traefik drops a router whose middleware is missing: its host answers 404.",
		Source: "Traefik, pkg/server/router: a router whose chain cannot be built is left out",
		Run: func(p *Pass) {
			known := make(map[string]bool)
			for _, o := range p.Kind("traefik.io", "Middleware") {
				known[o.ID.Namespace+"-"+o.ID.Name] = true
			}
			for _, e := range p.others {
				if e.ID.Group == "traefik.io" && e.ID.Kind == "Middleware" {
					known[e.ID.Namespace+"-"+e.ID.Name] = true
				}
			}
			for _, o := range p.Kind("networking.k8s.io", "Ingress") {
				for ref := range strings.SplitSeq(o.GetAnnotations()[middlewaresAnnotation], ",") {
					name, ok := strings.CutSuffix(strings.TrimSpace(ref), "@kubernetescrd")
					if ok && !known[name] {
						p.Report(o, "metadata.annotations["+middlewaresAnnotation+"]", "there is no middleware "+name+", and Traefik drops a router whose middleware is missing", "render it in this tree")
					}
				}
			}
		},
	}}
}

// forbid reports the annotations of Ingresses that must not be there, each
// with the reason.
func (p *Pass) forbid(annotations map[string]string) {
	keys := sortedKeys(annotations)
	for _, o := range p.Kind("networking.k8s.io", "Ingress") {
		has := o.GetAnnotations()
		for _, key := range keys {
			if _, ok := has[key]; ok {
				p.Report(o, "metadata.annotations["+key+"]", annotations[key], "")
			}
		}
	}
}
