package apps

import (
	"git.lastcloud.io/ronnibaslund/dezky/fleet/components"
	"git.lastcloud.io/ronnibaslund/dezky/fleet/components/nuxt"
	"git.lastcloud.io/ronnibaslund/dezky/fleet/render"
)

// Environment is what differs between production and development. A third
// environment is one more value in [Environments].
type Environment struct {
	// The name is also what DEZKY_ENV has.
	render.Environment
	// Hosts are the names below the domain.
	Hosts Hosts
	// Issuer is the ClusterIssuer of cert-manager.
	Issuer string
	// IssuerAssumed says that nobody has confirmed the Issuer.
	IssuerAssumed bool
	// SharedSessions keeps sessions in the Redis of the data tier. If false,
	// they are in memory: in development only, and with one replica.
	SharedSessions bool
	// Development allows what production must not have.
	Development bool
	// Runner says that this environment has the runner of Gitea. One has it, and
	// no other: each runner takes any job, and its pipeline is for one cluster.
	Runner bool
	// SessionReplicas of portal and operator.
	SessionReplicas int32

	images render.Images
}

// Hosts are the names of public hosts below an environment's domain. Each
// stands here once: addresses, redirect URIs, certificates, DNS records and
// documentation follow.
type Hosts struct {
	API, Portal, Booking, Operator string
	// Auth is Authentik, Mail is the webmail: of other layers.
	Auth, Mail string
}

func hosts() Hosts {
	return Hosts{API: "api", Portal: "app", Booking: "booking", Operator: "operator", Auth: "auth", Mail: "mail"}
}

// Environments returns all there are, production first.
func Environments() render.Environments[Environment] {
	return render.Environments[Environment]{
		{
			Environment:     render.Environment{Name: "production", Domain: "dezky.eu"},
			Hosts:           hosts(),
			Issuer:          "letsencrypt-prod",
			SharedSessions:  true,
			Runner:          true,
			SessionReplicas: 2,
		},
		{
			Environment:     render.Environment{Name: "development", Domain: "dezky.local"},
			Hosts:           hosts(),
			Issuer:          "dezky-local", // Let's Encrypt cannot reach .local
			IssuerAssumed:   true,
			SessionReplicas: 1,
			Development:     true,
		},
	}
}

// Image returns the reference to a first-party image.
func (e Environment) Image(name string) string { return e.images.Ref(registry + name) }

// Sessions returns the session store of an app: nil, memory, where the
// environment does not share sessions.
func (e Environment) Sessions(app string) *nuxt.RedisSessions {
	if !e.SharedSessions {
		return nil
	}
	return &nuxt.RedisSessions{Address: redisStore().Address(), Database: 1, Prefix: app}
}

// login is the sign-in of an app; portal and operator differ in name and host
// only.
func (e Environment) login(app, host string) nuxt.Login {
	return nuxt.Login{
		Client: components.OIDCClient{
			Name:      app,
			Namespace: namespace,
			Host:      e.Host(host),
			Authentik: e.Host(e.Hosts.Auth),
		},
		Sessions:    e.Sessions(app),
		Development: e.Development,
		Assumed: nuxt.Assumed{
			Module:    true,
			SignedOut: true,
		},
	}
}
