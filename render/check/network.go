package check

import (
	"fmt"
	"net/netip"
	"slices"
	"strings"

	corev1 "k8s.io/api/core/v1"
	networkingv1 "k8s.io/api/networking/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/intstr"

	"git.lastcloud.io/ronnibaslund/dezky/fleet/render/object"
)

// The rules on NetworkPolicies speak up where traffic is certainly cut. Where
// a policy may let it through, for all that is known here, they do not. That
// the kubelet reaches the pods of its node is not looked at: no policy can
// forbid it (Kubernetes documentation, 'Network Policies').
func networkRules() []Rule {
	return []Rule{{
		ID:       "policy-selector",
		Severity: object.Warning,
		Doc:      "A NetworkPolicy that selects no pods opens and closes nothing. Looked at where pods of its namespace are under check.",
		Source:   "Kubernetes documentation, 'Network Policies'",
		Run: func(p *Pass) {
			x := p.podIndex()
			for _, n := range p.policies().list {
				s, ns := &n.spec.PodSelector, n.of.ID.Namespace
				if !isEmpty(s) && len(x.in[ns]) > 0 && len(n.pods) == 0 && !x.elsewhere(ns, s) && !temporary(s) {
					p.Report(n.of, "spec.podSelector", "selects no pods: "+selectorText(s), "select the labels of a pod template")
				}
			}
		},
	}, {
		ID:       "policy-peer",
		Severity: object.Warning,
		Doc:      "A NetworkPolicy whose peer selects no pods lets nobody through. Looked at where pods of the peer's namespace are under check.",
		Source:   "Kubernetes documentation, 'Network Policies', Behavior of to and from selectors",
		Run:      policyPeers,
	}, {
		ID:     "policy-port",
		Doc:    "A NetworkPolicy that lets in at a port that its pods do not have lets in nothing.",
		Source: "Kubernetes documentation, 'Network Policies', Targeting a range of ports",
		Run:    policyPorts,
	}, {
		ID:     "policy-dns",
		Doc:    "A pod whose NetworkPolicies let it out, but not to DNS, finds nobody by name.",
		Source: "Kubernetes documentation, 'Network Policies' and 'Debugging DNS Resolution'",
		Run:    policyDNS,
	}, {
		ID:     "policy-caller",
		Doc:    "A pod that has the address of a Service, and is not let out to it or not let in there, waits until it times out.",
		Source: "Kubernetes documentation, 'Network Policies', The two sorts of pod isolation",
		Run:    policyCallers,
	}, {
		ID:     "policy-one-side",
		Doc:    "A connection needs the policies of both sides: where one side names the other, and that one does not let it through, the first was in vain.",
		Source: "Kubernetes documentation, 'Network Policies', The two sorts of pod isolation",
		Run:    policySides,
	}, {
		ID:     "policy-ingress",
		Doc:    "Where the policies of an app do not let the Ingress controller in, its host answers 502 or 504.",
		Source: "Kubernetes documentation, 'Network Policies'; k3s documentation, 'Networking Services', Traefik Ingress Controller",
		Run:    policyIngress,
	}, {
		ID:     "policy-solver",
		Doc:    "cert-manager answers HTTP-01 challenges with pods in the namespace of the Ingress: where policies do not let the Ingress controller in at port 8089, certificates are not renewed.",
		Source: "cert-manager, pkg/issuer/acme/http/http.go: acmeSolverListenPort; pkg/apis/acme/v1/types.go: SolverIdentificationLabelKey",
		Run:    policySolver,
	}}
}

// policy is a NetworkPolicy with the pods that it selects.
type policy struct {
	of   *Object
	spec *networkingv1.NetworkPolicySpec
	pods []*pods
	// in and out report which ways it closes but for its rules.
	in, out bool
}

// policies are those of a set, and which of them select which pods.
type policies struct {
	list    []*policy
	in, out map[*Object][]*policy // by what makes the pods
}

