// Package traefik holds the constructors whose objects are Traefik's own
// kinds. It is apart from the package components because Traefik's types
// bring some five hundred packages along.
package traefik

import (
	"time"

	"git.lastcloud.io/ronnibaslund/dezky/fleet/components"
	"github.com/traefik/traefik/v3/pkg/config/dynamic"
	traefikv1alpha1 "github.com/traefik/traefik/v3/pkg/provider/kubernetes/crd/traefikio/v1alpha1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/validation"
	"k8s.io/apimachinery/pkg/util/validation/field"
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
	// Changes are the last words on the object.
	Changes []components.Change
}

// Ref is the reference for a TLSIngress.
func (r RedirectMiddleware) Ref() components.MiddlewareRef {
	return components.MiddlewareRef{Namespace: r.Namespace, Name: r.Name}
}

// Objects implements components.Component.
func (r RedirectMiddleware) Objects() ([]components.Object, error) {
	return middleware("RedirectMiddleware", r.Ref(), r.Changes, traefikv1alpha1.MiddlewareSpec{
		RedirectScheme: &dynamic.RedirectScheme{Scheme: "https", Permanent: !r.Temporary},
	}, nil)
}

// SecurityHeaders are the response headers that tell browsers to be careful:
// HTTPS only from now on, no guessing of content types, no frames of other
// sites, and no full address to other origins.
type SecurityHeaders struct {
	// Name and Namespace of the Middleware.
	Name, Namespace string
	// HSTS is how long browsers insist on HTTPS. If zero, a year.
	HSTS time.Duration
	// Frames allows other sites to show the app in a frame, for pages that
	// are meant to be embedded.
	Frames bool
	// Changes are the last words on the object.
	Changes []components.Change
}

// Ref is the reference for a TLSIngress.
func (s SecurityHeaders) Ref() components.MiddlewareRef {
	return components.MiddlewareRef{Namespace: s.Namespace, Name: s.Name}
}

// Objects implements components.Component.
func (s SecurityHeaders) Objects() ([]components.Object, error) {
	var errs field.ErrorList
	hsts := s.HSTS
	if hsts == 0 {
		hsts = 365 * 24 * time.Hour
	}
	if hsts < 0 {
		errs = append(errs, field.Invalid(field.NewPath("hsts"), hsts.String(), "must not be negative"))
	}
	return middleware("SecurityHeaders", s.Ref(), s.Changes, traefikv1alpha1.MiddlewareSpec{
		Headers: &dynamic.Headers{
			STSSeconds:         new(int64(hsts.Seconds())),
			ContentTypeNosniff: true,
			FrameDeny:          !s.Frames,
			ReferrerPolicy:     "strict-origin-when-cross-origin",
		},
	}, errs)
}

func middleware(kind string, ref components.MiddlewareRef, changes []components.Change, spec traefikv1alpha1.MiddlewareSpec, errs field.ErrorList) ([]components.Object, error) {
	for _, msg := range validation.IsDNS1123Subdomain(ref.Name) {
		errs = append(errs, field.Invalid(field.NewPath("name"), ref.Name, msg))
	}
	for _, msg := range validation.IsDNS1123Label(ref.Namespace) {
		errs = append(errs, field.Invalid(field.NewPath("namespace"), ref.Namespace, msg))
	}
	objects := []components.Object{&traefikv1alpha1.Middleware{
		TypeMeta: metav1.TypeMeta{APIVersion: traefikv1alpha1.SchemeGroupVersion.String(), Kind: "Middleware"},
		ObjectMeta: metav1.ObjectMeta{
			Namespace: ref.Namespace, Name: ref.Name,
			Labels: components.Labels(ref.Name),
		},
		Spec: spec,
	}}
	errs = append(errs, components.Apply(objects, changes)...)
	return objects, components.Mistakes(kind, ref.Namespace, ref.Name, errs)
}
