package check

import (
	"slices"
	"strconv"
	"strings"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	networkingv1 "k8s.io/api/networking/v1"
	"k8s.io/apimachinery/pkg/runtime/schema"

	"git.lastcloud.io/ronnibaslund/dezky/fleet/render/object"
)

// refers is a field in which objects of a kind name others. The field holds a
// name, or an object with a name: its namespace, kind, group, key and port count
// where it has them.
type refers struct {
	group string
	kinds []string
	// field is its path; a list ends in [].
	field string
	// toGroup and to are what is named unless the field says otherwise.
	toGroup, to string
	// others are further kinds that the field may name. Those that it does not
	// list are not followed, such as a User. If it holds a star, any kind is
	// followed.
	others []string
	// key that must be in it.
	key string
	// port reports that the field names a port of the Service, and https that
	// the port is 443 where it names none.
	port, https bool
}

const (
	certManager = "cert-manager.io"
	traefik     = "traefik.io"
	rbac        = "rbac.authorization.k8s.io"
	admission   = "admissionregistration.k8s.io"
	gateway     = "gateway.networking.k8s.io"
)

// references are the fields of all kinds by which they refer to others, but for pods, Ingress and
// ServiceAccount, which are followed in Go, since there are many of them.
var references = [...]refers{
	{group: "autoscaling", kinds: []string{"HorizontalPodAutoscaler"}, field: "spec.scaleTargetRef", others: []string{"*"}},
	{group: "autoscaling.k8s.io", kinds: []string{"VerticalPodAutoscaler"}, field: "spec.targetRef", others: []string{"*"}},
	{group: "keda.sh", kinds: []string{"ScaledObject"}, field: "spec.scaleTargetRef", toGroup: "apps", to: "Deployment", others: []string{"*"}},

	{group: rbac, kinds: []string{"RoleBinding", "ClusterRoleBinding"}, field: "roleRef", others: []string{"Role", "ClusterRole"}},
	{group: rbac, kinds: []string{"RoleBinding", "ClusterRoleBinding"}, field: "subjects[]", others: []string{"ServiceAccount"}},

	{group: admission, kinds: []string{"MutatingWebhookConfiguration", "ValidatingWebhookConfiguration"}, field: "webhooks[].clientConfig.service", to: "Service", port: true, https: true},
	{group: admission, kinds: []string{"ValidatingAdmissionPolicyBinding"}, field: "spec.policyName", toGroup: admission, to: "ValidatingAdmissionPolicy"},
	{group: admission, kinds: []string{"MutatingAdmissionPolicyBinding"}, field: "spec.policyName", toGroup: admission, to: "MutatingAdmissionPolicy"},
	{group: "apiextensions.k8s.io", kinds: []string{"CustomResourceDefinition"}, field: "spec.conversion.webhook.clientConfig.service", to: "Service", port: true, https: true},
	{group: "apiregistration.k8s.io", kinds: []string{"APIService"}, field: "spec.service", to: "Service", port: true, https: true},

	{kinds: []string{"PersistentVolumeClaim"}, field: "spec.storageClassName", toGroup: "storage.k8s.io", to: "StorageClass"},
	{kinds: []string{"PersistentVolumeClaim"}, field: "spec.volumeName", to: "PersistentVolume"},
	{kinds: []string{"PersistentVolume"}, field: "spec.csi.nodePublishSecretRef", to: "Secret"},
	{kinds: []string{"PersistentVolume"}, field: "spec.csi.nodeStageSecretRef", to: "Secret"},
	{kinds: []string{"PersistentVolume"}, field: "spec.csi.controllerPublishSecretRef", to: "Secret"},
	{kinds: []string{"PersistentVolume"}, field: "spec.csi.controllerExpandSecretRef", to: "Secret"},

	{group: certManager, kinds: []string{"Certificate", "CertificateRequest"}, field: "spec.issuerRef", toGroup: certManager, to: "Issuer", others: []string{"ClusterIssuer"}},
	{group: certManager, kinds: []string{"Certificate"}, field: "spec.keystores.jks.passwordSecretRef", to: "Secret"},
	{group: certManager, kinds: []string{"Certificate"}, field: "spec.keystores.pkcs12.passwordSecretRef", to: "Secret"},
	{group: certManager, kinds: []string{"Issuer"}, field: "spec.ca.secretName", to: "Secret", key: "tls.crt"},
	{group: certManager, kinds: []string{"Issuer", "ClusterIssuer"}, field: "spec.acme.solvers[].http01.ingress.ingressClassName", toGroup: "networking.k8s.io", to: "IngressClass"},
	{group: certManager, kinds: []string{"Issuer"}, field: "spec.acme.solvers[].dns01.cloudflare.apiTokenSecretRef", to: "Secret"},
	{group: certManager, kinds: []string{"Issuer"}, field: "spec.acme.solvers[].dns01.cloudflare.apiKeySecretRef", to: "Secret"},
	{group: certManager, kinds: []string{"Issuer"}, field: "spec.acme.solvers[].dns01.digitalocean.tokenSecretRef", to: "Secret"},
	{group: certManager, kinds: []string{"Issuer"}, field: "spec.acme.solvers[].dns01.rfc2136.tsigSecretSecretRef", to: "Secret"},
	{group: certManager, kinds: []string{"Issuer"}, field: "spec.acme.solvers[].dns01.route53.secretAccessKeySecretRef", to: "Secret"},
	{group: certManager, kinds: []string{"Issuer"}, field: "spec.acme.solvers[].dns01.route53.accessKeyIDSecretRef", to: "Secret"},
	{group: certManager, kinds: []string{"Issuer"}, field: "spec.acme.solvers[].dns01.azureDNS.clientSecretSecretRef", to: "Secret"},
	{group: certManager, kinds: []string{"Issuer"}, field: "spec.acme.solvers[].dns01.cloudDNS.serviceAccountSecretRef", to: "Secret"},
	{group: certManager, kinds: []string{"Issuer"}, field: "spec.acme.solvers[].dns01.acmeDNS.accountSecretRef", to: "Secret"},
	{group: certManager, kinds: []string{"Issuer"}, field: "spec.acme.externalAccountBinding.keySecretRef", to: "Secret"},
	{group: certManager, kinds: []string{"Issuer"}, field: "spec.vault.auth.tokenSecretRef", to: "Secret"},
	{group: certManager, kinds: []string{"Issuer"}, field: "spec.vault.auth.appRole.secretRef", to: "Secret"},

	{group: traefik, kinds: []string{"IngressRoute", "IngressRouteTCP", "IngressRouteUDP"}, field: "spec.routes[].services[]", to: "Service", others: []string{"TraefikService"}, port: true},
	{group: traefik, kinds: []string{"IngressRoute"}, field: "spec.parentRefs[]", toGroup: traefik, to: "IngressRoute"},
	{group: traefik, kinds: []string{"IngressRoute"}, field: "spec.routes[].middlewares[]", toGroup: traefik, to: "Middleware"},
	{group: traefik, kinds: []string{"IngressRouteTCP"}, field: "spec.routes[].middlewares[]", toGroup: traefik, to: "MiddlewareTCP"},
	{group: traefik, kinds: []string{"IngressRoute", "IngressRouteTCP"}, field: "spec.tls.secretName", to: "Secret", key: corev1.TLSCertKey},
	{group: traefik, kinds: []string{"IngressRoute", "IngressRouteTCP"}, field: "spec.tls.options", toGroup: traefik, to: "TLSOption"},
	{group: traefik, kinds: []string{"IngressRoute", "IngressRouteTCP"}, field: "spec.tls.store", toGroup: traefik, to: "TLSStore"},
	{group: traefik, kinds: []string{"Middleware"}, field: "spec.chain.middlewares[]", toGroup: traefik, to: "Middleware"},
	{group: traefik, kinds: []string{"Middleware"}, field: "spec.basicAuth.secret", to: "Secret"},
	{group: traefik, kinds: []string{"Middleware"}, field: "spec.digestAuth.secret", to: "Secret"},
	{group: traefik, kinds: []string{"Middleware"}, field: "spec.forwardAuth.tls.caSecret", to: "Secret"},
	{group: traefik, kinds: []string{"Middleware"}, field: "spec.forwardAuth.tls.certSecret", to: "Secret", key: corev1.TLSCertKey},
	{group: traefik, kinds: []string{"Middleware"}, field: "spec.errors.service", to: "Service", others: []string{"TraefikService"}, port: true},
	{group: traefik, kinds: []string{"TraefikService"}, field: "spec.weighted.services[]", to: "Service", others: []string{"TraefikService"}, port: true},
	{group: traefik, kinds: []string{"TraefikService"}, field: "spec.mirroring", to: "Service", others: []string{"TraefikService"}, port: true},
	{group: traefik, kinds: []string{"TraefikService"}, field: "spec.mirroring.mirrors[]", to: "Service", others: []string{"TraefikService"}, port: true},
	{group: traefik, kinds: []string{"TLSStore"}, field: "spec.defaultCertificate.secretName", to: "Secret", key: corev1.TLSCertKey},
	{group: traefik, kinds: []string{"TLSStore"}, field: "spec.certificates[].secretName", to: "Secret", key: corev1.TLSCertKey},
	{group: traefik, kinds: []string{"TLSOption"}, field: "spec.clientAuth.secretNames[]", to: "Secret"},
	{group: traefik, kinds: []string{"IngressRoute"}, field: "spec.routes[].services[].serversTransport", toGroup: traefik, to: "ServersTransport"},
	{group: traefik, kinds: []string{"IngressRouteTCP"}, field: "spec.routes[].services[].serversTransport", toGroup: traefik, to: "ServersTransportTCP"},
	{group: traefik, kinds: []string{"TraefikService"}, field: "spec.weighted.services[].serversTransport", toGroup: traefik, to: "ServersTransport"},
	{group: traefik, kinds: []string{"ServersTransport"}, field: "spec.rootCAsSecrets[]", to: "Secret"},
	{group: traefik, kinds: []string{"ServersTransport"}, field: "spec.certificatesSecrets[]", to: "Secret", key: corev1.TLSCertKey},

	{group: gateway, kinds: []string{"Gateway"}, field: "spec.gatewayClassName", toGroup: gateway, to: "GatewayClass"},
	{group: gateway, kinds: []string{"Gateway"}, field: "spec.listeners[].tls.certificateRefs[]", to: "Secret"},
	{group: gateway, kinds: []string{"HTTPRoute", "GRPCRoute", "TLSRoute", "TCPRoute", "UDPRoute"}, field: "spec.parentRefs[]", toGroup: gateway, to: "Gateway"},
	{group: gateway, kinds: []string{"HTTPRoute", "GRPCRoute", "TLSRoute", "TCPRoute", "UDPRoute"}, field: "spec.rules[].backendRefs[]", to: "Service", port: true},
}

