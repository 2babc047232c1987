package authentik

import (
	"strings"
	"testing"
)

// TestOptions: what Authentik has beside the client stands in the blueprint,
// for that client alone.
func TestOptions(t *testing.T) {
	options := Options{
		Provider:          "Portal (SSO)",
		AuthorizationFlow: "with-consent",
		InvalidationFlow:  "goodbye",
		SigningKey:        "tier",
		SubMode:           "user_uuid",
		Mappings:          map[string]string{"tenant": "Tenant of the user"},
		Groups:            []string{"staff", "partners"},
	}
	set := func(b *Blueprint) {
		b.Clients[0].Scopes = []string{"openid", "offline_access", "tenant"}
		b.Options = map[string]Options{"portal": options}
	}
	with := text(t, blueprint(set))
	for _, want := range []string{
		"name: Portal (SSO)\n",
		"[slug, with-consent]", "[slug, goodbye]", "sub_mode: user_uuid", "[name, tier]",
		"!Find [authentik_providers_oauth2.scopemapping, [name, Tenant of the user]]",
		"id: application-portal",
		"- model: authentik_policies.policybinding\n    state: present\n    identifiers:\n      target: !KeyOf application-portal\n      group: !If [!Find [authentik_core.group, [name, staff]], !Find [authentik_core.group, [name, staff]], !KeyOf group-not-found]\n    attrs:\n      order: 0\n",
		"[name, partners]",
	} {
		if !strings.Contains(with, want) {
			t.Errorf("%q is not in\n%s", want, with)
		}
	}
	// The other client is as it was.
	_, other, _ := strings.Cut(with, "id: provider-admin-tools")
	_, plain, _ := strings.Cut(text(t, blueprint()), "id: provider-admin-tools")
	if other != plain {
		t.Errorf("the other client is\n%s\nand was\n%s", other, plain)
	}

	for _, tc := range []struct {
		name   string
		change func(*Blueprint)
		want   string
	}{
		{"a client that is not there", func(b *Blueprint) { b.Options["gone"] = Options{} }, "options[gone]: Invalid value: there is no client of this name in clients"},
		{"a provider twice", func(b *Blueprint) { b.Options["admin-tools"] = Options{Provider: "Portal (SSO)"} }, `options[admin-tools].provider: Invalid value: "Portal (SSO)": is the provider of the client portal too: one would overwrite the other`},
		{"a mapping that nobody asks for", func(b *Blueprint) { b.Options["admin-tools"] = Options{Mappings: map[string]string{"tenant": "x"}} }, `options[admin-tools].mappings[tenant]: Invalid value: "tenant": is no scope that the client asks for: add it to its scopes`},
		{"a mapping that is Authentik's", func(b *Blueprint) { b.Options["admin-tools"] = Options{Mappings: map[string]string{"openid": "x"}} }, "options[admin-tools].mappings[openid]: Forbidden: Authentik keeps the mapping of this scope itself"},
		{"a group twice", func(b *Blueprint) { b.Options["admin-tools"] = Options{Groups: []string{"a", "a", ""}} }, "options[admin-tools].groups[1]: Duplicate value: \"a\"\nBlueprint auth/example: options[admin-tools].groups[2]: Required value: name the group"},
		{"an unknown mode", func(b *Blueprint) { b.Options["admin-tools"] = Options{SubMode: "name"} }, `options[admin-tools].subMode: Unsupported value: "name": supported values: "hashed_user_id", "user_id", "user_uuid", "user_username", "user_email", "user_upn"`},
	} {
		b := blueprint(set)
		tc.change(&b)
		_, err := b.Objects()
		if err == nil || err.Error() != "Blueprint auth/example: "+tc.want {
			t.Errorf("%s: %v\nwant %s", tc.name, err, tc.want)
		}
	}
}

// TestPublic: a client that runs in the browser has no secret anywhere.
func TestPublic(t *testing.T) {
	b := blueprint(func(b *Blueprint) { b.Clients[0].Public, b.Clients[0].SecretKey = true, "" })
	for _, k := range append(b.Secret().Keys, b.Clients[0].Secret().Keys...) {
		if k.Name == secretVariable(b.Clients[0]) || k.Name == "OIDC_CLIENT_SECRET" {
			t.Errorf("there is a key %s", k.Name)
		}
	}
	with, other, _ := strings.Cut(text(t, b), "id: provider-admin-tools")
	if !strings.Contains(with, "client_type: public\n") || strings.Contains(with, "client_secret") {
		t.Errorf("the provider is\n%s", with)
	}
	if !strings.Contains(other, "client_type: confidential\n") || !strings.Contains(other, "client_secret: !Env OIDC_ADMIN_TOOLS_CLIENT_SECRET\n") {
		t.Errorf("the other provider is\n%s", other)
	}

	b.Clients[0].SecretKey = "SECRET"
	const want = "secretKey: Forbidden: a public client has no secret: leave it out, or leave out public"
	if _, err := b.Objects(); err == nil || !strings.Contains(err.Error(), want) {
		t.Errorf("a key of the secret: %v, want %s", err, want)
	}
}
