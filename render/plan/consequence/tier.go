package consequence

import (
	"cmp"
	"fmt"
	"net/url"
	"slices"
	"strings"

	"git.lastcloud.io/ronnibaslund/dezky/fleet/render/object"
)

// Tier is what a picture shows of two sets of objects: who is reached under
// which host, who calls whom, and where the data and the sign-in are.
type Tier struct {
	// Nodes ordered by kind and name.
	Nodes []Node
	// Edges between them, ordered by their ends.
	Edges []Edge
}

// Mark says what happens to a part of the picture. Nothing does where it is
// empty.
type Mark string

// The marks.
const (
	New   Mark = "new"
	Other Mark = "changed"
	Gone  Mark = "gone"
)

// NodeKind is the kind of a node.
type NodeKind int

// The kinds, in the direction in which requests go.
const (
	// Host is a public name.
	Host NodeKind = iota
	// Router is an Ingress or IngressRoute.
	Router
	// App is a workload.
	App
	// SignIn is where users sign in.
	SignIn
	// Store is an address that a Secret holds, by the name of the variable.
	Store
	// Outside is any other address that is not of the tier.
	Outside
)

// Node is something in the picture.
type Node struct {
	Kind NodeKind
	// Name of it, and a note below the name.
	Name, Note string
	// Objects that it stands for. There are none for what is elsewhere.
	Objects []object.ID
	// Mark says what happens to it.
	Mark Mark
	// Shut reports that a NetworkPolicy lets in only who it names.
	Shut bool
}

// Edge is a way that requests take.
type Edge struct {
	// From and To are the places of the nodes.
	From, To int
	// Note on the way, such as the variable that has the address.
	Note string
	// Mark says what happens to it.
	Mark Mark
	// Cut reports that a NetworkPolicy does not let it through.
	Cut bool
}

type nodeKey struct {
	kind NodeKind
	name string
}

type edgeKey struct{ from, to nodeKey }

// graph is one side of a picture.
type graph struct {
	nodes map[nodeKey]*Node
	edges map[edgeKey]*Edge
}

func (g graph) node(kind NodeKind, name, note string, ids ...object.ID) nodeKey {
	key := nodeKey{kind, name}
	if g.nodes[key] == nil {
		g.nodes[key] = &Node{Kind: kind, Name: name, Note: note}
	}
	for _, id := range ids {
		if !slices.Contains(g.nodes[key].Objects, id) {
			g.nodes[key].Objects = append(g.nodes[key].Objects, id)
		}
	}
	return key
}

func (g graph) edge(from, to nodeKey, note string, cut bool) {
	if g.edges[edgeKey{from, to}] == nil {
		g.edges[edgeKey{from, to}] = &Edge{Note: note, Cut: cut}
	}
}

// TierOf returns what is to be seen of two sets of objects.
func TierOf(was, is []Object) Tier {
	before, now := newSet(was), newSet(is)
	a, b := before.graph(), now.graph()
	var keys []nodeKey
	for key := range a.nodes {
		keys = append(keys, key)
	}
	for key := range b.nodes {
		if a.nodes[key] == nil {
			keys = append(keys, key)
		}
	}
	slices.SortFunc(keys, func(x, y nodeKey) int {
		return cmp.Or(cmp.Compare(x.kind, y.kind), cmp.Compare(x.name, y.name))
	})
	var t Tier
	at := make(map[nodeKey]int)
	for i, key := range keys {
		at[key] = i
		node := b.nodes[key]
		switch {
		case node == nil:
			node = a.nodes[key]
			node.Mark = Gone
		case a.nodes[key] == nil:
			node.Mark = New
		case slices.ContainsFunc(node.Objects, func(id object.ID) bool {
			o, p := before.byID[id], now.byID[id]
			return o == nil || p == nil || !same(o.Fields, p.Fields)
		}):
			node.Mark = Other
		}
		t.Nodes = append(t.Nodes, *node)
	}
	add := func(key edgeKey, e Edge, mark Mark) {
		e.From, e.To, e.Mark = at[key.from], at[key.to], mark
		t.Edges = append(t.Edges, e)
	}
	for key, e := range a.edges {
		if b.edges[key] == nil {
			add(key, *e, Gone)
		}
	}
	for key, e := range b.edges {
		switch old := a.edges[key]; {
		case old == nil:
			add(key, *e, New)
		case old.Cut != e.Cut:
			add(key, *e, Other)
		default:
			add(key, *e, "")
		}
	}
	slices.SortFunc(t.Edges, func(x, y Edge) int { return cmp.Or(cmp.Compare(x.From, y.From), cmp.Compare(x.To, y.To)) })
	return t
}

