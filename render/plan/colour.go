package plan

import (
	"io"
	"os"
	"strings"

	"golang.org/x/term"

	"git.lastcloud.io/ronnibaslund/dezky/fleet/render/plan/consequence"
)

// takesColours reports whether the output is a terminal that shows colours, and
// nobody said NO_COLOR.
func takesColours(w io.Writer) bool {
	f, ok := w.(*os.File)
	return ok && term.IsTerminal(int(f.Fd())) && os.Getenv("TERM") != "dumb" && os.Getenv("NO_COLOR") == ""
}

const (
	red, green, yellow, magenta, cyan, plain = "\x1b[31m", "\x1b[32m", "\x1b[33m", "\x1b[35m", "\x1b[36m", "\x1b[0m"
)

var severityColours = map[consequence.Severity]string{
	consequence.Refused:    red,
	consequence.Down:       red,
	consequence.SignedOut:  magenta,
	consequence.First:      yellow,
	consequence.Weaker:     yellow,
	consequence.LeftBehind: cyan,
	consequence.Restarts:   cyan,
}

// coloured gives the words for severities and the lines of what was and what is
// a colour.
func coloured(text string) string {
	var b strings.Builder
	for line := range strings.Lines(text) {
		rest := strings.TrimLeft(line, " ")
		indent := line[:len(line)-len(rest)]
		word, _, _ := strings.Cut(rest, " ")
		severity, err := consequence.ParseSeverity(word)
		switch {
		case len(indent) == 2 && err == nil:
			line = indent + severityColours[severity] + word + plain + rest[len(word):]
		case word == "-":
			line = indent + red + strings.TrimSuffix(rest, "\n") + plain + "\n"
		case word == "+":
			line = indent + green + strings.TrimSuffix(rest, "\n") + plain + "\n"
		}
		b.WriteString(line)
	}
	return b.String()
}
