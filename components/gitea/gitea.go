// Package gitea has the runner that carries out the jobs of Gitea Actions
// inside the cluster.
package gitea

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"maps"
	"net/url"
	"path"
	"slices"
	"strconv"
	"strings"
	"time"

	"go.yaml.in/yaml/v3"
	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/validation"
	"k8s.io/apimachinery/pkg/util/validation/field"

	"git.lastcloud.io/ronnibaslund/dezky/fleet/components"
	"git.lastcloud.io/ronnibaslund/dezky/fleet/components/secret"
	"git.lastcloud.io/ronnibaslund/dezky/fleet/render/object"
)

// Runner is a runner of Gitea Actions with a Docker of its own beside it, and
// what keeps Docker's directory small: ServiceAccount, ConfigMap, two PersistentVolumeClaims and Deployment (after
// gitea/runner, examples/kubernetes/dind-docker.yaml).
//
// Its Docker is privileged and takes orders from every job, so whoever can run
// a job is root on the node. Give it a namespace of its own, never that of the
// apps, with Pod Security privileged:
//
//	components.Namespace{Name: "ci", PodSecurity: "privileged"}
type Runner struct {
	// Name of the runner, as Gitea lists it, and of its objects.
	Name string
	// Namespace of the runner.
	Namespace string
	// Instance is Gitea's public address, such as https://git.example.com.
	Instance string
	// Image of the runner. If empty, gitea/runner:1.0.6. A runner that updates
	// itself changes all jobs at once: change the version deliberately.
	Image string
	// DockerImage of the Docker beside it. If empty, docker:28-dind, which
	// follows the patches of its major version: pin a full version or a digest
	// where that is too much.
	DockerImage string
	// Labels say which jobs the runner takes, and where they run: as
	// name:docker://image in a container, as name:host in the runner's own. If
	// empty, ubuntu-latest in Gitea's image of that name.
	Labels []string
	// Volumes of Docker, by name, that jobs may mount, such as one for the
	// caches of a build tool. If empty, none. A volume lasts until the disk gets
	// full; see MinFree. Whatever job mounts it may change what is in it.
	Volumes []string
	// Capacity is the number of jobs at a time. If zero, 1.
	Capacity int
	// DataSize is the space that is asked for the registration. If zero, 1Gi.
	DataSize resource.Quantity
	// DockerSize is the space that is asked for the images of jobs and builds;
	// build caches may take half of it. If zero, 20Gi. Whether more can be
	// written depends on the storage: local-path, which k3s has, enforces
	// nothing, and its volumes are directories on the node's disk
	// (rancher/local-path-provisioner, README). What keeps that disk from
	// filling are MaxAge and MinFree.
	DockerSize resource.Quantity
	// MaxAge of what no job uses: once a day, stopped containers, networks and
	// images that were made longer ago are removed, and build caches that were
	// not used for so long. Whole hours. If zero, a week.
	MaxAge time.Duration
	// MinFree is how much of the disk below Docker's directory stays free: when
	// there is less, all that no job uses is removed, named volumes too. If
	// zero, 20Gi.
	MinFree resource.Quantity
	// MTU of Docker's networks, in bytes, at most that of the pod's network:
	// packets that are larger get lost, and downloads hang. If zero, 1450, as
	// flannel's VXLAN leaves it of 1500 (kubectl exec into a pod: ip link).
	MTU int
	// Memory of the runner, at most. If zero, 2Gi.
	Memory resource.Quantity
	// DockerMemory is the memory of Docker with all jobs that run in it, at
	// most: above it, processes of jobs are killed. If zero, 8Gi.
	DockerMemory resource.Quantity
	// SecretName of the Secret with the registration token. If empty, the name
	// with -registration.
	SecretName string
	// Assumed says what nobody has confirmed.
	Assumed Assumed
	// Changes are applied to the objects last; see [components.Edit].
	Changes []components.Change
}

// keyToken is the key of the registration token in the runner's Secret.
const keyToken = "token"

const (
	// grace is how long jobs may take to end when the pod must go: as long as
	// a job may take at all (runner.timeout).
	grace = 3 * time.Hour
	// shutdown is when the runner itself cancels what is left. Its own default
	// is to cancel at once.
	shutdown = grace - 5*time.Minute

	dataDir   = "/data"
	dockerDir = "/var/lib/docker"
	runDir    = "/var/run"
	socket    = "unix://" + runDir + "/docker.sock"

	configDir    = "/etc/runner"
	runnerConfig = configDir + "/config.yaml"
	dockerConfig = configDir + "/daemon.json"
	pruneScript  = configDir + "/prune.sh"
)

