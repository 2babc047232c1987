package components_test

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	admissionv1 "k8s.io/api/admissionregistration/v1"
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
	"git.lastcloud.io/ronnibaslund/dezky/fleet/render/object"
)

// objectOf returns the object of a type among those of a component.
func objectOf[T object.Object](t *testing.T, c object.Component) T {
	t.Helper()
	objects, err := c.Objects()
	if err != nil {
		t.Fatal(err)
	}
	for _, o := range objects {
		if o, ok := o.(T); ok {
			return o
		}
	}
	var none T
	t.Fatalf("there is no %T", none)
	return none
}

// custom is an object of a kind that the library has no type of.
func custom(apiVersion, kind string) object.Component {
	return components.Plain(&unstructured.Unstructured{Object: map[string]any{
		"apiVersion": apiVersion, "kind": kind, "metadata": map[string]any{"namespace": "shop", "name": "x"},
	}})
}

// TestDeployerPlurals: what the Role calls a kind is known or stated, never
// guessed.
func TestDeployerPlurals(t *testing.T) {
	for _, tc := range []struct {
		apiVersion, kind string
		plurals          map[string]string
		want             string // the resource, or a part of the error
	}{
		{"v1", "Endpoints", nil, "endpoints"},
		{"networking.k8s.io/v1", "NetworkPolicy", nil, "networkpolicies"},
		{"gateway.networking.k8s.io/v1", "Gateway", nil, "gateways"},
		{"cert-manager.io/v1", "Certificate", nil, "certificates"},
		{"traefik.io/v1alpha1", "TLSStore", nil, "tlsstores"},
		{"mongodbcommunity.mongodb.com/v1", "MongoDBCommunity", nil, "mongodbcommunity"},
		{"example.org/v1", "Fleece", map[string]string{"Fleece.example.org": "fleece"}, "fleece"},
		{"example.org/v1", "Fleece", nil, `plurals[Fleece.example.org]: Required value: say by which name RBAC knows the kind of Fleece "x" in applies[0], for example Plurals: map[string]string{"Fleece.example.org": "…"}; the command kubectl api-resources --api-group=example.org lists it`},
		{"v1", "ConfigMap", map[string]string{"ConfigMap": "maps"}, "plurals[ConfigMap]: Forbidden: is known to be configmaps: leave it out"},
		{"v1", "ConfigMap", map[string]string{"Widget": "widgets"}, "plurals[Widget]: Forbidden: nothing of this kind is applied"},
		{"example.org/v1", "Widget", map[string]string{"Widget.example.org": "Widgets"}, `plurals[Widget.example.org]: Invalid value: "Widgets"`},
		// A kind of another group is another kind.
		{"example.org/v1", "Gateway", nil, "plurals[Gateway.example.org]: Required value"},
	} {
		d := components.Deployer{Name: "d", Namespace: "shop", Applies: []object.Component{custom(tc.apiVersion, tc.kind)}, Plurals: tc.plurals}
		objects, err := d.Objects()
		got := fmt.Sprint(err)
		if err == nil {
			got = objects[1].(*rbacv1.Role).Rules[0].Resources[0]
		}
		if got != tc.want && (err == nil || !strings.Contains(got, tc.want)) {
			t.Errorf("%s: %s, want %s", tc.kind, got, tc.want)
		}
	}
}

// policyOf is the policy of a small tier: what it lets the Deployer apply, as
// CEL literals by the names of the variables.
func policyOf(t *testing.T, change func(*components.Deployer)) (*admissionv1.ValidatingAdmissionPolicy, map[string]string) {
	t.Helper()
	app := web()
	app.SecretEnv = contract().Env()
	d := components.Deployer{
		Name: "deployer", Namespace: "shop", Command: "make ci",
		Applies: []object.Component{app, tls()},
	}
	change(&d)
	policy := objectOf[*admissionv1.ValidatingAdmissionPolicy](t, d)
	variables := make(map[string]string)
	for _, v := range policy.Spec.Variables {
		variables[v.Name] = strings.Join(strings.Fields(v.Expression), " ")
	}
	return policy, variables
}

