package mutant_test

import (
	"flag"
	"fmt"
	"maps"
	"os"
	"regexp"
	"slices"
	"strings"
	"sync"
	"testing"

	"sigs.k8s.io/yaml"

	"git.lastcloud.io/ronnibaslund/dezky/fleet/apps"
	"git.lastcloud.io/ronnibaslund/dezky/fleet/internal/mutant"
	"git.lastcloud.io/ronnibaslund/dezky/fleet/render/check/report"
)

var all = flag.Bool("all", false, "check all mutants, where a part of them is checked else: half a minute on two cores")

// survivors say which mutants the checks may pass over, and why.
type survivors struct {
	// Change is the kind of change.
	Change string
	// Reason for which no check finds it, or it breaks nothing.
	Reason string
	// Fields in which none is found; a star stands for any text.
	Fields []string
	// Some are fields in which some are found and others are not.
	Some []string
}

type reason struct {
	field *regexp.Regexp
	text  string
	some  bool
	used  bool
}

// reasons reads testdata/survivors.yaml, by the kind of change.
func reasons(t *testing.T) map[string][]*reason {
	t.Helper()
	text, err := os.ReadFile("testdata/survivors.yaml")
	if err != nil {
		t.Fatal(err)
	}
	var list []survivors
	if err := yaml.UnmarshalStrict(text, &list); err != nil {
		t.Fatal(err)
	}
	by := make(map[string][]*reason)
	for _, s := range list {
		if s.Reason == "" || len(s.Fields)+len(s.Some) == 0 {
			t.Errorf("%s: a reason and its fields belong together: %+v", s.Change, s)
		}
		for i, f := range append(s.Fields, s.Some...) {
			pattern := strings.ReplaceAll(regexp.QuoteMeta(f), `\*`, `.*`)
			by[s.Change] = append(by[s.Change], &reason{field: regexp.MustCompile("^" + pattern + "$"), text: f, some: i >= len(s.Fields)})
		}
	}
	return by
}

// TestMutants breaks manifests, one thing at a time, and looks whether the
// command check finds it. What it does not find has a reason in
// testdata/survivors.yaml.
func TestMutants(t *testing.T) {
	clusters, err := mutant.Clusters("../..", t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	picked := mutant.Pick(clusters)
	because := reasons(t)
	command := report.Command{Name: "check", Elsewhere: apps.Elsewhere()}
	type count struct{ mutants, errors, warnings, notes int }
	counts := make(map[string]*count)
	var total count
	for _, c := range mutant.Changes {
		counts[c.Name] = &count{}
	}
	unexplained := make(map[string]mutant.Mutant)
	// Of the frozen clusters, by change and field: what was found, and the
	// reason for what was not.
	type field struct{ change, name string }
	found, passed := make(map[field]bool), make(map[field]*reason)
	for _, c := range clusters {
		list := picked[c]
		if !*all {
			some := list[:0:0]
			for i := 0; i < len(list); i += 20 {
				some = append(some, list[i])
			}
			list = some
		}
		var mu sync.Mutex
		err := c.Each(command, t.TempDir(), list, func(m mutant.Placed, findings []mutant.Finding) {
			mu.Lock()
			defer mu.Unlock()
			n := counts[m.Change]
			n.mutants++
			at := field{m.Change, m.Field}
			if c.Frozen && len(findings) > 0 {
				found[at] = true
			}
			switch mutant.Worst(findings) {
			case "error":
				n.errors++
				return
			case "warning":
				n.warnings++
				return
			case "note":
				n.notes++
				return
			}
			explained := false
			for _, r := range because[m.Change] {
				if r.field.MatchString(m.Field) {
					explained = true
					if c.Frozen {
						r.used = true
						passed[at] = r
					}
				}
			}
			if !explained {
				unexplained[m.Change+" "+m.Field] = m.Mutant
			}
		})
		if err != nil {
			t.Fatal(err)
		}
	}
	for _, key := range slices.Sorted(maps.Keys(unexplained)) {
		t.Errorf("not found, and testdata/survivors.yaml has no reason: %s %s\n\t%s", unexplained[key].Change, unexplained[key].Field, unexplained[key])
	}
	if *all {
		for at, r := range passed {
			if r.some != found[at] {
				t.Errorf("testdata/survivors.yaml: %s %s: some are found: %v, and the line %q says %v", at.change, at.name, found[at], r.text, r.some)
			}
		}
		for _, change := range slices.Sorted(maps.Keys(because)) {
			for _, r := range because[change] {
				if !r.used {
					t.Errorf("testdata/survivors.yaml: %s %s: every such mutant of the frozen manifests is found: take the line out", change, r.text)
				}
			}
		}
	}
	var table strings.Builder
	row := func(name string, n count, does string) {
		found := n.errors + n.warnings + n.notes
		fmt.Fprintf(&table, "%-9s %5d mutants, found %5d (%3d%%): %5d as errors, %4d as warnings, %3d as notes. %s\n", name, n.mutants, found, 100*found/max(n.mutants, 1), n.errors, n.warnings, n.notes, does)
	}
	for _, c := range mutant.Changes {
		n := counts[c.Name]
		total.mutants += n.mutants
		total.errors += n.errors
		total.warnings += n.warnings
		total.notes += n.notes
		row(c.Name, *n, c.Does)
	}
	row("all", total, "The rest has a reason in testdata/survivors.yaml.")
	t.Logf("\n%s", &table)
}
