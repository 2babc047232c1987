package authentik

import (
	"bytes"
	"cmp"

	"go.yaml.in/yaml/v3"

	"git.lastcloud.io/ronnibaslund/dezky/fleet/components"
)

// The models of a blueprint's entries, and of what they refer to (Authentik's
// blueprints/schema.json).
const (
	modelProvider    = "authentik_providers_oauth2.oauth2provider"
	modelScope       = "authentik_providers_oauth2.scopemapping"
	modelApplication = "authentik_core.application"
	modelFlow        = "authentik_flows.flow"
	modelKeyPair     = "authentik_crypto.certificatekeypair"
	modelBinding     = "authentik_policies.policybinding"
	modelGroup       = "authentik_core.group"
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
		Attrs       any         `yaml:"attrs,omitempty"`
	}
	identifiers struct {
		Name string     `yaml:"name,omitempty"`
		PK   *yaml.Node `yaml:"pk,omitempty"`
		Slug string     `yaml:"slug,omitempty"`
		// Of a binding.
		Target *yaml.Node `yaml:"target,omitempty"`
		Group  *yaml.Node `yaml:"group,omitempty"`
	}
	binding struct {
		Order int `yaml:"order"`
	}
	provider struct {
		AuthorizationFlow    *yaml.Node    `yaml:"authorization_flow"`
		InvalidationFlow     *yaml.Node    `yaml:"invalidation_flow"`
		ClientType           string        `yaml:"client_type"`
		ClientID             *yaml.Node    `yaml:"client_id"`
		ClientSecret         *yaml.Node    `yaml:"client_secret,omitempty"`
		GrantTypes           []string      `yaml:"grant_types,omitempty"`
		RedirectURIs         []redirectURI `yaml:"redirect_uris"`
		PropertyMappings     []*yaml.Node  `yaml:"property_mappings"`
		AccessTokenValidity  string        `yaml:"access_token_validity"`
		RefreshTokenValidity string        `yaml:"refresh_token_validity"`
		RefreshThreshold     string        `yaml:"refresh_token_threshold,omitempty"`
		SigningKey           *yaml.Node    `yaml:"signing_key"`
		SubMode              string        `yaml:"sub_mode,omitempty"`
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
		id, groups := "provider-"+c.Name, b.Options[c.Name].Groups
		application := entry{
			Model: modelApplication, State: "present",
			Identifiers: identifiers{Slug: c.Slug},
			Attrs:       application{Name: c.Name, Provider: tagged("!KeyOf", id), LaunchURL: "https://" + c.Host + "/"},
		}
		if len(groups) > 0 {
			application.ID = "application-" + c.Name
		}
		f.Entries = append(f.Entries, entry{
			Model: modelProvider, ID: id, State: "present",
			// The provider of this name or, whatever its name, the one that has
			// the client id already: Authentik ORs pk with the rest. So a live
			// provider keeps its id and its secret, and two candidates are
			// refused.
			Identifiers: identifiers{Name: b.providerName(c), PK: find(modelProvider, tagged("!!str", "client_id"), tagged("!Env", idVariable(c)))},
			Attrs:       b.provider(c),
		}, application)
		// For a binding, !KeyOf gives the key under which policies know the
		// application (authentik/blueprints/v1/common.py, KeyOf).
		for i, group := range groups {
			f.Entries = append(f.Entries, entry{
				Model: modelBinding, State: "present",
				Identifiers: identifiers{Target: tagged("!KeyOf", application.ID), Group: orRefuse(modelGroup, group, "group-not-found")},
				Attrs:       binding{Order: i},
			})
		}
	}
	for _, a := range b.Absent {
		a = a.WithDefaults()
		f.Entries = append(f.Entries,
			entry{Model: modelApplication, State: "absent", Identifiers: identifiers{Slug: a.Slug}},
			entry{Model: modelProvider, State: "absent", Identifiers: identifiers{Name: a.Name}})
	}
	var text bytes.Buffer
	encoder := yaml.NewEncoder(&text)
	encoder.SetIndent(2)
	err := encoder.Encode(f)
	return text.String(), err
}

