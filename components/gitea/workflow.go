package gitea

import (
	"bytes"
	"cmp"
	"fmt"
	"path"
	"regexp"
	"slices"
	"strings"

	"go.yaml.in/yaml/v3"
	"k8s.io/apimachinery/pkg/util/validation"
	"k8s.io/apimachinery/pkg/util/validation/field"

	"git.lastcloud.io/ronnibaslund/dezky/fleet/render/object"
)

// Workflow is the pipeline of a repository that holds apps and, in a folder of
// its own, the module that renders and deploys their manifests.
//
// On a pull request it checks the module, tests the apps, and says in a
// comment what changes for the cluster. On a push to the branch it tests,
// builds and pushes each app, and deploys what it pushed. Run by hand on the
// branch it does the same, with what the input [InputAllow] lets pass.
//
// It is for Gitea 1.25 and later. What an older release does not know
// (permissions, concurrency, timeout-minutes) it ignores, and nothing rests on
// it. All steps are shell: no action of others runs beside the secrets.
type Workflow struct {
	// Name of the workflow, as Gitea lists it, and of its file. If empty, ci.
	Name string
	// Folder of the module in the repository, such as fleet.
	Folder string
	// Rendered is where the module keeps the accepted rendering of this
	// workflow, a path in Folder such as golden/production/workflows/ci.yml.
	// The first step compares it with the file that Gitea runs.
	Rendered string
	// Branch whose pushes are releases. If empty, main.
	Branch string
	// Runner takes the jobs: by the first of its labels, and with Cache among
	// its volumes.
	Runner Runner
	// Image of the jobs that need Go, with a digest or a tag. It has Go, git,
	// make and bash, as golang's has.
	Image string
	// Cache is the volume of the runner that keeps the modules and build
	// results of Go from one job to the next. If empty, nothing is kept.
	Cache string
	// Checks must pass before anything else runs. They run in Folder.
	Checks []Check
	// Goldens is the folder in Folder whose changes a pull request tells.
	Goldens string
	// Apps that are tested, built and deployed.
	Apps []WorkflowApp
	// Assumed says what nobody has confirmed.
	Assumed AssumedWorkflow
}

// Check is a step of a job.
type Check struct {
	// Name of the step.
	Name string
	// Run is its shell script, for bash with -e and pipefail.
	Run string
}

// WorkflowApp is an app that the workflow tests, builds and deploys.
type WorkflowApp struct {
	// Name of the app, the last element of Repository.
	Name string
	// Folder of the app in the repository.
	Folder string
	// Repository of its image, such as registry.example.com/team/app.
	Repository string
	// Test are the commands that must pass, run one after the other in Folder:
	// what they need, type checks, tests.
	Test []string
	// Build is the command that builds the image as $IMAGE, run in Folder. If
	// empty, docker build of the Dockerfile there.
	Build string
}

// AssumedWorkflow says what of a workflow nobody has confirmed.
type AssumedWorkflow struct {
	// Apps: their folders, and the commands that test and build them.
	Apps bool
	// Image: that its digest is the one of its tag.
	Image bool
	// Tools: that the image of the runner's label has what the commands of the
	// apps need.
	Tools bool
}

// RepositorySecret is a secret of the repository, which Gitea gives to the
// jobs that name it. It is not a Secret of Kubernetes.
type RepositorySecret struct {
	// Name under which the jobs read it.
	Name string
	// Purpose says what it is for.
	Purpose string
	// Source says how to get it.
	Source string
	// Rotation says what a new value takes.
	Rotation string
}

// The repository secrets of a [Workflow].
const (
	// secretRegistry may push packages, which the job's own token may not.
	secretRegistry = "REGISTRY_TOKEN"
	// secretKubeconfig is the access to the cluster, in base64.
	secretKubeconfig = "KUBECONFIG_B64"
)

// InputAllow is the input of a run by hand. It goes to the flag -allow of the
// deploy.
const InputAllow = "allow"

// Secrets returns the contracts of the secrets that the workflow reads. They
// are stored in the repository's settings, below Actions, Secrets.
func (w Workflow) Secrets() []RepositorySecret {
	w = w.withDefaults()
	return []RepositorySecret{
		{
			Name:     secretRegistry,
			Purpose:  "Pushes the images to " + strings.Join(w.registries(), ", "),
			Source:   "an access token of a Gitea user who may write packages there, with the scope `write:package` and no other: Gitea, Settings → Applications",
			Rotation: "at any time: make another token, store it, delete the old one",
		},
		{
			Name:     secretKubeconfig,
			Purpose:  "Deploys to the cluster, with the rights of the deployer",
			Source:   "`go run ./cmd/kubeconfig -base64`",
			Rotation: "at any time: `go run ./cmd/kubeconfig -base64 -replace`; the old one ends at once",
		},
	}
}

