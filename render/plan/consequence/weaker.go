package consequence

import (
	"fmt"
	"regexp"
	"slices"
	"strconv"
	"strings"

	policyv1 "k8s.io/api/policy/v1"

	"git.lastcloud.io/ronnibaslund/dezky/fleet/render/internal/rollout"
	"git.lastcloud.io/ronnibaslund/dezky/fleet/render/object"
)

// kept calls do for each workload that stays.
func (p *pass) kept(do func(was, is *workload)) {
	for _, pair := range p.Pairs {
		if was, is := p.Was.workloads[pair.ID], p.Is.workloads[pair.ID]; was != nil && is != nil {
			do(was, is)
		}
	}
}

// containerPairs calls do for each container of a workload that stays.
func (p *pass) containerPairs(do func(w *workload, at string, was, is map[string]any)) {
	p.kept(func(was, is *workload) {
		before := make(map[string]map[string]any)
		was.containers(func(at string, c map[string]any) { before[at] = c })
		is.containers(func(at string, c map[string]any) {
			if b := before[at]; b != nil {
				do(is, at, b, c)
			}
		})
	})
}

func weakerRules() []Rule {
	return []Rule{{
		ID:     "fewer-replicas",
		Doc:    "Fewer pods carry the load, and fewer are left when one dies.",
		Source: "Kubernetes documentation, 'Deployments', Scaling",
		run: func(p *pass) {
			p.kept(func(was, is *workload) {
				if is.replicas > 0 && is.replicas < was.replicas {
					p.report(Weaker, is.ID, "spec.replicas", fmt.Sprintf("%d instead of %d", is.replicas, was.replicas), "")
				}
			})
		},
	}, {
		ID:     "probe-goes",
		Doc:    "Without its probe a container counts as ready, or as alive, whatever it answers.",
		Source: "Kubernetes documentation, 'Liveness, Readiness, and Startup Probes'",
		run: func(p *pass) {
			p.containerPairs(func(w *workload, at string, was, is map[string]any) {
				for _, probe := range []string{"readinessProbe", "livenessProbe", "startupProbe"} {
					switch {
					case empty(was[probe]):
					case empty(is[probe]):
						p.report(Weaker, w.ID, at+"."+probe, "the probe goes", "")
					case get(was, probe, "httpGet") != nil && get(is, probe, "tcpSocket") != nil:
						p.report(Weaker, w.ID, at+"."+probe, "it asks for a connection, and no longer for an answer", "")
					}
				}
			})
		},
	}, {
		ID:     "limit-goes",
		Doc:    "A container without a limit of memory takes what the node has.",
		Source: "Kubernetes documentation, 'Resource Management for Pods and Containers'",
		run: func(p *pass) {
			p.containerPairs(func(w *workload, at string, was, is map[string]any) {
				if get(was, "resources", "limits", "memory") != nil && get(is, "resources", "limits", "memory") == nil {
					p.report(Weaker, w.ID, at+".resources.limits.memory", "the limit goes", "")
				}
			})
		},
	}, {
		ID:     "container-security",
		Doc:    "A container may do more on its node than before.",
		Source: "Kubernetes documentation, 'Configure a Security Context for a Pod or Container'",
		run: func(p *pass) {
			for _, f := range []string{"hostNetwork", "hostPID", "hostIPC"} {
				p.kept(func(was, is *workload) {
					if was.spec[f] != true && is.spec[f] == true {
						p.report(Weaker, is.ID, "spec.template.spec."+f, "it is on", "")
					}
				})
			}
			p.containerPairs(func(w *workload, at string, was, is map[string]any) {
				before := p.Was.workloads[w.ID]
				effective := func(of *workload, c map[string]any, field ...string) any {
					return or(get(c, append([]string{"securityContext"}, field...)...), get(of.spec, append([]string{"securityContext"}, field...)...))
				}
				at += ".securityContext."
				switch a, b := get(was, "securityContext", "privileged"), get(is, "securityContext", "privileged"); {
				case a != true && b == true:
					p.report(Weaker, w.ID, at+"privileged", "the container becomes root on the node", "")
				case get(was, "securityContext", "allowPrivilegeEscalation") == false && get(is, "securityContext", "allowPrivilegeEscalation") != false:
					p.report(Weaker, w.ID, at+"allowPrivilegeEscalation", "it is no longer false", "")
				}
				for _, f := range []string{"runAsNonRoot", "readOnlyRootFilesystem"} {
					if effective(before, was, f) == true && effective(w, is, f) != true {
						p.report(Weaker, w.ID, at+f, "it is no longer true", "")
					}
				}
				if a, b := effective(before, was, "seccompProfile", "type"), effective(w, is, "seccompProfile", "type"); a != nil && a != "Unconfined" && (b == nil || b == "Unconfined") {
					p.report(Weaker, w.ID, at+"seccompProfile", "no profile limits its system calls", "")
				}
				drops := func(c map[string]any) bool {
					return slices.Contains(strs(get(c, "securityContext", "capabilities", "drop")), "ALL")
				}
				if drops(was) && !drops(is) {
					p.report(Weaker, w.ID, at+"capabilities.drop", "it no longer drops ALL", "")
				}
				var more []string
				for _, c := range strs(get(is, "securityContext", "capabilities", "add")) {
					if !slices.Contains(strs(get(was, "securityContext", "capabilities", "add")), c) {
						more = append(more, c)
					}
				}
				if len(more) > 0 {
					p.report(Weaker, w.ID, at+"capabilities.add", "the container gets "+strings.Join(more, ", "), "")
				}
			})
		},
	}, {
		ID:     "pod-security-lower",
		Doc:    "A lower level of Pod Security lets in pods that were refused before.",
		Source: "Kubernetes documentation, 'Pod Security Standards'",
		run: func(p *pass) {
			for _, pair := range p.Pairs {
				if pair.Was == nil || pair.Is == nil || pair.ID.Group != "" || pair.ID.Kind != "Namespace" {
					continue
				}
				if was, is := enforced(pair.Was), enforced(pair.Is); is < was {
					p.report(Weaker, pair.ID, "metadata.labels["+enforceLabel+"]", levels[is]+" instead of "+levels[was], "")
				}
			}
		},
	}, {
		ID:     "image",
		Doc:    "A tag that moves runs another image after a restart than before it, on one node another than on the next. A lower version goes back.",
		Source: "Kubernetes documentation, 'Images', Image names and pull policy",
		run: func(p *pass) {
			p.containerPairs(func(w *workload, at string, was, is map[string]any) {
				a, b := text(was, "image"), text(is, "image")
				switch repository := func(s string) string { name, _ := tagOf(s); return name }; {
				case a == b || a == "" || b == "":
				case moving(b) && !moving(a):
					p.report(Weaker, w.ID, at+".image", b+" moves: what it is tomorrow is not what it is today", "Name a version, a commit or a digest")
				case repository(a) == repository(b) && lower(a, b):
					p.report(Weaker, w.ID, at+".image", "it goes back from "+a+" to "+b, "See that the data of the newer one can be read")
				}
			})
		},
	}, {
		ID:     "more-rights",
		Doc:    "A Role that allows more, or a binding that lets in more, gives everybody who holds it more.",
		Source: "Kubernetes documentation, 'Using RBAC Authorization'",
		run: func(p *pass) {
			for _, pair := range p.Pairs {
				if pair.ID.Group != rbac || pair.Is == nil {
					continue
				}
				if pair.Was == nil {
					if strings.HasSuffix(pair.ID.Kind, "RoleBinding") {
						var who []string
						for _, s := range list(pair.Is.Fields["subjects"]) {
							who = append(who, subject(s))
						}
						ref := fields(pair.Is.Fields, "roleRef")
						p.report(Weaker, pair.ID, "", "it is new, and gives the rights of "+text(ref, "kind")+" "+text(ref, "name")+" to "+strings.Join(who, ", "), "")
					}
					continue
				}
				switch pair.ID.Kind {
				case "Role", "ClusterRole":
					had := rightsOf(pair.Was)
					gets := make(map[right][]string)
					for _, r := range sortedRights(rightsOf(pair.Is)) {
						if !had.allow(r) {
							what := right{r.group, r.resource, ""}
							gets[what] = append(gets[what], r.verb)
						}
					}
					var more []string
					for _, r := range sortedRights(gets) {
						name := r.resource
						if r.group != "" {
							name += "." + r.group
						}
						more = append(more, strings.Join(gets[r], ", ")+" "+name)
					}
					if len(more) > 0 {
						p.report(Weaker, pair.ID, "rules", "it allows more: "+strings.Join(more, "; "), "")
					}
				case "RoleBinding", "ClusterRoleBinding":
					had := make(map[string]bool)
					for _, s := range list(pair.Was.Fields["subjects"]) {
						had[subject(s)] = true
					}
					for _, s := range list(pair.Is.Fields["subjects"]) {
						if name := subject(s); !had[name] {
							p.report(Weaker, pair.ID, "subjects", name+" gets its rights", "")
						}
					}
				}
			}
		},
	}, {
		ID: "drain",
		Doc: "A PodDisruptionBudget that lets no pod go blocks every drain of a node, and every upgrade that drains it: a rollout does not ask it. " +
			"So do two budgets over one pod.",
		Source: "Kubernetes documentation, 'Specifying a Disruption Budget for your Application'; Kubernetes, pkg/registry/core/pod/storage/eviction.go",
		run: func(p *pass) {
			was, is := p.Was.undrainable(), p.Is.undrainable()
			for _, id := range sortedIDs(is) {
				if _, had := was[id]; !had {
					p.report(Weaker, id, is[id].field, is[id].why+": every drain of a node waits for ever", is[id].do)
				}
			}
		},
	}, {
		ID:     "guard-goes",
		Doc:    "A policy, a budget, a quota or a middleware that goes no longer keeps out, limits or watches. A middleware has not gone where another one of its type, or a chain with one, is in its place.",
		Source: "Kubernetes documentation, 'Network Policies', 'Disruptions', 'Resource Quotas', 'Validating Admission Policy'; Traefik documentation, 'Middlewares'",
		run: func(p *pass) {
			guards := map[string]string{
				"networking.k8s.io/NetworkPolicy": "the pods that it selects are open to what it kept out",
				"policy/PodDisruptionBudget":      "a drain may stop all pods at once",
				"/ResourceQuota":                  "the namespace may take what the nodes have",
				"/LimitRange":                     "containers without limits of their own have none",
				"admissionregistration.k8s.io/ValidatingAdmissionPolicy":        "what it refused is let in",
				"admissionregistration.k8s.io/ValidatingAdmissionPolicyBinding": "its policy binds nobody",
			}
			for _, pair := range p.Pairs {
				why := guards[pair.ID.Group+"/"+pair.ID.Kind]
				if why != "" && pair.Is == nil && (pair.ID.Namespace == "" || len(p.Is.in[pair.ID.Namespace]) > 0) {
					p.report(Weaker, pair.ID, "", "without it "+why, "")
				}
			}
			was, is := p.Was.middlewares(), p.Is.middlewares()
			p.routers(func(before, now *router) {
				for _, route := range sorted(before.middlewares) {
					chain, stays := now.middlewares[route]
					if !stays && len(before.middlewares) == 1 && len(now.middlewares) == 1 {
						chain, stays = now.chain(), true // the route, by another rule
					}
					if !stays {
						continue
					}
					does := p.Is.purposes(is, chain)
					for _, name := range before.middlewares[route] {
						purposes := sorted(p.Was.purposes(was, []string{name}))
						if !slices.Contains(chain, name) && !(len(purposes) > 0 && all(purposes, func(what string) bool { return does[what] })) {
							p.report(Weaker, now.ID, now.middlewaresField, "requests no longer go through "+name, "")
						}
					}
				}
			})
		},
	}}
}

