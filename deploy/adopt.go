package deploy

import (
	"bytes"
	"cmp"
	"context"
	"fmt"
	"net"
	"slices"
	"strings"
	"time"

	appsv1 "k8s.io/api/apps/v1"
	authorizationv1 "k8s.io/api/authorization/v1"
	corev1 "k8s.io/api/core/v1"
	discoveryv1 "k8s.io/api/discovery/v1"
	"k8s.io/apimachinery/pkg/api/equality"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/apimachinery/pkg/util/intstr"
	"k8s.io/client-go/discovery"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/yaml"

	"git.lastcloud.io/ronnibaslund/dezky/fleet/render/object"
)

// Adoption makes a tier that runs from other manifests the layer's own.
//
// A Deployment whose selector differs is deleted and its ReplicaSets are left
// without an owner, so that their pods run on. Before that they are applied by
// the layer's field manager and go into the inventory, which makes them what is
// left over of an earlier release. The new Deployment comes up beside them. When
// it is ready the Services follow, and then the ReplicaSets go like any other
// leftover. Each step can be seen in the cluster, so that a release which was
// interrupted needs to remember nothing.
//
// The pods of the two do not mix: an old ReplicaSet selects by its own
// pod-template-hash too, and [Deployer.disjoint] refuses a new selector that
// the old ReplicaSets meet, since a Deployment adopts those (Kubernetes,
// pkg/controller/controller_ref_manager.go, ClaimObject).

// kindReplicaSet is the kind of what a Deployment leaves behind.
var kindReplicaSet = schema.GroupKind{Group: "apps", Kind: "ReplicaSet"}

// remade reports whether an object must be made anew, since the field that
// differs cannot change.
func remade(live, o *unstructured.Unstructured) bool {
	if live == nil {
		return false
	}
	switch id := object.IDOf(o); id.Group + "/" + id.Kind {
	case "apps/Deployment":
		return !equality.Semantic.DeepEqual(selectorOf(live), selectorOf(o))
	case "rbac.authorization.k8s.io/RoleBinding", "rbac.authorization.k8s.io/ClusterRoleBinding":
		ref := func(o *unstructured.Unstructured, field string) string {
			s, _, _ := unstructured.NestedString(o.Object, "roleRef", field)
			return s
		}
		return ref(live, "kind") != ref(o, "kind") || ref(live, "name") != ref(o, "name")
	}
	return false
}

// selectorOf is the selector of a Deployment.
func selectorOf(o *unstructured.Unstructured) *metav1.LabelSelector {
	m, _, _ := unstructured.NestedMap(o.Object, "spec", "selector")
	var s metav1.LabelSelector
	if runtime.DefaultUnstructuredConverter.FromUnstructured(m, &s) != nil {
		return nil
	}
	return &s
}

// compareAnew asks the server about an object that is to be made anew. It
// stands in its own way, so the server is asked under another name.
func (c *cluster) compareAnew(ctx context.Context, o *unstructured.Unstructured) (*unstructured.Unstructured, error) {
	would := o.DeepCopy()
	would.SetName(o.GetName() + "-anew")
	if err := c.client.Apply(ctx, client.ApplyConfigurationFromUnstructured(would), client.DryRunAll, client.ForceOwnership, client.FieldOwner(c.manager)); err != nil {
		return nil, err
	}
	would.SetName(o.GetName())
	return would, nil
}

// lookAnew asks about an object that is to be made anew.
func (c *cluster) lookAnew(ctx context.Context, change *objectChange) error {
	would, err := c.compareAnew(ctx, change.object)
	if err == nil && change.ID.Kind == "Deployment" {
		err = c.disjoint(ctx, change.live, change.object)
	} else if err != nil {
		err = refusals(change.ID, err)
	}
	if err != nil {
		change.Action = actionRefused
		return err
	}
	change.Action, change.would, change.Fields = actionReplace, would, fields(change.live, would)
	return nil
}

