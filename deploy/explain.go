package deploy

import (
	"cmp"
	"context"
	"fmt"
	"io"
	"regexp"
	"slices"
	"strings"

	appsv1 "k8s.io/api/apps/v1"
	batchv1 "k8s.io/api/batch/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	fieldselector "k8s.io/apimachinery/pkg/fields"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/kubernetes"

	"git.lastcloud.io/ronnibaslund/dezky/fleet/render/object"
)

// evidence is what a cluster knows about a workload that is not ready.
type evidence struct {
	replicaSet *appsv1.ReplicaSet
	job        *batchv1.Job
	pods       []corev1.Pod
	events     map[types.UID][]corev1.Event
}

// reason is why a workload is not ready, in one line.
type reason struct {
	text string
	// pod and container whose log may say more. Empty where there is none.
	pod, container string
	// previous asks for the log of the run before, which crashed.
	previous bool
}

// explain says why a workload does not get ready: one line for each reason,
// and the last lines of a container's log below it. What cannot be read is
// said too.
func (c *cluster) explain(ctx context.Context, id object.ID, logs bool) []string {
	e, err := gather(ctx, c.typed, id)
	if err != nil {
		return []string{"its pods cannot be looked at: " + redact(err.Error())}
	}
	var lines []string
	for _, r := range e.reasons() {
		lines = append(lines, r.text)
		if logs && r.container != "" {
			for _, line := range tail(ctx, c.typed, id.Namespace, r) {
				lines = append(lines, "  | "+line)
			}
		}
	}
	if len(lines) == 0 {
		lines = []string{noReason}
	}
	return lines
}

// noReason is said where nothing is wrong that the cluster knows of.
const noReason = "the cluster gives no reason"

// gather reads the pods of the newest revision of a workload, and what
// happened to them.
func gather(ctx context.Context, typed kubernetes.Interface, id object.ID) (evidence, error) {
	e := evidence{events: map[types.UID][]corev1.Event{}}
	var owner types.UID
	hash := ""
	switch id.Kind {
	case "Deployment":
		d, err := typed.AppsV1().Deployments(id.Namespace).Get(ctx, id.Name, metav1.GetOptions{})
		if err != nil {
			return e, err
		}
		sets, err := typed.AppsV1().ReplicaSets(id.Namespace).List(ctx, metav1.ListOptions{LabelSelector: metav1.FormatLabelSelector(d.Spec.Selector)})
		if err != nil {
			return e, err
		}
		const revision = "deployment.kubernetes.io/revision"
		for i := range sets.Items {
			s := &sets.Items[i]
			if metav1.IsControlledBy(s, d) && s.Annotations[revision] == d.Annotations[revision] {
				e.replicaSet, owner = s, s.UID
			}
		}
		if e.replicaSet == nil {
			return e, nil
		}
	case "StatefulSet":
		s, err := typed.AppsV1().StatefulSets(id.Namespace).Get(ctx, id.Name, metav1.GetOptions{})
		if err != nil {
			return e, err
		}
		owner, hash = s.UID, s.Status.UpdateRevision
	case "DaemonSet":
		s, err := typed.AppsV1().DaemonSets(id.Namespace).Get(ctx, id.Name, metav1.GetOptions{})
		if err != nil {
			return e, err
		}
		owner = s.UID
	case "Job":
		j, err := typed.BatchV1().Jobs(id.Namespace).Get(ctx, id.Name, metav1.GetOptions{})
		if err != nil {
			return e, err
		}
		e.job, owner = j, j.UID
	default:
		return e, nil
	}
	pods, err := typed.CoreV1().Pods(id.Namespace).List(ctx, metav1.ListOptions{})
	if err != nil {
		return e, err
	}
	about := []types.UID{owner}
	for _, p := range pods.Items {
		controller := metav1.GetControllerOf(&p)
		if controller == nil || controller.UID != owner || p.DeletionTimestamp != nil {
			continue
		}
		if hash != "" && p.Labels[appsv1.ControllerRevisionHashLabelKey] != hash {
			continue
		}
		e.pods = append(e.pods, p)
		about = append(about, p.UID)
	}
	for _, uid := range about {
		list, err := typed.CoreV1().Events(id.Namespace).List(ctx, metav1.ListOptions{FieldSelector: fieldselector.OneTermEqualSelector("involvedObject.uid", string(uid)).String()})
		if err != nil {
			return e, err
		}
		for _, event := range list.Items {
			if event.InvolvedObject.UID == uid && event.Type == corev1.EventTypeWarning {
				e.events[uid] = append(e.events[uid], event)
			}
		}
		slices.SortFunc(e.events[uid], func(a, b corev1.Event) int {
			return cmp.Or(b.LastTimestamp.Compare(a.LastTimestamp.Time), b.EventTime.Compare(a.EventTime.Time), cmp.Compare(a.Name, b.Name))
		})
	}
	return e, nil
}

