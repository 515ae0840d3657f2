//! Connections: accepting them, serving HTTP/1.1 on them, and letting them finish.

use std::{convert::Infallible, future::Future, io, net::SocketAddr, sync::Arc, time::Duration};

use http::Request;
use hyper::{body::Incoming, server::conn::http1, service::service_fn};
use hyper_util::{
    rt::{TokioIo, TokioTimer},
    server::graceful::GracefulShutdown,
};
use s3s::{
    auth::SimpleAuth,
    service::{S3Service, S3ServiceBuilder},
};
use tokio::{
    net::{TcpListener, TcpStream},
    sync::Semaphore,
};
use tokio_util::sync::CancellationToken;

use crate::{
    Store,
    access::Access,
    front::{self, Door},
    protocol::Protocol,
};

/// The most connections of one door at once. Further ones wait.
const CONNECTIONS_MAX: usize = 1024;

/// How long a connection may be idle, or take to send a request's head. Longer than clients keep idle
/// connections (the AWS SDK: 90 s), so that they are the ones who close.
const IDLE_MAX: Duration = Duration::from_secs(120);

/// How long requests under way may take to finish once the server is told to stop.
const DRAIN_MAX: Duration = Duration::from_secs(5);

/// How long to wait when the system has no descriptors left for another connection.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

/// The keys that clients sign with.
#[derive(Clone)]
pub struct Credentials {
    /// Access key.
    pub access_key: String,
    /// Secret key.
    pub secret_key: String,
}

/// An S3 server over a store. Clones serve the same store.
#[derive(Debug, Clone)]
pub struct Server {
    service: S3Service,
}

impl Server {
    /// A server for clients who sign with `credentials`, and anyone who reads objects of `media`.
    pub fn new(store: Store, credentials: Credentials) -> Self {
        Self::with_access(store, credentials, Access { media_is_public: true })
    }

    /// A server for clients who sign with `credentials` (in a header or, as links do, in the query), and nobody else.
    pub fn private(store: Store, credentials: Credentials) -> Self {
        Self::with_access(store, credentials, Access { media_is_public: false })
    }

    fn with_access(store: Store, credentials: Credentials, access: Access) -> Self {
        let mut builder = S3ServiceBuilder::new(Protocol::new(store));
        builder.set_auth(SimpleAuth::from_single(credentials.access_key, credentials.secret_key));
        builder.set_access(access);
        Self { service: builder.build() }
    }

    /// Serves S3 (path style) on `listener` until `shutdown`, then finishes the requests under way.
    pub fn serve(
        &self,
        listener: TcpListener,
        shutdown: CancellationToken,
    ) -> impl Future<Output = io::Result<()>> + Send + use<> {
        serve(self.service.clone(), Door::S3, listener, shutdown)
    }

    /// Serves the objects of `bucket`, which must be public, at the root of an origin: `/key` is the object
    /// `key`, `/folder/` is `folder/index.html`. Until `shutdown`, then finishes the requests under way.
    pub fn serve_public(
        &self,
        listener: TcpListener,
        bucket: &str,
        shutdown: CancellationToken,
    ) -> impl Future<Output = io::Result<()>> + Send + use<> {
        serve(self.service.clone(), Door::Bucket(bucket.to_owned()), listener, shutdown)
    }
}

async fn serve(
    service: S3Service,
    door: Door,
    listener: TcpListener,
    shutdown: CancellationToken,
) -> io::Result<()> {
    let connections = Arc::new(Semaphore::new(CONNECTIONS_MAX));
    let graceful = GracefulShutdown::new();
    // Ends what is left of the connections when this function ends, however it does.
    let cut_off = CancellationToken::new();
    let _cut_off_at_the_end = cut_off.clone().drop_guard();
    let accepting = async {
        loop {
            // The semaphore is never closed.
            let permit = connections.clone().acquire_owned().await.map_err(io::Error::other)?;
            let (stream, peer) = accept(&listener).await?;
            // Answers are small and awaited: none may wait for the acknowledgement of the one before.
            if stream.set_nodelay(true).is_err() {
                continue; // The client is gone already.
            }
            let (service, door) = (service.clone(), door.clone());
            let respond = service_fn(move |request: Request<Incoming>| {
                let (service, door) = (service.clone(), door.clone());
                async move { Ok::<_, Infallible>(front::answer(&service, &door, request).await) }
            });
            let mut http = http1::Builder::new();
            http.timer(TokioTimer::new()).header_read_timeout(IDLE_MAX);
            let connection = graceful.watch(http.serve_connection(TokioIo::new(stream), respond));
            let cut_off = cut_off.clone();
            tokio::spawn(async move {
                // A client that goes away is no failure of ours.
                if let Some(Err(error)) = cut_off.run_until_cancelled(connection).await {
                    tracing::debug!(%peer, error = &error as &dyn std::error::Error, "a connection broke");
                }
                drop(permit);
            });
        }
    };
    let accepted: io::Result<()> = tokio::select! {
        result = accepting => result,
        () = shutdown.cancelled() => Ok(()),
    };
    drop(listener);
    if tokio::time::timeout(DRAIN_MAX, graceful.shutdown()).await.is_err() {
        tracing::warn!(waited_seconds = DRAIN_MAX.as_secs(), "requests under way were cut off");
    }
    accepted
}

/// Accepts a connection, whatever became of earlier ones.
async fn accept(listener: &TcpListener) -> io::Result<(TcpStream, SocketAddr)> {
    loop {
        match listener.accept().await {
            Ok(accepted) => return Ok(accepted),
            Err(error) if is_of_the_connection(&error) => {}
            Err(error) => {
                tracing::warn!(error = &error as &dyn std::error::Error, "no connection can be accepted");
                tokio::time::sleep(ACCEPT_PAUSE).await;
            }
        }
    }
}

fn is_of_the_connection(error: &io::Error) -> bool {
    use io::ErrorKind::{ConnectionAborted, ConnectionRefused, ConnectionReset};
    matches!(error.kind(), ConnectionAborted | ConnectionRefused | ConnectionReset)
}
