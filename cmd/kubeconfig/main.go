// Command kubeconfig prints the kubeconfig with which the pipeline deploys the
// app tier. Its -h explains.
package main

import (
	"os"

	"git.lastcloud.io/ronnibaslund/dezky/fleet/apps"
	"git.lastcloud.io/ronnibaslund/dezky/fleet/deploy"
)

func main() {
	namespace, name := apps.Deployer()
	os.Exit(deploy.KubeconfigCommand{
		Name:    "kubeconfig",
		Account: deploy.Account{Namespace: namespace, Name: name, Cluster: "dezky"},
	}.Run(os.Args[1:], os.Stdout, os.Stderr))
}
