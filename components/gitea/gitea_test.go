package gitea

import (
	"context"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"go.yaml.in/yaml/v3"
	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"

	"git.lastcloud.io/ronnibaslund/dezky/fleet/components"
	"git.lastcloud.io/ronnibaslund/dezky/fleet/components/secret"
	"git.lastcloud.io/ronnibaslund/dezky/fleet/render/object"
)

func runner(change ...func(*Runner)) Runner {
	r := Runner{Name: "runner", Namespace: "ci", Instance: "https://git.example.com"}
	for _, c := range change {
		c(&r)
	}
	return r
}

// render gives the objects by kind and name.
func render(t *testing.T, r Runner) map[string]object.Object {
	t.Helper()
	objects, err := r.Objects()
	if err != nil {
		t.Fatal(err)
	}
	all := make(map[string]object.Object)
	for _, o := range objects {
		if o.GetNamespace() != r.Namespace {
			t.Errorf("%s is in namespace %q", o.GetName(), o.GetNamespace())
		}
		if diff := cmp.Diff(components.Labels(r.Name), o.GetLabels()); diff != "" {
			t.Errorf("labels of %s (-want +got):\n%s", o.GetName(), diff)
		}
		all[o.GetObjectKind().GroupVersionKind().Kind+" "+o.GetName()] = o
	}
	return all
}

func pod(t *testing.T, r Runner) (*appsv1.Deployment, corev1.PodSpec) {
	t.Helper()
	d, ok := render(t, r)["Deployment "+r.Name].(*appsv1.Deployment)
	if !ok {
		t.Fatal("no Deployment")
	}
	return d, d.Spec.Template.Spec
}

// configKeys are the keys that the runner knows, from its
// internal/pkg/config/config.example.yaml.
var configKeys = map[string]string{
	"log.level":               "info",
	"runner.file":             "/data/.runner",
	"runner.capacity":         "3",
	"runner.shutdown_timeout": "2h55m0s",
	"runner.labels":           "[one:host two:docker://node:24]",
	"container.docker_host":   "unix:///var/run/docker.sock",
	"container.valid_volumes": "[cache]",
}

func TestConfig(t *testing.T) {
	r := runner(func(r *Runner) {
		r.Capacity, r.Labels, r.Volumes = 3, []string{"one:host", "two:docker://node:24"}, []string{"cache"}
	})
	config := render(t, r)["ConfigMap runner"].(*corev1.ConfigMap)
	var sections map[string]map[string]any
	if err := yaml.Unmarshal([]byte(config.Data["config.yaml"]), &sections); err != nil {
		t.Fatal(err)
	}
	got := make(map[string]string)
	for section, keys := range sections {
		for key, value := range keys {
			got[section+"."+key] = fmt.Sprint(value)
		}
	}
	if diff := cmp.Diff(configKeys, got); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

// Every network that jobs can get has the MTU, and build caches have a limit.
func TestDocker(t *testing.T) {
	for _, test := range []struct {
		runner Runner
		want   string
	}{
		{runner(), `{"mtu": 1450, "default-network-opts": {"bridge": {"com.docker.network.driver.mtu": "1450"}},
			"builder": {"gc": {"enabled": true, "defaultMaxUsedSpace": "10737418240", "defaultMinFreeSpace": "21474836480"}}}`},
		{runner(func(r *Runner) {
			r.MTU, r.DockerSize, r.MinFree = 1370, resource.MustParse("1k"), resource.MustParse("3k")
		}), `{"mtu": 1370, "default-network-opts": {"bridge": {"com.docker.network.driver.mtu": "1370"}},
			"builder": {"gc": {"enabled": true, "defaultMaxUsedSpace": "500", "defaultMinFreeSpace": "3000"}}}`},
	} {
		var got, want any
		if err := json.Unmarshal([]byte(render(t, test.runner)["ConfigMap runner"].(*corev1.ConfigMap).Data["daemon.json"]), &got); err != nil {
			t.Fatal(err)
		}
		if err := json.Unmarshal([]byte(test.want), &want); err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("(-want +got):\n%s", diff)
		}
	}
}

