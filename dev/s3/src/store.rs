//! The store: buckets as folders, objects as files, and puts that are atomic and conditional.
//!
//! A put writes a temporary file and, under the lock of its key, checks its condition and renames the file
//! into place. A reader thus sees the whole old object or the whole new one, and so does whoever opens the
//! folder after this process was killed at any moment; what was acknowledged is there. (Nothing is synced to
//! disk: a power failure may lose the last seconds.)

use std::{
    fs::{self, File, TryLockError},
    hash::{DefaultHasher, Hash, Hasher},
    io,
    path::{Path, PathBuf},
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
};

use crate::{
    FRAMES_BUCKET, MEDIA_BUCKET,
    listing::{self, ListError, Page, Query},
    naming::{self, SegmentTooLong},
    object_file::{self, Meta, ObjectFile},
};

/// Locks that keys share out among them: two keys that meet on one only wait for each other.
const LOCKS: usize = 64;

/// How often a put creates its folder again because a delete removes it at the same time.
const FOLDER_ATTEMPTS_MAX: usize = 100;

/// Temporary files live here, beside the buckets and so on the same file system. No bucket's name has a dot
/// in front.
const TEMPORARY: &str = ".temporary";

/// Locked while a process has the store open.
const LOCK_FILE: &str = ".lock";

/// Objects in a folder. Clones are the same store.
#[derive(Debug, Clone)]
pub struct Store {
    inner: Arc<Inner>,
}

#[derive(Debug)]
struct Inner {
    folder: PathBuf,
    temporary_count: AtomicU64,
    locks: [Mutex<()>; LOCKS],
    /// Holds the lock on the folder for as long as the store lives.
    _lock_file: File,
}

/// When a put may happen.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Condition {
    Always,
    IfAbsent,
    /// The entity tag that the object must have.
    IfMatch(String),
}

/// Why the store did not do as asked.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// Another process uses the folder.
    #[error("another process uses the folder {}", .0.display())]
    InUse(PathBuf),
    /// There is no such bucket.
    #[error("there is no bucket {0:?}")]
    NoSuchBucket(String),
    /// The condition of a put does not hold.
    #[error("the condition does not hold")]
    ConditionFailed,
    /// A put expected a version of an object that does not exist.
    #[error("there is no such object")]
    NoSuchObject,
    /// No file can be named by the key.
    #[error("{0}")]
    Key(String),
    /// The file system failed.
    #[error(transparent)]
    Io(#[from] io::Error),
}

impl From<SegmentTooLong> for StoreError {
    fn from(error: SegmentTooLong) -> Self {
        Self::Key(error.to_string())
    }
}

impl From<ListError> for StoreError {
    fn from(error: ListError) -> Self {
        match error {
            ListError::Name(error) => error.into(),
            ListError::Io(error) => error.into(),
        }
    }
}

