package render_test

import (
	"errors"
	"strings"
	"testing"

	appsv1 "k8s.io/api/apps/v1"
	batchv1 "k8s.io/api/batch/v1"
	corev1 "k8s.io/api/core/v1"
	networkingv1 "k8s.io/api/networking/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	kruntime "k8s.io/apimachinery/pkg/runtime"
	"sigs.k8s.io/yaml"

	"git.lastcloud.io/ronnibaslund/dezky/fleet/components/secret"
	"git.lastcloud.io/ronnibaslund/dezky/fleet/render"
	"git.lastcloud.io/ronnibaslund/dezky/fleet/render/check"
	"git.lastcloud.io/ronnibaslund/dezky/fleet/render/object"
)

// list is a component of objects as they are.
type list []object.Object

func (l list) About() object.About { return object.About{} }

func (l list) Objects() ([]object.Object, error) { return l, nil }

// broken is a component with mistakes.
type broken struct{}

func (broken) About() object.About { return object.About{} }

func (broken) Objects() ([]object.Object, error) {
	return nil, errors.Join(errors.New("first mistake"), errors.New("second mistake"))
}

// claims is a component that uses something alone.
type claims string

func (c claims) Objects() ([]object.Object, error) { return nil, nil }
func (c claims) About() object.About               { return object.About{Claims: []string{string(c)}} }

func content(text string) func() (string, error) {
	return func() (string, error) { return text, nil }
}

// webSecrets is the contract of a Secret with three keys, of which OUTSIDE is
// read elsewhere and TOKEN pending.
func webSecrets() secret.Contract {
	return secret.Contract{Namespace: "ns", Name: "web-secrets", Keys: []secret.Key{
		{Name: "TOKEN", Purpose: "a test", Placeholder: "it waits"},
		{Name: "UNREAD", Purpose: "a test"},
		{Name: "OUTSIDE", Purpose: "a test", Value: "public"},
	}}
}

func config(name string, data map[string]string) *corev1.ConfigMap {
	return &corev1.ConfigMap{
		TypeMeta:   metav1.TypeMeta{APIVersion: "v1", Kind: "ConfigMap"},
		ObjectMeta: metav1.ObjectMeta{Namespace: "ns", Name: name},
		Data:       data,
	}
}

func namespace() *corev1.Namespace {
	return &corev1.Namespace{TypeMeta: metav1.TypeMeta{APIVersion: "v1", Kind: "Namespace"}, ObjectMeta: metav1.ObjectMeta{Name: "ns"}}
}

func deployment() *appsv1.Deployment {
	labels := map[string]string{"app": "web"}
	return &appsv1.Deployment{
		TypeMeta:   metav1.TypeMeta{APIVersion: "apps/v1", Kind: "Deployment"},
		ObjectMeta: metav1.ObjectMeta{Namespace: "ns", Name: "web"},
		Spec: appsv1.DeploymentSpec{
			Selector: &metav1.LabelSelector{MatchLabels: labels},
			Template: corev1.PodTemplateSpec{
				ObjectMeta: metav1.ObjectMeta{Labels: labels},
				Spec: corev1.PodSpec{AutomountServiceAccountToken: new(false), Containers: []corev1.Container{{
					Name:    "web",
					Image:   "registry.example.com/web:1",
					Env:     []corev1.EnvVar{{Name: "TOKEN", ValueFrom: &corev1.EnvVarSource{SecretKeyRef: &corev1.SecretKeySelector{LocalObjectReference: corev1.LocalObjectReference{Name: "web-secrets"}, Key: "TOKEN"}}}},
					EnvFrom: []corev1.EnvFromSource{{ConfigMapRef: &corev1.ConfigMapEnvSource{LocalObjectReference: corev1.LocalObjectReference{Name: "web-config"}}}},
				}}},
			},
		},
	}
}

func service() *corev1.Service {
	return &corev1.Service{
		TypeMeta:   metav1.TypeMeta{APIVersion: "v1", Kind: "Service"},
		ObjectMeta: metav1.ObjectMeta{Namespace: "ns", Name: "web"},
		Spec:       corev1.ServiceSpec{Selector: map[string]string{"app": "web"}, Ports: []corev1.ServicePort{{Name: "http", Port: 80}}},
	}
}

func ingress(name, host string) *networkingv1.Ingress {
	return &networkingv1.Ingress{
		TypeMeta:   metav1.TypeMeta{APIVersion: "networking.k8s.io/v1", Kind: "Ingress"},
		ObjectMeta: metav1.ObjectMeta{Namespace: "ns", Name: name, Annotations: map[string]string{"kubernetes.io/tls-acme": "true"}},
		Spec: networkingv1.IngressSpec{
			TLS: []networkingv1.IngressTLS{{Hosts: []string{host}, SecretName: name + "-tls"}},
			Rules: []networkingv1.IngressRule{{Host: host, IngressRuleValue: networkingv1.IngressRuleValue{HTTP: &networkingv1.HTTPIngressRuleValue{
				Paths: []networkingv1.HTTPIngressPath{{Path: "/", PathType: new(networkingv1.PathTypePrefix), Backend: networkingv1.IngressBackend{Service: &networkingv1.IngressServiceBackend{
					Name: "web", Port: networkingv1.ServiceBackendPort{Name: "http"},
				}}}},
			}}}},
		},
	}
}

