package main

import (
	"syscall"
	"testing"

	"github.com/rogpeppe/go-internal/testscript"
)

func TestMain(m *testing.M) {
	syscall.Umask(0o077) // the scripts' files hold secrets
	testscript.Main(m, map[string]func(){"secrets": main})
}

// TestScript runs the program on the contracts of the app tier. What it says
// of each kind of bad file is read in the scripts of package secrets too.
func TestScript(t *testing.T) {
	testscript.Run(t, testscript.Params{Dir: "testdata/script", RequireUniqueNames: true})
}
