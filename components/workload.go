package components

import (
	"cmp"
	"fmt"
	"maps"
	"math"
	"path"
	"slices"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/intstr"
	"k8s.io/apimachinery/pkg/util/validation"
	"k8s.io/apimachinery/pkg/util/validation/field"

	"git.lastcloud.io/ronnibaslund/dezky/fleet/components/internal/validate"
	"git.lastcloud.io/ronnibaslund/dezky/fleet/components/secret"
	"git.lastcloud.io/ronnibaslund/dezky/fleet/render/object"
)

// Workload is what runs: one struct for [WebApp], [Worker], [StatefulSet],
// [Job] and [CronJob], which are types of this form and differ in what they
// make of it. A field that says nothing to a kind is refused there.
//
// Its containers are hardened: a user that is not root, no capabilities, no
// way to gain privileges, a read-only root file system with a /tmp, no token
// of the Kubernetes API, the runtime's own seccomp profile.
type Workload struct {
	// Name of the workload and of all its objects; a DNS label. A [Job] has a
	// checksum after it.
	Name string
	// Namespace of the objects. In Init and Sidecars it is the pod's: leave it
	// empty, and so with all below that says so.
	Namespace string
	// Image with tag or digest.
	Image string
	// PullSecret is the Secret with the registry's credential. If nil, the
	// registry is public. In Init and Sidecars it is the pod's.
	PullSecret *secret.Contract
	// Command replaces the entry point of the image. If empty, the image's.
	// $(NAME) stands for a variable, in Args too.
	Command []string
	// Args replace the arguments of the image. If empty, the image's.
	Args []string
	// Port on which the app listens, and its Service too, TCP. A WebApp is
	// told in the variable PORT. WebApp and StatefulSet only.
	Port int32
	// Ports are further ports, of the Service too where there is one.
	Ports []Port
	// Replicas stand in the manifest always, so that a release undoes a
	// scaling by hand on purpose, never by chance. If zero, 1. Not together
	// with Autoscale, and not for Job and CronJob.
	Replicas int32
	// Autoscale lets the number of pods follow the load. If nil, it is
	// Replicas. WebApp and Worker only.
	//
	// A workload that had Replicas before runs one pod for a moment: applied
	// without a number it gets the default of 1, until the autoscaler has
	// looked (Kubernetes documentation, "Migrating Deployments and
	// StatefulSets to horizontal autoscaling"). So do it at a quiet hour.
	Autoscale *Autoscale
	// Env is variables whose values stand in the manifest.
	Env map[string]string
	// SecretEnv is variables whose values come from Secrets of the namespace.
	SecretEnv map[string]secret.Ref
	// Config is read whole, each key a variable; a change of it rolls the
	// pods. If nil, there is none.
	Config *ConfigMap
	// Volumes of the container: configuration as files, claims, room to write.
	Volumes []Volume
	// Login signs users in. If nil, the app has no sessions. WebApp only.
	Login Login
	// Probes of the app.
	Probes Probes
	// Resources of a container. If zero, requests of 50m CPU and 128Mi memory,
	// and a limit of 512Mi memory, or of 2Gi while the memory is assumed.
	Resources corev1.ResourceRequirements
	// Init are containers that run one after the other, each to its end,
	// before the app starts. Of a container of the pod, only the fields that
	// are the container's are given: Name, Image, Command, Args, Ports, Env,
	// SecretEnv, Config, Volumes, Probes, Resources. A volume with the name of
	// one of the pod's is that one.
	Init []Workload
	// Sidecars are containers that run beside the app; they start before Init
	// and end after the app (Kubernetes documentation, "Sidecar Containers").
	Sidecars []Workload
	// Drain is how long the app takes to finish what it is at after SIGTERM.
	// If zero, 30 seconds, the limit of Nitro. In Init and Sidecars it is the
	// pod's.
	Drain time.Duration
	// TmpSize is how much the containers may write to /tmp, which is on the
	// node's disk: above it the kubelet evicts the pod. If zero, 1Gi, or 4Gi
	// while the size is assumed. In Init and Sidecars it is the pod's.
	TmpSize resource.Quantity
	// RunAsUser is the numeric user and group. If zero, 1000, the user of
	// Node's images. Not rendered while the user is assumed. In Init and
	// Sidecars it is the pod's.
	RunAsUser int64
	// Network says who may reach the pods on their ports, and whom they may
	// reach; only From and To are given. If nil, there is no NetworkPolicy. In
	// Init and Sidecars it is the pod's.
	Network *Network
	// Schedule is when a CronJob runs, as cron has it: "30 2 * * *", or
	// "@daily". CronJob only.
	Schedule string
	// TimeZone of the Schedule, such as Europe/Copenhagen. If empty, Etc/UTC.
	// CronJob only.
	TimeZone string
	// BeforeRelease has a deploy run the job to its end before it changes any
	// other workload: where the job fails, the release ends there. If false,
	// it runs beside them. Job only.
	BeforeRelease bool
	// Retries is how many times a failed pod is tried again. If nil, 3. Job
	// and CronJob only.
	Retries *int32
	// Deadline ends a job that takes longer, in whole seconds. If zero, it may
	// take as long as it does. Job and CronJob only.
	Deadline time.Duration
	// Assumed says which of these values nobody has confirmed. In Init and
	// Sidecars it is the pod's.
	Assumed Assumed
	// Changes are applied to the objects last; see [Edit]. In Init and Sidecars they are
	// the pod's.
	Changes []Change
}

