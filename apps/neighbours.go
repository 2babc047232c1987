package apps

import (
	"fmt"

	"git.lastcloud.io/ronnibaslund/dezky/fleet/components"
)

// Namespaces of this layer and of its neighbours.
const (
	namespace     = "dezky-apps" // the apps
	ciNamespace   = "dezky-ci"   // the runner, which is root on its node
	authNamespace = "dezky-auth" // Authentik
	dataNamespace = "dezky-data" // MongoDB and Redis
	ocisNamespace = "dezky-ocis" // the files tier
)

// Gitea, its container registry, and the images of the apps in it.
const (
	gitHost  = "git.lastcloud.io"
	registry = gitHost + "/ronnibaslund/dezky/"
)

// neighbour is a Service of another layer, known by its cluster DNS only.
type neighbour struct {
	name, namespace string
	port            int32
}

func mongoDB() neighbour         { return neighbour{"mongo", dataNamespace, 27017} }
func redisStore() neighbour      { return neighbour{"redis", dataNamespace, 6379} }
func authentikServer() neighbour { return neighbour{"authentik-server", authNamespace, 80} }
func ocisServer() neighbour      { return neighbour{"ocis", ocisNamespace, 9200} }

// Address is host:port.
func (n neighbour) Address() string {
	return fmt.Sprintf("%s.%s.svc.cluster.local:%d", n.name, n.namespace, n.port)
}

// Peer is the neighbour's pods, which listen on the Service's port unless
// other ports are given.
func (n neighbour) Peer(ports ...int32) components.Peer {
	if len(ports) == 0 {
		ports = []int32{n.port}
	}
	return components.Peer{Namespace: n.namespace, Ports: ports}
}

// stalwart is the mail server on the host: not a Service, an address. k3s
// gives its first node the pod network 10.42.0.0/24, and the node's bridge
// cni0 the first address in it.
const (
	stalwartHost       = "10.42.0.1"
	stalwartPort int32 = 8080
)

// proxy is Traefik as k3s runs it. Public addresses of the tier lead here
// from inside the cluster too, to the port of its pods for HTTPS.
func proxy() components.Peer {
	return components.Peer{
		Namespace: "kube-system",
		Pods:      map[string]string{"app.kubernetes.io/name": "traefik"},
		Ports:     []int32{8443},
	}
}

// internet is every address, for HTTPS. Policies are applied after address
// translation, so it does not reach the tier's own public addresses: see proxy.
func internet() components.Peer {
	return components.Peer{CIDR: "0.0.0.0/0", Ports: []int32{443}}
}
