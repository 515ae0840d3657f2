//! Writing cards by the program. A file stands for the card.

#![allow(clippy::unwrap_used)]

use std::{
    fs::{self, File},
    io::Read as _,
    os::unix::fs::PermissionsExt as _,
    path::PathBuf,
    process::{Command, Output, Stdio},
};

use tempfile::TempDir;

const IMAGE: &str = "target/image-debian/teiten-debian.img";

/// An owner's desk with cameras, and a card of 4 MiB in which nothing is zero.
struct Desk {
    place: TempDir,
}

impl Desk {
    fn with(cameras: &[&str]) -> Self {
        let desk = Self { place: tempfile::tempdir().unwrap() };
        for name in cameras {
            let added = desk.owner(&["camera", "add", name, "--broker", "mqtt.home", "--wifi", ""]);
            assert!(added.status.success(), "{}", said(&added));
        }
        fs::write(desk.path("card"), vec![0xFF; 4 << 20]).unwrap();
        desk
    }

    fn path(&self, name: &str) -> PathBuf {
        self.place.path().join(name)
    }

    /// An image of so many MiB: a partition table, and a FAT partition from 1 MiB on.
    fn with_image(self, mebibytes: u64) -> Self {
        let image = self.path(IMAGE);
        fs::create_dir_all(image.parent().unwrap()).unwrap();
        let mut bytes = vec![0; 512];
        bytes[446 + 4] = 0x0C;
        bytes[446 + 8..446 + 12].copy_from_slice(&2048_u32.to_le_bytes());
        bytes[510..512].copy_from_slice(&[0x55, 0xAA]);
        fs::write(&image, bytes).unwrap();
        File::options().write(true).open(&image).unwrap().set_len(mebibytes << 20).unwrap();
        let partition = format!("{}@@1M", image.display());
        let made = Command::new("mformat").args(["-i", &partition, "-T", "2048", "::"]).status().unwrap();
        assert!(made.success());
        self
    }

    fn command(&self, program: &str) -> Command {
        let mut command = Command::new(program);
        command.current_dir(self.place.path()).stdin(Stdio::null()).env_remove("TEITEN_CAMERAS");
        command
    }

    fn owner(&self, arguments: &[&str]) -> Output {
        self.command(env!("CARGO_BIN_EXE_teiten-owner")).args(arguments).output().unwrap()
    }

    /// What is said of a card that is not written.
    fn refusal(&self, name: &str) -> String {
        let refused = self.owner(&["flash", "card", name]);
        assert!(!refused.status.success(), "{}", said(&refused));
        assert!(fs::read(self.path("card")).unwrap().iter().all(|byte| *byte == 0xFF), "{}", said(&refused));
        said(&refused)
    }
}

fn said(output: &Output) -> String {
    [&output.stdout, &output.stderr].map(|said| String::from_utf8_lossy(said)).concat()
}

#[test]
fn the_command_that_adding_a_camera_prints_writes_the_image_that_is_built() {
    let desk = Desk::with(&[]);
    let added = said(&desk.owner(&["camera", "add", "yard", "--broker", "mqtt.home", "--wifi", ""]));
    assert!(added.contains("./just flash DEVICE yard\n"), "{added}");
    let missing = format!("there is no image {IMAGE}: make it (./just image-debian)");
    let complaint = desk.refusal("yard");
    assert!(complaint.contains(&missing), "{complaint}");

    let desk = desk.with_image(2);
    let written = desk.owner(&["flash", "card", "yard"]);
    assert!(written.status.success(), "{}", said(&written));
    let partition = format!("{}@@1M", desk.path("card").display());
    let settings = Command::new("mtype").args(["-i", &partition, "::teiten.toml"]).output().unwrap();
    assert!(said(&settings).contains("yard"), "{}", said(&settings));
}

