package e2e

import (
	"bytes"
	"cmp"
	"encoding/json"
	"fmt"
	"maps"
	"net/http"
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
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/util/intstr"
	"sigs.k8s.io/yaml"

	"git.lastcloud.io/ronnibaslund/dezky/fleet/internal/mutant"
	"git.lastcloud.io/ronnibaslund/dezky/fleet/render/check"
	"git.lastcloud.io/ronnibaslund/dezky/fleet/render/manifest"
	"git.lastcloud.io/ronnibaslund/dezky/fleet/render/object"
)

// difference says where the checks and Traefik may differ, and why.
type difference struct {
	// Served reports that Traefik serves what a rule refuses; else it does not
	// serve what no rule refuses.
	Served bool
	// Where it is: the case, the rule where there is one, the object and
	// the field. A star stands for any text.
	Where  string
	Reason string

	pattern *regexp.Regexp
	used    bool
}

// scenario is what is applied at once: a file of the rules' own tests, or a
// mutant.
type scenario struct {
	name    string
	objects []*unstructured.Unstructured
	// elsewhere are objects that are in the cluster and not under check.
	elsewhere []*unstructured.Unstructured
	// whole reports that nothing is left out of it that Traefik needs.
	whole bool
}

// TestTraefik holds the rules that speak of Traefik to Traefik itself: it does
// not serve what they refuse, and serves what they pass. Where they differ,
// testdata/traefik.yaml has the reason.
func TestTraefik(t *testing.T) {
	t.Parallel()
	text, err := os.ReadFile("testdata/traefik.yaml")
	if err != nil {
		t.Fatal(err)
	}
	var reasons []*difference
	if err := yaml.UnmarshalStrict(text, &reasons); err != nil {
		t.Fatal(err)
	}
	for _, r := range reasons {
		r.pattern = regexp.MustCompile("^" + strings.ReplaceAll(regexp.QuoteMeta(r.Where), `\*`, `.*`) + "$")
	}
	planted := plantedCases(t)
	var all []*unstructured.Unstructured
	for _, s := range planted {
		all = append(all, s.objects...)
	}
	e := newEdge(t, fileMiddlewares(all))
	for _, part := range []struct {
		name      string
		scenarios []scenario
	}{{"planted", planted}, {"mutants", mutantCases(t)}} {
		began := time.Now()
		var n tally
		for _, s := range part.scenarios {
			n.add(e.hold(s, reasons))
		}
		t.Logf("%s: %d cases with %d routes in %.0f s: %d that a rule refuses, of which the API server refuses %d, and %d that none does; Traefik differs in %d, each with its reason or an error above",
			part.name, len(part.scenarios), n.dropped+n.served, time.Since(began).Seconds(), n.dropped, n.refused, n.served, n.differ)
		if n.dropped == 0 || n.served == 0 {
			t.Error("nothing was held to Traefik")
		}
	}
	for _, r := range reasons {
		if !r.used {
			t.Errorf("testdata/traefik.yaml: %s: they agree by now: take it out", r.Where)
		}
	}
}

// judged are the rules that say what Traefik serves.
var judged = func() map[string]bool {
	rules := map[string]bool{"service-target-port": true, "service-endpoints": true}
	for _, r := range check.Rules() {
		if strings.Contains(r.Doc+r.Source, "Traefik") {
			rules[r.ID] = true
		}
	}
	return rules
}()

// plantedCases are the faults and their healthy neighbours from the tests of
// the rules.
func plantedCases(t *testing.T) []scenario {
	t.Helper()
	var all []scenario
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
			s := scenario{name: rule.ID + "/" + f.Name, objects: parse(t, f.Data), elsewhere: elsewhere, whole: rule.ID == "reference"}
			if !s.whole {
				s.complete(rule.ID != "service-endpoints")
			}
			s.lead()
			all = append(all, s)
		}
	}
	return all
}

