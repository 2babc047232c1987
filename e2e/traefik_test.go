package e2e

import (
	"fmt"
	"net/http"
	"os"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"sigs.k8s.io/yaml"

	"git.lastcloud.io/ronnibaslund/dezky/fleet/render/check"
	"git.lastcloud.io/ronnibaslund/dezky/fleet/render/object"
)

// difference says where the checks and Traefik may differ, and why.
type difference struct {
	// Served reports that Traefik serves what a rule refuses; else it does not
	// serve what no rule refuses.
	Served bool
	// Where it is: the scenario, the rule where there is one, the object and the
	// field. A star stands for any text.
	Where  string
	Reason string

	pattern *regexp.Regexp
	used    bool
}

// TestTraefik holds the rules that speak of Traefik to Traefik itself: it does
// not serve what they refuse, and serves what they pass. Where they differ,
// testdata/traefik.yaml has the reason.
func TestTraefik(t *testing.T) {
	t.Parallel()
	text, err := os.ReadFile("testdata/traefik.yaml")
	if err != nil {
		t.Fatal(err)
	}
	var reasons []*difference
	if err := yaml.UnmarshalStrict(text, &reasons); err != nil {
		t.Fatal(err)
	}
	for _, r := range reasons {
		r.pattern = regexp.MustCompile("^" + strings.ReplaceAll(regexp.QuoteMeta(r.Where), `\*`, `.*`) + "$")
	}
	planted, mutants := plantedScenarios(t), mutantScenarios(t)
	e := newEdge(t, fileMiddlewares(planted))
	for _, part := range []struct {
		name      string
		scenarios []*scenario
	}{{"planted", planted}, {"mutants", mutants}} {
		began := time.Now()
		var n tally
		for _, s := range part.scenarios {
			n.add(e.hold(s, reasons))
		}
		t.Logf("%s: %d applied in %.0f s, with %d routes: %d that a rule refuses, of which the API server refuses %d, and %d that none does; Traefik differs in %d, each with a reason or an error above",
			part.name, len(part.scenarios), time.Since(began).Seconds(), n.dropped+n.served, n.dropped, n.refused, n.served, n.differ)
		if n.dropped == 0 || n.served == 0 {
			t.Errorf("%s: nothing was held to Traefik", part.name)
		}
	}
	for _, r := range reasons {
		if !r.used {
			t.Errorf("testdata/traefik.yaml: %s: they agree by now: take it out", r.Where)
		}
	}
}

// tally counts routes.
type tally struct {
	dropped, refused, served, differ int
}

func (n *tally) add(m tally) {
	n.dropped += m.dropped
	n.refused += m.refused
	n.served += m.served
	n.differ += m.differ
}

// hold applies a scenario, and compares what the rules and Traefik say of each
// of its routes.
func (e *edge) hold(s *scenario, reasons []*difference) (n tally) {
	e.t.Helper()
	differ := func(served bool, where, why string) {
		n.differ++
		for _, r := range reasons {
			if r.Served == served && r.pattern.MatchString(s.name+": "+where) {
				r.used = true
				return
			}
		}
		e.t.Errorf("%s: %s\n\t%s", s.name, where, why)
	}
	findings := s.check()
	applied, pods := s.cluster()
	routes := routesOf(applied)
	e.put(applied, pods)

	for _, o := range s.objects {
		id := object.IDOf(o)
		if why := e.refused[id]; why != "" && !slices.ContainsFunc(findings, func(f object.Finding) bool { return f.Severity == object.Error && f.Object == id }) {
			differ(false, id.String(), "the API server refuses it, and no rule does: "+why)
		}
	}
	claimed := make([]bool, len(routes))
	for _, f := range findings {
		if !e.claims(f) {
			continue
		}
		var served []string // as the rule says they are not
		touched := 0
		for i, r := range routes {
			if !touches(f, r, routes) {
				continue
			}
			touched++
			claimed[i] = true
			if a := e.wait(r, func(a answers) bool { return !a.served(f) }); a.served(f) {
				served = append(served, a.String())
			}
		}
		// Of two that share an address, one is served.
		if len(served) > 0 && (f.Rule != "address-twice" || len(served) == touched) {
			differ(true, f.Rule+" "+f.Object.String()+" "+f.Field, "Traefik serves it, and the rule refuses it: "+f.Problem+"\n\t"+strings.Join(served, "\n\t"))
		}
	}
	for i, r := range routes {
		if claimed[i] {
			n.dropped++
			if e.refused[r.of] != "" {
				n.refused++
			}
			continue
		}
		n.served++
		if a := e.wait(r, answers.all); !a.all() {
			differ(false, r.of.String()+" "+r.field, "Traefik does not serve it, and no rule refuses it:\n\t"+a.String())
		}
	}
	if s.healthy && n.served == 0 {
		e.t.Errorf("%s: a healthy neighbour that nobody serves proves nothing", s.name)
	}
	return n
}

