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
	"git.lastcloud.io/ronnibaslund/dezky/fleet/render/object"
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

// TestTier holds each environment to what its apps must keep, whoever they are.
func TestTier(t *testing.T) {
	for _, env := range Environments() {
		env.images = render.Images{Tag: goldenTag}
		tr := newTier(env)
		files := texts(t, tr.tree())
		hosts := make(map[string]string)
		for _, a := range tr.apps {
			host, text := env.Host(a.Host), files["apps/"+a.Web.Name+".yaml"]
			if other, ok := hosts[host]; ok {
				t.Errorf("%s: %s and %s have the host %s", env.Name, a.Web.Name, other, host)
			}
			hosts[host] = a.Web.Name
			for _, want := range []string{
				"image: " + registry + a.Web.Name + ":" + goldenTag + "\n",
				fmt.Sprintf("containerPort: %d\n", a.Web.Port),
				fmt.Sprintf("    port: %d\n", a.Web.Port),
				fmt.Sprintf("\n  replicas: %d\n", max(a.Web.Replicas, 1)),
				"  - host: " + host + "\n",
				"cert-manager.io/cluster-issuer: " + env.Issuer + "\n",
				"router.middlewares: " + redirect().Ref().String(),
			} {
				if !strings.Contains(text, want) {
					t.Errorf("%s: apps/%s.yaml has no %q", env.Name, a.Web.Name, want)
				}
			}
			if !strings.Contains(files["README.md"], "\n"+host+"\n") {
				t.Errorf("%s: no DNS record for %s", env.Name, host)
			}
			login, signsIn := a.Web.Login.(nuxt.Login)
			if signsIn && (login.Sessions != nil) != env.SharedSessions {
				t.Errorf("%s: %s shares its sessions: %v", env.Name, a.Web.Name, login.Sessions != nil)
			}
			if signsIn && !strings.Contains(files["auth/blueprint.yaml"], "scope-"+components.ScopeOfflineAccess) {
				t.Errorf("%s: the blueprint maps no %s", env.Name, components.ScopeOfflineAccess)
			}
		}
	}
}

// TestNotes: of a release, production says which images follow latest; no key
// is an orphan in any environment.
func TestNotes(t *testing.T) {
	for _, env := range Environments() {
		tree, err := Tree(env.Name, render.Images{Pins: map[string]string{newTier(env).apps[0].Web.Name: "v1"}})
		if err != nil {
			t.Fatal(err)
		}
		_, report, err := tree.Files()
		if err != nil {
			t.Fatal(err)
		}
		told := false
		for _, note := range report.Notes {
			if strings.Contains(note, "nothing reads the key") {
				t.Errorf("%s: %s", env.Name, note)
			}
			told = told || strings.Contains(note, "follow the tag latest")
		}
		if told == env.Development {
			t.Errorf("%s: images that follow latest are told: %v", env.Name, told)
		}
	}
}

// TestHostInOnePlace changes the host of each app where it is stated: every
// place that had the old one has the new one.
func TestHostInOnePlace(t *testing.T) {
	env := Environments()[0]
	before := texts(t, newTier(env).tree())
	old := env.Host(env.Hosts.Portal)
	env.Hosts.Portal = "another-name"
	after := texts(t, newTier(env).tree())
	places := 0
	for path, text := range after {
		if strings.Contains(text, old) {
			t.Errorf("%s still has %s", path, old)
		}
		n := strings.Count(before[path], old)
		places += n
		if now := strings.Count(text, env.Host("another-name")); now != n {
			t.Errorf("%s had the host %d times, and has the new one %d times", path, n, now)
		}
	}
	if places < 10 {
		t.Errorf("the host stood in %d places only", places)
	}
}

// TestThirdEnvironment: it is one more value, also below another's domain.
func TestThirdEnvironment(t *testing.T) {
	env := Environments()[0]
	above := env.Domain
	env.Name, env.Domain = "third", "third."+above
	tr := newTier(env)
	files := texts(t, tr.tree())
	for _, a := range tr.apps {
		if !strings.Contains(files["apps/"+a.Web.Name+".yaml"], "- host: "+env.Host(a.Host)+"\n") {
			t.Errorf("%s has no host below the domain", a.Web.Name)
		}
	}
	filled := strings.ReplaceAll(files["secrets/secrets.example.yaml"], secret.Placeholder, env.Host("any"))
	for _, f := range tr.secrets().Check([]byte(filled)) {
		if strings.Contains(f.Problem, "another environment") {
			t.Errorf("the own domain is taken for another's: %s", f)
		}
	}
	tr.apps[0].Web.Env = map[string]string{"URL": "https://www." + above}
	tr.apps[0].Web.Assumed.Env = nil
	if _, _, err := tr.tree().Files(); err == nil || !strings.Contains(err.Error(), "holds www."+above+", of the domain of another environment") {
		t.Errorf("an address of the environment above passes: %v", err)
	}
}

