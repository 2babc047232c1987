package verdicts

import (
	"bytes"
	"context"
	_ "embed"
	"encoding/json"
	"fmt"
	"io/fs"
	"os/exec"
	"path"
	"strings"
)

//go:embed kosko.js
var koskoTests string

// kosko returns the cases of kosko: the tests of its lint rules, which are
// TypeScript and run by Node.js. Tests with a configuration are left out.
func kosko(ctx context.Context, dir fs.FS) ([]Case, error) {
	files, err := fs.Glob(dir, "plugins/lint/src/rules/*.test.ts")
	if err != nil {
		return nil, err
	}
	texts := make(map[string]string)
	for _, file := range files {
		text, err := fs.ReadFile(dir, file)
		if err != nil {
			return nil, err
		}
		texts[strings.TrimSuffix(path.Base(file), ".test.ts")] = string(text)
	}
	in, err := json.Marshal(texts)
	if err != nil {
		return nil, err
	}
	cmd := exec.CommandContext(ctx, "node", "-e", koskoTests)
	var out, stderr bytes.Buffer
	cmd.Stdin, cmd.Stdout, cmd.Stderr = bytes.NewReader(in), &out, &stderr
	if err := cmd.Run(); err != nil {
		return nil, fmt.Errorf("node: %w\n%s", err, &stderr)
	}
	var tests []struct {
		Check, Name string
		Manifests   []json.RawMessage
		Flagged     bool
	}
	if err := json.Unmarshal(out.Bytes(), &tests); err != nil {
		return nil, err
	}
	var cases []Case
	for _, t := range tests {
		c := Case{Check: t.Check, Name: t.Name, Flagged: t.Flagged}
		for _, m := range t.Manifests {
			c.Text = append(c.Text, "---\n"+string(m)+"\n"...)
		}
		cases = append(cases, c)
	}
	return cases, nil
}
