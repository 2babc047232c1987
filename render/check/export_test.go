package check

// RunInParts is Run with parts of another size.
func RunInParts(set *Set, rules []Rule, size int) Result { return judge(set, rules, size, nil) }

// Definition is for the test that makes schemas.
type Definition = definition