impl Store {
    /// Opens the store in `folder`, which is created if need be, with the buckets `frames` and `media`.
    /// Fails if another process has it open.
    pub fn open(folder: &Path) -> Result<Self, StoreError> {
        fs::create_dir_all(folder)?;
        let lock_file = File::options().create(true).append(true).open(folder.join(LOCK_FILE))?;
        match lock_file.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => return Err(StoreError::InUse(folder.to_owned())),
            Err(TryLockError::Error(error)) => return Err(error.into()),
        }
        // What a killed process left half written.
        match fs::remove_dir_all(folder.join(TEMPORARY)) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error.into()),
            _removed_or_absent => {}
        }
        for name in [TEMPORARY, FRAMES_BUCKET, MEDIA_BUCKET] {
            fs::create_dir_all(folder.join(name))?;
        }
        let inner = Inner {
            folder: folder.to_owned(),
            temporary_count: AtomicU64::new(0),
            locks: std::array::from_fn(|_| Mutex::new(())),
            _lock_file: lock_file,
        };
        Ok(Self { inner: Arc::new(inner) })
    }

    /// The names of the buckets, in order.
    pub(crate) fn buckets(&self) -> [&'static str; 2] {
        [FRAMES_BUCKET, MEDIA_BUCKET]
    }

    /// Opens an object; `None` if there is none.
    pub(crate) fn get(&self, bucket: &str, key: &str) -> Result<Option<ObjectFile>, StoreError> {
        Ok(object_file::open(&naming::object_path(&self.bucket(bucket)?, key)?)?)
    }

    /// Writes an object, if `condition` holds.
    pub(crate) fn put(
        &self,
        bucket: &str,
        key: &str,
        bytes: &[u8],
        meta: &Meta,
        condition: &Condition,
    ) -> Result<(), StoreError> {
        let path = naming::object_path(&self.bucket(bucket)?, key)?;
        let count = self.inner.temporary_count.fetch_add(1, Ordering::Relaxed);
        let temporary = self.inner.folder.join(TEMPORARY).join(count.to_string());
        let put = object_file::write(&temporary, bytes, meta).map_err(StoreError::from).and_then(|()| {
            let _key = self.lock(&path);
            check(&path, condition)?;
            Ok(rename_into_folder(&temporary, &path)?)
        });
        if put.is_err() {
            // Best effort: what stays is removed when the store is opened the next time.
            let _removed = fs::remove_file(&temporary);
        }
        put
    }

    /// Deletes an object, and the folders that it leaves empty.
    pub(crate) fn delete(&self, bucket: &str, key: &str) -> Result<(), StoreError> {
        let bucket = self.bucket(bucket)?;
        let path = naming::object_path(&bucket, key)?;
        let _key = self.lock(&path);
        match fs::remove_file(&path) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
            removed => removed?,
        }
        for folder in path.ancestors().skip(1).take_while(|folder| *folder != bucket) {
            if fs::remove_dir(folder).is_err() {
                break;
            }
        }
        Ok(())
    }

    /// Lists a bucket.
    pub(crate) fn list(&self, bucket: &str, query: &Query) -> Result<Page, StoreError> {
        Ok(listing::list(&self.bucket(bucket)?, query)?)
    }

    /// The folder of a bucket.
    pub(crate) fn bucket(&self, name: &str) -> Result<PathBuf, StoreError> {
        if !self.buckets().contains(&name) {
            return Err(StoreError::NoSuchBucket(name.to_owned()));
        }
        Ok(self.inner.folder.join(name))
    }

    fn lock(&self, path: &Path) -> MutexGuard<'_, ()> {
        let mut hasher = DefaultHasher::new();
        path.hash(&mut hasher);
        let lock = &self.inner.locks[(hasher.finish() % LOCKS as u64) as usize];
        // The lock protects no memory, so a panic under it leaves nothing in disorder.
        lock.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn check(path: &Path, condition: &Condition) -> Result<(), StoreError> {
    let current = match condition {
        Condition::Always => return Ok(()),
        _ => object_file::open(path)?,
    };
    match (condition, current) {
        (Condition::IfAbsent, Some(_)) => Err(StoreError::ConditionFailed),
        (Condition::IfMatch(_), None) => Err(StoreError::NoSuchObject),
        (Condition::IfMatch(etag), Some(object)) if *etag != object.meta.etag => {
            Err(StoreError::ConditionFailed)
        }
        _holds => Ok(()),
    }
}

