// Package authentik writes what Authentik must know of the apps that sign in
// with it, as a blueprint that its worker applies.
package authentik

import (
	"cmp"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"k8s.io/apimachinery/pkg/util/validation"
	"k8s.io/apimachinery/pkg/util/validation/field"

	"git.lastcloud.io/ronnibaslund/dezky/fleet/components"
	"git.lastcloud.io/ronnibaslund/dezky/fleet/components/internal/validate"
	"git.lastcloud.io/ronnibaslund/dezky/fleet/components/secret"
	"git.lastcloud.io/ronnibaslund/dezky/fleet/render/object"
)

// Blueprint is a ConfigMap with one Authentik blueprint: for each client its
// OAuth2 provider, with the mappings of its scopes, and its application.
//
// Authentik's Helm chart mounts it on the worker (blueprints.configMaps), and
// the worker applies it when its text changes, and hourly or at a start only
// until it has succeeded once (authentik/blueprints/v1/tasks.py). So what
// people change in Authentik stays until the text changes, and a changed
// environment is never noticed: client ids and secrets come from there, see
// [Blueprint.Secret].
//
// On a new Authentik the first attempt may fail, since the worker makes its
// default flows and scopes from blueprints too; the next one finds them.
//
// A client that is taken out of Clients stays in Authentik, and can sign in,
// until it is made Absent.
type Blueprint struct {
	// Name of the ConfigMap and of the blueprint, and with .yaml its only key:
	// the worker takes no other ending. It must be the only one of its name in
	// an Authentik: a second file of one name stops the search for all files.
	Name string
	// Namespace of Authentik.
	Namespace string
	// Version of Authentik that reads the blueprint. It must be stated: each
	// release demands what an earlier one does not know.
	Version Version
	// Clients that sign in with this Authentik, in the order of the entries.
	Clients []components.OIDCClient
	// Absent are former clients, whose provider and application Authentik
	// shall delete: of each, Name and Slug count. What is in neither list stays
	// as it is.
	Absent []components.OIDCClient
	// SigningKey names the certificate of Authentik that signs the tokens. If
	// empty, the one that Authentik makes for itself, "authentik Self-signed
	// Certificate". One that is not there is refused when the blueprint is
	// applied.
	SigningKey string
	// SubMode is what the claim sub holds, such as hashed_user_id. If empty, a
	// live provider keeps its mode, and a new one gets hashed_user_id. Another
	// mode than the live one changes the sub of every user, by which apps may
	// know them: state it only if it is confirmed.
	SubMode string
	// Options of clients, by the name of the client: what Authentik has beside
	// it. If a client has none, its provider is as the other comments say.
	Options map[string]Options
	// SecretName of the Secret of the worker's environment. If empty, the name
	// with -env.
	SecretName string
	// Assumed says what nobody has confirmed.
	Assumed Assumed
	// Changes are applied to the ConfigMap last; see [components.Edit].
	Changes []components.Change
}

// Options are what a provider and an application have in Authentik beside what
// the client says.
type Options struct {
	// Provider is the name of the provider. If empty, that of the client.
	Provider string
	// AuthorizationFlow is the slug of the flow at a sign-in. If empty,
	// default-provider-authorization-implicit-consent, which asks nobody for
	// consent.
	AuthorizationFlow string
	// InvalidationFlow is the slug of the flow at a sign-out. If empty, the
	// default one that the client's LogoutAppOnly asks for.
	InvalidationFlow string
	// SigningKey names the certificate that signs the client's tokens. If
	// empty, that of the Blueprint.
	SigningKey string
	// SubMode is what the claim sub holds. If empty, that of the Blueprint.
	SubMode string
	// Mappings are further scope mappings by the name that they have in
	// Authentik, for scopes of which it keeps none itself: a mapping for each
	// such scope.
	Mappings map[string]string
	// Groups may use the application, each by its name. If empty, every user of
	// Authentik may. A group that is taken out keeps its binding in Authentik
	// until it is removed there.
	Groups []string
}

// Version is a release of Authentik by year and month, such as
// Version{2026, 8}.
type Version [2]int

// String returns the version as Authentik writes it.
func (v Version) String() string { return fmt.Sprintf("%d.%d", v[0], v[1]) }

func (v Version) before(other Version) bool { return slices.Compare(v[:], other[:]) < 0 }

// The releases that changed what a provider must say.
var (
	// typedRedirects is the first release line that has redirect URIs with a
	// matching mode from its start. Before, they were regular expressions
	// (CVE-2024-52289; Authentik, "Release 2024.12"). Earlier releases are
	// refused, and with them all before 2024.2, which know no offline_access.
	typedRedirects = Version{2024, 12}
	// grantTypes is the first release where a provider lists its grants: one
	// that a blueprint makes without them has none, and no sign-in succeeds
	// (Authentik, "Release 2026.5", "OAuth2 configurable grant types").
	grantTypes = Version{2026, 5}
	// logoutRedirects is the first release where a redirect URI has a type and
	// where a sign-out goes back to a URI of type logout only. Earlier ones
	// take every URI for a sign-in's (Authentik's integration guides, note
	// "Redirect URI changes in authentik 2026.5"; pull request 20011).
	logoutRedirects = Version{2026, 5}
	// thresholds is the first release line that has refresh_token_threshold
	// the right way round from its start (pull request 21537; the setting came
	// with 2025.10).
	thresholds = Version{2026, 5}
	// lastRead is the last release whose source and notes were read.
	lastRead = Version{2026, 8}
)

