// What Knative's own Broker makes of answers: the code of its data plane over HTTP, without a cluster.
package main

import (
	"context"
	"encoding/base64"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"go.opentelemetry.io/otel"
	"go.uber.org/zap"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	corev1listers "k8s.io/client-go/listers/core/v1"
	"k8s.io/client-go/tools/cache"
	duck "knative.dev/eventing/pkg/apis/duck/v1"
	"knative.dev/eventing/pkg/apis/eventing"
	eventingv1 "knative.dev/eventing/pkg/apis/eventing/v1"
	"knative.dev/eventing/pkg/broker"
	"knative.dev/eventing/pkg/broker/filter"
	"knative.dev/eventing/pkg/broker/ingress"
	"knative.dev/eventing/pkg/channel"
	"knative.dev/eventing/pkg/channel/fanout"
	"knative.dev/eventing/pkg/client/clientset/versioned/fake"
	"knative.dev/eventing/pkg/client/informers/externalversions"
	"knative.dev/eventing/pkg/eventingtls"
	"knative.dev/eventing/pkg/kncloudevents"
	triggerpath "knative.dev/eventing/pkg/reconciler/sugar/trigger/path"
	"knative.dev/pkg/apis"
	duckv1 "knative.dev/pkg/apis/duck/v1"
)

const (
	ingressHost = "broker-ingress.knative-eventing.svc.cluster.local"
	filterHost  = "broker-filter.knative-eventing.svc.cluster.local"
	channelHost = "teiten-kne-trigger-kn-channel.teiten.svc.cluster.local"
	function    = "function.teiten.svc.cluster.local"
	keeper      = "dead-letters.teiten.svc.cluster.local"
	// How often an answer is asked for again.
	retry = 2
)

// cluster has names, each served by what it stands for in a real one.
type cluster struct {
	mutex sync.Mutex
	hosts map[string]http.Handler
}

func (c *cluster) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	c.mutex.Lock()
	handler := c.hosts[strings.TrimSuffix(r.Host, ":80")]
	c.mutex.Unlock()
	if handler == nil {
		http.Error(w, "no such host", http.StatusBadGateway)
		return
	}
	handler.ServeHTTP(w, r)
}

func must[T any](value T, err error) T {
	if err != nil {
		panic(err)
	}
	return value
}

func url(host, path string) *apis.URL { return &apis.URL{Scheme: "http", Host: host, Path: path} }

