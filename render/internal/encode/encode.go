// Package encode writes typed Kubernetes objects as YAML.
//
// The bytes are those sigs.k8s.io/yaml writes for the same object, once the
// noise is gone:
//
//   - the top-level status field is left out;
//   - a struct field or map entry whose JSON value is null is left out (a null
//     list element stays null);
//   - a struct field that holds a struct by value is left out when that struct
//     is the zero value of its type, or when its encoding is {}. A pointer that
//     is set is kept even if it encodes to {}, and so are list elements and map
//     values.
//
// Everything else follows encoding/json: field names, embedding, omitempty,
// omitzero, the string option, MarshalJSON and MarshalText. An object with
// nothing but noise is written as {}. A json tag that encoding/json reads
// differently from Go 1.27 on is an error, so that the output does not depend on
// the release of Go.
//
// sigs.k8s.io/yaml reads its own JSON back with a YAML parser, and a few
// strings do not survive that, or do not survive reading the result. These are
// written so that they do:
//
//   - DEL, the C1 control characters, U+FFFE and U+FFFF, which that library
//     refuses, are written as escapes in double quotes;
//   - NEL (U+0085), which it turns into a space, is written as \N;
//   - the map key <<, which reads back as a merge, is quoted;
//   - escaped surrogate pairs and invalid UTF-8 in raw JSON, and map keys longer
//     than 1024 bytes, which it refuses, are read as encoding/json reads them;
//   - text with a line separator (U+2028, U+2029), which it writes raw although
//     YAML 1.2 readers do not take these as line breaks, is double quoted.
//
// Map keys are in that library's "natural" order (a2 before a10). That order has
// cycles for some mixes of digits and letters (a10 < a1b < a2 < a10), where the
// library's output changes from run to run; here it is always the same.
package encode

import (
	"encoding/base64"
	"errors"
	"fmt"
	"math"
	"reflect"
	"strconv"
	"sync"
	"time"

	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/intstr"
)

// Append appends obj's YAML to dst and returns the extended slice; the text ends
// in a newline. obj is a pointer to a struct. The error names the field that
// cannot be written; dst is then returned as it was.
//
// Append only reads obj, and may be called from several goroutines at once.
func Append(dst []byte, obj any) (out []byte, err error) {
	out, _, err = AppendEscaped(dst, obj, nil)
	return out, err
}

// Escaped is a string that is written in double quotes and does not stand
// between them as it is: with escapes, or broken into lines. All other strings
// stand as they are, but for line breaks in place of spaces and the doubled
// quotes within single ones.
type Escaped struct {
	// Start and End of the scalar in the output, with its quotes.
	Start, End int
	// Value of the string.
	Value string
}

// AppendEscaped is Append for those who look for something in the values of
// the strings: it also appends the escaped ones to escaped, in the order of
// the output, with their places in the returned slice.
func AppendEscaped(dst []byte, obj any, escaped []Escaped) (out []byte, _ []Escaped, err error) {
	v := reflect.ValueOf(obj)
	if v.Kind() != reflect.Pointer || v.Type().Elem().Kind() != reflect.Struct {
		return dst, escaped, fmt.Errorf("encode %T: not a pointer to a struct", obj)
	}
	if v.IsNil() {
		return dst, escaped, fmt.Errorf("encode %T: nil pointer", obj)
	}

	// Whatever a foreign method does, such as an IsZero, a renderer does not die of
	// one object.
	defer func() {
		if r := recover(); r != nil {
			out, err = dst, fmt.Errorf("encode %T: panic: %v", obj, r)
		}
	}()
	e := encoders.Get().(*encoder)
	e.buf, e.base, e.escaped = dst, len(dst), escaped
	switch e.value(planOf(v.Type().Elem(), true), v.Elem(), rootIndent, atRoot) {
	case isNull:
		e.buf = append(e.buf, "null\n"...)
	case isEmpty:
		e.buf = append(e.buf, "{}\n"...)
	}
	if out, err = e.buf, e.err; err != nil {
		out, err = dst, fmt.Errorf("encode %s: %s: %w", v.Type().Elem(), e.path(), err)
	}
	escaped = dropEscaped(e.escaped, len(out))
	e.reset()
	encoders.Put(e)
	return out, escaped, err
}

