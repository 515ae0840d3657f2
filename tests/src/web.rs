//! A web server for the files of one folder (HTTP/1.1, RFC 9112).

use std::path::{Path, PathBuf};

use tokio::{
    fs,
    io::{AsyncBufReadExt as _, AsyncWriteExt as _, BufReader},
    net::{TcpListener, TcpStream},
};

/// Serves the files of `folder` on a port of 127.0.0.1 until the runtime ends; returns the port.
pub async fn serve(folder: &Path) -> anyhow::Result<u16> {
    let listener = TcpListener::bind("127.0.0.1:0").await?;
    let port = listener.local_addr()?.port();
    let folder = folder.to_owned();
    tokio::spawn(async move {
        while let Ok((connection, _)) = listener.accept().await {
            // One that breaks off costs itself only.
            tokio::spawn(answer(connection, folder.clone()));
        }
    });
    Ok(port)
}

async fn answer(mut connection: TcpStream, folder: PathBuf) -> anyhow::Result<()> {
    let (reader, mut writer) = connection.split();
    let mut lines = BufReader::new(reader).lines();
    let request = lines.next_line().await?.unwrap_or_default();
    while lines.next_line().await?.is_some_and(|line| !line.is_empty()) {}
    let name = request.split(' ').nth(1).and_then(|path| path.strip_prefix('/')).unwrap_or_default();
    let found = if name.contains('/') { None } else { fs::read(folder.join(name)).await.ok() };
    let (status, body) = found.map_or(("404 Not Found", Vec::new()), |body| ("200 OK", body));
    let head = format!("HTTP/1.1 {status}\r\nContent-Length: {}\r\nConnection: close\r\n\r\n", body.len());
    writer.write_all(&[head.as_bytes(), &body].concat()).await?;
    Ok(writer.shutdown().await?)
}
