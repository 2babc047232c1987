package check

import (
	corev1 "k8s.io/api/core/v1"
)

func secretRules() []Rule {
	return []Rule{{
		ID:     "secret-value",
		Doc:    "A rendered Secret with a value puts the value into the repository, and into the history of the repository for good.",
		Source: "Kubernetes documentation, 'Good practices for Kubernetes Secrets'",
		Run: func(p *Pass) {
			for _, o := range p.Kind("", "Secret") {
				if s := As[*corev1.Secret](o); s != nil && len(s.Data)+len(s.StringData) > 0 {
					p.Report(o, "data", "a rendered Secret must hold no value", "describe it by a contract, and fill it in outside")
				}
			}
		},
	}}
}
