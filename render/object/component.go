package object

// Component is a value that knows its Kubernetes objects.
type Component interface {
	// Objects makes the objects anew: the caller owns them, and may call it
	// again, also from several goroutines. The error holds all mistakes.
	Objects() ([]Object, error)
	// About returns what the component says of itself beside its objects.
	About() About
}

// About is what a component says of itself beside its objects. The zero value
// says nothing. A component that wraps another one embeds it, or passes its
// About on.
type About struct {
	// Claims are what the component must have for itself, such as a key prefix
	// in a Redis. Two equal claims in one Tree are refused.
	Claims []string
	// Notes are what its operator should know and no error, a sentence each.
	Notes []string
	// Pending are values that do not exist yet, and what each waits for, a
	// sentence each.
	Pending []string
	// Assumed are values that nobody has confirmed.
	Assumed []Assumption
	// Guarantees are what the component promises of its workloads. They are
	// held against the final objects, whoever changes them or adds to them.
	Guarantees []Guarantee
	// ReadElsewhere reports that the ConfigMaps of the component are read by
	// something that is not in the Tree.
	ReadElsewhere bool
}

// Guarantee is what a component promises of one of its workloads.
type Guarantee struct {
	// Of is the workload.
	Of ID
	// OnePod says why there is never more than one pod. Empty where there may
	// be more.
	OnePod string
	// Replicas reports that the number of pods is stated, by the workload or by
	// an autoscaler, so that no scaling by hand stays.
	Replicas bool
	// Env is the variables of the sign-in, which a container of the pods has.
	Env []string
}
