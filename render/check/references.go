package check

import (
	"fmt"
	"slices"
	"strconv"
	"strings"

	corev1 "k8s.io/api/core/v1"
	networkingv1 "k8s.io/api/networking/v1"

	"git.lastcloud.io/ronnibaslund/dezky/fleet/render/object"
)

func referenceRules() []Rule {
	found := func(id string) func(*Pass) {
		return func(p *Pass) {
			for _, w := range p.wrongReferences() {
				if w.rule == id {
					p.Report(w.from, w.field, w.problem, w.remedy)
				}
			}
		}
	}
	return []Rule{{
		ID:     "reference",
		Doc:    "What refers to an object that is not there does not start, is not reached or is refused: a pod without its Secret, an Ingress without its Service, a binding without its Role. What exists elsewhere is declared.",
		Source: "Kubernetes documentation, 'Secrets', 'ConfigMaps', 'Ingress', 'Using RBAC Authorization'; Traefik documentation, 'Kubernetes IngressRoute'; cert-manager documentation, 'Certificate resource'",
		Run:    found("reference"),
	}, {
		ID:       "undeclared",
		Severity: object.Warning,
		Doc:      "What refers to something of which nothing is known here may refer to nothing: a kind of the cluster of which none is rendered or declared, or another namespace of which nothing is.",
		Source:   "The checks of fleet: see 'What exists elsewhere'",
		Run:      found("undeclared"),
	}, {
		ID:     "reference-key",
		Doc:    "A container whose variable or file comes from a key that a ConfigMap or Secret lacks does not start: CreateContainerConfigError.",
		Source: "Kubernetes documentation, 'Configure a Pod to Use a ConfigMap', Restrictions",
		Run:    found("reference-key"),
	}, {
		ID:     "reference-port",
		Doc:    "A backend at a port that its Service lacks answers 404 or 503, and a webhook at such a port refuses whatever it should look at.",
		Source: "Traefik, pkg/provider/kubernetes/ingress: service port not found; Kubernetes documentation, 'Ingress'",
		Run:    found("reference-port"),
	}, {
		ID:     "address",
		Doc:    "An address of a Service that is not there, or at a port that it lacks, is one that nobody answers.",
		Source: "Kubernetes documentation, 'DNS for Services and Pods'",
		Run:    found("address"),
	}, {
		ID:     "middleware-provider",
		Doc:    "Traefik looks for a middleware at the provider that stands behind its name. An Ingress must name one, since its own provider has no middlewares; where there is no such provider, the router is dropped.",
		Source: "Traefik, pkg/server/provider/provider.go: GetQualifiedName; Traefik documentation, 'Configuration Discovery', Provider Namespace",
		Run:    middlewareProviders,
	}, {
		ID:     "middleware-cycle",
		Doc:    "Traefik drops a router whose chain of middlewares comes back to itself.",
		Source: "Traefik, pkg/server/recursion: recursion detected",
		Run:    middlewareCycles,
	}, {
		ID:       "key-unread",
		Severity: object.Note,
		Doc:      "A key that nothing reads is a value that somebody keeps for nothing, or one whose reader looks for another name.",
		Source:   "Kubernetes documentation, 'ConfigMaps'",
		Run:      unreadKeys,
	}}
}

// reference is a field of one object that names another.
type reference struct {
	from *Object
	at   fieldPath
	to   object.ID
	// key of a ConfigMap or Secret. Empty for the whole object.
	key string
	// port of a Service, where port is true.
	isPort bool
	port   networkingv1.ServiceBackendPort
	// address reports that a text names the Service by its DNS name.
	address bool
	// inPod reports that the text is a variable or an argument of a container.
	inPod bool
	// home reports that it is the namespace of the object, which is none of
	// those that are rendered or declared.
	home bool
	// guess reports that the text may mean something else.
	guess bool
}

// wrong is what is wrong with a reference, and the rule that says so.
type wrong struct {
	rule                   string
	from                   *Object
	field, problem, remedy string
}

