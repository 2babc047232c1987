package encode

import (
	"cmp"
	"encoding"
	"encoding/json"
	"fmt"
	"reflect"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"unicode"

	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/intstr"
)

// kind is how a type is written.
type kind uint8

const (
	kindUnsupported kind = iota
	kindBool
	kindInt
	kindUint
	kindFloat32
	kindFloat64
	kindString
	kindBytes // []byte, written as base64
	kindStruct
	kindMap
	kindStringMap // map[string]string
	kindList
	kindPointer
	kindInterface

	// Types whose own JSON form is known here.
	kindNumber // json.Number
	kindQuantity
	kindIntOrString
	kindTime
	kindMicroTime
	kindDuration

	// Types that have to be asked.
	kindJSON
	kindText
)

// plan is what there is to know about a type. It is made when the type is first
// met; the parts that need other types' plans are only made when a value is
// written, so that the many types of an object that are not used cost nothing.
type plan struct {
	kind kind
	typ  reflect.Type

	// addr is whether values can be addressed, in the sense of encoding/json:
	// methods with a pointer receiver count only then.
	addr bool

	built atomic.Bool
	mu    sync.Mutex

	// Set by build.
	elem        *plan   // of lists, maps and pointers
	fields      []field // of structs, in output order
	err         error   // why values of this struct cannot be written
	zeroIsEmpty bool    // the zero value of this struct encodes to {}
	maps        sync.Pool
}

// field is a field of a struct, or of one embedded in it.
type field struct {
	name  string
	key   string // the YAML key with its colon, "" if it needs the long form
	index []int  // path to the field, nil if there is just one step
	at    int    // the one step
	plan  *plan

	omitEmpty bool
	quoted    bool                     // has the string option
	isStruct  bool                     // a struct by value, left out when zero or empty
	isZero    func(reflect.Value) bool // for omitzero, else nil
}

// of is the value of a field of an embedded struct, invalid if that is behind a nil
// pointer.
func (f *field) of(v reflect.Value) reflect.Value {
	for _, i := range f.index {
		if v.Kind() == reflect.Pointer {
			if v.IsNil() {
				return reflect.Value{}
			}
			v = v.Elem()
		}
		v = v.Field(i)
	}
	return v
}

// Plans by reflect.Type, one table per value of plan.addr.
var addrPlans, valuePlans sync.Map

// planOf is the plan of a type.
func planOf(t reflect.Type, addr bool) *plan {
	plans := &valuePlans
	if addr {
		plans = &addrPlans
	}
	if p, ok := plans.Load(t); ok {
		return p.(*plan)
	}
	p, _ := plans.LoadOrStore(t, &plan{kind: kindOf(t, addr), typ: t, addr: addr})
	return p.(*plan)
}

func kindOf(t reflect.Type, addr bool) kind {
	switch t {
	case reflect.TypeFor[resource.Quantity]():
		return kindQuantity
	case reflect.TypeFor[intstr.IntOrString]():
		return kindIntOrString
	case reflect.TypeFor[metav1.Time]():
		return kindTime
	case reflect.TypeFor[metav1.MicroTime]():
		return kindMicroTime
	case reflect.TypeFor[metav1.Duration]():
		return kindDuration
	case reflect.TypeFor[json.Number]():
		return kindNumber
	case reflect.TypeFor[map[string]string]():
		return kindStringMap
	}
	// A pointer has the methods of what it points to, which are found there.
	if t.Kind() != reflect.Pointer {
		switch {
		case implements[json.Marshaler](t, addr):
			return kindJSON
		case implements[encoding.TextMarshaler](t, addr):
			return kindText
		}
	}
	switch t.Kind() {
	case reflect.Bool:
		return kindBool
	case reflect.Int, reflect.Int8, reflect.Int16, reflect.Int32, reflect.Int64:
		return kindInt
	case reflect.Uint, reflect.Uint8, reflect.Uint16, reflect.Uint32, reflect.Uint64, reflect.Uintptr:
		return kindUint
	case reflect.Float32:
		return kindFloat32
	case reflect.Float64:
		return kindFloat64
	case reflect.String:
		return kindString
	case reflect.Struct:
		return kindStruct
	case reflect.Map:
		if k := t.Key().Kind(); k == reflect.String || isInteger(k) || t.Key().Implements(reflect.TypeFor[encoding.TextMarshaler]()) {
			return kindMap
		}
	case reflect.Slice:
		if e := t.Elem(); e.Kind() == reflect.Uint8 &&
			!implements[json.Marshaler](e, true) && !implements[encoding.TextMarshaler](e, true) {
			return kindBytes
		}
		return kindList
	case reflect.Array:
		return kindList
	case reflect.Pointer:
		return kindPointer
	case reflect.Interface:
		return kindInterface
	}
	return kindUnsupported
}

