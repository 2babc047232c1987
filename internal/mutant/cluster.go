package mutant

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"sync/atomic"

	"golang.org/x/sync/errgroup"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"sigs.k8s.io/yaml"

	"git.lastcloud.io/ronnibaslund/dezky/fleet/internal/sample"
	"git.lastcloud.io/ronnibaslund/dezky/fleet/render"
	"git.lastcloud.io/ronnibaslund/dezky/fleet/render/check/report"
	"git.lastcloud.io/ronnibaslund/dezky/fleet/render/manifest"
	"git.lastcloud.io/ronnibaslund/dezky/fleet/render/object"
)

// Cluster is manifests that are checked together.
type Cluster struct {
	// Name of the cluster, for people.
	Name string
	// Files by their paths.
	Files map[string][]byte
	// Elsewhere are files with what else is in the cluster.
	Elsewhere []string
	// Frozen reports that no change of the tier changes them.
	Frozen bool
	// Mutants of all objects, in the order of the files.
	Mutants []Placed
}

// Placed is a mutant and the place of its object.
type Placed struct {
	Mutant
	file  string
	index int // of the object in the file
}

// Read reads the YAML files of a directory and its subfolders, and breaks
// their objects.
func Read(name, dir string, elsewhere ...string) (*Cluster, error) {
	c := &Cluster{Name: name, Files: make(map[string][]byte), Elsewhere: elsewhere}
	err := fs.WalkDir(os.DirFS(dir), ".", func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() || filepath.Ext(path) != ".yaml" {
			return err
		}
		text, err := os.ReadFile(filepath.Join(dir, path))
		if err != nil {
			return err
		}
		objects, err := manifest.Read(bytes.NewReader(text))
		if err != nil {
			return fmt.Errorf("%s: %w", path, err)
		}
		c.Files[path] = text
		for i, o := range objects {
			for _, m := range Of(o.Object) {
				c.Mutants = append(c.Mutants, Placed{m, path, i})
			}
		}
		return nil
	})
	return c, err
}

// Clusters returns the manifests that are broken: a healthy shop of the rules'
// own tests, the sample tier, the example layers, and the goldens of the tier.
// Root is the root of this repository, and dir an empty directory.
func Clusters(root, dir string) ([]*Cluster, error) {
	tree, err := sample.Tree("production", render.Images{Tag: "0123456789abcdef0123456789abcdef01234567"})
	if err != nil {
		return nil, err
	}
	if _, err := tree.WriteDir(dir); err != nil {
		return nil, err
	}
	var all []*Cluster
	for _, c := range []struct {
		name, dir string
		elsewhere []string
		frozen    bool
	}{
		{"shop", "render/check/testdata/healthy", nil, true},
		{"sample", "", []string{"internal/mutant/testdata/elsewhere.yaml"}, true},
		{"data", "examples/data/golden", []string{"golden/production/ci/00-namespaces.yaml"}, true},
		{"auth", "examples/auth/golden", []string{"examples/data/golden", "golden/production/auth", "golden/production/secrets"}, true},
		{"files", "examples/files/golden", []string{"examples/data/golden", "examples/auth/golden", "golden/production/auth", "golden/production/secrets"}, true},
		{"production", "golden/production", nil, false},
		{"development", "golden/development", nil, false},
	} {
		for i := range c.elsewhere {
			c.elsewhere[i] = filepath.Join(root, c.elsewhere[i])
		}
		from := filepath.Join(root, c.dir)
		if c.dir == "" {
			from = dir
		}
		cluster, err := Read(c.name, from, c.elsewhere...)
		if err != nil {
			return nil, err
		}
		cluster.Frozen = c.frozen
		all = append(all, cluster)
	}
	return all, nil
}

// Pick returns some of the mutants of all clusters: each that changes a value,
// and one for each field and other change. Frozen clusters come first.
func Pick(clusters []*Cluster) map[*Cluster][]Placed {
	values := make(map[string]bool)
	for _, c := range Changes {
		values[c.Name] = c.Value
	}
	seen := make(map[string]bool)
	picked := make(map[*Cluster][]Placed)
	for _, c := range clusters {
		for _, m := range c.Mutants {
			key := m.Change + " " + m.Field
			if values[m.Change] || !seen[key] {
				seen[key] = true
				picked[c] = append(picked[c], m)
			}
		}
	}
	return picked
}