// tree is a good one: the tests put one fault into it at a time.
func tree(more ...object.Object) render.Tree {
	return render.Tree{
		Name: "a test",
		Layers: []render.Layer{
			{Name: "base", Files: []render.File{{Name: "namespace", Components: []object.Component{list{namespace()}}}}},
			{Name: "apps", Files: []render.File{
				{Name: "web", Components: []object.Component{list{deployment(), service(), ingress("web", "web.example.com")}}},
				{Name: "config", Components: []object.Component{list{config("web-config", map[string]string{"A": "1"})}}},
				{Name: "more", Components: []object.Component{list(more)}},
			}},
		},
		Secrets:        []secret.Contract{webSecrets()},
		Domains:        []string{"example.com"},
		ForeignDomains: []string{"example.local"},
	}
}

func TestGoodTree(t *testing.T) {
	files, report, err := tree().Files()
	if err != nil {
		t.Fatal(err)
	}
	var paths []string
	for _, f := range files {
		paths = append(paths, f.Path)
	}
	if got, want := strings.Join(paths, " "), "base/namespace.yaml apps/config.yaml apps/more.yaml apps/web.yaml"; got != want {
		t.Errorf("files in the order %s, want %s", got, want)
	}
	if got, want := strings.Join(report.Pending, "\n"), "Secret ns/web-secrets, TOKEN: a placeholder, since it waits"; got != want {
		t.Errorf("pending %q, want %q", got, want)
	}
	if report.Objects != 5 {
		t.Errorf("%d objects, want 5", report.Objects)
	}
	if got, want := strings.Join(report.Notes, "\n"), "Secret ns/web-secrets: nothing reads the key UNREAD: remove it, or say who does"; got != want {
		t.Errorf("notes %q, want %q", got, want)
	}
}

// TestElsewhere: what a tree declares is there, with its keys, and what it
// waives passes.
func TestElsewhere(t *testing.T) {
	reads := func(key string) object.Object {
		d := deployment()
		d.Name = "other"
		d.Spec.Selector.MatchLabels = map[string]string{"app": "other"}
		d.Spec.Template.Labels = d.Spec.Selector.MatchLabels
		d.Spec.Template.Spec.Containers[0].Env[0].ValueFrom = &corev1.EnvVarSource{ConfigMapKeyRef: &corev1.ConfigMapKeySelector{
			LocalObjectReference: corev1.LocalObjectReference{Name: "made-elsewhere"}, Key: key,
		}}
		return d
	}
	declared := check.Elsewhere{ID: object.ID{Kind: "ConfigMap", Namespace: "ns", Name: "made-elsewhere"}, Keys: []string{"A"}}
	for _, tc := range []struct {
		name      string
		key       string
		elsewhere []check.Elsewhere
		waivers   []check.Waiver
		want      string
	}{
		{name: "declared", key: "A", elsewhere: []check.Elsewhere{declared}},
		{name: "another key", key: "B", elsewhere: []check.Elsewhere{declared}, want: "ConfigMap ns/made-elsewhere has no key B: its keys are A"},
		{name: "not declared", key: "A", want: "there is no ConfigMap ns/made-elsewhere"},
		{name: "waived", key: "A", waivers: []check.Waiver{{Rule: "reference", Object: object.IDOf(reads("A")), Reason: "a test"}}},
		{name: "waived without a reason", key: "A", waivers: []check.Waiver{{Rule: "reference", Object: object.IDOf(reads("A"))}}, want: "there is no ConfigMap ns/made-elsewhere"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			tr := tree(reads(tc.key))
			tr.Elsewhere, tr.Waivers = tc.elsewhere, tc.waivers
			_, report, err := tr.Files()
			if tc.want == "" && err != nil || tc.want != "" && (err == nil || !strings.Contains(err.Error(), tc.want)) {
				t.Errorf("error %v, want %q", err, tc.want)
			}
			if tc.want == "" && len(report.Notes) != 1 {
				t.Errorf("notes %q", report.Notes)
			}
		})
	}
}

