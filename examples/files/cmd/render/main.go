// Command render writes the manifests of the example layer.
package main

import (
	"os"

	files "example.com/fleet-files"

	"git.lastcloud.io/ronnibaslund/dezky/fleet/apps"
	"git.lastcloud.io/ronnibaslund/dezky/fleet/render"
)

func main() {
	os.Exit(render.Command{Name: "render", Tree: files.Tree, Environments: apps.Environments().Names()}.Run(os.Args[1:], os.Stdout, os.Stderr))
}
