// Command plan tells what lies between two renderings. Its -h explains.
package main

import (
	"os"

	"git.lastcloud.io/ronnibaslund/dezky/fleet/render/plan"
)

func main() {
	os.Exit(plan.Command{Name: "plan"}.Run(os.Args[1:], os.Stdout, os.Stderr))
}
