use proptest::prelude::*;

use super::*;
use crate::{Pictures, key::BatchFormat, time::Timestamp, window::WindowLength};

const BATCH: &str = "front-door/2026-11-23/04/20261123T040501.000Z-1000.mjpeg";
const SEGMENT: &str =
    "front-door/2026-11-23/04/20261123T040501.000Z-1000-e3b0c44298fc1c14-ba7816bf8f01cfea-4321.m4s";

fn batch_stored(frames: Option<ContentHash>) -> Event {
    Event::BatchStored { bucket: "frames".to_owned(), key: BATCH.parse().unwrap(), frames }
}

fn segment_stored() -> Event {
    Event::SegmentStored { bucket: "media".to_owned(), key: SEGMENT.parse().unwrap(), motion: None }
}

fn window_missed() -> Event {
    Event::WindowMissed {
        camera: "front-door".parse().unwrap(),
        window: "20261123T040501.000Z-1000".parse().unwrap(),
    }
}

fn sensor_changed() -> Event {
    let at = Timestamp::from_unix_micros(1_795_406_701_234_567);
    let (kind, state) = (crate::sensor::SensorKind::Motion, crate::SensorState::Started);
    Event::SensorChanged { camera: "front-door".parse().unwrap(), event: SensorEvent { kind, state, at } }
}

fn motion(source: MotionSource, end: Option<u64>, peak: Option<u8>) -> Event {
    let start = Timestamp::from_unix_millis(1_795_406_702_000);
    let span = MotionSpan { source, start, end: end.map(Timestamp::from_unix_millis), peak };
    Event::Motion { camera: "front-door".parse().unwrap(), span }
}

/// Golden: whoever is to be told of motion reads this.
#[test]
fn motion_is_told_by_these_messages() {
    let json = |event: Event| String::from_utf8(event.to_cloud_event().to_structured()).unwrap();
    assert_eq!(
        json(sensor_changed()),
        concat!(
            r#"{"specversion":"1.0","id":"front-door/2026-11-23/04/sensor-20261123T040501.234567Z-motion-started.json","#,
            r#""source":"/teiten/bridge","type":"teiten.sensor.changed","subject":"front-door","#,
            r#""datacontenttype":"application/json","data":{"at":"2026-11-23T04:05:01.234567Z","kind":"motion","state":"started"}}"#
        )
    );
    assert_eq!(
        json(motion(MotionSource::Sensor, None, None)),
        concat!(
            r#"{"specversion":"1.0","id":"front-door/sensor-20261123T040502.000Z#started","#,
            r#""source":"/teiten/playlist/sensor","type":"teiten.motion.started","subject":"front-door","#,
            r#""datacontenttype":"application/json","data":{"source":"sensor","start":"2026-11-23T04:05:02.000Z"}}"#
        )
    );
    assert_eq!(
        json(motion(MotionSource::Picture, Some(1_795_406_709_000), Some(31))),
        concat!(
            r#"{"specversion":"1.0","id":"front-door/picture-20261123T040502.000Z#ended","#,
            r#""source":"/teiten/playlist/picture","type":"teiten.motion.ended","subject":"front-door","#,
            r#""datacontenttype":"application/json","data":{"end":"2026-11-23T04:05:09.000Z","peak":31,"source":"picture","#,
            r#""start":"2026-11-23T04:05:02.000Z"}}"#
        )
    );
    let mut early = motion(MotionSource::Picture, Some(1_795_406_709_000), None).to_cloud_event();
    early.data["end"] = "2026-11-23T04:05:01.000Z".into();
    assert!(Event::try_from(&early).is_err());
    early.kind = Event::MOTION_STARTED.to_owned();
    assert!(Event::try_from(&early).is_err());
}

