package secrets

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"maps"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"

	"git.lastcloud.io/ronnibaslund/dezky/fleet/components/secret"
	"git.lastcloud.io/ronnibaslund/dezky/fleet/internal/cli"
	"git.lastcloud.io/ronnibaslund/dezky/fleet/render/manifest"
)

// Request is what the command apply asks of [Command.Apply].
type Request struct {
	// Secrets that were checked, with their values in Data.
	Secrets []*corev1.Secret
	// Context of the kubeconfig. If empty, the current one.
	Context string
	// Timeout for what is restarted.
	Timeout time.Duration
	// DryRun says what would change, and changes nothing.
	DryRun bool
	// NoLogs leaves the logs of containers out of what is said of a failure.
	NoLogs bool
	// Out gets what changes, by the names of the keys, and the progress.
	Out io.Writer
}

// NotReadyError says that the Secrets are in the cluster, and that something
// that reads them did not get ready.
type NotReadyError struct{ Err error }

func (e *NotReadyError) Error() string { return e.Err.Error() }

// Unwrap returns why.
func (e *NotReadyError) Unwrap() error { return e.Err }

// StatusNotReady is the exit status for a [NotReadyError].
const StatusNotReady = 3

func (c Command) apply(p cli.Program, args []string, stdin io.Reader) error {
	r := Request{Out: p.Stdout}
	flags := cli.Flags("apply")
	only := flags.String("only", "", "")
	flags.StringVar(&r.Context, "context", "", "")
	flags.DurationVar(&r.Timeout, "timeout", 10*time.Minute, "")
	flags.BoolVar(&r.DryRun, "dry-run", false, "")
	flags.BoolVar(&r.NoLogs, "no-logs", false, "")
	set, err := c.parse(flags, args, 1)
	if err != nil {
		return err
	}
	switch {
	case flags.NArg() == 0:
		return cli.UsageError("name a file to apply, or - for standard input")
	case r.Timeout <= 0:
		return cli.UsageError("-timeout must be more than nothing")
	}
	one, err := set.scope(*only)
	if err != nil {
		return err
	}
	input, notes, err := readInput(p, flags.Arg(0), stdin)
	if err != nil {
		return err
	}
	if err := report(p, set, one, input, notes); err != nil {
		return err
	}
	if r.Secrets, err = plainSecrets(set.in(one), input); err != nil {
		return err
	}
	ctx, stop := cli.Context()
	defer stop()
	err = c.Apply(ctx, r)
	var unready *NotReadyError
	if errors.As(err, &unready) {
		return &cli.Exit{Status: StatusNotReady, Err: err}
	}
	return err
}

// plainSecrets are the Secrets of the contracts, as they stand in an input
// that was checked, without whatever else the input has.
func plainSecrets(contracts []secret.Contract, input []byte) ([]*corev1.Secret, error) {
	documents, err := manifest.Read(bytes.NewReader(input))
	if err != nil {
		return nil, errors.New("the input cannot be read")
	}
	var all []*corev1.Secret
	for _, contract := range contracts {
		for _, d := range documents {
			o := d.Object
			if o.GetKind() != "Secret" || o.GetNamespace() != contract.Namespace || o.GetName() != contract.Name {
				continue
			}
			if _, encrypted := o.Object["sops"]; encrypted {
				return nil, fmt.Errorf("%s is encrypted: decrypt it on the way, sops -d FILE | … apply -", placeOf(contract))
			}
			var s corev1.Secret
			if err := runtime.DefaultUnstructuredConverter.FromUnstructured(o.Object, &s); err != nil {
				return nil, fmt.Errorf("%s cannot be read", placeOf(contract))
			}
			plain := &corev1.Secret{ObjectMeta: metav1.ObjectMeta{Namespace: s.Namespace, Name: s.Name}, Type: s.Type, Data: map[string][]byte{}}
			maps.Copy(plain.Data, s.Data)
			for key, value := range s.StringData { // it wins over data, as in the API
				plain.Data[key] = []byte(value)
			}
			all = append(all, plain)
		}
	}
	if len(all) == 0 {
		return nil, errors.New("the input has no Secret in the clear to apply: of a SealedSecret, kubectl applies the file itself")
	}
	return all, nil
}
