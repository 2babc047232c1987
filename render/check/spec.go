package check

import (
	"encoding/json"
	"fmt"
	"net/netip"
	"slices"
	"strconv"
	"strings"
	"time"
	_ "time/tzdata" // the zones of CronJobs, as the API server knows them

	"github.com/robfig/cron/v3"
	appsv1 "k8s.io/api/apps/v1"
	autoscalingv2 "k8s.io/api/autoscaling/v2"
	batchv1 "k8s.io/api/batch/v1"
	corev1 "k8s.io/api/core/v1"
	networkingv1 "k8s.io/api/networking/v1"
	policyv1 "k8s.io/api/policy/v1"
	rbacv1 "k8s.io/api/rbac/v1"
	"k8s.io/apimachinery/pkg/util/intstr"
	"k8s.io/apimachinery/pkg/util/validation"

	"git.lastcloud.io/ronnibaslund/dezky/fleet/render/object"
	"git.lastcloud.io/ronnibaslund/dezky/fleet/render/placeholder"
)

func specRules() []Rule {
	return []Rule{{
		ID:     "spec",
		Doc:    "The API server refuses an object whose fields lack what the kind demands, or hold what it does not know: a Service without ports, a path without a pathType, a CronJob whose schedule cannot be read.",
		Source: "Kubernetes, pkg/apis/*/validation",
		Alone:  true,
		Run: func(p *Pass) {
			each(p, "apps", "Deployment", deploymentSpec)
			each(p, "apps", "StatefulSet", statefulSetSpec)
			each(p, "apps", "DaemonSet", daemonSetSpec)
			each(p, "batch", "Job", func(p *Pass, o *Object, j *batchv1.Job) { jobSpec(p, o, "spec", &j.Spec) })
			each(p, "batch", "CronJob", cronJobSpec)
			each(p, "", "Service", serviceSpec)
			each(p, "", "PersistentVolumeClaim", func(p *Pass, o *Object, c *corev1.PersistentVolumeClaim) { claimSpec(p, o, "spec", &c.Spec) })
			each(p, "", "PersistentVolume", volumeSpec)
			each(p, "networking.k8s.io", "Ingress", ingressSpec)
			each(p, "networking.k8s.io", "NetworkPolicy", networkPolicySpec)
			each(p, "policy", "PodDisruptionBudget", budgetSpec)
			each(p, "autoscaling", "HorizontalPodAutoscaler", autoscalerSpec)
			each(p, "", "Secret", secretSpec)
			each(p, "networking.k8s.io", "IngressClass", ingressClassSpec)
			each(p, "", "ResourceQuota", quotaSpec)
			each(p, "", "LimitRange", limitRangeSpec)
			each(p, admission, "ValidatingAdmissionPolicy", admissionPolicySpec)
			each(p, admission, "ValidatingAdmissionPolicyBinding", admissionBindingSpec)
			each(p, "rbac.authorization.k8s.io", "Role", func(p *Pass, o *Object, r *rbacv1.Role) { rbacSpec(p, o, r.Rules, true) })
			each(p, "rbac.authorization.k8s.io", "ClusterRole", func(p *Pass, o *Object, r *rbacv1.ClusterRole) { rbacSpec(p, o, r.Rules, false) })
			each(p, "rbac.authorization.k8s.io", "RoleBinding", func(p *Pass, o *Object, b *rbacv1.RoleBinding) { bindingSpec(p, o, b.RoleRef, b.Subjects) })
			each(p, "rbac.authorization.k8s.io", "ClusterRoleBinding", func(p *Pass, o *Object, b *rbacv1.ClusterRoleBinding) { bindingSpec(p, o, b.RoleRef, b.Subjects) })
		},
	}}
}

// each calls do for each object of a kind that has, or fits into, the Go type.
// An object of another version than the type's is left alone: what it holds is
// not what the type says.
func each[T interface {
	object.Object
	comparable
}](p *Pass, group, kind string, do func(*Pass, *Object, T)) {
	for _, o := range p.Kind(group, kind) {
		if o.builtin == nil {
			continue
		}
		var none T
		if t := As[T](o); t != none {
			do(p, o, t)
		}
	}
}

// notNegative reports a number below zero.
func notNegative(p *Pass, o *Object, field string, n *int32) {
	if n != nil && *n < 0 {
		p.Report(o, field, fmt.Sprintf("%d: must not be negative", *n), "")
	}
}

