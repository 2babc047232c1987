package components

import (
	"fmt"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/validation/field"

	"git.lastcloud.io/ronnibaslund/dezky/fleet/render/object"
)

// StatefulSet is pods that each keep their name and their storage, such as
// those of a database: ServiceAccount, StatefulSet, headless Service,
// PodDisruptionBudget, and where asked for a NetworkPolicy. All are named after
// the workload.
//
// Each Claim without a Name is one for every pod, named VOLUME-NAME-0 and so
// on. It stays when the StatefulSet goes. Its size and class cannot change
// afterwards (Kubernetes documentation, "StatefulSets").
type StatefulSet Workload

var statefulSet = kind{name: "StatefulSet", resource: "statefulset", port: "tcp", long: longSet}

// Host returns the Service's name inside the cluster. It stands for the pods
// themselves, since the Service is headless.
func (s StatefulSet) Host() string { return s.Name + "." + s.Namespace + ".svc.cluster.local" }

// Address returns host:port inside the cluster.
func (s StatefulSet) Address() string { return fmt.Sprintf("%s:%d", s.Host(), s.Port) }

// Peer returns the pods, for the Network of another app.
func (s StatefulSet) Peer() Peer { return Workload(s).peer() }

// About implements [object.Component].
func (s StatefulSet) About() object.About { return Workload(s).about(statefulSet) }

// Objects implements [object.Component].
func (s StatefulSet) Objects() ([]object.Object, error) {
	w := Workload(s)
	errs := w.validate(statefulSet)
	objects := []object.Object{w.serviceAccount(), w.statefulSet(), w.headless(), w.disruptionBudget()}
	if n := w.networkPolicy(); n != nil {
		objects = append(objects, n)
	}
	errs = append(errs, Apply(objects, w.Changes)...)
	errs = append(errs, w.checkOnePod(statefulSet, objects)...)
	for _, o := range objects {
		if set, ok := o.(*appsv1.StatefulSet); ok && set.Spec.Replicas == nil {
			errs = append(errs, field.Required(field.NewPath("replicas"), "a change removed them: without a number in the manifest a scaling by hand stays"))
		}
	}
	return objects, object.Invalid(object.ID{Kind: statefulSet.name, Namespace: w.Namespace, Name: w.Name}, errs).Err()
}

func (w Workload) statefulSet() object.Object {
	set := &appsv1.StatefulSet{
		TypeMeta:   metav1.TypeMeta{APIVersion: "apps/v1", Kind: "StatefulSet"},
		ObjectMeta: meta(w.Namespace, w.Name),
		Spec: appsv1.StatefulSetSpec{
			Replicas:             new(max(w.Replicas, 1)),
			ServiceName:          w.Name,
			Selector:             &metav1.LabelSelector{MatchLabels: selector(w.Name)},
			RevisionHistoryLimit: new(int32(5)),
			Template:             w.template(statefulSet),
		},
	}
	for _, c := range w.containers() {
		for _, v := range c.of.Volumes {
			if v.Claim != nil && v.Claim.Name == "" {
				set.Spec.VolumeClaimTemplates = append(set.Spec.VolumeClaimTemplates, corev1.PersistentVolumeClaim{
					ObjectMeta: metav1.ObjectMeta{Name: v.Name}, Spec: v.Claim.spec(),
				})
			}
		}
	}
	return set
}

// headless is a Service without an address: its name leads to the pods.
func (w Workload) headless() object.Object {
	s := w.service(statefulSet)
	s.Spec.ClusterIP = corev1.ClusterIPNone
	return s
}
