package order

import (
	"fmt"
	"strings"
	"testing"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"

	"git.lastcloud.io/ronnibaslund/dezky/fleet/render/manifest"
	"git.lastcloud.io/ronnibaslund/dezky/fleet/render/object"
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

// changesOf pairs what is rendered with what is live.
func changesOf(t *testing.T, rendered, live string) []Change {
	t.Helper()
	now := map[object.ID]*unstructured.Unstructured{}
	for _, o := range objects(t, live) {
		now[object.IDOf(o)] = o
	}
	var all []Change
	for _, o := range objects(t, rendered) {
		id := object.IDOf(o)
		all = append(all, Change{ID: id, Was: now[id], Is: o})
	}
	return all
}

func short(stages []Stage) string {
	var b strings.Builder
	for _, s := range stages {
		fmt.Fprintf(&b, "%s:", s.Name)
		for _, step := range s.Steps {
			fmt.Fprintf(&b, " %s/%s", step.ID.Kind, step.ID.Name)
		}
		b.WriteString("\n")
	}
	return b.String()
}

const whole = `
{kind: Ingress, apiVersion: networking.k8s.io/v1, metadata: {namespace: ns, name: a}}
---
{kind: Middleware, apiVersion: traefik.io/v1alpha1, metadata: {namespace: ns, name: m}}
---
{kind: Deployment, apiVersion: apps/v1, metadata: {namespace: ns, name: a}}
---
{kind: Service, apiVersion: v1, metadata: {namespace: ns, name: a}}
---
{kind: HorizontalPodAutoscaler, apiVersion: autoscaling/v2, metadata: {namespace: ns, name: a}}
---
{kind: PodDisruptionBudget, apiVersion: policy/v1, metadata: {namespace: ns, name: a}}
---
{kind: ConfigMap, apiVersion: v1, metadata: {namespace: ns, name: a}}
---
{kind: ServiceAccount, apiVersion: v1, metadata: {namespace: ns, name: a}}
---
{kind: Namespace, apiVersion: v1, metadata: {name: ns}}
---
{kind: Thing, apiVersion: example.com/v1, metadata: {namespace: ns, name: t}}
---
{kind: CustomResourceDefinition, apiVersion: apiextensions.k8s.io/v1, metadata: {name: things.example.com}}
---
{kind: ValidatingAdmissionPolicy, apiVersion: admissionregistration.k8s.io/v1, metadata: {name: v}}
`

func TestOrder(t *testing.T) {
	const first = `new kinds: CustomResourceDefinition/things.example.com
what pods need: Namespace/ns ServiceAccount/a ConfigMap/a Service/a PodDisruptionBudget/a Thing/t Middleware/m
workloads: Deployment/a HorizontalPodAutoscaler/a
traffic: Ingress/a
what closes: ValidatingAdmissionPolicy/v
`
	if got := short(Of(changesOf(t, whole, ""), nil)); got != first {
		t.Errorf("an empty cluster:\n%s\nwant\n%s", got, first)
	}
	running := strings.NewReplacer(" Service/a", "", " Middleware/m", "", "traffic:", "traffic: Service/a Middleware/m").Replace(first)
	if got := short(Of(changesOf(t, whole, whole), nil)); got != running {
		t.Errorf("a tier that runs:\n%s\nwant\n%s", got, running)
	}
	for _, s := range Of(changesOf(t, whole, ""), nil) {
		if wait := s.Name == "new kinds" || s.Name == "workloads"; s.Wait != wait {
			t.Errorf("%s: wait is %v", s.Name, s.Wait)
		}
	}
}

// TestJobsBefore: a Job that comes before a release has a stage of its own.
func TestJobsBefore(t *testing.T) {
	job := func(name, annotation string) string {
		return "{kind: Job, apiVersion: batch/v1, metadata: {namespace: ns, name: " + name + ", annotations: {" + annotation + "}}}\n---\n"
	}
	stages := short(Of(changesOf(t, job("beside", "")+job("first", "fleet.dezky.eu/before-release: 'true'")+whole, ""), nil))
	if !strings.Contains(stages, "\njobs before the release: Job/first\nworkloads: Deployment/a Job/beside HorizontalPodAutoscaler/a\n") {
		t.Errorf("the order is\n%s", stages)
	}
}

func TestPolicies(t *testing.T) {
	policy := func(spec string) string {
		return "{kind: NetworkPolicy, apiVersion: networking.k8s.io/v1, metadata: {namespace: ns, name: p}, spec: " + spec + "}"
	}
	const web, api = `{podSelector: {matchLabels: {app: web}}}`, `{podSelector: {matchLabels: {app: api}}}`
	spec := func(from string) string {
		return "{podSelector: {matchLabels: {app: db}}, policyTypes: [Ingress], ingress: [" + from + "]}"
	}
	rule := func(peers ...string) string { return "{from: [" + strings.Join(peers, ", ") + "]}" }
	running := map[string][]map[string]string{"ns": {{"app": "db"}}}
	const first, last, both = "what pods need: NetworkPolicy/p\n", "what closes: NetworkPolicy/p\n", "what pods need: NetworkPolicy/p\nwhat closes: NetworkPolicy/p\n"
	other := strings.Replace(policy(spec(rule(web))), "name: p", "name: other", 1)
	for _, tc := range []struct {
		name, now, live string
		pods            map[string][]map[string]string
		want            string
	}{
		{"new, no pod runs", policy(spec(rule(web))), "", nil, first},
		{"new, other pods run", policy(spec(rule(web))), "", map[string][]map[string]string{"ns": {{"app": "x"}}}, first},
		{"new, its pods run", policy(spec(rule(web))), "", running, last},
		{"the same", policy(spec(rule(web))), policy(spec(rule(web))), running, first},
		{"one more peer", policy(spec(rule(web, api))), policy(spec(rule(web))), running, first},
		{"one more rule", policy(spec(rule(web) + ", " + rule(api))), policy(spec(rule(web))), running, first},
		{"everybody", policy(spec("{}")), policy(spec(rule(web))), running, first},
		{"one peer less", policy(spec(rule(web))), policy(spec(rule(web, api))), running, both},
		{"another peer", policy(spec(rule(api))), policy(spec(rule(web))), running, both},
		{"no longer everybody", policy(spec(rule(web))), policy(spec("{}")), running, both},
		{"nobody", policy(spec("")), policy(spec(rule(web))), running, both},
		{"other pods", policy(strings.Replace(spec(rule(web)), "app: db", "app: z", 1)), policy(spec(rule(web))), running, last},
		{"egress too", policy(strings.Replace(spec(rule(web)), "[Ingress]", "[Ingress, Egress]", 1)), policy(spec(rule(web))), running, both},
		{"egress no longer", policy(spec(rule(web))), policy(strings.Replace(spec(rule(web)), "[Ingress]", "[Ingress, Egress]", 1)), running, first},
		{"new, and another of all pods isolates them", strings.Replace(other, "{matchLabels: {app: db}}", "{}", 1) + "\n---\n" + policy(spec(rule(web))), strings.Replace(other, "{matchLabels: {app: db}}", "{}", 1), running, "what pods need: NetworkPolicy/other NetworkPolicy/p\n"},
		{"new, and another isolates others", strings.Replace(other, "app: db", "app: x", 1) + "\n---\n" + policy(spec(rule(web))), strings.Replace(other, "app: db", "app: x", 1), running, "what pods need: NetworkPolicy/other\nwhat closes: NetworkPolicy/p\n"},
		{"new, of pods with another label too", policy(strings.Replace(spec(rule(web)), "app: db", "app: db, zone: a", 1)), "", running, first},
		{"new, and another isolates pods with another label too", strings.Replace(other, "app: db", "app: db, zone: a", 1) + "\n---\n" + policy(spec(rule(web))), strings.Replace(other, "app: db", "app: db, zone: a", 1), running, "what pods need: NetworkPolicy/other\nwhat closes: NetworkPolicy/p\n"},
		{"new, of all pods", policy(strings.Replace(spec(rule(web)), "{matchLabels: {app: db}}", "{}", 1)), "", running, last},
		{"new, with a selector that cannot be read", policy(strings.Replace(spec(rule(web)), "{matchLabels: {app: db}}", "{matchLabels: {app: z}, matchExpressions: [{key: app, operator: Is}]}", 1)), "", running, last},
		{"new, and another isolates the pods", other + "\n---\n" + policy(spec(rule(web))), other, running, "what pods need: NetworkPolicy/other NetworkPolicy/p\n"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			if got := short(Of(changesOf(t, tc.now, tc.live), tc.pods)); got != tc.want {
				t.Errorf("got\n%swant\n%s", got, tc.want)
			}
		})
	}

	// The same for the other direction.
	egress := func(peer string) string {
		return policy("{podSelector: {}, policyTypes: [Egress], egress: [{to: [" + peer + "], ports: [{port: 1}]}, {to: [], ports: [{port: 53}]}]}")
	}
	out := Of(changesOf(t, egress(api), egress(web)), running)
	if got := short(out); got != both {
		t.Fatalf("another egress:\n%s", got)
	}
	if text := fmt.Sprint(out[0].Steps[0].Object.Object); !strings.Contains(text, "app:web") || !strings.Contains(text, "app:api") || strings.Count(text, "port:53") != 1 {
		t.Errorf("both egresses: %s", text)
	}
	if got := short(Of(changesOf(t, egress(web), egress(web)), running)); got != first {
		t.Errorf("the same egress:\n%s", got)
	}

	// What is applied first has the old rules beside the new, and no status or
	// time of its own.
	stages := Of(changesOf(t, policy(spec(rule(api))), policy(spec(rule(web)))), running)
	text := fmt.Sprint(stages[0].Steps[0].Object.Object)
	if !strings.Contains(text, "app:web") || !strings.Contains(text, "app:api") || strings.Contains(text, "creationTimestamp") || strings.Contains(text, "status") {
		t.Errorf("both at once: %s", text)
	}
	if text := fmt.Sprint(stages[1].Steps[0].Object.Object); strings.Contains(text, "app:web") {
		t.Errorf("at the end: %s", text)
	}
}

