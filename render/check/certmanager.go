package check

import (
	"fmt"
	"slices"
	"strings"

	networkingv1 "k8s.io/api/networking/v1"

	"git.lastcloud.io/ronnibaslund/dezky/fleet/render/object"
)

// The annotations by which cert-manager keeps the certificates of an Ingress.
const (
	issuerAnnotation        = "cert-manager.io/issuer"
	clusterIssuerAnnotation = "cert-manager.io/cluster-issuer"
)

// certManagerKeys is what cert-manager knows on an Ingress. (cert-manager
// documentation, 'Annotated Ingress resource', Supported Annotations.)
var certManagerKeys = []string{
	issuerAnnotation, clusterIssuerAnnotation, "cert-manager.io/issuer-kind", "cert-manager.io/issuer-group", "cert-manager.io/common-name", "cert-manager.io/alt-names",
	"cert-manager.io/duration", "cert-manager.io/renew-before", "cert-manager.io/renew-before-percentage", "cert-manager.io/usages", "cert-manager.io/revision-history-limit",
	"cert-manager.io/private-key-algorithm", "cert-manager.io/private-key-encoding", "cert-manager.io/private-key-size", "cert-manager.io/private-key-rotation-policy",
	"cert-manager.io/email-sans", "cert-manager.io/ip-sans", "cert-manager.io/uri-sans", "cert-manager.io/secret-template", "cert-manager.io/issue-temporary-certificate",
	"cert-manager.io/subject-organizations", "cert-manager.io/subject-organizationalunits", "cert-manager.io/subject-countries", "cert-manager.io/subject-provinces",
	"cert-manager.io/subject-localities", "cert-manager.io/subject-postalcodes", "cert-manager.io/subject-streetaddresses", "cert-manager.io/subject-serialnumber",
	"acme.cert-manager.io/http01-edit-in-place", "acme.cert-manager.io/http01-ingress-class", "acme.cert-manager.io/http01-ingress-ingressclassname",
}

