package secrets_test

import (
	"bytes"
	"crypto/rand"
	"strings"
	"testing"

	"git.lastcloud.io/ronnibaslund/dezky/fleet/components/secret"
	"git.lastcloud.io/ronnibaslund/dezky/fleet/secrets"
)

// made is two layers: a store with its password, and an app whose connection
// string holds it.
func made() secrets.Set {
	// The app comes first: what its value is made of is there all the same.
	db := secret.Contract{Namespace: "data", Name: "db-auth", Reader: "the database", Keys: []secret.Key{
		{Name: "PASSWORD", Purpose: "Password of the database", Format: secret.Random(24), Rotation: secret.RotationNeedsPeer},
	}}
	app := secret.Contract{Namespace: "shop", Name: "shop-secrets", Keys: []secret.Key{{
		Name: "DATABASE_URL", Purpose: "Database",
		Format: secret.URI{Scheme: "mongodb", Host: "db.data:27017", Database: "shop", Password: true},
		Made:   &secret.Made{Before: "mongodb://shop:", Of: db.Key("PASSWORD"), After: "@db.data:27017/shop"},
	}}}
	return secrets.Set{Secrets: []secret.Contract{app, db}}
}

const madeFile = `apiVersion: v1
kind: Secret
metadata: {namespace: data, name: db-auth}
stringData:
  PASSWORD: marker@database/0000000000
---
apiVersion: v1
kind: Secret
metadata: {namespace: shop, name: shop-secrets}
stringData:
  DATABASE_URL: mongodb://shop:marker%40database%2F0000000000@db.data:27017/shop
`

func TestMade(t *testing.T) {
	set := made()
	out, todo, err := set.Generate(nil, rand.Reader)
	if err != nil || len(todo) != 0 {
		t.Fatalf("generate: %v, to do %v", err, todo)
	}
	if findings := set.Check(out); len(findings) != 0 {
		t.Errorf("what was generated has findings: %v", findings)
	}
	if findings := set.Check([]byte(madeFile)); len(findings) != 0 {
		t.Errorf("a value with characters that must be encoded has findings: %v", findings)
	}
	// A password that is there is encoded into the string that is missing.
	without := strings.Replace(madeFile, "mongodb://shop:marker%40database%2F0000000000@db.data:27017/shop", "REPLACE", 1)
	if out, _, err = set.Generate([]byte(without), rand.Reader); err != nil || !bytes.Contains(out, []byte("mongodb://shop:marker%40database%2F0000000000@db.data:27017/shop")) {
		t.Errorf("the string was not made: %v", err)
	}
	other := strings.Replace(madeFile, "marker%40database%2F0000000000@", "marker-another-00000000000@", 1)
	const want = "Secret shop/shop-secrets, key DATABASE_URL: must hold the value of Secret data/db-auth, key PASSWORD, and holds another"
	if findings := set.Check([]byte(other)); len(findings) != 1 || findings[0].String() != want {
		t.Errorf("another password: %v", findings)
	}
	if _, _, err := set.Generate([]byte(other), rand.Reader); err == nil || err.Error() != strings.Replace(want, ": must", " must", 1)+": empty it, and it is made anew" {
		t.Errorf("generate over another password: %v", err)
	}

	for _, tc := range []struct {
		name   string
		change func(*secret.Key)
		want   string
	}{
		{"of nothing", func(k *secret.Key) { k.Made.Of.Key = "GONE" }, "Secret shop/shop-secrets, key DATABASE_URL: is made of data/db-auth.GONE, which no contract has"},
		{"of itself", func(k *secret.Key) {
			k.Made.Of = secret.Ref{Namespace: "shop", Secret: "shop-secrets", Key: "DATABASE_URL"}
		}, "Secret shop/shop-secrets, key DATABASE_URL: is made of shop/shop-secrets.DATABASE_URL, which is made itself: take what that one is made of"},
		{"of a person too", func(k *secret.Key) { k.Source = "somebody" }, "Secret shop/shop-secrets: keys[0].made: Forbidden: says where the value comes from: leave out value, sameAs and source"},
	} {
		set := made()
		tc.change(&set.Secrets[0].Keys[0])
		if err := set.Validate(); err == nil || err.Error() != tc.want {
			t.Errorf("%s: %v, want %s", tc.name, err, tc.want)
		}
	}
}
