package deploy

import (
	"regexp"
	"strings"
	"unicode"
)

const blank = "[…]"

var (
	// user:password@ before a host. A password may hold what should have been
	// escaped in it, a slash too; a port and a path are none.
	credentials = regexp.MustCompile(`([a-zA-Z][a-zA-Z0-9+.-]*://)([^\s/"'<>]+@|[^\s/@:"'<>]*:[^\s@"'<>]*@)`)
	portAndPath = regexp.MustCompile(`://[^\s/@:]*:[0-9]+/`)
	bearer      = regexp.MustCompile(`(?i)\b(bearer|basic|token)\s+[A-Za-z0-9+/=_.~-]{8,}`)
	// key=value and "key": "value", where the key says that it is a secret.
	named = regexp.MustCompile(`(?i)((?:password|passwd|secret|token|api[_-]?key|private[_-]?key|credential|authorization|cookie)[A-Za-z0-9_-]*["']?\s*[:=]\s*)("[^"]*"|'[^']*'|[^\s,;&]+)`)
	word  = regexp.MustCompile(`[A-Za-z0-9+/=_.-]{16,}`)
)

// redact blanks what may be a secret in the words of a container or of the
// cluster: credentials in addresses, bearer tokens, values whose names say it,
// and long words that look random.
func redact(s string) string {
	s = credentials.ReplaceAllStringFunc(s, func(address string) string {
		if portAndPath.MatchString(address) {
			return address
		}
		return credentials.ReplaceAllString(address, "${1}"+blank+"@")
	})
	s = bearer.ReplaceAllString(s, "${1} "+blank)
	s = named.ReplaceAllString(s, "${1}"+blank)
	return word.ReplaceAllStringFunc(s, func(w string) string {
		if random(w) {
			return blank
		}
		return w
	})
}

// random reports whether a word looks like a key rather than like a name or a
// path. One without separators is a key where it changes often between small
// letters, capitals and digits, or is hex. Base64 has separators of its own: a
// word with a few of them is a key where it has letters of both kinds.
func random(w string) bool {
	separator := func(r rune) bool { return strings.ContainsRune("./_-+=", r) }
	for part := range strings.FieldsFuncSeq(w, separator) {
		least := 6
		if !strings.ContainsFunc(part, unicode.IsDigit) {
			least = 4 // a name of many words changes too
		}
		if len(part) >= 16 && changes(part)*least >= len(part) || len(part) >= 24 && isHex(part) {
			return true
		}
	}
	parts := strings.FieldsFunc(w, separator)
	joined := strings.Join(parts, "")
	return len(joined) >= 20 && len(parts) <= 1+len(joined)/5 && changes(joined)*5 >= len(joined) &&
		strings.ContainsFunc(joined, unicode.IsUpper) && strings.ContainsFunc(joined, unicode.IsLower)
}

// changes counts how often a word changes between small letters, capitals and
// digits. A capital that begins a word of small letters is none, as in
// camelCase.
func changes(s string) int {
	const digit, upper, lower = 1, 2, 3
	class := func(r rune) int {
		switch {
		case unicode.IsDigit(r):
			return digit
		case unicode.IsUpper(r):
			return upper
		}
		return lower
	}
	n, last := 0, 0
	for _, r := range s {
		now := class(r)
		if last != 0 && now != last && !(last == upper && now == lower) {
			n++
		}
		last = now
	}
	return n
}

func isHex(s string) bool { return strings.Trim(s, "0123456789abcdef") == "" }
