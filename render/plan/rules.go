package plan

import (
	"bytes"
	"fmt"
	"io"

	"git.lastcloud.io/ronnibaslund/dezky/fleet/render/object"
	"git.lastcloud.io/ronnibaslund/dezky/fleet/render/plan/consequence"
)

// meanings are what the severities mean, worst first.
var meanings = []struct {
	severity consequence.Severity
	is       string
}{
	{consequence.Refused, "the API server does not take it"},
	{consequence.Down, "requests fail, for a while or for good"},
	{consequence.SignedOut, "users must sign in again"},
	{consequence.First, "what must be there, or be done, before"},
	{consequence.Weaker, "less is watched, limited or kept apart"},
	{consequence.LeftBehind, "what stays in the cluster and is no longer rendered"},
	{consequence.Restarts, "pods that are replaced, or keep what they have read"},
}

// WriteRules writes the page of all rules, as Markdown.
func WriteRules(w io.Writer) error {
	var b bytes.Buffer
	b.WriteString(`<!-- Made from the code. Do not edit: change the rules, and run make golden. -->
# Consequences

` + "`go run ./cmd/plan`" + ` reads two sets of manifests and says by these rules what the change from one to the other does to a cluster that runs the first. It does not ask the cluster; with ` + "`-live`" + ` the first set is what runs. A deploy goes by the same rules.

| Severity | |
|---|---|
`)
	for _, m := range meanings {
		fmt.Fprintf(&b, "| **%s** | %s |\n", m.severity, m.is)
	}
	b.WriteString(`
What cannot be read from manifests is not guessed at: nothing is said of it. So the values of Secrets are unknown, and of a Secret only the names of its keys are read.

Examples: [a new app](plans/new-app.md), [a release](plans/release.md), [a host that moves](plans/host-moves.md), [the move from kustomize](plans/from-kustomize.md). The same four stand beside them as pages with a picture, for a browser.

## Allowances

A consequence that is meant passes with a reason, by an annotation of the object that it is about, or by a value in ` + "`Allowed`" + ` of the Tree. Both are seen in review:

` + "```yaml" + `
metadata:
  annotations:
    ` + object.AllowanceAnnotation + `image: the newer version lost mails
` + "```" + `

` + "```go" + `
Allowed: []consequence.Allowance{
	{Rule: "host", Object: "Ingress shop/old", Reason: "The shop is closed for good."},
},
` + "```" + `

Of an object that goes, the annotation of before counts, where it was rendered or applied with one. For one run, ` + "`-allow 'host=Ingress shop/old'`" + ` does the same. One that lets nothing pass any more is a note.

## The rules

| Rule | What it finds | Source |
|---|---|---|
`)
	for _, r := range consequence.Rules() {
		fmt.Fprintf(&b, "| <a id=%q></a>`%s` | %s | %s |\n", r.ID, r.ID, r.Doc, r.Source)
	}
	_, err := w.Write(b.Bytes())
	return err
}
