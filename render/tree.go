// Package render turns typed Kubernetes objects into reviewed files: it makes
// the objects of a [Tree], holds them against each other, encodes them as
// YAML and writes a directory or a stream.
//
// Files are made on all cores and independently of each other; nothing is
// written before every check has passed. The same Tree gives the same bytes.
//
// [Command] makes a program of it.
package render

import (
	"bytes"
	"errors"
	"fmt"
	"runtime"
	"slices"
	"strings"
	"sync"
	"sync/atomic"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	kruntime "k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/util/validation"

	"git.lastcloud.io/ronnibaslund/dezky/fleet/render/internal/encode"
)

// Object is a Kubernetes API object with its TypeMeta filled in.
type Object = interface {
	metav1.Object
	kruntime.Object
}

// Component knows its objects. A component may also have any of
//
//	Claims() []string        // what it uses alone; two equal claims in one Tree are refused
//	Notes() []string         // what its operator should know, and no error
//	PendingValues() []string // values that are not known yet, and what they wait for
//	ReadElsewhere() bool     // its ConfigMaps are read by what is not in the Tree
type Component interface {
	// Objects makes the objects anew; the error holds every mistake.
	Objects() ([]Object, error)
}

// Secret is a Secret that is not rendered, since people fill it in. The
// objects may refer to its keys and to no others.
type Secret interface {
	// Object is the Secret with its keys; the values do not count.
	Object() *corev1.Secret
	// ReadElsewhere says that a key is not an orphan though no object reads it.
	ReadElsewhere(key string) bool
}

// Tree is everything that one command renders.
type Tree struct {
	// Name stands in the first line of each file, and tells the files of this
	// Tree from those of others.
	Name string
	// Layers in the order in which they are applied to an empty cluster.
	Layers []Layer
	// Texts stand beside the layers: documentation, a template. They are
	// never applied.
	Texts []Text
	// Secrets that people fill in.
	Secrets []Secret
	// Domain is the public domain of the environment: plain http:// to it or
	// to a host below it is refused. If empty, nothing is.
	Domain string
	// ForeignDomains belong to other environments: no object may hold one.
	ForeignDomains []string
	// Notes are told with those of the components.
	Notes []string
}

// Layer is files that are applied together by the same hands.
type Layer struct {
	// Name of its directory.
	Name string
	// Files in any order; kubectl takes them in the order of their names.
	Files []File
}

// File is one file of a layer.
type File struct {
	// Name without .yaml.
	Name string
	// Components whose objects stand in the file, in this order.
	Components []Component
}

// Text is a file beside the layers.
type Text struct {
	// Name with its ending: .md, .yaml or .txt.
	Name string
	// Content makes what follows the first line, which says who rendered the
	// file. It is called where texts are rendered, and nowhere else.
	Content func() (string, error)
}

// Rendered is one file's text.
type Rendered struct {
	// Path below the output directory, with slashes.
	Path string
	// Data is the text of the file.
	Data []byte
}

// Report says what a rendering came to.
type Report struct {
	// Files and Objects that were rendered.
	Files, Objects int
	// Written and Removed are the paths of the files that changed on disk.
	Written, Removed []string
	// Notes of the Tree and its components, orphans among them.
	Notes []string
	// Pending values of the components.
	Pending []string
}

// header is the first line of a file. The marker in it tells own files from
// foreign ones.
func (t Tree) header(path string) string {
	if strings.HasSuffix(path, ".md") {
		return "<!-- " + t.marker() + " -->\n"
	}
	return "# " + t.marker() + "\n"
}

func (t Tree) marker() string {
	return "Rendered by " + t.Name + ". Do not edit: change the definitions and render again."
}

// Files renders the Tree to memory, in the order in which the files are
// applied; the texts come last.
func (t Tree) Files() ([]Rendered, Report, error) {
	var m memory
	report, err := t.render(&m)
	if err != nil {
		return nil, Report{}, err
	}
	return m.files, report, nil
}

// YAML is the text of one object as it stands in the files: sorted keys, no
// status, no nulls, no zero values that say nothing.
func YAML(o Object) ([]byte, error) { return encode.Append(nil, o) }

// sink takes rendered files. Between prepare and commit or abort, put is
// called once for each path, from several goroutines at once, in no order;
// the data is the caller's again afterwards.
type sink interface {
	prepare(paths []string) error
	put(index int, data []byte) error
	commit(*Report) error
	abort()
}

type memory struct{ files []Rendered }

func (m *memory) prepare(paths []string) error {
	m.files = make([]Rendered, len(paths))
	for i, p := range paths {
		m.files[i].Path = p
	}
	return nil
}

func (m *memory) put(i int, data []byte) error {
	m.files[i].Data = bytes.Clone(data)
	return nil
}

func (m *memory) commit(*Report) error { return nil }
func (m *memory) abort()               {}

// job is one file to render.
type job struct {
	layer      string
	path       string
	components []Component
	text       func() (string, error)
}