// The script runs for two rounds among stand-ins: the second sleep ends it.
func TestPrune(t *testing.T) {
	shell, err := exec.LookPath("sh")
	if err != nil {
		t.Fatalf("the rendered script runs in a shell: %v", err)
	}
	r := runner(func(r *Runner) { r.MinFree, r.MaxAge = resource.MustParse("1Gi"), 48*time.Hour })
	script := render(t, r)["ConfigMap runner"].(*corev1.ConfigMap).Data["prune.sh"]
	const old, anonymous = "system prune --all --force --filter until=48h", "volume prune --force"
	const all, volumes = "system prune --all --force", "volume prune --all --force"
	for _, test := range []struct {
		name, df, docker string
		want             []string
	}{
		{"room", "echo head; echo /dev/sda1 99999999 5 1048576 1% /", "", []string{old, anonymous}}, // once a day
		{"no room", "echo head; echo /dev/sda1 99999999 5 1048575 99% /", "", []string{all, volumes, all, volumes}},
		{"room unknown", "exit 1", "", []string{old, anonymous}},
		{"Docker away", "exit 1", "exit 1", []string{old, anonymous, old, anonymous}},
	} {
		t.Run(test.name, func(t *testing.T) {
			dir := t.TempDir()
			for name, body := range map[string]string{
				"df":     test.df,
				"docker": `echo "$@" >> calls; ` + test.docker,
				"sleep":  "echo >> sleeps; if [ $(wc -l < sleeps) -ge 2 ]; then kill -TERM $PPID; fi",
			} {
				if err := os.WriteFile(filepath.Join(dir, name), []byte("#!"+shell+"\n"+body+"\n"), 0o755); err != nil {
					t.Fatal(err)
				}
			}
			ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
			defer cancel()
			cmd := exec.CommandContext(ctx, shell, "-c", script)
			cmd.Dir, cmd.Env = dir, []string{"PATH=" + dir + string(filepath.ListSeparator) + os.Getenv("PATH")}
			if out, err := cmd.CombinedOutput(); err != nil {
				t.Fatalf("does not end well when told to: %v\n%s", err, out)
			}
			calls, err := os.ReadFile(filepath.Join(dir, "calls"))
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(test.want, strings.Split(strings.TrimSpace(string(calls)), "\n")); diff != "" {
				t.Errorf("(-want +got):\n%s", diff)
			}
		})
	}
}

