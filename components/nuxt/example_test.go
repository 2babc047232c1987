package nuxt_test

import (
	"fmt"

	"git.lastcloud.io/ronnibaslund/dezky/fleet/components"
	"git.lastcloud.io/ronnibaslund/dezky/fleet/components/nuxt"
)

func ExampleLogin() {
	login := nuxt.Login{
		Client: components.OIDCClient{
			Name:      "web",
			Namespace: "shop",
			Host:      "www.example.com",
			Authentik: "auth.example.com",
		},
		Sessions: &nuxt.RedisSessions{Address: "redis.data.svc.cluster.local:6379", Database: 1, Prefix: "web"},
	}
	fmt.Println(login.OIDCClient().RedirectURIs())
	fmt.Println(login.Limits())
	for _, k := range login.Secret().Keys {
		fmt.Println(k.Name)
	}
	// Output:
	// [https://www.example.com/auth/oidc/callback https://www.example.com/auth/callback]
	// 14 d without use (Redis forgets after 14 d, refresh token 30 d, cookie 30 d); one in use goes on, since each refresh by a call to `/api` starts the cookie's age anew (nuxt-oidc-auth 1.0.0-beta.11)
	// NUXT_OIDC_CLIENT_ID
	// NUXT_OIDC_CLIENT_SECRET
	// NUXT_OIDC_REDIRECT_URI
	// NUXT_OIDC_SESSION_SECRET
	// NUXT_OIDC_AUTH_SESSION_SECRET
	// NUXT_OIDC_TOKEN_KEY
	// NUXT_PUBLIC_AUTH_URL
	// SESSION_REDIS_URL
}
