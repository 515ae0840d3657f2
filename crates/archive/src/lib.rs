//! What is in the bucket `media`, as values and as the texts that players read: live playlists, the hours of the archive, what moved in them,
//! and what there is to list, in segments and in packs.
//!
//! [`advance`](advance()) decides on the live playlist, [`advance_hour`] on that of an hour: pure functions of the
//! current playlist, the segments that are stored, and the time. No two successive versions of a playlist break the rules of
//! draft-pantos-hls-rfc8216bis §6.2, whatever comes in whichever order. What is written of the past is read, decided and written by
//! compare-and-swap in functions of a bucket and the time ([`update_hour`], [`mend_motion`]).
//!
//! Nothing here remembers anything, or waits for anything. When it is time to look, what is kept in memory until then, what is done
//! with an error, and reading and writing the live playlist are the affair of the functions.

mod archive;
mod cameras;
mod fragment;
mod hour;
mod init_sections;
mod listing;
mod live;
mod motion;
mod moves;
mod pack;
mod renditions;
mod shell;
mod sizes;
mod stored;
mod vod;

pub use live::{
    Content, Entry, LivePlaylist,
    advance::{Footage, LIVE_AGE_MAX, LIVE_WINDOW_SECONDS, LiveSettings, LiveStep, WINDOWS_MIN, advance},
    moving::{Seen, change_in, changes, cut_off, mark},
    parse::ParseError,
};

pub use hour::{
    HourPlaylist,
    advance::{CLOSE_AFTER, HourStep, REWRITE_PERIOD, advance_hour, cutoff, gives_way, is_over, is_stale},
    update::{
        KnownHour, StoredHourObjects, StoredPack, StoredSegment, read_hour, stored_objects, update_hour,
        update_known_hour,
    },
};
pub use motion::{
    Told,
    hour::MotionHour,
    mend::{HEADS_MAX, mend_motion, mend_packed_motion},
    motion_settings, read_level, sensor_start, write_down,
};

pub use fragment::{Fragment, FragmentError, Sample};
pub use init_sections::{InitError, InitSections, sample_entry};
pub use listing::{Listing, Part, Place, Stored};
pub use pack::{Packed, pack, tables::fragments_in_pack};
pub use renditions::{BitRate, Variant, multivariant};
pub use stored::{StoredHours, stored_in};
pub use vod::{Rendition, is_mixed, moved_in, target_duration, vod};

pub use archive::{Archive, StoredHour, stored_hour};
pub use cameras::{Cameras, enlist};
pub use shell::{COLLISIONS_MAX, PLAYLIST_HEADERS, ShellError};
