package render_test

import (
	"slices"
	"testing"

	"git.lastcloud.io/ronnibaslund/dezky/fleet/render"
)

func TestEnvironments(t *testing.T) {
	type environment struct {
		render.Environment
		replicas int
	}
	list := render.Environments[environment]{
		{render.Environment{Name: "production", Domain: "example.com"}, 2},
		{render.Environment{Name: "blue", Domain: "example.com"}, 2},
		{render.Environment{Name: "test", Domain: "test.example.com"}, 1},
	}
	if got, want := list.Names(), []string{"production", "blue", "test"}; !slices.Equal(got, want) {
		t.Errorf("names %v, want %v", got, want)
	}
	test, err := list.Get("test")
	if err != nil || test.replicas != 1 || test.URL("app") != "https://app.test.example.com" {
		t.Errorf("got %+v, error %v", test, err)
	}
	if _, err := list.Get("prod"); err == nil || err.Error() != `there is no environment "prod": the environments are production, blue, test` {
		t.Errorf("an unknown environment: %v", err)
	}
	if got := list.Foreign("example.com"); !slices.Equal(got, []string{"test.example.com"}) {
		t.Errorf("foreign domains %v", got)
	}
}
