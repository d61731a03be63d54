//! Debian's kernel package, fetched and unpacked without being installed.

use std::fs;
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use kr_testkit::netns::run;

use super::package;

/// First bytes of an xz stream.
const XZ_MAGIC: &[u8] = b"\xfd7zXZ\0";

/// The directory of the unpacked package, fetched when there is none yet.
pub(super) fn unpacked(cache: &Path) -> io::Result<PathBuf> {
    if let Some(there) = newest(cache)? {
        return Ok(there);
    }
    package::unpacked(cache, &package_name()?)
}

/// The unpacked package with the highest name, if any.
fn newest(cache: &Path) -> io::Result<Option<PathBuf>> {
    let directories = fs::read_dir(cache)?.flatten().map(|entry| entry.path());
    Ok(directories.filter(|path| path.join("boot").is_dir()).max())
}

/// What `linux-image-amd64` stands for today.
fn package_name() -> io::Result<String> {
    let text = run(Command::new("apt-cache").args(["depends", "linux-image-amd64"]))?;
    text.lines()
        .filter_map(|line| line.trim().strip_prefix("Depends: "))
        .find(|name| name.starts_with("linux-image-"))
        .map(str::to_owned)
        .ok_or_else(|| {
            io::Error::other(
                "the package lists know no linux-image-amd64: the lab's kernel is Debian's; run `apt-get update`",
            )
        })
}

/// The uncompressed kernel of an unpacked package: qemu starts it through its PVH note, which saves
/// the slow decompression inside the emulation.
pub(super) fn plain(package: &Path) -> io::Result<PathBuf> {
    let plain = package.join("vmlinux");
    if plain.is_file() {
        return Ok(plain);
    }
    let compressed = fs::read_dir(package.join("boot"))?
        .flatten()
        .map(|entry| entry.path())
        .find(|path| {
            path.file_name()
                .is_some_and(|name| name.to_string_lossy().starts_with("vmlinuz"))
        })
        .ok_or_else(|| io::Error::other("the kernel package holds no boot/vmlinuz"))?;
    let image = fs::read(&compressed)?;
    let payload = payload(&image)
        .ok_or_else(|| io::Error::other(format!("{}: no xz payload", compressed.display())))?;
    let partial = package.join("vmlinux.partial");
    fs::write(&partial, unxz(payload)?)?;
    fs::rename(&partial, &plain)?;
    Ok(plain)
}

/// The compressed kernel inside a bzImage, by the header fields of the x86 boot protocol: `setup_sects`
/// (0x1f1), `payload_offset` (0x248), `payload_length` (0x24c).
fn payload(image: &[u8]) -> Option<&[u8]> {
    let word = |at: usize| -> Option<usize> {
        let bytes: [u8; 4] = image.get(at..at + 4)?.try_into().ok()?;
        usize::try_from(u32::from_le_bytes(bytes)).ok()
    };
    // Zero sectors means four, for historical reasons; the boot sector itself comes on top.
    let sectors = match *image.get(0x1f1)? {
        0 => 4,
        sectors => usize::from(sectors),
    };
    let start = (sectors + 1) * 512 + word(0x248)?;
    // The last four bytes are the uncompressed size, which is no part of the stream.
    let stream = image.get(start..start + word(0x24c)?.checked_sub(4)?)?;
    stream.starts_with(XZ_MAGIC).then_some(stream)
}

/// Decompresses with the `xz` program.
pub(super) fn unxz(compressed: &[u8]) -> io::Result<Vec<u8>> {
    let mut child = Command::new("xz")
        .args(["-dc", "--single-stream"])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .map_err(|error| io::Error::new(error.kind(), format!("xz: {error}")))?;
    let input = child.stdin.take();
    let output = std::thread::scope(|scope| {
        // xz may stop reading before the end of the padding: that is no failure.
        scope.spawn(move || input.map(|mut pipe| pipe.write_all(compressed)));
        child.wait_with_output()
    })?;
    if output.status.success() {
        Ok(output.stdout)
    } else {
        Err(io::Error::other(format!("xz: {}", output.status)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn payload_is_found_by_the_boot_header() {
        let mut image = vec![0; 0x600];
        image[0x1f1] = 1;
        image[0x248] = 0x10;
        image[0x24c] = 12;
        image[0x410..0x41c].copy_from_slice(b"\xfd7zXZ\0ab\x08\0\0\0");
        assert_eq!(payload(&image), Some(&b"\xfd7zXZ\0ab"[..]));
    }

    #[test]
    fn image_without_xz_payload_is_refused() {
        assert_eq!(payload(&[0; 0x600]), None);
        assert_eq!(payload(&[0xff; 0x300]), None);
    }
}
