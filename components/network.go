package components

import (
	"maps"
	"net/netip"
	"slices"

	corev1 "k8s.io/api/core/v1"
	networkingv1 "k8s.io/api/networking/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/intstr"
	"k8s.io/apimachinery/pkg/util/validation"
	"k8s.io/apimachinery/pkg/util/validation/field"

	"git.lastcloud.io/ronnibaslund/dezky/fleet/components/internal/validate"
	"git.lastcloud.io/ronnibaslund/dezky/fleet/render/object"
)

// Network is a NetworkPolicy, for both directions: only From may reach the
// pods, and they may reach only To, and DNS. Policies add up: what one of them
// allows is allowed. One without Pods, From and To closes a whole namespace:
//
//	components.Network{Name: "default-deny", Namespace: "shop"}
//
// What comes from the pod's own node, such as the kubelet's probes, is always
// let in (Kubernetes documentation, "Network Policies").
type Network struct {
	// Name and Namespace of the policy. In a WebApp they are the app's: leave
	// them empty.
	Name, Namespace string
	// Pods of the namespace that it is for, by their labels. If empty, all.
	// In a WebApp they are the app's: leave them empty.
	Pods map[string]string
	// From are the peers that may reach the pods. If empty, nobody.
	From []Peer
	// Ports of the pods that From may reach, TCP. If empty, every port. In a
	// WebApp it is the app's port: leave them empty.
	Ports []int32
	// To are the peers that the pods may reach. If empty, there is only DNS.
	To []Peer
	// Changes are applied to the object last; see [Edit]. In a WebApp, use its own.
	Changes []Change
}

// Peer is the other side of a connection: pods, or addresses.
type Peer struct {
	// Namespace of the pods. If empty, that of the Network.
	Namespace string
	// Pods by their labels. If empty, all pods of the namespace.
	Pods map[string]string
	// CIDR is addresses instead of pods, as they are after address
	// translation: a Service's own address never matches.
	CIDR string
	// Except are parts of CIDR that it does not mean.
	Except []string
	// Ports of the peer that may be reached, TCP. If empty, every port. For a
	// peer in From they mean nothing: see Network.Ports.
	Ports []int32
}

// HTTP01Solver is the policy by which the Ingress controller reaches the pods
// that answer cert-manager's HTTP-01 challenges. A namespace that is closed and
// has a [TLSIngress] needs one. Label and port stand in cert-manager's source
// (SolverIdentificationLabelKey in pkg/apis/acme/v1/types.go,
// acmeSolverListenPort in pkg/issuer/acme/http/http.go).
func HTTP01Solver(namespace string, controller Peer) Network {
	return Network{
		Name:      "http01-solver",
		Namespace: namespace,
		Pods:      map[string]string{"acme.cert-manager.io/http01-solver": "true"},
		From:      []Peer{controller},
		Ports:     []int32{8089},
	}
}

// About implements [object.Component].
func (Network) About() object.About { return object.About{} }

// Objects implements [object.Component].
func (n Network) Objects() ([]object.Object, error) {
	var errs field.ErrorList
	errs = validate.Name(errs, field.NewPath("name"), n.Name, validation.IsDNS1123Subdomain)
	errs = validate.Namespace(errs, field.NewPath("namespace"), n.Namespace)
	errs = append(errs, n.validate(nil)...)
	objects := []object.Object{n.policy()}
	errs = append(errs, Apply(objects, n.Changes)...)
	return objects, object.Invalid(object.ID{Kind: "Network", Namespace: n.Namespace, Name: n.Name}, errs).Err()
}

func (n Network) validate(path *field.Path) field.ErrorList {
	var errs field.ErrorList
	for i, port := range n.Ports {
		errs = validate.Port(errs, path.Child("ports").Index(i), port)
	}
	if len(n.Ports) > 0 && len(n.From) == 0 {
		errs = append(errs, field.Required(path.Child("from"), "say who may reach the ports, or leave ports out"))
	}
	errs = append(errs, validatePeers(path.Child("from"), n.From)...)
	return append(errs, validatePeers(path.Child("to"), n.To)...)
}

