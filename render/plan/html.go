package plan

import (
	"cmp"
	_ "embed"
	"fmt"
	"html/template"
	"slices"
	"strings"

	"git.lastcloud.io/ronnibaslund/dezky/fleet/render/diff"
	"git.lastcloud.io/ronnibaslund/dezky/fleet/render/object"
	"git.lastcloud.io/ronnibaslund/dezky/fleet/render/plan/consequence"
)

//go:embed report.html.tmpl
var page string

// Picture shows one Tree, with what changes marked.
type Picture struct {
	// In is the folder of the Tree, where there are several.
	In string
	// Tier that is shown.
	Tier consequence.Tier
}

// HTML returns the whole report as one page that needs nothing else: no
// script, no font, no file beside it. It follows the reader's choice of light
// or dark, and can be printed.
func (r Report) HTML() (string, error) {
	t, err := template.New("report").Parse(page)
	if err != nil {
		return "", err
	}
	var b strings.Builder
	err = t.Execute(&b, r.page())
	return b.String(), err
}

// What the template reads.
type (
	htmlPage struct {
		From, To, Summary string
		Empty             bool
		Consequences      []htmlConsequence
		Pictures          []htmlPicture
		Orders            []Order
		Files             []htmlFile
	}
	htmlConsequence struct {
		consequence.Consequence
		Word, Allowed string
	}
	htmlFile struct {
		Path, What string
		Open       bool
		Lines      []htmlLine
	}
	htmlLine struct{ Class, Text string }
)

func (r Report) page() htmlPage {
	p := htmlPage{From: r.From, To: r.To, Summary: r.Summary(), Empty: r.Empty(), Orders: r.steps()}
	worst := make(map[object.ID]consequence.Severity)
	for _, c := range r.Consequences {
		p.Consequences = append(p.Consequences, htmlConsequence{c, c.Severity.String(), ""})
		if s, ok := worst[c.Object]; !ok || c.Severity < s {
			worst[c.Object] = c.Severity
		}
	}
	for _, a := range r.Allowed {
		p.Consequences = append(p.Consequences, htmlConsequence{a.Consequence, "allowed", a.Reason})
	}
	for _, picture := range r.Pictures {
		if drawn := draw(picture, worst); len(drawn.Nodes) > 0 {
			p.Pictures = append(p.Pictures, drawn)
		}
	}
	for _, f := range r.Files {
		what := string(f.Op)
		if f.Op == diff.Changed && len(f.Objects) > 0 {
			what = fmt.Sprintf("%d objects", len(f.Objects))
			if len(f.Objects) == 1 {
				what = f.Objects[0].ID.String()
			}
		}
		file := htmlFile{Path: f.Path, What: what}
		text := signsFirst(diff.Text([]diff.File{f}))
		_, text, _ = strings.Cut(text, "\n") // the path stands above
		for line := range strings.Lines(text) {
			class := ""
			switch {
			case strings.HasPrefix(line, "+"):
				class = "is"
			case strings.HasPrefix(line, "-"):
				class = "was"
			}
			file.Lines = append(file.Lines, htmlLine{class, strings.TrimSuffix(line, "\n")})
		}
		file.Open = len(r.Files) == 1
		p.Files = append(p.Files, file)
	}
	return p
}

// Sizes of the picture, in the units of its viewBox.
const (
	nodeWidth, nodeHeight = 230, 50
	columnGap, rowGap     = 90, 18
	margin                = 16
	// most nodes of a picture; of a larger tier only what changes is drawn.
	most = 120
)

type (
	htmlPicture struct {
		In            string
		Width, Height int
		Nodes         []htmlNode
		Edges         []htmlEdge
		Columns       []htmlColumn
		Left          int // nodes that do not change and are not drawn
	}
	htmlNode struct {
		consequence.Node
		X, Y   int
		Class  string
		Title  string
		Short  string
		Short2 string
	}
	htmlEdge struct {
		Path, Class, Title string
		DoorX, DoorY       int
	}
	htmlColumn struct {
		X    int
		Name string
	}
)

// columns of the picture, and what stands in each.
var columns = []struct {
	name  string
	kinds []consequence.NodeKind
}{
	{"Hosts", []consequence.NodeKind{consequence.Host}},
	{"Routers", []consequence.NodeKind{consequence.Router}},
	{"Apps", []consequence.NodeKind{consequence.App}},
	{"Sign-in, stores, elsewhere", []consequence.NodeKind{consequence.SignIn, consequence.Store, consequence.Outside}},
}

