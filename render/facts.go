package render

import (
	"git.lastcloud.io/ronnibaslund/dezky/fleet/render/check"
	"git.lastcloud.io/ronnibaslund/dezky/fleet/render/object"
)

// facts are what is known of one file: its objects, what its components say
// of themselves, and what is wrong with it.
type facts struct {
	objects []*check.Object
	said    []said
	errs    object.Findings
}

// said is what a component says of itself; by is the name of its first object.
type said struct {
	by string
	object.About
}
