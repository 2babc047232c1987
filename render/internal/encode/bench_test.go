package encode

import (
	"encoding/json"
	"testing"

	traefikdyn "github.com/traefik/traefik/v3/pkg/config/dynamic"
	traefik "github.com/traefik/traefik/v3/pkg/provider/kubernetes/crd/traefikio/v1alpha1"
	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	networkingv1 "k8s.io/api/networking/v1"
	policyv1 "k8s.io/api/policy/v1"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/intstr"
	"sigs.k8s.io/yaml"
)

func ptr[T any](v T) *T { return &v }

// objects is a small application.
func objects() []any {
	labels := map[string]string{
		"app.kubernetes.io/name":       "api",
		"app.kubernetes.io/instance":   "shop-api",
		"app.kubernetes.io/part-of":    "shop",
		"app.kubernetes.io/managed-by": "fleet",
	}
	selector := map[string]string{"app.kubernetes.io/name": "api", "app.kubernetes.io/instance": "shop-api"}
	meta := metav1.ObjectMeta{Name: "api", Namespace: "shop", Labels: labels}
	type_ := func(version, kind string) metav1.TypeMeta { return metav1.TypeMeta{APIVersion: version, Kind: kind} }
	probe := func(path string) *corev1.Probe {
		return &corev1.Probe{
			ProbeHandler:     corev1.ProbeHandler{HTTPGet: &corev1.HTTPGetAction{Path: path, Port: intstr.FromString("http")}},
			PeriodSeconds:    10,
			FailureThreshold: 3,
		}
	}
	env := func(name, value string) corev1.EnvVar { return corev1.EnvVar{Name: name, Value: value} }

	return []any{
		&appsv1.Deployment{
			TypeMeta: type_("apps/v1", "Deployment"), ObjectMeta: meta,
			Spec: appsv1.DeploymentSpec{
				Replicas: ptr[int32](3),
				Selector: &metav1.LabelSelector{MatchLabels: selector},
				Template: corev1.PodTemplateSpec{
					ObjectMeta: metav1.ObjectMeta{Labels: labels, Annotations: map[string]string{"checksum/config": "2f7c6ba1"}},
					Spec: corev1.PodSpec{
						ServiceAccountName: "api",
						SecurityContext:    &corev1.PodSecurityContext{RunAsNonRoot: ptr(true), RunAsUser: ptr[int64](1000), FSGroup: ptr[int64](1000)},
						Containers: []corev1.Container{{
							Name:  "api",
							Image: "registry.example.com/shop/api:1.27.3",
							Args:  []string{"--listen=:8080", "--log-level=info"},
							Env: []corev1.EnvVar{
								env("DATABASE_HOST", "postgres.shop.svc"), env("DATABASE_PORT", "5432"), env("FEATURES", "cart,search"), env("DEBUG", "false"),
								{Name: "DATABASE_PASSWORD", ValueFrom: &corev1.EnvVarSource{SecretKeyRef: &corev1.SecretKeySelector{
									LocalObjectReference: corev1.LocalObjectReference{Name: "api-database"}, Key: "password",
								}}},
							},
							Ports: []corev1.ContainerPort{{Name: "http", ContainerPort: 8080, Protocol: corev1.ProtocolTCP}},
							Resources: corev1.ResourceRequirements{
								Requests: corev1.ResourceList{"cpu": resource.MustParse("100m"), "memory": resource.MustParse("128Mi")},
								Limits:   corev1.ResourceList{"memory": resource.MustParse("512Mi")},
							},
							ReadinessProbe: probe("/ready"),
							LivenessProbe:  probe("/healthz"),
							SecurityContext: &corev1.SecurityContext{
								AllowPrivilegeEscalation: ptr(false),
								ReadOnlyRootFilesystem:   ptr(true),
								Capabilities:             &corev1.Capabilities{Drop: []corev1.Capability{"ALL"}},
							},
							VolumeMounts: []corev1.VolumeMount{{Name: "config", MountPath: "/etc/api", ReadOnly: true}, {Name: "tmp", MountPath: "/tmp"}},
						}},
						Volumes: []corev1.Volume{
							{Name: "config", VolumeSource: corev1.VolumeSource{ConfigMap: &corev1.ConfigMapVolumeSource{LocalObjectReference: corev1.LocalObjectReference{Name: "api"}}}},
							{Name: "tmp", VolumeSource: corev1.VolumeSource{EmptyDir: &corev1.EmptyDirVolumeSource{}}},
						},
					},
				},
			},
		},
		&corev1.Service{
			TypeMeta: type_("v1", "Service"), ObjectMeta: meta,
			Spec: corev1.ServiceSpec{
				Selector: selector,
				Ports:    []corev1.ServicePort{{Name: "http", Port: 80, TargetPort: intstr.FromString("http"), Protocol: corev1.ProtocolTCP}},
			},
		},
		&corev1.ServiceAccount{TypeMeta: type_("v1", "ServiceAccount"), ObjectMeta: meta, AutomountServiceAccountToken: ptr(false)},
		&policyv1.PodDisruptionBudget{
			TypeMeta: type_("policy/v1", "PodDisruptionBudget"), ObjectMeta: meta,
			Spec: policyv1.PodDisruptionBudgetSpec{MaxUnavailable: ptr(intstr.FromInt32(1)), Selector: &metav1.LabelSelector{MatchLabels: selector}},
		},
		&networkingv1.Ingress{
			TypeMeta: type_("networking.k8s.io/v1", "Ingress"),
			ObjectMeta: metav1.ObjectMeta{Name: "api", Namespace: "shop", Labels: labels, Annotations: map[string]string{
				"cert-manager.io/cluster-issuer":                   "letsencrypt",
				"traefik.ingress.kubernetes.io/router.entrypoints": "websecure",
				"traefik.ingress.kubernetes.io/router.middlewares": "shop-headers@kubernetescrd",
			}},
			Spec: networkingv1.IngressSpec{
				IngressClassName: ptr("traefik"),
				TLS:              []networkingv1.IngressTLS{{Hosts: []string{"api.example.com"}, SecretName: "api-tls"}},
				Rules: []networkingv1.IngressRule{{Host: "api.example.com", IngressRuleValue: networkingv1.IngressRuleValue{HTTP: &networkingv1.HTTPIngressRuleValue{
					Paths: []networkingv1.HTTPIngressPath{{Path: "/", PathType: ptr(networkingv1.PathTypePrefix), Backend: networkingv1.IngressBackend{
						Service: &networkingv1.IngressServiceBackend{Name: "api", Port: networkingv1.ServiceBackendPort{Name: "http"}},
					}}},
				}}}},
			},
		},
		&corev1.ConfigMap{
			TypeMeta: type_("v1", "ConfigMap"), ObjectMeta: meta,
			Data: map[string]string{
				"LOG_FORMAT":  "json",
				"config.yaml": "server:\n  listen: :8080\n  timeout: 30s\ncache:\n  size: 1000\n  ttl: 5m\n# the end\n",
			},
		},
		&traefik.Middleware{
			TypeMeta: type_("traefik.io/v1alpha1", "Middleware"), ObjectMeta: meta,
			Spec: traefik.MiddlewareSpec{Headers: &traefikdyn.Headers{
				CustomResponseHeaders: map[string]string{"X-Robots-Tag": "none"},
				STSSeconds:            ptr[int64](31536000),
				STSIncludeSubdomains:  true,
				FrameDeny:             true,
				ContentTypeNosniff:    true,
				ReferrerPolicy:        "no-referrer",
			}},
		},
	}
}