// clusterScoped are the kinds without a namespace that the table names.
func clusterScoped(kind string) bool {
	switch kind {
	case "ClusterRole", "ClusterIssuer", "IngressClass", "StorageClass", "PriorityClass", "RuntimeClass", "PersistentVolume",
		"GatewayClass", "ValidatingAdmissionPolicy", "MutatingAdmissionPolicy", "Namespace":
		return true
	}
	return false
}

// eachReference calls do for each reference of each object. What it is given
// is good until do returns.
func (s *Set) eachReference(do func(*reference)) {
	r := new(reference)
	for _, p := range s.allPods() {
		*r = reference{from: p.of, at: fieldPath{text: append(r.at.text[:0], p.at...)}}
		r.pod(s, p, do)
	}
	homes := s.homes()
	for _, o := range s.Objects() {
		*r = reference{from: o, at: fieldPath{text: r.at.text[:0]}}
		if ns := o.ID.Namespace; homes != nil && !homes[ns] {
			homes[ns] = true // once is enough
			end := r.at.push("metadata.namespace")
			r.to, r.home = object.ID{Kind: "Namespace", Name: ns}, true
			do(r)
			r.at.cut(end)
			r.home = false
		}
		switch {
		case o.ID.Group == "networking.k8s.io" && o.ID.Kind == "Ingress":
			if i := As[*networkingv1.Ingress](o); i != nil {
				r.ingress(i, do)
			}
		case o.ID.Group == "" && o.ID.Kind == "ServiceAccount":
			if a := As[*corev1.ServiceAccount](o); a != nil {
				r.serviceAccount(a, do)
			}
		case o.ID.Group == "" && o.ID.Kind == "Secret":
			if secret := As[*corev1.Secret](o); secret != nil && secret.Type == corev1.SecretTypeServiceAccountToken {
				end := r.at.push("metadata.annotations[", corev1.ServiceAccountNameKey, "]")
				r.to = object.ID{Kind: "ServiceAccount", Namespace: o.ID.Namespace, Name: secret.Annotations[corev1.ServiceAccountNameKey]}
				do(r)
				r.at.cut(end)
			}
		case o.ID.Group == "" && o.ID.Kind == "ConfigMap":
			if m := As[*corev1.ConfigMap](o); m != nil {
				for _, key := range sortedKeys(m.Data) {
					r.addresses(s, m.Data[key], nil, do, "data[", key, "]")
				}
			}
		case o.ID.Group == "" && o.ID.Kind == "Service":
			if service := As[*corev1.Service](o); service != nil && service.Spec.Type == corev1.ServiceTypeExternalName {
				r.addresses(s, service.Spec.ExternalName, nil, do, "spec.externalName")
			}
		case o.ID.Group == traefik && o.ID.Kind == "Middleware":
			if address, ok := at(o.fields(), "spec", "forwardAuth", "address").(string); ok {
				r.addresses(s, address, nil, do, "spec.forwardAuth.address")
			}
			r.table(s, do)
		case o.ID.Group == "networking.k8s.io" && o.ID.Kind == "NetworkPolicy":
			if n := As[*networkingv1.NetworkPolicy](o); n != nil {
				r.policy(n, do)
			}
		case o.ID.Group == "apps" && o.ID.Kind == "StatefulSet":
			r.statefulSet(do)
		default:
			r.table(s, do)
		}
	}
}