func TestRefused(t *testing.T) {
	ann := func(key, value string) *networkingv1.Ingress {
		i := ingress("other", "other.example.com")
		i.Annotations[key] = value
		return i
	}
	edit := func(change func(*corev1.PodSpec)) *appsv1.Deployment {
		d := deployment()
		d.Name = "other"
		change(&d.Spec.Template.Spec)
		return d
	}
	dep := func(change func(*appsv1.Deployment)) *appsv1.Deployment {
		d := deployment()
		d.Name = "other"
		change(d)
		return d
	}
	for _, tc := range []struct {
		name string
		tree render.Tree
		want string
	}{
		{"an argument that is no text", tree(edit(func(s *corev1.PodSpec) { s.Containers[0].Args = []string{"a\ufffd", "\xff"} })),
			"apps/more.yaml: Deployment ns/other: spec.template.spec.containers[web].args[1]: is no text in UTF-8: give text"},
		{"a key that is no text", tree(config("other", map[string]string{"\xff": "a"})), `apps/more.yaml: ConfigMap ns/other: data["\xff"]: is no text in UTF-8`},
		{"a name twice", tree(service()), "apps/web.yaml: Service ns/web: stands in apps/more.yaml too: name one of them otherwise"},
		{"a host twice", tree(ingress("other", "web.example.com")), "apps/web.yaml: Ingress ns/web: uses the address web.example.com/, and so does apps/more.yaml: Ingress ns/other: each needs its own"},
		{"a TLS Secret twice", func() render.Tree {
			a, b := ann("cert-manager.io/cluster-issuer", "le"), ingress("b", "b.example.com")
			b.Annotations["cert-manager.io/cluster-issuer"] = "le"
			b.Spec.TLS[0].SecretName = "other-tls"
			return tree(a, b)
		}(), "apps/more.yaml: Ingress ns/b: uses the TLS Secret ns/other-tls, and so does apps/more.yaml: Ingress ns/other"},
		{"router.tls", tree(ann("traefik.ingress.kubernetes.io/router.tls", "true")), "apps/more.yaml: Ingress ns/other: metadata.annotations[traefik.ingress.kubernetes.io/router.tls]: makes the router TLS-only, and port 80 answers 404"},
		{"router.priority", tree(ann("traefik.ingress.kubernetes.io/router.priority", "1000")), "router.priority]: can outrank cert-manager's HTTP-01 solver"},
		{"edit in place", tree(ann("acme.cert-manager.io/http01-edit-in-place", "true")), "http01-edit-in-place]: puts the solver behind the redirect"},
		{"a missing middleware", tree(ann("traefik.ingress.kubernetes.io/router.middlewares", "ns-gone@kubernetescrd")), "there is no middleware ns-gone, and Traefik drops a router whose middleware is missing"},
		{"a missing Service", tree(func() object.Object {
			i := ingress("other", "other.example.com")
			i.Spec.Rules[0].HTTP.Paths[0].Backend.Service.Name = "gone"
			return i
		}()), "apps/more.yaml: Ingress ns/other: spec.rules[0].http.paths[0].backend.service: there is no Service ns/gone: render it, or declare it elsewhere: {apiVersion: v1, kind: Service, metadata: {namespace: ns, name: gone}}"},
		{"a missing Service by default", tree(func() object.Object {
			i := ingress("other", "other.example.com")
			i.Spec.DefaultBackend = &networkingv1.IngressBackend{Service: &networkingv1.IngressServiceBackend{Name: "gone"}}
			return i
		}()), "apps/more.yaml: Ingress ns/other: spec.defaultBackend: there is no Service ns/gone: render it, or declare it elsewhere: {apiVersion: v1, kind: Service, metadata: {namespace: ns, name: gone}}"},
		{"a missing port", tree(func() object.Object {
			i := ingress("other", "other.example.com")
			i.Spec.Rules[0].HTTP.Paths[0].Backend.Service.Port = networkingv1.ServiceBackendPort{Number: 81}
			return i
		}()), "Service ns/web has no such port (81)"},
		{"a missing Secret key", tree(edit(func(s *corev1.PodSpec) { s.Containers[0].Env[0].ValueFrom.SecretKeyRef.Key = "GONE" })),
			"apps/more.yaml: Deployment ns/other: spec.template.spec.containers[web].env[TOKEN]: Secret ns/web-secrets has no key GONE: its keys are OUTSIDE, TOKEN, UNREAD"},
		{"a Secret without contract", tree(edit(func(s *corev1.PodSpec) {
			s.Volumes = []corev1.Volume{{Name: "v", VolumeSource: corev1.VolumeSource{Secret: &corev1.SecretVolumeSource{SecretName: "gone"}}}}
		})), "spec.template.spec.volumes[v]: there is no Secret ns/gone: give it a contract, or declare it elsewhere"},
		{"a missing ConfigMap", tree(edit(func(s *corev1.PodSpec) { s.Containers[0].EnvFrom[0].ConfigMapRef.Name = "gone" })),
			"containers[web].envFrom[0]: there is no ConfigMap ns/gone: render it, or declare it elsewhere"},
		{"a missing ConfigMap key", tree(edit(func(s *corev1.PodSpec) {
			s.Volumes = []corev1.Volume{{Name: "v", VolumeSource: corev1.VolumeSource{ConfigMap: &corev1.ConfigMapVolumeSource{
				LocalObjectReference: corev1.LocalObjectReference{Name: "web-config"}, Items: []corev1.KeyToPath{{Key: "B"}},
			}}}}
		})), "volumes[v].items[0]: ConfigMap ns/web-config has no key B: its keys are A"},
		{"a missing ServiceAccount", tree(edit(func(s *corev1.PodSpec) { s.ServiceAccountName = "gone" })), "spec.serviceAccountName: there is no ServiceAccount ns/gone"},
		{"a missing pull Secret", tree(edit(func(s *corev1.PodSpec) { s.ImagePullSecrets = []corev1.LocalObjectReference{{Name: "gone"}} })), "imagePullSecrets[0]: there is no Secret ns/gone"},
		{"a missing volume claim", tree(edit(func(s *corev1.PodSpec) {
			s.Volumes = []corev1.Volume{{Name: "v", VolumeSource: corev1.VolumeSource{PersistentVolumeClaim: &corev1.PersistentVolumeClaimVolumeSource{ClaimName: "gone"}}}}
		})), "there is no PersistentVolumeClaim ns/gone"},
		{"a selector of other pods", tree(dep(func(d *appsv1.Deployment) {
			d.Spec.Selector = &metav1.LabelSelector{MatchLabels: map[string]string{"app": "x"}}
		})), `spec.selector.matchLabels[app]: "x" is not the label of the pod template ("web")`},
		{"no selector", tree(dep(func(d *appsv1.Deployment) { d.Spec.Selector = nil })), "spec.selector: is empty"},
		{"a version in the selector", tree(dep(func(d *appsv1.Deployment) {
			d.Spec.Selector.MatchLabels = map[string]string{"app.kubernetes.io/version": "1"}
			d.Spec.Template.Labels = d.Spec.Selector.MatchLabels
		})), "a selector cannot change, and a version does"},
		{"a Secret with a value", tree(&corev1.Secret{
			TypeMeta: metav1.TypeMeta{APIVersion: "v1", Kind: "Secret"}, ObjectMeta: metav1.ObjectMeta{Namespace: "ns", Name: "s"},
			StringData: map[string]string{"a": "b"},
		}), "Secret ns/s: data: a rendered Secret must hold no value"},
		{"no kind", tree(&corev1.ConfigMap{ObjectMeta: metav1.ObjectMeta{Name: "x"}}), `*v1.ConfigMap "x": apiVersion, kind or name is empty`},
		{"another environment's domain", tree(config("c", map[string]string{"URL": "https://auth.example.local/x"})),
			`apps/more.yaml: ConfigMap ns/c: "URL: https://auth.example.local/x" holds auth.example.local, of the domain of another environment: take the address from the environment`},
		{"the same in other letters", tree(config("c", map[string]string{"URL": "https://auth.Example.LOCAL"})), `holds auth.example.local, of the domain`},
		{"the domain itself", tree(config("c", map[string]string{"URL": "example.local"})), `holds example.local, of the domain`},
		{"plain HTTP to the domain itself", tree(config("c", map[string]string{"URL": "http://example.com"})), `sends to example.com in plain HTTP`},
		{"plain HTTP behind another address", tree(config("c", map[string]string{"URL": "http://api.ns:80,http://web.example.com"})), `sends to web.example.com in plain HTTP`},
		{"plain HTTP with a password", tree(config("c", map[string]string{"URL": "http://u:p@web.example.com/x"})), `sends to web.example.com in plain HTTP`},
		{"plain HTTP in other letters", tree(config("c", map[string]string{"URL": "HTTP://WEB.example.com./x"})), `sends to web.example.com in plain HTTP`},
		{"plain HTTP", tree(config("c", map[string]string{"URL": "http://web.example.com/x"})), `"URL: http://web.example.com/x" sends to web.example.com in plain HTTP: public addresses are https://`},
		{"the Namespace too late", func() render.Tree {
			tr := tree()
			tr.Layers[0].Name, tr.Layers[1].Name = "z", "a"
			tr.Layers[0], tr.Layers[1] = tr.Layers[1], tr.Layers[0]
			return tr
		}(), "z/namespace.yaml: Namespace ns: comes after a/config.yaml, which needs it"},
		{"one thing claimed twice", func() render.Tree {
			tr := tree()
			for i := range 2 {
				tr.Layers[1].Files[i].Components = append(tr.Layers[1].Files[i].Components, claims("the keys portal:*"))
			}
			return tr
		}(), "apps/web.yaml: uses the keys portal:*, and so does apps/config.yaml: each needs its own"},
		{"a component with mistakes", func() render.Tree {
			tr := tree()
			tr.Layers[1].Files[2].Components = []object.Component{broken{}}
			return tr
		}(), "apps/more.yaml: first mistake\napps/more.yaml: second mistake"},
		{"two contracts for one Secret", func() render.Tree {
			tr := tree()
			tr.Secrets = append(tr.Secrets, webSecrets())
			return tr
		}(), "Secret ns/web-secrets: there are two contracts for it"},
		{"two layers of one name", func() render.Tree {
			tr := tree()
			tr.Layers[0].Name = "apps"
			return tr
		}(), "layer apps: there are two"},
		{"two files of one name", func() render.Tree {
			tr := tree()
			tr.Layers[1].Files[0].Name = "more"
			return tr
		}(), "apps/more.yaml: two files have this name"},
		{"a bad file name", func() render.Tree {
			tr := tree()
			tr.Layers[1].Files[0].Name = "../x"
			return tr
		}(), `layer apps: file "../x": name: `},
		{"a bad text name", func() render.Tree {
			tr := tree()
			tr.Texts = []render.Text{{Name: "x.sh", Content: content("")}}
			return tr
		}(), `text "x.sh": name: must end in one of .md, .yaml, .yml, .txt`},
		{"another domain in a text", func() render.Tree {
			tr := tree()
			tr.Texts = []render.Text{{Name: "x.md", Content: content("see example.local")}}
			return tr
		}(), `x.md: text: "see example.local" holds example.local`},
		{"a text without content", func() render.Tree {
			tr := tree()
			tr.Texts = []render.Text{{Name: "x.md"}}
			return tr
		}(), `text "x.md": content: say how it is made`},
		{"a text that cannot be made", func() render.Tree {
			tr := tree()
			tr.Texts = []render.Text{{Name: "x.md", Content: func() (string, error) { return "", errors.New("no words") }}}
			return tr
		}(), `x.md: no words`},
		{"no name", func() render.Tree {
			tr := tree()
			tr.Name = ""
			return tr
		}(), "tree: name: give the tree a name"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			files, _, err := tc.tree.Files()
			if err == nil {
				t.Fatal("rendered without an error")
			}
			if files != nil {
				t.Error("files beside an error")
			}
			if !strings.Contains(err.Error(), tc.want) {
				t.Errorf("the error is\n%v\nwant in it\n%s", err, tc.want)
			}
		})
	}
}

