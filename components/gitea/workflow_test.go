package gitea

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"go.yaml.in/yaml/v3"
)

func pipeline(changes ...func(*Workflow)) Workflow {
	w := Workflow{
		Folder:   "ship",
		Rendered: "golden/ci.yml",
		Goldens:  "golden",
		Runner:   runner(func(r *Runner) { r.Volumes = []string{"cache"} }),
		Image:    "golang:1.26",
		Cache:    "cache",
		Checks:   []Check{{Name: "Test", Run: "make test"}},
		Apps: []WorkflowApp{
			{Name: "web", Folder: "src/web", Repository: "registry.example.com:5000/shop/web", Test: []string{"npm ci", "npm test"}},
			{Name: "api", Folder: "src/api", Repository: "registry.example.com:5000/shop/api", Test: []string{"make"}, Build: "make image"},
		},
	}
	for _, change := range changes {
		change(&w)
	}
	return w
}

// The parts of a workflow that the tests look at.
type (
	workflowFile struct {
		Name string
		On   map[string]struct {
			Branches []string
			Inputs   map[string]struct{ Description string }
		}
		Jobs map[string]workflowJob
	}
	workflowJob struct {
		If        string
		Needs     []string
		RunsOn    string `yaml:"runs-on"`
		Container struct {
			Image   string
			Volumes []string
		}
		Env   map[string]string
		Steps []workflowStep
	}
	workflowStep struct {
		Name, Run, Uses, If string
		WorkingDirectory    string `yaml:"working-directory"`
		Env                 map[string]string
	}
)

func parse(t *testing.T, w Workflow) (workflowFile, string) {
	t.Helper()
	text, err := w.Text()
	if err != nil {
		t.Fatal(err)
	}
	var file workflowFile
	if err := yaml.Unmarshal([]byte(text), &file); err != nil {
		t.Fatal(err)
	}
	return file, text
}

// TestWorkflowSecrets: the secrets of the repository that are named are those
// of the contracts, and only jobs that a pull request never gets to name any.
func TestWorkflowSecrets(t *testing.T) {
	w := pipeline()
	file, text := parse(t, w)
	var contracts, named []string
	for _, s := range w.Secrets() {
		contracts = append(contracts, s.Name)
		if s.Purpose == "" || s.Source == "" || s.Rotation == "" || strings.HasPrefix(s.Name, "GITEA_") || strings.HasPrefix(s.Name, "GITHUB_") {
			t.Errorf("contract %+v", s)
		}
	}
	for part := range strings.SplitSeq(text, "secrets.") {
		name, _, _ := strings.Cut(part, " }}")
		if slices.Contains(contracts, name) {
			named = append(named, name)
		}
	}
	slices.Sort(named)
	if got := slices.Compact(named); strings.Count(text, "secrets.") != 3 || !slices.Equal(got, slices.Sorted(slices.Values(contracts))) {
		t.Errorf("the workflow names %v in %d places, the contracts %v", got, strings.Count(text, "secrets."), contracts)
	}
	if len(file.On) != 3 || !slices.Equal(file.On["push"].Branches, []string{"main"}) || !slices.Equal(file.On["pull_request"].Branches, []string{"main"}) {
		t.Errorf("it runs on %v", file.On)
	}
	if hand := file.On["workflow_dispatch"]; len(hand.Inputs) != 1 || hand.Inputs["allow"].Description == "" || hand.Branches != nil {
		t.Errorf("by hand it takes %+v", hand)
	}
	for name, job := range file.Jobs {
		secret := strings.Contains(fmt.Sprint(job), "secrets.")
		if release := job.If == "github.event_name == 'push' || github.event_name == 'workflow_dispatch' && github.ref == 'refs/heads/main'"; secret && !release || release != (strings.HasPrefix(name, "build-") || name == "deploy") {
			t.Errorf("job %s: if %q, names a secret: %v", name, job.If, secret)
		}
	}
}

// TestWorkflowSteps: every step is a script of its own that bash can read, no
// expression stands in one, and each is where it belongs.
func TestWorkflowSteps(t *testing.T) {
	bash, err := exec.LookPath("bash")
	if err != nil {
		t.Fatalf("the rendered steps run in bash, which must be installed: %v", err)
	}
	file, _ := parse(t, pipeline())
	for name, job := range file.Jobs {
		if len(job.Steps) < 2 || job.Steps[0].Name != "Fetch the commit" || job.RunsOn != "ubuntu-latest" {
			t.Errorf("job %s: %+v", name, job)
		}
		for _, s := range job.Steps {
			if s.Uses != "" || s.Run == "" || strings.Contains(s.Run, "${{") {
				t.Errorf("job %s, step %s: uses %q, runs\n%s", name, s.Name, s.Uses, s.Run)
			}
			if out, err := exec.Command(bash, "-n", "-c", s.Run).CombinedOutput(); err != nil {
				t.Errorf("job %s, step %s: %v\n%s", name, s.Name, err, out)
			}
			if want := map[string]string{"npm ci": "src/web", "npm test": "src/web", "make": "src/api", "Deploy": "ship", "Test": "ship", "What changes": "ship"}[s.Name]; s.WorkingDirectory != want && s.Name != "Build" {
				t.Errorf("job %s, step %s: runs in %q, want %q", name, s.Name, s.WorkingDirectory, want)
			}
		}
	}
}

