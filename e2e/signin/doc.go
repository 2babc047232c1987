// Package signin signs in, for what only running programs can say: whether an
// app that is written by the rendered list "what the code must do" holds its
// sessions over replicas, restarts and the end of a token, and whether a
// sign-out is one.
//
// Real are the app (Nuxt and nuxt-oidc-auth, at the versions of app's lock
// file, with the Node of that file), its replicas with the rendered variables
// and the generated Secrets, TLS and every rendered address. Redis is
// miniredis, which speaks the protocol. Traefik is Go's reverse proxy, the
// cluster's and the public names are known to a proxy on loopback, and the
// browser is Go's client with its cookies: it runs no scripts, so that the
// client plugin of the app is built and not run. Authentik is a model.
//
// # What the model takes from Authentik
//
// It is configured by the rendered blueprint. Read was the source of June 2026
// (2026.8.0-rc1), below authentik/:
//
//   - blueprints/v1/importer.py, common.py: the tags !Env, !Find, !KeyOf and
//     !If; a missing variable or object is null; null for a client id, a
//     client secret, a flow or a scope mapping is refused, null for the
//     signing key is taken.
//   - providers/oauth2/views/authorize.py: who is asked for what; a redirect
//     URI is compared by its kind and mode; a scope that is asked for and not
//     mapped is dropped without a word; a code lives for a minute and is bound
//     to its PKCE challenge. The flow of implicit consent asks nothing.
//   - providers/oauth2/views/token.py: a code is good once; a refresh token
//     comes with offline_access only; a refresh within refresh_token_threshold
//     of the token's end, or with a threshold of zero, gives a new one and
//     revokes the old; a revoked one is refused; no policy and no group is
//     looked at.
//   - providers/oauth2/id_token.py: the issuer is made from the host of the
//     request; an access token has azp, uid and scope beside what the ID token
//     has.
//   - providers/oauth2/views/end_session.py: an empty page while another flow
//     is open in the browser; post_logout_redirect_uri without id_token_hint,
//     or one that is not registered, is an error page where the provider has a
//     logout URI; the hint's signature, issuer and audience are checked, its
//     age is not.
//   - stages/user_logout/stage.py, providers/oauth2/signals.py: a flow with
//     that stage ends Authentik's session, and the access tokens of every app
//     with it; refresh tokens stay.
//   - providers/oauth2/views/userinfo.py, token_revoke.py, jwks.py,
//     provider.py: what is answered at their addresses.
//
// # What stays unproven
//
// Without a real Authentik: that it takes the blueprint, that its flows run as
// the model's single pages do (they are applications with scripts of their
// own, and a plan in the session), what two requests do that reach its
// database at once (the model takes one after the other), its lifetime of
// sessions, MFA, consent, policies and bindings, and every release but the one
// that was read. Without a browser: the client plugin. Without Redis: its
// memory limit and its persistence.
//
// It is built and run by
//
//	make e2e
//
// which needs npm. The app is built below the user's cache directory, and kept
// until its files change.
package signin
