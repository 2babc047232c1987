package deploy

import (
	"context"
	"fmt"
	"slices"
	"strings"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime"
	podsecurity "k8s.io/pod-security-admission/api"
	"k8s.io/pod-security-admission/policy"

	"git.lastcloud.io/ronnibaslund/dezky/fleet/render/object"
)

// shortfall says why pods do not meet a level of Pod Security. It is empty
// where they do.
func shortfall(level podsecurity.Level, meta *metav1.ObjectMeta, spec *corev1.PodSpec) (string, error) {
	evaluator, err := policy.NewEvaluator(policy.DefaultChecks(), nil)
	if err != nil {
		return "", err
	}
	result := policy.AggregateCheckResults(evaluator.EvaluatePod(podsecurity.LevelVersion{Level: level, Version: podsecurity.LatestVersion()}, meta, spec))
	if result.Allowed {
		return "", nil
	}
	return result.ForbiddenReason(), nil
}

// startable refuses a Deployment whose pods the namespace would not start: so
// does one of before an adoption, where its layer is taken back before the one
// that raised the level of Pod Security.
func (c *cluster) startable(ctx context.Context, changes []objectChange) error {
	var wrong object.Findings
	levels := map[string]podsecurity.Level{}
	for _, change := range changes {
		if change.ID.Group == "" && change.ID.Kind == "Namespace" {
			levels[change.ID.Name] = podsecurity.Level(change.object.GetLabels()[podsecurity.EnforceLevelLabel])
		}
	}
	for _, change := range changes {
		if change.ID.Kind != "Deployment" || change.Action == actionUnchanged || change.Action == actionRefused {
			continue
		}
		namespace := change.ID.Namespace
		if _, ok := levels[namespace]; !ok {
			live, err := c.typed.CoreV1().Namespaces().Get(ctx, namespace, metav1.GetOptions{})
			if err != nil && !apierrors.IsNotFound(err) { // the server refuses what is in one that is not there
				return fmt.Errorf("the Namespace %s cannot be read: %w", namespace, err)
			}
			levels[namespace] = podsecurity.Level(live.Labels[podsecurity.EnforceLevelLabel])
		}
		if levels[namespace] == "" {
			continue
		}
		var deployment appsv1.Deployment
		if err := runtime.DefaultUnstructuredConverter.FromUnstructured(change.would.Object, &deployment); err != nil {
			return fmt.Errorf("%s: %w", change.ID, err)
		}
		why, err := shortfall(levels[namespace], &deployment.Spec.Template.ObjectMeta, &deployment.Spec.Template.Spec)
		if err != nil {
			return err
		}
		if why != "" {
			wrong = append(wrong, object.Finding{Object: change.ID, Field: "spec.template",
				Problem: fmt.Sprintf("its pods do not meet Pod Security %s, which Namespace %s enforces: %s", levels[namespace], namespace, why),
				Remedy:  "lower the level first; to take an adoption back, the layer of the Namespace with -adopt -rollback"})
		}
	}
	return wrong.Err()
}

// holdSecurity leaves the level of Pod Security as it is where pods run that do
// not meet the new one: none of them would be started again after a fault. It
// changes the objects, and says so.
func (c *cluster) holdSecurity(ctx context.Context, objects []*unstructured.Unstructured) ([]string, error) {
	var notes []string
	for _, o := range objects {
		if object.IDOf(o) != (object.ID{Kind: "Namespace", Name: o.GetName()}) || o.GetLabels()[podsecurity.EnforceLevelLabel] == "" {
			continue
		}
		live, err := c.get(ctx, o)
		if err != nil {
			return nil, err
		}
		if live == nil || live.GetLabels()[podsecurity.EnforceLevelLabel] == o.GetLabels()[podsecurity.EnforceLevelLabel] {
			continue
		}
		level, err := podsecurity.ParseLevel(o.GetLabels()[podsecurity.EnforceLevelLabel])
		if err != nil {
			return nil, object.Finding{Object: object.IDOf(o), Field: "metadata.labels[" + podsecurity.EnforceLevelLabel + "]", Problem: err.Error()}
		}
		pods, err := c.typed.CoreV1().Pods(o.GetName()).List(ctx, metav1.ListOptions{})
		if err != nil {
			return nil, fmt.Errorf("the pods of %s cannot be read: %w", o.GetName(), err)
		}
		var short []string
		for _, p := range pods.Items {
			if podEnded(p) {
				continue
			}
			why, err := shortfall(level, &p.ObjectMeta, &p.Spec)
			if err != nil {
				return nil, err
			}
			if why != "" {
				short = append(short, p.Name+" ("+why+")")
			}
		}
		if len(short) == 0 {
			continue
		}
		set := o.GetLabels()
		for _, label := range []string{podsecurity.EnforceLevelLabel, podsecurity.EnforceVersionLabel} {
			if value, ok := live.GetLabels()[label]; ok {
				set[label] = value
			} else {
				delete(set, label)
			}
		}
		o.SetLabels(set)
		slices.Sort(short)
		notes = append(notes, fmt.Sprintf("Namespace %s does not enforce Pod Security %s yet: these pods do not meet it: %s: deploy this layer again when they are gone", o.GetName(), level, strings.Join(short, ", ")))
	}
	return notes, nil
}
