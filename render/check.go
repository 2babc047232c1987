package render

import (
	"fmt"
	"maps"
	"slices"

	"git.lastcloud.io/ronnibaslund/dezky/fleet/render/check"
	"git.lastcloud.io/ronnibaslund/dezky/fleet/render/object"
)

// check holds the files against each other. The error is an object.Findings
// with every mistake, in the order of the files.
func (t Tree) check(jobs []job, found []facts) (Report, error) {
	report := Report{Files: len(jobs), Notes: slices.Clone(t.Notes)}
	elsewhere, mistakes := t.elsewhere()

	claimed := make(map[string]string)
	var objects []*check.Object
	for i := range found {
		f := &found[i]
		objects = append(objects, f.objects...)
		for _, e := range f.errs {
			e.Layer, e.File = jobs[i].layer, jobs[i].path
			mistakes = append(mistakes, e)
		}
		for _, s := range f.said {
			report.Notes = append(report.Notes, s.Notes...)
			report.Pending = append(report.Pending, s.Pending...)
			report.Assumed = append(report.Assumed, s.Assumed...)
			by := jobs[i].path
			if s.by != "" {
				by += ": " + s.by
			}
			for _, what := range s.Claims {
				if first, ok := claimed[what]; ok {
					mistakes = append(mistakes, object.Finding{Problem: by + ": uses " + what + ", and so does " + first, Remedy: "each needs its own"})
					continue
				}
				claimed[what] = by
			}
		}
	}
	report.Objects = len(objects)
	for _, s := range t.Secrets {
		report.Pending = append(report.Pending, s.PendingValues()...)
	}
	report.Assumed = object.Distinct(append(report.Assumed, t.Assumed...))
	for _, a := range report.Assumed {
		switch {
		case a.What == "" || a.Confirm == "":
			mistakes = append(mistakes, object.Finding{Problem: fmt.Sprintf("assumption %q: say what is assumed, and the command or the place that confirms it", a.What)})
		case t.Confirmed:
			mistakes = append(mistakes, object.Finding{Problem: a.String()})
		}
	}
	for _, f := range check.Run(check.NewSet(objects, elsewhere), check.Rules()) {
		if f.Severity == object.Error {
			mistakes = append(mistakes, f)
		} else {
			report.Notes = append(report.Notes, f.Error())
		}
	}
	return report, mistakes.Err()
}

// elsewhere returns the Secrets that people fill in.
func (t Tree) elsewhere() ([]*check.Elsewhere, object.Findings) {
	var all []*check.Elsewhere
	var mistakes object.Findings
	seen := make(map[object.ID]bool, len(t.Secrets))
	for _, s := range t.Secrets {
		o := s.Object()
		id := object.ID{Kind: "Secret", Namespace: o.Namespace, Name: o.Name}
		if seen[id] {
			mistakes = append(mistakes, object.Finding{Object: id, Problem: "there are two contracts for it", Remedy: "make them one"})
			continue
		}
		seen[id] = true
		keys := slices.AppendSeq(slices.Collect(maps.Keys(o.StringData)), maps.Keys(o.Data))
		slices.Sort(keys)
		all = append(all, &check.Elsewhere{ID: id, Keys: slices.Compact(keys), Contract: true, Read: s.ReadElsewhere})
	}
	return all, mistakes
}
