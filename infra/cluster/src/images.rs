//! Which images run, and what they are: those whose tag the settings name, else those that `./just images` built last here, else those that run already.
//! A tag that stands for one build alone is what makes the cluster run another one: under the tag of before it looks for nothing new.

use std::{
    collections::BTreeSet,
    fs,
    io::ErrorKind,
    path::{Path, PathBuf},
    time::SystemTime,
};

use anyhow::Context as _;
use serde_json::Value;

use crate::settings::Settings;

/// The tag of the images that are to run; `None` if nothing tells. `built` is what `./just images` left, `bridge` is what runs.
pub(crate) fn tag(
    settings: &Settings,
    built: &Path,
    bridge: Option<&Value>,
) -> anyhow::Result<Option<String>> {
    if settings.version.is_some() {
        return Ok(settings.version.clone());
    }
    match fs::read_to_string(built) {
        Ok(text) => return Ok(Some(text.trim().to_owned())),
        Err(error) if error.kind() == ErrorKind::NotFound => {}
        Err(error) => return Err(error).with_context(|| built.display().to_string()),
    }
    Ok(bridge.and_then(running).map(str::to_owned))
}

/// The tag of what runs.
pub(crate) fn running(bridge: &Value) -> Option<&str> {
    let image = bridge["spec"]["template"]["spec"]["containers"][0]["image"].as_str()?;
    image.rsplit_once(':').map(|(_, tag)| tag)
}

/// Which images are to run, beside those that do.
pub(crate) fn words(tag: &str, running: Option<&str>) -> String {
    match running {
        None => format!("images: {tag}"),
        Some(running) if running == tag => format!("images: {tag} (they run already)"),
        Some(running) => format!("images: {tag} (running: {running})"),
    }
}

/// What is in the images, below the project's folder.
const SOURCES: [&str; 5] = ["Cargo.lock", "bridge", "crates", "functions", "infra/storage-setup"];
/// What is not, below these.
const OTHERS: [&str; 5] = ["tests", "tests.rs", "benches", "fuzz", "examples"];

/// A file of what is in the images that was changed after they were built.
pub(crate) fn changed_since(built: &Path, project: &Path) -> Option<PathBuf> {
    let built = fs::metadata(built).and_then(|file| file.modified()).ok()?;
    SOURCES.iter().find_map(|source| newer(&project.join(source), built))
}

fn newer(path: &Path, than: SystemTime) -> Option<PathBuf> {
    let file = fs::metadata(path).ok()?;
    if !file.is_dir() {
        let is_source = path
            .extension()
            .is_some_and(|extension| ["rs", "toml", "lock"].iter().any(|kind| extension == *kind));
        return (is_source && file.modified().ok()? > than).then(|| path.to_owned());
    }
    let inside = fs::read_dir(path).ok()?.flatten();
    let counts = |name: &std::ffi::OsStr| OTHERS.iter().all(|other| name != *other);
    inside.filter(|entry| counts(&entry.file_name())).find_map(|entry| newer(&entry.path(), than))
}

/// The images of ours that manifests with tags name.
pub(crate) fn ours(manifests: &str, images: &str) -> BTreeSet<String> {
    let named = manifests.lines().filter_map(|line| line.split_once("image: "));
    let named = named.map(|(_, image)| image.trim_matches('\''));
    named.filter(|image| image.starts_with(&format!("{images}/"))).map(str::to_owned).collect()
}

/// The manifests with `tag` at each image of ours that has none. kustomize writes `image: 'images/NAME:'` on a line.
pub(crate) fn tagged(manifests: &str, images: &str, tag: &str) -> String {
    let ours = format!("image: '{images}/");
    let lines = manifests.split_inclusive('\n').map(|line| match line.strip_suffix(":'\n") {
        Some(image) if image.contains(&ours) => format!("{image}:{tag}'\n"),
        _ => line.to_owned(),
    });
    lines.collect()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    const SHIPPED: &str = include_str!("../../settings/teiten.env");

    #[test]
    fn the_settings_count_before_what_was_built_last_and_that_before_what_runs() {
        let folder = tempfile::tempdir().unwrap();
        let built = folder.path().join("version");
        let named: Settings = SHIPPED.replace("TEITEN_VERSION=", "TEITEN_VERSION=mine").parse().unwrap();
        let shipped: Settings = SHIPPED.parse().unwrap();
        let container = json!([{"image": "registry:5000/teiten/bridge:0.1.0-old"}]);
        let bridge = json!({"spec": {"template": {"spec": {"containers": container}}}});
        let tag = |settings, bridge| tag(settings, &built, bridge).unwrap();
        assert_eq!(tag(&shipped, None), None);
        assert_eq!(tag(&shipped, Some(&bridge)).as_deref(), Some("0.1.0-old"));
        fs::write(&built, "0.1.0-new\n").unwrap();
        assert_eq!(tag(&shipped, Some(&bridge)).as_deref(), Some("0.1.0-new"));
        assert_eq!(tag(&named, Some(&bridge)).as_deref(), Some("mine"));
    }

    #[test]
    fn images_of_ours_without_a_tag_get_it() {
        let manifests = "\
      - image: 'ghcr.io/you/teiten/encode:'
        name: encode
        image: quay.io/minio/mc:RELEASE
        image: 'elsewhere/teiten/encode:'
";
        assert_eq!(
            tagged(manifests, "ghcr.io/you/teiten", "0.1.0-new"),
            manifests.replace("you/teiten/encode:", "you/teiten/encode:0.1.0-new")
        );
        let found = ours(&tagged(manifests, "ghcr.io/you/teiten", "0.1.0-new"), "ghcr.io/you/teiten");
        assert_eq!(Vec::from_iter(found), ["ghcr.io/you/teiten/encode:0.1.0-new"]);
        let with_a_tag = "        image: dev.local/teiten/bridge:mine\n";
        assert_eq!(tagged(with_a_tag, "dev.local/teiten", "mine"), with_a_tag);
    }
}
