// Package secret describes Kubernetes Secrets by contract: which keys a Secret
// has, what their reader demands of each value, where the value comes from and
// what a new one does. A contract never holds a secret value.
package secret

import (
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/url"
	"path"
	"regexp"
	"strings"
	"unicode/utf8"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/util/validation"
	"k8s.io/apimachinery/pkg/util/validation/field"

	"git.lastcloud.io/ronnibaslund/dezky/fleet/components/internal/validate"
	"git.lastcloud.io/ronnibaslund/dezky/fleet/render/object"
	"git.lastcloud.io/ronnibaslund/dezky/fleet/render/placeholder"
)

// Contract describes a Kubernetes Secret: its name, and what must stand under
// each of its keys. It never holds a secret value. References to the Secret
// are made from it, and so are its template, its documentation and the check
// of the filled one.
type Contract struct {
	// Name and Namespace of the Secret.
	Name, Namespace string
	// Type of the Secret. If empty, Opaque.
	Type corev1.SecretType
	// Keys in the order in which they are documented.
	Keys []Key
	// Reader says in a few words who reads the Secret outside the rendered
	// objects, for example "the Authentik worker (envFrom)". If empty, the
	// rendered objects do, and a key that none of them reads is reported.
	Reader string
}

// Key is one key of a contract.
type Key struct {
	// Name of the key.
	Name string
	// Purpose in one line.
	Purpose string
	// Source says how a person gets the value. If empty, the Format says it.
	Source string
	// Format is what the reader of the value demands. If nil, any text that
	// is not empty.
	Format Format
	// Value is the value itself, for a key that is public and follows from
	// the definitions, such as a redirect URI. The apps take such a value
	// inline; the key stays in the Secret for readers outside the tier.
	// If empty, the value is secret or only a person knows it.
	Value string
	// SameAs names the key whose value this one repeats. If zero, the value
	// stands here alone.
	SameAs Ref
	// Made makes the value of another key's. If nil, it stands for itself.
	Made *Made
	// Backup says that data is lost with the value.
	Backup bool
	// Rotation says what a new value does. If empty, it can be rotated freely.
	Rotation Rotation
	// Placeholder says why the value may stay a placeholder for now, for
	// example "the bucket does not exist yet". If empty, it may not.
	Placeholder string
}

// Check says what is wrong with a value of the key, never any part of it:
// what its Format demands, and what Nuxt does with it on the way.
func (k Key) Check(value string) error {
	var errs []error
	if k.Format != nil {
		errs = append(errs, k.Format.Check(value))
	}
	if k.readByNuxt() && destrChanges(value) {
		errs = append(errs, errors.New("is no text to Nuxt, which makes a number, a boolean, null or an object of it (unjs/destr): take another value, for example one that begins with a letter"))
	}
	return errors.Join(errs...)
}

// readByNuxt reports whether Nuxt reads the key by itself: it overrides its
// runtime configuration with the variables whose names begin with NUXT_ (Nuxt
// documentation, 'Runtime Config'), and a key is the variable of its name.
func (k Key) readByNuxt() bool { return strings.HasPrefix(k.Name, "NUXT_") }

// The texts that destr takes for something else (unjs/destr, src/index.ts).
var (
	destrWord   = regexp.MustCompile(`^(?i:true|false|undefined|null|nan|-?infinity)$`)
	destrString = regexp.MustCompile(`^"[^"\\\x00-\x1f]*"$`)
	destrJSON   = regexp.MustCompile(`^\s*["[{]|^\s*-?\d{1,16}(\.\d{1,17})?([Ee][+-]?\d+)?\s*$`)
)

// destrChanges reports whether destr gives anything but the text itself.
func destrChanges(value string) bool {
	return destrWord.MatchString(strings.TrimSpace(value)) ||
		destrString.MatchString(value) ||
		destrJSON.MatchString(value) && json.Valid([]byte(value))
}