// amount reports what is no whole number from zero and no percentage. It
// returns whether the amount is stated and is none at all.
func amount(p *Pass, o *Object, field string, n *intstr.IntOrString) (zero bool) {
	switch {
	case n == nil:
		return false
	case n.Type == intstr.Int:
		if n.IntVal < 0 {
			p.Report(o, field, fmt.Sprintf("%d: must not be negative", n.IntVal), "")
		}
		return n.IntVal == 0
	}
	if problems := validation.IsValidPercent(n.StrVal); len(problems) > 0 {
		p.Report(o, field, fmt.Sprintf("%q: must be a whole number or a percentage such as 25%%", n.StrVal), "")
	}
	return strings.Trim(n.StrVal, "0") == "%"
}

// notMoreThanAll reports a percentage above 100.
func notMoreThanAll(p *Pass, o *Object, field string, n *intstr.IntOrString) {
	if n == nil || n.Type != intstr.String {
		return
	}
	if share, err := intstr.GetScaledValueFromIntOrPercent(n, 100, false); err == nil && share > 100 {
		p.Report(o, field, fmt.Sprintf("%q: must not be more than 100%%", n.StrVal), "")
	}
}

func deploymentSpec(p *Pass, o *Object, d *appsv1.Deployment) {
	notNegative(p, o, "spec.replicas", d.Spec.Replicas)
	notNegative(p, o, "spec.minReadySeconds", &d.Spec.MinReadySeconds)
	notNegative(p, o, "spec.revisionHistoryLimit", d.Spec.RevisionHistoryLimit)
	deadline := int32(600)
	if d.Spec.ProgressDeadlineSeconds != nil {
		deadline = *d.Spec.ProgressDeadlineSeconds
	}
	if deadline <= d.Spec.MinReadySeconds {
		p.Report(o, "spec.progressDeadlineSeconds", fmt.Sprintf("%d: must be more than minReadySeconds (%d)", deadline, d.Spec.MinReadySeconds), "")
	}
	oneOf(p, o, "spec.strategy.type", d.Spec.Strategy.Type, appsv1.RollingUpdateDeploymentStrategyType, appsv1.RecreateDeploymentStrategyType)
	r := d.Spec.Strategy.RollingUpdate
	if r == nil {
		return
	}
	if d.Spec.Strategy.Type == appsv1.RecreateDeploymentStrategyType {
		p.Report(o, "spec.strategy.rollingUpdate", "must be empty where the type is Recreate", "")
	}
	unavailable := amount(p, o, "spec.strategy.rollingUpdate.maxUnavailable", r.MaxUnavailable)
	notMoreThanAll(p, o, "spec.strategy.rollingUpdate.maxUnavailable", r.MaxUnavailable)
	surge := amount(p, o, "spec.strategy.rollingUpdate.maxSurge", r.MaxSurge)
	if unavailable && surge {
		p.Report(o, "spec.strategy.rollingUpdate", "maxSurge and maxUnavailable are both 0: no pod could ever be replaced", "let one of them be 1")
	}
}

func statefulSetSpec(p *Pass, o *Object, s *appsv1.StatefulSet) {
	notNegative(p, o, "spec.replicas", s.Spec.Replicas)
	notNegative(p, o, "spec.minReadySeconds", &s.Spec.MinReadySeconds)
	oneOf(p, o, "spec.podManagementPolicy", s.Spec.PodManagementPolicy, appsv1.OrderedReadyPodManagement, appsv1.ParallelPodManagement)
	oneOf(p, o, "spec.updateStrategy.type", s.Spec.UpdateStrategy.Type, appsv1.RollingUpdateStatefulSetStrategyType, appsv1.OnDeleteStatefulSetStrategyType)
	for i := range s.Spec.VolumeClaimTemplates {
		c := &s.Spec.VolumeClaimTemplates[i]
		claimSpec(p, o, "spec.volumeClaimTemplates["+c.Name+"].spec", &c.Spec)
	}
}

func daemonSetSpec(p *Pass, o *Object, d *appsv1.DaemonSet) {
	notNegative(p, o, "spec.minReadySeconds", &d.Spec.MinReadySeconds)
	oneOf(p, o, "spec.updateStrategy.type", d.Spec.UpdateStrategy.Type, appsv1.RollingUpdateDaemonSetStrategyType, appsv1.OnDeleteDaemonSetStrategyType)
}

