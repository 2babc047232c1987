package main

import (
	"bytes"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// TestSameObjects: rendering and sigs.k8s.io/yaml make the objects that
// encoding/json makes, and a difference in one of them is found.
func TestSameObjects(t *testing.T) {
	dir := t.TempDir()
	rendered, sigs := filepath.Join(dir, nameRender), filepath.Join(dir, nameSigs)
	for _, args := range [][]string{{nameMake, "4"}, {nameJSON, "4"}, {nameKeep, "4"}, {nameCheck, "4"}, {nameRender, "4", rendered}, {nameSigs, "4", sigs}} {
		if err := runTask(args, io.Discard); err != nil {
			t.Fatal(err)
		}
	}
	if err := runTask([]string{"compare", "4", rendered, sigs}, io.Discard); err != nil {
		t.Fatal(err)
	}

	file := filepath.Join(rendered, "apps", "app-00001.yaml")
	text, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	for name, change := range map[string]struct{ from, to, want string }{
		"a value":          {"replicas: 2", "replicas: 3", "apps/v1 Deployment bench/app-00001 differs"},
		"a missing object": {"\n---\n", "\n", "v1 ServiceAccount bench/app-00001"},
		"a wrong name":     {"name: app-00001-config\n  namespace", "name: other\n  namespace", "v1 ConfigMap bench/other should not be there"},
	} {
		t.Run(name, func(t *testing.T) {
			changed := bytes.Replace(text, []byte(change.from), []byte(change.to), 1)
			if bytes.Equal(changed, text) {
				t.Fatalf("%s has no %q", file, change.from)
			}
			if err := os.WriteFile(file, changed, 0o644); err != nil {
				t.Fatal(err)
			}
			err := compareObjects(4, []string{rendered})
			if err == nil || !strings.Contains(err.Error(), change.want) {
				t.Errorf("got error %v, want one with %q", err, change.want)
			}
		})
	}
}

// TestInputs: the peers get every app, with the images unpinned for kustomize.
func TestInputs(t *testing.T) {
	dir := t.TempDir()
	if err := writeInputs(4, dir); err != nil {
		t.Fatal(err)
	}
	for path, want := range map[string]string{
		"kustomize/kustomization.yaml":  "- apps/app-00003.yaml\n",
		"kustomize/apps/app-00003.yaml": "image: registry.example.com/bench/operator:latest\n",
		"chart/values.yaml":             "name: app-00003\n",
		"chart/templates/apps.yaml":     "kind: Deployment\n",
	} {
		text, err := os.ReadFile(filepath.Join(dir, path))
		if err != nil {
			t.Error(err)
		} else if !strings.Contains(string(text), want) {
			t.Errorf("%s has no %q", path, want)
		}
	}
}

func TestMedian(t *testing.T) {
	for want, values := range map[time.Duration][]time.Duration{0: nil, 3: {9, 3, 1}, 4: {8, 5, 3, 1}} {
		if got := median(values); got != want {
			t.Errorf("median of %v is %d, want %d", values, got, want)
		}
	}
}

func TestSizes(t *testing.T) {
	if got, err := parseSizes("100, 4,4"); err != nil || len(got) != 2 || got[0] != 4 {
		t.Errorf("got %v, %v", got, err)
	}
	for _, list := range []string{"", "0", "4,x"} {
		if _, err := parseSizes(list); err == nil {
			t.Errorf("%q was taken", list)
		}
	}
}

func TestTables(t *testing.T) {
	once := func(name string, apps int, d time.Duration) result {
		return result{name: name, apps: apps, walls: []time.Duration{d}, cpus: []time.Duration{2 * d}, rss: []int64{30 << 20}}
	}
	var b strings.Builder
	printTables(&b, []result{
		once(nameMake, 4, 10*time.Millisecond), once(nameRender, 4, 15*time.Millisecond),
		once(nameMake, 1000, 100*time.Millisecond), once(nameJSON, 1000, 300*time.Millisecond),
		once(nameKeep, 1000, 150*time.Millisecond), once(nameCheck, 1000, 450*time.Millisecond),
		once(nameRender, 1000, time.Second), {name: nameKustomize, apps: 1000, over: true},
	})
	for _, want := range []string{
		"| make | 10 ms, 20 ms, 30 MiB | 100 ms, 200 ms, 30 MiB |",
		"| kustomize | - | over 90 s |",
		"| kustomize | - | over 90 |",
		"| render / make, 4 apps | 2 | 1.500 | 1.500 |",
		"| check without keep / json without make, 1000 apps | 2 | 1.500 | 1.500 |",
	} {
		if !strings.Contains(b.String(), want) {
			t.Errorf("no %q in\n%s", want, b.String())
		}
	}
}
