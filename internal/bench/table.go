package main

import (
	"fmt"
	"io"
	"runtime"
	"slices"
	"strings"
	"time"
)

// printTables prints times, ratios and targets as Markdown.
func printTables(w io.Writer, results []result) {
	var names []string
	var sizes []int
	for _, r := range results {
		if !slices.Contains(names, r.name) {
			names = append(names, r.name)
		}
		if !slices.Contains(sizes, r.apps) {
			sizes = append(sizes, r.apps)
		}
	}
	fmt.Fprintf(w, "Whole processes on %d cores (%s/%s), the median of several runs: elapsed time, CPU time of all cores, and the most memory held (never told below this program's own). render is into a fresh directory, as is sigs-yaml. kustomize %s, helm %s.\n\n",
		runtime.NumCPU(), runtime.GOOS, runtime.GOARCH, kustomizeVersion, helmVersion)
	header(w, sizes, "apps")
	for _, name := range names {
		row(w, name, sizes, func(n int) string {
			r, ok := find(results, name, n)
			switch {
			case !ok:
				return "-"
			case r.over:
				return fmt.Sprintf("over %.0f s", timeLimit.Seconds())
			}
			return fmt.Sprintf("%s, %s, %s", duration(r.wall()), duration(r.cpu()), mebibytes(r.peak()))
		})
	}

	fmt.Fprintf(w, "\nThe same as multiples of render: elapsed, CPU.\n\n")
	header(w, sizes, "apps")
	for _, name := range names {
		if name == nameRender {
			continue
		}
		row(w, name, sizes, func(n int) string {
			r, ok := find(results, name, n)
			base, _ := find(results, nameRender, n)
			switch {
			case !ok || base.wall() == 0 || base.cpu() == 0:
				return "-"
			case r.over:
				return fmt.Sprintf("over %.0f", float64(timeLimit)/float64(base.wall()))
			}
			return fmt.Sprintf("%.2f, %.2f", ratio(r.wall(), base.wall()), ratio(r.cpu(), base.cpu()))
		})
	}

	fmt.Fprintf(w, "\n| target | at most | elapsed | CPU |\n|---|---|---|---|\n")
	for _, t := range targets {
		over, ok := find(results, t.name, t.apps)
		under, ok2 := find(results, t.of, t.ofApps)
		if !ok || !ok2 || over.over || under.over {
			continue
		}
		fmt.Fprintf(w, "| %s | %.4g | %.3f | %.3f |\n", t, t.most, ratio(over.wall(), under.wall()), ratio(over.cpu(), under.cpu()))
	}
	if r, ok := find(results, nameRender, 10_000); ok && r.peak() > 0 {
		fmt.Fprintf(w, "| memory of render, 10000 apps | 256 MiB | %s | |\n", mebibytes(r.peak()))
	}
}

// target is a ratio of two times that should not be more than most.
type target struct {
	name   string
	apps   int
	of     string
	ofApps int
	most   float64
}

var targets = []target{
	{nameRender, 4, nameMake, 4, 2},
	{nameRender, 1_000, nameJSON, 1_000, 2.5},
	{nameRender, 10_000, nameJSON, 10_000, 2.5},
	{nameRender, 1_000, nameSigs, 1_000, 0.1},
	{nameRender, 10_000, nameSigs, 10_000, 0.1},
	{nameRender, 10_000, nameRender, 1_000, 11},
}

func (t target) String() string {
	if t.apps == t.ofApps {
		return fmt.Sprintf("%s / %s, %d apps", t.name, t.of, t.apps)
	}
	return fmt.Sprintf("%s, %d apps / %d apps", t.name, t.apps, t.ofApps)
}

func find(results []result, name string, apps int) (result, bool) {
	i := slices.IndexFunc(results, func(r result) bool { return r.name == name && r.apps == apps })
	if i < 0 {
		return result{}, false
	}
	return results[i], true
}

func ratio(a, b time.Duration) float64 { return float64(a) / float64(b) }

func header(w io.Writer, sizes []int, first string) {
	fmt.Fprintf(w, "| %s |", first)
	for _, n := range sizes {
		fmt.Fprintf(w, " %d |", n)
	}
	fmt.Fprintf(w, "\n|---|%s\n", strings.Repeat("---|", len(sizes)))
}

func row(w io.Writer, name string, sizes []int, cell func(n int) string) {
	fmt.Fprintf(w, "| %s |", name)
	for _, n := range sizes {
		fmt.Fprintf(w, " %s |", cell(n))
	}
	fmt.Fprintln(w)
}

func duration(d time.Duration) string {
	if d < time.Second {
		return fmt.Sprintf("%.3g ms", float64(d)/float64(time.Millisecond))
	}
	return fmt.Sprintf("%.3g s", d.Seconds())
}

func mebibytes(n int64) string {
	if n == 0 {
		return "-"
	}
	return fmt.Sprintf("%d MiB", n>>20)
}
