package consequence

import (
	"regexp"
	"slices"
	"strings"

	"k8s.io/apimachinery/pkg/runtime/schema"

	"git.lastcloud.io/ronnibaslund/dezky/fleet/render/object"
)

const (
	entryPointsAnnotation = "traefik.ingress.kubernetes.io/router.entrypoints"
	middlewaresAnnotation = "traefik.ingress.kubernetes.io/router.middlewares"
	tlsAnnotation         = "traefik.ingress.kubernetes.io/router.tls"
	classAnnotation       = "kubernetes.io/ingress.class"

	traefik = "traefik.io"
)

// issuers are the annotations that let cert-manager fill an Ingress's Secrets.
var issuers = []string{"cert-manager.io/cluster-issuer", "cert-manager.io/issuer"}

// router is what Traefik makes of an Ingress or IngressRoute.
type router struct {
	*Object
	// hosts that it answers at, each once.
	hosts []string
	// secrets are the TLS Secrets by the hosts that they are for, which may
	// begin with *.; of an IngressRoute one is for all.
	secrets map[string]string
	// resolved reports that Traefik has the certificates issued itself.
	resolved bool
	// tls is what makes it a router for HTTPS alone. Empty where it is none.
	tls string
	// entryPoints that it states.
	entryPoints []string
	// middlewares by the names that Traefik has for them, and by the route that
	// they stand in; of an Ingress there is one, without a name.
	middlewares map[string][]string
	// paths by their host. Of an IngressRoute there are none, since its rules
	// may ask for more than a path.
	paths map[string][]urlPath
	// backends are the ports of Services that it asks for.
	backends []backend
	// fields that state these.
	entryPointsField, middlewaresField, tlsField string
}

// urlPath is a path of a host: of all that begins so, or of itself alone.
type urlPath struct {
	text  string
	exact bool
}

// covers reports whether the path takes all requests of another one.
func (p urlPath) covers(other urlPath) bool {
	if p.exact {
		return p == other
	}
	return strings.HasPrefix(other.text, p.text)
}

// backend is a port of a Service that a router asks for.
type backend struct {
	service object.ID
	// port is a number or a name.
	port any
	// host whose requests go there. Empty where it is not one alone.
	host string
}

// hostCall finds the hosts in a rule of Traefik.
var hostCall, quoted = regexp.MustCompile(`\bHost\(([^)]*)\)`), regexp.MustCompile("[`\"]([^`\"]+)[`\"]")

func routerOf(o *Object) *router {
	r := &router{Object: o, secrets: make(map[string]string), middlewares: make(map[string][]string), paths: make(map[string][]urlPath)}
	annotation := func(name string) string { return text(o.Fields, "metadata", "annotations", name) }
	host := func(name string) {
		if name != "" && !slices.Contains(r.hosts, name) {
			r.hosts = append(r.hosts, name)
		}
	}
	switch o.ID.Group + "/" + o.ID.Kind {
	case "networking.k8s.io/Ingress":
		r.entryPointsField, r.middlewaresField, r.tlsField = "metadata.annotations["+entryPointsAnnotation+"]", "metadata.annotations["+middlewaresAnnotation+"]", "metadata.annotations["+tlsAnnotation+"]"
		r.entryPoints = listed(annotation(entryPointsAnnotation))
		r.middlewares[""] = listed(annotation(middlewaresAnnotation))
		if on := annotation(tlsAnnotation); on == "true" {
			r.tls = tlsAnnotation
		}
		r.resolved = annotation(tlsAnnotation+".certresolver") != ""
		for _, rule := range list(get(o.Fields, "spec", "rules")) {
			host(text(rule, "host"))
			for _, p := range list(get(rule, "http", "paths")) {
				r.ask(text(rule, "host"), fields(p, "backend", "service"))
				r.paths[text(rule, "host")] = append(r.paths[text(rule, "host")], urlPath{text(p, "path"), text(p, "pathType") == "Exact"})
			}
		}
		r.ask("", fields(o.Fields, "spec", "defaultBackend", "service"))
		for _, tls := range list(get(o.Fields, "spec", "tls")) {
			for _, host := range strs(tls["hosts"]) {
				r.secrets[host] = text(tls, "secretName")
			}
		}
	case "traefik.io/IngressRoute":
		r.entryPointsField, r.middlewaresField, r.tlsField = "spec.entryPoints", "spec.routes", "spec.tls"
		r.entryPoints = strs(get(o.Fields, "spec", "entryPoints"))
		tls := fields(o.Fields, "spec", "tls")
		if tls != nil {
			r.tls = "spec.tls"
		}
		r.resolved = text(tls, "certResolver") != ""
		for _, route := range list(get(o.Fields, "spec", "routes")) {
			match := text(route, "match")
			var hosts []string
			for _, call := range hostCall.FindAllStringSubmatch(match, -1) {
				for _, name := range quoted.FindAllStringSubmatch(call[1], -1) {
					host(name[1])
					hosts = append(hosts, name[1])
				}
			}
			if len(hosts) == 0 {
				hosts = []string{""}
			}
			chain := r.middlewares[match]
			for _, m := range list(route["middlewares"]) {
				chain = append(chain, middlewareName(o.ID.Namespace, m))
			}
			r.middlewares[match] = chain
			for _, service := range list(route["services"]) {
				for _, host := range hosts {
					r.ask(host, service)
				}
			}
		}
		if name := text(tls, "secretName"); name != "" {
			for _, host := range r.hosts {
				r.secrets[host] = name
			}
		}
	default:
		return nil
	}
	return r
}

