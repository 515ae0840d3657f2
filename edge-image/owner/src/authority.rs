//! The owner's certificate authority and what it signs: the broker's server certificate, the client
//! certificates of the bridge and of each camera, the certificate that signs updates, and the list of those that are
//! revoked (X.509 v3 and CRL v2, RFC 5280; ECDSA P-256; PEM, RFC 7468).
//!
//! Every certificate is valid from 2020 on. A Raspberry Pi has no clock of its own: it may have to check the
//! broker's certificate with a time that is older than the certificate, and 2020 is the earliest time that any
//! part of Teiten believes.

use std::{fmt, net::IpAddr, str::FromStr, time::Duration};

use rcgen::{
    BasicConstraints, CertificateParams, CertificateRevocationListParams, DnType, ExtendedKeyUsagePurpose,
    IsCa, Issuer, KeyIdMethod, KeyPair, KeyUsagePurpose, RevocationReason, RevokedCertParams, SanType,
    SerialNumber, date_time_ymd,
};
use rumqttc::tokio_rustls::rustls::pki_types::{CertificateDer, pem::PemObject as _};
use teiten_footage::{CameraId, Timestamp};

use crate::given::{Given, Serial};

/// The common name of the bridge's client certificate. It has a dot, so no camera can have it.
pub const BRIDGE: &str = "bridge.teiten";

/// The common name of the client certificate of the owner's own tools.
pub const OWNER: &str = "owner.teiten";

/// The authority's own name in the certificates it signs.
const AUTHORITY: &str = "Teiten cameras";

const YEAR: Duration = Duration::from_secs(31_556_952);
/// Longer than any camera hangs: a new authority means visiting each of them.
const AUTHORITY_LIFETIME: Duration = YEAR.saturating_mul(30);
/// A camera under a roof has to be reached with a ladder.
const LIFETIME: Duration = YEAR.saturating_mul(10);

/// What is used for as long is made anew: by then its owner has come by.
const RENEWED_BEFORE_ITS_END: Duration = YEAR;

/// A certificate and its private key, as PEM.
#[derive(Clone)]
pub struct Identity {
    /// The certificate.
    pub certificate: String,
    /// The private key, PKCS #8.
    pub key: String,
}

/// Without the key.
impl fmt::Debug for Identity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Identity").field("certificate", &self.certificate).finish_non_exhaustive()
    }
}

/// How a camera reaches its broker: a DNS name or an IP address.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BrokerHost(Host);

#[derive(Debug, Clone, PartialEq, Eq)]
enum Host {
    Name(String),
    Address(IpAddr),
}

/// What is no [`BrokerHost`].
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0:?} is neither a host name nor an IP address (without a port)")]
pub struct BrokerHostError(String);

impl FromStr for BrokerHost {
    type Err = BrokerHostError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        if let Ok(address) = text.trim_start_matches('[').trim_end_matches(']').parse() {
            return Ok(Self(Host::Address(address)));
        }
        let label = |label: &str| {
            !label.is_empty()
                && label.len() <= 63
                && label.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-')
                && !label.starts_with('-')
                && !label.ends_with('-')
        };
        // A last label of digits alone is a mistyped address (RFC 3696 §2).
        let numeric =
            text.rsplit('.').next().is_some_and(|last| last.bytes().all(|byte| byte.is_ascii_digit()));
        if text.len() <= 253 && text.split('.').all(label) && !numeric {
            Ok(Self(Host::Name(text.to_ascii_lowercase())))
        } else {
            Err(BrokerHostError(text.chars().take(80).collect()))
        }
    }
}

impl BrokerHost {
    /// What no camera finds: a name of mDNS.
    pub(crate) fn is_mdns_name(&self) -> bool {
        matches!(&self.0, Host::Name(name) if teiten_agent::config::is_mdns_name(name))
    }
}

/// As a settings file has it: an IPv6 address in square brackets.
impl fmt::Display for BrokerHost {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.0 {
            Host::Name(name) => f.write_str(name),
            Host::Address(IpAddr::V4(address)) => address.fmt(f),
            Host::Address(IpAddr::V6(address)) => write!(f, "[{address}]"),
        }
    }
}

/// The owner's certificate authority.
pub struct Authority {
    issuer: Issuer<'static, KeyPair>,
}

