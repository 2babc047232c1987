package deploy

import (
	"cmp"
	"context"
	"fmt"
	"slices"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime/schema"
	podsecurity "k8s.io/pod-security-admission/api"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"git.lastcloud.io/ronnibaslund/dezky/fleet/render/object"
	"git.lastcloud.io/ronnibaslund/dezky/fleet/render/plan/consequence"
)

// outlook is what a release does beside what its fields say.
type outlook struct {
	// found are the consequences that nobody allowed, worst first.
	found   []consequence.Consequence
	allowed []consequence.Allowed
	// avoided are those that do not come, since an adoption replaces the
	// object beside the running one.
	avoided []consequence.Consequence
	// notes are of allowances that let nothing pass.
	notes []string
}

// foresee reads the consequences of a release from what is live and from what
// the server would make of it: both have the server's defaults.
func (d *Deployer) foresee(ctx context.Context, c *cluster, r Release, changes []objectChange, left []leftover) (outlook, error) {
	// What an adoption replaces beside the running one, and what it left of an
	// attempt before, is as good as new to the rest.
	var was, is, beside []consequence.Object
	of := func(o *unstructured.Unstructured) consequence.Object {
		return consequence.Object{ID: object.IDOf(o), File: d.Layer + "/" + o.GetKind() + ".yaml", Fields: strip(o)}
	}
	ours := map[object.ID]bool{}
	for _, change := range changes {
		ours[change.ID] = true
		switch {
		case change.live == nil:
		case change.Action == actionReplace:
			beside = append(beside, of(change.live))
		default:
			was = append(was, of(change.live))
		}
		is = append(is, of(change.would))
	}
	for _, l := range left {
		ours[l.id] = true
		if l.live == nil || l.forget {
			continue
		}
		o := &unstructured.Unstructured{}
		o.SetGroupVersionKind(l.live.GroupVersionKind())
		o.SetNamespace(l.id.Namespace)
		o.SetName(l.id.Name)
		full, err := c.get(ctx, o)
		if err != nil {
			return outlook{}, fmt.Errorf("%s: %w", l.id, err)
		}
		if full == nil {
			continue
		}
		if d.Adopt && l.key.GroupKind == kindReplicaSet {
			beside = append(beside, of(full))
			continue
		}
		was = append(was, of(full))
		if l.stays != "" {
			is = append(is, of(full))
		}
	}
	others, err := c.besides(ctx, changes, ours)
	if err != nil {
		return outlook{}, err
	}
	for _, o := range others {
		was, is = append(was, of(o)), append(is, of(o))
	}
	// What is said of another layer is for its own release.
	allowances := slices.DeleteFunc(slices.Clone(r.Allowed), func(a consequence.Allowance) bool {
		return slices.ContainsFunc(r.Elsewhere, func(id object.ID) bool { return id.String() == a.Object })
	})
	var out outlook
	found := consequence.Of(was, is)
	if len(beside) > 0 {
		for _, c := range consequence.Of(slices.Concat(was, beside), is) {
			switch {
			case slices.Contains(found, c):
			case c.Severity <= consequence.Down:
				out.avoided = append(out.avoided, c)
			default:
				found = append(found, c)
			}
		}
		slices.SortStableFunc(found, func(a, b consequence.Consequence) int { return cmp.Compare(a.Severity, b.Severity) })
	}
	found, stated, idle := consequence.AllowStated(found, slices.Concat(was, beside), is)
	out.found, out.allowed, out.notes = consequence.Allow(found, allowances)
	out.allowed, out.notes = append(stated, out.allowed...), append(idle, out.notes...)
	return out, nil
}

// besides are the workloads of namespaces whose level of Pod Security changes:
// whether they meet it is asked of them, and they are of other layers mostly.
func (c *cluster) besides(ctx context.Context, changes []objectChange, ours map[object.ID]bool) ([]*unstructured.Unstructured, error) {
	level := func(o *unstructured.Unstructured) string { return o.GetLabels()[podsecurity.EnforceLevelLabel] }
	var all []*unstructured.Unstructured
	for _, change := range changes {
		if change.ID.Group != "" || change.ID.Kind != "Namespace" || change.live == nil || level(change.live) == level(change.would) {
			continue
		}
		for _, kind := range []string{"Deployment", "StatefulSet", "DaemonSet"} {
			list := &unstructured.UnstructuredList{}
			list.SetGroupVersionKind(schema.GroupVersionKind{Group: "apps", Version: "v1", Kind: kind + "List"})
			if err := c.client.List(ctx, list, client.InNamespace(change.ID.Name)); err != nil {
				return nil, fmt.Errorf("what runs in %s cannot be read: %w", change.ID, err)
			}
			for i := range list.Items {
				if o := &list.Items[i]; !ours[object.IDOf(o)] {
					all = append(all, o)
				}
			}
		}
	}
	return all, nil
}

// stops are the consequences at which a release stops: what is refused and what
// is down. What the server itself refuses is told in its own words, and cannot
// be allowed.
func (o outlook) stops(changes []objectChange) error {
	refused := map[object.ID]bool{}
	for _, c := range changes {
		refused[c.ID] = c.Action == actionRefused
	}
	var all object.Findings
	for _, c := range o.found {
		if c.Severity > consequence.Down || c.Severity == consequence.Refused && refused[c.Object] {
			continue
		}
		remedy := fmt.Sprintf("if it is meant, say -allow '%s'", consequence.Allowance{Rule: c.Rule, Object: c.Object.String()})
		if c.Do != "" {
			remedy = c.Do + "; " + remedy
		}
		all = append(all, object.Finding{Rule: c.Rule, Object: c.Object, Field: c.Field, Problem: c.Severity.String() + ": " + c.Why, Remedy: remedy})
	}
	return all.Err()
}

// show prints the consequences, worst first.
func (o outlook) show(d *Deployer) {
	for _, c := range o.found {
		d.printf("%-11s  %s [%s]\n", c.Severity, c, c.Rule)
	}
	for _, c := range o.avoided {
		d.printf("%-11s  %s: %s [%s]\n", "avoided", c.Object, c.Why, c.Rule)
	}
	for _, c := range o.allowed {
		d.printf("%-11s  %s [%s] allowed: %s\n", c.Severity, c, c.Rule, c.Reason)
	}
	for _, note := range o.notes {
		d.printf("note: %s\n", note)
	}
}