// disjoint refuses a Deployment whose selector takes the pods that run.
func (c *cluster) disjoint(ctx context.Context, live, o *unstructured.Unstructured) error {
	id := object.IDOf(o)
	sets, err := c.replicaSets(ctx, id, live.GetUID())
	if err != nil {
		return err
	}
	selector, err := metav1.LabelSelectorAsSelector(selectorOf(o))
	if err != nil {
		return object.Finding{Object: id, Field: "spec.selector", Problem: err.Error()}
	}
	for _, s := range sets {
		if selector.Matches(labels.Set(s.Labels)) {
			return object.Finding{Object: id, Field: "spec.selector",
				Problem: fmt.Sprintf("it selects the pods of ReplicaSet %s too: the new Deployment would take them over, and stop them before the Services lead to its own", s.Name),
				Remedy:  "roll the running Deployment out without these labels in its template first (" + selector.String() + "), and delete its older ReplicaSets"}
		}
	}
	return nil
}

// replicaSets are those that a Deployment controls.
func (c *cluster) replicaSets(ctx context.Context, id object.ID, uid types.UID) ([]appsv1.ReplicaSet, error) {
	list, err := c.typed.AppsV1().ReplicaSets(id.Namespace).List(ctx, metav1.ListOptions{})
	if err != nil {
		return nil, fmt.Errorf("the ReplicaSets of %s cannot be read: %w", id, err)
	}
	return slices.DeleteFunc(list.Items, func(s appsv1.ReplicaSet) bool {
		owner := metav1.GetControllerOfNoCopy(&s)
		return owner == nil || owner.UID != uid
	}), nil
}

// makeWay deletes an object that is to be made anew, and waits until it is
// gone. What a Deployment leaves behind is marked and in the inventory before.
func (r *rollout) makeWay(ctx context.Context, change objectChange) error {
	live, err := r.c.get(ctx, change.object)
	if err != nil || live == nil || !remade(live, change.object) {
		return err
	}
	propagation := metav1.DeletePropagationBackground
	if change.ID.Kind == "Deployment" {
		propagation = metav1.DeletePropagationOrphan
		sets, err := r.c.replicaSets(ctx, change.ID, live.GetUID())
		if err != nil {
			return err
		}
		for _, s := range sets {
			if err := r.c.mark(ctx, s, change.ID); err != nil {
				return err
			}
			r.inv.objects[keyOf(object.ID{Group: kindReplicaSet.Group, Kind: kindReplicaSet.Kind, Namespace: s.Namespace, Name: s.Name})] = s.UID
		}
		if err := r.saveInventory(ctx, r.c, r.inv); err != nil {
			return err
		}
	}
	uid := live.GetUID()
	err = r.c.client.Delete(ctx, live, client.PropagationPolicy(propagation), client.Preconditions{UID: &uid})
	for ; err == nil; live, err = r.c.get(ctx, change.object) {
		if live == nil || live.GetUID() != uid {
			return nil
		}
		select {
		case <-ctx.Done():
			return context.Cause(ctx)
		case <-time.After(200 * time.Millisecond):
		}
	}
	if apierrors.IsNotFound(err) {
		return nil
	}
	return refusals(change.ID, err)
}

// replacedAnnotation says of a ReplicaSet which Deployment it was left by.
const replacedAnnotation = "fleet/replaced"

// mark makes a ReplicaSet the layer's own before its Deployment goes. What
// releases delete must have the layer's field manager, and the pipeline, which
// writes the inventory, may not write ReplicaSets.
func (c *cluster) mark(ctx context.Context, s appsv1.ReplicaSet, by object.ID) error {
	o := &unstructured.Unstructured{}
	o.SetGroupVersionKind(appsv1.SchemeGroupVersion.WithKind(kindReplicaSet.Kind))
	o.SetNamespace(s.Namespace)
	o.SetName(s.Name)
	o.SetUID(s.UID) // the server refuses another one of that name
	o.SetAnnotations(map[string]string{replacedAnnotation: by.String()})
	if err := c.client.Apply(ctx, client.ApplyConfigurationFromUnstructured(o), client.ForceOwnership, client.FieldOwner(c.manager)); err != nil {
		return refusals(object.IDOf(o), err)
	}
	return nil
}