// TestWorkflowJobs: what needs what, where, and with which cache.
func TestWorkflowJobs(t *testing.T) {
	file, _ := parse(t, pipeline())
	needs := map[string][]string{
		"check": nil, "test-web": {"check"}, "test-api": {"check"}, "build-web": {"test-web"}, "build-api": {"test-api"},
		"deploy": {"build-web", "build-api"},
	}
	if len(file.Jobs) != len(needs) {
		t.Errorf("%d jobs, want %d", len(file.Jobs), len(needs))
	}
	for name, want := range needs {
		job := file.Jobs[name]
		if !slices.Equal(job.Needs, want) {
			t.Errorf("%s needs %v, want %v", name, job.Needs, want)
		}
		image, volumes := "", []string(nil)
		if name == "check" || name == "deploy" {
			image, volumes = "golang:1.26", []string{"cache:/go-cache"}
		}
		if job.Container.Image != image || !slices.Equal(job.Container.Volumes, volumes) {
			t.Errorf("%s runs in %+v", name, job.Container)
		}
		for _, v := range []string{"GOCACHE", "GOMODCACHE"} {
			if strings.HasPrefix(job.Env[v], "/go-cache/") != (image != "") {
				t.Errorf("%s: %s is %q", name, v, job.Env[v])
			}
		}
	}
	build := file.Jobs["build-api"].Steps[1]
	if build.Run != "make image" || build.WorkingDirectory != "src/api" || build.Env["IMAGE"] != "registry.example.com:5000/shop/api:${{ github.sha }}" {
		t.Errorf("builds by %+v", build)
	}
	if got := file.Jobs["build-web"].Steps[1].Run; got != `docker build --pull --tag "$IMAGE" .` {
		t.Errorf("builds by default with %s", got)
	}
	if push := file.Jobs["build-web"].Steps[2]; push.Env["REGISTRY"] != "registry.example.com:5000" || push.Env["REPOSITORY"] != "registry.example.com:5000/shop/web" {
		t.Errorf("pushes by %+v", push)
	}
	uncached, _ := parse(t, pipeline(func(w *Workflow) { w.Cache = "" }))
	if check := uncached.Jobs["check"]; check.Container.Volumes != nil || check.Env != nil {
		t.Errorf("without a cache: %+v", check)
	}
}

// TestWorkflowInstalled runs the step that compares the installed workflow.
func TestWorkflowInstalled(t *testing.T) {
	bash, err := exec.LookPath("bash")
	if err != nil {
		t.Fatalf("the rendered steps run in bash, which must be installed: %v", err)
	}
	file, text := parse(t, pipeline())
	step := file.Jobs["check"].Steps[1]
	const mend = "mkdir -p .gitea/workflows && cp ship/golden/ci.yml .gitea/workflows/ci.yml"
	if got := pipeline().install(); got != mend {
		t.Errorf("install is %s", got)
	}
	for _, tc := range []struct {
		name  string
		fault func(dir string) error
		want  []string
	}{
		{"equal", func(string) error { return nil }, nil},
		{"stale", func(dir string) error {
			return os.WriteFile(filepath.Join(dir, ".gitea/workflows/ci.yml"), []byte(text+"\n"), 0o644)
		}, []string{".gitea/workflows/ci.yml is not the rendered one. At the root of the repository: " + mend}},
		{"missing", func(dir string) error { return os.RemoveAll(filepath.Join(dir, ".gitea")) },
			[]string{".gitea/workflows/ci.yml is not there. At the root of the repository: " + mend}},
		{"folders", func(dir string) error { return os.RemoveAll(filepath.Join(dir, "src")) }, []string{
			"src/web: there is no such folder, and an app is tested and built there. Correct it in the definition of the workflow, and accept the rendering. Then: " + mend,
			"src/api: there is no such folder, and an app is tested and built there. Correct it in the definition of the workflow, and accept the rendering. Then: " + mend,
		}},
		{"a file for a folder, and no workflow", func(dir string) error {
			if err := os.Remove(filepath.Join(dir, ".gitea/workflows/ci.yml")); err != nil {
				return err
			}
			if err := os.Remove(filepath.Join(dir, "src/api")); err != nil {
				return err
			}
			return os.WriteFile(filepath.Join(dir, "src/api"), nil, 0o644)
		}, []string{".gitea/workflows/ci.yml is not there", "src/api: there is no such folder"}},
	} {
		t.Run(tc.name, func(t *testing.T) {
			dir := t.TempDir()
			for _, folder := range []string{".gitea/workflows", "ship/golden", "src/web", "src/api"} {
				if err := os.MkdirAll(filepath.Join(dir, folder), 0o755); err != nil {
					t.Fatal(err)
				}
			}
			for _, name := range []string{"ship/golden/ci.yml", ".gitea/workflows/ci.yml"} {
				if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o644); err != nil {
					t.Fatal(err)
				}
			}
			if err := tc.fault(dir); err != nil {
				t.Fatal(err)
			}
			run := func(script string) (string, error) {
				cmd := exec.Command(bash, "--noprofile", "--norc", "-e", "-o", "pipefail", "-c", script)
				cmd.Dir = dir
				for k, v := range step.Env {
					cmd.Env = append(cmd.Env, k+"="+v)
				}
				cmd.Env = append(cmd.Env, "PATH="+os.Getenv("PATH"))
				out, err := cmd.CombinedOutput()
				return string(out), err
			}
			out, err := run(step.Run)
			if (err != nil) != (tc.want != nil) || strings.Count(out, "\n") != len(tc.want) {
				t.Errorf("error %v, says\n%s", err, out)
			}
			for _, want := range tc.want {
				if !strings.Contains(out, want) {
					t.Errorf("%q is not in\n%s", want, out)
				}
			}
			if tc.name == "stale" || tc.name == "missing" { // what is printed mends it
				if out, err := run(mend); err != nil {
					t.Fatalf("%v\n%s", err, out)
				}
				if out, err := run(step.Run); err != nil || out != "" {
					t.Errorf("mended: error %v, says\n%s", err, out)
				}
			}
		})
	}
}

