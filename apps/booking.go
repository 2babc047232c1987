package apps

import (
	"git.lastcloud.io/ronnibaslund/dezky/fleet/components"
	"git.lastcloud.io/ronnibaslund/dezky/fleet/components/nuxt"
	"git.lastcloud.io/ronnibaslund/dezky/fleet/components/secret"
)

// booking is the public booking page: no sign-in.
func booking(env Environment, api App) App {
	return env.app(App{
		Web: components.WebApp{
			Name: "booking",
			Port: 3000,
			Env: map[string]string{
				"PLATFORM_API_INTERNAL_URL": api.Web.URL(),
				"NUXT_PUBLIC_SITE_URL":      env.URL(env.Hosts.Booking),
			},
			Probes: nuxtProbes(),
			Assumed: components.Assumed{
				Probes: true,
				User:   true,
				Files:  true,
				Memory: true,
				Tmp:    true,
				Twice:  true,
			},
		},
		Host: env.Hosts.Booking,
		Keys: []secret.Key{{
			Name: "NUXT_PUBLIC_TURNSTILE_SITE_KEY", Purpose: "Cloudflare Turnstile site key; public, browsers see it",
			Source: "Cloudflare, Turnstile, the site of " + env.Host(env.Hosts.Booking),
		}},
		Internet:        true,
		InternetAssumed: true,
		Code:            nuxt.Code,
	})
}
