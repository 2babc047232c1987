package components_test

import (
	"maps"
	"slices"
	"strings"
	"testing"
	"time"

	appsv1 "k8s.io/api/apps/v1"
	autoscalingv2 "k8s.io/api/autoscaling/v2"
	corev1 "k8s.io/api/core/v1"
	networkingv1 "k8s.io/api/networking/v1"
	policyv1 "k8s.io/api/policy/v1"
	rbacv1 "k8s.io/api/rbac/v1"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"git.lastcloud.io/ronnibaslund/dezky/fleet/components"
	"git.lastcloud.io/ronnibaslund/dezky/fleet/components/nuxt"
	"git.lastcloud.io/ronnibaslund/dezky/fleet/components/secret"
	"git.lastcloud.io/ronnibaslund/dezky/fleet/render/object"
)

func web() components.WebApp {
	return components.WebApp{Name: "web", Namespace: "shop", Image: "registry.example.com/web:v1", Port: 3000}
}

func login() nuxt.Login {
	return nuxt.Login{
		Client:   components.OIDCClient{Name: "web", Namespace: "shop", Host: "www.example.com", Authentik: "auth.example.com"},
		Sessions: &nuxt.RedisSessions{Address: "redis.data:6379", Database: 1, Prefix: "web"},
	}
}

func tls() components.TLSIngress {
	return components.TLSIngress{
		Host: "www.example.com", Backend: web(), Issuer: "letsencrypt-prod",
		Redirect: components.MiddlewareRef{Namespace: "shop", Name: "redirect"},
	}
}

func contract() secret.Contract {
	return secret.Contract{Name: "web-secrets", Namespace: "shop", Keys: []secret.Key{{Name: "TOKEN", Purpose: "Signs in"}}}
}

// with changes a copy of v.
func with[T any](v T, change func(*T)) T {
	change(&v)
	return v
}

