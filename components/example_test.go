package components_test

import (
	"fmt"
	"strings"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"

	"git.lastcloud.io/ronnibaslund/dezky/fleet/components"
	"git.lastcloud.io/ronnibaslund/dezky/fleet/components/secret"
	"git.lastcloud.io/ronnibaslund/dezky/fleet/render"
	"git.lastcloud.io/ronnibaslund/dezky/fleet/render/object"
)

// print writes objects as they are rendered; kinds picks some of them.
func print(c object.Component, kinds ...string) {
	objects, err := c.Objects()
	if err != nil {
		fmt.Println(err)
		return
	}
	for _, o := range objects {
		for _, kind := range kinds {
			if o.GetObjectKind().GroupVersionKind().Kind != kind {
				continue
			}
			text, err := render.YAML(o)
			if err != nil {
				fmt.Println(err)
			}
			fmt.Print("---\n" + string(text))
		}
	}
}

func ExampleWebApp() {
	api := components.WebApp{Name: "api", Namespace: "shop", Image: "registry.example.com/api:v1", Port: 3001}
	print(components.WebApp{
		Name:      "web",
		Namespace: "shop",
		Image:     "registry.example.com/web:v1",
		Port:      3000,
		Replicas:  2,
		Env:       map[string]string{"API_URL": api.URL()},
		Probes:    components.Probes{Startup: "/live", Readiness: "/ready", Liveness: "/live"},
	}, "Deployment", "Service")
	// Output:
	// ---
	// apiVersion: apps/v1
	// kind: Deployment
	// metadata:
	//   labels:
	//     app.kubernetes.io/managed-by: fleet
	//     app.kubernetes.io/name: web
	//   name: web
	//   namespace: shop
	// spec:
	//   replicas: 2
	//   revisionHistoryLimit: 5
	//   selector:
	//     matchLabels:
	//       app.kubernetes.io/name: web
	//   strategy:
	//     rollingUpdate:
	//       maxSurge: 1
	//       maxUnavailable: 0
	//     type: RollingUpdate
	//   template:
	//     metadata:
	//       labels:
	//         app.kubernetes.io/managed-by: fleet
	//         app.kubernetes.io/name: web
	//     spec:
	//       automountServiceAccountToken: false
	//       containers:
	//       - env:
	//         - name: API_URL
	//           value: http://api.shop:3001
	//         - name: PORT
	//           value: "3000"
	//         image: registry.example.com/web:v1
	//         lifecycle:
	//           preStop:
	//             sleep:
	//               seconds: 5
	//         livenessProbe:
	//           failureThreshold: 6
	//           httpGet:
	//             path: /live
	//             port: http
	//           periodSeconds: 10
	//           timeoutSeconds: 3
	//         name: web
	//         ports:
	//         - containerPort: 3000
	//           name: http
	//           protocol: TCP
	//         readinessProbe:
	//           failureThreshold: 3
	//           httpGet:
	//             path: /ready
	//             port: http
	//           periodSeconds: 5
	//           timeoutSeconds: 3
	//         resources:
	//           limits:
	//             memory: 512Mi
	//           requests:
	//             cpu: 50m
	//             memory: 128Mi
	//         securityContext:
	//           allowPrivilegeEscalation: false
	//           capabilities:
	//             drop:
	//             - ALL
	//           readOnlyRootFilesystem: true
	//         startupProbe:
	//           failureThreshold: 60
	//           httpGet:
	//             path: /live
	//             port: http
	//           periodSeconds: 2
	//           timeoutSeconds: 3
	//         volumeMounts:
	//         - mountPath: /tmp
	//           name: tmp
	//       enableServiceLinks: false
	//       securityContext:
	//         fsGroup: 1000
	//         runAsGroup: 1000
	//         runAsNonRoot: true
	//         runAsUser: 1000
	//         seccompProfile:
	//           type: RuntimeDefault
	//       serviceAccountName: web
	//       terminationGracePeriodSeconds: 45
	//       topologySpreadConstraints:
	//       - labelSelector:
	//           matchLabels:
	//             app.kubernetes.io/name: web
	//         maxSkew: 1
	//         topologyKey: kubernetes.io/hostname
	//         whenUnsatisfiable: ScheduleAnyway
	//       volumes:
	//       - emptyDir:
	//           sizeLimit: 1Gi
	//         name: tmp
	// ---
	// apiVersion: v1
	// kind: Service
	// metadata:
	//   labels:
	//     app.kubernetes.io/managed-by: fleet
	//     app.kubernetes.io/name: web
	//   name: web
	//   namespace: shop
	// spec:
	//   ports:
	//   - name: http
	//     port: 3000
	//     protocol: TCP
	//     targetPort: http
	//   selector:
	//     app.kubernetes.io/name: web
}

