package apps

import (
	"fmt"
	"maps"
	"slices"
	"strings"

	"git.lastcloud.io/ronnibaslund/dezky/fleet/components"
	"git.lastcloud.io/ronnibaslund/dezky/fleet/components/nuxt"
	"git.lastcloud.io/ronnibaslund/dezky/fleet/components/secret"
	"git.lastcloud.io/ronnibaslund/dezky/fleet/render"
	"git.lastcloud.io/ronnibaslund/dezky/fleet/secrets"
)

// readme is the documentation of the rendered environment, made from the same
// values as its manifests.
func (t tier) readme(assumed []render.Assumption) (string, error) {
	var b strings.Builder
	p := func(format string, args ...any) { fmt.Fprintf(&b, format+"\n", args...) }

	p("# The dezky app tier, %s", t.env.Name)
	p("")
	p("| App | Image | Public host | Internal Service | Replicas | Secret |")
	p("|---|---|---|---|---|---|")
	for _, a := range t.apps {
		p("| %s | `%s` | [%s](https://%[3]s) | `%s` | %d | `%s` |",
			a.Web.Name, registry+a.Web.Name, t.env.Host(a.Host), strings.TrimPrefix(a.Web.URL(), "http://"), max(a.Web.Replicas, 1), a.contract().Name)
	}

	p("")
	p("## What the cluster must have")
	p("")
	p("- Kubernetes %s or later.", kubernetesRelease)
	p("- Traefik %s as Ingress controller, with the entry points `web` and `websecure`; no redirect on an entry point, which would outrank cert-manager's HTTP-01 solver.", traefikRelease)
	p("- cert-manager with the ClusterIssuer `%s`.", t.env.Issuer)
	p("- MongoDB at `%s`.", mongoDB().Address())
	if t.env.SharedSessions {
		p("- Redis at `%s`; sessions are in database %d.", redisStore().Address(), t.env.Sessions("").Database)
	}
	p("- Authentik at %s, with the blueprint of the layer `auth` mounted on its worker and Secret `%s/%s` in the worker's environment.",
		t.env.URL(t.env.Hosts.Auth), t.blueprint().Secret().Namespace, t.blueprint().Secret().Name)
	p("- The mail server Stalwart on the host, at `%s:%d` as the pods see it.", stalwartHost, stalwartPort)
	p("- The Secrets below.")

	p("")
	p("## DNS")
	p("")
	p("Point these A and AAAA records at the public address of the node:")
	p("")
	p("```")
	for _, a := range t.apps {
		p("%s", t.env.Host(a.Host))
	}
	p("```")

	p("")
	p("## Pending")
	p("")
	p("What does not exist yet. It stops no rendering, `-confirmed` neither.")
	p("")
	for _, a := range t.apps {
		if c := a.Web.Config; c != nil {
			for _, line := range c.About().Pending {
				p("- %s.", line)
			}
		}
	}
	for _, s := range t.contracts() {
		for _, line := range s.PendingValues() {
			p("- %s.", line)
		}
	}

	if len(assumed) > 0 {
		p("")
		p("## Assumed until confirmed")
		p("")
		p("Nobody has confirmed these values. Until somebody does, each is rendered in a form that can do no harm; the few that have no such form say so: confirm them before the first apply to a tier that runs. To confirm one, run what the table says, correct the value in the definition where it is another, and take its `Assumed` out.")
		p("")
		p("| What | Assumed value | Confirmed by | Until then | What confirming buys |")
		p("|---|---|---|---|---|")
		for _, a := range assumed {
			value := a.Value
			if value != "" {
				value = code(value)
			}
			p("| %s |", strings.Join([]string{cell(a.What), cell(value), cell(a.Confirm), cell(a.Until), cell(a.Buys)}, " | "))
		}
	}

	p("")
	p("## Sign-in")
	p("")
	for _, a := range t.apps {
		login, ok := a.Web.Login.(nuxt.Login)
		if !ok {
			continue
		}
		c := login.OIDCClient()
		p("### %s", c.Name)
		p("")
		p("| | |")
		p("|---|---|")
		p("| Issuer | `%s` |", c.Issuer())
		p("| Scopes | `%s` |", strings.Join(c.Scopes, " "))
		p("| Callbacks | %s |", code(c.RedirectURIs()...))
		p("| Sign-out | %s |", signOut(c))
		p("| Sessions | %s |", sessions(login))
		p("| A session ends | %s |", login.Limits())
		p("")
	}

	p("## Variables, and what the code must do")
	p("")
	for _, a := range t.apps {
		t.variables(p, a)
	}

	p("## Secrets")
	p("")
	p("They are filled in outside of this repository; `secrets.example.yaml` is the template.")
	p("")
	for _, s := range t.contracts() {
		p("### %s/%s", s.Namespace, s.Name)
		p("")
		if s.Reader != "" {
			p("Read by %s.", s.Reader)
			p("")
		}
		p("| Key | Purpose | How to get it | A new value |")
		p("|---|---|---|---|")
		for _, k := range s.Keys {
			p("| `%s` | %s | %s | %s |", k.Name, k.Purpose, source(k), rotation(k))
		}
		p("")
	}
	if w := t.workflow(); w != nil {
		p("## Secrets of the repository")
		p("")
		p("The workflow `%s` reads them. They are stored in Gitea, in the settings of the repository that holds the apps, below Actions → Secrets, and stand in no cluster.", workflowFile)
		p("")
		p("| Name | Purpose | How to get it | A new value |")
		p("|---|---|---|---|")
		for _, s := range w.Secrets() {
			p("| `%s` | %s | %s | %s |", s.Name, s.Purpose, s.Source, s.Rotation)
		}
		p("")
	}
	return strings.TrimRight(b.String(), "\n") + "\n", nil
}

