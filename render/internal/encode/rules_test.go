//lint:file-ignore SA5008 odd tags are what some of these tests are about

package encode

import (
	"encoding/json"
	"errors"
	"math"
	"net/netip"
	"reflect"
	"strings"
	"sync"
	"testing"
	"time"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	networkingv1 "k8s.io/api/networking/v1"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/util/intstr"
	"sigs.k8s.io/yaml"
)

// TestNoise shows what is left out and what is not.
func TestNoise(t *testing.T) {
	type inner struct {
		A string `json:"a,omitempty"`
		B *int   `json:"b"`
	}
	type required struct {
		Name string `json:"name"`
	}
	for name, c := range map[string]struct {
		obj  any
		want string
	}{
		"nothing": {&corev1.Pod{}, "{}\n"},
		"status":  {&corev1.Pod{Status: corev1.PodStatus{Phase: "Running"}}, "{}\n"},
		"only the top-level status": {
			&corev1.PodList{Items: []corev1.Pod{{Status: corev1.PodStatus{Phase: "Running"}}}},
			"items:\n- status:\n    phase: Running\n",
		},
		"zero structs": {
			&appsv1.Deployment{Spec: appsv1.DeploymentSpec{Template: corev1.PodTemplateSpec{Spec: corev1.PodSpec{Containers: []corev1.Container{{Name: "a"}}}}}},
			"spec:\n  template:\n    spec:\n      containers:\n      - name: a\n",
		},
		"zero struct with a required field": {&struct {
			S required `json:"s"`
		}{}, "{}\n"},
		"zero target port, set port": {
			&corev1.ServiceSpec{Ports: []corev1.ServicePort{{Port: 0}, {Port: 1, TargetPort: intstr.FromInt32(2)}}},
			"ports:\n- port: 0\n- port: 1\n  targetPort: 2\n",
		},
		"zero quantity": {&corev1.ResourceFieldSelector{Resource: "cpu"}, "resource: cpu\n"},
		"quantity 0":    {&corev1.ResourceFieldSelector{Resource: "cpu", Divisor: resource.MustParse("0")}, "divisor: \"0\"\nresource: cpu\n"},
		"struct of nulls": {&struct {
			S inner            `json:"s"`
			P *inner           `json:"p"`
			Q *inner           `json:"q"`
			L []inner          `json:"l"`
			M map[string]inner `json:"m"`
		}{P: &inner{}, L: []inner{{}}, M: map[string]inner{"k": {}}}, "l:\n- {}\nm:\n  k: {}\np: {}\n"},
		"struct that is not zero but empty": {&struct {
			S struct {
				L []string `json:"l,omitempty"`
			} `json:"s"`
		}{S: struct {
			L []string `json:"l,omitempty"`
		}{L: []string{}}}, "{}\n"},
		"a struct left out inside a struct": {&struct {
			A struct {
				B struct {
					C inner `json:"c"`
				} `json:"b"`
			} `json:"a"`
			Z int `json:"z"`
		}{}, "z: 0\n"},
		"first field of a list element": {
			&struct {
				L []struct {
					A inner `json:"a"`
					B int   `json:"b"`
				} `json:"l"`
			}{L: make([]struct {
				A inner `json:"a"`
				B int   `json:"b"`
			}, 2)},
			"l:\n- b: 0\n- b: 0\n",
		},
		"empty pointer":            {&corev1.Volume{Name: "v", VolumeSource: corev1.VolumeSource{EmptyDir: &corev1.EmptyDirVolumeSource{}}}, "emptyDir: {}\nname: v\n"},
		"empty list, kept":         {&networkingv1.NetworkPolicySpec{Ingress: []networkingv1.NetworkPolicyIngressRule{{}}}, "ingress:\n- {}\n"},
		"list of empty selectors":  {&corev1.NodeSelector{NodeSelectorTerms: []corev1.NodeSelectorTerm{{}, {}}}, "nodeSelectorTerms:\n- {}\n- {}\n"},
		"required list, empty":     {&corev1.NodeSelector{NodeSelectorTerms: []corev1.NodeSelectorTerm{}}, "nodeSelectorTerms: []\n"},
		"required list, nil":       {&corev1.NodeSelector{}, "{}\n"},
		"required string":          {&corev1.EnvVar{}, "name: \"\"\n"},
		"null in a list":           {&struct{ L []*int }{[]*int{nil, new(int)}}, "L:\n- null\n- 0\n"},
		"null in a map":            {&struct{ M map[string]*int }{map[string]*int{"a": nil, "b": new(int)}}, "M:\n  b: 0\n"},
		"only nulls in a map":      {&struct{ M map[string]*int }{map[string]*int{"a": nil}}, "M: {}\n"},
		"null in raw JSON":         {&struct{ R runtime.RawExtension }{runtime.RawExtension{Raw: []byte(`{"a":null,"b":[null],"c":{"d":null}}`)}}, "R:\n  b:\n  - null\n  c: {}\n"},
		"empty raw JSON":           {&struct{ R runtime.RawExtension }{runtime.RawExtension{Raw: []byte(`{}`)}}, "{}\n"},
		"pointer to empty JSON":    {&struct{ R *runtime.RawExtension }{&runtime.RawExtension{Raw: []byte(`{}`)}}, "R: {}\n"},
		"zero times":               {&struct{ A, B metav1.Time }{}, "{}\n"},
		"pointer to a zero time":   {&struct{ A *metav1.Time }{&metav1.Time{}}, "{}\n"},
		"zero duration":            {&struct{ A metav1.Duration }{}, "{}\n"},
		"pointer to zero duration": {&struct{ A *metav1.Duration }{&metav1.Duration{}}, "A: 0s\n"},
		"unstructured": {
			&unstructured.Unstructured{Object: map[string]any{"apiVersion": "v1", "kind": "X", "status": map[string]any{"a": "b"}, "spec": map[string]any{"x": nil, "y": int64(1)}}},
			"apiVersion: v1\nkind: X\nspec:\n  \"y\": 1\n",
		},
		"nothing but a status, from JSON": {&unstructured.Unstructured{Object: map[string]any{"kind": "X", "status": "b"}}, "kind: X\n"},
	} {
		t.Run(name, func(t *testing.T) {
			if got := string(check(t, c.obj)); got != c.want {
				t.Errorf("got\n%s\nwant\n%s", got, c.want)
			}
		})
	}
}