func jobSpec(p *Pass, o *Object, at string, j *batchv1.JobSpec) {
	notNegative(p, o, at+".parallelism", j.Parallelism)
	notNegative(p, o, at+".completions", j.Completions)
	notNegative(p, o, at+".backoffLimit", j.BackoffLimit)
	notNegative(p, o, at+".ttlSecondsAfterFinished", j.TTLSecondsAfterFinished)
	if j.Template.Spec.RestartPolicy == "" {
		p.Report(o, at+".template.spec.restartPolicy", "is empty: the pods of a Job must not restart for ever", "it is OnFailure or Never")
	}
	if j.Selector != nil && !isTrue(j.ManualSelector) && j.Selector.MatchLabels[batchv1.ControllerUidLabel] == "" {
		p.Report(o, at+".selector", "must be empty: the API server makes it", "leave it out")
	}
	if j.CompletionMode != nil {
		oneOf(p, o, at+".completionMode", *j.CompletionMode, batchv1.NonIndexedCompletion, batchv1.IndexedCompletion)
		if *j.CompletionMode == batchv1.IndexedCompletion && j.Completions == nil {
			p.Report(o, at+".completions", "is empty", "an Indexed Job has a number of completions")
		}
	}
}

func cronJobSpec(p *Pass, o *Object, c *batchv1.CronJob) {
	oneOf(p, o, "spec.concurrencyPolicy", c.Spec.ConcurrencyPolicy, batchv1.AllowConcurrent, batchv1.ForbidConcurrent, batchv1.ReplaceConcurrent)
	switch _, err := cron.ParseStandard(c.Spec.Schedule); {
	case c.Spec.Schedule == "":
		p.Report(o, "spec.schedule", "is empty", "it has five fields, such as 0 3 * * *")
	case strings.Contains(c.Spec.Schedule, "TZ"):
		p.Report(o, "spec.schedule", fmt.Sprintf("%q: must hold no time zone", c.Spec.Schedule), "state it in timeZone")
	case err != nil:
		p.Report(o, "spec.schedule", fmt.Sprintf("%q: %v", c.Spec.Schedule, err), "it has five fields, such as 0 3 * * *")
	}
	if tz := c.Spec.TimeZone; tz != nil {
		if _, err := time.LoadLocation(*tz); err != nil || *tz == "" || strings.EqualFold(*tz, "Local") {
			p.Report(o, "spec.timeZone", fmt.Sprintf("%q: must be a name such as Europe/Copenhagen", *tz), "")
		}
	}
	if d := c.Spec.StartingDeadlineSeconds; d != nil && *d < 0 {
		p.Report(o, "spec.startingDeadlineSeconds", fmt.Sprintf("%d: must not be negative", *d), "")
	}
	notNegative(p, o, "spec.successfulJobsHistoryLimit", c.Spec.SuccessfulJobsHistoryLimit)
	notNegative(p, o, "spec.failedJobsHistoryLimit", c.Spec.FailedJobsHistoryLimit)
	jobSpec(p, o, "spec.jobTemplate.spec", &c.Spec.JobTemplate.Spec)
}

