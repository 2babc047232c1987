package secrets_test

import (
	"os"
	"strings"
	"syscall"
	"testing"

	"github.com/rogpeppe/go-internal/testscript"
)

func TestMain(m *testing.M) {
	syscall.Umask(0o077) // the scripts' files hold secrets
	testscript.Main(m, map[string]func(){
		"secrets": func() { os.Exit(command().Run(os.Args[1:], os.Stdin, os.Stdout, os.Stderr)) },
	})
}

// TestScript runs the program on the sample. Each script finds good.yaml,
// which has nothing wrong, and spoils it.
func TestScript(t *testing.T) {
	good, err := os.ReadFile("testdata/good.yaml")
	if err != nil {
		t.Fatal(err)
	}
	testscript.Run(t, testscript.Params{
		Dir: "testdata/script",
		Setup: func(env *testscript.Env) error {
			// The directory of the program itself, for a PATH without kubectl.
			bin, _, _ := strings.Cut(env.Getenv("PATH"), string(os.PathListSeparator))
			env.Setenv("BIN", bin)
			return os.WriteFile(env.Cd+"/good.yaml", good, 0o600)
		},
		Cmds: map[string]func(ts *testscript.TestScript, neg bool, args []string){
			"replace": replace,
		},
		RequireUniqueNames: true,
	})
}

// replace FILE OLD NEW replaces the one place in a file that has the text.
// In the texts, \n is a new line.
func replace(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 3 {
		ts.Fatalf("usage: replace FILE OLD NEW")
	}
	name := ts.MkAbs(args[0])
	data, err := os.ReadFile(name)
	ts.Check(err)
	unquote := strings.NewReplacer(`\n`, "\n")
	old, new := unquote.Replace(args[1]), unquote.Replace(args[2])
	if n := strings.Count(string(data), old); n != 1 {
		ts.Fatalf("%q stands %d times in %s", args[1], n, args[0])
	}
	ts.Check(os.WriteFile(name, []byte(strings.Replace(string(data), old, new, 1)), 0o600))
}
