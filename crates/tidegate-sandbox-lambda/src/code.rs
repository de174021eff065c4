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
    /// # Errors
    /// An entry is larger than it says, or cannot be written.
    pub(crate) fn unpack(&self, into: &Path) -> std::io::Result<()> {
        let broken = |error: zip::result::ZipError| std::io::Error::other(error.to_string());
        let mut zip = ZipArchive::new(Cursor::new(&self.archive)).map_err(broken)?;
        let mut left = UNPACKED_BYTES;
        for index in 0..zip.len() {
            let mut entry = zip.by_index(index).map_err(broken)?;
            // Names that lead out of the directory, and links, are not followed: they are left out.
            let Some(name) = entry.enclosed_name() else {
                continue;
            };
            let path = into.join(name);
            if entry.is_dir() {
                std::fs::create_dir_all(&path)?;
                continue;
            }
            if entry.is_symlink() {
                continue;
            }
            if let Some(parent) = path.parent() {
                std::fs::create_dir_all(parent)?;
            }
            let mut file = std::fs::File::create(&path)?;
            let size = std::io::copy(&mut entry.by_ref().take(left.saturating_add(1)), &mut file)?;
            left = left
                .checked_sub(size)
                .ok_or_else(|| std::io::Error::other("the archive is larger than it says"))?;
            set_mode(&path, entry.unix_mode())?;
        }
        Ok(())
    }
}

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
