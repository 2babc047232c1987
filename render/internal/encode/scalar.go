package encode

import (
	"bytes"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"
)

const (
	// width is the column after which a long scalar is broken at the next space.
	width = 80
	// maxSimpleKey is the length in bytes up to which a key is written "key:".
	maxSimpleKey = 128
)

// Classes of ASCII bytes, by what they may do to a plain scalar.
const (
	anyOdd   = 1 << iota // needs a closer look wherever it is
	firstOdd             // needs a closer look as the first byte
)

// classes says which bytes a string must not have, or not begin with, to be
// written as it is without a closer look. The first byte is odd if it begins
// something with a meaning of its own: a number, a word like "no", an indicator.
var classes = [utf8.RuneSelf]uint8{
	0x00: anyOdd, 0x01: anyOdd, 0x02: anyOdd, 0x03: anyOdd, 0x04: anyOdd, 0x05: anyOdd, 0x06: anyOdd, 0x07: anyOdd,
	0x08: anyOdd, 0x09: anyOdd, 0x0a: anyOdd, 0x0b: anyOdd, 0x0c: anyOdd, 0x0d: anyOdd, 0x0e: anyOdd, 0x0f: anyOdd,
	0x10: anyOdd, 0x11: anyOdd, 0x12: anyOdd, 0x13: anyOdd, 0x14: anyOdd, 0x15: anyOdd, 0x16: anyOdd, 0x17: anyOdd,
	0x18: anyOdd, 0x19: anyOdd, 0x1a: anyOdd, 0x1b: anyOdd, 0x1c: anyOdd, 0x1d: anyOdd, 0x1e: anyOdd, 0x1f: anyOdd,
	0x7f: anyOdd, ' ': anyOdd, ':': anyOdd, '#': anyOdd,

	'0': firstOdd, '1': firstOdd, '2': firstOdd, '3': firstOdd, '4': firstOdd,
	'5': firstOdd, '6': firstOdd, '7': firstOdd, '8': firstOdd, '9': firstOdd,
	'+': firstOdd, '-': firstOdd, '.': firstOdd, '~': firstOdd, '<': firstOdd,
	'y': firstOdd, 'Y': firstOdd, 'n': firstOdd, 'N': firstOdd, 't': firstOdd, 'T': firstOdd,
	'f': firstOdd, 'F': firstOdd, 'o': firstOdd, 'O': firstOdd,
	',': firstOdd, '[': firstOdd, ']': firstOdd, '{': firstOdd, '}': firstOdd, '&': firstOdd, '*': firstOdd,
	'!': firstOdd, '|': firstOdd, '>': firstOdd, '\'': firstOdd, '"': firstOdd, '%': firstOdd, '@': firstOdd,
	'`': firstOdd, '?': firstOdd,
}

// plainFast is whether s can be written as it is, on one line. It says no when in
// doubt.
func plainFast(s string) bool {
	if s == "" {
		return false
	}
	first := classes[s[0]&0x7f] & firstOdd
	var class, high uint8
	for i := range len(s) {
		class |= classes[s[i]&0x7f]
		high |= s[i]
	}
	return first|class&anyOdd == 0 && high < utf8.RuneSelf
}

// style is a way to write a string.
type style uint8

const (
	plain style = iota
	singleQuoted
	doubleQuoted
	literal
)

// styleOf is the style for the valid UTF-8 string s.
func styleOf(s string) style {
	if s == "" {
		return doubleQuoted
	}
	var (
		lines      bool // has a line feed
		special    bool // has something that only double quotes can show
		indicator  bool // has something that would end a plain scalar, or begin something else
		spaceBreak bool // has a space before a line feed
	)
	switch s[0] {
	case '#', ',', '[', ']', '{', '}', '&', '*', '!', '|', '>', '\'', '"', '%', '@', '`':
		indicator = true
	case '-', '?':
		indicator = len(s) == 1 || s[1] == ' ' || s[1] == '\t'
	}
	if strings.HasPrefix(s, "---") || strings.HasPrefix(s, "...") {
		indicator = true
	}
	for i := 0; i < len(s); i++ {
		c := s[i]
		if c < utf8.RuneSelf && classes[c]&anyOdd == 0 {
			continue
		}
		switch {
		case c == ' ':
			spaceBreak = spaceBreak || i+1 < len(s) && s[i+1] == '\n'
		case c == '\n':
			lines = true
		case c == ':':
			indicator = indicator || i+1 == len(s) || s[i+1] == ' ' || s[i+1] == '\t'
		case c == '#':
			indicator = indicator || i > 0 && s[i-1] == ' '
		case c < utf8.RuneSelf:
			special = true
		default:
			r, size := utf8.DecodeRuneInString(s[i:])
			special = special || !printable(r)
			i += size - 1
		}
	}

	first, last := s[0], s[len(s)-1]
	switch {
	case special:
		return doubleQuoted
	case lines:
		// A block cannot show spaces at the end of a line well.
		if spaceBreak || last == ' ' {
			return doubleQuoted
		}
		return literal
	case resolves(s):
		return doubleQuoted
	case indicator || first == ' ' || last == ' ':
		return singleQuoted
	}
	return plain
}