func (s *Set) policies() *policies {
	s.policiesOnce.Do(func() {
		all := s.Kind("networking.k8s.io", "NetworkPolicy")
		s.network = policies{in: make(map[*Object][]*policy, len(all)), out: make(map[*Object][]*policy, len(all))}
		for _, o := range all {
			n := As[*networkingv1.NetworkPolicy](o)
			if n == nil {
				continue
			}
			next := &policy{of: o, spec: &n.Spec, pods: s.podIndex().selected(o.ID.Namespace, &n.Spec.PodSelector)}
			next.in = len(n.Spec.PolicyTypes) == 0 || slices.Contains(n.Spec.PolicyTypes, networkingv1.PolicyTypeIngress)
			next.out = len(n.Spec.PolicyTypes) == 0 && len(n.Spec.Egress) > 0 || slices.Contains(n.Spec.PolicyTypes, networkingv1.PolicyTypeEgress)
			s.network.list = append(s.network.list, next)
			for _, q := range next.pods {
				if q.spec.HostNetwork {
					continue // policies do not hold for the host's network
				}
				if next.in {
					s.network.in[q.of] = append(s.network.in[q.of], next)
				}
				if next.out {
					s.network.out[q.of] = append(s.network.out[q.of], next)
				}
			}
		}
	})
	return &s.network
}

// side is one end of a connection, as far as it is known.
type side struct {
	namespace string
	// labels of the pods. If open, they may have others.
	labels map[string]string
	open   bool
	// pods, if they are under check, by which named ports are found.
	pods *pods
}

func sideOf(p *pods) side { return side{namespace: p.of.ID.Namespace, labels: p.labels, pods: p} }

// door is a port that is called: a number, 0 where it is not known.
type door struct {
	port     int32
	protocol corev1.Protocol
}

// allowsOut reports whether policies may let their pods out to a side.
func (s *Set) allowsOut(list []*policy, to side, at ...door) bool {
	for _, n := range list {
		for i := range n.spec.Egress {
			rule := &n.spec.Egress[i]
			if s.mayInclude(n.of.ID.Namespace, rule.To, to) && mayBeAt(rule.Ports, to, at) {
				return true
			}
		}
	}
	return len(list) == 0
}

// allowsIn reports whether policies may let a side in to their pods.
func (s *Set) allowsIn(list []*policy, from, to side, at ...door) bool {
	for _, n := range list {
		for i := range n.spec.Ingress {
			rule := &n.spec.Ingress[i]
			if s.mayInclude(n.of.ID.Namespace, rule.From, from) && mayBeAt(rule.Ports, to, at) {
				return true
			}
		}
	}
	return len(list) == 0
}

// mayInclude reports whether one of the peers of a policy may be that side. No
// peers are all.
func (s *Set) mayInclude(namespace string, peers []networkingv1.NetworkPolicyPeer, is side) bool {
	for _, peer := range peers {
		switch {
		case peer.IPBlock != nil:
			if mayBePod(peer.IPBlock) {
				return true
			}
			continue
		case peer.NamespaceSelector == nil:
			if is.namespace != namespace {
				continue
			}
		case !s.maySelectNamespace(peer.NamespaceSelector, is.namespace):
			continue
		}
		if peer.PodSelector == nil || maySelect(peer.PodSelector, is.labels, is.open) {
			return true
		}
	}
	return len(peers) == 0
}

// maySelectNamespace reports whether a selector may select a namespace: its
// name is a label, and others are known where it is under check.
func (s *Set) maySelectNamespace(selector *metav1.LabelSelector, name string) bool {
	if ns, ok := namespaceOf(selector); ok && (ns != name || len(selector.MatchLabels)+len(selector.MatchExpressions) == 1) {
		return ns == name
	}
	labels, open := map[string]string{corev1.LabelMetadataName: name}, true
	if o := s.byID[object.ID{Kind: "Namespace", Name: name}]; o != nil {
		open = false
		for k, v := range o.GetLabels() {
			if k != corev1.LabelMetadataName {
				labels[k] = v
			}
		}
	}
	return maySelect(selector, labels, open)
}

// maySelect reports whether a selector may select what has these labels, and
// perhaps others.
func maySelect(selector *metav1.LabelSelector, labels map[string]string, open bool) bool {
	if !open {
		return matches(labels, selector)
	}
	for k, v := range selector.MatchLabels {
		if has, ok := labels[k]; ok && has != v {
			return false
		}
	}
	for _, e := range selector.MatchExpressions {
		if _, ok := labels[e.Key]; ok && !meets(labels, e) {
			return false
		}
	}
	return true
}

