//! Parts of an answer (RFC 9110 §14): for players that seek in a file, and downloads that go on where they broke off.

use std::ops::Range;

use http::{HeaderMap, HeaderValue, StatusCode, header};
use http_range_header::{RangeUnsatisfiableError, parse_range_header};

use crate::{Asked, Refusal};

/// What is sent of an answer that has a length and an entity tag.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Portion {
    bytes: Range<u64>,
    length: u64,
    is_part: bool,
    tag: HeaderValue,
}

impl Portion {
    /// What is asked for of an answer of `length` bytes. `tag` is its strong entity tag (§8.8.3): with If-Range, a part is
    /// asked for of the answer with that tag alone, and of another one all (§13.1.5). All is sent as well where several parts
    /// are asked for, or Range makes no sense (§14.2). Refused with 416 where it asks for what lies behind the end.
    pub fn asked_for(asked: &Asked, length: u64, tag: HeaderValue) -> Result<Self, Refusal> {
        let header = asked.headers.get(header::RANGE).filter(|_| {
            let condition = asked.headers.get(header::IF_RANGE);
            condition.is_none_or(|condition| *condition == tag)
        });
        let parsed = header.and_then(|range| parse_range_header(range.to_str().ok()?).ok());
        let Some(parsed) = parsed else { return Ok(Self::whole(length, tag)) };
        match parsed.validate(length).as_deref() {
            Ok([range]) => Ok(Self { bytes: *range.start()..range.end() + 1, length, is_part: true, tag }),
            Ok(_) | Err(RangeUnsatisfiableError::Rejected(_)) => Ok(Self::whole(length, tag)),
            Err(_) => {
                let why = format!("there are {length} bytes, none of those that Range names");
                let refusal = Refusal::new(StatusCode::RANGE_NOT_SATISFIABLE, why);
                Err(refusal.with_header(header::CONTENT_RANGE, text(format!("bytes */{length}"))))
            }
        }
    }

    fn whole(length: u64, tag: HeaderValue) -> Self {
        Self { bytes: 0..length, length, is_part: false, tag }
    }

    /// Which bytes are sent.
    pub fn bytes(&self) -> Range<u64> {
        self.bytes.clone()
    }

    /// The answer's status: 200, or 206 of a part.
    pub fn status(&self) -> StatusCode {
        if self.is_part { StatusCode::PARTIAL_CONTENT } else { StatusCode::OK }
    }

    /// Says in an answer's headers what it is of.
    pub fn describe(&self, headers: &mut HeaderMap) {
        let Range { start, end } = self.bytes;
        headers.insert(header::ACCEPT_RANGES, HeaderValue::from_static("bytes"));
        headers.insert(header::ETAG, self.tag.clone());
        headers.insert(header::CONTENT_LENGTH, HeaderValue::from(end - start));
        if self.is_part {
            let range = format!("bytes {start}-{}/{}", end - 1, self.length);
            headers.insert(header::CONTENT_RANGE, text(range));
        }
    }
}

fn text(text: String) -> HeaderValue {
    HeaderValue::try_from(text).expect("numbers are valid in headers")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn portion(range: &str, if_range: Option<&'static str>) -> Result<Portion, Refusal> {
        let mut headers = HeaderMap::new();
        headers.insert(header::RANGE, HeaderValue::from_str(range).unwrap());
        if let Some(tag) = if_range {
            headers.insert(header::IF_RANGE, HeaderValue::from_static(tag));
        }
        let asked = Asked { path: "/gate.mp4".to_owned(), query: Vec::new(), headers };
        Portion::asked_for(&asked, 1000, HeaderValue::from_static("\"one\""))
    }

    fn answered(range: &str, if_range: Option<&'static str>) -> (u16, Range<u64>) {
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
}
