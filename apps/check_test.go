package apps_test

import (
	"bytes"
	"testing"

	"git.lastcloud.io/ronnibaslund/dezky/fleet/apps"
	"git.lastcloud.io/ronnibaslund/dezky/fleet/render"
	"git.lastcloud.io/ronnibaslund/dezky/fleet/render/check/report"
)

// TestCheck: the files of each environment, read back, pass the checks without
// a finding, as cmd/check sees them.
func TestCheck(t *testing.T) {
	for _, environment := range apps.Environments().Names() {
		tree, err := apps.Tree(environment, render.Images{})
		if err != nil {
			t.Fatal(err)
		}
		dir := t.TempDir()
		if _, err := tree.WriteDir(dir); err != nil {
			t.Fatal(err)
		}
		var stdout, stderr bytes.Buffer
		command := report.Command{Name: "check", Elsewhere: apps.Elsewhere()}
		if status := command.Run([]string{"-fail-on", "note", dir}, nil, &stdout, &stderr); status != 0 || stdout.Len() > 0 {
			t.Errorf("%s: status %d\n%s%s", environment, status, &stdout, &stderr)
		}
	}
}
