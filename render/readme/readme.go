// Package readme makes the documentation of a layer from the Tree that it is
// rendered from: its apps, DNS records, what must exist already, what is
// pending or assumed, and the Secrets by their contracts. What only the layer
// knows it adds as sections of its own, made by [Execute] in the same way.
package readme

import (
	_ "embed"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"text/template"
	"unicode"
	"unicode/utf8"

	corev1 "k8s.io/api/core/v1"

	"git.lastcloud.io/ronnibaslund/dezky/fleet/components/secret"
	"git.lastcloud.io/ronnibaslund/dezky/fleet/render"
	"git.lastcloud.io/ronnibaslund/dezky/fleet/render/check"
	"git.lastcloud.io/ronnibaslund/dezky/fleet/render/object"
)

//go:embed readme.md.tmpl
var page string

// Doc is the documentation of a Tree.
type Doc struct {
	// Tree that is documented.
	Tree render.Tree
	// Layers whose workloads are listed as apps, by name. If empty, all.
	Layers []string
	// Needs are what the cluster must have, a sentence each, in Markdown. If
	// nil, they are made from what the Tree declares as Elsewhere.
	Needs []string
	// Template names the file with the template of the Secrets. If empty, none
	// is mentioned.
	Template string
	// Sections stand before the Secrets.
	Sections []Section
}

// Section is a part of the documentation below a heading of its own.
type Section struct {
	// Title of the section.
	Title string
	// Text of the section, in Markdown. Headings in it begin at the third
	// level.
	Text string
}

// Markdown returns the documentation. It fits into the Content of a
// [render.Text].
func (d Doc) Markdown() (string, error) {
	apps, hosts := d.workloads()
	needs := d.Needs
	if needs == nil {
		needs = elsewhere(d.Tree.Elsewhere)
	}
	first, size := utf8.DecodeRuneInString(d.Tree.Name)
	return Execute(page, map[string]any{
		"Title":    string(unicode.ToUpper(first)) + d.Tree.Name[size:],
		"Apps":     apps,
		"Needs":    needs,
		"Hosts":    hosts,
		"Pending":  d.Tree.Pending(),
		"Assumed":  d.Tree.Assumptions(),
		"Sections": d.Sections,
		"Template": d.Template,
		"Secrets":  d.Tree.Secrets,
	})
}

// Execute returns the text of a template of the package text/template, which
// is executed on the data. It has these functions: code is [Code], cell is
// [Cell], line puts a text on one line, how is how to get the value of a
// [secret.Key], and rotation what a new value does.
func Execute(text string, data any) (string, error) {
	t, err := template.New("readme").Funcs(template.FuncMap{
		"code":     Code,
		"cell":     Cell,
		"line":     line,
		"how":      how,
		"rotation": rotation,
	}).Parse(text)
	if err != nil {
		return "", err
	}
	var b strings.Builder
	err = t.Execute(&b, data)
	return strings.TrimRight(b.String(), "\n") + "\n", err
}

// Code returns the values as code in Markdown, separated by commas. A value may
// hold backticks; its line ends are written as \n.
func Code(values ...string) string {
	var spans []string
	for _, v := range values {
		if v == "" {
			continue // there is no empty code span
		}
		v = strings.NewReplacer("\r\n", `\n`, "\n", `\n`, "\r", `\r`).Replace(v)
		// The fence is longer than every run of backticks in the value (CommonMark,
		// "Code spans"), and one space on each side is taken off again.
		fence := "`"
		for strings.Contains(v, fence) {
			fence += "`"
		}
		if strings.HasPrefix(v, "`") || strings.HasSuffix(v, "`") || strings.HasPrefix(v, " ") && strings.HasSuffix(v, " ") && strings.Trim(v, " ") != "" {
			v = " " + v + " "
		}
		spans = append(spans, fence+v+fence)
	}
	return strings.Join(spans, ", ")
}

// Cell returns a text in Markdown so that it stands in one cell of a table: in
// one line, and with its bars escaped, in code too (GitHub Flavored Markdown,
// "Tables").
func Cell(markdown string) string { return strings.ReplaceAll(line(markdown), "|", `\|`) }

