//! What of an answer is sent: the conditions of a request (RFC 9110 §13), and parts (§14), for players that seek in a file, and
//! downloads that go on where they broke off.

use std::ops::Range;

use http::{HeaderMap, HeaderName, HeaderValue, StatusCode, header};
use http_range_header::{RangeUnsatisfiableError, parse_range_header};

use crate::{Asked, Refusal};

/// What is sent of an answer that has a length and an entity tag.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Portion {
    bytes: Range<u64>,
    length: u64,
    status: StatusCode,
    tag: HeaderValue,
}

impl Portion {
    /// What is asked for of an answer of `length` bytes. `tag` is its strong entity tag (§8.8.3). The conditions are looked at in the
    /// order of §13.2.2:
    /// - If-Match: of an answer with another tag nothing is sent (412).
    /// - If-None-Match: who has it already is told so (304).
    /// - If-Range: a part is asked for of the answer with that tag alone, and of another one all. All is sent as well where
    ///   several parts are asked for, or Range makes no sense (§14.2). Refused with 416 where it asks for what lies
    ///   behind the end. A part may be shorter than was asked for, where answers have a limit.
    pub fn asked_for(asked: &Asked, length: u64, tag: HeaderValue) -> Result<Self, Refusal> {
        let is_named = |name, is_it: fn(&str, &HeaderValue) -> bool| {
            named(&asked.headers, name).map(|mut tags| tags.any(|one| one == "*" || is_it(one, &tag)))
        };
        if is_named(header::IF_MATCH, |one, tag| one == tag) == Some(false) {
            let why = "what is asked for has changed: If-Match names another entity tag";
            let refusal = Refusal::new(StatusCode::PRECONDITION_FAILED, why);
            return Err(refusal.with_header(header::ETAG, tag));
        }
        let is_same = |one: &str, tag: &HeaderValue| one.strip_prefix("W/").unwrap_or(one) == tag;
        if is_named(header::IF_NONE_MATCH, is_same) == Some(true) {
            return Ok(Self { bytes: 0..0, length, status: StatusCode::NOT_MODIFIED, tag });
        }
        let header = asked.headers.get(header::RANGE).filter(|_| {
            let condition = asked.headers.get(header::IF_RANGE);
            condition.is_none_or(|condition| *condition == tag)
        });
        let parsed = header.and_then(|range| parse_range_header(range.to_str().ok()?).ok());
        let Some(parsed) = parsed else { return Ok(Self::whole(length, tag)) };
        match parsed.validate(length).as_deref() {
            Ok([range]) => {
                let (start, end) = (*range.start(), range.end() + 1);
                let bytes = start..end.min(start.saturating_add(asked.bytes_max));
                Ok(Self { bytes, length, status: StatusCode::PARTIAL_CONTENT, tag })
            }
            Ok(_) | Err(RangeUnsatisfiableError::Rejected(_)) => Ok(Self::whole(length, tag)),
            Err(_) => {
                let why = format!("there are {length} bytes, none of those that Range names");
                let refusal = Refusal::new(StatusCode::RANGE_NOT_SATISFIABLE, why);
                Err(refusal.with_header(header::CONTENT_RANGE, text(format!("bytes */{length}"))))
            }
        }
    }

    fn whole(length: u64, tag: HeaderValue) -> Self {
        Self { bytes: 0..length, length, status: StatusCode::OK, tag }
    }

    /// Which bytes are sent.
    pub fn bytes(&self) -> Range<u64> {
        self.bytes.clone()
    }

    /// The answer's status: 200, 206 of a part, or 304.
    pub fn status(&self) -> StatusCode {
        self.status
    }

    /// Says in an answer's headers what it is of.
    pub fn describe(&self, headers: &mut HeaderMap) {
        let Range { start, end } = self.bytes;
        headers.insert(header::ETAG, self.tag.clone());
        if self.status == StatusCode::NOT_MODIFIED {
            return;
        }
        headers.insert(header::ACCEPT_RANGES, HeaderValue::from_static("bytes"));
        headers.insert(header::CONTENT_LENGTH, HeaderValue::from(end - start));
        if self.status == StatusCode::PARTIAL_CONTENT {
            let range = format!("bytes {start}-{}/{}", end - 1, self.length);
            headers.insert(header::CONTENT_RANGE, text(range));
        }
    }
}

/// The entity tags that a condition names; `None` where there is no such condition. Ours have no comma in them.
fn named(headers: &HeaderMap, name: HeaderName) -> Option<impl Iterator<Item = &str>> {
    let lists = headers.get_all(name).into_iter().filter_map(|list| list.to_str().ok());
    let mut tags = lists.flat_map(|list| list.split(',')).map(str::trim).peekable();
    tags.peek().is_some().then_some(tags)
}

