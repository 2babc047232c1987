package report

import (
	"bytes"
	"fmt"
	"io"

	"git.lastcloud.io/ronnibaslund/dezky/fleet/render/check"
)

// rules are those of render/check, and that of what cannot be read.
func rules() []check.Rule {
	return append(check.Rules(), check.Rule{
		ID:     unreadable,
		Doc:    "What cannot be read is never taken for right: a file that is missing, empty, not UTF-8 or no YAML, and an object without apiVersion or kind.",
		Source: "Kubernetes documentation, 'Objects In Kubernetes', Required fields",
	})
}

// writeRules writes the page of all rules, as Markdown.
func writeRules(w io.Writer) error {
	var b bytes.Buffer
	fmt.Fprintf(&b, `<!-- Made from the code. Do not edit: change the rules, and run make golden. -->
# Rules

`+"`go run ./cmd/check DIR|FILE|-`"+` holds manifests against these rules, whoever made them; `+"`render`"+` holds what it renders against them before anything is written. Versions are judged by Kubernetes %s.

An **error** is what the API server refuses, what cannot run or be reached as stated, and what was an incident. A **warning** is about safety and style. A **note** is worth knowing. Rendering stops at errors only. What other programs that check manifests say of the same ones stands in [verdicts.md](verdicts.md).

## What exists elsewhere

What another layer, an operator or the cluster itself makes is declared, so that references to it hold: in the field `+"`Elsewhere`"+` of the Tree, or in manifests that `+"`-elsewhere`"+` names. Such a manifest may be as short as this; with data or ports, the object has those keys or ports and no others.

`+"```yaml"+`
{apiVersion: v1, kind: ConfigMap, metadata: {namespace: shop, name: made-by-the-operator}}
`+"```"+`

## Waivers

A finding that is meant passes with a reason, by an annotation on its object or by the field `+"`Waivers`"+` of the Tree. `+"`cmd/check`"+` lists what is waived, and notes a waiver that is no longer needed.

`+"```yaml"+`
metadata:
  annotations:
    %sRULE: the reason
`+"```"+`

## The rules

| Rule | | What it prevents | Source |
|---|---|---|---|
`, check.Kubernetes, check.WaiverAnnotation)
	for _, r := range rules() {
		fmt.Fprintf(&b, "| <a id=%q></a>`%s` | %s | %s | %s |\n", r.ID, r.ID, r.Severity, r.Doc, r.Source)
	}
	_, err := w.Write(b.Bytes())
	return err
}
