package check

import (
	"fmt"
	"maps"
	"slices"
	"strings"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"

	"git.lastcloud.io/ronnibaslund/dezky/fleet/render/object"
)

// What nobody means: a program does not run in less memory, and a container
// does not ask for more cores.
const (
	leastMemory = 4 << 20
	mostCores   = 32
	leastVolume = 1 << 20
)

func resourceRules() []Rule {
	return []Rule{{
		ID:     "resources",
		Doc:    "The API server refuses a request above its limit, a negative quantity, and a resource that it does not know, such as mem. A container whose limit of memory is below 4 MiB does not start: 128m of memory is an eighth of a byte.",
		Source: "Kubernetes documentation, 'Resource Management for Pods and Containers', Resource units in Kubernetes",
		Alone:  true,
		Run: func(p *Pass) {
			eachResources(p, func(o *Object, at func(string) string, r *corev1.ResourceRequirements) {
				for _, list := range [...]struct {
					name string
					list corev1.ResourceList
				}{{"requests", r.Requests}, {"limits", r.Limits}} {
					for _, name := range slices.Sorted(maps.Keys(list.list)) {
						q := list.list[name]
						field := func() string { return at(list.name + "[" + string(name) + "]") }
						switch {
						case !knownResource(string(name)):
							p.Report(o, field(), "there is no such resource", "it is cpu, memory or ephemeral-storage, or has a domain before it, as nvidia.com/gpu")
						case q.Sign() < 0:
							p.Report(o, field(), q.String()+": must not be negative", "")
						case name == corev1.ResourceMemory && list.name == "limits" && q.Sign() > 0 && q.CmpInt64(leastMemory) < 0:
							p.Report(o, field(), q.String()+" is "+bytes(q)+": nothing runs in that", "memory is written as 128Mi")
						}
						if list.name == "requests" {
							if limit, ok := r.Limits[name]; ok && q.Cmp(limit) > 0 {
								p.Report(o, field(), q.String()+" is more than the limit, "+limit.String(), "a request is no more than the limit")
							}
						}
					}
				}
			})
		},
	}, {
		ID:       "quantity",
		Severity: object.Warning,
		Doc:      "A quantity in the wrong unit: 100 of CPU are 100 cores, and no node has them; 128m of memory is an eighth of a byte, and the scheduler counts nothing; a volume of 1m holds nothing.",
		Source:   "Kubernetes documentation, 'Resource Management for Pods and Containers', Resource units in Kubernetes",
		Alone:    true,
		Run: func(p *Pass) {
			eachResources(p, func(o *Object, at func(string) string, r *corev1.ResourceRequirements) {
				if q, ok := r.Requests[corev1.ResourceMemory]; ok && q.Sign() > 0 && q.CmpInt64(leastMemory) < 0 {
					p.Report(o, at("requests[memory]"), q.String()+" is "+bytes(q), "memory is written as 128Mi")
				}
				for _, list := range [...]struct {
					name string
					list corev1.ResourceList
				}{{"requests", r.Requests}, {"limits", r.Limits}} {
					if q, ok := list.list[corev1.ResourceCPU]; ok && q.CmpInt64(mostCores) >= 0 {
						p.Report(o, at(list.name+"[cpu]"), q.String()+" means "+q.String()+" cores", "a tenth of a core is written as 100m")
					}
				}
			})
			volume := func(o *Object, field string, q *resource.Quantity) {
				if q != nil && q.Sign() > 0 && q.CmpInt64(leastVolume) < 0 {
					p.Report(o, field, q.String()+" is "+bytes(*q), "the size of a volume is written as 1Gi")
				}
			}
			p.eachPods(func(pods *pods) {
				for i := range pods.spec.Volumes {
					if v := &pods.spec.Volumes[i]; v.EmptyDir != nil {
						volume(pods.of, pods.at+".volumes["+v.Name+"].emptyDir.sizeLimit", v.EmptyDir.SizeLimit)
					}
				}
			})
			each(p, "", "PersistentVolumeClaim", func(p *Pass, o *Object, c *corev1.PersistentVolumeClaim) {
				volume(o, "spec.resources.requests[storage]", c.Spec.Resources.Requests.Storage())
			})
			each(p, "apps", "StatefulSet", func(p *Pass, o *Object, s *appsv1.StatefulSet) {
				for i := range s.Spec.VolumeClaimTemplates {
					c := &s.Spec.VolumeClaimTemplates[i]
					volume(o, "spec.volumeClaimTemplates["+c.Name+"].spec.resources.requests[storage]", c.Spec.Resources.Requests.Storage())
				}
			})
		},
	}}
}

// eachResources calls do for the resources of each container and of each pod.
func eachResources(p *Pass, do func(o *Object, at func(string) string, r *corev1.ResourceRequirements)) {
	p.eachPods(func(pods *pods) {
		pods.eachContainer(func(list string, c *corev1.Container) {
			do(pods.of, func(field string) string { return pods.at + "." + list + "[" + c.Name + "].resources." + field }, &c.Resources)
		})
		if r := pods.spec.Resources; r != nil {
			do(pods.of, func(field string) string { return pods.at + ".resources." + field }, r)
		}
	})
}

// knownResource reports whether a container can have a resource. What has a
// domain is somebody else's to know.
func knownResource(name string) bool {
	return slices.Contains([]string{"cpu", "memory", "ephemeral-storage"}, name) ||
		strings.HasPrefix(name, corev1.ResourceHugePagesPrefix) || strings.Contains(name, "/")
}

// bytes writes out a quantity of memory.
func bytes(q resource.Quantity) string {
	if q.CmpInt64(1) < 0 {
		return "less than a byte"
	}
	return fmt.Sprintf("%d bytes", q.Value())
}
