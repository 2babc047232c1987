package e2e

import (
	"context"
	"crypto/tls"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"reflect"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"sigs.k8s.io/yaml"

	"git.lastcloud.io/ronnibaslund/dezky/fleet/render/object"
)

// edge is Traefik, with the entry points that it has in k3s, in front of an API
// server without nodes. It reaches pods by way of a proxy, which is the test
// itself, so that a pod can have any address.
type edge struct {
	server
	t       *testing.T
	clients map[string]*http.Client // by entry point

	mu   sync.Mutex
	pods map[string]pod // by address

	// here are the objects that were put, and refused says why the API server
	// does not have one of them.
	here    map[object.ID]*unstructured.Unstructured
	refused map[object.ID]string
	settled int // how often Traefik has seen all
}

// pod is what answers at an address.
type pod struct {
	service object.ID
	ports   map[int32]bool // nil for any
}

// newEdge starts an API server and Traefik, whose file provider has the
// middlewares that are named.
func newEdge(t *testing.T, fileMiddlewares []string) *edge {
	t.Helper()
	e := &edge{
		server: newServer(t), t: t, clients: make(map[string]*http.Client),
		here: make(map[object.ID]*unstructured.Unstructured), refused: make(map[object.ID]string),
	}
	proxy := e.serve()
	dir := e.c.dir
	middlewares := make(map[string]any)
	for _, name := range fileMiddlewares {
		middlewares[name] = map[string]any{"compress": map[string]any{}}
	}
	file, err := yaml.Marshal(map[string]any{"http": map[string]any{"middlewares": middlewares}})
	if err != nil {
		t.Fatal(err)
	}
	write(t, filepath.Join(dir, "traefik.yaml"), file)

	args := []string{
		"--global.checkNewVersion=false", "--global.sendAnonymousUsage=false", "--log.level=ERROR",
		"--ping=true", "--api.insecure=true", "--entryPoints.websecure.http.tls=true",
		"--providers.kubernetesIngress.allowEmptyServices=true", "--providers.kubernetesCRD.allowEmptyServices=true", // as the chart has it
		"--providers.file.filename=" + filepath.Join(dir, "traefik.yaml"),
		"--providers.providersThrottleDuration=10ms",
		"--serversTransport.forwardingTimeouts.dialTimeout=1s",
	}
	names := []string{"web", "websecure", "metrics", "traefik"}
	for i, address := range freeAddresses(t, len(names)) {
		args = append(args, "--entryPoints."+names[i]+".address="+address)
		e.clients[names[i]] = &http.Client{
			Timeout:       10 * time.Second,
			CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
			Transport: &http.Transport{
				DialContext: func(ctx context.Context, network, _ string) (net.Conn, error) {
					return new(net.Dialer).DialContext(ctx, network, address)
				},
				DisableKeepAlives: true, // a connection keeps the certificate that it began with
				TLSClientConfig:   &tls.Config{InsecureSkipVerify: true},
			},
		}
	}
	runWith(t, dir, "traefik.log", []string{"KUBECONFIG=" + e.c.kubeconfig(), "HTTP_PROXY=" + proxy, "HTTPS_PROXY=" + proxy}, "traefik", args...)

	e.must(`{apiVersion: networking.k8s.io/v1, kind: IngressClass, metadata: {name: traefik}, spec: {controller: traefik.io/ingress-controller}}`)
	e.must(`{apiVersion: v1, kind: Namespace, metadata: {name: settled}}`)
	return e
}

// buildTraefik builds Traefik at the version whose types the library has, in
// the folder of its module, where its own replace lines are in force.
func buildTraefik() error {
	version, err := exec.Command("go", "list", "-m", "-f", "{{.Version}}", "github.com/traefik/traefik/v3").Output()
	if err != nil {
		return err
	}
	out, err := exec.Command("go", "mod", "download", "-json", "github.com/traefik/traefik/v3@"+strings.TrimSpace(string(version))).Output()
	if err != nil {
		return err
	}
	var module struct{ Dir string }
	if err := json.Unmarshal(out, &module); err != nil {
		return err
	}
	build := exec.Command("go", "install", "-C", module.Dir, "./cmd/traefik")
	build.Env = append(os.Environ(), "GOBIN="+bin, "GOWORK=off")
	build.Stderr = os.Stderr
	return build.Run()
}

// podConn is a connection that Traefik has opened to a pod by way of the proxy,
// which speaks SOCKS5 (RFC 1928).
type podConn struct {
	net.Conn
	edge    *edge
	once    sync.Once
	err     error
	address string
}

