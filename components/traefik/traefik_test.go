package traefik_test

import (
	"fmt"
	"strings"
	"testing"
	"time"

	traefikv1alpha1 "github.com/traefik/traefik/v3/pkg/provider/kubernetes/crd/traefikio/v1alpha1"

	"git.lastcloud.io/ronnibaslund/dezky/fleet/components"
	"git.lastcloud.io/ronnibaslund/dezky/fleet/components/traefik"
	"git.lastcloud.io/ronnibaslund/dezky/fleet/render"
	"git.lastcloud.io/ronnibaslund/dezky/fleet/render/object"
)

func print(c object.Component) {
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
	print(traefik.SecurityHeaders{Name: "security-headers", Namespace: "shop", HSTS: 365 * 24 * time.Hour, FrameDeny: true})
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
		component object.Component
		want      string
	}{
		{traefik.RedirectMiddleware{Namespace: "shop", Name: "Redirect"}, `RedirectMiddleware shop/Redirect: name: Invalid value: "Redirect"`},
		{traefik.RedirectMiddleware{Name: "redirect"}, "RedirectMiddleware redirect: namespace: Required value: say the namespace"},
		{traefik.SecurityHeaders{Namespace: "shop", Name: "h", HSTS: -1}, `SecurityHeaders shop/h: hsts: Invalid value: "-1ns": must be whole seconds, and not negative`},
		{traefik.SecurityHeaders{Namespace: "shop", Name: "h", HSTS: time.Millisecond}, `SecurityHeaders shop/h: hsts: Invalid value: "1ms": must be whole seconds`},
	} {
		if _, err := tc.component.Objects(); err == nil || !strings.Contains(err.Error(), tc.want) {
			t.Errorf("the error is %v\nwant in it %s", err, tc.want)
		}
	}
}

func TestOptions(t *testing.T) {
	for _, tc := range []struct {
		component  object.Component
		has, lacks string
	}{
		{traefik.RedirectMiddleware{Namespace: "shop", Name: "r"}, "permanent: true", ""},
		{traefik.RedirectMiddleware{Namespace: "shop", Name: "r", Temporary: true}, "scheme: https", "permanent: true"},
		{traefik.SecurityHeaders{Namespace: "shop", Name: "h", HSTS: time.Hour}, "stsSeconds: 3600", ""},
		{traefik.SecurityHeaders{Namespace: "shop", Name: "h"}, "contentTypeNosniff: true", "frameDeny"},
		{traefik.SecurityHeaders{Namespace: "shop", Name: "h"}, "contentTypeNosniff: true", "stsSeconds"},
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

// TestAssumed: until it is confirmed, nothing is sent that a browser keeps or
// that shuts a page out of a frame.
func TestAssumed(t *testing.T) {
	redirect := func(assumed bool) object.Component {
		return traefik.RedirectMiddleware{Namespace: "shop", Name: "r", Assumed: assumed}
	}
	headers := func(assumed traefik.AssumedHeaders) object.Component {
		return traefik.SecurityHeaders{Namespace: "shop", Name: "h", HSTS: time.Hour, FrameDeny: true, Assumed: assumed}
	}
	for _, tc := range []struct {
		open, confirmed object.Component
		then            string // once confirmed, not before
		what, value     string
	}{
		{redirect(true), redirect(false), "permanent: true", "RedirectMiddleware shop/r: that the redirect to HTTPS is for good", "301"},
		{headers(traefik.AssumedHeaders{HSTS: true}), headers(traefik.AssumedHeaders{}), "stsSeconds: 3600", "SecurityHeaders shop/h: the header Strict-Transport-Security", "max-age=3600"},
		{headers(traefik.AssumedHeaders{FrameDeny: true}), headers(traefik.AssumedHeaders{}), "frameDeny: true", "SecurityHeaders shop/h: the header X-Frame-Options", "DENY"},
	} {
		text := func(c object.Component) string {
			objects, err := c.Objects()
			if err != nil {
				t.Fatal(err)
			}
			b, err := render.YAML(objects[0])
			if err != nil {
				t.Fatal(err)
			}
			return string(b)
		}
		assumptions := func(c object.Component) []object.Assumption {
			return c.About().Assumed
		}
		if strings.Contains(text(tc.open), tc.then) || !strings.Contains(text(tc.confirmed), tc.then) {
			t.Errorf("%q until confirmed\n%sthen\n%s", tc.then, text(tc.open), text(tc.confirmed))
		}
		list := assumptions(tc.open)
		if len(list) != 1 || list[0].What != tc.what || list[0].Value != tc.value || list[0].Confirm == "" || list[0].Until == "" || list[0].Buys == "" {
			t.Errorf("assumptions %+v", list)
		}
		if list := assumptions(tc.confirmed); len(list) != 0 {
			t.Errorf("confirmed, it still assumes %v", list)
		}
	}
	for _, none := range []object.Component{
		traefik.RedirectMiddleware{Temporary: true, Assumed: true},
		traefik.SecurityHeaders{Assumed: traefik.AssumedHeaders{HSTS: true, FrameDeny: true}},
	} {
		if list := none.About().Assumed; len(list) != 0 {
			t.Errorf("%+v assumes %v, and holds no such value", none, list)
		}
	}
}
