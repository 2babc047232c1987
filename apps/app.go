package apps

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"

	"git.lastcloud.io/ronnibaslund/dezky/fleet/components"
	"git.lastcloud.io/ronnibaslund/dezky/fleet/components/secret"
	"git.lastcloud.io/ronnibaslund/dezky/fleet/components/traefik"
	"git.lastcloud.io/ronnibaslund/dezky/fleet/render"
)

// App is one first-party app: what runs, its public address, its public and
// its secret configuration.
type App struct {
	Web     components.WebApp
	Ingress components.TLSIngress
	// Config is the ConfigMap that Web reads. If nil, it reads none.
	Config *components.ConfigMap
	Secret secret.Contract
	// Internet lets the app reach every public address over HTTPS. To what it
	// is given, it has its way without that: see connect.
	Internet bool
	// InternetAssumed says that nobody has confirmed that the app calls hosts
	// there at all.
	InternetAssumed bool
	// Code is what the app's own code must do for all this to hold.
	Code []string
}

// files are the app's files: one, and one more for a ConfigMap.
func (a App) files() []render.File {
	files := []render.File{{Name: a.Web.Name, Components: []render.Component{a.Web, a.Ingress}}}
	if a.Config != nil {
		files = append(files, render.File{Name: a.Config.Name, Components: []render.Component{*a.Config}})
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

// printenv returns the command that shows what a variable of an app holds today.
func printenv(app, name string) string {
	return fmt.Sprintf("`kubectl -n %s exec deployment/%s -- printenv %s`", namespace, app, name)
}

// sessionVariables returns the assumed variables of an app, those of its
// session store beside the given ones.
func sessionVariables(login *components.OIDCClient, assumed map[string]string) map[string]string {
	all := maps.Clone(assumed)
	if all == nil {
		all = make(map[string]string)
	}
	if login.Sessions != nil {
		for _, name := range []string{components.EnvRedisPrefix, components.EnvRedisTTL} {
			all[name] = "the nitro plugin of " + login.Name + " that mounts oidc: it reads the variable"
		}
	}
	return all
}

// nuxtCode is what the code of a Nuxt app must do: what its variables demand
// of nuxt.config, and what its sign-in demands.
func nuxtCode(web components.WebApp) []string {
	names := slices.Collect(maps.Keys(web.Env))
	names = slices.AppendSeq(names, maps.Keys(web.SecretEnv))
	var list []string
	if web.Login != nil {
		names = slices.AppendSeq(names, maps.Keys(web.Login.Env()))
		list = web.Login.Code()
	}
	slices.Sort(names)
	var public, private []string
	for _, name := range names {
		rest, nuxt := strings.CutPrefix(name, "NUXT_")
		key, isPublic := strings.CutPrefix(rest, "PUBLIC_")
		switch {
		case !nuxt || strings.HasPrefix(rest, "OIDC_"):
		case isPublic:
			public = append(public, components.RuntimeConfigKey(key))
		default:
			private = append(private, components.RuntimeConfigKey(rest))
		}
	}
	line := "nuxt.config declares " + code(public...) + " under `runtimeConfig.public`"
	if len(private) > 0 {
		line += " and " + code(private...) + " under `runtimeConfig`"
	}
	return append([]string{line + ", empty: Nuxt overrides declared keys only."}, list...)
}

// containerEnv is the variables of the app's container.
func containerEnv(objects []components.Object) []corev1.EnvVar {
	for _, o := range objects {
		if d, ok := o.(*appsv1.Deployment); ok && len(d.Spec.Template.Spec.Containers) > 0 {
			return d.Spec.Template.Spec.Containers[0].Env
		}
	}
	return nil
}
