package render

import (
	"fmt"
	"slices"

	"git.lastcloud.io/ronnibaslund/dezky/fleet/render/check"
	"git.lastcloud.io/ronnibaslund/dezky/fleet/render/object"
)

// check holds the files against each other. The error is an object.Findings
// with every mistake, in the order of the files.
func (t Tree) check(jobs []job, found []facts) (Report, error) {
	report := Report{Files: len(jobs), Notes: slices.Clone(t.Notes)}
	elsewhere, secretsPending, mistakes := t.elsewhere()

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
	report.Pending = append(report.Pending, secretsPending...)
	report.Assumed = object.Distinct(append(report.Assumed, t.Assumed...))
	for _, a := range report.Assumed {
		switch {
		case a.What == "" || a.Confirm == "":
			mistakes = append(mistakes, object.Finding{Problem: fmt.Sprintf("assumption %q: say what is assumed, and the command or the place that confirms it", a.What)})
		case t.Confirmed:
			mistakes = append(mistakes, object.Finding{Problem: a.String()})
		}
	}
	for _, f := range check.Run(check.NewSet(objects, elsewhere), check.Rules(), t.Waivers...).Findings {
		if f.Severity == object.Error {
			mistakes = append(mistakes, f)
		} else {
			report.Notes = append(report.Notes, f.Error())
		}
	}
	return report, mistakes.Err()
}

// elsewhere returns the Secrets that people fill in and what else is not
// rendered, what is pending in the Secrets, and what is wrong with their
// contracts.
func (t Tree) elsewhere() ([]*check.Elsewhere, []string, object.Findings) {
	var all []*check.Elsewhere
	var pending []string
	var mistakes object.Findings
	seen := make(map[object.ID]bool, len(t.Secrets))
	for _, s := range t.Secrets {
		id := object.ID{Kind: "Secret", Namespace: s.Namespace, Name: s.Name}
		err := func() (err error) {
			// A Format may be of the layer's own.
			defer object.Recovered(&err, id.String()+": ")
			return s.Validate()
		}()
		if err == nil && seen[id] {
			err = object.Finding{Object: id, Problem: "there are two contracts for it", Remedy: "make them one"}
		}
		if err != nil {
			mistakes = append(mistakes, object.FindingsOf(err)...)
			continue
		}
		seen[id] = true
		e := check.Elsewhere{ID: id, Contract: true, Read: s.ReadElsewhere}
		for _, k := range s.Keys {
			e.Keys = append(e.Keys, k.Name)
		}
		slices.Sort(e.Keys)
		pending = append(pending, s.Pending()...)
		all = append(all, &e)
	}
	for i := range t.Elsewhere {
		all = append(all, &t.Elsewhere[i])
	}
	return all, pending, mistakes
}
