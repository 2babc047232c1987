package check_test

import (
	"bytes"
	"encoding/json"
	"flag"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/rogpeppe/go-internal/txtar"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"

	"git.lastcloud.io/ronnibaslund/dezky/fleet/golden"
	"git.lastcloud.io/ronnibaslund/dezky/fleet/internal/anyvalue"
	"git.lastcloud.io/ronnibaslund/dezky/fleet/render/check"
	"git.lastcloud.io/ronnibaslund/dezky/fleet/render/manifest"
	"git.lastcloud.io/ronnibaslund/dezky/fleet/render/object"
)

var update = flag.Bool("update", false, "accept what the rules find: write it into testdata/rules")

// TestGolden puts the manifests of testdata/rules/ID.txtar to all rules, and
// looks at what the rule ID finds: in a file NAME.yaml what stands in
// NAME.txt, in every other manifest nothing. What other rules find there does
// not count, so that a manifest holds what its rule is about and no more;
// TestHealthy counts it all. What stands in elsewhere.yaml exists elsewhere, and
// what components promise stands in guarantees.json.
func TestGolden(t *testing.T) {
	for _, rule := range check.Rules() {
		t.Run(rule.ID, func(t *testing.T) {
			path := filepath.Join("testdata", "rules", rule.ID+".txtar")
			archive, err := txtar.ParseFile(path)
			if err != nil {
				t.Fatalf("a rule has a planted fault and a healthy neighbour: %v", err)
			}
			files := make(map[string][]byte)
			for _, f := range archive.Files {
				files[f.Name] = f.Data
			}
			var elsewhere []*check.Elsewhere
			for _, o := range read(t, "elsewhere.yaml", files["elsewhere.yaml"]) {
				declared := check.Declare(o.Object)
				elsewhere = append(elsewhere, &declared)
			}
			var guarantees []object.Guarantee
			if text, ok := files["guarantees.json"]; ok {
				if err := json.Unmarshal(text, &guarantees); err != nil {
					t.Fatal(err)
				}
			}
			faults, healthy := 0, 0
			for i, f := range archive.Files {
				name, ok := strings.CutSuffix(f.Name, ".yaml")
				if !ok || name == "elsewhere" {
					continue
				}
				objects := read(t, f.Name, f.Data)
				for _, g := range guarantees {
					for _, o := range objects {
						if object.IDOf(o.Object) == g.Of {
							o.Guarantees = append(o.Guarantees, g)
						}
					}
				}
				findings := slices.DeleteFunc(run(t, objects, elsewhere), func(f object.Finding) bool { return f.Rule != rule.ID })
				var got strings.Builder
				for _, finding := range findings {
					got.WriteString(finding.Severity.String() + " " + finding.Rule + ": " + finding.Error() + "\n")
				}
				if _, planted := files[name+".txt"]; !planted {
					healthy++
					if got.Len() > 0 {
						t.Errorf("%s is healthy, and is refused:\n%s", f.Name, &got)
					}
					continue
				}
				faults++
				if len(findings) == 0 {
					t.Errorf("%s: the fault is not found", f.Name)
				}
				archive.Files[i+1].Data = []byte(got.String())
			}
			if faults == 0 || healthy == 0 {
				t.Errorf("%s has %d planted faults and %d healthy neighbours: give it one of each", path, faults, healthy)
			}
			golden.File(t, path, txtar.Format(archive), *update)
		})
	}
}

// TestHealthy puts manifests that are as they should be to all rules: nothing
// is found, not even a note.
func TestHealthy(t *testing.T) {
	files, err := filepath.Glob("testdata/healthy/*.yaml")
	if err != nil || len(files) == 0 {
		t.Fatalf("no healthy manifests: %v", err)
	}
	for _, file := range files {
		text, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		for _, f := range run(t, read(t, filepath.Base(file), text), nil) {
			t.Errorf("%s %s: %v", f.Severity, f.Rule, f)
		}
	}
}

// run puts objects to all rules. Those that say that they judge each object
// alone must find the same when they get one after the other.
func run(t *testing.T, objects []*check.Object, elsewhere []*check.Elsewhere) object.Findings {
	t.Helper()
	findings := check.Run(check.NewSet(objects, elsewhere), check.Rules()).Findings
	single := check.RunInParts(check.NewSet(objects, elsewhere), check.Rules(), 1).Findings
	if diff := cmp.Diff(findings, single); diff != "" {
		t.Errorf("a rule that is Alone looks at other objects:\n%s", diff)
	}
	return findings
}

