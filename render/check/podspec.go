package check

import (
	"cmp"
	"fmt"
	"math"
	"path"
	"slices"
	"strconv"
	"strings"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/util/intstr"
	"k8s.io/apimachinery/pkg/util/validation"

	"git.lastcloud.io/ronnibaslund/dezky/fleet/render/object"
)

const podSource = "Kubernetes, pkg/apis/core/validation: ValidatePodSpec"

func podRules() []Rule {
	return []Rule{{
		ID:     "pod-required",
		Doc:    "The API server refuses a pod without a container, and a container, variable, mount, port or volume without what it must say.",
		Source: podSource,
		Alone:  true,
		Run: func(p *Pass) {
			p.eachPods(func(pods *pods) {
				o := pods.of
				if !builtinGroup(o.ID.Group) {
					return // what a custom kind leaves out, its operator may fill in
				}
				if len(pods.spec.Containers) == 0 {
					p.Report(o, pods.at+".containers", "is empty", "a pod has one container or more")
				}
				pods.eachContainer(func(list string, c *corev1.Container) {
					at := func() string { return pods.at + "." + list + "[" + c.Name + "]." }
					if c.Name == "" {
						p.Report(o, pods.at+"."+list, "a container has no name", "name it")
					}
					if c.Image == "" {
						p.Report(o, at()+"image", "is empty", "give the image with its tag or digest")
					}
					for i := range c.Env {
						if e := &c.Env[i]; e.Name == "" {
							p.Report(o, fmt.Sprintf("%senv[%d].name", at(), i), "is empty", "")
						}
					}
					for i, v := range c.VolumeMounts {
						if v.Name == "" || v.MountPath == "" {
							p.Report(o, fmt.Sprintf("%svolumeMounts[%d]", at(), i), "name or mountPath is empty", "")
						}
					}
					for i, port := range c.Ports {
						if port.ContainerPort == 0 {
							p.Report(o, fmt.Sprintf("%sports[%d].containerPort", at(), i), "is empty", "")
						}
					}
				})
				for i := range pods.spec.Volumes {
					v := &pods.spec.Volumes[i]
					switch {
					case v.Name == "":
						p.Report(o, fmt.Sprintf("%s.volumes[%d].name", pods.at, i), "is empty", "")
					case v.VolumeSource == (corev1.VolumeSource{}):
						// Kubernetes makes an emptyDir of it: it is allowed.
					case v.HostPath != nil && v.HostPath.Path == "":
						p.Report(o, pods.at+".volumes["+v.Name+"].hostPath.path", "is empty", "")
					case v.PersistentVolumeClaim != nil && v.PersistentVolumeClaim.ClaimName == "":
						p.Report(o, pods.at+".volumes["+v.Name+"].persistentVolumeClaim.claimName", "is empty", "")
					case v.Secret != nil && v.Secret.SecretName == "":
						p.Report(o, pods.at+".volumes["+v.Name+"].secret.secretName", "is empty", "")
					case v.ConfigMap != nil && v.ConfigMap.Name == "":
						p.Report(o, pods.at+".volumes["+v.Name+"].configMap.name", "is empty", "")
					}
				}
			})
		},
	}, {
		ID:     "pod-value",
		Doc:    "The API server refuses a pod with a value that its field does not have: an unknown policy or protocol, a port out of range, an invalid name, a file mode above 0777, a probe without a handler. The kubelet does not start a container that must not run as root and is told to.",
		Source: podSource + "; pkg/kubelet/kuberuntime/security_context.go: verifyRunAsNonRoot",
		Alone:  true,
		Run: func(p *Pass) {
			p.eachPods(func(pods *pods) { podValues(p, pods) })
		},
	}, {
		ID:     "pod-twice",
		Doc:    "The API server refuses two containers, volumes or ports of one name in a pod, and two mounts on one path.",
		Source: podSource,
		Alone:  true,
		Run: func(p *Pass) {
			p.eachPods(func(pods *pods) {
				o := pods.of
				var names, mounts, ports []string
				twice := func(seen *[]string, name, field, what string) {
					if name == "" {
						return
					}
					if slices.Contains(*seen, name) {
						p.Report(o, field, "two "+what+" "+name, "each needs its own")
						return
					}
					*seen = append(*seen, name)
				}
				pods.eachContainer(func(list string, c *corev1.Container) {
					twice(&names, c.Name, pods.at+"."+list, "containers are named")
					mounts, ports = mounts[:0], ports[:0]
					for i := range c.VolumeMounts {
						twice(&mounts, c.VolumeMounts[i].MountPath, pods.at+"."+list, "volumes are mounted at")
					}
					for i := range c.Ports {
						twice(&ports, c.Ports[i].Name, pods.at+"."+list, "ports are named")
					}
				})
				names = names[:0]
				for i := range pods.spec.Volumes {
					twice(&names, pods.spec.Volumes[i].Name, pods.at+".volumes", "volumes are named")
				}
			})
		},
	}, {
		ID:       "env-twice",
		Severity: object.Warning,
		Doc:      "Of a variable that stands twice the last one counts, unseen; server-side apply refuses the list. It refuses a pull secret that stands twice, too.",
		Source:   "Kubernetes, pkg/api/pod/warnings.go: 'hides previous definition'",
		Alone:    true,
		Run: func(p *Pass) {
			seen := make(map[string]bool)
			p.eachPods(func(pods *pods) {
				for i, s := range pods.spec.ImagePullSecrets {
					if slices.Contains(pods.spec.ImagePullSecrets[:i], s) {
						p.Report(pods.of, pods.at+".imagePullSecrets["+s.Name+"]", "stands twice, and server-side apply refuses it", "state it once")
					}
				}
				pods.eachContainer(func(list string, c *corev1.Container) {
					clear(seen)
					for i := range c.Env {
						name := c.Env[i].Name
						if seen[name] && name != "" {
							p.Report(pods.of, pods.at+"."+list+"["+c.Name+"].env["+name+"]", "stands twice, and the last one counts", "state it once")
						}
						seen[name] = true
					}
				})
			})
		},
	}, {
		ID:       "env-order",
		Severity: object.Warning,
		Doc:      "$(NAME) in a variable is replaced by a variable that stands before it. Where NAME stands after it, the program reads $(NAME) as it is.",
		Source:   "Kubernetes documentation, 'Define Dependent Environment Variables'",
		Alone:    true,
		Run: func(p *Pass) {
			p.eachPods(func(pods *pods) {
				pods.eachContainer(func(list string, c *corev1.Container) {
					if len(c.EnvFrom) > 0 {
						return // it may be there too
					}
					for i := range c.Env {
						if !strings.Contains(c.Env[i].Value, "$(") {
							continue
						}
						for k := range c.Env[i+1:] {
							if name := c.Env[i+1+k].Name; refersTo(c.Env[i].Value, name) && !hasEnv(c.Env[:i], name) {
								p.Report(pods.of, pods.at+"."+list+"["+c.Name+"].env["+c.Env[i].Name+"]", "$("+name+") is not replaced, since "+name+" stands after it", "let "+name+" stand before it, or write $$("+name+") where the text is meant")
							}
						}
					}
				})
			})
		},
	}, {
		ID:     "mount",
		Doc:    "The API server refuses a mount of a volume that the pod does not have.",
		Source: podSource,
		Alone:  true,
		Run: func(p *Pass) {
			p.eachPods(func(pods *pods) {
				pods.eachContainer(func(list string, c *corev1.Container) {
					has := func(name string) bool {
						return name == "" ||
							slices.ContainsFunc(pods.spec.Volumes, func(v corev1.Volume) bool { return v.Name == name }) ||
							pods.claims(name)
					}
					for i := range c.VolumeMounts {
						if name := c.VolumeMounts[i].Name; !has(name) {
							p.Report(pods.of, pods.at+"."+list+"["+c.Name+"].volumeMounts["+name+"]", "the pod has no volume "+name, "add it to volumes, or take the mount out")
						}
					}
					for i := range c.VolumeDevices {
						if name := c.VolumeDevices[i].Name; !has(name) {
							p.Report(pods.of, pods.at+"."+list+"["+c.Name+"].volumeDevices["+name+"]", "the pod has no volume "+name, "add it to volumes, or take the device out")
						}
					}
				})
			})
		},
	}, {
		ID:       "mount-file",
		Severity: object.Warning,
		Doc:      "A volume is mounted as a directory. At a path that ends in the name of a file that is in it, the program finds the directory and not the file.",
		Source:   "Kubernetes documentation, 'Volumes', Using subPath",
		Run: func(p *Pass) {
			p.eachPods(func(pods *pods) {
				pods.eachContainer(func(list string, c *corev1.Container) {
					for i := range c.VolumeMounts {
						m := &c.VolumeMounts[i]
						file := path.Base(m.MountPath)
						if m.SubPath == "" && m.SubPathExpr == "" && strings.Contains(file, ".") && p.hasFile(pods, m.Name, file) {
							p.Report(pods.of, pods.at+"."+list+"["+c.Name+"].volumeMounts["+m.Name+"].mountPath", "a directory is mounted at "+m.MountPath+", and the volume has a file of that name in it", "add subPath: "+file+", or mount it at "+path.Dir(path.Clean(m.MountPath)))
						}
					}
				})
			})
		},
	}, {
		ID:       "volume-source",
		Severity: object.Warning,
		Doc:      "A volume that says nothing of its source is an empty directory: the files that were meant are not there, and what is written is lost with the pod.",
		Source:   "Kubernetes, pkg/apis/core/v1/defaults.go: SetDefaults_Volume",
		Alone:    true,
		Run: func(p *Pass) {
			p.eachPods(func(pods *pods) {
				for i := range pods.spec.Volumes {
					if v := &pods.spec.Volumes[i]; v.VolumeSource == (corev1.VolumeSource{}) && !pods.claims(v.Name) {
						p.Report(pods.of, pods.at+".volumes["+v.Name+"]", "says nothing of its source, and is an empty directory", "name the source; where an empty directory is meant, write emptyDir: {}")
					}
				}
			})
		},
	}, {
		ID:       "read-only-root",
		Severity: object.Note,
		Doc:      "Many programs and their runtimes write to /tmp: with a root file system that is read-only, and nothing mounted there, they fail when they do.",
		Source:   "Kubernetes documentation, 'Configure a Security Context for a Pod or Container'",
		Alone:    true,
		Run: func(p *Pass) {
			p.eachPods(func(pods *pods) {
				pods.eachContainer(func(list string, c *corev1.Container) {
					if s := c.SecurityContext; s == nil || s.ReadOnlyRootFilesystem == nil || !*s.ReadOnlyRootFilesystem {
						return
					}
					if !slices.ContainsFunc(c.VolumeMounts, func(m corev1.VolumeMount) bool { return !m.ReadOnly }) {
						p.Report(pods.of, pods.at+"."+list+"["+c.Name+"].securityContext.readOnlyRootFilesystem", "the container can write nowhere, not to /tmp either", "mount an emptyDir at /tmp if it writes")
					}
				})
			})
		},
	}}
}

