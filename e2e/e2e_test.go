package e2e

import (
	"bytes"
	"context"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"encoding/json"
	"encoding/pem"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	networkingv1 "k8s.io/api/networking/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"git.lastcloud.io/ronnibaslund/dezky/fleet/apps"
	"git.lastcloud.io/ronnibaslund/dezky/fleet/components"
	"git.lastcloud.io/ronnibaslund/dezky/fleet/render"
)

// bin is where the built programs are.
var bin string

func TestMain(m *testing.M) {
	if os.Getenv(isEditor) != "" {
		if err := edit(os.Args[1]); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		return
	}
	cache, err := os.UserCacheDir()
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	bin = filepath.Join(cache, "dezky-fleet-e2e", "bin")
	build := exec.Command("go", "install", "tool")
	build.Env = append(os.Environ(), "GOBIN="+bin)
	build.Stderr = os.Stderr
	fmt.Fprintln(os.Stderr, "building etcd, Kubernetes, kwok and Traefik: minutes the first time")
	if err := build.Run(); err != nil {
		fmt.Fprintln(os.Stderr, "go install tool:", err)
		os.Exit(1)
	}
	if err := buildTraefik(); err != nil {
		fmt.Fprintln(os.Stderr, "building Traefik:", err)
		os.Exit(1)
	}
	os.Exit(m.Run())
}

// cluster is an API server with nothing in it and no controllers.
type cluster struct {
	t   *testing.T
	dir string
	url string
}

// start runs a cluster until the end of the test. Somebody else may take an
// address between finding and using it, so it tries more than once.
func start(t *testing.T) cluster {
	t.Helper()
	for range 3 {
		if c := attempt(t); c.ready() {
			c.kubectl("apply", "-f", middlewareCRD(t))
			c.eventually("get", "middlewares.traefik.io", "-A")
			return c
		}
	}
	t.Fatal("no cluster came up in three attempts")
	return cluster{}
}

func attempt(t *testing.T) cluster {
	t.Helper()
	dir := t.TempDir()
	key, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		t.Fatal(err)
	}
	write(t, filepath.Join(dir, "key.pem"), pem.EncodeToMemory(&pem.Block{Type: "RSA PRIVATE KEY", Bytes: x509.MarshalPKCS1PrivateKey(key)}))
	write(t, filepath.Join(dir, "tokens.csv"), []byte("admin,admin,1,system:masters\n"))

	free := freeAddresses(t, 3)
	etcd, peer, api := free[0], free[1], free[2]
	host, port, _ := net.SplitHostPort(api)
	run(t, dir, "etcd.log", "server", // etcd, named after its package
		"--data-dir="+filepath.Join(dir, "etcd"),
		"--listen-client-urls=http://"+etcd, "--advertise-client-urls=http://"+etcd,
		"--listen-peer-urls=http://"+peer, "--initial-advertise-peer-urls=http://"+peer,
		"--initial-cluster=default=http://"+peer, "--unsafe-no-fsync")
	run(t, dir, "kube-apiserver.log", "kube-apiserver",
		"--etcd-servers=http://"+etcd,
		"--bind-address="+host, "--secure-port="+port, "--cert-dir="+filepath.Join(dir, "certs"),
		"--service-account-issuer=https://kubernetes.default.svc",
		"--service-account-key-file="+filepath.Join(dir, "key.pem"),
		"--service-account-signing-key-file="+filepath.Join(dir, "key.pem"),
		"--service-cluster-ip-range=10.43.0.0/16",
		"--token-auth-file="+filepath.Join(dir, "tokens.csv"),
		"--authorization-mode=RBAC",
		"--allow-privileged=true",                    // as k3s has it
		"--disable-admission-plugins=ServiceAccount", // no controller makes the default accounts
	)
	return cluster{t: t, dir: dir, url: "https://" + api}
}

// kubeconfig writes the file of an admin, and returns its path.
func (c cluster) kubeconfig() string {
	c.t.Helper()
	path := filepath.Join(c.dir, "admin.kubeconfig")
	write(c.t, path, fmt.Appendf(nil, `apiVersion: v1
kind: Config
clusters: [{name: e2e, cluster: {server: %q, insecure-skip-tls-verify: true}}]
users: [{name: admin, user: {token: admin}}]
contexts: [{name: e2e, context: {cluster: e2e, user: admin}}]
current-context: e2e
`, c.url))
	return path
}

