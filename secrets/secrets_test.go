package secrets_test

import (
	"bytes"
	"crypto/rand"
	"errors"
	"os"
	"slices"
	"strings"
	"testing"
	"testing/iotest"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/yaml"

	"git.lastcloud.io/ronnibaslund/dezky/fleet/components/secret"
	"git.lastcloud.io/ronnibaslund/dezky/fleet/secrets"
)

func TestValidate(t *testing.T) {
	contract := func(namespace, name string, keys ...secret.Key) secret.Contract {
		return secret.Contract{Namespace: namespace, Name: name, Keys: keys}
	}
	key := func(name string, sameAs secret.Ref) secret.Key {
		return secret.Key{Name: name, Purpose: "Test", SameAs: sameAs}
	}
	ref := func(key string) secret.Ref {
		return secret.Ref{Namespace: "n", Secret: "a", Key: key}
	}
	for _, test := range []struct {
		name string
		set  secrets.Set
		want []string
	}{
		{"sample", sample(), nil},
		{"a contract of its own", secrets.Set{Secrets: []secret.Contract{contract("n", "a")}},
			[]string{"Secret n/a: keys: Required value: a contract has keys"}},
		{"two contracts", secrets.Set{Secrets: []secret.Contract{contract("n", "a", key("A", secret.Ref{})), contract("n", "a", key("B", secret.Ref{}))}},
			[]string{"Secret n/a: there are two contracts of this name"}},
		{"no such key", secrets.Set{Secrets: []secret.Contract{contract("n", "a", key("A", ref("B")))}},
			[]string{"Secret n/a, key A: repeats n/a.B, which no contract has"}},
		{"no domain", secrets.Set{ForeignDomains: []string{"", "https://example.com"}},
			[]string{
				"foreignDomains[0]: is empty: give a domain such as example.com, or leave it out",
				`foreignDomains[1]: "https://example.com" is no domain such as example.com: a lowercase RFC 1123 subdomain must consist of lower case alphanumeric characters, '-' or '.', and must start and end with an alphanumeric character (e.g. 'example.com', regex used for validation is '[a-z0-9]([-a-z0-9]*[a-z0-9])?(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*')`,
			}},
		{"circle", secrets.Set{Secrets: []secret.Contract{contract("n", "a", key("A", ref("B")), key("B", ref("A")))}},
			[]string{
				"Secret n/a, key A: repeats n/a.B, which repeats it in turn: one of them must be the first",
				"Secret n/a, key B: repeats n/a.A, which repeats it in turn: one of them must be the first",
			}},
	} {
		t.Run(test.name, func(t *testing.T) {
			got := ""
			if err := test.set.Validate(); err != nil {
				got = err.Error()
			}
			if want := strings.Join(test.want, "\n"); got != want {
				t.Errorf("got\n%s\nwant\n%s", got, want)
			}
			if _, err := test.set.Template(); (err != nil) != (test.want != nil) {
				t.Errorf("Template says %v", err)
			}
			test.set.Check([]byte("kind: Secret\n")) // whatever the contracts, it ends
		})
	}
}

// An environment below the domain of another one has own hosts there.
func TestCheckBelowForeign(t *testing.T) {
	set := sample()
	set.Domains = []string{"dev.example.test"}
	for value, refused := range map[string]bool{"https://auth.dev.example.test": false, "dev.example.test": false, "auth.example.test": true, "dev.example.test and example.test": true} {
		findings := set.Check(spoil(t, "MAIL_PASSWORD: marker-mail", `MAIL_PASSWORD: "`+value+`"`))
		if (len(findings) > 0) != refused {
			t.Errorf("%q: got %v, want a finding: %v", value, findings, refused)
		}
	}
}

