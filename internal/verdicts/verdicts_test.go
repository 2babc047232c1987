package verdicts

import (
	"flag"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"testing/fstest"

	"github.com/google/go-cmp/cmp"

	"git.lastcloud.io/ronnibaslund/dezky/fleet/golden"
	"git.lastcloud.io/ronnibaslund/dezky/fleet/render/object"
)

var (
	update   = flag.Bool("update", false, "accept the page, and with -fixtures the verdicts: write them")
	fixtures = flag.Bool("fixtures", false, "read the fixtures, which are downloaded, and compare the verdicts with those of testdata")
	clones   = flag.String("clones", "", "`folder` with a clone of each source that is no Go module, by its name; empty leaves their verdicts as they are")
)

// TestGolden: the page in docs is made from the sources and the verdicts in
// testdata, and with -fixtures the verdicts are those of now.
func TestGolden(t *testing.T) {
	var sections []Section
	for _, name := range Names {
		source, err := Read(os.DirFS("testdata"), name)
		if err != nil {
			t.Fatal(err)
		}
		path := filepath.Join("testdata", name+".txt")
		if *fixtures && (source.Module != "" || *clones != "") {
			cases, err := source.Cases(t.Context(), *clones)
			if err != nil {
				t.Fatal(err)
			}
			verdicts, err := source.Judge(cases)
			if err != nil {
				t.Fatal(err)
			}
			golden.File(t, path, Format(verdicts), *update)
		}
		text, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		verdicts, err := Parse(text)
		if err != nil {
			t.Fatalf("%s: %v", path, err)
		}
		sections = append(sections, Section{source, verdicts})
	}
	page, err := Page(sections)
	if err != nil {
		t.Error(err)
	}
	golden.File(t, "../../docs/verdicts.md", page, *update)
}

const fixture = `apiVersion: v1
kind: Pod
metadata: {name: web}
spec:
  containers:
  - {name: one, image: registry.example.com/one}
  - {name: two, image: "registry.example.com/two:1"}
`

// TestJudge: the rules of a check count, on the object and the container that
// is judged, and no others.
func TestJudge(t *testing.T) {
	pod, other := object.ID{Kind: "Pod", Name: "web"}, object.ID{Kind: "Pod", Name: "other"}
	for _, tc := range []struct {
		name  string
		check Check
		of    Case
		want  string
	}{
		{"found", Check{Rules: []string{"image-tag"}}, Case{}, "image-tag"},
		{"another rule", Check{Rules: []string{"image"}}, Case{}, ""},
		{"the object", Check{Rules: []string{"image-tag"}}, Case{Of: &pod}, "image-tag"},
		{"another object", Check{Rules: []string{"image-tag"}}, Case{Of: &other}, ""},
		{"a namespace that the kind does not have", Check{Rules: []string{"image-tag"}}, Case{Of: &object.ID{Kind: "Pod", Namespace: "ns", Name: "web"}}, "image-tag"},
		{"the container", Check{Rules: []string{"image-tag"}}, Case{Of: &pod, Container: "one"}, "image-tag"},
		{"another container", Check{Rules: []string{"image-tag"}}, Case{Of: &pod, Container: "two"}, ""},
		{"a finding", Check{Rules: []string{"image-tag"}, Finding: "no digest"}, Case{}, "image-tag"},
		{"another finding", Check{Rules: []string{"image-tag"}, Finding: "hostPath"}, Case{}, ""},
		{"a level", Check{Rules: []string{"pod-security"}, Level: "restricted"}, Case{}, "pod-security"},
		{"no level", Check{Rules: []string{"pod-security"}}, Case{}, ""},
		{"two rules", Check{Rules: []string{"namespace-open", "image-tag"}}, Case{}, "image-tag namespace-open"},
	} {
		tc.check.Name, tc.of.Check, tc.of.Text = "theirs", "theirs", []byte(fixture)
		verdicts, err := Source{Checks: []Check{tc.check}}.Judge([]Case{tc.of})
		if err != nil || len(verdicts) != 1 {
			t.Errorf("%s: %v %v", tc.name, verdicts, err)
			continue
		}
		if got := strings.Join(verdicts[0].Found, " "); got != tc.want {
			t.Errorf("%s: found %q, want %q", tc.name, got, tc.want)
		}
	}
}

// TestJudgeRefuses: a fixture of a check that nobody has read is not passed
// over.
func TestJudgeRefuses(t *testing.T) {
	source := Source{Name: "theirs", Checks: []Check{{Name: "known", Why: "style"}}}
	if verdicts, err := source.Judge([]Case{{Check: "known", Name: "a.yaml"}}); len(verdicts) != 0 || err != nil {
		t.Errorf("a check without rules: %v %v", verdicts, err)
	}
	_, err := source.Judge([]Case{{Check: "new", Name: "a.yaml"}})
	if want := "theirs.yaml: the check new is missing, which a.yaml is about: name the rules that answer to it, or why none does"; err == nil || err.Error() != want {
		t.Errorf("error %v, want %s", err, want)
	}
}

