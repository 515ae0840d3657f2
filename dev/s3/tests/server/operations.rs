//! S3 for whoever signs: the conformance suite, what the AWS SDK does by default, presigned URLs, refusals.

use std::{sync::Arc, time::Duration};

use aws_sdk_s3::{
    error::ProvideErrorMetadata,
    presigning::PresigningConfig,
    primitives::ByteStream,
    types::{Delete, ObjectIdentifier},
};
use teiten_bucket::{Bucket, conformance};

use crate::support::{Running, bucket_of, count_files, header, now, put};

#[tokio::test(flavor = "multi_thread")]
async fn the_conformance_suite_passes() {
    let server = Running::start().await;
    for name in ["frames", "media"] {
        let report = conformance::run(Arc::new(server.bucket(name))).await;
        assert!(report.passed(), "{name}:\n{report}");
        assert_eq!(count_files(&server.folder.path().join(name)), 0);
    }
}

#[tokio::test]
async fn objects_outlive_the_server() {
    let server = Running::start().await;
    let before = put(&server.bucket("media"), "porch/live.m3u8", b"#EXTM3U\n").await;
    let server = Running::start_in(server.stop().await).await;
    let object = server.bucket("media").get("porch/live.m3u8").await.unwrap().unwrap();
    assert_eq!((object.etag.as_str(), &object.bytes[..]), (&before[..], &b"#EXTM3U\n"[..]));
    // Where a person looks for it.
    assert!(server.folder.path().join("media/porch/live.m3u8").exists());
}

#[tokio::test]
async fn the_sdk_with_its_defaults_is_understood() {
    let server = Running::start().await;
    let sdk = server.sdk();
    let names = sdk.list_buckets().send().await.unwrap();
    let names: Vec<_> = names.buckets().iter().filter_map(|bucket| bucket.name()).collect();
    assert_eq!(names, ["frames", "media"]);
    sdk.head_bucket().bucket("frames").send().await.unwrap();

    for key in ["a/1", "a/2", "b", "c d/e&f"] {
        let body = ByteStream::from(key.as_bytes().to_vec());
        let put = sdk.put_object().bucket("frames").key(key).body(body).metadata("camera", "porch");
        put.send().await.unwrap();
    }
    let head = sdk.head_object().bucket("frames").key("a/1").send().await.unwrap();
    assert_eq!(head.content_length(), Some(3));
    assert_eq!(head.metadata().and_then(|metadata| metadata.get("camera")).unwrap(), "porch");

    let list = sdk.list_objects_v2().bucket("frames").delimiter("/").max_keys(2);
    let page = list.clone().send().await.unwrap();
    let folders = |page: &aws_sdk_s3::operation::list_objects_v2::ListObjectsV2Output| {
        let prefixes = page.common_prefixes().iter();
        prefixes.map(|one| one.prefix().unwrap_or_default().to_owned()).collect::<Vec<_>>()
    };
    assert_eq!((folders(&page), page.contents()[0].key()), (vec!["a/".to_owned()], Some("b")));
    let rest = list.continuation_token(page.next_continuation_token().unwrap()).send().await.unwrap();
    assert_eq!((folders(&rest), rest.is_truncated()), (vec!["c d/".to_owned()], Some(false)));

    let ids = ["a/1", "a/2", "never"].map(|key| ObjectIdentifier::builder().key(key).build().unwrap());
    let delete = Delete::builder().set_objects(Some(ids.to_vec())).build().unwrap();
    let deleted = sdk.delete_objects().bucket("frames").delete(delete).send().await.unwrap();
    assert_eq!((deleted.deleted().len(), deleted.errors().len()), (3, 0));
    assert_eq!(count_files(&server.folder.path().join("frames")), 2);
}

#[tokio::test]
async fn a_body_that_was_damaged_on_its_way_is_refused() {
    let server = Running::start().await;
    let put = server.sdk().put_object().bucket("frames").key("a");
    let put = put.body(ByteStream::from_static(b"hello")).content_md5("AAAAAAAAAAAAAAAAAAAAAA==");
    assert_eq!(put.send().await.unwrap_err().code(), Some("BadDigest"));
    assert!(server.bucket("frames").get("a").await.unwrap().is_none());
}