// newCluster is Knative's Broker with its own ingress, in-memory channel and filter. There is a Trigger for events of type `asked` and one
// for `replied`, both with the same function. What controllers would write (addresses, the channel's subscriptions) is written here.
func newCluster(t *testing.T) *cluster {
	t.Setenv("SYSTEM_NAMESPACE", "knative-eventing")
	c := &cluster{hosts: map[string]http.Handler{}}
	server := httptest.NewServer(c)
	t.Cleanup(server.Close)
	// Knative's clients are copies of this one.
	http.DefaultTransport.(*http.Transport).DialContext = func(ctx context.Context, network, _ string) (net.Conn, error) {
		return (&net.Dialer{}).DialContext(ctx, network, server.Listener.Addr().String())
	}
	http.DefaultTransport.(*http.Transport).Proxy = nil

	logger := zap.NewNop()
	meter, tracer := otel.GetMeterProvider(), otel.GetTracerProvider()
	informers := externalversions.NewSharedInformerFactory(fake.NewSimpleClientset(), 0)
	brokers, triggers := informers.Eventing().V1().Brokers(), informers.Eventing().V1().Triggers()
	bundles := corev1listers.NewConfigMapLister(cache.NewIndexer(cache.MetaNamespaceKeyFunc, cache.Indexers{cache.NamespaceIndex: cache.MetaNamespaceIndexFunc})).ConfigMaps("knative-eventing")
	asIs := func(ctx context.Context) context.Context { return ctx }

	exponential, delay, most := duck.BackoffPolicyExponential, "PT0.01S", int32(retry)
	delivery := duck.DeliverySpec{Retry: &most, BackoffPolicy: &exponential, BackoffDelay: &delay}
	retries := must(kncloudevents.RetryConfigFromDeliverySpec(delivery))
	must(0, brokers.Informer().GetStore().Add(&eventingv1.Broker{
		ObjectMeta: metav1.ObjectMeta{Namespace: "teiten", Name: "teiten"},
		Status: eventingv1.BrokerStatus{
			AddressStatus: duckv1.AddressStatus{Address: &duckv1.Addressable{URL: url(ingressHost, "/teiten/teiten")}},
			Status:        duckv1.Status{Annotations: map[string]string{eventing.BrokerChannelAddressStatusAnnotationKey: "http://" + channelHost}},
		},
	}))
	var subscriptions []fanout.Subscription
	for _, kind := range []string{"asked", "replied"} {
		trigger := &eventingv1.Trigger{
			ObjectMeta: metav1.ObjectMeta{Namespace: "teiten", Name: kind, UID: types.UID(kind)},
			Spec:       eventingv1.TriggerSpec{Broker: "teiten", Filter: &eventingv1.TriggerFilter{Attributes: map[string]string{"type": kind}}},
			Status: eventingv1.TriggerStatus{
				SubscriberURI:  url(function, ""),
				DeliveryStatus: duck.DeliveryStatus{DeadLetterSinkURI: url(keeper, "")},
			},
		}
		must(0, triggers.Informer().GetStore().Add(trigger))
		subscriptions = append(subscriptions, fanout.Subscription{
			Subscriber:  duckv1.Addressable{URL: url(filterHost, triggerpath.Generate(trigger))},
			Reply:       &duckv1.Addressable{URL: url(filterHost, triggerpath.GenerateReply(trigger))},
			DeadLetter:  &duckv1.Addressable{URL: url(filterHost, triggerpath.GenerateDLS(trigger))},
			RetryConfig: &retries, Namespace: "teiten", Name: kind,
		})
	}
	c.hosts[ingressHost] = must(ingress.NewHandler(logger, broker.TTLDefaulter(logger, 255), brokers, nil, nil, bundles, asIs, meter, tracer))
	c.hosts[filterHost] = must(filter.NewHandler(logger, nil, nil, triggers, brokers, informers.Messaging().V1().Subscriptions(), bundles, asIs, meter, tracer))
	c.hosts[channelHost] = must(fanout.NewFanoutEventHandler(logger, fanout.Config{Subscriptions: subscriptions, AsyncHandler: true}, nil, nil, nil,
		kncloudevents.NewDispatcher(eventingtls.ClientConfig{TrustBundleConfigMapLister: bundles}, nil), meter, tracer,
		channel.ResolveChannelFromHostHeader(func(string) (channel.ChannelReference, error) {
			return channel.ChannelReference{Namespace: "teiten", Name: "teiten-kne-trigger"}, nil
		})))
	return c
}

// An event as ours are.
var event = map[string]string{
	"ce-specversion": "1.0", "ce-id": "front-door/20261123T040502.000Z%20%C3%A9#started", "ce-source": "/teiten/bridge", "ce-type": "asked",
	"ce-subject": "front-door", "ce-time": "2026-11-23T04:05:01.5Z", "content-type": "application/json",
	"ce-traceparent": "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01",
}

const body = `{"key": "k",  "n":1}`

type arrival struct {
	header http.Header
	body   string
}

// isEvent tells of an arrival that is not the event that was sent.
func isEvent(t *testing.T, it arrival) {
	t.Helper()
	for name, value := range event {
		if it.header.Get(name) != value {
			t.Errorf("%s is %q", name, it.header.Get(name))
		}
	}
	if it.body != body {
		t.Errorf("the data is %q", it.body)
	}
}

// run gives the Broker an event that the function answers so. It returns what came to the function, what of that was a reply routed on,
// and what came to the keeper of dead letters, by the time that nothing came for a while.
func run(t *testing.T, answer http.HandlerFunc) (asked, replied, dead []arrival) {
	c := newCluster(t)
	came := make(chan func(), 100)
	take := func(into *[]arrival, answer http.HandlerFunc) http.HandlerFunc {
		return func(w http.ResponseWriter, r *http.Request) {
			it := arrival{r.Header, string(must(io.ReadAll(r.Body)))}
			came <- func() { *into = append(*into, it) }
			answer(w, r)
		}
	}
	nothing := func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusNoContent) }
	first, next := take(&asked, answer), take(&replied, nothing)
	c.hosts[function] = http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Header.Get("ce-type") == "replied" {
			next(w, r)
		} else {
			first(w, r)
		}
	})
	c.hosts[keeper] = take(&dead, nothing)
	request := must(http.NewRequest(http.MethodPost, "http://"+ingressHost+"/teiten/teiten", strings.NewReader(body)))
	for name, value := range event {
		request.Header.Set(name, value)
	}
	response := must(http.DefaultClient.Do(request))
	response.Body.Close()
	if response.StatusCode != http.StatusAccepted {
		t.Fatalf("the ingress answered %s", response.Status)
	}
	for {
		select {
		case it := <-came:
			it()
		case <-time.After(500 * time.Millisecond):
			return
		}
	}
}

