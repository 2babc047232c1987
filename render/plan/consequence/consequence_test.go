package consequence_test

import (
	"bytes"
	"flag"
	"fmt"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/rogpeppe/go-internal/txtar"

	"git.lastcloud.io/ronnibaslund/dezky/fleet/golden"
	"git.lastcloud.io/ronnibaslund/dezky/fleet/internal/anyvalue"
	"git.lastcloud.io/ronnibaslund/dezky/fleet/render/manifest"
	"git.lastcloud.io/ronnibaslund/dezky/fleet/render/object"
	"git.lastcloud.io/ronnibaslund/dezky/fleet/render/plan/consequence"
)

var update = flag.Bool("update", false, "accept what the rules say: write it into testdata")

// TestGoldenPairs compares the pairs of testdata. A pair has a name, what was in
// NAME/from.yaml or in files below NAME/from/, what is in NAME/to likewise, and
// in NAME/want what must be said, and nothing besides.
func TestGoldenPairs(t *testing.T) {
	paths, err := filepath.Glob("testdata/*.txtar")
	if err != nil || len(paths) == 0 {
		t.Fatalf("no pairs: %v", err)
	}
	said := make(map[string]bool)
	silent := 0
	for _, path := range paths {
		archive, err := txtar.ParseFile(path)
		if err != nil {
			t.Fatal(err)
		}
		was, is := make(map[string][]consequence.Object), make(map[string][]consequence.Object)
		for i, f := range archive.Files {
			parts := strings.SplitN(f.Name, "/", 2)
			if len(parts) != 2 {
				t.Fatalf("%s: %s is in no pair", path, f.Name)
			}
			pair, name := parts[0], parts[1]
			side, file, _ := strings.Cut(strings.TrimSuffix(name, ".yaml"), "/")
			switch side {
			case "from":
				was[pair] = append(was[pair], read(t, f.Name, file, f.Data)...)
			case "to":
				is[pair] = append(is[pair], read(t, f.Name, file, f.Data)...)
			case "want":
				t.Run(strings.TrimSuffix(filepath.Base(path), ".txtar")+"/"+pair, func(t *testing.T) {
					var got strings.Builder
					for _, c := range consequence.Of(was[pair], is[pair]) {
						fmt.Fprintf(&got, "%s %s: %s\n", c.Severity, c.Rule, c)
						said[c.Rule] = true
					}
					if got.Len() == 0 {
						silent++
					}
					archive.Files[i].Data = []byte(got.String())
				})
			default:
				t.Fatalf("%s: %s is neither from, to nor want", path, f.Name)
			}
		}
		t.Run(filepath.Base(path), func(t *testing.T) { golden.File(t, path, txtar.Format(archive), *update) })
	}
	for _, r := range consequence.Rules() {
		if !said[r.ID] {
			t.Errorf("no pair makes the rule %s say anything", r.ID)
		}
		if r.Doc == "" || r.Source == "" {
			t.Errorf("the rule %s lacks its document or its source", r.ID)
		}
	}
	if silent == 0 {
		t.Error("no pair is without consequences")
	}
}

func read(t *testing.T, name, file string, text []byte) []consequence.Object {
	t.Helper()
	documents, err := manifest.Read(bytes.NewReader(text))
	if err != nil {
		t.Fatalf("%s: %v", name, err)
	}
	var objects []consequence.Object
	for _, d := range documents {
		objects = append(objects, consequence.Object{ID: object.IDOf(d.Object), File: file, Fields: d.Object.Object})
	}
	return objects
}

