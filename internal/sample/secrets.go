package sample

import (
	"git.lastcloud.io/ronnibaslund/dezky/fleet/components/secret"
	"git.lastcloud.io/ronnibaslund/dezky/fleet/secrets"
)

func (t tier) secrets() secrets.Set {
	all := []secret.Contract{
		platformSecret(),
		t.portal().Secret(),
		t.bookingSecret(),
		t.operator().Secret(),
		pullSecret(Repositories()...),
	}
	if t.production() {
		all = append(all, runnerSecret())
	}
	return secrets.Set{
		Secrets:        append(all, t.blueprint().Secret()),
		Domains:        []string{t.env.Domain},
		ForeignDomains: Environments().Foreign(t.env.Domain),
	}
}

func platformSecret() secret.Contract {
	const peer, later = "another tier", "it is not there yet"
	return secret.Contract{Name: "platform-api-secrets", Namespace: namespace, Keys: []secret.Key{
		{Name: "MONGODB_URI", Purpose: "Database", Source: peer, Format: secret.URI{Scheme: "mongodb", Host: mongo, Password: true}, Rotation: secret.RotationNeedsPeer},
		{Name: "SCHEDULING_CREDENTIAL_KEY", Purpose: "Encrypts credentials", Format: secret.Hex(32), Backup: true, Rotation: secret.RotationLosesData},
		{Name: "STALWART_ADMIN_PASSWORD", Purpose: "Mail server", Source: peer, Rotation: secret.RotationNeedsPeer},
		{Name: "STALWART_WEBHOOK_SECRET", Purpose: "Mail server's webhook", Source: peer, Rotation: secret.RotationNeedsPeer},
		{Name: "AUTHENTIK_API_TOKEN", Purpose: "Authentik's API", Source: peer, Rotation: secret.RotationNeedsPeer},
		{Name: "AUDIT_SIGNING_KEY", Purpose: "Signs the audit log", Format: secret.Hex(32), Backup: true, Rotation: secret.RotationLosesData},
		{Name: "AUDIT_COLD_ACCESS_KEY", Purpose: "Object storage, access key", Source: peer, Placeholder: later},
		{Name: "AUDIT_COLD_SECRET_KEY", Purpose: "Object storage, secret key", Source: peer, Placeholder: later},
		{Name: "OCIS_SVC_PASSWORD", Purpose: "Files tier", Source: peer, Placeholder: later, Rotation: secret.RotationNeedsPeer},
	}}
}

func (t tier) bookingSecret() secret.Contract {
	return secret.Contract{Name: "booking-secrets", Namespace: namespace, Keys: []secret.Key{
		{Name: "NUXT_PUBLIC_TURNSTILE_SITE_KEY", Purpose: "Site key", Source: "the site of " + t.env.Host("booking")},
	}}
}

// pullSecret is the credential for the registry, with the images that are
// pulled with it.
func pullSecret(images ...string) secret.Contract {
	return secret.Contract{
		Name: "registry-pull", Namespace: namespace, Type: "kubernetes.io/dockerconfigjson",
		Keys: []secret.Key{{
			Name: ".dockerconfigjson", Purpose: "Pulls the images", Source: "the registry",
			Format: secret.DockerConfig{Registry: registryHost, Images: images},
		}},
	}
}

// runnerSecret is one that no rendered object reads.
func runnerSecret() secret.Contract {
	return secret.Contract{Name: "runner-registration", Namespace: "sample-ci", Keys: []secret.Key{
		{Name: "token", Purpose: "Registers the runner", Source: "the forge"},
	}}
}
