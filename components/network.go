package components

import (
	"maps"

	corev1 "k8s.io/api/core/v1"
	networkingv1 "k8s.io/api/networking/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/intstr"
)

// networkPolicy closes the app's pods but for the peers and DNS. It selects
// these pods only, so cert-manager's solver pods in the same namespace stay
// open to Traefik.
func (w WebApp) networkPolicy() Object {
	policy := &networkingv1.NetworkPolicy{
		TypeMeta:   metav1.TypeMeta{APIVersion: "networking.k8s.io/v1", Kind: "NetworkPolicy"},
		ObjectMeta: meta(w.Namespace, w.Name),
		Spec: networkingv1.NetworkPolicySpec{
			PodSelector: metav1.LabelSelector{MatchLabels: selector(w.Name)},
			PolicyTypes: []networkingv1.PolicyType{networkingv1.PolicyTypeIngress, networkingv1.PolicyTypeEgress},
			Egress:      []networkingv1.NetworkPolicyEgressRule{dns()},
		},
	}
	for _, p := range w.Network.From {
		policy.Spec.Ingress = append(policy.Spec.Ingress, networkingv1.NetworkPolicyIngressRule{
			From: []networkingv1.NetworkPolicyPeer{p.policyPeer(w.Namespace)}, Ports: tcp([]int32{w.Port}),
		})
	}
	for _, p := range w.Network.To {
		policy.Spec.Egress = append(policy.Spec.Egress, networkingv1.NetworkPolicyEgressRule{
			To: []networkingv1.NetworkPolicyPeer{p.policyPeer(w.Namespace)}, Ports: tcp(p.Ports),
		})
	}
	return policy
}

func (p Peer) policyPeer(home string) networkingv1.NetworkPolicyPeer {
	if p.CIDR != "" {
		return networkingv1.NetworkPolicyPeer{IPBlock: &networkingv1.IPBlock{CIDR: p.CIDR}}
	}
	peer := networkingv1.NetworkPolicyPeer{PodSelector: &metav1.LabelSelector{MatchLabels: maps.Clone(p.Pods)}}
	if p.Namespace != "" && p.Namespace != home {
		peer.NamespaceSelector = &metav1.LabelSelector{MatchLabels: map[string]string{corev1.LabelMetadataName: p.Namespace}}
	}
	return peer
}

// dns is CoreDNS as k3s runs it, over both protocols.
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
