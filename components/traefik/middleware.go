package traefik

import (
	"errors"
	"net/netip"
	"net/url"
	"strings"
	"time"

	"github.com/traefik/traefik/v3/pkg/config/dynamic"
	traefikv1alpha1 "github.com/traefik/traefik/v3/pkg/provider/kubernetes/crd/traefikio/v1alpha1"
	"k8s.io/apimachinery/pkg/util/intstr"
	"k8s.io/apimachinery/pkg/util/validation"
	"k8s.io/apimachinery/pkg/util/validation/field"

	"git.lastcloud.io/ronnibaslund/dezky/fleet/components"
	"git.lastcloud.io/ronnibaslund/dezky/fleet/components/internal/validate"
	"git.lastcloud.io/ronnibaslund/dezky/fleet/components/secret"
	"git.lastcloud.io/ronnibaslund/dezky/fleet/render/object"
)

// Middleware is a middleware of any spec. Where this package has a type for
// it, use that one: it knows what is wrong with its fields.
type Middleware struct {
	// Name and Namespace of the Middleware.
	Name, Namespace string
	// Spec has exactly one field.
	Spec traefikv1alpha1.MiddlewareSpec
	// Changes are applied to the object last; see [components.Edit].
	Changes []components.Change
}

// Ref returns the reference for a TLSIngress.
func (m Middleware) Ref() components.MiddlewareRef {
	return components.MiddlewareRef{Namespace: m.Namespace, Name: m.Name}
}

// About implements [object.Component].
func (Middleware) About() object.About { return object.About{} }

// Objects implements [object.Component].
func (m Middleware) Objects() ([]object.Object, error) {
	return middleware("Middleware", m.Ref(), m.Changes, *m.Spec.DeepCopy(), nil)
}

// BasicAuth asks for a user and a password, which stand in a Secret.
type BasicAuth struct {
	// Name and Namespace of the Middleware.
	Name, Namespace string
	// SecretName of the Secret with the users. If empty, the name with -users.
	SecretName string
	// Realm is what a browser shows. If empty, Traefik's own word.
	Realm string
	// Changes are applied to the object last; see [components.Edit].
	Changes []components.Change
}

// Secret returns the contract of the Secret with the users. It has one key and
// no other, as Traefik demands it (Traefik documentation, "BasicAuth").
func (b BasicAuth) Secret() secret.Contract {
	name := b.SecretName
	if name == "" {
		name = b.Name + "-users"
	}
	return secret.Contract{
		Name: name, Namespace: b.Namespace, Reader: "Traefik, for the middleware " + b.Namespace + "/" + b.Name,
		Keys: []secret.Key{{Name: "users", Purpose: "Users who may pass, with the hashes of their passwords", Format: htpasswd{}}},
	}
}

// htpasswd is lines USER:HASH.
type htpasswd struct{}

func (htpasswd) String() string {
	return "lines USER:HASH (htpasswd -nB USER, of apache2-utils)"
}

func (f htpasswd) Check(value string) error {
	for line := range strings.Lines(value) {
		user, hash, ok := strings.Cut(strings.TrimRight(line, "\r\n"), ":")
		if strings.TrimSpace(line) != "" && (!ok || user == "" || !strings.HasPrefix(hash, "$") && !strings.HasPrefix(hash, "{SHA}")) {
			return errors.New("must be " + f.String() + ": a password in the clear is no hash")
		}
	}
	return nil
}

// Ref returns the reference for a TLSIngress.
func (b BasicAuth) Ref() components.MiddlewareRef {
	return components.MiddlewareRef{Namespace: b.Namespace, Name: b.Name}
}

// About implements [object.Component].
func (BasicAuth) About() object.About { return object.About{} }

// Objects implements [object.Component].
func (b BasicAuth) Objects() ([]object.Object, error) {
	var errs field.ErrorList
	if b.SecretName != "" {
		errs = validate.Name(errs, field.NewPath("secretName"), b.SecretName, validation.IsDNS1123Subdomain)
	}
	return middleware("BasicAuth", b.Ref(), b.Changes, traefikv1alpha1.MiddlewareSpec{
		// The app gets no password of a user who is let in.
		BasicAuth: &traefikv1alpha1.BasicAuth{Secret: b.Secret().Name, Realm: b.Realm, RemoveHeader: true},
	}, errs)
}

// IPAllowList lets only some addresses pass.
type IPAllowList struct {
	// Name and Namespace of the Middleware.
	Name, Namespace string
	// Ranges are addresses, or networks as 192.0.2.0/24.
	Ranges []string
	// Depth is which address of X-Forwarded-For counts, from the right, where
	// another proxy stands before Traefik. If zero, it is that of the
	// connection (Traefik documentation, "IPAllowList").
	Depth int
	// Changes are applied to the object last; see [components.Edit].
	Changes []components.Change
}

// Ref returns the reference for a TLSIngress.
func (l IPAllowList) Ref() components.MiddlewareRef {
	return components.MiddlewareRef{Namespace: l.Namespace, Name: l.Name}
}

// About implements [object.Component].
func (IPAllowList) About() object.About { return object.About{} }

