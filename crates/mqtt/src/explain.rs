//! What a failed connection means, and what to do about it.

use std::{error::Error, fmt, io};

use rumqttc::{ConnectReturnCode, ConnectionError};
use rustls::{AlertDescription, CertificateError};

/// A connection's failure as a person should read it: the cause, and a remedy where there is a usual one.
#[derive(Debug)]
pub struct Explained<'a>(pub &'a ConnectionError);

impl fmt::Display for Explained<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match remedy(self.0) {
            Some(remedy) => write!(f, "{}: {remedy}", self.0),
            None => self.0.fmt(f),
        }
    }
}

fn remedy(error: &ConnectionError) -> Option<&'static str> {
    if let ConnectionError::ConnectionRefused(code) = error {
        return match code {
            ConnectReturnCode::NotAuthorized | ConnectReturnCode::BadUserNamePassword => {
                Some("the broker knows no such client, give it a certificate that the broker accepts")
            }
            ConnectReturnCode::ServiceUnavailable => Some("the broker is not ready"),
            _ => None,
        };
    }
    let mut cause: Option<&(dyn Error + 'static)> = Some(error);
    while let Some(error) = cause {
        if let Some(error) = error.downcast_ref() {
            return tls_remedy(error);
        }
        // What rustls says travels inside of an I/O error, which does not show it as its source.
        cause = match error.downcast_ref::<io::Error>() {
            Some(io) => io.get_ref().map(|inner| inner as &(dyn Error + 'static)),
            None => error.source(),
        };
    }
    None
}

fn tls_remedy(error: &rustls::Error) -> Option<&'static str> {
    use AlertDescription as Alert;
    match error {
        rustls::Error::InvalidCertificate(error) => match error {
            CertificateError::UnknownIssuer | CertificateError::BadSignature => {
                Some("the broker's certificate is from another authority than the one in `ca`")
            }
            CertificateError::NotValidForName | CertificateError::NotValidForNameContext { .. } => {
                Some("the broker's certificate is for another name: call the broker by a name that is in it")
            }
            CertificateError::Expired | CertificateError::ExpiredContext { .. } => {
                Some("the broker's certificate has expired (or this clock is ahead): renew it")
            }
            CertificateError::NotValidYet | CertificateError::NotValidYetContext { .. } => {
                Some("the broker's certificate is not valid yet: this clock is behind")
            }
            _ => None,
        },
        rustls::Error::AlertReceived(alert) => match alert {
            Alert::CertificateRequired | Alert::HandshakeFailure => {
                Some("the broker asks for a client certificate: set certificate and key")
            }
            Alert::UnknownCA | Alert::BadCertificate | Alert::CertificateUnknown | Alert::DecryptError => {
                Some("the broker refuses this client's certificate: it is from another authority")
            }
            Alert::CertificateExpired => Some("this client's certificate has expired: renew it"),
            Alert::CertificateRevoked => Some("this client's certificate was revoked: make a new one"),
            _ => None,
        },
        rustls::Error::InvalidMessage(_) => {
            Some("this does not sound like TLS: is it the broker's TLS port?")
        }
        _ => None,
    }
}
