package e2e

import (
	"encoding/json"
	"path/filepath"
	"strings"
	"testing"
	"time"

	appsv1 "k8s.io/api/apps/v1"
	batchv1 "k8s.io/api/batch/v1"
	corev1 "k8s.io/api/core/v1"
	networkingv1 "k8s.io/api/networking/v1"
	rbacv1 "k8s.io/api/rbac/v1"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"

	"git.lastcloud.io/ronnibaslund/dezky/fleet/components"
	"git.lastcloud.io/ronnibaslund/dezky/fleet/components/secret"
	"git.lastcloud.io/ronnibaslund/dezky/fleet/render"
	"git.lastcloud.io/ronnibaslund/dezky/fleet/render/object"
)

// identity is a Deployer as kubectl impersonates it.
type identity struct {
	cluster
	as string
	// remedy is the command that the policy's refusals name.
	remedy string
}

// apply tries whether the Deployer may apply an object; nothing is stored.
func (d identity) apply(o object.Object) (string, error) {
	d.t.Helper()
	text, err := json.Marshal(o)
	if err != nil {
		d.t.Fatal(err)
	}
	return d.try(text, "apply", "--dry-run=server", d.as, "-f", "-")
}

// refused fails the test unless the policy refuses the object with each of
// the words. A new policy takes effect a moment after it is stored.
func (d identity) refused(o object.Object, wants ...string) {
	d.t.Helper()
	out, err := d.apply(o)
	if err == nil {
		d.t.Errorf("%T %s passes", o, o.GetName())
		return
	}
	for _, want := range append(wants, "ValidatingAdmissionPolicy", d.remedy) {
		if !strings.Contains(out, want) {
			d.t.Errorf("%T %s: the refusal is\n%s\nwant in it %s", o, o.GetName(), out, want)
		}
	}
}

func (d identity) accepted(o object.Object) {
	d.t.Helper()
	if out, err := d.apply(o); err != nil {
		d.t.Errorf("%T %s is refused:\n%s", o, o.GetName(), out)
	}
}

// active waits until the policy has taken effect.
func (d identity) active(namespace string) {
	d.t.Helper()
	stranger := &corev1.Service{
		TypeMeta:   metav1.TypeMeta{APIVersion: "v1", Kind: "Service"},
		ObjectMeta: metav1.ObjectMeta{Namespace: namespace, Name: "stranger"},
		Spec:       corev1.ServiceSpec{Type: corev1.ServiceTypeNodePort, Ports: []corev1.ServicePort{{Port: 80}}},
	}
	var out string
	for range 60 {
		if out, _ = d.apply(stranger); strings.Contains(out, "ValidatingAdmissionPolicy") {
			return
		}
		time.Sleep(time.Second)
	}
	d.t.Fatalf("the policy takes no effect: %s", out)
}

func changed[T object.Object](o T, change func(T)) T {
	copied := o.DeepCopyObject().(T)
	change(copied)
	return copied
}

