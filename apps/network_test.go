package apps

import (
	"fmt"
	"maps"
	"net/netip"
	"reflect"
	"slices"
	"strings"
	"testing"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	networkingv1 "k8s.io/api/networking/v1"

	"git.lastcloud.io/ronnibaslund/dezky/fleet/components"
	"git.lastcloud.io/ronnibaslund/dezky/fleet/components/nuxt"
	"git.lastcloud.io/ronnibaslund/dezky/fleet/components/secret"
	"git.lastcloud.io/ronnibaslund/dezky/fleet/render"
	"git.lastcloud.io/ronnibaslund/dezky/fleet/render/object"
)

// smallTier is three apps: a shop with sign-in that calls a catalog, the
// catalog with a database, and a page that calls nobody.
func smallTier() []App {
	app := func(name string, env map[string]string) App {
		web := components.WebApp{Name: name, Namespace: "shop", Image: "registry.example.com/" + name + ":v1", Port: 3000, Env: env}
		return App{Web: web, Host: name}
	}
	catalog := app("catalog", map[string]string{"PAYMENTS": "https://pay.example.net/v1,https://pay.example.org:8443"})
	catalog.Web.Port = 4000
	catalog.Keys = []secret.Key{{Name: "MONGODB_URI", Format: secret.URI{Scheme: "mongodb", Host: mongoDB().Address()}}}
	catalog.Web.Config = &components.ConfigMap{
		Data: map[string]string{"AUTHENTIK_API": "http://" + authentikServer().Address(), "QUEUE": "nats.queue.svc.cluster.local:4222", "LEVEL": "7:30"},
		Pending: map[string]components.Pending{
			"MAIL": {Value: "http://192.0.2.7:8080"}, "COLD": {}, "FILES": {Value: "http://files.shop.svc:80"},
		},
	}
	shop := app("shop", map[string]string{"CATALOG": catalog.Web.URL(), "SELF": "https://shop.example.com/", "SCOPE": `["openid"]`})
	shop.Web.Login = nuxt.Login{
		Client:   components.OIDCClient{Name: "shop", Namespace: "shop", Host: "shop.example.com", Authentik: "auth.example.com"},
		Sessions: &nuxt.RedisSessions{Address: redisStore().Address(), Prefix: "shop"},
	}
	page := app("page", map[string]string{"SELF": "https://page.example.com"})
	files := app("files", nil)
	files.Internet = true
	return connect([]App{catalog, shop, page, files}, Environment{Environment: render.Environment{Domain: "example.com"}})
}

func byName(t *testing.T, apps []App, name string) App {
	t.Helper()
	i := slices.IndexFunc(apps, func(a App) bool { return a.Web.Name == name })
	if i < 0 {
		t.Fatalf("there is no app %s", name)
	}
	return apps[i]
}

func sorted(peers []components.Peer) []components.Peer {
	return slices.SortedFunc(slices.Values(peers), func(a, b components.Peer) int {
		return strings.Compare(fmt.Sprint(a), fmt.Sprint(b))
	})
}

func TestConnect(t *testing.T) {
	apps := smallTier()
	shop, catalog, files := byName(t, apps, "shop").Web, byName(t, apps, "catalog").Web, byName(t, apps, "files").Web
	for name, want := range map[string]components.Network{
		"shop": {From: []components.Peer{proxy()}, To: []components.Peer{catalog.Peer(), proxy(), redisStore().Peer()}},
		"catalog": {From: []components.Peer{proxy(), shop.Peer()}, To: []components.Peer{
			mongoDB().Peer(), authentikServer().Peer(), files.Peer(),
			internet(443), internet(8443),
			{CIDR: "192.0.2.7/32", Ports: []int32{8080}},
			{Namespace: "queue", Ports: []int32{4222}},
		}},
		"page":  {From: []components.Peer{proxy()}},
		"files": {From: []components.Peer{proxy(), catalog.Peer()}, To: []components.Peer{internet(443)}},
	} {
		got := byName(t, apps, name).Web.Network
		if !reflect.DeepEqual(sorted(got.From), sorted(want.From)) || !reflect.DeepEqual(sorted(got.To), sorted(want.To)) {
			t.Errorf("%s: from %v to %v\nwant %v\nto %v", name, got.From, got.To, want.From, want.To)
		}
	}
}

