package consequence

import (
	"fmt"
	"slices"
	"strings"

	"k8s.io/apimachinery/pkg/labels"

	"git.lastcloud.io/ronnibaslund/dezky/fleet/render/object"
)

func doorRules() []Rule {
	return []Rule{{
		ID: "more-doors",
		Doc: "A way in, or out, that was shut: a NetworkPolicy that lets more through, a Service that is reached from outside the cluster, a port of the node. " +
			"Of a new NetworkPolicy it is told where it opens pods that another one isolates already, since policies add up.",
		Source: "Kubernetes documentation, 'Network Policies'; 'Service', Publishing Services; 'Pod Security Standards': host ports",
		run: func(p *pass) {
			in := p.Was.policies()
			for _, pair := range p.Pairs {
				if pair.Is == nil {
					continue
				}
				switch pair.ID.Group + "/" + pair.ID.Kind {
				case "networking.k8s.io/NetworkPolicy":
					p.opens(pair, in)
				case "/Service":
					published := func(o *Object) string {
						switch {
						case o == nil:
							return ""
						case typed("NodePort", o.Fields) || typed("LoadBalancer", o.Fields):
							return text(o.Fields, "spec", "type")
						}
						return strings.Join(strs(get(o.Fields, "spec", "externalIPs")), ", ")
					}
					if is := published(pair.Is); is != "" && is != published(pair.Was) {
						p.report(Weaker, pair.ID, "spec.type", "it is reached from outside the cluster: "+is, "")
					}
				}
			}
			p.containerPairs(func(w *workload, at string, was, is map[string]any) {
				had := make(map[int]bool)
				for _, port := range list(was["ports"]) {
					n, _ := number(port["hostPort"])
					had[n] = true
				}
				for _, port := range list(is["ports"]) {
					if n, _ := number(port["hostPort"]); n != 0 && !had[n] {
						p.report(Weaker, w.ID, at+".ports", fmt.Sprintf("it takes port %d of its node, which no Ingress and no NetworkPolicy stands before", n), "")
					}
				}
			})
		},
	}}
}

// policyTypes are the directions that a policy isolates; see
// NetworkPolicySpec.PolicyTypes.
func policyTypes(spec map[string]any) []string {
	types := strs(spec["policyTypes"])
	if len(types) == 0 {
		types = []string{"Ingress"}
		if spec["egress"] != nil {
			types = append(types, "Egress")
		}
	}
	return types
}

// opens reports what a policy lets through that was shut.
func (p *pass) opens(pair change, in selecting) {
	is := fields(pair.Is.Fields, "spec")
	var was map[string]any
	if pair.Was != nil {
		was = fields(pair.Was.Fields, "spec")
		if !same(was["podSelector"], is["podSelector"]) {
			return // other pods: of them it is as good as new
		}
	}
	for _, way := range []struct{ direction, field, peers, verb string }{
		{"Ingress", "ingress", "from", "in"}, {"Egress", "egress", "to", "out"},
	} {
		shut := slices.Contains(policyTypes(was), way.direction) && was != nil
		if was == nil {
			shut = p.isolated(pair.Is, in, way.direction)
		}
		if !shut {
			continue
		}
		if !slices.Contains(policyTypes(is), way.direction) {
			if was != nil {
				p.report(Weaker, pair.ID, "spec.policyTypes", "it no longer isolates its pods for what goes "+way.verb, "")
			}
			continue
		}
		var more []string
		for _, rule := range list(is[way.field]) {
			covered := slices.ContainsFunc(list(was[way.field]), func(old map[string]any) bool {
				return coversAll(old[way.peers], rule[way.peers]) && coversAll(old["ports"], rule["ports"])
			})
			if !covered {
				more = append(more, peersText(rule[way.peers])+portsText(rule["ports"]))
			}
		}
		if len(more) > 0 {
			p.report(Weaker, pair.ID, "spec."+way.field, "it lets more "+way.verb+": "+strings.Join(more, "; "), "")
		}
	}
}

// isolated reports whether the pods of a policy that run are all isolated by
// another one already.
func (p *pass) isolated(policy *Object, in selecting, direction string) bool {
	s := selector(get(policy.Fields, "spec", "podSelector"))
	if s == nil {
		return false
	}
	running := p.Was.in[policy.ID.Namespace]
	for k, v := range texts(get(policy.Fields, "spec", "podSelector", "matchLabels")) {
		running = p.Was.labelled[label{policy.ID.Namespace, k, v}]
		break // one label narrows it enough; all are looked at below
	}
	pods := 0
	for _, w := range running {
		if !s.Matches(labels.Set(w.labels)) {
			continue
		}
		pods++
		if !slices.ContainsFunc(in.of(w), func(o *Object) bool { return slices.Contains(policyTypes(fields(o.Fields, "spec")), direction) }) {
			return false
		}
	}
	return pods > 0
}

