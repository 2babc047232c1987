// Package report checks manifests, whoever made them: it reads files and
// directories, puts the objects to the rules of render/check, and tells what
// they find, to people and to programs.
//
// [Command] makes a program of it.
package report

import (
	"flag"
	"fmt"
	"io"
	"math"
	"strings"

	"git.lastcloud.io/ronnibaslund/dezky/fleet/internal/cli"
	"git.lastcloud.io/ronnibaslund/dezky/fleet/render/check"
	"git.lastcloud.io/ronnibaslund/dezky/fleet/render/object"
)

// Command is a program that checks manifests. A layer's main function is
//
//	func main() {
//		os.Exit(report.Command{Name: "check", Elsewhere: data.Elsewhere()}.Run(os.Args[1:], os.Stdin, os.Stdout, os.Stderr))
//	}
type Command struct {
	// Name of the program, for its usage text.
	Name string
	// Elsewhere are objects that exist in the cluster and are not under check.
	// Those that -elsewhere names stand beside them.
	Elsewhere []check.Elsewhere
	// Waivers let what a rule finds pass, beside those in the annotations of
	// the objects.
	Waivers []check.Waiver
}

// Run checks as the arguments say, without the program's name. It gives the
// exit status: 0, 1 for findings that -fail-on names and for what cannot be
// read, 2 for flags that are not understood.
func (c Command) Run(args []string, stdin io.Reader, stdout, stderr io.Writer) int {
	flags := cli.Flags(c.Name)
	var failOn object.Severity
	flags.TextVar(&failOn, "fail-on", object.Error, "least `severity` for exit status 1: error, warning or note")
	var names []string
	for _, f := range formats {
		names = append(names, f.name)
	}
	format := flags.String("format", names[0], "`form` of the report: "+strings.Join(names, ", "))
	var declared list
	flags.Var(&declared, "elsewhere", "`file` or directory with what else exists in the cluster: manifests, of which\napiVersion, kind, namespace and name are enough; may be repeated")
	page := flags.Bool("rules", false, "print the page of all rules, as Markdown, and check nothing")
	p := cli.Program{Name: c.Name, Stdout: stdout, Stderr: stderr, Help: func(w io.Writer) { c.help(w, flags) }}
	return p.Run(func() error {
		if err := cli.Parse(flags, args, math.MaxInt); err != nil {
			return err
		}
		var write func(outcome, io.Writer) error
		for _, f := range formats {
			if f.name == *format {
				write = f.write
			}
		}
		switch {
		case write == nil:
			return cli.UsageError(fmt.Sprintf("-format %s: there is no such form: the forms are %s", *format, strings.Join(names, ", ")))
		case *page && flags.NArg() > 0:
			return cli.UsageError("-rules checks nothing: leave the files out")
		case *page:
			return writeRules(stdout)
		case flags.NArg() == 0:
			return cli.UsageError("name a file, a directory, or - for standard input")
		}
		for _, name := range flags.Args() {
			if strings.HasPrefix(name, "-") && name != stdinName {
				return cli.UsageError(fmt.Sprintf("unexpected argument %q: flags stand before the others", name))
			}
		}
		elsewhere, err := readElsewhere(declared...)
		if err != nil {
			return err
		}
		r := c.check(stdin, flags.Args(), elsewhere)
		for _, f := range r.Skipped {
			p.Note("%s", f.Error())
		}
		if err := write(r, stdout); err != nil {
			return err
		}
		for s := object.Error; s <= failOn; s++ {
			if r.count(s) > 0 {
				return fmt.Errorf("%s", r.summary())
			}
		}
		p.Say("%s", r.summary())
		return nil
	})
}

// list is a flag that may be repeated.
type list []string

func (l *list) String() string { return strings.Join(*l, " ") }

func (l *list) Set(s string) error {
	if s == "" {
		return fmt.Errorf("is empty, as from a shell variable that is not set")
	}
	*l = append(*l, s)
	return nil
}

// check reads the files and puts their objects to the rules.
func (c Command) check(stdin io.Reader, names []string, elsewhere []check.Elsewhere) outcome {
	m, err := read(stdin, names...)
	var others []*check.Elsewhere
	for _, list := range [][]check.Elsewhere{elsewhere, c.Elsewhere} {
		for i := range list {
			others = append(others, &list[i])
		}
	}
	r := outcome{
		Tool:    c.Name,
		Rules:   rules(),
		Result:  check.Run(check.NewSet(m.Objects, others), check.Rules(), c.Waivers...),
		Skipped: m.Skipped,
		Files:   m.Files,
		Objects: len(m.Objects),
	}
	r.Findings = append(object.FindingsOf(err), r.Findings...)
	return r
}

func (c Command) help(w io.Writer, flags *flag.FlagSet) {
	fmt.Fprintf(w, "%s holds Kubernetes manifests against each other, and tells what is wrong.\n\nUsage: %s [flags] DIR|FILE|- ...\n\n", c.Name, c.Name)
	flags.SetOutput(w)
	flags.PrintDefaults()
	fmt.Fprintf(w, `
Directories are read with their subfolders. What is no Kubernetes object is
named and skipped. A finding that is meant is waived by an annotation on its
object:

  %sRULE: the reason

Exit status: 0, 1 for an error (see -fail-on) and for what cannot be read,
2 for flags that are not understood.
`, check.WaiverAnnotation)
}
