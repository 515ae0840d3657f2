use proptest::prelude::*;

use super::*;

fn created(bucket: &str, key: &str) -> ObjectCreated {
    ObjectCreated { bucket: bucket.to_owned(), key: key.to_owned() }
}

const KEY: &str = "front-door/2026-11-23/04/20261123T040501.000Z-1000.mjpeg";

/// The form of MinIO's webhook: an envelope of its own, and the key as in an HTML form.
const MINIO: &str = r#"{
  "EventName": "s3:ObjectCreated:Put",
  "Key": "frames/front-door/2026-11-23/04/20261123T040501.000Z-1000.mjpeg",
  "Records": [{
    "eventVersion": "2.0", "eventSource": "minio:s3", "awsRegion": "", "eventTime": "2026-11-23T04:05:02.512Z",
    "eventName": "s3:ObjectCreated:Put", "userIdentity": {"principalId": "teiten"},
    "requestParameters": {"principalId": "teiten", "region": "", "sourceIPAddress": "10.0.0.7"},
    "responseElements": {"x-amz-request-id": "18637B0", "x-minio-deployment-id": "7f"},
    "s3": {
      "s3SchemaVersion": "1.0", "configurationId": "Config",
      "bucket": {"name": "frames", "ownerIdentity": {"principalId": "teiten"}, "arn": "arn:aws:s3:::frames"},
      "object": {"key": "front-door%2F2026-11-23%2F04%2F20261123T040501.000Z-1000.mjpeg", "size": 898,
        "eTag": "9b2cf535f27731c974343645a3985328", "contentType": "video/x-motion-jpeg",
        "userMetadata": {"content-type": "video/x-motion-jpeg"}, "sequencer": "18637B0A"}
    },
    "source": {"host": "10.0.0.7", "port": "", "userAgent": "aws-sdk-rust"}
  }]
}"#;

/// The form that the Amazon S3 User Guide documents (event message structure).
const AWS: &str = r#"{"Records": [{
  "eventVersion": "2.1", "eventSource": "aws:s3", "awsRegion": "eu-central-1",
  "eventTime": "2026-11-23T04:05:02.512Z", "eventName": "ObjectCreated:CompleteMultipartUpload",
  "userIdentity": {"principalId": "AWS:AIDA"}, "requestParameters": {"sourceIPAddress": "10.0.0.7"},
  "responseElements": {"x-amz-request-id": "C3D1", "x-amz-id-2": "FMy"},
  "s3": {"s3SchemaVersion": "1.0", "configurationId": "c",
    "bucket": {"name": "frames", "ownerIdentity": {"principalId": "A3"}, "arn": "arn:aws:s3:::frames"},
    "object": {"key": "red+flower%2B%E2%82%AC.jpg", "size": 1, "eTag": "d4", "versionId": "09", "sequencer": "00"}}
}]}"#;

/// The form of radosgw's bucket notifications: the key as it is.
const CEPH: &str = r#"{"Records": [{
  "eventVersion": "2.2", "eventSource": "ceph:s3", "awsRegion": "default", "eventTime": "2026-11-23T04:05:02.512Z",
  "eventName": "ObjectCreated:Put", "userIdentity": {"principalId": "teiten"},
  "requestParameters": {"sourceIPAddress": ""},
  "responseElements": {"x-amz-request-id": "5a.1.0", "x-amz-id-2": "1-default"},
  "s3": {"s3SchemaVersion": "1.0", "configurationId": "teiten",
    "bucket": {"name": "frames", "ownerIdentity": {"principalId": "teiten"}, "arn": "arn:aws:s3:default::frames", "id": "5a"},
    "object": {"key": "a+b%20c", "size": 898, "etag": "9b", "versionId": "", "sequencer": "7B", "metadata": [], "tags": []}},
  "eventId": "1.2.9b", "opaqueData": ""
}]}"#;

