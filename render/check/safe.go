package check

import (
	"fmt"
	"slices"
	"strings"
	"sync"

	imageref "github.com/distribution/reference"
	corev1 "k8s.io/api/core/v1"
	rbacv1 "k8s.io/api/rbac/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/pod-security-admission/api"
	podsecurity "k8s.io/pod-security-admission/policy"

	"git.lastcloud.io/ronnibaslund/dezky/fleet/render/object"
	"git.lastcloud.io/ronnibaslund/dezky/fleet/render/placeholder"
)

// capabilities are those of Linux, and the word for all of them.
var capabilities = []string{
	"ALL", "AUDIT_CONTROL", "AUDIT_READ", "AUDIT_WRITE", "BLOCK_SUSPEND", "BPF", "CHECKPOINT_RESTORE", "CHOWN", "DAC_OVERRIDE",
	"DAC_READ_SEARCH", "FOWNER", "FSETID", "IPC_LOCK", "IPC_OWNER", "KILL", "LEASE", "LINUX_IMMUTABLE", "MAC_ADMIN", "MAC_OVERRIDE",
	"MKNOD", "NET_ADMIN", "NET_BIND_SERVICE", "NET_BROADCAST", "NET_RAW", "PERFMON", "SETFCAP", "SETGID", "SETPCAP", "SETUID",
	"SYS_ADMIN", "SYS_BOOT", "SYS_CHROOT", "SYS_MODULE", "SYS_NICE", "SYS_PACCT", "SYS_PTRACE", "SYS_RAWIO", "SYS_RESOURCE",
	"SYS_TIME", "SYS_TTY_CONFIG", "SYSLOG", "WAKE_ALARM",
}

// privileged is what holds where nothing is said.
var privileged = api.LevelVersion{Level: api.LevelPrivileged, Version: api.LatestVersion()}

