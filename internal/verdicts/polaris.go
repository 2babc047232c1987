package verdicts

import (
	"io/fs"
	"path"
	"strings"
)

// polaris returns the cases of polaris: the names of the files in
// test/checks/CHECK say whether the check passes.
func polaris(dir fs.FS) ([]Case, error) {
	files, err := fs.Glob(dir, "test/checks/*/*.yaml")
	if err != nil {
		return nil, err
	}
	var cases []Case
	for _, file := range files {
		name := path.Base(file)
		flagged := strings.HasPrefix(name, "failure")
		if !flagged && !strings.HasPrefix(name, "success") {
			continue // the check itself, or what it makes of a file
		}
		text, err := fs.ReadFile(dir, file)
		if err != nil {
			return nil, err
		}
		cases = append(cases, Case{Check: path.Base(path.Dir(file)), Name: name, Text: text, Flagged: flagged})
	}
	return cases, nil
}
