package e2e

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	appsv1 "k8s.io/api/apps/v1"
	batchv1 "k8s.io/api/batch/v1"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"

	"git.lastcloud.io/ronnibaslund/dezky/fleet/apps"
	"git.lastcloud.io/ronnibaslund/dezky/fleet/components"
	"git.lastcloud.io/ronnibaslund/dezky/fleet/components/secret"
	"git.lastcloud.io/ronnibaslund/dezky/fleet/deploy"
	"git.lastcloud.io/ronnibaslund/dezky/fleet/render"
	"git.lastcloud.io/ronnibaslund/dezky/fleet/render/object"
	"git.lastcloud.io/ronnibaslund/dezky/fleet/secrets"
)

func TestDeploy(t *testing.T) {
	c := startWhole(t)
	t.Setenv("KUBECONFIG", filepath.Join(c.dir, "admin.kubeconfig"))
	for _, tc := range []struct {
		name string
		test func(*testing.T, cluster)
	}{
		{"FirstRelease", firstRelease},
		{"Change", change},
		{"Refused", refusedRelease},
		{"Consequences", consequences},
		{"Prune", prune},
		{"Kinds", kinds},
		{"TwoAtOnce", twoAtOnce},
		{"NeverReady", neverReady},
		{"Crash", crash},
		{"MissingKey", missingKey},
		{"NoImage", noImage},
		{"PodSecurity", podSecurity},
		{"NoRoom", noRoom},
		{"Migration", migration},
		{"KeepImages", keepImages},
		{"TakeOver", takeOver},
		{"Killed", killed},
		{"Interrupted", interrupted},
		{"History", history},
		{"Rights", rights},
		{"Certificates", certificates},
		{"Secrets", secretsApplied},
		{"WholeTier", wholeTier},
		{"OwnNamespace", ownNamespace},
		{"Adopt", adopt},
		{"AdoptInterrupted", adoptInterrupted},
		{"AdoptRefused", adoptRefused},
		{"AdoptLeft", adoptLeft},
	} {
		t.Run(tc.name, func(t *testing.T) {
			t.Parallel()
			tc.test(t, c)
		})
	}
}

// firstRelease: on an empty cluster, all that pods need is there before the
// first pod is, and a second run has nothing to do.
func firstRelease(t *testing.T, c cluster) {
	w := newTier(t, c, "web", "api")
	config, writes := watch(w.config, -1)
	var out syncBuffer
	record, err := w.deployer(config, &out).Deploy(t.Context(), w.release("a"))
	if err != nil {
		t.Fatalf("%v\n%s", err, &out)
	}
	if record.Number != 1 || record.Status != deploy.Succeeded {
		t.Errorf("the record is %+v", record)
	}
	first := min(writes.position("deployments/web"), writes.position("deployments/api"))
	for _, need := range []string{"services/web", "services/api", "serviceaccounts/web", "fleet-apps-inventory", "configmaps"} {
		if p := writes.position(need); p < 0 || p > first {
			t.Errorf("%s comes after the first Deployment:\n%s", need, writes)
		}
	}
	w.says(out.String(), "create  Deployment "+w.namespace+"/web", "release 1 is ready")
	again := w.must(0, "-tag", "a")
	w.says(again, "0 to create, 0 to change, 0 to delete", "nothing to change: this is release 1")
	if list := w.must(0, "-list"); strings.Count(list, "succeeded") != 1 {
		t.Errorf("the list:\n%s", list)
	}
}

// change: what changes is told by field before it is applied, a dry run
// changes nothing, and a Service whose port changes has the old one beside the
// new until the pods are there and whoever asks for it has followed.
func change(t *testing.T, c cluster) {
	w := newTier(t, c, "web", "api")
	w.must(0, "-tag", "a")
	w.editService = func(s *corev1.Service) { s.Spec.Ports[0].Port = 8080 }
	state := func() string {
		return c.kubectl("get", "deployment,service,configmap,lease", "-n", w.namespace, "-o", "jsonpath={range .items[*]}{.metadata.name} {.metadata.uid} {.metadata.resourceVersion}{\"\\n\"}{end}")
	}
	before := state()
	out := w.must(0, "-tag", "b", "-dry-run")
	w.says(out, "change  Deployment "+w.namespace+"/web", "spec.template.spec.containers[web].image: "+registry+"web:a", registry+"web:b", "+   spec.ports[8080]:", "0 to create, 4 to change, 0 to delete")
	if after := state(); after != before {
		t.Errorf("the dry run changed the cluster:\n%s\n%s", before, after)
	}
	ports := w.portsOf("web")
	config, writes := watch(w.config, -1)
	var progress syncBuffer
	if _, err := w.deployer(config, &progress).Deploy(t.Context(), w.release("b")); err != nil {
		t.Fatalf("%v\n%s", err, &progress)
	}
	for _, app := range []string{"web", "api"} {
		first, pods, last := strings.Index(writes.String(), "services/"+app), strings.Index(writes.String(), "deployments/"+app), strings.LastIndex(writes.String(), "services/"+app)
		if first < 0 || first > pods || pods > last {
			t.Errorf("the Service of %s does not change before and after its Deployment:\n%s", app, writes)
		}
	}
	want := []string{"[http 3000]", "[http 3000] [http-next 8080]", "[http 8080]"}
	if got := ports(); !slices.Equal(got, want) {
		t.Errorf("the Service has the ports %q, want %q", got, want)
	}
	services := "Service " + w.namespace + "/web, Service " + w.namespace + "/api"
	if strings.Index(progress.String(), "Service "+w.namespace+"/api") < strings.Index(progress.String(), "Service "+w.namespace+"/web") {
		services = "Service " + w.namespace + "/api, Service " + w.namespace + "/web"
	}
	w.says(progress.String(), "waiting 1s until everybody knows the new ports of "+services+"\n", "waiting 1s until nobody asks for the old ports of "+services+"\n")
	if out := w.must(0, "-tag", "c"); strings.Contains(out, "waiting 10s") {
		t.Errorf("it waits, and no port changes:\n%s", out)
	}
	w.must(0, "-tag", "b")
	if got := w.image("web"); got != registry+"web:b" {
		t.Errorf("web runs %s", got)
	}
	if port := c.kubectl("get", "service", "web", "-n", w.namespace, "-o", "jsonpath={.spec.ports[0].port}"); port != "8080" {
		t.Errorf("the Service has port %s", port)
	}
}

