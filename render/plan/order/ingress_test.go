package order

import (
	"strings"
	"testing"
)

// TestIngressFirst: an Ingress that asks for a port by a name which goes, and
// then by what stays, comes before the Service; the other way round it waits
// for the name.
func TestIngressFirst(t *testing.T) {
	const named = `
{kind: Service, apiVersion: v1, metadata: {namespace: ns, name: a}, spec: {ports: [{name: http, port: 3000}]}}
---
{kind: Ingress, apiVersion: networking.k8s.io/v1, metadata: {namespace: ns, name: a}, spec: {rules: [{http: {paths: [{backend: {service: {name: a, port: {name: http}}}}]}}]}}
`
	const numbered = `
{kind: Service, apiVersion: v1, metadata: {namespace: ns, name: a}, spec: {ports: [{port: 3000}]}}
---
{kind: Ingress, apiVersion: networking.k8s.io/v1, metadata: {namespace: ns, name: a}, spec: {rules: [{http: {paths: [{backend: {service: {name: a, port: {number: 3000}}}}]}}]}}
`
	// An IngressRoute may name a Service of another namespace.
	const routeByName = `
{kind: Service, apiVersion: v1, metadata: {namespace: ns, name: a}, spec: {ports: [{name: http, port: 3000}]}}
---
{kind: IngressRoute, apiVersion: traefik.io/v1alpha1, metadata: {namespace: other, name: a}, spec: {routes: [{match: Host(` + "`a.example.com`" + `), services: [{name: a, namespace: ns, port: http}]}]}}
`
	routeByNumber := strings.NewReplacer("name: http, ", "", "port: http", "port: 3000").Replace(routeByName)
	const service, ingress = "traffic: Service/a Ingress/a\n", "traffic: Ingress/a Service/a\n"
	for _, tc := range []struct{ name, live, rendered, want string }{
		{"to a name", numbered, named, service},
		{"from a name", named, numbered, ingress},
		{"the same name", named, named, service},
		{"the same number", numbered, numbered, service},
		{"a route to a name", routeByNumber, routeByName, strings.ReplaceAll(service, "Ingress/", "IngressRoute/")},
		{"a route from a name", routeByName, routeByNumber, strings.ReplaceAll(ingress, "Ingress/", "IngressRoute/")},
	} {
		if got := short(Of(changesOf(t, tc.rendered, tc.live), nil)); got != tc.want {
			t.Errorf("%s: %s", tc.name, got)
		}
	}
}
