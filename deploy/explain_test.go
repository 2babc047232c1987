package deploy

import (
	"cmp"
	"os"
	"regexp"
	"slices"
	"strings"
	"testing"

	appsv1 "k8s.io/api/apps/v1"
	batchv1 "k8s.io/api/batch/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/kubernetes/fake"

	kstatus "github.com/fluxcd/cli-utils/pkg/object"

	"git.lastcloud.io/ronnibaslund/dezky/fleet/render/object"
	"git.lastcloud.io/ronnibaslund/dezky/fleet/render/plan/consequence"
)

// rollingOut is a Deployment with an old ReplicaSet, a new one, and pods of both.
func rollingOut(edit func(set *appsv1.ReplicaSet, pod *corev1.Pod), more ...runtime.Object) *cluster {
	meta := func(name, uid, owner string) metav1.ObjectMeta {
		m := metav1.ObjectMeta{Namespace: "ns", Name: name, UID: types.UID(uid), Labels: map[string]string{"app": "web"}}
		if owner != "" {
			m.OwnerReferences = []metav1.OwnerReference{{UID: types.UID(owner), Controller: new(true)}}
		}
		return m
	}
	d := &appsv1.Deployment{ObjectMeta: meta("web", "d", ""), Spec: appsv1.DeploymentSpec{Selector: &metav1.LabelSelector{MatchLabels: map[string]string{"app": "web"}}}}
	old, now := &appsv1.ReplicaSet{ObjectMeta: meta("web-1", "old", "d")}, &appsv1.ReplicaSet{ObjectMeta: meta("web-2", "new", "d")}
	const revision = "deployment.kubernetes.io/revision"
	d.Annotations = map[string]string{revision: "2"}
	old.Annotations, now.Annotations = map[string]string{revision: "1"}, map[string]string{revision: "2"}
	stale := &corev1.Pod{ObjectMeta: meta("web-1-a", "stale", "old"), Status: corev1.PodStatus{ContainerStatuses: []corev1.ContainerStatus{{Name: "web", State: waiting("CrashLoopBackOff", "the old one")}}}}
	pod := &corev1.Pod{ObjectMeta: meta("web-2-a", "pod", "new"), Status: corev1.PodStatus{Phase: corev1.PodPending}}
	edit(now, pod)
	second := pod.DeepCopy()
	second.Name, second.UID = "web-2-b", "pod2"
	objects := []runtime.Object{d, old, now, stale}
	if pod.Name != "" {
		objects = append(objects, pod, second)
	}
	return &cluster{typed: fake.NewClientset(append(objects, more...)...)}
}

func waiting(reason, message string) corev1.ContainerState {
	return corev1.ContainerState{Waiting: &corev1.ContainerStateWaiting{Reason: reason, Message: message}}
}

func warning(uid, reason, message string) *corev1.Event {
	return &corev1.Event{
		ObjectMeta: metav1.ObjectMeta{Namespace: "ns", Name: reason + uid}, InvolvedObject: corev1.ObjectReference{UID: types.UID(uid)},
		Type: corev1.EventTypeWarning, Reason: reason, Message: message,
	}
}