// line returns a text in one line.
func line(s string) string {
	if !strings.ContainsAny(s, "\r\n") {
		return s
	}
	return strings.Join(strings.FieldsFunc(s, func(r rune) bool { return r == '\r' || r == '\n' }), " ")
}

// how says how to get the value of a key, or what it is.
func how(k secret.Key) string {
	if k.Value != "" {
		return Code(k.Value)
	}
	return k.How()
}

// rotation says what a new value of a key does.
func rotation(k secret.Key) string {
	s := string(k.Rotation)
	if s == "" {
		s = "at any time"
	}
	if k.Backup {
		s += "; **back it up**"
	}
	return s
}

// elsewhere returns what the Tree takes from others, a sentence each.
func elsewhere(declared []check.Elsewhere) []string {
	var needs []string
	for _, e := range declared {
		kind, name, _ := strings.Cut(e.ID.String(), " ")
		need := kind + " " + Code(name)
		var ports []string
		for _, p := range e.Ports {
			ports = append(ports, strconv.Itoa(int(p.Port)))
		}
		if len(ports) > 0 {
			need += " at port " + strings.Join(ports, ", ")
		}
		if len(e.Keys) > 0 {
			need += " with " + Code(slices.Sorted(slices.Values(e.Keys))...)
		}
		needs = append(needs, need+".")
	}
	return needs
}

// app is a row in the table of apps.
type app struct{ Name, Images, Hosts, Services, Replicas, Secrets string }

// workloads returns the apps in the order of the definitions, and the hosts of
// the whole Tree.
func (d Doc) workloads() (apps []app, hosts []string) {
	var objects []*check.Object
	for _, layer := range d.Tree.Layers {
		for _, file := range layer.Files {
			for _, c := range file.Components {
				made, err := c.Objects()
				if err != nil {
					continue // told where it is rendered
				}
				for _, o := range made {
					objects = append(objects, &check.Object{Object: o, Layer: layer.Name})
				}
			}
		}
	}
	set := check.NewSet(objects, nil)
	contracts := make(map[object.ID]bool)
	for _, c := range d.Tree.Secrets {
		// A pull Secret is the kubelet's, and the same for all.
		contracts[object.ID{Kind: "Secret", Namespace: c.Namespace, Name: c.Name}] = c.Type != corev1.SecretTypeDockerConfigJson
	}
	for _, w := range set.Workloads() {
		if len(d.Layers) > 0 && !slices.Contains(d.Layers, w.Layer) {
			continue
		}
		a := app{Name: w.ID.Name, Images: Code(repositories(w.Images)...), Replicas: replicas(w)}
		var links, services, secrets []string
		for _, h := range w.Hosts {
			links = append(links, fmt.Sprintf("[%s](https://%[1]s)", h))
		}
		for _, s := range w.Services {
			for _, p := range s.Spec.Ports {
				services = append(services, fmt.Sprintf("%s.%s:%d", s.Name, s.Namespace, p.Port))
			}
		}
		for _, id := range w.Secrets {
			if contracts[id] {
				secrets = append(secrets, id.Name)
			}
		}
		a.Hosts, a.Services, a.Secrets = strings.Join(links, ", "), Code(services...), Code(secrets...)
		apps = append(apps, a)
	}
	return apps, set.Hosts()
}

// repositories returns images without their tags and digests: which build runs
// is no part of the documentation.
func repositories(images []string) []string {
	var all []string
	for _, image := range images {
		image, _, _ = strings.Cut(image, "@")
		if i := strings.LastIndexByte(image, ':'); i > strings.LastIndexByte(image, '/') {
			image = image[:i]
		}
		all = append(all, image)
	}
	return all
}

func replicas(w check.Workload) string {
	switch {
	case w.ID.Kind == "DaemonSet":
		return "one on each node"
	case w.Least == 0 && w.Most == 0:
		return ""
	case w.Least == w.Most:
		return strconv.Itoa(int(w.Least))
	}
	return fmt.Sprintf("%d to %d", w.Least, w.Most)
}
