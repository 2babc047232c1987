package apps

import (
	"flag"
	"fmt"
	"maps"
	"reflect"
	"slices"
	"strings"
	"testing"

	autoscalingv2 "k8s.io/api/autoscaling/v2"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/equality"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/yaml"

	"git.lastcloud.io/ronnibaslund/dezky/fleet/components"
	"git.lastcloud.io/ronnibaslund/dezky/fleet/components/nuxt"
	"git.lastcloud.io/ronnibaslund/dezky/fleet/components/secret"
	"git.lastcloud.io/ronnibaslund/dezky/fleet/golden"
	"git.lastcloud.io/ronnibaslund/dezky/fleet/render"
)

// goldenTag looks like the commit to which a release pins the images.
const goldenTag = "0123456789abcdef0123456789abcdef01234567"

func testTree(t *testing.T, environment string) render.Tree {
	t.Helper()
	tree, err := Tree(environment, render.Images{Tag: goldenTag})
	if err != nil {
		t.Fatal(err)
	}
	return tree
}

var update = flag.Bool("update", false, "accept what is rendered: write the golden files")

func TestGolden(t *testing.T) {
	for _, env := range Environments().Names() {
		t.Run(env, func(t *testing.T) {
			golden.Check(t, testTree(t, env), golden.Options{Dir: "../golden/" + env, Update: *update})
		})
	}
}

// TestRoundTrip reads every document back into its Go type.
func TestRoundTrip(t *testing.T) {
	for _, env := range Environments().Names() {
		for _, layer := range testTree(t, env).Layers {
			for _, file := range layer.Files {
				for _, c := range file.Components {
					objects, err := c.Objects()
					if err != nil {
						t.Fatal(err)
					}
					for _, o := range objects {
						text, err := render.YAML(o)
						if err != nil {
							t.Fatal(err)
						}
						back := reflect.New(reflect.TypeOf(o).Elem()).Interface()
						if err := yaml.UnmarshalStrict(text, back); err != nil {
							t.Fatalf("%s/%s: %v", layer.Name, file.Name, err)
						}
						if !equality.Semantic.DeepEqual(o, back) {
							t.Errorf("%s/%s: %T %s does not come back as it was", layer.Name, file.Name, o, o.GetName())
						}
					}
				}
			}
		}
	}
}

// texts are the rendered files by path.
func texts(t *testing.T, tree render.Tree) map[string]string {
	t.Helper()
	files, _, err := tree.Files()
	if err != nil {
		t.Fatal(err)
	}
	m := make(map[string]string, len(files))
	for _, f := range files {
		m[f.Path] = string(f.Data)
	}
	return m
}

