package deploy

import (
	"cmp"
	"context"
	"fmt"
	"maps"
	"slices"
	"strings"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
)

// runningImages returns the pins that run now, by name: those of the last
// release that ended well, and for an image that it does not have what the
// Deployments say.
func (d *Deployer) runningImages(ctx context.Context, repositories []string) (map[string]string, error) {
	c, err := d.connect()
	if err != nil {
		return nil, err
	}
	all, err := d.records(ctx, c)
	if err != nil {
		return nil, err
	}
	list, err := c.typed.AppsV1().Deployments(d.Namespace).List(ctx, metav1.ListOptions{})
	if err != nil {
		return nil, fmt.Errorf("the images that run cannot be read: %w", err)
	}
	pins := map[string]string{}
	for _, deployment := range list.Items {
		containers := slices.Concat(deployment.Spec.Template.Spec.InitContainers, deployment.Spec.Template.Spec.Containers)
		for _, container := range containers {
			if name, pin := pinOf(container.Image, repositories); name != "" && pin != "" && pin != "latest" {
				pins[name] = pin
			}
		}
	}
	if good := lastGood(all); good != nil {
		maps.Copy(pins, good.Images)
	}
	return pins, nil
}

// pinOf takes a reference to a first-party image apart. The name is empty for
// others.
func pinOf(ref string, repositories []string) (name, pin string) {
	for _, repository := range repositories {
		rest, ok := strings.CutPrefix(ref, repository)
		if !ok || rest != "" && rest[0] != ':' && rest[0] != '@' {
			continue
		}
		return repository[strings.LastIndexByte(repository, '/')+1:], strings.TrimLeft(rest, ":@")
	}
	return "", ""
}

// images are all fields named image of the containers of an object, sorted by
// path, however deep its pod template lies.
func images(o *unstructured.Unstructured) func(func(path, image string) bool) {
	found := map[string]string{}
	var walk func(path string, v any)
	walk = func(path string, v any) {
		switch t := v.(type) {
		case map[string]any:
			for k, e := range t {
				if list, ok := e.([]any); ok && (k == "containers" || k == "initContainers") {
					for i, c := range list {
						m, _ := c.(map[string]any)
						if image, ok := m["image"].(string); ok {
							found[fmt.Sprintf("%s[%v].image", below(path, k), cmp.Or[any](m["name"], i))] = image
						}
					}
					continue
				}
				walk(below(path, k), e)
			}
		case []any:
			for i, e := range t {
				walk(fmt.Sprintf("%s[%d]", path, i), e)
			}
		}
	}
	walk("", o.Object)
	return func(yield func(string, string) bool) {
		for _, path := range slices.Sorted(maps.Keys(found)) {
			if !yield(path, found[path]) {
				return
			}
		}
	}
}

// revision says what the images are of, where nobody said it.
func revision(pins map[string]string) string {
	all := slices.Compact(slices.Sorted(maps.Values(pins)))
	if len(all) == 1 {
		tag, _, _ := strings.Cut(all[0], "@")
		return tag
	}
	var each []string
	for _, name := range slices.Sorted(maps.Keys(pins)) {
		each = append(each, name+"="+pins[name])
	}
	return strings.Join(each, " ")
}