// mutantCases are those mutants of internal/mutant that change what Traefik
// reads.
func mutantCases(t *testing.T) []scenario {
	t.Helper()
	clusters, err := mutant.Clusters("..", t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	clusters = slices.DeleteFunc(clusters, func(c *mutant.Cluster) bool { return c.Name != "shop" && c.Name != "sample" })
	var all []scenario
	for cluster, list := range mutant.Pick(clusters) {
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
		for _, m := range list {
			if !atTraefik(m.Object) || !read.MatchString(m.Field) {
				continue
			}
			var broken []*unstructured.Unstructured
			for _, o := range objects {
				if object.IDOf(o) == m.Object {
					broken = append(broken, m.Broken...)
				} else {
					broken = append(broken, o)
				}
			}
			all = append(all, scenario{name: cluster.Name + " " + m.Change + " " + m.Field + ": " + m.String(), objects: broken, elsewhere: elsewhere, whole: true})
		}
	}
	slices.SortFunc(all, func(a, b scenario) int { return strings.Compare(a.name, b.name) })
	return all
}

// read are the fields that Traefik reads, or finds an object by.
var read = regexp.MustCompile(`^[A-Za-z]+$| spec|metadata\.(name|namespace|annotations\[traefik)`)

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

// tally counts routes.
type tally struct {
	dropped, refused, served, differ int
}

func (n *tally) add(m tally) {
	n.dropped += m.dropped
	n.refused += m.refused
	n.served += m.served
	n.differ += m.differ
}

// route is one way from a host and path to a Service, as the manifests mean it.
type route struct {
	of    object.ID
	field string
	// uses are the middlewares and the Services that it goes through.
	uses []object.ID
	asks []ask
}

// ask is a request that a route answers.
type ask struct {
	entryPoint string
	secure     bool
	host, path string
	// service whose pods answer. Empty where any may, or none.
	service object.ID
}

// answered reports whether Traefik answers as the route means it: by a pod of
// the Service, or by a middleware before it.
func (e *edge) answered(a ask) (string, bool) {
	r, err := e.ask(a.entryPoint, a.secure, a.host, a.path)
	if err != nil {
		return err.Error(), false
	}
	by := r.Header.Get("X-Service")
	said := fmt.Sprintf("%s: %s %s%s: %s %s", a.entryPoint, map[bool]string{false: "http", true: "https"}[a.secure], a.host, a.path, r.Status, by)
	switch r.StatusCode {
	case http.StatusOK:
		return said, a.service.Name == "" || by == a.service.Namespace+"/"+a.service.Name
	case http.StatusUnauthorized:
		return said, true
	case http.StatusMovedPermanently, http.StatusFound, http.StatusTemporaryRedirect, http.StatusPermanentRedirect:
		to, err := r.Location()
		return said + " to " + r.Header.Get("Location"), err == nil && (to.Scheme == "http" || to.Scheme == "https")
	}
	return said, false
}

// holds reports whether every request of a route is answered as want says,
// waiting a little where one is not, and what Traefik said.
func (e *edge) holds(r route, want bool) (said string, ok bool) {
	for range 10 {
		ok = true
		for _, a := range r.asks {
			if text, answered := e.answered(a); !answered || said == "" {
				said = text
				ok = ok && answered
			}
		}
		if ok == want {
			break
		}
		time.Sleep(30 * time.Millisecond)
	}
	return said, ok
}

// hold applies a scenario, and compares what the rules and Traefik say of each
// of its routes.
func (e *edge) hold(s scenario, reasons []*difference) (n tally) {
	e.t.Helper()
	s.objects = unique(s.objects)
	var under []*check.Object
	for _, o := range s.objects {
		under = append(under, &check.Object{Object: o, File: "manifests.yaml"})
	}
	var elsewhere []*check.Elsewhere
	for _, o := range s.elsewhere {
		declared := check.Declare(o)
		elsewhere = append(elsewhere, &declared)
	}
	findings := check.Run(check.NewSet(under, elsewhere), check.Rules()).Findings

	applied, pods := s.cluster()
	routes := routesOf(applied)
	e.put(applied, pods)

	differ := func(served bool, on, why string) {
		n.differ++
		for _, r := range reasons {
			if r.Served == served && r.pattern.MatchString(s.name+": "+on) {
				r.used = true
				return
			}
		}
		e.t.Errorf("%s: %s\n\t%s", s.name, on, why)
	}
	for _, o := range s.objects {
		id := object.IDOf(o)
		why := e.refused[id]
		if why != "" && !slices.ContainsFunc(findings, func(f object.Finding) bool { return f.Severity == object.Error && f.Object == id }) {
			differ(false, id.String(), "the API server refuses it, and no rule does: "+why)
		}
	}
	claimed := make([]bool, len(routes))
	for _, f := range findings {
		if !claims(f) && !(f.Severity == object.Error && e.refused[f.Object] != "") {
			continue
		}
		any, all, said := false, true, ""
		touched := false
		for i, r := range routes {
			if !touches(f, r, routes) {
				continue
			}
			touched, claimed[i] = true, true
			text, ok := e.holds(r, false)
			if ok {
				all, said = false, text
			} else {
				any = true
			}
		}
		if touched && !(all || any && f.Rule == "address-twice") {
			differ(true, f.Rule+" "+f.Object.String()+" "+f.Field, "Traefik serves it, and the rule refuses it: "+f.Problem+"\n\t"+said)
		}
	}
	for i, r := range routes {
		if claimed[i] {
			n.dropped++
			if e.refused[r.of] != "" {
				n.refused++
			}
			continue
		}
		n.served++
		if said, ok := e.holds(r, true); !ok {
			differ(false, r.of.String()+" "+r.field, "Traefik does not serve it, and no rule refuses it: "+said)
		}
	}
	return n
}

// claims reports whether a finding says that something is not served.
func claims(f object.Finding) bool {
	if slices.Contains([]string{"entry-point", "traefik-disallowed", "service-endpoints"}, f.Rule) {
		return true
	}
	return f.Severity == object.Error && (judged[f.Rule] || refusing[f.Rule])
}

var place1 = regexp.MustCompile(`^spec\.(routes\[\d+\]|rules\[\d+\](\.http\.paths\[\d+\])?)`)

// touches reports whether a finding is about a route: about its object and not
// another route of it, or about what the route goes through.
func touches(f object.Finding, r route, all []route) bool {
	if f.Rule == "address-twice" && f.Object != r.of {
		return slices.ContainsFunc(all, func(other route) bool {
			return other.of == f.Object && slices.ContainsFunc(other.asks, func(a ask) bool {
				return slices.ContainsFunc(r.asks, func(b ask) bool { return a.host == b.host && a.path == b.path })
			})
		})
	}
	if f.Object != r.of {
		return slices.Contains(r.uses, f.Object)
	}
	at := place1.FindString(f.Field)
	return strings.HasPrefix(at, r.field) || strings.HasPrefix(r.field, at)
}

// unique leaves out the first of two objects of one identity, as applying them
// does.
func unique(objects []*unstructured.Unstructured) []*unstructured.Unstructured {
	last := make(map[object.ID]*unstructured.Unstructured)
	for _, o := range objects {
		last[object.IDOf(o)] = o
	}
	return slices.DeleteFunc(slices.Clone(objects), func(o *unstructured.Unstructured) bool { return last[object.IDOf(o)] != o })
}

// typed returns an object in the Go type of its kind, or reports that it does
// not fit.
func typed[T any](o *unstructured.Unstructured) (*T, bool) {
	into := new(T)
	return into, runtime.DefaultUnstructuredConverter.FromUnstructured(o.Object, into) == nil
}

const (
	middlewaresKey = "traefik.ingress.kubernetes.io/router.middlewares"
	entryPointsKey = "traefik.ingress.kubernetes.io/router.entrypoints"
)

// routesOf are the routes that objects mean for Traefik.
func routesOf(objects []*unstructured.Unstructured) []route {
	chains := make(map[object.ID][]object.ID)
	for _, o := range objects {
		m, ok := typed[v1alpha1.Middleware](o)
		if id := object.IDOf(o); ok && id.Kind == "Middleware" && m.Spec.Chain != nil {
			for _, next := range m.Spec.Chain.Middlewares {
				chains[id] = append(chains[id], middlewareID(next, id.Namespace))
			}
		}
	}
	byName := make(map[object.ID]*v1alpha1.IngressRoute)
	parents := make(map[object.ID]bool)
	for _, o := range objects {
		if i, ok := typed[v1alpha1.IngressRoute](o); ok && o.GetKind() == "IngressRoute" {
			byName[object.IDOf(o)] = i
			for _, ref := range i.Spec.ParentRefs {
				parents[routeID(ref.Name, cmp.Or(ref.Namespace, i.Namespace))] = true
			}
		}
	}
	var all []route
	for _, o := range objects {
		switch id := object.IDOf(o); id.Kind {
		case "Ingress":
			if i, ok := typed[networkingv1.Ingress](o); ok {
				all = append(all, ingressRoutes(i, objects)...)
			}
		case "IngressRoute":
			if i := byName[id]; i != nil && !parents[id] { // a parent is asked by its children
				all = append(all, crdRoutes(i, byName)...)
			}
		}
	}
	for i := range all {
		for k := 0; k < len(all[i].uses); k++ { // which grows
			for _, next := range chains[all[i].uses[k]] {
				if !slices.Contains(all[i].uses, next) {
					all[i].uses = append(all[i].uses, next)
				}
			}
		}
	}
	return all
}

func middlewareID(m v1alpha1.MiddlewareRef, namespace string) object.ID {
	return object.ID{Group: "traefik.io", Kind: "Middleware", Namespace: cmp.Or(m.Namespace, namespace), Name: m.Name}
}

func words(list string) []string {
	return strings.FieldsFunc(list, func(r rune) bool { return r == ',' || r == ' ' })
}

func ingressRoutes(i *networkingv1.Ingress, objects []*unstructured.Unstructured) []route {
	id := object.ID{Group: "networking.k8s.io", Kind: "Ingress", Namespace: i.Namespace, Name: i.Name}
	class := i.Annotations["kubernetes.io/ingress.class"]
	if i.Spec.IngressClassName != nil {
		class = *i.Spec.IngressClassName
	}
	if class != "" && class != "traefik" || strings.HasPrefix(i.Name, solverPrefix) {
		return nil
	}
	entryPoints := words(i.Annotations[entryPointsKey])
	if len(entryPoints) == 0 {
		entryPoints = []string{"web", "websecure"}
	}
	if len(i.Spec.TLS) > 0 && !slices.Contains(entryPoints, "websecure") {
		entryPoints = append(entryPoints, "websecure") // what else are the certificates for
	}
	var uses []object.ID
	for _, name := range words(i.Annotations[middlewaresKey]) {
		for _, o := range objects {
			if o.GetKind() == "Middleware" && o.GetNamespace()+"-"+o.GetName()+"@kubernetescrd" == name {
				uses = append(uses, object.IDOf(o))
			}
		}
	}
	at := func(field, host, path string, backend *networkingv1.IngressBackend) route {
		r := route{of: id, field: field, uses: slices.Clone(uses)}
		var service object.ID
		if backend != nil && backend.Service != nil {
			service = object.ID{Kind: "Service", Namespace: i.Namespace, Name: backend.Service.Name}
			r.uses = append(r.uses, service)
		}
		for _, e := range entryPoints {
			r.asks = append(r.asks, ask{e, e == "websecure", strings.Replace(host, "*", "any", 1), path, service})
		}
		return r
	}
	var all []route
	for k, rule := range i.Spec.Rules {
		host := rule.Host
		if host == "" {
			host = "any.example"
		}
		if rule.HTTP == nil {
			all = append(all, at(fmt.Sprintf("spec.rules[%d]", k), host, "/", i.Spec.DefaultBackend))
			continue
		}
		for j, p := range rule.HTTP.Paths {
			r := at(fmt.Sprintf("spec.rules[%d].http.paths[%d]", k, j), host, max(p.Path, "/"), &p.Backend)
			if len(i.Spec.TLS) > 0 && slices.Contains(entryPoints, "web") && rule.Host != "" && !strings.Contains(rule.Host, "*") {
				r.asks = append(r.asks, ask{"web", false, rule.Host, solverPath(i.Name), object.ID{Kind: "Service", Namespace: i.Namespace, Name: solverPrefix + i.Name}})
			}
			all = append(all, r)
		}
	}
	if len(i.Spec.Rules) == 0 && i.Spec.DefaultBackend != nil {
		all = append(all, at("spec.defaultBackend", "any.example", "/", i.Spec.DefaultBackend))
	}
	return all
}

var (
	hostIn = regexp.MustCompile("(?i)host[a-z]*\\(`([^`)]*)")
	pathIn = regexp.MustCompile("(?i)path[a-z]*\\(`(/[^`]*)")
)

func routeID(name, namespace string) object.ID {
	return object.ID{Group: "traefik.io", Kind: "IngressRoute", Namespace: namespace, Name: name}
}

// firstOf returns what a pattern finds first in the rule of a route, or in that
// of its parent.
func firstOf(pattern *regexp.Regexp, without string, rules ...string) string {
	for _, rule := range rules {
		if m := pattern.FindStringSubmatch(rule); m != nil && m[1] != "" {
			return m[1]
		}
	}
	return without
}

func crdRoutes(i *v1alpha1.IngressRoute, byName map[object.ID]*v1alpha1.IngressRoute) []route {
	id := routeID(i.Name, i.Namespace)
	entryPoints := i.Spec.EntryPoints
	var above []object.ID
	parent := ""
	for _, ref := range i.Spec.ParentRefs {
		of := routeID(ref.Name, cmp.Or(ref.Namespace, i.Namespace))
		above = append(above, of)
		if p := byName[of]; p != nil && len(p.Spec.Routes) > 0 {
			parent, entryPoints = p.Spec.Routes[0].Match, p.Spec.EntryPoints
		}
	}
	switch {
	case len(entryPoints) > 0:
	case i.Spec.TLS != nil:
		entryPoints = []string{"websecure"}
	default:
		entryPoints = []string{"web", "websecure"}
	}
	var all []route
	for k, rt := range i.Spec.Routes {
		r := route{of: id, field: fmt.Sprintf("spec.routes[%d]", k), uses: slices.Clone(above)}
		for _, m := range rt.Middlewares {
			r.uses = append(r.uses, middlewareID(m, i.Namespace))
		}
		var service object.ID
		for _, s := range rt.Services {
			id := object.ID{Kind: "Service", Namespace: cmp.Or(s.Namespace, i.Namespace), Name: s.Name}
			if s.Kind == "TraefikService" {
				id.Group, id.Kind = "traefik.io", s.Kind
				r.uses = append(r.uses, id)
				continue
			}
			r.uses = append(r.uses, id)
			if len(rt.Services) == 1 {
				service = id
			}
		}
		host, path := firstOf(hostIn, "any.example", rt.Match, parent), firstOf(pathIn, "/", rt.Match, parent)
		for _, e := range entryPoints {
			r.asks = append(r.asks, ask{e, e == "websecure" || i.Spec.TLS != nil, host, path, service})
		}
		all = append(all, r)
	}
	return all
}

// solverPrefix begins the names of the Ingress and Service which stand beside an
// Ingress with certificates, as cert-manager's HTTP-01 solver does.
const solverPrefix = "cm-acme-http-solver-"

// solverPath is what the certificate authority asks for: its token has 43
// letters.
func solverPath(ingress string) string {
	return "/.well-known/acme-challenge/" + (ingress + strings.Repeat("0", 43))[:43]
}

// fileMiddlewares are the middlewares of Traefik's file provider that the
// objects name.
func fileMiddlewares(objects []*unstructured.Unstructured) []string {
	var names []string
	for _, o := range objects {
		text, _ := json.Marshal(o.Object)
		for _, m := range regexp.MustCompile(`([a-z-]+)@file\b`).FindAllSubmatch(text, -1) {
			names = append(names, string(m[1]))
		}
	}
	return names
}

// complete adds what a manifest of a rule's test leaves out, since the rule
// does not look at it: the Services that its routes lead to, the TLS Secrets,
// and where it is asked for the EndpointSlices of Services without a selector.
func (s *scenario) complete(endpoints bool) {
	have := make(map[object.ID]bool)
	for _, o := range slices.Concat(s.objects, s.elsewhere) {
		have[object.IDOf(o)] = true
	}
	add := func(text string, args ...any) {
		documents, err := manifest.Read(strings.NewReader(fmt.Sprintf(text, args...)))
		if err != nil {
			panic(err)
		}
		for _, d := range documents {
			if id := object.IDOf(d.Object); !have[id] {
				have[id] = true
				s.objects = append(s.objects, d.Object)
			}
		}
	}
	service := func(namespace, name, port string) {
		add("{apiVersion: v1, kind: Service, metadata: {namespace: %s, name: %s}, spec: {ports: [%s]}}", namespace, name, port)
	}
	for _, o := range slices.Clone(s.objects) {
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
					service(id.Namespace, b.Service.Name, servicePort(b.Service.Port.Name, b.Service.Port.Number))
				}
			}
		case "IngressRoute":
			i, ok := typed[v1alpha1.IngressRoute](o)
			if !ok {
				continue
			}
			for _, r := range i.Spec.Routes {
				for _, b := range r.Services {
					if b.Kind != "TraefikService" && b.Name != "" {
						name, number := b.Port.StrVal, b.Port.IntVal
						if name == "" && number == 0 {
							number = 80
						}
						service(cmp.Or(b.Namespace, id.Namespace), b.Name, servicePort(name, number))
					}
				}
			}
		}
	}
	if !endpoints {
		return
	}
	for _, o := range slices.Clone(s.objects) {
		if o.GetKind() != "Service" {
			continue
		}
		if v, ok := typed[corev1.Service](o); ok && len(v.Spec.Selector) == 0 && v.Spec.Type != corev1.ServiceTypeExternalName {
			add("{apiVersion: discovery.k8s.io/v1, kind: EndpointSlice, metadata: {namespace: %s, name: %s, labels: {kubernetes.io/service-name: %[2]s}}, addressType: IPv4, endpoints: [{addresses: [10.42.0.1]}], ports: %s}",
				v.Namespace, v.Name, slicePorts(v, nil))
		}
	}
}

