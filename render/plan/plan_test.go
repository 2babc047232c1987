package plan

import (
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"git.lastcloud.io/ronnibaslund/dezky/fleet/render/plan/consequence"
)

func compare(t *testing.T, was, is map[string]string) Report {
	t.Helper()
	bytes := func(m map[string]string) map[string][]byte {
		all := make(map[string][]byte)
		for k, v := range m {
			all[k] = []byte(v)
		}
		return all
	}
	r, err := Compare(Rendering{Files: bytes(was)}, Rendering{Files: bytes(is)})
	if err != nil {
		t.Fatal(err)
	}
	return r
}

// TestSecrets: no value of a Secret is told, in whatever way it changes, and
// the neighbour's is.
func TestSecrets(t *testing.T) {
	file := func(kind, more string) string {
		return "apiVersion: v1\nkind: " + kind + "\nmetadata:\n  name: a\n" + more
	}
	const old, now = "pa55word", "pa55phrase"
	for _, tc := range []struct{ name, was, is, want string }{
		{"a value", "data: {KEY: " + old + "}", "data: {KEY: " + now + "}", "data.KEY"},
		{"a key that a path cannot hold", "data: {a.b: " + old + "}", "data: {a.b: " + now + "}", "data[a.b]"},
		{"all of it", "", "stringData: {KEY: " + now + "}", "KEY: "},
		{"what kubectl applied", "  annotations: {kubectl.kubernetes.io/last-applied-configuration: " + old + "}", "  annotations: {kubectl.kubernetes.io/last-applied-configuration: " + now + "}", "metadata.annotations"},
		{"the writing alone", "data: {KEY: " + old + "}", "data:\n  KEY: " + old + " # it was " + now, "hidden"},
		{"another kind", "data: {KEY: " + old + "}", "kind: Other", "no longer rendered"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			is := file("Secret", tc.is)
			if strings.HasPrefix(tc.is, "kind: ") {
				is = "apiVersion: v1\n" + tc.is + "\nmetadata: {name: a}\n"
			}
			r := compare(t, map[string]string{"s.yaml": file("Secret", tc.was)}, map[string]string{"s.yaml": is})
			html, err := r.HTML()
			if err != nil {
				t.Fatal(err)
			}
			for _, text := range []string{r.Text(), r.Markdown(0), r.Markdown(100), r.JSON(), html} {
				if strings.Contains(text, old) || strings.Contains(text, now) {
					t.Errorf("tells the value:\n%s", text)
				}
			}
			if !strings.Contains(r.Text(), tc.want) {
				t.Errorf("%q is not in\n%s", tc.want, r.Text())
			}
			if tc.name == "another kind" {
				return
			}
			other := compare(t, map[string]string{"s.yaml": file("ConfigMap", tc.was)}, map[string]string{"s.yaml": file("ConfigMap", tc.is)})
			if !strings.Contains(other.Text(), now) {
				t.Errorf("a ConfigMap is hidden too:\n%s", other.Text())
			}
		})
	}
	labels := compare(t, map[string]string{"s.yaml": file("Secret", "  labels: {a: b}")}, map[string]string{"s.yaml": file("Secret", "  labels: {a: visible}")})
	if !strings.Contains(labels.Text(), "visible") {
		t.Errorf("labels are hidden too:\n%s", labels.Text())
	}
}

// TestMarkdownEscapes: what stands in names and values cannot end the block
// that it is in.
func TestMarkdownEscapes(t *testing.T) {
	file := func(value string) string {
		return "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: a}\ndata:\n  KEY: |\n    x\n" + value
	}
	const nasty = "    ```\n    ````` </details> @everyone <!-- x -->\n"
	path := "a <b> & `c`.yaml"
	r := compare(t, map[string]string{path: file("    y\n")}, map[string]string{path: file(nasty)})
	r.From, r.To = "`x` ", "y\nz"
	text := r.Markdown(0)
	if !strings.Contains(text, "<summary>a &lt;b&gt; &amp; `c`.yaml: ConfigMap a</summary>\n\n") {
		t.Errorf("the path is not escaped:\n%s", text)
	}
	if !strings.Contains(text, "From ``x` ``") && !strings.Contains(text, "From `` `x`  `` to `y\\nz`") {
		t.Errorf("what is compared is not escaped:\n%s", text)
	}
	_, block, _ := strings.Cut(text, "\n``````diff\n")
	block, _, ok := strings.Cut(block, "\n``````\n\n</details>\n")
	if !ok || !strings.Contains(block, "`````") || strings.Contains(block, "``````") {
		t.Errorf("the fence can be closed from inside:\n%s", text)
	}
}

