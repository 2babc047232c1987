package deploy

import (
	"cmp"
	"context"
	"crypto/rand"
	"fmt"
	"strings"
	"sync"
	"time"

	"github.com/go-logr/logr"
	coordinationv1 "k8s.io/api/coordination/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/tools/leaderelection"
	"k8s.io/client-go/tools/leaderelection/resourcelock"
	"k8s.io/klog/v2"

	"git.lastcloud.io/ronnibaslund/dezky/fleet/render/object"
)

// HeldError says that another deploy holds the lock of the layer.
type HeldError struct {
	// Holder is who it is.
	Holder string
}

func (e *HeldError) Error() string {
	return fmt.Sprintf("another deploy holds the lock: %s: wait for it to end; where it was killed, the lock runs out by itself", e.Holder)
}

// locked runs work while it holds the lock of the layer. It waits for the lock
// for as long as wait says; work's context ends where the lock is lost. The
// lock is a Lease that is renewed all the time and runs out within the duration
// when its holder is gone.
func (d *Deployer) locked(ctx context.Context, c *cluster, work func(context.Context) error) error {
	// Two processes may call themselves the same.
	identity := d.By + identityMark + rand.Text()
	lock := &resourcelock.LeaseLock{
		LeaseMeta:  metav1.ObjectMeta{Namespace: d.Namespace, Name: managerPrefix + d.Layer},
		Client:     c.typed.CoordinationV1(),
		LockConfig: resourcelock.ResourceLockConfig{Identity: identity},
		Labels:     d.labels(),
	}
	// The elector tries for ever, whatever the error is. One that stays is
	// told at once.
	if _, _, err := lock.Get(ctx); err != nil && !apierrors.IsNotFound(err) {
		return fmt.Errorf("the lock cannot be read: %w", err)
	}
	probe := &coordinationv1.Lease{ObjectMeta: metav1.ObjectMeta{GenerateName: lock.LeaseMeta.Name + "-", Namespace: d.Namespace}}
	_, err := c.typed.CoordinationV1().Leases(d.Namespace).Create(ctx, probe, metav1.CreateOptions{DryRun: []string{metav1.DryRunAll}})
	if err != nil {
		return &RefusedError{Findings: refusals(object.ID{Group: coordinationv1.GroupName, Kind: "Lease", Namespace: d.Namespace, Name: lock.LeaseMeta.Name}, err)}
	}

	// Two contexts: the elector's ends when the work has ended, so that it
	// gives the lock back; the work's ends with the caller's or the lock.
	electing, stop := context.WithCancel(klog.NewContext(context.WithoutCancel(ctx), logr.Discard()))
	defer stop()
	var mu sync.Mutex
	started, told := false, ""
	leading := make(chan context.Context, 1)
	elector, err := leaderelection.NewLeaderElector(leaderelection.LeaderElectionConfig{
		Lock:            lock,
		Name:            managerPrefix + d.Layer,
		LeaseDuration:   d.LockDuration,
		RenewDeadline:   d.LockDuration * 2 / 3,
		RetryPeriod:     d.LockDuration / 12,
		ReleaseOnCancel: true,
		Callbacks: leaderelection.LeaderCallbacks{
			OnStartedLeading: func(ctx context.Context) {
				mu.Lock()
				started = true
				mu.Unlock()
				leading <- ctx
			},
			OnStoppedLeading: func() {},
			OnNewLeader: func(holder string) {
				mu.Lock()
				defer mu.Unlock()
				if holder != identity && holder != "" && !started {
					told = holderName(holder)
					d.printf("waiting for %s, who deploys now\n", told)
				}
			},
		},
	})
	if err != nil {
		return err
	}
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		elector.Run(electing)
	}()
	defer func() {
		stop()
		<-ended
	}()

	patience := time.NewTimer(d.LockWait)
	defer patience.Stop()
	select {
	case <-ctx.Done():
		return ctx.Err()
	case <-patience.C:
		mu.Lock()
		defer mu.Unlock()
		if holder := cmp.Or(holderName(elector.GetLeader()), told); holder != "" {
			return &HeldError{Holder: holder}
		}
		_, _, err := lock.Get(ctx)
		return fmt.Errorf("the lock could not be had within %s: %w", d.LockWait, err)
	case held := <-leading:
		working, cancel := context.WithCancelCause(ctx)
		defer cancel(nil)
		stopWatching := context.AfterFunc(held, func() { cancel(errLockLost) })
		defer stopWatching()
		return work(working)
	}
}

var errLockLost = fmt.Errorf("the lock was lost: another deploy may have begun")

// identityMark stands between who deploys and what makes the identity unique.
const identityMark = " #"

// holderName is who holds the lock, for people.
func holderName(identity string) string {
	name, _, _ := strings.Cut(identity, identityMark)
	return name
}