// printable is whether r can be shown as it is, given that it is not a line feed.
// Line breaks other than that are not, and neither is what is outside the basic
// plane.
func printable(r rune) bool {
	switch {
	case r < 0x7f:
		return r >= ' '
	case r < 0xa0, r == 0x2028, r == 0x2029, r == 0xfeff:
		return false
	}
	return r <= 0xd7ff || 0xe000 <= r && r <= 0xfffd
}

// resolves is whether a YAML 1.1 reader would take the plain scalar s for something
// other than a string. The empty string does, but is not asked for here.
func resolves(s string) bool {
	switch c := s[0]; c {
	case 'y', 'Y', 'n', 'N', 't', 'T', 'f', 'F', 'o', 'O', '~':
		switch s {
		case "y", "Y", "yes", "Yes", "YES", "on", "On", "ON", "true", "True", "TRUE",
			"n", "N", "no", "No", "NO", "off", "Off", "OFF", "false", "False", "FALSE",
			"~", "null", "Null", "NULL":
			return true
		}
	case '.':
		switch s {
		case ".nan", ".NaN", ".NAN", ".inf", ".Inf", ".INF":
			return true
		}
		if len(s) == 1 || !isDigit(s[1]) {
			return false // the common case of a file name
		}
		_, err := strconv.ParseFloat(s, 64)
		return err == nil
	case '+', '-':
		switch s[1:] {
		case ".inf", ".Inf", ".INF":
			return true
		}
		return isNumber(s) || isBase60(s)
	case '0', '1', '2', '3', '4', '5', '6', '7', '8', '9':
		return isNumber(s) || isBase60(s) || isTimestamp(s)
	}
	return false
}

// isNumber is whether s, which begins with a sign or a digit, is an integer or a
// float. Underscores do not count.
func isNumber(s string) bool {
	// Most of what begins like a number is none: an address, a size, a flag.
	for i := range len(s) {
		switch c := s[i] | 0x20; { // lower case
		case isDigit(s[i]), 'a' <= c && c <= 'f', c == 'x', c == 'o':
		case s[i] == '_', s[i] == '.', s[i] == '+', s[i] == '-':
		default:
			return false
		}
	}
	s = strings.ReplaceAll(s, "_", "")
	if s == "" {
		return false
	}
	digits := s
	if s[0] == '+' || s[0] == '-' {
		digits = s[1:]
	}
	if len(digits) > 1 && digits[0] == '0' && digits[1] > '9' && digits[1]|0x20 != 'e' {
		// A base: 0x, 0o or 0b. The reader sees to 0b itself, and takes a sign
		// after it.
		if _, err := strconv.ParseInt(s, 0, 64); err == nil {
			return true
		}
		if _, err := strconv.ParseUint(s, 0, 64); err == nil {
			return true
		}
		if rest, ok := strings.CutPrefix(s, "0b"); ok {
			_, err := strconv.ParseInt(rest, 2, 64)
			return err == nil
		}
		return false
	}
	// Integers in other forms look like floats. A float has to fit.
	if !isFloat(digits) {
		return false
	}
	_, err := strconv.ParseFloat(s, 64)
	return err == nil
}

// isFloat is whether s reads digits, point, digits, exponent, where there are
// digits before or after the point, and the rest is optional.
func isFloat(s string) bool {
	whole := countDigits(s)
	s = s[whole:]
	if s != "" && s[0] == '.' {
		n := countDigits(s[1:])
		if whole+n == 0 {
			return false
		}
		s = s[1+n:]
	} else if whole == 0 {
		return false
	}
	if s == "" {
		return true
	}
	if s[0]|0x20 != 'e' {
		return false
	}
	s = s[1:]
	if s != "" && (s[0] == '+' || s[0] == '-') {
		s = s[1:]
	}
	return s != "" && countDigits(s) == len(s)
}

