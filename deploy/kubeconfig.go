package deploy

import (
	"context"
	"encoding/base64"
	"flag"
	"fmt"
	"io"
	"strings"
	"time"

	authenticationv1 "k8s.io/api/authentication/v1"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/tools/clientcmd"
	clientcmdapi "k8s.io/client-go/tools/clientcmd/api"

	"git.lastcloud.io/ronnibaslund/dezky/fleet/internal/cli"
)

// Account is the identity for which a kubeconfig is made.
type Account struct {
	// Namespace and Name of the ServiceAccount. Its token Secret has -token
	// after the name, as components.Deployer makes it.
	Namespace, Name string
	// Cluster is the name of the cluster and of the context in the kubeconfig.
	Cluster string
	// Server is the address of the API server. If empty, the one that pods
	// use, which the Service default/kubernetes has.
	Server string
	// Duration of a token that ends by itself. If zero, the token of the
	// Secret, which does not.
	Duration time.Duration
	// Replace makes the token Secret anew: the old token ends at once.
	Replace bool
}

// kubeconfig makes the kubeconfig of an account. It waits for the token for as
// long as ctx lasts. The second result is when the token ends, zero for never;
// the server may have made it shorter than it was asked for.
func kubeconfig(ctx context.Context, client kubernetes.Interface, a Account) ([]byte, time.Time, error) {
	if _, err := client.CoreV1().ServiceAccounts(a.Namespace).Get(ctx, a.Name, metav1.GetOptions{}); err != nil {
		if apierrors.IsNotFound(err) {
			return nil, time.Time{}, fmt.Errorf("there is no ServiceAccount %s/%s: deploy the layer that has it first", a.Namespace, a.Name)
		}
		return nil, time.Time{}, err
	}
	server := a.Server
	if server == "" {
		service, err := client.CoreV1().Services(metav1.NamespaceDefault).Get(ctx, "kubernetes", metav1.GetOptions{})
		if err != nil {
			return nil, time.Time{}, fmt.Errorf("the cluster's own address cannot be read: %w: give -server", err)
		}
		server = fmt.Sprintf("https://%s:443", service.Spec.ClusterIP)
	}
	var token, ca []byte
	var end time.Time
	var err error
	if a.Duration > 0 {
		token, ca, end, err = boundToken(ctx, client, a)
	} else {
		token, ca, err = secretToken(ctx, client, a)
	}
	if err != nil {
		return nil, time.Time{}, err
	}
	config := clientcmdapi.NewConfig()
	config.Clusters[a.Cluster] = &clientcmdapi.Cluster{Server: server, CertificateAuthorityData: ca}
	config.AuthInfos[a.Name] = &clientcmdapi.AuthInfo{Token: string(token)}
	config.Contexts[a.Cluster] = &clientcmdapi.Context{Cluster: a.Cluster, AuthInfo: a.Name, Namespace: a.Namespace}
	config.CurrentContext = a.Cluster
	text, err := clientcmd.Write(*config)
	return text, end, err
}

// boundToken asks for a token that ends by itself.
func boundToken(ctx context.Context, client kubernetes.Interface, a Account) (token, ca []byte, end time.Time, err error) {
	// The cluster puts its CA into each namespace.
	root, err := client.CoreV1().ConfigMaps(a.Namespace).Get(ctx, "kube-root-ca.crt", metav1.GetOptions{})
	if err != nil {
		return nil, nil, end, fmt.Errorf("the cluster's CA: %w", err)
	}
	ca = []byte(root.Data["ca.crt"])
	if len(ca) == 0 {
		return nil, nil, end, fmt.Errorf("the ConfigMap %s/kube-root-ca.crt has no ca.crt", a.Namespace)
	}
	request, err := client.CoreV1().ServiceAccounts(a.Namespace).CreateToken(ctx, a.Name, &authenticationv1.TokenRequest{
		Spec: authenticationv1.TokenRequestSpec{ExpirationSeconds: new(int64(a.Duration / time.Second))},
	}, metav1.CreateOptions{})
	if err != nil {
		return nil, nil, end, fmt.Errorf("a token for ServiceAccount %s/%s: %w", a.Namespace, a.Name, err)
	}
	if request.Status.Token == "" {
		return nil, nil, end, fmt.Errorf("the cluster made no token for ServiceAccount %s/%s", a.Namespace, a.Name)
	}
	return []byte(request.Status.Token), ca, request.Status.ExpirationTimestamp.Time, nil
}

