package workflow

import (
	"bytes"
	"cmp"
	"context"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/cgi"
	"net/http/httptest"
	"os"
	"os/exec"
	"path"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/rhysd/actionlint"
	"go.yaml.in/yaml/v3"

	"git.lastcloud.io/ronnibaslund/dezky/fleet/apps"
	"git.lastcloud.io/ronnibaslund/dezky/fleet/components"
	"git.lastcloud.io/ronnibaslund/dezky/fleet/components/gitea"
	"git.lastcloud.io/ronnibaslund/dezky/fleet/deploy"
	"git.lastcloud.io/ronnibaslund/dezky/fleet/render"
	"git.lastcloud.io/ronnibaslund/dezky/fleet/render/object"
)

// bin is where the built programs are.
var bin string

func TestMain(m *testing.M) {
	cache, err := os.UserCacheDir()
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	bin = filepath.Join(cache, "dezky-fleet-e2e", "workflow")
	build := exec.Command("go", "install", "github.com/nektos/act", "git.lastcloud.io/ronnibaslund/dezky/fleet/cmd/plan")
	build.Env = append(os.Environ(), "GOBIN="+bin)
	build.Stderr = os.Stderr
	if err := build.Run(); err != nil {
		fmt.Fprintln(os.Stderr, "go install:", err)
		os.Exit(1)
	}
	os.Exit(m.Run())
}

// lint returns what actionlint finds in a workflow.
func lint(t *testing.T, text string) []*actionlint.Error {
	t.Helper()
	linter, err := actionlint.NewLinter(io.Discard, &actionlint.LinterOptions{})
	if err != nil {
		t.Fatal(err)
	}
	found, err := linter.Lint("ci.yml", []byte(text), nil)
	if err != nil {
		t.Fatal(err)
	}
	return found
}

// TestLint: actionlint finds nothing in the workflows that are rendered, and
// something in one that is broken.
func TestLint(t *testing.T) {
	texts := map[string]string{"a small one": small(t)}
	for _, env := range apps.Environments().Names() {
		tree, err := apps.Tree(env, render.Images{})
		if err != nil {
			t.Fatal(err)
		}
		for _, text := range tree.Texts {
			if path.Dir(text.Name) == "workflows" {
				if texts[env], err = text.Content(); err != nil {
					t.Fatal(err)
				}
			}
		}
	}
	if len(texts) < 2 {
		t.Error("no environment has a workflow")
	}
	for name, text := range texts {
		for _, e := range lint(t, text) {
			t.Errorf("%s: %s", name, e)
		}
	}
	for old, broken := range map[string]string{
		"needs: [test-web]":                       "needs: [test-wob]",
		"needs.build-web.outputs.digest":          "needs.build-web.outputs.digets",
		"github.event_name == 'push'":             "github.event_nam == 'push'",
		"${{ inputs.allow }}":                     "${{ inputs.allows }}",
		"REGISTRY_TOKEN: ${{ secrets.":            "REGISTRY_TOKEN: ${{ secret.",
		"    runs-on: ubuntu-latest\n    timeout": "    timeout",
	} {
		text := strings.Replace(small(t), old, broken, 1)
		if text == small(t) || len(lint(t, text)) == 0 {
			t.Errorf("actionlint finds nothing wrong with %q", broken)
		}
	}
}

// The secrets of the runs. None may stand in what a run says.
const (
	jobToken      = "job-token-0a1b2c"
	registryToken = "registry-token-3d4e5f"
	kubeconfig    = `apiVersion: v1
kind: Config
clusters: [{name: c, cluster: {server: "http://127.0.0.1:1"}}]
contexts: [{name: c, context: {cluster: c, user: u, namespace: shop}}]
users: [{name: u, user: {token: cluster-token-6a7b8c}}]
current-context: c
`
	digest = "sha256:0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef"
)

// small is the workflow of a repository with two apps.
func small(t *testing.T) string {
	t.Helper()
	text, err := pipeline.Text()
	if err != nil {
		t.Fatal(err)
	}
	return text
}

