package check

import (
	"fmt"
	"slices"
	"strconv"
	"strings"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	discoveryv1 "k8s.io/api/discovery/v1"
	policyv1 "k8s.io/api/policy/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/intstr"

	"git.lastcloud.io/ronnibaslund/dezky/fleet/render/object"
)

func portRules() []Rule {
	return []Rule{{
		ID:     "service-selector",
		Doc:    "A Service whose selector finds no pods has no endpoints: whoever calls it is refused, and Traefik answers 404 or 503. Looked at where pods of its namespace are under check.",
		Source: "Kubernetes documentation, 'Service', Services without selectors; Traefik, pkg/provider/kubernetes/ingress: allowEmptyServices",
		Run:    serviceSelectors,
	}, {
		ID:       "service-endpoints",
		Severity: object.Warning,
		Doc:      "A Service without a selector leads to what its EndpointSlices or Endpoints say: without any, whoever calls it is refused.",
		Source:   "Kubernetes documentation, 'Service', Services without selectors",
		Run:      endpoints,
	}, {
		ID:       "service-headless",
		Severity: object.Warning,
		Doc:      "The pods of a StatefulSet have names in DNS by a headless Service alone: behind another one, whoever calls a pod by its name finds nobody.",
		Source:   "Kubernetes documentation, 'StatefulSets', Limitations",
		Run: func(p *Pass) {
			each(p, "apps", "StatefulSet", func(p *Pass, o *Object, set *appsv1.StatefulSet) {
				under := p.Get(object.ID{Kind: "Service", Namespace: o.ID.Namespace, Name: set.Spec.ServiceName})
				if under == nil {
					return
				}
				if s := As[*corev1.Service](under); s != nil && s.Spec.ClusterIP != corev1.ClusterIPNone {
					p.Report(o, "spec.serviceName", under.ID.String()+" is not headless, and the pods have no names", "let its clusterIP be None")
				}
			})
		},
	}, {
		ID:     "node-port-twice",
		Doc:    "The API server refuses a Service with a nodePort that another Service has, in whatever namespace.",
		Source: "Kubernetes documentation, 'Service', type: NodePort",
		Run: func(p *Pass) {
			type nodePort struct {
				number   int32
				protocol corev1.Protocol
			}
			var first map[nodePort]*Object
			each(p, "", "Service", func(p *Pass, o *Object, s *corev1.Service) {
				for i := range s.Spec.Ports {
					port := &s.Spec.Ports[i]
					if port.NodePort == 0 {
						continue
					}
					at := nodePort{port.NodePort, protocol(port.Protocol)}
					if other := first[at]; other != nil && other.ID != o.ID {
						p.Report(o, fmt.Sprintf("spec.ports[%d].nodePort", i), fmt.Sprintf("%d: is the nodePort of %s too", port.NodePort, other.ID), "leave it out, and the API server picks one; or give it another")
						continue
					}
					if first == nil {
						first = make(map[nodePort]*Object)
					}
					first[at] = o
				}
			})
		},
	}, {
		ID:     "service-target-port",
		Doc:    "A Service whose target port no container has leads nowhere: a name that is not there gives no endpoint, and at a number nobody listens.",
		Source: "Kubernetes, pkg/api/v1/pod/util.go: FindPort; Kubernetes documentation, 'Service', Port definitions",
		Run:    targetPorts,
	}, {
		ID:       "service-two-apps",
		Severity: object.Warning,
		Doc:      "A Service over the pods of two workloads sends each request to either of them.",
		Source:   "Kubernetes documentation, 'Service'",
		Run:      servicesOfTwo,
	}, {
		ID:     "selector-overlap",
		Doc:    "Where the selector of a workload finds pods of another one, their controllers fight over them: an autoscaler counts both, and a rollout waits for the wrong ones.",
		Source: "Kubernetes documentation, 'Deployments', Selector",
		Run:    overlaps,
	}, {
		ID:     "probe-port",
		Doc:    "A probe or hook at a port name that its container lacks fails for ever: the container is killed, or never gets traffic.",
		Source: "Kubernetes, pkg/probe/util.go: ResolveContainerPort",
		Alone:  true,
		Run: func(p *Pass) {
			checkProbes(p, func(port intstr.IntOrString, c *corev1.Container) (problem, remedy string) {
				if port.Type == intstr.String && !slices.ContainsFunc(c.Ports, func(p corev1.ContainerPort) bool { return p.Name == port.StrVal }) {
					return fmt.Sprintf("container %s has no port %q", c.Name, port.StrVal), "its ports are " + containerPorts(c)
				}
				return "", ""
			})
		},
	}, {
		ID:       "probe-port-number",
		Severity: object.Warning,
		Doc:      "A probe at a port that its container does not name, or names for UDP or SCTP alone, looks at something else than what serves, or at nothing.",
		Source:   "Kubernetes documentation, 'Configure Liveness, Readiness and Startup Probes'; kube-linter, check liveness-port",
		Alone:    true,
		Run: func(p *Pass) {
			checkProbes(p, func(port intstr.IntOrString, c *corev1.Container) (problem, remedy string) {
				named := func(p corev1.ContainerPort) bool {
					return port.Type == intstr.Int && p.ContainerPort == port.IntVal || port.Type == intstr.String && p.Name == port.StrVal
				}
				byTCP := func(p corev1.ContainerPort) bool {
					return named(p) && (p.Protocol == "" || p.Protocol == corev1.ProtocolTCP)
				}
				switch {
				case len(c.Ports) == 0 || slices.ContainsFunc(c.Ports, byTCP):
				case slices.ContainsFunc(c.Ports, named):
					return fmt.Sprintf("looks by TCP, and port %s of container %s is not for TCP", port.String(), c.Name), "its ports are " + containerPorts(c) + "; look at one that is for TCP"
				case port.Type == intstr.Int:
					return fmt.Sprintf("container %s has no port %d", c.Name, port.IntVal), "its ports are " + containerPorts(c) + "; add the one that is looked at, or look at one of them"
				}
				return "", ""
			})
		},
	}, {
		ID:     "port-variable",
		Doc:    "An app that listens at the port of a variable is not reached at another one that its container names.",
		Source: "Nitro documentation, 'Node.js Runtime', Environment Variables: PORT; the twelve-factor app, 'Port binding'",
		Run:    portVariables,
	}, {
		ID:       "spread-selector",
		Severity: object.Warning,
		Doc:      "A topology spread whose selector does not find the pods that have it spreads none of them.",
		Source:   "Kubernetes documentation, 'Pod Topology Spread Constraints', Implicit conventions",
		Alone:    true,
		Run: func(p *Pass) {
			p.eachPods(func(q *pods) {
				for i, c := range q.spec.TopologySpreadConstraints {
					at := fmt.Sprintf("%s.topologySpreadConstraints[%d].labelSelector", q.at, i)
					switch {
					case c.LabelSelector == nil:
						p.Report(q.of, at, "is empty, and so selects no pods", "select the labels of the pods")
					case !q.selectedBy(c.LabelSelector):
						p.Report(q.of, at, selectorText(c.LabelSelector)+" does not select the pods themselves", "select their labels")
					}
				}
			})
		},
	}, {
		ID:       "budget-selector",
		Severity: object.Warning,
		Doc:      "A PodDisruptionBudget that selects no pods, or says no number, protects none.",
		Source:   "Kubernetes documentation, 'Specifying a Disruption Budget for your Application'",
		Run: func(p *Pass) {
			x := p.podIndex()
			for _, o := range p.Kind("policy", "PodDisruptionBudget") {
				b := As[*policyv1.PodDisruptionBudget](o)
				if b == nil {
					continue
				}
				if b.Spec.MinAvailable == nil && b.Spec.MaxUnavailable == nil {
					p.Report(o, "spec", "says neither minAvailable nor maxUnavailable, and lets all pods go", "state maxUnavailable: 1")
				}
				if b.Spec.Selector == nil {
					p.Report(o, "spec.selector", "is empty, and selects no pods", "select the labels of a pod template")
					continue
				}
				if len(x.in[o.ID.Namespace]) == 0 || temporary(b.Spec.Selector) || x.elsewhere(o.ID.Namespace, b.Spec.Selector) {
					continue
				}
				if len(x.budgets[o]) == 0 {
					p.Report(o, "spec.selector", "selects no pods: "+selectorText(b.Spec.Selector), "select the labels of a pod template")
				}
			}
		},
	}}
}

