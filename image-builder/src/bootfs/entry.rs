//! Directory entries as they lie on the disk, 32 bytes each. FAT32 specification
//! 1.03, "FAT Directory Structure" and "Long Directory Entries".

/// Bytes of an entry, and the offsets of its fields.
pub(super) const LEN: usize = 32;
const ATTRIBUTES: usize = 11;
const CLUSTER_HIGH: usize = 20;
const CLUSTER_LOW: usize = 26;
const SIZE: usize = 28;

/// The attributes of a directory, a volume label, a piece of a long name.
const DIRECTORY: u8 = 0x10;
const LABEL: u8 = 0x08;
const LONG_NAME: u8 = 0x0f;
const LONG_NAME_MASK: u8 = 0x3f;

/// First byte of an entry: none from here on, deleted.
const END: u8 = 0;
const DELETED: u8 = 0xe5;

/// What 32 bytes of a directory are.
pub(super) enum Slot<'a> {
    /// Neither this nor anything after it is in use.
    End,
    /// An entry that was deleted.
    Free,
    /// An entry.
    Used(Entry<'a>),
}

impl<'a> Slot<'a> {
    /// Looks at [`LEN`] bytes.
    pub(super) fn read(bytes: &'a [u8]) -> Self {
        match bytes[0] {
            END => Self::End,
            DELETED => Self::Free,
            _ => Self::Used(Entry(bytes)),
        }
    }
}

/// An entry in use; its fields may say anything.
#[derive(Clone, Copy)]
pub(super) struct Entry<'a>(&'a [u8]);

impl Entry<'_> {
    /// Whether it is a piece of a long name, or the volume's label: no file.
    pub(super) fn is_about_names(self) -> bool {
        self.is_long_name() || self.0[ATTRIBUTES] & LABEL != 0
    }

    pub(super) fn is_dir(self) -> bool {
        self.0[ATTRIBUTES] & DIRECTORY != 0
    }

    /// Where its content begins; 0 for none, and for the root.
    pub(super) fn first_cluster(self) -> u32 {
        self.word(CLUSTER_HIGH) << 16 | self.word(CLUSTER_LOW)
    }

    /// The length of a file in bytes.
    pub(super) fn size(self) -> u32 {
        self.word(SIZE) | self.word(SIZE + 2) << 16
    }

    /// No name may hold what splits a path or drives a terminal. The rest of the
    /// specification's rules is broken too often to insist on.
    pub(super) fn name_is_sound(self) -> bool {
        if !self.is_long_name() {
            let name = self.raw_name();
            // 05 stands for a first e5.
            let first = if name[0] == 5 { b'x' } else { name[0] };
            return std::iter::once(first)
                .chain(name[1..].iter().copied())
                .all(|byte| byte >= b' ' && byte != 0x7f && byte != b'/');
        }
        // 5, 6 and 2 characters; 0 ends the name.
        [1..11, 14..26, 28..32]
            .into_iter()
            .flat_map(|range| self.0[range].chunks_exact(2))
            .map(|pair| u16::from_le_bytes([pair[0], pair[1]]))
            .take_while(|unit| *unit != 0)
            .all(|unit| unit >= 0x20 && unit != 0x7f && unit != u16::from(b'/'))
    }

    /// The 8.3 name as it lies there: 11 bytes, filled up with spaces.
    pub(super) fn raw_name(&self) -> &[u8] {
        &self.0[..ATTRIBUTES]
    }

    /// The 8.3 name, for messages.
    pub(super) fn short_name(self) -> String {
        let (stem, extension) = self.raw_name().split_at(8);
        let stem = stem.trim_ascii_end().escape_ascii();
        match extension.trim_ascii_end() {
            b"" => stem.to_string(),
            extension => format!("{stem}.{}", extension.escape_ascii()),
        }
    }

    fn is_long_name(self) -> bool {
        self.0[ATTRIBUTES] & LONG_NAME_MASK == LONG_NAME
    }

    fn word(self, at: usize) -> u32 {
        u32::from(u16::from_le_bytes([self.0[at], self.0[at + 1]]))
    }
}
