package deploy

import (
	"encoding/base64"
	"errors"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/apimachinery/pkg/util/validation/field"
	"k8s.io/client-go/kubernetes/fake"
	"k8s.io/client-go/rest"

	kstatus "github.com/fluxcd/cli-utils/pkg/object"

	"git.lastcloud.io/ronnibaslund/dezky/fleet/render/object"
)

func TestParse(t *testing.T) {
	app := func(image string) string {
		return "{kind: CronJob, apiVersion: batch/v1, metadata: {namespace: ns, name: a}, spec: {jobTemplate: {spec: {template: {spec: {containers: [{name: c, image: '" + image + "'}]}}}}}}\n"
	}
	const at = "CronJob ns/a: spec.jobTemplate.spec.template.spec.containers[c].image: "
	for _, tc := range []struct{ name, manifests, want string }{
		{"a tag", app("r.example/t/web:a"), "web=a"},
		{"a digest", app("r.example/t/web@sha256:00"), "web=sha256:00"},
		{"both", app("r.example/t/web:a@sha256:00"), "web=a@sha256:00"},
		{"another image", app("r.example/t/website"), ""},
		{"no tag", app("r.example/t/web"), at + "the image web is not pinned: give -tag, -image or -keep-images"},
		{"latest", app("r.example/t/web:latest"), at + "the image web is not pinned: give -tag, -image or -keep-images"},
		{"twice", app("x:1") + "---\n" + app("x:1"), "CronJob ns/a: stands in the release twice"},
		{"nothing", "# nothing\n", "layer apps renders no object: an empty release would delete all that earlier ones applied"},
		{"broken", "kind: [\n", "line 1: "},
	} {
		t.Run(tc.name, func(t *testing.T) {
			d := &Deployer{Layer: "apps"}
			_, pins, err := d.parse(Release{Manifests: []byte(tc.manifests), Repositories: []string{"r.example/t/web"}})
			got := revisionOf(pins)
			if err != nil {
				var refused *RefusedError
				if !errors.As(err, &refused) {
					t.Fatalf("%T", err)
				}
				got = err.Error()
			}
			if got != tc.want && !(strings.HasSuffix(tc.want, ": ") && strings.HasPrefix(got, tc.want)) {
				t.Errorf("got %q, want %q", got, tc.want)
			}
		})
	}
}

func revisionOf(pins map[string]string) string {
	var all []string
	for name, pin := range pins {
		all = append(all, name+"="+pin)
	}
	return strings.Join(all, " ")
}

func TestRevision(t *testing.T) {
	for _, tc := range []struct {
		pins map[string]string
		want string
	}{
		{nil, ""},
		{map[string]string{"a": "v1", "b": "v1"}, "v1"},
		{map[string]string{"a": "v1@sha256:00"}, "v1"},
		{map[string]string{"b": "v1", "a": "v2"}, "a=v2 b=v1"},
	} {
		if got := revision(tc.pins); got != tc.want {
			t.Errorf("%v: %q, want %q", tc.pins, got, tc.want)
		}
	}
}

// TestBefore: a rollback goes to the last release that ended well before the
// manifests that are there now, and a second one goes on from there.
func TestBefore(t *testing.T) {
	list := func(text string) []Record {
		var all []Record
		for i, word := range strings.Fields(text) {
			r := Record{Number: i + 1, Status: Succeeded, manifests: []byte(fmt.Sprint(i))}
			if n, _ := fmt.Sscanf(word, "back%d", &r.RollbackOf); n == 1 {
				r.manifests = all[r.RollbackOf-1].manifests
			}
			if word == "same" { // as the one before
				r.manifests = all[i-1].manifests
			}
			if word == "bad" {
				r.Status = Failed
			}
			all = append(all, r)
		}
		return all
	}
	for _, tc := range []struct {
		history string
		want    int
	}{
		{"", 0}, {"good", 0}, {"bad", 0}, {"good good", 1}, {"good bad", 1}, {"good bad bad", 1}, {"good good bad", 2},
		{"good good back1", 0}, {"good good good back2", 1}, {"good good good back2 back1", 0}, {"good bad back1 good", 3}, {"good good back1 bad", 3},
		{"good good bad back2 bad", 4}, {"bad good", 0},
		{"good same", 0}, {"good good same", 1}, {"good good same bad", 3},
	} {
		got := 0
		if r := before(list(tc.history)); r != nil {
			got = r.Number
		}
		if got != tc.want {
			t.Errorf("%q: back to %d, want %d", tc.history, got, tc.want)
		}
	}
}