// hasFile reports whether a volume of pods is a ConfigMap or Secret, and has
// the file.
func (s *Set) hasFile(p *pods, volume, file string) bool {
	for i := range p.spec.Volumes {
		v := &p.spec.Volumes[i]
		if v.Name != volume {
			continue
		}
		id, items := object.ID{Namespace: p.of.ID.Namespace}, []corev1.KeyToPath(nil)
		switch {
		case v.ConfigMap != nil:
			id.Kind, id.Name, items = "ConfigMap", v.ConfigMap.Name, v.ConfigMap.Items
		case v.Secret != nil:
			id.Kind, id.Name, items = "Secret", v.Secret.SecretName, v.Secret.Items
		default:
			return false
		}
		if len(items) > 0 {
			return slices.ContainsFunc(items, func(k corev1.KeyToPath) bool { return k.Path == file })
		}
		keys := s.keys(id)
		return keys.closed && keys.has(file)
	}
	return false
}

// podValues reports the values that the fields of pods do not have.
func podValues(p *Pass, pods *pods) {
	o, s := pods.of, pods.spec
	if len(pods.restarts) > 0 {
		oneOf(p, o, pods.at+".restartPolicy", s.RestartPolicy, pods.restarts...)
	}
	oneOf(p, o, pods.at+".dnsPolicy", s.DNSPolicy, corev1.DNSClusterFirst, corev1.DNSClusterFirstWithHostNet, corev1.DNSDefault, corev1.DNSNone)
	if g := s.TerminationGracePeriodSeconds; g != nil && *g < 0 {
		p.Report(o, pods.at+".terminationGracePeriodSeconds", fmt.Sprintf("%d: must not be negative", *g), "")
	}
	if d := s.ActiveDeadlineSeconds; d != nil && *d < 1 {
		p.Report(o, pods.at+".activeDeadlineSeconds", fmt.Sprintf("%d: must be 1 or more", *d), "")
	}
	if s.ServiceAccountName != "" && !dnsLabel(s.ServiceAccountName) {
		if problems := validation.IsDNS1123Subdomain(s.ServiceAccountName); len(problems) > 0 {
			p.Report(o, pods.at+".serviceAccountName", fmt.Sprintf("%q: %s", s.ServiceAccountName, brief(problems)), "")
		}
	}
	for i, t := range s.Tolerations {
		at := func(field string) string { return fmt.Sprintf("%s.tolerations[%d].%s", pods.at, i, field) }
		if t.Operator != "" {
			oneOf(p, o, at("operator"), t.Operator, corev1.TolerationOpEqual, corev1.TolerationOpExists, corev1.TolerationOpLt, corev1.TolerationOpGt)
		}
		if t.Effect != "" {
			oneOf(p, o, at("effect"), t.Effect, corev1.TaintEffectNoSchedule, corev1.TaintEffectPreferNoSchedule, corev1.TaintEffectNoExecute)
		}
		if t.Operator == corev1.TolerationOpExists && t.Value != "" {
			p.Report(o, at("value"), "must be empty where the operator is Exists", "")
		}
	}
	if len(s.EphemeralContainers) > 0 {
		p.Report(o, pods.at+".ephemeralContainers", "cannot be in what is applied", "leave them out: kubectl debug adds one to a pod that runs")
	}
	for i, c := range s.TopologySpreadConstraints {
		at := func(field string) string {
			return fmt.Sprintf("%s.topologySpreadConstraints[%d].%s", pods.at, i, field)
		}
		if c.MaxSkew < 1 {
			p.Report(o, at("maxSkew"), "must be 1 or more", "")
		}
		if c.TopologyKey == "" {
			p.Report(o, at("topologyKey"), "is empty", "")
		}
		if c.WhenUnsatisfiable == "" {
			p.Report(o, at("whenUnsatisfiable"), "is empty", "it is DoNotSchedule or ScheduleAnyway")
		}
		if c.WhenUnsatisfiable != corev1.DoNotSchedule && c.WhenUnsatisfiable != corev1.ScheduleAnyway {
			oneOf(p, o, at("whenUnsatisfiable"), c.WhenUnsatisfiable, corev1.DoNotSchedule, corev1.ScheduleAnyway)
		}
		if n := c.MinDomains; n != nil {
			if *n < 1 {
				p.Report(o, at("minDomains"), "must be 1 or more", "")
			}
			if c.WhenUnsatisfiable == corev1.ScheduleAnyway {
				p.Report(o, at("minDomains"), "is for DoNotSchedule alone", "leave it out")
			}
		}
		if len(c.MatchLabelKeys) > 0 && c.LabelSelector == nil {
			p.Report(o, at("matchLabelKeys"), "must be empty where there is no labelSelector", "select the labels of the pods too")
		}
	}
	for i, c := range s.TopologySpreadConstraints {
		for _, other := range s.TopologySpreadConstraints[:i] {
			if other.TopologyKey == c.TopologyKey && other.WhenUnsatisfiable == c.WhenUnsatisfiable {
				p.Report(o, fmt.Sprintf("%s.topologySpreadConstraints[%d]", pods.at, i), "two are for "+c.TopologyKey+" and "+string(c.WhenUnsatisfiable), "make it one")
			}
		}
	}
	if a := s.Affinity; a != nil {
		affinity(p, o, pods.at+".affinity.", a)
	}
	if c := s.SecurityContext; c != nil {
		at := pods.at + ".securityContext."
		userID(p, o, at, "runAsUser", c.RunAsUser)
		userID(p, o, at, "runAsGroup", c.RunAsGroup)
		userID(p, o, at, "fsGroup", c.FSGroup)
	}
	for i := range s.Volumes {
		v := &s.Volumes[i]
		if e := v.EmptyDir; e != nil && e.SizeLimit != nil && e.SizeLimit.Sign() < 0 {
			p.Report(o, pods.at+".volumes["+v.Name+"].emptyDir.sizeLimit", e.SizeLimit.String()+": must not be negative", "")
		}
		if v.Name != "" && !dnsLabel(v.Name) {
			p.Report(o, pods.at+".volumes["+v.Name+"].name", brief(validation.IsDNS1123Label(v.Name)), "")
		}
		if n := sources(&v.VolumeSource); n > 1 {
			p.Report(o, pods.at+".volumes["+v.Name+"]", "has more than one source", "make it one volume for each")
		}
		fileModes(p, pods, v)
	}
	pods.eachContainer(func(list string, c *corev1.Container) {
		at := func(field string) string { return pods.at + "." + list + "[" + c.Name + "]." + field }
		if c.Name != "" && !dnsLabel(c.Name) {
			p.Report(o, at("name"), brief(validation.IsDNS1123Label(c.Name)), "")
		}
		if strings.TrimSpace(c.Image) != c.Image {
			p.Report(o, at("image"), "has a space before or after it", "")
		}
		if c.RestartPolicy != nil {
			stated(p, o, at("restartPolicy"), *c.RestartPolicy, corev1.ContainerRestartPolicyAlways, corev1.ContainerRestartPolicyOnFailure, corev1.ContainerRestartPolicyNever)
		}
		switch c.ImagePullPolicy {
		case "", corev1.PullAlways, corev1.PullIfNotPresent, corev1.PullNever:
		default:
			oneOf(p, o, at("imagePullPolicy"), c.ImagePullPolicy, corev1.PullAlways, corev1.PullIfNotPresent, corev1.PullNever)
		}
		if sc := c.SecurityContext; sc != nil && (sc.RunAsUser != nil || sc.RunAsGroup != nil) {
			userID(p, o, at("securityContext."), "runAsUser", sc.RunAsUser)
			userID(p, o, at("securityContext."), "runAsGroup", sc.RunAsGroup)
		}
		if sc := c.SecurityContext; sc != nil && isTrue(sc.Privileged) && sc.AllowPrivilegeEscalation != nil && !*sc.AllowPrivilegeEscalation {
			p.Report(o, at("securityContext.allowPrivilegeEscalation"), "cannot be false where privileged is true", "leave one of the two out")
		}
		if asRoot(s.SecurityContext, c.SecurityContext) {
			p.Report(o, at("securityContext"), "runAsNonRoot is true and runAsUser is 0: the container does not start", "give it another user")
		}
		for i := range c.EnvFrom {
			from, field := &c.EnvFrom[i], func() string { return at(fmt.Sprintf("envFrom[%d]", i)) }
			switch {
			case (from.ConfigMapRef == nil) == (from.SecretRef == nil):
				p.Report(o, field(), "must name a ConfigMap or a Secret, one of the two", "")
			case from.ConfigMapRef != nil && from.ConfigMapRef.Name == "" || from.SecretRef != nil && from.SecretRef.Name == "":
				p.Report(o, field(), "the name is empty", "name the ConfigMap or Secret")
			}
		}
		for i := range c.Env {
			e := &c.Env[i]
			if e.Name != "" && !envName(e.Name) {
				if problems := validation.IsRelaxedEnvVarName(e.Name); len(problems) > 0 {
					p.Report(o, at("env["+e.Name+"]"), brief(problems), "")
				}
			}
			if from := e.ValueFrom; from != nil {
				if e.Value != "" {
					p.Report(o, at("env["+e.Name+"]"), "has a value and valueFrom", "leave one of the two out")
				}
				n := 0
				for _, given := range []bool{from.SecretKeyRef != nil, from.ConfigMapKeyRef != nil, from.FieldRef != nil, from.ResourceFieldRef != nil, from.FileKeyRef != nil} {
					if given {
						n++
					}
				}
				if n != 1 {
					p.Report(o, at("env["+e.Name+"].valueFrom"), fmt.Sprintf("names %d sources", n), "name one")
				}
				if r := from.SecretKeyRef; r != nil && r.Key == "" || from.ConfigMapKeyRef != nil && from.ConfigMapKeyRef.Key == "" {
					p.Report(o, at("env["+e.Name+"].valueFrom"), "the key is empty", "name one")
				}
				if r := from.SecretKeyRef; r != nil && r.Name == "" || from.ConfigMapKeyRef != nil && from.ConfigMapKeyRef.Name == "" {
					p.Report(o, at("env["+e.Name+"].valueFrom"), "the name of the object is empty", "name it")
				}
				if f := from.FieldRef; f != nil && !ofPod(f.FieldPath) {
					p.Report(o, at("env["+e.Name+"].valueFrom.fieldRef.fieldPath"), fmt.Sprintf("%q: a variable cannot have this of its pod", f.FieldPath), near(f.FieldPath, podFields...))
				}
			}
		}
		for i, port := range c.Ports {
			field := func(name string) string { return at(fmt.Sprintf("ports[%d].%s", i, name)) }
			if port.ContainerPort < 0 || port.ContainerPort > 65535 {
				p.Report(o, field("containerPort"), fmt.Sprintf("%d: must be from 1 to 65535", port.ContainerPort), "")
			}
			if port.HostPort < 0 || port.HostPort > 65535 {
				p.Report(o, field("hostPort"), fmt.Sprintf("%d: must be from 1 to 65535", port.HostPort), "")
			}
			if port.Name != "" {
				if problems := validation.IsValidPortName(port.Name); len(problems) > 0 {
					p.Report(o, field("name"), fmt.Sprintf("%q: %s", port.Name, brief(problems)), "")
				}
			}
			oneOf(p, o, field("protocol"), port.Protocol, corev1.ProtocolTCP, corev1.ProtocolUDP, corev1.ProtocolSCTP)
		}
		for i, m := range c.VolumeMounts {
			if strings.Contains(m.MountPath, ":") {
				p.Report(o, at(fmt.Sprintf("volumeMounts[%d].mountPath", i)), fmt.Sprintf("%q: must hold no ':'", m.MountPath), "")
			}
			if strings.HasPrefix(m.SubPath, "/") || slices.Contains(strings.Split(m.SubPath, "/"), "..") {
				p.Report(o, at(fmt.Sprintf("volumeMounts[%d].subPath", i)), fmt.Sprintf("%q: must be a relative path without '..'", m.SubPath), "")
			}
		}
		for _, probe := range []struct {
			name  string
			probe *corev1.Probe
			once  bool
		}{{"startupProbe", c.StartupProbe, true}, {"livenessProbe", c.LivenessProbe, true}, {"readinessProbe", c.ReadinessProbe, false}} {
			if probe.probe == nil {
				continue
			}
			for _, problem := range probeProblems(probe.probe, probe.once) {
				p.Report(o, at(probe.name), problem, "")
			}
			if list == "initContainers" && (c.RestartPolicy == nil || *c.RestartPolicy != corev1.ContainerRestartPolicyAlways) {
				p.Report(o, at(probe.name), "an init container that ends has no probe", "a sidecar has restartPolicy: Always")
			}
		}
		if c.Lifecycle != nil {
			for _, hook := range []struct {
				name    string
				handler *corev1.LifecycleHandler
			}{{"postStart", c.Lifecycle.PostStart}, {"preStop", c.Lifecycle.PreStop}} {
				if h := hook.handler; h != nil {
					for _, problem := range handlerProblems(h.Exec, h.HTTPGet, h.TCPSocket, h.Sleep != nil) {
						p.Report(o, at("lifecycle."+hook.name), problem, "")
					}
				}
			}
		}
	})
}

