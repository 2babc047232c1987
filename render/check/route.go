package check

import (
	"fmt"
	"maps"
	"regexp"
	"slices"
	"strings"

	corev1 "k8s.io/api/core/v1"
	networkingv1 "k8s.io/api/networking/v1"

	"git.lastcloud.io/ronnibaslund/dezky/fleet/render/object"
)

// What Traefik demands of its own kinds beside what their definitions say.

func routeRules() []Rule {
	return []Rule{{
		ID:     "traefik-rule",
		Doc:    "Traefik leaves out a route whose rule it cannot read, or whose Service has no port: its host answers 404.",
		Source: "Traefik, pkg/rules/parser.go, pkg/muxer/http/matcher.go: httpFuncs, and pkg/provider/kubernetes/crd: getServicePort",
		Run: func(p *Pass) {
			parents := parentRoutes(p)
			for _, o := range p.Kind(traefik, "IngressRoute") {
				routes, _ := at(o.fields(), "spec", "routes").([]any)
				if len(routes) == 0 {
					p.Report(o, "spec.routes", "is empty", "give a route")
				}
				for i, r := range routes {
					route, _ := r.(map[string]any)
					at := fmt.Sprintf("spec.routes[%d].", i)
					match, _ := route["match"].(string)
					if syntax, _ := route["syntax"].(string); syntax != "v2" {
						if problem, remedy := unreadable(match); problem != "" {
							p.Report(o, at+"match", problem, remedy)
						}
					}
					middlewares, _ := route["middlewares"].([]any)
					for k, m := range middlewares {
						middleware, _ := m.(map[string]any)
						if name, ok := middleware["name"].(string); ok && name == "" {
							p.Report(o, fmt.Sprintf("%smiddlewares[%d].name", at, k), "is empty", "name the Middleware")
						}
					}
					services, _ := route["services"].([]any)
					if len(services) == 0 && !parents[o.ID] {
						p.Report(o, at+"services", "is empty: the route leads nowhere", "name a Service and its port")
					}
					for k, s := range services {
						service, _ := s.(map[string]any)
						if name, ok := service["name"].(string); ok && name == "" {
							p.Report(o, fmt.Sprintf("%sservices[%d].name", at, k), "is empty", "name the Service")
						}
						if kind, _ := service["kind"].(string); kind != "TraefikService" && service["port"] == nil {
							p.Report(o, fmt.Sprintf("%sservices[%d].port", at, k), "is empty, and Traefik leaves the route out", "name the port of the Service")
						}
					}
				}
			}
			for _, o := range p.Kind(traefik, "IngressRouteTCP") {
				routes, _ := at(o.fields(), "spec", "routes").([]any)
				for i, r := range routes {
					route, _ := r.(map[string]any)
					if match, ok := route["match"].(string); ok && match == "" {
						p.Report(o, fmt.Sprintf("spec.routes[%d].match", i), "is empty", "such as HostSNI(`app.example.com`)")
					}
				}
			}
		},
	}, {
		ID:       "traefik-disallowed",
		Severity: object.Warning,
		Doc:      "Traefik as k3s runs it leaves out a route that leads to a Service of type ExternalName, and a route of its own kinds that names a Service, Middleware, TLSOption or parent of another namespace, or a Middleware or ServersTransport as NAMESPACE-NAME@kubernetescrd: its host answers 404. An Ingress and the chain of a Middleware may name Middlewares of another namespace.",
		Source:   "Traefik, pkg/provider/kubernetes/crd/kubernetes_http.go: isNamespaceAllowed, allowExternalNameServices; the values of Traefik's chart, which sets allowCrossNamespace and allowExternalNameServices to false",
		Run: func(p *Pass) {
			isExternal := func(o *Object) bool {
				service := As[*corev1.Service](o)
				return service != nil && service.Spec.Type == corev1.ServiceTypeExternalName
			}
			some := slices.ContainsFunc(p.Kind("", "Service"), isExternal)
			external := func(o *Object, r *reference) {
				if to := p.get(r.to); to != nil && r.to.Kind == "Service" && isExternal(to) {
					p.Report(o, r.at.String(), r.to.String()+" is of type ExternalName, and k3s' Traefik leaves the route out", "waive this where yours has allowExternalNameServices")
				}
			}
			for _, o := range p.Kind("networking.k8s.io", "Ingress") {
				if i := As[*networkingv1.Ingress](o); some && i != nil && byTraefik(o) {
					r := reference{from: o}
					r.ingress(i, func(r *reference) { external(o, r) })
				}
			}
			for _, kind := range []string{"IngressRoute", "IngressRouteTCP", "IngressRouteUDP", "TraefikService"} {
				for _, o := range p.Kind(traefik, kind) {
					r := reference{from: o}
					r.table(p.Set, func(r *reference) {
						switch {
						case strings.HasSuffix(r.to.Name, "@kubernetescrd"):
							p.Report(o, r.at.String(), "names "+r.to.Name+", and k3s' Traefik leaves such a route out", "give its name and its namespace")
						case r.to.Namespace != o.ID.Namespace:
							p.Report(o, r.at.String(), r.to.String()+" is in another namespace, and k3s' Traefik leaves the route out", "put both into one namespace; waive this where yours has allowCrossNamespace")
						}
						external(o, r)
					})
				}
			}
		},
	}, {
		ID:     "middleware",
		Doc:    "Traefik drops each router whose middleware says nothing, or two things at once, or redirects without a scheme: its host answers 404. One that redirects to a scheme that is none leads nowhere.",
		Source: "Traefik, pkg/server/middleware/middlewares.go: buildConstructor; pkg/middlewares/redirect and pkg/middlewares/headers",
		Run: func(p *Pass) {
			for _, o := range p.Kind(traefik, "Middleware") {
				spec, _ := at(o.fields(), "spec").(map[string]any)
				var types []string
				for _, name := range slices.Sorted(maps.Keys(spec)) {
					if spec[name] != nil {
						types = append(types, name)
					}
				}
				switch len(types) {
				case 0:
					p.Report(o, "spec", "says nothing, and Traefik drops each router that has the middleware", "say what it does, such as redirectScheme")
					continue
				case 1:
				default:
					p.Report(o, "spec", "has "+strings.Join(types, " and ")+", and Traefik drops each router that has the middleware", "make it one middleware for each")
				}
				if r, ok := spec["redirectScheme"].(map[string]any); ok {
					if scheme, _ := r["scheme"].(string); !slices.Contains([]string{"http", "https", "ws", "wss"}, scheme) {
						p.Report(o, "spec.redirectScheme.scheme", fmt.Sprintf("%q: must be http or https", scheme), "")
					}
				}
				if h, ok := spec["headers"].(map[string]any); ok && len(h) == 0 {
					p.Report(o, "spec.headers", "is empty, and Traefik drops each router that has the middleware", "state a header")
				}
			}
		},
	}}
}

