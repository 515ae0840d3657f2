//! What is in an object's file: its bytes as they are, then a trailer with all else.
//!
//! ```text
//! bytes | JSON (UTF-8) | length of the JSON, u32 little-endian | "teiten-1"
//! ```
//!
//! One file means that bytes and metadata are replaced together or not at all; bytes first means that most
//! players and viewers open the file as it is, and that a range starts at its own offset.

use std::{
    collections::BTreeMap,
    fs::File,
    io::{self, Write},
    ops::Range,
    os::unix::fs::FileExt,
    path::Path,
};

use bytes::{Bytes, BytesMut};
use serde::{Deserialize, Serialize};

const MAGIC: &[u8; 8] = b"teiten-1";
const FOOTER_BYTES: usize = 4 + MAGIC.len();

/// The largest trailer, in bytes: S3 allows 2 KB of user metadata, and headers have limits of their own.
const TRAILER_BYTES_MAX: usize = 32 << 10;

/// Read first, in the hope that it holds the whole trailer.
const TRAILER_BYTES_USUAL: usize = 512;

/// What is known of an object beside its bytes. The field names are part of the format.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Meta {
    /// The MD5 of the bytes, in hex.
    pub etag: String,
    /// When it was written.
    pub modified_unix_millis: u64,
    #[serde(flatten)]
    pub headers: StoredHeaders,
    /// Length of the bytes. Follows from the file's.
    #[serde(skip)]
    pub size_bytes: u64,
}

/// The headers that an object is served with.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct StoredHeaders {
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub content_type: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cache_control: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub content_disposition: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub content_encoding: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub content_language: Option<String>,
    /// User metadata (`x-amz-meta-…`).
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub user: BTreeMap<String, String>,
}

/// An object's file, open: what it holds cannot change any more.
#[derive(Debug)]
pub(crate) struct ObjectFile {
    file: File,
    pub meta: Meta,
}

/// Writes a new file at `path`.
pub(crate) fn write(path: &Path, bytes: &[u8], meta: &Meta) -> io::Result<()> {
    let mut file = File::create_new(path)?;
    file.write_all(bytes)?;
    file.write_all(&trailer(meta)?)
}

fn trailer(meta: &Meta) -> io::Result<Vec<u8>> {
    let mut trailer = serde_json::to_vec(meta)?;
    if trailer.len() + FOOTER_BYTES > TRAILER_BYTES_MAX {
        return Err(io::Error::new(io::ErrorKind::InvalidInput, "the object's metadata is too large"));
    }
    let json_bytes = u32::try_from(trailer.len()).map_err(io::Error::other)?;
    trailer.extend_from_slice(&json_bytes.to_le_bytes());
    trailer.extend_from_slice(MAGIC);
    Ok(trailer)
}

/// Opens the file at `path`. `None` if there is none, or if it is no object: a file that someone put there,
/// or one that a crash of the whole machine cut short, counts as absent and may be overwritten.
pub(crate) fn open(path: &Path) -> io::Result<Option<ObjectFile>> {
    let file = match File::open(path) {
        Ok(file) => file,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(error),
    };
    let meta = read_meta(&file)?;
    if meta.is_none() {
        tracing::warn!(path = %path.display(), "a file is no object: it counts as absent");
    }
    Ok(meta.map(|meta| ObjectFile { file, meta }))
}

fn read_meta(file: &File) -> io::Result<Option<Meta>> {
    let file_bytes = file.metadata()?.len();
    let mut tail = read_tail(file, file_bytes, TRAILER_BYTES_USUAL)?;
    let Some(trailer_bytes) = trailer_bytes(&tail) else { return Ok(None) };
    if trailer_bytes > TRAILER_BYTES_MAX || trailer_bytes as u64 > file_bytes {
        return Ok(None);
    }
    if trailer_bytes > tail.len() {
        tail = read_tail(file, file_bytes, trailer_bytes)?;
    }
    let json = &tail[tail.len() - trailer_bytes..tail.len() - FOOTER_BYTES];
    let Ok(mut meta) = serde_json::from_slice::<Meta>(json) else { return Ok(None) };
    meta.size_bytes = file_bytes - trailer_bytes as u64;
    Ok(Some(meta))
}

