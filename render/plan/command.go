package plan

import (
	"cmp"
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"maps"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"

	"git.lastcloud.io/ronnibaslund/dezky/fleet/internal/cli"
	"git.lastcloud.io/ronnibaslund/dezky/fleet/internal/forge"
	"git.lastcloud.io/ronnibaslund/dezky/fleet/render"
	"git.lastcloud.io/ronnibaslund/dezky/fleet/render/plan/consequence"
)

// Command is a program that tells what lies between two renderings. A layer's
// main function is
//
//	func main() {
//		os.Exit(plan.Command{Name: "plan", Tree: data.Tree}.Run(os.Args[1:], os.Stdin, os.Stdout, os.Stderr))
//	}
type Command struct {
	// Name of the program, for its usage text. The comments of two programs of
	// different names in one pull request are two comments.
	Name string
	// Environments that -env takes, the default first. If empty, there is no
	// such flag, and Tree gets an empty environment.
	Environments []string
	// Repositories of the first-party images, which -tag and -image pin. If
	// empty, there are no such flags.
	Repositories []string
	// Tree makes what is compared with where -to is not given, and has the
	// allowances of the layer. If nil, -to must be given.
	Tree func(environment string, images render.Images) (render.Tree, error)
	// Goldens is the directory with the accepted files of the Tree, in a folder
	// for each environment where there are environments. It is what git:REV
	// means where no directory is compared with it. If empty, golden.
	Goldens string
	// Live reads what runs; deploy.Live does. If nil, there is no -live: who
	// does not want a cluster's client does not link one.
	Live func(context.Context, Cluster) (objects []*unstructured.Unstructured, notes []string, err error)
}

// Cluster is what -live asks of [Command.Live].
type Cluster struct {
	// Context and Kubeconfig say how to reach it. If empty, as kubectl does.
	Context, Kubeconfig string
	// Tree that is compared with: its layers and its ID say what is the Tree's.
	Tree render.Tree
	// Rendered objects, by the name of their layer.
	Rendered map[string][]*unstructured.Unstructured
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
	allow                                      consequence.Allowances

	environment                string
	images                     render.Images
	live, keepImages           bool
	layer, context, kubeconfig string
	timeout                    time.Duration
}

// formats of standard output.
var formats = []string{"text", "markdown", "json", "html"}

// Run compares as the arguments say, without the program's name, and returns
// the exit status: 0, 1 for what cannot be read or written, 2 for flags that
// are not understood, 3 for a consequence that -fail-on names. That something
// changes is no failure.
func (c Command) Run(args []string, stdin io.Reader, stdout, stderr io.Writer) int {
	var a arguments
	flags := cli.Flags(c.Name)
	flags.StringVar(&a.from, "from", "", "what was: a `directory`, a YAML file, - for standard input, git:REV for the goldens of that revision, or git:REV:DIR")
	to := "what is: as -from"
	if c.Tree != nil {
		to += "; without it, what is rendered now"
	}
	flags.StringVar(&a.to, "to", "", to+" (`directory` and the like)")
	environment := &a.environment
	if c.Tree != nil {
		environment = cli.Environment(flags, c.Environments)
		if len(c.Repositories) > 0 {
			a.images.Flags(flags)
		}
	}
	if c.Live != nil && c.Tree != nil {
		flags.BoolVar(&a.live, "live", false, "what was is what runs: read from the cluster, which is not changed")
		flags.StringVar(&a.layer, "layer", "", "`layer` to compare with what runs (default all)")
		flags.StringVar(&a.context, "context", "", "`context` of the kubeconfig (default the current one)")
		flags.StringVar(&a.kubeconfig, "kubeconfig", "", "`file` with the access to the cluster (default $KUBECONFIG, else ~/.kube/config, else the pod's own)")
		flags.DurationVar(&a.timeout, "timeout", time.Minute, "`time` for reading the cluster")
		if len(c.Repositories) > 0 {
			flags.BoolVar(&a.keepImages, "keep-images", false, "with -live: images that -tag and -image leave open are those that run")
		}
	}
	flags.StringVar(&a.format, "format", "text", "`format` of standard output: "+strings.Join(formats, ", "))
	flags.StringVar(&a.summary, "summary", "", "append the report in Markdown to this `file`, such as $GITHUB_STEP_SUMMARY")
	flags.StringVar(&a.comment, "comment", "", "keep the report as a comment of the pull request of this `number`, with $GITHUB_API_URL, $GITHUB_REPOSITORY and $GITHUB_TOKEN")
	flags.StringVar(&a.failOn, "fail-on", "", "least `severity` for exit status 3: refused, down, signed-out, first, weaker, left-behind or restarts")
	flags.Var(&a.allow, "allow", "let a consequence pass that is meant, given as `RULE=OBJECT`, such as 'host=Ingress apps/web'; may be given again, or with commas between")
	p := cli.Program{Name: c.Name, Stdout: stdout, Stderr: stderr, Help: func(w io.Writer) { c.usage(w, flags) }}
	return p.Run(func() error {
		ctx, stop := cli.Context()
		defer stop()
		if err := cli.Parse(flags, args, 0); err != nil {
			return err
		}
		a.environment = *environment
		if err := c.check(a); err != nil {
			return err
		}
		return c.run(ctx, a, stdin, p)
	})
}