func safeRules() []Rule {
	return []Rule{{
		ID:     "pod-security",
		Doc:    "A namespace that enforces a level of Pod Security refuses pods below it: the workload is there, and its pods never come.",
		Source: "Kubernetes documentation, 'Pod Security Admission' and 'Pod Security Standards'; judged by k8s.io/pod-security-admission itself",
		Run: func(p *Pass) {
			podSecurity(p, func(ns *corev1.Namespace) (level api.LevelVersion, says string, ok bool) {
				if ns == nil || ns.Labels[api.EnforceLevelLabel] == "" {
					return level, "", false
				}
				level, says = levelOf(ns, api.EnforceLevelLabel, api.EnforceVersionLabel)
				return level, says, true
			})
		},
	}, {
		ID:     "pod-security-label",
		Doc:    "The API server refuses a Namespace whose labels name a level or a version of Pod Security that there is not.",
		Source: "Kubernetes documentation, 'Pod Security Admission'; judged by k8s.io/pod-security-admission itself",
		Alone:  true,
		Run: func(p *Pass) {
			for _, o := range p.Kind("", "Namespace") {
				_, mistakes := api.PolicyToEvaluate(o.GetLabels(), api.Policy{Enforce: privileged, Audit: privileged, Warn: privileged})
				for _, m := range mistakes {
					key := strings.TrimSuffix(strings.TrimPrefix(m.Field, "metadata.labels["), "]")
					p.Report(o, "metadata.labels["+key+"]", fmt.Sprintf("%q: %s", m.BadValue, m.Detail), "")
				}
			}
		},
	}, {
		ID:       "pod-security-unread",
		Severity: object.Warning,
		Doc:      "A label below pod-security.kubernetes.io that there is not enforces nothing.",
		Source:   "Kubernetes documentation, 'Pod Security Admission', Pod Security Admission labels for namespaces",
		Alone:    true,
		Run: func(p *Pass) {
			known := []string{api.EnforceLevelLabel, api.EnforceVersionLabel, api.AuditLevelLabel, api.AuditVersionLabel, api.WarnLevelLabel, api.WarnVersionLabel}
			for _, o := range p.Kind("", "Namespace") {
				for _, key := range sortedKeys(o.GetLabels()) {
					if strings.HasPrefix(key, "pod-security.kubernetes.io/") && !slices.Contains(known, key) {
						p.Report(o, "metadata.labels["+key+"]", "there is no such label of Pod Security", near(key, known...))
					}
				}
			}
		},
	}, {
		ID:       "pod-privileges",
		Severity: object.Warning,
		Doc:      "A pod that has the node's network, processes, files or privileges is as good as root on the node. Where that is meant, the namespace says so by its level of Pod Security.",
		Source:   "Kubernetes documentation, 'Pod Security Standards', Baseline",
		Run: func(p *Pass) {
			podSecurity(p, func(ns *corev1.Namespace) (level api.LevelVersion, says string, ok bool) {
				switch {
				case ns == nil || ns.Labels[api.EnforceLevelLabel] == "" && ns.Labels[api.WarnLevelLabel] == "":
					return api.LevelVersion{Level: api.LevelBaseline, Version: api.LatestVersion()}, "more than the level baseline has", true
				case ns.Labels[api.WarnLevelLabel] != "" && ns.Labels[api.WarnLevelLabel] != ns.Labels[api.EnforceLevelLabel]:
					level, says = levelOf(ns, api.WarnLevelLabel, api.WarnVersionLabel)
					return level, says, true
				}
				return level, "", false
			})
		},
	}, {
		ID:       "capability",
		Severity: object.Warning,
		Doc:      "A capability that there is not is neither given nor taken away.",
		Source:   "Linux manual, capabilities(7); Kubernetes documentation, 'Configure a Security Context for a Pod or Container', Set capabilities: without the prefix CAP_",
		Alone:    true,
		Run: func(p *Pass) {
			p.eachPods(func(pods *pods) {
				pods.eachContainer(func(list string, c *corev1.Container) {
					if c.SecurityContext == nil || c.SecurityContext.Capabilities == nil {
						return
					}
					for _, names := range [...]struct {
						field string
						list  []corev1.Capability
					}{{"add", c.SecurityContext.Capabilities.Add}, {"drop", c.SecurityContext.Capabilities.Drop}} {
						for i, name := range names.list {
							if !slices.Contains(capabilities, strings.ToUpper(string(name))) {
								p.Report(pods.of, fmt.Sprintf("%s.%s[%s].securityContext.capabilities.%s[%d]", pods.at, list, c.Name, names.field, i), fmt.Sprintf("there is no capability %q", name), near(strings.TrimPrefix(string(name), "CAP_"), capabilities...))
							}
						}
					}
				})
			})
		},
	}, {
		ID:       "rbac",
		Severity: object.Warning,
		Doc:      "Some rights are all rights: who may do everything, read every Secret, enter every pod, give itself rights or act as another. Whoever takes over the subject has them.",
		Source:   "Kubernetes documentation, 'Role Based Access Control Good Practices'",
		Alone:    true,
		Run: func(p *Pass) {
			each(p, rbacv1.GroupName, "Role", func(p *Pass, o *Object, r *rbacv1.Role) { rights(p, o, r.Rules) })
			each(p, rbacv1.GroupName, "ClusterRole", func(p *Pass, o *Object, r *rbacv1.ClusterRole) { rights(p, o, r.Rules) })
			each(p, rbacv1.GroupName, "RoleBinding", func(p *Pass, o *Object, b *rbacv1.RoleBinding) { bound(p, o, b.RoleRef, b.Subjects) })
			each(p, rbacv1.GroupName, "ClusterRoleBinding", func(p *Pass, o *Object, b *rbacv1.ClusterRoleBinding) { bound(p, o, b.RoleRef, b.Subjects) })
		},
	}, {
		ID:       "secret-text",
		Severity: object.Warning,
		Doc:      "A password, token or key that stands in a variable, an argument, a ConfigMap or an annotation is in the repository, and whoever may look at the object reads it.",
		Source:   "Kubernetes documentation, 'Good practices for Kubernetes Secrets'",
		Alone:    true,
		Run:      secretTexts,
	}, {
		ID:     "image",
		Doc:    "A reference to an image that no container runtime can read: the pod waits with InvalidImageName.",
		Source: "Kubernetes documentation, 'Images', Image names; read by github.com/distribution/reference, as containerd reads them",
		Alone:  true,
		Run: func(p *Pass) {
			eachImage(p, func(o *Object, field, image string, named bool, err error) {
				if err != nil {
					p.Report(o, field, fmt.Sprintf("%q cannot be read: %v", image, err), "write it as registry.example.com/team/app:tag")
				}
			})
		},
	}, {
		ID:       "image-tag",
		Severity: object.Warning,
		Doc:      "An image without a tag or a digest follows latest: two pods of one release may run two programs, and a rollback rolls nothing back.",
		Source:   "Kubernetes documentation, 'Images', Image names",
		Alone:    true,
		Run: func(p *Pass) {
			eachImage(p, func(o *Object, field, image string, named bool, err error) {
				if err == nil && !named {
					p.Report(o, field, image+" has no tag and no digest, so it follows latest", "state one")
				}
			})
		},
	}, {
		ID:       "token",
		Severity: object.Warning,
		Doc:      "A pod gets a token for the API server unless it says otherwise. Where nothing is granted to it, the token is of use to nobody but an attacker.",
		Source:   "Kubernetes documentation, 'Configure Service Accounts for Pods', Opt out of API credential automounting",
		Run:      tokens,
	}}
}

