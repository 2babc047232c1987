package check

import (
	networkingv1 "k8s.io/api/networking/v1"
)

func certManagerRules() []Rule {
	return []Rule{{
		ID:     "acme-edit-in-place",
		Doc:    "With this annotation cert-manager's solver stands behind the redirect to HTTPS, and certificates stop renewing.",
		Source: "cert-manager documentation, 'Annotated Ingress resource', Supported Annotations",
		Run: func(p *Pass) {
			p.forbid(map[string]string{"acme.cert-manager.io/http01-edit-in-place": "puts the solver behind the redirect, and certificates stop renewing: leave it out"})
		},
	}, {
		ID:     "tls-secret-twice",
		Doc:    "cert-manager names the Certificate of an Ingress after its TLS Secret: with a second Ingress of that name it refuses to update what it does not own.",
		Source: "cert-manager, pkg/controller/certificate-shim/sync.go",
		Run: func(p *Pass) {
			type secret struct{ namespace, name string }
			first := make(map[secret]*Object)
			for _, o := range p.Kind("networking.k8s.io", "Ingress") {
				i := As[*networkingv1.Ingress](o)
				if i == nil {
					continue
				}
				for _, tls := range i.Spec.TLS {
					s := secret{o.ID.Namespace, tls.SecretName}
					if other := first[s]; other != nil && s.name != "" {
						p.Report(o, "", "uses the TLS Secret "+s.namespace+"/"+s.name+", and so does "+other.File+": "+other.ID.String(), "each needs its own")
						continue
					}
					first[s] = o
				}
			}
		},
	}}
}