// check refuses flags that do not go together.
func (c Command) check(a arguments) error {
	switch {
	case a.live && (a.from != "" || a.to != ""):
		return cli.UsageError("-live compares what runs with what is rendered now: leave -from and -to out")
	case a.from == "" && !a.live && c.Live != nil:
		return cli.UsageError("give -from, or -live: what was")
	case a.from == "" && !a.live:
		return cli.UsageError("give -from: what was")
	case a.to == "" && c.Tree == nil:
		return cli.UsageError("give -to: what is")
	case a.from == "-" && a.to == "-":
		return cli.UsageError("-from and -to are both standard input: give one of them as a file")
	case !a.live && (a.keepImages || a.layer != "" || a.context != "" || a.kubeconfig != ""):
		return cli.UsageError("-keep-images, -layer, -context and -kubeconfig are of -live: say it too")
	case a.to != "" && (a.images.Tag != "" || len(a.images.Pins) > 0):
		return cli.UsageError("-tag and -image are of what is rendered now: leave -to out")
	case a.timeout < 0:
		return cli.UsageError("-timeout must be more than nothing")
	case !slices.Contains(formats, a.format):
		return cli.UsageError(fmt.Sprintf("-format %q: must be %s", a.format, strings.Join(formats, ", ")))
	}
	if a.failOn != "" {
		if _, err := consequence.ParseSeverity(a.failOn); err != nil {
			return cli.UsageError("-fail-on " + err.Error())
		}
	}
	return nil
}