func TestRefused(t *testing.T) {
	app := func(change func(*components.WebApp)) object.Component { return with(web(), change) }
	signIn := func(change func(*nuxt.Login)) object.Component {
		w := web()
		w.Login = with(login(), change)
		return w
	}
	ingress := func(change func(*components.TLSIngress)) object.Component { return with(tls(), change) }

	for _, tc := range []struct {
		name      string
		component object.Component
		want      []string
	}{
		{"nothing at all", components.WebApp{}, []string{
			"WebApp (no name): name: Required value",
			"WebApp (no name): namespace: Required value",
			"WebApp (no name): image: Required value: give the image with its tag or digest",
			"WebApp (no name): port: Invalid value: 0: must be between 1 and 65535",
		}},
		{"a port out of range", app(func(w *components.WebApp) { w.Port = 70000 }), []string{"WebApp shop/web: port: Invalid value: 70000: must be between 1 and 65535"}},
		{"a long name", app(func(w *components.WebApp) { w.Name = strings.Repeat("a", 64) }), []string{"name: Invalid value", "must be no more than 63 characters"}},
		{"a name that is no label", app(func(w *components.WebApp) { w.Name = "Web_App" }), []string{`name: Invalid value: "Web_App": a DNS-1035 label must consist of`}},
		{"replicas below zero", app(func(w *components.WebApp) { w.Replicas = -1 }), []string{"replicas: Invalid value: -1: must not be negative"}},
		{"an image with a space", app(func(w *components.WebApp) { w.Image = "a b" }), []string{`image: Invalid value: "a b": must be a reference such as registry.example.com/team/app:tag: invalid reference format`}},
		{"an image with a tab", app(func(w *components.WebApp) { w.Image = "registry.example.com/web:1\t" }), []string{"image: Invalid value", "must be a reference"}},
		{"an image in upper case", app(func(w *components.WebApp) { w.Image = "registry.example.com/Web:1" }), []string{"image: Invalid value", "repository name must be lowercase"}},
		{"an image with half a digest", app(func(w *components.WebApp) { w.Image = "registry.example.com/web@sha256:abc" }), []string{"image: Invalid value", "must be a reference"}},
		{"an image with a scheme", app(func(w *components.WebApp) { w.Image = "https://registry.example.com/web:1" }), []string{"image: Invalid value", "must be a reference"}},
		{"an image with an empty tag", app(func(w *components.WebApp) { w.Image = "registry.example.com/web:" }), []string{"image: Invalid value", "must be a reference"}},
		{"a change that panics", app(func(w *components.WebApp) {
			w.Changes = []components.Change{
				components.Edit(func(d *appsv1.Deployment) { d.Spec.Replicas = nil; d.Spec.Paused = true }),
				components.Edit(func(d *appsv1.Deployment) { *d.Spec.Replicas = 1 }),
				components.Edit[*appsv1.Deployment](nil),
			}
		}), []string{"changes[1]: Invalid value: panic: ", "changes[2]: Invalid value: is an Edit of no function: give it one, or remove it"}},
		{"an image without a tag", app(func(w *components.WebApp) { w.Image = "registry.example.com:5000/web" }), []string{"image: Invalid value", "must have a tag or a digest"}},
		{"replicas and an autoscaler", app(func(w *components.WebApp) { w.Replicas = 2; w.Autoscale = &components.Autoscale{Min: 1, Max: 2} }),
			[]string{"replicas: Forbidden: the autoscaler decides"}},
		{"an autoscaler from 0", app(func(w *components.WebApp) { w.Autoscale = &components.Autoscale{Max: -1, CPU: -1} }),
			[]string{"autoscale.min: Invalid value: 0", "autoscale.max: Invalid value: -1: must be min (0) or more", "autoscale.cpu: Invalid value: -1"}},
		{"a relative probe path", app(func(w *components.WebApp) { w.Probes.Readiness = "ready" }), []string{`probes.readiness: Invalid value: "ready": must be a path that starts with /`}},
		{"a negative drain", app(func(w *components.WebApp) { w.Drain = -1; w.RunAsUser = -1 }), []string{"drain: Invalid value", "runAsUser: Invalid value"}},
		{"a bad variable name", app(func(w *components.WebApp) { w.Env = map[string]string{"A=B": ""} }), []string{`env[A=B]: Invalid value: "A=B"`}},
		{"a variable that would be expanded", app(func(w *components.WebApp) { w.Env = map[string]string{"A": "$(B)"} }), []string{"env[A]: Invalid value", "contains $(, which Kubernetes would expand"}},
		{"a variable stated twice", app(func(w *components.WebApp) {
			w.Env = map[string]string{"TOKEN": "x", "PORT": "1"}
			w.SecretEnv = contract().Env()
		}), []string{`env[PORT]: Invalid value: "PORT": is set by port too`, `secretEnv[TOKEN]: Invalid value: "TOKEN": is set by env too: state it once`}},
		{"a variable that the config has", app(func(w *components.WebApp) {
			w.Env = map[string]string{"A": "x"}
			w.Config = &components.ConfigMap{Name: "c", Namespace: "shop", Data: map[string]string{"A": "y"}}
		}), []string{`config[A]: Invalid value: "A": is set by env too`}},
		{"no reference", app(func(w *components.WebApp) { w.SecretEnv = map[string]secret.Ref{"X": {}} }), []string{"secretEnv[X]: Required value: take the reference from the Key method"}},
		{"a Secret of another namespace", app(func(w *components.WebApp) {
			s := contract()
			s.Namespace = "other"
			w.SecretEnv = s.Env()
			w.PullSecret = &s
			w.Config = &components.ConfigMap{Name: "c", Namespace: "other"}
		}), []string{"secretEnv[TOKEN]: Invalid value", "is in another namespace", "pullSecret.namespace: Invalid value", "config.namespace: Invalid value"}},
		{"a peer of both sorts", app(func(w *components.WebApp) {
			w.Network = &components.Network{To: []components.Peer{{CIDR: "10.0.0.0/33", Namespace: "x", Ports: []int32{0}}}}
		}), []string{"network.to[0].cidr: Invalid value", "network.to[0].cidr: Forbidden: a peer is either pods or addresses", "network.to[0].ports[0]: Invalid value: 0"}},

		// Sign-in.
		{"no shared sessions outside development", signIn(func(c *nuxt.Login) { c.Sessions = nil }),
			[]string{"login.sessions: Required value: outside development sessions must be shared"}},
		{"two replicas on sessions in memory", app(func(w *components.WebApp) {
			w.Replicas = 2
			w.Login = with(login(), func(c *nuxt.Login) { c.Sessions, c.Development = nil, true })
		}), []string{"replicas: Invalid value: 2: sessions are in the memory of one pod, and every other pod would refuse them"}},
		{"an autoscaler on sessions in memory", app(func(w *components.WebApp) {
			w.Autoscale = &components.Autoscale{Min: 1, Max: 3}
			w.Login = with(login(), func(c *nuxt.Login) { c.Sessions, c.Development = nil, true })
		}), []string{"autoscale.max: Invalid value: 3: sessions are in the memory of one pod"}},
		{"two replicas by an edit", app(func(w *components.WebApp) {
			w.Login = with(login(), func(c *nuxt.Login) { c.Sessions, c.Development = nil, true })
			w.Changes = []components.Change{components.Edit(func(d *appsv1.Deployment) { d.Spec.Replicas = new(int32(2)) })}
		}), []string{"replicas: Invalid value: 2: sessions are in the memory of one pod"}},
		{"a sign-in without its keys, by an edit", app(func(w *components.WebApp) {
			w.Login = login()
			w.Changes = []components.Change{components.Edit(func(d *appsv1.Deployment) {
				d.Spec.Replicas = nil
				c := &d.Spec.Template.Spec.Containers[0]
				c.Env = slices.DeleteFunc(c.Env, func(e corev1.EnvVar) bool {
					return e.Name == "NUXT_OIDC_TOKEN_KEY" || e.Name == "NUXT_OIDC_SESSION_SECRET" || e.Name == "SESSION_REDIS_URL"
				})
			})}
		}), []string{
			"replicas: Required value: a change removed them",
			"login: Required value: a change removed the variable NUXT_OIDC_TOKEN_KEY, which the sign-in needs",
			"the variable NUXT_OIDC_SESSION_SECRET", "the variable SESSION_REDIS_URL",
		}},
		{"a pull Secret of another type", app(func(w *components.WebApp) {
			w.PullSecret = new(contract())
			w.Config = &components.ConfigMap{Namespace: "shop"}
		}),
			[]string{"pullSecret.type: Invalid value", "config.name: Required value"}},
		{"a peer that is nobody", app(func(w *components.WebApp) {
			w.Network = &components.Network{From: []components.Peer{{}, {Namespace: "No Name"}}}
		}),
			[]string{"network.from[0]: Required value: say which pods", "network.from[1].namespace: Invalid value"}},
		{"a policy that is not the app's", app(func(w *components.WebApp) {
			w.Network = &components.Network{Name: "a", Namespace: "b", Pods: map[string]string{"a": "b"}, Ports: []int32{1}, Changes: []components.Change{nil}}
		}), []string{"network.name: Forbidden: is the app's own: leave it empty", "network.namespace: Forbidden", "network.pods: Forbidden", "network.ports: Forbidden", "network.changes: Forbidden"}},
		{"a negative /tmp", app(func(w *components.WebApp) { w.TmpSize = resource.MustParse("-1Gi") }), []string{`tmpSize: Invalid value: "-1Gi": must not be negative`}},
		{"refresh without offline_access", signIn(func(c *nuxt.Login) { c.Client.Scopes = []string{"openid", "email"} }),
			[]string{"login.client.scopes: Invalid value", "must contain offline_access, since the app refreshes by itself"}},
		{"no openid", signIn(func(c *nuxt.Login) { c.Client.Scopes = []string{"offline_access", "offline_access", "a b"} }),
			[]string{"must contain openid", "login.client.scopes[1]: Duplicate value", "login.client.scopes[2]: Invalid value"}},
		{"a reserved slug", signIn(func(c *nuxt.Login) { c.Client.Slug = "token" }), []string{`login.client.slug: Invalid value: "token": Authentik answers /application/o/token/ itself`}},
		{"an address for a path", signIn(func(c *nuxt.Login) {
			c.Client.CallbackPaths = []string{"https://evil.example.com/cb", "//evil.example.com", "/a", "/a"}
			c.Client.LogoutPath = "bye"
		}), []string{"login.client.callbackPaths[0]: Invalid value", "login.client.callbackPaths[1]: Invalid value", "login.client.callbackPaths[3]: Duplicate value", "login.client.logoutPath: Invalid value", "the host is www.example.com"}},
		{"a page after sign-out that needs a sign-in", signIn(func(c *nuxt.Login) { c.Client.LogoutPath = "/" }),
			[]string{`login.client.logoutPath: Invalid value: "/": must be a page that needs no sign-in, such as /signed-out`}},
		{"a release of the module that nobody has read", signIn(func(c *nuxt.Login) { c.ModuleVersion = "1.0.0-beta.13" }),
			[]string{`login.moduleVersion: Invalid value: "1.0.0-beta.13": is no release of nuxt-oidc-auth whose sessions and sign-out are known here: use one of 1.0.0-beta.10, 1.0.0-beta.11, 1.0.0-beta.12`}},
		{"a host that is none", signIn(func(c *nuxt.Login) { c.Client.Host = "localhost"; c.Client.Authentik = "https://auth.example.com" }),
			[]string{`login.client.host: Invalid value: "localhost": a public host name has a domain`, "login.client.authentik: Invalid value"}},
		{"half a session store", signIn(func(c *nuxt.Login) { c.Sessions = &nuxt.RedisSessions{Database: -1, TTL: -1} }),
			[]string{"login.sessions.address: Invalid value: \"\": must be host:port of the Redis", "login.sessions.database: Invalid", "login.sessions.prefix: Required value: give the app's own key prefix", "login.sessions.ttl: Invalid"}},
		{"a refresh token that dies first", signIn(func(c *nuxt.Login) { c.Client.RefreshToken = 30 * time.Minute; c.Cookie = -1 }),
			[]string{"login.client.refreshToken: Invalid value: \"30m\": must be longer than the access token (1h)", "login.cookie: Invalid value"}},
		{"a sign-in of another namespace", signIn(func(c *nuxt.Login) { c.Client.Namespace = "other" }), []string{"login.client.namespace: Invalid value"}},
		{"a further key without purpose", signIn(func(c *nuxt.Login) { c.Client.Keys = []secret.Key{{Name: "X"}} }), []string{"login.client.keys[0].purpose: Required value: say in a line what X is for"}},

		// Addresses.
		{"no Ingress fields", components.TLSIngress{}, []string{"host: Required", "backend: Required", "issuer: Required", "redirect: Required value: give the redirect middleware"}},
		{"a host that is no name", ingress(func(i *components.TLSIngress) { i.Host = "www.Example.com/x" }), []string{"TLSIngress shop/web: host: Invalid value"}},
		{"a middleware without name", ingress(func(i *components.TLSIngress) { i.Middlewares = []components.MiddlewareRef{{}} }), []string{"middlewares[0]: Required"}},
		{"a sign-in at another host", ingress(func(i *components.TLSIngress) {
			i.Host = "shop.example.com"
			i.Backend = with(web(), func(w *components.WebApp) { w.Login = login() })
		}),
			[]string{`host: Invalid value: "shop.example.com": the sign-in of web sends browsers back to www.example.com`}},

		// The rest.
		{"a bad key", components.ConfigMap{Name: "c", Namespace: "shop", Data: map[string]string{"a b": ""}}, []string{"ConfigMap shop/c: data[a b]: Invalid value"}},
		{"a pending key without reason", components.ConfigMap{Name: "c", Namespace: "shop", Data: map[string]string{"A": ""}, Pending: map[string]components.Pending{"A": {}, "b c": {Until: "x"}}},
			[]string{"pending[A]: Duplicate value", "pending[A].until: Required value: say what the value waits for", "pending[b c]: Invalid value"}},
		{"an unknown level", components.Namespace{Name: "shop", PodSecurity: "open"}, []string{`Namespace shop: podSecurity: Unsupported value: "open"`}},
		{"a release with its patch", components.Namespace{Name: "shop", PodSecurityVersion: "v1.34.1"}, []string{`podSecurityVersion: Invalid value: "v1.34.1": must be a release of Kubernetes such as v1.34`}},
		{"a release without its minor", components.Namespace{Name: "shop", PodSecurityVersion: "v1."}, []string{`podSecurityVersion: Invalid value: "v1."`}},
		{"a release of another writing", components.Namespace{Name: "shop", PodSecurityVersion: "1.34"}, []string{`podSecurityVersion: Invalid value: "1.34"`}},
		{"a network of nothing", components.Network{}, []string{"Network (no name): name: Required", "namespace: Required"}},
		{"a network's ports for nobody", components.Network{Name: "n", Namespace: "shop", Ports: []int32{80, 0}}, []string{"Network shop/n: ports[1]: Invalid value: 0", "from: Required value: say who may reach the ports"}},
		{"an exception of no addresses", components.Network{Name: "n", Namespace: "shop", To: []components.Peer{{Namespace: "x", Except: []string{"10.0.0.0/8"}}}},
			[]string{"to[0].except[0]: Forbidden: only addresses have exceptions"}},
		{"exceptions that are no part", components.Network{Name: "n", Namespace: "shop", To: []components.Peer{{CIDR: "10.0.0.0/8", Except: []string{"10.0.0.0/8", "11.0.0.0/16", "10.0.0.0/33", "fd00::/64", "10.1.0.0/16"}}}},
			[]string{`to[0].except[0]: Invalid value: "10.0.0.0/8": must be a part of the cidr, 10.0.0.0/8`, `to[0].except[1]: Invalid value: "11.0.0.0/16": must be a part`, `to[0].except[2]: Invalid value`, `to[0].except[3]: Invalid value: "fd00::/64": must be a part`}},
		{"a deployer for another namespace", components.Deployer{Name: "d", Namespace: "shop", Applies: []object.Component{components.Namespace{Name: "shop"}}},
			[]string{`applies[0]: Invalid value: Namespace "shop" is not in namespace shop: the deployer cannot apply it`}},
		{"a deployer of nothing", components.Deployer{Name: "d", Namespace: "shop"}, []string{"applies: Required value: give what it applies"}},
		{"a deployer of a mistake", components.Deployer{Name: "d", Namespace: "shop", Applies: []object.Component{nil, components.ConfigMap{}}},
			[]string{"applies[0]: Required value: is nil", "applies[1]: Invalid value: its objects cannot be made"}},
		{"a deployer of an image without a registry", components.Deployer{Name: "d", Namespace: "shop", Applies: []object.Component{app(func(w *components.WebApp) { w.Image = "nginx:1" })}},
			[]string{`applies[0]: Invalid value: "nginx:1": the image of Deployment "web" names no registry, and the deployer may take images from the registry of the layer only: write it in full, such as docker.io/library/nginx:1`}},
		{"Secrets of no workload, and of elsewhere", components.Deployer{Name: "d", Namespace: "shop", Applies: []object.Component{web()}, Secrets: map[string][]secret.Contract{"wep": {{Name: "s", Namespace: "shop"}}, "web": {{Name: "s", Namespace: "other"}}}},
			[]string{"secrets[wep]: Invalid value: there is no workload of this name in applies", `secrets[web][0].namespace: Invalid value: "other": must be the deployer's, shop`}},
		{"no object", components.Plain(nil, (*corev1.Pod)(nil)), []string{"object 0 is nil", "object 1 is nil"}},

		// Last words.
		{"nothing to change", app(func(w *components.WebApp) {
			w.Changes = []components.Change{components.Edit(func(*autoscalingv2.HorizontalPodAutoscaler) {})}
		}), []string{"changes[0]: Invalid value: there is no *v2.HorizontalPodAutoscaler to change: the objects are *v1.ServiceAccount, *v1.Deployment"}},
		{"no change", app(func(w *components.WebApp) { w.Changes = []components.Change{nil} }), []string{"changes[0]: Required value: is nil"}},
		{"a change of nothing", app(func(w *components.WebApp) {
			w.Changes = []components.Change{components.Edit(func(d *appsv1.Deployment) { d.Name = "web" })}
		}), []string{"changes[0]: Invalid value: the edit leaves every *v1.Deployment as it was: remove it"}},
	} {
		t.Run(tc.name, func(t *testing.T) {
			_, err := tc.component.Objects()
			if err == nil {
				t.Fatal("no error")
			}
			for _, want := range tc.want {
				if !strings.Contains(err.Error(), want) {
					t.Errorf("the error is\n%v\nwant in it\n%s", err, want)
				}
			}
		})
	}
}

