package consequence

import (
	"slices"
	"strings"

	"git.lastcloud.io/ronnibaslund/dezky/fleet/render/object"
)

// storeVariable names the Redis of the sessions. Without it they are in the
// memory of each pod.
const storeVariable = "SESSION_REDIS_URL"

// sessionVariables are the variables that a session hangs on, with what a
// change does.
var sessionVariables = []struct {
	prefix, suffix, why string
	// unset reports that there was another value where the variable was not set.
	unset bool
}{
	{storeVariable, "", "the sessions of before are in another store", true},
	{"SESSION_REDIS_PREFIX", "", "the sessions of before stand under another prefix", true},
	{"NUXT_OIDC_SESSION_SECRET", "", "the cookies of before cannot be read with another secret", true},
	{"NUXT_OIDC_AUTH_SESSION_SECRET", "", "the cookies of a sign-in that is under way cannot be read with another secret", true},
	{"NUXT_OIDC_TOKEN_KEY", "", "the tokens of before cannot be read with another key", true},
	{"NUXT_OIDC_PROVIDERS_", "_CLIENT_ID", "tokens of another client are not renewed", false},
	{"NUXT_OIDC_PROVIDERS_", "_OPEN_ID_CONFIGURATION", "the provider's slug or address is another, and its tokens are not renewed", false},
}

func sessionRules() []Rule {
	return []Rule{{
		ID: "signed-out",
		Doc: "Sessions in the memory of pods end with the pods; sessions in a store are found again only under the same address, prefix and keys. " +
			"That another value was put into a Secret cannot be seen, only that another Secret or key is read.",
		Source: "nuxt-oidc-auth, docs/content/7.configuration.md; Nitro documentation, 'KV Storage': mounts are in memory unless configured",
		run: func(p *pass) {
			for _, pair := range p.Pairs {
				was, is := p.Was.workloads[pair.ID], p.Is.workloads[pair.ID]
				if was == nil || is == nil || was.replicas == 0 || is.replicas == 0 {
					continue
				}
				before, now := p.Was.environment(was), p.Is.environment(is)
				if !signsIn(before) {
					continue
				}
				if store, ok := before.vars[storeVariable]; before.complete && (!ok || store == "=") {
					if !same(was.template, is.template) {
						p.report(SignedOut, pair.ID, "spec.template", "its sessions are in the memory of its pods, which are replaced: all users sign in again", memoryRemedy(now))
					}
					continue
				}
				for _, v := range sessionVariables {
					for _, name := range union2(before.vars, now.vars) {
						if !strings.HasPrefix(name, v.prefix) || !strings.HasSuffix(name, v.suffix) || v.suffix == "" && name != v.prefix {
							continue
						}
						a, had := before.vars[name]
						b, has := now.vars[name]
						if a == b && had == has || !had && (!v.unset || !before.complete) || !has && !now.complete {
							continue
						}
						at := now.at[name]
						if !has {
							at = before.at[name]
						}
						p.report(SignedOut, pair.ID, at, v.why+": all users sign in again", "Keep it, or release when few are signed in")
					}
				}
			}
		},
	}}
}

func signsIn(e *environment) bool {
	for name := range e.vars {
		if strings.HasPrefix(name, "NUXT_OIDC_") {
			return true
		}
	}
	return false
}

func memoryRemedy(now *environment) string {
	if store, ok := now.vars[storeVariable]; ok && store != "=" {
		return "This is the last time: from now on they are in a store"
	}
	return "Set " + storeVariable + ", so that sessions outlive a release"
}

func union2(a, b map[string]string) []string {
	all := make(map[string]bool)
	for k := range a {
		all[k] = true
	}
	for k := range b {
		all[k] = true
	}
	return sorted(all)
}