// judgeReplicaSet lets one go that has no owner. One that has an owner again,
// as when an adoption was taken back, is not ours.
func (c *cluster) judgeReplicaSet(ctx context.Context, l *leftover) error {
	owner := metav1.GetControllerOfNoCopy(l.live)
	if owner == nil {
		return nil
	}
	if owner.Kind == "Deployment" && strings.HasPrefix(owner.APIVersion, "apps/") {
		deployment, err := c.typed.AppsV1().Deployments(l.id.Namespace).Get(ctx, owner.Name, metav1.GetOptions{})
		switch {
		case apierrors.IsNotFound(err):
			return nil
		case err != nil:
			return fmt.Errorf("%s: %w", l.id, err)
		case deployment.UID != owner.UID || deployment.DeletionTimestamp != nil:
			return nil
		}
	}
	l.stays, l.forget = owner.Kind+" "+owner.Name+" has it", true
	return nil
}

// defaultDrain leaves whoever sends requests time to follow: Traefik takes over what changes every two seconds at
// most (Traefik documentation, providers.providersThrottleDuration).
const defaultDrain = 10 * time.Second

// bridge makes an EndpointSlice that leads to the new pods by the names of the
// new ports, before a Service is changed to them. A Service's own slices follow
// it a moment later, and whoever looks in between sees a port that leads
// nowhere: Traefik answers 404 until it looks again, which is two seconds later
// (Traefik, pkg/provider/kubernetes/ingress, loadService). It is in
// the inventory before it is there, and is removed like what is left over.
func (r *rollout) bridge(ctx context.Context, change objectChange) error {
	if change.live == nil || change.ID.Group != "" || change.ID.Kind != "Service" {
		return nil
	}
	var was, is corev1.Service
	for o, into := range map[*unstructured.Unstructured]*corev1.Service{change.live: &was, change.would: &is} {
		if err := runtime.DefaultUnstructuredConverter.FromUnstructured(o.Object, into); err != nil {
			return fmt.Errorf("%s: %w", change.ID, err)
		}
	}
	if len(is.Spec.Selector) == 0 || equality.Semantic.DeepEqual(was.Spec.Ports, is.Spec.Ports) {
		return nil // the slices of before have its ports
	}
	pods, err := r.c.typed.CoreV1().Pods(change.ID.Namespace).List(ctx, metav1.ListOptions{LabelSelector: labels.SelectorFromSet(is.Spec.Selector).String()})
	if err != nil {
		return fmt.Errorf("the pods of %s cannot be read: %w", change.ID, err)
	}
	slice := discoveryv1.EndpointSlice{AddressType: discoveryv1.AddressTypeIPv4}
	slice.APIVersion, slice.Kind = "discovery.k8s.io/v1", "EndpointSlice"
	slice.Namespace, slice.Name = change.ID.Namespace, change.ID.Name+"-adopt"
	slice.Labels = map[string]string{discoveryv1.LabelServiceName: change.ID.Name, discoveryv1.LabelManagedBy: r.c.manager}
	for _, pod := range pods.Items {
		ready := slices.ContainsFunc(pod.Status.Conditions, func(p corev1.PodCondition) bool {
			return p.Type == corev1.PodReady && p.Status == corev1.ConditionTrue
		})
		if ip := net.ParseIP(pod.Status.PodIP); !ready || pod.DeletionTimestamp != nil || ip.To4() == nil {
			continue
		}
		slice.Endpoints = append(slice.Endpoints, discoveryv1.Endpoint{Addresses: []string{pod.Status.PodIP}, Conditions: discoveryv1.EndpointConditions{Ready: new(true)}})
		if len(slice.Ports) > 0 {
			continue
		}
		for _, port := range is.Spec.Ports {
			if n := containerPort(pod, port); n > 0 {
				slice.Ports = append(slice.Ports, discoveryv1.EndpointPort{Name: new(port.Name), Protocol: new(cmp.Or(port.Protocol, corev1.ProtocolTCP)), Port: new(n), AppProtocol: port.AppProtocol})
			}
		}
	}
	if len(slice.Ports) == 0 {
		return nil // nothing to lead to
	}
	content, err := runtime.DefaultUnstructuredConverter.ToUnstructured(&slice)
	if err != nil {
		return err
	}
	o := &unstructured.Unstructured{Object: content}
	l := leftover{id: object.IDOf(o), key: keyOf(object.IDOf(o))}
	r.inv.objects[l.key] = ""
	if err := r.saveInventory(ctx, r.c, r.inv); err != nil {
		return err
	}
	if err := r.c.apply(ctx, o); err != nil {
		return refusals(l.id, err)
	}
	if err := r.c.judge(ctx, &l, ""); err != nil {
		return err
	}
	r.bridges, r.moved = append(r.bridges, l), append(r.moved, change.ID.String())
	return nil
}