/// The last bytes of a file, at most `count_max`.
fn read_tail(file: &File, file_bytes: u64, count_max: usize) -> io::Result<Vec<u8>> {
    let count = usize::try_from(file_bytes).unwrap_or(usize::MAX).min(count_max);
    let mut tail = vec![0; count];
    file.read_exact_at(&mut tail, file_bytes - count as u64)?;
    Ok(tail)
}

/// The length of the trailer that `tail` ends with.
fn trailer_bytes(tail: &[u8]) -> Option<usize> {
    let (_, footer) = tail.split_last_chunk::<FOOTER_BYTES>()?;
    let (json_bytes, magic) = footer.split_first_chunk::<4>()?;
    let json_bytes = usize::try_from(u32::from_le_bytes(*json_bytes)).ok()?;
    (magic == MAGIC).then(|| json_bytes.checked_add(FOOTER_BYTES)).flatten()
}

impl ObjectFile {
    /// Reads a range of the object's bytes, which must lie within them.
    pub(crate) fn read(&self, range: Range<u64>) -> io::Result<Bytes> {
        debug_assert!(range.start <= range.end && range.end <= self.meta.size_bytes);
        let count = usize::try_from(range.end - range.start).map_err(io::Error::other)?;
        let mut bytes = BytesMut::zeroed(count);
        self.file.read_exact_at(&mut bytes, range.start)?;
        Ok(bytes.freeze())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn meta() -> Meta {
        Meta {
            etag: "5d41402abc4b2a76b9719d911017c592".to_owned(),
            modified_unix_millis: 1_795_406_701_000,
            headers: StoredHeaders { content_type: Some("video/mp4".to_owned()), ..Default::default() },
            size_bytes: 5,
        }
    }

    #[test]
    fn the_file_is_the_bytes_and_a_trailer() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("x");
        write(&path, b"hello", &meta()).unwrap();
        // The format on disk: another one needs another magic.
        let json = br#"{"etag":"5d41402abc4b2a76b9719d911017c592","modified_unix_millis":1795406701000,"content_type":"video/mp4"}"#;
        let expected = [b"hello", &json[..], &[json.len() as u8, 0, 0, 0], b"teiten-1"].concat();
        assert_eq!(std::fs::read(&path).unwrap(), expected);
        let object = open(&path).unwrap().unwrap();
        assert_eq!(object.meta, meta());
        assert_eq!(object.read(0..5).unwrap(), "hello");
        assert_eq!(object.read(1..3).unwrap(), "el");
        assert_eq!(object.read(5..5).unwrap(), "");
    }

    #[test]
    fn a_long_trailer_is_read_whole() {
        let folder = tempfile::tempdir().unwrap();
        let mut long = meta();
        long.headers.user = (0..100).map(|i| (format!("key-{i}"), "value".to_owned())).collect();
        let path = folder.path().join("x");
        write(&path, b"hello", &long).unwrap();
        assert_eq!(open(&path).unwrap().unwrap().meta, long);
        long.headers.user.insert("big".to_owned(), "x".repeat(TRAILER_BYTES_MAX));
        assert!(write(&folder.path().join("y"), b"hello", &long).is_err());
    }

    #[test]
    fn a_file_cut_anywhere_is_no_object() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("x");
        write(&path, b"hello", &meta()).unwrap();
        let whole = std::fs::read(&path).unwrap();
        for end in 0..whole.len() {
            std::fs::write(&path, &whole[..end]).unwrap();
            assert!(open(&path).unwrap().is_none(), "cut at {end}");
        }
        std::fs::write(&path, [&[0xff; 4], &MAGIC[..]].concat()).unwrap();
        assert!(open(&path).unwrap().is_none(), "a length beyond the file");
        assert!(open(&folder.path().join("absent")).unwrap().is_none());
    }
}
