package authentik_test

import (
	"fmt"

	corev1 "k8s.io/api/core/v1"

	"git.lastcloud.io/ronnibaslund/dezky/fleet/components"
	"git.lastcloud.io/ronnibaslund/dezky/fleet/components/authentik"
)

func ExampleBlueprint() {
	blueprint := authentik.Blueprint{
		Name: "shop", Namespace: "auth",
		Version: authentik.Version{2026, 8},
		Clients: []components.OIDCClient{{
			Name: "shop", Namespace: "shop",
			Host: "shop.example.com", Authentik: "auth.example.com",
			CallbackPaths: []string{"/auth/callback"}, LogoutPath: "/signed-out",
		}},
	}
	objects, err := blueprint.Objects()
	if err != nil {
		fmt.Println(err)
		return
	}
	fmt.Print(objects[0].(*corev1.ConfigMap).Data["shop.yaml"])
	// Output:
	// version: 1
	// metadata:
	//   name: shop
	// entries:
	//   - model: authentik_providers_oauth2.oauth2provider
	//     id: provider-shop
	//     state: present
	//     identifiers:
	//       name: shop
	//       pk: !Find [authentik_providers_oauth2.oauth2provider, [client_id, !Env OIDC_SHOP_CLIENT_ID]]
	//     attrs:
	//       authorization_flow: !Find [authentik_flows.flow, [slug, default-provider-authorization-implicit-consent]]
	//       invalidation_flow: !Find [authentik_flows.flow, [slug, default-invalidation-flow]]
	//       client_type: confidential
	//       client_id: !Env OIDC_SHOP_CLIENT_ID
	//       client_secret: !Env OIDC_SHOP_CLIENT_SECRET
	//       grant_types:
	//         - authorization_code
	//         - refresh_token
	//       redirect_uris:
	//         - matching_mode: strict
	//           url: https://shop.example.com/auth/callback
	//           redirect_uri_type: authorization
	//         - matching_mode: strict
	//           url: https://shop.example.com/signed-out
	//           redirect_uri_type: logout
	//       property_mappings:
	//         - !Find [authentik_providers_oauth2.scopemapping, [managed, goauthentik.io/providers/oauth2/scope-openid]]
	//         - !Find [authentik_providers_oauth2.scopemapping, [managed, goauthentik.io/providers/oauth2/scope-profile]]
	//         - !Find [authentik_providers_oauth2.scopemapping, [managed, goauthentik.io/providers/oauth2/scope-email]]
	//         - !Find [authentik_providers_oauth2.scopemapping, [managed, goauthentik.io/providers/oauth2/scope-offline_access]]
	//       access_token_validity: hours=1
	//       refresh_token_validity: days=30
	//       refresh_token_threshold: seconds=0
	//       signing_key: !If [!Find [authentik_crypto.certificatekeypair, [name, authentik Self-signed Certificate]], !Find [authentik_crypto.certificatekeypair, [name, authentik Self-signed Certificate]], !KeyOf signing-key-not-found]
	//       issuer_mode: per_provider
	//   - model: authentik_core.application
	//     state: present
	//     identifiers:
	//       slug: shop
	//     attrs:
	//       name: shop
	//       provider: !KeyOf provider-shop
	//       meta_launch_url: https://shop.example.com/
}
