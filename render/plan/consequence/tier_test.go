package consequence_test

import (
	"fmt"
	"strings"
	"testing"

	"git.lastcloud.io/ronnibaslund/dezky/fleet/render/plan/consequence"
)

// tier is a web app that calls an api, with a store, a sign-in and what shuts
// the api.
const tier = `
apiVersion: apps/v1
kind: Deployment
metadata: {name: web, namespace: shop}
spec:
  replicas: 2
  selector: {matchLabels: {app: web}}
  template:
    metadata: {labels: {app: web}}
    spec:
      containers:
      - name: web
        env:
        - {name: API_URL, value: "http://api:80"}
        - {name: NUXT_PUBLIC_URL, value: "https://www.example.com"}
        - {name: NUXT_OIDC_TOKEN_URL, value: "https://id.example.com/token"}
        - {name: NUXT_OIDC_SECRET, valueFrom: {secretKeyRef: {name: s, key: A}}}
        - {name: SESSION_REDIS_URL, valueFrom: {secretKeyRef: {name: s, key: B}}}
        - {name: MAIL_URL, value: "https://mail.example.org"}
---
apiVersion: apps/v1
kind: Deployment
metadata: {name: api, namespace: shop}
spec:
  selector: {matchLabels: {app: api}}
  template: {metadata: {labels: {app: api}}, spec: {containers: [{name: api}]}}
---
apiVersion: v1
kind: Service
metadata: {name: api, namespace: shop}
spec: {selector: {app: api}, ports: [{port: 80}]}
---
apiVersion: v1
kind: Service
metadata: {name: web, namespace: shop}
spec: {selector: {app: web}, ports: [{port: 80}]}
---
apiVersion: networking.k8s.io/v1
kind: Ingress
metadata: {name: web, namespace: shop, annotations: {traefik.ingress.kubernetes.io/router.middlewares: "shop-redirect@kubernetescrd"}}
spec: {rules: [{host: www.example.com, http: {paths: [{path: /, backend: {service: {name: web, port: {number: 80}}}}]}}]}
---
apiVersion: networking.k8s.io/v1
kind: NetworkPolicy
metadata: {name: api, namespace: shop}
spec: {podSelector: {matchLabels: {app: api}}, ingress: [{from: [{podSelector: {matchLabels: {app: web}}}]}]}
`

func TestTier(t *testing.T) {
	of := func(was, is string) string {
		var b strings.Builder
		tier := consequence.TierOf(read(t, "was", "", []byte(was)), read(t, "is", "", []byte(is)))
		for _, n := range tier.Nodes {
			fmt.Fprintf(&b, "%s|%s|%s|%v\n", n.Name, n.Note, n.Mark, n.Shut)
		}
		for _, e := range tier.Edges {
			fmt.Fprintf(&b, "%s > %s|%s|%v\n", tier.Nodes[e.From].Name, tier.Nodes[e.To].Name, e.Mark, e.Cut)
		}
		return b.String()
	}
	const same = `www.example.com|||false
shop/web|redirect||false
shop/api|1 pod||true
shop/web|2 pods||false
id.example.com|sign-in||false
SESSION_REDIS_URL|its address is in a Secret||false
mail.example.org|||false
www.example.com > shop/web||false
shop/web > shop/web||false
shop/web > shop/api||false
shop/web > id.example.com||false
shop/web > SESSION_REDIS_URL||false
shop/web > mail.example.org||false
`
	if got := of(tier, tier); got != same {
		t.Errorf("nothing changes:\n%s", got)
	}
	for _, tc := range []struct{ old, new, want string }{
		{"replicas: 2", "replicas: 3", "\nshop/web|3 pods|changed|false\n"},
		{"www.example.com, http", "new.example.com, http", "new.example.com||new|false\nwww.example.com||gone|false\n"},
		{"www.example.com, http", "new.example.com, http", "\nwww.example.com > shop/web|gone|false\n"},
		{"matchLabels: {app: web}}}]}]}", "matchLabels: {app: other}}}]}]}", "\nshop/web > shop/api|changed|true\n"},
		{"http://api:80", "http://elsewhere.example.org", "\nshop/web > shop/api|gone|false\n"},
		{"kind: NetworkPolicy", "kind: ConfigMap", "\nshop/api|1 pod||false\n"},
	} {
		if got := of(tier, strings.Replace(tier, tc.old, tc.new, 1)); !strings.Contains("\n"+got, tc.want) {
			t.Errorf("%s becomes %s: %q is not in\n%s", tc.old, tc.new, tc.want, got)
		}
	}
}