// What the config says of the pod is so in the pod.
func TestConfigAgreesWithPod(t *testing.T) {
	_, spec := pod(t, runner())
	main, docker := spec.Containers[0], spec.InitContainers[0]
	mounts := func(c corev1.Container) map[string]string {
		m := make(map[string]string)
		for _, v := range c.VolumeMounts {
			m[v.MountPath] = v.Name
		}
		return m
	}
	volumes := make(map[string]corev1.Volume)
	for _, v := range spec.Volumes {
		volumes[v.Name] = v
	}
	if mounts(main)["/var/run"] != mounts(docker)["/var/run"] || volumes[mounts(main)["/var/run"]].EmptyDir == nil {
		t.Error("runner and Docker do not share /var/run, where the socket is")
	}
	if docker.Args[0] != "dockerd" || docker.Args[1] != "--host="+configKeys["container.docker_host"] || len(docker.Args) != 3 {
		t.Errorf("Docker listens elsewhere: %v", docker.Args)
	}
	// Each container finds its file, and the one that prunes looks at Docker's
	// own disk.
	prune := spec.InitContainers[1]
	files := render(t, runner())["ConfigMap runner"].(*corev1.ConfigMap).Data
	for c, file := range map[*corev1.Container]string{&docker: strings.TrimPrefix(docker.Args[2], "--config-file="), &prune: prune.Command[1], &main: "/etc/runner/config.yaml"} {
		if v := volumes[mounts(*c)[path.Dir(file)]].ConfigMap; v == nil || v.Name != "runner" || files[path.Base(file)] == "" {
			t.Errorf("%s has no %s: %v", c.Name, file, mounts(*c))
		}
	}
	if mounts(prune)["/var/lib/docker"] != mounts(docker)["/var/lib/docker"] || mounts(prune)["/var/run"] != mounts(docker)["/var/run"] {
		t.Errorf("prune looks elsewhere: %v", mounts(prune))
	}
	for path, claim := range map[string]string{"/data": "runner-data", "/var/lib/docker": "runner-docker"} {
		name := mounts(main)[path] + mounts(docker)[path]
		if v := volumes[name].PersistentVolumeClaim; v == nil || v.ClaimName != claim {
			t.Errorf("%s is not the claim %s: %v", path, claim, volumes[name])
		}
	}
	env := make(map[string]corev1.EnvVar)
	for _, e := range main.Env {
		env[e.Name] = e
	}
	if file := env["CONFIG_FILE"].Value; file != "/etc/runner/config.yaml" || volumes[mounts(main)["/etc/runner"]].ConfigMap == nil {
		t.Errorf("the config file %s is not mounted: %v", file, mounts(main))
	}
	if got := env["GITEA_INSTANCE_URL"].Value; got != "https://git.example.com" {
		t.Errorf("instance %s", got)
	}
	stop, err := time.ParseDuration(configKeys["runner.shutdown_timeout"])
	if grace := *spec.TerminationGracePeriodSeconds; err != nil || grace != 10800 || stop.Seconds() >= float64(grace) {
		t.Errorf("the runner waits %s, the pod is killed after %d s", stop, grace)
	}
}

func TestPod(t *testing.T) {
	d, spec := pod(t, runner())
	docker := spec.InitContainers[0]
	for what, ok := range map[string]bool{
		"one replica":                    *d.Spec.Replicas == 1,
		"Recreate":                       d.Spec.Strategy.Type == appsv1.RecreateDeploymentStrategyType,
		"what prunes is a sidecar":       spec.InitContainers[1].RestartPolicy != nil && *spec.InitContainers[1].RestartPolicy == corev1.ContainerRestartPolicyAlways,
		"what prunes is not privileged":  spec.InitContainers[1].SecurityContext == nil,
		"Docker is a sidecar":            docker.RestartPolicy != nil && *docker.RestartPolicy == corev1.ContainerRestartPolicyAlways,
		"Docker is privileged":           *docker.SecurityContext.Privileged,
		"the runner is not":              spec.Containers[0].SecurityContext == nil,
		"the runner waits for Docker":    docker.StartupProbe != nil && docker.StartupProbe.Exec != nil,
		"no service links":               !*spec.EnableServiceLinks,
		"no token":                       !*spec.AutomountServiceAccountToken,
		"its own ServiceAccount":         spec.ServiceAccountName == "runner",
		"the selector selects the pods":  d.Spec.Template.Labels["app.kubernetes.io/name"] == d.Spec.Selector.MatchLabels["app.kubernetes.io/name"],
		"the selector has the name only": len(d.Spec.Selector.MatchLabels) == 1,
	} {
		if !ok {
			t.Errorf("not so: %s", what)
		}
	}
	account := render(t, runner())["ServiceAccount runner"].(*corev1.ServiceAccount)
	if *account.AutomountServiceAccountToken {
		t.Error("the ServiceAccount mounts its token")
	}
}