// Each value stands under MAIL_PASSWORD, for which any text will do.
func TestCheckValue(t *testing.T) {
	for _, test := range []struct{ value, want string }{
		{"marker", ""},
		{"<marker&0>", ""},
		{"marker>0<", ""},
		{"Password0", ""},
		{"example.test.org", ""},
		{"myexample.test", ""},
		{"my-example.test", ""},
		// Real values that look like placeholders.
		{"myPASSWORD77", ""},
		{"myREPLACE77", ""},
		{"myChangeMe77", ""},
		{"a<bc>d9!", ""},
		{"hook$8812", ""},
		{"$ecret-77", ""},
		{"x${9}y", ""},
		{"{{}}", ""},
		{"a{{b", ""},
		{"a$(", ""},
		{"$(", ""},
		{"50%OFF50%", ""},
		{"a@B@c", ""},
		{"__x", ""},
		{"vault:", ""},
		{"nones", ""},
		{"redis://USER77:PASSWORD77@h", ""},
		// What people leave, and what a tool was to fill.
		{"${HOOK}", "placeholder"},
		{"before-${HOOK:-x}", "placeholder"},
		{"${{ secrets.HOOK }}", "placeholder"},
		{"$HOOK_SECRET", "placeholder"},
		{"$(cat hook.txt)", "placeholder"},
		{"$(HOOK)", "placeholder"},
		{"`cat hook.txt`", "placeholder"},
		{"{{ .hook }}", "placeholder"},
		{"{{.Values.hook}}", "placeholder"},
		{"{{ hook | quote }}", "placeholder"},
		{"{% hook %}", "placeholder"},
		{"<%= hook %>", "placeholder"},
		{"#{Hook}", "placeholder"},
		{"%(hook)s", "placeholder"},
		{"$[hook]", "placeholder"},
		{"%HOOK%", "placeholder"},
		{"@HOOK@", "placeholder"},
		{"__HOOK__", "placeholder"},
		{"[your key]", "placeholder"},
		{"your-key-here", "placeholder"},
		{"<path:kv/hook#key>", "placeholder"},
		{"ref+vault://kv/hook", "placeholder"},
		{"op://vault/hook/password", "placeholder"},
		{"changeme123", "placeholder"},
		{"redis://:REPLACE@h", "placeholder"},
		{"redis://:changeme@h", "placeholder"},
		{"redis://:${PASS}@h", "placeholder"},
		{"redis://USER:x@h", "placeholder"},
		{"REPLACE", "placeholder"},
		{"REPLACE_ME", "placeholder"},
		{"PASSWORD", "placeholder"},
		{"password", "placeholder"},
		{"ChangeMe!", "placeholder"},
		{"<your key>", "placeholder"},
		{"xxxx", "placeholder"},
		{"****", "placeholder"},
		{" ", "placeholder"},
		{"marker ", "white space"},
		{"example.test", "another environment"},
		{"https://auth.EXAMPLE.test/marker", "another environment"},
		{"at example.test.", "another environment"},
		{"myexample.test or example.test", "another environment"},
	} {
		input := spoil(t, "MAIL_PASSWORD: marker-mail", `MAIL_PASSWORD: "`+test.value+`"`)
		findings := sample().Check(input)
		switch {
		case test.want == "" && len(findings) > 0:
			t.Errorf("%q: %v", test.value, findings)
		case test.want != "" && (len(findings) != 1 || !strings.Contains(findings[0].Problem, test.want)):
			t.Errorf("%q: got %v, want one on %q", test.value, findings, test.want)
		}
	}
}

func TestCheckKubectlBooleans(t *testing.T) {
	for _, value := range []string{"yes", "No", "on", "OFF", "y", "true", "1e5", "0x0", "1_0", ".5", "2001-01-01", "!!str 0", "!marker marker"} {
		findings := sample().Check(spoil(t, "marker-mail", value))
		var kubectl struct{ StringData map[string]any }
		document := strings.Split(string(spoil(t, "marker-mail", value)), "---\n")[1]
		err := yaml.Unmarshal([]byte(document), &kubectl)
		_, isText := kubectl.StringData["MAIL_PASSWORD"].(string)
		if err == nil && !isText && len(findings) == 0 {
			t.Errorf("%s: no text to kubectl, and no finding", value)
		}
	}
}

func spoil(t *testing.T, old, new string) []byte {
	t.Helper()
	good, err := os.ReadFile("testdata/good.yaml")
	if err != nil {
		t.Fatal(err)
	}
	if n := bytes.Count(good, []byte(old)); n != 1 {
		t.Fatalf("%q stands %d times in good.yaml", old, n)
	}
	return bytes.Replace(good, []byte(old), []byte(new), 1)
}