func ExampleTLSIngress() {
	print(components.TLSIngress{
		Host:     "www.example.com",
		Backend:  components.WebApp{Name: "web", Namespace: "shop", Port: 3000},
		Issuer:   "letsencrypt-prod",
		Redirect: components.MiddlewareRef{Namespace: "shop", Name: "redirect-https"},
	}, "Ingress")
	// Output:
	// ---
	// apiVersion: networking.k8s.io/v1
	// kind: Ingress
	// metadata:
	//   annotations:
	//     cert-manager.io/cluster-issuer: letsencrypt-prod
	//     traefik.ingress.kubernetes.io/router.entrypoints: web,websecure
	//     traefik.ingress.kubernetes.io/router.middlewares: shop-redirect-https@kubernetescrd
	//   labels:
	//     app.kubernetes.io/managed-by: fleet
	//     app.kubernetes.io/name: web
	//   name: web
	//   namespace: shop
	// spec:
	//   ingressClassName: traefik
	//   rules:
	//   - host: www.example.com
	//     http:
	//       paths:
	//       - backend:
	//           service:
	//             name: web
	//             port:
	//               name: http
	//         path: /
	//         pathType: Prefix
	//   tls:
	//   - hosts:
	//     - www.example.com
	//     secretName: web-tls
}

// The sign-in of a Grafana, whose own variables name the addresses and the
// keys of its Secret (Grafana documentation, "Configure generic OAuth2
// authentication").
func ExampleOIDCClient() {
	client := components.OIDCClient{
		Name:          "grafana",
		Namespace:     "monitoring",
		Host:          "grafana.example.com",
		Authentik:     "auth.example.com",
		CallbackPaths: []string{"/login/generic_oauth"},
		NoRefresh:     true,
		IDKey:         "CLIENT_ID",
		SecretKey:     "CLIENT_SECRET",
	}
	web := components.WebApp{
		Name: "grafana", Namespace: "monitoring", Image: "docker.io/grafana/grafana:12.0.0", Port: 3000,
		Env: map[string]string{
			"GF_AUTH_GENERIC_OAUTH_ENABLED":   "true",
			"GF_AUTH_GENERIC_OAUTH_SCOPES":    strings.Join(client.WithDefaults().Scopes, " "),
			"GF_AUTH_GENERIC_OAUTH_AUTH_URL":  client.Authorization(),
			"GF_AUTH_GENERIC_OAUTH_TOKEN_URL": client.Token(),
			"GF_AUTH_GENERIC_OAUTH_API_URL":   client.UserInfo(),
			"GF_AUTH_SIGNOUT_REDIRECT_URL":    client.EndSession(),
		},
		SecretEnv: map[string]secret.Ref{
			"GF_AUTH_GENERIC_OAUTH_CLIENT_ID":     client.ClientID(),
			"GF_AUTH_GENERIC_OAUTH_CLIENT_SECRET": client.ClientSecret(),
		},
	}
	_, err := web.Objects()
	fmt.Println(err)
	fmt.Println(client.RedirectURIs())
	fmt.Println(web.Env["GF_AUTH_GENERIC_OAUTH_SCOPES"], "at", web.Env["GF_AUTH_GENERIC_OAUTH_AUTH_URL"])
	fmt.Println("the id is", web.SecretEnv["GF_AUTH_GENERIC_OAUTH_CLIENT_ID"])
	// Output:
	// <nil>
	// [https://grafana.example.com/login/generic_oauth]
	// openid profile email at https://auth.example.com/application/o/authorize/
	// the id is monitoring/grafana-secrets.CLIENT_ID
}

