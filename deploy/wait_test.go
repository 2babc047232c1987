package deploy

import (
	"strings"
	"testing"

	"github.com/fluxcd/cli-utils/pkg/kstatus/polling/event"
	"github.com/fluxcd/cli-utils/pkg/kstatus/status"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"

	"git.lastcloud.io/ronnibaslund/dezky/fleet/render/manifest"
)

// objects reads a YAML stream.
func objects(t *testing.T, text string) []*unstructured.Unstructured {
	t.Helper()
	documents, err := manifest.Read(strings.NewReader(text))
	if err != nil {
		t.Fatal(err)
	}
	var all []*unstructured.Unstructured
	for _, d := range documents {
		all = append(all, d.Object)
	}
	return all
}

// TestJobsEnd: a Job that comes before a release is waited for until it has
// ended, and no other one is.
func TestJobsEnd(t *testing.T) {
	job := func(name, annotation, status string) string {
		return "{kind: Job, apiVersion: batch/v1, metadata: {namespace: ns, name: " + name + ", annotations: {" + annotation + "}}, status: {" + status + "}}\n---\n"
	}
	const first, running = "fleet.dezky.eu/before-release: 'true'", "startTime: '2026-01-01T00:00:00Z', active: 1"
	const complete = "conditions: [{type: Complete, status: 'True'}], startTime: '2026-01-01T00:00:00Z'"
	const failed = "conditions: [{type: Failed, status: 'True'}]"
	for _, tc := range []struct {
		name, text string
		want       status.Status
		ended      bool
	}{
		{"beside, running", job("a", "", running), status.CurrentStatus, false},
		{"first, running", job("a", first, running), status.InProgressStatus, false},
		{"first, complete", job("a", first, complete), status.CurrentStatus, true},
		{"first, failed", job("a", first, failed), status.FailedStatus, true},
	} {
		o := objects(t, tc.text)[0]
		result, err := status.Compute(o)
		if err != nil {
			t.Fatal(err)
		}
		got := untilEnded(&event.ResourceStatus{Status: result.Status, Resource: o})
		if got.Status != tc.want || jobEnded(o) != tc.ended {
			t.Errorf("%s: %s, ended %v", tc.name, got.Status, jobEnded(o))
		}
	}
}
