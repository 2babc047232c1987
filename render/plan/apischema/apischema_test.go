package apischema_test

import (
	"strings"
	"testing"

	"git.lastcloud.io/ronnibaslund/dezky/fleet/render/diff"
	"git.lastcloud.io/ronnibaslund/dezky/fleet/render/manifest"
	"git.lastcloud.io/ronnibaslund/dezky/fleet/render/plan/apischema"
)

// TestKeys: elements of lists are told apart as the API tells them apart.
func TestKeys(t *testing.T) {
	pod := func(kind, spec string) string { return "apps/v1 " + kind + " {template: {spec: {" + spec + "}}}" }
	for _, tc := range []struct{ was, is, want string }{
		{"v1 Service {ports: [{port: 1, name: a}, {port: 2, name: b}]}", "v1 Service {ports: [{port: 1, name: c}, {port: 2, name: b, protocol: TCP}]}", "spec.ports[1].name spec.ports[2].protocol"},
		{"v1 Service {ports: [{port: 1}, {port: 1, protocol: UDP}]}", "v1 Service {ports: [{port: 1}, {port: 1, protocol: UDP, nodePort: 3}]}", "spec.ports[1,UDP].nodePort"},
		{pod("Deployment", "containers: [{name: a, ports: [{containerPort: 1}], env: [{name: A, value: x}], volumeMounts: [{mountPath: /a, name: x}]}]"),
			pod("Deployment", "containers: [{name: a, ports: [{containerPort: 1, name: p}], env: [{name: A, value: y}], volumeMounts: [{mountPath: /a, name: y}]}]"),
			"spec.template.spec.containers[a].env[A].value spec.template.spec.containers[a].ports[1].name spec.template.spec.containers[a].volumeMounts[/a].name"},
		{pod("StatefulSet", "hostAliases: [{ip: 1.2.3.4, hostnames: [a]}], topologySpreadConstraints: [{topologyKey: z, whenUnsatisfiable: DoNotSchedule, maxSkew: 1}]"),
			pod("StatefulSet", "hostAliases: [{ip: 1.2.3.4, hostnames: [b]}], topologySpreadConstraints: [{topologyKey: z, whenUnsatisfiable: DoNotSchedule, maxSkew: 2}]"),
			"spec.template.spec.hostAliases[1.2.3.4].hostnames[0] spec.template.spec.topologySpreadConstraints[z,DoNotSchedule].maxSkew"},
		// Twice the same key, which the server refuses: by place.
		{pod("Deployment", "containers: [{name: a, env: [{name: A, value: x}, {name: A, value: y}]}]"), pod("Deployment", "containers: [{name: a, env: [{name: A, value: x}, {name: A, value: z}]}]"), "spec.template.spec.containers[a].env[1].value"},
		// Lists without keys, though their elements have names.
		{"networking.k8s.io/v1 Ingress {tls: [{secretName: a, hosts: [x]}, {secretName: b}]}", "networking.k8s.io/v1 Ingress {tls: [{secretName: a, hosts: [x]}, {secretName: c}]}", "spec.tls[1].secretName"},
		// A kind that the schema does not have: by name.
		{"example.com/v1 Thing {parts: [{name: a, v: 1}, {name: b, v: 1}]}", "example.com/v1 Thing {parts: [{name: a, v: 1}, {name: b, v: 2}]}", "spec.parts[b].v"},
	} {
		var fields []string
		for _, f := range diff.Fields(object(t, tc.was), object(t, tc.is), apischema.Types()) {
			fields = append(fields, f.Path)
		}
		if got := strings.Join(fields, " "); got != tc.want {
			t.Errorf("%s\nbecomes %s:\ngot  %s\nwant %s", tc.was, tc.is, got, tc.want)
		}
	}
}

func object(t *testing.T, text string) map[string]any {
	t.Helper()
	parts := strings.SplitN(text, " ", 3)
	documents, err := manifest.Read(strings.NewReader("{apiVersion: " + parts[0] + ", kind: " + parts[1] + ", metadata: {name: a}, spec: " + parts[2] + "}"))
	if err != nil {
		t.Fatal(err)
	}
	return documents[0].Object.Object
}
