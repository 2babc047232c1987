package deploy

import (
	"fmt"

	"git.lastcloud.io/ronnibaslund/dezky/fleet/render/object"
)

// progress shows how far objects are: on a terminal a line each, which
// changes in place; elsewhere a line for each change.
type progress struct {
	d     *Deployer
	ids   []object.ID
	lines map[object.ID]string
	hints map[object.ID]string
	drawn int
}

func newProgress(d *Deployer, ids []object.ID) *progress {
	return &progress{d: d, ids: ids, lines: map[object.ID]string{}, hints: map[object.ID]string{}}
}

func (p *progress) set(id object.ID, state string) {
	if p.lines[id] == state {
		return
	}
	p.lines[id] = state
	if state == "ready" {
		delete(p.hints, id)
	}
	p.show(id)
}

// hint adds why an object is not ready yet.
func (p *progress) hint(id object.ID, reason string) {
	if p.hints[id] == reason || reason == noReason {
		return
	}
	p.hints[id] = reason
	p.show(id)
}

func (p *progress) show(id object.ID) {
	if !p.d.Terminal {
		p.d.printf("  %s\n", p.line(id))
		return
	}
	if p.drawn > 0 {
		p.d.printf("\x1b[%dA", p.drawn)
	}
	for _, id := range p.ids {
		p.d.printf("\r\x1b[K  %s\n", p.line(id))
	}
	p.drawn = len(p.ids)
}

func (p *progress) line(id object.ID) string {
	state := p.lines[id]
	if state == "" {
		state = "…"
	}
	text := fmt.Sprintf("%s: %s", id, state)
	if h := p.hints[id]; h != "" {
		text += ": " + h
	}
	if p.d.Terminal { // a line that wraps could not be drawn over
		return clip(text, 110)
	}
	return text
}

func (p *progress) end() { p.drawn = 0 }

func clip(s string, most int) string {
	r := []rune(s)
	if len(r) <= most {
		return s
	}
	return string(r[:most-1]) + "…"
}
