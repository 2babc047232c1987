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
	"maps"
	"path"
	"reflect"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"

	"k8s.io/apimachinery/pkg/util/validation"

	"git.lastcloud.io/ronnibaslund/dezky/fleet/components/secret"
	"git.lastcloud.io/ronnibaslund/dezky/fleet/render/check"
	"git.lastcloud.io/ronnibaslund/dezky/fleet/render/domain"
	"git.lastcloud.io/ronnibaslund/dezky/fleet/render/internal/encode"
	"git.lastcloud.io/ronnibaslund/dezky/fleet/render/object"
	"git.lastcloud.io/ronnibaslund/dezky/fleet/render/plan/consequence"
)

// Tree is everything that one command renders.
type Tree struct {
	// Name stands in the first line of each file, and tells the files of this
	// Tree from those of others.
	Name string
	// ID of the Tree, a label value. Every object gets the label [OwnerLabel]
	// with it, so that whoever prunes knows which objects are the Tree's, and
	// two Trees in one cluster are told apart. If empty, no object gets one.
	ID string
	// Layers in the order in which they are applied to an empty cluster.
	Layers []Layer
	// Texts stand beside the layers: documentation, a template. They are
	// never applied.
	Texts []Text
	// Secrets that people fill in, by contract. They are not rendered, and the
	// objects may refer to their keys and to no others.
	Secrets []secret.Contract
	// Elsewhere are other objects that exist in the cluster and are not
	// rendered, since another layer, an operator or the cluster itself makes
	// them. What is rendered may refer to them.
	Elsewhere []check.Elsewhere
	// Waivers let what a rule finds pass, beside those in the annotations of
	// the objects.
	Waivers []check.Waiver
	// Allowed lets consequences of a change pass that are meant, as those that
	// would stop a deploy.
	Allowed []consequence.Allowance
	// Domains are the public domains of the environment, in lower case: plain
	// http:// to one or to a host below it is refused.
	Domains []string
	// ForeignDomains belong to other environments, in lower case: nothing
	// that is rendered may hold one, or a host below it. A domain below
	// another one comes first; see [domain.Domains]. The values of all
	// strings are searched, but not what an object holds as base64, such as
	// the binaryData of a ConfigMap.
	ForeignDomains []string
	// Notes are told with those of the components.
	Notes []string
	// Assumed are assumptions that no component holds; they are reported with
	// those of the components.
	Assumed []object.Assumption
	// Confirmed refuses to render while any assumption is open.
	Confirmed bool
}

// OwnerLabel is the label with the [Tree.ID] of the Tree to which an object
// belongs. It stands on the object alone: a selector cannot change later, and
// a label of a pod template restarts the pods.
const OwnerLabel = "fleet/tree"

// endings of the files that can be rendered.
var endings = []string{".md", ".yaml", ".yml", ".txt"}

// Layer is files that are applied together by the same hands.
type Layer struct {
	// Name of its directory.
	Name string
	// Files in any order; kubectl takes them in the order of their names.
	Files []File
	// Namespace in which a deploy keeps what it knows of the layer: who
	// deploys, what was applied, the earlier releases. Who may write there
	// decides what a rollback applies, so it must not be a namespace of lesser
	// hands than those that deploy the layer. If empty, it cannot be deployed.
	Namespace string
}

// File is one file of a layer.
type File struct {
	// Name without .yaml.
	Name string
	// Components whose objects stand in the file, in this order.
	Components []object.Component
}

// Text is a file beside the layers.
type Text struct {
	// Name with its ending, .md, .yaml, .yml or .txt. It may have folders
	// before it, with slashes, the first of which is no layer: a text that
	// kubectl could apply should have one, so that nobody applies it by chance
	// with the whole directory.
	Name string
	// Content makes what follows the first line, which says who rendered the
	// file. It is called where texts are rendered, and nowhere else.
	Content func() (string, error)
}

