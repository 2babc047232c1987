package gitea

import (
	"reflect"
	"strings"
	"testing"
)

// TestAssumed: what nobody has confirmed of a runner is listed with what
// confirms it, and changes nothing of what is rendered.
func TestAssumed(t *testing.T) {
	confirmed := Runner{Name: "runner", Namespace: "ci", Instance: "https://git.example.com", Image: "gitea/runner:9.9", DockerImage: "docker:99-dind", MTU: 1400}
	if list := confirmed.About().Assumed; len(list) != 0 {
		t.Errorf("confirmed, it still assumes %v", list)
	}
	want, err := confirmed.Objects()
	if err != nil {
		t.Fatal(err)
	}
	for _, tc := range []struct {
		assumed          Assumed
		what, value, how string
	}{
		{Assumed{Place: true}, "that the runner that exists has this namespace and name", "", "kubectl get deployments,statefulsets -A"},
		{Assumed{Images: true}, "the releases of its images", "gitea/runner:9.9, docker:99-dind", "https://git.example.com"},
		{Assumed{Sizes: true}, "its limits of memory and the MTU of its networks", "runner 2Gi, Docker 8Gi, MTU 1400", "kubectl -n ci top pods"},
	} {
		open := confirmed
		open.Assumed = tc.assumed
		list := open.About().Assumed
		if len(list) != 1 {
			t.Fatalf("%+v: assumptions %v", tc.assumed, list)
		}
		a := list[0]
		if a.What != "Runner ci/runner: "+tc.what || a.Value != tc.value || !strings.Contains(a.Confirm, tc.how) || a.Until == "" || a.Buys == "" {
			t.Errorf("assumption %+v", a)
		}
		if got, err := open.Objects(); err != nil || !reflect.DeepEqual(got, want) {
			t.Errorf("%+v changes the objects, error %v", tc.assumed, err)
		}
	}
}
