package apps

import (
	"os"
	"path/filepath"
	"testing"
)

// TestWorkflowPlace: the first step of a workflow compares with the file that
// the goldens have, and only the environment with the runner has a workflow.
func TestWorkflowPlace(t *testing.T) {
	for _, env := range Environments() {
		tier := newTier(env)
		workflow := tier.workflow()
		if (workflow != nil) != env.Runner {
			t.Errorf("%s: runner %v, workflow %v", env.Name, env.Runner, workflow != nil)
		}
		if workflow == nil {
			continue
		}
		golden, err := os.ReadFile(filepath.Join("..", workflow.Rendered))
		if err != nil {
			t.Fatal(err)
		}
		text, err := workflow.Text()
		if err != nil {
			t.Fatal(err)
		}
		if len(golden) <= len(text) || string(golden[len(golden)-len(text):]) != text {
			t.Errorf("%s: %s is not its golden", env.Name, workflow.Rendered)
		}
	}
}