// managedScopes are the scopes for which Authentik itself keeps a mapping
// (blueprints/system/providers-oauth2.yaml).
var managedScopes = []string{"openid", "email", "profile", "entitlements", components.ScopeOfflineAccess}

// Objects implements [object.Component].
func (b Blueprint) Objects() ([]object.Object, error) {
	errs := b.validate()
	text, err := b.yaml()
	if err != nil && len(errs) == 0 {
		errs = append(errs, field.InternalError(field.NewPath("clients"), err))
	}
	objects, err := components.ConfigMap{
		Name: b.Name, Namespace: b.Namespace,
		Data:    map[string]string{b.Name + ".yaml": text},
		Changes: b.Changes,
	}.Objects()
	if len(errs) > 0 {
		return objects, object.Invalid(object.ID{Kind: "Blueprint", Namespace: b.Namespace, Name: b.Name}, errs).Err()
	}
	return objects, err
}

// Secret returns the contract of the Secret from which the worker gets the
// clients' ids and secrets (worker.envFrom in Authentik's Helm chart). Each
// value is the one that the app has.
func (b Blueprint) Secret() secret.Contract {
	s := secret.Contract{Name: b.SecretName, Namespace: b.Namespace, Reader: "the Authentik worker (envFrom)"}
	if s.Name == "" {
		s.Name = b.Name + "-env"
	}
	for _, c := range b.Clients {
		for _, key := range c.Secret().Keys {
			switch key.Name {
			case c.ClientID().Key:
				key.Name, key.Purpose, key.SameAs = idVariable(c), "OIDC client id of "+c.Name+", for the blueprint "+b.Name, c.ClientID()
			case c.ClientSecret().Key:
				key.Name, key.Purpose, key.SameAs = secretVariable(c), "OIDC client secret of "+c.Name+", for the blueprint "+b.Name, c.ClientSecret()
			default:
				continue
			}
			s.Keys = append(s.Keys, key)
		}
	}
	return s
}

// idVariable and secretVariable name the worker's variables of a client.
func idVariable(c components.OIDCClient) string     { return variable(c, "CLIENT_ID") }
func secretVariable(c components.OIDCClient) string { return variable(c, "CLIENT_SECRET") }

func variable(c components.OIDCClient, what string) string {
	return "OIDC_" + strings.ToUpper(strings.ReplaceAll(c.Name, "-", "_")) + "_" + what
}

// validate reports what is wrong in the blueprint, in each client, between the
// clients, and between them and Authentik.
func (b Blueprint) validate() field.ErrorList {
	errs := validate.Name(nil, field.NewPath("name"), b.Name, validation.IsDNS1123Subdomain)
	errs = validate.Namespace(errs, field.NewPath("namespace"), b.Namespace)
	if b.SecretName != "" {
		errs = validate.Name(errs, field.NewPath("secretName"), b.SecretName, validation.IsDNS1123Subdomain)
	}
	version, clients := field.NewPath("version"), field.NewPath("clients")
	switch {
	case b.Version == Version{}:
		errs = append(errs, field.Required(version, "say which Authentik reads the blueprint, such as Version{2026, 8}: releases differ in what a provider must have"))
	case b.Version[1] < 1 || b.Version[1] > 12:
		errs = append(errs, field.Invalid(version, b.Version.String(), "must be the year and the month of a release, such as Version{2026, 8}"))
	case b.Version.before(typedRedirects):
		errs = append(errs, field.Invalid(version, b.Version.String(), "must be "+typedRedirects.String()+" or later: earlier releases take redirect URIs for regular expressions, and a dot would match any character"))
	}
	if len(b.Clients) == 0 {
		errs = append(errs, field.Required(clients, "give the OIDC clients that sign in: without one the blueprint has no entry"))
	}
	if b.SubMode != "" && !slices.Contains(subModes, b.SubMode) {
		errs = append(errs, field.NotSupported(field.NewPath("subMode"), b.SubMode, subModes))
	}
	for i, a := range b.Absent {
		path := field.NewPath("absent").Index(i)
		a = a.WithDefaults()
		if a.Name == "" {
			errs = append(errs, field.Required(path.Child("name"), "name the client that Authentik shall forget"))
		}
		for j, c := range b.Clients {
			if c = c.WithDefaults(); c.Name == a.Name || c.Slug == a.Slug {
				errs = append(errs, field.Invalid(path, a.Name, fmt.Sprintf("has the name or the slug of clients[%d] (%s), which would be deleted", j, c.Name)))
			}
		}
	}
	errs = append(errs, b.validateOptions()...)
	names := make(map[string]int)
	claimed := make(map[string]string)
	for i, c := range b.Clients {
		path := clients.Index(i)
		errs = append(errs, c.Validate(path)...)
		if c.Name == "" {
			continue // all else is about the name
		}
		if first, ok := names[c.Name]; ok {
			errs = append(errs, field.Invalid(path.Child("name"), c.Name, fmt.Sprintf("is the name of clients[%d] too: the provider and the worker's variables are named after it, and the second would overwrite the first", first)))
			continue // the rest follows from it
		}
		names[c.Name] = i
		for _, what := range c.Claims() {
			if first, ok := claimed[what]; ok {
				errs = append(errs, field.Invalid(path, c.Name, "uses "+what+", and so does "+first+": each client needs its own, or one overwrites what the other has there"))
				continue
			}
			claimed[what] = fmt.Sprintf("clients[%d] (%s)", i, c.Name)
		}
		if first := b.Clients[0]; c.Authentik != first.Authentik && c.Authentik != "" && first.Authentik != "" {
			errs = append(errs, field.Invalid(path.Child("authentik"), c.Authentik, "clients[0] signs in at "+first.Authentik+": one blueprint is for one Authentik"))
		}
		for j, scope := range c.WithDefaults().Scopes {
			at := path.Child("scopes").Index(j)
			if !slices.Contains(managedScopes, scope) && b.Options[c.Name].Mappings[scope] == "" {
				errs = append(errs, field.Invalid(at, scope, "Authentik keeps no mapping for this scope, and drops a scope without one in silence: use "+strings.Join(managedScopes, ", ")+", or name its mapping in options"))
			}
		}
	}
	return errs
}

