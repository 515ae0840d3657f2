//! One section of a settings file, as it is read key by key.

use toml::{Table, Value};

use super::{Mistake, PictureSize};

/// One section of the file: gives out its keys and remembers what was wrong.
pub(super) struct Section<'a> {
    name: String,
    table: Table,
    known: Vec<&'static str>,
    mistakes: &'a mut Vec<Mistake>,
}

impl<'a> Section<'a> {
    pub(super) fn new(name: String, table: Table, mistakes: &'a mut Vec<Mistake>) -> Self {
        Self { name, table, known: Vec::new(), mistakes }
    }

    /// The value of `key`, which must be there; `None` (and a mistake) if it is not, or is not `expected`.
    pub(super) fn required<T>(
        &mut self,
        key: &'static str,
        expected: &str,
        parse: impl FnOnce(&Value) -> Option<T>,
    ) -> Option<T> {
        self.known.push(key);
        let Some(value) = self.table.remove(key) else {
            self.mistake(key, format!("missing, expected {expected}"));
            return None;
        };
        self.parsed(key, &value, expected, parse)
    }

    /// The value of `key`, or `default`; `None` (and a mistake) if it is there and not `expected`.
    pub(super) fn or<T>(
        &mut self,
        key: &'static str,
        default: T,
        expected: &str,
        parse: impl FnOnce(&Value) -> Option<T>,
    ) -> Option<T> {
        self.known.push(key);
        match self.table.remove(key) {
            Some(value) => self.parsed(key, &value, expected, parse),
            None => Some(default),
        }
    }

    /// Whether the section has no keys, as one that is left out.
    pub(super) fn is_empty(&self) -> bool {
        self.table.is_empty()
    }

    fn parsed<T>(
        &mut self,
        key: &str,
        value: &Value,
        expected: &str,
        parse: impl FnOnce(&Value) -> Option<T>,
    ) -> Option<T> {
        let parsed = parse(value);
        if parsed.is_none() {
            self.mistake(key, format!("{} will not do, expected {expected}", told(key, value)));
        }
        parsed
    }

    /// `width` and `height`.
    pub(super) fn size(&mut self) -> Option<PictureSize> {
        let default = PictureSize::default();
        let pixels = |value: &Value| u32::try_from(value.as_integer()?).ok();
        let width = self.or("width", default.width(), PictureSize::EXPECTED_WIDTH, |value| {
            pixels(value).filter(|width| PictureSize::width_fits(*width))
        });
        let height = self.or("height", default.height(), PictureSize::EXPECTED_HEIGHT, |value| {
            pixels(value).filter(|height| PictureSize::height_fits(*height))
        });
        PictureSize::new(width?, height?).ok()
    }

    /// The table `key`, empty if it is missing.
    pub(super) fn section(&mut self, key: &'static str) -> Option<Table> {
        self.or(key, Table::new(), "a section", |value| value.as_table().cloned())
    }

    /// Reports the keys that nobody asked for.
    pub(super) fn finish(mut self) {
        for key in std::mem::take(&mut self.table).keys() {
            self.mistake(key, format!("no such key here, expected one of {}", self.known.join(", ")));
        }
    }

    pub(super) fn mistake(&mut self, key: &str, why: String) {
        let key = if self.name.is_empty() { key.to_owned() } else { format!("{}.{key}", self.name) };
        self.mistakes.push(Mistake { key, why });
    }
}

/// A value as it is told: what is said of mistakes goes to places where no secret belongs.
fn told(key: &str, value: &Value) -> String {
    if key == "password" {
        return "this password".to_owned();
    }
    if key == "wifi" || value.is_table() || value.is_array() {
        return format!("this {}", value.type_str());
    }
    let mut given = value.to_string();
    if let Some((end, _)) = given.char_indices().nth(80) {
        given.truncate(end);
        given.push('…');
    }
    given
}
