package apps

import (
	"reflect"
	"slices"
	"strings"
	"testing"

	corev1 "k8s.io/api/core/v1"

	"git.lastcloud.io/ronnibaslund/dezky/fleet/components"
	"git.lastcloud.io/ronnibaslund/dezky/fleet/render"
	"git.lastcloud.io/ronnibaslund/dezky/fleet/render/object"
	"git.lastcloud.io/ronnibaslund/dezky/fleet/render/readme"
)

// TestAssumedDocumented: every assumption and every pending value of an
// environment stands in its documentation.
func TestAssumedDocumented(t *testing.T) {
	for _, env := range Environments().Names() {
		tree := testTree(t, env)
		_, report, err := tree.Files()
		if err != nil {
			t.Fatal(err)
		}
		page := texts(t, tree)["README.md"]
		for _, a := range report.Assumed {
			if !strings.Contains(page, "| "+a.What+" | ") || !strings.Contains(page, readme.Cell(a.Confirm)) {
				t.Errorf("%s: README.md lacks %s", env, a)
			}
			if a.Until == "" || a.Buys == "" {
				t.Errorf("%s: %s: it does not say what is rendered until confirmed, and what confirming buys", env, a.What)
			}
		}
		for _, line := range report.Pending {
			if !strings.Contains(page, "- "+line+".\n") {
				t.Errorf("%s: README.md lacks %s", env, line)
			}
		}
	}
}

// TestAssumedReported: a component of which something is marked as assumed
// reports it.
func TestAssumedReported(t *testing.T) {
	marked := 0
	for _, env := range Environments().Names() {
		for _, layer := range testTree(t, env).Layers {
			for _, file := range layer.Files {
				for _, c := range file.Components {
					v := reflect.Indirect(reflect.ValueOf(c))
					if v.Kind() != reflect.Struct {
						continue
					}
					if f := v.FieldByName("Assumed"); !f.IsValid() || f.IsZero() {
						continue
					}
					if marked++; len(c.About().Assumed) == 0 {
						t.Errorf("%s: %s/%s: a %T is marked as assumed, and reports nothing", env, layer.Name, file.Name, c)
					}
				}
			}
		}
	}
	if marked == 0 {
		t.Error("nothing is marked as assumed: the test looks at nothing")
	}
}

// TestConfirm confirms the assumptions of one app, one after the other, in a
// small tree of its own: each is one assignment, and none touches another app.
func TestConfirm(t *testing.T) {
	small := func(change func(*components.Assumed)) map[string]string {
		app := func(name string) components.WebApp {
			return components.WebApp{
				Name: name, Namespace: "shop", Image: "registry.example.com/" + name + ":v1", Port: 3000,
				Probes:  components.Probes{Startup: "/live", Readiness: "/ready", Liveness: "/live"},
				Assumed: components.Assumed{Probes: true, User: true, Files: true, Memory: true, Tmp: true},
			}
		}
		web := app("web")
		change(&web.Assumed)
		tree := render.Tree{Name: "a shop", Layers: []render.Layer{{Name: "apps", Files: []render.File{
			{Name: "web", Components: []object.Component{web}},
			{Name: "other", Components: []object.Component{app("other")}},
		}}}}
		return texts(t, tree)
	}
	before := small(func(*components.Assumed) {})
	for name, confirm := range map[string]func(*components.Assumed){
		"probes": func(a *components.Assumed) { a.Probes = false },
		"user":   func(a *components.Assumed) { a.User = false },
		"files":  func(a *components.Assumed) { a.Files = false },
		"memory": func(a *components.Assumed) { a.Memory = false },
		"tmp":    func(a *components.Assumed) { a.Tmp = false },
	} {
		after := small(confirm)
		if after["apps/other.yaml"] != before["apps/other.yaml"] {
			t.Errorf("%s: confirming it for web changes other", name)
		}
		if after["apps/web.yaml"] == before["apps/web.yaml"] {
			t.Errorf("%s: confirming it changes nothing", name)
		}
	}
}

// TestPodSecurity: the namespace of the apps enforces no more than its pods
// keep, and no less.
func TestPodSecurity(t *testing.T) {
	level := func(tr tier) string {
		for _, layer := range tr.tree().Layers {
			for _, file := range layer.Files {
				for _, c := range file.Components {
					objects, err := c.Objects()
					if err != nil {
						t.Fatal(err)
					}
					if i := slices.IndexFunc(objects, func(o object.Object) bool {
						ns, ok := o.(*corev1.Namespace)
						return ok && ns.Name == namespace
					}); i >= 0 {
						return objects[i].GetLabels()["pod-security.kubernetes.io/enforce"]
					}
				}
			}
		}
		return ""
	}
	tr := newTier(Environments()[0])
	for i := range tr.apps {
		tr.apps[i].Web.Assumed.User = false
	}
	if got := level(tr); got != "restricted" {
		t.Errorf("with every user confirmed the namespace enforces %q", got)
	}
	tr.apps[0].Web.Assumed.User = true
	if got := level(tr); got != "baseline" {
		t.Errorf("with an image that may run as root the namespace enforces %q", got)
	}
}

// TestAssumedNeighbour: who needs a neighbour whose port nobody has confirmed
// may reach every port of its namespace, and of no other.
func TestAssumedNeighbour(t *testing.T) {
	n := neighbour{name: "store", namespace: "data", port: 80, pods: 8080}
	if p := n.Peer(); p.Namespace != "data" || !slices.Equal(p.Ports, []int32{8080}) {
		t.Errorf("confirmed: %+v", p)
	}
	n.assumed = true
	if p := n.Peer(); p.Namespace != "data" || len(p.Pods) != 0 || len(p.Ports) != 0 || p.CIDR != "" {
		t.Errorf("assumed: %+v", p)
	}
}

// TestAssumedConfigReaches: an app that reads a live ConfigMap before the
// rendered one may reach the neighbours wherever that says they are.
func TestAssumedConfigReaches(t *testing.T) {
	for _, assumed := range []bool{false, true} {
		web := components.WebApp{Name: "web", Namespace: "shop", Port: 3000, Config: &components.ConfigMap{Assumed: assumed}}
		apps := connect([]App{{Web: web, Host: "web"}}, Environment{Environment: render.Environment{Domain: "example.com"}})
		for _, p := range []components.Peer{authentikServer().Peer(), stalwart()} {
			if got := slices.ContainsFunc(apps[0].Web.Network.To, func(q components.Peer) bool { return reflect.DeepEqual(p, q) }); got != assumed {
				t.Errorf("keys assumed: %v, may reach %+v: %v", assumed, p, got)
			}
		}
	}
}

// TestAssumedOnce: what is assumed of the tier is told under one name each, and
// of what an environment has alone.
func TestAssumedOnce(t *testing.T) {
	for _, env := range Environments() {
		tr := newTier(env)
		all := tr.tree().Assumptions()
		for i, a := range all {
			if slices.ContainsFunc(all[:i], func(b object.Assumption) bool { return a.What == b.What }) {
				t.Errorf("%s: %s is told twice", env.Name, a.What)
			}
			if !tr.env.Runner && strings.Contains(a.What+a.Until, "runner") {
				t.Errorf("%s has no runner, and assumes %s", env.Name, a.What)
			}
			if !env.SharedSessions && strings.Contains(a.What, "REDIS") {
				t.Errorf("%s has no Redis, and assumes %s", env.Name, a.What)
			}
		}
	}
}