// render makes every file, and commits them if nothing is wrong with any.
func (t Tree) render(out sink) (Report, error) {
	jobs, err := t.jobs()
	if err != nil {
		return Report{}, err
	}
	paths := make([]string, len(jobs))
	for i, j := range jobs {
		paths[i] = j.path
	}
	if err := out.prepare(paths); err != nil {
		return Report{}, err
	}

	found := make([]facts, len(jobs))
	var next atomic.Int64
	var wg sync.WaitGroup
	for range min(runtime.GOMAXPROCS(0), len(jobs)) {
		wg.Go(func() {
			var buf []byte
			for i := int(next.Add(1)) - 1; i < len(jobs); i = int(next.Add(1)) - 1 {
				buf = t.file(buf[:0], jobs[i], &found[i])
				if len(found[i].errs) > 0 {
					continue
				}
				if err := out.put(i, buf); err != nil {
					found[i].errs = append(found[i].errs, err)
				}
			}
		})
	}
	wg.Wait()

	report, err := t.check(jobs, found)
	if err != nil {
		out.abort()
		return Report{}, err
	}
	if err := out.commit(&report); err != nil {
		return Report{}, err
	}
	return report, nil
}

// jobs lists the files in the order in which they are applied.
func (t Tree) jobs() ([]job, error) {
	var errs []error
	if t.Name == "" || strings.ContainsAny(t.Name, "\n\r") {
		errs = append(errs, errors.New("tree: name: give the tree a name of one line"))
	}
	checkName := func(what, name string) {
		if msgs := validation.IsDNS1123Subdomain(name); len(msgs) > 0 {
			errs = append(errs, fmt.Errorf("%s %q: name: %s", what, name, strings.Join(msgs, "; ")))
		}
	}
	var jobs []job
	seen := make(map[string]bool)
	for _, layer := range t.Layers {
		checkName("layer", layer.Name)
		if seen[layer.Name] {
			errs = append(errs, fmt.Errorf("layer %s: there are two: give each its own name", layer.Name))
		}
		seen[layer.Name] = true
		first := len(jobs)
		for _, file := range layer.Files {
			checkName("layer "+layer.Name+": file", file.Name)
			jobs = append(jobs, job{layer: layer.Name, path: layer.Name + "/" + file.Name + ".yaml", components: file.Components})
		}
		slices.SortFunc(jobs[first:], func(a, b job) int { return strings.Compare(a.path, b.path) })
	}
	for _, text := range t.Texts {
		if !slices.ContainsFunc([]string{".md", ".yaml", ".txt"}, func(ext string) bool { return strings.HasSuffix(text.Name, ext) }) {
			errs = append(errs, fmt.Errorf("text %q: name: must end in .md, .yaml or .txt", text.Name))
		}
		checkName("text", strings.ToLower(text.Name))
		if text.Content == nil {
			errs = append(errs, fmt.Errorf("text %q: content: say how it is made", text.Name))
		}
		jobs = append(jobs, job{path: text.Name, text: text.Content})
	}
	paths := make(map[string]bool, len(jobs))
	for _, j := range jobs {
		if paths[j.path] {
			errs = append(errs, fmt.Errorf("%s: two files have this name: give each its own", j.path))
		}
		paths[j.path] = true
	}
	return jobs, errors.Join(errs...)
}

// file appends the text of one file to buf, and takes down what the checks
// across files need.
func (t Tree) file(buf []byte, j job, f *facts) []byte {
	buf = append(buf, t.header(j.path)...)
	if j.layer == "" {
		text, err := j.text()
		if err != nil {
			f.errs = append(f.errs, split(err)...)
		}
		buf = append(buf, text...)
		for _, err := range t.checkAddresses(buf) {
			f.errs = append(f.errs, fmt.Errorf("text: %w", err))
		}
		return buf
	}
	for _, c := range j.components {
		objects, err := c.Objects()
		f.component(c)
		if err != nil {
			f.errs = append(f.errs, split(err)...)
		}
		reader, ok := c.(interface{ ReadElsewhere() bool })
		elsewhere := ok && reader.ReadElsewhere()
		for _, o := range objects {
			self := f.object(o, elsewhere) // of a mistaken component too, so that one mistake is told once
			if err != nil {
				continue
			}
			if len(f.objects) > 1 {
				buf = append(buf, "---\n"...)
			}
			start := len(buf)
			text, err := encode.Append(buf, o)
			if err != nil {
				f.errs = append(f.errs, fmt.Errorf("%s: %w", self, err))
				continue
			}
			buf = text
			for _, err := range t.checkAddresses(buf[start:]) {
				f.errs = append(f.errs, fmt.Errorf("%s: %w", self, err))
			}
		}
	}
	return buf
}

// split takes joined errors apart, so that each gets its own line and place.
func split(err error) []error {
	if joined, ok := err.(interface{ Unwrap() []error }); ok {
		var all []error
		for _, e := range joined.Unwrap() {
			all = append(all, split(e)...)
		}
		return all
	}
	return []error{err}
}
