package components_test

import (
	"slices"
	"strings"
	"testing"
	"time"

	appsv1 "k8s.io/api/apps/v1"
	batchv1 "k8s.io/api/batch/v1"
	corev1 "k8s.io/api/core/v1"
	networkingv1 "k8s.io/api/networking/v1"
	"k8s.io/apimachinery/pkg/api/resource"

	"git.lastcloud.io/ronnibaslund/dezky/fleet/components"
	"git.lastcloud.io/ronnibaslund/dezky/fleet/components/secret"
	"git.lastcloud.io/ronnibaslund/dezky/fleet/render/object"
)

func quantity(s string) resource.Quantity { return resource.MustParse(s) }

// data is a volume with a claim of the workload's own.
func data() []components.Volume {
	return []components.Volume{{Name: "data", Path: "/data", Claim: &components.Claim{Size: quantity("1Gi")}}}
}

func files() *components.ConfigMap {
	return &components.ConfigMap{Name: "files", Namespace: "shop", Data: map[string]string{"a.yaml": "a: 1\n"}}
}

func work(change func(*components.Workload)) components.Workload {
	return with(components.Workload{Name: "web", Namespace: "shop", Image: "registry.example.com/web:v1"}, change)
}

func TestWorkloadRefused(t *testing.T) {
	none := func(*components.Workload) {}
	webApp := func(change func(*components.Workload)) object.Component {
		return components.WebApp(with(work(change), func(w *components.Workload) { w.Port = 3000 }))
	}
	worker := func(change func(*components.Workload)) object.Component { return components.Worker(work(change)) }
	set := func(change func(*components.Workload)) object.Component {
		return components.StatefulSet(with(work(func(w *components.Workload) { w.Port = 6379 }), change))
	}
	job := func(change func(*components.Workload)) object.Component { return components.Job(work(change)) }
	cron := func(change func(*components.Workload)) object.Component {
		return components.CronJob(with(work(func(w *components.Workload) { w.Schedule = "@daily" }), change))
	}
	for _, c := range []object.Component{webApp(none), worker(none), set(none), job(none), cron(none)} {
		if _, err := c.Objects(); err != nil {
			t.Errorf("%T that is right: %v", c, err)
		}
	}
	for _, tc := range []struct {
		name string
		object.Component
		want string
	}{
		{"a worker with a port", worker(func(w *components.Workload) { w.Port = 1 }), "Worker shop/web: port: Forbidden: a Worker has no Service: give further ports in ports"},
		{"a worker with a sign-in", worker(func(w *components.Workload) { w.Login = login() }), "Worker shop/web: login: Forbidden: a Worker signs nobody in"},
		{"a web app on a schedule", webApp(func(w *components.Workload) { w.Schedule = "@daily" }), "WebApp shop/web: schedule: Forbidden: a WebApp does not run on a schedule: a CronJob does"},
		{"a job of two pods", job(func(w *components.Workload) { w.Replicas = 2 }), "Job shop/web: replicas: Forbidden: a Job runs one pod"},
		{"a job with probes", job(func(w *components.Workload) { w.Probes.Command = []string{"true"} }), "Job shop/web: probes: Forbidden: a Job runs to its end and has none"},
		{"a cron job before a release", cron(func(w *components.Workload) { w.BeforeRelease = true }), "CronJob shop/web: beforeRelease: Forbidden: a CronJob does not come before a release: a Job does"},
		{"a set that follows the load", set(func(w *components.Workload) { w.Autoscale = &components.Autoscale{Min: 1, Max: 2} }), "StatefulSet shop/web: autoscale: Forbidden: a StatefulSet does not follow the load"},
		{"a set without a port", set(func(w *components.Workload) { w.Port = 0 }), "StatefulSet shop/web: port: Invalid value: 0: must be between 1 and 65535, inclusive"},
		{"no schedule", cron(func(w *components.Workload) { w.Schedule = "" }), `CronJob shop/web: schedule: Required value: say when it runs, such as "30 2 * * *"`},
		{"a schedule that is none", cron(func(w *components.Workload) { w.Schedule = "30 25 * * *" }), `CronJob shop/web: schedule: Invalid value: "30 25 * * *": end of range (25) above maximum (23): 25`},
		{"the time zone of whoever asks", cron(func(w *components.Workload) { w.TimeZone = "Local" }), `CronJob shop/web: timeZone: Invalid value: "Local": must be a name of the IANA time zone database, such as Europe/Copenhagen`},
		{"half a second", job(func(w *components.Workload) { w.Deadline = time.Second / 2 }), `Job shop/web: deadline: Invalid value: "500ms": must be whole seconds, and not negative`},
		{"fewer retries than none", job(func(w *components.Workload) { w.Retries = new(int32(-1)) }), "Job shop/web: retries: Invalid value: -1: must not be negative"},
		{"a name that leaves no room", job(func(w *components.Workload) { w.Name = strings.Repeat("a", 53) }), "Job shop/" + strings.Repeat("a", 53) + `: name: Invalid value: "` + strings.Repeat("a", 53) + `": is 53 characters long, must be no more than 52: the cluster adds to it`},

		{"two replicas on one claim", webApp(func(w *components.Workload) { w.Replicas, w.Volumes = 2, data() }), "WebApp shop/web: replicas: Invalid value: 2: volumes[0].claim can be held by one pod: use a StatefulSet, where each pod has its own, or a claim that is shared"},
		{"an autoscaler on one claim", worker(func(w *components.Workload) {
			w.Autoscale, w.Volumes = &components.Autoscale{Min: 1, Max: 2}, data()
		}), "Worker shop/web: autoscale.max: Invalid value: 2: volumes[0].claim can be held by one pod: use a StatefulSet, where each pod has its own, or a claim that is shared"},
		{"two pods of a set on one claim", set(func(w *components.Workload) {
			w.Replicas = 2
			w.Volumes = []components.Volume{{Name: "data", Path: "/data", Claim: &components.Claim{Name: "there"}}}
		}), "StatefulSet shop/web: replicas: Invalid value: 2: volumes[0].claim can be held by one pod: use a StatefulSet, where each pod has its own, or a claim that is shared"},
		{"a claim, and a change to two pods at once", webApp(func(w *components.Workload) {
			w.Volumes = data()
			w.Changes = []components.Change{components.Edit(func(d *appsv1.Deployment) { d.Spec.Strategy = appsv1.DeploymentStrategy{} })}
		}), "WebApp shop/web: volumes[0].claim: Invalid value: can be held by one pod, and a change has the new pod start beside the old one: leave the strategy at Recreate"},

		{"a claim without a size", worker(func(w *components.Workload) {
			w.Volumes = []components.Volume{{Name: "data", Path: "/data", Claim: &components.Claim{}}}
		}), `Worker shop/web: volumes[0].claim.size: Invalid value: "0": must be more than nothing, such as 10Gi`},
		{"a claim that is there, with a size", worker(func(w *components.Workload) {
			w.Volumes = []components.Volume{{Name: "data", Path: "/data", Claim: &components.Claim{Name: "a", Size: quantity("1Gi")}}}
		}), "Worker shop/web: volumes[0].claim.name: Forbidden: is a claim that is there: leave out size and class"},
		{"a volume of two things", worker(func(w *components.Workload) {
			w.Volumes = []components.Volume{{Name: "data", Path: "/data", Config: files(), Size: quantity("1Gi")}}
		}), "Worker shop/web: volumes[0]: Forbidden: give one of claim, config, secret and size"},
		{"a volume nowhere", worker(func(w *components.Workload) { w.Volumes = []components.Volume{{Name: "data"}} }), "Worker shop/web: volumes[0].path: Required value: say where the container sees it"},
		{"a path that goes up", worker(func(w *components.Workload) { w.Volumes = []components.Volume{{Name: "data", Path: "/a/../b"}} }), `Worker shop/web: volumes[0].path: Invalid value: "/a/../b": must be a path such as /data, from the root and without . or :`},
		{"a part that goes up", worker(func(w *components.Workload) {
			w.Volumes = []components.Volume{{Name: "data", Path: "/a", SubPath: "../b"}}
		}), `Worker shop/web: volumes[0].subPath: Invalid value: "../b": must be a path inside of the volume, without . at its ends`},
		{"two volumes at one path", worker(func(w *components.Workload) {
			w.Volumes = []components.Volume{{Name: "a", Path: "/a"}, {Name: "b", Path: "/a"}}
		}), `Worker shop/web: volumes[1].path: Invalid value: "/a": is that of the volume a too`},
		{"a volume at /tmp", worker(func(w *components.Workload) { w.Volumes = []components.Volume{{Name: "a", Path: "/tmp"}} }), `Worker shop/web: volumes[0].path: Invalid value: "/tmp": is that of /tmp of its own too`},
		{"two volumes of one name", worker(func(w *components.Workload) {
			w.Volumes = []components.Volume{{Name: "a", Path: "/a"}, {Name: "a", Path: "/b"}}
		}), `Worker shop/web: volumes[1].name: Invalid value: "a": another volume of the pod has this name`},
		{"files of another namespace", worker(func(w *components.Workload) {
			c := files()
			c.Namespace = "other"
			w.Volumes = []components.Volume{{Name: "a", Path: "/a", Config: c}}
		}), `Worker shop/web: volumes[0].config.namespace: Invalid value: "other": must be the app's, shop`},
		{"a Secret of another namespace", worker(func(w *components.Workload) {
			w.Volumes = []components.Volume{{Name: "a", Path: "/a", Secret: &secret.Contract{Name: "s", Namespace: "other"}}}
		}), `Worker shop/web: volumes[0].secret.namespace: Invalid value: "other": must be the app's, shop: a pod reads only the Secrets of its own namespace`},

		{"a port without a name", webApp(func(w *components.Workload) { w.Ports = []components.Port{{Name: "http", Port: 3001}} }), `WebApp shop/web: ports[0].name: Duplicate value: "http"`},
		{"a port twice", webApp(func(w *components.Workload) { w.Ports = []components.Port{{Name: "metrics", Port: 3000}} }), "WebApp shop/web: ports[0].port: Duplicate value: 3000"},
		{"a path at no port", worker(func(w *components.Workload) { w.Probes.Readiness = "/ready" }), "Worker shop/web: probes.port: Required value: say the port of the path /ready"},
		{"a path at a port of nobody", webApp(func(w *components.Workload) { w.Probes.Readiness, w.Probes.Port = "/ready", 9 }), "WebApp shop/web: probes.port: Invalid value: 9: is none of the container's: add it to ports"},
		{"callers of a worker", worker(func(w *components.Workload) {
			w.Network = &components.Network{From: []components.Peer{{Namespace: "a"}}}
		}), "Worker shop/web: network.from: Forbidden: the pods have no port to reach: give ports, or leave it empty"},
		{"a sidecar of the app's name", worker(func(w *components.Workload) {
			w.Sidecars = []components.Workload{{Name: "web", Image: "registry.example.com/side:1"}}
		}), `Worker shop/web: sidecars[0].name: Duplicate value: "web"`},
		{"a sidecar that says what is the pod's", worker(func(w *components.Workload) {
			w.Sidecars = []components.Workload{{Name: "side", Image: "registry.example.com/side:1", RunAsUser: 5}}
		}), "Worker shop/web: sidecars[0].runAsUser: Forbidden: is the pod's: say it of the Worker"},
		{"an init container with probes", worker(func(w *components.Workload) {
			w.Init = []components.Workload{{Name: "init", Image: "registry.example.com/side:1", Probes: components.Probes{Command: []string{"true"}}}}
		}), "Worker shop/web: init[0].probes: Forbidden: a container that runs to its end has none"},
		{"a Secret of elsewhere in a sidecar", worker(func(w *components.Workload) {
			w.Sidecars = []components.Workload{{Name: "side", Image: "registry.example.com/side:1", SecretEnv: map[string]secret.Ref{"A": {Namespace: "x", Secret: "s", Key: "A"}}}}
		}), `Worker shop/web: sidecars[0].secretEnv[A]: Invalid value: "x/s.A": is in another namespace: a pod reads only the Secrets of shop`},

		{"a variable that is no text", worker(func(w *components.Workload) { w.Env = map[string]string{"A": "\xff"} }), "Worker shop/web: env[A]: Invalid value: is no text in UTF-8"},
		{"a variable with a zero byte", worker(func(w *components.Workload) { w.Env = map[string]string{"A": "a\x00"} }), "Worker shop/web: env[A]: Invalid value: contains a zero byte, which no variable can hold"},
		{"a config that is no text", components.ConfigMap{Name: "c", Namespace: "shop", Data: map[string]string{"A": "\xff"}}, "ConfigMap shop/c: data[A]: Invalid value: is no text in UTF-8"},
		{"a config that is too large", components.ConfigMap{Name: "c", Namespace: "shop", Data: map[string]string{"A": strings.Repeat("a", 1<<20)}}, "ConfigMap shop/c: data: Too long: may not be more than 1048576 bytes"},
		{"a name that is none", worker(func(w *components.Workload) { w.Namespace = "My Shop" }), `Worker My Shop/web: namespace: Invalid value: "My Shop": a lowercase RFC 1123 label must consist of lower case alphanumeric characters or '-', and must start and end with an alphanumeric character (e.g. 'my-name',  or '123-abc')`},
	} {
		t.Run(tc.name, func(t *testing.T) {
			_, err := tc.Objects()
			// One mistake, one line: nothing that only follows from it.
			if err == nil || err.Error() != tc.want {
				t.Errorf("the error is\n%v\nwant\n%s", err, tc.want)
			}
		})
	}
}

