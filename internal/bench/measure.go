package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"slices"
	"strconv"
	"time"
)

// contender is one way to make manifests.
type contender struct {
	name    string
	command []string
	output  output
}

// output is where a contender leaves its manifests.
type output int

const (
	outputNone   output = iota
	outputDir           // a directory, given as the last argument
	outputStream        // standard output, which goes to a file
)

// result is what was measured of a contender with some number of apps.
type result struct {
	name  string
	apps  int
	walls []time.Duration
	cpus  []time.Duration // user and system
	rss   []int64         // bytes, the most at any time; 0 if unknown
	spent time.Duration
	over  bool // the time limit ended it
}

func (r result) wall() time.Duration { return median(r.walls) }
func (r result) cpu() time.Duration  { return median(r.cpus) }
func (r result) peak() int64         { return median(r.rss) }

// median is 0 of nothing.
func median[T ~int64](values []T) T {
	if len(values) == 0 {
		return 0
	}
	sorted := slices.Sorted(slices.Values(values))
	half := len(sorted) / 2
	if len(sorted)%2 == 0 {
		return (sorted[half-1] + sorted[half]) / 2
	}
	return sorted[half]
}

// measure runs the contender once more.
func (r *result) measure(c contender, out string) error {
	ctx, cancel := context.WithTimeout(context.Background(), timeLimit)
	defer cancel()
	args := c.command
	if c.output == outputDir {
		args = append(slices.Clone(args), out)
	}
	cmd := exec.CommandContext(ctx, args[0], args[1:]...)
	var stderr bytes.Buffer
	cmd.Stderr = &stderr
	if c.output == outputStream {
		f, err := os.Create(out)
		if err != nil {
			return err
		}
		defer f.Close()
		cmd.Stdout = f
	}
	start := time.Now()
	err := cmd.Run()
	wall := time.Since(start)
	r.spent += wall
	if errors.Is(ctx.Err(), context.DeadlineExceeded) {
		r.over = true
		return nil
	}
	if err != nil {
		return fmt.Errorf("%s: %w\n%s", c.name, err, stderr.Bytes())
	}
	r.walls = append(r.walls, wall)
	r.cpus = append(r.cpus, cmd.ProcessState.UserTime()+cmd.ProcessState.SystemTime())
	r.rss = append(r.rss, peakRSS(cmd.ProcessState))
	return nil
}

// task runs one of the tasks of this program in a process of its own.
func task(self, name string, apps int, args ...string) error {
	cmd := exec.Command(self, append([]string{taskArg, name, strconv.Itoa(apps)}, args...)...)
	if out, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("%s for %d apps: %w\n%s", name, apps, err, out)
	}
	return nil
}
