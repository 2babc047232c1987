package secrets

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"strings"
	"unicode/utf8"

	"git.lastcloud.io/ronnibaslund/dezky/fleet/components"
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
	values, todo, err := s.fill(existing, random)
	if err != nil {
		return nil, nil, err
	}
	out, err = s.render(s.Secrets, values)
	if err != nil {
		return nil, nil, err
	}
	return out, todo, nil
}

// fill finds a value for every key that can have one.
func (s Set) fill(existing []byte, random io.Reader) (values map[components.KeyRef]string, todo []string, err error) {
	if err := s.Validate(); err != nil {
		return nil, nil, err
	}
	values, err = s.existing(existing)
	if err != nil {
		return nil, nil, err
	}
	keys := s.keys()
	var errs []error
	for _, g := range s.groups() {
		value, holder := "", components.KeyRef{}
		for _, ref := range g {
			switch v := values[ref]; {
			case v == "" || v == value:
			case value == "":
				value, holder = v, ref
			default:
				errs = append(errs, fmt.Errorf("%s and %s hold two values and must hold one: keep the right one, and empty the other", place(holder), place(ref)))
			}
		}
		if value == "" {
			if value, err = makeValue(g, keys, random); err != nil {
				return nil, nil, fmt.Errorf("%s: no random bytes: %w", place(g[0]), err)
			}
		}
		for _, ref := range g {
			values[ref] = value
		}
		switch known := keys[g[0]].Value; {
		case known != "" && value != known:
			todo = append(todo, place(g[0])+": has another value, which is kept; it must be "+known)
		case known == "" && isPlaceholder(value):
			todo = append(todo, todoFor(g, keys))
		}
	}
	return values, todo, errors.Join(errs...)
}

// makeValue gives the value that the definitions know, or a random one that
// every key of the group takes. It is empty where only a person has it.
func makeValue(g group, keys map[components.KeyRef]components.SecretKey, random io.Reader) (string, error) {
	for _, ref := range g {
		if v := keys[ref].Value; v != "" {
			return v, nil
		}
	}
	if keys[g[0]].Source != "" {
		return "", nil
	}
	for _, ref := range g {
		format, ok := keys[ref].Format.(generator)
		if !ok {
			continue
		}
		value, err := format.Generate(random)
		if err != nil {
			return "", err
		}
		if fits(value, g, keys) {
			return value, nil
		}
	}
	return "", nil
}

// fits says that every key of the group takes the value.
func fits(value string, g group, keys map[components.KeyRef]components.SecretKey) bool {
	for _, ref := range g {
		if f := keys[ref].Format; f != nil && f.Check(value) != nil {
			return false
		}
	}
	return true
}

// todoFor says what a person must supply.
func todoFor(g group, keys map[components.KeyRef]components.SecretKey) string {
	k := keys[g[0]]
	line := place(g[0]) + ": " + how(k)
	for _, ref := range g[1:] {
		line += "; goes to " + place(ref) + " too"
	}
	if k.Placeholder != "" {
		line += "; may wait: " + k.Placeholder
	}
	return line
}

// existing reads the values that are there. It refuses whatever the output
// could not hold.
func (s Set) existing(input []byte) (map[components.KeyRef]string, error) {
	values := make(map[components.KeyRef]string)
	if len(bytes.TrimSpace(input)) == 0 {
		return values, nil
	}
	var r reader
	r.read(input)
	c := newChecker(s)
	c.findings = r.findings
	c.match(r.secrets)
	c.shape()
	for _, f := range r.secrets {
		if f.encrypted != "" {
			c.find(f.place, "is encrypted by "+f.encrypted+": decrypt it first")
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
			if !utf8.ValidString(e.value) {
				c.find(place(ref), "is not text, and only text can be written under stringData")
			}
			if v := strings.TrimSpace(e.value); v != "" && v != components.Placeholder {
				values[ref] = e.value
			}
		}
	}
	var errs []error
	for _, f := range c.sorted() {
		errs = append(errs, errors.New(f.String()))
	}
	return values, errors.Join(errs...)
}