func certManagerRules() []Rule {
	return []Rule{{
		ID:     "acme-edit-in-place",
		Doc:    "With this annotation cert-manager's solver stands behind the redirect to HTTPS, and certificates stop renewing.",
		Source: "cert-manager documentation, 'Annotated Ingress resource', Supported Annotations",
		Alone:  true,
		Run: func(p *Pass) {
			const key = "acme.cert-manager.io/http01-edit-in-place"
			for _, o := range p.Kind("networking.k8s.io", "Ingress") {
				// Whatever is not true is the default.
				if o.GetAnnotations()[key] == "true" {
					p.Report(o, "metadata.annotations["+key+"]", "puts the solver behind the redirect, and certificates stop renewing: leave it out", "")
				}
			}
		},
	}, {
		ID:       "cert-manager-annotation",
		Severity: object.Warning,
		Doc:      "cert-manager passes over an annotation that it does not know: where the issuer is meant, no certificate is ever issued.",
		Source:   "cert-manager documentation, 'Annotated Ingress resource', Supported Annotations",
		Alone:    true,
		Run: func(p *Pass) {
			for _, o := range p.Kind("networking.k8s.io", "Ingress") {
				annotations := o.GetAnnotations()
				for key := range annotations {
					if unknownCertManager(key) {
						for _, key := range sortedKeys(annotations) {
							if unknownCertManager(key) {
								p.Report(o, "metadata.annotations["+key+"]", "cert-manager knows no such annotation of an Ingress", near(key, certManagerKeys...))
							}
						}
						break
					}
				}
			}
		},
	}, {
		ID:     "certificate",
		Doc:    "A certificate that cert-manager cannot or will not issue: its host then answers with a certificate that no browser takes.",
		Source: "cert-manager, pkg/controller/certificate-shim/sync.go; Let's Encrypt documentation, 'Challenge Types': no wildcards by HTTP-01",
		Run: func(p *Pass) {
			for _, o := range p.Kind("networking.k8s.io", "Ingress") {
				if !managed(o) {
					continue
				}
				i := As[*networkingv1.Ingress](o)
				if i == nil {
					continue
				}
				annotations := o.GetAnnotations()
				if annotations[issuerAnnotation] != "" && annotations[clusterIssuerAnnotation] != "" {
					p.Report(o, "metadata.annotations", issuerAnnotation+" and "+clusterIssuerAnnotation+" are both stated, and cert-manager takes neither", "state one")
				}
				for k, tls := range i.Spec.TLS {
					at := func(field string) string { return fmt.Sprintf("spec.tls[%d].%s", k, field) }
					if len(tls.Hosts) == 0 {
						p.Report(o, at("hosts"), "is empty, and cert-manager issues nothing", "list the hosts")
					}
					if tls.SecretName == "" {
						p.Report(o, at("secretName"), "is empty, and cert-manager issues nothing", "name the Secret, each Ingress its own")
					}
					for _, host := range tls.Hosts {
						if strings.HasPrefix(host, "*.") && p.onlyHTTP01(issuerOf(o)) {
							p.Report(o, at("hosts"), host+noWildcard, "give the issuer a solver by DNS-01, or list the hosts")
						}
					}
				}
			}
			for _, o := range p.Kind(certManager, "Certificate") {
				names, _ := at(o.fields(), "spec", "dnsNames").([]any)
				for _, name := range names {
					if host, _ := name.(string); strings.HasPrefix(host, "*.") && p.onlyHTTP01(issuerOf(o)) {
						p.Report(o, "spec.dnsNames", host+noWildcard, "give the issuer a solver by DNS-01, or list the hosts")
					}
				}
			}
		},
	}, {
		ID:       "tls-host",
		Severity: object.Warning,
		Doc:      "A host of an Ingress or IngressRoute that no certificate covers answers HTTPS with Traefik's default certificate. Traefik takes a certificate for every host that it covers, whichever of them names its Secret. A host that stands in a certificate alone is answered by nobody.",
		Source:   "Kubernetes documentation, 'Ingress', TLS; Traefik, pkg/tls/certificate_store.go: GetBestCertificate",
		Run: func(p *Pass) {
			loaded := loadedCertificates(p)
			routeHosts(p, loaded)
			for _, o := range p.Kind("networking.k8s.io", "Ingress") {
				i := As[*networkingv1.Ingress](o)
				if i == nil {
					continue
				}
				if len(i.Spec.TLS) == 0 {
					if managed(o) {
						p.Report(o, "spec.tls", "is empty, so the issuer is asked for nothing", "list the hosts and name the Secret")
					}
					continue
				}
				served := func(name string) bool {
					return i.Spec.DefaultBackend != nil || slices.ContainsFunc(i.Spec.Rules, func(r networkingv1.IngressRule) bool {
						return r.Host == "" || covers(r.Host, name) || covers(name, r.Host)
					})
				}
				any := false // a certificate without a list covers what it says
				for k, tls := range i.Spec.TLS {
					any = any || len(tls.Hosts) == 0
					for _, name := range tls.Hosts {
						if !served(name) {
							p.Report(o, fmt.Sprintf("spec.tls[%d].hosts", k), name+" is in the certificate, and no rule serves it", "add a rule, or take it out")
						}
					}
				}
				for k, r := range i.Spec.Rules {
					if r.Host == "" && !any {
						p.Report(o, fmt.Sprintf("spec.rules[%d].host", k), "is empty: the rule answers every host, and the certificate is for "+strings.Join(i.Spec.TLS[0].Hosts, ", "), "name the host")
					}
					listed := slices.ContainsFunc(i.Spec.TLS, func(tls networkingv1.IngressTLS) bool {
						return slices.ContainsFunc(tls.Hosts, func(name string) bool { return covers(name, r.Host) })
					})
					if any || r.Host == "" || loaded.cover(r.Host) || listed && !byTraefik(o) {
						continue
					}
					problem, remedy := r.Host+" is in no certificate", "add it to spec.tls"
					if listed {
						problem, remedy = problem+", since its entry in spec.tls names no Secret", "name it"
					}
					p.Report(o, fmt.Sprintf("spec.rules[%d].host", k), problem, remedy)
				}
			}
		},
	}, {
		ID:     "tls-secret-twice",
		Doc:    "cert-manager names the Certificate of an Ingress after its TLS Secret: with a second Ingress of that name it refuses to update what it does not own. A Secret that cert-manager keeps for one Ingress, or that people fill in, may serve others.",
		Source: "cert-manager, pkg/controller/certificate-shim/sync.go",
		Run: func(p *Pass) {
			type secret struct{ namespace, name string }
			first := make(map[secret]*Object)
			use := func(o *Object, name string) {
				s := secret{o.ID.Namespace, name}
				if other := first[s]; other != nil && name != "" {
					p.Report(o, "", "uses the TLS Secret "+s.namespace+"/"+s.name+", and so does "+other.File+": "+other.ID.String(), "each needs its own")
					return
				}
				first[s] = o
			}
			for _, o := range p.Kind("cert-manager.io", "Certificate") {
				if name, ok := at(o.fields(), "spec", "secretName").(string); ok {
					use(o, name)
				}
			}
			for _, o := range p.Kind("networking.k8s.io", "Ingress") {
				if !managed(o) {
					continue
				}
				if i := As[*networkingv1.Ingress](o); i != nil {
					for k := range i.Spec.TLS {
						use(o, i.Spec.TLS[k].SecretName)
					}
				}
			}
		},
	}}
}

