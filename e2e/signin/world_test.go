package signin

import (
	"bufio"
	"bytes"
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"errors"
	"fmt"
	"io"
	"maps"
	"math/big"
	"net"
	"net/http"
	"net/http/cookiejar"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/alicebob/miniredis/v2"
	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	"sigs.k8s.io/yaml"

	"git.lastcloud.io/ronnibaslund/dezky/fleet/apps"
	"git.lastcloud.io/ronnibaslund/dezky/fleet/render"
)

// options are what a test changes of what is rendered and generated: nothing,
// or the one thing that its control breaks.
type options struct {
	// environment to render. If empty, production.
	environment string
	// secrets are values under keys of the app's own Secret, in the app and in
	// Authentik.
	secrets map[string]string
	// env are variables of the app beside the rendered ones; an empty value
	// takes the variable away.
	env map[string]string
	// blueprint changes the text that is rendered for Authentik.
	blueprint func(string) string
	// provider changes what the blueprint made of the app's provider.
	provider func(*provider)
}

// world is everything that takes part in a sign-in, on loopback: the replicas
// of the apps, Authentik, Redis, platform-api, and between them a proxy that
// knows the public names. The programs find it by their usual variables for a
// proxy and for a certificate authority, so that every rendered address stays
// as it is; only Redis, which no proxy reaches, has its host replaced.
type world struct {
	t         *testing.T
	idp       *authentik
	redis     *miniredis.Miniredis
	api       *platformAPI
	proxy     *url.URL
	authority *x509.CertPool
	caFile    string
	options   options
	rendered  rendered

	mu       sync.Mutex
	apps     map[string]*app // by name
	handlers map[string]http.Handler
}

// app is one app with its replicas.
type app struct {
	name, host string
	deployment appsv1.Deployment
	mu         sync.Mutex
	replicas   []*replica
	next       int
	// choose picks the replica for a request. If nil, they take turns.
	choose func(*http.Request) int
}

func newWorld(t *testing.T, o options, names ...string) *world {
	t.Helper()
	if o.environment == "" {
		o.environment = apps.Environments().Names()[0]
	}
	r := renderAll(t, o)
	text := r.blueprint
	if o.blueprint != nil {
		if text = o.blueprint(text); text == r.blueprint {
			t.Fatal("the control changes nothing in the blueprint")
		}
	}
	w := &world{
		t: t, options: o, rendered: r,
		idp:      newAuthentik(t, text, r.worker),
		redis:    miniredis.RunT(t),
		apps:     map[string]*app{},
		handlers: map[string]http.Handler{},
	}
	w.api = newPlatformAPI(w)
	w.startNetwork()
	for _, name := range names {
		w.startApp(name)
	}
	if o.provider != nil {
		w.idp.change(names[0], o.provider)
	}
	return w
}

// rendered is what fleet gives for an environment.
type rendered struct {
	deployments map[string]appsv1.Deployment
	hosts       map[string]string // public host by app
	config      map[string]map[string]string
	secrets     map[string]map[string]string // by namespace/name
	blueprint   string
	worker      map[string]string // environment of Authentik's worker
	auth        string            // Authentik's host
}

const redisPassword = "not-a-secret"

