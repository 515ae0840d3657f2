//! `GET /<camera>?for=24h` with the token is answered with `{"url":"…","expires":"…"}`.

use std::str::FromStr as _;

use async_trait::async_trait;
use http::{HeaderValue, StatusCode, header};
use serde_json::json;
use teiten_bucket::Validity;
use teiten_footage::CameraId;
use teiten_host::{Asked, Bearer, Body, Refusal, Responder, Response};
use tracing::info;

use crate::{LinkError, Links};

/// How long a link works where nobody says.
pub const VALID_DEFAULT: &str = "24h";

/// Gives links to those who have the token.
#[derive(Debug)]
pub struct LinkDesk {
    links: Option<Links>,
    token: Bearer,
}

impl LinkDesk {
    /// Gives links of `links` to those who bring `token`. There are none where footage is public.
    pub fn new(links: Option<Links>, token: Bearer) -> Self {
        Self { links, token }
    }
}

#[async_trait]
impl Responder for LinkDesk {
    const NAME: &'static str = "link";

    async fn respond(&self, asked: Asked) -> Result<Response, Refusal> {
        self.token.check(&asked.headers)?;
        asked.has_no_keys_but(&["for"])?;
        let camera = CameraId::new(asked.name()).map_err(|error| Refusal::bad_request(error.to_string()))?;
        let valid = Validity::from_str(asked.value("for")?.unwrap_or(VALID_DEFAULT))
            .map_err(|error| Refusal::bad_request(error.to_string()))?;
        let links = self.links.as_ref().ok_or_else(|| {
            let why = "footage is public here: its plain addresses play, and never expire";
            Refusal::new(StatusCode::CONFLICT, why)
        })?;
        let link = links.live(&camera, valid, teiten_telemetry::now()).await?;
        info!(%camera, expires = %link.expires, "link given");
        let json = json!({"url": link.url, "expires": link.expires.to_string()});
        let mut response = Response::new(Body::from(json.to_string()));
        let headers = response.headers_mut();
        headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/json"));
        headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
        Ok(response)
    }
}

impl From<LinkError> for Refusal {
    fn from(error: LinkError) -> Self {
        match error {
            LinkError::NoCamera(_) => Self::not_found(error.to_string()),
            LinkError::Bucket(_) | LinkError::Sign(_) => Self::unavailable(error.to_string()),
        }
    }
}

#[cfg(test)]
mod tests {
    use http::{HeaderMap, Request};
    use serde_json::Value;
    use teiten_host::{Origin, request_router};
    use tower::ServiceExt as _;

    use super::*;
    use crate::tests::links_to;

    const TOKEN: &str = "0123456789abcdef0123456789abcdef";

    /// Status and body of the answer to a GET, and its headers.
    async fn get(links: Option<Links>, path: &str, token: Option<&str>) -> (StatusCode, String, HeaderMap) {
        let desk = LinkDesk::new(links, Bearer::new(TOKEN).unwrap());
        let router = request_router(desk.into(), Origin::default());
        let mut request = Request::get(path);
        if let Some(token) = token {
            request = request.header(header::AUTHORIZATION, format!("Bearer {token}"));
        }
        let response = router.oneshot(request.body(Body::empty()).unwrap()).await.unwrap();
        let (parts, body) = response.into_parts();
        let bytes = http_body_util::BodyExt::collect(body).await.unwrap().to_bytes();
        (parts.status, String::from_utf8(bytes.to_vec()).unwrap(), parts.headers)
    }

    #[tokio::test]
    async fn who_has_the_token_gets_a_link_that_no_cache_keeps() {
        let links = links_to("porch/live.m3u8").await;
        let (status, body, headers) = get(Some(links), "/porch?for=90m", Some(TOKEN)).await;
        assert_eq!((status, headers[header::CACHE_CONTROL].as_bytes()), (StatusCode::OK, &b"no-store"[..]));
        let answer: Value = serde_json::from_str(&body).unwrap();
        let url = answer["url"].as_str().unwrap();
        assert!(url.starts_with("https://s3.example.org/media/porch/live.m3u8?"), "{url}");
        assert!(url.contains("X-Amz-Expires=5400"), "{url}");
        assert!(answer["expires"].as_str().unwrap().ends_with('Z'));
    }

    #[tokio::test]
    async fn who_has_no_token_learns_nothing() {
        for path in ["/porch", "/absent", "/Not-A-Camera", "/porch?for=nonsense"] {
            for token in [None, Some(""), Some("0123456789abcdef0123456789abcdee")] {
                let links = links_to("porch/live.m3u8").await;
                let (status, body, headers) = get(Some(links), path, token).await;
                assert_eq!(status, StatusCode::UNAUTHORIZED, "{path}");
                assert_eq!(headers[header::WWW_AUTHENTICATE], "Bearer");
                assert!(!body.contains("X-Amz"), "{body}");
            }
        }
    }

    #[tokio::test]
    async fn what_cannot_be_given_is_said() {
        for (path, expected) in [
            ("/absent", StatusCode::NOT_FOUND),
            ("/Not-A-Camera", StatusCode::BAD_REQUEST),
            ("/porch?for=8d", StatusCode::BAD_REQUEST),
            ("/porch?fro=1h", StatusCode::BAD_REQUEST),
        ] {
            let links = links_to("porch/live.m3u8").await;
            assert_eq!(get(Some(links), path, Some(TOKEN)).await.0, expected, "{path}");
        }
        assert_eq!(get(None, "/porch", Some(TOKEN)).await.0, StatusCode::CONFLICT);
    }
}