// selectorOf returns the selector of a Service, and nil where it has none or
// does not use it.
func selectorOf(service *corev1.Service) *metav1.LabelSelector {
	if service == nil || len(service.Spec.Selector) == 0 || service.Spec.Type == corev1.ServiceTypeExternalName {
		return nil
	}
	return &metav1.LabelSelector{MatchLabels: service.Spec.Selector}
}

func serviceSelectors(p *Pass) {
	x := p.podIndex()
	for _, o := range p.Kind("", "Service") {
		selector := selectorOf(As[*corev1.Service](o))
		if selector == nil || len(x.in[o.ID.Namespace]) == 0 || temporary(selector) || x.elsewhere(o.ID.Namespace, selector) {
			continue
		}
		if len(x.services[o]) == 0 {
			p.Report(o, "spec.selector", "selects no pods: "+selectorText(selector), "select the labels of a pod template, or declare elsewhere what makes the pods, with its pod template")
		}
	}
}

// selectorText is a selector as kubectl takes it.
func selectorText(s *metav1.LabelSelector) string {
	return metav1.FormatLabelSelector(s)
}

// endpoints reports Services that lead nowhere.
func endpoints(p *Pass) {
	has := make(map[object.ID]bool)
	for _, o := range p.Kind("", "Endpoints") {
		has[object.ID{Kind: "Service", Namespace: o.ID.Namespace, Name: o.ID.Name}] = true
	}
	for _, o := range p.Kind("discovery.k8s.io", "EndpointSlice") {
		has[object.ID{Kind: "Service", Namespace: o.ID.Namespace, Name: o.GetLabels()[discoveryv1.LabelServiceName]}] = true
	}
	each(p, "", "Service", func(p *Pass, o *Object, s *corev1.Service) {
		if len(s.Spec.Selector) == 0 && s.Spec.Type != corev1.ServiceTypeExternalName && !has[o.ID] {
			p.Report(o, "spec.selector", "is empty, and no EndpointSlice says where the Service leads", "select the labels of a pod template")
		}
	})
}

