package check

import (
	appsv1 "k8s.io/api/apps/v1"
	batchv1 "k8s.io/api/batch/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// pods is the pods that an object makes.
type pods struct {
	// of is the object.
	of *Object
	// at is the path of the pod's spec.
	at string
	// labels of the pods.
	labels map[string]string
	// spec of the pods.
	spec *corev1.PodSpec
	// selector by which the object finds its pods. Nil where it has none.
	selector *metav1.LabelSelector
	// selects reports that the object must have a selector.
	selects bool
}

// podsOf returns the pods that an object makes, and false where it makes none.
func podsOf(o *Object) (pods, bool) {
	template := func(t *corev1.PodTemplateSpec, at string) pods {
		return pods{of: o, at: at, labels: t.Labels, spec: &t.Spec}
	}
	switch o.ID.Group {
	case "":
		if o.ID.Kind == "Pod" {
			if t := As[*corev1.Pod](o); t != nil {
				return pods{of: o, at: "spec", labels: t.Labels, spec: &t.Spec}, true
			}
		}
	case "apps":
		switch o.ID.Kind {
		case "Deployment":
			if t := As[*appsv1.Deployment](o); t != nil {
				p := template(&t.Spec.Template, "spec.template.spec")
				p.selector, p.selects = t.Spec.Selector, true
				return p, true
			}
		case "StatefulSet":
			if t := As[*appsv1.StatefulSet](o); t != nil {
				p := template(&t.Spec.Template, "spec.template.spec")
				p.selector, p.selects = t.Spec.Selector, true
				return p, true
			}
		case "DaemonSet":
			if t := As[*appsv1.DaemonSet](o); t != nil {
				p := template(&t.Spec.Template, "spec.template.spec")
				p.selector, p.selects = t.Spec.Selector, true
				return p, true
			}
		case "ReplicaSet":
			if t := As[*appsv1.ReplicaSet](o); t != nil {
				p := template(&t.Spec.Template, "spec.template.spec")
				p.selector, p.selects = t.Spec.Selector, true
				return p, true
			}
		}
	case "batch":
		switch o.ID.Kind {
		case "Job":
			if t := As[*batchv1.Job](o); t != nil {
				return template(&t.Spec.Template, "spec.template.spec"), true
			}
		case "CronJob":
			if t := As[*batchv1.CronJob](o); t != nil {
				return template(&t.Spec.JobTemplate.Spec.Template, "spec.jobTemplate.spec.template.spec"), true
			}
		}
	}
	return pods{}, false
}

// podKinds are the kinds that make pods.
var podKinds = [...]struct{ group, kind string }{
	{"", "Pod"}, {"apps", "Deployment"}, {"apps", "StatefulSet"}, {"apps", "DaemonSet"}, {"apps", "ReplicaSet"}, {"batch", "Job"}, {"batch", "CronJob"},
}

// eachPods calls do for each object that makes pods.
func (s *Set) eachPods(do func(pods)) {
	for _, k := range podKinds {
		for _, o := range s.Kind(k.group, k.kind) {
			if p, ok := podsOf(o); ok {
				do(p)
			}
		}
	}
}

// eachContainer calls do for each container of the pods with the path of its
// list: init containers first.
func (p pods) eachContainer(do func(list string, c *corev1.Container)) {
	for i := range p.spec.InitContainers {
		do("initContainers", &p.spec.InitContainers[i])
	}
	for i := range p.spec.Containers {
		do("containers", &p.spec.Containers[i])
	}
}
