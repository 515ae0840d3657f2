//! A store and the functions that write to it, in this process: footage of any time is made at once.

use std::{net::Ipv4Addr, path::Path, sync::Arc, time::Duration};

use anyhow::Context as _;
use teiten_agent::pattern::Painter;
use teiten_bucket::{Bucket, Condition, Headers, S3Bucket, S3Config};
use teiten_encode::Encode;
use teiten_footage::{
    Batch, BatchKey, BootId, CameraId, ContentHash, Event, Frame, FrameId, SegmentKey, Window,
    key::{self, BatchFormat},
};
use teiten_host::{Function as _, Origins, Responder};
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;

use crate::other_encoder;

/// How much time there is between two pictures.
pub const STEP: Duration = Duration::from_millis(250);

/// Columns and rows of pictures, unless a test wants others.
pub const PICTURE: (u32, u32) = (640, 480);

/// A store, and the functions that write to it.
pub struct Station {
    frames: Arc<dyn Bucket>,
    /// The bucket of media.
    pub media: Arc<dyn Bucket>,
    /// How to reach the store.
    pub config: S3Config,
    /// Where players find the bucket of media, which anybody may read.
    pub address: String,
    encode: Encode,
}

impl Station {
    /// Opens one over the folder `data`, until `stop`.
    pub async fn open(data: &Path, stop: &CancellationToken) -> anyhow::Result<Self> {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await?;
        let endpoint = format!("http://{}", listener.local_addr()?);
        let (access_key, secret_key) = ("players".to_owned(), "players-secret".to_owned());
        let credentials =
            teiten_s3::Credentials { access_key: access_key.clone(), secret_key: secret_key.clone() };
        let server = teiten_s3::Server::new(teiten_s3::Store::open(data)?, credentials);
        tokio::spawn(server.serve(listener, stop.clone()));
        let credentials = teiten_bucket::Credentials { access_key, secret_key, session_token: None };
        let config = S3Config::new(Some(&endpoint), "us-east-1", credentials)?;
        let frames: Arc<dyn Bucket> = Arc::new(S3Bucket::new(&config, key::FRAMES_BUCKET));
        let media: Arc<dyn Bucket> = Arc::new(S3Bucket::new(&config, key::MEDIA_BUCKET));
        let address = format!("{endpoint}/{}", key::MEDIA_BUCKET);
        let encode = Encode::new(Arc::clone(&frames), Arc::clone(&media), Default::default());
        Ok(Self { frames, media, config, address, encode })
    }

    /// The pictures of a window, as the bridge stores them and `encode` works them in; answers the event of that.
    pub async fn film(
        &self,
        painter: &mut Painter,
        camera: &CameraId,
        window: Window,
    ) -> anyhow::Result<Event> {
        let batch = batch(painter, window)?;
        let key = BatchKey { camera: camera.clone(), window, format: BatchFormat::Mjpeg };
        self.frames.put(&key.to_string(), batch.to_bytes(), Headers::default(), Condition::Always).await?;
        let bucket = self.frames.name().to_owned();
        let answer = self.encode.handle(Event::BatchStored { bucket, key, frames: None }).await;
        answer.map_err(|failure| anyhow::anyhow!("{failure}"))?.context("nothing was encoded")
    }

    /// The same, but that another encoder works them in.
    pub async fn film_otherwise(
        &self,
        painter: &mut Painter,
        camera: &CameraId,
        window: Window,
    ) -> anyhow::Result<Event> {
        let batch = batch(painter, window)?;
        let (init, segment, pictures) = other_encoder::encode(&batch)?;
        let hash = ContentHash::of(&init);
        let key = SegmentKey { camera: camera.clone(), window, init: hash, pictures };
        let headers = Headers { content_type: "video/mp4", ..Headers::default() };
        self.media.put(&key.init_key().to_string(), init, headers, Condition::Always).await?;
        self.media.put(&key.to_string(), segment, headers, Condition::Always).await?;
        Ok(Event::SegmentStored { bucket: self.media.name().to_owned(), key, motion: None })
    }
}

/// Serves a function that answers requests, until `stop`; answers where.
pub async fn serve(function: impl Responder, stop: &CancellationToken) -> anyhow::Result<String> {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await?;
    let address = format!("http://{}", listener.local_addr()?);
    let (function, stop) = (Arc::new(function), stop.clone());
    tokio::spawn(teiten_host::serve_requests(function, Origins::default(), listener, stop));
    Ok(address)
}

/// What a camera captures in a window.
pub fn batch(painter: &mut Painter, window: Window) -> anyhow::Result<Batch> {
    let mut frames = Vec::new();
    let mut captured = window.start();
    while captured < window.end() {
        let id = FrameId { boot: BootId(1), sequence: captured.unix_millis() / STEP.as_millis() as u64 };
        frames.push(Frame::stamp(&painter.jpeg(captured), id, captured)?);
        captured = captured + STEP;
    }
    Ok(Batch::new(window, frames)?)
}
