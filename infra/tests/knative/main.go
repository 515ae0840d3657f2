// What Knative itself says of manifests. Reads rendered YAML from standard input; prints a line for each object of Knative's and
// for each pod, as the cluster will make it (whole with --pods), and fails if one is refused.
package main

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/util/yaml"
	"k8s.io/pod-security-admission/api"
	sourcesv1 "knative.dev/eventing/pkg/apis/sources/v1"
	sigsyaml "sigs.k8s.io/yaml"
)

// Where Knative's own class of Broker takes events.
const sink = "http://broker-ingress.knative-eventing.svc.cluster.local/teiten/teiten"

func main() {
	refused, err := judge(context.Background(), os.Stdin, os.Stdout, len(os.Args) > 1 && os.Args[1] == "--pods")
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(2)
	}
	if refused {
		os.Exit(1)
	}
}

// judge tells of every object, with whole pods if asked to, and returns whether one was refused.
func judge(ctx context.Context, in io.Reader, out io.Writer, whole bool) (bool, error) {
	stock, err := newStock(ctx)
	if err != nil {
		return false, err
	}
	objects, err := read(in)
	if err != nil {
		return false, err
	}
	refused := false
	say := func(object *unstructured.Unstructured, what string, err error) {
		if err != nil {
			refused = true
			what = "REFUSED " + what + ": " + strings.ReplaceAll(err.Error(), "\n", "; ")
		}
		fmt.Fprintf(out, "%s/%s %s\n", object.GetKind(), object.GetName(), what)
	}
	level := api.LevelRestricted
	for _, object := range objects {
		if object.GetKind() == "Namespace" {
			level = api.Level(object.GetLabels()[api.EnforceLevelLabel])
		}
	}
	for _, object := range objects {
		if typed(object) == nil {
			continue
		}
		made, warnings, err := stock.admit(ctx, object)
		say(object, "admitted", err)
		for _, warning := range warnings {
			say(object, "warning", warning)
		}
		if binding, is := made.(*sourcesv1.SinkBinding); is {
			for i, subject := range objects {
				of := binding.Spec.Subject
				if subject.GetAPIVersion() == of.APIVersion && subject.GetKind() == of.Kind && subject.GetName() == of.Name {
					bound, err := bind(ctx, binding, subject, sink)
					say(subject, "bound", err)
					if err == nil {
						objects[i] = bound
					}
				}
			}
		}
	}
	for _, object := range objects {
		pod, err := stock.podOf(ctx, object)
		if err != nil {
			say(object, "pod", err)
		} else if pod != nil {
			say(object, "pod "+string(level), forbidden(level, pod))
			if whole {
				text, err := sigsyaml.Marshal(pod)
				if err != nil {
					return false, err
				}
				fmt.Fprintf(out, "---\n%s---\n", text)
			}
		}
	}
	return refused, nil
}

func read(in io.Reader) ([]*unstructured.Unstructured, error) {
	var found []*unstructured.Unstructured
	reader := yaml.NewYAMLReader(bufio.NewReader(in))
	for {
		text, err := reader.Read()
		if errors.Is(err, io.EOF) {
			return found, nil
		}
		if err != nil {
			return nil, err
		}
		object := &unstructured.Unstructured{}
		if err := yaml.Unmarshal(text, &object.Object); err != nil {
			return nil, err
		}
		if len(object.Object) > 0 {
			found = append(found, object)
		}
	}
}
