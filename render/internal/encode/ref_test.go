package encode

import (
	"bytes"
	"encoding"
	"encoding/json"
	"fmt"
	"math/rand"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	apiextensionsv1 "k8s.io/apiextensions-apiserver/pkg/apis/apiextensions/v1"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/util/intstr"
	"sigs.k8s.io/randfill"
	"sigs.k8s.io/yaml"
)

// reference is the YAML the package promises, made the long way round: the JSON
// of obj as a tree, the noise taken out of that, and sigs.k8s.io/yaml for the rest.
func reference(obj any) ([]byte, error) {
	tree, err := pruned(obj)
	if err != nil {
		return nil, err
	}
	return yaml.Marshal(tree)
}

func pruned(obj any) (any, error) {
	b, err := json.Marshal(obj)
	if err != nil {
		return nil, err
	}
	d := json.NewDecoder(bytes.NewReader(b))
	d.UseNumber()
	var tree any
	if err := d.Decode(&tree); err != nil {
		return nil, err
	}
	if m, ok := tree.(map[string]any); ok {
		delete(m, "status")
	}
	return prune(tree, reflect.ValueOf(obj)), nil
}

// prune takes the noise out of tree, the JSON of v. Where v says nothing about the
// JSON, it is invalid.
func prune(tree any, v reflect.Value) any {
	for v.IsValid() && (v.Kind() == reflect.Pointer || v.Kind() == reflect.Interface) {
		v = v.Elem()
	}
	if v.IsValid() && hasOwnForm(v.Type()) {
		v = reflect.Value{}
	}
	switch tree := tree.(type) {
	case []any:
		for i := range tree {
			var elem reflect.Value
			if v.IsValid() {
				elem = v.Index(i)
			}
			tree[i] = prune(tree[i], elem)
		}
	case map[string]any:
		for k, x := range tree {
			var elem reflect.Value
			inStruct := false
			if v.IsValid() && v.Kind() == reflect.Map {
				for _, key := range v.MapKeys() {
					if fmt.Sprint(key.Interface()) == k {
						elem = v.MapIndex(key)
					}
				}
			} else if v.IsValid() {
				elem, inStruct = fieldByJSON(v, k), true
				if !elem.IsValid() {
					panic("no field for " + k + " in " + v.Type().String())
				}
			}
			x = prune(x, elem)
			m, isMap := x.(map[string]any)
			switch {
			case x == nil,
				inStruct && elem.Kind() == reflect.Struct && elem.IsZero(),
				inStruct && elem.Kind() == reflect.Struct && isMap && len(m) == 0:
				delete(tree, k)
			default:
				tree[k] = x
			}
		}
	}
	return tree
}

func hasOwnForm(t reflect.Type) bool {
	for _, t := range []reflect.Type{t, reflect.PointerTo(t)} {
		if t.Implements(reflect.TypeFor[json.Marshaler]()) || t.Implements(reflect.TypeFor[encoding.TextMarshaler]()) {
			return true
		}
	}
	return false
}

// fieldByJSON finds a field by its JSON name, those of v itself before those of
// embedded structs.
func fieldByJSON(v reflect.Value, name string) reflect.Value {
	if v.Kind() == reflect.Pointer {
		v = v.Elem()
	}
	if !v.IsValid() {
		return v
	}
	var embedded []reflect.Value
	for i := range v.NumField() {
		sf := v.Type().Field(i)
		tag, _, _ := strings.Cut(sf.Tag.Get("json"), ",")
		switch {
		case tag == name, tag == "" && !sf.Anonymous && sf.Name == name:
			return v.Field(i)
		case tag == "" && sf.Anonymous:
			embedded = append(embedded, v.Field(i))
		}
	}
	for _, e := range embedded {
		if f := fieldByJSON(e, name); f.IsValid() {
			return f
		}
	}
	return reflect.Value{}
}

// check compares Append with the reference.
func check(t testing.TB, obj any) []byte {
	t.Helper()
	want, err := reference(obj)
	if err != nil {
		t.Fatalf("reference: %v", err)
	}
	const before = "---\n"
	got, err := Append([]byte(before), obj)
	if err != nil {
		t.Fatalf("Append: %v", err)
	}
	rest, ok := bytes.CutPrefix(got, []byte(before))
	if !ok {
		t.Fatalf("Append does not append: %q", got)
	}
	if !bytes.Equal(rest, want) && !ambiguous(obj) {
		t.Fatalf("%T:\n%s", obj, difference(rest, want))
	}
	return rest
}

