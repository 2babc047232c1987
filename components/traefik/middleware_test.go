package traefik_test

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/traefik/traefik/v3/pkg/config/dynamic"
	traefikv1alpha1 "github.com/traefik/traefik/v3/pkg/provider/kubernetes/crd/traefikio/v1alpha1"

	"git.lastcloud.io/ronnibaslund/dezky/fleet/components"
	"git.lastcloud.io/ronnibaslund/dezky/fleet/components/traefik"
	"git.lastcloud.io/ronnibaslund/dezky/fleet/render"
	"git.lastcloud.io/ronnibaslund/dezky/fleet/render/object"
)

// A page for the office alone, behind a password, at no more than ten requests
// a second.
func ExampleChain() {
	users := traefik.BasicAuth{Name: "users", Namespace: "shop"}
	office := traefik.IPAllowList{Name: "office", Namespace: "shop", Ranges: []string{"192.0.2.0/24"}}
	slow := traefik.RateLimit{Name: "slow", Namespace: "shop", Average: 10, Burst: 20}
	admin := traefik.Chain{Name: "admin", Namespace: "shop", Middlewares: []components.MiddlewareRef{slow.Ref(), office.Ref(), users.Ref()}}
	print(admin)
	fmt.Println(users.Secret().Key("users"))
	// Output:
	// apiVersion: traefik.io/v1alpha1
	// kind: Middleware
	// metadata:
	//   labels:
	//     app.kubernetes.io/managed-by: fleet
	//     app.kubernetes.io/name: admin
	//   name: admin
	//   namespace: shop
	// spec:
	//   chain:
	//     middlewares:
	//     - name: slow
	//       namespace: shop
	//     - name: office
	//       namespace: shop
	//     - name: users
	//       namespace: shop
	// shop/users-users.users
}

func TestMiddlewares(t *testing.T) {
	self := components.MiddlewareRef{Namespace: "n", Name: "m"}
	for _, tc := range []struct {
		name string
		object.Component
		want string // the spec, or the error
	}{
		{"any", traefik.Middleware{Name: "m", Namespace: "n", Spec: traefikv1alpha1.MiddlewareSpec{StripPrefix: &dynamic.StripPrefix{Prefixes: []string{"/a"}}}}, "stripPrefix:"},
		{"a password", traefik.BasicAuth{Name: "m", Namespace: "n"}, "secret: m-users"},
		{"addresses", traefik.IPAllowList{Name: "m", Namespace: "n", Ranges: []string{"192.0.2.1", "2001:db8::/32"}, Depth: 1}, "depth: 1"},
		{"a rate", traefik.RateLimit{Name: "m", Namespace: "n", Average: 10, Period: time.Minute}, "period: 1m0s"},
		{"a service", traefik.ForwardAuth{Name: "m", Namespace: "n", Address: "http://a.b:4180/auth", ResponseHeaders: []string{"X-User"}}, "address: http://a.b:4180/auth"},

		{"no addresses", traefik.IPAllowList{Name: "m", Namespace: "n"}, "IPAllowList n/m: ranges: Required value: say which addresses may pass, such as 192.0.2.0/24"},
		{"no address", traefik.IPAllowList{Name: "m", Namespace: "n", Ranges: []string{"office"}}, `IPAllowList n/m: ranges[0]: Invalid value: "office": must be an address or a network, such as 192.0.2.0/24`},
		{"no rate", traefik.RateLimit{Name: "m", Namespace: "n"}, "RateLimit n/m: average: Invalid value: 0: must be 1 or more: to Traefik 0 is no limit"},
		{"no service", traefik.ForwardAuth{Name: "m", Namespace: "n", Address: "a.b:80"}, `ForwardAuth n/m: address: Invalid value: "a.b:80": must be an address such as http://oauth2-proxy.auth:4180/oauth2/auth`},
		{"a chain of itself", traefik.Chain{Name: "m", Namespace: "n", Middlewares: []components.MiddlewareRef{self}}, `Chain n/m: middlewares[0]: Invalid value: "n-m@kubernetescrd": is the chain itself`},
		{"a chain of nothing", traefik.Chain{Name: "m", Namespace: "n"}, "Chain n/m: middlewares: Required value: give the middlewares of the chain"},
	} {
		objects, err := tc.Objects()
		got := fmt.Sprint(err)
		if err == nil {
			got = text(t, objects[0])
		}
		if err != nil && got != tc.want || !strings.Contains(got, tc.want) {
			t.Errorf("%s: %s\nwant %s", tc.name, got, tc.want)
		}
	}
	users := traefik.BasicAuth{Name: "m", Namespace: "n"}.Secret().Keys[0]
	for value, ok := range map[string]bool{"a:$2y$05$abc": true, "a:{SHA}abc\nb:$apr1$x\n": true, "a:open": false, "a": false, ":$2y$": false} {
		if (users.Check(value) == nil) != ok {
			t.Errorf("%q: %v", value, users.Check(value))
		}
	}
}

func text(t *testing.T, o object.Object) string {
	t.Helper()
	yaml, err := render.YAML(o)
	if err != nil {
		t.Fatal(err)
	}
	return string(yaml)
}
