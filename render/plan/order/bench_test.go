package order

import (
	"fmt"
	"strings"
	"testing"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"

	"git.lastcloud.io/ronnibaslund/dezky/fleet/render/object"
)

// BenchmarkOf orders a new NetworkPolicy for each of that many apps of one
// namespace, whose pods another one isolates already. The time for an app stays
// the same.
func BenchmarkOf(b *testing.B) {
	for _, apps := range []int{100, 1_000, 10_000} {
		b.Run(fmt.Sprintf("%d apps", apps), func(b *testing.B) {
			var changes []Change
			pods := make(map[string][]map[string]string)
			for i := range apps {
				app := fmt.Sprintf("app-%05d", i)
				policy := func(name string) *unstructured.Unstructured {
					return &unstructured.Unstructured{Object: map[string]any{
						"apiVersion": "networking.k8s.io/v1", "kind": "NetworkPolicy",
						"metadata": map[string]any{"name": name, "namespace": "shop"},
						"spec":     map[string]any{"podSelector": map[string]any{"matchLabels": map[string]any{"app": app, "part": "shop"}}},
					}}
				}
				live, comes := policy(app), policy(app+"-new")
				changes = append(changes, Change{ID: object.IDOf(live), Was: live, Is: live}, Change{ID: object.IDOf(comes), Is: comes})
				pods["shop"] = append(pods["shop"], map[string]string{"app": app, "part": "shop"})
			}
			for b.Loop() {
				if got := text(Of(changes, pods)); strings.Contains(got, "what closes") {
					b.Fatal(got)
				}
			}
			b.ReportMetric(float64(b.Elapsed().Microseconds())/float64(b.N*apps), "µs/app")
		})
	}
}
