package plan_test

import (
	"fmt"
	"testing"

	"git.lastcloud.io/ronnibaslund/dezky/fleet/render/plan"
)

// BenchmarkCompare compares two renderings of that many apps, each of which
// changes, and writes the report. The time for an app stays the same.
func BenchmarkCompare(b *testing.B) {
	for _, apps := range []int{100, 1_000, 10_000} {
		b.Run(fmt.Sprintf("%d apps", apps), func(b *testing.B) {
			side := func(tag string) plan.Rendering {
				files := map[string]string{"apps/middleware.yaml": redirect}
				for i := range apps {
					a := shopApp{name: fmt.Sprintf("app-%05d", i), tag: tag, port: 3000, replicas: 2, env: login("web")}
					a.host = a.name + ".example.com"
					if i > 0 {
						a.calls = []string{fmt.Sprintf("app-%05d", i-1)}
					}
					a.files(files)
				}
				all := make(map[string][]byte)
				for path, text := range files {
					all[path] = []byte(text)
				}
				return plan.Rendering{Files: all}
			}
			was, is := side("v1"), side("v2")
			b.ReportAllocs()
			for b.Loop() {
				r, err := plan.Compare(was, is)
				if err != nil {
					b.Fatal(err)
				}
				if len(r.Consequences) != apps {
					b.Fatalf("%d consequences", len(r.Consequences))
				}
				if r.Markdown(60_000) == "" || r.Text() == "" {
					b.Fatal("no report")
				}
			}
			b.ReportMetric(float64(b.Elapsed().Microseconds())/float64(b.N*apps), "µs/app")
		})
	}
}
