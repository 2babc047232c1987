// Package plan says what lies between two renderings: what the change does to
// a cluster that runs the first of them, and the objects and fields that
// change, as text for a terminal and as Markdown for a pull request.
package plan

import (
	"bytes"
	"cmp"
	"fmt"
	"maps"
	"reflect"
	"runtime"
	"slices"
	"strings"
	"sync"
	"sync/atomic"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"

	"git.lastcloud.io/ronnibaslund/dezky/fleet/render"
	"git.lastcloud.io/ronnibaslund/dezky/fleet/render/diff"
	"git.lastcloud.io/ronnibaslund/dezky/fleet/render/manifest"
	"git.lastcloud.io/ronnibaslund/dezky/fleet/render/object"
	"git.lastcloud.io/ronnibaslund/dezky/fleet/render/placeholder"
	"git.lastcloud.io/ronnibaslund/dezky/fleet/render/plan/apischema"
	"git.lastcloud.io/ronnibaslund/dezky/fleet/render/plan/consequence"
	"git.lastcloud.io/ronnibaslund/dezky/fleet/render/plan/order"
)

// Report is what lies between two renderings.
type Report struct {
	// From and To say what was compared, for people.
	From, To string
	// Files that differ: those whose objects do, then the others, each ordered
	// by path. The values of Secrets are replaced by "(hidden)".
	Files []diff.File
	// Consequences of the change, worst first.
	Consequences []consequence.Consequence
	// Allowed are the consequences that are meant: by an annotation of their
	// object, or as [Report.Allow] was told.
	Allowed []consequence.Allowed
	// Notes are of such annotations that let nothing pass.
	Notes []string
	// Pictures of the Trees that change.
	Pictures []Picture
	// Orders in which deploys apply what changes, one for each Tree.
	Orders []Order
}

// Order in which a deploy applies what changes.
type Order struct {
	// In is the folder of the Tree, where there are several.
	In string
	// Stages, of which none is without steps.
	Stages []order.Stage
}

// hiddenValue stands for a value of a Secret.
const hiddenValue = "(hidden)"

// Rendering is one side of a comparison.
type Rendering struct {
	// Files by their path, with slashes: manifests, whose names end in .yaml,
	// and others.
	Files map[string][]byte
	// Loose objects stand in no file, as those of a stream or of a cluster do.
	// They are compared with those of their identity, wherever these stand, and
	// files that are no manifests are left out then.
	Loose []*unstructured.Unstructured
	// Alone reports that there are loose objects and no files, also where there
	// is no object.
	Alone bool
}

// stream is the file of loose objects that stand in no file of the other side.
const stream = "manifests.yaml"

// Compare compares two renderings. It refuses YAML that cannot be read: what
// is in it is not known to be nothing.
func Compare(was, is Rendering) (Report, error) {
	before, errs := read(was.Files, nil)
	now, errs := read(is.Files, errs)
	if err := errs.Err(); err != nil {
		return Report{}, err
	}
	schema := apischema.Types()
	var files []diff.File
	if was.Alone || is.Alone {
		withoutTemplates(before)
		withoutTemplates(now)
		place(was.Loose, before, now)
		place(is.Loose, now, before)
		files = diffObjects(before, now, schema)
	} else {
		files = diffFiles(was.Files, is.Files, before, now, schema)
	}
	for i := range files {
		f := &files[i]
		switch {
		case f.Op != diff.Changed: // its objects come or go with it
			f.Objects = diff.Objects(before[f.Path], now[f.Path], schema)
		case len(f.Objects) == 0 && (holdsSecret(before[f.Path]) || holdsSecret(now[f.Path])):
			f.Lines = []string{"  the text differs, and is hidden: there is a Secret in it"}
		}
	}
	moved(files, before, now, schema)
	for _, f := range files {
		for _, o := range f.Objects {
			hide(o)
		}
	}
	slices.SortStableFunc(files, func(a, b diff.File) int {
		return min(1, len(b.Objects)) - min(1, len(a.Objects))
	})
	r := Report{Files: files}
	root := rootsOf(was.Files, is.Files)
	parts := make(map[string]*part)
	for _, side := range []struct {
		files map[string][]*unstructured.Unstructured
		was   bool
	}{{before, true}, {now, false}} {
		for _, path := range slices.Sorted(maps.Keys(side.files)) {
			p := parts[root(path)]
			if p == nil {
				p = &part{was: make(map[string][]*unstructured.Unstructured), is: make(map[string][]*unstructured.Unstructured)}
				parts[root(path)] = p
			}
			if side.was {
				p.was[path] = side.files[path]
			} else {
				p.is[path] = side.files[path]
			}
		}
	}
	for _, name := range slices.Sorted(maps.Keys(parts)) {
		p := parts[name]
		found, allowed, notes := consequence.AllowStated(consequence.Of(listed(p.was), listed(p.is)), listed(p.was), listed(p.is))
		for _, c := range found {
			c.In = name
			r.Consequences = append(r.Consequences, c)
		}
		for _, a := range allowed {
			a.In = name
			r.Allowed = append(r.Allowed, a)
		}
		r.Notes = append(r.Notes, notes...)
		if stages := ordered(p.was, p.is); len(stages) > 0 {
			r.Orders = append(r.Orders, Order{name, stages})
			r.Pictures = append(r.Pictures, Picture{name, consequence.TierOf(listed(p.was), listed(p.is))})
		}
	}
	slices.SortStableFunc(r.Consequences, func(a, b consequence.Consequence) int { return cmp.Compare(a.Severity, b.Severity) })
	return r, nil
}

