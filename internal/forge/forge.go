// Package forge writes a comment into a pull request. The calls are the same
// in the APIs of Gitea and GitHub ("Issue comments"), and are so few that no
// client library is linked for them.
package forge

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"regexp"
	"strings"
)

// PullRequest is a pull request, and the token that comments on it.
type PullRequest struct {
	// API is the address of the API, such as https://git.example.com/api/v1.
	API string
	// Repository with its owner, such as team/app.
	Repository string
	// Number of the pull request, in digits.
	Number string
	// Token of somebody who may comment.
	Token string
}

// ErrForbidden says that the token may not comment, as that of a job of a
// fork's pull request.
var ErrForbidden = errors.New("the token may not comment here")

// Comment leaves one comment that begins with the marker, a comment of HTML
// that nobody sees: it edits the one that is there where its text differs, and
// adds one otherwise. With an empty body it adds none, but leaves empty in the
// place of one that is there.
func (p PullRequest) Comment(ctx context.Context, marker, body, empty string) error {
	if !repository.MatchString(p.Repository) || !digits.MatchString(p.Number) {
		return fmt.Errorf("comment: %q, number %q: is no pull request: give the repository as OWNER/NAME, and its number", p.Repository, p.Number)
	}
	comments, err := p.list(ctx)
	if err != nil {
		return err
	}
	text := marker + "\n" + body
	if body == "" {
		text = marker + "\n" + empty
	}
	for _, c := range comments {
		// At the beginning only: a quote has it in its middle.
		if !strings.HasPrefix(c.Body, marker) {
			continue
		}
		if plain(c.Body) == plain(text) {
			return nil
		}
		err := p.call(ctx, http.MethodPatch, fmt.Sprintf("/issues/comments/%d", c.ID), comment{Body: text}, nil)
		if !errors.Is(err, ErrForbidden) {
			return err
		} // somebody else's, with the same beginning
	}
	if body == "" {
		return nil
	}
	return p.call(ctx, http.MethodPost, "/issues/"+p.Number+"/comments", comment{Body: text}, nil)
}

var (
	repository = regexp.MustCompile(`^[a-zA-Z0-9._-]+/[a-zA-Z0-9._-]+$`)
	digits     = regexp.MustCompile(`^[1-9][0-9]*$`)
)

type comment struct {
	ID   int64  `json:"id,omitempty"`
	Body string `json:"body"`
}

// plain is a text as the server may have kept it.
func plain(s string) string {
	return strings.TrimSpace(strings.ReplaceAll(s, "\r\n", "\n"))
}

// list returns all comments. GitHub has them by pages, and says in Link
// whether there is another one; Gitea has one page of all.
func (p PullRequest) list(ctx context.Context) ([]comment, error) {
	var all []comment
	for page := 1; ; page++ {
		var some []comment
		header := make(http.Header)
		err := p.call(ctx, http.MethodGet, fmt.Sprintf("/issues/%s/comments?per_page=100&page=%d", p.Number, page), nil, func(r *http.Response) error {
			header = r.Header
			return json.NewDecoder(r.Body).Decode(&some)
		})
		if err != nil {
			return nil, err
		}
		all = append(all, some...)
		if len(some) == 0 || !strings.Contains(header.Get("Link"), `rel="next"`) {
			return all, nil
		}
	}
}

// call sends a request, and reads its answer with read where it is not nil.
func (p PullRequest) call(ctx context.Context, method, path string, body any, read func(*http.Response) error) error {
	base, err := url.Parse(strings.TrimSuffix(p.API, "/"))
	if err != nil || base.Host == "" {
		return fmt.Errorf("comment: %q is no address of an API", p.API)
	}
	var payload io.Reader
	if body != nil {
		text, err := json.Marshal(body)
		if err != nil {
			return err
		}
		payload = bytes.NewReader(text)
	}
	request, err := http.NewRequestWithContext(ctx, method, base.String()+"/repos/"+p.Repository+path, payload)
	if err != nil {
		return err
	}
	request.Header.Set("Accept", "application/json")
	request.Header.Set("Content-Type", "application/json")
	request.Header.Set("Authorization", "token "+p.Token)
	response, err := http.DefaultClient.Do(request)
	if err != nil {
		return fmt.Errorf("comment: %w", err)
	}
	defer response.Body.Close()
	switch {
	case response.StatusCode == http.StatusUnauthorized || response.StatusCode == http.StatusForbidden || response.StatusCode == http.StatusNotFound:
		return fmt.Errorf("comment: %s %s: %s: %w", method, request.URL.Path, response.Status, ErrForbidden)
	case response.StatusCode >= 300:
		return fmt.Errorf("comment: %s %s: %s", method, request.URL.Path, response.Status)
	case read == nil:
		return nil
	}
	if err := read(response); err != nil {
		return fmt.Errorf("comment: %s %s: the answer is not understood: %w", method, request.URL.Path, err)
	}
	return nil
}
