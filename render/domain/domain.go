// Package domain tells the public hosts of an environment from those of other
// environments, wherever an address stands in a text.
package domain

import (
	"bytes"
	"errors"
	"fmt"
	"slices"
	"strings"
	"unicode"
	"unicode/utf8"

	"k8s.io/apimachinery/pkg/util/validation"
)

// Domains are the public domains of an environment and of the others. A host
// belongs to the longest domain that it is equal to or below: with Own
// dev.example.com and Foreign example.com, web.dev.example.com is an own host
// and web.example.com is not. The zero value has no domains and finds nothing.
//
// A Domains must not be used by several goroutines at once; each can have a
// copy.
type Domains struct {
	// Own domains, such as example.com.
	Own []string
	// Foreign are the domains of other environments.
	Foreign []string

	lower []byte // the text at hand in lower case
}

// Validate returns an error for each domain that is no DNS name in lower case:
// an empty one would be found everywhere, and one with a scheme, a port, a
// space or a dot at its end nowhere. An internationalized domain is given in
// its ASCII form, xn--….
func (d *Domains) Validate() error {
	var errs []error
	check := func(field string, domains, others []string) {
		for i, name := range domains {
			at := fmt.Sprintf("%s[%d]", field, i)
			msgs := validation.IsDNS1123Subdomain(name)
			switch {
			case name == "":
				errs = append(errs, fmt.Errorf("%s: is empty: give a domain such as example.com, or leave it out", at))
			case len(msgs) > 0:
				errs = append(errs, fmt.Errorf("%s: %q is no domain such as example.com: %s", at, name, strings.Join(msgs, "; ")))
			case slices.Index(domains, name) < i:
				errs = append(errs, fmt.Errorf("%s: %s stands twice: remove one", at, name))
			case slices.Contains(others, name):
				errs = append(errs, fmt.Errorf("%s: %s is an own domain too: an environment needs a domain of its own", at, name))
			}
		}
	}
	check("domains", d.Own, nil)
	check("foreignDomains", d.Foreign, d.Own)
	return errors.Join(errs...)
}

// Hit is an address that has no business in a text.
type Hit struct {
	// At is the byte of the text where the domain or the scheme begins.
	At int
	// Host of the address, in lower case.
	Host string
	// Foreign reports whether the host belongs to another environment. Else
	// it is an own one that is sent to in plain HTTP.
	Foreign bool
}

// Find returns the foreign hosts of a text, and then the own ones that are
// behind http://. Hosts have no case. A host is also found behind the escapes
// of another notation in the text: \t and \u0009 of JSON, %2F of a URL.
func (d *Domains) Find(text []byte) []Hit {
	if len(d.Own)+len(d.Foreign) == 0 {
		return nil
	}
	// Only ASCII letters are changed, so places stay where they are.
	d.lower = d.lower[:0]
	for _, c := range text {
		if 'A' <= c && c <= 'Z' {
			c += 'a' - 'A'
		}
		d.lower = append(d.lower, c)
	}
	var hits []Hit
	for _, name := range d.Foreign {
		for at := range indexes(d.lower, name) {
			for _, host := range hostsAt(d.lower, at) {
				if d.of(host) == name {
					hits = append(hits, Hit{At: at, Host: host, Foreign: true})
					break
				}
			}
		}
	}
	if len(d.Own) == 0 {
		return hits
	}
	for _, scheme := range [...]string{"http://", `http:\/\/`, "http%3a%2f%2f"} {
		for at := range indexes(d.lower, scheme) {
			start := at + len(scheme)
			start += userinfo(d.lower[start:])
			host := hostFrom(d.lower, start)
			if slices.Contains(d.Own, d.of(host)) {
				hits = append(hits, Hit{At: at, Host: host})
			}
		}
	}
	return hits
}

// of returns the longest of the domains that the host is equal to or below,
// empty if there is none.
func (d *Domains) of(host string) string {
	longest := ""
	for _, domains := range [...][]string{d.Own, d.Foreign} {
		for _, name := range domains {
			if len(name) > len(longest) && (host == name || strings.HasSuffix(host, "."+name)) {
				longest = name
			}
		}
	}
	return longest
}

// userinfo returns the length of the user and password that begin an address,
// with the @ behind them.
func userinfo(address []byte) int {
	n := 0
	for i, c := range address {
		switch c {
		case '@':
			n = i + 1
		case '/', '?', '#', ',', '"', '\'', '\\', '<', '>':
			return n
		}
		if c <= ' ' {
			return n
		}
	}
	return n
}

// hostsAt returns the host name that stands around a place. If an escape of
// another notation seems to end before the place in letters or digits, such as
// \t or %2F, the name without them comes first, and then the name with them.
func hostsAt(text []byte, at int) []string {
	start := at
	for start > 0 {
		c, size := rune(text[start-1]), 1
		if c >= utf8.RuneSelf {
			c, size = utf8.DecodeLastRune(text[:start])
		}
		if !isHost(c) {
			break
		}
		start -= size
	}
	if n := escape(text[:at], start); n > 0 {
		return []string{hostFrom(text, start+n), hostFrom(text, start)}
	}
	return []string{hostFrom(text, start)}
}

// hostFrom returns the host name that begins at a place, without dots around.
func hostFrom(text []byte, start int) string {
	end := start
	for end < len(text) {
		c, size := rune(text[end]), 1
		if c >= utf8.RuneSelf {
			c, size = utf8.DecodeRune(text[end:])
		}
		if !isHost(c) {
			break
		}
		end += size
	}
	return strings.Trim(string(text[start:end]), ".")
}

// isHost reports whether a character can be part of a host name. Letters
// beyond ASCII are those of internationalized names.
func isHost(c rune) bool {
	if c < utf8.RuneSelf {
		return 'a' <= c && c <= 'z' || '0' <= c && c <= '9' || c == '-' || c == '.'
	}
	return c != utf8.RuneError && (unicode.IsLetter(c) || unicode.IsDigit(c) || unicode.IsMark(c))
}

// escape returns how many of the bytes from start on may belong to an escape
// that begins before them. The text ends where the domain begins.
func escape(text []byte, start int) int {
	if start == 0 || start == len(text) {
		return 0
	}
	n := 0
	switch text[start-1] {
	case '%':
		n = 2
	case '\\':
		switch text[start] {
		case 'n', 't', 'r', 'b', 'f', 'v', '0', 'e':
			n = 1
		case 'x':
			n = 3
		case 'u':
			n = 5
		}
	}
	if start+n > len(text) {
		return 0
	}
	return n
}

// indexes yields the places of the word, which is not empty, in the text.
func indexes(text []byte, word string) func(func(int) bool) {
	return func(yield func(int) bool) {
		for from := 0; word != ""; {
			i := bytes.Index(text[from:], []byte(word))
			if i < 0 || !yield(from+i) {
				return
			}
			from += i + len(word)
		}
	}
}
