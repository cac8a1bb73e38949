//! Reads records out of the tables that `build/layout.rs` wrote; its table of offsets is the
//! reference for every number here and in the parent module.

static TABLES: &[u8] = include_bytes!(concat!(env!("OUT_DIR"), "/schema.bin"));
static NAMES: &str = include_str!(concat!(env!("OUT_DIR"), "/schema.names"));

const HEADER: usize = 11 * 4;

/// The sections in the order of the header.
#[derive(Clone, Copy)]
pub(super) enum Section {
    Messages,
    Fields,
    Oneofs,
    Enums,
    Values,
}

impl Section {
    const fn record_size(self) -> usize {
        match self {
            Section::Messages => 16,
            Section::Fields => 20,
            Section::Oneofs => 8,
            Section::Enums | Section::Values => 12,
        }
    }

    /// Where the header says the section is; its count follows.
    const fn header(self) -> usize {
        4 + self as usize * 8
    }
}

/// How many records a section has.
pub(super) fn count(section: Section) -> u16 {
    u16::try_from(long(section.header() + 4)).unwrap_or(u16::MAX)
}

/// A record's bytes.
pub(super) struct Record(&'static [u8]);

impl Record {
    pub(super) fn of(section: Section, index: u16) -> Record {
        let size = section.record_size();
        let at = long(section.header()) as usize + usize::from(index) * size;
        Record(TABLES.get(at..at + size).unwrap_or_default())
    }

    pub(super) fn long(&self, at: usize) -> u32 {
        read(self.0, at).map_or(0, u32::from_le_bytes)
    }

    pub(super) fn short(&self, at: usize) -> u16 {
        read(self.0, at).map_or(0, u16::from_le_bytes)
    }

    pub(super) fn byte(&self, at: usize) -> u8 {
        self.0.get(at).copied().unwrap_or_default()
    }
}

/// A name by place and length.
pub(super) fn name(at: u32, length: u16) -> &'static str {
    let at = at as usize;
    NAMES.get(at..at + usize::from(length)).unwrap_or_default()
}

/// The rules at a place: a length and that many bytes.
pub(super) fn rules(at: u32) -> &'static [u8] {
    let at = HEADER + at as usize;
    let length = read(TABLES, at).map_or(0, u16::from_le_bytes);
    TABLES.get(at + 2..at + 2 + usize::from(length)).unwrap_or_default()
}

fn long(at: usize) -> u32 {
    read(TABLES, at).map_or(0, u32::from_le_bytes)
}

fn read<const N: usize>(bytes: &[u8], at: usize) -> Option<[u8; N]> {
    bytes.get(at..)?.first_chunk::<N>().copied()
}
