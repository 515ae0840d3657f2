//! What Linux says of a disk: sysfs (`/sys/class/block`), `/proc/self/mountinfo` (proc(5)) and `/proc/swaps`.

use std::{
    fs,
    path::{Path, PathBuf},
};

use anyhow::Context as _;

/// What is known of a device.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Facts {
    /// The kernel's name for it, `sdb`.
    pub name: String,
    /// Maker and model, as far as it tells them.
    pub model: String,
    /// Its size, where it has a fixed one.
    pub bytes: Option<u64>,
    /// The disk, if this is a partition of one.
    pub partition_of: Option<String>,
    /// Where it or a partition of it is mounted, through LVM or encryption too.
    pub mounted_at: Vec<String>,
    /// Which of it is swap space.
    pub swap: Vec<String>,
    /// What is on top of it.
    pub holders: Vec<String>,
    /// Whether it can be taken out: a card or a USB disk.
    pub removable: bool,
}

/// Where to look: the running system's `/sys` and `/proc`, or copies.
#[derive(Debug, Clone)]
pub struct System {
    /// sysfs.
    pub sys: PathBuf,
    /// procfs.
    pub proc: PathBuf,
}

impl Default for System {
    fn default() -> Self {
        Self { sys: "/sys".into(), proc: "/proc".into() }
    }
}

impl System {
    /// The facts of the block device that the kernel calls `name`.
    pub fn disk(&self, name: &str) -> anyhow::Result<Facts> {
        let folder = self.block(name);
        let folder =
            fs::canonicalize(&folder).with_context(|| format!("{name} is no disk that Linux knows"))?;
        let is_partition = folder.join("partition").exists();
        let parent = folder.parent().and_then(Path::file_name).map(|disk| disk.to_string_lossy());
        let parts = self.with_partitions(name);
        let holders = self.holders(&parts);
        let whole: Vec<String> = parts.iter().chain(&holders).cloned().collect();
        let text = |file: &str| Some(fs::read_to_string(folder.join(file)).ok()?.trim().to_owned());
        let sectors = text("size").and_then(|size| size.parse::<u64>().ok()).context("it has no size")?;
        let model = ["device/vendor", "device/model", "device/name"].map(text).into_iter().flatten();
        // A card in a slot of its own (mmcblk) says `removable 0`, as it does not report its removal.
        let bus = folder.to_string_lossy().into_owned();
        let card = text("device/type").as_deref() == Some("SD");
        Ok(Facts {
            name: name.to_owned(),
            model: model.collect::<Vec<_>>().join(" "),
            bytes: Some(sectors * 512),
            partition_of: parent.filter(|_| is_partition).map(|disk| format!("/dev/{disk}")),
            mounted_at: self.mounts(&whole)?,
            swap: self.swaps(&whole)?,
            holders,
            removable: text("removable").as_deref() == Some("1") || card || bus.contains("/usb"),
        })
    }

    fn block(&self, name: &str) -> PathBuf {
        self.sys.join("class/block").join(name)
    }

    fn with_partitions(&self, name: &str) -> Vec<String> {
        let partitions = names_in(&self.block(name)).into_iter();
        let partitions = partitions.filter(|part| self.block(name).join(part).join("partition").exists());
        std::iter::once(name.to_owned()).chain(partitions).collect()
    }

    /// What is on top of devices, and on top of that: LVM on encryption, say.
    fn holders(&self, devices: &[String]) -> Vec<String> {
        let mut holders: Vec<String> =
            devices.iter().flat_map(|device| names_in(&self.block(device).join("holders"))).collect();
        if !holders.is_empty() {
            holders.extend(self.holders(&holders));
        }
        holders.sort();
        holders.dedup();
        holders
    }

    /// Where a device of `names` is mounted, by device number: names in mountinfo can be anything.
    fn mounts(&self, names: &[String]) -> anyhow::Result<Vec<String>> {
        let numbers: Vec<String> = names
            .iter()
            .filter_map(|name| Some(fs::read_to_string(self.block(name).join("dev")).ok()?.trim().to_owned()))
            .collect();
        let sources: Vec<String> = names.iter().map(|name| format!("/dev/{name}")).collect();
        let path = self.proc.join("self/mountinfo");
        let text = fs::read_to_string(&path).with_context(|| format!("{} cannot be read", path.display()))?;
        let mounted = text.lines().filter_map(|line| {
            let fields: Vec<&str> = line.split(' ').collect();
            // btrfs has device numbers of its own, so the source behind the hyphen counts too.
            let source = fields.iter().position(|field| *field == "-").and_then(|at| fields.get(at + 2));
            let known = numbers.iter().any(|number| fields.get(2) == Some(&number.as_str()))
                || sources.iter().any(|name| source == Some(&name.as_str()));
            known.then(|| fields.get(4).map(|at| at.replace("\\040", " "))).flatten()
        });
        Ok(mounted.collect())
    }

    fn swaps(&self, names: &[String]) -> anyhow::Result<Vec<String>> {
        let path = self.proc.join("swaps");
        let text = fs::read_to_string(&path).with_context(|| format!("{} cannot be read", path.display()))?;
        let used: Vec<&str> = text.lines().filter_map(|line| line.split_whitespace().next()).collect();
        Ok(names.iter().filter(|name| used.contains(&format!("/dev/{name}").as_str())).cloned().collect())
    }
}