// TestRecords: what is written is read again, and the way back is never
// forgotten.
func TestRecords(t *testing.T) {
	d := &Deployer{Layer: "apps", Namespace: "ns"}
	c := &cluster{typed: fake.NewClientset(), manager: "fleet-apps"}
	packed, err := compress([]byte("kind: A\n"))
	if err != nil {
		t.Fatal(err)
	}
	start := time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)
	for n := 1; n <= 14; n++ {
		r := Record{
			Number: n, Tree: "a tree", Revision: "abc", Images: map[string]string{"web": "abc", "api": "v1@sha256:00"}, Run: 7, By: "me",
			Started: start, Ended: start.Add(time.Minute), Status: Failed, Reason: "not ready", manifests: packed,
		}
		if n == 2 {
			r.Status, r.RollbackOf = Succeeded, 1
		}
		if err := d.save(t.Context(), c, r); err != nil {
			t.Fatal(err)
		}
		all, err := d.records(t.Context(), c)
		if err != nil {
			t.Fatal(err)
		}
		got := all[len(all)-1]
		if text, err := decompress(got.manifests); err != nil || string(text) != "kind: A\n" {
			t.Fatalf("the manifests are %q, %v", text, err)
		}
		if fmt.Sprintf("%+v", got) != fmt.Sprintf("%+v", r) {
			t.Fatalf("got\n%+v\nwant\n%+v", got, r)
		}
		if err := d.forget(t.Context(), c, all); err != nil {
			t.Fatal(err)
		}
	}
	all, err := d.records(t.Context(), c)
	if err != nil || len(all) != 11 || all[0].Number != 2 || all[1].Number != 5 {
		t.Errorf("%d are kept: %v", len(all), err)
	}
	// Another layer's are not ours.
	other := &Deployer{Layer: "data", Namespace: "ns"}
	if all, err := other.records(t.Context(), c); err != nil || len(all) != 0 {
		t.Errorf("another layer has %d: %v", len(all), err)
	}
	// What cannot be read is no empty history.
	m := d.encode(Record{Number: 99, manifests: packed})
	m.Data["number"] = "many"
	if err := write(t.Context(), c, m); err != nil {
		t.Fatal(err)
	}
	if _, err := d.records(t.Context(), c); err == nil || !strings.Contains(err.Error(), "fleet-apps-release-99") {
		t.Errorf("a broken record: %v", err)
	}
}

func TestInventory(t *testing.T) {
	d := &Deployer{Layer: "apps", Namespace: "ns"}
	c := &cluster{typed: fake.NewClientset(), manager: "fleet-apps"}
	inv, err := d.loadInventory(t.Context(), c)
	if err != nil || len(inv.objects) != 0 {
		t.Fatalf("none: %v, %v", inv, err)
	}
	inv.tree = "a tree"
	for _, id := range []object.ID{{Kind: "Service", Namespace: "ns", Name: "a"}, {Group: "apps", Kind: "Deployment", Namespace: "ns", Name: "a"}, {Kind: "Namespace", Name: "ns"},
		{Group: "rbac.authorization.k8s.io", Kind: "Role", Namespace: "ns", Name: "system:a"}} {
		inv.objects[keyOf(id)] = types.UID("u-" + id.Kind)
	}
	if err := d.saveInventory(t.Context(), c, inv); err != nil {
		t.Fatal(err)
	}
	again, err := d.loadInventory(t.Context(), c)
	if err != nil || again.tree != "a tree" || !maps.Equal(again.objects, inv.objects) {
		t.Errorf("%v, %v", again, err)
	}
}

func TestTooMany(t *testing.T) {
	inv := inventory{objects: map[kstatus.ObjMetadata]types.UID{}}
	var all []leftover
	for i := range 28 { // four apps of seven objects
		key := kstatus.ObjMetadata{Name: fmt.Sprint(i)}
		inv.objects[key] = ""
		all = append(all, leftover{key: key})
	}
	for n, refused := range map[int]bool{0: false, 7: false, 14: false, 15: true, 28: true} {
		if err := tooMany(all[:n], inv); (err != nil) != refused {
			t.Errorf("%d of 28: %v", n, err)
		}
	}
	stay := all[:28:28]
	for i := range stay {
		stay[i].stays = "for a reason"
	}
	if err := tooMany(stay, inv); err != nil {
		t.Errorf("what stays counts: %v", err)
	}
}

