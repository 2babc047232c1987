// Package manifest reads Kubernetes manifests: streams of YAML documents, as
// kubectl takes them, into objects.
package manifest

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io"
	"strings"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/util/yaml"
)

// Document is an object of a stream.
type Document struct {
	// Object as it was read. Every kind is unstructured, known or not.
	Object *unstructured.Unstructured
	// Line on which the object's document begins, from 1. The items of a List
	// have the line of the List.
	Line int
}

// Error is a document that could not be read.
type Error struct {
	// Line on which the document begins, from 1.
	Line int
	// Err says what is wrong with it.
	Err error
}

func (e *Error) Error() string { return fmt.Sprintf("line %d: %v", e.Line, e.Err) }

// Unwrap returns what is wrong with the document.
func (e *Error) Unwrap() error { return e.Err }

// ErrNotObject is the error of a document that is YAML and no Kubernetes
// object: it has neither apiVersion nor kind.
var ErrNotObject = errors.New("is no Kubernetes object: it has no apiVersion and no kind")

// Read returns the objects of a stream, in its order. Documents are told apart
// and decoded as kubectl does it, by the reader of apimachinery and
// sigs.k8s.io/yaml; empty ones are passed over, and a List is taken apart into
// its items.
//
// The error joins an [*Error] for each document that could not be read; the
// objects of the others are returned beside it.
func Read(r io.Reader) ([]Document, error) {
	lines := &lineReader{r: bufio.NewReader(r)}
	documents := yaml.NewYAMLReader(bufio.NewReader(lines))
	var all []Document
	var errs []error
	for {
		lines.first = 0
		text, err := documents.Read()
		if err == io.EOF {
			return all, errors.Join(errs...)
		}
		if err != nil { // the rest of the stream is lost
			return all, errors.Join(append(errs, &Error{Line: max(lines.first, 1), Err: err})...)
		}
		objects, err := decode(text)
		if err != nil {
			errs = append(errs, &Error{Line: max(lines.first, 1), Err: err})
			continue
		}
		for _, o := range objects {
			all = append(all, Document{Object: o, Line: lines.first})
		}
	}
}

// decode returns the objects of one document, none for an empty one.
func decode(text []byte) ([]*unstructured.Unstructured, error) {
	var content any
	if err := yaml.UnmarshalStrict(text, &content); err != nil {
		return nil, errors.New(strings.TrimPrefix(err.Error(), "error converting YAML to JSON: "))
	}
	fields, ok := content.(map[string]any)
	switch {
	case content == nil:
		return nil, nil
	case !ok:
		return nil, ErrNotObject
	}
	return expand(nil, &unstructured.Unstructured{Object: fields})
}

// expand appends the object, or the items where it is a List.
func expand(all []*unstructured.Unstructured, o *unstructured.Unstructured) ([]*unstructured.Unstructured, error) {
	apiVersion, kind := o.GetAPIVersion(), o.GetKind()
	switch {
	case apiVersion == "" && kind == "":
		return nil, ErrNotObject
	case apiVersion == "":
		return nil, fmt.Errorf("a %s without apiVersion", kind)
	case kind == "":
		return nil, fmt.Errorf("an object of %s without kind", apiVersion)
	}
	itemKind, named := strings.CutSuffix(kind, "List")
	list, has := o.Object["items"]
	if !named || !has {
		return append(all, o), nil
	}
	items, ok := list.([]any)
	if !ok && list != nil {
		return nil, fmt.Errorf("a %s whose items are no list", kind)
	}
	for i, item := range items {
		fields, ok := item.(map[string]any)
		if !ok {
			return nil, fmt.Errorf("items[%d] of a %s is no object", i, kind)
		}
		o := &unstructured.Unstructured{Object: fields}
		// The items of a typed list such as DeploymentList need not name
		// their kind again.
		if itemKind != "" && o.GetAPIVersion() == "" && o.GetKind() == "" {
			o.SetAPIVersion(apiVersion)
			o.SetKind(itemKind)
		}
		var err error
		if all, err = expand(all, o); err != nil {
			return nil, fmt.Errorf("items[%d] of a %s: %w", i, kind, err)
		}
	}
	return all, nil
}

// lineReader hands out one line at a time, so that a buffer above it never
// holds more than it was asked for, and counts the lines.
type lineReader struct {
	r    *bufio.Reader
	rest []byte // of the line at hand
	err  error  // that came with it
	done int    // lines that were begun
	open bool   // the line at hand is longer than the buffer and goes on
	// first is the number of the first line that is neither empty, a comment
	// nor a separator, since it was last set to zero.
	first int
}

func (l *lineReader) Read(p []byte) (int, error) {
	if len(l.rest) == 0 {
		if l.err != nil {
			return 0, l.err
		}
		l.rest, l.err = l.r.ReadSlice('\n')
		if l.err == bufio.ErrBufferFull {
			l.err = nil
		}
		if len(l.rest) == 0 {
			return 0, l.err
		}
		if !l.open {
			l.begin(bytes.TrimSpace(l.rest))
		}
		l.open = l.rest[len(l.rest)-1] != '\n'
	}
	n := copy(p, l.rest)
	l.rest = l.rest[n:]
	return n, nil
}

func (l *lineReader) begin(line []byte) {
	l.done++
	if l.first == 0 && len(line) > 0 && line[0] != '#' && !bytes.HasPrefix(line, []byte("---")) {
		l.first = l.done
	}
}