func firstRules() []Rule {
	return []Rule{{
		ID:     "secret-keys",
		Doc:    "A pod does not start before each key that it reads of a Secret is there.",
		Source: "Kubernetes documentation, 'Secrets', Using Secrets as environment variables",
		run: func(p *pass) {
			had, needs := p.Was.secretKeys(true), p.Is.secretKeys(false)
			for _, id := range sortedIDs(needs) {
				var lacks []string
				for _, key := range sorted(needs[id]) {
					if !had[id][key] {
						lacks = append(lacks, key)
					}
				}
				if len(lacks) == 0 || p.filled(id) {
					continue
				}
				p.report(First, id, "data", "read now, and by nothing before: "+strings.Join(lacks, ", "), "Fill them in before the release: pods that need them do not start without")
			}
		},
	}, {
		ID:     "variables-go",
		Doc:    "Where a ConfigMap or Secret is read as a whole, a key that goes leaves its variable unset, and no pod fails for it.",
		Source: "Kubernetes documentation, 'ConfigMaps': envFrom; pkg/kubelet/kubelet_pods.go: makeEnvironmentVariables",
		run: func(p *pass) {
			p.kept(func(was, is *workload) {
				before, now := p.Was.environment(was), p.Is.environment(is)
				var gone []string
				for _, name := range sorted(before.vars) {
					if _, ok := now.vars[name]; !ok && strings.Contains(before.at[name], ".envFrom[") {
						gone = append(gone, name)
					}
				}
				if len(gone) > 0 && now.complete {
					p.report(First, is.ID, "spec.template", "no longer set: "+strings.Join(gone, ", "), "See that the program does without before the release")
				}
			})
		},
	}, {
		ID:     "dns",
		Doc:    "A host needs its DNS record before its certificate can be issued over HTTP-01, and before anybody can reach it.",
		Source: "cert-manager documentation, 'HTTP01': the self check",
		run: func(p *pass) {
			was, is := p.Was.hosts(), p.Is.hosts()
			for _, host := range sorted(is) {
				if len(was[host]) == 0 {
					p.report(First, is[host][0].ID, is[host][0].hostField(host), host+" is new", "Point its DNS record here before the release")
				}
			}
		},
	}, {
		ID:     "blueprint",
		Doc:    "Redirect URIs, clients and scopes must be known to Authentik before an app uses them, and old ones until the rollout has ended.",
		Source: "Authentik documentation, 'Blueprints'; RFC 6749, section 3.1.2.4: a redirect URI that does not match is refused",
		run: func(p *pass) {
			for _, pair := range p.Pairs {
				if pair.Is == nil || pair.ID.Group != "" || pair.ID.Kind != "ConfigMap" {
					continue
				}
				for _, key := range sorted(fields(pair.Is.Fields, "data")) {
					value := text(pair.Is.Fields, "data", key)
					if !strings.Contains(value, "model: authentik_") || pair.Was != nil && text(pair.Was.Fields, "data", key) == value {
						continue
					}
					p.report(First, pair.ID, "data["+key+"]", "the sign-in at Authentik changes", "Apply it before the apps where it adds, and after them where it takes away")
				}
			}
		},
	}, {
		ID:     "definition",
		Doc:    "An object of a custom kind is refused until the kind is defined and established.",
		Source: "Kubernetes documentation, 'Extend the Kubernetes API with CustomResourceDefinitions': the condition Established",
		run: func(p *pass) {
			type kind struct{ group, kind string }
			uses := make(map[kind][]string)
			for _, pair := range p.Pairs {
				if pair.Is != nil {
					k := kind{pair.ID.Group, pair.ID.Kind}
					uses[k] = append(uses[k], pair.ID.String())
				}
			}
			for _, pair := range p.Pairs {
				if pair.Was != nil || pair.ID.Kind != "CustomResourceDefinition" {
					continue
				}
				if of := uses[kind{text(pair.Is.Fields, "spec", "group"), text(pair.Is.Fields, "spec", "names", "kind")}]; len(of) > 0 {
					p.report(First, pair.ID, "", "it defines what is rendered here: "+strings.Join(of, ", "), "Apply it first, and wait until it is established")
				}
			}
		},
	}}
}

// secretKeys returns the keys of Secrets that pods need, and with held also
// those that the Secrets of the set have.
func (s *set) secretKeys(held bool) map[object.ID]map[string]bool {
	all := make(map[object.ID]map[string]bool)
	add := func(id object.ID, key string) {
		if all[id] == nil {
			all[id] = make(map[string]bool)
		}
		all[id][key] = true
	}
	for _, id := range s.ids {
		if o := s.byID[id]; id.Group == "" && id.Kind == "Secret" && (held || text(o.Fields, "type") != "kubernetes.io/service-account-token") {
			for key := range keysOf(o) {
				add(id, key)
			}
		}
		w := s.workloads[id]
		if w == nil {
			continue
		}
		w.containers(func(_ string, c map[string]any) {
			for _, v := range list(c["env"]) {
				ref := fields(v, "valueFrom", "secretKeyRef")
				if ref != nil && (held || ref["optional"] != true) {
					add(object.ID{Kind: "Secret", Namespace: id.Namespace, Name: text(ref, "name")}, text(ref, "key"))
				}
			}
		})
	}
	return all
}

// filled reports whether the set brings the Secret's values itself: it lies in
// a folder with what reads it.
func (p *pass) filled(id object.ID) bool {
	o := p.Is.byID[id]
	if o == nil {
		return false
	}
	for _, w := range p.Is.in[id.Namespace] {
		if w.layer() == o.layer() {
			return true
		}
	}
	return false
}

func sortedIDs[V any](m map[object.ID]V) []object.ID {
	ids := make([]object.ID, 0, len(m))
	for id := range m {
		ids = append(ids, id)
	}
	slices.SortFunc(ids, object.ID.Compare)
	return ids
}
