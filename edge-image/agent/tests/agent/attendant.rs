//! What the agent says and hears besides frames, through a real broker.

use std::{
    sync::{Arc, Mutex},
    time::Duration,
};

use serde_json::Value;
use teiten_agent::{
    Config, Ended, Host,
    config::{Gpio, HomeAssistant, InputPin, OutputPin, Pull, Schedule},
    gpio::{Board, BoardError, Input, Listener, Output},
};
use teiten_footage::{
    SensorEvent, Topic,
    sensor::{SensorKind, SensorState},
};
use tokio::{task::JoinHandle, time::timeout};
use tokio_util::sync::CancellationToken;

use crate::common::*;

/// A board whose pins are wires of the test's.
#[derive(Clone, Default)]
struct Bench {
    listeners: Arc<Mutex<Vec<(u8, Listener)>>>,
    /// The levels of pins 0 to 27.
    levels: Arc<Mutex<[bool; 28]>>,
}

impl Bench {
    fn level(&self, pin: u8) -> bool {
        self.levels.lock().unwrap()[usize::from(pin)]
    }

    fn move_something(&self, moves: bool) {
        for (pin, listener) in self.listeners.lock().unwrap().iter_mut() {
            self.levels.lock().unwrap()[usize::from(*pin)] = moves;
            listener(moves);
        }
    }
}

struct Wire(u8, Bench);

impl Input for Wire {
    fn is_high(&self) -> bool {
        self.1.level(self.0)
    }
}

impl Output for Wire {
    fn set(&mut self, high: bool) {
        self.1.levels.lock().unwrap()[usize::from(self.0)] = high;
    }
}

impl Board for Bench {
    fn listen(&mut self, pin: u8, _: Pull, changed: Listener) -> Result<Box<dyn Input>, BoardError> {
        self.listeners.lock().unwrap().push((pin, changed));
        Ok(Box::new(Wire(pin, self.clone())))
    }

    fn drive(&mut self, pin: u8, high: bool) -> Result<Box<dyn Output>, BoardError> {
        let mut wire = Wire(pin, self.clone());
        wire.set(high);
        Ok(Box::new(wire))
    }
}

fn gpio() -> Gpio {
    let output = |pin| Some(OutputPin { pin, active_high: true });
    Gpio {
        pir: Some(InputPin { pin: 17, active_high: true, pull: Pull::Down }),
        led: output(27),
        infrared: output(22),
    }
}

fn start(config: Config, bench: &Bench) -> (CancellationToken, JoinHandle<anyhow::Result<Ended>>) {
    let shutdown = CancellationToken::new();
    let host = Host { board: Box::new(bench.clone()), ..Host::default() };
    (shutdown.clone(), tokio::spawn(teiten_agent::run_on(host, config, shutdown)))
}

