package apps

import (
	"fmt"

	"git.lastcloud.io/ronnibaslund/dezky/fleet/components"
)

// platformAPI is the backend.
func platformAPI(env Environment, portal *components.OIDCClient) App {
	secret := platformSecrets()
	config := platformConfig(portal)
	variables := secret.Env()
	// The audience of a token is the client's id, which stands in the
	// client's Secret: read there, it cannot differ from it.
	variables["AUTHENTIK_AUDIENCE"] = portal.Secret().Key(components.KeyClientID)

	web := components.WebApp{
		Name:       "platform-api",
		Namespace:  namespace,
		Image:      env.Image("platform-api"),
		PullSecret: pullSecret(),
		Port:       3001,
		Config:     &config,
		Env:        map[string]string{"DEZKY_ENV": env.Name},
		SecretEnv:  variables,
		Probes:     components.Probes{Startup: "/health/live", Readiness: "/health/ready", Liveness: "/health/live"},
		Assumed: components.Assumed{
			Probes: true,
			User:   true,
			Files:  true,
			Memory: true,
			Twice:  true,
			Env:    map[string]string{"DEZKY_ENV": printenv("platform-api", "DEZKY_ENV")},
		},
	}
	return App{
		Web:             web,
		Ingress:         env.ingress(env.Hosts.API, web),
		Config:          &config,
		Secret:          secret,
		Internet:        true,
		InternetAssumed: true,
		Code: []string{
			"On SIGTERM, finish the requests under way: Nest does so after `app.enableShutdownHooks()`.",
			"Accept tokens of the issuer `AUTHENTIK_ISSUER` for the audience `AUTHENTIK_AUDIENCE`, with the keys at `AUTHENTIK_JWKS_URL`.",
		},
	}
}

// platformConfig is what platform-api must know and everybody may.
func platformConfig(portal *components.OIDCClient) components.ConfigMap {
	return components.ConfigMap{
		Name:      "platform-api-config",
		Namespace: namespace,
		Assumed:   true,
		Data: map[string]string{
			"AUTHENTIK_ISSUER":           portal.Issuer(),
			"AUTHENTIK_JWKS_URL":         portal.JWKS(),
			"AUTHENTIK_API_URL":          authentikAPI(portal.Authentik),
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
}

// authentikAPI returns the address of Authentik's admin API: the public one,
// which is known, until the Service is confirmed.
func authentikAPI(host string) string {
	if n := authentikServer(); !n.assumed {
		return "http://" + n.Address() + "/api/v3"
	}
	return "https://" + host + "/api/v3"
}

// platformSecrets is the contract of platform-api-secrets.
func platformSecrets() components.Secret {
	const host = "the same value as in config.env of the mail server's host"
	return components.Secret{
		Name:      "platform-api-secrets",
		Namespace: namespace,
		Keys: []components.SecretKey{
			{
				Name: "MONGODB_URI", Purpose: "Portal and app database",
				Source: "the credentials of the MongoDB in " + dataNamespace,
				Format: components.URI{Scheme: "mongodb", Host: mongoDB().Address(), Password: true}, Rotation: components.RotationNeedsPeer,
			},
			{
				Name: "SCHEDULING_CREDENTIAL_KEY", Purpose: "AES key that encrypts stored scheduling credentials",
				Format: components.Hex(32), Backup: true, Rotation: components.RotationLosesData,
			},
			{
				Name: "STALWART_ADMIN_PASSWORD", Purpose: "JMAP management of the mail server",
				Source: host, Rotation: components.RotationNeedsPeer,
			},
			{
				Name: "STALWART_WEBHOOK_SECRET", Purpose: "HMAC of the audit webhook",
				Source: host, Rotation: components.RotationNeedsPeer,
			},
			{
				Name: "AUTHENTIK_API_TOKEN", Purpose: "Authentik's admin API, for provisioning",
				Source: "AUTHENTIK_BOOTSTRAP_TOKEN of Secret " + authNamespace + "/authentik-secret. " +
					"It may do everything: a token of a service account that may only provision is better",
				Rotation: components.RotationNeedsPeer,
			},
			{
				Name: "AUDIT_SIGNING_KEY", Purpose: "Signs the hash chain of the audit log",
				Format: components.Hex(32), Backup: true, Rotation: components.RotationLosesData,
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
				Source: "the OCIS layer", Placeholder: "OCIS is not deployed yet", Rotation: components.RotationNeedsPeer,
			},
		},
	}
}
