package e2e

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"math/rand/v2"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/rogpeppe/go-internal/txtar"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/dynamic"

	"git.lastcloud.io/ronnibaslund/dezky/fleet/apps"
	"git.lastcloud.io/ronnibaslund/dezky/fleet/render"
	"git.lastcloud.io/ronnibaslund/dezky/fleet/render/manifest"
	"git.lastcloud.io/ronnibaslund/dezky/fleet/render/object"
	"git.lastcloud.io/ronnibaslund/dezky/fleet/render/plan/consequence"
)

// of returns the client for an object.
func (s server) of(o *unstructured.Unstructured) (dynamic.ResourceInterface, error) {
	kind := o.GroupVersionKind()
	mapping, err := s.mapper.RESTMapping(kind.GroupKind(), kind.Version)
	if err != nil {
		return nil, err
	}
	if mapping.Scope.Name() == meta.RESTScopeNameNamespace {
		return s.client.Resource(mapping.Resource).Namespace(o.GetNamespace()), nil
	}
	return s.client.Resource(mapping.Resource), nil
}

// verdict is what the server says of a change: why it refuses it, or nothing.
// It reports false where the change cannot be tried: what was is refused by
// itself, or what is would be on an empty cluster too, for whatever reason.
// Classes are the StorageClasses beside it, by name.
func (s server) verdict(t *testing.T, was, is *unstructured.Unstructured, classes map[string]*unstructured.Unstructured, number int) (said string, tried bool) {
	t.Helper()
	was, is = place(was, number), place(is, number)
	client, err := s.of(was)
	if err != nil {
		return "", false
	}
	ctx := context.Background()
	if ns := was.GetNamespace(); ns != "" {
		namespace := &unstructured.Unstructured{Object: map[string]any{"apiVersion": "v1", "kind": "Namespace", "metadata": map[string]any{"name": ns}}}
		c, _ := s.of(namespace)
		if _, err := c.Create(ctx, namespace, metav1.CreateOptions{}); err != nil && !apierrors.IsAlreadyExists(err) {
			t.Fatal(err)
		}
	}
	dry := []string{metav1.DryRunAll}
	fresh := is.DeepCopy()
	if fresh.GetKind() != "CustomResourceDefinition" {
		fresh.SetName(fresh.GetName() + "-fresh")
	}
	if _, err := client.Create(ctx, fresh, metav1.CreateOptions{DryRun: dry, FieldValidation: metav1.FieldValidationStrict}); err != nil {
		return "", false
	}
	if class, _, _ := unstructured.NestedString(was.Object, "spec", "storageClassName"); class != "" && was.GetKind() == "PersistentVolumeClaim" {
		o := classes[class]
		if o == nil {
			// Whether a class lets its claims grow is not in the claim. That of
			// k3s does not.
			o = &unstructured.Unstructured{Object: map[string]any{
				"apiVersion": "storage.k8s.io/v1", "kind": "StorageClass", "metadata": map[string]any{"name": class},
				"provisioner": "example.com/p", "allowVolumeExpansion": class != "local-path",
			}}
		}
		c, _ := s.of(o)
		if _, err := c.Apply(ctx, class, o, metav1.ApplyOptions{FieldManager: "e2e", Force: true}); err != nil {
			t.Fatal(err)
		}
	}
	options := metav1.ApplyOptions{FieldManager: "e2e", Force: true}
	live, err := client.Apply(ctx, was.GetName(), was, options)
	if err != nil {
		return "", false
	}
	defer func() {
		background := metav1.DeletePropagationBackground
		client.Patch(ctx, was.GetName(), types.MergePatchType, []byte(`{"metadata":{"finalizers":null}}`), metav1.PatchOptions{})
		client.Delete(ctx, was.GetName(), metav1.DeleteOptions{PropagationPolicy: &background})
		for range 100 { // a definition goes in its own time
			if _, err := client.Get(ctx, was.GetName(), metav1.GetOptions{}); was.GetKind() != "CustomResourceDefinition" || apierrors.IsNotFound(err) {
				return
			}
			time.Sleep(50 * time.Millisecond)
		}
	}()
	if was.GetKind() == "PersistentVolumeClaim" { // as the controllers that are not here would
		unstructured.SetNestedField(live.Object, "Bound", "status", "phase")
		if capacity, ok, _ := unstructured.NestedFieldCopy(live.Object, "spec", "resources", "requests"); ok {
			unstructured.SetNestedField(live.Object, capacity, "status", "capacity")
		}
		if _, err := client.UpdateStatus(ctx, live, metav1.UpdateOptions{}); err != nil {
			t.Fatal(err)
		}
	}
	if was.GetKind() == "CustomResourceDefinition" {
		s.c.eventually("wait", "--for=condition=Established", "--timeout=10s", "customresourcedefinition/"+was.GetName())
	}
	options.DryRun = dry
	if _, err := client.Apply(ctx, is.GetName(), is, options); err != nil {
		return err.Error(), true
	}
	return "", true
}

