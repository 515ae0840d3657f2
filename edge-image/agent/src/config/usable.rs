//! What can be used of a settings file in which something is wrong, even if it is no TOML.

use std::{collections::BTreeSet, ops::Range};

use serde::Deserialize;
use toml::{
    Spanned, Table, Value,
    de::{DeTable, DeValue, ValueDeserializer},
};

use super::{
    Broker, Gpio, Mistake, System, Usable, Wifi,
    read::{broker, camera},
    section::Section,
};

/// What is sound of a text, all of which may be no TOML, and the sections in which something is not.
fn sound(text: &str) -> (Table, BTreeSet<String>) {
    let (mut text, mut torn) = (text.to_owned(), BTreeSet::new());
    for _ in 0..BARE_LINES_MAX {
        let wrong = wrong(&DeTable::parse_recoverable(&text).1);
        torn.extend(wrong.iter().filter_map(|at| section_at(&text, *at)));
        let Some(line) = wrong.iter().find_map(|at| bare_line(&text, *at)) else { break };
        text.replace_range(line, "");
    }
    let (table, errors) = DeTable::parse_recoverable(&text);
    let table = sound_part(table.get_ref(), "", &wrong(&errors), &mut torn);
    (table, torn)
}

/// The section of the line around `at`.
fn section_at(text: &str, at: usize) -> Option<String> {
    let (before, after) = text.split_at_checked(at)?;
    let heading = before.lines().rev().find_map(|line| line.trim_start().strip_prefix('['));
    let line = before.rfind('\n').map_or(before, |newline| &before[newline + 1..]);
    let name = match heading {
        Some(heading) => heading.trim_start_matches('['),
        // Before all headings, a section can be a value, or be told by its keys.
        None if line.is_empty() => after,
        None => line,
    };
    name.split(['.', '=', ']', '\n']).next().map(|name| name.trim().to_owned())
}

/// Lines without an assignment that are passed over: at each of them the parser leaves off.
const BARE_LINES_MAX: usize = 16;

/// Where something is wrong.
fn wrong(errors: &[toml::de::Error]) -> Vec<usize> {
    errors.iter().filter_map(|error| Some(error.span()?.start)).collect()
}

/// The line around `at`, if nothing is assigned in it and it is no heading.
fn bare_line(text: &str, at: usize) -> Option<Range<usize>> {
    let (before, after) = text.split_at_checked(at)?;
    let start = before.rfind('\n').map_or(0, |newline| newline + 1);
    let end = after.find('\n').map_or(text.len(), |newline| at + newline);
    let line = &text[start..end];
    (!line.is_empty() && !line.contains('=') && !line.trim_start().starts_with('[')).then_some(start..end)
}

/// The part of a table that is not where something is `wrong`. If that is not all, its `section` is torn.
fn sound_part(table: &DeTable<'_>, section: &str, wrong: &[usize], torn: &mut BTreeSet<String>) -> Table {
    let mut part = Table::new();
    for (key, value) in table {
        let key = key.get_ref().to_string();
        if let DeValue::Table(table) = value.get_ref() {
            let section = if section.is_empty() { key.as_str() } else { section };
            let sound = sound_part(table, section, wrong, torn);
            part.insert(key, Value::Table(sound));
        } else if let Some(sound) = sound_value(value, wrong) {
            part.insert(key, sound);
        } else {
            torn.insert(section.to_owned());
        }
    }
    part
}

fn sound_value(value: &Spanned<DeValue<'_>>, wrong: &[usize]) -> Option<Value> {
    let span = value.span();
    // One that is missing is nowhere.
    let is_sound = !span.is_empty() && !wrong.iter().any(|at| (span.start..=span.end).contains(at));
    is_sound.then(|| Value::deserialize(ValueDeserializer::from(value.clone())).ok())?
}

/// The section `name`, if something is set in it.
fn given<'a>(name: &str, table: Option<Table>, mistakes: &'a mut Vec<Mistake>) -> Option<Section<'a>> {
    Some(Section::new(name.to_owned(), table.filter(|table| !table.is_empty())?, mistakes))
}

