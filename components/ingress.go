package components

import (
	"cmp"
	"reflect"
	"slices"
	"strconv"
	"strings"

	networkingv1 "k8s.io/api/networking/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/validation"
	"k8s.io/apimachinery/pkg/util/validation/field"

	"git.lastcloud.io/ronnibaslund/dezky/fleet/components/internal/validate"
	"git.lastcloud.io/ronnibaslund/dezky/fleet/render/object"
)

// TLSIngress gives a Service its public address: one host or several, HTTPS
// with a certificate that cert-manager keeps, and with Traefik both entry
// points, HTTP answered by the redirect.
//
// The redirect belongs to this router alone. cert-manager's HTTP-01 solver
// has a router of its own whose rule is longer, and Traefik prefers the
// longer rule, so a challenge is answered and never redirected, as long as
// no priority is set by hand (Traefik documentation, "Routers: priority").
type TLSIngress struct {
	// Name of the Ingress. If empty, that of the backend.
	Name string
	// Host is the public name.
	Host string
	// Aliases are further public names, which lead to the same as Host and
	// stand in the same certificate.
	Aliases []string
	// Backend is the Service that answers: a [WebApp], a [StatefulSet], or a
	// [Service] that something else makes. The Ingress is in its namespace: an
	// Ingress reaches no other.
	Backend Backend
	// Paths lead to other Services of the namespace. What no path matches goes
	// to the Backend.
	Paths []Path
	// Issuer is the ClusterIssuer of cert-manager.
	Issuer string
	// Redirect is the middleware that sends HTTP to HTTPS. It is demanded for
	// the class traefik. For a class that is not Traefik's, leave it empty:
	// then the Ingress has no annotation of Traefik.
	Redirect MiddlewareRef
	// Middlewares come after the redirect, in this order.
	Middlewares []MiddlewareRef
	// Class of the Ingress. If empty, traefik.
	Class string
	// SecretName of the certificate. If empty, the name of the Ingress with
	// -tls. The Certificate takes the same name, so no two may share it.
	SecretName string
	// Assumed says that nobody has confirmed that the live Ingress of the app,
	// if there is one, has this SecretName.
	Assumed bool
	// Changes are applied to the object last; see [Edit].
	Changes []Change
}

// Path leads to a Service of its own.
type Path struct {
	// Path from its beginning, with all below it.
	Path string
	// Exact means the path alone, and nothing below it.
	Exact bool
	// Backend is the Service that answers.
	Backend Backend
}

// Backend is a Service to which an Ingress can lead.
type Backend interface{ Service() Service }

// Service is the Service of something else: of another layer, of an operator,
// or one that is typed out.
type Service struct {
	// Name and Namespace of the Service.
	Name, Namespace string
	// Port of the Service by its name, or by its number in digits.
	Port string
}

// Service implements [Backend].
func (s Service) Service() Service { return s }

// Service returns the Service of the app, for an Ingress.
func (w WebApp) Service() Service { return Workload(w).toService(webApp) }

// Service returns the Service of the pods, for an Ingress.
func (s StatefulSet) Service() Service { return Workload(s).toService(statefulSet) }

func (w Workload) toService(k kind) Service {
	s := Service{Name: w.Name, Namespace: w.Namespace, Port: k.port}
	if w.Port == 0 {
		s.Port = ""
	}
	return s
}

// MiddlewareRef names a middleware of Traefik that an Ingress uses. It is
// made by the middleware itself: see the package traefik.
type MiddlewareRef struct{ Namespace, Name string }

// String returns the form in which Traefik's Ingress provider takes it.
func (m MiddlewareRef) String() string { return m.Namespace + "-" + m.Name + "@kubernetescrd" }

// The annotations that an Ingress gets.
const (
	annotationIssuer      = "cert-manager.io/cluster-issuer"
	annotationEntrypoints = "traefik.ingress.kubernetes.io/router.entrypoints"
	annotationMiddlewares = "traefik.ingress.kubernetes.io/router.middlewares"
)

