package check

import (
	"fmt"
	"slices"
	"strconv"
	"strings"

	appsv1 "k8s.io/api/apps/v1"
	autoscalingv2 "k8s.io/api/autoscaling/v2"
	corev1 "k8s.io/api/core/v1"
	policyv1 "k8s.io/api/policy/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/labels"

	"git.lastcloud.io/ronnibaslund/dezky/fleet/render/internal/rollout"
	"git.lastcloud.io/ronnibaslund/dezky/fleet/render/object"
)

func rolloutRules() []Rule {
	return []Rule{{
		ID:     "rollout",
		Doc:    "A release that waits for a new pod before an old one leaves never ends where the new one needs what the old one has: a volume for one pod alone. A hook that sleeps longer than the pod may live after its end is refused.",
		Source: "Kubernetes documentation, 'Deployments', Rolling Update Deployment, 'Persistent Volumes', Access Modes, and 'Container Lifecycle Hooks'",
		Run: func(p *Pass) {
			for _, o := range p.Kind("apps", "Deployment") {
				d := As[*appsv1.Deployment](o)
				if d == nil || !waitsForNew(d) {
					continue
				}
				for _, claim := range p.claimsOf(o, &d.Spec.Template.Spec) {
					if slices.Contains(claim.modes, corev1.ReadWriteOncePod) {
						p.Report(o, "spec.strategy", "a new pod must be ready before an old one leaves, and the volume "+claim.volume+" is ReadWriteOncePod: no release ever ends", "let the type be Recreate")
					}
				}
			}
			p.eachPods(func(pods *pods) {
				grace := rollout.GracePeriod(pods.spec)
				pods.eachContainer(func(list string, c *corev1.Container) {
					if c.Lifecycle == nil || c.Lifecycle.PreStop == nil || c.Lifecycle.PreStop.Sleep == nil {
						return
					}
					if s := c.Lifecycle.PreStop.Sleep.Seconds; s < 0 || s > grace {
						p.Report(pods.of, pods.at+"."+list+"["+c.Name+"].lifecycle.preStop.sleep.seconds", fmt.Sprintf("%d: must be from 0 to terminationGracePeriodSeconds (%d)", s, grace), "")
					}
				})
			})
		},
	}, {
		ID:       "rollout-room",
		Severity: object.Warning,
		Doc:      "A release that waits for a new pod before an old one leaves needs room for both: a volume that one node has, a port of the node, or pods that may not share a node stop it where no other node is free.",
		Source:   "Kubernetes documentation, 'Deployments', Rolling Update Deployment, and 'Assigning Pods to Nodes', Inter-pod affinity and anti-affinity",
		Run: func(p *Pass) {
			for _, o := range p.Kind("apps", "Deployment") {
				d := As[*appsv1.Deployment](o)
				if d == nil {
					continue
				}
				spec := &d.Spec.Template.Spec
				if spread := antiAffinity(spec, d.Spec.Template.Labels); spread != "" && (replicas(d.Spec.Replicas) > 1 || waitsForNew(d)) {
					p.Report(o, "spec.template.spec.affinity.podAntiAffinity", "no two pods may share a "+spread+", so a pod without one of its own waits", "prefer it, or spread by topologySpreadConstraints with ScheduleAnyway")
				}
				if d.Spec.Strategy.Type == appsv1.RecreateDeploymentStrategyType {
					continue
				}
				for _, claim := range p.claimsOf(o, spec) {
					if len(claim.modes) == 1 && claim.modes[0] == corev1.ReadWriteOnce {
						p.Report(o, "spec.strategy", "during a release two pods have the volume "+claim.volume+", which is ReadWriteOnce: on another node the new one waits, and on the same one both write", "let the type be Recreate")
					}
				}
				if !waitsForNew(d) {
					continue
				}
				for i := range spec.Containers {
					for _, port := range spec.Containers[i].Ports {
						if port.HostPort != 0 {
							p.Report(o, "spec.strategy", "a new pod must be ready before an old one leaves, and both want port "+strconv.Itoa(int(port.HostPort))+" of a node", "let maxSurge be 0 and maxUnavailable 1")
						}
					}
				}
			}
		},
	}, {
		ID:       "grace-period",
		Severity: object.Warning,
		Doc:      "The hook before a pod's end counts against its grace period: what the hook takes, the program lacks for its own end, and it is killed.",
		Source:   "Kubernetes documentation, 'Pod Lifecycle', Termination of Pods",
		Alone:    true,
		Run: func(p *Pass) {
			p.eachPods(func(pods *pods) {
				grace := rollout.GracePeriod(pods.spec)
				pods.eachContainer(func(list string, c *corev1.Container) {
					if c.Lifecycle == nil || c.Lifecycle.PreStop == nil {
						return
					}
					if s := rollout.Sleep(c.Lifecycle.PreStop); s >= grace && s > 0 {
						p.Report(pods.of, pods.at+".terminationGracePeriodSeconds", fmt.Sprintf("is %d, and the hook of %s alone takes %d: the program is killed before it is asked to end", grace, c.Name, s), "add the time that the program needs")
					}
				})
			})
		},
	}, {
		ID:       "drain",
		Severity: object.Warning,
		Doc:      "A PodDisruptionBudget that lets no pod go blocks every drain of the node, and every upgrade that drains it. So do two of them over one pod, which no eviction can satisfy.",
		Source:   "Kubernetes documentation, 'Specifying a Disruption Budget for your Application'; Kubernetes, pkg/registry/core/pod/storage/eviction.go: more than one PodDisruptionBudget",
		Run: func(p *Pass) {
			all := p.Kind("policy", "PodDisruptionBudget")
			first := make(map[*Object]*Object, len(all))
			for _, o := range all {
				b := As[*policyv1.PodDisruptionBudget](o)
				if b == nil {
					continue
				}
				for _, pods := range p.podIndex().budgets[o] {
					if other := first[pods.of]; other != nil && other.ID != o.ID {
						p.Report(o, "spec.selector", "selects the pods of "+pods.of.ID.String()+", and so does "+other.ID.String()+": they can never be evicted", "let one budget have them")
						break
					}
					first[pods.of] = o
				}
			}
			for _, o := range all {
				b := As[*policyv1.PodDisruptionBudget](o)
				if b == nil || b.Spec.Selector == nil {
					continue
				}
				pods := -1
				if count, ok := p.fewest(p.podIndex().budgets[o]); ok {
					pods = int(count)
				}
				switch field := rollout.Blocks(&b.Spec, pods); {
				case field == "maxUnavailable":
					p.Report(o, "spec.maxUnavailable", "lets no pod go: every drain of a node waits for ever", "let it be 1")
				case field == "minAvailable" && (pods < 0 || b.Spec.MinAvailable.StrVal == "100%"):
					p.Report(o, "spec.minAvailable", "lets no pod go: every drain of a node waits for ever", "state maxUnavailable: 1")
				case field == "minAvailable":
					p.Report(o, "spec.minAvailable", fmt.Sprintf("is %s, and there can be %d: every drain of a node waits for ever", b.Spec.MinAvailable, pods), "state maxUnavailable: 1")
				}
			}
		},
	}}
}

