//! Batches frames from MQTT into windows in the bucket, and says so.