// draw lays a tier out: a column for each kind, in the direction of requests,
// and each node as near as there is room to those that lead to it.
func draw(picture Picture, worst map[object.ID]consequence.Severity) htmlPicture {
	t := picture.Tier
	p := htmlPicture{In: picture.In}
	shown := make([]bool, len(t.Nodes))
	for i := range t.Nodes {
		shown[i] = len(t.Nodes) <= most || t.Nodes[i].Mark != ""
	}
	for _, e := range t.Edges { // and who is beside what changes
		if len(t.Nodes) > most && (t.Nodes[e.From].Mark != "" || t.Nodes[e.To].Mark != "") {
			shown[e.From], shown[e.To] = true, true
		}
	}
	y := make([]int, len(t.Nodes))
	x := make([]int, len(t.Nodes))
	for column, c := range columns {
		left := margin + column*(nodeWidth+columnGap)
		p.Columns = append(p.Columns, htmlColumn{left, c.name})
		var in []int
		for i, n := range t.Nodes {
			if slices.Contains(c.kinds, n.Kind) {
				if shown[i] {
					in = append(in, i)
				} else {
					p.Left++
				}
			}
		}
		near := func(i int) int { // the middle of what leads here
			sum, n := 0, 0
			for _, e := range t.Edges {
				if e.To == i && shown[e.From] && t.Nodes[e.From].Kind < t.Nodes[i].Kind {
					sum, n = sum+y[e.From], n+1
				}
			}
			if n == 0 {
				return 1 << 20
			}
			return sum / n
		}
		wish := make(map[int]int)
		for _, i := range in {
			wish[i] = near(i)
		}
		if column > 0 && column < len(columns)-1 {
			slices.SortStableFunc(in, func(a, b int) int { return cmp.Compare(wish[a], wish[b]) })
		}
		next := margin + 28
		for _, i := range in {
			x[i], y[i] = left, next
			next += nodeHeight + rowGap
		}
		p.Height = max(p.Height, next-rowGap+margin)
	}
	p.Width = 2*margin + len(columns)*nodeWidth + (len(columns)-1)*columnGap
	for i, n := range t.Nodes {
		if !shown[i] {
			continue
		}
		class := []string{"node", kindClass[n.Kind]}
		title := n.Name
		if n.Note != "" {
			title += ": " + n.Note
		}
		if n.Mark != "" {
			class = append(class, string(n.Mark))
			title += " (" + string(n.Mark) + ")"
		}
		bad, has := consequence.Restarts, false
		for _, id := range n.Objects {
			if s, ok := worst[id]; ok && (!has || s < bad) {
				bad, has = s, true
			}
		}
		var notes []string
		if n.Mark != "" {
			notes = append(notes, string(n.Mark))
		}
		if has {
			class = append(class, "bad-"+bad.String())
			title += ": " + bad.String()
			notes = append(notes, bad.String())
		}
		if n.Note != "" {
			notes = append(notes, n.Note)
		}
		note := strings.Join(notes, " · ")
		if n.Shut {
			title += "; a NetworkPolicy lets in only who it names"
		}
		p.Nodes = append(p.Nodes, htmlNode{n, x[i], y[i], strings.Join(class, " "), title, shorten(n.Name, 27), shorten(note, 34)})
	}
	for _, e := range t.Edges {
		if !shown[e.From] || !shown[e.To] {
			continue
		}
		from, to := t.Nodes[e.From], t.Nodes[e.To]
		class := "edge"
		title := from.Name + " → " + to.Name
		if e.Note != "" {
			title += ", " + e.Note
		}
		if e.Mark != "" {
			class += " " + string(e.Mark)
			title += " (" + string(e.Mark) + ")"
		}
		if e.Cut {
			class += " cut"
			title += ": a NetworkPolicy does not let it through"
		}
		x1, y1 := x[e.From]+nodeWidth, y[e.From]+nodeHeight/2
		x2, y2 := x[e.To], y[e.To]+nodeHeight/2
		bend := (x2 - x1) / 2
		path := fmt.Sprintf("M%d %dC%d %d %d %d %d %d", x1, y1, x1+bend, y1, x2-bend, y2, x2, y2)
		door := htmlEdge{DoorX: (x1 + x2) / 2, DoorY: (y1 + y2) / 2}
		if x2 < x1 { // in one column: round the right side
			x2 = x[e.To] + nodeWidth
			y1, y2 = y1-8, y2+8
			out := 26 + min(44, abs(y2-y1)/8)
			path = fmt.Sprintf("M%d %dC%d %d %d %d %d %d", x1, y1, x1+out, y1, x2+out, y2, x2, y2)
			door = htmlEdge{DoorX: x1 + out*3/4, DoorY: (y1 + y2) / 2}
		}
		door.Path, door.Class, door.Title = path, class, title
		if !e.Cut {
			door.DoorX, door.DoorY = 0, 0
		}
		p.Edges = append(p.Edges, door)
	}
	return p
}

var kindClass = map[consequence.NodeKind]string{
	consequence.Host: "host", consequence.Router: "router", consequence.App: "app",
	consequence.SignIn: "sign-in", consequence.Store: "store", consequence.Outside: "outside",
}

func abs(n int) int { return max(n, -n) }

// shorten cuts a text that is too long for its box; the whole one is its title.
func shorten(s string, most int) string {
	r := []rune(s)
	if len(r) <= most {
		return s
	}
	return string(r[:most-1]) + "…"
}
