//! `./just deploy`: what is missing is made, what is there stays as it is.

use std::{
    collections::BTreeSet,
    path::{Path, PathBuf},
    time::Duration,
};

use anyhow::{Context as _, bail};
use serde_json::{Map, Value};
use teiten_mqtt::HostPort;
use teiten_owner::cameras::Cameras;
use tokio::time::Instant;

use crate::{
    Kubectl, NAMESPACE, balancer,
    certificates::{self, Before, is_named, knows_the_brokers},
    check::{Facts, Wanted, findings, summary},
    domain::{self, ANSWERING},
    egress, images, monitoring, page,
    ready::{self, is_ours},
    secrets,
    settings::{Overlay, Settings},
    setup,
    store::{ADMIN, Store},
    trial, volume,
};

/// How often the cluster is looked at while something is waited for.
pub(crate) const LOOK: Duration = Duration::from_secs(2);

/// The kinds of parts that are no functions.
const PARTS: [&str; 2] = ["deployments.apps", "statefulsets.apps"];

/// How to deploy.
#[derive(Debug)]
pub struct Deploy {
    /// The folder of manifests.
    pub infra: PathBuf,
    /// The owner's folder of certificates.
    pub cameras: PathBuf,
    /// The viewer's built page.
    pub viewer: PathBuf,
    /// Where it stands which images were built last.
    pub built: PathBuf,
    /// How long to wait until all is ready, in seconds.
    pub wait: u64,
    /// Only say what the cluster lacks.
    pub check_only: bool,
    /// Make keys for the components of a store that is the user's own.
    pub make_keys: bool,
    /// Give the broker in the cluster another authority than it has.
    pub new_authority: bool,
    /// Send a test camera through.
    pub test_camera: bool,
}