// Objects implements [object.Component].
func (l IPAllowList) Objects() ([]object.Object, error) {
	var errs field.ErrorList
	if len(l.Ranges) == 0 {
		errs = append(errs, field.Required(field.NewPath("ranges"), "say which addresses may pass, such as 192.0.2.0/24"))
	}
	for i, r := range l.Ranges {
		_, network := netip.ParsePrefix(r)
		if _, address := netip.ParseAddr(r); network != nil && address != nil {
			errs = append(errs, field.Invalid(field.NewPath("ranges").Index(i), r, "must be an address or a network, such as 192.0.2.0/24"))
		}
	}
	if l.Depth < 0 {
		errs = append(errs, field.Invalid(field.NewPath("depth"), l.Depth, "must not be negative"))
	}
	list := &dynamic.IPAllowList{SourceRange: append([]string(nil), l.Ranges...)}
	if l.Depth > 0 {
		list.IPStrategy = &dynamic.IPStrategy{Depth: l.Depth}
	}
	return middleware("IPAllowList", l.Ref(), l.Changes, traefikv1alpha1.MiddlewareSpec{IPAllowList: list}, errs)
}

// RateLimit answers 429 to an address that asks too often.
type RateLimit struct {
	// Name and Namespace of the Middleware.
	Name, Namespace string
	// Average is how many requests pass in a Period.
	Average int64
	// Period in whole seconds. If zero, a second.
	Period time.Duration
	// Burst is how many may come at once. If zero, 1.
	Burst int64
	// Changes are applied to the object last; see [components.Edit].
	Changes []components.Change
}

// Ref returns the reference for a TLSIngress.
func (r RateLimit) Ref() components.MiddlewareRef {
	return components.MiddlewareRef{Namespace: r.Namespace, Name: r.Name}
}

// About implements [object.Component].
func (RateLimit) About() object.About { return object.About{} }

// Objects implements [object.Component].
func (r RateLimit) Objects() ([]object.Object, error) {
	var errs field.ErrorList
	if r.Average < 1 {
		errs = append(errs, field.Invalid(field.NewPath("average"), r.Average, "must be 1 or more: to Traefik 0 is no limit"))
	}
	if r.Period < 0 || r.Period%time.Second != 0 {
		errs = append(errs, field.Invalid(field.NewPath("period"), r.Period.String(), "must be whole seconds, and not negative"))
	}
	if r.Burst < 0 {
		errs = append(errs, field.Invalid(field.NewPath("burst"), r.Burst, "must not be negative"))
	}
	limit := &traefikv1alpha1.RateLimit{Average: &r.Average}
	if r.Period > 0 {
		limit.Period = new(intstr.FromString(r.Period.String()))
	}
	if r.Burst > 0 {
		limit.Burst = &r.Burst
	}
	return middleware("RateLimit", r.Ref(), r.Changes, traefikv1alpha1.MiddlewareSpec{RateLimit: limit}, errs)
}

// ForwardAuth asks another service whether a request may pass, such as
// oauth2-proxy or Authentik's outpost.
type ForwardAuth struct {
	// Name and Namespace of the Middleware.
	Name, Namespace string
	// Address that is asked, http or https.
	Address string
	// ResponseHeaders of the answer that the app gets. If empty, none.
	ResponseHeaders []string
	// Changes are applied to the object last; see [components.Edit].
	Changes []components.Change
}

// Ref returns the reference for a TLSIngress.
func (f ForwardAuth) Ref() components.MiddlewareRef {
	return components.MiddlewareRef{Namespace: f.Namespace, Name: f.Name}
}

// About implements [object.Component].
func (ForwardAuth) About() object.About { return object.About{} }

// Objects implements [object.Component].
func (f ForwardAuth) Objects() ([]object.Object, error) {
	var errs field.ErrorList
	if u, err := url.Parse(f.Address); err != nil || u.Scheme != "http" && u.Scheme != "https" || u.Hostname() == "" {
		errs = append(errs, field.Invalid(field.NewPath("address"), f.Address, "must be an address such as http://oauth2-proxy.auth:4180/oauth2/auth"))
	}
	return middleware("ForwardAuth", f.Ref(), f.Changes, traefikv1alpha1.MiddlewareSpec{
		ForwardAuth: &traefikv1alpha1.ForwardAuth{Address: f.Address, AuthResponseHeaders: append([]string(nil), f.ResponseHeaders...)},
	}, errs)
}

// Chain is several middlewares as one, in their order.
type Chain struct {
	// Name and Namespace of the Middleware.
	Name, Namespace string
	// Middlewares, of any namespace that Traefik may reach from this one.
	Middlewares []components.MiddlewareRef
	// Changes are applied to the object last; see [components.Edit].
	Changes []components.Change
}

// Ref returns the reference for a TLSIngress.
func (c Chain) Ref() components.MiddlewareRef {
	return components.MiddlewareRef{Namespace: c.Namespace, Name: c.Name}
}

// About implements [object.Component].
func (Chain) About() object.About { return object.About{} }

// Objects implements [object.Component].
func (c Chain) Objects() ([]object.Object, error) {
	var errs field.ErrorList
	chain := &traefikv1alpha1.Chain{}
	if len(c.Middlewares) == 0 {
		errs = append(errs, field.Required(field.NewPath("middlewares"), "give the middlewares of the chain"))
	}
	for i, m := range c.Middlewares {
		path := field.NewPath("middlewares").Index(i)
		switch {
		case m.Name == "":
			errs = append(errs, field.Required(path, "take the reference from the middleware's own Ref method"))
		case m == c.Ref():
			errs = append(errs, field.Invalid(path, m.String(), "is the chain itself"))
		}
		chain.Middlewares = append(chain.Middlewares, traefikv1alpha1.MiddlewareRef{Name: m.Name, Namespace: m.Namespace})
	}
	return middleware("Chain", c.Ref(), c.Changes, traefikv1alpha1.MiddlewareSpec{Chain: chain}, errs)
}
