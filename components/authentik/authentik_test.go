package authentik

import (
	"flag"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"go.yaml.in/yaml/v3"
	corev1 "k8s.io/api/core/v1"

	"git.lastcloud.io/ronnibaslund/dezky/fleet/components"
	"git.lastcloud.io/ronnibaslund/dezky/fleet/components/nuxt"
	"git.lastcloud.io/ronnibaslund/dezky/fleet/components/secret"
	"git.lastcloud.io/ronnibaslund/dezky/fleet/golden"
)

var update = flag.Bool("update", false, "accept what is rendered: write testdata/blueprint.yaml")

// portal is all defaults of a Nuxt app, tools differs wherever a client can.
func portal() nuxt.Login {
	return nuxt.Login{
		Client:   components.OIDCClient{Name: "portal", Namespace: "apps", Host: "app.example.com", Authentik: "auth.example.com"},
		Sessions: &nuxt.RedisSessions{Address: "redis.data:6379", Database: 1, Prefix: "portal"},
	}
}

func tools() nuxt.Login {
	return nuxt.Login{
		Client: components.OIDCClient{
			Name: "admin-tools", Slug: "tools", Namespace: "apps", Host: "tools.example.com", Authentik: "auth.example.com",
			CallbackPaths: []string{"/back"}, LogoutPath: "/bye",
			Scopes: []string{"openid", "entitlements"}, NoRefresh: true,
			AccessToken: 90 * time.Minute, RefreshToken: 36 * time.Hour,
			SecretName: "tools-login",
		},
		Sessions: &nuxt.RedisSessions{Address: "redis.data:6379", Database: 1, Prefix: "tools:"},
	}
}

func blueprint(change ...func(*Blueprint)) Blueprint {
	b := Blueprint{
		Name: "example", Namespace: "auth", Version: Version{2026, 8},
		Clients: []components.OIDCClient{portal().OIDCClient(), tools().OIDCClient()},
	}
	for _, c := range change {
		c(&b)
	}
	return b
}

// text is the blueprint in the ConfigMap.
func text(t *testing.T, b Blueprint) string {
	t.Helper()
	objects, err := b.Objects()
	if err != nil {
		t.Fatal(err)
	}
	if len(objects) != 1 {
		t.Fatalf("%d objects, want one ConfigMap", len(objects))
	}
	config := objects[0].(*corev1.ConfigMap)
	if config.Name != b.Name || config.Namespace != b.Namespace {
		t.Errorf("the ConfigMap is %s/%s", config.Namespace, config.Name)
	}
	if len(config.Data) != 1 || config.Data[b.Name+".yaml"] == "" {
		t.Fatalf("keys of the ConfigMap are not %s.yaml alone: %v", b.Name, config.Data)
	}
	return config.Data[b.Name+".yaml"]
}

func TestGolden(t *testing.T) {
	got := text(t, blueprint())
	golden.File(t, "testdata/blueprint.yaml", []byte(got), *update)
	if again := text(t, blueprint()); again != got {
		t.Error("the second rendering differs from the first")
	}
}

// parsed is an entry; values are strings, lists and maps, and a value
// under one of Authentik's tags is a string that starts with the tag.
type parsed struct {
	model, id string
	fields    []string
	ident     map[string]any
	attrs     map[string]any
}

func parse(t *testing.T, source string) []parsed {
	t.Helper()
	var document yaml.Node
	if err := yaml.Unmarshal([]byte(source), &document); err != nil {
		t.Fatalf("%v\n%s", err, source)
	}
	root := value(document.Content[0]).(map[string]any)
	if root["version"] != "1" || root["metadata"].(map[string]any)["name"] != "example" {
		t.Errorf("version %v, metadata %v", root["version"], root["metadata"])
	}
	var entries []parsed
	for _, raw := range root["entries"].([]any) {
		e := parsed{ident: map[string]any{}, attrs: map[string]any{}}
		for k, v := range raw.(map[string]any) {
			e.fields = append(e.fields, k)
			switch k {
			case "model":
				e.model = v.(string)
			case "id":
				e.id = v.(string)
			case "identifiers":
				e.ident = v.(map[string]any)
			case "attrs":
				e.attrs = v.(map[string]any)
			case "state":
				if v != "present" {
					t.Errorf("state %v", v)
				}
			}
		}
		slices.Sort(e.fields)
		entries = append(entries, e)
	}
	return entries
}

