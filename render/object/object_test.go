package object_test

import (
	"errors"
	"fmt"
	"slices"
	"testing"

	appsv1 "k8s.io/api/apps/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/validation/field"

	"git.lastcloud.io/ronnibaslund/dezky/fleet/render/object"
)

func TestID(t *testing.T) {
	d := &appsv1.Deployment{
		TypeMeta:   metav1.TypeMeta{APIVersion: "apps/v1", Kind: "Deployment"},
		ObjectMeta: metav1.ObjectMeta{Namespace: "n", Name: "a"},
	}
	id := object.IDOf(d)
	if want := (object.ID{Group: "apps", Kind: "Deployment", Namespace: "n", Name: "a"}); id != want {
		t.Errorf("IDOf is %+v, want %+v", id, want)
	}
	if id.String() != "Deployment n/a" {
		t.Errorf("String is %q", id)
	}
	if s := (object.ID{Kind: "Namespace", Name: "n"}).String(); s != "Namespace n" {
		t.Errorf("String is %q", s)
	}
	ids := []object.ID{{Namespace: "n", Kind: "B", Name: "a"}, {Kind: "Z", Name: "z"}, {Namespace: "n", Kind: "A", Name: "b"}, {Namespace: "n", Kind: "A", Name: "a", Group: "g"}, {Namespace: "n", Kind: "A", Name: "a"}}
	slices.SortFunc(ids, object.ID.Compare)
	if got := fmt.Sprint(ids); got != "[Z z A n/a A n/a A n/b B n/a]" || ids[1].Group != "" {
		t.Errorf("sorted: %s", got)
	}
}

func TestIsNil(t *testing.T) {
	var none *appsv1.Deployment
	if !object.IsNil(nil) || !object.IsNil(none) || object.IsNil(&appsv1.Deployment{}) {
		t.Error("IsNil is wrong")
	}
}

func TestFindingError(t *testing.T) {
	for _, tc := range []struct {
		finding object.Finding
		want    string
	}{
		{object.Finding{Problem: "is wrong"}, "is wrong"},
		{object.Finding{File: "apps/a.yaml", Line: 3, Object: object.ID{Kind: "A", Name: "a"}, Field: "spec.x", Problem: "is wrong", Remedy: "mend it"}, "apps/a.yaml:3: A a: spec.x: is wrong: mend it"},
		{object.Finding{File: "a", Problem: "two\r\nlines\nof it\r"}, `a: two\nlines\nof it\r`},
	} {
		if got := tc.finding.Error(); got != tc.want {
			t.Errorf("got %q, want %q", got, tc.want)
		}
	}
}

func TestInvalid(t *testing.T) {
	id := object.ID{Kind: "WebApp", Namespace: "n", Name: "a"}
	if object.Invalid(id, nil).Err() != nil {
		t.Error("no mistake is an error")
	}
	err := object.Invalid(id, field.ErrorList{
		field.Required(field.NewPath("image"), "give one"),
		field.Invalid(field.NewPath("env").Key("A.B"), 3, "is no text"),
	}).Err()
	want := "WebApp n/a: image: Required value: give one\nWebApp n/a: env[A.B]: Invalid value: 3: is no text"
	if err == nil || err.Error() != want {
		t.Errorf("got %v, want\n%s", err, want)
	}
	var f object.Finding
	if !errors.As(err, &f) || f.Field != "image" {
		t.Errorf("errors.As finds %+v", f)
	}
}

