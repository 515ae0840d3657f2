//! A real Prometheus watches a real bridge and real functions: what dashboard and alerts ask for is there. A collector of
//! traces is told each window's way through them; where it is in PATH, OpenTelemetry's own.

use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    path::Path,
    process::Command,
    time::Duration,
};

use anyhow::{Context as _, ensure};
use serde_json::Value;
use teiten_bucket::{Condition, Headers};
use teiten_footage::{CloudEvent, DeadLetter, WindowLength, key::live_playlist_key};
use teiten_telemetry::now;
use teiten_tests::{
    collector::Collector,
    pipeline::{Options, Pipeline, camera},
    process::{Process, eventually, free_port, listening, project, some_footage},
    verify::batches,
};

const PATIENCE: Duration = Duration::from_secs(60);

struct Prometheus {
    _process: Process,
    port: u16,
}

impl Prometheus {
    /// One that scrapes `targets` (by name) once a second.
    async fn start(folder: &Path, targets: &BTreeMap<&str, u16>) -> anyhow::Result<Self> {
        let port = free_port()?;
        let config = folder.join("prometheus.yml");
        let mut text = "global: {scrape_interval: 1s, evaluation_interval: 1s}\nscrape_configs:\n".to_owned();
        for (name, port) in targets {
            text +=
                &format!("  - job_name: {name}\n    static_configs: [{{targets: ['127.0.0.1:{port}']}}]\n");
        }
        fs::write(&config, text)?;
        let data = folder.join("prometheus");
        let process = Process::start("prometheus", folder, move || {
            let mut command = Command::new("prometheus");
            command
                .arg(format!("--config.file={}", config.display()))
                .arg(format!("--storage.tsdb.path={}", data.display()))
                .arg(format!("--web.listen-address=127.0.0.1:{port}"));
            command
        })?;
        listening("Prometheus", port).await?;
        Ok(Self { _process: process, port })
    }

    async fn get(&self, path: &str) -> anyhow::Result<Value> {
        let url = format!("http://127.0.0.1:{}/api/v1/{path}", self.port);
        Ok(reqwest::get(url).await?.error_for_status()?.json().await?)
    }

    /// The names of all series.
    async fn names(&self) -> anyhow::Result<BTreeSet<String>> {
        let names = self.get("label/__name__/values").await?;
        Ok(serde_json::from_value(names["data"].clone())?)
    }

    /// The value of an expression that has one.
    async fn value(&self, expression: &str) -> anyhow::Result<Option<f64>> {
        let mut url = reqwest::Url::parse(&format!("http://127.0.0.1:{}/api/v1/query", self.port))?;
        url.query_pairs_mut().append_pair("query", expression);
        let answer: Value = reqwest::get(url).await?.error_for_status()?.json().await?;
        let value = answer["data"]["result"][0]["value"][1].as_str();
        value.map(|text| text.parse().context("a value is a number")).transpose()
    }
}

