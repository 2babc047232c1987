package components

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"maps"
	"strings"
	"unicode/utf8"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/validation"
	"k8s.io/apimachinery/pkg/util/validation/field"

	"git.lastcloud.io/ronnibaslund/dezky/fleet/components/internal/validate"
	"git.lastcloud.io/ronnibaslund/dezky/fleet/render/object"
)

// ConfigMap is public configuration. A [WebApp] that reads it carries its
// checksum, so that a change rolls that app and no other.
type ConfigMap struct {
	// Name and Namespace of the ConfigMap.
	Name, Namespace string
	// Data by key.
	Data map[string]string
	// Pending are further keys, whose values are not known yet.
	Pending map[string]Pending
	// Assumed says that nobody has confirmed the keys. Until confirmed, the
	// object has -assumed after its name, so that a live one of the confirmed
	// name keeps its keys, and a [WebApp] that reads it reads both, if both are
	// there. What stands in both it takes from the live one.
	Assumed bool
	// Changes are applied to the object last; see [Edit].
	Changes []Change
}

// Pending is a value that stands in for one that is not known yet.
type Pending struct {
	// Value that is rendered until then. If empty, the key holds an empty
	// string, which the reader must take for "not there yet".
	Value string
	// Until says what must happen, or be looked up, before the value is right.
	Until string
}

// maxConfig is how much a ConfigMap may hold, in bytes (k8s.io/api, core/v1,
// MaxSecretSize; the validation of ConfigMaps has the same).
const maxConfig = corev1.MaxSecretSize

// Objects implements [object.Component].
func (c ConfigMap) Objects() ([]object.Object, error) {
	var errs field.ErrorList
	errs = validate.Name(errs, field.NewPath("name"), c.Name, validation.IsDNS1123Subdomain)
	errs = validate.Namespace(errs, field.NewPath("namespace"), c.Namespace)
	size := 0
	for _, k := range sortedKeys(c.Data) {
		errs = validate.Key(errs, field.NewPath("data"), k, validation.IsConfigMapKey)
		if !utf8.ValidString(c.Data[k]) {
			errs = append(errs, field.Invalid(field.NewPath("data").Key(k), field.OmitValueType{}, "is no text in UTF-8"))
		}
		size += len(k) + len(c.Data[k])
	}
	if size > maxConfig {
		errs = append(errs, field.TooLong(field.NewPath("data"), "", maxConfig))
	}
	for _, k := range sortedKeys(c.Pending) {
		path := field.NewPath("pending").Key(k)
		errs = validate.Key(errs, field.NewPath("pending"), k, validation.IsConfigMapKey)
		if _, ok := c.Data[k]; ok {
			errs = append(errs, field.Duplicate(path, k))
		}
		if c.Pending[k].Until == "" {
			errs = append(errs, field.Required(path.Child("until"), "say what the value waits for"))
		}
	}
	objects := []object.Object{&corev1.ConfigMap{
		TypeMeta:   metav1.TypeMeta{APIVersion: "v1", Kind: "ConfigMap"},
		ObjectMeta: meta(c.Namespace, c.ObjectName()),
		Data:       c.data(),
	}}
	errs = append(errs, Apply(objects, c.Changes)...)
	return objects, object.Invalid(object.ID{Kind: "ConfigMap", Namespace: c.Namespace, Name: c.Name}, errs).Err()
}

// ObjectName returns the name of the object: the ConfigMap's own, with -assumed
// after it while its keys are assumed.
func (c ConfigMap) ObjectName() string {
	if c.Assumed && c.Name != "" {
		return c.Name + "-assumed"
	}
	return c.Name
}

// data is what the object holds, known and pending.
func (c ConfigMap) data() map[string]string {
	data := maps.Clone(c.Data)
	if data == nil {
		data = make(map[string]string, len(c.Pending))
	}
	for k, p := range c.Pending {
		data[k] = p.Value
	}
	return data
}

// final is the data that the object has after its changes. What is wrong with
// them is told where the ConfigMap itself is rendered.
func (c ConfigMap) final() map[string]string {
	objects, _ := c.Objects()
	if m, ok := objects[0].(*corev1.ConfigMap); ok {
		return m.Data
	}
	return nil
}

// checksum changes with the data and with nothing else. Half a SHA-256 is
// plenty to tell two versions of one ConfigMap apart, and easier to read.
func (c ConfigMap) checksum() string {
	text, err := json.Marshal(c.final()) // sorted by key
	if err != nil {
		return "" // a map of strings always marshals
	}
	return sum(string(text))
}

// sum is half a SHA-256 of texts, in hexadecimal digits.
func sum(texts ...string) string {
	hash := sha256.New()
	for _, t := range texts {
		hash.Write([]byte(t))
	}
	return hex.EncodeToString(hash.Sum(nil)[:16])
}

// About implements [object.Component].
func (c ConfigMap) About() object.About {
	var about object.About
	for _, k := range sortedKeys(c.Pending) {
		value := c.Pending[k].Value
		if value == "" {
			value = "(empty)"
		}
		about.Pending = append(about.Pending, fmt.Sprintf("ConfigMap %s/%s, %s: %s until %s", c.Namespace, c.Name, k, value, c.Pending[k].Until))
	}
	if c.Assumed {
		about.Assumed = []object.Assumption{{
			What:    "ConfigMap " + c.Namespace + "/" + c.Name + ": its keys",
			Value:   strings.Join(sortedKeys(c.data()), ", "),
			Confirm: "`kubectl -n " + c.Namespace + " get configmap " + c.Name + " -o yaml`, and the code of what reads it",
			Until:   "it is rendered as " + c.ObjectName() + ", and the live " + c.Name + " is not touched: what it holds comes first",
			Buys:    "one ConfigMap, as rendered; then delete " + c.Name + "-assumed",
		}}
	}
	return about
}
