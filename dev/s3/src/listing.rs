//! Listing a bucket in the byte order of its keys (ListObjectsV2) by walking only the folders that the answer
//! needs: folders outside the prefix or wholly before the start are never opened.

use std::{
    fs, io,
    ops::ControlFlow,
    path::{Path, PathBuf},
};

use crate::{
    naming::{self, Entry, SegmentTooLong},
    object_file::{self, Meta},
};

/// What to list.
#[derive(Debug, Clone)]
pub(crate) struct Query {
    pub prefix: String,
    /// Whether keys that have a slash after the prefix are rolled up to what stands before and with it.
    pub by_folder: bool,
    /// Where to start: this key itself is listed. See [`just_after`].
    pub from: String,
    /// The most objects and folders together.
    pub count_max: usize,
}

/// One page of a listing.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Page {
    /// In the order of their keys.
    pub items: Vec<Item>,
    /// The [`Query::from`] of the next page, if there is one.
    pub next: Option<String>,
}

/// One line of a listing.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Item {
    Object {
        key: String,
        meta: Meta,
    },
    /// A common prefix, with its slash.
    Folder(String),
}

/// The least key that comes after `key` (in byte order).
pub(crate) fn just_after(key: &str) -> String {
    format!("{key}\0")
}

/// The least key that comes after all keys in `folder`, which ends with a slash.
fn just_after_folder(folder: &str) -> String {
    debug_assert!(folder.ends_with('/'));
    // '0' follows '/' in ASCII.
    format!("{}0", &folder[..folder.len() - 1])
}

/// Why a bucket could not be listed.
#[derive(Debug, thiserror::Error)]
pub(crate) enum ListError {
    #[error(transparent)]
    Name(#[from] SegmentTooLong),
    #[error(transparent)]
    Io(#[from] io::Error),
}

/// Lists the bucket in the folder `bucket`.
pub(crate) fn list(bucket: &Path, query: &Query) -> Result<Page, ListError> {
    let mut page = Page { items: Vec::new(), next: None };
    if query.count_max == 0 {
        return Ok(page);
    }
    let folders = query.prefix.rfind('/').map_or("", |slash| &query.prefix[..=slash]);
    let walk = Walk { query };
    let _stopped = walk.folder(&naming::folder_path(bucket, folders)?, folders, &mut |key, path| {
        if page.items.len() == query.count_max {
            page.next = Some(match page.items.last() {
                Some(Item::Folder(folder)) => just_after_folder(folder),
                Some(Item::Object { key, .. }) => just_after(key),
                None => query.from.clone(),
            });
            return Ok(ControlFlow::Break(()));
        }
        match path {
            None => page.items.push(Item::Folder(key)),
            // The file may be gone by now, or not be an object.
            Some(path) => {
                let object = object_file::open(path)?;
                page.items.extend(object.map(|object| Item::Object { key, meta: object.meta }));
            }
        }
        Ok(ControlFlow::Continue(()))
    })?;
    Ok(page)
}

/// Takes an object's key and file, or a folder's prefix.
type Visit<'a> = dyn FnMut(String, Option<&Path>) -> io::Result<ControlFlow<()>> + 'a;

/// Something in a folder: an object with its key, or a folder with the prefix of its keys.
#[derive(Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Found {
    key: String,
    is_folder: bool,
    path: PathBuf,
}

struct Walk<'a> {
    query: &'a Query,
}