/// Golden: what routers see, and functions of another version read.
#[test]
fn events_are_these_messages() {
    let json = |event: Event| String::from_utf8(event.to_cloud_event().to_structured()).unwrap();
    assert_eq!(
        json(batch_stored(Some(ContentHash::of(b"")))),
        concat!(
            r#"{"specversion":"1.0","#,
            r#""id":"front-door/2026-11-23/04/20261123T040501.000Z-1000.mjpeg#e3b0c44298fc1c14","#,
            r#""source":"/teiten/bridge","type":"teiten.batch.stored","subject":"front-door","#,
            r#""datacontenttype":"application/json","data":{"bucket":"frames","frames":"e3b0c44298fc1c14","#,
            r#""key":"front-door/2026-11-23/04/20261123T040501.000Z-1000.mjpeg"}}"#
        )
    );
    assert_eq!(
        json(batch_stored(None)),
        concat!(
            r#"{"specversion":"1.0","id":"front-door/2026-11-23/04/20261123T040501.000Z-1000.mjpeg","#,
            r#""source":"/teiten/bridge","type":"teiten.batch.stored","subject":"front-door","#,
            r#""datacontenttype":"application/json","data":{"bucket":"frames","#,
            r#""key":"front-door/2026-11-23/04/20261123T040501.000Z-1000.mjpeg"}}"#
        )
    );
    let segment =
        "front-door/2026-11-23/04/20261123T040501.000Z-1000-e3b0c44298fc1c14-ba7816bf8f01cfea-4321.m4s";
    assert_eq!(
        json(segment_stored()),
        format!(
            "{}{segment}{}{segment}{}",
            r#"{"specversion":"1.0","id":""#,
            concat!(
                r#"","source":"/teiten/encode","type":"teiten.segment.stored","subject":"front-door","#,
                r#""datacontenttype":"application/json","data":{"bucket":"media","key":""#
            ),
            r#""}}"#
        )
    );
    let Event::SegmentStored { bucket, key, .. } = segment_stored() else { unreachable!() };
    let told = Event::SegmentStored { bucket, key, motion: Some(MotionMap::default()) };
    let map = "A".repeat(512);
    assert!(json(told).ends_with(&format!(r#"{segment}","motion":"{map}"}}}}"#)));
    assert_eq!(
        json(window_missed()),
        concat!(
            r#"{"specversion":"1.0","id":"front-door/20261123T040501.000Z-1000","#,
            r#""source":"/teiten/bridge","type":"teiten.window.missed","subject":"front-door","#,
            r#""datacontenttype":"application/json","data":{"window":"20261123T040501.000Z-1000"}}"#
        )
    );
}

#[test]
fn the_subject_may_be_left_out_where_the_key_names_the_camera() {
    for event in [batch_stored(None), segment_stored()] {
        let envelope = CloudEvent { subject: None, ..event.to_cloud_event() };
        assert_eq!(Event::try_from(&envelope), Ok(event));
    }
}

#[test]
fn members_that_are_not_known_do_not_matter() {
    let mut envelope = segment_stored().to_cloud_event();
    envelope.data["new"] = json!([1]);
    envelope.extensions.insert("traceparent".to_owned(), "00".to_owned());
    assert_eq!(Event::try_from(&envelope), Ok(segment_stored()));
}

#[test]
fn events_of_others_and_malformed_ones_are_told_apart() {
    let mut envelope = batch_stored(None).to_cloud_event();
    envelope.kind = "com.github.push".to_owned();
    let unknown = EventError::UnknownType { kind: envelope.kind.clone() };
    assert_eq!(Event::try_from(&envelope), Err(unknown));

    let why = |event: &CloudEvent| match Event::try_from(event) {
        Err(EventError::Malformed { why, .. }) => why,
        other => panic!("{other:?}"),
    };
    let batch = batch_stored(None).to_cloud_event();
    let with_data = |event: &CloudEvent, data| CloudEvent { data, ..event.clone() };
    assert_eq!(why(&with_data(&batch, json!({ "bucket": "frames" }))), "missing field `key`");
    assert!(why(&with_data(&batch, Value::Null)).starts_with("invalid type: null"));
    let segment_key = json!({ "bucket": "frames", "key": SEGMENT });
    assert_eq!(why(&with_data(&batch, segment_key)), format!("{SEGMENT:?} is no key of a batch"));
    let bad_hash = json!({ "bucket": "frames", "key": BATCH, "frames": "E3" });
    assert!(why(&with_data(&batch, bad_hash)).contains("is no content hash"));
    let bad_map = json!({ "bucket": "media", "key": SEGMENT, "motion": "AAA=" });
    assert!(why(&with_data(&segment_stored().to_cloud_event(), bad_map)).contains("no motion map"));
    let other = CloudEvent { subject: Some("back-door".to_owned()), ..batch };
    assert_eq!(why(&other), "the subject is not the camera");
    let missed = CloudEvent { subject: None, ..window_missed().to_cloud_event() };
    assert_eq!(why(&missed), "there is no subject");
}

#[test]
fn a_stored_object_is_an_event_by_its_key() {
    let created = |bucket: &str, key: &str| ObjectCreated { bucket: bucket.to_owned(), key: key.to_owned() };
    assert_eq!(Event::from_object_created(&created("frames", BATCH)), Ok(batch_stored(None)));
    assert_eq!(Event::from_object_created(&created("media", SEGMENT)), Ok(segment_stored()));
    let playlist =
        EventError::OtherObject { bucket: "media".to_owned(), key: "front-door/live.m3u8".to_owned() };
    assert_eq!(Event::from_object_created(&created("media", "front-door/live.m3u8")), Err(playlist));
}

fn any_event() -> impl Strategy<Value = Event> {
    let window = (0..=Timestamp::MAX.unix_micros() / 2, prop::sample::select(&[500, 1000, 6000][..]))
        .prop_map(|(micros, millis)| {
            let length = WindowLength::from_millis(millis).unwrap();
            Window::containing(Timestamp::from_unix_micros(micros), length)
        });
    let camera = "[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?".prop_map(|name| CameraId::new(&name).unwrap());
    let hash = || any::<[u8; 4]>().prop_map(|bytes| ContentHash::of(&bytes));
    (0..5, camera, window, ".*", prop::option::of(hash()), hash()).prop_map(
        |(kind, camera, window, bucket, frames, init)| match kind {
            0 => {
                let key = BatchKey { camera, window, format: BatchFormat::H264 };
                Event::BatchStored { bucket, key, frames }
            }
            1 => {
                let pictures = Pictures { frames: frames.unwrap_or(init), keyframe_bytes: 4321 };
                let key = SegmentKey { camera, window, init, pictures };
                let motion = frames.map(|_| MotionMap::from_strengths(&[5; MotionMap::CELLS]));
                Event::SegmentStored { bucket, key, motion }
            }
            2 => Event::WindowMissed { camera, window },
            3 => Event::SensorChanged {
                camera,
                event: SensorEvent {
                    kind: crate::sensor::SensorKind::Motion,
                    state: if frames.is_some() {
                        crate::SensorState::Started
                    } else {
                        crate::SensorState::Ended
                    },
                    at: window.start(),
                },
            },
            _ => {
                let end = frames.map(|_| window.end());
                let span = MotionSpan {
                    source: MotionSource::Picture,
                    start: window.start(),
                    end,
                    peak: frames.map(|_| 7),
                };
                Event::Motion { camera, span }
            }
        },
    )
}

proptest! {
    #[test]
    fn events_come_back_and_the_same_event_has_the_same_id(event in any_event()) {
        let envelope = event.to_cloud_event();
        prop_assert_eq!(Event::try_from(&envelope), Ok(event.clone()));
        prop_assert_eq!(event.to_cloud_event().id, envelope.id);
    }
}
