//! Code of functions and layers: archives as they were uploaded, within Lambda's limits, and unpacked for a process.
//!
//! Must not know: functions.

use std::io::{Cursor, Read as _};
use std::path::Path;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use sha2::{Digest as _, Sha256};
use tidegate_sandbox_aws::service::Refusal;
use zip::ZipArchive;

use crate::fault::invalid;

/// Bytes of an archive in a request.
const DIRECT_BYTES: usize = 50 << 20;
/// Bytes of everything in an archive.
const UNPACKED_BYTES: u64 = 250 << 20;
/// Bytes of what a link names.
const LINK_BYTES: u64 = 4_096;
/// Entries of an archive.
const ENTRIES: usize = 50_000;

/// What a version runs.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Code {
    /// The archive; empty for an image.
    pub(crate) archive: Bytes,
    /// The image's URI.
    pub(crate) image: Option<String>,
    /// SHA-256 in base64.
    pub(crate) sha256: String,
}

impl Code {
    /// An archive that was uploaded.
    ///
    /// # Errors
    /// It is none, or larger than Lambda takes.
    pub(crate) fn archive(bytes: Bytes) -> Result<Self, Refusal> {
        let unreadable = || {
            invalid(
                "Could not unzip uploaded file. Please check your file, then try to upload again.",
            )
        };
        if bytes.is_empty() {
            return Err(invalid("Uploaded file must be a non-empty zip"));
        }
        if bytes.len() > DIRECT_BYTES {
            return Err(Refusal {
                code: "RequestEntityTooLargeException".to_owned(),
                status: 413,
                ..invalid(format!(
                    "Request must be smaller than {DIRECT_BYTES} bytes for the CreateFunction operation"
                ))
            });
        }
        let mut zip = ZipArchive::new(Cursor::new(&bytes)).map_err(|_| unreadable())?;
        if zip.is_empty() {
            return Err(invalid("Uploaded file must be a non-empty zip"));
        }
        if zip.len() > ENTRIES {
            return Err(unreadable());
        }
        let mut total: u64 = 0;
        for index in 0..zip.len() {
            let entry = zip.by_index(index).map_err(|_| unreadable())?;
            total = total.saturating_add(entry.size());
        }
        if total > UNPACKED_BYTES {
            return Err(invalid(format!(
                "Unzipped size must be smaller than {UNPACKED_BYTES} bytes"
            )));
        }
        Ok(Self {
            sha256: STANDARD.encode(Sha256::digest(&bytes)),
            archive: bytes,
            image: None,
        })
    }

    /// An image, whose digest stands for its content.
    pub(crate) fn image(uri: &str) -> Self {
        Self {
            archive: Bytes::new(),
            image: Some(uri.to_owned()),
            sha256: STANDARD.encode(Sha256::digest(uri.as_bytes())),
        }
    }

    /// Unpacks the archive below a directory. Blocks.
    ///
    /// Nothing is written outside of it, whatever the archive or one that was unpacked there before says: names that lead
    /// out are left out, and so is what a link would lead out.
    ///
    /// # Errors
    /// An entry is larger than it says, or cannot be written.
    pub(crate) fn unpack(&self, into: &Path) -> std::io::Result<()> {
        let broken = |error: zip::result::ZipError| std::io::Error::other(error.to_string());
        let into = into.canonicalize()?;
        let mut zip = ZipArchive::new(Cursor::new(&self.archive)).map_err(broken)?;
        let mut left = UNPACKED_BYTES;
        let mut links = Vec::new();
        for index in 0..zip.len() {
            let mut entry = zip.by_index(index).map_err(broken)?;
            let Some(name) = entry.enclosed_name() else {
                continue;
            };
            let path = into.join(name);
            if entry.is_symlink() {
                let mut target = String::new();
                entry
                    .by_ref()
                    .take(LINK_BYTES)
                    .read_to_string(&mut target)?;
                links.push((path, target));
                continue;
            }
            let place = if entry.is_dir() {
                Some(path.as_path())
            } else {
                path.parent()
            };
            if !place.is_some_and(|place| make_inside(place, &into)) || entry.is_dir() {
                continue;
            }
            if path.is_symlink() {
                std::fs::remove_file(&path)?;
            }
            let mut file = std::fs::File::create(&path)?;
            let size = std::io::copy(&mut entry.by_ref().take(left.saturating_add(1)), &mut file)?;
            left = left
                .checked_sub(size)
                .ok_or_else(|| std::io::Error::other("the archive is larger than it says"))?;
            set_mode(&path, entry.unix_mode())?;
        }
        for (path, target) in links {
            if path.parent().is_some_and(|place| make_inside(place, &into)) {
                link(&target, &path);
            }
        }
        Ok(())
    }
}

/// Makes a directory, unless it would be outside of another one; says whether it is there.
fn make_inside(place: &Path, into: &Path) -> bool {
    // The part that exists already decides where the rest comes to be.
    let Some(known) = place.ancestors().find(|one| one.symlink_metadata().is_ok()) else {
        return false;
    };
    known
        .canonicalize()
        .is_ok_and(|known| known.starts_with(into))
        && std::fs::create_dir_all(place).is_ok()
}

