//! A batch of JPEGs in, one CMAF segment out.
