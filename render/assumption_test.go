package render_test

import (
	"bytes"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"git.lastcloud.io/ronnibaslund/dezky/fleet/components/secret"
	"git.lastcloud.io/ronnibaslund/dezky/fleet/render"
	"git.lastcloud.io/ronnibaslund/dezky/fleet/render/object"
)

// assumes is a ConfigMap that holds assumptions.
type assumes struct {
	name string
	list []object.Assumption
}

func (a assumes) Objects() ([]object.Object, error) {
	return []object.Object{config(a.name, nil)}, nil
}
func (a assumes) About() object.About {
	return object.About{Assumed: a.list, ReadElsewhere: true}
}

// assumed is a small tree with two assumptions in a component, one of which
// another component shares, one in the Tree, and a pending value.
func assumed() render.Tree {
	port := object.Assumption{What: "ConfigMap ns/a: the port", Value: "80", Confirm: "`kubectl get service`", Until: "any port", Buys: "one port"}
	shared := object.Assumption{What: "the version of the cluster", Value: "v1.36", Confirm: "`kubectl version`"}
	return render.Tree{
		Name: "a small tree",
		Layers: []render.Layer{{Name: "apps", Files: []render.File{
			{Name: "a", Components: []object.Component{assumes{"a", []object.Assumption{port, shared}}}},
			{Name: "b", Components: []object.Component{assumes{"b", []object.Assumption{shared}}}},
		}}},
		Assumed: []object.Assumption{{What: "the mail host", Confirm: "whoever runs it"}},
	}
}

// run runs the render command on a tree.
func run(tree render.Tree, args ...string) (status int, stdout, stderr string) {
	var out, errs bytes.Buffer
	status = render.Command{Name: "render", Tree: func(string, render.Images) (render.Tree, error) { return tree, nil }}.Run(args, &out, &errs)
	return status, out.String(), errs.String()
}

func TestAssumptions(t *testing.T) {
	tree := assumed()
	tree.Secrets = []secret.Contract{webSecrets()}
	_, report, err := tree.Files()
	if err != nil {
		t.Fatal(err)
	}
	if !slices.Equal(report.Assumed, tree.Assumptions()) || len(report.Assumed) != 3 {
		t.Errorf("the report has\n%v\nthe tree\n%v", report.Assumed, tree.Assumptions())
	}

	status, stdout, _ := run(tree, "-pending")
	want := `Secret ns/web-secrets, TOKEN: a placeholder, since it waits
ConfigMap ns/a: the port: 80, assumed until confirmed by ` + "`kubectl get service`" + `
the version of the cluster: v1.36, assumed until confirmed by ` + "`kubectl version`" + `
the mail host, assumed until confirmed by whoever runs it
`
	if status != 0 || stdout != want {
		t.Errorf("-pending: status %d\n%swant\n%s", status, stdout, want)
	}

	// Refused only where that is asked for, all at once, and nothing written.
	dir := filepath.Join(t.TempDir(), "out")
	status, _, stderr := run(tree, "-confirmed", "-o", dir)
	want = `render: ConfigMap ns/a: the port: 80, assumed until confirmed by ` + "`kubectl get service`" + `
render: the version of the cluster: v1.36, assumed until confirmed by ` + "`kubectl version`" + `
render: the mail host, assumed until confirmed by whoever runs it
`
	if status != 1 || stderr != want {
		t.Errorf("-confirmed: status %d\n%swant\n%s", status, stderr, want)
	}
	if _, err := os.Stat(dir); !os.IsNotExist(err) {
		t.Errorf("-confirmed wrote: %v", err)
	}
	if status, _, stderr = run(tree, "-o", dir); status != 0 || !strings.Contains(stderr, ", 1 values pending, 3 assumed; ") {
		t.Errorf("without -confirmed: status %d, %s", status, stderr)
	}

	// What is pending never refuses.
	tree.Assumed = nil
	for i := range tree.Layers[0].Files {
		tree.Layers[0].Files[i].Components = []object.Component{assumes{name: tree.Layers[0].Files[i].Name}}
	}
	if status, _, stderr = run(tree, "-confirmed", "-o", dir); status != 0 || !strings.Contains(stderr, ", 1 values pending") || strings.Contains(stderr, "assumed") {
		t.Errorf("-confirmed with pending values only: status %d, %s", status, stderr)
	}
	if status, _, stderr = run(tree, "-confirmed", "-pending"); status != 2 || !strings.Contains(stderr, "give one of the two") {
		t.Errorf("-confirmed -pending: status %d, %s", status, stderr)
	}
}

// TestAssumptionSaysHow refuses an assumption that nobody could confirm.
func TestAssumptionSaysHow(t *testing.T) {
	for _, a := range []object.Assumption{{Confirm: "`true`"}, {What: "the port"}} {
		tree := assumed()
		tree.Assumed = []object.Assumption{a}
		_, _, err := tree.Files()
		if want := `assumption "` + a.What + `": say what is assumed, and the command or the place that confirms it`; err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%v: error %v, want %s", a, err, want)
		}
	}
}