// hostOf finds the hosts that a rule of Traefik asks for.
var hostOf = regexp.MustCompile("\\bHost\\(`([^`]+)`\\)")

// certificateNames are names that certificates have, which may begin with a
// star.
type certificateNames map[string]bool

func (c certificateNames) cover(host string) bool {
	_, parent, _ := strings.Cut(host, ".")
	return c[host] || c["*."+parent]
}

// secretName is a Secret by its namespace and name.
type secretName struct{ namespace, name string }

// issuedCertificates are the names of cert-manager's Certificates, by their
// Secrets.
func issuedCertificates(p *Pass) map[secretName][]string {
	all := make(map[secretName][]string)
	for _, o := range p.Kind(certManager, "Certificate") {
		names, _ := at(o.fields(), "spec", "dnsNames").([]any)
		name, _ := at(o.fields(), "spec", "secretName").(string)
		for _, n := range names {
			if host, ok := n.(string); ok {
				all[secretName{o.ID.Namespace, name}] = append(all[secretName{o.ID.Namespace, name}], host)
			}
		}
	}
	return all
}

// loadedCertificates are the names of all certificates that Traefik has, since
// an Ingress, an IngressRoute or a TLSStore names their Secrets.
func loadedCertificates(p *Pass) certificateNames {
	loaded := make(certificateNames)
	for _, o := range p.Kind("networking.k8s.io", "Ingress") {
		if i := As[*networkingv1.Ingress](o); i != nil && byTraefik(o) {
			for _, tls := range i.Spec.TLS {
				for _, name := range tls.Hosts {
					loaded[name] = loaded[name] || tls.SecretName != ""
				}
			}
		}
	}
	issued := issuedCertificates(p)
	load := func(o *Object, secret any) {
		name, _ := secret.(string)
		for _, host := range issued[secretName{o.ID.Namespace, name}] {
			loaded[host] = true
		}
	}
	for _, o := range p.Kind(traefik, "IngressRoute") {
		load(o, at(o.fields(), "spec", "tls", "secretName"))
	}
	for _, o := range p.Kind(traefik, "TLSStore") {
		load(o, at(o.fields(), "spec", "defaultCertificate", "secretName"))
		list, _ := at(o.fields(), "spec", "certificates").([]any)
		for _, c := range list {
			certificate, _ := c.(map[string]any)
			load(o, certificate["secretName"])
		}
	}
	return loaded
}

