package e2e

import (
	"bytes"
	"fmt"
	"path/filepath"
	"regexp"
	"strings"
	"sync"
	"testing"
	"time"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/clientcmd"

	"git.lastcloud.io/ronnibaslund/dezky/fleet/components"
	"git.lastcloud.io/ronnibaslund/dezky/fleet/components/traefik"
	"git.lastcloud.io/ronnibaslund/dezky/fleet/deploy"
	"git.lastcloud.io/ronnibaslund/dezky/fleet/render"
	"git.lastcloud.io/ronnibaslund/dezky/fleet/render/object"
	"git.lastcloud.io/ronnibaslund/dezky/fleet/render/plan/consequence"
)

// tier is a small tier in a namespace of its own. What is deployed follows
// from its fields, which a test changes between releases.
type tier struct {
	t         *testing.T
	c         cluster
	namespace string
	// podSecurity is what the tree says of its namespace.
	podSecurity string
	// apps by name, with the state that their pods get into; empty is ready.
	apps map[string]string
	// edit has the last word on the Deployments.
	edit func(*appsv1.Deployment)
	// editService has the last word on the Services.
	editService func(*corev1.Service)
	// others are more components of the layer.
	others []object.Component
	// moved is a component that is in the layer ci.
	moved object.Component
	// host of the app web. Empty for none.
	host string
	name string // of the Tree
	// allowed are the Tree's allowances.
	allowed []consequence.Allowance
	// kubeconfig of the deployer, and what it holds.
	kubeconfig string
	config     *rest.Config
}

const registry = "registry.example.com/shop/"

func (w *tier) app(name string, images render.Images) components.WebApp {
	app := components.WebApp{Name: name, Namespace: w.namespace, Image: images.Ref(registry + name), Port: 3000}
	app.Changes = append(app.Changes, func(objects []object.Object) error {
		for _, o := range objects {
			if d, ok := o.(*appsv1.Deployment); ok {
				if state := w.apps[name]; state != "" {
					if d.Spec.Template.Annotations == nil {
						d.Spec.Template.Annotations = map[string]string{}
					}
					d.Spec.Template.Annotations["e2e/state"] = state
				}
				if w.edit != nil {
					w.edit(d)
				}
			}
			if s, ok := o.(*corev1.Service); ok && w.editService != nil {
				w.editService(s)
			}
		}
		return nil
	})
	return app
}

func (w *tier) tree(_ string, images render.Images) (render.Tree, error) {
	layer := render.Layer{Name: "apps", Namespace: w.namespace}
	deployer := components.Deployer{Name: "ci-deployer", Namespace: w.namespace, Prune: true}
	redirect := traefik.RedirectMiddleware{Name: "redirect", Namespace: w.namespace}
	layer.Files = append(layer.Files, render.File{Name: "shared", Components: append([]object.Component{redirect}, w.others...)})
	for name := range w.apps {
		app := w.app(name, images)
		file := render.File{Name: name, Components: []object.Component{app}}
		if name == "web" && w.host != "" {
			file.Components = append(file.Components, components.TLSIngress{Host: w.host, Backend: app, Issuer: "issuer", Redirect: redirect.Ref()})
		}
		layer.Files = append(layer.Files, file)
	}
	for _, f := range layer.Files {
		deployer.Applies = append(deployer.Applies, f.Components...)
	}
	ci := []object.Component{deployer}
	if w.moved != nil {
		ci = append(ci, w.moved)
	}
	return render.Tree{
		Name:    w.name,
		Allowed: w.allowed,
		Layers: []render.Layer{
			// Of its own: the other tiers of the cluster have a layer ci too.
			{Name: "ci", Namespace: w.namespace + "-admin", Files: []render.File{
				{Name: "00-namespace", Components: []object.Component{components.Namespace{Name: w.namespace, PodSecurity: w.podSecurity}}},
				{Name: "deployer", Components: ci},
			}},
			layer,
		},
	}, nil
}

// newTier makes the namespace and the deployer as an admin does, and the
// kubeconfig of the deployer.
func newTier(t *testing.T, c cluster, apps ...string) *tier {
	t.Helper()
	c.t = t
	w := &tier{t: t, c: c, namespace: strings.ToLower(regexp.MustCompile(`[^A-Za-z0-9]+`).ReplaceAllString(filepath.Base(t.Name()), "-")), apps: map[string]string{}}
	w.name = "the tier of " + w.namespace
	for _, a := range apps {
		w.apps[a] = ""
	}
	c.kubectl("create", "namespace", w.namespace+"-admin")
	w.ci()
	w.asDeployer()
	return w
}

