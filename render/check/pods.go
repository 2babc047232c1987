package check

import (
	appsv1 "k8s.io/api/apps/v1"
	batchv1 "k8s.io/api/batch/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime"
)

// pods is the pods that an object makes.
type pods struct {
	// of is the object.
	of *Object
	// at is the path of the pod's spec.
	at string
	// labels of the pods.
	labels map[string]string
	// annotations of the pods.
	annotations map[string]string
	// replicas is how many pods there are. Nil where the object says none.
	replicas *int32
	// restarts are the restart policies that the pods may have, none where any
	// may be.
	restarts []corev1.RestartPolicy
	// spec of the pods.
	spec *corev1.PodSpec
	// selector by which the object finds its pods. Nil where it has none.
	selector *metav1.LabelSelector
	// selects reports that the object must have a selector.
	selects bool
}

// podsOf returns the pods that an object makes, or nil where it makes none.
func podsOf(o *Object) *pods {
	template := func(t *corev1.PodTemplateSpec, at string, restarts ...corev1.RestartPolicy) *pods {
		return &pods{of: o, at: at, restarts: restarts, labels: t.Labels, annotations: t.Annotations, spec: &t.Spec}
	}
	switch o.ID.Group {
	case "":
		switch o.ID.Kind {
		case "Pod":
			if t := As[*corev1.Pod](o); t != nil {
				return &pods{of: o, at: "spec", restarts: []corev1.RestartPolicy{corev1.RestartPolicyAlways, corev1.RestartPolicyOnFailure, corev1.RestartPolicyNever}, labels: t.Labels, annotations: t.Annotations, spec: &t.Spec}
			}
		case "PodTemplate":
			if t := As[*corev1.PodTemplate](o); t != nil {
				return template(&t.Template, "template.spec")
			}
		case "ReplicationController":
			if t := As[*corev1.ReplicationController](o); t != nil && t.Spec.Template != nil {
				p := template(t.Spec.Template, "spec.template.spec")
				if len(t.Spec.Selector) > 0 {
					p.selector = &metav1.LabelSelector{MatchLabels: t.Spec.Selector}
				}
				return p
			}
		}
	case "apps":
		switch o.ID.Kind {
		case "Deployment":
			if t := As[*appsv1.Deployment](o); t != nil {
				p := template(&t.Spec.Template, "spec.template.spec", corev1.RestartPolicyAlways)
				p.selector, p.selects, p.replicas = t.Spec.Selector, true, t.Spec.Replicas
				return p
			}
		case "StatefulSet":
			if t := As[*appsv1.StatefulSet](o); t != nil {
				p := template(&t.Spec.Template, "spec.template.spec", corev1.RestartPolicyAlways)
				p.selector, p.selects, p.replicas = t.Spec.Selector, true, t.Spec.Replicas
				return p
			}
		case "DaemonSet":
			if t := As[*appsv1.DaemonSet](o); t != nil {
				p := template(&t.Spec.Template, "spec.template.spec", corev1.RestartPolicyAlways)
				p.selector, p.selects = t.Spec.Selector, true
				return p
			}
		case "ReplicaSet":
			if t := As[*appsv1.ReplicaSet](o); t != nil {
				p := template(&t.Spec.Template, "spec.template.spec", corev1.RestartPolicyAlways)
				p.selector, p.selects, p.replicas = t.Spec.Selector, true, t.Spec.Replicas
				return p
			}
		}
	case "batch":
		switch o.ID.Kind {
		case "Job":
			if t := As[*batchv1.Job](o); t != nil {
				return template(&t.Spec.Template, "spec.template.spec", corev1.RestartPolicyOnFailure, corev1.RestartPolicyNever)
			}
		case "CronJob":
			if t := As[*batchv1.CronJob](o); t != nil {
				return template(&t.Spec.JobTemplate.Spec.Template, "spec.jobTemplate.spec.template.spec", corev1.RestartPolicyOnFailure, corev1.RestartPolicyNever)
			}
		}
	default:
		return customPods(o)
	}
	return nil
}

// customPods returns the pods of a custom kind that embeds a pod template where
// Kubernetes' own kinds have it, such as a Rollout of Argo or a Service of
// Knative: a template whose spec has a list of containers.
func customPods(o *Object) *pods {
	if builtinGroup(o.ID.Group) {
		return nil
	}
	for _, at := range [][]string{{"spec", "template"}, {"spec", "jobTemplate", "spec", "template"}} {
		template, _, err := unstructured.NestedFieldNoCopy(o.fields(), at...)
		fields, ok := template.(map[string]any)
		if err != nil || !ok {
			continue
		}
		containers, _, _ := unstructured.NestedFieldNoCopy(fields, "spec", "containers")
		if list, ok := containers.([]any); !ok || len(list) == 0 {
			continue
		}
		var t corev1.PodTemplateSpec
		if runtime.DefaultUnstructuredConverter.FromUnstructured(fields, &t) != nil {
			continue
		}
		path := ""
		for _, part := range at {
			path += part + "."
		}
		return &pods{of: o, at: path + "spec", labels: t.Labels, annotations: t.Annotations, spec: &t.Spec}
	}
	return nil
}

// builtinGroup reports whether the kinds of a group are Kubernetes' own.
func builtinGroup(group string) bool {
	switch group {
	case "", "apps", "batch", "autoscaling", "policy", "networking.k8s.io", "rbac.authorization.k8s.io", "storage.k8s.io",
		"scheduling.k8s.io", "node.k8s.io", "admissionregistration.k8s.io", "apiextensions.k8s.io", "coordination.k8s.io",
		"discovery.k8s.io", "events.k8s.io", "certificates.k8s.io", "resource.k8s.io", "flowcontrol.apiserver.k8s.io":
		return true
	}
	return false
}

// eachPods calls do for each object that makes pods, in their order.
func (s *Set) eachPods(do func(*pods)) {
	for _, p := range s.allPods() {
		do(p)
	}
}

// allPods returns the pods of all objects, in the order of the objects.
func (s *Set) allPods() []*pods {
	s.podsOnce.Do(func() {
		for _, o := range s.objects {
			if p := podsOf(o); p != nil {
				s.pods = append(s.pods, p)
			}
		}
	})
	return s.pods
}

// eachContainer calls do for each container of the pods with the path of its
// list: init containers first.
func (p *pods) eachContainer(do func(list string, c *corev1.Container)) {
	for i := range p.spec.InitContainers {
		do("initContainers", &p.spec.InitContainers[i])
	}
	for i := range p.spec.Containers {
		do("containers", &p.spec.Containers[i])
	}
}
