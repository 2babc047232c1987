package render

import (
	"cmp"
	"errors"
	"flag"
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
	// Pins are a tag, a digest (such as sha256:…) or both (tag@sha256:…) by
	// image name, the last element of its repository. With both, the digest
	// counts.
	Pins map[string]string
}

// Ref returns the reference to an image, given its repository such as
// registry.example.com/team/app.
func (i Images) Ref(repository string) string {
	pin := cmp.Or(i.Pins[path.Base(repository)], i.Tag, "latest")
	if strings.Contains(pin, ":") && !strings.Contains(pin, "@") { // a digest alone
		return repository + "@" + pin
	}
	return repository + ":" + pin
}

// unpinned returns the names of the images that follow the tag latest.
func (i Images) unpinned(repositories []string) []string {
	var names []string
	for _, r := range repositories {
		if name := path.Base(r); cmp.Or(i.Pins[name], i.Tag, "latest") == "latest" {
			names = append(names, name)
		}
	}
	return names
}

// Notes returns a note on those of an environment's first-party images that
// follow the tag latest, for the Notes of a [Tree]. There is none where none
// does.
func (i Images) Notes(environment string, repositories []string) []string {
	names := i.unpinned(repositories)
	if len(names) == 0 {
		return nil
	}
	return []string{fmt.Sprintf("the %s images of %s follow the tag latest: for a release give -tag, or applying this undoes the pin of the running commit",
		environment, strings.Join(names, ", "))}
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

// isBoth reports whether the pin is a tag and the digest that it had.
func isBoth(pin string) bool {
	tag, digest, ok := strings.Cut(pin, "@")
	return ok && isTag(tag) && isDigest(digest)
}

// Flags adds the flags -tag and -image, which pin the images.
func (i *Images) Flags(flags *flag.FlagSet) {
	flags.StringVar(&i.Tag, "tag", "", "`tag` of all first-party images, the commit that they were built from (default latest)")
	flags.Var((*pinFlag)(i), "image", "`name=pin`: another tag or a digest for one image; may be repeated")
}

// pinFlag is the flag -image.
type pinFlag Images

// String implements flag.Value.
func (p *pinFlag) String() string {
	var all []string
	for _, name := range slices.Sorted(maps.Keys(p.Pins)) {
		all = append(all, name+"="+p.Pins[name])
	}
	return strings.Join(all, ",")
}

// Set implements flag.Value.
func (p *pinFlag) Set(value string) error {
	name, pin, ok := strings.Cut(value, "=")
	if !ok || name == "" || pin == "" {
		return errors.New("must be NAME=TAG, NAME=sha256:DIGEST or NAME=TAG@sha256:DIGEST")
	}
	if _, twice := p.Pins[name]; twice {
		return fmt.Errorf("%q is pinned twice: give one -image for it", name)
	}
	if p.Pins == nil {
		p.Pins = map[string]string{}
	}
	p.Pins[name] = pin
	return nil
}

// Validate holds the pins against the repositories that there are. The error
// has every mistake, in the words of the flags.
func (i Images) Validate(repositories []string) error {
	names := make([]string, len(repositories))
	for k, r := range repositories {
		names[k] = path.Base(r)
	}
	var errs []error
	if i.Tag != "" && !isTag(i.Tag) {
		errs = append(errs, fmt.Errorf("-tag %q: is no image tag: use letters, digits, dots, dashes and underscores, 128 at most, not starting with a dot or a dash", i.Tag))
	}
	for _, name := range slices.Sorted(maps.Keys(i.Pins)) {
		pin := i.Pins[name]
		if !slices.Contains(names, name) {
			errs = append(errs, fmt.Errorf("-image %q: there is no image %q: the images are %s", name+"="+pin, name, strings.Join(names, ", ")))
		}
		if !isTag(pin) && !isDigest(pin) && !isBoth(pin) {
			errs = append(errs, fmt.Errorf("-image %q: %q is neither a tag nor a digest (sha256: and 64 hex digits) nor both (TAG@sha256:…)", name+"="+pin, pin))
		}
	}
	return errors.Join(errs...)
}