// TestClaims: who may hold a claim decides how pods are replaced.
func TestClaims(t *testing.T) {
	app := components.WebApp(work(func(w *components.Workload) { w.Port, w.Volumes = 80, data() }))
	if d := find[*appsv1.Deployment](t, app); d.Spec.Strategy.Type != appsv1.RecreateDeploymentStrategyType || d.Spec.Strategy.RollingUpdate != nil {
		t.Errorf("two pods would hold one claim: %+v", d.Spec.Strategy)
	}
	if c := find[*corev1.PersistentVolumeClaim](t, app); c.Name != "web-data" || c.Spec.AccessModes[0] != corev1.ReadWriteOnce || c.Spec.StorageClassName != nil {
		t.Errorf("claim %s: %+v", c.Name, c.Spec)
	}
	app.Volumes[0].Claim.Shared, app.Volumes[0].Claim.Class, app.Replicas = true, "nfs", 2
	if d := find[*appsv1.Deployment](t, app); d.Spec.Strategy.RollingUpdate == nil {
		t.Errorf("a shared claim has the strategy %+v", d.Spec.Strategy)
	}
	if c := find[*corev1.PersistentVolumeClaim](t, app); c.Spec.AccessModes[0] != corev1.ReadWriteMany || *c.Spec.StorageClassName != "nfs" {
		t.Errorf("claim %+v", c.Spec)
	}

	set := components.StatefulSet(work(func(w *components.Workload) { w.Port, w.Replicas, w.Volumes = 6379, 3, data() }))
	s := find[*appsv1.StatefulSet](t, set)
	if len(s.Spec.VolumeClaimTemplates) != 1 || s.Spec.VolumeClaimTemplates[0].Name != "data" || len(s.Spec.Template.Spec.Volumes) != 1 || len(s.Spec.Template.Spec.Containers[0].VolumeMounts) != 2 {
		t.Errorf("templates %v, volumes %v", s.Spec.VolumeClaimTemplates, s.Spec.Template.Spec.Volumes)
	}
	if service := find[*corev1.Service](t, set); service.Spec.ClusterIP != "None" || s.Spec.ServiceName != service.Name {
		t.Errorf("Service %+v of the set %s", service.Spec, s.Spec.ServiceName)
	}
	if set.Address() != "web.shop.svc.cluster.local:6379" || set.Peer().Ports[0] != 6379 {
		t.Errorf("address %s, peer %+v", set.Address(), set.Peer())
	}
}

