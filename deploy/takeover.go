package deploy

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"slices"

	"github.com/fluxcd/pkg/ssa"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/structured-merge-diff/v6/fieldpath"
	"sigs.k8s.io/structured-merge-diff/v6/merge"
	"sigs.k8s.io/structured-merge-diff/v6/typed"

	"git.lastcloud.io/ronnibaslund/dezky/fleet/render/plan/apischema"
)

// takeOver makes the fields that kubectl applied to an object the layer's, and
// removes the annotation in which kubectl kept them. Nothing else changes.
func (c *cluster) takeOver(ctx context.Context, o *unstructured.Unstructured) error {
	partial := partialOf(o)
	if err := c.client.Get(ctx, client.ObjectKeyFromObject(o), partial); err != nil {
		return client.IgnoreNotFound(err)
	}
	if !slices.ContainsFunc(partial.ManagedFields, ofKubectl) {
		return nil
	}
	live := fromPartial(partial)
	patch, err := ssa.PatchReplaceFieldsManagers(live, kubectlManagers, c.manager)
	if err != nil {
		return err
	}
	patch = append(patch, ssa.PatchRemoveAnnotations(live, []string{corev1.LastAppliedConfigAnnotation})...)
	// Where somebody else changes the object meanwhile, this is a conflict.
	ops := []any{operation{Op: "replace", Path: "/metadata/resourceVersion", Value: partial.ResourceVersion}}
	for _, op := range patch {
		ops = append(ops, op)
	}
	data, err := json.Marshal(ops)
	if err != nil {
		return err
	}
	return c.client.Patch(ctx, partial, client.RawPatch(types.JSONPatchType, data), client.FieldOwner(c.manager))
}

// compareTakeOver asks the server what a live object becomes once the fields
// that kubectl applied are the layer's and the layer has applied its own. One
// request cannot do both, and by the second alone a probe of kubectl's would
// stand beside the new one and be refused. So the result is made here, by the
// library with which the server makes it, and the server is asked about that.
func (c *cluster) compareTakeOver(ctx context.Context, live, o *unstructured.Unstructured) (*unstructured.Unstructured, error) {
	after, err := takenOver(live, o, c.manager)
	if err != nil {
		return nil, err
	}
	patch, err := json.Marshal(patchOf(live, after))
	if err != nil {
		return nil, err
	}
	would := live.DeepCopy()
	err = c.client.Patch(ctx, would, client.RawPatch(types.JSONPatchType, patch), client.DryRunAll, client.FieldOwner(c.manager))
	return would, err
}

// takenOver returns a live object after the manager, with what it and kubectl
// applied before, has applied another one. Fields that the server or other
// managers set stay.
func takenOver(live, o *unstructured.Unstructured, manager string) (*unstructured.Unstructured, error) {
	version := fieldpath.APIVersion(live.GetAPIVersion())
	ours, managers := fieldpath.NewSet(), fieldpath.ManagedFields{}
	for i, entry := range live.GetManagedFields() {
		if entry.FieldsV1 == nil {
			continue
		}
		var set fieldpath.Set
		if err := set.FromJSON(entry.FieldsV1.GetRawReader()); err != nil {
			return nil, fmt.Errorf("managed fields of %s: %w", entry.Manager, err)
		}
		if ofKubectl(entry) || entry.Manager == manager && entry.Operation == metav1.ManagedFieldsOperationApply {
			ours = ours.Union(&set)
			continue
		}
		managers[fmt.Sprintf("%d %s", i, entry.Manager)] = fieldpath.NewVersionedSet(&set, version, entry.Operation == metav1.ManagedFieldsOperationApply)
	}
	managers[manager] = fieldpath.NewVersionedSet(ours, version, true)

	kind := typed.DeducedParseableType
	if t := apischema.Types()(live.GroupVersionKind()); t != nil {
		kind = typed.ParseableType{Schema: t.Schema, TypeRef: t.Ref}
	}
	was, err := kind.FromUnstructured(strip(live), typed.AllowDuplicates)
	if err != nil {
		return nil, err
	}
	is, err := kind.FromUnstructured(o.Object)
	if err != nil {
		return nil, err
	}
	updater := (&merge.UpdaterBuilder{Converter: oneVersion{}, ReturnInputOnNoop: true}).BuildUpdater()
	result, _, err := updater.Apply(was, is, version, managers, manager, true)
	if err != nil {
		return nil, err
	}
	fields, ok := result.AsValue().Unstructured().(map[string]any)
	if !ok {
		return nil, errors.New("what it becomes is no object")
	}
	return &unstructured.Unstructured{Object: fields}, nil
}

// oneVersion converts nothing: all objects are of the version that is applied.
type oneVersion struct{}

func (oneVersion) Convert(o *typed.TypedValue, _ fieldpath.APIVersion) (*typed.TypedValue, error) {
	return o, nil
}

func (oneVersion) IsMissingVersionError(error) bool { return false }

type operation struct {
	Op    string `json:"op"`
	Path  string `json:"path"`
	Value any    `json:"value,omitempty"`
}

// patchOf is the JSON patch that makes one object of another, as far as it is
// applied: the labels and annotations, and all but the metadata and the status.
func patchOf(live, after *unstructured.Unstructured) []operation {
	var patch []operation
	replace := func(path string, was, is map[string]any, names ...string) {
		for _, name := range names {
			_, had := was[name]
			value, has := is[name]
			switch {
			case has:
				patch = append(patch, operation{Op: "add", Path: path + name, Value: value})
			case had:
				patch = append(patch, operation{Op: "remove", Path: path + name})
			}
		}
	}
	metadata := func(o *unstructured.Unstructured) map[string]any {
		m, _ := o.Object["metadata"].(map[string]any)
		return m
	}
	replace("/metadata/", metadata(live), metadata(after), "labels", "annotations", "finalizers")
	names := maps.Clone(live.Object)
	maps.Copy(names, after.Object)
	for _, name := range []string{"apiVersion", "kind", "metadata", "status"} {
		delete(names, name)
	}
	replace("/", live.Object, after.Object, slices.Sorted(maps.Keys(names))...)
	return patch
}
