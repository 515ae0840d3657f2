//! The playlist function: keeps `media/<camera>/live.m3u8` and the playlists of the archive of every camera up to date.
//!
//! [`advance`](advance()) decides on the live playlist, [`advance_hour`] on that of an hour: pure functions of the
//! current playlist, the segments that are stored, and the time. [`Playlist`] reads, asks them, and writes by
//! compare-and-swap. No two successive versions of a playlist break the rules of draft-pantos-hls-rfc8216bis §6.2,
//! whatever comes in whichever order.

mod advance;
mod archive;
mod archives;
mod cameras;
mod fragment;
mod function;
mod hour;
mod hour_advance;
mod hour_marks;
mod hour_parse;
mod hours;
mod init_sections;
mod listing;
mod live;
mod live_variants;
mod motion;
mod motion_hour;
mod motion_mend;
mod motions;
mod moves;
mod moving;
mod pack;
mod pack_tables;
mod parse;
mod range;
mod renditions;
mod shell;
mod sizes;
mod stored;

pub use advance::{
    Footage, LIVE_AGE_MAX, LIVE_WINDOW_SECONDS, SILENCE_MIN, Settings, Step, WINDOWS_MIN, advance,
};
pub use archive::{Archive, StoredHour, stored_hour};
pub use cameras::Cameras;
pub use fragment::{Fragment, FragmentError, Sample};
pub use function::Playlist;
pub use hour::{HourPlaylist, TARGET_DURATION_SECONDS};
pub use hour_advance::{
    CLOSE_AFTER, HourStep, REWRITE_PERIOD, advance_hour, cutoff, gives_way, in_order, is_over, is_stale,
};
pub use hours::{StoredHourObjects, StoredPack, StoredSegment, read_hour, stored_objects, update_hour};
pub use init_sections::{InitError, InitSections, sample_entry};
pub use listing::{Listing, Part, Place, Stored};
pub use live::{Content, Entry, LivePlaylist, target_duration_seconds, windows_min};
pub use motion::motion_of;
pub use motion_hour::MotionHour;
pub use motion_mend::{HEADS_MAX, mend_motion, mend_packed_motion};
pub use moves::{Moves, Moving};
pub use moving::{Seen, cut_off, mark};
pub use pack::{Packed, pack};
pub use pack_tables::fragments_in_pack;
pub use parse::ParseError;
pub use range::{Rendition, is_mixed, moved_in, target_duration, vod};
pub use renditions::{BitRate, Variant, multivariant};
pub use shell::ShellError;
pub use stored::{StoredHours, stored_in};