// TestTier holds the production files against the tier as it is run: names,
// hosts, ports, replicas, variables and keys.
func TestTier(t *testing.T) {
	files := texts(t, testTree(t, "production"))
	for _, tc := range []struct {
		app, host string
		port      int
		replicas  int
		env       []string
		secretEnv []string
	}{
		{"platform-api", "api.dezky.eu", 3001, 1,
			[]string{"PORT", "DEZKY_ENV"},
			[]string{"MONGODB_URI", "SCHEDULING_CREDENTIAL_KEY", "STALWART_ADMIN_PASSWORD", "STALWART_WEBHOOK_SECRET", "AUTHENTIK_API_TOKEN", "AUDIT_SIGNING_KEY", "AUDIT_COLD_ACCESS_KEY", "AUDIT_COLD_SECRET_KEY", "OCIS_SVC_PASSWORD"}},
		{"portal", "app.dezky.eu", 3000, 2,
			[]string{"PLATFORM_API_INTERNAL_URL", "NUXT_API_BASE", "NUXT_PUBLIC_PORTAL_URL", "NUXT_PUBLIC_MAIL_URL", "NUXT_PUBLIC_AUTH_URL", "NUXT_OIDC_REDIRECT_URI"},
			[]string{"NUXT_OIDC_CLIENT_ID", "NUXT_OIDC_CLIENT_SECRET", "NUXT_OIDC_SESSION_SECRET", "NUXT_OIDC_TOKEN_KEY", "SESSION_REDIS_URL"}},
		{"booking", "booking.dezky.eu", 3000, 1,
			[]string{"PLATFORM_API_INTERNAL_URL", "NUXT_PUBLIC_SITE_URL"},
			[]string{"NUXT_PUBLIC_TURNSTILE_SITE_KEY"}},
		{"operator", "operator.dezky.eu", 3000, 2,
			[]string{"NUXT_PUBLIC_AUTH_URL", "NUXT_PUBLIC_OPERATOR_URL", "NUXT_OIDC_REDIRECT_URI"},
			[]string{"NUXT_OIDC_CLIENT_ID", "NUXT_OIDC_CLIENT_SECRET", "NUXT_OIDC_SESSION_SECRET", "NUXT_OIDC_TOKEN_KEY", "SESSION_REDIS_URL"}},
	} {
		text := files["apps/"+tc.app+".yaml"]
		wants := []string{
			fmt.Sprintf("image: git.lastcloud.io/ronnibaslund/dezky/%s:%s\n", tc.app, goldenTag),
			fmt.Sprintf("containerPort: %d\n", tc.port),
			fmt.Sprintf("  - port: %d\n", 0),
			fmt.Sprintf("\n  replicas: %d\n", tc.replicas),
			"  - host: " + tc.host + "\n",
			"secretName: " + tc.app + "-tls\n",
			"cert-manager.io/cluster-issuer: letsencrypt-prod\n",
			"ingressClassName: traefik\n",
			"router.middlewares: dezky-apps-redirect-https@kubernetescrd",
			"namespace: dezky-apps\n",
		}
		wants[2] = fmt.Sprintf("    port: %d\n", tc.port)
		for _, name := range tc.env {
			wants = append(wants, "- name: "+name+"\n          value: ")
		}
		for _, key := range tc.secretEnv {
			wants = append(wants, fmt.Sprintf("- name: %s\n          valueFrom:\n            secretKeyRef:\n              key: %[1]s\n              name: %s-secrets\n", key, tc.app))
		}
		for _, want := range wants {
			if !strings.Contains(text, want) {
				t.Errorf("apps/%s.yaml has no\n%s", tc.app, want)
			}
		}
		if !strings.Contains(files["README.md"], "\n"+tc.host+"\n") {
			t.Errorf("README.md: no DNS record for %s", tc.host)
		}
	}
	for path, wants := range map[string][]string{
		"apps/platform-api-config.yaml": {
			"AUTHENTIK_ISSUER: https://auth.dezky.eu/application/o/portal/\n", "AUTHENTIK_JWKS_URL: https://auth.dezky.eu/application/o/portal/jwks/\n",
			"AUTHENTIK_API_URL: ", "STALWART_URL: http://10.42.0.1:8080\n", "OCIS_URL: ", "AUDIT_COLD_ENDPOINT: ", "FEATURE_",
		},
		"ci/ci-deployer.yaml":          {"name: ci-deployer-token\n", "type: kubernetes.io/service-account-token\n", "- middlewares\n"},
		"ci/00-namespaces.yaml":        {"name: dezky-apps\n"},
		"auth/blueprint.yaml":          {"scope-offline_access", "OIDC_PORTAL_CLIENT_SECRET", "OIDC_OPERATOR_CLIENT_SECRET"},
		"secrets/secrets.example.yaml": {"mongo.dezky-data.svc.cluster.local:27017", "redis.dezky-data.svc.cluster.local:6379/1", "name: registry-pull\n", "AUTHENTIK_BOOTSTRAP_TOKEN"},
	} {
		for _, want := range wants {
			if !strings.Contains(files[path], want) {
				t.Errorf("%s has no %q", path, want)
			}
		}
	}
}

// TestNotes: production says what its operator should know, and nothing is an
// orphan.
func TestNotes(t *testing.T) {
	tree, err := Tree("production", render.Images{Pins: map[string]string{"portal": "v1"}})
	if err != nil {
		t.Fatal(err)
	}
	_, report, err := tree.Files()
	if err != nil {
		t.Fatal(err)
	}
	want := []string{"the production images of platform-api, booking, operator follow the tag latest", "OIDCClient operator: the session store forgets after 14 d", "OIDCClient portal: the session store forgets after 14 d"}
	if len(report.Notes) != len(want) {
		t.Errorf("notes: %s", strings.Join(report.Notes, "\n"))
	}
	for i, note := range report.Notes[:min(len(want), len(report.Notes))] {
		if !strings.HasPrefix(note, want[i]) {
			t.Errorf("note %q, want %s…", note, want[i])
		}
	}
	if _, report, err = testTree(t, "development").Files(); err != nil || len(report.Notes) != 0 {
		t.Errorf("development: notes %q, error %v", report.Notes, err)
	}
}