// place gives an object a namespace, or a name, of its own.
func place(o *unstructured.Unstructured, number int) *unstructured.Unstructured {
	o = o.DeepCopy()
	switch {
	case o.GetNamespace() != "":
		o.SetNamespace(fmt.Sprintf("plan-%d", number))
	case o.GetKind() != "CustomResourceDefinition":
		o.SetName(fmt.Sprintf("%s-%d", o.GetName(), number))
	}
	return o
}

// refusedByServer reports whether a plan says that the API server refuses the
// change of the object, whoever applies it.
func refusedByServer(all []consequence.Consequence, id object.ID) bool {
	return slices.ContainsFunc(all, func(c consequence.Consequence) bool {
		return c.Severity == consequence.Refused && c.Object == id && c.Rule != "deployer-rights"
	})
}

func planned(o *unstructured.Unstructured) consequence.Object {
	return consequence.Object{ID: object.IDOf(o), Fields: o.Object}
}

func parse(t *testing.T, text []byte) []*unstructured.Unstructured {
	t.Helper()
	documents, err := manifest.Read(bytes.NewReader(text))
	if err != nil {
		t.Fatal(err)
	}
	var all []*unstructured.Unstructured
	for _, d := range documents {
		all = append(all, d.Object)
	}
	return all
}

// pairs are those of render/plan/consequence/testdata: by file and name, the
// objects before and after.
func pairs(t *testing.T) map[string]*[2][]*unstructured.Unstructured {
	t.Helper()
	paths, err := filepath.Glob("../render/plan/consequence/testdata/*.txtar")
	if err != nil || len(paths) == 0 {
		t.Fatalf("no pairs: %v", err)
	}
	all := make(map[string]*[2][]*unstructured.Unstructured)
	for _, path := range paths {
		archive, err := txtar.ParseFile(path)
		if err != nil {
			t.Fatal(err)
		}
		for _, f := range archive.Files {
			name, side, _ := strings.Cut(f.Name, "/")
			name = strings.TrimSuffix(filepath.Base(path), ".txtar") + "/" + name
			i := slices.IndexFunc([]string{"from", "to"}, func(s string) bool { return strings.HasPrefix(side, s) })
			if i < 0 {
				continue
			}
			if all[name] == nil {
				all[name] = new([2][]*unstructured.Unstructured)
			}
			all[name][i] = append(all[name][i], parse(t, f.Data)...)
		}
	}
	return all
}

// untriable are the pairs whose change cannot be told from an object that is
// refused by itself, and why.
var untriable = map[string]string{
	"refused/definition-group":  "a definition is named PLURAL.GROUP",
	"refused/definition-plural": "a definition is named PLURAL.GROUP",
	"refused/service-family":    "a server of one family takes no other",
	"refused/template-labels":   "the object is refused on an empty cluster too",
}

// unknown are the pairs of which the plan says nothing, since what the server
// says depends on what is not in the manifests.
var unknown = map[string]string{
	"silent/claim-of-the-default-class": "whether there is a default class, and whether it lets claims grow",
}

// TestPlanPairs: what the plan says is refused is refused by the API server,
// and what it says nothing of is taken, over all pairs of its own tests.
func TestPlanPairs(t *testing.T) {
	t.Parallel()
	s := newServer(t)
	all := pairs(t)
	tried, refused, untried := 0, 0, 0
	for number, name := range slices.Sorted(maps.Keys(all)) {
		pair := all[name]
		var was, is []consequence.Object
		now := make(map[object.ID]*unstructured.Unstructured)
		classes := make(map[string]*unstructured.Unstructured)
		for _, o := range pair[0] {
			was = append(was, planned(o))
		}
		for _, o := range pair[1] {
			is = append(is, planned(o))
			now[object.IDOf(o)] = o
			if o.GetKind() == "StorageClass" {
				classes[o.GetName()] = o
			}
		}
		if unknown[name] != "" {
			continue
		}
		found := consequence.Of(was, is)
		for _, o := range pair[0] {
			id := object.IDOf(o)
			to := now[id]
			if to == nil {
				continue
			}
			said, ok := s.verdict(t, o, to, classes, number)
			if !ok {
				untried++
				if refusedByServer(found, id) && untriable[name] == "" {
					t.Errorf("%s: %s: the plan says that it is refused, and that cannot be tried", name, id)
				}
				continue
			}
			tried++
			if said != "" {
				refused++
			}
			if by := refusedByServer(found, id); by != (said != "") {
				t.Errorf("%s: %s: the plan says refused: %v; the server says: %q", name, id, by, said)
			}
		}
	}
	t.Logf("%d objects of %d pairs were tried, %d refused; %d cannot be by themselves", tried, len(all), refused, untried)
	if tried < 100 || refused < 30 {
		t.Error("too few were tried")
	}
}

