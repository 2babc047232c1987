// Package cli is the shell that the commands share: how flags are read, how an
// environment is chosen, what a signal does, how errors are told, and what the
// exit status means.
package cli

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/signal"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"unicode"

	"git.lastcloud.io/ronnibaslund/dezky/fleet/render/object"
)

// The exit statuses that all commands share.
const (
	// StatusOK is success.
	StatusOK = 0
	// StatusRefused is anything that is wrong with what was asked for.
	StatusRefused = 1
	// StatusUsage is a command line that is not understood.
	StatusUsage = 2
)

// Program is a command that runs.
type Program struct {
	// Name stands before each line on Stderr.
	Name string
	// Help writes the text of -h.
	Help func(io.Writer)
	// Stdout and Stderr of the program.
	Stdout, Stderr io.Writer
}

// Run calls do, tells its error, and returns the exit status: that of an
// [Exit] error; StatusUsage for a [UsageError], StatusRefused for any other
// one. flag.ErrHelp prints the help.
func (p Program) Run(do func() error) int {
	err := do()
	var usage UsageError
	var exit *Exit
	switch {
	case err == nil:
		return StatusOK
	case errors.Is(err, flag.ErrHelp):
		p.Help(p.Stdout)
		return StatusOK
	case errors.As(err, &usage):
		p.Say("%s", usage)
		fmt.Fprintf(p.Stderr, "%s -h explains the flags\n", p.Name)
		return StatusUsage
	}
	for _, f := range object.FindingsOf(err) {
		p.Say("%s", f.Error())
	}
	if errors.As(err, &exit) {
		return exit.Status
	}
	return StatusRefused
}

// Note writes a line on Stderr that is no error.
func (p Program) Note(format string, args ...any) { p.Say("note: "+format, args...) }

// Say writes a line on Stderr. What is no printable character stands there as
// an escape: a message may have words of the command line, of a file or of a
// cluster in it, and a terminal obeys control characters.
func (p Program) Say(format string, args ...any) {
	fmt.Fprintf(p.Stderr, "%s: %s\n", p.Name, visible(fmt.Sprintf(format, args...)))
}

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

// Context returns a context that ends with an interrupt or SIGTERM, for what
// waits. A second signal ends the program at once, as every signal does a
// program that did not call Context.
func Context() (context.Context, context.CancelFunc) {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	context.AfterFunc(ctx, stop)
	return ctx, stop
}

// UsageError is a command line that is not understood, in a sentence.
type UsageError string

func (e UsageError) Error() string { return string(e) }

// Exit is an error with an exit status of its own.
type Exit struct {
	Status int
	Err    error
}

func (e *Exit) Error() string { return e.Err.Error() }

// Unwrap returns the error.
func (e *Exit) Unwrap() error { return e.Err }

// Flags returns an empty set of flags that prints nothing by itself.
func Flags(name string) *flag.FlagSet {
	flags := flag.NewFlagSet(name, flag.ContinueOnError)
	flags.SetOutput(io.Discard)
	return flags
}

// Parse reads flags and up to most arguments behind them. A flag that is given
// an empty value is refused: it comes from a shell variable that is not set.
func Parse(flags *flag.FlagSet, args []string, most int) error {
	err := flags.Parse(args)
	switch {
	case errors.Is(err, flag.ErrHelp):
		return err
	case err != nil:
		return UsageError(err.Error())
	case flags.NArg() > most && strings.HasPrefix(flags.Arg(most), "-"):
		return UsageError(fmt.Sprintf("unexpected argument %q: flags stand before the others", flags.Arg(most)))
	case flags.NArg() > most:
		return UsageError(fmt.Sprintf("unexpected argument %q", flags.Arg(most)))
	}
	var empty error
	flags.Visit(func(f *flag.Flag) {
		if f.Value.String() == "" && empty == nil {
			empty = UsageError(fmt.Sprintf("-%s is empty, as from a shell variable that is not set: give it a value, or leave it out", f.Name))
		}
	})
	return empty
}

// Environment adds -env to the flags, where there are environments. The first
// is the default.
func Environment(flags *flag.FlagSet, names []string) *string {
	if len(names) == 0 {
		return new(string)
	}
	return flags.String("env", names[0], "`environment`: "+strings.Join(names, " or "))
}

// CheckEnvironment refuses an environment that is none of those.
func CheckEnvironment(name string, names []string) error {
	if len(names) == 0 || slices.Contains(names, name) {
		return nil
	}
	return fmt.Errorf("-env %q: there is no such environment: the environments are %s", name, strings.Join(names, ", "))
}
