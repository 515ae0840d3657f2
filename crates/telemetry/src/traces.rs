//! Traces: each window's way from the bridge to the playlist, told to an OpenTelemetry collector.
//!
//! All that is done for one window is one trace, whose id and whose first span's id are made of the names of camera and
//! window: what is sent again, or found later by `reconcile`, joins the trace that there is, and who looks for a window
//! knows its id. Which step was caused by which travels with events, as the extension `traceparent` (CloudEvents'
//! distributed tracing, W3C Trace Context).
//!
//! Spans, sampling and OTLP are OpenTelemetry's own crates, which read the variables that its specification names.
//! Without `OTEL_EXPORTER_OTLP_ENDPOINT` nothing is recorded, and `traceparent` is passed on as it came.

mod queue;

use std::{
    borrow::Cow,
    collections::BTreeMap,
    env,
    fmt::Display,
    sync::OnceLock,
    thread,
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use opentelemetry::{
    Context, InstrumentationScope, KeyValue,
    propagation::{Extractor, Injector, TextMapPropagator},
    trace::{
        FutureExt, SpanBuilder, SpanContext, SpanId, SpanKind, Status, TraceContextExt, TraceFlags, TraceId,
        TraceState, Tracer, TracerProvider,
    },
};
use opentelemetry_otlp::{ExporterBuildError, SpanExporter, WithHttpConfig};
use opentelemetry_sdk::{
    Resource,
    propagation::TraceContextPropagator,
    trace::{
        Config, SamplingDecision, SdkTracer, SdkTracerProvider, ShouldSample, SpanData, SpanEvents,
        SpanExporter as _, SpanLinks, SpanProcessor,
    },
};
use teiten_footage::{CameraId, CloudEvent, ContentHash, Event, Timestamp, Window};

use queue::Queue;

/// How long the collector may take for a connection.
const CONNECT_MAX: Duration = Duration::from_secs(3);

/// How long it may take to answer.
const ANSWER_MAX: Duration = Duration::from_secs(10);

/// How long telling the last spans at the end may take.
pub const FLUSH_MAX: Duration = Duration::from_secs(2);

/// The span of a window as a whole.
const WINDOW: &str = "window";

static TRACES: OnceLock<Traces> = OnceLock::new();

struct Traces {
    tracer: SdkTracer,
    sampler: Box<dyn ShouldSample>,
    queue: Queue,
}

/// Why there can be no traces.
#[derive(Debug, thiserror::Error)]
pub enum TracesError {
    /// The endpoint is none.
    #[error("{name}={given:?}: expected an http:// URL (https is not spoken here)")]
    Endpoint {
        /// The variable.
        name: &'static str,
        /// What was given.
        given: String,
    },
    /// The system lets no HTTP client be made.
    #[error("no client for the collector of traces")]
    Client(#[source] reqwest::Error),
    /// Another variable is wrong.
    #[error("traces")]
    Exporter(#[from] ExporterBuildError),
}

/// Has this process's spans told to the collector that `OTEL_EXPORTER_OTLP_ENDPOINT` names, such as
/// `http://collector:4318`, as those of the service `teiten-<part>`. Only the first call of a process has an effect; to be
/// called within a runtime.
///
/// # Errors
/// If one of OpenTelemetry's variables makes no sense.
pub fn init_traces(part: &str) -> Result<(), TracesError> {
    if !is_asked_for()? || TRACES.get().is_some() {
        return Ok(());
    }
    // The collector is a neighbour: a proxy for the outside world is not asked.
    let client = reqwest::Client::builder()
        .no_proxy()
        .connect_timeout(CONNECT_MAX)
        .timeout(ANSWER_MAX)
        .build()
        .map_err(TracesError::Client)?;
    let mut exporter = SpanExporter::builder().with_http().with_http_client(client).build()?;
    let mut resource = Resource::builder();
    if env::var_os("OTEL_SERVICE_NAME").is_none() {
        resource = resource.with_service_name(format!("teiten-{part}"));
    }
    let resource = resource.build();
    exporter.set_resource(&resource);
    let queue = Queue::start(exporter);
    let provider =
        SdkTracerProvider::builder().with_span_processor(queue.clone()).with_resource(resource).build();
    let tracer = provider.tracer("teiten");
    // The provider has the same one: both read the environment.
    let sampler = Config::default().sampler;
    let _ = TRACES.set(Traces { tracer, sampler, queue });
    Ok(())
}

/// Whether there is a collector to tell.
fn is_asked_for() -> Result<bool, TracesError> {
    if env::var("OTEL_SDK_DISABLED").is_ok_and(|value| value.eq_ignore_ascii_case("true")) {
        return Ok(false);
    }
    let endpoint = ["OTEL_EXPORTER_OTLP_TRACES_ENDPOINT", "OTEL_EXPORTER_OTLP_ENDPOINT"]
        .into_iter()
        .find_map(|name| Some((name, env::var(name).ok().filter(|value| !value.is_empty())?)));
    let Some((name, given)) = endpoint else { return Ok(false) };
    match reqwest::Url::parse(&given) {
        Ok(url) if url.scheme() == "http" => Ok(true),
        _ => Err(TracesError::Endpoint { name, given }),
    }
}

/// Waits until the collector has every span that has ended, for `wait_max` at most.
pub async fn flush_traces(wait_max: Duration) {
    if let Some(traces) = TRACES.get() {
        traces.queue.flush(wait_max).await;
    }
}

/// What a step was caused by: another step, perhaps of another process.
#[derive(Debug, Clone)]
pub struct Cause(Context);

impl Cause {
    /// A window itself: the first cause of all that is done for it.
    pub fn window(camera: &CameraId, window: Window) -> Self {
        let Some(traces) = TRACES.get() else { return Self(Context::new()) };
        Self(Context::new().with_remote_span_context(window_context(camera, window, &*traces.sampler)))
    }

    /// The window that an event is about.
    pub fn window_of(event: &Event) -> Self {
        event.window().map_or_else(|| Self(Context::new()), |window| Self::window(event.camera(), window))
    }

    /// What an event's extensions name, if they name anything that is understood.
    pub fn of_event(extensions: &BTreeMap<String, String>) -> Option<Self> {
        let context =
            TraceContextPropagator::new().extract_with_context(&Context::new(), &Extensions(extensions));
        context.span().span_context().is_valid().then_some(Self(context))
    }

    /// The step that runs this task.
    pub fn current() -> Self {
        Self(Context::current())
    }

    /// The CloudEvent of `event`, which this has caused.
    pub fn of(&self, event: &Event) -> CloudEvent {
        let mut event = event.to_cloud_event();
        self.write(&mut event.extensions);
        event
    }

    fn write(&self, extensions: &mut BTreeMap<String, String>) {
        TraceContextPropagator::new().inject_context(&self.0, &mut ExtensionsMut(extensions));
    }
}

/// Which side of a call a step is on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// Neither.
    Internal,
    /// It asks someone outside, and waits for the answer.
    Client,
    /// It sends an event.
    Producer,
    /// It handles an event.
    Consumer,
}

impl From<Kind> for SpanKind {
    fn from(kind: Kind) -> Self {
        match kind {
            Kind::Internal => Self::Internal,
            Kind::Client => Self::Client,
            Kind::Producer => Self::Producer,
            Kind::Consumer => Self::Consumer,
        }
    }
}

/// A step that has begun, and ends when it is dropped.
#[derive(Debug)]
pub struct Step(Context);

impl Step {
    /// Begins a step.
    pub fn begin(name: impl Into<Cow<'static, str>>, kind: Kind, cause: &Cause) -> Self {
        let Some(traces) = TRACES.get() else { return Self(cause.0.clone()) };
        let builder = SpanBuilder::from_name(name).with_kind(kind.into());
        let span = traces.tracer.build_with_context(builder, &cause.0);
        Self(cause.0.with_span(span))
    }

    /// Begins a step of the one that runs this task; none where that is not recorded.
    pub fn within(name: &'static str, kind: Kind) -> Option<Self> {
        let current = Context::current();
        current.span().is_recording().then(|| Self::begin(name, kind, &Cause(current)))
    }

    /// Says more about it.
    pub fn tell(&self, name: &'static str, value: impl Display) {
        let span = self.0.span();
        if span.is_recording() {
            span.set_attribute(KeyValue::new(name, value.to_string()));
        }
    }

    /// Something happened meanwhile, such as a failed attempt.
    pub fn note(&self, what: &'static str, why: impl Display) {
        let span = self.0.span();
        if span.is_recording() {
            span.add_event(what, vec![KeyValue::new("teiten.why", why.to_string())]);
        }
    }

    /// It failed.
    pub fn fail(&self, why: impl Display) {
        let span = self.0.span();
        if span.is_recording() {
            span.set_status(Status::error(why.to_string()));
        }
    }

    /// This step as the cause of others.
    pub fn as_cause(&self) -> Cause {
        Cause(self.0.clone())
    }

    /// Runs `work` as a part of this step.
    pub async fn run<Work: Future>(&self, work: Work) -> Work::Output {
        work.with_context(self.0.clone()).await
    }
}

impl Drop for Step {
    fn drop(&mut self) {
        // Where nothing is recorded, this is its cause's context, whose end is not here.
        let span = self.0.span();
        if span.is_recording() {
            if thread::panicking() {
                span.set_status(Status::error("panicked"));
            }
            span.end();
        }
    }
}

/// Tells the first span of a window's trace, from `begun` until now. Its other steps are known by then: they have
/// [`Cause::window`] for their cause.
pub fn tell_window(camera: &CameraId, window: Window, begun: Timestamp, frames: usize) {
    let Some(traces) = TRACES.get() else { return };
    let context = window_context(camera, window, &*traces.sampler);
    if !context.is_sampled() {
        return;
    }
    let attributes = [
        ("teiten.camera", camera.to_string()),
        ("teiten.window", window.to_string()),
        ("teiten.frames", frames.to_string()),
    ];
    traces.queue.on_end(SpanData {
        span_context: context,
        parent_span_id: SpanId::INVALID,
        parent_span_is_remote: false,
        span_kind: SpanKind::Internal,
        name: WINDOW.into(),
        start_time: system_time(begun),
        end_time: system_time(crate::now()),
        attributes: attributes.map(|(name, value)| KeyValue::new(name, value)).into(),
        dropped_attributes_count: 0,
        events: SpanEvents::default(),
        links: SpanLinks::default(),
        status: Status::Unset,
        instrumentation_scope: InstrumentationScope::builder("teiten").build(),
    });
}

/// The first span of a window's trace, sampled as the sampler decides for the trace's id: all parts decide alike.
fn window_context(camera: &CameraId, window: Window, sampler: &dyn ShouldSample) -> SpanContext {
    let (trace, span) = window_ids(camera, window);
    let decision = sampler.should_sample(None, trace, WINDOW, &SpanKind::Internal, &[], &[]).decision;
    let flags = match decision {
        SamplingDecision::RecordAndSample => TraceFlags::SAMPLED,
        SamplingDecision::Drop | SamplingDecision::RecordOnly => TraceFlags::NOT_SAMPLED,
    };
    SpanContext::new(trace, span, flags, true, TraceState::NONE)
}

/// The ids of a window's trace and of its first span. All zero would be none; a hash is not.
fn window_ids(camera: &CameraId, window: Window) -> (TraceId, SpanId) {
    let name = format!("{camera}/{window}");
    let part = |part: &str| ContentHash::of_parts([name.as_str(), part]).to_u64();
    let trace = u128::from(part("/trace-high")) << 64 | u128::from(part("/trace-low"));
    (TraceId::from(trace), SpanId::from(part("/span")))
}

fn system_time(time: Timestamp) -> SystemTime {
    UNIX_EPOCH + Duration::from_micros(time.unix_micros())
}

struct Extensions<'a>(&'a BTreeMap<String, String>);

impl Extractor for Extensions<'_> {
    fn get(&self, key: &str) -> Option<&str> {
        self.0.get(key).map(String::as_str)
    }

    fn keys(&self) -> Vec<&str> {
        self.0.keys().map(String::as_str).collect()
    }
}

