package main

// changes are what people do to the tier: each is made to the definitions as a
// person would make it, by the README.
func changes() []change {
	environment := func(pairs ...string) []edit { return []edit{{file: "apps/environment.go", pairs: pairs}} }
	booking := func(pairs ...string) []edit { return []edit{{file: "apps/booking.go", pairs: pairs}} }
	return []change{
		{name: "three replicas", edits: environment("SessionReplicas: 2,", "SessionReplicas: 3,")},
		{name: "another host", edits: environment(`Portal: "app"`, `Portal: "my"`)},
		{name: "another domain", edits: environment(`"dezky.eu"`, `"example.net"`)},
		{name: "another issuer", edits: environment(`"letsencrypt-prod"`, `"letsencrypt-staging"`)},
		{name: "a third environment", edits: environment("\t\t{\n\t\t\tEnvironment:     render.Environment{Name: \"development\"",
			"\t\t{\n\t\t\tEnvironment: render.Environment{Name: \"staging\", Domain: \"staging.dezky.eu\"},\n\t\t\tHosts: hosts(), Issuer: \"letsencrypt-prod\", SharedSessions: true, SessionReplicas: 2,\n\t\t},\n"+
				"\t\t{\n\t\t\tEnvironment:     render.Environment{Name: \"development\"")},
		{name: "sessions that production does not share", edits: environment("SharedSessions:  true,", "SharedSessions:  false,"),
			refused: "outside development sessions must be shared"},
		{name: "Redis under another name", edits: []edit{{file: "apps/neighbours.go", pairs: []string{`name: "redis"`, `name: "valkey"`}}}},
		{name: "another registry", edits: []edit{{file: "apps/neighbours.go", pairs: []string{`gitHost + "/ronnibaslund/dezky/"`, `gitHost + "/dezky/"`}}}},
		{name: "a key more in a Secret", edits: booking("Keys: []secret.Key{{", "Keys: []secret.Key{{Name: \"MAP_TOKEN\", Purpose: \"Draws the map\", Source: \"the provider of maps\"}, {")},
		{name: "a variable more", edits: booking("Env: map[string]string{", "Env: map[string]string{\n\t\t\t\t\"NUXT_PUBLIC_LOCALE\": \"da\",")},
		{name: "another port", edits: booking("Port: 3000,", "Port: 3100,")},
		{name: "a value that is confirmed", edits: booking("\t\t\t\tFiles:  true,\n", "")},
		{name: "a user of the image", edits: booking("Port: 3000,", "Port: 3000, RunAsUser: 1001,", "\t\t\t\tUser:   true,\n", "")},
		{name: "a comment", edits: booking("package apps\n", "// Appointments are made here.\npackage apps\n"), silent: true},
		{name: "an app that is taken out", edits: []edit{
			{file: "apps/operator.go", remove: true},
			{file: "apps/tree.go", pairs: []string{"\t\toperator(env, api),\n", "", `, env.login("operator", env.Hosts.Operator).OIDCClient()`, ""}},
		}},
		{name: "a new app", edits: []edit{
			{file: "apps/shop.go", from: "apps/booking.go", pairs: []string{"// booking is", "// shop is", "func booking(", "func shop(", `"booking"`, `"shop"`, "env.Hosts.Booking", "env.Hosts.Shop"}},
			{file: "apps/environment.go", pairs: []string{"Booking, Operator string", "Booking, Operator, Shop string", `Operator: "operator"`, `Operator: "operator", Shop: "shop"`}},
			{file: "apps/tree.go", pairs: []string{"\t\toperator(env, api),\n", "\t\toperator(env, api),\n\t\tshop(env, api),\n"}},
		}},
	}
}
