//! Looks at a settings file before a camera has it.

use std::path::Path;

use anyhow::Context as _;
use teiten_mqtt::Identity;

use crate::Config;

/// The settings in the file at `path`, and a line for each that a camera takes but is hardly meant so. The certificates
/// that they name are looked at, too.
///
/// # Errors
/// All mistakes in the settings; a certificate or key that is missing or of no use.
pub fn check(path: &Path) -> anyhow::Result<(Config, Vec<String>)> {
    let config = Config::from_file(path).with_context(|| path.display().to_string())?;
    let of_mdns = config.mdns_names().into_iter().map(|(key, host)| {
        format!(
            "{key}: a camera's card does not find {host}, which is a name of mDNS: take the address, or a name that the \
             router knows"
        )
    });
    let mut hints: Vec<String> = of_mdns.collect();
    if let Some(tls) = &config.broker.tls {
        tls.transport().context("broker")?;
        let (camera, name) = (&config.camera, tls.identity.as_ref().and_then(Identity::common_name));
        hints.extend(name.filter(|name| name != camera.as_str()).map(|name| {
            format!(
                "broker.certificate: it was made for {name:?}, and camera is \"{camera}\": a broker that goes by \
                 certificates drops what this camera sends, and tells nobody"
            )
        }));
    }
    Ok((config, hints))
}