// difference shows where two texts part.
func difference(got, want []byte) string {
	g, w := strings.SplitAfter(string(got), "\n"), strings.SplitAfter(string(want), "\n")
	for i := range g {
		if i >= len(w) || g[i] != w[i] {
			from := max(i-3, 0)
			return fmt.Sprintf("line %d\n got %q\nwant %q", i+1, g[from:min(i+3, len(g))], w[min(from, len(w)):min(i+3, len(w))])
		}
	}
	return fmt.Sprintf("got ends early:\n got %q\nwant %q", got, want)
}

// ambiguous is whether the JSON of obj has a map whose keys the natural order does
// not put in a line. The reference is random then.
func ambiguous(obj any) bool {
	tree, _ := pruned(obj)
	return circular(tree)
}

func circular(tree any) bool {
	switch tree := tree.(type) {
	case []any:
		return slices.ContainsFunc(tree, circular)
	case map[string]any:
		var keys []string
		for k, x := range tree {
			if circular(x) {
				return true
			}
			keys = append(keys, k)
		}
		for _, a := range keys {
			for _, b := range keys {
				for _, c := range keys {
					if natural(a, b) < 0 && natural(b, c) < 0 && natural(c, a) < 0 {
						return true
					}
				}
			}
		}
	}
	return false
}

// filler fills objects with values that read back as they were, so no pointer
// to anything that is null in JSON: a wild mix of strings, and times to the second.
func filler(seed int64) *randfill.Filler {
	return randfill.NewWithSeed(seed).NilChance(0.4).NumElements(0, 3).MaxDepth(14).Funcs(
		func(s *string, c randfill.Continue) { *s = randomString(c.Rand) },
		func(b *[]byte, c randfill.Continue) {
			*b = []byte(randomString(c.Rand))
			if c.Bool() {
				c.Rand.Read(*b)
			}
		},
		func(q *resource.Quantity, c randfill.Continue) {
			switch c.Intn(5) {
			case 0:
			case 1:
				*q = *resource.NewMilliQuantity(c.Int63n(1e7), resource.DecimalSI)
			case 2:
				*q = *resource.NewQuantity(c.Int63n(1<<40)<<10, resource.BinarySI)
			case 3:
				*q = resource.MustParse([]string{"0", "1", "100m", "1Gi", "1500Mi", "1e3", "12E", "0.5", "1.25Gi", "-3k"}[c.Intn(10)])
			case 4:
				*q = *resource.NewQuantity(c.Int63n(1000), resource.DecimalExponent)
			}
		},
		func(i *intstr.IntOrString, c randfill.Continue) {
			if c.Bool() {
				*i = intstr.FromInt32(c.Int31n(3) * 40)
			} else {
				*i = intstr.FromString(randomString(c.Rand))
			}
		},
		func(t *metav1.Time, c randfill.Continue) {
			*t = metav1.Unix(c.Int63n(1<<33), 0)
		},
		func(t *metav1.MicroTime, c randfill.Continue) {
			*t = metav1.NewMicroTime(time.UnixMicro(c.Int63n(1 << 50)))
		},
		func(t *time.Time, c randfill.Continue) { *t = time.Unix(c.Int63n(1<<33), 0).UTC() },
		func(d *metav1.Duration, c randfill.Continue) {
			d.Duration = time.Duration(c.Int63n(3) * c.Int63n(1e15))
		},
		func(r *runtime.RawExtension, c randfill.Continue) {
			m := randomMap(c.Rand, 3)
			m["x"] = "y"
			r.Raw, _ = json.Marshal(m)
		},
		func(j *apiextensionsv1.JSON, c randfill.Continue) {
			m := randomMap(c.Rand, 3)
			m["x"] = "y"
			j.Raw, _ = json.Marshal(m)
		},
		func(o *runtime.Object, c randfill.Continue) { *o = nil },
		func(f *metav1.FieldsV1, c randfill.Continue) {
			*f = *metav1.NewFieldsV1(`{"f:metadata":{"f:labels":{".":{},"f:app":{}}}}`)
		},
	)
}

// randomString is often one of the awkward strings.
func randomString(r *rand.Rand) string {
	for {
		// sigs.k8s.io/yaml cannot read its own JSON if a key is longer than 1024.
		if s := anyString(r); len(s) < 300 {
			return s
		}
	}
}

