//! From byte offsets to lines and columns.

/// Where the lines of a text begin. Columns count characters, so the offsets of all bytes that
/// continue a character are kept too; ordinary configuration has none.
#[derive(Debug, Default)]
pub(crate) struct Lines {
    starts: Vec<u32>,
    continuations: Vec<u32>,
}

impl Lines {
    pub(crate) fn of(text: &str) -> Self {
        let mut lines = Lines { starts: vec![0], continuations: Vec::new() };
        for (at, byte) in (0u32..).zip(text.bytes()) {
            if byte == b'\n' {
                lines.starts.push(at + 1);
            } else if byte & 0xc0 == 0x80 {
                lines.continuations.push(at);
            }
        }
        lines
    }

    /// Line and column of an offset, both from 1.
    pub(crate) fn position(&self, at: u32) -> (u32, u32) {
        let line = self.starts.partition_point(|start| *start <= at);
        let start = line.checked_sub(1).and_then(|line| self.starts.get(line)).copied();
        let start = start.unwrap_or_default();
        let before = |at: u32| self.continuations.partition_point(|byte| *byte < at);
        let skipped = u32::try_from(before(at) - before(start)).unwrap_or_default();
        (u32::try_from(line).unwrap_or(u32::MAX), at - start - skipped + 1)
    }
}
