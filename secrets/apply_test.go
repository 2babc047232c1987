package secrets_test

import (
	"bytes"
	"context"
	"errors"
	"strings"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"

	"git.lastcloud.io/ronnibaslund/dezky/fleet/components/secret"
	"git.lastcloud.io/ronnibaslund/dezky/fleet/secrets"
)

// TestApply: what is applied is what was checked, and nothing else of the
// file.
func TestApply(t *testing.T) {
	set := secrets.Set{Secrets: []secret.Contract{
		{Name: "a", Namespace: "one", Keys: []secret.Key{{Name: "X", Purpose: "p"}, {Name: "W", Purpose: "p"}}},
		{Name: "b", Namespace: "two", Keys: []secret.Key{{Name: "Z", Purpose: "p"}}},
	}}
	const a = "apiVersion: v1\nkind: Secret\nmetadata: {namespace: one, name: a, annotations: {kubectl.kubernetes.io/last-applied-configuration: old}}\ndata: {X: b25l}\nstringData: {W: two}\n"
	const b = "---\napiVersion: v1\nkind: Secret\nmetadata: {namespace: two, name: b}\nstringData: {Z: three}\n"
	const encrypted = "---\napiVersion: v1\nkind: Secret\nmetadata: {namespace: two, name: b}\nstringData: {Z: 'ENC[AES256_GCM,data:eA==,iv:eA==,tag:eA==,type:str]'}\nsops: {mac: x, version: 3.9.0}\n"
	for _, tc := range []struct {
		name, file string
		args       []string
		fails      error
		status     int
		// applied are the Secrets with their values; says is in the output.
		applied, says string
	}{
		{name: "a file", file: a + b, applied: "one/a X=one W=two; two/b Z=three"},
		{name: "one namespace", file: a + b, args: []string{"-only", "two"}, applied: "two/b Z=three"},
		{name: "one namespace alone", file: b, args: []string{"-only", "two"}, applied: "two/b Z=three"},
		{name: "one Secret is missing", file: a, status: 1, says: "Secret two/b: is missing"},
		{name: "a key is missing", file: strings.Replace(a, "X: b25l", "", 1) + b, status: 1, says: "key X: is missing"},
		{name: "encrypted", file: a + encrypted, status: 1, says: "Secret two/b is encrypted: decrypt it on the way"},
		{name: "refused", file: a + b, fails: errors.New("no"), status: 1, applied: "one/a X=one W=two; two/b Z=three", says: "secrets: no"},
		{name: "not ready", file: a + b, fails: &secrets.NotReadyError{Err: errors.New("slow")}, status: 3, applied: "one/a X=one W=two; two/b Z=three", says: "secrets: slow"},
		{name: "no time", file: a + b, args: []string{"-timeout", "0s"}, status: 2, says: "-timeout must be more than nothing"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			var applied []string
			command := secrets.Command{
				Name: "secrets", Environments: []string{"e"}, Set: func(string) (secrets.Set, error) { return set, nil },
				Apply: func(_ context.Context, r secrets.Request) error {
					for _, s := range r.Secrets {
						applied = append(applied, describe(s))
					}
					if r.Timeout != 10*time.Minute {
						t.Errorf("the timeout is %s", r.Timeout)
					}
					return tc.fails
				},
			}
			var out bytes.Buffer
			status := command.Run(append(append([]string{"apply"}, tc.args...), "-"), strings.NewReader(tc.file), &out, &out)
			if got := strings.Join(applied, "; "); status != tc.status || got != tc.applied || !strings.Contains(out.String(), tc.says) {
				t.Errorf("status %d, applied %q, want %d and %q:\n%s", status, got, tc.status, tc.applied, &out)
			}
		})
	}

	// Without Apply there is no such command.
	var out bytes.Buffer
	command := secrets.Command{Name: "secrets", Environments: []string{"e"}, Set: func(string) (secrets.Set, error) { return set, nil }}
	if status := command.Run([]string{"apply", "-"}, strings.NewReader(a), &out, &out); status != 2 || !strings.Contains(out.String(), "say template, generate or check") {
		t.Errorf("status %d: %s", status, &out)
	}
}

func describe(s *corev1.Secret) string {
	text := s.Namespace + "/" + s.Name
	for _, key := range []string{"X", "W", "Z"} {
		if value, ok := s.Data[key]; ok {
			text += " " + key + "=" + string(value)
		}
	}
	if len(s.StringData)+len(s.Annotations)+len(s.Labels) > 0 {
		text += " and more"
	}
	return text
}
