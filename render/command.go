package render

import (
	"bufio"
	"errors"
	"flag"
	"fmt"
	"io"
	"path"
	"slices"
	"strconv"
	"strings"
	"unicode"

	"git.lastcloud.io/ronnibaslund/dezky/fleet/render/object"
)

// Command is a program that renders. A layer's main function is
//
//	func main() {
//		os.Exit(render.Command{Name: "data", Tree: data.Tree}.Run(os.Args[1:], os.Stdout, os.Stderr))
//	}
type Command struct {
	// Name of the program, for its usage text.
	Name string
	// Environments that -env takes, the default first. If empty, there is no
	// such flag, and Tree gets an empty environment.
	Environments []string
	// Repositories of the first-party images, which -tag and -image pin. If
	// empty, there are no such flags.
	Repositories []string
	// Tree makes what is rendered.
	Tree func(environment string, images Images) (Tree, error)
}

// Run renders as the arguments say, without the program's name. It gives the
// exit status: 0, 1 for anything that is refused, 2 for flags that are not
// understood.
func (c Command) Run(args []string, stdout, stderr io.Writer) int {
	var dir, environment string
	var pending, pinned, confirmed bool
	var images Images

	flags := flag.NewFlagSet(c.Name, flag.ContinueOnError)
	flags.SetOutput(io.Discard)
	flags.StringVar(&dir, "o", "", "write to this `directory`; without it, a stream on standard output")
	flags.BoolVar(&pending, "pending", false, "render nothing; list the values that do not exist yet, and those that are assumed until confirmed")
	flags.BoolVar(&confirmed, "confirmed", false, "refuse to render while any value is assumed")
	if len(c.Environments) > 0 {
		environment = c.Environments[0]
		flags.StringVar(&environment, "env", environment, "`environment`: "+strings.Join(c.Environments, " or "))
	}
	if len(c.Repositories) > 0 {
		flags.BoolVar(&pinned, "pinned", false, "refuse to render first-party images that follow the tag latest")
		images.Flags(flags)
	}
	err := flags.Parse(args)
	switch {
	case errors.Is(err, flag.ErrHelp):
		c.usage(stdout, flags)
		return 0
	case err != nil:
	case flags.NArg() > 0:
		err = fmt.Errorf("unexpected argument %q", flags.Arg(0))
	case dir == "" && isSet(flags, "o"):
		err = errors.New("-o is empty: name a directory, or leave it out for standard output")
	case images.Tag == "" && isSet(flags, "tag"):
		err = errors.New("-tag is empty: give a tag, or leave it out for latest")
	case pending && dir != "":
		err = errors.New("-pending renders nothing: leave -o out")
	case pending && confirmed:
		err = errors.New("-pending lists what -confirmed refuses: give one of the two")
	}
	if err != nil {
		fmt.Fprintf(stderr, "%s: %s\n%s -h explains the flags\n", c.Name, visible(err.Error()), c.Name)
		return 2
	}
	if err := c.render(dir, environment, images, pinned, pending, confirmed, stdout, stderr); err != nil {
		for _, e := range object.FindingsOf(err) {
			fmt.Fprintf(stderr, "%s: %s\n", c.Name, visible(e.Error()))
		}
		return 1
	}
	return 0
}

func (c Command) render(dir, environment string, images Images, pinned, pending, confirmed bool, stdout, stderr io.Writer) error {
	if c.Tree == nil {
		return errors.New("the program has no tree")
	}
	var errs []error
	if len(c.Environments) > 0 && !slices.Contains(c.Environments, environment) {
		errs = append(errs, fmt.Errorf("-env %q: there is no such environment: the environments are %s", environment, strings.Join(c.Environments, ", ")))
	}
	names := make([]string, len(c.Repositories))
	for i, r := range c.Repositories {
		names[i] = path.Base(r)
	}
	if err := images.Validate(c.Repositories); err != nil {
		errs = append(errs, err)
	}
	if unpinned := images.Unpinned(names...); pinned && len(unpinned) > 0 {
		errs = append(errs, fmt.Errorf("-pinned: the images of %s follow the tag latest: give -tag, or -image for each", strings.Join(unpinned, ", ")))
	}
	if err := errors.Join(errs...); err != nil {
		return err
	}
	tree, err := c.tree(environment, images)
	if err != nil {
		return err
	}
	tree.Confirmed = tree.Confirmed || confirmed

	var report Report
	switch {
	case pending:
		if _, report, err = tree.Files(); err != nil {
			return err
		}
		lines := report.Pending
		for _, a := range report.Assumed {
			lines = append(lines, a.String())
		}
		if len(lines) > 0 {
			_, err = fmt.Fprintln(stdout, strings.Join(lines, "\n"))
		}
		return err
	case dir != "":
		report, err = tree.WriteDir(dir)
	default:
		report, err = tree.WriteStream(stdout)
	}
	if err != nil {
		return err
	}
	for _, note := range report.Notes {
		fmt.Fprintf(stderr, "%s: note: %s\n", c.Name, visible(note))
	}
	fmt.Fprintf(stderr, "%s: %s\n", c.Name, visible(report.summary(dir)))
	return nil
}

