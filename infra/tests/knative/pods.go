package main

import (
	"context"
	"errors"
	"fmt"
	"time"

	jsonpatch "github.com/evanphx/json-patch/v5"
	appsv1 "k8s.io/api/apps/v1"
	batchv1 "k8s.io/api/batch/v1"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime"
	corev1listers "k8s.io/client-go/listers/core/v1"
	"k8s.io/client-go/tools/cache"
	"k8s.io/pod-security-admission/api"
	"k8s.io/pod-security-admission/policy"
	sourcesv1 "knative.dev/eventing/pkg/apis/sources/v1"
	"knative.dev/pkg/apis"
	"knative.dev/pkg/apis/duck"
	duckv1 "knative.dev/pkg/apis/duck/v1"
	"knative.dev/pkg/resolver"
	servingv1 "knative.dev/serving/pkg/apis/serving/v1"
	configurations "knative.dev/serving/pkg/reconciler/configuration/resources"
	revisions "knative.dev/serving/pkg/reconciler/revision/resources"
	services "knative.dev/serving/pkg/reconciler/service/resources"
)

// podOf is the pod that an object makes, as the cluster will have it, or nil.
func (stock *Stock) podOf(ctx context.Context, object *unstructured.Unstructured) (*corev1.PodTemplateSpec, error) {
	switch object.GetAPIVersion() + " " + object.GetKind() {
	case "serving.knative.dev/v1 Service":
		made, _, err := stock.admit(ctx, object)
		if err != nil {
			return nil, err
		}
		return stock.podOfService(ctx, made.(*servingv1.Service))
	case "apps/v1 StatefulSet":
		var made appsv1.StatefulSet
		err := decode(object, &made)
		return &made.Spec.Template, err
	case "apps/v1 Deployment":
		var made appsv1.Deployment
		err := decode(object, &made)
		return &made.Spec.Template, err
	case "batch/v1 CronJob":
		var made batchv1.CronJob
		err := decode(object, &made)
		return &made.Spec.JobTemplate.Spec.Template, err
	}
	return nil, nil
}

// podOfService is the pod of a function: Serving's controllers by turns, its proxy beside our container.
func (stock *Stock) podOfService(ctx context.Context, service *servingv1.Service) (*corev1.PodTemplateSpec, error) {
	ctx = stock.serving.ToContext(ctx)
	revision := configurations.MakeRevision(ctx, services.MakeConfiguration(service), time.Unix(0, 0))
	revision.SetDefaults(apis.WithinParent(ctx, service.ObjectMeta))
	if err := revision.Validate(ctx).Filter(apis.ErrorLevel); err != nil {
		return nil, err
	}
	deployment, err := revisions.MakeDeployment(revision, stock.serving.Load())
	if err != nil {
		return nil, err
	}
	return &deployment.Spec.Template, nil
}

// bind puts into an object what a SinkBinding puts there, as its webhook does: by a patch.
func bind(ctx context.Context, binding *sourcesv1.SinkBinding, object *unstructured.Unstructured, sink string) (*unstructured.Unstructured, error) {
	url, err := apis.ParseURL(sink)
	if err != nil {
		return nil, err
	}
	binding = binding.DeepCopy()
	binding.Spec.Sink = duckv1.Destination{URI: url}
	noBundles := cache.NewIndexer(cache.MetaNamespaceKeyFunc, cache.Indexers{cache.NamespaceIndex: cache.MetaNamespaceIndexFunc})
	ctx = sourcesv1.WithTrustBundleConfigMapLister(ctx, corev1listers.NewConfigMapLister(noBundles))
	ctx = sourcesv1.WithURIResolver(ctx, &resolver.URIResolver{})
	var before duckv1.WithPod
	if err := runtime.DefaultUnstructuredConverter.FromUnstructured(object.Object, &before); err != nil {
		return nil, err
	}
	after := before.DeepCopy()
	binding.Do(ctx, after)
	change, err := duck.CreateBytePatch(before, after)
	if err != nil {
		return nil, err
	}
	patch, err := jsonpatch.DecodePatch(change)
	if err != nil {
		return nil, err
	}
	if len(patch) == 0 {
		return nil, errors.New("nothing is put there")
	}
	text, err := object.MarshalJSON()
	if err != nil {
		return nil, err
	}
	if text, err = patch.Apply(text); err != nil {
		return nil, err
	}
	bound := &unstructured.Unstructured{}
	return bound, bound.UnmarshalJSON(text)
}

// forbidden is what Pod Security at a level has against a pod, for the oldest and the newest version of the standard that it has.
func forbidden(level api.Level, pod *corev1.PodTemplateSpec) error {
	checks, err := policy.NewEvaluator(policy.DefaultChecks(), nil)
	if err != nil {
		return err
	}
	for _, version := range []api.Version{api.MajorMinorVersion(1, 28), api.LatestVersion()} {
		found := policy.AggregateCheckResults(checks.EvaluatePod(api.LevelVersion{Level: level, Version: version}, &pod.ObjectMeta, &pod.Spec))
		if !found.Allowed {
			return fmt.Errorf("%s %s: %s", level, version.String(), found.ForbiddenDetail())
		}
	}
	return nil
}