// Each checks mutants of the cluster on all cores, and calls do with each and
// what the command finds, several at the same time. Dir is an empty directory.
func (c *Cluster) Each(command report.Command, dir string, list []Placed, do func(Placed, []Finding)) error {
	var group errgroup.Group
	var next atomic.Int64
	for i := range runtime.GOMAXPROCS(0) {
		group.Go(func() error {
			k, err := c.checker(command, filepath.Join(dir, strconv.Itoa(i)))
			if err != nil {
				return err
			}
			for i := int(next.Add(1)) - 1; i < len(list); i = int(next.Add(1)) - 1 {
				findings, err := k.check(list[i])
				if err != nil {
					return err
				}
				do(list[i], findings)
			}
			return nil
		})
	}
	return group.Wait()
}

// checker runs the command on one cluster.
type checker struct {
	cluster *Cluster
	command report.Command
	dir     string // a copy of the files
	// before is what the command finds where nothing is broken.
	before map[string]bool
}

func (c *Cluster) checker(command report.Command, dir string) (*checker, error) {
	for path, text := range c.Files {
		path = filepath.Join(dir, path)
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			return nil, err
		}
		if err := os.WriteFile(path, text, 0o644); err != nil {
			return nil, err
		}
	}
	k := &checker{cluster: c, command: command, dir: dir, before: make(map[string]bool)}
	before, err := k.run()
	for _, f := range before {
		k.before[f.String()] = true
	}
	return k, err
}

// Finding is what the command reports, as its JSON has it.
type Finding struct {
	Rule     string
	Severity object.Severity
	Object   struct{ Kind, Namespace, Name string }
	Field    string
	Problem  string
}

// Worst returns the highest severity of findings, and nothing where there are
// none.
func Worst(findings []Finding) string {
	if len(findings) == 0 {
		return ""
	}
	return slices.MinFunc(findings, func(a, b Finding) int { return int(a.Severity) - int(b.Severity) }).Severity.String()
}

func (f Finding) String() string {
	return fmt.Sprintf("%s: %s %s/%s: %s: %s [%s]", f.Severity, f.Object.Kind, f.Object.Namespace, f.Object.Name, f.Field, f.Problem, f.Rule)
}

// check puts a mutant in the place of its object, runs the command, and
// returns what it finds that it did not find before.
func (k *checker) check(m Placed) ([]Finding, error) {
	text := k.cluster.Files[m.file]
	objects, err := manifest.Read(bytes.NewReader(text))
	if err != nil {
		return nil, err
	}
	var b bytes.Buffer
	for i, o := range objects {
		all := []*unstructured.Unstructured{o.Object}
		if i == m.index {
			all = m.Broken
		}
		for _, o := range all {
			out, err := yaml.Marshal(o.Object)
			if err != nil {
				return nil, err
			}
			b.WriteString("---\n")
			b.Write(out)
		}
	}
	path := filepath.Join(k.dir, m.file)
	if err := os.WriteFile(path, b.Bytes(), 0o644); err != nil {
		return nil, err
	}
	findings, err := k.run()
	if err != nil {
		return nil, fmt.Errorf("%s: %w", m, err)
	}
	return slices.DeleteFunc(findings, func(f Finding) bool { return k.before[f.String()] }), os.WriteFile(path, text, 0o644)
}

func (k *checker) run() ([]Finding, error) {
	args := []string{"-format", "json"}
	for _, e := range k.cluster.Elsewhere {
		args = append(args, "-elsewhere", e)
	}
	var out, errs bytes.Buffer
	if status := k.command.Run(append(args, k.dir), strings.NewReader(""), &out, &errs); status > 1 {
		return nil, fmt.Errorf("status %d: %s", status, &errs)
	}
	var r struct{ Findings []Finding }
	return r.Findings, json.Unmarshal(out.Bytes(), &r)
}