// path is where the workflow belongs in the repository.
func (w Workflow) path() string {
	return ".gitea/workflows/" + w.withDefaults().Name + ".yml"
}

// install is the command that puts the accepted rendering where Gitea reads
// it, for the root of the repository.
func (w Workflow) install() string {
	return "mkdir -p " + path.Dir(w.path()) + " && cp " + path.Join(w.Folder, w.Rendered) + " " + w.path()
}

// Assumptions returns what nobody has confirmed of the workflow.
func (w Workflow) Assumptions() []object.Assumption {
	assumed := w.Assumed
	w = w.withDefaults()
	at := "Workflow " + w.Name + ": "
	var list []object.Assumption
	if assumed.Apps {
		var commands []string
		for _, a := range w.Apps {
			for _, c := range append(slices.Clone(a.Test), a.Build) {
				if !slices.Contains(commands, c) {
					commands = append(commands, c)
				}
			}
		}
		list = append(list, object.Assumption{
			What:    at + "the apps' folders, and the commands that test and build them",
			Value:   strings.Join(w.folders(), ", ") + ": " + strings.Join(commands, "; "),
			Confirm: "`ls` at the root of the repository, and the scripts in each app's `package.json`",
			Until:   "a folder that is not there stops the first job, and a command that fails stops that app: nothing is pushed or deployed",
			Buys:    "a pipeline that runs",
		})
	}
	if assumed.Image {
		list = append(list, object.Assumption{
			What:    at + "the digest of the image with Go",
			Value:   w.Image,
			Confirm: "`docker pull " + w.Image + "`, then `docker run --rm " + w.Image + " go version`",
			Until:   "a digest that does not exist starts no job; the tag beside it does not count",
			Buys:    "certainty about the image that the secrets are given to",
		})
	}
	if assumed.Tools {
		label, image, _ := strings.Cut(w.Runner.withDefaults().Labels[0], ":")
		image = strings.TrimPrefix(image, "docker://")
		list = append(list, object.Assumption{
			What:    at + "that the jobs of the apps find git, docker and what the commands need in the image of the label " + label,
			Value:   image,
			Confirm: "`docker run --rm " + image + " sh -c 'git --version && docker --version && node --version && npm --version'`",
			Until:   "a tool that is missing stops the app that needs it, before anything is pushed",
			Buys:    "a pipeline that runs; an image with a digest would keep it so",
		})
	}
	return list
}

// Text renders the workflow file. The error has every mistake.
func (w Workflow) Text() (string, error) {
	if err := object.Invalid(object.ID{Kind: "Workflow", Name: w.Name}, w.validate()).Err(); err != nil {
		return "", err
	}
	w = w.withDefaults()
	jobs := list{{"check", w.check()}}
	var builds []string
	for _, a := range w.Apps {
		jobs = append(jobs, entry{"test-" + a.Name, w.test(a)})
	}
	for _, a := range w.Apps {
		jobs = append(jobs, entry{"build-" + a.Name, w.build(a)})
		builds = append(builds, "build-"+a.Name)
	}
	jobs = append(jobs, entry{"deploy", w.deploy(builds)})
	branches := list{{"branches", []string{w.Branch}}}
	file := list{
		{"name", w.Name},
		{"on", list{
			{"push", branches},
			{"pull_request", branches},
			{"workflow_dispatch", list{{"inputs", list{{InputAllow, list{
				{"description", "What the release may do although it stops at it, as the stopped one says: RULE=OBJECT, more with commas between"},
				{"type", "string"},
			}}}}}},
		}},
		{"permissions", list{{"contents", "read"}}},
		{"defaults", list{{"run", list{{"shell", "bash"}}}}},
		{"jobs", jobs},
	}
	var text bytes.Buffer
	encoder := yaml.NewEncoder(&text)
	encoder.SetIndent(2)
	if err := encoder.Encode(file.node()); err != nil {
		return "", err
	}
	return text.String(), encoder.Close()
}

func (w Workflow) withDefaults() Workflow {
	w.Name = cmp.Or(w.Name, "ci")
	w.Branch = cmp.Or(w.Branch, "main")
	w.Apps = slices.Clone(w.Apps)
	for i := range w.Apps {
		w.Apps[i].Build = cmp.Or(w.Apps[i].Build, `docker build --pull --tag "$IMAGE" .`)
	}
	return w
}

