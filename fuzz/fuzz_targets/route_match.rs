//! See `nuncio_testkit::fuzz::route_match`.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| nuncio_testkit::fuzz::route_match(data));
