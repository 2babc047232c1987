package apps

import (
	"maps"
	"net"
	"net/netip"
	"net/url"
	"reflect"
	"slices"
	"strconv"
	"strings"
	"unicode"

	"git.lastcloud.io/ronnibaslund/dezky/fleet/components"
	"git.lastcloud.io/ronnibaslund/dezky/fleet/components/secret"
)

// connect returns the apps, each with its NetworkPolicy, made from what it is
// given. It may reach each address that stands in what it reads: in its
// variables, in its ConfigMap, in the contract of its Secret. An app is
// reached by the proxy, since it has an Ingress, and by the apps that are
// given its address.
func connect(given []App, env Environment) []App {
	apps := slices.Clone(given)
	for i := range apps {
		apps[i].Web.Network = &components.Network{From: []components.Peer{proxy()}}
	}
	for _, a := range apps {
		reaches := func(p components.Peer) { a.Web.Network.To = addPeer(a.Web.Network.To, p) }
		for _, address := range a.addresses() {
			if address.host == env.Host(a.Host) {
				continue // its own
			}
			called := slices.IndexFunc(apps, func(b App) bool { return isService(address.host, b.Web.Name, b.Web.Namespace) })
			if called >= 0 {
				reaches(apps[called].Web.Peer())
				from := &apps[called].Web.Network.From
				*from = addPeer(*from, a.Web.Peer())
				continue
			}
			reaches(address.peer(env.Domain))
		}
		if c := a.Web.Config; c != nil && c.Assumed {
			// What a live ConfigMap holds comes first, and it may have other
			// addresses of the same neighbours.
			reaches(authentikServer().Peer())
			reaches(stalwart())
		}
		if a.Internet {
			reaches(internet(443))
		}
	}
	return apps
}

func addPeer(peers []components.Peer, p components.Peer) []components.Peer {
	if slices.ContainsFunc(peers, func(q components.Peer) bool { return reflect.DeepEqual(p, q) }) {
		return peers
	}
	return append(peers, p)
}

// address is a host and a port that an app is given.
type address struct {
	host string
	port int32
}

// addresses are all that the app is given, in order of where they stand.
func (a App) addresses() []address {
	values := maps.Clone(a.Web.Env)
	if values == nil {
		values = make(map[string]string)
	}
	if a.Web.Login != nil {
		maps.Copy(values, a.Web.Login.Env())
	}
	if c := a.Web.Config; c != nil {
		maps.Copy(values, c.Data)
		for name, p := range c.Pending {
			values[name] = p.Value
		}
	}
	for _, k := range a.contract().Keys {
		if u, ok := k.Format.(secret.URI); ok {
			values[k.Name] = u.Host
		}
	}
	var all []address
	for _, name := range slices.Sorted(maps.Keys(values)) {
		for word := range strings.FieldsFuncSeq(values[name], func(r rune) bool { return r == ',' || unicode.IsSpace(r) }) {
			if address, ok := parseAddress(word); ok {
				all = append(all, address)
			}
		}
	}
	return all
}

// parseAddress reads a URL, or host:port.
func parseAddress(word string) (address, bool) {
	host, port, err := net.SplitHostPort(word)
	if u, bad := url.Parse(word); bad == nil && u.Host != "" {
		host, port, err = u.Hostname(), u.Port(), nil
		if port == "" {
			port = map[string]string{"http": "80", "https": "443"}[u.Scheme]
		}
	}
	n, bad := strconv.ParseUint(port, 10, 16)
	return address{strings.ToLower(host), int32(n)}, err == nil && bad == nil && strings.Contains(host, ".")
}

// peer is who answers at the address, as a policy sees it.
func (a address) peer(domain string) components.Peer {
	ip, err := netip.ParseAddr(a.host)
	service, inCluster := strings.CutSuffix(a.host, ".svc.cluster.local")
	neighbour := slices.IndexFunc(neighbours(), func(n neighbour) bool { return isService(a.host, n.name, n.namespace) })
	switch {
	case neighbour >= 0:
		return neighbours()[neighbour].Peer()
	case a == address{stalwartHost, stalwartPort}:
		return stalwart()
	case err == nil:
		return components.Peer{CIDR: netip.PrefixFrom(ip, ip.BitLen()).String(), Ports: []int32{a.port}}
	case inCluster:
		_, namespace, _ := strings.Cut(service, ".")
		return components.Peer{Namespace: namespace, Ports: []int32{a.port}}
	case a.host == domain || strings.HasSuffix(a.host, "."+domain):
		return proxy()
	}
	return internet(a.port)
}

// isService reports whether the host is a name of the Service in cluster DNS.
func isService(host, name, namespace string) bool {
	rest, ok := strings.CutPrefix(host, name+"."+namespace)
	return ok && slices.Contains([]string{"", ".svc", ".svc.cluster.local"}, rest)
}