// Assumptions returns what the components and the Tree assume, in the order of
// the layers and files as they are listed, each assumption once.
func (t Tree) Assumptions() []object.Assumption {
	var all []object.Assumption
	for _, layer := range t.Layers {
		for _, file := range layer.Files {
			for _, c := range file.Components {
				all = append(all, c.About().Assumed...)
			}
		}
	}
	return object.Distinct(append(all, t.Assumed...))
}

// Pending returns the values that do not exist yet, of the components in the
// order of the layers and files as they are listed, then of the Secrets.
func (t Tree) Pending() []string {
	var all []string
	for _, layer := range t.Layers {
		for _, file := range layer.Files {
			for _, c := range file.Components {
				all = append(all, c.About().Pending...)
			}
		}
	}
	for _, s := range t.Secrets {
		all = append(all, s.Pending()...)
	}
	return all
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
	// Assumed are the assumptions of the components and of the Tree, in the
	// order of the files, each once.
	Assumed []object.Assumption
}

// header is the first line of a file. It names the Tree and the file's own
// path, and so tells own files from foreign ones and from copies.
func (t Tree) header(path string) string {
	text := headerStart + t.Name + " as " + path + headerEnd
	if strings.HasSuffix(path, ".md") {
		return "<!-- " + text + " -->\n"
	}
	return "# " + text + "\n"
}

const (
	headerStart = "Rendered by "
	headerEnd   = ". Do not edit: change the definitions and render again."
)

// RenderedPath returns the path for which a file was rendered, by whichever
// Tree, as its first line says. It reports false for a text that was not
// rendered.
func RenderedPath(text []byte) (path string, ok bool) {
	line, _, _ := bytes.Cut(text, []byte("\n"))
	_, rest, ok := strings.Cut(string(line), headerStart)
	if !ok {
		return "", false
	}
	rest, _, ok = strings.Cut(rest, headerEnd)
	i := strings.LastIndex(rest, " as ")
	if !ok || i < 0 {
		return "", false
	}
	return rest[i+len(" as "):], true
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

// YAML returns the text of one object as it stands in the files: sorted keys,
// no status, no nulls, no zero values that say nothing.
func YAML(o object.Object) ([]byte, error) { return encode.Append(nil, o) }

// sink takes rendered files. After prepare, put is called once for each path,
// from several goroutines at once, in no order, also where prepare failed or
// the file has mistakes, so that all errors come at once; the data is the
// caller's again afterwards. Then comes commit, or abort after any error.
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
	components []object.Component
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
	refused := out.prepare(paths)

	found := make([]facts, len(jobs))
	var next atomic.Int64
	var wg sync.WaitGroup
	for range min(runtime.GOMAXPROCS(0), len(jobs)) {
		wg.Go(func() {
			m := maker{tree: &t, domains: t.domains()}
			for i := int(next.Add(1)) - 1; i < len(jobs); i = int(next.Add(1)) - 1 {
				m.file(jobs[i], &found[i])
				if err := out.put(i, m.text); err != nil {
					found[i].errs = append(found[i].errs, object.FindingsOf(err)...)
				}
			}
		})
	}
	wg.Wait()

	report, err := t.check(jobs, found)
	if err = errors.Join(refused, err); err != nil {
		out.abort()
		return Report{}, err
	}
	if err := out.commit(&report); err != nil {
		return Report{}, fmt.Errorf("%w: some files may be new and some old: render again", err)
	}
	return report, nil
}

