// Package crd finds the CustomResourceDefinitions of Traefik and cert-manager
// in the modules that ship them, for tests.
package crd

import (
	"encoding/json"
	"errors"
	"fmt"
	"os/exec"
	"path/filepath"
	"strings"
)

// certManager is the release of cert-manager whose definitions the checks
// know, and its checksum as go.sum would have it. It is downloaded beside
// go.mod: as a requirement it would choose the versions of other modules.
const (
	certManager    = "github.com/cert-manager/cert-manager@v1.21.2"
	certManagerSum = "h1:UWgoYM+KLNtRlqmoWOKjKBOBUPVHeepQ6/ac3ERJW68="
)

// Files returns the files of all definitions.
func Files() ([]string, error) {
	traefik, err := run("list", "-m", "-f", "{{.Dir}}", "github.com/traefik/traefik/v3")
	if err != nil {
		return nil, err
	}
	out, err := run("mod", "download", "-json", certManager)
	if err != nil {
		return nil, err
	}
	var module struct{ Dir, Sum string }
	if err := json.Unmarshal([]byte(out), &module); err != nil {
		return nil, err
	}
	if module.Sum != certManagerSum {
		return nil, fmt.Errorf("%s has the checksum %s, want %s", certManager, module.Sum, certManagerSum)
	}
	files, err := filepath.Glob(filepath.Join(module.Dir, "deploy/crds/*.yaml"))
	if err != nil || len(files) == 0 {
		return nil, fmt.Errorf("no definitions in %s: %w", module.Dir, err)
	}
	return append(files, filepath.Join(traefik, "docs/content/reference/dynamic-configuration/kubernetes-crd-definition-v1.yml")), nil
}

func run(args ...string) (string, error) {
	out, err := exec.Command("go", args...).Output()
	if failed := (*exec.ExitError)(nil); errors.As(err, &failed) {
		return "", fmt.Errorf("go %s: %w\n%s", strings.Join(args, " "), err, failed.Stderr)
	}
	return strings.TrimSpace(string(out)), err
}
