// Package apps is the dezky app tier: its four web applications, the identity
// that deploys them, the runner that builds them, and their sign-in at
// Authentik, in every environment.
//
// One file holds one app. What the apps share, and what differs between the
// environments, is in environment.go; tree.go puts the layers together.
package apps
