//! A pure function of playlist, listing and time, behind a compare-and-swap loop.
