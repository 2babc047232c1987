package check

import (
	"strings"

	corev1 "k8s.io/api/core/v1"
	networkingv1 "k8s.io/api/networking/v1"
	"k8s.io/apimachinery/pkg/runtime/schema"

	"git.lastcloud.io/ronnibaslund/dezky/fleet/render/object"
)

// known is what a set knows beside its objects.
type known struct {
	// kinds of which an object is under check or declared.
	kinds map[schema.GroupKind]bool
	// namespaces of which something is.
	namespaces map[string]bool
	// made are the Secrets and ConfigMaps that controllers make of the objects,
	// with their keys, sorted. Nil keys may be any.
	made map[object.ID][]string
	// joined are the Middlewares and other kinds of Traefik, as a name with the
	// suffix of the provider has them: namespace and name in one.
	joined map[object.ID]bool
	// tables are the rows of references by the kind of the object that refers.
	tables map[schema.GroupKind][]refers
}

func (s *Set) known() *known {
	s.knownOnce.Do(func() {
		k := known{
			kinds:      make(map[schema.GroupKind]bool, len(s.byKind)),
			namespaces: map[string]bool{"default": true, "kube-system": true, "kube-public": true, "kube-node-lease": true},
			made:       make(map[object.ID][]string, len(s.Kind("networking.k8s.io", "Ingress"))), // their certificates, mostly
			joined:     make(map[object.ID]bool),
			tables:     make(map[schema.GroupKind][]refers),
		}
		for _, r := range references {
			for _, kind := range r.kinds {
				kind := schema.GroupKind{Group: r.group, Kind: kind}
				k.tables[kind] = append(k.tables[kind], r)
			}
		}
		note := func(id object.ID) {
			if !k.namespaces[id.Namespace] {
				k.namespaces[id.Namespace] = true
			}
			if id.Group == "" && id.Kind == "Namespace" {
				k.namespaces[id.Name] = true
			}
			if id.Group == traefik {
				k.joined[object.ID{Group: traefik, Kind: id.Kind, Name: id.Namespace + "-" + id.Name + "@kubernetescrd"}] = true
			}
		}
		for kind := range s.byKind {
			k.kinds[kind] = true
		}
		for _, o := range s.objects {
			note(o.ID)
			k.makes(o)
		}
		for _, e := range s.others {
			k.kinds[schema.GroupKind{Group: e.ID.Group, Kind: e.ID.Kind}] = true
			note(e.ID)
		}
		s.knows = k
	})
	return &s.knows
}

// homes returns the namespaces that are rendered, declared or the cluster's
// own. It is nil where none is rendered: then they are made by others.
func (s *Set) homes() map[string]bool {
	rendered := s.Kind("", "Namespace")
	if len(rendered) == 0 {
		return nil
	}
	homes := map[string]bool{"": true, "default": true, "kube-system": true, "kube-public": true, "kube-node-lease": true}
	for _, o := range rendered {
		homes[o.ID.Name] = true
	}
	for _, e := range s.others {
		if !e.Contract { // a contract says nothing of where it is filled in
			homes[e.ID.Namespace] = true
		}
		if e.ID.Group == "" && e.ID.Kind == "Namespace" {
			homes[e.ID.Name] = true
		}
	}
	return homes
}

// certificateKeys are the keys of a Secret that cert-manager fills.
var certificateKeys = []string{"ca.crt", corev1.TLSCertKey, corev1.TLSPrivateKeyKey}

// makes notes what a controller makes of an object.
func (k *known) makes(o *Object) {
	secret := func(name string, keys []string) {
		if name != "" {
			k.made[object.ID{Kind: "Secret", Namespace: o.ID.Namespace, Name: name}] = keys
		}
	}
	certificate := func(name string) { secret(name, certificateKeys) }
	text := func(path ...string) string {
		s, _ := at(o.fields(), path...).(string)
		return s
	}
	switch (schema.GroupKind{Group: o.ID.Group, Kind: o.ID.Kind}) {
	case schema.GroupKind{Group: "networking.k8s.io", Kind: "Ingress"}:
		if !shimmed(o) {
			return
		}
		if i := As[*networkingv1.Ingress](o); i != nil {
			for _, tls := range i.Spec.TLS {
				certificate(tls.SecretName)
			}
		}
	case schema.GroupKind{Kind: "Secret"}:
		if s := As[*corev1.Secret](o); s != nil && s.Type == corev1.SecretTypeServiceAccountToken {
			secret(o.ID.Name, []string{"ca.crt", "namespace", "token"})
		}
	case schema.GroupKind{Group: certManager, Kind: "Certificate"}:
		// Keystores and further formats bring further keys.
		if at(o.fields(), "spec", "keystores") != nil || at(o.fields(), "spec", "additionalOutputFormats") != nil {
			secret(text("spec", "secretName"), nil)
			return
		}
		certificate(text("spec", "secretName"))
	case schema.GroupKind{Group: certManager, Kind: "Issuer"}:
		secret(text("spec", "acme", "privateKeySecretRef", "name"), nil)
	case schema.GroupKind{Group: gateway, Kind: "Gateway"}:
		if !shimmed(o) {
			return
		}
		listeners, _ := at(o.fields(), "spec", "listeners").([]any)
		for _, l := range listeners {
			l, _ := l.(map[string]any)
			refs, _ := at(l, "tls", "certificateRefs").([]any)
			for _, ref := range refs {
				ref, _ := ref.(map[string]any)
				name, _ := ref["name"].(string)
				certificate(name)
			}
		}
	case schema.GroupKind{Group: "external-secrets.io", Kind: "ExternalSecret"}:
		if name := text("spec", "target", "name"); name != "" {
			secret(name, nil)
		} else {
			secret(o.ID.Name, nil)
		}
	case schema.GroupKind{Group: "bitnami.com", Kind: "SealedSecret"}:
		data, _ := at(o.fields(), "spec", "encryptedData").(map[string]any)
		secret(o.ID.Name, sortedKeys(data))
	}
}

