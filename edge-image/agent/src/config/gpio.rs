//! `[gpio]`: what is on the header's pins.

use toml::Value;

use super::section::Section;

/// What is on the pins of a Raspberry Pi's header; nothing by default. Pins are named by their BCM numbers, 2 to 27.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Gpio {
    /// `pir`, `pir_active`, `pir_pull`: a passive infrared motion sensor.
    pub pir: Option<InputPin>,
    /// `led`, `led_active`: the status LED.
    pub led: Option<OutputPin>,
    /// `infrared`, `infrared_active`: the switch of an infrared light.
    pub infrared: Option<OutputPin>,
}

/// A pin that is listened to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct InputPin {
    /// Its BCM number.
    pub pin: u8,
    /// Whether high means that there is something. Default true.
    pub active_high: bool,
    /// The Pi's own resistor. Default down, so that a pin without a sensor is quiet.
    pub pull: Pull,
}

/// A pin that is set.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct OutputPin {
    /// Its BCM number.
    pub pin: u8,
    /// Whether high switches on. Default true.
    pub active_high: bool,
}

/// Which way a resistor in the Pi pulls an input.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Pull {
    /// There is none.
    Off,
    /// To 3.3 V.
    Up,
    /// To ground.
    #[default]
    Down,
}

impl Gpio {
    pub(super) fn read(mut section: Section<'_>) -> Option<Self> {
        let (pir, pir_active) = (pin(&mut section, "pir"), active(&mut section, "pir_active"));
        let pull = section.or("pir_pull", Pull::default(), "\"off\", \"up\" or \"down\"", pull);
        let (led, led_active) = (pin(&mut section, "led"), active(&mut section, "led_active"));
        let (infrared, infrared_active) =
            (pin(&mut section, "infrared"), active(&mut section, "infrared_active"));
        let mut taken: Vec<(&str, u8)> = Vec::new();
        for (key, pin) in [("pir", pir), ("led", led), ("infrared", infrared)] {
            let Some(Some(pin)) = pin else { continue };
            if let Some((other, _)) = taken.iter().find(|(_, other)| *other == pin) {
                section.mistake(key, format!("pin {pin} is {other}'s already, expected another pin"));
            }
            taken.push((key, pin));
        }
        section.finish();
        let (pull, pir_active) = (pull?, pir_active?);
        let output = |pin: Option<u8>, active_high| pin.map(|pin| OutputPin { pin, active_high });
        Some(Self {
            pir: pir?.map(|pin| InputPin { pin, active_high: pir_active, pull }),
            led: output(led?, led_active?),
            infrared: output(infrared?, infrared_active?),
        })
    }
}

fn pin(section: &mut Section<'_>, key: &'static str) -> Option<Option<u8>> {
    section.or(key, None, "the BCM number of a pin, from 2 to 27", |value| {
        let pin = u8::try_from(value.as_integer()?).ok()?;
        (2..=27).contains(&pin).then_some(Some(pin))
    })
}

fn active(section: &mut Section<'_>, key: &'static str) -> Option<bool> {
    section.or(key, true, "\"high\" or \"low\"", |value| match value.as_str()? {
        "high" => Some(true),
        "low" => Some(false),
        _ => None,
    })
}

fn pull(value: &Value) -> Option<Pull> {
    match value.as_str()? {
        "off" => Some(Pull::Off),
        "up" => Some(Pull::Up),
        "down" => Some(Pull::Down),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::Config;

    fn gpio(keys: &str) -> Result<Gpio, String> {
        let text = format!("camera = \"a\"\n[gpio]\n{keys}");
        Config::from_toml(&text).map(|config| config.gpio).map_err(|errors| errors.to_string())
    }

    #[test]
    fn pins_are_read_with_their_levels() {
        let read = gpio(
            "pir = 17\npir_active = \"low\"\npir_pull = \"up\"\nled = 27\ninfrared = 22\ninfrared_active = \"low\"",
        );
        let expected = Gpio {
            pir: Some(InputPin { pin: 17, active_high: false, pull: Pull::Up }),
            led: Some(OutputPin { pin: 27, active_high: true }),
            infrared: Some(OutputPin { pin: 22, active_high: false }),
        };
        assert_eq!(read, Ok(expected));
        assert_eq!(gpio(""), Ok(Gpio::default()));
    }

    #[test]
    fn pins_that_cannot_be_are_mistakes() {
        let errors =
            gpio("pir = 28\nled = 4\ninfrared = 4\nled_active = true\npir_pull = \"sideways\"").unwrap_err();
        for part in [
            "gpio.pir: 28 will not do, expected the BCM number",
            "gpio.led_active: true will not do",
            "gpio.pir_pull:",
            "gpio.infrared: pin 4 is led's already",
        ] {
            assert!(errors.contains(part), "{errors}");
        }
    }
}