/// What can be used of the settings that `text` gives. What is lost of a section may be what made it safe: without its
/// password a network would be an open one, and without its certificates a broker would be spoken to in plain text.
pub(super) fn usable(text: &str) -> Usable {
    let (table, torn) = sound(text);
    let mut mistakes = Vec::new();
    let mut top = Section::new(String::new(), table, &mut mistakes);
    let camera = top.required("camera", "", camera);
    let tables = ["broker", "wifi", "system", "gpio"].map(|name| top.section(name));
    let [broker_table, wifi_table, system_table, gpio_table] = tables;
    // No broker is another thing than the broker of the defaults.
    let broker = given("broker", broker_table, &mut mistakes).and_then(broker);
    let wifi = given("wifi", wifi_table, &mut mistakes).and_then(Wifi::read).flatten();
    // A key that is not known may be one that is misspelt.
    let is_whole = |section: &str| {
        let is_within = |key: &str| key.strip_prefix(section).is_some_and(|rest| rest.starts_with('.'));
        !torn.contains(section) && !mistakes.iter().any(|mistake| is_within(&mistake.key))
    };
    let has_identity = |broker: &Broker| broker.tls.as_ref().is_some_and(|tls| tls.identity.is_some());
    Usable {
        camera,
        broker: broker
            .filter(|broker| !torn.contains("broker") && (has_identity(broker) || is_whole("broker"))),
        wifi: wifi.filter(|wifi| wifi.password.is_some() || is_whole("wifi")),
        system: given("system", system_table, &mut mistakes).and_then(System::read).unwrap_or_default(),
        led: given("gpio", gpio_table, &mut mistakes).and_then(Gpio::read).and_then(|gpio| gpio.led),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::Config;

    #[test]
    fn what_is_sound_beside_what_is_no_toml_can_be_used() {
        let text = "camera = \"gate\"\n[broker]\nhost = \"b\"\n[source]\n{}\n[wifi]\nnetwork = \"Hof\"\n\
                    country = \"DE\"\n[system]\nssh_key = \"ssh-ed25519 AAAAC3Nza\"\n";
        for slip in [
            "rate = “10”",
            "rate =",
            "rate = 10 20",
            "rate = \"10",
            "rate 10",
            "rate 10\nheight 20",
            "= 10",
            "controls = { gain = “1” }",
            "[gpio",
        ] {
            let text = text.replace("{}", slip);
            assert!(Config::from_toml(&text).is_err(), "{slip}");
            let Usable { camera, broker, wifi, system, .. } = usable(&text);
            assert_eq!(camera.unwrap().as_str(), "gate", "{slip}");
            assert_eq!(broker.unwrap().host, "b", "{slip}");
            assert_eq!(wifi.unwrap().network, "Hof", "{slip}");
            assert!(system.ssh_key.is_some(), "{slip}");
        }
    }

    #[test]
    fn what_is_not_sound_is_not_used() {
        let wifi = |password: &str| {
            usable(&format!("[wifi]\nnetwork = \"Hof\"\ncountry = \"DE\"\npassword = {password}\n")).wifi
        };
        assert!(wifi("\"long enough\"").is_some());
        assert_eq!(usable("camera = 99999999999999999999").camera, None);
        for password in
            ["“long enough”", "\"long enough", "\"long\\enough\"", "", "long enough", "\"\"\"long enough"]
        {
            assert_eq!(wifi(password), None, "{password}");
        }
        for line in ["password “long enough”", "password: \"long enough\"", "pasword = \"long enough\""] {
            let wifi = usable(&format!("[wifi]\n{line}\nnetwork = \"Hof\"\ncountry = \"DE\"\n")).wifi;
            assert_eq!(wifi, None, "{line}");
        }
        for wifi in [
            "wifi = { network = \"Hof\", country = \"DE\", password = “long enough” }",
            "wifi.network = \"Hof\"\nwifi.country = \"DE\"\nwifi.password “long enough”",
        ] {
            assert_eq!(usable(wifi).wifi, None, "{wifi}");
        }
        let tls = "ca = \"ca.pem\"\ncertificate = \"c.pem\"\nkey = \"k.pem\"\n";
        let broker = |lines: &str| usable(&format!("[broker]\n{lines}[gpio]\nled = 27\n")).broker;
        assert!(broker(&format!("host = \"b\"\n{tls}")).is_some_and(|broker| broker.tls.is_some()));
        for (whole, torn) in [("\"b\"", "“b”"), ("\"ca.pem\"", "“ca.pem”"), (tls, &tls.replace('"', "”"))]
        {
            let text = format!("host = \"b\"\n{tls}").replace(whole, torn);
            assert_eq!(broker(&text), None, "{text}");
        }
        assert_eq!(usable("camera = “gate”").camera, None);
        assert_eq!(usable("[gpio]\nled = ").led, None);
    }
}
