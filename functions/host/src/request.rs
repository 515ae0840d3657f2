//! Requests: functions that answer an HTTP GET, perhaps with a body that is made while it is sent.
//!
//! The same program answers on Knative (`$PORT`) and on AWS Lambda. There the answer is streamed as well: the function's
//! URL has to be one of invoke mode `RESPONSE_STREAM` (API Gateway and load balancers take no streamed
//! answers), and AWS ends an answer at 200 MB. What is larger is refused there with 413 before anything is sent, and sent to
//! who asks for it part by part.

use std::{env, io, sync::Arc, time::Instant};

use anyhow::Context as _;
use async_trait::async_trait;
use axum::{
    Router,
    body::Body,
    extract::{Query, State},
    response::Response,
    routing::{any, get},
};
use http::{HeaderMap, HeaderName, HeaderValue, Method, Request, StatusCode, header};
use teiten_footage::Origin;
use teiten_telemetry::metrics::{Outcome, function_metrics};
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;
use tracing::{error, info, warn};

use crate::{answer, serve};

/// The largest answer on AWS Lambda, in bytes: what it streams at most.
pub const LAMBDA_BYTES_MAX: u64 = 200 << 20;

/// Something that answers requests.
#[async_trait]
pub trait Responder: Send + Sync + 'static {
    /// The function's name, for logs.
    const NAME: &'static str;

    /// Answers a GET. (A HEAD gets the same answer without its body, which is then never asked for a byte.)
    /// Content-Length is set by who knows it.
    async fn respond(&self, asked: Asked) -> Result<Response, Refusal>;
}

/// A request.
#[derive(Debug, Clone)]
pub struct Asked {
    /// The path, as it was sent.
    pub path: String,
    /// The query's keys and values, decoded.
    pub query: Vec<(String, String)>,
    /// The headers.
    pub headers: HeaderMap,
    /// The longest answer that can be sent.
    pub bytes_max: u64,
}

impl Asked {
    /// A request for `path` with this query, without headers.
    pub fn of(path: &str, query: &[(&str, &str)]) -> Self {
        let query = query.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned())).collect();
        Self { path: path.to_owned(), query, headers: HeaderMap::new(), bytes_max: u64::MAX }
    }

    pub(crate) fn read<Sent>(request: &Request<Sent>) -> Result<Self, Refusal> {
        let query = Query::<Vec<(String, String)>>::try_from_uri(request.uri());
        let Query(query) = query.map_err(|error| Refusal::bad_request(error.body_text()))?;
        let (path, headers) = (request.uri().path().to_owned(), request.headers().clone());
        Ok(Self { path, query, headers, bytes_max: u64::MAX })
    }

    /// The last part of the path. What is before it is a gateway's affair.
    pub fn name(&self) -> &str {
        self.path.rsplit('/').next().unwrap_or_default()
    }

    /// The value of a key of the query; refused if there are several.
    pub fn value(&self, key: &str) -> Result<Option<&str>, Refusal> {
        let mut values = self.query.iter().filter(|(name, _)| name == key).map(|(_, value)| value.as_str());
        match (values.next(), values.next()) {
            (value, None) => Ok(value),
            (_, Some(_)) => Err(Refusal::bad_request(format!("{key} is given more than once"))),
        }
    }

    /// Refused if the query has other keys than these: who misspells one shall know.
    pub fn has_no_keys_but(&self, keys: &[&str]) -> Result<(), Refusal> {
        match self.query.iter().find(|(name, _)| !keys.contains(&name.as_str())) {
            None => Ok(()),
            Some((name, _)) => {
                let name: String = name.chars().take(40).collect();
                Err(Refusal::bad_request(format!(
                    "there is no parameter {name:?}, there are {}",
                    keys.join(", ")
                )))
            }
        }
    }
}

/// Why a request is not answered as it wants, in one line of text that says what to do.
#[derive(Debug, Clone, thiserror::Error)]
#[error("{status}: {why}")]
pub struct Refusal {
    status: StatusCode,
    why: String,
    headers: Vec<(HeaderName, HeaderValue)>,
}

impl Refusal {
    /// Any status.
    pub fn new(status: StatusCode, why: impl Into<String>) -> Self {
        Self { status, why: why.into(), headers: Vec::new() }
    }

    /// 400: the request makes no sense.
    pub fn bad_request(why: impl Into<String>) -> Self {
        Self::new(StatusCode::BAD_REQUEST, why)
    }

