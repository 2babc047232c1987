package encode

import (
	"encoding/json"
	"flag"
	"math/rand"
	"strings"
	"testing"
	"unicode"

	"k8s.io/apimachinery/pkg/api/equality"
	"k8s.io/apimachinery/pkg/runtime"
	"sigs.k8s.io/yaml"
)

// exceptional is whether s has what the package writes in another way than the
// library, see TestExceptions.
func exceptional(s string) bool {
	if s == "<<" {
		return true
	}
	if b, err := json.Marshal(s); err != nil || len(b) > 1000 {
		return true
	}
	return strings.ContainsFunc(s, func(r rune) bool {
		return r == 0x2028 || r == 0x2029 || r == 0xfffe || r == 0xffff ||
			unicode.IsControl(r) && r >= 0x7f
	})
}

// FuzzString writes a string as value, key, list element and deep inside.
func FuzzString(f *testing.F) {
	for _, s := range awkward {
		f.Add(s)
	}
	f.Add("<<")
	f.Add("a\u2028b\u0085\x7f\xff")
	f.Fuzz(func(t *testing.T, s string) {
		obj := everywhereWith(s)
		out, err := Append(nil, obj)
		if err != nil {
			t.Fatal(err)
		}
		if !exceptional(s) {
			check(t, obj)
		}
		var back everywhere
		if err := yaml.Unmarshal(out, &back); err != nil {
			t.Fatalf("%v in\n%s", err, out)
		}
		// What is read back has U+FFFD for invalid UTF-8, and no nulls.
		want := everywhereWith(validUTF8(s))
		want.Nested["k"][1] = nil
		if !equality.Semantic.DeepEqual(&back, want) {
			t.Errorf("reads back as\n%+v from\n%s", back, out)
		}
	})
}

// FuzzTree writes random JSON, in random nesting.
func FuzzTree(f *testing.F) {
	for seed := range int64(300) {
		f.Add(seed, "x", 1.5)
	}
	f.Fuzz(func(t *testing.T, seed int64, s string, n float64) {
		if exceptional(s) {
			return
		}
		m := randomMap(rand.New(rand.NewSource(seed)), 6)
		m["s"] = s
		m["k"] = map[string]any{s: []any{s, nil, []any{}, map[string]any{s: nil}}, "n": n}
		delete(m, "<<")
		raw, err := json.Marshal(m)
		if err != nil {
			return // not a number
		}
		if strings.Contains(string(raw), `"\u003c\u003c":`) {
			return
		}
		check(t, &struct {
			X any
			R runtime.RawExtension
			J json.RawMessage
			L []json.RawMessage
		}{m, runtime.RawExtension{Raw: raw}, raw, []json.RawMessage{raw, raw}})
	})
}

var randomStrings = flag.Int("random-strings", 2000, "number of strings for TestRandomStrings")

// TestRandomStrings puts strings together from pieces that matter.
func TestRandomStrings(t *testing.T) {
	alphabets := [][]string{
		strings.Split("0123456789", ""),
		strings.Split("01289_+-.:eExXbBoOaf", ""),
		strings.Split("0123456789-:.TtZ +", ""),
		strings.Split("a -:#?,[]{}&*!|>'\"%@`\\=<~.", ""),
		{" ", "  ", "a", "\n", "\n\n", "word ", "é", ":", "#", "-", "\t"},
		{" ", "a", "\n", "\r", "\x00", "😀", "日本", "\ufeff", "\u00a0", "\"", "'", "\\"},
		{" ", "  ", "word", "longer", "words ", ", ", "é", "'", ": ", "\"", "\x01", "日本", " #"},
		{"yes", "no", "Null", "~", "true", "n", "ON", ".inf", ".nan", "+", "-", " "},
	}
	r := rand.New(rand.NewSource(1))
	for range *randomStrings {
		a := alphabets[r.Intn(len(alphabets))]
		var b strings.Builder
		for n := 1 + r.Intn(1<<(1+r.Intn(6))); n > 0; n-- {
			b.WriteString(a[r.Intn(len(a))])
		}
		s := b.String()
		if exceptional(s) {
			continue
		}
		out := check(t, &struct {
			V string
			L [][]string
			M map[string]any
		}{s, [][]string{{s}}, map[string]any{s: []any{s}, "x": s}})
		var back struct{ V string }
		if err := yaml.Unmarshal(out, &back); err != nil || back.V != s {
			t.Fatalf("%q reads back as %q, %v", s, back.V, err)
		}
	}
}
