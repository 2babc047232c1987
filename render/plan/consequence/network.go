package consequence

import (
	"fmt"
	"net/url"
	"slices"
	"strconv"
	"strings"

	"k8s.io/apimachinery/pkg/labels"

	"git.lastcloud.io/ronnibaslund/dezky/fleet/render/object"
)

// call is an address of a Service that stands in a variable.
type call struct {
	service object.ID
	port    int
}

// calls returns the Services of the set that the variables of a workload lead
// to, each port once.
func (s *set) calls(w *workload) []call {
	return slices.DeleteFunc(s.addresses(w), func(c call) bool { return s.byID[c.service] == nil })
}

// addresses returns the addresses of Services in the variables of a workload,
// each port once, whether or not the Services are in the set.
func (s *set) addresses(w *workload) []call {
	var all []call
	e := s.environment(w)
	for _, name := range sorted(e.vars) {
		value, ok := strings.CutPrefix(e.vars[name], "=")
		if !ok || !strings.Contains(value, "://") {
			continue
		}
		if c, ok := callOf(w.ID.Namespace, value); ok && !slices.Contains(all, c) {
			all = append(all, c)
		}
	}
	return all
}

// callOf reads an address as that of a Service, for who is in a namespace. It is
// false for a public name.
func callOf(namespace, address string) (call, bool) {
	u, err := url.Parse(address)
	if err != nil || u.Hostname() == "" {
		return call{}, false
	}
	parts := strings.Split(u.Hostname(), ".")
	id := object.ID{Kind: "Service", Namespace: namespace, Name: parts[0]}
	switch host := strings.TrimSuffix(u.Hostname(), ".svc.cluster.local"); {
	case len(parts) == 1:
	case len(parts) == 2 || len(parts) == 3 && parts[2] == "svc" || host == parts[0]+"."+parts[1]:
		id.Namespace = parts[1]
	default:
		return call{}, false
	}
	port, err := strconv.Atoi(u.Port())
	if err != nil {
		port = map[string]int{"http": 80, "https": 443}[u.Scheme]
	}
	return call{id, port}, port != 0
}

// selecting are objects that select pods, such as NetworkPolicies, by a label
// of those pods; those that name none by their namespace alone.
type selecting struct {
	field []string
	by    map[label][]*Object
}

// selecting returns the objects of a kind whose selector stands in a field.
func (s *set) selecting(group, kind string, field ...string) selecting {
	all := selecting{field, make(map[label][]*Object)}
	s.kind(group, kind, func(o *Object) {
		at := label{namespace: o.ID.Namespace}
		if named := texts(fields(o.Fields, field...)["matchLabels"]); len(named) > 0 {
			at.key = sorted(named)[0]
			at.value = named[at.key]
		}
		all.by[at] = append(all.by[at], o)
	})
	return all
}

func (s *set) policies() selecting {
	return s.selecting("networking.k8s.io", "NetworkPolicy", "spec", "podSelector")
}

// of returns the objects that select the pods, ordered by identity.
func (all selecting) of(w *workload) []*Object {
	candidates := slices.Clone(all.by[label{namespace: w.ID.Namespace}])
	for k, v := range w.labels {
		candidates = append(candidates, all.by[label{w.ID.Namespace, k, v}]...)
	}
	found := slices.DeleteFunc(candidates, func(o *Object) bool {
		pods := selector(get(o.Fields, all.field...))
		return pods == nil || !pods.Matches(labels.Set(w.labels))
	})
	slices.SortFunc(found, func(a, b *Object) int { return a.ID.Compare(b.ID) })
	return found
}