// tierDoors tries on each object of a tier what the policy is for, and what it
// must leave alone.
func tierDoors(t *testing.T, d identity, tree render.Tree) {
	const elsewhere = "docker.io/library/busybox:1"
	tried := map[string]int{}
	for _, layer := range tree.Layers {
		if layer.Name != "apps" {
			continue
		}
		for _, file := range layer.Files {
			for _, c := range file.Components {
				objects, err := c.Objects()
				if err != nil {
					t.Fatal(err)
				}
				for _, o := range objects {
					switch o := o.(type) {
					case *appsv1.Deployment:
						tried["Deployment"]++
						d.refused(changed(o, func(o *appsv1.Deployment) { o.Spec.Template.Spec.Containers[0].Image = elsewhere }), "the image "+elsewhere+" is not from")
						d.accepted(changed(o, func(o *appsv1.Deployment) {
							image := &o.Spec.Template.Spec.Containers[0].Image
							*image = (*image)[:strings.LastIndex(*image, ":")] + ":anothertag"
							o.Spec.Replicas = new(int32(7))
							o.Spec.Template.Spec.Containers[0].Env = append(o.Spec.Template.Spec.Containers[0].Env, corev1.EnvVar{Name: "ONE_MORE", Value: "1"})
							o.Spec.Template.Spec.Containers[0].Resources = corev1.ResourceRequirements{}
						}))
					case *networkingv1.Ingress:
						tried["Ingress"]++
						d.refused(changed(o, func(o *networkingv1.Ingress) { o.Spec.Rules[0].Host = "www.example.org" }), "the host www.example.org is not of the tier")
					case *corev1.Service:
						tried["Service"]++
						d.refused(changed(o, func(o *corev1.Service) { o.Spec.Type = corev1.ServiceTypeLoadBalancer }), "it may not have type/LoadBalancer")
					case *corev1.ServiceAccount:
						tried["ServiceAccount"]++
						d.refused(changed(o, func(o *corev1.ServiceAccount) { o.Name = "other" }), "no such workload or ServiceAccount")
					}
				}
			}
		}
	}
	if len(tried) != 4 {
		t.Errorf("only tried %v", tried)
	}
}

