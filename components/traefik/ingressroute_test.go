package traefik_test

import (
	"strings"
	"testing"

	traefikv1alpha1 "github.com/traefik/traefik/v3/pkg/provider/kubernetes/crd/traefikio/v1alpha1"

	"git.lastcloud.io/ronnibaslund/dezky/fleet/components/traefik"
)

func route() traefik.IngressRoute {
	return traefik.IngressRoute{
		Name: "api", Namespace: "shop", Hosts: []string{"api.example.com"}, Issuer: "letsencrypt-prod",
		Routes: []traefikv1alpha1.Route{{Match: "Host(`api.example.com`) && Method(`GET`)"}},
	}
}

func TestIngressRoute(t *testing.T) {
	objects, err := route().Objects()
	if err != nil {
		t.Fatal(err)
	}
	got := text(t, objects[0]) + text(t, objects[1])
	for _, want := range []string{"kind: Rule", "- websecure", "secretName: api-tls\n", "kind: Certificate", "name: api-tls", "- api.example.com", "name: letsencrypt-prod"} {
		if !strings.Contains(got, want) {
			t.Errorf("%q is not in\n%s", want, got)
		}
	}
	for _, tc := range []struct {
		name   string
		change func(*traefik.IngressRoute)
		want   string
	}{
		{"no issuer", func(r *traefik.IngressRoute) { r.Issuer = "" }, "issuer: Required value: name the ClusterIssuer, such as letsencrypt-prod"},
		{"no hosts", func(r *traefik.IngressRoute) { r.Hosts = nil }, "hosts: Required value: give the public host names of the certificate"},
		{"a host that is none", func(r *traefik.IngressRoute) { r.Hosts = []string{"a b"} }, `hosts[0]: Invalid value: "a b": must be a public host name such as app.example.com`},
		{"no route", func(r *traefik.IngressRoute) { r.Routes = nil }, "routes: Required value: give a route"},
		{"no rule", func(r *traefik.IngressRoute) { r.Routes[0].Match = "" }, "routes[0].match: Required value: give the rule, such as Host(`app.example.com`)"},
		{"a priority", func(r *traefik.IngressRoute) { r.Routes[0].Priority = 9 }, "routes[0].priority: Forbidden: outranks the challenge of the certificate: leave it out"},
	} {
		r := route()
		tc.change(&r)
		_, err := r.Objects()
		if err == nil || err.Error() != "IngressRoute shop/api: "+tc.want {
			t.Errorf("%s: %v\nwant %s", tc.name, err, tc.want)
		}
	}
}