// kubectl and kubeseal decode strictly into the Kubernetes type.
func TestGenerateDecodes(t *testing.T) {
	out, todo, err := sample().Generate(nil, rand.Reader)
	if err != nil || len(todo) != 4 {
		t.Fatal(todo, err)
	}
	again, _, err := sample().Generate(out, rand.Reader)
	if err != nil || !bytes.Equal(again, out) {
		t.Errorf("a second run is not the same: %v", err)
	}
	documents := strings.Split(string(out), "\n---\n")
	contracts := sample().Secrets
	if len(documents) != len(contracts) {
		t.Fatalf("%d documents for %d Secrets", len(documents), len(contracts))
	}
	for i, contract := range contracts {
		var secret corev1.Secret
		if err := yaml.UnmarshalStrict([]byte(documents[i]), &secret); err != nil {
			t.Fatal(err)
		}
		if secret.Namespace != contract.Namespace || secret.Name != contract.Name || len(secret.StringData) != len(contract.Keys) {
			t.Errorf("document %d is %s/%s with %d keys", i+1, secret.Namespace, secret.Name, len(secret.StringData))
		}
	}
}

// Whatever a value is, it comes back as it was.
func TestGenerateKeepsText(t *testing.T) {
	for _, value := range []string{"yes", "0", "1e5", "marker\nmarker\n", "# marker", `"marker": 'marker'`, "\x00\x1b\u2028", " marker", "{}", "---", "*marker", "changeme"} {
		set := secrets.Set{Secrets: []secret.Contract{{Namespace: "n", Name: "a", Keys: []secret.Key{{Name: "A", Purpose: "Test"}}}}}
		existing, err := yaml.Marshal(&corev1.Secret{
			TypeMeta:   metav1.TypeMeta{APIVersion: "v1", Kind: "Secret"},
			ObjectMeta: metav1.ObjectMeta{Namespace: "n", Name: "a"},
			StringData: map[string]string{"A": value},
		})
		if err != nil {
			t.Fatal(err)
		}
		out, _, err := set.Generate(existing, rand.Reader)
		if err != nil {
			t.Errorf("%q: %v", value, err)
			continue
		}
		var got corev1.Secret
		if err := yaml.UnmarshalStrict(out, &got); err != nil || got.StringData["A"] != value {
			t.Errorf("%q came back as %q (%v)", value, got.StringData["A"], err)
		}
	}
}

func TestGenerateRefuses(t *testing.T) {
	if _, _, err := sample().Generate(nil, nil); err == nil || err.Error() != "there is no source of random bytes: pass crypto/rand.Reader" {
		t.Errorf("without a reader: %v", err)
	}
	if _, _, err := sample().Generate(nil, iotest.ErrReader(errors.New("no entropy"))); err == nil || !strings.Contains(err.Error(), "no entropy") {
		t.Errorf("without random bytes: %v", err)
	}
	binary := spoil(t, "stringData:\n  SHOP_CLIENT_SECRET: marker-client-0000000000", "data:\n  SHOP_CLIENT_SECRET: //8=\nstringData:")
	if _, _, err := sample().Generate(binary, rand.Reader); err == nil || !strings.Contains(err.Error(), "Secret auth/worker, key SHOP_CLIENT_SECRET: is not text") {
		t.Errorf("bytes that are no text: %v", err)
	}
	foreign := []byte("{apiVersion: v1, kind: Secret, metadata: {name: marker, namespace: marker, uid: marker}}")
	if _, _, err := sample().Generate(foreign, rand.Reader); err == nil || err.Error() != "document 1, line 1: is a Secret that no contract names: remove it" {
		t.Errorf("a Secret of somebody else: %v", err)
	}
}