// An oauth2-proxy before what has no sign-in of its own (oauth2-proxy
// documentation, "Overview" of its configuration). Its cookie secret is a
// further key of the client's Secret.
func ExampleOIDCClient_oauth2Proxy() {
	client := components.OIDCClient{
		Name:          "metrics",
		Namespace:     "monitoring",
		Host:          "metrics.example.com",
		Authentik:     "auth.example.com",
		CallbackPaths: []string{"/oauth2/callback"},
		NoRefresh:     true,
		IDKey:         "OAUTH2_PROXY_CLIENT_ID",
		SecretKey:     "OAUTH2_PROXY_CLIENT_SECRET",
		// 32 characters, which the proxy takes for base64 of 24 bytes, a key of
		// AES-192 (oauth2-proxy, pkg/encryption/utils.go).
		Keys: []secret.Key{{Name: "OAUTH2_PROXY_COOKIE_SECRET", Purpose: "Encrypts the cookie", Format: secret.Hex(16), Rotation: secret.RotationLogsOut}},
	}
	proxy := components.WebApp{
		Name: "oauth2-proxy", Namespace: "monitoring", Image: "quay.io/oauth2-proxy/oauth2-proxy:v7.12.0", Port: 4180,
		Env: map[string]string{
			"OAUTH2_PROXY_PROVIDER":        "oidc",
			"OAUTH2_PROXY_OIDC_ISSUER_URL": client.Issuer(),
			"OAUTH2_PROXY_REDIRECT_URL":    client.RedirectURIs()[0],
			"OAUTH2_PROXY_SCOPE":           strings.Join(client.WithDefaults().Scopes, " "),
			"OAUTH2_PROXY_EMAIL_DOMAINS":   "*",
			"OAUTH2_PROXY_HTTP_ADDRESS":    "0.0.0.0:4180",
			"OAUTH2_PROXY_REVERSE_PROXY":   "true",
			// Authentik says of no address that it is verified, from 2025.10 on.
			"OAUTH2_PROXY_INSECURE_OIDC_ALLOW_UNVERIFIED_EMAIL": "true",
			"OAUTH2_PROXY_UPSTREAMS":                            "http://prometheus.monitoring:9090",
		},
		SecretEnv: client.Secret().Env(),
		Probes:    components.Probes{Readiness: "/ready", Liveness: "/ping"},
	}
	_, err := proxy.Objects()
	fmt.Println(err)
	fmt.Println("tokens of", proxy.Env["OAUTH2_PROXY_OIDC_ISSUER_URL"])
	for _, name := range []string{"OAUTH2_PROXY_CLIENT_ID", "OAUTH2_PROXY_COOKIE_SECRET"} {
		fmt.Println(name, "from", proxy.SecretEnv[name])
	}
	// Output:
	// <nil>
	// tokens of https://auth.example.com/application/o/metrics/
	// OAUTH2_PROXY_CLIENT_ID from monitoring/metrics-secrets.OAUTH2_PROXY_CLIENT_ID
	// OAUTH2_PROXY_COOKIE_SECRET from monitoring/metrics-secrets.OAUTH2_PROXY_COOKIE_SECRET
}

func ExampleConfigMap() {
	print(components.ConfigMap{
		Name: "web-config", Namespace: "shop",
		Data: map[string]string{"MOTD": "first line\nsecond line\n", "VERBOSE": "no"},
	}, "ConfigMap")
	// Output:
	// ---
	// apiVersion: v1
	// data:
	//   MOTD: |
	//     first line
	//     second line
	//   VERBOSE: "no"
	// kind: ConfigMap
	// metadata:
	//   labels:
	//     app.kubernetes.io/managed-by: fleet
	//     app.kubernetes.io/name: web-config
	//   name: web-config
	//   namespace: shop
}

func ExampleNamespace() {
	print(components.Namespace{Name: "shop", PodSecurityVersion: "v1.34"}, "Namespace")
	// Output:
	// ---
	// apiVersion: v1
	// kind: Namespace
	// metadata:
	//   labels:
	//     app.kubernetes.io/managed-by: fleet
	//     app.kubernetes.io/name: shop
	//     pod-security.kubernetes.io/audit: restricted
	//     pod-security.kubernetes.io/audit-version: v1.34
	//     pod-security.kubernetes.io/enforce: restricted
	//     pod-security.kubernetes.io/enforce-version: v1.34
	//     pod-security.kubernetes.io/warn: restricted
	//     pod-security.kubernetes.io/warn-version: v1.34
	//   name: shop
}

