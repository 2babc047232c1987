package main

import (
	"bytes"
	"embed"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	"sigs.k8s.io/yaml"

	"git.lastcloud.io/ronnibaslund/dezky/fleet/internal/bench/fixture"
)

// The peers, built from their modules.
const (
	kustomizePackage = "sigs.k8s.io/kustomize/kustomize/v5"
	kustomizeVersion = "v5.8.1"
	helmPackage      = "helm.sh/helm/v4/cmd/helm"
	helmVersion      = "v4.2.4"
)

// build builds a command once, and gives its path.
func build(name, pkg, version string) (string, error) {
	cache, err := os.UserCacheDir()
	if err != nil {
		return "", err
	}
	dir := filepath.Join(cache, "dezky-fleet-bench", name+"-"+version)
	path := filepath.Join(dir, name)
	if _, err := os.Stat(path); err == nil {
		return path, nil
	} else if !errors.Is(err, fs.ErrNotExist) {
		return "", err
	}
	progress("building %s %s", name, version)
	defer progress("")
	cmd := exec.Command("go", "install", pkg+"@"+version)
	cmd.Env = append(os.Environ(), "GOBIN="+dir)
	if out, err := cmd.CombinedOutput(); err != nil {
		return "", fmt.Errorf("building %s %s: %w (-peers=false leaves it out)\n%s", name, version, err, out)
	}
	return path, nil
}

//go:embed chart
var chart embed.FS

// writeInputs writes what the peers need for n apps: below kustomize, the
// manifests with the images unpinned and a kustomization that pins them; below
// chart, a chart and its values.
func writeInputs(n int, dir string) error {
	if err := writeKustomize(n, filepath.Join(dir, "kustomize")); err != nil {
		return err
	}
	return writeChart(n, dir)
}

func writeKustomize(n int, dir string) error {
	files, _, err := fixture.Tree(n).Files()
	if err != nil {
		return err
	}
	type image struct {
		Name   string `json:"name"`
		NewTag string `json:"newTag"`
	}
	kustomization := struct {
		APIVersion string   `json:"apiVersion"`
		Kind       string   `json:"kind"`
		Resources  []string `json:"resources"`
		Images     []image  `json:"images"`
	}{APIVersion: "kustomize.config.k8s.io/v1beta1", Kind: "Kustomization"}
	for _, f := range files {
		path := filepath.Join(dir, filepath.FromSlash(f.Path))
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			return err
		}
		text := bytes.ReplaceAll(f.Data, []byte(":"+fixture.Tag), []byte(":latest"))
		if err := os.WriteFile(path, text, 0o644); err != nil {
			return err
		}
		kustomization.Resources = append(kustomization.Resources, f.Path)
	}
	for _, repository := range fixture.Repositories() {
		kustomization.Images = append(kustomization.Images, image{repository, fixture.Tag})
	}
	return writeYAML(filepath.Join(dir, "kustomization.yaml"), kustomization)
}

// values are those of the chart.
type values struct {
	Namespace string      `json:"namespace"`
	Redirect  string      `json:"redirect"`
	Issuer    string      `json:"issuer"`
	Tag       string      `json:"tag"`
	Apps      []appValues `json:"apps"`
}

type appValues struct {
	Name       string            `json:"name"`
	Repository string            `json:"repository"`
	Host       string            `json:"host"`
	Port       int32             `json:"port"`
	Replicas   int32             `json:"replicas,omitempty"`
	Autoscale  map[string]int32  `json:"autoscale,omitempty"`
	Network    bool              `json:"network,omitempty"`
	Probes     map[string]string `json:"probes"`
	Env        []corev1.EnvVar   `json:"env"`
	Config     map[string]string `json:"config"`
}

func writeChart(n int, dir string) error {
	if err := os.CopyFS(dir, chart); err != nil {
		return err
	}
	v := values{Namespace: fixture.Namespace, Redirect: fixture.Redirect().Name, Tag: fixture.Tag}
	for i := range n {
		app := fixture.Define(i)
		web := app.Web
		v.Issuer = app.Ingress.Issuer
		a := appValues{
			Name:       web.Name,
			Repository: fixture.Repository(i),
			Host:       app.Ingress.Host,
			Port:       web.Port,
			Replicas:   web.Replicas,
			Network:    web.Network != nil,
			Probes:     map[string]string{"startup": web.Probes.Startup, "readiness": web.Probes.Readiness, "liveness": web.Probes.Liveness},
			Config:     app.Config.Data,
		}
		if web.Autoscale != nil {
			a.Autoscale = map[string]int32{"min": web.Autoscale.Min, "max": web.Autoscale.Max}
		}
		objects, err := web.Objects()
		if err != nil {
			return err
		}
		for _, o := range objects {
			if d, ok := o.(*appsv1.Deployment); ok {
				a.Env = d.Spec.Template.Spec.Containers[0].Env
			}
		}
		v.Apps = append(v.Apps, a)
	}
	return writeYAML(filepath.Join(dir, "chart", "values.yaml"), v)
}

func writeYAML(path string, v any) error {
	text, err := yaml.Marshal(v)
	if err != nil {
		return err
	}
	return os.WriteFile(path, text, 0o644)
}