// at returns a field of a JSON form, or nil.
func at(fields map[string]any, path ...string) any { return object.Field(fields, path...) }

// table follows the references of a kind that the table has.
func (r *reference) table(s *Set, do func(*reference)) {
	rows := s.known().tables[schema.GroupKind{Group: r.from.ID.Group, Kind: r.from.ID.Kind}]
	if len(rows) == 0 {
		return
	}
	fields := r.from.fields()
	for i := range rows {
		r.follow(fields, rows[i].field, &rows[i], do)
	}
}

// follow goes down a path of the table.
func (r *reference) follow(value any, path string, row *refers, do func(*reference)) {
	if path == "" {
		r.leaf(value, row, do)
		return
	}
	m, ok := value.(map[string]any)
	if !ok {
		return
	}
	key, rest, _ := strings.Cut(path, ".")
	name, isList := strings.CutSuffix(key, "[]")
	sep := "."
	if len(r.at.text) == 0 {
		sep = ""
	}
	if !isList {
		end := r.at.push(sep, name)
		r.follow(m[name], rest, row, do)
		r.at.cut(end)
		return
	}
	list, _ := m[name].([]any)
	for i, item := range list {
		end := r.at.push(sep, name, "[", strconv.Itoa(i), "]")
		r.follow(item, rest, row, do)
		r.at.cut(end)
	}
}

