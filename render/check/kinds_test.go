package check_test

import (
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"os/exec"
	"path/filepath"
	"reflect"
	"strings"
	"testing"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/client-go/kubernetes/scheme"

	"git.lastcloud.io/ronnibaslund/dezky/fleet/render/check"
	"git.lastcloud.io/ronnibaslund/dezky/fleet/render/object"
)

// rules returns the rules of these names.
func rules(names ...string) []check.Rule {
	var some []check.Rule
	for _, r := range check.Rules() {
		for _, name := range names {
			if r.ID == name {
				some = append(some, r)
			}
		}
	}
	return some
}

func bare(gvk schema.GroupVersionKind, namespace string) *check.Object {
	o := &unstructured.Unstructured{Object: map[string]any{"metadata": map[string]any{"name": "a"}}}
	o.SetGroupVersionKind(gvk)
	o.SetNamespace(namespace)
	return &check.Object{Object: o}
}

// TestKindsAreKubernetes holds what the rules know of the built-in kinds
// against client-go and the sources of k8s.io/api: every kind of a stable
// version that can be applied is known, with its scope, and every version that
// is gone says so.
func TestKindsAreKubernetes(t *testing.T) {
	clusterWide := clusterKinds(t)
	var minor int
	if _, err := fmt.Sscanf(check.Kubernetes, "v1.%d", &minor); err != nil {
		t.Fatal(err)
	}
	// Kinds that are asked or sent, and never applied.
	never := map[string]bool{
		"TokenReview": true, "TokenRequest": true, "SelfSubjectReview": true, "SubjectAccessReview": true, "SelfSubjectAccessReview": true,
		"SelfSubjectRulesReview": true, "LocalSubjectAccessReview": true, "RangeAllocation": true, "PodStatusResult": true,
	}
	stable, gone := 0, 0
	for gvk, goType := range scheme.Scheme.AllKnownTypes() {
		o, isObject := reflect.New(goType).Interface().(object.Object)
		if !isObject || never[gvk.Kind] || gvk.Version == "__internal" {
			continue
		}
		findings := check.Run(check.NewSet([]*check.Object{bare(gvk, "ns")}, nil), rules("kind", "scope", "api-version")).Findings
		if r, ok := o.(interface{ APILifecycleRemoved() (int, int) }); ok {
			major, at := r.APILifecycleRemoved()
			if major != 1 || at > minor || strings.HasSuffix(gvk.Kind, "Rollback") || gvk.Kind == "Scale" {
				continue
			}
			// Versions that nothing took the place of yet, or that no cluster
			// had without being asked, are left alone.
			instead, ok := o.(interface {
				APILifecycleReplacement() schema.GroupVersionKind
			})
			if !ok {
				continue
			}
			gone++
			want := fmt.Sprintf("%s has no %s since Kubernetes 1.%d: write it as %s/v", gvk.GroupVersion(), gvk.Kind, at, instead.APILifecycleReplacement().Group)
			if len(findings) != 1 || !strings.Contains(findings[0].Error(), want) || strings.Contains(findings[0].Remedy, "beta") {
				t.Errorf("%s: found %v, want %s", gvk, findings, want)
			}
			continue
		}
		if strings.Contains(gvk.Version, "alpha") || strings.Contains(gvk.Version, "beta") || gvk.Group == "imagepolicy.k8s.io" {
			continue
		}
		stable++
		path := strings.TrimPrefix(goType.PkgPath(), "k8s.io/api/")
		if got, want := len(findings) > 0, clusterWide[path+"."+gvk.Kind]; got != want {
			t.Errorf("%s of the whole cluster: %v, found %v", gvk, want, findings)
		}
	}
	if stable < 40 || gone < 30 {
		t.Errorf("looked at %d stable kinds and %d that are gone: is something left out?", stable, gone)
	}
}

