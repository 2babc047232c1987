package deploy

import (
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/fluxcd/pkg/ssa"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/types"

	"git.lastcloud.io/ronnibaslund/dezky/fleet/render/object"
	"git.lastcloud.io/ronnibaslund/dezky/fleet/secrets"
)

// ApplySecrets brings Secrets into a cluster for the command of package
// secrets, which has checked them: server-side, without the annotation in which
// kubectl keeps earlier values, and then restarts the workloads that read a key
// whose value changed. It says names of keys and never a value.
//
// A key that the cluster has and the file has not stays: pods of an earlier
// release may read it.
func ApplySecrets(ctx context.Context, r secrets.Request) error {
	config, err := access(arguments{context: r.Context})
	if err != nil {
		return err
	}
	c, err := connect(config, "secrets")
	if err != nil {
		return err
	}
	d := &Deployer{Config: config, Out: r.Out, Terminal: isTerminal(r.Out), NoLogs: r.NoLogs}
	return d.applySecrets(ctx, c, r)
}

// secretChange is what applying one Secret does.
type secretChange struct {
	secret *corev1.Secret // as it will be
	live   *corev1.Secret // nil where there is none
	keys   []string       // that are new or have another value
}

func (d *Deployer) applySecrets(ctx context.Context, c *cluster, r secrets.Request) error {
	var changes []secretChange
	var wrong object.Findings
	for _, s := range r.Secrets {
		id := object.ID{Kind: "Secret", Namespace: s.Namespace, Name: s.Name}
		change, err := c.compareSecret(ctx, s)
		if err == nil {
			err = c.patchValues(ctx, change.secret, metav1.DryRunAll)
		}
		if ctx.Err() != nil {
			return ctx.Err()
		}
		if err != nil {
			wrong = append(wrong, withoutValues(refusals(id, err))...)
			continue
		}
		changes = append(changes, change)
		switch {
		case change.live == nil:
			d.printf("create  %s: %s\n", id, strings.Join(change.keys, ", "))
		case len(change.keys) > 0:
			d.printf("change  %s: %s\n", id, strings.Join(change.keys, ", "))
		}
	}
	if len(wrong) > 0 {
		return wrong // nothing is applied yet
	}
	restart, err := c.readers(ctx, changes)
	if err != nil {
		return err
	}
	for _, id := range restart {
		d.printf("restart %s\n", id)
	}
	if r.DryRun {
		return nil
	}
	for _, change := range changes {
		id := object.ID{Kind: "Secret", Namespace: change.secret.Namespace, Name: change.secret.Name}
		if err := c.patchValues(ctx, change.secret); err != nil {
			return withoutValues(refusals(id, err))
		}
		if err := c.forgetApplied(ctx, change.live); err != nil {
			return withoutValues(refusals(id, err))
		}
	}
	if len(restart) == 0 {
		d.printf("nothing that runs reads a key that changed\n")
		return nil
	}
	now := time.Now().UTC().Format(time.RFC3339)
	for _, id := range restart {
		if err := c.restart(ctx, id, now); err != nil {
			return refusals(id, err)
		}
	}
	d.printf("waiting for %s\n", count(len(restart), "object"))
	waiting, cancel := context.WithTimeout(ctx, r.Timeout)
	defer cancel()
	if err := d.wait(waiting, c, restart); err != nil {
		return &secrets.NotReadyError{Err: err}
	}
	return nil
}

// compareSecret finds the keys that change, and adds those that only the
// cluster has.
func (c *cluster) compareSecret(ctx context.Context, s *corev1.Secret) (secretChange, error) {
	change := secretChange{secret: s.DeepCopy()}
	live, err := c.typed.CoreV1().Secrets(s.Namespace).Get(ctx, s.Name, metav1.GetOptions{})
	if err != nil && !apierrors.IsNotFound(err) {
		return change, err
	}
	if err == nil {
		change.live = live
	}
	for _, key := range slices.Sorted(maps.Keys(s.Data)) {
		if old, ok := live.Data[key]; change.live == nil || !ok || string(old) != string(s.Data[key]) {
			change.keys = append(change.keys, key)
		}
	}
	if change.live != nil {
		for key, value := range live.Data {
			if _, ok := s.Data[key]; !ok {
				change.secret.Data[key] = value
			}
		}
	}
	return change, nil
}

// patchValues applies a Secret with its values.
func (c *cluster) patchValues(ctx context.Context, s *corev1.Secret, dryRun ...string) error {
	s = s.DeepCopy()
	s.TypeMeta = metav1.TypeMeta{APIVersion: "v1", Kind: "Secret"}
	data, err := json.Marshal(s)
	if err != nil {
		return err
	}
	_, err = c.typed.CoreV1().Secrets(s.Namespace).Patch(ctx, s.Name, types.ApplyPatchType, data,
		metav1.PatchOptions{FieldManager: c.manager, Force: new(true), DryRun: dryRun})
	return err
}

