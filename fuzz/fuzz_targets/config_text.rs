//! See `nuncio_testkit::fuzz::config_text`.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| nuncio_testkit::fuzz::config_text(data));