// routeHosts reports hosts of IngressRoutes that no certificate covers, as far
// as theirs are under check.
func routeHosts(p *Pass, loaded certificateNames) {
	issued := issuedCertificates(p)
	for _, o := range p.Kind(traefik, "IngressRoute") {
		tls, _ := at(o.fields(), "spec", "tls").(map[string]any)
		name, _ := tls["secretName"].(string)
		routes, _ := at(o.fields(), "spec", "routes").([]any)
		for i, r := range routes {
			match, _ := at(map[string]any{"route": r}, "route", "match").(string)
			for _, m := range hostOf.FindAllStringSubmatch(match, -1) {
				host := m[1]
				if loaded.cover(host) {
					continue
				}
				if names := issued[secretName{o.ID.Namespace, name}]; name != "" && names != nil {
					p.Report(o, fmt.Sprintf("spec.routes[%d].match", i), host+" is not in the certificate of "+name, "its hosts are "+strings.Join(names, ", "))
				}
				if name != "" || tls["certResolver"] != nil {
					continue
				}
				for _, c := range p.Kind(certManager, "Certificate") {
					kept, _ := at(c.fields(), "spec", "secretName").(string)
					if c.ID.Namespace == o.ID.Namespace && slices.ContainsFunc(issued[secretName{c.ID.Namespace, kept}], func(name string) bool { return covers(name, host) }) {
						p.Report(o, "spec.tls.secretName", c.ID.String()+" is for "+host+", and the route does not use it", "name its Secret, "+kept)
					}
				}
			}
		}
	}
}

// parentRoutes returns the IngressRoutes that others name as their parents:
// these lead to their children, and need no Service (Traefik documentation,
// 'Multi-Layer Routing').
func parentRoutes(p *Pass) map[object.ID]bool {
	parents := make(map[object.ID]bool)
	for _, o := range p.Kind(traefik, "IngressRoute") {
		refs, _ := at(o.fields(), "spec", "parentRefs").([]any)
		for _, r := range refs {
			ref, _ := r.(map[string]any)
			id := object.ID{Group: traefik, Kind: "IngressRoute", Namespace: o.ID.Namespace}
			id.Name, _ = ref["name"].(string)
			if namespace, _ := ref["namespace"].(string); namespace != "" {
				id.Namespace = namespace
			}
			parents[id] = true
		}
	}
	return parents
}

// issuerTypes are what an issuer of cert-manager can be.
var issuerTypes = []string{"acme", "ca", "selfSigned", "vault", "venafi"}