// Assumed says what of an app nobody has confirmed. Each assumption is
// rendered in a form that can do no harm; taking it out is confirming it.
type Assumed struct {
	// Probes: the paths. Until confirmed, a probe is a TCP connection.
	Probes bool
	// User: that the image runs as RunAsUser, and without any capability.
	// Until confirmed, the container runs as the user that its image names,
	// as it would in Docker, and its namespace must enforce no more than
	// baseline.
	User bool
	// Files: that the app writes below /tmp, and to its volumes, only. Until
	// confirmed, the root file system is writable.
	Files bool
	// Memory: the limit. Until confirmed, it is 2Gi where Resources is zero.
	Memory bool
	// Tmp: the limit of /tmp. Until confirmed, it is 4Gi where TmpSize is zero.
	Tmp bool
	// Twice: that two pods may run side by side. Until confirmed, they do
	// during a release alone, as Kubernetes has it by default.
	Twice bool
	// Env is variables by name, each with the command or the place that
	// confirms that the app reads it and what it should hold.
	Env map[string]string
}

// Probes are paths on a port of the app, over HTTP. An empty path means that
// the Command decides, or a TCP connection where there is none. A container
// without a Port has the probes that are given.
type Probes struct {
	// Startup holds the other two off until it first succeeds; the app has
	// two minutes for that.
	Startup string
	// Readiness may look at what the app cannot do without.
	Readiness string
	// Liveness must look at no dependency: a failure restarts the pod.
	Liveness string
	// Port of the paths. If zero, the workload's Port.
	Port int32
	// Command is run in the container for every probe that has no path; the
	// exit status 0 means that all is well. If empty, there is none.
	Command []string
}

// Port is a further port, TCP.
type Port struct {
	// Name of the port, as Services and NetworkPolicies know it.
	Name string
	// Port number.
	Port int32
}

// Volume is files that a container sees below a path: those of a claim, of a
// ConfigMap or of a Secret. Of none of these, it is room to write that ends
// with the pod.
type Volume struct {
	// Name of the volume in the pod; a DNS label.
	Name string
	// Path at which the container sees it.
	Path string
	// SubPath is the part of the volume that is seen, such as the one file of
	// a ConfigMap. If empty, all of it.
	SubPath string
	// ReadOnly forbids to write. ConfigMaps and Secrets are read-only anyway.
	ReadOnly bool
	// Claim keeps the files beyond the pod. If nil, it is none.
	Claim *Claim
	// Config has each key as a file; a change of it rolls the pods. If nil, it
	// is none.
	Config *ConfigMap
	// Secret has each key as a file. If nil, it is none.
	Secret *secret.Contract
	// Size of room to write, which is on the node's disk: above it the kubelet
	// evicts the pod. If zero, 1Gi.
	Size resource.Quantity
}

// Claim asks for storage. In a StatefulSet each pod has a claim of its own; in
// another workload all its pods have the same one.
type Claim struct {
	// Name of a PersistentVolumeClaim that something else makes. If empty, the
	// workload makes it, with the name of the workload and the volume.
	Name string
	// Size that is asked for. Not with a Name.
	Size resource.Quantity
	// Class of the storage. If empty, the cluster's default. Not with a Name.
	Class string
	// Shared says that pods on several nodes can hold the claim
	// (ReadWriteMany), which the storage must offer. If false, one pod holds
	// it: a Deployment ends the old pod before it starts the new one
	// (strategy Recreate), and a second replica is refused.
	Shared bool
}

// kind is what is particular to one kind of workload.
type kind struct {
	// name of the component.
	name string
	// resource is what kubectl calls it.
	resource string
	// port is the name of its Port. Empty where it has none.
	port string
	// long is the longest name, which leaves room for what the cluster adds.
	long int
	// job runs to its end.
	job bool
}

// portName of every web app's port, for Service, Ingress and probes.
const portName = "http"

const (
	// preStop is how long a pod goes on serving after it was taken out of its
	// Service: endpoints and proxies need a moment to follow.
	preStop = 5 * time.Second
	// margin between the drain and the kill.
	margin = 10 * time.Second
)

// Pods made by controllers carry the name of their revision or run after that
// of the workload, in names and labels of 63 characters (Kubernetes
// documentation, "CronJob"; k8s.io/kubernetes, pkg/controller/history).
const longJob, longSet, longApp = 52, 52, validation.DNS1123LabelMaxLength

// peer is the pods, for the Network of another app.
func (w Workload) peer() Peer {
	return Peer{Namespace: w.Namespace, Pods: selector(w.Name), Ports: w.ports()}
}

// ports are all that the pod's own container has.
func (w Workload) ports() []int32 {
	var ports []int32
	if w.Port != 0 {
		ports = append(ports, w.Port)
	}
	for _, p := range w.Ports {
		ports = append(ports, p.Port)
	}
	return ports
}

// user returns the numeric user.
func (w Workload) user() int64 {
	if w.RunAsUser == 0 {
		return 1000
	}
	return w.RunAsUser
}