// ready waits for the API server, a minute at most.
func (c cluster) ready() bool {
	for range 120 {
		if _, err := c.try(nil, "get", "--raw=/readyz"); err == nil {
			return true
		}
		time.Sleep(500 * time.Millisecond)
	}
	return false
}

// run starts a program, and ends it with the test.
func run(t *testing.T, dir, logName, program string, args ...string) {
	t.Helper()
	runWith(t, dir, logName, nil, program, args...)
}

// runWith is run with variables beside those of the test.
func runWith(t *testing.T, dir, logName string, env []string, program string, args ...string) {
	t.Helper()
	log, err := os.Create(filepath.Join(dir, logName))
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command(filepath.Join(bin, program), args...)
	cmd.Env = append(os.Environ(), env...)
	cmd.Stdout, cmd.Stderr = log, log
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		cmd.Process.Kill()
		cmd.Wait()
		log.Close()
		if t.Failed() {
			text, _ := os.ReadFile(log.Name())
			t.Logf("the end of %s:\n%s", logName, text[max(0, len(text)-4000):])
		}
	})
}

func write(t *testing.T, path string, data []byte) {
	t.Helper()
	if err := os.WriteFile(path, data, 0o600); err != nil {
		t.Fatal(err)
	}
}

// freeAddresses are that many, each another: all are held until the last is
// found.
func freeAddresses(t *testing.T, n int) []string {
	t.Helper()
	var free []string
	for range n {
		l, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			t.Fatal(err)
		}
		defer l.Close()
		free = append(free, l.Addr().String())
	}
	return free
}

// middlewareCRD is the definition of Traefik's Middleware, as Traefik's module
// ships it.
func middlewareCRD(t *testing.T) string {
	t.Helper()
	dir, err := exec.Command("go", "list", "-m", "-f", "{{.Dir}}", "github.com/traefik/traefik/v3").Output()
	if err != nil {
		t.Fatal(err)
	}
	return filepath.Join(strings.TrimSpace(string(dir)), "docs/content/reference/dynamic-configuration/traefik.io_middlewares.yaml")
}

// try runs kubectl as an admin.
func (c cluster) try(stdin []byte, args ...string) (string, error) {
	ctx, cancel := context.WithTimeout(context.Background(), 2*time.Minute)
	defer cancel()
	cmd := exec.CommandContext(ctx, filepath.Join(bin, "kubectl"), append([]string{"--server=" + c.url, "--token=admin", "--insecure-skip-tls-verify"}, args...)...)
	cmd.Env = append(os.Environ(), "HOME="+c.dir, "KUBECONFIG=")
	cmd.Stdin = bytes.NewReader(stdin)
	out, err := cmd.CombinedOutput()
	return string(out), err
}

// kubectl fails the test where the command does.
func (c cluster) kubectl(args ...string) string {
	c.t.Helper()
	out, err := c.try(nil, args...)
	if err != nil {
		c.t.Fatalf("kubectl %s: %v\n%s", strings.Join(args, " "), err, out)
	}
	return out
}

// eventually tries for a minute.
func (c cluster) eventually(args ...string) {
	c.t.Helper()
	var out string
	var err error
	for range 120 {
		if out, err = c.try(nil, args...); err == nil {
			return
		}
		time.Sleep(500 * time.Millisecond)
	}
	c.t.Fatalf("kubectl %s: %v\n%s", strings.Join(args, " "), err, out)
}

