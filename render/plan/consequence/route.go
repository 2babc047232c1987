package consequence

import (
	"slices"
	"strings"

	"git.lastcloud.io/ronnibaslund/dezky/fleet/render/object"
)

const (
	entryPointsAnnotation = "traefik.ingress.kubernetes.io/router.entrypoints"
	middlewaresAnnotation = "traefik.ingress.kubernetes.io/router.middlewares"
	classAnnotation       = "kubernetes.io/ingress.class"
)

// issuers are the annotations that let cert-manager fill an Ingress's Secrets.
var issuers = []string{"cert-manager.io/cluster-issuer", "cert-manager.io/issuer"}

// routes are the Ingresses of a set by host, and the TLS Secret of each host.
type routes struct {
	of     map[string][]object.ID
	secret map[object.ID]map[string]string
	hosts  map[object.ID][]string
}

func (s *Set) routes() routes {
	r := routes{make(map[string][]object.ID), make(map[object.ID]map[string]string), make(map[object.ID][]string)}
	s.kind("networking.k8s.io", "Ingress", func(o *Object) {
		for _, rule := range list(get(o.Fields, "spec", "rules")) {
			if host := text(rule, "host"); host != "" && !slices.Contains(r.hosts[o.ID], host) {
				r.of[host] = append(r.of[host], o.ID)
				r.hosts[o.ID] = append(r.hosts[o.ID], host)
			}
		}
		r.secret[o.ID] = make(map[string]string)
		for _, tls := range list(get(o.Fields, "spec", "tls")) {
			for _, host := range strs(tls["hosts"]) {
				r.secret[o.ID][host] = text(tls, "secretName")
			}
		}
	})
	return r
}

// middlewaresOf returns the middlewares of an Ingress's routers.
func middlewaresOf(o *Object) []string {
	var names []string
	for name := range strings.SplitSeq(text(o.Fields, "metadata", "annotations", middlewaresAnnotation), ",") {
		if name = strings.TrimSpace(name); name != "" {
			names = append(names, name)
		}
	}
	return names
}

// middlewares returns the Middlewares of a set by the name that routers use.
func (s *Set) middlewares() map[string]object.ID {
	all := make(map[string]object.ID)
	s.kind("traefik.io", "Middleware", func(o *Object) {
		all[o.ID.Namespace+"-"+o.ID.Name+"@kubernetescrd"] = o.ID
	})
	return all
}

// ingresses calls do for each Ingress that stays.
func (p *Pass) ingresses(do func(pair Pair)) {
	for _, pair := range p.Pairs {
		if pair.Was != nil && pair.Is != nil && pair.ID.Group == "networking.k8s.io" && pair.ID.Kind == "Ingress" {
			do(pair)
		}
	}
}

