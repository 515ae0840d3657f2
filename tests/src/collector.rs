//! Stands in for an OpenTelemetry collector: takes spans by OTLP over HTTP, read by the protocol's own schema, and keeps
//! them. Or stands behind a real one, `otelcol`, which takes them and hands them on; Debian has none, so what needs it is
//! left out of `./just test`; `./just test-collector` runs it with the one that is in PATH.

use std::{
    fs,
    net::Ipv4Addr,
    path::Path,
    process::Command,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use anyhow::Context as _;
use axum::{
    Router,
    body::Bytes,
    extract::State,
    http::{HeaderMap, StatusCode},
    routing::post,
};
use opentelemetry_proto::tonic::{
    collector::trace::v1::{ExportTraceServiceRequest, ExportTraceServiceResponse},
    common::v1::{KeyValue, any_value::Value},
    trace::v1::{Span as Told, status::StatusCode as Status},
};
use prost::Message as _;
use teiten_footage::{CameraId, Window};
use tokio::{net::TcpListener, task::JoinHandle};

use crate::process::{Process, eventually, free_port, listening};

/// A span, as far as it matters here.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Span {
    /// Whose it is: `teiten-encode`.
    pub service: String,
    /// What was done.
    pub name: String,
    /// Its trace.
    pub trace: Vec<u8>,
    /// Its id.
    pub id: Vec<u8>,
    /// What caused it; empty for a first cause.
    pub parent: Vec<u8>,
    /// The camera and the window that it is about, if it says so.
    pub about: Option<(String, String)>,
    /// Whether it failed.
    pub failed: bool,
    /// How long it took.
    pub took: Duration,
}

/// The way of one window through the parts.
#[derive(Debug)]
pub struct Way {
    /// All that was done for it.
    pub spans: Vec<Span>,
    /// How the playlist was brought about: window, send, encode, playlist.
    pub steps: [Span; 4],
}

impl Way {
    /// What was done as a part of `step`.
    pub fn within(&self, step: &Span) -> impl Iterator<Item = &Span> {
        self.spans.iter().filter(|span| span.parent == step.id)
    }

    fn of(spans: Vec<Span>) -> Option<Self> {
        let named = |service: &'static str| spans.iter().filter(move |span| span.service == service);
        let cause = |of: &Span| spans.iter().find(|span| span.id == of.parent);
        let steps = named("teiten-playlist").filter(|span| span.name == "playlist").find_map(|playlist| {
            let encode = cause(playlist).filter(|span| span.name == "encode" && !span.failed)?;
            let send = cause(encode)?;
            let window = cause(send).filter(|span| span.name == "window" && span.parent.is_empty())?;
            Some([window, send, encode, playlist].map(Span::clone))
        })?;
        Some(Self { spans, steps })
    }
}

/// A collector that listens.
pub struct Collector {
    /// What `OTEL_EXPORTER_OTLP_ENDPOINT` is to be.
    pub endpoint: String,
    spans: Arc<Mutex<Vec<Span>>>,
    server: JoinHandle<std::io::Result<()>>,
}

impl Collector {
    /// Starts one on a port of its own.
    pub async fn start() -> anyhow::Result<Self> {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await?;
        let endpoint = format!("http://{}", listener.local_addr()?);
        let spans = Arc::new(Mutex::new(Vec::new()));
        let router = Router::new().route("/v1/traces", post(take)).with_state(spans.clone());
        let server = tokio::spawn(async move { axum::serve(listener, router).await });
        Ok(Self { endpoint, spans, server })
    }

    /// Starts one behind OpenTelemetry's own, whose settings and log are in `folder`; the endpoint is that one's.
    pub async fn behind_otelcol(folder: &Path) -> anyhow::Result<(Self, Process)> {
        let mut collector = Self::start().await?;
        let (config, port) = (folder.join("otelcol.yaml"), free_port()?);
        let settings = format!(
            "receivers: {{otlp: {{protocols: {{http: {{endpoint: '127.0.0.1:{port}'}}}}}}}}\n\
             exporters: {{otlp_http: {{endpoint: '{}', compression: none}}}}\n\
             service: {{pipelines: {{traces: {{receivers: [otlp], exporters: [otlp_http]}}}}, \
             telemetry: {{metrics: {{level: none}}}}}}\n",
            collector.endpoint
        );
        fs::write(&config, settings)?;
        let otelcol = Process::start("otelcol", folder, move || {
            let mut command = Command::new("otelcol");
            command.arg("--config").arg(&config);
            command
        })?;
        listening("otelcol", port).await?;
        collector.endpoint = format!("http://127.0.0.1:{port}");
        Ok((collector, otelcol))
    }

    /// What came so far.
    pub fn spans(&self) -> Vec<Span> {
        self.spans.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Awaits that a camera's `window` is followed to the playlist, each step with the one before it for its cause.
    pub async fn follows(
        &self,
        camera: &CameraId,
        window: Window,
        patience: Duration,
    ) -> anyhow::Result<Way> {
        let about = Some((camera.to_string(), window.to_string()));
        let what = format!("window {window} of {camera} is followed to the playlist");
        let way = eventually(&what, patience, async || {
            let all = self.spans();
            let Some(first) = all.iter().find(|span| span.about == about) else {
                return Ok(None);
            };
            let trace = first.trace.clone();
            Ok(Way::of(all.into_iter().filter(|span| span.trace == trace).collect()))
        });
        way.await.with_context(|| format!("{:#?}", self.spans()))
    }
}

impl Drop for Collector {
    fn drop(&mut self) {
        self.server.abort();
    }
}

async fn take(
    State(spans): State<Arc<Mutex<Vec<Span>>>>,
    headers: HeaderMap,
    body: Bytes,
) -> Result<Vec<u8>, StatusCode> {
    if headers.get("content-type").is_none_or(|kind| kind != "application/x-protobuf") {
        return Err(StatusCode::UNSUPPORTED_MEDIA_TYPE);
    }
    let request = ExportTraceServiceRequest::decode(body).map_err(|_wrong| StatusCode::BAD_REQUEST)?;
    for resource in request.resource_spans {
        let attributes = resource.resource.unwrap_or_default().attributes;
        let service = text(&attributes, "service.name").unwrap_or_default();
        for span in resource.scope_spans.into_iter().flat_map(|scope| scope.spans) {
            spans.lock().unwrap_or_else(PoisonError::into_inner).push(understood(&service, span));
        }
    }
    Ok(ExportTraceServiceResponse::default().encode_to_vec())
}

fn understood(service: &str, told: Told) -> Span {
    Span {
        service: service.to_owned(),
        about: text(&told.attributes, "teiten.camera").zip(text(&told.attributes, "teiten.window")),
        failed: told.status.is_some_and(|status| status.code() == Status::Error),
        took: Duration::from_nanos(told.end_time_unix_nano.saturating_sub(told.start_time_unix_nano)),
        name: told.name,
        trace: told.trace_id,
        id: told.span_id,
        parent: told.parent_span_id,
    }
}

fn text(attributes: &[KeyValue], key: &str) -> Option<String> {
    let value = &attributes.iter().find(|attribute| attribute.key == key)?.value;
    match value.as_ref()?.value.as_ref()? {
        Value::StringValue(text) => Some(text.clone()),
        _ => None,
    }
}
