package check

import (
	"reflect"
	"slices"
	"sync"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"

	"git.lastcloud.io/ronnibaslund/dezky/fleet/render/object"
)

// Set is the objects that are held against each other, and what is known of
// others.
type Set struct {
	objects   []*Object
	byID      map[object.ID]*Object
	byKind    map[schema.GroupKind]*[]*Object
	elsewhere map[object.ID]*Elsewhere
	others    []*Elsewhere
	twice     []*Object // those before which another one has their identity

	// What several rules need is made once, by the first of them.
	podsOnce     sync.Once
	pods         []*pods
	indexOnce    sync.Once
	index        podIndex
	policiesOnce sync.Once
	network      policies
	knownOnce    sync.Once
	knows        known
	scaledOnce   sync.Once
	scaled       map[object.ID]scale
	wrongOnce    sync.Once
	wrong        []wrong
	// read are the keys of ConfigMaps and Secrets that something reads, an
	// empty one where it reads them all.
	read map[object.ID][]string
	// uses are the Services that pods call and Ingresses lead to.
	uses []use
}

// Object is an object under check.
type Object struct {
	// Object as it was made or read.
	object.Object
	// ID of the object.
	ID object.ID
	// Layer that the object belongs to. Empty outside a Tree.
	Layer string
	// File that holds the object, as a path with slashes. Empty if unknown.
	File string
	// Line of the file where the object begins, from 1. Zero if unknown.
	Line int
	// Guarantees are what the component that makes the object promises of it.
	Guarantees []object.Guarantee
	// AllRead reports that something that is not under check reads all keys of
	// the ConfigMap.
	AllRead bool

	index   int
	builtin *kind // nil where the kind is not Kubernetes' own, or its version is not known
	once    sync.Once
	typed   object.Object // of an unstructured object, in its Go type

	fieldsOnce sync.Once
	asFields   map[string]any
}

// Elsewhere is an object that exists and is not among those under check:
// another layer makes it, an operator does, or people fill it in.
type Elsewhere struct {
	// ID of the object.
	ID object.ID
	// Keys of a ConfigMap or Secret. If nil, any key may be in it.
	Keys []string
	// Ports of a Service, by number and name. If nil, it may have any.
	Ports []corev1.ServicePort
	// Labels of the pods that the object makes, so that selectors find them.
	Labels map[string]string
	// Contract reports that people fill the Secret in by its contract.
	Contract bool
	// Read reports whether a key is read by something that is not under check.
	// If nil, none is.
	Read func(key string) bool
}

// NewSet makes a set of objects, in the order in which they are applied to an
// empty cluster.
func NewSet(objects []*Object, elsewhere []*Elsewhere) *Set {
	s := &Set{
		objects:   objects,
		byID:      make(map[object.ID]*Object, len(objects)),
		elsewhere: make(map[object.ID]*Elsewhere, len(elsewhere)),
		others:    elsewhere,
	}
	for i, o := range objects {
		o.index = i
		o.ID = object.IDOf(o.Object)
		o.builtin = builtinKind(o.Object)
		if o.builtin != nil && !o.builtin.namespaced {
			o.ID.Namespace = "" // the API server passes over it
		}
		if s.byID[o.ID] == nil {
			s.byID[o.ID] = o
		} else {
			s.twice = append(s.twice, o)
		}
	}
	s.sort()
	for _, e := range elsewhere {
		if s.elsewhere[e.ID] == nil {
			s.elsewhere[e.ID] = e
		}
	}
	return s
}

// sort puts the objects into lists by kind.
func (s *Set) sort() {
	s.byKind = make(map[schema.GroupKind]*[]*Object)
	for _, o := range s.objects {
		kind := schema.GroupKind{Group: o.ID.Group, Kind: o.ID.Kind}
		list := s.byKind[kind]
		if list == nil {
			list = new([]*Object)
			s.byKind[kind] = list
		}
		*list = append(*list, o)
	}
}

