package check_test

import (
	"bytes"
	"encoding/json"
	"io"
	"os"
	"path/filepath"
	"slices"
	"testing"

	"k8s.io/apimachinery/pkg/util/yaml"

	"git.lastcloud.io/ronnibaslund/dezky/fleet/golden"
	"git.lastcloud.io/ronnibaslund/dezky/fleet/internal/crd"
	"git.lastcloud.io/ronnibaslund/dezky/fleet/render/check"
)

// TestGoldenSchemas: what the rules know of the kinds of Traefik and
// cert-manager is what their definitions say. Kinds that cert-manager makes for
// itself are left out.
func TestGoldenSchemas(t *testing.T) {
	files, err := crd.Files()
	if err != nil {
		t.Fatal(err)
	}
	var want []string
	for _, file := range files {
		text, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		documents := yaml.NewYAMLOrJSONDecoder(bytes.NewReader(text), 4096)
		for {
			var crd struct {
				Spec struct {
					Group    string
					Names    struct{ Kind string }
					Versions []struct {
						Name   string
						Schema struct {
							OpenAPIV3Schema check.Definition `json:"openAPIV3Schema"`
						}
					}
				}
			}
			if err := documents.Decode(&crd); err == io.EOF {
				break
			} else if err != nil {
				t.Fatalf("%s: %v", file, err)
			}
			kind := crd.Spec.Names.Kind
			if slices.Contains([]string{"", "Order", "Challenge", "CertificateRequest"}, kind) {
				continue
			}
			for _, v := range crd.Spec.Versions {
				text, err := json.MarshalIndent(v.Schema.OpenAPIV3Schema, "", "\t")
				if err != nil {
					t.Fatal(err)
				}
				path := filepath.Join("schemas", crd.Spec.Group+"_"+v.Name+"_"+kind+".json")
				want = append(want, path)
				golden.File(t, path, append(text, '\n'), *update)
			}
		}
	}
	slices.Sort(want)
	if got, err := filepath.Glob("schemas/*"); err != nil || !slices.Equal(got, want) {
		t.Errorf("there are %v, want %v", got, want)
	}
}
