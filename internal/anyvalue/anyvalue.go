// Package anyvalue is for tests of what reads manifests that nobody has
// checked: it must take any value, in any place, for what it is.
package anyvalue

// Each puts an odd value in the place of each value of an object, but for its
// identity, one after the other, calls do, and puts the value back.
func Each(object map[string]any, do func()) {
	var walk func(v any, set func(any))
	walk = func(v any, set func(any)) {
		set([]any{nil})
		do()
		set(v)
		switch v := v.(type) {
		case map[string]any:
			for k := range v {
				walk(v[k], func(to any) { v[k] = to })
			}
		case []any:
			for i := range v {
				walk(v[i], func(to any) { v[i] = to })
			}
		}
	}
	for k := range object {
		if k != "apiVersion" && k != "kind" && k != "metadata" {
			walk(object[k], func(to any) { object[k] = to })
		}
	}
}
