//! See `nuncio_http::h1::fuzz_request_bytes`.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| {
    nuncio_http::h1::fuzz_request_bytes(data);
});
