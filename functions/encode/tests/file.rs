//! The program, encoding from file to file.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod support;

use std::process::{Command, Output};

use support::*;
use teiten_footage::Frame;

fn run(arguments: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_teiten-encode")).args(arguments).output().unwrap()
}

#[test]
fn a_batch_in_a_file_becomes_a_playable_file() {
    let directory = tempfile::tempdir().unwrap();
    let stamped = batch(window(), 5)
        .frames()
        .iter()
        .map(|frame| Frame::stamp(&frame.jpeg, frame.id, frame.captured).unwrap())
        .collect::<Vec<_>>();
    let batch = teiten_footage::Batch::new(window(), stamped).unwrap();
    let named = directory.path().join(format!("{}.mjpeg", window()));
    let other = directory.path().join("x.mjpeg");
    let output = directory.path().join("x.mp4");
    for path in [&named, &other] {
        std::fs::write(path, batch.to_bytes()).unwrap();
    }
    let [named, other, output] = [&named, &other, &output].map(|path| path.to_str().unwrap());
    let expected = encoded(&batch);
    let expected = [expected.init, expected.segment].concat();
    for arguments in
        [&["file", named, output][..], &["file", other, output, "--window", &window().to_string()]]
    {
        let ran = run(arguments);
        assert!(ran.status.success(), "{}", String::from_utf8_lossy(&ran.stderr));
        assert_eq!(std::fs::read(output).unwrap(), expected);
    }
    let ran = run(&["file", other, output]);
    assert!(!ran.status.success());
    let message = String::from_utf8_lossy(&ran.stderr);
    assert!(message.contains("give one with --window"), "{message}");
}
