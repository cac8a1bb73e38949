//! The vocabulary that every part of the proxy shares: message heads, headers, frames, response
//! flags and failures. It owns plain data and contracts; it knows no codec, no socket and no
//! config text.

pub mod drain;
pub mod flags;
pub mod headers;
pub mod message;
pub mod names;
pub mod runtime;
pub mod spelling;
pub mod text;
pub mod timer;

pub use drain::{Drain, DrainStrategy};
pub use flags::{ResponseFlag, ResponseFlags};
pub use headers::Headers;
pub use http::{HeaderName, HeaderValue, Method, StatusCode};
pub use message::{Frame, Protocol, RequestHead, ResponseHead, Scheme};
pub use runtime::{Runtime, RuntimeLayer, RuntimeSnapshot, RuntimeSource, RuntimeValue};
pub use spelling::Spelling;
pub use text::Text;
pub use timer::{Timer, Timers};