func (b Blueprint) validateOptions() field.ErrorList {
	var errs field.ErrorList
	providers := make(map[string]string)
	for _, c := range b.Clients {
		name := b.providerName(c)
		if first, ok := providers[name]; ok && first != c.Name {
			errs = append(errs, field.Invalid(field.NewPath("options").Key(c.Name).Child("provider"), name, "is the provider of the client "+first+" too: one would overwrite the other"))
		}
		providers[name] = c.Name
	}
	for _, name := range slices.Sorted(maps.Keys(b.Options)) {
		o, path := b.Options[name], field.NewPath("options").Key(name)
		i := slices.IndexFunc(b.Clients, func(c components.OIDCClient) bool { return c.Name == name })
		if i < 0 {
			errs = append(errs, field.Invalid(path, field.OmitValueType{}, "there is no client of this name in clients"))
			continue
		}
		if o.SubMode != "" && !slices.Contains(subModes, o.SubMode) {
			errs = append(errs, field.NotSupported(path.Child("subMode"), o.SubMode, subModes))
		}
		scopes := b.Clients[i].WithDefaults().Scopes
		for _, scope := range slices.Sorted(maps.Keys(o.Mappings)) {
			switch {
			case !slices.Contains(scopes, scope):
				errs = append(errs, field.Invalid(path.Child("mappings").Key(scope), scope, "is no scope that the client asks for: add it to its scopes"))
			case slices.Contains(managedScopes, scope):
				errs = append(errs, field.Forbidden(path.Child("mappings").Key(scope), "Authentik keeps the mapping of this scope itself"))
			}
		}
		for i, g := range o.Groups {
			switch {
			case g == "":
				errs = append(errs, field.Required(path.Child("groups").Index(i), "name the group"))
			case slices.Index(o.Groups, g) < i:
				errs = append(errs, field.Duplicate(path.Child("groups").Index(i), g))
			}
		}
	}
	return errs
}

func (b Blueprint) providerName(c components.OIDCClient) string {
	return cmp.Or(b.Options[c.Name].Provider, c.Name)
}

// subModes are what Authentik takes for sub_mode (blueprints/schema.json).
var subModes = []string{"hashed_user_id", "user_id", "user_uuid", "user_username", "user_email", "user_upn"}

// notes reports a release of Authentik that nobody has looked at.
func (b Blueprint) notes() []string {
	if !lastRead.before(b.Version) {
		return nil
	}
	return []string{fmt.Sprintf("Blueprint %s: Authentik %s is later than %s, the last release that was read for it: read its release notes on OAuth2 providers and blueprints first", b.Name, b.Version, lastRead)}
}

// lifetime writes a duration as Authentik takes it: "hours=1;minutes=30", and
// seconds=0 for none (authentik/lib/utils/time.py).
func lifetime(d time.Duration) string {
	var parts []string
	for _, unit := range []struct {
		name   string
		length time.Duration
	}{{"days", 24 * time.Hour}, {"hours", time.Hour}, {"minutes", time.Minute}, {"seconds", time.Second}, {"milliseconds", time.Millisecond}} {
		if n := d / unit.length; n > 0 {
			parts = append(parts, fmt.Sprintf("%s=%d", unit.name, n))
			d -= n * unit.length
		}
	}
	if len(parts) == 0 {
		return "seconds=0"
	}
	return strings.Join(parts, ";")
}

// About implements [object.Component]: Authentik's worker reads the
// ConfigMap.
func (b Blueprint) About() object.About {
	return object.About{ReadElsewhere: true, Notes: b.notes(), Assumed: b.assumptions()}
}