fn text(text: String) -> HeaderValue {
    HeaderValue::try_from(text).expect("numbers are valid in headers")
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What is asked for of a thousand bytes with the tag `"one"`, by these headers.
    fn asked_with(headers: &[(HeaderName, &'static str)]) -> Result<Portion, Refusal> {
        let headers = headers.iter().map(|(name, value)| (name.clone(), HeaderValue::from_static(value)));
        let asked = Asked { headers: headers.collect(), ..Asked::of("/gate.mp4", &[]) };
        Portion::asked_for(&asked, 1000, HeaderValue::from_static("\"one\""))
    }

    fn portion(range: &'static str, if_range: Option<&'static str>) -> Result<Portion, Refusal> {
        let condition = if_range.map(|tag| (header::IF_RANGE, tag));
        asked_with(&[(header::RANGE, range)].into_iter().chain(condition).collect::<Vec<_>>())
    }

    fn answered(range: &'static str, if_range: Option<&'static str>) -> (u16, Range<u64>) {
        let portion = portion(range, if_range).unwrap();
        (portion.status().as_u16(), portion.bytes())
    }

    #[test]
    fn one_range_is_answered_in_part() {
        assert_eq!(answered("bytes=0-1", None), (206, 0..2));
        assert_eq!(answered("bytes=400-", None), (206, 400..1000));
        assert_eq!(answered("bytes=-100", None), (206, 900..1000));
        assert_eq!(answered("bytes=900-5000", None), (206, 900..1000));
        let mut headers = HeaderMap::new();
        portion("bytes=10-19", None).unwrap().describe(&mut headers);
        assert_eq!(
            (&headers["content-range"], &headers["content-length"]),
            (&HeaderValue::from_static("bytes 10-19/1000"), &HeaderValue::from_static("10"),)
        );
    }

    #[test]
    fn what_is_no_range_or_several_or_of_another_answer_is_answered_whole() {
        for range in ["bytes=0-1,5-9", "bytes=9-3", "lines=1-2", "bytes", "bytes=0-9,2-5,3-4"] {
            assert_eq!(answered(range, None), (200, 0..1000), "{range}");
        }
        assert_eq!(answered("bytes=0-1", Some("\"one\"")), (206, 0..2));
        assert_eq!(answered("bytes=0-1", Some("\"other\"")), (200, 0..1000));
        assert_eq!(answered("bytes=0-1", Some("W/\"one\"")), (200, 0..1000));
    }

    #[test]
    fn what_lies_behind_the_end_is_refused() {
        let refusal = portion("bytes=1000-", None).unwrap_err().to_string();
        assert!(refusal.starts_with("416") && refusal.contains("1000 bytes"), "{refusal}");
    }

    #[test]
    fn what_has_changed_is_not_sent_to_who_has_a_part_of_what_it_was() {
        let range = (header::RANGE, "bytes=100-");
        for (tags, status) in [
            ("\"one\"", Some(206)),
            ("*", Some(206)),
            ("\"other\", \"one\"", Some(206)),
            ("\"other\"", None),
            ("W/\"one\"", None),
        ] {
            let portion = asked_with(&[range.clone(), (header::IF_MATCH, tags)]);
            assert_eq!(portion.as_ref().ok().map(|portion| portion.status().as_u16()), status, "{tags}");
            let refused = portion.err().map(|refusal| refusal.to_string());
            assert!(refused.is_none_or(|refusal| refusal.starts_with("412")), "{tags}");
        }
        // It comes before all others.
        let both = [(header::IF_MATCH, "\"other\""), (header::IF_NONE_MATCH, "\"one\"")];
        assert!(asked_with(&both).unwrap_err().to_string().starts_with("412"));
    }

    #[test]
    fn who_has_it_already_is_told_so_and_sent_nothing() {
        for (tags, status) in [("\"one\"", 304), ("W/\"one\"", 304), ("*", 304), ("\"other\"", 206)] {
            let portion =
                asked_with(&[(header::RANGE, "bytes=100-"), (header::IF_NONE_MATCH, tags)]).unwrap();
            assert_eq!(portion.status().as_u16(), status, "{tags}");
            let mut headers = HeaderMap::new();
            portion.describe(&mut headers);
            assert_eq!(headers["etag"], "\"one\"");
            assert_eq!(status == 304, portion.bytes().is_empty() && !headers.contains_key("content-length"));
        }
    }

    #[test]
    fn a_part_is_no_longer_than_an_answer_may_be() {
        let headers = HeaderMap::from_iter([(header::RANGE, HeaderValue::from_static("bytes=100-899"))]);
        let asked = Asked { headers, bytes_max: 500, ..Asked::of("/gate.mp4", &[]) };
        let portion = Portion::asked_for(&asked, 1000, HeaderValue::from_static("\"one\"")).unwrap();
        assert_eq!((portion.status().as_u16(), portion.bytes()), (206, 100..600));
    }
}
