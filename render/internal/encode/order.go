package encode

import (
	"cmp"
	"encoding"
	"fmt"
	"reflect"
	"slices"
	"strconv"
	"strings"
	"unicode"
	"unicode/utf8"
)

// entry is an entry of a map: of a map[string]string with its value, of another
// map with the place of the value in a table.
type entry struct {
	key   string
	value string
	index int
}

// table holds the entries of a map while they are sorted and written.
type table struct {
	entries []entry
	values  reflect.Value // slice of the map's values, in the map's own order
	key     reflect.Value // the key at hand
	iter    reflect.MapIter
}

func newTable(m reflect.Type) *table {
	return &table{
		values: reflect.New(reflect.SliceOf(m.Elem())).Elem(),
		key:    reflect.New(m.Key()).Elem(),
	}
}

// load fills the table from m, with the keys in output order.
func (t *table) load(p *plan, m reflect.Value) error {
	n := m.Len()
	t.values.Grow(n)
	t.values.SetLen(n)
	t.iter.Reset(m)
	for i := 0; t.iter.Next() && i < n; i++ {
		t.key.SetIterKey(&t.iter)
		name, err := keyName(t.key)
		if err != nil {
			return fmt.Errorf("map key: %w", err)
		}
		t.entries = append(t.entries, entry{key: name, index: i})
		t.values.Index(i).SetIterValue(&t.iter)
	}
	t.entries = sortEntries(t.entries)
	return nil
}

func (t *table) clear() {
	clear(t.entries)
	t.entries = t.entries[:0]
	t.values.Clear()
	t.values.SetLen(0)
	t.key.SetZero()
	t.iter.Reset(reflect.Value{})
}

// keyName is the JSON name of a map key.
func keyName(k reflect.Value) (string, error) {
	if k.Kind() == reflect.String {
		return k.String(), nil
	}
	if m, ok := k.Interface().(encoding.TextMarshaler); ok {
		if k.Kind() == reflect.Pointer && k.IsNil() {
			return "", nil
		}
		b, err := callText(m)
		return string(b), err
	}
	if k.CanInt() {
		return strconv.FormatInt(k.Int(), 10), nil
	}
	return strconv.FormatUint(k.Uint(), 10), nil
}

// sortEntries puts map entries in output order. Where keys are equal, which takes
// keys that are not UTF-8 or marshal to the same text, the last one is kept, as a
// JSON reader does.
func sortEntries(s []entry) []entry {
	odd := false
	for i := range s {
		odd = odd || hasOddByte(s[i].key)
	}
	if odd {
		// The natural order is not quite an order when there are digits, so
		// the result depends on where one starts: not from the random order
		// that maps have.
		slices.SortFunc(s, func(a, b entry) int { return cmp.Compare(a.key, b.key) })
		for i := range s {
			s[i].key = validUTF8(s[i].key)
		}
	}
	if len(s) <= 12 {
		for i := 1; i < len(s); i++ {
			for j := i; j > 0 && natural(s[j].key, s[j-1].key) < 0; j-- {
				s[j], s[j-1] = s[j-1], s[j]
			}
		}
	} else {
		slices.SortStableFunc(s, func(a, b entry) int { return natural(a.key, b.key) })
	}
	n := 0
	for i := range s {
		if i+1 < len(s) && s[i].key == s[i+1].key {
			continue
		}
		s[n] = s[i]
		n++
	}
	return s[:n]
}

// hasOddByte is whether s has digits or anything beyond ASCII.
func hasOddByte(s string) bool {
	for i := range len(s) {
		if c := s[i]; c >= utf8.RuneSelf || '0' <= c && c <= '9' {
			return true
		}
	}
	return false
}

// validUTF8 is s with each byte that is not UTF-8 replaced, as in JSON.
func validUTF8(s string) string {
	if utf8.ValidString(s) {
		return s
	}
	var b strings.Builder
	for _, r := range s { // yields U+FFFD for each such byte
		b.WriteRune(r)
	}
	return b.String()
}

// natural compares two keys: runs of digits by their number, letters after
// everything else, a prefix before what it begins.
func natural(a, b string) int {
	n := min(len(a), len(b))
	i := 0
	for i < n && a[i] == b[i] {
		i++
	}
	if i == n {
		return cmp.Compare(len(a), len(b))
	}
	for i > 0 && !utf8.RuneStart(a[i]) {
		i-- // the same rune up to here, not yet at its end
	}
	ra, _ := utf8.DecodeRuneInString(a[i:])
	rb, _ := utf8.DecodeRuneInString(b[i:])
	switch la, lb := unicode.IsLetter(ra), unicode.IsLetter(rb); {
	case la && lb:
		return cmp.Compare(ra, rb)
	case la:
		return 1
	case lb:
		return -1
	}

	// After a digit other than 0, a 0 is a digit of that number and counts. A 1
	// before both runs makes them so.
	var first int64
	if ra == '0' || rb == '0' {
		for before := a[:i]; ; {
			r, size := utf8.DecodeLastRuneInString(before)
			if size == 0 || !unicode.IsDigit(r) {
				break
			}
			if r != '0' {
				first = 1
				break
			}
			before = before[:len(before)-size]
		}
	}
	na, da := number(a[i:], first)
	nb, db := number(b[i:], first)
	return cmp.Or(cmp.Compare(na, nb), cmp.Compare(da, db), cmp.Compare(ra, rb))
}

// number reads the digits at the start of s, after those of n. It may overflow,
// which is part of the order.
func number(s string, n int64) (value int64, digits int) {
	for _, r := range s {
		if !unicode.IsDigit(r) {
			break
		}
		n = n*10 + int64(r-'0')
		digits++
	}
	return n, digits
}