// TestReach: for a small tier and for each real one, an app may reach the
// session store, the database and another app exactly where it is given them,
// and the other app lets it in.
func TestReach(t *testing.T) {
	tiers := map[string][]App{"small": smallTier()}
	for _, env := range Environments() {
		tiers[env.Name] = connect(newTier(env).apps, env)
	}
	for name, apps := range tiers {
		reaches := func(a App, p components.Peer) bool {
			return slices.ContainsFunc(a.Web.Network.To, func(q components.Peer) bool { return reflect.DeepEqual(p, q) })
		}
		same := func(a App, whom string, got, given bool) {
			t.Helper()
			if got != given {
				t.Errorf("%s: %s is given %s: %v, may reach it: %v", name, a.Web.Name, whom, given, got)
			}
		}
		calls := 0
		for _, a := range apps {
			login, signsIn := a.Web.Login.(nuxt.Login)
			same(a, "the session store", reaches(a, redisStore().Peer()), login.Sessions != nil)
			same(a, "the database", reaches(a, mongoDB().Peer()), slices.ContainsFunc(a.contract().Keys, func(k secret.Key) bool {
				u, ok := k.Format.(secret.URI)
				return ok && u.Host == mongoDB().Address()
			}))
			if signsIn && !reaches(a, proxy()) {
				t.Errorf("%s: %s signs in and cannot reach Authentik", name, a.Web.Name)
			}
			for _, b := range apps {
				given := slices.Contains(slices.Collect(maps.Values(a.Web.Env)), b.Web.URL()) ||
					a.Web.Config != nil && slices.ContainsFunc(slices.Collect(maps.Values(a.Web.Config.Pending)), func(p components.Pending) bool {
						return strings.HasPrefix(p.Value, "http://"+b.Web.Name+".")
					})
				same(a, b.Web.Name, reaches(a, b.Web.Peer()), given)
				in := slices.ContainsFunc(b.Web.Network.From, func(q components.Peer) bool { return reflect.DeepEqual(a.Web.Peer(), q) })
				if in != given {
					t.Errorf("%s: %s is given %s: %v, is let in: %v", name, a.Web.Name, b.Web.Name, given, in)
				}
				if given {
					calls++
				}
			}
		}
		if calls == 0 {
			t.Errorf("%s: no app calls another: the test looks at nothing", name)
		}
	}
}

// policy is one of a rendered tree, with the place where it stands.
type policy struct {
	layer, file string
	networkingv1.NetworkPolicy
}

func policies(t *testing.T, tree render.Tree) (all []policy, others []object.Object) {
	t.Helper()
	for _, l := range tree.Layers {
		for _, f := range l.Files {
			for _, c := range f.Components {
				objects, err := c.Objects()
				if err != nil {
					t.Fatal(err)
				}
				for _, o := range objects {
					if p, ok := o.(*networkingv1.NetworkPolicy); ok {
						all = append(all, policy{l.Name, f.Name, *p})
					} else {
						others = append(others, o)
					}
				}
			}
		}
	}
	return all, others
}

// allowsAddress reports whether the policy lets its pods reach the address at
// the port.
func (p policy) allowsAddress(ip string, port int32) bool {
	for _, rule := range p.Spec.Egress {
		at := len(rule.Ports) == 0 || slices.ContainsFunc(rule.Ports, func(q networkingv1.NetworkPolicyPort) bool { return q.Port.IntVal == port })
		for _, to := range rule.To {
			holds := func(cidr string) bool { return netip.MustParsePrefix(cidr).Contains(netip.MustParseAddr(ip)) }
			if at && to.IPBlock != nil && holds(to.IPBlock.CIDR) && !slices.ContainsFunc(to.IPBlock.Except, holds) {
				return true
			}
		}
	}
	return false
}

// TestInternet: what may reach the internet reaches nothing that is not there.
func TestInternet(t *testing.T) {
	for _, env := range Environments() {
		all, _ := policies(t, newTier(env).tree())
		way := 0
		for _, p := range all {
			if p.allowsAddress("93.184.215.14", 443) {
				way++
			}
			for _, ip := range []string{
				"10.0.0.1", "10.42.3.7", "10.43.0.1", "10.255.255.255", "172.16.0.1", "172.31.255.254", "192.168.1.1",
				"100.64.0.1", "100.127.255.254", "127.0.0.1", "169.254.169.254",
			} {
				for _, port := range []int32{22, 80, 443, 8080} {
					if p.allowsAddress(ip, port) && !slices.ContainsFunc(p.Spec.Egress, func(r networkingv1.NetworkPolicyEgressRule) bool {
						return r.To[0].IPBlock != nil && (r.To[0].IPBlock.CIDR == ip+"/32" ||
							r.To[0].IPBlock.CIDR == stalwart().CIDR && port == stalwartPort && r.Ports[0].Port.IntVal == port)
					}) {
						t.Errorf("%s: %s may reach %s:%d", env.Name, p.Name, ip, port)
					}
				}
			}
			for _, ip := range []string{"172.15.0.1", "172.32.0.1", "100.128.0.1", "11.0.0.1"} { // just outside
				if p.allowsAddress("93.184.215.14", 443) && !p.allowsAddress(ip, 443) {
					t.Errorf("%s: %s may not reach %s, which is public", env.Name, p.Name, ip)
				}
			}
		}
		if way == 0 {
			t.Errorf("%s: nothing has a way to the internet: the test looks at nothing", env.Name)
		}
	}
}

