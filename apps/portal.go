package apps

import (
	"git.lastcloud.io/ronnibaslund/dezky/fleet/components"
	"git.lastcloud.io/ronnibaslund/dezky/fleet/components/nuxt"
)

// portal is where customers sign in.
func portal(env Environment, api App) App {
	login := env.login("portal", env.Hosts.Portal)
	return env.app(App{
		Web: components.WebApp{
			Name:     "portal",
			Port:     3000,
			Replicas: env.SessionReplicas,
			Login:    login,
			Env: map[string]string{
				"PLATFORM_API_INTERNAL_URL": api.Web.URL(),
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
				Tmp:    true,
				Env: loginVariables(login, map[string]string{
					"NUXT_API_BASE":        printenv("portal", "NUXT_API_BASE"),
					"NUXT_PUBLIC_MAIL_URL": printenv("portal", "NUXT_PUBLIC_MAIL_URL"),
				}),
			},
		},
		Host:            env.Hosts.Portal,
		Internet:        true,
		InternetAssumed: true,
		Code:            nuxt.Code,
	})
}