// TestHostInOnePlace changes the portal's host where it is stated, and looks
// for what is left of the old one.
func TestHostInOnePlace(t *testing.T) {
	env := Environments()[0]
	env.Hosts.Portal = "my"
	files := texts(t, newTier(env).tree())
	for path, text := range files {
		if strings.Contains(text, "app.dezky.eu") {
			t.Errorf("%s still has the old host", path)
		}
	}
	for path, want := range map[string][]string{
		"apps/portal.yaml": {
			"- host: my.dezky.eu\n", "    - my.dezky.eu\n", // rule and certificate
			"value: https://my.dezky.eu/auth/oidc/callback\n", "value: https://my.dezky.eu/auth/callback\n",
			"- name: NUXT_PUBLIC_PORTAL_URL\n          value: https://my.dezky.eu\n",
			"- name: NUXT_OIDC_PROVIDERS_OIDC_LOGOUT_REDIRECT_URI\n          value: https://my.dezky.eu/signed-out\n",
		},
		"auth/blueprint.yaml":          {"url: https://my.dezky.eu/auth/oidc/callback\n", "url: https://my.dezky.eu/auth/callback\n", "meta_launch_url: https://my.dezky.eu/\n"},
		"README.md":                    {"\nmy.dezky.eu\n", "[my.dezky.eu](https://my.dezky.eu)", "`https://my.dezky.eu/auth/callback`"},
		"secrets/secrets.example.yaml": {"https://my.dezky.eu/auth/callback"},
	} {
		for _, w := range want {
			if !strings.Contains(files[path], w) {
				t.Errorf("%s has no %q", path, w)
			}
		}
	}
}

// TestThirdEnvironment: it is one more value, also below another's domain.
func TestThirdEnvironment(t *testing.T) {
	env := Environments()[0]
	env.Name, env.Domain = "staging", "staging.dezky.eu"
	files := texts(t, newTier(env).tree())
	if !strings.Contains(files["apps/portal.yaml"], "- host: app.staging.dezky.eu\n") {
		t.Error("the portal has no host below the domain")
	}
	filled := strings.ReplaceAll(files["secrets/secrets.example.yaml"], secret.Placeholder, "booking.staging.dezky.eu")
	for _, f := range newTier(env).secrets().Check([]byte(filled)) {
		if strings.Contains(f.Problem, "another environment") {
			t.Errorf("the own domain is taken for another's: %s", f)
		}
	}
	tr := newTier(env)
	named(t, tr.apps, "platform-api").Web.Env["URL"] = "https://app.dezky.eu"
	if _, _, err := tr.tree().Files(); err == nil || !strings.Contains(err.Error(), "holds app.dezky.eu, of the domain of another environment") {
		t.Errorf("an address of production passes: %v", err)
	}
}

// named is the app of that name.
func named(t *testing.T, apps []App, name string) *App {
	t.Helper()
	for i := range apps {
		if apps[i].Web.Name == name {
			return &apps[i]
		}
	}
	t.Fatalf("there is no app %s", name)
	return nil
}

