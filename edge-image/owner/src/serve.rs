//! Serves one file to cameras (HTTP/1.1, RFC 9112). Nothing else of this machine can be asked for: what is beside the
//! file may be the owner's keys.

use std::{
    fmt,
    net::{Ipv6Addr, SocketAddr},
    path::{Path, PathBuf},
    time::Duration,
};

use anyhow::Context as _;
use tokio::{
    fs::File,
    io::{self, AsyncBufReadExt as _, AsyncReadExt as _, AsyncWriteExt as _, BufReader},
    net::{TcpListener, TcpStream},
    time::timeout,
};
use tokio_util::task::AbortOnDropHandle;

/// The longest head of a request, in bytes.
const HEAD_BYTES_MAX: u64 = 8192;

/// How long a client may take to ask.
const ASKING_MAX: Duration = Duration::from_secs(30);

/// A file that can be fetched for as long as this lives.
pub struct Served {
    port: u16,
    path: String,
    _server: AbortOnDropHandle<()>,
}

impl Served {
    /// Serves `file` on a port of every address of this machine.
    pub async fn file(file: &Path) -> anyhow::Result<Self> {
        let name = file.file_name().and_then(|name| name.to_str()).unwrap_or_default();
        // What stands for itself in an address (RFC 3986 §2.3).
        let is_plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-._~".contains(&byte);
        anyhow::ensure!(
            !name.is_empty() && name.bytes().all(is_plain),
            "{} has no name of ASCII letters and digits",
            file.display()
        );
        File::open(file).await.with_context(|| format!("{} cannot be read", file.display()))?;
        let any = SocketAddr::from((Ipv6Addr::UNSPECIFIED, 0));
        let listener = match TcpListener::bind(any).await {
            Ok(listener) => listener,
            // A machine without IPv6.
            Err(_) => TcpListener::bind("0.0.0.0:0").await.context("no port can be listened on")?,
        };
        let port = listener.local_addr()?.port();
        let path = format!("/{name}");
        let server = tokio::spawn(serve(listener, path.clone(), file.to_owned()));
        Ok(Self { port, path, _server: AbortOnDropHandle::new(server) })
    }

    /// Its address for those who know this machine as `host`.
    pub fn at(&self, host: &impl fmt::Display) -> String {
        format!("http://{host}:{}{}", self.port, self.path)
    }
}

async fn serve(listener: TcpListener, path: String, file: PathBuf) {
    loop {
        if let Ok((connection, _)) = listener.accept().await {
            let (path, file) = (path.clone(), file.clone());
            // One that breaks off costs itself only.
            tokio::spawn(async move { answer(connection, &path, &file).await });
        }
    }
}

async fn answer(mut connection: TcpStream, path: &str, file: &Path) -> io::Result<()> {
    let (reader, mut writer) = connection.split();
    let asked = timeout(ASKING_MAX, async {
        let mut lines = BufReader::new(reader.take(HEAD_BYTES_MAX)).lines();
        let request = lines.next_line().await?.unwrap_or_default();
        while lines.next_line().await?.is_some_and(|line| !line.is_empty()) {}
        io::Result::Ok(request)
    });
    let request = asked.await??;
    if request.split(' ').take(2).ne(["GET", path]) {
        let refusal = b"HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\nConnection: close\r\n\r\n";
        writer.write_all(refusal).await?;
        return writer.shutdown().await;
    }
    let mut content = File::open(file).await?;
    let length = content.metadata().await?.len();
    let head = format!("HTTP/1.1 200 OK\r\nContent-Length: {length}\r\nConnection: close\r\n\r\n");
    writer.write_all(head.as_bytes()).await?;
    io::copy(&mut content, &mut writer).await?;
    writer.shutdown().await
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    async fn ask(port: u16, request: &str) -> String {
        let mut connection = TcpStream::connect(("127.0.0.1", port)).await.unwrap();
        connection.write_all(format!("{request} HTTP/1.1\r\nHost: a\r\n\r\n").as_bytes()).await.unwrap();
        let mut answer = String::new();
        connection.read_to_string(&mut answer).await.unwrap();
        answer
    }

    #[tokio::test]
    async fn one_file_is_served_and_nothing_beside_it() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("a.raucb");
        fs::write(&file, "bundle").unwrap();
        fs::write(folder.path().join("key.pem"), "key").unwrap();
        let served = Served::file(&file).await.unwrap();
        assert_eq!(served.at(&"desk.lan"), format!("http://desk.lan:{}/a.raucb", served.port));
        let answer = ask(served.port, "GET /a.raucb").await;
        assert!(answer.starts_with("HTTP/1.1 200 ") && answer.ends_with("\r\n\r\nbundle"), "{answer}");
        for request in ["GET /key.pem", "GET /../a.raucb", "GET /", "PUT /a.raucb", "GET /a.raucb2"] {
            assert!(ask(served.port, request).await.starts_with("HTTP/1.1 404 "), "{request}");
        }
        assert!(Served::file(&folder.path().join("missing.raucb")).await.is_err());
        assert!(Served::file(&folder.path().join("a b.raucb")).await.is_err());
    }
}
