package render

import (
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"

	appsv1 "k8s.io/api/apps/v1"
	batchv1 "k8s.io/api/batch/v1"
	corev1 "k8s.io/api/core/v1"
	networkingv1 "k8s.io/api/networking/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"git.lastcloud.io/ronnibaslund/dezky/fleet/render/object"
)

// id names an object in a cluster.
type id struct{ group, kind, namespace, name string }

func idOf(o Object) id {
	gvk := o.GetObjectKind().GroupVersionKind()
	return id{gvk.Group, gvk.Kind, o.GetNamespace(), o.GetName()}
}

func (i id) String() string {
	if i.namespace == "" {
		return i.kind + " " + i.name
	}
	return i.kind + " " + i.namespace + "/" + i.name
}

// use is a reference of one object to another.
type use struct {
	from id
	// at is the field of the reference.
	at string
	to id
	// key of a ConfigMap or Secret. If empty, the whole object.
	key string
	// port of a Service, by name or number.
	port networkingv1.ServiceBackendPort
}

// claim is something that only one may have.
type claim struct{ by, what string }

// facts are what the checks across files need to know of one file. They are
// small: the objects themselves are gone by then.
type facts struct {
	objects []id
	uses    []use
	claims  []claim
	configs []config
	ports   []servicePort
	notes   []string
	pending []string
	assumed []Assumption
	errs    []error

	// readElsewhere is what the component at hand says of its ConfigMaps.
	readElsewhere bool
}

// config is the keys of a ConfigMap, sorted.
type config struct {
	of   id
	keys []string
}

// servicePort is a port by which a Service can be referred to.
type servicePort struct {
	of   id
	port networkingv1.ServiceBackendPort
}

// component takes down what a component says of itself; by is the name of its
// first object.
func (f *facts) component(c Component, by string) {
	if c, ok := c.(interface{ Claims() []string }); ok {
		for _, what := range c.Claims() {
			f.claims = append(f.claims, claim{by: by, what: what})
		}
	}
	if c, ok := c.(interface{ Notes() []string }); ok {
		f.notes = append(f.notes, c.Notes()...)
	}
	if c, ok := c.(interface{ PendingValues() []string }); ok {
		f.pending = append(f.pending, c.PendingValues()...)
	}
	f.assumed = append(f.assumed, object.Assumptions(c)...)
	reader, ok := c.(interface{ ReadElsewhere() bool })
	f.readElsewhere = ok && reader.ReadElsewhere()
}

// object takes down an object, what it refers to and what it claims, and gives
// its name.
func (f *facts) object(o Object) id {
	self := idOf(o)
	f.objects = append(f.objects, self)
	if gvk := o.GetObjectKind().GroupVersionKind(); gvk.Version == "" || gvk.Kind == "" || self.name == "" {
		f.errs = append(f.errs, fmt.Errorf("%T %q: apiVersion, kind or name is empty: fill in TypeMeta and ObjectMeta", o, self.name))
	}
	switch o := o.(type) {
	case *corev1.ConfigMap:
		keys := slices.AppendSeq(make([]string, 0, len(o.Data)+len(o.BinaryData)), maps.Keys(o.Data))
		keys = slices.AppendSeq(keys, maps.Keys(o.BinaryData))
		slices.Sort(keys)
		f.configs = append(f.configs, config{self, slices.Compact(keys)})
		if f.readElsewhere {
			f.uses = append(f.uses, use{from: self, at: "data", to: self})
		}
	case *corev1.Secret:
		if len(o.Data)+len(o.StringData) > 0 {
			f.errs = append(f.errs, fmt.Errorf("%s: data: a rendered Secret must hold no value: describe it by a contract, and fill it in outside", self))
		}
	case *corev1.Service:
		for _, p := range o.Spec.Ports {
			f.ports = append(f.ports, servicePort{self, networkingv1.ServiceBackendPort{Number: p.Port}})
			if p.Name != "" {
				f.ports = append(f.ports, servicePort{self, networkingv1.ServiceBackendPort{Name: p.Name}})
			}
		}
	case *networkingv1.Ingress:
		f.ingress(self, o)
	case *corev1.Pod:
		f.pod(self, "spec", &o.Spec)
	case *appsv1.Deployment:
		f.pod(self, "spec.template.spec", &o.Spec.Template.Spec)
		f.selector(self, o.Spec.Selector, o.Spec.Template.Labels)
	case *appsv1.StatefulSet:
		f.pod(self, "spec.template.spec", &o.Spec.Template.Spec)
		f.selector(self, o.Spec.Selector, o.Spec.Template.Labels)
	case *appsv1.DaemonSet:
		f.pod(self, "spec.template.spec", &o.Spec.Template.Spec)
		f.selector(self, o.Spec.Selector, o.Spec.Template.Labels)
	case *batchv1.Job:
		f.pod(self, "spec.template.spec", &o.Spec.Template.Spec)
	case *batchv1.CronJob:
		f.pod(self, "spec.jobTemplate.spec.template.spec", &o.Spec.JobTemplate.Spec.Template.Spec)
	}
	return self
}

