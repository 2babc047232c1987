package signin

import (
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"time"

	"github.com/go-jose/go-jose/v4"
	"github.com/go-jose/go-jose/v4/jwt"
)

// platformAPI looks at tokens as the list says, with the rendered variables of
// platform-api.
type platformAPI struct {
	w *world
	// clients are the pairs that it accepts.
	clients []tokenClient
}

type tokenClient struct{ issuer, audience, jwks string }

func newPlatformAPI(w *world) *platformAPI {
	a := &platformAPI{w: w}
	env := w.environment(&app{name: "platform-api", deployment: w.rendered.deployments["platform-api"]})
	for name, issuer := range env {
		if prefix, ok := strings.CutSuffix(name, "ISSUER"); ok {
			a.clients = append(a.clients, tokenClient{issuer, env[prefix+"AUDIENCE"], env[prefix+"JWKS_URL"]})
		}
	}
	return a
}

func (a *platformAPI) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	token, _ := strings.CutPrefix(r.Header.Get("Authorization"), "Bearer ")
	claims, err := a.verify(token)
	if err != nil {
		http.Error(w, err.Error(), http.StatusForbidden)
		return
	}
	w.Header().Set("Content-Type", "application/json")
	json.NewEncoder(w).Encode(claims)
}

type tokenClaims struct {
	jwt.Claims
	AuthorizedParty string   `json:"azp"`
	Scope           string   `json:"scope"`
	Name            string   `json:"preferred_username"`
	Groups          []string `json:"groups"`
}

// verify takes access tokens of the clients that platform-api is told of, and
// nothing else.
func (a *platformAPI) verify(text string) (tokenClaims, error) {
	var claims tokenClaims
	token, err := jwt.ParseSigned(text, []jose.SignatureAlgorithm{jose.RS256})
	if err != nil {
		return claims, err
	}
	// What is read here is not believed before the signature is checked below.
	if err := token.UnsafeClaimsWithoutVerification(&claims); err != nil {
		return claims, err
	}
	for _, c := range a.clients {
		if c.issuer != claims.Issuer {
			continue
		}
		keys, err := a.keys(c.jwks)
		if err != nil {
			return claims, err
		}
		if err := token.Claims(keys, &claims); err != nil {
			return claims, err
		}
		if claims.AuthorizedParty == "" || claims.Scope == "" {
			return claims, errors.New("an ID token is no access token")
		}
		return claims, claims.Validate(jwt.Expected{Issuer: c.issuer, AnyAudience: jwt.Audience{c.audience}, Time: time.Now()})
	}
	return claims, fmt.Errorf("the issuer %q is none of those that are accepted", claims.Issuer)
}

func (a *platformAPI) keys(address string) (jose.JSONWebKeySet, error) {
	var keys jose.JSONWebKeySet
	response, err := a.w.browser().client.Get(address)
	if err != nil {
		return keys, err
	}
	defer response.Body.Close()
	return keys, json.NewDecoder(response.Body).Decode(&keys)
}