// defaultClass is Traefik's, as k3s has it.
const defaultClass = "traefik"

// About implements [object.Component].
func (t TLSIngress) About() object.About {
	if !t.Assumed {
		return object.About{}
	}
	backend := serviceOf(t.Backend)
	return object.About{Assumed: []object.Assumption{{
		What:    "TLSIngress " + backend.Namespace + "/" + t.name() + ": the name of the Secret with its certificate",
		Value:   t.secretName(),
		Confirm: "`kubectl -n " + backend.Namespace + " get ingress -o 'custom-columns=NAME:.metadata.name,HOST:.spec.rules[*].host,SECRET:.spec.tls[*].secretName'`",
		Until:   "it is rendered; where a running host has another name, its visitors see the default certificate of Traefik until the new one is there, about a minute: confirm it before the first apply to a tier that runs. The old Secret stays",
		Buys:    "the certificate that the host has is kept",
	}}}
}

func (t TLSIngress) name() string { return cmp.Or(t.Name, serviceOf(t.Backend).Name) }

func (t TLSIngress) secretName() string { return cmp.Or(t.SecretName, t.name()+"-tls") }

// serviceOf is the Service of a backend that may be nil.
func serviceOf(b Backend) Service {
	if b == nil || reflect.ValueOf(b).Kind() == reflect.Pointer && reflect.ValueOf(b).IsNil() {
		return Service{}
	}
	return b.Service()
}

// Objects implements [object.Component].
func (t TLSIngress) Objects() ([]object.Object, error) {
	backend := serviceOf(t.Backend)
	class := cmp.Or(t.Class, defaultClass)
	hosts := append([]string{t.Host}, t.Aliases...)

	var errs field.ErrorList
	for i, host := range hosts {
		path := field.NewPath("host")
		if i > 0 {
			path = field.NewPath("aliases").Index(i - 1)
		}
		errs = validate.Host(errs, path, host)
		if slices.Index(hosts, host) < i {
			errs = append(errs, field.Duplicate(path, host))
		}
	}
	if t.Name != "" {
		errs = validate.Name(errs, field.NewPath("name"), t.Name, validation.IsDNS1123Subdomain)
	}
	errs = append(errs, checkBackend(field.NewPath("backend"), backend)...)
	if t.Issuer == "" {
		errs = append(errs, field.Required(field.NewPath("issuer"), "name the ClusterIssuer, such as letsencrypt-prod"))
	}
	if t.SecretName != "" {
		errs = validate.Name(errs, field.NewPath("secretName"), t.SecretName, validation.IsDNS1123Subdomain)
	}
	traefik := class == defaultClass || t.Redirect.Name != ""
	chain := []string{t.Redirect.String()}
	switch {
	case traefik && t.Redirect.Name == "":
		errs = append(errs, field.Required(field.NewPath("redirect"), "give the redirect middleware: without it the app answers in plain HTTP"))
	case !traefik && len(t.Middlewares) > 0:
		errs = append(errs, field.Forbidden(field.NewPath("middlewares"), "are Traefik's, and the class is "+class+": leave them out, or give the redirect where the class is one of Traefik"))
	}
	for i, m := range t.Middlewares {
		if m.Name == "" {
			errs = append(errs, field.Required(field.NewPath("middlewares").Index(i), "take the reference from the middleware's own Ref method"))
		}
		chain = append(chain, m.String())
	}
	if web, ok := t.Backend.(WebApp); ok && web.Login != nil && !slices.Contains(hosts, web.Login.OIDCClient().Host) {
		errs = append(errs, field.Invalid(field.NewPath("host"), t.Host,
			"the sign-in of "+web.Name+" sends browsers back to "+web.Login.OIDCClient().Host+": the OIDCClient and the TLSIngress must have one host"))
	}

	var paths []networkingv1.HTTPIngressPath
	type match struct {
		path  string
		exact bool
	}
	seen := []match{{"/", false}}
	for i, p := range t.Paths {
		path, to := field.NewPath("paths").Index(i), serviceOf(p.Backend)
		switch {
		case !validate.IsPath(p.Path):
			errs = append(errs, field.Invalid(path.Child("path"), p.Path, "must be a path that starts with one /, without spaces"))
		case slices.Contains(seen, match{p.Path, p.Exact}):
			errs = append(errs, field.Invalid(path.Child("path"), p.Path, "is there already: / is the backend's"))
		}
		seen = append(seen, match{p.Path, p.Exact})
		errs = append(errs, checkBackend(path.Child("backend"), to)...)
		if to.Namespace != backend.Namespace && to.Name != "" && backend.Name != "" {
			errs = append(errs, field.Invalid(path.Child("backend", "namespace"), to.Namespace, "must be "+backend.Namespace+", as the backend's: an Ingress reaches the Services of its own namespace"))
		}
		paths = append(paths, ingressPath(p.Path, p.Exact, to))
	}
	paths = append(paths, ingressPath("/", false, backend))

	ingress := &networkingv1.Ingress{
		TypeMeta:   metav1.TypeMeta{APIVersion: "networking.k8s.io/v1", Kind: "Ingress"},
		ObjectMeta: meta(backend.Namespace, t.name()),
		Spec: networkingv1.IngressSpec{
			IngressClassName: &class,
			TLS:              []networkingv1.IngressTLS{{Hosts: hosts, SecretName: t.secretName()}},
		},
	}
	for _, host := range hosts {
		ingress.Spec.Rules = append(ingress.Spec.Rules, networkingv1.IngressRule{
			Host:             host,
			IngressRuleValue: networkingv1.IngressRuleValue{HTTP: &networkingv1.HTTPIngressRuleValue{Paths: slices.Clone(paths)}},
		})
	}
	ingress.Annotations = map[string]string{annotationIssuer: t.Issuer}
	if traefik {
		// Both: router.tls would make the router TLS-only, and port 80 a 404
		// (traefik issue 8444). On k3s, websecure has TLS by itself.
		ingress.Annotations[annotationEntrypoints] = "web,websecure"
		ingress.Annotations[annotationMiddlewares] = strings.Join(chain, ",")
	}
	objects := []object.Object{ingress}
	errs = append(errs, Apply(objects, t.Changes)...)
	return objects, object.Invalid(object.ID{Kind: "TLSIngress", Namespace: backend.Namespace, Name: t.name()}, errs).Err()
}