// forgetApplied removes the annotation in which client-side apply keeps what it
// was given, values included.
func (c *cluster) forgetApplied(ctx context.Context, live *corev1.Secret) error {
	if live == nil || live.Annotations[lastApplied] == "" {
		return nil
	}
	u := &unstructured.Unstructured{}
	u.SetAnnotations(live.Annotations)
	patch, err := json.Marshal(ssa.PatchRemoveAnnotations(u, []string{lastApplied}))
	if err != nil {
		return err
	}
	_, err = c.typed.CoreV1().Secrets(live.Namespace).Patch(ctx, live.Name, types.JSONPatchType, patch, metav1.PatchOptions{FieldManager: c.manager})
	return err
}

// withoutValues leaves out of a refusal whatever the server may quote of a
// Secret.
func withoutValues(all object.Findings) object.Findings {
	for i := range all {
		all[i].Problem = redact(all[i].Problem)
	}
	return all
}

// readers are the workloads that read a key that changes, as variables or as
// files, by namespace and name.
func (c *cluster) readers(ctx context.Context, changes []secretChange) ([]object.ID, error) {
	changed := map[string]map[string][]string{} // keys by namespace and Secret
	for _, change := range changes {
		if len(change.keys) == 0 {
			continue
		}
		if changed[change.secret.Namespace] == nil {
			changed[change.secret.Namespace] = map[string][]string{}
		}
		changed[change.secret.Namespace][change.secret.Name] = change.keys
	}
	var all []object.ID
	for _, namespace := range slices.Sorted(maps.Keys(changed)) {
		add := func(kind, name string, spec corev1.PodSpec) {
			if reads(spec, changed[namespace]) {
				all = append(all, object.ID{Group: "apps", Kind: kind, Namespace: namespace, Name: name})
			}
		}
		deployments, err := c.typed.AppsV1().Deployments(namespace).List(ctx, metav1.ListOptions{})
		if err != nil {
			return nil, err
		}
		for _, w := range deployments.Items {
			add("Deployment", w.Name, w.Spec.Template.Spec)
		}
		sets, err := c.typed.AppsV1().StatefulSets(namespace).List(ctx, metav1.ListOptions{})
		if err != nil {
			return nil, err
		}
		for _, w := range sets.Items {
			add("StatefulSet", w.Name, w.Spec.Template.Spec)
		}
		daemons, err := c.typed.AppsV1().DaemonSets(namespace).List(ctx, metav1.ListOptions{})
		if err != nil {
			return nil, err
		}
		for _, w := range daemons.Items {
			add("DaemonSet", w.Name, w.Spec.Template.Spec)
		}
	}
	slices.SortFunc(all, object.ID.Compare)
	return all, nil
}

// reads reports whether a pod reads one of the keys, given by Secret. The
// credential with which its image is pulled is none of its own: the kubelet
// reads it at each pull.
func reads(spec corev1.PodSpec, changed map[string][]string) bool {
	anyOf := func(name string, keys ...string) bool {
		has, ok := changed[name]
		return ok && (len(keys) == 0 || slices.ContainsFunc(keys, func(k string) bool { return slices.Contains(has, k) }))
	}
	items := func(name string, list []corev1.KeyToPath) bool {
		var keys []string
		for _, item := range list {
			keys = append(keys, item.Key)
		}
		return anyOf(name, keys...)
	}
	for _, container := range slices.Concat(spec.InitContainers, spec.Containers) {
		for _, e := range container.Env {
			if e.ValueFrom != nil && e.ValueFrom.SecretKeyRef != nil && anyOf(e.ValueFrom.SecretKeyRef.Name, e.ValueFrom.SecretKeyRef.Key) {
				return true
			}
		}
		for _, e := range container.EnvFrom {
			if e.SecretRef != nil && anyOf(e.SecretRef.Name) {
				return true
			}
		}
	}
	for _, v := range spec.Volumes {
		if v.Secret != nil && items(v.Secret.SecretName, v.Secret.Items) {
			return true
		}
		if v.Projected == nil {
			continue
		}
		for _, source := range v.Projected.Sources {
			if source.Secret != nil && items(source.Secret.Name, source.Secret.Items) {
				return true
			}
		}
	}
	return false
}

// restart does what kubectl rollout restart does.
func (c *cluster) restart(ctx context.Context, id object.ID, now string) error {
	patch := fmt.Appendf(nil, `{"spec":{"template":{"metadata":{"annotations":{"kubectl.kubernetes.io/restartedAt":%q}}}}}`, now)
	options := metav1.PatchOptions{FieldManager: c.manager}
	var err error
	switch id.Kind {
	case "Deployment":
		_, err = c.typed.AppsV1().Deployments(id.Namespace).Patch(ctx, id.Name, types.StrategicMergePatchType, patch, options)
	case "StatefulSet":
		_, err = c.typed.AppsV1().StatefulSets(id.Namespace).Patch(ctx, id.Name, types.StrategicMergePatchType, patch, options)
	case "DaemonSet":
		_, err = c.typed.AppsV1().DaemonSets(id.Namespace).Patch(ctx, id.Name, types.StrategicMergePatchType, patch, options)
	}
	return err
}