// TestPolicy holds the policy of a small tier, which has every kind of pod
// template, against every way out that it closes.
func TestPolicy(t *testing.T) {
	const namespace, image, elsewhere = "shop", "registry.example.com/shop/web:v1", "registry.example.com/other/web:v1"
	meta := func(name string) metav1.ObjectMeta { return metav1.ObjectMeta{Namespace: namespace, Name: name} }
	labels := map[string]string{"run": "all"}
	template := corev1.PodTemplateSpec{
		ObjectMeta: metav1.ObjectMeta{Labels: labels},
		Spec: corev1.PodSpec{
			ServiceAccountName: "web",
			RestartPolicy:      corev1.RestartPolicyAlways,
			Containers: []corev1.Container{{Name: "main", Image: image, SecurityContext: &corev1.SecurityContext{
				AllowPrivilegeEscalation: new(false), Capabilities: &corev1.Capabilities{Drop: []corev1.Capability{"ALL"}},
			}}},
			SecurityContext: &corev1.PodSecurityContext{RunAsNonRoot: new(true), RunAsUser: new(int64(1000)), SeccompProfile: &corev1.SeccompProfile{Type: corev1.SeccompProfileTypeRuntimeDefault}},
		},
	}
	job := *template.DeepCopy()
	job.Spec.RestartPolicy = corev1.RestartPolicyNever
	selector := &metav1.LabelSelector{MatchLabels: labels}
	// One of each kind that holds pods, with the place of its pod.
	kinds := []struct {
		object object.Object
		pod    func(object.Object) *corev1.PodSpec
	}{
		{&appsv1.StatefulSet{TypeMeta: metav1.TypeMeta{APIVersion: "apps/v1", Kind: "StatefulSet"}, ObjectMeta: meta("all"), Spec: appsv1.StatefulSetSpec{Selector: selector, Template: template}},
			func(o object.Object) *corev1.PodSpec { return &o.(*appsv1.StatefulSet).Spec.Template.Spec }},
		{&appsv1.DaemonSet{TypeMeta: metav1.TypeMeta{APIVersion: "apps/v1", Kind: "DaemonSet"}, ObjectMeta: meta("all"), Spec: appsv1.DaemonSetSpec{Selector: selector, Template: template}},
			func(o object.Object) *corev1.PodSpec { return &o.(*appsv1.DaemonSet).Spec.Template.Spec }},
		{&appsv1.ReplicaSet{TypeMeta: metav1.TypeMeta{APIVersion: "apps/v1", Kind: "ReplicaSet"}, ObjectMeta: meta("all"), Spec: appsv1.ReplicaSetSpec{Selector: selector, Template: template}},
			func(o object.Object) *corev1.PodSpec { return &o.(*appsv1.ReplicaSet).Spec.Template.Spec }},
		{&batchv1.Job{TypeMeta: metav1.TypeMeta{APIVersion: "batch/v1", Kind: "Job"}, ObjectMeta: meta("all"), Spec: batchv1.JobSpec{Template: job}},
			func(o object.Object) *corev1.PodSpec { return &o.(*batchv1.Job).Spec.Template.Spec }},
		{&batchv1.CronJob{TypeMeta: metav1.TypeMeta{APIVersion: "batch/v1", Kind: "CronJob"}, ObjectMeta: meta("all"), Spec: batchv1.CronJobSpec{Schedule: "0 0 * * *", JobTemplate: batchv1.JobTemplateSpec{Spec: batchv1.JobSpec{Template: job}}}},
			func(o object.Object) *corev1.PodSpec {
				return &o.(*batchv1.CronJob).Spec.JobTemplate.Spec.Template.Spec
			}},
		{&corev1.Pod{TypeMeta: metav1.TypeMeta{APIVersion: "v1", Kind: "Pod"}, ObjectMeta: meta("all"), Spec: template.Spec},
			func(o object.Object) *corev1.PodSpec { return &o.(*corev1.Pod).Spec }},
		{&corev1.PodTemplate{TypeMeta: metav1.TypeMeta{APIVersion: "v1", Kind: "PodTemplate"}, ObjectMeta: meta("all"), Template: template},
			func(o object.Object) *corev1.PodSpec { return &o.(*corev1.PodTemplate).Template.Spec }},
		{&corev1.ReplicationController{TypeMeta: metav1.TypeMeta{APIVersion: "v1", Kind: "ReplicationController"}, ObjectMeta: meta("all"), Spec: corev1.ReplicationControllerSpec{Selector: labels, Template: &template}},
			func(o object.Object) *corev1.PodSpec {
				return &o.(*corev1.ReplicationController).Spec.Template.Spec
			}},
	}

	contract := secret.Contract{Name: "web-secrets", Namespace: namespace, Keys: []secret.Key{
		{Name: "TOKEN", Purpose: "Signs in"}, {Name: "ID", Purpose: "Names the client"}, {Name: "ADDRESS", Purpose: "Public", Value: "https://www.example.com"},
	}}
	pull := &secret.Contract{Name: "registry-pull", Namespace: namespace, Type: corev1.SecretTypeDockerConfigJson, Keys: []secret.Key{{Name: corev1.DockerConfigJsonKey, Purpose: "Pulls"}}}
	web := components.WebApp{Name: "web", Namespace: namespace, Image: image, Port: 3000, SecretEnv: contract.Env(), PullSecret: pull}
	api := components.WebApp{Name: "api", Namespace: namespace, Image: image, Port: 3000, SecretEnv: map[string]secret.Ref{"AUDIENCE": contract.Key("ID")}}
	ingress := components.TLSIngress{Host: "www.example.com", Backend: web, Issuer: "i", Redirect: components.MiddlewareRef{Namespace: namespace, Name: "auth"}}
	middleware := func(spec map[string]any) *unstructured.Unstructured {
		return &unstructured.Unstructured{Object: map[string]any{
			"apiVersion": "traefik.io/v1alpha1", "kind": "Middleware",
			"metadata": map[string]any{"namespace": namespace, "name": "auth"}, "spec": spec,
		}}
	}
	deployer := components.Deployer{
		Name: "deployer", Namespace: namespace, Command: "go run ./cmd/deploy -layer ci",
		Secrets: map[string][]secret.Contract{"web": {contract}},
		Applies: []object.Component{web, api, ingress, components.Plain(middleware(map[string]any{"basicAuth": map[string]any{"secret": "users"}}))},
	}
	for _, k := range kinds {
		deployer.Applies = append(deployer.Applies, components.Plain(k.object))
	}
	tree := render.Tree{Name: "shop", Layers: []render.Layer{{Name: "ci", Files: []render.File{
		{Name: "00-namespace", Components: []object.Component{components.Namespace{Name: namespace}}},
		{Name: "deployer", Components: []object.Component{deployer}},
	}}}}
	out := t.TempDir()
	if _, err := tree.WriteDir(out); err != nil {
		t.Fatal(err)
	}
	c := start(t)
	c.kubectl("apply", "-f", filepath.Join(out, "ci"))
	d := identity{c, "--as=system:serviceaccount:shop:deployer", command(t, tree)}
	d.active(namespace)

	find := func(c object.Component, kind string) object.Object {
		objects, err := c.Objects()
		if err != nil {
			t.Fatal(err)
		}
		for _, o := range objects {
			if o.GetObjectKind().GroupVersionKind().Kind == kind {
				return o
			}
		}
		t.Fatalf("no %s", kind)
		return nil
	}
	deployment := find(web, "Deployment").(*appsv1.Deployment)
	apiDeployment := find(api, "Deployment").(*appsv1.Deployment)
	service := find(web, "Service").(*corev1.Service)
	account := find(web, "ServiceAccount").(*corev1.ServiceAccount)
	route := find(ingress, "Ingress").(*networkingv1.Ingress)

	// All that is rendered is accepted, and every kind is looked into.
	for _, c := range deployer.Applies {
		objects, err := c.Objects()
		if err != nil {
			t.Fatal(err)
		}
		for _, o := range objects {
			d.accepted(o)
		}
	}
	for _, k := range kinds {
		o := k.object.DeepCopyObject().(object.Object)
		k.pod(o).Containers[0].Image = elsewhere
		k.pod(o).InitContainers = []corev1.Container{{Name: "init", Image: "busybox", SecurityContext: k.pod(o).Containers[0].SecurityContext}}
		k.pod(o).Containers[0].EnvFrom = []corev1.EnvFromSource{{SecretRef: &corev1.SecretEnvSource{LocalObjectReference: corev1.LocalObjectReference{Name: "web-secrets"}}}}
		d.refused(o, "the image "+elsewhere+" is not from registry.example.com/shop/", "the image busybox is not", "it may not have web-secrets/*")
		o = k.object.DeepCopyObject().(object.Object)
		o.SetName("another")
		d.refused(o, "/another: there is no such workload or ServiceAccount in the tier")
		o = k.object.DeepCopyObject().(object.Object)
		k.pod(o).ServiceAccountName = "deployer"
		d.refused(o, "it may not have serviceAccountName/deployer")
		o = k.object.DeepCopyObject().(object.Object)
		k.pod(o).Containers[0].Image = "registry.example.com/shop/another:v2"
		d.accepted(o)
	}

	env := func(name, key string) corev1.EnvVar {
		return corev1.EnvVar{Name: "X", ValueFrom: &corev1.EnvVarSource{SecretKeyRef: &corev1.SecretKeySelector{LocalObjectReference: corev1.LocalObjectReference{Name: name}, Key: key}}}
	}
	pod := func(o *appsv1.Deployment, change func(*corev1.PodSpec)) *appsv1.Deployment {
		return changed(o, func(o *appsv1.Deployment) { change(&o.Spec.Template.Spec) })
	}
	volume := func(source corev1.VolumeSource) *appsv1.Deployment {
		return pod(deployment, func(p *corev1.PodSpec) {
			p.Volumes = append(p.Volumes, corev1.Volume{Name: "x", VolumeSource: source})
		})
	}
	local := func(name string) *corev1.LocalObjectReference { return &corev1.LocalObjectReference{Name: name} }
	for _, tc := range []struct {
		object object.Object
		want   string // empty: accepted
	}{
		// Secrets, by every way in.
		{pod(apiDeployment, func(p *corev1.PodSpec) {
			p.Containers[0].Env = append(p.Containers[0].Env, env("web-secrets", "TOKEN"))
		}), "it may not have web-secrets/TOKEN"},
		{pod(apiDeployment, func(p *corev1.PodSpec) {
			p.Containers[0].Env = append(p.Containers[0].Env, env("web-secrets", "ID"))
		}), ""},
		{pod(deployment, func(p *corev1.PodSpec) {
			p.Containers[0].Env = append(p.Containers[0].Env, env("web-secrets", "ADDRESS"))
		}), ""},
		{pod(deployment, func(p *corev1.PodSpec) {
			p.Containers[0].Env = append(p.Containers[0].Env, env("registry-pull", ".dockerconfigjson"))
		}), "it may not have registry-pull/.dockerconfigjson"},
		{pod(deployment, func(p *corev1.PodSpec) {
			p.Containers[0].Env = append(p.Containers[0].Env, env("deployer-token", "token"))
		}), "it may not have deployer-token/token"},
		{pod(deployment, func(p *corev1.PodSpec) {
			c := p.Containers[0]
			p.InitContainers = []corev1.Container{{Name: "init", Image: image, Env: []corev1.EnvVar{env("other", "k")}, SecurityContext: c.SecurityContext}}
		}), "it may not have other/k"},
		{pod(deployment, func(p *corev1.PodSpec) { p.ImagePullSecrets = append(p.ImagePullSecrets, *local("web-secrets")) }), "it may not have imagePullSecrets/web-secrets"},
		{volume(corev1.VolumeSource{Secret: &corev1.SecretVolumeSource{SecretName: "other"}}), "it may not have other/*"},
		{volume(corev1.VolumeSource{Secret: &corev1.SecretVolumeSource{SecretName: "web-secrets", Items: []corev1.KeyToPath{{Key: "TOKEN", Path: "t"}, {Key: "OTHER", Path: "o"}}}}), "it may not have web-secrets/OTHER"},
		{volume(corev1.VolumeSource{Secret: &corev1.SecretVolumeSource{SecretName: "web-secrets", Items: []corev1.KeyToPath{{Key: "TOKEN", Path: "t"}}}}), ""},
		{volume(corev1.VolumeSource{Projected: &corev1.ProjectedVolumeSource{Sources: []corev1.VolumeProjection{{Secret: &corev1.SecretProjection{LocalObjectReference: *local("other")}}}}}), "it may not have other/*"},
		{volume(corev1.VolumeSource{Projected: &corev1.ProjectedVolumeSource{Sources: []corev1.VolumeProjection{
			{DownwardAPI: &corev1.DownwardAPIProjection{}},
			{Secret: &corev1.SecretProjection{LocalObjectReference: *local("web-secrets"), Items: []corev1.KeyToPath{{Key: "TOKEN", Path: "t"}, {Key: "OTHER", Path: "o"}}}},
		}}}), "it may not have web-secrets/OTHER"},
		{volume(corev1.VolumeSource{CSI: &corev1.CSIVolumeSource{Driver: "d", NodePublishSecretRef: local("other")}}), "it may not have other/*"},
		{volume(corev1.VolumeSource{CephFS: &corev1.CephFSVolumeSource{Monitors: []string{"m"}, SecretRef: local("other")}}), "it may not have other/*"},
		{volume(corev1.VolumeSource{AzureFile: &corev1.AzureFileVolumeSource{ShareName: "s", SecretName: "other"}}), "it may not have other/*"},
		{volume(corev1.VolumeSource{Image: &corev1.ImageVolumeSource{Reference: elsewhere}}), "the image " + elsewhere + " is not from"},
		{volume(corev1.VolumeSource{Image: &corev1.ImageVolumeSource{Reference: image}}), ""},
		{volume(corev1.VolumeSource{EmptyDir: &corev1.EmptyDirVolumeSource{}}), ""},
		{volume(corev1.VolumeSource{ConfigMap: &corev1.ConfigMapVolumeSource{LocalObjectReference: *local("c")}}), ""},
		{changed(account, func(o *corev1.ServiceAccount) {
			o.ImagePullSecrets = []corev1.LocalObjectReference{*local("web-secrets")}
		}), "it may not have imagePullSecrets/web-secrets"},
		{changed(account, func(o *corev1.ServiceAccount) { o.Name = "deployer" }), "no such workload or ServiceAccount"},
		{middleware(map[string]any{"basicAuth": map[string]any{"secret": "web-secrets"}}), "it may not have web-secrets/*"},
		{middleware(map[string]any{"forwardAuth": map[string]any{"address": "http://x", "tls": map[string]any{"certSecret": "web-secrets"}}}), "it may not have web-secrets/*"},
		{middleware(map[string]any{"plugin": map[string]any{"evil": map[string]any{"a": "urn:k8s:secret:web-secrets:TOKEN"}}}), "it may not have Plugin/evil"},
		{middleware(map[string]any{"headers": map[string]any{"frameDeny": true}}), ""},

		// ServiceAccounts and images.
		{pod(deployment, func(p *corev1.PodSpec) { p.ServiceAccountName = "" }), "it may not have serviceAccountName/default"},
		{pod(deployment, func(p *corev1.PodSpec) { p.ServiceAccountName = "api" }), "it may not have serviceAccountName/api"},
		{pod(deployment, func(p *corev1.PodSpec) { p.Containers[0].Image = "registry.example.com/shopping/web:v1" }), "is not from"},
		{pod(deployment, func(p *corev1.PodSpec) {
			p.Containers[0].Image = "registry.example.com/shop/web@sha256:" + strings.Repeat("0", 64)
		}), ""},

		// Hosts and certificates.
		{changed(route, func(o *networkingv1.Ingress) { o.Spec.Rules[0].Host = "auth.example.com" }), "the host auth.example.com is not of the tier"},
		{changed(route, func(o *networkingv1.Ingress) { o.Spec.Rules[0].Host = "*.example.com" }), "the host *.example.com is not of the tier"},
		{changed(route, func(o *networkingv1.Ingress) { o.Spec.Rules[0].Host = "" }), "the host * is not of the tier"},
		{changed(route, func(o *networkingv1.Ingress) {
			o.Spec.Rules = append(o.Spec.Rules, networkingv1.IngressRule{Host: "b.example.org", IngressRuleValue: o.Spec.Rules[0].IngressRuleValue})
		}), "the host b.example.org is not of the tier"},
		{changed(route, func(o *networkingv1.Ingress) {
			o.Spec.TLS[0].Hosts = append(o.Spec.TLS[0].Hosts, "auth.example.com")
		}), "the host auth.example.com is not of the tier"},
		{changed(route, func(o *networkingv1.Ingress) {
			o.Spec.DefaultBackend = &o.Spec.Rules[0].HTTP.Paths[0].Backend
		}), "the host * is not of the tier"},
		{changed(route, func(o *networkingv1.Ingress) { o.Spec.TLS[0].SecretName = "web-secrets" }), "it may not have secretName/web-secrets"},
		{changed(route, func(o *networkingv1.Ingress) { o.Name = "second" }), "it may not have secretName/web-tls"},
		{changed(route, func(o *networkingv1.Ingress) {
			o.Annotations["traefik.ingress.kubernetes.io/router.pathmatcher"] = "HostRegexp(`.*`) || PathPrefix"
		}), "the annotation traefik.ingress.kubernetes.io/router.pathmatcher is not of the tier"},
		{changed(route, func(o *networkingv1.Ingress) { o.Annotations["cert-manager.io/common-name"] = "auth.example.com" }), "the annotation cert-manager.io/common-name is not of the tier"},
		{changed(route, func(o *networkingv1.Ingress) { o.Annotations["note"] = "mine" }), ""},
		{changed(route, func(o *networkingv1.Ingress) { o.Spec.Rules[0].HTTP.Paths[0].Path = "/shop" }), ""},

		// Services.
		{changed(service, func(o *corev1.Service) { o.Spec.Type = corev1.ServiceTypeNodePort }), "it may not have type/NodePort"},
		{changed(service, func(o *corev1.Service) { o.Spec.Type = corev1.ServiceTypeLoadBalancer }), "it may not have type/LoadBalancer"},
		{changed(service, func(o *corev1.Service) {
			o.Spec = corev1.ServiceSpec{Type: corev1.ServiceTypeExternalName, ExternalName: "db.example.org"}
		}), "it may not have type/ExternalName; it may not have externalName/db.example.org"},
		{changed(service, func(o *corev1.Service) { o.Spec.ExternalIPs = []string{"192.0.2.1"} }), "it may not have externalIPs/192.0.2.1"},
		{changed(service, func(o *corev1.Service) { o.Spec.ClusterIP = "None" }), ""},
		{changed(service, func(o *corev1.Service) { o.Name = "another" }), ""},
	} {
		if tc.want == "" {
			d.accepted(tc.object)
		} else {
			d.refused(tc.object, tc.want)
		}
	}

	// It binds the Deployer alone.
	admin := identity{c, "--request-timeout=1m", ""} // impersonates nobody
	admin.accepted(pod(deployment, func(p *corev1.PodSpec) { p.Containers[0].Image = elsewhere }))
	admin.accepted(changed(service, func(o *corev1.Service) { o.Spec.Type = corev1.ServiceTypeNodePort }))

	// An ephemeral container is added through a subresource; the Role does not
	// allow it, so this Deployer is let in by hand.
	c.kubectl("create", "rolebinding", "more", "-n", namespace, "--clusterrole=cluster-admin", "--serviceaccount=shop:deployer")
	running := kinds[5].object.DeepCopyObject().(*corev1.Pod)
	text, err := json.Marshal(running)
	if err != nil {
		t.Fatal(err)
	}
	if out, err := c.try(text, "create", "-f", "-"); err != nil {
		t.Fatalf("create: %v\n%s", err, out)
	}
	for _, tc := range []struct{ image, want string }{{elsewhere, "the image " + elsewhere + " is not from"}, {image, ""}} {
		out, err := c.try(nil, "debug", d.as, "-n", namespace, "all", "--image="+tc.image, "--profile=restricted", "--", "true")
		if (err != nil) != (tc.want != "") || !strings.Contains(out, tc.want) {
			t.Errorf("an ephemeral container of %s: %v\n%s", tc.image, err, out)
		}
	}
}

