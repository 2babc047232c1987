package render

import (
	"bytes"
	"fmt"
	"strings"

	"git.lastcloud.io/ronnibaslund/dezky/fleet/render/internal/encode"
)

// checkObject finds addresses that have no business in an object. The text is
// its YAML, so nothing that reaches the cluster gets past it but what is
// written as base64; the escaped strings are those of which the YAML is not
// what a reader gets, with their places in the text.
func (m *maker) checkObject(text []byte, escaped []encode.Escaped) []error {
	if len(escaped) == 0 {
		return m.checkAddresses(text)
	}
	m.values = m.values[:0]
	done := 0
	for _, s := range escaped {
		m.values = append(m.values, text[done:s.Start]...)
		m.values = append(m.values, s.Value...)
		done = s.End
	}
	m.values = append(m.values, text[done:]...)
	return m.checkAddresses(m.values)
}

// checkAddresses finds addresses that have no business in a text: another
// environment's domain, and plain HTTP to an own one.
func (m *maker) checkAddresses(text []byte) []error {
	var errs []error
	for _, hit := range m.domains.Find(text) {
		if hit.Foreign {
			errs = append(errs, fmt.Errorf("%q holds %s, of the domain of another environment: take the address from the environment", line(text, hit.At), hit.Host))
		} else {
			errs = append(errs, fmt.Errorf("%q sends to %s in plain HTTP: public addresses are https://", line(text, hit.At), hit.Host))
		}
	}
	return errs
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
