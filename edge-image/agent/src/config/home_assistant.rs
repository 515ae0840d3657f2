//! `[home_assistant]`: whether Home Assistant finds the camera by itself.

use super::section::Section;

/// Whether and where the camera announces itself to Home Assistant (MQTT discovery).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HomeAssistant {
    /// `enabled`. Default false; then an announcement of an earlier run is removed.
    pub enabled: bool,
    /// `prefix`: Home Assistant's discovery prefix, a topic. Default `homeassistant`.
    pub prefix: String,
}

impl Default for HomeAssistant {
    fn default() -> Self {
        Self { enabled: false, prefix: "homeassistant".to_owned() }
    }
}

impl HomeAssistant {
    pub(super) fn read(mut section: Section<'_>) -> Option<Self> {
        let default = Self::default();
        let enabled = section.or("enabled", default.enabled, "true or false", toml::Value::as_bool);
        let prefix = section.or("prefix", default.prefix, "a topic without wildcards", |value| {
            let topic = value.as_str()?;
            let level = |level: &str| !level.is_empty() && !level.contains(['+', '#', '\0', '$']);
            (topic.len() <= 200 && topic.split('/').all(level)).then(|| topic.to_owned())
        });
        section.finish();
        Some(Self { enabled: enabled?, prefix: prefix? })
    }
}

#[cfg(test)]
mod tests {
    use crate::config::Config;

    #[test]
    fn a_prefix_that_is_no_topic_is_a_mistake() {
        let read = |prefix: &str| {
            Config::from_toml(&format!(
                "camera = \"a\"\n[home_assistant]\nenabled = true\nprefix = {prefix:?}"
            ))
        };
        let settings = read("house/ha").unwrap().home_assistant;
        assert_eq!((settings.enabled, settings.prefix.as_str()), (true, "house/ha"));
        for prefix in ["", "/a", "a/", "a//b", "a/+", "#", "$SYS"] {
            assert!(read(prefix).is_err(), "{prefix:?}");
        }
    }
}
