//! A real broker that asks for certificates, and clients with right and wrong ones.

// Clippy knows test functions; their helpers are as much of a test.
#![allow(clippy::unwrap_used)]

use std::{fs, path::PathBuf, time::Duration};

use rcgen::{BasicConstraints, CertificateParams, DnType, IsCa, Issuer, KeyPair, date_time_ymd};
use rumqttc::{AsyncClient, Event, MqttOptions, Packet};
use teiten_mqtt::{Explained, Identity, TlsError, TlsFiles};
use teiten_testing::{Mosquitto, tls};
use tempfile::TempDir;
use tokio::time::timeout;

/// An authority of a test's own, in a folder of its own.
struct Authority {
    folder: TempDir,
    issuer: Issuer<'static, KeyPair>,
}

impl Authority {
    fn new() -> Self {
        let key = KeyPair::generate().unwrap();
        let mut params = CertificateParams::new([]).unwrap();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let folder = tempfile::tempdir().unwrap();
        let certificate = params.self_signed(&key).unwrap();
        fs::write(folder.path().join("ca.pem"), certificate.pem()).unwrap();
        Self { folder, issuer: Issuer::new(params, key) }
    }

    fn ca(&self) -> PathBuf {
        self.folder.path().join("ca.pem")
    }

    /// A certificate for `name`, good until the end of `last_year`.
    fn identity(&self, name: &str, last_year: i32) -> Identity {
        let key = KeyPair::generate().unwrap();
        let mut params = CertificateParams::new([name.to_owned()]).unwrap();
        params.distinguished_name.push(DnType::CommonName, name);
        params.not_before = date_time_ymd(2020, 1, 1);
        params.not_after = date_time_ymd(last_year, 12, 31);
        let certificate = params.signed_by(&key, &self.issuer).unwrap();
        let file = |kind| self.folder.path().join(format!("{name}-{last_year}-{kind}.pem"));
        let identity = Identity { certificate: file("certificate"), key: file("key") };
        fs::write(&identity.certificate, certificate.pem()).unwrap();
        fs::write(&identity.key, key.serialize_pem()).unwrap();
        identity
    }
}

/// Mosquitto with TLS, which takes clients with a certificate of `authority` alone.
struct Broker(Mosquitto);

impl Broker {
    fn start(authority: &Authority, own: &Identity) -> Self {
        let certified = tls(&authority.ca(), &own.certificate, &own.key);
        Self(Mosquitto::start(&format!("allow_anonymous true\n{certified}")).unwrap())
    }

    /// What becomes of a connection to `host`: connected, or why not.
    async fn connect(&self, host: &str, tls: &TlsFiles) -> Result<(), String> {
        let mut options = MqttOptions::new("test", host, self.0.port());
        options.set_transport(tls.transport().unwrap());
        let (_client, mut events) = AsyncClient::new(options, 8);
        let outcome = async {
            loop {
                match events.poll().await {
                    Ok(Event::Incoming(Packet::ConnAck(_))) => return Ok(()),
                    Ok(_) => {}
                    Err(error) => return Err(Explained(&error).to_string()),
                }
            }
        };
        timeout(Duration::from_secs(20), outcome).await.expect("an answer by now")
    }
}

#[test]
fn a_certificate_says_whose_it_is() {
    let authority = Authority::new();
    assert_eq!(authority.identity("front-door", 2040).common_name().as_deref(), Some("front-door"));
    let long = "a".repeat(63);
    assert_eq!(authority.identity(&long, 2040).common_name(), Some(long));
    let none = Identity { certificate: authority.folder.path().join("none.pem"), key: PathBuf::new() };
    assert_eq!(none.common_name(), None);
}

#[tokio::test]
async fn a_client_with_a_certificate_of_the_brokers_authority_is_let_in() {
    let authority = Authority::new();
    let broker = Broker::start(&authority, &authority.identity("localhost", 2099));
    let camera = TlsFiles { ca: authority.ca(), identity: Some(authority.identity("front-door", 2099)) };
    assert_eq!(broker.connect("localhost", &camera).await, Ok(()));
}

#[tokio::test]
async fn what_is_wrong_with_a_certificate_is_said_in_words() {
    let (authority, other) = (Authority::new(), Authority::new());
    let broker = Broker::start(&authority, &authority.identity("localhost", 2099));
    let right = TlsFiles { ca: authority.ca(), identity: Some(authority.identity("front-door", 2099)) };
    let nobody = TlsFiles { identity: None, ..right.clone() };
    let stranger = TlsFiles { identity: Some(other.identity("front-door", 2099)), ..right.clone() };
    let expired = TlsFiles { identity: Some(authority.identity("front-door", 2021)), ..right.clone() };
    let misled = TlsFiles { ca: other.ca(), ..right.clone() };
    for (host, tls, expected) in [
        ("localhost", &misled, "from another authority than the one in `ca`"),
        ("127.0.0.1", &right, "for another name: call the broker by a name that is in it"),
        ("localhost", &nobody, "asks for a client certificate: set certificate and key"),
        ("localhost", &stranger, "refuses this client's certificate: it is from another authority"),
        ("localhost", &expired, "this client's certificate has expired: renew it"),
    ] {
        let said = broker.connect(host, tls).await.unwrap_err();
        assert!(said.contains(expected), "{said}");
    }
}

#[tokio::test]
async fn a_broker_whose_certificate_has_expired_is_not_trusted() {
    let authority = Authority::new();
    let broker = Broker::start(&authority, &authority.identity("localhost", 2021));
    let camera = TlsFiles { ca: authority.ca(), identity: Some(authority.identity("front-door", 2099)) };
    let said = broker.connect("localhost", &camera).await.unwrap_err();
    assert!(said.contains("has expired (or this clock is ahead): renew it"), "{said}");
}

#[test]
fn a_file_that_is_missing_or_holds_something_else_is_named() {
    let authority = Authority::new();
    let right = TlsFiles { ca: authority.ca(), identity: Some(authority.identity("front-door", 2099)) };
    let [certificate, key] = {
        let Identity { certificate, key } = right.identity.clone().unwrap();
        [certificate, key]
    };
    let missing = authority.folder.path().join("missing.pem");
    let error = TlsFiles { ca: missing.clone(), identity: None }.transport().err().unwrap();
    assert!(matches!(&error, TlsError::File { path, .. } if *path == missing), "{error}");
    let error = TlsFiles { ca: key, identity: None }.transport().err().unwrap();
    assert!(error.to_string().ends_with("there is no certificate in it"), "{error}");
    let keyless = Identity { key: certificate.clone(), certificate: certificate.clone() };
    let error = TlsFiles { identity: Some(keyless), ..right.clone() }.transport().err().unwrap();
    assert!(error.to_string().ends_with("there is no private key in it"), "{error}");
    let swapped = Identity { certificate, key: authority.identity("other", 2099).key };
    let error = TlsFiles { identity: Some(swapped), ..right }.transport().err().unwrap();
    assert!(matches!(error, TlsError::Identity { .. }), "{error}");
}
