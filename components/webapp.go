package components

import (
	"fmt"

	appsv1 "k8s.io/api/apps/v1"
	autoscalingv2 "k8s.io/api/autoscaling/v2"
	corev1 "k8s.io/api/core/v1"
	policyv1 "k8s.io/api/policy/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/intstr"
	"k8s.io/apimachinery/pkg/util/validation/field"

	"git.lastcloud.io/ronnibaslund/dezky/fleet/render/object"
)

// WebApp is a web application that runs as a few equal pods: ServiceAccount,
// Deployment, Service, PodDisruptionBudget, and where asked for
// HorizontalPodAutoscaler, NetworkPolicy and PersistentVolumeClaims. All are
// named after the app.
//
// A release has no dip: a new pod is ready before an old one leaves, and the
// one that leaves first waits until no proxy sends to it any more. Only where
// a claim can be held by one pod, the old one leaves first.
type WebApp Workload

// Worker is a program that nobody calls, such as the consumer of a queue: a
// [WebApp] without port and Service.
type Worker Workload

// Autoscale follows the load by CPU.
type Autoscale struct {
	// Min and Max number of pods. Min is at least 1.
	Min, Max int32
	// CPU is the use to aim at, in percent of the request. If zero, 80.
	CPU int32
}

var (
	webApp    = kind{name: "WebApp", resource: "deployment", port: portName, long: longApp}
	worker    = kind{name: "Worker", resource: "deployment", long: longApp}
	container = kind{name: "container"}
)

// URL returns the app's address inside the cluster.
func (w WebApp) URL() string {
	return fmt.Sprintf("http://%s.%s:%d", w.Name, w.Namespace, w.Port)
}

// Peer returns the app's pods, for the Network of another app.
func (w WebApp) Peer() Peer { return Workload(w).peer() }

// Peer returns the worker's pods, for the Network of another app.
func (w Worker) Peer() Peer { return Workload(w).peer() }

// About implements [object.Component].
func (w WebApp) About() object.About {
	about := Workload(w).about(webApp)
	about.Guarantees = []object.Guarantee{Workload(w).guarantee()}
	return about
}

// About implements [object.Component].
func (w Worker) About() object.About {
	about := Workload(w).about(worker)
	about.Guarantees = []object.Guarantee{Workload(w).guarantee()}
	return about
}

// Objects implements [object.Component].
func (w WebApp) Objects() ([]object.Object, error) { return Workload(w).deploymentObjects(webApp) }

// Objects implements [object.Component].
func (w Worker) Objects() ([]object.Object, error) { return Workload(w).deploymentObjects(worker) }

func (w Workload) deploymentObjects(k kind) ([]object.Object, error) {
	errs := w.validate(k)
	objects := []object.Object{w.serviceAccount(), w.deployment(k)}
	if k.port != "" {
		objects = append(objects, w.service(k))
	}
	objects = append(objects, w.disruptionBudget())
	if w.Autoscale != nil {
		objects = append(objects, w.autoscaler())
	}
	if n := w.networkPolicy(); n != nil {
		objects = append(objects, n)
	}
	objects = append(objects, w.claims()...)
	errs = append(errs, Apply(objects, w.Changes)...)
	// After the changes: nothing that they do gets round these.
	errs = append(errs, w.checkOnePod(k, objects)...)
	errs = append(errs, w.checkDeployment(objects)...)
	return objects, object.Invalid(object.ID{Kind: k.name, Namespace: w.Namespace, Name: w.Name}, errs).Err()
}

// guarantee is what holds of the final Deployment, also against an autoscaler
// that somebody typed out beside the app.
func (w Workload) guarantee() object.Guarantee {
	g := object.Guarantee{Of: object.ID{Group: "apps", Kind: "Deployment", Namespace: w.Namespace, Name: w.Name}, Replicas: true}
	if w.Login != nil {
		g.OnePod = w.Login.OnePod()
		g.Env = append(sortedKeys(w.Login.SecretEnv()), sortedKeys(w.Login.Env())...)
	}
	return g
}

// checkDeployment refuses a Deployment that lost what the app was given: a
// variable of its sign-in, or its number of replicas.
func (w Workload) checkDeployment(objects []object.Object) field.ErrorList {
	var errs field.ErrorList
	for _, o := range objects {
		d, ok := o.(*appsv1.Deployment)
		if !ok {
			continue
		}
		if d.Spec.Replicas == nil && w.Autoscale == nil {
			errs = append(errs, field.Required(field.NewPath("replicas"), "a change removed them: without a number in the manifest a scaling by hand stays"))
		}
		if w.Login == nil {
			continue
		}
		has := make(map[string]bool)
		for _, c := range d.Spec.Template.Spec.Containers {
			for _, e := range c.Env {
				has[e.Name] = true
			}
		}
		for _, name := range append(sortedKeys(w.Login.SecretEnv()), sortedKeys(w.Login.Env())...) {
			if !has[name] {
				errs = append(errs, field.Required(field.NewPath("login"), "a change removed the variable "+name+", which the sign-in needs"))
			}
		}
	}
	return errs
}

