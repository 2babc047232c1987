package traefik

import (
	"fmt"
	"slices"

	traefikv1alpha1 "github.com/traefik/traefik/v3/pkg/provider/kubernetes/crd/traefikio/v1alpha1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/util/validation"
	"k8s.io/apimachinery/pkg/util/validation/field"

	"git.lastcloud.io/ronnibaslund/dezky/fleet/components"
	"git.lastcloud.io/ronnibaslund/dezky/fleet/render/object"
)

// IngressRoute routes by rules that an Ingress cannot express, such as headers
// or methods, over HTTPS. Where an Ingress does, use components.TLSIngress:
// cert-manager makes certificates of it by itself, and not of an IngressRoute,
// so this one has a Certificate of its own.
type IngressRoute struct {
	// Name and Namespace of the objects.
	Name, Namespace string
	// Hosts of the certificate. The rules of the routes name them again.
	Hosts []string
	// Issuer is the ClusterIssuer of cert-manager.
	Issuer string
	// Routes by their rules. Set no Priority: the challenge of a certificate
	// must come first, which it does by the length of its rule.
	Routes []traefikv1alpha1.Route
	// EntryPoints of Traefik. If empty, websecure. HTTP is not answered.
	EntryPoints []string
	// SecretName of the certificate. If empty, the name with -tls.
	SecretName string
	// Changes are applied to the objects last; see [components.Edit].
	Changes []components.Change
}

// About implements [object.Component].
func (IngressRoute) About() object.About { return object.About{} }

// Objects implements [object.Component].
func (r IngressRoute) Objects() ([]object.Object, error) {
	var errs field.ErrorList
	errs = append(errs, checkName(components.MiddlewareRef{Namespace: r.Namespace, Name: r.Name})...)
	if r.Issuer == "" {
		errs = append(errs, field.Required(field.NewPath("issuer"), "name the ClusterIssuer, such as letsencrypt-prod"))
	}
	if len(r.Hosts) == 0 {
		errs = append(errs, field.Required(field.NewPath("hosts"), "give the public host names of the certificate"))
	}
	for i, h := range r.Hosts {
		if len(validation.IsDNS1123Subdomain(h)) > 0 {
			errs = append(errs, field.Invalid(field.NewPath("hosts").Index(i), h, "must be a public host name such as app.example.com"))
		}
	}
	if len(r.Routes) == 0 {
		errs = append(errs, field.Required(field.NewPath("routes"), "give a route"))
	}
	routes := make([]traefikv1alpha1.Route, len(r.Routes))
	for i, route := range r.Routes {
		path := field.NewPath("routes").Index(i)
		routes[i] = *route.DeepCopy()
		if route.Kind == "" {
			routes[i].Kind = "Rule"
		}
		if route.Match == "" {
			errs = append(errs, field.Required(path.Child("match"), fmt.Sprintf("give the rule, such as Host(`%s`)", "app.example.com")))
		}
		if route.Priority != 0 {
			errs = append(errs, field.Forbidden(path.Child("priority"), "outranks the challenge of the certificate: leave it out"))
		}
	}
	secret := r.SecretName
	if secret == "" {
		secret = r.Name + "-tls"
	}
	entryPoints := slices.Clone(r.EntryPoints)
	if len(entryPoints) == 0 {
		entryPoints = []string{"websecure"}
	}
	hosts := make([]any, len(r.Hosts))
	for i, h := range r.Hosts {
		hosts[i] = h
	}
	labels := make(map[string]any)
	for k, v := range components.Labels(r.Name) {
		labels[k] = v
	}
	objects := []object.Object{
		&traefikv1alpha1.IngressRoute{
			TypeMeta:   metav1.TypeMeta{APIVersion: traefikv1alpha1.SchemeGroupVersion.String(), Kind: "IngressRoute"},
			ObjectMeta: metav1.ObjectMeta{Namespace: r.Namespace, Name: r.Name, Labels: components.Labels(r.Name)},
			Spec: traefikv1alpha1.IngressRouteSpec{
				EntryPoints: entryPoints, Routes: routes, TLS: &traefikv1alpha1.TLS{SecretName: secret},
			},
		},
		// Of cert-manager; its types are not worth their weight for one object.
		&unstructured.Unstructured{Object: map[string]any{
			"apiVersion": "cert-manager.io/v1",
			"kind":       "Certificate",
			"metadata":   map[string]any{"namespace": r.Namespace, "name": secret, "labels": labels},
			"spec": map[string]any{
				"secretName": secret,
				"dnsNames":   hosts,
				"issuerRef":  map[string]any{"group": "cert-manager.io", "kind": "ClusterIssuer", "name": r.Issuer},
			},
		}},
	}
	errs = append(errs, components.Apply(objects, r.Changes)...)
	return objects, object.Invalid(object.ID{Kind: "IngressRoute", Namespace: r.Namespace, Name: r.Name}, errs).Err()
}
