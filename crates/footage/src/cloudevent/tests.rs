use proptest::{collection::btree_map, prelude::*};
use serde_json::json;

use super::*;

fn event() -> CloudEvent {
    CloudEvent {
        id: "front-door/a#1".to_owned(),
        source: "/teiten/bridge".to_owned(),
        kind: "teiten.batch.stored".to_owned(),
        subject: Some("front-door".to_owned()),
        time: Some(Timestamp::Y2020),
        extensions: BTreeMap::from([("traceparent".to_owned(), "Euro € 😀".to_owned())]),
        data: json!({ "bucket": "frames" }),
    }
}

fn binary(headers: &[(&str, &str)], body: &[u8]) -> Result<CloudEvent, CloudEventError> {
    CloudEvent::from_http(headers.iter().copied(), body)
}

fn structured(body: &str) -> Result<CloudEvent, CloudEventError> {
    binary(&[("Content-Type", "Application/CloudEvents+JSON; charset=UTF-8")], body.as_bytes())
}

/// What every event must have, in binary mode.
const REQUIRED: [(&str, &str); 4] =
    [("ce-specversion", "1.0"), ("ce-id", "1"), ("ce-source", "/x"), ("ce-type", "t")];

fn with<'a>(more: &[(&'a str, &'a str)]) -> Vec<(&'a str, &'a str)> {
    [&REQUIRED, more].concat()
}

