//! Pictures for whoever looks for something: a poster of each camera, and for each hour a sheet of thumbnails with its
//! index.
//!
//! A chore, called once a minute: [`Pictures`] lists new batches, takes a frame for each ten seconds that have no
//! thumbnail yet, and puts it on the hour's [`Sheet`]. Nothing has to be remembered between two runs: what there is says what is
//! missing. (From where on a run left something is, which saves time.)

mod pictures;
pub mod sheet;
mod thumbnail;

pub use pictures::{Pictures, Report, Settings};
pub use sheet::Sheet;
