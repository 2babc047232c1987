package deploy

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"git.lastcloud.io/ronnibaslund/dezky/fleet/render"
	"git.lastcloud.io/ronnibaslund/dezky/fleet/render/object"
	"git.lastcloud.io/ronnibaslund/dezky/fleet/render/plan"
	"git.lastcloud.io/ronnibaslund/dezky/fleet/render/plan/apischema"
	"git.lastcloud.io/ronnibaslund/dezky/fleet/render/plan/live"
)

// Live reads what runs of a Tree, for [plan.Command.Live]: the objects that it
// renders, and those that its releases applied, as the inventory of each layer
// says. Of a layer without an inventory it takes what has the label of the Tree
// in the namespaces and of the kinds that are rendered, but for what another
// object owns, since controllers copy labels. Of Secrets it reads the metadata.
// What only the server or another manager set is left out; see [live.Applied].
// The notes say what may not be read.
func Live(ctx context.Context, of plan.Cluster) (objects []*unstructured.Unstructured, notes []string, err error) {
	config, err := access(arguments{context: of.Context, kubeconfig: of.Kubeconfig})
	if err != nil {
		return nil, nil, err
	}
	found := make(map[object.ID]*unstructured.Unstructured)
	for _, layer := range of.Tree.Layers {
		rendered := of.Rendered[layer.Name]
		if len(rendered) == 0 {
			continue
		}
		c, err := connect(config, layer.Name)
		if err != nil {
			return nil, nil, fmt.Errorf("the cluster cannot be reached: %w", err)
		}
		more, err := c.running(ctx, layer, of.Tree.ID, rendered, found)
		if err != nil {
			return nil, nil, err
		}
		notes = append(notes, more...)
	}
	for _, id := range slices.SortedFunc(maps.Keys(found), object.ID.Compare) {
		if found[id] != nil {
			objects = append(objects, found[id])
		}
	}
	return objects, notes, nil
}

// running adds what runs of a layer.
func (c *cluster) running(ctx context.Context, layer render.Layer, tree string, rendered []*unstructured.Unstructured, found map[object.ID]*unstructured.Unstructured) (notes []string, err error) {
	types := apischema.Types()
	ours := func(e metav1.ManagedFieldsEntry) bool {
		return len(layersOf([]metav1.ManagedFieldsEntry{e})) > 0 || ofKubectl(e)
	}
	add := func(o, rendered *unstructured.Unstructured) error {
		id := object.IDOf(o)
		if _, ok := found[id]; ok {
			return nil
		}
		now, err := c.get(ctx, o)
		switch {
		case apierrors.IsForbidden(err):
			notes = append(notes, fmt.Sprintf("%s may not be read, and is taken for new: %v", id, err))
			return nil
		case meta.IsNoMatchError(err), err == nil && now == nil:
			return nil
		case err != nil:
			return fmt.Errorf("%s: %w", id, err)
		}
		if rendered == nil && len(now.GetOwnerReferences()) > 0 {
			return nil
		}
		if found[id], err = live.Applied(now, rendered, ours, types); err != nil {
			return fmt.Errorf("%s: %w", id, err)
		}
		if isSecret(o) && rendered != nil { // of which nothing but metadata was read
			for field, value := range rendered.Object {
				if field != "metadata" {
					found[id].Object[field] = value
				}
			}
		}
		return nil
	}
	for _, o := range rendered {
		if err := add(o, o); err != nil {
			return notes, err
		}
	}
	d := &Deployer{Layer: layer.Name, Namespace: layer.Namespace}
	inv := inventory{}
	if layer.Namespace != "" {
		inv, err = d.loadInventory(ctx, c)
		switch forbidden := new(apierrors.StatusError); {
		case errors.As(err, &forbidden) && apierrors.IsForbidden(forbidden):
			return append(notes, fmt.Sprintf("layer %s: what is no longer rendered is not known: %v", layer.Name, err)), nil
		case err != nil:
			return notes, err
		}
	}
	if inv.tree != "" {
		for key := range inv.objects {
			mapping, err := c.client.RESTMapper().RESTMapping(key.GroupKind)
			if meta.IsNoMatchError(err) {
				continue
			}
			if err != nil {
				return notes, err
			}
			o := &unstructured.Unstructured{}
			o.SetGroupVersionKind(mapping.GroupVersionKind)
			o.SetNamespace(key.Namespace)
			o.SetName(key.Name)
			if err := add(o, nil); err != nil {
				return notes, err
			}
		}
		return notes, nil
	}
	if tree == "" {
		return notes, nil
	}
	type place struct {
		kind      schema.GroupVersionKind
		namespace string
	}
	seen := make(map[place]bool)
	for _, o := range rendered {
		at := place{o.GroupVersionKind(), o.GetNamespace()}
		if seen[at] {
			continue
		}
		seen[at] = true
		list := &metav1.PartialObjectMetadataList{}
		list.SetGroupVersionKind(at.kind)
		err := c.client.List(ctx, list, client.InNamespace(at.namespace), client.MatchingLabels{render.OwnerLabel: tree})
		switch {
		case apierrors.IsForbidden(err):
			notes = append(notes, fmt.Sprintf("layer %s: what is no longer rendered is not known: %v", layer.Name, err))
			continue
		case meta.IsNoMatchError(err):
			continue
		case err != nil:
			return notes, err
		}
		for _, item := range list.Items {
			one := &unstructured.Unstructured{}
			one.SetGroupVersionKind(at.kind)
			one.SetNamespace(item.Namespace)
			one.SetName(item.Name)
			if len(item.OwnerReferences) > 0 || slices.ContainsFunc(rendered, func(r *unstructured.Unstructured) bool { return object.IDOf(r) == object.IDOf(one) }) {
				continue
			}
			if err := add(one, nil); err != nil {
				return notes, err
			}
		}
	}
	return notes, nil
}