// wrongReferences returns what is wrong with the references of all objects, and
// follows them if nobody has.
func (s *Set) wrongReferences() []wrong {
	s.wrongOnce.Do(func() {
		s.read = make(map[object.ID][]string, len(s.Kind("", "ConfigMap"))+len(s.others))
		s.uses = make([]use, 0, len(s.allPods())+len(s.Kind("networking.k8s.io", "Ingress")))
		var last object.ID // a pod often takes several keys of one object
		there := false
		s.eachReference(func(r *reference) {
			if r.to != last {
				last, there = r.to, s.exists(r.to)
			}
			if r.to.Group == "" && (r.to.Kind == "ConfigMap" || r.to.Kind == "Secret") {
				if keys := s.read[r.to]; !slices.Contains(keys, r.key) {
					s.read[r.to] = append(keys, r.key)
				}
			}
			if r.to.Group == "" && r.to.Kind == "Service" && there {
				call, leads := r.address && r.inPod, !r.address && (r.from.ID.Kind == "Ingress" || r.from.ID.Kind == "IngressRoute")
				if call || leads {
					u := use{from: r.from, at: r.at.String(), to: r.to, call: call}
					if r.isPort {
						u.port = r.port
					}
					s.uses = append(s.uses, u)
				}
			}
			if w := s.check(r, there); w.rule != "" {
				w.from, w.field = r.from, r.at.String()
				s.wrong = append(s.wrong, w)
			}
		})
	})
	return s.wrong
}

// check returns what is wrong with a reference, and no rule where what it names
// is there, under check or elsewhere, with the key and port.
func (s *Set) check(r *reference, there bool) wrong {
	if r.home || !there {
		rule := "reference"
		if r.address {
			rule = "address"
		}
		problem, remedy := "there is no "+r.to.String(), "render it, or declare it elsewhere: "+declaration(r.to)
		if r.to.Kind == "Secret" && r.to.Group == "" {
			remedy = "give it a contract, or declare it elsewhere: " + declaration(r.to)
		}
		if strings.HasSuffix(r.to.Name, "@kubernetescrd") {
			remedy = "such a name is that of the namespace and of the " + r.to.Kind + ", joined by a dash"
		}
		if len(s.wrong) < 100 { // nobody reads on, and the search takes its time
			if near := s.near(r.to); near != "" {
				remedy = near + " is there. Else " + remedy
			}
		}
		if r.home || r.guess || !s.knownPlace(r) {
			return wrong{rule: "undeclared", problem: "nothing is known of " + r.to.String(), remedy: remedy}
		}
		return wrong{rule: rule, problem: problem, remedy: remedy}
	}
	if r.isPort {
		look := s.ports
		if r.address {
			look = s.portsAt
		}
		if ports, closed := look(r.to); closed && !slices.ContainsFunc(ports, func(p corev1.ServicePort) bool {
			return r.port.Name != "" && p.Name == r.port.Name || r.port.Name == "" && p.Port == r.port.Number
		}) {
			rule := "reference-port"
			if r.address {
				rule = "address"
			}
			return wrong{rule: rule, problem: r.to.String() + " has no such port (" + portText(r.port) + ")", remedy: "its ports are " + portsText(ports)}
		}
	}
	if r.key != "" {
		if keys := s.keys(r.to); keys.closed && !keys.has(r.key) {
			remedy := "it has none"
			if list := keys.list(); len(list) > 0 {
				remedy = "its keys are " + strings.Join(list, ", ")
			}
			return wrong{rule: "reference-key", problem: r.to.String() + " has no key " + r.key, remedy: remedy}
		}
	}
	return wrong{}
}

// declaration is the shortest manifest of an object.
func declaration(id object.ID) string {
	version := "v1"
	switch id.Group {
	case "":
	case "traefik.io":
		version = id.Group + "/v1alpha1"
	default:
		version = id.Group + "/v1"
	}
	name := "name: " + id.Name
	if id.Namespace != "" {
		name = "namespace: " + id.Namespace + ", " + name
	}
	return "{apiVersion: " + version + ", kind: " + id.Kind + ", metadata: {" + name + "}}"
}

