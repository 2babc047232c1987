// Package secrets makes and checks the Secrets of an environment from their
// contracts: a template with a comment above each key, a file with all that
// a program can generate, and a check of a filled file or of the cluster.
//
// Nothing of a checked input is ever printed, whatever it holds: findings
// are made of the contract's own words and of line numbers.
package secrets

import (
	"errors"
	"fmt"
	"slices"

	"git.lastcloud.io/ronnibaslund/dezky/fleet/components/secret"
	"git.lastcloud.io/ronnibaslund/dezky/fleet/render/domain"
)

// Set is the Secrets of one environment.
type Set struct {
	// Secrets in the order in which they are written.
	Secrets []secret.Contract
	// Domains are the public domains of this environment. They matter where
	// one of them is below a foreign one.
	Domains []string
	// ForeignDomains are the domains of other environments. A value that
	// names one, or a host that belongs to it, is refused; see
	// [domain.Domains].
	ForeignDomains []string
}

// Validate reports every mistake in the contracts themselves.
func (s Set) Validate() error {
	var errs []error
	if err := s.domains().Validate(); err != nil {
		errs = append(errs, err)
	}
	keys := s.keys()
	seen := make(map[string]bool)
	for _, contract := range s.Secrets {
		if err := contract.Validate(); err != nil {
			errs = append(errs, err)
		}
		at := placeOf(contract)
		if seen[at] {
			errs = append(errs, fmt.Errorf("%s: there are two contracts of this name", at))
		}
		seen[at] = true
		for _, k := range contract.Keys {
			ref := refTo(contract, k.Name)
			if k.Made != nil {
				of, ok := keys[k.Made.Of]
				switch {
				case !ok:
					errs = append(errs, fmt.Errorf("%s: is made of %s, which no contract has", place(ref), k.Made.Of))
				case of.Made != nil:
					errs = append(errs, fmt.Errorf("%s: is made of %s, which is made itself: take what that one is made of", place(ref), k.Made.Of))
				}
			}
			if k.SameAs.Secret == "" {
				continue
			}
			if _, ok := keys[k.SameAs]; !ok {
				errs = append(errs, fmt.Errorf("%s: repeats %s, which no contract has", place(ref), k.SameAs))
			} else if _, ok := origin(keys, ref); !ok {
				errs = append(errs, fmt.Errorf("%s: repeats %s, which repeats it in turn: one of them must be the first", place(ref), k.SameAs))
			}
		}
	}
	return errors.Join(errs...)
}

func (s Set) domains() *domain.Domains {
	return &domain.Domains{Own: s.Domains, Foreign: s.ForeignDomains}
}

// isForeign reports whether the value names a host of another environment.
func (s Set) isForeign(value string) bool {
	return slices.ContainsFunc(s.domains().Find([]byte(value)), func(h domain.Hit) bool { return h.Foreign })
}

// keys finds every key of the Set.
func (s Set) keys() map[secret.Ref]secret.Key {
	keys := make(map[secret.Ref]secret.Key)
	for _, contract := range s.Secrets {
		for _, k := range contract.Keys {
			keys[refTo(contract, k.Name)] = k
		}
	}
	return keys
}

// refs lists every key of the Set in its order.
func (s Set) refs() []secret.Ref {
	var refs []secret.Ref
	for _, contract := range s.Secrets {
		for _, k := range contract.Keys {
			refs = append(refs, refTo(contract, k.Name))
		}
	}
	return refs
}

// group is keys that hold one value, the first of which the others repeat.
type group []secret.Ref

// groups puts every key into its group; most are alone there. The groups
// come in the order of their first mention.
func (s Set) groups() []group {
	keys := s.keys()
	var first []secret.Ref
	members := make(map[secret.Ref]group)
	for _, ref := range s.refs() {
		o, _ := origin(keys, ref)
		if _, ok := members[o]; !ok {
			first = append(first, o)
			members[o] = group{o}
		}
		if ref != o {
			members[o] = append(members[o], ref)
		}
	}
	groups := make([]group, len(first))
	for i, o := range first {
		groups[i] = members[o]
	}
	return groups
}

// origin follows SameAs to the key that repeats no other. It is false where
// there is none, since the keys repeat each other in a circle.
func origin(keys map[secret.Ref]secret.Key, ref secret.Ref) (secret.Ref, bool) {
	for range len(keys) {
		next := keys[ref].SameAs
		if _, ok := keys[next]; !ok {
			return ref, true
		}
		ref = next
	}
	return ref, false
}

func refTo(s secret.Contract, key string) secret.Ref {
	return secret.Ref{Namespace: s.Namespace, Secret: s.Name, Key: key}
}

// scope is what -only names: a namespace, one Secret as namespace/name, or
// everything where it is empty.
type scope string

// has reports whether the Secret is in the scope.
func (o scope) has(s secret.Contract) bool {
	return o == "" || string(o) == s.Namespace || string(o) == s.Namespace+"/"+s.Name
}

// in gives the Secrets of the scope.
func (s Set) in(o scope) []secret.Contract {
	return slices.DeleteFunc(slices.Clone(s.Secrets), func(secret secret.Contract) bool { return !o.has(secret) })
}

func placeOf(s secret.Contract) string { return "Secret " + s.Namespace + "/" + s.Name }

func place(r secret.Ref) string {
	return fmt.Sprintf("Secret %s/%s, key %s", r.Namespace, r.Secret, r.Key)
}
