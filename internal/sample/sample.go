// Package sample is a small tier for the tests of the commands: frozen, so
// that a change of the real tier in package apps leaves those tests as they
// are. It has what they look at: two environments, apps with and without
// sign-in, values that are pending or assumed, Secrets of every kind.
package sample

import (
	"git.lastcloud.io/ronnibaslund/dezky/fleet/components"
	"git.lastcloud.io/ronnibaslund/dezky/fleet/components/authentik"
	"git.lastcloud.io/ronnibaslund/dezky/fleet/components/nuxt"
	"git.lastcloud.io/ronnibaslund/dezky/fleet/components/secret"
	"git.lastcloud.io/ronnibaslund/dezky/fleet/components/traefik"
	"git.lastcloud.io/ronnibaslund/dezky/fleet/render"
	"git.lastcloud.io/ronnibaslund/dezky/fleet/render/check"
	"git.lastcloud.io/ronnibaslund/dezky/fleet/render/object"
	"git.lastcloud.io/ronnibaslund/dezky/fleet/secrets"
)

const (
	namespace     = "sample-apps"
	authNamespace = "sample-auth"
	registryHost  = "registry.example.net"
	registry      = registryHost + "/sample/"
	mongo         = "mongo.sample-data.svc.cluster.local:27017"
	redis         = "redis.sample-data.svc.cluster.local:6379"
)

// Environments returns all there are, production first.
func Environments() render.Environments[render.Environment] {
	return render.Environments[render.Environment]{
		{Name: "production", Domain: "example.com"},
		{Name: "development", Domain: "example.local"},
	}
}

// Repositories returns those of the images.
func Repositories() []string {
	var repositories []string
	for _, name := range []string{"platform-api", "portal", "booking", "operator"} {
		repositories = append(repositories, registry+name)
	}
	return repositories
}

// Tree returns what is rendered for an environment.
func Tree(name string, images render.Images) (render.Tree, error) {
	env, err := Environments().Get(name)
	if err != nil {
		return render.Tree{}, err
	}
	return tier{env, images}.tree(), nil
}

// Secrets returns the contracts of an environment.
func Secrets(name string) (secrets.Set, error) {
	env, err := Environments().Get(name)
	if err != nil {
		return secrets.Set{}, err
	}
	return tier{env: env}.secrets(), nil
}

// tier is one environment.
type tier struct {
	env    render.Environment
	images render.Images
}

func (t tier) production() bool { return t.env.Name == "production" }

// login is the sign-in of an app. Production keeps sessions in Redis.
func (t tier) login(app, host string) nuxt.Login {
	l := nuxt.Login{
		Client:      components.OIDCClient{Name: app, Namespace: namespace, Host: t.env.Host(host), Authentik: t.env.Host("auth")},
		Development: !t.production(),
		Assumed:     nuxt.Assumed{SignedOut: true},
	}
	if t.production() {
		l.Sessions = &nuxt.RedisSessions{Address: redis, Database: 1, Prefix: app}
	}
	return l
}

func (t tier) portal() nuxt.Login   { return t.login("portal", "app") }
func (t tier) operator() nuxt.Login { return t.login("operator", "operator") }

// file is an app with its public address.
func (t tier) file(web components.WebApp, host string) render.File {
	web.Namespace = namespace
	web.Image = t.images.Ref(registry + web.Name)
	registry := pullSecret()
	web.PullSecret = &registry
	web.Probes = components.Probes{Startup: "/live", Readiness: "/ready", Liveness: "/live"}
	ingress := components.TLSIngress{Host: t.env.Host(host), Backend: web, Issuer: "issuer", Redirect: redirect().Ref()}
	return render.File{Name: web.Name, Components: []object.Component{web, ingress}}
}

func redirect() traefik.RedirectMiddleware {
	return traefik.RedirectMiddleware{Name: "redirect-https", Namespace: namespace}
}

func (t tier) blueprint() authentik.Blueprint {
	return authentik.Blueprint{
		Name:      "sample-apps-" + t.env.Name,
		Namespace: authNamespace,
		Version:   authentik.Version{2026, 8},
		Clients:   []components.OIDCClient{t.portal().OIDCClient(), t.operator().OIDCClient()},
	}
}

func (t tier) tree() render.Tree {
	config := components.ConfigMap{
		Name:      "platform-api-config",
		Namespace: namespace,
		Data:      map[string]string{"FEATURE_FILES": "false"},
		Pending:   map[string]components.Pending{"FILES_URL": {Until: "the files tier is there"}},
	}
	apps := render.Layer{Name: "apps", Namespace: namespace, Files: []render.File{
		{Name: "redirect-middleware", Components: []object.Component{redirect()}},
		{Name: config.Name, Components: []object.Component{config}},
		t.file(components.WebApp{Name: "platform-api", Port: 3001, Config: &config, SecretEnv: platformSecret().Env()}, "api"),
		t.file(components.WebApp{Name: "portal", Port: 3000, Login: t.portal()}, "app"),
		t.file(components.WebApp{Name: "booking", Port: 3000, SecretEnv: t.bookingSecret().Env()}, "booking"),
		t.file(components.WebApp{Name: "operator", Port: 3000, Login: t.operator()}, "operator"),
	}}
	deployer := components.Deployer{
		Name:      "ci-deployer",
		Namespace: namespace,
		Secrets: map[string][]secret.Contract{
			"platform-api": {platformSecret()},
			"portal":       {t.portal().Secret()},
			"booking":      {t.bookingSecret()},
			"operator":     {t.operator().Secret()},
		},
	}
	for _, f := range apps.Files {
		deployer.Applies = append(deployer.Applies, f.Components...)
	}
	tree := render.Tree{
		Name: "the sample tier, " + t.env.Name,
		ID:   "sample-apps-" + t.env.Name,
		Layers: []render.Layer{
			{Name: "ci", Namespace: "kube-system", Files: []render.File{
				{Name: "00-namespaces", Components: []object.Component{components.Namespace{Name: namespace, PodSecurity: "restricted", PodSecurityVersion: check.Kubernetes}}},
				{Name: deployer.Name, Components: []object.Component{deployer}},
			}},
			apps,
			{Name: "auth", Namespace: authNamespace, Files: []render.File{
				{Name: "blueprint", Components: []object.Component{t.blueprint()}},
			}},
		},
		Texts: []render.Text{
			{Name: "README.md", Content: func() (string, error) { return "# The sample tier\n", nil }},
			{Name: "secrets/secrets.example.yaml", Content: t.secrets().Template},
		},
		Elsewhere: []check.Elsewhere{
			{ID: object.ID{Kind: "Namespace", Name: authNamespace}},
			{ID: object.ID{Group: "networking.k8s.io", Kind: "IngressClass", Name: "traefik"}},
			{ID: object.ID{Group: "cert-manager.io", Kind: "ClusterIssuer", Name: "issuer"}},
		},
		Domains:        []string{t.env.Domain},
		ForeignDomains: Environments().Foreign(t.env.Domain),
		Secrets:        t.secrets().Secrets,
	}
	if t.production() {
		tree.Notes = t.images.Notes(t.env.Name, Repositories())
	}
	return tree
}
