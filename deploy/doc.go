// Package deploy brings one layer of a [render.Tree] into a cluster: it shows
// what changes, applies it in an order that is safe over a tier that runs,
// waits until it is ready, says why where it is not, removes what is no longer
// rendered, and goes back to an earlier release.
//
// It is the one room that writes to a cluster. Server-side apply, comparing,
// taking over fields and waiting are those of fluxcd/pkg/ssa and kstatus, the
// lock is client-go's leader election on a Lease; what is decided here is the
// order, what may go, and the words.
//
// A layer's state is kept in the cluster, in [render.Layer.Namespace]:
//
//	Lease      fleet-LAYER             who deploys now; it runs out by itself
//	ConfigMap  fleet-LAYER-inventory   what earlier releases applied
//	ConfigMap  fleet-LAYER-release-N   the last ten releases with their manifests
//
// [Command] makes a program of it.
package deploy
