package deploy

import (
	"cmp"
	"context"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"
	"time"

	networkingv1 "k8s.io/api/networking/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/meta"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"git.lastcloud.io/ronnibaslund/dezky/fleet/render/object"
)

// certificatePatience is how long a release waits for certificates, within its
// own deadline: HTTP-01 takes seconds when all is well.
const certificatePatience = 3 * time.Minute

// certificates waits for the Certificates of hosts that are new or changed;
// cert-manager makes one for each tls entry of an Ingress that names an
// issuer, under the name of the entry's Secret. It returns what its operator
// should know: one that is not issued does not undo a release.
func (d *Deployer) certificates(ctx context.Context, c *cluster, changes []objectChange) []string {
	wanted := make(map[object.ID][]string) // hosts by Certificate
	for _, change := range changes {
		if change.ID.Kind != "Ingress" || change.Action != actionCreate && change.Action != actionUpdate {
			continue
		}
		was := tlsOf(change.live)
		for name, hosts := range tlsOf(change.object) {
			if !slices.Equal(was[name], hosts) {
				wanted[object.ID{Group: "cert-manager.io", Kind: "Certificate", Namespace: change.ID.Namespace, Name: name}] = hosts
			}
		}
	}
	if len(wanted) == 0 {
		return nil
	}
	ids := slices.SortedFunc(maps.Keys(wanted), object.ID.Compare)
	d.printf("waiting for %s\n", count(len(ids), "certificate"))
	shown := newProgress(d, ids)
	ctx, cancel := context.WithTimeout(ctx, certificatePatience)
	defer cancel()
	state := map[object.ID]string{}
	for {
		missing := 0
		for _, id := range ids {
			if state[id] == "ready" {
				continue
			}
			text, err := c.certificate(ctx, id)
			switch {
			case meta.IsNoMatchError(err):
				return []string{"cert-manager is not installed: no certificate will come for " + strings.Join(slices.Concat(slices.Collect(maps.Values(wanted))...), ", ")}
			case apierrors.IsForbidden(err):
				return []string{"certificates may not be read with these rights: look with kubectl get certificate -A"}
			case err != nil:
				text = quote(err.Error())
			}
			if ctx.Err() == nil {
				state[id] = text
				shown.set(id, text)
			}
			if state[id] != "ready" {
				missing++
			}
		}
		if missing == 0 {
			return nil
		}
		select {
		case <-ctx.Done():
			return d.lacking(context.WithoutCancel(ctx), c, ids, wanted, state)
		case <-time.After(pollInterval):
		}
	}
}

func (d *Deployer) lacking(ctx context.Context, c *cluster, ids []object.ID, hosts map[object.ID][]string, state map[object.ID]string) []string {
	ctx, cancel := context.WithTimeout(ctx, 10*time.Second)
	defer cancel()
	var notes []string
	for _, id := range ids {
		if state[id] == "ready" {
			continue
		}
		note := fmt.Sprintf("%s is not issued yet (%s): %s", id, strings.Join(hosts[id], ", "), state[id])
		why := c.challenges(ctx, id.Namespace, hosts[id])
		if len(why) == 0 {
			why = c.request(ctx, id)
		}
		notes = append(notes, strings.Join(append([]string{note}, why...), "; "))
	}
	return notes
}

// tlsOf are the hosts of an Ingress by TLS Secret, where cert-manager is to
// fill it.
func tlsOf(o *unstructured.Unstructured) map[string][]string {
	if o == nil {
		return nil
	}
	annotations := o.GetAnnotations()
	if annotations["cert-manager.io/cluster-issuer"] == "" && annotations["cert-manager.io/issuer"] == "" {
		return nil
	}
	var ingress networkingv1.Ingress
	if err := runtime.DefaultUnstructuredConverter.FromUnstructured(o.Object, &ingress); err != nil {
		return nil
	}
	found := map[string][]string{}
	for _, t := range ingress.Spec.TLS {
		if t.SecretName != "" {
			found[t.SecretName] = slices.Sorted(slices.Values(t.Hosts))
		}
	}
	return found
}

// certificate is ready, or what it says of itself.
func (c *cluster) certificate(ctx context.Context, id object.ID) (string, error) {
	o := &unstructured.Unstructured{}
	o.SetGroupVersionKind(schema.GroupVersionKind{Group: id.Group, Version: "v1", Kind: id.Kind})
	err := c.client.Get(ctx, client.ObjectKey{Namespace: id.Namespace, Name: id.Name}, o)
	if apierrors.IsNotFound(err) {
		return "cert-manager has not made it yet", nil
	}
	if err != nil {
		return "", err
	}
	ready, message := readyCondition(o)
	if ready {
		return "ready", nil
	}
	return cmp.Or(message, "is being issued"), nil
}

// readyCondition is the condition Ready of an object of cert-manager, and its
// message.
func readyCondition(o *unstructured.Unstructured) (ready bool, message string) {
	conditions, _, _ := unstructured.NestedSlice(o.Object, "status", "conditions")
	for _, condition := range conditions {
		m, _ := condition.(map[string]any)
		if m["type"] != "Ready" {
			continue
		}
		// A condition of an older generation speaks of the hosts before.
		if seen, ok := m["observedGeneration"].(int64); ok && seen < o.GetGeneration() {
			continue
		}
		text, _ := m["message"].(string)
		return m["status"] == "True", quote(text)
	}
	return false, ""
}

// challenges say why the ACME server does not believe in a host.
func (c *cluster) challenges(ctx context.Context, namespace string, hosts []string) []string {
	list := &unstructured.UnstructuredList{}
	list.SetGroupVersionKind(schema.GroupVersionKind{Group: "acme.cert-manager.io", Version: "v1", Kind: "ChallengeList"})
	if err := c.client.List(ctx, list, client.InNamespace(namespace)); err != nil {
		return nil
	}
	var all []string
	for _, o := range list.Items {
		host, _, _ := unstructured.NestedString(o.Object, "spec", "dnsName")
		why, _, _ := unstructured.NestedString(o.Object, "status", "reason")
		if slices.Contains(hosts, host) && why != "" {
			all = append(all, fmt.Sprintf("the challenge for %s: %s", host, quote(why)))
		}
	}
	slices.Sort(all)
	return all
}

// request is what the newest CertificateRequest of a Certificate says: it knows
// why there is no Challenge, such as an issuer that is not there. It is empty
// where there is none, and where requests may not be read.
func (c *cluster) request(ctx context.Context, certificate object.ID) []string {
	// cert-manager, pkg/apis/certmanager/v1/types.go: CertificateNameKey,
	// CertificateRequestRevisionAnnotationKey.
	const name, revision = "cert-manager.io/certificate-name", "cert-manager.io/certificate-revision"
	list := &unstructured.UnstructuredList{}
	list.SetGroupVersionKind(schema.GroupVersionKind{Group: certificate.Group, Version: "v1", Kind: "CertificateRequestList"})
	if err := c.client.List(ctx, list, client.InNamespace(certificate.Namespace)); err != nil {
		return nil
	}
	newest, text := 0, ""
	for i := range list.Items {
		o := &list.Items[i]
		annotations := o.GetAnnotations()
		n, err := strconv.Atoi(annotations[revision])
		if err == nil && annotations[name] == certificate.Name && n > newest {
			newest = n
			_, text = readyCondition(o)
		}
	}
	if text == "" {
		return nil
	}
	return []string{"its request: " + text}
}
