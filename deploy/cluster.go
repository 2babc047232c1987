package deploy

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/fluxcd/cli-utils/pkg/kstatus/polling"
	"github.com/fluxcd/pkg/ssa"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/util/retry"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/client/apiutil"

	"git.lastcloud.io/ronnibaslund/dezky/fleet/render/object"
)

// cluster is what a deployment needs of one.
type cluster struct {
	client client.Client
	typed  kubernetes.Interface
	engine *ssa.ResourceManager
	poller *polling.StatusPoller
	// manager is the field manager of the layer.
	manager string
}

// managerPrefix begins the field managers of all layers.
const managerPrefix = "fleet-"

func connect(config *rest.Config, layer string) (*cluster, error) {
	config = rest.CopyConfig(config)
	config.QPS, config.Burst = 50, 100
	// What the server warns of is for whoever writes manifests, not for a
	// release: it would stand between the lines of the progress.
	config.WarningHandler = rest.NoWarnings{}
	web, err := rest.HTTPClientFor(config)
	if err != nil {
		return nil, err
	}
	mapper, err := apiutil.NewDynamicRESTMapper(config, web)
	if err != nil {
		return nil, err
	}
	c, err := client.New(config, client.Options{HTTPClient: web, Mapper: mapper})
	if err != nil {
		return nil, err
	}
	typed, err := kubernetes.NewForConfigAndClient(config, web)
	if err != nil {
		return nil, err
	}
	poller := polling.NewStatusPoller(c, mapper, polling.Options{})
	manager := managerPrefix + layer
	return &cluster{
		client:  c,
		typed:   typed,
		engine:  ssa.NewResourceManager(c, poller, ssa.Owner{Field: manager, Group: "fleet"}),
		poller:  poller,
		manager: manager,
	}, nil
}

// kubectlManagers are the field managers under which kubectl applied what it
// was given; see its ManagedFields documentation, "Migrating from client-side
// apply". What people changed by hand, with kubectl edit or rollout restart,
// has other managers and stays.
var kubectlManagers = []ssa.FieldManager{
	{Name: "kubectl-client-side-apply", ExactMatch: true, OperationType: metav1.ManagedFieldsOperationUpdate},
	{Name: "kubectl", ExactMatch: true, OperationType: metav1.ManagedFieldsOperationUpdate},
	{Name: "before-first-apply", ExactMatch: true, OperationType: metav1.ManagedFieldsOperationUpdate},
	{Name: "kubectl", ExactMatch: true, OperationType: metav1.ManagedFieldsOperationApply},
	{Name: "kubectl-last-applied", ExactMatch: true, OperationType: metav1.ManagedFieldsOperationApply},
}

func ofKubectl(e metav1.ManagedFieldsEntry) bool {
	return e.Subresource == "" && slices.ContainsFunc(kubectlManagers, func(m ssa.FieldManager) bool {
		return m.Name == e.Manager && m.OperationType == e.Operation
	})
}

// get reads an object, as metadata only where it is a Secret: a release never
// reads a Secret's values. It is nil where there is none.
func (c *cluster) get(ctx context.Context, o *unstructured.Unstructured) (*unstructured.Unstructured, error) {
	live := &unstructured.Unstructured{}
	live.SetGroupVersionKind(o.GroupVersionKind())
	var err error
	if isSecret(o) {
		partial := partialOf(o)
		err = c.client.Get(ctx, client.ObjectKeyFromObject(o), partial)
		live = fromPartial(partial)
	} else {
		err = c.client.Get(ctx, client.ObjectKeyFromObject(o), live)
	}
	switch {
	case apierrors.IsNotFound(err):
		return nil, nil
	case err != nil:
		return nil, err
	}
	return live, nil
}

// compare asks the server what applying the object would do. The first result
// is what is live, nil where there is none; the second what would be.
func (c *cluster) compare(ctx context.Context, o *unstructured.Unstructured) (live, would *unstructured.Unstructured, err error) {
	if live, err = c.get(ctx, o); err != nil {
		return nil, nil, err
	}
	if isSecret(o) {
		partial, err := c.patchSecret(ctx, o, client.DryRunAll)
		return live, partial, err
	}
	if live != nil && slices.ContainsFunc(live.GetManagedFields(), ofKubectl) {
		would, err = c.compareTakeOver(ctx, live, o)
		return live, would, err
	}
	_, before, after, err := c.engine.Diff(ctx, o.DeepCopy(), ssa.DiffOptions{})
	switch {
	case err != nil:
		return live, nil, err
	case live == nil:
		return nil, o, nil
	case before == nil: // nothing differs
		return live, live, nil
	}
	return live, after, nil
}

