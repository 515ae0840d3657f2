package main

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"

	authenticationv1 "k8s.io/api/authentication/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	eventingv1 "knative.dev/eventing/pkg/apis/eventing/v1"
	sourcesv1 "knative.dev/eventing/pkg/apis/sources/v1"
	"knative.dev/pkg/apis"
	"knative.dev/pkg/webhook/resourcesemantics"
	servingv1 "knative.dev/serving/pkg/apis/serving/v1"
)

// typed is an empty object of Knative's own type, or nil for what is not Knative's.
func typed(object *unstructured.Unstructured) resourcesemantics.GenericCRD {
	switch object.GetAPIVersion() + " " + object.GetKind() {
	case "serving.knative.dev/v1 Service":
		return &servingv1.Service{}
	case "eventing.knative.dev/v1 Broker":
		return &eventingv1.Broker{}
	case "eventing.knative.dev/v1 Trigger":
		return &eventingv1.Trigger{}
	case "sources.knative.dev/v1 SinkBinding":
		return &sourcesv1.SinkBinding{}
	case "sources.knative.dev/v1 PingSource":
		return &sourcesv1.PingSource{}
	}
	return nil
}

// decode reads an object into one of Knative's types, which has to know every field.
func decode(object *unstructured.Unstructured, into any) error {
	text, err := json.Marshal(object)
	if err != nil {
		return err
	}
	reader := json.NewDecoder(bytes.NewReader(text))
	reader.DisallowUnknownFields()
	return reader.Decode(into)
}

// admit does what the webhooks do with an object that is made, and with the same one applied again. It returns the object with
// defaults, and what they warn of.
func (stock *Stock) admit(ctx context.Context, object *unstructured.Unstructured) (resourcesemantics.GenericCRD, []*apis.FieldError, error) {
	made := typed(object)
	if made == nil {
		return nil, nil, fmt.Errorf("%s is not known here", object.GetAPIVersion())
	}
	if err := decode(object, made); err != nil {
		return nil, nil, err
	}
	ctx = apis.WithUserInfo(stock.eventing(stock.serving.ToContext(ctx)), &authenticationv1.UserInfo{Username: "owner"})
	made.SetDefaults(apis.WithinCreate(ctx))
	refused := made.Validate(apis.WithinCreate(ctx))
	again := made.DeepCopyObject().(resourcesemantics.GenericCRD)
	update := apis.WithinUpdate(ctx, made)
	again.SetDefaults(update)
	refused = refused.Also(again.Validate(update))
	if err := refused.Filter(apis.ErrorLevel); err != nil {
		return nil, nil, err
	}
	var warnings []*apis.FieldError
	if warned := refused.Filter(apis.WarningLevel); warned != nil {
		warnings = warned.WrappedErrors()
	}
	return made, warnings, nil
}
