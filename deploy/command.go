package deploy

import (
	"cmp"
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"maps"
	"os"
	"os/user"
	"path"
	"slices"
	"strings"
	"text/tabwriter"
	"time"

	"golang.org/x/term"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/clientcmd"

	"git.lastcloud.io/ronnibaslund/dezky/fleet/internal/cli"
	"git.lastcloud.io/ronnibaslund/dezky/fleet/render"
	"git.lastcloud.io/ronnibaslund/dezky/fleet/render/manifest"
	"git.lastcloud.io/ronnibaslund/dezky/fleet/render/object"
	"git.lastcloud.io/ronnibaslund/dezky/fleet/render/plan/consequence"
)

// The exit statuses of [Command.Run].
const (
	// ExitDone means that the release is in the cluster, and ready.
	ExitDone = cli.StatusOK
	// ExitRefused means that nothing was changed: a definition, the server or
	// a limit refused the release, or the cluster could not be reached.
	ExitRefused = cli.StatusRefused
	// ExitUsage means that the arguments were not understood.
	ExitUsage = cli.StatusUsage
	// ExitFailed means that the release failed or was interrupted after it had
	// begun. What was applied is there; the same command completes it, and
	// -rollback goes back.
	ExitFailed = 3
	// ExitRolledBack means that the release failed, and that the one before is
	// back and ready.
	ExitRolledBack = 4
	// ExitHeld means that another deploy held the lock for too long.
	ExitHeld = 5
)

// Command is a program that deploys the layers of a Tree. Its main function is
//
//	func main() {
//		os.Exit(deploy.Command{Name: "deploy", Tree: data.Tree}.Run(os.Args[1:], os.Stdout, os.Stderr))
//	}
type Command struct {
	// Name of the program, for its usage text.
	Name string
	// Environments that -env takes, the default first. If empty, there is no
	// such flag, and Tree gets an empty environment.
	Environments []string
	// Repositories of the first-party images, which must be pinned. If empty,
	// there are no flags for that.
	Repositories []string
	// Layer that is deployed where -layer is not given. If empty, the first
	// one of the Tree.
	Layer string
	// Tree makes what is deployed.
	Tree func(environment string, images render.Images) (render.Tree, error)
}

// arguments are the flags of a run.
type arguments struct {
	layer, environment, context, kubeconfig string

	images                               render.Images
	keepImages                           bool
	dryRun, list, rollback, adopt        bool
	rollbackOnFailure, noLogs, pruneMost bool
	run                                  int
	allow                                consequence.Allowances
	timeout, lockWait                    time.Duration
	summary                              string
}

// Run deploys as the arguments say, without the program's name, and returns
// the exit status. An interrupt or SIGTERM ends it in order: nothing new is
// begun, the release is recorded as interrupted, and the lock is given back.
func (c Command) Run(args []string, stdout, stderr io.Writer) int {
	var flags *flag.FlagSet
	p := cli.Program{Name: c.Name, Stdout: stdout, Stderr: stderr, Help: func(w io.Writer) { c.usage(w, flags) }}
	return p.Run(func() error {
		ctx, stop := cli.Context()
		defer stop()
		var a arguments
		var err error
		if a, flags, err = c.parse(args); err != nil {
			return err
		}
		err = c.run(ctx, a, p)
		if status, last := outcome(err); status > ExitRefused {
			err = &cli.Exit{Status: status, Err: errors.Join(err, sentence(last))}
		}
		return err
	})
}

// sentence is an error, or nil for an empty one.
func sentence(s string) error {
	if s == "" {
		return nil
	}
	return errors.New(s)
}

// outcome is the exit status for an error, and what to say at the end.
func outcome(err error) (status int, last string) {
	var held *HeldError
	var failed *FailedError
	switch {
	case err == nil:
		return ExitDone, ""
	case errors.As(err, &held):
		return ExitHeld, ""
	case errors.As(err, &failed) && failed.RolledBack != nil:
		return ExitRolledBack, fmt.Sprintf("release %d failed; release %d is back, as release %d", failed.Release.Number, failed.RolledBack.RollbackOf, failed.RolledBack.Number)
	case errors.As(err, &failed) && failed.Release.Status == Interrupted:
		return ExitFailed, fmt.Sprintf("release %d was interrupted: run the same command again to complete it, or -rollback to go back", failed.Release.Number)
	case errors.As(err, &failed) && failed.Release.Status == Succeeded:
		return ExitFailed, fmt.Sprintf("release %d is in the cluster, and not well", failed.Release.Number)
	case errors.As(err, &failed):
		return ExitFailed, fmt.Sprintf("release %d failed: do what the lines above say and deploy again, or -rollback to go back", failed.Release.Number)
	}
	return ExitRefused, ""
}

