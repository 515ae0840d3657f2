//! S3 event notifications, as MinIO, AWS S3 and Ceph post them.
