package consequence

import (
	"fmt"
	"slices"
	"strings"

	appsv1 "k8s.io/api/apps/v1"

	"git.lastcloud.io/ronnibaslund/dezky/fleet/render/internal/rollout"
	"git.lastcloud.io/ronnibaslund/dezky/fleet/render/object"
)

func restartRules() []Rule {
	return []Rule{{
		ID:     "restart",
		Doc:    "The pods of a workload are replaced where their template differs, and only then. More replicas are no restart.",
		Source: "Kubernetes, pkg/controller/deployment/util: EqualIgnoreHash; pkg/controller/statefulset, pkg/controller/daemon: getPatch",
		run: func(p *pass) {
			p.restarted(func(was, is *workload) {
				what := "pods on every node are replaced"
				if is.replicas >= 0 {
					what = count(was.replicas, "pod is replaced", "pods are replaced")
				}
				if _, stuck := p.volume(was, is); stuck {
					return // rollout-volume says it
				}
				r := was.replacement(is)
				if r.held != "" {
					p.report(Restarts, is.ID, "spec.template", "its pods keep running the template of before "+r.held, "")
					return
				}
				if was.replicas != 1 {
					what += ", " + r.how
				}
				p.report(Restarts, is.ID, "spec.template", what, "")
			})
		},
	}, {
		ID: "rollout-volume",
		Doc: "A rollout that starts a new pod before an old one leaves never ends where both need a volume that one pod alone may have. " +
			"Where the volume is one node's, it depends on the nodes: on another one the new pod waits, on the same one both write.",
		Source: "Kubernetes documentation, 'Persistent Volumes', Access Modes; 'Deployments', Rolling Update Deployment",
		run: func(p *pass) {
			p.restarted(func(was, is *workload) {
				const do = "Let the type of the strategy be Recreate"
				switch claim, stuck := p.volume(was, is); {
				case stuck:
					p.report(First, is.ID, "spec.strategy", "a new pod must be ready before an old one leaves, and the old one has the claim "+claim+", which is ReadWriteOncePod: the rollout never ends, and the old pods stay", do)
				case claim != "":
					p.report(Restarts, is.ID, "spec.strategy", "a new pod must be ready before an old one leaves, and both have the claim "+claim+", which is ReadWriteOnce: on one node both write, and on two the rollout never ends", do)
				}
			})
		},
	}, {
		ID:     "config-unread",
		Doc:    "Variables are read when a container starts. A ConfigMap that changes restarts nobody by itself: running pods keep the old values, and the next one that starts has the new.",
		Source: "Kubernetes documentation, 'ConfigMaps', Mounted ConfigMaps are updated automatically: variables and subPath mounts are not",
		run: func(p *pass) {
			readers := make(map[object.ID][]*workload)
			for _, id := range p.Is.ids {
				if w := p.Is.workloads[id]; w != nil {
					for _, name := range w.configMaps() {
						m := object.ID{Kind: "ConfigMap", Namespace: id.Namespace, Name: name}
						readers[m] = append(readers[m], w)
					}
				}
			}
			for _, pair := range p.Pairs {
				if pair.Was == nil || pair.Is == nil || pair.ID.Group != "" || pair.ID.Kind != "ConfigMap" || isImmutable(pair.Was.Fields, nil) {
					continue
				}
				var keys []string
				for _, field := range []string{"data", "binaryData"} {
					was, is := fields(pair.Was.Fields, field), fields(pair.Is.Fields, field)
					for _, key := range union(was, is) {
						if !same(was[key], is[key]) {
							keys = append(keys, key)
						}
					}
				}
				var keep []string
				for _, w := range readers[pair.ID] {
					if was := p.Was.workloads[w.ID]; was != nil && was.replicas != 0 && w.replicas != 0 && same(was.template, w.template) {
						keep = append(keep, w.ID.Kind+" "+w.ID.Name)
					}
				}
				if len(keys) > 0 && len(keep) > 0 {
					p.report(Restarts, pair.ID, "data", fmt.Sprintf("%s of it change, and nothing restarts that reads it when it starts (%s): running pods keep the old values", strings.Join(keys, ", "), strings.Join(keep, ", ")),
						"Restart them, or put a checksum of the data into the template's annotations")
				}
			}
		},
	}}
}

// volume returns a claim that is for one pod or one node alone, and that the
// pods before and after have at once. Stuck reports that it is for one pod, so
// that no new one ever starts.
func (p *pass) volume(was, is *workload) (claim string, stuck bool) {
	if is.ID.Kind != "Deployment" || !rollout.WaitsForNew(into[appsv1.DeploymentStrategy](is.Fields, "spec", "strategy"), int32(is.replicas)) {
		return "", false
	}
	old := was.claims()
	for _, name := range is.claims() {
		id := object.ID{Kind: "PersistentVolumeClaim", Namespace: is.ID.Namespace, Name: name}
		o := p.Is.byID[id]
		if o == nil {
			o = p.Was.byID[id]
		}
		if o == nil || !slices.Contains(old, name) {
			continue
		}
		switch modes := strs(get(o.Fields, "spec", "accessModes")); {
		case slices.Contains(modes, "ReadWriteOncePod"):
			return name, true
		case claim == "" && len(modes) == 1 && modes[0] == "ReadWriteOnce":
			claim = name
		}
	}
	return claim, false
}

// claims returns the names of the claims that the pods have.
func (w *workload) claims() []string {
	var names []string
	for _, v := range list(w.spec["volumes"]) {
		if name := text(v, "persistentVolumeClaim", "claimName"); name != "" {
			names = append(names, name)
		}
	}
	return names
}

// configMaps returns the names of the ConfigMaps that the pods read when they
// start: as variables, and as files by subPath.
func (w *workload) configMaps() []string {
	names := make(map[string]bool)
	volumes := make(map[string]string)
	for _, v := range list(w.spec["volumes"]) {
		if name := text(v, "configMap", "name"); name != "" {
			volumes[text(v, "name")] = name
		}
	}
	w.containers(func(_ string, c map[string]any) {
		for _, from := range list(c["envFrom"]) {
			names[text(from, "configMapRef", "name")] = true
		}
		for _, v := range list(c["env"]) {
			names[text(v, "valueFrom", "configMapKeyRef", "name")] = true
		}
		for _, m := range list(c["volumeMounts"]) {
			if m["subPath"] != nil {
				names[volumes[text(m, "name")]] = true
			}
		}
	})
	delete(names, "")
	return sorted(names)
}

func leftRules() []Rule {
	return []Rule{{
		ID:     "left-behind",
		Doc:    "kubectl apply deletes nothing. A deploy deletes what an earlier release applied, but no Secret, and what somebody else applied stays.",
		Source: "kubectl documentation, 'kubectl apply': --prune is off by default",
		run: func(p *pass) {
			for _, pair := range p.Pairs {
				if pair.Is != nil {
					continue
				}
				switch pair.ID.Group + "/" + pair.ID.Kind {
				case "/Namespace", "/PersistentVolumeClaim", "/PersistentVolume", "apiextensions.k8s.io/CustomResourceDefinition":
					// data-goes says it
				case "/Secret":
					p.report(LeftBehind, pair.ID, "", "it is no longer rendered, and stays", "Delete it by hand once nothing reads it")
				default:
					p.report(LeftBehind, pair.ID, "", "it is no longer rendered: a deploy deletes it if an earlier release applied it, and kubectl apply leaves it", "")
				}
			}
		},
	}}
}
