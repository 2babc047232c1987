package components

import (
	"fmt"
	"maps"
	"math"
	"slices"
	"strconv"
	"strings"
	"time"

	appsv1 "k8s.io/api/apps/v1"
	autoscalingv2 "k8s.io/api/autoscaling/v2"
	corev1 "k8s.io/api/core/v1"
	policyv1 "k8s.io/api/policy/v1"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/intstr"
	"k8s.io/apimachinery/pkg/util/validation"
	"k8s.io/apimachinery/pkg/util/validation/field"

	"git.lastcloud.io/ronnibaslund/dezky/fleet/components/internal/validate"
	"git.lastcloud.io/ronnibaslund/dezky/fleet/components/secret"
	"git.lastcloud.io/ronnibaslund/dezky/fleet/render/object"
)

// WebApp is a web application that runs as a few equal pods: ServiceAccount,
// Deployment, Service, PodDisruptionBudget, and where asked for
// HorizontalPodAutoscaler and NetworkPolicy. All are named after the app.
//
// A release has no dip: a new pod is ready before an old one leaves, and the
// one that leaves first waits until no proxy sends to it any more.
type WebApp struct {
	// Name of the app and of all its objects; a DNS label, since the Service has it.
	Name string
	// Namespace of the objects.
	Namespace string
	// Image with tag or digest.
	Image string
	// PullSecret is the Secret with the registry's credential. If nil, the
	// registry is public.
	PullSecret *secret.Contract
	// Port on which the app listens, and its Service too. The app is told in
	// the variable PORT.
	Port int32
	// Replicas stand in the manifest always, so that a release undoes a
	// scaling by hand on purpose, never by chance. If zero, 1. Not together
	// with Autoscale.
	Replicas int32
	// Autoscale lets the number of pods follow the load. If nil, it is Replicas.
	Autoscale *Autoscale
	// Env is variables whose values stand in the manifest.
	Env map[string]string
	// SecretEnv is variables whose values come from Secrets of the namespace.
	SecretEnv map[string]secret.Ref
	// Config is read whole, each key a variable. If nil, there is none.
	Config *ConfigMap
	// Login signs users in. If nil, the app has no sessions.
	Login Login
	// Probes of the app.
	Probes Probes
	// Resources of a pod. If zero, requests of 50m CPU and 128Mi memory, and
	// a limit of 512Mi memory, or of 2Gi while the memory is assumed.
	Resources corev1.ResourceRequirements
	// Drain is how long the app takes to finish its requests after SIGTERM.
	// If zero, 30 seconds, the limit of Nitro.
	Drain time.Duration
	// TmpSize is how much the app may write to /tmp, which is on the node's
	// disk: above it the kubelet evicts the pod. If zero, 1Gi, or 4Gi while
	// the size is assumed.
	TmpSize resource.Quantity
	// RunAsUser is the numeric user. If zero, 1000, the user of Node's images.
	// Not rendered while the user is assumed.
	RunAsUser int64
	// Network says who may reach the app on its port, and whom it may reach;
	// only From and To are given. If nil, there is no NetworkPolicy.
	Network *Network
	// Assumed says which of these values nobody has confirmed.
	Assumed Assumed
	// Changes are the last words on the objects.
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
	// Files: that the app writes below /tmp only. Until confirmed, the root
	// file system is writable.
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

// Probes are paths on the app's port. An empty path means that a TCP
// connection is enough.
type Probes struct {
	// Startup holds the other two off until it first succeeds; the app has
	// two minutes for that.
	Startup string
	// Readiness may look at what the app cannot do without.
	Readiness string
	// Liveness must look at no dependency: a failure restarts the pod.
	Liveness string
}

// Autoscale follows the load by CPU.
type Autoscale struct {
	// Min and Max number of pods. Min is at least 1.
	Min, Max int32
	// CPU is the use to aim at, in percent of the request. If zero, 80.
	CPU int32
}

// portName of every app's port, for Service, Ingress and probes.
const portName = "http"

const (
	// preStop is how long a pod goes on serving after it was taken out of its
	// Service: endpoints and proxies need a moment to follow.
	preStop = 5 * time.Second
	// margin between the drain and the kill.
	margin = 10 * time.Second
)

// URL is the app's address inside the cluster.
func (w WebApp) URL() string {
	return fmt.Sprintf("http://%s.%s:%d", w.Name, w.Namespace, w.Port)
}

// Peer is the app's pods, for the Network of another app.
func (w WebApp) Peer() Peer {
	return Peer{Namespace: w.Namespace, Pods: selector(w.Name), Ports: []int32{w.Port}}
}

// About implements [Component].
func (w WebApp) About() About {
	about := About{Assumed: w.assumptions(), Guarantees: []object.Guarantee{w.guarantee()}}
	if w.Login != nil {
		login := w.Login.About()
		about.Claims, about.Notes = login.Claims, login.Notes
		about.Pending, about.Assumed = login.Pending, append(about.Assumed, login.Assumed...)
	}
	return about
}

func (w WebApp) assumptions() []Assumption {
	at := "WebApp " + w.Namespace + "/" + w.Name + ": "
	kubectl := "kubectl -n " + w.Namespace + " "
	exec := kubectl + "exec deployment/" + w.Name + " -- "
	var list []Assumption
	if p := w.Probes; w.Assumed.Probes && p != (Probes{}) {
		list = append(list, Assumption{
			What:  at + "the paths of the probes",
			Value: fmt.Sprintf("startup %s, readiness %s, liveness %s", p.Startup, p.Readiness, p.Liveness),
			Confirm: fmt.Sprintf("`%sport-forward deployment/%s 8080:%d`, then `curl -i http://localhost:8080%s` and the other paths: each answers 200 without a session",
				kubectl, w.Name, w.Port, p.Readiness),
			Until: "a probe is a TCP connection: no path can be wrong, but an app that listens and answers 500 counts as healthy",
			Buys:  "a pod that answers errors gets no traffic, and a release stops at it",
		})
	}
	if w.Assumed.User {
		list = append(list, Assumption{
			What:    at + "the user of the image",
			Value:   strconv.FormatInt(w.user(), 10),
			Confirm: "`" + exec + "id -u`: the same number, and the app does all it should without being root",
			Until:   "the container runs as the user that its image names, with the default capabilities, as it would in Docker",
			Buys:    "never root and no capability, and with all apps confirmed the namespace enforces Pod Security restricted",
		})
	}
	if w.Assumed.Files {
		list = append(list, Assumption{
			What:    at + "the paths that it writes",
			Value:   "/tmp",
			Confirm: "`" + exec + `find / -xdev -type f -newer /etc/hosts -not -path "/tmp/*"` + "` after a day's work: lists nothing (the kubelet writes /etc/hosts at the start)",
			Until:   "the root file system is writable",
			Buys:    "a read-only root file system: who breaks in cannot change the program",
		})
	}
	if w.Assumed.Memory {
		r := w.resources()
		list = append(list, Assumption{
			What:    at + "the limit of memory",
			Value:   r.Limits.Memory().String(),
			Confirm: "`" + kubectl + "top pods` at the busiest hour: less than two thirds of the limit that is meant",
			Until:   "the limit is generous: it stops a leak before the node is full, and nothing else",
			Buys:    "a limit near the need, so that one app cannot take the memory of the others",
		})
	}
	if w.Assumed.Tmp {
		size := w.tmpSize()
		list = append(list, Assumption{
			What:    at + "the limit of /tmp",
			Value:   size.String(),
			Confirm: "`" + exec + "du -sh /tmp` at the busiest hour: less than two thirds of the limit that is meant",
			Until:   "the limit is generous: above it the kubelet evicts the pod, and a new one starts with an empty /tmp",
			Buys:    "a limit near the need, so that one app cannot fill the node's disk",
		})
	}
	if w.Assumed.Twice {
		list = append(list, Assumption{
			What:    at + "that two pods may run side by side",
			Confirm: "its code: no job, lock, queue or file that only one process may have",
			Until:   "one pod, and a second one during a release, as with the default strategy of Kubernetes",
			Buys:    "two replicas, so that a lost pod is no outage",
		})
	}
	for _, name := range sortedKeys(w.Assumed.Env) {
		list = append(list, Assumption{
			What:    at + "the variable " + name,
			Value:   w.variable(name),
			Confirm: w.Assumed.Env[name],
			Until:   "it is set as assumed; a release whose new pod does not start leaves the old pods serving",
			Buys:    "certainty that the app reads it, and this value",
		})
	}
	return list
}

// variable returns the value of a variable that stands in the manifest.
func (w WebApp) variable(name string) string {
	for _, e := range w.env() {
		if e.Name == name {
			return e.Value
		}
	}
	return ""
}

// user returns the numeric user.
func (w WebApp) user() int64 {
	if w.RunAsUser == 0 {
		return 1000
	}
	return w.RunAsUser
}

// Objects implements [Component].
func (w WebApp) Objects() ([]Object, error) {
	errs := w.validate()
	objects := []Object{w.serviceAccount(), w.deployment(), w.service(), w.disruptionBudget()}
	if w.Autoscale != nil {
		objects = append(objects, w.autoscaler())
	}
	if w.Network != nil {
		n := Network{Name: w.Name, Namespace: w.Namespace, Pods: selector(w.Name), From: w.Network.From, Ports: []int32{w.Port}, To: w.Network.To}
		objects = append(objects, n.policy())
	}
	errs = append(errs, Apply(objects, w.Changes)...)
	// After the changes: no last word gets round these.
	errs = append(errs, w.checkSessions(objects)...)
	errs = append(errs, w.checkDeployment(objects)...)
	return objects, Mistakes("WebApp", w.Namespace, w.Name, errs)
}

func (w WebApp) validate() field.ErrorList {
	var errs field.ErrorList
	errs = validate.Name(errs, field.NewPath("name"), w.Name, validation.IsDNS1035Label)
	errs = validate.Namespace(errs, field.NewPath("namespace"), w.Namespace)
	errs = append(errs, CheckImage(field.NewPath("image"), w.Image)...)
	errs = validate.Port(errs, field.NewPath("port"), w.Port)
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
	for _, p := range []struct{ name, path string }{
		{"startup", w.Probes.Startup}, {"readiness", w.Probes.Readiness}, {"liveness", w.Probes.Liveness},
	} {
		if p.path != "" && !validate.IsPath(p.path) {
			errs = append(errs, field.Invalid(field.NewPath("probes", p.name), p.path, "must be a path that starts with /"))
		}
	}
	if w.Login != nil {
		errs = append(errs, w.Login.Validate(field.NewPath("login"))...)
		if of := w.Login.OIDCClient().Namespace; of != w.Namespace {
			errs = append(errs, field.Invalid(field.NewPath("login", "client", "namespace"), of, "must be the app's, "+w.Namespace+": a pod reads only the Secrets of its own namespace"))
		}
	}
	if w.Config != nil && w.Config.Name == "" {
		errs = append(errs, field.Required(field.NewPath("config", "name"), "give it a name"))
	}
	if w.PullSecret != nil && w.PullSecret.Type != corev1.SecretTypeDockerConfigJson {
		errs = append(errs, field.Invalid(field.NewPath("pullSecret", "type"), w.PullSecret.Type, "must be "+string(corev1.SecretTypeDockerConfigJson)))
	}
	if w.Config != nil && w.Config.Namespace != w.Namespace {
		errs = append(errs, field.Invalid(field.NewPath("config", "namespace"), w.Config.Namespace, "must be the app's, "+w.Namespace))
	}
	if w.PullSecret != nil && w.PullSecret.Namespace != w.Namespace {
		errs = append(errs, field.Invalid(field.NewPath("pullSecret", "namespace"), w.PullSecret.Namespace, "must be the app's, "+w.Namespace))
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
		errs = append(errs, validatePeers(path.Child("from"), n.From)...)
		errs = append(errs, validatePeers(path.Child("to"), n.To)...)
	}
	return append(errs, w.validateEnv()...)
}

// validateEnv sees to it that each variable is stated once and well.
func (w WebApp) validateEnv() field.ErrorList {
	var errs field.ErrorList
	from := make(map[string]string) // variable → where it was stated first
	from["PORT"] = "port"
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
			state(field.NewPath("login"), name, "login")
		}
		for _, name := range sortedKeys(w.Login.SecretEnv()) {
			state(field.NewPath("login"), name, "login")
		}
	}
	for _, name := range sortedKeys(w.Env) {
		path := field.NewPath("env")
		state(path, name, "env")
		if strings.Contains(strings.ReplaceAll(w.Env[name], "$$", ""), "$(") {
			errs = append(errs, field.Invalid(path.Key(name), w.Env[name], "contains $(, which Kubernetes would expand: write $$("))
		}
	}
	for _, name := range sortedKeys(w.SecretEnv) {
		path, ref := field.NewPath("secretEnv"), w.SecretEnv[name]
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
			state(field.NewPath("config"), name, "config")
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

// guarantee is what holds of the final Deployment, also against an autoscaler
// that somebody typed out beside the app.
func (w WebApp) guarantee() object.Guarantee {
	g := object.Guarantee{Of: object.ID{Group: "apps", Kind: "Deployment", Namespace: w.Namespace, Name: w.Name}, Replicas: true}
	if w.Login != nil {
		g.OnePod = w.Login.OnePod()
		g.Env = append(sortedKeys(w.Login.SecretEnv()), sortedKeys(w.Login.Env())...)
	}
	return g
}

// checkDeployment refuses a Deployment that lost what the app was given: a
// variable of its sign-in, or its number of replicas.
func (w WebApp) checkDeployment(objects []Object) field.ErrorList {
	var errs field.ErrorList
	for _, o := range objects {
		d, ok := o.(*appsv1.Deployment)
		if !ok {
			continue
		}
		if d.Spec.Replicas == nil && w.Autoscale == nil {
			errs = append(errs, field.Required(field.NewPath("replicas"), "a change removed them: without a number in the manifest a scaling by hand stays"))
		}
		if w.Login == nil {
			continue
		}
		has := make(map[string]bool)
		for _, c := range d.Spec.Template.Spec.Containers {
			for _, e := range c.Env {
				has[e.Name] = true
			}
		}
		for _, name := range append(sortedKeys(w.Login.SecretEnv()), sortedKeys(w.Login.Env())...) {
			if !has[name] {
				errs = append(errs, field.Required(field.NewPath("login"), "a change removed the variable "+name+", which the sign-in needs"))
			}
		}
	}
	return errs
}

// checkSessions refuses more than one pod where the login allows one only.
func (w WebApp) checkSessions(objects []Object) field.ErrorList {
	if w.Login == nil || w.Login.OnePod() == "" {
		return nil
	}
	why := w.Login.OnePod()
	var errs field.ErrorList
	for _, o := range objects {
		switch o := o.(type) {
		case *appsv1.Deployment:
			if n := o.Spec.Replicas; n != nil && *n > 1 {
				errs = append(errs, field.Invalid(field.NewPath("replicas"), *n, why))
			}
		case *autoscalingv2.HorizontalPodAutoscaler:
			if n := o.Spec.MaxReplicas; n > 1 {
				errs = append(errs, field.Invalid(field.NewPath("autoscale", "max"), n, why))
			}
		}
	}
	return errs
}

func (w WebApp) serviceAccount() Object {
	return &corev1.ServiceAccount{
		TypeMeta:                     metav1.TypeMeta{APIVersion: "v1", Kind: "ServiceAccount"},
		ObjectMeta:                   meta(w.Namespace, w.Name),
		AutomountServiceAccountToken: new(false),
	}
}

func (w WebApp) deployment() Object {
	d := &appsv1.Deployment{
		TypeMeta:   metav1.TypeMeta{APIVersion: "apps/v1", Kind: "Deployment"},
		ObjectMeta: meta(w.Namespace, w.Name),
		Spec: appsv1.DeploymentSpec{
			Selector: &metav1.LabelSelector{MatchLabels: selector(w.Name)},
			Strategy: appsv1.DeploymentStrategy{
				Type: appsv1.RollingUpdateDeploymentStrategyType,
				RollingUpdate: &appsv1.RollingUpdateDeployment{
					MaxUnavailable: new(intstr.FromInt32(0)),
					MaxSurge:       new(intstr.FromInt32(1)),
				},
			},
			RevisionHistoryLimit: new(int32(5)),
			Template: corev1.PodTemplateSpec{
				ObjectMeta: metav1.ObjectMeta{Labels: Labels(w.Name)},
				Spec:       w.podSpec(),
			},
		},
	}
	if w.Autoscale == nil {
		d.Spec.Replicas = new(max(w.Replicas, 1))
	}
	if w.Config != nil {
		d.Spec.Template.Annotations = map[string]string{"checksum/config": w.Config.checksum()}
	}
	return d
}

func (w WebApp) podSpec() corev1.PodSpec {
	user, drain, tmp := w.user(), w.Drain, w.tmpSize()
	if drain == 0 {
		drain = 30 * time.Second
	}
	spec := corev1.PodSpec{
		ServiceAccountName:           w.Name,
		AutomountServiceAccountToken: new(false),
		// Otherwise a Service named portal injects PORTAL_PORT and others.
		EnableServiceLinks:            new(false),
		TerminationGracePeriodSeconds: new(int64(math.Ceil((preStop + drain + margin).Seconds()))),
		SecurityContext: &corev1.PodSecurityContext{
			RunAsNonRoot:   new(true),
			RunAsUser:      &user,
			RunAsGroup:     &user,
			FSGroup:        &user,
			SeccompProfile: &corev1.SeccompProfile{Type: corev1.SeccompProfileTypeRuntimeDefault},
		},
		TopologySpreadConstraints: []corev1.TopologySpreadConstraint{{
			MaxSkew:           1,
			TopologyKey:       corev1.LabelHostname,
			WhenUnsatisfiable: corev1.ScheduleAnyway,
			LabelSelector:     &metav1.LabelSelector{MatchLabels: selector(w.Name)},
		}},
		Containers: []corev1.Container{{
			Name:           w.Name,
			Image:          w.Image,
			Env:            w.env(),
			Ports:          []corev1.ContainerPort{{Name: portName, ContainerPort: w.Port, Protocol: corev1.ProtocolTCP}},
			Resources:      w.resources(),
			StartupProbe:   probe(w.Probes.Startup, 2, 60),
			ReadinessProbe: probe(w.Probes.Readiness, 5, 3),
			LivenessProbe:  probe(w.Probes.Liveness, 10, 6),
			Lifecycle: &corev1.Lifecycle{
				PreStop: &corev1.LifecycleHandler{Sleep: &corev1.SleepAction{Seconds: int64(preStop.Seconds())}},
			},
			SecurityContext: &corev1.SecurityContext{
				AllowPrivilegeEscalation: new(false),
				Capabilities:             &corev1.Capabilities{Drop: []corev1.Capability{"ALL"}},
				ReadOnlyRootFilesystem:   new(true),
			},
			VolumeMounts: []corev1.VolumeMount{{Name: "tmp", MountPath: "/tmp"}},
		}},
		Volumes: []corev1.Volume{{Name: "tmp", VolumeSource: corev1.VolumeSource{EmptyDir: &corev1.EmptyDirVolumeSource{SizeLimit: &tmp}}}},
	}
	if w.Assumed.Probes {
		c := &spec.Containers[0]
		for _, p := range []*corev1.Probe{c.StartupProbe, c.ReadinessProbe, c.LivenessProbe} {
			p.ProbeHandler = tcpProbe()
		}
	}
	if w.Assumed.User {
		s := spec.SecurityContext
		s.RunAsNonRoot, s.RunAsUser, s.RunAsGroup, s.FSGroup = nil, nil, nil, nil
		spec.Containers[0].SecurityContext.Capabilities = nil
	}
	if w.Assumed.Files {
		spec.Containers[0].SecurityContext.ReadOnlyRootFilesystem = nil
	}
	if w.Config != nil {
		spec.Containers[0].EnvFrom = []corev1.EnvFromSource{{
			ConfigMapRef: &corev1.ConfigMapEnvSource{LocalObjectReference: corev1.LocalObjectReference{Name: w.Config.ObjectName()}},
		}}
		if w.Config.Assumed { // of two values of one key, the last counts
			spec.Containers[0].EnvFrom = append(spec.Containers[0].EnvFrom, corev1.EnvFromSource{
				ConfigMapRef: &corev1.ConfigMapEnvSource{LocalObjectReference: corev1.LocalObjectReference{Name: w.Config.Name}, Optional: new(true)},
			})
		}
	}
	if w.PullSecret != nil {
		spec.ImagePullSecrets = []corev1.LocalObjectReference{{Name: w.PullSecret.Name}}
	}
	return spec
}

// env is all variables in order of their names.
func (w WebApp) env() []corev1.EnvVar {
	values := map[string]string{"PORT": strconv.Itoa(int(w.Port))}
	maps.Copy(values, w.Env)
	secrets := make(map[string]secret.Ref, len(w.SecretEnv))
	maps.Copy(secrets, w.SecretEnv)
	if w.Login != nil {
		maps.Copy(values, w.Login.Env())
		maps.Copy(secrets, w.Login.SecretEnv())
	}
	vars := make([]corev1.EnvVar, 0, len(values)+len(secrets))
	for name, value := range values {
		vars = append(vars, corev1.EnvVar{Name: name, Value: value})
	}
	for name, ref := range secrets {
		vars = append(vars, corev1.EnvVar{Name: name, ValueFrom: &corev1.EnvVarSource{SecretKeyRef: &corev1.SecretKeySelector{
			LocalObjectReference: corev1.LocalObjectReference{Name: ref.Secret},
			Key:                  ref.Key,
		}}})
	}
	slices.SortFunc(vars, func(a, b corev1.EnvVar) int { return strings.Compare(a.Name, b.Name) })
	return vars
}

func (w WebApp) resources() corev1.ResourceRequirements {
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
func (w WebApp) tmpSize() resource.Quantity {
	switch {
	case !w.TmpSize.IsZero():
		return w.TmpSize.DeepCopy() // the quantity is the caller's
	case w.Assumed.Tmp:
		return *resource.NewQuantity(4<<30, resource.BinarySI)
	}
	return *resource.NewQuantity(1<<30, resource.BinarySI)
}

func probe(path string, period, failures int32) *corev1.Probe {
	p := &corev1.Probe{PeriodSeconds: period, TimeoutSeconds: 3, FailureThreshold: failures}
	if path == "" {
		p.ProbeHandler = tcpProbe()
	} else {
		p.HTTPGet = &corev1.HTTPGetAction{Path: path, Port: intstr.FromString(portName)}
	}
	return p
}

func tcpProbe() corev1.ProbeHandler {
	return corev1.ProbeHandler{TCPSocket: &corev1.TCPSocketAction{Port: intstr.FromString(portName)}}
}

func (w WebApp) service() Object {
	return &corev1.Service{
		TypeMeta:   metav1.TypeMeta{APIVersion: "v1", Kind: "Service"},
		ObjectMeta: meta(w.Namespace, w.Name),
		Spec: corev1.ServiceSpec{
			Selector: selector(w.Name),
			Ports: []corev1.ServicePort{{
				Name: portName, Port: w.Port, TargetPort: intstr.FromString(portName), Protocol: corev1.ProtocolTCP,
			}},
		},
	}
}

func (w WebApp) disruptionBudget() Object {
	return &policyv1.PodDisruptionBudget{
		TypeMeta:   metav1.TypeMeta{APIVersion: "policy/v1", Kind: "PodDisruptionBudget"},
		ObjectMeta: meta(w.Namespace, w.Name),
		Spec: policyv1.PodDisruptionBudgetSpec{
			// Not minAvailable: with one pod it would block every drain of the node.
			MaxUnavailable:             new(intstr.FromInt32(1)),
			UnhealthyPodEvictionPolicy: new(policyv1.AlwaysAllow),
			Selector:                   &metav1.LabelSelector{MatchLabels: selector(w.Name)},
		},
	}
}

func (w WebApp) autoscaler() Object {
	cpu := w.Autoscale.CPU
	if cpu == 0 {
		cpu = 80
	}
	return &autoscalingv2.HorizontalPodAutoscaler{
		TypeMeta:   metav1.TypeMeta{APIVersion: "autoscaling/v2", Kind: "HorizontalPodAutoscaler"},
		ObjectMeta: meta(w.Namespace, w.Name),
		Spec: autoscalingv2.HorizontalPodAutoscalerSpec{
			ScaleTargetRef: autoscalingv2.CrossVersionObjectReference{APIVersion: "apps/v1", Kind: "Deployment", Name: w.Name},
			MinReplicas:    new(w.Autoscale.Min),
			MaxReplicas:    w.Autoscale.Max,
			Metrics: []autoscalingv2.MetricSpec{{
				Type: autoscalingv2.ResourceMetricSourceType,
				Resource: &autoscalingv2.ResourceMetricSource{
					Name:   corev1.ResourceCPU,
					Target: autoscalingv2.MetricTarget{Type: autoscalingv2.UtilizationMetricType, AverageUtilization: &cpu},
				},
			}},
		},
	}
}
