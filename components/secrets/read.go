package secrets

import (
	"bytes"
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"regexp"
	"slices"
	"strings"

	"git.lastcloud.io/ronnibaslund/dezky/fleet/components"
	"go.yaml.in/yaml/v3"
)

// filled is a Secret of the input. Its texts come from the input, so none of
// them is for printing; problems are.
type filled struct {
	// place is where it begins.
	place string
	// namespace, name and kind, its type, are empty where the input says
	// nothing, or where encrypted hides them.
	namespace, name, kind string
	// cluster says that it was read from a cluster, not written by a person.
	cluster bool
	// encrypted names the tool that hid the values, or is empty.
	encrypted string
	entries   []entry
	// problems of the Secret as a whole.
	problems []string
	// more lists the lines of what a contract does not know, such as labels.
	more []int
	// contract is what the Secret must be. It is nil until match finds it.
	contract *components.Secret
}

// entry is one key with its value.
type entry struct {
	name, value string
	line        int
	// readable says that there is a value, and that it is not encrypted.
	readable bool
	problems []string
}

// entry finds a key.
func (f *filled) entry(name string) *entry {
	for i := range f.entries {
		if f.entries[i].name == name {
			return &f.entries[i]
		}
	}
	return nil
}

// parseLine finds the line number in an error of the parser. The rest of the
// error may hold text of the input.
var parseLine = regexp.MustCompile(`^yaml: line ([0-9]+): `)

// reader reads Secrets from YAML or JSON, which YAML includes.
type reader struct {
	secrets  []*filled
	findings []Finding
	// listed says that there was a list, which may be empty: so is a cluster.
	listed bool
}

func (r *reader) find(place, problem string) {
	r.findings = append(r.findings, Finding{Place: place, Problem: problem})
}

// read finds the Secrets of the input. It is false where the input cannot be
// read to its end.
func (r *reader) read(input []byte) bool {
	decoder := yaml.NewDecoder(bytes.NewReader(input))
	for number := 1; ; number++ {
		var node yaml.Node
		err := decoder.Decode(&node)
		if errors.Is(err, io.EOF) {
			return true
		}
		if err != nil {
			where := fmt.Sprintf("document %d", number)
			if m := parseLine.FindStringSubmatch(err.Error()); m != nil {
				where += ", near line " + m[1]
			}
			r.find(where, "is neither YAML nor JSON: mend it; nothing after this place was read")
			return false
		}
		if len(node.Content) == 1 {
			r.document(follow(node.Content[0]), number, nil)
		}
	}
}

// document reads a document or, with its list, an item of one.
func (r *reader) document(n *yaml.Node, number int, list fields) {
	where := fmt.Sprintf("document %d, line %d", number, n.Line)
	if isNull(n) {
		return
	}
	top, problems := fieldsOf(n)
	metadata, metadataProblems := fieldsOf(top["metadata"])
	f := &filled{
		place:     where,
		namespace: textOf(metadata["namespace"]),
		name:      textOf(metadata["name"]),
		kind:      textOf(top["type"]),
		cluster:   metadata["uid"] != nil,
		problems:  append(problems, metadataProblems...),
	}
	if top["sops"] != nil || list["sops"] != nil {
		f.encrypted = "SOPS"
	}
	switch kind := textOf(top["kind"]); {
	case (kind == "List" || kind == "SecretList") && list == nil:
		items := top["items"]
		if items == nil || items.Kind != yaml.SequenceNode {
			r.find(where, "is a list without items")
			return
		}
		r.listed = true
		for _, item := range items.Content {
			r.document(follow(item), number, top)
		}
		return
	case kind == "SealedSecret":
		r.sealed(f, top)
	case kind == "Secret" || f.encrypted != "" && isCipher(kind):
		r.secret(f, top)
	case f.cluster:
		return // kubectl get prints several kinds if it is asked to
	default:
		r.find(where, "is not a Secret: keep other objects elsewhere")
		return
	}
	if f.encrypted == "SOPS" {
		for _, hidden := range []*string{&f.namespace, &f.name, &f.kind} {
			if isCipher(*hidden) {
				*hidden = ""
			}
		}
	}
	for _, name := range metadata.names() {
		if name != "name" && name != "namespace" && !isNull(metadata[name]) {
			f.more = append(f.more, metadata[name].Line)
		}
	}
	r.secrets = append(r.secrets, f)
}

// secret reads the keys of a Secret.
func (r *reader) secret(f *filled, top fields) {
	if version := textOf(top["apiVersion"]); version != "v1" && !(f.encrypted != "" && isCipher(version)) {
		f.problems = append(f.problems, "apiVersion must be v1")
	}
	for _, name := range top.names() {
		switch name {
		case "apiVersion", "kind", "metadata", "type", "data", "stringData", "sops":
		case "immutable":
			f.more = append(f.more, top[name].Line)
		default:
			f.problems = append(f.problems, fmt.Sprintf("the field on line %d is none that a Secret has", top[name].Line))
		}
	}
	r.entries(f, top["data"], "data", true)
	r.entries(f, top["stringData"], "stringData", false)
}

