// Package files is an example of another fleet layer: OCIS (ownCloud Infinite
// Scale) with a virus scanner, its blobs in the object storage of the data
// tier, and its users signed in by the Authentik of the app tier. What the
// neighbours have is taken from their values.
package files

import (
	"fmt"
	"slices"

	auth "example.com/fleet-auth"
	data "example.com/fleet-data"
	"k8s.io/apimachinery/pkg/api/resource"

	"git.lastcloud.io/ronnibaslund/dezky/fleet/apps"
	"git.lastcloud.io/ronnibaslund/dezky/fleet/components"
	"git.lastcloud.io/ronnibaslund/dezky/fleet/components/authentik"
	"git.lastcloud.io/ronnibaslund/dezky/fleet/components/secret"
	"git.lastcloud.io/ronnibaslund/dezky/fleet/components/traefik"
	"git.lastcloud.io/ronnibaslund/dezky/fleet/render"
	"git.lastcloud.io/ronnibaslund/dezky/fleet/render/check"
	"git.lastcloud.io/ronnibaslund/dezky/fleet/render/object"
	"git.lastcloud.io/ronnibaslund/dezky/fleet/secrets"
)

const (
	// Namespace of the layer.
	Namespace = "dezky-ocis"
	// Bucket of the object storage that has the blobs.
	Bucket = "dezky-files"

	image   = "docker.io/owncloud/ocis:7.1.2"
	scanner = "docker.io/clamav/clamav:1.4"
	text    = "docker.io/apache/tika:3.2.0.0"
)

// assumed: nobody has run these images here.
var assumed = components.Assumed{User: true, Files: true, Probes: true, Memory: true, Tmp: true}

// Layer is OCIS in an environment of the app tier.
type Layer struct {
	apps.Environment
	// Callers are the namespaces that may reach OCIS, beside Traefik's.
	Callers []string
}

// Client is OCIS at Authentik. Its web app runs in the browser and has no
// secret to keep (ownCloud documentation, "Web Service Configuration").
func (l Layer) Client() components.OIDCClient {
	return components.OIDCClient{
		Name:          "files",
		Namespace:     Namespace,
		Host:          l.Host("files"),
		Authentik:     l.Host(l.Hosts.Auth),
		CallbackPaths: []string{"/oidc-callback.html", "/oidc-silent-redirect.html"},
		LogoutPath:    "/",
		Public:        true,
		IDKey:         "WEB_OIDC_CLIENT_ID",
		Keys: []secret.Key{
			repeated("STORAGE_USERS_S3NG_ENDPOINT", "RCLONE_CONFIG_STORAGE_ENDPOINT"),
			repeated("STORAGE_USERS_S3NG_ACCESS_KEY", "RCLONE_CONFIG_STORAGE_ACCESS_KEY_ID"),
			repeated("STORAGE_USERS_S3NG_SECRET_KEY", "RCLONE_CONFIG_STORAGE_SECRET_ACCESS_KEY"),
		},
	}.WithDefaults()
}

// repeated is a key with the value of one of the object storage's.
func repeated(name, of string) secret.Key {
	return secret.Key{Name: name, Purpose: "Object storage", SameAs: data.StorageSecret().Key(of), Rotation: secret.RotationNeedsPeer}
}

// nats is the port of OCIS' queue.
const nats = 9233

// ocis is what those who call OCIS know of it.
func ocis() components.StatefulSet {
	return components.StatefulSet{Name: "ocis", Namespace: Namespace, Image: image, Port: 9200, Ports: []components.Port{{Name: "nats", Port: nats}}, Assumed: assumed}
}

// OCIS is all its services in one process. The one pod keeps what is about the
// files, and its own keys, which `ocis init` makes once; the files are in the
// object storage.
func (l Layer) OCIS() components.StatefulSet {
	from := []components.Peer{{Namespace: "kube-system"}, l.virusScan().Peer()}
	for _, namespace := range l.Callers {
		from = append(from, components.Peer{Namespace: namespace})
	}
	own := components.Volume{Name: "config", Path: "/etc/ocis", Claim: &components.Claim{Size: resource.MustParse("100Mi")}}
	files := components.Volume{Name: "data", Path: "/var/lib/ocis", Claim: &components.Claim{Size: resource.MustParse("10Gi")}}
	s := ocis()
	s.Env = l.env()
	s.SecretEnv = map[string]secret.Ref{"WEB_OIDC_CLIENT_ID": l.Client().ClientID()}
	s.Volumes = []components.Volume{own, files, {Name: "csp", Path: "/etc/ocis-csp", Config: l.policy()}}
	s.Init = []components.Workload{{
		Name: "init", Image: image, Volumes: []components.Volume{{Name: own.Name, Path: own.Path}},
		Command: []string{"/bin/sh", "-c", "test -e /etc/ocis/ocis.yaml || ocis init --insecure no"},
	}}
	s.Sidecars = []components.Workload{{Name: "tika", Image: text}}
	s.Network = &components.Network{From: from, To: []components.Peer{data.Storage()}}
	for _, k := range l.Client().Keys {
		s.SecretEnv[k.Name] = l.Client().Secret().Key(k.Name)
	}
	return s
}