impl Authority {
    /// A new authority with a new key. What [`Identity`] holds is all of it.
    pub fn create(now: Timestamp) -> Result<Identity, rcgen::Error> {
        let key = KeyPair::generate()?;
        let mut params = authority(now);
        params.serial_number = Some(serial());
        let certificate = params.self_signed(&key)?.pem();
        Ok(Identity { certificate, key: key.serialize_pem() })
    }

    /// The authority whose private key is `key` (PEM).
    pub fn from_key(key: &str) -> Result<Self, rcgen::Error> {
        // Only its name and key go into what it signs, so its own certificate need not be read.
        Ok(Self { issuer: Issuer::new(authority(Timestamp::Y2020), KeyPair::from_pem(key)?) })
    }

    /// The broker's server certificate, good for each of `hosts`.
    pub fn broker(&self, hosts: &[BrokerHost], now: Timestamp) -> Result<Identity, rcgen::Error> {
        let mut params = leaf("broker.teiten", ExtendedKeyUsagePurpose::ServerAuth, now);
        for host in hosts {
            params.subject_alt_names.push(match &host.0 {
                Host::Name(name) => SanType::DnsName(name.as_str().try_into()?),
                Host::Address(address) => SanType::IpAddress(*address),
            });
        }
        self.sign(params)
    }

    /// The bridge's client certificate.
    pub fn bridge(&self, now: Timestamp) -> Result<Identity, rcgen::Error> {
        self.client(BRIDGE, now)
    }

    /// The client certificate of the owner's own tools.
    pub fn owner(&self, now: Timestamp) -> Result<Identity, rcgen::Error> {
        self.client(OWNER, now)
    }

    /// A camera's client certificate: its common name is the camera's.
    pub fn camera(&self, camera: &CameraId, now: Timestamp) -> Result<Identity, rcgen::Error> {
        self.client(camera.as_str(), now)
    }

    /// The certificate that signs updates: good for code alone, as those of cameras are good for the broker alone.
    pub fn updates(&self, now: Timestamp) -> Result<Identity, rcgen::Error> {
        self.sign(leaf("updates.teiten", ExtendedKeyUsagePurpose::CodeSigning, now))
    }

    /// The list of revoked certificates (PEM), for the broker. It has no end, since Mosquitto refuses everybody with one that
    /// has ended; and it begins in 2020, as certificates do, a second later for each that is on it: of two the younger counts.
    pub(crate) fn revoked(&self, given: &Given) -> Result<String, rcgen::Error> {
        let revoked = given.revoked().map(|(serial, since)| RevokedCertParams {
            serial_number: SerialNumber::from_slice(serial.bytes()),
            revocation_time: date_time_ymd(1970, 1, 1) + since_1970(since),
            reason_code: Some(RevocationReason::KeyCompromise),
            invalidity_date: None,
        });
        let revoked_certs: Vec<_> = revoked.collect();
        let number = revoked_certs.len() as u64;
        let list = CertificateRevocationListParams {
            this_update: date_time_ymd(2020, 1, 1) + Duration::from_secs(number),
            next_update: date_time_ymd(9999, 12, 31),
            crl_number: SerialNumber::from(number),
            issuing_distribution_point: None,
            revoked_certs,
            key_identifier_method: KeyIdMethod::Sha256,
        };
        list.signed_by(&self.issuer)?.pem()
    }

    fn client(&self, name: &str, now: Timestamp) -> Result<Identity, rcgen::Error> {
        let mut params = leaf(name, ExtendedKeyUsagePurpose::ClientAuth, now);
        params.subject_alt_names.push(SanType::DnsName(name.try_into()?));
        self.sign(params)
    }

    fn sign(&self, params: CertificateParams) -> Result<Identity, rcgen::Error> {
        let key = KeyPair::generate()?;
        let certificate = params.signed_by(&key, &self.issuer)?.pem();
        Ok(Identity { certificate, key: key.serialize_pem() })
    }
}

fn authority(now: Timestamp) -> CertificateParams {
    let mut params = named(AUTHORITY, AUTHORITY_LIFETIME, now);
    params.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
    params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
    params
}

