package main

import (
	"os"
	"syscall"
	"testing"

	"github.com/rogpeppe/go-internal/testscript"

	"git.lastcloud.io/ronnibaslund/dezky/fleet/deploy"
	"git.lastcloud.io/ronnibaslund/dezky/fleet/internal/sample"
	"git.lastcloud.io/ronnibaslund/dezky/fleet/secrets"
)

func TestMain(m *testing.M) {
	syscall.Umask(0o077) // the scripts' files hold secrets
	testscript.Main(m, map[string]func(){"secrets": onSample, "secrets-apps": main})
}

// onSample is the program on a small tier of the tests' own, so that a change of
// the real one is none here.
func onSample() {
	command := secrets.Command{Name: "secrets", Environments: sample.Environments().Names(), Set: sample.Secrets, Apply: deploy.ApplySecrets}
	os.Exit(command.Run(os.Args[1:], os.Stdin, os.Stdout, os.Stderr))
}

// TestScript runs the program as its users do; see testdata/script. What it says
// of each kind of bad file is read in the scripts of package secrets too.
func TestScript(t *testing.T) {
	testscript.Run(t, testscript.Params{Dir: "testdata/script", RequireUniqueNames: true})
}
