package check

import (
	"embed"
	"encoding/json"
	"fmt"
	"io/fs"
	"math"
	"path"
	"regexp"
	"slices"
	"strings"
	"sync"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime/schema"
)

// The definitions of Traefik v3.6 and cert-manager v1.21, without their texts:
// one file for each kind, group_version_Kind.json. TestGoldenSchemas makes them of
// the definitions that the two publish, and holds them to that.
//
//go:embed schemas
var schemaFiles embed.FS

// definition is what a CustomResourceDefinition says of a value: the part of
// its schema by which the API server refuses values.
type definition struct {
	Type        string                 `json:"type,omitempty"`
	Fields      map[string]*definition `json:"properties,omitempty"`
	Values      *definition            `json:"additionalProperties,omitempty"`
	Items       *definition            `json:"items,omitempty"`
	Required    []string               `json:"required,omitempty"`
	Enum        []any                  `json:"enum,omitempty"`
	Pattern     string                 `json:"pattern,omitempty"`
	MinLength   int                    `json:"minLength,omitempty"`
	MaxLength   *int                   `json:"maxLength,omitempty"`
	MinItems    int                    `json:"minItems,omitempty"`
	Minimum     *float64               `json:"minimum,omitempty"`
	Maximum     *float64               `json:"maximum,omitempty"`
	IntOrString bool                   `json:"x-kubernetes-int-or-string,omitempty"`
	AnyField    bool                   `json:"x-kubernetes-preserve-unknown-fields,omitempty"`
}

// schemas returns the definitions by version and kind. Each is read when it is
// first asked for.
var schemas = sync.OnceValue(func() map[schema.GroupVersion]map[string]func() (*definition, error) {
	all := make(map[schema.GroupVersion]map[string]func() (*definition, error))
	files, _ := fs.Glob(schemaFiles, "schemas/*.json") // the pattern is good
	for _, file := range files {
		parts := strings.Split(strings.TrimSuffix(path.Base(file), ".json"), "_")
		if len(parts) != 3 {
			continue
		}
		version := schema.GroupVersion{Group: parts[0], Version: parts[1]}
		if all[version] == nil {
			all[version] = make(map[string]func() (*definition, error))
		}
		all[version][parts[2]] = sync.OnceValues(func() (*definition, error) {
			text, err := schemaFiles.ReadFile(file)
			if err != nil {
				return nil, err
			}
			var d definition
			return &d, json.Unmarshal(text, &d)
		})
	}
	return all
})

func schemaRules() []Rule {
	return []Rule{{
		ID:     "schema",
		Doc:    "The API server refuses an object of Traefik's or cert-manager's kinds that has a field its definition does not have, lacks one that it demands, or holds another value than it allows: an IngressRoute without a match, an Issuer with a misspelt solver.",
		Source: "The CustomResourceDefinitions of Traefik v3.6 and cert-manager v1.21",
		Run: func(p *Pass) {
			for version, kinds := range schemas() {
				for kind, read := range kinds {
					for _, o := range p.Kind(version.Group, kind) {
						if o.GetObjectKind().GroupVersionKind().Version != version.Version {
							continue
						}
						d, err := read()
						if err != nil {
							p.broken(err)
							return
						}
						_, loose := o.Object.(*unstructured.Unstructured)
						d.hold(o.fields(), "", func(field, problem, remedy string) { p.Report(o, field, problem, remedy) }, loose)
					}
				}
			}
		},
	}}
}

// hold reports where a value is not what the definition says. Values that were
// read, and not made by a Go type, may have fields that there are not.
func (d *definition) hold(value any, at string, report func(field, problem, remedy string), read bool) {
	if len(d.Enum) > 0 && !slices.ContainsFunc(d.Enum, func(e any) bool { return fmt.Sprint(e) == fmt.Sprint(value) }) {
		var words []string
		for _, e := range d.Enum {
			words = append(words, fmt.Sprint(e))
		}
		report(at, fmt.Sprintf("%#v: must be one of %s", value, strings.Join(words, ", ")), "")
		return
	}
	wrong := func(what string) {
		report(at, fmt.Sprintf("must be %s, and is %s", what, (&strict{}).describe(value)), "")
	}
	switch v := value.(type) {
	case map[string]any:
		if d.Type != "" && d.Type != "object" {
			wrong(kindsOfValue[d.Type])
			return
		}
		for _, name := range d.Required {
			if _, ok := v[name]; !ok {
				report(child(at, name), "is not there, and must be", "")
			}
		}
		for _, name := range sortedKeys(v) {
			field, ok := d.Fields[name]
			switch {
			case v[name] == nil: // as if it were not there
			case ok:
				field.hold(v[name], child(at, name), report, read)
			case d.Values != nil:
				d.Values.hold(v[name], at+"["+name+"]", report, read)
			case read && len(d.Fields) > 0 && !d.AnyField:
				report(child(at, name), "there is no such field", near(name, sortedKeys(d.Fields)...))
			}
		}
	case []any:
		if d.Type != "" && d.Type != "array" {
			wrong(kindsOfValue[d.Type])
			return
		}
		if len(v) < d.MinItems {
			report(at, fmt.Sprintf("has %d items, and must have %d or more", len(v), d.MinItems), "")
		}
		for i, item := range v {
			if d.Items != nil {
				d.Items.hold(item, fmt.Sprintf("%s[%d]", at, i), report, read)
			}
		}
	case string:
		switch {
		case d.Type != "" && d.Type != "string" && !d.IntOrString:
			wrong(kindsOfValue[d.Type])
		case len(v) < d.MinLength:
			report(at, "is too short", "")
		case d.MaxLength != nil && len(v) > *d.MaxLength:
			report(at, fmt.Sprintf("has %d letters, and may have %d", len(v), *d.MaxLength), "")
		case d.Pattern != "" && !d.IntOrString: // that of a quantity is of no use to people
			if matched, err := regexp.MatchString(d.Pattern, v); err == nil && !matched {
				report(at, fmt.Sprintf("%q: must match %s", v, d.Pattern), "")
			}
		}
	case bool:
		if d.Type != "" && d.Type != "boolean" {
			wrong(kindsOfValue[d.Type])
		}
	case int64:
		d.number(float64(v), at, report, wrong)
	case float64:
		d.number(v, at, report, wrong)
	}
}

// kindsOfValue are the types of a schema in words.
var kindsOfValue = map[string]string{
	"object": "an object of fields", "array": "a list", "string": "a string", "boolean": "true or false", "integer": "a whole number", "number": "a number",
}

func (d *definition) number(n float64, at string, report func(field, problem, remedy string), wrong func(string)) {
	switch {
	case d.IntOrString:
	case d.Type == "integer" && n != math.Trunc(n):
		wrong("a whole number")
	case d.Type != "" && d.Type != "integer" && d.Type != "number":
		wrong(kindsOfValue[d.Type])
	case d.Minimum != nil && n < *d.Minimum:
		report(at, fmt.Sprintf("%v: must be %v or more", n, *d.Minimum), "")
	case d.Maximum != nil && n > *d.Maximum:
		report(at, fmt.Sprintf("%v: must be %v or less", n, *d.Maximum), "")
	}
}