func (w Workload) about(k kind) object.About {
	at := k.name + " " + w.Namespace + "/" + w.Name + ": "
	kubectl := "kubectl -n " + w.Namespace + " "
	exec := kubectl + "exec " + k.resource + "/" + w.Name + " -- "
	if k.job { // its pod has ended: a new one is asked
		exec = kubectl + "run " + w.Name + "-look --rm -it --restart=Never --image=" + w.Image + " --command -- "
	}
	var list []object.Assumption
	if p := w.Probes; w.Assumed.Probes && p.Startup+p.Readiness+p.Liveness != "" {
		list = append(list, object.Assumption{
			What:  at + "the paths of the probes",
			Value: fmt.Sprintf("startup %s, readiness %s, liveness %s", p.Startup, p.Readiness, p.Liveness),
			Confirm: fmt.Sprintf("`%sport-forward %s/%s 8080:%d`, then `curl -i http://localhost:8080%s` and the other paths: each answers 200 without a session",
				kubectl, k.resource, w.Name, cmp.Or(p.Port, w.Port), p.Readiness),
			Until: "a probe is a TCP connection: no path can be wrong, but an app that listens and answers 500 counts as healthy",
			Buys:  "a pod that answers errors gets no traffic, and a release stops at it",
		})
	}
	if w.Assumed.User {
		list = append(list, object.Assumption{
			What:    at + "the user of the image",
			Value:   strconv.FormatInt(w.user(), 10),
			Confirm: "`" + exec + "id -u`: the same number, and the app does all it should without being root",
			Until:   "the container runs as the user that its image names, with the default capabilities, as it would in Docker",
			Buys:    "never root and no capability, and with all apps confirmed the namespace enforces Pod Security restricted",
		})
	}
	if w.Assumed.Files {
		list = append(list, object.Assumption{
			What:    at + "the paths that it writes",
			Value:   "/tmp",
			Confirm: "`" + exec + `find / -xdev -type f -newer /etc/hosts -not -path "/tmp/*"` + "` after a day's work: lists nothing (the kubelet writes /etc/hosts at the start)",
			Until:   "the root file system is writable",
			Buys:    "a read-only root file system: who breaks in cannot change the program",
		})
	}
	if w.Assumed.Memory {
		r := w.resources()
		list = append(list, object.Assumption{
			What:    at + "the limit of memory",
			Value:   r.Limits.Memory().String(),
			Confirm: "`" + kubectl + "top pods` at the busiest hour: less than two thirds of the limit that is meant",
			Until:   "the limit is generous: it stops a leak before the node is full, and nothing else",
			Buys:    "a limit near the need, so that one app cannot take the memory of the others",
		})
	}
	if w.Assumed.Tmp {
		size := w.tmpSize()
		list = append(list, object.Assumption{
			What:    at + "the limit of /tmp",
			Value:   size.String(),
			Confirm: "`" + exec + "du -sh /tmp` at the busiest hour: less than two thirds of the limit that is meant",
			Until:   "the limit is generous: above it the kubelet evicts the pod, and a new one starts with an empty /tmp",
			Buys:    "a limit near the need, so that one app cannot fill the node's disk",
		})
	}
	if w.Assumed.Twice {
		list = append(list, object.Assumption{
			What:    at + "that two pods may run side by side",
			Confirm: "its code: no job, lock, queue or file that only one process may have",
			Until:   "one pod, and a second one during a release, as with the default strategy of Kubernetes",
			Buys:    "two replicas, so that a lost pod is no outage",
		})
	}
	for _, name := range sortedKeys(w.Assumed.Env) {
		list = append(list, object.Assumption{
			What:    at + "the variable " + name,
			Value:   w.variable(k, name),
			Confirm: w.Assumed.Env[name],
			Until:   "it is set as assumed; a release whose new pod does not start leaves the old pods serving",
			Buys:    "certainty that the app reads it, and this value",
		})
	}
	about := object.About{Assumed: list}
	if w.Login != nil {
		login := w.Login.About()
		about.Claims, about.Notes = login.Claims, login.Notes
		about.Pending, about.Assumed = login.Pending, append(about.Assumed, login.Assumed...)
	}
	return about
}

// variable returns the value of a variable that stands in the manifest.
func (w Workload) variable(k kind, name string) string {
	for _, e := range w.env(k) {
		if e.Name == name {
			return e.Value
		}
	}
	return ""
}

// The mistakes that lie in the fields.

func (w Workload) validate(k kind) field.ErrorList {
	var errs field.ErrorList
	errs = validate.Name(errs, field.NewPath("name"), w.Name, validation.IsDNS1035Label)
	if n := len(w.Name); n > k.long && n <= longApp {
		errs = append(errs, field.Invalid(field.NewPath("name"), w.Name, fmt.Sprintf("is %d characters long, must be no more than %d: the cluster adds to it", n, k.long)))
	}
	errs = validate.Namespace(errs, field.NewPath("namespace"), w.Namespace)
	errs = append(errs, w.validateKind(k)...)
	if w.Replicas < 0 {
		errs = append(errs, field.Invalid(field.NewPath("replicas"), w.Replicas, "must not be negative"))
	}
	if a := w.Autoscale; a != nil {
		path := field.NewPath("autoscale")
		if w.Replicas != 0 {
			errs = append(errs, field.Forbidden(field.NewPath("replicas"), "the autoscaler decides: leave one of the two out"))
		}
		if a.Min < 1 {
			errs = append(errs, field.Invalid(path.Child("min"), a.Min, "must be 1 or more"))
		}
		if a.Max < a.Min {
			errs = append(errs, field.Invalid(path.Child("max"), a.Max, fmt.Sprintf("must be min (%d) or more", a.Min)))
		}
		if a.CPU < 0 {
			errs = append(errs, field.Invalid(path.Child("cpu"), a.CPU, "must not be negative"))
		}
	}
	if w.Drain < 0 {
		errs = append(errs, field.Invalid(field.NewPath("drain"), w.Drain.String(), "must not be negative"))
	}
	if w.TmpSize.Sign() < 0 {
		errs = append(errs, field.Invalid(field.NewPath("tmpSize"), w.TmpSize.String(), "must not be negative"))
	}
	if w.RunAsUser < 0 {
		errs = append(errs, field.Invalid(field.NewPath("runAsUser"), w.RunAsUser, "must not be negative"))
	}
	if w.Login != nil && k.port == portName {
		errs = append(errs, w.Login.Validate(field.NewPath("login"))...)
		if of := w.Login.OIDCClient().Namespace; of != "" && of != w.Namespace {
			errs = append(errs, field.Invalid(field.NewPath("login", "client", "namespace"), of, "must be the app's, "+w.Namespace+": a pod reads only the Secrets of its own namespace"))
		}
	}
	if w.PullSecret != nil {
		if w.PullSecret.Type != corev1.SecretTypeDockerConfigJson {
			errs = append(errs, field.Invalid(field.NewPath("pullSecret", "type"), w.PullSecret.Type, "must be "+string(corev1.SecretTypeDockerConfigJson)))
		}
		if w.PullSecret.Namespace != w.Namespace {
			errs = append(errs, field.Invalid(field.NewPath("pullSecret", "namespace"), w.PullSecret.Namespace, "must be the app's, "+w.Namespace))
		}
	}
	if n := w.Network; n != nil {
		path := field.NewPath("network")
		for _, own := range []struct {
			field string
			given bool
		}{
			{"name", n.Name != ""}, {"namespace", n.Namespace != ""}, {"pods", len(n.Pods) > 0}, {"ports", len(n.Ports) > 0}, {"changes", len(n.Changes) > 0},
		} {
			if own.given {
				errs = append(errs, field.Forbidden(path.Child(own.field), "is the app's own: leave it empty"))
			}
		}
		if len(n.From) > 0 && len(w.ports()) == 0 && k.port == "" {
			errs = append(errs, field.Forbidden(path.Child("from"), "the pods have no port to reach: give ports, or leave it empty"))
		}
		errs = append(errs, validatePeers(path.Child("from"), n.From)...)
		errs = append(errs, validatePeers(path.Child("to"), n.To)...)
	}
	if w.Deadline < 0 || w.Deadline%time.Second != 0 {
		errs = append(errs, field.Invalid(field.NewPath("deadline"), w.Deadline.String(), "must be whole seconds, and not negative"))
	}
	if w.Retries != nil && *w.Retries < 0 {
		errs = append(errs, field.Invalid(field.NewPath("retries"), *w.Retries, "must not be negative"))
	}
	errs = append(errs, w.validateContainer(nil, k)...)
	return append(errs, w.validateOthers(k)...)
}