// TestGoodAddresses: what only looks like a wrong address is none.
func TestGoodAddresses(t *testing.T) {
	good := tree(config("c", map[string]string{
		"A": "https://my-example.local.example.com", "B": "example.locality", "C": "myexample.local",
		"D": "http://web.ns:80", "E": "http://example.com.evil.net", "F": "https://u@web.example.com",
	}))
	if _, _, err := good.Files(); err != nil {
		t.Error(err)
	}
	// An environment below the domain of another one.
	below := tree(config("c", map[string]string{"A": "https://web.dev.example.com"}))
	below.Domains, below.ForeignDomains = []string{"dev.example.com"}, []string{"example.com"}
	below.Layers[1].Files = below.Layers[1].Files[1:]
	below.Layers[1].Files[1].Components = append(below.Layers[1].Files[1].Components, list{})
	if _, _, err := below.Files(); err != nil {
		t.Error(err)
	}
	below.Layers[1].Files[0].Components = []object.Component{list{config("d", map[string]string{"A": "https://web.example.com"})}}
	if _, _, err := below.Files(); err == nil {
		t.Error("the other environment's host passes")
	}
}

// TestReplacementCharacter: U+FFFD that a text has itself is text.
func TestReplacementCharacter(t *testing.T) {
	if _, _, err := tree(config("c", map[string]string{"A": "a\ufffdb"})).Files(); err != nil {
		t.Error(err)
	}
}

