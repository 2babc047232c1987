package report

import (
	"bytes"
	"encoding/json"
	"errors"
	"flag"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"testing/iotest"

	"github.com/google/go-cmp/cmp"
	"github.com/owenrumney/go-sarif/v3/pkg/report/v210/sarif"

	"git.lastcloud.io/ronnibaslund/dezky/fleet/golden"
	"git.lastcloud.io/ronnibaslund/dezky/fleet/render/check"
	"git.lastcloud.io/ronnibaslund/dezky/fleet/render/object"
)

var update = flag.Bool("update", false, "accept the page of rules: write it")

// TestGolden: the page in docs is the one that the code makes, and it has
// every rule.
func TestGolden(t *testing.T) {
	var b bytes.Buffer
	if err := writeRules(&b); err != nil {
		t.Fatal(err)
	}
	for _, r := range check.Rules() {
		if !strings.Contains(b.String(), "`"+r.ID+"` | "+r.Severity.String()+" | "+r.Doc+" | "+r.Source+" |") {
			t.Errorf("the page lacks %s", r.ID)
		}
	}
	golden.File(t, "../../../docs/rules.md", b.Bytes(), *update)
}

const pod = "apiVersion: v1\nkind: Pod\nmetadata: {name: web, namespace: ns}\nspec: {containers: [{name: web}]}\n"

// TestRead: what cannot be read is an error, and what is no object is named.
func TestRead(t *testing.T) {
	for _, tc := range []struct {
		name    string
		files   map[string]string
		objects string
		skipped string
		errors  string
	}{
		{name: "one file", files: map[string]string{"a.yaml": pod}, objects: "a.yaml:1 Pod ns/web"},
		{name: "subfolders and endings", files: map[string]string{"x/y/a.yml": pod, "x/b.json": `{"apiVersion":"v1","kind":"Pod","metadata":{"name":"j"}}`, "x/readme.md": "# no manifest", "x/.git/config.yaml": "a: ["},
			objects: "x/b.json:1 Pod j\nx/y/a.yml:1 Pod ns/web"},
		{name: "JSON with tabs, one object after the other", files: map[string]string{"a.json": "{\n\t\"apiVersion\": \"v1\",\n\t\"kind\": \"Pod\", \"metadata\": {\"name\": \"a\"}}\n{\"apiVersion\": \"v1\", \"kind\": \"Pod\", \"metadata\": {\"name\": \"b\"}}\n"},
			objects: "a.json:1 Pod a\na.json:4 Pod b"},
		{name: "a key twice in JSON", files: map[string]string{"a.json": "\n\n{\"apiVersion\": \"v1\", \"kind\": \"Pod\", \"kind\": \"Pod\"}"}, errors: `a.json:3: `},
		{name: "YAML with braces", files: map[string]string{"a.yaml": "{apiVersion: v1, kind: Pod, metadata: {name: a}}\n---\n" + pod}, objects: "a.yaml:1 Pod a\na.yaml:3 Pod ns/web"},
		{name: "a byte order mark", files: map[string]string{"a.yaml": "\ufeff" + pod}, objects: "a.yaml:1 Pod ns/web"},
		{name: "a workflow", files: map[string]string{"a.yaml": pod, "ci.yml": "name: ci\non: push\n"}, objects: "a.yaml:1 Pod ns/web",
			skipped: "ci.yml:1: skipped: it is no Kubernetes object: it has no apiVersion and no kind"},
		{name: "a kustomization", files: map[string]string{"a.yaml": pod, "kustomization.yaml": "apiVersion: kustomize.config.k8s.io/v1beta1\nkind: Kustomization\n"}, objects: "a.yaml:1 Pod ns/web",
			skipped: "kustomization.yaml:1: skipped: Kustomization is for kustomize, not for the cluster: check what kustomize makes of it"},
		{name: "comments only", files: map[string]string{"a.yaml": pod, "b.yaml": "# later\n"}, objects: "a.yaml:1 Pod ns/web", skipped: "b.yaml: skipped: it holds no object"},
		{name: "no object at all", files: map[string]string{"a.yaml": "name: ci\n"}, skipped: "a.yaml:1: skipped: it is no Kubernetes object: it has no apiVersion and no kind", errors: ".: holds no Kubernetes object"},
		{name: "no file at all", errors: ".: holds no Kubernetes object"},
		{name: "broken YAML beside a good one", files: map[string]string{"a.yaml": pod, "b.yaml": "a: ["}, objects: "a.yaml:1 Pod ns/web", errors: "b.yaml:1: "},
		{name: "no kind", files: map[string]string{"a.yaml": pod + "---\napiVersion: v1\n"}, objects: "a.yaml:1 Pod ns/web", errors: "a.yaml:6: an object of v1 without kind"},
		{name: "UTF-16", files: map[string]string{"a.yaml": "\xff\xfek\x00i\x00"}, errors: "a.yaml: is UTF-16: save it as UTF-8"},
		{name: "Latin 1", files: map[string]string{"a.yaml": "# \n# gr\xf8n\n" + pod}, errors: "a.yaml:2: is no UTF-8"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			t.Chdir(t.TempDir())
			for name, text := range tc.files {
				if err := os.MkdirAll(filepath.Dir(name), 0o755); err != nil {
					t.Fatal(err)
				}
				if err := os.WriteFile(name, []byte(text), 0o644); err != nil {
					t.Fatal(err)
				}
			}
			m, err := read(strings.NewReader(""), ".")
			var objects []string
			for _, o := range m.Objects {
				id := object.IDOf(o.Object)
				objects = append(objects, o.File+":"+string('0'+rune(o.Line))+" "+id.String())
			}
			if got := strings.Join(objects, "\n"); got != tc.objects {
				t.Errorf("objects\n%s\nwant\n%s", got, tc.objects)
			}
			if got := m.Skipped.Error(); got != tc.skipped {
				t.Errorf("skipped\n%s\nwant\n%s", got, tc.skipped)
			}
			if got := object.FindingsOf(err).Error(); !strings.HasPrefix(got, tc.errors) || tc.errors == "" && got != "" {
				t.Errorf("errors\n%s\nwant\n%s", got, tc.errors)
			}
		})
	}
}