// managed reports whether cert-manager keeps the certificates of an Ingress.
func managed(o *Object) bool {
	annotations := o.GetAnnotations()
	return annotations[issuerAnnotation] != "" || annotations[clusterIssuerAnnotation] != ""
}

func unknownCertManager(key string) bool {
	return (strings.HasPrefix(key, "cert-manager.io/") || strings.HasPrefix(key, "acme.cert-manager.io/")) && !slices.Contains(certManagerKeys, key)
}

const noWildcard = " is a wildcard, and the issuer solves HTTP-01 alone, which gives none"

// issuerOf returns the issuer of an Ingress or Certificate.
func issuerOf(o *Object) object.ID {
	issuer := object.ID{Group: certManager, Kind: "Issuer", Namespace: o.ID.Namespace}
	cluster := object.ID{Group: certManager, Kind: "ClusterIssuer"}
	if o.ID.Kind == "Certificate" {
		issuer.Name, _ = at(o.fields(), "spec", "issuerRef", "name").(string)
		if kind := at(o.fields(), "spec", "issuerRef", "kind"); kind == "ClusterIssuer" {
			cluster.Name = issuer.Name
			return cluster
		}
		return issuer
	}
	if cluster.Name = o.GetAnnotations()[clusterIssuerAnnotation]; cluster.Name != "" {
		return cluster
	}
	issuer.Name = o.GetAnnotations()[issuerAnnotation]
	return issuer
}

// onlyHTTP01 reports whether an issuer is known, and has no solver but HTTP-01.
func (s *Set) onlyHTTP01(id object.ID) bool {
	issuer := s.Get(id)
	if issuer == nil {
		return false
	}
	solvers, _ := at(issuer.fields(), "spec", "acme", "solvers").([]any)
	for _, solver := range solvers {
		if fields, ok := solver.(map[string]any); !ok || fields["http01"] == nil {
			return false
		}
	}
	return len(solvers) > 0
}

// covers reports whether a name of a certificate is good for a host. A
// wildcard stands for one label.
func covers(name, host string) bool {
	if name == host {
		return true
	}
	rest, wildcard := strings.CutPrefix(name, "*.")
	if !wildcard {
		return false
	}
	_, parent, ok := strings.Cut(host, ".")
	return ok && parent == rest
}