// TestGoing: what goes is deleted last, what sends traffic before what answers
// it, and what pods need after them.
func TestGoing(t *testing.T) {
	changes := changesOf(t, whole, "")
	for i := range changes {
		changes[i].Was, changes[i].Is = changes[i].Is, nil
	}
	const want = "what goes: Ingress/a Middleware/m HorizontalPodAutoscaler/a Thing/t ValidatingAdmissionPolicy/v Deployment/a PodDisruptionBudget/a Service/a ConfigMap/a ServiceAccount/a CustomResourceDefinition/things.example.com Namespace/ns\n"
	if got := short(Of(changes, nil)); got != want {
		t.Errorf("got\n%swant\n%s", got, want)
	}
}

// text numbers the stages as a plan does.
func text(stages []Stage) string {
	var b strings.Builder
	for i, s := range stages {
		fmt.Fprintf(&b, "%d. %s\n", i+1, s)
	}
	return b.String()
}

func TestString(t *testing.T) {
	changes := changesOf(t, whole, "")
	changes[0].Was, changes[0].Is = changes[0].Is, nil
	changes[1].Was = changes[1].Is // the Middleware runs
	const want = `1. apply CustomResourceDefinition things.example.com (new kinds), and wait until they are ready
2. apply Namespace ns, ServiceAccount ns/a, ConfigMap ns/a, Service ns/a [new: nobody sends it traffic yet], PodDisruptionBudget ns/a, Thing ns/t (what pods need)
3. apply Deployment ns/a, HorizontalPodAutoscaler ns/a (workloads), and wait until they are ready
4. apply Middleware ns/m (traffic)
5. apply ValidatingAdmissionPolicy v (what closes)
6. delete Ingress ns/a (what goes)
`
	if got := text(Of(changes, nil)); got != want {
		t.Errorf("got\n%swant\n%s", got, want)
	}
	many := "{kind: Service, apiVersion: v1, metadata: {namespace: ns, name: z}}\n---\n{kind: ConfigMap, apiVersion: v1, metadata: {namespace: ns, name: z}}\n---\n"
	if got := text(Of(changesOf(t, many+whole, ""), nil)); !strings.Contains(got, "2. apply 1 Namespace, 1 ServiceAccount, 2 ConfigMap, 2 Service, 1 PodDisruptionBudget, 1 Thing, 1 Middleware (what pods need)\n") {
		t.Errorf("many objects:\n%s", got)
	}
}