// part is the objects of one Tree.
type part struct {
	was, is map[string][]*unstructured.Unstructured
}

// rootsOf tells the folders of the Trees whose files these are, as their first
// lines say: two environments side by side are two clusters. The root of what
// says nothing is the folder that it lies in, where that is one, or none.
func rootsOf(sides ...map[string][]byte) func(path string) string {
	roots := make(map[string]bool)
	for _, files := range sides {
		for path, text := range files {
			rendered, ok := render.RenderedPath(text)
			if root, below := strings.CutSuffix(path, "/"+rendered); ok && below {
				roots[root] = true
			}
		}
	}
	return func(path string) string {
		for root := range roots {
			if strings.HasPrefix(path, root+"/") {
				return root
			}
		}
		return ""
	}
}

// withoutTemplates leaves out the files that are filled in by people and are
// not applied as they are: of Secrets with a placeholder.
func withoutTemplates(files map[string][]*unstructured.Unstructured) {
	maps.DeleteFunc(files, func(_ string, objects []*unstructured.Unstructured) bool {
		filled := func(o *unstructured.Unstructured) bool {
			values, _, _ := unstructured.NestedStringMap(o.Object, "stringData")
			for _, v := range values {
				if placeholder.Is(v) {
					return false
				}
			}
			return true
		}
		return len(objects) > 0 && !slices.ContainsFunc(objects, func(o *unstructured.Unstructured) bool { return !isSecret(object.IDOf(o)) }) &&
			!slices.ContainsFunc(objects, filled)
	})
}

// place puts loose objects into the files that hold their like on the other
// side.
func place(loose []*unstructured.Unstructured, own, other map[string][]*unstructured.Unstructured) {
	at := make(map[object.ID]string)
	for path, objects := range other {
		for _, o := range objects {
			at[object.IDOf(o)] = path
		}
	}
	for _, o := range loose {
		path := cmp.Or(at[object.IDOf(o)], stream)
		own[path] = append(own[path], o)
	}
}

// diffFiles compares files of which the manifests are read already.
func diffFiles(was, is map[string][]byte, before, now map[string][]*unstructured.Unstructured, schema diff.Schema) []diff.File {
	var files []diff.File
	rest := [2]map[string][]byte{maps.Clone(was), maps.Clone(is)} // that differ in their text alone
	for path, text := range was {
		other, stays := is[path]
		objects := diff.Objects(before[path], now[path], schema)
		if stays && (bytes.Equal(text, other) || len(objects) > 0) {
			delete(rest[0], path)
			delete(rest[1], path)
			if len(objects) > 0 {
				files = append(files, diff.File{Path: path, Op: diff.Changed, Objects: objects})
			}
		}
	}
	files = append(files, diff.Files(rest[0], rest[1], schema)...)
	slices.SortFunc(files, func(a, b diff.File) int { return strings.Compare(a.Path, b.Path) })
	return files
}

