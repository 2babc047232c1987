package check

import (
	"fmt"
	"path"
)

func nameRules() []Rule {
	return []Rule{{
		ID:     "type-and-name",
		Doc:    "An object without apiVersion, kind or name cannot be applied: typed Go objects must fill in their TypeMeta.",
		Source: "Kubernetes documentation, 'Objects In Kubernetes', Required fields",
		Alone:  true,
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
			for _, o := range p.twice {
				p.Report(o, "", "stands in "+p.Get(o.ID).File+" too", "name one of them otherwise")
			}
		},
	}, {
		ID:     "namespace-first",
		Doc:    "On an empty cluster an object cannot be applied before the Namespace that holds it. Outside a Tree only the files of one folder are compared: in which order folders are applied is not known.",
		Source: "Kubernetes documentation, 'Namespaces'",
		Run: func(p *Pass) {
			type place struct{ namespace, folder string }
			in := func(namespace string, o *Object) place {
				if o.Layer != "" {
					return place{namespace, ""}
				}
				return place{namespace, path.Dir(o.File)}
			}
			if len(p.Kind("", "Namespace")) == 0 {
				return
			}
			first := make(map[place]*Object)
			for _, o := range p.Objects() {
				if at := in(o.ID.Namespace, o); o.ID.Namespace != "" && first[at] == nil {
					first[at] = o
				}
			}
			for _, o := range p.Kind("", "Namespace") {
				if early := first[in(o.ID.Name, o)]; early != nil && early.index < o.index {
					p.Report(o, "", "comes after "+early.File+", which needs it: on an empty cluster that file fails", "put the Namespace into an earlier file or layer")
				}
			}
		},
	}}
}