func anyString(r *rand.Rand) string {
	switch r.Intn(8) {
	case 0, 1, 2:
		return awkward[r.Intn(len(awkward))]
	case 3:
		return strings.Repeat(awkward[r.Intn(len(awkward))]+" ", r.Intn(30))
	case 4:
		return awkward[r.Intn(len(awkward))] + "\n" + awkward[r.Intn(len(awkward))]
	}
	const letters = "abcdefghijklmnopqrstuvwxyz-./0123456789"
	b := make([]byte, r.Intn(20))
	for i := range b {
		b[i] = letters[r.Intn(len(letters))]
	}
	return string(b)
}

// randomMap is a JSON object without nulls.
func randomMap(r *rand.Rand, depth int) map[string]any {
	m := map[string]any{}
	for range r.Intn(4) {
		m[randomString(r)] = randomJSON(r, depth-1)
	}
	return m
}

func randomJSON(r *rand.Rand, depth int) any {
	n := 6
	if depth <= 0 {
		n = 4
	}
	switch r.Intn(n) {
	case 0:
		return r.Int63n(1 << 40)
	case 1:
		return r.Intn(2) == 0
	case 2, 3:
		return randomString(r)
	case 4:
		return randomMap(r, depth)
	}
	l := []any{}
	for range r.Intn(4) {
		l = append(l, randomJSON(r, depth-1))
	}
	return l
}