// near returns an object of the kind and namespace whose name differs in a
// letter or two, or the namespace where the name is the same. Empty if there
// is none.
func (s *Set) near(id object.ID) string {
	best := ""
	try := func(other object.ID) {
		if best == "" && other.Group == id.Group && other.Kind == id.Kind &&
			(other.Namespace == id.Namespace && distance(other.Name, id.Name) <= 2 || other.Name == id.Name) {
			best = other.String()
		}
	}
	for _, o := range s.Kind(id.Group, id.Kind) {
		try(o.ID)
	}
	for _, e := range s.others {
		try(e.ID)
	}
	return best
}

// distance is how many letters two names differ in: three stands for any more.
func distance(a, b string) int {
	if len(a) > len(b) {
		a, b = b, a
	}
	if len(b)-len(a) > 2 || len(a) < 4 {
		return 3
	}
	row := make([]int, len(a)+1)
	for i := range row {
		row[i] = i
	}
	for j := range len(b) {
		before := row[0]
		row[0] = j + 1
		for i := range len(a) {
			change := before
			if a[i] != b[j] {
				change++
			}
			before = row[i+1]
			row[i+1] = min(row[i+1]+1, row[i]+1, change)
		}
	}
	return min(row[len(a)], 3)
}

func portText(p networkingv1.ServiceBackendPort) string {
	if p.Name != "" {
		return p.Name
	}
	return strconv.Itoa(int(p.Number))
}

func portsText(ports []corev1.ServicePort) string {
	if len(ports) == 0 {
		return "none"
	}
	var list []string
	for _, p := range ports {
		text := strconv.Itoa(int(p.Port))
		if p.Name != "" {
			text += " (" + p.Name + ")"
		}
		list = append(list, text)
	}
	return strings.Join(list, ", ")
}

// ports returns the ports of a Service, and whether it can have no others.
func (s *Set) ports(id object.ID) (ports []corev1.ServicePort, closed bool) {
	if o := s.get(id); o != nil {
		service := As[*corev1.Service](o)
		if service == nil || service.Spec.Type == corev1.ServiceTypeExternalName {
			return nil, false
		}
		return service.Spec.Ports, true
	}
	if e := s.Elsewhere(id); e != nil {
		return e.Ports, e.Ports != nil
	}
	return nil, false
}

// keys are those of a ConfigMap or Secret, wherever they are known from.
type keys struct {
	names []string
	text  map[string]string
	bytes map[string][]byte
	// closed reports that there can be no others.
	closed bool
}

// has reports whether a key is among them.
func (k keys) has(key string) bool {
	_, isText := k.text[key]
	_, isBytes := k.bytes[key]
	return isText || isBytes || slices.Contains(k.names, key)
}

// list returns them all, sorted, each once.
func (k keys) list() []string {
	list := slices.Concat(k.names, sortedKeys(k.text), sortedKeys(k.bytes))
	slices.Sort(list)
	return slices.Compact(list)
}

// keys returns the keys of a ConfigMap or Secret.
func (s *Set) keys(id object.ID) keys {
	if e := s.Elsewhere(id); e != nil {
		return keys{names: e.Keys, closed: e.Keys != nil}
	}
	if made, ok := s.known().made[id]; ok {
		return keys{names: made, closed: made != nil}
	}
	o := s.get(id)
	if o == nil {
		return keys{}
	}
	switch id.Kind {
	case "Secret":
		// One without values is filled in by the cluster or by people.
		if secret := As[*corev1.Secret](o); secret != nil && len(secret.Data)+len(secret.StringData) > 0 {
			return keys{text: secret.StringData, bytes: secret.Data, closed: true}
		}
	case "ConfigMap":
		if m := As[*corev1.ConfigMap](o); m != nil {
			return keys{text: m.Data, bytes: m.BinaryData, closed: true}
		}
	}
	return keys{}
}