// selector refuses a workload whose pods are not its own. Selectors cannot be
// changed later, so they may not name what a release changes.
func (f *facts) selector(self id, s *metav1.LabelSelector, labels map[string]string) {
	if s == nil || len(s.MatchLabels)+len(s.MatchExpressions) == 0 {
		f.errs = append(f.errs, fmt.Errorf("%s: spec.selector: is empty: select the labels of the pod template", self))
		return
	}
	for _, k := range slices.Sorted(maps.Keys(s.MatchLabels)) {
		if v := s.MatchLabels[k]; labels[k] != v {
			f.errs = append(f.errs, fmt.Errorf("%s: spec.selector.matchLabels[%s]: %q is not the label of the pod template (%q)", self, k, v, labels[k]))
		}
		if k == "app.kubernetes.io/version" {
			f.errs = append(f.errs, fmt.Errorf("%s: spec.selector.matchLabels[%s]: a selector cannot change, and a version does: select the name only", self, k))
		}
	}
}

// The annotations with which an Ingress has broken ACME or plain HTTP.
var forbiddenAnnotations = [...]struct{ key, why string }{
	{"traefik.ingress.kubernetes.io/router.tls", "makes the router TLS-only, and port 80 answers 404: leave it out, the entry point websecure has TLS"},
	{"traefik.ingress.kubernetes.io/router.priority", "can outrank cert-manager's HTTP-01 solver, and certificates stop renewing: leave it out"},
	{"acme.cert-manager.io/http01-edit-in-place", "puts the solver behind the redirect, and certificates stop renewing: leave it out"},
}

func (f *facts) ingress(self id, o *networkingv1.Ingress) {
	for _, a := range forbiddenAnnotations {
		if _, ok := o.Annotations[a.key]; ok {
			f.errs = append(f.errs, fmt.Errorf("%s: metadata.annotations[%s]: %s", self, a.key, a.why))
		}
	}
	const middlewares = "traefik.ingress.kubernetes.io/router.middlewares"
	for ref := range strings.SplitSeq(o.Annotations[middlewares], ",") {
		if name, ok := strings.CutSuffix(strings.TrimSpace(ref), "@kubernetescrd"); ok {
			f.uses = append(f.uses, use{from: self, at: "metadata.annotations[" + middlewares + "]", to: id{kind: kindMiddleware, name: name}})
		}
	}
	for _, tls := range o.Spec.TLS {
		if tls.SecretName != "" {
			f.claims = append(f.claims, claim{self.String(), "the TLS Secret " + self.namespace + "/" + tls.SecretName})
		}
	}
	backend := func(at string, b networkingv1.IngressBackend) {
		if s := b.Service; s != nil {
			f.uses = append(f.uses, use{from: self, at: at, to: id{kind: "Service", namespace: self.namespace, name: s.Name}, port: s.Port})
		}
	}
	if o.Spec.DefaultBackend != nil {
		backend("spec.defaultBackend", *o.Spec.DefaultBackend)
	}
	for i, rule := range o.Spec.Rules {
		if rule.HTTP == nil {
			continue
		}
		for j, path := range rule.HTTP.Paths {
			f.claims = append(f.claims, claim{self.String(), "the address " + rule.Host + path.Path})
			backend("spec.rules["+strconv.Itoa(i)+"].http.paths["+strconv.Itoa(j)+"].backend.service", path.Backend)
		}
	}
}