func config(name string) *corev1.ConfigMap {
	return &corev1.ConfigMap{
		TypeMeta:   metav1.TypeMeta{APIVersion: "v1", Kind: "ConfigMap"},
		ObjectMeta: metav1.ObjectMeta{Namespace: "shop", Name: name},
		Data:       map[string]string{"A": "1"},
	}
}

// find is the component's object of a kind.
func find[T object.Object](t *testing.T, c object.Component) T {
	t.Helper()
	objects, err := c.Objects()
	if err != nil {
		t.Fatal(err)
	}
	for _, o := range objects {
		if typed, ok := o.(T); ok {
			return typed
		}
	}
	var none T
	t.Fatalf("there is no %T", none)
	return none
}

func TestWebApp(t *testing.T) {
	w := web()
	w.Login = login()
	w.Config = &components.ConfigMap{Name: "web-config", Namespace: "shop", Data: map[string]string{"A": "1"}}
	w.PullSecret = &secret.Contract{Name: "pull", Namespace: "shop", Type: corev1.SecretTypeDockerConfigJson}
	w.Autoscale = &components.Autoscale{Min: 2, Max: 4}
	w.Drain = 50 * time.Second
	w.Network = &components.Network{From: []components.Peer{{Namespace: "kube-system"}}, To: []components.Peer{web().Peer(), {CIDR: "10.0.0.1/32", Ports: []int32{8080}}}}

	d := find[*appsv1.Deployment](t, w)
	if d.Spec.Replicas != nil {
		t.Error("replicas stand beside an autoscaler")
	}
	pod := d.Spec.Template.Spec
	if got := *pod.TerminationGracePeriodSeconds; got != 65 {
		t.Errorf("grace period %d, want 5 + 50 + 10", got)
	}
	if pod.ImagePullSecrets[0].Name != "pull" || pod.Containers[0].EnvFrom[0].ConfigMapRef.Name != "web-config" {
		t.Errorf("pull secret %v, config %v", pod.ImagePullSecrets, pod.Containers[0].EnvFrom)
	}
	names := []string{}
	for _, e := range pod.Containers[0].Env {
		names = append(names, e.Name)
	}
	if !slices.IsSorted(names) {
		t.Errorf("variables out of order: %v", names)
	}
	want := slices.Sorted(maps.Keys(w.Login.Env()))
	want = append(want, slices.Collect(maps.Keys(w.Login.SecretEnv()))...)
	want = append(want, "PORT")
	if slices.Sort(want); !slices.Equal(names, want) {
		t.Errorf("variables\n%v\nwant\n%v", names, want)
	}

	// A change of the configuration rolls this app; the selector stays.
	changed := w
	changed.Config = &components.ConfigMap{Name: "web-config", Namespace: "shop", Data: map[string]string{"A": "2"}}
	d2 := find[*appsv1.Deployment](t, changed)
	if d.Spec.Template.Annotations["checksum/config"] == d2.Spec.Template.Annotations["checksum/config"] {
		t.Error("another configuration has the same checksum")
	}
	edited := w
	edited.Config = new(*w.Config)
	edited.Config.Changes = []components.Change{components.Edit(func(c *corev1.ConfigMap) { c.Data["A"] = "3" })}
	if find[*appsv1.Deployment](t, edited).Spec.Template.Annotations["checksum/config"] == d.Spec.Template.Annotations["checksum/config"] {
		t.Error("an edited configuration has the checksum of the other")
	}
	if len(d.Spec.Selector.MatchLabels) != 1 {
		t.Errorf("the selector is %v: only the name may stand there", d.Spec.Selector.MatchLabels)
	}

	if h := find[*autoscalingv2.HorizontalPodAutoscaler](t, w); *h.Spec.MinReplicas != 2 || h.Spec.MaxReplicas != 4 || *h.Spec.Metrics[0].Resource.Target.AverageUtilization != 80 {
		t.Errorf("autoscaler %v", h.Spec)
	}
	if p := find[*policyv1.PodDisruptionBudget](t, w); p.Spec.MaxUnavailable.IntValue() != 1 || p.Spec.MinAvailable != nil {
		t.Errorf("disruption budget %v", p.Spec)
	}
	n := find[*networkingv1.NetworkPolicy](t, w)
	if len(n.Spec.Ingress) != 1 || n.Spec.Ingress[0].Ports[0].Port.IntValue() != 3000 {
		t.Errorf("from: %v", n.Spec.Ingress)
	}
	if len(n.Spec.Egress) != 3 { // DNS and the two peers
		t.Errorf("to: %v", n.Spec.Egress)
	}
}