// quota lets the namespace's ResourceQuota count, which is the work of a
// controller that is not here, and holds it and the LimitRange against pods.
func quota(t *testing.T, c cluster, namespace string) {
	var list corev1.ResourceQuotaList
	if err := json.Unmarshal([]byte(c.kubectl("get", "resourcequotas", "-n", namespace, "-o", "json")), &list); err != nil || len(list.Items) != 1 {
		t.Fatalf("%d quotas, error %v", len(list.Items), err)
	}
	q := list.Items[0]
	q.Status = corev1.ResourceQuotaStatus{Hard: q.Spec.Hard, Used: corev1.ResourceList{}}
	for name := range q.Spec.Hard {
		q.Status.Used[name] = resource.MustParse("0")
	}
	status, err := json.Marshal(map[string]any{"status": q.Status})
	if err != nil {
		t.Fatal(err)
	}
	c.kubectl("patch", "resourcequota", q.Name, "-n", namespace, "--subresource=status", "--type=merge", "-p", string(status))

	pod := func(resources corev1.ResourceRequirements) []byte {
		text, err := json.Marshal(corev1.Pod{
			TypeMeta: metav1.TypeMeta{APIVersion: "v1", Kind: "Pod"}, ObjectMeta: metav1.ObjectMeta{Namespace: namespace, Name: "x"},
			Spec: corev1.PodSpec{
				SecurityContext: &corev1.PodSecurityContext{RunAsNonRoot: new(true), SeccompProfile: &corev1.SeccompProfile{Type: corev1.SeccompProfileTypeRuntimeDefault}},
				Containers: []corev1.Container{{Name: "x", Image: "x", Resources: resources, SecurityContext: &corev1.SecurityContext{
					AllowPrivilegeEscalation: new(false), Capabilities: &corev1.Capabilities{Drop: []corev1.Capability{"ALL"}},
				}}},
			},
		})
		if err != nil {
			t.Fatal(err)
		}
		return text
	}
	amounts := func(cpu, memory string) corev1.ResourceList {
		return corev1.ResourceList{corev1.ResourceCPU: resource.MustParse(cpu), corev1.ResourceMemory: resource.MustParse(memory)}
	}
	// The quota's counter may take a moment to see its status.
	var out string
	for range 60 {
		if out, err = c.try(pod(corev1.ResourceRequirements{}), "create", "--dry-run=server", "-o", "json", "-f", "-"); err == nil {
			break
		}
		time.Sleep(time.Second)
	}
	var made corev1.Pod
	if jsonErr := json.Unmarshal([]byte(out), &made); err != nil || jsonErr != nil {
		t.Fatalf("a pod that says nothing of its resources: %v\n%s", err, out)
	}
	r := made.Spec.Containers[0].Resources
	if r.Limits.Memory().IsZero() || r.Requests.Memory().IsZero() || r.Requests.Cpu().IsZero() || !r.Limits.Cpu().IsZero() {
		t.Errorf("its defaults are %v", r)
	}
	if out, err := c.try(pod(corev1.ResourceRequirements{Requests: amounts("10m", "64Mi"), Limits: amounts("100m", "64Mi")}), "create", "--dry-run=server", "-f", "-"); err != nil {
		t.Errorf("a solver pod of cert-manager: %v\n%s", err, out)
	}
	if out, err := c.try(pod(corev1.ResourceRequirements{Requests: amounts("1000", "1Mi")}), "create", "--dry-run=server", "-f", "-"); err == nil || !strings.Contains(out, "exceeded quota") {
		t.Errorf("a pod that takes all: %v\n%s", err, out)
	}
}