// jobs lists the files in the order in which they are applied.
func (t Tree) jobs() ([]job, error) {
	var errs []error
	if t.Name == "" || strings.ContainsAny(t.Name, "\n\r") {
		errs = append(errs, errors.New("tree: name: give the tree a name of one line"))
	}
	for _, msg := range validation.IsValidLabelValue(t.ID) {
		errs = append(errs, fmt.Errorf("tree: id %q: %s", t.ID, msg))
	}
	domains := t.domains()
	for _, err := range object.FindingsOf(domains.Validate()) {
		errs = append(errs, fmt.Errorf("tree: %w", err))
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
		if !slices.Contains(endings, path.Ext(text.Name)) {
			errs = append(errs, fmt.Errorf("text %q: name: must end in one of %s", text.Name, strings.Join(endings, ", ")))
		}
		elements := strings.Split(text.Name, "/")
		for i, element := range elements {
			if i == len(elements)-1 {
				checkName("text "+strconv.Quote(text.Name)+": file", strings.ToLower(element))
			} else {
				checkName("text "+strconv.Quote(text.Name)+": folder", element)
			}
		}
		if len(elements) > 1 && seen[elements[0]] {
			errs = append(errs, fmt.Errorf("text %q: name: %s is a layer: what stands there is applied", text.Name, elements[0]))
		}
		if text.Content == nil {
			errs = append(errs, fmt.Errorf("text %q: content: say how it is made", text.Name))
		}
		jobs = append(jobs, job{path: text.Name, text: text.Content})
	}
	// Files and folders: on some systems names have no case.
	paths := make(map[string]string, len(jobs)+len(t.Layers))
	for name := range seen {
		paths[strings.ToLower(name)] = name
	}
	for _, text := range t.Texts {
		for folder := range parents(text.Name) {
			paths[strings.ToLower(folder)] = folder
		}
	}
	for _, j := range jobs {
		switch other, ok := paths[strings.ToLower(j.path)]; {
		case other == j.path:
			errs = append(errs, fmt.Errorf("%s: two files have this name, or a file and a folder: give each its own", j.path))
		case ok:
			errs = append(errs, fmt.Errorf("%s: differs from %s in case only, which is one name on macOS and Windows: give each its own", j.path, other))
		}
		paths[strings.ToLower(j.path)] = j.path
	}
	return jobs, errors.Join(errs...)
}

// maker makes one file after the other, in the same memory.
type maker struct {
	tree *Tree
	// text of the file.
	text []byte
	// domains of the tree, for the search for addresses.
	domains domain.Domains
	// escaped strings of the object at hand, and its text with their values.
	escaped []encode.Escaped
	values  []byte
}

func (t Tree) domains() domain.Domains {
	return domain.Domains{Own: t.Domains, Foreign: t.ForeignDomains}
}

// file makes the text of one file, and keeps its objects for the checks across
// files.
func (m *maker) file(j job, f *facts) {
	m.text = append(m.text[:0], m.tree.header(j.path)...)
	if j.layer == "" {
		start := len(m.text)
		text, err := content(j.text)
		if err != nil {
			f.errs = append(f.errs, object.FindingsOf(err)...)
		}
		m.text = append(m.text, text...)
		for _, err := range m.checkAddresses(m.text[start:]) {
			f.errs = append(f.errs, object.Finding{Problem: "text: " + err.Error()})
		}
		return
	}
	for i, c := range j.components {
		m.component(i, c, j, f)
	}
}

// content makes a text. A panic is an error.
func content(make func() (string, error)) (text string, err error) {
	defer object.Recovered(&err, "text: ")
	return make()
}