/// Applies everything, waits until it is ready, and sends a test camera through. Answers whether all is well.
pub async fn deploy(kubectl: &Kubectl, settings: &Settings, options: &Deploy) -> anyhow::Result<bool> {
    let overlay = options.infra.join("overlays").join(settings.overlay.name());
    let overlay = overlay.to_str().context("a folder whose name is not UTF-8")?;
    kubectl.ensure_new_enough()?;
    let manifests = kubectl.run(&["kustomize", overlay], None)?;
    let parts = kubectl.list_all(&PARTS)?.0;
    let set = |name: &str| parts.iter().find(|part| is_named(part, "statefulset", name));
    let tag = images::tag(settings, &options.built, set("bridge"))?;
    let manifests = match &tag {
        Some(tag) => images::tagged(&manifests, &settings.images, tag),
        None => manifests,
    };
    let manifests = match set(volume::STORE) {
        Some(store) => volume::unchanged(&manifests, store, &settings.storage),
        None => manifests,
    };
    let running = set("bridge").and_then(images::running);
    let changed = images::changed_since(&options.built, options.infra.parent().unwrap_or(Path::new("")))
        .filter(|_| settings.version.is_none());
    if !check(kubectl, settings, &manifests, tag, running, changed.as_deref())? {
        println!("Nothing was changed.");
        return Ok(false);
    }
    let cameras = Cameras::at(&options.cameras);
    let secrets = kubectl.list("secrets")?;
    if settings.overlay == Overlay::Local && !options.new_authority && !knows_the_brokers(&secrets, &cameras)?
    {
        bail!(
            "the cluster's broker has another authority than {} here, and cameras trust that one alone: copy the folder that you \
             deployed with here, or name it by --cameras. Nothing was changed. (--new-authority replaces it, and then every \
             camera needs a new certificate.)",
            options.cameras.display()
        );
    }
    if options.check_only {
        return Ok(true);
    }

    if kubectl.get("namespace", NAMESPACE, NAMESPACE)?.is_none() {
        kubectl.apply(&namespace())?;
    }
    make_secrets(kubectl, settings, &manifests, &secrets, options.make_keys)?;
    certificates::prepare(kubectl, settings, &cameras, &manifests, &secrets)?;
    if settings.overlay == Overlay::Local && set("broker").is_some_and(is_ours) {
        // As it was until it became a Deployment. It goes first: what cameras send to one broker no bridge hears at another.
        println!("statefulset broker: gives way to a deployment");
        kubectl.delete("statefulset", &["broker"], options.wait)?;
    }
    println!("applying {overlay}");
    let applied = kubectl.apply_all(&manifests)?;
    if let Some(note) = left_over(&kubectl.list_all(&PARTS)?.0, &applied) {
        println!("{note}");
    }
    if settings.overlay == Overlay::Local
        && let Some(words) = volume::fit(kubectl, &settings.storage)?
    {
        println!("{words}");
    }
    restart_readers(kubectl)?;
    domain::map(kubectl, settings.domain.as_ref(), options.wait)?;
    if settings.overlay == Overlay::Local {
        balancer::wait(kubectl, &["broker", "storage"]).await?;
    }
    let before = Before { parts: &parts, secrets: &secrets };
    let broker = certificates::certificates(kubectl, settings, &cameras, &manifests, &before)?;
    setup::run(kubectl, options.wait).await?;
    wait_until_ready(kubectl, options.wait).await?;
    clear_old_settings(kubectl, &applied)?;
    if let Some(domain) = &settings.domain
        && let Some(note) = domain::other_scheme(domain, &kubectl.list(domain::MAPPINGS)?)
    {
        println!("{note}");
    }

    let store = Store::that_answers(kubectl, settings, options.wait).await?;
    let store = store.context("the store has no address outside of the cluster: set TEITEN_PUBLIC_URL")?;
    let functions = functions(kubectl, settings)?;
    // Where footage is private they answer to links alone, and the page has none to give.
    let asked = if settings.public { functions.clone() } else { Map::new() };
    let files = page::publish(&options.viewer, &asked, &*store.media).await.with_context(|| {
        format!("the store at {} (if it is at another address for this machine and for players, set TEITEN_PUBLIC_URL)", store.here)
    })?;
    println!(
        "the viewer: {}",
        if files == 0 { "as it was".to_owned() } else { format!("{files} files put") }
    );
    if options.test_camera {
        trial::send_a_camera_through(kubectl, settings, &store, &broker).await?;
    }
    for line in addresses(settings, &store, &functions) {
        println!("{line}");
    }
    let HostPort { host, port } = &broker.address;
    println!("broker    {} (./just camera add NAME --broker {host} --port {port})", broker.address);
    Ok(true)
}

/// Where the outside reaches the functions that answer requests, by their names.
fn functions(kubectl: &Kubectl, settings: &Settings) -> anyhow::Result<Map<String, Value>> {
    let services = kubectl.list("services.serving.knative.dev")?;
    let address = |name| domain::address(settings.domain.as_ref(), &services, name);
    Ok(ANSWERING.into_iter().filter_map(|name| Some((name.to_owned(), address(name)?.into()))).collect())
}

/// What can be watched where, and by whom.
fn addresses(settings: &Settings, store: &Store, functions: &Map<String, Value>) -> Vec<String> {
    let [page, live] = ["index.html", "CAMERA/live.m3u8"].map(|key| settings.media_url(&store.url, key));
    let url = |name: &str, form: &str| {
        let url = functions.get(name).and_then(Value::as_str)?;
        Some(format!("{name:9} {url}/{form}"))
    };
    let past = [url("playback", "CAMERA.m3u8?from=…&to=…"), url("clip", "CAMERA.mp4?from=…&to=…")];
    let mut lines = Vec::new();
    if settings.public {
        lines.extend([format!("viewer    {page}"), format!("playlists {live}")]);
    } else {
        lines.push("Footage is private: `./just link CAMERA` makes an address that plays, until it expires; with --from and --to of the past.".to_owned());
        lines.push(format!("viewer    {page} (nobody opens it without a key of the store: it is for TEITEN_MEDIA_ACCESS=public)"));
        lines.push(format!("playlists {live} (by links)"));
        if settings.links_stay_inside() {
            lines.push(format!(
                "note    Links in playlists are signed for the store's name inside of the cluster, and play only there. For players outside \
                 write TEITEN_PUBLIC_URL={} into infra/settings/teiten.env (or a name of yours for it), and deploy again.",
                store.url
            ));
        }
    }
    if past.iter().all(Option::is_none) {
        lines.push(
            "note    Knative has no domain for the outside, so playback and clip answer inside of the cluster only: set TEITEN_DOMAIN.".to_owned(),
        );
    }
    lines.extend(past.into_iter().flatten());
    lines
}