// purposeOf has the types of middlewares that stand for others.
var purposeOf = map[string]string{"redirectRegex": "redirectScheme", "digestAuth": "basicAuth", "forwardAuth": "basicAuth", "ipWhiteList": "ipAllowList"}

// purposes returns what middlewares do, as far as they are in the set.
func (s *set) purposes(byName map[string]object.ID, names []string) map[string]bool {
	does, seen := make(map[string]bool), make(map[string]bool)
	var add func(names []string)
	add = func(names []string) {
		for _, name := range names {
			o := s.byID[byName[name]]
			if o == nil || seen[name] {
				continue
			}
			seen[name] = true
			spec := fields(o.Fields, "spec")
			for what := range spec {
				if other := purposeOf[what]; other != "" {
					what = other
				}
				if what != "chain" {
					does[what] = true
				}
			}
			for _, ref := range list(get(spec, "chain", "middlewares")) {
				add([]string{middlewareName(o.ID.Namespace, ref)})
			}
		}
	}
	add(names)
	return does
}

// undrained says why no pod of a budget may be evicted.
type undrained struct{ field, why, do string }

// undrainable returns the budgets that let none of their pods go.
func (s *set) undrainable() map[object.ID]undrained {
	found := make(map[object.ID]undrained)
	budgets := s.selecting("policy", "PodDisruptionBudget", "spec", "selector")
	if len(budgets.by) == 0 {
		return found
	}
	least := make(map[object.ID]int) // of an autoscaler, by its target
	s.kind("autoscaling", "HorizontalPodAutoscaler", func(o *Object) {
		ref := fields(o.Fields, "spec", "scaleTargetRef")
		group, _, _ := strings.Cut(text(ref, "apiVersion"), "/")
		n, ok := number(get(o.Fields, "spec", "minReplicas"))
		if !ok {
			n = 1
		}
		least[object.ID{Group: group, Kind: text(ref, "kind"), Namespace: o.ID.Namespace, Name: text(ref, "name")}] = n
	})
	pods := make(map[object.ID]int) // of a budget
	for _, id := range s.ids {
		w := s.workloads[id]
		if w == nil {
			continue
		}
		all := budgets.of(w)
		if len(all) > 1 {
			found[all[1].ID] = undrained{"spec.selector", "it selects the pods of " + id.String() + ", and so does " + all[0].ID.String() + ": they can never be evicted", "Let one budget have them"}
		}
		n, scaled := least[id]
		if !scaled {
			n = w.replicas
		}
		for _, o := range all {
			if had, ok := pods[o.ID]; n < 0 || ok && had < 0 {
				pods[o.ID] = -1 // a number that is not known
			} else {
				pods[o.ID] += n
			}
		}
	}
	s.kind("policy", "PodDisruptionBudget", func(o *Object) {
		n, ok := pods[o.ID]
		if !ok {
			n = -1
		}
		const do = "State maxUnavailable: 1"
		switch field := rollout.Blocks(into[policyv1.PodDisruptionBudgetSpec](o.Fields, "spec"), n); {
		case field == "":
		case n < 0 || field == "maxUnavailable":
			found[o.ID] = undrained{"spec." + field, fmt.Sprintf("it is %v, and lets no pod go", get(o.Fields, "spec", field)), do}
		default:
			found[o.ID] = undrained{"spec." + field, fmt.Sprintf("it is %v of %s, and lets none go", get(o.Fields, "spec", field), count(n, "pod", "pods")), do}
		}
	})
	return found
}