// TestIncidents plants each incident of the tier's past in its definitions,
// and reads the refusal.
func TestIncidents(t *testing.T) {
	edit := func(change func(*tier)) func() render.Tree {
		return func() render.Tree {
			tr := newTier(Environments()[0])
			change(&tr)
			return tr.tree()
		}
	}
	login := func(name string, change func(*nuxt.Login)) func() render.Tree {
		return edit(func(tr *tier) {
			web := &named(t, tr.apps, name).Web
			l := web.Login.(nuxt.Login)
			change(&l)
			web.Login = l
		})
	}
	// The Ingress follows from the app, so a fault is planted behind the tier.
	ingress := func(name string, change func(*components.TLSIngress)) func() render.Tree {
		return func() render.Tree {
			tree := newTier(Environments()[0]).tree()
			for _, layer := range tree.Layers {
				for _, file := range layer.Files {
					for i, c := range file.Components {
						if t, ok := c.(components.TLSIngress); ok && t.Backend.Service().Name == name {
							change(&t)
							file.Components[i] = t
						}
					}
				}
			}
			return tree
		}
	}
	for _, tc := range []struct {
		name string
		tree func() render.Tree
		want string
	}{
		{"no offline_access", login("operator", func(l *nuxt.Login) { l.Client.Scopes = []string{"openid", "profile", "email"} }), "apps/operator.yaml: WebApp dezky-apps/operator: login.client.scopes: Invalid value: [\"openid\",\"profile\",\"email\"]: must contain offline_access, since the app refreshes by itself"},
		{"two replicas on sessions in memory", login("portal", func(l *nuxt.Login) { l.Sessions, l.Development = nil, true }), "apps/portal.yaml: WebApp dezky-apps/portal: replicas: Invalid value: 2: sessions are in the memory of one pod"},
		{"an autoscaler typed out over sessions in memory", func() render.Tree {
			env := Environments()[1]
			tree := newTier(env).tree()
			for l, layer := range tree.Layers {
				for f, file := range layer.Files {
					for _, c := range file.Components {
						if web, ok := c.(components.WebApp); ok && web.Login != nil && web.Login.OnePod() != "" {
							scaler := &autoscalingv2.HorizontalPodAutoscaler{
								TypeMeta:   metav1.TypeMeta{APIVersion: "autoscaling/v2", Kind: "HorizontalPodAutoscaler"},
								ObjectMeta: metav1.ObjectMeta{Namespace: web.Namespace, Name: web.Name},
								Spec: autoscalingv2.HorizontalPodAutoscalerSpec{
									ScaleTargetRef: autoscalingv2.CrossVersionObjectReference{APIVersion: "apps/v1", Kind: "Deployment", Name: web.Name},
									MaxReplicas:    2,
								},
							}
							tree.Layers[l].Files[f].Components = append(file.Components, components.Plain(scaler))
							return tree
						}
					}
				}
			}
			t.Fatal("no app keeps its sessions in memory")
			return tree
		}, "spec.maxReplicas: 2: lets Deployment "},
		{"sessions that a release ends", edit(func(tr *tier) {
			web := &named(t, tr.apps, "portal").Web
			l := web.Login.(nuxt.Login)
			l.Sessions = nil
			web.Login, web.Replicas = l, 1
		}), "login.sessions: Required value: outside development sessions must be shared"},
		{"an environment that forgot to share its sessions", func() render.Tree {
			env := Environments()[0]
			env.SharedSessions, env.SessionReplicas = false, 1
			return newTier(env).tree()
		}, "apps/portal.yaml: WebApp dezky-apps/portal: login.sessions: Required value: outside development sessions must be shared"},
		{"one key prefix for two apps", login("operator", func(l *nuxt.Login) { s := *l.Sessions; s.Prefix = "portal"; l.Sessions = &s }), "uses the keys portal:* in Redis redis.dezky-data.svc.cluster.local:6379, database 1, and so does apps/operator.yaml: dezky-apps/operator: each needs its own"},
		{"one slug for two apps", login("operator", func(l *nuxt.Login) { l.Client.Slug = "portal" }), "uses the Authentik slug portal at auth.dezky.eu, and so does apps/operator.yaml: dezky-apps/operator"},
		{"sign-out to the other environment", edit(func(tr *tier) {
			named(t, tr.apps, "operator").Web.Env["NUXT_PUBLIC_SIGN_OUT_URL"] = "https://auth.dezky.local/application/o/operator/end-session/"
		}), `apps/operator.yaml: Deployment dezky-apps/operator: "value: https://auth.dezky.local/application/o/operator/end-session/" holds auth.dezky.local, of the domain of another environment`},
		{"the client of the other environment", login("operator", func(l *nuxt.Login) { l.Client.Authentik = "auth.dezky.local" }), "holds auth.dezky.local, of the domain of another environment"},
		{"plain HTTP", edit(func(tr *tier) {
			named(t, tr.apps, "portal").Web.Env["NUXT_PUBLIC_PORTAL_URL"] = "http://app.dezky.eu"
		}), `"value: http://app.dezky.eu" sends to app.dezky.eu in plain HTTP`},
		{"a sign-in at another host than the Ingress", ingress("portal", func(i *components.TLSIngress) { i.Host = "www.dezky.eu" }), `apps/portal.yaml: TLSIngress dezky-apps/portal: host: Invalid value: "www.dezky.eu": the sign-in of portal sends browsers back to app.dezky.eu`},
		{"a key that no contract has", edit(func(tr *tier) {
			a := named(t, tr.apps, "platform-api")
			a.Web.SecretEnv["NEW_KEY"] = a.contract().Key("NEW_KEY")
		}), "apps/platform-api.yaml: Deployment dezky-apps/platform-api: spec.template.spec.containers[platform-api].env[NEW_KEY]: Secret dezky-apps/platform-api-secrets has no key NEW_KEY: its keys are"},
		{"a redirect that outranks ACME", ingress("platform-api", func(i *components.TLSIngress) {
			i.Changes = []components.Change{components.Edit(func(o components.Object) {
				a := o.GetAnnotations()
				a["traefik.ingress.kubernetes.io/router.priority"] = "100"
				o.SetAnnotations(a)
			})}
		}), "Ingress dezky-apps/platform-api: metadata.annotations[traefik.ingress.kubernetes.io/router.priority]: can outrank cert-manager's HTTP-01 solver"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			_, _, err := tc.tree().Files()
			if err == nil || !strings.Contains(err.Error(), tc.want) {
				t.Errorf("the error is\n%v\nwant in it\n%s", err, tc.want)
			}
		})
	}
}