fn leaf(name: &str, usage: ExtendedKeyUsagePurpose, now: Timestamp) -> CertificateParams {
    let mut params = named(name, LIFETIME, now);
    params.is_ca = IsCa::ExplicitNoCa;
    params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
    params.extended_key_usages = vec![usage];
    params.use_authority_key_identifier_extension = true;
    params.serial_number = Some(serial());
    params
}

fn named(name: &str, lifetime: Duration, now: Timestamp) -> CertificateParams {
    let mut params = CertificateParams::default();
    params.distinguished_name.remove(DnType::CommonName);
    params.distinguished_name.push(DnType::CommonName, name);
    params.not_before = date_time_ymd(2020, 1, 1);
    params.not_after = date_time_ymd(1970, 1, 1) + since_1970(now) + lifetime;
    params
}

/// In whole seconds.
fn since_1970(time: Timestamp) -> Duration {
    Duration::from_secs(time.unix_micros() / 1_000_000)
}

/// Whether it is time to make a certificate of ours (PEM) anew. What is none of ours is left alone.
pub(crate) fn ends_soon(certificate: &str, now: Timestamp) -> bool {
    end(certificate).is_some_and(|end| end < now + RENEWED_BEFORE_ITS_END)
}

/// When a certificate ends: what follows its beginning, which is the same in all of ours (RFC 5280 §4.1.2.5: up to 2049
/// a UTCTime, later a GeneralizedTime).
fn end(certificate: &str) -> Option<Timestamp> {
    const BEGINNING: &[u8] = b"\x17\x0D200101000000Z";
    let der = CertificateDer::from_pem_slice(certificate.as_bytes()).ok()?;
    let at = der.windows(BEGINNING.len()).position(|bytes| bytes == BEGINNING)? + BEGINNING.len();
    let (century, digits) = match der.get(at..)? {
        [0x17, 13, utc_time @ ..] => ("20", utc_time.get(..12)?),
        [0x18, 15, generalized_time @ ..] => ("", generalized_time.get(..14)?),
        _ => return None,
    };
    let digits = format!("{century}{}", str::from_utf8(digits).ok()?);
    let (date, time) = digits.split_at_checked(8)?;
    let [year, month, day] = [date.get(..4)?, date.get(4..6)?, date.get(6..)?];
    let [hour, minute, second] = [time.get(..2)?, time.get(2..4)?, time.get(4..)?];
    Timestamp::from_rfc3339(&format!("{year}-{month}-{day}T{hour}:{minute}:{second}Z"))
}

/// The serial number of a certificate (PEM): what follows its version (RFC 5280 §4.1).
pub(crate) fn serial_of(certificate: &str) -> Option<Serial> {
    const VERSION_3: &[u8] = b"\xA0\x03\x02\x01\x02";
    let der = CertificateDer::from_pem_slice(certificate.as_bytes()).ok()?;
    let at = der.windows(VERSION_3.len()).position(|bytes| bytes == VERSION_3)? + VERSION_3.len();
    let [0x02, length, number @ ..] = der.get(at..)? else { return None };
    number.get(..usize::from(*length)).map(Serial::new)
}

/// Positive, at most 20 octets and unforeseeable (RFC 5280 §4.1.2.2).
fn serial() -> SerialNumber {
    let mut bytes: [u8; 16] = rand::random();
    bytes[0] = bytes[0] & 0x7F | 0x40;
    SerialNumber::from(bytes.to_vec())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_broker_is_a_name_or_an_address() {
        for (given, shown) in [
            ("192.168.1.10", "192.168.1.10"),
            ("MQTT.home", "mqtt.home"),
            ("broker", "broker"),
            ("fd00::1", "[fd00::1]"),
            ("[fd00::1]", "[fd00::1]"),
        ] {
            assert_eq!(given.parse::<BrokerHost>().map(|host| host.to_string()), Ok(shown.to_owned()));
        }
        for wrong in
            ["", "a b", "host:8883", "192.168.1.300", "192.168.1", "-a", "a..b", "mqtt://a", "*.home"]
        {
            assert!(wrong.parse::<BrokerHost>().is_err(), "{wrong:?}");
        }
    }

    #[test]
    fn debug_output_has_no_private_key() {
        let identity = Authority::create(Timestamp::Y2020).unwrap();
        assert!(identity.key.contains("PRIVATE KEY") && !format!("{identity:?}").contains("PRIVATE KEY"));
    }
}
