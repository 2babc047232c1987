package secrets

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"unicode/utf8"

	"git.lastcloud.io/ronnibaslund/dezky/fleet/components/secret"
	"git.lastcloud.io/ronnibaslund/dezky/fleet/render/placeholder"
)

// Generate fills the Secrets: with the values of existing, an earlier output
// that may have been edited since, with values that follow from the
// definitions, with one value wherever it is shared, and with random ones.
// A value that is there is never changed; only a missing one, an empty one
// and the placeholder are filled. The comments are written anew.
//
// The output is that of Template, filled. Todo lists the keys that a person
// must still supply, and how. The error has every reason why existing cannot
// be kept whole: what is not read cannot be carried over. Neither holds a
// value.
func (s Set) Generate(existing []byte, random io.Reader) (out []byte, todo []string, err error) {
	f, err := s.fill(existing, false, random)
	if err != nil {
		return nil, nil, err
	}
	out, err = s.render(s.Secrets, f.values, f.kept)
	if err != nil {
		return nil, nil, err
	}
	return out, f.todo, nil
}

// filling is what fill found. Only values holds values.
type filling struct {
	values map[secret.Ref]string
	// todo lists what a person must supply, and notes what is to know.
	todo, notes []string
	// fatal are the keys with a new value that lose the data of an old one,
	// and felt those whose new value somebody notices.
	fatal, felt []string
	// kept are the keys that no contract has, by the place of their Secret.
	kept map[string][]entry
	// found says that there was a Secret of the contracts.
	found bool
}

// fill finds a value for every key that can have one. Where existing was read
// from the cluster, it is taken as it is: what must be put right there is
// noted, since that is done in the file. Only what would be lost is refused.
func (s Set) fill(existing []byte, fromCluster bool, random io.Reader) (filling, error) {
	if err := s.Validate(); err != nil {
		return filling{}, err
	}
	if random == nil {
		return filling{}, errors.New("there is no source of random bytes: pass crypto/rand.Reader")
	}
	f, err := s.existing(existing, fromCluster)
	if err != nil {
		return filling{}, err
	}
	values, keys := f.values, s.keys()
	var errs []error
	for _, g := range s.madeLast() {
		value, holder, differ := "", secret.Ref{}, false
		for _, ref := range g {
			switch v := values[ref]; {
			case v == "" || v == value:
			case value == "":
				value, holder = v, ref
			default:
				differ = true
				problem := place(holder) + " and " + place(ref) + " hold two values and must hold one"
				if fromCluster {
					f.notes = append(f.notes, problem+": both are kept; put the right one under each key in the file")
				} else {
					errs = append(errs, errors.New(problem+": keep the right one, and empty the other"))
				}
			}
		}
		if differ {
			continue
		}
		made, ready := madeValue(g, keys, values)
		switch {
		case value == "":
			value = knownValue(g, keys)
			if value == "" && ready {
				value = made
			}
		case ready && value != made:
			problem := place(holder) + " must hold the value of " + place(keys[g[0]].Made.Of) + ", and holds another"
			if fromCluster {
				f.notes = append(f.notes, problem+": both are kept; put the right one under each key in the file")
			} else {
				errs = append(errs, errors.New(problem+": empty it, and it is made anew"))
			}
		}
		if value == "" {
			if value, err = makeValue(g, keys, random); err != nil {
				return filling{}, fmt.Errorf("%s: cannot make a value: %w", place(g[0]), err)
			}
			for _, ref := range g {
				switch rotation := keys[ref].Rotation; {
				case value == "" || rotation == secret.RotatesFreely:
				case rotation == secret.RotationLosesData:
					f.fatal = append(f.fatal, place(ref))
				case f.found:
					f.felt = append(f.felt, place(ref)+": "+string(rotation))
				}
			}
		}
		for _, ref := range g {
			values[ref] = value
		}
		switch known := keys[g[0]].Value; {
		case known != "" && value != known:
			f.todo = append(f.todo, place(g[0])+": has another value, which is kept; it must be "+known)
		case known == "" && placeholder.Is(value):
			f.todo = append(f.todo, todoFor(g, keys))
		}
	}
	return f, errors.Join(errs...)
}

