//! See `nuncio_proxy::fuzz::format`.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| nuncio_proxy::fuzz::format(data));
