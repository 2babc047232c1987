package secret_test

import (
	"errors"
	"io"
	"math"
	"slices"
	"strings"
	"testing"
	"testing/iotest"

	"git.lastcloud.io/ronnibaslund/dezky/fleet/components/secret"
)

// contract is a good one.
func contract() secret.Contract {
	return secret.Contract{Name: "web-secrets", Namespace: "shop", Keys: []secret.Key{{Name: "TOKEN", Purpose: "Signs in"}}}
}

func TestContractRefused(t *testing.T) {
	good := contract()
	for _, tc := range []struct {
		name   string
		change func(*secret.Contract)
		want   string
	}{
		{"no name", func(s *secret.Contract) { s.Name = "" }, "Secret shop/(no name): name: Required value"},
		{"no namespace", func(s *secret.Contract) { s.Namespace = "" }, "namespace: Required value"},
		{"no keys", func(s *secret.Contract) { s.Keys = nil }, "keys: Required value: a contract has keys"},
		{"an empty key", func(s *secret.Contract) { s.Keys = []secret.Key{{}} }, "keys[0].name: Required value: name the key"},
		{"a bad key", func(s *secret.Contract) { s.Keys = []secret.Key{{Name: "a b", Purpose: "x"}} }, `keys[0].name: Invalid value: "a b"`},
		{"a key twice", func(s *secret.Contract) { s.Keys = append(good.Keys, good.Keys[0]) }, `keys[1].name: Duplicate value: "TOKEN"`},
		{"no purpose", func(s *secret.Contract) { s.Keys = []secret.Key{{Name: "A"}} }, "keys[0].purpose: Required value: say in a line what A is for"},
		{"a value of another format", func(s *secret.Contract) {
			s.Keys = []secret.Key{{Name: "A", Purpose: "x", Value: "http://x", Format: secret.URI{Scheme: "https"}}}
		}, "keys[0].value: Invalid value: \"http://x\": the scheme must be https"},
		{"no hex", func(s *secret.Contract) {
			s.Keys = []secret.Key{{Name: "A", Purpose: "x", Format: secret.Hex(0)}}
		}, "keys[0].format: Invalid value: is 0 long, must be 1 or more"},
		{"less than no base64", func(s *secret.Contract) {
			s.Keys = []secret.Key{{Name: "A", Purpose: "x", Format: secret.Base64(-1)}}
		}, "keys[0].format: Invalid value: is -1 long, must be 1 or more"},
		{"no random text", func(s *secret.Contract) {
			s.Keys = []secret.Key{{Name: "A", Purpose: "x", Format: secret.Random(0)}}
		}, "keys[0].format: Invalid value: is 0 long, must be 1 or more"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			s := contract()
			tc.change(&s)
			if err := s.Validate(); err == nil || !strings.Contains(err.Error(), tc.want) {
				t.Errorf("the error is %v\nwant in it %s", err, tc.want)
			}
		})
	}
	if err := good.Validate(); err != nil {
		t.Errorf("a good contract is refused: %v", err)
	}
}

// What cannot be made is refused, without a panic and without part of a value.
func TestGenerateRefused(t *testing.T) {
	broken := iotest.ErrReader(errors.New("no entropy"))
	for _, tc := range []struct {
		format secret.Format
		random io.Reader
		want   string
	}{
		{secret.Hex(0), endless{}, "is 0 long, must be 1 or more"},
		{secret.Hex(-1), endless{}, "is -1 long, must be 1 or more"},
		{secret.Base64(0), endless{}, "is 0 long, must be 1 or more"},
		{secret.Base64(-8), endless{}, "is -8 long, must be 1 or more"},
		{secret.Random(0), endless{}, "is 0 long, must be 1 or more"},
		{secret.Random(-8), endless{}, "long, must be 1 or more"},
		{secret.Random(math.MinInt), endless{}, "long, must be 1 or more"},
		{secret.Random(math.MaxInt), endless{}, "long, must be 1 or more"},
		{secret.Hex(4), nil, "there is no source of random bytes: pass crypto/rand.Reader"},
		{secret.Base64(4), nil, "there is no source of random bytes"},
		{secret.Random(4), nil, "there is no source of random bytes"},
		{secret.Hex(4), broken, "no random bytes: no entropy"},
		{secret.Base64(4), broken, "no random bytes: no entropy"},
	} {
		value, err := tc.format.(interface {
			Generate(io.Reader) (string, error)
		}).Generate(tc.random)
		if err == nil || !strings.Contains(err.Error(), tc.want) || value != "" {
			t.Errorf("%T(%v): got %q and %v, want %s", tc.format, tc.format, value, err, tc.want)
		}
	}
}

func TestContractPending(t *testing.T) {
	s := secret.Contract{Namespace: "shop", Name: "web", Keys: []secret.Key{
		{Name: "A", Purpose: "x"},
		{Name: "B", Purpose: "x", Placeholder: "the bucket does not exist yet"},
		{Name: "C", Purpose: "x", Placeholder: "OCIS is not deployed yet"},
	}}
	want := []string{
		"Secret shop/web, B: a placeholder, since the bucket does not exist yet",
		"Secret shop/web, C: a placeholder, since OCIS is not deployed yet",
	}
	if got := s.Pending(); !slices.Equal(got, want) {
		t.Errorf("got %q, want %q", got, want)
	}
}

// What destr makes of a value that Nuxt reads; see its source.
func TestSecretKeyReadByNuxt(t *testing.T) {
	for value, changed := range map[string]bool{
		"123456789012": true, "1234567e8901": true, "-1": true, "1.5": true, "0": true, "1E+5": true,
		"true": true, "FALSE": true, "null": true, "undefined": true, "NaN": true, "Infinity": true, "-infinity": true,
		`{"a":1}`: true, `[1]`: true, `"quoted"`: true, `"a\u0062"`: true,
		"k123456789012": false, "12345678901234567": false, "0123": false, "1e": false, "0x4AAAA": false, "+1": false,
		"truer": false, "nil": false, "{a": false, `"a`: false, "[1": false, "abcdef": false, ".5": false, "1_000": false,
	} {
		err := secret.Key{Name: "NUXT_OIDC_CLIENT_ID"}.Check(value)
		if (err != nil) != changed || changed && !strings.Contains(err.Error(), "is no text to Nuxt") {
			t.Errorf("%s: %v, want refused %v", value, err, changed)
		}
		if err := (secret.Key{Name: "SESSION_REDIS_URL"}).Check(value); err != nil {
			t.Errorf("%s is refused where Nuxt does not read it: %v", value, err)
		}
	}
}
