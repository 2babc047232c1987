package e2e

import (
	"strings"
	"testing"
	"time"

	appsv1 "k8s.io/api/apps/v1"

	"git.lastcloud.io/ronnibaslund/dezky/fleet/render/plan/consequence"
)

// consequences: a release stops at what loses requests, says the words with
// which it goes on, and goes on with them; an allowance that nothing needs is a
// note.
func consequences(t *testing.T, c cluster) {
	w := newTier(t, c, "web", "api")
	w.host = "www.example.com"
	w.ci()
	// Its certificate is there, and waited for no longer.
	c.apply(`{apiVersion: cert-manager.io/v1, kind: Certificate, metadata: {namespace: ` + w.namespace + `, name: web-tls}}`)
	c.kubectl("patch", "certificate", "web-tls", "-n", w.namespace, "--subresource=status", "--type=merge", "-p", `{"status":{"conditions":[{"type":"Ready","status":"True"}]}}`)
	w.admitted("-tag", "a")
	w.must(0, "-tag", "a")
	// A release of another image does not stop, and says what restarts.
	w.says(w.must(0, "-tag", "b"), "restarts     Deployment "+w.namespace+"/web: spec.template: ")

	w.host = ""
	const why = "spec.rules[www.example.com]: down: nothing serves www.example.com any more: it answers 404: "
	allow := "host=Ingress " + w.namespace + "/web"
	for _, args := range [][]string{{"-tag", "c"}, {"-tag", "c", "-dry-run"}, {"-tag", "c", "-allow", "host=Ingress " + w.namespace + "/api"}} {
		out := w.must(1, args...)
		w.says(out, "down         Ingress "+w.namespace+"/web: ", "Ingress "+w.namespace+"/web: "+why, "; if it is meant, say -allow '"+allow+"'\n")
	}
	if got := w.image("web"); got != registry+"web:b" || !w.exists("ingress", "web") {
		t.Errorf("a release that stopped changed something: web runs %s", got)
	}
	w.says(w.must(2, "-tag", "c", "-allow", "hosts=x"), "must be the rule in brackets")

	out := w.must(0, "-tag", "c", "-allow", "service-pods=Service "+w.namespace+"/web, "+allow)
	w.says(out, "[host] allowed: -allow says so", "note: the allowance service-pods=Service "+w.namespace+"/web lets nothing pass", "deleted Ingress "+w.namespace+"/web")
	// Going back brings it again, and going there and back is not stopped.
	w.must(0, "-rollback")
	w.must(0, "-tag", "c", "-allow", allow)

	// So does an annotation of the object that goes.
	w.host = "www.example.com"
	w.must(0, "-tag", "d")
	c.kubectl("annotate", "ingress", "web", "-n", w.namespace, "fleet.dezky.eu/allow-host=it is given up")
	w.host = ""
	w.says(w.must(0, "-tag", "c"), "[host] allowed: it is given up")

	// In the definitions: it says why, and is a note once it is done. What is
	// said of another layer is not asked of this one.
	w.host = "www.example.com"
	w.must(0, "-tag", "d")
	w.host = ""
	w.allowed = []consequence.Allowance{
		{Rule: "host", Object: "Ingress " + w.namespace + "/web", Reason: "the site has moved"},
		{Rule: "role-ref", Object: "RoleBinding " + w.namespace + "/ci-deployer", Reason: "of the layer ci"},
	}
	out = w.must(0, "-tag", "e")
	w.says(out, "[host] allowed: the site has moved")
	w.says(w.must(0, "-tag", "f"), "note: the allowance "+allow+" lets nothing pass: there is no such consequence, remove it")

	// What the server refuses stays refused, whatever is allowed.
	w.edit = func(d *appsv1.Deployment) {
		d.Spec.Selector.MatchLabels["tier"] = "front"
		d.Spec.Template.Labels["tier"] = "front"
	}
	w.says(w.must(1, "-tag", "g", "-allow", "immutable-field=Deployment "+w.namespace+"/web"), "Deployment "+w.namespace+"/web: spec.selector: ", "field is immutable")
}

// admitted waits until the API server has read the deployer's new policy.
func (w *tier) admitted(args ...string) {
	w.t.Helper()
	for range 40 {
		if _, out := w.run(append(args, "-dry-run")...); !strings.Contains(out, "ValidatingAdmissionPolicy") {
			return
		}
		time.Sleep(500 * time.Millisecond)
	}
	w.t.Fatal("the API server does not know the new policy")
}
