// Package workflow runs the rendered pipeline: actionlint reads it, and act
// carries out its steps on this machine, for a repository that is made up. What
// the steps are about is real: git fetches over HTTP from a server that asks
// for the job's token, cmd/plan compares and comments, and the arguments of the
// deploy are read by it. Docker, make, npm and the cluster are stand-ins, which
// write down how they are called.
//
// Run it with
//
//	make e2e
package workflow
