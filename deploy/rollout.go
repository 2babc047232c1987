package deploy

import (
	"context"
	"slices"
	"strings"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"

	"git.lastcloud.io/ronnibaslund/dezky/fleet/render/object"
	"git.lastcloud.io/ronnibaslund/dezky/fleet/render/plan/order"
)

// rollout is a release while it changes the cluster.
type rollout struct {
	*Deployer
	c       *cluster
	inv     inventory
	changes []objectChange
	left    []leftover
	// moved are the Services whose old ports may still be asked for, and
	// bridges stand in for the endpoints of those that cannot have both.
	moved   []string
	bridges []leftover
}

// carryOut changes the cluster.
func (d *Deployer) carryOut(ctx context.Context, c *cluster, record Record, inv inventory, changes []objectChange, left []leftover) error {
	r := &rollout{Deployer: d, c: c, inv: inv, changes: changes, left: left}
	if err := r.begin(ctx, record); err != nil {
		return err
	}
	stages, err := r.stages(ctx)
	if err != nil {
		return err
	}
	var grown []string // Services that got ports beside their own
	retired := false
	for _, stage := range stages {
		services := r.servicesOf(stage)
		switch stage.Name {
		case order.Workloads:
			if d.Adopt { // a policy that goes may close the pods that come
				err = r.prune(ctx, func(l leftover) bool { return l.id.Kind == "NetworkPolicy" })
			}
		case order.Traffic:
			if len(grown) > 0 {
				err = d.pause(ctx, "everybody knows the new ports of "+strings.Join(grown, ", "))
			}
		case order.Closes:
			retired = true
			r.moved = append(r.moved, services...)
			err = r.retire(ctx)
		default:
			grown = append(grown, services...)
		}
		if err != nil {
			return err
		}
		if err := r.apply(ctx, stage); err != nil {
			return err
		}
	}
	if !retired {
		if err := r.retire(ctx); err != nil {
			return err
		}
	}
	if err := r.prune(ctx, func(l leftover) bool { return l.key.GroupKind != kindReplicaSet }); err != nil {
		return err
	}
	if err := r.end(ctx); err != nil {
		return err
	}
	for _, note := range d.certificates(ctx, c, changes) {
		d.printf("note: %s\n", note)
	}
	return nil
}

// begin writes down what was and what will be before anything changes, so that
// nothing is lost when the release is interrupted.
func (r *rollout) begin(ctx context.Context, record Record) error {
	r.inv.tree = record.Tree
	for _, l := range r.left {
		if l.forget {
			delete(r.inv.objects, l.key)
		}
	}
	for _, change := range r.changes {
		r.inv.objects[keyOf(change.ID)] = ""
		if change.live != nil {
			r.inv.objects[keyOf(change.ID)] = change.live.GetUID()
		}
	}
	if err := r.save(ctx, r.c, record); err != nil {
		return err
	}
	return r.saveInventory(ctx, r.c, r.inv)
}

// stages are the steps of the release in their order.
func (r *rollout) stages(ctx context.Context) ([]order.Stage, error) {
	pods, err := r.c.pods(ctx, r.changes)
	if err != nil {
		return nil, err
	}
	ordered := make([]order.Change, len(r.changes))
	for i, change := range r.changes {
		ordered[i] = order.Change{ID: change.ID, Was: change.live, Is: change.object}
		// The old pods call the new ones, and no policy lets them in: what
		// isolates the new ones comes when the old ones are gone.
		labels, ok, _ := unstructured.NestedStringMap(change.object.Object, "spec", "template", "metadata", "labels")
		if ok && r.Adopt {
			pods[change.ID.Namespace] = append(pods[change.ID.Namespace], labels)
		}
	}
	return order.Of(ordered, pods), nil
}

// change is what happens to an object.
func (r *rollout) change(id object.ID) objectChange {
	return r.changes[slices.IndexFunc(r.changes, func(c objectChange) bool { return c.ID == id })]
}

