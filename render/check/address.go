package check

import (
	"net"
	"strconv"
	"strings"

	corev1 "k8s.io/api/core/v1"
	networkingv1 "k8s.io/api/networking/v1"

	"git.lastcloud.io/ronnibaslund/dezky/fleet/render/object"
)

// addresses follows the addresses of Services in a text. The field is its path
// below that of the reference. In a variable of a pod, a URL whose host is a
// single word names a Service too.
func (r *reference) addresses(s *Set, text string, p *pods, do func(*reference), field ...string) {
	if len(text) < 4 || !strings.Contains(text, ".svc") && !strings.Contains(text, "://") && !strings.Contains(text, ":") {
		return
	}
	end := -1
	eachAddress(text, func(a address) {
		to := object.ID{Kind: "Service", Namespace: a.namespace, Name: a.name}
		guess := false
		switch {
		case a.svc:
		case a.namespace != "":
			if !s.known().namespaces[a.namespace] {
				// A public domain has no dash in its last part.
				if a.scheme == "" || !strings.Contains(a.namespace, "-") || strings.HasPrefix(a.namespace, "xn--") {
					return
				}
				guess = true
			}
		case p == nil && !a.whole:
			return // within a longer text, it may be a name of that text's own
		default:
			if a.scheme == "" || a.name == "localhost" || p != nil && p.answersTo(a.name) {
				return
			}
			to.Namespace = r.from.ID.Namespace
			guess = true
		}
		if end < 0 {
			end = r.at.push(field...)
			if len(r.at.text) > 0 && r.at.text[0] == '.' {
				r.at.text = r.at.text[1:]
			}
		}
		port := a.port
		if port == 0 {
			port = schemePorts[a.scheme]
		}
		r.to, r.key, r.address, r.inPod, r.guess = to, "", true, p != nil, guess
		r.isPort, r.port = port != 0, networkingv1.ServiceBackendPort{Number: port}
		if a.wrongPort != "" && a.scheme != "" {
			r.isPort, r.port = true, networkingv1.ServiceBackendPort{Name: a.wrongPort}
		}
		do(r)
		r.address, r.inPod, r.guess, r.isPort = false, false, false, false
	})
	if end >= 0 {
		r.at.cut(end)
	}
}

// answersTo reports whether a name within a pod is one of its own.
func (p *pods) answersTo(name string) bool {
	if p.spec.Hostname == name || p.spec.HostNetwork {
		return true
	}
	for _, a := range p.spec.HostAliases {
		for _, h := range a.Hostnames {
			if h == name {
				return true
			}
		}
	}
	return false
}

// portsAt returns the ports at the DNS name of a Service, and whether there can
// be no others: those of the pods where it is headless, since its name leads to
// them.
func (s *Set) portsAt(id object.ID) (ports []corev1.ServicePort, closed bool) {
	o := s.get(id)
	if o == nil {
		return s.ports(id)
	}
	service := As[*corev1.Service](o)
	if service == nil || service.Spec.ClusterIP != corev1.ClusterIPNone {
		return s.ports(id)
	}
	selected := s.podIndex().services[o]
	for _, p := range selected {
		states := false
		p.eachContainer(func(list string, c *corev1.Container) {
			if !serves(list, c) {
				return
			}
			for _, port := range c.Ports {
				states = true
				ports = append(ports, corev1.ServicePort{Name: port.Name, Port: port.ContainerPort})
			}
		})
		if !states {
			return nil, false
		}
	}
	return ports, len(selected) > 0
}

// address is a host in a text that may be a Service.
type address struct {
	name, namespace string
	// svc reports that the name ends in .svc or below it.
	svc bool
	// scheme before it, empty if there is none.
	scheme string
	port   int32 // zero if there is none
	// wrongPort is what stands where the port belongs, and is no number.
	wrongPort string
	// whole reports that the text is this address and nothing else but a path.
	whole bool
}