// parts returns the objects in sets of at most n, which know nothing of each
// other nor of what exists elsewhere.
func (s *Set) parts(n int) []*Set {
	var all []*Set
	pods := s.allPods()
	for objects := range slices.Chunk(s.objects, n) {
		part := &Set{objects: objects}
		part.sort()
		end := 0
		for end < len(pods) && pods[end].of.index <= objects[len(objects)-1].index {
			end++
		}
		part.podsOnce.Do(func() { part.pods, pods = pods[:end], pods[end:] })
		all = append(all, part)
	}
	return all
}

// Objects returns all objects, in the order in which they are applied.
func (s *Set) Objects() []*Object { return s.objects }

// Kind returns the objects of a kind, in the same order. The group is empty
// for the core group.
func (s *Set) Kind(group, kind string) []*Object {
	if list := s.byKind[schema.GroupKind{Group: group, Kind: kind}]; list != nil {
		return *list
	}
	return nil
}

// Get returns the object of that identity, or nil. Where there are several,
// it is the first.
func (s *Set) Get(id object.ID) *Object { return s.byID[id] }

// Elsewhere returns what is known of an object that is not under check, or
// nil.
func (s *Set) Elsewhere(id object.ID) *Elsewhere { return s.elsewhere[id] }

// As returns an object as the Go type of its kind: itself where it has that
// type, and converted where it is unstructured. It is nil where the object is
// neither, or does not fit into the type.
func As[T object.Object](o *Object) T {
	var none T
	if typed, ok := o.Object.(T); ok {
		return typed
	}
	o.once.Do(func() { o.typed = convert(o.Object, reflect.TypeFor[T]()) })
	typed, ok := o.typed.(T)
	if !ok {
		return none
	}
	return typed
}

// convert returns an object in another Go type, by way of its JSON form, and
// nil where it does not fit. What the type does not know is left out.
func convert(o object.Object, to reflect.Type) object.Object {
	fields, err := runtime.DefaultUnstructuredConverter.ToUnstructured(o)
	if err != nil {
		return nil
	}
	typed, ok := reflect.New(to.Elem()).Interface().(object.Object)
	if !ok || runtime.DefaultUnstructuredConverter.FromUnstructured(fields, typed) != nil {
		return nil
	}
	return typed
}

// fields returns an object in its JSON form, which is not to be changed. It is
// nil where the object has none.
func (o *Object) fields() map[string]any {
	if u, ok := o.Object.(*unstructured.Unstructured); ok {
		return u.Object
	}
	o.fieldsOnce.Do(func() {
		if fields, err := runtime.DefaultUnstructuredConverter.ToUnstructured(o.Object); err == nil {
			o.asFields = fields
		}
	})
	return o.asFields
}

// sortedKeys returns the keys of maps, each once.
func sortedKeys[K ~string, V any](maps ...map[K]V) []K {
	var keys []K
	for _, m := range maps {
		for k := range m {
			keys = append(keys, k)
		}
	}
	slices.Sort(keys)
	return slices.Compact(keys)
}

// Declare returns the declaration of an object. Where a ConfigMap or Secret has
// data, it has those keys and no others; where a Service has ports, likewise.
// What makes pods has their labels.
func Declare(o object.Object) Elsewhere {
	e := Elsewhere{ID: object.IDOf(o)}
	under := &Object{Object: o, ID: e.ID}
	if p := podsOf(under); p != nil {
		e.Labels = p.labels
	}
	switch {
	case e.ID.Group != "":
	case e.ID.Kind == "ConfigMap":
		if m := As[*corev1.ConfigMap](under); m != nil && len(m.Data)+len(m.BinaryData) > 0 {
			e.Keys = append(sortedKeys(m.Data), sortedKeys(m.BinaryData)...)
		}
	case e.ID.Kind == "Secret":
		if s := As[*corev1.Secret](under); s != nil && len(s.Data)+len(s.StringData) > 0 {
			e.Keys = append(sortedKeys(s.Data), sortedKeys(s.StringData)...)
		}
	case e.ID.Kind == "Service":
		if s := As[*corev1.Service](under); s != nil {
			e.Ports = s.Spec.Ports
		}
	}
	return e
}