// mayBePod reports whether addresses may be those of pods: private ones, of
// which it is not known which a cluster gives to pods.
func mayBePod(block *networkingv1.IPBlock) bool {
	holds := func(cidr string, a netip.Addr) bool {
		prefix, err := netip.ParsePrefix(cidr)
		return err == nil && prefix.Contains(a)
	}
	for _, text := range []string{"10.42.0.10", "10.43.0.10", "10.244.0.10", "10.96.0.10", "172.16.0.10", "192.168.0.10", "100.64.0.10", "169.254.20.10", "fd00::10"} {
		a := netip.MustParseAddr(text)
		if holds(block.CIDR, a) && !slices.ContainsFunc(block.Except, func(cidr string) bool { return holds(cidr, a) }) {
			return true
		}
	}
	// A narrower block may be the network of some cluster's pods.
	prefix, err := netip.ParsePrefix(block.CIDR)
	return err != nil || prefix.Bits() > 0 && prefix.Addr().IsPrivate() && len(block.Except) == 0
}

// mayBeAt reports whether one of the ports of a policy may be one of the doors
// of a side. No ports are all, and a door that is not known may be any.
func mayBeAt(ports []networkingv1.NetworkPolicyPort, is side, doors []door) bool {
	if len(ports) == 0 || len(doors) == 0 {
		return true
	}
	for _, p := range ports {
		protocol := corev1.ProtocolTCP
		if p.Protocol != nil {
			protocol = *p.Protocol
		}
		for _, d := range doors {
			switch {
			case protocol != d.protocol:
			case p.Port == nil || d.port == 0:
				return true
			case p.Port.Type == intstr.String:
				if is.pods == nil || slices.Contains(is.pods.numbers(p.Port.StrVal, protocol), d.port) {
					return true
				}
			case p.EndPort != nil && d.port >= p.Port.IntVal && d.port <= *p.EndPort, p.Port.IntVal == d.port:
				return true
			}
		}
	}
	return false
}

// numbers returns the ports of a name.
func (p *pods) numbers(name string, protocol corev1.Protocol) []int32 {
	var all []int32
	p.eachContainer(func(list string, c *corev1.Container) {
		for _, have := range c.Ports {
			if have.Name == name && protocolOf(have.Protocol) == protocol && serves(list, c) {
				all = append(all, have.ContainerPort)
			}
		}
	})
	return all
}

func policyPeers(p *Pass) {
	x := p.podIndex()
	for _, n := range p.policies().list {
		look := func(field string, i int, peers []networkingv1.NetworkPolicyPeer) {
			for k, peer := range peers {
				ns := n.of.ID.Namespace
				if peer.NamespaceSelector != nil {
					name, ok := namespaceOf(peer.NamespaceSelector)
					if !ok {
						continue
					}
					ns = name
				}
				s := peer.PodSelector
				if !isEmpty(s) && len(x.in[ns]) > 0 && len(x.selected(ns, s)) == 0 && !temporary(s) && !x.elsewhere(ns, s) {
					p.Report(n.of, fmt.Sprintf(field, i, k), "selects no pods of "+ns+": "+selectorText(s), "select the labels of a pod template, or declare elsewhere what makes the pods, with its pod template")
				}
			}
		}
		for i := range n.spec.Ingress {
			look("spec.ingress[%d].from[%d].podSelector", i, n.spec.Ingress[i].From)
		}
		for i := range n.spec.Egress {
			look("spec.egress[%d].to[%d].podSelector", i, n.spec.Egress[i].To)
		}
	}
}

func policyPorts(p *Pass) {
	for _, n := range p.policies().list {
		if len(n.pods) == 0 || isEmpty(&n.spec.PodSelector) {
			continue
		}
		for i, rule := range n.spec.Ingress {
			for k, port := range rule.Ports {
				if port.Port == nil || port.EndPort != nil {
					continue
				}
				protocol := corev1.ProtocolTCP
				if port.Protocol != nil {
					protocol = *port.Protocol
				}
				if !slices.ContainsFunc(n.pods, func(q *pods) bool { return q.listens(*port.Port, protocol) }) {
					p.Report(n.of, fmt.Sprintf("spec.ingress[%d].ports[%d]", i, k), fmt.Sprintf("%s has no port %s", n.pods[0].of.ID, port.Port.String()), "its ports are "+n.pods[0].portsText())
				}
			}
		}
	}
}