// TestPod: containers share what is the pod's, and files roll it.
func TestPod(t *testing.T) {
	w := components.Worker(work(func(w *components.Workload) {
		w.Volumes = []components.Volume{
			{Name: "run", Path: "/run"},
			{Name: "config", Path: "/etc/web/a.yaml", SubPath: "a.yaml", Config: files()},
			{Name: "keys", Path: "/keys", Secret: new(contract())},
		}
		w.Sidecars = []components.Workload{{
			Name: "side", Image: "registry.example.com/side:1", Ports: []components.Port{{Name: "metrics", Port: 9100}},
			Probes:  components.Probes{Readiness: "/metrics", Port: 9100},
			Volumes: []components.Volume{{Name: "run", Path: "/shared"}},
		}}
		w.Init = []components.Workload{{Name: "first", Image: "registry.example.com/side:1"}}
		w.Ports = []components.Port{{Name: "health", Port: 8080}}
		w.Network = &components.Network{From: []components.Peer{{Namespace: "monitoring"}}}
	}))
	template := find[*appsv1.Deployment](t, w).Spec.Template
	pod := template.Spec
	if len(pod.Volumes) != 4 || pod.Volumes[0].Name != "tmp" || pod.Volumes[3].Secret.Items[0].Key != "TOKEN" {
		t.Errorf("volumes %v", pod.Volumes)
	}
	side, first := pod.InitContainers[0], pod.InitContainers[1]
	if side.Name != "side" || side.RestartPolicy == nil || side.ReadinessProbe.HTTPGet.Port.IntValue() != 9100 || side.LivenessProbe != nil || side.VolumeMounts[1].MountPath != "/shared" {
		t.Errorf("sidecar %+v", side)
	}
	if first.Name != "first" || first.RestartPolicy != nil || first.ReadinessProbe != nil {
		t.Errorf("init container %+v", first)
	}
	for _, c := range slices.Concat(pod.Containers, pod.InitContainers) {
		if s := c.SecurityContext; !*s.ReadOnlyRootFilesystem || *s.AllowPrivilegeEscalation || s.Capabilities.Drop[0] != "ALL" || c.Lifecycle != nil {
			t.Errorf("container %s is open: %+v", c.Name, s)
		}
		if len(c.Env) != 0 {
			t.Errorf("container %s has the variables %v", c.Name, c.Env)
		}
	}
	if n := find[*networkingv1.NetworkPolicy](t, w); n.Spec.Ingress[0].Ports[0].Port.IntValue() != 8080 {
		t.Errorf("policy %+v", n.Spec.Ingress)
	}
	changed := w
	changed.Volumes = slices.Clone(w.Volumes)
	changed.Volumes[1].Config = with(files(), func(c **components.ConfigMap) { (*c).Data["a.yaml"] = "a: 2\n" })
	if again := find[*appsv1.Deployment](t, changed).Spec.Template; template.Annotations["checksum/config"] == "" || again.Annotations["checksum/config"] == template.Annotations["checksum/config"] {
		t.Error("another file does not roll the pods")
	}
}

