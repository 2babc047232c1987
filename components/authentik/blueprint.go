package authentik

import (
	"bytes"

	"git.lastcloud.io/ronnibaslund/dezky/fleet/components"
	"go.yaml.in/yaml/v3"
)

// The models of a blueprint's entries, and of what they refer to (Authentik's
// blueprints/schema.json).
const (
	modelProvider    = "authentik_providers_oauth2.oauth2provider"
	modelScope       = "authentik_providers_oauth2.scopemapping"
	modelApplication = "authentik_core.application"
	modelFlow        = "authentik_flows.flow"
	modelKeyPair     = "authentik_crypto.certificatekeypair"
)

// The file, in the order in which people write one. A value under one of
// Authentik's own tags is a node; every other value has its Go type.
type (
	file struct {
		Version  int      `yaml:"version"`
		Metadata metadata `yaml:"metadata"`
		Entries  []entry  `yaml:"entries"`
	}
	metadata struct {
		Name string `yaml:"name"`
	}
	entry struct {
		Model       string      `yaml:"model"`
		ID          string      `yaml:"id,omitempty"`
		State       string      `yaml:"state"`
		Identifiers identifiers `yaml:"identifiers"`
		Attrs       any         `yaml:"attrs"`
	}
	identifiers struct {
		Name string `yaml:"name,omitempty"`
		Slug string `yaml:"slug,omitempty"`
	}
	provider struct {
		AuthorizationFlow    *yaml.Node    `yaml:"authorization_flow"`
		InvalidationFlow     *yaml.Node    `yaml:"invalidation_flow"`
		ClientType           string        `yaml:"client_type"`
		ClientID             *yaml.Node    `yaml:"client_id"`
		ClientSecret         *yaml.Node    `yaml:"client_secret"`
		GrantTypes           []string      `yaml:"grant_types,omitempty"`
		RedirectURIs         []redirectURI `yaml:"redirect_uris"`
		PropertyMappings     []*yaml.Node  `yaml:"property_mappings"`
		AccessTokenValidity  string        `yaml:"access_token_validity"`
		RefreshTokenValidity string        `yaml:"refresh_token_validity"`
		SigningKey           *yaml.Node    `yaml:"signing_key"`
		IssuerMode           string        `yaml:"issuer_mode"`
	}
	redirectURI struct {
		MatchingMode string `yaml:"matching_mode"`
		URL          string `yaml:"url"`
		Type         string `yaml:"redirect_uri_type,omitempty"`
	}
	application struct {
		Name      string     `yaml:"name"`
		Provider  *yaml.Node `yaml:"provider"`
		LaunchURL string     `yaml:"meta_launch_url"`
	}
)

// yaml is the text of the blueprint.
func (b Blueprint) yaml() (string, error) {
	f := file{Version: 1, Metadata: metadata{Name: b.Name}}
	for _, c := range b.Clients {
		c = c.WithDefaults()
		id := "provider-" + c.Name
		f.Entries = append(f.Entries, entry{
			Model: modelProvider, ID: id, State: "present",
			Identifiers: identifiers{Name: c.Name},
			Attrs:       b.provider(c),
		}, entry{
			Model: modelApplication, State: "present",
			Identifiers: identifiers{Slug: c.Slug},
			Attrs:       application{Name: c.Name, Provider: tagged("!KeyOf", id), LaunchURL: "https://" + c.Host + "/"},
		})
	}
	var text bytes.Buffer
	encoder := yaml.NewEncoder(&text)
	encoder.SetIndent(2)
	err := encoder.Encode(f)
	return text.String(), err
}

// provider is Authentik's side of the client. Everything that !Find looks for
// is Authentik's own: where nothing matches, it gives null without a word.
func (b Blueprint) provider(c components.OIDCClient) provider {
	p := provider{
		AuthorizationFlow:    find(modelFlow, "slug", "default-provider-authorization-implicit-consent"),
		InvalidationFlow:     find(modelFlow, "slug", "default-provider-invalidation-flow"),
		ClientType:           "confidential",
		ClientID:             tagged("!Env", idVariable(c)),
		ClientSecret:         tagged("!Env", secretVariable(c)),
		AccessTokenValidity:  lifetime(c.AccessToken),
		RefreshTokenValidity: lifetime(c.RefreshToken),
		// Without a key the tokens are signed with the client's secret (HS256),
		// and there is nothing at the JWKS address to check them with.
		SigningKey: find(modelKeyPair, "name", "authentik Self-signed Certificate"),
		// No sub_mode: where a live provider has another than Authentik's
		// default, setting it would change who every user is to the apps.
		// The client's issuer address has its slug: it is true in this mode only.
		IssuerMode: "per_provider",
	}
	if !b.Version.before(grantTypes) {
		p.GrantTypes = []string{"authorization_code"}
		if !c.NoRefresh {
			p.GrantTypes = append(p.GrantTypes, "refresh_token")
		}
	}
	for _, scope := range c.Scopes {
		p.PropertyMappings = append(p.PropertyMappings, find(modelScope, "managed", "goauthentik.io/providers/oauth2/scope-"+scope))
	}
	for _, uri := range c.RedirectURIs() {
		p.RedirectURIs = append(p.RedirectURIs, redirectURI{MatchingMode: "strict", URL: uri})
	}
	if !b.Version.before(logoutRedirects) {
		for i := range p.RedirectURIs {
			p.RedirectURIs[i].Type = "authorization"
		}
		p.RedirectURIs = append(p.RedirectURIs, redirectURI{MatchingMode: "strict", URL: c.LogoutURI(), Type: "logout"})
	}
	return p
}

// tagged is a value under one of Authentik's own tags.
func tagged(tag, value string) *yaml.Node {
	return &yaml.Node{Kind: yaml.ScalarNode, Tag: tag, Value: value}
}

// find refers to an object that Authentik has already.
func find(model, key, value string) *yaml.Node {
	list := func(tag string, items ...*yaml.Node) *yaml.Node {
		return &yaml.Node{Kind: yaml.SequenceNode, Tag: tag, Style: yaml.FlowStyle, Content: items}
	}
	return list("!Find", tagged("!!str", model), list("!!seq", tagged("!!str", key), tagged("!!str", value)))
}