type (
	textValue   struct{ s string }
	textPointer struct{ s string }
	jsonValue   struct{ s string }
	jsonPointer struct{ s string }
	jsonInt     int
	textKey     int
	Embedded    struct {
		A     string `json:"a"`
		B     string
		Same  string `json:"same"`
		Clash string
	}
	EmbeddedToo struct {
		C     int `json:"c,omitempty"`
		Same  string
		Clash string
		Wins  string `json:"B"`
	}
	hidden      struct{ Shown string }
	EmbeddedPtr struct {
		Z1 string `json:"z1"`
		Z  *EmbeddedPtr
	}
	zeroIsSeven int
	omitZeros   struct {
		A int         `json:"a,omitzero"`
		B zeroIsSeven `json:"b,omitzero"`
		C time.Time   `json:"c,omitzero"`
		D [2]int      `json:"d,omitzero"`
		E textValue   `json:"e,omitzero"`
		F *metav1.Time
		G metav1.Time `json:"g,omitempty,omitzero"`
	}
)

func (x textValue) MarshalText() ([]byte, error)    { return []byte("text " + x.s), nil }
func (x *textPointer) MarshalText() ([]byte, error) { return []byte("ptext " + x.s), nil }
func (x jsonValue) MarshalJSON() ([]byte, error)    { return []byte(x.s), nil }
func (x *jsonPointer) MarshalJSON() ([]byte, error) { return []byte(x.s), nil }
func (x jsonInt) MarshalJSON() ([]byte, error)      { return json.Marshal(strings.Repeat("i", int(x))) }
func (x textKey) MarshalText() ([]byte, error)      { return []byte(strings.Repeat("k", int(x))), nil }
func (x zeroIsSeven) IsZero() bool                  { return x == 7 }

