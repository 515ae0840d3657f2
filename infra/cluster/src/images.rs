//! Which images run: those whose tag the settings name, else those that `./just images` built last here, else those that run already.
//! A tag that stands for one build alone is what makes the cluster run another one: under the tag of before it looks for nothing new.

use std::{fs, io::ErrorKind, path::Path};

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
    let image =
        bridge.and_then(|bridge| bridge["spec"]["template"]["spec"]["containers"][0]["image"].as_str());
    Ok(image.and_then(|image| image.rsplit_once(':')).map(|(_, tag)| tag.to_owned()))
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
        let with_a_tag = "        image: dev.local/teiten/bridge:mine\n";
        assert_eq!(tagged(with_a_tag, "dev.local/teiten", "mine"), with_a_tag);
    }
}
