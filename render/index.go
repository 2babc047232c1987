package render

import (
	"fmt"
	"maps"
	"slices"
	"strings"

	corev1 "k8s.io/api/core/v1"
)

// index finds what a reference points at.
type index struct {
	objects map[id]int // → the file
	// early is the file that first put an object into a namespace before the
	// Namespace itself.
	early       map[string]int
	middlewares map[string]bool
	data        map[id]*data // of ConfigMaps and Secrets
	ports       map[servicePort]bool
}

// data is the keys of a ConfigMap or a Secret.
type data struct {
	keys []string // sorted
	read []bool   // those that something reads
	all  bool     // something reads it whole
}

// newIndex makes an index with room for what was found.
func newIndex(secrets int, found []facts) *index {
	objects, configs, ports := 0, 0, 0
	for i := range found {
		objects += len(found[i].objects)
		configs += len(found[i].configs)
		ports += len(found[i].ports)
	}
	return &index{
		objects:     make(map[id]int, objects),
		early:       make(map[string]int),
		middlewares: make(map[string]bool),
		data:        make(map[id]*data, secrets+configs),
		ports:       make(map[servicePort]bool, ports),
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
	_, made := x.objects[id{kind: "Namespace", name: o.namespace}]
	if _, seen := x.early[o.namespace]; !seen && !made && o.namespace != "" {
		x.early[o.namespace] = file
	}
	return 0, true
}

// secret enters a Secret that people fill in.
func (x *index) secret(s *corev1.Secret) (id, error) {
	o := id{kind: "Secret", namespace: s.Namespace, name: s.Name}
	if _, ok := x.data[o]; ok {
		return o, fmt.Errorf("%s: there are two contracts for it: make them one", o)
	}
	keys := slices.AppendSeq(slices.Collect(maps.Keys(s.StringData)), maps.Keys(s.Data))
	slices.Sort(keys)
	keys = slices.Compact(keys)
	x.data[o] = &data{keys: keys, read: make([]bool, len(keys))}
	return o, nil
}

// keys enters the keys of ConfigMaps and the ports of Services.
func (x *index) keys(f *facts) {
	for _, c := range f.configs {
		x.data[c.of] = &data{keys: c.keys, read: make([]bool, len(c.keys))}
	}
	for _, p := range f.ports {
		x.ports[p] = true
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
	d, hasKeys := x.data[u.to]
	switch {
	case u.to.kind == "Secret" && !rendered && !hasKeys:
		return fail("there is no contract for %s: add it to the tree's Secrets", u.to)
	case u.to.kind == "Secret" && !hasKeys: // rendered, and filled in by the cluster
		return nil
	case !rendered && !hasKeys:
		return fail("there is no %s: render it in this tree", u.to)
	case u.to.kind == "Service" && !x.ports[servicePort{u.to, u.port}]:
		return fail("%s has no such port (%s%d)", u.to, u.port.Name, u.port.Number)
	case !hasKeys:
		return nil
	case u.key == "":
		d.all = true
		return nil
	}
	i, ok := slices.BinarySearch(d.keys, u.key)
	if !ok {
		return fail("%s has no key %s: its keys are %s", u.to, u.key, strings.Join(d.keys, ", "))
	}
	d.read[i] = true
	return nil
}

// orphans are the keys that nothing reads.
func (x *index) orphans(contracts []Secret, secrets []id, found []facts) []string {
	var notes []string
	report := func(o id, elsewhere func(string) bool) {
		d := x.data[o]
		if d == nil || d.all {
			return
		}
		for i, key := range d.keys {
			if !d.read[i] && !elsewhere(key) {
				notes = append(notes, fmt.Sprintf("%s: nothing reads the key %s: remove it, or say who does", o, key))
			}
		}
	}
	for i, o := range secrets {
		report(o, contracts[i].ReadElsewhere)
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
