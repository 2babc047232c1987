package apps

import (
	"encoding/json"
	"slices"
	"strings"
	"testing"

	"go.yaml.in/yaml/v3"
	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	networkingv1 "k8s.io/api/networking/v1"
	sigsyaml "sigs.k8s.io/yaml"

	"git.lastcloud.io/ronnibaslund/dezky/fleet/components"
)

// decode finds the document of a kind and name in a rendered file.
func decode[T any](t *testing.T, text, kind, name string) T {
	t.Helper()
	var v T
	for doc := range strings.SplitSeq(text, "\n---\n") {
		var head struct {
			Kind     string
			Metadata struct{ Name string }
		}
		if err := sigsyaml.Unmarshal([]byte(doc), &head); err != nil {
			t.Fatal(err)
		}
		if head.Kind == kind && head.Metadata.Name == name {
			if err := sigsyaml.UnmarshalStrict([]byte(doc), &v); err != nil {
				t.Fatal(err)
			}
			return v
		}
	}
	t.Fatalf("there is no %s %s", kind, name)
	return v
}

// entry is one of a blueprint's, as far as the tests read it.
type entry struct {
	Model       string `yaml:"model"`
	ID          string `yaml:"id"`
	Identifiers struct {
		Name string    `yaml:"name"`
		Slug string    `yaml:"slug"`
		PK   yaml.Node `yaml:"pk"`
	} `yaml:"identifiers"`
	Attrs struct {
		Provider         yaml.Node   `yaml:"provider"`
		ClientID         yaml.Node   `yaml:"client_id"`
		ClientSecret     yaml.Node   `yaml:"client_secret"`
		SigningKey       yaml.Node   `yaml:"signing_key"`
		PropertyMappings []yaml.Node `yaml:"property_mappings"`
		LaunchURL        string      `yaml:"meta_launch_url"`
		GrantTypes       []string    `yaml:"grant_types"`
		RedirectURIs     []struct {
			Mode string `yaml:"matching_mode"`
			URL  string `yaml:"url"`
			Type string `yaml:"redirect_uri_type"`
		} `yaml:"redirect_uris"`
	} `yaml:"attrs"`
}