func (c Command) tree(environment string, images Images) (tree Tree, err error) {
	defer recovered(&err, "the tree: ")
	return c.Tree(environment, images)
}

// visible writes the control characters of a message as escapes: it may have
// words of the command line or of a file's name in it.
func visible(message string) string {
	var b strings.Builder
	for _, r := range message {
		if unicode.IsPrint(r) {
			b.WriteRune(r)
		} else {
			quoted := strconv.QuoteRune(r)
			b.WriteString(quoted[1 : len(quoted)-1])
		}
	}
	return b.String()
}

func isSet(flags *flag.FlagSet, name string) bool {
	set := false
	flags.Visit(func(f *flag.Flag) { set = set || f.Name == name })
	return set
}

// summary is one line.
func (r Report) summary(dir string) string {
	s := fmt.Sprintf("%d files, %d objects", r.Files, r.Objects)
	if n := len(r.Pending); n > 0 {
		s += fmt.Sprintf(", %d values pending", n)
	}
	if n := len(r.Assumed); n > 0 {
		s += fmt.Sprintf(", %d assumed", n)
	}
	if dir == "" {
		return s
	}
	s = dir + ": " + s
	if len(r.Written)+len(r.Removed) == 0 {
		return s + ": nothing changed"
	}
	const most = 8
	list := func(verb string, paths []string) string {
		if len(paths) == 0 {
			return ""
		}
		names := strings.Join(paths[:min(most, len(paths))], ", ")
		if len(paths) > most {
			names += ", …"
		}
		return fmt.Sprintf("; %s %d (%s)", verb, len(paths), names)
	}
	return s + list("wrote", r.Written) + list("removed", r.Removed)
}

// WriteStream renders the Tree as one YAML stream, the layers in the order in
// which they are applied, without the texts. Nothing is written before all is
// checked.
func (t Tree) WriteStream(w io.Writer) (Report, error) {
	t.Texts = nil
	files, report, err := t.Files()
	if err != nil {
		return Report{}, err
	}
	out := bufio.NewWriter(w)
	for i, f := range files {
		if i > 0 {
			out.WriteString("---\n")
		}
		out.WriteString("# " + f.Path + "\n")
		out.Write(f.Data[len(t.header(f.Path)):])
	}
	return report, out.Flush()
}

func (c Command) usage(w io.Writer, flags *flag.FlagSet) {
	fmt.Fprintf(w, "%s renders Kubernetes manifests from their definitions.\n\nUsage: %s [flags]\n\n", c.Name, c.Name)
	flags.SetOutput(w)
	flags.PrintDefaults()
	fmt.Fprintf(w, "\nExamples:\n")
	example := func(args, what string) { fmt.Fprintf(w, "  %-52s # %s\n", c.Name+" "+args, what) }
	example("-o out", "write out/<layer>/<file>.yaml")
	if len(c.Environments) > 1 {
		example("-env "+c.Environments[1], "the "+c.Environments[1]+" environment, to standard output")
	}
	if len(c.Repositories) > 0 {
		example("-o out -tag $(git rev-parse HEAD)", "pin all first-party images to a commit")
		example("-o out -tag v2 -image "+path.Base(c.Repositories[0])+"=v1", "but keep one of them at another build")
	}
	example("-pending", "list what is pending or assumed, and what confirms it")
	fmt.Fprintf(w, "\nExit status: 0, 1 if anything is refused (nothing is written then), 2 for unknown flags.\n")
}
