package check

// Definition is for the test that makes schemas.
type Definition = definition