// validateKind refuses fields that say nothing to the kind.
func (w Workload) validateKind(k kind) field.ErrorList {
	var errs field.ErrorList
	if k.port != "" {
		errs = validate.Port(errs, field.NewPath("port"), w.Port)
	}
	for _, f := range []struct {
		name  string
		given bool
		has   bool
		why   string
	}{
		{"port", w.Port != 0, k.port != "", "has no Service: give further ports in ports"},
		{"replicas", w.Replicas != 0, !k.job, "runs one pod"},
		{"autoscale", w.Autoscale != nil, !k.job && k != statefulSet, "does not follow the load"},
		{"login", w.Login != nil, k == webApp, "signs nobody in"},
		{"schedule", w.Schedule != "", k == cronJob, "does not run on a schedule: a CronJob does"},
		{"timeZone", w.TimeZone != "", k == cronJob, "does not run on a schedule: a CronJob does"},
		{"beforeRelease", w.BeforeRelease, k == job, "does not come before a release: a Job does"},
		{"retries", w.Retries != nil, k.job, "does not end"},
		{"deadline", w.Deadline != 0, k.job, "does not end"},
	} {
		if f.given && !f.has {
			errs = append(errs, field.Forbidden(field.NewPath(f.name), "a "+k.name+" "+f.why))
		}
	}
	return errs
}

// validateOthers is the mistakes of the further containers, and of names that
// stand twice in the pod.
func (w Workload) validateOthers(k kind) field.ErrorList {
	if len(w.Init)+len(w.Sidecars) == 0 {
		return w.validateVolumes(k)
	}
	var errs field.ErrorList
	names := map[string]bool{w.Name: true}
	for _, list := range []struct {
		field string
		of    []Workload
	}{{"init", w.Init}, {"sidecars", w.Sidecars}} {
		for i, c := range list.of {
			path := field.NewPath(list.field).Index(i)
			errs = validate.Name(errs, path.Child("name"), c.Name, validation.IsDNS1123Label)
			if names[c.Name] && c.Name != "" {
				errs = append(errs, field.Duplicate(path.Child("name"), c.Name))
			}
			names[c.Name] = true
			for _, f := range []struct {
				name  string
				given bool
			}{
				{"namespace", c.Namespace != ""}, {"pullSecret", c.PullSecret != nil}, {"drain", c.Drain != 0}, {"tmpSize", !c.TmpSize.IsZero()},
				{"runAsUser", c.RunAsUser != 0}, {"network", c.Network != nil}, {"changes", len(c.Changes) > 0}, {"init", len(c.Init) > 0}, {"sidecars", len(c.Sidecars) > 0},
				{"assumed", c.Assumed.Probes || c.Assumed.User || c.Assumed.Files || c.Assumed.Memory || c.Assumed.Tmp || c.Assumed.Twice || len(c.Assumed.Env) > 0},
				{"replicas", c.Replicas != 0}, {"autoscale", c.Autoscale != nil}, {"login", c.Login != nil}, {"schedule", c.Schedule != ""}, {"timeZone", c.TimeZone != ""},
				{"beforeRelease", c.BeforeRelease}, {"retries", c.Retries != nil}, {"deadline", c.Deadline != 0},
			} {
				if f.given {
					errs = append(errs, field.Forbidden(path.Child(f.name), "is the pod's: say it of the "+k.name))
				}
			}
			if c.Port != 0 {
				errs = append(errs, field.Forbidden(path.Child("port"), "is the app's: give the ports of the container in ports"))
			}
			if list.field == "init" && c.probed() {
				errs = append(errs, field.Forbidden(path.Child("probes"), "a container that runs to its end has none"))
			}
			c.Namespace = w.Namespace
			errs = append(errs, c.validateContainer(path, container)...)
		}
	}
	return append(errs, w.validateVolumes(k)...)
}

