package e2e

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	discoveryv1 "k8s.io/api/discovery/v1"
	networkingv1 "k8s.io/api/networking/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	apiwatch "k8s.io/apimachinery/pkg/watch"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/clientcmd"

	"git.lastcloud.io/ronnibaslund/dezky/fleet/components"
	"git.lastcloud.io/ronnibaslund/dezky/fleet/deploy"
	"git.lastcloud.io/ronnibaslund/dezky/fleet/render/object"
)

// kustomized is a tier of one app as kustomize left it; see
// testdata/kustomize.
func kustomized(t *testing.T, namespace, app, image string) string {
	t.Helper()
	var text strings.Builder
	for _, name := range []string{"shared.yaml", "app.yaml"} {
		data, err := os.ReadFile(filepath.Join("testdata", "kustomize", name))
		if err != nil {
			t.Fatal(err)
		}
		text.Write(data)
	}
	return strings.NewReplacer("NAMESPACE", namespace, "APP", app, "NUMBER", "3000", "HOST", app+".example.com", "IMAGE", image, "REPLICAS", "1").Replace(text.String())
}

// newKustomized makes a tier that runs from kustomize's manifests, and what is
// to take it over.
func newKustomized(t *testing.T, c cluster) *tier {
	t.Helper()
	c.t = t
	w := &tier{t: t, c: c, namespace: strings.ToLower(filepath.Base(t.Name())), apps: map[string]string{"web": ""}}
	w.name, w.podSecurity, w.kubeconfig = "the tier of "+w.namespace, "restricted", filepath.Join(c.dir, "admin.kubeconfig")
	c.kubectl("create", "namespace", w.namespace+"-admin")
	c.kubectl("create", "namespace", w.namespace)
	c.apply(kustomized(t, w.namespace, "web", registry+"web:old"))
	c.kubectl("rollout", "status", "deployment/web", "-n", w.namespace, "--timeout=60s")
	var err error
	if w.config, err = clientcmd.BuildConfigFromFlags("", w.kubeconfig); err != nil {
		t.Fatal(err)
	}
	return w
}

// adopter is a deploy with -adopt.
func (w *tier) adopter(config *rest.Config, out *syncBuffer) *deploy.Deployer {
	d := w.deployer(config, out)
	d.Adopt, d.Drain = true, time.Second
	return d
}

// served watches the endpoints of a Service until the end of the test, which
// fails where there ever is none that is ready.
func (w *tier) served(service string) {
	w.t.Helper()
	client, err := kubernetes.NewForConfig(w.config)
	if err != nil {
		w.t.Fatal(err)
	}
	w.c.eventually("wait", "endpointslice", "-n", w.namespace, "-l", discoveryv1.LabelServiceName+"="+service, "--for=jsonpath={.endpoints[0].conditions.ready}=true", "--timeout=1s")
	slices := client.DiscoveryV1().EndpointSlices(w.namespace)
	of := metav1.ListOptions{LabelSelector: discoveryv1.LabelServiceName + "=" + service}
	list, err := slices.List(w.t.Context(), of)
	if err != nil {
		w.t.Fatal(err)
	}
	ready := map[string]int{}
	note := func(s *discoveryv1.EndpointSlice) {
		ready[s.Name] = 0
		for _, e := range s.Endpoints {
			if len(s.Ports) > 0 && (e.Conditions.Ready == nil || *e.Conditions.Ready) {
				ready[s.Name] += len(e.Addresses)
			}
		}
	}
	for i := range list.Items {
		note(&list.Items[i])
	}
	of.ResourceVersion = list.ResourceVersion
	ctx, stop := context.WithCancel(context.Background())
	events, err := slices.Watch(ctx, of)
	if err != nil {
		w.t.Fatal(err)
	}
	var seen sync.WaitGroup
	seen.Add(1)
	n := 0
	go func() {
		defer seen.Done()
		for e := range events.ResultChan() {
			s, ok := e.Object.(*discoveryv1.EndpointSlice)
			if !ok && ctx.Err() != nil {
				return
			}
			if !ok {
				w.t.Errorf("the watch ended: %v", e.Object)
				return
			}
			if n++; e.Type == apiwatch.Deleted {
				delete(ready, s.Name)
			} else {
				note(s)
			}
			total := 0
			for _, count := range ready {
				total += count
			}
			if total == 0 {
				w.t.Errorf("%s: Service %s has no ready endpoint", time.Now().Format(time.TimeOnly), service)
			}
		}
	}()
	w.t.Cleanup(func() {
		stop()
		events.Stop()
		seen.Wait()
		if w.t.Logf("%d changes of the endpoints of %s", n, service); n == 0 {
			w.t.Errorf("no change of the endpoints of %s was seen", service)
		}
	})
}