// TestPlurals holds the library's table of plurals against the API server's
// own kinds and Traefik's.
func TestPlurals(t *testing.T) {
	c := start(t)
	definitions, err := filepath.Glob(filepath.Join(filepath.Dir(middlewareCRD(t)), "traefik.io_*.yaml"))
	if err != nil || len(definitions) < 10 {
		t.Fatalf("%d definitions, error %v", len(definitions), err)
	}
	for _, d := range definitions {
		c.kubectl("apply", "--server-side", "--force-conflicts", "-f", d)
	}
	c.eventually("get", "traefikservices.traefik.io,tlsstores.traefik.io,serverstransporttcps.traefik.io", "-A")
	kinds := 0
	for line := range strings.Lines(c.kubectl("api-resources", "--namespaced=true", "--verbs=patch", "--no-headers")) {
		fields := strings.Fields(line)
		resource, apiVersion, kind := fields[0], fields[len(fields)-3], fields[len(fields)-1]
		custom := &unstructured.Unstructured{Object: map[string]any{
			"apiVersion": apiVersion, "kind": kind, "metadata": map[string]any{"namespace": "shop", "name": "x"},
		}}
		objects, err := components.Deployer{Name: "d", Namespace: "shop", Applies: []object.Component{components.Plain(custom)}}.Objects()
		if err != nil {
			t.Errorf("%s %s: %v", apiVersion, kind, err)
			continue
		}
		kinds++
		if got := objects[1].(*rbacv1.Role).Rules[0].Resources; got[0] != resource {
			t.Errorf("%s %s is %v in the Role, and %s in the API", apiVersion, kind, got, resource)
		}
	}
	if kinds < 30 {
		t.Errorf("%d kinds", kinds)
	}
}
