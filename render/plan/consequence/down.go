package consequence

import (
	"fmt"
	"slices"
	"strings"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/labels"

	"git.lastcloud.io/ronnibaslund/dezky/fleet/render/internal/rollout"
	"git.lastcloud.io/ronnibaslund/dezky/fleet/render/object"
)

// replacement is how the pods of a workload are replaced.
type replacement struct {
	// how, for people, such as "one by one".
	how string
	// gap says why no pod answers for a while, and how long as far as it is
	// known. Empty where one always does.
	gap string
	// held says what the pods wait for. Empty where they do not.
	held string
}

// replacement: a StatefulSet replaces one pod after the other, and each is gone
// before the next one is made.
func (was *workload) replacement(is *workload) replacement {
	old, ready := into[corev1.PodSpec](was.spec), rollout.ReadyAfter(into[corev1.PodSpec](is.spec))
	one := func() string {
		end := rollout.GracePeriod(old) - rollout.AnswersFor(old)
		if ready == 0 {
			return fmt.Sprintf("its pods stop before new ones start: requests fail while the old ones end (%d s at most) and until the new ones are ready", end)
		}
		return fmt.Sprintf("its pods stop before new ones start: requests fail for at least %d s: while the old ones end (%d s at most) and until the new ones are ready (%[1]d s after their start at the least)", ready, end)
	}
	switch is.ID.Kind {
	case "StatefulSet":
		if text(is.Fields, "spec", "updateStrategy", "type") == "OnDelete" {
			return replacement{held: "until somebody deletes them"}
		}
		if is.replicas == 1 {
			return replacement{how: "one by one", gap: one()}
		}
		return replacement{how: "one by one"}
	case "DaemonSet":
		if text(is.Fields, "spec", "updateStrategy", "type") == "OnDelete" {
			return replacement{held: "until somebody deletes them"}
		}
		return replacement{how: "node by node"}
	case "Deployment":
		if get(is.Fields, "spec", "paused") == true {
			return replacement{held: "until it is no longer paused"}
		}
		strategy := into[appsv1.DeploymentStrategy](is.Fields, "spec", "strategy")
		surge, unavailable := rollout.Steps(strategy, int32(is.replicas))
		switch step := surge + unavailable; {
		case strategy.Type == appsv1.RecreateDeploymentStrategyType:
			return replacement{how: "all at once", gap: one()}
		case unavailable >= is.replicas:
			gap := "all its pods stop when new ones start: requests fail "
			if least := ready - rollout.AnswersFor(old); least > 0 {
				gap += fmt.Sprintf("for at least %d s, ", least)
			}
			return replacement{how: "all at once", gap: gap + "until the new ones are ready"}
		case step <= 1 || is.replicas == 1:
			return replacement{how: "one by one"}
		default:
			return replacement{how: fmt.Sprintf("up to %d at a time", min(step, is.replicas))}
		}
	}
	return replacement{held: "since nothing makes it anew"}
}

// restarted calls do for each workload whose pods are replaced.
func (p *pass) restarted(do func(was, is *workload)) {
	for _, pair := range p.Pairs {
		was, is := p.Was.workloads[pair.ID], p.Is.workloads[pair.ID]
		if was == nil || is == nil || pair.ID.Kind == "Pod" || pair.ID.Kind == "ReplicaSet" {
			continue
		}
		if was.replicas != 0 && is.replicas != 0 && !same(was.template, is.template) && p.replaced([]*workload{is}) && is.selectsItself() {
			do(was, is)
		}
	}
}

// selectsItself reports whether the workload's own selector selects its pods,
// without which it is refused.
func (w *workload) selectsItself() bool {
	s := selector(get(w.Fields, "spec", "selector"))
	return s == nil || s.Matches(labels.Set(w.labels))
}

// serves reports whether a Service leads to the pods.
func (s *set) serves(w *workload) bool {
	for k, v := range w.labels {
		for _, selector := range s.selectors[label{w.ID.Namespace, k, v}] {
			if matches(selector, w.labels) {
				return true
			}
		}
	}
	return false
}

func matches(selector, of map[string]string) bool {
	for k, v := range selector {
		if has, ok := of[k]; !ok || has != v {
			return false
		}
	}
	return true
}

