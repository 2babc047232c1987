package secrets

import (
	"context"
	"crypto/rand"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"slices"
	"strings"

	"git.lastcloud.io/ronnibaslund/dezky/fleet/components/secret"
	"git.lastcloud.io/ronnibaslund/dezky/fleet/internal/cli"
)

// Command is a program for the Secrets of some environments. Its main
// function is
//
//	func main() {
//		command := secrets.Command{Name: "secrets", Environments: environments, Set: set}
//		os.Exit(command.Run(os.Args[1:], os.Stdin, os.Stdout, os.Stderr))
//	}
type Command struct {
	// Name of the program, for its usage text.
	Name string
	// Environments that -env takes, the default first. There is at least one.
	Environments []string
	// Set makes the Secrets of an environment.
	Set func(environment string) (Set, error)
	// Apply brings Secrets that were checked into a cluster. Nil leaves the
	// command apply out: it needs a cluster's client, which this package does
	// not link; package deploy has it.
	Apply func(context.Context, Request) error
}

// Run does what the arguments say, without the program's name. It gives the
// exit status: 0, 1 for findings and for anything that is refused, 2 for
// arguments that are not understood. An interrupt ends it, and kubectl with it.
func (c Command) Run(args []string, stdin io.Reader, stdout, stderr io.Writer) int {
	program := cli.Program{Name: c.Name, Help: c.usage, Stdout: stdout, Stderr: stderr}
	return program.Run(func() error { return c.run(program, args, stdin) })
}

func (c Command) run(p cli.Program, args []string, stdin io.Reader) error {
	if len(c.Environments) == 0 {
		return errors.New("the program knows no environment: its Command must have Environments")
	}
	if c.Set == nil {
		return errors.New("the program knows no Secrets: its Command must have the function Set")
	}
	if len(args) == 0 {
		return cli.UsageError("say " + c.commands())
	}
	switch args[0] {
	case "template":
		return c.template(p, args[1:])
	case "generate":
		return c.generate(p, args[1:])
	case "check":
		return c.check(p, args[1:], stdin)
	case "apply":
		if c.Apply != nil {
			return c.apply(p, args[1:], stdin)
		}
	case "-h", "-help", "--help", "help":
		return flag.ErrHelp
	}
	return cli.UsageError(fmt.Sprintf("there is no command %q: say %s", args[0], c.commands()))
}

// commands are what there is to say.
func (c Command) commands() string {
	if c.Apply != nil {
		return "template, generate, check or apply"
	}
	return "template, generate or check"
}

// parse reads the flags of a command, to which it adds -env, and returns the
// Set of that environment.
func (c Command) parse(flags *flag.FlagSet, args []string, most int) (Set, error) {
	environment := cli.Environment(flags, c.Environments)
	if err := cli.Parse(flags, args, most); err != nil {
		return Set{}, err
	}
	if err := cli.CheckEnvironment(*environment, c.Environments); err != nil {
		return Set{}, err
	}
	set, err := c.Set(*environment)
	if err != nil {
		return Set{}, err
	}
	return set, set.Validate()
}

func (c Command) template(p cli.Program, args []string) error {
	set, err := c.parse(cli.Flags("template"), args, 0)
	if err != nil {
		return err
	}
	text, err := set.Template()
	if err != nil {
		return err
	}
	_, err = io.WriteString(p.Stdout, text)
	return err
}

