package components_test

import (
	"strings"
	"testing"

	networkingv1 "k8s.io/api/networking/v1"

	"git.lastcloud.io/ronnibaslund/dezky/fleet/components"
)

// TestIngress: any Service can have an address, at several hosts and paths.
func TestIngress(t *testing.T) {
	gitea := components.Service{Name: "gitea-http", Namespace: "git", Port: "3000"}
	i := find[*networkingv1.Ingress](t, with(tls(), func(i *components.TLSIngress) {
		i.Name, i.Backend, i.Aliases = "git", gitea, []string{"code.example.com"}
		i.Paths = []components.Path{{Path: "/metrics", Exact: true, Backend: components.Service{Name: "metrics", Namespace: "git", Port: "prom"}}}
	}))
	if i.Name != "git" || i.Namespace != "git" || len(i.Spec.Rules) != 2 || len(i.Spec.TLS[0].Hosts) != 2 || i.Spec.TLS[0].SecretName != "git-tls" {
		t.Errorf("%s/%s: %+v", i.Namespace, i.Name, i.Spec)
	}
	paths := i.Spec.Rules[1].HTTP.Paths
	if len(paths) != 2 || *paths[0].PathType != networkingv1.PathTypeExact || paths[0].Backend.Service.Port.Name != "prom" || paths[1].Path != "/" || paths[1].Backend.Service.Port.Number != 3000 {
		t.Errorf("paths %+v", paths)
	}
	other := find[*networkingv1.Ingress](t, with(tls(), func(i *components.TLSIngress) {
		i.Class, i.Redirect = "nginx", components.MiddlewareRef{}
	}))
	for key := range other.Annotations {
		if strings.Contains(key, "traefik") {
			t.Errorf("another class has the annotation %s", key)
		}
	}
	internal := find[*networkingv1.Ingress](t, with(tls(), func(i *components.TLSIngress) { i.Class = "traefik-internal" }))
	if internal.Annotations["traefik.ingress.kubernetes.io/router.middlewares"] == "" {
		t.Error("another class of Traefik has no redirect")
	}

	for _, tc := range []struct {
		name   string
		change func(*components.TLSIngress)
		want   string
	}{
		{"a host twice", func(i *components.TLSIngress) { i.Aliases = []string{i.Host} }, `aliases[0]: Duplicate value: "www.example.com"`},
		{"no Service", func(i *components.TLSIngress) { i.Backend = nil }, "backend: Required value: give the WebApp or the Service that answers, with its name and port"},
		{"a port of no number", func(i *components.TLSIngress) {
			i.Backend = components.Service{Name: "a", Namespace: "shop", Port: "70000"}
		}, "backend.port: Invalid value: 70000: must be between 1 and 65535, inclusive"},
		{"a path of another namespace", func(i *components.TLSIngress) { i.Paths = []components.Path{{Path: "/git", Backend: gitea}} }, `paths[0].backend.namespace: Invalid value: "git": must be shop, as the backend's: an Ingress reaches the Services of its own namespace`},
		{"the backend's path", func(i *components.TLSIngress) { i.Paths = []components.Path{{Path: "/", Backend: web()}} }, `paths[0].path: Invalid value: "/": is there already: / is the backend's`},
		{"middlewares of another class", func(i *components.TLSIngress) {
			i.Class, i.Redirect, i.Middlewares = "nginx", components.MiddlewareRef{}, []components.MiddlewareRef{{Namespace: "shop", Name: "a"}}
		}, "middlewares: Forbidden: are Traefik's, and the class is nginx: leave them out, or give the redirect where the class is one of Traefik"},
	} {
		_, err := with(tls(), tc.change).Objects()
		if err == nil || !strings.HasSuffix(err.Error(), ": "+tc.want) || strings.Contains(err.Error(), "\n") {
			t.Errorf("%s: the error is\n%v\nwant\n%s", tc.name, err, tc.want)
		}
	}
}