// containerPort is the number to which a port of a Service leads, zero where
// the pod has no such port.
func containerPort(pod corev1.Pod, port corev1.ServicePort) int32 {
	if port.TargetPort.Type == intstr.Int {
		return cmp.Or(port.TargetPort.IntVal, port.Port)
	}
	for _, container := range pod.Spec.Containers {
		for _, p := range container.Ports {
			if p.Name == port.TargetPort.StrVal && cmp.Or(p.Protocol, corev1.ProtocolTCP) == cmp.Or(port.Protocol, corev1.ProtocolTCP) {
				return p.ContainerPort
			}
		}
	}
	return 0
}

// retire waits until nobody asks for what goes next: the old ports of Services,
// and the pods of the ReplicaSets that an adoption left. It removes those, and
// waits until their pods are gone: what closes comes next, and these pods may
// still be answering.
func (r *rollout) retire(ctx context.Context) error {
	var left []leftover
	for key := range r.inv.objects {
		if key.GroupKind == kindReplicaSet {
			left = append(left, leftover{id: idOf(key), key: key})
		}
	}
	slices.SortFunc(left, func(a, b leftover) int { return a.id.Compare(b.id) })
	var goes []leftover
	serving := false
	for _, l := range left {
		if err := r.c.judge(ctx, &l, r.inv.objects[l.key]); err != nil {
			return err
		}
		if l.forget {
			delete(r.inv.objects, l.key)
			continue
		}
		if l.stays == "" {
			var err error
			if l.stays, err = r.c.servedBy(ctx, l.id, &serving); err != nil {
				return err
			}
		}
		if l.stays != "" {
			r.printf("stays   %s: %s\n", l.id, l.stays)
			continue
		}
		goes = append(goes, l)
	}
	var until []string
	if serving {
		until = append(until, "nobody sends requests to the pods of before")
	}
	if len(r.moved) > 0 {
		until = append(until, "nobody asks for the old ports of "+strings.Join(r.moved, ", "))
	}
	if len(until) > 0 {
		if err := r.pause(ctx, strings.Join(until, ", and ")); err != nil {
			return err
		}
	}
	for _, list := range [][]leftover{goes, r.bridges} {
		for i := range list {
			if err := r.remove(ctx, &list[i]); err != nil {
				return err
			}
		}
	}
	return r.c.gone(ctx, goes)
}

// servedBy says which Service leads to the pods of a ReplicaSet still: one that
// the layer does not render, as a rule. It notes whether there are pods at all.
func (c *cluster) servedBy(ctx context.Context, id object.ID, serving *bool) (string, error) {
	set, err := c.typed.AppsV1().ReplicaSets(id.Namespace).Get(ctx, id.Name, metav1.GetOptions{})
	if err != nil {
		return "", fmt.Errorf("%s: %w", id, err)
	}
	if set.Spec.Replicas != nil && *set.Spec.Replicas == 0 {
		return "", nil
	}
	*serving = true
	services, err := c.typed.CoreV1().Services(id.Namespace).List(ctx, metav1.ListOptions{})
	if err != nil {
		return "", fmt.Errorf("the Services of %s cannot be read: %w", id.Namespace, err)
	}
	for _, s := range services.Items {
		if len(s.Spec.Selector) > 0 && labels.SelectorFromSet(s.Spec.Selector).Matches(labels.Set(set.Spec.Template.Labels)) {
			return fmt.Sprintf("Service %s leads to its pods: change or delete that, and deploy again", s.Name), nil
		}
	}
	return "", nil
}