func TestExplain(t *testing.T) {
	container := func(s corev1.ContainerStatus) func(*appsv1.ReplicaSet, *corev1.Pod) {
		s.Name, s.Image = "web", cmp.Or(s.Image, "registry/web:a")
		return func(_ *appsv1.ReplicaSet, p *corev1.Pod) { p.Status.ContainerStatuses = []corev1.ContainerStatus{s} }
	}
	const commit = "0123456789abcdef0123456789abcdef01234567"
	crashed := &corev1.ContainerStateTerminated{ExitCode: 137, Reason: "OOMKilled"}
	for _, tc := range []struct {
		name  string
		edit  func(*appsv1.ReplicaSet, *corev1.Pod)
		event *corev1.Event
		want  string
	}{
		{"an image", container(corev1.ContainerStatus{State: waiting("ImagePullBackOff", "Back-off")}), warning("pod", "Failed", "manifest\nunknown"),
			"container web: the image registry/web:a cannot be pulled (ImagePullBackOff): manifest unknown: was this tag pushed, and may the pull Secret read it?"},
		{"a commit, and a word that looks like it", container(corev1.ContainerStatus{Image: "registry/web:" + commit, State: waiting("ImagePullBackOff", "Back-off")}),
			warning("pod", "Failed", "registry/web:"+commit+" of "+strings.ReplaceAll(commit, "0", "f")+": unknown"),
			"container web: the image registry/web:" + commit + " cannot be pulled (ImagePullBackOff): registry/web:" + commit + " of […]: unknown: was this tag"},
		{"a key", container(corev1.ContainerStatus{State: waiting("CreateContainerConfigError", "couldn't find key A in Secret ns/web-secrets")}), nil,
			"2 pods: container web: CreateContainerConfigError: couldn't find key A in Secret ns/web-secrets: Secret ns/web-secrets lacks the key A: fill it in"},
		{"a Secret", container(corev1.ContainerStatus{State: waiting("CreateContainerConfigError", `secret "web-secrets" not found`)}), nil,
			`2 pods: container web: CreateContainerConfigError: secret "web-secrets" not found: the secret web-secrets is missing: apply it`},
		{"a crash", container(corev1.ContainerStatus{State: waiting("CrashLoopBackOff", ""), LastTerminationState: corev1.ContainerState{Terminated: crashed}}), nil,
			"2 pods: container web: crashes again and again (CrashLoopBackOff) with exit status 137 (OOMKilled)\n  | fake logs"},
		{"never ready", container(corev1.ContainerStatus{State: corev1.ContainerState{Running: &corev1.ContainerStateRunning{}}}), warning("pod", "Unhealthy", "Readiness probe failed: token=abc"),
			"container web: runs and is not ready: Readiness probe failed: token=[…]\n  | fake logs\ncontainer web: runs and is not ready\n  | fake logs"},
		{"no room", func(_ *appsv1.ReplicaSet, p *corev1.Pod) {
			p.Status.Conditions = []corev1.PodCondition{{Type: corev1.PodScheduled, Status: corev1.ConditionFalse, Message: "0/1 nodes are available: 1 Insufficient memory."}}
		}, nil, "2 pods: no node takes the pod: 0/1 nodes are available: 1 Insufficient memory."},
		{"a volume", container(corev1.ContainerStatus{State: waiting("ContainerCreating", "")}), warning("pod", "FailedMount", `MountVolume.SetUp failed for volume "v" : secret "s" not found`),
			`the pod cannot start: MountVolume.SetUp failed for volume "v" : secret "s" not found: the secret s is missing: apply it`},
		{"an init container", func(_ *appsv1.ReplicaSet, p *corev1.Pod) {
			p.Status.InitContainerStatuses = []corev1.ContainerStatus{{Name: "init", State: corev1.ContainerState{Terminated: &corev1.ContainerStateTerminated{ExitCode: 2}}}}
		}, nil, "2 pods: container init: ended with exit status 2\n  | fake logs"},
		{"Pod Security", func(s *appsv1.ReplicaSet, p *corev1.Pod) {
			p.Name = "" // there is none
			s.Status.Conditions = []appsv1.ReplicaSetCondition{{Type: appsv1.ReplicaSetReplicaFailure, Status: corev1.ConditionTrue, Message: `pods "x" is forbidden: violates PodSecurity "restricted:latest"`}}
		}, nil, `no pod can be made: pods "x" is forbidden: violates PodSecurity "restricted:latest": the namespace enforces Pod Security: the pod must meet it`},
		{"quota", func(_ *appsv1.ReplicaSet, p *corev1.Pod) { p.Name = "" }, warning("new", "FailedCreate", "exceeded quota: q"),
			"no pod can be made: exceeded quota: q: the namespace's quota is used up"},
		{"nothing", func(*appsv1.ReplicaSet, *corev1.Pod) {}, nil, "the cluster gives no reason"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			var more []runtime.Object
			if tc.event != nil {
				more = append(more, tc.event)
			}
			c := rollingOut(tc.edit, more...)
			got := strings.Join(c.explain(t.Context(), object.ID{Group: "apps", Kind: "Deployment", Namespace: "ns", Name: "web"}, true), "\n")
			if !strings.HasPrefix(got, tc.want) || strings.Contains(got, "the old one") {
				t.Errorf("got\n%s\nwant\n%s", got, tc.want)
			}
		})
	}
	c := rollingOut(container(corev1.ContainerStatus{State: waiting("CrashLoopBackOff", "")}))
	if got := c.explain(t.Context(), object.ID{Group: "apps", Kind: "Deployment", Namespace: "ns", Name: "web"}, false); len(got) != 1 {
		t.Errorf("without logs: %q", got)
	}
	if got := c.explain(t.Context(), object.ID{Group: "apps", Kind: "Deployment", Namespace: "ns", Name: "gone"}, false); !strings.Contains(got[0], "cannot be looked at") {
		t.Errorf("a Deployment that is gone: %q", got)
	}
}