func subject(s map[string]any) string {
	name := text(s, "name")
	if ns := text(s, "namespace"); ns != "" {
		name = ns + "/" + name
	}
	return text(s, "kind") + " " + name
}

// tagOf takes an image apart: what is before its tag, and the tag.
func tagOf(image string) (name, tag string) {
	image, _, _ = strings.Cut(image, "@")
	if i := strings.LastIndexByte(image, ':'); i > strings.LastIndexByte(image, '/') {
		return image[:i], image[i+1:]
	}
	return image, ""
}

// moving reports whether an image is named by a tag that follows a branch, as
// far as its name tells.
func moving(image string) bool {
	if strings.Contains(image, "@") {
		return false
	}
	_, tag := tagOf(image)
	return slices.Contains([]string{"", "latest", "main", "master", "edge", "nightly", "stable", "dev", "develop"}, tag)
}

var version = regexp.MustCompile(`^v?(\d+)\.(\d+)(?:\.(\d+))?(-.*)?$`)

// lower reports whether the tag of is is a lower version than that of was,
// where both are versions of one form.
func lower(was, is string) bool {
	_, a := tagOf(was)
	_, b := tagOf(is)
	m, n := version.FindStringSubmatch(a), version.FindStringSubmatch(b)
	if m == nil || n == nil || m[4] != n[4] {
		return false
	}
	for i := 1; i <= 3; i++ {
		x, _ := strconv.Atoi(m[i])
		y, _ := strconv.Atoi(n[i])
		if x != y {
			return y < x
		}
	}
	return false
}
