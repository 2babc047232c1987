package plan_test

import (
	"bytes"
	"flag"
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"

	"github.com/rogpeppe/go-internal/txtar"

	"git.lastcloud.io/ronnibaslund/dezky/fleet/golden"
	"git.lastcloud.io/ronnibaslund/dezky/fleet/render/plan"
)

var update = flag.Bool("update", false, "accept the example reports and the page of the rules")

// shopApp is an app of the examples.
type shopApp struct {
	name, host, tag string
	port, replicas  int
	// calls are the apps that it calls, by their Services.
	calls []string
	// env are more variables, as YAML.
	env string
}

func (a shopApp) files(files map[string]string) {
	env := a.env
	egress := ""
	for _, c := range a.calls {
		env += fmt.Sprintf("        - {name: %s_URL, value: \"http://%s.shop:3001\"}\n", strings.ToUpper(c), c)
		egress += fmt.Sprintf("  - {ports: [{port: 3001, protocol: TCP}], to: [{podSelector: {matchLabels: {app.kubernetes.io/name: %s}}}]}\n", c)
	}
	if env != "" {
		env = "        env:\n" + env
	}
	from := "{namespaceSelector: {matchLabels: {kubernetes.io/metadata.name: kube-system}}, podSelector: {matchLabels: {app.kubernetes.io/name: traefik}}}"
	if a.name == "api" {
		from += ", {podSelector: {matchLabels: {calls-api: \"yes\"}}}"
	}
	labels := "app.kubernetes.io/name: " + a.name
	if len(a.calls) > 0 {
		labels += ", calls-api: \"yes\""
	}
	files["apps/"+a.name+".yaml"] = fmt.Sprintf(`apiVersion: apps/v1
kind: Deployment
metadata: {name: %[1]s, namespace: shop}
spec:
  replicas: %[4]d
  selector: {matchLabels: {app.kubernetes.io/name: %[1]s}}
  template:
    metadata: {labels: {%[9]s}}
    spec:
      containers:
      - name: %[1]s
        image: registry.example.net/shop/%[1]s:%[5]s
        ports: [{name: http, containerPort: %[3]d}]
        readinessProbe: {httpGet: {path: /ready, port: http}}
        resources: {limits: {memory: 512Mi}}
%[6]s---
apiVersion: v1
kind: Service
metadata: {name: %[1]s, namespace: shop}
spec:
  selector: {app.kubernetes.io/name: %[1]s}
  ports: [{name: http, port: %[3]d, targetPort: http}]
---
apiVersion: networking.k8s.io/v1
kind: Ingress
metadata:
  name: %[1]s
  namespace: shop
  annotations: {traefik.ingress.kubernetes.io/router.middlewares: shop-redirect@kubernetescrd, cert-manager.io/cluster-issuer: letsencrypt}
spec:
  ingressClassName: traefik
  rules: [{host: %[2]s, http: {paths: [{path: /, pathType: Prefix, backend: {service: {name: %[1]s, port: {name: http}}}}]}}]
  tls: [{hosts: [%[2]s], secretName: %[1]s-tls}]
---
apiVersion: networking.k8s.io/v1
kind: NetworkPolicy
metadata: {name: %[1]s, namespace: shop}
spec:
  podSelector: {matchLabels: {app.kubernetes.io/name: %[1]s}}
  policyTypes: [Ingress, Egress]
  ingress: [{from: [%[8]s]}]
  egress:
  - {ports: [{port: 53, protocol: UDP}]}
  - {ports: [{port: 443, protocol: TCP}, {port: 6379, protocol: TCP}, {port: 27017, protocol: TCP}]}
%[7]s`, a.name, a.host, a.port, a.replicas, a.tag, env, egress, from, labels)
}

// login are the variables of an app that signs users in.
func login(app string) string {
	key := func(name string) string {
		return fmt.Sprintf("        - {name: %s, valueFrom: {secretKeyRef: {name: %s-secrets, key: %[1]s}}}\n", name, app)
	}
	return fmt.Sprintf("        - {name: NUXT_OIDC_PROVIDERS_OIDC_OPEN_ID_CONFIGURATION, value: \"https://id.example.com/application/o/%s/.well-known/openid-configuration\"}\n", app) +
		key("NUXT_OIDC_PROVIDERS_OIDC_CLIENT_ID") + key("NUXT_OIDC_SESSION_SECRET") + key("SESSION_REDIS_URL")
}