// graph makes the picture of one set.
func (s *set) graph() graph {
	g := graph{make(map[nodeKey]*Node), make(map[edgeKey]*Edge)}
	apps := make(map[object.ID]nodeKey)
	in := s.policies()
	name := func(id object.ID) string { return cmp.Or(id.Namespace, "default") + "/" + id.Name }
	for _, id := range s.ids {
		w := s.workloads[id]
		if w == nil || id.Kind == "ReplicaSet" {
			continue
		}
		note := "a pod on every node"
		if w.replicas >= 0 {
			note = count(w.replicas, "pod", "pods")
		}
		if id.Kind != "Deployment" {
			note = id.Kind + ", " + note
		}
		apps[id] = g.node(App, name(id), note, id)
		g.nodes[apps[id]].Shut = slices.ContainsFunc(in.of(w), isolates)
	}
	// What the Service of an app says belongs to it.
	serves := make(map[object.ID][]*workload)
	s.kind("", "Service", func(o *Object) {
		serves[o.ID] = s.selected(o.ID.Namespace, texts(get(o.Fields, "spec", "selector")))
		for _, w := range serves[o.ID] {
			if key, ok := apps[w.ID]; ok {
				g.node(App, key.name, "", o.ID)
			}
		}
	})
	hosts := s.hosts()
	behind := make(map[string][]nodeKey) // a host's apps
	for _, r := range s.routers() {
		node := g.node(Router, name(r.ID), r.note(), r.ID)
		for _, host := range r.hosts {
			g.edge(g.node(Host, host, "", r.ID), node, "", false)
			for _, b := range r.backends {
				if b.host != "" && b.host != host {
					continue
				}
				for _, w := range serves[b.service] {
					if to, ok := apps[w.ID]; ok {
						g.edge(node, to, "", false)
						behind[host] = append(behind[host], to)
					}
				}
			}
		}
	}
	for _, id := range s.ids {
		from, ok := apps[id]
		if !ok {
			continue
		}
		w := s.workloads[id]
		for _, c := range s.calls(w) {
			for _, to := range serves[c.service] {
				key, known := apps[to.ID]
				if !known || key == from {
					continue
				}
				way := true
				for _, port := range list(get(s.byID[c.service].Fields, "spec", "ports")) {
					if n, _ := number(port["port"]); n == c.port {
						if target, ok := to.port(targetOf(port)); ok {
							way, _ = s.allow(in, w, to, target, "TCP")
						}
					}
				}
				g.edge(from, key, "", !way)
			}
		}
		e := s.environment(w)
		for _, variable := range sorted(e.vars) {
			value := e.vars[variable]
			if strings.HasPrefix(value, "Secret ") {
				if isAddress(variable) {
					g.edge(from, g.node(Store, variable, "its address is in a Secret"), "", false)
				}
				continue
			}
			u, err := url.Parse(strings.TrimPrefix(value, "="))
			if err != nil || u.Host == "" || !strings.HasPrefix(value, "=") {
				continue
			}
			host := u.Hostname()
			switch {
			case hosts[host] != nil:
				for _, to := range behind[host] {
					if to != from {
						g.edge(from, to, "through "+host, false)
					}
				}
			case !strings.Contains(host, ".") || s.isService(host, id.Namespace):
			case strings.Contains(variable, "OIDC") || strings.Contains(variable, "AUTH"):
				g.edge(from, g.node(SignIn, host, "sign-in"), "", false)
			default:
				g.edge(from, g.node(Outside, host, ""), "", false)
			}
		}
	}
	return g
}

// isAddress reports whether a variable is by its name where data is kept: those
// of a sign-in and those that pages get are no stores.
func isAddress(variable string) bool {
	for _, other := range []string{"OIDC", "PUBLIC", "REDIRECT"} {
		if strings.Contains(variable, other) {
			return false
		}
	}
	return strings.HasSuffix(variable, "_URI") || strings.HasSuffix(variable, "_URL")
}

// isService reports whether a host is that of a Service of the set.
func (s *set) isService(host, namespace string) bool {
	parts := strings.Split(host, ".")
	id := object.ID{Kind: "Service", Namespace: namespace, Name: parts[0]}
	if len(parts) > 1 {
		id.Namespace = parts[1]
	}
	return s.byID[id] != nil
}

// isolates reports whether a policy lets only who it names reach its pods.
func isolates(policy *Object) bool {
	return slices.Contains(policyTypes(fields(policy.Fields, "spec")), "Ingress")
}

// note names the middlewares of a router.
func (r *router) note() string {
	var names []string
	for _, m := range r.chain() {
		m, _, _ = strings.Cut(m, "@")
		names = append(names, strings.TrimPrefix(m, r.ID.Namespace+"-"))
	}
	if len(names) > 2 {
		return fmt.Sprintf("%s and %d more", names[0], len(names)-1)
	}
	return strings.Join(names, ", ")
}