var pipeline = gitea.Workflow{
	Folder:   "ship",
	Rendered: "golden/workflows/ci.yml",
	Goldens:  "golden",
	Runner:   gitea.Runner{Volumes: []string{"cache"}},
	Image:    "golang:1.26",
	Cache:    "cache",
	Checks:   []gitea.Check{{Name: "Test", Run: "make test"}},
	Apps: []gitea.WorkflowApp{
		{Name: "web", Folder: "src/web", Repository: "registry.example.com/shop/web", Test: []string{"npm ci", "npm test"}},
		{Name: "api", Folder: "src/api", Repository: "registry.example.com/shop/api", Test: []string{"npm test"}},
	},
}

// hosted is the workflow as act can run it without Docker: without the
// containers of its jobs, and nothing else changed.
func hosted(t *testing.T, text string) string {
	t.Helper()
	var file map[string]any
	if err := yaml.Unmarshal([]byte(text), &file); err != nil {
		t.Fatal(err)
	}
	for _, job := range file["jobs"].(map[string]any) {
		delete(job.(map[string]any), "container")
		delete(job.(map[string]any), "env") // the caches, which are in the container
	}
	out, err := yaml.Marshal(file)
	if err != nil {
		t.Fatal(err)
	}
	return string(out)
}

// standIns are the programs that are not real. Each writes a line to $CALLS.
var standIns = map[string]string{
	"make": `call make "$@"`,
	"npm": `call npm "$@"
if [ "${PWD##*/} $*" = "$FAILS" ]; then exit 1; fi`,
	"docker": `call docker "$@"
case $1 in
login) call password "$(cat)" >/dev/null; echo "$DOCKER_CONFIG" > "$CALLS.docker" ;;
image) case $5 in *shop/web:*) echo registry.example.com/other@sha256:00; echo registry.example.com/shop/web@` + digest + ` ;; esac ;;
esac`,
	"go": `shift
if [ "$1" = ./cmd/plan ]; then
  call go run ./cmd/plan
  shift
  exec "$PLAN" "$@"
fi
call go run "$@"
printf '%s\n' "$@" > "$CALLS.deploy"
cp "$3" "$CALLS.kubeconfig"
stat -c %a "$3" > "$CALLS.mode"`,
}

const standIn = `#!/bin/bash
call() {
  where=${PWD#*hostexecutor}
  echo "${where#/}: $*" >> "$CALLS"
}
# What nobody may keep: the token in the repository, a secret in a job of a pull request.
if grep -rqs "$(printf %s "$SPOT")" "${PWD%%hostexecutor*}hostexecutor/.git"; then call "THE TOKEN IS IN .git"; fi
`

// world is a forge with a repository in it, and a machine with stand-ins.
type world struct {
	t        *testing.T
	branch   string // that is run; empty is main
	dir      string
	server   *httptest.Server
	head     string
	base     string
	mu       sync.Mutex
	comments []string
}

