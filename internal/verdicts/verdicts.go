// Package verdicts holds the rules of render/check against fixtures of other
// programs that check manifests, and of Traefik: each fixture with the verdict
// that its own tests demand.
//
// Nothing of theirs is in this repository: the fixtures are read from a Go
// module or from a clone. What is typed by hand is which of our rules answers
// to which of their checks, and why a verdict differs, in testdata/NAME.yaml;
// the verdicts themselves stand in testdata/NAME.txt, and docs/verdicts.md is
// made from both. See the test for how they are made anew.
package verdicts

import (
	"bytes"
	"fmt"
	"io/fs"
	"regexp"
	"slices"
	"strings"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/yaml"

	"git.lastcloud.io/ronnibaslund/dezky/fleet/render/check"
	"git.lastcloud.io/ronnibaslund/dezky/fleet/render/manifest"
	"git.lastcloud.io/ronnibaslund/dezky/fleet/render/object"
)

// Names are the sources, in the order of the page.
var Names = []string{"kube-linter", "kube-score", "polaris", "kosko", "traefik"}

// Source is a program whose fixtures are compared, as testdata/NAME.yaml has
// it.
type Source struct {
	// Name of the file, without its ending.
	Name string `json:"-"`
	// Title of the program.
	Title string
	// Module that has the fixtures, as path@version; without a version, the
	// one that go.mod demands. Empty where a clone has them.
	Module string
	// Sum of the module, as go.sum would have it. Empty where go.sum has it.
	Sum string
	// Repository that is cloned, as host/owner/name.
	Repository string
	// Commit of the repository that has the fixtures, and the tag it has.
	Commit, Tag string
	// About says what a fixture is, and where its verdict stands.
	About string
	// Checks are all that the fixtures are about.
	Checks []Check
}

// Check is a check of theirs.
type Check struct {
	// Name that they give it.
	Name string
	// Rules of ours that answer to it. Empty where there are none.
	Rules []string
	// Why there is no rule.
	Why string
	// Level of Pod Security that the namespaces of the fixtures enforce, since
	// our rule asks for what the namespace asks for. Empty for none.
	Level string
	// Finding is a regular expression that a finding must match to count,
	// where a rule looks for more than the check. Empty for every finding.
	Finding string
	// Differ are the cases in which the verdicts differ, each with a reason.
	Differ []Difference
	// Flagged are the objects that the check flags, as KIND/NAME, where the
	// tests of kube-linter do not tell them.
	Flagged []string
	// File reports that a file of kube-linter is one fixture, since we report
	// another object of it than they do.
	File bool
}

// Difference is why some verdicts differ.
type Difference struct {
	Cases []string
	Why   string
}

// Case is a fixture and their verdict.
type Case struct {
	// Check of theirs that the fixture is about.
	Check string
	// Name of the fixture, and where not the whole of it is judged, of the
	// object.
	Name string
	// Text of the manifests.
	Text []byte
	// Of is the object that is judged. Nil for all.
	Of *object.ID
	// Container of the object that is judged. Empty for all of it.
	Container string
	// Flagged is their verdict: the check finds something.
	Flagged bool
}

// Verdict is a case with our verdict.
type Verdict struct {
	Check, Case string
	// Flagged is their verdict.
	Flagged bool
	// Found are the rules of ours that find something.
	Found []string
}

// Same reports whether both say the same.
func (v Verdict) Same() bool { return v.Flagged == (len(v.Found) > 0) }

// Read reads the source of that name.
func Read(dir fs.FS, name string) (Source, error) {
	text, err := fs.ReadFile(dir, name+".yaml")
	if err != nil {
		return Source{}, err
	}
	s := Source{Name: name}
	if err := yaml.UnmarshalStrict(text, &s); err != nil {
		return s, fmt.Errorf("%s.yaml: %w", name, err)
	}
	return s, nil
}

// Judge puts the cases to the rules, in the order of the cases. Cases of checks
// that no rule answers to are left out. It is an error where a case is of a
// check that the source does not list.
func (s Source) Judge(cases []Case) ([]Verdict, error) {
	var all []Verdict
	for _, c := range cases {
		i := slices.IndexFunc(s.Checks, func(k Check) bool { return k.Name == c.Check })
		if i < 0 {
			return nil, fmt.Errorf("%s.yaml: the check %s is missing, which %s is about: name the rules that answer to it, or why none does", s.Name, c.Check, c.Name)
		}
		if len(s.Checks[i].Rules) == 0 {
			continue
		}
		found, err := s.Checks[i].judge(c)
		if err != nil {
			return nil, fmt.Errorf("%s.yaml: %s: %s: %w", s.Name, c.Check, c.Name, err)
		}
		all = append(all, Verdict{Check: c.Check, Case: c.Name, Flagged: c.Flagged, Found: found})
	}
	return all, nil
}

// judge returns the rules that find something, in the order of their names.
func (k Check) judge(c Case) ([]string, error) {
	counts, err := regexp.Compile(k.Finding)
	if err != nil {
		return nil, err
	}
	documents, err := manifest.Read(bytes.NewReader(c.Text))
	if err != nil {
		return nil, err
	}
	var objects []*check.Object
	namespaces := make(map[string]bool)
	for _, d := range documents {
		objects = append(objects, &check.Object{Object: d.Object})
		namespaces[d.Object.GetNamespace()] = true
	}
	if k.Level != "" {
		for name := range namespaces {
			objects = append(objects, &check.Object{Object: &corev1.Namespace{
				TypeMeta:   metav1.TypeMeta{APIVersion: "v1", Kind: "Namespace"},
				ObjectMeta: metav1.ObjectMeta{Name: name, Labels: map[string]string{"pod-security.kubernetes.io/enforce": k.Level}},
			}})
		}
	}
	var found []string
	for _, f := range check.Run(check.NewSet(objects, nil), check.Rules()).Findings {
		if c.Container != "" && !strings.Contains(f.Field, "["+c.Container+"]") {
			continue
		}
		if slices.Contains(k.Rules, f.Rule) && counts.MatchString(f.Error()) && (c.Of == nil || is(f.Object, *c.Of)) {
			found = append(found, f.Rule)
		}
	}
	slices.Sort(found)
	return slices.Compact(found), nil
}

// is reports whether a finding's object is that one. It has no namespace where
// its kind is of the whole cluster, whatever the manifest says.
func is(found, of object.ID) bool {
	if found.Namespace == "" {
		of.Namespace = ""
	}
	return found == of
}

// Format returns the text of verdicts, a line for each.
func Format(verdicts []Verdict) []byte {
	var b bytes.Buffer
	for _, v := range verdicts {
		theirs := "passes"
		if v.Flagged {
			theirs = "flagged"
		}
		fmt.Fprintf(&b, "%s\t%s\t%s\t%s\n", v.Check, v.Case, theirs, strings.Join(v.Found, " "))
	}
	return b.Bytes()
}

// Parse returns the verdicts of a text that Format made.
func Parse(text []byte) ([]Verdict, error) {
	var all []Verdict
	n := 0
	for line := range strings.Lines(string(text)) {
		n++
		fields := strings.Split(strings.TrimSuffix(line, "\n"), "\t")
		if len(fields) != 4 || fields[2] != "flagged" && fields[2] != "passes" {
			return nil, fmt.Errorf("line %d is no verdict: %q", n, line)
		}
		all = append(all, Verdict{Check: fields[0], Case: fields[1], Flagged: fields[2] == "flagged", Found: strings.Fields(fields[3])})
	}
	return all, nil
}
