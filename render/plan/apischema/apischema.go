// Package apischema has the schema of the Kubernetes API for comparing objects:
// the one that client-go's apply configurations are generated with, at the
// release of client-go in go.mod. It brings client-go's types, so it is apart
// from render/diff.
package apischema

import (
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/client-go/applyconfigurations"
	"k8s.io/client-go/kubernetes/scheme"

	"git.lastcloud.io/ronnibaslund/dezky/fleet/render/diff"
)

// Types returns the types of Kubernetes' own kinds. Custom kinds have none.
func Types() diff.Schema {
	converter := applyconfigurations.NewTypeConverter(scheme.Scheme)
	return func(kind schema.GroupVersionKind) *diff.Type {
		empty := &unstructured.Unstructured{}
		empty.SetGroupVersionKind(kind)
		typed, err := converter.ObjectToTyped(empty)
		if err != nil {
			return nil
		}
		return &diff.Type{Schema: typed.Schema(), Ref: typed.TypeRef()}
	}
}