// TestForeignDomain: values are searched, and not how they are written.
func TestForeignDomain(t *testing.T) {
	for value, refused := range map[string]bool{
		"server_name\texample.local;\n":                                  true,
		"a\nx\tauth.example.local\n":                                     true,
		"x\rauth.Example.Local\r\n":                                      true,
		"x\u0085example.local":                                           true,
		"\ufeffexample.local":                                            true, // every character is an escape
		"\ufeffhttp://web.example.com":                                   true,
		"\x00\ufffeexample.local \U0001f600":                             true,
		"9 \u2028http://web.example.com":                                 true,
		strings.Repeat("word ", 40) + "example.local":                    true, // a folded line
		"\x07 " + strings.Repeat("word ", 40) + "http://web.example.com": true,
		"\tnotexample.local.\tweb.example.com":                           false,
		"\texample.localx\nexample\n.local":                              false,
	} {
		for at, object := range map[string]object.Object{
			"value": config("c", map[string]string{"K": value}),
			"args":  &corev1.Pod{TypeMeta: metav1.TypeMeta{APIVersion: "v1", Kind: "Pod"}, ObjectMeta: metav1.ObjectMeta{Namespace: "ns", Name: "p", Annotations: map[string]string{"gone": "\tx"}}, Spec: corev1.PodSpec{Containers: []corev1.Container{{Name: "p", Image: "registry.example.com/p:1", Args: []string{"\t", value, "\t"}}}}},
			"key":   &unstructured.Unstructured{Object: map[string]any{"apiVersion": "example.com/v1", "kind": "Free", "metadata": map[string]any{"namespace": "ns", "name": "p"}, "spec": map[string]any{value: ""}}},
		} {
			_, _, err := tree(object).Files()
			if (err != nil) != refused {
				t.Errorf("%s %q: the error is %v, want one: %v", at, value, err, refused)
			}
			if err != nil && (strings.Count(err.Error(), "\n") != 0 || !strings.Contains(err.Error(), "apps/more.yaml: ")) {
				t.Errorf("%s %q: the error is\n%v\nwant one line with its place", at, value, err)
			}
		}
	}
}