const EVENT_BRIDGE: &str = r#"{
  "version": "0", "id": "2d4e", "detail-type": "Object Created", "source": "aws.s3", "account": "1",
  "time": "2026-11-23T04:05:02Z", "region": "eu-central-1", "resources": ["arn:aws:s3:::frames"],
  "detail": {"version": "0", "bucket": {"name": "frames"},
    "object": {"key": "a+b%20c", "size": 898, "etag": "9b", "sequencer": "00"},
    "request-id": "C3D1", "requester": "1", "source-ip-address": "10.0.0.7", "reason": "PutObject"}
}"#;

const TEST_EVENT: &str = r#"{"Service": "Amazon S3", "Event": "s3:TestEvent", "Time": "2026-11-23T04:05:02.512Z",
  "Bucket": "frames", "RequestId": "5582", "HostId": "8cLe"}"#;

#[test]
fn each_store_s_form_gives_the_decoded_key() {
    let one = |body: &str| parse(body.as_bytes());
    assert_eq!(one(MINIO), Ok(vec![created("frames", KEY)]));
    assert_eq!(one(AWS), Ok(vec![created("frames", "red flower+€.jpg")]));
    assert_eq!(one(CEPH), Ok(vec![created("frames", "a+b%20c")]));
    assert_eq!(one(EVENT_BRIDGE), Ok(vec![created("frames", "a+b%20c")]));
}

#[test]
fn other_events_give_nothing() {
    for (body, from, to) in [
        (MINIO, "s3:ObjectCreated:Put", "s3:ObjectRemoved:Delete"),
        (AWS, "ObjectCreated:CompleteMultipartUpload", "ObjectRestore:Completed"),
        (CEPH, "ObjectCreated:Put", "ObjectRemoved:Delete"),
        (EVENT_BRIDGE, "Object Created", "Object Deleted"),
        (TEST_EVENT, "", ""),
        (r#"{"Records": []}"#, "", ""),
    ] {
        assert_eq!(parse(body.replace(from, to).as_bytes()), Ok(vec![]), "{body}");
    }
}

#[test]
fn records_keep_their_order_and_a_key_that_is_no_text_does_not_sink_the_others() {
    let record = |key: &str| {
        format!(
            r#"{{"eventName":"ObjectCreated:Put","s3":{{"bucket":{{"name":"b"}},"object":{{"key":"{key}"}}}}}}"#
        )
    };
    let body = format!(r#"{{"Records":[{},{},{}]}}"#, record("2"), record("%FF"), record("1"));
    assert_eq!(
        parse(body.as_bytes()),
        Ok(vec![created("b", "2"), created("b", "\u{FFFD}"), created("b", "1")])
    );
}

#[test]
fn what_is_no_notification_is_refused() {
    for body in ["{}", r#"{"Event": "other"}"#, r#"{"detail-type": "Object Created"}"#] {
        assert_eq!(parse(body.as_bytes()), Err(NotificationError::Other), "{body}");
    }
    for body in
        ["", "[]", "junk", r#"{"Records": [{}]}"#, r#"{"Records": 1}"#, r#"{"detail": {"bucket": {}}}"#]
    {
        assert!(matches!(parse(body.as_bytes()), Err(NotificationError::Malformed { .. })), "{body}");
    }
}

proptest! {
    #[test]
    fn any_key_survives_the_encoding_of_a_form(key in ".+") {
        // As Go's url.QueryEscape and Java's URLEncoder have it.
        let encoded: String = percent_encoding::utf8_percent_encode(&key, percent_encoding::NON_ALPHANUMERIC)
            .to_string()
            .replace("%20", "+");
        let body = AWS.replace("red+flower%2B%E2%82%AC.jpg", &encoded);
        prop_assert_eq!(parse(body.as_bytes()), Ok(vec![created("frames", &key)]));
    }

    #[test]
    fn no_bytes_make_parsing_panic(body in prop::collection::vec(any::<u8>(), 0..200), cut in 0..MINIO.len()) {
        let _ = parse(&body);
        prop_assert!(parse(&MINIO.as_bytes()[..cut]).is_err());
    }
}
