//! What the fuzz targets run: any bytes must do, and a broken promise panics. `tests/fuzz_corpus.rs`
//! replays the corpora through the same functions.

mod config_text;
mod route_match;
mod server_bytes;

pub use config_text::config_text;
pub use route_match::route_match;
pub use server_bytes::server_bytes;

/// Decisions drawn from a fuzzer's bytes; zeros when they are used up.
struct Choices<'a> {
    bytes: &'a [u8],
}

impl Choices<'_> {
    /// A number below `bound`.
    fn below(&mut self, bound: usize) -> usize {
        let Some((first, rest)) = self.bytes.split_first() else { return 0 };
        self.bytes = rest;
        usize::from(*first) % bound
    }

    fn flip(&mut self) -> bool {
        self.below(2) == 1
    }

    fn one_of<'b>(&mut self, list: &[&'b str]) -> &'b str {
        list[self.below(list.len())]
    }

    /// Up to `most` pieces of `list`, one after another.
    fn several(&mut self, list: &[&str], most: usize) -> String {
        (0..self.below(most + 1)).map(|_| self.one_of(list)).collect()
    }
}