// gone waits until the pods of what was removed are.
func (c *cluster) gone(ctx context.Context, removed []leftover) error {
	for {
		there := false
		seen := map[string]bool{}
		for _, l := range removed {
			if l.stays != "" || seen[l.id.Namespace] {
				continue
			}
			seen[l.id.Namespace] = true
			pods, err := c.typed.CoreV1().Pods(l.id.Namespace).List(ctx, metav1.ListOptions{})
			if err != nil {
				return fmt.Errorf("the pods of %s cannot be read: %w", l.id.Namespace, err)
			}
			there = there || slices.ContainsFunc(pods.Items, func(p corev1.Pod) bool {
				owner := metav1.GetControllerOfNoCopy(&p)
				return owner != nil && slices.ContainsFunc(removed, func(r leftover) bool { return r.stays == "" && r.live.UID == owner.UID })
			})
		}
		if !there {
			return nil
		}
		select {
		case <-ctx.Done():
			return context.Cause(ctx)
		case <-time.After(pollInterval / 2):
		}
	}
}

// mayAdopt refuses an adoption without the rights for all of it: it would end
// half way. They are an admin's, not the pipeline's.
func (c *cluster) mayAdopt(ctx context.Context, changes []objectChange) error {
	needs := []authorizationv1.ResourceAttributes{
		{Group: "apps", Resource: "replicasets", Verb: "patch"},
		{Group: "apps", Resource: "replicasets", Verb: "delete"},
		{Group: "discovery.k8s.io", Resource: "endpointslices", Verb: "create"},
		{Group: "discovery.k8s.io", Resource: "endpointslices", Verb: "delete"},
	}
	var wrong object.Findings
	asked := map[string]bool{}
	for _, change := range changes {
		namespace := change.ID.Namespace
		if change.ID.Kind != "Service" && change.ID.Kind != "Deployment" || asked[namespace] {
			continue
		}
		asked[namespace] = true
		var lacks []string
		for _, need := range needs {
			need.Namespace = namespace
			review := &authorizationv1.SelfSubjectAccessReview{Spec: authorizationv1.SelfSubjectAccessReviewSpec{ResourceAttributes: &need}}
			answer, err := c.typed.AuthorizationV1().SelfSubjectAccessReviews().Create(ctx, review, metav1.CreateOptions{})
			if err != nil {
				return fmt.Errorf("whether these rights are enough for an adoption cannot be asked: %w", err)
			}
			if !answer.Status.Allowed {
				lacks = append(lacks, need.Verb+" "+need.Resource)
			}
		}
		if len(lacks) > 0 {
			wrong = append(wrong, object.Finding{
				Problem: fmt.Sprintf("-adopt needs the rights of an admin, and these lack in %s: %s", namespace, strings.Join(lacks, ", ")),
				Remedy:  "use an admin's kubeconfig",
			})
		}
	}
	return wrong.Err()
}

// othersRun reports whether the tier runs from other manifests than those of a
// release: the layer has none yet, or kubectl applied what changes since the
// last one ended well. After one that did not, the tier is partly the one and
// partly the other.
func othersRun(records []Record, changes []objectChange) bool {
	if n := len(records); n > 0 {
		return records[n-1].Status == Succeeded && slices.ContainsFunc(changes, func(c objectChange) bool {
			return (c.Action == actionUpdate || c.Action == actionReplace) && !isSecret(c.live) && slices.ContainsFunc(c.live.GetManagedFields(), ofKubectl)
		})
	}
	return true
}