/// Golden: the wire form (the encoded extension is the example of the HTTP binding §3.1.3.2).
#[test]
fn an_event_in_binary_mode_is_these_headers_and_its_data() {
    let (headers, body) = event().to_binary();
    let headers: Vec<_> = headers.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect();
    assert_eq!(
        headers,
        [
            ("ce-specversion", "1.0"),
            ("ce-id", "front-door/a#1"),
            ("ce-source", "/teiten/bridge"),
            ("ce-type", "teiten.batch.stored"),
            ("ce-subject", "front-door"),
            ("ce-time", "2020-01-01T00:00:00.000000Z"),
            ("ce-traceparent", "Euro%20%E2%82%AC%20%F0%9F%98%80"),
            ("content-type", "application/json"),
        ]
    );
    assert_eq!(body, br#"{"bucket":"frames"}"#);
}

/// Golden: the wire form.
#[test]
fn an_event_in_structured_mode_is_this_json() {
    assert_eq!(
        String::from_utf8(event().to_structured()).unwrap(),
        concat!(
            r#"{"specversion":"1.0","id":"front-door/a#1","source":"/teiten/bridge","type":"teiten.batch.stored","#,
            r#""subject":"front-door","time":"2020-01-01T00:00:00.000000Z","traceparent":"Euro € 😀","#,
            r#""datacontenttype":"application/json","data":{"bucket":"frames"}}"#
        )
    );
}

#[test]
fn an_event_without_data_has_no_body_and_no_content_type() {
    let event = CloudEvent { data: Value::Null, subject: None, time: None, ..event() };
    let (headers, body) = event.to_binary();
    assert!(body.is_empty() && headers.iter().all(|(name, _)| name != "content-type"));
    let json = String::from_utf8(event.to_structured()).unwrap();
    assert!(!json.contains("data") && !json.contains("subject") && !json.contains("time"));
}

#[test]
fn what_claims_to_be_no_event_is_told_from_a_bad_one() {
    let not_one = Err(CloudEventError::NotACloudEvent);
    assert_eq!(binary(&[("content-type", "application/json")], br#"{"Records":[]}"#), not_one);
    assert_eq!(binary(&[], b""), not_one);
    assert_eq!(binary(&[("x-ce-id", "1")], b""), not_one);
    let missing = |attribute| Err(CloudEventError::Missing { attribute });
    assert_eq!(binary(&[("ce-id", "1")], b""), missing("specversion"));
    assert_eq!(structured("{}"), missing("specversion"));
}

#[test]
fn every_required_attribute_is_required() {
    for (i, attribute) in ["specversion", "id", "source", "type"].into_iter().enumerate() {
        let missing = Err(CloudEventError::Missing { attribute });
        let mut headers = REQUIRED.to_vec();
        headers[i].1 = "";
        assert_eq!(binary(&headers, b""), missing);
        headers.remove(i);
        assert_eq!(binary(&headers, b""), missing);
    }
    let headers = [&[("ce-specversion", "0.3")], &REQUIRED[1..]].concat();
    let error = binary(&headers, b"").unwrap_err();
    assert_eq!(error.to_string(), "attribute specversion: it is not 1.0");
}

#[test]
fn names_of_headers_come_in_any_case_and_values_quoted_or_encoded() {
    let headers = [
        ("CE-SpecVersion", "1.0"),
        ("Ce-Id", "%41%2f%2542"),
        ("ce-source", r#""/a \"quoted\\ source""#),
        ("ce-type", " t "),
        ("ce-subject", "\"Euro € 😀\""),
        ("Ce-Traceparent", "00-a"),
        ("ce-datacontenttype", "text/plain"),
        ("ce-not-an-attribute", "x"),
        ("Content-Type", "application/vnd.x+JSON; charset=utf-8"),
    ];
    let event = binary(&headers, b"[1]").unwrap();
    assert_eq!(event.id, "A/%42");
    assert_eq!(event.source, r#"/a "quoted\ source"#);
    assert_eq!(event.kind, "t");
    assert_eq!(event.subject.as_deref(), Some("Euro € 😀"));
    assert_eq!(event.extensions, BTreeMap::from([("traceparent".to_owned(), "00-a".to_owned())]));
    assert_eq!(event.data, json!([1]));
}

#[test]
fn bad_values_of_headers_are_named() {
    for (header, message) in [
        (("ce-subject", "%C0%A0"), "attribute subject: percent-decoded, it is no UTF-8"),
        (("ce-subject", "\"open"), "attribute subject: its double quotes are unbalanced"),
        (("ce-subject", "\"a\"b"), "attribute subject: its double quotes are unbalanced"),
        (("ce-id", "2"), "attribute id: it is given twice"),
        (("ce-time", "yesterday"), "attribute time: it is no RFC 3339 time from 1970 to 2999"),
        (("ce-time", "1969-12-31T23:59:59Z"), "attribute time: it is no RFC 3339 time from 1970 to 2999"),
        (("ce-time", "3000-01-01T00:00:00Z"), "attribute time: it is no RFC 3339 time from 1970 to 2999"),
    ] {
        assert_eq!(binary(&with(&[header]), b"").unwrap_err().to_string(), message);
    }
}

#[test]
fn times_have_any_offset() {
    for time in ["2020-01-01T09:00:00+09:00", "2019-12-31T18:30:00.000000999-05:30", "2020-01-01t00:00:00z"] {
        let event = binary(&with(&[("ce-time", time)]), b"").unwrap();
        assert_eq!(event.time, Some(Timestamp::Y2020), "{time}");
    }
}

#[test]
fn data_is_json_or_the_event_is_refused() {
    let refused = |headers: &[(&str, &str)], body: &[u8]| {
        assert!(matches!(binary(&with(headers), body), Err(CloudEventError::Data { .. })));
    };
    refused(&[], b"not json");
    refused(&[("content-type", "application/json")], b"{} {}");
    refused(&[("content-type", "text/plain")], b"{}");
    assert_eq!(binary(&with(&[]), b"{}").unwrap().data, json!({}));
    assert_eq!(binary(&with(&[("content-type", "text/plain")]), b"").unwrap().data, Value::Null);
}

#[test]
fn other_formats_and_batches_are_refused_as_such() {
    for content_type in
        ["application/cloudevents-batch+json", "application/cloudevents+avro", "application/cloudevents"]
    {
        let error = binary(&with(&[("content-type", content_type)]), b"[]").unwrap_err();
        assert_eq!(error, CloudEventError::UnsupportedFormat { content_type: content_type.to_owned() });
    }
}

const ENVELOPE: &str = r#""specversion":"1.0","id":"1","source":"/x","type":"t""#;

#[test]
fn a_structured_event_is_read_with_its_extensions() {
    let event = structured(&format!(
        r#"{{{ENVELOPE},"subject":null,"count":3,"hot":true,"dataschema":"s","data":[1]}}"#
    ))
    .unwrap();
    assert_eq!((event.id.as_str(), event.source.as_str(), event.kind.as_str()), ("1", "/x", "t"));
    assert_eq!(event.subject, None);
    let extensions = [("count", "3"), ("hot", "true"), ("dataschema", "s")];
    assert_eq!(event.extensions, extensions.map(|(name, value)| (name.to_owned(), value.to_owned())).into());
    assert_eq!(event.data, json!([1]));
}

#[test]
fn structured_data_may_be_base64_of_json() {
    let event = |members: &str| structured(&format!("{{{ENVELOPE},{members}}}"));
    assert_eq!(event(r#""data_base64":"eyJhIjoxfQ==""#).unwrap().data, json!({ "a": 1 }));
    for members in [
        r#""data_base64":"bm90IGpzb24=""#,
        r#""data_base64":"%""#,
        r#""data_base64":1"#,
        r#""data_base64":"e30=","data":{}"#,
        r#""datacontenttype":"text/plain","data":"x""#,
        r#""datacontenttype":7,"data":"x""#,
    ] {
        assert!(matches!(event(members), Err(CloudEventError::Data { .. })), "{members}");
    }
}

#[test]
fn malformed_envelopes_are_refused() {
    for body in ["", "[]", "nonsense", &"[".repeat(100_000), &format!("{{{ENVELOPE}}} x")] {
        assert!(matches!(structured(body), Err(CloudEventError::Envelope { .. })), "{body:.40}");
    }
    for member in [r#""ext":[]"#, r#""ext":{}"#, r#""Ext":"x""#, r#""e-x":"x""#, r#""":"x""#] {
        let body = format!("{{{ENVELOPE},{member}}}");
        assert!(matches!(structured(&body), Err(CloudEventError::Attribute { .. })), "{member}");
    }
}

fn any_event() -> impl Strategy<Value = CloudEvent> {
    let data = prop_oneof![
        Just(Value::Null),
        any::<i64>().prop_map(Value::from),
        ".*".prop_map(Value::from),
        ".*".prop_map(|text| json!({ "key": text, "list": [text, null, 1.5] })),
    ];
    let reserved = ["id", "source", "type", "subject", "time", "specversion", "data", "datacontenttype"];
    let extensions = btree_map(
        "[a-z0-9]{1,20}".prop_filter("reserved", move |name| !reserved.contains(&name.as_str())),
        ".*",
        0..4,
    );
    let micros = 0..=Timestamp::MAX.unix_micros();
    let time = prop::option::of(micros.prop_map(Timestamp::from_unix_micros));
    ("(?s).+", "(?s).+", "(?s).+", prop::option::of("(?s).*"), time, extensions, data).prop_map(
        |(id, source, kind, subject, time, extensions, data)| CloudEvent {
            id,
            source,
            kind,
            subject,
            time,
            extensions,
            data,
        },
    )
}

proptest! {
    #[test]
    fn events_come_back_from_both_modes(event in any_event()) {
        let (headers, body) = event.to_binary();
        prop_assert!(headers.iter().all(|(_, value)| value.bytes().all(|byte| (0x21..=0x7E).contains(&byte))));
        let headers: Vec<_> = headers.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect();
        let read = binary(&headers, &body);
        prop_assert_eq!(read.as_ref(), Ok(&event));
        let structured = binary(&[("content-type", STRUCTURED)], &event.to_structured());
        prop_assert_eq!(structured.as_ref(), Ok(&event));
    }

    #[test]
    fn no_message_makes_reading_panic(
        name in "(ce-(id|time|source|[ -~]{0,5})|content-type)",
        value in "(application/cloudevents(\\+json)?|\"?[ -~é%\"\\\\]{0,20})",
        body in prop_oneof![prop::collection::vec(any::<u8>(), 0..100), "\\{\"[a-z]{0,4}\":.{0,20}\\}".prop_map(String::into_bytes)],
    ) {
        let _ = binary(&[(&name, &value)], &body);
        let _ = binary(&[("content-type", STRUCTURED)], &body);
    }
}
