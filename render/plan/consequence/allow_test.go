package consequence_test

import (
	"slices"
	"testing"

	"git.lastcloud.io/ronnibaslund/dezky/fleet/render/object"
	"git.lastcloud.io/ronnibaslund/dezky/fleet/render/plan/consequence"
)

func TestAllow(t *testing.T) {
	ingress := func(name string) object.ID {
		return object.ID{Group: "networking.k8s.io", Kind: "Ingress", Namespace: "shop", Name: name}
	}
	all := []consequence.Consequence{
		{Rule: "host", Severity: consequence.Down, Object: ingress("a")},
		{Rule: "host", Severity: consequence.Down, Object: ingress("b")},
		{Rule: "dns", Severity: consequence.First, Object: ingress("a")},
	}
	rest, allowed, notes := consequence.Allow(all, []consequence.Allowance{
		{Rule: "host", Object: "Ingress shop/a", Reason: " it is given up "},
		{Rule: "dns", Object: "Ingress shop/a"},
		{Rule: "host", Object: "Ingress shop/c", Reason: "once"},
		{Rule: "hosts", Object: "Ingress shop/a", Reason: "misspelt"},
	})
	if !slices.Equal(rest, all[1:]) {
		t.Errorf("what is left is %v", rest)
	}
	if len(allowed) != 1 || allowed[0].Consequence != all[0] || allowed[0].Reason != "it is given up" {
		t.Errorf("what is allowed is %v", allowed)
	}
	if want := []string{
		"the allowance dns=Ingress shop/a gives no reason, and lets nothing pass",
		"the allowance host=Ingress shop/c lets nothing pass: there is no such consequence, remove it",
		"the allowance hosts=Ingress shop/a: there is no rule hosts",
	}; !slices.Equal(notes, want) {
		t.Errorf("the notes are %q", notes)
	}
}

// TestAllowStated: the annotations of objects let pass what is said of them,
// and of nobody else; of an object that stays, those of before do not count.
func TestAllowStated(t *testing.T) {
	o := func(name, annotation string) consequence.Object {
		return consequence.Object{
			ID:     object.ID{Group: "networking.k8s.io", Kind: "Ingress", Namespace: "shop", Name: name},
			Fields: map[string]any{"metadata": map[string]any{"annotations": map[string]any{"fleet.dezky.eu/allow-" + annotation: " it is given up ", "example.com/allow-dns": "not ours"}}},
		}
	}
	c := func(name, rule string) consequence.Consequence {
		return consequence.Consequence{Rule: rule, Severity: consequence.Down, Object: o(name, "").ID}
	}
	all := []consequence.Consequence{c("stays", "host"), c("stays", "dns"), c("stays", "certificate"), c("goes", "host"), c("other", "host")}
	was := []consequence.Object{o("stays", "certificate"), o("goes", "host"), o("gone", "dns")}
	is := []consequence.Object{o("stays", "host"), o("idle", "host"), o("misspelt", "hosts")}
	rest, allowed, notes := consequence.AllowStated(all, was, is)
	if want := []consequence.Consequence{all[1], all[2], all[4]}; !slices.Equal(rest, want) {
		t.Errorf("what is left is %v, want %v", rest, want)
	}
	if want := []consequence.Allowed{{Consequence: all[0], Reason: "it is given up"}, {Consequence: all[3], Reason: "it is given up"}}; !slices.Equal(allowed, want) {
		t.Errorf("what is allowed is %v, want %v", allowed, want)
	}
	if want := []string{
		"the allowance host=Ingress shop/idle lets nothing pass: there is no such consequence, remove it",
		"the allowance hosts=Ingress shop/misspelt: there is no rule hosts",
	}; !slices.Equal(notes, want) {
		t.Errorf("the notes are %q", notes)
	}
}

func TestAllowances(t *testing.T) {
	var all consequence.Allowances
	for _, s := range []string{"host=Ingress shop/a, dns=Ingress shop/a", "host=Ingress shop/b"} {
		if err := all.Set(s); err != nil {
			t.Fatal(err)
		}
	}
	if got := all.String(); got != "host=Ingress shop/a, dns=Ingress shop/a, host=Ingress shop/b" {
		t.Errorf("read as %s", got)
	}
	if want := (consequence.Allowance{Rule: "host", Object: "Ingress shop/b", Reason: "-allow says so"}); all[2] != want {
		t.Errorf("read as %v, want %v", all[2], want)
	}
	for _, s := range []string{"", "host", "host=", "=Ingress shop/a", "hosts=Ingress shop/a", "host=Ingress shop/a,"} {
		if err := all.Set(s); err == nil {
			t.Errorf("%q is taken", s)
		}
	}
}
