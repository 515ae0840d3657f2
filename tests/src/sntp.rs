//! A time server (SNTP, RFC 4330) that tells this machine's time.

use std::sync::{
    Arc,
    atomic::{AtomicBool, Ordering},
};

use tokio::net::UdpSocket;

/// Seconds from 1900, where NTP's time begins, to 1970.
const UNIX_EPOCH: u64 = 2_208_988_800;

/// A time server.
pub struct TimeServer {
    /// Its port on 127.0.0.1.
    pub port: u16,
    answers: Arc<AtomicBool>,
}

impl TimeServer {
    /// Starts one that hears and does not answer yet. It ends with the runtime.
    pub async fn silent() -> anyhow::Result<Self> {
        let socket = UdpSocket::bind("127.0.0.1:0").await?;
        let port = socket.local_addr()?.port();
        let answers = Arc::new(AtomicBool::new(false));
        let answering = Arc::clone(&answers);
        tokio::spawn(async move {
            let mut request = [0; 512];
            while let Ok((length, asker)) = socket.recv_from(&mut request).await {
                if answering.load(Ordering::Relaxed)
                    && let Some(answer) = answer(&request[..length])
                {
                    // An asker that is gone needs no answer.
                    let _sent = socket.send_to(&answer, asker).await;
                }
            }
        });
        Ok(Self { port, answers })
    }

    /// Starts one that answers.
    pub async fn answering() -> anyhow::Result<Self> {
        let server = Self::silent().await?;
        server.answer_from_now_on();
        Ok(server)
    }

    /// Lets it answer.
    pub fn answer_from_now_on(&self) {
        self.answers.store(true, Ordering::Relaxed);
    }
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
