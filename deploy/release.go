package deploy

import (
	"bytes"
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"sync"
	"time"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/client-go/rest"

	"git.lastcloud.io/ronnibaslund/dezky/fleet/render/manifest"
	"git.lastcloud.io/ronnibaslund/dezky/fleet/render/object"
	"git.lastcloud.io/ronnibaslund/dezky/fleet/render/plan/consequence"
)

// Release is what is to be in the cluster.
type Release struct {
	// Tree is the name of the Tree that it was rendered from. A layer that
	// was released from another one is refused: that is another environment.
	Tree string
	// Revision is what is released, for people: a commit.
	Revision string
	// Run is the number of the pipeline run. A lower one than that of the
	// last release is refused, since it is older. Zero has no order.
	Run int
	// Manifests are the layer's files, as one YAML stream.
	Manifests []byte
	// Repositories of the first-party images. One that follows the tag latest
	// is refused.
	Repositories []string
	// Elsewhere are the objects of other layers, which are never deleted.
	Elsewhere []object.ID
	// Secrets are those that people fill in. An adoption does not list them
	// among what is left behind.
	Secrets []object.ID
	// Allowed are the consequences at which the release does not stop.
	Allowed []consequence.Allowance
}

// The defaults of a [Deployer]: a release may take as long as a Deployment has
// by default to make progress, and who waits for the lock waits for a release
// and the way back.
const (
	defaultTimeout  = 10 * time.Minute
	defaultLockWait = 2 * defaultTimeout
)

// Deployer brings releases of one layer into a cluster.
type Deployer struct {
	// Config is how to reach the cluster, and as whom.
	Config *rest.Config
	// Layer that is released.
	Layer string
	// Namespace of the lock, the inventory and the earlier releases; see
	// [render.Layer.Namespace].
	Namespace string
	// By says who deploys; others who wait for the lock are shown it.
	By string
	// Timeout for a release, once it holds the lock. If zero, ten
	// minutes.
	Timeout time.Duration
	// LockWait is how long to wait for another deploy. If zero, twenty
	// minutes: a release and the way back.
	LockWait time.Duration
	// LockDuration is how long a deploy waits for one that was killed, from
	// when it first sees the lock: no clock but its own counts. If zero, a
	// minute.
	LockDuration time.Duration
	// DryRun shows what a release would change, and changes nothing.
	DryRun bool
	// Adopt replaces beside the running one what cannot change: a Deployment
	// with another selector, a binding with another role. What runs from other
	// manifests is recorded as a release, so that Rollback, with Adopt, takes
	// it back. It needs the rights of an admin.
	Adopt bool
	// Drain is how long a release waits for those who send requests to follow
	// new endpoints, before what the old ones lead to goes: the ports that a
	// Service had, the pods that an adoption replaced. If zero, ten seconds.
	Drain time.Duration
	// PruneMost allows to delete more than half of what releases applied.
	PruneMost bool
	// RollbackOnFailure goes back to the release before where this one fails.
	RollbackOnFailure bool
	// NoLogs leaves the logs of containers out of what is said of a failure.
	NoLogs bool
	// Out gets the changes and the progress.
	Out io.Writer
	// Terminal draws the progress in place.
	Terminal bool

	mu sync.Mutex
}

// RefusedError says why a release was refused. Nothing was changed.
type RefusedError struct{ Findings object.Findings }

func (e *RefusedError) Error() string { return e.Findings.Error() }

// Unwrap returns the findings.
func (e *RefusedError) Unwrap() error { return e.Findings }

// FailedError says why a release failed after it had begun.
type FailedError struct {
	// Release that failed, as it is recorded.
	Release Record
	// Err says why.
	Err error
	// RolledBack is the release to which it went back by itself. Nil where it
	// did not.
	RolledBack *Record
}

func (e *FailedError) Error() string { return e.Err.Error() }

// Unwrap returns why.
func (e *FailedError) Unwrap() error { return e.Err }