// start makes the repository: two commits, of which the second is to run.
func start(t *testing.T, change func(repo string)) *world {
	t.Helper()
	w := &world{t: t, dir: t.TempDir()}
	repo := filepath.Join(w.dir, "team", "shop.git")
	text := small(t)
	for name, content := range map[string]string{
		".gitea/workflows/ci.yml":      text,
		"ship/golden/workflows/ci.yml": text,
		"ship/golden/apps/web.yaml":    "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: web}\ndata: {KEY: before}\n",
		"src/web/package.json":         "{}",
		"src/api/package.json":         "{}",
	} {
		write(t, filepath.Join(repo, name), content)
	}
	git := func(args ...string) string {
		cmd := exec.Command("git", append([]string{"-C", repo, "-c", "user.name=a", "-c", "user.email=a@example.com"}, args...)...)
		cmd.Env = append(os.Environ(), "GIT_CONFIG_GLOBAL=/dev/null", "GIT_CONFIG_NOSYSTEM=1")
		out, err := cmd.CombinedOutput()
		if err != nil {
			t.Fatalf("git %v: %v\n%s", args, err, out)
		}
		return strings.TrimSpace(string(out))
	}
	git("init", "--quiet", "--initial-branch=main")
	git("add", "-A")
	git("commit", "--quiet", "-m", "one")
	w.base = git("rev-parse", "HEAD")
	write(t, filepath.Join(repo, "ship/golden/apps/web.yaml"), "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: web}\ndata: {KEY: after}\n")
	if change != nil {
		change(repo)
	}
	git("add", "-A")
	git("commit", "--quiet", "-m", "two")
	w.head = git("rev-parse", "HEAD")

	core := exec.Command("git", "--exec-path")
	where, err := core.Output()
	if err != nil {
		t.Fatal(err)
	}
	backend := &cgi.Handler{
		Path: filepath.Join(strings.TrimSpace(string(where)), "git-http-backend"),
		Env:  []string{"GIT_PROJECT_ROOT=" + w.dir, "GIT_HTTP_EXPORT_ALL=1", "GIT_CONFIG_NOSYSTEM=1"},
	}
	w.server = httptest.NewServer(http.HandlerFunc(func(rw http.ResponseWriter, r *http.Request) {
		if strings.HasPrefix(r.URL.Path, "/api/v1/") {
			w.api(rw, r)
			return
		}
		if _, token, _ := r.BasicAuth(); token != jobToken {
			rw.WriteHeader(http.StatusForbidden)
			return
		}
		r.URL.Path = strings.Replace(r.URL.Path, "/team/shop.git/", "/team/shop.git/.git/", 1)
		backend.ServeHTTP(rw, r)
	}))
	t.Cleanup(w.server.Close)
	for name, script := range standIns {
		write(t, filepath.Join(w.dir, "bin", name), standIn+script+"\n")
		if err := os.Chmod(filepath.Join(w.dir, "bin", name), 0o755); err != nil {
			t.Fatal(err)
		}
	}
	return w
}

// api keeps the comments of pull request 7.
func (w *world) api(rw http.ResponseWriter, r *http.Request) {
	w.mu.Lock()
	defer w.mu.Unlock()
	var c struct{ Body string }
	json.NewDecoder(r.Body).Decode(&c)
	switch {
	case r.Header.Get("Authorization") != "token "+jobToken || r.URL.Path != "/api/v1/repos/team/shop/issues/7/comments":
		rw.WriteHeader(http.StatusTeapot)
	case r.Method == http.MethodPost:
		w.comments = append(w.comments, c.Body)
	default:
		io.WriteString(rw, "[]")
	}
}

// run is what came of a run of the workflow.
type run struct {
	ok    bool
	said  string
	calls []string
	// what the stand-in for the deploy got
	deployArgs []string
	kubeconfig string
}

