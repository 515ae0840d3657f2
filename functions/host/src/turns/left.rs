//! From where on a run left something to do.

use std::sync::{Mutex, PoisonError};

use teiten_footage::Timestamp;

/// The start of the oldest window that the last run left: the next one looks as far back. What forgets it (a process that ends)
/// only costs time, until a run looks as far again by itself.
#[derive(Debug, Default)]
pub struct Left(Mutex<Option<Timestamp>>);

impl Left {
    /// What is left.
    pub fn oldest(&self) -> Option<Timestamp> {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Notes what is left from now on.
    pub fn note(&self, oldest: Option<Timestamp>) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = oldest;
    }
}
