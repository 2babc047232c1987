package secrets

import (
	"fmt"
	"slices"
	"strings"

	corev1 "k8s.io/api/core/v1"

	"git.lastcloud.io/ronnibaslund/dezky/fleet/components/secret"
	"git.lastcloud.io/ronnibaslund/dezky/fleet/render/placeholder"
)

// Finding is what a check has to say of one place. It holds words of the
// contract and numbers of lines, and nothing else of the input.
type Finding struct {
	// Place is a Secret, a key of one, or a place in the input.
	Place string
	// Problem says what is wrong there, and what to do.
	Problem string
	// Note says that nothing is wrong: it is only worth knowing.
	Note bool

	// other is the place of another key that the problem names as well.
	other string
	// order of the place among the findings: the input, then the contract's
	// Secrets and keys.
	order int
}

// String returns the finding in one line.
func (f Finding) String() string {
	if f.Note {
		return "note: " + f.Place + ": " + f.Problem
	}
	return f.Place + ": " + f.Problem
}

// Check holds the input against the contracts: YAML documents or JSON, with
// Secrets, lists of them as kubectl get prints them, Secrets that SOPS
// encrypted, or SealedSecrets. A Secret in it that comes from a cluster and
// has no contract is left alone. All findings come at once, in the order of
// the contracts.
func (s Set) Check(input []byte) []Finding { return s.check(input, "") }

// check holds the input against the contracts in the scope. What else the
// input has is then only compared with them.
func (s Set) check(input []byte, only scope) []Finding {
	var r reader
	complete := r.read(input)
	if complete && len(r.secrets) == 0 && len(r.findings) == 0 && !r.listed {
		return []Finding{{Place: "the input", Problem: "has no Secret"}}
	}
	c := newChecker(s, r.findings)
	c.only = only
	c.match(r.secrets)
	c.shape()
	if complete {
		c.missing()
	}
	c.contents()
	return c.sorted()
}

// checker collects the findings on one input.
type checker struct {
	set      Set
	keys     map[secret.Ref]secret.Key
	order    map[string]int
	secrets  []*filled
	findings []Finding
	names    map[string]bool // of all keys
	only     scope
	// unclear says that a Secret may be in the input and was not made out.
	unclear bool
	// carries says that the input is the cluster, whose values go to a file.
	carries bool
}

// newChecker begins with what reading the input found.
func newChecker(s Set, read []Finding) *checker {
	c := &checker{set: s, keys: s.keys(), order: make(map[string]int), names: make(map[string]bool), findings: read, unclear: len(read) > 0}
	for _, contract := range s.Secrets {
		c.order[placeOf(contract)] = len(c.order) + 1
		for _, k := range contract.Keys {
			c.order[place(refTo(contract, k.Name))] = len(c.order) + 1
			c.names[k.Name] = true
		}
	}
	return c
}

func (c *checker) find(place, problem string) {
	c.findings = append(c.findings, Finding{Place: place, Problem: problem})
}

func (c *checker) note(place, problem string) {
	c.findings = append(c.findings, Finding{Place: place, Problem: problem, Note: true})
}

// sorted gives the findings by place, those of one place as they were found.
func (c *checker) sorted() []Finding {
	if c.only != "" {
		inScope := make(map[string]bool)
		for _, contract := range c.set.Secrets {
			if c.only.has(contract) {
				inScope[placeOf(contract)] = true
				for _, k := range contract.Keys {
					inScope[place(refTo(contract, k.Name))] = true
				}
			}
		}
		c.findings = slices.DeleteFunc(c.findings, func(f Finding) bool {
			return c.order[f.Place] > 0 && !inScope[f.Place] && !inScope[f.other]
		})
	}
	for i, f := range c.findings {
		c.findings[i].order = c.order[f.Place]
	}
	slices.SortStableFunc(c.findings, func(a, b Finding) int { return a.order - b.order })
	return c.findings
}

// match finds the contract of each Secret of the input.
func (c *checker) match(secrets []*filled) {
	var nameless []*filled
	for _, f := range secrets {
		switch {
		case f.name == "" && f.encrypted == "SOPS":
			nameless = append(nameless, f)
		case f.name == "":
			c.find(f.place, "is a Secret without a name: add metadata.name")
			c.unclear = true
		default:
			c.matchByName(f)
		}
		if f.contract != nil {
			c.secrets = append(c.secrets, f)
		}
	}
	// SOPS may have encrypted the names as well. The key names then tell
	// which Secret it is, or one with the same keys.
	for _, f := range nameless {
		most := 0
		for i := range c.set.Secrets {
			contract := &c.set.Secrets[i]
			n := inCommon(f, contract)
			better := n > most || n > 0 && n == most && c.only != "" && c.only.has(*contract)
			if better && c.found(contract) == nil {
				f.contract, most = contract, n
			}
		}
		if f.contract == nil {
			c.find(f.place, "is encrypted as a whole, and its key names are those of no contract")
			c.unclear = true
			continue
		}
		c.secrets = append(c.secrets, f)
	}
}