// eachImage calls do for the image of each container, with whether it has a
// tag or a digest, or why it cannot be read.
func eachImage(p *Pass, do func(o *Object, field, image string, named bool, err error)) {
	type answer struct {
		named bool
		err   error
	}
	read := make(map[string]answer)
	p.eachPods(func(pods *pods) {
		pods.eachContainer(func(list string, c *corev1.Container) {
			a, known := read[c.Image]
			if !known {
				ref, err := imageref.Parse(c.Image)
				if c.Image == "" || strings.TrimSpace(c.Image) != c.Image {
					err = nil // the API server says it first
				}
				name, isName := ref.(imageref.Named)
				a = answer{!isName || !imageref.IsNameOnly(name), err}
				read[c.Image] = a
			}
			if a.named && a.err == nil {
				return
			}
			do(pods.of, pods.at+"."+list+"["+c.Name+"].image", c.Image, a.named, a.err)
		})
	})
}

var evaluator = sync.OnceValues(func() (podsecurity.Evaluator, error) {
	return podsecurity.NewEvaluator(podsecurity.DefaultChecks(), nil)
})

// levelOf returns a level of Pod Security that a Namespace states.
func levelOf(ns *corev1.Namespace, level, version string) (api.LevelVersion, string) {
	l, err := api.ParseLevel(ns.Labels[level])
	if err != nil { // restricted, as the API server takes it
		return api.LevelVersion{Level: l, Version: api.LatestVersion()}, fmt.Sprintf("the Namespace says %s: %q, which is no level and counts as restricted", level, ns.Labels[level])
	}
	v, err := api.ParseVersion(ns.Labels[version])
	if err != nil || ns.Labels[version] == "" {
		v = api.LatestVersion()
	}
	return api.LevelVersion{Level: l, Version: v}, "the Namespace says " + level + ": " + string(l)
}