func TestObjects(t *testing.T) {
	for _, obj := range objects() {
		check(t, obj)
	}
}

// BenchmarkObject measures one object of a small application, on average.
func BenchmarkObject(b *testing.B) {
	objs := objects()
	var buf []byte
	for name, run := range map[string]func(any) error{
		"encode": func(obj any) (err error) {
			buf, err = Append(buf[:0], obj)
			return err
		},
		"json": func(obj any) (err error) {
			buf, err = json.Marshal(obj)
			return err
		},
		"sigs": func(obj any) (err error) {
			buf, err = yaml.Marshal(obj)
			return err
		},
	} {
		b.Run(name, func(b *testing.B) {
			b.ReportAllocs()
			size, n := 0, 0
			for b.Loop() {
				if err := run(objs[n%len(objs)]); err != nil {
					b.Fatal(err)
				}
				size += len(buf)
				n++
			}
			b.ReportMetric(float64(size)/float64(n), "bytes/object")
		})
	}
}

// BenchmarkFirst measures the objects of a small application when no type has been
// seen before, as at the start of a program.
func BenchmarkFirst(b *testing.B) {
	objs := objects()
	var buf []byte
	b.ReportAllocs()
	for b.Loop() {
		addrPlans.Clear()
		valuePlans.Clear()
		for _, obj := range objs {
			var err error
			if buf, err = Append(buf[:0], obj); err != nil {
				b.Fatal(err)
			}
		}
	}
}
