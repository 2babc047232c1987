package consequence

import (
	"fmt"
	"slices"
	"strings"

	"git.lastcloud.io/ronnibaslund/dezky/fleet/render/object"
)

// Allowance lets consequences pass that are meant, such as a host that is
// given up.
type Allowance struct {
	// Rule that says them, such as host.
	Rule string
	// Object that they are about, as [object.ID.String] has it: "Kind name" or
	// "Kind namespace/name".
	Object string
	// Reason why they are meant. Without one, nothing passes.
	Reason string
}

// String returns the allowance as flags have it, such as
// "host=Ingress apps/web".
func (a Allowance) String() string { return a.Rule + "=" + a.Object }

// Allowances are the value of a flag that may be given again, each time with
// one allowance or several with commas between.
type Allowances []Allowance

// String implements flag.Value.
func (a *Allowances) String() string {
	all := make([]string, len(*a))
	for i, one := range *a {
		all[i] = one.String()
	}
	return strings.Join(all, ", ")
}

// Set implements flag.Value.
func (a *Allowances) Set(value string) error {
	for s := range strings.SplitSeq(value, ",") {
		rule, about, ok := strings.Cut(s, "=")
		if rule, about = strings.TrimSpace(rule), strings.TrimSpace(about); !ok || about == "" || !exists(rule) {
			return fmt.Errorf("%q: must be the rule in brackets behind a consequence, =, and the object, such as 'host=Ingress apps/web'", s)
		}
		*a = append(*a, Allowance{rule, about, "-allow says so"})
	}
	return nil
}

func exists(rule string) bool {
	return slices.ContainsFunc(Rules(), func(r Rule) bool { return r.ID == rule })
}

// Allowed is a consequence that an allowance lets pass.
type Allowed struct {
	Consequence
	// Reason of the allowance.
	Reason string
}

// AllowStated takes out of all consequences of a change those that the objects
// themselves say are meant: by an annotation of the new object or, of one that
// goes, of the old,
//
//	fleet.dezky.eu/allow-host: the shop is closed for good
//
// It returns a note for each of a new object that lets nothing pass.
func AllowStated(all []Consequence, was, is []Object) (rest []Consequence, allowed []Allowed, notes []string) {
	stated := func(objects []Object, but map[object.ID]bool) (all []Allowance) {
		for _, o := range objects {
			if but[o.ID] {
				continue
			}
			for _, r := range object.Reasons(texts(get(o.Fields, "metadata", "annotations")), object.AllowanceAnnotation) {
				all = append(all, Allowance{r.Rule, o.ID.String(), r.Text})
			}
		}
		return all
	}
	stay := make(map[object.ID]bool, len(is))
	for _, o := range is {
		stay[o.ID] = true
	}
	rest, allowed, notes = Allow(all, stated(is, nil))
	rest, gone, _ := Allow(rest, stated(was, stay))
	return rest, append(allowed, gone...), notes
}

// Allow takes the consequences that are meant out of all, and returns a note
// for each allowance that lets nothing pass.
func Allow(all []Consequence, allowances []Allowance) (rest []Consequence, allowed []Allowed, notes []string) {
	used := make([]bool, len(allowances))
	for _, c := range all {
		i := slices.IndexFunc(allowances, func(a Allowance) bool {
			return a.Rule == c.Rule && a.Object == c.Object.String() && strings.TrimSpace(a.Reason) != ""
		})
		if i < 0 {
			rest = append(rest, c)
			continue
		}
		used[i] = true
		allowed = append(allowed, Allowed{c, strings.TrimSpace(allowances[i].Reason)})
	}
	for i, a := range allowances {
		switch {
		case !exists(a.Rule):
			notes = append(notes, fmt.Sprintf("the allowance %s: there is no rule %s", a, a.Rule))
		case strings.TrimSpace(a.Reason) == "":
			notes = append(notes, fmt.Sprintf("the allowance %s gives no reason, and lets nothing pass", a))
		case !used[i]:
			notes = append(notes, fmt.Sprintf("the allowance %s lets nothing pass: there is no such consequence, remove it", a))
		}
	}
	return rest, allowed, notes
}
