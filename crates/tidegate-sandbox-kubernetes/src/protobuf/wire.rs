//! The protobuf wire format: tags, varints, lengths. Nothing of Kubernetes here.

/// Why bytes are no message; the words are those of Go's decoder.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub(super) enum Wrong {
    #[error("unexpected EOF")]
    Short,
    #[error("proto: integer overflow")]
    Overflow,
    #[error("proto: illegal tag {0}")]
    Tag(u64),
    #[error("proto: illegal wireType {0}")]
    WireType(u64),
    #[error("proto: wrong wireType for a field")]
    Mismatch,
    #[error("proto: string is not valid UTF-8")]
    Text,
    #[error("proto: the message is nested too deeply")]
    Depth,
    #[error("proto: the message stands for too many values")]
    Size,
    #[error("proto: embedded JSON cannot be read")]
    Json,
}

/// One field's value, not yet interpreted.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Wire<'a> {
    Varint(u64),
    Fixed64(u64),
    Fixed32(u32),
    Bytes(&'a [u8]),
}

impl<'a> Wire<'a> {
    pub(super) fn bytes(self) -> Result<&'a [u8], Wrong> {
        match self {
            Self::Bytes(bytes) => Ok(bytes),
            _ => Err(Wrong::Mismatch),
        }
    }

    pub(super) fn text(self) -> Result<&'a str, Wrong> {
        std::str::from_utf8(self.bytes()?).map_err(|_| Wrong::Text)
    }

    pub(super) fn varint(self) -> Result<u64, Wrong> {
        match self {
            Self::Varint(number) => Ok(number),
            _ => Err(Wrong::Mismatch),
        }
    }

    /// A signed number: negative ones are ten bytes long.
    pub(super) fn signed(self) -> Result<i64, Wrong> {
        self.varint().map(u64::cast_signed)
    }

    /// The low half, as Go truncates it.
    pub(super) fn signed32(self) -> Result<i32, Wrong> {
        #[expect(
            clippy::cast_possible_truncation,
            reason = "the low half is what is meant"
        )]
        self.signed().map(|number| number as i32)
    }

    pub(super) fn double(self) -> Result<f64, Wrong> {
        match self {
            Self::Fixed64(bits) => Ok(f64::from_bits(bits)),
            _ => Err(Wrong::Mismatch),
        }
    }
}

/// Walks the fields of a message.
#[derive(Clone, Debug)]
pub(super) struct Reader<'a> {
    rest: &'a [u8],
}

impl<'a> Reader<'a> {
    pub(super) fn new(bytes: &'a [u8]) -> Self {
        Self { rest: bytes }
    }

    /// The next field's number and value.
    pub(super) fn next(&mut self) -> Result<Option<(u32, Wire<'a>)>, Wrong> {
        if self.rest.is_empty() {
            return Ok(None);
        }
        let tag = self.varint()?;
        let number = u32::try_from(tag >> 3).map_err(|_| Wrong::Tag(tag >> 3))?;
        if number == 0 {
            return Err(Wrong::Tag(0));
        }
        let value = match tag & 7 {
            0 => Wire::Varint(self.varint()?),
            1 => Wire::Fixed64(u64::from_le_bytes(self.array()?)),
            2 => {
                let length = usize::try_from(self.varint()?).map_err(|_| Wrong::Short)?;
                Wire::Bytes(self.take(length)?)
            }
            5 => Wire::Fixed32(u32::from_le_bytes(self.array()?)),
            // Groups were never used by Kubernetes.
            other => return Err(Wrong::WireType(other)),
        };
        Ok(Some((number, value)))
    }

    /// A plain number of a packed list.
    pub(super) fn packed(&mut self) -> Result<Option<Wire<'a>>, Wrong> {
        if self.rest.is_empty() {
            Ok(None)
        } else {
            Ok(Some(Wire::Varint(self.varint()?)))
        }
    }

    fn take(&mut self, length: usize) -> Result<&'a [u8], Wrong> {
        let (head, rest) = self.rest.split_at_checked(length).ok_or(Wrong::Short)?;
        self.rest = rest;
        Ok(head)
    }

    fn array<const N: usize>(&mut self) -> Result<[u8; N], Wrong> {
        let (head, rest) = self.rest.split_first_chunk::<N>().ok_or(Wrong::Short)?;
        self.rest = rest;
        Ok(*head)
    }

    fn varint(&mut self) -> Result<u64, Wrong> {
        let mut number = 0_u64;
        for shift in (0..64).step_by(7) {
            let (byte, rest) = self.rest.split_first().ok_or(Wrong::Short)?;
            self.rest = rest;
            let bits = u64::from(byte & 0x7f);
            if shift == 63 && bits > 1 {
                return Err(Wrong::Overflow);
            }
            number |= bits << shift;
            if byte & 0x80 == 0 {
                return Ok(number);
            }
        }
        Err(Wrong::Overflow)
    }
}