// A policy that closes a namespace, and one that lets a proxy in.
func ExampleNetwork() {
	print(components.Network{Name: "default-deny", Namespace: "shop"}, "NetworkPolicy")
	print(components.Network{
		Name: "admin", Namespace: "shop", Pods: map[string]string{"app": "admin"},
		From:  []components.Peer{{Namespace: "proxy"}},
		Ports: []int32{9000},
		To:    []components.Peer{{CIDR: "0.0.0.0/0", Except: []string{"10.0.0.0/8"}, Ports: []int32{443}}},
	}, "NetworkPolicy")
	// Output:
	// ---
	// apiVersion: networking.k8s.io/v1
	// kind: NetworkPolicy
	// metadata:
	//   labels:
	//     app.kubernetes.io/managed-by: fleet
	//     app.kubernetes.io/name: default-deny
	//   name: default-deny
	//   namespace: shop
	// spec:
	//   egress:
	//   - ports:
	//     - port: 53
	//       protocol: UDP
	//     - port: 53
	//       protocol: TCP
	//     to:
	//     - namespaceSelector:
	//         matchLabels:
	//           kubernetes.io/metadata.name: kube-system
	//       podSelector:
	//         matchLabels:
	//           k8s-app: kube-dns
	//   policyTypes:
	//   - Ingress
	//   - Egress
	// ---
	// apiVersion: networking.k8s.io/v1
	// kind: NetworkPolicy
	// metadata:
	//   labels:
	//     app.kubernetes.io/managed-by: fleet
	//     app.kubernetes.io/name: admin
	//   name: admin
	//   namespace: shop
	// spec:
	//   egress:
	//   - ports:
	//     - port: 53
	//       protocol: UDP
	//     - port: 53
	//       protocol: TCP
	//     to:
	//     - namespaceSelector:
	//         matchLabels:
	//           kubernetes.io/metadata.name: kube-system
	//       podSelector:
	//         matchLabels:
	//           k8s-app: kube-dns
	//   - ports:
	//     - port: 443
	//       protocol: TCP
	//     to:
	//     - ipBlock:
	//         cidr: 0.0.0.0/0
	//         except:
	//         - 10.0.0.0/8
	//   ingress:
	//   - from:
	//     - namespaceSelector:
	//         matchLabels:
	//           kubernetes.io/metadata.name: proxy
	//       podSelector: {}
	//     ports:
	//     - port: 9000
	//       protocol: TCP
	//   podSelector:
	//     matchLabels:
	//       app: admin
	//   policyTypes:
	//   - Ingress
	//   - Egress
}

func ExampleDeployer() {
	print(components.Deployer{
		Name: "deployer", Namespace: "shop",
		Applies: []object.Component{components.ConfigMap{Name: "c", Namespace: "shop"}},
	}, "Role", "Secret")
	// Output:
	// ---
	// apiVersion: rbac.authorization.k8s.io/v1
	// kind: Role
	// metadata:
	//   labels:
	//     app.kubernetes.io/managed-by: fleet
	//     app.kubernetes.io/name: deployer
	//   name: deployer
	//   namespace: shop
	// rules:
	// - apiGroups:
	//   - ""
	//   resources:
	//   - configmaps
	//   verbs:
	//   - get
	//   - list
	//   - watch
	//   - create
	//   - patch
	// - apiGroups:
	//   - ""
	//   resources:
	//   - configmaps
	//   verbs:
	//   - get
	//   - list
	//   - create
	//   - update
	//   - delete
	// - apiGroups:
	//   - coordination.k8s.io
	//   resources:
	//   - leases
	//   verbs:
	//   - get
	//   - create
	//   - update
	// - apiGroups:
	//   - ""
	//   resources:
	//   - pods
	//   - events
	//   verbs:
	//   - get
	//   - list
	//   - watch
	// - apiGroups:
	//   - ""
	//   resources:
	//   - pods/log
	//   verbs:
	//   - get
	// - apiGroups:
	//   - apps
	//   resources:
	//   - replicasets
	//   verbs:
	//   - get
	//   - list
	//   - watch
	// ---
	// apiVersion: v1
	// kind: Secret
	// metadata:
	//   annotations:
	//     kubernetes.io/service-account.name: deployer
	//   labels:
	//     app.kubernetes.io/managed-by: fleet
	//     app.kubernetes.io/name: deployer-token
	//   name: deployer-token
	//   namespace: shop
	// type: kubernetes.io/service-account-token
}

func ExampleEdit() {
	print(components.WebApp{
		Name: "web", Namespace: "shop", Image: "registry.example.com/web:v1", Port: 3000,
		Changes: []components.Change{components.Edit(func(s *corev1.Service) {
			s.Spec.SessionAffinity = corev1.ServiceAffinityClientIP
		})},
	}, "Service")
	// Output:
	// ---
	// apiVersion: v1
	// kind: Service
	// metadata:
	//   labels:
	//     app.kubernetes.io/managed-by: fleet
	//     app.kubernetes.io/name: web
	//   name: web
	//   namespace: shop
	// spec:
	//   ports:
	//   - name: http
	//     port: 3000
	//     protocol: TCP
	//     targetPort: http
	//   selector:
	//     app.kubernetes.io/name: web
	//   sessionAffinity: ClientIP
}