func serviceSpec(p *Pass, o *Object, s *corev1.Service) {
	oneOf(p, o, "spec.type", s.Spec.Type, corev1.ServiceTypeClusterIP, corev1.ServiceTypeNodePort, corev1.ServiceTypeLoadBalancer, corev1.ServiceTypeExternalName)
	oneOf(p, o, "spec.sessionAffinity", s.Spec.SessionAffinity, corev1.ServiceAffinityNone, corev1.ServiceAffinityClientIP)
	oneOf(p, o, "spec.externalTrafficPolicy", s.Spec.ExternalTrafficPolicy, corev1.ServiceExternalTrafficPolicyCluster, corev1.ServiceExternalTrafficPolicyLocal)
	if s.Spec.Type == corev1.ServiceTypeExternalName {
		if s.Spec.ExternalName == "" {
			p.Report(o, "spec.externalName", "is empty", "")
		}
	} else if len(s.Spec.Ports) == 0 && s.Spec.ClusterIP != corev1.ClusterIPNone {
		p.Report(o, "spec.ports", "is empty", "a Service has one port or more, unless it is headless")
	}
	if ip := s.Spec.ClusterIP; ip != "" && ip != corev1.ClusterIPNone {
		if _, err := netip.ParseAddr(ip); err != nil {
			p.Report(o, "spec.clusterIP", fmt.Sprintf("%q: must be an address or None", ip), "")
		}
	}
	for i := range s.Spec.Ports {
		port := &s.Spec.Ports[i]
		at := func(field string) string { return "spec.ports[" + strconv.Itoa(i) + "]." + field }
		switch {
		case port.Port < 1 || port.Port > 65535:
			p.Report(o, at("port"), fmt.Sprintf("%d: must be from 1 to 65535", port.Port), "")
		case port.Name == "" && len(s.Spec.Ports) > 1:
			p.Report(o, at("name"), "is empty", "where there are several ports, each has a name")
		case port.Name != "" && !dnsLabel(port.Name):
			p.Report(o, at("name"), brief(validation.IsDNS1123Label(port.Name)), "")
		}
		oneOf(p, o, at("protocol"), port.Protocol, corev1.ProtocolTCP, corev1.ProtocolUDP, corev1.ProtocolSCTP)
		targetPort(p, o, at("targetPort"), port.TargetPort)
		if n := port.NodePort; n != 0 && s.Spec.Type != corev1.ServiceTypeNodePort && s.Spec.Type != corev1.ServiceTypeLoadBalancer {
			p.Report(o, at("nodePort"), fmt.Sprintf("%d: a Service of type ClusterIP has none", n), "")
		}
		for k := range i {
			switch other := &s.Spec.Ports[k]; {
			case other.Name == port.Name && port.Name != "":
				p.Report(o, at("name"), "two ports are named "+port.Name, "each needs its own")
			case other.Port == port.Port && protocol(other.Protocol) == protocol(port.Protocol):
				p.Report(o, at("port"), fmt.Sprintf("two ports are %d/%s", port.Port, protocol(port.Protocol)), "each needs its own")
			}
		}
	}
}

// secretKeys are the keys that a type of Secret demands.
var secretKeys = map[corev1.SecretType][]string{
	corev1.SecretTypeDockerConfigJson: {corev1.DockerConfigJsonKey},
	corev1.SecretTypeDockercfg:        {corev1.DockerConfigKey},
	corev1.SecretTypeTLS:              {corev1.TLSCertKey, corev1.TLSPrivateKeyKey},
	corev1.SecretTypeSSHAuth:          {corev1.SSHAuthPrivateKey},
}

func secretSpec(p *Pass, o *Object, s *corev1.Secret) {
	value := func(key string) ([]byte, bool) {
		if text, ok := s.StringData[key]; ok {
			return []byte(text), true
		}
		data, ok := s.Data[key]
		return data, ok
	}
	for _, key := range secretKeys[s.Type] {
		text, ok := value(key)
		switch {
		case !ok:
			p.Report(o, "data["+key+"]", "is not there, and a Secret of type "+string(s.Type)+" has it", "")
		case (key == corev1.DockerConfigJsonKey || key == corev1.DockerConfigKey) && !json.Valid(text) && !placeholder.Is(string(text)):
			p.Report(o, "data["+key+"]", "is no JSON", "")
		}
	}
	if s.Type == corev1.SecretTypeServiceAccountToken && s.Annotations[corev1.ServiceAccountNameKey] == "" {
		p.Report(o, "metadata.annotations["+corev1.ServiceAccountNameKey+"]", "is empty", "name the ServiceAccount whose token it is")
	}
	if s.Type == corev1.SecretTypeBasicAuth {
		_, user := value(corev1.BasicAuthUsernameKey)
		_, password := value(corev1.BasicAuthPasswordKey)
		if !user && !password {
			p.Report(o, "data", "has neither username nor password, and a Secret of type "+string(s.Type)+" has them", "")
		}
	}
}

func targetPort(p *Pass, o *Object, field string, port intstr.IntOrString) {
	switch {
	case port.Type == intstr.Int:
		if port.IntVal < 0 || port.IntVal > 65535 {
			p.Report(o, field, fmt.Sprintf("%d: must be from 1 to 65535", port.IntVal), "")
		}
	case port.StrVal != "" && !dnsLabel(port.StrVal) || len(port.StrVal) > 15 || port.StrVal != "" && strings.Trim(port.StrVal, "0123456789") == "":
		p.Report(o, field, fmt.Sprintf("%q is no name of a port: %s", port.StrVal, brief(validation.IsValidPortName(port.StrVal))), "write a number without quotes")
	}
}

