package main

import (
	"encoding/json"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"testing"

	"github.com/rogpeppe/go-internal/testscript"

	"git.lastcloud.io/ronnibaslund/dezky/fleet/deploy"
	"git.lastcloud.io/ronnibaslund/dezky/fleet/internal/sample"
	"git.lastcloud.io/ronnibaslund/dezky/fleet/render"
	"git.lastcloud.io/ronnibaslund/dezky/fleet/render/plan"
	"git.lastcloud.io/ronnibaslund/dezky/fleet/render/plan/consequence"
)

func TestMain(m *testing.M) {
	testscript.Main(m, map[string]func(){"plan": main, "sample": sampled, "render": rendered})
}

// sampled is the program for the sample, whose production gives up a host.
func sampled() {
	tree := func(environment string, images render.Images) (render.Tree, error) {
		t, err := sample.Tree(environment, images)
		t.Allowed = []consequence.Allowance{{Rule: "host", Object: "Ingress sample-apps/booking", Reason: "It is closed for good."}}
		return t, err
	}
	os.Exit(plan.Command{
		Name:         "plan",
		Environments: sample.Environments().Names(),
		Repositories: sample.Repositories(),
		Tree:         tree,
		Live:         deploy.Live,
	}.Run(os.Args[1:], os.Stdin, os.Stdout, os.Stderr))
}

// rendered renders the sample.
func rendered() {
	os.Exit(render.Command{
		Name:         "render",
		Environments: sample.Environments().Names(),
		Repositories: sample.Repositories(),
		Tree:         sample.Tree,
	}.Run(os.Args[1:], os.Stdout, os.Stderr))
}

// TestScript runs the command as its users do; see testdata/script.
func TestScript(t *testing.T) {
	testscript.Run(t, testscript.Params{
		Dir: "testdata/script",
		Cmds: map[string]func(*testscript.TestScript, bool, []string){
			"forge": startForge,
		},
		Setup: func(e *testscript.Env) error {
			e.Setenv("GIT_CONFIG_GLOBAL", e.Getenv("WORK")+"/.gitconfig")
			e.Setenv("GIT_CONFIG_NOSYSTEM", "1")
			return os.WriteFile(e.Getenv("WORK")+"/.gitconfig", []byte("[user]\nname = a\nemail = a@example.com\n"), 0o600)
		},
	})
}

// startForge starts a server that has a pull request 7 without comments, or
// refuses with the given status. It writes what it is sent to forge.log.
func startForge(ts *testscript.TestScript, neg bool, args []string) {
	refuse := len(args) > 0
	log, err := os.Create(ts.MkAbs("forge.log"))
	ts.Check(err)
	kept := map[string]string{}
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		var c struct{ Body string }
		json.Unmarshal(body, &c)
		if r.Header.Get("Authorization") != "token sesame" || refuse {
			w.WriteHeader(http.StatusForbidden)
			return
		}
		switch r.Method + " " + r.URL.Path {
		case "GET /api/v1/repos/team/app/issues/7/comments":
			list := []map[string]any{}
			if kept["body"] != "" {
				list = append(list, map[string]any{"id": 1, "body": kept["body"]})
			}
			json.NewEncoder(w).Encode(list)
		case "POST /api/v1/repos/team/app/issues/7/comments", "PATCH /api/v1/repos/team/app/issues/comments/1":
			kept["body"] = c.Body
			io.WriteString(log, r.Method+"\n"+c.Body+"\n")
		default:
			w.WriteHeader(http.StatusInternalServerError)
		}
	}))
	ts.Defer(func() { server.Close(); log.Close() })
	ts.Setenv("GITHUB_API_URL", server.URL+"/api/v1/")
	ts.Setenv("GITHUB_REPOSITORY", "team/app")
	ts.Setenv("GITHUB_TOKEN", "sesame")
}
