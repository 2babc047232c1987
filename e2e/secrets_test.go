package e2e

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"

	"git.lastcloud.io/ronnibaslund/dezky/fleet/apps"
	"git.lastcloud.io/ronnibaslund/dezky/fleet/components/secret"
	"git.lastcloud.io/ronnibaslund/dezky/fleet/render"
)

// TestSecrets runs README's commands for Secrets, as they stand there, against
// an API server: on a first day, on a running cluster, and where a key is
// lost. They are typed into sh and into bash, by somebody whose editor fills
// in what is missing.
func TestSecrets(t *testing.T) {
	environment := apps.Environments().Names()[0]
	tree, err := apps.Tree(environment, render.Images{Tag: "0123456789abcdef0123456789abcdef01234567"})
	if err != nil {
		t.Fatal(err)
	}
	set, err := apps.Secrets(environment)
	if err != nil {
		t.Fatal(err)
	}
	own, _ := apps.Deployer()
	firstDay := readmeCommands(t, "## Secrets", "for namespace")
	breakGlass := readmeCommands(t, "## Break glass", "\"$EDITOR\"")
	generate := "go run ./cmd/secrets generate -into secrets.yaml\n"

	for _, shell := range []string{"sh", "bash"} {
		t.Run(shell, func(t *testing.T) {
			t.Parallel()
			if _, err := exec.LookPath(shell); err != nil {
				t.Fatalf("README's commands are tried in sh and in bash: %v", err)
			}
			c := start(t)
			p := newPerson(t, c, shell)
			out := t.TempDir()
			if _, err := tree.WriteDir(out); err != nil {
				t.Fatal(err)
			}
			// The apps are not there yet: no controller would make them ready.
			c.kubectl("apply", "--server-side", "-f", filepath.Join(out, "ci", "00-namespaces.yaml"))

			// The first day: Authentik's namespace is not there yet.
			file := filepath.Join(p.dir, "secrets.yaml")
			here := func(text string) string { return strings.ReplaceAll(text, "secrets.yaml", file) }
			p.must(here(generate + "\"$EDITOR\" secrets.yaml\n" + firstDay))
			for _, s := range set.Secrets {
				out, err := c.try(nil, "get", "secret", "-n", s.Namespace, s.Name)
				if inAuth := s.Namespace == "dezky-auth"; (err != nil) != inAuth {
					t.Errorf("after the first day, Secret %s/%s: %v %s", s.Namespace, s.Name, err, out)
				}
			}
			if got, err := p.run("go run ./cmd/secrets check -live"); err == nil || !strings.Contains(got, "dezky-auth") {
				t.Errorf("check -live without Authentik's Secret: %v\n%s", err, got)
			}

			// It comes, and the third Secret from the same file.
			c.kubectl("create", "namespace", "dezky-auth")
			p.must(here("go run ./cmd/secrets apply -only dezky-auth secrets.yaml"))
			p.must("go run ./cmd/secrets check -live")
			before := p.values(own)

			// Break glass in a running cluster changes nothing by itself.
			p.must(breakGlass)
			p.must("go run ./cmd/secrets check -live")
			if after := p.values(own); after != before {
				t.Errorf("break glass changes values:\n%s\n%s", before, after)
			}

			// What kubectl applies on the server's side leaves no copy behind.
			for _, s := range set.Secrets {
				if text := c.kubectl("get", "secret", "-n", s.Namespace, s.Name, "-o", "jsonpath={.metadata.annotations}"); strings.Contains(text, "last-applied") {
					t.Errorf("Secret %s/%s is in the annotation of client-side apply", s.Namespace, s.Name)
				}
			}

			// A key is lost: it is named, and break glass makes it anew and
			// leaves the others alone.
			lost := set.Secrets[0]
			var key string
			for _, k := range lost.Keys {
				if k.Format == secret.Hex(32) {
					key = k.Name
				}
			}
			c.kubectl("patch", "secret", "-n", lost.Namespace, lost.Name, "--type=json", "-p", `[{"op":"remove","path":"/data/`+key+`"}]`)
			if got, err := p.run("go run ./cmd/secrets check -live"); err == nil || !strings.Contains(got, key) {
				t.Errorf("check -live without %s: %v\n%s", key, err, got)
			}
			p.must(breakGlass)
			p.must("go run ./cmd/secrets check -live")
			after := p.values(own)
			value := regexp.MustCompile(`(?m)^` + regexp.QuoteMeta(lost.Name+"/"+key) + ` .*\n`)
			if !value.MatchString(before) || value.FindString(before) == value.FindString(after) || value.ReplaceAllString(before, "") != value.ReplaceAllString(after, "") {
				t.Errorf("a lost %s: before and after\n%s\n%s", key, before, after)
			}

			// A key that goes from the file stays in the cluster.
			text, err := os.ReadFile(file)
			if err != nil {
				t.Fatal(err)
			}
			without := regexp.MustCompile(`(?m)^  `+key+`: .*\n`).ReplaceAll(text, nil)
			if bytes.Equal(without, text) {
				t.Fatalf("the file has no %s", key)
			}
			if out, err := c.try(without, "apply", "--server-side", "--force-conflicts", "-f", "-"); err != nil {
				t.Fatalf("%v\n%s", err, out)
			}
			if !value.MatchString(p.values(own)) {
				t.Errorf("%s left the cluster with the file: README says that it stays", key)
			}
		})
	}
}

