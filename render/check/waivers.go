package check

import (
	"fmt"
	"strings"

	"git.lastcloud.io/ronnibaslund/dezky/fleet/render/object"
)

// WaiverAnnotation begins the key of an annotation that lets a finding of its
// object pass. The ID of the rule is the rest of the key, and the reason is the
// value:
//
//	fleet.dezky.eu/waive-reference: the operator of the database makes the Secret
const WaiverAnnotation = object.AnnotationPrefix + "waive-"

// Waiver lets what a rule finds in an object pass.
type Waiver struct {
	// Rule is the ID of the rule.
	Rule string
	// Object in which it finds something.
	Object object.ID
	// Reason why that is meant. Without one, nothing passes.
	Reason string
}

// Waived is a finding that a waiver lets pass.
type Waived struct {
	object.Finding
	// Reason of the waiver.
	Reason string
}

const waiverRule = "waiver"

func waiverRules() []Rule {
	return []Rule{{
		ID:       waiverRule,
		Severity: object.Note,
		Doc:      "A waiver that lets nothing pass hides the next mistake: nothing is found any more where it stands, its rule does not exist, or it gives no reason and is not heeded.",
		Source:   "The waivers of fleet: an annotation " + WaiverAnnotation + "RULE with the reason, or a value in the Tree",
		Run:      func(*Pass) {}, // Run reports it, when all rules are done
	}, {
		ID:       "fleet-annotation",
		Severity: object.Warning,
		Doc:      "An annotation that fleet does not read does nothing: with a misspelt before-release, a migration runs beside the release that needs it.",
		Source:   "The annotations of fleet: " + object.BeforeReleaseAnnotation + " with the value true, for a Job, waivers and allowances",
		Alone:    true,
		Run:      fleetAnnotations,
	}}
}

func fleetAnnotations(p *Pass) {
	for _, o := range p.Objects() {
		for _, r := range object.Reasons(o.GetAnnotations(), object.AnnotationPrefix) {
			if strings.HasPrefix(r.Key, WaiverAnnotation) || strings.HasPrefix(r.Key, object.AllowanceAnnotation) {
				continue
			}
			field, value := "metadata.annotations["+r.Key+"]", o.GetAnnotations()[r.Key]
			switch {
			case r.Key != object.BeforeReleaseAnnotation:
				p.Report(o, field, "fleet reads no such annotation", "name "+object.BeforeReleaseAnnotation+", "+WaiverAnnotation+"RULE or "+object.AllowanceAnnotation+"RULE, or leave it out")
			case o.ID.Group != "batch" || o.ID.Kind != "Job":
				p.Report(o, field, "only a Job is run before a release", "leave it out")
			case value != "true":
				p.Report(o, field, fmt.Sprintf("%q: the Job runs before the release only where it says true", value), "write true, or leave it out")
			}
		}
	}
}

// waives are the waivers of one run.
type waives struct {
	rules map[string]bool // that exist, and whether they run
	list  []waive
	of    map[waived]int // index in the list
}

type waive struct {
	Waiver
	at   object.Finding // where it stands
	used bool
}

type waived struct {
	rule   string
	object object.ID
}

func newWaives(set *Set, rules []Rule, waivers []Waiver) *waives {
	w := &waives{rules: make(map[string]bool), of: make(map[waived]int)}
	for _, r := range Rules() {
		w.rules[r.ID] = false
	}
	for _, r := range rules {
		w.rules[r.ID] = true
	}
	add := func(waiver Waiver, at object.Finding) {
		if _, ok := w.of[waived{waiver.Rule, waiver.Object}]; !ok {
			w.of[waived{waiver.Rule, waiver.Object}] = len(w.list)
		}
		at.Rule, at.Severity = waiverRule, object.Note
		w.list = append(w.list, waive{Waiver: waiver, at: at})
	}
	for _, o := range set.Objects() {
		for _, r := range object.Reasons(o.GetAnnotations(), WaiverAnnotation) {
			add(Waiver{Rule: r.Rule, Object: o.ID, Reason: r.Text},
				object.Finding{Layer: o.Layer, File: o.File, Line: o.Line, Object: o.ID, Field: "metadata.annotations[" + r.Key + "]"})
		}
	}
	for _, waiver := range waivers {
		waiver.Reason = strings.TrimSpace(waiver.Reason)
		add(waiver, object.Finding{Object: waiver.Object, Field: "the waiver of " + waiver.Rule})
	}
	return w
}

// waive returns the reason for which a finding passes.
func (w *waives) waive(f object.Finding) (reason string, ok bool) {
	i, ok := w.of[waived{f.Rule, f.Object}]
	if !ok {
		return "", false
	}
	w.list[i].used = true
	return w.list[i].Reason, w.list[i].Reason != ""
}

// idle reports the waivers that let nothing pass.
func (w *waives) idle() object.Findings {
	var findings object.Findings
	for _, l := range w.list {
		f := l.at
		runs, exists := w.rules[l.Rule]
		switch {
		case !exists:
			f.Problem, f.Remedy = "there is no rule "+l.Rule, "remove the waiver, or name the rule that is meant"
		case l.Reason == "":
			f.Problem, f.Remedy = "gives no reason, and lets nothing pass", "say why what "+l.Rule+" finds is meant"
		case runs && !l.used:
			f.Problem, f.Remedy = l.Rule+" finds nothing here any more", "remove the waiver"
		default:
			continue
		}
		findings = append(findings, f)
	}
	return findings
}