func targetPorts(p *Pass) {
	x := p.podIndex()
	for _, o := range p.Kind("", "Service") {
		service := As[*corev1.Service](o)
		selector := selectorOf(service)
		if selector == nil {
			continue
		}
		selected := x.services[o]
		if len(selected) == 0 {
			continue
		}
		for i, port := range service.Spec.Ports {
			target, field := port.TargetPort, func() string {
				if port.Name != "" {
					return "spec.ports[" + port.Name + "].targetPort"
				}
				return fmt.Sprintf("spec.ports[%d].targetPort", i)
			}
			if target == (intstr.IntOrString{}) {
				target = intstr.FromInt32(port.Port)
			}
			if target.Type == intstr.String && target.StrVal != "" && strings.Trim(target.StrVal, "0123456789") == "" {
				p.Report(o, field(), fmt.Sprintf("%q is the name of a port, and a name has a letter", target.StrVal), "write the number without quotes")
				continue
			}
			if !slices.ContainsFunc(selected, func(q *pods) bool { return q.listens(target, protocolOf(port.Protocol)) }) {
				text := target.String()
				if port.Protocol != "" && port.Protocol != corev1.ProtocolTCP {
					text += "/" + string(port.Protocol)
				}
				p.Report(o, field(), fmt.Sprintf("%s has no port %s", selected[0].of.ID, text), "its ports are "+selected[0].portsText())
			}
		}
	}
}

func protocolOf(p corev1.Protocol) corev1.Protocol {
	if p == "" {
		return corev1.ProtocolTCP
	}
	return p
}

