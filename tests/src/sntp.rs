//! A time server (SNTP, RFC 4330) that tells this machine's time.

use tokio::net::UdpSocket;

/// Seconds from 1900, where NTP's time begins, to 1970.
const UNIX_EPOCH: u64 = 2_208_988_800;

/// Serves the time on a port of 127.0.0.1 until the runtime ends; returns the port.
pub async fn serve() -> anyhow::Result<u16> {
    let socket = UdpSocket::bind("127.0.0.1:0").await?;
    let port = socket.local_addr()?.port();
    tokio::spawn(async move {
        let mut request = [0; 512];
        while let Ok((length, asker)) = socket.recv_from(&mut request).await {
            if let Some(answer) = answer(&request[..length]) {
                // An asker that is gone needs no answer.
                let _sent = socket.send_to(&answer, asker).await;
            }
        }
    });
    Ok(port)
}

/// Section 4: version 4, mode 4 (server), stratum 1.
fn answer(request: &[u8]) -> Option<Vec<u8>> {
    let sent = request.get(40..48)?;
    let now = teiten_telemetry::now().unix_micros();
    let fraction = ((now % 1_000_000) << 32) / 1_000_000;
    let now = [((now / 1_000_000 + UNIX_EPOCH) << 32 | fraction).to_be_bytes()].concat();
    let head = [0x24, 1, 6, 0xEC, 0, 0, 0, 0, 0, 0, 0, 0, b'T', b'E', b'S', b'T'];
    Some([&head[..], &now, sent, &now, &now].concat())
}
