// Package rollout reads from manifests how pods are replaced, how long that
// takes, and whether a drain may take them away.
package rollout

import (
	"slices"
	"strconv"
	"strings"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	policyv1 "k8s.io/api/policy/v1"
	"k8s.io/apimachinery/pkg/util/intstr"
)

// Steps returns how many pods a Deployment may have beside its replicas while
// it replaces them, and how many it may lack (Kubernetes,
// pkg/controller/deployment/util: ResolveFenceposts). With the strategy
// Recreate it lacks all.
func Steps(s *appsv1.DeploymentStrategy, replicas int32) (surge, unavailable int) {
	if s.Type == appsv1.RecreateDeploymentStrategyType {
		return 0, int(replicas)
	}
	value := func(amount *intstr.IntOrString, up bool) int {
		n, err := intstr.GetScaledValueFromIntOrPercent(amount, int(replicas), up)
		if err != nil {
			return 0 // the server refuses it
		}
		return n
	}
	quarter := intstr.FromString("25%")
	more, less := &quarter, &quarter
	if r := s.RollingUpdate; r != nil && r.MaxSurge != nil {
		more = r.MaxSurge
	}
	if r := s.RollingUpdate; r != nil && r.MaxUnavailable != nil {
		less = r.MaxUnavailable
	}
	surge, unavailable = value(more, true), value(less, false)
	if surge == 0 && unavailable == 0 {
		unavailable = 1
	}
	return surge, unavailable
}

// WaitsForNew reports whether a new pod of a Deployment must be ready before an
// old one leaves.
func WaitsForNew(s *appsv1.DeploymentStrategy, replicas int32) bool {
	_, unavailable := Steps(s, replicas)
	return s.Type != appsv1.RecreateDeploymentStrategyType && unavailable == 0
}

// Blocks returns the field by which a budget over that many pods lets none of
// them go: minAvailable, maxUnavailable, or nothing where it lets one go. Of
// pods whose number is not known, which is below zero, it goes by the field
// alone. Percentages are rounded up (Kubernetes, pkg/controller/disruption:
// getExpectedPodCount).
func Blocks(b *policyv1.PodDisruptionBudgetSpec, pods int) string {
	switch {
	case pods == 0:
		return ""
	case b.MaxUnavailable != nil:
		// Rounded up, any share but none of it is at least one pod.
		if n, err := intstr.GetScaledValueFromIntOrPercent(b.MaxUnavailable, 100, true); err == nil && n == 0 {
			return "maxUnavailable"
		}
	case b.MinAvailable != nil && pods > 0:
		if n, err := intstr.GetScaledValueFromIntOrPercent(b.MinAvailable, pods, true); err == nil && n >= pods {
			return "minAvailable"
		}
	case b.MinAvailable != nil && b.MinAvailable.Type == intstr.String:
		if n, err := intstr.GetScaledValueFromIntOrPercent(b.MinAvailable, 100, true); err == nil && n >= 100 {
			return "minAvailable"
		}
	}
	return ""
}

// GracePeriod returns the seconds after which a pod that is to end is killed.
func GracePeriod(s *corev1.PodSpec) int64 {
	if s.TerminationGracePeriodSeconds == nil {
		return 30
	}
	return *s.TerminationGracePeriodSeconds
}

// Sleep returns the seconds that a hook is known to take: its sleep, or the
// sleep of a command that does nothing else.
func Sleep(h *corev1.LifecycleHandler) int64 {
	if h.Sleep != nil {
		return h.Sleep.Seconds
	}
	if h.Exec == nil || len(h.Exec.Command) == 0 {
		return 0
	}
	words := strings.Fields(h.Exec.Command[len(h.Exec.Command)-1])
	if len(h.Exec.Command) == 2 && len(words) == 1 {
		words = slices.Concat(h.Exec.Command[:1], words)
	}
	if len(words) != 2 || words[0][strings.LastIndexByte(words[0], '/')+1:] != "sleep" {
		return 0
	}
	n, err := strconv.ParseInt(strings.TrimSuffix(words[1], "s"), 10, 64)
	if err != nil {
		return 0
	}
	return n
}

// ReadyAfter returns the seconds that a pod takes at the least from its start
// until it is ready: the delays of its probes, and the answers that it must
// give in a row (Kubernetes, pkg/kubelet/prober/worker.go: doProbe).
func ReadyAfter(s *corev1.PodSpec) int64 {
	var most int32
	for i := range s.Containers {
		var after int32
		if p := s.Containers[i].StartupProbe; p != nil {
			after = p.InitialDelaySeconds
		}
		if p := s.Containers[i].ReadinessProbe; p != nil {
			period := p.PeriodSeconds
			if period == 0 {
				period = 10
			}
			after = max(after, p.InitialDelaySeconds) + max(0, p.SuccessThreshold-1)*period
		}
		most = max(most, after)
	}
	return int64(most)
}

// AnswersFor returns the seconds for which a pod that is to end still runs its
// programs: the longest hook before their end, as far as hooks are known.
func AnswersFor(s *corev1.PodSpec) int64 {
	var most int64
	for i := range s.Containers {
		if l := s.Containers[i].Lifecycle; l != nil && l.PreStop != nil {
			most = max(most, Sleep(l.PreStop))
		}
	}
	return min(most, GracePeriod(s))
}