// readmeCommands returns the commands of README, below the heading, among
// which the words stand.
func readmeCommands(t *testing.T, heading, words string) string {
	t.Helper()
	readme, err := os.ReadFile("../README.md")
	if err != nil {
		t.Fatal(err)
	}
	_, section, _ := strings.Cut(string(readme), "\n"+heading+"\n")
	section, _, _ = strings.Cut(section, "\n## ")
	for _, block := range regexp.MustCompile("(?s)\n```sh\n(.*?)```").FindAllStringSubmatch(section, -1) {
		if strings.Contains(block[1], words) {
			return block[1]
		}
	}
	t.Fatalf("README has no commands with %s below %s", words, heading)
	return ""
}

// person types commands into a shell, in the repository, as a cluster admin.
type person struct {
	cluster
	shell, dir string
	env        []string
}

func newPerson(t *testing.T, c cluster, shell string) person {
	t.Helper()
	dir := t.TempDir()
	config := filepath.Join(dir, "kubeconfig")
	write(t, config, fmt.Appendf(nil, `{"apiVersion":"v1","kind":"Config","current-context":"e2e",
"clusters":[{"name":"e2e","cluster":{"server":%q,"insecure-skip-tls-verify":true}}],
"users":[{"name":"e2e","user":{"token":"admin"}}],
"contexts":[{"name":"e2e","context":{"cluster":"e2e","user":"e2e"}}]}`, c.url))
	editor, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	return person{cluster: c, shell: shell, dir: dir, env: append(os.Environ(),
		"KUBECONFIG="+config, "TMPDIR="+dir, "EDITOR="+editor, isEditor+"=1",
		"PATH="+bin+string(os.PathListSeparator)+os.Getenv("PATH"))}
}

func (p person) run(script string) (string, error) {
	ctx, cancel := context.WithTimeout(p.t.Context(), 5*time.Minute)
	defer cancel()
	cmd := exec.CommandContext(ctx, p.shell, "-c", script)
	cmd.Dir, cmd.Env = "..", p.env
	out, err := cmd.CombinedOutput()
	return string(out), err
}

func (p person) must(script string) {
	p.t.Helper()
	if out, err := p.run(script); err != nil {
		p.t.Fatalf("%s:\n%s\n%v\n%s", p.shell, script, err, out)
	}
}

// values are those of a namespace's Secrets that the contracts name, a line
// each, in base64.
func (p person) values(namespace string) string {
	p.t.Helper()
	var list corev1.SecretList
	if err := json.Unmarshal([]byte(p.kubectl("get", "secrets", "-n", namespace, "-o", "json")), &list); err != nil {
		p.t.Fatal(err)
	}
	live := make(map[string]corev1.Secret)
	for _, s := range list.Items {
		live[s.Name] = s
	}
	set, err := apps.Secrets(apps.Environments().Names()[0])
	if err != nil {
		p.t.Fatal(err)
	}
	var text strings.Builder
	for _, s := range set.Secrets {
		for _, k := range s.Keys {
			if value, ok := live[s.Name].Data[k.Name]; ok {
				fmt.Fprintf(&text, "%s/%s %x\n", s.Name, k.Name, value)
			}
		}
	}
	return text.String()
}

// isEditor is the variable under which the test's own program is the editor.
const isEditor = "FLEET_E2E_EDITOR"

// edit fills in what is missing in a file, as a person would.
func edit(file string) error {
	set, err := apps.Secrets(apps.Environments().Names()[0])
	if err != nil {
		return err
	}
	values := make(map[string]string)
	for _, s := range set.Secrets {
		for _, k := range s.Keys {
			switch f := k.Format.(type) {
			case secret.URI:
				values[k.Name] = f.Scheme + "://fleet:not-a-secret@" + f.Host + "/" + f.Database
				if f.Database == "" {
					values[k.Name] += "fleet"
				}
			case secret.DockerConfig:
				values[k.Name] = `{"auths":{"` + f.Registry + `":{"username":"fleet","password":"not-a-secret"}}}`
			default:
				values[k.Name] = "not-a-secret-" + strings.ToLower(k.Name)
			}
		}
	}
	text, err := os.ReadFile(file)
	if err != nil {
		return err
	}
	text = regexp.MustCompile(`(?m)^  (\S+): "REPLACE"$`).ReplaceAllFunc(text, func(line []byte) []byte {
		name, _, _ := bytes.Cut(bytes.TrimSpace(line), []byte(":"))
		return fmt.Appendf(nil, "  %s: %q", name, values[string(name)])
	})
	return os.WriteFile(file, text, 0o600)
}
