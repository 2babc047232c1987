package object

import "slices"

// Assumption is a value that a definition holds though nobody has confirmed
// it. Until somebody does, it is rendered in a form that can do no harm.
type Assumption struct {
	// What is assumed, and of which object: "WebApp shop/web: the paths of its
	// probes". Two of one What are one assumption.
	What string
	// Value that is assumed. Empty where What says it all.
	Value string
	// Confirm is the command, or the place, that confirms the value or shows
	// the right one.
	Confirm string
	// Until says what is rendered until then, and why that can do no harm.
	Until string
	// Buys says what changes once the value is confirmed.
	Buys string
}

// String returns the assumption as one line, with what confirms it.
func (a Assumption) String() string {
	s := a.What
	if a.Value != "" {
		s += ": " + a.Value
	}
	return s + ", assumed until confirmed by " + a.Confirm
}

// Distinct returns the assumptions without those whose What stands earlier in
// the list.
func Distinct(list []Assumption) []Assumption {
	seen := make(map[string]bool, len(list))
	return slices.DeleteFunc(slices.Clone(list), func(a Assumption) bool {
		again := seen[a.What]
		seen[a.What] = true
		return again
	})
}