// closed holds that each namespace of the tier has a NetworkPolicy which
// selects every pod, lets nobody in, and lets out to port 53 alone.
func closed(t *testing.T, c cluster) {
	var namespaces corev1.NamespaceList
	if err := json.Unmarshal([]byte(c.kubectl("get", "namespaces", "-l", "app.kubernetes.io/managed-by=fleet", "-o", "json")), &namespaces); err != nil {
		t.Fatal(err)
	}
	if len(namespaces.Items) == 0 {
		t.Error("no namespace")
	}
	for _, ns := range namespaces.Items {
		var policies networkingv1.NetworkPolicyList
		if err := json.Unmarshal([]byte(c.kubectl("get", "networkpolicies", "-n", ns.Name, "-o", "json")), &policies); err != nil {
			t.Fatal(err)
		}
		if !slices.ContainsFunc(policies.Items, func(p networkingv1.NetworkPolicy) bool {
			return len(p.Spec.PodSelector.MatchLabels)+len(p.Spec.PodSelector.MatchExpressions) == 0 &&
				len(p.Spec.PolicyTypes) == 2 && len(p.Spec.Ingress) == 0 &&
				!slices.ContainsFunc(p.Spec.Egress, func(r networkingv1.NetworkPolicyEgressRule) bool {
					return len(r.Ports) == 0 || len(r.To) == 0 || slices.ContainsFunc(r.Ports, func(p networkingv1.NetworkPolicyPort) bool { return p.Port.IntValue() != 53 || p.EndPort != nil })
				})
		}) {
			t.Errorf("%s has no NetworkPolicy that closes it", ns.Name)
		}
	}
}

// command is the one that applies the Deployer of a tree, as its policy's
// refusals name it.
func command(t *testing.T, tree render.Tree) string {
	t.Helper()
	for _, layer := range tree.Layers {
		for _, file := range layer.Files {
			for _, c := range file.Components {
				if d, ok := c.(components.Deployer); ok && d.Command != "" {
					return d.Command
				}
			}
		}
	}
	t.Fatal("no Deployer names its command")
	return ""
}

const deployer = "--as=system:serviceaccount:dezky-apps:ci-deployer"

// admitted: the pods of every workload pass the Pod Security of their
// namespaces.
func admitted(t *testing.T, c cluster) {
	t.Helper()
	var list struct {
		Items []struct {
			Kind     string
			Metadata metav1.ObjectMeta
			Spec     struct {
				Template             corev1.PodTemplateSpec
				VolumeClaimTemplates []corev1.PersistentVolumeClaim
				JobTemplate          struct {
					Spec struct{ Template corev1.PodTemplateSpec }
				}
			}
		}
	}
	if err := json.Unmarshal([]byte(c.kubectl("get", "deployments,statefulsets,jobs,cronjobs", "-A", "-o", "json")), &list); err != nil {
		t.Fatal(err)
	}
	if len(list.Items) == 0 {
		t.Error("no workload")
	}
	for _, w := range list.Items {
		spec := w.Spec.Template.Spec
		if w.Kind == "CronJob" {
			spec = w.Spec.JobTemplate.Spec.Template.Spec
		}
		for _, claim := range w.Spec.VolumeClaimTemplates {
			spec.Volumes = append(spec.Volumes, corev1.Volume{Name: claim.Name, VolumeSource: corev1.VolumeSource{
				PersistentVolumeClaim: &corev1.PersistentVolumeClaimVolumeSource{ClaimName: claim.Name + "-" + w.Metadata.Name + "-0"},
			}})
		}
		pod, err := json.Marshal(corev1.Pod{
			TypeMeta:   metav1.TypeMeta{APIVersion: "v1", Kind: "Pod"},
			ObjectMeta: metav1.ObjectMeta{Namespace: w.Metadata.Namespace, Name: w.Metadata.Name},
			Spec:       spec,
		})
		if err != nil {
			t.Fatal(err)
		}
		if out, err := c.try(pod, "create", "--dry-run=server", "-f", "-"); err != nil || strings.Contains(out, "Warning") {
			t.Errorf("the pod of %s %s/%s: %v\n%s", w.Kind, w.Metadata.Namespace, w.Metadata.Name, err, out)
		}
	}
}