func TestFindingsOf(t *testing.T) {
	a := object.Finding{Object: object.ID{Kind: "A", Name: "a"}, Problem: "is wrong"}
	plain := errors.New("is broken")
	for _, tc := range []struct {
		name string
		err  error
		want string
	}{
		{"nil", nil, ""},
		{"plain", plain, "is broken"},
		{"a finding", a, "A a: is wrong"},
		{"findings", object.Findings{a, a}, "A a: is wrong\nA a: is wrong"},
		{"joined", errors.Join(plain, object.Findings{a}, errors.Join(plain, a)), "is broken\nA a: is wrong\nis broken\nA a: is wrong"},
		{"wrapped", fmt.Errorf("app x: %w", plain), "app x: is broken"},
		{"a joined error with a prefix", fmt.Errorf("app x: %w", errors.Join(plain, plain)), "app x: is broken\napp x: is broken"},
		{"two prefixes", fmt.Errorf("y: %w", fmt.Errorf("x: %w", errors.Join(plain, plain))), "y: x: is broken\ny: x: is broken"},
		{"with words behind", fmt.Errorf("x: %w: and more", plain), "x: is broken: and more"},
		{"two in one sentence", fmt.Errorf("x: neither %w nor %w", plain, a), "x: neither is broken nor A a: is wrong"},
		{"a prefix before two in one sentence", fmt.Errorf("y: %w", fmt.Errorf("x: %w, %w", plain, plain)), "y: x: is broken, is broken"},
		{"a wrapped finding", fmt.Errorf("x: %w", a), "A a: x: is wrong"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			if got := object.FindingsOf(tc.err).Error(); got != tc.want {
				t.Errorf("got\n%s\nwant\n%s", got, tc.want)
			}
		})
	}
}

func TestRecovered(t *testing.T) {
	do := func(f func()) (err error) {
		defer object.Recovered(&err, "component 3: ")
		f()
		return nil
	}
	if err := do(func() { panic("no name") }); err == nil || err.Error() != "component 3: panic: no name" {
		t.Errorf("a panic is the error %v", err)
	}
	if err := do(func() {}); err != nil {
		t.Errorf("no panic is the error %v", err)
	}
}

func TestSeverityText(t *testing.T) {
	for _, want := range []object.Severity{object.Error, object.Warning, object.Note} {
		text, err := want.MarshalText()
		if err != nil {
			t.Fatal(err)
		}
		got := object.Severity(-1)
		if err := got.UnmarshalText(text); err != nil || got != want {
			t.Errorf("%s is read as %v, error %v", text, got, err)
		}
	}
	s := object.Note
	if err := s.UnmarshalText([]byte("fatal")); err == nil || s != object.Note || err.Error() != `"fatal" is no severity: say error, warning or note` {
		t.Errorf("fatal is read as %v, error %v", s, err)
	}
}

// TestReasons: those with the prefix, in their order, whatever space is around
// their text.
func TestReasons(t *testing.T) {
	for range 10 { // a map has no order
		got := object.Reasons(map[string]string{"x/waive-b": " why\n", "x/waive-a": "", "x/waive-c": "c", "x/other": "no", "y/x/waive-d": "no"}, "x/waive-")
		want := []object.Reason{{"x/waive-a", "a", ""}, {"x/waive-b", "b", "why"}, {"x/waive-c", "c", "c"}}
		if !slices.Equal(got, want) {
			t.Fatalf("got %q, want %q", got, want)
		}
	}
	if got := object.Reasons(nil, "x/"); got != nil {
		t.Errorf("of no annotations: %q", got)
	}
}

func TestField(t *testing.T) {
	o := map[string]any{"spec": map[string]any{"replicas": int64(2), "list": []any{}}}
	for _, tc := range []struct {
		path []string
		want any
	}{
		{[]string{"spec", "replicas"}, int64(2)},
		{[]string{"spec", "other"}, nil},
		{[]string{"spec", "replicas", "more"}, nil},
		{[]string{"status", "replicas"}, nil},
	} {
		if got := object.Field(o, tc.path...); got != tc.want {
			t.Errorf("%v is %v, want %v", tc.path, got, tc.want)
		}
	}
	if object.Field(nil, "spec") != nil || object.Field(o) == nil {
		t.Error("of nothing there is nothing, and without a path it is the object")
	}
}