    /// 404: there is no such thing.
    pub fn not_found(why: impl Into<String>) -> Self {
        Self::new(StatusCode::NOT_FOUND, why)
    }

    /// 503: it may work later.
    pub fn unavailable(why: impl Into<String>) -> Self {
        Self::new(StatusCode::SERVICE_UNAVAILABLE, why)
    }

    /// The answer's status.
    pub fn status(&self) -> StatusCode {
        self.status
    }

    /// The same with a header, such as WWW-Authenticate.
    pub fn with_header(mut self, name: HeaderName, value: HeaderValue) -> Self {
        self.headers.push((name, value));
        self
    }

    fn answer(self) -> Response {
        let mut response = answer::failed(self.status, &self.why);
        response.headers_mut().extend(self.headers);
        response
    }
}

/// Whose pages may read the answers: some origins', or everybody's (`*`).
#[derive(Debug, Clone)]
pub struct Origins(Vec<HeaderValue>);

const EVERYBODY: HeaderValue = HeaderValue::from_static("*");

impl Origins {
    /// Origins such as `https://cameras.example`, with spaces or commas between them, or `*`.
    pub fn new(origins: &str) -> anyhow::Result<Self> {
        let origins = Origin::list(origins)?;
        let value = |origin: &Origin| Ok(HeaderValue::from_str(origin.as_str())?);
        origins.iter().map(value).collect::<anyhow::Result<_>>().map(Self)
    }

    /// Lets a page of the origin that `asked` read an answer, if it may: a browser takes one origin there, its own, or all.
    fn let_read(&self, asked: Option<HeaderValue>, answer: &mut HeaderMap) {
        let allowed = if self.0.contains(&EVERYBODY) {
            Some(EVERYBODY)
        } else {
            answer.append(header::VARY, HeaderValue::from_static("Origin"));
            asked.filter(|asked| self.0.contains(asked))
        };
        if let Some(allowed) = allowed {
            answer.insert(header::ACCESS_CONTROL_ALLOW_ORIGIN, allowed);
        }
    }
}

impl Default for Origins {
    fn default() -> Self {
        Self(vec![EVERYBODY])
    }
}

/// A function, who may read its answers, and where it runs.
struct Host<R> {
    responder: Arc<R>,
    origins: Origins,
    bytes_max: u64,
}

/// The one handler of a function that answers requests:
///
/// | request | answer |
/// |---|---|
/// | `GET`, `HEAD` | the function's, or a [`Refusal`] in one line of text |
/// | `OPTIONS` | 204, what pages of other origins may do (CORS) |
/// | `GET /healthz` | 200 |
/// | another method | 405 |
/// | what makes the function panic | 500 |
pub fn request_router<R: Responder>(responder: Arc<R>, origins: Origins) -> Router {
    router(Host { responder, origins, bytes_max: u64::MAX })
}

fn router<R: Responder>(host: Host<R>) -> Router {
    Router::new()
        .route("/healthz", get(StatusCode::OK))
        .fallback_service(any(handle::<R>).with_state(Arc::new(host)))
}

/// Serves a function on `listener`, as [`serve`](crate::serve()) does one of events.
pub async fn serve_requests<R: Responder>(
    responder: Arc<R>,
    origins: Origins,
    listener: TcpListener,
    shutdown: CancellationToken,
) -> io::Result<()> {
    serve::serve_router(request_router(responder, origins), listener, shutdown).await
}

/// Runs a function as the environment asks, as [`run`](crate::run) does one of events. `$TEITEN_CORS_ORIGIN` says
/// whose pages may read the answers; everybody's (`*`) if it is empty or not set.
pub async fn run_requests<R: Responder>(responder: R) -> anyhow::Result<()> {
    let origins = env::var("TEITEN_CORS_ORIGIN").unwrap_or_default();
    let origins = if origins.trim().is_empty() {
        Origins::default()
    } else {
        Origins::new(&origins).context("TEITEN_CORS_ORIGIN")?
    };
    let bytes_max = if serve::is_lambda() { LAMBDA_BYTES_MAX } else { u64::MAX };
    serve::run_requests(R::NAME, router(Host { responder: Arc::new(responder), origins, bytes_max })).await
}