// refersTo reports whether the value of a variable has $(NAME) in it, and not
// as $$(NAME), which stands for the text.
func refersTo(value, name string) bool {
	before, _, found := strings.Cut(value, "$("+name+")")
	return found && !strings.HasSuffix(before, "$")
}

func hasEnv(env []corev1.EnvVar, name string) bool {
	return slices.ContainsFunc(env, func(e corev1.EnvVar) bool { return e.Name == name })
}

// podFields are what a variable can have of its pod (Kubernetes documentation,
// 'Downward API').
var podFields = []string{
	"metadata.name", "metadata.namespace", "metadata.uid", "spec.nodeName", "spec.serviceAccountName",
	"status.hostIP", "status.hostIPs", "status.podIP", "status.podIPs",
}

// ofPod reports whether a variable can have a field of its pod.
func ofPod(field string) bool {
	return slices.Contains(podFields, field) || strings.HasPrefix(field, "metadata.labels['") || strings.HasPrefix(field, "metadata.annotations['")
}

// userID reports a number that no user or group has.
func userID(p *Pass, o *Object, at, name string, id *int64) {
	if id != nil && (*id < 0 || *id > math.MaxInt32) {
		p.Report(o, at+name, fmt.Sprintf("%d: must be from 0 to %d", *id, math.MaxInt32), "")
	}
}

