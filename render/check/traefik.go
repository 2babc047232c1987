package check

import (
	"fmt"
	"slices"
	"strconv"
	"strings"

	networkingv1 "k8s.io/api/networking/v1"

	"git.lastcloud.io/ronnibaslund/dezky/fleet/render/object"
)

// The annotations that Traefik reads, and the entry points of k3s' Traefik.
const (
	traefikPrefix         = "traefik.ingress.kubernetes.io/"
	middlewaresAnnotation = traefikPrefix + "router.middlewares"
	entryPointsAnnotation = traefikPrefix + "router.entrypoints"
	priorityAnnotation    = traefikPrefix + "router.priority"
	pathMatcherAnnotation = traefikPrefix + "router.pathmatcher"
)

// solverRule is the length of the rule of cert-manager's HTTP-01 solver
// without the host, which is its priority: a host, and a path with a token of
// 43 letters. A priority by hand below it does no harm.
const solverRule = len("Host(``) && Path(`/.well-known/acme-challenge/`)") + 43

// routerKeys and serviceKeys are what Traefik knows below router. on an
// Ingress, and below service. on a Service, in any case of letters. (Traefik,
// pkg/provider/kubernetes/ingress/annotations.go.)
var (
	routerKeys = []string{
		"pathmatcher", "entrypoints", "middlewares", "priority", "rulesyntax", "tls", "tls.certresolver", "tls.options",
		"observability", "observability.accesslogs", "observability.metrics", "observability.tracing", "observability.traceverbosity",
	}
	serviceKeys = []string{
		"serversscheme", "serverstransport", "passhostheader", "nativelb", "nodeportlb", "sticky", "sticky.cookie",
		"sticky.cookie.name", "sticky.cookie.secure", "sticky.cookie.httponly", "sticky.cookie.samesite", "sticky.cookie.maxage", "sticky.cookie.path", "sticky.cookie.domain",
	}
)

