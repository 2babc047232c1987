package render

import (
	"fmt"
	"strings"
)

// Environment is what every environment has. A layer embeds it in a struct of
// its own, which holds in what else its environments differ.
type Environment struct {
	// Name of the environment, as -env has it.
	Name string
	// Domain is the public domain; every public host is below it.
	Domain string
}

// Host returns a public host below the domain.
func (e Environment) Host(name string) string { return name + "." + e.Domain }

// URL returns the public address of a host below the domain.
func (e Environment) URL(name string) string { return "https://" + e.Host(name) }

func (e Environment) environment() Environment { return e }

// Environments are those of a layer, the default first. E is a struct that
// embeds [Environment].
type Environments[E interface{ environment() Environment }] []E

// Names returns the names that -env takes.
func (list Environments[E]) Names() []string {
	names := make([]string, len(list))
	for i, e := range list {
		names[i] = e.environment().Name
	}
	return names
}

// Get returns the environment of that name.
func (list Environments[E]) Get(name string) (E, error) {
	for _, e := range list {
		if e.environment().Name == name {
			return e, nil
		}
	}
	var none E
	return none, fmt.Errorf("there is no environment %q: the environments are %s", name, strings.Join(list.Names(), ", "))
}

// Foreign returns the domains of all environments but those of one domain.
func (list Environments[E]) Foreign(domain string) []string {
	var domains []string
	for _, e := range list {
		if d := e.environment().Domain; d != domain {
			domains = append(domains, d)
		}
	}
	return domains
}