// TestGo covers what encoding/json does with Go types, beyond what the kinds of
// Kubernetes have.
func TestGo(t *testing.T) {
	seven := 7
	for name, obj := range map[string]any{
		"numbers": &struct {
			I8  int8
			I64 []int64
			U8  uint8
			U64 []uint64
			F32 []float32
			F64 []float64
			N   []json.Number
			R   []json.RawMessage
		}{
			-128, []int64{math.MinInt64, -1, 0, math.MaxInt64}, 255, []uint64{0, math.MaxUint64},
			[]float32{0, 0.1, 1, 1e6, 1.5e6, 16777216, 1e20, 1e21, 1e-6, 1e-7, math.MaxFloat32, -1.25, float32(math.Copysign(0, -1))},
			[]float64{0, 0.1, 1, 1e6, 123456789.125, 1 << 53, 1 << 63, 1 << 62, 1 << 64, 1e19, 1e20, 1e21, 1e-6, 1e-7, 5e-324, math.MaxFloat64, -1.25, math.Copysign(0, -1)},
			[]json.Number{"0", "", "-0", "1.0", "1e3", "-0.0", "12345678901234567890", "123456789012345678901", "1e400", "-1E-400", "0.10"},
			[]json.RawMessage{json.RawMessage(`1`), json.RawMessage(` [1.50, 1E2, -0, "\u0041\/\n", null, true] `), nil, json.RawMessage(`"x"`), json.RawMessage(`{"a":1,"b":2,"a":3}`)},
		},
		"methods": &struct {
			A textValue
			B textPointer
			C jsonValue
			D jsonPointer
			E *textValue
			F *jsonPointer
			G []textPointer
			H map[string]textPointer
			I map[string]jsonPointer
			J jsonInt
			K *jsonInt
			L [1]jsonPointer
			M netip.Addr
			N any
			O map[string]*jsonPointer
			P json.Marshaler
			Q any
			R *jsonPointer
		}{
			textValue{"a"}, textPointer{"b"}, jsonValue{`{"b":1,"a":[]}`}, jsonPointer{"[1]"}, &textValue{"e"}, &jsonPointer{`"f"`},
			[]textPointer{{"g"}}, map[string]textPointer{"h": {"h"}}, map[string]jsonPointer{"i": {"7"}}, 3, new(jsonInt),
			[1]jsonPointer{{"{}"}}, netip.MustParseAddr("10.0.0.1"), textPointer{"n"}, map[string]*jsonPointer{"o": {"1"}, "n": nil}, nil, &jsonPointer{"2"}, nil,
		},
		"maps": &struct {
			A map[int]string
			B map[uint8]int
			C map[textKey]string
			D map[bool]string `json:"-"`
			E map[string]any
			F map[string]map[string][]string
			G map[string]struct{ X, Y int }
			H map[string][]byte
			I map[string]resource.Quantity
			J map[netip.Addr]int
			K map[string]metav1.Time
			L map[string]intstr.IntOrString
		}{
			A: map[int]string{-1: "a", 10: "b", 9: "c"}, B: map[uint8]int{1: 1}, C: map[textKey]string{1: "x", 3: "y"},
			E: map[string]any{"a": 1, "b": []any{1.5, "x", nil, true, map[string]any{}, []int{}}, "c": nil, "d": []string(nil), "e": struct{ X *int }{}},
			F: map[string]map[string][]string{"a": {"b": {"c", "d"}, "e": {}, "f": nil}, "g": nil, "h": {}},
			G: map[string]struct{ X, Y int }{"a": {1, 2}}, H: map[string][]byte{"a": []byte("hello"), "b": {}, "c": nil, "d": {0xb6, 0xbb, 0x9e}},
			I: map[string]resource.Quantity{"cpu": resource.MustParse("1"), "mem": *resource.NewQuantity(1<<30, resource.BinarySI), "zero": {}},
			J: map[netip.Addr]int{netip.MustParseAddr("::1"): 1}, K: map[string]metav1.Time{"a": {}, "b": metav1.Unix(1e9, 0)}, L: map[string]intstr.IntOrString{"a": {}, "b": intstr.FromString("1")},
		},
		"embedded": &struct {
			Embedded
			*EmbeddedToo
			hidden
			*EmbeddedPtr
			Tagged `json:"tagged"`
			B      string
		}{Embedded: Embedded{"a", "b", "same", "clash"}, hidden: hidden{"shown"}, B: "outer", Tagged: Tagged{1}},
		"embedded pointers": &struct {
			*Embedded
			*EmbeddedToo
		}{&Embedded{"a", "b", "same", "clash"}, &EmbeddedToo{3, "Same", "clash", "wins"}},
		"omitzero":     &omitZeros{},
		"omitzero set": &omitZeros{1, 7, time.Unix(1e9, 5).UTC(), [2]int{1}, textValue{"x"}, nil, metav1.Unix(1e9, 0)},
		"string option": &struct {
			A int         `json:"a,string"`
			B *int        `json:"b,string"`
			C *int        `json:"c,string"`
			D string      `json:"d,string"`
			E bool        `json:"e,string,omitempty"`
			F float64     `json:"f,string"`
			G []int       `json:"g,string"`
			H jsonInt     `json:"h,string"`
			I json.Number `json:"i,string"`
		}{1, &seven, nil, "a<\"b", true, 1e21, []int{1}, 2, ""},
		"omitempty": &struct {
			A [0]int         `json:"a,omitempty"`
			B [1]int         `json:"b,omitempty"`
			C map[string]int `json:"c,omitempty"`
			D map[string]int `json:"d"`
			E []byte         `json:"e,omitempty"`
			F []byte         `json:"f"`
			G any            `json:"g,omitempty"`
			H *bool          `json:"h,omitempty"`
			I jsonInt        `json:"i,omitempty"`
			J [2]byte        `json:"j"`
			K string         `json:",omitempty"`
			L bool           `json:"-,"`
			M uintptr
		}{C: map[string]int{}, D: map[string]int{}, E: []byte{}, F: []byte{}, H: new(bool)},
		"names": &struct {
			A string `json:"yes"`
			B string `json:"a b"`
			C string `json:"1"`
			D string `json:"10"`
			E string `json:"9"`
			F string `json:"#x"`
			G string `json:"a:"`
			H string `json:"日本"`
			I []int  `json:"xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx"`
		}{I: []int{1}},
		"times": &struct {
			A metav1.Time
			B metav1.MicroTime
			C metav1.Duration
			D time.Time
			E *metav1.Time
			F time.Duration
			G []metav1.Time
		}{
			metav1.NewTime(time.Date(2024, 2, 29, 1, 2, 3, 4, time.FixedZone("x", 3600))), metav1.NewMicroTime(time.Date(1, 2, 3, 4, 5, 6, 7000, time.UTC)), metav1.Duration{Duration: 90 * time.Second},
			time.Unix(0, 0).UTC(), &metav1.Time{}, 5, []metav1.Time{{}, metav1.NewTime(time.Date(12024, 1, 1, 0, 0, 0, 0, time.UTC)), metav1.NewTime(time.Date(-5, 1, 1, 0, 0, 0, 0, time.UTC))},
		},
		"keys": &struct{ A, B map[string]string }{
			map[string]string{"a1": "", "a10": "", "a2": "", "a02": "", "a": "", "A": "", "a-b": "", "a.b": "", "a_b": "", "ab": "", "é": "", "1": "", "-": "", "٣": "", "1001": "", "10001": "", "100": ""},
			map[string]string{"99999999999999999999": "", "9999999999999999999": "", "x1y2": "", "x1y10": "", "日本1": "", "日": "", "日本": "", "😀": "", "0": "", "00": "", "007": "", "~": "", "a b": ""},
		},
		"invalid UTF-8": &struct {
			A string
			B map[string]string
			C map[string]int
			D []string
		}{"a\xff\xfe\xe6b", map[string]string{"a\xff": "1", "a\xfe": "2", "a\xfeb": "3"}, map[string]int{"\xff": 1, "\xf0": 2}, []string{"\xed\xa0\x80"}},
		"HTML": &struct {
			A string `json:"a<b>&c"`
			B map[string]string
		}{"<&>", map[string]string{"<&>": "&amp;"}},
		"raw object": &struct{ R runtime.RawExtension }{runtime.RawExtension{Object: &corev1.Pod{ObjectMeta: metav1.ObjectMeta{Name: "x"}}}},
		"any":        &struct{ A any }{&struct{ B any }{&[]any{corev1.EnvVar{Name: "x"}}}},
	} {
		t.Run(name, func(t *testing.T) { check(t, obj) })
	}
}

