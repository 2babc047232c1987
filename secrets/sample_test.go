package secrets_test

import (
	corev1 "k8s.io/api/core/v1"

	"git.lastcloud.io/ronnibaslund/dezky/fleet/components/secret"
	"git.lastcloud.io/ronnibaslund/dezky/fleet/secrets"
)

// sample is a Set with a key of every kind.
func sample() secrets.Set {
	worker := secret.Contract{Namespace: "auth", Name: "worker", Reader: "the worker (envFrom)", Keys: []secret.Key{
		{Name: "SHOP_CLIENT_SECRET", Purpose: "Client secret of the shop", Format: secret.Random(24), Rotation: secret.RotationNeedsPeer},
		{Name: "ADMIN_TOKEN", Purpose: "Token of the API", Format: secret.Random(24)},
	}}
	shop := secret.Contract{Namespace: "shop", Name: "shop-secrets", Keys: []secret.Key{
		{Name: "CLIENT_SECRET", Purpose: "Client secret at the sign-in", Format: secret.Random(24), SameAs: worker.Key("SHOP_CLIENT_SECRET"), Rotation: secret.RotationNeedsPeer},
		{Name: "SESSION_KEY", Purpose: "Encrypts the cookie", Format: secret.Base64(32), Rotation: secret.RotationLogsOut},
		{Name: "SIGNING_KEY", Purpose: "Signs the audit log", Format: secret.Hex(32), Backup: true, Rotation: secret.RotationLosesData},
		{Name: "DATABASE_URL", Purpose: "Database", Format: secret.URI{Scheme: "mongodb", Host: "db.data:27017", Database: "shop"}},
		{Name: "REDIRECT_URL", Purpose: "Callback after sign-in", Value: "https://shop.example.com/callback"},
		{Name: "MAIL_PASSWORD", Purpose: "Password of the mail account", Source: "the mail server's administrator"},
		{Name: "ARCHIVE_KEY", Purpose: "Access key of the archive", Placeholder: "the archive does not exist yet"},
	}}
	pull := secret.Contract{Namespace: "shop", Name: "registry", Type: corev1.SecretTypeDockerConfigJson, Keys: []secret.Key{
		{Name: ".dockerconfigjson", Purpose: "Pulls the images", Format: secret.DockerConfig{Registry: "registry.example.com"}},
	}}
	return secrets.Set{Secrets: []secret.Contract{worker, shop, pull}, ForeignDomains: []string{"example.test"}}
}

// command is a program for the sample.
func command() secrets.Command {
	return secrets.Command{
		Name:         "secrets",
		Environments: []string{"production", "development"},
		Set:          func(string) (secrets.Set, error) { return sample(), nil },
	}
}