impl Walk<'_> {
    /// Visits what is in the folder at `path`, whose keys start with `base`, and in the folders in it.
    fn folder(&self, path: &Path, base: &str, visit: &mut Visit<'_>) -> io::Result<ControlFlow<()>> {
        for Found { key, is_folder, path } in self.entries(path, base)? {
            let rolled_up = self.query.by_folder && key.starts_with(&self.query.prefix);
            let flow = match is_folder {
                false => visit(key, Some(&path))?,
                true if !rolled_up => self.folder(&path, &key, visit)?,
                true if self.holds_any(&path, &key)? => visit(key, None)?,
                true => ControlFlow::Continue(()),
            };
            if flow.is_break() {
                return Ok(flow);
            }
        }
        Ok(ControlFlow::Continue(()))
    }

    /// What of a folder belongs in the listing, in the order of the keys: with a slash after their names,
    /// folders sort among objects just as their keys do.
    fn entries(&self, path: &Path, base: &str) -> io::Result<Vec<Found>> {
        let entries = match fs::read_dir(path) {
            Ok(entries) => entries,
            // Never there, or just deleted because its last object was.
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
            Err(error) => return Err(error),
        };
        let mut chosen = Vec::new();
        for entry in entries {
            let entry = entry?;
            let (key, is_folder) = match naming::parse(&entry.file_name()) {
                Some(Entry::Object(name)) => (format!("{base}{name}"), false),
                Some(Entry::Folder(name)) => (format!("{base}{name}/"), true),
                None => continue,
            };
            let wanted = match is_folder {
                true => self.may_hold_wanted(&key),
                false => key.starts_with(&self.query.prefix) && key >= self.query.from,
            };
            if wanted {
                chosen.push(Found { key, is_folder, path: entry.path() });
            }
        }
        chosen.sort_unstable();
        Ok(chosen)
    }

    /// Whether a key that starts with `folder` can be in the listing.
    fn may_hold_wanted(&self, folder: &str) -> bool {
        let Query { prefix, from, .. } = self.query;
        let on_the_way = folder.starts_with(prefix.as_str()) || prefix.starts_with(folder);
        let wholly_before = folder < from.as_str() && !from.starts_with(folder);
        on_the_way && !wholly_before
    }

    /// Whether any object in the folder belongs in the listing.
    fn holds_any(&self, path: &Path, base: &str) -> io::Result<bool> {
        if base >= self.query.from.as_str() {
            return holds_any_object(path);
        }
        // The start is in this folder: only what comes after it counts.
        let mut any = false;
        let below = Walk { query: &Query { by_folder: false, ..self.query.clone() } };
        let _stopped = below.folder(path, base, &mut |_key, path| {
            any = path.map(object_file::open).transpose()?.flatten().is_some();
            Ok(if any { ControlFlow::Break(()) } else { ControlFlow::Continue(()) })
        })?;
        Ok(any)
    }
}