// validateContainer is the mistakes of one container; path is nil for the
// pod's own.
func (w Workload) validateContainer(path *field.Path, k kind) field.ErrorList {
	var errs field.ErrorList
	errs = append(errs, CheckImage(path.Child("image"), w.Image)...)
	names, ports := []string{k.port}, []int32{w.Port}
	for i, p := range w.Ports {
		path := path.Child("ports").Index(i)
		for _, msg := range validation.IsValidPortName(p.Name) {
			errs = append(errs, field.Invalid(path.Child("name"), p.Name, validate.Plain(msg)))
		}
		if p.Name != "" && slices.Contains(names, p.Name) {
			errs = append(errs, field.Duplicate(path.Child("name"), p.Name))
		}
		errs = validate.Port(errs, path.Child("port"), p.Port)
		if p.Port != 0 && slices.Contains(ports, p.Port) {
			errs = append(errs, field.Duplicate(path.Child("port"), p.Port))
		}
		names, ports = append(names, p.Name), append(ports, p.Port)
	}
	probes := path.Child("probes")
	for _, p := range []struct{ name, path string }{
		{"startup", w.Probes.Startup}, {"readiness", w.Probes.Readiness}, {"liveness", w.Probes.Liveness},
	} {
		if p.path != "" && !validate.IsPath(p.path) {
			errs = append(errs, field.Invalid(probes.Child(p.name), p.path, "must be a path that starts with /"))
		}
		if p.path != "" && w.Port == 0 && w.Probes.Port == 0 && k.port == "" {
			errs = append(errs, field.Required(probes.Child("port"), "say the port of the path "+p.path))
		}
	}
	if w.Probes.Port != 0 && !slices.Contains(ports, w.Probes.Port) {
		errs = append(errs, field.Invalid(probes.Child("port"), w.Probes.Port, "is none of the container's: add it to ports"))
	}
	if k.job && w.probed() {
		errs = append(errs, field.Forbidden(probes, "a "+k.name+" runs to its end and has none"))
	}
	if w.Config != nil {
		if w.Config.Name == "" {
			errs = append(errs, field.Required(path.Child("config", "name"), "give it a name"))
		}
		if w.Config.Namespace != w.Namespace {
			errs = append(errs, field.Invalid(path.Child("config", "namespace"), w.Config.Namespace, "must be the app's, "+w.Namespace))
		}
	}
	return append(errs, w.validateEnv(path, k)...)
}

// probed reports whether any probe is given.
func (w Workload) probed() bool {
	p := w.Probes
	return p.Startup+p.Readiness+p.Liveness != "" || p.Port != 0 || len(p.Command) > 0
}

// validateEnv sees to it that each variable is stated once and well.
func (w Workload) validateEnv(in *field.Path, k kind) field.ErrorList {
	var errs field.ErrorList
	from := make(map[string]string) // variable → where it was stated first
	if k == webApp {
		from["PORT"] = "port"
	}
	state := func(path *field.Path, name, where string) {
		errs = validate.Key(errs, path, name, validation.IsEnvVarName)
		if first, ok := from[name]; ok {
			errs = append(errs, field.Invalid(path.Key(name), name, "is set by "+first+" too: state it once"))
			return
		}
		from[name] = where
	}
	if w.Login != nil {
		for _, name := range sortedKeys(w.Login.Env()) {
			state(in.Child("login"), name, "login")
		}
		for _, name := range sortedKeys(w.Login.SecretEnv()) {
			state(in.Child("login"), name, "login")
		}
	}
	for _, name := range sortedKeys(w.Env) {
		path, value := in.Child("env"), w.Env[name]
		state(path, name, "env")
		switch {
		case strings.Contains(strings.ReplaceAll(value, "$$", ""), "$("):
			errs = append(errs, field.Invalid(path.Key(name), value, "contains $(, which Kubernetes would expand: write $$("))
		case !utf8.ValidString(value):
			errs = append(errs, field.Invalid(path.Key(name), field.OmitValueType{}, "is no text in UTF-8"))
		case strings.Contains(value, "\x00"):
			errs = append(errs, field.Invalid(path.Key(name), field.OmitValueType{}, "contains a zero byte, which no variable can hold"))
		}
	}
	for _, name := range sortedKeys(w.SecretEnv) {
		path, ref := in.Child("secretEnv"), w.SecretEnv[name]
		state(path, name, "secretEnv")
		switch {
		case ref.Secret == "" || ref.Key == "":
			errs = append(errs, field.Required(path.Key(name), "take the reference from the Key method of the Secret's contract"))
		case ref.Namespace != w.Namespace:
			errs = append(errs, field.Invalid(path.Key(name), ref.String(), "is in another namespace: a pod reads only the Secrets of "+w.Namespace))
		}
	}
	if w.Config != nil {
		for _, name := range sortedKeys(w.Config.final()) {
			state(in.Child("config"), name, "config")
		}
	}
	for _, name := range sortedKeys(w.Assumed.Env) {
		path := field.NewPath("assumed", "env").Key(name)
		_, isSecret := w.SecretEnv[name]
		switch {
		case w.Assumed.Env[name] == "":
			errs = append(errs, field.Required(path, "say the command or the place that confirms the variable"))
		case from[name] == "" || from[name] == "config" || isSecret:
			errs = append(errs, field.Invalid(path, name, "is no variable whose value stands in the manifest: take it out"))
		}
	}
	return errs
}

// validateVolumes is the mistakes of the volumes of all containers.
func (w Workload) validateVolumes(k kind) field.ErrorList {
	var errs field.ErrorList
	containers := w.containers()
	if containers == nil {
		return nil
	}
	own := make(map[string]bool)
	for _, c := range containers {
		paths := map[string]string{"/tmp": "/tmp of its own"}
		for i, v := range c.of.Volumes {
			at := c.path.Child("volumes").Index(i)
			errs = validate.Name(errs, at.Child("name"), v.Name, validation.IsDNS1123Label)
			switch first, twice := paths[v.Path]; {
			case v.Path == "":
				errs = append(errs, field.Required(at.Child("path"), "say where the container sees it"))
			case !path.IsAbs(v.Path) || path.Clean(v.Path) != v.Path || v.Path == "/" || strings.Contains(v.Path, ":"):
				errs = append(errs, field.Invalid(at.Child("path"), v.Path, "must be a path such as /data, from the root and without . or :"))
			case twice:
				errs = append(errs, field.Invalid(at.Child("path"), v.Path, "is that of "+first+" too"))
			default:
				paths[v.Path] = "the volume " + v.Name
			}
			if v.SubPath != "" && (path.IsAbs(v.SubPath) || path.Clean(v.SubPath) != v.SubPath || strings.HasPrefix(v.SubPath, "..")) {
				errs = append(errs, field.Invalid(at.Child("subPath"), v.SubPath, "must be a path inside of the volume, without . at its ends"))
			}
			again := own[v.Name] || v.Name == "tmp"
			if again && (c.path == nil || v.sources() > 0 || v.Name == "tmp") {
				errs = append(errs, field.Invalid(at.Child("name"), v.Name, "another volume of the pod has this name"))
				continue
			}
			if again {
				continue
			}
			own[v.Name] = true
			errs = append(errs, v.validate(at, w, k)...)
		}
	}
	return errs
}

