package consequence

import (
	"fmt"
	"maps"
	"path"
	"reflect"
	"slices"
	"strings"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"

	"git.lastcloud.io/ronnibaslund/dezky/fleet/render/object"
)

// Object is an object of a set.
type Object struct {
	// ID of the object.
	ID object.ID
	// File that holds it, as a path with slashes. Objects of one folder are
	// applied by one hand.
	File string
	// Fields of the object as JSON has them. They are not changed.
	Fields map[string]any
}

// layer is the folder of the object's file.
func (o *Object) layer() string { return path.Dir(o.File) }

// set is the objects of one side.
type set struct {
	byID map[object.ID]*Object
	// ids in their order, and of each kind.
	ids    []object.ID
	byKind map[schema.GroupKind][]object.ID
	// workloads by their object, by namespace, and by a label of their pods.
	workloads map[object.ID]*workload
	in        map[string][]*workload
	labelled  map[label][]*workload
	// selectors of Services by the first of their labels.
	selectors map[label][]map[string]string
	// envs are the variables of workloads, read at first use.
	envs map[object.ID]*environment
	// read are the routers, read at first use.
	read []*router
}

type label struct{ namespace, key, value string }

func newSet(objects []Object) *set {
	s := &set{
		byID:      make(map[object.ID]*Object, len(objects)),
		byKind:    make(map[schema.GroupKind][]object.ID),
		workloads: make(map[object.ID]*workload),
		in:        make(map[string][]*workload),
		labelled:  make(map[label][]*workload),
		selectors: make(map[label][]map[string]string),
		envs:      make(map[object.ID]*environment),
	}
	for i := range objects {
		s.byID[objects[i].ID] = &objects[i]
	}
	s.ids = slices.SortedFunc(maps.Keys(s.byID), object.ID.Compare)
	for _, id := range s.ids {
		kind := schema.GroupKind{Group: id.Group, Kind: id.Kind}
		s.byKind[kind] = append(s.byKind[kind], id)
		if id.Group == "" && id.Kind == "Service" {
			if selector := texts(get(s.byID[id].Fields, "spec", "selector")); len(selector) > 0 {
				k := sorted(selector)[0]
				l := label{id.Namespace, k, selector[k]}
				s.selectors[l] = append(s.selectors[l], selector)
			}
		}
		w := workloadOf(s.byID[id])
		if w == nil {
			continue
		}
		s.workloads[id] = w
		s.in[id.Namespace] = append(s.in[id.Namespace], w)
		for k, v := range w.labels {
			l := label{id.Namespace, k, v}
			s.labelled[l] = append(s.labelled[l], w)
		}
	}
	return s
}

// kind calls do for each object of a kind, in their order.
func (s *set) kind(group, kind string, do func(*Object)) {
	for _, id := range s.byKind[schema.GroupKind{Group: group, Kind: kind}] {
		do(s.byID[id])
	}
}

// selected returns the workloads whose running pods have the labels. No labels
// select nothing.
func (s *set) selected(namespace string, selector map[string]string) []*workload {
	var candidates []*workload
	narrowed := false
	for k, v := range selector {
		if some := s.labelled[label{namespace, k, v}]; !narrowed || len(some) < len(candidates) {
			candidates, narrowed = some, true
		}
	}
	var all []*workload
	for _, w := range candidates {
		if w.replicas != 0 && labels.SelectorFromSet(selector).Matches(labels.Set(w.labels)) {
			all = append(all, w)
		}
	}
	slices.SortFunc(all, func(a, b *workload) int { return a.ID.Compare(b.ID) })
	return all
}

// workload is an object that makes pods that keep running.
type workload struct {
	*Object
	labels map[string]string
	// template of the pods, and its spec.
	template, spec map[string]any
	// replicas is the number of pods; one per node is below zero.
	replicas int
}

