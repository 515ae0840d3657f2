//! The same router behind the AWS Lambda Runtime API.
//!
//! API Gateway, function URLs and load balancers give and take HTTP: they see the router's status. Everything
//! else that invokes a function (S3, EventBridge, a direct call) gives bare JSON, gets bare JSON, and sees no
//! status: to such a caller, whatever is not an error is success. So what is to come again has to be an
//! invocation error, upon which Lambda repeats an asynchronous invocation, and in the end hands it to the
//! function's dead-letter queue.

use axum::{
    Router,
    body::{Body, to_bytes},
};
use http::Response;
use lambda_http::{Request, RequestExt, request::RequestContext, service_fn};
use teiten_telemetry::traces::{FLUSH_MAX, flush_traces, init_traces};
use tower::ServiceExt;

/// Asks for invocations and answers them, forever.
pub(crate) async fn run(name: &'static str, router: Router) -> anyhow::Result<()> {
    init_traces(name)?;
    let service = service_fn(move |request: Request| {
        let router = router.clone();
        async move {
            let answer = answer(router, request).await;
            // Once it is answered, Lambda stops this process until the next invocation, or for good.
            flush_traces(FLUSH_MAX).await;
            answer
        }
    });
    lambda_http::run(service).await.map_err(anyhow::Error::from_boxed)
}

/// The same for requests, with answers that are streamed (invoke mode `RESPONSE_STREAM`): each is an HTTP request, so
/// whoever asked sees the status.
pub(crate) async fn run_streaming(router: Router) -> anyhow::Result<()> {
    let service = service_fn(move |request: Request| router.clone().oneshot(request.map(Body::new)));
    lambda_http::run_with_streaming_response(service).await.map_err(anyhow::Error::from_boxed)
}

async fn answer(router: Router, request: Request) -> Result<Response<Body>, String> {
    let sees_no_status = matches!(request.request_context_ref(), Some(RequestContext::PassThrough));
    let Ok(response) = router.oneshot(request.map(Body::new)).await;
    if sees_no_status && response.status().is_server_error() {
        let status = response.status();
        // One line, which is short whoever made it.
        let why = to_bytes(response.into_body(), usize::MAX).await.unwrap_or_default();
        return Err(format!("{status}: {}", String::from_utf8_lossy(&why).trim_end()));
    }
    Ok(response)
}
