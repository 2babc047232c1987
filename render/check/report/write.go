package report

import (
	"bufio"
	"encoding/json"
	"fmt"
	"io"
	"net/url"
	"strings"

	"github.com/owenrumney/go-sarif/v3/pkg/report/v210/sarif"

	"git.lastcloud.io/ronnibaslund/dezky/fleet/render/check"
	"git.lastcloud.io/ronnibaslund/dezky/fleet/render/object"
)

// outcome is what a check of manifests came to.
type outcome struct {
	// Tool that made the report.
	Tool string
	// Rules that were followed.
	Rules []check.Rule
	// Result of the rules, and what could not be read.
	check.Result
	// Skipped is what is no object for the cluster.
	Skipped object.Findings
	// Files and Objects that were checked.
	Files, Objects int
}

// formats are the forms of a report, the default first.
var formats = []struct {
	name  string
	write func(outcome, io.Writer) error
}{
	{"text", outcome.writeText},
	{"json", outcome.writeJSON},
	{"sarif", outcome.writeSARIF},
	{"github", outcome.writeGitHub},
}

// count returns how many findings are of that severity.
func (r outcome) count(s object.Severity) int {
	n := 0
	for _, f := range r.Findings {
		if f.Severity == s {
			n++
		}
	}
	return n
}

// summary is one line.
func (r outcome) summary() string {
	count := func(n int, what string) string {
		if n == 1 {
			return "1 " + what
		}
		return fmt.Sprintf("%d %ss", n, what)
	}
	s := strings.Join([]string{
		count(r.count(object.Error), "error"), count(r.count(object.Warning), "warning"), count(r.count(object.Note), "note"),
	}, ", ")
	if n := len(r.Waived); n > 0 {
		s += fmt.Sprintf(", %d waived", n)
	}
	return s + " in " + count(r.Objects, "object") + " of " + count(r.Files, "file")
}

// writeText writes a line for each finding, as compilers do, and one for each
// that is waived.
func (r outcome) writeText(w io.Writer) error {
	out := bufio.NewWriter(w)
	for _, f := range r.Findings {
		fmt.Fprintf(out, "%s%s: %s [%s]\n", place(f), f.Severity, text(f), f.Rule)
	}
	for _, f := range r.Waived {
		fmt.Fprintf(out, "%swaived: %s [%s]: %s\n", place(f.Finding), text(f.Finding), f.Rule, oneLine(f.Reason))
	}
	return out.Flush()
}

// place is file and line as far as they are known, and a colon.
func place(f object.Finding) string {
	switch {
	case f.File == "":
		return ""
	case f.Line == 0:
		return f.File + ": "
	}
	return fmt.Sprintf("%s:%d: ", f.File, f.Line)
}

// text is a finding without file and line.
func text(f object.Finding) string {
	f.File = ""
	return f.Error()
}

func oneLine(s string) string { return strings.Join(strings.Fields(s), " ") }

type jsonReport struct {
	Findings []jsonFinding `json:"findings"`
	Waived   []jsonFinding `json:"waived"`
	Skipped  []jsonFinding `json:"skipped"`
	Files    int           `json:"files"`
	Objects  int           `json:"objects"`
}

type jsonFinding struct {
	Rule     string          `json:"rule,omitempty"`
	Severity object.Severity `json:"severity"`
	File     string          `json:"file,omitempty"`
	Line     int             `json:"line,omitempty"`
	Object   *jsonID         `json:"object,omitempty"`
	Field    string          `json:"field,omitempty"`
	Problem  string          `json:"problem"`
	Remedy   string          `json:"remedy,omitempty"`
	Reason   string          `json:"reason,omitempty"`
}

type jsonID struct {
	Group     string `json:"group,omitempty"`
	Kind      string `json:"kind"`
	Namespace string `json:"namespace,omitempty"`
	Name      string `json:"name"`
}

func toJSON(f object.Finding, reason string) jsonFinding {
	j := jsonFinding{
		Rule: f.Rule, Severity: f.Severity, File: f.File, Line: f.Line,
		Field: f.Field, Problem: f.Problem, Remedy: f.Remedy, Reason: reason,
	}
	if id := f.Object; id != (object.ID{}) {
		j.Object = &jsonID{Group: id.Group, Kind: id.Kind, Namespace: id.Namespace, Name: id.Name}
	}
	return j
}

