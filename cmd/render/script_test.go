package main

import (
	"os"
	"testing"

	"github.com/rogpeppe/go-internal/testscript"

	"git.lastcloud.io/ronnibaslund/dezky/fleet/internal/sample"
	"git.lastcloud.io/ronnibaslund/dezky/fleet/render"
)

func TestMain(m *testing.M) {
	testscript.Main(m, map[string]func(){"render": onSample, "render-apps": main})
}

// onSample is the program on a small tier of the tests' own, so that a change of
// the real one is none here.
func onSample() {
	os.Exit(render.Command{
		Name:         "render",
		Environments: sample.Environments().Names(),
		Repositories: sample.Repositories(),
		Tree:         sample.Tree,
	}.Run(os.Args[1:], os.Stdout, os.Stderr))
}

// TestScript runs the command as its users do; see testdata/script.
func TestScript(t *testing.T) {
	testscript.Run(t, testscript.Params{Dir: "testdata/script"})
}