// runs holds that the tier is fleet's, or kustomize's, and that nothing of the
// other is left.
func (w *tier) runs(adopted bool, when string) {
	w.t.Helper()
	const old, now = `{"app":"web"}`, `{"app.kubernetes.io/name":"web"}`
	want, image := old, "old"
	if adopted {
		want, image = now, "new"
	}
	get := func(kind, path string) string {
		return w.c.kubectl("get", kind, "web", "-n", w.namespace, "-o", "jsonpath="+path)
	}
	if got := get("deployment", "{.spec.selector.matchLabels}"); got != want {
		w.t.Errorf("%s: the Deployment selects %s", when, got)
	}
	if got := get("service", "{.spec.selector}"); got != want {
		w.t.Errorf("%s: the Service selects %s", when, got)
	}
	if got := w.image("web"); got != registry+"web:"+image {
		w.t.Errorf("%s: web runs %s", when, got)
	}
	sets := w.c.kubectl("get", "replicasets", "-n", w.namespace, "-o", `jsonpath={range .items[*]}{.spec.replicas} {.metadata.ownerReferences[0].name} {.spec.template.spec.containers[0].image}{"\n"}{end}`)
	if sets != "1 web "+registry+"web:"+image+"\n" {
		w.t.Errorf("%s: the ReplicaSets are\n%s", when, sets)
	}
	if got := w.c.kubectl("get", "secret", "web-secrets", "-n", w.namespace, "-o", "jsonpath={.data.NUXT_OIDC_CLIENT_ID}"); got != "dmFsdWUtb2Ytd2Vi" {
		w.t.Errorf("%s: the Secret has %s", when, got)
	}
	if policies := w.c.kubectl("get", "networkpolicies", "-n", w.namespace, "-o", "name"); adopted != strings.Contains(policies, "web") {
		w.t.Errorf("%s: the policies are %s", when, policies)
	}
	if got := w.c.kubectl("get", "endpointslices", "-n", w.namespace, "-o", "name"); strings.Contains(got, "web-adopt") {
		w.t.Errorf("%s: a slice is left: %s", when, got)
	}
	if t := w.t; t.Failed() {
		t.FailNow()
	}
}

// policy lets everybody in to the pods of web.
func policy(namespace string) *networkingv1.NetworkPolicy {
	p := &networkingv1.NetworkPolicy{Spec: networkingv1.NetworkPolicySpec{
		PodSelector: metav1.LabelSelector{MatchLabels: map[string]string{"app.kubernetes.io/name": "web"}},
		PolicyTypes: []networkingv1.PolicyType{networkingv1.PolicyTypeIngress},
		Ingress:     []networkingv1.NetworkPolicyIngressRule{{}},
	}}
	p.APIVersion, p.Kind, p.Namespace, p.Name = "networking.k8s.io/v1", "NetworkPolicy", namespace, "web"
	return p
}

