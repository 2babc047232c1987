package diff

import (
	"fmt"
	"strings"

	"sigs.k8s.io/yaml"
)

// Text writes what differs for people: file by file, object by object, and
// for each field a line with - for what was and one with + for what is. It is
// empty where nothing differs.
func Text(files []File) string {
	var b strings.Builder
	for _, f := range files {
		switch f.Op {
		case Created:
			fmt.Fprintf(&b, "+ %s: a new file\n", f.Path)
		case Deleted:
			fmt.Fprintf(&b, "- %s: no longer rendered\n", f.Path)
		default:
			fmt.Fprintf(&b, "  %s\n", f.Path)
		}
		for _, o := range f.Objects {
			o.text(&b)
		}
		for _, line := range f.Lines {
			fmt.Fprintf(&b, "    %c   %s\n", line[0], line[1:])
		}
	}
	return b.String()
}

func (o Object) text(b *strings.Builder) {
	switch o.Op {
	case Created:
		fmt.Fprintf(b, "  + %s: a new object\n", o.ID)
	case Deleted:
		fmt.Fprintf(b, "  - %s: no longer rendered\n", o.ID)
	case Moved:
		fmt.Fprintf(b, "    %s: moved here from %s\n", o.ID, o.From)
	default:
		fmt.Fprintf(b, "    %s\n", o.ID)
	}
	for _, f := range o.Fields {
		f.text(b)
	}
}

func (f Field) text(b *strings.Builder) {
	was, isText := f.Was.(string)
	is, areTexts := f.Is.(string)
	if isText && areTexts && strings.Contains(was, "\n") && strings.Contains(is, "\n") {
		for _, line := range lines(was, is) {
			fmt.Fprintf(b, "    %c   %s: %s\n", line[0], f.Path, line[1:])
		}
		return
	}
	path := f.Path
	if f.Order {
		path += " (order)"
	}
	if f.Was != nil {
		value(b, '-', path, f.Was)
	}
	if f.Is != nil {
		value(b, '+', path, f.Is)
	}
}

func value(b *strings.Builder, sign rune, path string, v any) {
	text, err := yaml.Marshal(v)
	if err != nil {
		text = fmt.Append(nil, v)
	}
	lines := strings.Split(strings.TrimRight(string(text), "\n"), "\n")
	if _, isList := v.([]any); len(lines) == 1 && !isList {
		fmt.Fprintf(b, "    %c   %s: %s\n", sign, path, lines[0])
		return
	}
	fmt.Fprintf(b, "    %c   %s:\n", sign, path)
	for _, line := range lines {
		fmt.Fprintf(b, "    %c       %s\n", sign, line)
	}
}