// maxDepth bounds the nesting of collections, so that a cyclic object is an error
// and not an endless loop. encoding/json starts to look for cycles here as well.
const maxDepth = 1000

// rootIndent is the indent of the (absent) collection around the root value. It
// puts the root's own keys at column 0.
const rootIndent = -indentStep

// indentStep is how far a nested mapping or a continued scalar moves right.
const indentStep = 2

// place says what stands in front of a value on its line.
type place uint8

const (
	atRoot    place = iota // nothing
	afterKey               // "key:", collections start on the next line
	afterDash              // "-" (or the ":" of a long key), collections start on this line
)

// result says what became of a value. Only wrote means that it was written: null
// and {} are for the caller to write or to leave out, with the key before them.
type result uint8

const (
	wrote result = iota
	isNull
	isEmpty
	failed // e.err is set
)

// encoder is the state of one Append.
type encoder struct {
	buf  []byte
	base int // where in buf the output starts

	// inline is set after a "-": the next line of the collection inside
	// continues on the same line, after a space in place of its indentation.
	inline bool

	escaped []Escaped // strings that do not stand in buf as they are

	depth int
	err   error
	where []string // path to the field that failed, innermost first

	entries  []entry // of the map[string]string being written
	scratch  []byte
	quantity resource.Quantity
}

var encoders = sync.Pool{New: func() any { return new(encoder) }}

// reset drops every reference to the caller's data.
func (e *encoder) reset() {
	clear(e.where)
	*e = encoder{where: e.where[:0], entries: e.entries[:0], scratch: e.scratch[:0]}
}

// fail records err, the path is added by the callers on the way out.
func (e *encoder) fail(err error) result {
	e.err = err
	return failed
}

// within adds an element to the path of the error.
func (e *encoder) within(elem string) result {
	e.where = append(e.where, elem)
	return failed
}

// path is the path to the field that failed, such as .spec.ports[1].name.
func (e *encoder) path() string {
	if len(e.where) == 0 {
		return "."
	}
	var b []byte
	for i := len(e.where) - 1; i >= 0; i-- {
		b = append(b, e.where[i]...)
	}
	return string(b)
}

// startLine begins a line of a collection at the given column.
func (e *encoder) startLine(indent int) {
	if e.inline {
		e.inline = false
		e.buf = append(e.buf, ' ')
		return
	}
	e.buf = appendBlanks(e.buf, indent)
}

// open begins a collection that is expected to hold at least one line. If it turns
// out not to, close takes that back.
func (e *encoder) open(at place) {
	switch at {
	case afterKey:
		e.buf = append(e.buf, '\n')
	case afterDash:
		e.inline = true
	}
}

// close ends a mapping opened when the buffer was start bytes long.
func (e *encoder) close(start int, at place) result {
	lines := start
	if at == afterKey {
		lines++ // the newline that open wrote
	}
	if len(e.buf) > lines {
		return wrote
	}
	e.buf = e.buf[:start]
	e.inline = false
	return isEmpty
}

// raw writes a scalar whose text needs no quotes.
func (e *encoder) raw(s string, at place) result {
	if at != atRoot {
		e.buf = append(e.buf, ' ')
	}
	e.buf = append(e.buf, s...)
	e.buf = append(e.buf, '\n')
	return wrote
}

// text writes a string scalar inside the collection at indent.
func (e *encoder) text(s string, indent int, at place) result {
	if at != atRoot {
		e.buf = append(e.buf, ' ')
	}
	if plainFast(s) {
		e.buf = append(e.buf, s...)
		e.buf = append(e.buf, '\n')
		return wrote
	}
	e.styled(s, max(indent+indentStep, indentStep))
	return wrote
}

