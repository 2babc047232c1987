// Command bench compares rendering with other ways to get the same manifests,
// as whole processes: encoding/json and sigs.k8s.io/yaml on the same objects,
// kustomize and helm. It builds the two at pinned versions, in the user's cache
// directory, checks that all make the same objects, and prints times and ratios.
//
//	go run ./internal/bench [-n 4,100,1000,10000] [-runs 5] [-peers=false]
//
// Its exit status is 1 if something fails or the objects differ, and never for
// a time. TMPDIR says where files are written; a tmpfs takes the disk out of
// the measurement.
package main

import (
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"
)

const (
	// peerLimit is the most apps that kustomize and helm are given.
	peerLimit = 1_000
	// compareLimit is the most apps whose objects are compared: reading the
	// YAML of more takes longer than everything else.
	compareLimit = 1_000
	// timeLimit ends a process that takes too long.
	timeLimit = 90 * time.Second
	// budget is how long one size of one contender is measured; it runs once at
	// least.
	budget = 15 * time.Second
)

func main() {
	run := compare
	if len(os.Args) > 1 && os.Args[1] == taskArg {
		run = func(args []string, stdout io.Writer) error { return runTask(args[1:], stdout) }
	}
	if err := run(os.Args[1:], os.Stdout); err != nil && !errors.Is(err, flag.ErrHelp) {
		fmt.Fprintf(os.Stderr, "bench: %v\n", err)
		os.Exit(1)
	}
}

// compare measures, and prints the tables. It makes no object itself: on Linux,
// what is told of the memory of a new process is never less than what the
// starting one holds, so all that takes memory is in a process of its own.
func compare(args []string, stdout io.Writer) error {
	flags := flag.NewFlagSet("bench", flag.ContinueOnError)
	list := flags.String("n", "4,100,1000,10000", "numbers of `apps`")
	runs := flags.Int("runs", 5, "how often each is run; four times as often up to 100 apps, less often what takes long")
	peers := flags.Bool("peers", true, "build and measure kustomize and helm")
	if err := flags.Parse(args); err != nil {
		return err
	}
	sizes, err := parseSizes(*list)
	if err != nil {
		return err
	}
	self, err := os.Executable()
	if err != nil {
		return err
	}
	var kustomize, helm string
	if *peers {
		if kustomize, err = build("kustomize", kustomizePackage, kustomizeVersion); err != nil {
			return err
		}
		if helm, err = build("helm", helmPackage, helmVersion); err != nil {
			return err
		}
	}
	work, err := os.MkdirTemp("", "bench-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(work)

	var results []result
	for _, n := range sizes {
		dir := filepath.Join(work, strconv.Itoa(n))
		measured, err := measureSize(self, kustomize, helm, dir, n, *runs)
		if err != nil {
			return err
		}
		results = append(results, measured...)
	}
	printTables(stdout, results)
	return nil
}

func parseSizes(list string) ([]int, error) {
	var sizes []int
	for s := range strings.SplitSeq(list, ",") {
		n, err := strconv.Atoi(strings.TrimSpace(s))
		if err != nil || n < 1 {
			return nil, fmt.Errorf("-n %s: %q is no number of apps", list, s)
		}
		sizes = append(sizes, n)
	}
	slices.Sort(sizes)
	return slices.Compact(sizes), nil
}

// measureSize measures all contenders on n apps. Files go to dir, which is not
// there yet.
func measureSize(self, kustomize, helm, dir string, n, runs int) ([]result, error) {
	if n <= 100 {
		runs *= 4
	}
	progress("%d apps: making the inputs", n)
	inputs := filepath.Join(dir, "inputs")
	if err := task(self, "inputs", n, inputs); err != nil {
		return nil, err
	}
	unchanged := filepath.Join(dir, "unchanged")
	if err := task(self, nameRender, n, unchanged); err != nil {
		return nil, err
	}
	own := func(name string, args ...string) contender {
		return contender{name: name, command: append([]string{self, taskArg, name, strconv.Itoa(n)}, args...)}
	}
	again := own(nameRender, unchanged)
	again.name = nameUnchanged
	fresh, sigs := own(nameRender), own(nameSigs)
	fresh.output, sigs.output = outputDir, outputDir
	contenders := []contender{own(nameMake), own(nameJSON), own(nameKeep), own(nameCheck), fresh, again, sigs}
	if kustomize != "" && n <= peerLimit {
		contenders = append(contenders,
			contender{name: nameKustomize, output: outputStream, command: []string{kustomize, "build", filepath.Join(inputs, "kustomize")}},
			contender{name: nameHelm, output: outputStream, command: []string{helm, "template", "bench", filepath.Join(inputs, "chart")}},
		)
	}

	// In turns, so that what disturbs the machine disturbs all alike.
	results := make([]result, len(contenders))
	for run := range runs {
		for i, c := range contenders {
			r := &results[i]
			r.name, r.apps = c.name, n
			if r.over || run > 0 && r.spent > budget {
				continue
			}
			progress("%d apps: %s, run %d of %d", n, c.name, run+1, runs)
			// A new directory each time: some file systems are slow to
			// make files where others were just removed.
			out := filepath.Join(dir, fmt.Sprintf("%s-%d", c.name, run))
			if err := r.measure(c, out); err != nil {
				return nil, err
			}
		}
	}
	progress("")
	if n > compareLimit {
		return results, nil
	}
	args := []string{filepath.Join(dir, "unchanged")}
	for i, c := range contenders {
		if c.output != outputNone && !results[i].over {
			args = append(args, filepath.Join(dir, c.name+"-0"))
		}
	}
	progress("%d apps: comparing the objects", n)
	defer progress("")
	return results, task(self, "compare", n, args...)
}

// progress shows what is being done, on one line that is written over.
func progress(format string, args ...any) {
	fmt.Fprintf(os.Stderr, "\r\x1b[K"+format, args...)
}
