package secrets_test

import (
	"git.lastcloud.io/ronnibaslund/dezky/fleet/components"
	"git.lastcloud.io/ronnibaslund/dezky/fleet/components/secrets"
	corev1 "k8s.io/api/core/v1"
)

// sample is a Set with a key of every kind.
func sample() secrets.Set {
	worker := components.Secret{Namespace: "auth", Name: "worker", Reader: "the worker (envFrom)", Keys: []components.SecretKey{
		{Name: "SHOP_CLIENT_SECRET", Purpose: "Client secret of the shop", Format: components.Random(24), Rotation: components.RotationNeedsPeer},
		{Name: "ADMIN_TOKEN", Purpose: "Token of the API", Format: components.Random(24)},
	}}
	shop := components.Secret{Namespace: "shop", Name: "shop-secrets", Keys: []components.SecretKey{
		{Name: "CLIENT_SECRET", Purpose: "Client secret at the sign-in", Format: components.Random(24), SameAs: worker.Key("SHOP_CLIENT_SECRET"), Rotation: components.RotationNeedsPeer},
		{Name: "SESSION_KEY", Purpose: "Encrypts the cookie", Format: components.Base64(32), Rotation: components.RotationLogsOut},
		{Name: "SIGNING_KEY", Purpose: "Signs the audit log", Format: components.Hex(32), Backup: true, Rotation: components.RotationLosesData},
		{Name: "DATABASE_URL", Purpose: "Database", Format: components.URI{Scheme: "mongodb", Host: "db.data:27017", Database: "shop"}},
		{Name: "REDIRECT_URL", Purpose: "Callback after sign-in", Value: "https://shop.example.com/callback"},
		{Name: "MAIL_PASSWORD", Purpose: "Password of the mail account", Source: "the mail server's administrator"},
		{Name: "ARCHIVE_KEY", Purpose: "Access key of the archive", Placeholder: "the archive does not exist yet"},
	}}
	pull := components.Secret{Namespace: "shop", Name: "registry", Type: corev1.SecretTypeDockerConfigJson, Keys: []components.SecretKey{
		{Name: ".dockerconfigjson", Purpose: "Pulls the images", Format: components.DockerConfig{Registry: "registry.example.com"}},
	}}
	return secrets.Set{Secrets: []components.Secret{worker, shop, pull}, ForeignDomains: []string{"example.test"}}
}

// command is a program for the sample.
func command() secrets.Command {
	return secrets.Command{
		Name:         "secrets",
		Environments: []string{"production", "development"},
		Set:          func(string) (secrets.Set, error) { return sample(), nil },
	}
}