func TestObjectsAreAnew(t *testing.T) {
	w := web()
	w.Resources = corev1.ResourceRequirements{Limits: corev1.ResourceList{corev1.ResourceMemory: resource.MustParse("1Gi")}}
	w.Network = &components.Network{From: []components.Peer{{Pods: map[string]string{"a": "b"}}}}
	w.Env = map[string]string{"PRICE": "$$(5)"}
	w.Changes = []components.Change{
		components.Edit(func(d *appsv1.Deployment) {
			d.Spec.Template.Spec.Containers[0].Resources.Limits[corev1.ResourceMemory] = resource.MustParse("2Gi")
		}),
		components.Edit(func(n *networkingv1.NetworkPolicy) { n.Spec.Ingress[0].From[0].PodSelector.MatchLabels["c"] = "d" }),
	}
	for range 2 { // an edit that reached the definition would find nothing to change
		if _, err := w.Objects(); err != nil {
			t.Fatal(err)
		}
	}
	plain := config("c")
	for range 2 {
		find[*corev1.ConfigMap](t, components.Plain(plain)).Data["A"] = "2"
	}
	if plain.Data["A"] != "1" {
		t.Error("Plain gives its own object away")
	}
	find[*corev1.Service](t, w).Spec.Ports[0].Port = 1
	if got := find[*corev1.Service](t, w).Spec.Ports[0].Port; got != 3000 {
		t.Errorf("a change of one object reached the next: port %d", got)
	}
}

func TestDeployerPrune(t *testing.T) {
	d := components.Deployer{Name: "d", Namespace: "shop", Applies: []object.Component{web()}}
	for _, prune := range []bool{false, true} {
		d.Prune = prune
		for _, rule := range find[*rbacv1.Role](t, d).Rules {
			// The rules for what is applied; the records of a deploy are its own.
			if slices.Contains(rule.Verbs, "patch") && slices.Contains(rule.Verbs, "delete") != prune {
				t.Errorf("prune %v: %v", prune, rule)
			}
		}
	}
}
