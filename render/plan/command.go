package plan

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"strings"
	"time"

	"git.lastcloud.io/ronnibaslund/dezky/fleet/internal/cli"
	"git.lastcloud.io/ronnibaslund/dezky/fleet/internal/forge"
	"git.lastcloud.io/ronnibaslund/dezky/fleet/render/plan/consequence"
)

// Command is a program that tells what lies between two renderings. A layer's
// main function is
//
//	func main() {
//		os.Exit(plan.Command{Name: "plan"}.Run(os.Args[1:], os.Stdout, os.Stderr))
//	}
type Command struct {
	// Name of the program, for its usage text. The comments of two programs of
	// different names in one pull request are two comments.
	Name string
}

const (
	// statusReached is the exit status for a consequence that -fail-on names.
	statusReached = 3
	// commentLimit is below the 65,536 characters of a comment in GitHub;
	// Gitea has no limit of its own.
	commentLimit = 60_000
	// deadline of the comment.
	deadline = 2 * time.Minute
)

type arguments struct {
	from, to, format, summary, comment, failOn string
	allow                                      allowances
}

// allowances are a flag that may be given again.
type allowances []consequence.Allowance

func (a *allowances) String() string {
	var all []string
	for _, one := range *a {
		all = append(all, one.String())
	}
	return strings.Join(all, ", ")
}

func (a *allowances) Set(value string) error {
	one, err := consequence.ParseAllowance(value, "-allow says so.")
	*a = append(*a, one)
	return err
}

// Run compares as the arguments say, without the program's name, and returns
// the exit status: 0, 1 for what cannot be read or written, 2 for flags that
// are not understood, 3 for a consequence that -fail-on names. That something
// changes is no failure.
func (c Command) Run(args []string, stdout, stderr io.Writer) int {
	var a arguments
	flags := cli.Flags(c.Name)
	flags.StringVar(&a.from, "from", "", "the rendering before: a `directory`, or git:REVISION for the directory of -to as it was then")
	flags.StringVar(&a.to, "to", "", "the rendering now: a `directory`")
	flags.StringVar(&a.format, "format", "text", "`format` of standard output: text or markdown")
	flags.StringVar(&a.summary, "summary", "", "append the report in Markdown to this `file`, such as $GITHUB_STEP_SUMMARY")
	flags.StringVar(&a.comment, "comment", "", "keep the report as a comment of the pull request of this `number`, with $GITHUB_API_URL, $GITHUB_REPOSITORY and $GITHUB_TOKEN")
	flags.StringVar(&a.failOn, "fail-on", "", "least `severity` for exit status 3: refused, down, signed-out, first, weaker, left-behind or restarts")
	flags.Var(&a.allow, "allow", "let a consequence pass that is meant, given as `RULE=OBJECT`, such as 'host=Ingress apps/web'; may be given again")
	p := cli.Program{Name: c.Name, Stdout: stdout, Stderr: stderr, Help: func(w io.Writer) { c.usage(w, flags) }}
	return p.Run(func() error {
		ctx, stop := cli.Context()
		defer stop()
		if err := cli.Parse(flags, args, 0); err != nil {
			return err
		}
		switch {
		case a.from == "" || a.to == "":
			return cli.UsageError("give -from and -to: the renderings that are compared")
		case strings.HasPrefix(a.to, "git:"):
			return cli.UsageError("-to must be a directory: git: is for -from")
		case a.format != "text" && a.format != "markdown":
			return cli.UsageError(fmt.Sprintf("-format %q: must be text or markdown", a.format))
		}
		if a.failOn != "" {
			if _, err := consequence.ParseSeverity(a.failOn); err != nil {
				return cli.UsageError("-fail-on " + err.Error())
			}
		}
		return c.run(ctx, a, p)
	})
}

func (c Command) run(ctx context.Context, a arguments, p cli.Program) error {
	is, err := directory(a.to)
	if err != nil {
		return err
	}
	var was map[string][]byte
	if rev, ok := strings.CutPrefix(a.from, "git:"); ok {
		was, err = revision(ctx, rev, a.to)
	} else {
		was, err = directory(a.from)
	}
	if err != nil {
		return err
	}
	report, err := Compare(was, is)
	if err != nil {
		return err
	}
	for _, note := range report.Allow(a.allow) {
		p.Note("%s", note)
	}
	report.From, report.To = a.from, current(ctx, a.to)
	text := report.Text()
	if a.format == "markdown" {
		text = report.Markdown(0)
	}
	if _, err := io.WriteString(p.Stdout, text); err != nil {
		return err
	}
	var errs []error
	if a.summary != "" {
		errs = append(errs, appendTo(a.summary, report.Markdown(commentLimit)))
	}
	if a.comment != "" {
		errs = append(errs, c.comment(ctx, a.comment, report, p))
	}
	if err := errors.Join(errs...); err != nil || a.failOn == "" {
		return err
	}
	worst, err := consequence.ParseSeverity(a.failOn)
	if err == nil && report.Reaches(worst) {
		err = &cli.Exit{Status: statusReached, Err: fmt.Errorf("-fail-on %s: there are consequences as bad as that: %s", a.failOn, report.Summary())}
	}
	return err
}

func appendTo(name, text string) error {
	f, err := os.OpenFile(name, os.O_APPEND|os.O_CREATE|os.O_WRONLY, 0o644)
	if err != nil {
		return err
	}
	_, err = f.WriteString(text)
	return errors.Join(err, f.Close())
}

// comment keeps the report in the pull request. A pull request that changes
// nothing gets none.
func (c Command) comment(ctx context.Context, number string, report Report, p cli.Program) error {
	ctx, cancel := context.WithTimeout(ctx, deadline)
	defer cancel()
	pull := forge.PullRequest{
		API:        os.Getenv("GITHUB_API_URL"),
		Repository: os.Getenv("GITHUB_REPOSITORY"),
		Number:     number,
		Token:      os.Getenv("GITHUB_TOKEN"),
	}
	body := ""
	if !report.Empty() {
		body = report.Markdown(commentLimit)
	}
	err := pull.Comment(ctx, "<!-- "+c.Name+": what changes -->", body, report.Markdown(commentLimit))
	if errors.Is(err, forge.ErrForbidden) {
		p.Note("%v; the report is in this log", err)
		return nil
	}
	return err
}

func (c Command) usage(w io.Writer, flags *flag.FlagSet) {
	fmt.Fprintf(w, `%[1]s tells what lies between two renderings: what the change does to a cluster
that runs the first of them, worst first, and the objects and fields that
change. It reads no cluster, and prints no value of a Secret.

	refused      the API server does not take it
	down         requests fail, for a while or for good
	signed-out   users must sign in again
	first        what must be there, or be done, before
	weaker       less is watched, limited or kept apart
	left-behind  what stays in the cluster and is no longer rendered
	restarts     pods that are replaced, or keep what they have read

	%[1]s -from git:main -to golden          # what a branch changes
	%[1]s -from out -to golden/production    # two directories
	%[1]s -from a -to b -fail-on down        # exit status 3 where something is refused or down

`, c.Name)
	flags.SetOutput(w)
	flags.PrintDefaults()
	fmt.Fprint(w, "\nExit status: 0, also where something changes; 1 for what cannot be read or\nwritten; 2 for flags that are not understood; 3 for a consequence as bad as\n-fail-on says.\n")
}
