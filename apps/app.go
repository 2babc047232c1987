package apps

import (
	"fmt"
	"maps"
	"time"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"

	"git.lastcloud.io/ronnibaslund/dezky/fleet/components"
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
	Secret components.Secret
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
func pullSecret(images ...string) *components.Secret {
	return &components.Secret{
		Name:      "registry-pull",
		Namespace: namespace,
		Type:      "kubernetes.io/dockerconfigjson",
		Keys: []components.SecretKey{{
			Name: ".dockerconfigjson", Purpose: "Pulls the images from " + gitHost,
			Source: fmt.Sprintf("kubectl create secret docker-registry registry-pull --docker-server=%s with a Gitea token that may read packages", gitHost),
			Format: components.DockerConfig{Registry: gitHost, Images: images},
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
		for _, name := range []string{"SESSION_REDIS_PREFIX", "SESSION_REDIS_TTL"} {
			all[name] = "the nitro plugin of " + login.Name + " that mounts oidc: it reads the variable"
		}
	}
	return all
}

// sessionCode is what the code of an app with sign-in must do. The keys are
// those of its own public runtimeConfig.
func sessionCode(public ...string) []string {
	keys := "`authUrl`"
	for _, k := range public {
		keys += ", `" + k + "`"
	}
	return []string{
		"Declare " + keys + " under `runtimeConfig.public`, `session.maxAge` and every option of the provider `oidc` that is set above, `logoutRedirectParameterName` among them, in the module's configuration: Nuxt overrides declared keys only, and a `process.env` in nuxt.config is fixed at build time.",
		"A nitro plugin mounts `oidc` on Redis when `" + components.KeyRedisURL + "` is set, with the prefix `SESSION_REDIS_PREFIX` and the lifetime `SESSION_REDIS_TTL` in seconds; unset means memory, and one replica.",
		"A client plugin sends the browser through `" + components.LoginRoute + "` when a call to `/api` answers 401, once: it leaves a mark in the session storage, and does not go again while the mark is fresh.",
		"Sign-out goes to the end-session address that the environment gives (`NUXT_OIDC_PROVIDERS_OIDC_LOGOUT_URL`); no Authentik address is written in the code.",
		"The middleware of nuxt-oidc-auth leaves `/api/health/` alone.",
	}
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
