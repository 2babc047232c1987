package render_test

import (
	"maps"
	"strings"
	"testing"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"

	"git.lastcloud.io/ronnibaslund/dezky/fleet/render"
)

// text returns the rendered files as one text.
func text(t *testing.T, tr render.Tree) string {
	t.Helper()
	files, _, err := tr.Files()
	if err != nil {
		t.Fatal(err)
	}
	var b strings.Builder
	for _, f := range files {
		b.Write(f.Data)
	}
	return b.String()
}

// TestOwner: every object says to which Tree it belongs, its pods and its
// selector do not, and what a component keeps stays as it was.
func TestOwner(t *testing.T) {
	typed := config("typed", nil)
	typed.Labels = map[string]string{"app": "web"}
	untyped := &unstructured.Unstructured{Object: map[string]any{
		"apiVersion": "example.com/v1", "kind": "Thing",
		"metadata": map[string]any{"namespace": "ns", "name": "untyped", "labels": map[string]any{"app": "web"}},
	}}
	tr := tree(typed, untyped, config("bare", nil))
	without := text(t, tr)
	if strings.Contains(without, render.OwnerLabel) {
		t.Error("a tree without ID marks its objects")
	}
	tr.ID = "shop-test"
	with := text(t, tr)
	const line = "fleet/tree: shop-test\n"
	_, report, err := tr.Files()
	if err != nil {
		t.Fatal(err)
	}
	if n := strings.Count(with, "\n    "+line); n != report.Objects || strings.Count(with, line) != n {
		t.Errorf("%d of %d objects have the label, and it stands %d times", n, report.Objects, strings.Count(with, line))
	}
	if got := strings.NewReplacer("    "+line, "", "  labels:\n    "+line, "").Replace(with); strings.ReplaceAll(got, "  labels:\n", "") != strings.ReplaceAll(without, "  labels:\n", "") {
		t.Errorf("more than the label is another:\n%s", got)
	}
	if want := map[string]string{"app": "web"}; !maps.Equal(typed.Labels, want) || !maps.Equal(untyped.GetLabels(), want) {
		t.Errorf("the component's own objects have the labels %v and %v", typed.Labels, untyped.GetLabels())
	}
}

// TestOwnerRefused: an object belongs to one Tree, and an ID is a label value.
func TestOwnerRefused(t *testing.T) {
	mine, theirs := config("mine", nil), &corev1.ConfigMap{}
	*theirs = *config("theirs", nil)
	mine.Labels = map[string]string{render.OwnerLabel: "shop-test"}
	theirs.Labels = map[string]string{render.OwnerLabel: "another"}
	tr := tree(mine)
	tr.ID = "shop-test"
	if _, _, err := tr.Files(); err != nil {
		t.Errorf("the tree's own label: %v", err)
	}
	tr = tree(theirs)
	tr.ID = "shop-test"
	if _, _, err := tr.Files(); err == nil || !strings.Contains(err.Error(), `apps/more.yaml: ConfigMap ns/theirs: metadata.labels[fleet/tree]: `) || !strings.Contains(err.Error(), `"another" is another tree than "shop-test"`) {
		t.Errorf("another tree's label: %v", err)
	}
	for _, id := range []string{"a b", strings.Repeat("x", 64), "-a"} {
		tr = tree()
		tr.ID = id
		if _, _, err := tr.Files(); err == nil || !strings.Contains(err.Error(), "tree: id \""+id+"\": ") {
			t.Errorf("the id %q: %v", id, err)
		}
	}
}