// Secret returns the contract of the Secret with the registration token.
func (r Runner) Secret() secret.Contract {
	r = r.withDefaults()
	return secret.Contract{
		Name: r.SecretName, Namespace: r.Namespace,
		Keys: []secret.Key{{
			Name:    keyToken,
			Purpose: "Registers the runner " + r.Name + " with Gitea at its first start; afterwards the runner has a token of its own in " + dataDir,
			Source:  "Gitea, Settings → Actions → Runners → Create new runner, of the site, the organization or the repository that may use it",
		}},
	}
}

// Objects implements [object.Component].
func (r Runner) Objects() ([]object.Object, error) {
	errs := r.validate()
	r = r.withDefaults()
	config, err := r.config()
	if err != nil {
		errs = append(errs, field.InternalError(field.NewPath("labels"), err))
	}
	docker, err := r.docker()
	if err != nil {
		errs = append(errs, field.InternalError(field.NewPath("mtu"), err))
	}
	files := map[string]string{path.Base(runnerConfig): config, path.Base(dockerConfig): docker, path.Base(pruneScript): r.prune()}
	objects := []object.Object{
		&corev1.ServiceAccount{
			TypeMeta:                     metav1.TypeMeta{APIVersion: "v1", Kind: "ServiceAccount"},
			ObjectMeta:                   r.meta(""),
			AutomountServiceAccountToken: new(false),
		},
		&corev1.ConfigMap{
			TypeMeta:   metav1.TypeMeta{APIVersion: "v1", Kind: "ConfigMap"},
			ObjectMeta: r.meta(""),
			Data:       files,
		},
		r.claim("data", r.DataSize),
		r.claim("docker", r.DockerSize),
		r.deployment(files),
	}
	errs = append(errs, components.Apply(objects, r.Changes)...)
	return objects, object.Invalid(object.ID{Kind: "Runner", Namespace: r.Namespace, Name: r.Name}, errs).Err()
}

func (r Runner) withDefaults() Runner {
	if r.Image == "" {
		r.Image = "gitea/runner:1.0.6"
	}
	if r.DockerImage == "" {
		r.DockerImage = "docker:28-dind"
	}
	if len(r.Labels) == 0 {
		r.Labels = []string{"ubuntu-latest:docker://docker.gitea.com/runner-images:ubuntu-latest"}
	}
	if r.Capacity == 0 {
		r.Capacity = 1
	}
	if r.DataSize.IsZero() {
		r.DataSize = *resource.NewQuantity(1<<30, resource.BinarySI)
	}
	if r.DockerSize.IsZero() {
		r.DockerSize = *resource.NewQuantity(20<<30, resource.BinarySI)
	}
	if r.MaxAge == 0 {
		r.MaxAge = 7 * 24 * time.Hour
	}
	if r.MinFree.IsZero() {
		r.MinFree = *resource.NewQuantity(20<<30, resource.BinarySI)
	}
	if r.MTU == 0 {
		r.MTU = 1450
	}
	if r.Memory.IsZero() {
		r.Memory = *resource.NewQuantity(2<<30, resource.BinarySI)
	}
	if r.DockerMemory.IsZero() {
		r.DockerMemory = *resource.NewQuantity(8<<30, resource.BinarySI)
	}
	if r.SecretName == "" {
		r.SecretName = r.Name + "-registration"
	}
	return r
}

