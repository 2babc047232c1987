// Command secrets makes, checks and applies the Secrets of the app tier. Its -h
// explains.
package main

import (
	"os"

	"git.lastcloud.io/ronnibaslund/dezky/fleet/apps"
	"git.lastcloud.io/ronnibaslund/dezky/fleet/deploy"
	"git.lastcloud.io/ronnibaslund/dezky/fleet/secrets"
)

func main() {
	command := secrets.Command{Name: "secrets", Environments: apps.Environments().Names(), Set: apps.Secrets, Apply: deploy.ApplySecrets}
	os.Exit(command.Run(os.Args[1:], os.Stdin, os.Stdout, os.Stderr))
}
