package secrets

import (
	"bytes"
	"errors"
	"fmt"
	"os/exec"
	"strings"
)

// live reads the Secrets of the namespaces through kubectl, as one input for
// a check. What kubectl says when it fails is not repeated.
func live(context string, namespaces []string) ([]byte, error) {
	kubectl, err := exec.LookPath("kubectl")
	if err != nil {
		return nil, errors.New("-live needs kubectl, which is not on the PATH")
	}
	var all bytes.Buffer
	var errs []error
	for _, n := range namespaces {
		args := []string{"get", "secret", "-n", n}
		if context != "" {
			args = append(args, "--context", context)
		}
		out, err := exec.Command(kubectl, append(args, "-o", "json")...).Output()
		if err != nil {
			status := "failed"
			if exit := (*exec.ExitError)(nil); errors.As(err, &exit) {
				status = "failed with " + exit.ProcessState.String()
			}
			errs = append(errs, fmt.Errorf("kubectl %s: run it to see why", strings.Join(args, " ")+" "+status))
			continue
		}
		all.WriteString("---\n")
		all.Write(out)
		all.WriteString("\n")
	}
	return all.Bytes(), errors.Join(errs...)
}