// TestExplainJob: a Job that failed says that it is in the way of the next
// try; one that may still succeed does not.
func TestExplainJob(t *testing.T) {
	for _, failed := range []corev1.ConditionStatus{corev1.ConditionTrue, corev1.ConditionFalse} {
		job := &batchv1.Job{ObjectMeta: metav1.ObjectMeta{Namespace: "ns", Name: "migrate-1", UID: "j"}}
		job.Status.Conditions = []batchv1.JobCondition{{Type: batchv1.JobFailed, Status: failed}}
		pod := &corev1.Pod{ObjectMeta: metav1.ObjectMeta{Namespace: "ns", Name: "migrate-1-a", OwnerReferences: []metav1.OwnerReference{{UID: "j", Controller: new(true)}}}}
		pod.Status.ContainerStatuses = []corev1.ContainerStatus{{Name: "migrate", State: corev1.ContainerState{Terminated: &corev1.ContainerStateTerminated{ExitCode: 7}}}}
		c := &cluster{typed: fake.NewClientset(job, pod)}
		got := c.explain(t.Context(), object.ID{Group: "batch", Kind: "Job", Namespace: "ns", Name: "migrate-1"}, true)
		want := []string{"container migrate: ended with exit status 7", "  | fake logs"}
		if failed == corev1.ConditionTrue {
			want = append(want, "a Job that failed does not run again by itself: release another image or definition of it, or mend what it met, delete it (kubectl -n ns delete job migrate-1) and deploy again")
		}
		if !slices.Equal(got, want) {
			t.Errorf("failed %s: %q", failed, got)
		}
	}
}

// TestREADME: README quotes what is really said. A … stands for anything.
func TestREADME(t *testing.T) {
	readme, err := os.ReadFile("../README.md")
	if err != nil {
		t.Fatal(err)
	}
	_, table, _ := strings.Cut(string(readme), "\n## When it breaks\n")
	table, _, _ = strings.Cut(table, "\n## ")
	var quotes []*regexp.Regexp
	for line := range strings.Lines(table) {
		if cells := strings.Split(line, "|"); len(cells) > 2 {
			for _, m := range regexp.MustCompile("`([^`]+)`").FindAllStringSubmatch(cells[1], -1) {
				quotes = append(quotes, regexp.MustCompile(strings.ReplaceAll(regexp.QuoteMeta(m[1]), "…", ".*")))
			}
		}
	}
	web := object.ID{Group: "apps", Kind: "Deployment", Namespace: "ns", Name: "web"}
	explained := func(w corev1.ContainerState) string {
		c := rollingOut(func(_ *appsv1.ReplicaSet, p *corev1.Pod) {
			p.Status.ContainerStatuses = []corev1.ContainerStatus{{Name: "web", Image: "registry/web:a", State: w}}
		})
		return strings.Join(c.explain(t.Context(), web, false), "\n")
	}
	failed := evidence{job: &batchv1.Job{Status: batchv1.JobStatus{Conditions: []batchv1.JobCondition{{Type: batchv1.JobFailed, Status: corev1.ConditionTrue}}}}}
	down := outlook{found: []consequence.Consequence{{Rule: "host", Object: web, Severity: consequence.Down, Why: "nobody answers"}}}
	key := keyOf(web)
	for _, said := range []string{
		explained(waiting("CreateContainerConfigError", "couldn't find key A in Secret ns/web-secrets")),
		explained(waiting("ErrImagePull", "manifest unknown")),
		failed.reasons()[0].text,
		down.stops(nil).Error(),
		(&NotReadyError{Objects: []NotReady{{ID: web, State: "it waits"}}}).Error(),
		(&HeldError{Holder: "somebody"}).Error(),
		tooMany([]leftover{{id: web, key: key}}, inventory{objects: map[kstatus.ObjMetadata]types.UID{key: ""}}).Error(),
		"stays   " + web.String() + ": " + notReadable,
		notDeletable,
	} {
		if !slices.ContainsFunc(quotes, func(q *regexp.Regexp) bool { return q.MatchString(said) }) {
			t.Errorf("README, When it breaks, has no row that quotes: %s", said)
		}
	}
}
