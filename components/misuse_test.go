package components_test

import (
	"strings"
	"testing"

	"k8s.io/apimachinery/pkg/api/resource"

	"git.lastcloud.io/ronnibaslund/dezky/fleet/components"
	"git.lastcloud.io/ronnibaslund/dezky/fleet/components/secret"
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
	for _, tc := range all {
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
				_, rest, _ := strings.Cut(line, ": ")
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
}
