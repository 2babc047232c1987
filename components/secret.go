package components

import (
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/url"
	"strings"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/validation"
	"k8s.io/apimachinery/pkg/util/validation/field"
)

// Secret is the contract of a Kubernetes Secret: its name, and what must
// stand under each of its keys. It never holds a secret value. References to
// the Secret are made from it, and so are its template, its documentation and
// the check of the filled one.
type Secret struct {
	// Name and Namespace of the Secret.
	Name, Namespace string
	// Type of the Secret. If empty, Opaque.
	Type corev1.SecretType
	// Keys in the order in which they are documented.
	Keys []SecretKey
	// Reader says in a few words who reads the Secret outside the rendered
	// objects, for example "the Authentik worker (envFrom)". If empty, the
	// rendered objects do, and a key that none of them reads is reported.
	Reader string
}

// SecretKey is one key of a Secret contract.
type SecretKey struct {
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
	SameAs KeyRef
	// Backup says that data is lost with the value.
	Backup bool
	// Rotation says what a new value does. If empty, it can be rotated freely.
	Rotation Rotation
	// Placeholder says why the value may stay a placeholder for now, for
	// example "the bucket does not exist yet". If empty, it may not.
	Placeholder string
}

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
)

// KeyRef names a key of a Secret.
type KeyRef struct {
	// Namespace, Secret and Key name the key. A workload can read only the
	// Secrets of its own namespace.
	Namespace, Secret, Key string
	// err tells that the contract has no such key.
	err string
}

// String is namespace/secret.key, or nothing for the zero KeyRef.
func (r KeyRef) String() string {
	if r.Secret == "" {
		return ""
	}
	return r.Namespace + "/" + r.Secret + "." + r.Key
}

// Key refers to a key of the contract. A key that the contract lacks is
// refused by the component that uses the reference.
func (s Secret) Key(name string) KeyRef {
	ref := KeyRef{Namespace: s.Namespace, Secret: s.Name, Key: name}
	names := make([]string, len(s.Keys))
	for i, k := range s.Keys {
		if k.Name == name {
			return ref
		}
		names[i] = k.Name
	}
	ref.err = fmt.Sprintf("the contract of Secret %s has no key %q: add it there, or use one of %s", s.Name, name, strings.Join(names, ", "))
	return ref
}

// Env gives each secret key as a variable of its own name. Keys with a known
// Value are left out: such values stand inline.
func (s Secret) Env() map[string]KeyRef {
	env := make(map[string]KeyRef, len(s.Keys))
	for _, k := range s.Keys {
		if k.Value == "" {
			env[k.Name] = s.Key(k.Name)
		}
	}
	return env
}

// Object is the Secret with each key under a placeholder; see [Placeholder].
func (s Secret) Object() *corev1.Secret {
	secret := &corev1.Secret{
		TypeMeta:   metav1.TypeMeta{APIVersion: "v1", Kind: "Secret"},
		ObjectMeta: metav1.ObjectMeta{Namespace: s.Namespace, Name: s.Name},
		Type:       s.Type,
		StringData: make(map[string]string, len(s.Keys)),
	}
	if secret.Type == "" {
		secret.Type = corev1.SecretTypeOpaque
	}
	for _, k := range s.Keys {
		secret.StringData[k.Name] = k.Value
		if k.Value == "" {
			secret.StringData[k.Name] = Placeholder
		}
	}
	return secret
}

// ReadElsewhere says that the key is read outside the rendered objects: it
// is public and stands inline in them, or the contract names its Reader.
func (s Secret) ReadElsewhere(key string) bool {
	for _, k := range s.Keys {
		if k.Name == key && k.Value != "" {
			return true
		}
	}
	return s.Reader != ""
}

// PendingValues lists the keys that may hold a placeholder for now, a sentence
// each.
func (s Secret) PendingValues() []string {
	var list []string
	for _, k := range s.Keys {
		if k.Placeholder != "" {
			list = append(list, fmt.Sprintf("Secret %s/%s, %s: a placeholder, since %s", s.Namespace, s.Name, k.Name, k.Placeholder))
		}
	}
	return list
}

// Placeholder stands in a template where a person or a generator fills in a
// value. No check takes it for one.
const Placeholder = "REPLACE"

// Validate reports every mistake in the contract itself.
func (s Secret) Validate() error {
	var errs field.ErrorList
	errs = checkName(errs, field.NewPath("name"), s.Name, validation.IsDNS1123Subdomain)
	errs = checkNamespace(errs, field.NewPath("namespace"), s.Namespace)
	if len(s.Keys) == 0 {
		errs = append(errs, field.Required(field.NewPath("keys"), "a contract has keys"))
	}
	seen := make(map[string]bool, len(s.Keys))
	for i, k := range s.Keys {
		path := field.NewPath("keys").Index(i)
		if k.Name == "" {
			errs = append(errs, field.Required(path.Child("name"), "name the key"))
			continue
		}
		for _, msg := range validation.IsConfigMapKey(k.Name) {
			errs = append(errs, field.Invalid(path.Child("name"), k.Name, msg))
		}
		if seen[k.Name] {
			errs = append(errs, field.Duplicate(path.Child("name"), k.Name))
		}
		seen[k.Name] = true
		if k.Purpose == "" {
			errs = append(errs, field.Required(path.Child("purpose"), "say in a line what "+k.Name+" is for"))
		}
		if k.SameAs.err != "" {
			errs = append(errs, field.Invalid(path.Child("sameAs"), k.SameAs.String(), k.SameAs.err))
		}
		if f, ok := k.Format.(interface{ Validate() error }); ok {
			if err := f.Validate(); err != nil {
				errs = append(errs, field.Invalid(path.Child("format"), field.OmitValueType{}, err.Error()))
			}
		}
		if k.Value != "" && k.Format != nil {
			if err := k.Format.Check(k.Value); err != nil {
				errs = append(errs, field.Invalid(path.Child("value"), k.Value, err.Error()))
			}
		}
	}
	return Mistakes("Secret", s.Namespace, s.Name, errs)
}