func validatePeers(path *field.Path, peers []Peer) field.ErrorList {
	var errs field.ErrorList
	for i, p := range peers {
		path := path.Index(i)
		if p.CIDR != "" {
			errs = append(errs, validation.IsValidCIDR(path.Child("cidr"), p.CIDR)...)
			if p.Namespace != "" || len(p.Pods) > 0 {
				errs = append(errs, field.Forbidden(path.Child("cidr"), "a peer is either pods or addresses: use two peers"))
			}
		}
		for j, except := range p.Except {
			path := path.Child("except").Index(j)
			whole, err := netip.ParsePrefix(p.CIDR)
			part, mistakes := netip.Prefix{}, validation.IsValidCIDR(path, except)
			if len(mistakes) == 0 {
				part, _ = netip.ParsePrefix(except)
			}
			switch {
			case p.CIDR == "":
				errs = append(errs, field.Forbidden(path, "only addresses have exceptions: give the cidr"))
			case len(mistakes) > 0:
				errs = append(errs, mistakes...)
			case err == nil && (part.Bits() <= whole.Bits() || !whole.Contains(part.Addr())):
				errs = append(errs, field.Invalid(path, except, "must be a part of the cidr, "+p.CIDR))
			}
		}
		if p.Namespace == "" && len(p.Pods) == 0 && p.CIDR == "" {
			errs = append(errs, field.Required(path, "say which pods, which namespace, or which addresses"))
		}
		if p.Namespace != "" {
			errs = validate.Namespace(errs, path.Child("namespace"), p.Namespace)
		}
		for j, port := range p.Ports {
			errs = validate.Port(errs, path.Child("ports").Index(j), port)
		}
	}
	return errs
}

func (n Network) policy() object.Object {
	policy := &networkingv1.NetworkPolicy{
		TypeMeta:   metav1.TypeMeta{APIVersion: "networking.k8s.io/v1", Kind: "NetworkPolicy"},
		ObjectMeta: meta(n.Namespace, n.Name),
		Spec: networkingv1.NetworkPolicySpec{
			PodSelector: metav1.LabelSelector{MatchLabels: maps.Clone(n.Pods)},
			PolicyTypes: []networkingv1.PolicyType{networkingv1.PolicyTypeIngress, networkingv1.PolicyTypeEgress},
			Egress:      []networkingv1.NetworkPolicyEgressRule{dns()},
		},
	}
	for _, p := range n.From {
		policy.Spec.Ingress = append(policy.Spec.Ingress, networkingv1.NetworkPolicyIngressRule{
			From: []networkingv1.NetworkPolicyPeer{p.policyPeer(n.Namespace)}, Ports: tcp(n.Ports),
		})
	}
	for _, p := range n.To {
		policy.Spec.Egress = append(policy.Spec.Egress, networkingv1.NetworkPolicyEgressRule{
			To: []networkingv1.NetworkPolicyPeer{p.policyPeer(n.Namespace)}, Ports: tcp(p.Ports),
		})
	}
	return policy
}

func (p Peer) policyPeer(home string) networkingv1.NetworkPolicyPeer {
	if p.CIDR != "" {
		return networkingv1.NetworkPolicyPeer{IPBlock: &networkingv1.IPBlock{CIDR: p.CIDR, Except: slices.Clone(p.Except)}}
	}
	peer := networkingv1.NetworkPolicyPeer{PodSelector: &metav1.LabelSelector{MatchLabels: maps.Clone(p.Pods)}}
	if p.Namespace != "" && p.Namespace != home {
		peer.NamespaceSelector = &metav1.LabelSelector{MatchLabels: map[string]string{corev1.LabelMetadataName: p.Namespace}}
	}
	return peer
}

// dns is CoreDNS as k3s runs it, over both protocols (k3s,
// manifests/coredns.yaml: its pods carry k8s-app: kube-dns).
func dns() networkingv1.NetworkPolicyEgressRule {
	rule := networkingv1.NetworkPolicyEgressRule{
		To: []networkingv1.NetworkPolicyPeer{
			Peer{Namespace: metav1.NamespaceSystem, Pods: map[string]string{"k8s-app": "kube-dns"}}.policyPeer(""),
		},
		Ports: append(tcp([]int32{53}), tcp([]int32{53})...),
	}
	rule.Ports[0].Protocol = new(corev1.ProtocolUDP)
	return rule
}

func tcp(ports []int32) []networkingv1.NetworkPolicyPort {
	var out []networkingv1.NetworkPolicyPort
	for _, port := range ports {
		out = append(out, networkingv1.NetworkPolicyPort{Protocol: new(corev1.ProtocolTCP), Port: new(intstr.FromInt32(port))})
	}
	return out
}