// registries are the hosts of the apps' images.
func (w Workflow) registries() []string {
	var hosts []string
	for _, a := range w.Apps {
		hosts = append(hosts, registryHost(a.Repository))
	}
	slices.Sort(hosts)
	return slices.Compact(hosts)
}

func registryHost(repository string) string {
	host, _, _ := strings.Cut(repository, "/")
	return host
}

// What stands in scripts as it is must be a word of the shell, and mean itself.
var (
	pathWord   = regexp.MustCompile(`^[a-zA-Z0-9_][a-zA-Z0-9._-]*(/[a-zA-Z0-9_][a-zA-Z0-9._-]*)*$`)
	imageWord  = regexp.MustCompile(`^[a-z0-9][a-z0-9.:-]*(/[a-z0-9][a-z0-9._-]*)+$`)
	volumeWord = regexp.MustCompile(`^[a-zA-Z0-9][a-zA-Z0-9_.-]*$`)
)

func (w Workflow) validate() field.ErrorList {
	var errs field.ErrorList
	word := func(at *field.Path, value, such string, rule *regexp.Regexp) {
		if value == "" {
			errs = append(errs, field.Required(at, "such as "+such))
		} else if !rule.MatchString(value) {
			errs = append(errs, field.Invalid(at, value, "must be letters, digits, dots, dashes, underscores and slashes, such as "+such))
		}
	}
	if w.Name != "" {
		word(field.NewPath("name"), w.Name, "ci", volumeWord)
	}
	word(field.NewPath("folder"), w.Folder, "fleet", pathWord)
	word(field.NewPath("rendered"), w.Rendered, "golden/production/workflows/ci.yml", pathWord)
	word(field.NewPath("goldens"), w.Goldens, "golden", pathWord)
	if w.Branch != "" {
		word(field.NewPath("branch"), w.Branch, "main", pathWord)
	}
	if w.Image == "" || strings.ContainsAny(w.Image, " \t\n") {
		errs = append(errs, field.Invalid(field.NewPath("image"), w.Image, "must be an image with Go, such as golang:1.26"))
	}
	if w.Cache != "" && !slices.Contains(w.Runner.Volumes, w.Cache) {
		errs = append(errs, field.Invalid(field.NewPath("cache"), w.Cache, "the runner does not let jobs mount it: name it among the runner's volumes"))
	}
	if len(w.Apps) == 0 {
		errs = append(errs, field.Required(field.NewPath("apps"), "state the apps"))
	}
	for i, c := range w.Checks {
		at := field.NewPath("checks").Index(i)
		if c.Name == "" || strings.TrimSpace(c.Run) == "" {
			errs = append(errs, field.Required(at, "give it a name, and a script to run"))
		}
	}
	seen := make(map[string]bool)
	for i, a := range w.Apps {
		at := field.NewPath("apps").Index(i)
		for _, msg := range validation.IsDNS1123Label(a.Name) {
			errs = append(errs, field.Invalid(at.Child("name"), a.Name, msg))
		}
		if seen[a.Name] {
			errs = append(errs, field.Duplicate(at.Child("name"), a.Name))
		}
		seen[a.Name] = true
		word(at.Child("folder"), a.Folder, "apps/portal", pathWord)
		word(at.Child("repository"), a.Repository, "registry.example.com/team/app", imageWord)
		if a.Repository != "" && path.Base(a.Repository) != a.Name {
			errs = append(errs, field.Invalid(at.Child("repository"), a.Repository, "must end in the name of the app, by which deploy knows its image"))
		}
		if len(a.Test) == 0 || slices.ContainsFunc(a.Test, func(s string) bool { return strings.TrimSpace(s) == "" }) {
			errs = append(errs, field.Required(at.Child("test"), "state the commands that must pass"))
		}
	}
	return errs
}