// act runs the workflow for an event.
func (w *world) act(event string, more ...string) run {
	w.t.Helper()
	file := filepath.Join(w.dir, "run", "ci.yml")
	write(w.t, file, hosted(w.t, small(w.t)))
	work := filepath.Join(w.dir, "work")
	if err := os.MkdirAll(work, 0o755); err != nil {
		w.t.Fatal(err)
	}
	payload := map[string]any{"ref": "refs/heads/" + cmp.Or(w.branch, "main")}
	if event == "pull_request" {
		payload = map[string]any{"pull_request": map[string]any{
			"number": 7, "merge_base": w.base,
			"head": map[string]any{"ref": "topic", "sha": w.head}, "base": map[string]any{"ref": "main", "sha": "not fetched"},
		}}
	}
	if event == "workflow_dispatch" {
		payload["inputs"] = map[string]string{"allow": allowed}
	}
	text, err := json.Marshal(payload)
	if err != nil {
		w.t.Fatal(err)
	}
	write(w.t, filepath.Join(w.dir, "event.json"), string(text))
	calls := filepath.Join(w.dir, "calls")
	ctx, cancel := context.WithTimeout(w.t.Context(), 3*time.Minute)
	defer cancel()
	args := []string{event, "-P", "ubuntu-latest=-self-hosted", "-W", file, "-C", work, "-e", filepath.Join(w.dir, "event.json"),
		"--no-cache-server", "--insecure-secrets", // so that what a step echoes is seen here
		"--env", "GITHUB_SERVER_URL=" + w.server.URL + "/", "--env", "GITHUB_API_URL=" + w.server.URL + "/api/v1",
		"--env", "GITHUB_REPOSITORY=team/shop", "--env", "GITHUB_REPOSITORY_OWNER=team", "--env", "SHA_REF=" + w.head, "--env", "GITHUB_RUN_NUMBER=42",
		"-s", "GITHUB_TOKEN=" + jobToken, "-s", "REGISTRY_TOKEN=" + registryToken, "-s", "KUBECONFIG_B64=" + base64.StdEncoding.EncodeToString([]byte(kubeconfig))}
	cmd := exec.CommandContext(ctx, filepath.Join(bin, "act"), append(args, more...)...)
	cmd.Env = []string{
		"HOME=" + w.dir, "XDG_CACHE_HOME=" + w.dir, "XDG_CONFIG_HOME=" + w.dir, "TMPDIR=" + w.dir, "GIT_CONFIG_NOSYSTEM=1",
		"PATH=" + filepath.Join(w.dir, "bin") + ":" + os.Getenv("PATH"),
		"CALLS=" + calls, "PLAN=" + filepath.Join(bin, "plan"), "SPOT=" + jobToken,
	}
	for _, e := range more {
		if fails, ok := strings.CutPrefix(e, "FAILS="); ok {
			cmd.Env = append(cmd.Env, "FAILS="+fails)
		}
	}
	out, err := cmd.CombinedOutput()
	read := func(name string) string {
		text, _ := os.ReadFile(name)
		return string(text)
	}
	r := run{ok: err == nil, said: string(out), kubeconfig: read(calls + ".kubeconfig")}
	r.calls = lines(read(calls))
	r.deployArgs = lines(read(calls + ".deploy"))
	for _, secret := range []string{jobToken, registryToken, "cluster-token", base64.StdEncoding.EncodeToString([]byte("x-access-token:" + jobToken)), base64.StdEncoding.EncodeToString([]byte(kubeconfig))} {
		if strings.Contains(r.said, secret) {
			w.t.Errorf("%s: the run tells %s", event, secret)
		}
	}
	// What a step keeps in a file for a moment is gone.
	for _, left := range []string{strings.TrimSpace(read(calls + ".docker")), after(r.deployArgs, "-kubeconfig")} {
		if _, err := os.Stat(left); left != "" && err == nil {
			w.t.Errorf("%s: %s is left behind", event, left)
		}
	}
	if mode := strings.TrimSpace(read(calls + ".mode")); r.deployArgs != nil && mode != "600" {
		w.t.Errorf("%s: others may read the kubeconfig: %s", event, mode)
	}
	return r
}

func lines(s string) []string {
	if s == "" {
		return nil
	}
	return strings.Split(strings.TrimSuffix(s, "\n"), "\n")
}

func after(args []string, flag string) string {
	if i := slices.Index(args, flag); i >= 0 && i+1 < len(args) {
		return args[i+1]
	}
	return ""
}

