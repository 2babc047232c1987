package deploy

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/fluxcd/cli-utils/pkg/kstatus/polling"
	"github.com/fluxcd/cli-utils/pkg/kstatus/polling/event"
	"github.com/fluxcd/cli-utils/pkg/kstatus/status"
	kstatus "github.com/fluxcd/cli-utils/pkg/object"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"

	"git.lastcloud.io/ronnibaslund/dezky/fleet/render/object"
	"git.lastcloud.io/ronnibaslund/dezky/fleet/render/plan/order"
)

// NotReadyError says which objects did not get ready, and why.
type NotReadyError struct {
	// Objects that are not ready.
	Objects []NotReady
	// Deadline reports that the time was up. If false, the cluster gave up.
	Deadline bool
}

// NotReady is one object that did not get ready.
type NotReady struct {
	// ID of the object.
	ID object.ID
	// State is how far it got.
	State string
	// Reasons are lines that say why.
	Reasons []string
}

func (e *NotReadyError) Error() string { return errors.Join(e.Unwrap()...).Error() }

// Unwrap returns an error for each line.
func (e *NotReadyError) Unwrap() []error {
	var lines []error
	for _, o := range e.Objects {
		lines = append(lines, fmt.Errorf("%s is not ready: %s", o.ID, o.State))
		for _, r := range o.Reasons {
			lines = append(lines, errors.New("  "+r))
		}
	}
	return lines
}

// summary is one line, for a record.
func (e *NotReadyError) summary() string {
	var names []string
	for _, o := range e.Objects {
		text := o.ID.String()
		if len(o.Reasons) > 0 {
			text += ": " + o.Reasons[0]
		}
		names = append(names, text)
	}
	return "not ready: " + strings.Join(names, "; ")
}

const (
	pollInterval = 2 * time.Second
	// hintInterval is how often a workload that is not ready is looked into.
	hintInterval = 10 * time.Second
)

// wait until all are ready, or none of the others will be any more, or ctx
// ends. kstatus judges readiness.
func (d *Deployer) wait(ctx context.Context, c *cluster, ids []object.ID) error {
	if len(ids) == 0 {
		return nil
	}
	var set kstatus.ObjMetadataSet
	for _, id := range ids {
		set = append(set, keyOf(id))
	}
	now := make(map[object.ID]*event.ResourceStatus, len(ids))
	shown := newProgress(d, ids)
	for {
		err := d.poll(ctx, c, set, ids, now, shown)
		if apierrors.IsForbidden(err) {
			shown.end()
			return fmt.Errorf("the rollout cannot be watched: %w", err)
		}
		if err == nil || ctx.Err() != nil {
			break
		}
		// The rollout goes on while the server cannot be reached.
		shown.end()
		d.printf("  the rollout cannot be watched for the moment: %s\n", redact(oneLine(err.Error())))
		select {
		case <-ctx.Done():
		case <-time.After(pollInterval):
		}
	}
	shown.end()
	var missed []NotReady
	for _, id := range ids {
		if now[id] != nil && now[id].Status == status.CurrentStatus {
			continue
		}
		state := "nothing is known of it"
		if now[id] != nil {
			state = stateOf(now[id])
		}
		missed = append(missed, NotReady{ID: id, State: state})
	}
	if len(missed) == 0 {
		return nil
	}
	if errors.Is(ctx.Err(), context.Canceled) {
		return context.Cause(ctx)
	}
	// The time for the release may be up; there is still some for the reasons.
	looking, cancel := context.WithTimeout(context.WithoutCancel(ctx), 20*time.Second)
	defer cancel()
	for i := range missed {
		if order.IsWorkload(missed[i].ID) {
			missed[i].Reasons = c.explain(looking, missed[i].ID, !d.NoLogs)
		}
	}
	return &NotReadyError{Objects: missed, Deadline: ctx.Err() != nil}
}

// poll takes down the states of the objects until none will change any more,
// or ctx ends. The error says that they cannot be read.
func (d *Deployer) poll(ctx context.Context, c *cluster, set kstatus.ObjMetadataSet, ids []object.ID, now map[object.ID]*event.ResourceStatus, shown *progress) error {
	ctx, stop := context.WithCancel(ctx)
	defer stop()
	var failure error
	events := c.poller.Poll(ctx, set, polling.PollOptions{PollInterval: pollInterval})
	// A workload that hangs does not change, so there is no event for it.
	hints := time.NewTicker(hintInterval)
	defer hints.Stop()
	for {
		select {
		case e, more := <-events:
			switch {
			case !more:
				return failure
			case ctx.Err() != nil:
			case e.Type == event.ErrorEvent:
				failure = e.Error
			case e.Type == event.ResourceUpdateEvent:
				id := idOf(e.Resource.Identifier)
				now[id] = untilEnded(e.Resource)
				shown.set(id, stateOf(now[id]))
				if done(ids, now) {
					stop()
				}
			}
		case <-hints.C:
			for _, id := range ids {
				if order.IsWorkload(id) && now[id] != nil && now[id].Status != status.CurrentStatus && ctx.Err() == nil {
					shown.hint(id, c.explain(ctx, id, false)[0])
				}
			}
		}
	}
}

// untilEnded takes a Job that comes before a release for ready when it has
// completed. To kstatus one that runs is ready too (fluxcd/cli-utils,
// pkg/kstatus/status/core.go, jobConditions).
func untilEnded(r *event.ResourceStatus) *event.ResourceStatus {
	if r.Status != status.CurrentStatus || r.Resource == nil || !order.BeforeRelease(r.Resource) || jobEnded(r.Resource) {
		return r
	}
	running := *r
	running.Status = status.InProgressStatus
	return &running
}

// jobEnded reports whether a Job has completed or failed.
func jobEnded(job *unstructured.Unstructured) bool {
	conditions, _, _ := unstructured.NestedSlice(job.Object, "status", "conditions")
	return slices.ContainsFunc(conditions, func(c any) bool {
		fields, _ := c.(map[string]any)
		return (fields["type"] == "Complete" || fields["type"] == "Failed") && fields["status"] == "True"
	})
}

// done reports whether no object will change any more.
func done(ids []object.ID, now map[object.ID]*event.ResourceStatus) bool {
	return !slices.ContainsFunc(ids, func(id object.ID) bool {
		return now[id] == nil || now[id].Status != status.CurrentStatus && now[id].Status != status.FailedStatus
	})
}

func stateOf(r *event.ResourceStatus) string {
	if r.Error != nil {
		return redact(oneLine(r.Error.Error()))
	}
	switch r.Status {
	case status.CurrentStatus:
		return "ready"
	case status.NotFoundStatus:
		return "is not there"
	}
	return strings.TrimSpace(oneLine(r.Message))
}
