//! Makes an object store what Teiten needs: buckets, lifecycle rules (retention), CORS, who may read `media`, and what
//! each component may do. Speaks plain S3 and so works on AWS, MinIO, Ceph and others; what a store lacks is left out
//! with a message. What is right already is left as it is, and so is what others have set beside it.
//!
//! The wanted state follows from [`Settings`] by pure functions ([`policy`], `rules`); [`run`] reads what there is,
//! compares, and writes the difference.

pub mod policy;
pub mod settings;

mod answer;
mod rules;
mod run;

pub use answer::SetupError;
pub use run::{Outcome, Step, run};
pub use settings::Settings;
