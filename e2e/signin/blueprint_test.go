package signin

import (
	"fmt"
	"strings"
	"time"

	"go.yaml.in/yaml/v3"
)

// installed is what every Authentik has, and what a blueprint may look for
// with !Find: model, field, value.
var installed = map[[3]string]any{
	{"authentik_flows.flow", "slug", "default-provider-authorization-implicit-consent"}:                            flow{},
	{"authentik_flows.flow", "slug", "default-provider-invalidation-flow"}:                                         flow{},
	{"authentik_flows.flow", "slug", "default-invalidation-flow"}:                                                  flow{endsSession: true},
	{"authentik_crypto.certificatekeypair", "name", "authentik Self-signed Certificate"}:                           keyPair{},
	{"authentik_providers_oauth2.scopemapping", "managed", "goauthentik.io/providers/oauth2/scope-openid"}:         scope("openid"),
	{"authentik_providers_oauth2.scopemapping", "managed", "goauthentik.io/providers/oauth2/scope-profile"}:        scope("profile"),
	{"authentik_providers_oauth2.scopemapping", "managed", "goauthentik.io/providers/oauth2/scope-email"}:          scope("email"),
	{"authentik_providers_oauth2.scopemapping", "managed", "goauthentik.io/providers/oauth2/scope-entitlements"}:   scope("entitlements"),
	{"authentik_providers_oauth2.scopemapping", "managed", "goauthentik.io/providers/oauth2/scope-offline_access"}: scope("offline_access"),
}

type (
	// flow is one of Authentik's flows; endsSession where a stage of it signs
	// the user out of Authentik.
	flow    struct{ endsSession bool }
	keyPair struct{}
	scope   string
)

// applyBlueprint reads a blueprint as a fresh Authentik does, and gives the
// providers by the slugs of their applications. What the model does not know
// is an error here, though Authentik ignores it: the model must not be quiet
// about what it does not do.
func applyBlueprint(text string, env map[string]string) (map[string]*provider, error) {
	var file struct {
		Version  int
		Metadata map[string]any
		Entries  []struct {
			Model       string
			ID          string
			State       string
			Identifiers yaml.Node
			Attrs       yaml.Node
		}
	}
	decoder := yaml.NewDecoder(strings.NewReader(text))
	decoder.KnownFields(true)
	if err := decoder.Decode(&file); err != nil {
		return nil, err
	}
	r := resolver{env: env, entries: map[string]any{}}
	bySlug := map[string]*provider{}
	for i, e := range file.Entries {
		at := fmt.Sprintf("entry %d (%s)", i, e.Model)
		if e.State != "present" {
			return nil, fmt.Errorf("%s: the model does not know the state %q", at, e.State)
		}
		identifiers, err := r.mapping(&e.Identifiers)
		if err != nil {
			return nil, fmt.Errorf("%s: identifiers: %w", at, err)
		}
		attrs, err := r.mapping(&e.Attrs)
		if err != nil {
			return nil, fmt.Errorf("%s: %w", at, err)
		}
		switch e.Model {
		case "authentik_providers_oauth2.oauth2provider":
			p, err := newProvider(identifiers, attrs)
			if err != nil {
				return nil, fmt.Errorf("%s: %w", at, err)
			}
			r.entries[e.ID] = p
		case "authentik_core.application":
			p, ok := attrs["provider"].(*provider)
			if !ok {
				return nil, fmt.Errorf("%s: has no provider", at)
			}
			p.slug, _ = identifiers["slug"].(string)
			bySlug[p.slug] = p
		default:
			return nil, fmt.Errorf("%s: the model does not know it", at)
		}
	}
	return bySlug, nil
}