// listens reports whether a container of the pods has the port, or may have the
// number, since it states no ports at all.
func (p *pods) listens(port intstr.IntOrString, protocol corev1.Protocol) bool {
	found, containers := false, 0
	p.eachContainer(func(list string, c *corev1.Container) {
		if !serves(list, c) {
			return
		}
		containers++
		if len(c.Ports) == 0 && port.Type == intstr.Int {
			found = true
		}
		for _, have := range c.Ports {
			if protocolOf(have.Protocol) == protocol && (port.Type == intstr.String && have.Name == port.StrVal || port.Type == intstr.Int && have.ContainerPort == port.IntVal) {
				found = true
			}
		}
	})
	return found || containers == 0
}

// serves reports whether a container runs beside the others: those of the pod,
// and init containers that restart always.
func serves(list string, c *corev1.Container) bool {
	return list == "containers" || c.RestartPolicy != nil && *c.RestartPolicy == corev1.ContainerRestartPolicyAlways
}

func (p *pods) portsText() string {
	var list []string
	p.eachContainer(func(where string, c *corev1.Container) {
		if serves(where, c) && len(c.Ports) > 0 {
			list = append(list, containerPorts(c))
		}
	})
	if len(list) == 0 {
		return "none"
	}
	return strings.Join(list, ", ")
}

func containerPorts(c *corev1.Container) string {
	if len(c.Ports) == 0 {
		return "none"
	}
	var list []string
	for _, p := range c.Ports {
		text := strconv.Itoa(int(p.ContainerPort))
		if p.Protocol != "" && p.Protocol != corev1.ProtocolTCP {
			text += "/" + string(p.Protocol)
		}
		if p.Name != "" {
			text += " (" + p.Name + ")"
		}
		list = append(list, text)
	}
	return strings.Join(list, ", ")
}

func servicesOfTwo(p *Pass) {
	x := p.podIndex()
	for _, o := range p.Kind("", "Service") {
		if len(x.services[o]) < 2 {
			continue
		}
		selector := selectorOf(As[*corev1.Service](o))
		var names []string
		for _, q := range x.services[o] {
			if q.of.ID.Kind != "Pod" {
				names = append(names, q.of.ID.String())
			}
		}
		slices.Sort(names)
		if names = slices.Compact(names); len(names) > 1 {
			p.Report(o, "spec.selector", selectorText(selector)+" selects the pods of "+strings.Join(names, " and of "), "select a label that one of them has")
		}
	}
}

// overlaps reports workloads whose selector selects the pods of another.
func overlaps(p *Pass) {
	x := p.podIndex()
	for _, q := range p.allPods() {
		if isEmpty(q.selector) {
			continue
		}
		for _, other := range x.selected(q.of.ID.Namespace, q.selector) {
			if other.of != q.of && other.of.ID != q.of.ID && other.selects {
				p.Report(q.of, "spec.selector", selectorText(q.selector)+" selects the pods of "+other.of.ID.String()+" too", "select a label that its own pods alone have")
				break
			}
		}
	}
}

// checkProbes looks at each port that a probe or a hook of a container names,
// and reports what wrong says of it: nothing where the problem is empty.
func checkProbes(p *Pass, wrong func(port intstr.IntOrString, c *corev1.Container) (problem, remedy string)) {
	p.eachPods(func(q *pods) {
		q.eachContainer(func(list string, c *corev1.Container) {
			look := func(of, handler string, port intstr.IntOrString) {
				if problem, remedy := wrong(port, c); problem != "" {
					p.Report(q.of, q.at+"."+list+"["+c.Name+"]."+of+"."+handler+".port", problem, remedy)
				}
			}
			either := func(of string, http *corev1.HTTPGetAction, tcp *corev1.TCPSocketAction) {
				switch {
				case http != nil && http.Host == "":
					look(of, "httpGet", http.Port)
				case tcp != nil && tcp.Host == "":
					look(of, "tcpSocket", tcp.Port)
				}
			}
			probe := func(of string, probe *corev1.Probe) {
				if probe == nil {
					return
				}
				either(of, probe.HTTPGet, probe.TCPSocket)
				if probe.GRPC != nil {
					look(of, "grpc", intstr.FromInt32(probe.GRPC.Port))
				}
			}
			hook := func(of string, hook *corev1.LifecycleHandler) {
				if hook != nil {
					either(of, hook.HTTPGet, hook.TCPSocket)
				}
			}
			probe("startupProbe", c.StartupProbe)
			probe("livenessProbe", c.LivenessProbe)
			probe("readinessProbe", c.ReadinessProbe)
			if c.Lifecycle != nil {
				hook("lifecycle.postStart", c.Lifecycle.PostStart)
				hook("lifecycle.preStop", c.Lifecycle.PreStop)
			}
		})
	})
}

