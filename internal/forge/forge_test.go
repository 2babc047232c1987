package forge

import (
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"
)

const marker = "<!-- m -->"

// serve is a forge with comments, by pages of two as GitHub has them, or in
// one page as Gitea has them. Comments of others cannot be edited.
func serve(t *testing.T, paged bool, bodies ...string) (PullRequest, *[]string) {
	var log []string
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		var c comment
		json.NewDecoder(r.Body).Decode(&c)
		switch {
		case r.Method == http.MethodGet:
			var page, per int
			fmt.Sscan(r.URL.Query().Get("page"), &page)
			if per = len(bodies); paged {
				per = 2
			}
			first := min(len(bodies), (page-1)*per)
			if !paged {
				first = 0
			}
			last := min(len(bodies), first+per)
			if last < len(bodies) {
				w.Header().Set("Link", `<x>; rel="next"`)
			}
			list := []comment{}
			for i, body := range bodies[first:last] {
				list = append(list, comment{ID: int64(first + i + 1), Body: body})
			}
			json.NewEncoder(w).Encode(list)
		case r.Method == http.MethodPatch && strings.Contains(bodies[r.URL.Path[len(r.URL.Path)-1]-'1'], "(others')"):
			w.WriteHeader(http.StatusForbidden)
		default:
			log = append(log, r.Method+" "+r.URL.Path+" "+c.Body)
		}
	}))
	t.Cleanup(server.Close)
	return PullRequest{API: server.URL, Repository: "a/b", Number: "3", Token: "t"}, &log
}

func TestComment(t *testing.T) {
	post := "POST /repos/a/b/issues/3/comments " + marker + "\nbody"
	patch := func(id int) string {
		return fmt.Sprintf("PATCH /repos/a/b/issues/comments/%d %s\nbody", id, marker)
	}
	for _, tc := range []struct {
		name   string
		bodies []string
		body   string
		want   []string
	}{
		{"none there", nil, "body", []string{post}},
		{"others'", []string{"hello", "> " + marker + "\n> quoted"}, "body", []string{post}},
		{"another text", []string{"hello", marker + "\nold"}, "body", []string{patch(2)}},
		{"the same text", []string{marker + "\nbody"}, "body", nil},
		{"the same text as the server keeps it", []string{marker + "\r\nbody\r\n\r\n"}, "body", nil},
		{"on the third page", []string{"1", "2", "3", "4", marker + "\nold"}, "body", []string{patch(5)}},
		{"a copy of somebody else's first", []string{marker + " (others')", marker + "\nold"}, "body", []string{patch(2)}},
		{"somebody else's alone", []string{marker + " (others')"}, "body", []string{post}},
		{"nothing to say", []string{"hello"}, "", nil},
		{"nothing to say any more", []string{marker + "\nold"}, "", []string{"PATCH /repos/a/b/issues/comments/1 " + marker + "\nempty"}},
	} {
		t.Run(tc.name, func(t *testing.T) {
			for _, paged := range []bool{false, true} {
				p, log := serve(t, paged, tc.bodies...)
				if err := p.Comment(t.Context(), marker, tc.body, "empty"); err != nil {
					t.Fatal(err)
				}
				if !slices.Equal(*log, tc.want) {
					t.Errorf("by pages: %v\n got %q\nwant %q", paged, *log, tc.want)
				}
			}
		})
	}
}

// TestRefused: neither the token nor the comment stands in an error.
func TestRefused(t *testing.T) {
	status := http.StatusInternalServerError
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { w.WriteHeader(status); w.Write([]byte("{")) }))
	defer server.Close()
	good := PullRequest{API: server.URL, Repository: "a/b", Number: "3", Token: "sesame"}
	for _, tc := range []struct {
		status int
		change func(*PullRequest)
		want   string
	}{
		{500, func(*PullRequest) {}, "comment: GET /repos/a/b/issues/3/comments: 500 Internal Server Error"},
		{404, func(*PullRequest) {}, "404 Not Found: the token may not comment here"},
		{200, func(*PullRequest) {}, "the answer is not understood"},
		{200, func(p *PullRequest) { p.Number = "3/../4" }, `number "3/../4": is no pull request`},
		{200, func(p *PullRequest) { p.Repository = "a" }, `"a", number "3": is no pull request`},
		{200, func(p *PullRequest) { p.API = "example.com" }, `"example.com" is no address of an API`},
	} {
		status = tc.status
		p := good
		tc.change(&p)
		err := p.Comment(t.Context(), marker, "body", "")
		if err == nil || !strings.Contains(err.Error(), tc.want) || strings.Contains(err.Error(), "sesame") {
			t.Errorf("got %v, want %s", err, tc.want)
		}
	}
}