func protocol(p corev1.Protocol) corev1.Protocol {
	if p == "" {
		return corev1.ProtocolTCP
	}
	return p
}

func volumeSpec(p *Pass, o *Object, v *corev1.PersistentVolume) {
	if len(v.Spec.AccessModes) == 0 {
		p.Report(o, "spec.accessModes", "is empty", "such as ReadWriteOnce")
	}
	for i, m := range v.Spec.AccessModes {
		stated(p, o, fmt.Sprintf("spec.accessModes[%d]", i), m, accessModes...)
	}
	if size := v.Spec.Capacity.Storage(); size.Sign() <= 0 {
		p.Report(o, "spec.capacity[storage]", "must be more than zero", "say how large the volume is, such as 1Gi")
	}
	if v.Spec.PersistentVolumeSource == (corev1.PersistentVolumeSource{}) {
		p.Report(o, "spec", "has no source", "such as hostPath, nfs, csi or local")
	}
	if v.Spec.Local != nil && v.Spec.NodeAffinity == nil {
		p.Report(o, "spec.nodeAffinity", "is empty", "say which node has the local volume")
	}
	oneOf(p, o, "spec.persistentVolumeReclaimPolicy", v.Spec.PersistentVolumeReclaimPolicy, corev1.PersistentVolumeReclaimRetain, corev1.PersistentVolumeReclaimDelete, corev1.PersistentVolumeReclaimRecycle)
}

var accessModes = []corev1.PersistentVolumeAccessMode{corev1.ReadWriteOnce, corev1.ReadOnlyMany, corev1.ReadWriteMany, corev1.ReadWriteOncePod}

func claimSpec(p *Pass, o *Object, at string, c *corev1.PersistentVolumeClaimSpec) {
	if len(c.AccessModes) == 0 {
		p.Report(o, at+".accessModes", "is empty", "such as ReadWriteOnce")
	}
	for i, m := range c.AccessModes {
		stated(p, o, fmt.Sprintf("%s.accessModes[%d]", at, i), m, accessModes...)
		if m == corev1.ReadWriteOncePod && len(c.AccessModes) > 1 {
			p.Report(o, at+".accessModes", "ReadWriteOncePod stands alone or not at all", "")
		}
	}
	if size := c.Resources.Requests.Storage(); size.Sign() <= 0 {
		p.Report(o, at+".resources.requests[storage]", "must be more than zero", "say how large the volume is, such as 1Gi")
	}
	if c.VolumeMode != nil {
		oneOf(p, o, at+".volumeMode", *c.VolumeMode, corev1.PersistentVolumeFilesystem, corev1.PersistentVolumeBlock)
	}
}

