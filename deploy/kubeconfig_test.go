package deploy

import (
	"context"
	"strings"
	"testing"
	"time"

	authenticationv1 "k8s.io/api/authentication/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/client-go/kubernetes/fake"
	ktesting "k8s.io/client-go/testing"
	"k8s.io/client-go/tools/clientcmd"
)

func TestKubeconfig(t *testing.T) {
	meta := func(name string) metav1.ObjectMeta { return metav1.ObjectMeta{Namespace: "ns", Name: name} }
	account := &corev1.ServiceAccount{ObjectMeta: meta("ci")}
	service := &corev1.Service{ObjectMeta: metav1.ObjectMeta{Namespace: "default", Name: "kubernetes"}, Spec: corev1.ServiceSpec{ClusterIP: "10.43.0.1"}}
	secret := func(data map[string]string) *corev1.Secret {
		s := &corev1.Secret{ObjectMeta: meta("ci-token"), Type: corev1.SecretTypeServiceAccountToken, Data: map[string][]byte{}}
		s.Annotations = map[string]string{corev1.ServiceAccountNameKey: "ci"}
		s.Labels = map[string]string{"kept": "yes"}
		for k, v := range data {
			s.Data[k] = []byte(v)
		}
		return s
	}
	whole := secret(map[string]string{"token": "old", "ca.crt": "ca"})
	foreign := whole.DeepCopy()
	foreign.Annotations[corev1.ServiceAccountNameKey] = "other"
	root := &corev1.ConfigMap{ObjectMeta: meta("kube-root-ca.crt"), Data: map[string]string{"ca.crt": "root ca"}}
	base := Account{Namespace: "ns", Name: "ci", Cluster: "dezky"}
	with := func(edit func(*Account)) Account { a := base; edit(&a); return a }
	for _, tc := range []struct {
		name    string
		account Account
		objects []runtime.Object
		// token, CA and server, or the error.
		want string
	}{
		{"from the Secret", base, []runtime.Object{account, service, whole}, "old ca https://10.43.0.1:443"},
		{"another server", with(func(a *Account) { a.Server = "https://k8s.example:6443" }), []runtime.Object{account, whole}, "old ca https://k8s.example:6443"},
		{"one that ends", with(func(a *Account) { a.Duration = time.Hour }), []runtime.Object{account, service, root}, "bound root ca https://10.43.0.1:443"},
		{"a new one", with(func(a *Account) { a.Replace = true }), []runtime.Object{account, service, whole}, "new ca https://10.43.0.1:443"},
		{"a new one where there was none", with(func(a *Account) { a.Replace = true }), []runtime.Object{account, service}, "new ca https://10.43.0.1:443"},
		{"no account", base, []runtime.Object{service, whole}, "there is no ServiceAccount ns/ci"},
		{"no address", base, []runtime.Object{account, whole}, "the cluster's own address cannot be read"},
		{"no Secret", base, []runtime.Object{account, service}, "there is no Secret ns/ci-token"},
		{"no token", base, []runtime.Object{account, service, secret(map[string]string{"ca.crt": "ca"})}, "Secret ns/ci-token has no token"},
		{"no CA", base, []runtime.Object{account, service, secret(map[string]string{"token": "old"})}, "Secret ns/ci-token has no ca.crt"},
		{"another's", base, []runtime.Object{account, service, foreign}, "Secret ns/ci-token is no token of ServiceAccount ci"},
		{"no root CA", with(func(a *Account) { a.Duration = time.Hour }), []runtime.Object{account, service}, "the cluster's CA"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			client := fake.NewClientset(tc.objects...)
			// The cluster fills in the token of a new Secret.
			client.PrependReactor("create", "secrets", func(a ktesting.Action) (bool, runtime.Object, error) {
				s := a.(ktesting.CreateAction).GetObject().(*corev1.Secret)
				s.Data = map[string][]byte{"token": []byte("new"), "ca.crt": []byte("ca")}
				return false, nil, nil
			})
			client.PrependReactor("create", "serviceaccounts/token", func(a ktesting.Action) (bool, runtime.Object, error) {
				return true, &authenticationv1.TokenRequest{Status: authenticationv1.TokenRequestStatus{Token: "bound", ExpirationTimestamp: metav1.Unix(1, 0)}}, nil
			})
			ctx, cancel := context.WithTimeout(t.Context(), 300*time.Millisecond)
			defer cancel()
			text, end, err := kubeconfig(ctx, client, tc.account)
			if err != nil {
				if !strings.HasPrefix(err.Error(), tc.want) || len(text) > 0 {
					t.Errorf("error %v, want %s", err, tc.want)
				}
				return
			}
			config, err := clientcmd.RESTConfigFromKubeConfig(text)
			if err != nil {
				t.Fatalf("%v\n%s", err, text)
			}
			if got := config.BearerToken + " " + string(config.CAData) + " " + config.Host; got != tc.want {
				t.Errorf("got %q, want %q", got, tc.want)
			}
			if end.IsZero() != (tc.account.Duration == 0) {
				t.Errorf("it ends on %s", end)
			}
			if tc.account.Replace && len(tc.objects) > 2 {
				s, err := client.CoreV1().Secrets("ns").Get(t.Context(), "ci-token", metav1.GetOptions{})
				if err != nil || s.Labels["kept"] != "yes" || s.Annotations[corev1.ServiceAccountNameKey] != "ci" {
					t.Errorf("the new Secret: %+v, %v", s, err)
				}
			}
		})
	}
}

