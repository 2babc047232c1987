package apps

import (
	"git.lastcloud.io/ronnibaslund/dezky/fleet/components"
	"git.lastcloud.io/ronnibaslund/dezky/fleet/components/secret"
)

// booking is the public booking page: no sign-in.
func booking(env Environment, api components.WebApp) App {
	secret := secret.Contract{
		Name:      "booking-secrets",
		Namespace: namespace,
		Keys: []secret.Key{{
			Name: "NUXT_PUBLIC_TURNSTILE_SITE_KEY", Purpose: "Cloudflare Turnstile site key; public, browsers see it",
			Source: "Cloudflare, Turnstile, the site of " + env.Host(env.Hosts.Booking),
		}},
	}
	web := components.WebApp{
		Name:       "booking",
		Namespace:  namespace,
		Image:      env.Image("booking"),
		PullSecret: pullSecret(),
		Port:       3000,
		Env: map[string]string{
			"PLATFORM_API_INTERNAL_URL": api.URL(),
			"NUXT_PUBLIC_SITE_URL":      env.URL(env.Hosts.Booking),
		},
		SecretEnv: secret.Env(),
		Probes:    nuxtProbes(),
		Assumed: components.Assumed{
			Probes: true,
			User:   true,
			Files:  true,
			Memory: true,
			Twice:  true,
		},
	}
	return App{
		Web:             web,
		Ingress:         env.ingress(env.Hosts.Booking, web),
		Internet:        true,
		InternetAssumed: true,
		Secret:          secret,
		Code:            nuxtCode(web),
	}
}
