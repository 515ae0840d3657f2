//! The stamp: capture time and identity inside a JPEG, as EXIF (CIPA DC-008) that any tool reads.
//!
//! DateTimeOriginal (0x9003), SubSecTimeOriginal (0x9291, 6 digits), OffsetTimeOriginal (0x9011, `+00:00`)
//! and ImageUniqueID (0xA420, [`crate::FrameId`]'s 32 hex digits).
