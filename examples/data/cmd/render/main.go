// Command render writes the manifests of the example layer.
package main

import (
	"os"

	data "example.com/fleet-data"

	"git.lastcloud.io/ronnibaslund/dezky/fleet/render"
)

func main() {
	os.Exit(render.Command{Name: "render", Tree: data.Tree}.Run(os.Args[1:], os.Stdout, os.Stderr))
}