// leaf is the value that names an object.
func (r *reference) leaf(value any, row *refers, do func(*reference)) {
	to := object.ID{Group: row.toGroup, Kind: row.to, Namespace: r.from.ID.Namespace}
	r.key, r.isPort, r.port = row.key, false, networkingv1.ServiceBackendPort{}
	switch v := value.(type) {
	case string:
		to.Name = v
	case map[string]any:
		to.Name, _ = v["name"].(string)
		if ns, ok := v["namespace"].(string); ok && ns != "" {
			to.Namespace = ns
		}
		if key, ok := v["key"].(string); ok && to.Kind == "Secret" {
			r.key = key
		}
		if kind, ok := v["kind"].(string); ok && kind != "" && kind != to.Kind {
			if !contains(row.others, kind) {
				return
			}
			to.Kind = kind
			if kind == "TraefikService" {
				to.Group = traefik
			} else if kind == "ServiceAccount" {
				to.Group = ""
			}
		}
		for _, field := range []string{"group", "apiGroup"} {
			if group, ok := v[field].(string); ok && group != "" {
				to.Group = group
			}
		}
		if version, ok := v["apiVersion"].(string); ok {
			if gv, err := schema.ParseGroupVersion(version); err == nil {
				to.Group = gv.Group
			}
		}
		if row.port && to.Kind == "Service" {
			r.isPort = true
			switch p := v["port"].(type) {
			case int64:
				r.port.Number = int32(p)
			case float64:
				r.port.Number = int32(p)
			case string:
				r.port.Name = p
			default:
				if r.isPort = row.https; row.https {
					r.port.Number = 443
				}
			}
		}
	}
	if row.toGroup != "" && to.Group != row.toGroup && !contains(row.others, to.Kind) {
		return // of another controller, whose kinds are not known
	}
	if clusterScoped(to.Kind) {
		to.Namespace = ""
	}
	name, provider, other := strings.Cut(to.Name, "@")
	switch {
	case to.Name == "" || to.Kind == "":
		return
	case other && provider != "kubernetescrd":
		return // of another provider, such as a file
	case other:
		to = object.ID{Group: to.Group, Kind: to.Kind, Name: name + "@" + provider}
	}
	r.to = to
	do(r)
}