// portVariables reports the variables by which servers take their port, where
// it is none of the container's.
func portVariables(p *Pass) {
	p.eachPods(func(q *pods) {
		q.eachContainer(func(list string, c *corev1.Container) {
			if len(c.Ports) == 0 {
				return
			}
			look := func(field, name, value string) {
				if _, err := strconv.Atoi(strings.TrimSpace(value)); err != nil && value != "" && !strings.Contains(name, "ADDR") && !strings.ContainsAny(value, "$/") {
					p.Report(q.of, q.at+"."+list+"["+c.Name+"]."+field, fmt.Sprintf("%q is no port, and the app listens at the port of %s", value, name), "write a number in quotes")
					return
				}
				port, ok := portOf(name, value)
				if ok && !slices.ContainsFunc(c.Ports, func(p corev1.ContainerPort) bool { return int(p.ContainerPort) == port }) {
					p.Report(q.of, q.at+"."+list+"["+c.Name+"]."+field, fmt.Sprintf("the app listens at port %d by %s, and the container's ports are %s", port, name, containerPorts(c)), "make them one")
				}
			}
			for i := range c.Env {
				v := &c.Env[i]
				switch {
				case !slices.Contains(portNames, v.Name):
				case v.ValueFrom == nil:
					look("env["+v.Name+"]", v.Name, v.Value)
				case v.ValueFrom.ConfigMapKeyRef != nil:
					look("env["+v.Name+"]", v.Name, p.configData(q.of.ID.Namespace, v.ValueFrom.ConfigMapKeyRef.Name)[v.ValueFrom.ConfigMapKeyRef.Key])
				}
			}
			for i, from := range c.EnvFrom {
				if from.ConfigMapRef == nil {
					continue
				}
				data := p.configData(q.of.ID.Namespace, from.ConfigMapRef.Name)
				for _, name := range portNames {
					key, ok := strings.CutPrefix(name, from.Prefix)
					if value := data[key]; ok && value != "" && !slices.ContainsFunc(c.Env, func(v corev1.EnvVar) bool { return v.Name == name }) {
						look("envFrom["+strconv.Itoa(i)+"]", name, value)
					}
				}
			}
		})
	})
}

// configData returns the data of a ConfigMap, nil if it is not under check.
func (s *Set) configData(namespace, name string) map[string]string {
	o := s.get(object.ID{Kind: "ConfigMap", Namespace: namespace, Name: name})
	if o == nil {
		return nil
	}
	m := As[*corev1.ConfigMap](o)
	if m == nil {
		return nil
	}
	return m.Data
}

// portNames are variables by which servers take the port, or the address, at
// which they listen.
var portNames = []string{
	"PORT", "HTTP_PORT", "SERVER_PORT", "APP_PORT", "LISTEN_PORT", "NITRO_PORT", "NUXT_PORT",
	"LISTEN_ADDR", "LISTEN_ADDRESS", "BIND_ADDR", "HTTP_ADDR",
}

// portOf returns the port of a variable that names one.
func portOf(name, value string) (int, bool) {
	if !slices.Contains(portNames, name) {
		return 0, false
	}
	if strings.Contains(name, "ADDR") {
		i := strings.LastIndexByte(value, ':')
		if i < 0 {
			return 0, false
		}
		value = value[i+1:]
	}
	port, err := strconv.Atoi(strings.TrimSpace(value))
	return port, err == nil && port > 0
}