// Read begins with what a client of the proxy says first.
func (c *podConn) Read(b []byte) (int, error) {
	c.once.Do(func() { c.err = c.greet() })
	if c.err != nil {
		return 0, c.err
	}
	return c.Conn.Read(b)
}

func (c *podConn) greet() error {
	methods := make([]byte, 2)
	if _, err := io.ReadFull(c.Conn, methods); err != nil {
		return err
	}
	if _, err := io.CopyN(io.Discard, c.Conn, int64(methods[1])); err != nil {
		return err
	}
	if _, err := c.Conn.Write([]byte{5, 0}); err != nil { // no login
		return err
	}
	request := make([]byte, 10) // version, command, reserved, kind of address, IPv4, port
	if _, err := io.ReadFull(c.Conn, request); err != nil {
		return err
	}
	if request[3] != 1 {
		return errors.New("not an IPv4 address")
	}
	c.address = netip.AddrPortFrom(netip.AddrFrom4([4]byte(request[4:8])), binary.BigEndian.Uint16(request[8:])).String()
	answer := []byte{5, 0, 0, 1, 0, 0, 0, 0, 0, 0}
	_, ok := c.edge.pod(c.address)
	if !ok {
		answer[1] = 5 // connection refused
	}
	if _, err := c.Conn.Write(answer); err != nil {
		return err
	}
	if !ok {
		return errors.New("nobody listens at " + c.address)
	}
	return nil
}

// podListener accepts such connections.
type podListener struct {
	net.Listener
	edge *edge
}

func (l podListener) Accept() (net.Conn, error) {
	c, err := l.Listener.Accept()
	if err != nil {
		return nil, err
	}
	return &podConn{Conn: c, edge: l.edge}, nil
}

// serve answers for all pods, and returns the address of the proxy.
func (e *edge) serve() string {
	e.t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		e.t.Fatal(err)
	}
	type key struct{}
	server := http.Server{
		ConnContext: func(ctx context.Context, c net.Conn) context.Context { return context.WithValue(ctx, key{}, c) },
		Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			address := r.Context().Value(key{}).(*podConn).address
			p, ok := e.pod(address)
			if !ok { // any more
				http.Error(w, "nobody listens at "+address, http.StatusBadGateway)
				return
			}
			_, port, _ := net.SplitHostPort(address)
			w.Header().Set("X-Service", p.service.Namespace+"/"+p.service.Name)
			w.Header().Set("X-Port", port)
		}),
	}
	go server.Serve(podListener{l, e})
	e.t.Cleanup(func() { server.Close() })
	return "socks5://" + l.Addr().String()
}

// pod returns the pod that listens at an address and port.
func (e *edge) pod(address string) (pod, bool) {
	at, err := netip.ParseAddrPort(address)
	if err != nil {
		return pod{}, false
	}
	e.mu.Lock()
	defer e.mu.Unlock()
	p, ok := e.pods[at.Addr().String()]
	return p, ok && (p.ports == nil || p.ports[int32(at.Port())])
}

// must applies an object, which the API server takes.
func (e *edge) must(text string) {
	e.t.Helper()
	for _, o := range parse(e.t, []byte(text)) {
		client, err := e.of(o)
		if err != nil {
			e.t.Fatal(err)
		}
		if _, err := client.Apply(context.Background(), o.GetName(), o, metav1.ApplyOptions{FieldManager: "e2e", Force: true}); err != nil {
			e.t.Fatal(err)
		}
	}
}

// put makes the objects, and these alone, what the API server has beside what
// is always there, and waits until Traefik has them all. What the API server
// refuses is noted.
func (e *edge) put(objects []*unstructured.Unstructured, pods map[string]pod) {
	e.t.Helper()
	e.mu.Lock()
	e.pods = pods
	e.mu.Unlock()
	want := make(map[object.ID]*unstructured.Unstructured)
	for _, o := range objects {
		want[object.IDOf(o)] = o
	}
	ctx := context.Background()
	for id, o := range e.here {
		if reflect.DeepEqual(o, want[id]) {
			continue
		}
		if e.refused[id] == "" {
			client, err := e.of(o)
			if err != nil {
				e.t.Fatal(err)
			}
			if err := client.Delete(ctx, o.GetName(), metav1.DeleteOptions{}); err != nil {
				e.t.Fatalf("%s: %v", id, err)
			}
		}
		delete(e.here, id)
		delete(e.refused, id)
	}
	for _, o := range objects {
		id := object.IDOf(o)
		if want[id] != o || e.here[id] != nil {
			continue
		}
		e.here[id] = o
		if err := e.create(ctx, o); err != nil {
			e.refused[id] = err.Error()
		}
	}
	e.settle()
}

