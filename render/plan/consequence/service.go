package consequence

import (
	"fmt"
	"strings"

	"k8s.io/apimachinery/pkg/labels"
)

const order = "Change the Service when the new pods are ready: kubectl apply does not wait, a deploy does"

func serviceRules() []Rule {
	return []Rule{{
		ID: "service-pods",
		Doc: "A Service follows its selector at once. Where no running pod has the labels that it asks for, every request fails until pods with them are ready; " +
			"where the new pods have the labels of before too, the Service can wait for them.",
		Source: "Kubernetes, pkg/controller/endpointslice: the pods of a Service are those that match its selector",
		Run: func(p *Pass) {
			p.services(func(pair Pair, running, coming []*workload) {
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
		Run: func(p *Pass) {
			p.services(func(pair Pair, running, coming []*workload) {
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
	}}
}

// services calls do for each Service that had running pods and stays, with
// those pods and the ones that it selects then.
func (p *Pass) services(do func(pair Pair, running, coming []*workload)) {
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
func (p *Pass) scaledDown(running []*workload) bool {
	return all(running, func(w *workload) bool {
		is := p.Is.workloads[w.ID]
		return is != nil && is.replicas == 0
	})
}

// replaced reports whether none of the workloads is refused for its selector.
func (p *Pass) replaced(coming []*workload) bool {
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
