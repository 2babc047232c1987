package validate

import (
	"strings"
	"testing"

	"k8s.io/apimachinery/pkg/util/validation"
)

// TestPlain: what is taken for plain keeps the rules of apimachinery.
func TestPlain(t *testing.T) {
	// Every string of up to three of these, and some at the limits.
	const letters = "aZz09-_. /$\x00é"
	words := []string{""}
	for from, n := 0, 0; n < 3; n++ {
		last := words[from:]
		from = len(words)
		for _, w := range last {
			for _, c := range letters {
				words = append(words, w+string(c))
			}
		}
	}
	for _, n := range []int{62, 63, 64, 252, 253, 254} {
		words = append(words, strings.Repeat("a", n))
	}
	plain := 0
	for _, w := range words {
		if isPlainLabel(w) {
			plain++
			for _, rule := range []func(string) []string{validation.IsDNS1035Label, validation.IsDNS1123Label, validation.IsDNS1123Subdomain} {
				if msgs := rule(w); msgs != nil {
					t.Errorf("%q is taken for a label: %v", w, msgs)
				}
			}
		}
		if isPlainKey(w) {
			plain++
			for _, rule := range []func(string) []string{validation.IsEnvVarName, validation.IsConfigMapKey} {
				if msgs := rule(w); msgs != nil {
					t.Errorf("%q is taken for a key: %v", w, msgs)
				}
			}
		}
	}
	if plain < 100 {
		t.Errorf("only %d of %d words are plain", plain, len(words))
	}
}