func newProvider(identifiers, attrs map[string]any) (*provider, error) {
	p := &provider{}
	p.name, _ = identifiers["name"].(string)
	for key, value := range attrs {
		var err error
		ok := true
		switch key {
		case "authorization_flow":
			_, ok = value.(flow)
		case "invalidation_flow":
			var f flow
			f, ok = value.(flow)
			p.endsAuthentik = f.endsSession
		case "client_id":
			p.id, ok = value.(string)
		case "client_secret":
			p.secret, ok = value.(string)
		case "client_type":
			ok = value == "confidential"
		case "issuer_mode":
			ok = value == "per_provider"
		case "sub_mode":
			ok = value == "hashed_user_id"
		case "grant_types":
			for _, item := range list(value) {
				p.grantTypes = append(p.grantTypes, fmt.Sprint(item))
			}
		case "property_mappings":
			for _, item := range list(value) {
				s, isScope := item.(scope)
				ok = ok && isScope
				p.scopes = append(p.scopes, string(s))
			}
		case "redirect_uris":
			for _, item := range list(value) {
				m, _ := item.(map[string]any)
				p.redirects = append(p.redirects, redirect{fmt.Sprint(m["redirect_uri_type"]), fmt.Sprint(m["matching_mode"]), fmt.Sprint(m["url"])})
			}
		case "signing_key":
			// Null is taken without a word: the tokens are HS256 then.
			_, p.signed = value.(keyPair)
			ok = p.signed || value == nil
		case "access_token_validity":
			p.accessLife, err = timedelta(value)
		case "refresh_token_validity":
			p.refreshLife, err = timedelta(value)
		case "refresh_token_threshold":
			p.threshold, err = timedelta(value)
		default:
			return nil, fmt.Errorf("%s: the model does not know it", key)
		}
		if err != nil || !ok {
			return nil, fmt.Errorf("%s: %v is refused (%v)", key, value, err)
		}
	}
	for _, required := range []string{"authorization_flow", "invalidation_flow", "redirect_uris", "client_id", "client_secret"} {
		if attrs[required] == nil {
			return nil, fmt.Errorf("%s: is required", required)
		}
	}
	return p, nil
}

func list(value any) []any {
	l, _ := value.([]any)
	return l
}

// timedelta reads hours=1;minutes=2.
func timedelta(value any) (time.Duration, error) {
	var sum time.Duration
	units := map[string]time.Duration{"seconds": time.Second, "minutes": time.Minute, "hours": time.Hour, "days": 24 * time.Hour, "weeks": 7 * 24 * time.Hour}
	for part := range strings.SplitSeq(fmt.Sprint(value), ";") {
		name, number, _ := strings.Cut(part, "=")
		var n int
		if _, err := fmt.Sscan(number, &n); err != nil || units[name] == 0 {
			return 0, fmt.Errorf("%q is no duration of Authentik", part)
		}
		sum += time.Duration(n) * units[name]
	}
	return sum, nil
}

// resolver gives the values of a blueprint's nodes.
type resolver struct {
	env     map[string]string
	entries map[string]any // by id
}

func (r resolver) mapping(n *yaml.Node) (map[string]any, error) {
	v, err := r.value(n)
	if err != nil {
		return nil, err
	}
	m, ok := v.(map[string]any)
	if !ok {
		return nil, fmt.Errorf("line %d: must be a mapping", n.Line)
	}
	return m, nil
}

func (r resolver) value(n *yaml.Node) (any, error) {
	switch n.Tag {
	case "!Env":
		if v := r.env[n.Value]; v != "" {
			return v, nil
		}
		return nil, nil // missing or empty: null
	case "!KeyOf":
		if e, ok := r.entries[n.Value]; ok {
			return e, nil
		}
		return nil, fmt.Errorf("line %d: !KeyOf %s: there is no such entry", n.Line, n.Value)
	case "!Find":
		return r.find(n)
	case "!If":
		condition, err := r.value(n.Content[0])
		if err != nil {
			return nil, err
		}
		if condition != nil && condition != false {
			return r.value(n.Content[1])
		}
		return r.value(n.Content[2])
	}
	switch {
	case n.Kind == yaml.MappingNode:
		m := map[string]any{}
		for i := 0; i < len(n.Content); i += 2 {
			v, err := r.value(n.Content[i+1])
			if err != nil {
				return nil, err
			}
			m[n.Content[i].Value] = v
		}
		return m, nil
	case n.Kind == yaml.SequenceNode:
		l := make([]any, len(n.Content))
		for i, c := range n.Content {
			var err error
			if l[i], err = r.value(c); err != nil {
				return nil, err
			}
		}
		return l, nil
	case strings.HasPrefix(n.Tag, "!!"):
		var v any
		return v, n.Decode(&v)
	}
	return nil, fmt.Errorf("line %d: the model does not know the tag %s", n.Line, n.Tag)
}

// find looks an object up by one field. The providers of a fresh Authentik are
// none, so that one is always null.
func (r resolver) find(n *yaml.Node) (any, error) {
	if len(n.Content) != 2 || len(n.Content[1].Content) != 2 {
		return nil, fmt.Errorf("line %d: !Find with more than one condition: the model does not know it", n.Line)
	}
	value, err := r.value(n.Content[1].Content[1])
	if err != nil {
		return nil, err
	}
	return installed[[3]string{n.Content[0].Value, n.Content[1].Content[0].Value, fmt.Sprint(value)}], nil
}