// sources is how many things the volume says that it is.
func (v Volume) sources() int {
	n := 0
	for _, given := range []bool{v.Claim != nil, v.Config != nil, v.Secret != nil, !v.Size.IsZero()} {
		if given {
			n++
		}
	}
	return n
}

func (v Volume) validate(at *field.Path, w Workload, k kind) field.ErrorList {
	var errs field.ErrorList
	if v.sources() > 1 {
		errs = append(errs, field.Forbidden(at, "give one of claim, config, secret and size"))
	}
	if v.Size.Sign() < 0 {
		errs = append(errs, field.Invalid(at.Child("size"), v.Size.String(), "must not be negative"))
	}
	if v.Config != nil && v.Config.Namespace != w.Namespace {
		errs = append(errs, field.Invalid(at.Child("config", "namespace"), v.Config.Namespace, "must be the app's, "+w.Namespace))
	}
	if v.Config != nil && v.Config.Name == "" {
		errs = append(errs, field.Required(at.Child("config", "name"), "give it a name"))
	}
	if v.Secret != nil && v.Secret.Namespace != w.Namespace {
		errs = append(errs, field.Invalid(at.Child("secret", "namespace"), v.Secret.Namespace, "must be the app's, "+w.Namespace+": a pod reads only the Secrets of its own namespace"))
	}
	if v.Secret != nil && v.Secret.Name == "" {
		errs = append(errs, field.Required(at.Child("secret", "name"), "give the contract of the Secret"))
	}
	if c := v.Claim; c != nil {
		at := at.Child("claim")
		switch {
		case c.Name != "" && (!c.Size.IsZero() || c.Class != ""):
			errs = append(errs, field.Forbidden(at.Child("name"), "is a claim that is there: leave out size and class"))
		case c.Name != "":
			errs = validate.Name(errs, at.Child("name"), c.Name, validation.IsDNS1123Subdomain)
		case c.Size.Sign() <= 0:
			errs = append(errs, field.Invalid(at.Child("size"), c.Size.String(), "must be more than nothing, such as 10Gi"))
		}
		if c.Class != "" {
			errs = validate.Name(errs, at.Child("class"), c.Class, validation.IsDNS1123Subdomain)
		}
	}
	return errs
}

// held is the path of the first volume that one pod alone can hold; nil where
// there is none.
func (w Workload) held(k kind) *field.Path {
	for _, c := range w.containers() {
		for i, v := range c.of.Volumes {
			if v.Claim != nil && !v.Claim.Shared && (k != statefulSet || v.Claim.Name != "") {
				return c.path.Child("volumes").Index(i).Child("claim")
			}
		}
	}
	return nil
}

// placed is a container with its place in the workload, nil for its own.
type placed struct {
	path *field.Path
	of   Workload
}

// containers are all of the pod that have volumes or might have them, its own
// first: none for a pod of one container without any, as most are.
func (w *Workload) containers() []placed {
	if len(w.Volumes)+len(w.Init)+len(w.Sidecars) == 0 {
		return nil
	}
	list := []placed{{nil, *w}}
	for i, c := range w.Init {
		list = append(list, placed{field.NewPath("init").Index(i), c})
	}
	for i, c := range w.Sidecars {
		list = append(list, placed{field.NewPath("sidecars").Index(i), c})
	}
	return list
}

// The objects that kinds have in common.

func (w Workload) serviceAccount() object.Object {
	return &corev1.ServiceAccount{
		TypeMeta:                     metav1.TypeMeta{APIVersion: "v1", Kind: "ServiceAccount"},
		ObjectMeta:                   meta(w.Namespace, w.Name),
		AutomountServiceAccountToken: new(false),
	}
}

// claims are those that the workload makes.
func (w Workload) claims() []object.Object {
	var list []object.Object
	for _, c := range w.containers() {
		for _, v := range c.of.Volumes {
			if v.Claim != nil && v.Claim.Name == "" {
				list = append(list, &corev1.PersistentVolumeClaim{
					TypeMeta:   metav1.TypeMeta{APIVersion: "v1", Kind: "PersistentVolumeClaim"},
					ObjectMeta: metav1.ObjectMeta{Namespace: w.Namespace, Name: w.claimName(v), Labels: Labels(w.Name)},
					Spec:       v.Claim.spec(),
				})
			}
		}
	}
	return list
}

func (w Workload) claimName(v Volume) string {
	return cmp.Or(v.Claim.Name, w.Name+"-"+v.Name)
}

func (c Claim) spec() corev1.PersistentVolumeClaimSpec {
	mode := corev1.ReadWriteOnce
	if c.Shared {
		mode = corev1.ReadWriteMany
	}
	spec := corev1.PersistentVolumeClaimSpec{
		AccessModes: []corev1.PersistentVolumeAccessMode{mode},
		Resources:   corev1.VolumeResourceRequirements{Requests: corev1.ResourceList{corev1.ResourceStorage: c.Size.DeepCopy()}},
	}
	if c.Class != "" {
		spec.StorageClassName = &c.Class
	}
	return spec
}