// podSecurity reports the pods below the level of their namespace.
func podSecurity(p *Pass, levelFor func(*corev1.Namespace) (api.LevelVersion, string, bool)) {
	judge, err := evaluator()
	if err != nil {
		p.broken(err)
		return
	}
	namespaces := make(map[string]*corev1.Namespace)
	for _, o := range p.Kind("", "Namespace") {
		namespaces[o.ID.Name] = As[*corev1.Namespace](o)
	}
	p.eachPods(func(pods *pods) {
		level, says, ok := levelFor(namespaces[pods.of.ID.Namespace])
		if !ok {
			return
		}
		meta := metav1.ObjectMeta{Labels: pods.labels, Annotations: pods.annotations}
		for _, r := range judge.EvaluatePod(level, &meta, pods.spec) {
			if r.Allowed {
				continue
			}
			problem := r.ForbiddenReason
			if r.ForbiddenDetail != "" {
				problem += ": " + r.ForbiddenDetail
			}
			p.Report(pods.of, pods.at, problem, says)
		}
	})
}

// rights reports the rules of a role that give more than they seem to.
func rights(p *Pass, o *Object, rules []rbacv1.PolicyRule) {
	for i := range rules {
		r := &rules[i]
		at := func(field string) string { return fmt.Sprintf("rules[%d].%s", i, field) }
		may := func(verbs ...string) bool {
			return slices.ContainsFunc(verbs, func(v string) bool { return slices.Contains(r.Verbs, v) || slices.Contains(r.Verbs, "*") })
		}
		on := func(group string, resources ...string) bool {
			return (slices.Contains(r.APIGroups, group) || slices.Contains(r.APIGroups, "*")) &&
				slices.ContainsFunc(resources, func(s string) bool { return slices.Contains(r.Resources, s) })
		}
		all := slices.Contains(r.Resources, "*")
		if slices.Contains(r.Verbs, "*") {
			p.Report(o, at("verbs"), "* gives every verb, also those that are yet to come", "list them")
		}
		if all {
			p.Report(o, at("resources"), "* gives every kind, Secrets too", "list them")
		}
		for _, v := range []string{"escalate", "bind", "impersonate"} {
			if slices.Contains(r.Verbs, v) {
				p.Report(o, at("verbs"), v+" lets the subject have rights that nobody gave it", "leave it out")
			}
		}
		if all {
			continue
		}
		if on("", "secrets") && may("get", "list", "watch") && len(r.ResourceNames) == 0 {
			p.Report(o, at("resources"), "every Secret can be read", "name those that are needed in resourceNames")
		}
		if on("", "pods/exec", "pods/attach", "pods/ephemeralcontainers") && may("create", "get", "update", "patch") {
			p.Report(o, at("resources"), "every pod can be entered, with what it knows", "leave it out")
		}
		if on("", "nodes/proxy") {
			p.Report(o, at("resources"), "nodes/proxy runs commands in every pod of a node", "leave it out")
		}
		if on("", "serviceaccounts/token") && may("create") && len(r.ResourceNames) == 0 {
			p.Report(o, at("resources"), "tokens of every ServiceAccount can be made", "name the ServiceAccounts in resourceNames")
		}
		if on(rbacv1.GroupName, "roles", "clusterroles", "rolebindings", "clusterrolebindings") && may("create", "update", "patch") && !slices.Contains(r.Verbs, "*") {
			p.Report(o, at("resources"), "roles and bindings can be written", "leave them to an admin")
		}
	}
}

// bound reports a binding that gives everything, or gives it to everybody.
func bound(p *Pass, o *Object, ref rbacv1.RoleRef, subjects []rbacv1.Subject) {
	if ref.Kind == "ClusterRole" && ref.Name == "cluster-admin" {
		p.Report(o, "roleRef", "cluster-admin may do everything", "bind a role that has what is needed")
	}
	for i, s := range subjects {
		switch s.Name {
		case "system:anonymous", "system:unauthenticated":
			p.Report(o, fmt.Sprintf("subjects[%d]", i), s.Name+" is everybody who reaches the API server, without any sign-in", "name who it is for")
		case "system:authenticated", "system:serviceaccounts":
			p.Report(o, fmt.Sprintf("subjects[%d]", i), s.Name+" is every pod of the cluster", "name who it is for")
		}
	}
}

