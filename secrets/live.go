package secrets

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os/exec"
	"strings"
	"time"
)

// What kubectl may take for one namespace, and how much it may print: a
// hundred times what the Secrets of a full namespace are.
const (
	liveTimeout = time.Minute
	liveLimit   = 256 << 20
)

// live reads the Secrets of the namespaces through kubectl, as one input for
// a check. Nothing but a List of Secrets from each of them will do: whatever
// else is no answer, and not an empty cluster. What kubectl says when it fails
// is not repeated.
func live(ctx context.Context, kubeContext string, namespaces []string) ([]byte, error) {
	kubectl, err := exec.LookPath("kubectl")
	if err != nil {
		return nil, errors.New("-live needs kubectl, which is not on the PATH")
	}
	var all bytes.Buffer
	var errs []error
	for _, n := range namespaces {
		args := []string{"get", "secret", "-n", n}
		if kubeContext != "" {
			args = append(args, "--context", kubeContext)
		}
		out, err := run(ctx, liveTimeout, liveLimit, kubectl, append(args, "-o", "json")...)
		if err == nil {
			err = isListOf(n, out)
		}
		if err != nil {
			errs = append(errs, fmt.Errorf("kubectl %s %w", strings.Join(args, " "), err))
			continue
		}
		all.WriteString("---\n")
		all.Write(out)
		all.WriteString("\n")
	}
	return all.Bytes(), errors.Join(errs...)
}

// run returns what a program prints. When it has run out of time or of room,
// or when the context ends, it is killed.
func run(ctx context.Context, timeout time.Duration, limit int, program string, args ...string) ([]byte, error) {
	ctx, cancel := context.WithTimeout(ctx, timeout)
	defer cancel()
	out := &limited{left: limit, full: cancel}
	cmd := exec.CommandContext(ctx, program, args...)
	cmd.Stdout = out
	cmd.WaitDelay = time.Second // for whatever still holds its output
	err := cmd.Run()
	switch exit := (*exec.ExitError)(nil); {
	case out.left < 0:
		return nil, fmt.Errorf("printed more than %d MiB, and was ended", limit>>20)
	case errors.Is(ctx.Err(), context.DeadlineExceeded):
		return nil, fmt.Errorf("did not end within %s, and was ended: is the cluster reachable?", timeout)
	case ctx.Err() != nil:
		return nil, errors.New("was interrupted")
	case errors.As(err, &exit):
		return nil, fmt.Errorf("failed with %s: run it to see why", exit.ProcessState)
	case err != nil:
		return nil, errors.New("failed: run it to see why")
	}
	return out.text.Bytes(), nil
}

// limited is a buffer that takes so many bytes and then calls full.
type limited struct {
	text bytes.Buffer
	left int
	full func()
}

func (l *limited) Write(p []byte) (int, error) {
	if l.left -= len(p); l.left < 0 {
		l.left = -1
		l.full()
		return 0, errors.New("too much")
	}
	return l.text.Write(p)
}

// isListOf refuses an answer that is not a whole List of the Secrets of the
// namespace.
func isListOf(namespace string, answer []byte) error {
	var list struct {
		APIVersion, Kind string
		Metadata         struct{ Continue string }
		Items            *[]struct {
			Kind     string
			Metadata struct{ Name, Namespace, UID string }
		}
	}
	if len(bytes.TrimSpace(answer)) == 0 {
		return errors.New("answered nothing: that is no empty cluster, so nothing is taken from it")
	}
	if json.Unmarshal(answer, &list) != nil || list.APIVersion != "v1" || list.Kind != "List" || list.Items == nil || list.Metadata.Continue != "" {
		return errors.New("answered something else than a whole List: is it kubectl, and of this cluster?")
	}
	for i, item := range *list.Items {
		if item.Kind != "Secret" || item.Metadata.Name == "" || item.Metadata.UID == "" || item.Metadata.Namespace != namespace {
			return fmt.Errorf("answered with items[%d], which is no Secret of the namespace %s", i, namespace)
		}
	}
	return nil
}
