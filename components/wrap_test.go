package components_test

import (
	"strings"
	"testing"

	"git.lastcloud.io/ronnibaslund/dezky/fleet/components"
	"git.lastcloud.io/ronnibaslund/dezky/fleet/components/nuxt"
	"git.lastcloud.io/ronnibaslund/dezky/fleet/render"
	"git.lastcloud.io/ronnibaslund/dezky/fleet/render/object"
)

// shop is a component of another layer that wraps an app.
type shop struct {
	components.WebApp
	Theme string
}

// TestWrapped: what a component says of itself is not lost where another one
// wraps it.
func TestWrapped(t *testing.T) {
	app := func(name string) object.Component {
		login := nuxt.Login{
			Client:   components.OIDCClient{Name: name, Namespace: "shop", Host: name + ".example.com", Authentik: "auth.example.com"},
			Sessions: &nuxt.RedisSessions{Address: "redis.data:6379", Prefix: "shared"},
		}
		return shop{Theme: "dark", WebApp: components.WebApp{
			Name: name, Namespace: "shop", Image: "registry.example.com/" + name + ":v1", Port: 3000,
			Login: login, Assumed: components.Assumed{Files: true},
		}}
	}
	tree := render.Tree{Name: "a test", Layers: []render.Layer{{Name: "apps", Files: []render.File{
		{Name: "a", Components: []object.Component{app("a")}},
		{Name: "b", Components: []object.Component{app("b")}},
	}}}}
	_, _, err := tree.Files()
	if err == nil || !strings.Contains(err.Error(), "the keys shared:* in Redis redis.data:6379, database 0, and so does apps/a.yaml: shop/a: each needs its own") {
		t.Errorf("two wrapped apps on one key prefix: %v", err)
	}
	if about := app("a").About(); len(about.Assumed) != 1 || len(about.Notes) == 0 {
		t.Errorf("the wrapped app says %+v of itself", about)
	}
}