// TestDomains: a word that is no domain is refused before it is looked for.
func TestDomains(t *testing.T) {
	for _, tc := range []struct {
		own, foreign []string
		want         string
	}{
		{nil, []string{"example.local", ""}, "tree: foreignDomains[1]: is empty"},
		{[]string{"https://example.com"}, nil, `tree: domains[0]: "https://example.com" is no domain`},
		{[]string{"example.com", "example.net"}, []string{"example.local"}, ""},
		{nil, nil, ""},
	} {
		tr := tree()
		tr.Domains, tr.ForeignDomains = tc.own, tc.foreign
		_, _, err := tr.Files()
		switch {
		case tc.want == "" && err != nil:
			t.Error(err)
		case tc.want != "" && (err == nil || !strings.Contains(err.Error(), tc.want)):
			t.Errorf("the error is %v, want in it %s", err, tc.want)
		}
	}
	// Each own domain counts.
	tr := tree(config("c", map[string]string{"A": "http://a.example.com", "B": "http://b.example.net"}))
	tr.Domains = []string{"example.com", "example.net"}
	_, _, err := tr.Files()
	if err == nil || !strings.Contains(err.Error(), "a.example.com in plain HTTP") || !strings.Contains(err.Error(), "b.example.net in plain HTTP") {
		t.Errorf("the error is %v", err)
	}
}

// TestAllAtOnce: one run tells every mistake.
func TestAllAtOnce(t *testing.T) {
	tr := tree(
		config("c", map[string]string{"URL": "http://web.example.com/x", "OTHER": "example.local"}),
		ingress("other", "web.example.com"),
	)
	_, _, err := tr.Files()
	if err == nil || strings.Count(err.Error(), "\n") != 2 {
		t.Errorf("want three mistakes at once, got\n%v", err)
	}
}

// panics is a component that does what none should.
type panics struct{}

func (panics) Objects() ([]object.Object, error) { panic("no") }
func (panics) About() object.About               { return object.About{} }

// late panics when it is asked about itself.
type late struct{}

func (late) Objects() ([]object.Object, error) { return nil, nil }
func (late) About() object.About               { panic("no claims") }

// hollow is an object whose methods panic.
type hollow struct{ *corev1.Pod }

func (hollow) DeepCopyObject() kruntime.Object { return nil }

// TestNil: whatever a component does, the error says where.
func TestNil(t *testing.T) {
	for _, tc := range []struct {
		component object.Component
		want      string
	}{
		{nil, "component 1 (<nil>) is nil: remove it"},
		{(*panics)(nil), "component 1 (*render_test.panics) is nil: remove it"},
		{panics{}, "component 1 (render_test.panics): panic: no"},
		{late{}, "component 1 (render_test.late): panic: no claims"},
		{list{nil}, "component 1 (render_test.list): object 0 is nil"},
		{list{(*corev1.Pod)(nil)}, "component 1 (render_test.list): object 0 is nil"},
		{list{service(), hollow{}}, "component 1 (render_test.list): object 1 (render_test.hollow): panic: "},
	} {
		tr := tree()
		tr.Layers[1].Files[2].Components = []object.Component{list{}, tc.component}
		_, _, err := tr.Files()
		if err == nil || !strings.HasPrefix(err.Error(), "apps/more.yaml: "+tc.want) {
			t.Errorf("%T: the error is %v, want %s", tc.component, err, tc.want)
		}
	}
	tr := tree()
	tr.Texts = []render.Text{{Name: "x.md", Content: func() (string, error) { panic("no words") }}}
	if _, _, err := tr.Files(); err == nil || err.Error() != "x.md: text: panic: no words" {
		t.Errorf("a text that panics: %v", err)
	}
}

// panicking is a Format that does what none should.
type panicking struct{}

func (panicking) String() string     { return "a test" }
func (panicking) Check(string) error { return nil }
func (panicking) Validate() error    { panic("no format") }

