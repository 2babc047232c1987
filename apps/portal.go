package apps

import "git.lastcloud.io/ronnibaslund/dezky/fleet/components"

// portal is where customers sign in.
func portal(env Environment, login *components.OIDCClient, api components.WebApp) App {
	web := components.WebApp{
		Name:       "portal",
		Namespace:  namespace,
		Image:      env.Image("portal"),
		PullSecret: pullSecret(),
		Port:       3000,
		Replicas:   env.SessionReplicas,
		Login:      login,
		Env: map[string]string{
			"PLATFORM_API_INTERNAL_URL": api.URL(),
			"NUXT_API_BASE":             env.URL(env.Hosts.API),
			"NUXT_PUBLIC_PORTAL_URL":    env.URL(env.Hosts.Portal),
			"NUXT_PUBLIC_MAIL_URL":      env.URL(env.Hosts.Mail),
		},
		Probes: nuxtProbes(),
		Assumed: components.Assumed{
			Probes: true,
			User:   true,
			Files:  true,
			Memory: true,
			Env: sessionVariables(login, map[string]string{
				"NUXT_API_BASE":        printenv("portal", "NUXT_API_BASE"),
				"NUXT_PUBLIC_MAIL_URL": printenv("portal", "NUXT_PUBLIC_MAIL_URL"),
			}),
		},
	}
	return App{
		Web:             web,
		Ingress:         env.ingress(env.Hosts.Portal, web),
		Internet:        true,
		InternetAssumed: true,
		Secret:          login.Secret(),
		Code:            nuxtCode(web),
	}
}
