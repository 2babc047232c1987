// Package placeholder tells what keeps the place of a value from a value.
package placeholder

import (
	"encoding/base64"
	"encoding/json"
	"regexp"
	"strings"
	"sync"
	"unicode/utf8"
)

// Text is the placeholder that fleet writes.
const Text = "REPLACE"

// Is reports whether the text only keeps the place of a value: as
// a whole, or in the user or the password of a connection string, or in a
// text of a JSON document.
func Is(value string) bool {
	value = strings.TrimSpace(value)
	if keepsPlace(value) {
		return true
	}
	if _, rest, ok := strings.Cut(value, "://"); ok {
		return inURI(rest)
	}
	if strings.HasPrefix(value, "{") {
		var document any
		return json.Unmarshal([]byte(value), &document) == nil && inJSON(document)
	}
	return false
}

// keepsPlace reports whether the text as a whole is a placeholder, or has one
// that a tool was to fill. A word such as PASSWORD within a longer text is
// none: people have such passwords.
func keepsPlace(text string) bool {
	return text == "" || whole().MatchString(text) || unfilled().MatchString(text)
}

// inURI looks at what stands behind the scheme: at the words that
// a template of a URI has, and at what people leave as its password.
func inURI(rest string) bool {
	if i := strings.LastIndex(rest, "@"); i >= 0 {
		user, password, _ := strings.Cut(rest[:i], ":")
		if user != "" && keepsPlace(user) || password != "" && keepsPlace(password) {
			return true
		}
	}
	for word := range strings.FieldsFuncSeq(rest, func(r rune) bool { return strings.ContainsRune(":/@?,&=", r) }) {
		switch word {
		case Text, "USER", "PASSWORD", "HOST", "PORT", "DATABASE":
			return true
		}
	}
	return false
}

// inJSON looks at every text of a document, and at the password of
// USER:PASSWORD in base64, as the login of a Docker config has it.
func inJSON(document any) bool {
	switch d := document.(type) {
	case map[string]any:
		for _, v := range d {
			if inJSON(v) {
				return true
			}
		}
	case []any:
		for _, v := range d {
			if inJSON(v) {
				return true
			}
		}
	case string:
		if d != "" && keepsPlace(d) {
			return true
		}
		if b, err := base64.StdEncoding.DecodeString(d); err == nil && utf8.Valid(b) {
			_, password, ok := strings.Cut(string(b), ":")
			return ok && password != "" && keepsPlace(password)
		}
	}
	return false
}

// whole is what people and templates leave where a whole value
// belongs.
var whole = sync.OnceValue(func() *regexp.Regexp {
	return regexp.MustCompile(`^(?:` + strings.Join([]string{
		`[xX]+|[*.?_-]+`,
		`REPLACE(?:[-_ ]?[A-Za-z]+)*`, // REPLACE, REPLACE_ME
		`(?i:(?:change|replace|fix)[-_ ]?(?:me|it|this)\W*\d*)`, // changeme, change-me!, changeme123
		`(?i:password|secret|todo|tbd|none|null|undefined|example|placeholder|dummy|redacted)`,
		`(?i:(?:your|insert|enter)[-_ ][a-z_ -]+)`,              // your-token-here
		`<[A-Za-z_][A-Za-z0-9_ .:/#-]*>`,                        // <your key>, <path:vault/key#field>
		`\[\[? *[A-Za-z_][A-Za-z_ .-]* *\]?\]`,                  // [your key], [[ key ]]
		`%[A-Z][A-Z0-9_]*%`,                                     // %NAME%
		`@@?[A-Z][A-Z0-9_]*@@?`,                                 // @NAME@
		`__[A-Z][A-Z0-9_]*__`,                                   // __NAME__
		`\$[A-Z][A-Z_]{2,}`,                                     // $NAME
		"`[^`]+`",                                               // `command`
		`(?:ref\+[a-z0-9]+|op|vault|awssm|gcpsm|bws):/?/?[^ ]+`, // a reference into a store of secrets
	}, "|") + `)$`)
})

// unfilled is a placeholder that a tool fills, wherever it stands.
var unfilled = sync.OnceValue(func() *regexp.Regexp {
	return regexp.MustCompile(strings.Join([]string{
		`\$\{\{?\s*[A-Za-z_][A-Za-z0-9_.\-\[\]]*\s*(?:[:?+=#%/^,!@|][^}]*)?\}`, // ${NAME}, ${NAME:-x}, ${{ secrets.NAME }}
		`\$\([A-Za-z_][A-Za-z0-9_./-]*(?:\s[^)]*)?\)`,                          // $(command x), $(NAME)
		`\{\{-?\s*[.$A-Za-z_"'(][^{}]*\}\}`,                                    // {{ .name }}, {{ name }}
		`\{%-?\s*[A-Za-z_][^{}]*%\}`,                                           // {% name %}
		`<%[-=]?\s*[A-Za-z_@][^<>]*%>`,                                         // <%= name %>
		`#\{[A-Za-z_][A-Za-z0-9_.\-]*\}`,                                       // #{name}
		`%\([A-Za-z_][A-Za-z0-9_.]*\)s`,                                        // %(name)s
		`\$\[[A-Za-z_][A-Za-z0-9_.]*\]`,                                        // $[name]
	}, "|"))
})
