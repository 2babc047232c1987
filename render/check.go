package render

import (
	"errors"
	"fmt"
	"slices"

	"git.lastcloud.io/ronnibaslund/dezky/fleet/render/object"
)

// check holds the files against each other. The error has every mistake, in
// the order of the files.
func (t Tree) check(jobs []job, found []facts) (Report, error) {
	report := Report{Files: len(jobs), Notes: slices.Clone(t.Notes)}
	known := newIndex(len(t.Secrets), found)
	var errs []error
	at := func(i int, err error) { errs = append(errs, fmt.Errorf("%s: %w", jobs[i].path, err)) }

	secrets := make([]id, len(t.Secrets))
	for i, s := range t.Secrets {
		var err error
		if secrets[i], err = known.secret(s.Object()); err != nil {
			errs = append(errs, err)
		}
	}
	claimed := make(map[string]string)
	for i := range found {
		f := &found[i]
		report.Objects += len(f.objects)
		for _, err := range f.errs {
			at(i, err)
		}
		report.Notes = append(report.Notes, f.notes...)
		report.Pending = append(report.Pending, f.pending...)
		report.Assumed = append(report.Assumed, f.assumed...)
		for _, o := range f.objects {
			if first, ok := known.add(o, i); !ok {
				at(i, fmt.Errorf("%s: stands in %s too: name one of them otherwise", o, jobs[first].path))
			}
			if file, ok := known.early[o.name]; o.kind == "Namespace" && ok {
				at(i, fmt.Errorf("%s: comes after %s, which needs it: on an empty cluster that file fails; put the Namespace into an earlier file or layer", o, jobs[file].path))
			}
		}
		known.keys(f)
		for _, c := range f.claims {
			by := jobs[i].path
			if c.by != "" {
				by += ": " + c.by
			}
			if first, ok := claimed[c.what]; ok {
				errs = append(errs, fmt.Errorf("%s: uses %s, and so does %s: each needs its own", by, c.what, first))
				continue
			}
			claimed[c.what] = by
		}
	}

	for i := range found {
		for _, u := range found[i].uses {
			if err := known.resolve(u); err != nil {
				at(i, err)
			}
		}
	}
	for _, s := range t.Secrets {
		report.Pending = append(report.Pending, s.PendingValues()...)
	}
	report.Assumed = object.Distinct(append(report.Assumed, t.Assumed...))
	for _, a := range report.Assumed {
		switch {
		case a.What == "" || a.Confirm == "":
			errs = append(errs, fmt.Errorf("assumption %q: say what is assumed, and the command or the place that confirms it", a.What))
		case t.Confirmed:
			errs = append(errs, fmt.Errorf("%s", a))
		}
	}
	report.Notes = append(report.Notes, known.orphans(t.Secrets, secrets, found)...)
	return report, errors.Join(errs...)
}