func routeRules() []Rule {
	return []Rule{{
		ID:     "host",
		Doc:    "A host that no Ingress has any more answers 404. One that moves to another Ingress has two equal routers or none for a moment, depending on which change comes first.",
		Source: "Traefik, pkg/muxer/http: equal rules have equal priority, and either wins",
		Run: func(p *Pass) {
			was, is := p.Was.routes(), p.Is.routes()
			for _, host := range sorted(was.of) {
				from, to := was.of[host], is.of[host]
				if slices.ContainsFunc(from, func(id object.ID) bool { return slices.Contains(to, id) }) {
					continue
				}
				if len(to) == 0 {
					p.report(Down, from[0], "spec.rules["+host+"]", "nothing serves "+host+" any more: it answers 404", "Take its DNS record and the links to it away as well, or keep the host")
					continue
				}
				p.report(Down, to[0], "spec.rules["+host+"]", host+" moves here from "+from[0].String()+": it answers 404 if the old one goes first",
					"Let both have the host for one release where both serve the same, then take it from the old one")
			}
		},
	}, {
		ID:     "certificate",
		Doc:    "A host whose TLS Secret is another one has Traefik's default certificate, which no browser takes, until cert-manager has filled it.",
		Source: "cert-manager, pkg/controller/certificate-shim; Traefik, pkg/provider/kubernetes/ingress: getCertificates",
		Run: func(p *Pass) {
			was, is := p.Was.routes(), p.Is.routes()
			filled := make(map[object.ID][]string) // the hosts of a Secret
			for id, secrets := range was.secret {
				for host, name := range secrets {
					secret := object.ID{Kind: "Secret", Namespace: id.Namespace, Name: name}
					filled[secret] = append(filled[secret], host)
				}
			}
			for _, host := range sorted(is.of) {
				if len(was.of[host]) == 0 {
					continue
				}
				to := is.of[host][0]
				name := is.secret[to][host]
				served := slices.ContainsFunc(was.of[host], func(id object.ID) bool { return was.secret[id][host] != "" })
				secret := object.ID{Kind: "Secret", Namespace: to.Namespace, Name: name}
				if !served || slices.Contains(filled[secret], host) || p.Was.byID[secret] != nil && filled[secret] == nil {
					continue
				}
				if name == "" {
					p.report(Down, to, "spec.tls", host+" has no certificate of its own any more", "Keep it below spec.tls")
					continue
				}
				do := "Keep the name of the Secret, or issue it first with a Certificate of that secretName"
				if filled[secret] != nil {
					do = "Give the host a Secret of its own, issued first with a Certificate of that secretName"
				}
				if !slices.ContainsFunc(issuers, func(a string) bool { return text(p.Is.byID[to].Fields, "metadata", "annotations", a) != "" }) {
					do = "Fill the Secret first: no annotation lets cert-manager do it"
				}
				p.report(Down, to, "spec.tls["+name+"]", "the certificate of "+host+" is issued anew: browsers refuse the host until it is", do)
			}
		},
	}, {
		ID:     "ingress-class",
		Doc:    "An Ingress of another class is served by another controller, or by none.",
		Source: "Traefik, pkg/provider/kubernetes/ingress: shouldProcessIngress",
		Run: func(p *Pass) {
			p.ingresses(func(pair Pair) {
				class := func(o *Object) string {
					return text(map[string]any{"c": or(get(o.Fields, "spec", "ingressClassName"), get(o.Fields, "metadata", "annotations", classAnnotation))}, "c")
				}
				if was, is := class(pair.Was), class(pair.Is); was != is {
					name := is
					if name == "" {
						name = "the default one"
					}
					p.report(Down, pair.ID, "spec.ingressClassName", "the class becomes "+name+": its hosts answer 404 until that controller serves them", "Serve the hosts with both controllers for a while, by an Ingress of each class, and move the DNS records between")
				}
			})
		},
	}, {
		ID:     "entry-points",
		Doc:    "A router answers at its entry points only: one that goes takes the port with it. Without the annotation it is at all that are the default.",
		Source: "Traefik documentation, 'Kubernetes Ingress', router.entrypoints",
		Run: func(p *Pass) {
			p.ingresses(func(pair Pair) {
				points := func(o *Object) []string {
					var all []string
					for name := range strings.SplitSeq(text(o.Fields, "metadata", "annotations", entryPointsAnnotation), ",") {
						if name = strings.TrimSpace(name); name != "" {
							all = append(all, name)
						}
					}
					return all
				}
				was, is := points(pair.Was), points(pair.Is)
				if len(is) == 0 {
					return
				}
				if len(was) == 0 {
					was = []string{"web", "websecure"} // of k3s
				}
				for _, name := range was {
					if !slices.Contains(is, name) {
						p.report(Down, pair.ID, "metadata.annotations["+entryPointsAnnotation+"]", "the entry point "+name+" goes: what calls it there gets 404", "Keep it in the list; web is what redirects to HTTPS")
					}
				}
			})
		},
	}, {
		ID:     "middleware",
		Doc:    "Traefik leaves a router out whose middleware is not there: its hosts answer 404, or a router with a shorter rule takes their requests.",
		Source: "Traefik, pkg/server/router: a router whose chain cannot be built is left out",
		Run: func(p *Pass) {
			was, is := p.Was.middlewares(), p.Is.middlewares()
			field := "metadata.annotations[" + middlewaresAnnotation + "]"
			p.ingresses(func(pair Pair) {
				var gone, early, shut []string
				for _, name := range middlewaresOf(pair.Is) {
					_, had := was[name]
					id, has := is[name]
					switch {
					case had && !has:
						gone = append(gone, name)
					case has && !had && p.mayApply(id):
						early = append(early, id.Name)
					case has && !had:
						shut = append(shut, id.Name)
					}
				}
				say := func(s Severity, names []string, what, why, do string) {
					if len(names) > 0 {
						p.report(s, pair.ID, field, "it names "+what+" ("+strings.Join(names, ", ")+"): "+why, do)
					}
				}
				say(Down, gone, "what goes", "the router is left out, and its hosts answer 404", "Keep the Middleware, or take it out of the annotation first")
				say(Down, shut, "what is new, and what who deploys may not apply", "the hosts answer 404 until it is there", "Let an admin apply the rights first, then the Middleware before the Ingress")
				say(First, early, "what is new", "the hosts answer 404 until it is there", "Apply the Middleware before the Ingress: a deploy does")
			})
		},
	}}
}

// mayApply reports whether no deployer of the namespace lacks the right to
// make an object of that kind.
func (p *Pass) mayApply(id object.ID) bool {
	may := true
	p.Was.kind(rbac, "RoleBinding", func(b *Object) {
		if b.ID.Namespace != id.Namespace {
			return
		}
		if has, _, ok := p.Was.granted(b); ok && has.deploys() && !has.allow(right{id.Group, resourceOf(id), "create"}) {
			may = false
		}
	})
	return may
}