func (c Command) run(ctx context.Context, a arguments, stdin io.Reader, p cli.Program) error {
	if err := errors.Join(cli.CheckEnvironment(a.environment, c.Environments), a.images.Validate(c.Repositories)); err != nil {
		return err
	}
	var tree render.Tree
	var err error
	if c.Tree != nil {
		if tree, err = c.Tree(a.environment, a.images); err != nil {
			return err
		}
	}
	var was, is Rendering
	from, to := a.from, a.to
	if to == "" {
		to = "what is rendered now"
		if a.environment != "" {
			to += " for " + a.environment
		}
	}
	if a.live {
		from = "what runs"
		if was, is, tree, err = c.cluster(ctx, a, tree, p); err != nil {
			return err
		}
	} else {
		goldens := cmp.Or(c.Goldens, "golden")
		if len(c.Environments) > 0 {
			goldens = filepath.Join(goldens, a.environment)
		}
		if was, err = source(ctx, a.from, cmp.Or(directoryOf(a.to), goldens), stdin); err != nil {
			return err
		}
		if a.to == "" {
			is, err = rendered(tree)
		} else {
			is, err = source(ctx, a.to, cmp.Or(directoryOf(a.from), goldens), stdin)
		}
		if err != nil {
			return err
		}
	}
	report, err := Compare(was, is)
	if err != nil {
		return err
	}
	for _, note := range slices.Concat(report.Notes, report.Allow(slices.Concat(tree.Allowed, a.allow))) {
		p.Note("%s", note)
	}
	report.From, report.To = from, to
	if directoryOf(a.to) != "" {
		report.To = current(ctx, a.to)
	}
	var text string
	switch a.format {
	case "markdown":
		text = report.Markdown(0)
	case "json":
		text = report.JSON()
	case "html":
		text, err = report.HTML()
	default:
		text = report.Text()
		if takesColours(p.Stdout) {
			text = coloured(text)
		}
	}
	if err != nil {
		return err
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

// cluster reads what runs, and renders what is compared with it.
func (c Command) cluster(ctx context.Context, a arguments, tree render.Tree, p cli.Program) (was, is Rendering, _ render.Tree, err error) {
	ctx, cancel := context.WithTimeout(ctx, a.timeout)
	defer cancel()
	look := func() error {
		if is, err = rendered(tree); err != nil {
			return err
		}
		maps.DeleteFunc(is.Files, func(path string, _ []byte) bool {
			layer, _, _ := strings.Cut(path, "/")
			return !slices.ContainsFunc(tree.Layers, func(l render.Layer) bool { return l.Name == layer && (a.layer == "" || a.layer == layer) })
		})
		if len(is.Files) == 0 {
			return fmt.Errorf("-layer %q: there is no such layer", a.layer)
		}
		objects, wrong := read(is.Files, nil)
		if err := wrong.Err(); err != nil {
			return err
		}
		of := Cluster{Context: a.context, Kubeconfig: a.kubeconfig, Tree: tree, Rendered: make(map[string][]*unstructured.Unstructured)}
		for path, list := range objects {
			layer, _, _ := strings.Cut(path, "/")
			of.Rendered[layer] = append(of.Rendered[layer], list...)
		}
		var notes []string
		if was.Loose, notes, err = c.Live(ctx, of); err != nil {
			return err
		}
		was.Alone = true
		for _, note := range notes {
			p.Note("%s", note)
		}
		return nil
	}
	if err := look(); err != nil || !a.keepImages {
		return was, is, tree, err
	}
	images := render.Images{Tag: a.images.Tag, Pins: maps.Clone(a.images.Pins)}
	if images.Pins == nil {
		images.Pins = make(map[string]string)
	}
	for name, pin := range running(was.Loose, c.Repositories) {
		if images.Tag == "" && images.Pins[name] == "" {
			images.Pins[name] = pin
		}
	}
	if err := images.Validate(c.Repositories); err != nil {
		return was, is, tree, fmt.Errorf("the images that run: %w", err)
	}
	if tree, err = c.Tree(a.environment, images); err == nil {
		is.Files, err = filtered(tree, is.Files)
	}
	return was, is, tree, err
}

// filtered renders the Tree, and returns those of its files that are among the
// others.
func filtered(tree render.Tree, like map[string][]byte) (map[string][]byte, error) {
	all, err := rendered(tree)
	maps.DeleteFunc(all.Files, func(path string, _ []byte) bool { _, ok := like[path]; return !ok })
	return all.Files, err
}

// running returns the pins of first-party images that run, by name.
func running(objects []*unstructured.Unstructured, repositories []string) map[string]string {
	pins := make(map[string]string)
	for _, o := range objects {
		containers, _, _ := unstructured.NestedSlice(o.Object, "spec", "template", "spec", "containers")
		for _, c := range containers {
			m, _ := c.(map[string]any)
			image, _ := m["image"].(string)
			for _, repository := range repositories {
				if rest, ok := strings.CutPrefix(image, repository); ok && rest != "" && (rest[0] == ':' || rest[0] == '@') && rest != ":latest" {
					pins[path.Base(repository)] = rest[1:]
				}
			}
		}
	}
	return pins
}

// rendered is what the Tree renders now.
func rendered(tree render.Tree) (Rendering, error) {
	all, _, err := tree.Files()
	files := make(map[string][]byte, len(all))
	for _, f := range all {
		files[f.Path] = f.Data
	}
	return Rendering{Files: files}, err
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
that runs the first of them, worst first, the order in which a deploy applies
it, and the objects and fields that change. It changes nothing, and prints no
value of a Secret.

`, c.Name)
	for _, m := range meanings {
		fmt.Fprintf(w, "\t%-12s %s\n", m.severity, m.is)
	}
	fmt.Fprintln(w)
	example := func(args, what string) { fmt.Fprintf(w, "\t%-44s # %s\n", c.Name+" "+args, what) }
	if c.Tree != nil {
		example("-from git:main", "what the definitions change, since then")
	}
	if c.Live != nil {
		example("-live", "what they change for what runs")
	}
	example("-from git:main -to golden", "what a branch changes")
	example("-from out -to golden/production", "two directories")
	example("-from a -to b -format html", "one page, with a picture")
	example("-from a -to b -fail-on down", "exit status 3 where something is refused or down")
	fmt.Fprintln(w)
	flags.SetOutput(w)
	flags.PrintDefaults()
	fmt.Fprint(w, "\nExit status: 0, also where something changes; 1 for what cannot be read or\nwritten; 2 for flags that are not understood; 3 for a consequence as bad as\n-fail-on says.\n")
}