func (c Command) parse(args []string) (arguments, *flag.FlagSet, error) {
	var a arguments
	flags := cli.Flags(c.Name)
	flags.StringVar(&a.layer, "layer", c.Layer, "`layer` to deploy")
	environment := cli.Environment(flags, c.Environments)
	if len(c.Repositories) > 0 {
		a.images.Flags(flags)
		flags.BoolVar(&a.keepImages, "keep-images", false, "images that -tag and -image leave open stay as they are: those of the last release that ended well, else of what runs")
	}
	flags.BoolVar(&a.dryRun, "dry-run", false, "show what would change, and change nothing")
	flags.Var(&a.allow, "allow", "do not stop at a consequence that is meant, given as `RULE=OBJECT`, such as 'host=Ingress apps/web'; may be given again, or with commas between")
	flags.BoolVar(&a.adopt, "adopt", false, "take over what runs from other manifests: replace beside it what cannot change; with -rollback, take that back")
	flags.BoolVar(&a.list, "list", false, "list the releases that are kept")
	flags.BoolVar(&a.rollback, "rollback", false, "go back to the release before, with its manifests")
	flags.BoolVar(&a.rollbackOnFailure, "rollback-on-failure", false, "go back by itself where the release fails")
	flags.BoolVar(&a.pruneMost, "prune-most", false, "allow to delete more than half of what releases applied")
	flags.BoolVar(&a.noLogs, "no-logs", false, "leave the logs of containers out of what is said of a failure")
	flags.DurationVar(&a.timeout, "timeout", defaultTimeout, "`time` for the release, and again for going back")
	flags.DurationVar(&a.lockWait, "lock-wait", defaultLockWait, "`time` to wait for another deploy")
	flags.IntVar(&a.run, "run", 0, "`number` of the pipeline run: one that is older than the last release's is refused")
	flags.StringVar(&a.summary, "summary", "", "append a summary in Markdown to this `file`, such as $GITHUB_STEP_SUMMARY")
	flags.StringVar(&a.context, "context", "", "`context` of the kubeconfig (default the current one)")
	flags.StringVar(&a.kubeconfig, "kubeconfig", "", "`file` with the access to the cluster (default $KUBECONFIG, else ~/.kube/config, else the pod's own)")
	if err := cli.Parse(flags, args, 0); err != nil {
		return a, flags, err
	}
	a.environment = *environment
	pins := a.images.Tag != "" || len(a.images.Pins) > 0 || a.keepImages
	switch {
	case a.list && a.adopt:
		return a, flags, cli.UsageError("-list and -adopt: give one of the two")
	case a.list && a.rollback:
		return a, flags, cli.UsageError("-list and -rollback: give one of the two")
	case a.rollback && pins:
		return a, flags, cli.UsageError("-rollback has the images of the release that it goes back to: leave -tag, -image and -keep-images out")
	case a.rollback && len(a.allow) > 0:
		return a, flags, cli.UsageError("-rollback stops at no consequence: leave -allow out")
	case a.rollback && a.rollbackOnFailure:
		return a, flags, cli.UsageError("-rollback goes back already: leave -rollback-on-failure out")
	case a.timeout <= 0 || a.lockWait <= 0:
		return a, flags, cli.UsageError("-timeout and -lock-wait must be more than nothing")
	case a.run < 0:
		return a, flags, cli.UsageError("-run must be a number from 1")
	}
	return a, flags, nil
}

func (c Command) run(ctx context.Context, a arguments, p cli.Program) error {
	if c.Tree == nil {
		return errors.New("the program has no tree")
	}
	if err := cli.CheckEnvironment(a.environment, c.Environments); err != nil {
		return err
	}
	if err := a.images.Validate(c.Repositories); err != nil {
		return err
	}
	layer, err := c.layer(a)
	if err != nil {
		return err
	}
	config, err := access(a)
	if err != nil {
		return err
	}
	if note := expiry(config, time.Now()); note != "" {
		p.Note("%s", note)
	}
	d := &Deployer{
		Config: config, Layer: layer.Name, Namespace: layer.Namespace,
		By: deployedBy(), Timeout: a.timeout, LockWait: a.lockWait,
		DryRun: a.dryRun, Adopt: a.adopt, PruneMost: a.pruneMost, RollbackOnFailure: a.rollbackOnFailure, NoLogs: a.noLogs,
		Out: p.Stdout, Terminal: isTerminal(p.Stdout),
	}
	var record Record
	switch {
	case a.list:
		return list(ctx, d, p.Stdout)
	case a.rollback:
		record, err = d.Rollback(ctx)
	default:
		var r Release
		if r, err = c.rendering(ctx, a, d, p); err != nil {
			return err
		}
		record, err = d.Deploy(ctx, r)
	}
	if a.summary != "" && !a.dryRun {
		err = errors.Join(err, appendSummary(a.summary, d, record, err))
	}
	return err
}

