package secrets_test

import (
	"bytes"
	"crypto/rand"
	"encoding/base64"
	"encoding/hex"
	"fmt"
	"net/url"
	"os"
	"strconv"
	"strings"
	"testing"
)

// marker is the value that no output may hold. Its letters stand in no text
// of the program.
const marker = "qzjxvkwqzjxvkw0987"

// leaks finds the marker in an output: itself, encoded, or its beginning.
func leaks(output string) bool {
	output = strings.ToLower(output)
	encoded := base64.StdEncoding.EncodeToString([]byte(marker))
	for _, shape := range []string{marker[:8], encoded[:8], hex.EncodeToString([]byte(marker))[:16]} {
		if strings.Contains(output, strings.ToLower(shape)) {
			return true
		}
	}
	return false
}

// everywhere writes Secrets with a value under every key of the sample, in
// one of several encodings, or broken.
func everywhere(value string, form int) []byte {
	var out strings.Builder
	for _, secret := range sample().Secrets {
		fmt.Fprintf(&out, "---\napiVersion: v1\nkind: Secret\nmetadata: {name: %s, namespace: %s}\n", secret.Name, secret.Namespace)
		field, encode := "stringData", strconv.Quote
		switch form % 8 {
		case 1:
			field, encode = "data", func(v string) string { return base64.StdEncoding.EncodeToString([]byte(v)) }
		case 2:
			encode = func(v string) string { return v } // broken as it may be
		case 3:
			encode = func(v string) string { return "|\n    " + strings.ReplaceAll(v, "\n", "\n    ") }
		case 4:
			encode = func(v string) string { return base64.StdEncoding.EncodeToString([]byte(v)) + "\n" }
		case 5:
			encode = func(v string) string { return "'mongodb://u:" + url.QueryEscape(v) + "@" + v + "/" + v + "'" }
		case 6:
			field = "data" // not base64
		case 7:
			encode = func(v string) string { return "{" + v + ": " + v + "}" }
		}
		fmt.Fprintf(&out, "%s:\n", field)
		for _, k := range secret.Keys {
			fmt.Fprintf(&out, "  %s: %s\n", k.Name, encode(value))
		}
	}
	return []byte(out.String())
}

// FuzzCheck plants the marker wherever an input has a @, and the whole input
// under every key besides. No run may crash or print it.
func FuzzCheck(f *testing.F) {
	good, err := os.ReadFile("testdata/good.yaml")
	if err != nil {
		f.Fatal(err)
	}
	seeds := []string{
		string(good),
		strings.ReplaceAll(string(good), "marker", "@"),
		strings.ReplaceAll(string(good), "marker-", "{@: "),
		"@", "mongodb://@:@@db.data:27017/@", "@: @", "*@", "!@ @", "&@ [*@]", "%@", "<<: {@: @}", "\"@", "? @\n: - @",
		"kind: @\nmetadata: {name: @, namespace: @, uid: @, @: @}\ntype: @\n@: @",
		"kind: Secret\napiVersion: v1\nmetadata: {name: shop-secrets, namespace: @}\ntype: @\n@: @\nstringData: {@: @}\ndata: {@: @}",
		"kind: List\nitems: [{kind: Secret, metadata: {name: @, uid: 1}}, @, [@], {kind: List, items: [@]}]",
		"kind: List\nitems: @", "kind: List\nitems: &a [*a]", "&a {kind: List, items: [*a]}",
		"kind: Secret\nsops: @\nmetadata: {name: ENC[@}\nstringData: {CLIENT_SECRET: ENC[@, SESSION_KEY: @}",
		"kind: SealedSecret\nmetadata: {name: worker, namespace: auth}\nspec: {encryptedData: {ADMIN_TOKEN: @, @: @}, template: {type: @, data: {@: @}}}",
		`{"auths":{"registry.example.com":{"auth":"@"}}}`,
	}
	for i, s := range seeds {
		f.Add([]byte(s), i)
	}
	f.Fuzz(func(t *testing.T, input []byte, form int) {
		input = bytes.ReplaceAll(input, []byte("@"), []byte(marker))
		if form < 0 {
			form = -(form + 1)
		}
		for _, in := range [][]byte{input, everywhere(marker+string(input), form)} {
			for _, args := range [][]string{{"check", "-"}, {"check", "-only", "shop/shop-secrets", "-"}} {
				var stdout, stderr bytes.Buffer
				status := command().Run(args, bytes.NewReader(in), &stdout, &stderr)
				if status > 1 || stdout.Len() > 0 {
					t.Errorf("status %d, output %q", status, stdout.String())
				}
				if leaks(stderr.String()) {
					t.Errorf("check prints a value: %s", stderr.String())
				}
			}
			_, todo, err := sample().Generate(in, rand.Reader)
			if said := fmt.Sprint(todo, err); leaks(said) {
				t.Errorf("generate prints a value: %s", said)
			}
		}
	})
}

// The search itself finds what it searches for.
func TestLeaks(t *testing.T) {
	for _, output := range []string{marker, "x" + marker[:8], base64.StdEncoding.EncodeToString([]byte(marker)), hex.EncodeToString([]byte(marker))} {
		if !leaks(output) {
			t.Errorf("%q is not seen", output)
		}
	}
	if leaks("no value") {
		t.Error("nothing is seen as a value")
	}
}