func workloadOf(o *Object) *workload {
	w := &workload{Object: o, replicas: 1}
	switch o.ID.Group + "/" + o.ID.Kind {
	case "apps/Deployment", "apps/StatefulSet", "apps/ReplicaSet":
		w.template = fields(o.Fields, "spec", "template")
		if n, ok := number(get(o.Fields, "spec", "replicas")); ok {
			w.replicas = n
		}
	case "apps/DaemonSet":
		w.template, w.replicas = fields(o.Fields, "spec", "template"), -1
	case "/Pod":
		w.template = o.Fields
	default:
		return nil
	}
	w.spec = fields(w.template, "spec")
	w.labels = texts(get(w.template, "metadata", "labels"))
	return w
}

// containers returns the containers with the path of each: init containers
// first.
func (w *workload) containers(do func(at string, c map[string]any)) {
	prefix := "spec.template.spec."
	if w.ID.Kind == "Pod" {
		prefix = "spec."
	}
	for _, key := range []string{"initContainers", "containers"} {
		for _, c := range list(w.spec[key]) {
			do(prefix+key+"["+text(c, "name")+"]", c)
		}
	}
}

// port reports whether the pods have the port that a Service leads to, by name
// or number, and which number it is. A number counts as there where no
// container says its ports.
func (w *workload) port(target any) (n int, ok bool) {
	want, isNumber := number(target)
	declared := false
	w.containers(func(at string, c map[string]any) {
		for _, p := range list(c["ports"]) {
			declared = true
			has, _ := number(p["containerPort"])
			if isNumber && has == want || !isNumber && same(target, p["name"]) {
				n, ok = has, true
			}
		}
	})
	if isNumber && !declared {
		return want, true
	}
	return n, ok
}

// environment is the variables of a workload's containers, each with where its
// value comes from: "=" and the value, or the kind, name and key.
type environment struct {
	vars map[string]string
	// at are the paths of the variables.
	at map[string]string
	// complete reports that every source could be read.
	complete bool
}

func (s *set) environment(w *workload) *environment {
	if e := s.envs[w.ID]; e != nil {
		return e
	}
	e := &environment{vars: make(map[string]string), at: make(map[string]string), complete: true}
	s.envs[w.ID] = e
	w.containers(func(at string, c map[string]any) {
		for i, from := range list(c["envFrom"]) {
			for _, source := range []struct{ field, kind string }{{"configMapRef", "ConfigMap"}, {"secretRef", "Secret"}} {
				ref, ok := from[source.field].(map[string]any)
				if !ok {
					continue
				}
				o := s.byID[object.ID{Kind: source.kind, Namespace: w.ID.Namespace, Name: text(ref, "name")}]
				if o == nil {
					e.complete = e.complete && ref["optional"] == true
					continue
				}
				for key := range keysOf(o) {
					name := text(from, "prefix") + key
					e.vars[name] = s.value(w.ID.Namespace, source.kind, o.ID.Name, key)
					e.at[name] = fmt.Sprintf("%s.envFrom[%d]", at, i)
				}
			}
		}
		for _, v := range list(c["env"]) {
			name := text(v, "name")
			e.at[name] = at + ".env[" + name + "]"
			switch {
			case v["valueFrom"] == nil:
				e.vars[name] = "=" + text(v, "value")
			case get(v, "valueFrom", "secretKeyRef") != nil:
				ref := fields(v, "valueFrom", "secretKeyRef")
				e.vars[name] = s.value(w.ID.Namespace, "Secret", text(ref, "name"), text(ref, "key"))
			case get(v, "valueFrom", "configMapKeyRef") != nil:
				ref := fields(v, "valueFrom", "configMapKeyRef")
				e.vars[name] = s.value(w.ID.Namespace, "ConfigMap", text(ref, "name"), text(ref, "key"))
			default:
				e.vars[name] = fmt.Sprint(v["valueFrom"])
			}
		}
	})
	return e
}

// value is where a value comes from: of a ConfigMap the value itself, of a
// Secret its name and key only.
func (s *set) value(namespace, kind, name, key string) string {
	if kind == "ConfigMap" {
		if o := s.byID[object.ID{Kind: kind, Namespace: namespace, Name: name}]; o != nil {
			if v, ok := fields(o.Fields, "data")[key].(string); ok {
				return "=" + v
			}
		}
	}
	return kind + " " + name + " " + key
}