// networkPolicy is nil where there is none.
func (w Workload) networkPolicy() object.Object {
	if w.Network == nil {
		return nil
	}
	return Network{Name: w.Name, Namespace: w.Namespace, Pods: selector(w.Name), From: w.Network.From, Ports: w.ports(), To: w.Network.To}.policy()
}

// template is the pod.
func (w Workload) template(k kind) corev1.PodTemplateSpec {
	t := corev1.PodTemplateSpec{ObjectMeta: metav1.ObjectMeta{Labels: Labels(w.Name)}, Spec: w.podSpec(k)}
	if sum := w.checksum(); sum != "" {
		t.Annotations = map[string]string{"checksum/config": sum}
	}
	return t
}

// checksum changes with the configuration that the pod reads; empty where it
// reads none.
func (w Workload) checksum() string {
	var configs []*ConfigMap
	if w.Config != nil {
		configs = append(configs, w.Config)
	}
	for _, c := range w.containers() {
		if c.of.Config != nil && c.path != nil {
			configs = append(configs, c.of.Config)
		}
		for _, v := range c.of.Volumes {
			if v.Config != nil {
				configs = append(configs, v.Config)
			}
		}
	}
	if len(configs) == 0 {
		return ""
	}
	sums := make([]string, len(configs))
	for i, c := range configs {
		sums[i] = c.checksum()
	}
	if len(sums) == 1 {
		return sums[0]
	}
	return sum(sums...)
}

func (w Workload) podSpec(k kind) corev1.PodSpec {
	user := w.user()
	spec := corev1.PodSpec{
		ServiceAccountName:           w.Name,
		AutomountServiceAccountToken: new(false),
		// Otherwise a Service named portal injects PORTAL_PORT and others.
		EnableServiceLinks:            new(false),
		TerminationGracePeriodSeconds: new(int64(math.Ceil(w.grace(k).Seconds()))),
		SecurityContext: &corev1.PodSecurityContext{
			RunAsNonRoot:   new(true),
			RunAsUser:      &user,
			RunAsGroup:     &user,
			FSGroup:        &user,
			SeccompProfile: &corev1.SeccompProfile{Type: corev1.SeccompProfileTypeRuntimeDefault},
		},
		Containers: []corev1.Container{w.container(k, w.Assumed)},
		Volumes:    w.volumes(k),
	}
	if w.Assumed.User {
		s := spec.SecurityContext
		s.RunAsNonRoot, s.RunAsUser, s.RunAsGroup, s.FSGroup = nil, nil, nil, nil
	}
	if k.job {
		spec.RestartPolicy = corev1.RestartPolicyNever
	} else {
		spec.TopologySpreadConstraints = []corev1.TopologySpreadConstraint{{
			MaxSkew:           1,
			TopologyKey:       corev1.LabelHostname,
			WhenUnsatisfiable: corev1.ScheduleAnyway,
			LabelSelector:     &metav1.LabelSelector{MatchLabels: selector(w.Name)},
		}}
	}
	for _, c := range w.Sidecars {
		side := c.container(container, w.Assumed)
		side.RestartPolicy = new(corev1.ContainerRestartPolicyAlways)
		spec.InitContainers = append(spec.InitContainers, side)
	}
	for _, c := range w.Init {
		spec.InitContainers = append(spec.InitContainers, c.container(container, w.Assumed))
	}
	if w.PullSecret != nil {
		spec.ImagePullSecrets = []corev1.LocalObjectReference{{Name: w.PullSecret.Name}}
	}
	return spec
}

// grace is how long a pod has to end.
func (w Workload) grace(k kind) time.Duration {
	drain := w.Drain
	if drain == 0 {
		drain = 30 * time.Second
	}
	if k == webApp {
		drain += preStop
	}
	return drain + margin
}

// container is one container of the pod; the assumptions are the pod's.
func (w Workload) container(k kind, assumed Assumed) corev1.Container {
	c := corev1.Container{
		Name:      w.Name,
		Image:     w.Image,
		Command:   slices.Clone(w.Command),
		Args:      slices.Clone(w.Args),
		Env:       w.env(k),
		Resources: w.resources(),
		SecurityContext: &corev1.SecurityContext{
			AllowPrivilegeEscalation: new(false),
			Capabilities:             &corev1.Capabilities{Drop: []corev1.Capability{"ALL"}},
			ReadOnlyRootFilesystem:   new(true),
		},
		VolumeMounts: []corev1.VolumeMount{{Name: "tmp", MountPath: "/tmp"}},
	}
	for _, v := range w.Volumes {
		c.VolumeMounts = append(c.VolumeMounts, corev1.VolumeMount{Name: v.Name, MountPath: v.Path, SubPath: v.SubPath, ReadOnly: v.ReadOnly})
	}
	if k.port != "" {
		c.Ports = append(c.Ports, corev1.ContainerPort{Name: k.port, ContainerPort: w.Port, Protocol: corev1.ProtocolTCP})
	}
	for _, p := range w.Ports {
		c.Ports = append(c.Ports, corev1.ContainerPort{Name: p.Name, ContainerPort: p.Port, Protocol: corev1.ProtocolTCP})
	}
	if !k.job {
		c.StartupProbe = w.probe(k, w.Probes.Startup, 2, 60, assumed.Probes)
		c.ReadinessProbe = w.probe(k, w.Probes.Readiness, 5, 3, assumed.Probes)
		c.LivenessProbe = w.probe(k, w.Probes.Liveness, 10, 6, assumed.Probes)
	}
	if k == webApp {
		c.Lifecycle = &corev1.Lifecycle{
			PreStop: &corev1.LifecycleHandler{Sleep: &corev1.SleepAction{Seconds: int64(preStop.Seconds())}},
		}
	}
	if assumed.User {
		c.SecurityContext.Capabilities = nil
	}
	if assumed.Files {
		c.SecurityContext.ReadOnlyRootFilesystem = nil
	}
	if w.Config != nil {
		c.EnvFrom = []corev1.EnvFromSource{{
			ConfigMapRef: &corev1.ConfigMapEnvSource{LocalObjectReference: corev1.LocalObjectReference{Name: w.Config.ObjectName()}},
		}}
		if w.Config.Assumed { // of two values of one key, the last counts
			c.EnvFrom = append(c.EnvFrom, corev1.EnvFromSource{
				ConfigMapRef: &corev1.ConfigMapEnvSource{LocalObjectReference: corev1.LocalObjectReference{Name: w.Config.Name}, Optional: new(true)},
			})
		}
	}
	return c
}

