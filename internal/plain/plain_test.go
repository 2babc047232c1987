package plain

import (
	"bytes"
	"os"
	"os/exec"
	"strings"
	"testing"

	"git.lastcloud.io/ronnibaslund/dezky/fleet/render"
	"git.lastcloud.io/ronnibaslund/dezky/fleet/render/object"
)

// TestSame: both forms are the same objects, and the components need less than
// an eighth of the lines.
func TestSame(t *testing.T) {
	text := func(objects []object.Object) []string {
		var all []string
		for _, o := range objects {
			yaml, err := render.YAML(o)
			if err != nil {
				t.Fatal(err)
			}
			all = append(all, string(yaml))
		}
		return all
	}
	var made []object.Object
	for _, c := range library() {
		objects, err := c.Objects()
		if err != nil {
			t.Fatal(err)
		}
		made = append(made, objects...)
	}
	got, want := text(made), text(structs())
	if len(got) != len(want) {
		t.Fatalf("%d objects and %d", len(got), len(want))
	}
	for i := range got {
		if got[i] != want[i] {
			t.Errorf("the components make\n%s\nand the structs are\n%s", got[i], want[i])
		}
	}
	short, long := lines(t, "library.go"), lines(t, "structs.go")
	t.Logf("%d lines with the components, %d with the structs", short, long)
	if long < 8*short {
		t.Errorf("%d lines with the components, %d with the structs", short, long)
	}
	t.Logf("packages beside the standard library: %d with the components, %d with the structs",
		packages(t, "../../components"), packages(t, "k8s.io/api/apps/v1", "k8s.io/api/networking/v1", "k8s.io/api/policy/v1"))
}

// lines counts those of the one function in a file.
func lines(t *testing.T, file string) int {
	source, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	_, body, _ := bytes.Cut(source, []byte("\nfunc "))
	return bytes.Count(body, []byte("\n"))
}

func packages(t *testing.T, paths ...string) int {
	out, err := exec.Command("go", append([]string{"list", "-deps", "-f", "{{if not .Standard}}{{.ImportPath}}{{end}}"}, paths...)...).Output()
	if err != nil {
		t.Fatal(err)
	}
	return len(strings.Fields(string(out)))
}
