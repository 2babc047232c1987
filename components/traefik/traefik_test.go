package traefik_test

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"git.lastcloud.io/ronnibaslund/dezky/fleet/components"
	"git.lastcloud.io/ronnibaslund/dezky/fleet/components/traefik"
	"git.lastcloud.io/ronnibaslund/dezky/fleet/render"
	traefikv1alpha1 "github.com/traefik/traefik/v3/pkg/provider/kubernetes/crd/traefikio/v1alpha1"
)

func print(c components.Component) {
	objects, err := c.Objects()
	if err != nil {
		fmt.Println(err)
		return
	}
	for _, o := range objects {
		text, err := render.YAML(o)
		if err != nil {
			fmt.Println(err)
		}
		fmt.Print(string(text))
	}
}

func ExampleRedirectMiddleware() {
	redirect := traefik.RedirectMiddleware{Name: "redirect-https", Namespace: "shop"}
	print(redirect)
	fmt.Println(redirect.Ref())
	// Output:
	// apiVersion: traefik.io/v1alpha1
	// kind: Middleware
	// metadata:
	//   labels:
	//     app.kubernetes.io/managed-by: fleet
	//     app.kubernetes.io/name: redirect-https
	//   name: redirect-https
	//   namespace: shop
	// spec:
	//   redirectScheme:
	//     permanent: true
	//     scheme: https
	// shop-redirect-https@kubernetescrd
}

func ExampleSecurityHeaders() {
	print(traefik.SecurityHeaders{Name: "security-headers", Namespace: "shop"})
	// Output:
	// apiVersion: traefik.io/v1alpha1
	// kind: Middleware
	// metadata:
	//   labels:
	//     app.kubernetes.io/managed-by: fleet
	//     app.kubernetes.io/name: security-headers
	//   name: security-headers
	//   namespace: shop
	// spec:
	//   headers:
	//     contentTypeNosniff: true
	//     frameDeny: true
	//     referrerPolicy: strict-origin-when-cross-origin
	//     stsSeconds: 31536000
}

func TestRefused(t *testing.T) {
	for _, tc := range []struct {
		component components.Component
		want      string
	}{
		{traefik.RedirectMiddleware{Namespace: "shop", Name: "Redirect"}, `RedirectMiddleware shop/Redirect: name: Invalid value: "Redirect"`},
		{traefik.RedirectMiddleware{Name: "redirect"}, "RedirectMiddleware redirect: namespace: Invalid value"},
		{traefik.SecurityHeaders{Namespace: "shop", Name: "h", HSTS: -1}, `SecurityHeaders shop/h: hsts: Invalid value: "-1ns": must not be negative`},
	} {
		if _, err := tc.component.Objects(); err == nil || !strings.Contains(err.Error(), tc.want) {
			t.Errorf("the error is %v\nwant in it %s", err, tc.want)
		}
	}
}

func TestOptions(t *testing.T) {
	for _, tc := range []struct {
		component  components.Component
		has, lacks string
	}{
		{traefik.RedirectMiddleware{Namespace: "shop", Name: "r"}, "permanent: true", ""},
		{traefik.RedirectMiddleware{Namespace: "shop", Name: "r", Temporary: true}, "scheme: https", "permanent: true"},
		{traefik.SecurityHeaders{Namespace: "shop", Name: "h", HSTS: time.Hour}, "stsSeconds: 3600", ""},
		{traefik.SecurityHeaders{Namespace: "shop", Name: "h", Frames: true}, "contentTypeNosniff: true", "frameDeny"},
		{traefik.SecurityHeaders{Namespace: "shop", Name: "h", Changes: []components.Change{components.Edit(func(m *traefikv1alpha1.Middleware) {
			m.Spec.Headers.STSIncludeSubdomains = true
		})}}, "stsIncludeSubdomains: true", ""},
	} {
		objects, err := tc.component.Objects()
		if err != nil {
			t.Fatal(err)
		}
		text, err := render.YAML(objects[0])
		if err != nil {
			t.Fatal(err)
		}
		if !strings.Contains(string(text), tc.has) || tc.lacks != "" && strings.Contains(string(text), tc.lacks) {
			t.Errorf("%+v:\n%s", tc.component, text)
		}
	}
}
