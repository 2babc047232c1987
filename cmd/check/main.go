// Command check holds Kubernetes manifests against the rules of render/check.
// Its -h explains.
package main

import (
	"os"

	"git.lastcloud.io/ronnibaslund/dezky/fleet/apps"
	"git.lastcloud.io/ronnibaslund/dezky/fleet/render/check/report"
)

func main() {
	command := report.Command{Name: "check", Elsewhere: apps.Elsewhere()}
	os.Exit(command.Run(os.Args[1:], os.Stdin, os.Stdout, os.Stderr))
}