func (c Command) generate(p cli.Program, args []string) error {
	flags := cli.Flags("generate")
	into := flags.String("into", "", "")
	only := flags.String("only", "", "")
	fromCluster := flags.Bool("live", false, "")
	kubeContext := flags.String("context", "", "")
	set, err := c.parse(flags, args, 0)
	if err != nil {
		return err
	}
	one, err := set.scope(*only)
	switch {
	case err != nil:
		return err
	case one != "" && *into == "":
		return cli.UsageError("-only needs -into: what is not printed must be kept in a file, or values that are shared differ next time")
	case *fromCluster && *into == "":
		return cli.UsageError("-live needs -into: name the file to write, which must not be there yet")
	case *kubeContext != "" && !*fromCluster:
		return cli.UsageError("-context needs -live")
	}
	var old []byte
	if *into != "" {
		stale, err := removeStale(*into)
		for _, n := range stale {
			p.Note("%s", n)
		}
		if err != nil {
			return err
		}
		var notes []string
		if old, notes, err = readFile(*into); err != nil {
			return err
		}
		for _, n := range notes {
			p.Note("%s", n)
		}
	}
	existing := old
	if *fromCluster {
		if old != nil {
			return fmt.Errorf("%s: is there already, and with -live the values come from the cluster: remove it, or leave -live out", *into)
		}
		ctx, stop := cli.Context()
		defer stop()
		if existing, err = live(ctx, *kubeContext, namespaces(set.Secrets)); err != nil {
			return err
		}
	}
	f, err := set.fill(existing, *fromCluster, rand.Reader)
	if err != nil {
		return err
	}
	// Before anything is written: what the file does to those who sign in.
	for _, n := range f.notes {
		p.Note("%s", n)
	}
	for _, t := range f.todo {
		p.Say("to supply: %s", t)
	}
	for _, n := range f.felt {
		p.Say("new value: %s", n)
	}
	if len(f.fatal) > 0 {
		advice := "where a cluster runs already, start with generate -live -into FILE"
		if *fromCluster {
			advice = "the cluster has none; if it should, it is the wrong one: see -context"
		}
		p.Say("new values, under which older data is unreadable: %s: %s", strings.Join(f.fatal, "; "), advice)
	}
	p.Say("%s, %s to supply", count(len(set.Secrets), "Secret"), count(len(f.todo), "value"))
	if *into != "" {
		out, err := set.render(set.Secrets, f.values, f.kept)
		if err != nil {
			return err
		}
		if err := writeFile(*into, old, out); err != nil {
			return err
		}
	}
	if *into == "" || one != "" {
		out, err := set.render(set.in(one), f.values, f.kept)
		if err != nil {
			return err
		}
		if _, err := p.Stdout.Write(out); err != nil {
			return err
		}
	}
	return nil
}

func (c Command) check(p cli.Program, args []string, stdin io.Reader) error {
	flags := cli.Flags("check")
	only := flags.String("only", "", "")
	fromCluster := flags.Bool("live", false, "")
	kubeContext := flags.String("context", "", "")
	set, err := c.parse(flags, args, 1)
	if err != nil {
		return err
	}
	one, err := set.scope(*only)
	if err != nil {
		return err
	}
	var input []byte
	notes := 0
	switch {
	case *fromCluster && flags.NArg() > 0:
		return cli.UsageError("name a file or say -live, not both")
	case *fromCluster:
		ctx, stop := cli.Context()
		defer stop()
		input, err = live(ctx, *kubeContext, namespaces(set.in(one)))
	case *kubeContext != "":
		return cli.UsageError("-context needs -live")
	case flags.NArg() == 0:
		return cli.UsageError("name a file to check, - for standard input, or say -live")
	default:
		input, notes, err = readInput(p, flags.Arg(0), stdin)
	}
	if err != nil {
		return err
	}
	return report(p, set, one, input, notes)
}

// readInput reads a file, or standard input for -. The number is that of the
// notes that it told.
func readInput(p cli.Program, name string, stdin io.Reader) (input []byte, notes int, err error) {
	if name == "-" {
		input, err = io.ReadAll(stdin)
		return input, 0, err
	}
	if info, err := os.Stat(name); err == nil && info.Mode().IsRegular() {
		if n := readableByOthers(name, info); n != "" {
			p.Note("%s", n)
			notes++
		}
	}
	input, err = os.ReadFile(name)
	return input, notes, err
}

// report tells the findings on an input. The error says that there are some
// which are more than notes.
func report(p cli.Program, set Set, one scope, input []byte, notes int) error {
	wrong := 0
	for _, f := range set.check(input, one) {
		p.Say("%s", f)
		if f.Note {
			notes++
		} else {
			wrong++
		}
	}
	summary := fmt.Sprintf("%s by contract: %s, %s", count(len(set.in(one)), "Secret"), count(wrong, "finding"), count(notes, "note"))
	if wrong > 0 {
		return errors.New(summary)
	}
	p.Say("%s", summary)
	return nil
}

// scope reads what -only names.
func (s Set) scope(only string) (scope, error) {
	if only != "" && len(s.in(scope(only))) == 0 {
		return "", cli.UsageError(fmt.Sprintf("-only %q: there is no such Secret, and no such namespace: say namespace/name, or one of the namespaces %s", only, strings.Join(namespaces(s.Secrets), ", ")))
	}
	return scope(only), nil
}

