package e2e

import (
	"fmt"
	"net/http"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"k8s.io/client-go/rest"
)

// startWhole runs a cluster in which rollouts progress: with the controllers,
// the scheduler, and nodes and pods by kwok. What becomes of a pod says its
// annotation e2e/state; see testdata/pods.yaml.
func startWhole(t *testing.T) cluster {
	t.Helper()
	c := start(t)
	config := c.kubeconfig()
	run(t, c.dir, "kube-controller-manager.log", "kube-controller-manager",
		"--kubeconfig="+config, "--leader-elect=false", "--secure-port=0",
		"--service-account-private-key-file="+filepath.Join(c.dir, "key.pem"),
		// The server signs its own certificate, with its CA behind it.
		"--root-ca-file="+filepath.Join(c.dir, "certs", "apiserver.crt"),
	)
	run(t, c.dir, "kube-scheduler.log", "kube-scheduler", "--kubeconfig="+config, "--leader-elect=false", "--secure-port=0")
	module, err := exec.Command("go", "list", "-m", "-f", "{{.Dir}}", "sigs.k8s.io/kwok").Output()
	if err != nil {
		t.Fatal(err)
	}
	pods, err := filepath.Abs("testdata/pods.yaml")
	if err != nil {
		t.Fatal(err)
	}
	run(t, c.dir, "kwok.log", "kwok",
		"--kubeconfig="+config, "--manage-all-nodes=true", "--node-lease-duration-seconds=40",
		"--config="+filepath.Join(strings.TrimSpace(string(module)), "kustomize/stage/node/fast/node-initialize.yaml"),
		"--config="+pods,
	)
	c.apply(`apiVersion: v1
kind: Node
metadata: {name: node}
`)
	for _, kind := range []string{"certificates.cert-manager.io Certificate", "certificaterequests.cert-manager.io CertificateRequest", "challenges.acme.cert-manager.io Challenge"} {
		name, kind, _ := strings.Cut(kind, " ")
		plural, group, _ := strings.Cut(name, ".")
		c.apply(fmt.Sprintf(`apiVersion: apiextensions.k8s.io/v1
kind: CustomResourceDefinition
metadata: {name: %s}
spec:
  group: %s
  scope: Namespaced
  names: {plural: %s, kind: %s}
  versions:
  - name: v1
    served: true
    storage: true
    subresources: {status: {}}
    schema: {openAPIV3Schema: {type: object, x-kubernetes-preserve-unknown-fields: true}}
`, name, group, plural, kind))
	}
	c.eventually("wait", "node/node", "--for=condition=Ready", "--timeout=1s")
	c.eventually("get", "configmap", "kube-root-ca.crt", "-n", "kube-system")
	return c
}

// apply applies a manifest as an admin, as kubectl does without flags.
func (c cluster) apply(manifest string) {
	c.t.Helper()
	if out, err := c.try([]byte(manifest), "apply", "-f", "-"); err != nil {
		c.t.Fatalf("%v\n%s\n%s", err, out, manifest)
	}
}

// watched is a transport that takes down what is written to the cluster, and
// can be cut as if the process had been killed: after that, nothing gets
// through.
type watched struct {
	http.RoundTripper
	mu     sync.Mutex
	writes []string
	// most writes get through. Negative for no limit.
	most int
	cut  bool
}

// watch puts the transport between a client and the cluster.
func watch(config *rest.Config, most int) (*rest.Config, *watched) {
	w := &watched{most: most}
	config = rest.CopyConfig(config)
	config.Wrap(func(next http.RoundTripper) http.RoundTripper {
		w.RoundTripper = next
		return w
	})
	return config, w
}

// RoundTrip implements http.RoundTripper.
func (w *watched) RoundTrip(r *http.Request) (*http.Response, error) {
	w.mu.Lock()
	writes := r.Method != http.MethodGet && r.URL.Query().Get("dryRun") == "" && !strings.Contains(r.URL.Path, "/leases")
	if writes && !w.cut {
		if w.most >= 0 && len(w.writes) >= w.most {
			w.cut = true
		} else {
			parts := strings.Split(r.URL.Path, "/")
			w.writes = append(w.writes, r.Method+" "+strings.Join(parts[max(0, len(parts)-2):], "/"))
		}
	}
	cut := w.cut
	w.mu.Unlock()
	if cut {
		return nil, fmt.Errorf("the process is dead")
	}
	return w.RoundTripper.RoundTrip(r)
}

// position is the place of the first write that has the text, from 0; -1 where
// there is none.
func (w *watched) position(text string) int {
	w.mu.Lock()
	defer w.mu.Unlock()
	for i, line := range w.writes {
		if strings.Contains(line, text) {
			return i
		}
	}
	return -1
}

func (w *watched) String() string {
	w.mu.Lock()
	defer w.mu.Unlock()
	return strings.Join(w.writes, "\n")
}