// small is a tier of the tests' own: two apps that sign in, and one that has a
// Secret of its own.
func small() tier {
	env := Environment{
		Environment: render.Environment{Name: "test", Domain: "shop.example"},
		Hosts:       Hosts{API: "api", Auth: "auth"},
		Issuer:      "test-issuer", SharedSessions: true, SessionReplicas: 2,
	}
	app := func(name string) App {
		return env.app(App{Host: name, Web: components.WebApp{
			Name: name, Port: 3000, Replicas: 2, Login: env.login(name, name), Probes: nuxtProbes(),
			Env: map[string]string{"PUBLIC_URL": env.URL(name)},
		}})
	}
	stock := env.app(App{Host: "stock", Keys: []secret.Key{{Name: "TOKEN", Purpose: "Test"}}, Web: components.WebApp{Name: "stock", Port: 4000, Probes: nuxtProbes()}})
	return tier{env: env, apps: []App{app("shop"), app("desk"), stock}}
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
	foreign := "auth." + Environments()[0].Domain // of another environment
	edit := func(change func(*tier)) func() render.Tree {
		return func() render.Tree {
			tr := small()
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
			tree := small().tree()
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
		{"no offline_access", login("desk", func(l *nuxt.Login) { l.Client.Scopes = []string{"openid", "profile", "email"} }), "apps/desk.yaml: WebApp " + namespace + "/desk: login.client.scopes: Invalid value: [\"openid\",\"profile\",\"email\"]: must contain offline_access, since the app refreshes by itself"},
		{"two replicas on sessions in memory", login("shop", func(l *nuxt.Login) { l.Sessions, l.Development = nil, true }), "apps/shop.yaml: WebApp " + namespace + "/shop: replicas: Invalid value: 2: sessions are in the memory of one pod"},
		{"an autoscaler typed out over sessions in memory", func() render.Tree {
			tr := small()
			tr.env.Development = true
			web := &tr.apps[0].Web
			l := web.Login.(nuxt.Login)
			l.Sessions, l.Development = nil, true
			web.Login, web.Replicas = l, 1
			tree := tr.tree()
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
			web := &named(t, tr.apps, "shop").Web
			l := web.Login.(nuxt.Login)
			l.Sessions = nil
			web.Login, web.Replicas = l, 1
		}), "login.sessions: Required value: outside development sessions must be shared"},
		{"an environment that forgot to share its sessions", func() render.Tree {
			tr := small()
			tr.env.SharedSessions = false
			web := &tr.apps[0].Web
			web.Login, web.Replicas = tr.env.login("shop", "shop"), 1
			return tr.tree()
		}, "apps/shop.yaml: WebApp " + namespace + "/shop: login.sessions: Required value: outside development sessions must be shared"},
		{"one key prefix for two apps", login("desk", func(l *nuxt.Login) { s := *l.Sessions; s.Prefix = "shop"; l.Sessions = &s }), "uses the keys shop:* in Redis " + redisStore().Address() + ", database 1, and so does apps/desk.yaml: " + namespace + "/desk: each needs its own"},
		{"one slug for two apps", login("desk", func(l *nuxt.Login) { l.Client.Slug = "shop" }), "uses the Authentik slug shop at auth.shop.example, and so does apps/desk.yaml: " + namespace + "/desk"},
		{"sign-out to the other environment", edit(func(tr *tier) {
			named(t, tr.apps, "desk").Web.Env["NUXT_PUBLIC_SIGN_OUT_URL"] = "https://" + foreign + "/application/o/desk/end-session/"
		}), `apps/desk.yaml: Deployment ` + namespace + `/desk: "value: https://` + foreign + `/application/o/desk/end-session/" holds ` + foreign + `, of the domain of another environment`},
		{"the client of the other environment", login("desk", func(l *nuxt.Login) { l.Client.Authentik = foreign }), "holds " + foreign + ", of the domain of another environment"},
		{"plain HTTP", edit(func(tr *tier) {
			named(t, tr.apps, "shop").Web.Env["PUBLIC_URL"] = "http://shop.shop.example"
		}), `"value: http://shop.shop.example" sends to shop.shop.example in plain HTTP`},
		{"a sign-in at another host than the Ingress", ingress("shop", func(i *components.TLSIngress) { i.Host = "www.shop.example" }), `apps/shop.yaml: TLSIngress ` + namespace + `/shop: host: Invalid value: "www.shop.example": the sign-in of shop sends browsers back to shop.shop.example`},
		{"a key that no contract has", edit(func(tr *tier) {
			a := named(t, tr.apps, "stock")
			a.Web.SecretEnv["NEW_KEY"] = a.contract().Key("NEW_KEY")
		}), "apps/stock.yaml: Deployment " + namespace + "/stock: spec.template.spec.containers[stock].env[NEW_KEY]: Secret " + namespace + "/stock-secrets has no key NEW_KEY: its keys are"},
		{"a redirect that outranks ACME", ingress("stock", func(i *components.TLSIngress) {
			i.Changes = []components.Change{components.Edit(func(o object.Object) {
				a := o.GetAnnotations()
				a["traefik.ingress.kubernetes.io/router.priority"] = "100"
				o.SetAnnotations(a)
			})}
		}), "Ingress " + namespace + "/stock: metadata.annotations[traefik.ingress.kubernetes.io/router.priority]: can outrank cert-manager's HTTP-01 solver"},
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