// diffObjects compares objects by their files.
func diffObjects(was, is map[string][]*unstructured.Unstructured, schema diff.Schema) []diff.File {
	var files []diff.File
	paths := slices.AppendSeq(slices.Collect(maps.Keys(was)), maps.Keys(is))
	slices.Sort(paths)
	for _, path := range slices.Compact(paths) {
		if objects := diff.Objects(was[path], is[path], schema); len(objects) > 0 {
			files = append(files, diff.File{Path: path, Op: diff.Changed, Objects: objects})
		}
	}
	return files
}

// moved joins an object that goes from one file and comes to another.
func moved(files []diff.File, was, is map[string][]*unstructured.Unstructured, schema diff.Schema) {
	type place struct{ file, object int }
	gone := make(map[object.ID][]place)
	for i, f := range files {
		for j, o := range f.Objects {
			if o.Op == diff.Deleted {
				gone[o.ID] = append(gone[o.ID], place{i, j})
			}
		}
	}
	find := func(objects []*unstructured.Unstructured, id object.ID) map[string]any {
		for _, o := range objects {
			if object.IDOf(o) == id {
				return o.Object
			}
		}
		return nil
	}
	joined := make(map[place]bool)
	for i := range files {
		for j := range files[i].Objects {
			o := &files[i].Objects[j]
			if o.Op != diff.Created || len(gone[o.ID]) != 1 {
				continue
			}
			from := gone[o.ID][0]
			delete(gone, o.ID)
			joined[from] = true
			o.Op, o.From = diff.Moved, files[from.file].Path
			o.Fields = diff.Fields(find(was[o.From], o.ID), find(is[files[i].Path], o.ID), schema)
		}
	}
	for i := range files {
		var rest []diff.Object
		for j, o := range files[i].Objects {
			if !joined[place{i, j}] {
				rest = append(rest, o)
			}
		}
		files[i].Objects = rest
	}
}

// listed returns the objects of all files.
func listed(files map[string][]*unstructured.Unstructured) []consequence.Object {
	var all []consequence.Object
	for _, path := range slices.Sorted(maps.Keys(files)) {
		for _, o := range files[path] {
			all = append(all, consequence.Object{ID: object.IDOf(o), File: path, Fields: o.Object})
		}
	}
	return all
}

// ordered returns the order of what changes.
func ordered(was, is map[string][]*unstructured.Unstructured) []order.Stage {
	before, now := byID(was), byID(is)
	pods := make(map[string][]map[string]string)
	var changes []order.Change
	same := make(map[object.ID]bool)
	for _, id := range slices.SortedFunc(maps.Keys(before), object.ID.Compare) {
		o := before[id]
		changes = append(changes, order.Change{ID: id, Was: o, Is: now[id]})
		same[id] = now[id] != nil && reflect.DeepEqual(o.Object, now[id].Object)
		if labels, _, _ := unstructured.NestedStringMap(o.Object, "spec", "template", "metadata", "labels"); order.IsWorkload(id) {
			pods[id.Namespace] = append(pods[id.Namespace], labels)
		}
	}
	for _, id := range slices.SortedFunc(maps.Keys(now), object.ID.Compare) {
		if before[id] == nil {
			changes = append(changes, order.Change{ID: id, Is: now[id]})
		}
	}
	stages := order.Of(changes, pods)
	for i := range stages {
		stages[i].Steps = slices.DeleteFunc(stages[i].Steps, func(s order.Step) bool { return same[s.ID] })
	}
	return slices.DeleteFunc(stages, func(s order.Stage) bool { return len(s.Steps) == 0 })
}

// byID returns the objects of all files. Where one stands more than once, the
// last counts, as when the files are applied.
func byID(files map[string][]*unstructured.Unstructured) map[object.ID]*unstructured.Unstructured {
	all := make(map[object.ID]*unstructured.Unstructured)
	for _, path := range slices.Sorted(maps.Keys(files)) {
		for _, o := range files[path] {
			all[object.IDOf(o)] = o
		}
	}
	return all
}