func downRules() []Rule {
	return []Rule{{
		ID:     "rollout-gap",
		Doc:    "A workload that stops its pods before it starts new ones answers nothing in between. How long that takes at the least is known where the probes of the new pods have delays; how long a program takes to start, and an image to arrive, is not.",
		Source: "Kubernetes, pkg/controller/deployment: recreate.go, ResolveFenceposts; pkg/controller/statefulset; pkg/kubelet/prober/worker.go",
		run: func(p *pass) {
			p.restarted(func(was, is *workload) {
				if r := was.replacement(is); r.gap != "" && p.Is.serves(is) {
					do := "Give it a RollingUpdate with a surge, where two pods may run side by side"
					if is.ID.Kind == "StatefulSet" {
						do = "More than one replica would answer meanwhile, where the program can"
					}
					p.report(Down, is.ID, "spec.template", r.gap, do)
				}
			})
		},
	}, {
		ID:     "scaled-to-zero",
		Doc:    "A workload with no replicas answers nothing.",
		Source: "Kubernetes documentation, 'Deployments', Scaling",
		run: func(p *pass) {
			for _, pair := range p.Pairs {
				if was, is := p.Was.workloads[pair.ID], p.Is.workloads[pair.ID]; was != nil && is != nil && was.replicas != 0 && is.replicas == 0 {
					p.report(Down, pair.ID, "spec.replicas", "no pod is left", "")
				}
			}
		},
	}, {
		ID:     "data-goes",
		Doc:    "With a Namespace goes all that is in it, with a claim its data, with the definition of a kind all objects of it.",
		Source: "Kubernetes documentation, 'Namespaces'; 'Persistent Volumes', Reclaiming; 'Extend the Kubernetes API with CustomResourceDefinitions'",
		run: func(p *pass) {
			what := map[string]string{
				"/Namespace":             "who deletes it deletes all that is in it, claims and their data too",
				"/PersistentVolumeClaim": "who deletes it deletes its data, unless its volume is retained",
				"/PersistentVolume":      "who deletes it takes its data from the claim",
				"apiextensions.k8s.io/CustomResourceDefinition": "who deletes it deletes every object of its kind",
			}
			for _, pair := range p.Pairs {
				if why := what[pair.ID.Group+"/"+pair.ID.Kind]; why != "" && pair.Is == nil {
					p.report(Down, pair.ID, "", "it is no longer rendered, and "+why, "A deploy leaves it. Render it as long as it is needed, and delete it by hand when it is not")
				}
			}
		},
	}, {
		ID:     "pod-security",
		Doc:    "A namespace that enforces a higher level of Pod Security refuses the next pod that does not meet it; the pods that run go on until then.",
		Source: "Kubernetes documentation, 'Pod Security Standards' and 'Pod Security Admission'",
		run: func(p *pass) {
			for _, pair := range p.Pairs {
				if pair.ID.Group != "" || pair.ID.Kind != "Namespace" || pair.Was == nil || pair.Is == nil {
					continue
				}
				was, is := enforced(pair.Was), enforced(pair.Is)
				if is <= was {
					continue
				}
				field := "metadata.labels[" + enforceLabel + "]"
				var never, until []string
				for _, id := range workloadIDs(p.Was.in[pair.ID.Name], p.Is.in[pair.ID.Name]) {
					now, before := p.Is.workloads[id], p.Was.workloads[id]
					switch {
					case now != nil && breach(now, is) != "":
						never = append(never, id.Kind+" "+id.Name+" ("+breach(now, is)+")")
					case before != nil && breach(before, is) != "":
						until = append(until, id.Kind+" "+id.Name)
					}
				}
				level := levels[is]
				if len(never) > 0 {
					p.report(Down, pair.ID, field, "pods that do not meet "+level+" are not started again: "+strings.Join(never, ", "), "Change the pods first, or keep the level")
				}
				if len(until) > 0 {
					p.report(First, pair.ID, field, "the running pods do not meet "+level+", and the new ones do: "+strings.Join(until, ", "), "Raise the level when the new pods are ready: until then a pod that dies stays away")
				}
			}
		},
	}}
}

func workloadIDs(lists ...[]*workload) []object.ID {
	var ids []object.ID
	for _, l := range lists {
		for _, w := range l {
			ids = append(ids, w.ID)
		}
	}
	slices.SortFunc(ids, object.ID.Compare)
	return slices.Compact(ids)
}

const enforceLabel = "pod-security.kubernetes.io/enforce"

// levels of Pod Security, lowest first.
var levels = []string{"privileged", "baseline", "restricted"}

func enforced(namespace *Object) int {
	return max(0, slices.Index(levels, text(namespace.Fields, "metadata", "labels", enforceLabel)))
}

// breach returns the first field by which pods do not meet a level, and nothing
// where none is seen: the fields that manifests set most, not all of the
// standard.
func breach(w *workload, level int) string {
	for _, field := range []string{"hostNetwork", "hostPID", "hostIPC"} {
		if level >= 1 && w.spec[field] == true {
			return field
		}
	}
	for _, v := range list(w.spec["volumes"]) {
		if level >= 1 && v["hostPath"] != nil {
			return "hostPath of volume " + text(v, "name")
		}
	}
	pod := fields(w.spec, "securityContext")
	found := ""
	w.containers(func(_ string, c map[string]any) {
		if found != "" {
			return
		}
		context := fields(c, "securityContext")
		name := "container " + text(c, "name") + ": "
		seccomp := or(get(context, "seccompProfile", "type"), get(pod, "seccompProfile", "type"))
		added := strs(get(context, "capabilities", "add"))
		switch {
		case level >= 1 && context["privileged"] == true:
			found = name + "privileged"
		case level >= 1 && slices.ContainsFunc(list(c["ports"]), func(p map[string]any) bool { n, _ := number(p["hostPort"]); return n != 0 }):
			found = name + "hostPort"
		case level >= 1 && slices.ContainsFunc(added, func(a string) bool { return !slices.Contains(baselineCapabilities, a) }):
			found = name + "capabilities.add"
		case level >= 1 && seccomp == "Unconfined":
			found = name + "seccompProfile"
		case level < 2:
		case context["allowPrivilegeEscalation"] != false:
			found = name + "allowPrivilegeEscalation"
		case or(context["runAsNonRoot"], pod["runAsNonRoot"]) != true:
			found = name + "runAsNonRoot"
		case seccomp == nil:
			found = name + "seccompProfile"
		case !slices.Contains(strs(get(context, "capabilities", "drop")), "ALL"):
			found = name + "capabilities.drop"
		}
	})
	return found
}

// baselineCapabilities: Pod Security Standards, Baseline.
var baselineCapabilities = []string{"AUDIT_WRITE", "CHOWN", "DAC_OVERRIDE", "FOWNER", "FSETID", "KILL", "MKNOD", "NET_BIND_SERVICE", "SETFCAP", "SETGID", "SETPCAP", "SETUID", "SYS_CHROOT"}
