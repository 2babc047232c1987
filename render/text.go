package render

import (
	"bytes"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"
	"unicode/utf8"

	"k8s.io/apimachinery/pkg/runtime"

	"git.lastcloud.io/ronnibaslund/dezky/fleet/render/object"
)

// notText returns the places of the strings of an object that are not UTF-8.
// Its YAML has U+FFFD there, as encoding/json writes it, so nothing is looked
// at where there is none.
func notText(o object.Object, yaml []byte) []string {
	if !bytes.ContainsRune(yaml, utf8.RuneError) {
		return nil
	}
	content, err := runtime.DefaultUnstructuredConverter.ToUnstructured(o)
	if err != nil {
		return nil // the YAML was made, and is all that there is to see
	}
	var places []string
	var walk func(place string, value any)
	walk = func(place string, value any) {
		switch v := value.(type) {
		case string:
			if !utf8.ValidString(v) {
				places = append(places, place)
			}
		case []any:
			for i, e := range v {
				at := strconv.Itoa(i)
				if m, ok := e.(map[string]any); ok {
					if name, ok := m["name"].(string); ok && utf8.ValidString(name) {
						at = name
					}
				}
				walk(place+"["+at+"]", e)
			}
		case map[string]any:
			for _, k := range slices.Sorted(maps.Keys(v)) {
				below := strings.TrimPrefix(place+"."+k, ".")
				if !utf8.ValidString(k) {
					places = append(places, fmt.Sprintf("%s[%q]", place, k))
				}
				walk(below, v[k])
			}
		}
	}
	walk("", content)
	return places
}
