package authentik

import (
	"fmt"
	"strings"

	"git.lastcloud.io/ronnibaslund/dezky/fleet/render/object"
)

// Assumed says what of a blueprint nobody has confirmed.
type Assumed struct {
	// Version: that Authentik is of this release.
	Version bool
	// Clients: that the live applications, if there are any, have the slugs of
	// the clients, and that the Secrets of the apps hold the ids and secrets of
	// the live providers.
	Clients bool
	// Subject: what the live providers put into the claim sub of their tokens
	// (sub_mode).
	Subject bool
}

// assumptions returns what nobody has confirmed.
func (b Blueprint) assumptions() []object.Assumption {
	if len(b.Clients) == 0 {
		return nil
	}
	at := "Blueprint " + b.Namespace + "/" + b.Name + ": "
	api := func(path string) string {
		return "`curl -H \"Authorization: Bearer $AUTHENTIK_API_TOKEN\" https://" + b.Clients[0].Authentik + "/api/v3/" + path + "/`"
	}
	var list []object.Assumption
	if b.Assumed.Version {
		list = append(list, object.Assumption{
			What:    at + "the release of Authentik",
			Value:   b.Version.String(),
			Confirm: "`kubectl -n " + b.Namespace + " get pods -o 'custom-columns=IMAGE:.spec.containers[*].image'`",
			Until:   "it is rendered for that release: another one ignores what it does not know, or refuses the whole blueprint, and the live providers stay as they are",
			Buys:    "the blueprint has what that release demands",
		})
	}
	if b.Assumed.Clients {
		names := make([]string, len(b.Clients))
		for i, c := range b.Clients {
			names[i] = fmt.Sprintf("%s (slug %s)", c.Name, c.WithDefaults().Slug)
		}
		list = append(list, object.Assumption{
			What:    at + "the slugs of its applications, and the client ids of its providers",
			Value:   strings.Join(names, ", "),
			Confirm: api("core/applications") + " for the slugs, " + api("providers/oauth2") + " for the client ids: those in the Secrets of the apps",
			Until:   "a provider is found by its name or by the client id in the Secret, and keeps that id; the addresses of the sign-in are made of the slug: confirm both before the first apply to a tier that runs. The blueprint is applied by hand alone",
			Buys:    "the blueprint keeps the providers that are there, and makes none beside them",
		})
	}
	if b.Assumed.Subject {
		list = append(list, object.Assumption{
			What:    at + "the subject of the tokens (sub_mode)",
			Confirm: api("providers/oauth2") + ", the field sub_mode",
			Until:   "it is not rendered: a live provider keeps its own, since a blueprint updates what it names and nothing else; a new one has Authentik's default, hashed_user_id. Another mode would make every user a new one to the apps",
			Buys:    "certainty that a provider made anew knows the users that the apps know",
		})
	}
	return list
}