// allow reports whether the policies let pods of one workload reach a port of
// another's, and the policies that hold one of the two where they do not.
func (s *set) allow(in selecting, from, to *workload, port int, protocol string) (bool, *Object) {
	way := func(direction, peers string, own, other *workload) (bool, *Object) {
		var by *Object
		for _, o := range in.of(own) {
			spec := fields(o.Fields, "spec")
			if !slices.Contains(policyTypes(spec), direction) {
				continue
			}
			by = o
			for _, rule := range list(spec[strings.ToLower(direction)]) {
				if s.peer(rule[peers], o.ID.Namespace, other) && portAllowed(rule["ports"], to, port, protocol) {
					return true, nil
				}
			}
		}
		return by == nil, by
	}
	if ok, by := way("Egress", "to", from, to); !ok {
		return false, by
	}
	return way("Ingress", "from", to, from)
}

// peer reports whether a workload is among the peers of a rule. A block of
// addresses may be that of the pods, and is taken for it.
func (s *set) peer(value any, namespace string, w *workload) bool {
	if empty(value) {
		return true
	}
	for _, peer := range list(value) {
		if peer["ipBlock"] != nil {
			return true
		}
		if peer["namespaceSelector"] == nil {
			if w.ID.Namespace != namespace {
				continue
			}
		} else {
			of := map[string]string{"kubernetes.io/metadata.name": w.ID.Namespace}
			if o := s.byID[object.ID{Kind: "Namespace", Name: w.ID.Namespace}]; o != nil {
				for k, v := range texts(get(o.Fields, "metadata", "labels")) {
					of[k] = v
				}
			}
			if ns := selector(peer["namespaceSelector"]); ns == nil || !ns.Matches(labels.Set(of)) {
				continue
			}
		}
		if pods := selector(peer["podSelector"]); peer["podSelector"] == nil || pods != nil && pods.Matches(labels.Set(w.labels)) {
			return true
		}
	}
	return false
}

func portAllowed(value any, to *workload, port int, protocol string) bool {
	if empty(value) {
		return true
	}
	for _, p := range list(value) {
		if or(p["protocol"], "TCP") != protocol {
			continue
		}
		from, isNumber := number(p["port"])
		end, isRange := number(p["endPort"])
		switch {
		case p["port"] == nil, isNumber && from == port, isRange && from <= port && port <= end:
			return true
		case !isNumber:
			if n, ok := to.port(p["port"]); ok && n == port {
				return true
			}
		}
	}
	return false
}

func networkRules() []Rule {
	return []Rule{{
		ID: "policy-cuts",
		Doc: "A NetworkPolicy cuts a connection that the manifests themselves use: an address of a Service in a variable of a workload. " +
			"Addresses in Secrets and blocks of addresses are not followed. Connections that are open may last until they end.",
		Source: "Kubernetes documentation, 'Network Policies'",
		run: func(p *pass) {
			before, now := p.Was.policies(), p.Is.policies()
			if len(now.by) == 0 {
				return
			}
			for _, id := range p.Is.ids {
				w := p.Is.workloads[id]
				was := p.Was.workloads[id]
				if w == nil || was == nil {
					continue
				}
				had := p.Was.calls(was)
				for _, c := range p.Is.calls(w) {
					if !slices.Contains(had, c) {
						continue
					}
					service := p.Is.byID[c.service]
					for _, port := range list(get(service.Fields, "spec", "ports")) {
						if n, _ := number(port["port"]); n != c.port {
							continue
						}
						protocol, _ := or(port["protocol"], "TCP").(string)
						for _, to := range p.Is.selected(c.service.Namespace, texts(get(service.Fields, "spec", "selector"))) {
							old := p.Was.workloads[to.ID]
							n, ok := to.port(targetOf(port))
							if old == nil || !ok {
								continue
							}
							may, _ := p.Was.allow(before, was, old, n, protocol)
							if still, by := p.Is.allow(now, w, to, n, protocol); may && !still {
								p.report(Down, by.ID, "spec", fmt.Sprintf("it cuts %s %s off from Service %s, port %d, which its variables name", w.ID.Kind, w.ID.Name, c.service.Namespace+"/"+c.service.Name, c.port), "Open it, on both sides, or take the address away")
							}
						}
					}
				}
			}
		},
	}}
}
