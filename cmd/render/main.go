// Command render writes the Kubernetes manifests of the dezky app tier.
package main

import (
	"os"

	"git.lastcloud.io/ronnibaslund/dezky/fleet/apps"
	"git.lastcloud.io/ronnibaslund/dezky/fleet/render"
)

func main() {
	os.Exit(render.Command{
		Name:         "render",
		Environments: apps.Environments().Names(),
		Repositories: apps.Repositories(),
		Tree:         apps.Tree,
	}.Run(os.Args[1:], os.Stdout, os.Stderr))
}
