//! All of Teiten in one process for one machine.