func (e *edge) create(ctx context.Context, o *unstructured.Unstructured) error {
	client, err := e.of(o)
	if err != nil {
		return err
	}
	options := metav1.CreateOptions{FieldValidation: metav1.FieldValidationStrict}
	made, err := client.Create(ctx, o.DeepCopy(), options)
	if apierrors.IsNotFound(err) && o.GetNamespace() != "" {
		e.must("{apiVersion: v1, kind: Namespace, metadata: {name: " + o.GetNamespace() + "}}")
		made, err = client.Create(ctx, o.DeepCopy(), options)
	}
	if err == nil && o.GetKind() == "Service" { // as kube-proxy would
		if ip, _, _ := unstructured.NestedString(made.Object, "spec", "clusterIP"); ip != "" {
			e.mu.Lock()
			e.pods[ip] = pod{service: object.IDOf(o)}
			e.mu.Unlock()
		}
	}
	return err
}

// settle waits until Traefik has seen everything so far: of each kind it sees
// one change after the other, so it has when it has seen the last one of each.
// An Ingress and an IngressRoute are for two of its providers, which see each
// for itself.
func (e *edge) settle() {
	e.t.Helper()
	e.settled++
	n := 10000 + e.settled // a port, and not 443, which would be HTTPS
	routeCertificate, routeKey := newCertificate(e.t, []string{"route.settled"}, n)
	ingressCertificate, ingressKey := newCertificate(e.t, []string{"ingress.settled"}, n)
	e.must(fmt.Sprintf(`apiVersion: v1
kind: Secret
metadata: {name: route, namespace: settled}
type: kubernetes.io/tls
data: {tls.crt: %[2]s, tls.key: %[3]s}
---
apiVersion: v1
kind: Secret
metadata: {name: ingress, namespace: settled}
type: kubernetes.io/tls
data: {tls.crt: %[4]s, tls.key: %[5]s}
---
apiVersion: v1
kind: Service
metadata: {name: settled, namespace: settled}
spec: {ports: [{port: %[1]d}]}
---
apiVersion: discovery.k8s.io/v1
kind: EndpointSlice
metadata: {name: settled, namespace: settled, labels: {kubernetes.io/service-name: settled}}
addressType: IPv4
endpoints: [{addresses: [10.42.255.254]}]
ports: [{name: "", port: %[1]d}]
---
apiVersion: traefik.io/v1alpha1
kind: Middleware
metadata: {name: settled, namespace: settled}
spec: {headers: {customResponseHeaders: {X-Settled: "%[1]d"}}}
---
apiVersion: traefik.io/v1alpha1
kind: IngressRoute
metadata: {name: settled, namespace: settled}
spec:
  routes:
  - match: Host(`+"`route.settled`"+`) && Path(`+"`/%[1]d`"+`)
    middlewares: [{name: settled}]
    services: [{name: settled, port: %[1]d}]
  tls: {secretName: route}
---
apiVersion: networking.k8s.io/v1
kind: Ingress
metadata: {name: settled, namespace: settled, annotations: {traefik.ingress.kubernetes.io/router.middlewares: settled-settled@kubernetescrd}}
spec:
  tls: [{hosts: [ingress.settled], secretName: ingress}]
  rules:
  - host: ingress.settled
    http: {paths: [{path: /%[1]d, pathType: Exact, backend: {service: {name: settled, port: {number: %[1]d}}}}]}
`, n, routeCertificate, routeKey, ingressCertificate, ingressKey))
	e.mu.Lock()
	e.pods["10.42.255.254"] = pod{service: serviceID("settled", "settled")}
	e.mu.Unlock()
	number := strconv.Itoa(n)
	deadline := time.Now().Add(time.Minute)
	for _, host := range []string{"route.settled", "ingress.settled"} {
		for {
			r, err := e.ask("websecure", "https://"+host+"/"+number)
			if err == nil && r.Header.Get("X-Port") == number && r.Header.Get("X-Settled") == number && r.TLS.PeerCertificates[0].SerialNumber.String() == number {
				break
			}
			if time.Now().After(deadline) {
				e.t.Fatalf("Traefik does not serve what was applied a minute ago: %s: %v, %v", host, r, err)
			}
			time.Sleep(2 * time.Millisecond)
		}
	}
}

var errNoEntryPoint = errors.New("no such entry point")

// ask sends a request to an entry point.
func (e *edge) ask(entryPoint, url string) (*http.Response, error) {
	client := e.clients[entryPoint]
	if client == nil {
		return nil, errNoEntryPoint
	}
	response, err := client.Get(url)
	if err != nil {
		return nil, err
	}
	return response, response.Body.Close()
}
