// Package consequence says what a change of manifests does to a cluster that
// runs the ones before: what the API server refuses, what loses its traffic,
// who is signed out, what must be there first, what restarts, what stays
// behind. It reads two sets of objects and no cluster.
//
// A [Rule] is a value. [Rules] are all there are, and [Of] puts two sets to
// them. What cannot be read from the manifests, such as a Secret that is
// filled in by hand, is not guessed at: nothing is said of it.
package consequence

import (
	"cmp"
	"fmt"
	"slices"
	"strings"

	"git.lastcloud.io/ronnibaslund/dezky/fleet/render/object"
)

// Severity of a consequence. The zero value is the worst.
type Severity int

// The severities, worst first.
const (
	// Refused by the API server, whatever the order.
	Refused Severity = iota
	// Down: requests fail meanwhile, or from then on.
	Down
	// SignedOut: users must sign in again.
	SignedOut
	// First: something must be there, or be done, before.
	First
	// Weaker: less is watched, limited or kept apart than before.
	Weaker
	// LeftBehind: an object stays in the cluster that is no longer rendered.
	LeftBehind
	// Restarts: pods are replaced, or keep what they have read.
	Restarts
)

var severities = [...]string{"refused", "down", "signed-out", "first", "weaker", "left-behind", "restarts"}

// String returns the name of the severity, such as signed-out.
func (s Severity) String() string {
	if s < 0 || int(s) >= len(severities) {
		return fmt.Sprintf("Severity(%d)", int(s))
	}
	return severities[s]
}

// ParseSeverity returns the severity of that name.
func ParseSeverity(name string) (Severity, error) {
	if i := slices.Index(severities[:], name); i >= 0 {
		return Severity(i), nil
	}
	return 0, fmt.Errorf("%q is no severity: say %s", name, strings.Join(severities[:], ", "))
}

// Consequence is something that the change does.
type Consequence struct {
	// Rule that says it.
	Rule string
	// Severity of the consequence.
	Severity Severity
	// In is the folder of the rendering that it is about, where several stand
	// side by side. A rule leaves it empty.
	In string
	// Object that it is about.
	Object object.ID
	// Field of the object. Empty where the whole object is meant.
	Field string
	// Why it is so, as a sentence without its full stop.
	Why string
	// Do is what to do about it. Empty where nothing needs to be done.
	Do string
}

// String returns the consequence in one line, without its severity.
func (c Consequence) String() string {
	s := c.Object.String() + ": "
	if c.In != "" {
		s = c.In + ": " + s
	}
	if c.Field != "" {
		s += c.Field + ": "
	}
	s += c.Why + "."
	if c.Do != "" {
		s += " " + c.Do + "."
	}
	return strings.NewReplacer("\r", `\r`, "\n", `\n`).Replace(s)
}

// Rule finds one kind of consequence.
type Rule struct {
	// ID is the stable name of the rule, such as immutable-field.
	ID string
	// Doc says what the rule finds, in a sentence or two.
	Doc string
	// Source names what the rule follows: the title of a document, or a file
	// of the program whose behaviour it is.
	Source string
	// run looks at the change and reports what it does. It changes nothing.
	run func(*pass)
}

// Rules returns all rules, by the severity of what they find.
func Rules() []Rule {
	return slices.Concat(refusedRules(), rightRules(), serviceRules(), routeRules(), networkRules(), downRules(), sessionRules(), firstRules(), layerRules(), weakerRules(), doorRules(), leftRules(), restartRules())
}

// pass is one rule at work on a change.
type pass struct {
	// Was and Is are the objects before and after.
	Was, Is *set
	// Pairs are the objects of both sets, each once, ordered by identity.
	Pairs []change

	rule  string
	found []Consequence
}

// change is an object before and after. One of them is nil where the object
// comes or goes.
type change struct {
	ID      object.ID
	Was, Is *Object
}

// report adds a consequence.
func (p *pass) report(s Severity, id object.ID, field, why, do string) {
	p.found = append(p.found, Consequence{Rule: p.rule, Severity: s, Object: id, Field: field, Why: why, Do: do})
}

// Of returns what the change from one set of objects to another does, worst
// first, and of one severity by object. Where an identity stands more than
// once in a set, the last counts, as when the set is applied.
func Of(was, is []Object) []Consequence {
	p := &pass{Was: newSet(was), Is: newSet(is)}
	for id, o := range p.Was.byID {
		p.Pairs = append(p.Pairs, change{id, o, p.Is.byID[id]})
	}
	for id, o := range p.Is.byID {
		if p.Was.byID[id] == nil {
			p.Pairs = append(p.Pairs, change{id, nil, o})
		}
	}
	slices.SortFunc(p.Pairs, func(a, b change) int { return a.ID.Compare(b.ID) })
	for _, rule := range Rules() {
		p.rule = rule.ID
		rule.run(p)
	}
	slices.SortStableFunc(p.found, func(a, b Consequence) int {
		return cmp.Or(cmp.Compare(a.Severity, b.Severity), a.Object.Compare(b.Object))
	})
	return p.found
}