// TestPageRefuses: a verdict that differs has a reason, and a reason has a
// verdict that differs.
func TestPageRefuses(t *testing.T) {
	checkOf := func(k Check) Section {
		k.Name = "theirs"
		return Section{Source{Name: "s", Checks: []Check{k}}, []Verdict{
			{Check: "theirs", Case: "same", Flagged: true, Found: []string{"image-tag"}},
			{Check: "theirs", Case: "missed", Flagged: true},
			{Check: "theirs", Case: "false", Found: []string{"image", "image-tag"}},
		}}
	}
	because := func(cases ...string) []Difference { return []Difference{{cases, "reasons"}} }
	for _, tc := range []struct {
		name string
		Section
		want string
	}{
		{"all said", checkOf(Check{Rules: []string{"image-tag"}, Differ: because("missed", "false")}), ""},
		{"nothing said", checkOf(Check{Rules: []string{"image-tag"}}),
			"testdata/s.yaml: theirs: missed is flagged there, and our rules find 0: say why, or mend the rule\n" +
				"testdata/s.yaml: theirs: false passes there, and our rules find 2: say why, or mend the rule"},
		{"too much said", checkOf(Check{Rules: []string{"image-tag"}, Differ: because("missed", "false", "same")}),
			"testdata/s.yaml: theirs: same: the verdicts do not differ: leave the reason out"},
		{"no such rule", checkOf(Check{Rules: []string{"image-tags"}, Differ: because("missed", "false")}), "testdata/s.yaml: theirs: there is no rule image-tags"},
		{"neither", Section{Source{Name: "s", Checks: []Check{{Name: "theirs"}}}, nil}, "testdata/s.yaml: theirs: name rules, or why there is none"},
		{"both", checkOf(Check{Rules: []string{"image-tag"}, Why: "style", Differ: because("missed", "false")}), "testdata/s.yaml: theirs: name rules, or why there is none"},
		{"no fixture", Section{Source{Name: "s", Checks: []Check{{Name: "theirs", Rules: []string{"image-tag"}}}}, nil}, "testdata/s.yaml: theirs has no fixture"},
	} {
		_, err := Page([]Section{tc.Section})
		got := ""
		if err != nil {
			got = err.Error()
		}
		if got != tc.want {
			t.Errorf("%s:\n%s\nwant\n%s", tc.name, got, tc.want)
		}
	}
}

// TestText: verdicts are read as they were written.
func TestText(t *testing.T) {
	want := []Verdict{{Check: "a check", Case: "a case", Flagged: true, Found: []string{"image", "image-tag"}}, {Check: "b", Case: "c", Found: []string{}}}
	got, err := Parse(Format(want))
	if d := cmp.Diff(want, got); d != "" || err != nil {
		t.Errorf("(-want +got) %v\n%s", err, d)
	}
	if _, err := Parse([]byte("a\tb\tflagged\t\na\tb\tmaybe\t\n")); err == nil || err.Error() != `line 2 is no verdict: "a\tb\tmaybe\t\n"` {
		t.Errorf("error %v", err)
	}
}

