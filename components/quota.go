package components

import (
	"fmt"

	appsv1 "k8s.io/api/apps/v1"
	autoscalingv2 "k8s.io/api/autoscaling/v2"
	batchv1 "k8s.io/api/batch/v1"
	corev1 "k8s.io/api/core/v1"
	networkingv1 "k8s.io/api/networking/v1"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/util/intstr"
	"k8s.io/apimachinery/pkg/util/validation"
	"k8s.io/apimachinery/pkg/util/validation/field"

	"git.lastcloud.io/ronnibaslund/dezky/fleet/components/internal/validate"
	"git.lastcloud.io/ronnibaslund/dezky/fleet/render/object"
)

// Quota keeps what runs in a namespace within twice of what belongs there: a
// ResourceQuota for pods, CPU and memory requests, and memory limits, and a
// LimitRange that gives a container without requests and limits the defaults
// of [WebApp], since with the quota it would be refused. CPU has no limit: the
// requests share it out.
//
// Counted are the pods of all components at once, each Deployment with the
// pods that a release adds, each autoscaler at its maximum, every Job and
// CronJob with all that it runs in parallel, a DaemonSet for one node, and one
// solver pod of cert-manager for every host that has a certificate.
type Quota struct {
	// Name of both objects.
	Name string
	// Namespace that is kept.
	Namespace string
	// Holds are the components in the namespace.
	Holds []object.Component
	// Changes are applied to the objects last; see [Edit].
	Changes []Change
}

// headroom is how many times what belongs there may run.
const headroom = 2

// solver is a pod of cert-manager that answers an HTTP-01 challenge, as the
// flags --acme-http01-solver-resource-* of its controller have it by default.
func solver() usage {
	return usage{pods: 1, cpu: resource.MustParse("10m"), memory: resource.MustParse("64Mi"), limit: resource.MustParse("64Mi")}
}

// defaultResources are those of a container that says none.
func defaultResources() corev1.ResourceRequirements {
	return corev1.ResourceRequirements{
		Requests: corev1.ResourceList{
			corev1.ResourceCPU:    *resource.NewMilliQuantity(50, resource.DecimalSI),
			corev1.ResourceMemory: *resource.NewQuantity(128<<20, resource.BinarySI),
		},
		Limits: corev1.ResourceList{corev1.ResourceMemory: *resource.NewQuantity(512<<20, resource.BinarySI)},
	}
}

// About implements [object.Component].
func (q Quota) About() object.About { return object.About{} }

// Objects implements [object.Component].
func (q Quota) Objects() ([]object.Object, error) {
	var errs field.ErrorList
	errs = validate.Name(errs, field.NewPath("name"), q.Name, validation.IsDNS1123Subdomain)
	noNamespace := validate.Namespace(nil, field.NewPath("namespace"), q.Namespace)
	errs = append(errs, noNamespace...)
	total, mistakes := q.total()
	errs = append(errs, mistakes...)
	// In a namespace that is none there is nothing, which only follows.
	if len(q.Holds) == 0 || total.pods == 0 && len(mistakes)+len(noNamespace) == 0 {
		errs = append(errs, field.Required(field.NewPath("holds"), "give the components in the namespace: without a pod among them nothing may run there"))
	}
	total = total.times(headroom)
	defaults := defaultResources()
	objects := []object.Object{
		&corev1.ResourceQuota{
			TypeMeta:   metav1.TypeMeta{APIVersion: "v1", Kind: "ResourceQuota"},
			ObjectMeta: meta(q.Namespace, q.Name),
			Spec: corev1.ResourceQuotaSpec{Hard: corev1.ResourceList{
				corev1.ResourcePods:           *resource.NewQuantity(total.pods, resource.DecimalSI),
				corev1.ResourceRequestsCPU:    total.cpu,
				corev1.ResourceRequestsMemory: total.memory,
				corev1.ResourceLimitsMemory:   total.limit,
			}},
		},
		&corev1.LimitRange{
			TypeMeta:   metav1.TypeMeta{APIVersion: "v1", Kind: "LimitRange"},
			ObjectMeta: meta(q.Namespace, q.Name),
			Spec: corev1.LimitRangeSpec{Limits: []corev1.LimitRangeItem{{
				Type: corev1.LimitTypeContainer, DefaultRequest: defaults.Requests, Default: defaults.Limits,
			}}},
		},
	}
	errs = append(errs, Apply(objects, q.Changes)...)
	return objects, object.Invalid(object.ID{Kind: "Quota", Namespace: q.Namespace, Name: q.Name}, errs).Err()
}