// Format is what the reader of a value demands of it. A layer may bring its
// own. A Format that also has
//
//	Generate(random io.Reader) (string, error)
//
// can be filled by a program, and one that also has
//
//	Validate() error
//
// is asked by [Secret.Validate] whether it makes sense.
type Format interface {
	// String says the format in a few words, with the command that makes such
	// a value where there is one.
	String() string
	// Check says what is wrong with the value, never any part of it.
	Check(value string) error
}

// Hex is that many random bytes in hexadecimal digits.
type Hex int

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

// Validate refuses what is no length.
func (n Hex) Validate() error { return checkLength(int(n)) }

// Generate makes a value.
func (n Hex) Generate(random io.Reader) (string, error) {
	b, err := randomBytes(int(n), random)
	return hex.EncodeToString(b), err
}

// Base64 is that many random bytes in standard base64.
type Base64 int

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

// Validate refuses what is no length.
func (n Base64) Validate() error { return checkLength(int(n)) }

// Generate makes a value.
func (n Base64) Generate(random io.Reader) (string, error) {
	b, err := randomBytes(int(n), random)
	return base64.StdEncoding.EncodeToString(b), err
}

// Random is random text of at least that many characters.
type Random int

func (n Random) String() string {
	return fmt.Sprintf("random text of %d characters or more (openssl rand -hex %d)", int(n), (int(n)+1)/2)
}

// Check implements Format.
func (n Random) Check(value string) error {
	if len(value) < int(n) {
		return fmt.Errorf("must be %s", n)
	}
	return nil
}

// Validate refuses what is no length.
func (n Random) Validate() error { return checkLength(int(n)) }

// Generate makes a value.
func (n Random) Generate(random io.Reader) (string, error) {
	return Hex((int(n) + 1) / 2).Generate(random)
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
	// Host is host:port, or one of several that stand in the URI, separated by commas.
	Host string
	// Database is the path without its leading slash.
	Database string
	// Password says that a password must stand in the URI.
	Password bool
}

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

// Check implements Format.
func (u URI) Check(value string) error {
	scheme, rest, ok := strings.Cut(value, "://")
	if !ok {
		return fmt.Errorf("must be %s", u)
	}
	// Not url.Parse as a whole: MongoDB's URIs name several hosts.
	authority, path, _ := strings.Cut(rest, "/")
	path, _, _ = strings.Cut(path, "?")
	userinfo, hosts := "", authority
	if i := strings.LastIndex(authority, "@"); i >= 0 {
		userinfo, hosts = authority[:i], authority[i+1:]
	}
	var errs []error
	if u.Scheme != "" && scheme != u.Scheme {
		errs = append(errs, fmt.Errorf("the scheme must be %s", u.Scheme))
	}
	if _, err := url.Parse(scheme + "://" + userinfo + "@host/"); err != nil {
		errs = append(errs, errors.New("the user or the password has a character that must be percent-encoded"))
	}
	if _, password, _ := strings.Cut(userinfo, ":"); u.Password && password == "" {
		errs = append(errs, errors.New("the password is missing: USER:PASSWORD@ must stand before the host, its special characters percent-encoded"))
	}
	if u.Host != "" && !containsHost(hosts, u.Host) {
		errs = append(errs, fmt.Errorf("the host must be %s", u.Host))
	}
	if u.Database != "" && path != u.Database {
		errs = append(errs, fmt.Errorf("the database must be %s", u.Database))
	}
	return errors.Join(errs...)
}

func containsHost(hosts, want string) bool {
	for h := range strings.SplitSeq(hosts, ",") {
		if h == want {
			return true
		}
	}
	return false
}

// DockerConfig is a registry credential, as kubectl create secret
// docker-registry writes it under .dockerconfigjson.
type DockerConfig struct {
	// Registry is the host that the credential is for.
	Registry string
}

func (d DockerConfig) String() string {
	return fmt.Sprintf("a Docker config with a login for %s (kubectl create secret docker-registry)", d.Registry)
}

// Check implements Format.
func (d DockerConfig) Check(value string) error {
	var config struct {
		Auths map[string]struct {
			Auth, Username, Password string
		} `json:"auths"`
	}
	if json.Unmarshal([]byte(value), &config) != nil {
		return fmt.Errorf("must be %s", d)
	}
	login, ok := config.Auths[d.Registry]
	if !ok {
		return fmt.Errorf("has no login for %s", d.Registry)
	}
	user, password := login.Username, login.Password
	if login.Auth != "" { // counts before the other two for the kubelet as well
		auth, err := decodeAuth(login.Auth)
		if err != nil {
			return fmt.Errorf("the login for %s has an auth that is not base64: it must be USER:PASSWORD in base64", d.Registry)
		}
		user, password, _ = strings.Cut(auth, ":")
	}
	if user == "" || password == "" {
		return fmt.Errorf("the login for %s has no user or no password", d.Registry)
	}
	return nil
}

// decodeAuth decodes base64 with or without padding.
func decodeAuth(auth string) (string, error) {
	b, err := base64.StdEncoding.DecodeString(auth)
	if err != nil {
		b, err = base64.RawStdEncoding.DecodeString(auth)
	}
	return string(b), err
}
