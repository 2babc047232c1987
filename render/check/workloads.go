package check

import (
	"fmt"
)

func workloadRules() []Rule {
	return []Rule{{
		ID:     "selector",
		Doc:    "The API server refuses a workload whose selector misses the labels of its own pod template. A selector cannot change later, so it may not hold what a release changes.",
		Source: "Kubernetes documentation, 'Deployments', Selector and Label selector updates",
		Alone:  true,
		Run: func(p *Pass) {
			p.eachPods(func(pods *pods) {
				if !pods.selects {
					return
				}
				s := pods.selector
				if s == nil || len(s.MatchLabels)+len(s.MatchExpressions) == 0 {
					p.Report(pods.of, "spec.selector", "is empty", "select the labels of the pod template")
					return
				}
				for _, k := range sortedKeys(s.MatchLabels) {
					field := "spec.selector.matchLabels[" + k + "]"
					if want := s.MatchLabels[k]; pods.labels[k] != want {
						p.Report(pods.of, field, fmt.Sprintf("%q is not the label of the pod template (%q)", want, pods.labels[k]), "")
					}
					if k == "app.kubernetes.io/version" {
						p.Report(pods.of, field, "a selector cannot change, and a version does", "select the name only")
					}
				}
			})
		},
	}}
}