func (r Runner) validate() field.ErrorList {
	var errs field.ErrorList
	check := func(name, value string, rule func(string) []string) {
		for _, msg := range rule(value) {
			errs = append(errs, field.Invalid(field.NewPath(name), value, msg))
		}
	}
	if r.Name == "" {
		errs = append(errs, field.Required(field.NewPath("name"), "give it a name"))
	} else {
		check("name", r.Name, validation.IsDNS1123Label)
	}
	if r.Namespace == "" {
		errs = append(errs, field.Required(field.NewPath("namespace"), "say the namespace, one of its own: the runner's Docker is root on the node"))
	} else {
		check("namespace", r.Namespace, validation.IsDNS1123Label)
	}
	if r.SecretName != "" {
		check("secretName", r.SecretName, validation.IsDNS1123Subdomain)
	}
	if u, err := url.Parse(r.Instance); err != nil || u.Scheme != "https" || u.Hostname() == "" || u.User != nil || u.RawQuery != "" || u.Fragment != "" {
		errs = append(errs, field.Invalid(field.NewPath("instance"), r.Instance, "must be Gitea's address over https, such as https://git.example.com: tokens and the secrets of jobs travel over it"))
	}
	for _, image := range []struct{ field, value string }{{"image", r.Image}, {"dockerImage", r.DockerImage}} {
		if image.value != "" {
			errs = append(errs, components.CheckImage(field.NewPath(image.field), image.value)...)
		}
	}
	seen := make(map[string]int)
	for i, label := range r.Labels {
		path := field.NewPath("labels").Index(i)
		name, where, _ := strings.Cut(label, ":")
		image, inDocker := strings.CutPrefix(where, "docker://")
		known := where == "host" || inDocker && image != ""
		if name == "" || !known || strings.ContainsAny(label, " \t\n,") {
			errs = append(errs, field.Invalid(path, label, "must be name:docker://image or name:host, such as ubuntu-latest:docker://node:24"))
			continue
		}
		if inDocker {
			errs = append(errs, components.CheckImage(path, image)...)
		}
		if first, ok := seen[name]; ok {
			errs = append(errs, field.Invalid(path, label, fmt.Sprintf("labels[%d] says where jobs for %s run: say it once", first, name)))
			continue
		}
		seen[name] = i
	}
	for i, volume := range r.Volumes {
		if !volumeWord.MatchString(volume) {
			errs = append(errs, field.Invalid(field.NewPath("volumes").Index(i), volume, "must be the name of a volume: letters, digits, dots, dashes and underscores, and no path"))
		}
	}
	if r.Capacity < 0 {
		errs = append(errs, field.Invalid(field.NewPath("capacity"), r.Capacity, "must not be negative"))
	}
	for _, size := range []struct {
		field string
		value resource.Quantity
	}{
		{"dataSize", r.DataSize}, {"dockerSize", r.DockerSize}, {"minFree", r.MinFree}, {"memory", r.Memory}, {"dockerMemory", r.DockerMemory},
	} {
		if size.value.Sign() < 0 {
			errs = append(errs, field.Invalid(field.NewPath(size.field), size.value.String(), "must not be negative"))
		}
	}
	if r.MaxAge < 0 || r.MaxAge%time.Hour != 0 {
		errs = append(errs, field.Invalid(field.NewPath("maxAge"), r.MaxAge.String(), "must be whole hours, and not negative"))
	}
	// Every host must take packets of 576 bytes (RFC 791); Ethernet's largest
	// have 9216 or a little less.
	if r.MTU != 0 && (r.MTU < 576 || r.MTU > 9216) {
		errs = append(errs, field.Invalid(field.NewPath("mtu"), r.MTU, "must be from 576 to 9216, such as 1450"))
	}
	return errs
}

// config is the runner's config file (gitea/runner,
// internal/pkg/config/config.example.yaml).
func (r Runner) config() (string, error) {
	var c struct {
		Log struct {
			Level string `yaml:"level"`
		} `yaml:"log"`
		Runner struct {
			File            string   `yaml:"file"`
			Capacity        int      `yaml:"capacity"`
			ShutdownTimeout string   `yaml:"shutdown_timeout"`
			Labels          []string `yaml:"labels"`
		} `yaml:"runner"`
		Container struct {
			DockerHost   string   `yaml:"docker_host"`
			ValidVolumes []string `yaml:"valid_volumes,omitempty"`
		} `yaml:"container"`
	}
	c.Log.Level = "info"
	c.Runner.File = dataDir + "/.runner"
	c.Runner.Capacity = r.Capacity
	c.Runner.ShutdownTimeout = shutdown.String()
	c.Runner.Labels = r.Labels
	// Jobs get this socket too, so that they can build images.
	c.Container.DockerHost = socket
	c.Container.ValidVolumes = r.Volumes
	var text bytes.Buffer
	encoder := yaml.NewEncoder(&text)
	encoder.SetIndent(2)
	err := encoder.Encode(c)
	return text.String(), err
}

