package consequence

import (
	"fmt"
	"slices"
	"strings"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/labels"

	"git.lastcloud.io/ronnibaslund/dezky/fleet/render/object"
	steps "git.lastcloud.io/ronnibaslund/dezky/fleet/render/plan/order"
)

const keep = "Keep the old port beside the new one until nobody asks for it: a deploy does, kubectl apply does not"

const order = "Change the Service when the new pods are ready: kubectl apply does not wait, a deploy does"

func serviceRules() []Rule {
	return []Rule{{
		ID: "service-pods",
		Doc: "A Service follows its selector at once. Where no running pod has the labels that it asks for, every request fails until pods with them are ready; " +
			"where the new pods have the labels of before too, the Service can wait for them.",
		Source: "Kubernetes, pkg/controller/endpointslice: the pods of a Service are those that match its selector",
		run: func(p *pass) {
			p.services(func(pair change, running, coming []*workload) {
				was, is := texts(get(pair.Was.Fields, "spec", "selector")), texts(get(pair.Is.Fields, "spec", "selector"))
				if len(coming) == 0 {
					p.report(Down, pair.ID, "spec.selector", "no pod has "+pairs(is)+" any more: every request fails", "Keep a workload that it selects, or take the Service and what leads to it away")
					return
				}
				if len(p.Was.selected(pair.ID.Namespace, is)) > 0 {
					return
				}
				if p.replaced(coming) && all(coming, func(w *workload) bool { return labels.SelectorFromSet(was).Matches(labels.Set(w.labels)) }) {
					p.report(First, pair.ID, "spec.selector", "no running pod has "+pairs(is)+": the new pods have it, and "+pairs(was)+" too", order)
					return
				}
				do := "Give the new pods the labels of before too (" + pairs(was) + "), change the Service when they are ready, and drop those labels in a later release"
				if !p.replaced(coming) {
					do = "Bring the new pods up beside the running ones, since the selector of what makes them is refused, and change the Service when they are ready"
				}
				p.report(Down, pair.ID, "spec.selector", "no running pod has "+pairs(is)+" until the new ones are ready: every request fails meanwhile", do)
			})
		},
	}, {
		ID:     "service-port",
		Doc:    "A Service has no endpoint at a port whose target the running pods lack. The new pods must have the old target too, or there is a gap.",
		Source: "Kubernetes, pkg/controller/endpointslice: getEndpointPorts",
		run: func(p *pass) {
			p.services(func(pair change, running, coming []*workload) {
				old := make(map[string]any)
				for _, port := range list(get(pair.Was.Fields, "spec", "ports")) {
					old[portKey(port)] = targetOf(port)
				}
				for _, port := range list(get(pair.Is.Fields, "spec", "ports")) {
					was, had := old[portKey(port)]
					target := targetOf(port)
					has := func(target any) func(*workload) bool {
						return func(w *workload) bool { _, ok := w.port(target); return ok }
					}
					if !had || !all(running, has(was)) || all(running, has(target)) {
						continue // is new, led nowhere before, or leads to them
					}
					field := fmt.Sprintf("spec.ports[%s].targetPort", portKey(port))
					why := fmt.Sprintf("the running pods have no port %v", target)
					if len(coming) > 0 && p.replaced(coming) && all(coming, has(target)) && all(coming, func(w *workload) bool { return w.answers(was, target) }) {
						p.report(First, pair.ID, field, why+": the new pods have it", order)
						continue
					}
					do := fmt.Sprintf("Let the new pods have %v and %v, change the Service when they are ready, and drop the old one in a later release", was, target)
					if len(coming) > 0 && all(coming, func(w *workload) bool { return w.answers(was, target) }) {
						do = fmt.Sprintf("Keep %v until pods that have %v are ready", was, target)
					}
					p.report(Down, pair.ID, field, why+" until new ones are ready: requests fail meanwhile", do)
				}
			})
		},
	}, {
		ID:     "service-goes",
		Doc:    "A Service that goes while a router, a Middleware or a variable still leads to it takes their requests with it.",
		Source: "Traefik, pkg/provider/kubernetes/ingress: loadService; Kubernetes documentation, 'DNS for Services and Pods'",
		run: func(p *pass) {
			users := make(map[object.ID][]string)
			use := func(service, by object.ID) {
				if p.Was.byID[service] != nil && p.Is.byID[service] == nil && !slices.Contains(users[service], by.String()) {
					users[service] = append(users[service], by.String())
				}
			}
			for _, a := range p.Is.askers() {
				for _, b := range a.backends {
					use(b.service, a.id)
				}
			}
			for _, id := range p.Is.ids {
				if w := p.Is.workloads[id]; w != nil {
					for _, c := range p.Is.addresses(w) {
						use(c.service, id)
					}
				}
			}
			for _, id := range sortedIDs(users) {
				p.report(Down, id, "", "it is no longer rendered, and still led to: the requests of "+strings.Join(users[id], ", ")+" fail when it is deleted", "Keep it as long as something leads to it")
			}
		},
	}, {
		ID: "route-port",
		Doc: "Traefik leaves a router out while the Service has no port of the number or name that the router asks for, and while no endpoint has the name of that port. " +
			"The endpoints of a port that gets another name follow a moment later, and Traefik takes up to two seconds to see it. A deploy keeps the old port beside the new one meanwhile, where a Service can have both.",
		Source: "Traefik, pkg/provider/kubernetes/ingress: loadService; pkg/provider/kubernetes/crd: loadServers, createErrorPageMiddleware; Traefik documentation, providers.providersThrottleDuration",
		run: func(p *pass) {
			before := make(map[object.ID]asker)
			for _, a := range p.Was.askers() {
				before[a.id] = a
			}
			for _, now := range p.Is.askers() {
				was, had := before[now.id]
				said := make(map[string]bool)
				for _, b := range now.backends {
					to, from := p.Is.byID[b.service], p.Was.byID[b.service]
					if !had || to == nil || from == nil || len(p.Was.selected(b.service.Namespace, texts(get(from.Fields, "spec", "selector")))) == 0 {
						continue // it led nowhere
					}
					asked, ok := was.of(b.service, b.port)
					if !ok {
						continue
					}
					p.routePort(now, from, to, asked.port, b.port, said)
				}
			}
		},
	}}
}