func TestDefaults(t *testing.T) {
	size := func(r Runner, claim string) string {
		c := render(t, r)["PersistentVolumeClaim "+claim].(*corev1.PersistentVolumeClaim)
		q := c.Spec.Resources.Requests[corev1.ResourceStorage]
		return q.String()
	}
	own := runner(func(r *Runner) {
		r.Image, r.DockerImage = "runner:1", "docker:2"
		r.DataSize, r.DockerSize = resource.MustParse("2Gi"), resource.MustParse("100Gi")
		r.Memory, r.DockerMemory = resource.MustParse("64Mi"), resource.MustParse("16Gi")
	})
	for _, test := range []struct {
		runner Runner
		want   []string
	}{
		{runner(), []string{"gitea/runner:1.0.6", "docker:28-dind", "1Gi", "20Gi", "128Mi", "2Gi", "128Mi", "8Gi"}},
		{own, []string{"runner:1", "docker:2", "2Gi", "100Gi", "64Mi", "64Mi", "128Mi", "16Gi"}},
	} {
		_, spec := pod(t, test.runner)
		got := []string{spec.Containers[0].Image, spec.InitContainers[0].Image, size(test.runner, "runner-data"), size(test.runner, "runner-docker")}
		for _, c := range []corev1.Container{spec.Containers[0], spec.InitContainers[0]} {
			got = append(got, c.Resources.Requests.Memory().String(), c.Resources.Limits.Memory().String())
		}
		if diff := cmp.Diff(test.want, got); diff != "" {
			t.Errorf("(-want +got):\n%s", diff)
		}
	}
}

// A new config starts the runner anew, and nothing else changes the checksum.
func TestChecksum(t *testing.T) {
	sum := func(r Runner) string {
		d, _ := pod(t, r)
		return d.Spec.Template.Annotations["checksum/config"]
	}
	first := sum(runner())
	if len(first) != 32 || sum(runner(func(r *Runner) { r.Image = "runner:2" })) != first {
		t.Errorf("checksum %q changes with the image", first)
	}
	for what, change := range map[string]func(*Runner){
		"capacity": func(r *Runner) { r.Capacity = 2 }, "mtu": func(r *Runner) { r.MTU = 1400 }, "maxAge": func(r *Runner) { r.MaxAge = time.Hour },
	} {
		if sum(runner(change)) == first {
			t.Errorf("the checksum stays with another %s", what)
		}
	}
}

func TestSecret(t *testing.T) {
	for name, r := range map[string]Runner{
		"runner-registration": runner(),
		"own":                 runner(func(r *Runner) { r.SecretName = "own" }),
	} {
		contract := r.Secret()
		if err := contract.Validate(); err != nil {
			t.Error(err)
		}
		if contract.Name != name || contract.Namespace != "ci" || contract.Keys[0].Rotation != secret.RotatesFreely {
			t.Errorf("%+v, want name %s", contract, name)
		}
		_, spec := pod(t, r)
		var ref *corev1.SecretKeySelector
		for _, e := range spec.Containers[0].Env {
			if e.Name == "GITEA_RUNNER_REGISTRATION_TOKEN" {
				ref = e.ValueFrom.SecretKeyRef
			}
		}
		if ref == nil || ref.Name != name || ref.Key != "token" {
			t.Errorf("the runner reads %+v, want %s.token", ref, name)
		}
	}
}

func TestChanges(t *testing.T) {
	r := runner(func(r *Runner) {
		r.Changes = []components.Change{components.Edit(func(d *appsv1.Deployment) {
			d.Spec.Template.Spec.NodeSelector = map[string]string{"ci": "yes"}
		})}
	})
	if _, spec := pod(t, r); spec.NodeSelector["ci"] != "yes" {
		t.Error("the change is not there")
	}
}