// TestReadNames: files, standard input and directories by name.
func TestReadNames(t *testing.T) {
	t.Chdir(t.TempDir())
	if err := os.MkdirAll("d/e", 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile("d/a.manifest", []byte(pod), 0o644); err != nil {
		t.Fatal(err)
	}
	if err := os.Symlink("e", "d/link"); err != nil {
		t.Fatal(err)
	}
	m, err := read(strings.NewReader(pod), stdinName, "d/a.manifest", "d", "gone.yaml")
	if got, want := object.FindingsOf(err).Error(), "d: holds no Kubernetes object\ngone.yaml: cannot be read: no such file or directory"; got != want {
		t.Errorf("errors\n%s\nwant\n%s", got, want)
	}
	if len(m.Objects) != 2 || m.Objects[0].File != stdinName || m.Objects[1].File != "d/a.manifest" {
		t.Errorf("objects %v", m.Objects)
	}
	if got, want := m.Skipped.Error(), "d/link: skipped: it is a link to a directory: name that one too"; got != want {
		t.Errorf("skipped %q, want %q", got, want)
	}
	if os.Geteuid() != 0 { // root may read everything
		if err := os.Chmod("d/e", 0); err != nil {
			t.Fatal(err)
		}
		_, err = read(nil, "d")
		if got, want := object.FindingsOf(err).Error(), "d/e: cannot be read: permission denied"; got != want {
			t.Errorf("errors %q, want %q", got, want)
		}
	}
	_, err = read(iotest.ErrReader(errors.New("the pipe broke")), stdinName)
	if got, want := object.FindingsOf(err).Error(), "-: cannot be read: the pipe broke"; got != want {
		t.Errorf("errors %q, want %q", got, want)
	}
}

// TestSARIF: the report is valid by the schema of SARIF, and says what the
// findings say.
func TestSARIF(t *testing.T) {
	t.Chdir(t.TempDir())
	const text = `apiVersion: v1
kind: Secret
metadata: {name: s, namespace: ns}
stringData: {a: not-a-real-value}
---
apiVersion: v1
kind: Secret
metadata: {name: w, namespace: ns, annotations: {fleet.dezky.eu/waive-secret-value: a test}}
stringData: {a: not-a-real-value}
`
	if err := os.WriteFile("a b.yaml", []byte(text), 0o644); err != nil {
		t.Fatal(err)
	}
	var stdout, stderr bytes.Buffer
	if status := (Command{Name: "check"}).Run([]string{"-format", "sarif", "a b.yaml", "gone.yaml"}, nil, &stdout, &stderr); status != 1 {
		t.Errorf("status %d: %s", status, &stderr)
	}
	r, err := sarif.FromBytes(stdout.Bytes())
	if err != nil {
		t.Fatal(err)
	}
	if err := r.Validate(); err != nil {
		t.Error(err)
	}
	results := r.Runs[0].Results
	if len(results) != 3 {
		t.Fatalf("%d results, want 3", len(results))
	}
	for i, want := range []struct{ rule, uri, suppressed string }{
		{unreadable, "gone.yaml", ""}, {"secret-value", "a%20b.yaml", ""}, {"secret-value", "a%20b.yaml", "a test"},
	} {
		result := results[i]
		suppressed := ""
		for _, s := range result.Suppressions {
			suppressed = *s.Justification
		}
		got := struct{ rule, uri, suppressed string }{*result.RuleID, *result.Locations[0].PhysicalLocation.ArtifactLocation.URI, suppressed}
		if got != want {
			t.Errorf("result %d is %v, want %v", i, got, want)
		}
		if rule := r.Runs[0].Tool.Driver.Rules[result.RuleIndex]; *rule.ID != want.rule {
			t.Errorf("result %d is of rule %s by its index", i, *rule.ID)
		}
	}
}

// TestJSON: each form has every finding.
func TestJSON(t *testing.T) {
	var stdout, stderr bytes.Buffer
	in := strings.NewReader("apiVersion: v1\nkind: Secret\nmetadata: {name: s, namespace: ns}\nstringData: {a: not-a-real-value}\n---\na: b\n")
	if status := (Command{Name: "check"}).Run([]string{"-format", "json", "-"}, in, &stdout, &stderr); status != 1 {
		t.Errorf("status %d: %s", status, &stderr)
	}
	var got any
	if err := json.Unmarshal(stdout.Bytes(), &got); err != nil {
		t.Fatal(err)
	}
	want := map[string]any{
		"findings": []any{map[string]any{
			"rule": "secret-value", "severity": "error", "file": "-", "line": 1.0,
			"object": map[string]any{"kind": "Secret", "namespace": "ns", "name": "s"},
			"field":  "data", "problem": "a rendered Secret must hold no value", "remedy": "describe it by a contract, and fill it in outside",
		}},
		"waived":  []any{},
		"skipped": []any{map[string]any{"severity": "note", "file": "-", "line": 6.0, "problem": "skipped: it is no Kubernetes object: it has no apiVersion and no kind"}},
		"files":   1.0, "objects": 1.0,
	}
	if d := cmp.Diff(want, got); d != "" {
		t.Errorf("(-want +got)\n%s", d)
	}
}
