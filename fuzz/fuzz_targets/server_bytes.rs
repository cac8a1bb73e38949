//! See `nuncio_testkit::fuzz::server_bytes`.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| nuncio_testkit::fuzz::server_bytes(data));