func contains(list []string, kind string) bool {
	for _, k := range list {
		if k == kind || k == "*" {
			return true
		}
	}
	return false
}

func (r *reference) statefulSet(do func(*reference)) {
	fields := r.from.fields()
	if name, ok := at(fields, "spec", "serviceName").(string); ok && name != "" {
		end := r.at.push("spec.serviceName")
		r.to, r.key, r.isPort = object.ID{Kind: "Service", Namespace: r.from.ID.Namespace, Name: name}, "", false
		do(r)
		r.at.cut(end)
	}
	row := refers{toGroup: "storage.k8s.io", to: "StorageClass"}
	r.follow(fields, "spec.volumeClaimTemplates[].spec.storageClassName", &row, do)
}

// policy follows the namespaces that a policy names.
func (r *reference) policy(n *networkingv1.NetworkPolicy, do func(*reference)) {
	peers := func(way string, i int, field string, peers []networkingv1.NetworkPolicyPeer) {
		for k, peer := range peers {
			if peer.NamespaceSelector == nil {
				continue
			}
			if name, ok := namespaceOf(peer.NamespaceSelector); ok {
				end := r.at.push("spec.", way, "[", strconv.Itoa(i), "].", field, "[", strconv.Itoa(k), "].namespaceSelector")
				r.to, r.guess = object.ID{Kind: "Namespace", Name: name}, true
				do(r)
				r.at.cut(end)
			}
		}
	}
	for i := range n.Spec.Ingress {
		peers("ingress", i, "from", n.Spec.Ingress[i].From)
	}
	for i := range n.Spec.Egress {
		peers("egress", i, "to", n.Spec.Egress[i].To)
	}
}

func (r *reference) serviceAccount(a *corev1.ServiceAccount, do func(*reference)) {
	name := func(field string, i int, name, key string) {
		if name == "" {
			return
		}
		end := r.at.push(field, "[", strconv.Itoa(i), "]")
		r.to, r.key = object.ID{Kind: "Secret", Namespace: r.from.ID.Namespace, Name: name}, key
		do(r)
		r.at.cut(end)
	}
	for i, s := range a.ImagePullSecrets {
		name("imagePullSecrets", i, s.Name, corev1.DockerConfigJsonKey)
	}
	for i, s := range a.Secrets {
		name("secrets", i, s.Name, "")
	}
}