// How returns how a person gets the value of the key, and what it must be.
func (k Key) How() string {
	switch {
	case k.Source != "" && k.formatAddsToSource():
		return k.Source + "; it must be " + k.Format.String()
	case k.Source != "":
		return k.Source
	case k.SameAs.Secret != "":
		return fmt.Sprintf("the value of Secret %s/%s, key %s", k.SameAs.Namespace, k.SameAs.Secret, k.SameAs.Key)
	case k.Format != nil:
		return k.Format.String()
	}
	return "any text"
}

// formatAddsToSource reports whether the Source leaves the Format unsaid.
func (k Key) formatAddsToSource() bool {
	return k.Format != nil && !strings.Contains(k.Source, k.Format.String())
}

// Made is a value that holds the value of another key, such as a connection
// string that holds a password:
//
//	Made: &secret.Made{Before: "redis://:", Of: password, After: "@redis.data:6379/1"}
//
// A program fills it in, and a check holds the two together.
type Made struct {
	// Of is the key whose value stands in it, percent-encoded as the user
	// information of a URI demands (RFC 3986). It may be of another namespace,
	// and must not be made itself.
	Of Ref
	// Before and After are what stands around it.
	Before, After string
}

// Value returns the value that is made of that of the other key.
func (m Made) Value(of string) string { return m.Before + url.User(of).String() + m.After }

// Rotation says what happens when a key gets a new value.
type Rotation string

// The effects of a rotation.
const (
	// RotatesFreely: a restart of its reader is all that it takes.
	RotatesFreely Rotation = ""
	// RotationLogsOut: everyone who is signed in must sign in again.
	RotationLogsOut Rotation = "logs everyone out"
	// RotationLosesData: what was stored under the old value is unreadable.
	RotationLosesData Rotation = "loses data"
	// RotationNeedsPeer: every other place that holds the value must change at
	// the same time.
	RotationNeedsPeer Rotation = "must change everywhere it is held, at once"
	// RotationNeedsBlueprint: Authentik holds the value through a blueprint,
	// which it applies anew when its text changes, not when a variable does
	// (goauthentik/authentik, authentik/blueprints/v1/tasks.py).
	RotationNeedsBlueprint Rotation = "must change everywhere it is held, at once: then restart Authentik's worker and apply the blueprint by hand (Admin, Customization, Blueprints)"
)

// Ref names a key of a Secret.
type Ref struct {
	// Namespace, Secret and Key name the key. A workload can read only the
	// Secrets of its own namespace.
	Namespace, Secret, Key string
}

// String returns namespace/secret.key, or nothing for the zero Ref.
func (r Ref) String() string {
	if r.Secret == "" {
		return ""
	}
	return r.Namespace + "/" + r.Secret + "." + r.Key
}

// Key refers to a key of the contract. Rendering refuses a reference to a key
// that the contract lacks.
func (c Contract) Key(name string) Ref {
	return Ref{Namespace: c.Namespace, Secret: c.Name, Key: name}
}

// Env returns each secret key as a variable of its own name. Keys with a known
// Value are left out: such values stand inline.
func (c Contract) Env() map[string]Ref {
	env := make(map[string]Ref, len(c.Keys))
	for _, k := range c.Keys {
		if k.Value == "" {
			env[k.Name] = c.Key(k.Name)
		}
	}
	return env
}

// ReadElsewhere reports whether a key is read outside the rendered objects: it
// is public and stands inline in them, or the contract names its Reader.
func (c Contract) ReadElsewhere(key string) bool {
	for _, k := range c.Keys {
		if k.Name == key && k.Value != "" {
			return true
		}
	}
	return c.Reader != ""
}

// Pending returns the keys that may hold a placeholder for now, a sentence
// each.
func (c Contract) Pending() []string {
	var list []string
	for _, k := range c.Keys {
		if k.Placeholder != "" {
			list = append(list, fmt.Sprintf("Secret %s/%s, %s: a placeholder, since %s", c.Namespace, c.Name, k.Name, k.Placeholder))
		}
	}
	return list
}

// Placeholder stands in a template where a person or a generator fills in a
// value. No check takes it for one.
const Placeholder = placeholder.Text

