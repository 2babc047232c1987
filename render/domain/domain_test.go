package domain_test

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"git.lastcloud.io/ronnibaslund/dezky/fleet/render/domain"
)

func TestFind(t *testing.T) {
	one := domain.Domains{Own: []string{"example.com", "example.net"}, Foreign: []string{"example.local"}}
	below := domain.Domains{Own: []string{"dev.example.com"}, Foreign: []string{"example.com", "x.dev.example.com"}}
	for _, tc := range []struct {
		domains domain.Domains
		text    string
		want    string // "foreign HOST" or "plain HOST", empty for none
	}{
		{one, "see example.local", "foreign example.local"},
		{one, "https://auth.Example.LOCAL:443/x", "foreign auth.example.local"},
		{one, "server_name\texample.local;", "foreign example.local"},
		{one, "a\rexample.local\rb", "foreign example.local"},
		{one, "a\u0085auth.example.local\u2028b", "foreign auth.example.local"},
		{one, "a\u00a0example.local", "foreign example.local"},
		{one, "\ufeffexample.local", "foreign example.local"},
		{one, "example.local.", "foreign example.local"},
		{one, "user@example.local,x", "foreign example.local"},
		{one, "_dmarc.example.local", "foreign dmarc.example.local"},
		// Escapes of another notation inside the text.
		{one, `{"hosts": "a\texample.local\n"}`, "foreign example.local"},
		{one, `a\u0009example.local`, "foreign example.local"},
		{one, `a\x09example.local`, "foreign example.local"},
		{one, "https://x.example.com/?to=https%3A%2F%2Fexample.local%2F", "foreign example.local"},
		{one, "https://x.example.com/?to=https%3a%2f%2fauth.example.local%2f", "foreign auth.example.local"},
		{one, "50%example.local", "foreign example.local"},
		// Other names.
		{one, "myexample.local my-example.local.example.com example.locality example.local.evil.test", ""},
		{one, "éexample.local 日本example.local", ""},
		{one, `C:\notexample.local`, ""},
		{one, "local example. local", ""},
		// Plain HTTP to an own host.
		{one, "http://example.com", "plain example.com"},
		{one, "HTTP://WEB.example.net./x", "plain web.example.net"},
		{one, "http://u:p@web.example.com/x", "plain web.example.com"},
		{one, `{"to":"http:\/\/web.example.com\/"}`, "plain web.example.com"},
		{one, "?to=http%3A%2F%2Fweb.example.com%2F", "plain web.example.com"},
		{one, "http://api.ns:80,http://web.example.com", "plain web.example.com"},
		{one, "http://web.ns:80 https://u@web.example.com http://example.com.evil.test http://a\tb@example.com", ""},
		{one, "http://", ""},
		// The longest domain decides.
		{below, "https://web.dev.example.com dev.example.com", ""},
		{below, "https://web.example.com", "foreign web.example.com"},
		{below, "https://a.x.dev.example.com", "foreign a.x.dev.example.com"},
		{below, "http://web.dev.example.com", "plain web.dev.example.com"},
		{domain.Domains{}, "http://example.com", ""},
		{domain.Domains{Foreign: []string{""}}, "never ends", ""},
	} {
		var got []string
		for _, h := range tc.domains.Find([]byte(tc.text)) {
			kind := "plain "
			if h.Foreign {
				kind = "foreign "
			}
			got = append(got, kind+h.Host)
		}
		if g := strings.Join(got, ", "); g != tc.want {
			t.Errorf("%q: found %q, want %q", tc.text, g, tc.want)
		}
	}
}

func TestValidate(t *testing.T) {
	good := domain.Domains{Own: []string{"example.com", "dev.example.org", "localhost"}, Foreign: []string{"example.org", "xn--dzky-hra.local"}}
	if err := good.Validate(); err != nil {
		t.Error(err)
	}
	for _, name := range []string{"", " ", "a b.example", "Example.com", "example.com.", ".example.com", "*.example.com", "https://example.com", "example.com:443", "example.com/x", "a..b", "dæzky.local", "a\tb", "a\n"} {
		for field, d := range map[string]domain.Domains{"domains[1]: ": {Own: []string{"a.test", name}}, "foreignDomains[0]: ": {Foreign: []string{name}}} {
			err := d.Validate()
			if err == nil || !strings.HasPrefix(err.Error(), field) || strings.ContainsAny(err.Error(), "\n\t") {
				t.Errorf("%q: the error is %v, want it at %s", name, err, field)
			}
		}
	}
	twice := domain.Domains{Own: []string{"a.test", "a.test"}, Foreign: []string{"a.test", ""}}
	got := strings.Split(fmt.Sprint(twice.Validate()), "\n")
	want := []string{
		"domains[1]: a.test stands twice: remove one",
		"foreignDomains[0]: a.test is an own domain too: an environment needs a domain of its own",
		"foreignDomains[1]: is empty: give a domain such as example.com, or leave it out",
	}
	if !slices.Equal(got, want) {
		t.Errorf("the errors are %q", got)
	}
}