// provider is Authentik's side of the client. Everything that !Find looks for
// is Authentik's own. Where nothing matches it gives null, which Authentik
// refuses for a flow and a mapping.
func (b Blueprint) provider(c components.OIDCClient) provider {
	invalidation := "default-invalidation-flow" // its stage ends Authentik's session
	if c.LogoutAppOnly {
		invalidation = "default-provider-invalidation-flow" // it has no stage
	}
	o := b.Options[c.Name]
	p := provider{
		AuthorizationFlow:    find(modelFlow, tagged("!!str", "slug"), tagged("!!str", cmp.Or(o.AuthorizationFlow, "default-provider-authorization-implicit-consent"))),
		InvalidationFlow:     find(modelFlow, tagged("!!str", "slug"), tagged("!!str", cmp.Or(o.InvalidationFlow, invalidation))),
		ClientType:           "confidential",
		ClientID:             tagged("!Env", idVariable(c)),
		ClientSecret:         tagged("!Env", secretVariable(c)),
		AccessTokenValidity:  lifetime(c.AccessToken),
		RefreshTokenValidity: lifetime(c.RefreshToken),
		SigningKey:           signingKey(cmp.Or(o.SigningKey, b.SigningKey)),
		// The client's issuer address has its slug: it is true in this mode only.
		IssuerMode: "per_provider",
	}
	if c.Public {
		p.ClientType, p.ClientSecret = "public", nil
	}
	if !b.Version.before(grantTypes) {
		p.GrantTypes = []string{"authorization_code"}
		if !c.NoRefresh {
			p.GrantTypes = append(p.GrantTypes, "refresh_token")
		}
	}
	if !b.Assumed.Subject {
		p.SubMode = cmp.Or(o.SubMode, b.SubMode)
	}
	if !b.Version.before(thresholds) {
		// What is not rendered is not reset, so off is said too.
		p.RefreshThreshold = lifetime(c.RefreshThreshold)
	}
	for _, scope := range c.Scopes {
		if name := o.Mappings[scope]; name != "" {
			p.PropertyMappings = append(p.PropertyMappings, find(modelScope, tagged("!!str", "name"), tagged("!!str", name)))
			continue
		}
		p.PropertyMappings = append(p.PropertyMappings, find(modelScope, tagged("!!str", "managed"), tagged("!!str", "goauthentik.io/providers/oauth2/scope-"+scope)))
	}
	for _, uri := range c.RedirectURIs() {
		p.RedirectURIs = append(p.RedirectURIs, redirectURI{MatchingMode: "strict", URL: uri})
	}
	if !b.Version.before(logoutRedirects) {
		for i := range p.RedirectURIs {
			p.RedirectURIs[i].Type = "authorization"
		}
		if uri := c.LogoutURI(); uri != "" {
			p.RedirectURIs = append(p.RedirectURIs, redirectURI{MatchingMode: "strict", URL: uri, Type: "logout"})
		}
	}
	return p
}

// tagged is a value under one of Authentik's own tags.
func tagged(tag, value string) *yaml.Node {
	return &yaml.Node{Kind: yaml.ScalarNode, Tag: tag, Value: value}
}

// signingKey refers to the key pair of that name, and has Authentik refuse the
// blueprint where there is none: a provider without a key signs tokens with
// the client's secret (HS256), and at the JWKS address is nothing to check
// them with. The refusal is a !KeyOf of an entry that is not there, which is
// resolved in that case only.
func signingKey(name string) *yaml.Node {
	if name == "" {
		name = "authentik Self-signed Certificate"
	}
	return orRefuse(modelKeyPair, name, "signing-key-not-found")
}

// orRefuse refers to what has that name, and has Authentik refuse the blueprint
// where nothing has.
func orRefuse(model, name, refusal string) *yaml.Node {
	key := func() *yaml.Node { return find(model, tagged("!!str", "name"), tagged("!!str", name)) }
	return list("!If", key(), key(), tagged("!KeyOf", refusal))
}

// find refers to an object that Authentik has already.
func find(model string, key, value *yaml.Node) *yaml.Node {
	return list("!Find", tagged("!!str", model), list("!!seq", key, value))
}

func list(tag string, items ...*yaml.Node) *yaml.Node {
	return &yaml.Node{Kind: yaml.SequenceNode, Tag: tag, Style: yaml.FlowStyle, Content: items}
}
