package encode

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"reflect"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
	traefik "github.com/traefik/traefik/v3/pkg/provider/kubernetes/crd/traefikio/v1alpha1"
	"k8s.io/apimachinery/pkg/api/equality"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/client-go/kubernetes/scheme"
	"sigs.k8s.io/yaml"
)

// everywhere has a string in every position there is.
type everywhere struct {
	Value  string                         `json:"value"`
	List   []string                       `json:"list"`
	Lists  [][]string                     `json:"lists"`
	Map    map[string]string              `json:"map"`
	Maps   map[string]map[string]string   `json:"maps"`
	Nested map[string][]map[string]string `json:"nested"`
	Any    any                            `json:"any"`
	Deep   []struct {
		A []struct {
			B string `json:"b"`
		} `json:"a"`
	} `json:"deep"`
}

func everywhereWith(s string) *everywhere {
	x := &everywhere{
		Value:  s,
		List:   []string{s, "x"},
		Lists:  [][]string{{s}, {}, {"x", s}},
		Map:    map[string]string{s: s, "x": "x"},
		Maps:   map[string]map[string]string{s: {s: s}, "x": {s: "x"}},
		Nested: map[string][]map[string]string{s: {{s: s}, {}}, "k": {{"x": s}, nil}},
		Any:    map[string]any{s: []any{s, nil, []any{[]any{s}}, map[string]any{}}},
	}
	x.Deep = append(x.Deep, struct {
		A []struct {
			B string `json:"b"`
		} `json:"a"`
	}{A: []struct {
		B string `json:"b"`
	}{{s}, {"x"}}})
	return x
}

func TestStrings(t *testing.T) {
	for _, s := range awkward {
		if s == "<<" {
			continue // as a key, see TestExceptions
		}
		t.Run(fmt.Sprintf("%.20q", s), func(t *testing.T) {
			obj := everywhereWith(s)
			out := check(t, obj)
			back := new(everywhere)
			if err := yaml.Unmarshal(out, back); err != nil {
				t.Fatalf("%v in:\n%s", err, out)
			}
			obj.Nested["k"][1] = nil
			if !equality.Semantic.DeepEqual(back, obj) {
				t.Errorf("reads back as\n%+v from\n%s", back, out)
			}
		})
	}
}

// kinds lists the kinds of k8s.io/api and Traefik.
func kinds(t testing.TB) map[schema.GroupVersionKind]reflect.Type {
	s := runtime.NewScheme()
	if err := scheme.AddToScheme(s); err != nil {
		t.Fatal(err)
	}
	if err := traefik.AddToScheme(s); err != nil {
		t.Fatal(err)
	}
	return s.AllKnownTypes()
}

func TestKinds(t *testing.T) {
	n := 0
	for gvk, typ := range kinds(t) {
		n++
		t.Run(gvk.String(), func(t *testing.T) {
			t.Parallel()
			for seed := range int64(4) {
				obj := reflect.New(typ)
				if seed > 0 {
					filler(seed).Fill(obj.Interface())
				}
				out := check(t, obj.Interface())
				roundTrip(t, obj, out)
			}
		})
	}
	if n < 400 {
		t.Errorf("only %d kinds", n)
	}
}

// roundTrip checks that out reads back as obj.
func roundTrip(t *testing.T, obj reflect.Value, out []byte) {
	t.Helper()
	back := reflect.New(obj.Type().Elem())
	if err := yaml.Unmarshal(out, back.Interface()); err != nil {
		t.Fatalf("%v in:\n%s", err, out)
	}
	if status := fieldByJSON(obj, "status"); status.IsValid() {
		status.SetZero()
	}
	dropNil(obj)
	if !equality.Semantic.DeepEqual(back.Interface(), obj.Interface()) {
		t.Errorf("reads back differently: %s", cmp.Diff(obj.Interface(), back.Interface(), cmpopts.EquateEmpty()))
	}
}

// dropNil removes what YAML does not show: entries of maps that are nil, fields
// that JSON does not have.
func dropNil(v reflect.Value) {
	switch v.Kind() {
	case reflect.Pointer, reflect.Interface:
		if !v.IsNil() {
			dropNil(v.Elem())
		}
	case reflect.Struct:
		if hasOwnForm(v.Type()) {
			return
		}
		for i := range v.NumField() {
			switch sf := v.Type().Field(i); {
			case !sf.IsExported():
			case sf.Tag.Get("json") == "-":
				v.Field(i).SetZero()
			default:
				dropNil(v.Field(i))
			}
		}
	case reflect.Slice:
		for i := range v.Len() {
			dropNil(v.Index(i))
		}
	case reflect.Map:
		for _, k := range v.MapKeys() {
			switch x := v.MapIndex(k); x.Kind() {
			case reflect.Pointer, reflect.Interface, reflect.Slice, reflect.Map:
				if x.IsNil() {
					v.SetMapIndex(k, reflect.Value{})
				} else {
					dropNil(x)
				}
			}
		}
	}
}

// TestCorpus encodes the objects k8s.io/api keeps to test its own encodings, which
// have a value in every field.
func TestCorpus(t *testing.T) {
	dir, err := exec.Command("go", "list", "-m", "-f", "{{.Dir}}", "k8s.io/api").Output()
	if err != nil {
		t.Fatalf("k8s.io/api is not found: %v", err)
	}
	files, err := filepath.Glob(filepath.Join(strings.TrimSpace(string(dir)), "testdata", "HEAD", "*.yaml"))
	if err != nil || len(files) == 0 {
		t.Fatalf("k8s.io/api has no corpus in %s: %v", dir, err)
	}
	known := kinds(t)
	n := 0
	for _, file := range files {
		b, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		var meta runtime.TypeMeta
		if err := yaml.Unmarshal(b, &meta); err != nil {
			t.Fatal(err)
		}
		typ, ok := known[schema.FromAPIVersionAndKind(meta.APIVersion, meta.Kind)]
		if !ok {
			continue
		}
		n++
		t.Run(filepath.Base(file), func(t *testing.T) {
			obj := reflect.New(typ)
			if err := yaml.Unmarshal(b, obj.Interface()); err != nil {
				t.Fatal(err)
			}
			roundTrip(t, obj, check(t, obj.Interface()))
		})
	}
	if n < 150 {
		t.Errorf("only %d objects", n)
	}
}