// TestOrder: the worst comes first, whatever the order of the objects, and the
// same objects say the same.
func TestOrder(t *testing.T) {
	archive, err := txtar.ParseFile("testdata/move.txtar")
	if err != nil {
		t.Fatal(err)
	}
	sides := make(map[string][]consequence.Object)
	for _, f := range archive.Files {
		if parts := strings.SplitN(f.Name, "/", 3); parts[0] == "kustomize" && parts[1] != "want" {
			side := strings.TrimSuffix(parts[1], ".yaml")
			sides[side] = append(sides[side], read(t, f.Name, strings.Join(parts[2:], "/"), f.Data)...)
		}
	}
	first := consequence.Of(sides["from"], sides["to"])
	if len(first) < 10 {
		t.Fatalf("only %d consequences", len(first))
	}
	if !slices.IsSortedFunc(first, func(a, b consequence.Consequence) int { return int(a.Severity) - int(b.Severity) }) {
		t.Error("the worst is not first")
	}
	slices.Reverse(sides["from"])
	slices.Reverse(sides["to"])
	for range 10 {
		if again := consequence.Of(sides["from"], sides["to"]); !slices.Equal(first, again) {
			t.Fatalf("another order of the same objects says\n%v\nand not\n%v", again, first)
		}
	}
}

func TestSeverity(t *testing.T) {
	for s := consequence.Refused; s <= consequence.Restarts; s++ {
		if got, err := consequence.ParseSeverity(s.String()); err != nil || got != s {
			t.Errorf("%s is read as %v, error %v", s, got, err)
		}
	}
	if _, err := consequence.ParseSeverity("fatal"); err == nil || !strings.HasPrefix(err.Error(), `"fatal" is no severity: say refused, down, `) {
		t.Errorf("fatal: %v", err)
	}
}

// TestAnyValue: a rule takes any value for what it is. Each value of each pair
// becomes a list, one after the other, and nothing panics.
func TestAnyValue(t *testing.T) {
	t.Parallel()
	paths, err := filepath.Glob("testdata/*.txtar")
	if err != nil || len(paths) == 0 {
		t.Fatalf("no pairs: %v", err)
	}
	for _, path := range paths {
		archive, err := txtar.ParseFile(path)
		if err != nil {
			t.Fatal(err)
		}
		sides := make(map[string]*[2][]consequence.Object) // of a pair: from and to
		for _, f := range archive.Files {
			pair, name, _ := strings.Cut(f.Name, "/")
			if sides[pair] == nil {
				sides[pair] = new([2][]consequence.Object)
			}
			for i, side := range []string{"from", "to"} {
				if strings.HasPrefix(name, side) {
					sides[pair][i] = append(sides[pair][i], read(t, f.Name, "", f.Data)...)
				}
			}
		}
		for pair, both := range sides {
			for _, o := range slices.Concat(both[0], both[1]) {
				anyvalue.Each(o.Fields, func() {
					defer func() {
						if r := recover(); r != nil {
							t.Errorf("%s: %s: panic: %v: %v", path, pair, r, o.Fields)
						}
					}()
					consequence.Of(both[0], both[1])
				})
			}
		}
	}
}

// TestOddPort: a port that is asked for and the one that is there may be the
// same odd value.
func TestOddPort(t *testing.T) {
	side := func(image string) []consequence.Object {
		return read(t, "odd.yaml", "", []byte(`{apiVersion: apps/v1, kind: Deployment, metadata: {name: web, namespace: ns}, spec: {selector: {matchLabels: {app: web}}, template: {metadata: {labels: {app: web}}, spec: {containers: [{name: web, image: `+image+`, ports: [{name: [http], containerPort: 80}]}]}}}}
---
{apiVersion: v1, kind: Service, metadata: {name: web, namespace: ns}, spec: {selector: {app: web}, ports: [{name: [http], port: 80, targetPort: [http]}]}}
---
{apiVersion: networking.k8s.io/v1, kind: Ingress, metadata: {name: web, namespace: ns}, spec: {rules: [{host: a.example.com, http: {paths: [{path: /, backend: {service: {name: web, port: {name: [http]}}}}]}}]}}
`))
	}
	for _, c := range consequence.Of(side("web:1"), side("web:2")) {
		if c.Rule != "restart" {
			t.Errorf("%s: %s", c.Rule, c)
		}
	}
}
