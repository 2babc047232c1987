package apps

import (
	"slices"

	"git.lastcloud.io/ronnibaslund/dezky/fleet/components"
	"git.lastcloud.io/ronnibaslund/dezky/fleet/components/authentik"
	"git.lastcloud.io/ronnibaslund/dezky/fleet/components/gitea"
	"git.lastcloud.io/ronnibaslund/dezky/fleet/components/secret"
	"git.lastcloud.io/ronnibaslund/dezky/fleet/render"
	"git.lastcloud.io/ronnibaslund/dezky/fleet/render/object"
	"git.lastcloud.io/ronnibaslund/dezky/fleet/secrets"
)

// tier is the whole of one environment: its apps, each stated once. All else
// follows from them.
type tier struct {
	env  Environment
	apps []App
}

func newTier(env Environment) tier {
	api := platformAPI(env, env.login("portal", env.Hosts.Portal).OIDCClient(), env.login("operator", env.Hosts.Operator).OIDCClient())
	return tier{env: env, apps: []App{
		api,
		portal(env, api),
		booking(env, api),
		operator(env, api),
	}}
}

// blueprint is what Authentik must know: everyone who signs users in is a
// client of it.
func (t tier) blueprint() authentik.Blueprint {
	b := authentik.Blueprint{
		Name:      "dezky-apps-" + t.env.Name,
		Namespace: authNamespace,
		Version:   authentik.Version{2026, 8},
		Assumed: authentik.Assumed{
			Version: true,
			Clients: true,
			Subject: true,
		},
	}
	for _, a := range t.apps {
		if a.Web.Login != nil {
			b.Clients = append(b.Clients, a.Web.Login.OIDCClient())
		}
	}
	return b
}

// runner takes the jobs of Gitea. It is nil where the environment has none.
func (t tier) runner() *gitea.Runner {
	if !t.env.Runner {
		return nil
	}
	return &gitea.Runner{
		Name:      "gitea-runner",
		Namespace: ciNamespace,
		Instance:  "https://" + gitHost,
		Volumes:   []string{goCache},
		Assumed: gitea.Assumed{
			Place:  true,
			Images: true,
			Sizes:  true,
		},
	}
}

// contracts are all Secrets that people fill in.
func (t tier) contracts() []secret.Contract {
	var contracts []secret.Contract
	for _, a := range t.apps {
		contracts = append(contracts, a.contract())
	}
	contracts = append(contracts, *pullSecret(t.repositories()...))
	if r := t.runner(); r != nil {
		contracts = append(contracts, r.Secret())
	}
	return append(contracts, t.blueprint().Secret())
}

// Repositories returns those of the first-party images.
func Repositories() []string { return newTier(Environments()[0]).repositories() }

func (t tier) repositories() []string {
	var repositories []string
	for _, a := range t.apps {
		repositories = append(repositories, registry+a.Web.Name)
	}
	return repositories
}

// deployerName is the identity with which the pipeline deploys the layer apps.
const deployerName = "ci-deployer"

// Deployer returns the namespace and the name of that identity.
func Deployer() (string, string) { return namespace, deployerName }

// Tree returns what is rendered for an environment.
func Tree(name string, images render.Images) (render.Tree, error) {
	env, err := Environments().Get(name)
	if err != nil {
		return render.Tree{}, err
	}
	env.images = images
	return newTier(env).tree(), nil
}

// tree lays the tier out in layers and files.
func (t tier) tree() render.Tree {
	apps := render.Layer{Name: "apps", Namespace: namespace, Files: []render.File{
		{Name: "redirect-middleware", Components: []object.Component{redirect(), headers()}},
	}}
	for _, a := range connect(t.apps, t.env) {
		apps.Files = append(apps.Files, a.files(t.env)...)
	}
	// Last by name: where the tier runs already, its pods get what they are
	// allowed before the rest is closed.
	apps.Files = append(apps.Files, render.File{Name: "zz-default-deny", Components: []object.Component{components.HTTP01Solver(namespace, proxy()), deny(namespace)}})
	deployer := components.Deployer{
		Name:      deployerName,
		Namespace: namespace,
		Secrets:   make(map[string][]secret.Contract),
		Command:   "go run ./cmd/deploy -layer ci",
		Prune:     true,
	}
	for _, a := range t.apps {
		deployer.Secrets[a.Web.Name] = []secret.Contract{a.contract()}
	}
	for _, f := range apps.Files {
		deployer.Applies = append(deployer.Applies, f.Components...)
	}

	// First by name: kubectl takes files in that order, and everything else
	// needs the namespaces.
	namespaces := render.File{Name: "00-namespaces", Components: []object.Component{
		components.Namespace{Name: namespace, PodSecurity: t.podSecurity(), PodSecurityVersion: kubernetesRelease},
	}}
	// Its releases are kept where ci-deployer may not write.
	ci := render.Layer{Name: "ci", Namespace: "kube-system", Files: []render.File{
		{Name: deployer.Name, Components: []object.Component{deployer}},
		{Name: "quota", Components: []object.Component{
			components.Quota{Name: "quota", Namespace: namespace, Holds: deployer.Applies},
		}},
	}}
	if r := t.runner(); r != nil {
		namespaces.Components = append(namespaces.Components,
			components.Namespace{Name: ciNamespace, PodSecurity: "privileged", PodSecurityVersion: kubernetesRelease})
		ci.Files = append(ci.Files, render.File{Name: r.Name, Components: []object.Component{
			runnerNetwork(*r), deny(ciNamespace), *r,
		}})
	}
	ci.Files = append([]render.File{namespaces}, ci.Files...)

	tree := render.Tree{
		Name: "the dezky app tier, " + t.env.Name,
		ID:   "dezky-apps-" + t.env.Name,
		Layers: []render.Layer{
			ci,
			apps,
			{Name: "auth", Namespace: authNamespace, Files: []render.File{
				{Name: "blueprint", Components: []object.Component{t.blueprint()}},
			}},
		},
		Texts: []render.Text{
			{Name: "README.md"},
			{Name: "secrets/secrets.example.yaml", Content: t.secrets().Template},
		},
		Elsewhere:      t.env.elsewhere(),
		Domains:        []string{t.env.Domain},
		ForeignDomains: Environments().Foreign(t.env.Domain),
		Assumed:        t.assumptions(),
		Secrets:        t.contracts(),
	}
	if w := t.workflow(); w != nil {
		tree.Texts = append(tree.Texts, render.Text{Name: workflowFile, Content: w.Text})
	}
	tree.Texts[0].Content = func() (string, error) { return t.readme(tree) }
	if !t.env.Development {
		tree.Notes = t.env.images.Notes(t.env.Name, t.repositories())
	}
	return tree
}

// podSecurity is the level that the apps keep: restricted, unless the user of
// an image is still assumed and may be root.
func (t tier) podSecurity() string {
	if slices.ContainsFunc(t.apps, func(a App) bool { return a.Web.Assumed.User }) {
		return "baseline"
	}
	return "restricted"
}

func (t tier) secrets() secrets.Set {
	return secrets.Set{Secrets: t.contracts(), Domains: []string{t.env.Domain}, ForeignDomains: Environments().Foreign(t.env.Domain)}
}

// Secrets returns the contracts of an environment.
func Secrets(name string) (secrets.Set, error) {
	env, err := Environments().Get(name)
	if err != nil {
		return secrets.Set{}, err
	}
	return newTier(env).secrets(), nil
}
