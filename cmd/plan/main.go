// Command plan tells what a change of the manifests does to the cluster that
// runs the ones before. Its -h explains.
package main

import (
	"os"

	"git.lastcloud.io/ronnibaslund/dezky/fleet/apps"
	"git.lastcloud.io/ronnibaslund/dezky/fleet/deploy"
	"git.lastcloud.io/ronnibaslund/dezky/fleet/render/plan"
)

func main() {
	os.Exit(plan.Command{
		Name:         "plan",
		Environments: apps.Environments().Names(),
		Repositories: apps.Repositories(),
		Tree:         apps.Tree,
		Live:         deploy.Live,
	}.Run(os.Args[1:], os.Stdin, os.Stdout, os.Stderr))
}
