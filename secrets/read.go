package secrets

import (
	"bufio"
	"bytes"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"reflect"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"go.yaml.in/yaml/v3"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	kubeyaml "k8s.io/apimachinery/pkg/util/yaml"

	"git.lastcloud.io/ronnibaslund/dezky/fleet/components/secret"
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
	index     map[string]int // of the entries, by name
	// annotated says that the Secret keeps what client-side apply was given.
	annotated bool
	// problems of the Secret as a whole.
	problems []string
	// more lists the lines of what a contract does not know, such as labels.
	more []int
	// contract is what the Secret must be. It is nil until match finds it.
	contract *secret.Contract
}

// entry is one key with its value.
type entry struct {
	name, value string
	line        int
	// inBase64 says that the value stands under data.
	inBase64 bool
	// readable says that there is a value, and that it is not encrypted.
	readable bool
	problems []string
}

// entry finds a key.
func (f *filled) entry(name string) *entry {
	i, ok := f.index[name]
	if !ok {
		return nil
	}
	return &f.entries[i]
}

// add adds a key, which f does not have yet.
func (f *filled) add(e entry) {
	if f.index == nil {
		f.index = make(map[string]int)
	}
	f.index[e.name] = len(f.entries)
	f.entries = append(f.entries, e)
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
//
// What counts is what kubectl reads: documents are told apart and decoded by
// its own reader. The nodes of the YAML parser say where in the text a thing
// stands, and where the two disagree, the input is refused.
func (r *reader) read(input []byte) bool {
	values, kubectlErr := kubectlReads(input)
	starts := documentLines(input)
	documents := kubeyaml.NewYAMLReader(bufio.NewReader(bytes.NewReader(input)))
	for number := 1; ; number++ {
		text, err := documents.Read()
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			r.find(fmt.Sprintf("document %d", number), "has text behind the --- before it, or a line that cannot be read: kubectl refuses it; nothing after this place was read")
			return false
		}
		first := starts[min(number, len(starts))-1]
		decoder := yaml.NewDecoder(bytes.NewReader(text))
		var node, second yaml.Node
		if err = decoder.Decode(&node); errors.Is(err, io.EOF) {
			continue // nothing but comments
		}
		if err == nil && isNull(node.Content[0]) {
			continue
		}
		if err != nil || len(values) == 0 {
			r.broken(number, first, err)
			return false
		}
		if decoder.Decode(&second) != io.EOF {
			where := fmt.Sprintf("document %d, line %d", number, first+node.Content[0].Line-1)
			if bytes.HasPrefix(bytes.TrimSpace(text), []byte("{")) {
				r.find(where, "has a second JSON document behind the first: put a line --- between them; nothing after this place was read")
				return false
			}
			r.find(where, "has more than kubectl reads: it ends a document at a line --- after a newline and nowhere else (no lone CR, NEL or U+2028, and no ...), and takes the first of what is in it; nothing after this place was read")
			return false
		}
		shift(&node, first-1)
		r.document(follow(node.Content[0]), values[0], number, nil)
		values = values[1:]
	}
	if kubectlErr != nil || len(values) > 0 {
		r.find("the input", "is read otherwise by kubectl, or not to its end: write plain YAML, with --- between the documents")
		return false
	}
	return true
}

// broken reports a document that is not YAML. The rest of the parser's error
// may hold text of the input.
func (r *reader) broken(number, first int, err error) {
	where := fmt.Sprintf("document %d", number)
	if err != nil {
		if m := parseLine.FindStringSubmatch(err.Error()); m != nil {
			line, _ := strconv.Atoi(m[1])
			where += fmt.Sprintf(", near line %d", first+line-1)
		}
	}
	r.find(where, "is neither YAML nor JSON: mend it; nothing after this place was read")
}

// kubectlReads gives the documents as kubectl decodes them (k8s.io/cli-runtime,
// pkg/resource, StreamVisitor), without the empty ones.
func kubectlReads(input []byte) (values []any, err error) {
	decoder := kubeyaml.NewYAMLOrJSONDecoder(bytes.NewReader(input), 4096)
	for {
		var raw json.RawMessage
		if err := decoder.Decode(&raw); errors.Is(err, io.EOF) {
			return values, nil
		} else if err != nil {
			return values, err
		}
		var value any
		if len(raw) > 0 {
			if err := json.Unmarshal(raw, &value); err != nil {
				return values, err
			}
		}
		if value != nil {
			values = append(values, value)
		}
	}
}