func (r outcome) writeJSON(w io.Writer) error {
	j := jsonReport{Findings: []jsonFinding{}, Waived: []jsonFinding{}, Skipped: []jsonFinding{}, Files: r.Files, Objects: r.Objects}
	for _, f := range r.Findings {
		j.Findings = append(j.Findings, toJSON(f, ""))
	}
	for _, f := range r.Waived {
		j.Waived = append(j.Waived, toJSON(f.Finding, f.Reason))
	}
	for _, f := range r.Skipped {
		j.Skipped = append(j.Skipped, toJSON(f, ""))
	}
	out := json.NewEncoder(w)
	out.SetEscapeHTML(false)
	out.SetIndent("", "  ")
	return out.Encode(j)
}

// writeSARIF writes SARIF 2.1.0, where waived findings are suppressed results.
func (r outcome) writeSARIF(w io.Writer) error {
	run := sarif.NewRun()
	run.Tool = sarif.NewTool().WithDriver(sarif.NewToolComponent().WithName(r.Tool))
	for _, rule := range r.Rules {
		run.AddRule(rule.ID).
			WithDescription(rule.Doc).
			WithHelp(sarif.NewMultiformatMessageString().WithText("Source: " + rule.Source)).
			WithDefaultConfiguration(sarif.NewReportingConfiguration().WithLevel(rule.Severity.String()))
	}
	for _, f := range r.Findings {
		run.AddResult(toSARIF(f))
	}
	for _, f := range r.Waived {
		run.AddResult(toSARIF(f.Finding).AddSuppression(
			sarif.NewSuppression().WithKind("inSource").WithJustification(f.Reason)))
	}
	for i, result := range run.Results {
		run.Results[i].RuleIndex = run.GetRuleIndex(*result.RuleID)
	}
	return sarif.NewReport().AddRun(run).PrettyWrite(w)
}

func toSARIF(f object.Finding) *sarif.Result {
	location := sarif.NewLocation()
	if f.File != "" && f.File != stdinName {
		uri := url.URL{Path: f.File}
		physical := sarif.NewPhysicalLocation().WithArtifactLocation(sarif.NewSimpleArtifactLocation(uri.String()))
		if f.Line > 0 {
			physical.WithRegion(sarif.NewRegion().WithStartLine(f.Line))
		}
		location.WithPhysicalLocation(physical)
	}
	if f.Object != (object.ID{}) {
		name := f.Object.String()
		if f.Field != "" {
			name += ": " + f.Field
		}
		location.AddLogicalLocation(sarif.NewLogicalLocation().WithKind("resource").WithName(f.Object.Name).WithFullyQualifiedName(name))
	}
	return sarif.NewRuleResult(f.Rule).
		WithLevel(f.Severity.String()).
		WithMessage(sarif.NewTextMessage(text(f))).
		AddLocation(location).
		// The same finding in another line is the same finding.
		WithPartialFingerprints(map[string]string{"objectField/v1": f.Object.Group + " " + f.Object.String() + " " + f.Field})
}

// writeGitHub writes the workflow commands that GitHub shows as annotations of
// the changed files. Gitea's runner passes them into the log of the job.
func (r outcome) writeGitHub(w io.Writer) error {
	out := bufio.NewWriter(w)
	for _, f := range r.Findings {
		command := f.Severity.String()
		if f.Severity == object.Note {
			command = "notice"
		}
		var properties []string
		if f.File != "" && f.File != stdinName {
			properties = append(properties, "file="+property(f.File))
			if f.Line > 0 {
				properties = append(properties, fmt.Sprintf("line=%d", f.Line))
			}
		}
		properties = append(properties, "title="+property(f.Rule))
		fmt.Fprintf(out, "::%s %s::%s\n", command, strings.Join(properties, ","), data(text(f)))
	}
	return out.Flush()
}

// data and property escape as the toolkit of GitHub's actions does
// (actions/toolkit, packages/core/src/command.ts).
func data(s string) string {
	return strings.NewReplacer("%", "%25", "\r", "%0D", "\n", "%0A").Replace(s)
}

func property(s string) string {
	return strings.NewReplacer("%", "%25", "\r", "%0D", "\n", "%0A", ":", "%3A", ",", "%2C").Replace(s)
}