// read returns the objects of a test file.
func read(t *testing.T, name string, text []byte) []*check.Object {
	t.Helper()
	documents, err := manifest.Read(bytes.NewReader(text))
	if err != nil {
		t.Fatalf("%s: %v", name, err)
	}
	var objects []*check.Object
	for _, d := range documents {
		objects = append(objects, &check.Object{Object: d.Object, File: name, Line: d.Line})
	}
	return objects
}

// TestEveryRuleIsDescribed: a rule has a name, a document and a source, each
// its own.
func TestEveryRuleIsDescribed(t *testing.T) {
	seen := make(map[string]bool)
	for _, r := range check.Rules() {
		if r.ID == "" || r.Doc == "" || r.Source == "" || r.Run == nil {
			t.Errorf("rule %q lacks its name, its document, its source or what it does", r.ID)
		}
		if seen[r.ID] {
			t.Errorf("two rules are named %s", r.ID)
		}
		seen[r.ID] = true
	}
	files, err := filepath.Glob("testdata/rules/*.txtar")
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range files {
		if id := strings.TrimSuffix(filepath.Base(f), ".txtar"); !seen[id] {
			t.Errorf("%s: there is no rule %s", f, id)
		}
	}
}

// TestSamePriority: which of two paths of one priority Traefik takes is chance,
// and so stands here and not in testdata, which e2e holds to Traefik.
func TestSamePriority(t *testing.T) {
	objects := read(t, "f.yaml", []byte(`apiVersion: networking.k8s.io/v1
kind: Ingress
metadata: {name: web, namespace: ns, annotations: {traefik.ingress.kubernetes.io/router.priority: "5"}}
spec:
  rules:
  - {host: web.example.com, http: {paths: [{path: /api, pathType: Prefix, backend: {service: {name: api, port: {number: 80}}}}]}}
  - {http: {paths: [{pathType: ImplementationSpecific, backend: {service: {name: web, port: {number: 80}}}}]}}
`))
	findings := slices.DeleteFunc(run(t, objects, nil), func(f object.Finding) bool { return f.Rule != "path-shadowed" })
	const want = "it is chance whether Traefik takes every address of Ingress ns/web for it: the priority, which is the length of the rule unless stated, is 5 for both"
	if len(findings) != 1 || findings[0].Field != "spec.rules[0].http.paths[0]" || findings[0].Problem != want {
		t.Errorf("findings: %v\nwant %s", findings, want)
	}
}

// TestAnyValue: no rule panics where a list stands in the place of any value of
// the manifests in testdata.
func TestAnyValue(t *testing.T) {
	t.Parallel()
	files, err := filepath.Glob("testdata/rules/*.txtar")
	if err != nil || len(files) == 0 {
		t.Fatalf("no manifests: %v", err)
	}
	for _, file := range files {
		archive, err := txtar.ParseFile(file)
		if err != nil {
			t.Fatal(err)
		}
		for _, f := range archive.Files {
			if filepath.Ext(f.Name) != ".yaml" {
				continue
			}
			objects := read(t, f.Name, f.Data)
			for _, o := range objects {
				u := o.Object.(*unstructured.Unstructured)
				anyvalue.Each(u.Object, func() {
					var copies []*check.Object
					for _, o := range objects {
						copies = append(copies, &check.Object{Object: o.Object.(*unstructured.Unstructured).DeepCopy()})
					}
					for _, f := range check.Run(check.NewSet(copies, nil), check.Rules()).Findings {
						if strings.Contains(f.Problem, "panic:") {
							t.Errorf("%s: %v:\n%v", file, f, u.Object)
						}
					}
				})
			}
		}
	}
}

// TestPanic: a rule that panics is a finding, and the others go on.
func TestPanic(t *testing.T) {
	rules := append([]check.Rule{{ID: "broken", Run: func(*check.Pass) { panic("out of luck") }}}, check.Rules()...)
	objects := read(t, "f.yaml", []byte("apiVersion: v1\nkind: Secret\nmetadata: {name: a, namespace: ns}\nstringData: {a: b}\n"))
	findings := check.Run(check.NewSet(objects, nil), rules).Findings
	if len(findings) != 2 || findings[0].Error() != "the rule broken: panic: out of luck" || findings[1].Rule != "secret-value" {
		t.Errorf("findings: %v", findings)
	}
}