// TestExamples: an empty cluster takes the example layers in one pass, as they
// are accepted in their goldens, and a second time nothing changes.
func TestExamples(t *testing.T) {
	c := start(t)
	for _, layer := range []string{"data/golden/data", "auth/golden/authentik", "files/golden/files", "files/golden/auth"} {
		dir := filepath.Join("..", "examples", filepath.FromSlash(layer))
		c.kubectl("apply", "--server-side", "-f", dir)
		if diff, err := c.try(nil, "diff", "--server-side", "-f", dir); err != nil {
			t.Errorf("%s differs from what is in the cluster: %v\n%s", layer, err, diff)
		}
	}
	admitted(t, c)
	closed(t, c)
}

func TestApply(t *testing.T) {
	for _, environment := range apps.Environments().Names() {
		t.Run(environment, func(t *testing.T) {
			tree, err := apps.Tree(environment, render.Images{Tag: "0123456789abcdef0123456789abcdef01234567"})
			if err != nil {
				t.Fatal(err)
			}
			out := t.TempDir()
			report, err := tree.WriteDir(out)
			if err != nil {
				t.Fatal(err)
			}
			c := start(t)

			// An empty cluster takes the layers in one pass, each applied by
			// the hands that it is meant for.
			c.kubectl("apply", "-f", filepath.Join(out, "ci"))
			pipeline := identity{c, deployer, command(t, tree)}
			pipeline.active("dezky-apps")
			c.kubectl("apply", deployer, "-f", filepath.Join(out, "apps"))
			c.kubectl("create", "namespace", "dezky-auth")
			c.kubectl("apply", "-f", filepath.Join(out, "auth"))

			// A second time nothing changes: what is rendered is what the
			// server has, down to its defaults.
			if again := c.kubectl("apply", deployer, "-f", filepath.Join(out, "apps")); strings.Contains(again, "created") {
				t.Errorf("the second apply:\n%s", again)
			}
			for _, layer := range []string{"ci", "apps", "auth"} {
				if diff, err := c.try(nil, "diff", "-f", filepath.Join(out, layer)); err != nil {
					t.Errorf("%s differs from what is in the cluster: %v\n%s", layer, err, diff)
				}
			}
			if n := strings.Count(c.kubectl("get", "-o", "name", "-f", filepath.Join(out, "ci"), "-f", filepath.Join(out, "apps"), "-f", filepath.Join(out, "auth")), "\n"); n != report.Objects {
				t.Errorf("%d objects in the cluster, %d rendered", n, report.Objects)
			}

			// Every namespace that is made is closed but for DNS.
			closed(t, c)

			// The namespace of the apps is kept within its quota.
			quota(t, c, "dezky-apps")

			admitted(t, c)

			// The pipeline may do its work and nothing else.
			tierDoors(t, pipeline, tree)
			for _, tc := range []struct {
				args []string
				want string
			}{
				{[]string{"patch", "deployments.apps"}, "yes"},
				{[]string{"patch", "middlewares.traefik.io"}, "yes"},
				{[]string{"watch", "replicasets.apps"}, "yes"},
				{[]string{"get", "secrets"}, "no"},
				{[]string{"create", "secrets"}, "no"},
				{[]string{"create", "pods"}, "no"},
				{[]string{"delete", "deployments.apps"}, "yes"},
				{[]string{"delete", "persistentvolumeclaims"}, "no"},
				{[]string{"patch", "namespaces"}, "no"},
				{[]string{"patch", "resourcequotas"}, "no"},
				{[]string{"patch", "limitranges"}, "no"},
				{[]string{"patch", "validatingadmissionpolicies.admissionregistration.k8s.io"}, "no"},
				{[]string{"create", "rolebindings.rbac.authorization.k8s.io"}, "no"},
			} {
				out, _ := c.try(nil, append([]string{"auth", "can-i", deployer, "-n", "dezky-apps"}, tc.args...)...)
				if got := regexp.MustCompile(`(?m)^(yes|no)$`).FindString(out); got != tc.want {
					t.Errorf("may ci-deployer %s? %q, want %s", strings.Join(tc.args, " "), out, tc.want)
				}
			}
			if out, _ := c.try(nil, "auth", "can-i", deployer, "-n", "dezky-ci", "create", "deployments.apps"); !strings.Contains(out, "no") {
				t.Errorf("may ci-deployer create Deployments in dezky-ci? %q", out)
			}
		})
	}
}
