package render

import (
	"bytes"
	"fmt"
	"strings"
)

// checkAddresses finds addresses that have no business in a rendered text:
// another environment's domain, and plain HTTP to the own one. It reads the
// encoded text, so nothing that reaches the cluster gets past it.
func (m *maker) checkAddresses(text []byte) []error {
	own := m.tree.Domain
	if own == "" && len(m.tree.ForeignDomains) == 0 {
		return nil
	}
	// Hosts have no case. This is ASCII only, so places stay where they are.
	m.lower = m.lower[:0]
	for _, c := range text {
		if 'A' <= c && c <= 'Z' {
			c += 'a' - 'A'
		}
		m.lower = append(m.lower, c)
	}
	var errs []error
	for _, domain := range m.tree.ForeignDomains {
		for at := range indexes(m.lower, domain) {
			host := hostAround(m.lower, at)
			// An own domain below the foreign one, such as dev.example.com
			// beside example.com, is not foreign.
			if below(host, domain) && !(len(own) > len(domain) && below(host, own)) {
				errs = append(errs, fmt.Errorf("%q holds %s, of the domain of another environment: take the address from the environment", line(text, at), host))
			}
		}
	}
	if own == "" {
		return errs
	}
	const scheme = "http://"
	for at := range indexes(m.lower, scheme) {
		start := at + len(scheme)
		if host := hostAround(m.lower, start+userinfo(m.lower[start:])); below(host, own) {
			errs = append(errs, fmt.Errorf("%q sends to %s in plain HTTP: public addresses are https://", line(text, at), host))
		}
	}
	return errs
}

// userinfo is the length of the user and password that begin an address, with
// the @ behind them.
func userinfo(address []byte) int {
	n := 0
	for i, c := range address {
		switch c {
		case '@':
			n = i + 1
		case '/', '?', '#', ' ', ',', '"', '\'', '\n':
			return n
		}
	}
	return n
}

// below says that the host is the domain or below it.
func below(host, domain string) bool {
	return host == domain || strings.HasSuffix(host, "."+domain)
}

// hostAround is the host name that stands around a place.
func hostAround(text []byte, at int) string {
	isHost := func(c byte) bool {
		return 'a' <= c && c <= 'z' || '0' <= c && c <= '9' || c == '-' || c == '.'
	}
	start, end := at, at
	for start > 0 && isHost(text[start-1]) {
		start--
	}
	for end < len(text) && isHost(text[end]) {
		end++
	}
	return strings.Trim(string(text[start:end]), ".")
}

// indexes are the places of the word in the text.
func indexes(text []byte, word string) func(func(int) bool) {
	return func(yield func(int) bool) {
		for from := 0; ; {
			i := bytes.Index(text[from:], []byte(word))
			if i < 0 || !yield(from+i) {
				return
			}
			from += i + len(word)
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