// TestMarkdownLimit: a report that does not fit says so, names what is cut as
// far as it can, and never reads as nothing.
func TestMarkdownLimit(t *testing.T) {
	was, is := map[string]string{}, map[string]string{}
	for i := range 300 {
		path := fmt.Sprintf("apps/app-%03d.yaml", i)
		was[path] = fmt.Sprintf("apiVersion: v1\nkind: ConfigMap\nmetadata: {name: a%d}\ndata: {KEY: before}\n", i)
		is[path] = strings.Replace(was[path], "before", "after", 1)
	}
	r := compare(t, was, is)
	r.From, r.To = "a", "b"
	whole := r.Markdown(0)
	if strings.Contains(whole, "Cut") || r.Markdown(len(whole)+400) != whole {
		t.Error("a report that fits is cut")
	}
	for _, limit := range []int{800, 2000, 5000, 20_000} {
		text := r.Markdown(limit)
		if len(text) > limit {
			t.Errorf("limit %d: %d bytes", limit, len(text))
		}
		shown := strings.Count(text, "<details>")
		for _, want := range []string{"**300 objects change.**", fmt.Sprintf("**Cut: %d of 300 files that change do not fit here.**", 300-shown)} {
			if !strings.Contains(text, want) {
				t.Errorf("limit %d: %q is not in\n%s", limit, want, text)
			}
		}
		named := strings.Count(text, "\n- `")
		if more := 300 - shown - named; more > 0 && !strings.Contains(text, fmt.Sprintf("- and %d more\n", more)) {
			t.Errorf("limit %d: shows %d, names %d, and says no rest:\n%s", limit, shown, named, text)
		}
		if strings.Count(text, "</details>") != shown {
			t.Errorf("limit %d: a part is cut in its middle", limit)
		}
	}
}

func TestSummary(t *testing.T) {
	object := func(kind, name string) string {
		return "---\napiVersion: v1\nkind: " + kind + "\nmetadata: {name: " + name + "}\n"
	}
	for _, tc := range []struct {
		was, is map[string]string
		want    string
	}{
		{nil, nil, "Nothing that is rendered changes."},
		{map[string]string{"a.yaml": object("A", "a")}, map[string]string{"a.yaml": object("A", "a")}, "Nothing that is rendered changes."},
		{nil, map[string]string{"a.yaml": object("A", "a") + object("B", "b")}, "2 objects are new."},
		{map[string]string{"a.yaml": object("A", "a")}, nil, "1 left-behind: 1 object is no longer rendered."},
		{map[string]string{"a.yaml": object("A", "a"), "b.md": "x"}, map[string]string{"a.yaml": "# more\n" + object("A", "a")}, "2 other files change."},
	} {
		if got := compare(t, tc.was, tc.is).Summary(); got != tc.want {
			t.Errorf("got %q, want %q", got, tc.want)
		}
	}
}

// service is a Service that the change of its selector leaves without pods.
const service = "---\napiVersion: v1\nkind: Service\nmetadata: {name: web, namespace: shop}\nspec: {selector: {app: web}, ports: [{port: 80}]}\n" +
	"---\napiVersion: v1\nkind: Pod\nmetadata: {name: web, namespace: shop, labels: {app: web}}\nspec: {containers: [{name: a, image: a/a:1}]}\n"