// checkOnePod refuses more than one pod where the login allows one only, or a
// claim does.
func (w Workload) checkOnePod(k kind, objects []object.Object) field.ErrorList {
	var why []string
	if w.Login != nil && w.Login.OnePod() != "" {
		why = append(why, w.Login.OnePod())
	}
	held := w.held(k)
	if held != nil {
		why = append(why, held.String()+" can be held by one pod: use a StatefulSet, where each pod has its own, or a claim that is shared")
	}
	var errs field.ErrorList
	refuse := func(path *field.Path, n int32) {
		for _, msg := range why {
			if n > 1 {
				errs = append(errs, field.Invalid(path, n, msg))
			}
		}
	}
	for _, o := range objects {
		switch o := o.(type) {
		case *appsv1.Deployment:
			if o.Spec.Replicas != nil {
				refuse(field.NewPath("replicas"), *o.Spec.Replicas)
			}
			if held != nil && o.Spec.Strategy.Type != appsv1.RecreateDeploymentStrategyType {
				errs = append(errs, field.Invalid(held, field.OmitValueType{}, "can be held by one pod, and a change has the new pod start beside the old one: leave the strategy at Recreate"))
			}
		case *appsv1.StatefulSet:
			if o.Spec.Replicas != nil {
				refuse(field.NewPath("replicas"), *o.Spec.Replicas)
			}
		case *autoscalingv2.HorizontalPodAutoscaler:
			refuse(field.NewPath("autoscale", "max"), o.Spec.MaxReplicas)
		}
	}
	return errs
}

func (w Workload) deployment(k kind) object.Object {
	d := &appsv1.Deployment{
		TypeMeta:   metav1.TypeMeta{APIVersion: "apps/v1", Kind: "Deployment"},
		ObjectMeta: meta(w.Namespace, w.Name),
		Spec: appsv1.DeploymentSpec{
			Selector: &metav1.LabelSelector{MatchLabels: selector(w.Name)},
			Strategy: appsv1.DeploymentStrategy{
				Type: appsv1.RollingUpdateDeploymentStrategyType,
				RollingUpdate: &appsv1.RollingUpdateDeployment{
					MaxUnavailable: new(intstr.FromInt32(0)),
					MaxSurge:       new(intstr.FromInt32(1)),
				},
			},
			RevisionHistoryLimit: new(int32(5)),
			Template:             w.template(k),
		},
	}
	if w.Autoscale == nil {
		d.Spec.Replicas = new(max(w.Replicas, 1))
	}
	if w.held(k) != nil {
		d.Spec.Strategy = appsv1.DeploymentStrategy{Type: appsv1.RecreateDeploymentStrategyType}
	}
	return d
}

func (w Workload) service(k kind) *corev1.Service {
	s := &corev1.Service{
		TypeMeta:   metav1.TypeMeta{APIVersion: "v1", Kind: "Service"},
		ObjectMeta: meta(w.Namespace, w.Name),
		Spec: corev1.ServiceSpec{
			Selector: selector(w.Name),
			Ports: []corev1.ServicePort{{
				Name: k.port, Port: w.Port, TargetPort: intstr.FromString(k.port), Protocol: corev1.ProtocolTCP,
			}},
		},
	}
	for _, p := range w.Ports {
		s.Spec.Ports = append(s.Spec.Ports, corev1.ServicePort{Name: p.Name, Port: p.Port, TargetPort: intstr.FromString(p.Name), Protocol: corev1.ProtocolTCP})
	}
	return s
}

func (w Workload) disruptionBudget() object.Object {
	return &policyv1.PodDisruptionBudget{
		TypeMeta:   metav1.TypeMeta{APIVersion: "policy/v1", Kind: "PodDisruptionBudget"},
		ObjectMeta: meta(w.Namespace, w.Name),
		Spec: policyv1.PodDisruptionBudgetSpec{
			// Not minAvailable: with one pod it would block every drain of the node.
			MaxUnavailable:             new(intstr.FromInt32(1)),
			UnhealthyPodEvictionPolicy: new(policyv1.AlwaysAllow),
			Selector:                   &metav1.LabelSelector{MatchLabels: selector(w.Name)},
		},
	}
}

func (w Workload) autoscaler() object.Object {
	cpu := w.Autoscale.CPU
	if cpu == 0 {
		cpu = 80
	}
	return &autoscalingv2.HorizontalPodAutoscaler{
		TypeMeta:   metav1.TypeMeta{APIVersion: "autoscaling/v2", Kind: "HorizontalPodAutoscaler"},
		ObjectMeta: meta(w.Namespace, w.Name),
		Spec: autoscalingv2.HorizontalPodAutoscalerSpec{
			ScaleTargetRef: autoscalingv2.CrossVersionObjectReference{APIVersion: "apps/v1", Kind: "Deployment", Name: w.Name},
			MinReplicas:    new(w.Autoscale.Min),
			MaxReplicas:    w.Autoscale.Max,
			Metrics: []autoscalingv2.MetricSpec{{
				Type: autoscalingv2.ResourceMetricSourceType,
				Resource: &autoscalingv2.ResourceMetricSource{
					Name:   corev1.ResourceCPU,
					Target: autoscalingv2.MetricTarget{Type: autoscalingv2.UtilizationMetricType, AverageUtilization: &cpu},
				},
			}},
		},
	}
}
