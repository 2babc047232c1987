// Package components holds the constructors of which a fleet layer is made:
// web applications, their addresses, their sign-in, their Secrets.
//
// A component is a plain struct that knows its Kubernetes objects. Its zero
// fields are sane defaults, its method Objects makes the objects anew at each
// call and returns every mistake at once, each with the path of its field.
// Nothing here prints, panics, or keeps state.
//
// What a component does not offer is changed on the object itself, in typed
// form, by [Edit]. Traefik's own kinds are in the package traefik below this
// one, so that nobody pays for its dependencies who does not need them.
package components
