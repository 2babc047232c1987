package consequence

import (
	"fmt"
	"math"
	"slices"
	"strings"

	"k8s.io/apimachinery/pkg/labels"

	"git.lastcloud.io/ronnibaslund/dezky/fleet/render/object"
)

// rollout is how the pods of a workload are replaced.
type rollout struct {
	// how, for people, such as "one by one".
	how string
	// gap reports that no pod answers for a while.
	gap bool
	// held says what the pods wait for. Empty where they do not.
	held string
}

// rollout: pkg/controller/deployment/util ResolveFenceposts; a StatefulSet
// replaces one pod after the other, and each is gone before the next one is
// made.
func (w *workload) rollout() rollout {
	strategy := fields(w.Fields, "spec", "strategy")
	switch w.ID.Kind {
	case "StatefulSet":
		if text(w.Fields, "spec", "updateStrategy", "type") == "OnDelete" {
			return rollout{held: "until somebody deletes them"}
		}
		return rollout{how: "one by one", gap: w.replicas == 1}
	case "DaemonSet":
		if text(w.Fields, "spec", "updateStrategy", "type") == "OnDelete" {
			return rollout{held: "until somebody deletes them"}
		}
		return rollout{how: "node by node"}
	case "Deployment":
		if get(w.Fields, "spec", "paused") == true {
			return rollout{held: "until it is no longer paused"}
		}
		if text(strategy, "type") == "Recreate" {
			return rollout{how: "all at once", gap: true}
		}
		surge := share(or(get(strategy, "rollingUpdate", "maxSurge"), "25%"), w.replicas, math.Ceil)
		unavailable := share(or(get(strategy, "rollingUpdate", "maxUnavailable"), "25%"), w.replicas, math.Floor)
		if surge == 0 && unavailable == 0 {
			unavailable = 1
		}
		switch step := surge + unavailable; {
		case unavailable >= w.replicas:
			return rollout{how: "all at once", gap: true}
		case step <= 1 || w.replicas == 1:
			return rollout{how: "one by one"}
		default:
			return rollout{how: fmt.Sprintf("up to %d at a time", min(step, w.replicas))}
		}
	}
	return rollout{held: "since nothing makes it anew"}
}

// share is a number, or a percentage of all.
func share(value any, of int, round func(float64) float64) int {
	if n, ok := number(value); ok {
		return n
	}
	var percent float64
	s, _ := value.(string)
	if _, err := fmt.Sscanf(s, "%f%%", &percent); err != nil {
		return 0
	}
	return int(round(percent * float64(of) / 100))
}

// restarted calls do for each workload whose pods are replaced.
func (p *Pass) restarted(do func(was, is *workload)) {
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
func (s *Set) serves(w *workload) bool {
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
		Doc:    "A workload that stops its pods before it starts new ones answers nothing in between.",
		Source: "Kubernetes, pkg/controller/deployment: recreate.go, ResolveFenceposts; pkg/controller/statefulset",
		Run: func(p *Pass) {
			p.restarted(func(was, is *workload) {
				if r := is.rollout(); r.gap && p.Is.serves(is) {
					do := "Give it a RollingUpdate with a surge, where two pods may run side by side"
					if is.ID.Kind == "StatefulSet" {
						do = "More than one replica would answer meanwhile, where the program can"
					}
					p.report(Down, is.ID, "spec.template", "its pods stop before new ones start: requests fail from then until the new ones are ready", do)
				}
			})
		},
	}, {
		ID:     "scaled-to-zero",
		Doc:    "A workload with no replicas answers nothing.",
		Source: "Kubernetes documentation, 'Deployments', Scaling",
		Run: func(p *Pass) {
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
		Run: func(p *Pass) {
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
		Run: func(p *Pass) {
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