// TestJob: a Job is named after what it runs.
func TestJob(t *testing.T) {
	j := components.Job(work(func(w *components.Workload) { w.BeforeRelease, w.Deadline = true, time.Hour }))
	first := find[*batchv1.Job](t, j)
	if again := find[*batchv1.Job](t, j); first.Name != again.Name || !strings.HasPrefix(first.Name, "web-") || len(first.Name) != len("web-")+10 {
		t.Errorf("names %s and %s", first.Name, again.Name)
	}
	if first.Annotations["fleet.dezky.eu/before-release"] != "true" || *first.Spec.BackoffLimit != 3 || *first.Spec.ActiveDeadlineSeconds != 3600 || first.Spec.TTLSecondsAfterFinished != nil {
		t.Errorf("job %v %+v", first.Annotations, first.Spec)
	}
	j.Image = "registry.example.com/web:v2"
	second := find[*batchv1.Job](t, j)
	j.Changes = []components.Change{components.Edit(func(j *batchv1.Job) { j.Spec.Parallelism = new(int32(2)) })}
	if third := find[*batchv1.Job](t, j); second.Name == first.Name || third.Name == second.Name {
		t.Errorf("a Job would have to change: %s, %s, %s", first.Name, second.Name, third.Name)
	}
	// The admission policy takes each of them for the same workload.
	_, variables := policyOf(t, func(d *components.Deployer) {
		d.Applies = append(d.Applies, components.Job(work(func(w *components.Workload) { w.Name, w.SecretEnv = "migrate", contract().Env() })))
	})
	if !strings.Contains(variables["given"], `"Job/migrate": [ "serviceAccountName/migrate", "web-secrets/TOKEN" ]`) {
		t.Errorf("the policy gives %s", variables["given"])
	}

	c := find[*batchv1.CronJob](t, components.CronJob(work(func(w *components.Workload) { w.Schedule, w.Retries = "30 2 * * *", new(int32(0)) })))
	if *c.Spec.TimeZone != "Etc/UTC" || c.Spec.ConcurrencyPolicy != batchv1.ForbidConcurrent || *c.Spec.JobTemplate.Spec.BackoffLimit != 0 {
		t.Errorf("cron job %+v", c.Spec)
	}
}