func ingressSpec(p *Pass, o *Object, i *networkingv1.Ingress) {
	if i.Spec.DefaultBackend == nil && len(i.Spec.Rules) == 0 {
		p.Report(o, "spec.rules", "is empty", "an Ingress has a rule or a defaultBackend")
	}
	if class := i.Spec.IngressClassName; class != nil && !dnsLabel(*class) {
		if problems := validation.IsDNS1123Subdomain(*class); len(problems) > 0 {
			p.Report(o, "spec.ingressClassName", fmt.Sprintf("%q: %s", *class, brief(problems)), "")
		}
	}
	if i.Spec.IngressClassName != nil && i.Annotations[classAnnotation] != "" {
		p.Report(o, "metadata.annotations["+classAnnotation+"]", "stands beside ingressClassName", "leave it out")
	}
	host := func(field, name string) {
		if dnsName(name) {
			return
		}
		problems := validation.IsDNS1123Subdomain(name)
		if strings.HasPrefix(name, "*.") {
			problems = validation.IsWildcardDNS1123Subdomain(name)
		}
		if _, err := netip.ParseAddr(name); err == nil {
			problems = []string{"must be a name, and is an address"}
		}
		if len(problems) > 0 {
			p.Report(o, field, fmt.Sprintf("%q: %s", name, brief(problems)), "")
		}
	}
	for k := range i.Spec.TLS {
		if name := i.Spec.TLS[k].SecretName; name != "" && !dnsLabel(name) {
			if problems := validation.IsDNS1123Subdomain(name); len(problems) > 0 {
				p.Report(o, fmt.Sprintf("spec.tls[%d].secretName", k), fmt.Sprintf("%q: %s", name, brief(problems)), "")
			}
		}
		for j, h := range i.Spec.TLS[k].Hosts {
			if !dnsName(h) {
				host(fmt.Sprintf("spec.tls[%d].hosts[%d]", k, j), h)
			}
		}
	}
	if b := i.Spec.DefaultBackend; b != nil {
		backendSpec(p, o, "spec.defaultBackend", b)
	}
	for k := range i.Spec.Rules {
		r := &i.Spec.Rules[k]
		if r.Host != "" && !dnsName(r.Host) {
			host(fmt.Sprintf("spec.rules[%d].host", k), r.Host)
		}
		if r.HTTP == nil {
			continue
		}
		if len(r.HTTP.Paths) == 0 {
			p.Report(o, fmt.Sprintf("spec.rules[%d].http.paths", k), "is empty", "")
		}
		for j := range r.HTTP.Paths {
			path := &r.HTTP.Paths[j]
			at := func(field string) string { return fmt.Sprintf("spec.rules[%d].http.paths[%d].%s", k, j, field) }
			if path.PathType == nil {
				p.Report(o, at("pathType"), "is empty", "it is Prefix, Exact or ImplementationSpecific")
				continue
			}
			switch *path.PathType {
			case networkingv1.PathTypePrefix, networkingv1.PathTypeExact:
				if !strings.HasPrefix(path.Path, "/") {
					p.Report(o, at("path"), fmt.Sprintf("%q: must start with /", path.Path), "")
				}
				for _, bad := range []string{"//", "/./", "/../", "%2f", "%2F"} {
					if strings.Contains(path.Path, bad) {
						p.Report(o, at("path"), fmt.Sprintf("%q: must not hold %s", path.Path, bad), "")
					}
				}
			case networkingv1.PathTypeImplementationSpecific:
				if path.Path != "" && !strings.HasPrefix(path.Path, "/") {
					p.Report(o, at("path"), fmt.Sprintf("%q: must start with /", path.Path), "")
				}
			default:
				stated(p, o, at("pathType"), *path.PathType, networkingv1.PathTypePrefix, networkingv1.PathTypeExact, networkingv1.PathTypeImplementationSpecific)
			}
			if path.Backend.Service == nil || path.Backend.Resource != nil || path.Backend.Service.Name == "" || (path.Backend.Service.Port.Name == "") == (path.Backend.Service.Port.Number == 0) {
				backendSpec(p, o, at("backend"), &path.Backend)
			}
		}
	}
}

func backendSpec(p *Pass, o *Object, at string, b *networkingv1.IngressBackend) {
	switch s := b.Service; {
	case s == nil && b.Resource == nil:
		p.Report(o, at, "is empty", "name a Service and its port")
	case s != nil && b.Resource != nil:
		p.Report(o, at, "names a Service and a resource", "name one")
	case s != nil && s.Name == "":
		p.Report(o, at+".service.name", "is empty", "")
	case s != nil && (s.Port.Name == "") == (s.Port.Number == 0):
		p.Report(o, at+".service.port", "must have a name or a number, one of the two", "")
	}
}

