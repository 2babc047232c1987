package object

import (
	"fmt"
	"strconv"
	"strings"

	"k8s.io/apimachinery/pkg/util/validation/field"
)

// Severity says how much a [Finding] matters. The zero value is Error.
type Severity int

// The severities, worst first.
const (
	// Error is a mistake: nothing is written or applied.
	Error Severity = iota
	// Warning is what somebody should look at.
	Warning
	// Note is what the operator should know.
	Note
)

// String returns error, warning or note.
func (s Severity) String() string {
	switch s {
	case Error:
		return "error"
	case Warning:
		return "warning"
	case Note:
		return "note"
	}
	return "severity " + strconv.Itoa(int(s))
}

// MarshalText implements encoding.TextMarshaler.
func (s Severity) MarshalText() ([]byte, error) { return []byte(s.String()), nil }

// UnmarshalText implements encoding.TextUnmarshaler.
func (s *Severity) UnmarshalText(text []byte) error {
	for _, severity := range []Severity{Error, Warning, Note} {
		if string(text) == severity.String() {
			*s = severity
			return nil
		}
	}
	return fmt.Errorf("%q is no severity: say error, warning or note", text)
}

// Finding is something that is wrong, or worth knowing, and where. It is an
// error. Its text is made when it is shown, one line each.
type Finding struct {
	// Rule is the stable name of the rule that found it. Empty where no rule
	// has a name.
	Rule string
	// Severity of the finding.
	Severity Severity
	// Layer that the object belongs to. Empty outside a Tree.
	Layer string
	// File that holds the object, as a path with slashes. Empty if unknown.
	File string
	// Line of the file where the object begins, from 1. Zero if unknown.
	Line int
	// Object that the finding is about, or the component that makes it. Zero
	// if it is about none.
	Object ID
	// Field is the path of the field, such as
	// spec.template.spec.containers[portal].image. Empty for the whole object.
	Field string
	// Problem says what is wrong.
	Problem string
	// Remedy says what to do. Empty where the problem says it.
	Remedy string
}

// Error returns the finding in one line: file and line, object, field, the
// problem and the remedy, as far as they are known.
func (f Finding) Error() string {
	var b strings.Builder
	if f.File != "" {
		b.WriteString(f.File)
		if f.Line > 0 {
			b.WriteString(":" + strconv.Itoa(f.Line))
		}
		b.WriteString(": ")
	}
	if f.Object != (ID{}) {
		b.WriteString(f.Object.String() + ": ")
	}
	if f.Field != "" {
		b.WriteString(f.Field + ": ")
	}
	b.WriteString(f.Problem)
	if f.Remedy != "" {
		b.WriteString(": " + f.Remedy)
	}
	return oneLine(b.String())
}

// oneLine writes the line ends of a text visibly.
func oneLine(s string) string {
	if !strings.ContainsAny(s, "\n\r") {
		return s
	}
	return strings.NewReplacer("\r\n", `\n`, "\n", `\n`, "\r", `\r`).Replace(s)
}

// Findings are several findings as one error.
type Findings []Finding

// Error returns a line for each finding.
func (f Findings) Error() string {
	lines := make([]string, len(f))
	for i := range f {
		lines[i] = f[i].Error()
	}
	return strings.Join(lines, "\n")
}

// Unwrap lets errors.As find each finding.
func (f Findings) Unwrap() []error {
	errs := make([]error, len(f))
	for i := range f {
		errs[i] = f[i]
	}
	return errs
}

// Err returns the findings as an error, nil where there are none.
func (f Findings) Err() error {
	if len(f) == 0 {
		return nil
	}
	return f
}

// Invalid returns a finding for each mistake in the fields of an object, or of
// the component that makes it.
func Invalid(id ID, mistakes field.ErrorList) Findings {
	if len(mistakes) == 0 {
		return nil
	}
	if id.Name == "" {
		id.Name = "(no name)"
	}
	findings := make(Findings, len(mistakes))
	for i, m := range mistakes {
		findings[i] = Finding{Object: id, Field: m.Field, Problem: m.ErrorBody()}
	}
	return findings
}

// Recovered makes an error of a panic; at says where it happened. Only a
// deferred call of it has an effect:
//
//	defer object.Recovered(&err, "component 3: ")
func Recovered(err *error, at string) {
	if r := recover(); r != nil {
		*err = fmt.Errorf("%spanic: %v", at, r)
	}
}

// FindingsOf takes an error apart: a Finding stays what it is, and every other
// error becomes a finding with its text as the problem. What stood before a
// joined error stands before the problem of each of its parts. An error that
// wraps several others within one sentence is one finding.
func FindingsOf(err error) Findings {
	return takeApart(nil, "", err)
}

func takeApart(all Findings, prefix string, err error) Findings {
	switch e := err.(type) {
	case nil:
		return all
	case Finding:
		e.Problem = prefix + e.Problem
		return append(all, e)
	case interface{ Unwrap() []error }:
		parts := e.Unwrap()
		texts := make([]string, len(parts))
		for i, part := range parts {
			texts[i] = fmt.Sprint(part)
		}
		if err.Error() == strings.Join(texts, "\n") {
			for _, part := range parts {
				all = takeApart(all, prefix, part)
			}
			return all
		}
	case interface{ Unwrap() error }:
		if before, ok := strings.CutSuffix(err.Error(), fmt.Sprint(e.Unwrap())); ok && e.Unwrap() != nil {
			return takeApart(all, prefix+before, e.Unwrap())
		}
	}
	return append(all, Finding{Problem: prefix + err.Error()})
}
