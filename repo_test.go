// Package fleet_test holds the repository to its own rules.
package fleet_test

import (
	"flag"
	"go/parser"
	"go/token"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

var update = flag.Bool("update", false, "rewrite the lists of dependencies")

const module = "git.lastcloud.io/ronnibaslund/dezky/fleet"

func goList(t *testing.T, args ...string) []string {
	t.Helper()
	out, err := exec.Command("go", append([]string{"list"}, args...)...).Output()
	if err != nil {
		t.Fatalf("go list %s: %v", strings.Join(args, " "), err)
	}
	lines := strings.Fields(string(out))
	slices.Sort(lines)
	return slices.Compact(lines)
}

// TestDependencies compares what each room imports, directly and through
// others, with a committed list, so that a heavy import is seen in review.
func TestDependencies(t *testing.T) {
	for _, tc := range []struct{ pkg, list, format string }{
		{"./components", "components/testdata/dependencies.txt", "{{if not .Standard}}{{.ImportPath}}{{end}}"},
		{"./deploy", "deploy/testdata/modules.txt", "{{with .Module}}{{.Path}}{{end}}"},
		{"./render", "render/testdata/dependencies.txt", "{{if not .Standard}}{{.ImportPath}}{{end}}"},
		// With Traefik's types the packages are too many to read: their modules.
		{"./cmd/render", "cmd/render/testdata/modules.txt", "{{with .Module}}{{.Path}}{{end}}"},
	} {
		got := strings.Join(goList(t, "-deps", "-f", tc.format, tc.pkg), "\n") + "\n"
		if *update {
			if err := os.MkdirAll(filepath.Dir(tc.list), 0o755); err != nil {
				t.Fatal(err)
			}
			if err := os.WriteFile(tc.list, []byte(got), 0o644); err != nil {
				t.Fatal(err)
			}
			continue
		}
		want, err := os.ReadFile(tc.list)
		if err != nil {
			t.Error(err)
		}
		if d := cmp.Diff(strings.Split(string(want), "\n"), strings.Split(got, "\n")); d != "" {
			t.Errorf("the dependencies of %s changed (-%s +now):\n%s\nIf they are worth their weight, accept them: go test . -update", tc.pkg, tc.list, d)
		}
	}
}

// TestDirection: data flows from definitions to files, and imports with it.
func TestDirection(t *testing.T) {
	for _, tc := range []struct {
		pkg       string
		forbidden []string
	}{
		{"./components", []string{module + "/render$", module + "/render/manifest", module + "/render/internal", module + "/apps", module + "/golden", "github.com/traefik/"}},
		{"./components/authentik", []string{module + "/render$", module + "/apps", "github.com/traefik/"}},
		{"./components/gitea", []string{module + "/render$", module + "/apps", "github.com/traefik/"}},
		{"./components/secret", []string{module + "/components$", module + "/render$", module + "/apps", "sigs.k8s.io/yaml", "github.com/traefik/"}},
		{"./secrets", []string{module + "/components$", module + "/apps", "github.com/traefik/"}},
		{"./render/object", []string{module + "/components", module + "/apps", module + "/render$", "k8s.io/api/", "sigs.k8s.io/yaml"}},
		{"./render/manifest", []string{module + "/components", module + "/apps", module + "/render$", "k8s.io/api/"}},
		{"./render/domain", []string{module + "/components", module + "/apps", module + "/render$", module + "/render/object", "k8s.io/api/", "sigs.k8s.io/yaml"}},
		{"./render/check", []string{module + "/components", module + "/apps", module + "/render$", "sigs.k8s.io/yaml", "k8s.io/client-go", "github.com/traefik/", "github.com/owenrumney/"}},
		{"./render/check/report", []string{module + "/components", module + "/apps", module + "/render$", "k8s.io/client-go", "github.com/traefik/"}},
		{"./render/placeholder", []string{module + "/components", module + "/apps", module + "/render$", module + "/render/object", "k8s.io/", "sigs.k8s.io/"}},
		{"./render/diff", []string{module + "/components", module + "/apps", module + "/render$", "k8s.io/api/", "k8s.io/client-go"}},
		{"./render/plan", []string{module + "/components", module + "/apps", module + "/render$", "k8s.io/api/", "k8s.io/client-go", "github.com/traefik/"}},
		{"./render", []string{module + "/components", module + "/apps", "sigs.k8s.io/yaml", "github.com/traefik/"}},
		{"./golden", []string{module + "/components", module + "/apps", "github.com/traefik/"}},
		{"./deploy", []string{module + "/components", module + "/apps", "github.com/traefik/"}},
		// The parent of Traefik's types has its whole provider in it; and only
		// deploy and its commands talk to a cluster.
		{"./cmd/render", []string{"github.com/traefik/traefik/v3/pkg/provider/kubernetes/crd$", module + "/deploy", "github.com/fluxcd/", "sigs.k8s.io/controller-runtime"}},
	} {
		for _, dep := range goList(t, "-deps", tc.pkg) {
			for _, f := range tc.forbidden {
				if exact, ok := strings.CutSuffix(f, "$"); ok && dep == exact || !ok && strings.HasPrefix(dep, f) {
					t.Errorf("%s depends on %s", tc.pkg, dep)
				}
			}
		}
	}
}

// TestPackages: every package says what it is.
func TestPackages(t *testing.T) {
	docs := make(map[string]bool)
	err := filepath.WalkDir(".", func(path string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		if d.IsDir() && (strings.HasPrefix(d.Name(), ".") && path != "." || d.Name() == "testdata") {
			return fs.SkipDir
		}
		if !strings.HasSuffix(path, ".go") || strings.HasSuffix(path, "_test.go") {
			return nil
		}
		file, err := parser.ParseFile(token.NewFileSet(), path, nil, parser.PackageClauseOnly|parser.ParseComments)
		if err != nil {
			return err
		}
		docs[filepath.Dir(path)] = docs[filepath.Dir(path)] || file.Doc != nil
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	if len(docs) < 8 {
		t.Errorf("found %d packages only", len(docs))
	}
	for dir, ok := range docs {
		if !ok {
			t.Errorf("%s: no file of the package has a comment that says what it is", dir)
		}
	}
}

// TestNoReplace: a replace in go.mod does not reach those who import the
// components, so what they build would not be what is tested here.
func TestNoReplace(t *testing.T) {
	text, err := os.ReadFile("go.mod")
	if err != nil {
		t.Fatal(err)
	}
	for line := range strings.Lines(string(text)) {
		if strings.HasPrefix(strings.TrimSpace(line), "replace") {
			t.Errorf("go.mod: %s", line)
		}
	}
}