// refusedRelease: all that the server refuses is told at once, and nothing of
// the release is applied.
func refusedRelease(t *testing.T, c cluster) {
	w := newTier(t, c, "web", "api")
	w.must(0, "-tag", "a")
	w.edit = func(d *appsv1.Deployment) {
		d.Spec.Selector.MatchLabels["tier"] = "front"
		d.Spec.Template.Labels["tier"] = "front"
	}
	out := w.must(1, "-tag", "b")
	w.says(out,
		"Deployment "+w.namespace+"/web: spec.selector: ",
		"Deployment "+w.namespace+"/api: spec.selector: ",
		"field is immutable", "this field of a live object cannot change")
	if got := w.image("web"); got != registry+"web:a" {
		t.Errorf("web runs %s", got)
	}
	w.edit = nil
	for _, tc := range []struct {
		args []string
		want string
	}{
		{nil, "the image web is not pinned: give -tag, -image or -keep-images"},
		{[]string{"-tag", "latest"}, "the image web is not pinned"},
		{[]string{"-image", "web=b"}, "the image api is not pinned"},
	} {
		w.says(w.must(1, tc.args...), tc.want)
	}
	w.name = "another environment"
	w.says(w.must(1, "-tag", "b"), `and this one is of "another environment": one does not replace the other`)
}

// prune: what is no longer rendered goes, and nothing else.
func prune(t *testing.T, c cluster) {
	w := newTier(t, c, "web", "api", "extra", "more")
	keep := components.Plain(configMap(w.namespace, "kept", map[string]string{"client.lifecycle.config.k8s.io/deletion": "detach"}))
	anew := components.Plain(configMap(w.namespace, "anew", nil))
	claim := &corev1.PersistentVolumeClaim{}
	claim.APIVersion, claim.Kind, claim.Namespace, claim.Name = "v1", "PersistentVolumeClaim", w.namespace, "data"
	claim.Spec.AccessModes = []corev1.PersistentVolumeAccessMode{corev1.ReadWriteOnce}
	claim.Spec.Resources.Requests = corev1.ResourceList{corev1.ResourceStorage: resource.MustParse("1Gi")}
	moves := components.Plain(configMap(w.namespace, "moves", nil))
	w.others = []object.Component{keep, anew, components.Plain(claim), moves}
	w.ci()
	w.must(0, "-tag", "a")
	// Somebody else's, beside ours: it was never applied by a release.
	c.kubectl("create", "configmap", "foreign", "-n", w.namespace)
	c.kubectl("delete", "configmap", "anew", "-n", w.namespace)
	c.kubectl("create", "configmap", "anew", "-n", w.namespace)

	// One app of four.
	delete(w.apps, "more")
	w.others, w.moved = nil, moves
	out := w.must(0, "-tag", "a", "-dry-run")
	w.says(out, "delete  Deployment "+w.namespace+"/more", "delete  Service "+w.namespace+"/more")
	if !w.exists("deployment", "more") {
		t.Error("a dry run deletes")
	}
	out = w.must(0, "-tag", "a")
	w.says(out, "deleted Deployment "+w.namespace+"/more",
		"stays   ConfigMap "+w.namespace+"/kept: its annotation client.lifecycle.config.k8s.io/deletion says so",
		"stays   ConfigMap "+w.namespace+"/anew: it is not the one that a release applied",
		"stays   ConfigMap "+w.namespace+"/moves: another layer renders it now",
		"stays   PersistentVolumeClaim "+w.namespace+"/data: a release removes no PersistentVolumeClaim")
	if w.exists("deployment", "more") || w.exists("service", "more") {
		t.Error("more is there still")
	}
	for _, name := range []string{"configmap/kept", "configmap/anew", "configmap/foreign", "configmap/moves", "persistentvolumeclaim/data"} {
		kind, name, _ := strings.Cut(name, "/")
		if !w.exists(kind, name) {
			t.Errorf("%s %s is gone", kind, name)
		}
	}
	// What both layers applied, as when the other one came first, stays too.
	w.others, w.moved = []object.Component{moves}, nil
	w.must(0, "-tag", "a")
	w.others, w.moved = nil, moves
	w.ci()
	w.moved = nil
	w.says(w.must(0, "-tag", "a"), "stays   ConfigMap "+w.namespace+"/moves: the layer ci applied it too")

	// Most of what is there: refused, before anything is changed.
	w.apps = map[string]string{"web": ""}
	w.says(w.must(1, "-tag", "b"), "would be deleted: if that is meant, say -prune-most")
	if !w.exists("deployment", "api") || w.image("web") != registry+"web:a" {
		t.Error("the refused release changed something")
	}
	w.must(0, "-tag", "b", "-prune-most")
	if w.exists("deployment", "api") || !w.exists("deployment", "web") {
		t.Error("the wrong ones went")
	}

	// Nothing rendered at all.
	empty := deploy.Command{Name: "deploy", Layer: "apps", Tree: func(string, render.Images) (render.Tree, error) {
		return render.Tree{Name: w.name, Layers: []render.Layer{{Name: "apps", Namespace: w.namespace}}}, nil
	}}
	var text syncBuffer
	if status := empty.Run([]string{"-kubeconfig", w.kubeconfig, "-prune-most"}, &text, &text); status != 1 {
		t.Errorf("an empty rendering: status %d", status)
	}
	w.says(text.String(), "renders no object")
	if !w.exists("deployment", "web") {
		t.Error("an empty rendering deleted")
	}
}

