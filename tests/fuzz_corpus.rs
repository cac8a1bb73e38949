//! The corpora under `fuzz/corpus`, replayed through the bodies of the fuzz targets, and a few
//! thousand inputs made from them by a seeded generator.
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a broken expectation must fail the test")]

use std::{fs, path::Path};

use nuncio_testkit::fuzz;

/// The inputs of one target, with their names.
fn corpus(target: &str) -> Vec<(String, Vec<u8>)> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("fuzz/corpus").join(target);
    let mut inputs: Vec<_> = fs::read_dir(&folder)
        .unwrap_or_else(|error| panic!("{}: {error}", folder.display()))
        .map(|entry| entry.unwrap().path())
        .map(|path| (path.display().to_string(), fs::read(&path).unwrap()))
        .collect();
    inputs.sort();
    assert!(!inputs.is_empty(), "{} is empty", folder.display());
    inputs
}

/// Runs `body`, naming the input when it panics.
fn replay(name: &str, input: &[u8], body: impl Fn(&[u8]) + std::panic::RefUnwindSafe) {
    if let Err(panic) = std::panic::catch_unwind(|| body(input)) {
        eprintln!("the input was {name}: {:?}", String::from_utf8_lossy(input));
        std::panic::resume_unwind(panic);
    }
}

/// A small generator whose numbers are the same in every run (xorshift).
struct Numbers(u64);

impl Numbers {
    fn next(&mut self) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0
    }

    fn below(&mut self, bound: usize) -> usize {
        usize::try_from(self.next() % u64::try_from(bound.max(1)).unwrap()).unwrap()
    }

    /// `input` with a few bytes changed, removed, repeated or taken from `other`.
    fn mutate(&mut self, input: &[u8], other: &[u8]) -> Vec<u8> {
        let mut out = input.to_vec();
        for _ in 0..=self.below(3) {
            let at = self.below(out.len());
            match self.below(5) {
                0 if at < out.len() => out[at] = self.next().to_le_bytes()[0],
                1 if at < out.len() => drop(out.remove(at)),
                2 => out.truncate(at),
                3 => {
                    let end = (at + self.below(20)).min(out.len());
                    let part = out[at..end].to_vec();
                    out.splice(at..at, part);
                }
                _ => {
                    let start = self.below(other.len());
                    let end = (start + self.below(40)).min(other.len());
                    out.splice(at..at, other[start..end].to_vec());
                }
            }
        }
        out
    }
}

/// Replays the corpus of a target, then `more` inputs made from it.
fn replay_all(target: &str, more: usize, body: fn(&[u8])) {
    let corpus = corpus(target);
    for (name, input) in &corpus {
        replay(name, input, body);
    }
    let mut numbers = Numbers(0x9e37_79b9_7f4a_7c15);
    for round in 0..more {
        let (name, input) = &corpus[numbers.below(corpus.len())];
        let (_, other) = &corpus[numbers.below(corpus.len())];
        let mutated = numbers.mutate(input, other);
        replay(&format!("round {round} from {name}"), &mutated, body);
    }
}

#[test]
fn request_bytes_are_read_to_their_end() {
    replay_all("h1_request", 20_000, |data| {
        nuncio_http::h1::fuzz_request_bytes(data);
    });
}

#[test]
fn any_text_is_accepted_or_refused_with_a_place() {
    replay_all("config_text", 1_000, fuzz::config_text);
}

#[test]
fn the_route_index_finds_what_a_scan_finds() {
    replay_all("route_match", 0, fuzz::route_match);
    let mut numbers = Numbers(42);
    for round in 0..20_000 {
        let input: Vec<u8> = (0..numbers.below(160)).map(|_| numbers.next().to_le_bytes()[0]).collect();
        replay(&format!("round {round}"), &input, fuzz::route_match);
    }
}

#[test]
fn a_server_answers_any_bytes_in_order_or_closes() {
    replay_all("server_bytes", 150, fuzz::server_bytes);
}

#[test]
fn any_format_prints_the_same_twice_and_json_is_json() {
    replay_all("format", 5_000, nuncio_proxy::fuzz::format);
}

#[test]
fn any_substitution_does_what_the_engine_makes_of_it() {
    replay_all("regex_rewrite", 1_000, nuncio_proxy::fuzz::regex_rewrite);
}