// Validate reports every mistake in the contract itself.
func (c Contract) Validate() error {
	var errs field.ErrorList
	errs = validate.Name(errs, field.NewPath("name"), c.Name, validation.IsDNS1123Subdomain)
	errs = validate.Namespace(errs, field.NewPath("namespace"), c.Namespace)
	if len(c.Keys) == 0 {
		errs = append(errs, field.Required(field.NewPath("keys"), "a contract has keys"))
	}
	seen := make(map[string]bool, len(c.Keys))
	for i, k := range c.Keys {
		path := field.NewPath("keys").Index(i)
		errs = append(errs, k.Validate(path)...)
		if seen[k.Name] && k.Name != "" {
			errs = append(errs, field.Duplicate(path.Child("name"), k.Name))
		}
		seen[k.Name] = true
	}
	return object.Invalid(object.ID{Kind: "Secret", Namespace: c.Namespace, Name: c.Name}, errs).Err()
}

// Validate returns every mistake in the key itself, below its path.
func (k Key) Validate(path *field.Path) field.ErrorList {
	if k.Name == "" {
		return field.ErrorList{field.Required(path.Child("name"), "name the key")}
	}
	var errs field.ErrorList
	for _, msg := range validation.IsConfigMapKey(k.Name) {
		errs = append(errs, field.Invalid(path.Child("name"), k.Name, validate.Plain(msg)))
	}
	if k.Purpose == "" {
		errs = append(errs, field.Required(path.Child("purpose"), "say in a line what "+k.Name+" is for"))
	}
	if f, ok := k.Format.(Validator); ok {
		if err := f.Validate(); err != nil {
			errs = append(errs, field.Invalid(path.Child("format"), field.OmitValueType{}, err.Error()))
		}
	}
	if k.Made != nil && (k.Value != "" || k.SameAs.Secret != "" || k.Source != "") {
		errs = append(errs, field.Forbidden(path.Child("made"), "says where the value comes from: leave out value, sameAs and source"))
	}
	if k.Value != "" {
		if err := k.Check(k.Value); err != nil {
			errs = append(errs, field.Invalid(path.Child("value"), k.Value, err.Error()))
		}
	}
	return errs
}

// Format is what the reader of a value demands of it. A layer may bring its
// own. It may implement [Generator] and [Validator] too.
type Format interface {
	// String says the format in a few words, with the command that makes such
	// a value where there is one.
	String() string
	// Check says what is wrong with the value, never any part of it.
	Check(value string) error
}

// Generator is implemented by a [Format] whose values a program can make.
type Generator interface {
	// Generate returns a new value that is made of bytes of random.
	Generate(random io.Reader) (string, error)
}

// Validator is implemented by a [Format] that can make no sense, such as text
// of length zero. [Contract.Validate] calls it.
type Validator interface {
	// Validate returns what is wrong with the format itself.
	Validate() error
}

// Hex is that many random bytes in hexadecimal digits.
type Hex int

// String implements [Format].
func (n Hex) String() string {
	return fmt.Sprintf("%d random bytes in hex (openssl rand -hex %d)", int(n), int(n))
}

// Check implements Format.
func (n Hex) Check(value string) error {
	if b, err := hex.DecodeString(value); err != nil || len(b) != int(n) {
		return fmt.Errorf("must be %s, %d characters of 0-9 and a-f", n, 2*int(n))
	}
	return nil
}

// Validate implements [Validator]: a length is positive.
func (n Hex) Validate() error { return checkLength(int(n)) }

// Generate implements [Generator].
func (n Hex) Generate(random io.Reader) (string, error) {
	b, err := randomBytes(int(n), random)
	return hex.EncodeToString(b), err
}

// Base64 is that many random bytes in standard base64.
type Base64 int

// String implements [Format].
func (n Base64) String() string {
	return fmt.Sprintf("%d random bytes in base64 (openssl rand -base64 %d)", int(n), int(n))
}

// Check implements Format. The usual mistake has its own sentence: hex digits
// are base64 characters too, so such a key decodes, to the wrong length.
func (n Base64) Check(value string) error {
	if b, err := base64.StdEncoding.DecodeString(value); err == nil && len(b) == int(n) {
		return nil
	}
	if Hex(n).Check(value) == nil {
		return fmt.Errorf("is in hex, must be %s", n)
	}
	return fmt.Errorf("must be %s", n)
}