// The scripts read what changes from their environment only. An expression in
// a script would put the words of a pull request into the shell.
const (
	// The token goes to git by its environment, so that it stands in no
	// argument, no file and no message.
	checkoutScript = `server=${GITHUB_SERVER_URL%/}
export GIT_CONFIG_COUNT=1 GIT_CONFIG_KEY_0="http.$server/.extraHeader" GIT_CONFIG_VALUE_0
GIT_CONFIG_VALUE_0="Authorization: Basic $(printf 'x-access-token:%s' "$TOKEN" | base64 | tr -d '\n')"
git init --quiet .
git fetch --quiet --depth=1 --no-tags "$server/$GITHUB_REPOSITORY.git" "$GITHUB_SHA" ${BASE:+"$BASE"}
git checkout --quiet --force "$GITHUB_SHA"
`

	// installedScript tells all that is wrong before it fails.
	installedScript = `mend="mkdir -p ${INSTALLED%/*} && cp $RENDERED $INSTALLED"
failed=
if [ ! -f "$INSTALLED" ]; then
  failed=1
  echo "$INSTALLED is not there. At the root of the repository: $mend"
elif ! cmp -s "$RENDERED" "$INSTALLED"; then
  failed=1
  echo "$INSTALLED is not the rendered one. At the root of the repository: $mend"
fi
for folder in $FOLDERS; do
  if [ ! -d "$folder" ]; then
    failed=1
    echo "$folder: there is no such folder, and an app is tested and built there. Correct it in the definition of the workflow, and accept the rendering. Then: $mend"
  fi
done
[ -z "$failed" ]
`

	// deployScript pins each image to what was pushed. An empty digest leaves
	// the commit's tag.
	deployScript = `: "${KUBECONFIG_B64:?this secret of the repository is not set: go run ./cmd/kubeconfig -base64 prints it}"
kubeconfig=$(mktemp)
trap 'rm -f "$kubeconfig"' EXIT
printf %s "$KUBECONFIG_B64" | base64 -d > "$kubeconfig"
set --
for image in $DIGESTS; do
  case $image in *=sha256:*) set -- "$@" -image "${image%%=*}=$GITHUB_SHA@${image#*=}" ;; esac
done
if [ -n "$ALLOW" ]; then set -- "$@" -allow "$ALLOW"; fi
go run ./cmd/deploy -kubeconfig "$kubeconfig" -tag "$GITHUB_SHA" "$@" -run "$GITHUB_RUN_NUMBER" -summary "${GITHUB_STEP_SUMMARY:-/dev/null}"
`

	pushScript = `: "${REGISTRY_TOKEN:?this secret of the repository is not set: it is a token that may write packages}"
export DOCKER_CONFIG
DOCKER_CONFIG=$(mktemp -d)
trap 'rm -rf "$DOCKER_CONFIG"' EXIT
printf %s "$REGISTRY_TOKEN" | docker login --username "$GITHUB_REPOSITORY_OWNER" --password-stdin "$REGISTRY"
docker push --quiet "$REPOSITORY:$GITHUB_SHA"
docker tag "$REPOSITORY:$GITHUB_SHA" "$REPOSITORY:latest"
docker push --quiet "$REPOSITORY:latest"
digest=$(docker image inspect --format '{{range .RepoDigests}}{{println .}}{{end}}' "$REPOSITORY:$GITHUB_SHA" | awk -F @ -v r="$REPOSITORY" '$1 == r { d = $2 } END { print d }')
echo "digest=$digest" >> "$GITHUB_OUTPUT"
echo "$REPOSITORY:$GITHUB_SHA is ${digest:-pushed, and its digest is not known here: its tag is deployed}"
`

	planScript = `go run ./cmd/plan -from "git:$BASE" -to "$GOLDENS" -summary "${GITHUB_STEP_SUMMARY:-/dev/null}" -comment "$NUMBER"
`
)

func (w Workflow) folders() []string {
	var folders []string
	for _, a := range w.Apps {
		folders = append(folders, a.Folder)
	}
	return folders
}

// goJob begins a job that needs Go.
func (w Workflow) goJob() list {
	container := list{{"image", w.Image}}
	job := list{{"runs-on", w.label()}}
	if w.Cache == "" {
		return append(job, entry{"container", container})
	}
	container = append(container, entry{"volumes", []string{w.Cache + ":" + cacheDir}})
	return append(job,
		entry{"container", container},
		entry{"env", list{{"GOMODCACHE", cacheDir + "/modules"}, {"GOCACHE", cacheDir + "/build"}}},
	)
}

const cacheDir = "/go-cache"

// label is the name of the runner's first label.
func (w Workflow) label() string {
	name, _, _ := strings.Cut(w.Runner.withDefaults().Labels[0], ":")
	return name
}

func checkout(more ...entry) list {
	return list{
		{"name", "Fetch the commit"},
		{"env", append(list{{"TOKEN", "${{ github.token }}"}}, more...)},
		{"run", checkoutScript},
	}
}