// adopt: a tier of kustomize's becomes fleet's, layer by layer, and is taken
// back.
func adopt(t *testing.T, c cluster) {
	w := newKustomized(t, c)
	w.host = "web.example.com"
	w.others = []object.Component{components.Plain(policy(w.namespace))}
	c.apply(`{apiVersion: cert-manager.io/v1, kind: Certificate, metadata: {namespace: ` + w.namespace + `, name: web-tls}}`)
	c.kubectl("patch", "certificate", "web-tls", "-n", w.namespace, "--subresource=status", "--type=merge", "-p", `{"status":{"conditions":[{"type":"Ready","status":"True"}]}}`)
	w.served("web")
	token := func() string {
		return c.kubectl("get", "secret", "ci-deployer-token", "-n", w.namespace, "-o", "jsonpath={.data.token}")
	}
	c.eventually("get", "secret", "ci-deployer-token", "-n", w.namespace, "-o", "jsonpath={.data.token}")
	had := token()

	// Without -adopt nothing is changed, and it says what does.
	w.says(w.must(1, "-tag", "new"), "Deployment "+w.namespace+"/web: spec.selector: ", "field is immutable", "let an admin deploy this layer once with -adopt")
	w.says(w.must(1, "-layer", "ci", "-tag", "new"), "RoleBinding "+w.namespace+"/ci-deployer: ", "let an admin deploy this layer once with -adopt")
	w.runs(false, "refused")

	// The layer ci: the binding has its Role, and the level of Pod Security is
	// raised when the old pods are gone.
	out := w.must(0, "-layer", "ci", "-adopt", "-tag", "new")
	w.says(out, "replace RoleBinding "+w.namespace+"/ci-deployer", "note: Namespace "+w.namespace+" does not enforce Pod Security restricted yet: these pods do not meet it: web-",
		"recorded what runs as release 1", "replacing RoleBinding")
	role := func() string {
		return c.kubectl("get", "rolebinding", "ci-deployer", "-n", w.namespace, "-o", "jsonpath={.roleRef.kind} {.roleRef.name}")
	}
	level := func() string {
		return c.kubectl("get", "namespace", w.namespace, "-o", `jsonpath={.metadata.labels.pod-security\.kubernetes\.io/enforce}`)
	}
	if role() != "Role ci-deployer" || level() != "" || token() != had {
		t.Errorf("after ci: the binding is to %s, the level is %q", role(), level())
	}
	w.runs(false, "ci adopted")

	// The pipeline may not adopt: it would end half way.
	admin := w.kubeconfig
	w.asDeployer()
	w.says(w.must(1, "-adopt", "-tag", "new"), "-adopt needs the rights of an admin, and these lack in "+w.namespace+": patch replicasets, delete replicasets, create endpointslices, delete endpointslices: use an admin's kubeconfig\n")
	w.runs(false, "tried by the pipeline")
	w.kubeconfig = admin

	dry := w.must(0, "-adopt", "-tag", "new", "-dry-run")
	w.says(dry, "replace Deployment "+w.namespace+"/web", "-   spec.selector.matchLabels.app: web", "1 to replace, 0 to delete",
		"avoided      Deployment "+w.namespace+"/web: it cannot change once the Deployment is there [immutable-field]", "avoided      Service "+w.namespace+"/web: ",
		"stays   Middleware "+w.namespace+"/redirect-to-https: kubectl applied it, and this tree does not render it",
		"stays   ConfigMap "+w.namespace+"/web-config: kubectl applied it")
	w.runs(false, "a dry run")
	out = w.must(0, "-adopt", "-tag", "new")
	w.says(out, "replacing Deployment "+w.namespace+"/web", "waiting 10s until nobody sends requests to the pods of before", "deleted ReplicaSet "+w.namespace+"/web-",
		"stays   Middleware "+w.namespace+"/redirect-to-https: kubectl applied it", "release 2 is ready")
	w.runs(true, "adopted")
	if strings.Contains(out, "ci-deployer: kubectl applied it") {
		t.Errorf("what the layer ci renders is listed as left behind:\n%s", out)
	}

	// From now on it is like any other tier.
	w.says(w.must(0, "-tag", "new"), "nothing to change: this is release 2")
	// A pod that has ended does not start again, and holds no level.
	c.apply(`{apiVersion: v1, kind: Pod, metadata: {namespace: ` + w.namespace + `, name: ended, annotations: {e2e/state: done}}, spec: {restartPolicy: Never, containers: [{name: a, image: ` + registry + `web:old}]}}`)
	c.eventually("wait", "pod/ended", "-n", w.namespace, "--for=jsonpath={.status.phase}=Succeeded", "--timeout=1s")
	w.must(0, "-layer", "ci", "-adopt", "-tag", "new")
	if level() != "restricted" {
		t.Errorf("the level is %q", level())
	}

	// Taken back: only with the words for it, and only in the order in which the
	// old pods can start.
	w.says(w.must(1, "-rollback"), "-adopt")
	w.says(w.must(1, "-adopt", "-rollback", "-timeout", "20s"), "Deployment "+w.namespace+"/web: spec.template: its pods do not meet Pod Security restricted, which Namespace "+w.namespace+" enforces: ",
		": lower the level first; to take an adoption back, the layer of the Namespace with -adopt -rollback\n")
	w.runs(true, "taken back in the wrong order")
	w.says(w.must(0, "-layer", "ci", "-adopt", "-rollback"), "replacing RoleBinding", "going back to release")
	if role() != "ClusterRole admin" || level() != "" {
		t.Errorf("taken back: the binding is to %s, the level is %q", role(), level())
	}
	w.says(w.must(0, "-adopt", "-rollback"), "going back to release 1, old", "replacing Deployment")
	w.runs(false, "taken back")

	// Adopted once more after the old pipeline went on: what ran last comes back.
	c.apply(kustomized(t, w.namespace, "web", registry+"web:older"))
	c.kubectl("rollout", "status", "deployment/web", "-n", w.namespace, "--timeout=60s")
	w.says(w.must(0, "-adopt", "-tag", "newer"), "recorded what runs as release 4", "release 5 is ready")
	w.says(w.must(0, "-adopt", "-rollback"), "going back to release 4, older")
	if got := w.image("web"); got != registry+"web:older" {
		t.Errorf("adopted again and taken back: web runs %s", got)
	}
}