type oddEmbedded struct {
	X int `json:"😀"`
}

// Tagged is embedded under a name of its own.
type Tagged struct{ X int }

// TestExceptions covers what sigs.k8s.io/yaml cannot write, or not so that it
// reads back.
func TestExceptions(t *testing.T) {
	type object struct {
		V string            `json:"v,omitempty"`
		M map[string]string `json:"m,omitempty"`
		R json.RawMessage   `json:"r,omitempty"`
	}
	long := strings.Repeat("k", 1025)
	for name, c := range map[string]struct {
		obj  object
		want string
	}{
		"DEL":           {object{V: "a\x7fb"}, "v: \"a\\x7Fb\"\n"},
		"C1":            {object{V: "a\u0080b"}, "v: \"a\\x80b\"\n"},
		"NEL":           {object{V: "a\u0085b", M: map[string]string{"\u0085": "x"}}, "m:\n  \"\\N\": x\nv: \"a\\Nb\"\n"},
		"FFFE":          {object{V: "\ufffe\uffff"}, "v: \"\\uFFFE\\uFFFF\"\n"},
		"merge":         {object{M: map[string]string{"<<": "<<"}}, "m:\n  \"<<\": <<\n"},
		"line sep":      {object{V: "a\u2028b\u2029"}, "v: \"a\\Lb\\P\"\n"},
		"line sep key":  {object{M: map[string]string{"a\u2028b": "x"}}, "m:\n  \"a\\Lb\": x\n"},
		"line sep text": {object{V: "a\nb\u2028"}, "v: \"a\\nb\\L\"\n"},
		"long key":      {object{M: map[string]string{long: "x"}}, "m:\n  ? " + long + "\n  : x\n"},
		"surrogates":    {object{R: json.RawMessage(`"\ud83d\ude00"`)}, "r: \"\\U0001F600\"\n"},
		"lone":          {object{R: json.RawMessage(`"\ud83d"`)}, "r: \ufffd\n"},
		"raw UTF-8":     {object{R: json.RawMessage("\"\xff\"")}, "r: \ufffd\n"},
	} {
		t.Run(name, func(t *testing.T) {
			got, err := Append(nil, &c.obj)
			if err != nil {
				t.Fatal(err)
			}
			if string(got) != c.want {
				t.Errorf("got %q, want %q", got, c.want)
			}
			if c.obj.R != nil {
				return
			}
			var back object
			if err := yaml.Unmarshal(got, &back); err != nil {
				t.Fatal(err)
			}
			if !reflect.DeepEqual(back, c.obj) {
				t.Errorf("reads back as %q", back)
			}
			if lib, err := yaml.Marshal(&c.obj); err == nil && string(lib) == string(got) {
				t.Error("no exception any more")
			}
		})
	}
}