const redirect = `apiVersion: traefik.io/v1alpha1
kind: Middleware
metadata: {name: redirect, namespace: shop}
spec: {redirectScheme: {scheme: https, permanent: true}}
`

// shop is the tier of the examples.
func shop(tag string, change func(map[string]*shopApp)) map[string][]byte {
	apps := map[string]*shopApp{
		"web": {name: "web", host: "www.example.com", port: 3000, replicas: 2, calls: []string{"api"}, env: login("web")},
		"api": {name: "api", host: "api.example.com", port: 3001, replicas: 2,
			env: "        - {name: MONGODB_URI, valueFrom: {secretKeyRef: {name: api-secrets, key: MONGODB_URI}}}\n        - {name: MAIL_URL, value: \"https://mail.example.org\"}\n"},
		"help": {name: "help", host: "help.example.com", port: 8080, replicas: 1},
	}
	if change != nil {
		change(apps)
	}
	files := map[string]string{"apps/middleware.yaml": redirect}
	blueprint := ""
	for _, name := range slices.Sorted(maps.Keys(apps)) {
		a := apps[name]
		if a.tag == "" {
			a.tag = tag
		}
		a.files(files)
		if strings.Contains(a.env, "OIDC") {
			blueprint += "    - model: authentik_providers_oauth2.oauth2provider\n      identifiers: {name: " + name + "}\n"
		}
	}
	files["auth/blueprint.yaml"] = "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: shop, namespace: auth}\ndata:\n  shop.yaml: |\n    entries:\n" + blueprint
	all := make(map[string][]byte)
	for path, text := range files {
		all[path] = []byte(text)
	}
	return all
}

// kustomize are the two sides of the move from kustomize, for which each
// consequence is held by a pair of consequence/testdata.
func kustomize(t *testing.T) (was, is map[string][]byte) {
	archive, err := txtar.ParseFile("consequence/testdata/move.txtar")
	if err != nil {
		t.Fatal(err)
	}
	was, is = make(map[string][]byte), make(map[string][]byte)
	for _, f := range archive.Files {
		if path, ok := strings.CutPrefix(f.Name, "kustomize/from/"); ok {
			was[path] = f.Data
		}
		if path, ok := strings.CutPrefix(f.Name, "kustomize/to/"); ok {
			is[path] = f.Data
		}
	}
	return was, is
}

// TestGoldenRules: the page of the rules is what they say.
func TestGoldenRules(t *testing.T) {
	var b bytes.Buffer
	if err := plan.WriteRules(&b); err != nil {
		t.Fatal(err)
	}
	golden.File(t, "../../docs/consequences.md", b.Bytes(), *update)
}

// TestGoldenExamples makes the example reports of docs/plans from a small tier
// that is made up, so that no change of the real one changes them.
func TestGoldenExamples(t *testing.T) {
	before, after := kustomize(t)
	for _, tc := range []struct {
		name    string
		was, is map[string][]byte
		want    string
	}{
		{"new-app", shop("v1", nil), shop("v1", func(apps map[string]*shopApp) {
			apps["admin"] = &shopApp{name: "admin", host: "admin.example.com", port: 3000, replicas: 1, calls: []string{"api"}, env: login("admin")}
		}), "first"},
		{"release", shop("v1", nil), shop("v2", nil), "restarts"},
		{"host-moves", shop("v1", nil), shop("v1", func(apps map[string]*shopApp) {
			apps["help"].host, apps["web"].host = "questions.example.com", "help.example.com"
		}), "down"},
		{"from-kustomize", before, after, "refused"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			r, err := plan.Compare(plan.Rendering{Files: tc.was}, plan.Rendering{Files: tc.is})
			if err != nil {
				t.Fatal(err)
			}
			r.From, r.To = "what runs", "what is rendered now"
			if len(r.Consequences) == 0 || r.Consequences[0].Severity.String() != tc.want {
				t.Errorf("the worst is not %s: %s", tc.want, r.Summary())
			}
			html, err := r.HTML()
			if err != nil {
				t.Fatal(err)
			}
			again, _ := r.HTML()
			if html != again {
				t.Error("another page for the same report")
			}
			golden.File(t, "../../docs/plans/"+tc.name+".md", []byte(r.Markdown(0)), *update)
			golden.File(t, "../../docs/plans/"+tc.name+".html", []byte(html), *update)
		})
	}
}
