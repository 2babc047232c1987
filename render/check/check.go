// Package check holds Kubernetes objects against each other: references to
// what is not there, names that stand twice, pods that their own workload
// does not select.
//
// A [Rule] is a value. It looks at objects by group and kind and not by Go
// type, so it holds for what a component makes, for what is typed out in full
// and for what was read from YAML alike. [Rules] are all there are.
//
// What exists in the cluster and is not under check is declared by
// [Elsewhere]. A finding that is meant is let pass by a [Waiver], or by an
// annotation on its object; see [WaiverAnnotation].
package check

import (
	"cmp"
	"runtime"
	"slices"
	"sync"
	"sync/atomic"

	"git.lastcloud.io/ronnibaslund/dezky/fleet/render/object"
)

// Kubernetes is the release of Kubernetes that the rules judge by.
const Kubernetes = "v1.34"

// Rule finds one kind of mistake.
type Rule struct {
	// ID is the stable name of the rule, such as service-port.
	ID string
	// Severity of what the rule finds.
	Severity object.Severity
	// Doc says what the rule prevents, in a sentence or two.
	Doc string
	// Source names what the rule follows: the title of a document, or a file
	// of the program whose behaviour it is.
	Source string
	// Run looks at the objects and reports what is wrong. It must change
	// nothing, since rules run at the same time.
	Run func(*Pass)
	// Alone reports that Run judges each object for itself, by nothing but the
	// object. Such a rule gets the objects in parts, which is faster where
	// there are many.
	Alone bool
}

// Rules returns all rules, in the order of their documentation.
func Rules() []Rule {
	return slices.Concat(
		nameRules(), kindRules(), strictRules(), metadataRules(), specRules(), podRules(), resourceRules(), roomRules(), rolloutRules(),
		referenceRules(), portRules(), networkRules(), workloadRules(), secretRules(), safeRules(), ingressRules(), traefikRules(), routeRules(), certManagerRules(), issuerRules(), schemaRules(), guaranteeRules(), waiverRules(),
	)
}

// Pass is one rule at work on a set of objects.
type Pass struct {
	*Set
	rule     Rule
	findings object.Findings
	order    []int // of the object of each finding
}

// Report reports a mistake in a field of an object. The field is empty where
// the whole object is meant, and the remedy where the problem says it.
func (p *Pass) Report(o *Object, field, problem, remedy string) {
	p.order = append(p.order, o.index)
	p.findings = append(p.findings, object.Finding{
		Rule: p.rule.ID, Severity: p.rule.Severity,
		Layer: o.Layer, File: o.File, Line: o.Line, Object: o.ID,
		Field: field, Problem: problem, Remedy: remedy,
	})
}

// Result is what rules found in a set of objects.
type Result struct {
	// Findings in the order of the objects, and of one object in the order of
	// the rules.
	Findings object.Findings
	// Waived are the findings that a waiver lets pass, in the same order.
	Waived []Waived
}

// Run puts a set of objects to the rules. Waivers stand beside those that the
// objects have in their annotations. A rule that panics is a finding of its
// own.
func Run(set *Set, rules []Rule, waivers ...Waiver) Result {
	return judge(set, rules, partSize, waivers)
}

func judge(set *Set, rules []Rule, partSize int, waivers []Waiver) Result {
	passes := run(set, rules, partSize)
	type placed struct {
		order   int
		finding object.Finding
	}
	var all []placed
	var result Result
	waives := newWaives(set, rules, waivers)
	for i := range passes {
		for k, f := range passes[i].findings {
			all = append(all, placed{passes[i].order[k], f})
		}
	}
	slices.SortStableFunc(all, func(a, b placed) int { return cmp.Compare(a.order, b.order) })
	for i := range all {
		if reason, ok := waives.waive(all[i].finding); ok {
			result.Waived = append(result.Waived, Waived{all[i].finding, reason})
			continue
		}
		result.Findings = append(result.Findings, all[i].finding)
	}
	result.Findings = append(result.Findings, waives.idle()...)
	return result
}

// partSize is how many objects a rule gets at once that judges each for itself:
// as many as a core's cache holds, so that the next rule finds them there.
const partSize = 512

// run puts the objects to the rules, on all cores, and returns a pass for each
// rule, or for each of its parts. They are in the order of the rules, and those
// of one rule in the order of the objects.
func run(set *Set, rules []Rule, partSize int) []*Pass {
	var passes []*Pass
	var tasks [][]*Pass // passes that are made one after the other
	parts := set.parts(partSize)
	alone := make([][]*Pass, len(parts))
	for _, r := range rules {
		if !r.Alone {
			p := &Pass{Set: set, rule: r}
			passes, tasks = append(passes, p), append(tasks, []*Pass{p})
			continue
		}
		for i, part := range parts {
			p := &Pass{Set: part, rule: r}
			passes, alone[i] = append(passes, p), append(alone[i], p)
		}
	}
	tasks = append(tasks, alone...)
	var next atomic.Int64
	var wg sync.WaitGroup
	for range min(runtime.GOMAXPROCS(0), len(tasks)) {
		wg.Go(func() {
			for i := int(next.Add(1)) - 1; i < len(tasks); i = int(next.Add(1)) - 1 {
				for _, p := range tasks[i] {
					p.run()
				}
			}
		})
	}
	wg.Wait()
	return passes
}

// broken reports that the rule itself cannot work.
func (p *Pass) broken(err error) {
	p.order = append(p.order, 0)
	p.findings = append(p.findings, object.Finding{Rule: p.rule.ID, Problem: "the rule " + p.rule.ID + ": " + err.Error()})
}

func (p *Pass) run() {
	err := func() (err error) {
		defer object.Recovered(&err, "")
		p.rule.Run(p)
		return nil
	}()
	if err != nil {
		p.broken(err)
	}
}