/// Every word in `text` that begins with `teiten_`.
fn names_in(text: &str) -> BTreeSet<String> {
    let words = text.split(|c: char| !c.is_ascii_alphanumeric() && c != '_');
    words.filter(|word| word.starts_with("teiten_")).map(str::to_owned).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn what_dashboard_and_alerts_ask_for_is_told_and_each_window_is_a_trace() -> anyhow::Result<()> {
    let folder = tempfile::tempdir()?;
    let collector = Collector::start().await?;
    let options = Options::traced(&collector);
    let mut pipeline = Pipeline::start_with(folder.path(), WindowLength::DEFAULT, options).await?;
    let _chores = [pipeline.another_function("compact")?, pipeline.another_function("pictures")?];
    let prometheus = Prometheus::start(folder.path(), &pipeline.metrics_ports).await?;
    let footage = some_footage(folder.path(), 20)?;
    // The first batches meet a store that is away.
    pipeline.store.process.kill()?;
    let mut agent = pipeline.agent(&camera("gate")?, &footage, 10.0, false)?;
    let outcome = async {
        pipeline.bridge.has_said("batch not stored, retrying", PATIENCE).await?;
        pipeline.store.process.restart()?;
        watch(&pipeline, &prometheus, &mut agent).await?;
        follow(&pipeline, &collector, "gate", true).await
    }
    .await;
    if outcome.is_err() {
        println!("{}", pipeline.logs());
    }
    outcome
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs otelcol, which Debian does not have: ./just test-collector"]
async fn opentelemetry_s_own_collector_takes_each_window_s_trace_and_nobody_waits_for_it()
-> anyhow::Result<()> {
    let folder = tempfile::tempdir()?;
    let (collector, mut otelcol) = Collector::behind_otelcol(folder.path()).await?;
    let mut pipeline =
        Pipeline::start_with(folder.path(), WindowLength::DEFAULT, Options::traced(&collector)).await?;
    let footage = some_footage(folder.path(), 20)?;
    let outcome = async {
        pipeline.store.process.kill()?;
        let mut gate = pipeline.agent(&camera("gate")?, &footage, 10.0, false)?;
        pipeline.bridge.has_said("batch not stored, retrying", PATIENCE).await?;
        pipeline.store.process.restart()?;
        ensure!(gate.ended(PATIENCE).await?.success(), "{}", gate.log_tail());
        follow(&pipeline, &collector, "gate", true).await?;

        // It takes connections and answers nothing; then it is gone.
        otelcol.pause()?;
        come_through(&pipeline, &footage, "garden").await?;
        otelcol.kill()?;
        come_through(&pipeline, &footage, "yard").await?;
        otelcol.restart()?;
        otelcol.has_said("Everything is ready", PATIENCE).await?;
        come_through(&pipeline, &footage, "door").await?;
        follow(&pipeline, &collector, "door", false).await
    }
    .await;
    if outcome.is_err() {
        println!("{}--- otelcol\n{}", pipeline.logs(), otelcol.log_tail());
    }
    outcome
}

/// Awaits that what a camera films is stored, and listed to its last window.
async fn come_through(pipeline: &Pipeline, footage: &Path, name: &str) -> anyhow::Result<()> {
    let camera = camera(name)?;
    let mut agent = pipeline.agent(&camera, footage, 10.0, false)?;
    ensure!(agent.ended(PATIENCE).await?.success(), "{}", agent.log_tail());
    let windows = batches(&*pipeline.frames(), &camera).await?;
    let last = windows.keys().next_back().context("nothing was recorded")?.to_string();
    let key = live_playlist_key(&camera);
    eventually(&format!("{key} lists {last}"), PATIENCE, async || {
        let playlist = pipeline.media().get(&key).await?;
        Ok(playlist.filter(|playlist| String::from_utf8_lossy(&playlist.bytes).contains(&last)).map(drop))
    })
    .await
}

/// An event that nobody could handle.
fn given_up() -> CloudEvent {
    CloudEvent {
        id: "1".to_owned(),
        source: "/somebody".to_owned(),
        kind: "com.example.unknown".to_owned(),
        subject: None,
        time: None,
        extensions: BTreeMap::new(),
        data: Value::Null,
    }
}

async fn watch(pipeline: &Pipeline, prometheus: &Prometheus, agent: &mut Process) -> anyhow::Result<()> {
    let bridge = pipeline.metrics_ports["bridge"];
    eventually("the bridge is ready", PATIENCE, async || {
        let probe = |path: &str| reqwest::get(format!("http://127.0.0.1:{bridge}/{path}"));
        let (Ok(live), Ok(ready)) = (probe("healthz").await, probe("readyz").await) else { return Ok(None) };
        ensure!(live.status() == 200);
        Ok((ready.status() == 200).then_some(()))
    })
    .await?;
    ensure!(agent.ended(PATIENCE).await?.success(), "{}", agent.log_tail());
    let (letter, key) = DeadLetter::of(given_up(), now());
    let letter = serde_json::to_vec(&letter)?.into();
    pipeline.frames().put(&key, letter, Headers::default(), Condition::Always).await?;
    pipeline.reconcile().await?;

    let frames = "sum(teiten_bridge_frames_stored_total)";
    let encoded = "sum(teiten_encode_frames_total)";
    for (what, expression, expected) in [
        ("all frames are counted as stored", frames, 20.0),
        ("all frames are counted as encoded", encoded, 20.0),
        ("the camera has been heard", "count(teiten_bridge_camera_online{camera=\"gate\"})", 1.0),
        ("a dead letter that is kept is counted", "max(teiten_reconcile_dead_letters)", 1.0),
        ("what reconcile did is counted", "sum(teiten_function_events_total{function=\"reconcile\"})", 1.0),
    ] {
        eventually(what, PATIENCE, async || {
            Ok(prometheus.value(expression).await?.filter(|value| *value >= expected))
        })
        .await?;
    }
    // Scraped together, so that both are of the same windows: of a second, and as many as these tell.
    let longer = "sum(teiten_capture_to_playlist_seconds_sum{camera=\"gate\"}) - sum(teiten_playlist_delay_seconds_sum)";
    let counted = format!("({longer}) / sum(teiten_capture_to_playlist_seconds_count{{camera=\"gate\"}})");
    let second =
        eventually("what was listed is told", PATIENCE, async || prometheus.value(&counted).await).await?;
    ensure!((second - 1.0).abs() < 1e-6, "from a window's start it is not a second longer, but {second}");
    let mut asked = BTreeSet::new();
    for file in ["dashboard.json", "alerts.yaml"] {
        asked.extend(names_in(&fs::read_to_string(project().join("infra/observability").join(file))?));
    }
    ensure!(asked.len() > 20, "only {asked:?} are asked for");
    let mut missing = BTreeSet::new();
    let complete = eventually("everything that is asked for is told", PATIENCE, async || {
        let told = prometheus.names().await?;
        missing = asked.difference(&told).cloned().collect();
        Ok(missing.is_empty().then_some(told))
    })
    .await;
    let told = complete.with_context(|| format!("nobody tells {missing:?}"))?;
    println!(
        "{} names asked for, {} told",
        asked.len(),
        told.iter().filter(|n| n.starts_with("teiten_")).count()
    );
    Ok(())
}

/// Awaits the way of every window of a camera that was recorded, from the bridge to the playlist; of some, puts failed
/// before, or not.
async fn follow(
    pipeline: &Pipeline,
    collector: &Collector,
    name: &str,
    some_failed: bool,
) -> anyhow::Result<()> {
    let camera = camera(name)?;
    let windows = batches(&*pipeline.frames(), &camera).await?;
    ensure!(!windows.is_empty(), "nothing was recorded");
    let (mut tried_again, mut published) = (0, 0);
    for window in windows.keys() {
        let way = collector.follows(&camera, *window, PATIENCE).await?;
        let [whole, send, encode, playlist] = &way.steps;
        ensure!(send.service == "teiten-bridge" && send.name == "send", "{send:?}");
        // One version may list several windows, whose own events then find nothing to do.
        published += usize::from(["list", "get", "put"].iter().all(|part| {
            way.within(playlist).any(|span| span.name == *part && !span.failed && !span.took.is_zero())
        }));
        for (step, parts) in [(whole, &["store", "send"][..]), (encode, &["get", "decode and encode", "put"])]
        {
            for part in parts {
                let found = way.within(step).find(|span| span.name == *part && !span.failed);
                ensure!(found.is_some_and(|span| !span.took.is_zero()), "{step:?} has no {part}: {way:#?}");
            }
        }
        let store = way.within(whole).find(|span| span.name == "store").context("see above")?;
        let (failed, done): (Vec<_>, Vec<_>) = way.within(store).partition(|put| put.failed);
        ensure!(done.len() == 1 && whole.took >= store.took, "{way:#?}");
        tried_again += failed.len();
    }
    ensure!((tried_again > 0) == some_failed, "{tried_again} puts to a store that is away are told");
    ensure!(published > 0, "no playlist was listed for, read and written");
    println!("{} windows followed by {} spans", windows.len(), collector.spans().len());
    Ok(())
}
