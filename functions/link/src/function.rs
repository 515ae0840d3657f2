//! `GET /<camera>?for=24h` with the token is answered with `{"url":"…","expires":"…"}`: a link to the live playlist. With
//! `/<camera>.m3u8?from=…&to=…` (or `.iframes.m3u8`, `.master.m3u8`) and `/<camera>.mp4?from=…&to=…` it is one to just that request
//! to `playback` or `clip`.

use std::str::FromStr as _;

use async_trait::async_trait;
use http::{HeaderValue, StatusCode, header};
use serde_json::json;
use teiten_bucket::Validity;
use teiten_footage::{
    CameraId, RangeForm,
    limits::{FILE_RANGE_MAX, RANGE_MAX},
};
use teiten_host::{Asked, Body, Refusal, Responder, Response};
use tracing::info;

use crate::{Functions, LinkError, Links, Past};

/// How long a link works where nobody says.
pub const VALID_DEFAULT: &str = "24h";

/// Gives links to those who have the token.
#[derive(Debug)]
pub struct LinkDesk {
    links: Option<Links>,
    functions: Functions,
}

impl LinkDesk {
    /// Gives links of `links`, and links to `functions`, to those who bring the functions' token. There are none where
    /// footage is public.
    pub fn new(links: Option<Links>, functions: Functions) -> Self {
        Self { links, functions }
    }
}

/// Which camera, and what of its past; its live playlist if nothing of it.
fn wanted(asked: &Asked) -> Result<(CameraId, Option<Past>), Refusal> {
    let name = asked.name();
    if name.ends_with(".m3u8") {
        asked.has_no_keys_but(&["for", "from", "to"])?;
        let (form, range) = (RangeForm::of(name), asked.range(RANGE_MAX)?);
        Ok((asked.camera(form.extension())?, Some(Past::Playlist(range, form))))
    } else if name.ends_with(".mp4") {
        asked.has_no_keys_but(&["for", "from", "to", "lapse"])?;
        let (lapse, range) = (asked.lapse()?, asked.range(FILE_RANGE_MAX)?);
        Ok((asked.camera(".mp4")?, Some(Past::File(range, lapse))))
    } else {
        asked.has_no_keys_but(&["for"])?;
        let camera = CameraId::new(name).map_err(|error| Refusal::bad_request(error.to_string()))?;
        Ok((camera, None))
    }
}

#[async_trait]
impl Responder for LinkDesk {
    const NAME: &'static str = "link";

    async fn respond(&self, asked: Asked) -> Result<Response, Refusal> {
        self.functions.token().check(&asked.headers)?;
        let (camera, past) = wanted(&asked)?;
        let valid = Validity::from_str(asked.value("for")?.unwrap_or(VALID_DEFAULT))
            .map_err(|error| Refusal::bad_request(error.to_string()))?;
        let links = self.links.as_ref().ok_or_else(|| {
            let why = "footage is public here: its plain addresses play, and never expire";
            Refusal::new(StatusCode::CONFLICT, why)
        })?;
        let now = teiten_telemetry::now();
        let link = match past {
            None => links.live(&camera, valid, now).await?,
            Some(past) => links.past(&self.functions, &camera, past, valid, now).await?,
        };
        info!(%camera, ?past, expires = %link.expires, "link given");
        let mut json = json!({"url": link.url, "expires": link.expires.to_string()});
        if link.may_end_sooner {
            json["may_end_sooner"] = true.into();
        }
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
            LinkError::NoCamera(_) | LinkError::NoPast(_) => Self::not_found(error.to_string()),
            LinkError::NoAddress(_) => Self::new(StatusCode::CONFLICT, error.to_string()),
            LinkError::Bucket(_) | LinkError::Sign(_) => Self::unavailable(error.to_string()),
        }
    }
}

#[cfg(test)]
mod tests {
    use http::{HeaderMap, Request};
    use serde_json::Value;
    use teiten_host::{Admission, Bearer, Origins, request_router};
    use tower::ServiceExt as _;

    use super::*;
    use crate::tests::links_to;

    const TOKEN: &str = "0123456789abcdef0123456789abcdef";