// value writes v inside the collection at indent.
func (e *encoder) value(p *plan, v reflect.Value, indent int, at place) result {
	switch p.kind {
	case kindString:
		return e.text(v.String(), indent, at)
	case kindBool:
		return e.raw(boolText(v.Bool()), at)
	case kindInt, kindUint, kindFloat32, kindFloat64:
		var err error
		if at != atRoot {
			e.buf = append(e.buf, ' ')
		}
		if e.buf, err = appendNumber(e.buf, p.kind, v); err != nil {
			return e.fail(err)
		}
		e.buf = append(e.buf, '\n')
		return wrote

	case kindStruct, kindMap, kindStringMap, kindList, kindPointer, kindInterface:
		if e.depth++; e.depth > maxDepth {
			return e.fail(errors.New("nested too deep, or a cycle"))
		}
		r := e.collection(p, v, indent, at)
		e.depth--
		return r

	case kindBytes:
		if v.IsNil() {
			return isNull
		}
		e.scratch = base64.StdEncoding.AppendEncode(e.scratch[:0], v.Bytes())
		return e.text(string(e.scratch), indent, at)
	case kindQuantity:
		// String caches its result in the Quantity, so it gets a copy.
		if v.CanAddr() {
			e.quantity = *v.Addr().Interface().(*resource.Quantity)
		} else {
			e.quantity = v.Interface().(resource.Quantity)
		}
		return e.text(e.quantity.String(), indent, at)
	case kindIntOrString:
		x := get[intstr.IntOrString](v)
		switch x.Type {
		case intstr.Int:
			e.scratch = strconv.AppendInt(e.scratch[:0], int64(x.IntVal), 10)
			return e.raw(string(e.scratch), at)
		case intstr.String:
			return e.text(x.StrVal, indent, at)
		}
		return e.fail(fmt.Errorf("IntOrString of unknown type %d", x.Type))
	case kindTime:
		return e.time(get[metav1.Time](v).Time, time.RFC3339, indent, at)
	case kindMicroTime:
		return e.time(get[metav1.MicroTime](v).Time, metav1.RFC3339Micro, indent, at)
	case kindDuration:
		return e.text(get[metav1.Duration](v).Duration.String(), indent, at)

	case kindNumber:
		s := v.String()
		if s == "" {
			s = "0" // as encoding/json has it
		}
		return e.number(s, at)
	case kindJSON:
		return e.marshalJSON(p, v, indent, at)
	case kindText:
		return e.marshalText(v, indent, at)
	}
	return e.fail(fmt.Errorf("unsupported type %s", p.typ))
}

// collection writes a value that may hold other values.
func (e *encoder) collection(p *plan, v reflect.Value, indent int, at place) result {
	switch p.kind {
	case kindStruct:
		if err := p.build().err; err != nil {
			return e.fail(err)
		}
		start := len(e.buf)
		inner := indent + indentStep
		e.open(at)
		if r := e.fields(p, v, inner, at == atRoot); r != wrote {
			return r
		}
		return e.close(start, at)
	case kindMap:
		return e.mapping(p.build(), v, indent, at)
	case kindStringMap:
		return e.stringMap(v, indent, at)
	case kindList:
		return e.list(p.build(), v, indent, at)
	}
	// Pointers and interfaces.
	if v.IsNil() {
		return isNull
	}
	if p.kind == kindPointer {
		return e.value(p.build().elem, v.Elem(), indent, at)
	}
	v = v.Elem()
	return e.value(planOf(v.Type(), false), v, indent, at)
}

