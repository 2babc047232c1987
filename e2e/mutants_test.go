package e2e

import (
	"context"
	"fmt"
	"os"
	"regexp"
	"slices"
	"strings"
	"sync"
	"testing"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/client-go/discovery"
	"k8s.io/client-go/discovery/cached/memory"
	"k8s.io/client-go/dynamic"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/restmapper"
	"sigs.k8s.io/yaml"

	"git.lastcloud.io/ronnibaslund/dezky/fleet/apps"
	"git.lastcloud.io/ronnibaslund/dezky/fleet/internal/crd"
	"git.lastcloud.io/ronnibaslund/dezky/fleet/internal/mutant"
	"git.lastcloud.io/ronnibaslund/dezky/fleet/render/check"
	"git.lastcloud.io/ronnibaslund/dezky/fleet/render/check/report"
)

// disagreement says where the checks and the API server may differ, and why.
type disagreement struct {
	// Refused reports that the API server refuses what is no error of the
	// checks; else it takes what the checks say it refuses.
	Refused bool
	// Change and Field as in internal/mutant; a star stands for any text.
	Change, Field string
	Reason        string

	pattern *regexp.Regexp
	used    bool
}

// TestMutants sends the mutants of internal/mutant to the API server, in a dry
// run: what it refuses is an error of cmd/check, and what cmd/check says that
// it refuses, it does. Where they differ, testdata/disagreements.yaml has the
// reason.
func TestMutants(t *testing.T) {
	t.Parallel()
	text, err := os.ReadFile("testdata/disagreements.yaml")
	if err != nil {
		t.Fatal(err)
	}
	var reasons []*disagreement
	if err := yaml.UnmarshalStrict(text, &reasons); err != nil {
		t.Fatal(err)
	}
	for _, r := range reasons {
		r.pattern = regexp.MustCompile("^" + strings.ReplaceAll(regexp.QuoteMeta(r.Change+" "+r.Field), `\*`, `.*`) + "$")
	}
	server := newServer(t)
	clusters, err := mutant.Clusters("..", t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	command := report.Command{Name: "check", Elsewhere: apps.Elsewhere()}
	var mu sync.Mutex
	sent, refused, found := 0, 0, 0
	for cluster, list := range mutant.Pick(clusters) {
		namespaces := make(map[string]bool)
		for _, m := range list {
			if ns := m.Object.Namespace; ns != "" && !namespaces[ns] {
				namespaces[ns] = true
				server.c.try(nil, "create", "namespace", ns) // another cluster may have it
			}
		}
		list = slices.DeleteFunc(list, func(m mutant.Placed) bool { return len(m.Broken) != 1 })
		err := cluster.Each(command, t.TempDir(), list, func(m mutant.Placed, findings []mutant.Finding) {
			said := server.refusal(m.Broken[0])
			mu.Lock()
			defer mu.Unlock()
			sent++
			if said != "" {
				refused++
				if mutant.Worst(findings) == "error" {
					found++
				}
			}
			differ(t, m, findings, said, reasons)
		})
		if err != nil {
			t.Fatal(err)
		}
	}
	for _, r := range reasons {
		if !r.used {
			t.Errorf("testdata/disagreements.yaml: %s %s: they agree by now: take it out", r.Change, r.Field)
		}
	}
	t.Logf("%d mutants: the API server refuses %d, and the checks found %d of these", sent, refused, found)
}

// differ reports where the checks and the API server disagree without a
// reason.
func differ(t *testing.T, m mutant.Placed, findings []mutant.Finding, said string, reasons []*disagreement) {
	t.Helper()
	missed := said != "" && mutant.Worst(findings) != "error"
	// Of an object that is refused, other rules may find the same and more.
	claimed := said == "" && slices.ContainsFunc(findings, func(f mutant.Finding) bool { return refusing[f.Rule] })
	if !missed && !claimed {
		return
	}
	for _, r := range reasons {
		if r.Refused == missed && r.pattern.MatchString(m.Change+" "+m.Field) {
			r.used = true
			return
		}
	}
	if missed {
		t.Errorf("the API server refuses it, and it is no error: %s %s\n\t%s\n\t%s\n\t%v", m.Change, m.Field, m, said, findings)
		return
	}
	t.Errorf("the checks say that the API server refuses it, and it does not: %s %s\n\t%s\n\t%v", m.Change, m.Field, m, findings)
}

// refusing are the rules that say of themselves that the API server refuses.
var refusing = func() map[string]bool {
	rules := make(map[string]bool)
	for _, r := range check.Rules() {
		if strings.Contains(r.Doc, "API server refuse") {
			rules[r.ID] = true
		}
	}
	return rules
}()

// server is an API server with the kinds of Traefik and cert-manager.
type server struct {
	c      cluster
	client dynamic.Interface
	mapper meta.RESTMapper
}

func newServer(t *testing.T) server {
	t.Helper()
	c := start(t)
	files, err := crd.Files()
	if err != nil {
		t.Fatal(err)
	}
	for _, file := range files {
		c.kubectl("apply", "--server-side", "-f", file)
	}
	c.kubectl("wait", "--for=condition=Established", "--all", "--timeout=60s", "customresourcedefinitions")
	config := &rest.Config{Host: c.url, BearerToken: "admin", TLSClientConfig: rest.TLSClientConfig{Insecure: true}, QPS: -1}
	client, err := dynamic.NewForConfig(config)
	if err != nil {
		t.Fatal(err)
	}
	resources, err := discovery.NewDiscoveryClientForConfig(config)
	if err != nil {
		t.Fatal(err)
	}
	return server{c, client, restmapper.NewDeferredDiscoveryRESTMapper(memory.NewMemCacheClient(resources))}
}

// refusal says why the API server refuses an object, made as kubectl create or
// by server-side apply, as deploy does it. It is empty where it takes it.
func (s server) refusal(o *unstructured.Unstructured) string {
	kind := o.GroupVersionKind()
	mapping, err := s.mapper.RESTMapping(kind.GroupKind(), kind.Version)
	if err != nil {
		return err.Error()
	}
	resource := s.client.Resource(mapping.Resource)
	of := dynamic.ResourceInterface(resource)
	if mapping.Scope.Name() == meta.RESTScopeNameNamespace {
		namespace := o.GetNamespace()
		if namespace == "" {
			namespace = metav1.NamespaceDefault // as kubectl does it
		}
		of = resource.Namespace(namespace)
	}
	dry := []string{metav1.DryRunAll}
	_, err = of.Create(context.Background(), o.DeepCopy(), metav1.CreateOptions{DryRun: dry, FieldValidation: metav1.FieldValidationStrict})
	if err == nil || apierrors.IsAlreadyExists(err) { // which comes after all checks
		_, err = of.Apply(context.Background(), o.GetName(), o.DeepCopy(), metav1.ApplyOptions{DryRun: dry, FieldManager: "e2e", Force: true})
	}
	if err != nil {
		return fmt.Sprint(err)
	}
	return ""
}
