//! What the kernel knows about this process.

use std::fs;

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

/// Memory in bytes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Memory {
    /// Resident pages that belong to this process alone: heap, stacks, tables.
    pub(crate) allocated: u64,
    /// Resident pages: what the allocator holds cannot be told from outside.
    pub(crate) heap: u64,
    /// All resident pages, the program's own text included.
    pub(crate) resident: u64,
}

/// Reads `/proc/self/statm`; zero where there is none.
pub(crate) fn memory() -> Memory {
    let text = fs::read_to_string("/proc/self/statm").unwrap_or_default();
    let page = rustix::param::page_size() as u64;
    let pages: Vec<u64> = text.split_whitespace().filter_map(|word| word.parse().ok()).collect();
    let field = |at: usize| pages.get(at).copied().unwrap_or(0) * page;
    Memory { allocated: field(1).saturating_sub(field(2)), heap: field(1), resident: field(1) }
}

/// `--enable-core-dump`: raises the limit as far as it goes.
pub(crate) fn enable_core_dumps() {
    let limit = getrlimit(Resource::Core);
    if setrlimit(Resource::Core, Rlimit { current: limit.maximum, maximum: limit.maximum }).is_err() {
        tracing::warn!("core dumps cannot be enabled");
    }
}

/// Raises the limit on descriptors as far as it goes without privileges: two per request run out
/// of the usual 1024 soon.
pub(crate) fn raise_descriptor_limit() {
    let limit = getrlimit(Resource::Nofile);
    if limit.current != limit.maximum {
        // A refusal leaves the limit that was there.
        let _ = setrlimit(Resource::Nofile, Rlimit { current: limit.maximum, maximum: limit.maximum });
    }
}

#[cfg(test)]
mod tests {
    #[test]
    fn a_process_has_memory() {
        let memory = super::memory();
        assert!(memory.resident >= memory.allocated && memory.allocated > 0);
    }
}
