package components

import (
	"encoding/json"

	"github.com/robfig/cron/v3"
	batchv1 "k8s.io/api/batch/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/validation/field"

	"git.lastcloud.io/ronnibaslund/dezky/fleet/render/object"
)

// Job runs a pod to its end, once for each form that it has: ServiceAccount,
// Job, and where asked for NetworkPolicy and PersistentVolumeClaims.
//
// A Job cannot change once it is there, so its name has a checksum of all that
// it says after it: one of another image is another Job and runs, one that is
// as it was does not run again. For the same reason an ended one is kept, and
// has no time to live.
type Job Workload

// CronJob runs a pod to its end on a schedule: ServiceAccount, CronJob, and
// where asked for NetworkPolicy and PersistentVolumeClaims. A run that has not
// ended holds the next one off.
type CronJob Workload

var (
	job     = kind{name: "Job", resource: "job", long: longJob, job: true}
	cronJob = kind{name: "CronJob", resource: "cronjob", long: longJob, job: true}
)

// Peer returns the job's pods, for the Network of another app.
func (j Job) Peer() Peer { return Workload(j).peer() }

// Peer returns the job's pods, for the Network of another app.
func (c CronJob) Peer() Peer { return Workload(c).peer() }

// About implements [object.Component].
func (j Job) About() object.About { return Workload(j).about(job) }

// About implements [object.Component].
func (c CronJob) About() object.About { return Workload(c).about(cronJob) }

// Objects implements [object.Component].
func (j Job) Objects() ([]object.Object, error) {
	w := Workload(j)
	errs := w.validate(job)
	o := &batchv1.Job{
		TypeMeta:   metav1.TypeMeta{APIVersion: "batch/v1", Kind: "Job"},
		ObjectMeta: meta(w.Namespace, w.Name),
		Spec:       w.jobSpec(job),
	}
	if w.BeforeRelease {
		o.Annotations = map[string]string{object.BeforeReleaseAnnotation: "true"}
	}
	objects := w.jobObjects(o)
	errs = append(errs, Apply(objects, w.Changes)...)
	if w.Name != "" {
		o.Name += "-" + checksumOf(o.Spec)
	}
	return objects, object.Invalid(object.ID{Kind: job.name, Namespace: w.Namespace, Name: w.Name}, errs).Err()
}

// checksumOf is ten hexadecimal digits of a checksum.
func checksumOf(spec batchv1.JobSpec) string {
	text, err := json.Marshal(spec)
	if err != nil {
		return "0000000000" // what does not marshal is refused when it is rendered
	}
	return sum(string(text))[:10]
}

// Objects implements [object.Component].
func (c CronJob) Objects() ([]object.Object, error) {
	w := Workload(c)
	errs := w.validate(cronJob)
	if w.Schedule == "" {
		errs = append(errs, field.Required(field.NewPath("schedule"), `say when it runs, such as "30 2 * * *"`))
	} else if _, err := cron.ParseStandard(w.Schedule); err != nil {
		errs = append(errs, field.Invalid(field.NewPath("schedule"), w.Schedule, err.Error()))
	}
	zone := w.TimeZone
	switch zone {
	case "":
		zone = "Etc/UTC"
	case "Local":
		errs = append(errs, field.Invalid(field.NewPath("timeZone"), zone, "must be a name of the IANA time zone database, such as Europe/Copenhagen"))
	}
	objects := w.jobObjects(&batchv1.CronJob{
		TypeMeta:   metav1.TypeMeta{APIVersion: "batch/v1", Kind: "CronJob"},
		ObjectMeta: meta(w.Namespace, w.Name),
		Spec: batchv1.CronJobSpec{
			Schedule:          w.Schedule,
			TimeZone:          &zone,
			ConcurrencyPolicy: batchv1.ForbidConcurrent,
			JobTemplate:       batchv1.JobTemplateSpec{ObjectMeta: metav1.ObjectMeta{Labels: Labels(w.Name)}, Spec: w.jobSpec(cronJob)},
		},
	})
	errs = append(errs, Apply(objects, w.Changes)...)
	return objects, object.Invalid(object.ID{Kind: cronJob.name, Namespace: w.Namespace, Name: w.Name}, errs).Err()
}

func (w Workload) jobObjects(job object.Object) []object.Object {
	objects := []object.Object{w.serviceAccount(), job}
	if n := w.networkPolicy(); n != nil {
		objects = append(objects, n)
	}
	return append(objects, w.claims()...)
}

func (w Workload) jobSpec(k kind) batchv1.JobSpec {
	retries := int32(3)
	if w.Retries != nil {
		retries = *w.Retries
	}
	spec := batchv1.JobSpec{BackoffLimit: &retries, Template: w.template(k)}
	if w.Deadline > 0 {
		spec.ActiveDeadlineSeconds = new(int64(w.Deadline.Seconds()))
	}
	// A failed pod stays, with its log, until the job itself goes.
	spec.Template.Spec.RestartPolicy = corev1.RestartPolicyNever
	return spec
}