// secretTexts reports values that look like a secret, without saying them.
func secretTexts(p *Pass) {
	const remedy = "put it into a Secret, and refer to its key"
	p.eachPods(func(pods *pods) {
		pods.eachContainer(func(list string, c *corev1.Container) {
			at := func(field string) string { return pods.at + "." + list + "[" + c.Name + "]." + field }
			for i := range c.Env {
				if what := secretIn(c.Env[i].Name, c.Env[i].Value); what != "" {
					p.Report(pods.of, at("env["+c.Env[i].Name+"]"), "holds "+what, remedy)
				}
			}
			for i, arg := range c.Command {
				if what := secretIn("", arg); what != "" {
					p.Report(pods.of, at(fmt.Sprintf("command[%d]", i)), "holds "+what, remedy)
				}
			}
			for i, arg := range c.Args {
				name, value, isFlag := strings.Cut(arg, "=")
				if !isFlag || !strings.HasPrefix(name, "-") {
					name, value = "", arg
				}
				if what := secretIn(strings.ReplaceAll(name, "-", "_"), value); what != "" {
					p.Report(pods.of, at(fmt.Sprintf("args[%d]", i)), "holds "+what, remedy)
				}
			}
		})
	})
	for _, o := range p.Kind("", "ConfigMap") {
		m := As[*corev1.ConfigMap](o)
		if m == nil {
			continue
		}
		eachSecret(m.Data, secretIn, func(key, what string) { p.Report(o, "data["+key+"]", "holds "+what, remedy) })
	}
	for _, o := range p.Objects() {
		// The name of an annotation says whose it is, and not what it holds.
		in := func(_, value string) string { return secretIn("", value) }
		eachSecret(o.GetAnnotations(), in, func(key, what string) { p.Report(o, "metadata.annotations["+key+"]", "holds "+what, remedy) })
	}
}

// eachSecret calls do for the keys whose value looks like a secret, in their
// order.
func eachSecret(values map[string]string, in func(key, value string) string, do func(key, what string)) {
	for key, value := range values {
		if in(key, value) == "" {
			continue
		}
		for _, key := range sortedKeys(values) {
			if what := in(key, values[key]); what != "" {
				do(key, what)
			}
		}
		return
	}
}

// secretIn says what of a value looks like a secret, by its name or by its
// form. It says nothing where the value only keeps the place of one.
func secretIn(name, value string) string {
	if len(value) < 4 {
		return ""
	}
	if login := loginIn(value); login != "" && !placeholder.Is(login) && !reads(login) {
		return "an address with a password in it"
	}
	if strings.Contains(value, "PRIVATE KEY-----") {
		return "a private key"
	}
	for _, prefix := range tokenPrefixes {
		i := strings.Index(value, prefix)
		if i < 0 || i > 0 && word(value[i-1]) {
			continue
		}
		rest := value[i+len(prefix):]
		n := 0
		for n < len(rest) && word(rest[n]) {
			n++
		}
		if n >= 16 && strings.ContainsAny(rest[:n], "0123456789") {
			return "what looks like a token"
		}
	}
	if !namesSecret(name) || placeholder.Is(value) || reads(value) || strings.ContainsAny(value, "\n ") || strings.Contains(value, "://") ||
		strings.HasPrefix(value, "/") || strings.HasPrefix(value, "./") {
		return ""
	}
	if strings.Trim(value, "0123456789") == "" && len(value) < 6 {
		return "" // a number of something
	}
	switch strings.ToLower(value) {
	case "true", "false", "none", "null", "disabled", "enabled", "optional", "required":
		return ""
	}
	return "what its name says is a secret"
}

// tokenPrefixes are how tokens of known services begin.
var tokenPrefixes = [...]string{"ghp_", "gho_", "ghs_", "github_pat_", "glpat-", "xoxb-", "xoxp-", "sk_live_", "rk_live_", "AKIA", "AIza", "dckr_pat_"}