// docker is the configuration of Docker (Docker documentation, "dockerd",
// daemon configuration file, and "Build garbage collection").
func (r Runner) docker() (string, error) {
	type object map[string]any
	text, err := json.MarshalIndent(object{
		// For the default bridge, and for the networks that are made for jobs:
		// the runner's own options for those have no MTU.
		"mtu":                  r.MTU,
		"default-network-opts": object{"bridge": object{"com.docker.network.driver.mtu": strconv.Itoa(r.MTU)}},
		// The builder looks at these after each build.
		"builder": object{"gc": object{
			"enabled":             true,
			"defaultMaxUsedSpace": strconv.FormatInt(r.DockerSize.Value()/2, 10),
			"defaultMinFreeSpace": strconv.FormatInt(r.MinFree.Value(), 10),
		}},
	}, "", "  ")
	return string(text) + "\n", err
}

// prune is the script that keeps Docker's directory small. Images have no
// garbage collection of their own. Only what no container uses is removed: a
// job that runs loses nothing but an image that it is about to start.
func (r Runner) prune() string {
	return fmt.Sprintf(`# The shell is process 1, which ignores signals that it does not trap.
trap 'exit 0' TERM
pruned=
while :; do
  free=$(df -Pk %[1]s | awk 'NR == 2 { print $4 }')
  today=$(date +%%F)
  if [ -n "$free" ] && [ "$free" -lt %[2]d ]; then
    echo "$free KiB free, less than %[2]d: removing all that is unused"
    docker system prune --all --force
    docker volume prune --all --force
  elif [ "$today" != "$pruned" ]; then
    docker system prune --all --force --filter until=%[3]dh && pruned=$today
    docker volume prune --force # anonymous ones
  fi
  sleep 600 &
  wait $!
done
`, dockerDir, r.MinFree.Value()/1024, int64(r.MaxAge.Hours()))
}

// Peer returns the runner's pod, for a [components.Network].
func (r Runner) Peer() components.Peer {
	return components.Peer{Namespace: r.Namespace, Pods: map[string]string{labelName: r.Name}}
}

// Only the name is selected on: a selector cannot change.
const labelName = "app.kubernetes.io/name"

// memory is a limit, and a request that leaves the node to the apps. CPU is
// neither: jobs take what the apps leave.
func memory(limit resource.Quantity) corev1.ResourceRequirements {
	request := *resource.NewQuantity(128<<20, resource.BinarySI)
	if limit.Cmp(request) < 0 {
		request = limit
	}
	return corev1.ResourceRequirements{
		Requests: corev1.ResourceList{corev1.ResourceMemory: request},
		Limits:   corev1.ResourceList{corev1.ResourceMemory: limit},
	}
}