// asRoot reports whether a container must not run as root and is told to. What
// it says itself comes before what its pod says.
func asRoot(pod *corev1.PodSecurityContext, c *corev1.SecurityContext) bool {
	var nonRoot *bool
	var user *int64
	if pod != nil {
		nonRoot, user = pod.RunAsNonRoot, pod.RunAsUser
	}
	if c != nil {
		nonRoot, user = cmp.Or(c.RunAsNonRoot, nonRoot), cmp.Or(c.RunAsUser, user)
	}
	return isTrue(nonRoot) && user != nil && *user == 0
}

func isTrue(b *bool) bool { return b != nil && *b }

// fileModes reports the modes of a volume's files that are none, such as 644
// where 0644 is meant.
func fileModes(p *Pass, pods *pods, v *corev1.Volume) {
	mode := func(mode *int32, parts ...string) {
		if mode == nil || *mode >= 0 && *mode <= 0o777 {
			return
		}
		digits, remedy := strconv.Itoa(int(*mode)), ""
		if _, err := strconv.ParseUint(digits, 8, 9); err == nil {
			remedy = "write 0" + digits + ": without the 0 it is decimal"
		}
		p.Report(pods.of, pods.at+".volumes["+v.Name+"]."+strings.Join(parts, ""), digits+": must be from 0 to 0777, in octal", remedy)
	}
	items := func(at string, items []corev1.KeyToPath) {
		for i := range items {
			mode(items[i].Mode, at, ".items[", strconv.Itoa(i), "].mode")
		}
	}
	files := func(at string, files []corev1.DownwardAPIVolumeFile) {
		for i := range files {
			mode(files[i].Mode, at, ".items[", strconv.Itoa(i), "].mode")
		}
	}
	if s := v.Secret; s != nil {
		mode(s.DefaultMode, "secret.defaultMode")
		items("secret", s.Items)
	}
	if m := v.ConfigMap; m != nil {
		mode(m.DefaultMode, "configMap.defaultMode")
		items("configMap", m.Items)
	}
	if d := v.DownwardAPI; d != nil {
		mode(d.DefaultMode, "downwardAPI.defaultMode")
		files("downwardAPI", d.Items)
	}
	if v.Projected == nil {
		return
	}
	mode(v.Projected.DefaultMode, "projected.defaultMode")
	for i := range v.Projected.Sources {
		source, at := &v.Projected.Sources[i], "projected.sources["+strconv.Itoa(i)+"]."
		if s := source.Secret; s != nil {
			items(at+"secret", s.Items)
		}
		if m := source.ConfigMap; m != nil {
			items(at+"configMap", m.Items)
		}
		if d := source.DownwardAPI; d != nil {
			files(at+"downwardAPI", d.Items)
		}
	}
}

