//! Teiten in a Kubernetes cluster: `./just deploy`, `./just status`, `./just undeploy`.
//!
//! The cluster is spoken to by `kubectl`, the user's own, as a process. What to do is decided by functions over the JSON that
//! kubectl gives: what the cluster lacks ([`check`]), which secrets are missing ([`secrets`]), what is not ready ([`ready`]),
//! where the outside reaches a part ([`address`]), and the functions (`domain`).

pub mod address;
mod balancer;
mod camera;
mod certificates;
pub mod check;
mod dead_letters;
mod deploy;
mod domain;
mod egress;
mod images;
mod kubectl;
mod monitoring;
mod page;
pub mod ready;
pub mod secrets;
pub mod settings;
mod setup;
mod status;
mod store;
mod trial;
mod undeploy;
mod volume;

pub use deploy::{Deploy, deploy};
pub use kubectl::{Kubectl, KubectlError};
pub use status::status;
pub use undeploy::undeploy;

/// The namespace of everything that is Teiten's.
pub const NAMESPACE: &str = "teiten";
