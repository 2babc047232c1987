package cli_test

import (
	"bytes"
	"errors"
	"flag"
	"fmt"
	"io"
	"strings"
	"syscall"
	"testing"

	"git.lastcloud.io/ronnibaslund/dezky/fleet/internal/cli"
)

func TestRun(t *testing.T) {
	for _, tc := range []struct {
		name           string
		err            error
		status         int
		stdout, stderr string
	}{
		{"success", nil, 0, "", ""},
		{"help", flag.ErrHelp, 0, "how to\n", ""},
		{"usage", cli.UsageError("say what"), 2, "", "prog: say what\nprog -h explains the flags\n"},
		{"refused", errors.New("no"), 1, "", "prog: no\n"},
		{"several", errors.Join(errors.New("no"), fmt.Errorf("a: %w", errors.Join(errors.New("x"), errors.New("y")))), 1, "", "prog: no\nprog: a: x\nprog: a: y\n"},
		{"a text of two lines", errors.New("one\ntwo"), 1, "", "prog: one\\ntwo\n"},
		{"control characters", errors.New("\x1b[31m\r\u202egrün"), 1, "", `prog: \x1b[31m\r\u202egrün` + "\n"},
		{"control characters in a usage error", cli.UsageError("\x1b[31m"), 2, "", `prog: \x1b[31m` + "\nprog -h explains the flags\n"},
		{"a status of its own", &cli.Exit{Status: 3, Err: errors.New("late")}, 3, "", "prog: late\n"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			var stdout, stderr bytes.Buffer
			p := cli.Program{Name: "prog", Stdout: &stdout, Stderr: &stderr, Help: func(w io.Writer) { io.WriteString(w, "how to\n") }}
			if status := p.Run(func() error { return tc.err }); status != tc.status {
				t.Errorf("status %d, want %d", status, tc.status)
			}
			if stdout.String() != tc.stdout || stderr.String() != tc.stderr {
				t.Errorf("stdout %q, stderr %q", stdout.String(), stderr.String())
			}
		})
	}
}

// TestSignal: an interrupt ends the context, and the program tells why.
func TestSignal(t *testing.T) {
	var stderr bytes.Buffer
	p := cli.Program{Name: "prog", Stderr: &stderr}
	status := p.Run(func() error {
		ctx, stop := cli.Context()
		defer stop()
		if err := syscall.Kill(syscall.Getpid(), syscall.SIGTERM); err != nil {
			t.Fatal(err)
		}
		<-ctx.Done()
		return ctx.Err()
	})
	if status != 1 || !strings.Contains(stderr.String(), "context canceled") {
		t.Errorf("status %d, stderr %q", status, stderr.String())
	}
}

func TestParse(t *testing.T) {
	for _, tc := range []struct {
		args string
		most int
		want string
	}{
		{"", 0, ""},
		{"-env b", 0, ""},
		{"-env b file", 1, ""},
		{"-env= x", 1, "-env is empty, as from a shell variable that is not set"},
		{"-nope", 0, "flag provided but not defined: -nope"},
		{"file", 0, `unexpected argument "file"`},
		{"file -env b", 1, `unexpected argument "-env": flags stand before the others`},
		{"-h", 0, flag.ErrHelp.Error()},
	} {
		flags := cli.Flags("prog")
		environment := cli.Environment(flags, []string{"a", "b"})
		err := cli.Parse(flags, strings.Fields(tc.args), tc.most)
		if got := fmt.Sprint(err); tc.want == "" && err != nil || !strings.Contains(got, tc.want) {
			t.Errorf("%q: %v, want %s", tc.args, err, tc.want)
		}
		if strings.Contains(tc.args, "-env b") && err == nil && *environment != "b" {
			t.Errorf("%q: the environment is %q", tc.args, *environment)
		}
	}
	if err := cli.CheckEnvironment("c", []string{"a", "b"}); err == nil || !strings.Contains(err.Error(), `-env "c": there is no such environment: the environments are a, b`) {
		t.Errorf("another environment: %v", err)
	}
	if err := cli.CheckEnvironment("", nil); err != nil {
		t.Errorf("no environments: %v", err)
	}
}
