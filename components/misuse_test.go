package components_test

import (
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"path/filepath"
	"strings"
	"testing"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"

	"git.lastcloud.io/ronnibaslund/dezky/fleet/components"
	"git.lastcloud.io/ronnibaslund/dezky/fleet/components/authentik"
	"git.lastcloud.io/ronnibaslund/dezky/fleet/components/gitea"
	"git.lastcloud.io/ronnibaslund/dezky/fleet/components/nuxt"
	"git.lastcloud.io/ronnibaslund/dezky/fleet/components/secret"
	"git.lastcloud.io/ronnibaslund/dezky/fleet/components/traefik"
	"git.lastcloud.io/ronnibaslund/dezky/fleet/render/object"
)

// TestMisuse: each constructor refuses what nobody can mean. A mistake is one
// line, which says what and where and shows no regular expression; nothing
// that only follows from it is told.
func TestMisuse(t *testing.T) {
	workload := func(w components.Workload) components.Workload {
		w.Name, w.Namespace, w.Image = "x", "shop", "registry.example.com/x:v1"
		return w
	}
	kinds := map[string]func(components.Workload) object.Component{
		"WebApp": func(w components.Workload) object.Component { w.Port = 80; return components.WebApp(w) },
		"Worker": func(w components.Workload) object.Component { return components.Worker(w) },
		"StatefulSet": func(w components.Workload) object.Component {
			w.Port = 80
			return components.StatefulSet(w)
		},
		"Job":     func(w components.Workload) object.Component { return components.Job(w) },
		"CronJob": func(w components.Workload) object.Component { w.Schedule = "@daily"; return components.CronJob(w) },
	}
	type mistake struct {
		name      string
		component object.Component
		want      []string // a beginning of each line, after the object
	}
	var all []mistake
	for kind, of := range kinds {
		add := func(name string, change func(*components.Workload), want ...string) {
			w := workload(components.Workload{})
			change(&w)
			all = append(all, mistake{kind + ": " + name, of(w), want})
		}
		add("no name", func(w *components.Workload) { w.Name = "" }, "name: Required value")
		add("no namespace", func(w *components.Workload) { w.Namespace = "" }, "namespace: Required value")
		add("a name that is too long", func(w *components.Workload) { w.Name = strings.Repeat("n", 64) }, "name: Invalid value")
		add("a name that is no text", func(w *components.Workload) { w.Name = "\xff" }, "name: Invalid value")
		add("no image", func(w *components.Workload) { w.Image = "" }, "image: Required value")
		add("a variable that is no text", func(w *components.Workload) { w.Env = map[string]string{"A": "\xff"} }, "env[A]: Invalid value")
		add("a variable without a name", func(w *components.Workload) { w.Env = map[string]string{"": "a"} }, "env[]: ")
		add("a nil change", func(w *components.Workload) { w.Changes = []components.Change{nil} }, "changes[0]: ")
		add("two volumes of one name", func(w *components.Workload) {
			w.Volumes = []components.Volume{{Name: "v", Path: "/a"}, {Name: "v", Path: "/b"}}
		}, "volumes[1].name: ")
		add("two volumes at one path", func(w *components.Workload) {
			w.Volumes = []components.Volume{{Name: "v", Path: "/a"}, {Name: "w", Path: "/a"}}
		}, "volumes[1].path: ")
		add("an empty volume", func(w *components.Workload) { w.Volumes = []components.Volume{{}} }, "volumes[0].name: Required value", "volumes[0].path: ")
		add("a claim without a size", func(w *components.Workload) {
			w.Volumes = []components.Volume{{Name: "v", Path: "/a", Claim: &components.Claim{}}}
		}, "volumes[0].claim.size: ")
		add("a config of another namespace", func(w *components.Workload) {
			w.Config = &components.ConfigMap{Name: "c", Namespace: "other", Data: map[string]string{"A": "b"}}
		}, "config.namespace: ")
		add("a Secret of another namespace", func(w *components.Workload) {
			w.SecretEnv = map[string]secret.Ref{"A": {Namespace: "other", Secret: "s", Key: "A"}}
		}, "secretEnv[A]: ")
		add("two sidecars of one name", func(w *components.Workload) {
			side := components.Workload{Name: "s", Image: "registry.example.com/s:v1"}
			w.Sidecars = []components.Workload{side, side}
		}, "sidecars[1].name: ")
		add("room below zero", func(w *components.Workload) { w.TmpSize = resource.MustParse("-1Gi") }, "tmpSize: ")
	}
	big := strings.Repeat("x", 1<<20+1)
	all = append(all,
		mistake{"ConfigMap: nothing", components.ConfigMap{}, []string{"name: Required value", "namespace: Required value"}},
		mistake{"ConfigMap: too big", components.ConfigMap{Name: "c", Namespace: "shop", Data: map[string]string{"a": big}}, []string{"data: "}},
		mistake{"ConfigMap: no text", components.ConfigMap{Name: "c", Namespace: "shop", Data: map[string]string{"a": "\xff"}}, []string{"data[a]: "}},
		mistake{"ConfigMap: a key with a slash", components.ConfigMap{Name: "c", Namespace: "shop", Data: map[string]string{"a/b": "c"}}, []string{"data[a/b]: "}},
		mistake{"Namespace: nothing", components.Namespace{}, []string{"name: Required value"}},
		mistake{"Namespace: too long", components.Namespace{Name: strings.Repeat("n", 64)}, []string{"name: Invalid value"}},
		mistake{"Network: nothing", components.Network{}, []string{"name: Required value", "namespace: Required value"}},
		mistake{"TLSIngress: nothing", components.TLSIngress{}, []string{"host: Required value", "backend: Required value", "issuer: Required value", "redirect: Required value"}},
		mistake{"TLSIngress: a host twice", with(tls(), func(i *components.TLSIngress) { i.Aliases = []string{i.Host} }), []string{"aliases[0]: Duplicate value"}},
		mistake{"TLSIngress: a host that is too long", with(tls(), func(i *components.TLSIngress) { i.Host = strings.Repeat("h.", 130) + "example.com" }), []string{"host: Invalid value"}},
	)
	login := func(l nuxt.Login) object.Component {
		return with(web(), func(w *components.WebApp) { w.Login = l })
	}
	long, redirect := strings.Repeat("n", 254), components.MiddlewareRef{Namespace: "shop", Name: "redirect"}
	config := components.ConfigMap{Name: "c", Namespace: "shop", Data: map[string]string{"A": "b"}}
	client := components.OIDCClient{Name: "web", Namespace: "shop", Host: "www.example.com", Authentik: "auth.example.com", CallbackPaths: []string{"/callback"}}
	blueprint := func(change func(*authentik.Blueprint)) object.Component {
		return with(authentik.Blueprint{Name: "b", Namespace: "auth", Version: authentik.Version{2026, 8}, Clients: []components.OIDCClient{client}}, change)
	}
	all = append(all,
		mistake{"Plain: nil", components.Plain(nil), []string{"object 0 is nil"}},
		mistake{"Edit: nil", with(web(), func(w *components.WebApp) {
			w.Changes = []components.Change{components.Edit[*corev1.Service](nil)}
		}), []string{"changes[0]: Invalid value: is an Edit of no function"}},

		mistake{"Deployer: nothing", components.Deployer{}, []string{"name: Required value", "namespace: Required value", "applies: Required value"}},
		mistake{"Deployer: nil", components.Deployer{Name: "d", Namespace: "shop", Applies: []object.Component{nil}}, []string{"applies[0]: Required value: is nil"}},
		mistake{"Deployer: another namespace", components.Deployer{Name: "d", Namespace: "other", Applies: []object.Component{config}}, []string{"applies[0]: Invalid value"}},
		mistake{"Deployer: a namespace that is no text", components.Deployer{Name: "d", Namespace: "\xff", Applies: []object.Component{config}}, []string{"namespace: Invalid value"}},
		mistake{"Deployer: too long", components.Deployer{Name: long, Namespace: "shop", Applies: []object.Component{config}}, []string{"name: Invalid value"}},
		mistake{"Quota: nothing", components.Quota{}, []string{"name: Required value", "namespace: Required value", "holds: Required value"}},
		mistake{"Quota: nil", components.Quota{Name: "q", Namespace: "shop", Holds: []object.Component{nil}}, []string{"holds[0]: Required value: is nil"}},
		mistake{"Quota: another namespace", components.Quota{Name: "q", Namespace: "other", Holds: []object.Component{web()}}, []string{"holds: Required value"}},
		mistake{"Quota: a namespace that is no text", components.Quota{Name: "q", Namespace: "\xff", Holds: []object.Component{web()}}, []string{"namespace: Invalid value"}},
		mistake{"Network: an empty peer", components.Network{Name: "n", Namespace: "shop", From: []components.Peer{{}}}, []string{"from[0]: Required value"}},
		mistake{"Network: no address, no port", components.Network{Name: "n", Namespace: "shop", To: []components.Peer{{CIDR: "\xff", Ports: []int32{0}}}}, []string{"to[0].cidr: Invalid value", "to[0].ports[0]: Invalid value"}},

		mistake{"Login: nothing", login(nuxt.Login{}), []string{"login.client.name: Required value", "login.client.namespace: Required value", "login.client.host: Required value", "login.client.authentik: Required value", "login.sessions: Required value"}},
		mistake{"Login: another namespace", login(nuxt.Login{Client: with(client, func(c *components.OIDCClient) { c.Namespace = "other" }), Development: true}), []string{"login.client.namespace: Invalid value"}},
		mistake{"Login: empty sessions", login(nuxt.Login{Client: client, Sessions: &nuxt.RedisSessions{}}), []string{"login.sessions.address: Invalid value", "login.sessions.prefix: Required value"}},

		mistake{"Blueprint: nothing", authentik.Blueprint{}, []string{"name: Required value", "namespace: Required value", "version: Required value", "clients: Required value"}},
		mistake{"Blueprint: too long", blueprint(func(b *authentik.Blueprint) { b.Name = long }), []string{"name: Invalid value"}},
		mistake{"Blueprint: an empty client", blueprint(func(b *authentik.Blueprint) { b.Clients = append(b.Clients, components.OIDCClient{}) }), []string{"clients[1].name: Required value", "clients[1].namespace: Required value", "clients[1].host: Required value", "clients[1].authentik: Required value", "clients[1].callbackPaths: Required value"}},
		mistake{"Blueprint: two clients without a name", blueprint(func(b *authentik.Blueprint) {
			c := client
			c.Name = ""
			b.Clients = []components.OIDCClient{c, c}
		}), []string{"clients[0].name: Required value", "clients[1].name: Required value"}},
		mistake{"Blueprint: a client without Authentik", blueprint(func(b *authentik.Blueprint) {
			c := client
			c.Name, c.Authentik = "second", ""
			b.Clients = append(b.Clients, c)
		}), []string{"clients[1].authentik: Required value"}},
		mistake{"Blueprint: a client twice", blueprint(func(b *authentik.Blueprint) { b.Clients = append(b.Clients, client) }), []string{"clients[1].name: Invalid value"}},
		mistake{"Blueprint: a client that is no text", blueprint(func(b *authentik.Blueprint) { b.Clients[0].Name = "\xff" }), []string{"clients[0].name: Invalid value"}},
		mistake{"OIDCClient: its Secret", blueprint(func(b *authentik.Blueprint) {
			b.Clients[0].SecretName, b.Clients[0].IDKey, b.Clients[0].SecretKey = "a b", "a/b", "\xff"
			b.Clients[0].Keys = []secret.Key{{}, {Name: "A", Purpose: "is there"}, {Name: "A", Purpose: "is there twice"}, {Name: "b/c", Purpose: "has a slash"}}
		}), []string{"clients[0].secretName: Invalid value", "clients[0].idKey: Invalid value", "clients[0].secretKey: Invalid value", "clients[0].keys[0].name: Required value", "clients[0].keys[2].name: Duplicate value", "clients[0].keys[3].name: Invalid value"}},

		mistake{"RedirectMiddleware: nothing", traefik.RedirectMiddleware{}, []string{"name: Required value", "namespace: Required value"}},
		mistake{"RedirectMiddleware: too long", traefik.RedirectMiddleware{Name: long, Namespace: "\xff"}, []string{"name: Invalid value", "namespace: Invalid value"}},
		mistake{"SecurityHeaders: nothing", traefik.SecurityHeaders{}, []string{"name: Required value", "namespace: Required value"}},
		mistake{"Middleware: nothing", traefik.Middleware{}, []string{"name: Required value", "namespace: Required value"}},
		mistake{"BasicAuth: nothing", traefik.BasicAuth{}, []string{"name: Required value", "namespace: Required value"}},
		mistake{"BasicAuth: no name of a Secret", traefik.BasicAuth{Name: "b", Namespace: "shop", SecretName: "a b"}, []string{"secretName: Invalid value"}},
		mistake{"IPAllowList: nothing", traefik.IPAllowList{}, []string{"ranges: Required value", "name: Required value", "namespace: Required value"}},
		mistake{"IPAllowList: no address", traefik.IPAllowList{Name: "l", Namespace: "shop", Ranges: []string{"", "192.0.2.1", "\xff"}}, []string{"ranges[0]: Invalid value", "ranges[2]: Invalid value"}},
		mistake{"RateLimit: nothing", traefik.RateLimit{}, []string{"average: Invalid value", "name: Required value", "namespace: Required value"}},
		mistake{"ForwardAuth: nothing", traefik.ForwardAuth{}, []string{"address: Invalid value", "name: Required value", "namespace: Required value"}},
		mistake{"Chain: nothing", traefik.Chain{}, []string{"middlewares: Required value", "name: Required value", "namespace: Required value"}},
		mistake{"Chain: empty, and itself", traefik.Chain{Name: "redirect", Namespace: "shop", Middlewares: []components.MiddlewareRef{{}, redirect}}, []string{"middlewares[0]: Required value", "middlewares[1]: Invalid value"}},
		mistake{"IngressRoute: nothing", traefik.IngressRoute{}, []string{"name: Required value", "namespace: Required value", "issuer: Required value", "hosts: Required value", "routes: Required value"}},
		mistake{"Runner: nothing", gitea.Runner{}, []string{"name: Required value", "namespace: Required value", "instance: Invalid value"}},
	)
	covered := make(map[string]bool)
	for _, tc := range all {
		covered[fmt.Sprintf("%T", tc.component)] = true
		t.Run(tc.name, func(t *testing.T) {
			_, err := tc.component.Objects()
			if err == nil {
				t.Fatal("passes")
			}
			lines := strings.Split(err.Error(), "\n")
			if len(lines) != len(tc.want) {
				t.Errorf("%d lines, want %d:\n%s", len(lines), len(tc.want), err)
				return
			}
			for i, line := range lines {
				_, rest, ok := strings.Cut(line, ": ")
				if !ok {
					rest = line // of no object
				}
				if !strings.HasPrefix(rest, tc.want[i]) {
					t.Errorf("%s\nwant %s", line, tc.want[i])
				}
				if strings.Contains(line, "regex") || strings.Contains(line, "[a-z") {
					t.Errorf("a regular expression: %s", line)
				}
				if len(line) > 700 {
					t.Errorf("%d bytes in a line", len(line))
				}
			}
		})
	}
	for _, constructor := range constructors(t) {
		if !covered[constructor] {
			t.Errorf("no misuse of %s stands here", constructor)
		}
	}
}

// constructors are the exported types of components and the packages below it
// that make objects, as %T writes them.
func constructors(t *testing.T) []string {
	var found []string
	for _, dir := range []string{".", "authentik", "gitea", "traefik"} {
		files, err := filepath.Glob(filepath.Join(dir, "*.go"))
		if err != nil || len(files) == 0 {
			t.Fatalf("%d files in %s: %v", len(files), dir, err)
		}
		for _, name := range files {
			file, err := parser.ParseFile(token.NewFileSet(), name, nil, parser.SkipObjectResolution)
			if err != nil {
				t.Fatal(err)
			}
			for _, d := range file.Decls {
				f, ok := d.(*ast.FuncDecl)
				if !ok || f.Recv == nil || f.Name.Name != "Objects" || strings.HasSuffix(name, "_test.go") {
					continue
				}
				if of, ok := f.Recv.List[0].Type.(*ast.Ident); ok && of.IsExported() {
					found = append(found, file.Name.Name+"."+of.Name)
				}
			}
		}
	}
	return found
}
