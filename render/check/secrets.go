package check

import (
	"net/url"

	corev1 "k8s.io/api/core/v1"

	"git.lastcloud.io/ronnibaslund/dezky/fleet/render/placeholder"
)

func secretRules() []Rule {
	return []Rule{{
		ID:     "secret-value",
		Doc:    "A rendered Secret with a value puts the value into the repository, and into the history of the repository for good. A template is none: it holds placeholders, and addresses without a login.",
		Source: "Kubernetes documentation, 'Good practices for Kubernetes Secrets'",
		Alone:  true,
		Run: func(p *Pass) {
			for _, o := range p.Kind("", "Secret") {
				if s := As[*corev1.Secret](o); s != nil && len(s.Data)+len(s.StringData) > 0 && !isTemplate(s) {
					p.Report(o, "data", "a rendered Secret must hold no value", "describe it by a contract, and fill it in outside")
				}
			}
		},
	}}
}

// isTemplate reports whether a Secret is to be filled in: each of its values
// is a placeholder, but for addresses that hold no login.
func isTemplate(s *corev1.Secret) bool {
	places := 0
	keeps := func(value string) bool {
		if placeholder.Is(value) {
			places++
			return true
		}
		u, err := url.Parse(value)
		return err == nil && (u.Scheme == "https" || u.Scheme == "http") && u.Host != "" && u.User == nil && u.RawQuery == ""
	}
	for _, v := range s.Data {
		if !keeps(string(v)) {
			return false
		}
	}
	for _, v := range s.StringData {
		if !keeps(v) {
			return false
		}
	}
	return places > 0
}