func policyDNS(p *Pass) {
	p.wrongReferences()
	calls := make(map[*Object]bool, len(p.allPods()))
	for _, u := range p.uses {
		if u.call {
			calls[u.from] = true
		}
	}
	dns := []side{
		{namespace: "kube-system", labels: map[string]string{"k8s-app": "kube-dns"}, open: true},
		{namespace: "openshift-dns", open: true},
	}
	told := make(map[string]bool)
	p.eachPods(func(q *pods) {
		list := p.policies().out[q.of]
		rules := 0
		for _, n := range list {
			rules += len(n.spec.Egress)
		}
		if len(list) == 0 || rules == 0 && !calls[q.of] || q.spec.DNSPolicy == corev1.DNSNone || q.spec.DNSPolicy == corev1.DNSDefault {
			return
		}
		for _, to := range dns {
			if p.allowsOut(list, to, door{53, corev1.ProtocolUDP}, door{5353, corev1.ProtocolUDP}) {
				return
			}
		}
		field := "spec.egress"
		at := list[0]
		for _, n := range list { // the one that lets it out is the one to mend
			if len(n.spec.Egress) > 0 {
				at = n
				break
			}
		}
		if key := at.of.ID.String() + " " + q.of.ID.String(); !told[key] {
			told[key] = true
			p.Report(at.of, field, "lets "+q.of.ID.String()+" out, but not to DNS: it finds nobody by name", "let it out to the pods k8s-app=kube-dns in kube-system at port 53, UDP and TCP")
		}
	})
}

// use is a Service that a pod calls by its address, or that an Ingress leads to.
type use struct {
	from *Object
	at   string
	to   object.ID
	port networkingv1.ServiceBackendPort // zero if not known
	call bool
}

// doors returns the pods of a Service, each with the number at which it serves
// that port. It is 0 where that is not known.
func (s *Set) doors(id object.ID, port networkingv1.ServiceBackendPort, do func(*pods, door)) {
	o := s.get(id)
	if o == nil {
		return
	}
	service := As[*corev1.Service](o)
	for _, q := range s.podIndex().services[o] {
		d := door{0, corev1.ProtocolTCP}
		for _, have := range service.Spec.Ports {
			if port.Name != "" && have.Name != port.Name || port.Name == "" && have.Port != port.Number {
				continue
			}
			d.protocol = protocolOf(have.Protocol)
			switch target := have.TargetPort; {
			case target.Type == intstr.String && target.StrVal != "":
				if numbers := q.numbers(target.StrVal, d.protocol); len(numbers) == 1 {
					d.port = numbers[0]
				}
			case target.IntVal != 0:
				d.port = target.IntVal
			default:
				d.port = have.Port
			}
		}
		do(q, d)
	}
}

func atPort(d door) string {
	if d.port == 0 {
		return ""
	}
	return fmt.Sprintf(" at port %d", d.port)
}

func policyCallers(p *Pass) {
	p.wrongReferences()
	x := p.podIndex()
	for _, u := range p.uses {
		if !u.call {
			continue
		}
		from, ok := x.of[u.from]
		if !ok {
			continue
		}
		out := p.policies().out[u.from]
		known := false
		p.doors(u.to, u.port, func(q *pods, d door) {
			known = true
			if q.of == u.from {
				return
			}
			if !p.allowsOut(out, sideOf(q), d) {
				p.Report(out[0].of, "spec.egress", fmt.Sprintf("does not let %s out to %s%s, which it calls by %s", u.from.ID, q.of.ID, atPort(d), u.at), "let it out there")
			}
			if in := p.policies().in[q.of]; !p.allowsIn(in, sideOf(from), sideOf(q), d) {
				p.Report(in[0].of, "spec.ingress", fmt.Sprintf("does not let %s in to %s%s, which it calls by %s", u.from.ID, q.of.ID, atPort(d), u.at), "let it in there")
			}
		})
		if o := p.get(u.to); alwaysThere(u.to) || o != nil && selectorOf(As[*corev1.Service](o)) == nil {
			continue // leads to addresses that are not known
		}
		if !known && !p.allowsOut(out, side{namespace: u.to.Namespace, open: true}) {
			p.Report(out[0].of, "spec.egress", fmt.Sprintf("does not let %s out to the namespace %s, where it calls %s by %s", u.from.ID, u.to.Namespace, u.to, u.at), "let it out there")
		}
	}
}