#[tokio::test(flavor = "multi_thread")]
async fn telemetry_and_a_preview_come_with_the_frames() {
    let broker = Mosquitto::start().await;
    let mut visitor = Visitor::enter(broker.port).await;
    let _bridge = Bridge::start(broker.port, true);
    let agent = Agent::start(config(broker.port));
    visitor.telemetry().await;
    let preview = visitor.frame_on(Topic::Preview(camera())).await;
    let next = visitor.frame_on(Topic::Preview(camera())).await;
    let apart = next.captured.since(preview.captured);
    assert!(apart > Duration::from_millis(800), "about one a second: {apart:?}");
    let telemetry = visitor.telemetry().await;
    let frames = &telemetry["frames"];
    assert!(frames["captured"].as_u64() > Some(50) && frames["stored"].as_u64() > Some(10), "{telemetry}");
    assert!((5.0..=11.0).contains(&frames["per_second"].as_f64().unwrap()), "{telemetry}");
    assert_eq!(telemetry["source"]["state"], "flowing");
    assert_eq!(telemetry["versions"]["agent"], env!("CARGO_PKG_VERSION"));
    assert!(telemetry["uptime_seconds"].as_u64() > Some(0), "{telemetry}");
    agent.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn control_changes_the_rate_that_is_seen_and_a_snapshot_comes_when_asked() {
    let broker = Mosquitto::start().await;
    let _bridge = Bridge::start(broker.port, true);
    let mut visitor = Visitor::enter(broker.port).await;
    let agent = Agent::start(config(broker.port));
    visitor.telemetry().await;
    visitor.ask(r#"{"id":"a","rate":40,"resolution":"320x180","snapshot":true}"#).await;
    assert_eq!(visitor.reply().await, r#"{"id":"a","ok":true}"#);
    let snapshot = visitor.frame_on(Topic::Snapshot(camera())).await;
    loop {
        let first = visitor.frame_on(Topic::Frame(camera())).await;
        let second = visitor.frame_on(Topic::Frame(camera())).await;
        let small = image::load_from_memory(&second.jpeg).unwrap().width() == 320;
        if small && second.captured.since(first.captured) < Duration::from_millis(45) {
            assert!(second.captured > snapshot.captured);
            break;
        }
    }
    agent.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn bad_and_retained_control_is_refused_with_a_reason() {
    let broker = Mosquitto::start().await;
    let _bridge = Bridge::start(broker.port, true);
    let mut visitor = Visitor::enter(broker.port).await;
    let control = Topic::Control(camera()).to_string();
    // A restart that the broker keeps: obeyed, it would come again and again.
    visitor.publish(&control, r#"{"id":"old","restart":true}"#, true).await;
    visitor.hear(&control).await;
    let agent = Agent::start(config(broker.port));
    let reply = visitor.reply().await;
    assert!(reply.starts_with(r#"{"id":"old","ok":false,"reason":"a retained message"#), "{reply}");
    visitor.ask(r#"{"id":"b","rate":1,"light":"on","colour":"red"}"#).await;
    let reply = visitor.reply().await;
    for part in [r#""id":"b","ok":false"#, "gpio.infrared", "no such key"] {
        assert!(reply.contains(part), "{reply}");
    }
    visitor.ask("restart!").await;
    assert_eq!(visitor.reply().await, r#"{"ok":false,"reason":"a request is a JSON object"}"#);
    // Nothing of it was done: not the rate, and it is still the same run.
    let first = visitor.frame_on(Topic::Frame(camera())).await;
    let second = visitor.frame_on(Topic::Frame(camera())).await;
    assert_eq!(first.id.boot, second.id.boot);
    assert!(second.captured.since(first.captured) < Duration::from_millis(800));
    agent.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_update_that_cannot_be_noted_is_refused_and_may_be_asked_for_again() {
    let broker = Mosquitto::start().await;
    let place = tempfile::tempdir().unwrap();
    std::fs::write(place.path().join("takes-updates"), "").unwrap();
    // In the way of the file that the card's updater reads.
    let noted = place.path().join("update");
    std::fs::create_dir_all(noted.join("full")).unwrap();
    let host = Host { run_directory: Some(place.path().to_owned()), ..Host::default() };
    let mut visitor = Visitor::enter(broker.port).await;
    let shutdown = CancellationToken::new();
    let agent = tokio::spawn(teiten_agent::run_on(host, config(broker.port), shutdown.clone()));
    visitor.telemetry().await;

    let request = r#"{"id":"a","update":"http://desk/teiten.raucb"}"#;
    visitor.ask(request).await;
    let reply = visitor.reply().await;
    assert!(reply.starts_with(r#"{"id":"a","ok":false,"reason":"update: it cannot be noted: "#), "{reply}");
    std::fs::remove_dir_all(&noted).unwrap();
    visitor.ask(request).await;
    let reply = visitor.reply().await;
    assert!(reply.starts_with(r#"{"id":"a","ok":true,"note":"#), "{reply}");
    assert_eq!(std::fs::read_to_string(&noted).unwrap(), "http://desk/teiten.raucb\n");
    shutdown.cancel();
    soon(agent).await.unwrap().unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn an_update_is_refused_for_a_reason_that_holds() {
    let broker = Mosquitto::start().await;
    let place = tempfile::tempdir().unwrap();
    let run = |name: &str| place.path().join(name);
    let host = Host { run_directory: Some(place.path().to_owned()), ..Host::default() };
    let mut visitor = Visitor::enter(broker.port).await;
    let shutdown = CancellationToken::new();
    let agent = tokio::spawn(teiten_agent::run_on(host, config(broker.port), shutdown.clone()));
    visitor.telemetry().await;
    let request = r#"{"update":"http://desk/teiten.raucb"}"#;

    visitor.ask(request).await;
    assert!(visitor.reply().await.contains("does not run from a card with two slots"));
    std::fs::write(run("update-state"), "slot B on trial\n").unwrap();
    visitor.ask(request).await;
    assert!(visitor.reply().await.contains("update: not now, one is under way: slot B on trial"));
    std::fs::write(run("takes-updates"), "").unwrap();
    visitor.ask(request).await;
    assert!(visitor.reply().await.starts_with(r#"{"ok":true,"#));
    // The updater has not seen it yet.
    visitor.ask(r#"{"update":"http://desk/another.raucb"}"#).await;
    assert!(visitor.reply().await.contains("update: not now, one is under way: asked for"));
    assert_eq!(std::fs::read_to_string(run("update")).unwrap(), "http://desk/teiten.raucb\n");
    shutdown.cancel();
    soon(agent).await.unwrap().unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_restart_ends_the_agent_once_what_it_has_is_stored() {
    let broker = Mosquitto::start().await;
    let mut visitor = Visitor::enter(broker.port).await;
    let _bridge = Bridge::start(broker.port, true);
    let (_shutdown, agent) = start(config(broker.port), &Bench::default());
    visitor.telemetry().await;
    visitor.ask(r#"{"restart":true}"#).await;
    assert_eq!(visitor.reply().await, r#"{"ok":true}"#);
    assert_eq!(soon(agent).await.unwrap().unwrap(), Ended::RestartAsked);
}

#[tokio::test(flavor = "multi_thread")]
async fn motion_is_told_even_if_the_broker_was_away() {
    let mut broker = Mosquitto::start().await;
    let _bridge = Bridge::start(broker.port, true);
    let mut visitor = Visitor::enter(broker.port).await;
    let bench = Bench::default();
    let (shutdown, agent) = start(Config { gpio: gpio(), ..config(broker.port) }, &bench);
    visitor.telemetry().await;
    let event = Topic::Event(camera()).to_string();
    bench.move_something(true);
    let started = SensorEvent::from_json(&visitor.hear(&event).await.payload).unwrap();
    assert_eq!((started.kind, started.state), (SensorKind::Motion, SensorState::Started));
    drop(visitor);
    broker.kill();
    bench.move_something(false);
    // It has ended once it was quiet for two seconds; the new broker hears of it whenever that was.
    broker.restart().await;
    let mut visitor = Visitor::enter(broker.port).await;
    let ended = loop {
        let event = SensorEvent::from_json(&visitor.hear(&event).await.payload).unwrap();
        if event.state == SensorState::Ended {
            break event;
        }
    };
    assert!(ended.at > started.at);
    shutdown.cancel();
    soon(agent).await.unwrap().unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn motion_that_no_bridge_heard_of_is_told_again_once_there_is_one() {
    let broker = Mosquitto::start().await;
    let mut visitor = Visitor::enter(broker.port).await;
    let bench = Bench::default();
    let (shutdown, agent) = start(Config { gpio: gpio(), ..config(broker.port) }, &bench);
    visitor.telemetry().await;
    let event = Topic::Event(camera()).to_string();
    bench.move_something(true);
    let started = visitor.hear(&event).await.payload;
    let _bridge = Bridge::start(broker.port, true);
    assert_eq!(visitor.hear(&event).await.payload, started);
    shutdown.cancel();
    soon(agent).await.unwrap().unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn motion_ends_when_the_camera_stops_and_telemetry_says_what_is() {
    let broker = Mosquitto::start().await;
    let _bridge = Bridge::start(broker.port, true);
    let mut visitor = Visitor::enter(broker.port).await;
    let bench = Bench::default();
    let (shutdown, agent) = start(Config { gpio: gpio(), ..config(broker.port) }, &bench);
    assert_eq!(visitor.telemetry().await["motion"], "off");
    let event = Topic::Event(camera()).to_string();
    bench.move_something(true);
    visitor.hear(&event).await;
    assert_eq!(visitor.telemetry().await["motion"], "on");
    shutdown.cancel();
    soon(agent).await.unwrap().unwrap();
    // What began may be told twice, if the bridge said hello late.
    while SensorEvent::from_json(&visitor.hear(&event).await.payload).unwrap().state != SensorState::Ended {}
}

#[tokio::test(flavor = "multi_thread")]
async fn telemetry_that_follows_another_tells_the_same_rate() {
    let broker = Mosquitto::start().await;
    let mut bridge = Bridge::start(broker.port, true);
    let mut visitor = Visitor::enter(broker.port).await;
    let agent = Agent::start(config(broker.port));
    visitor.telemetry().await;
    bridge.frames(30).await;
    for _ in 0..2 {
        visitor.ask(r#"{"snapshot":true}"#).await;
    }
    for _ in 0..2 {
        let telemetry = visitor.telemetry().await;
        assert!((7.0..=13.0).contains(&telemetry["frames"]["per_second"].as_f64().unwrap()), "{telemetry}");
    }
    agent.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_light_follows_its_schedule_until_control_says_otherwise() {
    let broker = Mosquitto::start().await;
    let _bridge = Bridge::start(broker.port, true);
    let mut visitor = Visitor::enter(broker.port).await;
    let bench = Bench::default();
    // All day but one minute that is far from now.
    let minute = (teiten_telemetry::now().unix_millis() / 60_000 + 720) % 1440;
    let (to, from) = (minute as u16, (minute as u16 + 1) % 1440);
    let light = Schedule::new(from, to, 0);
    let (shutdown, agent) = start(Config { gpio: gpio(), light, ..config(broker.port) }, &bench);
    while visitor.telemetry().await["light"] != "on" {}
    assert!(bench.level(22));
    visitor.ask(r#"{"light":"off","led":"on"}"#).await;
    while visitor.telemetry().await["light"] != "off" {}
    assert!(!bench.level(22));
    soon(async {
        while !bench.level(27) {
            tokio::task::yield_now().await;
        }
    })
    .await;
    visitor.ask(r#"{"light":"auto"}"#).await;
    while visitor.telemetry().await["light"] != "on" {}
    assert!(bench.level(22));
    shutdown.cancel();
    soon(agent).await.unwrap().unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn home_assistant_finds_the_camera_until_it_is_switched_off() {
    let broker = Mosquitto::start().await;
    let _bridge = Bridge::start(broker.port, true);
    let topic = "homeassistant/device/teiten-front-door/config";
    let settings = |enabled| {
        let home_assistant = HomeAssistant { enabled, ..HomeAssistant::default() };
        Config { home_assistant, gpio: gpio(), ..config(broker.port) }
    };
    let mut visitor = Visitor::enter(broker.port).await;
    let (shutdown, agent) = start(settings(true), &Bench::default());
    visitor.hear(topic).await;
    // Retained, so it is there for whoever comes later.
    let announced = Visitor::enter(broker.port).await.hear(topic).await;
    assert!(announced.retained);
    let announced: Value = serde_json::from_slice(&announced.payload).unwrap();
    let components = &announced["components"];
    assert_eq!(components["motion"]["state_topic"], "teiten/front-door/telemetry");
    assert_eq!(components["picture"]["topic"], "teiten/front-door/preview");
    shutdown.cancel();
    soon(agent).await.unwrap().unwrap();

    let (shutdown, agent) = start(settings(false), &Bench::default());
    while !visitor.hear(topic).await.payload.is_empty() {}
    let mut later = Visitor::enter(broker.port).await;
    later.telemetry().await;
    assert!(later.heard.try_recv().is_err(), "nothing is announced any more");
    shutdown.cancel();
    soon(agent).await.unwrap().unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn home_assistant_is_told_once_what_the_camera_does_not_have() {
    let broker = Mosquitto::start().await;
    let mut visitor = Visitor::enter(broker.port).await;
    let home_assistant = HomeAssistant { enabled: true, ..HomeAssistant::default() };
    let agent = Agent::start(Config { home_assistant, preview: false, ..config(broker.port) });
    for expected in [serde_json::json!({ "platform": "camera" }), Value::Null] {
        let announced = visitor.hear("homeassistant/device/teiten-front-door/config").await;
        let announced: Value = serde_json::from_slice(&announced.payload).unwrap();
        assert_eq!(announced["components"]["picture"], expected);
    }
    agent.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_broker_that_takes_frames_which_nobody_stores_is_noticed_and_a_bridge_mends_it() {
    let broker = Mosquitto::start().await;
    let mut visitor = Visitor::enter(broker.port).await;
    let agent = Agent::start(config(broker.port));
    let before = visitor.telemetry().await;
    assert_eq!(before["spool"].get("unstored_seconds"), None, "{before}");
    let noticed = async {
        loop {
            let telemetry = visitor.telemetry().await;
            if let Some(seconds) = telemetry["spool"].get("unstored_seconds") {
                return seconds.as_u64();
            }
        }
    };
    assert!(timeout(Duration::from_secs(90), noticed).await.unwrap() >= Some(60));
    let _bridge = Bridge::start(broker.port, true);
    while visitor.telemetry().await["spool"].get("unstored_seconds").is_some() {}
    agent.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_watchdog_can_read_that_frames_flow() {
    let place = tempfile::tempdir().unwrap();
    let host = Host { run_directory: Some(place.path().to_owned()), ..Host::default() };
    // Without any broker: what counts is whether the camera works.
    let shutdown = CancellationToken::new();
    let agent = tokio::spawn(teiten_agent::run_on(host, config(1), shutdown.clone()));
    health_is("flowing", place.path()).await;
    agent.abort();
}

#[tokio::test(flavor = "multi_thread")]
async fn the_watchdog_can_read_that_pictures_are_too_large_and_telemetry_says_what_to_do() {
    let broker = Mosquitto::start().await;
    let mut visitor = Visitor::enter(broker.port).await;
    let (footage_place, run_place) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let source = footage(footage_place.path(), 1, 10.0, true);
    let file = footage_place.path().join("000001.jpg");
    let mut large = std::fs::read(&file).unwrap();
    // Comments behind SOI, 1.2 MB of them.
    let comment = [[0xFF, 0xFE, 0xEA, 0x60].as_slice(), &[b' '; 0xEA60 - 2]].concat();
    large.splice(2..2, comment.repeat(20));
    std::fs::write(&file, large).unwrap();
    let host = Host { run_directory: Some(run_place.path().to_owned()), ..Host::default() };
    let shutdown = CancellationToken::new();
    let config = Config { source, ..config(broker.port) };
    let agent = tokio::spawn(teiten_agent::run_on(host, config, shutdown.clone()));
    let failing = loop {
        let telemetry = visitor.telemetry().await;
        if telemetry["source"]["state"] == "failing" {
            break telemetry;
        }
    };
    assert!(failing["frames"]["dropped"]["too_large"].as_u64() > Some(0), "{failing}");
    let why = failing["source"]["why"].as_str().unwrap();
    assert!(why.contains("choose a smaller width and height"), "{why}");
    health_is("absent", run_place.path()).await;
    shutdown.cancel();
    soon(agent).await.unwrap().unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn mistakes_of_earlier_settings_are_taken_back() {
    let broker = Mosquitto::start().await;
    let topic = Topic::Mistakes(camera()).to_string();
    let mut visitor = Visitor::enter(broker.port).await;
    visitor.publish(&topic, r#"{"mistakes":[]}"#, true).await;
    assert!(!visitor.hear(&topic).await.payload.is_empty());
    let agent = Agent::start(config(broker.port));
    assert!(visitor.hear(&topic).await.payload.is_empty());
    agent.stop().await;
}
