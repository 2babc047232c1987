package render_test

import (
	"encoding/json"
	"fmt"
	"io"
	"path/filepath"
	"strconv"
	"testing"

	"sigs.k8s.io/yaml"

	"git.lastcloud.io/ronnibaslund/dezky/fleet/internal/bench/fixture"
	"git.lastcloud.io/ronnibaslund/dezky/fleet/render/object"
)

// BenchmarkRender measures rendering beside other things that can be done to
// the same objects. All start from the same definitions and make the objects
// anew. Rendering uses all cores, what it is compared with uses one, as a loop
// over the objects does: run with -cpu 1 to compare work.
func BenchmarkRender(b *testing.B) {
	for _, n := range []int{4, 100, 1_000, 10_000} {
		tree := fixture.Tree(n)
		_, report, err := tree.Files()
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
				b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N)/float64(report.Objects), "ns/object")
			})
		}
		each := func(use func(o object.Object) error) error {
			return fixture.Each(tree, func(_ string, objects []object.Object) error {
				for _, o := range objects {
					if err := use(o); err != nil {
						return err
					}
				}
				return nil
			})
		}

		run("make", func() error {
			return each(func(object.Object) error { return nil })
		})
		run("json", func() error {
			return each(func(o object.Object) error {
				_, err := json.Marshal(o)
				return err
			})
		})
		run("render-stream", func() error {
			_, err := tree.WriteStream(io.Discard)
			return err
		})
		// A new directory each time: removing the last one would disturb the
		// measurement, on some file systems beyond the removal itself.
		fresh, count := b.TempDir(), 0
		run("render-dir", func() error {
			count++
			_, err := tree.WriteDir(filepath.Join(fresh, strconv.Itoa(count)))
			return err
		})
		written := b.TempDir()
		if _, err := tree.WriteDir(written); err != nil {
			b.Fatal(err)
		}
		run("render-dir-unchanged", func() error {
			report, err := tree.WriteDir(written)
			if len(report.Written) > 0 {
				return fmt.Errorf("wrote %d files though nothing changed", len(report.Written))
			}
			return err
		})
		run("sigs-yaml", func() error {
			return each(func(o object.Object) error {
				_, err := yaml.Marshal(o)
				return err
			})
		})
	}
}