// replicas returns a number of pods as Kubernetes takes it: 1 if it is empty.
func replicas(n *int32) int32 {
	if n == nil {
		return 1
	}
	return *n
}

// waitsForNew reports whether a new pod must be ready before an old one
// leaves.
func waitsForNew(d *appsv1.Deployment) bool {
	return rollout.WaitsForNew(&d.Spec.Strategy, replicas(d.Spec.Replicas))
}

// antiAffinity returns the topology that no two of a workload's own pods may
// share, and nothing where they may.
func antiAffinity(s *corev1.PodSpec, own map[string]string) string {
	if s.Affinity == nil || s.Affinity.PodAntiAffinity == nil {
		return ""
	}
	for _, term := range s.Affinity.PodAntiAffinity.RequiredDuringSchedulingIgnoredDuringExecution {
		selector, err := metav1.LabelSelectorAsSelector(term.LabelSelector)
		if err == nil && selector.Matches(labels.Set(own)) && len(term.MatchLabelKeys) == 0 {
			if term.TopologyKey == corev1.LabelHostname {
				return "node"
			}
			return term.TopologyKey
		}
	}
	return ""
}

// claim is a volume claim that a pod has.
type claim struct {
	volume string
	modes  []corev1.PersistentVolumeAccessMode
}

// claimsOf returns the claims of a pod that are under check.
func (s *Set) claimsOf(o *Object, spec *corev1.PodSpec) []claim {
	var all []claim
	for i := range spec.Volumes {
		v := &spec.Volumes[i]
		if v.PersistentVolumeClaim == nil {
			continue
		}
		found := s.Get(object.ID{Kind: "PersistentVolumeClaim", Namespace: o.ID.Namespace, Name: v.PersistentVolumeClaim.ClaimName})
		if found == nil {
			continue
		}
		if c := As[*corev1.PersistentVolumeClaim](found); c != nil {
			all = append(all, claim{v.Name, c.Spec.AccessModes})
		}
	}
	return all
}

// scale is how many pods a workload may have.
type scale struct {
	least, most int32
	// by is the autoscaler that says so. Nil where the workload does.
	by *Object
	// others are further autoscalers of the same workload.
	others []*Object
}

// autoscaled returns what autoscalers make of their targets.
func (s *Set) autoscaled() map[object.ID]scale {
	s.scaledOnce.Do(func() { s.scaled = s.readAutoscalers() })
	return s.scaled
}

func (s *Set) readAutoscalers() map[object.ID]scale {
	all := make(map[object.ID]scale)
	for _, o := range s.Kind("autoscaling", "HorizontalPodAutoscaler") {
		h := As[*autoscalingv2.HorizontalPodAutoscaler](o)
		if h == nil {
			continue
		}
		group, _, found := strings.Cut(h.Spec.ScaleTargetRef.APIVersion, "/")
		if !found {
			group = ""
		}
		target := object.ID{Group: group, Kind: h.Spec.ScaleTargetRef.Kind, Namespace: o.ID.Namespace, Name: h.Spec.ScaleTargetRef.Name}
		if first, found := all[target]; found {
			first.others = append(first.others, o)
			all[target] = first
			continue
		}
		all[target] = scale{least: replicas(h.Spec.MinReplicas), most: h.Spec.MaxReplicas, by: o}
	}
	return all
}

// fewest returns how many pods there are of these at the least, and false where
// that is not known.
func (s *Set) fewest(list []*pods) (count int32, ok bool) {
	for _, pods := range list {
		if kind := pods.of.ID.Kind; kind != "Deployment" && kind != "StatefulSet" {
			return 0, false
		}
		ok = true
		if a, found := s.autoscaled()[pods.of.ID]; found {
			count += a.least
		} else {
			count += replicas(pods.replicas)
		}
	}
	return count, ok
}