#[tokio::test]
async fn what_is_not_implemented_says_so() {
    let server = Running::start().await;
    let sdk = server.sdk();
    let multipart = sdk.create_multipart_upload().bucket("media").key("a").send().await.unwrap_err();
    assert_eq!(multipart.code(), Some("NotImplemented"));
    let copy = sdk.copy_object().bucket("media").key("a").copy_source("media/b").send().await.unwrap_err();
    assert_eq!(copy.code(), Some("NotImplemented"));
    let delete = sdk.delete_object().bucket("media").key("a").if_match("\"0\"").send().await.unwrap_err();
    assert_eq!(delete.code(), Some("NotImplemented"));
    let list = sdk.list_objects_v2().bucket("media").delimiter("-").send().await.unwrap_err();
    assert_eq!(list.code(), Some("NotImplemented"));
}

#[tokio::test]
async fn refusals_carry_the_store_s_own_words() {
    let server = Running::start().await;
    let error = bucket_of(server.s3, "media", "wrong").get("a").await.unwrap_err();
    assert!(!error.is_retryable() && error.to_string().contains("SignatureDoesNotMatch"), "{error}");
    let error = server.bucket("other-bucket").get("a").await.unwrap_err();
    assert!(!error.is_retryable() && error.to_string().contains("NoSuchBucket"), "{error}");
    let error = server.bucket("media").get(&"x".repeat(300)).await.unwrap_err();
    assert!(!error.is_retryable() && error.to_string().contains("KeyTooLong"), "{error}");
}

#[tokio::test]
async fn a_store_that_is_gone_is_unavailable_and_soon_known_to_be() {
    let server = Running::start().await;
    let bucket = server.bucket("media");
    put(&bucket, "a", b"1").await;
    let _folder = server.stop().await;
    let get = tokio::time::timeout(Duration::from_secs(3), bucket.get("a")).await.unwrap();
    assert!(get.unwrap_err().is_retryable());
}

#[tokio::test]
async fn a_presigned_url_works_until_it_expires() {
    let server = Running::start().await;
    put(&server.bucket("frames"), "porch/a b+c.mjpeg", b"frame").await;
    let get = server.sdk().get_object().bucket("frames").key("porch/a b+c.mjpeg");
    let presign = async |made_ago: u64, valid_for: u64| {
        let config = PresigningConfig::builder()
            .start_time(now() - Duration::from_secs(made_ago))
            .expires_in(Duration::from_secs(valid_for));
        get.clone().presigned(config.build().unwrap()).await.unwrap().uri().to_owned()
    };
    let valid = presign(30, 60).await;
    let response = reqwest::get(&valid).await.unwrap();
    assert_eq!(response.status(), 200);
    assert_eq!(header(&response, "access-control-allow-origin"), "*");
    assert_eq!(response.bytes().await.unwrap(), "frame");
    assert_eq!(reqwest::get(presign(90, 60).await).await.unwrap().status(), 403);
    let other_key = valid.replacen("porch", "lawn", 1);
    assert_eq!(reqwest::get(other_key).await.unwrap().status(), 403);

    let config = PresigningConfig::expires_in(Duration::from_secs(60)).unwrap();
    let upload = server.sdk().put_object().bucket("media").key("up").presigned(config).await.unwrap();
    let http = reqwest::Client::new();
    assert_eq!(http.put(upload.uri()).body("uploaded").send().await.unwrap().status(), 200);
    assert_eq!(reqwest::get(server.url("/media/up")).await.unwrap().text().await.unwrap(), "uploaded");
}

#[tokio::test]
async fn an_answer_under_way_is_finished_before_the_server_ends() {
    let server = Running::start().await;
    // More than the sockets between them can hold.
    let large = vec![7; 32 << 20];
    put(&server.bucket("media"), "large", &large).await;
    let response = reqwest::get(server.url("/media/large")).await.unwrap();
    server.begin_stop();
    assert_eq!(response.bytes().await.unwrap(), large);
    server.stop().await;
}
