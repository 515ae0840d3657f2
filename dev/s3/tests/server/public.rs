//! What those may do who do not sign, on the S3 port and behind the public door.

use std::{io::Read as _, time::Duration};

use flate2::read::GzDecoder;
use reqwest::{Client, Method};
use teiten_bucket::{Bucket as _, Signer, put_folder};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
};

use crate::support::{Running, SECRET_KEY, config, header, put};

async fn status(method: Method, url: String) -> u16 {
    Client::new().request(method, url).send().await.unwrap().status().as_u16()
}

#[tokio::test]
async fn anyone_may_read_objects_of_media_and_nothing_else() {
    let server = Running::start().await;
    put(&server.bucket("media"), "porch/live.m3u8", b"public").await;
    put(&server.bucket("frames"), "porch/secret", b"private").await;
    for (method, path, expected) in [
        (Method::GET, "/media/porch/live.m3u8", 200),
        (Method::HEAD, "/media/porch/live.m3u8", 200),
        (Method::GET, "/media/porch/absent", 404),
        (Method::GET, "/media/porch/live.m3u8?response-content-type=text/html", 400),
        (Method::GET, "/media/porch/live.m3u8?acl", 403),
        (Method::GET, "/media/porch/live.m3u8?uploadId=1", 403),
        (Method::GET, "/media", 403),
        (Method::GET, "/media/?list-type=2", 403),
        (Method::HEAD, "/media", 403),
        (Method::GET, "/", 403),
        (Method::PUT, "/media/porch/live.m3u8", 403),
        (Method::DELETE, "/media/porch/live.m3u8", 403),
        (Method::POST, "/media?delete", 403),
        (Method::GET, "/frames/porch/secret", 403),
        (Method::HEAD, "/frames/porch/secret", 403),
        (Method::GET, "/frames/porch/absent", 403),
        (Method::GET, "/frames?list-type=2", 403),
    ] {
        assert_eq!(status(method.clone(), server.url(path)).await, expected, "{method} {path}");
    }
    let body = reqwest::get(server.url("/media/porch/live.m3u8")).await.unwrap().text().await.unwrap();
    assert_eq!(body, "public");
}

#[tokio::test]
async fn a_page_is_given_out_compressed_as_it_was_put() {
    let server = Running::start().await;
    let folder = tempfile::tempdir().unwrap();
    let text = "export const page = 1;\n".repeat(100);
    std::fs::write(folder.path().join("viewer.js"), &text).unwrap();
    let media = server.bucket("media");
    assert_eq!(put_folder(folder.path(), &media).await.unwrap(), ["viewer.js"]);
    assert_eq!(put_folder(folder.path(), &media).await.unwrap(), [""; 0], "it is there");
    for url in [server.url("/media/viewer.js"), server.public_url("/viewer.js")] {
        let response = reqwest::get(url).await.unwrap();
        assert_eq!(header(&response, "content-encoding"), "gzip");
        assert_eq!(header(&response, "content-type"), "text/javascript; charset=utf-8");
        let mut unpacked = String::new();
        GzDecoder::new(&*response.bytes().await.unwrap()).read_to_string(&mut unpacked).unwrap();
        assert_eq!(unpacked, text);
    }
}

#[tokio::test]
async fn a_private_server_gives_nothing_to_those_who_do_not_sign() {
    let server = Running::start_private().await;
    let media = server.bucket("media");
    put(&media, "porch/live.m3u8", b"private").await;
    assert_eq!(media.get("porch/live.m3u8").await.unwrap().unwrap().bytes, "private");
    for path in ["/media/porch/live.m3u8", "/media/porch/absent", "/media?list-type=2", "/media/", "/"] {
        assert_eq!(status(Method::GET, server.url(path)).await, 403, "{path}");
    }
    assert_eq!(status(Method::HEAD, server.url("/media/porch/live.m3u8")).await, 403);
    assert_eq!(status(Method::GET, server.public_url("/porch/live.m3u8")).await, 403);
}

#[tokio::test]
async fn a_link_opens_its_object_until_it_expires() {
    let server = Running::start_private().await;
    put(&server.bucket("media"), "porch/live.m3u8", b"private").await;
    let valid = "1h".parse().unwrap();
    let signer = Signer::new(&config(server.s3, SECRET_KEY), "media", valid);
    let link = async |now| signer.url("porch/live.m3u8", now, valid).await.unwrap();
    let now = teiten_telemetry::now();
    let response = reqwest::get(link(now).await).await.unwrap();
    assert_eq!(response.text().await.unwrap(), "private");
    let expired = link(now - Duration::from_secs(3601)).await;
    let other_key = Signer::new(&config(server.s3, "other"), "media", valid);
    let forged = other_key.url("porch/live.m3u8", now, valid).await.unwrap();
    let elsewhere = link(now).await.replace("porch/live", "gate/live");
    let longer = link(now).await.replace("Expires=3600", "Expires=3601");
    for refused in [expired, forged, elsewhere, longer] {
        assert_eq!(status(Method::GET, refused.clone()).await, 403, "{refused}");
    }
}

#[tokio::test]
async fn the_public_door_shows_media_at_the_root() {
    let server = Running::start().await;
    let media = server.bucket("media");
    put(&media, "index.html", b"home").await;
    put(&media, "porch/live.m3u8", b"live").await;
    put(&server.bucket("frames"), "x", b"private").await;
    for (path, expected) in [
        ("/", "home"),
        ("/index.html", "home"),
        ("/porch/live.m3u8", "live"),
        ("/porch/live.m3u8?t=1&list-type=2", "live"),
    ] {
        let response = reqwest::get(server.public_url(path)).await.unwrap();
        assert_eq!(header(&response, "access-control-allow-origin"), "*");
        assert_eq!(response.text().await.unwrap(), expected, "{path}");
    }
    for (method, path, expected) in [
        (Method::HEAD, "/porch/live.m3u8", 200),
        (Method::GET, "/porch/", 404),
        (Method::GET, "/frames/x", 404),
        (Method::PUT, "/porch/live.m3u8", 405),
        (Method::DELETE, "/porch/live.m3u8", 405),
        (Method::POST, "/?delete", 405),
    ] {
        assert_eq!(status(method.clone(), server.public_url(path)).await, expected, "{method} {path}");
    }
}

#[tokio::test]
async fn no_path_leads_out_of_the_bucket() {
    let server = Running::start().await;
    put(&server.bucket("frames"), "x", b"private").await;
    // By hand: HTTP clients resolve dots before they send a path.
    for path in ["/../frames/x", "/%2e%2e/frames/x", "/..%2fframes%2fx", "//frames/x", "/a/../../frames/x"] {
        let mut stream = TcpStream::connect(server.public).await.unwrap();
        let request = format!("GET {path} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n");
        stream.write_all(request.as_bytes()).await.unwrap();
        let mut response = String::new();
        stream.read_to_string(&mut response).await.unwrap();
        assert!(response.starts_with("HTTP/1.1 404"), "{path}: {response}");
    }
}
