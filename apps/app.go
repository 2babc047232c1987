package apps

import (
	"fmt"
	"maps"
	"time"

	"git.lastcloud.io/ronnibaslund/dezky/fleet/components"
	"git.lastcloud.io/ronnibaslund/dezky/fleet/components/nuxt"
	"git.lastcloud.io/ronnibaslund/dezky/fleet/components/secret"
	"git.lastcloud.io/ronnibaslund/dezky/fleet/components/traefik"
	"git.lastcloud.io/ronnibaslund/dezky/fleet/render"
	"git.lastcloud.io/ronnibaslund/dezky/fleet/render/object"
)

// App is one first-party app, stated once. Its Ingress, its client at
// Authentik, the NetworkPolicies on both sides, its DNS record and its part of
// the documentation follow.
type App struct {
	// Web is what runs, with its variables, its ConfigMap and its sign-in.
	Web components.WebApp
	// Host is the name of the app below the domain of the environment.
	Host string
	// Keys of the app's Secret, which is named after it. An app with sign-in
	// states them in the client of its Login instead.
	Keys []secret.Key
	// Internet lets the app reach every public address over HTTPS. To what it
	// is given, it has its way without that: see connect.
	Internet bool
	// InternetAssumed says that nobody has confirmed that the app calls hosts
	// there at all.
	InternetAssumed bool
	// Code returns what the app's own code must do for all this to hold, a
	// sentence or a few each, in Markdown. If nil, nothing but the probes.
	Code func(components.WebApp) []string
}

// app fills in what every app of the environment has.
func (e Environment) app(a App) App {
	a.Web.Namespace = namespace
	a.Web.Image = e.Image(a.Web.Name)
	a.Web.PullSecret = pullSecret()
	if a.Web.Login == nil {
		env := a.contract().Env()
		maps.Copy(env, a.Web.SecretEnv)
		a.Web.SecretEnv = env
	}
	return a
}

// contract is that of the app's Secret.
func (a App) contract() secret.Contract {
	if a.Web.Login != nil {
		return a.Web.Login.OIDCClient().Secret()
	}
	return secret.Contract{Name: a.Web.Name + "-secrets", Namespace: namespace, Keys: a.Keys}
}

// ingress is the public address of the app.
func (a App) ingress(env Environment) components.TLSIngress {
	return components.TLSIngress{
		Host:        env.Host(a.Host),
		Backend:     a.Web,
		Issuer:      env.Issuer,
		Redirect:    redirect().Ref(),
		Middlewares: []components.MiddlewareRef{headers().Ref()},
		Assumed:     true,
	}
}

// files are the app's files: one, and one more for a ConfigMap.
func (a App) files(env Environment) []render.File {
	files := []render.File{{Name: a.Web.Name, Components: []object.Component{a.Web, a.ingress(env)}}}
	if c := a.Web.Config; c != nil {
		files = append(files, render.File{Name: c.Name, Components: []object.Component{*c}})
	}
	return files
}

// redirect and headers are shared by all Ingresses.
func redirect() traefik.RedirectMiddleware {
	return traefik.RedirectMiddleware{
		Name:      "redirect-https",
		Namespace: namespace,
		Assumed:   true,
	}
}

func headers() traefik.SecurityHeaders {
	return traefik.SecurityHeaders{
		Name:      "security-headers",
		Namespace: namespace,
		HSTS:      365 * 24 * time.Hour,
		FrameDeny: true,
		Assumed: traefik.AssumedHeaders{
			HSTS:      true,
			FrameDeny: true,
		},
	}
}

// pullSecret is the contract of the credential for the registry, which is
// private, with the images that are pulled with it.
func pullSecret(images ...string) *secret.Contract {
	return &secret.Contract{
		Name:      "registry-pull",
		Namespace: namespace,
		Type:      "kubernetes.io/dockerconfigjson",
		Keys: []secret.Key{{
			Name: ".dockerconfigjson", Purpose: "Pulls the images from " + gitHost,
			Source: fmt.Sprintf("kubectl create secret docker-registry registry-pull --docker-server=%s with a Gitea token that may read packages", gitHost),
			Format: secret.DockerConfig{Registry: gitHost, Images: images},
		}},
	}
}

// nuxtProbes are the probe paths of the Nuxt apps. Below /api, so that no
// page middleware sends them to sign in.
func nuxtProbes() components.Probes {
	return components.Probes{Startup: "/api/health/live", Readiness: "/api/health/ready", Liveness: "/api/health/live"}
}

// printenv returns the command that shows what a variable of an app holds
// today.
func printenv(app, name string) string {
	return fmt.Sprintf("`kubectl -n %s exec deployment/%s -- printenv %s`", namespace, app, name)
}

// loginVariables returns the assumed variables of an app, with those of its
// login that the app's own code reads beside the given ones.
func loginVariables(login nuxt.Login, assumed map[string]string) map[string]string {
	all := maps.Clone(assumed)
	if all == nil {
		all = make(map[string]string)
	}
	set := login.Env()
	for name, reader := range map[string]string{
		nuxt.EnvRedisPrefix: "the nitro plugin of %s that mounts oidc: it reads the variable",
		nuxt.EnvRedisTTL:    "the nitro plugin of %s that mounts oidc: it reads the variable",
		nuxt.EnvRevocation:  "the server middleware of %s on " + nuxt.LogoutRoute + ": it revokes the refresh token there",
	} {
		if _, ok := set[name]; ok {
			all[name] = fmt.Sprintf(reader, login.Client.Name)
		}
	}
	return all
}
