//! The checksums that a client may send with an object, in headers or in a trailer behind the body.

use base64::{Engine, engine::general_purpose::STANDARD};
use s3s::{
    S3Result,
    checksum::ChecksumHasher,
    crypto::{Checksum as _, Crc32, Crc32c, Crc64Nvme, Md5, Sha1, Sha256},
    s3_error,
};

/// Checksums that an object's bytes must have, in base64 as they are sent.
#[derive(Debug, Default)]
pub(crate) struct Expected {
    pub md5: Option<String>,
    pub crc32: Option<String>,
    pub crc32c: Option<String>,
    pub crc64nvme: Option<String>,
    pub sha1: Option<String>,
    pub sha256: Option<String>,
}

impl Expected {
    /// Checks `bytes`, and gives their MD5 in hex, which is an object's entity tag.
    pub(crate) fn check(&self, bytes: &[u8]) -> S3Result<String> {
        let md5 = Md5::checksum(bytes);
        if self.md5.as_ref().is_some_and(|expected| *expected != STANDARD.encode(md5)) {
            return Err(s3_error!(BadDigest, "The bytes do not have the Content-MD5 that was sent"));
        }
        let mut hasher = ChecksumHasher {
            crc32: self.crc32.as_ref().map(|_| Crc32::new()),
            crc32c: self.crc32c.as_ref().map(|_| Crc32c::new()),
            crc64nvme: self.crc64nvme.as_ref().map(|_| Crc64Nvme::new()),
            sha1: self.sha1.as_ref().map(|_| Sha1::new()),
            sha256: self.sha256.as_ref().map(|_| Sha256::new()),
        };
        hasher.update(bytes);
        let computed = hasher.finalize();
        let holds = self.crc32 == computed.checksum_crc32
            && self.crc32c == computed.checksum_crc32c
            && self.crc64nvme == computed.checksum_crc64nvme
            && self.sha1 == computed.checksum_sha1
            && self.sha256 == computed.checksum_sha256;
        if !holds {
            return Err(s3_error!(BadDigest, "The bytes do not have the checksum that was sent"));
        }
        Ok(md5.iter().map(|byte| format!("{byte:02x}")).collect())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_checksum_is_checked() {
        // Of "hello", by openssl and by the AWS CLI.
        let good = || Expected {
            md5: Some("XUFAKrxLKna5cZ2REBfFkg==".to_owned()),
            crc32: Some("NhCmhg==".to_owned()),
            crc32c: Some("mnG7TA==".to_owned()),
            crc64nvme: None,
            sha1: Some("qvTGHdzF6KLavt4PO0gs2a6pQ00=".to_owned()),
            sha256: Some("LPJNul+wow4m6DsqxbninhsWHlwfp0JecwQzYpOLmCQ=".to_owned()),
        };
        assert_eq!(good().check(b"hello").unwrap(), "5d41402abc4b2a76b9719d911017c592");
        assert_eq!(Expected::default().check(b"").unwrap(), "d41d8cd98f00b204e9800998ecf8427e");
        let bad = || Some("AAAA".to_owned());
        for wrong in [
            Expected { md5: bad(), ..good() },
            Expected { crc32: bad(), ..good() },
            Expected { crc32c: bad(), ..good() },
            Expected { crc64nvme: bad(), ..good() },
            Expected { sha1: bad(), ..good() },
            Expected { sha256: bad(), ..good() },
        ] {
            assert!(wrong.check(b"hello").is_err(), "{wrong:?}");
        }
    }
}
