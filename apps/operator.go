package apps

import (
	"git.lastcloud.io/ronnibaslund/dezky/fleet/components"
	"git.lastcloud.io/ronnibaslund/dezky/fleet/components/nuxt"
)

// operator is where dezky's own staff sign in.
func operator(env Environment, api App) App {
	login := env.login("operator", env.Hosts.Operator)
	return env.app(App{
		Web: components.WebApp{
			Name:     "operator",
			Port:     3000,
			Replicas: env.SessionReplicas,
			Login:    login,
			Env: map[string]string{
				"PLATFORM_API_INTERNAL_URL": api.Web.URL(),
				"NUXT_PUBLIC_OPERATOR_URL":  env.URL(env.Hosts.Operator),
			},
			Probes: nuxtProbes(),
			Assumed: components.Assumed{
				Probes: true,
				User:   true,
				Files:  true,
				Memory: true,
				Tmp:    true,
				Env:    loginVariables(login, nil),
			},
		},
		Host:            env.Hosts.Operator,
		Internet:        true,
		InternetAssumed: true,
		Code: func(web components.WebApp) []string {
			return append(nuxt.Code(web),
				"Authorise: Authentik lets every user of dezky sign in here unless its application is bound to a group, so the code must know who is staff.")
		},
	})
}
