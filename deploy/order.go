package deploy

import (
	"cmp"
	"slices"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime/schema"

	"git.lastcloud.io/ronnibaslund/dezky/fleet/render/object"
)

// Stage is objects that are applied one after the other before the next stage
// begins.
type Stage struct {
	// Name says what the stage is for.
	Name string
	// Steps in their order.
	Steps []Step
	// Wait for the objects of the stage to be ready before the next one.
	Wait bool
}

// Step applies one object.
type Step struct {
	// ID of the object.
	ID object.ID
	// Why the object is applied in this form and at this place. Empty where
	// its kind says it.
	Why string

	object *unstructured.Unstructured
}

// The places of the stages.
const (
	kinds = iota
	needed
	jobsFirst
	running
	traffic
	closing
)

// Order puts changes into an order that is safe on an empty cluster and over a
// tier that runs:
//
//  1. new kinds, until the server knows them;
//  2. what pods need: namespaces, accounts, rights, configuration, Services
//     that are not there yet (nobody sends them traffic) and whatever a
//     NetworkPolicy opens;
//  3. Jobs that come before a release, until they have ended (see
//     [object.BeforeReleaseAnnotation]);
//  4. workloads, until they are ready: where they never are, the old pods have
//     all that they had;
//  5. where the traffic goes: Services that change, middlewares before the
//     Ingresses that name them;
//  6. NetworkPolicies that close, and webhooks.
//
// What goes is deleted after that. Pods are the labels of the pods that run,
// by namespace: a new NetworkPolicy closes nothing where it selects none.
func Order(changes []Change, pods map[string][]map[string]string) []Stage {
	stages := []Stage{
		{Name: "new kinds", Wait: true},
		{Name: "what pods need"},
		{Name: "jobs before the release", Wait: true},
		{Name: "workloads", Wait: true},
		{Name: "traffic"},
		{Name: "what closes"},
	}
	policies := livePolicies(changes)
	add := func(stage int, s Step) { stages[stage].Steps = append(stages[stage].Steps, s) }
	for _, c := range changes {
		if c.object == nil || c.Action == Delete {
			continue
		}
		step := Step{ID: c.ID, object: c.object}
		switch {
		case isPolicy(c.ID):
			open, rest := openFirst(c, policies, pods[c.ID.Namespace])
			if open != nil {
				add(needed, *open)
			}
			if rest != nil {
				add(closing, *rest)
			}
		case c.ID.Kind == "Service" && c.ID.Group == "" && c.live == nil:
			step.Why = "new: nobody sends it traffic yet"
			add(needed, step)
		case comesBefore(c.object):
			add(jobsFirst, step)
		default:
			add(stageOf(c.ID), step)
		}
	}
	for i := range stages {
		slices.SortStableFunc(stages[i].Steps, func(a, b Step) int { return cmp.Compare(rank(a.ID), rank(b.ID)) })
	}
	return slices.DeleteFunc(stages, func(s Stage) bool { return len(s.Steps) == 0 })
}

// ranks orders kinds within a stage; those that are not named come between.
// For deleting it is turned round.
var ranks = map[string]int{
	"Namespace":                      -20,
	"CustomResourceDefinition":       -19,
	"PriorityClass":                  -18,
	"StorageClass":                   -18,
	"IngressClass":                   -18,
	"ResourceQuota":                  -17,
	"LimitRange":                     -17,
	"ServiceAccount":                 -16,
	"ClusterRole":                    -15,
	"Role":                           -15,
	"ClusterRoleBinding":             -14,
	"RoleBinding":                    -14,
	"Secret":                         -13,
	"ConfigMap":                      -13,
	"PersistentVolume":               -12,
	"PersistentVolumeClaim":          -11,
	"Service":                        -10,
	"PodDisruptionBudget":            -9,
	"StatefulSet":                    -5,
	"DaemonSet":                      -5,
	"Deployment":                     -4,
	"HorizontalPodAutoscaler":        10,
	"Middleware":                     11,
	"Ingress":                        12,
	"IngressRoute":                   12,
	"HTTPRoute":                      12,
	"NetworkPolicy":                  13,
	"ValidatingWebhookConfiguration": 20,
	"MutatingWebhookConfiguration":   20,
}

func rank(id object.ID) int { return ranks[id.Kind] }

func stageOf(id object.ID) int {
	switch {
	case id.Kind == "CustomResourceDefinition":
		return kinds
	case isWorkload(id), id.Kind == "HorizontalPodAutoscaler", id.Kind == "CronJob":
		return running
	case id.Kind == "Service" && id.Group == "", id.Group == "traefik.io", id.Kind == "Ingress", id.Group == "gateway.networking.k8s.io":
		return traffic
	case id.Group == "admissionregistration.k8s.io":
		return closing
	}
	return needed
}

// comesBefore reports whether the object is a Job that must end before any
// other workload changes.
func comesBefore(o *unstructured.Unstructured) bool {
	return o.GroupVersionKind().GroupKind() == jobKind && o.GetAnnotations()[object.BeforeReleaseAnnotation] == "true"
}

var jobKind = schema.GroupKind{Group: "batch", Kind: "Job"}

// isWorkload reports whether the object runs pods that a release waits for.
func isWorkload(id object.ID) bool {
	switch id.Group {
	case "apps":
		return id.Kind == "Deployment" || id.Kind == "StatefulSet" || id.Kind == "DaemonSet"
	case "batch":
		return id.Kind == "Job"
	}
	return false
}

func isPolicy(id object.ID) bool {
	return id.Kind == "NetworkPolicy" && id.Group == "networking.k8s.io"
}
