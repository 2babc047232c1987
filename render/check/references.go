package check

import (
	"slices"
	"strconv"
	"strings"

	corev1 "k8s.io/api/core/v1"
	networkingv1 "k8s.io/api/networking/v1"

	"git.lastcloud.io/ronnibaslund/dezky/fleet/render/object"
)

func referenceRules() []Rule {
	return []Rule{{
		ID:     "reference",
		Doc:    "A pod that refers to a ConfigMap, Secret, key, ServiceAccount or volume claim that is not there does not start, and an Ingress without its Service or port answers 404 or 503.",
		Source: "Kubernetes documentation, 'Secrets', 'ConfigMaps' and 'Ingress'",
		Run: func(p *Pass) {
			p.eachReference(func(r *reference) {
				if problem, remedy := p.missing(r); problem != "" {
					p.Report(r.from, r.at.String(), problem, remedy)
				}
			})
		},
	}, {
		ID:       "key-unread",
		Severity: object.Note,
		Doc:      "A key that nothing reads is a value that somebody keeps for nothing, or one whose reader looks for another name.",
		Source:   "Kubernetes documentation, 'ConfigMaps'",
		Run:      unreadKeys,
	}}
}

// reference is a field of one object that names another.
type reference struct {
	from *Object
	at   fieldPath
	to   object.ID
	// key of a ConfigMap or Secret. Empty for the whole object.
	key string
	// port of a Service, where port is true.
	isPort bool
	port   networkingv1.ServiceBackendPort
}

// missing says what is wrong with a reference. It returns nothing where what
// it names is there, under check or elsewhere.
func (s *Set) missing(r *reference) (problem, remedy string) {
	o, e := s.Get(r.to), s.Elsewhere(r.to)
	switch {
	case o == nil && e == nil && r.to.Kind == "Secret":
		return "there is no contract for " + r.to.String(), "add it to the tree's Secrets"
	case o == nil && e == nil:
		return "there is no " + r.to.String(), "render it in this tree"
	case r.isPort && !s.hasPort(o, e, r.port):
		return r.to.String() + " has no such port (" + portText(r.port) + ")", ""
	case r.key == "":
		return "", ""
	}
	keys, closed := s.keys(r.to)
	if closed && !slices.Contains(keys, r.key) {
		return r.to.String() + " has no key " + r.key, "its keys are " + strings.Join(keys, ", ")
	}
	return "", ""
}

func portText(p networkingv1.ServiceBackendPort) string {
	if p.Name != "" {
		return p.Name
	}
	return strconv.Itoa(int(p.Number))
}

func (s *Set) hasPort(o *Object, e *Elsewhere, port networkingv1.ServiceBackendPort) bool {
	var ports []corev1.ServicePort
	if o != nil {
		service := As[*corev1.Service](o)
		if service == nil {
			return true
		}
		ports = service.Spec.Ports
	} else if ports = e.Ports; ports == nil {
		return true
	}
	return slices.ContainsFunc(ports, func(p corev1.ServicePort) bool {
		return port.Name != "" && p.Name == port.Name || port.Name == "" && p.Port == port.Number
	})
}

// keys returns the keys of a ConfigMap or Secret, sorted, and whether it can
// have no others.
func (s *Set) keys(id object.ID) (keys []string, closed bool) {
	if e := s.Elsewhere(id); e != nil {
		keys = slices.Clone(e.Keys)
		slices.Sort(keys)
		return keys, e.Keys != nil
	}
	o := s.Get(id)
	if o == nil {
		return nil, false
	}
	if id.Kind == "Secret" {
		if secret := As[*corev1.Secret](o); secret != nil && isTemplate(secret) {
			keys = append(sortedKeys(secret.Data), sortedKeys(secret.StringData)...)
			slices.Sort(keys)
			return slices.Compact(keys), true
		}
		return nil, false // one without values is filled in by the cluster
	}
	m := As[*corev1.ConfigMap](o)
	if m == nil {
		return nil, false
	}
	keys = append(sortedKeys(m.Data), sortedKeys(m.BinaryData)...)
	slices.Sort(keys)
	return keys, true
}

// unreadKeys reports the keys that nothing reads.
func unreadKeys(p *Pass) {
	read := make(map[object.ID]map[string]bool)
	p.eachReference(func(r *reference) {
		if r.to.Kind != "ConfigMap" && r.to.Kind != "Secret" {
			return
		}
		keys := read[r.to]
		if keys == nil {
			keys = make(map[string]bool)
			read[r.to] = keys
		}
		keys[r.key] = true
	})
	orphans := func(o *Object, keys []string, elsewhere func(string) bool) {
		if read[o.ID][""] { // something reads it whole
			return
		}
		for _, key := range keys {
			if !read[o.ID][key] && (elsewhere == nil || !elsewhere(key)) {
				p.Report(o, "", "nothing reads the key "+key, "remove it, or say who does")
			}
		}
	}
	for _, e := range p.others {
		if e.Contract {
			orphans(&Object{ID: e.ID, index: -1}, e.Keys, e.Read)
		}
	}
	for _, o := range p.Kind("", "ConfigMap") {
		if o.Layer == "" && len(read[o.ID]) == 0 {
			continue // outside a Tree, its reader may be in other files
		}
		if keys, closed := p.keys(o.ID); closed && !o.AllRead {
			orphans(o, keys, nil)
		}
	}
}

