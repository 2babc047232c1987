package e2e

import (
	"bytes"
	"fmt"
	"path/filepath"
	"strings"
	"testing"

	"git.lastcloud.io/ronnibaslund/dezky/fleet/deploy"
	"git.lastcloud.io/ronnibaslund/dezky/fleet/internal/sample"
	"git.lastcloud.io/ronnibaslund/dezky/fleet/render"
	"git.lastcloud.io/ronnibaslund/dezky/fleet/render/plan"
)

// TestPlanLive: what runs is compared with what is rendered, without what the
// server and others set, and with what is no longer rendered.
func TestPlanLive(t *testing.T) {
	t.Parallel()
	c := newServer(t).c
	kubeconfig := func(as string) string {
		file := filepath.Join(t.TempDir(), "kubeconfig")
		write(t, file, fmt.Appendf(nil, `apiVersion: v1
kind: Config
current-context: a
contexts: [{name: a, context: {cluster: a, user: a}}]
clusters: [{name: a, cluster: {server: %q, insecure-skip-tls-verify: true}}]
users: [{name: a, user: {token: admin%s}}]
`, c.url, as))
		return file
	}
	admin := kubeconfig("")
	run := func(kubeconfig string, args ...string) (out, errs string, status int) {
		var o, e bytes.Buffer
		status = plan.Command{
			Name: "plan", Environments: sample.Environments().Names(), Repositories: sample.Repositories(), Tree: sample.Tree, Live: deploy.Live,
		}.Run(append([]string{"-live", "-kubeconfig", kubeconfig}, args...), nil, &o, &e)
		return o.String(), e.String(), status
	}
	says := func(out string, texts ...string) {
		t.Helper()
		for _, text := range texts {
			if !strings.Contains(out, text) {
				t.Errorf("it does not say %q:\n%s", text, out)
			}
		}
	}

	// An empty cluster: everything is new.
	out, errs, status := run(admin)
	if status != 0 || !strings.Contains(out, "objects are new.") || strings.Contains(out, "objects change") {
		t.Fatalf("status %d:\n%s%s", status, out, errs)
	}

	tree, err := sample.Tree("production", render.Images{Tag: "v1"})
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	if _, err := tree.WriteDir(dir); err != nil {
		t.Fatal(err)
	}
	for _, ns := range []string{"sample-auth", "sample-ci"} {
		c.kubectl("create", "namespace", ns)
	}
	for _, layer := range []string{"ci", "apps"} {
		c.kubectl("apply", "-f", filepath.Join(dir, layer)) // as it was before fleet
	}
	c.kubectl("apply", "--server-side", "--field-manager=fleet-auth", "-f", filepath.Join(dir, "auth"))

	// Nothing differs, down to the server's defaults, whoever applied it; nor
	// does what others set beside it.
	const same = "Nothing that is rendered changes.\n"
	if out, errs, _ = run(admin, "-tag", "v1"); out != same {
		t.Errorf("what was applied differs:\n%s%s", out, errs)
	}
	c.kubectl("annotate", "deployment", "portal", "-n", "sample-apps", "by=hand")
	c.kubectl("set", "env", "deployment/portal", "-n", "sample-apps", "BY=hand")
	c.kubectl("autoscale", "deployment", "booking", "-n", "sample-apps", "--min=1", "--max=2")
	if out, _, _ = run(admin, "-keep-images"); out != same {
		t.Errorf("what others set is told:\n%s", out)
	}

	// What is rendered is compared, whoever changed it.
	c.kubectl("scale", "deployment", "portal", "-n", "sample-apps", "--replicas=5")
	out, _, status = run(admin, "-keep-images", "-fail-on", "weaker")
	says(out, "weaker       Deployment sample-apps/portal: spec.replicas: ", "    -   spec.replicas: 5\n")
	if status != 3 {
		t.Errorf("status %d", status)
	}
	c.kubectl("scale", "deployment", "portal", "-n", "sample-apps", "--replicas=1")
	out, _, _ = run(admin, "-layer", "apps", "-tag", "v2", "-image", "booking=v1")
	says(out, "Deployment sample-apps/portal: spec.template: 1 pod is replaced.", ":v2\n")
	if strings.Contains(out, "sample-apps/booking") {
		t.Errorf("booking changes too:\n%s", out)
	}

	// Without an inventory: what has the tree's label and nobody owns.
	owner := c.kubectl("get", "deployment", "portal", "-n", "sample-apps", "-o", "jsonpath={.metadata.uid}")
	extra := func(name, more string) []byte {
		return fmt.Appendf(nil, "apiVersion: v1\nkind: Service\nmetadata: {name: %s, namespace: sample-apps, labels: {fleet/tree: sample-apps-production}%s}\nspec: {ports: [{port: 1}]}\n", name, more)
	}
	for name, more := range map[string]string{
		"left-over": "",
		"owned":     fmt.Sprintf(", ownerReferences: [{apiVersion: apps/v1, kind: Deployment, name: portal, uid: %s}]", owner),
	} {
		if out, err := c.try(extra(name, more), "apply", "-f", "-"); err != nil {
			t.Fatal(out)
		}
	}
	if out, err := c.try([]byte("{apiVersion: discovery.k8s.io/v1, kind: EndpointSlice, addressType: IPv4, endpoints: [], metadata: {name: slice, namespace: sample-apps, labels: {fleet/tree: sample-apps-production}}}"), "apply", "-f", "-"); err != nil {
		t.Fatal(out)
	}
	out, _, _ = run(admin, "-keep-images")
	says(out, "1 object is no longer rendered.", "left-behind  Service sample-apps/left-over: ")
	if strings.Contains(out, "owned") || strings.Contains(out, "slice") {
		t.Errorf("what controllers labelled is told:\n%s", out)
	}

	// With one: what it has, and nothing else.
	inventory := "{apiVersion: v1, kind: ConfigMap, metadata: {name: fleet-apps-inventory, namespace: sample-apps, annotations: {fleet/tree: a}}, data: {sample-apps_listed__ConfigMap: '', sample-apps_gone__ConfigMap: ''}}\n---\n{apiVersion: v1, kind: ConfigMap, metadata: {name: listed, namespace: sample-apps}, data: {A: b}}"
	if out, err := c.try([]byte(inventory), "apply", "-f", "-"); err != nil {
		t.Fatal(out)
	}
	out, _, _ = run(admin, "-keep-images")
	says(out, "1 object is no longer rendered.", "left-behind  ConfigMap sample-apps/listed: ")
	if strings.Contains(out, "left-over") || strings.Contains(out, "gone") {
		t.Errorf("what the inventory does not have, or the cluster, is told:\n%s", out)
	}

	// The pipeline sees its own layer, and is told what it may not read.
	deployer := kubeconfig(", as: 'system:serviceaccount:sample-apps:ci-deployer'")
	out, errs, status = run(deployer, "-layer", "apps", "-keep-images")
	if status != 0 || !strings.Contains(out, "ConfigMap sample-apps/listed") || strings.Contains(errs, "may not be read") {
		t.Errorf("as the pipeline: status %d:\n%s%s", status, out, errs)
	}
	_, errs, _ = run(deployer, "-layer", "auth")
	says(errs, "ConfigMap sample-auth/sample-apps-production may not be read, and is taken for new: ")

	// A cluster that is away is an error, and so is one that does not answer in time.
	c.url = "https://127.0.0.1:1"
	if out, _, status = run(kubeconfig("")); status != 1 || out != "" {
		t.Errorf("a cluster that is away: status %d:\n%s", status, out)
	}
	if out, _, status = run(admin, "-timeout", "1ns"); status != 1 || out != "" {
		t.Errorf("no time: status %d:\n%s", status, out)
	}
}
