package apps

import "git.lastcloud.io/ronnibaslund/dezky/fleet/components"

// operator is where dezky's own staff sign in.
func operator(env Environment, login *components.OIDCClient, api components.WebApp) App {
	web := components.WebApp{
		Name:       "operator",
		Namespace:  namespace,
		Image:      env.Image("operator"),
		PullSecret: pullSecret(),
		Port:       3000,
		Replicas:   env.SessionReplicas,
		Login:      login,
		Env: map[string]string{
			"PLATFORM_API_INTERNAL_URL": api.URL(),
			"NUXT_PUBLIC_OPERATOR_URL":  env.URL(env.Hosts.Operator),
		},
		Probes: nuxtProbes(),
		Assumed: components.Assumed{
			Probes: true,
			User:   true,
			Files:  true,
			Memory: true,
			Env:    sessionVariables(login, nil),
		},
	}
	return App{
		Web:             web,
		Ingress:         env.ingress(env.Hosts.Operator, web),
		Internet:        true,
		InternetAssumed: true,
		Secret:          login.Secret(),
		Code: append(nuxtCode(web),
			"Authorise: Authentik lets every user of dezky sign in here unless its application is bound to a group, so the code must know who is staff."),
	}
}
