package apps

import (
	corev1 "k8s.io/api/core/v1"

	"git.lastcloud.io/ronnibaslund/dezky/fleet/render/check"
	"git.lastcloud.io/ronnibaslund/dezky/fleet/render/object"
)

// ingressClass is the class by which k3s' own Traefik finds its Ingresses.
const ingressClass = "traefik"

// elsewhere is what the manifests of an environment may refer to, and others
// make: the cluster, and the neighbours. OCIS is pending: nothing calls it before it
// is there.
func (e Environment) elsewhere() []check.Elsewhere {
	list := []check.Elsewhere{
		{ID: object.ID{Group: "networking.k8s.io", Kind: "IngressClass", Name: ingressClass}},
		{ID: object.ID{Group: "cert-manager.io", Kind: "ClusterIssuer", Name: e.Issuer}},
	}
	for _, n := range neighbours() {
		list = append(list, check.Elsewhere{
			ID:    object.ID{Kind: "Service", Namespace: n.namespace, Name: n.name},
			Ports: []corev1.ServicePort{{Port: n.port}},
		})
	}
	return list
}

// Elsewhere returns what the manifests of any environment may refer to, and
// others make.
func Elsewhere() []check.Elsewhere {
	var all []check.Elsewhere
	for _, e := range Environments() {
		all = append(all, e.elsewhere()...)
	}
	return all
}