func write(t *testing.T, name, text string) {
	t.Helper()
	if err := os.MkdirAll(filepath.Dir(name), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(name, []byte(text), 0o644); err != nil {
		t.Fatal(err)
	}
}

// want compares the calls, in no order.
func (r run) want(t *testing.T, calls ...string) {
	t.Helper()
	got := slices.Sorted(slices.Values(r.calls))
	if want := slices.Sorted(slices.Values(calls)); !slices.Equal(got, want) {
		t.Errorf("calls\n%s\nwant\n%s\n\n%s", strings.Join(got, "\n"), strings.Join(want, "\n"), r.said)
	}
}

// TestPush: a push to main checks, tests, builds, pushes and deploys what was
// pushed, by its digest where the push gave one.
func TestPush(t *testing.T) {
	w := start(t, nil)
	r := w.act("push")
	if !r.ok {
		t.Errorf("failed:\n%s", r.said)
	}
	image := func(app string) string { return "registry.example.com/shop/" + app + ":" }
	calls := []string{"ship: make test", "src/web: npm ci", "src/web: npm test", "src/api: npm test"}
	for _, app := range []string{"web", "api"} {
		calls = append(calls,
			"src/"+app+": docker build --pull --tag "+image(app)+w.head+" .",
			": docker login --username team --password-stdin registry.example.com",
			": password "+registryToken,
			": docker push --quiet "+image(app)+w.head,
			": docker tag "+image(app)+w.head+" "+image(app)+"latest",
			": docker push --quiet "+image(app)+"latest",
			": docker image inspect --format {{range .RepoDigests}}{{println .}}{{end}} "+image(app)+w.head,
		)
	}
	config := after(r.deployArgs, "-kubeconfig")
	summary := after(r.deployArgs, "-summary")
	r.want(t, append(calls, "ship: go run ./cmd/deploy -kubeconfig "+config+" -tag "+w.head+" -image web="+w.head+"@"+digest+" -run 42 -summary "+summary)...)
	if r.kubeconfig != kubeconfig {
		t.Errorf("the deploy got the kubeconfig\n%s", r.kubeconfig)
	}
	if summary == "" || summary == "/dev/null" {
		t.Errorf("the deploy's summary goes to %q", summary)
	}

	// The deploy itself understands them: it gets as far as the cluster,
	// which is not there, and not with one flag more.
	own := filepath.Join(w.dir, "kubeconfig")
	write(t, own, r.kubeconfig)
	args := slices.Clone(r.deployArgs[1:])
	args[slices.Index(args, config)] = own
	status, said := runDeploy(args)
	if status != deploy.ExitRefused || !strings.Contains(said, "127.0.0.1:1") {
		t.Errorf("the deploy ends with %d:\n%s", status, said)
	}
	if status, said := runDeploy(append(args, "-unknown")); status != deploy.ExitUsage {
		t.Errorf("with an unknown flag the deploy ends with %d:\n%s", status, said)
	}
}

// allowed is the input of a run by hand. It is one word to the shell, whatever
// it holds.
const allowed = `host=Ingress shop/web, service-pods=Service shop/$(touch "$CALLS.injected")'`

// TestByHand: a run by hand does what a push does, and hands on what it allows.
// Of another branch it only tests.
func TestByHand(t *testing.T) {
	w := start(t, nil)
	r := w.act("workflow_dispatch")
	if !r.ok || after(r.deployArgs, "-allow") != allowed || after(r.deployArgs, "-tag") != w.head {
		t.Errorf("ok: %v, deploys with %q:\n%s", r.ok, r.deployArgs, r.said)
	}
	if _, err := os.Stat(filepath.Join(w.dir, "calls.injected")); err == nil {
		t.Error("the shell ran what was allowed")
	}
	w = start(t, nil)
	w.branch = "topic"
	r = w.act("workflow_dispatch")
	if !r.ok || r.deployArgs != nil {
		t.Errorf("of another branch: ok: %v, deploys with %q:\n%s", r.ok, r.deployArgs, r.said)
	}
	r.want(t, "ship: make test", "src/web: npm ci", "src/web: npm test", "src/api: npm test")
}

func runDeploy(args []string) (int, string) {
	var repositories []string
	for _, a := range pipeline.Apps {
		repositories = append(repositories, a.Repository)
	}
	var said bytes.Buffer
	status := deploy.Command{
		Name: "deploy", Layer: "apps", Repositories: repositories,
		Tree: func(string, render.Images) (render.Tree, error) {
			return render.Tree{Name: "shop", Layers: []render.Layer{{Name: "apps", Namespace: "shop", Files: []render.File{
				{Name: "namespace", Components: []object.Component{components.Namespace{Name: "shop"}}},
			}}}}, nil
		},
	}.Run(args, &said, &said)
	return status, said.String()
}

// TestPullRequest: a pull request is checked and tested, and told what it
// changes; nothing is built, pushed or deployed.
func TestPullRequest(t *testing.T) {
	w := start(t, nil)
	r := w.act("pull_request")
	if !r.ok {
		t.Errorf("failed:\n%s", r.said)
	}
	r.want(t, "ship: make test", "ship: go run ./cmd/plan", "src/web: npm ci", "src/web: npm test", "src/api: npm test")
	if len(w.comments) != 1 {
		t.Fatalf("%d comments, want 1:\n%s", len(w.comments), r.said)
	}
	for _, want := range []string{"<!-- plan: what changes -->\n**1 object changes.**\n\nFrom `git:" + w.base + "` to `golden of " + w.head[:12] + "`.\n", "<summary>apps/web.yaml: ConfigMap web</summary>", "-       data.KEY: before\n+       data.KEY: after\n"} {
		if !strings.Contains(w.comments[0], want) {
			t.Errorf("%q is not in the comment\n%s", want, w.comments[0])
		}
	}
	if !strings.Contains(r.said, "data.KEY: after") {
		t.Errorf("the log does not say what changes:\n%s", r.said)
	}
}

// TestInstalled: a workflow that is not the rendered one, and a folder that is
// missing, stop the first job with the command that mends it.
func TestInstalled(t *testing.T) {
	const mend = "mkdir -p .gitea/workflows && cp ship/golden/workflows/ci.yml .gitea/workflows/ci.yml"
	for _, tc := range []struct {
		name   string
		change func(repo string)
		want   string
	}{
		{"stale", func(repo string) { write(t, filepath.Join(repo, ".gitea/workflows/ci.yml"), "name: ci\n") },
			".gitea/workflows/ci.yml is not the rendered one. At the root of the repository: " + mend},
		{"missing", func(repo string) { os.RemoveAll(filepath.Join(repo, ".gitea")) },
			".gitea/workflows/ci.yml is not there. At the root of the repository: " + mend},
		{"a folder is missing", func(repo string) { os.RemoveAll(filepath.Join(repo, "src/api")) },
			"src/api: there is no such folder, and an app is tested and built there."},
	} {
		for _, event := range []string{"push", "pull_request"} {
			t.Run(tc.name+", "+event, func(t *testing.T) {
				r := start(t, tc.change).act(event)
				if r.ok || !strings.Contains(r.said, tc.want) {
					t.Errorf("succeeded: %v, does not say %q:\n%s", r.ok, tc.want, r.said)
				}
				r.want(t)
			})
		}
	}
}

// TestFails: what fails stops what needs it. The tests of one app stop the
// deploy, and not the image of the other.
func TestFails(t *testing.T) {
	w := start(t, nil)
	r := w.act("push", "--env", "FAILS=web test")
	if r.ok {
		t.Error("succeeded")
	}
	for _, call := range r.calls {
		if strings.Contains(call, "shop/web") || strings.Contains(call, "go run") {
			t.Errorf("the tests of web failed, and yet: %s", call)
		}
	}

	// A secret that nobody has set is named, before anything is built upon it.
	for _, name := range []string{"REGISTRY_TOKEN", "KUBECONFIG_B64"} {
		r := start(t, nil).act("push", "-s", name+"=")
		if r.ok || !strings.Contains(r.said, name+": this secret of the repository is not set") {
			t.Errorf("%s is not set, succeeded: %v:\n%s", name, r.ok, r.said)
		}
		if r.deployArgs != nil {
			t.Errorf("%s is not set, and it was deployed", name)
		}
	}
}

// TestToken: without the right token nothing is fetched, and nothing runs.
func TestToken(t *testing.T) {
	r := start(t, nil).act("push", "-s", "GITHUB_TOKEN=another")
	if r.ok {
		t.Error("succeeded")
	}
	r.want(t)
}