// adoptInterrupted: whatever the last thing was that an adoption wrote, it can
// be run again, and it can be taken back.
func adoptInterrupted(t *testing.T, c cluster) {
	w := newKustomized(t, c)
	w.podSecurity = ""
	w.others = []object.Component{components.Plain(policy(w.namespace))}
	w.served("web")
	for step := 0; ; step++ {
		if step > 60 {
			t.Fatal("an adoption has more steps than it can have")
		}
		config, writes := watch(w.config, step)
		var out syncBuffer
		if _, err := w.adopter(config, &out).Deploy(t.Context(), w.release("new")); err == nil {
			w.runs(true, "not interrupted")
			t.Logf("an adoption writes %d times", len(writes.writes))
			break
		}
		when := fmt.Sprintf("killed after %d", step)
		if n := len(writes.writes); n > 0 {
			when += ", " + writes.writes[n-1]
		}
		if step%2 == 0 { // run again
			var again syncBuffer
			if _, err := w.adopter(w.config, &again).Deploy(t.Context(), w.release("new")); err != nil {
				t.Fatalf("%s: run again: %v\n%s", when, err, &again)
			}
			w.runs(true, when+", run again")
		}
		var back syncBuffer
		_, err := w.adopter(w.config, &back).Rollback(t.Context())
		var refused *deploy.RefusedError
		// One that was killed before it was recorded has changed nothing.
		if err != nil && !(errors.As(err, &refused) && step%2 == 1 && strings.Contains(err.Error(), "there is no release to go back to")) {
			t.Fatalf("%s: taken back: %v\n%s", when, err, &back)
		}
		w.runs(false, when+", taken back")
	}
}