// servicesOf are the Services of a stage that were there before.
func (r *rollout) servicesOf(stage order.Stage) []string {
	var names []string
	for _, step := range stage.Steps {
		if step.ID.Group == "" && step.ID.Kind == "Service" && r.change(step.ID).live != nil {
			names = append(names, step.ID.String())
		}
	}
	return names
}

// apply applies the objects of a stage, and waits until they are ready where
// the stage says so.
func (r *rollout) apply(ctx context.Context, stage order.Stage) error {
	r.printf("applying %s: %s\n", stage.Name, count(len(stage.Steps), "object"))
	var wait []object.ID
	for _, step := range stage.Steps {
		change := r.change(step.ID)
		if change.Action == actionReplace {
			r.printf("replacing %s\n", step.ID)
			if err := r.makeWay(ctx, change); err != nil {
				return err
			}
		}
		if r.Adopt && stage.Name == order.Traffic {
			if err := r.bridge(ctx, change); err != nil {
				return err
			}
		}
		if err := r.c.apply(ctx, step.Object); err != nil {
			if ctx.Err() != nil {
				return context.Cause(ctx)
			}
			return refusals(step.ID, err)
		}
		if order.IsWorkload(step.ID) || step.ID.Kind == "CustomResourceDefinition" {
			wait = append(wait, step.ID)
		}
	}
	if !stage.Wait || len(wait) == 0 {
		return nil
	}
	r.printf("waiting for %s\n", count(len(wait), "object"))
	return r.wait(ctx, r.c, wait)
}

// prune deletes the leftovers of which the function says so.
func (r *rollout) prune(ctx context.Context, which func(leftover) bool) error {
	for i := range r.left {
		if which(r.left[i]) {
			if err := r.remove(ctx, &r.left[i]); err != nil {
				return err
			}
		}
	}
	return nil
}

// remove deletes a leftover, unless it stays. One that is not in the inventory
// any more is gone already.
func (r *rollout) remove(ctx context.Context, l *leftover) error {
	if _, there := r.inv.objects[l.key]; !there || l.stays != "" {
		return nil
	}
	gone, err := r.c.remove(ctx, l)
	if err != nil {
		return err
	}
	if gone {
		delete(r.inv.objects, l.key)
	}
	if l.stays != "" {
		r.printf("stays   %s: %s\n", l.id, l.stays)
		return nil
	}
	r.printf("deleted %s\n", l.id)
	return nil
}

// pause waits for what nothing in the cluster shows: whoever sends requests has
// a list of endpoints of its own, and follows the cluster's after a while.
func (d *Deployer) pause(ctx context.Context, until string) error {
	d.printf("waiting %s until %s\n", d.Drain, until)
	select {
	case <-ctx.Done():
		return context.Cause(ctx)
	case <-time.After(d.Drain):
		return nil
	}
}

// end writes down what is there now.
func (r *rollout) end(ctx context.Context) error {
	for _, change := range r.changes {
		live, err := r.c.get(ctx, change.object)
		if err != nil {
			return err
		}
		if live != nil {
			r.inv.objects[keyOf(change.ID)] = live.GetUID()
		}
	}
	return r.saveInventory(ctx, r.c, r.inv)
}

// pods are the labels of the pods that run, where a NetworkPolicy is new.
func (c *cluster) pods(ctx context.Context, changes []objectChange) (map[string][]map[string]string, error) {
	found := map[string][]map[string]string{}
	for _, change := range changes {
		namespace := change.ID.Namespace
		if _, ok := found[namespace]; ok || change.ID.Kind != "NetworkPolicy" || change.live != nil {
			continue
		}
		list, err := c.typed.CoreV1().Pods(namespace).List(ctx, metav1.ListOptions{})
		if err != nil {
			return nil, err
		}
		found[namespace] = nil
		for _, pod := range list.Items {
			if !podEnded(pod) {
				found[namespace] = append(found[namespace], pod.Labels)
			}
		}
	}
	return found, nil
}

// podEnded reports whether a pod runs no more.
func podEnded(p corev1.Pod) bool {
	return p.Status.Phase == corev1.PodSucceeded || p.Status.Phase == corev1.PodFailed
}