// TestCircularKeys shows that keys which the natural order puts in a circle still
// come in one order.
func TestCircularKeys(t *testing.T) {
	for range 20 {
		got, err := Append(nil, &struct{ M map[string]string }{map[string]string{"a10": "x", "a1b": "x", "a2": "x"}})
		if want := "M:\n  a10: x\n  a1b: x\n  a2: x\n"; err != nil || string(got) != want {
			t.Fatalf("got %q, %v, want %q", got, err, want)
		}
	}
}

type (
	failing   struct{}
	panicking struct{}
	cyclic    struct {
		Next *cyclic
		Any  any
	}
	badKey struct{}
)

var errFailing = errors.New("it failed")

func (failing) MarshalJSON() ([]byte, error)    { return nil, errFailing }
func (*panicking) MarshalText() ([]byte, error) { panic("oh") }
func (*panicking) IsZero() bool                 { panic("oh no") }
func (badKey) MarshalText() ([]byte, error)     { return nil, errFailing }

func TestErrors(t *testing.T) {
	cycle := &cyclic{}
	cycle.Next = cycle
	self := &cyclic{}
	self.Any = &self.Any
	type spec struct {
		X any
	}
	type object struct {
		Kind string
		Spec spec `json:"spec"`
	}
	in := func(x any) *object { return &object{"X", spec{x}} }
	for name, c := range map[string]struct {
		obj  any
		want []string // parts of the message
	}{
		"nil":                {nil, []string{"not a pointer to a struct"}},
		"struct":             {object{}, []string{"encode.object", "not a pointer to a struct"}},
		"pointer to pointer": {new(*object), []string{"not a pointer to a struct"}},
		"nil pointer":        {(*object)(nil), []string{"*encode.object", "nil pointer"}},
		"chan":               {in(make(chan int)), []string{".spec.X:", "chan int"}},
		"func":               {in([]any{1, map[string]any{"a.b": func() {}}}), []string{`.spec.X[1]["a.b"]:`, "func()"}},
		"complex":            {&struct{ C complex64 }{}, []string{".C:", "complex64"}},
		"nil func":           {&struct{ F func() }{}, []string{".F:", "func()"}},
		"map key":            {in(map[struct{}]int{}), []string{".spec.X:", "map[struct {}]int"}},
		"bad map key":        {in(map[badKey]int{{}: 1}), []string{".spec.X:", "it failed"}},
		"MarshalJSON":        {in(&failing{}), []string{".spec.X:", "it failed"}},
		"MarshalJSON root":   {&failing{}, []string{"encode.failing", ": .:", "it failed"}},
		"panic":              {in(&panicking{}), []string{".spec.X:", "MarshalText", "oh"}},
		"panic on nil":       {in((*textValue)(nil)), nil}, // a nil pointer is null
		"panic in IsZero": {&struct {
			Z panicking `json:"z,omitzero"`
		}{}, []string{"panic", "oh no"}},
		"NaN": {in(math.NaN()), []string{".spec.X:", "finite"}},
		"Inf": {in([]float32{1, float32(math.Inf(-1))}), []string{".spec.X[1]:", "finite"}},
		"NaN as string": {&struct {
			F float64 `json:"f,string"`
		}{math.NaN()}, []string{".f:", "NaN"}},
		"number":             {in(json.Number("1x")), []string{".spec.X:", `"1x"`}},
		"number that is not": {in(json.Number("true")), []string{".spec.X:", `"true"`}},
		"padded number":      {in(json.Number("1 ")), []string{".spec.X:", `"1 "`}},
		"IntOrString":        {in(intstr.IntOrString{Type: 5}), []string{".spec.X:", "IntOrString", "5"}},
		"bad JSON":           {in(json.RawMessage(`{"a":`)), []string{".spec.X:", reflect.TypeFor[json.RawMessage]().String()}},
		"bad JSON text":      {in(jsonValue{`"a`}), []string{".spec.X:", "MarshalJSON of encode.jsonValue"}},
		"bad JSON escape":    {in(jsonValue{`"\x"`}), []string{".spec.X:", "MarshalJSON of encode.jsonValue"}},
		"bad JSON number":    {in(jsonValue{`01`}), []string{".spec.X:", "MarshalJSON of encode.jsonValue"}},
		"bad JSON list":      {in(jsonValue{`[1,]`}), []string{".spec.X:", "MarshalJSON of encode.jsonValue"}},
		"bad JSON object":    {in(jsonValue{`{a:1}`}), []string{".spec.X:", "MarshalJSON of encode.jsonValue"}},
		"bad JSON end":       {in(jsonValue{`1}`}), []string{".spec.X:", "MarshalJSON of encode.jsonValue"}},
		"a comment in JSON":  {in(jsonValue{`1 // one`}), []string{".spec.X:", "MarshalJSON of encode.jsonValue"}},
		"a name that Go 1.27 reads otherwise": {in(&struct {
			B string `json:"bad\"name"`
		}{}), []string{".spec.X:", `the tag json:"bad\"name" of field B`, "releases of Go"}},
		"the same, embedded": {&struct{ oddEmbedded }{}, []string{`the tag json:"😀" of field X in encode.oddEmbedded`}},
		"an option that Go 1.27 reads otherwise": {&struct {
			M map[string]string `json:",embed"`
		}{}, []string{`the tag json:",embed" of field M`}},
		"a format": {&struct {
			T time.Time `json:"t,format:DateOnly"`
		}{}, []string{`the tag json:"t,format:DateOnly" of field T`}},
		"no JSON":           {in(json.RawMessage(``)), []string{".spec.X:", "EOF"}},
		"two JSON values":   {in(json.RawMessage(`1 2`)), []string{".spec.X:", "more than one"}},
		"year":              {in(time.Date(10000, 1, 1, 0, 0, 0, 0, time.UTC)), []string{".spec.X:", "year"}},
		"cycle":             {cycle, []string{".Next.Next", "cycle"}},
		"cycle of pointers": {self, []string{".Any:", "cycle"}},
		"list":              {&corev1.PodList{Items: []corev1.Pod{{}, {Spec: corev1.PodSpec{Containers: []corev1.Container{{LivenessProbe: &corev1.Probe{ProbeHandler: corev1.ProbeHandler{TCPSocket: &corev1.TCPSocketAction{Port: intstr.IntOrString{Type: 9}}}}}}}}}}, []string{"v1.PodList", ".items[1].spec.containers[0].livenessProbe.tcpSocket.port:"}},
	} {
		t.Run(name, func(t *testing.T) {
			got, err := Append([]byte("before"), c.obj)
			if c.want == nil {
				if err != nil {
					t.Errorf("unexpected %v", err)
				}
				return
			}
			if err == nil {
				t.Fatalf("no error, but %q", got)
			}
			if string(got) != "before" {
				t.Errorf("the result is %q", got)
			}
			for _, want := range c.want {
				if !strings.Contains(err.Error(), want) {
					t.Errorf("%q does not contain %q", err, want)
				}
			}
			if strings.Contains(err.Error(), "it failed") != errors.Is(err, errFailing) {
				t.Errorf("%v does not wrap its cause", err)
			}
		})
	}
	// An error leaves nothing behind.
	check(t, in("x"))
}

