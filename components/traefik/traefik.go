// Package traefik holds the constructors whose objects are Traefik's own
// kinds. It is apart from the package components because Traefik's types
// bring some five hundred packages along.
package traefik

import (
	"fmt"
	"time"

	"github.com/traefik/traefik/v3/pkg/config/dynamic"
	traefikv1alpha1 "github.com/traefik/traefik/v3/pkg/provider/kubernetes/crd/traefikio/v1alpha1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/validation"
	"k8s.io/apimachinery/pkg/util/validation/field"

	"git.lastcloud.io/ronnibaslund/dezky/fleet/components"
	"git.lastcloud.io/ronnibaslund/dezky/fleet/components/internal/validate"
	"git.lastcloud.io/ronnibaslund/dezky/fleet/render/object"
)

// RedirectMiddleware sends HTTP to HTTPS on the routers that use it. It does
// nothing where the scheme is https already, so one Ingress may serve both
// entry points. Use it per router: a redirect on the entry point itself
// outranks cert-manager's HTTP-01 solver, and certificates stop renewing.
type RedirectMiddleware struct {
	// Name and Namespace of the Middleware.
	Name, Namespace string
	// Temporary answers 302 instead of 301, which browsers keep for good.
	Temporary bool
	// Assumed says that nobody has confirmed that the redirect is for good.
	// Until confirmed, it is temporary.
	Assumed bool
	// Changes are applied to the object last; see [components.Edit].
	Changes []components.Change
}

// Ref returns the reference for a TLSIngress.
func (r RedirectMiddleware) Ref() components.MiddlewareRef {
	return components.MiddlewareRef{Namespace: r.Namespace, Name: r.Name}
}

// Objects implements [object.Component].
func (r RedirectMiddleware) Objects() ([]object.Object, error) {
	return middleware("RedirectMiddleware", r.Ref(), r.Changes, traefikv1alpha1.MiddlewareSpec{
		RedirectScheme: &dynamic.RedirectScheme{Scheme: "https", Permanent: !r.Temporary && !r.Assumed},
	}, nil)
}

// About implements [object.Component].
func (r RedirectMiddleware) About() object.About {
	if !r.Assumed || r.Temporary {
		return object.About{}
	}
	return object.About{Assumed: []object.Assumption{{
		What:    "RedirectMiddleware " + r.Namespace + "/" + r.Name + ": that the redirect to HTTPS is for good",
		Value:   "301",
		Confirm: "whoever runs the tier: no host will have to answer in plain HTTP again",
		Until:   "it answers 302: browsers do not keep it, and it can be taken back",
		Buys:    "browsers keep the redirect, and do not ask over plain HTTP twice",
	}}}
}

// SecurityHeaders are response headers that tell browsers to be careful: no
// guessing of content types and no full address to other origins, and where
// asked for HTTPS only from now on and no frames of other sites.
type SecurityHeaders struct {
	// Name and Namespace of the Middleware.
	Name, Namespace string
	// HSTS is how long browsers insist on HTTPS, in whole seconds. If zero,
	// there is no such header. A browser that got it keeps to it, whatever is
	// rendered later.
	HSTS time.Duration
	// FrameDeny forbids every site to show the app in a frame.
	FrameDeny bool
	// Assumed says which of these nobody has confirmed.
	Assumed AssumedHeaders
	// Changes are applied to the object last; see [components.Edit].
	Changes []components.Change
}

// AssumedHeaders says which headers nobody has confirmed. Until confirmed, they
// are not sent.
type AssumedHeaders struct{ HSTS, FrameDeny bool }

// About implements [object.Component].
func (s SecurityHeaders) About() object.About {
	at := "SecurityHeaders " + s.Namespace + "/" + s.Name + ": the header "
	var about object.About
	if s.Assumed.HSTS && s.HSTS > 0 {
		about.Assumed = append(about.Assumed, object.Assumption{
			What:    at + "Strict-Transport-Security",
			Value:   fmt.Sprintf("max-age=%d", int64(s.HSTS.Seconds())),
			Confirm: "whoever runs the tier: every host has a valid certificate, and will have one for that long",
			Until:   "it is not sent: a browser keeps to it for its whole time, and no release takes it back",
			Buys:    "a browser that was here once never asks over plain HTTP",
		})
	}
	if s.Assumed.FrameDeny && s.FrameDeny {
		about.Assumed = append(about.Assumed, object.Assumption{
			What:    at + "X-Frame-Options",
			Value:   "DENY",
			Confirm: "whoever runs the tier: no other site shows a page of these hosts in a frame, the booking page for one",
			Until:   "it is not sent: what is embedded today stays so",
			Buys:    "no other site can put an app into a frame and have its users click there",
		})
	}
	return about
}

// Ref returns the reference for a TLSIngress.
func (s SecurityHeaders) Ref() components.MiddlewareRef {
	return components.MiddlewareRef{Namespace: s.Namespace, Name: s.Name}
}

// Objects implements [object.Component].
func (s SecurityHeaders) Objects() ([]object.Object, error) {
	var errs field.ErrorList
	if s.HSTS < 0 || s.HSTS%time.Second != 0 {
		errs = append(errs, field.Invalid(field.NewPath("hsts"), s.HSTS.String(), "must be whole seconds, and not negative"))
	}
	headers := &dynamic.Headers{
		ContentTypeNosniff: true,
		FrameDeny:          s.FrameDeny && !s.Assumed.FrameDeny,
		ReferrerPolicy:     "strict-origin-when-cross-origin",
	}
	if s.HSTS > 0 && !s.Assumed.HSTS {
		headers.STSSeconds = new(int64(s.HSTS.Seconds()))
	}
	return middleware("SecurityHeaders", s.Ref(), s.Changes, traefikv1alpha1.MiddlewareSpec{Headers: headers}, errs)
}

func middleware(kind string, ref components.MiddlewareRef, changes []components.Change, spec traefikv1alpha1.MiddlewareSpec, errs field.ErrorList) ([]object.Object, error) {
	errs = append(errs, checkName(ref)...)
	objects := []object.Object{&traefikv1alpha1.Middleware{
		TypeMeta: metav1.TypeMeta{APIVersion: traefikv1alpha1.SchemeGroupVersion.String(), Kind: "Middleware"},
		ObjectMeta: metav1.ObjectMeta{
			Namespace: ref.Namespace, Name: ref.Name,
			Labels: components.Labels(ref.Name),
		},
		Spec: spec,
	}}
	errs = append(errs, components.Apply(objects, changes)...)
	return objects, object.Invalid(object.ID{Kind: kind, Namespace: ref.Namespace, Name: ref.Name}, errs).Err()
}

// checkName is what is wrong with the name and the namespace of an object.
func checkName(ref components.MiddlewareRef) field.ErrorList {
	errs := validate.Name(nil, field.NewPath("name"), ref.Name, validation.IsDNS1123Subdomain)
	return validate.Namespace(errs, field.NewPath("namespace"), ref.Namespace)
}
