package secret_test

import (
	"io"
	"strings"
	"testing"

	"git.lastcloud.io/ronnibaslund/dezky/fleet/components/secret"
)

func TestFormats(t *testing.T) {
	for _, tc := range []struct {
		format secret.Format
		value  string
		want   string // empty: good
	}{
		{secret.Hex(4), "00ff00ff", ""},
		{secret.Hex(4), "00ff00", "must be 4 random bytes in hex (openssl rand -hex 4), 8 characters of 0-9 and a-f"},
		{secret.Hex(4), "00ff00fx", "must be 4 random bytes in hex"},
		{secret.Base64(3), "AAAA", ""},
		{secret.Base64(4), "00ff00ff", "is in hex, must be 4 random bytes in base64 (openssl rand -base64 4)"},
		{secret.Base64(3), "AAA", "must be 3 random bytes in base64"},
		{secret.Random(4), "abcd", ""},
		{secret.Random(4), "abc", "must be random text of 4 characters or more"},
		{secret.URI{Scheme: "redis", Host: "h:1", Database: "1"}, "redis://:x@h:1/1", ""},
		{secret.URI{Scheme: "redis", Host: "h:1", Database: "1"}, "rediss://:x@h:1/1", "the scheme must be redis"},
		{secret.URI{Scheme: "redis", Host: "h:1", Database: "1"}, "redis://:x@g:1/2", "the host must be h:1\nthe database must be 1"},
		{secret.URI{Scheme: "redis", Host: "h:1", Database: "1"}, "h:1", "must be a URI redis://USER:PASSWORD@h:1/1"},
		{secret.URI{Scheme: "redis", Host: "h:1"}, "redis://:a%zz@h:1/1", "must be percent-encoded"},
		{secret.URI{Scheme: "mongodb", Host: "h:1"}, "mongodb://u:x@g:1,h:1/db?w=1", ""},
		{secret.URI{Scheme: "redis", Host: "h:1"}, "redis://h:1/1", ""},
		{secret.URI{Scheme: "redis", Host: "h:1", Password: true}, "redis://:x@h:1/1", ""},
		{secret.URI{Scheme: "redis", Host: "h:1", Password: true}, "redis://h:1/1", "the password is missing: USER:PASSWORD@ must stand before the host"},
		{secret.URI{Scheme: "redis", Host: "h:1", Password: true}, "redis://u@h:1/1", "the password is missing"},
		{secret.URI{Scheme: "redis", Host: "h:1", Password: true}, "redis://u:@h:1/1", "the password is missing"},
		{secret.URI{Scheme: "redis", Host: "h:1", Password: true}, "redis://u:a/b@h:1/1", "percent-encoded"},
		{secret.URI{Scheme: "mongodb", Host: "h:1", Password: true}, `mongodb://u:a@b@h:1/d`, `percent-encoded (RFC 3986)`},
		{secret.URI{Scheme: "mongodb", Host: "h:1", Password: true}, `mongodb://u:#a@h:1/d`, `percent-encoded (RFC 3986)`},
		{secret.URI{Scheme: "mongodb", Host: "h:1", Password: true}, `mongodb://u:a/b@h:1/d`, `percent-encoded (RFC 3986)`},
		{secret.URI{Scheme: "mongodb", Host: "h:1", Password: true}, `mongodb://u:a?b@h:1/d`, `percent-encoded (RFC 3986)`},
		{secret.URI{Scheme: "mongodb", Host: "h:1", Password: true}, `mongodb://u:a:b@h:1/d`, `percent-encoded (RFC 3986)`},
		{secret.URI{Scheme: "mongodb", Host: "h:1", Password: true}, `mongodb://u:a[b@h:1/d`, `percent-encoded (RFC 3986)`},
		{secret.URI{Scheme: "mongodb", Host: "h:1", Password: true}, `mongodb://u:a]b@h:1/d`, `percent-encoded (RFC 3986)`},
		{secret.URI{Scheme: "mongodb", Host: "h:1", Password: true}, `mongodb://u:a%b@h:1/d`, `percent-encoded (RFC 3986)`},
		{secret.URI{Scheme: "mongodb", Host: "h:1", Password: true}, `mongodb://u:%ff@h:1/d`, `percent-encoded (RFC 3986)`},
		{secret.URI{Scheme: "mongodb", Host: "h:1", Password: true}, `mongodb://u@x:a@h:1/d`, `percent-encoded (RFC 3986)`},
		{secret.URI{Scheme: "mongodb", Host: "h:1", Password: true}, `mongodb://u:a b@h:1/d`, `percent-encoded (RFC 3986)`},
		{secret.URI{Scheme: "mongodb", Host: "h:1", Password: true}, `mongodb://u:a%40b@h:1/d`, ``},
		{secret.URI{Scheme: "mongodb", Host: "h:1", Password: true}, `mongodb://u:a%25b@h:1`, ``},
		{secret.URI{Scheme: "mongodb", Host: "h:1", Password: true}, `mongodb://u:x@[::1]:1,h:1/d?replicaSet=a`, ``},
		{secret.URI{Scheme: "mongodb", Host: "h:1", Password: true}, `mongodb://u:-._~!$&'()*+,;=@h:1/d`, ``},
		{secret.URI{Scheme: "mongodb", Host: "h:1", Password: true}, `mongodb://u:x@H:1/d`, ``},
		{secret.URI{Scheme: "mongodb", Host: "h:1", Password: true}, `mongodb://:x@h:1/d`, `the user is missing before @`},
		{secret.URI{Scheme: "mongodb", Host: "h:1", Password: true}, `mongodb+srv://u:x@h/d`, `the scheme must be mongodb`},
		{secret.URI{Scheme: "mongodb", Host: "h:1", Password: true}, `mongodb://u:x@h:x/d`, `the host must be HOST:PORT`},
		{secret.URI{Scheme: "mongodb", Host: "h:1", Password: true}, `mongodb://u:x@::1/d`, `the host must be HOST:PORT`},
		{secret.URI{Scheme: "mongodb+srv", Host: "c.example.com", Password: true}, `mongodb+srv://u:x@c.example.com/d`, ``},
		{secret.URI{Scheme: "mongodb+srv", Host: "c.example.com", Password: true}, `mongodb+srv://u:x@c.example.com:27017/d`, `the host must be`},
		{secret.URI{Scheme: "mongodb+srv", Host: "c.example.com", Password: true}, `mongodb+srv://u:x@c.example.com,d.example.com/d`, `names one host`},
		{secret.URI{Scheme: "redis", Host: "h:1", Database: "1", Password: true}, `redis://default:12#34@h:1/1`, `percent-encoded (RFC 3986)`},
		{secret.URI{Scheme: "redis", Host: "h:1", Database: "1", Password: true}, `redis://:?abc@h:1/1`, `percent-encoded (RFC 3986)`},
		{secret.URI{Scheme: "redis", Host: "h:1", Database: "1", Password: true}, `redis://:a@b@h:1/1`, `percent-encoded (RFC 3986)`},
		{secret.URI{Scheme: "redis", Host: "h:1", Database: "1", Password: true}, `redis://:a/b@h:1/1`, `percent-encoded (RFC 3986)`},
		{secret.URI{Scheme: "redis", Host: "h:1", Database: "1", Password: true}, `redis://:a%@h:1/1`, `percent-encoded (RFC 3986)`},
		{secret.URI{Scheme: "redis", Host: "h:1", Database: "1", Password: true}, `redis://:a[b@h:1/1`, `percent-encoded (RFC 3986)`},
		{secret.URI{Scheme: "redis", Host: "h:1", Database: "1", Password: true}, `redis://default:a%23b@h:1/1`, ``},
		{secret.URI{Scheme: "redis", Host: "h:1", Database: "1", Password: true}, `redis://default:ab+c=d@h:1/1`, ``},
		{secret.URI{Scheme: "redis", Host: "h:1", Database: "1", Password: true}, `redis://:x@h:1/1`, ``},
		{secret.URI{Scheme: "redis", Host: "h:1", Database: "1", Password: true}, `redis://u:a:b@h:1/1`, ``},
		{secret.URI{Scheme: "redis", Host: "h:1", Database: "1", Password: true}, `redis://:x@h:1/1?family=6`, ``},
		{secret.URI{Scheme: "redis", Host: "h:1", Database: "1", Password: true}, `redis://:x@h:1,g:1/1`, `names one host`},
		{secret.URI{Scheme: "redis", Host: "h:1", Database: "1", Password: true}, `redis://:x@h:1/1#a`, `has a fragment`},
		{secret.URI{Scheme: "redis"}, `redis://default:12#34@h:1/1`, `percent-encoded (RFC 3986)`},
		{secret.URI{Scheme: "redis", Host: "r.data:6379"}, `redis://:x@r.data/1`, ``},
		{secret.URI{Scheme: "rediss", Host: "[::1]:6380"}, `rediss://:x@[::1]:6380/0`, ``},
		{secret.URI{Scheme: "https"}, `https://h/@a?b=c@d`, ``},
		{secret.DockerConfig{Registry: "r.example.com", Images: []string{"r.example.com/shop/web", "r.example.com/shop/api"}}, `{"auths":{"r.example.com":{"username":"u","password":"x"}}}`, ``},
		{secret.DockerConfig{Registry: "r.example.com", Images: []string{"r.example.com/shop/web", "r.example.com/shop/api"}}, `{"auths":{"https://r.example.com":{"username":"u","password":"x"}}}`, ``},
		{secret.DockerConfig{Registry: "r.example.com", Images: []string{"r.example.com/shop/web", "r.example.com/shop/api"}}, `{"auths":{"http://r.example.com/":{"username":"u","password":"x"}}}`, ``},
		{secret.DockerConfig{Registry: "r.example.com", Images: []string{"r.example.com/shop/web", "r.example.com/shop/api"}}, `{"auths":{"r.example.com/":{"username":"u","password":"x"}}}`, ``},
		{secret.DockerConfig{Registry: "r.example.com", Images: []string{"r.example.com/shop/web", "r.example.com/shop/api"}}, `{"auths":{"r.example.com/v1/":{"username":"u","password":"x"}}}`, ``},
		{secret.DockerConfig{Registry: "r.example.com", Images: []string{"r.example.com/shop/web", "r.example.com/shop/api"}}, `{"auths":{"https://r.example.com/v2/":{"username":"u","password":"x"}}}`, ``},
		{secret.DockerConfig{Registry: "r.example.com", Images: []string{"r.example.com/shop/web", "r.example.com/shop/api"}}, `{"auths":{"r.example.com/shop":{"username":"u","password":"x"}}}`, ``},
		{secret.DockerConfig{Registry: "r.example.com", Images: []string{"r.example.com/shop/web", "r.example.com/shop/api"}}, `{"auths":{"r.example.com/shop/":{"username":"u","password":"x"}}}`, ``},
		{secret.DockerConfig{Registry: "r.example.com", Images: []string{"r.example.com/shop/web", "r.example.com/shop/api"}}, `{"auths":{"*.example.com":{"username":"u","password":"x"}}}`, ``},
		{secret.DockerConfig{Registry: "r.example.com", Images: []string{"r.example.com/shop/web", "r.example.com/shop/api"}}, `{"auths":{"*.example.*/shop":{"username":"u","password":"x"}}}`, ``},
		{secret.DockerConfig{Registry: "r.example.com", Images: []string{"r.example.com/shop/web", "r.example.com/shop/api"}}, `{"auths":{"r.*.com":{"username":"u","password":"x"}}}`, ``},
		{secret.DockerConfig{Registry: "r.example.com", Images: []string{"r.example.com/shop/web", "r.example.com/shop/api"}}, `{"auths":{"r.example.com.evil.net":{"username":"u","password":"x"}}}`, `has no login for r.example.com`},
		{secret.DockerConfig{Registry: "r.example.com", Images: []string{"r.example.com/shop/web", "r.example.com/shop/api"}}, `{"auths":{"*.com":{"username":"u","password":"x"}}}`, `has no login for r.example.com`},
		{secret.DockerConfig{Registry: "r.example.com", Images: []string{"r.example.com/shop/web", "r.example.com/shop/api"}}, `{"auths":{"example.com":{"username":"u","password":"x"}}}`, `has no login for r.example.com`},
		{secret.DockerConfig{Registry: "r.example.com", Images: []string{"r.example.com/shop/web", "r.example.com/shop/api"}}, `{"auths":{"r.example.com:443":{"username":"u","password":"x"}}}`, `has no login for r.example.com`},
		{secret.DockerConfig{Registry: "r.example.com", Images: []string{"r.example.com/shop/web", "r.example.com/shop/api"}}, `{"auths":{"r.example.com/other":{"username":"u","password":"x"}}}`, `has no login for r.example.com`},
		{secret.DockerConfig{Registry: "r.example.com", Images: []string{"r.example.com/shop/web", "r.example.com/shop/api"}}, `{"auths":{"ftp://r.example.com":{"username":"u","password":"x"}}}`, `has no login for r.example.com`},
		{secret.DockerConfig{Registry: "r.example.com", Images: []string{"r.example.com/shop/web", "r.example.com/shop/api"}}, `{"auths":{"R.example.com":{"username":"u","password":"x"}}}`, `has no login for r.example.com`},
		{secret.DockerConfig{Registry: "r.example.com", Images: []string{"r.example.com/shop/web", "r.example.com/shop/api"}}, `{"auths":{"r.example.com/v2":{"username":"u","password":"x"}}}`, `has no login for r.example.com`},
		{secret.DockerConfig{Registry: "r.example.com", Images: []string{"r.example.com/shop/web", "r.example.com/shop/api"}}, `{"auths":{"*":{"username":"u","password":"x"}}}`, `has no login for r.example.com`},
		{secret.DockerConfig{Registry: "r.example.com", Images: []string{"r.example.com/shop/web", "r.example.com/shop/api"}}, `{"auths":{"r.example.com/shop/web":{"username":"u","password":"x"}}}`, `has no login for r.example.com/shop/api`},
		{secret.DockerConfig{Registry: "r.example.com", Images: []string{"r.example.com/shop/web", "r.example.com/shop/api"}}, `{"auths":{"r.example.com/shop/web":{"username":"u","password":"x"},"r.example.com/shop/api":{"username":"u","password":"x"}}}`, ``},
		{secret.DockerConfig{Registry: "r.example.com", Images: []string{"r.example.com/shop/web", "r.example.com/shop/api"}}, `{"auths":{"r.example.com/shop":{"username":"u"},"r.example.com":{"username":"u","password":"x"}}}`, ``},
		{secret.DockerConfig{Registry: "r.example.com", Images: []string{"r.example.com/shop/web", "r.example.com/shop/api"}}, `{"auths":{"r.example.com":{"username":"u","password":"x"},"other":{"auth":"!"}}}`, `then the kubelet takes none of them`},
		{secret.DockerConfig{Registry: "r.example.com"}, `{"auths":{"r.example.com":{"auth":"dTp4"}}}`, ""},
		{secret.DockerConfig{Registry: "r.example.com"}, `{"auths":{"r.example.com":{"auth":"dTp4eA=="}}}`, ""},
		{secret.DockerConfig{Registry: "r.example.com"}, `{"auths":{"r.example.com":{"auth":"dTp4eA"}}}`, ""},
		{secret.DockerConfig{Registry: "r.example.com"}, `{"auths":{"r.example.com":{"auth":"u:x"}}}`, "has a login whose auth is not base64 of USER:PASSWORD, and then the kubelet takes none of them"},
		{secret.DockerConfig{Registry: "r.example.com"}, `{"auths":{"r.example.com":{"auth":"eA==","username":"u","password":"x"}}}`, "not base64 of USER:PASSWORD"},
		{secret.DockerConfig{Registry: "r.example.com"}, `{"auths":{"r.example.com":{"auth":"dTo="}}}`, "has no user or no password"},
		{secret.DockerConfig{Registry: "r.example.com"}, `{"auths":{"r.example.com":{"auth":"Ong="}}}`, "has no user or no password"},
		{secret.DockerConfig{Registry: "r.example.com"}, `{"auths":{"r.example.com":{"username":"u","password":"x"}}}`, ""},
		{secret.DockerConfig{Registry: "r.example.com"}, `{"auths":{"r.example.com":{"username":"u"}}}`, "has no user or no password"},
		{secret.DockerConfig{Registry: "r.example.com"}, `{"auths":{"other":{}}}`, "has no login for r.example.com"},
		{secret.DockerConfig{Registry: "r.example.com"}, `x`, "must be a Docker config with a login for r.example.com"},
	} {
		err := tc.format.Check(tc.value)
		switch {
		case tc.want == "" && err != nil:
			t.Errorf("%s: %q is refused: %v", tc.format, tc.value, err)
		case tc.want != "" && (err == nil || !strings.Contains(err.Error(), tc.want)):
			t.Errorf("%s: %q gives %v, want %s", tc.format, tc.value, err, tc.want)
		}
	}
}

// endless is the letter a without end.
type endless struct{}

func (endless) Read(p []byte) (int, error) {
	for i := range p {
		p[i] = 'a'
	}
	return len(p), nil
}

func TestGenerated(t *testing.T) {
	for _, f := range []secret.Format{secret.Hex(32), secret.Base64(32), secret.Random(48), secret.Random(41)} {
		value, err := f.(interface {
			Generate(io.Reader) (string, error)
		}).Generate(endless{})
		if err != nil {
			t.Fatal(err)
		}
		if err := f.Check(value); err != nil {
			t.Errorf("%s does not take its own value: %v", f, err)
		}
		if _, random := f.(secret.Random); random && !strings.HasPrefix(value, "k") {
			t.Errorf("%s begins with a hex digit, and may be a number to its reader", f)
		}
	}
}
