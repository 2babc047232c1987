package golden_test

import (
	"testing"
	"testing/fstest"

	"github.com/google/go-cmp/cmp"

	"git.lastcloud.io/ronnibaslund/dezky/fleet/golden"
	"git.lastcloud.io/ronnibaslund/dezky/fleet/render"
)

const deployment = `# header
apiVersion: apps/v1
kind: Deployment
metadata:
  annotations:
    example.com/team: web
  name: web
  namespace: shop
spec:
  replicas: 2
  template:
    spec:
      containers:
      - env:
        - name: PORT
          value: "3000"
        - name: MODE
          value: |
            one
            two
            three
        args:
        - a
        - b
        name: web
`

const service = `apiVersion: v1
kind: Service
metadata:
  name: web
  namespace: shop
`

func TestDiff(t *testing.T) {
	for _, tc := range []struct {
		name             string
		golden, rendered map[string]string
		want             string
	}{
		{"nothing", map[string]string{"a/web.yaml": deployment}, map[string]string{"a/web.yaml": deployment}, ""},
		{
			"fields",
			map[string]string{"a/web.yaml": deployment},
			map[string]string{"a/web.yaml": `# header
apiVersion: apps/v1
kind: Deployment
metadata:
  annotations:
    example.com/team: api
  name: web
  namespace: shop
spec:
  template:
    spec:
      containers:
      - env:
        - name: HOST
          value: "yes"
        - name: PORT
          value: "3001"
        - name: MODE
          value: |
            one
            2
            three
        args:
        - a
        - b
        - c
        name: web
        resources:
          limits:
            memory: 1Gi
`},
			`  a/web.yaml
    Deployment shop/web
    -   metadata.annotations[example.com/team]: web
    +   metadata.annotations[example.com/team]: api
    -   spec.replicas: 2
    +   spec.template.spec.containers[web].args[2]: c
    +   spec.template.spec.containers[web].env[HOST]:
    +       name: HOST
    +       value: "yes"
    -   spec.template.spec.containers[web].env[MODE].value: two
    +   spec.template.spec.containers[web].env[MODE].value: "2"
    -   spec.template.spec.containers[web].env[PORT].value: "3000"
    +   spec.template.spec.containers[web].env[PORT].value: "3001"
    +   spec.template.spec.containers[web].resources:
    +       limits:
    +         memory: 1Gi
`,
		},
		{
			"objects",
			map[string]string{"a/web.yaml": deployment},
			map[string]string{"a/web.yaml": service},
			`  a/web.yaml
  + Service shop/web: a new object
  - Deployment shop/web: no longer rendered
`,
		},
		{
			"files",
			map[string]string{"a/old.yaml": service},
			map[string]string{"a/new.yaml": service},
			"+ a/new.yaml: a new file\n- a/old.yaml: not rendered; -update removes it if an earlier rendering wrote it\n",
		},
		{
			"a comment",
			map[string]string{"a/web.yaml": "# one\n" + service},
			map[string]string{"a/web.yaml": "# two\n" + service},
			"  a/web.yaml\n    -   # one\n    +   # two\n",
		},
		{
			"prose",
			map[string]string{"README.md": "one\ntwo\n"},
			map[string]string{"README.md": "one\n2\n"},
			"  README.md\n    -   two\n    +   2\n",
		},
		{
			"the order of objects",
			map[string]string{"a/web.yaml": service + "---\n" + deployment},
			map[string]string{"a/web.yaml": deployment + "---\n" + service},
			"", // only that there is a difference
		},
	} {
		t.Run(tc.name, func(t *testing.T) {
			files := fstest.MapFS{}
			for path, text := range tc.golden {
				files[path] = &fstest.MapFile{Data: []byte(text)}
			}
			var rendered []render.Rendered
			for path, text := range tc.rendered {
				rendered = append(rendered, render.Rendered{Path: path, Data: []byte(text)})
			}
			got, err := golden.Diff(files, rendered)
			if err != nil {
				t.Fatal(err)
			}
			if tc.name == "the order of objects" {
				if got == "" {
					t.Error("two orders of the same objects are the same")
				}
				return
			}
			if d := cmp.Diff(tc.want, got); d != "" {
				t.Errorf("(-want +got)\n%s", d)
			}
		})
	}
}
