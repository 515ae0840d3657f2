//! How Home Assistant finds a camera: MQTT discovery with one message for the whole device
//! (`<prefix>/device/<id>/config`, retained; Home Assistant's documentation, "MQTT", "Device discovery payload").
//! An empty message in its place removes the device; a component that says nothing but its platform is removed from
//! it, and is then left out.

use serde_json::{Map, Value, json};
use teiten_footage::{CameraId, Topic};

use crate::{config::Config, telemetry::AGENT_VERSION};

/// What the camera has, apart from what its settings say.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(crate) struct Equipment {
    /// What the board is called.
    pub(crate) model: Option<String>,
    pub(crate) thermometer: bool,
    pub(crate) wifi: bool,
    pub(crate) motion_sensor: bool,
    pub(crate) light: bool,
}

/// How long telemetry may be missing before its values count as unknown, in seconds.
const EXPIRE_AFTER_SECONDS: u64 = 45;

/// The topic of the camera's announcement.
pub(crate) fn topic(prefix: &str, camera: &CameraId) -> String {
    format!("{prefix}/device/teiten-{camera}/config")
}

/// The announcement.
pub(crate) fn announcement(config: &Config, equipment: &Equipment) -> String {
    device(config, equipment, components(config, equipment))
}

/// What goes before it, if there is anything that a camera may have and this one has not: it may have had it, and Home
/// Assistant keeps what is merely left out.
pub(crate) fn withdrawal(config: &Config, equipment: &Equipment) -> Option<String> {
    let everything =
        Equipment { model: None, thermometer: true, wifi: true, motion_sensor: true, light: true };
    let all = components(&Config { preview: true, control: true, ..config.clone() }, &everything);
    let mut withdrawn = components(config, equipment);
    let present = withdrawn.len();
    for (name, component) in all {
        withdrawn.entry(name).or_insert_with(|| json!({ "platform": component["platform"] }));
    }
    (withdrawn.len() > present).then(|| device(config, equipment, withdrawn))
}

fn device(config: &Config, equipment: &Equipment, components: Map<String, Value>) -> String {
    let camera = &config.camera;
    let mut device = json!({
        "identifiers": [format!("teiten-{camera}")],
        "name": camera.as_str(),
        "manufacturer": "Teiten",
        "sw_version": AGENT_VERSION,
    });
    if let Some(model) = &equipment.model {
        device["model"] = model.as_str().into();
    }
    json!({
        "device": device,
        "origin": { "name": "teiten-agent", "sw_version": AGENT_VERSION },
        "availability": [{ "topic": Topic::Status(camera.clone()).to_string() }],
        "components": components,
    })
    .to_string()
}

fn components(config: &Config, equipment: &Equipment) -> Map<String, Value> {
    let camera = &config.camera;
    let mut components = Map::new();
    let mut add = |name: &str, mut component: Value| {
        component["unique_id"] = format!("teiten-{camera}-{name}").into();
        components.insert(name.to_owned(), component);
    };
    if config.preview {
        let topic = Topic::Preview(camera.clone()).to_string();
        // Without a name of its own, the picture has the device's.
        add("picture", json!({ "platform": "camera", "name": null, "topic": topic }));
    }
    if equipment.motion_sensor {
        // By telemetry, which says what is, and not by events: an end that is never told would leave it on.
        add(
            "motion",
            json!({
                "platform": "binary_sensor", "name": "Motion", "device_class": "motion",
                "state_topic": Topic::Telemetry(camera.clone()).to_string(),
                "value_template": "{{ 'ON' if value_json.motion == 'on' else 'OFF' }}",
                "expire_after": EXPIRE_AFTER_SECONDS,
            }),
        );
    }
    for (name, component) in diagnostics(camera, equipment) {
        add(name, component);
    }
    if config.control {
        for (name, component) in controls(camera, equipment) {
            add(name, component);
        }
    }
    components
}

/// What telemetry tells, as sensors.
fn diagnostics(camera: &CameraId, equipment: &Equipment) -> Vec<(&'static str, Value)> {
    let telemetry = Topic::Telemetry(camera.clone()).to_string();
    let sensor = |name: &str, unit: &str, state_class: &str, value: &str| {
        json!({
            "platform": "sensor", "name": name, "entity_category": "diagnostic",
            "state_topic": telemetry, "value_template": format!("{{{{ {value} }}}}"),
            "unit_of_measurement": unit, "state_class": state_class,
            "expire_after": EXPIRE_AFTER_SECONDS,
        })
    };
    let mut sensors = vec![
        ("frame-rate", sensor("Frame rate", "fps", "measurement", "value_json.frames.per_second")),
        (
            "dropped",
            sensor(
                "Dropped frames",
                "frames",
                "total_increasing",
                "value_json.frames.dropped.values() | sum",
            ),
        ),
        ("spool", sensor("Frames not stored yet", "frames", "measurement", "value_json.spool.frames")),
        (
            "camera-problem",
            json!({
                "platform": "binary_sensor", "name": "Camera problem", "device_class": "problem",
                "entity_category": "diagnostic", "state_topic": telemetry,
                "value_template": "{{ 'ON' if value_json.source.state == 'failing' else 'OFF' }}",
                "expire_after": EXPIRE_AFTER_SECONDS,
            }),
        ),
    ];
    if equipment.thermometer {
        let mut temperature = sensor("Temperature", "°C", "measurement", "value_json.temperature_celsius");
        temperature["device_class"] = "temperature".into();
        sensors.push(("temperature", temperature));
    }
    if equipment.wifi {
        let mut signal = sensor("Wi-Fi signal", "dBm", "measurement", "value_json.wifi_signal_dbm");
        signal["device_class"] = "signal_strength".into();
        sensors.push(("wifi-signal", signal));
    }
    sensors
}