// usage is what a number of pods take.
type usage struct {
	pods               int64
	cpu, memory, limit resource.Quantity
}

func (u *usage) add(other usage) {
	u.pods += other.pods
	u.cpu.Add(other.cpu)
	u.memory.Add(other.memory)
	u.limit.Add(other.limit)
}

func (u usage) times(n int64) usage {
	u.pods *= n
	for _, q := range []*resource.Quantity{&u.cpu, &u.memory, &u.limit} {
		*q = q.DeepCopy()
		q.Mul(n)
	}
	return u
}

// max raises each of the quantities to that of another pod.
func (u *usage) max(other usage) {
	for _, q := range []struct{ own, other *resource.Quantity }{{&u.cpu, &other.cpu}, {&u.memory, &other.memory}, {&u.limit, &other.limit}} {
		if q.own.Cmp(*q.other) < 0 {
			*q.own = q.other.DeepCopy()
		}
	}
}

// total is what runs in the namespace at most.
func (q Quota) total() (usage, field.ErrorList) {
	var total usage
	var errs field.ErrorList
	var objects []applied
	scaled := make(map[string]int64) // Kind/name → most pods, by an autoscaler
	for i, c := range q.Holds {
		path := field.NewPath("holds").Index(i)
		if c == nil {
			errs = append(errs, field.Required(path, "is nil"))
			continue
		}
		made, err := c.Objects()
		if err != nil {
			// What is wrong is told where the component itself is rendered.
			errs = append(errs, field.Invalid(path, field.OmitValueType{}, "its objects cannot be made"))
			continue
		}
		for _, o := range made {
			if o.GetNamespace() != q.Namespace {
				continue
			}
			objects = append(objects, applied{o, path})
			var hpa autoscalingv2.HorizontalPodAutoscaler
			if o.GetObjectKind().GroupVersionKind().Kind == "HorizontalPodAutoscaler" && decode(o, &hpa) == nil {
				scaled[hpa.Spec.ScaleTargetRef.Kind+"/"+hpa.Spec.ScaleTargetRef.Name] = int64(hpa.Spec.MaxReplicas)
			}
		}
	}
	for _, o := range objects {
		used, err := usageOf(o.Object, scaled)
		if err != nil {
			errs = append(errs, field.Invalid(o.path, field.OmitValueType{}, fmt.Sprintf("%s %q: %v", o.GetObjectKind().GroupVersionKind().Kind, o.GetName(), err)))
		}
		total.add(used)
	}
	return total, errs
}