// fields writes the fields of the struct v, each on its own line at indent.
func (e *encoder) fields(p *plan, v reflect.Value, indent int, root bool) result {
	for i := range p.fields {
		f := &p.fields[i]
		var fv reflect.Value
		if f.index == nil {
			fv = v.Field(f.at)
		} else if fv = f.of(v); !fv.IsValid() {
			continue
		}
		if f.isZero != nil && f.isZero(fv) {
			continue
		}
		if root && f.name == "status" {
			continue
		}

		// What will not be written is sorted out here as far as that is cheap,
		// most fields of most objects are not set.
		switch f.plan.kind {
		case kindString:
			s := fv.String()
			if s == "" && f.omitEmpty {
				continue
			}
			if !f.quoted && f.key != "" {
				e.startLine(indent)
				e.buf = append(e.buf, f.key...)
				e.text(s, indent, afterKey)
				continue
			}
		case kindPointer, kindInterface:
			if fv.IsNil() {
				continue
			}
		case kindMap, kindStringMap:
			if fv.IsNil() || f.omitEmpty && fv.Len() == 0 {
				continue
			}
		case kindStruct:
			// A zero struct mostly encodes to {} and is dropped below; where it
			// would not, it has to be looked at as a whole.
			if !f.plan.build().zeroIsEmpty && fv.IsZero() {
				continue
			}
		case kindIntOrString:
			if *get[intstr.IntOrString](fv) == (intstr.IntOrString{}) {
				continue
			}
		default:
			if f.omitEmpty && isEmptyValue(fv) || f.isStruct && fv.IsZero() {
				continue
			}
		}

		start, inline := len(e.buf), e.inline
		at := e.key(f, indent)
		var r result
		if f.quoted {
			r = e.quoted(fv, indent, at)
		} else {
			r = e.value(f.plan, fv, indent, at)
		}
		switch {
		case r == wrote:
		case r == failed:
			return e.within("." + f.name)
		case r == isEmpty && !f.isStruct:
			e.buf = append(e.buf, " {}\n"...)
		default:
			e.buf, e.inline = e.buf[:start], inline
		}
	}
	return wrote
}

// key writes the key of a field.
func (e *encoder) key(f *field, indent int) place {
	if f.key == "" {
		return e.mapKey(f.name, indent)
	}
	e.startLine(indent)
	e.buf = append(e.buf, f.key...)
	return afterKey
}

// mapKey writes the key of a map entry and says where this leaves the value.
func (e *encoder) mapKey(k string, indent int) place {
	e.startLine(indent)
	if plainFast(k) && len(k) <= maxSimpleKey {
		e.buf = append(e.buf, k...)
		e.buf = append(e.buf, ':')
		return afterKey
	}
	if e.simpleKey(k) {
		return afterKey
	}
	// A key that is long or has line breaks takes the explicit form, in which
	// key and value each are a block of their own:
	//	? key
	//	: value
	e.buf = append(e.buf, "? "...)
	e.styled(k, indent+indentStep)
	e.buf = appendBlanks(e.buf, indent)
	e.buf = append(e.buf, ':')
	return afterDash
}

// list writes a slice or an array.
func (e *encoder) list(p *plan, v reflect.Value, indent int, at place) result {
	if v.Kind() == reflect.Slice && v.IsNil() {
		return isNull
	}
	n := v.Len()
	if n == 0 {
		return e.raw("[]", at)
	}
	inner := listIndent(indent, at)
	e.open(at)
	for i := range n {
		e.startLine(inner)
		e.buf = append(e.buf, '-')
		if !e.orBare(e.value(p.elem, v.Index(i), inner, afterDash)) {
			return e.within("[" + strconv.Itoa(i) + "]")
		}
	}
	return wrote
}

// listIndent is the column of the dashes: a list under a key is not indented.
func listIndent(indent int, at place) int {
	if at == afterKey {
		return indent
	}
	return indent + indentStep
}

// orBare writes the null or {} that the value left to its caller. It reports
// whether the value could be encoded.
func (e *encoder) orBare(r result) bool {
	switch r {
	case isNull:
		e.buf = append(e.buf, " null\n"...)
	case isEmpty:
		e.buf = append(e.buf, " {}\n"...)
	}
	return r != failed
}

// orNothing is orBare for the value of a map entry, whose line began at start: a
// null takes the whole entry with it.
func (e *encoder) orNothing(r result, start int, inline bool) bool {
	if r == isNull {
		e.buf, e.inline = e.buf[:start], inline
		return true
	}
	return e.orBare(r)
}