func TestRefusals(t *testing.T) {
	id := object.ID{Group: "apps", Kind: "Deployment", Namespace: "ns", Name: "a"}
	for _, tc := range []struct {
		err  error
		want string
	}{
		{apierrors.NewInvalid(schema.GroupKind{Group: "apps", Kind: "Deployment"}, "a", field.ErrorList{
			field.Invalid(field.NewPath("spec", "selector"), "x", "field is immutable"),
			field.Required(field.NewPath("spec", "template"), "is needed"),
		}), "Deployment ns/a: spec.selector: Invalid value: \"x\": field is immutable: this field of a live object cannot change: keep it, or let an admin deploy this layer once with -adopt, which replaces the object beside the running one\nDeployment ns/a: spec.template: Required value: is needed"},
		{apierrors.NewForbidden(schema.GroupResource{Resource: "services"}, "a", errors.New("no")), "Deployment ns/a: services \"a\" is forbidden: no: where these rights are new, an admin deploys the layer with the deployer's Role first"},
		{apierrors.NewNotFound(schema.GroupResource{Resource: "namespaces"}, "ns"), "Deployment ns/a: its namespace ns is not there: deploy the layer that has it first"},
		{errors.New("cut off"), "Deployment ns/a: cut off"},
	} {
		if got := refusals(id, fmt.Errorf("wrapped: %w", tc.err)).Error(); strings.TrimPrefix(got, "Deployment ns/a: wrapped: ") != strings.TrimPrefix(tc.want, "Deployment ns/a: ") && got != tc.want {
			t.Errorf("got\n%s\nwant\n%s", got, tc.want)
		}
	}
}

// TestTakenOver: what kubectl applied goes with what is no longer rendered, a
// struct with its last field; what others hold stays.
func TestTakenOver(t *testing.T) {
	live := objects(t, `
apiVersion: apps/v1
kind: Deployment
metadata:
  namespace: ns
  name: a
  labels: {stays: a, goes: b, others: c}
  finalizers: [x/stays, x/goes]
spec:
  replicas: 3
  progressDeadlineSeconds: 600
  template:
    spec:
      containers:
      - name: c
        livenessProbe: {tcpSocket: {port: 80}, periodSeconds: 10}
        ports: [{containerPort: 80, protocol: TCP, name: old}]
        env: [{name: A, value: "1"}, {name: B, value: "2"}]
`)[0]
	kubectl := `{"f:metadata":{"f:labels":{"f:stays":{},"f:goes":{},"f:others":{}},"f:finalizers":{"v:\"x/stays\"":{},"v:\"x/goes\"":{}}},
"f:spec":{"f:template":{"f:spec":{"f:containers":{"k:{\"name\":\"c\"}":{".":{},"f:name":{},"f:livenessProbe":{"f:tcpSocket":{"f:port":{}}},"f:ports":{"k:{\"containerPort\":80,\"protocol\":\"TCP\"}":{".":{},"f:containerPort":{},"f:name":{}}},"f:env":{"k:{\"name\":\"A\"}":{".":{},"f:name":{},"f:value":{}},"k:{\"name\":\"B\"}":{".":{},"f:name":{},"f:value":{}}}}}}}}}`
	live.SetManagedFields([]metav1.ManagedFieldsEntry{
		{Manager: "kubectl", Operation: metav1.ManagedFieldsOperationApply, FieldsV1: metav1.NewFieldsV1(kubectl)},
		{Manager: "fleet-apps", Operation: metav1.ManagedFieldsOperationApply, FieldsV1: metav1.NewFieldsV1(kubectl)},
		{Manager: "kubectl-edit", Operation: metav1.ManagedFieldsOperationUpdate, FieldsV1: metav1.NewFieldsV1(`{"f:metadata":{"f:labels":{"f:others":{}}},"f:spec":{"f:replicas":{}}}`)},
	})
	desired := objects(t, `
apiVersion: apps/v1
kind: Deployment
metadata: {namespace: ns, name: a, labels: {stays: a}, finalizers: [x/stays]}
spec: {template: {spec: {containers: [{name: c, livenessProbe: {httpGet: {port: 80}}, ports: [{containerPort: 80}], env: [{name: A, value: "1"}]}]}}}
`)[0]
	after, err := takenOver(live, desired, "fleet-apps")
	if err != nil {
		t.Fatal(err)
	}
	want := objects(t, `
apiVersion: apps/v1
kind: Deployment
metadata:
  namespace: ns
  name: a
  labels: {stays: a, others: c}
  finalizers: [x/stays]
spec:
  replicas: 3
  progressDeadlineSeconds: 600
  template:
    spec:
      containers:
      - name: c
        livenessProbe: {httpGet: {port: 80}, periodSeconds: 10}
        ports: [{containerPort: 80, protocol: TCP}]
        env: [{name: A, value: "1"}]
`)[0]
	if diff := cmp.Diff(want.Object, after.Object); diff != "" {
		t.Errorf("-want +got\n%s", diff)
	}
	live.SetManagedFields([]metav1.ManagedFieldsEntry{{Manager: "kubectl", Operation: metav1.ManagedFieldsOperationApply, FieldsV1: metav1.NewFieldsV1(`{"x":{}}`)}})
	if _, err := takenOver(live, desired, "fleet-apps"); err == nil {
		t.Error("fields that cannot be read pass for none")
	}
}