// Validate implements [Validator]: a length is positive.
func (n Base64) Validate() error { return checkLength(int(n)) }

// Generate implements [Generator].
func (n Base64) Generate(random io.Reader) (string, error) {
	b, err := randomBytes(int(n), random)
	return base64.StdEncoding.EncodeToString(b), err
}

// Random is random text of at least that many characters.
type Random int

// String implements [Format].
func (n Random) String() string {
	return fmt.Sprintf("random text of %d characters or more (printf k; openssl rand -hex %d)", int(n), (int(n)+1)/2)
}

// Check implements Format.
func (n Random) Check(value string) error {
	if len(value) < int(n) {
		return fmt.Errorf("must be %s", n)
	}
	return nil
}

// Validate implements [Validator]: a length is positive.
func (n Random) Validate() error { return checkLength(int(n)) }

// Generate implements [Generator]: random hex digits after a letter that is none, so
// that no reader takes it for a number.
func (n Random) Generate(random io.Reader) (string, error) {
	digits, err := Hex((int(n) + 1) / 2).Generate(random)
	if err != nil {
		return "", err
	}
	return "k" + digits, nil
}

func checkLength(n int) error {
	if n < 1 {
		return fmt.Errorf("is %d long, must be 1 or more", n)
	}
	return nil
}

// randomBytes reads that many bytes, or none.
func randomBytes(n int, random io.Reader) ([]byte, error) {
	if err := checkLength(n); err != nil {
		return nil, err
	}
	if random == nil {
		return nil, errors.New("there is no source of random bytes: pass crypto/rand.Reader")
	}
	b := make([]byte, n)
	if _, err := io.ReadFull(random, b); err != nil {
		return nil, fmt.Errorf("no random bytes: %w", err)
	}
	return b, nil
}

// URI is a connection string. Empty fields are not checked.
type URI struct {
	// Scheme such as redis.
	Scheme string
	// Host is host:port, or one of several that stand in the URI, separated
	// by commas. The host of mongodb+srv has no port.
	Host string
	// Database is the path without its leading slash.
	Database string
	// Password says that a password must stand in the URI.
	Password bool
}

// String implements [Format].
func (u URI) String() string {
	host, database := u.Host, u.Database
	if host == "" {
		host = "HOST:PORT"
	}
	if database == "" {
		database = "DATABASE"
	}
	return fmt.Sprintf("a URI %s://USER:PASSWORD@%s/%s", u.Scheme, host, database)
}

// Validate implements [Validator].
func (u URI) Validate() error {
	if u.Scheme == "mongodb+srv" && strings.Contains(u.Host, ":") {
		return errors.New("the host of mongodb+srv has no port: DNS gives it")
	}
	return nil
}

// errEncode is the mistake that all readers of connection strings punish,
// each in its own way: one sees another host, another refuses.
var errEncode = errors.New("the user or the password has a character that must be percent-encoded (RFC 3986): @ is %40, : is %3A, / is %2F, ? is %3F, # is %23, % is %25")