/// What the camera may be told.
fn controls(camera: &CameraId, equipment: &Equipment) -> Vec<(&'static str, Value)> {
    let control = Topic::Control(camera.clone()).to_string();
    let mut controls = vec![
        (
            "snapshot",
            json!({
                "platform": "button", "name": "Snapshot", "command_topic": control, "qos": 1,
                "payload_press": r#"{"snapshot":true}"#,
            }),
        ),
        (
            "restart",
            json!({
                "platform": "button", "name": "Restart", "device_class": "restart",
                "entity_category": "config", "command_topic": control, "qos": 1,
                "payload_press": r#"{"restart":true}"#,
            }),
        ),
        (
            "last-snapshot",
            json!({
                "platform": "image", "name": "Last snapshot", "content_type": "image/jpeg",
                "image_topic": Topic::Snapshot(camera.clone()).to_string(),
            }),
        ),
    ];
    if equipment.light {
        controls.push((
            "light",
            json!({
                "platform": "light", "schema": "template", "name": "Infrared light",
                "command_topic": control, "qos": 1,
                "command_on_template": r#"{"light":"on"}"#,
                "command_off_template": r#"{"light":"off"}"#,
                "state_topic": Topic::Telemetry(camera.clone()).to_string(),
                "state_template": "{{ value_json.light }}",
            }),
        ));
    }
    controls
}

#[cfg(test)]
mod tests {
    use super::*;

    fn announced(config: &Config, equipment: &Equipment) -> Value {
        let mut value: Value = serde_json::from_str(&announcement(config, equipment)).unwrap();
        for holder in ["device", "origin"] {
            assert_eq!(value[holder]["sw_version"], AGENT_VERSION);
            value[holder]["sw_version"] = "VERSION".into();
        }
        value
    }

    fn config() -> Config {
        Config::new(CameraId::new("front-door").unwrap())
    }

    fn full() -> Equipment {
        Equipment {
            model: Some("Raspberry Pi 3 Model A Plus Rev 1.0".to_owned()),
            thermometer: true,
            wifi: true,
            motion_sensor: true,
            light: true,
        }
    }

    /// Golden: Home Assistant keeps what it knows of an entity by its unique_id.
    #[test]
    fn a_camera_with_everything_is_announced_as_one_device() {
        let golden: Value = serde_json::from_str(include_str!("home_assistant/golden.json")).unwrap();
        let announced = announced(&config(), &full());
        assert_eq!(announced, golden, "{announced:#}");
        assert_eq!(topic("homeassistant", &config().camera), "homeassistant/device/teiten-front-door/config");
    }

    #[test]
    fn what_a_camera_does_not_have_is_not_announced() {
        let names = |config: &Config| {
            let announced = announced(config, &Equipment::default());
            let mut names: Vec<_> = announced["components"].as_object().unwrap().keys().cloned().collect();
            names.sort();
            names
        };
        let bare = Config { control: false, preview: false, ..config() };
        assert_eq!(names(&bare), ["camera-problem", "dropped", "frame-rate", "spool"]);
        let all = names(&config());
        assert!(all.contains(&"restart".to_owned()) && !all.contains(&"light".to_owned()), "{all:?}");
    }

    #[test]
    fn what_a_camera_has_no_more_is_withdrawn() {
        assert_eq!(withdrawal(&config(), &full()), None);
        let without = Config { preview: false, ..config() };
        let equipment = Equipment { light: false, ..full() };
        let withdrawn: Value = serde_json::from_str(&withdrawal(&without, &equipment).unwrap()).unwrap();
        let mut announced: Value = serde_json::from_str(&announcement(&without, &equipment)).unwrap();
        announced["components"]["picture"] = json!({ "platform": "camera" });
        announced["components"]["light"] = json!({ "platform": "light" });
        assert_eq!(withdrawn, announced);
    }

    #[test]
    fn its_buttons_and_its_light_ask_what_the_camera_understands() {
        use crate::control::{Abilities, Desk, Updates};
        let announced = announced(&config(), &full());
        let mut desk =
            Desk::new(Abilities { pictures: true, light: true, led: true, updates: Updates::Ready });
        for (component, key) in [
            ("snapshot", "payload_press"),
            ("restart", "payload_press"),
            ("light", "command_on_template"),
            ("light", "command_off_template"),
        ] {
            let request = announced["components"][component][key].as_str().unwrap();
            let (reply, _) = desk.hear(request.as_bytes(), false).unwrap();
            assert_eq!(reply.refusal(), None, "{request}");
        }
    }
}
