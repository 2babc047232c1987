package secrets_test

import (
	"crypto/rand"
	"fmt"
	"strings"
	"testing"

	corev1 "k8s.io/api/core/v1"

	"git.lastcloud.io/ronnibaslund/dezky/fleet/components/secret"
	"git.lastcloud.io/ronnibaslund/dezky/fleet/secrets"
)

// What kubectl reads otherwise than it looks is refused, with its place; and
// what it reads as it looks is not.
func TestCheckReadsAsKubectl(t *testing.T) {
	for _, test := range []struct{ name, old, new, want string }{
		{"a lone CR before the separator", "marker-admin-00000000000\n---\n", "marker-admin-00000000000\r---\r", "has more than kubectl reads"},
		{"NEL", "marker-admin-00000000000\n---\n", "marker-admin-00000000000\u0085---\u0085", "has more than kubectl reads"},
		{"U+2028", "marker-admin-00000000000\n---\n", "marker-admin-00000000000\u2028---\u2028", "has more than kubectl reads"},
		{"the end of a document", "marker-admin-00000000000\n---\n", "marker-admin-00000000000\n...\n", "has more than kubectl reads"},
		{"text behind the separator", "marker-admin-00000000000\n---\n", "marker-admin-00000000000\n--- !!map\n", "has text behind the ---"},
		{"an anchor of another document", "DATABASE_URL: mongodb://marker:marker@db.data:27017/shop\n", "DATABASE_URL: *a\n", "is neither YAML nor JSON"},
		{"a tag on a key", "  MAIL_PASSWORD: marker-mail", "  !!str MAIL_PASSWORD: marker-mail", "Secret shop/shop-secrets, key MAIL_PASSWORD: has a tag before its name, on line 23"},
		{"a tag on a field", "  name: shop-secrets", "  !!str name: shop-secrets", "kubectl reads line 14 otherwise"},
		{"a namespace that is no text", "  namespace: auth", "  namespace: no", "kubectl reads line 5 otherwise"},
		{"a merge", "  MAIL_PASSWORD: marker-mail", "  <<: {MAIL_PASSWORD: marker-mail}", "has another name to kubectl, on line 23: put the name in quotes, without a merge"},
		{"a tag on a value", "MAIL_PASSWORD: marker-mail", "MAIL_PASSWORD: !!str 1", "has a tag"},
		{"an unknown field of metadata", "  namespace: auth", "  namespace: auth\n  marker: marker", "Secret auth/worker: the field on line 6 is none that metadata has"},
		{"immutable in quotes", "  namespace: auth\n", "  namespace: auth\nimmutable: \"true\"\n", "immutable on line 6 must be true or false, without quotes"},
		{"a label that is a number", "  namespace: auth\n", "  namespace: auth\n  labels: {a: 1}\n", "has a field of another type than Kubernetes gives it"},
		{"CRLF", "marker-admin-00000000000\n---\n", "marker-admin-00000000000\r\n---\r\n", ""},
		{"a comment behind the separator", "marker-admin-00000000000\n---\n", "marker-admin-00000000000\n--- # shop\n", ""},
		{"separators without a document", "marker-admin-00000000000\n---\n", "marker-admin-00000000000\n---\n# nothing\n---\n---\n", ""},
		{"an anchor of the same document", "MAIL_PASSWORD: marker-mail", "MAIL_PASSWORD: &a marker-mail\n  # *a", ""},
		{"a date", "MAIL_PASSWORD: marker-mail", "MAIL_PASSWORD: 2001-01-01", ""},
		{"immutable", "  namespace: auth\n", "  namespace: auth\nimmutable: true\n", ""},
		{"a label", "  namespace: auth\n", "  namespace: auth\n  labels: {a: \"1\"}\n", ""},
		{"a fold", "MAIL_PASSWORD: marker-mail", "MAIL_PASSWORD: >-\n    marker-mail\n    marker", ""},
	} {
		t.Run(test.name, func(t *testing.T) {
			input := spoil(t, test.old, test.new)
			if test.name == "an anchor of another document" {
				input = []byte(strings.Replace(string(input), "ADMIN_TOKEN: ", "ADMIN_TOKEN: &a ", 1))
			}
			said := fmt.Sprint(sample().Check(input))
			if test.want == "" && said != "[]" || !strings.Contains(said, test.want) {
				t.Errorf("got %s, want %s", said, test.want)
			}
			if test.want != "" {
				if _, _, err := sample().Generate(input, rand.Reader); err == nil {
					t.Error("generate takes it")
				}
			}
		})
	}
}

// JSON is read as kubectl reads it.
func TestCheckReadsJSON(t *testing.T) {
	good := `{"apiVersion":"v1","kind":"Secret","metadata":{"name":"a","namespace":"b"},"stringData":{"A":"marker"}}`
	set := secrets.Set{Secrets: []secret.Contract{{Namespace: "b", Name: "a", Keys: []secret.Key{{Name: "A", Purpose: "Test"}}}}}
	for input, want := range map[string]string{
		good:                  "[]",
		good + "\n---\n":      "[]",
		good + "\n# marker\n": "[]",
		good + good:           "has a second JSON document behind the first: put a line --- between them",
		strings.Replace(good, `"A":"marker"`, `"A":"marker","A":"other"`, 1): "stands twice",
	} {
		if said := fmt.Sprint(set.Check([]byte(input))); !strings.Contains(said, want) {
			t.Errorf("%s: got %s, want %s", input, said, want)
		}
	}
}

// BenchmarkCheck: ten times the keys take ten times as long.
func BenchmarkCheck(b *testing.B) {
	for _, n := range []int{1000, 10_000} {
		contract := secret.Contract{Namespace: "bench", Name: "many"}
		object := corev1.Secret{StringData: make(map[string]string)}
		var input strings.Builder
		input.WriteString("apiVersion: v1\nkind: Secret\nmetadata: {name: many, namespace: bench}\nstringData:\n")
		for i := range n {
			name := fmt.Sprintf("KEY_%d", i)
			contract.Keys = append(contract.Keys, secret.Key{Name: name, Purpose: "Test"})
			object.StringData[name] = "marker"
			fmt.Fprintf(&input, "  %s: marker-%d\n", name, i)
		}
		set := secrets.Set{Secrets: []secret.Contract{contract}}
		b.Run(fmt.Sprint(n), func(b *testing.B) {
			for b.Loop() {
				if findings := set.Check([]byte(input.String())); len(findings) > 0 {
					b.Fatal(findings[0])
				}
			}
		})
	}
}