// Check implements Format. It reads the value as the strictest of its
// readers does: RFC 3986, the 'Connection String Spec' of MongoDB, and the
// URL parser of Node.
func (u URI) Check(value string) error {
	scheme, rest, ok := strings.Cut(value, "://")
	if !ok || rest == "" {
		return fmt.Errorf("must be %s", u)
	}
	var errs []error
	if u.Scheme != "" && scheme != u.Scheme {
		errs = append(errs, fmt.Errorf("the scheme must be %s", u.Scheme))
	}
	// Not url.Parse as a whole: MongoDB's URIs name several hosts.
	authority, after := rest, ""
	if i := strings.IndexAny(rest, "/?#"); i >= 0 {
		authority, after = rest[:i], rest[i:]
	}
	userinfo, hosts, hasUser := "", authority, false
	if i := strings.LastIndex(authority, "@"); i >= 0 {
		userinfo, hosts, hasUser = authority[:i], authority[i+1:], true
	}
	mongo := strings.HasPrefix(scheme, "mongodb")
	hostsErr := checkHosts(scheme, hosts, u.Host)
	// A delimiter in the password ends the host before the password does.
	if cut := !hasUser && strings.Contains(after, "@"); cut && (u.Password || hostsErr != nil || strings.Contains(after, "#")) {
		return errors.Join(append(errs, errEncode)...)
	}
	user, password, _ := strings.Cut(userinfo, ":")
	if !isUserinfo(user) || !isUserinfo(password) && !(isUserinfo(strings.ReplaceAll(password, ":", "")) && !mongo) {
		errs = append(errs, errEncode)
	}
	if hasUser && user == "" && (mongo || password == "") {
		errs = append(errs, errors.New("the user is missing before @"))
	}
	if u.Password && password == "" {
		errs = append(errs, errors.New("the password is missing: USER:PASSWORD@ must stand before the host, its special characters percent-encoded"))
	}
	if hostsErr != nil {
		errs = append(errs, hostsErr)
	}
	pathAndQuery, _, fragment := strings.Cut(after, "#")
	if fragment {
		errs = append(errs, errors.New("has a fragment (#), which no reader looks at"))
	}
	database, _, _ := strings.Cut(strings.TrimPrefix(pathAndQuery, "/"), "?")
	if u.Database != "" && database != u.Database {
		errs = append(errs, fmt.Errorf("the database must be %s", u.Database))
	}
	return errors.Join(errs...)
}

// isUserinfo reports whether the text is a user or a password as RFC 3986 has
// them in a URI, and text once it is decoded.
func isUserinfo(text string) bool {
	for _, c := range []byte(text) {
		letter := 'a' <= c && c <= 'z' || 'A' <= c && c <= 'Z' || '0' <= c && c <= '9'
		if !letter && !strings.ContainsRune("-._~!$&'()*+,;=%", rune(c)) {
			return false
		}
	}
	decoded, err := url.PathUnescape(text)
	return err == nil && utf8.ValidString(decoded)
}

// defaultPorts are the ports that readers add where the URI has none.
var defaultPorts = map[string]string{"mongodb": "27017", "redis": "6379", "rediss": "6379", "http": "80", "https": "443"}

// checkHosts holds the hosts of a URI against the one that must be among
// them, if any.
func checkHosts(scheme, hosts, want string) error {
	found := want == ""
	list := strings.Split(hosts, ",")
	if len(list) > 1 && scheme != "mongodb" {
		return fmt.Errorf("a URI %s:// names one host", scheme)
	}
	for _, h := range list {
		host, ok := withPort(scheme, h)
		if !ok {
			return errors.New("the host must be HOST:PORT, an IPv6 address in brackets")
		}
		expected, _ := withPort(scheme, want)
		found = found || strings.EqualFold(host, expected)
	}
	if !found {
		return fmt.Errorf("the host must be %s", want)
	}
	return nil
}

// withPort gives host:port with the scheme's own port where there is none.
// It is false where the text is no host.
func withPort(scheme, host string) (string, bool) {
	if strings.Count(host, ":") > 1 && !strings.HasPrefix(host, "[") {
		return "", false
	}
	u, err := url.Parse("x://" + host)
	if err != nil || u.Host != host || u.Hostname() == "" || u.User != nil || strings.HasSuffix(host, ":") {
		return "", false
	}
	port := u.Port()
	if port == "" {
		port = defaultPorts[scheme]
	} else if scheme == "mongodb+srv" {
		return "", false
	}
	return net.JoinHostPort(u.Hostname(), port), true
}

// DockerConfig is a registry credential, as kubectl create secret
// docker-registry writes it under .dockerconfigjson.
type DockerConfig struct {
	// Registry is the host that the credential is for.
	Registry string
	// Images are those that are pulled with it, for example
	// registry.example.com/shop/web; a tag does not matter. If empty, the
	// credential must be for every image of the Registry.
	Images []string
}

// String implements [Format].
func (d DockerConfig) String() string {
	return fmt.Sprintf("a Docker config with a login for %s (kubectl create secret docker-registry)", d.Registry)
}

