package components_test

import (
	"fmt"
	"strings"
	"testing"

	appsv1 "k8s.io/api/apps/v1"

	"git.lastcloud.io/ronnibaslund/dezky/fleet/components"
	"git.lastcloud.io/ronnibaslund/dezky/fleet/render"
)

// deploymentText returns the Deployment of an app as it is rendered.
func deploymentText(t *testing.T, w components.WebApp) string {
	t.Helper()
	objects, err := w.Objects()
	if err != nil {
		t.Fatal(err)
	}
	for _, o := range objects {
		if d, ok := o.(*appsv1.Deployment); ok {
			text, err := render.YAML(d)
			if err != nil {
				t.Fatal(err)
			}
			return string(text)
		}
	}
	t.Fatal("no Deployment")
	return ""
}

// TestAssumed holds each assumption of an app against the same app confirmed:
// what is rendered until then, and what confirming brings.
func TestAssumed(t *testing.T) {
	confirmed := web()
	confirmed.Probes = components.Probes{Startup: "/live", Readiness: "/ready", Liveness: "/live"}
	confirmed.Env = map[string]string{"MODE": "test"}
	confirmed.RunAsUser = 1234

	for _, tc := range []struct {
		name             string
		assumed          components.Assumed
		until            []string // in the Deployment until confirmed, not after
		then             []string // in the Deployment once confirmed, not before
		what, value, how string
	}{
		{"probes", components.Assumed{Probes: true}, []string{"tcpSocket:"}, []string{"httpGet:", "path: /ready", "path: /live"},
			"the paths of the probes", "startup /live, readiness /ready, liveness /live", "curl -i http://localhost:8080/ready"},
		{"user", components.Assumed{User: true}, nil, []string{"runAsNonRoot: true", "runAsUser: 1234", "runAsGroup: 1234", "fsGroup: 1234", "- ALL"},
			"the user of the image", "1234", "id -u"},
		{"files", components.Assumed{Files: true}, nil, []string{"readOnlyRootFilesystem: true"},
			"the paths that it writes", "/tmp", "find / -xdev"},
		{"memory", components.Assumed{Memory: true}, []string{"memory: 2Gi"}, []string{"memory: 512Mi"},
			"the limit of memory", "2Gi", "kubectl -n shop top pods"},
		{"tmp", components.Assumed{Tmp: true}, []string{"sizeLimit: 4Gi"}, []string{"sizeLimit: 1Gi"},
			"the limit of /tmp", "4Gi", "exec deployment/web -- du -sh /tmp"},
		{"twice", components.Assumed{Twice: true}, nil, nil,
			"that two pods may run side by side", "", "its code"},
		{"a variable", components.Assumed{Env: map[string]string{"MODE": "`printenv MODE`"}}, nil, nil,
			"the variable MODE", "test", "`printenv MODE`"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			open := confirmed
			open.Assumed = tc.assumed
			before, after := deploymentText(t, open), deploymentText(t, confirmed)
			for _, s := range tc.until {
				if !strings.Contains(before, s) || strings.Contains(after, s) {
					t.Errorf("%q: until confirmed %v, then %v", s, strings.Contains(before, s), strings.Contains(after, s))
				}
			}
			for _, s := range tc.then {
				if strings.Contains(before, s) || !strings.Contains(after, s) {
					t.Errorf("%q: until confirmed %v, then %v", s, strings.Contains(before, s), strings.Contains(after, s))
				}
			}
			// An assumption is no licence for the rest.
			for _, s := range []string{"allowPrivilegeEscalation: false", "type: RuntimeDefault", "automountServiceAccountToken: false", "maxSurge: 1", "maxUnavailable: 0"} {
				if !strings.Contains(before, s) {
					t.Errorf("until confirmed there is no %q", s)
				}
			}

			if list := confirmed.About().Assumed; len(list) != 0 {
				t.Errorf("confirmed, it still assumes %v", list)
			}
			list := open.About().Assumed
			if len(list) != 1 {
				t.Fatalf("assumptions: %v", list)
			}
			a := list[0]
			if a.What != "WebApp shop/web: "+tc.what || a.Value != tc.value || !strings.Contains(a.Confirm, tc.how) {
				t.Errorf("assumption %+v", a)
			}
			if a.Until == "" || a.Buys == "" {
				t.Errorf("it does not say what is rendered until confirmed, and what confirming buys: %+v", a)
			}
		})
	}
}

