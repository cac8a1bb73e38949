//! HTTP/2, both directions, over the h2 crate.