/// Says what the cluster has and lacks; answers whether it is enough.
fn check(
    kubectl: &Kubectl,
    settings: &Settings,
    manifests: &str,
    tag: Option<String>,
    running: Option<&str>,
    changed: Option<&Path>,
) -> anyhow::Result<bool> {
    let watched = monitoring::watched(manifests);
    let prometheuses = match watched.is_empty() {
        true => Vec::new(),
        false => kubectl.list_everywhere_if_known("prometheuses.monitoring.coreos.com")?,
    };
    let kinds = "nodes,deployments.apps,daemonsets.apps,storageclasses.storage.k8s.io";
    let objects = kubectl.list_everywhere(kinds)?;
    let of = |kind: &str| objects.iter().filter(|object| object["kind"] == kind).cloned().collect();
    let facts = Facts {
        version: kubectl.json(&["version"])?,
        nodes: of("Node"),
        deployments: of("Deployment"),
        daemon_sets: of("DaemonSet"),
        storage_classes: of("StorageClass"),
        config_network: kubectl.get("configmap", "config-network", "knative-serving")?,
        kourier: kubectl.named_everywhere("services.v1.", "kourier")?,
        prometheuses,
        has_volume: kubectl.get("persistentvolumeclaim", volume::CLAIM, NAMESPACE)?.is_some(),
    };
    println!("cluster: {}", summary(&facts));
    if let Some(tag) = &tag {
        println!("{}", images::words(tag, running));
    }
    if let Some(changed) = changed {
        println!(
            "note    {} was changed since the images were built: ./just images builds others.",
            changed.display()
        );
    }
    let wanted = Wanted {
        overlay: settings.overlay,
        storage: settings.storage.clone(),
        images: settings.images.clone(),
        tag,
        ours: images::ours(manifests, &settings.images),
        channel_broker: manifests.contains("eventing.knative.dev/broker.class: MTChannelBasedBroker"),
        closed: egress::closed(settings, manifests),
        watched,
    };
    let found = findings(&facts, &wanted);
    for finding in &found {
        println!("{finding}");
    }
    Ok(!found.iter().any(|finding| finding.stops))
}

