package plain

import (
	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	networkingv1 "k8s.io/api/networking/v1"
	policyv1 "k8s.io/api/policy/v1"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/intstr"

	"git.lastcloud.io/ronnibaslund/dezky/fleet/render/object"
)

func structs() []object.Object {
	selector := map[string]string{"app.kubernetes.io/name": "web"}
	labels := map[string]string{"app.kubernetes.io/name": "web", "app.kubernetes.io/managed-by": "fleet"}
	meta := metav1.ObjectMeta{Name: "web", Namespace: "shop", Labels: labels}
	probe := func(path string, period, failures int32) *corev1.Probe {
		return &corev1.Probe{
			ProbeHandler: corev1.ProbeHandler{
				HTTPGet: &corev1.HTTPGetAction{Path: path, Port: intstr.FromString("http")},
			},
			PeriodSeconds:    period,
			FailureThreshold: failures,
			TimeoutSeconds:   3,
		}
	}
	system := &metav1.LabelSelector{MatchLabels: map[string]string{"kubernetes.io/metadata.name": "kube-system"}}
	tcp, udp := corev1.ProtocolTCP, corev1.ProtocolUDP
	dns, port := intstr.FromInt32(53), intstr.FromInt32(3000)
	prefix := networkingv1.PathTypePrefix

	return []object.Object{
		&corev1.ServiceAccount{
			TypeMeta:                     metav1.TypeMeta{APIVersion: "v1", Kind: "ServiceAccount"},
			ObjectMeta:                   meta,
			AutomountServiceAccountToken: new(false),
		},
		&appsv1.Deployment{
			TypeMeta:   metav1.TypeMeta{APIVersion: "apps/v1", Kind: "Deployment"},
			ObjectMeta: meta,
			Spec: appsv1.DeploymentSpec{
				Replicas:             new(int32(2)),
				RevisionHistoryLimit: new(int32(5)),
				Selector:             &metav1.LabelSelector{MatchLabels: selector},
				Strategy: appsv1.DeploymentStrategy{
					Type: appsv1.RollingUpdateDeploymentStrategyType,
					RollingUpdate: &appsv1.RollingUpdateDeployment{
						MaxSurge:       new(intstr.FromInt32(1)),
						MaxUnavailable: new(intstr.FromInt32(0)),
					},
				},
				Template: corev1.PodTemplateSpec{
					ObjectMeta: metav1.ObjectMeta{Labels: labels},
					Spec: corev1.PodSpec{
						ServiceAccountName:            "web",
						AutomountServiceAccountToken:  new(false),
						EnableServiceLinks:            new(false),
						TerminationGracePeriodSeconds: new(int64(45)),
						SecurityContext: &corev1.PodSecurityContext{
							RunAsUser:      new(int64(1000)),
							RunAsGroup:     new(int64(1000)),
							FSGroup:        new(int64(1000)),
							RunAsNonRoot:   new(true),
							SeccompProfile: &corev1.SeccompProfile{Type: corev1.SeccompProfileTypeRuntimeDefault},
						},
						Containers: []corev1.Container{{
							Name:  "web",
							Image: "registry.example.com/shop/web:v1",
							Env: []corev1.EnvVar{
								{Name: "API_KEY", ValueFrom: &corev1.EnvVarSource{
									SecretKeyRef: &corev1.SecretKeySelector{
										LocalObjectReference: corev1.LocalObjectReference{Name: "shop-secrets"},
										Key:                  "API_KEY",
									},
								}},
								{Name: "PORT", Value: "3000"},
								{Name: "STAGE", Value: "production"},
							},
							Ports:          []corev1.ContainerPort{{Name: "http", ContainerPort: 3000, Protocol: tcp}},
							StartupProbe:   probe("/live", 2, 60),
							ReadinessProbe: probe("/ready", 5, 3),
							LivenessProbe:  probe("/live", 10, 6),
							Lifecycle: &corev1.Lifecycle{
								PreStop: &corev1.LifecycleHandler{Sleep: &corev1.SleepAction{Seconds: 5}},
							},
							Resources: corev1.ResourceRequirements{
								Requests: corev1.ResourceList{
									corev1.ResourceCPU:    resource.MustParse("50m"),
									corev1.ResourceMemory: resource.MustParse("128Mi"),
								},
								Limits: corev1.ResourceList{
									corev1.ResourceMemory: resource.MustParse("512Mi"),
								},
							},
							SecurityContext: &corev1.SecurityContext{
								AllowPrivilegeEscalation: new(false),
								ReadOnlyRootFilesystem:   new(true),
								Capabilities:             &corev1.Capabilities{Drop: []corev1.Capability{"ALL"}},
							},
							VolumeMounts: []corev1.VolumeMount{{Name: "tmp", MountPath: "/tmp"}},
						}},
						Volumes: []corev1.Volume{{
							Name: "tmp",
							VolumeSource: corev1.VolumeSource{
								EmptyDir: &corev1.EmptyDirVolumeSource{SizeLimit: new(resource.MustParse("1Gi"))},
							},
						}},
						TopologySpreadConstraints: []corev1.TopologySpreadConstraint{{
							MaxSkew:           1,
							TopologyKey:       "kubernetes.io/hostname",
							WhenUnsatisfiable: corev1.ScheduleAnyway,
							LabelSelector:     &metav1.LabelSelector{MatchLabels: selector},
						}},
					},
				},
			},
		},
		&corev1.Service{
			TypeMeta:   metav1.TypeMeta{APIVersion: "v1", Kind: "Service"},
			ObjectMeta: meta,
			Spec: corev1.ServiceSpec{
				Selector: selector,
				Ports:    []corev1.ServicePort{{Name: "http", Port: 3000, Protocol: tcp, TargetPort: intstr.FromString("http")}},
			},
		},
		&policyv1.PodDisruptionBudget{
			TypeMeta:   metav1.TypeMeta{APIVersion: "policy/v1", Kind: "PodDisruptionBudget"},
			ObjectMeta: meta,
			Spec: policyv1.PodDisruptionBudgetSpec{
				MaxUnavailable:             new(intstr.FromInt32(1)),
				Selector:                   &metav1.LabelSelector{MatchLabels: selector},
				UnhealthyPodEvictionPolicy: new(policyv1.AlwaysAllow),
			},
		},
		&networkingv1.NetworkPolicy{
			TypeMeta:   metav1.TypeMeta{APIVersion: "networking.k8s.io/v1", Kind: "NetworkPolicy"},
			ObjectMeta: meta,
			Spec: networkingv1.NetworkPolicySpec{
				PodSelector: metav1.LabelSelector{MatchLabels: selector},
				PolicyTypes: []networkingv1.PolicyType{networkingv1.PolicyTypeIngress, networkingv1.PolicyTypeEgress},
				Ingress: []networkingv1.NetworkPolicyIngressRule{{
					From:  []networkingv1.NetworkPolicyPeer{{NamespaceSelector: system, PodSelector: &metav1.LabelSelector{}}},
					Ports: []networkingv1.NetworkPolicyPort{{Protocol: &tcp, Port: &port}},
				}},
				Egress: []networkingv1.NetworkPolicyEgressRule{{
					To: []networkingv1.NetworkPolicyPeer{{
						NamespaceSelector: system,
						PodSelector:       &metav1.LabelSelector{MatchLabels: map[string]string{"k8s-app": "kube-dns"}},
					}},
					Ports: []networkingv1.NetworkPolicyPort{{Protocol: &udp, Port: &dns}, {Protocol: &tcp, Port: &dns}},
				}},
			},
		},
		&networkingv1.Ingress{
			TypeMeta: metav1.TypeMeta{APIVersion: "networking.k8s.io/v1", Kind: "Ingress"},
			ObjectMeta: metav1.ObjectMeta{
				Name: "web", Namespace: "shop", Labels: labels,
				Annotations: map[string]string{
					"cert-manager.io/cluster-issuer":                   "letsencrypt",
					"traefik.ingress.kubernetes.io/router.entrypoints": "web,websecure",
					"traefik.ingress.kubernetes.io/router.middlewares": "shop-redirect-https@kubernetescrd",
				},
			},
			Spec: networkingv1.IngressSpec{
				IngressClassName: new("traefik"),
				TLS:              []networkingv1.IngressTLS{{Hosts: []string{"shop.example.com"}, SecretName: "web-tls"}},
				Rules: []networkingv1.IngressRule{{
					Host: "shop.example.com",
					IngressRuleValue: networkingv1.IngressRuleValue{HTTP: &networkingv1.HTTPIngressRuleValue{
						Paths: []networkingv1.HTTPIngressPath{{
							Path:     "/",
							PathType: &prefix,
							Backend: networkingv1.IngressBackend{Service: &networkingv1.IngressServiceBackend{
								Name: "web", Port: networkingv1.ServiceBackendPort{Name: "http"},
							}},
						}},
					}},
				}},
			},
		},
	}
}
