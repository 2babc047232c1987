package gitea

import (
	"fmt"

	"git.lastcloud.io/ronnibaslund/dezky/fleet/render/object"
)

// Assumed says what of a runner nobody has confirmed.
type Assumed struct {
	// Place: that the runner that exists, if there is one, has this namespace
	// and name.
	Place bool
	// Images: that their releases fit the Gitea and the node that run.
	Images bool
	// Sizes: the limits of memory and the MTU.
	Sizes bool
}

// About implements [object.Component].
func (r Runner) About() object.About {
	at := "Runner " + r.Namespace + "/" + r.Name + ": "
	assumed := r.Assumed
	r = r.withDefaults()
	var list []object.Assumption
	if assumed.Place {
		list = append(list, object.Assumption{
			What:    at + "that the runner that exists has this namespace and name",
			Confirm: "`kubectl get deployments,statefulsets -A -o wide`, and Gitea, Settings → Actions → Runners",
			Until:   "it is made beside one of another name, and waits for a registration token of its own; the other one goes on taking jobs",
			Buys:    "one runner, with the volumes that it has",
		})
	}
	if assumed.Images {
		list = append(list, object.Assumption{
			What:    at + "the releases of its images",
			Value:   r.Image + ", " + r.DockerImage,
			Confirm: "`kubectl get pods -A -o 'custom-columns=NAME:.metadata.name,IMAGE:.spec.containers[*].image'` for what runs, and the release notes of Gitea's runner for the Gitea at " + r.Instance,
			Until:   "they are rendered: a runner that does not start takes no job, and no app depends on it",
			Buys:    "releases that are known to fit",
		})
	}
	if assumed.Sizes {
		list = append(list, object.Assumption{
			What:    at + "its limits of memory and the MTU of its networks",
			Value:   fmt.Sprintf("runner %s, Docker %s, MTU %d", r.Memory.String(), r.DockerMemory.String(), r.MTU),
			Confirm: "`kubectl -n " + r.Namespace + " top pods --containers` during a build, and `kubectl -n " + r.Namespace + " exec deployment/" + r.Name + " -- cat /sys/class/net/eth0/mtu`",
			Until:   "the limits are generous, and an MTU that is smaller than it could be loses no packet",
			Buys:    "limits near the need",
		})
	}
	return object.About{Assumed: list}
}
