package apps

import (
	"git.lastcloud.io/ronnibaslund/dezky/fleet/components/gitea"
)

const (
	// workflowFile is where the workflow is rendered.
	workflowFile = "workflows/ci.yml"
	// goCache is the runner's volume for what Go downloads and builds.
	goCache = "go-cache"
	// goImage has Go and what the Makefile needs. The digest is the one that
	// Dockerfiles of many public repositories have for this tag.
	goImage = "docker.io/library/golang:1.26.8@sha256:0f063af2d465d8dcae54cce04278ada488b96f77b42449c8d071e47d016cc65a"
)

// workflow is the pipeline of the repository that holds the apps, and this
// module in its folder fleet. It is nil where the environment has no runner.
func (t tier) workflow() *gitea.Workflow {
	runner := t.runner()
	if runner == nil {
		return nil
	}
	w := &gitea.Workflow{
		Folder:   "fleet",
		Rendered: "golden/" + t.env.Name + "/" + workflowFile,
		Goldens:  "golden",
		Runner:   *runner,
		Image:    goImage,
		Cache:    goCache,
		Checks: []gitea.Check{
			{Name: "Lint", Run: "make lint"},
			{Name: "Goldens are fresh", Run: "make fresh"},
			{Name: "Test", Run: "make test"},
		},
		Assumed: gitea.AssumedWorkflow{
			Apps:  true,
			Image: true,
			Tools: true,
		},
	}
	for _, a := range t.apps {
		w.Apps = append(w.Apps, gitea.WorkflowApp{
			Name:       a.Web.Name,
			Folder:     "apps/" + a.Web.Name,
			Repository: registry + a.Web.Name,
			Test:       []string{"npm ci", "npm run typecheck", "npm test"},
		})
	}
	return w
}