// component makes the objects of a component, and their text. Whatever goes
// wrong in it has its place.
func (m *maker) component(i int, c object.Component, j job, f *facts) {
	at := fmt.Sprintf("component %d (%T)", i, c)
	if isNil(c) {
		f.errs = append(f.errs, object.Finding{Problem: at + " is nil", Remedy: "remove it"})
		return
	}
	objects, about, err := take(at, c)
	f.errs = append(f.errs, object.FindingsOf(err)...)
	by := ""
	for k, o := range objects {
		if object.IsNil(o) {
			f.errs = append(f.errs, object.Finding{Problem: fmt.Sprintf("%s: object %d is nil", at, k)})
			continue
		}
		add := func() (problem error) {
			defer object.Recovered(&problem, fmt.Sprintf("%s: object %d (%T): ", at, k, o))
			id := object.IDOf(o) // panics here or nowhere
			if k == 0 {
				by = strings.TrimPrefix(id.Namespace+"/"+id.Name, "/")
			}
			owned, problem := own(o, m.tree.ID)
			if problem != nil {
				return object.Finding{Object: id, Field: "metadata.labels[" + OwnerLabel + "]", Problem: problem.Error(), Remedy: "leave the label out: rendering sets it"}
			}
			o = owned
			// Of a mistaken component too, so that one mistake is told once.
			made := &check.Object{Object: o, Layer: j.layer, File: j.path, AllRead: about.ReadElsewhere}
			for _, g := range about.Guarantees {
				if g.Of == id && err == nil { // a mistaken component has said it
					made.Guarantees = append(made.Guarantees, g)
				}
			}
			f.objects = append(f.objects, made)
			if err == nil {
				m.object(o, f)
			}
			return nil
		}
		f.errs = append(f.errs, object.FindingsOf(add())...)
	}
	for _, g := range about.Guarantees {
		if err == nil && !slices.ContainsFunc(objects, func(o object.Object) bool { return !object.IsNil(o) && object.IDOf(o) == g.Of }) {
			f.errs = append(f.errs, object.Finding{Object: g.Of, Problem: at + " guarantees something of it, and does not make it", Remedy: "a change that renames it takes the guarantee from it"})
		}
	}
	f.said = append(f.said, said{by: by, About: about})
}

// own returns the object with the label of its Tree. The object of the
// component stays as it is, since the component may keep it.
func own(o object.Object, tree string) (object.Object, error) {
	if tree == "" {
		return o, nil
	}
	switch other := o.GetLabels()[OwnerLabel]; other {
	case tree:
		return o, nil
	case "":
	default:
		return nil, fmt.Errorf("%q is another tree than %q, and an object belongs to one", other, tree)
	}
	var owned object.Object
	if v := reflect.ValueOf(o); v.Kind() == reflect.Pointer && v.Elem().Kind() == reflect.Struct && !isMap(o) {
		shallow := reflect.New(v.Elem().Type())
		shallow.Elem().Set(v.Elem())
		owned = shallow.Interface().(object.Object)
	} else {
		owned = o.DeepCopyObject().(object.Object)
	}
	labels := maps.Clone(o.GetLabels())
	if labels == nil {
		labels = make(map[string]string, 1)
	}
	labels[OwnerLabel] = tree
	owned.SetLabels(labels)
	return owned, nil
}

// isMap reports whether the object keeps its labels in a map that a shallow
// copy shares.
func isMap(o object.Object) bool {
	_, ok := o.(interface{ UnstructuredContent() map[string]any })
	return ok
}

// take gets a component's objects, and what it says of itself.
func take(at string, c object.Component) (objects []object.Object, about object.About, err error) {
	defer object.Recovered(&err, at+": ")
	objects, err = c.Objects()
	return objects, c.About(), err
}

// isNil reports whether v is nil, or an interface that holds a nil pointer.
func isNil(v any) bool {
	p := reflect.ValueOf(v)
	return v == nil || p.Kind() == reflect.Pointer && p.IsNil()
}

func (m *maker) object(o object.Object, f *facts) {
	start := len(m.text)
	if len(f.objects) > 1 {
		m.text = append(m.text, "---\n"...)
	}
	text, escaped, err := encode.AppendEscaped(m.text, o, m.escaped[:0])
	if err != nil {
		f.errs = append(f.errs, object.Finding{Object: object.IDOf(o), Problem: err.Error()})
		return
	}
	m.text, m.escaped = text, escaped
	for _, place := range notText(o, text[start:]) {
		f.errs = append(f.errs, object.Finding{Object: object.IDOf(o), Field: place, Problem: "is no text in UTF-8", Remedy: "give text: bytes belong into binaryData, or into a Secret"})
	}
	for i := range escaped {
		escaped[i].Start -= start
		escaped[i].End -= start
	}
	for _, err := range m.checkObject(m.text[start:], escaped) {
		f.errs = append(f.errs, object.Finding{Object: object.IDOf(o), Problem: err.Error()})
	}
}