// documentLines gives the number of the line on which each document begins.
func documentLines(input []byte) []int {
	starts, inside, number := []int(nil), false, 0
	for line := range bytes.Lines(input) {
		number++
		separator := bytes.HasPrefix(line, []byte("---"))
		if !separator && !inside {
			starts = append(starts, number)
		}
		inside = !separator
	}
	return append(starts, number)
}

// shift moves the lines of a document to where it stands in the input.
func shift(n *yaml.Node, by int) {
	n.Line += by
	for _, c := range n.Content {
		shift(c, by)
	}
}

// disagreement finds the line on which the text is not what kubectl reads
// there, and 0 where there is none. The keys of a Secret and the items of a
// list are compared one by one elsewhere.
func disagreement(n *yaml.Node, value any) int {
	n = follow(n)
	switch v := value.(type) {
	case map[string]any:
		if n.Kind != yaml.MappingNode || len(n.Content) != 2*len(v) {
			return n.Line
		}
		for i := 0; i+1 < len(n.Content); i += 2 {
			key := n.Content[i]
			name := textOf(follow(key))
			inner, ok := v[name]
			if !ok || isTagged(key) {
				return key.Line
			}
			if slices.Contains([]string{"data", "stringData", "encryptedData", "items"}, name) {
				continue
			}
			if line := disagreement(n.Content[i+1], inner); line > 0 {
				return line
			}
		}
	case []any:
		if n.Kind != yaml.SequenceNode || len(n.Content) != len(v) {
			return n.Line
		}
		for i, c := range n.Content {
			if line := disagreement(c, v[i]); line > 0 {
				return line
			}
		}
	case string:
		if n.Kind != yaml.ScalarNode || n.Value != v || isTagged(n) {
			return n.Line
		}
	case nil:
		if !isNull(n) {
			return n.Line
		}
	default:
		if n.Kind != yaml.ScalarNode || isTagged(n) || n.ShortTag() == "!!str" {
			return n.Line
		}
	}
	return 0
}

func isTagged(n *yaml.Node) bool { return n.Style&yaml.TaggedStyle != 0 }

// document reads a document or, with its list, an item of one. Value is what
// kubectl reads there.
func (r *reader) document(n *yaml.Node, value any, number int, list fields) {
	where := fmt.Sprintf("document %d, line %d", number, n.Line)
	if isNull(n) {
		return
	}
	object, _ := value.(map[string]any)
	top, problems := fieldsOf(n)
	metadata, metadataProblems := fieldsOf(top["metadata"])
	annotations, _ := fieldsOf(metadata["annotations"])
	f := &filled{
		place:     where,
		namespace: textOf(metadata["namespace"]),
		name:      textOf(metadata["name"]),
		kind:      textOf(top["type"]),
		cluster:   metadata["uid"] != nil,
		annotated: annotations[corev1.LastAppliedConfigAnnotation] != nil,
		problems:  append(problems, metadataProblems...),
	}
	if top["sops"] != nil || list["sops"] != nil {
		f.encrypted = "SOPS"
	}
	if len(f.problems) == 0 {
		if line := disagreement(n, value); line > 0 {
			f.problems = append(f.problems, fmt.Sprintf("kubectl reads line %d otherwise than it stands there (yes, no, a tag, a merge, an odd line end): put texts in quotes, without tags", line))
		}
	}
	switch kind := textOf(top["kind"]); {
	case (kind == "List" || kind == "SecretList") && list == nil:
		items, read := top["items"], object["items"]
		values, _ := read.([]any)
		if items == nil || items.Kind != yaml.SequenceNode || len(values) != len(items.Content) {
			r.find(where, "is a list without items")
			return
		}
		r.listed = true
		for i, item := range items.Content {
			r.document(follow(item), values[i], number, top)
		}
		return
	case kind == "SealedSecret":
		r.sealed(f, top, object)
	case kind == "Secret" || f.encrypted != "" && isCipher(kind):
		r.secret(f, top, object)
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
		switch {
		case !metadataFields[name]:
			f.problems = append(f.problems, fmt.Sprintf("the field on line %d is none that metadata has", metadata[name].Line))
		case name != "name" && name != "namespace" && !isNull(metadata[name]):
			f.more = append(f.more, metadata[name].Line)
		}
	}
	if len(f.problems) == 0 && f.encrypted == "" && !slices.ContainsFunc(f.entries, func(e entry) bool { return len(e.problems) > 0 }) && !decodes(value) {
		f.problems = append(f.problems, "has a field of another type than Kubernetes gives it: labels and annotations, for example, hold text, so put it in quotes")
	}
	r.secrets = append(r.secrets, f)
}

