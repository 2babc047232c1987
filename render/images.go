package render

import (
	"cmp"
	"errors"
	"fmt"
	"maps"
	"path"
	"regexp"
	"slices"
	"strings"
)

// Images are the pins of first-party images: which build is meant.
type Images struct {
	// Tag of every image without a pin of its own. If empty, latest.
	Tag string
	// Pins are a tag or a digest (sha256:…) by image name, the last element
	// of its repository.
	Pins map[string]string
}

// Ref is the reference to an image, given its repository such as
// registry.example.com/team/app.
func (i Images) Ref(repository string) string {
	pin := cmp.Or(i.Pins[path.Base(repository)], i.Tag, "latest")
	if strings.HasPrefix(pin, "sha256:") {
		return repository + "@" + pin
	}
	return repository + ":" + pin
}

// Unpinned are those of the named images that follow the tag latest.
func (i Images) Unpinned(names ...string) []string {
	return slices.DeleteFunc(slices.Clone(names), func(name string) bool {
		return cmp.Or(i.Pins[name], i.Tag, "latest") != "latest"
	})
}

// The grammar of tags and digests is that of the OCI Distribution
// Specification, "Pulling manifests". Compiled only where there is a pin.
const (
	tagPattern    = `^[a-zA-Z0-9_][a-zA-Z0-9._-]{0,127}$`
	digestPattern = `^sha256:[a-f0-9]{64}$`
)

// validate holds the pins against the names of the images that there are.
func (i Images) validate(names []string) error {
	var errs []error
	if i.Tag != "" && !regexp.MustCompile(tagPattern).MatchString(i.Tag) {
		errs = append(errs, fmt.Errorf("-tag %q: is no image tag: use letters, digits, dots, dashes and underscores, 128 at most, not starting with a dot or a dash", i.Tag))
	}
	for _, name := range slices.Sorted(maps.Keys(i.Pins)) {
		pin := i.Pins[name]
		if !slices.Contains(names, name) {
			errs = append(errs, fmt.Errorf("-image %s=%s: there is no image %q: the images are %s", name, pin, name, strings.Join(names, ", ")))
		}
		if !regexp.MustCompile(tagPattern).MatchString(pin) && !regexp.MustCompile(digestPattern).MatchString(pin) {
			errs = append(errs, fmt.Errorf("-image %s=%s: %q is neither a tag nor a digest (sha256: and 64 hex digits)", name, pin, pin))
		}
	}
	return errors.Join(errs...)
}
