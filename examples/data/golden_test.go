package data_test

import (
	"testing"

	data "example.com/fleet-data"

	"git.lastcloud.io/ronnibaslund/dezky/fleet/golden"
	"git.lastcloud.io/ronnibaslund/dezky/fleet/render"
)

func TestGolden(t *testing.T) {
	tree, err := data.Tree("", render.Images{})
	if err != nil {
		t.Fatal(err)
	}
	golden.Check(t, tree, "golden")
}