async fn handle<R: Responder>(State(host): State<Arc<Host<R>>>, request: Request<Body>) -> Response {
    let begun = Instant::now();
    let method = request.method().clone();
    let path = request.uri().path().to_owned();
    let waited_for = WaitedFor { function: R::NAME, path: &path, begun };
    let origin = request.headers().get(header::ORIGIN).cloned();
    let mut response = match method {
        Method::GET | Method::HEAD => match Asked::read(&request) {
            Ok(mut asked) => {
                // Parts are of GET alone (RFC 9110 §14.2), and nothing is sent of what HEAD asks for.
                if method == Method::HEAD {
                    asked.headers.remove(header::RANGE);
                } else {
                    asked.bytes_max = host.bytes_max;
                }
                host.respond(asked).await
            }
            Err(refusal) => refusal.answer(),
        },
        Method::OPTIONS => preflight(),
        _ => {
            let why = format!("{method} is not for this: it answers GET, HEAD and OPTIONS");
            let refusal = Refusal::new(StatusCode::METHOD_NOT_ALLOWED, why);
            refusal.with_header(header::ALLOW, HeaderValue::from_static("GET, HEAD, OPTIONS")).answer()
        }
    };
    let headers = response.headers_mut();
    host.origins.let_read(origin, headers);
    let exposed = HeaderValue::from_static(
        "accept-ranges, content-disposition, content-length, content-range, date, etag",
    );
    headers.insert(header::ACCESS_CONTROL_EXPOSE_HEADERS, exposed);
    waited_for.answered();
    let status = response.status().as_u16();
    let millis = begun.elapsed().as_millis() as u64;
    function_metrics().handled(R::NAME, Outcome::of_request(status), begun.elapsed());
    info!(function = R::NAME, %method, path, status, millis, "request answered");
    if method == Method::HEAD {
        // Whatever streams the body ends here, unasked.
        *response.body_mut() = Body::empty();
    }
    response
}

/// A request that is not answered yet. Dropped with the handler when the caller closes the connection, it tells and
/// counts that: else a store that hangs would leave no trace of what waits for it.
struct WaitedFor<'a> {
    function: &'static str,
    path: &'a str,
    begun: Instant,
}

impl WaitedFor<'_> {
    fn answered(self) {
        std::mem::forget(self);
    }
}

impl Drop for WaitedFor<'_> {
    fn drop(&mut self) {
        let (function, path, waited) = (self.function, self.path, self.begun.elapsed());
        function_metrics().handled(function, Outcome::Abandoned, waited);
        info!(function, path, millis = waited.as_millis() as u64, "request abandoned before its answer");
    }
}

impl<R: Responder> Host<R> {
    async fn respond(&self, asked: Asked) -> Response {
        let responder = Arc::clone(&self.responder);
        let (path, bytes_max) = (asked.path.clone(), asked.bytes_max);
        // In a task of its own, so that a panic is this request's alone. It ends with the caller's patience.
        let mut task = tokio::task::JoinSet::new();
        task.spawn(async move { responder.respond(asked).await });
        match task.join_next().await {
            Some(Ok(Ok(response))) => within_limits(response, bytes_max),
            Some(Ok(Err(refusal))) => {
                if refusal.status.is_server_error() {
                    warn!(function = R::NAME, path, why = refusal.why, "request failed, may work later");
                }
                refusal.answer()
            }
            Some(Err(_)) | None => {
                error!(function = R::NAME, path, "request made the function panic");
                answer::failed(StatusCode::INTERNAL_SERVER_ERROR, "panicked")
            }
        }
    }
}

/// The answer, if it can be sent.
fn within_limits(response: Response, bytes_max: u64) -> Response {
    let length = response.headers().get(header::CONTENT_LENGTH);
    let length = length.and_then(|length| length.to_str().ok()?.parse::<u64>().ok());
    match length {
        Some(length) if length > bytes_max => {
            let (length, most) = (length >> 20, bytes_max >> 20);
            let why = format!(
                "the answer has {length} MiB, and {most} MiB are the most that can be sent: ask for less, or for parts (Range)"
            );
            Refusal::new(StatusCode::PAYLOAD_TOO_LARGE, why).answer()
        }
        _ => response,
    }
}

/// What browsers ask before they send a request with an Authorization header.
fn preflight() -> Response {
    let mut response = answer::done();
    let headers = response.headers_mut();
    for (name, value) in [
        (header::ACCESS_CONTROL_ALLOW_METHODS, "GET, HEAD, OPTIONS"),
        (header::ACCESS_CONTROL_ALLOW_HEADERS, "authorization, if-match, if-none-match, if-range, range"),
        (header::ACCESS_CONTROL_MAX_AGE, "3600"),
    ] {
        headers.insert(name, HeaderValue::from_static(value));
    }
    response
}