func isDigit(c byte) bool { return '0' <= c && c <= '9' }

// countDigits is the number of digits s begins with.
func countDigits(s string) int {
	n := 0
	for n < len(s) && isDigit(s[n]) {
		n++
	}
	return n
}

// isBase60 is whether s is a YAML 1.1 number of the form 1:30:59.9, with an
// optional sign. Readers of YAML 1.2 see a string.
func isBase60(s string) bool {
	if s[0] == '+' || s[0] == '-' {
		s = s[1:]
	}
	head, rest, ok := strings.Cut(s, ":")
	if !ok || head == "" || head[0] == '_' || countDigits(strings.ReplaceAll(head, "_", "0")) != len(head) {
		return false
	}
	rest, fraction, _ := strings.Cut(rest, ".")
	if strings.Trim(fraction, "0123456789_") != "" {
		return false
	}
	for part := range strings.SplitSeq(rest, ":") {
		n := countDigits(part)
		if n != len(part) || n == 0 || n > 2 || n == 2 && part[0] > '5' {
			return false
		}
	}
	return true
}

// isTimestamp is whether s is a date, or a date and a time.
func isTimestamp(s string) bool {
	if len(s) < 5 || countDigits(s) != 4 || s[4] != '-' {
		return false
	}
	for _, layout := range [...]string{
		"2006-1-2T15:4:5.999999999Z07:00",
		"2006-1-2t15:4:5.999999999Z07:00",
		"2006-1-2 15:4:5.999999999",
		"2006-1-2",
	} {
		if _, err := time.Parse(layout, s); err == nil {
			return true
		}
	}
	return false
}

// simpleKey appends s as the key of a mapping, with its colon, if that is possible
// on one line.
func (e *encoder) simpleKey(s string) bool {
	if len(s) > maxSimpleKey || strings.ContainsAny(s, "\n\r") {
		return false
	}
	switch st := styleOf(s); {
	case s == "<<": // plain, it would merge its value into the mapping
		e.buf = append(e.buf, `"<<"`...)
	case st == plain:
		e.buf = append(e.buf, s...)
	case st == singleQuoted:
		e.buf = appendSingle(e.buf, s, noWrap, 0)
	default:
		e.double(s, noWrap, 0)
	}
	e.buf = append(e.buf, ':')
	return true
}

// noWrap is a column so far left that no line gets too long.
const noWrap = -1 << 31

// styled appends s in the style it needs, and a newline. Further lines are
// indented by indent.
func (e *encoder) styled(s string, indent int) {
	s = validUTF8(s)
	st := styleOf(s)
	if st == literal {
		e.buf = appendLiteralBlock(e.buf, s, indent)
		return
	}

	// A line is only broken at a space.
	column := noWrap
	if strings.IndexByte(s, ' ') >= 0 {
		line := e.base + bytes.LastIndexByte(e.buf[e.base:], '\n') + 1
		column = utf8.RuneCount(e.buf[line:])
	}
	switch st {
	case plain:
		e.buf = appendPlain(e.buf, s, column, indent)
	case singleQuoted:
		e.buf = appendSingle(e.buf, s, column, indent)
	default:
		e.double(s, column, indent)
	}
	e.buf = append(e.buf, '\n')
}

// appendPlain appends s, which goes at the given column, as a plain scalar.
func appendPlain(dst []byte, s string, column, indent int) []byte {
	if column+len(s) <= width {
		return append(dst, s...)
	}
	afterSpace := false
	for i, r := range s {
		// A plain scalar has no space at its end.
		if r == ' ' && !afterSpace && column > width && s[i+1] != ' ' {
			dst = appendBreak(dst, indent)
			column = indent
		} else {
			dst = utf8.AppendRune(dst, r)
			column++
		}
		afterSpace = r == ' '
	}
	return dst
}

// appendSingle appends s, which goes at the given column, in single quotes.
func appendSingle(dst []byte, s string, column, indent int) []byte {
	dst = append(dst, '\'')
	column++
	afterSpace := false
	for i, r := range s {
		if r == ' ' && !afterSpace && column > width && i > 0 && i < len(s)-1 && s[i+1] != ' ' {
			dst = appendBreak(dst, indent)
			column = indent
		} else {
			if r == '\'' {
				dst = append(dst, '\'')
				column++
			}
			dst = utf8.AppendRune(dst, r)
			column++
		}
		afterSpace = r == ' '
	}
	return append(dst, '\'')
}

