//! From where on a run left something to do.

use std::{
    sync::{Mutex, PoisonError},
    time::Duration,
};

use teiten_footage::Timestamp;

use crate::plan;

/// The start of the oldest window that the last run left: the next one looks as far back. What forgets it (a process that ends)
/// only costs time, until a run looks as far again by itself.
#[derive(Debug, Default)]
pub struct Left(Mutex<Option<Timestamp>>);

impl Left {
    /// How far the run of this time looks back ([`plan::look_back`]), or as far as to what is left.
    pub fn look_back(&self, now: Timestamp, period: Duration, horizon: Duration) -> Duration {
        match *self.0.lock().unwrap_or_else(PoisonError::into_inner) {
            Some(left) => plan::look_back_to(left, now, period, horizon),
            None => plan::look_back(now, period, horizon),
        }
    }

    /// Notes what is left from now on.
    pub fn note(&self, oldest: Option<Timestamp>) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = oldest;
    }
}