// TestDeployerPolicy: the policy follows from what is applied. That the API
// server does with it what is meant is tried in the module e2e.
func TestDeployerPolicy(t *testing.T) {
	policy, variables := policyOf(t, func(*components.Deployer) {})
	for name, want := range map[string]string{
		"given":       `{ "Deployment/web": [ "serviceAccountName/web", "web-secrets/TOKEN" ], "Ingress/web": [ "secretName/web-tls" ], "ServiceAccount/web": [] }`,
		"hosts":       `[ "www.example.com" ]`,
		"registries":  `[ "registry.example.com/" ]`,
		"annotations": `[ "cert-manager.io/cluster-issuer", "traefik.ingress.kubernetes.io/router.entrypoints", "traefik.ingress.kubernetes.io/router.middlewares" ]`,
	} {
		if variables[name] != want {
			t.Errorf("%s is %s, want %s", name, variables[name], want)
		}
	}
	spec := policy.Spec
	if spec.FailurePolicy == nil || *spec.FailurePolicy != admissionv1.Fail {
		t.Error("what cannot be judged passes")
	}
	if len(spec.MatchConditions) != 1 || spec.MatchConditions[0].Expression != `request.userInfo.username == "system:serviceaccount:shop:deployer"` {
		t.Errorf("it binds %v", spec.MatchConditions)
	}
	for _, v := range spec.Validations {
		if !strings.HasSuffix(v.Message, ": make ci") || !strings.Contains(v.MessageExpression, ": make ci") {
			t.Errorf("the refusal names no command: %q, %q", v.Message, v.MessageExpression)
		}
	}

	// What may change without the policy does not change it.
	_, same := policyOf(t, func(d *components.Deployer) {
		app := d.Applies[0].(components.WebApp)
		app.Image, app.Replicas, app.Env = "registry.example.com/web:v2", 3, map[string]string{"A": "b"}
		app.Resources.Limits = corev1.ResourceList{corev1.ResourceMemory: resource.MustParse("1Gi")}
		d.Applies[0] = app
	})
	for name, was := range variables {
		if same[name] != was {
			t.Errorf("%s changed to %s", name, same[name])
		}
	}

	for _, tc := range []struct {
		name           string
		change         func(*components.Deployer)
		variable, want string
	}{
		{"another host", func(d *components.Deployer) {
			i := tls()
			i.Host = "shop.example.com"
			d.Applies[1] = i
		}, "hosts", `[ "shop.example.com" ]`},
		{"another registry", func(d *components.Deployer) {
			d.Applies = append(d.Applies, with(web(), func(w *components.WebApp) { w.Name, w.Image = "b", "r.example.net/a/b@sha256:"+strings.Repeat("0", 64) }))
		}, "registries", `[ "r.example.net/a/", "registry.example.com/" ]`},
		{"the keys of its own Secret", func(d *components.Deployer) {
			d.Secrets = map[string][]secret.Contract{"web": {{Name: "own", Namespace: "shop", Keys: []secret.Key{{Name: "B"}, {Name: "A"}}}}}
		}, "given", `"Deployment/web": [ "own/A", "own/B", "serviceAccountName/web", "web-secrets/TOKEN" ]`},
		{"every way to a Secret", func(d *components.Deployer) {
			d.Applies[0] = components.Plain(&batchv1.CronJob{
				TypeMeta: metav1.TypeMeta{APIVersion: "batch/v1", Kind: "CronJob"}, ObjectMeta: metav1.ObjectMeta{Namespace: "shop", Name: "night"},
				Spec: batchv1.CronJobSpec{JobTemplate: batchv1.JobTemplateSpec{Spec: batchv1.JobSpec{Template: corev1.PodTemplateSpec{Spec: corev1.PodSpec{
					ImagePullSecrets: []corev1.LocalObjectReference{{Name: "pull"}},
					InitContainers:   []corev1.Container{{Image: "registry.example.com/a", EnvFrom: []corev1.EnvFromSource{{SecretRef: &corev1.SecretEnvSource{LocalObjectReference: corev1.LocalObjectReference{Name: "a"}}}}}},
					Volumes: []corev1.Volume{
						{VolumeSource: corev1.VolumeSource{Secret: &corev1.SecretVolumeSource{SecretName: "b"}}},
						{VolumeSource: corev1.VolumeSource{Secret: &corev1.SecretVolumeSource{SecretName: "c", Items: []corev1.KeyToPath{{Key: "k"}}}}},
						{VolumeSource: corev1.VolumeSource{Projected: &corev1.ProjectedVolumeSource{Sources: []corev1.VolumeProjection{{Secret: &corev1.SecretProjection{LocalObjectReference: corev1.LocalObjectReference{Name: "d"}}}}}}},
						{VolumeSource: corev1.VolumeSource{CSI: &corev1.CSIVolumeSource{NodePublishSecretRef: &corev1.LocalObjectReference{Name: "e"}}}},
						{VolumeSource: corev1.VolumeSource{AzureFile: &corev1.AzureFileVolumeSource{SecretName: "f"}}},
					},
				}}}}},
			})
		}, "given", `"CronJob/night": [ "a/*", "b/*", "c/k", "d/*", "e/*", "f/*", "imagePullSecrets/pull", "serviceAccountName/default" ]`},
		{"an open Service", func(d *components.Deployer) {
			d.Applies[0] = with(web(), func(w *components.WebApp) {
				w.Changes = []components.Change{components.Edit(func(s *corev1.Service) { s.Spec.Type, s.Spec.ExternalIPs = "LoadBalancer", []string{"192.0.2.1"} })}
			})
		}, "given", `"Service/web": [ "externalIPs/192.0.2.1", "type/LoadBalancer" ]`},
		{"every host", func(d *components.Deployer) {
			d.Applies[1] = with(tls(), func(i *components.TLSIngress) {
				i.Changes = []components.Change{components.Edit(func(i *networkingv1.Ingress) {
					i.Spec.DefaultBackend = &networkingv1.IngressBackend{}
				})}
			})
		}, "hosts", `[ "*", "www.example.com" ]`},
		{"a middleware with a Secret", func(d *components.Deployer) {
			d.Applies = append(d.Applies, components.Plain(&unstructured.Unstructured{Object: map[string]any{
				"apiVersion": "traefik.io/v1alpha1", "kind": "Middleware", "metadata": map[string]any{"namespace": "shop", "name": "auth"},
				"spec": map[string]any{"basicAuth": map[string]any{"secret": "users"}},
			}}))
		}, "given", `"Middleware/auth": [ "users/*" ]`},
		{"a workload of another's kind", func(d *components.Deployer) {
			d.Applies = append(d.Applies, components.Plain(&unstructured.Unstructured{Object: map[string]any{
				"apiVersion": "argoproj.io/v1alpha1", "kind": "Rollout", "metadata": map[string]any{"namespace": "shop", "name": "r"},
				"spec": map[string]any{"template": map[string]any{"spec": map[string]any{"serviceAccountName": "r"}}},
			}}))
			d.Plurals = map[string]string{"Rollout.argoproj.io": "rollouts"}
		}, "given", `"Rollout/r": [ "serviceAccountName/r" ]`},
	} {
		if _, got := policyOf(t, tc.change); !strings.Contains(got[tc.variable], tc.want) {
			t.Errorf("%s: %s is %s, want in it %s", tc.name, tc.variable, got[tc.variable], tc.want)
		}
	}
}