// TestPlanRandom: the same for random changes of single fields of objects, of
// which most are taken.
func TestPlanRandom(t *testing.T) {
	t.Parallel()
	s := newServer(t)
	var objects []*unstructured.Unstructured
	tree, err := apps.Tree(apps.Environments().Names()[0], render.Images{})
	if err != nil {
		t.Fatal(err)
	}
	files, _, err := tree.Files()
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range files {
		if strings.HasSuffix(f.Path, ".yaml") && !strings.HasPrefix(f.Path, "secrets/") {
			objects = append(objects, parse(t, f.Data)...)
		}
	}
	all := pairs(t)
	for _, name := range slices.Sorted(maps.Keys(all)) {
		if strings.HasPrefix(name, "refused/") {
			objects = append(objects, all[name][0]...)
		}
	}
	random := rand.New(rand.NewPCG(14, 14))
	tried, refused := 0, 0
	for number := 0; tried < 500 && number < 5000; number++ {
		was := objects[random.IntN(len(objects))]
		is := was.DeepCopy()
		what := mutate(random, is)
		if what == "" || reflect.DeepEqual(was.Object, is.Object) || object.IDOf(was) != object.IDOf(is) {
			continue
		}
		said, ok := s.verdict(t, was, is, nil, 10_000+number)
		if !ok {
			continue
		}
		tried++
		if said != "" {
			refused++
		}
		found := consequence.Of([]consequence.Object{planned(was)}, []consequence.Object{planned(is)})
		if by := refusedByServer(found, object.IDOf(was)); by != (said != "") {
			t.Errorf("%s: %s: the plan says refused: %v; the server says: %q", object.IDOf(was), what, by, said)
		}
	}
	t.Logf("%d changes were tried, %d refused", tried, refused)
	if tried < 300 || refused < 20 {
		t.Error("too few were tried")
	}
}

// mutate changes one field below the spec or beside it, and says which.
func mutate(random *rand.Rand, o *unstructured.Unstructured) string {
	type leaf struct {
		path string
		set  func(any)
		drop func()
		v    any
	}
	var leaves []leaf
	var walk func(path string, v any, set func(any), drop func())
	walk = func(path string, v any, set func(any), drop func()) {
		switch v := v.(type) {
		case map[string]any:
			for _, k := range slices.Sorted(maps.Keys(v)) {
				if path == "" && slices.Contains([]string{"apiVersion", "kind"}, k) || path == "metadata" && (k == "name" || k == "namespace") {
					continue
				}
				walk(strings.TrimPrefix(path+"."+k, "."), v[k], func(n any) { v[k] = n }, func() {
					if len(v) > 1 { // nothing that is rendered is empty
						delete(v, k)
					}
				})
			}
		case []any:
			for i := range v {
				walk(fmt.Sprintf("%s[%d]", path, i), v[i], func(n any) { v[i] = n }, func() { set(slices.Delete(slices.Clone(v), i, i+1)) })
			}
		}
		if path != "" && path != "metadata" && path != "spec" {
			leaves = append(leaves, leaf{path, set, drop, v})
		}
	}
	walk("", o.Object, nil, nil)
	if len(leaves) == 0 {
		return ""
	}
	l := leaves[random.IntN(len(leaves))]
	was, _ := json.Marshal(l.v)
	if random.IntN(3) == 0 {
		l.drop()
		return l.path + " goes: " + string(was)
	}
	switch v := l.v.(type) {
	case string:
		l.set(v + "x")
	case int64:
		l.set(v + 1)
	case bool:
		l.set(!v)
	default:
		return ""
	}
	return l.path + " is another: " + string(was)
}
