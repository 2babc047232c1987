// Package e2e applies the rendered manifests to a real kube-apiserver, for
// what only that can say: whether every object is valid and complete, whether
// one pass is enough on an empty cluster, and whether the identity of the
// pipeline may do its work and nothing else. And it deploys small tiers with
// the controllers, the scheduler and the nodes of kwok beside it, where
// rollouts progress or fail as a stage says, with the rights of the deployer.
// And it holds the checks to the API server, over manifests that are broken one
// thing at a time, and to Traefik, which serves what they pass and nothing that
// they refuse.
//
// It is a module of its own, since it builds etcd, Kubernetes, kwok and Traefik
// from their sources, which takes minutes the first time. Run it with
//
//	make e2e
package e2e