func (w Workflow) check() list {
	steps := []list{
		checkout(entry{"BASE", "${{ github.event.pull_request.merge_base || github.event.pull_request.base.sha }}"}),
		{{"name", "The installed workflow is the rendered one"}, {"env", list{
			{"RENDERED", path.Join(w.Folder, w.Rendered)},
			{"INSTALLED", w.path()},
			{"FOLDERS", strings.Join(w.folders(), " ")},
		}}, {"run", installedScript}},
	}
	for _, c := range w.Checks {
		steps = append(steps, list{
			{"name", c.Name},
			{"working-directory", w.Folder},
			{"run", strings.TrimRight(c.Run, "\n") + "\n"},
		})
	}
	steps = append(steps, list{
		{"name", "What changes"},
		{"if", "github.event_name == 'pull_request'"},
		{"working-directory", w.Folder},
		{"env", list{
			{"GITHUB_TOKEN", "${{ github.token }}"},
			{"BASE", "${{ github.event.pull_request.merge_base || github.event.pull_request.base.sha }}"},
			{"NUMBER", "${{ github.event.pull_request.number }}"},
			{"GOLDENS", w.Goldens},
		}},
		{"run", planScript},
	})
	return slices.Concat(
		list{{"name", "Check"}},
		w.goJob(),
		list{
			{"timeout-minutes", 60},
			{"permissions", list{{"contents", "read"}, {"issues", "write"}, {"pull-requests", "write"}}},
			{"steps", steps},
		})
}

func (w Workflow) test(a WorkflowApp) list {
	steps := []list{checkout()}
	for _, command := range a.Test {
		steps = append(steps, list{{"name", command}, {"working-directory", a.Folder}, {"run", command}})
	}
	return list{
		{"name", "Test " + a.Name},
		{"needs", []string{"check"}},
		{"runs-on", w.label()},
		{"timeout-minutes", 60},
		{"steps", steps},
	}
}

// release holds for the jobs that a pull request never gets to, and no run by
// hand of another branch. Pushes are those to the branch: no other starts the
// workflow.
func (w Workflow) release() string {
	return "github.event_name == 'push' || github.event_name == 'workflow_dispatch' && github.ref == 'refs/heads/" + w.Branch + "'"
}

func (w Workflow) build(a WorkflowApp) list {
	return list{
		{"name", "Build " + a.Name},
		{"needs", []string{"test-" + a.Name}},
		{"if", w.release()},
		{"runs-on", w.label()},
		{"timeout-minutes", 60},
		{"outputs", list{{"digest", "${{ steps.push.outputs.digest }}"}}},
		{"steps", []list{
			checkout(),
			{
				{"name", "Build"},
				{"working-directory", a.Folder},
				{"env", list{{"IMAGE", a.Repository + ":${{ github.sha }}"}}},
				{"run", a.Build},
			},
			{
				{"name", "Push"},
				{"id", "push"},
				{"env", list{
					{"REGISTRY", registryHost(a.Repository)},
					{"REPOSITORY", a.Repository},
					{secretRegistry, "${{ secrets." + secretRegistry + " }}"},
				}},
				{"run", pushScript},
			},
		}},
	}
}

func (w Workflow) deploy(builds []string) list {
	var digests []string
	for _, a := range w.Apps {
		digests = append(digests, a.Name+"=${{ needs.build-"+a.Name+".outputs.digest }}")
	}
	return slices.Concat(
		list{
			{"name", "Deploy"},
			{"needs", builds},
			{"if", w.release()},
		},
		w.goJob(),
		list{
			{"timeout-minutes", 60},
			{"concurrency", list{{"group", "deploy"}, {"cancel-in-progress", false}}},
			{"steps", []list{
				checkout(),
				{
					{"name", "Deploy"},
					{"working-directory", w.Folder},
					{"env", list{
						{secretKubeconfig, "${{ secrets." + secretKubeconfig + " }}"},
						{"DIGESTS", strings.Join(digests, " ")},
						{"ALLOW", "${{ inputs." + InputAllow + " }}"},
					}},
					{"run", deployScript},
				},
			}},
		})
}

// list is a mapping whose keys keep their order.
type list []entry

type entry struct {
	key   string
	value any // string, int, bool, []string, list or []list
}

func (l list) node() *yaml.Node {
	n := &yaml.Node{Kind: yaml.MappingNode}
	for _, e := range l {
		n.Content = append(n.Content, &yaml.Node{Kind: yaml.ScalarNode, Value: e.key}, nodeOf(e.value))
	}
	return n
}

func nodeOf(value any) *yaml.Node {
	switch v := value.(type) {
	case list:
		return v.node()
	case []list:
		n := &yaml.Node{Kind: yaml.SequenceNode}
		for _, l := range v {
			n.Content = append(n.Content, l.node())
		}
		return n
	case []string:
		n := &yaml.Node{Kind: yaml.SequenceNode, Style: yaml.FlowStyle}
		for _, s := range v {
			n.Content = append(n.Content, nodeOf(s))
		}
		return n
	case string:
		n := new(yaml.Node)
		n.SetString(v)
		return n
	}
	return &yaml.Node{Kind: yaml.ScalarNode, Value: fmt.Sprint(value)}
}