/// Renames `from` to `to`, whose folder may not exist, or be deleted meanwhile as an empty one.
fn rename_into_folder(from: &Path, to: &Path) -> io::Result<()> {
    use io::ErrorKind::{AlreadyExists, NotFound};
    let mut attempts = 0;
    loop {
        attempts += 1;
        match fs::rename(from, to) {
            Err(error) if error.kind() == NotFound && attempts < FOLDER_ATTEMPTS_MAX => {}
            renamed => return renamed,
        }
        if let Some(folder) = to.parent() {
            match fs::create_dir_all(folder) {
                // Both errors come up when a folder on the way is deleted meanwhile.
                Err(error) if !matches!(error.kind(), NotFound | AlreadyExists) => return Err(error),
                _created_or_deleted_meanwhile => {}
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::thread;

    use super::*;
    use crate::object_file::StoredHeaders;

    fn meta(etag: &str) -> Meta {
        let headers = StoredHeaders::default();
        Meta { etag: etag.to_owned(), modified_unix_millis: 0, headers, size_bytes: 0 }
    }

    fn put(store: &Store, key: &str, etag: &str, condition: Condition) -> Result<(), StoreError> {
        store.put(MEDIA_BUCKET, key, etag.as_bytes(), &meta(etag), &condition)
    }

    fn etag(store: &Store, key: &str) -> Option<String> {
        store.get(MEDIA_BUCKET, key).unwrap().map(|object| object.meta.etag)
    }

    #[test]
    fn conditions_hold() {
        let folder = tempfile::tempdir().unwrap();
        let store = Store::open(folder.path()).unwrap();
        let if_match = |etag: &str| Condition::IfMatch(etag.to_owned());
        assert!(matches!(put(&store, "a", "1", if_match("0")), Err(StoreError::NoSuchObject)));
        put(&store, "a", "1", Condition::IfAbsent).unwrap();
        assert!(matches!(put(&store, "a", "2", Condition::IfAbsent), Err(StoreError::ConditionFailed)));
        assert!(matches!(put(&store, "a", "2", if_match("0")), Err(StoreError::ConditionFailed)));
        put(&store, "a", "2", if_match("1")).unwrap();
        put(&store, "a", "3", Condition::Always).unwrap();
        assert_eq!(etag(&store, "a").as_deref(), Some("3"));
        assert_eq!(fs::read_dir(folder.path().join(TEMPORARY)).unwrap().count(), 0);
    }

    #[test]
    fn only_one_process_opens_a_folder() {
        let folder = tempfile::tempdir().unwrap();
        let store = Store::open(folder.path()).unwrap();
        assert!(matches!(Store::open(folder.path()), Err(StoreError::InUse(_))));
        drop(store);
        assert!(Store::open(folder.path()).is_ok());
    }

    #[test]
    fn opening_removes_what_was_half_written() {
        let folder = tempfile::tempdir().unwrap();
        drop(Store::open(folder.path()).unwrap());
        let half = folder.path().join(TEMPORARY).join("0");
        fs::write(&half, "half").unwrap();
        let store = Store::open(folder.path()).unwrap();
        assert!(!half.exists());
        put(&store, "a", "1", Condition::Always).unwrap();
    }

    #[test]
    fn deleting_leaves_no_empty_folders() {
        let folder = tempfile::tempdir().unwrap();
        let store = Store::open(folder.path()).unwrap();
        put(&store, "a/b/c/1", "1", Condition::Always).unwrap();
        put(&store, "a/2", "2", Condition::Always).unwrap();
        store.delete(MEDIA_BUCKET, "a/b/c/1").unwrap();
        store.delete(MEDIA_BUCKET, "a/b/c/1").unwrap();
        assert!(!folder.path().join("media/a/b").exists());
        assert_eq!(etag(&store, "a/2").as_deref(), Some("2"));
        store.delete(MEDIA_BUCKET, "a/2").unwrap();
        assert!(folder.path().join("media").exists());
    }

    #[test]
    fn puts_and_deletes_in_one_folder_do_not_disturb_each_other() {
        let folder = tempfile::tempdir().unwrap();
        let store = Store::open(folder.path()).unwrap();
        thread::scope(|scope| {
            for writer in 0..4 {
                let store = store.clone();
                scope.spawn(move || {
                    let key = format!("a/b/c/{writer}");
                    for _ in 0..300 {
                        put(&store, &key, "1", Condition::IfAbsent).unwrap();
                        store.delete(MEDIA_BUCKET, &key).unwrap();
                    }
                });
            }
        });
        assert!(!folder.path().join("media/a").exists());
    }
}
