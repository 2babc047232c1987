// Package order puts changes of objects into an order that loses no request
// which it need not lose: on an empty cluster, and over a tier that runs. A
// deploy walks through it, and a plan tells it.
package order

import (
	"cmp"
	"fmt"
	"slices"
	"strings"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime/schema"

	"git.lastcloud.io/ronnibaslund/dezky/fleet/render/object"
)

// Change is an object before and after.
type Change struct {
	// ID of the object.
	ID object.ID
	// Was is the object as it runs. Nil where there is none yet.
	Was *unstructured.Unstructured
	// Is the object as it is to be. Nil where it goes.
	Is *unstructured.Unstructured
}

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

// Step applies or deletes one object.
type Step struct {
	// ID of the object.
	ID object.ID
	// Object to apply. It may differ from that of the change: see Why. Nil
	// where the object is deleted.
	Object *unstructured.Unstructured
	// Why the object is applied in this form and at this place. Empty where
	// its kind says it.
	Why string
}

// The places of the stages.
const (
	kinds = iota
	needed
	jobsFirst
	running
	traffic
	closing
	going
)

// The names of stages that a deploy does something beside.
const (
	Workloads = "workloads"
	Traffic   = "traffic"
	Closes    = "what closes"

	jobsName = "jobs before the release"
)

// Of puts changes into an order that is safe on an empty cluster and over a
// tier that runs:
//
//  1. new kinds, until the server knows them;
//  2. what pods need: namespaces, accounts, rights, configuration, Services
//     that are not there yet (nobody sends them traffic), middlewares that are
//     not (Traefik reads Ingresses and middlewares apart, and leaves a router
//     out whose middleware it has not read), the new ports of a Service beside
//     its old ones, and whatever a NetworkPolicy opens;
//  3. Jobs that come before a release, until they have ended (see
//     [object.BeforeReleaseAnnotation]);
//  4. workloads, until they are ready: where they never are, the old pods have
//     all that they had;
//  5. where the traffic goes: Services that change, middlewares before the
//     Ingresses that name them; an Ingress that asks a Service for a port which
//     is about to go, and no longer does, before the Service;
//  6. ports of Services that go, NetworkPolicies that close, and webhooks;
//  7. what goes: what sends traffic first, what pods need last.
//
// Pods are the labels of the pods that run, by namespace: a new NetworkPolicy
// closes nothing where it selects none. An object that does not change is
// ordered like one that does. Stages without a step are left out.
func Of(changes []Change, pods map[string][]map[string]string) []Stage {
	stages := []Stage{
		{Name: "new kinds", Wait: true},
		{Name: "what pods need"},
		{Name: jobsName, Wait: true},
		{Name: Workloads, Wait: true},
		{Name: Traffic},
		{Name: Closes},
		{Name: "what goes"},
	}
	policies, run := livePolicies(changes), podLabelsOf(pods)
	add := func(stage int, s Step) { stages[stage].Steps = append(stages[stage].Steps, s) }
	for _, c := range changes {
		step := Step{ID: c.ID, Object: c.Is}
		switch {
		case c.Is == nil:
			add(going, step)
		case isPolicy(c.ID):
			open, rest := openFirst(c, policies, run)
			if open != nil {
				add(needed, *open)
			}
			if rest != nil {
				add(closing, *rest)
			}
		case c.ID.Kind == "Service" && c.ID.Group == "" && c.Was == nil:
			step.Why = "new: nobody sends it traffic yet"
			add(needed, step)
		case c.ID.Kind == "Service" && c.ID.Group == "":
			before, after := portsFirst(c)
			if before != nil {
				add(needed, *before)
			}
			if after != nil {
				add(closing, *after)
			}
			if before == nil && after == nil {
				add(traffic, step)
			}
		case c.ID.Kind == "Middleware" && c.ID.Group == "traefik.io" && c.Was == nil:
			step.Why = "new: Traefik must know it before a router names it"
			add(needed, step)
		case BeforeRelease(c.Is):
			add(jobsFirst, step)
		default:
			add(stageOf(c.ID), step)
		}
	}
	early := beforeServices(changes)
	for i := range stages {
		slices.SortStableFunc(stages[i].Steps, func(a, b Step) int {
			if early[a.ID] != early[b.ID] && i == traffic {
				if early[a.ID] {
					return -1
				}
				return 1
			}
			if i == going {
				a, b = b, a
			}
			return Compare(a.ID, b.ID)
		})
	}
	return slices.DeleteFunc(stages, func(s Stage) bool { return len(s.Steps) == 0 })
}

// Compare orders two objects by their kinds, as they are applied within a
// stage. What goes is deleted in the reverse order.
func Compare(a, b object.ID) int { return cmp.Compare(ranks[a.Kind], ranks[b.Kind]) }

// ranks orders kinds within a stage; those that are not named come between.
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

func stageOf(id object.ID) int {
	switch {
	case id.Kind == "CustomResourceDefinition":
		return kinds
	case IsWorkload(id), id.Kind == "HorizontalPodAutoscaler", id.Kind == "CronJob":
		return running
	case id.Group == "traefik.io", id.Kind == "Ingress", id.Group == "gateway.networking.k8s.io":
		return traffic
	case id.Group == "admissionregistration.k8s.io":
		return closing
	}
	return needed
}

// BeforeRelease reports whether the object is a Job that must end before any
// other workload changes; see [object.BeforeReleaseAnnotation].
func BeforeRelease(o *unstructured.Unstructured) bool {
	return o.GroupVersionKind().GroupKind() == (schema.GroupKind{Group: "batch", Kind: "Job"}) && o.GetAnnotations()[object.BeforeReleaseAnnotation] == "true"
}

// IsWorkload reports whether the object runs pods that a release waits for.
func IsWorkload(id object.ID) bool {
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

// String states the stage in words, such as "apply Deployment apps/web
// (workloads), and wait until they are ready". Where it has many objects, it
// counts them by kind.
func (s Stage) String() string {
	const most = 6
	var each, kinds []string
	of := make(map[string]int)
	gone := 0
	for _, step := range s.Steps {
		text := step.ID.String()
		if step.Why != "" {
			text += " [" + step.Why + "]"
		}
		if step.Object == nil {
			gone++
		}
		each = append(each, text)
		if of[step.ID.Kind]++; of[step.ID.Kind] == 1 {
			kinds = append(kinds, step.ID.Kind)
		}
	}
	if len(each) > most {
		each = nil
		for _, kind := range kinds {
			each = append(each, fmt.Sprintf("%d %s", of[kind], kind))
		}
	}
	verb := "apply "
	if gone > 0 && gone == len(s.Steps) {
		verb = "delete "
	}
	text := verb + strings.Join(each, ", ") + " (" + s.Name + ")"
	switch {
	case s.Name == jobsName:
		text += ", and wait until they have ended"
	case s.Wait:
		text += ", and wait until they are ready"
	}
	return text
}