// TestAssumedMistakes: what is assumed must be there, and can be confirmed.
func TestAssumedMistakes(t *testing.T) {
	w := web()
	w.Env = map[string]string{"MODE": "test"}
	w.SecretEnv = contract().Env()
	w.Assumed.Env = map[string]string{"MODE": "", "MODUS": "its code", "TOKEN": "its code"}
	_, err := w.Objects()
	for _, want := range []string{
		"assumed.env[MODE]: Required value: say the command or the place that confirms the variable",
		`assumed.env[MODUS]: Invalid value: "MODUS": is no variable whose value stands in the manifest`,
		`assumed.env[TOKEN]: Invalid value: "TOKEN": is no variable whose value stands in the manifest`,
	} {
		if !strings.Contains(fmt.Sprint(err), want) {
			t.Errorf("error\n%v\nwant in it %s", err, want)
		}
	}
	w.Assumed.Env = map[string]string{"MODE": "its code", "PORT": "its code"}
	if _, err := w.Objects(); err != nil {
		t.Error(err)
	}
}

// TestAssumedConfig: the live ConfigMap is not overwritten by keys that nobody
// has confirmed, and its values count.
func TestAssumedConfig(t *testing.T) {
	config := components.ConfigMap{Name: "web-config", Namespace: "shop", Data: map[string]string{"MODE": "test"}}
	text := func(c components.ConfigMap) (config, deployment string) {
		objects, err := c.Objects()
		if err != nil {
			t.Fatal(err)
		}
		w := web()
		w.Config = &c
		_, deployment, _ = strings.Cut(deploymentText(t, w), "envFrom:")
		deployment, _, _ = strings.Cut(deployment, "image:")
		return objects[0].GetName(), strings.Join(strings.Fields(deployment), " ")
	}
	name, from := text(config)
	if name != "web-config" || from != "- configMapRef: name: web-config" || len(config.About().Assumed) != 0 {
		t.Errorf("confirmed: %s, %s, %v", name, from, config.About().Assumed)
	}
	config.Assumed = true
	name, from = text(config)
	if name != "web-config-assumed" || from != "- configMapRef: name: web-config-assumed - configMapRef: name: web-config optional: true" {
		t.Errorf("assumed: %s, %s", name, from)
	}
	list := config.About().Assumed
	if len(list) != 1 || list[0].What != "ConfigMap shop/web-config: its keys" || list[0].Value != "MODE" || list[0].Confirm == "" || list[0].Until == "" || list[0].Buys == "" {
		t.Errorf("assumptions %+v", list)
	}
}

// TestAssumedCertificate: the name of the Secret is the same, confirmed or not.
func TestAssumedCertificate(t *testing.T) {
	ingress := tls()
	ingress.Assumed = true
	list := ingress.About().Assumed
	if len(list) != 1 || list[0].What != "TLSIngress shop/web: the name of the Secret with its certificate" || list[0].Value != "web-tls" || !strings.Contains(list[0].Confirm, "get ingress") {
		t.Errorf("assumptions %+v", list)
	}
	ingress.SecretName = "live-tls"
	if list := ingress.About().Assumed; list[0].Value != "live-tls" {
		t.Errorf("assumptions %+v", list)
	}
	ingress.Assumed = false
	if list := ingress.About().Assumed; len(list) != 0 {
		t.Errorf("confirmed, it still assumes %v", list)
	}
}
