// Package plain is one app written twice, with the components and with the
// structs of k8s.io/api alone. Its test holds the two together, so what the
// components save is a count and no claim.
package plain

import (
	"git.lastcloud.io/ronnibaslund/dezky/fleet/components"
	"git.lastcloud.io/ronnibaslund/dezky/fleet/components/secret"
	"git.lastcloud.io/ronnibaslund/dezky/fleet/render/object"
)

func library() []object.Component {
	keys := secret.Contract{Name: "shop-secrets", Namespace: "shop", Keys: []secret.Key{{Name: "API_KEY", Purpose: "Calls the warehouse"}}}
	web := components.WebApp{
		Name: "web", Namespace: "shop", Image: "registry.example.com/shop/web:v1",
		Port: 3000, Replicas: 2,
		Env:       map[string]string{"STAGE": "production"},
		SecretEnv: keys.Env(),
		Probes:    components.Probes{Startup: "/live", Readiness: "/ready", Liveness: "/live"},
		Network:   &components.Network{From: []components.Peer{{Namespace: "kube-system"}}},
	}
	return []object.Component{web, components.TLSIngress{
		Host: "shop.example.com", Backend: web, Issuer: "letsencrypt",
		Redirect: components.MiddlewareRef{Namespace: "shop", Name: "redirect-https"},
	}}
}
