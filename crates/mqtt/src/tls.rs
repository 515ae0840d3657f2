//! From PEM files (RFC 7468) to a TLS transport. The certificate authority is the owner's own, never the
//! system's: a camera talks to one broker, and to nobody who can merely show some public certificate.

use std::{
    fmt,
    path::{Path, PathBuf},
    sync::Arc,
};

use rumqttc::{TlsConfiguration, Transport};
use rustls::{
    ClientConfig, RootCertStore,
    crypto::ring,
    pki_types::{CertificateDer, PrivateKeyDer, pem, pem::PemObject},
};

/// What TLS needs of the file system.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TlsFiles {
    /// The certificate authority that has signed the broker's certificate.
    pub ca: PathBuf,
    /// What the broker knows this client by, if it asks for it.
    pub identity: Option<Identity>,
}

/// A client's certificate chain and its private key.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Identity {
    /// The certificate, and those between it and the authority.
    pub certificate: PathBuf,
    /// Its private key (PKCS#8, SEC 1 or PKCS#1).
    pub key: PathBuf,
}

/// Why TLS cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum TlsError {
    /// A file is missing, unreadable or no PEM.
    #[error("{}: no {what} can be read from it ({why})", path.display())]
    File {
        /// The file.
        path: PathBuf,
        /// What it should hold.
        what: &'static str,
        /// What was found instead.
        why: pem::Error,
    },
    /// A file has PEM in it, but not what is asked for.
    #[error("{}: there is no {what} in it", path.display())]
    Empty {
        /// The file.
        path: PathBuf,
        /// What it should hold.
        what: &'static str,
    },
    /// The authority's certificate is none.
    #[error("{}: not a usable certificate authority ({why})", path.display())]
    Authority {
        /// The file.
        path: PathBuf,
        /// What is wrong.
        why: rustls::Error,
    },
    /// Certificate and key are no pair, or of a kind that is not spoken.
    #[error(
        "{} and {} do not belong together or cannot be used ({why}): make them anew",
        identity.certificate.display(), identity.key.display()
    )]
    Identity {
        /// The files.
        identity: Identity,
        /// What is wrong.
        why: rustls::Error,
    },
}

impl Identity {
    /// The common name in the certificate, by which many brokers know a client (Mosquitto's ACL does). `None` if there is
    /// none that can be read.
    pub fn common_name(&self) -> Option<String> {
        /// The type of the attribute (RFC 5280, appendix A.1: id-at-commonName), as it is encoded.
        const COMMON_NAME: [u8; 5] = [6, 3, 0x55, 4, 3];
        let own = certificates(&self.certificate).ok()?.into_iter().next()?;
        // Of a certificate rustls gives no name, but of one that is taken for an authority's.
        let mut store = RootCertStore::empty();
        store.add(own).ok()?;
        let subject = &store.roots.first()?.subject;
        let at = subject.windows(COMMON_NAME.len()).rposition(|window| window == COMMON_NAME)?;
        // Then the kind of text, its length (a name has 64 characters at most), and the text.
        let [_kind, length, text @ ..] = &subject[at + COMMON_NAME.len()..] else { return None };
        String::from_utf8(text.get(..usize::from(*length))?.to_vec()).ok()
    }
}

impl TlsFiles {
    /// Reads the files: a transport to a broker whose certificate the authority has signed.
    ///
    /// # Errors
    /// If a file cannot be read, or holds something else. Whether certificates are valid now is seen when
    /// connecting: a device may learn the time only later.
    pub fn transport(&self) -> Result<Transport, TlsError> {
        // No process-wide provider: whoever else speaks TLS in this process chooses for itself.
        let builder = ClientConfig::builder_with_provider(Arc::new(ring::default_provider()))
            .with_safe_default_protocol_versions()
            .expect("ring offers what TLS 1.2 and 1.3 need")
            .with_root_certificates(authority(&self.ca)?);
        let config = match &self.identity {
            None => builder.with_no_client_auth(),
            Some(identity) => builder
                .with_client_auth_cert(certificates(&identity.certificate)?, key(&identity.key)?)
                .map_err(|why| TlsError::Identity { identity: identity.clone(), why })?,
        };
        Ok(Transport::tls_with_config(TlsConfiguration::Rustls(Arc::new(config))))
    }
}

/// What the log says of it.
impl fmt::Display for TlsFiles {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.identity {
            Some(identity) => write!(f, "TLS as {}", identity.certificate.display()),
            None => f.write_str("TLS without a certificate"),
        }
    }
}

fn authority(path: &Path) -> Result<RootCertStore, TlsError> {
    let mut store = RootCertStore::empty();
    for certificate in certificates(path)? {
        store.add(certificate).map_err(|why| TlsError::Authority { path: path.to_owned(), why })?;
    }
    Ok(store)
}

fn certificates(path: &Path) -> Result<Vec<CertificateDer<'static>>, TlsError> {
    let what = "certificate";
    let unreadable = |why| TlsError::File { path: path.to_owned(), what, why };
    let certificates: Vec<_> = CertificateDer::pem_file_iter(path)
        .map_err(unreadable)?
        .collect::<Result<_, _>>()
        .map_err(unreadable)?;
    if certificates.is_empty() {
        return Err(TlsError::Empty { path: path.to_owned(), what });
    }
    Ok(certificates)
}

fn key(path: &Path) -> Result<PrivateKeyDer<'static>, TlsError> {
    let what = "private key";
    PrivateKeyDer::from_pem_file(path).map_err(|why| match why {
        pem::Error::NoItemsFound => TlsError::Empty { path: path.to_owned(), what },
        why => TlsError::File { path: path.to_owned(), what, why },
    })
}
