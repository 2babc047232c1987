package order

import (
	"fmt"
	"strings"
	"testing"
)

// TestPorts: a Service whose ports change has the old beside the new from
// before the workloads until the traffic has moved, wherever the two can stand
// beside each other.
func TestPorts(t *testing.T) {
	service := func(spec string) string {
		return "{kind: Service, apiVersion: v1, metadata: {namespace: ns, name: a}, spec: {" + spec + "}}"
	}
	ports := func(each ...string) string {
		return service("selector: {app: a}, ports: [" + strings.Join(each, ", ") + "]")
	}
	const (
		http     = "{name: http, port: 3000, targetPort: http}"
		full     = "{name: http, port: 3000, targetPort: http, protocol: TCP}" // as the server has it
		moved    = "{name: http, port: 3001, targetPort: http}"
		renamed  = "{name: web, port: 3000, targetPort: http}"
		other    = "{name: web, port: 3001, targetPort: http}"
		target   = "{name: http, port: 3000, targetPort: web}"
		metrics  = "{name: metrics, port: 9000}"
		udp      = "{name: dns, port: 3000, protocol: UDP}"
		unnamed  = "{port: 3000}"
		together = "what pods need: Service/a\nwhat closes: Service/a\n"
		first    = "what pods need: Service/a\n"
		last     = "what closes: Service/a\n"
		at       = "traffic: Service/a\n"
	)
	for _, tc := range []struct{ name, live, rendered, want, both string }{
		{"the same", ports(full), ports(http), at, ""},
		{"another number", ports(full), ports(moved), together, "http 3000 http, http-next 3001 http"},
		{"another name", ports(full), ports(renamed), together, "http 3000 http, web 65535 http"},
		{"both", ports(full), ports(other), together, "http 3000 http, web 3001 http"},
		{"two other names", ports(full, metrics), ports(renamed, "{name: prometheus, port: 9000}"), together, "http 3000 http, metrics 9000 9000, web 65535 http, prometheus 65534 9000"},
		{"another name and protocol", ports(full), ports("{name: web, port: 3000, protocol: UDP}"), together, "http 3000 http, web 3000 3000"},
		{"one more", ports(full), ports(http, metrics), first, "http 3000 http, metrics 9000 <nil>"},
		{"one more, at the number of another protocol", ports(full), ports(http, udp), first, "http 3000 http, dns 3000 <nil>"},
		{"one more, and another target", ports(full), ports(target, metrics), together, "http 3000 http, metrics 9000 9000"},
		{"one less", ports(full, metrics), ports(http), last, ""},
		{"begun before", ports(full, "{name: http-next, port: 3001, targetPort: http}"), ports(moved), last, ""},
		{"begun before, and another number now", ports(full, "{name: http-next, port: 3001, targetPort: http}"), ports("{name: http, port: 3002, targetPort: http}"), together,
			"http 3000 http, http-next 3001 http, http-next-next 3002 http"},
		{"numbers change places", ports(full, metrics), ports("{name: http, port: 9000}", "{name: metrics, port: 3000}"), at, ""},
		{"another target", ports(full), ports(target), at, ""},
		{"gets a name", ports(unnamed), ports(http), at, ""},
		{"loses its name", ports(full), ports(unnamed), at, ""},
		{"other pods", strings.Replace(ports(full), "app: a", "app: b", 1), ports(moved), at, ""},
		{"no pods", service("ports: [" + full + "]"), service("ports: [" + moved + "]"), at, ""},
		{"of the node", service("type: NodePort, selector: {app: a}, ports: [" + full + "]"), service("type: NodePort, selector: {app: a}, ports: [" + moved + "]"), at, ""},
		{"as the server says it", service("type: ClusterIP, selector: {app: a}, ports: [" + full + "]"), ports(moved), together, "http 3000 http, http-next 3001 http"},
	} {
		stages := Of(changesOf(t, tc.rendered, tc.live), nil)
		if got := short(stages); got != tc.want {
			t.Errorf("%s: the order is\n%swant\n%s", tc.name, got, tc.want)
			continue
		}
		if tc.both == "" {
			continue
		}
		spec := stages[0].Steps[0].Object.Object["spec"].(map[string]any)
		var each []string
		for _, p := range spec["ports"].([]any) {
			p := p.(map[string]any)
			each = append(each, fmt.Sprint(p["name"], " ", p["port"], " ", p["targetPort"]))
		}
		if got := strings.Join(each, ", "); got != tc.both {
			t.Errorf("%s: first it has %s, want %s", tc.name, got, tc.both)
		}
		end := stages[len(stages)-1].Steps[0].Object
		if want := objects(t, tc.rendered)[0]; fmt.Sprint(end.Object) != fmt.Sprint(want.Object) {
			t.Errorf("%s: in the end it is %v", tc.name, end.Object)
		}
	}

	// The Ingress follows in between.
	ingress := func(port string) string {
		return "\n---\n{kind: Ingress, apiVersion: networking.k8s.io/v1, metadata: {namespace: ns, name: a}, spec: {rules: [{http: {paths: [{backend: {service: {name: a, port: {name: " + port + "}}}}]}}]}}"
	}
	const want = `1. apply Service ns/a [the old ports beside the new] (what pods need)
2. apply Ingress ns/a (traffic)
3. apply Service ns/a [takes the old ports away] (what closes)
`
	if got := text(Of(changesOf(t, ports(renamed)+ingress("web"), ports(full)+ingress("http")), nil)); got != want {
		t.Errorf("with an Ingress:\n%s", got)
	}
}
