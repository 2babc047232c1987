package check

import (
	"cmp"
	"fmt"
	"regexp"
	"slices"
	"strconv"
	"strings"

	networkingv1 "k8s.io/api/networking/v1"
)

func ingressRules() []Rule {
	return []Rule{{
		ID:     "ingress-backend",
		Doc:    "A rule of an Ingress without a path leads nowhere: its host answers 404. So does what Traefik does not read: a defaultBackend beside rules, and a backend that is no Service.",
		Source: "Traefik, pkg/provider/kubernetes/ingress: loadConfigurationFromIngresses",
		Alone:  true,
		Run: func(p *Pass) {
			each(p, "networking.k8s.io", "Ingress", func(p *Pass, o *Object, i *networkingv1.Ingress) {
				fallback := i.Spec.DefaultBackend
				if byTraefik(o) && fallback != nil {
					if len(i.Spec.Rules) > 0 {
						p.Report(o, "spec.defaultBackend", "stands beside rules, and Traefik does not read it: what no rule is for answers 404", "give a rule for it, or an Ingress of its own")
						fallback = nil
					} else if fallback.Resource != nil {
						p.Report(o, "spec.defaultBackend.resource", "Traefik serves Services alone", "name a Service and its port")
					}
				}
				for k, r := range i.Spec.Rules {
					if r.HTTP == nil {
						if fallback == nil {
							p.Report(o, fmt.Sprintf("spec.rules[%d].http", k), "is empty: the host answers 404", "give a path with its Service")
						}
						continue
					}
					for j, path := range r.HTTP.Paths {
						if byTraefik(o) && path.Backend.Resource != nil {
							p.Report(o, fmt.Sprintf("spec.rules[%d].http.paths[%d].backend.resource", k, j), "Traefik serves Services alone, and leaves the path out", "name a Service and its port")
						}
					}
				}
			})
		},
	}, {
		ID:     "address-twice",
		Doc:    "Where two Ingresses of one controller have one host and path on one entry point, or two routes of IngressRoutes one rule, either of them answers: which one is chance. Of the Ingresses that have a defaultBackend alone, Traefik takes one.",
		Source: "Traefik, pkg/muxer/http: routers of equal priority are not ordered; pkg/provider/kubernetes/ingress: the default backend already exists",
		Run: func(p *Pass) {
			type address struct {
				host, path string
				pathType   networkingv1.PathType
			}
			all := p.Kind("networking.k8s.io", "Ingress")
			seen := make(map[address][]*Object, len(all))
			var fallback *Object // with a defaultBackend alone
			for _, o := range all {
				i := As[*networkingv1.Ingress](o)
				if i == nil {
					continue
				}
				if b := i.Spec.DefaultBackend; b != nil && b.Service != nil && len(i.Spec.Rules) == 0 && byTraefik(o) {
					if fallback != nil {
						p.Report(o, "spec.defaultBackend", "is for what no rule is for, and so is that of "+fallback.File+": "+fallback.ID.String(), "leave one of them out")
					} else {
						fallback = o
					}
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
			type rule struct {
				match    string
				priority int64
			}
			routes := make(map[rule][]*Object)
			for _, o := range p.Kind(traefik, "IngressRoute") {
				if at(o.fields(), "spec", "parentRefs") != nil {
					continue // its rule says only what is below those
				}
				list, _ := at(o.fields(), "spec", "routes").([]any)
				for i, r := range list {
					route, _ := r.(map[string]any)
					var key rule
					key.match, _ = route["match"].(string)
					key.priority, _ = route["priority"].(int64)
					if key.match == "" {
						continue
					}
					for _, other := range routes[key] {
						if meet(o, other) {
							p.Report(o, fmt.Sprintf("spec.routes[%d].match", i), "is the rule of "+other.File+": "+other.ID.String()+" too", "each needs its own")
							break
						}
					}
					routes[key] = append(routes[key], o)
				}
			}
		},
	}, {
		ID:     "path-shadowed",
		Doc:    "Of two paths that a request matches, Traefik takes the one whose rule is longer as text, and not the narrower one: PathPrefix is a longer word than Path, and the expression for a wildcard host is longer than a name. So a path may never be reached that another one covers. router.priority overrides the length.",
		Source: "Traefik documentation, 'Routers', Priority; Traefik, pkg/muxer/http/mux.go: GetRulePriority, and pkg/provider/kubernetes/ingress: buildHostRule, buildRule",
		Run: func(p *Pass) {
			ingresses := p.Kind("networking.k8s.io", "Ingress")
			all := make([]traefikPath, 0, len(ingresses))
			for _, o := range ingresses {
				all = appendTraefikPaths(all, o)
			}
			byHost := make(map[string][]traefikPath, len(all))
			wide := false // some host stands for several
			for _, t := range all {
				byHost[t.host] = append(byHost[t.host], t)
				wide = wide || t.host == "" || t.host[0] == '*'
			}
			for _, t := range all {
				others := byHost[t.host]
				if wide {
					_, domain, _ := strings.Cut(t.host, ".")
					others = slices.Concat(others, byHost["*."+domain], byHost[""])
				}
				for _, other := range others {
					if !other.covers(t) || other.leads == t.leads || !meet(t.of, other.of) {
						continue
					}
					if here, there := t.priority(), other.priority(); here <= there {
						takes, are := "Traefik takes", fmt.Sprintf("%d there and %d here", there, here)
						if here == there {
							takes, are = "it is chance whether Traefik takes", fmt.Sprintf("%d for both", there)
						}
						p.Report(t.of, t.field, fmt.Sprintf("%s %s of %s for it: the priority, which is the length of the rule unless stated, is %s", takes, cmp.Or(other.host+other.path, "every address"), other.of.ID, are),
							fmt.Sprintf("put it into an Ingress of its own with %s: %q", priorityAnnotation, strconv.Itoa(there+1)))
						break
					}
				}
			}
		},
	}}
}

// traefikPath is a path of an Ingress as Traefik has it.
type traefikPath struct {
	of         *Object
	field      string
	host, path string
	exact      bool
	// leads is where it leads and what is on the way.
	leads struct {
		namespace, middlewares string
		service                networkingv1.IngressServiceBackend
	}
}

// appendTraefikPaths appends the paths of an Ingress, if Traefik serves it.
func appendTraefikPaths(all []traefikPath, o *Object) []traefikPath {
	i := As[*networkingv1.Ingress](o)
	if i == nil || !byTraefik(o) {
		return all
	}
	matcher := i.Annotations[pathMatcherAnnotation] // of paths whose type leaves it open
	for k, rule := range i.Spec.Rules {
		if rule.HTTP == nil {
			continue
		}
		for j, path := range rule.HTTP.Paths {
			if path.Backend.Service == nil {
				continue
			}
			t := traefikPath{of: o, field: fmt.Sprintf("spec.rules[%d].http.paths[%d]", k, j), host: rule.Host, path: path.Path}
			if path.PathType == nil || *path.PathType == networkingv1.PathTypeImplementationSpecific {
				if matcher != "" && matcher != "Path" && matcher != "PathPrefix" {
					continue // such as PathRegexp: what it covers is not known
				}
				t.exact = matcher == "Path"
			} else {
				t.exact = *path.PathType == networkingv1.PathTypeExact
			}
			t.leads.namespace, t.leads.middlewares, t.leads.service = o.ID.Namespace, i.Annotations[middlewaresAnnotation], *path.Backend.Service
			all = append(all, t)
		}
	}
	return all
}

// covers reports whether whatever is asked for the path of another one, on its
// host or one that includes it, is asked for this one too. Of one address it is
// not: that is address-twice.
func (t traefikPath) covers(other traefikPath) bool {
	if t.exact && !other.exact || t.host == other.host && t.path == other.path && t.exact == other.exact {
		return false
	}
	return t.path == other.path || !t.exact && strings.HasPrefix(other.path, t.path)
}

// priority is the one that is stated, or the length of the rule.
func (t traefikPath) priority() int {
	if n, err := strconv.Atoi(strings.TrimSpace(t.of.GetAnnotations()[priorityAnnotation])); err == nil && n != 0 {
		return n
	}
	return len(t.rule())
}

// rule is the rule that Traefik makes of a path.
func (t traefikPath) rule() string {
	var parts []string
	if domain, ok := strings.CutPrefix(t.host, "*"); ok {
		parts = append(parts, fmt.Sprintf("HostRegexp(%q)", "^[a-zA-Z0-9-]+"+regexp.QuoteMeta(domain)+"$"))
	} else if t.host != "" {
		parts = append(parts, fmt.Sprintf("Host(%q)", t.host))
	}
	if t.path != "" {
		matcher := "PathPrefix"
		if t.exact {
			matcher = "Path"
		}
		parts = append(parts, fmt.Sprintf("%s(%q)", matcher, t.path))
	}
	return strings.Join(parts, " && ")
}

// byTraefik reports whether Traefik of k3s serves an Ingress: one of its class,
// or of none, since its class is the default there.
func byTraefik(o *Object) bool {
	class := classOf(o)
	return class == "" || class == "traefik"
}

// meet reports whether two Ingresses, or two IngressRoutes, are served by one
// controller and on one entry point: one for plain HTTP and one for HTTPS may
// have the same address.
func meet(a, b *Object) bool {
	if classOf(a) != classOf(b) && !(byTraefik(a) && byTraefik(b)) {
		return false
	}
	one, _ := entryPointsOf(a)
	two, _ := entryPointsOf(b)
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