// TestContracts: a contract is validated, and whatever its formats do, the
// error says which one it is.
func TestContracts(t *testing.T) {
	contract := func(keys ...secret.Key) secret.Contract {
		return secret.Contract{Namespace: "ns", Name: "bad", Reader: "a test", Keys: keys}
	}
	for _, tc := range []struct {
		secret secret.Contract
		want   string
	}{
		{contract(secret.Key{Name: "A", Purpose: "a test"}), ""},
		{contract(secret.Key{Name: "A", Purpose: "a test", Format: panicking{}}), "Secret ns/bad: panic: no format"},
		{contract(secret.Key{Name: "A"}, secret.Key{Name: "B"}), "Secret ns/bad: keys[0].purpose: Required value: say in a line what A is for\nSecret ns/bad: keys[1].purpose: Required value: say in a line what B is for"},
	} {
		tr := tree()
		tr.Secrets = append(tr.Secrets, tc.secret)
		_, _, err := tr.Files()
		got := ""
		if err != nil {
			got = err.Error()
		}
		if got != tc.want {
			t.Errorf("%v: the error is %q, want %q", tc.secret, got, tc.want)
		}
	}
}

// TestNames: names of texts, some of which are one where names have no case.
func TestNames(t *testing.T) {
	for _, tc := range []struct {
		texts []string
		layer string
		want  string
	}{
		{[]string{"README.md", "Readme.md"}, "base", "Readme.md: differs from README.md in case only, which is one name on macOS and Windows: give each its own"},
		{[]string{"docs/A.md", "docs/a.md"}, "base", "docs/a.md: differs from docs/A.md in case only"},
		{[]string{"NOTES.md"}, "notes.md", "NOTES.md: differs from notes.md in case only"},
		{[]string{"notes.md"}, "notes.md", "notes.md: two files have this name"},
		{[]string{"docs/x.md", "docs/x.md/y.md"}, "base", "docs/x.md: two files have this name, or a file and a folder"},
		{[]string{"docs/deep/A.md", "docs/deep/a.md"}, "base", "docs/deep/a.md: differs from docs/deep/A.md in case only"},
		{[]string{"docs/Deep/a.md"}, "base", `text "docs/Deep/a.md": folder "Deep": name: `},
		{[]string{"docs//a.md"}, "base", `text "docs//a.md": folder "": name: `},
		{[]string{"/a.md"}, "base", `text "/a.md": folder "": name: `},
		{[]string{"docs/../a.md"}, "base", `text "docs/../a.md": folder "..": name: `},
		{[]string{"docs/.md"}, "base", `text "docs/.md": file ".md": name: `},
		{[]string{"base/docs/a.md"}, "base", `text "base/docs/a.md": name: base is a layer: what stands there is applied`},
		{[]string{"README.md", "docs/README.md", "docs/deep/er/README.md", "docs/deep/x.yml"}, "base", ""},
	} {
		tr := tree()
		tr.Layers[0].Name = tc.layer
		for _, name := range tc.texts {
			tr.Texts = append(tr.Texts, render.Text{Name: name, Content: content("")})
		}
		_, _, err := tr.Files()
		switch {
		case tc.want == "" && err != nil:
			t.Error(err)
		case tc.want != "" && (err == nil || !strings.Contains(err.Error(), tc.want)):
			t.Errorf("the error is %v, want in it %s", err, tc.want)
		}
	}
}