// secretToken waits until the cluster has put the token into its Secret.
func secretToken(ctx context.Context, client kubernetes.Interface, a Account) (token, ca []byte, err error) {
	secrets, name := client.CoreV1().Secrets(a.Namespace), a.Name+"-token"
	at := "Secret " + a.Namespace + "/" + name
	s, err := secrets.Get(ctx, name, metav1.GetOptions{})
	switch {
	case apierrors.IsNotFound(err) && !a.Replace:
		return nil, nil, fmt.Errorf("there is no %s: deploy the layer that has it, make it with -replace, or take a token that ends with -duration", at)
	case err != nil && !apierrors.IsNotFound(err):
		return nil, nil, err
	case err == nil && (s.Type != corev1.SecretTypeServiceAccountToken || s.Annotations[corev1.ServiceAccountNameKey] != a.Name):
		return nil, nil, fmt.Errorf("%s is no token of ServiceAccount %s", at, a.Name)
	}
	if a.Replace {
		anew := &corev1.Secret{
			ObjectMeta: metav1.ObjectMeta{Namespace: a.Namespace, Name: name, Annotations: map[string]string{corev1.ServiceAccountNameKey: a.Name}},
			Type:       corev1.SecretTypeServiceAccountToken,
		}
		if err == nil {
			anew.Labels = s.Labels
			if err := secrets.Delete(ctx, name, metav1.DeleteOptions{Preconditions: metav1.NewUIDPreconditions(string(s.UID))}); err != nil && !apierrors.IsNotFound(err) {
				return nil, nil, err
			}
		}
		if _, err := secrets.Create(ctx, anew, metav1.CreateOptions{}); err != nil {
			return nil, nil, fmt.Errorf("%s is deleted, and cannot be made anew: %w: run it again", at, err)
		}
	}
	for {
		if s, err = secrets.Get(ctx, name, metav1.GetOptions{}); err != nil {
			return nil, nil, err
		}
		token, ca = s.Data[corev1.ServiceAccountTokenKey], s.Data[corev1.ServiceAccountRootCAKey]
		if len(token) > 0 && len(ca) > 0 {
			return token, ca, nil
		}
		select {
		case <-ctx.Done():
			missing := "token"
			if len(token) > 0 {
				missing = "ca.crt"
			}
			return nil, nil, fmt.Errorf("%s has no %s: the cluster fills it in, and has not done so: look at kube-controller-manager", at, missing)
		case <-time.After(200 * time.Millisecond):
		}
	}
}

// KubeconfigCommand is a program that makes the kubeconfig of a deployer.
type KubeconfigCommand struct {
	// Name of the program, for its usage text.
	Name string
	// Account as it is without flags.
	Account Account
}

// Run does what the arguments say, without the program's name, and returns the
// exit status: 0, 1 where there is no kubeconfig, 2 for arguments that are not
// understood. The kubeconfig goes to stdout and nothing else does.
func (c KubeconfigCommand) Run(args []string, stdout, stderr io.Writer) int {
	account, a := c.Account, arguments{}
	encode, patience := false, time.Minute
	flags := cli.Flags(c.Name)
	flags.StringVar(&account.Server, "server", account.Server, "`address` of the API server in it (default the one that pods use)")
	flags.DurationVar(&account.Duration, "duration", 0, "a token that ends by itself after this `time`, such as 2160h; without it, the one of the token Secret, which never ends")
	flags.BoolVar(&account.Replace, "replace", false, "make the token Secret anew; the old token ends at once")
	flags.BoolVar(&encode, "base64", false, "print it in base64 on one line, for a repository secret")
	flags.DurationVar(&patience, "timeout", patience, "`time` to wait for the token")
	flags.StringVar(&a.context, "context", "", "`context` of your own kubeconfig (default the current one)")
	flags.StringVar(&a.kubeconfig, "kubeconfig", "", "`file` with your own access to the cluster (default $KUBECONFIG, else ~/.kube/config)")
	p := cli.Program{Name: c.Name, Stdout: stdout, Stderr: stderr, Help: func(w io.Writer) { c.usage(w, flags) }}
	return p.Run(func() error {
		ctx, stop := cli.Context()
		defer stop()
		if err := cli.Parse(flags, args, 0); err != nil {
			return err
		}
		switch {
		case account.Duration < 0 || patience <= 0:
			return cli.UsageError("-duration and -timeout must be more than nothing")
		case account.Duration > 0 && account.Duration < 10*time.Minute:
			return cli.UsageError("-duration must be ten minutes at least: the cluster makes no shorter token")
		case account.Duration > 0 && account.Replace:
			return cli.UsageError("-replace is for the token Secret, and -duration does not use it: give one of the two")
		case account.Server != "" && !strings.HasPrefix(account.Server, "https://"):
			return cli.UsageError(fmt.Sprintf("-server %s must begin with https://", account.Server))
		}
		ctx, cancel := context.WithTimeout(ctx, patience)
		defer cancel()
		return c.print(ctx, account, a, encode, p)
	})
}

func (c KubeconfigCommand) print(ctx context.Context, account Account, a arguments, encode bool, p cli.Program) error {
	config, err := access(a)
	if err != nil {
		return err
	}
	client, err := kubernetes.NewForConfig(config)
	if err != nil {
		return err
	}
	text, end, err := kubeconfig(ctx, client, account)
	if err != nil {
		return err
	}
	if !end.IsZero() {
		p.Note("its token ends on %s; a deploy says so from 14 days before", end.UTC().Format(time.RFC3339))
	}
	if encode {
		text = append(base64.StdEncoding.AppendEncode(nil, text), '\n')
	}
	_, err = p.Stdout.Write(text)
	return err
}

func (c KubeconfigCommand) usage(w io.Writer, flags *flag.FlagSet) {
	fmt.Fprintf(w, "%s prints the kubeconfig of %s/%s. Its token is a secret: keep the output.\n\nUsage: %s [flags]\n\n", c.Name, c.Account.Namespace, c.Account.Name, c.Name)
	flags.SetOutput(w)
	flags.PrintDefaults()
	fmt.Fprintf(w, "\nExamples:\n")
	example := func(args, what string) { fmt.Fprintf(w, "  %-38s # %s\n", c.Name+" "+args, what) }
	example("-base64", "for the repository secret KUBECONFIG_B64")
	example("-replace -base64", "the same with a new token; the old one ends")
	example("-duration 2160h -base64", "with a token that ends after 90 days")
	fmt.Fprintf(w, "\nExit status: 0, 1 where there is no kubeconfig, 2 for arguments that are not understood.\n")
}
