package render

import (
	"fmt"
	"slices"
	"strings"

	corev1 "k8s.io/api/core/v1"
	networkingv1 "k8s.io/api/networking/v1"
)

// index finds what a reference points at.
type index struct {
	objects map[id]int // → the file
	// early is the file that first put an object into a namespace before the
	// Namespace itself, or -1 where none did.
	early       map[string]int
	middlewares map[string]bool
	// data is the keys of ConfigMaps and Secrets; read, what was used of them.
	// An empty key stands for all.
	data  map[id][]string
	read  map[id]map[string]bool
	ports map[id][]corev1.ServicePort
}

func newIndex() *index {
	return &index{
		objects:     make(map[id]int),
		early:       make(map[string]int),
		middlewares: make(map[string]bool),
		data:        make(map[id][]string),
		read:        make(map[id]map[string]bool),
		ports:       make(map[id][]corev1.ServicePort),
	}
}

// add enters an object; if it is there already, the result is its file.
func (x *index) add(o id, file int) (first int, ok bool) {
	if first, ok := x.objects[o]; ok {
		return first, false
	}
	x.objects[o] = file
	if o.kind == kindMiddleware {
		x.middlewares[o.namespace+"-"+o.name] = true
	}
	if _, seen := x.early[o.namespace]; !seen && o.namespace != "" {
		if _, made := x.objects[id{kind: "Namespace", name: o.namespace}]; made {
			file = -1
		}
		x.early[o.namespace] = file
	}
	return 0, true
}

// secret enters a Secret that people fill in.
func (x *index) secret(s *corev1.Secret) error {
	o := id{kind: "Secret", namespace: s.Namespace, name: s.Name}
	if _, ok := x.data[o]; ok {
		return fmt.Errorf("%s: there are two contracts for it: make them one", o)
	}
	names := []string{}
	for key := range s.StringData {
		names = append(names, key)
	}
	for key := range s.Data {
		names = append(names, key)
	}
	slices.Sort(names)
	x.data[o] = names
	return nil
}

func (x *index) keys(f *facts) {
	for o, names := range f.configKeys {
		x.data[o] = names
	}
	for o, ports := range f.ports {
		x.ports[o] = ports
	}
}

// resolve finds what a reference points at, and says what is missing.
func (x *index) resolve(u use) error {
	fail := func(format string, args ...any) error {
		return fmt.Errorf("%s: %s: %s", u.from, u.at, fmt.Sprintf(format, args...))
	}
	if u.to.kind == kindMiddleware {
		if !x.middlewares[u.to.name] {
			return fail("there is no middleware %s, and Traefik drops a router whose middleware is missing: render it in this tree", u.to.name)
		}
		return nil
	}
	_, rendered := x.objects[u.to]
	names, hasKeys := x.data[u.to]
	switch {
	case u.to.kind == "Secret" && !rendered && !hasKeys:
		return fail("there is no contract for %s: add it to the tree's Secrets", u.to)
	case u.to.kind == "Secret" && !hasKeys: // rendered, and filled in by the cluster
		return nil
	case !rendered && !hasKeys:
		return fail("there is no %s: render it in this tree", u.to)
	case u.key != "" && !slices.Contains(names, u.key):
		return fail("%s has no key %s: its keys are %s", u.to, u.key, strings.Join(names, ", "))
	case u.to.kind == "Service" && !hasPort(x.ports[u.to], u.port):
		return fail("%s has no such port (%s%d)", u.to, u.port.Name, u.port.Number)
	}
	if hasKeys {
		if x.read[u.to] == nil {
			x.read[u.to] = make(map[string]bool)
		}
		x.read[u.to][u.key] = true
	}
	return nil
}

func hasPort(ports []corev1.ServicePort, want networkingv1.ServiceBackendPort) bool {
	return slices.ContainsFunc(ports, func(p corev1.ServicePort) bool {
		return want.Name != "" && p.Name == want.Name || want.Name == "" && p.Port == want.Number
	})
}

// orphans are the keys that nothing reads.
func (x *index) orphans(contracts []Secret, secrets []*corev1.Secret, found []facts) []string {
	var notes []string
	report := func(o id, elsewhere func(string) bool) {
		read := x.read[o]
		if read[""] {
			return
		}
		for _, key := range x.data[o] {
			if !read[key] && !elsewhere(key) {
				notes = append(notes, fmt.Sprintf("%s: nothing reads the key %s: remove it, or say who does", o, key))
			}
		}
	}
	for i, s := range secrets {
		report(id{kind: "Secret", namespace: s.Namespace, name: s.Name}, contracts[i].ReadElsewhere)
	}
	for i := range found {
		for _, o := range found[i].objects {
			if o.kind == "ConfigMap" && o.group == "" {
				report(o, func(string) bool { return false })
			}
		}
	}
	return notes
}
