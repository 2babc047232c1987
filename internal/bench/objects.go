package main

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"reflect"
	"slices"

	"sigs.k8s.io/yaml"

	"git.lastcloud.io/ronnibaslund/dezky/fleet/internal/bench/fixture"
	"git.lastcloud.io/ronnibaslund/dezky/fleet/render/object"
)

// objects are parsed manifests by kind, namespace and name.
type objects map[string]map[string]any

// add enters an object without its status, and without its spec if that is
// empty: nobody applies them, and encoding/json and sigs.k8s.io/yaml write
// them for typed objects all the same. Nothing else is left out.
func (o objects) add(object map[string]any) error {
	meta, _ := object["metadata"].(map[string]any)
	key := fmt.Sprintf("%v %v %v/%v", object["apiVersion"], object["kind"], meta["namespace"], meta["name"])
	if _, ok := o[key]; ok {
		return fmt.Errorf("%s is there twice", key)
	}
	delete(object, "status")
	if spec, ok := object["spec"].(map[string]any); ok && len(spec) == 0 {
		delete(object, "spec")
	}
	o[key] = object
	return nil
}

// parse enters the objects of a YAML stream.
func (o objects) parse(text []byte) error {
	for doc := range bytes.SplitSeq(append([]byte("\n"), text...), []byte("\n---\n")) {
		var object map[string]any
		if err := yaml.Unmarshal(doc, &object); err != nil {
			return err
		}
		if object == nil { // comments only
			continue
		}
		if err := o.add(object); err != nil {
			return err
		}
	}
	return nil
}

// diff tells some of the differences, each on a line.
func (o objects) diff(want objects) error {
	const most = 10
	var errs []error
	all := maps.Clone(want)
	maps.Copy(all, o)
	for _, key := range slices.Sorted(maps.Keys(all)) {
		if len(errs) == most {
			errs = append(errs, errors.New("and more"))
			break
		}
		got, made := o[key]
		wanted, ok := want[key]
		switch {
		case !made:
			errs = append(errs, fmt.Errorf("%s is missing", key))
		case !ok:
			errs = append(errs, fmt.Errorf("%s should not be there", key))
		case !reflect.DeepEqual(got, wanted):
			a, _ := json.Marshal(got)
			b, _ := json.Marshal(wanted)
			errs = append(errs, fmt.Errorf("%s differs:\n got %s\nwant %s", key, a, b))
		}
	}
	return errors.Join(errs...)
}

// compareObjects holds manifests, each a directory or a stream in a file,
// against what encoding/json makes of the n apps.
func compareObjects(n int, paths []string) error {
	want := make(objects)
	err := fixture.Each(fixture.Tree(n), func(_ string, made []object.Object) error {
		for _, o := range made {
			text, err := json.Marshal(o)
			if err != nil {
				return err
			}
			var object map[string]any
			if err := json.Unmarshal(text, &object); err != nil {
				return err
			}
			if err := want.add(object); err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		return err
	}
	for _, path := range paths {
		got := make(objects)
		err := filepath.WalkDir(path, func(name string, entry fs.DirEntry, err error) error {
			if err != nil || entry.IsDir() {
				return err
			}
			text, err := os.ReadFile(name)
			if err != nil {
				return err
			}
			return got.parse(text)
		})
		if err == nil {
			err = got.diff(want)
		}
		if err != nil {
			return fmt.Errorf("%s: %w", filepath.Base(path), err)
		}
	}
	return nil
}
