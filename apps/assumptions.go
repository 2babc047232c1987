package apps

import (
	"fmt"

	"git.lastcloud.io/ronnibaslund/dezky/fleet/render/object"
)

// assumptions are those that no component holds: of the cluster, of the
// neighbours, and of the ways to them.
func (t tier) assumptions() []object.Assumption {
	var list []object.Assumption
	add := func(open bool, a object.Assumption) {
		if open {
			list = append(list, a)
		}
	}
	add(kubernetesAssumed, object.Assumption{
		What:    "cluster: that its Kubernetes is of this release or a later one",
		Value:   kubernetesRelease,
		Confirm: "`kubectl version`",
		Until:   "a field that an older API server does not know is refused when it is applied, and what runs stays",
		Buys:    "certainty that every field is kept",
	})
	add(traefikAssumed, object.Assumption{
		What:    "cluster: the release of Traefik, its pods' ports 8000 and 8443, and their label",
		Value:   traefikRelease,
		Confirm: "`kubectl -n kube-system get pods -l app.kubernetes.io/name=traefik -o 'custom-columns=IMAGE:.spec.containers[*].image,PORTS:.spec.containers[*].ports[*].containerPort'`",
		Until:   "they are as Traefik's chart has them unless it is told otherwise; the Middlewares have no field that a Traefik of this line does not know",
		Buys:    "certainty that the policies let it in: confirm it before the first apply to a tier that runs",
	})
	for _, n := range neighbours() {
		if n == redisStore() && !t.env.SharedSessions {
			continue
		}
		add(n.assumed, object.Assumption{
			What:    "neighbour " + n.namespace + ": the name of the Service " + n.name + ", its port and that of its pods",
			Value:   fmt.Sprintf("%s, pods %d", n.Address(), n.pods),
			Confirm: "`kubectl -n " + n.namespace + " get services,endpointslices`",
			Until:   "who needs it may reach every pod and port of the namespace. No manifest holds its address: an app has it from its Secret, or uses the public one",
			Buys:    "the way is open to that port alone",
		})
	}
	add(stalwartAssumed, object.Assumption{
		What:    "neighbour Stalwart: the address of the host as the pods see it",
		Value:   fmt.Sprintf("%s:%d", stalwartHost, stalwartPort),
		Confirm: "`ip -4 addr show cni0` on the node",
		Until:   "platform-api may reach every address at that port, and an address in the live ConfigMap comes first",
		Buys:    "the way is open to that address alone",
	})
	add(t.env.IssuerAssumed, object.Assumption{
		What:    "cluster: the ClusterIssuer of cert-manager",
		Value:   t.env.Issuer,
		Confirm: "`kubectl get clusterissuers`",
		Until:   "it is rendered: without it no certificate is asked for, and those that are there stay",
		Buys:    "certainty that certificates come",
	})
	if t.env.Runner {
		add(apiServerAssumed, object.Assumption{
			What:    "cluster: the address of the API server behind its Service",
			Value:   "every address that is no pod's, port 6443",
			Confirm: "`kubectl -n default get endpointslices -l kubernetes.io/service-name=kubernetes`",
			Until:   "the runner may reach port 6443 of every address but those of pods",
			Buys:    "the way is open to the node alone",
		})
		add(giteaAssumed, object.Assumption{
			What:    "cluster: that Gitea is not behind its Traefik",
			Value:   gitHost,
			Confirm: "`kubectl get ingresses -A` names no host " + gitHost,
			Until:   "the runner may reach Traefik's pods",
			Buys:    "the runner reaches no pod but those of DNS",
		})
	}
	if w := t.workflow(); w != nil {
		list = append(list, w.Assumptions()...)
	}
	for _, a := range t.apps {
		add(a.InternetAssumed, object.Assumption{
			What:    "app " + a.Web.Name + ": that it calls hosts on the internet",
			Confirm: "its code: which hosts it calls beside those of its variables",
			Until:   "it may reach every public address at port 443",
			Buys:    "where it calls none, no way out for who breaks in",
		})
	}
	return list
}