func renderAll(t *testing.T, o options) rendered {
	t.Helper()
	r := rendered{
		deployments: map[string]appsv1.Deployment{}, hosts: map[string]string{},
		config: map[string]map[string]string{}, secrets: map[string]map[string]string{},
	}
	tree, err := apps.Tree(o.environment, render.Images{Tag: "0123456789abcdef0123456789abcdef01234567"})
	if err != nil {
		t.Fatal(err)
	}
	files, _, err := tree.Files()
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range files {
		if !strings.HasSuffix(f.Path, ".yaml") || strings.HasPrefix(f.Path, "secrets/") {
			continue
		}
		for _, doc := range documents(t, f.Data) {
			switch kind(t, doc) {
			case "Deployment":
				d := decode[appsv1.Deployment](t, doc)
				r.deployments[d.Name] = d
			case "ConfigMap":
				c := decode[corev1.ConfigMap](t, doc)
				r.config[c.Name] = c.Data
				if strings.HasPrefix(f.Path, "auth/") {
					for _, text := range c.Data {
						r.blueprint = text
					}
				}
			case "Ingress":
				i := decode[struct {
					Metadata struct{ Name string }
					Spec     struct{ Rules []struct{ Host string } }
				}](t, doc)
				r.hosts[i.Metadata.Name] = i.Spec.Rules[0].Host
			}
		}
	}

	set, err := apps.Secrets(o.environment)
	if err != nil {
		t.Fatal(err)
	}
	text, _, err := set.Generate(nil, rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	var generated []corev1.Secret
	for _, doc := range documents(t, text) {
		s := decode[corev1.Secret](t, doc)
		r.secrets[s.Namespace+"/"+s.Name] = s.StringData
		generated = append(generated, s)
	}
	// A changed value goes wherever the generated one stands.
	for key, value := range o.secrets {
		found := false
		for _, s := range generated {
			old, ok := s.StringData[key]
			if !ok {
				continue
			}
			found = true
			for _, other := range generated {
				for k, v := range other.StringData {
					if v == old {
						other.StringData[k] = value
					}
				}
			}
			break
		}
		if !found {
			t.Fatalf("no Secret has the key %s", key)
		}
	}
	for _, s := range r.secrets {
		if slices.ContainsFunc(slices.Collect(maps.Keys(s)), func(k string) bool { return strings.HasPrefix(k, "OIDC_") }) {
			r.worker = s
		}
	}
	return r
}

func documents(t *testing.T, text []byte) [][]byte {
	t.Helper()
	var docs [][]byte
	for doc := range bytes.SplitSeq(text, []byte("\n---\n")) {
		if len(bytes.TrimSpace(doc)) > 0 {
			docs = append(docs, doc)
		}
	}
	return docs
}

func decode[T any](t *testing.T, doc []byte) T {
	t.Helper()
	var v T
	if err := yaml.Unmarshal(doc, &v); err != nil {
		t.Fatalf("%v\n%s", err, doc)
	}
	return v
}

func kind(t *testing.T, doc []byte) string {
	return decode[struct{ Kind string }](t, doc).Kind
}

// startNetwork starts the proxy, and behind it the one address of everything
// that speaks TLS.
func (w *world) startNetwork() {
	t := w.t
	cert, pool, file := authority(t)
	w.authority, w.caFile = pool, file
	front := httptest.NewUnstartedServer(http.HandlerFunc(func(rw http.ResponseWriter, r *http.Request) {
		w.mu.Lock()
		h := w.handlers[r.Host]
		w.mu.Unlock()
		if h == nil {
			http.Error(rw, "no such host: "+r.Host, http.StatusMisdirectedRequest)
			return
		}
		h.ServeHTTP(rw, r)
	}))
	front.TLS = &tls.Config{GetCertificate: cert}
	front.StartTLS()
	t.Cleanup(front.Close)
	inside := httptest.NewServer(w.api)
	t.Cleanup(inside.Close)

	proxy := httptest.NewServer(http.HandlerFunc(func(rw http.ResponseWriter, r *http.Request) {
		if r.Method != http.MethodConnect {
			http.Error(rw, "this proxy knows CONNECT only", http.StatusMethodNotAllowed)
			return
		}
		host, port, _ := net.SplitHostPort(r.Host)
		w.mu.Lock()
		known := w.handlers[host] != nil
		w.mu.Unlock()
		var to string
		switch {
		case known && port == "443":
			to = front.Listener.Addr().String()
		case strings.HasPrefix(host, "platform-api."):
			to = inside.Listener.Addr().String()
		default:
			t.Errorf("somebody calls %s, which is not part of this", r.Host)
			http.Error(rw, "no such host", http.StatusBadGateway)
			return
		}
		tunnel(rw, to)
	}))
	t.Cleanup(proxy.Close)
	w.proxy, _ = url.Parse(proxy.URL)

	w.rendered.auth = authHost(t, w.rendered)
	w.idp.host = w.rendered.auth
	w.handlers[w.rendered.auth] = w.idp
}

// authHost is Authentik's host, as the apps are told.
func authHost(t *testing.T, r rendered) string {
	t.Helper()
	for _, d := range r.deployments {
		for _, e := range d.Spec.Template.Spec.Containers[0].Env {
			if e.Name == "NUXT_PUBLIC_AUTH_URL" {
				u, err := url.Parse(e.Value)
				if err != nil {
					t.Fatal(err)
				}
				return u.Host
			}
		}
	}
	t.Fatal("no app is told where Authentik is")
	return ""
}

// tunnel joins the connection of a CONNECT with one to the address.
func tunnel(rw http.ResponseWriter, to string) {
	out, err := net.Dial("tcp", to)
	if err != nil {
		http.Error(rw, err.Error(), http.StatusBadGateway)
		return
	}
	in, buffered, err := rw.(http.Hijacker).Hijack()
	if err != nil {
		out.Close()
		return
	}
	io.WriteString(in, "HTTP/1.1 200 OK\r\n\r\n")
	go func() { defer out.Close(); io.Copy(out, buffered) }()
	go func() { defer in.Close(); io.Copy(in, out) }()
}

// authority makes a certificate authority that certifies every name asked
// for, and a file with its certificate.
func authority(t *testing.T) (func(*tls.ClientHelloInfo) (*tls.Certificate, error), *x509.CertPool, string) {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := func(name string) *x509.Certificate {
		serial, _ := rand.Int(rand.Reader, big.NewInt(1<<62))
		return &x509.Certificate{
			SerialNumber: serial, Subject: pkix.Name{CommonName: name},
			NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour),
			BasicConstraintsValid: true,
		}
	}
	root := template("e2e/signin")
	root.IsCA, root.KeyUsage = true, x509.KeyUsageCertSign
	der, err := x509.CreateCertificate(rand.Reader, root, root, key.Public(), key)
	if err != nil {
		t.Fatal(err)
	}
	parsed, err := x509.ParseCertificate(der)
	if err != nil {
		t.Fatal(err)
	}
	pool := x509.NewCertPool()
	pool.AddCert(parsed)
	file := filepath.Join(t.TempDir(), "ca.pem")
	if err := os.WriteFile(file, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der}), 0o600); err != nil {
		t.Fatal(err)
	}
	return func(hello *tls.ClientHelloInfo) (*tls.Certificate, error) {
		leaf := template(hello.ServerName)
		leaf.DNSNames = []string{hello.ServerName}
		leaf.ExtKeyUsage = []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth}
		der, err := x509.CreateCertificate(rand.Reader, leaf, root, key.Public(), key)
		return &tls.Certificate{Certificate: [][]byte{der}, PrivateKey: key}, err
	}, pool, file
}

