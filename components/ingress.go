package components

import (
	"strings"

	networkingv1 "k8s.io/api/networking/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/validation"
	"k8s.io/apimachinery/pkg/util/validation/field"

	"git.lastcloud.io/ronnibaslund/dezky/fleet/components/internal/validate"
)

// TLSIngress gives an app its public address: one host on both entry points
// of Traefik, HTTP answered by the redirect, HTTPS with a certificate that
// cert-manager keeps.
//
// The redirect belongs to this router alone. cert-manager's HTTP-01 solver
// has a router of its own whose rule is longer, and Traefik prefers the
// longer rule, so a challenge is answered and never redirected, as long as
// no priority is set by hand (Traefik documentation, "Routers: priority").
type TLSIngress struct {
	// Host is the public name.
	Host string
	// Backend is the app that answers. The object takes its name and namespace.
	Backend WebApp
	// Issuer is the ClusterIssuer of cert-manager.
	Issuer string
	// Redirect is the middleware that sends HTTP to HTTPS.
	Redirect MiddlewareRef
	// Middlewares come after the redirect, in this order.
	Middlewares []MiddlewareRef
	// Class of the Ingress. If empty, traefik.
	Class string
	// SecretName of the certificate. If empty, the name of the backend with
	// -tls. The Certificate takes the same name, so no two may share it.
	SecretName string
	// Assumed says that nobody has confirmed that the live Ingress of the app,
	// if there is one, has this SecretName.
	Assumed bool
	// Changes are the last words on the object.
	Changes []Change
}

// MiddlewareRef names a middleware of Traefik that an Ingress uses. It is
// made by the middleware itself: see the package traefik.
type MiddlewareRef struct{ Namespace, Name string }

// String is the form in which Traefik's Ingress provider takes it.
func (m MiddlewareRef) String() string { return m.Namespace + "-" + m.Name + "@kubernetescrd" }

// The annotations that an Ingress gets.
const (
	annotationIssuer      = "cert-manager.io/cluster-issuer"
	annotationEntrypoints = "traefik.ingress.kubernetes.io/router.entrypoints"
	annotationMiddlewares = "traefik.ingress.kubernetes.io/router.middlewares"
)

// About implements [Component].
func (t TLSIngress) About() About {
	if !t.Assumed {
		return About{}
	}
	return About{Assumed: []Assumption{{
		What:    "TLSIngress " + t.Backend.Namespace + "/" + t.Backend.Name + ": the name of the Secret with its certificate",
		Value:   t.secretName(),
		Confirm: "`kubectl -n " + t.Backend.Namespace + " get ingress -o 'custom-columns=NAME:.metadata.name,HOST:.spec.rules[*].host,SECRET:.spec.tls[*].secretName'`",
		Until:   "it is rendered; where a running host has another name, its visitors see the default certificate of Traefik until the new one is there, about a minute: confirm it before the first apply to a tier that runs. The old Secret stays",
		Buys:    "the certificate that the host has is kept",
	}}}
}

func (t TLSIngress) secretName() string {
	if t.SecretName == "" {
		return t.Backend.Name + "-tls"
	}
	return t.SecretName
}

// Objects implements [Component].
func (t TLSIngress) Objects() ([]Object, error) {
	web := t.Backend
	class, secret := t.Class, t.secretName()
	if class == "" {
		class = "traefik"
	}

	var errs field.ErrorList
	errs = validate.Host(errs, field.NewPath("host"), t.Host)
	if web.Name == "" || web.Port == 0 {
		errs = append(errs, field.Required(field.NewPath("backend"), "give the WebApp that answers, with its name and port"))
	}
	if t.Issuer == "" {
		errs = append(errs, field.Required(field.NewPath("issuer"), "name the ClusterIssuer, such as letsencrypt-prod"))
	}
	if t.SecretName != "" || web.Name != "" {
		errs = validate.Name(errs, field.NewPath("secretName"), secret, validation.IsDNS1123Subdomain)
	}
	chain := []string{t.Redirect.String()}
	if t.Redirect.Name == "" {
		errs = append(errs, field.Required(field.NewPath("redirect"), "give the redirect middleware: without it the app answers in plain HTTP"))
	}
	for i, m := range t.Middlewares {
		if m.Name == "" {
			errs = append(errs, field.Required(field.NewPath("middlewares").Index(i), "take the reference from the middleware's own Ref method"))
		}
		chain = append(chain, m.String())
	}
	if web.Login != nil && web.Login.OIDCClient().Host != t.Host {
		errs = append(errs, field.Invalid(field.NewPath("host"), t.Host,
			"the sign-in of "+web.Name+" sends browsers back to "+web.Login.OIDCClient().Host+": the OIDCClient and the TLSIngress must have one host"))
	}

	objects := []Object{&networkingv1.Ingress{
		TypeMeta:   metav1.TypeMeta{APIVersion: "networking.k8s.io/v1", Kind: "Ingress"},
		ObjectMeta: meta(web.Namespace, web.Name),
		Spec: networkingv1.IngressSpec{
			IngressClassName: &class,
			TLS:              []networkingv1.IngressTLS{{Hosts: []string{t.Host}, SecretName: secret}},
			Rules: []networkingv1.IngressRule{{
				Host: t.Host,
				IngressRuleValue: networkingv1.IngressRuleValue{HTTP: &networkingv1.HTTPIngressRuleValue{
					Paths: []networkingv1.HTTPIngressPath{{
						Path:     "/",
						PathType: new(networkingv1.PathTypePrefix),
						Backend: networkingv1.IngressBackend{Service: &networkingv1.IngressServiceBackend{
							Name: web.Name,
							Port: networkingv1.ServiceBackendPort{Name: portName},
						}},
					}},
				}},
			}},
		},
	}}
	objects[0].SetAnnotations(map[string]string{
		annotationIssuer: t.Issuer,
		// Both: router.tls would make the router TLS-only, and port 80 a 404
		// (traefik issue 8444). On k3s, websecure has TLS by itself.
		annotationEntrypoints: "web,websecure",
		annotationMiddlewares: strings.Join(chain, ","),
	})
	errs = append(errs, Apply(objects, t.Changes)...)
	return objects, Mistakes("TLSIngress", web.Namespace, web.Name, errs)
}