// As dev/router/src/delivery.rs has it.
func TestWhichAnswersAreAskedForAgain(t *testing.T) {
	again := []int{404, 408, 409, 429, 500, 502, 503, 504}
	never := []int{400, 401, 403, 410, 413, 415, 422}
	for _, status := range slices.Concat(again, never) {
		t.Run(fmt.Sprint(status), func(t *testing.T) {
			asked, _, dead := run(t, func(w http.ResponseWriter, _ *http.Request) { http.Error(w, "the reason", status) })
			wanted := 1
			if slices.Contains(again, status) {
				wanted += retry
			}
			if len(asked) != wanted || len(dead) != 1 {
				t.Fatalf("asked %d times, %d dead letters", len(asked), len(dead))
			}
			isEvent(t, asked[0])
			isEvent(t, dead[0])
			// What functions/dead-letters reads.
			told := dead[0].header
			reason := must(base64.StdEncoding.DecodeString(told.Get("ce-knativeerrordata")))
			if told.Get("ce-knativeerrordest") != "http://"+function || told.Get("ce-knativeerrorcode") != fmt.Sprint(status) || string(reason) != "the reason\n" {
				t.Errorf("%v", told)
			}
		})
	}
}

// As functions/host/src/handle.rs and dev/router/src/delivery.rs have it.
func TestWhatIsAReply(t *testing.T) {
	structured := func(text string) http.HandlerFunc {
		return func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("content-type", "application/cloudevents+json")
			io.WriteString(w, text)
		}
	}
	binary := func(w http.ResponseWriter, _ *http.Request) {
		for name, value := range event {
			w.Header().Set(name, value)
		}
		w.Header().Set("ce-type", "replied")
		io.WriteString(w, body)
	}
	for name, each := range map[string]struct {
		answer               http.HandlerFunc
		asked, replied, dead int
	}{
		"204":                           {func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(204) }, 1, 0, 0},
		"200 and nothing":               {func(http.ResponseWriter, *http.Request) {}, 1, 0, 0},
		"binary":                        {binary, 1, 1, 0},
		"structured":                    {structured(`{"specversion":"1.0","id":"2","source":"/test","type":"replied","data":{}}`), 1, 1, 0},
		"text":                          {func(w http.ResponseWriter, _ *http.Request) { io.WriteString(w, "done\n") }, 1 + retry, 0, 1},
		"an event without type and all": {structured(`{"specversion":"1.0"}`), 1, 0, 1},
	} {
		t.Run(name, func(t *testing.T) {
			asked, replied, dead := run(t, each.answer)
			if len(asked) != each.asked || len(replied) != each.replied || len(dead) != each.dead {
				t.Errorf("asked %d times, %d replies, %d dead letters", len(asked), len(replied), len(dead))
			}
		})
	}
}

// Why functions/host/src/answer.rs keeps to 768 bytes: one more, and the dispatcher dies, with all that waits in it. If this fails since
// it lives, Knative has mended it.
func TestAReasonThatIsTooLong(t *testing.T) {
	const variable = "TEITEN_REASON_BYTES"
	if bytes, err := strconv.Atoi(os.Getenv(variable)); err == nil {
		_, _, dead := run(t, func(w http.ResponseWriter, _ *http.Request) {
			w.WriteHeader(http.StatusUnprocessableEntity)
			io.WriteString(w, strings.Repeat("x", bytes))
		})
		if len(dead) != 1 {
			t.Errorf("%d dead letters", len(dead))
		}
		return
	}
	for bytes, lives := range map[int]bool{768: true, 769: false} {
		again := exec.Command(must(os.Executable()), "-test.run=^TestAReasonThatIsTooLong$")
		again.Env = append(os.Environ(), fmt.Sprintf("%s=%d", variable, bytes))
		told, err := again.CombinedOutput()
		if (err == nil) != lives || !lives && !strings.Contains(string(told), "index out of range [1024] with length 1024") {
			t.Errorf("%d bytes: %v\n%s", bytes, err, told)
		}
	}
}
