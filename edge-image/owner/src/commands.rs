//! What the program does when it is told to: each command with its arguments.

mod add;
mod ask;
mod bundle;
mod flash;
mod revoke;
mod update;

use std::path::Path;

pub use add::{Add, add};
pub use bundle::{Bundle, bundle};
pub use flash::{Flash, flash};
pub use revoke::{Revoke, revoke};
pub use update::{Update, update};

fn tell_renewed(folder: &Path) {
    println!("{} has a new certificate, as the one of before ends soon:", folder.display());
    println!("who has a copy of its files needs these.");
}