// Allow moves consequences that are meant to Allowed, and returns a note for
// each allowance that lets nothing pass.
func (r *Report) Allow(allowances []consequence.Allowance) []string {
	rest, allowed, notes := consequence.Allow(r.Consequences, allowances)
	r.Consequences, r.Allowed = rest, append(r.Allowed, allowed...)
	return notes
}

// Reaches reports whether a consequence is of that severity or worse.
func (r Report) Reaches(s consequence.Severity) bool {
	return slices.ContainsFunc(r.Consequences, func(c consequence.Consequence) bool { return c.Severity <= s })
}

// read makes objects of all manifests.
func read(files map[string][]byte, errs object.Findings) (map[string][]*unstructured.Unstructured, object.Findings) {
	type result struct {
		list  []*unstructured.Unstructured
		wrong object.Findings
	}
	var paths []string
	for _, path := range slices.Sorted(maps.Keys(files)) {
		if strings.HasSuffix(path, ".yaml") {
			paths = append(paths, path)
		}
	}
	results := make([]result, len(paths))
	var next atomic.Int64
	var wg sync.WaitGroup
	for range runtime.GOMAXPROCS(0) {
		wg.Go(func() {
			for i := next.Add(1) - 1; i < int64(len(paths)); i = next.Add(1) - 1 {
				results[i].list, results[i].wrong = parse(paths[i], files[paths[i]])
			}
		})
	}
	wg.Wait()
	objects := make(map[string][]*unstructured.Unstructured)
	for i, r := range results {
		if len(r.list) > 0 {
			objects[paths[i]] = r.list
		}
		errs = append(errs, r.wrong...)
	}
	return objects, errs
}

// parse makes objects of one manifest.
func parse(path string, text []byte) (objects []*unstructured.Unstructured, errs object.Findings) {
	documents, err := manifest.Read(bytes.NewReader(text))
	for _, f := range object.FindingsOf(err) {
		f.File = path
		errs = append(errs, f)
	}
	for _, d := range documents {
		objects = append(objects, d.Object)
	}
	return objects, errs
}

func isSecret(id object.ID) bool { return id.Group == "" && id.Kind == "Secret" }

func holdsSecret(objects []*unstructured.Unstructured) bool {
	return slices.ContainsFunc(objects, func(o *unstructured.Unstructured) bool { return isSecret(object.IDOf(o)) })
}

// hide replaces the values of a Secret. What kubectl applied before stands in
// an annotation, values and all.
func hide(o diff.Object) {
	if !isSecret(o.ID) {
		return
	}
	for i := range o.Fields {
		f := &o.Fields[i]
		at := strings.ReplaceAll(f.Path, "[", ".") + "."
		for _, values := range []string{"data.", "stringData.", "metadata.annotations."} {
			if strings.HasPrefix(at, values) || at == "metadata." {
				f.Was, f.Is = hidden(f.Was), hidden(f.Is)
				break
			}
		}
	}
}

func hidden(v any) any {
	switch v := v.(type) {
	case nil:
		return nil
	case map[string]any:
		keys := make(map[string]any, len(v))
		for k, value := range v {
			keys[k] = hidden(value)
		}
		return keys
	}
	return hiddenValue
}

// Empty reports that the two renderings are the same.
func (r Report) Empty() bool { return len(r.Files) == 0 }

// Summary returns one line: how many consequences of each severity there are,
// how many objects come, change and go, and how many other files change.
func (r Report) Summary() string {
	if r.Empty() {
		return "Nothing that is rendered changes."
	}
	count := make(map[diff.Op]int)
	others := 0
	for _, f := range r.Files {
		for _, o := range f.Objects {
			count[o.Op]++
		}
		if len(f.Objects) == 0 {
			others++
		}
	}
	var parts []string
	add := func(n int, one, many string) {
		switch {
		case n == 1:
			parts = append(parts, "1 "+one)
		case n > 1:
			parts = append(parts, fmt.Sprintf("%d %s", n, many))
		}
	}
	add(count[diff.Created], "object is new", "objects are new")
	add(count[diff.Changed], "object changes", "objects change")
	add(count[diff.Deleted], "object is no longer rendered", "objects are no longer rendered")
	add(count[diff.Moved], "object moves to another file", "objects move to another file")
	add(others, "other file changes", "other files change")
	var worst []string
	for s, n := consequence.Refused, 0; s <= consequence.Restarts; s++ {
		if n = r.count(s); n > 0 {
			worst = append(worst, fmt.Sprintf("%d %s", n, s))
		}
	}
	if len(worst) > 0 {
		return strings.Join(worst, ", ") + ": " + strings.Join(parts, ", ") + "."
	}
	return strings.Join(parts, ", ") + "."
}