// judged are the rules that say what Traefik serves.
var judged = func() map[string]bool {
	rules := map[string]bool{"service-target-port": true, "service-endpoints": true, "certificate": true}
	for _, r := range check.Rules() {
		if strings.Contains(r.Doc+r.Source, "Traefik") {
			rules[r.ID] = true
		}
	}
	return rules
}()

// claims reports whether a finding says that something is not served.
func (e *edge) claims(f object.Finding) bool {
	switch f.Rule {
	case "entry-point", "traefik-disallowed", "service-endpoints":
		return true
	case "tls-host": // of a host that only a certificate has, there is no route
		return !strings.HasSuffix(f.Field, ".hosts")
	}
	return f.Severity == object.Error && (judged[f.Rule] || e.refused[f.Object] != "")
}

// inPart reports whether a finding says that a route is served in part: on one
// entry point, with another certificate, without the solver, by one of two
// Services, or as far as a redirect that comes before its Service.
func inPart(f object.Finding) bool {
	return slices.Contains([]string{"address-twice", "entry-point", "tls-host"}, f.Rule) || strings.HasPrefix(f.Rule, "service-") ||
		strings.Contains(f.Field, "tls") || strings.Contains(f.Field, "router.priority")
}

// answers are those to the requests of one route.
type answers []answer

type answer struct {
	ask  ask
	said string
	// meant reports that it is answered as the route means it.
	meant bool
}

// all reports whether every request is answered as it is meant.
func (a answers) all() bool {
	return !slices.ContainsFunc(a, func(a answer) bool { return !a.meant })
}

// served reports whether Traefik serves what a finding says it does not.
func (a answers) served(f object.Finding) bool {
	if inPart(f) {
		return a.all()
	}
	return slices.ContainsFunc(a, func(a answer) bool { return a.meant && !a.ask.solver })
}

func (a answers) String() string {
	var all []string
	for _, a := range a {
		all = append(all, a.said)
	}
	return strings.Join(all, "; ")
}

// wait sends the requests of a route until the answers are as they should be,
// for a moment at most: some of what a route needs, Traefik may yet have to see.
func (e *edge) wait(r route, enough func(answers) bool) answers {
	var a answers
	for range 20 {
		a = nil
		for _, ask := range r.asks {
			said, meant := e.answer(ask)
			a = append(a, answer{ask, said, meant})
		}
		if enough(a) {
			break
		}
		time.Sleep(50 * time.Millisecond)
	}
	return a
}

// answer sends a request, and reports whether it is answered as it is meant: by
// a pod of the Service or by a middleware before it, and with the certificate.
func (e *edge) answer(a ask) (said string, meant bool) {
	said = a.entryPoint + " " + a.url()
	r, err := e.ask(a.entryPoint, a.url())
	if err != nil {
		return said + ": " + err.Error(), false
	}
	by := r.Header.Get("X-Service")
	said = fmt.Sprintf("%s: %s %s", said, r.Status, by)
	if a.certificate && r.TLS.PeerCertificates[0].VerifyHostname(a.host) != nil {
		return said + ", with a certificate for " + r.TLS.PeerCertificates[0].Subject.CommonName + strings.Join(r.TLS.PeerCertificates[0].DNSNames, ", "), false
	}
	switch r.StatusCode {
	case http.StatusOK:
		return said, a.service.Name == "" || by == a.service.Namespace+"/"+a.service.Name
	case http.StatusUnauthorized:
		return said, true
	case http.StatusMovedPermanently, http.StatusFound, http.StatusTemporaryRedirect, http.StatusPermanentRedirect:
		to, err := r.Location()
		return said + "to " + r.Header.Get("Location"), err == nil && (to.Scheme == "http" || to.Scheme == "https")
	}
	return said, false
}

var routeField = regexp.MustCompile(`^spec\.(routes\[\d+\]|rules\[\d+\](\.http\.paths\[\d+\])?)`)

// touches reports whether a finding is about a route: about its object and not
// another route of it, about what the route goes through, or about an address
// that it has too.
func touches(f object.Finding, r route, all []route) bool {
	if f.Rule == "address-twice" {
		return slices.ContainsFunc(all, func(other route) bool {
			return about(f, other) && slices.ContainsFunc(other.asks, func(a ask) bool {
				return slices.ContainsFunc(r.asks, func(b ask) bool { return a.entryPoint == b.entryPoint && a.url() == b.url() })
			})
		})
	}
	return about(f, r) || slices.Contains(r.uses, f.Object)
}

// about reports whether a finding is about the object of a route, and not
// another route of it.
func about(f object.Finding, r route) bool {
	at := routeField.FindString(f.Field)
	return f.Object == r.of && (strings.HasPrefix(at, r.field) || strings.HasPrefix(r.field, at))
}