// keysOf returns the keys of a ConfigMap or Secret.
func keysOf(o *Object) map[string]bool {
	keys := make(map[string]bool)
	if o == nil {
		return keys
	}
	for _, field := range []string{"data", "binaryData", "stringData"} {
		for k := range fields(o.Fields, field) {
			keys[k] = true
		}
	}
	return keys
}

// get returns a field, or nil.
func get(from map[string]any, path ...string) any { return object.Field(from, path...) }

// fields returns a field that is an object, or nil.
func fields(from map[string]any, path ...string) map[string]any {
	m, _ := get(from, path...).(map[string]any)
	return m
}

// text returns a field that is a text, or an empty one.
func text(from map[string]any, path ...string) string {
	s, _ := get(from, path...).(string)
	return s
}

// list returns the elements of a list that are objects.
func list(value any) []map[string]any {
	all, _ := value.([]any)
	var objects []map[string]any
	for _, v := range all {
		if m, ok := v.(map[string]any); ok {
			objects = append(objects, m)
		}
	}
	return objects
}

// strs returns the elements of a list that are texts.
func strs(value any) []string {
	all, _ := value.([]any)
	var texts []string
	for _, v := range all {
		if s, ok := v.(string); ok {
			texts = append(texts, s)
		}
	}
	return texts
}

// texts returns an object whose values are texts, such as labels.
func texts(value any) map[string]string {
	m, _ := value.(map[string]any)
	all := make(map[string]string, len(m))
	for k, v := range m {
		if s, ok := v.(string); ok {
			all[k] = s
		}
	}
	return all
}

func number(value any) (int, bool) {
	switch n := value.(type) {
	case int64:
		return int(n), true
	case float64:
		return int(n), n == float64(int(n))
	case int:
		return n, true
	}
	return 0, false
}

// or returns a field, or its default where it is not set.
func or(value, otherwise any) any {
	if value == nil {
		return otherwise
	}
	return value
}

// same reports whether two values are the same. What is empty is not set.
func same(a, b any) bool {
	if empty(a) && empty(b) {
		return true
	}
	if m, ok := number(a); ok {
		if n, ok := number(b); ok {
			return m == n
		}
	}
	return reflect.DeepEqual(a, b)
}

func empty(v any) bool {
	switch v := v.(type) {
	case nil:
		return true
	case map[string]any:
		return len(v) == 0
	case []any:
		return len(v) == 0
	case string:
		return v == ""
	}
	return false
}

// without returns a shallow copy of an object without some of its fields.
func without(m map[string]any, keys ...string) map[string]any {
	m = maps.Clone(m)
	for _, k := range keys {
		delete(m, k)
	}
	return m
}

// into reads a field into a struct of the API, as far as it can be read: the
// API server refuses the rest.
func into[T any](from map[string]any, path ...string) *T {
	value := new(T)
	if m := fields(from, path...); m != nil {
		_ = runtime.DefaultUnstructuredConverter.FromUnstructured(m, value)
	}
	return value
}

// selector reads a LabelSelector. It is nil where there is none, or it cannot
// be read.
func selector(value any) labels.Selector {
	m, ok := value.(map[string]any)
	if !ok {
		return nil
	}
	var s metav1.LabelSelector
	if runtime.DefaultUnstructuredConverter.FromUnstructured(m, &s) != nil {
		return nil
	}
	selector, err := metav1.LabelSelectorAsSelector(&s)
	if err != nil {
		return nil
	}
	return selector
}

// sorted returns the keys of a map in their order.
func sorted[V any](m map[string]V) []string { return slices.Sorted(maps.Keys(m)) }

// pairs are labels as people write them.
func pairs(m map[string]string) string {
	var all []string
	for _, k := range sorted(m) {
		all = append(all, k+"="+m[k])
	}
	return strings.Join(all, ",")
}

// count is a number and its noun.
func count(n int, one, many string) string {
	if n == 1 {
		return "1 " + one
	}
	return fmt.Sprintf("%d %s", n, many)
}