// apply brings the object into the cluster, and takes over the fields that
// kubectl applied, so that those which are no longer rendered go.
func (c *cluster) apply(ctx context.Context, o *unstructured.Unstructured) error {
	if isSecret(o) {
		_, err := c.patchSecret(ctx, o)
		return err
	}
	// Before, and not as the engine's own cleanup, since the engine asks the
	// server first: see compareTakeOver.
	if err := retry.RetryOnConflict(retry.DefaultRetry, func() error { return c.takeOver(ctx, o) }); err != nil {
		return err
	}
	entry, err := c.engine.Apply(ctx, o.DeepCopy(), ssa.DefaultApplyOptions())
	if err != nil || entry.Action != ssa.UnchangedAction {
		return err
	}
	// Where nothing differs the engine applies nothing. But an object that
	// somebody else made alike must become this layer's too.
	live := partialOf(o)
	if err := c.client.Get(ctx, client.ObjectKeyFromObject(o), live); err != nil {
		return err
	}
	if owners := layersOf(live.ManagedFields); slices.Contains(owners, c.manager) {
		return nil
	}
	return c.client.Apply(ctx, client.ApplyConfigurationFromUnstructured(o.DeepCopy()), client.ForceOwnership, client.FieldOwner(c.manager))
}

// layersOf are the field managers of layers that applied an object.
func layersOf(fields []metav1.ManagedFieldsEntry) []string {
	var managers []string
	for _, entry := range fields {
		if entry.Operation == metav1.ManagedFieldsOperationApply && strings.HasPrefix(entry.Manager, managerPrefix) {
			managers = append(managers, entry.Manager)
		}
	}
	return managers
}

// patchSecret applies a Secret without values, and gets its metadata back.
func (c *cluster) patchSecret(ctx context.Context, o *unstructured.Unstructured, options ...client.PatchOption) (*unstructured.Unstructured, error) {
	data, err := json.Marshal(o)
	if err != nil {
		return nil, err
	}
	partial := partialOf(o)
	options = append(options, client.ForceOwnership, client.FieldOwner(c.manager))
	if err := c.client.Patch(ctx, partial, client.RawPatch(types.ApplyPatchType, data), options...); err != nil {
		return nil, err
	}
	return fromPartial(partial), nil
}

func isSecret(o *unstructured.Unstructured) bool {
	return o.GetAPIVersion() == "v1" && o.GetKind() == "Secret"
}

func partialOf(o *unstructured.Unstructured) *metav1.PartialObjectMetadata {
	p := &metav1.PartialObjectMetadata{ObjectMeta: metav1.ObjectMeta{Namespace: o.GetNamespace(), Name: o.GetName()}}
	p.SetGroupVersionKind(o.GroupVersionKind())
	return p
}

// fromPartial keeps what can be compared of a Secret's metadata.
func fromPartial(p *metav1.PartialObjectMetadata) *unstructured.Unstructured {
	u := &unstructured.Unstructured{}
	u.SetGroupVersionKind(p.GroupVersionKind())
	u.SetNamespace(p.Namespace)
	u.SetName(p.Name)
	u.SetUID(p.UID)
	u.SetLabels(p.Labels)
	u.SetAnnotations(p.Annotations)
	u.SetManagedFields(p.ManagedFields)
	return u
}

// refusals says what the server has against an object, field by field where it
// names fields.
func refusals(id object.ID, err error) object.Findings {
	var status apierrors.APIStatus
	if !errors.As(err, &status) {
		if meta.IsNoMatchError(err) {
			return object.Findings{{Object: id, Problem: "the cluster has no such kind", Remedy: "install what defines it first"}}
		}
		return object.Findings{{Object: id, Problem: err.Error()}}
	}
	s := status.Status()
	var all object.Findings
	if s.Details != nil && s.Reason == metav1.StatusReasonInvalid {
		for _, cause := range s.Details.Causes {
			f := object.Finding{Object: id, Field: cause.Field, Problem: cause.Message}
			if strings.Contains(cause.Message, "immutable") || strings.Contains(cause.Message, "cannot change") || strings.Contains(cause.Message, "may not change") {
				f.Remedy = "this field of a live object cannot change: keep it, or replace the object beside the running one"
				if id.Kind == "Deployment" && strings.HasPrefix(cause.Field, "spec.selector") || strings.HasSuffix(id.Kind, "RoleBinding") {
					f.Remedy = "this field of a live object cannot change: keep it, or let an admin deploy this layer once with -adopt, which replaces the object beside the running one"
				}
			}
			all = append(all, f)
		}
	}
	if len(all) > 0 {
		return all
	}
	f := object.Finding{Object: id, Problem: s.Message}
	switch s.Reason {
	case metav1.StatusReasonForbidden:
		f.Remedy = "where these rights are new, an admin deploys the layer with the deployer's Role first"
	case metav1.StatusReasonNotFound:
		if s.Details != nil && s.Details.Kind == "namespaces" {
			f.Problem = fmt.Sprintf("its namespace %s is not there", s.Details.Name)
			f.Remedy = "deploy the layer that has it first"
		}
	}
	return object.Findings{f}
}