// sealed reads the keys of a SealedSecret: those under encryptedData, and
// those that its template adds.
func (r *reader) sealed(f *filled, top fields) {
	f.encrypted = "kubeseal"
	spec, problems := fieldsOf(top["spec"])
	f.problems = append(f.problems, problems...)
	template, problems := fieldsOf(spec["template"])
	f.problems = append(f.problems, problems...)
	f.kind = textOf(template["type"])
	r.entries(f, spec["encryptedData"], "encryptedData", false)
	r.entries(f, template["data"], "template.data", false)
	for i := range f.entries {
		f.entries[i].readable = false
	}
}

// entries reads the keys under a field of a Secret.
func (r *reader) entries(f *filled, n *yaml.Node, field string, inBase64 bool) {
	if n == nil || isNull(n) {
		return
	}
	if n.Kind != yaml.MappingNode {
		f.problems = append(f.problems, field+" must be a mapping of keys to values")
		return
	}
	for i := 0; i+1 < len(n.Content); i += 2 {
		e := entryOf(follow(n.Content[i]), follow(n.Content[i+1]), inBase64, f.encrypted)
		if first := f.entry(e.name); first != nil {
			e.problems = append(e.problems, fmt.Sprintf("stands twice, on lines %d and %d: remove one", first.line, e.line))
			*first = e
			continue
		}
		f.entries = append(f.entries, e)
	}
}

// entryOf reads one key and its value.
func entryOf(key, value *yaml.Node, inBase64 bool, encrypted string) entry {
	e := entry{name: textOf(key), line: key.Line, value: value.Value}
	wrong := func(problem string) entry {
		e.value = ""
		e.problems = append(e.problems, problem)
		return e
	}
	switch {
	case value.Kind != yaml.ScalarNode:
		return wrong("must be text, and is a list or a mapping")
	case isNull(value):
		e.value, e.readable = "", true
		return e
	case value.Tag != "!!str" || value.Style == 0 && slices.Contains(oldBooleans, strings.ToLower(value.Value)):
		return wrong("is a number, a date, true or false, or has a tag, as YAML reads it: put the value in quotes")
	case isCipher(value.Value) && encrypted == "SOPS":
		return e
	case isCipher(value.Value):
		return wrong("was encrypted by SOPS, but the part under sops: that decrypts it is missing")
	case inBase64:
		decoded, err := base64.StdEncoding.DecodeString(value.Value)
		if err != nil {
			return wrong("is not base64, as values under data must be: encode it, or put it under stringData")
		}
		e.value = string(decoded)
	}
	e.readable = true
	return e
}

// oldBooleans are true and false to the YAML 1.1 that kubectl reads.
var oldBooleans = []string{"y", "n", "yes", "no", "on", "off"}

// isCipher says that SOPS made the text.
func isCipher(value string) bool { return strings.HasPrefix(value, "ENC[") }

// fields are the fields of a mapping.
type fields map[string]*yaml.Node

// fieldsOf gives the fields of a mapping, and what is wrong with it. There
// are none where the node is nil or null.
func fieldsOf(n *yaml.Node) (fields, []string) {
	found := make(fields)
	if n == nil || isNull(n) {
		return found, nil
	}
	if n.Kind != yaml.MappingNode {
		return found, []string{fmt.Sprintf("a mapping of fields belongs on line %d", n.Line)}
	}
	var problems []string
	for i := 0; i+1 < len(n.Content); i += 2 {
		name := textOf(follow(n.Content[i]))
		if found[name] != nil {
			problems = append(problems, fmt.Sprintf("a field stands twice, on lines %d and %d: remove one", found[name].Line, n.Content[i].Line))
		}
		found[name] = follow(n.Content[i+1])
	}
	return found, problems
}

// names of the fields in their order.
func (f fields) names() []string {
	names := make([]string, 0, len(f))
	for name := range f {
		names = append(names, name)
	}
	slices.SortFunc(names, func(a, b string) int {
		if by := f[a].Line - f[b].Line; by != 0 {
			return by
		}
		return strings.Compare(a, b)
	})
	return names
}

// textOf is the text of a scalar, and nothing for any other node.
func textOf(n *yaml.Node) string {
	if n == nil || n.Kind != yaml.ScalarNode || isNull(n) {
		return ""
	}
	return n.Value
}

func isNull(n *yaml.Node) bool { return n.Kind == yaml.ScalarNode && n.Tag == "!!null" }

// follow gives the node that an alias stands for.
func follow(n *yaml.Node) *yaml.Node {
	if n.Kind == yaml.AliasNode {
		return n.Alias
	}
	return n
}
