package e2e

import (
	"cmp"
	"crypto/ed25519"
	"crypto/sha256"
	"crypto/x509"
	"encoding/base64"
	"encoding/json"
	"encoding/pem"
	"fmt"
	"maps"
	"math/big"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/rogpeppe/go-internal/txtar"
	"github.com/traefik/traefik/v3/pkg/provider/kubernetes/crd/traefikio/v1alpha1"
	corev1 "k8s.io/api/core/v1"
	networkingv1 "k8s.io/api/networking/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/apimachinery/pkg/util/intstr"

	"git.lastcloud.io/ronnibaslund/dezky/fleet/internal/mutant"
	"git.lastcloud.io/ronnibaslund/dezky/fleet/render/check"
	"git.lastcloud.io/ronnibaslund/dezky/fleet/render/object"
)

// scenario is what is applied at once: a file of the rules' own tests, or a
// mutant among the objects of its cluster.
type scenario struct {
	t       *testing.T
	name    string
	objects []*unstructured.Unstructured
	// elsewhere are objects that are in the cluster and not under check.
	elsewhere []*unstructured.Unstructured
	// healthy reports that some of it is served.
	healthy bool
}

// plantedScenarios are the faults and their healthy neighbours from the tests of
// the rules that speak of Traefik.
func plantedScenarios(t *testing.T) []*scenario {
	t.Helper()
	var all []*scenario
	for _, rule := range check.Rules() {
		if !judged[rule.ID] {
			continue
		}
		archive, err := txtar.ParseFile(filepath.Join("../render/check/testdata/rules", rule.ID+".txtar"))
		if err != nil {
			t.Fatal(err)
		}
		var elsewhere []*unstructured.Unstructured
		for _, f := range archive.Files {
			if f.Name == "elsewhere.yaml" {
				elsewhere = parse(t, f.Data)
			}
		}
		for _, f := range archive.Files {
			if f.Name == "elsewhere.yaml" || filepath.Ext(f.Name) != ".yaml" {
				continue
			}
			s := &scenario{t: t, name: rule.ID + "/" + f.Name, objects: parse(t, f.Data), elsewhere: slices.Clone(elsewhere)}
			s.healthy = !slices.ContainsFunc(archive.Files, func(other txtar.File) bool { return other.Name == strings.TrimSuffix(f.Name, ".yaml")+".txt" })
			s.complete(rule.ID != "reference", rule.ID != "service-endpoints") // where what is missing is the fault
			s.lead()
			if len(routesOf(s.objects)) > 0 {
				all = append(all, s)
			}
		}
	}
	return all
}

// read are the fields that Traefik reads, or finds an object by.
var read = regexp.MustCompile(`^[A-Za-z]+$| spec|metadata\.(name|namespace|annotations\[traefik)`)

