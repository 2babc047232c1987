package render_test

import (
	"slices"
	"strings"
	"testing"

	appsv1 "k8s.io/api/apps/v1"
	autoscalingv2 "k8s.io/api/autoscaling/v2"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"git.lastcloud.io/ronnibaslund/dezky/fleet/render"
	"git.lastcloud.io/ronnibaslund/dezky/fleet/render/object"
)

// guaranteed is a component that guarantees something of its Deployment.
type guaranteed struct {
	d *appsv1.Deployment
	g object.Guarantee
}

func (c guaranteed) Objects() ([]object.Object, error) { return []object.Object{c.d}, nil }
func (c guaranteed) About() object.About               { return object.About{Guarantees: []object.Guarantee{c.g}} }

func autoscaler(name string, most int32) *autoscalingv2.HorizontalPodAutoscaler {
	return &autoscalingv2.HorizontalPodAutoscaler{
		TypeMeta:   metav1.TypeMeta{APIVersion: "autoscaling/v2", Kind: "HorizontalPodAutoscaler"},
		ObjectMeta: metav1.ObjectMeta{Namespace: "ns", Name: name},
		Spec: autoscalingv2.HorizontalPodAutoscalerSpec{
			ScaleTargetRef: autoscalingv2.CrossVersionObjectReference{APIVersion: "apps/v1", Kind: "Deployment", Name: name},
			MaxReplicas:    most,
		},
	}
}

// TestGuarantees: what a component guarantees holds on the final objects, also
// against what another component adds.
func TestGuarantees(t *testing.T) {
	const why = "sessions are in the memory of one pod"
	id := object.ID{Group: "apps", Kind: "Deployment", Namespace: "ns", Name: "app"}
	for _, tc := range []struct {
		name     string
		g        object.Guarantee
		replicas *int32
		more     []object.Object
		want     string // empty: good
	}{
		{"one pod", object.Guarantee{Of: id, OnePod: why, Replicas: true}, new(int32(1)), nil, ""},
		{"two pods", object.Guarantee{Of: id, OnePod: why}, new(int32(2)), nil, "apps/app.yaml: Deployment ns/app: spec.replicas: 2: " + why},
		{"an autoscaler that was typed out", object.Guarantee{Of: id, OnePod: why}, nil, []object.Object{autoscaler("app", 2)},
			"apps/more.yaml: HorizontalPodAutoscaler ns/app: spec.maxReplicas: 2: lets Deployment ns/app have more than one pod: " + why},
		{"an autoscaler that stays at one", object.Guarantee{Of: id, OnePod: why}, nil, []object.Object{autoscaler("app", 1)}, ""},
		{"an autoscaler of another", object.Guarantee{Of: id, OnePod: why}, new(int32(1)), []object.Object{autoscaler("web", 3)}, ""},
		{"no number", object.Guarantee{Of: id, Replicas: true}, nil, nil, "Deployment ns/app: spec.replicas: is empty: without a number in the manifest a scaling by hand stays"},
		{"the autoscaler's number", object.Guarantee{Of: id, Replicas: true}, nil, []object.Object{autoscaler("app", 3)}, ""},
		{"a variable", object.Guarantee{Of: id, Env: []string{"ISSUER"}}, new(int32(1)), nil, ""},
		{"a variable that is gone", object.Guarantee{Of: id, Env: []string{"ISSUER", "GONE"}}, new(int32(1)), nil, "Deployment ns/app: spec.template.spec.containers: the variable GONE is gone, which the sign-in needs"},
		{"of another object", object.Guarantee{Of: object.ID{Group: "apps", Kind: "Deployment", Namespace: "ns", Name: "other"}, OnePod: why}, new(int32(2)), nil, "apps/app.yaml: Deployment ns/other: component 0 (render_test.guaranteed) guarantees something of it, and does not make it"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			d := deployment()
			d.Name = "app"
			d.Spec.Selector.MatchLabels = map[string]string{"app": "app"}
			d.Spec.Template.Labels = d.Spec.Selector.MatchLabels
			d.Spec.Replicas = tc.replicas
			d.Spec.Template.Spec.Containers[0].Env = append(d.Spec.Template.Spec.Containers[0].Env, corev1.EnvVar{Name: "ISSUER", Value: "https://auth.example.com/"})
			tr := tree(tc.more...)
			tr.Layers[1].Files = append(tr.Layers[1].Files, render.File{Name: "app", Components: []object.Component{guaranteed{d, tc.g}}})
			_, report, err := tr.Files()
			switch {
			case tc.want == "" && err != nil:
				t.Error(err)
			case tc.want != "" && (err == nil || !strings.Contains(err.Error(), tc.want) || strings.Contains(err.Error(), "\n")):
				t.Errorf("the error is %v, want %s", err, tc.want)
			}
			if slices.ContainsFunc(report.Notes, func(n string) bool { return strings.Contains(n, "decides: each apply") }) {
				t.Error("no number stands twice")
			}
		})
	}
}
