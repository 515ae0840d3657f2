//! What is remembered of each camera between events. All of it only saves work: it may be forgotten.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, PoisonError},
};

use teiten_footage::CameraId;

/// The most cameras that something is remembered of.
const CAMERAS_MAX: usize = 4096;

/// Memories by camera.
#[derive(Debug)]
pub struct PerCamera<Memory>(Mutex<HashMap<CameraId, Arc<Memory>>>);

impl<Memory> Default for PerCamera<Memory> {
    fn default() -> Self {
        Self(Mutex::default())
    }
}

impl<Memory: Default> PerCamera<Memory> {
    /// What is remembered of `camera`.
    pub fn of(&self, camera: &CameraId) -> Arc<Memory> {
        let mut cameras = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if cameras.len() >= CAMERAS_MAX && !cameras.contains_key(camera) {
            cameras.retain(|_, memory| Arc::strong_count(memory) > 1);
        }
        cameras.entry(camera.clone()).or_default().clone()
    }
}