// layer finds the layer without rendering it, so that a definition that is
// broken stops no rollback.
func (c Command) layer(a arguments) (render.Layer, error) {
	tree, err := c.Tree(a.environment, a.images)
	if err != nil {
		return render.Layer{}, err
	}
	var names []string
	for _, l := range tree.Layers {
		if l.Name == a.layer || a.layer == "" {
			return l, nil
		}
		names = append(names, l.Name)
	}
	return render.Layer{}, fmt.Errorf("-layer %q: there is no such layer: the layers are %s", a.layer, strings.Join(names, ", "))
}

// rendering makes the release of a layer from the definitions.
func (c Command) rendering(ctx context.Context, a arguments, d *Deployer, p cli.Program) (Release, error) {
	images := render.Images{Tag: a.images.Tag, Pins: maps.Clone(a.images.Pins)}
	if a.keepImages {
		running, err := d.runningImages(ctx, c.Repositories)
		if err != nil {
			return Release{}, err
		}
		if images.Pins == nil {
			images.Pins = map[string]string{}
		}
		for _, repository := range c.Repositories {
			name := path.Base(repository)
			if images.Tag == "" && images.Pins[name] == "" && running[name] != "" {
				images.Pins[name] = running[name]
			}
		}
		if err := images.Validate(c.Repositories); err != nil {
			return Release{}, fmt.Errorf("the images that run: %w", err)
		}
	}
	tree, err := c.Tree(a.environment, images)
	if err != nil {
		return Release{}, err
	}
	files, report, err := tree.Files()
	if err != nil {
		return Release{}, err
	}
	for _, note := range report.Notes {
		p.Note("%s", note)
	}
	secrets := make([]object.ID, len(tree.Secrets))
	for i, contract := range tree.Secrets {
		secrets[i] = object.ID{Kind: "Secret", Namespace: contract.Namespace, Name: contract.Name}
	}
	r := Release{Secrets: secrets, Tree: tree.Name, Revision: images.Tag, Run: a.run, Repositories: c.Repositories, Allowed: slices.Concat(a.allow, tree.Allowed)}
	var wrong object.Findings
	for _, f := range files {
		owner, _, _ := strings.Cut(f.Path, "/")
		if !slices.ContainsFunc(tree.Layers, func(l render.Layer) bool { return l.Name == owner }) {
			continue
		}
		if owner == d.Layer {
			r.Manifests = append(append(r.Manifests, "---\n"...), f.Data...)
			continue
		}
		documents, err := manifest.Read(strings.NewReader(string(f.Data)))
		if err != nil {
			wrong = append(wrong, object.FindingsOf(fmt.Errorf("%s: %w", f.Path, err))...)
		}
		for _, document := range documents {
			r.Elsewhere = append(r.Elsewhere, object.IDOf(document.Object))
		}
	}
	return r, wrong.Err()
}

// access is how to reach the cluster, found as kubectl finds it.
func access(a arguments) (*rest.Config, error) {
	rules := clientcmd.NewDefaultClientConfigLoadingRules()
	rules.ExplicitPath = a.kubeconfig
	config, err := clientcmd.NewNonInteractiveDeferredLoadingClientConfig(rules, &clientcmd.ConfigOverrides{CurrentContext: a.context}).ClientConfig()
	if err != nil {
		return nil, fmt.Errorf("the access to the cluster: %w: name a kubeconfig with -kubeconfig or $KUBECONFIG", err)
	}
	return config, nil
}

// deployedBy names this process for others: who, where, which.
func deployedBy() string {
	name := "somebody"
	if u, err := user.Current(); err == nil {
		name = u.Username
	}
	host, err := os.Hostname()
	if err != nil {
		host = "an unknown host"
	}
	return fmt.Sprintf("%s on %s, process %d since %s", name, host, os.Getpid(), time.Now().UTC().Format(time.RFC3339))
}