// kinds: a release of every kind of workload is ready when the last of them is,
// and what is no longer rendered goes, but for a Job that has ended.
func kinds(t *testing.T, c cluster) {
	w := newTier(t, c, "web")
	pod := func(name string) components.Workload {
		return components.Workload{Name: name, Namespace: w.namespace, Image: registry + name + ":v1"}
	}
	store, nightly, seed := pod("store"), pod("nightly"), pod("seed")
	store.Port, nightly.Schedule = 6379, "30 2 * * *"
	seed.Changes = []components.Change{components.Edit(func(j *batchv1.Job) {
		j.Spec.Template.Annotations = map[string]string{"e2e/state": "done"}
	})}
	w.others = []object.Component{components.StatefulSet(store), components.Worker(pod("mailer")), components.CronJob(nightly), components.Job(seed)}
	w.ci()
	w.admitted("-tag", "a")
	w.must(0, "-tag", "a")
	if ready := c.kubectl("get", "statefulset", "store", "-n", w.namespace, "-o", "jsonpath={.status.readyReplicas}"); ready != "1" {
		t.Errorf("the StatefulSet has %q ready pods, and the release ended", ready)
	}
	c.kubectl("wait", "job", "-n", w.namespace, "-l", "app.kubernetes.io/name=seed", "--for=condition=Complete", "--timeout=30s")

	w.others = nil
	w.says(w.must(0, "-tag", "a", "-prune-most"),
		"deleted StatefulSet "+w.namespace+"/store", "deleted Deployment "+w.namespace+"/mailer", "deleted CronJob "+w.namespace+"/nightly",
		"stays   Job "+w.namespace+"/seed-")
	for _, gone := range []string{"statefulset/store", "deployment/mailer", "cronjob/nightly"} {
		if kind, name, _ := strings.Cut(gone, "/"); w.exists(kind, name) {
			t.Errorf("%s is there still", gone)
		}
	}
	if left := c.kubectl("get", "jobs", "-n", w.namespace, "-o", "name"); !strings.Contains(left, "job.batch/seed-") {
		t.Errorf("of the Job that has ended there is %q", left)
	}
}

func configMap(namespace, name string, annotations map[string]string) *corev1.ConfigMap {
	m := &corev1.ConfigMap{}
	m.APIVersion, m.Kind = "v1", "ConfigMap"
	m.Namespace, m.Name, m.Annotations = namespace, name, annotations
	m.Data = map[string]string{"a": "b"}
	return m
}

// twoAtOnce: one waits for the other, and is told who it is; or it gives up.
func twoAtOnce(t *testing.T, c cluster) {
	w := newTier(t, c, "web")
	w.must(0, "-tag", "a")
	w.apps["web"] = "unready"
	slow := w.release("b")
	w.apps["web"] = ""
	ctx, cancel := context.WithCancel(t.Context())
	var out syncBuffer
	first := w.deployer(w.config, &out)
	first.By = "the first one"
	ended := make(chan error, 1)
	go func() {
		_, err := first.Deploy(ctx, slow)
		ended <- err
	}()
	for !strings.Contains(out.String(), "waiting for") {
		select {
		case err := <-ended:
			t.Fatalf("the first one ended: %v\n%s", err, &out)
		case <-time.After(100 * time.Millisecond):
		}
	}
	w.says(w.must(5, "-tag", "c", "-lock-wait", "2s"), "waiting for the first one, who deploys now", "another deploy holds the lock: the first one")
	if got := w.image("web"); got != registry+"web:b" {
		t.Errorf("web is %s", got)
	}
	waiting := make(chan string, 1)
	go func() { _, out := w.run("-tag", "c"); waiting <- out }()
	time.Sleep(2 * time.Second)
	cancel()
	if err := <-ended; !errors.Is(err, context.Canceled) {
		t.Errorf("the first one ended with %v", err)
	}
	w.says(<-waiting, "waiting for the first one", "release 3 is ready")
	if got := w.image("web"); got != registry+"web:c" {
		t.Errorf("web is %s", got)
	}
}

// neverReady: the release fails with the reason, the old pods go on, and there
// are two ways back.
func neverReady(t *testing.T, c cluster) {
	w := newTier(t, c, "web", "api")
	w.must(0, "-tag", "a")
	w.apps["web"] = "unready"
	w.editService = func(s *corev1.Service) { s.Spec.Ports[0].Port = 8080 }
	out := w.must(3, "-tag", "b", "-timeout", "8s", "-no-logs")
	w.says(out,
		"Deployment "+w.namespace+"/web is not ready: ",
		"container web: runs and is not ready: Readiness probe failed: HTTP probe failed with statuscode: 503",
		"release 2 failed", "-rollback to go back")
	if strings.Contains(out, "its log cannot be read") {
		t.Errorf("-no-logs reads logs:\n%s", out)
	}
	if strings.Contains(out, "/api is not ready") {
		t.Errorf("api is well, and it says otherwise:\n%s", out)
	}
	if ports := c.kubectl("get", "service", "web", "-n", w.namespace, "-o", "jsonpath={.spec.ports[*].port}"); ports != "3000 8080" {
		t.Errorf("the Service has the ports %s before its new pods are ready", ports)
	}
	if ready := c.kubectl("get", "deployment", "web", "-n", w.namespace, "-o", "jsonpath={.status.readyReplicas}"); ready != "1" {
		t.Errorf("%s old pods serve", ready)
	}
	back := w.must(0, "-rollback")
	w.says(back, "going back to release 1, a", "release 3 is ready")
	if ports := c.kubectl("get", "service", "web", "-n", w.namespace, "-o", "jsonpath={.spec.ports[*].port}"); ports != "3000" {
		t.Errorf("gone back, the Service has the ports %s", ports)
	}
	if got := w.image("web"); got != registry+"web:a" {
		t.Errorf("web runs %s", got)
	}
	w.says(w.must(0, "-list"), "succeeded, release 1 again", "failed: not ready: Deployment")

	out = w.must(4, "-tag", "c", "-timeout", "25s", "-rollback-on-failure")
	w.says(out, "release 4 failed", "going back to release 1, a", "release 4 failed; release 1 is back, as release 5", "its log cannot be read")
	if got := w.image("api"); got != registry+"api:a" {
		t.Errorf("api runs %s", got)
	}
	w.says(w.must(1, "-rollback"), "there is no release to go back to")
}

