// Package data is an example of another fleet layer: the Redis in which the
// apps keep their sessions. It has a component of its own, and takes the rest
// from the module that it imports.
package data

import (
	"fmt"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/intstr"
	"k8s.io/apimachinery/pkg/util/validation/field"

	"git.lastcloud.io/ronnibaslund/dezky/fleet/components"
	"git.lastcloud.io/ronnibaslund/dezky/fleet/components/secret"
	"git.lastcloud.io/ronnibaslund/dezky/fleet/render"
	"git.lastcloud.io/ronnibaslund/dezky/fleet/render/readme"
	"git.lastcloud.io/ronnibaslund/dezky/fleet/secrets"
)

// Redis is one Redis with its data on a volume.
type Redis struct {
	// Name and Namespace of all objects.
	Name, Namespace string
	// Image with tag or digest.
	Image string
	// Storage is the size of the volume. If zero, 1Gi.
	Storage resource.Quantity
	// Memory is the limit; Redis itself stops at three quarters of it. If
	// zero, 256Mi.
	Memory resource.Quantity
}

// Secret is the contract of the password.
func (r Redis) Secret() secret.Contract {
	return secret.Contract{
		Name: r.Name + "-auth", Namespace: r.Namespace,
		Keys: []secret.Key{{
			Name: "REDIS_PASSWORD", Purpose: "Password of the Redis",
			Format: secret.Random(48), Rotation: secret.RotationNeedsPeer,
		}},
	}
}

// About implements components.Component.
func (Redis) About() components.About { return components.About{} }

// Objects implements components.Component.
func (r Redis) Objects() ([]components.Object, error) {
	var errs field.ErrorList
	if r.Image == "" {
		errs = append(errs, field.Required(field.NewPath("image"), "give the image with its tag or digest"))
	}
	storage, memory := r.Storage, r.Memory
	if storage.IsZero() {
		storage = resource.MustParse("1Gi")
	}
	if memory.IsZero() {
		memory = resource.MustParse("256Mi")
	}
	password := r.Secret().Key("REDIS_PASSWORD")
	meta := metav1.ObjectMeta{Namespace: r.Namespace, Name: r.Name, Labels: components.Labels(r.Name)}
	selector := map[string]string{"app.kubernetes.io/name": r.Name}
	const port = 6379

	return []components.Object{
		&corev1.Service{
			TypeMeta:   metav1.TypeMeta{APIVersion: "v1", Kind: "Service"},
			ObjectMeta: meta,
			Spec: corev1.ServiceSpec{
				Selector: selector,
				Ports:    []corev1.ServicePort{{Name: "redis", Port: port, TargetPort: intstr.FromString("redis")}},
			},
		},
		&appsv1.StatefulSet{
			TypeMeta:   metav1.TypeMeta{APIVersion: "apps/v1", Kind: "StatefulSet"},
			ObjectMeta: meta,
			Spec: appsv1.StatefulSetSpec{
				Replicas:    new(int32(1)),
				ServiceName: r.Name,
				Selector:    &metav1.LabelSelector{MatchLabels: selector},
				Template: corev1.PodTemplateSpec{
					ObjectMeta: metav1.ObjectMeta{Labels: components.Labels(r.Name)},
					Spec: corev1.PodSpec{
						AutomountServiceAccountToken: new(false),
						EnableServiceLinks:           new(false),
						SecurityContext: &corev1.PodSecurityContext{
							RunAsNonRoot: new(true), RunAsUser: new(int64(999)), RunAsGroup: new(int64(999)), FSGroup: new(int64(999)),
							SeccompProfile: &corev1.SeccompProfile{Type: corev1.SeccompProfileTypeRuntimeDefault},
						},
						Containers: []corev1.Container{{
							Name:  "redis",
							Image: r.Image,
							Args: []string{
								"--appendonly", "yes",
								"--maxmemory", fmt.Sprint(memory.Value() / 4 * 3),
								// A full store must refuse new sessions, not forget old ones.
								"--maxmemory-policy", "noeviction",
								"--requirepass", "$(REDIS_PASSWORD)",
							},
							Env: []corev1.EnvVar{{Name: "REDIS_PASSWORD", ValueFrom: &corev1.EnvVarSource{SecretKeyRef: &corev1.SecretKeySelector{
								LocalObjectReference: corev1.LocalObjectReference{Name: password.Secret}, Key: password.Key,
							}}}},
							Ports:          []corev1.ContainerPort{{Name: "redis", ContainerPort: port}},
							ReadinessProbe: &corev1.Probe{ProbeHandler: corev1.ProbeHandler{TCPSocket: &corev1.TCPSocketAction{Port: intstr.FromString("redis")}}},
							Resources: corev1.ResourceRequirements{
								Requests: corev1.ResourceList{corev1.ResourceMemory: memory},
								Limits:   corev1.ResourceList{corev1.ResourceMemory: memory},
							},
							SecurityContext: &corev1.SecurityContext{
								AllowPrivilegeEscalation: new(false),
								ReadOnlyRootFilesystem:   new(true),
								Capabilities:             &corev1.Capabilities{Drop: []corev1.Capability{"ALL"}},
							},
							VolumeMounts: []corev1.VolumeMount{{Name: "data", MountPath: "/data"}},
						}},
					},
				},
				VolumeClaimTemplates: []corev1.PersistentVolumeClaim{{
					ObjectMeta: metav1.ObjectMeta{Name: "data"},
					Spec: corev1.PersistentVolumeClaimSpec{
						AccessModes: []corev1.PersistentVolumeAccessMode{corev1.ReadWriteOnce},
						Resources:   corev1.VolumeResourceRequirements{Requests: corev1.ResourceList{corev1.ResourceStorage: storage}},
					},
				}},
			},
		},
	}, components.Mistakes("Redis", r.Namespace, r.Name, errs)
}

// Tree is the layer.
func Tree(string, render.Images) (render.Tree, error) {
	redis := Redis{Name: "redis", Namespace: "dezky-data", Image: "redis:8.2"}
	tree := render.Tree{
		Name: "the dezky data tier",
		ID:   "dezky-data",
		Layers: []render.Layer{{Name: "data", Namespace: redis.Namespace, Files: []render.File{
			{Name: "00-namespace", Components: []render.Component{components.Namespace{Name: redis.Namespace}}},
			{Name: "redis", Components: []render.Component{redis}},
		}}},
		Secrets: []secret.Contract{redis.Secret()},
	}
	tree.Texts = []render.Text{
		{Name: "README.md", Content: readme.Doc{Tree: tree, Template: "secrets.example.yaml"}.Markdown},
		{Name: "secrets.example.yaml", Content: secrets.Set{Secrets: tree.Secrets}.Template},
	}
	return tree, nil
}