// affinity reports terms that say nothing or too much.
func affinity(p *Pass, o *Object, at string, a *corev1.Affinity) {
	weight := func(at string, weight int32) {
		if weight < 1 || weight > 100 {
			p.Report(o, at+".weight", fmt.Sprintf("%d: must be from 1 to 100", weight), "")
		}
	}
	if n := a.NodeAffinity; n != nil {
		for i, term := range n.PreferredDuringSchedulingIgnoredDuringExecution {
			weight(fmt.Sprintf("%snodeAffinity.preferredDuringSchedulingIgnoredDuringExecution[%d]", at, i), term.Weight)
		}
	}
	labels := labelCheck{p: p, good: make(map[string]bool)}
	term := func(at string, t *corev1.PodAffinityTerm) {
		if problems := validation.IsQualifiedName(t.TopologyKey); len(problems) > 0 {
			p.Report(o, at+".topologyKey", fmt.Sprintf("%q: %s", t.TopologyKey, brief(problems)), "such as kubernetes.io/hostname")
		}
		labels.selector(o, at+".labelSelector", t.LabelSelector)
		labels.selector(o, at+".namespaceSelector", t.NamespaceSelector)
	}
	terms := func(kind string, required []corev1.PodAffinityTerm, preferred []corev1.WeightedPodAffinityTerm) {
		for i := range required {
			term(fmt.Sprintf("%s%s.requiredDuringSchedulingIgnoredDuringExecution[%d]", at, kind, i), &required[i])
		}
		for i := range preferred {
			at := fmt.Sprintf("%s%s.preferredDuringSchedulingIgnoredDuringExecution[%d]", at, kind, i)
			weight(at, preferred[i].Weight)
			term(at+".podAffinityTerm", &preferred[i].PodAffinityTerm)
		}
	}
	if b := a.PodAffinity; b != nil {
		terms("podAffinity", b.RequiredDuringSchedulingIgnoredDuringExecution, b.PreferredDuringSchedulingIgnoredDuringExecution)
	}
	if b := a.PodAntiAffinity; b != nil {
		terms("podAntiAffinity", b.RequiredDuringSchedulingIgnoredDuringExecution, b.PreferredDuringSchedulingIgnoredDuringExecution)
	}
}

