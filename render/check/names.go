package check

import (
	"fmt"
)

func nameRules() []Rule {
	return []Rule{{
		ID:     "type-and-name",
		Doc:    "An object without apiVersion, kind or name cannot be applied: typed Go objects must fill in their TypeMeta.",
		Source: "Kubernetes documentation, 'Objects In Kubernetes', Required fields",
		Run: func(p *Pass) {
			for _, o := range p.Objects() {
				if gvk := o.GetObjectKind().GroupVersionKind(); gvk.Version == "" || gvk.Kind == "" || o.GetName() == "" {
					p.Report(o, "", fmt.Sprintf("%T %q: apiVersion, kind or name is empty", o.Object, o.GetName()), "fill in TypeMeta and ObjectMeta")
				}
			}
		},
	}, {
		ID:     "name-twice",
		Doc:    "Of two objects of one kind, namespace and name, the one that is applied last overwrites the other.",
		Source: "Kubernetes documentation, 'Object Names and IDs'",
		Run: func(p *Pass) {
			for _, o := range p.Objects() {
				if first := p.Get(o.ID); first != o {
					p.Report(o, "", "stands in "+first.File+" too", "name one of them otherwise")
				}
			}
		},
	}, {
		ID:     "namespace-first",
		Doc:    "On an empty cluster an object cannot be applied before the Namespace that holds it.",
		Source: "Kubernetes documentation, 'Namespaces'",
		Run: func(p *Pass) {
			first := make(map[string]*Object)
			for _, o := range p.Objects() {
				if first[o.ID.Namespace] == nil && o.ID.Namespace != "" {
					first[o.ID.Namespace] = o
				}
			}
			for _, o := range p.Kind("", "Namespace") {
				if early := first[o.ID.Name]; early != nil && early.index < o.index {
					p.Report(o, "", "comes after "+early.File+", which needs it: on an empty cluster that file fails", "put the Namespace into an earlier file or layer")
				}
			}
		},
	}}
}