// policySides follows the peers that a policy names by their labels, and looks
// at what the policies of the other side say.
func policySides(p *Pass) {
	x := p.podIndex()
	type pair struct{ one, other *Object }
	told := make(map[pair]bool)
	peers := func(n *policy, peers []networkingv1.NetworkPolicyPeer, do func(*pods)) {
		for _, peer := range peers {
			if peer.IPBlock != nil || isEmpty(peer.PodSelector) {
				continue
			}
			namespaces := []string{n.of.ID.Namespace}
			if peer.NamespaceSelector != nil {
				name, ok := namespaceOf(peer.NamespaceSelector)
				if !ok {
					continue
				}
				namespaces[0] = name
			}
			for _, ns := range namespaces {
				for _, q := range x.selected(ns, peer.PodSelector) {
					do(q)
				}
			}
		}
	}
	for _, n := range p.policies().list {
		if n.out {
			for i := range n.spec.Egress {
				rule := &n.spec.Egress[i]
				peers(n, rule.To, func(q *pods) {
					in := p.policies().in[q.of]
					for _, from := range n.pods {
						if from.of != q.of && !told[pair{from.of, q.of}] && !p.allowsIn(in, sideOf(from), sideOf(q), doorsOf(rule.Ports, q)...) {
							told[pair{from.of, q.of}] = true
							p.Report(n.of, fmt.Sprintf("spec.egress[%d]", i), fmt.Sprintf("lets %s out to %s, whose policies do not let it in", from.of.ID, q.of.ID), "let it in by "+in[0].of.ID.String()+", or take it out here")
						}
					}
				})
			}
		}
		if n.in {
			for i := range n.spec.Ingress {
				rule := &n.spec.Ingress[i]
				peers(n, rule.From, func(from *pods) {
					out := p.policies().out[from.of]
					for _, q := range n.pods {
						if from.of != q.of && !told[pair{from.of, q.of}] && !p.allowsOut(out, sideOf(q), doorsOf(rule.Ports, q)...) {
							told[pair{from.of, q.of}] = true
							p.Report(n.of, fmt.Sprintf("spec.ingress[%d]", i), fmt.Sprintf("lets %s in to %s, and its policies do not let it out there", from.of.ID, q.of.ID), "let it out by "+out[0].of.ID.String()+", or take it out here")
						}
					}
				})
			}
		}
	}
}

// namespaceOf returns the namespace that a selector names.
func namespaceOf(s *metav1.LabelSelector) (string, bool) {
	name, ok := s.MatchLabels[corev1.LabelMetadataName]
	if !ok {
		for _, e := range s.MatchExpressions {
			if e.Key == corev1.LabelMetadataName && e.Operator == metav1.LabelSelectorOpIn && len(e.Values) == 1 {
				return e.Values[0], true
			}
		}
	}
	return name, ok
}

// doorsOf returns the doors of the pods that the ports of a policy are.
func doorsOf(ports []networkingv1.NetworkPolicyPort, q *pods) []door {
	var all []door
	for _, p := range ports {
		d := door{0, corev1.ProtocolTCP}
		if p.Protocol != nil {
			d.protocol = *p.Protocol
		}
		switch {
		case p.Port == nil || p.EndPort != nil:
		case p.Port.Type == intstr.Int:
			d.port = p.Port.IntVal
		default:
			if numbers := q.numbers(p.Port.StrVal, d.protocol); len(numbers) == 1 {
				d.port = numbers[0]
			}
		}
		all = append(all, d)
	}
	return all
}