func (r *reference) pod(s *Set, p *pods, do func(*reference)) {
	refer := func(kind, name, key string, optional *bool) {
		if name != "" && (optional == nil || !*optional) {
			r.to, r.key = object.ID{Kind: kind, Namespace: p.of.ID.Namespace, Name: name}, key
			do(r)
		}
	}
	// cluster refers to an object without a namespace.
	cluster := func(field, group, kind, name string) {
		if name == "" {
			return
		}
		end := r.at.push(field)
		r.to, r.key = object.ID{Group: group, Kind: kind, Name: name}, ""
		do(r)
		r.at.cut(end)
	}
	// items refers to each key that a volume takes, or once to all of them.
	items := func(kind, name string, list []corev1.KeyToPath, optional *bool) {
		if len(list) == 0 {
			refer(kind, name, "", optional)
		}
		for i := range list {
			end := r.at.push(".items[", strconv.Itoa(i), "]")
			refer(kind, name, list[i].Key, optional)
			r.at.cut(end)
		}
	}
	account, field := p.spec.ServiceAccountName, ".serviceAccountName"
	if account == "" {
		account, field = p.spec.DeprecatedServiceAccount, ".serviceAccount"
	}
	end := r.at.push(field)
	refer("ServiceAccount", account, "", nil)
	r.at.cut(end)
	cluster(".priorityClassName", "scheduling.k8s.io", "PriorityClass", p.spec.PriorityClassName)
	if p.spec.RuntimeClassName != nil {
		cluster(".runtimeClassName", "node.k8s.io", "RuntimeClass", *p.spec.RuntimeClassName)
	}
	for i, s := range p.spec.ImagePullSecrets {
		end := r.at.push(".imagePullSecrets[", strconv.Itoa(i), "]")
		refer("Secret", s.Name, corev1.DockerConfigJsonKey, nil)
		r.at.cut(end)
	}
	for i := range p.spec.ResourceClaims {
		claim := &p.spec.ResourceClaims[i]
		end := r.at.push(".resourceClaims[", claim.Name, "]")
		for _, to := range []struct {
			kind string
			name *string
		}{{"ResourceClaim", claim.ResourceClaimName}, {"ResourceClaimTemplate", claim.ResourceClaimTemplateName}} {
			if to.name != nil && *to.name != "" {
				r.to, r.key = object.ID{Group: "resource.k8s.io", Kind: to.kind, Namespace: p.of.ID.Namespace, Name: *to.name}, ""
				do(r)
			}
		}
		r.at.cut(end)
	}
	p.eachContainer(func(list string, c *corev1.Container) {
		container := r.at.push(".", list, "[", c.Name, "]")
		for i := range c.Env {
			r.variable(s, p, &c.Env[i], refer, do)
		}
		for i := range c.EnvFrom {
			end := r.at.push(".envFrom[", strconv.Itoa(i), "]")
			if s := c.EnvFrom[i].SecretRef; s != nil {
				refer("Secret", s.Name, "", s.Optional)
			}
			if m := c.EnvFrom[i].ConfigMapRef; m != nil {
				refer("ConfigMap", m.Name, "", m.Optional)
			}
			r.at.cut(end)
		}
		for i := range c.Command {
			r.addresses(s, c.Command[i], p, do, ".command[", strconv.Itoa(i), "]")
		}
		for i := range c.Args {
			r.addresses(s, c.Args[i], p, do, ".args[", strconv.Itoa(i), "]")
		}
		for i := range c.VolumeMounts {
			// A file of a volume by its key: where the key is not there, the
			// container gets an empty directory in its place.
			m := &c.VolumeMounts[i]
			if m.SubPath == "" {
				continue
			}
			for k := range p.spec.Volumes {
				v := &p.spec.Volumes[k]
				if v.Name != m.Name {
					continue
				}
				end := r.at.push(".volumeMounts[", strconv.Itoa(i), "].subPath")
				if v.ConfigMap != nil && len(v.ConfigMap.Items) == 0 {
					refer("ConfigMap", v.ConfigMap.Name, m.SubPath, v.ConfigMap.Optional)
				}
				if v.Secret != nil && len(v.Secret.Items) == 0 {
					refer("Secret", v.Secret.SecretName, m.SubPath, v.Secret.Optional)
				}
				r.at.cut(end)
			}
		}
		r.at.cut(container)
	})
	for i := range p.spec.Volumes {
		v := &p.spec.Volumes[i]
		end := r.at.push(".volumes[", v.Name, "]")
		if s := v.Secret; s != nil {
			items("Secret", s.SecretName, s.Items, s.Optional)
		}
		if m := v.ConfigMap; m != nil {
			items("ConfigMap", m.Name, m.Items, m.Optional)
		}
		if c := v.PersistentVolumeClaim; c != nil && !p.claims(v.Name) {
			refer("PersistentVolumeClaim", c.ClaimName, "", nil)
		}
		if v.Projected != nil {
			for i := range v.Projected.Sources {
				source := &v.Projected.Sources[i]
				end := r.at.push(".projected[", strconv.Itoa(i), "]")
				if s := source.Secret; s != nil {
					items("Secret", s.Name, s.Items, s.Optional)
				}
				if m := source.ConfigMap; m != nil {
					items("ConfigMap", m.Name, m.Items, m.Optional)
				}
				r.at.cut(end)
			}
		}
		if e := v.Ephemeral; e != nil && e.VolumeClaimTemplate != nil && e.VolumeClaimTemplate.Spec.StorageClassName != nil {
			cluster(".ephemeral.volumeClaimTemplate.spec.storageClassName", "storage.k8s.io", "StorageClass", *e.VolumeClaimTemplate.Spec.StorageClassName)
		}
		if c := v.CSI; c != nil {
			if c.NodePublishSecretRef != nil {
				end := r.at.push(".csi.nodePublishSecretRef")
				refer("Secret", c.NodePublishSecretRef.Name, "", nil)
				r.at.cut(end)
			}
			if class := c.VolumeAttributes["secretProviderClass"]; class != "" && c.Driver == "secrets-store.csi.k8s.io" {
				end := r.at.push(".csi.volumeAttributes[secretProviderClass]")
				r.to, r.key = object.ID{Group: "secrets-store.csi.x-k8s.io", Kind: "SecretProviderClass", Namespace: p.of.ID.Namespace, Name: class}, ""
				do(r)
				r.at.cut(end)
			}
		}
		for _, ref := range []*corev1.LocalObjectReference{cephSecret(v), rbdSecret(v), iscsiSecret(v), flexSecret(v)} {
			if ref != nil {
				refer("Secret", ref.Name, "", nil)
			}
		}
		if v.AzureFile != nil {
			refer("Secret", v.AzureFile.SecretName, "", nil)
		}
		r.at.cut(end)
	}
}