func (r Runner) deployment(files map[string]string) object.Object {
	sum := sha256.New()
	for _, name := range slices.Sorted(maps.Keys(files)) {
		fmt.Fprintf(sum, "%s\x00%s\x00", name, files[name])
	}
	token := r.Secret().Key(keyToken)
	run := corev1.VolumeMount{Name: "run", MountPath: runDir}
	docker := corev1.VolumeMount{Name: "docker", MountPath: dockerDir}
	look := docker
	look.ReadOnly = true
	config := corev1.VolumeMount{Name: "config", MountPath: configDir, ReadOnly: true}
	return &appsv1.Deployment{
		TypeMeta:   metav1.TypeMeta{APIVersion: "apps/v1", Kind: "Deployment"},
		ObjectMeta: r.meta(""),
		Spec: appsv1.DeploymentSpec{
			// More would share one registration and one Docker directory.
			Replicas: new(int32(1)),
			Selector: &metav1.LabelSelector{MatchLabels: r.Peer().Pods},
			Strategy: appsv1.DeploymentStrategy{Type: appsv1.RecreateDeploymentStrategyType},
			Template: corev1.PodTemplateSpec{
				ObjectMeta: metav1.ObjectMeta{
					Labels: components.Labels(r.Name),
					// The runner reads its config at its start only.
					Annotations: map[string]string{"checksum/config": hex.EncodeToString(sum.Sum(nil)[:16])},
				},
				Spec: corev1.PodSpec{
					ServiceAccountName:            r.Name,
					AutomountServiceAccountToken:  new(false),
					EnableServiceLinks:            new(false),
					TerminationGracePeriodSeconds: new(int64(grace.Seconds())),
					// Sidecars (restartPolicy Always): they are there before the
					// runner, and until the runner has ended.
					InitContainers: []corev1.Container{{
						Name:  "docker",
						Image: r.DockerImage,
						// Spelled out, or the image's entry point would open a
						// port of Docker on the pod's address as well
						// (docker-library/docker, dockerd-entrypoint.sh).
						Args:            []string{"dockerd", "--host=" + socket, "--config-file=" + dockerConfig},
						Resources:       memory(r.DockerMemory),
						RestartPolicy:   new(corev1.ContainerRestartPolicyAlways),
						SecurityContext: &corev1.SecurityContext{Privileged: new(true)},
						// Not the socket alone: a restart leaves the old one behind.
						StartupProbe: &corev1.Probe{
							ProbeHandler:     corev1.ProbeHandler{Exec: &corev1.ExecAction{Command: []string{"docker", "--host=" + socket, "info"}}},
							PeriodSeconds:    2,
							TimeoutSeconds:   5,
							FailureThreshold: 60,
						},
						VolumeMounts: []corev1.VolumeMount{run, docker, config},
					}, {
						Name:          "prune",
						Image:         r.DockerImage,
						Command:       []string{"sh", pruneScript},
						Env:           []corev1.EnvVar{{Name: "DOCKER_HOST", Value: socket}},
						RestartPolicy: new(corev1.ContainerRestartPolicyAlways),
						Resources:     memory(*resource.NewQuantity(256<<20, resource.BinarySI)),
						VolumeMounts:  []corev1.VolumeMount{run, look, config},
					}},
					Containers: []corev1.Container{{
						Name:      "runner",
						Image:     r.Image,
						Resources: memory(r.Memory),
						Env: []corev1.EnvVar{
							{Name: "CONFIG_FILE", Value: runnerConfig},
							{Name: "GITEA_INSTANCE_URL", Value: r.Instance},
							{Name: "GITEA_RUNNER_NAME", Value: r.Name},
							{Name: "GITEA_RUNNER_REGISTRATION_TOKEN", ValueFrom: &corev1.EnvVarSource{SecretKeyRef: &corev1.SecretKeySelector{
								LocalObjectReference: corev1.LocalObjectReference{Name: token.Secret},
								Key:                  token.Key,
							}}},
						},
						VolumeMounts: []corev1.VolumeMount{
							run,
							{Name: "data", MountPath: dataDir},
							config,
						},
					}},
					Volumes: []corev1.Volume{
						{Name: "run", VolumeSource: corev1.VolumeSource{EmptyDir: &corev1.EmptyDirVolumeSource{SizeLimit: resource.NewQuantity(1<<30, resource.BinarySI)}}},
						{Name: "config", VolumeSource: corev1.VolumeSource{ConfigMap: &corev1.ConfigMapVolumeSource{LocalObjectReference: corev1.LocalObjectReference{Name: r.Name}}}},
						r.volume("data"),
						r.volume("docker"),
					},
				},
			},
		},
	}
}

// claim is the space that outlives the pod, under the name of its volume.
func (r Runner) claim(volume string, size resource.Quantity) object.Object {
	return &corev1.PersistentVolumeClaim{
		TypeMeta:   metav1.TypeMeta{APIVersion: "v1", Kind: "PersistentVolumeClaim"},
		ObjectMeta: r.meta("-" + volume),
		Spec: corev1.PersistentVolumeClaimSpec{
			AccessModes: []corev1.PersistentVolumeAccessMode{corev1.ReadWriteOnce},
			Resources:   corev1.VolumeResourceRequirements{Requests: corev1.ResourceList{corev1.ResourceStorage: size}},
		},
	}
}

// volume mounts the claim of that name.
func (r Runner) volume(name string) corev1.Volume {
	return corev1.Volume{Name: name, VolumeSource: corev1.VolumeSource{
		PersistentVolumeClaim: &corev1.PersistentVolumeClaimVolumeSource{ClaimName: r.Name + "-" + name},
	}}
}

func (r Runner) meta(suffix string) metav1.ObjectMeta {
	return metav1.ObjectMeta{Namespace: r.Namespace, Name: r.Name + suffix, Labels: components.Labels(r.Name)}
}
