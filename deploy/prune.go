package deploy

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"

	kstatus "github.com/fluxcd/cli-utils/pkg/object"

	"git.lastcloud.io/ronnibaslund/dezky/fleet/render/object"
	"git.lastcloud.io/ronnibaslund/dezky/fleet/render/plan/order"
)

// neverPruned are kinds that hold what cannot be made again. What a release no
// longer renders of them stays, and is listed.
var neverPruned = []string{"Namespace", "CustomResourceDefinition", "PersistentVolume", "PersistentVolumeClaim", "StorageClass", "Secret"}

// leftover is an object that an earlier release applied and this one does not
// render.
type leftover struct {
	id  object.ID
	key kstatus.ObjMetadata
	// stays says why it is not deleted. Empty for one that goes.
	stays string
	// forget it: it is gone, or somebody else's now.
	forget bool

	live *metav1.PartialObjectMetadata
}

// keyOf is the identity as the inventory writes it.
func keyOf(id object.ID) kstatus.ObjMetadata {
	key := kstatus.ObjMetadata{Namespace: id.Namespace, Name: id.Name}
	key.GroupKind.Group, key.GroupKind.Kind = id.Group, id.Kind
	return key
}

func idOf(key kstatus.ObjMetadata) object.ID {
	return object.ID{Group: key.GroupKind.Group, Kind: key.GroupKind.Kind, Namespace: key.Namespace, Name: key.Name}
}

// leftovers are what the inventory has and the release does not, in the order
// in which they go: what sends traffic first, what pods need last.
func (c *cluster) leftovers(ctx context.Context, inv inventory, rendered, elsewhere map[object.ID]bool) ([]leftover, error) {
	var all []leftover
	for key, uid := range inv.objects {
		id := idOf(key)
		if rendered[id] {
			continue
		}
		l := leftover{id: id, key: key}
		if elsewhere[id] {
			l.stays, l.forget = "another layer renders it now", true
			all = append(all, l)
			continue
		}
		if err := c.judge(ctx, &l, uid); err != nil {
			return nil, err
		}
		all = append(all, l)
	}
	slices.SortFunc(all, func(a, b leftover) int {
		return cmp.Or(order.Compare(b.id, a.id), a.id.Compare(b.id))
	})
	return all, nil
}

// Why a leftover stays whose kind the deployer's Role no longer has.
const (
	notReadable  = "may not be read: an admin removes it, if it is to go"
	notDeletable = "may not be deleted with these rights: an admin removes it"
)

// judge decides what becomes of a leftover, by what is live.
func (c *cluster) judge(ctx context.Context, l *leftover, uid types.UID) error {
	mapping, err := c.client.RESTMapper().RESTMapping(l.key.GroupKind)
	if meta.IsNoMatchError(err) {
		l.forget = true // its definition is gone, and the object with it
		return nil
	}
	if err != nil {
		return err
	}
	live := &metav1.PartialObjectMetadata{}
	live.SetGroupVersionKind(mapping.GroupVersionKind)
	err = c.client.Get(ctx, client.ObjectKey{Namespace: l.id.Namespace, Name: l.id.Name}, live)
	switch {
	case apierrors.IsNotFound(err):
		l.forget = true
		return nil
	case apierrors.IsForbidden(err):
		l.stays = notReadable
		return nil
	case err != nil:
		return fmt.Errorf("%s: %w", l.id, err)
	}
	l.live = live
	ours, others := false, ""
	for _, manager := range layersOf(live.ManagedFields) {
		if manager == c.manager {
			ours = true
		} else {
			others = strings.TrimPrefix(manager, managerPrefix)
		}
	}
	switch {
	case others != "":
		l.stays, l.forget = "the layer "+others+" applied it too", true
	case !ours, uid != "" && uid != live.UID:
		l.stays, l.forget = "it is not the one that a release applied", true
	case slices.Contains(neverPruned, l.id.Kind):
		l.stays = "a release removes no " + l.id.Kind
	case optsOut(live.Annotations) != "":
		l.stays = "its annotation " + optsOut(live.Annotations) + " says so"
	case l.key.GroupKind == kindReplicaSet:
		return c.judgeReplicaSet(ctx, l)
	case l.id.Kind == "StatefulSet":
		return c.judgeStatefulSet(ctx, l)
	case l.key.GroupKind == (schema.GroupKind{Group: "batch", Kind: "Job"}):
		return c.judgeJob(ctx, l)
	}
	return nil
}

// judgeJob keeps one that has ended: it takes no room, its log tells what it
// did, and a release that renders it again must not run it again.
func (c *cluster) judgeJob(ctx context.Context, l *leftover) error {
	full := &unstructured.Unstructured{}
	full.SetGroupVersionKind(l.live.GroupVersionKind())
	if err := c.client.Get(ctx, client.ObjectKeyFromObject(l.live), full); err != nil {
		return fmt.Errorf("%s: %w", l.id, err)
	}
	if jobEnded(full) {
		l.stays, l.forget = "it has ended, and its log is kept", true
	}
	return nil
}

// optsOut is the annotation with which other tools are told to leave an object
// alone. Empty where it has none.
func optsOut(annotations map[string]string) string {
	for _, o := range [][2]string{
		{"helm.sh/resource-policy", "keep"},
		{"kustomize.toolkit.fluxcd.io/prune", "disabled"},
		{"client.lifecycle.config.k8s.io/deletion", "detach"},
		{"kapp.k14s.io/delete-strategy", "orphan"},
	} {
		if annotations[o[0]] == o[1] {
			return o[0]
		}
	}
	return ""
}

// judgeStatefulSet keeps one whose volume claims would go with it.
func (c *cluster) judgeStatefulSet(ctx context.Context, l *leftover) error {
	full := &unstructured.Unstructured{}
	full.SetGroupVersionKind(l.live.GroupVersionKind())
	if err := c.client.Get(ctx, client.ObjectKeyFromObject(l.live), full); err != nil {
		return fmt.Errorf("%s: %w", l.id, err)
	}
	if when, _, _ := unstructured.NestedString(full.Object, "spec", "persistentVolumeClaimRetentionPolicy", "whenDeleted"); when == "Delete" {
		l.stays = "its volume claims would be deleted with it"
	}
	return nil
}

// tooMany refuses to delete more than half of what releases applied: that is
// rather a rendering gone wrong than a wish. The ReplicaSets that an adoption
// left do not count.
func tooMany(all []leftover, inv inventory) error {
	n := 0
	for _, l := range all {
		if l.stays == "" && !l.forget && l.key.GroupKind != kindReplicaSet {
			n++
		}
	}
	if n*2 <= len(inv.objects) {
		return nil
	}
	return fmt.Errorf("%d of the %d objects that releases applied would be deleted: if that is meant, say -prune-most", n, len(inv.objects))
}

// remove deletes a leftover, and reports whether it is gone. One that may not
// be deleted stays, with the reason in words.
func (c *cluster) remove(ctx context.Context, l *leftover) (bool, error) {
	background := metav1.DeletePropagationBackground
	err := c.client.Delete(ctx, l.live, client.PropagationPolicy(background), client.Preconditions{UID: &l.live.UID})
	switch {
	case err == nil, apierrors.IsNotFound(err):
		return true, nil
	case apierrors.IsForbidden(err):
		l.stays = notDeletable
		return false, nil
	case apierrors.IsConflict(err):
		l.stays = "it was made anew meanwhile"
		return true, nil
	}
	return false, errors.Join(fmt.Errorf("%s cannot be deleted", l.id), err)
}
