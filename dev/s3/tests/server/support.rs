//! A running server, and clients of it.

use std::{
    net::SocketAddr,
    path::Path,
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use aws_sdk_s3::config::{BehaviorVersion, Region};
use aws_smithy_http_client::{Builder, tls, tls::rustls_provider::CryptoMode};
use bytes::Bytes;
use teiten_bucket::{Bucket, Condition, Headers, Put, S3Bucket, S3Config};
use teiten_s3::{Credentials, MEDIA_BUCKET, Server, Store};
use tokio::{net::TcpListener, task::JoinHandle};
use tokio_util::sync::CancellationToken;

pub(crate) const ACCESS_KEY: &str = "teiten";
pub(crate) const SECRET_KEY: &str = "teiten-secret";

pub(crate) const PLAYLIST: Headers =
    Headers { content_type: "application/vnd.apple.mpegurl", cache_control: "no-cache", ..Headers::NONE };

/// A server on ports of its own, over a folder that goes with it.
pub(crate) struct Running {
    pub(crate) folder: tempfile::TempDir,
    pub(crate) s3: SocketAddr,
    pub(crate) public: SocketAddr,
    shutdown: CancellationToken,
    doors: [JoinHandle<std::io::Result<()>>; 2],
}

impl Running {
    pub(crate) async fn start() -> Self {
        Self::start_in(tempfile::tempdir().unwrap()).await
    }

    pub(crate) async fn start_in(folder: tempfile::TempDir) -> Self {
        Self::start_as(Server::new, folder).await
    }

    /// One that nobody may read without a signature.
    pub(crate) async fn start_private() -> Self {
        Self::start_as(Server::private, tempfile::tempdir().unwrap()).await
    }

    async fn start_as(make: fn(Store, Credentials) -> Server, folder: tempfile::TempDir) -> Self {
        let store = Store::open(folder.path()).unwrap();
        let credentials =
            Credentials { access_key: ACCESS_KEY.to_owned(), secret_key: SECRET_KEY.to_owned() };
        let server = make(store, credentials);
        let shutdown = CancellationToken::new();
        let s3 = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let public = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let (s3_address, public_address) = (s3.local_addr().unwrap(), public.local_addr().unwrap());
        let doors = [
            tokio::spawn(server.serve(s3, shutdown.clone())),
            tokio::spawn(server.serve_public(public, MEDIA_BUCKET, shutdown.clone())),
        ];
        Self { folder, s3: s3_address, public: public_address, shutdown, doors }
    }

    pub(crate) fn begin_stop(&self) {
        self.shutdown.cancel();
    }

    /// Stops the server as a signal would; gives its folder back.
    pub(crate) async fn stop(self) -> tempfile::TempDir {
        self.shutdown.cancel();
        for door in self.doors {
            door.await.unwrap().unwrap();
        }
        self.folder
    }

    pub(crate) fn bucket(&self, name: &str) -> S3Bucket {
        bucket(self.s3, name)
    }

    pub(crate) fn url(&self, path: &str) -> String {
        format!("http://{}{path}", self.s3)
    }

    pub(crate) fn public_url(&self, path: &str) -> String {
        format!("http://{}{path}", self.public)
    }

    /// The AWS SDK with its own defaults, checksums among them.
    pub(crate) fn sdk(&self) -> aws_sdk_s3::Client {
        let http = Builder::new().tls_provider(tls::Provider::Rustls(CryptoMode::Ring)).build_https();
        let credentials = aws_sdk_s3::config::Credentials::new(ACCESS_KEY, SECRET_KEY, None, None, "test");
        let config = aws_sdk_s3::Config::builder()
            .behavior_version(BehaviorVersion::latest())
            .http_client(http)
            .endpoint_url(self.url(""))
            .region(Region::new("eu-central-1"))
            .credentials_provider(credentials)
            .force_path_style(true);
        aws_sdk_s3::Client::from_conf(config.build())
    }
}

pub(crate) fn bucket(server: SocketAddr, name: &str) -> S3Bucket {
    bucket_of(server, name, SECRET_KEY)
}

pub(crate) fn bucket_of(server: SocketAddr, name: &str, secret_key: &str) -> S3Bucket {
    S3Bucket::new(&config(server, secret_key), name)
}

pub(crate) fn config(server: SocketAddr, secret_key: &str) -> S3Config {
    let credentials = teiten_bucket::Credentials {
        access_key: ACCESS_KEY.to_owned(),
        secret_key: secret_key.to_owned(),
        session_token: None,
    };
    S3Config::new(Some(&format!("http://{server}")), "us-east-1", credentials).unwrap()
}

/// Puts an object; gives its tag.
pub(crate) async fn put(bucket: &S3Bucket, key: &str, bytes: &[u8]) -> String {
    let put = bucket.put(key, Bytes::copy_from_slice(bytes), PLAYLIST, Condition::Always).await.unwrap();
    let Put::Stored(etag) = put else { panic!("an unconditional put was refused") };
    etag.as_str().to_owned()
}

pub(crate) fn now() -> SystemTime {
    UNIX_EPOCH + Duration::from_micros(teiten_telemetry::now().unix_micros())
}

/// A header of a response, as text.
pub(crate) fn header<'a>(response: &'a reqwest::Response, name: &str) -> &'a str {
    response.headers().get(name).map_or("", |value| value.to_str().unwrap())
}

/// How many files there are under a folder, folders in it included.
pub(crate) fn count_files(folder: &Path) -> usize {
    std::fs::read_dir(folder)
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .map(|path| if path.is_dir() { count_files(&path) } else { 1 })
        .sum()
}