func crash(t *testing.T, c cluster) {
	w := newTier(t, c, "web")
	w.apps["web"] = "crash"
	w.says(w.must(3, "-tag", "a", "-timeout", "6s"), "container web: crashes again and again (CrashLoopBackOff) with exit status 3")
}

func missingKey(t *testing.T, c cluster) {
	w := newTier(t, c, "web")
	w.apps["web"] = "key"
	w.says(w.must(3, "-tag", "a", "-timeout", "6s"), "container web: CreateContainerConfigError", "Secret "+w.namespace+"/web-secrets lacks the key TOKEN: fill it in")
}

func noImage(t *testing.T, c cluster) {
	w := newTier(t, c, "web")
	w.apps["web"] = "pull"
	w.says(w.must(3, "-tag", "a", "-timeout", "6s"), "container web: the image "+registry+"web:a cannot be pulled (ImagePullBackOff): ", "manifest unknown", "was this tag pushed")
}

func podSecurity(t *testing.T, c cluster) {
	w := newTier(t, c, "web")
	w.podSecurity = "privileged" // the namespace, which is there, enforces more
	w.edit = func(d *appsv1.Deployment) {
		d.Spec.Template.Spec.Containers[0].SecurityContext.Privileged = new(true)
		d.Spec.Template.Spec.Containers[0].SecurityContext.AllowPrivilegeEscalation = new(true)
	}
	w.says(w.must(3, "-tag", "a", "-timeout", "6s"), "no pod can be made: ", "violates PodSecurity", "the namespace enforces Pod Security")
}

func noRoom(t *testing.T, c cluster) {
	w := newTier(t, c, "web")
	w.edit = func(d *appsv1.Deployment) { d.Spec.Template.Spec.NodeSelector = map[string]string{"disk": "fast"} }
	w.says(w.must(3, "-tag", "a", "-timeout", "6s"), "no node takes the pod: 0/1 nodes are available")
}

// migration: a Job that comes before a release ends before the workloads
// change. Where it fails, they stay as they were; the same release tried again
// does not run it again, until somebody deletes it.
func migration(t *testing.T, c cluster) {
	w := newTier(t, c, "web")
	job := func(tag, state string) {
		w.others = []object.Component{components.Job{
			Name: "migrate", Namespace: w.namespace, Image: registry + "extra:" + tag, BeforeRelease: true, Retries: new(int32(0)),
			Changes: []components.Change{components.Edit(func(j *batchv1.Job) {
				j.Spec.Template.Annotations = map[string]string{"e2e/state": state}
			})},
		}}
	}
	job("a", "done")
	w.ci()
	w.admitted("-tag", "a")
	out := w.must(0, "-tag", "a")
	ended, changed := strings.Index(out, "Job "+w.namespace+"/migrate-"), strings.Index(out, "applying workloads")
	if ended < 0 || changed < ended {
		t.Errorf("the workloads do not wait for the Job:\n%s", out)
	}
	w.says(w.must(0, "-tag", "a"), "nothing to change")

	job("b", "failed")
	fails := func() string {
		t.Helper()
		out := w.must(3, "-tag", "b", "-timeout", "60s", "-no-logs")
		name := regexp.MustCompile(`migrate-[0-9a-f]{10} is not ready`).FindString(out)
		name = strings.TrimSuffix(name, " is not ready")
		w.says(out, "Job "+w.namespace+"/migrate-", "container migrate: ended with exit status 7", "kubectl -n "+w.namespace+" delete job "+name)
		if strings.Contains(out, "applying workloads") || w.image("web") != registry+"web:a" {
			t.Errorf("the workloads changed after a Job that failed:\n%s", out)
		}
		return c.kubectl("get", "job", name, "-n", w.namespace, "-o", "jsonpath={.metadata.uid} {.metadata.name}")
	}
	first := fails()
	if again := fails(); again != first {
		t.Errorf("the Job ran again by itself: %s, then %s", first, again)
	}
	_, name, _ := strings.Cut(first, " ")
	c.kubectl("delete", "job", name, "-n", w.namespace)
	if again := fails(); again == first {
		t.Error("the Job that was deleted did not run again")
	}
	job("c", "done")
	out = w.must(0, "-tag", "c")
	if got := w.image("web"); got != registry+"web:c" {
		t.Errorf("web runs %s", got)
	}
	w.says(out, "stays   Job "+w.namespace+"/migrate-")
}

