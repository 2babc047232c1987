package check_test

import (
	"encoding/json"
	"fmt"
	"testing"

	"git.lastcloud.io/ronnibaslund/dezky/fleet/internal/bench/fixture"
	"git.lastcloud.io/ronnibaslund/dezky/fleet/render/check"
)

// BenchmarkRun measures all rules over typed objects that are there already,
// beside encoding/json of the same objects. Rules run on all cores, json on
// one: run with -cpu 1 to compare work.
func BenchmarkRun(b *testing.B) {
	for _, n := range []int{4, 100, 1_000, 10_000} {
		objects, elsewhere, err := fixture.Objects(fixture.Tree(n))
		if err != nil {
			b.Fatal(err)
		}
		run := func(name string, once func() error) {
			b.Run(fmt.Sprintf("apps=%d/%s", n, name), func(b *testing.B) {
				b.ReportAllocs()
				for b.Loop() {
					if err := once(); err != nil {
						b.Fatal(err)
					}
				}
				b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N)/float64(len(objects)), "ns/object")
			})
		}
		run("json", func() error {
			for _, o := range objects {
				if _, err := json.Marshal(o.Object); err != nil {
					return err
				}
			}
			return nil
		})
		run("check", func() error {
			return check.Run(check.NewSet(objects, elsewhere), check.Rules()).Findings.Err()
		})
	}
}