// env are the variables of OCIS that are no secrets (owncloud/ocis,
// deployments/examples/ocis_full).
func (l Layer) env() map[string]string {
	return map[string]string{
		"OCIS_URL":                       "https://" + l.Client().Host,
		"OCIS_OIDC_ISSUER":               l.Client().Issuer(),
		"OCIS_EXCLUDE_RUN_SERVICES":      "idp",
		"PROXY_HTTP_ADDR":                fmt.Sprintf("0.0.0.0:%d", ocis().Port),
		"PROXY_TLS":                      "false",
		"PROXY_OIDC_REWRITE_WELLKNOWN":   "true",
		"PROXY_AUTOPROVISION_ACCOUNTS":   "true",
		"PROXY_CSP_CONFIG_FILE_LOCATION": "/etc/ocis-csp/csp.yaml",
		"NATS_NATS_HOST":                 "0.0.0.0",
		"NATS_NATS_PORT":                 fmt.Sprint(nats),
		"POSTPROCESSING_STEPS":           "virusscan",
		"SEARCH_EXTRACTOR_TYPE":          "tika",
		"SEARCH_EXTRACTOR_TIKA_TIKA_URL": "http://127.0.0.1:9998",
		"STORAGE_USERS_DRIVER":           "s3ng",
		"STORAGE_USERS_S3NG_REGION":      "default",
		"STORAGE_USERS_S3NG_BUCKET":      Bucket,
		"STORAGE_USERS_DATA_GATEWAY_URL": "http://" + ocis().Address() + "/data",
	}
}

// policy is the content security policy of the web app: it may ask Authentik
// for tokens.
func (l Layer) policy() *components.ConfigMap {
	text := fmt.Sprintf(`directives:
  default-src: ["'none'"]
  connect-src: ["'self'", "https://%s/"]
  font-src: ["'self'"]
  frame-src: ["'self'", "blob:"]
  img-src: ["'self'", "data:", "blob:"]
  manifest-src: ["'self'"]
  media-src: ["'self'"]
  object-src: ["'self'", "blob:"]
  script-src: ["'self'", "'unsafe-inline'"]
  style-src: ["'self'", "'unsafe-inline'"]
`, l.Client().Authentik)
	return &components.ConfigMap{Name: "ocis-csp", Namespace: Namespace, Data: map[string]string{"csp.yaml": text}}
}

// virusScan takes each upload from OCIS' queue and hands it to the scanner
// beside it, over a socket in a volume that both have.
func (l Layer) virusScan() components.Worker {
	socket := components.Volume{Name: "socket", Path: "/run/clamav"}
	return components.Worker{
		Name:      "virusscan",
		Namespace: Namespace,
		Image:     image,
		Args:      []string{"antivirus", "server"},
		Env: map[string]string{
			"OCIS_EVENTS_ENDPOINT":    fmt.Sprintf("%s:%d", ocis().Host(), nats),
			"ANTIVIRUS_SCANNER_TYPE":  "clamav",
			"ANTIVIRUS_CLAMAV_SOCKET": "/run/clamav/clamd.sock",
			"ANTIVIRUS_MAX_SCAN_SIZE": "100MB",
		},
		Volumes: []components.Volume{socket},
		Sidecars: []components.Workload{{
			Name: "clamav", Image: scanner,
			Volumes: []components.Volume{
				socket,
				{Name: "signatures", Path: "/var/lib/clamav", Size: resource.MustParse("2Gi")},
				{Name: "clamd", Path: "/etc/clamav/clamd.conf", SubPath: "clamd.conf", Config: clamd()},
			},
		}},
		Network: &components.Network{To: []components.Peer{
			ocis().Peer(),
			data.Storage(), // the signatures come from public addresses too
		}},
		Assumed: assumed,
	}
}

// clamd is the configuration of the scanner.
func clamd() *components.ConfigMap {
	return &components.ConfigMap{Name: "clamd", Namespace: Namespace, Data: map[string]string{
		"clamd.conf": "Foreground yes\nLocalSocket /run/clamav/clamd.sock\nDatabaseDirectory /var/lib/clamav\n",
	}}
}