// keepImages: what is not pinned stays as it runs, before the first release
// and after it.
func keepImages(t *testing.T, c cluster) {
	w := newTier(t, c, "web", "api")
	// A tier that kubectl applied.
	files := w.release("v7")
	c.apply(string(files.Manifests))
	w.must(0, "-keep-images")
	if got := w.image("web"); got != registry+"web:v7" {
		t.Errorf("web runs %s", got)
	}
	const digest = "v8@sha256:0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef"
	w.must(0, "-keep-images", "-image", "web="+digest)
	if got := w.image("web"); got != registry+"web:"+digest {
		t.Errorf("web runs %s", got)
	}
	if got := w.image("api"); got != registry+"api:v7" {
		t.Errorf("api runs %s", got)
	}
	// One that failed does not count.
	w.apps["web"] = "unready"
	w.must(3, "-tag", "v9", "-timeout", "5s")
	w.apps["web"] = ""
	w.must(0, "-keep-images")
	if got := w.image("web"); got != registry+"web:"+digest {
		t.Errorf("web runs %s", got)
	}
	w.apps["extra"] = ""
	w.says(w.must(1, "-keep-images"), "the image extra is not pinned")
	// Who may write the records, as the pipeline may, chooses a tag by them and
	// no other image.
	delete(w.apps, "extra")
	for _, record := range strings.Fields(c.kubectl("get", "configmaps", "-n", w.namespace, "-l", "fleet/state=release", "-o", "name")) {
		c.kubectl("patch", record, "-n", w.namespace, "--type=merge", "-p", `{"data":{"images":"web=v8/../../evil:1\napi=v7\n"}}`)
	}
	_, out := w.runAs(filepath.Join(c.dir, "admin.kubeconfig"), "-keep-images")
	w.says(out, "the images that run: ", `is neither a tag nor a digest`)
	if got := w.image("web"); got != registry+"web:"+digest {
		t.Errorf("web runs %s", got)
	}
}

// takeOver: fields that kubectl applied and that are no longer rendered go, as
// the dry run says; those that others set stay.
func takeOver(t *testing.T, c cluster) {
	w := newTier(t, c, "web")
	w.edit = func(d *appsv1.Deployment) {
		d.Spec.Template.Spec.Containers[0].Env = append(d.Spec.Template.Spec.Containers[0].Env, corev1.EnvVar{Name: "OLD", Value: "1"})
		d.Annotations = map[string]string{"note": "old"}
		d.Spec.MinReadySeconds = 1
	}
	c.apply(string(w.release("a").Manifests))
	// A probe of another kind: two of them in one probe are refused.
	w.edit = func(d *appsv1.Deployment) {
		probe := d.Spec.Template.Spec.Containers[0].ReadinessProbe
		probe.TCPSocket, probe.HTTPGet = nil, &corev1.HTTPGetAction{Path: "/", Port: probe.TCPSocket.Port}
	}
	c.kubectl("annotate", "deployment", "web", "-n", w.namespace, "hand=made")
	out := w.must(0, "-tag", "a", "-dry-run")
	w.says(out, "change  Deployment "+w.namespace+"/web", "-   spec.template.spec.containers[web].env[OLD]", "-   metadata.annotations.note: old")
	w.must(0, "-tag", "a")
	d := c.kubectl("get", "deployment", "web", "-n", w.namespace, "-o", "json", "--show-managed-fields")
	for _, gone := range []string{`"OLD"`, `"note"`, `"minReadySeconds"`, "last-applied-configuration", "kubectl-client-side-apply"} {
		if strings.Contains(d, gone) {
			t.Errorf("%s is there still", gone)
		}
	}
	for _, stays := range []string{`"hand": "made"`, `"fleet-apps"`} {
		if !strings.Contains(d, stays) {
			t.Errorf("%s is gone", stays)
		}
	}
	w.says(w.must(0, "-tag", "a"), "nothing to change: this is release 1")
}