// last is the message of the newest event with one of the reasons.
func (e evidence) last(uid types.UID, reasons ...string) string {
	for _, event := range e.events[uid] {
		if slices.Contains(reasons, event.Reason) {
			return quote(event.Message)
		}
	}
	return ""
}

// reasons are all that there are, each once however many pods have it.
func (e evidence) reasons() []reason {
	var all []reason
	counts := map[string]int{}
	add := func(r reason) {
		if counts[r.text]++; counts[r.text] == 1 {
			all = append(all, r)
		}
	}
	if s := e.replicaSet; s != nil {
		refused := ""
		for _, c := range s.Status.Conditions {
			if c.Type == appsv1.ReplicaSetReplicaFailure && c.Status == corev1.ConditionTrue {
				refused = quote(c.Message)
			}
		}
		if refused == "" && len(e.pods) == 0 {
			refused = e.last(s.UID, "FailedCreate")
		}
		if refused != "" {
			add(reason{text: "no pod can be made: " + refused + hint(refused)})
		}
	}
	pods := slices.Clone(e.pods)
	slices.SortFunc(pods, func(a, b corev1.Pod) int { return strings.Compare(a.Name, b.Name) })
	for _, p := range pods {
		for _, r := range e.pod(p) {
			add(r)
		}
	}
	for i, r := range all {
		if n := counts[r.text]; n > 1 {
			all[i].text = fmt.Sprintf("%d pods: %s", n, r.text)
		}
	}
	if j := e.job; j != nil && slices.ContainsFunc(j.Status.Conditions, func(c batchv1.JobCondition) bool {
		return c.Type == batchv1.JobFailed && c.Status == corev1.ConditionTrue
	}) {
		// The next release that renders it finds it there, as it ended.
		all = append(all, reason{text: fmt.Sprintf("a Job that failed does not run again by itself: release another image or definition of it, or mend what it met, delete it (kubectl -n %s delete job %s) and deploy again", j.Namespace, j.Name)})
	}
	return all
}

// pod is why one pod is not ready.
func (e evidence) pod(p corev1.Pod) []reason {
	for _, c := range p.Status.Conditions {
		if c.Type == corev1.PodScheduled && c.Status == corev1.ConditionFalse {
			return []reason{{text: "no node takes the pod: " + quote(c.Message)}}
		}
	}
	var all []reason
	statuses := slices.Concat(p.Status.InitContainerStatuses, p.Status.ContainerStatuses)
	for _, s := range statuses {
		if r, ok := e.container(p, s); ok {
			all = append(all, r)
		}
	}
	if len(all) > 0 {
		return all
	}
	if p.Status.Phase == corev1.PodFailed {
		return []reason{{text: "the pod failed: " + cmp.Or(quote(p.Status.Message), p.Status.Reason, "no reason is given")}}
	}
	if m := e.last(p.UID, "FailedMount", "FailedAttachVolume", "FailedCreatePodSandBox"); m != "" {
		return []reason{{text: "the pod cannot start: " + m + hint(m)}}
	}
	return nil
}