// TestDeployerKinds: the Role, the policy and the quota cover each kind of
// workload that the library makes, whichever it is.
func TestDeployerKinds(t *testing.T) {
	w := components.Workload{Name: "x", Namespace: "shop", Image: "registry.example.com/x:v1", SecretEnv: contract().Env()}
	withPort, nightly := w, w
	withPort.Port, nightly.Schedule = 80, "@daily"
	for _, tc := range []struct {
		kind, resource, given string
		holds                 object.Component
		pods                  int64
	}{
		{"Deployment", "deployments", "Deployment/x", components.WebApp(withPort), 4},
		{"Deployment", "deployments", "Deployment/x", components.Worker(w), 4},
		{"StatefulSet", "statefulsets", "StatefulSet/x", components.StatefulSet(withPort), 2},
		{"Job", "jobs", "Job/x", components.Job(w), 2},
		{"CronJob", "cronjobs", "CronJob/x", components.CronJob(nightly), 2},
	} {
		t.Run(fmt.Sprintf("%T", tc.holds), func(t *testing.T) {
			apply := func(d *components.Deployer) { d.Applies = []object.Component{tc.holds} }
			_, variables := policyOf(t, apply)
			if text := variables["given"]; !strings.Contains(text, tc.given) || !strings.Contains(text, `"web-secrets/TOKEN"`) {
				t.Errorf("the policy gives %s", text)
			}
			allowed := false
			d := components.Deployer{Name: "deployer", Namespace: "shop", Applies: []object.Component{tc.holds}}
			for _, rule := range objectOf[*rbacv1.Role](t, d).Rules {
				allowed = allowed || slices.Contains(rule.Resources, tc.resource) && slices.Contains(rule.Verbs, "patch")
			}
			if !allowed {
				t.Errorf("the Role does not allow to apply %s", tc.resource)
			}
			quota := objectOf[*corev1.ResourceQuota](t, components.Quota{Name: "q", Namespace: "shop", Holds: []object.Component{tc.holds}})
			if pods := quota.Spec.Hard[corev1.ResourcePods]; pods.Value() != tc.pods {
				t.Errorf("the quota has room for %s pods, want %d", pods.String(), tc.pods)
			}
		})
	}
}