#[cfg(unix)]
fn link(target: &str, path: &Path) {
    // What is there already stays.
    let _ = std::os::unix::fs::symlink(target, path);
}

#[cfg(not(unix))]
fn link(_: &str, _: &Path) {}

#[cfg(unix)]
fn set_mode(path: &Path, mode: Option<u32>) -> std::io::Result<()> {
    use std::os::unix::fs::PermissionsExt as _;
    match mode {
        Some(mode) => {
            let permissions = std::fs::Permissions::from_mode((mode & 0o755) | 0o600);
            std::fs::set_permissions(path, permissions)
        }
        None => Ok(()),
    }
}

#[cfg(not(unix))]
fn set_mode(_: &Path, _: Option<u32>) -> std::io::Result<()> {
    Ok(())
}

#[cfg(test)]
mod tests {
    use std::io::Write as _;

    use zip::ZipWriter;
    use zip::write::SimpleFileOptions;

    use super::*;

    fn archive(make: impl FnOnce(&mut ZipWriter<Cursor<Vec<u8>>>)) -> Bytes {
        let mut zip = ZipWriter::new(Cursor::new(Vec::new()));
        make(&mut zip);
        Bytes::from(zip.finish().unwrap().into_inner())
    }

    fn file(zip: &mut ZipWriter<Cursor<Vec<u8>>>, name: &str, text: &str) {
        zip.start_file(name, SimpleFileOptions::default()).unwrap();
        zip.write_all(text.as_bytes()).unwrap();
    }

    fn unpack(dir: &Path, bytes: Bytes) -> std::io::Result<()> {
        Code::archive(bytes).unwrap().unpack(dir)
    }

    #[test]
    fn nothing_is_written_outside() {
        let outer = tempfile::tempdir().unwrap();
        let (dir, other) = (outer.path().join("in"), outer.path().join("other"));
        std::fs::create_dir_all(&dir).unwrap();
        std::fs::create_dir_all(&other).unwrap();
        let to = other.to_str().unwrap().to_owned();
        let options = SimpleFileOptions::default();
        // A link that leads out, then names behind it: in the same archive, and in the next one of a function.
        let first = archive(|zip| {
            zip.add_symlink("out", &to, options).unwrap();
            zip.add_symlink("one", format!("{to}/file"), options)
                .unwrap();
            file(zip, "../up", "x");
            file(zip, "fine/a", "1");
            zip.add_symlink("fine/b", "a", options).unwrap();
        });
        unpack(&dir, first).unwrap();
        let second = archive(|zip| {
            file(zip, "out/through", "x");
            file(zip, "one", "2");
            zip.add_symlink("out/link", "x", options).unwrap();
            zip.add_directory("out/deep", options).unwrap();
        });
        unpack(&dir, second).unwrap();
        assert_eq!(std::fs::read_dir(&other).unwrap().count(), 0);
        assert_eq!(std::fs::read_dir(outer.path()).unwrap().count(), 2);
        assert_eq!(std::fs::read_to_string(dir.join("one")).unwrap(), "2");
        assert_eq!(std::fs::read_to_string(dir.join("fine/b")).unwrap(), "1");
    }

    #[test]
    fn sizes_are_bounded() {
        // The directory at the end of an archive says how large an entry becomes.
        let mut large = archive(|zip| file(zip, "a", "1")).to_vec();
        let entry = large
            .windows(4)
            .position(|four| four == b"PK\x01\x02")
            .unwrap();
        large[entry + 24..entry + 28].copy_from_slice(&(300_u32 << 20).to_le_bytes());
        let large = Bytes::from(large);
        let words = |bytes: Bytes| Code::archive(bytes).unwrap_err().message;
        assert_eq!(
            words(large),
            "Unzipped size must be smaller than 262144000 bytes"
        );
        assert_eq!(words(Bytes::new()), "Uploaded file must be a non-empty zip");
        assert!(words(Bytes::from_static(b"PK")).starts_with("Could not unzip"));
        // One file under very many names.
        let one = archive(|zip| file(zip, "00000", "1")).to_vec();
        let entry = one
            .windows(4)
            .position(|four| four == b"PK\x01\x02")
            .unwrap();
        let end = one
            .windows(4)
            .position(|four| four == b"PK\x05\x06")
            .unwrap();
        let mut many = one[..entry].to_vec();
        for n in 0..=ENTRIES {
            let mut named = one[entry..end].to_vec();
            named[46..51].copy_from_slice(format!("{n:05}").as_bytes());
            many.extend(named);
        }
        let size = u32::try_from(many.len() - entry).unwrap();
        let count = u16::try_from(ENTRIES + 1).unwrap();
        let mut last = one[end..].to_vec();
        last[8..10].copy_from_slice(&count.to_le_bytes());
        last[10..12].copy_from_slice(&count.to_le_bytes());
        last[12..16].copy_from_slice(&size.to_le_bytes());
        many.extend(last);
        let opened = ZipArchive::new(Cursor::new(&many)).unwrap();
        assert_eq!(opened.len(), ENTRIES + 1);
        let many = Bytes::from(many);
        assert!(words(many).starts_with("Could not unzip"));
    }
}