// implements says whether a value of type t has the methods of I.
func implements[I any](t reflect.Type, addr bool) bool {
	i := reflect.TypeFor[I]()
	return t.Implements(i) || addr && reflect.PointerTo(t).Implements(i)
}

func isInteger(k reflect.Kind) bool {
	return k >= reflect.Int && k <= reflect.Uintptr
}

// build completes the plan, on its first use. It returns p.
func (p *plan) build() *plan {
	if p.built.Load() {
		return p
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.built.Load() {
		return p
	}
	t := p.typ
	switch p.kind {
	case kindStruct:
		p.fields, p.err = structFields(t, p.addr)
		p.zeroIsEmpty = true
		for i := range p.fields {
			if !p.fields[i].absentWhenZero() {
				p.zeroIsEmpty = false
			}
		}
	case kindMap:
		p.elem = planOf(t.Elem(), false)
		p.maps.New = func() any { return newTable(t) }
	case kindList:
		// The elements of a slice can be addressed even if the slice cannot.
		p.elem = planOf(t.Elem(), p.addr || t.Kind() == reflect.Slice)
	case kindPointer:
		p.elem = planOf(t.Elem(), true)
	}
	p.built.Store(true)
	return p
}

// absentWhenZero is whether the field is left out when it is zero.
func (f *field) absentWhenZero() bool {
	if f.isStruct || f.isZero != nil {
		return true
	}
	switch f.plan.kind {
	case kindPointer, kindInterface, kindMap, kindStringMap, kindBytes:
		return true
	case kindList:
		return f.omitEmpty || f.plan.typ.Kind() == reflect.Slice
	case kindBool, kindInt, kindUint, kindFloat32, kindFloat64, kindString, kindNumber:
		return f.omitEmpty
	}
	return false
}

// candidate is a field that may turn out to be hidden by another one.
type candidate struct {
	field
	index  []int
	typ    reflect.Type
	tagged bool // the name comes from a tag
}

// structFields lists the fields encoding/json writes for t, in the order of their
// names in YAML. The rules for embedded structs are Go's, with the addition that
// of several fields of one name at one depth, a single tagged one wins.
func structFields(t reflect.Type, addr bool) ([]field, error) {
	found, err := candidates(t)
	if err != nil {
		return nil, err
	}
	all := make([]*candidate, len(found)) // cheaper to sort
	for i := range found {
		all[i] = &found[i]
	}
	slices.SortStableFunc(all, func(a, b *candidate) int {
		if c := cmp.Compare(a.name, b.name); c != 0 {
			return c
		}
		if c := cmp.Compare(len(a.index), len(b.index)); c != 0 {
			return c
		}
		if a.tagged != b.tagged {
			if a.tagged {
				return -1
			}
			return 1
		}
		return 0
	})

	out := make([]field, 0, len(all))
	for len(all) > 0 {
		n := 1
		for n < len(all) && all[n].name == all[0].name {
			n++
		}
		first := all[0]
		unique := n == 1 || len(all[1].index) != len(first.index) || all[1].tagged != first.tagged
		all = all[n:]
		if !unique {
			continue
		}
		out = append(out, first.complete(t, addr))
	}
	slices.SortFunc(out, func(a, b field) int { return natural(a.name, b.name) })
	return out, nil
}

// candidates lists the fields of t and of the structs embedded in it.
func candidates(t reflect.Type) ([]candidate, error) {
	type level struct {
		typ   reflect.Type
		index []int
	}
	all := make([]candidate, 0, t.NumField())
	next := []level{{typ: t}}
	nextCount := map[reflect.Type]int{}
	visited := map[reflect.Type]bool{}
	for len(next) > 0 {
		current, count := next, nextCount
		next, nextCount = nil, map[reflect.Type]int{}
		for _, s := range current {
			if visited[s.typ] {
				continue
			}
			visited[s.typ] = true
			for i := range s.typ.NumField() {
				sf := s.typ.Field(i)
				if !sf.IsExported() && (!sf.Anonymous || deref(sf.Type).Kind() != reflect.Struct) {
					continue // unexported, but an embedded struct may have exported fields
				}
				tag := sf.Tag.Get("json")
				if tag == "-" {
					continue
				}
				name, opts, _ := strings.Cut(tag, ",")
				if name != "" && !validName(name) || oddOption(opts) {
					return nil, fmt.Errorf("the tag json:%q of field %s in %s is read differently by releases of Go: use letters, digits and dashes for the name, and no options but omitempty, omitzero and string", tag, sf.Name, s.typ)
				}
				index := append(slices.Clone(s.index), i)
				ft := sf.Type
				if ft.Name() == "" {
					ft = deref(ft)
				}
				if name == "" && sf.Anonymous && ft.Kind() == reflect.Struct {
					if nextCount[ft]++; nextCount[ft] == 1 {
						next = append(next, level{ft, index})
					}
					continue
				}
				c := candidate{index: index, typ: sf.Type, tagged: name != ""}
				c.name = cmp.Or(name, sf.Name)
				c.omitEmpty = hasOption(opts, "omitempty")
				c.quoted = hasOption(opts, "string") && isScalar(ft.Kind())
				if hasOption(opts, "omitzero") {
					c.isZero = zeroTest(sf.Type)
				}
				all = append(all, c)
				if count[s.typ] > 1 {
					// The same struct is embedded twice at this depth: its
					// fields hide each other.
					all = append(all, c)
				}
			}
		}
	}
	return all, nil
}

// complete fills in what is only needed for fields that are written.
func (c *candidate) complete(t reflect.Type, addr bool) field {
	f := c.field
	if len(c.index) == 1 {
		f.at = c.index[0]
	} else {
		f.index = c.index
		// What is behind an embedded pointer can be addressed.
		for _, i := range c.index[:len(c.index)-1] {
			if t.Kind() == reflect.Pointer {
				t = t.Elem()
			}
			t = t.Field(i).Type
			addr = addr || t.Kind() == reflect.Pointer
		}
	}
	f.plan = planOf(c.typ, addr)
	f.isStruct = c.typ.Kind() == reflect.Struct
	if k := planOf(deref(c.typ), addr || c.typ.Kind() == reflect.Pointer).kind; k == kindJSON || k == kindText {
		f.quoted = false // the type has the last word
	}
	if k := f.plan.kind; k == kindTime || k == kindMicroTime {
		f.isZero = nil // zero times are null, and left out as such
	}
	var e encoder
	if e.simpleKey(f.name) {
		f.key = string(e.buf)
	}
	return f
}

func deref(t reflect.Type) reflect.Type {
	if t.Kind() == reflect.Pointer {
		return t.Elem()
	}
	return t
}

func hasOption(opts, name string) bool {
	for o := range strings.SplitSeq(opts, ",") {
		if o == name {
			return true
		}
	}
	return false
}

// oddOption is whether the options of a tag have one that Go 1.27 gave a
// meaning that it did not have before, when it was passed over.
func oddOption(opts string) bool {
	for o := range strings.SplitSeq(opts, ",") {
		if name, _, _ := strings.Cut(o, ":"); name == "embed" || name == "format" {
			return true
		}
	}
	return false
}

func isScalar(k reflect.Kind) bool {
	return k == reflect.Bool || isInteger(k) || k == reflect.Float32 || k == reflect.Float64 || k == reflect.String
}

// validName is whether every release of encoding/json takes s as a name in a
// tag. Of other names, those before Go 1.27 take the name of the field, and
// later ones all or part of what stands in the tag.
func validName(s string) bool {
	for _, c := range s {
		if lower := c | 0x20; 'a' <= lower && lower <= 'z' {
			continue // the usual case
		}
		if !strings.ContainsRune("!#$%&()*+-./:;<=>?@[]^_{|}~ ", c) && !unicode.IsLetter(c) && !unicode.IsDigit(c) {
			return false
		}
	}
	return s != ""
}

// zeroTest is omitzero's test for fields of type t: the type's own IsZero, if it
// has one.
func zeroTest(t reflect.Type) func(reflect.Value) bool {
	type zeroer interface{ IsZero() bool }
	has := reflect.TypeFor[zeroer]()
	switch {
	case t.Kind() == reflect.Interface && t.Implements(has):
		return func(v reflect.Value) bool {
			return v.IsNil() || v.Elem().Kind() == reflect.Pointer && v.Elem().IsNil() ||
				v.Interface().(zeroer).IsZero()
		}
	case t.Kind() == reflect.Pointer && t.Implements(has):
		return func(v reflect.Value) bool { return v.IsNil() || v.Interface().(zeroer).IsZero() }
	case t.Implements(has):
		return func(v reflect.Value) bool { return v.Interface().(zeroer).IsZero() }
	case reflect.PointerTo(t).Implements(has):
		return func(v reflect.Value) bool {
			if !v.CanAddr() {
				c := reflect.New(t).Elem()
				c.Set(v)
				v = c
			}
			return v.Addr().Interface().(zeroer).IsZero()
		}
	}
	return reflect.Value.IsZero
}