func TestWorkflowRefusals(t *testing.T) {
	for _, tc := range []struct {
		name  string
		fault func(*Workflow)
		want  []string
	}{
		{"nothing given", func(w *Workflow) { *w = Workflow{} }, []string{
			"Workflow (no name): folder: Required value", "rendered: Required value", "goldens: Required value", "image: Invalid value", "apps: Required value"}},
		{"words of the shell", func(w *Workflow) {
			w.Name, w.Folder, w.Branch, w.Apps[0].Folder = "c i", "../ship", "$(x)", "src/web; rm"
		}, []string{`name: Invalid value: "c i"`, `folder: Invalid value: "../ship"`, `branch: Invalid value: "$(x)"`, `apps[0].folder: Invalid value: "src/web; rm"`}},
		{"image", func(w *Workflow) { w.Image = "go lang" }, []string{`image: Invalid value: "go lang"`}},
		{"a cache that the runner refuses", func(w *Workflow) { w.Cache = "other" }, []string{`cache: Invalid value: "other": the runner does not let jobs mount it: name it among the runner's volumes`}},
		{"an empty check", func(w *Workflow) { w.Checks[0].Run = " " }, []string{"checks[0]: Required value"}},
		{"an app without commands", func(w *Workflow) { w.Apps[1].Test = nil }, []string{"apps[1].test: Required value"}},
		{"an app twice", func(w *Workflow) { w.Apps[1] = w.Apps[0] }, []string{`apps[1].name: Duplicate value: "web"`}},
		{"another name than the image's", func(w *Workflow) { w.Apps[0].Repository = "registry.example.com/shop/site" },
			[]string{`apps[0].repository: Invalid value: "registry.example.com/shop/site": must end in the name of the app`}},
		{"no registry", func(w *Workflow) { w.Apps[0].Name, w.Apps[0].Repository = "Web", "Web" },
			[]string{`apps[0].name: Invalid value: "Web"`, `apps[0].repository: Invalid value: "Web"`}},
	} {
		t.Run(tc.name, func(t *testing.T) {
			text, err := pipeline(tc.fault).Text()
			if err == nil || text != "" {
				t.Fatalf("is not refused: %v", err)
			}
			for _, want := range tc.want {
				if !strings.Contains(err.Error(), want) {
					t.Errorf("%q is not in\n%v", want, err)
				}
			}
			if n := strings.Count(err.Error(), "\n") + 1; n != len(tc.want) {
				t.Errorf("%d mistakes, want %d:\n%v", n, len(tc.want), err)
			}
		})
	}
}

// TestWorkflowAssumed: each assumption is one switch, and changes nothing of
// what is rendered.
func TestWorkflowAssumed(t *testing.T) {
	if list := pipeline().Assumptions(); len(list) != 0 {
		t.Errorf("confirmed, it still assumes %v", list)
	}
	_, confirmed := parse(t, pipeline())
	for _, tc := range []struct {
		assumed AssumedWorkflow
		what    string
		value   string
	}{
		{AssumedWorkflow{Apps: true}, "folders", `src/web, src/api: npm ci; npm test; docker build --pull --tag "$IMAGE" .; make; make image`},
		{AssumedWorkflow{Image: true}, "digest", "golang:1.26"},
		{AssumedWorkflow{Tools: true}, "label ubuntu-latest", "docker.gitea.com/runner-images:ubuntu-latest"},
	} {
		w := pipeline(func(w *Workflow) { w.Assumed = tc.assumed })
		list := w.Assumptions()
		if len(list) != 1 || !strings.Contains(list[0].What, tc.what) || list[0].Value != tc.value || list[0].Confirm == "" || list[0].Until == "" || list[0].Buys == "" {
			t.Errorf("%+v: %+v", tc.assumed, list)
		}
		if _, text := parse(t, w); text != confirmed {
			t.Errorf("%+v changes the workflow", tc.assumed)
		}
	}
}