// bucket makes the bucket where it is not there yet, before a release needs
// it.
func (l Layer) bucket() components.Job {
	storage := l.Client().Secret()
	return components.Job{
		Name:          "bucket",
		Namespace:     Namespace,
		Image:         data.Rclone,
		Args:          []string{"mkdir", "storage:" + Bucket},
		BeforeRelease: true,
		Env:           data.StorageEnv(),
		SecretEnv: map[string]secret.Ref{
			"RCLONE_CONFIG_STORAGE_ENDPOINT":          storage.Key("STORAGE_USERS_S3NG_ENDPOINT"),
			"RCLONE_CONFIG_STORAGE_ACCESS_KEY_ID":     storage.Key("STORAGE_USERS_S3NG_ACCESS_KEY"),
			"RCLONE_CONFIG_STORAGE_SECRET_ACCESS_KEY": storage.Key("STORAGE_USERS_S3NG_SECRET_KEY"),
		},
		Network: &components.Network{To: []components.Peer{data.Storage()}},
		Assumed: assumed,
	}
}

// Tree is the layer in an environment of the app tier.
func Tree(environment string, images render.Images) (render.Tree, error) {
	env, err := apps.Environments().Get(environment)
	if err != nil {
		return render.Tree{}, err
	}
	tier, err := apps.Tree(environment, images)
	if err != nil {
		return render.Tree{}, err
	}
	namespace, _ := apps.Deployer()
	l := Layer{Environment: env, Callers: []string{namespace}} // platform-api
	// OIDC: the layer has a blueprint of its own, beside that of the app tier.
	theirs, _, err := auth.Blueprint(tier)
	if err != nil {
		return render.Tree{}, err
	}
	blueprint := authentik.Blueprint{
		Name:      "dezky-files-" + environment,
		Namespace: theirs.Namespace,
		Version:   theirs.Version,
		Clients:   []components.OIDCClient{l.Client()},
		Assumed:   theirs.Assumed,
	}
	https := traefik.RedirectMiddleware{Name: "redirect-https", Namespace: Namespace, Assumed: true}
	tree := render.Tree{
		ID:   "dezky-files-" + environment,
		Name: "OCIS, " + environment,
		Layers: []render.Layer{{Name: "files", Namespace: Namespace, Files: []render.File{
			{Name: "00-namespace", Components: []object.Component{
				components.Namespace{Name: Namespace, PodSecurity: "baseline"},
				components.Network{Name: "default-deny", Namespace: Namespace},
				components.HTTP01Solver(Namespace, components.Peer{Namespace: "kube-system"}),
			}},
			{Name: "bucket", Components: []object.Component{l.bucket()}},
			{Name: "ocis", Components: []object.Component{
				*l.policy(), l.OCIS(), https,
				components.TLSIngress{Host: l.Client().Host, Backend: l.OCIS(), Issuer: l.Issuer, Redirect: https.Ref()},
			}},
			{Name: "virusscan", Components: []object.Component{*clamd(), l.virusScan()}},
		}}, {Name: "auth", Namespace: theirs.Namespace, Files: []render.File{
			{Name: blueprint.Name, Components: []object.Component{blueprint}},
		}}},
		Domains:        []string{l.Domain},
		ForeignDomains: apps.Environments().Foreign(l.Domain),
		Secrets:        []secret.Contract{l.Client().Secret(), blueprint.Secret()},
		Elsewhere: []check.Elsewhere{
			{ID: object.ID{Kind: "Namespace", Name: namespace}},
			{ID: object.ID{Kind: "Namespace", Name: theirs.Namespace}},
			{ID: object.ID{Group: "networking.k8s.io", Kind: "IngressClass", Name: "traefik"}},
			{ID: object.ID{Group: "cert-manager.io", Kind: "ClusterIssuer", Name: l.Issuer}},
		},
	}
	tree.Texts = []render.Text{{Name: "secrets.example.yaml", Content: secretsOf(tree).Template}}
	return tree, nil
}

// Secrets are the contracts of this layer, and of that whose values it
// repeats.
func Secrets(environment string) (secrets.Set, error) {
	tree, err := Tree(environment, render.Images{})
	if err != nil {
		return secrets.Set{}, err
	}
	return secretsOf(tree), nil
}

func secretsOf(tree render.Tree) secrets.Set {
	return secrets.Set{Secrets: append(slices.Clone(tree.Secrets), data.StorageSecret())}
}