// TestReaders: what each source says of its fixtures is read as it is written
// there.
func TestReaders(t *testing.T) {
	files := func(files ...string) fs.FS {
		m := make(fstest.MapFS)
		for i := 0; i < len(files); i += 2 {
			m[files[i]] = &fstest.MapFile{Data: []byte(files[i+1])}
		}
		return m
	}
	ingress := "apiVersion: networking.k8s.io/v1\nkind: Ingress\nmetadata: {name: web}\nspec: {rules: [{host: a}, {host: b, http: {paths: [{path: /}, {path: /b}]}}]}\n"
	for _, tc := range []struct {
		name string
		read func() ([]Case, error)
		want string
	}{
		{"kube-score", func() ([]Case, error) {
			return kubeScore(files("score/testdata/a.yaml", "", "score/testdata/b-1.yaml", "", "score/testdata/b-2.yaml", "", "score/a_test.go", `package score
func TestA(t *testing.T) { testExpectedScore(t, "a.yaml", "Check A", scorecard.GradeCritical); testExpectedScore(t, "a.yaml", "Check A", scorecard.GradeAllOK) }
func TestB(t *testing.T) {
	for _, v := range []string{"1", "2"} { testExpectedScoreWithConfig(t, []ks.NamedReader{testFile("b-"+v+".yaml")}, nil, nil, "Check B", scorecard.GradeAllOK) }
	testExpectedScore(t, "gone.yaml", "Check C", 0)
}`))
		}, "Check A: a.yaml flagged\nCheck B: b-1.yaml\nCheck B: b-2.yaml\n"},
		{"polaris", func() ([]Case, error) {
			return polaris(files("test/checks/a/failure.yaml", "", "test/checks/a/success.b.yaml", "", "test/checks/a/mutated.yaml", ""))
		}, "a: failure.yaml flagged\na: success.b.yaml\n"},
		{"kube-linter", func() ([]Case, error) {
			s := Source{Checks: []Check{{Name: "stated", Flagged: []string{"Pod/a"}}, {Name: "whole", File: true}}}
			test := func(name, file string, kinds ...string) string {
				text := "\n@test \"" + name + "\" {\n  tmp=\"tests/checks/" + file + "\"\n"
				for i, kind := range kinds {
					text += "  [[ \"${message" + strconv.Itoa(i) + "}\" == \"" + kind + ": is wrong\" ]]\n"
				}
				return text + "}\n"
			}
			return s.kubeLinter(files("e2etests/bats-tests.sh", "#!/usr/bin/env bats"+test("template-x", "a.yml")+test("flag-x", "a.yml")+test("named", "a.yml", "Pod")+test("stated", "a.yml")+test("whole", "a.yml")+test("unnamed", "b.yml", "Deployment"),
				"tests/checks/a.yml", "{apiVersion: v1, kind: Pod, metadata: {name: a}}\n---\n{apiVersion: v1, kind: Pod, metadata: {name: dont-fire}}\n---\n{apiVersion: v1, kind: Service, metadata: {name: a}}\n---\n{apiVersion: apps.openshift.io/v1, kind: Pod, metadata: {name: b}}\n",
				"tests/checks/b.yml", "{apiVersion: apps/v1, kind: Deployment, spec: {template: {spec: {containers: [{name: fire}, {name: dont-fire-2}]}}}}\n"))
		}, "named: Pod a flagged\nnamed: Pod dont-fire\nstated: Pod a flagged\nstated: Pod dont-fire\nwhole: a.yml flagged\nunnamed: Deployment fire flagged\nunnamed: Deployment dont-fire-2\n"},
		{"traefik", func() ([]Case, error) {
			test := func(cases string) string {
				return "package p\nfunc TestA(t *testing.T) {\n\t_ = []struct{}{" + cases + "}\n}"
			}
			const root = "pkg/provider/kubernetes/"
			return traefik(files(
				root+"ingress/kubernetes_test.go", test(`
					{desc: "Three routes", expected: &dynamic.Configuration{HTTP: &dynamic.HTTPConfiguration{Routers: map[string]*dynamic.Router{"a": {}, "b": {}, "c": {}}}}},
					{desc: "Two routes", expected: &dynamic.Configuration{HTTP: &dynamic.HTTPConfiguration{Routers: map[string]*dynamic.Router{"a": {}, "b": {}}}}},
					{desc: "An option", option: true, expected: &dynamic.Configuration{}},
					{desc: "Another test", expected: []string{}},
				`),
				root+"ingress/fixtures/Three-routes.yml", ingress, root+"ingress/fixtures/Two-routes.yml", ingress,
				root+"crd/kubernetes_test.go", test(`
					{desc: "TCP and UDP", paths: []string{"services.yml", "tcp/a.yml"}, expected: &dynamic.Configuration{TCP: &dynamic.TCPConfiguration{Routers: map[string]*dynamic.TCPRouter{"a": {}}}, UDP: &dynamic.UDPConfiguration{Routers: map[string]*dynamic.UDPRouter{}}}},
					{desc: "No routes", paths: []string{"services.yml"}, expected: &dynamic.Configuration{}},
				`),
				root+"crd/fixtures/services.yml", "apiVersion: v1\nkind: Service\n", root+"crd/fixtures/tcp/a.yml", "{apiVersion: traefik.io/v1alpha1, kind: IngressRouteTCP, spec: {routes: [{match: a}]}}\n"))
		}, "Ingress: Three routes\nIngress: Two routes flagged\nIngressRouteTCP: TCP and UDP\n"},
	} {
		cases, err := tc.read()
		var got strings.Builder
		for _, c := range cases {
			got.WriteString(c.Check + ": " + c.Name)
			if c.Flagged {
				got.WriteString(" flagged")
			}
			got.WriteString("\n")
		}
		if got.String() != tc.want || err != nil {
			t.Errorf("%s: %v\n%swant\n%s", tc.name, err, &got, tc.want)
		}
	}
}