// ask adds a Service and its port to what the router asks for.
func (r *router) ask(host string, service map[string]any) {
	if b, ok := backendOf(r.ID.Namespace, service); ok {
		b.host = host
		r.backends = append(r.backends, b)
	}
}

// backendOf reads a reference to a port of a Service, as Ingresses and the
// kinds of Traefik have it.
func backendOf(namespace string, service map[string]any) (backend, bool) {
	port := service["port"]
	if of, ok := port.(map[string]any); ok {
		port = or(of["number"], of["name"])
	}
	name := text(service, "name")
	if kind := text(service, "kind"); name == "" || port == nil || kind != "" && kind != "Service" {
		return backend{}, false
	}
	if other := text(service, "namespace"); other != "" {
		namespace = other
	}
	return backend{service: object.ID{Kind: "Service", Namespace: namespace, Name: name}, port: port}, true
}

// middlewareName is the name that Traefik has for a Middleware which an object
// of its own kinds refers to.
func middlewareName(namespace string, ref map[string]any) string {
	name := text(ref, "name")
	if strings.Contains(name, "@") {
		return name
	}
	if other := text(ref, "namespace"); other != "" {
		namespace = other
	}
	return namespace + "-" + name + "@kubernetescrd"
}

// listed are the elements of a list with commas between.
func listed(s string) []string {
	var all []string
	for e := range strings.SplitSeq(s, ",") {
		if e = strings.TrimSpace(e); e != "" {
			all = append(all, e)
		}
	}
	return all
}

// chain returns the middlewares of all routes, each once.
func (r *router) chain() []string {
	var all []string
	for _, match := range sorted(r.middlewares) {
		for _, name := range r.middlewares[match] {
			if !slices.Contains(all, name) {
				all = append(all, name)
			}
		}
	}
	return all
}

// secret returns the TLS Secret that the router has for a host.
func (r *router) secret(host string) string {
	if name := r.secrets[host]; name != "" {
		return name
	}
	_, domain, _ := strings.Cut(host, ".")
	return r.secrets["*."+domain]
}

// plain reports whether the router is at an entry point for plain HTTP: at any
// but websecure, which has TLS of its own on k3s.
func (r *router) plain() bool {
	return len(r.entryPoints) == 0 || slices.ContainsFunc(r.entryPoints, func(name string) bool { return name != "websecure" })
}

// routers returns the routers of a set, ordered by identity.
func (s *set) routers() []*router {
	if s.read == nil {
		s.read = []*router{}
		for _, kind := range []schema.GroupKind{{Group: "networking.k8s.io", Kind: "Ingress"}, {Group: traefik, Kind: "IngressRoute"}} {
			for _, id := range s.byKind[kind] {
				s.read = append(s.read, routerOf(s.byID[id]))
			}
		}
		slices.SortFunc(s.read, func(a, b *router) int { return a.ID.Compare(b.ID) })
	}
	return s.read
}

// hosts returns the routers of each host.
func (s *set) hosts() map[string][]*router {
	all := make(map[string][]*router)
	for _, r := range s.routers() {
		for _, host := range r.hosts {
			all[host] = append(all[host], r)
		}
	}
	return all
}

// middlewares returns the Middlewares of a set by the name that Traefik has for
// them.
func (s *set) middlewares() map[string]object.ID {
	all := make(map[string]object.ID)
	s.kind(traefik, "Middleware", func(o *Object) {
		all[o.ID.Namespace+"-"+o.ID.Name+"@kubernetescrd"] = o.ID
	})
	return all
}