// coversAll reports whether a list of peers or ports allows all that another
// one does. An empty list allows everything.
func coversAll(old, now any) bool {
	switch {
	case empty(old):
		return true
	case empty(now):
		return false
	}
	return containsAll(old, now)
}

func peersText(value any) string {
	if empty(value) {
		return "everybody"
	}
	var all []string
	for _, peer := range list(value) {
		var parts []string
		if cidr := text(peer, "ipBlock", "cidr"); cidr != "" {
			parts = append(parts, cidr)
		}
		if s := fields(peer, "podSelector"); s != nil {
			parts = append(parts, "pods "+selectorText(s))
		}
		if s := fields(peer, "namespaceSelector"); s != nil {
			if len(parts) == 0 {
				parts = append(parts, "pods")
			}
			parts = append(parts, "of namespaces "+selectorText(s))
		}
		all = append(all, strings.Join(parts, " "))
	}
	return strings.Join(all, ", ")
}

func selectorText(s map[string]any) string {
	if parsed := selector(s); parsed != nil && !parsed.Empty() {
		return parsed.String()
	}
	return "(all)"
}

func portsText(value any) string {
	var all []string
	for _, p := range list(value) {
		port := fmt.Sprint(or(p["port"], "any"))
		if p["endPort"] != nil {
			port += fmt.Sprintf("-%v", p["endPort"])
		}
		all = append(all, strings.TrimSuffix(port+"/"+fmt.Sprint(or(p["protocol"], "TCP")), "/TCP"))
	}
	if len(all) == 0 {
		return ""
	}
	return " at port " + strings.Join(all, ", ")
}

func layerRules() []Rule {
	return []Rule{{
		ID: "layer",
		Doc: "What one layer brings and another one needs must be applied first: a namespace, or what pods refer to. " +
			"An object that moves to another layer is applied by other hands from then on.",
		Source: "The layers of fleet, see README: each is applied by hands of its own",
		run: func(p *pass) {
			users := make(map[object.ID][]string)
			use := func(of *Object, kind, name string) {
				id := object.ID{Kind: kind, Namespace: of.ID.Namespace, Name: name}
				if kind == "Namespace" {
					id.Namespace = ""
				}
				if o := p.Is.byID[id]; o != nil && o.layer() != of.layer() && !slices.Contains(users[id], of.layer()) {
					users[id] = append(users[id], of.layer())
				}
			}
			for _, id := range p.Is.ids {
				o := p.Is.byID[id]
				if id.Namespace != "" {
					use(o, "Namespace", id.Namespace)
				}
				w := p.Is.workloads[id]
				if w == nil {
					continue
				}
				use(o, "ServiceAccount", text(w.spec, "serviceAccountName"))
				for _, v := range list(w.spec["volumes"]) {
					use(o, "ConfigMap", text(v, "configMap", "name"))
				}
				for _, name := range w.claims() {
					use(o, "PersistentVolumeClaim", name)
				}
				for _, name := range w.configMaps() {
					use(o, "ConfigMap", name)
				}
			}
			type way struct{ from, to string }
			moves := make(map[way][]object.ID)
			var ways []way
			for _, pair := range p.Pairs {
				if pair.Is == nil {
					continue
				}
				if by := users[pair.ID]; pair.Was == nil && len(by) > 0 {
					p.report(First, pair.ID, "", "it is new in "+pair.Is.layer()+", and "+strings.Join(by, ", ")+" needs it", "Apply "+pair.Is.layer()+" first")
				}
				if pair.Was != nil && pair.Was.layer() != pair.Is.layer() && pair.Was.layer() != "." && pair.Is.layer() != "." {
					w := way{pair.Was.layer(), pair.Is.layer()}
					if moves[w] = append(moves[w], pair.ID); len(moves[w]) == 1 {
						ways = append(ways, w)
					}
				}
			}
			for _, w := range ways {
				with := ""
				if n := len(moves[w]) - 1; n > 0 {
					with = ", with " + count(n, "other object", "other objects")
				}
				p.report(First, moves[w][0], "", "it moves from "+w.from+" to "+w.to+with, "Apply "+w.to+" first, so that "+w.from+" finds it there and leaves it")
			}
		},
	}}
}