fn names_in(folder: &Path) -> Vec<String> {
    let entries = fs::read_dir(folder).into_iter().flatten().flatten();
    let mut names: Vec<String> =
        entries.map(|entry| entry.file_name().to_string_lossy().into_owned()).collect();
    names.sort();
    names
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::symlink;

    use super::*;

    struct MadeUp {
        place: tempfile::TempDir,
    }

    impl MadeUp {
        fn new(mountinfo: &str, swaps: &str) -> Self {
            let made = Self { place: tempfile::tempdir().unwrap() };
            made.file("proc/self/mountinfo", mountinfo);
            made.file("proc/swaps", swaps);
            made
        }

        fn file(&self, path: &str, text: &str) {
            let path = self.place.path().join(path);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, text).unwrap();
        }

        /// A disk on `bus`, or with `partition` a partition.
        fn block(&self, bus: &str, files: &[(&str, &str)]) {
            for (file, text) in files {
                self.file(&format!("sys/devices/{bus}/{file}"), text);
            }
            let classes = self.place.path().join("sys/class/block");
            fs::create_dir_all(&classes).unwrap();
            let name = bus.rsplit('/').next().unwrap();
            symlink(self.place.path().join("sys/devices").join(bus), classes.join(name)).unwrap();
        }

        fn disk(&self, name: &str) -> Facts {
            let system = System { sys: self.place.path().join("sys"), proc: self.place.path().join("proc") };
            system.disk(name).unwrap()
        }
    }

    #[test]
    fn a_card_in_a_usb_reader_is_removable_and_its_mounted_partition_is_seen() {
        let made = MadeUp::new("36 25 8:17 / /media/my\\040card rw shared:1 - vfat /dev/sdb1 rw\n", "");
        made.block(
            "pci0/usb1/1-1/host6/block/sdb",
            &[
                ("size", "15523840\n"),
                ("removable", "1\n"),
                ("dev", "8:16\n"),
                ("device/model", "SD Reader \n"),
            ],
        );
        made.block(
            "pci0/usb1/1-1/host6/block/sdb/sdb1",
            &[("size", "100\n"), ("partition", "1\n"), ("dev", "8:17\n")],
        );
        let facts = made.disk("sdb");
        assert_eq!(facts.mounted_at, ["/media/my card"]);
        assert_eq!((facts.model.as_str(), facts.bytes), ("SD Reader", Some(15_523_840 * 512)));
        assert!(facts.removable && facts.partition_of.is_none());
        assert_eq!(made.disk("sdb1").partition_of.as_deref(), Some("/dev/sdb"));
    }

    #[test]
    fn a_system_disk_is_seen_through_lvm_and_swap() {
        let made = MadeUp::new(
            "25 1 254:0 / / rw - ext4 /dev/mapper/root rw\n",
            "Filename Type Size Used Priority\n/dev/sda2 partition 1 0 -2\n",
        );
        made.block("pci0/ata1/block/sda", &[("size", "1000\n"), ("removable", "0\n"), ("dev", "8:0\n")]);
        made.block(
            "pci0/ata1/block/sda/sda1",
            &[("size", "1\n"), ("partition", "1\n"), ("dev", "8:1\n"), ("holders/dm-0", "")],
        );
        made.block("pci0/ata1/block/sda/sda2", &[("size", "1\n"), ("partition", "2\n"), ("dev", "8:2\n")]);
        made.block("virtual/block/dm-0", &[("size", "1\n"), ("dev", "254:0\n")]);
        let facts = made.disk("sda");
        assert_eq!((facts.mounted_at, facts.swap), (vec!["/".to_owned()], vec!["sda2".to_owned()]));
        assert_eq!((facts.holders, facts.removable), (vec!["dm-0".to_owned()], false));
    }

    #[test]
    fn a_system_is_seen_through_lvm_on_encryption() {
        let made =
            MadeUp::new("25 1 254:1 / / rw - ext4 /dev/mapper/vg-root rw\n", "/dev/dm-2 partition 1 0 -2\n");
        made.block("pci0/nvme/nvme0n1", &[("size", "1000\n"), ("removable", "0\n"), ("dev", "259:0\n")]);
        made.block(
            "pci0/nvme/nvme0n1/nvme0n1p3",
            &[("size", "1\n"), ("partition", "3\n"), ("dev", "259:3\n"), ("holders/dm-0", "")],
        );
        let on_encryption = [("size", "1\n"), ("dev", "254:0\n"), ("holders/dm-1", ""), ("holders/dm-2", "")];
        made.block("virtual/block/dm-0", &on_encryption);
        made.block("virtual/block/dm-1", &[("size", "1\n"), ("dev", "254:1\n")]);
        made.block("virtual/block/dm-2", &[("size", "1\n"), ("dev", "254:2\n")]);
        let facts = made.disk("nvme0n1");
        assert_eq!((facts.mounted_at, facts.swap), (vec!["/".to_owned()], vec!["dm-2".to_owned()]));
        assert_eq!(facts.holders, ["dm-0", "dm-1", "dm-2"]);
    }

    #[test]
    fn a_card_in_a_slot_is_removable_and_soldered_memory_is_not() {
        let made = MadeUp::new("", "");
        for (name, kind) in [("mmcblk0", "SD\n"), ("mmcblk1", "MMC\n")] {
            let bus = format!("platform/mmc/block/{name}");
            made.block(
                &bus,
                &[("size", "1\n"), ("removable", "0\n"), ("dev", "179:0\n"), ("device/type", kind)],
            );
        }
        assert!(made.disk("mmcblk0").removable && !made.disk("mmcblk1").removable);
    }
}