/// Whether there is any object in the folder at `path` or below it: the first one in the disk's order will do.
fn holds_any_object(path: &Path) -> io::Result<bool> {
    let entries = match fs::read_dir(path) {
        Ok(entries) => entries,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(false),
        Err(error) => return Err(error),
    };
    for entry in entries {
        let entry = entry?;
        let holds = match naming::parse(&entry.file_name()) {
            Some(Entry::Object(_)) => object_file::open(&entry.path())?.is_some(),
            Some(Entry::Folder(_)) => holds_any_object(&entry.path())?,
            None => false,
        };
        if holds {
            return Ok(true);
        }
    }
    Ok(false)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::object_file::StoredHeaders;

    const KEYS: [&str; 10] = ["a-b", "a.b", "a/", "a/1", "a/2.x", "a0", "b", "b/c/d.e", "b/c.d/e", "c.d"];

    fn bucket() -> tempfile::TempDir {
        let folder = tempfile::tempdir().unwrap();
        for key in KEYS {
            let path = naming::object_path(folder.path(), key).unwrap();
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            let headers = StoredHeaders::default();
            let meta = Meta { etag: "0".to_owned(), modified_unix_millis: 0, headers, size_bytes: 0 };
            object_file::write(&path, b"", &meta).unwrap();
        }
        fs::create_dir_all(folder.path().join("empty/in/side")).unwrap();
        fs::write(folder.path().join("foreign.txt"), "not an object").unwrap();
        folder
    }

    fn lines(page: &Page) -> Vec<String> {
        let line = |item: &Item| match item {
            Item::Object { key, .. } => key.clone(),
            Item::Folder(folder) => format!("[{folder}]"),
        };
        page.items.iter().map(line).collect()
    }

    fn query(prefix: &str, by_folder: bool, from: &str, count_max: usize) -> Query {
        Query { prefix: prefix.to_owned(), by_folder, from: from.to_owned(), count_max }
    }

    #[test]
    fn a_listing_is_in_the_byte_order_of_the_keys() {
        let bucket = bucket();
        let mut in_order = KEYS.to_vec();
        in_order.sort_unstable();
        let all = list(bucket.path(), &query("", false, "", 100)).unwrap();
        assert_eq!(lines(&all), in_order);
        assert_eq!(all.next, None);
    }

    #[test]
    fn every_prefix_and_start_gives_what_a_sorted_list_gives() {
        let bucket = bucket();
        let mut in_order = KEYS.to_vec();
        in_order.sort_unstable();
        for prefix in ["", "a", "a/", "a/2", "b/", "b/c", "b/c/", "b/c/d.e", "c", "empty/", "zzz/zzz"] {
            for after in
                ["", "0", "a", "a-b", "a.b", "a/", "a/1", "a/9", "a0", "b", "b/c", "b/c/", "c.d", "z"]
            {
                let page = list(bucket.path(), &query(prefix, false, &just_after(after), 100)).unwrap();
                let expected: Vec<_> =
                    in_order.iter().filter(|key| key.starts_with(prefix) && **key > after).collect();
                assert_eq!(lines(&page).iter().collect::<Vec<_>>(), expected, "{prefix:?} after {after:?}");
            }
        }
    }

    #[test]
    fn keys_roll_up_to_folders_that_hold_an_object() {
        let bucket = bucket();
        let top = list(bucket.path(), &query("", true, "", 100)).unwrap();
        assert_eq!(lines(&top), ["a-b", "a.b", "[a/]", "a0", "b", "[b/]", "c.d"]);
        let below = list(bucket.path(), &query("b/", true, "", 100)).unwrap();
        assert_eq!(lines(&below), ["[b/c.d/]", "[b/c/]"]);
        let object_in_its_folder = list(bucket.path(), &query("a/", true, "", 100)).unwrap();
        assert_eq!(lines(&object_in_its_folder), ["a/", "a/1", "a/2.x"]);
        let partly_before = list(bucket.path(), &query("", true, &just_after("b/c.d/e"), 100)).unwrap();
        assert_eq!(lines(&partly_before), ["[b/]", "c.d"]);
    }

    #[test]
    fn pages_join_to_the_whole() {
        let bucket = bucket();
        for by_folder in [false, true] {
            let whole = lines(&list(bucket.path(), &query("", by_folder, "", 100)).unwrap());
            for count_max in 1..=whole.len() {
                let (mut joined, mut from) = (Vec::new(), Some(String::new()));
                while let Some(start) = from {
                    let page = list(bucket.path(), &query("", by_folder, &start, count_max)).unwrap();
                    assert!(page.items.len() <= count_max);
                    joined.extend(lines(&page));
                    from = page.next;
                }
                assert_eq!(joined, whole, "pages of {count_max}");
            }
        }
    }

    #[test]
    fn folders_before_the_start_are_not_opened() {
        let bucket = bucket();
        // A file in the place of a folder: opening it would fail.
        fs::write(bucket.path().join("a-trap"), "").unwrap();
        assert!(list(bucket.path(), &query("", false, "", 100)).is_err());
        let page = list(bucket.path(), &query("", false, &just_after("a-trap0"), 100)).unwrap();
        assert_eq!(lines(&page).first().map(String::as_str), Some("a.b"));
        assert!(list(bucket.path(), &query("b/", false, "", 100)).is_ok());
    }
}