// asker asks for ports of Services: a router, or a Middleware.
type asker struct {
	id       object.ID
	backends []backend
	// fails says what happens while a port is not there.
	fails string
	// address reports that it goes by the Service's own address, and so by no
	// name of an endpoint.
	address bool
}

// of returns what is asked of a Service: the same port, if that is, or the one
// port that is.
func (a asker) of(service object.ID, port any) (backend, bool) {
	var all []backend
	for _, b := range a.backends {
		if b.service == service && same(b.port, port) {
			return b, true
		}
		if b.service == service && !slices.ContainsFunc(all, func(other backend) bool { return same(other.port, b.port) }) {
			all = append(all, b)
		}
	}
	if len(all) != 1 {
		return backend{}, false
	}
	return all[0], true
}

// askers returns who asks for ports, ordered by identity.
func (s *set) askers() []asker {
	var all []asker
	for _, r := range s.routers() {
		all = append(all, asker{id: r.ID, backends: r.backends, fails: "its hosts answer 404"})
	}
	s.kind(traefik, "Middleware", func(o *Object) {
		if b, ok := backendOf(o.ID.Namespace, fields(o.Fields, "spec", "errors", "service")); ok {
			all = append(all, asker{id: o.ID, backends: []backend{b}, fails: "every router that has it answers 404"})
		}
		if c, ok := callOf(o.ID.Namespace, text(o.Fields, "spec", "forwardAuth", "address")); ok {
			all = append(all, asker{id: o.ID, backends: []backend{{service: c.service, port: c.port}}, fails: "every request through it fails", address: true})
		}
	})
	return all
}