func (c *checker) matchByName(f *filled) {
	var sameName *secret.Contract
	for i := range c.set.Secrets {
		contract := &c.set.Secrets[i]
		if contract.Name != f.name {
			continue
		}
		if contract.Namespace == f.namespace {
			f.contract = contract
			return
		}
		sameName = contract
	}
	switch {
	case f.cluster: // somebody else's
	case sameName == nil:
		c.find(f.place, "is a Secret that no contract names: remove it, or correct its name")
	case f.namespace == "":
		f.contract = sameName
		c.find(placeOf(*sameName), "has no namespace, so it goes wherever kubectl happens to point: add metadata.namespace "+sameName.Namespace)
	default:
		f.contract = sameName
		c.find(placeOf(*sameName), "stands in another namespace ("+f.place+"): a pod reads only the Secrets of its own; it must be "+sameName.Namespace)
	}
}

// found is the Secret of the input for a contract.
func (c *checker) found(contract *secret.Contract) *filled {
	i := slices.IndexFunc(c.secrets, func(f *filled) bool { return f.contract == contract })
	if i < 0 {
		return nil
	}
	return c.secrets[i]
}

func inCommon(f *filled, contract *secret.Contract) int {
	n := 0
	for _, k := range contract.Keys {
		if f.entry(k.Name) != nil {
			n++
		}
	}
	return n
}

// shape checks all but the values: types, unknown keys, and whatever cannot
// be read.
func (c *checker) shape() {
	seen := make(map[*secret.Contract]*filled)
	for _, f := range c.secrets {
		at := placeOf(*f.contract)
		if first := seen[f.contract]; first != nil {
			c.find(at, "stands twice, in "+first.place+" and in "+f.place+": remove one")
		}
		seen[f.contract] = f
		for _, p := range f.problems {
			c.find(at, p)
		}
		want, is := f.contract.Type, corev1.SecretType(f.kind)
		if want == "" {
			want = corev1.SecretTypeOpaque
		}
		if is == "" {
			is = corev1.SecretTypeOpaque
		}
		hidden := f.encrypted == "SOPS" && f.kind == ""
		if is != want && !hidden {
			c.wrongType(f, want)
		}
		for _, e := range f.entries {
			ref := refTo(*f.contract, e.name)
			if _, ok := c.keys[ref]; !ok {
				c.unknown(f, e)
				continue
			}
			for _, p := range e.problems {
				c.find(place(ref), p)
			}
		}
	}
}

// wrongType reports the type of a Secret, which cannot be changed: the Secret
// must be made anew, and its values must not be lost over that.
func (c *checker) wrongType(f *filled, want corev1.SecretType) {
	at, problem := placeOf(*f.contract), "has another type than "+string(want)+": the type of a Secret cannot be changed, so "
	switch {
	case c.carries:
		c.note(at, problem+"delete it before you apply the file, which has its values")
	case f.cluster:
		c.find(at, problem+"save its values with generate -live -into FILE, delete it, and apply the file")
	default:
		c.find(at, problem+"delete it first where it is applied already")
	}
}

// unknown reports a key that the contract lacks. In a file its name is not
// printed unless some contract has it: it may be a value that slipped to the
// left. What stands under data was not typed in: it is kept.
func (c *checker) unknown(f *filled, e entry) {
	at := placeOf(*f.contract)
	for _, p := range e.problems {
		c.find(at, fmt.Sprintf("the value of the key on line %d %s", e.line, p))
	}
	switch {
	case c.carries:
		c.note(at, "has the key "+e.name+", which the contract lacks: it is kept, under data")
	case c.names[e.name]:
		c.find(at, "has the key "+e.name+", which belongs to another Secret: remove it")
	case f.cluster:
		c.find(at, fmt.Sprintf("has a key that the contract lacks: remove it, or add it there (kubectl describe secret -n %s %s lists the keys)", f.contract.Namespace, f.contract.Name))
	case e.inBase64 && f.encrypted == "":
		c.note(at, fmt.Sprintf("has a key that the contract lacks, on line %d under data: it stays; if nothing reads it, remove it", e.line))
	default:
		c.find(at, fmt.Sprintf("has a key that the contract lacks, on line %d: remove it, or correct its name", e.line))
	}
}

