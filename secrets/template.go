package secrets

import (
	"bytes"
	"encoding/base64"
	"fmt"
	"strings"

	corev1 "k8s.io/api/core/v1"

	"go.yaml.in/yaml/v3"

	"git.lastcloud.io/ronnibaslund/dezky/fleet/components/secret"
)

// Template returns the text of the example file: every Secret with a comment
// above each key, and a placeholder under it unless its value is known.
func (s Set) Template() (string, error) {
	if err := s.Validate(); err != nil {
		return "", err
	}
	values := make(map[secret.Ref]string)
	for ref, k := range s.keys() {
		values[ref] = k.Value
	}
	out, err := s.render(s.Secrets, values, nil)
	return string(out), err
}

// render writes the Secrets, which are some of the Set's, with these values.
// A key without one gets the placeholder. Kept are keys that no contract has,
// by the place of their Secret: they stand under data, as they were.
func (s Set) render(secrets []secret.Contract, values map[secret.Ref]string, kept map[string][]entry) ([]byte, error) {
	repeated := make(map[secret.Ref][]secret.Ref)
	for _, g := range s.groups() {
		repeated[g[0]] = g[1:]
	}
	var out bytes.Buffer
	encoder := yaml.NewEncoder(&out)
	encoder.SetIndent(2)
	for i, contract := range secrets {
		data := mapping()
		for _, k := range contract.Keys {
			ref := refTo(contract, k.Name)
			value := values[ref]
			if value == "" {
				value = secret.Placeholder
			}
			key := text(k.Name)
			key.HeadComment = comment(keyComment(k, repeated[ref])...)
			// Quoted whatever it is: hex digits may be a number to YAML.
			quoted := text(value)
			quoted.Style = yaml.DoubleQuotedStyle
			data.Content = append(data.Content, key, quoted)
		}
		secretType := contract.Type
		if secretType == "" {
			secretType = corev1.SecretTypeOpaque
		}
		document := mapping(
			text("apiVersion"), text("v1"),
			text("kind"), text("Secret"),
			text("metadata"), mapping(
				text("name"), text(contract.Name),
				text("namespace"), text(contract.Namespace)),
			text("type"), text(string(secretType)))
		if entries := kept[placeOf(contract)]; len(entries) > 0 {
			rest := mapping()
			for _, e := range entries {
				rest.Content = append(rest.Content, text(e.name), text(base64.StdEncoding.EncodeToString([]byte(e.value))))
			}
			field := text("data")
			field.HeadComment = comment("In no contract; kept as it was")
			document.Content = append(document.Content, field, rest)
		}
		document.Content = append(document.Content, text("stringData"), data)
		var about []string
		if i == 0 {
			about = append(about,
				"Filled in, this is secret: keep it out of the repository", secret.Placeholder+
					" stands where a value is missing", "Apply it with kubectl apply --server-side: without, kubectl keeps the values in an annotation, in the clear")
		}
		if contract.Reader != "" {
			about = append(about, "Read by "+contract.Reader)
		}
		document.Content[0].HeadComment = comment(about...)
		if err := encoder.Encode(document); err != nil {
			return nil, fmt.Errorf("%s: cannot be written as YAML", placeOf(contract))
		}
	}
	if err := encoder.Close(); err != nil {
		return nil, err
	}
	return out.Bytes(), nil
}

// keyComment is what a person must know of a key, in lines.
func keyComment(k secret.Key, repeatedBy []secret.Ref) []string {
	lines := []string{k.Purpose}
	if k.Source != "" {
		lines = append(lines, "How to get it: "+k.Source)
	}
	switch {
	case k.Value != "":
		lines = append(lines, "Public; follows from the definitions")
	case k.SameAs.Secret != "":
		lines = append(lines, "Same value as "+place(k.SameAs))
	case k.Made != nil:
		lines = append(lines, "Made of "+place(k.Made.Of)+": "+k.Made.Before+"…"+k.Made.After)
	case k.Format != nil && !strings.Contains(k.Source, k.Format.String()):
		lines = append(lines, "Format: "+k.Format.String())
	}
	for _, r := range repeatedBy {
		lines = append(lines, "Repeated in "+place(r))
	}
	if k.Backup {
		lines = append(lines, "Back up: data is lost with it")
	}
	switch {
	case k.Value != "":
	case k.Rotation == secret.RotatesFreely:
		lines = append(lines, "Rotation: free; restart its reader")
	default:
		lines = append(lines, "Rotation: "+string(k.Rotation))
	}
	if k.Placeholder != "" {
		lines = append(lines, "May stay "+secret.Placeholder+" for now: "+k.Placeholder)
	}
	return lines
}

// comment makes a YAML comment of the lines.
func comment(lines ...string) string {
	if len(lines) == 0 {
		return ""
	}
	return "# " + strings.ReplaceAll(strings.Join(lines, "\n"), "\n", "\n# ")
}

func text(value string) *yaml.Node {
	return &yaml.Node{Kind: yaml.ScalarNode, Tag: "!!str", Value: value}
}

func mapping(content ...*yaml.Node) *yaml.Node {
	return &yaml.Node{Kind: yaml.MappingNode, Tag: "!!map", Content: content}
}