// probeProblems says what is wrong with a probe. A probe that counts once may
// not ask for more than one success.
func probeProblems(probe *corev1.Probe, once bool) []string {
	problems := handlerProblems(probe.Exec, probe.HTTPGet, probe.TCPSocket, probe.GRPC != nil)
	for _, n := range []struct {
		name  string
		value int32
	}{
		{"initialDelaySeconds", probe.InitialDelaySeconds}, {"timeoutSeconds", probe.TimeoutSeconds}, {"periodSeconds", probe.PeriodSeconds},
		{"successThreshold", probe.SuccessThreshold}, {"failureThreshold", probe.FailureThreshold},
	} {
		if n.value < 0 {
			problems = append(problems, fmt.Sprintf("%s is %d, and must not be negative", n.name, n.value))
		}
	}
	if once && probe.SuccessThreshold > 1 {
		problems = append(problems, fmt.Sprintf("successThreshold is %d, and must be 1", probe.SuccessThreshold))
	}
	return problems
}

// handlerProblems says what is wrong with what a probe or hook does.
func handlerProblems(exec *corev1.ExecAction, get *corev1.HTTPGetAction, tcp *corev1.TCPSocketAction, other bool) []string {
	var problems []string
	n := 0
	port := func(p intstr.IntOrString) {
		if p.Type == intstr.Int && (p.IntVal < 1 || p.IntVal > 65535) {
			problems = append(problems, fmt.Sprintf("the port %d must be from 1 to 65535", p.IntVal))
		}
		if p.Type == intstr.String {
			if bad := validation.IsValidPortName(p.StrVal); len(bad) > 0 {
				problems = append(problems, fmt.Sprintf("the port %q is no name of a port: %s", p.StrVal, brief(bad)))
			}
		}
	}
	if exec != nil {
		n++
		if len(exec.Command) == 0 {
			problems = append(problems, "has no command")
		}
	}
	if get != nil {
		n++
		port(get.Port)
		if get.Scheme != "" && get.Scheme != corev1.URISchemeHTTP && get.Scheme != corev1.URISchemeHTTPS {
			problems = append(problems, fmt.Sprintf("the scheme %q must be HTTP or HTTPS", get.Scheme))
		}
	}
	if tcp != nil {
		n++
		port(tcp.Port)
	}
	if other {
		n++
	}
	if n != 1 {
		problems = append(problems, fmt.Sprintf("has %d handlers, and must have one, such as exec, httpGet or tcpSocket", n))
	}
	return problems
}

