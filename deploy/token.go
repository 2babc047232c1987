package deploy

import (
	"encoding/base64"
	"encoding/json"
	"fmt"
	"os"
	"strings"
	"time"

	"k8s.io/client-go/rest"
)

// tokenNotice is how long before the end of a token a deploy speaks of it.
const tokenNotice = 14 * 24 * time.Hour

// expiry says that the access ends soon. It is empty where it does not, and
// where the access has no token or the token no end.
func expiry(config *rest.Config, now time.Time) string {
	token := config.BearerToken
	if token == "" && config.BearerTokenFile != "" {
		if text, err := os.ReadFile(config.BearerTokenFile); err == nil {
			token = strings.TrimSpace(string(text))
		}
	}
	end, ok := tokenEnd(token)
	if !ok || end.Sub(now) > tokenNotice {
		return ""
	}
	if !end.After(now) {
		return fmt.Sprintf("the token of this kubeconfig ended on %s: make a new one", end.UTC().Format(time.DateOnly))
	}
	return fmt.Sprintf("the token of this kubeconfig ends on %s: make a new one before", end.UTC().Format(time.DateOnly))
}

// tokenEnd reads the claim exp of a JSON Web Token (RFC 7519, 4.1.4). The
// signature is the server's to check.
func tokenEnd(token string) (time.Time, bool) {
	parts := strings.Split(token, ".")
	if len(parts) != 3 {
		return time.Time{}, false
	}
	text, err := base64.RawURLEncoding.DecodeString(parts[1])
	if err != nil {
		return time.Time{}, false
	}
	var claims struct {
		Exp float64 `json:"exp"`
	}
	if json.Unmarshal(text, &claims) != nil || claims.Exp <= 0 {
		return time.Time{}, false
	}
	return time.Unix(int64(claims.Exp), 0), true
}