// madeLast are the groups, those last whose value is made of another's.
func (s Set) madeLast() []group {
	keys := s.keys()
	groups := s.groups()
	slices.SortStableFunc(groups, func(a, b group) int {
		rank := func(g group) int {
			if keys[g[0]].Made != nil {
				return 1
			}
			return 0
		}
		return rank(a) - rank(b)
	})
	return groups
}

// madeValue is what the group holds if it is made of another key that has a
// value. It is false where it is not.
func madeValue(g group, keys map[secret.Ref]secret.Key, values map[secret.Ref]string) (string, bool) {
	made := keys[g[0]].Made
	if made == nil || values[made.Of] == "" || placeholder.Is(values[made.Of]) {
		return "", false
	}
	return made.Value(values[made.Of]), true
}

// knownValue gives the value that follows from the definitions, if there is one.
func knownValue(g group, keys map[secret.Ref]secret.Key) string {
	for _, ref := range g {
		if v := keys[ref].Value; v != "" {
			return v
		}
	}
	return ""
}

// makeValue makes a random value that every key of the group takes. It is
// empty where only a person has it.
func makeValue(g group, keys map[secret.Ref]secret.Key, random io.Reader) (string, error) {
	if k := keys[g[0]]; k.Source != "" || k.Made != nil {
		return "", nil
	}
	for _, ref := range g {
		format, ok := keys[ref].Format.(secret.Generator)
		if !ok {
			continue
		}
		// Now and then a reader takes digits for a number: see secret.Key.Check.
		for range 8 {
			value, err := format.Generate(random)
			if err != nil {
				return "", err
			}
			if fits(value, g, keys) {
				return value, nil
			}
		}
	}
	return "", nil
}

// fits says that every key of the group takes the value.
func fits(value string, g group, keys map[secret.Ref]secret.Key) bool {
	for _, ref := range g {
		if keys[ref].Check(value) != nil {
			return false
		}
	}
	return true
}

// todoFor says what a person must supply.
func todoFor(g group, keys map[secret.Ref]secret.Key) string {
	k := keys[g[0]]
	line := place(g[0]) + ": " + k.How()
	for _, ref := range g[1:] {
		line += "; goes to " + place(ref) + " too"
	}
	if k.Placeholder != "" {
		line += "; may wait: " + k.Placeholder
	}
	return line
}

// existing reads the values that are there. It refuses whatever the output
// could not hold; of the cluster that is neither what Kubernetes and other
// programs put beside the values, nor the Secrets of others.
func (s Set) existing(input []byte, fromCluster bool) (filling, error) {
	values, kept := make(map[secret.Ref]string), make(map[string][]entry)
	if len(bytes.TrimSpace(input)) == 0 {
		return filling{values: values}, nil
	}
	var r reader
	r.read(input)
	c := newChecker(s, r.findings)
	c.carries = fromCluster
	c.match(r.secrets)
	c.shape()
	for _, f := range r.secrets {
		if f.encrypted != "" {
			c.find(f.place, "is encrypted by "+f.encrypted+": decrypt it first")
		}
		if fromCluster {
			continue
		}
		if f.contract == nil {
			if f.cluster { // the others are found already
				c.find(f.place, "is a Secret that no contract names: remove it")
			}
			continue
		}
		for _, line := range f.more {
			c.find(f.place, fmt.Sprintf("line %d has what no contract knows, such as a label: remove it, since it would be lost", line))
		}
	}
	for _, f := range c.secrets {
		for _, e := range f.entries {
			ref := refTo(*f.contract, e.name)
			if _, ok := c.keys[ref]; !ok {
				kept[placeOf(*f.contract)] = append(kept[placeOf(*f.contract)], e)
				continue
			}
			if !utf8.ValidString(e.value) {
				c.find(place(ref), "is not text, and only text can be written under stringData")
			}
			if v := strings.TrimSpace(e.value); v != "" && v != secret.Placeholder {
				values[ref] = e.value
			}
		}
	}
	var errs []error
	var notes []string
	for _, f := range c.sorted() {
		if f.Note {
			notes = append(notes, f.Place+": "+f.Problem)
		} else {
			errs = append(errs, errors.New(f.String()))
		}
	}
	return filling{values: values, notes: notes, kept: kept, found: len(c.secrets) > 0}, errors.Join(errs...)
}