// shimmed reports whether cert-manager makes the certificates of an Ingress or
// Gateway (cert-manager documentation, 'Annotated Ingress resource').
func shimmed(o *Object) bool {
	a := o.GetAnnotations()
	return a["cert-manager.io/cluster-issuer"] != "" || a["cert-manager.io/issuer"] != "" || a["kubernetes.io/tls-acme"] == "true"
}

// get returns the object of an identity. One without a namespace is in
// whichever it is applied to.
func (s *Set) get(id object.ID) *Object {
	o := s.byID[id]
	if o == nil && id.Namespace != "" {
		id.Namespace = ""
		o = s.byID[id]
	}
	return o
}

// exists reports whether an object is under check, declared, made by a
// controller, or always there.
func (s *Set) exists(id object.ID) bool {
	if s.get(id) != nil || s.Elsewhere(id) != nil || alwaysThere(id) {
		return true
	}
	k := s.known()
	if _, ok := k.made[id]; ok || k.joined[id] {
		return true
	}
	switch {
	case id.Group == "" && id.Kind == "Namespace":
		return k.namespaces[id.Name]
	case id.Group == "" && id.Kind == "ConfigMap": // of trust-manager, in every namespace
		return s.byID[object.ID{Group: "trust.cert-manager.io", Kind: "Bundle", Name: id.Name}] != nil
	case id.Group == "" && id.Kind == "PersistentVolumeClaim":
		return s.claimed(id)
	case id.Group == "storage.k8s.io" && id.Kind == "StorageClass":
		// A claim finds a volume by the name of a class that need not exist.
		for _, o := range s.Kind("", "PersistentVolume") {
			if at(o.fields(), "spec", "storageClassName") == id.Name {
				return true
			}
		}
	}
	return false
}

// claimed reports whether a StatefulSet makes the claim: template, name and
// ordinal, joined by dashes.
func (s *Set) claimed(id object.ID) bool {
	for _, o := range s.Kind("apps", "StatefulSet") {
		if o.ID.Namespace != id.Namespace {
			continue
		}
		templates, _ := at(o.fields(), "spec", "volumeClaimTemplates").([]any)
		for _, t := range templates {
			t, _ := t.(map[string]any)
			name, _ := at(t, "metadata", "name").(string)
			ordinal, ok := strings.CutPrefix(id.Name, name+"-"+o.ID.Name+"-")
			if ok && name != "" && ordinal != "" && strings.Trim(ordinal, "0123456789") == "" {
				return true
			}
		}
	}
	return false
}

// alwaysThere reports whether every cluster has the object by itself.
func alwaysThere(id object.ID) bool {
	switch (schema.GroupKind{Group: id.Group, Kind: id.Kind}) {
	case schema.GroupKind{Kind: "ServiceAccount"}:
		return id.Name == "default"
	case schema.GroupKind{Kind: "ConfigMap"}:
		return id.Name == "kube-root-ca.crt" || id.Namespace == "kube-system" && id.Name == "extension-apiserver-authentication"
	case schema.GroupKind{Kind: "Service"}:
		return id.Namespace == "default" && id.Name == "kubernetes" || id.Namespace == "kube-system" && id.Name == "kube-dns"
	case schema.GroupKind{Group: "scheduling.k8s.io", Kind: "PriorityClass"}:
		return id.Name == "system-cluster-critical" || id.Name == "system-node-critical"
	case schema.GroupKind{Group: rbac, Kind: "ClusterRole"}:
		switch id.Name {
		case "cluster-admin", "admin", "edit", "view":
			return true
		}
		return strings.HasPrefix(id.Name, "system:")
	case schema.GroupKind{Group: rbac, Kind: "Role"}:
		return strings.HasPrefix(id.Name, "system:") || id.Namespace == "kube-system" && id.Name == "extension-apiserver-authentication-reader"
	}
	return false
}

// knownPlace reports whether so much is known of where a reference leads that
// an object that is not there is missed: its namespace, or for one without a
// namespace its kind.
func (s *Set) knownPlace(r *reference) bool {
	k := s.known()
	if clusterScoped(r.to.Kind) || strings.HasSuffix(r.to.Name, "@kubernetescrd") {
		return k.kinds[schema.GroupKind{Group: r.to.Group, Kind: r.to.Kind}]
	}
	return r.to.Namespace == r.from.ID.Namespace || k.namespaces[r.to.Namespace] && !system(r.to.Namespace)
}

// system reports whether a namespace is the cluster's own: much in it is made by
// nobody's manifests.
func system(namespace string) bool {
	return namespace == "default" || strings.HasPrefix(namespace, "kube-")
}
