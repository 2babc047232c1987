package files_test

import (
	"bytes"
	"crypto/rand"
	"flag"
	"testing"

	files "example.com/fleet-files"

	"git.lastcloud.io/ronnibaslund/dezky/fleet/golden"
	"git.lastcloud.io/ronnibaslund/dezky/fleet/render"
)

var update = flag.Bool("update", false, "accept what is rendered: write the golden files")

func TestGolden(t *testing.T) {
	tree, err := files.Tree("production", render.Images{})
	if err != nil {
		t.Fatal(err)
	}
	golden.Check(t, tree, golden.Options{Dir: "golden", Update: *update})
}

// TestSecrets: the values that the layer repeats stand in contracts of the
// other layers, and a file for all of them can be generated.
func TestSecrets(t *testing.T) {
	set, err := files.Secrets("production")
	if err != nil {
		t.Fatal(err)
	}
	if err := set.Validate(); err != nil {
		t.Fatal(err)
	}
	out, _, err := set.Generate(nil, rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	if again, _, err := set.Generate(out, rand.Reader); err != nil || !bytes.Equal(again, out) {
		t.Errorf("what was generated is not kept: %v", err)
	}
}