func count(n int, thing string) string {
	if n == 1 {
		return "1 " + thing
	}
	return fmt.Sprintf("%d %ss", n, thing)
}

// namespaces of the Secrets, each once.
func namespaces(secrets []secret.Contract) []string {
	var names []string
	for _, contract := range secrets {
		if !slices.Contains(names, contract.Namespace) {
			names = append(names, contract.Namespace)
		}
	}
	return names
}

func (c Command) usage(w io.Writer) {
	apply, applied, notReady := "", "kubectl apply --server-side -f", ""
	one := c.Name + " generate -into secrets.yaml -only NAMESPACE | kubectl apply --server-side -f -"
	if c.Apply != nil {
		apply, applied, one = usageApply, c.Name+" apply", c.Name+" apply -only NAMESPACE secrets.yaml"
		notReady = "; 3 where the Secrets are applied,\nand something that reads them did not get ready"
	}
	fmt.Fprint(w, strings.NewReplacer(
		"{apply}", strings.ReplaceAll(apply, "{program}", c.Name),
		"{applied}", applied,
		"{apply one}", one,
		"{not ready}", notReady,
		"{program}", c.Name,
		"{environments}", strings.Join(c.Environments, ", "),
		"{last}", c.Environments[len(c.Environments)-1],
	).Replace(usage))
}

const usage = `{program} makes and checks Kubernetes Secrets from their contracts. It prints
a value only where it generates one, never while it checks.

Usage:
  {program} template [-env E]
        Print the example file: each key with its purpose, and a placeholder.
  {program} generate [-env E] [-into FILE [-only NAMESPACE[/NAME]]]
        Print it with all values that can be generated or that follow from
        the definitions. What a person must supply stays a placeholder, and
        is listed. With -into, keep the values that FILE has, fill the others
        and write it, with mode 0600; -only prints the Secrets of a namespace,
        or one Secret, besides.
  {program} generate -live -into FILE [-env E] [-context C] [-only NAMESPACE[/NAME]]
        Write FILE, which must not be there yet, with the values that the
        cluster has, each as it is, also of keys that no contract has, and
        fill the others. Each new value that somebody notices is told before
        FILE is written. It reads through kubectl and changes nothing there.
  {program} check [-env E] [-only NAMESPACE[/NAME]] FILE|-
        Check a filled file, YAML or JSON, or the output of kubectl get
        secret. Of files that SOPS or kubeseal encrypted, the key names.
        With -only, those of a namespace or one Secret, whether or not the
        others are there.
  {program} check -live [-env E] [-context C] [-only NAMESPACE[/NAME]]
        Check the Secrets in the cluster, through kubectl.
{apply}
E is one of {environments}; the first is the default.

Examples:
  # First boot: make Secrets, supply what is listed, check, apply, remove.
  {program} generate -into secrets.yaml
  $EDITOR secrets.yaml
  {program} check secrets.yaml && {applied} secrets.yaml && rm secrets.yaml
  # Later changes: start from the cluster, or its data may be lost.
  {program} generate -live -into secrets.yaml
  $EDITOR secrets.yaml
  {program} check secrets.yaml && {applied} secrets.yaml && rm secrets.yaml
  # While one of the namespaces is not there yet, the others.
  {program} check -only NAMESPACE secrets.yaml
  {apply one}
  # Before a deploy.
  {program} check -live
  # Straight into a new cluster, once: a second run makes other values.
  {program} generate -env {last} | kubectl apply --server-side -f -
  # Encrypted for a repository, with SOPS.
  sops -e --encrypted-regex '^(data|stringData)$' secrets.yaml > secrets.enc.yaml
  {program} check secrets.enc.yaml
  # Or with kubeseal, which takes one Secret at a time.
  {program} generate -into secrets.yaml -only NAMESPACE/NAME | kubeseal -o yaml > sealed.yaml
  {program} check -only NAMESPACE/NAME sealed.yaml

Exit status: 0, 1 for findings or anything that is refused, 2 for arguments
that are not understood{not ready}.
`

const usageApply = `  {program} apply [-env E] [-context C] [-only NAMESPACE[/NAME]] [-dry-run] [-timeout T] [-no-logs] FILE|-
        Check a filled file, apply it server-side, remove the annotation in
        which kubectl keeps earlier values, restart the workloads that read a
        key whose value changed, and wait for them, ten minutes at most unless
        T says otherwise. It says the names of keys and no value. A key that
        only the cluster has stays.
`