// double writes s, which goes at the given column, in double quotes, and takes
// it down if it does not stand there as it is.
func (e *encoder) double(s string, column, indent int) {
	start := len(e.buf)
	e.buf = appendDouble(e.buf, s, column, indent)
	if string(e.buf[start+1:len(e.buf)-1]) == s {
		return
	}
	e.escaped = append(dropEscaped(e.escaped, start), Escaped{Start: start, End: len(e.buf), Value: s})
}

// dropEscaped drops strings that were written and taken back: those that end
// behind the first n bytes.
func dropEscaped(all []Escaped, n int) []Escaped {
	for len(all) > 0 && all[len(all)-1].End > n {
		all = all[:len(all)-1]
	}
	return all
}

// appendDouble appends s, which goes at the given column, in double quotes.
func appendDouble(dst []byte, s string, column, indent int) []byte {
	dst = append(dst, '"')
	column++
	// The library takes a byte order mark at the start for one at every place.
	bom := strings.HasPrefix(s, "\ufeff")
	afterSpace := false
	for i, r := range s {
		switch {
		case bom || r == '"' || r == '\\' || !printable(r):
			n := len(dst)
			dst = appendEscape(dst, r)
			column += len(dst) - n
			afterSpace = false
			continue
		case r == ' ' && !afterSpace && column > width && i > 0 && i < len(s)-1:
			dst = appendBreak(dst, indent)
			column = indent
			if s[i+1] == ' ' {
				dst = append(dst, '\\') // else the next one would be lost
				column++
			}
		default:
			dst = utf8.AppendRune(dst, r)
			column++
		}
		afterSpace = r == ' '
	}
	return append(dst, '"')
}

func appendEscape(dst []byte, r rune) []byte {
	switch r {
	case 0:
		return append(dst, '\\', '0')
	case '\a':
		return append(dst, '\\', 'a')
	case '\b':
		return append(dst, '\\', 'b')
	case '\t':
		return append(dst, '\\', 't')
	case '\n':
		return append(dst, '\\', 'n')
	case '\v':
		return append(dst, '\\', 'v')
	case '\f':
		return append(dst, '\\', 'f')
	case '\r':
		return append(dst, '\\', 'r')
	case 0x1b:
		return append(dst, '\\', 'e')
	case '"', '\\':
		return append(dst, '\\', byte(r))
	case 0x85:
		return append(dst, '\\', 'N')
	case 0xa0:
		return append(dst, '\\', '_')
	case 0x2028:
		return append(dst, '\\', 'L')
	case 0x2029:
		return append(dst, '\\', 'P')
	}
	letter, digits := byte('x'), 2
	switch {
	case r > 0xffff:
		letter, digits = 'U', 8
	case r > 0xff:
		letter, digits = 'u', 4
	}
	dst = append(dst, '\\', letter)
	for shift := 4 * (digits - 1); shift >= 0; shift -= 4 {
		dst = append(dst, "0123456789ABCDEF"[r>>shift&0xf])
	}
	return dst
}

// appendLiteralBlock appends s, which has line feeds, as a literal block, up to
// and with its last newline.
func appendLiteralBlock(dst []byte, s string, indent int) []byte {
	dst = append(dst, '|')
	if s[0] == ' ' || s[0] == '\n' {
		// The first line does not show where the text begins.
		dst = append(dst, '0'+indentStep)
	}
	switch {
	case !strings.HasSuffix(s, "\n"):
		dst = append(dst, '-')
	case s == "\n" || strings.HasSuffix(s, "\n\n"):
		dst = append(dst, '+')
	}
	dst = append(dst, '\n')
	for line := range strings.Lines(s) {
		if line != "\n" {
			dst = appendBlanks(dst, indent)
		}
		dst = append(dst, line...)
	}
	if !strings.HasSuffix(s, "\n") {
		dst = append(dst, '\n')
	}
	return dst
}

// appendBreak breaks the line.
func appendBreak(dst []byte, indent int) []byte {
	return appendBlanks(append(dst, '\n'), indent)
}

func appendBlanks(dst []byte, n int) []byte {
	const blanks = "                                                                "
	for n > len(blanks) {
		dst = append(dst, blanks...)
		n -= len(blanks)
	}
	return append(dst, blanks[:n]...)
}