// killed: whatever the last thing was that a deploy wrote, the next one
// completes it, and its lock runs out.
func killed(t *testing.T, c cluster) {
	w := newTier(t, c, "web", "api")
	w.others = []object.Component{components.Plain(configMap(w.namespace, "one", nil))}
	w.ci()
	w.must(0, "-tag", "a")
	for step := 0; ; step++ {
		if step > 60 {
			t.Fatal("a release has more steps than it can have")
		}
		// Each release changes an app and a Service, makes an object and
		// removes one.
		tag := fmt.Sprintf("t%d", step)
		name := []string{"two", "one"}[step%2]
		w.others = []object.Component{components.Plain(configMap(w.namespace, name, nil))}
		w.editService = func(s *corev1.Service) { s.Spec.Ports[0].Port = int32(8000 + step) }
		config, writes := watch(w.config, step)
		var out syncBuffer
		_, err := w.deployer(config, &out).Deploy(t.Context(), w.release(tag))
		if err == nil {
			t.Logf("a release writes %d times", len(writes.writes))
			break
		}
		last := "nothing"
		if n := len(writes.writes); n > 0 {
			last = writes.writes[n-1]
		}
		var again syncBuffer
		record, err := w.deployer(w.config, &again).Deploy(t.Context(), w.release(tag))
		if err != nil {
			t.Fatalf("killed after %s: the next one: %v\n%s", last, err, &again)
		}
		t.Logf("killed after %d, %s: release %d completes it", step, last, record.Number)
		if step > 1 && !strings.Contains(again.String(), "was never completed: this one takes its place") && !strings.Contains(again.String(), "nothing to change") {
			t.Errorf("killed after %s: the next one does not say so:\n%s", last, &again)
		}
		if w.image("web") != registry+"web:"+tag || w.image("api") != registry+"api:"+tag {
			t.Fatalf("killed after %s: the images are %s, %s", last, w.image("web"), w.image("api"))
		}
		gone := []string{"one", "two"}[step%2]
		if w.exists("configmap", gone) || !w.exists("configmap", name) {
			t.Fatalf("killed after %s: ConfigMap %s is there, or %s is not", last, gone, name)
		}
		inventory := c.kubectl("get", "configmap", "fleet-apps-inventory", "-n", w.namespace, "-o", "jsonpath={.data}")
		if strings.Contains(inventory, "_"+gone+"__ConfigMap") || !strings.Contains(inventory, "_"+name+"__ConfigMap") || strings.Contains(inventory, `:""`) {
			t.Fatalf("killed after %s: the inventory is %s", last, inventory)
		}
		all, err := w.deployer(w.config, nil).Releases(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		if slices.ContainsFunc(all, func(r deploy.Record) bool { return r.Status == deploy.Running }) {
			t.Fatalf("killed after %s: a release goes on for ever", last)
		}
	}
}

// interrupted: a signal ends a deploy in order.
func interrupted(t *testing.T, c cluster) {
	w := newTier(t, c, "web")
	w.must(0, "-tag", "a")
	w.apps["web"] = "unready"
	ctx, cancel := context.WithCancel(t.Context())
	time.AfterFunc(4*time.Second, cancel)
	var out syncBuffer
	record, err := w.deployer(w.config, &out).Deploy(ctx, w.release("b"))
	var failed *deploy.FailedError
	if !errors.As(err, &failed) || record.Status != deploy.Interrupted {
		t.Fatalf("it ended with %v, as %+v\n%s", err, record, &out)
	}
	if holder := c.kubectl("get", "lease", "fleet-apps", "-n", w.namespace, "-o", "jsonpath={.spec.holderIdentity}"); holder != "" {
		t.Errorf("%s holds the lock still", holder)
	}
	w.says(w.must(0, "-list"), "interrupted")
	w.apps["web"] = ""
	w.must(0, "-tag", "b", "-lock-wait", "5s")
}

// history: ten releases are kept, an older pipeline run is refused, and a
// rollback brings manifests back, not only images.
func history(t *testing.T, c cluster) {
	w := newTier(t, c, "web")
	w.others = []object.Component{components.Plain(configMap(w.namespace, "first", nil))}
	w.ci()
	w.must(0, "-tag", "t1", "-run", "7")
	w.others = nil
	w.must(0, "-tag", "t2", "-run", "8")
	if w.exists("configmap", "first") {
		t.Error("ConfigMap first is there still")
	}
	w.says(w.must(1, "-tag", "t3", "-run", "7"), "pipeline run 7 is older than run 8, which made release 2")
	w.must(0, "-rollback")
	if !w.exists("configmap", "first") || w.image("web") != registry+"web:t1" {
		t.Error("the rollback did not bring the manifests back")
	}
	for i := range 10 {
		w.must(0, "-tag", fmt.Sprintf("n%d", i))
	}
	all, err := w.deployer(w.config, nil).Releases(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if len(all) != 10 || all[9].Number != 13 || all[0].Number != 4 {
		t.Errorf("%d releases are kept, from %d", len(all), all[0].Number)
	}
}

// rights: the deployer may do what a deploy does, in its namespace, and no
// more.
func rights(t *testing.T, c cluster) {
	w := newTier(t, c, "web")
	for _, tc := range []struct {
		args []string
		want string
	}{
		{[]string{"patch", "deployments.apps"}, "yes"},
		{[]string{"delete", "services"}, "yes"},
		{[]string{"get", "pods/log"}, "yes"},
		{[]string{"update", "leases.coordination.k8s.io"}, "yes"},
		{[]string{"get", "secrets"}, "no"},
		{[]string{"list", "secrets"}, "no"},
		{[]string{"create", "pods"}, "no"},
		{[]string{"create", "pods/exec"}, "no"},
		{[]string{"delete", "leases.coordination.k8s.io"}, "no"},
		{[]string{"patch", "roles.rbac.authorization.k8s.io"}, "no"},
		{[]string{"delete", "persistentvolumeclaims"}, "no"},
		{[]string{"patch", "namespaces"}, "no"},
	} {
		out, _ := c.try(nil, append([]string{"auth", "can-i", "--as=system:serviceaccount:" + w.namespace + ":ci-deployer", "-n", w.namespace}, tc.args...)...)
		if got := regexp.MustCompile(`(?m)^(yes|no)$`).FindString(out); got != tc.want {
			t.Errorf("may the deployer %s? %q, want %s", strings.Join(tc.args, " "), out, tc.want)
		}
	}
	// Without the right to a new kind, it says who must do what.
	w.must(0, "-tag", "a")
	cron := &corev1.ResourceQuota{}
	cron.APIVersion, cron.Kind, cron.Namespace, cron.Name = "v1", "ResourceQuota", w.namespace, "quota"
	w.others = []object.Component{components.Plain(cron)}
	w.says(w.must(1, "-tag", "b"), "ResourceQuota "+w.namespace+"/quota: ", "an admin deploys the layer with the deployer's Role first")
	w.ci()
	w.must(0, "-tag", "b")
	// Taken away again, an admin's release takes the right, and the next one
	// says what is left.
	w.others = nil
	w.ci()
	w.says(w.must(0, "-tag", "b"), "stays   ResourceQuota "+w.namespace+"/quota: may not be read")

}

// certificates: a release waits for the certificate of a new host; one that is
// not issued is told with the reason of its challenge, or where it has none
// with that of its newest request, and undoes nothing.
func certificates(t *testing.T, c cluster) {
	w := newTier(t, c, "web")
	w.host = "www.example.com"
	w.ci()
	c.apply(`{apiVersion: cert-manager.io/v1, kind: Certificate, metadata: {namespace: ` + w.namespace + `, name: web-tls}}
---
{apiVersion: acme.cert-manager.io/v1, kind: Challenge, metadata: {namespace: ` + w.namespace + `, name: one}, spec: {dnsName: www.example.com}}
---
{apiVersion: acme.cert-manager.io/v1, kind: Challenge, metadata: {namespace: ` + w.namespace + `, name: other}, spec: {dnsName: other.example.com}}
`)
	request := func(name, certificate string, revision int, message string) {
		c.apply(fmt.Sprintf(`{apiVersion: cert-manager.io/v1, kind: CertificateRequest, metadata: {namespace: %s, name: %s, annotations: {cert-manager.io/certificate-name: %s, cert-manager.io/certificate-revision: "%d"}}}`, w.namespace, name, certificate, revision))
		c.kubectl("patch", "certificaterequest", name, "-n", w.namespace, "--subresource=status", "--type=merge", "-p", fmt.Sprintf(`{"status":{"conditions":[{"type":"Ready","status":"False","message":%q}]}}`, message))
	}
	request("web-tls-2", "web-tls", 9, "of an attempt before")
	request("web-tls-1", "web-tls", 10, "Referenced \"ClusterIssuer\" not found")
	request("other", "other", 11, "of another certificate")
	c.kubectl("patch", "certificate", "web-tls", "-n", w.namespace, "--subresource=status", "--type=merge", "-p", `{"status":{"conditions":[{"type":"Ready","status":"False","message":"Issuing certificate as Secret does not exist"}]}}`)
	for name, why := range map[string]string{"one": "Waiting for HTTP-01 challenge propagation: wrong status code '404', expected '200'", "other": "not about this host"} {
		c.kubectl("patch", "challenge", name, "-n", w.namespace, "--subresource=status", "--type=merge", "-p", fmt.Sprintf(`{"status":{"reason":%q}}`, why))
	}
	w.admitted("-tag", "a")
	out := w.must(0, "-tag", "a", "-timeout", "15s")
	w.says(out, "waiting for 1 certificate",
		"note: Certificate "+w.namespace+"/web-tls is not issued yet (www.example.com): Issuing certificate as Secret does not exist; the challenge for www.example.com: ",
		"wrong status code '404'", "release 1 is ready")
	if strings.Contains(out, "not about this host") || strings.Contains(out, "its request") {
		t.Errorf("it says more than the challenge of this host:\n%s", out)
	}
	// The same host again: nothing to wait for.
	if out := w.must(0, "-tag", "b"); strings.Contains(out, "waiting for 1 certificate") {
		t.Errorf("it waits for a host that has not changed:\n%s", out)
	}
	// A new host without a challenge.
	w.host = "third.example.com"
	w.ci()
	allow := "-allow=host=Ingress " + w.namespace + "/web" // the old one is given up
	w.admitted("-tag", "b", allow)
	out = w.must(0, "-tag", "b", "-timeout", "15s", allow)
	w.says(out, "web-tls is not issued yet (third.example.com): Issuing certificate as Secret does not exist; its request: Referenced \"ClusterIssuer\" not found\n")
	// A new host whose certificate comes.
	w.host = "new.example.com"
	w.ci()
	w.admitted("-tag", "b", allow)
	time.AfterFunc(8*time.Second, func() {
		c.try(nil, "patch", "certificate", "web-tls", "-n", w.namespace, "--subresource=status", "--type=merge", "-p", `{"status":{"conditions":[{"type":"Ready","status":"True"}]}}`)
	})
	out = w.must(0, "-tag", "b", "-timeout", "60s", allow)
	w.says(out, "waiting for 1 certificate", "Certificate "+w.namespace+"/web-tls: ready")
	if strings.Contains(out, "is not issued yet") {
		t.Errorf("the certificate is there:\n%s", out)
	}
}

// secretsApplied: the Secrets are there, nothing is left of kubectl's
// annotation, and what reads a key that changed is restarted, and nothing else.
func secretsApplied(t *testing.T, c cluster) {
	w := newTier(t, c, "web", "api", "extra")
	for _, app := range []string{"web", "api", "extra"} {
		c.apply(fmt.Sprintf(`{apiVersion: apps/v1, kind: Deployment, metadata: {namespace: %[1]s, name: %[2]s}, spec: {selector: {matchLabels: {app: %[2]s}}, template: {metadata: {labels: {app: %[2]s}}, spec: {securityContext: {runAsNonRoot: true, runAsUser: 1, seccompProfile: {type: RuntimeDefault}}, containers: [{name: c, image: i, securityContext: {allowPrivilegeEscalation: false, capabilities: {drop: [ALL]}}%[3]s}]}}}}`,
			w.namespace, app, map[string]string{
				"web": ", env: [{name: A, valueFrom: {secretKeyRef: {name: shared, key: TOKEN}}}]",
				"api": ", env: [{name: A, valueFrom: {secretKeyRef: {name: shared, key: OTHER}}}]",
			}[app]))
	}
	c.apply(fmt.Sprintf(`{apiVersion: v1, kind: Secret, metadata: {namespace: %s, name: shared}, stringData: {TOKEN: old-token-value, OTHER: other-value, EXTRA: extra-value}}`, w.namespace))
	contract := secret.Contract{Name: "shared", Namespace: w.namespace, Keys: []secret.Key{{Name: "TOKEN", Purpose: "p"}, {Name: "OTHER", Purpose: "p"}}}
	command := secrets.Command{
		Name: "secrets", Environments: []string{"e2e"}, Apply: deploy.ApplySecrets,
		Set: func(string) (secrets.Set, error) { return secrets.Set{Secrets: []secret.Contract{contract}}, nil },
	}
	apply := func(status int, file string, args ...string) string {
		t.Helper()
		var out syncBuffer
		if got := command.Run(append(append([]string{"apply"}, args...), "-"), strings.NewReader(file), &out, &out); got != status {
			t.Fatalf("status %d, want %d:\n%s", got, status, &out)
		}
		for _, value := range []string{"new-token-value", "old-token-value", "other-value", "extra-value"} {
			if strings.Contains(out.String(), value) {
				t.Errorf("it prints a value:\n%s", &out)
			}
		}
		return out.String()
	}
	file := fmt.Sprintf("apiVersion: v1\nkind: Secret\nmetadata: {namespace: %s, name: shared}\nstringData:\n  TOKEN: new-token-value\n  OTHER: other-value\n", w.namespace)
	get := func(path string) string {
		return c.kubectl("get", "secret", "shared", "-n", w.namespace, "-o", "jsonpath={"+path+"}")
	}

	w.says(apply(0, file, "-dry-run"), "change  Secret "+w.namespace+"/shared: TOKEN", "restart Deployment "+w.namespace+"/web")
	if !strings.Contains(get(".metadata.annotations"), "old-token-value") {
		t.Error("a dry run changes the Secret")
	}
	out := apply(0, file)
	w.says(out, "change  Secret "+w.namespace+"/shared: TOKEN\n", "restart Deployment "+w.namespace+"/web\n", "Deployment "+w.namespace+"/web: ready")
	if strings.Contains(out, "/api") || strings.Contains(out, "/extra") {
		t.Errorf("it restarts what reads no key that changed:\n%s", out)
	}
	if annotations := get(".metadata.annotations"); strings.Contains(annotations, "last-applied") {
		t.Errorf("the annotation is there: %s", annotations)
	}
	if keys := get(".data"); !strings.Contains(keys, "EXTRA") || get(".data.TOKEN") != "bmV3LXRva2VuLXZhbHVl" {
		t.Errorf("the Secret has %s", keys)
	}
	w.says(apply(0, file), "nothing that runs reads a key that changed")
	w.says(apply(1, strings.Replace(file, "  OTHER: other-value\n", "", 1)), "key OTHER: is missing")
	w.says(apply(1, file+"type: kubernetes.io/basic-auth\n"), "has another type")
}

// wholeTier: the app tier itself, with the rights and under the policy of its
// own deployer.
func wholeTier(t *testing.T, c cluster) {
	c.t = t
	run := func(status int, kubeconfig string, args ...string) string {
		t.Helper()
		var out syncBuffer
		got := deploy.Command{Name: "deploy", Layer: "apps", Environments: apps.Environments().Names(), Repositories: apps.Repositories(), Tree: apps.Tree}.
			Run(append([]string{"-kubeconfig", kubeconfig}, args...), &out, &out)
		if got != status {
			t.Fatalf("deploy %s: status %d, want %d:\n%s", strings.Join(args, " "), got, status, &out)
		}
		return out.String()
	}
	admin := filepath.Join(c.dir, "admin.kubeconfig")
	// The runner needs its Secret and its node's storage, and never starts
	// here: the layer is applied, and says what it waits for.
	run(3, admin, "-layer", "ci", "-timeout", "10s")
	namespace, name := apps.Deployer()
	var text, errs bytes.Buffer
	if status := (deploy.KubeconfigCommand{Name: "kubeconfig", Account: deploy.Account{Namespace: namespace, Name: name, Cluster: "dezky"}}).
		Run([]string{"-server", c.url, "-duration", "1h"}, &text, &errs); status != 0 || !strings.Contains(errs.String(), "its token ends on") {
		t.Fatalf("kubeconfig: status %d: %s", status, &errs)
	}
	own := filepath.Join(t.TempDir(), "kubeconfig")
	write(t, own, text.Bytes())
	out := run(0, own, "-tag", "0123456789abcdef0123456789abcdef01234567", "-timeout", "30s")
	for _, want := range []string{"the token of this kubeconfig ends on", "release 1 is ready", "is not issued yet"} {
		if !strings.Contains(out, want) {
			t.Errorf("it does not say %q:\n%s", want, out)
		}
	}
	if out := run(0, own, "-keep-images"); !strings.Contains(out, "nothing to change: this is release 1") {
		t.Errorf("a second time:\n%s", out)
	}
}

// ownNamespace: a layer that has the namespace of its own records, and a kind
// with an object of it, goes into an empty cluster at once.
func ownNamespace(t *testing.T, c cluster) {
	c.t = t
	custom := &unstructured.Unstructured{Object: map[string]any{"apiVersion": "e2e.example.com/v1", "kind": "Thing", "metadata": map[string]any{"namespace": "own", "name": "thing"}}}
	definition := &unstructured.Unstructured{Object: map[string]any{
		"apiVersion": "apiextensions.k8s.io/v1", "kind": "CustomResourceDefinition", "metadata": map[string]any{"name": "things.e2e.example.com"},
		"spec": map[string]any{
			"group": "e2e.example.com", "scope": "Namespaced", "names": map[string]any{"plural": "things", "kind": "Thing"},
			"versions": []any{map[string]any{"name": "v1", "served": true, "storage": true, "schema": map[string]any{"openAPIV3Schema": map[string]any{"type": "object"}}}},
		},
	}}
	command := deploy.Command{Name: "deploy", Tree: func(string, render.Images) (render.Tree, error) {
		return render.Tree{Name: "own", Layers: []render.Layer{{Name: "data", Namespace: "own", Files: []render.File{
			{Name: "00", Components: []object.Component{components.Namespace{Name: "own"}, components.Plain(definition)}},
			{Name: "thing", Components: []object.Component{components.Plain(custom)}},
		}}}}, nil
	}}
	for i, want := range []string{"create  Namespace own, first: the records of the layer are kept there", "nothing to change"} {
		var out syncBuffer
		if status := command.Run([]string{"-kubeconfig", filepath.Join(c.dir, "admin.kubeconfig"), "-timeout", "60s"}, &out, &out); status != 0 || !strings.Contains(out.String(), want) {
			t.Fatalf("run %d: status %d:\n%s", i, status, &out)
		}
	}
}