func networkPolicySpec(p *Pass, o *Object, n *networkingv1.NetworkPolicy) {
	if len(n.Spec.PolicyTypes) > 2 {
		p.Report(o, "spec.policyTypes", "has more than two", "it is Ingress, Egress or both")
	}
	for i, t := range n.Spec.PolicyTypes {
		if t != networkingv1.PolicyTypeIngress && t != networkingv1.PolicyTypeEgress {
			stated(p, o, fmt.Sprintf("spec.policyTypes[%d]", i), t, networkingv1.PolicyTypeIngress, networkingv1.PolicyTypeEgress)
		}
	}
	way := func(direction string, i int, peers string, list []networkingv1.NetworkPolicyPeer, ports []networkingv1.NetworkPolicyPort) {
		at := func(field string) string { return fmt.Sprintf("spec.%s[%d].%s", direction, i, field) }
		for k := range list {
			peer := &list[k]
			field := func() string { return at(fmt.Sprintf("%s[%d]", peers, k)) }
			switch b := peer.IPBlock; {
			case b == nil && peer.PodSelector == nil && peer.NamespaceSelector == nil:
				p.Report(o, field(), "is empty", "give podSelector, namespaceSelector or ipBlock")
			case b != nil && (peer.PodSelector != nil || peer.NamespaceSelector != nil):
				p.Report(o, field(), "ipBlock stands beside a selector", "make it two peers")
			case b != nil:
				block, err := netip.ParsePrefix(b.CIDR)
				if err != nil {
					p.Report(o, field()+".ipBlock.cidr", fmt.Sprintf("%q: must be a network such as 10.0.0.0/8", b.CIDR), "")
					continue
				}
				for _, e := range b.Except {
					except, err := netip.ParsePrefix(e)
					if err != nil || !block.Contains(except.Addr()) || except.Bits() <= block.Bits() {
						p.Report(o, field()+".ipBlock.except", fmt.Sprintf("%q: must be a network within %s, and smaller", e, b.CIDR), "")
					}
				}
			}
		}
		for k, port := range ports {
			if port.Protocol != nil && *port.Protocol != corev1.ProtocolTCP {
				stated(p, o, at(fmt.Sprintf("ports[%d].protocol", k)), *port.Protocol, corev1.ProtocolTCP, corev1.ProtocolUDP, corev1.ProtocolSCTP)
			}
			if n := port.Port; n != nil && (n.Type == intstr.String || n.IntVal < 1 || n.IntVal > 65535) {
				field := at(fmt.Sprintf("ports[%d].port", k))
				if n.Type == intstr.Int && n.IntVal < 1 {
					p.Report(o, field, fmt.Sprintf("%d: must be from 1 to 65535", n.IntVal), "")
					continue
				}
				targetPort(p, o, field, *n)
			}
			if end := port.EndPort; end != nil && (port.Port == nil || port.Port.Type != intstr.Int || *end < port.Port.IntVal) {
				p.Report(o, at(fmt.Sprintf("ports[%d].endPort", k)), fmt.Sprintf("%d: must be no less than port, which must be a number", *end), "")
			}
		}
	}
	for i := range n.Spec.Ingress {
		way("ingress", i, "from", n.Spec.Ingress[i].From, n.Spec.Ingress[i].Ports)
	}
	for i := range n.Spec.Egress {
		way("egress", i, "to", n.Spec.Egress[i].To, n.Spec.Egress[i].Ports)
	}
}

func budgetSpec(p *Pass, o *Object, b *policyv1.PodDisruptionBudget) {
	if b.Spec.MinAvailable != nil && b.Spec.MaxUnavailable != nil {
		p.Report(o, "spec", "minAvailable and maxUnavailable are both stated", "state one of the two")
	}
	amount(p, o, "spec.minAvailable", b.Spec.MinAvailable)
	amount(p, o, "spec.maxUnavailable", b.Spec.MaxUnavailable)
	notMoreThanAll(p, o, "spec.minAvailable", b.Spec.MinAvailable)
	notMoreThanAll(p, o, "spec.maxUnavailable", b.Spec.MaxUnavailable)
	if u := b.Spec.UnhealthyPodEvictionPolicy; u != nil {
		stated(p, o, "spec.unhealthyPodEvictionPolicy", *u, policyv1.AlwaysAllow, policyv1.IfHealthyBudget)
	}
}

func autoscalerSpec(p *Pass, o *Object, h *autoscalingv2.HorizontalPodAutoscaler) {
	version := o.GetObjectKind().GroupVersionKind().Version
	if version != "v1" && version != "v2" {
		return
	}
	if h.Spec.ScaleTargetRef.Kind == "" || h.Spec.ScaleTargetRef.Name == "" {
		p.Report(o, "spec.scaleTargetRef", "kind or name is empty", "")
	}
	minimum := int32(1)
	if n := h.Spec.MinReplicas; n != nil {
		minimum = *n
		if *n < 0 {
			p.Report(o, "spec.minReplicas", fmt.Sprintf("%d: must not be negative", *n), "")
		}
	}
	if h.Spec.MaxReplicas < 1 || h.Spec.MaxReplicas < minimum {
		p.Report(o, "spec.maxReplicas", fmt.Sprintf("%d: must be 1 or more, and no less than minReplicas (%d)", h.Spec.MaxReplicas, minimum), "")
	}
	for i := range h.Spec.Metrics {
		m := &h.Spec.Metrics[i]
		at := "spec.metrics[" + strconv.Itoa(i) + "]."
		stated(p, o, at+"type", m.Type, autoscalingv2.ObjectMetricSourceType, autoscalingv2.PodsMetricSourceType, autoscalingv2.ResourceMetricSourceType, autoscalingv2.ContainerResourceMetricSourceType, autoscalingv2.ExternalMetricSourceType)
		if r := m.Resource; r != nil {
			stated(p, o, at+"resource.target.type", r.Target.Type, autoscalingv2.UtilizationMetricType, autoscalingv2.AverageValueMetricType)
			if r.Name == "" || r.Target.AverageUtilization == nil && r.Target.AverageValue == nil {
				p.Report(o, at+"resource", "name or target is empty", "")
			}
			if n := r.Target.AverageUtilization; n != nil && *n < 1 {
				p.Report(o, at+"resource.target.averageUtilization", fmt.Sprintf("%d: must be more than zero", *n), "")
			}
		} else if m.Type == autoscalingv2.ResourceMetricSourceType {
			p.Report(o, at+"resource", "is empty", "")
		}
	}
}

