package check

import (
	"fmt"
	"slices"

	corev1 "k8s.io/api/core/v1"

	"git.lastcloud.io/ronnibaslund/dezky/fleet/render/object"
)

func guaranteeRules() []Rule {
	return []Rule{{
		ID:     "guarantee",
		Doc:    "What a component guarantees holds on the objects as they are applied, whoever had the last word: a second pod on sessions in memory refuses half of all calls, and an app without a variable of its sign-in signs nobody in.",
		Source: "object.About of the component, Guarantees",
		Run: func(p *Pass) {
			for _, o := range p.Objects() {
				for _, g := range o.Guarantees {
					guarantee(p, o, g)
				}
			}
		},
	}, {
		ID:       "replicas-twice",
		Severity: object.Warning,
		Doc:      "Where an autoscaler decides on the number of pods and the workload states one too, each apply sets it back, in the busiest hour as well. Two autoscalers of one workload scale nothing.",
		Source:   "Kubernetes documentation, 'Horizontal Pod Autoscaling', Migrating Deployments and StatefulSets to horizontal autoscaling; Kubernetes, pkg/controller/podautoscaler/horizontal.go: AmbiguousSelector",
		Run: func(p *Pass) {
			for id, s := range p.autoscaled() {
				for _, other := range s.others {
					p.Report(other, "spec.scaleTargetRef", s.by.ID.String()+" scales "+id.String()+" too, so neither of them does", "make it one autoscaler with the metrics of both")
				}
				o := p.Get(id)
				if o == nil {
					continue
				}
				if pods := p.podIndex().of[o]; pods != nil && pods.replicas != nil {
					p.Report(o, "spec.replicas", fmt.Sprintf("is %d, and %s decides: each apply sets it back", *pods.replicas, s.by.ID), "leave one of the two out")
				}
			}
		},
	}}
}

// guarantee reports where an object is not what its component guarantees.
func guarantee(p *Pass, o *Object, g object.Guarantee) {
	pods := p.podIndex().of[o]
	if pods == nil {
		return
	}
	a, autoscaled := p.autoscaled()[o.ID]
	switch {
	case autoscaled && g.OnePod != "" && a.most > 1:
		p.Report(a.by, "spec.maxReplicas", fmt.Sprintf("%d: lets %s have more than one pod: %s", a.most, o.ID, g.OnePod), "")
	case !autoscaled && g.OnePod != "" && replicas(pods.replicas) > 1:
		p.Report(o, "spec.replicas", fmt.Sprintf("%d: %s", *pods.replicas, g.OnePod), "")
	case !autoscaled && g.Replicas && pods.replicas == nil:
		p.Report(o, "spec.replicas", "is empty: without a number in the manifest a scaling by hand stays", "state it, or give it an autoscaler")
	}
	for _, name := range g.Env {
		if !slices.ContainsFunc(pods.spec.Containers, func(c corev1.Container) bool {
			return slices.ContainsFunc(c.Env, func(e corev1.EnvVar) bool { return e.Name == name })
		}) {
			p.Report(o, pods.at+".containers", "the variable "+name+" is gone, which the sign-in needs", "")
		}
	}
}