// kindMiddleware stands for Traefik's Middleware under the one name by which
// an Ingress refers to it, namespace and name with a dash between.
const kindMiddleware = "Middleware"

func (f *facts) pod(self id, at string, spec *corev1.PodSpec) {
	refer := func(at, kind, name, key string, optional *bool) {
		if name != "" && (optional == nil || !*optional) {
			f.uses = append(f.uses, use{from: self, at: at, to: id{kind: kind, namespace: self.namespace, name: name}, key: key})
		}
	}
	if spec.ServiceAccountName != "default" {
		refer(at+".serviceAccountName", "ServiceAccount", spec.ServiceAccountName, "", nil)
	}
	for i, s := range spec.ImagePullSecrets {
		refer(fmt.Sprintf("%s.imagePullSecrets[%d]", at, i), "Secret", s.Name, corev1.DockerConfigJsonKey, nil)
	}
	for _, list := range []struct {
		name       string
		containers []corev1.Container
	}{{"initContainers", spec.InitContainers}, {"containers", spec.Containers}} {
		for i := range list.containers {
			c := &list.containers[i]
			for _, e := range c.Env {
				if e.ValueFrom == nil {
					continue
				}
				if s := e.ValueFrom.SecretKeyRef; s != nil {
					refer(at+"."+list.name+"["+c.Name+"].env["+e.Name+"]", "Secret", s.Name, s.Key, s.Optional)
				}
				if m := e.ValueFrom.ConfigMapKeyRef; m != nil {
					refer(at+"."+list.name+"["+c.Name+"].env["+e.Name+"]", "ConfigMap", m.Name, m.Key, m.Optional)
				}
			}
			for j, e := range c.EnvFrom {
				if s := e.SecretRef; s != nil {
					refer(at+"."+list.name+"["+c.Name+"].envFrom["+strconv.Itoa(j)+"]", "Secret", s.Name, "", s.Optional)
				}
				if m := e.ConfigMapRef; m != nil {
					refer(at+"."+list.name+"["+c.Name+"].envFrom["+strconv.Itoa(j)+"]", "ConfigMap", m.Name, "", m.Optional)
				}
			}
		}
	}
	for _, v := range spec.Volumes {
		at := at + ".volumes[" + v.Name + "]"
		if s := v.Secret; s != nil {
			items(at, s.Items, func(at, key string) { refer(at, "Secret", s.SecretName, key, s.Optional) })
		}
		if m := v.ConfigMap; m != nil {
			items(at, m.Items, func(at, key string) { refer(at, "ConfigMap", m.Name, key, m.Optional) })
		}
		if v.PersistentVolumeClaim != nil {
			refer(at, "PersistentVolumeClaim", v.PersistentVolumeClaim.ClaimName, "", nil)
		}
		if p := v.Projected; p != nil {
			for i, source := range p.Sources {
				at := fmt.Sprintf("%s.projected[%d]", at, i)
				if s := source.Secret; s != nil {
					items(at, s.Items, func(at, key string) { refer(at, "Secret", s.Name, key, s.Optional) })
				}
				if m := source.ConfigMap; m != nil {
					items(at, m.Items, func(at, key string) { refer(at, "ConfigMap", m.Name, key, m.Optional) })
				}
			}
		}
	}
}

// items calls refer for each key that a volume takes, or once for all of them.
func items(at string, list []corev1.KeyToPath, refer func(at, key string)) {
	if len(list) == 0 {
		refer(at, "")
	}
	for i, item := range list {
		refer(fmt.Sprintf("%s.items[%d]", at, i), item.Key)
	}
}