// asDeployer gives the tier the kubeconfig of its deployer.
func (w *tier) asDeployer() {
	w.t.Helper()
	var out, errs bytes.Buffer
	status := deploy.KubeconfigCommand{
		Name: "kubeconfig", Account: deploy.Account{Namespace: w.namespace, Name: "ci-deployer", Cluster: "e2e"},
	}.Run([]string{"-kubeconfig", filepath.Join(w.c.dir, "admin.kubeconfig"), "-server", w.c.url}, &out, &errs)
	if status != 0 {
		w.t.Fatalf("kubeconfig: status %d: %s", status, &errs)
	}
	w.kubeconfig = filepath.Join(w.t.TempDir(), "kubeconfig")
	write(w.t, w.kubeconfig, out.Bytes())
	var err error
	if w.config, err = clientcmd.RESTConfigFromKubeConfig(out.Bytes()); err != nil {
		w.t.Fatal(err)
	}
}

// ci deploys the layer ci as an admin.
func (w *tier) ci() {
	w.t.Helper()
	status, out := w.runAs(filepath.Join(w.c.dir, "admin.kubeconfig"), "-layer", "ci", "-tag", "any", "-lock-wait", "2m")
	if status != 0 {
		w.t.Fatalf("layer ci: status %d:\n%s", status, out)
	}
}

// run is the command with the deployer's rights.
func (w *tier) run(args ...string) (int, string) { return w.runAs(w.kubeconfig, args...) }

func (w *tier) runAs(kubeconfig string, args ...string) (int, string) {
	var out syncBuffer
	status := deploy.Command{
		Name: "deploy", Layer: "apps", Tree: w.tree,
		Repositories: []string{registry + "web", registry + "api", registry + "extra", registry + "more"},
	}.Run(append([]string{"-kubeconfig", kubeconfig}, args...), &out, &out)
	return status, out.String()
}

// must run the command and end with the status.
func (w *tier) must(status int, args ...string) string {
	w.t.Helper()
	got, out := w.run(args...)
	if got != status {
		w.t.Fatalf("deploy %s: status %d, want %d:\n%s", strings.Join(args, " "), got, status, out)
	}
	return out
}

type syncBuffer struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (s *syncBuffer) Write(p []byte) (int, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.b.Write(p)
}

func (s *syncBuffer) String() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.b.String()
}

// release is what the command would deploy, for the library.
func (w *tier) release(tag string) deploy.Release {
	w.t.Helper()
	tree, err := w.tree("", render.Images{Tag: tag})
	if err != nil {
		w.t.Fatal(err)
	}
	files, _, err := tree.Files()
	if err != nil {
		w.t.Fatal(err)
	}
	r := deploy.Release{Tree: tree.Name, Revision: tag}
	for _, f := range files {
		if strings.HasPrefix(f.Path, "apps/") {
			r.Manifests = append(append(r.Manifests, "---\n"...), f.Data...)
		}
	}
	return r
}

func (w *tier) deployer(config *rest.Config, out *syncBuffer) *deploy.Deployer {
	return &deploy.Deployer{
		Config: config, Layer: "apps", Namespace: w.namespace, By: fmt.Sprintf("test %d", time.Now().UnixNano()),
		Timeout: 90 * time.Second, LockWait: time.Minute, LockDuration: 3 * time.Second, Drain: time.Second, Out: out,
	}
}

// image is the image of an app as the cluster has it.
func (w *tier) image(app string) string {
	w.t.Helper()
	return w.c.kubectl("get", "deployment", app, "-n", w.namespace, "-o", "jsonpath={.spec.template.spec.containers[0].image}")
}

func (w *tier) exists(kind, name string) bool {
	_, err := w.c.try(nil, "get", kind, name, "-n", w.namespace)
	return err == nil
}

// says fails the test for each text that the output lacks.
func (w *tier) says(out string, texts ...string) {
	w.t.Helper()
	for _, text := range texts {
		if !strings.Contains(out, text) {
			w.t.Errorf("it does not say %q:\n%s", text, out)
		}
	}
}

// portsOf watches the ports of a Service from now on. The function stops it,
// and returns those that it had, each as names and numbers.
func (w *tier) portsOf(service string) func() []string {
	w.t.Helper()
	client, err := kubernetes.NewForConfig(w.config)
	if err != nil {
		w.t.Fatal(err)
	}
	events, err := client.CoreV1().Services(w.namespace).Watch(w.t.Context(), metav1.ListOptions{FieldSelector: "metadata.name=" + service})
	if err != nil {
		w.t.Fatal(err)
	}
	var seen []string
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		for e := range events.ResultChan() {
			s, ok := e.Object.(*corev1.Service)
			if !ok {
				continue
			}
			var each []string
			for _, p := range s.Spec.Ports {
				each = append(each, fmt.Sprintf("[%s %d]", p.Name, p.Port))
			}
			if now := strings.Join(each, " "); len(seen) == 0 || seen[len(seen)-1] != now {
				seen = append(seen, now)
			}
		}
	}()
	return func() []string {
		time.Sleep(time.Second) // the last event is on its way
		events.Stop()
		<-ended
		return seen
	}
}