// No value is in two formats at once, a person's source comes before a format that a program could fill, and a
// value that follows from the definitions is kept where it is another.
func TestGenerateTodo(t *testing.T) {
	inHex := secret.Ref{Namespace: "n", Secret: "a", Key: "IN_HEX"}
	set := secrets.Set{Secrets: []secret.Contract{{Namespace: "n", Name: "a", Keys: []secret.Key{
		{Name: "IN_HEX", Purpose: "Test", Format: secret.Hex(8)},
		{Name: "IN_BASE64", Purpose: "Test", Format: secret.Base64(8), SameAs: inHex},
		{Name: "HOST", Purpose: "Test", Source: "the host", Format: secret.Random(8)},
		{Name: "PUBLIC", Purpose: "Test", Value: "known"},
		{Name: "WORD", Purpose: "Test"},
	}}}}
	existing := "{apiVersion: v1, kind: Secret, metadata: {name: a, namespace: 'n'}, stringData: {PUBLIC: marker, WORD: changeme}}"
	out, todo, err := set.Generate([]byte(existing), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	want := []string{
		"Secret n/a, key IN_HEX: 8 random bytes in hex (openssl rand -hex 8); goes to Secret n/a, key IN_BASE64 too",
		"Secret n/a, key HOST: the host; it must be random text of 8 characters or more (printf k; openssl rand -hex 4)",
		"Secret n/a, key PUBLIC: has another value, which is kept; it must be known",
		"Secret n/a, key WORD: any text",
	}
	if !slices.Equal(todo, want) {
		t.Errorf("got %q, want %q", todo, want)
	}
	for _, line := range []string{`HOST: "REPLACE"`, `PUBLIC: "marker"`, `WORD: "changeme"`} {
		if !strings.Contains(string(out), line) {
			t.Errorf("there is no %s in\n%s", line, out)
		}
	}
}

// A program that lacks a part says so.
func TestCommandRefused(t *testing.T) {
	set := func(string) (secrets.Set, error) { return sample(), nil }
	for _, test := range []struct {
		command secrets.Command
		want    string
	}{
		{secrets.Command{Name: "p", Set: set}, "p: the program knows no environment: its Command must have Environments\n"},
		{secrets.Command{Name: "p", Environments: []string{"e"}}, "p: the program knows no Secrets: its Command must have the function Set\n"},
	} {
		for _, args := range [][]string{nil, {"template"}, {"generate"}, {"check", "-"}, {"-h"}} {
			var stdout, stderr bytes.Buffer
			if status := test.command.Run(args, strings.NewReader(""), &stdout, &stderr); status != 1 || stdout.Len() > 0 || stderr.String() != test.want {
				t.Errorf("%q: status %d, output %q, error %q, want %q", args, status, stdout.String(), stderr.String(), test.want)
			}
		}
	}
}

// A Secret that SOPS encrypted as a whole is the one that -only names, though
// another has the same keys.
func TestCheckOnlyEncrypted(t *testing.T) {
	keys := []secret.Key{{Name: "A", Purpose: "Test"}}
	set := secrets.Set{Secrets: []secret.Contract{{Namespace: "n", Name: "a", Keys: keys}, {Namespace: "n", Name: "b", Keys: keys}}}
	c := secrets.Command{Name: "p", Environments: []string{"e"}, Set: func(string) (secrets.Set, error) { return set, nil }}
	for _, name := range []string{"n/a", "n/b"} {
		input := "{kind: 'ENC[x]', apiVersion: 'ENC[x]', metadata: {name: 'ENC[x]', namespace: 'ENC[x]'}, stringData: {A: 'ENC[x]'}, sops: {}}"
		var stdout, stderr bytes.Buffer
		if status := c.Run([]string{"check", "-only", name, "-"}, strings.NewReader(input), &stdout, &stderr); status != 0 {
			t.Errorf("%s: status %d, %s", name, status, stderr.String())
		}
	}
}

// TestEmptyCluster: an empty cluster lacks each Secret, and each is told with
// the way to get it.
func TestEmptyCluster(t *testing.T) {
	set := sample()
	findings := set.Check([]byte(`{"apiVersion": "v1", "kind": "List", "items": []}`))
	if len(findings) != len(set.Secrets) {
		t.Errorf("%d findings for %d Secrets: %v", len(findings), len(set.Secrets), findings)
	}
	for _, f := range findings {
		if f.Note || !strings.Contains(f.Problem, "is missing") {
			t.Errorf("finding %s", f)
		}
	}
}