// mutantScenarios are those mutants of internal/mutant that change what Traefik
// reads.
func mutantScenarios(t *testing.T) []*scenario {
	t.Helper()
	clusters, err := mutant.Clusters("..", t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	clusters = slices.DeleteFunc(clusters, func(c *mutant.Cluster) bool { return c.Name != "shop" && c.Name != "sample" })
	picked := mutant.Pick(clusters)
	var all []*scenario
	for _, cluster := range clusters {
		var elsewhere, objects []*unstructured.Unstructured
		for _, file := range cluster.Elsewhere {
			text, err := os.ReadFile(file)
			if err != nil {
				t.Fatal(err)
			}
			elsewhere = append(elsewhere, parse(t, text)...)
		}
		for _, path := range slices.Sorted(maps.Keys(cluster.Files)) {
			objects = append(objects, parse(t, cluster.Files[path])...)
		}
		for _, m := range picked[cluster] {
			if !atTraefik(m.Object) || !read.MatchString(m.Field) {
				continue
			}
			s := &scenario{t: t, name: cluster.Name + " " + m.Change + " " + m.Field + ": " + m.String(), elsewhere: elsewhere}
			for _, o := range objects {
				if object.IDOf(o) != m.Object {
					s.objects = append(s.objects, o)
				} else if len(m.Broken) > 0 {
					s.objects = append(s.objects, m.Broken[len(m.Broken)-1]) // the last one stays
				}
			}
			all = append(all, s)
		}
	}
	return all
}

// atTraefik reports whether Traefik reads the kind.
func atTraefik(id object.ID) bool {
	switch id.Group {
	case "traefik.io", "discovery.k8s.io":
		return true
	case "networking.k8s.io":
		return id.Kind == "Ingress"
	case "":
		return id.Kind == "Service"
	}
	return false
}

// fileMiddlewares are the middlewares of Traefik's file provider that scenarios
// name.
func fileMiddlewares(scenarios []*scenario) []string {
	var names []string
	for _, s := range scenarios {
		text, err := json.Marshal(s.objects)
		if err != nil {
			s.t.Fatal(err)
		}
		for _, m := range regexp.MustCompile(`([a-z-]+)@file\b`).FindAllSubmatch(text, -1) {
			names = append(names, string(m[1]))
		}
	}
	return names
}

// check puts the objects to all rules.
func (s *scenario) check() object.Findings {
	var under []*check.Object
	for _, o := range s.objects {
		under = append(under, &check.Object{Object: o})
	}
	var elsewhere []*check.Elsewhere
	for _, o := range s.elsewhere {
		declared := check.Declare(o)
		elsewhere = append(elsewhere, &declared)
	}
	return check.Run(check.NewSet(under, elsewhere), check.Rules()).Findings
}

// has reports whether an object is in the cluster.
func (s *scenario) has(id object.ID) bool {
	is := func(o *unstructured.Unstructured) bool { return object.IDOf(o) == id }
	return slices.ContainsFunc(s.objects, is) || slices.ContainsFunc(s.elsewhere, is)
}

// add adds an object, unless it is there.
func (s *scenario) add(format string, args ...any) {
	s.t.Helper()
	for _, o := range parse(s.t, fmt.Appendf(nil, format, args...)) {
		if !s.has(object.IDOf(o)) {
			s.objects = append(s.objects, o)
		}
	}
}

// complete adds what a manifest of a rule's test leaves out, since the rule does
// not look at it: what its routes refer to, which are Services and TLS Secrets,
// and the EndpointSlices of Services without a selector.
func (s *scenario) complete(references, endpoints bool) {
	service := func(namespace, name, portName string, port int32) {
		if portName == "" {
			s.add("{apiVersion: v1, kind: Service, metadata: {namespace: %s, name: %s}, spec: {ports: [{port: %d}]}}", namespace, name, cmp.Or(port, 80))
		} else {
			s.add("{apiVersion: v1, kind: Service, metadata: {namespace: %s, name: %s}, spec: {ports: [{name: %s, port: 80}]}}", namespace, name, portName)
		}
	}
	secret := func(namespace, name string) {
		if id := (object.ID{Kind: "Secret", Namespace: namespace, Name: name}); name != "" && !s.has(id) {
			s.elsewhere = append(s.elsewhere, parse(s.t, fmt.Appendf(nil, "{apiVersion: v1, kind: Secret, metadata: {namespace: %s, name: %s}}", namespace, name))...)
		}
	}
	for _, o := range slices.Clone(s.objects) {
		if !references {
			break
		}
		switch id := object.IDOf(o); id.Kind {
		case "Ingress":
			i, ok := typed[networkingv1.Ingress](o)
			if !ok {
				continue
			}
			backends := []*networkingv1.IngressBackend{i.Spec.DefaultBackend}
			for _, rule := range i.Spec.Rules {
				if rule.HTTP != nil {
					for k := range rule.HTTP.Paths {
						backends = append(backends, &rule.HTTP.Paths[k].Backend)
					}
				}
			}
			for _, b := range backends {
				if b != nil && b.Service != nil {
					service(id.Namespace, b.Service.Name, b.Service.Port.Name, b.Service.Port.Number)
				}
			}
			for _, tls := range i.Spec.TLS {
				secret(id.Namespace, tls.SecretName)
			}
		case "IngressRoute":
			i, ok := typed[v1alpha1.IngressRoute](o)
			if !ok {
				continue
			}
			for _, r := range i.Spec.Routes {
				for _, b := range r.Services {
					if b.Kind != "TraefikService" && b.Name != "" {
						service(cmp.Or(b.Namespace, id.Namespace), b.Name, b.Port.StrVal, b.Port.IntVal)
					}
				}
			}
			if i.Spec.TLS != nil {
				secret(id.Namespace, i.Spec.TLS.SecretName)
			}
		}
	}
	for _, o := range slices.Clone(s.objects) {
		if v, ok := typed[corev1.Service](o); ok && endpoints && o.GetKind() == "Service" && len(v.Spec.Selector) == 0 && v.Spec.Type != corev1.ServiceTypeExternalName {
			s.slice(v, "10.42.0.1", nil)
		}
	}
}

// lead adds a route to each Service, and one through each Middleware, that no
// route of the scenario has.
func (s *scenario) lead() {
	used := make(map[object.ID]bool)
	for _, r := range routesOf(s.objects) {
		for _, id := range r.uses {
			used[id] = true
		}
	}
	for _, o := range slices.Clone(s.objects) {
		switch id := object.IDOf(o); {
		case used[id]:
		case id.Kind == "Service":
			v, ok := typed[corev1.Service](o)
			if !ok {
				continue
			}
			for _, p := range v.Spec.Ports {
				if cmp.Or(p.Protocol, corev1.ProtocolTCP) == corev1.ProtocolTCP {
					s.add("{apiVersion: networking.k8s.io/v1, kind: Ingress, metadata: {namespace: %s, name: to-%s-%d}, spec: {rules: [{host: %[2]s-%[3]d.service.example, http: {paths: [{path: /, pathType: Prefix, backend: {service: {name: %[2]s, port: {number: %[3]d}}}}]}}]}}",
						id.Namespace, id.Name, p.Port)
				}
			}
		case id.Kind == "Middleware":
			s.add(`apiVersion: v1
kind: Service
metadata: {namespace: %s, name: behind-%s}
spec: {ports: [{port: 80}]}
---
apiVersion: discovery.k8s.io/v1
kind: EndpointSlice
metadata: {namespace: %[1]s, name: behind-%[2]s, labels: {kubernetes.io/service-name: behind-%[2]s}}
addressType: IPv4
endpoints: [{addresses: [10.42.0.1]}]
ports: [{name: "", port: 80}]
---
apiVersion: traefik.io/v1alpha1
kind: IngressRoute
metadata: {namespace: %[1]s, name: through-%[2]s}
spec:
  routes:
  - match: Host(`+"`%[2]s.middleware.example`"+`)
    middlewares: [{name: %[2]s}]
    services: [{name: behind-%[2]s, port: 80}]
`, id.Namespace, id.Name)
		}
	}
}

// slice adds the EndpointSlice of a Service as the controller of Kubernetes
// makes it: a port that no pod has is left out.
func (s *scenario) slice(v *corev1.Service, address string, pods []workload) {
	var ports []string
	for _, p := range v.Spec.Ports {
		protocol := cmp.Or(p.Protocol, corev1.ProtocolTCP)
		number := cmp.Or(p.TargetPort.IntVal, p.Port)
		if p.TargetPort.Type == intstr.String {
			number = 0
			if len(pods) == 0 {
				number = 8080 // of pods that are not in the manifests
			}
			for _, w := range pods {
				for _, c := range w.ports {
					if c.Name == p.TargetPort.StrVal && cmp.Or(c.Protocol, corev1.ProtocolTCP) == protocol {
						number = c.ContainerPort
					}
				}
			}
		}
		if number > 0 {
			ports = append(ports, fmt.Sprintf("{name: %q, port: %d, protocol: %s}", p.Name, number, protocol))
		}
	}
	s.add("{apiVersion: discovery.k8s.io/v1, kind: EndpointSlice, metadata: {namespace: %s, name: %s, labels: {kubernetes.io/service-name: %[2]s}}, addressType: IPv4, endpoints: [{addresses: [%s]}], ports: [%s]}",
		v.Namespace, v.Name, address, strings.Join(ports, ", "))
}

// cluster is what the API server has of a scenario, as far as Traefik reads it:
// the objects, and what people and controllers make of them. And it is the pods
// that Traefik finds, by their addresses.
func (s *scenario) cluster() ([]*unstructured.Unstructured, map[string]pod) {
	made := &scenario{t: s.t}
	pods := make(map[string]pod)
	newPod := func(p pod) (address string) {
		address = fmt.Sprintf("10.42.1.%d", len(pods)+1)
		pods[address] = p
		return address
	}
	var workloads []workload
	for _, o := range slices.Concat(s.objects, s.elsewhere) {
		if w, ok := workloadOf(o); ok {
			workloads = append(workloads, w)
		}
	}
	for i, o := range slices.Concat(s.objects, s.elsewhere) {
		id := object.IDOf(o)
		if id.Kind == "Service" || i < len(s.objects) && (atTraefik(id) || id.Kind == "Certificate") {
			made.objects = append(made.objects, o.DeepCopy())
		}
	}
	for _, o := range slices.Clone(made.objects) {
		switch id := object.IDOf(o); id.Kind {
		case "Service":
			v, ok := typed[corev1.Service](o)
			if !ok || v.Spec.Type == corev1.ServiceTypeExternalName {
				continue
			}
			elsewhere := slices.ContainsFunc(s.elsewhere, func(o *unstructured.Unstructured) bool { return object.IDOf(o) == id })
			if elsewhere && len(v.Spec.Ports) == 0 { // it is declared without a word of them
				v.Spec.Ports = []corev1.ServicePort{{Port: 1234}}
				unstructured.SetNestedSlice(o.Object, []any{map[string]any{"port": int64(1234)}}, "spec", "ports")
			}
			p := pod{service: id}
			var of []workload
			known := false // what runs in the namespace
			for _, w := range workloads {
				known = known || w.namespace == id.Namespace
				if w.namespace == id.Namespace && len(v.Spec.Selector) > 0 && labels.SelectorFromSet(v.Spec.Selector).Matches(labels.Set(w.labels)) {
					of = append(of, w)
					for _, c := range w.ports {
						if p.ports == nil {
							p.ports = make(map[int32]bool)
						}
						p.ports[c.ContainerPort] = true
					}
				}
			}
			if len(of) > 0 || elsewhere || len(v.Spec.Selector) > 0 && !known {
				made.slice(v, newPod(p), of)
			}
		case "EndpointSlice": // it leads to pods of its own
			unstructured.SetNestedSlice(o.Object, []any{map[string]any{"addresses": []any{
				newPod(pod{service: serviceID(o.GetLabels()["kubernetes.io/service-name"], id.Namespace)}),
			}}}, "endpoints")
		case "Ingress":
			if i, ok := typed[networkingv1.Ingress](o); ok && len(i.Spec.TLS) > 0 {
				made.solver(id, i, newPod(pod{service: serviceID(solverPrefix+id.Name, id.Namespace)}))
			}
		case "Middleware":
			// People fill in the Secret: a user without a password that works.
			if name, _, _ := unstructured.NestedString(o.Object, "spec", "basicAuth", "secret"); name != "" && s.has(object.ID{Kind: "Secret", Namespace: id.Namespace, Name: name}) {
				made.add("{apiVersion: v1, kind: Secret, metadata: {namespace: %s, name: %s}, stringData: {users: 'nobody:{SHA}none'}}", id.Namespace, name)
			}
		}
	}
	hosts := s.certificates()
	for _, id := range slices.SortedFunc(maps.Keys(hosts), object.ID.Compare) {
		certificate, key := newCertificate(s.t, hosts[id], 1)
		made.add("{apiVersion: v1, kind: Secret, metadata: {namespace: %s, name: %s}, type: kubernetes.io/tls, data: {tls.crt: %s, tls.key: %s}}", id.Namespace, id.Name, certificate, key)
	}
	return made.objects, pods
}

// solver adds what cert-manager has beside an Ingress while it gets a
// certificate by HTTP-01.
func (s *scenario) solver(id object.ID, i *networkingv1.Ingress, address string) {
	name := solverPrefix + id.Name
	s.add(`apiVersion: v1
kind: Service
metadata: {namespace: %s, name: %s}
spec: {ports: [{port: 8089}]}
---
apiVersion: discovery.k8s.io/v1
kind: EndpointSlice
metadata: {namespace: %[1]s, name: %[2]s, labels: {kubernetes.io/service-name: %[2]s}}
addressType: IPv4
endpoints: [{addresses: [%s]}]
ports: [{name: "", port: 8089}]
`, id.Namespace, name, address)
	var rules []string
	for _, r := range i.Spec.Rules {
		if solvable(r.Host) {
			rules = append(rules, fmt.Sprintf("{host: %q, http: {paths: [{path: %s, pathType: Exact, backend: {service: {name: %s, port: {number: 8089}}}}]}}", r.Host, solverPath(id.Name), name))
		}
	}
	if len(rules) > 0 {
		s.add("{apiVersion: networking.k8s.io/v1, kind: Ingress, metadata: {namespace: %s, name: %s}, spec: {rules: [%s]}}", id.Namespace, name, strings.Join(rules, ", "))
	}
}

// certificates are the hosts of those that cert-manager issues or people fill
// in, by their Secrets.
func (s *scenario) certificates() map[object.ID][]string {
	all := make(map[object.ID][]string)
	at := func(namespace, name string) object.ID {
		return object.ID{Kind: "Secret", Namespace: namespace, Name: name}
	}
	for _, o := range s.objects {
		switch id := object.IDOf(o); id.Kind {
		case "Certificate":
			hosts, _, _ := unstructured.NestedStringSlice(o.Object, "spec", "dnsNames")
			name, _, _ := unstructured.NestedString(o.Object, "spec", "secretName")
			all[at(id.Namespace, name)] = append(all[at(id.Namespace, name)], hosts...)
		case "Ingress":
			i, ok := typed[networkingv1.Ingress](o)
			if !ok {
				continue
			}
			for _, tls := range i.Spec.TLS {
				secret := at(id.Namespace, tls.SecretName)
				if tls.SecretName == "" || !issued(i) && !s.has(secret) {
					continue
				}
				all[secret] = append(all[secret], tls.Hosts...)
				if len(tls.Hosts) == 0 && !issued(i) {
					for _, r := range i.Spec.Rules {
						all[secret] = append(all[secret], r.Host)
					}
				}
			}
		}
	}
	return all
}

// newCertificate returns a certificate for hosts and its key, in base64, the
// same each time. They are empty where a host is none: nobody issues it.
func newCertificate(t *testing.T, hosts []string, serial int) (certificate, key string) {
	t.Helper()
	seed := sha256.Sum256(fmt.Append(nil, hosts, serial))
	private := ed25519.NewKeyFromSeed(seed[:])
	template := x509.Certificate{SerialNumber: big.NewInt(int64(serial)), DNSNames: hosts, NotAfter: time.Date(2100, 1, 1, 0, 0, 0, 0, time.UTC)}
	der, err := x509.CreateCertificate(nil, &template, &template, private.Public(), private)
	if err != nil {
		return "", ""
	}
	keyDER, err := x509.MarshalPKCS8PrivateKey(private)
	if err != nil {
		t.Fatal(err)
	}
	text := func(kind string, der []byte) string {
		return base64.StdEncoding.EncodeToString(pem.EncodeToMemory(&pem.Block{Type: kind, Bytes: der}))
	}
	return text("CERTIFICATE", der), text("PRIVATE KEY", keyDER)
}

// workload is what makes pods.
type workload struct {
	namespace string
	labels    map[string]string
	ports     []corev1.ContainerPort
}

func workloadOf(o *unstructured.Unstructured) (workload, bool) {
	template, _, _ := unstructured.NestedMap(o.Object, "spec", "template")
	if o.GetKind() == "Pod" {
		template = o.Object
	}
	t, ok := typed[corev1.PodTemplateSpec](&unstructured.Unstructured{Object: template})
	if !ok || template == nil {
		return workload{}, false
	}
	w := workload{namespace: o.GetNamespace(), labels: t.Labels}
	for _, c := range slices.Concat(t.Spec.InitContainers, t.Spec.Containers) {
		w.ports = append(w.ports, c.Ports...)
	}
	return w, true
}