// claims reports whether a StatefulSet makes the claim of a volume: one of its
// templates has the name of the volume, and takes its place.
func (p *pods) claims(volume string) bool {
	if p.of.ID.Kind != "StatefulSet" {
		return false
	}
	set := As[*appsv1.StatefulSet](p.of)
	return set != nil && slices.ContainsFunc(set.Spec.VolumeClaimTemplates, func(c corev1.PersistentVolumeClaim) bool { return c.Name == volume })
}

func cephSecret(v *corev1.Volume) *corev1.LocalObjectReference {
	if v.CephFS == nil {
		return nil
	}
	return v.CephFS.SecretRef
}

func rbdSecret(v *corev1.Volume) *corev1.LocalObjectReference {
	if v.RBD == nil {
		return nil
	}
	return v.RBD.SecretRef
}

func iscsiSecret(v *corev1.Volume) *corev1.LocalObjectReference {
	if v.ISCSI == nil {
		return nil
	}
	return v.ISCSI.SecretRef
}

func flexSecret(v *corev1.Volume) *corev1.LocalObjectReference {
	if v.FlexVolume == nil {
		return nil
	}
	return v.FlexVolume.SecretRef
}

// variable follows a variable of a container: to the key that it comes from, or
// to the Services that its value names.
func (r *reference) variable(s *Set, p *pods, v *corev1.EnvVar, refer func(kind, name, key string, optional *bool), do func(*reference)) {
	if v.ValueFrom == nil {
		r.addresses(s, v.Value, p, do, ".env[", v.Name, "]")
		return
	}
	end := r.at.push(".env[", v.Name, "]")
	if s := v.ValueFrom.SecretKeyRef; s != nil {
		refer("Secret", s.Name, s.Key, s.Optional)
	}
	if m := v.ValueFrom.ConfigMapKeyRef; m != nil {
		refer("ConfigMap", m.Name, m.Key, m.Optional)
	}
	r.at.cut(end)
}