    /// Status and body of the answer to a GET, and its headers.
    async fn get(links: Option<Links>, path: &str, token: Option<&str>) -> (StatusCode, String, HeaderMap) {
        let functions = Functions::new(Bearer::new(TOKEN).unwrap(), None);
        let desk = LinkDesk::new(links, functions.at("https://playback.example.org", "").unwrap());
        let router = request_router(desk.into(), Origins::default());
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
        assert!(answer.get("may_end_sooner").is_none(), "{body}");
    }

    #[tokio::test]
    async fn the_answer_says_that_a_link_may_end_sooner_where_that_is_so() {
        let links = links_to("porch/live.m3u8").await.of_session(true);
        let (_, body, _) = get(Some(links), "/porch", Some(TOKEN)).await;
        let answer: Value = serde_json::from_str(&body).unwrap();
        assert_eq!(answer["may_end_sooner"], true);
    }

    #[tokio::test]
    async fn a_link_to_the_past_is_one_that_playback_lets_in() {
        let range = "from=2026-11-23T05:00:00%2B01:00&to=2026-11-23T05:00:00Z";
        for name in ["porch.m3u8", "porch.iframes.m3u8", "porch.master.m3u8"] {
            let links = links_to("porch/live.m3u8").await;
            let (status, body, _) = get(Some(links), &format!("/{name}?{range}&for=1h"), Some(TOKEN)).await;
            assert_eq!(status, StatusCode::OK, "{body}");
            let answer: Value = serde_json::from_str(&body).unwrap();
            let url = answer["url"].as_str().unwrap();
            let expected = format!("https://playback.example.org/{name}?from=2026-11-23T04:00:00.000000Z&");
            assert!(url.starts_with(&expected), "{url}");
            let (path, query) = url.split_once('?').unwrap();
            let query: Vec<_> = query.split('&').filter_map(|pair| pair.split_once('=')).collect();
            let asked = Asked::of(path, &query);
            let door = Admission::Token(Bearer::new(TOKEN).unwrap());
            let admitted = door.admit(asked, teiten_telemetry::now()).unwrap();
            assert_eq!(admitted.range(RANGE_MAX).unwrap().length().as_secs(), 3600);
        }
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
            ("/porch.m3u8?for=1h", StatusCode::BAD_REQUEST),
            ("/porch?from=2026-11-23T04:00:00Z&to=2026-11-23T05:00:00Z", StatusCode::BAD_REQUEST),
            ("/absent.m3u8?from=2026-11-23T04:00:00Z&to=2026-11-23T05:00:00Z", StatusCode::NOT_FOUND),
            ("/porch.master.m3u8?for=1h", StatusCode::BAD_REQUEST),
            ("/porch.other.m3u8?from=2026-11-23T04:00:00Z&to=2026-11-23T05:00:00Z", StatusCode::NOT_FOUND),
            (
                "/porch.mp4?from=2026-11-23T04:00:00Z&to=2026-11-23T05:00:00Z&lapse=quick",
                StatusCode::BAD_REQUEST,
            ),
            ("/porch.mp4?from=2026-11-23T04:00:00Z&to=2026-11-23T05:00:00Z&lapse=1", StatusCode::BAD_REQUEST),
            (
                "/porch.mp4?from=2026-11-23T04:00:00Z&to=2026-11-23T05:00:00Z&lapse=3601",
                StatusCode::BAD_REQUEST,
            ),
            ("/porch.mp4?from=2026-11-23T04:00:00Z&to=2026-11-23T05:00:00Z", StatusCode::CONFLICT),
        ] {
            let links = links_to("porch/live.m3u8").await;
            assert_eq!(get(Some(links), path, Some(TOKEN)).await.0, expected, "{path}");
        }
        assert_eq!(get(None, "/porch", Some(TOKEN)).await.0, StatusCode::CONFLICT);
    }

    #[tokio::test]
    async fn the_past_of_a_camera_that_is_not_live_any_more_has_links() {
        for (path, expected) in [
            ("/porch.m3u8?from=2026-11-23T04:00:00Z&to=2026-11-23T05:00:00Z", StatusCode::OK),
            ("/porch", StatusCode::NOT_FOUND),
        ] {
            let links = links_to("porch/archive.json").await;
            assert_eq!(get(Some(links), path, Some(TOKEN)).await.0, expected, "{path}");
        }
    }
}