func isTerminal(w io.Writer) bool {
	f, ok := w.(*os.File)
	return ok && term.IsTerminal(int(f.Fd())) && os.Getenv("TERM") != "dumb"
}

// list prints the releases, the newest first.
func list(ctx context.Context, d *Deployer, stdout io.Writer) error {
	all, err := d.Releases(ctx)
	if err != nil {
		return err
	}
	if len(all) == 0 {
		_, err := fmt.Fprintf(stdout, "no release of the layer %s yet\n", d.Layer)
		return err
	}
	w := tabwriter.NewWriter(stdout, 0, 0, 2, ' ', 0)
	fmt.Fprintln(w, "RELEASE\tREVISION\tSTARTED\tTOOK\tSTATUS\tBY")
	for _, r := range slices.Backward(all) {
		took, status := "", string(r.Status)
		if !r.Ended.IsZero() {
			took = r.Ended.Sub(r.Started).Round(time.Second).String()
		}
		if r.RollbackOf > 0 {
			status += fmt.Sprintf(", release %d again", r.RollbackOf)
		}
		if r.Reason != "" {
			status += ": " + clip(r.Reason, 100)
		}
		fmt.Fprintf(w, "%d\t%s\t%s\t%s\t%s\t%s\n", r.Number, cmp.Or(r.Revision, "-"), r.Started.UTC().Format(time.DateTime), cmp.Or(took, "-"), status, r.By)
	}
	return w.Flush()
}

// appendSummary writes what a pipeline shows of a release. It has no logs:
// more people read a summary than a log.
func appendSummary(file string, d *Deployer, r Record, failure error) error {
	var b strings.Builder
	what := "Deploy of the layer " + d.Layer
	if r.Number > 0 {
		what = fmt.Sprintf("Release %d of the layer %s", r.Number, d.Layer)
		if r.Revision != "" {
			what += ", " + r.Revision
		}
	}
	status, last := outcome(failure)
	switch {
	case failure == nil:
		fmt.Fprintf(&b, "### %s: ready\n\n", what)
	default:
		fmt.Fprintf(&b, "### %s: exit status %d\n\n", what, status)
	}
	if failure != nil {
		b.WriteString("```\n")
		for line := range strings.SplitSeq(failure.Error(), "\n") {
			if !strings.HasPrefix(strings.TrimSpace(line), "| ") {
				b.WriteString(strings.ReplaceAll(line, "```", "'''") + "\n")
			}
		}
		b.WriteString("```\n\n" + last + "\n")
	}
	for _, name := range slices.Sorted(maps.Keys(r.Images)) {
		fmt.Fprintf(&b, "- %s: `%s`\n", name, r.Images[name])
	}
	f, err := os.OpenFile(file, os.O_APPEND|os.O_CREATE|os.O_WRONLY, 0o644)
	if err != nil {
		return fmt.Errorf("-summary: %w", err)
	}
	_, err = f.WriteString(b.String())
	if err := errors.Join(err, f.Close()); err != nil {
		return fmt.Errorf("-summary: %w", err)
	}
	return nil
}

func (c Command) usage(w io.Writer, flags *flag.FlagSet) {
	fmt.Fprintf(w, `%[1]s brings one layer of the manifests into a cluster: it renders, shows what
changes and what that does, stops at what the server refuses and at what loses
requests, applies in an order that is safe over pods that run, waits until all
is ready, and says why where it is not.

Usage: %[1]s [flags]

`, c.Name)
	flags.SetOutput(w)
	flags.PrintDefaults()
	fmt.Fprintf(w, "\nExamples:\n")
	example := func(args, what string) { fmt.Fprintf(w, "  %-52s # %s\n", c.Name+" "+args, what) }
	if len(c.Repositories) > 0 {
		example("-tag $(git rev-parse HEAD)", "a release of that commit")
		example("-keep-images", "the definitions of now, the images that run")
		example("-keep-images -dry-run", "what that would change")
	} else {
		example("-dry-run", "what a release would change")
	}
	example("-rollback", "back to the release before")
	example("-adopt -dry-run", "what taking over a running tier would do")
	example("-list", "the releases that are kept")
	fmt.Fprintf(w, `
Exit status:
  0  the release is in the cluster, and ready
  1  refused; nothing was changed
  2  the arguments were not understood
  3  the release failed or was interrupted after it had begun
  4  the release failed, and the one before is back
  5  another deploy held the lock for too long
`)
}
