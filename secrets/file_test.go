package secrets

import (
	"context"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// A file that appeared or changed since it was read is left as it is.
func TestWriteFileLosesNoRace(t *testing.T) {
	name := filepath.Join(t.TempDir(), "secrets.yaml")
	write := func(text string) {
		t.Helper()
		if err := os.WriteFile(name, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	for _, test := range []struct {
		what string
		old  []byte
		now  string
		want string // of the error; empty: written
	}{
		{"appeared", nil, "theirs", "appeared meanwhile"},
		{"changed", []byte("old"), "theirs", "changed meanwhile"},
		{"the same", []byte("old"), "old", ""},
		{"gone", []byte("old"), "", "changed meanwhile"},
		{"new", nil, "", ""},
	} {
		os.Remove(name)
		if test.now != "" {
			write(test.now)
		}
		err := writeFile(name, test.old, []byte("ours"))
		got, _ := os.ReadFile(name)
		if test.want == "" && (err != nil || string(got) != "ours") {
			t.Errorf("%s: %v, and the file is %q", test.what, err, got)
		}
		if test.want != "" && (err == nil || !strings.Contains(err.Error(), test.want) || string(got) != test.now) {
			t.Errorf("%s: %v, and the file is %q", test.what, err, got)
		}
		entries, _ := os.ReadDir(filepath.Dir(name))
		for _, e := range entries {
			if e.Name() != "secrets.yaml" {
				t.Errorf("%s: %s is left", test.what, e.Name())
			}
		}
	}
}

// What kubectl may take is limited, in time and in room, and it does not
// outlive the context.
func TestRunEnds(t *testing.T) {
	ended, cancel := context.WithCancel(t.Context())
	cancel()
	for _, test := range []struct {
		ctx     context.Context
		timeout time.Duration
		script  string
		want    string
	}{
		{t.Context(), 50 * time.Millisecond, "exec sleep 60", "did not end within 50ms"},
		{t.Context(), 50 * time.Millisecond, "sleep 60", "did not end within 50ms"}, // a child holds the output
		{t.Context(), time.Minute, "while :; do echo marker; done", "printed more than"},
		{ended, time.Minute, "sleep 60", "was interrupted"},
		{t.Context(), time.Minute, "exit 3", "failed with exit status 3"},
		{t.Context(), time.Minute, "printf ok", ""},
	} {
		out, err := run(test.ctx, test.timeout, 1<<16, "sh", "-c", test.script)
		if test.want == "" && (err != nil || string(out) != "ok") {
			t.Errorf("%s: %q, %v", test.script, out, err)
		}
		if test.want != "" && (err == nil || !strings.Contains(err.Error(), test.want)) {
			t.Errorf("%s: %v, want %s", test.script, err, test.want)
		}
	}
}