// routers calls do for each router that stays.
func (p *pass) routers(do func(was, is *router)) {
	before := make(map[object.ID]*router)
	for _, r := range p.Was.routers() {
		before[r.ID] = r
	}
	for _, is := range p.Is.routers() {
		if was := before[is.ID]; was != nil {
			do(was, is)
		}
	}
}

func routeRules() []Rule {
	return []Rule{{
		ID:     "host",
		Doc:    "A host, or a path of an Ingress, that no router has any more answers 404. One that moves to another has two equal routers or none for a moment, depending on which change comes first.",
		Source: "Traefik, pkg/muxer/http: equal rules have equal priority, and either wins",
		run: func(p *pass) {
			was, is := p.Was.hosts(), p.Is.hosts()
			for _, host := range sorted(was) {
				from, to := was[host], is[host]
				if slices.ContainsFunc(from, func(r *router) bool {
					return slices.ContainsFunc(to, func(other *router) bool { return r.ID == other.ID })
				}) {
					if gone := pathsGone(host, from, to); len(gone) > 0 {
						p.report(Down, from[0].ID, from[0].hostField(host), "no router takes all of "+strings.Join(gone, ", ")+" any more: the rest answers 404", "Keep the path as long as somebody asks for it")
					}
					continue
				}
				if len(to) == 0 {
					p.report(Down, from[0].ID, from[0].hostField(host), "nothing serves "+host+" any more: it answers 404", "Take its DNS record and the links to it away as well, or keep the host")
					continue
				}
				p.report(Down, to[0].ID, to[0].hostField(host), host+" moves here from "+from[0].ID.String()+": it answers 404 if the old one goes first",
					"Let both have the host for one release where both serve the same, then take it from the old one")
			}
		},
	}, {
		ID:     "certificate",
		Doc:    "A host whose TLS Secret is another one has Traefik's default certificate, which no browser takes, until cert-manager has filled it.",
		Source: "cert-manager, pkg/controller/certificate-shim; Traefik, pkg/provider/kubernetes/ingress: getCertificates",
		run: func(p *pass) {
			was, is := p.Was.hosts(), p.Is.hosts()
			filled := make(map[object.ID][]*router) // by the Secret
			for _, r := range p.Was.routers() {
				for _, name := range r.secrets {
					filled[r.secretID(name)] = append(filled[r.secretID(name)], r)
				}
			}
			for _, host := range sorted(is) {
				has := func(r *router) bool { return r.secret(host) != "" }
				if !slices.ContainsFunc(was[host], has) || slices.ContainsFunc(is[host], func(r *router) bool { return r.resolved }) {
					continue // it is new, had none before, or Traefik gets one itself
				}
				i := slices.IndexFunc(is[host], has)
				if i < 0 {
					to := is[host][0]
					p.report(Down, to.ID, "spec.tls", host+" has no certificate of its own any more: browsers refuse it", "Keep the host and its Secret below spec.tls")
					continue
				}
				to := is[host][i]
				name := to.secret(host)
				secret := to.secretID(name)
				of := func(r *router) bool { return r.secretID(r.secret(host)) == secret }
				if slices.ContainsFunc(filled[secret], of) || p.Was.byID[secret] != nil && filled[secret] == nil {
					continue
				}
				do := "Keep the name of the Secret, or issue it first with a Certificate of that secretName"
				if filled[secret] != nil {
					do = "Give the host a Secret of its own, issued first with a Certificate of that secretName"
				}
				if !slices.ContainsFunc(issuers, func(a string) bool { return text(to.Fields, "metadata", "annotations", a) != "" }) {
					do = "Fill the Secret first: no annotation lets cert-manager do it"
				}
				p.report(Down, to.ID, "spec.tls["+name+"]", "the certificate of "+host+" is issued anew: browsers refuse the host until it is; how long its issuer takes is not known", do)
			}
		},
	}, {
		ID: "router-tls",
		Doc: "A router with TLS answers HTTPS alone, one without plain HTTP alone, unless its entry point has TLS of its own, as websecure of k3s has. " +
			"So TLS that comes takes plain HTTP away, and TLS that goes lets plain HTTP in where the entry points do not rule it out.",
		Source: "Traefik documentation, 'HTTP Routers', TLS; pkg/server/aggregator.go: applyModel; the values of k3s' Traefik chart",
		run: func(p *pass) {
			at := p.Is.hosts()
			p.routers(func(was, is *router) {
				beside := func(host string) bool {
					return slices.ContainsFunc(at[host], func(r *router) bool { return r.tls == "" && r.plain() })
				}
				switch {
				case !is.plain():
				case was.tls == "" && is.tls != "" && !(len(is.hosts) > 0 && all(is.hosts, beside)):
					p.report(Down, is.ID, is.tlsField, "it answers HTTPS alone from then on: plain HTTP at its hosts gets 404, the redirect to HTTPS too", "Give plain HTTP a router of its own, at the entry point web, and this one websecure")
				case was.tls != "" && is.tls == "":
					p.report(Weaker, is.ID, is.tlsField, "it answers plain HTTP from then on, and HTTPS only at an entry point that has TLS of its own, as websecure of k3s has", "Keep it, or redirect plain HTTP to HTTPS")
				}
			})
		},
	}, {
		ID:     "ingress-class",
		Doc:    "An Ingress of another class is served by another controller, or by none.",
		Source: "Traefik, pkg/provider/kubernetes/ingress: shouldProcessIngress",
		run: func(p *pass) {
			p.routers(func(before, now *router) {
				class := func(o *router) string {
					return text(map[string]any{"c": or(get(o.Fields, "spec", "ingressClassName"), get(o.Fields, "metadata", "annotations", classAnnotation))}, "c")
				}
				if was, is := class(before), class(now); was != is {
					name := is
					if name == "" {
						name = "the default one"
					}
					p.report(Down, now.ID, "spec.ingressClassName", "the class becomes "+name+": its hosts answer 404 until that controller serves them", "Serve the hosts with both controllers for a while, by an Ingress of each class, and move the DNS records between")
				}
			})
		},
	}, {
		ID:     "entry-points",
		Doc:    "A router answers at its entry points only: one that goes takes the port with it. Without the annotation it is at all that are the default.",
		Source: "Traefik documentation, 'Kubernetes Ingress', router.entrypoints",
		run: func(p *pass) {
			p.routers(func(before, now *router) {
				was, is := before.entryPoints, now.entryPoints
				if len(is) == 0 {
					return
				}
				if len(was) == 0 {
					was = []string{"web", "websecure"} // of k3s
				}
				for _, name := range was {
					if !slices.Contains(is, name) {
						p.report(Down, now.ID, now.entryPointsField, "the entry point "+name+" goes: what calls it there gets 404", "Keep it in the list; web is what redirects to HTTPS")
					}
				}
			})
		},
	}, {
		ID:     "middleware",
		Doc:    "Traefik leaves a router out whose middleware is not there: its hosts answer 404, or a router with a shorter rule takes their requests.",
		Source: "Traefik, pkg/server/router: a router whose chain cannot be built is left out",
		run: func(p *pass) {
			was, is := p.Was.middlewares(), p.Is.middlewares()
			p.routers(func(_, now *router) {
				var gone, early, shut []string
				for _, name := range now.chain() {
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
						p.report(s, now.ID, now.middlewaresField, "it names "+what+" ("+strings.Join(names, ", ")+"): "+why, do)
					}
				}
				say(Down, gone, "what goes", "the router is left out, and its hosts answer 404", "Keep the Middleware, or take it out of the router first")
				say(Down, shut, "what is new, and what who deploys may not apply", "the hosts answer 404 until it is there", "Let an admin apply the rights first, then the Middleware before the Ingress")
				say(First, early, "what is new", "the hosts answer 404 until it is there", "Apply the Middleware before the Ingress: a deploy does")
			})
		},
	}}
}

// pathsGone returns the paths of a host, with the host before them, that no
// router has any more. Nothing is known where an IngressRoute has the host.
func pathsGone(host string, from, to []*router) []string {
	var gone []string
	for _, r := range from {
		for _, old := range r.paths[host] {
			served := slices.ContainsFunc(to, func(now *router) bool {
				return now.ID.Kind != "Ingress" || slices.ContainsFunc(now.paths[host], func(p urlPath) bool { return p.covers(old) })
			})
			if name := host + old.text; !served && !slices.Contains(gone, name) {
				gone = append(gone, name)
			}
		}
	}
	return gone
}

// hostField is the field that states a host.
func (r *router) hostField(host string) string {
	if r.ID.Kind == "Ingress" {
		return "spec.rules[" + host + "]"
	}
	return "spec.routes"
}

func (r *router) secretID(name string) object.ID {
	return object.ID{Kind: "Secret", Namespace: r.ID.Namespace, Name: name}
}

// mayApply reports whether no deployer of the namespace lacks the right to
// make an object of that kind.
func (p *pass) mayApply(id object.ID) bool {
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
