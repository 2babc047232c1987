package rollout_test

import (
	"testing"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	policyv1 "k8s.io/api/policy/v1"
	"k8s.io/apimachinery/pkg/util/intstr"

	"git.lastcloud.io/ronnibaslund/dezky/fleet/render/internal/rollout"
)

func amount(s string) *intstr.IntOrString {
	if s == "" {
		return nil
	}
	v := intstr.Parse(s)
	return &v
}

func TestSteps(t *testing.T) {
	for _, tc := range []struct {
		surge, unavailable string
		replicas           int32
		more, less         int
		waits              bool
	}{
		{"", "", 1, 1, 0, true},
		{"", "", 4, 1, 1, false},
		{"", "", 3, 1, 0, true},
		{"0", "", 1, 0, 1, false}, // both are none, so one may be lacking
		{"0", "0", 4, 0, 1, false},
		{"2", "0", 4, 2, 0, true},
		{"10%", "90%", 10, 1, 9, false},
		{"x", "x", 4, 0, 1, false},
	} {
		s := &appsv1.DeploymentStrategy{RollingUpdate: &appsv1.RollingUpdateDeployment{MaxSurge: amount(tc.surge), MaxUnavailable: amount(tc.unavailable)}}
		more, less := rollout.Steps(s, tc.replicas)
		if waits := rollout.WaitsForNew(s, tc.replicas); more != tc.more || less != tc.less || waits != tc.waits {
			t.Errorf("surge %q, unavailable %q of %d: %d, %d and waits %v; want %d, %d and %v", tc.surge, tc.unavailable, tc.replicas, more, less, waits, tc.more, tc.less, tc.waits)
		}
	}
	recreate := &appsv1.DeploymentStrategy{Type: appsv1.RecreateDeploymentStrategyType}
	if more, less := rollout.Steps(recreate, 3); more != 0 || less != 3 || rollout.WaitsForNew(recreate, 3) || rollout.WaitsForNew(recreate, 0) {
		t.Errorf("Recreate of 3: %d, %d", more, less)
	}
}

func TestBlocks(t *testing.T) {
	for _, tc := range []struct {
		least, lack string
		pods        int
		want        string
	}{
		{"1", "", 1, "minAvailable"},
		{"1", "", 2, ""},
		{"1", "", -1, ""},
		{"1", "", 0, ""},
		{"50%", "", 1, "minAvailable"},
		{"50%", "", 2, ""},
		{"51%", "", 2, "minAvailable"},
		{"100%", "", -1, "minAvailable"},
		{"99%", "", -1, ""},
		{"", "0", 3, "maxUnavailable"},
		{"", "0", 0, ""},
		{"", "0%", -1, "maxUnavailable"},
		{"", "1%", 1, ""},
		{"", "1", 1, ""},
		{"", "", 1, ""},
	} {
		b := &policyv1.PodDisruptionBudgetSpec{MinAvailable: amount(tc.least), MaxUnavailable: amount(tc.lack)}
		if got := rollout.Blocks(b, tc.pods); got != tc.want {
			t.Errorf("minAvailable %q, maxUnavailable %q over %d pods: %q, want %q", tc.least, tc.lack, tc.pods, got, tc.want)
		}
	}
}

func TestSeconds(t *testing.T) {
	grace := int64(20)
	sleep := func(command ...string) *corev1.Lifecycle {
		return &corev1.Lifecycle{PreStop: &corev1.LifecycleHandler{Exec: &corev1.ExecAction{Command: command}}}
	}
	for _, tc := range []struct {
		name                  string
		spec                  corev1.PodSpec
		grace, answers, ready int64
	}{
		{"nothing", corev1.PodSpec{}, 30, 0, 0},
		{"probes", corev1.PodSpec{Containers: []corev1.Container{
			{StartupProbe: &corev1.Probe{InitialDelaySeconds: 7}, ReadinessProbe: &corev1.Probe{InitialDelaySeconds: 5, SuccessThreshold: 3}},
			{ReadinessProbe: &corev1.Probe{InitialDelaySeconds: 9, SuccessThreshold: 2, PeriodSeconds: 1}},
			{LivenessProbe: &corev1.Probe{InitialDelaySeconds: 60}},
		}}, 30, 0, 27},
		{"hooks", corev1.PodSpec{TerminationGracePeriodSeconds: &grace, Containers: []corev1.Container{
			{Lifecycle: sleep("sleep", "5")},
			{Lifecycle: &corev1.Lifecycle{PreStop: &corev1.LifecycleHandler{Sleep: &corev1.SleepAction{Seconds: 8}}}},
			{Lifecycle: sleep("/bin/drain", "--all")},
		}}, 20, 8, 0},
		{"a hook longer than the pod may take", corev1.PodSpec{TerminationGracePeriodSeconds: &grace, Containers: []corev1.Container{
			{Lifecycle: sleep("sh", "-c", "/bin/sleep 60s")},
		}}, 20, 20, 0},
	} {
		if g, a, r := rollout.GracePeriod(&tc.spec), rollout.AnswersFor(&tc.spec), rollout.ReadyAfter(&tc.spec); g != tc.grace || a != tc.answers || r != tc.ready {
			t.Errorf("%s: %d, %d, %d; want %d, %d, %d", tc.name, g, a, r, tc.grace, tc.answers, tc.ready)
		}
	}
}
