package verdicts

import (
	"bytes"
	"fmt"
	"go/ast"
	"io/fs"
	"path"
	"strings"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"

	"git.lastcloud.io/ronnibaslund/dezky/fleet/render/manifest"
)

// traefik returns the cases of Traefik, a check for each kind of route: the
// tests of its providers demand the routers that come of a fixture. A fixture
// is flagged where fewer come than it has routes.
func traefik(dir fs.FS) ([]Case, error) {
	var cases []Case
	for _, provider := range []string{"ingress", "crd"} {
		root := "pkg/provider/kubernetes/" + provider
		test := root + "/kubernetes_test.go"
		functions, err := functionsOf(dir, test)
		if err != nil {
			return nil, err
		}
		for _, f := range functions {
			for _, c := range conversions(f) {
				var fixtures []string
				switch {
				case len(c.paths) > 0:
					fixtures = c.paths
				case provider == "ingress":
					fixtures = []string{strings.ReplaceAll(c.name, " ", "-") + ".yml"}
				default:
					continue
				}
				var text bytes.Buffer
				for _, f := range fixtures {
					part, err := fs.ReadFile(dir, path.Join(root, "fixtures", f))
					if err != nil {
						return nil, fmt.Errorf("%s: %s: %w", f, c.name, err)
					}
					fmt.Fprintf(&text, "---\n%s\n", part)
				}
				kind, routes, err := routesIn(text.Bytes())
				if err != nil {
					return nil, fmt.Errorf("%s: %w", c.name, err)
				}
				if routes == 0 {
					continue // nothing to drop
				}
				cases = append(cases, Case{Check: kind, Name: c.name, Text: text.Bytes(), Flagged: c.routers < routes})
			}
		}
	}
	return cases, nil
}

// conversion is a case of a test of Traefik.
type conversion struct {
	name    string
	paths   []string
	routers int
}

// conversions returns the cases of a test: composite literals with a
// description and the configuration that is expected.
func conversions(f *ast.FuncDecl) []conversion {
	var all []conversion
	ast.Inspect(f, func(n ast.Node) bool {
		lit, ok := n.(*ast.CompositeLit)
		if !ok || lit.Type != nil {
			return true
		}
		fields := make(map[string]ast.Expr)
		for _, e := range lit.Elts {
			if kv, ok := e.(*ast.KeyValueExpr); ok {
				if key, ok := kv.Key.(*ast.Ident); ok {
					fields[key.Name] = kv.Value
				}
			}
		}
		name, hasName := textOf(fields["desc"], "", "")
		expected := fields["expected"]
		if !hasName || !isConfiguration(expected) {
			return true
		}
		for field := range fields {
			if field != "desc" && field != "paths" && field != "expected" {
				return false // under an option that is not Traefik's default
			}
		}
		c := conversion{name: name, routers: routersIn(expected)}
		if list, ok := fields["paths"].(*ast.CompositeLit); ok {
			for _, e := range list.Elts {
				if p, ok := textOf(e, "", ""); ok {
					c.paths = append(c.paths, p)
				}
			}
		}
		all = append(all, c)
		return false
	})
	return all
}

// isConfiguration reports whether an expression is &dynamic.Configuration{…}.
func isConfiguration(e ast.Expr) bool {
	pointer, ok := e.(*ast.UnaryExpr)
	if !ok {
		return false
	}
	lit, ok := pointer.X.(*ast.CompositeLit)
	if !ok {
		return false
	}
	of, ok := lit.Type.(*ast.SelectorExpr)
	return ok && of.Sel.Name == "Configuration"
}

// routersIn returns the number of routers in a configuration.
func routersIn(e ast.Expr) int {
	n := 0
	ast.Inspect(e, func(node ast.Node) bool {
		if kv, ok := node.(*ast.KeyValueExpr); ok {
			key, isName := kv.Key.(*ast.Ident)
			list, isList := kv.Value.(*ast.CompositeLit)
			if isName && isList && key.Name == "Routers" {
				n += len(list.Elts)
				return false
			}
		}
		return true
	})
	return n
}

// routesIn returns the number of routes in manifests, and the kind of the
// first object that has one.
func routesIn(text []byte) (string, int, error) {
	documents, err := manifest.Read(bytes.NewReader(text))
	if err != nil {
		return "", 0, err
	}
	kind, n := "", 0
	for _, d := range documents {
		routes := 0
		switch d.Object.GetKind() {
		case "Ingress":
			if _, has, _ := unstructured.NestedMap(d.Object.Object, "spec", "defaultBackend"); has {
				routes++
			}
			rules, _, _ := unstructured.NestedSlice(d.Object.Object, "spec", "rules")
			for _, r := range rules {
				rule, _ := r.(map[string]any)
				paths, _, _ := unstructured.NestedSlice(rule, "http", "paths")
				routes += max(len(paths), 1)
			}
		case "IngressRoute", "IngressRouteTCP", "IngressRouteUDP":
			list, _, _ := unstructured.NestedSlice(d.Object.Object, "spec", "routes")
			routes = len(list)
		default:
			continue
		}
		if kind == "" {
			kind = d.Object.GetKind()
		}
		n += routes
	}
	return kind, n, nil
}
