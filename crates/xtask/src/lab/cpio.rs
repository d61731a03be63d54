//! The "newc" archive format that Linux reads as an initramfs (`initramfs/buffer-format` of its documentation).

/// An archive being written.
#[derive(Debug, Default)]
pub(super) struct Archive {
    bytes: Vec<u8>,
    entries: u32,
}

impl Archive {
    /// Adds a directory.
    pub(super) fn directory(&mut self, path: &str) {
        self.entry(path, 0o040_755, &[]);
    }

    /// Adds a file that may be executed.
    pub(super) fn file(&mut self, path: &str, content: &[u8]) {
        self.entry(path, 0o100_755, content);
    }

    /// The whole archive. Archives put behind one another are read one after the other.
    pub(super) fn finish(mut self) -> Vec<u8> {
        self.entry("TRAILER!!!", 0, &[]);
        self.bytes
    }

    fn entry(&mut self, path: &str, mode: u32, content: &[u8]) {
        self.entries += 1;
        let (inode, links, none) = (self.entries, 1, 0_usize);
        let (size, name) = (content.len(), path.len() + 1);
        self.bytes.extend(
            format!(
                "070701{inode:08x}{mode:08x}{none:08x}{none:08x}{links:08x}{none:08x}{size:08x}\
                 {none:08x}{none:08x}{none:08x}{none:08x}{name:08x}{none:08x}{path}\0"
            )
            .bytes(),
        );
        self.pad();
        self.bytes.extend(content);
        self.pad();
    }

    fn pad(&mut self) {
        let length = self.bytes.len().next_multiple_of(4);
        self.bytes.resize(length, 0);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn archive_has_the_field_widths_and_padding_of_newc() {
        let mut archive = Archive::default();
        archive.file("ab", b"12345");
        let bytes = archive.finish();
        let header = b"070701\
            00000001000081ed000000000000000000000001000000000000000500000000000000000000000000000000\
            0000000300000000ab\0";
        assert_eq!(&bytes[..113], header);
        assert_eq!(&bytes[113..124], b"\0\0\x0012345\0\0\0");
        assert_eq!(&bytes[124..130], b"070701");
        assert_eq!(bytes.len() % 4, 0);
    }
}