func TestReads(t *testing.T) {
	key := func(name, key string) corev1.PodSpec {
		return corev1.PodSpec{InitContainers: []corev1.Container{{Env: []corev1.EnvVar{{Name: "A", Value: "b"}, {ValueFrom: &corev1.EnvVarSource{SecretKeyRef: &corev1.SecretKeySelector{LocalObjectReference: corev1.LocalObjectReference{Name: name}, Key: key}}}}}}}
	}
	volume := func(name string, keys ...string) corev1.PodSpec {
		source := &corev1.SecretVolumeSource{SecretName: name}
		for _, k := range keys {
			source.Items = append(source.Items, corev1.KeyToPath{Key: k})
		}
		return corev1.PodSpec{Volumes: []corev1.Volume{{VolumeSource: corev1.VolumeSource{Secret: source}}}}
	}
	changed := map[string][]string{"s": {"A"}}
	for _, tc := range []struct {
		name string
		spec corev1.PodSpec
		want bool
	}{
		{"the key", key("s", "A"), true},
		{"another key", key("s", "B"), false},
		{"another Secret", key("t", "A"), false},
		{"all keys", corev1.PodSpec{Containers: []corev1.Container{{EnvFrom: []corev1.EnvFromSource{{SecretRef: &corev1.SecretEnvSource{LocalObjectReference: corev1.LocalObjectReference{Name: "s"}}}}}}}, true},
		{"a volume", volume("s"), true},
		{"a volume with the key", volume("s", "B", "A"), true},
		{"a volume without", volume("s", "B"), false},
		{"a projected one", corev1.PodSpec{Volumes: []corev1.Volume{{VolumeSource: corev1.VolumeSource{Projected: &corev1.ProjectedVolumeSource{Sources: []corev1.VolumeProjection{{Secret: &corev1.SecretProjection{LocalObjectReference: corev1.LocalObjectReference{Name: "s"}}}}}}}}}, true},
		{"to pull images", corev1.PodSpec{ImagePullSecrets: []corev1.LocalObjectReference{{Name: "s"}}}, false},
		{"nothing", corev1.PodSpec{}, false},
	} {
		if got := reads(tc.spec, changed); got != tc.want {
			t.Errorf("%s: %v", tc.name, got)
		}
	}
}