// checkBackend is what is wrong with a backend. The rest of an app is told
// where the app itself is rendered.
func checkBackend(path *field.Path, s Service) field.ErrorList {
	var errs field.ErrorList
	if s.Name == "" || s.Port == "" {
		return field.ErrorList{field.Required(path, "give the WebApp or the Service that answers, with its name and port")}
	}
	if s.Namespace == "" {
		errs = append(errs, field.Required(path.Child("namespace"), "say the namespace"))
	}
	if n, err := strconv.Atoi(s.Port); err == nil {
		return validate.Port(errs, path.Child("port"), int32(min(max(n, 0), 1<<17)))
	}
	for _, msg := range validation.IsValidPortName(s.Port) {
		errs = append(errs, field.Invalid(path.Child("port"), s.Port, validate.Plain(msg)))
	}
	return errs
}

func ingressPath(path string, exact bool, to Service) networkingv1.HTTPIngressPath {
	how, port := networkingv1.PathTypePrefix, networkingv1.ServiceBackendPort{Name: to.Port}
	if exact {
		how = networkingv1.PathTypeExact
	}
	if n, err := strconv.ParseInt(to.Port, 10, 32); err == nil {
		port = networkingv1.ServiceBackendPort{Number: int32(n)}
	}
	return networkingv1.HTTPIngressPath{
		Path: path, PathType: &how,
		Backend: networkingv1.IngressBackend{Service: &networkingv1.IngressServiceBackend{Name: to.Name, Port: port}},
	}
}