func issuerRules() []Rule {
	return []Rule{{
		ID:     "issuer",
		Doc:    "An issuer of cert-manager that does not say who issues, or how it proves that a host is one's own, is never ready, and a certificate that names no host is refused: what needs the certificate is never reached by HTTPS.",
		Source: "cert-manager, internal/apis/certmanager/validation: ValidateIssuer, ValidateACMEIssuerConfig, ValidateCertificateSpec",
		Run: func(p *Pass) {
			for _, kind := range []string{"Issuer", "ClusterIssuer"} {
				for _, o := range p.Kind(certManager, kind) {
					issuer(p, o)
				}
			}
			for _, o := range p.Kind(certManager, "Certificate") {
				spec, _ := at(o.fields(), "spec").(map[string]any)
				named := false
				for _, field := range []string{"dnsNames", "ipAddresses", "uris", "emailAddresses", "otherNames"} {
					list, _ := spec[field].([]any)
					named = named || len(list) > 0
				}
				for _, field := range []string{"commonName", "literalSubject"} {
					text, _ := spec[field].(string)
					named = named || text != ""
				}
				if !named {
					p.Report(o, "spec.dnsNames", "is empty", "list the hosts")
				}
				names, _ := spec["dnsNames"].([]any)
				for i, n := range names {
					if name, ok := n.(string); ok && !dnsName(strings.TrimPrefix(name, "*.")) {
						p.Report(o, fmt.Sprintf("spec.dnsNames[%d]", i), fmt.Sprintf("%q: must be the name of a host", name), "")
					}
				}
				ref, _ := spec["issuerRef"].(map[string]any)
				group, _ := ref["group"].(string)
				issuer, _ := ref["kind"].(string)
				if (group == "" || group == certManager) && issuer != "" && issuer != "Issuer" && issuer != "ClusterIssuer" {
					p.Report(o, "spec.issuerRef.kind", fmt.Sprintf("%q: must be Issuer or ClusterIssuer", issuer), "")
				}
				if name, ok := ref["name"].(string); ok && name == "" {
					p.Report(o, "spec.issuerRef.name", "is empty", "name the issuer")
				}
			}
		},
	}}
}

func issuer(p *Pass, o *Object) {
	spec, _ := at(o.fields(), "spec").(map[string]any)
	var types []string
	for _, name := range issuerTypes {
		if spec[name] != nil {
			types = append(types, name)
		}
	}
	if len(types) != 1 {
		p.Report(o, "spec", fmt.Sprintf("names %d kinds of issuer", len(types)), "it is one of "+strings.Join(issuerTypes, ", "))
	}
	acme, ok := spec["acme"].(map[string]any)
	if !ok {
		return
	}
	if server, ok := acme["server"].(string); ok && !strings.HasPrefix(server, "https://") {
		p.Report(o, "spec.acme.server", fmt.Sprintf("%q: must be an address such as https://acme-v02.api.letsencrypt.org/directory", server), "")
	}
	if ref, ok := acme["privateKeySecretRef"].(map[string]any); ok {
		if name, ok := ref["name"].(string); ok && !dnsName(name) {
			p.Report(o, "spec.acme.privateKeySecretRef.name", fmt.Sprintf("%q: must be the name of a Secret", name), "")
		}
	}
	solvers, _ := acme["solvers"].([]any)
	if len(solvers) == 0 {
		p.Report(o, "spec.acme.solvers", "is empty: no host can be proved", "give one, such as http01")
	}
	for i, s := range solvers {
		solver, _ := s.(map[string]any)
		at := fmt.Sprintf("spec.acme.solvers[%d]", i)
		if (solver["http01"] == nil) == (solver["dns01"] == nil) {
			p.Report(o, at, "must have http01 or dns01, one of the two", "")
		}
		if http, ok := solver["http01"].(map[string]any); ok && http["ingress"] == nil && http["gatewayHTTPRoute"] == nil {
			p.Report(o, at+".http01", "says not how requests reach the solver", "such as ingress: {ingressClassName: traefik}")
		}
		if dns, ok := solver["dns01"].(map[string]any); ok && len(dns) == 0 {
			p.Report(o, at+".dns01", "names no provider", "")
		}
	}
}

// entryPointsOf returns the entry points that an Ingress or IngressRoute
// states, and the field that states them.
func entryPointsOf(o *Object) (names []string, field string) {
	if o.ID.Kind != "IngressRoute" {
		return entryPoints(o.GetAnnotations()), "metadata.annotations[" + entryPointsAnnotation + "]"
	}
	list, _ := at(o.fields(), "spec", "entryPoints").([]any)
	for _, n := range list {
		if name, ok := n.(string); ok {
			names = append(names, name)
		}
	}
	return names, "spec.entryPoints"
}
