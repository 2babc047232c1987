package render

import (
	"git.lastcloud.io/ronnibaslund/dezky/fleet/render/check"
	"git.lastcloud.io/ronnibaslund/dezky/fleet/render/object"
)

// facts are what is known of one file: its objects, what its components say
// of themselves, and what is wrong with it.
type facts struct {
	objects []*check.Object
	claims  []claim
	notes   []string
	pending []string
	assumed []Assumption
	errs    object.Findings

	// readElsewhere is what the component at hand says of its ConfigMaps.
	readElsewhere bool
}

// claim is something that only one may have.
type claim struct{ by, what string }

// component takes down what a component says of itself; by is the name of its
// first object.
func (f *facts) component(c Component, by string) {
	if c, ok := c.(interface{ Claims() []string }); ok {
		for _, what := range c.Claims() {
			f.claims = append(f.claims, claim{by: by, what: what})
		}
	}
	if c, ok := c.(interface{ Notes() []string }); ok {
		f.notes = append(f.notes, c.Notes()...)
	}
	if c, ok := c.(interface{ PendingValues() []string }); ok {
		f.pending = append(f.pending, c.PendingValues()...)
	}
	f.assumed = append(f.assumed, object.Assumptions(c)...)
	reader, ok := c.(interface{ ReadElsewhere() bool })
	f.readElsewhere = ok && reader.ReadElsewhere()
}

// read says which keys of the ConfigMaps of the component at hand are read by
// what is not in the Tree: all or none.
func (f *facts) read() func(string) bool {
	if !f.readElsewhere {
		return nil
	}
	return func(string) bool { return true }
}
