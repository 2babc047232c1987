package encode

import (
	"bytes"
	"encoding"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"reflect"
	"strconv"
)

// marshalJSON writes a value that brings its own JSON.
func (e *encoder) marshalJSON(p *plan, v reflect.Value, indent int, at place) result {
	m, ok := methods(v).(json.Marshaler)
	if !ok {
		return isNull // a nil interface
	}
	b, err := callJSON(m)
	if err != nil {
		return e.fail(err)
	}
	x, err := parseJSON(b)
	if err != nil {
		return e.fail(fmt.Errorf("MarshalJSON of %s: %w", p.typ, err))
	}
	return e.tree(x, indent, at)
}

// marshalText writes a value that brings its own text.
func (e *encoder) marshalText(v reflect.Value, indent int, at place) result {
	m, ok := methods(v).(encoding.TextMarshaler)
	if !ok {
		return isNull
	}
	b, err := callText(m)
	if err != nil {
		return e.fail(err)
	}
	return e.text(string(b), indent, at)
}

// methods is v with all the methods it has, and without a copy if possible.
func methods(v reflect.Value) any {
	if v.CanAddr() && v.Kind() != reflect.Interface {
		return v.Addr().Interface()
	}
	return v.Interface()
}

// callJSON and callText call foreign methods, which may well panic, for example
// on a nil pointer in an interface.
func callJSON(m json.Marshaler) (b []byte, err error) {
	defer recovered("MarshalJSON", m, &err)
	return m.MarshalJSON()
}

func callText(m encoding.TextMarshaler) (b []byte, err error) {
	defer recovered("MarshalText", m, &err)
	return m.MarshalText()
}

func recovered(method string, m any, err *error) {
	if r := recover(); r != nil {
		*err = fmt.Errorf("%s of %T: panic: %v", method, m, r)
	}
}

// parseJSON parses one JSON value, with numbers as json.Number.
func parseJSON(b []byte) (any, error) {
	d := json.NewDecoder(bytes.NewReader(b))
	d.UseNumber()
	var x any
	if err := d.Decode(&x); err != nil {
		if err == io.EOF {
			err = io.ErrUnexpectedEOF
		}
		return nil, err
	}
	if _, err := d.Token(); err != io.EOF {
		return nil, errors.New("more than one JSON value")
	}
	return x, nil
}

// tree writes a parsed JSON value.
func (e *encoder) tree(x any, indent int, at place) result {
	switch x := x.(type) {
	case nil:
		return isNull
	case bool:
		return e.raw(boolText(x), at)
	case string:
		return e.text(x, indent, at)
	case json.Number:
		return e.number(string(x), at)
	case []any:
		if len(x) == 0 {
			return e.raw("[]", at)
		}
		inner := listIndent(indent, at)
		e.open(at)
		for _, elem := range x {
			e.startLine(inner)
			e.buf = append(e.buf, '-')
			e.orBare(e.tree(elem, inner, afterDash))
		}
		return wrote
	case map[string]any:
		if len(x) == 0 {
			return isEmpty
		}
		entries := make([]entry, 0, len(x))
		for k := range x {
			entries = append(entries, entry{key: k})
		}
		start := len(e.buf)
		inner := indent + indentStep
		e.open(at)
		for _, k := range sortEntries(entries) {
			if at == atRoot && k.key == "status" {
				continue
			}
			start, inline := len(e.buf), e.inline
			at := e.mapKey(k.key, inner)
			e.orNothing(e.tree(x[k.key], inner, at), start, inline)
		}
		return e.close(start, at)
	}
	return e.fail(fmt.Errorf("unexpected %T in JSON", x))
}

// number writes a JSON number.
func (e *encoder) number(s string, at place) result {
	// Of the JSON values, only numbers end in a digit. (Valid allows blanks around.)
	if !json.Valid([]byte(s)) || !isDigit(s[len(s)-1]) || s[0] != '-' && !isDigit(s[0]) {
		return e.fail(fmt.Errorf("invalid number %q", s))
	}
	if at != atRoot {
		e.buf = append(e.buf, ' ')
	}
	e.buf = appendLiteral(e.buf, s)
	e.buf = append(e.buf, '\n')
	return wrote
}

// appendLiteral appends a JSON number as YAML: an integer if it fits 64 bits and
// is written as one, else a float.
func appendLiteral(dst []byte, s string) []byte {
	if i, err := strconv.ParseInt(s, 10, 64); err == nil {
		return strconv.AppendInt(dst, i, 10)
	}
	if u, err := strconv.ParseUint(s, 10, 64); err == nil {
		return strconv.AppendUint(dst, u, 10)
	}
	if f, err := strconv.ParseFloat(s, 64); err == nil {
		return strconv.AppendFloat(dst, f, 'g', -1, 64)
	}
	return append(dst, s...) // too large for a float, and a string for YAML readers
}

// appendJSONFloat appends f as encoding/json writes it.
func appendJSONFloat(dst []byte, f float64, k kind) []byte {
	v := reflect.ValueOf(f)
	if k == kindFloat32 {
		v = reflect.ValueOf(float32(f))
	}
	b, _ := json.Marshal(v.Interface()) // fails for numbers that are not finite only
	return append(dst, b...)
}

// jsonText is the JSON of a value that has the string option.
func jsonText(v reflect.Value) (string, error) {
	b, err := json.Marshal(v.Interface())
	return string(b), err
}