// secretNames are how the names of secrets end.
var secretNames = [...]string{"password", "passwd", "_pass", "secret", "token", "api_key", "apikey", "private_key", "secret_key", "access_key", "encryption_key", "signing_key", "credentials"}

// namesSecret reports whether a name says that its value is a secret.
func namesSecret(name string) bool {
	for _, end := range secretNames {
		if len(name) >= len(end) && strings.EqualFold(name[len(name)-len(end):], end) {
			return !strings.Contains(strings.ToLower(name), "public")
		}
	}
	return false
}

// loginIn returns the password of the first address in a text that has one.
func loginIn(text string) string {
	for {
		_, rest, ok := strings.Cut(text, "://")
		if !ok {
			return ""
		}
		end := strings.IndexAny(rest, "/ \t\n\"'<>?#")
		if end < 0 {
			end = len(rest)
		}
		if at := strings.LastIndexByte(rest[:end], '@'); at >= 0 {
			if _, password, ok := strings.Cut(rest[:at], ":"); ok && password != "" {
				return password
			}
		}
		text = rest
	}
}

// reads reports whether a value is read from elsewhere when it is used:
// $(NAME), ${NAME}, {{ .Name }} or <name>.
func reads(value string) bool {
	return strings.Contains(value, "$(") || strings.Contains(value, "${") || strings.Contains(value, "{{") ||
		strings.HasPrefix(value, "$") || strings.HasPrefix(value, "<") && strings.HasSuffix(value, ">")
}

func word(c byte) bool {
	return c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || c >= '0' && c <= '9' || c == '_' || c == '-'
}

// tokens reports the pods that get a token and have no use for it.
func tokens(p *Pass) {
	type account struct{ namespace, name string }
	granted := make(map[account]bool)
	for _, kind := range []string{"RoleBinding", "ClusterRoleBinding"} {
		for _, o := range p.Kind(rbacv1.GroupName, kind) {
			var subjects []rbacv1.Subject
			if kind == "RoleBinding" {
				if b := As[*rbacv1.RoleBinding](o); b != nil {
					subjects = b.Subjects
				}
			} else if b := As[*rbacv1.ClusterRoleBinding](o); b != nil {
				subjects = b.Subjects
			}
			for _, s := range subjects {
				switch group, ofNamespace := strings.CutPrefix(s.Name, "system:serviceaccounts:"); {
				case s.Kind == rbacv1.ServiceAccountKind:
					granted[account{s.Namespace, s.Name}] = true
				case ofNamespace:
					granted[account{group, ""}] = true
				case s.Name == "system:serviceaccounts", s.Name == "system:authenticated":
					granted[account{}] = true
				case strings.HasPrefix(s.Name, "system:serviceaccount:"):
					if ns, name, ok := strings.Cut(strings.TrimPrefix(s.Name, "system:serviceaccount:"), ":"); ok {
						granted[account{ns, name}] = true
					}
				}
			}
		}
	}
	p.eachPods(func(pods *pods) {
		a := account{pods.of.ID.Namespace, pods.spec.ServiceAccountName}
		if a.name == "" {
			a.name = "default"
		}
		if mount := pods.spec.AutomountServiceAccountToken; mount != nil && !*mount || granted[a] || granted[account{a.namespace, ""}] || granted[account{}] {
			return
		}
		id := object.ID{Kind: "ServiceAccount", Namespace: a.namespace, Name: a.name}
		o := p.Get(id)
		if o == nil && a.name != "default" {
			return // what is granted to it is known to whoever made it
		}
		if o != nil {
			if s := As[*corev1.ServiceAccount](o); s == nil || s.AutomountServiceAccountToken != nil && !*s.AutomountServiceAccountToken && pods.spec.AutomountServiceAccountToken == nil {
				return
			}
		}
		p.Report(pods.of, pods.at+".automountServiceAccountToken", "the pod gets a token of "+id.String()+", and no role is bound to it here", "let it be false")
	})
}