// startApp starts the replicas of an app, as many as are rendered.
func (w *world) startApp(name string) {
	w.t.Helper()
	d, ok := w.rendered.deployments[name]
	if !ok {
		w.t.Fatalf("%s is not rendered", name)
	}
	a := &app{name: name, host: w.rendered.hosts[name], deployment: d}
	w.mu.Lock()
	w.apps[name] = a
	w.handlers[a.host] = a
	w.mu.Unlock()
	replicas := 1
	if d.Spec.Replicas != nil {
		replicas = int(*d.Spec.Replicas)
	}
	w.start(a, replicas)
}

func (w *world) start(a *app, replicas int) {
	w.t.Helper()
	var started []*replica
	for range replicas {
		started = append(started, w.startReplica(a))
	}
	for _, r := range started {
		r.waitReady("/api/health/ready")
	}
	a.mu.Lock()
	a.replicas = started
	a.mu.Unlock()
}

// restart ends every replica of an app and starts it anew, as a release does,
// with further variables.
func (w *world) restart(name string, env map[string]string) {
	w.t.Helper()
	a := w.apps[name]
	for _, r := range a.replicas {
		r.stop()
	}
	if env != nil {
		w.options.env = env
	}
	w.start(a, len(a.replicas))
}

// ServeHTTP is what Traefik does: it gives the request to a replica.
func (a *app) ServeHTTP(rw http.ResponseWriter, r *http.Request) {
	a.mu.Lock()
	i := a.next % len(a.replicas)
	a.next++
	if a.choose != nil {
		i = a.choose(r)
	}
	to := a.replicas[i].url
	a.mu.Unlock()
	(&httputil.ReverseProxy{Rewrite: func(p *httputil.ProxyRequest) {
		p.SetURL(to)
		p.Out.Host = p.In.Host
		p.SetXForwarded()
	}}).ServeHTTP(rw, r)
}

