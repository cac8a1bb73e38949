//! The protobuf wire format: reading fields one by one, writing them, and wrapping what was
//! written in a length without a second buffer.

/// One field occurrence.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Wire<'a> {
    Varint(u64),
    Fixed64(u64),
    Fixed32(u32),
    Bytes(&'a [u8]),
}

/// Walks over the fields of a message. Ends early, with `broken` set, at bytes that are none.
pub(crate) struct Reader<'a> {
    rest: &'a [u8],
    pub(crate) broken: bool,
}

impl<'a> Reader<'a> {
    pub(crate) fn new(bytes: &'a [u8]) -> Self {
        Self { rest: bytes, broken: false }
    }

    fn read(&mut self) -> Option<(u32, Wire<'a>)> {
        let tag = varint(&mut self.rest)?;
        let value = match tag & 7 {
            0 => Wire::Varint(varint(&mut self.rest)?),
            1 => Wire::Fixed64(u64::from_le_bytes(take(&mut self.rest)?)),
            2 => {
                let length = usize::try_from(varint(&mut self.rest)?).ok()?;
                Wire::Bytes(self.rest.split_off(..length)?)
            }
            5 => Wire::Fixed32(u32::from_le_bytes(take(&mut self.rest)?)),
            _ => return None,
        };
        let number = u32::try_from(tag >> 3).ok().filter(|number| *number != 0)?;
        Some((number, value))
    }
}

impl<'a> Iterator for Reader<'a> {
    type Item = (u32, Wire<'a>);

    fn next(&mut self) -> Option<Self::Item> {
        if self.rest.is_empty() || self.broken {
            return None;
        }
        let field = self.read();
        self.broken = field.is_none();
        field
    }
}

fn take<const N: usize>(bytes: &mut &[u8]) -> Option<[u8; N]> {
    bytes.split_off(..N)?.first_chunk::<N>().copied()
}

/// Takes a varint off the front.
pub(crate) fn varint(bytes: &mut &[u8]) -> Option<u64> {
    let mut value = 0u64;
    for shift in (0..64).step_by(7) {
        let byte = *bytes.split_off_first()?;
        value |= u64::from(byte & 0x7f) << shift;
        if byte < 0x80 {
            return Some(value);
        }
    }
    None
}

pub(crate) fn put_varint(out: &mut Vec<u8>, mut value: u64) {
    while value >= 0x80 {
        out.push(value.to_le_bytes()[0] | 0x80);
        value >>= 7;
    }
    out.push(value.to_le_bytes()[0]);
}

/// The wire types a field can be written with.
#[derive(Clone, Copy)]
pub(crate) enum WireType {
    Varint = 0,
    Fixed64 = 1,
    Bytes = 2,
    Fixed32 = 5,
}

pub(crate) fn put_tag(out: &mut Vec<u8>, number: u32, wire: WireType) {
    put_varint(out, u64::from(number) << 3 | wire as u64);
}

pub(crate) fn put_bytes(out: &mut Vec<u8>, number: u32, bytes: &[u8]) {
    put_tag(out, number, WireType::Bytes);
    put_varint(out, bytes.len() as u64);
    out.extend_from_slice(bytes);
}

/// Writes a length-delimited field whose content `write` appends. The length goes in afterwards,
/// by moving the content up a few bytes, which is cheaper than a buffer per message.
pub(crate) fn put_nested<R>(out: &mut Vec<u8>, number: u32, write: impl FnOnce(&mut Vec<u8>) -> R) -> R {
    put_tag(out, number, WireType::Bytes);
    let start = out.len();
    out.push(0);
    let result = write(out);
    let length = out.len() - start - 1;
    if let (Ok(short @ 0..0x80), Some(place)) = (u8::try_from(length), out.get_mut(start)) {
        *place = short;
    } else {
        let mut prefix = Vec::with_capacity(5);
        put_varint(&mut prefix, length as u64);
        out.splice(start..=start, prefix);
    }
    result
}