// controllers returns where the Ingress controller of an object may be, as far
// as policies say so: in a namespace that they name and that exists, or in one
// that they do not name.
func (s *Set) controllers(o *Object, list []*policy) []side {
	pod := map[string]string{"app.kubernetes.io/name": "traefik"}
	if o.ID.Group != traefik && classOf(o) != "traefik" {
		pod = nil // another one, whose labels are not known
	}
	all := []side{{namespace: "", labels: pod, open: true}}
	add := func(namespace string) {
		all = append(all, side{namespace: namespace, labels: pod, open: true})
	}
	own := o.ID.Namespace
	if system(own) || pod != nil && len(s.podIndex().selected(own, &metav1.LabelSelector{MatchLabels: pod})) > 0 {
		add(own)
	}
	for _, n := range list {
		for _, rule := range n.spec.Ingress {
			for _, peer := range rule.From {
				if peer.NamespaceSelector == nil {
					continue
				}
				ns, ok := namespaceOf(peer.NamespaceSelector)
				if ok && ns != own && (pod == nil || s.known().namespaces[ns] || strings.Contains(ns, "traefik") || strings.Contains(ns, "ingress")) {
					add(ns)
				}
			}
		}
	}
	return all
}

func policyIngress(p *Pass) {
	p.wrongReferences()
	if len(p.policies().in) == 0 {
		return
	}
	for _, u := range p.uses {
		if u.call {
			continue
		}
		p.doors(u.to, u.port, func(q *pods, d door) {
			in := p.policies().in[q.of]
			if len(in) == 0 || slices.ContainsFunc(p.controllers(u.from, in), func(from side) bool { return p.allowsIn(in, from, sideOf(q), d) }) {
				return
			}
			p.Report(in[0].of, "spec.ingress", fmt.Sprintf("does not let the Ingress controller in to %s%s, where %s leads", q.of.ID, atPort(d), u.from.ID), "let it in, such as Traefik of k3s: the pods app.kubernetes.io/name=traefik in kube-system")
		})
	}
}

func policySolver(p *Pass) {
	seen := make(map[string]bool)
	for _, o := range slices.Concat(p.Kind("networking.k8s.io", "Ingress"), p.Kind(certManager, "Certificate")) {
		ns := o.ID.Namespace
		if seen[ns] || o.ID.Kind == "Ingress" && !shimmed(o) || !p.challengesByHTTP(o) {
			continue
		}
		if o.ID.Kind == "Certificate" && p.Get(issuerOf(o)) == nil {
			continue // it may be one that asks nobody, such as a CA
		}
		seen[ns] = true
		solver := map[string]string{"acme.cert-manager.io/http01-solver": "true"}
		var closing []*policy
		for _, n := range p.policies().list {
			if n.in && n.of.ID.Namespace == ns && solves(&n.spec.PodSelector, solver) {
				closing = append(closing, n)
			}
		}
		to := side{namespace: ns, labels: solver, open: true}
		if slices.ContainsFunc(p.controllers(o, closing), func(from side) bool {
			return p.allowsIn(closing, from, to, door{8089, corev1.ProtocolTCP})
		}) {
			continue
		}
		certificate := o.ID.String()
		if o.ID.Kind == "Ingress" {
			certificate = "the certificate of " + certificate
		}
		p.Report(closing[0].of, "spec.podSelector", "closes "+ns+" to cert-manager's solver pods, and "+certificate+" is not renewed", "let the Ingress controller in to the pods acme.cert-manager.io/http01-solver=true at port 8089")
	}
}

// solves reports whether a policy selects solver pods: by no label, or by
// theirs.
func solves(s *metav1.LabelSelector, labels map[string]string) bool {
	for k, v := range s.MatchLabels {
		if labels[k] != v {
			return false
		}
	}
	for _, e := range s.MatchExpressions {
		switch e.Operator {
		case metav1.LabelSelectorOpNotIn, metav1.LabelSelectorOpDoesNotExist:
			if _, ok := labels[e.Key]; ok {
				return false
			}
		default:
			if _, ok := labels[e.Key]; !ok {
				return false
			}
		}
	}
	return true
}

// challengesByHTTP reports whether the issuer of an Ingress or Certificate may
// answer HTTP-01 challenges. One that is not under check may.
func (s *Set) challengesByHTTP(o *Object) bool {
	issuer := s.Get(issuerOf(o))
	if issuer == nil {
		return true
	}
	solvers, _ := at(issuer.fields(), "spec", "acme", "solvers").([]any)
	return slices.ContainsFunc(solvers, func(solver any) bool {
		fields, _ := solver.(map[string]any)
		return fields["http01"] != nil
	})
}