// stringMap writes a map[string]string.
func (e *encoder) stringMap(v reflect.Value, indent int, at place) result {
	m := v.Interface().(map[string]string)
	if m == nil {
		return isNull
	}
	if len(m) == 0 {
		return isEmpty
	}
	entries := e.entries[:0]
	for k, s := range m {
		entries = append(entries, entry{key: k, value: s})
	}
	entries = sortEntries(entries)

	inner := indent + indentStep
	e.open(at)
	for i := range entries {
		at := e.mapKey(entries[i].key, inner)
		e.text(entries[i].value, inner, at)
	}
	clear(entries)
	e.entries = entries
	return wrote
}

// mapping writes a map of any other type.
func (e *encoder) mapping(p *plan, v reflect.Value, indent int, at place) result {
	if v.IsNil() {
		return isNull
	}
	if v.Len() == 0 {
		return isEmpty
	}
	t := p.maps.Get().(*table)
	defer p.maps.Put(t)
	defer t.clear()
	if err := t.load(p, v); err != nil {
		return e.fail(err)
	}

	start := len(e.buf)
	inner := indent + indentStep
	e.open(at)
	for _, k := range t.entries {
		start, inline := len(e.buf), e.inline
		at := e.mapKey(k.key, inner)
		if !e.orNothing(e.value(p.elem, t.values.Index(k.index), inner, at), start, inline) {
			return e.within("[" + strconv.Quote(k.key) + "]")
		}
	}
	return e.close(start, at)
}

// time writes t in a layout of the RFC 3339 family, null for the zero time.
func (e *encoder) time(t time.Time, layout string, indent int, at place) result {
	if t.IsZero() {
		return isNull
	}
	t = t.UTC()
	e.scratch = t.AppendFormat(e.scratch[:0], layout)
	if y := t.Year(); y < 0 || y > 9999 {
		return e.text(string(e.scratch), indent, at)
	}
	// A timestamp is quoted, or it would not read back as a string.
	if at != atRoot {
		e.buf = append(e.buf, ' ')
	}
	e.buf = append(e.buf, '"')
	e.buf = append(e.buf, e.scratch...)
	e.buf = append(e.buf, '"', '\n')
	return wrote
}

// quoted writes a number, bool or string that has the string option: its JSON
// text, as a string.
func (e *encoder) quoted(v reflect.Value, indent int, at place) result {
	s, err := jsonText(v)
	if err != nil {
		return e.fail(err)
	}
	return e.text(s, indent, at)
}

// get is the T that v holds, not copied if it can be addressed.
func get[T any](v reflect.Value) *T {
	if v.CanAddr() {
		return v.Addr().Interface().(*T)
	}
	x := v.Interface().(T)
	return &x
}

func boolText(b bool) string {
	if b {
		return "true"
	}
	return "false"
}

// isEmptyValue is omitempty's idea of empty. A struct is never empty.
func isEmptyValue(v reflect.Value) bool {
	switch v.Kind() {
	case reflect.Array, reflect.Map, reflect.Slice, reflect.String:
		return v.Len() == 0
	case reflect.Bool,
		reflect.Int, reflect.Int8, reflect.Int16, reflect.Int32, reflect.Int64,
		reflect.Uint, reflect.Uint8, reflect.Uint16, reflect.Uint32, reflect.Uint64, reflect.Uintptr,
		reflect.Float32, reflect.Float64,
		reflect.Interface, reflect.Pointer:
		return v.IsZero()
	}
	return false
}

var errNotFinite = errors.New("a float that is not finite has no JSON form")

// appendNumber appends a Go number as it reads after a trip through JSON.
func appendNumber(dst []byte, k kind, v reflect.Value) ([]byte, error) {
	switch k {
	case kindInt:
		return strconv.AppendInt(dst, v.Int(), 10), nil
	case kindUint:
		return strconv.AppendUint(dst, v.Uint(), 10), nil
	}
	f := v.Float()
	if math.IsInf(f, 0) || math.IsNaN(f) {
		return dst, errNotFinite
	}
	var b [32]byte
	return appendLiteral(dst, string(appendJSONFloat(b[:0], f, k))), nil
}
