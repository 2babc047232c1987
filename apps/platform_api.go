package apps

import (
	"fmt"
	"strings"

	"git.lastcloud.io/ronnibaslund/dezky/fleet/components"
	"git.lastcloud.io/ronnibaslund/dezky/fleet/components/secret"
)

// platformAPI is the backend. Its callers send the tokens of their users, made
// for the given clients of Authentik.
func platformAPI(env Environment, clients ...components.OIDCClient) App {
	config := platformConfig(clients)
	audiences := make(map[string]secret.Ref, len(clients))
	var pairs []string
	for i, c := range clients {
		// The audience of a token is the client's id, which stands in the
		// client's Secret: read there, it cannot differ from it.
		audience := tokenVariable(clients, i, "AUDIENCE")
		audiences[audience] = c.ClientID()
		pairs = append(pairs, fmt.Sprintf("`%s` with `%s` and the keys at `%s` (%s)", tokenVariable(clients, i, "ISSUER"), audience, tokenVariable(clients, i, "JWKS_URL"), c.Name))
	}
	return env.app(App{
		Web: components.WebApp{
			Name:      "platform-api",
			Port:      3001,
			Config:    &config,
			Env:       map[string]string{"DEZKY_ENV": env.Name},
			SecretEnv: audiences,
			Probes:    components.Probes{Startup: "/health/live", Readiness: "/health/ready", Liveness: "/health/live"},
			Assumed: components.Assumed{
				Probes: true,
				User:   true,
				Files:  true,
				Memory: true,
				Tmp:    true,
				Twice:  true,
				Env:    map[string]string{"DEZKY_ENV": printenv("platform-api", "DEZKY_ENV")},
			},
		},
		Host:            env.Hosts.API,
		Keys:            platformKeys(),
		Internet:        true,
		InternetAssumed: true,
		Code: func(components.WebApp) []string {
			return []string{
				"On SIGTERM, finish the requests under way: Nest does so after `app.enableShutdownHooks()`.",
				"Each app calls with the access token of its own user. Accept a token whose issuer and audience are one of these pairs, and no other combination: " + strings.Join(pairs, "; ") + ".",
				"Take the algorithm RS256 alone, whatever the token says of itself: with another the client's secret, or nothing, could have signed it.",
				"Refuse an ID token: it has the same issuer, audience and signature, and no `azp` and no `scope`, which an access token of Authentik has.",
				"Look at `groups` in the token for what a user may do: Authentik checks no group when an app refreshes, so who is taken out of one goes on with new tokens, which have the groups of the moment.",
			}
		},
	})
}

// tokenVariable names what platform-api must know of a client's tokens. The
// first client has the names that the app has always had, the others have
// theirs in between.
func tokenVariable(clients []components.OIDCClient, i int, what string) string {
	if i == 0 {
		return "AUTHENTIK_" + what
	}
	return "AUTHENTIK_" + strings.ToUpper(strings.ReplaceAll(clients[i].Name, "-", "_")) + "_" + what
}

// platformConfig is what platform-api must know and everybody may.
func platformConfig(clients []components.OIDCClient) components.ConfigMap {
	config := components.ConfigMap{
		Name:      "platform-api-config",
		Namespace: namespace,
		Assumed:   true,
		Data: map[string]string{
			"AUTHENTIK_API_URL":          authentikAPI(clients[0].Authentik),
			"FEATURE_AUDIT_COLD_STORAGE": "false",
			"FEATURE_FILES":              "false",
			"STALWART_URL":               fmt.Sprintf("http://%s:%d", stalwartHost, stalwartPort),
		},
		Pending: map[string]components.Pending{
			"OCIS_URL": {
				Value: "http://" + ocisServer().Address(),
				Until: "OCIS is deployed; then FEATURE_FILES is true",
			},
			"AUDIT_COLD_ENDPOINT": {
				Until: "the bucket at Hetzner Object Storage exists; then FEATURE_AUDIT_COLD_STORAGE is true",
			},
		},
	}
	for i, c := range clients {
		config.Data[tokenVariable(clients, i, "ISSUER")] = c.Issuer()
		config.Data[tokenVariable(clients, i, "JWKS_URL")] = c.JWKS()
	}
	return config
}

// authentikAPI returns the address of Authentik's admin API: the public one,
// which is known, until the Service is confirmed.
func authentikAPI(host string) string {
	if n := authentikServer(); !n.assumed {
		return "http://" + n.Address() + "/api/v3"
	}
	return "https://" + host + "/api/v3"
}

// platformKeys are the keys of platform-api-secrets.
func platformKeys() []secret.Key {
	const host = "the same value as in config.env of the mail server's host"
	return []secret.Key{
		{
			Name: "MONGODB_URI", Purpose: "Portal and app database",
			Source: "the credentials of the MongoDB in " + dataNamespace,
			Format: secret.URI{Scheme: "mongodb", Host: mongoDB().Address(), Password: true}, Rotation: secret.RotationNeedsPeer,
		},
		{
			Name: "SCHEDULING_CREDENTIAL_KEY", Purpose: "AES key that encrypts stored scheduling credentials",
			Format: secret.Hex(32), Backup: true, Rotation: secret.RotationLosesData,
		},
		{
			Name: "STALWART_ADMIN_PASSWORD", Purpose: "JMAP management of the mail server",
			Source: host, Rotation: secret.RotationNeedsPeer,
		},
		{
			Name: "STALWART_WEBHOOK_SECRET", Purpose: "HMAC of the audit webhook",
			Source: host, Rotation: secret.RotationNeedsPeer,
		},
		{
			Name: "AUTHENTIK_API_TOKEN", Purpose: "Authentik's admin API, for provisioning",
			Source: "AUTHENTIK_BOOTSTRAP_TOKEN of Secret " + authNamespace + "/authentik-secret. " +
				"It may do everything: a token of a service account that may only provision is better",
			Rotation: secret.RotationNeedsPeer,
		},
		{
			Name: "AUDIT_SIGNING_KEY", Purpose: "Signs the hash chain of the audit log",
			Format: secret.Hex(32), Backup: true, Rotation: secret.RotationLosesData,
		},
		{
			Name: "AUDIT_COLD_ACCESS_KEY", Purpose: "Hetzner Object Storage, access key",
			Source: "the object storage's credentials", Placeholder: "the bucket does not exist yet",
		},
		{
			Name: "AUDIT_COLD_SECRET_KEY", Purpose: "Hetzner Object Storage, secret key",
			Source: "the object storage's credentials", Placeholder: "the bucket does not exist yet",
		},
		{
			Name: "OCIS_SVC_PASSWORD", Purpose: "OCIS service user, for the files tier",
			Source: "the OCIS layer", Placeholder: "OCIS is not deployed yet", Rotation: secret.RotationNeedsPeer,
		},
	}
}