// TestReferences follows the references of each kind that has pods.
func TestReferences(t *testing.T) {
	template := func(change func(*corev1.PodSpec)) corev1.PodTemplateSpec {
		pod := corev1.PodTemplateSpec{ObjectMeta: metav1.ObjectMeta{Labels: map[string]string{"app": "x"}}}
		pod.Spec.Containers = []corev1.Container{{Name: "c"}}
		change(&pod.Spec)
		for _, list := range [][]corev1.Container{pod.Spec.InitContainers, pod.Spec.Containers} {
			for i := range list {
				list[i].Image = "registry.example.com/c:1"
			}
		}
		return pod
	}
	meta := metav1.ObjectMeta{Namespace: "ns", Name: "x"}
	selector := &metav1.LabelSelector{MatchLabels: map[string]string{"app": "x"}}
	kinds := map[string]func(corev1.PodTemplateSpec) object.Object{
		"Pod spec.": func(p corev1.PodTemplateSpec) object.Object {
			return &corev1.Pod{TypeMeta: metav1.TypeMeta{APIVersion: "v1", Kind: "Pod"}, ObjectMeta: meta, Spec: p.Spec}
		},
		"StatefulSet spec.template.spec.": func(p corev1.PodTemplateSpec) object.Object {
			return &appsv1.StatefulSet{TypeMeta: metav1.TypeMeta{APIVersion: "apps/v1", Kind: "StatefulSet"}, ObjectMeta: meta, Spec: appsv1.StatefulSetSpec{Selector: selector, Template: p}}
		},
		"DaemonSet spec.template.spec.": func(p corev1.PodTemplateSpec) object.Object {
			return &appsv1.DaemonSet{TypeMeta: metav1.TypeMeta{APIVersion: "apps/v1", Kind: "DaemonSet"}, ObjectMeta: meta, Spec: appsv1.DaemonSetSpec{Selector: selector, Template: p}}
		},
		"Job spec.template.spec.": func(p corev1.PodTemplateSpec) object.Object {
			p.Spec.RestartPolicy = corev1.RestartPolicyNever
			return &batchv1.Job{TypeMeta: metav1.TypeMeta{APIVersion: "batch/v1", Kind: "Job"}, ObjectMeta: meta, Spec: batchv1.JobSpec{Template: p}}
		},
		"CronJob spec.jobTemplate.spec.template.spec.": func(p corev1.PodTemplateSpec) object.Object {
			p.Spec.RestartPolicy = corev1.RestartPolicyNever
			return &batchv1.CronJob{TypeMeta: metav1.TypeMeta{APIVersion: "batch/v1", Kind: "CronJob"}, ObjectMeta: meta, Spec: batchv1.CronJobSpec{Schedule: "@daily", JobTemplate: batchv1.JobTemplateSpec{Spec: batchv1.JobSpec{Template: p}}}}
		},
	}
	secretRef := func(key string, optional *bool) []corev1.EnvVar {
		return []corev1.EnvVar{{Name: "A", ValueFrom: &corev1.EnvVarSource{SecretKeyRef: &corev1.SecretKeySelector{LocalObjectReference: corev1.LocalObjectReference{Name: "web-secrets"}, Key: key, Optional: optional}}}}
	}
	for _, tc := range []struct {
		change func(*corev1.PodSpec)
		want   string // empty: good
	}{
		{func(s *corev1.PodSpec) {
			s.InitContainers = []corev1.Container{{Name: "i", Env: secretRef("GONE", nil)}}
		}, "initContainers[i].env[A]: Secret ns/web-secrets has no key GONE"},
		{func(s *corev1.PodSpec) { s.Containers = []corev1.Container{{Name: "c", Env: secretRef("GONE", nil)}} }, "containers[c].env[A]: Secret ns/web-secrets has no key GONE"},
		{func(s *corev1.PodSpec) {
			s.Containers = []corev1.Container{{Name: "c", Env: secretRef("GONE", new(true))}}
		}, ""},
		{func(s *corev1.PodSpec) { s.Containers = []corev1.Container{{Name: "c", Env: secretRef("TOKEN", nil)}} }, ""},
		{func(s *corev1.PodSpec) { s.ServiceAccountName = "default" }, ""},
		{func(s *corev1.PodSpec) {
			s.Volumes = []corev1.Volume{{Name: "v", VolumeSource: corev1.VolumeSource{Projected: &corev1.ProjectedVolumeSource{Sources: []corev1.VolumeProjection{
				{ConfigMap: &corev1.ConfigMapProjection{LocalObjectReference: corev1.LocalObjectReference{Name: "web-config"}}},
				{Secret: &corev1.SecretProjection{LocalObjectReference: corev1.LocalObjectReference{Name: "gone"}}},
			}}}}}
		}, "volumes[v].projected[1]: there is no Secret ns/gone"},
	} {
		for kind, object := range kinds {
			name, at, _ := strings.Cut(kind, " ")
			_, _, err := tree(object(template(tc.change))).Files()
			switch {
			case tc.want == "" && err != nil:
				t.Errorf("%s: %v", name, err)
			case tc.want != "" && (err == nil || !strings.Contains(err.Error(), name+" ns/x: "+at+tc.want)):
				t.Errorf("%s: the error is\n%v\nwant in it\n%s", name, err, at+tc.want)
			}
		}
	}
}

// TestStream reads the stream back as kubectl does.
func TestStream(t *testing.T) {
	tr := tree(config("last", nil))
	tr.Texts = []render.Text{{Name: "x.md", Content: content("prose")}}
	var out strings.Builder
	report, err := tr.WriteStream(&out)
	if err != nil {
		t.Fatal(err)
	}
	var names []string
	for doc := range strings.SplitSeq(out.String(), "\n---\n") {
		var o metav1.PartialObjectMetadata
		if err := yaml.UnmarshalStrict([]byte(doc), &o); err != nil && !strings.Contains(err.Error(), "unknown field") {
			t.Fatalf("%v in\n%s", err, doc)
		}
		names = append(names, o.Kind+" "+o.Name)
	}
	if got, want := strings.Join(names, ", "), "Namespace ns, ConfigMap web-config, ConfigMap last, Deployment web, Service web, Ingress web"; got != want {
		t.Errorf("the stream has %s, want %s", got, want)
	}
	if report.Objects != len(names) || strings.Contains(out.String(), "prose") || strings.Contains(out.String(), "Rendered by") {
		t.Errorf("%d objects, stream\n%s", report.Objects, out.String())
	}
}
