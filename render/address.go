package render

import (
	"bytes"
	"fmt"
	"strings"
)

// checkAddresses finds addresses that have no business in a rendered text:
// another environment's domain, and plain HTTP to the own one. It reads the
// encoded text, so nothing that reaches the cluster gets past it.
func (t Tree) checkAddresses(text []byte) []error {
	var errs []error
	for _, domain := range t.ForeignDomains {
		for at := range indexes(text, domain) {
			errs = append(errs, fmt.Errorf("%q holds %s, the domain of another environment: take the address from the environment", line(text, at), domain))
		}
	}
	if t.Domain == "" {
		return errs
	}
	for at := range indexes(text, "http://") {
		rest := text[at+len("http://"):]
		if end := bytes.IndexFunc(rest, func(r rune) bool { return !hostRune(r) }); end >= 0 {
			rest = rest[:end]
		}
		host := string(rest)
		if host == t.Domain || strings.HasSuffix(host, "."+t.Domain) {
			errs = append(errs, fmt.Errorf("%q sends to %s in plain HTTP: public addresses are https://", line(text, at), host))
		}
	}
	return errs
}

func hostRune(r rune) bool {
	return 'a' <= r && r <= 'z' || 'A' <= r && r <= 'Z' || '0' <= r && r <= '9' || r == '-' || r == '.'
}

// indexes are the places of the word in the text, one for each line.
func indexes(text []byte, word string) func(func(int) bool) {
	return func(yield func(int) bool) {
		for from := 0; ; {
			i := bytes.Index(text[from:], []byte(word))
			if i < 0 || !yield(from+i) {
				return
			}
			next := bytes.IndexByte(text[from+i:], '\n')
			if next < 0 {
				return
			}
			from += i + next
		}
	}
}

// line is the line of the text around a place.
func line(text []byte, at int) string {
	start := bytes.LastIndexByte(text[:at], '\n') + 1
	end := len(text)
	if i := bytes.IndexByte(text[at:], '\n'); i >= 0 {
		end = at + i
	}
	return strings.TrimSpace(string(text[start:end]))
}