func TestExpiry(t *testing.T) {
	now := time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)
	token := func(claims string) string {
		return "head." + base64.RawURLEncoding.EncodeToString([]byte(claims)) + ".signature"
	}
	at := func(d time.Duration) string { return token(fmt.Sprintf(`{"exp":%d}`, now.Add(d).Unix())) }
	for _, tc := range []struct{ name, token, want string }{
		{"none", "", ""},
		{"opaque", "abc", ""},
		{"never ends", token(`{"sub":"x"}`), ""},
		{"broken", "a.!.c", ""},
		{"15 days", at(15 * 24 * time.Hour), ""},
		{"14 days", at(14 * 24 * time.Hour), "the token of this kubeconfig ends on 2026-01-15: make a new one before"},
		{"over", at(-time.Hour), "the token of this kubeconfig ended on 2025-12-31: make a new one"},
	} {
		if got := expiry(&rest.Config{BearerToken: tc.token}, now); got != tc.want {
			t.Errorf("%s: %q, want %q", tc.name, got, tc.want)
		}
	}
}

func TestOutcome(t *testing.T) {
	failed := &FailedError{Release: Record{Number: 3, Status: Failed}, Err: errors.New("x")}
	stopped := &FailedError{Release: Record{Number: 3, Status: Interrupted}, Err: errors.New("x")}
	back := &FailedError{Release: Record{Number: 3, Status: Failed}, Err: errors.New("x"), RolledBack: &Record{Number: 4, RollbackOf: 2}}
	for _, tc := range []struct {
		err    error
		status int
		want   string
	}{
		{nil, ExitDone, ""},
		{errors.New("x"), ExitRefused, ""},
		{refused("no"), ExitRefused, ""},
		{&HeldError{Holder: "x"}, ExitHeld, ""},
		{fmt.Errorf("a: %w", failed), ExitFailed, "release 3 failed: do what the lines above say and deploy again, or -rollback"},
		{stopped, ExitFailed, "release 3 was interrupted: run the same command again"},
		{back, ExitRolledBack, "release 3 failed; release 2 is back, as release 4"},
	} {
		status, last := outcome(tc.err)
		if status != tc.status || !strings.HasPrefix(last, tc.want) || tc.want == "" && last != "" {
			t.Errorf("%v: %d, %q", tc.err, status, last)
		}
	}
}

// TestSummary: a pipeline shows the reason and no log.
func TestSummary(t *testing.T) {
	d := &Deployer{Layer: "apps"}
	r := Record{Number: 3, Revision: "abc", Images: map[string]string{"web": "abc"}, Status: Failed}
	failure := &FailedError{Release: r, Err: &NotReadyError{Objects: []NotReady{{ID: object.ID{Kind: "Deployment", Namespace: "ns", Name: "web"}, State: "0/1", Reasons: []string{"crashes ```", "  | a line of the log"}}}}}
	file := filepath.Join(t.TempDir(), "summary.md")
	if err := os.WriteFile(file, []byte("before\n"), 0o644); err != nil {
		t.Fatal(err)
	}
	for _, err := range []error{nil, failure} {
		if err := appendSummary(file, d, r, err); err != nil {
			t.Fatal(err)
		}
	}
	text, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	const want = "before\n### Release 3 of the layer apps, abc: ready\n\n- web: `abc`\n" +
		"### Release 3 of the layer apps, abc: exit status 3\n\n```\nDeployment ns/web is not ready: 0/1\n  crashes '''\n```\n\nrelease 3 failed: do what the lines above say and deploy again, or -rollback to go back\n- web: `abc`\n"
	if string(text) != want {
		t.Errorf("got\n%s\nwant\n%s", text, want)
	}
	if err := appendSummary(t.TempDir(), d, r, nil); err == nil {
		t.Error("a summary that cannot be written is no error")
	}
}
