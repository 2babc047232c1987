package apps

import (
	_ "embed"
	"fmt"
	"maps"
	"slices"
	"strings"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"

	"git.lastcloud.io/ronnibaslund/dezky/fleet/components"
	"git.lastcloud.io/ronnibaslund/dezky/fleet/components/nuxt"
	"git.lastcloud.io/ronnibaslund/dezky/fleet/render"
	"git.lastcloud.io/ronnibaslund/dezky/fleet/render/object"
	"git.lastcloud.io/ronnibaslund/dezky/fleet/render/readme"
)

// The parts of the documentation that only this tier has.
var (
	//go:embed readme_needs.md.tmpl
	needsPart string
	//go:embed readme_signin.md.tmpl
	signInPart string
	//go:embed readme_code.md.tmpl
	codePart string
	//go:embed readme_repository.md.tmpl
	repositoryPart string
)

// readme is the documentation of the rendered environment, made from the same
// values as its manifests.
func (t tier) readme(tree render.Tree) (string, error) {
	needs, err := t.needs()
	if err != nil {
		return "", err
	}
	signIn, err := t.signIn()
	if err != nil {
		return "", err
	}
	code, err := t.code()
	if err != nil {
		return "", err
	}
	text, err := readme.Doc{
		Tree:     tree,
		Layers:   []string{"apps"},
		Needs:    needs,
		Template: "secrets.example.yaml",
		Sections: []readme.Section{
			{Title: "Sign-in", Text: signIn},
			{Title: "Variables, and what the code must do", Text: code},
		},
	}.Markdown()
	if w := t.workflow(); w != nil && err == nil {
		var more string
		more, err = readme.Execute(repositoryPart, map[string]any{"File": workflowFile, "Secrets": w.Secrets()})
		text += "\n" + more
	}
	return text, err
}

// needs are what the cluster must have.
func (t tier) needs() ([]string, error) {
	text, err := readme.Execute(needsPart, map[string]any{
		"Kubernetes": kubernetesRelease,
		"Traefik":    traefikRelease,
		"Issuer":     t.env.Issuer,
		"MongoDB":    mongoDB().Address(),
		"Redis":      redisStore().Address(),
		"Sessions":   t.env.Sessions(""),
		"Authentik":  t.env.URL(t.env.Hosts.Auth),
		"Blueprint":  t.blueprint().Secret(),
		"Stalwart":   fmt.Sprintf("%s:%d", stalwartHost, stalwartPort),
	})
	return strings.Split(strings.TrimSuffix(text, "\n"), "\n"), err
}

func (t tier) signIn() (string, error) {
	type signIn struct {
		Client                                       components.OIDCClient
		Scopes, Callbacks, SignOut, Sessions, Limits string
	}
	var all []signIn
	for _, a := range t.apps {
		if login, ok := a.Web.Login.(nuxt.Login); ok {
			c := login.OIDCClient()
			all = append(all, signIn{c, strings.Join(c.Scopes, " "), readme.Code(c.RedirectURIs()...), signOut(c), sessions(login), login.Limits()})
		}
	}
	return readme.Execute(signInPart, all)
}

func (t tier) code() (string, error) {
	type variable struct{ Name, Value string }
	type app struct {
		components.WebApp
		Variables []variable
		Code      []string
	}
	var all []app
	for _, a := range t.apps {
		values, err := variables(a)
		if err != nil {
			continue // told where the app is rendered
		}
		app := app{WebApp: a.Web}
		for _, name := range slices.Sorted(maps.Keys(values)) {
			app.Variables = append(app.Variables, variable{name, values[name]})
		}
		if a.Code != nil {
			app.Code = a.Code(a.Web)
		}
		all = append(all, app)
	}
	return readme.Execute(codePart, all)
}

// variables returns what each variable of an app holds, in Markdown.
func variables(a App) (map[string]string, error) {
	objects, err := a.Web.Objects()
	if err != nil {
		return nil, err
	}
	values := make(map[string]string)
	for _, e := range containerEnv(objects) {
		switch from := e.ValueFrom; {
		case from == nil && e.Value == "":
			values[e.Name] = "empty"
		case from == nil:
			values[e.Name] = readme.Code(e.Value)
		case from.SecretKeyRef != nil:
			values[e.Name] = fmt.Sprintf("Secret %s, key %s", readme.Code(from.SecretKeyRef.Name), readme.Code(from.SecretKeyRef.Key))
		default:
			values[e.Name] = "from the cluster"
		}
	}
	if c := a.Web.Config; c != nil {
		for k := range c.Data {
			values[k] = "ConfigMap " + readme.Code(c.ObjectName())
		}
		for k := range c.Pending {
			values[k] = "ConfigMap " + readme.Code(c.ObjectName()) + ", not known yet"
		}
	}
	return values, nil
}

func signOut(c components.OIDCClient) string {
	where, what := "stays at Authentik", "of the app and of Authentik"
	if uri := c.LogoutURI(); uri != "" {
		where = "goes to " + readme.Code(uri)
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
	return fmt.Sprintf("Redis %s, database %d, keys %s", readme.Code(s.Address), s.Database, readme.Code(s.Prefix+":*"))
}

// containerEnv is the variables of the app's container.
func containerEnv(objects []object.Object) []corev1.EnvVar {
	for _, o := range objects {
		if d, ok := o.(*appsv1.Deployment); ok && len(d.Spec.Template.Spec.Containers) > 0 {
			return d.Spec.Template.Spec.Containers[0].Env
		}
	}
	return nil
}