// TestReplicasStand: a scaling by hand never outlives a release by chance.
func TestReplicasStand(t *testing.T) {
	for _, env := range Environments().Names() {
		for path, text := range texts(t, testTree(t, env)) {
			if strings.Count(text, "\nkind: Deployment\n") != strings.Count(text, "\n  replicas: ") {
				t.Errorf("%s, %s: a Deployment states no replicas", env, path)
			}
		}
	}
}

// TestContracts: each Secret that an object names has a contract, with the
// right keys, and the template has every key of every contract.
func TestContracts(t *testing.T) {
	for _, env := range Environments() {
		tr := newTier(env)
		template := texts(t, testTree(t, env.Name))["secrets/secrets.example.yaml"]
		var names []string
		for doc := range strings.SplitSeq(template, "\n---\n") {
			var s corev1.Secret
			if err := yaml.UnmarshalStrict([]byte(doc), &s); err != nil {
				t.Fatal(err)
			}
			for key := range s.StringData {
				names = append(names, s.Namespace+"/"+s.Name+"."+key)
			}
		}
		var want []string
		for _, s := range tr.contracts() {
			for _, k := range s.Keys {
				want = append(want, s.Key(k.Name).String())
			}
		}
		slices.Sort(names)
		slices.Sort(want)
		if !slices.Equal(names, want) {
			t.Errorf("%s: the template has\n%v\nthe contracts\n%v", env.Name, names, want)
		}
	}
}

// TestTokenPairs: whatever app signs users in, platform-api is given the issuer
// of its tokens, the client id that is their audience, and their keys, each
// pair under names of its own.
func TestTokenPairs(t *testing.T) {
	for _, env := range Environments() {
		tr := newTier(env)
		api := slices.IndexFunc(tr.apps, func(a App) bool { return a.Host == env.Hosts.API })
		web := tr.apps[api].Web
		got := make(map[string]secret.Ref) // audience by issuer
		for name, issuer := range web.Config.Data {
			prefix, ok := strings.CutSuffix(name, "_ISSUER")
			if !ok {
				continue
			}
			got[issuer] = web.SecretEnv[prefix+"_AUDIENCE"]
			if jwks := web.Config.Data[prefix+"_JWKS_URL"]; jwks != issuer+"jwks/" {
				t.Errorf("%s: the keys of %s are at %q", env.Name, issuer, jwks)
			}
		}
		want := make(map[string]secret.Ref)
		for _, a := range tr.apps {
			if a.Web.Login != nil {
				c := a.Web.Login.OIDCClient()
				want[c.Issuer()] = c.ClientID()
			}
		}
		if len(want) == 0 || !maps.Equal(got, want) {
			t.Errorf("%s: platform-api takes %v, the apps that sign in have %v", env.Name, got, want)
		}
	}
}

// TestBlueprintNames: no two environments have a blueprint of one name, at
// which an Authentik that sees both would stop looking for blueprints.
func TestBlueprintNames(t *testing.T) {
	seen := make(map[string]string)
	for _, env := range Environments() {
		b := newTier(env).blueprint()
		objects, err := b.Objects()
		if err != nil {
			t.Fatal(err)
		}
		var inside []string
		for _, text := range objects[0].(*corev1.ConfigMap).Data {
			for line := range strings.SplitSeq(text, "\n") {
				if name, ok := strings.CutPrefix(line, "  name: "); ok {
					inside = append(inside, name)
				}
			}
		}
		if !slices.Equal(inside, []string{b.Name}) {
			t.Errorf("%s: the blueprint %s calls itself %v", env.Name, b.Name, inside)
		}
		if other, ok := seen[b.Name]; ok {
			t.Errorf("%s and %s have the blueprint %s", env.Name, other, b.Name)
		}
		seen[b.Name] = env.Name
	}
}
