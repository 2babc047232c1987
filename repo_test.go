// Package fleet_test holds the repository to its own rules.
package fleet_test

import (
	"bytes"
	"flag"
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"

	"git.lastcloud.io/ronnibaslund/dezky/fleet/golden"
)

var update = flag.Bool("update", false, "accept the dependencies: write their lists")

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

// TestGolden compares what each room imports, directly and through
// others, with a committed list, so that a heavy import is seen in review.
func TestGolden(t *testing.T) {
	for _, tc := range []struct{ pkg, list, format string }{
		{"./components", "components/testdata/dependencies.txt", "{{if not .Standard}}{{.ImportPath}}{{end}}"},
		{"./deploy", "deploy/testdata/modules.txt", "{{with .Module}}{{.Path}}{{end}}"},
		{"./render", "render/testdata/dependencies.txt", "{{if not .Standard}}{{.ImportPath}}{{end}}"},
		// With Traefik's types the packages are too many to read: their modules.
		{"./cmd/render", "cmd/render/testdata/modules.txt", "{{with .Module}}{{.Path}}{{end}}"},
	} {
		got := strings.Join(goList(t, "-deps", "-f", tc.format, tc.pkg), "\n") + "\n"
		golden.File(t, tc.list, []byte(got), *update)
	}
}

// TestExampleLines: the READMEs say how long the files of the example layers
// are.
func TestExampleLines(t *testing.T) {
	top, err := os.ReadFile("README.md")
	if err != nil {
		t.Fatal(err)
	}
	row := regexp.MustCompile("(?m)^\\| `([^`]+)` \\| (\\d+) \\|")
	readmes, err := filepath.Glob("examples/*/README.md")
	if err != nil || len(readmes) == 0 {
		t.Fatalf("%d READMEs: %v", len(readmes), err)
	}
	for _, readme := range readmes {
		text, err := os.ReadFile(readme)
		if err != nil {
			t.Fatal(err)
		}
		dir := filepath.Dir(readme)
		for i, m := range row.FindAllStringSubmatch(string(text), -1) {
			source, err := os.ReadFile(filepath.Join(dir, m[1]))
			if err != nil {
				t.Error(err)
				continue
			}
			n := strconv.Itoa(bytes.Count(source, []byte("\n")))
			if n != m[2] {
				t.Errorf("%s: %s has %s lines, not %s", readme, m[1], n, m[2])
			}
			if said := regexp.MustCompile("\\[`" + dir + "`\\][^\\[]* in " + n + " lines"); i == 0 && !said.Match(top) {
				t.Errorf("README.md does not say that %s is in %s lines", dir, n)
			}
		}
	}
}

