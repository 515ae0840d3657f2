//! Conditions of reads (RFC 9110 §13.2.2).

use s3s::dto::{ETag, ETagCondition, Timestamp};

/// The conditional headers of a GET or HEAD.
#[derive(Debug, Default)]
pub(crate) struct ReadConditions {
    pub if_match: Option<ETagCondition>,
    pub if_unmodified_since: Option<Timestamp>,
    pub if_none_match: Option<ETagCondition>,
    pub if_modified_since: Option<Timestamp>,
}

/// What to answer instead of the object.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Instead {
    /// 304.
    NotModified,
    /// 412.
    PreconditionFailed,
}

impl ReadConditions {
    /// Evaluates the conditions for an object with this tag, last modified then (in whole seconds, as HTTP
    /// dates are). `None`: the object is to be sent.
    pub(crate) fn evaluate(&self, etag: &str, modified: &Timestamp) -> Option<Instead> {
        let is = |condition: &ETagCondition, compare: fn(&ETag, &ETag) -> bool| match condition {
            ETagCondition::Any => true,
            ETagCondition::ETag(expected) => compare(expected, &ETag::Strong(etag.to_owned())),
        };
        let unchanged_for_writers = match (&self.if_match, &self.if_unmodified_since) {
            (Some(condition), _) => is(condition, ETag::strong_cmp),
            (None, Some(since)) => modified <= since,
            (None, None) => true,
        };
        if !unchanged_for_writers {
            return Some(Instead::PreconditionFailed);
        }
        let unchanged_for_readers = match (&self.if_none_match, &self.if_modified_since) {
            (Some(condition), _) => is(condition, ETag::weak_cmp),
            (None, Some(since)) => modified <= since,
            (None, None) => false,
        };
        unchanged_for_readers.then_some(Instead::NotModified)
    }
}

#[cfg(test)]
mod tests {
    use s3s::dto::TimestampFormat;

    use super::*;

    fn at(second: u32) -> Timestamp {
        Timestamp::parse(TimestampFormat::DateTime, &format!("2026-11-23T04:05:{second:02}Z")).unwrap()
    }

    fn tag(text: &str) -> Option<ETagCondition> {
        Some(text.parse().unwrap())
    }

    #[test]
    fn reads_are_conditional_as_rfc_9110_says() {
        let none = ReadConditions::default;
        let cases = [
            (none(), None),
            (ReadConditions { if_none_match: tag("\"a\""), ..none() }, Some(Instead::NotModified)),
            (ReadConditions { if_none_match: tag("W/\"a\""), ..none() }, Some(Instead::NotModified)),
            (ReadConditions { if_none_match: tag("*"), ..none() }, Some(Instead::NotModified)),
            (ReadConditions { if_none_match: tag("\"b\""), ..none() }, None),
            (ReadConditions { if_modified_since: Some(at(5)), ..none() }, Some(Instead::NotModified)),
            (ReadConditions { if_modified_since: Some(at(4)), ..none() }, None),
            // A tag outranks a date.
            (ReadConditions { if_none_match: tag("\"b\""), if_modified_since: Some(at(6)), ..none() }, None),
            (ReadConditions { if_match: tag("\"a\""), ..none() }, None),
            (ReadConditions { if_match: tag("a"), ..none() }, None),
            (ReadConditions { if_match: tag("W/\"a\""), ..none() }, Some(Instead::PreconditionFailed)),
            (ReadConditions { if_match: tag("\"b\""), ..none() }, Some(Instead::PreconditionFailed)),
            (ReadConditions { if_unmodified_since: Some(at(5)), ..none() }, None),
            (
                ReadConditions { if_unmodified_since: Some(at(4)), ..none() },
                Some(Instead::PreconditionFailed),
            ),
            (
                ReadConditions { if_match: tag("\"b\""), if_none_match: tag("\"a\""), ..none() },
                Some(Instead::PreconditionFailed),
            ),
        ];
        for (conditions, expected) in cases {
            assert_eq!(conditions.evaluate("a", &at(5)), expected, "{conditions:?}");
        }
    }
}
