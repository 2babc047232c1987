package components

import "k8s.io/apimachinery/pkg/runtime/schema"

// resourceOf is the name by which RBAC knows a kind, the plural of its API.
// It follows from no rule: Gateway is gateways and MongoDBCommunity is
// mongodbcommunity. So there is a table, and stated is for what it lacks. Both
// have the kind as Kind.group, and the core group's as Kind.
func resourceOf(kind schema.GroupKind, stated map[string]string) (resource string, ok bool) {
	if resource, ok = plurals[kind.String()]; ok {
		return resource, true
	}
	resource, ok = stated[kind.String()]
	return resource, ok
}

// plurals are the namespaced kinds of Kubernetes, of the Gateway API, and of
// what the cluster has: cert-manager, Traefik, k3s, and the usual operators for
// Secrets, metrics and MongoDB. Each stands in the API's definition, spec.names.plural
// of a CustomResourceDefinition.
var plurals = map[string]string{
	"ConfigMap":             "configmaps",
	"Endpoints":             "endpoints",
	"Event":                 "events",
	"LimitRange":            "limitranges",
	"PersistentVolumeClaim": "persistentvolumeclaims",
	"Pod":                   "pods",
	"PodTemplate":           "podtemplates",
	"ReplicationController": "replicationcontrollers",
	"ResourceQuota":         "resourcequotas",
	"Secret":                "secrets",
	"Service":               "services",
	"ServiceAccount":        "serviceaccounts",

	"ControllerRevision.apps":                "controllerrevisions",
	"DaemonSet.apps":                         "daemonsets",
	"Deployment.apps":                        "deployments",
	"ReplicaSet.apps":                        "replicasets",
	"StatefulSet.apps":                       "statefulsets",
	"HorizontalPodAutoscaler.autoscaling":    "horizontalpodautoscalers",
	"CronJob.batch":                          "cronjobs",
	"Job.batch":                              "jobs",
	"Lease.coordination.k8s.io":              "leases",
	"EndpointSlice.discovery.k8s.io":         "endpointslices",
	"Event.events.k8s.io":                    "events",
	"Ingress.networking.k8s.io":              "ingresses",
	"NetworkPolicy.networking.k8s.io":        "networkpolicies",
	"PodDisruptionBudget.policy":             "poddisruptionbudgets",
	"Role.rbac.authorization.k8s.io":         "roles",
	"RoleBinding.rbac.authorization.k8s.io":  "rolebindings",
	"ResourceClaim.resource.k8s.io":          "resourceclaims",
	"ResourceClaimTemplate.resource.k8s.io":  "resourceclaimtemplates",
	"CSIStorageCapacity.storage.k8s.io":      "csistoragecapacities",
	"VolumeSnapshot.snapshot.storage.k8s.io": "volumesnapshots",

	"BackendTLSPolicy.gateway.networking.k8s.io": "backendtlspolicies",
	"Gateway.gateway.networking.k8s.io":          "gateways",
	"GRPCRoute.gateway.networking.k8s.io":        "grpcroutes",
	"HTTPRoute.gateway.networking.k8s.io":        "httproutes",
	"ReferenceGrant.gateway.networking.k8s.io":   "referencegrants",
	"TCPRoute.gateway.networking.k8s.io":         "tcproutes",
	"TLSRoute.gateway.networking.k8s.io":         "tlsroutes",
	"UDPRoute.gateway.networking.k8s.io":         "udproutes",

	"Challenge.acme.cert-manager.io":     "challenges",
	"Order.acme.cert-manager.io":         "orders",
	"Certificate.cert-manager.io":        "certificates",
	"CertificateRequest.cert-manager.io": "certificaterequests",
	"Issuer.cert-manager.io":             "issuers",

	"IngressRoute.traefik.io":        "ingressroutes",
	"IngressRouteTCP.traefik.io":     "ingressroutetcps",
	"IngressRouteUDP.traefik.io":     "ingressrouteudps",
	"Middleware.traefik.io":          "middlewares",
	"MiddlewareTCP.traefik.io":       "middlewaretcps",
	"ServersTransport.traefik.io":    "serverstransports",
	"ServersTransportTCP.traefik.io": "serverstransporttcps",
	"TLSOption.traefik.io":           "tlsoptions",
	"TLSStore.traefik.io":            "tlsstores",
	"TraefikService.traefik.io":      "traefikservices",

	"MongoDBCommunity.mongodbcommunity.mongodb.com": "mongodbcommunity",
	"HelmChart.helm.cattle.io":                      "helmcharts",
	"HelmChartConfig.helm.cattle.io":                "helmchartconfigs",
	"SealedSecret.bitnami.com":                      "sealedsecrets",
	"ExternalSecret.external-secrets.io":            "externalsecrets",
	"SecretStore.external-secrets.io":               "secretstores",
	"PodMonitor.monitoring.coreos.com":              "podmonitors",
	"PrometheusRule.monitoring.coreos.com":          "prometheusrules",
	"ServiceMonitor.monitoring.coreos.com":          "servicemonitors",
}