// providers are the providers of Traefik that have middlewares, by the suffix
// of a name (Traefik v3.6, pkg/provider).
var providers = []string{
	"consul", "consulcatalog", "docker", "ecs", "etcd", "file", "http", "internal", "kubernetescrd", "kubernetesgateway",
	"nomad", "redis", "rest", "swarm", "zookeeper",
}

// knownProvider reports whether Traefik may have the provider. Those of Consul
// and Nomad may have a namespace behind them.
func knownProvider(name string) bool {
	return slices.Contains(providers, name) || strings.HasPrefix(name, "plugin-") ||
		strings.HasPrefix(name, "consul-") || strings.HasPrefix(name, "consulcatalog-") || strings.HasPrefix(name, "nomad-")
}

func middlewareProviders(p *Pass) {
	look := func(o *Object, field, name string, must bool) {
		_, provider, ok := strings.Cut(name, "@")
		switch {
		case !ok && must:
			p.Report(o, field, "the middleware "+name+" names no provider", "write NAMESPACE-NAME@kubernetescrd")
		case ok && !knownProvider(provider):
			p.Report(o, field, "Traefik has no middlewares of a provider "+provider, "write NAMESPACE-NAME@kubernetescrd, or the provider that is meant")
		}
	}
	for _, o := range p.Kind("networking.k8s.io", "Ingress") {
		for name := range strings.SplitSeq(o.GetAnnotations()[middlewaresAnnotation], ",") {
			if name = strings.TrimSpace(name); name != "" {
				look(o, "metadata.annotations["+middlewaresAnnotation+"]", name, true)
			}
		}
	}
	for _, route := range p.Kind(traefik, "IngressRoute") {
		routes, _ := at(route.fields(), "spec", "routes").([]any)
		for i, r := range routes {
			r, _ := r.(map[string]any)
			middlewares, _ := r["middlewares"].([]any)
			for k, m := range middlewares {
				m, _ := m.(map[string]any)
				name, _ := m["name"].(string)
				look(route, fmt.Sprintf("spec.routes[%d].middlewares[%d].name", i, k), name, false)
			}
		}
	}
}

// middlewareCycles reports chains of middlewares that come back to themselves.
func middlewareCycles(p *Pass) {
	next := make(map[object.ID][]object.ID)
	for _, o := range p.Kind("traefik.io", "Middleware") {
		r := reference{from: o}
		r.table(p.Set, func(r *reference) {
			if r.to.Kind == "Middleware" {
				next[o.ID] = append(next[o.ID], r.to)
			}
		})
	}
	for _, o := range p.Kind("traefik.io", "Middleware") {
		seen := make(map[object.ID]bool)
		var back func(id object.ID) bool
		back = func(id object.ID) bool {
			for _, to := range next[id] {
				if to == o.ID {
					return true
				}
				if !seen[to] {
					seen[to] = true
					if back(to) {
						return true
					}
				}
			}
			return false
		}
		if back(o.ID) {
			p.Report(o, "spec.chain.middlewares", fmt.Sprintf("the chain of %s comes back to it", o.ID.Name), "take it out of one of the chains")
		}
	}
}

// unreadKeys reports the keys that nothing reads.
func unreadKeys(p *Pass) {
	p.wrongReferences()
	read := p.read
	orphans := func(o *Object, keys []string, elsewhere func(string) bool) {
		read := read[o.ID]
		if slices.Contains(read, "") { // something reads it whole
			return
		}
		for _, key := range keys {
			if !slices.Contains(read, key) && (elsewhere == nil || !elsewhere(key)) {
				p.Report(o, "", "nothing reads the key "+key, "remove it, or say who does")
			}
		}
	}
	for _, e := range p.others {
		if e.Contract {
			orphans(&Object{ID: e.ID, index: -1}, e.Keys, e.Read)
		}
	}
	for _, o := range p.Kind("", "ConfigMap") {
		if by := read[o.ID]; o.AllRead || slices.Contains(by, "") || o.Layer == "" && len(by) == 0 {
			continue // it is read whole, or outside a Tree, where its reader may be in other files
		}
		if keys := p.keys(o.ID); keys.closed {
			orphans(o, keys.list(), nil)
		}
	}
}
