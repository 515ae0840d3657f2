//! What the file of a key is called.
//!
//! A key's segments (between slashes) become folders and a file, percent-encoded where they hold anything
//! but plain ASCII, so that each key has exactly one path on any file system that tells case apart.
//! S3 lets `a` and `a/b` be objects side by side, a file system does not: so a file's name has a dot and a
//! folder's has none, and whatever would break that rule carries a `%` at its end. What Teiten writes keeps
//! its plain name: `media/porch/2026-11-23/04/20261123T040501.000Z-1000.m4s`.

use std::{
    ffi::OsStr,
    path::{Path, PathBuf},
};

use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, percent_decode_str, utf8_percent_encode};

/// The longest file name of common file systems, in bytes.
const NAME_BYTES_MAX: usize = 255;

const ENCODED: &AsciiSet =
    &NON_ALPHANUMERIC.remove(b'-').remove(b'_').remove(b'.').remove(b'~').remove(b'=').remove(b'+');

/// Marks a file without a dot and a folder with one.
const MARK: char = '%';

/// Stands for an empty segment, which no file can be named by. Not a percent-encoding of anything.
const EMPTY: &str = "%empty";

/// A key with a segment that is too long for a file's name.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("the key has a segment of more than {NAME_BYTES_MAX} bytes, encoded: {segment:?}")]
pub(crate) struct SegmentTooLong {
    segment: String,
}

/// What one name in a folder stands for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Entry {
    /// An object's last segment.
    Object(String),
    /// A segment before the last one.
    Folder(String),
}

/// The path of `key`'s file under its bucket's folder.
pub(crate) fn object_path(bucket: &Path, key: &str) -> Result<PathBuf, SegmentTooLong> {
    let (folders, last) = match key.rfind('/') {
        Some(slash) => (&key[..=slash], &key[slash + 1..]),
        None => ("", key),
    };
    Ok(folder_path(bucket, folders)?.join(name_of(last, last.contains('.'))?))
}

/// The path of the folder of all keys that start with `folders`, which is empty or ends with a slash.
pub(crate) fn folder_path(bucket: &Path, folders: &str) -> Result<PathBuf, SegmentTooLong> {
    debug_assert!(folders.is_empty() || folders.ends_with('/'));
    let mut path = bucket.to_owned();
    for segment in folders.split_terminator('/') {
        path.push(name_of(segment, !segment.contains('.'))?);
    }
    Ok(path)
}

/// What a name in a folder stands for; `None` if it is not one of ours.
pub(crate) fn parse(name: &OsStr) -> Option<Entry> {
    let name = name.to_str()?;
    let (encoded, marked) = match name.strip_suffix(MARK) {
        Some(encoded) => (encoded, true),
        None => (name, false),
    };
    let segment = if is_plain(encoded) { encoded.to_owned() } else { decode(encoded)? };
    let is_object = segment.contains('.') != marked;
    Some(if is_object { Entry::Object(segment) } else { Entry::Folder(segment) })
}

/// Whether a segment and its name are the same: so it is for nearly all, and listings read many.
fn is_plain(encoded: &str) -> bool {
    let is_plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-_.~=+".contains(&byte);
    !encoded.is_empty() && !encoded.starts_with('.') && encoded.bytes().all(is_plain)
}

fn decode(encoded: &str) -> Option<String> {
    let segment = match encoded {
        EMPTY => String::new(),
        _ => percent_decode_str(encoded).decode_utf8().ok()?.into_owned(),
    };
    (!segment.contains('/') && encode(&segment) == encoded).then_some(segment)
}

fn name_of(segment: &str, plain: bool) -> Result<String, SegmentTooLong> {
    let mut name = encode(segment);
    if !plain {
        name.push(MARK);
    }
    if name.len() > NAME_BYTES_MAX {
        return Err(SegmentTooLong { segment: name });
    }
    Ok(name)
}

fn encode(segment: &str) -> String {
    match segment.strip_prefix('.') {
        // Neither `.` nor `..`, nor a hidden file.
        Some(rest) => format!("%2E{}", utf8_percent_encode(rest, ENCODED)),
        None if segment.is_empty() => EMPTY.to_owned(),
        None => utf8_percent_encode(segment, ENCODED).to_string(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn path(key: &str) -> String {
        object_path(Path::new("b"), key).unwrap().to_str().unwrap().to_owned()
    }

    #[test]
    fn what_teiten_writes_keeps_its_name() {
        for key in [
            "porch/live.m3u8",
            "porch/2026-11-23/04.m3u8",
            "porch/init-0123456789abcdef.mp4",
            "porch/2026-11-23/04/20261123T040501.000Z-1000.mjpeg",
        ] {
            assert_eq!(path(key), format!("b/{key}"));
        }
    }

    #[test]
    fn an_object_and_a_folder_of_one_name_do_not_meet() {
        // This is the layout on disk: a change makes existing folders unreadable.
        assert_eq!(path("a"), "b/a%");
        assert_eq!(path("a/b.c"), "b/a/b.c");
        assert_eq!(path("a.b"), "b/a.b");
        assert_eq!(path("a.b/c"), "b/a.b%/c%");
        assert_eq!(path("a/"), "b/a/%empty%");
        assert_eq!(path("//"), "b/%empty/%empty/%empty%");
        assert_eq!(path("../.x"), "b/%2E.%/%2Ex");
        assert_eq!(path("a b/%"), "b/a%20b/%25%");
    }

    #[test]
    fn every_name_reads_back() {
        let segments =
            ["", "a", "a.b", ".", "..", ".a", "%", "%%", "%empty", "%20", "a b", "定点.é", "\0", "a%", "="];
        for segment in segments {
            let file = PathBuf::from(path(&format!("x/{segment}")));
            assert_eq!(parse(file.file_name().unwrap()), Some(Entry::Object(segment.to_owned())));
            let folder = folder_path(Path::new("b"), &format!("{segment}/")).unwrap();
            assert_eq!(parse(folder.file_name().unwrap()), Some(Entry::Folder(segment.to_owned())));
        }
    }

    #[test]
    fn foreign_names_stand_for_nothing() {
        for name in [".DS_Store", "a b", "%2e", "a%2Fb", "%zz", "é", ""] {
            assert_eq!(parse(OsStr::new(name)), None, "{name}");
        }
    }

    #[test]
    fn a_segment_that_no_file_can_be_named_by_is_an_error() {
        assert!(object_path(Path::new("b"), &"a".repeat(254)).is_ok());
        assert!(object_path(Path::new("b"), &"a".repeat(255)).is_err());
        assert!(object_path(Path::new("b"), &format!("{}/x", "é".repeat(60))).is_err());
    }
}