// metadataFields are the fields of metadata.
var metadataFields = func() map[string]bool {
	known := make(map[string]bool)
	for f := range reflect.TypeFor[metav1.ObjectMeta]().Fields() {
		name, _, _ := strings.Cut(f.Tag.Get("json"), ",")
		known[name] = true
	}
	return known
}()

// decodes reports whether the value is a Secret to Kubernetes.
func decodes(value any) bool {
	text, err := json.Marshal(value)
	return err == nil && json.Unmarshal(text, new(corev1.Secret)) == nil
}

// secret reads the keys of a Secret.
func (r *reader) secret(f *filled, top fields, object map[string]any) {
	if version := textOf(top["apiVersion"]); version != "v1" && !(f.encrypted != "" && isCipher(version)) {
		f.problems = append(f.problems, "apiVersion must be v1")
	}
	for _, name := range top.names() {
		switch name {
		case "apiVersion", "kind", "metadata", "type", "data", "stringData", "sops":
		case "immutable":
			if _, isBool := object[name].(bool); !isBool && object[name] != nil {
				f.problems = append(f.problems, fmt.Sprintf("immutable on line %d must be true or false, without quotes", top[name].Line))
			}
			f.more = append(f.more, top[name].Line)
		default:
			f.problems = append(f.problems, fmt.Sprintf("the field on line %d is none that a Secret has", top[name].Line))
		}
	}
	r.entries(f, top["data"], object["data"], "data", true)
	r.entries(f, top["stringData"], object["stringData"], "stringData", false)
}

// sealed reads the keys of a SealedSecret: those under encryptedData, and
// those that its template adds.
func (r *reader) sealed(f *filled, top fields, object map[string]any) {
	f.encrypted = "kubeseal"
	spec, problems := fieldsOf(top["spec"])
	f.problems = append(f.problems, problems...)
	template, problems := fieldsOf(spec["template"])
	f.problems = append(f.problems, problems...)
	f.kind = textOf(template["type"])
	specValue, _ := object["spec"].(map[string]any)
	templateValue, _ := specValue["template"].(map[string]any)
	r.entries(f, spec["encryptedData"], specValue["encryptedData"], "encryptedData", false)
	r.entries(f, template["data"], templateValue["data"], "template.data", false)
	for i := range f.entries {
		f.entries[i].readable = false
	}
}

// entries reads the keys under a field of a Secret, of which kubectl reads
// value.
func (r *reader) entries(f *filled, n *yaml.Node, value any, field string, inBase64 bool) {
	if n == nil || isNull(n) {
		return
	}
	if n.Kind != yaml.MappingNode {
		f.problems = append(f.problems, field+" must be a mapping of keys to values")
		return
	}
	values, _ := value.(map[string]any)
	for i := 0; i+1 < len(n.Content); i += 2 {
		e := entryOf(n.Content[i], follow(n.Content[i+1]), values, inBase64, f.encrypted)
		if first := f.entry(e.name); first != nil {
			e.problems = append(e.problems, fmt.Sprintf("stands twice, on lines %d and %d: remove one", first.line, e.line))
			*first = e
			continue
		}
		f.add(e)
	}
}

// entryOf reads one key and its value, as it is in the text and among the
// values that kubectl reads.
func entryOf(key, value *yaml.Node, values map[string]any, inBase64 bool, encrypted string) entry {
	e := entry{name: textOf(follow(key)), line: key.Line, value: value.Value, inBase64: inBase64}
	read, found := values[e.name]
	text, isText := read.(string)
	wrong := func(problem string) entry {
		e.value = ""
		e.problems = append(e.problems, problem)
		return e
	}
	switch {
	case isTagged(key):
		return wrong(fmt.Sprintf("has a tag before its name, on line %d: remove the tag", e.line))
	case !found:
		return wrong(fmt.Sprintf("has another name to kubectl, on line %d: put the name in quotes, without a merge (<<)", e.line))
	case value.Kind != yaml.ScalarNode:
		return wrong("must be text, and is a list or a mapping")
	case read == nil && isNull(value) && !isTagged(value):
		e.value, e.readable = "", true
		return e
	case !isText || isTagged(value):
		return wrong("is a number, true or false, or has a tag, as YAML reads it: put the value in quotes")
	case text != value.Value:
		return wrong("is another value to kubectl than stands there, as odd line ends make it: put it in double quotes, on one line")
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
