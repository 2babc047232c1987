package verdicts

import (
	"fmt"
	"go/ast"
	"go/token"
	"io/fs"
	"strconv"
)

// kubeScore returns the cases of kube-score: its tests demand a grade of a
// check for a file of score/testdata.
func kubeScore(dir fs.FS) ([]Case, error) {
	tests, err := fs.Glob(dir, "score/*_test.go")
	if err != nil {
		return nil, err
	}
	var cases []Case
	seen := make(map[[2]string]bool)
	for _, test := range tests {
		functions, err := functionsOf(dir, test)
		if err != nil {
			return nil, err
		}
		for _, f := range functions {
			for _, d := range demands(f) {
				if seen[[2]string{d.check, d.file}] {
					continue // again, with other flags
				}
				seen[[2]string{d.check, d.file}] = true
				text, err := fs.ReadFile(dir, "score/testdata/"+d.file)
				if err != nil {
					return nil, fmt.Errorf("%s: %w", test, err)
				}
				cases = append(cases, Case{Check: d.check, Name: d.file, Text: text, Flagged: d.grade != "GradeAllOK"})
			}
		}
	}
	return cases, nil
}

// demand is the grade that a test demands.
type demand struct{ file, check, grade string }

// demands returns what a test of kube-score demands: the calls of
// testExpectedScore and testExpectedScoreWithConfig, once for each value that
// a loop around them gives to its variable. What is skipped has no grade.
func demands(f *ast.FuncDecl) []demand {
	var all []demand
	var walk func(n ast.Node, variable, value string)
	walk = func(n ast.Node, variable, value string) {
		ast.Inspect(n, func(n ast.Node) bool {
			if loop, ok := n.(*ast.RangeStmt); ok {
				values, isList := loop.X.(*ast.CompositeLit)
				name, isName := loop.Value.(*ast.Ident)
				if isList && isName {
					for _, v := range values.Elts {
						if s, ok := textOf(v, "", ""); ok {
							walk(loop.Body, name.Name, s)
						}
					}
					return false
				}
			}
			call, ok := n.(*ast.CallExpr)
			if !ok {
				return true
			}
			name, ok := call.Fun.(*ast.Ident)
			if !ok || name.Name != "testExpectedScore" && name.Name != "testExpectedScoreWithConfig" || len(call.Args) < 4 {
				return true
			}
			files := call.Args[1]
			if list, ok := files.(*ast.CompositeLit); ok && len(list.Elts) == 1 {
				if open, ok := list.Elts[0].(*ast.CallExpr); ok && len(open.Args) == 1 {
					files = open.Args[0]
				}
			}
			last := len(call.Args) - 1
			file, hasFile := textOf(files, variable, value)
			check, hasCheck := textOf(call.Args[last-1], variable, value)
			grade, hasGrade := call.Args[last].(*ast.SelectorExpr)
			if hasFile && hasCheck && hasGrade {
				all = append(all, demand{file, check, grade.Sel.Name})
			}
			return true
		})
	}
	walk(f, "", "")
	return all
}

// textOf returns the text of an expression of string literals and a variable
// whose value is known.
func textOf(e ast.Expr, variable, value string) (string, bool) {
	switch e := e.(type) {
	case *ast.BasicLit:
		s, err := strconv.Unquote(e.Value)
		return s, err == nil
	case *ast.Ident:
		return value, e.Name == variable && variable != ""
	case *ast.BinaryExpr:
		x, okX := textOf(e.X, variable, value)
		y, okY := textOf(e.Y, variable, value)
		return x + y, okX && okY && e.Op == token.ADD
	}
	return "", false
}
