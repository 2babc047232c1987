package verdicts

import (
	"bytes"
	"fmt"
	"io/fs"
	"path"
	"regexp"
	"slices"
	"strings"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"

	"git.lastcloud.io/ronnibaslund/dezky/fleet/render/manifest"
	"git.lastcloud.io/ronnibaslund/dezky/fleet/render/object"
)

var (
	batsCheck   = regexp.MustCompile(`^"([^"]+)" \{`)
	batsFile    = regexp.MustCompile(`tmp="(tests/checks/[^"]+)"`)
	batsMessage = regexp.MustCompile(`\[\[ "\$\{message\d+\}" (?:==|=~) "(\w+):`)
	healthyName = regexp.MustCompile(`do?nt-?fire|^good-|^should-pass`)
)

// kubeLinter returns the cases of kube-linter, object by object. Its end-to-end
// tests demand the messages of a check for a file of tests/checks, each
// with the kind of the object; of that kind, the names tell which objects pass.
// Kinds of OpenShift are left out.
func (s Source) kubeLinter(dir fs.FS) ([]Case, error) {
	bats, err := fs.ReadFile(dir, "e2etests/bats-tests.sh")
	if err != nil {
		return nil, err
	}
	var cases []Case
	for _, test := range strings.Split(string(bats), "\n@test ")[1:] {
		name, file := batsCheck.FindStringSubmatch(test), batsFile.FindStringSubmatch(test)
		if name == nil || file == nil || strings.HasPrefix(name[1], "template-") || strings.HasPrefix(name[1], "flag-") {
			continue // not of a check that comes with it
		}
		check := name[1]
		text, err := fs.ReadFile(dir, file[1])
		if err != nil {
			return nil, err
		}
		var ours Check
		if i := slices.IndexFunc(s.Checks, func(k Check) bool { return k.Name == check }); i >= 0 {
			ours = s.Checks[i]
		}
		if ours.File {
			cases = append(cases, Case{Check: check, Name: path.Base(file[1]), Text: text, Flagged: true})
			continue
		}
		flagged := ours.Flagged
		var kinds []string
		for _, m := range batsMessage.FindAllStringSubmatch(test, -1) {
			kinds = append(kinds, m[1])
		}
		for _, of := range flagged {
			kind, _, _ := strings.Cut(of, "/")
			kinds = append(kinds, kind)
		}
		documents, err := manifest.Read(bytes.NewReader(text))
		if err != nil {
			return nil, fmt.Errorf("%s: %w", file[1], err)
		}
		var seen []object.ID
		for _, d := range documents {
			id := object.IDOf(d.Object)
			if len(kinds) > 0 && !slices.Contains(kinds, id.Kind) || slices.Contains(seen, id) || strings.HasSuffix(id.Group, ".openshift.io") {
				continue
			}
			seen = append(seen, id)
			if id.Name == "" {
				containers, _, _ := unstructured.NestedSlice(d.Object.Object, "spec", "template", "spec", "containers")
				for _, c := range containers {
					container, _ := c.(map[string]any)
					name, _, _ := unstructured.NestedString(container, "name")
					cases = append(cases, Case{Check: check, Name: id.Kind + " " + name, Text: text, Of: &id, Container: name, Flagged: !healthyName.MatchString(name)})
				}
				continue
			}
			fires := !healthyName.MatchString(id.Name)
			if flagged != nil {
				fires = slices.Contains(flagged, id.Kind+"/"+id.Name)
			}
			cases = append(cases, Case{Check: check, Name: id.String(), Text: text, Of: &id, Flagged: fires})
		}
	}
	return cases, nil
}