func refused(format string, args ...any) error {
	return &RefusedError{Findings: object.Findings{{Problem: fmt.Sprintf(format, args...)}}}
}

// printf writes to Out. What cannot be written there does not stop a release.
func (d *Deployer) printf(format string, args ...any) {
	if d.Out == nil {
		return
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	fmt.Fprintf(d.Out, format, args...)
}

func (d *Deployer) connect() (*cluster, error) {
	if d.Namespace == "" {
		return nil, refused("layer %s: there is no namespace for its releases: give it one in render.Layer.Namespace", d.Layer)
	}
	d.LockDuration = cmp.Or(d.LockDuration, time.Minute)
	d.LockWait = cmp.Or(d.LockWait, defaultLockWait)
	d.Timeout = cmp.Or(d.Timeout, defaultTimeout)
	d.Drain = cmp.Or(d.Drain, defaultDrain)
	c, err := connect(d.Config, d.Layer)
	if err != nil {
		return nil, fmt.Errorf("the cluster cannot be reached: %w", err)
	}
	return c, nil
}

// Deploy brings a release into the cluster, and returns its record. The error
// is a [*RefusedError] where nothing was changed, a [*HeldError] where another
// deploy goes on, and a [*FailedError] where the release is there in part.
func (d *Deployer) Deploy(ctx context.Context, r Release) (Record, error) {
	c, err := d.connect()
	if err != nil {
		return Record{}, err
	}
	if d.DryRun {
		return d.release(ctx, c, r, nil)
	}
	if err := d.settle(ctx, c, r); err != nil {
		return Record{}, err
	}
	var record Record
	err = d.locked(ctx, c, func(ctx context.Context) error {
		record, err = d.release(ctx, c, r, nil)
		var failed *FailedError
		if !errors.As(err, &failed) || !d.RollbackOnFailure || ctx.Err() != nil || failed.Release.Status == Succeeded {
			return err
		}
		d.printf("release %d failed: %s\n", failed.Release.Number, failed.Release.Reason)
		back, backErr := d.goBack(ctx, c)
		if backErr != nil {
			failed.Err = fmt.Errorf("%w\nthe way back failed too: %w", failed.Err, backErr)
			return failed
		}
		failed.RolledBack = &back
		return failed
	})
	return record, err
}

// settle makes the namespace of the lock and the records, where the release
// itself has it and the cluster does not yet.
func (d *Deployer) settle(ctx context.Context, c *cluster, r Release) error {
	objects, _, err := d.parse(r)
	if err != nil {
		return err
	}
	for _, o := range objects {
		if id := object.IDOf(o); id != (object.ID{Kind: "Namespace", Name: d.Namespace}) {
			continue
		}
		live, err := c.get(ctx, o)
		if err == nil && live == nil {
			d.printf("create  Namespace %s, first: the records of the layer are kept there\n", d.Namespace)
			err = c.apply(ctx, o)
		}
		if err != nil {
			return &RefusedError{Findings: refusals(object.IDOf(o), err)}
		}
	}
	return nil
}

// Rollback brings the release before into the cluster again: its manifests,
// and so its images.
func (d *Deployer) Rollback(ctx context.Context) (Record, error) {
	c, err := d.connect()
	if err != nil {
		return Record{}, err
	}
	if d.DryRun {
		return d.goBack(ctx, c)
	}
	var record Record
	err = d.locked(ctx, c, func(ctx context.Context) error {
		record, err = d.goBack(ctx, c)
		return err
	})
	return record, err
}

func (d *Deployer) goBack(ctx context.Context, c *cluster) (Record, error) {
	all, err := d.records(ctx, c)
	if err != nil {
		return Record{}, err
	}
	target := before(all)
	if target == nil {
		return Record{}, refused("there is no release to go back to: none before this one ended well")
	}
	text, err := decompress(target.manifests)
	if err != nil {
		return Record{}, fmt.Errorf("the manifests of release %d cannot be read: %w", target.effective(), err)
	}
	d.printf("going back to release %d, %s\n", target.effective(), cmp.Or(target.Revision, "without a revision"))
	return d.release(ctx, c, Release{Tree: target.Tree, Revision: target.Revision, Manifests: text}, target)
}

// Releases returns those that are kept, oldest first.
func (d *Deployer) Releases(ctx context.Context) ([]Record, error) {
	c, err := d.connect()
	if err != nil {
		return nil, err
	}
	return d.records(ctx, c)
}

// parse reads the objects of a release, and refuses what no release may hold.
func (d *Deployer) parse(r Release) ([]*unstructured.Unstructured, map[string]string, error) {
	documents, err := manifest.Read(bytes.NewReader(r.Manifests))
	if err != nil {
		return nil, nil, &RefusedError{Findings: object.FindingsOf(err)}
	}
	if len(documents) == 0 {
		return nil, nil, refused("layer %s renders no object: an empty release would delete all that earlier ones applied", d.Layer)
	}
	var wrong object.Findings
	var objects []*unstructured.Unstructured
	pins := map[string]string{}
	seen := map[object.ID]bool{}
	for _, document := range documents {
		o := document.Object
		id := object.IDOf(o)
		if seen[id] {
			wrong = append(wrong, object.Finding{Object: id, Problem: "stands in the release twice"})
		}
		seen[id] = true
		objects = append(objects, o)
		for path, image := range images(o) {
			name, pin := pinOf(image, r.Repositories)
			switch {
			case name == "":
			case pin == "" || pin == "latest":
				wrong = append(wrong, object.Finding{Object: id, Field: path, Problem: fmt.Sprintf("the image %s is not pinned", name), Remedy: "give -tag, -image or -keep-images"})
			default:
				pins[name] = pin
			}
		}
	}
	if len(wrong) > 0 {
		return nil, nil, &RefusedError{Findings: wrong}
	}
	return objects, pins, nil
}

// release does it all, from the first look to the record of how it ended.
// target is the release that is brought back, nil for one of its own.
func (d *Deployer) release(ctx context.Context, c *cluster, r Release, target *Record) (Record, error) {
	objects, pins, err := d.parse(r)
	if err != nil {
		return Record{}, err
	}
	if target != nil {
		pins = target.Images
	}
	records, err := d.records(ctx, c)
	if err != nil {
		return Record{}, err
	}
	inv, err := d.loadInventory(ctx, c)
	if err != nil {
		return Record{}, err
	}
	if err := fits(r, inv, records); err != nil {
		return Record{}, err
	}

	if d.Adopt {
		notes, err := c.holdSecurity(ctx, objects)
		if err != nil {
			return Record{}, err
		}
		for _, note := range notes {
			d.printf("note: %s\n", note)
		}
	}
	changes, err := c.look(ctx, objects, d.Adopt)
	if d.Adopt {
		err = errors.Join(err, c.mayAdopt(ctx, changes), c.startable(ctx, changes))
	}
	rendered, elsewhere := map[object.ID]bool{}, map[object.ID]bool{}
	for _, o := range objects {
		rendered[object.IDOf(o)] = true
	}
	for _, id := range r.Elsewhere {
		elsewhere[id] = true
	}
	left, leftErr := c.leftovers(ctx, inv, rendered, elsewhere)
	outlook, outlookErr := d.foresee(ctx, c, r, changes, left)
	if ctx.Err() != nil {
		return Record{}, ctx.Err()
	}
	d.show(changes, left)
	outlook.show(d)
	var stops error
	if target == nil { // the way back is not stopped
		stops = outlook.stops(changes)
	}
	if err := errors.Join(err, leftErr, outlookErr, stops); err != nil {
		return Record{}, &RefusedError{Findings: object.FindingsOf(err)}
	}
	if err := tooMany(left, inv); err != nil && !d.PruneMost && target == nil {
		return Record{}, refused("%v", err)
	}
	var foreign []object.ID
	if d.Adopt && target == nil {
		if foreign, err = c.foreign(ctx, r, changes); err != nil {
			return Record{}, err
		}
	}
	if d.DryRun {
		d.showForeign(foreign)
		return Record{}, nil
	}

	packed, err := compress(r.Manifests)
	if err != nil {
		return Record{}, refused("%v", err)
	}
	if d.Adopt && target == nil && othersRun(records, changes) {
		was, err := d.asItRuns(r, records, changes)
		if err != nil {
			return Record{}, err
		}
		if was != nil {
			if err := d.save(ctx, c, *was); err != nil {
				return Record{}, err
			}
			d.printf("recorded what runs as release %d: -adopt -rollback goes back to it\n", was.Number)
			records = append(records, *was)
		}
	}
	record := Record{
		Number: 1, Tree: r.Tree, Revision: cmp.Or(r.Revision, revision(pins)), Images: pins, Run: r.Run,
		By: d.By, Started: time.Now(), Status: Running, manifests: packed,
	}
	if target != nil {
		record.RollbackOf = target.effective()
	}
	if n := len(records); n > 0 {
		last := records[n-1]
		record.Number = last.Number + 1
		record.Run = max(record.Run, last.Run)
		if last.Status == Succeeded && bytes.Equal(last.manifests, packed) && nothing(changes, left) {
			record = last // it is there already: only see that it is well
		}
	}
	timed, cancel := context.WithTimeout(ctx, d.Timeout)
	defer cancel()
	if record.Status == Succeeded {
		d.printf("nothing to change: this is release %d\n", record.Number)
		if err := d.wait(timed, c, workloads(changes)); err != nil {
			return record, &FailedError{Release: record, Err: err}
		}
		d.printf("release %d is ready\n", record.Number)
		return record, nil
	}
	for _, last := range records {
		if last.Status == Running {
			d.printf("release %d (%s) was never completed: this one takes its place\n", last.Number, last.By)
			last.Status, last.Reason, last.Ended = Interrupted, "its deploy was killed", record.Started
			if err := d.save(ctx, c, last); err != nil {
				return Record{}, err
			}
		}
	}

	err = d.carryOut(timed, c, record, inv, changes, left)
	if err == nil {
		d.showForeign(foreign)
	}
	return d.close(ctx, c, record, records, err)
}

// fits refuses a release that is not the next one of this layer.
func fits(r Release, inv inventory, records []Record) error {
	if inv.tree != "" && inv.tree != r.Tree {
		return refused("the releases of this layer are of %q, and this one is of %q: one does not replace the other", inv.tree, r.Tree)
	}
	for _, last := range records {
		if r.Run > 0 && last.Run > r.Run {
			return refused("pipeline run %d is older than run %d, which made release %d: release the newer commit, or go back with -rollback", r.Run, last.Run, last.Number)
		}
	}
	return nil
}

// close records how a release ended. It has some time of its own for that,
// since the release's may be up.
func (d *Deployer) close(ctx context.Context, c *cluster, record Record, records []Record, failure error) (Record, error) {
	interrupted := ctx.Err() != nil
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), 15*time.Second)
	defer cancel()
	record.Ended = time.Now()
	var unready *NotReadyError
	switch {
	case failure == nil:
		record.Status = Succeeded
	case interrupted:
		record.Status, record.Reason = Interrupted, oneLine(failure.Error())
	case errors.As(failure, &unready):
		record.Status, record.Reason = Failed, unready.summary()
	default:
		record.Status, record.Reason = Failed, oneLine(failure.Error())
	}
	saved := d.save(ctx, c, record)
	if failure != nil {
		return record, &FailedError{Release: record, Err: errors.Join(failure, saved)}
	}
	if err := errors.Join(saved, d.forget(ctx, c, append(records, record))); err != nil {
		return record, &FailedError{Release: record, Err: err}
	}
	d.printf("release %d is ready\n", record.Number)
	return record, nil
}

func count(n int, thing string) string {
	if n == 1 {
		return "1 " + thing
	}
	return fmt.Sprintf("%d %ss", n, thing)
}