// replica is one pod.
type replica struct {
	t    *testing.T
	url  *url.URL
	cmd  *exec.Cmd
	once sync.Once
	mu   sync.Mutex
	log  bytes.Buffer
}

func (w *world) startReplica(a *app) *replica {
	w.t.Helper()
	port := freePort(w.t)
	env := w.environment(a)
	maps.Copy(env, w.options.env)
	env["HOST"], env["PORT"] = "127.0.0.1", port
	env["NODE_USE_ENV_PROXY"], env["HTTP_PROXY"], env["HTTPS_PROXY"] = "1", w.proxy.String(), w.proxy.String()
	env["NODE_EXTRA_CA_CERTS"] = w.caFile

	r := &replica{t: w.t, url: &url.URL{Scheme: "http", Host: "127.0.0.1:" + port}}
	r.cmd = exec.Command(node, server)
	for name, value := range env {
		if value != "" {
			r.cmd.Env = append(r.cmd.Env, name+"="+value)
		}
	}
	out, err := r.cmd.StdoutPipe()
	if err != nil {
		w.t.Fatal(err)
	}
	r.cmd.Stderr = r.cmd.Stdout
	if err := r.cmd.Start(); err != nil {
		w.t.Fatal(err)
	}
	copied := make(chan struct{})
	go func() {
		defer close(copied)
		for s := bufio.NewScanner(out); s.Scan(); {
			r.mu.Lock()
			fmt.Fprintln(&r.log, s.Text())
			r.mu.Unlock()
		}
	}()
	w.t.Cleanup(func() {
		r.stop()
		<-copied
		if w.t.Failed() {
			r.mu.Lock()
			defer r.mu.Unlock()
			w.t.Logf("the log of a replica of %s:\n%s", a.name, r.log.Bytes()[max(0, r.log.Len()-3000):])
		}
	})
	return r
}

// environment is what Kubernetes would give the app's container.
func (w *world) environment(a *app) map[string]string {
	w.t.Helper()
	env := map[string]string{}
	c := a.deployment.Spec.Template.Spec.Containers[0]
	for _, from := range c.EnvFrom {
		if from.ConfigMapRef != nil {
			maps.Copy(env, w.rendered.config[from.ConfigMapRef.Name])
		}
	}
	for _, e := range c.Env {
		switch from := e.ValueFrom; {
		case from == nil:
			env[e.Name] = e.Value
		case from.SecretKeyRef != nil:
			value, ok := w.rendered.secrets[a.deployment.Namespace+"/"+from.SecretKeyRef.Name][from.SecretKeyRef.Key]
			if !ok {
				w.t.Fatalf("%s: %s: there is no Secret %s with the key %s", a.name, e.Name, from.SecretKeyRef.Name, from.SecretKeyRef.Key)
			}
			env[e.Name] = value
		case from.ConfigMapKeyRef != nil:
			env[e.Name] = w.rendered.config[from.ConfigMapKeyRef.Name][from.ConfigMapKeyRef.Key]
		}
	}
	if env["SESSION_REDIS_URL"] != "" {
		env["SESSION_REDIS_URL"] = "redis://:" + redisPassword + "@" + w.redis.Addr() + "/1"
		w.redis.RequireAuth(redisPassword)
	}
	return env
}