// awkward are strings that one or the other YAML reader takes for something else,
// or that need care in writing.
var awkward = []string{
	"", " ", "  ", "a", "a b", " a", "a ", "a  b", "\t", "a\tb", "\ta", "a\t",
	// words
	"y", "Y", "yes", "Yes", "YES", "n", "N", "no", "No", "NO", "true", "True", "TRUE", "tRue",
	"false", "False", "FALSE", "on", "On", "ON", "off", "Off", "OFF", "null", "Null", "NULL", "nUll", "~", "~a",
	"nil", "none", "yess", "nope", "total", "oN", "order", "f", "t", "o",
	// numbers
	"0", "1", "-1", "+1", "00", "01", "08", "09", "0777", "-0777", "0o7", "0o8", "-0o7", "0O7", "0x", "0x1F", "0X1f", "-0x1F", "+0x1F", "0xg", "0x1p-2",
	"0b1", "0B1", "0b2", "-0b1", "+0b1", "0b", "0b-1", "0b+1", "-0b-1", "-0b+1", "0b_1", "0x_1", "_1", "1_", "1_000", "1__0", "-_1", "-_", "+_", "_", "-", "+", "--", "+-1", "-+1",
	"1.", ".1", "1.0", "1.5", "-.5", "+.5", ".5.", "1.2.3", "1..2", ".", "..", "...", "....", ".a", "._1", ".1_0", "1.0_0", ".e1", ".1e1",
	"1e3", "1E3", "1e+3", "1e-3", "1e", "e1", "1e3.5", "1.e3", "1.e", "1e1000", "-1e1000", "1e-1000", ".1e1000", "1a", "1f", "1d", "12e03", "685_230.15", "685.230_15e+03", "0e0", "0e", "00e1", "0_0",
	"9223372036854775807", "9223372036854775808", "-9223372036854775808", "-9223372036854775809", "18446744073709551615", "18446744073709551616",
	"0xffffffffffffffff", "0xfffffffffffffffff", "-0xffffffffffffffff", "0777777777777777777777777", "0b1111111111111111111111111111111111111111111111111111111111111111", "0b11111111111111111111111111111111111111111111111111111111111111111",
	strings.Repeat("9", 308), strings.Repeat("9", 310), strings.Repeat("0", 400), "1" + strings.Repeat("_0", 200),
	".inf", ".Inf", ".INF", "-.inf", "+.inf", "+.INF", ".iNF", "+.inF", "inf", "-inf", "Inf", "infinity", ".infinity", ".nan", ".NaN", ".NAN", ".nAN", "-.nan", "nan", "NaN", "0.inf",
	// base 60
	"1:30", "1:30:59", "-1:30", "+1:30", "1:60", "1:5", "1:059", "190:20:30.15", "190:20:30.", "190:20:30.1_5", "190:20:30.1.5", "190:20:30.x", "1_9:20", "_1:20", "1:_20", "1:", ":1", "1::2", "22:22", "1:2x", "-:1", "1:2:", "1:.5", "80:80",
	// dates
	"2001-12-14", "2001-1-2", "2001-13-14", "2001-12-14T21:59:43Z", "2001-12-14t21:59:43.10-05:00", "2001-12-14 21:59:43.10 -5", "2001-12-14 21:59:43.10", "2001-12-14 21:59:43", "2001-12-15 2:59:43.10", "2001-12-14T21:59:43", "2001-12-14T21:59", "2001-", "2001-a", "20011-12-14", "201-12-14", "2001-02-30", "0000-00-00", "2024-01-01T00:00:00+02:00",
	// indicators
	"=", "<<", "<", "<<a", ">", ">a", "|", "|a", "!", "!a", "!!str", "&", "&a", "*", "*a", "@", "@a", "`", "`a", "%", "%a", "#", "#a", "a#", "a #", "a # b", "a#b", "a\t#b", "a\t:b",
	"?", "? ", "? a", "?a", "a?", "a ?", "-a", "- a", "- ", "a-", "-\ta", "?\ta", ":", ": ", ": a", ":a", "a:", "a: b", "a:b", "a :b", "a:\tb", "::", "a: ", ":\ta", "a::b",
	",", ",a", "a,b", "a, b", "[", "]", "[a]", "[]", "{", "}", "{}", "{a: b}", "a[b]", "a]", "a}", "'", "\"", "'a'", "\"a\"", "a'b", "a\"b", "it's: so", "\\", "a\\b", "\\n", "it's", "don't # do", "\"a\": 'b'",
	"---", "--- a", "---a", "--a", "... a", "...a", "-- -", "--flag=x", "--flag x", "-c", "+a",
	// beyond ASCII and control characters
	"héllo", "日本", "日本 語: x", "😀", "a😀b", "a 😀 b: c", "\ufeff", "\ufeffa b", "a\ufeff", "\u00a0", "a\u00a0b", "\ufffd", "\ue000", "\ud7ff", "\uf8ff", "\u0100", "éa: b", "ü #",
	"\x00", "a\x00b", "\a\b\v\f\r\x1b", "\r", "a\rb", "a\r", "\ra", "\x1f", "\x01", "a\r\nb", "\r\n", "café's", "é", " é", "é ",
	// lines
	"\n", "\n\n", "\n\n\n", "a\n", "a\nb", "a\nb\n", "a\n\n", "a\n\nb\n\n", "\na", "\n\na\n", " \n", "\n ", " a\nb", "a\n b", "a \nb", "a\nb ", "a\n ", "\n a", "  a\n  b\n", "a\n\tb", "\ta\nb", "a: b\nc: d\n", "- a\n- b\n", "#!/bin/sh\nset -e\n", "# a\n", "---\na", "a\n---\nb\n", "a\n...\n", "é\n日本\n", "a\n😀", "a\n\x00", "a\n\ufeff", "a\n#b\n", "'a\n", "\"a\"\n", "|\n", "a\n\n\n b\n\n",
	// long
	strings.Repeat("word ", 40), strings.Repeat("word ", 40) + "end", "a: " + strings.Repeat("word ", 40) + "end", strings.Repeat("word  ", 40) + "end", strings.Repeat("a   ", 60) + "é: x",
	strings.Repeat("x", 200), strings.Repeat("x", 100) + " " + strings.Repeat("y", 100), strings.Repeat("x", 100) + " " + strings.Repeat("y", 100) + " ", " " + strings.Repeat("x", 100) + " y", "'" + strings.Repeat("'x ", 60) + "y",
	strings.Repeat("\"x\" ", 40) + "\t", strings.Repeat("日本 ", 60) + "x", strings.Repeat("日本 ", 60) + ": x", strings.Repeat("\t ", 60) + "x", strings.Repeat("\t  ", 60) + "x", strings.Repeat("é# ", 60) + "\tx",
	strings.Repeat("x", 77) + " y z", strings.Repeat("x", 78) + " y z", strings.Repeat("x", 79) + " y z", strings.Repeat("x", 80) + " y z", strings.Repeat("x", 81) + " y z", strings.Repeat("x", 82) + " y z", strings.Repeat("x", 76) + ": y z", strings.Repeat("x", 77) + ": y z", strings.Repeat("x", 78) + ": y z", strings.Repeat("x", 77) + "\x00 y z", strings.Repeat("x", 75) + "\x00 y z",
	strings.Repeat("x", 127), strings.Repeat("x", 128), strings.Repeat("x", 129), strings.Repeat("é", 64), strings.Repeat("é", 64) + "x", strings.Repeat("1", 129), strings.Repeat("x ", 65), strings.Repeat("x: ", 60), strings.Repeat("x\n", 70), strings.Repeat("\x00 ", 70), strings.Repeat("line with words in it\n", 10),
	strings.Repeat("x", 90) + " - y", strings.Repeat("x", 90) + " ? y", strings.Repeat("x", 90) + " --- y", strings.Repeat("x", 90) + " # y", strings.Repeat("x", 90) + " | y",
}