func TestConsequences(t *testing.T) {
	r := compare(t, map[string]string{"a.yaml": service}, map[string]string{"a.yaml": strings.Replace(service, "{app: web}, ports", "{app: other}, ports", 1)})
	want := `1 down: 1 object changes.
  down         Service shop/web: spec.selector: no pod has app=other any more: every request fails. Keep a workload that
               it selects, or take the Service and what leads to it away. [service-pods]

  a.yaml
    Service shop/web
    -   spec.selector.app: web
    +   spec.selector.app: other
`
	if got := r.Text(); got != want {
		t.Errorf("got\n%s\nwant\n%s", got, want)
	}
	line := "- **down** `Service shop/web` `spec.selector`: no pod has app=other any more: every request fails. Keep a workload that it selects, or take the Service and what leads to it away. (`service-pods`)\n"
	if got := r.Markdown(0); !strings.Contains(got, line) {
		t.Errorf("%s is not in\n%s", line, got)
	}
	if !r.Reaches(consequence.Down) || !r.Reaches(consequence.Restarts) || r.Reaches(consequence.Refused) {
		t.Error("a consequence that is down reaches down and what is less, and no more")
	}
	notes := r.Allow([]consequence.Allowance{{Rule: "service-pods", Object: "Service shop/other", Reason: "x"}, {Rule: "service-pods", Object: "Service shop/web", Reason: "It is *given up*."}})
	if len(notes) != 1 || !strings.Contains(notes[0], "Service shop/other") {
		t.Errorf("the notes are %q", notes)
	}
	if r.Reaches(consequence.Restarts) || r.Summary() != "1 object changes." || !strings.Contains(r.Text(), "\n  allowed      Service shop/web: ") || !strings.Contains(r.Markdown(0), "\n- **allowed** ") || !strings.Contains(r.Markdown(0), "Allowed: It is \\*given up\\*. (`service-pods`)") {
		t.Errorf("what is allowed counts, or is not told:\n%s", r.Text())
	}
}