func value(n *yaml.Node) any {
	if strings.HasPrefix(n.Tag, "!") && !strings.HasPrefix(n.Tag, "!!") {
		if n.Kind == yaml.ScalarNode {
			return n.Tag + " " + n.Value
		}
		var parts []string
		for _, part := range n.Content {
			parts = append(parts, fmt.Sprint(value(part)))
		}
		return n.Tag + " " + strings.Join(parts, " ")
	}
	switch n.Kind {
	case yaml.MappingNode:
		m := make(map[string]any)
		for i := 0; i < len(n.Content); i += 2 {
			m[n.Content[i].Value] = value(n.Content[i+1])
		}
		return m
	case yaml.SequenceNode:
		items := []any{}
		for _, item := range n.Content {
			items = append(items, value(item))
		}
		return items
	}
	return n.Value
}

// Every !KeyOf names an entry that stands before it: Authentik resolves it
// from the entries that it has applied already.
func TestKeyOf(t *testing.T) {
	seen := make(map[string]bool)
	found := 0
	for _, e := range parse(t, text(t, blueprint())) {
		for name, v := range e.attrs {
			if id, ok := strings.CutPrefix(fmt.Sprint(v), "!KeyOf "); ok {
				found++
				if !seen[id] {
					t.Errorf("%s of %v: no entry %q stands before it", name, e.ident, id)
				}
			}
		}
		if e.id != "" {
			if seen[e.id] {
				t.Errorf("two entries have the id %s", e.id)
			}
			seen[e.id] = true
		}
	}
	if found != 2 {
		t.Errorf("%d !KeyOf, want one for each application", found)
	}
}

// What Authentik is told and what the app is told is the same.
func TestAgreesWithApp(t *testing.T) {
	b := blueprint()
	entries := parse(t, text(t, b))
	if len(entries) != 2*len(b.Clients) {
		t.Fatalf("%d entries for %d clients", len(entries), len(b.Clients))
	}
	contract := make(map[string]secret.Key)
	for _, k := range b.Secret().Keys {
		contract[k.Name] = k
	}
	for i, c := range b.Clients {
		provider, application := entries[2*i], entries[2*i+1]
		login := []nuxt.Login{portal(), tools()}[i]
		env, secretEnv := login.Env(), login.SecretEnv()
		t.Run(c.Name, func(t *testing.T) {
			var signIn, signOut []string
			for _, raw := range provider.attrs["redirect_uris"].([]any) {
				uri := raw.(map[string]any)
				if uri["matching_mode"] != "strict" {
					t.Errorf("%v is not strict", uri)
				}
				switch uri["redirect_uri_type"] {
				case "authorization":
					signIn = append(signIn, uri["url"].(string))
				case "logout":
					signOut = append(signOut, uri["url"].(string))
				default:
					t.Errorf("%v has no type", uri)
				}
			}
			for _, name := range []string{"NUXT_OIDC_REDIRECT_URI", "NUXT_OIDC_PROVIDERS_OIDC_REDIRECT_URI"} {
				if !slices.Contains(signIn, env[name]) {
					t.Errorf("the app asks for %s (%s), the provider allows %v", env[name], name, signIn)
				}
			}
			if want := []string{env["NUXT_OIDC_PROVIDERS_OIDC_LOGOUT_REDIRECT_URI"]}; !slices.Equal(signOut, want) {
				t.Errorf("after sign-out the app asks for %v, the provider allows %v", want, signOut)
			}

			var scopes []string
			for _, raw := range provider.attrs["property_mappings"].([]any) {
				scope, ok := strings.CutPrefix(raw.(string), "!Find authentik_providers_oauth2.scopemapping [managed goauthentik.io/providers/oauth2/scope-")
				if !ok {
					t.Errorf("mapping %v", raw)
				}
				scopes = append(scopes, `"`+strings.TrimSuffix(scope, "]")+`"`)
			}
			if got := "[" + strings.Join(scopes, ",") + "]"; got != env["NUXT_OIDC_PROVIDERS_OIDC_SCOPE"] {
				t.Errorf("the app asks for %s, the provider maps %s", env["NUXT_OIDC_PROVIDERS_OIDC_SCOPE"], got)
			}

			slug := application.ident["slug"].(string)
			issuer := env["NUXT_PUBLIC_AUTH_URL"] + "/application/o/" + slug + "/"
			for got, want := range map[string]string{
				issuer:                  c.Issuer(),
				issuer + "end-session/": env["NUXT_OIDC_PROVIDERS_OIDC_LOGOUT_URL"],
				issuer + ".well-known/openid-configuration": env["NUXT_OIDC_PROVIDERS_OIDC_OPEN_ID_CONFIGURATION"],
			} {
				if got != want {
					t.Errorf("the blueprint makes %s, the app expects %s", got, want)
				}
			}
			if provider.attrs["issuer_mode"] != "per_provider" {
				t.Errorf("issuer_mode %v: the issuer has no slug", provider.attrs["issuer_mode"])
			}
			if got, want := application.attrs["meta_launch_url"], "https://"+c.Host+"/"; got != want {
				t.Errorf("launch URL %v, want %s", got, want)
			}
			if got, want := application.attrs["provider"], "!KeyOf "+provider.id; got != want {
				t.Errorf("the application has provider %v, want %s", got, want)
			}
			if provider.ident["name"] != c.Name || application.attrs["name"] != c.Name {
				t.Errorf("names %v and %v, want %s", provider.ident, application.attrs["name"], c.Name)
			}

			for attr, app := range map[string]string{"client_id": "NUXT_OIDC_PROVIDERS_OIDC_CLIENT_ID", "client_secret": "NUXT_OIDC_PROVIDERS_OIDC_CLIENT_SECRET"} {
				variable, ok := strings.CutPrefix(provider.attrs[attr].(string), "!Env ")
				key, known := contract[variable]
				if !ok || !known {
					t.Errorf("%s is %v, which is not in the worker's contract", attr, provider.attrs[attr])
				}
				if key.SameAs != secretEnv[app] {
					t.Errorf("%s is the same as %v, but the app reads %v", variable, key.SameAs, secretEnv[app])
				}
			}
		})
	}
}

