package live_test

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"

	"git.lastcloud.io/ronnibaslund/dezky/fleet/render/manifest"
	"git.lastcloud.io/ronnibaslund/dezky/fleet/render/plan/apischema"
	"git.lastcloud.io/ronnibaslund/dezky/fleet/render/plan/live"
)

func one(t *testing.T, text string) *unstructured.Unstructured {
	t.Helper()
	documents, err := manifest.Read(strings.NewReader(text))
	if err != nil || len(documents) != 1 {
		t.Fatalf("%d documents, error %v", len(documents), err)
	}
	return documents[0].Object
}

// running is a Deployment as a server gives it back: applied by kubectl, scaled
// by hand, with the server's defaults.
const running = `
apiVersion: apps/v1
kind: Deployment
metadata:
  name: web
  namespace: shop
  uid: 1-2-3
  resourceVersion: "7"
  generation: 2
  creationTimestamp: "2026-01-01T00:00:00Z"
  labels: {app: web, by-hand: "yes"}
  annotations: {deployment.kubernetes.io/revision: "1", kubectl.kubernetes.io/last-applied-configuration: LAST}
  managedFields:
  - {manager: kubectl-client-side-apply, operation: Update, fieldsType: FieldsV1, fieldsV1: {"f:metadata": {"f:annotations": {".": {}, "f:kubectl.kubernetes.io/last-applied-configuration": {}}, "f:labels": {".": {}, "f:app": {}}}, "f:spec": {"f:selector": {}, "f:template": {"f:spec": {"f:containers": {'k:{"name":"web"}': {".": {}, "f:name": {}, "f:image": {}, "f:env": {".": {}, 'k:{"name":"OLD"}': {".": {}, "f:name": {}, "f:value": {}}}, "f:ports": {".": {}, 'k:{"containerPort":80,"protocol":"TCP"}': {".": {}, "f:containerPort": {}}}}}}}}}}
  - {manager: kubectl-edit, operation: Update, fieldsType: FieldsV1, fieldsV1: {"f:metadata": {"f:labels": {"f:by-hand": {}}}, "f:spec": {"f:replicas": {}, "f:template": {"f:spec": {"f:containers": {'k:{"name":"spy"}': {".": {}, "f:name": {}}}}}}}}
spec:
  replicas: 5
  progressDeadlineSeconds: 600
  selector: {matchLabels: {app: web}}
  template:
    metadata: {creationTimestamp: null, labels: {app: web}}
    spec:
      restartPolicy: Always
      dnsPolicy: ClusterFirst
      containers:
      - name: web
        image: web:1
        imagePullPolicy: IfNotPresent
        terminationMessagePath: /dev/termination-log
        env: [{name: OLD, value: x}, {name: INJECTED, value: x}]
        ports: [{containerPort: 80, protocol: TCP}]
      - name: spy
        image: spy:1
status: {replicas: 5}
`

func orElse(s, otherwise string) string {
	if s == "" {
		return otherwise
	}
	return s
}

func byKubectl(e metav1.ManagedFieldsEntry) bool { return e.Manager == "kubectl-client-side-apply" }

func TestApplied(t *testing.T) {
	const last = `'{"metadata": {"labels": {"app": "web"}}, "spec": {"selector": {"matchLabels": {"app": "web"}}}}'`
	for _, tc := range []struct{ name, last, rendered, want string }{
		{"no longer rendered, applied by the client", last, "", `
apiVersion: apps/v1
kind: Deployment
metadata: {name: web, namespace: shop, labels: {app: web}}
spec: {selector: {matchLabels: {app: web}}}
`},
		{"another selector", "", `
apiVersion: apps/v1
kind: Deployment
metadata: {name: web, namespace: shop}
spec:
  selector: {matchLabels: {other: web}}
  template: {spec: {containers: [{name: web}]}}
`, `
apiVersion: apps/v1
kind: Deployment
metadata: {name: web, namespace: shop, labels: {app: web}}
spec:
  selector: {matchLabels: {app: web}}
  template: {spec: {containers: [{name: web, image: web:1, env: [{name: OLD, value: x}], ports: [{containerPort: 80}]}]}}
`},
		{"no longer rendered", "", "", `
apiVersion: apps/v1
kind: Deployment
metadata: {name: web, namespace: shop, labels: {app: web}}
spec:
  selector: {matchLabels: {app: web}}
  template: {spec: {containers: [{name: web, image: web:1, env: [{name: OLD, value: x}], ports: [{containerPort: 80}]}]}}
`},
		{"what is rendered is compared, whoever set it", "", `
apiVersion: apps/v1
kind: Deployment
metadata: {name: web, namespace: shop}
spec:
  replicas: 2
  template: {metadata: {labels: {app: web}}, spec: {containers: [{name: web, image: web:2, imagePullPolicy: Always}]}}
`, `
apiVersion: apps/v1
kind: Deployment
metadata: {name: web, namespace: shop, labels: {app: web}}
spec:
  replicas: 5
  selector: {matchLabels: {app: web}}
  template: {metadata: {labels: {app: web}}, spec: {containers: [{name: web, image: web:1, imagePullPolicy: IfNotPresent, env: [{name: OLD, value: x}], ports: [{containerPort: 80}]}]}}
`},
	} {
		t.Run(tc.name, func(t *testing.T) {
			var rendered *unstructured.Unstructured
			if tc.rendered != "" {
				rendered = one(t, tc.rendered)
			}
			got, err := live.Applied(one(t, strings.Replace(running, "LAST", orElse(tc.last, "''"), 1)), rendered, byKubectl, apischema.Types())
			if err != nil {
				t.Fatal(err)
			}
			if d := cmp.Diff(one(t, tc.want).Object, got.Object); d != "" {
				t.Errorf("(-want +got)\n%s", d)
			}
		})
	}
}

// TestDefaults: of a list without keys, what the server set is left out, and
// what was there before is not.
func TestDefaults(t *testing.T) {
	policy := func(ports string) *unstructured.Unstructured {
		return one(t, `{apiVersion: networking.k8s.io/v1, kind: NetworkPolicy, metadata: {name: a, namespace: shop}, spec: {podSelector: {}, ingress: [{ports: [`+ports+`]}]}}`)
	}
	for _, tc := range []struct{ live, rendered, want string }{
		{"{port: 80, protocol: TCP}", "{port: 80}", "{port: 80}"},
		{"{port: 80, protocol: UDP}", "{port: 80}", "{port: 80, protocol: UDP}"},
		{"{port: 80, endPort: 90, protocol: TCP}", "{port: 80, protocol: TCP}", "{port: 80, endPort: 90, protocol: TCP}"},
		{"{port: 80, protocol: TCP}, {port: 81, protocol: TCP}", "{port: 80}", "{port: 80, protocol: TCP}, {port: 81, protocol: TCP}"},
	} {
		got, err := live.Applied(policy(tc.live), policy(tc.rendered), byKubectl, apischema.Types())
		if err != nil {
			t.Fatal(err)
		}
		if d := cmp.Diff(policy(tc.want).Object, got.Object); d != "" {
			t.Errorf("%s, rendered %s (-want +got)\n%s", tc.live, tc.rendered, d)
		}
	}
}
