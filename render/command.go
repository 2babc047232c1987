package render

import (
	"bufio"
	"errors"
	"flag"
	"fmt"
	"io"
	"path"
	"strings"

	"git.lastcloud.io/ronnibaslund/dezky/fleet/internal/cli"
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
	var a arguments
	flags := cli.Flags(c.Name)
	flags.StringVar(&a.dir, "o", "", "write to this `directory`; without it, a stream on standard output")
	flags.BoolVar(&a.pending, "pending", false, "render nothing; list the values that do not exist yet, and those that are assumed until confirmed")
	flags.BoolVar(&a.confirmed, "confirmed", false, "refuse to render while any value is assumed")
	environment := cli.Environment(flags, c.Environments)
	if len(c.Repositories) > 0 {
		flags.BoolVar(&a.pinned, "pinned", false, "refuse to render first-party images that follow the tag latest")
		a.images.Flags(flags)
	}
	p := cli.Program{Name: c.Name, Stdout: stdout, Stderr: stderr, Help: func(w io.Writer) { c.usage(w, flags) }}
	return p.Run(func() error {
		if err := cli.Parse(flags, args, 0); err != nil {
			return err
		}
		switch {
		case a.pending && a.dir != "":
			return cli.UsageError("-pending renders nothing: leave -o out")
		case a.pending && a.confirmed:
			return cli.UsageError("-pending lists what -confirmed refuses: give one of the two")
		}
		a.environment = *environment
		return c.render(a, p)
	})
}

type arguments struct {
	dir, environment           string
	images                     Images
	pinned, pending, confirmed bool
}

func (c Command) render(a arguments, p cli.Program) error {
	if c.Tree == nil {
		return errors.New("the program has no tree")
	}
	errs := []error{cli.CheckEnvironment(a.environment, c.Environments), a.images.Validate(c.Repositories)}
	if unpinned := a.images.unpinned(c.Repositories); a.pinned && len(unpinned) > 0 {
		errs = append(errs, fmt.Errorf("-pinned: the images of %s follow the tag latest: give -tag, or -image for each", strings.Join(unpinned, ", ")))
	}
	if err := errors.Join(errs...); err != nil {
		return err
	}
	tree, err := c.tree(a.environment, a.images)
	if err != nil {
		return err
	}
	tree.Confirmed = tree.Confirmed || a.confirmed

	var report Report
	switch {
	case a.pending:
		if _, report, err = tree.Files(); err != nil {
			return err
		}
		lines := report.Pending
		for _, a := range report.Assumed {
			lines = append(lines, a.String())
		}
		if len(lines) > 0 {
			_, err = fmt.Fprintln(p.Stdout, strings.Join(lines, "\n"))
		}
		return err
	case a.dir != "":
		report, err = tree.WriteDir(a.dir)
	default:
		report, err = tree.WriteStream(p.Stdout)
	}
	if err != nil {
		return err
	}
	for _, note := range report.Notes {
		p.Note("%s", note)
	}
	p.Say("%s", report.summary(a.dir))
	return nil
}

func (c Command) tree(environment string, images Images) (tree Tree, err error) {
	defer object.Recovered(&err, "the tree: ")
	return c.Tree(environment, images)
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
