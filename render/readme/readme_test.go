package readme_test

import (
	"strings"
	"testing"

	corev1 "k8s.io/api/core/v1"

	"git.lastcloud.io/ronnibaslund/dezky/fleet/components"
	"git.lastcloud.io/ronnibaslund/dezky/fleet/components/secret"
	"git.lastcloud.io/ronnibaslund/dezky/fleet/render"
	"git.lastcloud.io/ronnibaslund/dezky/fleet/render/check"
	"git.lastcloud.io/ronnibaslund/dezky/fleet/render/object"
	"git.lastcloud.io/ronnibaslund/dezky/fleet/render/readme"
)

func TestEscapes(t *testing.T) {
	for _, tc := range []struct{ got, want string }{
		{readme.Code("a"), "`a`"},
		{readme.Code("a", "", "b"), "`a`, `b`"},
		{readme.Code("a`b"), "``a`b``"},
		{readme.Code("`a``"), "``` `a`` ```"},
		{readme.Code(" a "), "`  a  `"},
		{readme.Code("a\r\nb\n"), "`a\\nb\\n`"},
		{readme.Cell("a|b"), `a\|b`},
		{readme.Cell(readme.Code("a|b")), "`a\\|b`"},
		{readme.Cell("one\ntwo\r\n\r\nthree"), "one two three"},
	} {
		if tc.got != tc.want {
			t.Errorf("got %s, want %s", tc.got, tc.want)
		}
	}
}

func doc() readme.Doc {
	shop := secret.Contract{Namespace: "shop", Name: "web-secrets", Keys: []secret.Key{
		{Name: "TOKEN", Purpose: "one | two", Placeholder: "it waits", Backup: true, Format: secret.Hex(4)},
		{Name: "URL", Purpose: "public", Value: "https://a`b"},
	}}
	pull := secret.Contract{Namespace: "shop", Name: "pull", Type: corev1.SecretTypeDockerConfigJson, Keys: []secret.Key{{Name: ".dockerconfigjson", Purpose: "pulls"}}}
	web := components.WebApp{
		Name: "web", Namespace: "shop", Image: "registry.example.com:5000/web:v1", Port: 3000,
		Probes:    components.Probes{Startup: "/live", Readiness: "/ready", Liveness: "/live"},
		SecretEnv: map[string]secret.Ref{"TOKEN": shop.Key("TOKEN")}, PullSecret: &pull,
		Autoscale: &components.Autoscale{Min: 2, Max: 5, CPU: 60},
	}
	ingress := components.TLSIngress{Host: "shop.example.com", Backend: web, Issuer: "letsencrypt", Redirect: components.MiddlewareRef{Namespace: "shop", Name: "redirect"}}
	return readme.Doc{Tree: render.Tree{
		Name: "a shop",
		Layers: []render.Layer{
			{Name: "apps", Files: []render.File{{Name: "web", Components: []object.Component{web, ingress}}}},
			{Name: "jobs", Files: []render.File{{Name: "job", Components: []object.Component{components.WebApp{
				Name: "job", Namespace: "shop", Image: "job@sha256:" + strings.Repeat("0", 64), Port: 80,
				Probes: components.Probes{Startup: "/live", Readiness: "/ready", Liveness: "/live"},
			}}}}},
		},
		Secrets: []secret.Contract{shop, pull},
		Elsewhere: []check.Elsewhere{
			{ID: object.ID{Kind: "Service", Namespace: "data", Name: "redis"}, Ports: []corev1.ServicePort{{Port: 6379}}},
			{ID: object.ID{Kind: "ConfigMap", Namespace: "shop", Name: "ca"}, Keys: []string{"b", "a"}},
		},
		Assumed: []object.Assumption{{What: "the port", Value: "80|81", Confirm: "look\nthere"}},
	}}
}

func TestMarkdown(t *testing.T) {
	d := doc()
	d.Sections = []readme.Section{{Title: "Sign-in", Text: "By mail.\n"}}
	got, err := d.Markdown()
	if err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{
		"# A shop\n\n| App |",
		"| web | `registry.example.com:5000/web` | [shop.example.com](https://shop.example.com) | `web.shop:3000` | 2 to 5 | `web-secrets` |\n",
		"| job | `job` |  | `job.shop:80` | 1 |  |\n",
		"- Service `data/redis` at port 6379.\n- ConfigMap `shop/ca` with `a`, `b`.\n- The Secrets below.\n\n## DNS",
		"```\nshop.example.com\n```\n",
		"- Secret shop/web-secrets, TOKEN: a placeholder, since it waits.\n",
		"| the port | `80\\|81` | look there |  |  |\n",
		"\n\n## Sign-in\n\nBy mail.\n\n## Secrets\n\nThey are filled in outside of this repository.\n\n### shop/web-secrets\n",
		"| `TOKEN` | one \\| two | 4 random bytes in hex (openssl rand -hex 4) | at any time; **back it up** |\n| `URL` | public | ``https://a`b`` | at any time |\n",
	} {
		if !strings.Contains(got, want) {
			t.Errorf("the documentation has no\n%s", want)
		}
	}
	if t.Failed() {
		t.Log(got)
	}
}

// TestMarkdownParts: what there is none of has no heading, and layers and needs
// can be chosen.
func TestMarkdownParts(t *testing.T) {
	got, err := readme.Doc{Tree: render.Tree{Name: "nothing"}}.Markdown()
	if err != nil || got != "# Nothing\n" {
		t.Errorf("of an empty Tree: %q, error %v", got, err)
	}
	d := doc()
	d.Layers, d.Needs, d.Template = []string{"jobs"}, []string{"Patience."}, "secrets.yaml"
	got, err = d.Markdown()
	if err != nil || strings.Contains(got, "| web |") || !strings.Contains(got, "| job |") || !strings.Contains(got, "- Patience.\n- The Secrets below.\n") || !strings.Contains(got, "\nshop.example.com\n") || !strings.Contains(got, "; `secrets.yaml` is the template.") {
		t.Errorf("error %v, the documentation is\n%s", err, got)
	}
}