// TestEscaped puts the values of escaped strings in the place of what is
// written for them.
func TestEscaped(t *testing.T) {
	const before = "before\n"
	text, escaped, err := AppendEscaped([]byte(before), &struct {
		A []string           `json:"a"`
		M map[string]*string `json:"m"`
		S map[string]string  `json:"s"`
	}{
		A: []string{"plain", "3000", "tab\t", "it's", "\ufeffbom", "two\nlines\n"},
		M: map[string]*string{"gone\t": nil, "next\u2028": ptr("last\x01")},
		S: map[string]string{"key\r": ""},
	}, nil)
	if err != nil {
		t.Fatal(err)
	}
	var got strings.Builder
	done := 0
	for _, s := range escaped {
		got.Write(text[done:s.Start])
		got.WriteString("<" + s.Value + ">")
		done = s.End
	}
	got.Write(text[done:])
	const want = before + "a:\n- plain\n- \"3000\"\n- <tab\t>\n- it's\n- <\ufeffbom>\n- |\n  two\n  lines\nm:\n  <next\u2028>: <last\x01>\ns:\n  ? <key\r>\n  : \"\"\n"
	if got.String() != want {
		t.Errorf("got\n%q\nwant\n%q", got.String(), want)
	}
}

// TestConcurrent encodes the same new types and the same objects from many
// goroutines; it is for the race detector.
func TestConcurrent(t *testing.T) {
	objs := objects()
	for i := range int64(100) {
		q := resource.NewQuantity(i<<30, resource.BinarySI) // has no text yet
		objs = append(objs, &struct {
			Q *resource.Quantity
			L corev1.ResourceList
		}{q, corev1.ResourceList{"memory": *q}})
	}
	for i := range awkward[:50] {
		objs = append(objs, everywhereWith(awkward[i]))
	}
	want := make([]string, len(objs))
	for i, obj := range objs {
		b, err := reference(obj)
		if err != nil {
			t.Fatal(err)
		}
		want[i] = string(b)
	}
	addrPlans.Clear()
	valuePlans.Clear()
	var wg sync.WaitGroup
	start := make(chan bool)
	for range 8 {
		wg.Go(func() {
			<-start
			var buf []byte
			for i := range objs {
				var err error
				if buf, err = Append(buf[:0], objs[i]); err != nil {
					t.Error(err)
				} else if string(buf) != want[i] {
					t.Errorf("%T differs", objs[i])
				}
			}
		})
	}
	close(start)
	wg.Wait()
}

// raceEnabled is whether the race detector is on, which makes sync.Pool forget.
var raceEnabled bool

// TestAllocations checks that there are none once everything is warm, except for a
// Quantity that has not been printed yet.
func TestAllocations(t *testing.T) {
	for _, obj := range objects() {
		buf, err := Append(nil, obj)
		if err != nil {
			t.Fatal(err)
		}
		if n := testing.AllocsPerRun(20, func() { buf, _ = Append(buf[:0], obj) }); n >= 1 && !raceEnabled && !strings.Contains(string(buf), "128Mi") {
			t.Errorf("%T: %v allocations", obj, n)
		}
	}
}
