package plan

import (
	"encoding/json"

	"git.lastcloud.io/ronnibaslund/dezky/fleet/render/diff"
	"git.lastcloud.io/ronnibaslund/dezky/fleet/render/object"
	"git.lastcloud.io/ronnibaslund/dezky/fleet/render/plan/consequence"
)

// The form of the report as JSON. Fields are added to it, and none is renamed.
type (
	jsonReport struct {
		From         string            `json:"from"`
		To           string            `json:"to"`
		Summary      string            `json:"summary"`
		Consequences []jsonConsequence `json:"consequences"`
		Orders       []jsonOrder       `json:"orders"`
		Files        []jsonFile        `json:"files"`
	}
	jsonObject struct {
		Group     string `json:"group,omitempty"`
		Kind      string `json:"kind"`
		Namespace string `json:"namespace,omitempty"`
		Name      string `json:"name"`
	}
	jsonConsequence struct {
		Rule     string     `json:"rule"`
		Severity string     `json:"severity"`
		In       string     `json:"in,omitempty"`
		Object   jsonObject `json:"object"`
		Field    string     `json:"field,omitempty"`
		Why      string     `json:"why"`
		Do       string     `json:"do,omitempty"`
		// Allowed is the reason of the allowance that lets it pass.
		Allowed string `json:"allowed,omitempty"`
	}
	jsonOrder struct {
		In     string      `json:"in,omitempty"`
		Stages []jsonStage `json:"stages"`
	}
	jsonStage struct {
		Name  string     `json:"name"`
		Wait  bool       `json:"wait,omitempty"`
		Steps []jsonStep `json:"steps"`
	}
	jsonStep struct {
		Object jsonObject `json:"object"`
		Delete bool       `json:"delete,omitempty"`
		Why    string     `json:"why,omitempty"`
	}
	jsonFile struct {
		Path    string       `json:"path"`
		Op      diff.Op      `json:"op"`
		Objects []jsonChange `json:"objects,omitempty"`
		Lines   []string     `json:"lines,omitempty"`
	}
	jsonChange struct {
		Object jsonObject  `json:"object"`
		Op     diff.Op     `json:"op"`
		From   string      `json:"from,omitempty"`
		Fields []jsonField `json:"fields,omitempty"`
	}
	jsonField struct {
		Path  string `json:"path"`
		Was   any    `json:"was,omitempty"`
		Is    any    `json:"is,omitempty"`
		Order bool   `json:"order,omitempty"`
	}
)

// JSON returns the whole report for programs, as one object.
func (r Report) JSON() string {
	id := func(id object.ID) jsonObject { return jsonObject(id) }
	all := jsonReport{
		From: r.From, To: r.To, Summary: r.Summary(),
		Consequences: []jsonConsequence{}, Orders: []jsonOrder{}, Files: []jsonFile{},
	}
	add := func(c consequence.Consequence, reason string) {
		all.Consequences = append(all.Consequences, jsonConsequence{
			c.Rule, c.Severity.String(), c.In, id(c.Object), c.Field, c.Why, c.Do, reason,
		})
	}
	for _, c := range r.Consequences {
		add(c, "")
	}
	for _, a := range r.Allowed {
		add(a.Consequence, a.Reason)
	}
	for _, o := range r.Orders {
		stages := []jsonStage{}
		for _, s := range o.Stages {
			stage := jsonStage{Name: s.Name, Wait: s.Wait}
			for _, step := range s.Steps {
				stage.Steps = append(stage.Steps, jsonStep{id(step.ID), step.Object == nil, step.Why})
			}
			stages = append(stages, stage)
		}
		all.Orders = append(all.Orders, jsonOrder{o.In, stages})
	}
	for _, f := range r.Files {
		file := jsonFile{Path: f.Path, Op: f.Op, Lines: f.Lines}
		for _, o := range f.Objects {
			change := jsonChange{Object: id(o.ID), Op: o.Op, From: o.From}
			for _, field := range o.Fields {
				change.Fields = append(change.Fields, jsonField(field))
			}
			file.Objects = append(file.Objects, change)
		}
		all.Files = append(all.Files, file)
	}
	text, err := json.MarshalIndent(all, "", "  ")
	if err != nil { // values as JSON has them; see diff.Field
		return ""
	}
	return string(text) + "\n"
}
