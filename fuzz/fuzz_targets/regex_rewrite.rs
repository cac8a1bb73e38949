//! See `nuncio_proxy::fuzz::regex_rewrite`.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| nuncio_proxy::fuzz::regex_rewrite(data));