/// The namespace alone: secrets come before what names them. What else it is, the manifests say.
fn namespace() -> Value {
    serde_json::json!({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": NAMESPACE}})
}

/// Makes the Secrets that the manifests name and that are missing.
fn make_secrets(
    kubectl: &Kubectl,
    settings: &Settings,
    manifests: &str,
    secrets: &[Value],
    make_keys: bool,
) -> anyhow::Result<()> {
    let names = |secret: &Value| Some(secret["metadata"]["name"].as_str()?.to_owned());
    // Those that `local` had with the store that it brought along are unknown to any other.
    let (of_local, of_this): (Vec<&Value>, Vec<&Value>) = secrets
        .iter()
        .partition(|secret| settings.overlay == Overlay::Production && secrets::is_of_local_store(secret));
    let there: BTreeSet<String> = of_this.into_iter().filter_map(names).collect();
    let missing: Vec<String> = secrets::named(manifests).difference(&there).cloned().collect();
    // Keys to a store of the user's own are the user's to give.
    let yours = |name: &String| {
        settings.overlay == Overlay::Production && secrets::is_of_store(name) && (name == ADMIN || !make_keys)
    };
    let asked: Vec<_> = missing.iter().filter(|name| yours(name)).collect();
    if !asked.is_empty() {
        let keys = "--from-literal AWS_ACCESS_KEY_ID=… --from-literal AWS_SECRET_ACCESS_KEY=…";
        let old: Vec<String> =
            of_local.into_iter().filter_map(names).filter(|name| asked.contains(&name)).collect();
        let delete = (!old.is_empty()).then(|| {
            format!(
                "  kubectl -n {NAMESPACE} delete secret {}    # these are of the store that `local` brought along: keep a copy for its footage",
                old.join(" ")
            )
        });
        let create =
            asked.iter().map(|name| format!("  kubectl -n {NAMESPACE} create secret generic {name} {keys}"));
        let commands: Vec<_> = delete.into_iter().chain(create).collect();
        bail!(
            "your store's keys are missing. Make a user for each component with the rights that\n  \
             scripts/program storage-setup --print-policies --frames-bucket {} --media-bucket {}\n\
             prints (where bucket policies know users, TEITEN_STORAGE_PRINCIPALS gives them their rights instead), and\n{}\n\
             If the store is your own MinIO, only {ADMIN} is needed: --make-keys makes the others",
            settings.frames_bucket,
            settings.media_bucket,
            commands.join("\n")
        );
    }
    let made = missing.iter().map(|name| {
        secrets::with_random_keys(name, settings.overlay)
            .with_context(|| format!("the manifests name a secret {name}: make it, and deploy again"))
    });
    kubectl.apply_list(&made.collect::<anyhow::Result<Vec<_>>>()?)?;
    for name in &missing {
        println!("secret {name}: new random keys");
    }
    Ok(())
}

/// What an overlay of before has made and this one has not, such as the store that `local` brings along: it may have footage.
fn left_over(parts: &[Value], applied: &[String]) -> Option<String> {
    let left = parts.iter().filter(|part| is_ours(part)).filter_map(|part| {
        let (kind, name) = (part["kind"].as_str()?.to_lowercase(), part["metadata"]["name"].as_str()?);
        let is_applied = applied.contains(&format!("{kind}.apps/{name}"));
        (!is_applied).then(|| format!("{kind}/{name} service/{name}"))
    });
    let left: Vec<String> = left.collect();
    (!left.is_empty()).then(|| {
        format!(
            "note    Still there, though these settings do without. When you need it no longer: kubectl -n {NAMESPACE} delete {} (footage \
             stays, in volumes)",
            left.join(" ")
        )
    })
}

/// Starts what has read keys anew that are others now: they are read at start.
fn restart_readers(kubectl: &Kubectl) -> anyhow::Result<()> {
    let (objects, _) = kubectl.list_all(&["pods", "secrets"])?;
    let (secrets, pods): (Vec<_>, Vec<_>) =
        objects.into_iter().partition(|object| object["kind"] == "Secret");
    for pod in secrets::readers_of_old(&pods, &secrets) {
        println!("pod {pod}: started anew with its new keys");
        delete_pod(kubectl, &pod)?;
    }
    Ok(())
}

async fn wait_until_ready(kubectl: &Kubectl, wait: u64) -> anyhow::Result<()> {
    let started = Instant::now();
    let mut said = Vec::new();
    loop {
        let (objects, _) = kubectl.list_all(&ready::KINDS)?;
        let not_ready = ready::not_ready(&objects);
        if not_ready.is_empty() {
            println!("all {} parts are ready", ready::parts(&objects));
            return Ok(());
        }
        if started.elapsed() >= Duration::from_secs(wait) {
            let said = not_ready.join("\n  ");
            bail!("not ready within {wait} s:\n  {said}{}", ready::login(&said));
        }
        if not_ready != said {
            println!("waiting for {} of {} parts; {}", not_ready.len(), ready::parts(&objects), not_ready[0]);
            said = not_ready;
        }
        free_stuck(kubectl, &objects)?;
        tokio::time::sleep(LOOK).await;
    }
}

/// Deletes the broken pods that keep what was applied from running.
pub(crate) fn free_stuck(kubectl: &Kubectl, objects: &[Value]) -> anyhow::Result<()> {
    for pod in ready::stuck(objects) {
        println!("pod {pod}: it never got ready, and makes room for one as it is to be now");
        delete_pod(kubectl, pod)?;
    }
    Ok(())
}

fn delete_pod(kubectl: &Kubectl, name: &str) -> anyhow::Result<()> {
    kubectl.run(
        &["delete", "pod", name, "--namespace", NAMESPACE, "--ignore-not-found", "--wait=false"],
        None,
    )?;
    Ok(())
}

/// Deletes the ConfigMaps of earlier settings. Each has its own name, and nothing that is ready names an old one.
fn clear_old_settings(kubectl: &Kubectl, applied: &[String]) -> anyhow::Result<()> {
    for map in kubectl.list("configmaps")? {
        let name = map["metadata"]["name"].as_str().unwrap_or_default();
        if is_ours(&map) && !applied.contains(&format!("configmap/{name}")) {
            kubectl
                .run(&["delete", "configmap", name, "--namespace", NAMESPACE, "--ignore-not-found"], None)?;
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use serde_json::json;
    use teiten_bucket::MemoryBucket;

    use super::*;

    const SHIPPED: &str = include_str!("../../settings/teiten.env");

    fn said(changes: &[(&str, &str)], functions: &[(&str, &str)]) -> String {
        let text = changes.iter().fold(SHIPPED.to_owned(), |text, (from, to)| text.replace(from, to));
        let bucket = Arc::new(MemoryBucket::new("media"));
        let url = "http://10.0.0.2:9000".to_owned();
        let store = Store { url: url.clone(), here: url, frames: bucket.clone(), media: bucket };
        let functions = functions.iter().map(|(name, url)| ((*name).to_owned(), Value::from(*url))).collect();
        addresses(&text.parse().unwrap(), &store, &functions).join("\n")
    }

    #[test]
    fn where_footage_is_private_nobody_is_promised_an_address_that_does_not_play() {
        let text = said(&[], &[]);
        for words in [
            "./just link CAMERA",
            "nobody opens it without a key",
            "TEITEN_PUBLIC_URL=http://10.0.0.2:9000",
            "set TEITEN_DOMAIN",
        ] {
            assert!(text.contains(words), "{words}: {text}");
        }
        let functions = [("playback", "https://playback.example.org"), ("clip", "https://clip.example.org")];
        let text = said(&[("TEITEN_PUBLIC_URL=", "TEITEN_PUBLIC_URL=https://store.example.org")], &functions);
        assert!(!text.contains("note"), "{text}");
        assert!(text.contains("playback  https://playback.example.org/CAMERA.m3u8?from=…&to=…"), "{text}");
        let production = [("TEITEN_OVERLAY=local", "TEITEN_OVERLAY=production")];
        assert!(!said(&production, &functions).contains("note"));
    }

    #[test]
    fn what_another_overlay_has_left_is_told_and_nothing_of_others() {
        let part = |kind: &str, name: &str, part_of: &str| json!({"kind": kind, "metadata": {"name": name, "labels": {"app.kubernetes.io/part-of": part_of}}});
        let parts = [
            part("Deployment", "broker", "teiten"),
            part("StatefulSet", "bridge", "teiten"),
            part("StatefulSet", "storage", "teiten"),
            part("StatefulSet", "rabbitmq", "rabbitmq"),
        ];
        let applied = |names: &[&str]| names.iter().map(|name| (*name).to_owned()).collect::<Vec<_>>();
        let note = left_over(&parts, &applied(&["statefulset.apps/bridge"])).unwrap();
        assert!(
            note.contains(
                "delete deployment/broker service/broker statefulset/storage service/storage (footage"
            ),
            "{note}"
        );
        let all = applied(&["statefulset.apps/bridge", "deployment.apps/broker", "statefulset.apps/storage"]);
        assert_eq!(left_over(&parts, &all), None);
    }

    #[test]
    fn where_footage_is_public_there_are_plain_addresses() {
        let text = said(&[("ACCESS=private", "ACCESS=public")], &[("clip", "https://clip.example.org")]);
        assert_eq!(
            text,
            "viewer    http://10.0.0.2:9000/media/index.html\nplaylists http://10.0.0.2:9000/media/CAMERA/live.m3u8\n\
             clip      https://clip.example.org/CAMERA.mp4?from=…&to=…"
        );
    }
}
