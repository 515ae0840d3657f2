//! Reconcile: finds what got lost between the parts, and sends its events again.
//!
//! A broker of events may forget some: one without durable storage that is killed, or one that gave an event up
//! after many attempts. What the events spoke of is in the buckets, so a listing tells what is missing:
//!
//! - a batch without a segment made after it: `teiten.batch.stored` is sent again, to `encode`;
//! - a live playlist that would change if it were looked at: `teiten.segment.stored` is sent again, to `playlist`;
//! - an hour's playlist that does not list what is stored of it: it is brought up to date;
//! - an `archive.json` that does not name just the hours with a playlist and footage: it is written anew;
//! - a `cameras.json` that does not name just the cameras that have footage, or filmed within a day: it is written anew.
//!
//! It counts the dead letters of the last day besides: what was given up is in the bucket, whatever the function that it was for
//! could tell of it.
//!
//! [`plan`] decides, in functions of listings and the time; [`Reconcile`] lists, asks it, and sends. Nothing has to be
//! remembered between two runs (what is left, what was sent and how far a survey has come is, which saves time), and several at a time do no harm.

mod archive;
mod cameras;
mod dead_letters;
mod found;
mod look;
mod memory;
pub mod plan;
mod reconcile;
mod report;
mod send;
mod settings;
pub mod share;

pub use reconcile::Reconcile;
pub use report::Report;
pub use settings::Settings;