func freePort(t *testing.T) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	return strconv.Itoa(l.Addr().(*net.TCPAddr).Port)
}

func (r *replica) waitReady(path string) {
	r.t.Helper()
	var err error
	for range 300 {
		var response *http.Response
		if response, err = http.Get(r.url.String() + path); err == nil {
			response.Body.Close()
			if response.StatusCode == http.StatusOK {
				return
			}
			err = errors.New(response.Status)
		}
		time.Sleep(100 * time.Millisecond)
	}
	r.t.Fatalf("a replica does not become ready at %s: %v", path, err)
}

func (r *replica) stop() {
	r.once.Do(func() {
		r.cmd.Process.Kill()
		r.cmd.Wait()
	})
}

// browser is a person's browser: it keeps cookies and follows redirects, and
// runs no scripts.
type browser struct {
	w      *world
	client *http.Client
}

func (w *world) browser() *browser {
	jar, _ := cookiejar.New(nil)
	return &browser{w: w, client: &http.Client{
		Jar:     jar,
		Timeout: time.Minute,
		Transport: &http.Transport{
			Proxy:           http.ProxyURL(w.proxy),
			TLSClientConfig: &tls.Config{RootCAs: w.authority},
		},
		CheckRedirect: func(_ *http.Request, via []*http.Request) error {
			if len(via) > 15 {
				return http.ErrUseLastResponse // without end, it seems
			}
			return nil
		},
	}}
}

// seen is what the browser shows in the end.
type seen struct {
	status int
	url    *url.URL
	body   string
}

func (s seen) String() string {
	return fmt.Sprintf("%d %s\n%.600s", s.status, s.url, s.body)
}

func (b *browser) do(r *http.Request) seen {
	b.w.t.Helper()
	response, err := b.client.Do(r)
	if err != nil {
		b.w.t.Fatal(err)
	}
	defer response.Body.Close()
	body, err := io.ReadAll(response.Body)
	if err != nil {
		b.w.t.Fatal(err)
	}
	return seen{response.StatusCode, response.Request.URL, string(body)}
}

// open follows an address to what it shows in the end.
func (b *browser) open(address string) seen {
	b.w.t.Helper()
	r, err := http.NewRequestWithContext(context.Background(), http.MethodGet, address, nil)
	if err != nil {
		b.w.t.Fatal(err)
	}
	return b.do(r)
}

// signIn opens the app's start page, and fills in Authentik's login page.
func (b *browser) signIn(name string) seen {
	b.w.t.Helper()
	login := b.open(b.w.at(name, "/"))
	if !b.w.isLogin(login) {
		b.w.t.Fatalf("not asked to sign in: %v", login)
	}
	return b.fillIn(login)
}

func (b *browser) fillIn(login seen) seen {
	b.w.t.Helper()
	r, err := http.NewRequestWithContext(context.Background(), http.MethodPost, login.url.String(), strings.NewReader("user=anna"))
	if err != nil {
		b.w.t.Fatal(err)
	}
	r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	return b.do(r)
}

// at is an address of an app.
func (w *world) at(name, path string) string { return "https://" + w.apps[name].host + path }

// isLogin reports whether the browser shows Authentik's login page.
func (w *world) isLogin(s seen) bool {
	return s.status == http.StatusOK && s.url.Host == w.rendered.auth && s.url.Path == loginPath
}

// isHome reports whether the browser shows the app's start page, signed in.
func (w *world) isHome(name string, s seen) bool {
	return s.status == http.StatusOK && s.url.String() == w.at(name, "/") && strings.Contains(s.body, "Home of anna")
}

// call asks the app's API n times at once, and counts the answers by status.
func (b *browser) call(name string, n int) map[int]int {
	b.w.t.Helper()
	var mu sync.Mutex
	var wg sync.WaitGroup
	answers := map[int]int{}
	for range n {
		wg.Go(func() {
			s := b.open(b.w.at(name, "/api/me"))
			mu.Lock()
			answers[s.status]++
			mu.Unlock()
		})
	}
	wg.Wait()
	return answers
}