func TestRefusals(t *testing.T) {
	for _, test := range []struct {
		name  string
		fault func(*Runner)
		want  []string
	}{
		{"nothing given", func(r *Runner) { *r = Runner{} },
			[]string{"Runner (no name): name: Required value: give it a name", "namespace: Required value: say the namespace, one of its own", "instance: Invalid value"}},
		{"name", func(r *Runner) { r.Name = "Runner" }, []string{`Runner ci/Runner: name: Invalid value: "Runner"`}},
		{"namespace", func(r *Runner) { r.Namespace = "c i" }, []string{`namespace: Invalid value: "c i"`}},
		{"secret", func(r *Runner) { r.SecretName = "A" }, []string{`secretName: Invalid value: "A"`}},
		{"http", func(r *Runner) { r.Instance = "http://git.example.com" },
			[]string{`instance: Invalid value: "http://git.example.com": must be Gitea's address over https`}},
		{"a host only", func(r *Runner) { r.Instance = "git.example.com" }, []string{"instance: Invalid value"}},
		{"a password", func(r *Runner) { r.Instance = "https://me:it@git.example.com" }, []string{"instance: Invalid value"}},
		{"a query", func(r *Runner) { r.Instance = "https://git.example.com/?a=b" }, []string{"instance: Invalid value"}},
		{"no host", func(r *Runner) { r.Instance = "https://:443/" }, []string{"instance: Invalid value"}},
		{"image", func(r *Runner) { r.Image, r.DockerImage = "a b", "c\n" },
			[]string{`image: Invalid value: "a b": must be a reference such as registry.example.com/team/app:tag`, `dockerImage: Invalid value`}},
		{"labels", func(r *Runner) {
			r.Labels = []string{"ubuntu", "ubuntu:docker://", ":host", "a,b:host", "x:vm://y", "good:host", "good:docker://node:24"}
		}, []string{
			`labels[0]: Invalid value: "ubuntu": must be name:docker://image or name:host`,
			`labels[1]: Invalid`, `labels[2]: Invalid`, `labels[3]: Invalid`, `labels[4]: Invalid`,
			`labels[6]: Invalid value: "good:docker://node:24": labels[5] says where jobs for good run: say it once`,
		}},
		{"volumes", func(r *Runner) { r.Volumes = []string{"cache", "/", "**"} },
			[]string{`volumes[1]: Invalid value: "/": must be the name of a volume`, `volumes[2]: Invalid value: "**"`}},
		{"capacity", func(r *Runner) { r.Capacity = -1 }, []string{"capacity: Invalid value: -1: must not be negative"}},
		{"sizes", func(r *Runner) { r.DataSize, r.DockerSize = resource.MustParse("-1Gi"), resource.MustParse("-2Gi") },
			[]string{`dataSize: Invalid value: "-1Gi"`, `dockerSize: Invalid value: "-2Gi"`}},
		{"memory", func(r *Runner) {
			r.MinFree, r.Memory, r.DockerMemory = resource.MustParse("-1"), resource.MustParse("-2"), resource.MustParse("-3")
		}, []string{`minFree: Invalid value: "-1": must not be negative`, `memory: Invalid value: "-2"`, `dockerMemory: Invalid value: "-3"`}},
		{"half an hour", func(r *Runner) { r.MaxAge = 90 * time.Minute }, []string{`maxAge: Invalid value: "1h30m0s": must be whole hours`}},
		{"mtu", func(r *Runner) { r.MTU = 145 }, []string{"mtu: Invalid value: 145: must be from 576 to 9216"}},
		{"a change of nothing", func(r *Runner) {
			r.Changes = []components.Change{components.Edit(func(*appsv1.Deployment) {})}
		}, []string{"changes[0]: Invalid value: the edit leaves every *v1.Deployment as it was"}},
	} {
		t.Run(test.name, func(t *testing.T) {
			_, err := runner(test.fault).Objects()
			if err == nil {
				t.Fatal("is not refused")
			}
			for _, want := range test.want {
				if !strings.Contains(err.Error(), want) {
					t.Errorf("%q is not in\n%v", want, err)
				}
			}
			if n := strings.Count(err.Error(), "\n") + 1; n != len(test.want) {
				t.Errorf("%d mistakes, want %d:\n%v", n, len(test.want), err)
			}
		})
	}
}
