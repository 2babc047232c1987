package data_test

import (
	"flag"
	"testing"

	data "example.com/fleet-data"

	"git.lastcloud.io/ronnibaslund/dezky/fleet/golden"
	"git.lastcloud.io/ronnibaslund/dezky/fleet/render"
)

var update = flag.Bool("update", false, "accept what is rendered: write the golden files")

func TestGolden(t *testing.T) {
	tree, err := data.Tree("", render.Images{})
	if err != nil {
		t.Fatal(err)
	}
	golden.Check(t, tree, golden.Options{Dir: "golden", Update: *update})
}
