package components_test

import (
	"strings"
	"testing"

	"git.lastcloud.io/ronnibaslund/dezky/fleet/components"
)

func TestContractRefused(t *testing.T) {
	good := secret()
	for _, tc := range []struct {
		name   string
		change func(*components.Secret)
		want   string
	}{
		{"no name", func(s *components.Secret) { s.Name = "" }, "Secret shop/(no name): name: Required value"},
		{"no namespace", func(s *components.Secret) { s.Namespace = "" }, "namespace: Required value"},
		{"no keys", func(s *components.Secret) { s.Keys = nil }, "keys: Required value: a contract has keys"},
		{"an empty key", func(s *components.Secret) { s.Keys = []components.SecretKey{{}} }, "keys[0].name: Required value: name the key"},
		{"a bad key", func(s *components.Secret) { s.Keys = []components.SecretKey{{Name: "a b", Purpose: "x"}} }, `keys[0].name: Invalid value: "a b"`},
		{"a key twice", func(s *components.Secret) { s.Keys = append(good.Keys, good.Keys[0]) }, `keys[1].name: Duplicate value: "TOKEN"`},
		{"no purpose", func(s *components.Secret) { s.Keys = []components.SecretKey{{Name: "A"}} }, "keys[0].purpose: Required value: say in a line what A is for"},
		{"the same as nothing", func(s *components.Secret) {
			s.Keys = []components.SecretKey{{Name: "A", Purpose: "x", SameAs: good.Key("GONE")}}
		}, `keys[0].sameAs: Invalid value: "shop/web-secrets.GONE": the contract of Secret web-secrets has no key "GONE"`},
		{"a value of another format", func(s *components.Secret) {
			s.Keys = []components.SecretKey{{Name: "A", Purpose: "x", Value: "http://x", Format: components.URI{Scheme: "https"}}}
		}, "keys[0].value: Invalid value: \"http://x\": the scheme must be https"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			s := secret()
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