// schemePorts are the ports of schemes where an address states none.
var schemePorts = map[string]int32{
	"http": 80, "https": 443, "ws": 80, "wss": 443, "redis": 6379, "rediss": 6379, "mongodb": 27017,
	"postgres": 5432, "postgresql": 5432, "mysql": 3306, "amqp": 5672, "amqps": 5671, "nats": 4222, "ldap": 389, "ldaps": 636,
}

// eachAddress calls do for each host of a text that stands behind a scheme, ends
// in .svc, or is the whole text together with a port.
func eachAddress(text string, do func(address)) {
	if strings.Contains(text, "$(") || strings.Contains(text, "{{") || strings.Contains(text, "${") {
		return // filled in later
	}
	found := false
	for rest, offset := text, 0; ; {
		i := strings.Index(rest, "://")
		if i < 0 {
			break
		}
		scheme := schemeBefore(text[:offset+i])
		start := offset + i + len("://")
		authority := text[start:]
		if k := strings.IndexAny(authority, "/?# \t\r\n\"'`,;<>|()[]{}\\"); k >= 0 {
			authority = authority[:k]
		}
		if k := strings.LastIndexByte(authority, '@'); k >= 0 {
			authority = authority[k+1:]
		}
		if a, ok := parseAddress(authority); ok {
			a.scheme = scheme
			a.whole = start == len(scheme)+len("://") && !strings.ContainsAny(text, " \t\r\n\"'`,;<>|()[]{}\\")
			do(a)
		}
		found = true
		rest, offset = text[start:], start
	}
	for rest, offset := text, 0; ; {
		i := strings.Index(rest, ".svc")
		if i < 0 {
			break
		}
		at := offset + i
		start, end := at, at+len(".svc")
		for start > 0 && hostChar(text[start-1]) {
			start--
		}
		for end < len(text) && hostChar(text[end]) {
			end++
		}
		for end < len(text) && text[end] == ':' {
			k := end + 1
			for k < len(text) && text[k] >= '0' && text[k] <= '9' {
				k++
			}
			if k > end+1 {
				end = k
			}
			break
		}
		behind := strings.HasSuffix(text[:start], "://") || start > 0 && text[start-1] == '@'
		if a, ok := parseAddress(text[start:end]); ok && a.svc && !behind {
			do(a)
		}
		found = true
		rest, offset = text[end:], end
	}
	if !found {
		if a, ok := parseAddress(text); ok && a.port != 0 && a.namespace != "" {
			a.whole = true
			do(a)
		}
	}
}

func schemeBefore(text string) string {
	start := len(text)
	for start > 0 && (hostChar(text[start-1]) || text[start-1] == '+') {
		start--
	}
	return text[start:]
}

func hostChar(c byte) bool {
	return c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || c >= '0' && c <= '9' || c == '-' || c == '.'
}

// parseAddress takes a host apart, with or without a port. It is none where the
// host can be no Service: too many parts, or an IP address.
func parseAddress(text string) (a address, ok bool) {
	host, port, hasPort := strings.Cut(text, ":")
	if hasPort {
		if n, err := strconv.ParseUint(port, 10, 16); err == nil {
			a.port = int32(n)
		} else {
			a.wrongPort = port
		}
	}
	host = strings.TrimSuffix(host, ".")
	if host == "" || net.ParseIP(host) != nil {
		return address{}, false
	}
	for i := range len(host) {
		if !hostChar(host[i]) {
			return address{}, false
		}
	}
	parts := strings.Split(strings.ToLower(host), ".")
	for _, part := range parts {
		if part == "" {
			return address{}, false
		}
	}
	for i, part := range parts {
		if part == "svc" && i >= 2 && (i == len(parts)-1 || i == len(parts)-2 || parts[len(parts)-1] == "local") {
			a.name, a.namespace, a.svc = parts[i-2], parts[i-1], true
			return a, true
		}
	}
	switch len(parts) {
	case 1:
		a.name = parts[0]
		return a, true
	case 2:
		a.name, a.namespace = parts[0], parts[1]
		return a, true
	}
	return address{}, false
}