// TestWriteALayer follows the page word by word, but for the module, which it
// takes from here: its files make a layer whose goldens are accepted once and
// hold then.
func TestWriteALayer(t *testing.T) {
	page, err := os.ReadFile("docs/write-a-layer.md")
	if err != nil {
		t.Fatal(err)
	}
	here, err := os.Getwd()
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	write := func(name string, text []byte) {
		path := filepath.Join(dir, filepath.FromSlash(name))
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, text, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	files := regexp.MustCompile("(?m)^`([^`]+)`[^`\n]*:\n\n```[a-z]*\n((?s:.*?))^```$").FindAllSubmatch(page, -1)
	if len(files) != 5 {
		t.Fatalf("%d files", len(files))
	}
	for _, f := range files {
		write(string(f[1]), f[2])
	}
	// The requirements of a layer that is here, so that nothing is fetched.
	for _, name := range []string{"go.mod", "go.sum"} {
		text, err := os.ReadFile(filepath.Join("examples", "data", name))
		if err != nil {
			t.Fatal(err)
		}
		text = bytes.Replace(text, []byte("module example.com/fleet-data"), []byte("module git.example.com/team/mail"), 1)
		write(name, bytes.Replace(text, []byte("=> ../.."), []byte("=> "+here), 1))
	}
	run := func(name string, args ...string) string {
		cmd := exec.Command(name, args...)
		cmd.Dir, cmd.Env = dir, append(os.Environ(), "GOFLAGS=-mod=mod", "GOPROXY=off", "GOWORK=off")
		out, err := cmd.CombinedOutput()
		if err != nil {
			t.Fatalf("%s %s: %v\n%s", name, strings.Join(args, " "), err, out)
		}
		return string(out)
	}
	run("go", "vet", "./...")
	run("go", "test", "-c", "-o", "layer.test", ".")
	run("./layer.test", "-update")
	run("./layer.test")
	worker, err := os.ReadFile(filepath.Join(dir, "golden", "mail", "mailer.yaml"))
	if err != nil || !bytes.Contains(worker, []byte("readOnlyRootFilesystem: true")) {
		t.Errorf("the worker is not hardened: %v\n%s", err, worker)
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
		{"./components/nuxt", []string{module + "/render$", module + "/apps", "sigs.k8s.io/yaml", "github.com/traefik/"}},
		{"./components/secret", []string{module + "/components$", module + "/render$", module + "/apps", "sigs.k8s.io/yaml", "github.com/traefik/"}},
		{"./secrets", []string{module + "/deploy", "k8s.io/client-go", module + "/components$", module + "/apps", "github.com/traefik/"}},
		{"./render/object", []string{module + "/components", module + "/apps", module + "/render$", "k8s.io/api/", "sigs.k8s.io/yaml"}},
		{"./render/manifest", []string{module + "/components", module + "/apps", module + "/render$", "k8s.io/api/"}},
		{"./render/domain", []string{module + "/components", module + "/apps", module + "/render$", module + "/render/object", "k8s.io/api/", "sigs.k8s.io/yaml"}},
		{"./render/check", []string{module + "/components", module + "/apps", module + "/render$", "sigs.k8s.io/yaml", "k8s.io/client-go", "github.com/traefik/", "github.com/owenrumney/"}},
		{"./render/check/report", []string{module + "/components", module + "/apps", module + "/render$", "k8s.io/client-go", "github.com/traefik/"}},
		{"./render/placeholder", []string{module + "/components", module + "/apps", module + "/render$", module + "/render/object", "k8s.io/", "sigs.k8s.io/"}},
		{"./render/diff", []string{module + "/components", module + "/apps", module + "/render$", "k8s.io/api/", "k8s.io/client-go"}},
		{"./render/plan", []string{module + "/components$", module + "/apps", module + "/golden", module + "/deploy", "k8s.io/client-go/kubernetes$", "sigs.k8s.io/controller-runtime", "github.com/fluxcd/", "github.com/traefik/"}},
		{"./render/plan/apischema", []string{module + "/components", module + "/apps", module + "/render$", "k8s.io/client-go/kubernetes$", "sigs.k8s.io/controller-runtime", "github.com/fluxcd/", "github.com/traefik/"}},
		{"./render/plan/order", []string{module + "/components", module + "/apps", module + "/render$", module + "/internal", "k8s.io/client-go", "github.com/traefik/", "sigs.k8s.io/yaml"}},
		{"./render/plan/consequence", []string{module + "/components", module + "/apps", module + "/render$", module + "/internal", "k8s.io/client-go", "github.com/traefik/", "sigs.k8s.io/yaml"}},
		{"./render", []string{module + "/components$", module + "/components/nuxt", module + "/components/traefik", module + "/components/authentik", module + "/components/gitea", module + "/apps", "sigs.k8s.io/yaml", "github.com/traefik/"}},
		{"./render/readme", []string{module + "/components$", module + "/secrets", module + "/apps", module + "/golden", "sigs.k8s.io/yaml", "github.com/traefik/"}},
		{"./golden", []string{module + "/components$", module + "/apps", "k8s.io/client-go", "github.com/traefik/"}},
		{"./deploy", []string{module + "/components$", module + "/apps", "github.com/traefik/"}},
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
	for path, file := range sources(t) {
		if dir := filepath.Dir(path); !strings.HasSuffix(path, "_test.go") {
			docs[dir] = docs[dir] || file.Doc != nil
		}
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

// TestUpdate: `make golden` runs the tests whose name begins with TestGolden in
// each package that has a flag -update, so no other test may look at it. And
// the flag is a test's own: a package that registers flags meets those of the
// program that imports it.
func TestUpdate(t *testing.T) {
	found := 0
	for path, file := range sources(t) {
		test := strings.HasSuffix(path, "_test.go")
		ast.Inspect(file, func(n ast.Node) bool {
			if f, ok := n.(*ast.FuncDecl); ok && strings.HasPrefix(f.Name.Name, "TestGolden") && test {
				return false
			}
			if star, ok := n.(*ast.StarExpr); ok && test {
				if id, ok := star.X.(*ast.Ident); ok && id.Name == "update" {
					t.Errorf("%s: *update outside of a test whose name begins with TestGolden", path)
				}
			}
			call, ok := n.(*ast.CallExpr)
			if !ok {
				return true
			}
			sel, ok := call.Fun.(*ast.SelectorExpr)
			if !ok {
				return true
			}
			if id, ok := sel.X.(*ast.Ident); !ok || id.Name != "flag" || sel.Sel.Name == "NewFlagSet" {
				return true
			}
			found++
			if !test && file.Name.Name != "main" {
				t.Errorf("%s: flag.%s registers a flag in every program that imports the package", path, sel.Sel.Name)
			}
			return true
		})
	}
	if found < 4 {
		t.Errorf("found %d flags only: the test looks at nothing", found)
	}
}

// sources are the Go files of the repository by path, those of the modules in
// its folders with them.
func sources(t *testing.T) map[string]*ast.File {
	t.Helper()
	files := make(map[string]*ast.File)
	err := filepath.WalkDir(".", func(path string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		if d.IsDir() && (strings.HasPrefix(d.Name(), ".") && path != "." || d.Name() == "testdata" || d.Name() == "node_modules") {
			return fs.SkipDir
		}
		if strings.HasSuffix(path, ".go") {
			files[path], err = parser.ParseFile(token.NewFileSet(), path, nil, parser.ParseComments)
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return files
}
