//! Attributes of a key block as a request gives them.

use super::wire::structs;

/// What a group of key block attributes says of a key (host.md 1.4). Each command's group has some of these fields; the others are
/// `None`. The host checks the values.
#[derive(Clone, Copy, PartialEq, Eq, Default)]
pub struct KeyAttributes<'a> {
    /// Key usage, two characters.
    pub usage: Option<[u8; 2]>,
    /// Algorithm and length of a key to be generated: `D1` `T2` `T3` `A1` `A2` `A3`, `H0` for HMAC.
    pub algorithm: Option<[u8; 2]>,
    /// Mode of use, one character.
    pub mode: Option<u8>,
    /// Key version number, two characters.
    pub key_version: Option<[u8; 2]>,
    /// Exportability, one character.
    pub exportability: Option<u8>,
    /// Number of optional blocks.
    pub optional_count: u8,
    /// The optional blocks as they stand in the request.
    pub optional_blocks: &'a [u8],
}

impl core::fmt::Debug for KeyAttributes<'_> {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        let text =
            |bytes: Option<&[u8]>| bytes.map(<[u8]>::escape_ascii).map_or_else(String::new, |text| text.to_string());
        write!(
            f,
            "KeyAttributes {{ {} {} {} {} {}, {} optional blocks }}",
            text(self.usage.as_ref().map(<[u8; 2]>::as_slice)),
            text(self.algorithm.as_ref().map(<[u8; 2]>::as_slice)),
            text(self.mode.as_ref().map(core::slice::from_ref)),
            text(self.key_version.as_ref().map(<[u8; 2]>::as_slice)),
            text(self.exportability.as_ref().map(core::slice::from_ref)),
            self.optional_count
        )
    }
}

structs! { KeyAttributes<'a> { usage, algorithm, mode, key_version, exportability, optional_count, optional_blocks } }

#[cfg(test)]
mod tests {
    use super::super::wire::{Reader, Wire};
    use super::*;

    #[test]
    fn attributes_cross_the_boundary_unchanged() {
        let full = KeyAttributes {
            usage: Some(*b"K0"),
            algorithm: Some(*b"T2"),
            mode: Some(b'N'),
            key_version: Some(*b"00"),
            exportability: Some(b'E'),
            optional_count: 1,
            optional_blocks: b"0005L",
        };
        for attributes in [full, KeyAttributes::default()] {
            let mut bytes = Vec::new();
            attributes.put(&mut bytes);
            let mut reader = Reader::new(&bytes);
            assert_eq!(KeyAttributes::get(&mut reader), Some(attributes));
            assert!(reader.is_empty());
            assert_eq!(KeyAttributes::get(&mut Reader::new(&bytes[..bytes.len() - 1])), None);
        }
    }
}
