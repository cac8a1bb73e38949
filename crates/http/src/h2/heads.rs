//! Heads that came in on a downstream connection and that h2 has not handed up yet.
//!
//! h2 resets a malformed request by itself, or ends the connection, and tells nobody; Envoy counts
//! and logs such a request. So each head is noted when it arrives, taken off when it is accepted,
//! and what is left when h2 refuses is what was refused. Its block is kept that long, to say why.
//!
//! Limits: [`MOST_KEPT`] bytes of blocks; beyond, the reason is told less exactly. Heads wait
//! here within one turn of h2, so there are as many as one read brings, or `max_concurrent_streams`.

use std::collections::VecDeque;

use super::{
    block::{self, Verdict},
    scan::{self, FrameHead},
};

const MOST_KEPT: usize = 32 * 1024;

/// See the module.
#[derive(Debug, Default)]
pub(super) struct Heads {
    waiting: VecDeque<Head>,
    blocks: Vec<u8>,
    /// The block under way is that of trailers, and starts here.
    trailers: Option<usize>,
    /// Streams that h2 reset while they waited, and why: refused unless still handed up.
    refused: Vec<(u32, Verdict)>,
}

#[derive(Clone, Copy, Debug)]
struct Head {
    stream: u32,
    ended: bool,
    start: usize,
    end: usize,
    complete: bool,
}

impl Heads {
    /// A HEADERS frame; `opens` says that it is a new stream's.
    pub(super) fn headers(&mut self, frame: &FrameHead, opens: bool) {
        let start = self.blocks.len();
        if opens {
            let ended = frame.flags & scan::END_STREAM_OR_ACK != 0;
            self.waiting.push_back(Head { stream: frame.stream, ended, start, end: start, complete: false });
        }
        self.trailers = (!opens).then_some(start);
    }

    /// Bytes of the block under way.
    pub(super) fn block(&mut self, bytes: &[u8]) {
        if self.blocks.len() + bytes.len() > MOST_KEPT {
            return;
        }
        match (self.trailers, self.waiting.back_mut()) {
            (Some(_), _) => self.blocks.extend_from_slice(bytes),
            (None, Some(head)) => {
                self.blocks.extend_from_slice(bytes);
                head.end = self.blocks.len();
            }
            (None, None) => {}
        }
    }

    /// The block is complete. `true` says that it is one of trailers with a pseudo header.
    pub(super) fn block_ended(&mut self) -> bool {
        let Some(start) = self.trailers.take() else {
            if let Some(head) = self.waiting.back_mut() {
                head.complete = true;
            }
            return false;
        };
        let found = self.blocks.get(start..).is_some_and(block::has_pseudo_header);
        self.blocks.truncate(start);
        found
    }

    /// Stream `stream` was handed up, and with it all before it that ever will be.
    pub(super) fn accepted(&mut self, stream: u32) {
        while self.waiting.front().is_some_and(|head| head.stream <= stream) {
            self.waiting.pop_front();
        }
        self.refused.retain(|(refused, _)| *refused != stream);
        self.compact();
    }

    /// h2 reset a stream, `malformed` for breaking the protocol.
    pub(super) fn reset(&mut self, stream: u32, malformed: bool) {
        let Some(at) = self.waiting.iter().position(|head| head.stream == stream) else { return };
        let Some(head) = self.waiting.remove(at) else { return };
        if malformed {
            let verdict = self.bytes(&head).map_or(Verdict::Field, |bytes| block::inspect(bytes, head.ended));
            self.refused.push((stream, verdict));
        }
        self.compact();
    }

    /// The last head turned out too large to be read at all: nothing was opened by it.
    pub(super) fn forget_last(&mut self) {
        self.waiting.pop_back();
    }

    /// What h2 refused, once it has handed up all that it will.
    pub(super) fn take_refused(&mut self) -> impl Iterator<Item = Verdict> {
        std::mem::take(&mut self.refused).into_iter().map(|(_, verdict)| verdict)
    }

    /// The connection is over: what the heads still waiting suffered from. Only the last one can
    /// have been at fault; `None` for the others, or for a fault elsewhere.
    pub(super) fn rest(&mut self) -> impl Iterator<Item = Option<Verdict>> {
        let last = self.last_fault();
        let count = self.waiting.len();
        self.waiting.clear();
        self.compact();
        (1..=count).map(move |at| last.filter(|_| at == count))
    }

    /// Whether the last head cannot be decompressed.
    pub(super) fn is_broken(&self) -> bool {
        self.last_fault() == Some(Verdict::Broken)
    }

    fn last_fault(&self) -> Option<Verdict> {
        let head = self.waiting.back().filter(|head| head.complete)?;
        block::ends_connection(self.bytes(head)?)
    }

    fn bytes(&self, head: &Head) -> Option<&[u8]> {
        self.blocks.get(head.start..head.end).filter(|bytes| !bytes.is_empty())
    }

    fn compact(&mut self) {
        if self.trailers.is_some() {
            return;
        }
        match self.waiting.front() {
            None => self.blocks.clear(),
            Some(first) if first.start > MOST_KEPT / 4 => {
                let gone = first.start;
                self.blocks.drain(..gone);
                for head in &mut self.waiting {
                    head.start -= gone;
                    head.end -= gone;
                }
            }
            Some(_) => {}
        }
    }
}