// adoptRefused: a selector that takes the running pods is refused, since their
// new owner would stop them before the Service leads to its own.
func adoptRefused(t *testing.T, c cluster) {
	w := newKustomized(t, c)
	w.podSecurity = ""
	c.kubectl("patch", "deployment", "web", "-n", w.namespace, "--type=merge", "-p", `{"spec":{"template":{"metadata":{"labels":{"app.kubernetes.io/name":"web"}}}}}`)
	c.kubectl("rollout", "status", "deployment/web", "-n", w.namespace, "--timeout=60s")
	w.says(w.must(1, "-adopt", "-tag", "new"), "Deployment "+w.namespace+"/web: spec.selector: it selects the pods of ReplicaSet web-", "the new Deployment would take them over")
	// A pod template that the server refuses is told before anything is gone.
	broken := w.release("new")
	broken.Manifests = bytes.ReplaceAll(broken.Manifests, []byte("containerPort: 3000"), []byte("containerPort: 70000"))
	var out syncBuffer
	if _, err := w.adopter(w.config, &out).Deploy(t.Context(), broken); err == nil || !strings.Contains(err.Error(), "Deployment "+w.namespace+"/web: spec.template.spec.containers[0].ports[0].containerPort: ") {
		t.Errorf("it says %v\n%s", err, &out)
	}
	if got := w.image("web"); got != registry+"web:old" {
		t.Errorf("web runs %s", got)
	}
}

// adoptLeft: of the ReplicaSets in the inventory, which the pipeline may write,
// only those go that a deploy marked, and that nothing owns.
func adoptLeft(t *testing.T, c cluster) {
	w := newKustomized(t, c)
	w.podSecurity = ""
	var out syncBuffer
	if _, err := w.adopter(w.config, &out).Deploy(t.Context(), w.release("new")); err != nil {
		t.Fatalf("%v\n%s", err, &out)
	}
	c.apply(`{apiVersion: v1, kind: ConfigMap, metadata: {namespace: ` + w.namespace + `, name: owner}}`)
	owner := c.kubectl("get", "configmap", "owner", "-n", w.namespace, "-o", "jsonpath={.metadata.uid}")
	plant := func(name, metadata string, args ...string) {
		t.Helper()
		manifest := `{apiVersion: apps/v1, kind: ReplicaSet, metadata: {namespace: ` + w.namespace + `, name: ` + name + metadata + `}, spec: {replicas: 0, selector: {matchLabels: {planted: ` + name + `}}, template: {metadata: {labels: {planted: ` + name + `}}, spec: {containers: [{name: a, image: ` + registry + `web:old}]}}}}`
		if out, err := c.try([]byte(manifest), append([]string{"apply", "-f", "-"}, args...)...); err != nil {
			t.Fatalf("%v\n%s", err, out)
		}
		uid := c.kubectl("get", "replicaset", name, "-n", w.namespace, "-o", "jsonpath={.metadata.uid}")
		c.kubectl("patch", "configmap", "fleet-apps-inventory", "-n", w.namespace, "--type=merge", "-p", fmt.Sprintf(`{"data":{%q:%q}}`, w.namespace+"_"+name+"_apps_ReplicaSet", uid))
	}
	marked := []string{"--server-side", "--field-manager=fleet-apps"}
	plant("left", "", marked...)
	plant("owned", ", ownerReferences: [{apiVersion: v1, kind: ConfigMap, name: owner, uid: "+owner+", controller: true}]", marked...)
	plant("foreign", "")
	again := w.must(0, "-tag", "newer")
	w.says(again, "deleted ReplicaSet "+w.namespace+"/left", "stays   ReplicaSet "+w.namespace+"/foreign: it is not the one that a release applied", "stays   ReplicaSet "+w.namespace+"/owned: ConfigMap owner has it")
	if w.exists("replicaset", "left") || !w.exists("replicaset", "owned") || !w.exists("replicaset", "foreign") {
		t.Errorf("the wrong ones went:\n%s", again)
	}
}