// eachReference calls do for each reference of each object. What it is given
// is good until do returns.
func (s *Set) eachReference(do func(*reference)) {
	s.eachPods(func(p pods) {
		r := reference{from: p.of, at: fieldPath{text: []byte(p.at)}}
		r.pod(p, do)
	})
	for _, o := range s.Kind("networking.k8s.io", "Ingress") {
		if i := As[*networkingv1.Ingress](o); i != nil {
			r := reference{from: o}
			r.ingress(i, do)
		}
	}
}

func (r *reference) pod(p pods, do func(*reference)) {
	refer := func(kind, name, key string, optional *bool) {
		if name != "" && (optional == nil || !*optional) {
			r.to, r.key = object.ID{Kind: kind, Namespace: p.of.ID.Namespace, Name: name}, key
			do(r)
		}
	}
	// items refers to each key that a volume takes, or once to all of them.
	items := func(kind, name string, list []corev1.KeyToPath, optional *bool) {
		if len(list) == 0 {
			refer(kind, name, "", optional)
		}
		for i := range list {
			end := r.at.push(".items[", strconv.Itoa(i), "]")
			refer(kind, name, list[i].Key, optional)
			r.at.cut(end)
		}
	}
	if p.spec.ServiceAccountName != "default" {
		end := r.at.push(".serviceAccountName")
		refer("ServiceAccount", p.spec.ServiceAccountName, "", nil)
		r.at.cut(end)
	}
	for i, s := range p.spec.ImagePullSecrets {
		end := r.at.push(".imagePullSecrets[", strconv.Itoa(i), "]")
		refer("Secret", s.Name, corev1.DockerConfigJsonKey, nil)
		r.at.cut(end)
	}
	p.eachContainer(func(list string, c *corev1.Container) {
		container := r.at.push(".", list, "[", c.Name, "]")
		for i := range c.Env {
			from := c.Env[i].ValueFrom
			if from == nil {
				continue
			}
			end := r.at.push(".env[", c.Env[i].Name, "]")
			if s := from.SecretKeyRef; s != nil {
				refer("Secret", s.Name, s.Key, s.Optional)
			}
			if m := from.ConfigMapKeyRef; m != nil {
				refer("ConfigMap", m.Name, m.Key, m.Optional)
			}
			r.at.cut(end)
		}
		for i := range c.EnvFrom {
			end := r.at.push(".envFrom[", strconv.Itoa(i), "]")
			if s := c.EnvFrom[i].SecretRef; s != nil {
				refer("Secret", s.Name, "", s.Optional)
			}
			if m := c.EnvFrom[i].ConfigMapRef; m != nil {
				refer("ConfigMap", m.Name, "", m.Optional)
			}
			r.at.cut(end)
		}
		r.at.cut(container)
	})
	for i := range p.spec.Volumes {
		v := &p.spec.Volumes[i]
		end := r.at.push(".volumes[", v.Name, "]")
		if s := v.Secret; s != nil {
			items("Secret", s.SecretName, s.Items, s.Optional)
		}
		if m := v.ConfigMap; m != nil {
			items("ConfigMap", m.Name, m.Items, m.Optional)
		}
		if c := v.PersistentVolumeClaim; c != nil {
			refer("PersistentVolumeClaim", c.ClaimName, "", nil)
		}
		if v.Projected != nil {
			for i := range v.Projected.Sources {
				source := &v.Projected.Sources[i]
				end := r.at.push(".projected[", strconv.Itoa(i), "]")
				if s := source.Secret; s != nil {
					items("Secret", s.Name, s.Items, s.Optional)
				}
				if m := source.ConfigMap; m != nil {
					items("ConfigMap", m.Name, m.Items, m.Optional)
				}
				r.at.cut(end)
			}
		}
		r.at.cut(end)
	}
}

func (r *reference) ingress(i *networkingv1.Ingress, do func(*reference)) {
	backend := func(b *networkingv1.IngressBackend) {
		if s := b.Service; s != nil {
			r.to = object.ID{Kind: "Service", Namespace: r.from.ID.Namespace, Name: s.Name}
			r.isPort, r.port = true, s.Port
			do(r)
		}
	}
	if i.Spec.DefaultBackend != nil {
		end := r.at.push("spec.defaultBackend")
		backend(i.Spec.DefaultBackend)
		r.at.cut(end)
	}
	for k := range i.Spec.Rules {
		if i.Spec.Rules[k].HTTP == nil {
			continue
		}
		for j := range i.Spec.Rules[k].HTTP.Paths {
			end := r.at.push("spec.rules[", strconv.Itoa(k), "].http.paths[", strconv.Itoa(j), "].backend.service")
			backend(&i.Spec.Rules[k].HTTP.Paths[j].Backend)
			r.at.cut(end)
		}
	}
}

// fieldPath is the path of a field, grown and cut on the way through an object, so
// that it is written out only where something is wrong.
type fieldPath struct{ text []byte }

// push appends to the path, and returns what cut takes to undo it.
func (p *fieldPath) push(parts ...string) int {
	end := len(p.text)
	for _, s := range parts {
		p.text = append(p.text, s...)
	}
	return end
}

func (p *fieldPath) cut(end int) { p.text = p.text[:end] }

func (p *fieldPath) String() string { return string(p.text) }