struct ExtensionsMut<'a>(&'a mut BTreeMap<String, String>);

impl Injector for ExtensionsMut<'_> {
    fn set(&mut self, key: &str, value: String) {
        // `tracestate` has nothing here, mostly.
        if !value.is_empty() {
            self.0.insert(key.to_owned(), value);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::{Arc, Mutex};

    use opentelemetry_sdk::{
        error::OTelSdkResult,
        trace::{Sampler, Span},
    };
    use teiten_footage::WindowLength;

    use super::*;

    fn gate() -> (CameraId, Window) {
        (CameraId::new("gate").unwrap(), Window::containing(Timestamp::Y2020, WindowLength::DEFAULT))
    }

    /// Golden: parts of different versions work on one window during an update.
    #[test]
    fn a_window_s_trace_follows_from_its_name() {
        let (camera, window) = gate();
        let (trace, span) = window_ids(&camera, window);
        assert_eq!(
            (trace.to_string().as_str(), span.to_string().as_str()),
            ("929272dfd48f563088125bc441402d57", "112cd3dea12ee15e")
        );
        let other = window_ids(&camera, window.next());
        assert!(other.0 != trace && other.1 != span);
    }

    #[test]
    fn all_parts_sample_the_same_windows() {
        let (camera, first) = gate();
        let sampled = |ratio: f64| {
            let sampler = Sampler::ParentBased(Box::new(Sampler::TraceIdRatioBased(ratio)));
            let windows = (0..1000).map(|i| first.plus(i));
            windows
                .filter(|window| window_context(&camera, *window, &sampler).is_sampled())
                .collect::<Vec<_>>()
        };
        assert_eq!((sampled(0.0).len(), sampled(1.0).len()), (0, 1000));
        let some = sampled(0.1);
        assert!((60..140).contains(&some.len()), "{}", some.len());
        assert_eq!(some, sampled(0.1));
    }

    /// The example of the recommendation (W3C Trace Context §3.2.2.5).
    #[test]
    fn what_an_event_brings_is_passed_on_where_nothing_is_recorded() {
        let text = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";
        let given = BTreeMap::from([("traceparent".to_owned(), text.to_owned())]);
        let cause = Cause::of_event(&given).unwrap();
        let step = Step::begin("encode", Kind::Consumer, &cause);
        let mut passed_on = BTreeMap::new();
        step.as_cause().write(&mut passed_on);
        assert_eq!(passed_on, given);
        for wrong in ["", "00-00000000000000000000000000000000-00f067aa0ba902b7-01", "gate"] {
            let given = BTreeMap::from([("traceparent".to_owned(), wrong.to_owned())]);
            assert!(Cause::of_event(&given).is_none(), "{wrong:?}");
        }
    }

    #[test]
    fn without_a_collector_an_event_gets_no_traceparent() {
        let (camera, window) = gate();
        let mut extensions = BTreeMap::new();
        Cause::window(&camera, window).write(&mut extensions);
        assert!(extensions.is_empty(), "{extensions:?}");
    }

    /// Keeps how spans ended.
    #[derive(Debug, Clone, Default)]
    struct Ended(Arc<Mutex<Vec<Status>>>);

    impl SpanProcessor for Ended {
        fn on_start(&self, _span: &mut Span, _context: &Context) {}

        fn on_end(&self, span: SpanData) {
            self.0.lock().unwrap().push(span.status);
        }

        fn force_flush(&self) -> OTelSdkResult {
            Ok(())
        }

        fn shutdown_with_timeout(&self, _timeout: Duration) -> OTelSdkResult {
            Ok(())
        }
    }

    #[tokio::test]
    async fn a_step_that_panics_has_failed() {
        async fn panics() {
            panic!("as told");
        }

        let ended = Ended::default();
        let provider = SdkTracerProvider::builder().with_span_processor(ended.clone()).build();
        let tracer = provider.tracer("test");
        let step = || Step(Context::new().with_span(tracer.start("step")));
        drop(step());
        // As the functions' host runs them.
        let broken = step();
        let task = tokio::spawn(async move { broken.run(panics()).await });
        assert!(task.await.is_err_and(|error| error.is_panic()));
        assert_eq!(*ended.0.lock().unwrap(), [Status::Unset, Status::error("panicked")]);
    }
}
