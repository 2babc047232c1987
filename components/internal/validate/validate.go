// Package validate appends what is wrong with names, hosts and ports to the
// mistakes of a component.
package validate

import (
	"strconv"
	"strings"
	"time"

	"k8s.io/apimachinery/pkg/util/validation"
	"k8s.io/apimachinery/pkg/util/validation/field"
)

// Name appends what a rule of apimachinery says of a name that must be there.
func Name(errs field.ErrorList, path *field.Path, value string, rule func(string) []string) field.ErrorList {
	if value == "" {
		return append(errs, field.Required(path, "give it a name"))
	}
	if isPlainLabel(value) {
		return errs
	}
	for _, msg := range rule(value) {
		errs = append(errs, field.Invalid(path, value, Plain(msg)))
	}
	return errs
}

// Namespace appends what is wrong with the name of a namespace.
func Namespace(errs field.ErrorList, path *field.Path, value string) field.ErrorList {
	if value == "" {
		return append(errs, field.Required(path, "say the namespace"))
	}
	return Name(errs, path, value, validation.IsDNS1123Label)
}

// Host appends what is wrong with a public host name.
func Host(errs field.ErrorList, path *field.Path, value string) field.ErrorList {
	if value == "" {
		return append(errs, field.Required(path, "give a public host name such as app.example.com"))
	}
	msgs := validation.IsDNS1123Subdomain(value)
	if len(msgs) == 0 && !strings.Contains(value, ".") {
		msgs = []string{"a public host name has a domain, such as app.example.com"}
	}
	for _, msg := range msgs {
		errs = append(errs, field.Invalid(path, value, Plain(msg)))
	}
	return errs
}

// Port appends what is wrong with a port number.
func Port(errs field.ErrorList, path *field.Path, value int32) field.ErrorList {
	for _, msg := range validation.IsValidPortNum(int(value)) {
		errs = append(errs, field.Invalid(path, value, Plain(msg)))
	}
	return errs
}

// The rules of apimachinery are regular expressions, which would take a third
// of the time in which an app is made. Nearly all names are so plain that they
// keep every rule there is; only the others are put to the rules.

// isPlainLabel reports that the value is a DNS label by all definitions.
func isPlainLabel(value string) bool {
	for i := range len(value) {
		c := value[i]
		inside := i > 0 && i < len(value)-1
		if !('a' <= c && c <= 'z' || i > 0 && '0' <= c && c <= '9' || inside && c == '-') {
			return false
		}
	}
	return value != "" && len(value) <= validation.DNS1035LabelMaxLength
}

// isPlainKey reports that the value may name a variable and a key of a ConfigMap.
func isPlainKey(value string) bool {
	for i := range len(value) {
		c := value[i]
		if !('A' <= c && c <= 'Z' || 'a' <= c && c <= 'z' || i > 0 && '0' <= c && c <= '9' || c == '_') {
			return false
		}
	}
	return value != "" && len(value) <= validation.DNS1123SubdomainMaxLength
}

// Key appends what a rule says of the key of a map; path is that of the map.
func Key(errs field.ErrorList, path *field.Path, key string, rule func(string) []string) field.ErrorList {
	if isPlainKey(key) {
		return errs
	}
	for _, msg := range rule(key) {
		errs = append(errs, field.Invalid(path.Key(key), key, Plain(msg)))
	}
	return errs
}

// IsPath reports whether the value is a path on a host, and no address.
func IsPath(value string) bool {
	return strings.HasPrefix(value, "/") && !strings.HasPrefix(value, "//") && !strings.ContainsAny(value, " \t\r\n\\")
}

// Duration writes a duration in the unit in which people state it: 14 d, 1h,
// 90s.
func Duration(d time.Duration) string {
	const day = 24 * time.Hour
	if d >= day && d%day == 0 {
		return strconv.Itoa(int(d/day)) + " d"
	}
	s := d.String()
	if strings.HasSuffix(s, "m0s") {
		s = strings.TrimSuffix(s, "0s")
	}
	if strings.HasSuffix(s, "h0m") {
		s = strings.TrimSuffix(s, "0m")
	}
	return s
}

// Plain takes the regular expression out of a message of apimachinery. What
// it allows is said in words before it.
func Plain(msg string) string {
	before, after, ok := strings.Cut(msg, "regex used for validation is ")
	if !ok {
		return msg
	}
	return strings.TrimRight(before, " ,(") + after[strings.LastIndex(after, ")"):]
}
