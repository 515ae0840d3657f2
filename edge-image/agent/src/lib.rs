//! The camera: captures, stamps, spools and publishes frames.