func TestSecret(t *testing.T) {
	contract := blueprint().Secret()
	if err := contract.Validate(); err != nil {
		t.Error(err)
	}
	if contract.Name != "example-env" || contract.Namespace != "auth" || contract.Reader == "" {
		t.Errorf("Secret %s/%s, read by %q", contract.Namespace, contract.Name, contract.Reader)
	}
	var got []string
	for _, k := range contract.Keys {
		got = append(got, k.Name+" = "+k.SameAs.String())
		if k.Value != "" || k.Format == nil || k.Rotation != secret.RotationNeedsBlueprint {
			t.Errorf("%+v: must be secret, with the app's format and rotation", k)
		}
	}
	want := []string{
		"OIDC_PORTAL_CLIENT_ID = apps/portal-secrets.NUXT_OIDC_CLIENT_ID",
		"OIDC_PORTAL_CLIENT_SECRET = apps/portal-secrets.NUXT_OIDC_CLIENT_SECRET",
		"OIDC_ADMIN_TOOLS_CLIENT_ID = apps/tools-login.NUXT_OIDC_CLIENT_ID",
		"OIDC_ADMIN_TOOLS_CLIENT_SECRET = apps/tools-login.NUXT_OIDC_CLIENT_SECRET",
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	named := blueprint(func(b *Blueprint) { b.SecretName = "worker" }).Secret()
	if named.Name != "worker" {
		t.Errorf("Secret %s, want worker", named.Name)
	}
}

// The names that Authentik knows, and where they come from. A blueprint with
// a wrong name is applied all the same, and the attribute is not set.
var knownAttributes = map[string]map[string]string{
	modelProvider: {
		"authorization_flow":      "schema 2025.12, required",
		"invalidation_flow":       "schema 2025.12, required since 2024.10",
		"client_type":             "schema 2025.12: confidential or public",
		"client_id":               "schema 2025.12",
		"client_secret":           "schema 2025.12",
		"redirect_uris":           "schema 2025.12; redirect_uri_type inside from 2026.5",
		"property_mappings":       "schema 2025.12",
		"access_token_validity":   "schema 2025.12",
		"refresh_token_validity":  "schema 2025.12",
		"signing_key":             "schema 2025.12",
		"refresh_token_threshold": "schema 2025.12",
		"sub_mode":                "schema 2025.12",
		"issuer_mode":             "schema 2025.12: global or per_provider",
		"grant_types":             "Release 2026.5, OAuth2 configurable grant types",
	},
	modelApplication: {
		"name":            "schema 2025.12",
		"provider":        "schema 2025.12",
		"meta_launch_url": "schema 2025.12",
	},
}

func TestAttributes(t *testing.T) {
	for _, e := range parse(t, text(t, blueprint(func(b *Blueprint) { b.SubMode = "user_email" }))) {
		known := knownAttributes[e.model]
		for name := range e.attrs {
			if known[name] == "" {
				t.Errorf("%s: Authentik is not known to have %s", e.model, name)
			}
		}
		for name := range known {
			if _, ok := e.attrs[name]; !ok {
				t.Errorf("%s %v: %s is missing", e.model, e.ident, name)
			}
		}
		want := []string{"attrs", "identifiers", "model", "state"}
		if e.model == modelProvider {
			want = []string{"attrs", "id", "identifiers", "model", "state"}
		}
		if !slices.Equal(e.fields, want) {
			t.Errorf("%s has %v, want %v", e.model, e.fields, want)
		}
	}
}

func TestVersions(t *testing.T) {
	for _, test := range []struct {
		version   Version
		grants    bool
		typedURIs bool
	}{
		{Version{2024, 12}, false, false},
		{Version{2025, 12}, false, false},
		{Version{2026, 2}, false, false},
		{Version{2026, 5}, true, true},
		{Version{2026, 8}, true, true},
		{Version{2027, 2}, true, true},
	} {
		t.Run(test.version.String(), func(t *testing.T) {
			entries := parse(t, text(t, blueprint(func(b *Blueprint) { b.Version = test.version })))
			grants := []any{entries[0].attrs["grant_types"], entries[2].attrs["grant_types"]}
			want := []any{nil, nil}
			if test.grants {
				want = []any{[]any{"authorization_code", "refresh_token"}, []any{"authorization_code"}}
			}
			if diff := cmp.Diff(want, grants); diff != "" {
				t.Errorf("grant_types (-want +got):\n%s", diff)
			}
			thresholds := []any{entries[0].attrs["refresh_token_threshold"], entries[2].attrs["refresh_token_threshold"]}
			want = []any{nil, nil}
			if test.grants {
				want = []any{"days=14;hours=1", "seconds=0"}
			}
			if diff := cmp.Diff(want, thresholds); diff != "" {
				t.Errorf("refresh_token_threshold (-want +got):\n%s", diff)
			}
			uris := []any{
				map[string]any{"matching_mode": "strict", "url": "https://tools.example.com/back"},
			}
			if test.typedURIs {
				uris[0].(map[string]any)["redirect_uri_type"] = "authorization"
				uris = append(uris, map[string]any{"matching_mode": "strict", "url": "https://tools.example.com/bye", "redirect_uri_type": "logout"})
			}
			if diff := cmp.Diff(uris, entries[2].attrs["redirect_uris"].([]any)); diff != "" {
				t.Errorf("redirect_uris (-want +got):\n%s", diff)
			}
		})
	}
}

func TestRefusals(t *testing.T) {
	for _, test := range []struct {
		name  string
		fault func(*Blueprint)
		want  []string
	}{
		{"no name", func(b *Blueprint) { b.Name = "" },
			[]string{"name: Required"}},
		{"no namespace", func(b *Blueprint) { b.Namespace = "" },
			[]string{"namespace: Required"}},
		{"no version", func(b *Blueprint) { b.Version = Version{} },
			[]string{"version: Required value: say which Authentik reads the blueprint"}},
		{"no month", func(b *Blueprint) { b.Version = Version{2026, 13} },
			[]string{`version: Invalid value: "2026.13": must be the year and the month`}},
		{"redirect URIs without a type", func(b *Blueprint) { b.Version = Version{2024, 10} },
			[]string{`version: Invalid value: "2024.10": must be 2024.12 or later: earlier releases take redirect URIs for regular expressions`}},
		{"offline_access before its time", func(b *Blueprint) { b.Version = Version{2023, 10} },
			[]string{`version: Invalid value: "2023.10": must be 2024.12`}},
		{"no clients", func(b *Blueprint) { b.Clients = nil },
			[]string{"clients: Required value: give the OIDC clients"}},
		{"one slug twice", func(b *Blueprint) { b.Clients[1].Slug = "portal" },
			[]string{"clients[1]", "the Authentik slug portal at auth.example.com, and so does clients[0] (portal)"}},
		{"one name twice", func(b *Blueprint) { b.Clients[1].Name = "portal" },
			[]string{`clients[1].name: Invalid value: "portal": is the name of clients[0] too`}},
		{"two Authentiks", func(b *Blueprint) { b.Clients[1].Authentik = "auth.example.org" },
			[]string{`clients[1].authentik: Invalid value: "auth.example.org": clients[0] signs in at auth.example.com: one blueprint is for one Authentik`}},
		{"a sub_mode that is none", func(b *Blueprint) { b.SubMode = "email" },
			[]string{`subMode: Unsupported value: "email"`}},
		{"a client that is there and absent", func(b *Blueprint) { b.Absent = []components.OIDCClient{{Name: "old", Slug: "tools"}, {}} },
			[]string{`absent[0]: Invalid value: "old": has the name or the slug of clients[1] (admin-tools), which would be deleted`, "absent[1].name: Required value"}},
		{"a scope without a mapping", func(b *Blueprint) { b.Clients[1].Scopes = []string{"openid", "groups"} },
			[]string{`clients[1].scopes[1]: Invalid value: "groups": Authentik keeps no mapping for this scope, and drops`}},
		{"an invalid client", func(b *Blueprint) { b.Clients[0].Host = "app" },
			[]string{`Blueprint auth/example: clients[0].host: Invalid value: "app"`}},
		{"refresh without offline_access", func(b *Blueprint) { b.Clients[1].NoRefresh = false },
			[]string{"Blueprint auth/example: clients[1].scopes: Invalid value", "must contain offline_access, since the app refreshes by itself"}},
		{"a reserved slug", func(b *Blueprint) { b.Clients[1].Slug = "token" },
			[]string{"Authentik answers /application/o/token/ itself"}},
		{"a change of nothing", func(b *Blueprint) {
			b.Changes = []components.Change{components.Edit(func(*corev1.ConfigMap) {})}
		}, []string{"changes[0]: Invalid value: the edit leaves every *v1.ConfigMap as it was"}},
		{"all at once", func(b *Blueprint) {
			b.Version = Version{}
			b.Clients[0].Host = ""
			b.Clients[1].Slug = "portal"
			b.Clients[1].Scopes = []string{"openid", "groups"}
		}, []string{"version:", "host:", "slug", "groups"}},
	} {
		t.Run(test.name, func(t *testing.T) {
			b := blueprint()
			test.fault(&b)
			_, err := b.Objects()
			if err == nil {
				t.Fatal("is not refused")
			}
			for _, want := range test.want {
				if !strings.Contains(err.Error(), want) {
					t.Errorf("%q is not in\n%v", want, err)
				}
			}
		})
	}
}

// A live provider is found by its name or by the client id that the app has,
// and nothing that would change its users' sub is said of it.
func TestAdopts(t *testing.T) {
	provider := parse(t, text(t, blueprint()))[0]
	if got, want := provider.ident["pk"], "!Find authentik_providers_oauth2.oauth2provider [client_id !Env OIDC_PORTAL_CLIENT_ID]"; got != want {
		t.Errorf("pk is %v, want %s", got, want)
	}
	if provider.ident["name"] != "portal" {
		t.Errorf("identifiers %v", provider.ident)
	}
	if mode, ok := provider.attrs["sub_mode"]; ok {
		t.Errorf("sub_mode is %v, and nobody has confirmed it", mode)
	}
	confirmed := parse(t, text(t, blueprint(func(b *Blueprint) { b.SubMode = "user_email" })))[0]
	if got := confirmed.attrs["sub_mode"]; got != "user_email" {
		t.Errorf("sub_mode is %v, want user_email", got)
	}
}

// A key that is not there is a !KeyOf that fails, and no null: the branch for
// it names an entry that no blueprint here has.
func TestSigningKey(t *testing.T) {
	b := blueprint(func(b *Blueprint) { b.SigningKey = "ours" })
	entries := parse(t, text(t, b))
	want := "!If !Find authentik_crypto.certificatekeypair [name ours] !Find authentik_crypto.certificatekeypair [name ours] !KeyOf signing-key-not-found"
	for _, e := range entries {
		if e.model == modelProvider && e.attrs["signing_key"] != want {
			t.Errorf("signing_key is %v, want %s", e.attrs["signing_key"], want)
		}
		if e.id == "signing-key-not-found" {
			t.Error("there is an entry of the id that must not be there")
		}
	}
}

// What a sign-out ends, and where it goes.
func TestSignOut(t *testing.T) {
	entries := parse(t, text(t, blueprint(func(b *Blueprint) { b.Clients[0].LogoutPath = ""; b.Clients[1].LogoutAppOnly = true })))
	for _, raw := range entries[0].attrs["redirect_uris"].([]any) {
		if raw.(map[string]any)["redirect_uri_type"] == "logout" {
			t.Errorf("%v is registered, and no sign-out asks for it", raw)
		}
	}
	for i, flow := range map[int]string{0: "default-invalidation-flow", 2: "default-provider-invalidation-flow"} {
		if got, want := entries[i].attrs["invalidation_flow"], "!Find authentik_flows.flow [slug "+flow+"]"; got != want {
			t.Errorf("%v: the invalidation flow is %v, want %s", entries[i].ident, got, want)
		}
	}
}

// A former client is deleted, the application before its provider; nothing
// else is said of it.
func TestAbsent(t *testing.T) {
	entries := blueprintEntries(t, blueprint(func(b *Blueprint) { b.Absent = []components.OIDCClient{{Name: "old", Slug: "older"}} }))
	if len(entries) != 6 {
		t.Fatalf("%d entries", len(entries))
	}
	want := []map[string]any{
		{"model": modelApplication, "state": "absent", "identifiers": map[string]any{"slug": "older"}},
		{"model": modelProvider, "state": "absent", "identifiers": map[string]any{"name": "old"}},
	}
	if diff := cmp.Diff(want, entries[4:]); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

func blueprintEntries(t *testing.T, b Blueprint) []map[string]any {
	t.Helper()
	var document yaml.Node
	if err := yaml.Unmarshal([]byte(text(t, b)), &document); err != nil {
		t.Fatal(err)
	}
	var entries []map[string]any
	for _, e := range value(document.Content[0]).(map[string]any)["entries"].([]any) {
		entries = append(entries, e.(map[string]any))
	}
	return entries
}

func TestNotes(t *testing.T) {
	if notes := blueprint().About().Notes; notes != nil {
		t.Errorf("a release that was read is noted: %v", notes)
	}
	notes := blueprint(func(b *Blueprint) { b.Version = Version{2026, 11} }).About().Notes
	if len(notes) != 1 || !strings.Contains(notes[0], "Authentik 2026.11 is later than 2026.8") {
		t.Errorf("notes: %v", notes)
	}
}

// Authentik reads YAML 1.1, where on is a boolean.
func TestNamesStayText(t *testing.T) {
	got := text(t, blueprint(func(b *Blueprint) { b.Clients[0].Name, b.Clients[0].Slug, b.Clients[1].Name = "on", "on", "123" }))
	for _, want := range []string{`name: "on"`, `slug: "on"`, `name: "123"`} {
		if !strings.Contains(got, want) {
			t.Errorf("%s is not in\n%s", want, got)
		}
	}
}

func TestLifetime(t *testing.T) {
	for d, want := range map[time.Duration]string{
		time.Hour:                            "hours=1",
		30 * 24 * time.Hour:                  "days=30",
		90 * time.Minute:                     "hours=1;minutes=30",
		25*time.Hour + 1500*time.Millisecond: "days=1;hours=1;seconds=1;milliseconds=500",
		time.Second:                          "seconds=1",
		0:                                    "seconds=0",
	} {
		if got := lifetime(d); got != want {
			t.Errorf("%s is %q, want %q", d, got, want)
		}
	}
}
