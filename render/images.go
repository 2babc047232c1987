package render

import (
	"cmp"
	"errors"
	"fmt"
	"maps"
	"path"
	"slices"
	"strings"

	_ "crypto/sha256" // the digests that an image can be pinned by
	_ "crypto/sha512"

	"github.com/distribution/reference"
)

// Images are the pins of first-party images: which build is meant.
type Images struct {
	// Tag of every image without a pin of its own. If empty, latest.
	Tag string
	// Pins are a tag or a digest (such as sha256:…) by image name, the last element
	// of its repository.
	Pins map[string]string
}

// Ref is the reference to an image, given its repository such as
// registry.example.com/team/app.
func (i Images) Ref(repository string) string {
	pin := cmp.Or(i.Pins[path.Base(repository)], i.Tag, "latest")
	if strings.Contains(pin, ":") { // a tag has none
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

// isTag and isDigest ask the library that container runtimes read references
// with.
func isTag(pin string) bool {
	ref, err := reference.Parse("image:" + pin)
	tagged, ok := ref.(reference.NamedTagged)
	return err == nil && ok && tagged.Tag() == pin
}

func isDigest(pin string) bool {
	ref, err := reference.Parse("image@" + pin)
	_, ok := ref.(reference.Canonical)
	return err == nil && ok
}

// validate holds the pins against the names of the images that there are.
func (i Images) validate(names []string) error {
	var errs []error
	if i.Tag != "" && !isTag(i.Tag) {
		errs = append(errs, fmt.Errorf("-tag %q: is no image tag: use letters, digits, dots, dashes and underscores, 128 at most, not starting with a dot or a dash", i.Tag))
	}
	for _, name := range slices.Sorted(maps.Keys(i.Pins)) {
		pin := i.Pins[name]
		if !slices.Contains(names, name) {
			errs = append(errs, fmt.Errorf("-image %q: there is no image %q: the images are %s", name+"="+pin, name, strings.Join(names, ", ")))
		}
		if !isTag(pin) && !isDigest(pin) {
			errs = append(errs, fmt.Errorf("-image %q: %q is neither a tag nor a digest (sha256: and 64 hex digits)", name+"="+pin, pin))
		}
	}
	return errors.Join(errs...)
}