// sources counts the sources of a volume, those of Kubernetes that are in use.
func sources(v *corev1.VolumeSource) int {
	n := 0
	for _, given := range [...]bool{
		v.HostPath != nil, v.EmptyDir != nil, v.Secret != nil, v.ConfigMap != nil, v.PersistentVolumeClaim != nil, v.Projected != nil,
		v.DownwardAPI != nil, v.CSI != nil, v.Ephemeral != nil, v.NFS != nil, v.ISCSI != nil, v.CephFS != nil, v.RBD != nil, v.Image != nil,
	} {
		if given {
			n++
		}
	}
	return n
}

// oneOf reports a value that a field may not have. An empty
// one takes the default.
func oneOf[T ~string](p *Pass, o *Object, field string, value T, allowed ...T) {
	if value != "" {
		stated(p, o, field, value, allowed...)
	}
}

// stated reports a value that a field may not have, an empty one too.
func stated[T ~string](p *Pass, o *Object, field string, value T, allowed ...T) {
	if slices.Contains(allowed, value) {
		return
	}
	texts := make([]string, len(allowed))
	for i, a := range allowed {
		texts[i] = string(a)
	}
	p.Report(o, field, fmt.Sprintf("%q: must be one of %s", string(value), strings.Join(texts, ", ")), "")
}

// envName reports whether a text is a name that any shell takes.
func envName(s string) bool {
	for i := range len(s) {
		c := s[i]
		if !(c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || c == '_' || c >= '0' && c <= '9' && i > 0) {
			return false
		}
	}
	return s != ""
}