// TestDefaultDeny: every namespace that is rendered is closed in the layer of
// its pods, after all that opens it, and cert-manager's solver is not lost.
func TestDefaultDeny(t *testing.T) {
	for _, env := range Environments() {
		tree := newTier(env).tree()
		all, others := policies(t, tree)
		for _, o := range others {
			namespace, ok := o.(*corev1.Namespace)
			if !ok {
				continue
			}
			closed := slices.IndexFunc(all, func(p policy) bool {
				return p.Namespace == namespace.Name && len(p.Spec.PodSelector.MatchLabels) == 0
			})
			if closed < 0 {
				t.Errorf("%s: %s is open", env.Name, namespace.Name)
				continue
			}
			p := all[closed]
			types := []networkingv1.PolicyType{networkingv1.PolicyTypeIngress, networkingv1.PolicyTypeEgress}
			if !slices.Equal(p.Spec.PolicyTypes, types) || len(p.Spec.Ingress) != 0 || len(p.Spec.Egress) != 1 || p.Spec.Egress[0].Ports[0].Port.IntVal != 53 {
				t.Errorf("%s: %s is closed by %+v, want all but DNS", env.Name, namespace.Name, p.Spec)
			}
			for _, l := range tree.Layers {
				for _, f := range l.Files {
					if l.Name == p.layer && l.Name == "apps" && f.Name > p.file {
						t.Errorf("%s: apps/%s comes after %s, which closes", env.Name, f.Name, p.file)
					}
				}
			}
			if slices.ContainsFunc(all[closed+1:], func(q policy) bool { return q.layer == p.layer }) {
				t.Errorf("%s: %s is closed before all that opens it is there", env.Name, namespace.Name)
			}
		}
		if !slices.ContainsFunc(all, func(p policy) bool {
			return p.Namespace == namespace && p.Spec.PodSelector.MatchLabels["acme.cert-manager.io/http01-solver"] == "true" &&
				p.Spec.Ingress[0].Ports[0].Port.IntVal == 8089 && p.Spec.Ingress[0].From[0].PodSelector.MatchLabels["app.kubernetes.io/name"] == "traefik"
		}) {
			t.Errorf("%s: Traefik does not reach cert-manager's solver", env.Name)
		}
	}
}

// TestRunner: one environment has it, the others have nothing of it, and it
// reaches no pod but the proxy's and DNS.
func TestRunner(t *testing.T) {
	var runners []string
	for _, env := range Environments() {
		tr := newTier(env)
		all, others := policies(t, tr.tree())
		here := slices.ContainsFunc(others, func(o object.Object) bool {
			_, ok := o.(*appsv1.Deployment)
			return ok && o.GetNamespace() == ciNamespace
		})
		if here {
			runners = append(runners, env.Name)
		} else {
			for path, text := range texts(t, tr.tree()) {
				if strings.Contains(text, ciNamespace) {
					t.Errorf("%s: %s has something in %s, and there is no runner", env.Name, path, ciNamespace)
				}
			}
		}
		for _, p := range all {
			if p.Namespace != ciNamespace || len(p.Spec.PodSelector.MatchLabels) == 0 {
				continue
			}
			if len(p.Spec.Ingress) != 0 {
				t.Errorf("%s: the runner is reached by %v", env.Name, p.Spec.Ingress)
			}
			if !p.allowsAddress("93.184.215.14", 6443) || !p.allowsAddress("93.184.215.14", 443) || !p.allowsAddress("93.184.215.14", 80) {
				t.Errorf("%s: the runner does not reach the API server or the internet", env.Name)
			}
			for _, port := range []int32{53, 80, 443, 3000, 6379, 6443, 8443} {
				if p.allowsAddress("10.42.0.9", port) {
					t.Errorf("%s: the runner reaches pods by their address, port %d", env.Name, port)
				}
			}
			for _, rule := range p.Spec.Egress {
				for _, to := range rule.To {
					if to.PodSelector == nil {
						continue
					}
					if labels := to.PodSelector.MatchLabels; labels["k8s-app"] != "kube-dns" && labels["app.kubernetes.io/name"] != "traefik" {
						t.Errorf("%s: the runner reaches %v", env.Name, to)
					}
				}
			}
		}
	}
	if len(runners) != 1 {
		t.Errorf("the runner is in %v: each would take the jobs of the other", runners)
	}
}
