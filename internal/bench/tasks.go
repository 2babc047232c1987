package main

import (
	"encoding/json"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"runtime"
	"strconv"

	"sigs.k8s.io/yaml"

	"git.lastcloud.io/ronnibaslund/dezky/fleet/internal/bench/fixture"
	"git.lastcloud.io/ronnibaslund/dezky/fleet/render"
	"git.lastcloud.io/ronnibaslund/dezky/fleet/render/check"
	"git.lastcloud.io/ronnibaslund/dezky/fleet/render/object"
)

// taskArg as the first argument makes this program do one task, in the process
// that is measured. It has the imports that any rendering program has.
const taskArg = "task"

// The contenders.
const (
	nameMake      = "make"
	nameJSON      = "json"
	nameKeep      = "keep"
	nameCheck     = "check"
	nameRender    = "render"
	nameUnchanged = "render-unchanged"
	nameSigs      = "sigs-yaml"
	nameKustomize = "kustomize"
	nameHelm      = "helm"
)

// runTask does the named task: arguments are its name, the number of apps, and
// what it takes beyond that.
func runTask(args []string, stdout io.Writer) error {
	if len(args) < 2 {
		return fmt.Errorf("%s: give a name and the number of apps", taskArg)
	}
	n, err := strconv.Atoi(args[1])
	if err != nil {
		return err
	}
	name, args := args[0], args[2:]
	each := func(use func(object.Object) error) error {
		return fixture.Each(fixture.Tree(n), func(_ string, objects []object.Object) error {
			for _, o := range objects {
				if err := use(o); err != nil {
					return err
				}
			}
			return nil
		})
	}
	switch {
	case name == nameMake && len(args) == 0:
		return each(func(object.Object) error { return nil })
	case name == nameJSON && len(args) == 0:
		return each(func(o object.Object) error {
			_, err := json.Marshal(o)
			return err
		})
	case name == nameKeep && len(args) == 0:
		objects, _, err := fixture.Objects(fixture.Tree(n))
		runtime.KeepAlive(objects)
		return err
	case name == nameCheck && len(args) == 0:
		objects, elsewhere, err := fixture.Objects(fixture.Tree(n))
		if err != nil {
			return err
		}
		return check.Run(check.NewSet(objects, elsewhere), check.Rules()).Findings.Err()
	case name == nameSigs && len(args) == 1:
		return writeSigs(fixture.Tree(n), args[0])
	case name == nameRender && len(args) == 1:
		c := render.Command{Name: "bench", Tree: func(string, render.Images) (render.Tree, error) { return fixture.Tree(n), nil }}
		if status := c.Run([]string{"-o", args[0]}, stdout, os.Stderr); status != 0 {
			return fmt.Errorf("render: exit status %d", status)
		}
		return nil
	case name == "inputs" && len(args) == 1:
		return writeInputs(n, args[0])
	case name == "compare":
		return compareObjects(n, args)
	}
	return fmt.Errorf("%s %s: no such task with %d arguments", taskArg, name, len(args))
}

// writeSigs writes the files of the Tree as sigs.k8s.io/yaml encodes them.
func writeSigs(t render.Tree, dir string) error {
	for _, layer := range t.Layers {
		if err := os.MkdirAll(filepath.Join(dir, layer.Name), 0o755); err != nil {
			return err
		}
	}
	return fixture.Each(t, func(file string, objects []object.Object) error {
		var text []byte
		for i, o := range objects {
			if i > 0 {
				text = append(text, "---\n"...)
			}
			data, err := yaml.Marshal(o)
			if err != nil {
				return err
			}
			text = append(text, data...)
		}
		return os.WriteFile(filepath.Join(dir, file), text, 0o644)
	})
}