// TestStated: an annotation lets pass what is said of its object, in its own
// Tree alone, and the command notes one that lets nothing pass.
func TestStated(t *testing.T) {
	other := strings.Replace(service, "{app: web}, ports", "{app: other}, ports", 1)
	stated := strings.Replace(other, "namespace: shop}", `namespace: shop, annotations: {fleet.dezky.eu/allow-service-pods: "It is given up.", fleet.dezky.eu/allow-host: ""}}`, 1)
	r := compare(t, map[string]string{"a.yaml": service}, map[string]string{"a.yaml": stated})
	if len(r.Consequences) != 0 || len(r.Allowed) != 1 || r.Allowed[0].Reason != "It is given up." {
		t.Errorf("%v is left, %v is allowed", r.Consequences, r.Allowed)
	}
	if want := []string{"the allowance host=Service shop/web gives no reason, and lets nothing pass"}; !slices.Equal(r.Notes, want) {
		t.Errorf("the notes are %q", r.Notes)
	}
	header := "# Rendered by the shop as apps/a.yaml. Do not edit: change the definitions and render again.\n"
	two := compare(t, map[string]string{"one/apps/a.yaml": header + service, "two/apps/a.yaml": header + service}, map[string]string{"one/apps/a.yaml": header + stated, "two/apps/a.yaml": header + other})
	if len(two.Consequences) != 1 || two.Consequences[0].In != "two" || len(two.Allowed) != 1 || two.Allowed[0].In != "one" {
		t.Errorf("of two Trees %v is left, %v is allowed", two.Consequences, two.Allowed)
	}
	if notes := two.Allow([]consequence.Allowance{{Rule: "service-pods", Object: "Service shop/web", Reason: "x"}}); len(notes) != 0 || len(two.Allowed) != 2 {
		t.Errorf("with the Tree's own %v is allowed, and the notes are %q", two.Allowed, notes)
	}
	a, b := t.TempDir(), t.TempDir()
	for dir, text := range map[string]string{a: service, b: stated} {
		if err := os.WriteFile(filepath.Join(dir, "a.yaml"), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	var out, errs strings.Builder
	if status := (Command{Name: "plan"}).Run([]string{"-from", a, "-to", b, "-fail-on", "down"}, nil, &out, &errs); status != 0 || !strings.Contains(out.String(), " Allowed: It is given up. [service-pods]") || !strings.Contains(errs.String(), "gives no reason") {
		t.Errorf("exit status %d:\n%s%s", status, &out, &errs)
	}
}

// TestConsequencesLimit: a report with more consequences than fit has the
// worst of them, says that there are more, and keeps to the limit.
func TestConsequencesLimit(t *testing.T) {
	was := map[string]string{"a.yaml": ""}
	is := map[string]string{"a.yaml": ""}
	for i := range 300 {
		one := strings.ReplaceAll(service, "name: web", fmt.Sprintf("name: web-%d", i))
		was["a.yaml"] += one
		is["a.yaml"] += strings.Replace(one, "{app: web}, ports", "{app: other}, ports", 1)
	}
	r := compare(t, was, is)
	r.From, r.To = "a", "b"
	for _, limit := range []int{1500, 5000, 20_000} {
		text := r.Markdown(limit)
		shown := strings.Count(text, "\n- **down**")
		if len(text) > limit || shown == 0 || !strings.Contains(text, fmt.Sprintf("- **and %d more consequences that do not fit here**", 300-shown)) || !strings.Contains(text, "**300 down: 300 objects change.**") {
			t.Errorf("limit %d: %d bytes:\n%s", limit, len(text), text)
		}
	}
}

// TestConsequencesEscape: what names hold stays text.
func TestConsequencesEscape(t *testing.T) {
	secret := func(keys string) map[string]string {
		return map[string]string{"s.yaml": "apiVersion: v1\nkind: Secret\nmetadata: {name: \"a`b\"}\nstringData: {" + keys + "}\n"}
	}
	text := compare(t, secret("A: x"), secret("A: x, \"@all *b* <i>\": pa55word")).Markdown(0)
	if !strings.Contains(text, "- **first** ``Secret a`b`` `data`: read now, and by nothing before: &#64;all \\*b\\* \\<i\\>. ") || strings.Contains(text, "pa55word") {
		t.Error(text)
	}
}

// TestStatus: the exit status says whether there is a consequence as bad as
// -fail-on says.
func TestStatus(t *testing.T) {
	a, b := t.TempDir(), t.TempDir()
	for dir, text := range map[string]string{a: service, b: strings.Replace(service, "{app: web}, ports", "{app: other}, ports", 1)} {
		if err := os.WriteFile(filepath.Join(dir, "a.yaml"), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	for _, tc := range []struct {
		args []string
		want int
	}{
		{nil, 0},
		{[]string{"-fail-on", "refused"}, 0},
		{[]string{"-fail-on", "down"}, 3},
		{[]string{"-fail-on", "restarts"}, 3},
		{[]string{"-fail-on", "down", "-allow", "service-pods=Service shop/web"}, 0},
		{[]string{"-fail-on", "worst"}, 2},
		{[]string{"-to", "nowhere"}, 1},
	} {
		if got := (Command{Name: "plan"}).Run(append([]string{"-from", a, "-to", b}, tc.args...), nil, io.Discard, io.Discard); got != tc.want {
			t.Errorf("%v: exit status %d, want %d", tc.args, got, tc.want)
		}
	}
}

// TestOrder: the order has what changes and nothing else, and is told where it
// has more than one step.
func TestOrder(t *testing.T) {
	config := func(name, value string) string {
		return "---\napiVersion: v1\nkind: ConfigMap\nmetadata: {name: " + name + ", namespace: shop}\ndata: {A: " + value + "}\n"
	}
	was := map[string]string{"a.yaml": config("changes", "1") + config("stays", "1") + service + config("goes", "1")}
	is := map[string]string{"a.yaml": config("changes", "2") + config("stays", "1") + strings.Replace(service, "port: 80", "port: 81", 1) + config("comes", "1")}
	r := compare(t, was, is)
	const want = `
  A deploy goes in this order:
  1. apply ConfigMap shop/changes, ConfigMap shop/comes (what pods need)
  2. apply Service shop/web (traffic)
  3. delete ConfigMap shop/goes (what goes)

`
	if got := r.Text(); !strings.Contains(got, want) {
		t.Errorf("%s is not in\n%s", want, got)
	}
	if got := r.Markdown(0); !strings.Contains(got, "</summary>\n\n1. apply ConfigMap shop/changes, ConfigMap shop/comes (what pods need)\n2. ") {
		t.Errorf("the order is not in\n%s", got)
	}
	if got := compare(t, was, map[string]string{"a.yaml": strings.Replace(was["a.yaml"], "A: 1", "A: 2", 1)}).Text(); strings.Contains(got, "order") {
		t.Errorf("the order of one step is told:\n%s", got)
	}
}

// TestHTML: the page needs nothing from elsewhere, and what names and values
// hold stays text.
func TestHTML(t *testing.T) {
	const nasty = "</title><script src=//x>&</pre>"
	config := "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: a}\ndata: {KEY: '" + nasty + "', OTHER: %s}\n"
	r := compare(t, map[string]string{"<b>.yaml": fmt.Sprintf(config, "'"+nasty+"1'")}, map[string]string{"<b>.yaml": fmt.Sprintf(config, "'"+nasty+"2'")})
	r.From, r.To = nasty, nasty
	page, err := r.HTML()
	if err != nil {
		t.Fatal(err)
	}
	if strings.Contains(page, nasty) || !strings.Contains(page, "&lt;/title&gt;&lt;script src=//x&gt;&amp;&lt;/pre&gt;2") || !strings.Contains(page, "&lt;b&gt;.yaml") {
		t.Errorf("what is shown is not escaped:\n%s", page)
	}
	for _, from := range []string{"<script", "<link", "<img", "<iframe", "src=", "@import", "http://", "https://"} {
		if strings.Contains(strings.ReplaceAll(page, "script src=//x", ""), from) {
			t.Errorf("the page needs something from elsewhere: %s", from)
		}
	}
	if strings.Count(page, "url(") != strings.Count(page, "url(#") {
		t.Error("the page loads an address")
	}
	for _, want := range []string{"prefers-color-scheme: dark", "@media print", "<!doctype html>", "<title>1 object changes.</title>"} {
		if !strings.Contains(page, want) {
			t.Errorf("%s is not in the page", want)
		}
	}
}

// TestPicture: of a tier that is too large for a picture, what changes is drawn
// and the rest is counted.
func TestPicture(t *testing.T) {
	var was, is strings.Builder
	for i := range 200 {
		one := fmt.Sprintf("---\napiVersion: apps/v1\nkind: Deployment\nmetadata: {name: app-%03d, namespace: shop}\nspec: {replicas: %%d, template: {spec: {containers: []}}}\n", i)
		fmt.Fprintf(&was, one, 2)
		fmt.Fprintf(&is, one, 2+i/199)
	}
	r := compare(t, map[string]string{"a.yaml": was.String()}, map[string]string{"a.yaml": is.String()})
	page, err := r.HTML()
	if err != nil {
		t.Fatal(err)
	}
	if !strings.Contains(page, ">shop/app-199<") || strings.Contains(page, ">shop/app-198<") || !strings.Contains(page, "199 more, which do not change, are not drawn") {
		t.Error("what changes is not what is drawn")
	}
}

// TestColours: the words and lines that a terminal shows in colours, and no
// others.
func TestColours(t *testing.T) {
	got := coloured("1 down: 1 object changes.\n  down         Service a: b\n               down below\n  allowed      x\n    -   a: b\n  + New b\n")
	want := "1 down: 1 object changes.\n  " + red + "down" + plain + "         Service a: b\n               down below\n  allowed      x\n    " + red + "-   a: b" + plain + "\n  " + green + "+ New b" + plain + "\n"
	if got != want {
		t.Errorf("got %q\nwant %q", got, want)
	}
}