func (r Report) count(s consequence.Severity) int {
	n := 0
	for _, c := range r.Consequences {
		if c.Severity == s {
			n++
		}
	}
	return n
}

// Text returns the whole report for a terminal.
func (r Report) Text() string {
	var b strings.Builder
	b.WriteString(r.Summary() + "\n")
	for _, c := range r.Consequences {
		paragraph(&b, c.Severity.String(), c.String()+" ["+c.Rule+"]")
	}
	for _, a := range r.Allowed {
		paragraph(&b, "allowed", a.String()+" Allowed: "+a.Reason+" ["+a.Rule+"]")
	}
	orders := r.steps()
	for _, o := range orders {
		b.WriteString("\n  " + o.title() + "\n")
		for i, s := range o.Stages {
			wrap(&b, fmt.Sprintf("  %d. ", i+1), s.String())
		}
	}
	if len(r.Consequences)+len(r.Allowed)+len(orders) > 0 {
		b.WriteString("\n")
	}
	return b.String() + diff.Text(r.Files)
}

// width of a line for a terminal.
const width = 120

// steps are the orders that are worth telling: those of more than one stage.
func (r Report) steps() []Order {
	return slices.DeleteFunc(slices.Clone(r.Orders), func(o Order) bool { return len(o.Stages) < 2 })
}

func (o Order) title() string {
	if o.In != "" {
		return "A deploy of " + o.In + " goes in this order:"
	}
	return "A deploy goes in this order:"
}

// paragraph writes a consequence behind the word that says how bad it is.
func paragraph(b *strings.Builder, word, text string) {
	wrap(b, fmt.Sprintf("  %-13s", word), text)
}

// wrap writes words behind a prefix, and below each other where a line is full.
func wrap(b *strings.Builder, prefix, text string) {
	line := prefix
	at, indent := len(line), len(line)
	for _, w := range strings.Fields(text) {
		if at+1+len(w) > width && at > indent {
			line += "\n" + strings.Repeat(" ", indent)
			at = indent
		} else if at > indent {
			line, at = line+" ", at+1
		}
		line, at = line+w, at+len(w)
	}
	b.WriteString(line + "\n")
}

// Markdown returns the report for a pull request, in at most limit bytes where
// that is not zero: files that do not fit are named, and the cut is said. It
// is valid Markdown of Gitea and GitHub whatever the values hold.
func (r Report) Markdown(limit int) string {
	var b strings.Builder
	fmt.Fprintf(&b, "**%s**\n\nFrom %s to %s.\n", r.Summary(), code(r.From), code(r.To))
	const room = 400 // for what is said of a cut
	r.markdownConsequences(&b, limit-room)
	r.markdownOrder(&b, limit-room)
	var cut []string
	for _, f := range r.Files {
		section := markdown(f)
		if limit > 0 && b.Len()+len(section)+room > limit {
			cut = append(cut, f.Path)
			continue
		}
		b.WriteString(section)
	}
	if len(cut) == 0 {
		return b.String()
	}
	fmt.Fprintf(&b, "\n**Cut: %d of %d files that change do not fit here.** The log of the job has them all:\n\n", len(cut), len(r.Files))
	for i, path := range cut {
		line := "- " + code(path) + "\n"
		if b.Len()+len(line)+room/4 > limit && i > 0 {
			fmt.Fprintf(&b, "- and %d more\n", len(cut)-i)
			break
		}
		b.WriteString(line)
	}
	return b.String()
}