// dockerLogin is one login of a Docker config.
type dockerLogin struct{ Auth, Username, Password string }

// Check implements Format. The kubelet takes more than the host alone: a
// scheme, a path that the image begins with, * in a part of the host
// (Kubernetes documentation, 'Images', config.json; k8s.io/kubernetes,
// pkg/credentialprovider/keyring.go). It tries every login that matches an
// image, and one is enough.
func (d DockerConfig) Check(value string) error {
	var config struct {
		Auths map[string]dockerLogin `json:"auths"`
	}
	if json.Unmarshal([]byte(value), &config) != nil {
		return fmt.Errorf("must be %s", d)
	}
	// One login that cannot be decoded spoils the whole file for the kubelet.
	problems := make(map[string]error, len(config.Auths))
	for key, login := range config.Auths {
		var broken bool
		if problems[key], broken = login.check(); broken {
			return fmt.Errorf("has a login whose auth is not base64 of USER:PASSWORD, and then the kubelet takes none of them")
		}
	}
	images := d.Images
	if len(images) == 0 {
		images = []string{d.Registry}
	}
	var missing, unusable []string
	for _, image := range images {
		var matched, usable bool
		for key := range config.Auths {
			if loginMatches(key, image) {
				matched, usable = true, usable || problems[key] == nil
			}
		}
		switch {
		case !matched:
			missing = append(missing, image)
		case !usable:
			unusable = append(unusable, image)
		}
	}
	// What is so of every image is so of the registry.
	name := func(some []string) string {
		if len(some) == len(images) {
			return d.Registry
		}
		return strings.Join(some, ", ")
	}
	var errs []error
	if len(missing) > 0 {
		errs = append(errs, fmt.Errorf("has no login for %s", name(missing)))
	}
	if len(unusable) > 0 {
		errs = append(errs, fmt.Errorf("the login for %s has no user or no password", name(unusable)))
	}
	return errors.Join(errs...)
}

// check says what is wrong with the login, and whether it cannot be decoded.
func (l dockerLogin) check() (problem error, broken bool) {
	user, password := l.Username, l.Password
	if l.Auth != "" { // counts before the other two for the kubelet as well
		encoding := base64.RawStdEncoding
		if strings.HasSuffix(strings.TrimSpace(l.Auth), "=") {
			encoding = base64.StdEncoding
		}
		b, err := encoding.DecodeString(l.Auth)
		if err != nil || !strings.Contains(string(b), ":") {
			return err, true
		}
		user, password, _ = strings.Cut(string(b), ":")
	}
	if user == "" || password == "" {
		return errors.New("no user or no password"), false
	}
	return nil, false
}

// loginMatches reports whether the kubelet takes the login under the key for
// the image.
func loginMatches(key, image string) bool {
	if !strings.HasPrefix(key, "https://") && !strings.HasPrefix(key, "http://") {
		key = "https://" + key
	}
	glob, err := url.Parse(key)
	if err != nil {
		return false
	}
	prefix := glob.Path
	if strings.HasPrefix(prefix, "/v1/") || strings.HasPrefix(prefix, "/v2/") {
		prefix = prefix[len("/v1"):]
	}
	if prefix == "/" {
		prefix = ""
	}
	target, err := url.Parse("https://" + image)
	if err != nil || !strings.HasPrefix(target.Path, prefix) {
		return false
	}
	globHost, globPort := hostAndPort(glob.Host)
	host, port := hostAndPort(target.Host)
	globs, parts := strings.Split(globHost, "."), strings.Split(host, ".")
	return globPort == port && len(globs) == len(parts) && matchAll(globs, parts)
}

// hostAndPort splits a host, whose port may be missing.
func hostAndPort(hostport string) (host, port string) {
	host, port, err := net.SplitHostPort(hostport)
	if err != nil {
		return hostport, ""
	}
	return host, port
}

// matchAll reports whether each pattern matches the text at its place.
func matchAll(patterns, texts []string) bool {
	for i, p := range patterns {
		if ok, err := path.Match(p, texts[i]); err != nil || !ok {
			return false
		}
	}
	return true
}
