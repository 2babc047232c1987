package verdicts

import (
	"bytes"
	"errors"
	"fmt"
	"slices"
	"strings"

	"git.lastcloud.io/ronnibaslund/dezky/fleet/render/check"
)

// Section is a source and its verdicts.
type Section struct {
	Source   Source
	Verdicts []Verdict
}

// Page returns docs/verdicts.md. The error says which verdicts differ without a
// reason, and which reasons nothing needs.
func Page(sections []Section) ([]byte, error) {
	var errs []error
	var b bytes.Buffer
	b.WriteString(`<!-- Made from internal/verdicts/testdata. Do not edit: change what stands there, and run make golden. -->
# Verdicts of others

Other programs check manifests too, and their own tests say which manifests they flag and which they let pass. Here these manifests are put to [our rules](rules.md): where both look for the same thing, both say the same, or a reason says why not. Where we have no rule, a reason says why.

Only what the rules named in a row find counts there, since a fixture is often a fragment that has other faults.

| Source | Version | Checks | With a rule of ours | Fixtures of these | Same verdict |
|---|---|---|---|---|---|
`)
	for _, s := range sections {
		with, same := 0, 0
		for _, k := range s.Source.Checks {
			if len(k.Rules) > 0 {
				with++
			}
		}
		for _, v := range s.Verdicts {
			if v.Same() {
				same++
			}
		}
		fmt.Fprintf(&b, "| [%s](#%s) | %s | %d | %d | %d | %d |\n", s.Source.Title, strings.ToLower(s.Source.Title), s.Source.version(), len(s.Source.Checks), with, len(s.Verdicts), same)
	}
	b.WriteString(`
The fixtures stay where they are: those of Go modules are downloaded and compared by ` + "`.ci/run`" + `, the others by hand with ` + "`go test ./internal/verdicts -run TestGolden -fixtures -clones DIR`" + `, where DIR holds a clone of each repository under the name of its section. With ` + "`-update`" + ` the new verdicts are accepted.
`)
	for _, s := range sections {
		errs = append(errs, s.write(&b))
	}
	return b.Bytes(), errors.Join(errs...)
}

// version says which release has the fixtures.
func (s Source) version() string {
	if _, version, ok := strings.Cut(s.Module, "@"); ok {
		return version
	}
	if s.Module != "" {
		return "the one of go.mod"
	}
	return s.Tag
}

// write writes the tables of a source.
func (s Section) write(b *bytes.Buffer) error {
	source := s.Source
	var errs []error
	wrong := func(format string, args ...any) {
		errs = append(errs, fmt.Errorf("testdata/"+source.Name+".yaml: "+format, args...))
	}
	fmt.Fprintf(b, "\n## %s\n\n%s\n", source.Title, source.About)
	if source.Module == "" {
		fmt.Fprintf(b, "From https://%s at %s, commit %.12s.\n", source.Repository, source.Tag, source.Commit)
	} else {
		fmt.Fprintf(b, "From the module `%s`.\n", source.Module)
	}
	b.WriteString("\n| Their check | Our rules | Fixtures | Same | Why not |\n|---|---|---|---|---|\n")
	for _, k := range source.Checks {
		if len(k.Rules) == 0 {
			continue
		}
		var links []string
		for _, id := range k.Rules {
			if !slices.ContainsFunc(check.Rules(), func(r check.Rule) bool { return r.ID == id }) {
				wrong("%s: there is no rule %s", k.Name, id)
			}
			links = append(links, fmt.Sprintf("[`%s`](rules.md#%s)", id, id))
		}
		rules := strings.Join(links, ", ")
		if k.Level != "" {
			rules += ", in a namespace that enforces `" + k.Level + "`"
		}
		all, same := 0, 0
		differ := make(map[string]bool) // whether a reason is given
		for _, v := range s.Verdicts {
			if v.Check != k.Name {
				continue
			}
			all++
			if v.Same() {
				same++
			} else {
				differ[v.Case] = false
			}
		}
		if all == 0 {
			wrong("%s has no fixture", k.Name)
		}
		var why []string
		for _, d := range k.Differ {
			for _, c := range d.Cases {
				if _, ok := differ[c]; !ok {
					wrong("%s: %s: the verdicts do not differ: leave the reason out", k.Name, c)
				}
				differ[c] = true
			}
			why = append(why, "`"+strings.Join(d.Cases, "`, `")+"`: "+d.Why)
		}
		for _, v := range s.Verdicts {
			if given, ok := differ[v.Case]; ok && v.Check == k.Name && !given {
				theirs := "passes"
				if v.Flagged {
					theirs = "is flagged"
				}
				wrong("%s: %s %s there, and our rules find %d: say why, or mend the rule", k.Name, v.Case, theirs, len(v.Found))
			}
		}
		fmt.Fprintf(b, "| %s | %s | %d | %d | %s |\n", k.Name, rules, all, same, strings.Join(why, "<br>"))
	}
	head := "\n| Their check, no rule of ours | Why |\n|---|---|\n"
	for _, k := range source.Checks {
		if (len(k.Rules) == 0) != (k.Why != "") {
			wrong("%s: name rules, or why there is none", k.Name)
		}
		if len(k.Rules) == 0 {
			fmt.Fprintf(b, "%s| %s | %s |\n", head, k.Name, k.Why)
			head = ""
		}
	}
	return errors.Join(errs...)
}
