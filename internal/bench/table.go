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
	fmt.Fprintf(w, "Whole processes on %d cores (%s/%s), the median of several runs: elapsed time, CPU time of all cores, and the most memory held (never told below this program's own). render is into a fresh directory, as is sigs-yaml. keep makes all objects and holds them, check puts them to all rules. kustomize %s, helm %s.\n\n",
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
		wall, cpu, ok := t.part.times(results)
		ofWall, ofCPU, ok2 := t.of.times(results)
		if !ok || !ok2 {
			continue
		}
		fmt.Fprintf(w, "| %s | %.4g | %.3f | %.3f |\n", t, t.most, ratio(wall, ofWall), ratio(cpu, ofCPU))
	}
	for _, name := range []string{nameRender, nameCheck} {
		if r, ok := find(results, name, 10_000); ok && r.peak() > 0 {
			fmt.Fprintf(w, "| memory of %s, 10000 apps | 400 MiB | %s | |\n", name, mebibytes(r.peak()))
		}
	}
}

// part is the time of a contender, less that of another one, which does the
// same but for what is meant. Without one it is the whole time.
type part struct {
	name, less string
	apps       int
}

// times returns the elapsed time and the CPU time, and false where they were
// not measured.
func (p part) times(results []result) (wall, cpu time.Duration, ok bool) {
	r, ok := find(results, p.name, p.apps)
	if !ok || r.over {
		return 0, 0, false
	}
	if p.less == "" {
		return r.wall(), r.cpu(), true
	}
	less, ok := find(results, p.less, p.apps)
	if !ok || less.over || r.wall() <= less.wall() || r.cpu() <= less.cpu() {
		return 0, 0, false
	}
	return r.wall() - less.wall(), r.cpu() - less.cpu(), true
}

func (p part) String() string {
	if p.less == "" {
		return p.name
	}
	return p.name + " without " + p.less
}

// target is a ratio of two times that should not be more than most.
type target struct {
	part, of part
	most     float64
}

var targets = []target{
	{part{nameRender, "", 4}, part{nameMake, "", 4}, 2},
	{part{nameRender, "", 1_000}, part{nameJSON, "", 1_000}, 2.5},
	{part{nameRender, "", 10_000}, part{nameJSON, "", 10_000}, 2.5},
	{part{nameRender, "", 1_000}, part{nameSigs, "", 1_000}, 0.1},
	{part{nameRender, "", 10_000}, part{nameSigs, "", 10_000}, 0.1},
	{part{nameRender, "", 10_000}, part{nameRender, "", 1_000}, 11},
	{part{nameCheck, nameKeep, 1_000}, part{nameJSON, nameMake, 1_000}, 2},
	{part{nameCheck, nameKeep, 10_000}, part{nameJSON, nameMake, 10_000}, 2},
	{part{nameCheck, nameKeep, 10_000}, part{nameCheck, nameKeep, 1_000}, 11},
}

func (t target) String() string {
	if t.part.apps == t.of.apps {
		return fmt.Sprintf("%s / %s, %d apps", t.part, t.of, t.part.apps)
	}
	return fmt.Sprintf("%s, %d apps / %d apps", t.part, t.part.apps, t.of.apps)
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