// probe is nil where nothing is asked for.
func (w Workload) probe(k kind, path string, period, failures int32, assumed bool) *corev1.Probe {
	p := &corev1.Probe{PeriodSeconds: period, TimeoutSeconds: 3, FailureThreshold: failures}
	port := intstr.FromString(k.port)
	if w.Probes.Port != 0 && w.Probes.Port != w.Port {
		port = intstr.FromInt32(w.Probes.Port)
	}
	switch {
	case path != "" && !assumed:
		p.HTTPGet = &corev1.HTTPGetAction{Path: path, Port: port}
	case path == "" && len(w.Probes.Command) > 0:
		p.Exec = &corev1.ExecAction{Command: slices.Clone(w.Probes.Command)}
	case k.port != "" || path != "":
		p.TCPSocket = &corev1.TCPSocketAction{Port: port}
	default:
		return nil
	}
	return p
}

// volumes of the pod: /tmp, which all containers share, and theirs, each once.
func (w Workload) volumes(k kind) []corev1.Volume {
	tmp := w.tmpSize()
	list := []corev1.Volume{{Name: "tmp", VolumeSource: corev1.VolumeSource{EmptyDir: &corev1.EmptyDirVolumeSource{SizeLimit: &tmp}}}}
	containers := w.containers()
	if containers == nil {
		return list
	}
	seen := make(map[string]bool)
	for _, c := range containers {
		for _, v := range c.of.Volumes {
			if seen[v.Name] || k == statefulSet && v.Claim != nil && v.Claim.Name == "" {
				seen[v.Name] = true
				continue
			}
			seen[v.Name] = true
			list = append(list, corev1.Volume{Name: v.Name, VolumeSource: w.source(v)})
		}
	}
	return list
}

func (w Workload) source(v Volume) corev1.VolumeSource {
	switch {
	case v.Claim != nil:
		return corev1.VolumeSource{PersistentVolumeClaim: &corev1.PersistentVolumeClaimVolumeSource{ClaimName: w.claimName(v)}}
	case v.Config != nil:
		return corev1.VolumeSource{ConfigMap: &corev1.ConfigMapVolumeSource{LocalObjectReference: corev1.LocalObjectReference{Name: v.Config.ObjectName()}}}
	case v.Secret != nil:
		s := &corev1.SecretVolumeSource{SecretName: v.Secret.Name}
		for _, key := range v.Secret.Keys {
			s.Items = append(s.Items, corev1.KeyToPath{Key: key.Name, Path: key.Name})
		}
		return corev1.VolumeSource{Secret: s}
	}
	size := v.Size.DeepCopy()
	if size.IsZero() {
		size = *resource.NewQuantity(1<<30, resource.BinarySI)
	}
	return corev1.VolumeSource{EmptyDir: &corev1.EmptyDirVolumeSource{SizeLimit: &size}}
}

// env is all variables in order of their names.
func (w Workload) env(k kind) []corev1.EnvVar {
	values, secrets := w.Env, w.SecretEnv
	if k == webApp {
		values = map[string]string{"PORT": strconv.Itoa(int(w.Port))}
		maps.Copy(values, w.Env)
	}
	if w.Login != nil {
		secrets = make(map[string]secret.Ref, len(w.SecretEnv))
		maps.Copy(secrets, w.SecretEnv)
		values = maps.Clone(values)
		if values == nil {
			values = make(map[string]string)
		}
		maps.Copy(values, w.Login.Env())
		maps.Copy(secrets, w.Login.SecretEnv())
	}
	vars := make([]corev1.EnvVar, 0, len(values)+len(secrets))
	for name, value := range values {
		vars = append(vars, corev1.EnvVar{Name: name, Value: value})
	}
	for name, ref := range secrets {
		vars = append(vars, secretVariable(name, ref))
	}
	slices.SortFunc(vars, func(a, b corev1.EnvVar) int { return strings.Compare(a.Name, b.Name) })
	return vars
}

// secretVariable returns a variable whose value is a key of a Secret.
func secretVariable(name string, ref secret.Ref) corev1.EnvVar {
	return corev1.EnvVar{Name: name, ValueFrom: &corev1.EnvVarSource{SecretKeyRef: &corev1.SecretKeySelector{
		LocalObjectReference: corev1.LocalObjectReference{Name: ref.Secret},
		Key:                  ref.Key,
	}}}
}

func (w Workload) resources() corev1.ResourceRequirements {
	r := *w.Resources.DeepCopy() // the object is the caller's
	if len(r.Requests) == 0 && len(r.Limits) == 0 && len(r.Claims) == 0 {
		r = defaultResources()
		if w.Assumed.Memory {
			r.Limits[corev1.ResourceMemory] = *resource.NewQuantity(2<<30, resource.BinarySI)
		}
	}
	return r
}

// tmpSize returns the limit of /tmp.
func (w Workload) tmpSize() resource.Quantity {
	switch {
	case !w.TmpSize.IsZero():
		return w.TmpSize.DeepCopy() // the quantity is the caller's
	case w.Assumed.Tmp:
		return *resource.NewQuantity(4<<30, resource.BinarySI)
	}
	return *resource.NewQuantity(1<<30, resource.BinarySI)
}