// TestSeam reads the rendered files as their readers do, and holds the app,
// its Ingress, its Secret and Authentik against each other, field by field.
func TestSeam(t *testing.T) {
	for _, env := range Environments() {
		t.Run(env.Name, func(t *testing.T) {
			files := texts(t, testTree(t, env.Name))
			config := decode[corev1.ConfigMap](t, files["auth/blueprint.yaml"], "ConfigMap", "dezky-apps-"+env.Name)
			var blueprint struct {
				Version int     `yaml:"version"`
				Entries []entry `yaml:"entries"`
			}
			if err := yaml.Unmarshal([]byte(config.Data["dezky-apps-"+env.Name+".yaml"]), &blueprint); err != nil {
				t.Fatal(err)
			}
			providers := make(map[string]entry)
			for _, e := range blueprint.Entries {
				if e.ID != "" {
					providers[e.ID] = e
				}
			}
			worker := decode[corev1.Secret](t, files["secrets/secrets.example.yaml"], "Secret", "dezky-apps-"+env.Name+"-env")

			apps := 0
			for _, application := range blueprint.Entries {
				if application.Model != "authentik_core.application" {
					continue
				}
				apps++
				slug := application.Identifiers.Slug
				same := func(what, got, want string) {
					t.Helper()
					if got != want {
						t.Errorf("%s: %s is %q, want %q", slug, what, got, want)
					}
				}
				same("tag of the provider", application.Attrs.Provider.Tag, "!KeyOf")
				provider, ok := providers[application.Attrs.Provider.Value]
				if !ok {
					t.Fatalf("%s: !KeyOf %s finds no entry", slug, application.Attrs.Provider.Value)
				}

				// The app is called as its application.
				web := decode[appsv1.Deployment](t, files["apps/"+slug+".yaml"], "Deployment", slug)
				ingress := decode[networkingv1.Ingress](t, files["apps/"+slug+".yaml"], "Ingress", slug)
				secret := decode[corev1.Secret](t, files["secrets/secrets.example.yaml"], "Secret", slug+"-secrets")
				value, ref := make(map[string]string), make(map[string]string)
				for _, e := range web.Spec.Template.Spec.Containers[0].Env {
					value[e.Name] = e.Value
					if e.ValueFrom != nil {
						same("Secret of "+e.Name, e.ValueFrom.SecretKeyRef.Name, secret.Name)
						ref[e.Name] = e.ValueFrom.SecretKeyRef.Key
					}
				}
				const module = "NUXT_OIDC_PROVIDERS_OIDC_"

				// Host: Ingress, certificate, redirect URIs, launch address.
				host := ingress.Spec.Rules[0].Host
				same("host of the certificate", ingress.Spec.TLS[0].Hosts[0], host)
				same("launch address", application.Attrs.LaunchURL, "https://"+host+"/")
				var authorization, logout []string
				for _, u := range provider.Attrs.RedirectURIs {
					same("matching mode of "+u.URL, u.Mode, "strict")
					if !strings.HasPrefix(u.URL, "https://"+host+"/") {
						t.Errorf("%s: redirect URI %s is not at the Ingress host %s", slug, u.URL, host)
					}
					if u.Type == "logout" {
						logout = append(logout, u.URL)
					} else {
						authorization = append(authorization, u.URL)
					}
				}
				for _, name := range []string{module + "REDIRECT_URI", "NUXT_OIDC_REDIRECT_URI"} {
					if !slices.Contains(authorization, value[name]) {
						t.Errorf("%s: %s is %q, and the provider has %v", slug, name, value[name], authorization)
					}
				}
				same("redirect URI in the Secret", secret.StringData["NUXT_OIDC_REDIRECT_URI"], value["NUXT_OIDC_REDIRECT_URI"])
				if !slices.Contains(logout, value[module+"LOGOUT_REDIRECT_URI"]) {
					t.Errorf("%s: signs out to %q, and the provider has %v", slug, value[module+"LOGOUT_REDIRECT_URI"], logout)
				}

				// Slug and address of Authentik.
				auth := "https://" + env.Host(env.Hosts.Auth)
				same("discovery", value[module+"OPEN_ID_CONFIGURATION"], auth+"/application/o/"+slug+"/.well-known/openid-configuration")
				same("end of session", value[module+"LOGOUT_URL"], auth+"/application/o/"+slug+"/end-session/")
				same("public address of Authentik", value["NUXT_PUBLIC_AUTH_URL"], auth)
				same("its copy in the Secret", secret.StringData["NUXT_PUBLIC_AUTH_URL"], auth)

				// Scopes: what the app asks for, the provider maps.
				var scopes, mapped []string
				if err := json.Unmarshal([]byte(value[module+"SCOPE"]), &scopes); err != nil {
					t.Fatal(err)
				}
				for _, m := range provider.Attrs.PropertyMappings {
					same("tag of a mapping", m.Tag, "!Find")
					mapped = append(mapped, strings.TrimPrefix(m.Content[1].Content[1].Value, "goauthentik.io/providers/oauth2/scope-"))
				}
				if !slices.Equal(scopes, mapped) || !slices.Contains(scopes, components.ScopeOfflineAccess) {
					t.Errorf("%s: the app asks for %v, the provider maps %v", slug, scopes, mapped)
				}
				if !slices.Contains(provider.Attrs.GrantTypes, "refresh_token") {
					t.Errorf("%s: grants are %v", slug, provider.Attrs.GrantTypes)
				}
				same("tag of the signing key", provider.Attrs.SigningKey.Tag, "!If")

				// Client id and secret: the app's key and the worker's variable.
				for _, c := range []struct {
					node           yaml.Node
					key, ownName   string
					moduleVariable string
				}{
					{provider.Attrs.ClientID, "NUXT_OIDC_CLIENT_ID", "NUXT_OIDC_CLIENT_ID", "CLIENT_ID"},
					{provider.Attrs.ClientSecret, "NUXT_OIDC_CLIENT_SECRET", "NUXT_OIDC_CLIENT_SECRET", "CLIENT_SECRET"},
				} {
					same("tag of "+c.key, c.node.Tag, "!Env")
					if _, ok := worker.StringData[c.node.Value]; !ok {
						t.Errorf("%s: the worker's Secret has no %s", slug, c.node.Value)
					}
					if _, ok := secret.StringData[c.key]; !ok {
						t.Errorf("%s: the Secret has no %s", slug, c.key)
					}
					same("key of "+c.ownName, ref[c.ownName], c.key)
					same("key of "+module+c.moduleVariable, ref[module+c.moduleVariable], c.key)
				}
				same("key of the audience", ref[module+"AUDIENCE"], "NUXT_OIDC_CLIENT_ID")
				for _, name := range []string{"NUXT_OIDC_TOKEN_KEY", "NUXT_OIDC_SESSION_SECRET", "NUXT_OIDC_AUTH_SESSION_SECRET"} {
					same("key of "+name, ref[name], name)
				}

				// The session store.
				_, shared := ref["SESSION_REDIS_URL"]
				if shared != env.SharedSessions {
					t.Errorf("%s: shared sessions %v, want %v", slug, shared, env.SharedSessions)
				}
				if shared {
					same("prefix", value["SESSION_REDIS_PREFIX"], slug)
				} else if *web.Spec.Replicas != 1 {
					t.Errorf("%s: %d replicas on sessions in memory", slug, *web.Spec.Replicas)
				}
			}
			logins := 0
			for _, a := range newTier(env).apps {
				if a.Web.Login != nil {
					logins++
				}
			}
			if apps != logins || len(providers) != logins || logins == 0 {
				t.Errorf("%d applications and %d providers for %d apps with sign-in", apps, len(providers), logins)
			}
		})
	}
}