#[test]
fn a_card_with_which_a_camera_would_not_be_that_camera_is_not_written() {
    let desk = Desk::with(&["yard", "gate", "shed", "roof"]).with_image(2);
    let settings = |name: &str| desk.path("cameras").join(name).join("teiten.toml");
    fs::copy(settings("yard"), settings("gate")).unwrap();
    let of_another = desk.refusal("gate");
    assert!(of_another.contains("cameras/gate/teiten.toml is of yard"), "{of_another}");

    let text = fs::read_to_string(settings("shed")).unwrap();
    fs::write(settings("shed"), text.replace("rate = \"auto\"", "rate = \"fast\"")).unwrap();
    let mistaken = desk.refusal("shed");
    assert!(mistaken.contains("cameras/shed/teiten.toml") && mistaken.contains("source.rate"), "{mistaken}");

    let key = |name: &str| desk.path("cameras").join(name).join("key.pem");
    fs::copy(key("yard"), key("roof")).unwrap();
    let renewed_in_part = desk.refusal("roof");
    assert!(renewed_in_part.contains("do not belong together"), "{renewed_in_part}");

    fs::remove_file(desk.path("cameras/yard/updates.pem")).unwrap();
    let incomplete = desk.refusal("yard");
    assert!(incomplete.contains("cameras/yard/updates.pem is missing"), "{incomplete}");
}

#[test]
fn a_camera_s_key_is_not_written_into_the_image_itself() {
    let desk = Desk::with(&["yard"]).with_image(2);
    let before = fs::read(desk.path(IMAGE)).unwrap();
    let refused = desk.owner(&["flash", IMAGE, "yard"]);
    assert!(
        !refused.status.success() && said(&refused).contains("is the image itself"),
        "{}",
        said(&refused)
    );
    assert!(fs::read(desk.path(IMAGE)).unwrap() == before);
}

#[test]
fn a_program_that_is_ended_while_it_writes_leaves_no_copy_of_the_key() {
    // So long that it is not over before it is ended.
    let desk = Desk::with(&["yard"]).with_image(64);
    let scratch = desk.path("scratch");
    fs::create_dir(&scratch).unwrap();
    let mut command = desk.command(env!("CARGO_BIN_EXE_teiten-owner"));
    command.args(["flash", "card", "yard"]).env("TMPDIR", &scratch).stderr(Stdio::piped());
    let mut program = command.stdout(Stdio::null()).spawn().unwrap();
    let mut stderr = program.stderr.take().unwrap();
    let (mut told, mut byte) = (Vec::new(), [0]);
    while !told.ends_with(b"writing") {
        stderr.read_exact(&mut byte).unwrap_or_else(|_| panic!("{}", String::from_utf8_lossy(&told)));
        told.extend(byte);
    }
    program.kill().unwrap();
    program.wait().unwrap();
    assert_eq!(fs::read_dir(&scratch).unwrap().count(), 0);
}

#[test]
fn who_may_not_write_to_a_disk_is_told_the_command_that_may_before_anything_is_copied() {
    let desk = Desk::with(&["yard"]);
    let program = env!("CARGO_BIN_EXE_teiten-owner");
    // It is no image: whoever copied it would say so.
    let (card, image) = (desk.path("a card"), desk.path("image"));
    fs::write(&image, "").unwrap();
    fs::write(&card, "").unwrap();
    fs::set_permissions(&card, fs::Permissions::from_mode(0o444)).unwrap();
    // Root may write all the same, and only root can give that up.
    let is_root = File::options().write(true).open(&card).is_ok();
    let mut command = desk.command(if is_root { "setpriv" } else { program });
    if is_root {
        command.args(["--bounding-set=-all", "--inh-caps=-all", program]);
    }
    let refused = command.args(["flash", "a card", "yard", "--image", "image"]).output().unwrap();
    let complaint = said(&refused);
    assert!(!refused.status.success());
    let command = "/teiten-owner --folder cameras flash 'a card' yard --image image\n";
    assert!(complaint.contains("This may:\n    sudo /") && complaint.contains(command), "{complaint}");
}
