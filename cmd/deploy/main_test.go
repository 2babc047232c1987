package main

import (
	"os"
	"testing"

	"github.com/rogpeppe/go-internal/testscript"

	"git.lastcloud.io/ronnibaslund/dezky/fleet/deploy"
	"git.lastcloud.io/ronnibaslund/dezky/fleet/internal/sample"
)

func TestMain(m *testing.M) {
	testscript.Main(m, map[string]func(){"deploy": onSample, "deploy-apps": main})
}

// onSample is the program on a small tier of the tests' own, so that a change of
// the real one is none here.
func onSample() {
	os.Exit(deploy.Command{
		Name:         "deploy",
		Layer:        "apps",
		Environments: sample.Environments().Names(),
		Repositories: sample.Repositories(),
		Tree:         sample.Tree,
	}.Run(os.Args[1:], os.Stdout, os.Stderr))
}

// TestScript runs the command as far as it goes without a cluster; what it
// does to one is tested in e2e.
func TestScript(t *testing.T) {
	testscript.Run(t, testscript.Params{Dir: "testdata/script", RequireUniqueNames: true})
}
