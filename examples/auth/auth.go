// Package auth is an example of another fleet layer: Authentik, with the
// blueprint of the app tier and its variables from that tier's values, and its
// database from the values of the data tier.
package auth

import (
	"errors"

	data "example.com/fleet-data"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"git.lastcloud.io/ronnibaslund/dezky/fleet/apps"
	"git.lastcloud.io/ronnibaslund/dezky/fleet/components"
	"git.lastcloud.io/ronnibaslund/dezky/fleet/components/authentik"
	"git.lastcloud.io/ronnibaslund/dezky/fleet/components/secret"
	"git.lastcloud.io/ronnibaslund/dezky/fleet/render"
	"git.lastcloud.io/ronnibaslund/dezky/fleet/render/check"
	"git.lastcloud.io/ronnibaslund/dezky/fleet/render/object"
	"git.lastcloud.io/ronnibaslund/dezky/fleet/secrets"
)

// Image of both pods. From 2025.10 on Authentik needs no Redis (its release
// notes, "Release 2025.10").
const Image = "ghcr.io/goauthentik/server:2026.8.0"

// Secret is the contract of Authentik's own Secret.
func Secret(namespace string) secret.Contract {
	return secret.Contract{Name: "authentik", Namespace: namespace, Keys: []secret.Key{
		{Name: "AUTHENTIK_SECRET_KEY", Purpose: "Signs cookies", Format: secret.Random(60), Backup: true, Rotation: secret.RotationLogsOut},
		{Name: "AUTHENTIK_POSTGRESQL__PASSWORD", Purpose: "Password of the database", SameAs: data.PostgreSQLSecret().Key("POSTGRES_PASSWORD"), Rotation: secret.RotationNeedsPeer},
	}}
}

// pod is what server and worker have in common.
func pod(name, namespace string) components.Workload {
	return components.Workload{
		Name:      name,
		Namespace: namespace,
		Image:     Image,
		Args:      []string{name[len("authentik-"):]},
		Env: map[string]string{
			"AUTHENTIK_POSTGRESQL__HOST": data.PostgreSQL().Host(),
			"AUTHENTIK_POSTGRESQL__NAME": "authentik",
			"AUTHENTIK_POSTGRESQL__USER": "postgres",
		},
		SecretEnv: Secret(namespace).Env(),
		Network:   &components.Network{To: []components.Peer{data.PostgreSQL().Peer()}},
		Assumed:   components.Assumed{User: true, Files: true, Memory: true},
	}
}

// server answers browsers and apps.
func server(namespace string) components.WebApp {
	w := pod("authentik-server", namespace)
	w.Port = 9000
	w.Probes = components.Probes{Startup: "/-/health/live/", Readiness: "/-/health/ready/", Liveness: "/-/health/live/"}
	w.Assumed.Probes = true
	// The proxy reaches it, and who else needs it says so here.
	w.Network.From = []components.Peer{{Namespace: "kube-system"}}
	return components.WebApp(w)
}

// worker applies the blueprint of the app tier: it is mounted where Authentik
// looks for it, and its variables come from the tier's contract.
func worker(b authentik.Blueprint, text map[string]string) components.Worker {
	w := pod("authentik-worker", b.Namespace)
	w.Probes.Command = []string{"ak", "healthcheck"}
	w.Volumes = []components.Volume{{
		Name: "blueprint", Path: "/blueprints/mounted/cm-" + b.Name,
		Config: &components.ConfigMap{Name: b.Name, Namespace: b.Namespace, Data: text},
	}}
	for name, ref := range b.Secret().Env() {
		w.SecretEnv[name] = ref
	}
	return components.Worker(w)
}

// Blueprint is that of the app tier, with its text.
func Blueprint(tier render.Tree) (authentik.Blueprint, map[string]string, error) {
	for _, layer := range tier.Layers {
		for _, file := range layer.Files {
			for _, c := range file.Components {
				b, ok := c.(authentik.Blueprint)
				if !ok {
					continue
				}
				objects, err := b.Objects()
				if err != nil {
					return b, nil, err
				}
				return b, objects[0].(*corev1.ConfigMap).Data, nil
			}
		}
	}
	return authentik.Blueprint{}, nil, errors.New("the app tier has no blueprint")
}

// Tree is the layer in an environment of the app tier.
func Tree(environment string, images render.Images) (render.Tree, error) {
	tier, err := apps.Tree(environment, images)
	if err != nil {
		return render.Tree{}, err
	}
	b, text, err := Blueprint(tier)
	if err != nil {
		return render.Tree{}, err
	}
	tree := render.Tree{
		Name: "Authentik, " + environment,
		Layers: []render.Layer{{Name: "authentik", Namespace: b.Namespace, Files: []render.File{
			{Name: "00-namespace", Components: []object.Component{
				components.Namespace{Name: b.Namespace, PodSecurity: "baseline"},
				components.Network{Name: "default-deny", Namespace: b.Namespace},
			}},
			{Name: "server", Components: []object.Component{server(b.Namespace)}},
			{Name: "worker", Components: []object.Component{worker(b, text)}},
		}}},
		Secrets: []secret.Contract{Secret(b.Namespace), b.Secret()},
		// The layer auth of the app tier makes it.
		Elsewhere: []check.Elsewhere{check.Declare(&corev1.ConfigMap{
			TypeMeta:   metav1.TypeMeta{APIVersion: "v1", Kind: "ConfigMap"},
			ObjectMeta: metav1.ObjectMeta{Namespace: b.Namespace, Name: b.Name},
			Data:       text,
		})},
	}
	stores, err := data.PostgreSQL().Objects()
	for _, o := range stores {
		if o.GetObjectKind().GroupVersionKind().Kind == "Service" {
			tree.Elsewhere = append(tree.Elsewhere, check.Declare(o))
		}
	}
	return tree, err
}

// Secrets are the contracts of this layer, and of those whose values it
// repeats.
func Secrets(environment string) (secrets.Set, error) {
	set, err := apps.Secrets(environment)
	if err != nil {
		return secrets.Set{}, err
	}
	tree, err := Tree(environment, render.Images{})
	if err != nil {
		return secrets.Set{}, err
	}
	set.Secrets = append(set.Secrets, Secret(tree.Layers[0].Namespace), data.PostgreSQLSecret())
	return set, nil
}