func servicePort(name string, number int32) string {
	if name == "" {
		return fmt.Sprintf("{port: %d}", number)
	}
	return fmt.Sprintf("{name: %s, port: 80}", name)
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
	add := func(text string, args ...any) {
		documents, err := manifest.Read(strings.NewReader(fmt.Sprintf(text, args...)))
		if err != nil {
			panic(err)
		}
		for _, d := range documents {
			s.objects = append(s.objects, d.Object)
		}
	}
	for _, o := range slices.Clone(s.objects) {
		id := object.IDOf(o)
		if used[id] {
			continue
		}
		switch id.Kind {
		case "Service":
			v, ok := typed[corev1.Service](o)
			if !ok {
				continue
			}
			for _, p := range v.Spec.Ports {
				if p.Protocol == "" || p.Protocol == corev1.ProtocolTCP {
					add("{apiVersion: networking.k8s.io/v1, kind: Ingress, metadata: {namespace: %s, name: to-%s-%d}, spec: {rules: [{host: %[2]s-%[3]d.service.example, http: {paths: [{path: /, pathType: Prefix, backend: {service: {name: %[2]s, port: {number: %[3]d}}}}]}}]}}", id.Namespace, id.Name, p.Port)
				}
			}
		case "Middleware":
			add(`apiVersion: v1
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

// cluster is what the API server has of a scenario: the objects that Traefik
// reads, and what people and controllers would make of them. And it is the pods
// that Traefik finds.
func (s *scenario) cluster() ([]*unstructured.Unstructured, map[string]pod) {
	var out []*unstructured.Unstructured
	have := make(map[object.ID]bool)
	add := func(o *unstructured.Unstructured) {
		if id := object.IDOf(o); !have[id] {
			have[id] = true
			out = append(out, o)
		}
	}
	made := func(text string, args ...any) {
		documents, err := manifest.Read(bytes.NewReader(fmt.Appendf(nil, text, args...)))
		if err != nil {
			panic(err)
		}
		for _, d := range documents {
			add(d.Object)
		}
	}
	logins := make(map[object.ID]bool) // Secrets with the users of a basicAuth
	var workloads []workload
	for _, o := range s.objects {
		if w, ok := workloadOf(o); ok {
			workloads = append(workloads, w)
		}
		if secret, _, _ := unstructured.NestedString(o.Object, "spec", "basicAuth", "secret"); secret != "" {
			logins[object.ID{Kind: "Secret", Namespace: o.GetNamespace(), Name: secret}] = true
		}
	}
	pods := make(map[string]pod)
	for i, o := range slices.Concat(s.objects, s.elsewhere) {
		id := object.IDOf(o)
		declared := i >= len(s.objects)
		if !logins[id] && id.Kind != "Service" && (declared || !atTraefik(id)) {
			continue
		}
		o := o.DeepCopy()
		v, isService := typed[corev1.Service](o)
		switch {
		case logins[id]:
			// What people fill in: a user without a password that works.
			unstructured.SetNestedField(o.Object, map[string]any{"users": "nobody:{SHA}none"}, "stringData")
		case id.Kind == "Service" && isService && v.Spec.Type != corev1.ServiceTypeExternalName:
			if len(v.Spec.Ports) == 0 {
				v.Spec.Ports = []corev1.ServicePort{{Port: 1234}} // declared without a word of them
				unstructured.SetNestedSlice(o.Object, []any{map[string]any{"port": int64(1234)}}, "spec", "ports")
			}
			address := fmt.Sprintf("10.42.%d.%d", len(pods)/250+1, len(pods)%250+1)
			p := pod{service: id}
			selector := labels.SelectorFromSet(v.Spec.Selector)
			var of []workload
			someHere := false
			for _, w := range workloads {
				if w.namespace == id.Namespace {
					someHere = true
					if len(v.Spec.Selector) > 0 && selector.Matches(labels.Set(w.labels)) {
						of = append(of, w)
					}
				}
			}
			for _, w := range of {
				for _, c := range w.ports {
					if p.ports == nil {
						p.ports = make(map[int32]bool)
					}
					p.ports[c.ContainerPort] = true
				}
			}
			elsewhere := slices.ContainsFunc(s.elsewhere, func(o *unstructured.Unstructured) bool {
				w, ok := workloadOf(o)
				return ok && w.namespace == id.Namespace && len(v.Spec.Selector) > 0 && selector.Matches(labels.Set(w.labels))
			})
			if len(of) > 0 || elsewhere || declared || len(v.Spec.Selector) > 0 && !someHere {
				made("{apiVersion: discovery.k8s.io/v1, kind: EndpointSlice, metadata: {namespace: %s, name: %s-pods, labels: {kubernetes.io/service-name: %[2]s}}, addressType: IPv4, endpoints: [{addresses: [%s]}], ports: %s}",
					id.Namespace, id.Name, address, slicePorts(v, of))
			}
			pods[address] = p
		}
		add(o)
	}
	// A slice that the manifests have leads to a pod of its own.
	for _, o := range out {
		if name := o.GetLabels()["kubernetes.io/service-name"]; o.GetKind() == "EndpointSlice" && !strings.HasSuffix(o.GetName(), "-pods") {
			address := fmt.Sprintf("10.42.%d.%d", len(pods)/250+1, len(pods)%250+1)
			pods[address] = pod{service: object.ID{Kind: "Service", Namespace: o.GetNamespace(), Name: name}}
			unstructured.SetNestedSlice(o.Object, []any{map[string]any{"addresses": []any{address}}}, "endpoints")
		}
	}
	for _, o := range slices.Clone(out) {
		i, ok := typed[networkingv1.Ingress](o)
		if !ok || o.GetKind() != "Ingress" || len(i.Spec.TLS) == 0 {
			continue
		}
		// As cert-manager's solver stands beside the Ingress while a
		// certificate is issued.
		address, solverName := fmt.Sprintf("10.42.%d.%d", len(pods)/250+1, len(pods)%250+1), solverPrefix+i.Name
		made(`apiVersion: v1
kind: Service
metadata: {namespace: %s, name: %s}
spec: {ports: [{port: 8089}]}
---
apiVersion: discovery.k8s.io/v1
kind: EndpointSlice
metadata: {namespace: %[1]s, name: %[2]s-pods, labels: {kubernetes.io/service-name: %[2]s}}
addressType: IPv4
endpoints: [{addresses: [%s]}]
ports: [{name: "", port: 8089}]
`, i.Namespace, solverName, address)
		pods[address] = pod{service: object.ID{Kind: "Service", Namespace: i.Namespace, Name: solverName}}
		var rules []string
		for _, r := range i.Spec.Rules {
			if r.Host != "" && !strings.Contains(r.Host, "*") && r.HTTP != nil {
				rules = append(rules, fmt.Sprintf("{host: %q, http: {paths: [{path: %s, pathType: Exact, backend: {service: {name: %s, port: {number: 8089}}}}]}}", r.Host, solverPath(i.Name), solverName))
			}
		}
		if len(rules) > 0 {
			made("{apiVersion: networking.k8s.io/v1, kind: Ingress, metadata: {namespace: %s, name: %s}, spec: {rules: [%s]}}", i.Namespace, solverName, strings.Join(rules, ", "))
		}
	}
	return out, pods
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

// slicePorts are the ports of an EndpointSlice as the controller of Kubernetes
// makes them: one that no pod has is left out.
func slicePorts(v *corev1.Service, pods []workload) string {
	var all []string
	for _, p := range v.Spec.Ports {
		number := p.TargetPort.IntVal
		if p.TargetPort.Type == intstr.String {
			number = 8080
			if len(pods) > 0 {
				number = 0
			}
			for _, w := range pods {
				for _, c := range w.ports {
					if c.Name == p.TargetPort.StrVal && max(c.Protocol, "TCP") == max(p.Protocol, "TCP") {
						number = c.ContainerPort
					}
				}
			}
		} else if number == 0 {
			number = p.Port
		}
		if number > 0 {
			all = append(all, fmt.Sprintf("{name: %q, port: %d, protocol: %s}", p.Name, number, max(p.Protocol, "TCP")))
		}
	}
	return "[" + strings.Join(all, ", ") + "]"
}
