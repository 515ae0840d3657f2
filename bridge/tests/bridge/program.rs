//! The bridge as a program.

use std::{
    process::{ExitStatus, Stdio},
    time::Duration,
};

use teiten_footage::{SensorEvent, SensorState, sensor::SensorKind};
use tokio::{
    io::{AsyncBufReadExt as _, BufReader, Lines},
    process::{Child, ChildStderr, Command},
    time::timeout,
};

use crate::harness::{Camera, Installation, PATIENCE};

/// Much less than a bridge waits for a sink when it is stopped.
const SOON: Duration = Duration::from_secs(5);

struct Program {
    child: Child,
    log: Lines<BufReader<ChildStderr>>,
}

impl Program {
    fn start(all: &Installation) -> Self {
        let mut child = Command::new(env!("CARGO_BIN_EXE_teiten-bridge"))
            .env("TEITEN_MQTT", all.broker.address.to_string())
            .env("K_SINK", &all.sink.url)
            .envs(["AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"].map(|name| (name, "nobody")))
            .env("RUST_LOG", "info")
            .stdin(Stdio::null())
            .stderr(Stdio::piped())
            .kill_on_drop(true)
            .spawn()
            .unwrap();
        let log = BufReader::new(child.stderr.take().unwrap()).lines();
        Self { child, log }
    }

    /// As Ctrl-C does.
    async fn interrupt(&self) {
        // Nobody has waited for the child yet, so the id is still its own.
        let id = self.child.id().unwrap().to_string();
        assert!(Command::new("kill").args(["-INT", &id]).status().await.unwrap().success());
    }

    /// Awaits that its log has these words.
    async fn says(&mut self, words: &str) {
        let said = async {
            while let Some(line) = self.log.next_line().await.unwrap() {
                if line.contains(words) {
                    return true;
                }
            }
            false
        };
        assert!(timeout(PATIENCE, said).await.is_ok_and(|said| said), "it says {words:?}");
    }

    async fn ends_soon(mut self) -> ExitStatus {
        timeout(SOON, self.child.wait()).await.expect("it ends").unwrap()
    }
}

#[tokio::test]
async fn ctrl_c_has_it_tell_what_it_knows_and_once_more_ends_it_as_it_is() {
    let mut all = Installation::start().await;
    let mut camera = Camera::connect(&all.broker, "front-door").await;
    let mut bridge = Program::start(&all);
    camera.hello().await;
    all.sink.answer(503);
    let (kind, state, at) = (SensorKind::Motion, SensorState::Started, teiten_telemetry::now());
    let event = SensorEvent { kind, state, at }.to_json();
    camera.send_to("teiten/front-door/event".to_owned(), event.into_bytes(), false).await;
    all.sink.asked().await;
    bridge.interrupt().await;
    bridge.says("draining").await;
    bridge.interrupt().await;
    bridge.says("what is under way is given up").await;
    assert_eq!(bridge.ends_soon().await.code(), Some(130));
}