// missing reports Secrets and keys that are not there. Where the input is
// unclear, it reports no Secret: the cause would drown.
func (c *checker) missing() {
	for i := range c.set.Secrets {
		contract := &c.set.Secrets[i]
		f := c.found(contract)
		if f == nil {
			if !c.unclear {
				c.find(placeOf(*contract), "is missing: generate -into adds it to a file, generate -live -into to what the cluster has")
			}
			continue
		}
		for _, k := range contract.Keys {
			at := place(refTo(*contract, k.Name))
			switch {
			case f.entry(k.Name) != nil:
			case k.Value != "":
				c.note(at, "is missing; what needs it in the rendered objects has it inline: "+k.Value)
			default:
				c.find(at, "is missing; how to get it: "+k.How())
			}
		}
	}
}

// contents checks the values, each alone and then against each other.
func (c *checker) contents() {
	values := make(map[secret.Ref]string)
	for _, f := range c.secrets {
		if f.annotated {
			c.note(placeOf(*f.contract), fmt.Sprintf("has the annotation in which client-side apply keeps earlier values: kubectl annotate secret -n %s %s %s-, and apply with --server-side",
				f.contract.Namespace, f.contract.Name, corev1.LastAppliedConfigAnnotation))
		}
		if f.encrypted != "" {
			c.note(placeOf(*f.contract), "is encrypted by "+f.encrypted+": only its key names are checked, not its values")
		}
		for _, e := range f.entries {
			k, ok := c.keys[refTo(*f.contract, e.name)]
			if !ok || !e.readable {
				continue
			}
			ref := refTo(*f.contract, e.name)
			if f.encrypted != "" && k.Value == "" && strings.TrimSpace(e.value) != "" {
				c.find(place(ref), "stands in the clear in a Secret that SOPS encrypted: take a new value, and encrypt that")
			}
			if c.value(ref, k, e.value) {
				values[ref] = strings.TrimSpace(e.value)
			}
		}
	}
	c.equal(values)
	c.made(values)
	c.distinct(values)
}

// value checks one value. It is false for a placeholder.
func (c *checker) value(ref secret.Ref, k secret.Key, value string) bool {
	at := place(ref)
	trimmed := strings.TrimSpace(value)
	if placeholder.Is(value) && (trimmed == "" || trimmed != k.Value) {
		switch {
		case k.Placeholder != "":
			c.note(at, "is a placeholder: "+k.Placeholder)
		case k.Value != "":
			c.find(at, "is a placeholder: it must be "+k.Value)
		default:
			c.find(at, "is a placeholder; how to get it: "+k.How())
		}
		return false
	}
	// Files end in a newline, and a credential file is JSON, which bears it.
	if _, isFile := k.Format.(secret.DockerConfig); trimmed != value && !isFile {
		c.find(at, "has white space before or after the value, as echo adds it: use printf %s, or echo -n")
	}
	if k.Value != "" {
		if trimmed != k.Value {
			c.find(at, "must be "+k.Value)
		}
		return true
	}
	if err := k.Check(trimmed); err != nil {
		c.find(at, strings.ReplaceAll(err.Error(), "\n", "; "))
	}
	if c.set.isForeign(trimmed) {
		c.find(at, "names a domain of another environment ("+strings.Join(c.set.ForeignDomains, " or ")+"): take the value of this one")
	}
	return true
}

// equal checks the keys that repeat another. Where the first of them has no
// value, the next one that has takes its place.
func (c *checker) equal(values map[secret.Ref]string) {
	for _, g := range c.set.groups() {
		g = slices.DeleteFunc(g, func(ref secret.Ref) bool { return values[ref] == "" })
		for i := 1; i < len(g); i++ {
			if values[g[i]] != values[g[0]] {
				c.compare(g[i], "must be the same value as", g[0], ", and is another")
			}
		}
	}
}

// made checks the values that hold another one.
func (c *checker) made(values map[secret.Ref]string) {
	for _, ref := range c.set.refs() {
		if m := c.keys[ref].Made; m != nil && values[ref] != "" && values[m.Of] != "" && values[ref] != m.Value(values[m.Of]) {
			c.compare(ref, "must hold the value of", m.Of, ", and holds another")
		}
	}
}

// distinct checks that no two random values are one.
func (c *checker) distinct(values map[secret.Ref]string) {
	holder := make(map[string]secret.Ref)
	for _, ref := range c.set.refs() {
		k, value := c.keys[ref], values[ref]
		if _, random := k.Format.(secret.Generator); !random || value == "" || k.Value != "" {
			continue
		}
		other, taken := holder[value]
		if !taken {
			holder[value] = ref
			continue
		}
		a, _ := origin(c.keys, ref)
		b, _ := origin(c.keys, other)
		if a != b {
			c.compare(ref, "is the same value as", other, ": each needs its own")
		}
	}
}

// compare reports what a key has to do with another.
func (c *checker) compare(ref secret.Ref, problem string, other secret.Ref, end string) {
	c.findings = append(c.findings, Finding{Place: place(ref), Problem: problem + " " + place(other) + end, other: place(other)})
}