// TestDeployerTooLarge: a policy that the API server could not parse is
// refused where it is made.
func TestDeployerTooLarge(t *testing.T) {
	keys := func(n int) components.Deployer {
		contract := secret.Contract{Name: "own", Namespace: "shop"}
		for i := range n {
			contract.Keys = append(contract.Keys, secret.Key{Name: fmt.Sprintf("KEY_%d", i)})
		}
		return components.Deployer{Name: "d", Namespace: "shop", Applies: []object.Component{web()}, Secrets: map[string][]secret.Contract{"web": {contract}}}
	}
	if _, err := keys(3000).Objects(); err != nil {
		t.Error(err)
	}
	const want = "Deployer shop/d: applies: Invalid value: is too much for one policy: the variable given takes "
	if _, err := keys(6000).Objects(); err == nil || !strings.HasPrefix(err.Error(), want) {
		t.Errorf("%v, want %s…", err, want)
	}
}

// TestQuota: what a namespace holds, twice.
func TestQuota(t *testing.T) {
	list := func(cpu, memory string) corev1.ResourceList {
		l := corev1.ResourceList{}
		if cpu != "" {
			l[corev1.ResourceCPU] = resource.MustParse(cpu)
		}
		if memory != "" {
			l[corev1.ResourceMemory] = resource.MustParse(memory)
		}
		return l
	}
	container := func(cpu, memory, limit string) corev1.Container {
		return corev1.Container{Name: "c", Resources: corev1.ResourceRequirements{Requests: list(cpu, memory), Limits: list("", limit)}}
	}
	deployment := func(change func(*appsv1.Deployment)) object.Component {
		d := &appsv1.Deployment{TypeMeta: metav1.TypeMeta{APIVersion: "apps/v1", Kind: "Deployment"}, ObjectMeta: metav1.ObjectMeta{Namespace: "shop", Name: "d"}}
		d.Spec.Template.Spec.Containers = []corev1.Container{container("1", "1Gi", "2Gi")}
		change(d)
		return components.Plain(d)
	}
	for _, tc := range []struct {
		name                       string
		holds                      object.Component
		pods                       int64
		cpu, memory, limits, fault string
	}{
		{"a web app and its surge", with(web(), func(w *components.WebApp) { w.Replicas = 2 }), 6, "300m", "768Mi", "3Gi", ""},
		{"an autoscaler's most", with(web(), func(w *components.WebApp) { w.Autoscale = &components.Autoscale{Min: 1, Max: 9} }), 20, "1", "2560Mi", "10Gi", ""},
		{"the solver of a certificate", tls(), 2, "20m", "128Mi", "128Mi", ""},
		{"a quarter, rounded up", deployment(func(d *appsv1.Deployment) { d.Spec.Replicas = new(int32(5)) }), 14, "14", "14Gi", "28Gi", ""},
		{"Recreate", deployment(func(d *appsv1.Deployment) { d.Spec.Strategy.Type = appsv1.RecreateDeploymentStrategyType }), 2, "2", "2Gi", "4Gi", ""},
		{"a sidecar and a larger init container", deployment(func(d *appsv1.Deployment) {
			d.Spec.Strategy.Type = appsv1.RecreateDeploymentStrategyType
			sidecar := container("1", "1Gi", "1Gi")
			sidecar.RestartPolicy = new(corev1.ContainerRestartPolicyAlways)
			d.Spec.Template.Spec.InitContainers = []corev1.Container{sidecar, container("100m", "4Gi", "4Gi")}
		}), 2, "4", "8Gi", "8Gi", ""},
		{"the defaults", deployment(func(d *appsv1.Deployment) {
			d.Spec.Strategy.Type = appsv1.RecreateDeploymentStrategyType
			d.Spec.Template.Spec.Containers = []corev1.Container{container("", "", "")}
		}), 2, "100m", "256Mi", "1Gi", ""},
		{"a limit is the request", deployment(func(d *appsv1.Deployment) {
			d.Spec.Strategy.Type = appsv1.RecreateDeploymentStrategyType
			d.Spec.Template.Spec.Containers = []corev1.Container{container("1", "", "3Gi")}
		}), 2, "2", "6Gi", "6Gi", ""},
		{"jobs at once", components.Plain(&batchv1.CronJob{TypeMeta: metav1.TypeMeta{APIVersion: "batch/v1", Kind: "CronJob"}, ObjectMeta: metav1.ObjectMeta{Namespace: "shop", Name: "j"},
			Spec: batchv1.CronJobSpec{JobTemplate: batchv1.JobTemplateSpec{Spec: batchv1.JobSpec{Parallelism: new(int32(3)), Template: corev1.PodTemplateSpec{Spec: corev1.PodSpec{Containers: []corev1.Container{container("1", "1Gi", "1Gi")}}}}}}}),
			6, "6", "6Gi", "6Gi", ""},
		{"nothing that runs", components.ConfigMap{Name: "c", Namespace: "shop"}, 0, "", "", "", "Quota shop/quota: holds: Required value: give the components in the namespace"},
		{"another namespace", with(web(), func(w *components.WebApp) { w.Namespace = "elsewhere" }), 0, "", "", "", "holds: Required value"},
		{"no component", nil, 0, "", "", "", "holds[0]: Required value: is nil"},
		{"a mistake", components.ConfigMap{}, 0, "", "", "", "holds[0]: Invalid value: its objects cannot be made"},
		{"more than the default limit", deployment(func(d *appsv1.Deployment) {
			d.Spec.Template.Spec.Containers = []corev1.Container{container("1", "1Gi", "")}
		}), 0, "", "", "", `holds[0]: Invalid value: Deployment "d": container c requests 1Gi of memory and has no limit, so it gets the default of 512Mi and its pods are refused: give it a limit`},
	} {
		q := components.Quota{Name: "quota", Namespace: "shop", Holds: []object.Component{tc.holds}}
		_, err := q.Objects()
		if tc.fault != "" {
			if err == nil || !strings.Contains(err.Error(), tc.fault) {
				t.Errorf("%s: %v, want %s", tc.name, err, tc.fault)
			}
			continue
		}
		hard := objectOf[*corev1.ResourceQuota](t, q).Spec.Hard
		for name, want := range map[corev1.ResourceName]string{
			corev1.ResourcePods: fmt.Sprint(tc.pods), corev1.ResourceRequestsCPU: tc.cpu,
			corev1.ResourceRequestsMemory: tc.memory, corev1.ResourceLimitsMemory: tc.limits,
		} {
			if got := hard[name]; got.Cmp(resource.MustParse(want)) != 0 {
				t.Errorf("%s: %s is %s, want %s", tc.name, name, got.String(), want)
			}
		}
		if _, ok := objectOf[*corev1.LimitRange](t, q).Spec.Limits[0].Default[corev1.ResourceCPU]; ok {
			t.Errorf("%s: CPU has a limit", tc.name)
		}
	}
}