// markdownConsequences writes the consequences, worst first, as long as there is
// room, and says how many there is none for.
func (r Report) markdownConsequences(b *strings.Builder, limit int) {
	all := slices.Clone(r.Consequences)
	for _, a := range r.Allowed {
		all = append(all, a.Consequence)
	}
	if len(all) == 0 {
		return
	}
	b.WriteString("\n")
	for i, c := range all {
		word, reason := c.Severity.String(), ""
		if n := i - len(r.Consequences); n >= 0 {
			word, reason = "allowed", " Allowed: "+prose(r.Allowed[n].Reason)
		}
		line := "- **" + word + "** "
		if c.In != "" {
			line += prose(c.In) + ": "
		}
		line += code(c.Object.String())
		if c.Field != "" {
			line += " " + code(c.Field)
		}
		line += ": " + prose(c.Why) + "."
		if c.Do != "" {
			line += " " + prose(c.Do) + "."
		}
		line += reason + " (" + code(c.Rule) + ")\n"
		const more = 100 // for what is said of the rest
		if limit > 0 && b.Len()+len(line)+more > limit && i > 0 {
			fmt.Fprintf(b, "- **and %d more consequences that do not fit here**: the log of the job has them all\n", len(all)-i)
			return
		}
		b.WriteString(line)
	}
}

// markdownOrder writes the order, folded, where there is one and room for it.
func (r Report) markdownOrder(b *strings.Builder, limit int) {
	for _, o := range r.steps() {
		section := "\n<details><summary>" + escape(o.title()) + "</summary>\n\n"
		for i, s := range o.Stages {
			section += fmt.Sprintf("%d. %s\n", i+1, prose(s.String()))
		}
		if section += "\n</details>\n"; limit <= 0 || b.Len()+len(section) <= limit {
			b.WriteString(section)
		}
	}
}

// prose is a text in Markdown that stands for itself, whatever it holds.
func prose(s string) string {
	var b strings.Builder
	for _, r := range oneLine(s) {
		if strings.ContainsRune("\\`*_{}[]<>#|~&@!", r) {
			if r == '@' { // names nobody
				b.WriteString("&#64;")
				continue
			}
			b.WriteByte('\\')
		}
		b.WriteRune(r)
	}
	return b.String()
}

// markdown is the folded part of one file.
func markdown(f diff.File) string {
	text := diff.Text([]diff.File{f})
	fence := strings.Repeat("`", max(3, longestRun(text, '`')+1))
	what := string(f.Op)
	if f.Op == diff.Changed && len(f.Objects) > 0 {
		what = fmt.Sprintf("%d objects", len(f.Objects))
		if len(f.Objects) == 1 {
			what = f.Objects[0].ID.String()
		}
	}
	return "\n<details><summary>" + escape(f.Path+": "+what) + "</summary>\n\n" + fence + "diff\n" + signsFirst(text) + fence + "\n\n</details>\n"
}

// signsFirst moves the sign of a line to its beginning, where the colours of
// diff need it.
func signsFirst(text string) string {
	var b strings.Builder
	for line := range strings.Lines(text) {
		blank := len(line) - len(strings.TrimLeft(line, " "))
		if rest := line[blank:]; blank > 0 && (strings.HasPrefix(rest, "+ ") || strings.HasPrefix(rest, "- ")) {
			line = rest[:1] + strings.Repeat(" ", blank) + rest[1:]
		}
		b.WriteString(line)
	}
	return b.String()
}

// code is a text in Markdown's code style, whatever it holds.
func code(s string) string {
	s = oneLine(s)
	fence := strings.Repeat("`", longestRun(s, '`')+1)
	if strings.HasPrefix(s, "`") || strings.HasSuffix(s, "`") {
		return fence + " " + s + " " + fence
	}
	return fence + s + fence
}

func escape(s string) string {
	return strings.NewReplacer("&", "&amp;", "<", "&lt;", ">", "&gt;", `"`, "&#34;").Replace(oneLine(s))
}

func oneLine(s string) string {
	return strings.NewReplacer("\n", `\n`, "\r", `\r`).Replace(s)
}

func longestRun(s string, c rune) int {
	longest, run := 0, 0
	for _, r := range s {
		if r != c {
			run = 0
			continue
		}
		run++
		longest = max(longest, run)
	}
	return longest
}
