// Command deploy brings the app tier into a cluster. Its -h explains.
package main

import (
	"os"

	"git.lastcloud.io/ronnibaslund/dezky/fleet/apps"
	"git.lastcloud.io/ronnibaslund/dezky/fleet/deploy"
)

func main() {
	os.Exit(deploy.Command{
		Name:         "deploy",
		Layer:        "apps",
		Environments: apps.Environments().Names(),
		Repositories: apps.Repositories(),
		Tree:         apps.Tree,
	}.Run(os.Args[1:], os.Stdout, os.Stderr))
}