// variables is the section of one app.
func (t tier) variables(p func(string, ...any), a App) {
	p("### %s", a.Web.Name)
	p("")
	p("| Variable | Value |")
	p("|---|---|")
	values := map[string]string{}
	objects, err := a.Web.Objects()
	if err != nil {
		return // told where the app is rendered
	}
	for _, e := range containerEnv(objects) {
		switch from := e.ValueFrom; {
		case from == nil:
			values[e.Name] = code(e.Value)
		case from.SecretKeyRef != nil:
			values[e.Name] = fmt.Sprintf("Secret `%s`, key `%s`", from.SecretKeyRef.Name, from.SecretKeyRef.Key)
		default:
			values[e.Name] = "from the cluster"
		}
	}
	if c := a.Web.Config; c != nil {
		for k := range c.Data {
			values[k] = fmt.Sprintf("ConfigMap `%s`", c.ObjectName())
		}
		for k := range c.Pending {
			values[k] = fmt.Sprintf("ConfigMap `%s`, not known yet", c.ObjectName())
		}
	}
	for _, name := range slices.Sorted(maps.Keys(values)) {
		p("| `%s` | %s |", name, values[name])
	}
	p("")
	probes := fmt.Sprintf("Answer `%s` (startup), `%s` (readiness) and `%s` (liveness) with 200, without a session", a.Web.Probes.Startup, a.Web.Probes.Readiness, a.Web.Probes.Liveness)
	if a.Web.Assumed.Probes {
		probes += "; until that is confirmed, probes are TCP connections"
	}
	p("- %s.", probes)
	files := "Write to `/tmp` only"
	if a.Web.Assumed.Files {
		files += "; until that is confirmed, the root file system is writable"
	}
	p("- %s.", files)
	if a.Code != nil {
		for _, line := range a.Code(a.Web) {
			p("- %s", line)
		}
	}
	p("")
}

func signOut(c components.OIDCClient) string {
	where, what := "stays at Authentik", "of the app and of Authentik"
	if uri := c.LogoutURI(); uri != "" {
		where = "goes to " + code(uri)
	}
	if c.LogoutAppOnly {
		what = "of the app alone"
	}
	return "ends the session " + what + " in this browser, which " + where + "; other apps' sessions go on"
}

func sessions(l nuxt.Login) string {
	s := l.Sessions
	if s == nil {
		return "in the memory of the one pod"
	}
	return fmt.Sprintf("Redis `%s`, database %d, keys `%s:*`", s.Address, s.Database, s.Prefix)
}

func source(k secret.Key) string {
	if k.Value != "" {
		return code(k.Value)
	}
	return secrets.How(k)
}

func rotation(k secret.Key) string {
	s := string(k.Rotation)
	if s == "" {
		s = "at any time"
	}
	if k.Backup {
		s += "; **back it up**"
	}
	return s
}

// cell is a text in a table.
func cell(s string) string { return strings.ReplaceAll(s, "|", `\|`) }

// code is a list in Markdown's code style.
func code(values ...string) string {
	quoted := make([]string, len(values))
	for i, v := range values {
		quoted[i] = "`" + v + "`"
	}
	return strings.Join(quoted, ", ")
}