// usageOf is what the pods of an object take at most.
func usageOf(o object.Object, scaled map[string]int64) (usage, error) {
	content, err := runtime.DefaultUnstructuredConverter.ToUnstructured(o)
	if err != nil {
		return usage{}, err
	}
	kind := o.GetObjectKind().GroupVersionKind().Kind
	if kind == "Ingress" {
		var ingress networkingv1.Ingress
		if err := from(content, &ingress); err != nil {
			return usage{}, err
		}
		var hosts int64
		for _, t := range ingress.Spec.TLS {
			hosts += int64(len(t.Hosts))
		}
		return solver().times(hosts), nil
	}
	pod, err := podOf(content)
	if err != nil || pod == nil || kind == "PodTemplate" {
		return usage{}, err
	}
	one, err := podUsage(pod)
	if err != nil {
		return usage{}, err
	}
	count := int64(1)
	if n, ok := at(content, "spec", "replicas").(int64); ok {
		count = n
	}
	if n, ok := scaled[kind+"/"+o.GetName()]; ok {
		count = n
	}
	switch kind {
	case "Deployment":
		var d appsv1.Deployment
		if err := from(content, &d); err != nil {
			return usage{}, err
		}
		more, err := surge(d.Spec.Strategy, count)
		if err != nil {
			return usage{}, err
		}
		count += more
	case "DaemonSet":
		var d appsv1.DaemonSet
		if err := from(content, &d); err != nil {
			return usage{}, err
		}
		if u := d.Spec.UpdateStrategy.RollingUpdate; u != nil && u.MaxSurge != nil {
			count++
		}
	case "Job":
		var j batchv1.Job
		if err := from(content, &j); err != nil {
			return usage{}, err
		}
		count = parallel(j.Spec)
	case "CronJob":
		var c batchv1.CronJob
		if err := from(content, &c); err != nil {
			return usage{}, err
		}
		count = parallel(c.Spec.JobTemplate.Spec)
	}
	return one.times(count), nil
}

func parallel(j batchv1.JobSpec) int64 {
	if j.Parallelism != nil {
		return int64(*j.Parallelism)
	}
	return 1
}

// surge is how many pods a release adds: a quarter by default, rounded up.
func surge(s appsv1.DeploymentStrategy, replicas int64) (int64, error) {
	if s.Type == appsv1.RecreateDeploymentStrategyType {
		return 0, nil
	}
	most := intstr.FromString("25%")
	if s.RollingUpdate != nil && s.RollingUpdate.MaxSurge != nil {
		most = *s.RollingUpdate.MaxSurge
	}
	n, err := intstr.GetScaledValueFromIntOrPercent(&most, int(replicas), true)
	return int64(n), err
}

// podUsage is what one pod takes: containers and sidecars together, or the
// largest init container where that is more.
func podUsage(pod *corev1.PodSpec) (usage, error) {
	var sum, most usage
	for _, c := range pod.Containers {
		u, err := containerUsage(c)
		if err != nil {
			return usage{}, err
		}
		sum.add(u)
	}
	for _, c := range pod.InitContainers {
		u, err := containerUsage(c)
		if err != nil {
			return usage{}, err
		}
		if c.RestartPolicy != nil && *c.RestartPolicy == corev1.ContainerRestartPolicyAlways {
			sum.add(u)
		} else {
			most.max(u)
		}
	}
	sum.max(most)
	sum.pods = 1
	return sum, nil
}

// containerUsage is what one container takes, with the defaults that the API
// server and the LimitRange fill in.
func containerUsage(c corev1.Container) (usage, error) {
	defaults := defaultResources()
	limit, ok := c.Resources.Limits[corev1.ResourceMemory]
	if !ok {
		limit = defaults.Limits[corev1.ResourceMemory]
	}
	request := func(name corev1.ResourceName) resource.Quantity {
		for _, list := range []corev1.ResourceList{c.Resources.Requests, c.Resources.Limits, defaults.Requests} {
			if q, ok := list[name]; ok {
				return q
			}
		}
		return resource.Quantity{}
	}
	memory := request(corev1.ResourceMemory)
	if memory.Cmp(limit) > 0 {
		return usage{}, fmt.Errorf("container %s requests %s of memory and has no limit, so it gets the default of %s and its pods are refused: give it a limit", c.Name, memory.String(), limit.String())
	}
	return usage{cpu: request(corev1.ResourceCPU), memory: memory, limit: limit}, nil
}

// decode reads an object, typed or not, as a type.
func decode(o object.Object, to any) error {
	content, err := runtime.DefaultUnstructuredConverter.ToUnstructured(o)
	if err != nil {
		return err
	}
	return from(content, to)
}