// asItRuns is the tier that runs, as a release of the layer: what an adoption is
// taken back to. It is nil where nothing runs. Secrets are not in it: they keep
// their values.
func (d *Deployer) asItRuns(r Release, records []Record, changes []objectChange) (*Record, error) {
	var text bytes.Buffer
	pins := map[string]string{}
	for _, change := range changes {
		if change.live == nil || isSecret(change.live) {
			continue
		}
		o := &unstructured.Unstructured{Object: strip(change.live)}
		o.SetFinalizers(nil)
		switch change.ID.Kind {
		case "Namespace":
			unstructured.RemoveNestedField(o.Object, "spec")
		case "Service": // its address stays with it
			if ip, _, _ := unstructured.NestedString(o.Object, "spec", "clusterIP"); ip != corev1.ClusterIPNone {
				unstructured.RemoveNestedField(o.Object, "spec", "clusterIP")
				unstructured.RemoveNestedField(o.Object, "spec", "clusterIPs")
			}
		}
		y, err := yaml.Marshal(o.Object)
		if err != nil {
			return nil, err
		}
		text.WriteString("---\n")
		text.Write(y)
		for _, image := range images(o) {
			if name, pin := pinOf(image, r.Repositories); name != "" && pin != "" && pin != "latest" {
				pins[name] = pin
			}
		}
	}
	if text.Len() == 0 {
		return nil, nil
	}
	packed, err := compress(text.Bytes())
	if err != nil {
		return nil, refused("what runs cannot be recorded: %v", err)
	}
	now := time.Now()
	was := &Record{
		Number: 1, Tree: r.Tree, Revision: cmp.Or(revision(pins), "before"), Images: pins,
		By: "before the adoption, recorded by " + d.By, Started: now, Ended: now, Status: Succeeded, manifests: packed,
	}
	if n := len(records); n > 0 {
		was.Number = records[n-1].Number + 1
	}
	return was, nil
}

// foreign are the objects in the namespaces of the layer that kubectl applied
// and this tree does not render: they stay, and are for people to look at. A
// group whose own server is away, such as that of metrics, is passed over.
func (c *cluster) foreign(ctx context.Context, r Release, changes []objectChange) ([]object.ID, error) {
	known := map[object.ID]bool{}
	var namespaces []string
	for _, change := range changes {
		known[change.ID] = true
		if change.ID.Namespace != "" {
			namespaces = append(namespaces, change.ID.Namespace)
		}
	}
	for _, id := range slices.Concat(r.Elsewhere, r.Secrets) {
		known[id] = true
	}
	slices.Sort(namespaces)
	namespaces = slices.Compact(namespaces)
	kinds, err := c.typed.Discovery().ServerPreferredNamespacedResources()
	if err != nil && !discovery.IsGroupDiscoveryFailedError(err) {
		return nil, fmt.Errorf("the kinds of the cluster cannot be read: %w", err)
	}
	var all []object.ID
	for _, group := range kinds {
		version, err := schema.ParseGroupVersion(group.GroupVersion)
		if err != nil {
			return nil, err
		}
		for _, kind := range group.APIResources {
			if !slices.Contains(kind.Verbs, "list") || !slices.Contains(kind.Verbs, "patch") {
				continue
			}
			for _, namespace := range namespaces {
				list := &metav1.PartialObjectMetadataList{}
				list.SetGroupVersionKind(version.WithKind(kind.Kind + "List"))
				err := c.client.List(ctx, list, client.InNamespace(namespace))
				if apierrors.IsNotFound(err) || apierrors.IsMethodNotSupported(err) {
					continue
				}
				if err != nil {
					return nil, fmt.Errorf("%s in %s cannot be read: %w", kind.Name, namespace, err)
				}
				for _, o := range list.Items {
					id := object.ID{Group: version.Group, Kind: kind.Kind, Namespace: o.Namespace, Name: o.Name}
					if len(o.OwnerReferences) == 0 && !known[id] && slices.ContainsFunc(o.ManagedFields, ofKubectl) {
						known[id] = true
						all = append(all, id)
					}
				}
			}
		}
	}
	slices.SortFunc(all, object.ID.Compare)
	return all, nil
}

// showForeign lists what is left behind.
func (d *Deployer) showForeign(all []object.ID) {
	for _, id := range all {
		d.printf("stays   %s: kubectl applied it, and this tree does not render it\n", id)
	}
	if len(all) > 0 {
		d.printf("note: delete what stays and nothing needs, once the adoption is not to be taken back\n")
	}
}