// routePort reports what a Service that changes does to who asked it for one
// port and asks for another, or the same.
func (p *pass) routePort(now asker, from, to *Object, asked, asks any, said map[string]bool) {
	port := func(of *Object, want any) map[string]any {
		for _, port := range list(get(of.Fields, "spec", "ports")) {
			if same(want, port["name"]) || same(want, port["port"]) {
				return port
			}
		}
		return nil
	}
	named := func(of *Object, name string) bool {
		return slices.ContainsFunc(list(get(of.Fields, "spec", "ports")), func(port map[string]any) bool { return text(port, "name") == name })
	}
	say := func(s Severity, why, do string) {
		if !said[why] {
			p.report(s, to.ID, "spec.ports", why, do)
		}
		said[why] = true
	}
	who := now.id.String()
	kept := steps.KeepsPorts(steps.Change{ID: to.ID, Was: &unstructured.Unstructured{Object: from.Fields}, Is: &unstructured.Unstructured{Object: to.Fields}})
	was, is := port(from, asked), port(to, asks)
	if was == nil {
		return
	}
	if is == nil {
		say(Down, fmt.Sprintf("%s asks for port %v, which goes: %s", who, asks, now.fails), "Keep the port as long as somebody asks for it")
		return
	}
	switch old, early := port(to, asked), port(from, asks); {
	case kept && old == nil && early == nil:
		say(First, fmt.Sprintf("%s asks for port %v, which is new, and asked for %v, which goes", who, asks, asked), keep)
	case kept && !now.address && !named(from, text(is, "name")):
		say(First, fmt.Sprintf("the port that %s asks for is %s, and was %s", who, portName(is), portName(was)), keep)
	case !now.address && !typed("ExternalName", to.Fields) && !named(from, text(is, "name")) && !named(to, text(was, "name")):
		do := "Add a port of the new name beside the old one, let " + who + " ask for it, and take the old one away in a later release"
		if text(was, "name") == "" { // beside another port it would need a name
			do = "Lead " + who + " to a second Service of the same pods, which has the new name, and change this one in a later release"
		}
		say(Down, fmt.Sprintf("the port that %s asks for is %s, and was %s: until its endpoints have the name too, %s, for about 2 s", who, portName(is), portName(was), now.fails), do)
	case old == nil && early == nil:
		say(Down, fmt.Sprintf("%s asks for port %v, and asked for %v, which goes: the two do not change at once, and in between, for about 2 s where a deploy applies them, %s", who, asks, asked, now.fails),
			"Let the Service have both ports for one release")
	case old == nil:
		say(First, fmt.Sprintf("port %v goes, and %s no longer asks for it", asked, who), "Apply "+who+" before the Service: a deploy does")
	case early == nil:
		say(First, fmt.Sprintf("%s asks for port %v, which is new", who, asks), "Apply the Service before "+who+": a deploy does")
	}
}

// portName is a port of a Service for people.
func portName(port map[string]any) string {
	if name := text(port, "name"); name != "" {
		return "named " + name
	}
	return "without a name"
}

// services calls do for each Service that had running pods and stays, with
// those pods and the ones that it selects then.
func (p *pass) services(do func(pair change, running, coming []*workload)) {
	for _, pair := range p.Pairs {
		if pair.Was == nil || pair.Is == nil || pair.ID.Group != "" || pair.ID.Kind != "Service" || typed("ExternalName", pair.Is.Fields) {
			continue
		}
		is := texts(get(pair.Is.Fields, "spec", "selector"))
		running := p.Was.selected(pair.ID.Namespace, texts(get(pair.Was.Fields, "spec", "selector")))
		if len(running) == 0 || len(is) == 0 || p.scaledDown(running) {
			continue // it served nothing, is led by hand, or is said of the workload
		}
		do(pair, running, p.Is.selected(pair.ID.Namespace, is))
	}
}

// scaledDown reports whether all workloads are there and have no pods: that is
// said of the workload.
func (p *pass) scaledDown(running []*workload) bool {
	return all(running, func(w *workload) bool {
		is := p.Is.workloads[w.ID]
		return is != nil && is.replicas == 0
	})
}

// replaced reports whether none of the workloads is refused for its selector.
func (p *pass) replaced(coming []*workload) bool {
	return all(coming, func(w *workload) bool {
		was := p.Was.byID[w.ID]
		return was == nil || same(get(was.Fields, "spec", "selector"), get(w.Fields, "spec", "selector"))
	})
}

// answers reports whether the pods answer at a target of before: they have it,
// or it is the number of the port that they have under another name.
func (w *workload) answers(was, target any) bool {
	if _, ok := w.port(was); ok {
		return true
	}
	n, ok := w.port(target)
	old, isNumber := number(was)
	return ok && isNumber && n == old
}

func portKey(port map[string]any) string {
	n, _ := number(port["port"])
	return strings.TrimSuffix(fmt.Sprintf("%d/%v", n, or(port["protocol"], "TCP")), "/TCP")
}

func targetOf(port map[string]any) any {
	return or(port["targetPort"], port["port"])
}

func all[T any](list []T, ok func(T) bool) bool {
	for _, v := range list {
		if !ok(v) {
			return false
		}
	}
	return true
}
