package apps

import (
	"fmt"

	"git.lastcloud.io/ronnibaslund/dezky/fleet/components"
	"git.lastcloud.io/ronnibaslund/dezky/fleet/components/gitea"
	"git.lastcloud.io/ronnibaslund/dezky/fleet/render/check"
)

// kubernetesRelease is the Kubernetes release by whose rules the pods are
// made, the oldest that the manifests are for. traefikRelease is that of the
// Traefik that k3s brings.
//
// A constant that ends in Assumed says that nobody has confirmed what stands
// beside it: see assumptions. Confirming it is making it false.
const (
	kubernetesRelease = check.Kubernetes
	kubernetesAssumed = true

	traefikRelease = "v3"
	traefikAssumed = true
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
	port            int32 // of the Service
	pods            int32 // of its pods, which is what policies see
	assumed         bool  // nobody has confirmed name and ports
}

func mongoDB() neighbour {
	return neighbour{name: "mongo", namespace: dataNamespace, port: 27017, pods: 27017}
}

func redisStore() neighbour {
	return neighbour{
		name: "redis", namespace: dataNamespace, port: 6379, pods: 6379,
		assumed: true,
	}
}

func authentikServer() neighbour {
	return neighbour{
		name: "authentik-server", namespace: authNamespace, port: 80, pods: 9000,
		assumed: true,
	}
}

// ocisServer does not exist yet.
func ocisServer() neighbour {
	return neighbour{name: "ocis", namespace: ocisNamespace, port: 9200, pods: 9200}
}

func neighbours() []neighbour {
	return []neighbour{mongoDB(), redisStore(), authentikServer(), ocisServer()}
}

// Address returns host:port.
func (n neighbour) Address() string {
	return fmt.Sprintf("%s.%s.svc.cluster.local:%d", n.name, n.namespace, n.port)
}

// Peer returns the neighbour's pods, at every port while theirs is assumed.
func (n neighbour) Peer() components.Peer {
	if n.assumed {
		return components.Peer{Namespace: n.namespace}
	}
	return components.Peer{Namespace: n.namespace, Ports: []int32{n.pods}}
}

// The mail server Stalwart on the host: not a Service, an address. k3s
// gives its first node the pod network 10.42.0.0/24, and the node's bridge
// cni0 the first address in it.
const (
	stalwartHost          = "10.42.0.1"
	stalwartPort    int32 = 8080
	stalwartAssumed       = true
)

// stalwart is the mail server, at every address while its own is assumed.
func stalwart() components.Peer {
	if stalwartAssumed {
		return components.Peer{CIDR: "0.0.0.0/0", Ports: []int32{stalwartPort}}
	}
	return components.Peer{CIDR: stalwartHost + "/32", Ports: []int32{stalwartPort}}
}

// proxy is Traefik as k3s runs it. Public addresses of the tier lead here
// from inside the cluster too, to the port of its pods for HTTPS.
func proxy() components.Peer {
	return components.Peer{
		Namespace: "kube-system",
		Pods:      map[string]string{"app.kubernetes.io/name": "traefik"},
		Ports:     []int32{8443},
	}
}

// internet is every public IPv4 address. Policies are applied after address
// translation, so it does not reach the tier's own public addresses (see
// proxy), nor, by its exceptions, any pod, Service, node or neighbour at a
// private address. There is none for IPv6: k3s gives pods IPv6 addresses only
// where its networks are stated as dual-stack (k3s documentation, "Basic
// Network Options"), and the addresses that this tier knows are IPv4.
func internet(ports ...int32) components.Peer {
	return components.Peer{
		CIDR: "0.0.0.0/0",
		Except: []string{
			"10.0.0.0/8", "172.16.0.0/12", "192.168.0.0/16", // private (RFC 1918)
			"100.64.0.0/10",  // shared with a provider (RFC 6598)
			"127.0.0.0/8",    // the host itself (RFC 1122)
			"169.254.0.0/16", // link-local (RFC 3927), where clouds have their metadata
		},
		Ports: ports,
	}
}

// podNetwork is the addresses of all pods, as k3s has them unless it is told
// otherwise (k3s documentation, "k3s server", cluster-cidr).
const podNetwork = "10.42.0.0/16"

const apiServerAssumed = true

// giteaAssumed says that Gitea may be behind the proxy.
const giteaAssumed = true

// apiServer is the Kubernetes API after address translation: the node, at the
// port of k3s. Which address the node has is assumed, so this is every address
// that is not a pod's, until it is the node's own as a /32.
func apiServer() components.Peer {
	return components.Peer{CIDR: "0.0.0.0/0", Except: []string{podNetwork}, Ports: []int32{6443}}
}

// deny closes a namespace but for DNS. What the policies of its pods allow
// stays allowed: policies add up.
func deny(namespace string) components.Network {
	return components.Network{Name: "default-deny", Namespace: namespace}
}

// runnerNetwork is the way of the runner and its jobs: the Kubernetes API,
// since jobs deploy, and HTTP and HTTPS outside the cluster. The proxy stands
// there until it is confirmed that Gitea is not behind it. No pod else, and
// nobody reaches the runner.
func runnerNetwork(runner gitea.Runner) components.Network {
	to := []components.Peer{apiServer(), internet(80, 443)}
	if giteaAssumed {
		viaProxy := proxy()
		viaProxy.Ports = []int32{8000, 8443} // of its pods, for HTTP and HTTPS
		to = append(to, viaProxy)
	}
	return components.Network{
		Name:      runner.Name,
		Namespace: runner.Namespace,
		Pods:      runner.Peer().Pods,
		To:        to,
	}
}