func (e evidence) container(p corev1.Pod, s corev1.ContainerStatus) (reason, bool) {
	name := "container " + s.Name + ": "
	r := reason{pod: p.Name, container: s.Name}
	switch {
	case s.State.Waiting != nil:
		w := s.State.Waiting
		message := quote(w.Message)
		switch w.Reason {
		case "ErrImagePull", "ImagePullBackOff", "InvalidImageName", "ErrImageNeverPull":
			// The event has what the registry said; the status repeats that
			// it failed.
			said := cmp.Or(e.last(p.UID, "Failed"), message)
			// A commit and a digest look random, and are no secrets.
			said = strings.ReplaceAll(said, redact(s.Image), s.Image)
			return reason{text: fmt.Sprintf("%sthe image %s cannot be pulled (%s): %s: was this tag pushed, and may the pull Secret read it?", name, s.Image, w.Reason, said)}, true
		case "CreateContainerConfigError", "CreateContainerError", "RunContainerError":
			return reason{text: name + w.Reason + ": " + message + hint(message)}, true
		case "CrashLoopBackOff":
			r.previous = true
			return r.with(name + "crashes again and again (CrashLoopBackOff)" + ended(s.LastTerminationState.Terminated)), true
		case "ContainerCreating", "PodInitializing", "":
			if s.LastTerminationState.Terminated != nil {
				r.previous = true
				return r.with(name + "starts again" + ended(s.LastTerminationState.Terminated)), true
			}
			return reason{}, false
		}
		return reason{text: name + w.Reason + ": " + message}, true
	case s.State.Terminated != nil && s.State.Terminated.ExitCode != 0:
		return r.with(name + "ended" + ended(s.State.Terminated)), true
	case s.State.Running != nil && !s.Ready:
		text := name + "runs and is not ready"
		if m := e.last(p.UID, "Unhealthy"); m != "" {
			text += ": " + m
		}
		if t := s.LastTerminationState.Terminated; t != nil {
			text += fmt.Sprintf(", after %d restarts; the last run%s", s.RestartCount, ended(t))
		}
		return r.with(text), true
	}
	return reason{}, false
}

func (r reason) with(text string) reason {
	r.text = text
	return r
}

// ended says how a container came to its end.
func ended(t *corev1.ContainerStateTerminated) string {
	if t == nil {
		return ""
	}
	text := fmt.Sprintf(" with exit status %d", t.ExitCode)
	if t.Reason != "" && t.Reason != "Error" && t.Reason != "Completed" {
		text += " (" + t.Reason + ")"
	}
	if t.Message != "" {
		text += ": " + quote(t.Message)
	}
	return text
}

var (
	missingKey    = regexp.MustCompile(`couldn't find key (\S+) in (Secret|ConfigMap) (\S+)`)
	missingObject = regexp.MustCompile(`(secret|configmap) "([^"]+)" not found`)
)

// hint says what to do where the cluster's own words leave it open.
func hint(message string) string {
	switch {
	case missingKey.MatchString(message):
		m := missingKey.FindStringSubmatch(message)
		return fmt.Sprintf(": %s %s lacks the key %s: fill it in", m[2], m[3], m[1])
	case missingObject.MatchString(message):
		m := missingObject.FindStringSubmatch(message)
		return fmt.Sprintf(": the %s %s is missing: apply it", m[1], m[2])
	case strings.Contains(message, "violates PodSecurity"):
		return ": the namespace enforces Pod Security: the pod must meet it"
	case strings.Contains(message, "exceeded quota"):
		return ": the namespace's quota is used up"
	}
	return ""
}

const logLines = 10

// tail are the last lines of a container's log, without what may be secret.
func tail(ctx context.Context, typed kubernetes.Interface, namespace string, r reason) []string {
	options := &corev1.PodLogOptions{Container: r.container, Previous: r.previous, TailLines: new(int64(logLines)), LimitBytes: new(int64(16 << 10))}
	stream, err := typed.CoreV1().Pods(namespace).GetLogs(r.pod, options).Stream(ctx)
	if err != nil {
		return []string{"(its log cannot be read: " + redact(oneLine(err.Error())) + ")"}
	}
	defer stream.Close()
	text, err := io.ReadAll(stream)
	if err != nil {
		return []string{"(its log cannot be read: " + redact(oneLine(err.Error())) + ")"}
	}
	return logTail(string(text))
}

// logTail makes a log fit to be shown: without secrets, control characters and
// lines beyond those that count.
func logTail(text string) []string {
	var lines []string
	for line := range strings.Lines(text) {
		line = strings.Map(func(r rune) rune {
			if r == '\t' {
				return ' '
			}
			if r < ' ' || r == 0x7f {
				return -1
			}
			return r
		}, strings.ToValidUTF8(line, "?"))
		if strings.TrimSpace(line) != "" {
			lines = append(lines, shorten(redact(line)))
		}
	}
	return lines[max(0, len(lines)-logLines):]
}

// quote is what the cluster or a container says, in one line and without what
// may be secret.
func quote(s string) string { return redact(oneLine(s)) }

// oneLine makes one line of a text.
func oneLine(s string) string { return strings.Join(strings.Fields(s), " ") }