// clusterKinds reads from the sources of k8s.io/api which kinds belong to the
// whole cluster.
func clusterKinds(t *testing.T) map[string]bool {
	t.Helper()
	dir, err := exec.Command("go", "list", "-m", "-f", "{{.Dir}}", "k8s.io/api").Output()
	if err != nil {
		t.Fatal(err)
	}
	root := strings.TrimSpace(string(dir))
	files, err := filepath.Glob(filepath.Join(root, "*", "v*", "types.go"))
	if err != nil || len(files) == 0 {
		t.Fatalf("no types in %s: %v", root, err)
	}
	all := make(map[string]bool)
	for _, file := range files {
		path, err := filepath.Rel(root, filepath.Dir(file))
		if err != nil {
			t.Fatal(err)
		}
		parsed, err := parser.ParseFile(token.NewFileSet(), file, nil, parser.ParseComments)
		if err != nil {
			t.Fatal(err)
		}
		// The marks stand in a comment of their own, above the one of the type.
		for _, d := range parsed.Decls {
			g, ok := d.(*ast.GenDecl)
			if !ok || g.Tok != token.TYPE {
				continue
			}
			name := g.Specs[0].(*ast.TypeSpec).Name.Name
			for _, c := range parsed.Comments {
				if distance := g.Pos() - c.End(); distance > 0 && !between(parsed, c.End(), g.Pos()) && strings.Contains(text(c), "+genclient:nonNamespaced") {
					all[filepath.ToSlash(path)+"."+name] = true
				}
			}
		}
	}
	return all
}

func text(g *ast.CommentGroup) string {
	var b strings.Builder
	for _, c := range g.List {
		b.WriteString(c.Text + "\n")
	}
	return b.String()
}

// between reports whether a declaration lies between two places.
func between(f *ast.File, from, to token.Pos) bool {
	for _, d := range f.Decls {
		if d.Pos() > from && d.Pos() < to {
			return true
		}
	}
	return false
}

// TestKindOfGoType: the TypeMeta of a Go object names its type.
func TestKindOfGoType(t *testing.T) {
	wrong := &appsv1.StatefulSet{TypeMeta: metav1.TypeMeta{APIVersion: "apps/v1", Kind: "Deployment"}, ObjectMeta: metav1.ObjectMeta{Namespace: "ns", Name: "a"}}
	right := &corev1.Service{TypeMeta: metav1.TypeMeta{APIVersion: "v1", Kind: "Service"}, ObjectMeta: metav1.ObjectMeta{Namespace: "ns", Name: "a"}}
	findings := check.Run(check.NewSet([]*check.Object{{Object: wrong}, {Object: right}}, nil), rules("kind")).Findings
	want := "Deployment ns/a: kind: is Deployment, and the Go object is *v1.StatefulSet: the TypeMeta must name the type"
	if len(findings) != 1 || findings[0].Error() != want {
		t.Errorf("found %v, want %s", findings, want)
	}
}

// TestSize: what is too large is planted here, where it needs no large file.
func TestSize(t *testing.T) {
	config := func(size int) *check.Object {
		return &check.Object{Object: &corev1.ConfigMap{
			TypeMeta:   metav1.TypeMeta{APIVersion: "v1", Kind: "ConfigMap"},
			ObjectMeta: metav1.ObjectMeta{Namespace: "ns", Name: "a", Annotations: map[string]string{"a": strings.Repeat("x", size/4)}},
			Data:       map[string]string{"a": strings.Repeat("x", size)},
		}}
	}
	if f := check.Run(check.NewSet([]*check.Object{config(1<<20 - 10)}, nil), rules("size", "label")).Findings; len(f) > 0 {
		t.Errorf("1 MiB is refused: %v", f)
	}
	findings := check.Run(check.NewSet([]*check.Object{config(1<<20 + 1)}, nil), rules("size", "label")).Findings
	want := `ConfigMap ns/a: metadata.annotations: have 262145 bytes, and may have 262144
ConfigMap ns/a: data: has 1048577 bytes, and may have 1048576: split it, or bring large files by a volume`
	if findings.Error() != want {
		t.Errorf("found\n%v\nwant\n%s", findings, want)
	}
}