func traefikRules() []Rule {
	return []Rule{{
		ID:     "traefik-annotation",
		Doc:    "One annotation that Traefik cannot read makes it drop the whole Ingress, or the Service. router.tls, or anything below it, on an Ingress that serves plain HTTP too makes port 80 answer 404, and a high router.priority outranks cert-manager's solver, so that certificates stop renewing.",
		Source: "Traefik, pkg/provider/kubernetes/ingress; Traefik issue 8444; Traefik documentation, 'Routers', Priority",
		Alone:  true,
		Run: func(p *Pass) {
			for _, o := range p.Kind("networking.k8s.io", "Ingress") {
				annotations := o.GetAnnotations()
				if len(annotations) == 0 {
					continue
				}
				for _, key := range traefikKeys(annotations) {
					at := "metadata.annotations[" + key + "]"
					name, ok := cutFold(key[len(traefikPrefix):], "router.")
					switch _, tls := cutFold(name, "tls"); {
					case !ok:
					case !knownRouter(name):
						p.Report(o, at, "Traefik knows no "+name+" of a router, and drops the whole Ingress", near(name, routerKeys...))
					case tls && annotations[key] != "false" && plainHTTP(annotations):
						p.Report(o, at, "makes the router TLS-only, and port 80 answers 404: leave it out, the entry point websecure has TLS", "")
					}
				}
				value, ok := annotations[priorityAnnotation]
				if !ok {
					continue
				}
				at := "metadata.annotations[" + priorityAnnotation + "]"
				switch n, err := strconv.Atoi(strings.TrimSpace(value)); {
				case err != nil:
					p.Report(o, at, fmt.Sprintf("%q is no whole number, and Traefik drops the whole Ingress", value), "")
				case n > solverRule && plainHTTP(annotations) && hasTLS(o):
					p.Report(o, at, "can outrank cert-manager's HTTP-01 solver, and certificates stop renewing: leave it out", "")
				}
			}
			for _, o := range p.Kind("", "Service") {
				for _, key := range traefikKeys(o.GetAnnotations()) {
					if name, ok := cutFold(key[len(traefikPrefix):], "service."); ok && !slices.Contains(serviceKeys, strings.ToLower(name)) {
						p.Report(o, "metadata.annotations["+key+"]", "Traefik knows no "+name+" of a Service, and drops what leads to it", near(name, serviceKeys...))
					}
				}
			}
		},
	}, {
		ID:       "traefik-unread",
		Severity: object.Warning,
		Doc:      "An annotation that Traefik does not read where it stands does nothing, whatever it says: those of Traefik 1, router annotations on a Service, and service annotations on an Ingress.",
		Source:   "Traefik documentation, 'Traefik & Kubernetes with Ingress', Annotations",
		Alone:    true,
		Run: func(p *Pass) {
			for _, kind := range []struct{ group, kind, reads, other string }{
				{"networking.k8s.io", "Ingress", "router.", "service."},
				{"", "Service", "service.", "router."},
			} {
				for _, o := range p.Kind(kind.group, kind.kind) {
					for _, key := range traefikKeys(o.GetAnnotations()) {
						name := key[len(traefikPrefix):]
						if _, ok := cutFold(name, kind.reads); ok {
							continue
						}
						remedy := "take it out; Traefik has middlewares for what it did"
						if _, ok := cutFold(name, kind.other); ok {
							remedy = "it belongs on the " + map[string]string{"service.": "Service", "router.": "Ingress"}[kind.other]
						}
						p.Report(o, "metadata.annotations["+key+"]", "Traefik does not read it on this kind", remedy)
					}
				}
			}
		},
	}, {
		ID:       "entry-point",
		Severity: object.Warning,
		Doc:      "Traefik leaves a router out of an entry point that it does not have, and one that is on web alone answers no HTTPS.",
		Source:   "Traefik documentation, 'EntryPoints'; the values of k3s' Traefik chart: web, websecure, metrics and traefik",
		Alone:    true,
		Run: func(p *Pass) {
			for _, o := range slices.Concat(p.Kind("networking.k8s.io", "Ingress"), p.Kind(traefik, "IngressRoute")) {
				names, at := entryPointsOf(o)
				for _, name := range names {
					switch name {
					case "web", "websecure", "metrics", "traefik":
					default:
						p.Report(o, at, fmt.Sprintf("k3s' Traefik has no entry point %q", name), "it has web and websecure; waive this where yours has it")
					}
				}
				if len(names) == 1 && names[0] == "web" && hasTLS(o) {
					p.Report(o, at, "is web alone, and the Ingress has TLS: HTTPS answers 404", "state web,websecure")
				}
			}
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

// traefikKeys returns the annotations that begin as Traefik's do, sorted.
func traefikKeys(annotations map[string]string) []string {
	var keys []string
	for key := range annotations {
		if strings.HasPrefix(key, traefikPrefix) {
			keys = append(keys, key)
		}
	}
	slices.Sort(keys)
	return keys
}

// knownRouter reports whether Traefik knows an option of a router.
func knownRouter(name string) bool {
	name = strings.ToLower(name)
	if rest, ok := strings.CutPrefix(name, "tls.domains."); ok {
		_, field, _ := strings.Cut(rest, ".") // an item may have any name
		return field == "main" || field == "sans"
	}
	return slices.Contains(routerKeys, name)
}

// cutFold cuts a prefix off in any case of letters.
func cutFold(s, prefix string) (rest string, ok bool) {
	if len(s) < len(prefix) || !strings.EqualFold(s[:len(prefix)], prefix) {
		return s, false
	}
	return s[len(prefix):], true
}

// entryPoints returns the entry points that an Ingress states.
func entryPoints(annotations map[string]string) []string {
	var names []string
	for name := range strings.SplitSeq(annotations[entryPointsAnnotation], ",") {
		if name = strings.TrimSpace(name); name != "" {
			names = append(names, name)
		}
	}
	return names
}

// plainHTTP reports whether an Ingress answers plain HTTP too: without a word
// of entry points it is on all of them.
func plainHTTP(annotations map[string]string) bool {
	names := entryPoints(annotations)
	return len(names) == 0 || slices.ContainsFunc(names, func(name string) bool { return name != "websecure" })
}

// hasTLS reports whether an Ingress has certificates.
func hasTLS(o *Object) bool {
	i := As[*networkingv1.Ingress](o)
	return i != nil && len(i.Spec.TLS) > 0
}