// A database with storage of its own, and a copy of it every night.
func ExampleStatefulSet() {
	password := secret.Contract{Name: "db-auth", Namespace: "shop", Keys: []secret.Key{
		{Name: "POSTGRES_PASSWORD", Purpose: "Password of the user postgres", Format: secret.Random(48)},
	}}
	db := components.StatefulSet{
		Name: "db", Namespace: "shop", Image: "docker.io/library/postgres:18", Port: 5432,
		SecretEnv: password.Env(),
		Volumes: []components.Volume{
			{Name: "data", Path: "/var/lib/postgresql", Claim: &components.Claim{Size: resource.MustParse("10Gi")}},
			{Name: "run", Path: "/var/run/postgresql"},
		},
		Probes: components.Probes{Command: []string{"pg_isready", "-U", "postgres"}},
	}
	backup := components.CronJob{
		Name: "db-backup", Namespace: "shop", Image: "docker.io/library/postgres:18",
		Schedule:  "30 2 * * *",
		Command:   []string{"sh", "-c", "pg_dump -h " + db.Host() + " -U postgres -f /backup/db.sql"},
		SecretEnv: map[string]secret.Ref{"PGPASSWORD": password.Key("POSTGRES_PASSWORD")},
		Volumes:   []components.Volume{{Name: "backup", Path: "/backup", Claim: &components.Claim{Size: resource.MustParse("10Gi")}}},
	}
	for _, c := range []object.Component{db, backup} {
		objects, err := c.Objects()
		if err != nil {
			fmt.Println(err)
		}
		for _, o := range objects {
			fmt.Println(o.GetObjectKind().GroupVersionKind().Kind, o.GetName())
		}
	}
	fmt.Println("reached at", db.Address())
	// Output:
	// ServiceAccount db
	// StatefulSet db
	// Service db
	// PodDisruptionBudget db
	// ServiceAccount db-backup
	// CronJob db-backup
	// PersistentVolumeClaim db-backup-backup
	// reached at db.shop.svc.cluster.local:5432
}

// A Job that a deploy runs to its end before it changes anything else.
func ExampleJob() {
	web := components.WebApp{Name: "web", Namespace: "shop", Image: "registry.example.com/web:v1", Port: 3000}
	print(components.Job{
		Name: "web-migrate", Namespace: web.Namespace, Image: web.Image,
		Args:          []string{"migrate"},
		BeforeRelease: true,
	}, "Job")
	// Output:
	// ---
	// apiVersion: batch/v1
	// kind: Job
	// metadata:
	//   annotations:
	//     fleet.dezky.eu/before-release: "true"
	//   labels:
	//     app.kubernetes.io/managed-by: fleet
	//     app.kubernetes.io/name: web-migrate
	//   name: web-migrate-5e09a21d2a
	//   namespace: shop
	// spec:
	//   backoffLimit: 3
	//   template:
	//     metadata:
	//       labels:
	//         app.kubernetes.io/managed-by: fleet
	//         app.kubernetes.io/name: web-migrate
	//     spec:
	//       automountServiceAccountToken: false
	//       containers:
	//       - args:
	//         - migrate
	//         image: registry.example.com/web:v1
	//         name: web-migrate
	//         resources:
	//           limits:
	//             memory: 512Mi
	//           requests:
	//             cpu: 50m
	//             memory: 128Mi
	//         securityContext:
	//           allowPrivilegeEscalation: false
	//           capabilities:
	//             drop:
	//             - ALL
	//           readOnlyRootFilesystem: true
	//         volumeMounts:
	//         - mountPath: /tmp
	//           name: tmp
	//       enableServiceLinks: false
	//       restartPolicy: Never
	//       securityContext:
	//         fsGroup: 1000
	//         runAsGroup: 1000
	//         runAsNonRoot: true
	//         runAsUser: 1000
	//         seccompProfile:
	//           type: RuntimeDefault
	//       serviceAccountName: web-migrate
	//       terminationGracePeriodSeconds: 40
	//       volumes:
	//       - emptyDir:
	//           sizeLimit: 1Gi
	//         name: tmp
}