func (r *reference) ingress(i *networkingv1.Ingress, do func(*reference)) {
	name := func(field, group, kind, namespace, name, key string) {
		if name == "" {
			return
		}
		end := r.at.push(field)
		r.to, r.key, r.isPort = object.ID{Group: group, Kind: kind, Namespace: namespace, Name: name}, key, false
		do(r)
		r.at.cut(end)
	}
	backend := func(b *networkingv1.IngressBackend) {
		if s := b.Service; s != nil {
			r.to = object.ID{Kind: "Service", Namespace: r.from.ID.Namespace, Name: s.Name}
			r.key, r.isPort, r.port = "", true, s.Port
			do(r)
		}
	}
	if i.Spec.DefaultBackend != nil {
		end := r.at.push("spec.defaultBackend")
		backend(i.Spec.DefaultBackend)
		r.at.cut(end)
	}
	for k := range i.Spec.Rules {
		if i.Spec.Rules[k].HTTP == nil {
			continue
		}
		for j := range i.Spec.Rules[k].HTTP.Paths {
			end := r.at.push("spec.rules[", strconv.Itoa(k), "].http.paths[", strconv.Itoa(j), "].backend.service")
			backend(&i.Spec.Rules[k].HTTP.Paths[j].Backend)
			r.at.cut(end)
		}
	}
	if i.Spec.IngressClassName != nil {
		name("spec.ingressClassName", "networking.k8s.io", "IngressClass", "", *i.Spec.IngressClassName, "")
	}
	for k := range i.Spec.TLS {
		name("spec.tls["+strconv.Itoa(k)+"].secretName", "", "Secret", r.from.ID.Namespace, i.Spec.TLS[k].SecretName, corev1.TLSCertKey)
	}
	name("metadata.annotations[cert-manager.io/cluster-issuer]", certManager, "ClusterIssuer", "", i.Annotations["cert-manager.io/cluster-issuer"], "")
	kind, namespace := i.Annotations["cert-manager.io/issuer-kind"], r.from.ID.Namespace
	switch group := i.Annotations["cert-manager.io/issuer-group"]; {
	case group != "" && group != certManager:
		return // of another controller, whose kinds are not known
	case kind == "":
		kind = "Issuer"
	case clusterScoped(kind):
		namespace = ""
	}
	name("metadata.annotations[cert-manager.io/issuer]", certManager, kind, namespace, i.Annotations["cert-manager.io/issuer"], "")
}

// fieldPath is the path of a field, grown and cut on the way through an object, so
// that it is written out only where something is wrong.
type fieldPath struct{ text []byte }

// push appends to the path, and returns what cut takes to undo it.
func (p *fieldPath) push(parts ...string) int {
	end := len(p.text)
	for _, s := range parts {
		p.text = append(p.text, s...)
	}
	return end
}

func (p *fieldPath) cut(end int) { p.text = p.text[:end] }

func (p *fieldPath) String() string { return string(p.text) }
