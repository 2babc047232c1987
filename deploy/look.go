package deploy

import (
	"context"
	"fmt"
	"slices"
	"strings"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/meta"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"

	"git.lastcloud.io/ronnibaslund/dezky/fleet/render/diff"
	"git.lastcloud.io/ronnibaslund/dezky/fleet/render/object"
	"git.lastcloud.io/ronnibaslund/dezky/fleet/render/plan/order"
)

// look asks the server about each object. The error has everything that it
// refuses.
func (c *cluster) look(ctx context.Context, objects []*unstructured.Unstructured, adopt bool) ([]objectChange, error) {
	coming := map[object.ID]bool{}
	for _, o := range objects {
		coming[object.IDOf(o)] = true
		if o.GetKind() == "CustomResourceDefinition" {
			group, _, _ := unstructured.NestedString(o.Object, "spec", "group")
			kind, _, _ := unstructured.NestedString(o.Object, "spec", "names", "kind")
			coming[object.ID{Group: group, Kind: kind}] = true
		}
	}
	var changes []objectChange
	var wrong object.Findings
	for _, o := range objects {
		id := object.IDOf(o)
		change := objectChange{ID: id, object: o, would: o}
		live, would, err := c.compare(ctx, o)
		change.live = live
		if would != nil {
			change.would = would
		}
		switch {
		case ctx.Err() != nil:
			return changes, ctx.Err()
		case meta.IsNoMatchError(err) && coming[object.ID{Group: id.Group, Kind: id.Kind}]:
			change.Action, change.Unchecked = actionCreate, "its kind comes with this release"
		case apierrors.IsNotFound(err) && coming[object.ID{Kind: "Namespace", Name: id.Namespace}]:
			change.Action, change.Unchecked = actionCreate, "its namespace comes with this release"
		case err != nil && adopt && remade(live, o):
			if err := c.lookAnew(ctx, &change); err != nil {
				wrong = append(wrong, object.FindingsOf(err)...)
			}
		case err != nil:
			wrong = append(wrong, refusals(id, err)...)
			change.Action = actionRefused
		case live == nil:
			change.Action = actionCreate
		default:
			change.Fields = fields(live, would)
			change.Action = actionUnchanged
			if len(change.Fields) > 0 {
				change.Action = actionUpdate
			}
		}
		changes = append(changes, change)
	}
	return changes, wrong.Err()
}

// show prints what a release changes.
func (d *Deployer) show(changes []objectChange, left []leftover) {
	counts := map[action]int{}
	for _, c := range changes {
		counts[c.Action]++
		if c.Action == actionUnchanged {
			continue
		}
		note := ""
		if c.Unchecked != "" {
			note = " (not checked: " + c.Unchecked + ")"
		}
		d.printf("%-7s %s%s\n", c.Action, c.ID, note)
		// Without the line of the file and that of the object.
		text := diff.Text([]diff.File{{Op: diff.Changed, Objects: []diff.Object{{Op: diff.Changed, Fields: c.Fields}}}})
		for i, line := range strings.Split(strings.TrimSuffix(text, "\n"), "\n") {
			if i >= 2 {
				d.printf("    %s\n", line)
			}
		}
	}
	for _, l := range left {
		switch {
		case l.stays != "":
			d.printf("%-6s  %s: %s\n", "stays", l.id, l.stays)
		case !l.forget:
			counts[actionDelete]++
			d.printf("%-6s  %s\n", actionDelete, l.id)
		}
	}
	replaced := ""
	if counts[actionReplace] > 0 {
		replaced = fmt.Sprintf("%d to replace, ", counts[actionReplace])
	}
	d.printf("%d to create, %d to change, %s%d to delete, %d unchanged\n", counts[actionCreate], counts[actionUpdate], replaced, counts[actionDelete], counts[actionUnchanged])
}

func nothing(changes []objectChange, left []leftover) bool {
	return !slices.ContainsFunc(changes, func(c objectChange) bool { return c.Action != actionUnchanged }) &&
		!slices.ContainsFunc(left, func(l leftover) bool { return l.stays == "" && !l.forget })
}

func workloads(changes []objectChange) []object.ID {
	var ids []object.ID
	for _, c := range changes {
		if order.IsWorkload(c.ID) {
			ids = append(ids, c.ID)
		}
	}
	return ids
}
