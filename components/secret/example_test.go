package secret_test

import (
	"fmt"

	"git.lastcloud.io/ronnibaslund/dezky/fleet/components/secret"
)

func ExampleContract() {
	web := secret.Contract{
		Name: "web-secrets", Namespace: "shop",
		Keys: []secret.Key{
			{Name: "TOKEN", Purpose: "Signs in at the API", Format: secret.Hex(32)},
			{Name: "PUBLIC_URL", Purpose: "Where the shop is", Value: "https://shop.example.com"},
		},
	}
	for name, ref := range web.Env() { // for a WebApp's SecretEnv
		fmt.Println(name, "from", ref)
	}
	fmt.Println(web.Keys[0].Check("not hex"))
	// Output:
	// TOKEN from shop/web-secrets.TOKEN
	// must be 32 random bytes in hex (openssl rand -hex 32), 64 characters of 0-9 and a-f
}