func rbacSpec(p *Pass, o *Object, rules []rbacv1.PolicyRule, namespaced bool) {
	for i, r := range rules {
		at := func(field string) string { return fmt.Sprintf("rules[%d]%s", i, field) }
		switch {
		case len(r.Verbs) == 0:
			p.Report(o, at(".verbs"), "is empty", "")
		case len(r.NonResourceURLs) > 0 && namespaced:
			p.Report(o, at(".nonResourceURLs"), "a Role has none", "put them into a ClusterRole")
		case len(r.NonResourceURLs) > 0 && len(r.Resources)+len(r.APIGroups) > 0:
			p.Report(o, at(""), "nonResourceURLs stand beside resources", "make it two rules")
		case len(r.NonResourceURLs) == 0 && len(r.Resources) == 0:
			p.Report(o, at(".resources"), "is empty", "")
		case len(r.NonResourceURLs) == 0 && len(r.APIGroups) == 0:
			p.Report(o, at(".apiGroups"), "is empty", `the core group is ""`)
		}
	}
}

func bindingSpec(p *Pass, o *Object, ref rbacv1.RoleRef, subjects []rbacv1.Subject) {
	kinds := []string{"ClusterRole", "Role"}
	if o.ID.Kind == "ClusterRoleBinding" {
		kinds = kinds[:1]
	}
	if ref.APIGroup != rbacv1.GroupName && ref.APIGroup != "" {
		p.Report(o, "roleRef.apiGroup", fmt.Sprintf("%q: must be %s", ref.APIGroup, rbacv1.GroupName), "")
	}
	if !slices.Contains(kinds, ref.Kind) {
		p.Report(o, "roleRef.kind", fmt.Sprintf("%q: must be %s", ref.Kind, strings.Join(kinds, " or ")), "")
	}
	if ref.Name == "" {
		p.Report(o, "roleRef.name", "is empty", "")
	}
	for i, s := range subjects {
		at := fmt.Sprintf("subjects[%d].", i)
		switch s.Kind {
		case rbacv1.ServiceAccountKind:
			// Of a RoleBinding it is the binding's own.
			if s.Namespace == "" && o.ID.Kind == "ClusterRoleBinding" {
				p.Report(o, at+"namespace", "is empty", "a ServiceAccount has one")
			}
			if s.APIGroup != "" {
				p.Report(o, at+"apiGroup", fmt.Sprintf("%q: a ServiceAccount has none", s.APIGroup), "")
			}
		case rbacv1.UserKind, rbacv1.GroupKind:
			if s.APIGroup != rbacv1.GroupName && s.APIGroup != "" {
				p.Report(o, at+"apiGroup", fmt.Sprintf("%q: must be %s", s.APIGroup, rbacv1.GroupName), "")
			}
		default:
			p.Report(o, at+"kind", fmt.Sprintf("%q: must be ServiceAccount, User or Group", s.Kind), "")
		}
		if s.Name == "" {
			p.Report(o, at+"name", "is empty", "")
		}
	}
}

// dnsName reports whether a text is a DNS name of labels and dots.
func dnsName(s string) bool {
	for label := range strings.SplitSeq(s, ".") {
		if !dnsLabel(label) {
			return false
		}
	}
	last := s[strings.LastIndexByte(s, '.')+1:]
	return len(s) <= validation.DNS1123SubdomainMaxLength && strings.Trim(last, "0123456789") != "" // not an address
}
