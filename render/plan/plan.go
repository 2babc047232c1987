// Package plan says what lies between two renderings: what the change does to
// a cluster that runs the first of them, and the objects and fields that
// change, as text for a terminal and as Markdown for a pull request.
package plan

import (
	"bytes"
	"fmt"
	"maps"
	"reflect"
	"slices"
	"strings"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"

	"git.lastcloud.io/ronnibaslund/dezky/fleet/render/diff"
	"git.lastcloud.io/ronnibaslund/dezky/fleet/render/manifest"
	"git.lastcloud.io/ronnibaslund/dezky/fleet/render/object"
	"git.lastcloud.io/ronnibaslund/dezky/fleet/render/plan/consequence"
	"git.lastcloud.io/ronnibaslund/dezky/fleet/render/plan/order"
)

// Report is what lies between two renderings.
type Report struct {
	// From and To say what was compared, for people.
	From, To string
	// Files that differ: those whose objects do, then the others, each ordered
	// by path. The values of Secrets are replaced by [Hidden].
	Files []diff.File
	// Consequences of the change, worst first.
	Consequences []consequence.Consequence
	// Allowed are the consequences that [Report.Allow] let pass.
	Allowed []consequence.Allowed
	// Order in which a deploy applies what changes.
	Order []order.Stage
}

// Hidden stands for a value of a Secret.
const Hidden = "(hidden)"

// Compare compares the files of two renderings, given by their path. It
// refuses YAML that cannot be read: what is in it is not known to be nothing.
func Compare(was, is map[string][]byte) (Report, error) {
	before, errs := read(was, nil)
	now, errs := read(is, errs)
	if err := errs.Err(); err != nil {
		return Report{}, err
	}
	files := diff.Files(was, is)
	for i := range files {
		f := &files[i]
		switch {
		case f.Op != diff.Changed: // its objects come or go with it
			f.Objects = diff.Objects(before[f.Path], now[f.Path])
		case len(f.Objects) == 0 && (holdsSecret(before[f.Path]) || holdsSecret(now[f.Path])):
			f.Lines = []string{"  the text differs, and is hidden: there is a Secret in it"}
		}
		for _, o := range f.Objects {
			hide(o)
		}
	}
	slices.SortStableFunc(files, func(a, b diff.File) int {
		return min(1, len(b.Objects)) - min(1, len(a.Objects))
	})
	return Report{Files: files, Consequences: consequence.Of(listed(before), listed(now)), Order: ordered(before, now)}, nil
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
func (r *Report) Allow(allowances []consequence.Allowance) (notes []string) {
	r.Consequences, r.Allowed, notes = consequence.Allow(r.Consequences, allowances)
	return notes
}

// Reaches reports whether a consequence is of that severity or worse.
func (r Report) Reaches(s consequence.Severity) bool {
	return slices.ContainsFunc(r.Consequences, func(c consequence.Consequence) bool { return c.Severity <= s })
}

// read makes objects of all manifests.
func read(files map[string][]byte, errs object.Findings) (map[string][]*unstructured.Unstructured, object.Findings) {
	objects := make(map[string][]*unstructured.Unstructured)
	for _, path := range slices.Sorted(maps.Keys(files)) {
		if !strings.HasSuffix(path, ".yaml") {
			continue
		}
		documents, err := manifest.Read(bytes.NewReader(files[path]))
		for _, f := range object.FindingsOf(err) {
			f.File = path
			errs = append(errs, f)
		}
		for _, d := range documents {
			objects[path] = append(objects[path], d.Object)
		}
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
	return Hidden
}

// Empty reports that the two renderings are the same.
func (r Report) Empty() bool { return len(r.Files) == 0 }

// Summary is one line: how many consequences of each severity there are, how
// many objects come, change and go, and how many other files change.
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

// Text is the whole report for a terminal.
func (r Report) Text() string {
	var b strings.Builder
	b.WriteString(r.Summary() + "\n")
	for _, c := range r.Consequences {
		paragraph(&b, c.Severity.String(), c.String()+" ["+c.Rule+"]")
	}
	for _, a := range r.Allowed {
		paragraph(&b, "allowed", a.String()+" Allowed: "+a.Reason+" ["+a.Rule+"]")
	}
	if len(r.Order) > 1 {
		b.WriteString("\n  " + inOrder + "\n")
		for i, s := range r.Order {
			wrap(&b, fmt.Sprintf("  %d. ", i+1), s.String())
		}
	}
	if len(r.Consequences)+len(r.Allowed) > 0 || len(r.Order) > 1 {
		b.WriteString("\n")
	}
	return b.String() + diff.Text(r.Files)
}

// width of a line for a terminal.
const width = 120

const inOrder = "A deploy applies this in the order:"

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

// Markdown is the report for a pull request, in at most limit bytes where that
// is not zero: files that do not fit are named, and the cut is said. It is
// valid Markdown of Gitea and GitHub whatever the values hold.
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
		line := "- **" + word + "** " + code(c.Object.String())
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
	if len(r.Order) < 2 {
		return
	}
	section := "\n<details><summary>" + inOrder + "</summary>\n\n"
	for i, s := range r.Order {
		section += fmt.Sprintf("%d. %s\n", i+1, prose(s.String()))
	}
	if section += "\n</details>\n"; limit <= 0 || b.Len()+len(section) <= limit {
		b.WriteString(section)
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
