//! The volume of the store that `local` brings along: as large as the settings say. What a StatefulSet says of its volumes cannot be
//! changed, few volumes grow and none shrinks. So what is there counts, and what cannot be is said.

use std::{fmt, str::FromStr};

use serde_json::{Value, json};

use crate::{Kubectl, KubectlError, NAMESPACE};

/// The store's StatefulSet, and the claim that it makes.
pub(crate) const STORE: &str = "storage";
pub(crate) const CLAIM: &str = "data-storage-0";

/// Kubernetes' units of quantities.
const UNITS: [(&str, u64); 9] = [
    ("", 1),
    ("k", 1000),
    ("M", 1_000_000),
    ("G", 1_000_000_000),
    ("T", 1_000_000_000_000),
    ("Ki", 1 << 10),
    ("Mi", 1 << 20),
    ("Gi", 1 << 30),
    ("Ti", 1 << 40),
];

/// A volume's size as it is written, and in bytes: one size is written in several ways.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Size {
    text: String,
    bytes: u64,
}

impl FromStr for Size {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let digits = text.bytes().take_while(u8::is_ascii_digit).count();
        let unit = UNITS.iter().find(|(unit, _)| *unit == &text[digits..]).map(|(_, bytes)| *bytes);
        let bytes = text[..digits].parse::<u64>().ok().zip(unit).and_then(|(n, unit)| n.checked_mul(unit));
        match bytes {
            Some(bytes @ 1..) => Ok(Self { text: text.to_owned(), bytes }),
            _ => Err(format!("a size such as 300Gi, not {text:?}")),
        }
    }
}

impl Size {
    pub(crate) fn bytes(&self) -> u64 {
        self.bytes
    }
}

impl fmt::Display for Size {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

/// The manifests with what the StatefulSet that is there says of its volumes: they are refused with anything else. kustomize writes
/// one field a line.
pub(crate) fn unchanged(manifests: &str, store: &Value, wanted: &Size) -> String {
    let template = &store["spec"]["volumeClaimTemplates"][0]["spec"];
    let Some(there) = template["resources"]["requests"]["storage"].as_str() else {
        return manifests.to_owned();
    };
    // It quotes a number.
    let lines = [format!("  storage: {wanted}\n"), format!("  storage: \"{wanted}\"\n")];
    lines
        .iter()
        .fold(manifests.to_owned(), |text, line| text.replace(line, &format!("  storage: \"{there}\"\n")))
}

/// Has the volume grow to what is wanted, where it can. Answers what there is to say.
pub(crate) fn fit(kubectl: &Kubectl, wanted: &Size) -> Result<Option<String>, KubectlError> {
    let Some(claim) = kubectl.get("persistentvolumeclaim", CLAIM, NAMESPACE)? else { return Ok(None) };
    let class = match claim["spec"]["storageClassName"].as_str() {
        Some(name) => kubectl.get("storageclasses.storage.k8s.io", name, NAMESPACE)?,
        None => None,
    };
    let (grows, words) = change(&claim, class.as_ref(), wanted).unzip();
    if grows == Some(true) {
        let patch = json!({"spec": {"resources": {"requests": {"storage": wanted.text}}}}).to_string();
        let patch = [
            "patch",
            "persistentvolumeclaim",
            CLAIM,
            "--namespace",
            NAMESPACE,
            "--type",
            "merge",
            "--patch",
            &patch,
        ];
        kubectl.run(&patch, None)?;
    }
    Ok(words)
}

/// Whether the volume of `claim` is to grow, and words; `None` if it is as it shall be.
fn change(claim: &Value, class: Option<&Value>, wanted: &Size) -> Option<(bool, String)> {
    let there = claim["spec"]["resources"]["requests"]["storage"].as_str()?;
    let bytes = there.parse().map_or(0, |Size { bytes, .. }| bytes);
    if bytes == wanted.bytes {
        return None;
    }
    if bytes < wanted.bytes && class.is_some_and(|class| class["allowVolumeExpansion"] == true) {
        return Some((true, format!("the volume {CLAIM} grows from {there} to {wanted}")));
    }
    let why = if bytes > wanted.bytes {
        "no volume shrinks".to_owned()
    } else {
        let class = claim["spec"]["storageClassName"].as_str().unwrap_or_default();
        format!("its storage class ({class}) lets none grow")
    };
    let words = format!(
        "note    The volume {CLAIM} stays at {there}, though TEITEN_STORAGE_SIZE={wanted}: {why}. infra/overlays/local/README.md says what \
         can be done."
    );
    Some((false, words))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn size(text: &str) -> Size {
        text.parse().unwrap()
    }

    #[test]
    fn a_size_is_one_however_it_is_written() {
        assert_eq!(size("1024Gi").bytes, size("1Ti").bytes);
        assert_eq!(size("322122547200").bytes, size("300Gi").bytes);
        assert!(size("300G").bytes < size("300Gi").bytes);
        for text in ["", "0", "Gi", "300gi", "300 Gi", "-1Gi", "1.5Ti", "99999999999Ti"] {
            assert!(text.parse::<Size>().is_err(), "{text:?}");
        }
    }

    #[test]
    fn a_volume_grows_where_its_class_lets_it_and_is_left_elsewhere_with_the_reason() {
        let claim =
            json!({"spec": {"storageClassName": "ssd", "resources": {"requests": {"storage": "1Ti"}}}});
        let [lets, does_not] = [true, false].map(|lets| json!({"allowVolumeExpansion": lets}));
        let changed = |class, wanted| change(&claim, Some(class), &size(wanted));
        assert_eq!(changed(&does_not, "1024Gi"), None);
        assert_eq!(
            changed(&lets, "2Ti"),
            Some((true, "the volume data-storage-0 grows from 1Ti to 2Ti".to_owned()))
        );
        for (class, wanted, why) in [
            (&does_not, "2Ti", "its storage class (ssd) lets none grow"),
            (&lets, "300Gi", "no volume shrinks"),
        ] {
            let (grows, words) = changed(class, wanted).unwrap();
            assert!(!grows && words.contains(why), "{words}");
        }
        assert!(!change(&claim, None, &size("2Ti")).unwrap().0, "nobody knows the class");
    }

    #[test]
    fn what_a_set_says_of_its_volumes_stays_in_the_manifests() {
        let manifests = "data:\n  TEITEN_STORAGE_SIZE: 300Gi\n        requests:\n          storage: 300Gi\n";
        let of = |size: &str| json!({"spec": {"volumeClaimTemplates": [{"spec": {"resources": {"requests": {"storage": size}}}}]}});
        assert_eq!(
            unchanged(manifests, &of("50Gi"), &size("300Gi")),
            manifests.replace("  storage: 300Gi", "  storage: \"50Gi\"")
        );
        let in_bytes = manifests.replace("300Gi", "\"322122547200\"");
        assert_eq!(
            unchanged(&in_bytes, &of("300Gi"), &size("322122547200")),
            in_bytes.replace("  storage: \"322122547200\"", "  storage: \"300Gi\"")
        );
        assert_eq!(unchanged(manifests, &Value::Null, &size("300Gi")), manifests);
    }
}
