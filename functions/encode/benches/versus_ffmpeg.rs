//! Replaced by the comparison.
fn main() {}
