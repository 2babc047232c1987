package check_test

import (
	"encoding/json"
	"fmt"
	"testing"

	"git.lastcloud.io/ronnibaslund/dezky/fleet/internal/bench/fixture"
	"git.lastcloud.io/ronnibaslund/dezky/fleet/render/check"
	"git.lastcloud.io/ronnibaslund/dezky/fleet/render/object"
)

// BenchmarkRun measures all rules over typed objects that are there already,
// beside encoding/json of the same objects. Rules run on all cores, json on
// one: run with -cpu 1 to compare work.
func BenchmarkRun(b *testing.B) {
	for _, n := range []int{4, 100, 1_000, 10_000} {
		tree := fixture.Tree(n)
		var objects []*check.Object
		err := fixture.Each(tree, func(file string, made []object.Object) error {
			for _, o := range made {
				objects = append(objects, &check.Object{Object: o, Layer: "apps", File: file})
			}
			return nil
		})
		if err != nil {
			b.Fatal(err)
		}
		var elsewhere []*check.Elsewhere
		for _, s := range tree.Secrets {
			e := &check.Elsewhere{ID: object.ID{Kind: "Secret", Namespace: s.Namespace, Name: s.Name}, Contract: true, Keys: []string{}}
			for _, k := range s.Keys {
				e.Keys = append(e.Keys, k.Name)
			}
			elsewhere = append(elsewhere, e)
		}
		for i := range tree.Elsewhere {
			elsewhere = append(elsewhere, &tree.Elsewhere[i])
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
