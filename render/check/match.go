package check

import (
	"errors"
	"fmt"
	"go/ast"
	"go/parser"
	"go/scanner"
	"go/token"
	"net/netip"
	"regexp"
	"slices"
	"strconv"
	"strings"
)

// matchers are what a rule of Traefik can ask for, and the fewest and the most
// values that each takes. (Traefik, pkg/muxer/http/matcher.go: httpFuncs.)
var matchers = map[string][2]int{
	"ClientIP": {1, 1}, "Method": {1, 1}, "Host": {1, 1}, "HostRegexp": {1, 1}, "Path": {1, 1}, "PathRegexp": {1, 1}, "PathPrefix": {1, 1},
	"Header": {2, 2}, "HeaderRegexp": {2, 2}, "Query": {1, 2}, "QueryRegexp": {1, 2},
}

// matcherOf returns the matcher of a name. Traefik takes it as it is, in small
// letters, in capitals, and with the first letter alone as a capital.
// (Traefik, pkg/rules/parser.go: NewParser.)
func matcherOf(name string) (matcher string, ok bool) {
	for m := range matchers {
		lower := strings.ToLower(m)
		if slices.Contains([]string{m, lower, strings.ToUpper(m), strings.ToUpper(lower[:1]) + lower[1:]}, name) {
			return m, true
		}
	}
	return "", false
}

const (
	exampleMatch = "such as Host(`app.example.com`)"
	operators    = "join with && or ||, and negate with !"
)

// unreadable says what Traefik cannot read of a rule, and nothing where it reads
// it all. A rule is an expression of Go. (github.com/vulcand/predicate, which
// Traefik reads its rules with.)
func unreadable(rule string) (problem, remedy string) {
	if strings.TrimSpace(rule) == "" {
		return "is empty", exampleMatch
	}
	e, err := parser.ParseExpr(rule)
	if err != nil {
		problem, remedy = fmt.Sprintf("%q cannot be read", rule), "close each quote and bracket, and "+operators
		if list := (scanner.ErrorList)(nil); errors.As(err, &list) && len(list) > 0 {
			if at := list[0].Pos; at.Line == 1 {
				problem += fmt.Sprintf(" from column %d on", at.Column)
			} else {
				problem += fmt.Sprintf(" from its line %d on", at.Line)
				remedy += "; end a line with && or ||, and begin none with them"
			}
		}
		return problem, remedy
	}
	return unreadablePart(e)
}

func unreadablePart(e ast.Expr) (problem, remedy string) {
	switch e := e.(type) {
	case *ast.ParenExpr:
		return unreadablePart(e.X)
	case *ast.UnaryExpr:
		if e.Op != token.NOT {
			return fmt.Sprintf("Traefik knows no %s in a rule", e.Op), operators
		}
		return unreadablePart(e.X)
	case *ast.BinaryExpr:
		if e.Op != token.LAND && e.Op != token.LOR {
			return fmt.Sprintf("Traefik knows no %s in a rule", e.Op), operators
		}
		if problem, remedy = unreadablePart(e.X); problem != "" {
			return problem, remedy
		}
		return unreadablePart(e.Y)
	case *ast.CallExpr:
		return unreadableCall(e)
	}
	return "asks for nothing", exampleMatch
}

func unreadableCall(call *ast.CallExpr) (problem, remedy string) {
	name, ok := call.Fun.(*ast.Ident)
	if !ok {
		return "asks for nothing", exampleMatch
	}
	matcher, ok := matcherOf(name.Name)
	if !ok {
		return "Traefik knows no " + name.Name + " in a rule", near(name.Name, sortedKeys(matchers)...)
	}
	if n := matchers[matcher]; len(call.Args) < n[0] || len(call.Args) > n[1] {
		takes := strconv.Itoa(n[0])
		if n[1] > n[0] {
			takes += " or " + strconv.Itoa(n[1])
		}
		if len(call.Args) > n[1] {
			remedy = "for one of several, join with ||"
		}
		return fmt.Sprintf("%s has %d values, and takes %s", matcher, len(call.Args), takes), remedy
	}
	value := ""
	for _, arg := range call.Args {
		text, ok := arg.(*ast.BasicLit)
		if !ok || text.Kind != token.STRING {
			return "the value of " + matcher + " stands without quotes", exampleMatch
		}
		value, _ = strconv.Unquote(text.Value)
		if value == "" {
			return matcher + " has an empty value", ""
		}
	}
	if strings.HasPrefix(matcher, "Host") && strings.ContainsFunc(value, func(r rune) bool { return r > 127 }) {
		return fmt.Sprintf("%q has letters that are not of ASCII", value), "write the host as DNS has it, with xn--"
	}
	switch matcher {
	case "Path", "PathPrefix":
		if value[0] != '/' {
			return fmt.Sprintf("%q is no path: it does not begin with /", value), ""
		}
	case "ClientIP":
		_, notAddress := netip.ParseAddr(value)
		_, notNetwork := netip.ParsePrefix(value)
		if notAddress != nil && notNetwork != nil {
			return fmt.Sprintf("%q is no address and no network such as 10.0.0.0/8", value), ""
		}
	case "HostRegexp", "PathRegexp", "HeaderRegexp":
		if _, err := regexp.Compile(value); err != nil {
			return err.Error(), ""
		}
	case "QueryRegexp":
		if _, err := regexp.Compile(value); err != nil && len(call.Args) == 2 {
			return err.Error(), ""
		}
	}
	return "", ""
}
