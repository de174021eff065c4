//! What a handler writes: lines in order, bounded, with the places where an invocation's part is complete.
//!
//! Must not know: processes, the API.

use std::sync::Arc;
use std::time::Duration;

use tokio::io::{AsyncBufReadExt as _, AsyncRead, AsyncReadExt as _, BufReader};
use tokio::sync::Notify;
use tokio::task::JoinHandle;

use crate::lambda::Guarded;

/// Bytes of a line that are kept together; a longer one becomes several.
const LINE_BYTES: u64 = 64 << 10;
/// Lines of one invocation that are kept.
const LINES: usize = 10_000;
/// Bytes of one invocation that are kept.
const LOG_BYTES: usize = 4 << 20;
/// How long is waited for what was written before an answer, or before an end.
const SETTLING: Duration = Duration::from_millis(150);

#[derive(Debug, Default)]
struct Kept {
    lines: Vec<String>,
    bytes: usize,
    left_out: u64,
    marks: u64,
    ended: bool,
}

/// The log of one process; it is read until it ends or this is dropped.
#[derive(Debug)]
pub(super) struct Log {
    kept: Arc<Guarded<Kept>>,
    changed: Arc<Notify>,
    reader: JoinHandle<()>,
    /// Marks that were taken so far.
    taken: u64,
}

/// Up to where a log is wanted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Until {
    /// The next mark.
    Mark,
    /// The end of the process.
    End,
}

impl Drop for Log {
    fn drop(&mut self) {
        self.reader.abort();
    }
}

impl Kept {
    fn push(&mut self, line: String) {
        if self.lines.len() >= LINES || self.bytes + line.len() > LOG_BYTES {
            self.left_out += 1;
            return;
        }
        self.bytes += line.len();
        self.lines.push(line);
    }
}

impl Log {
    /// Reads lines; one that ends with `token` marks the end of an invocation's part.
    pub(super) fn new(from: impl AsyncRead + Send + Unpin + 'static, token: String) -> Self {
        let kept: Arc<Guarded<Kept>> = Arc::default();
        let changed = Arc::new(Notify::new());
        let reader = tokio::spawn(read(from, token, Arc::clone(&kept), Arc::clone(&changed)));
        Self {
            kept,
            changed,
            reader,
            taken: 0,
        }
    }

    /// Takes what was written since the last time.
    pub(super) async fn take(&mut self, until: Until) -> Vec<String> {
        let wanted = self.taken + 1;
        let settled = async {
            loop {
                let changed = self.changed.notified();
                {
                    let kept = self.kept.lock();
                    if kept.ended || (until == Until::Mark && kept.marks >= wanted) {
                        return;
                    }
                }
                changed.await;
            }
        };
        // A child that holds the pipe open, or a handler that closed it, only costs the pause.
        let _ = tokio::time::timeout(SETTLING, settled).await;
        let mut kept = self.kept.lock();
        self.taken = kept.marks;
        kept.bytes = 0;
        let left_out = std::mem::take(&mut kept.left_out);
        let mut lines = std::mem::take(&mut kept.lines);
        if left_out > 0 {
            lines.push(format!("[{left_out} more lines were not kept]"));
        }
        lines
    }
}

async fn read(
    from: impl AsyncRead + Unpin,
    token: String,
    kept: Arc<Guarded<Kept>>,
    changed: Arc<Notify>,
) {
    let mut lines = BufReader::new(from);
    let mut line = Vec::new();
    loop {
        line.clear();
        let read = (&mut lines)
            .take(LINE_BYTES)
            .read_until(b'\n', &mut line)
            .await;
        if !matches!(read, Ok(count) if count > 0) {
            kept.lock().ended = true;
            changed.notify_waiters();
            return;
        }
        let text = line.strip_suffix(b"\n").unwrap_or(&line);
        let text = text.strip_suffix(b"\r").unwrap_or(text);
        match text.strip_suffix(token.as_bytes()) {
            Some(before) => {
                let mut kept = kept.lock();
                if !before.is_empty() {
                    kept.push(String::from_utf8_lossy(before).into_owned());
                }
                kept.marks += 1;
                changed.notify_waiters();
            }
            None => kept.lock().push(String::from_utf8_lossy(text).into_owned()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn parts_end_at_their_marks() {
        let text: &[u8] = b"a\r\nbT\nc\nT\n";
        let mut log = Log::new(text, "T".to_owned());
        log.take(Until::End).await;
        let mut log = Log::new(text, "T".to_owned());
        assert_eq!(log.take(Until::End).await, ["a", "b", "c"]);
        assert!(log.take(Until::Mark).await.is_empty());
    }

    #[tokio::test]
    async fn what_is_kept_is_bounded() {
        let text: &'static str = Box::leak("x\n".repeat(LINES + 7).into_boxed_str());
        let mut log = Log::new(text.as_bytes(), "T".to_owned());
        let lines = log.take(Until::End).await;
        assert_eq!(lines.len(), LINES + 1);
        assert_eq!(lines[LINES], "[7 more lines were not kept]");
        let long: &'static str = Box::leak("y".repeat(LOG_BYTES * 2).into_boxed_str());
        let mut log = Log::new(long.as_bytes(), "T".to_owned());
        let lines = log.take(Until::End).await;
        let bytes: usize = lines.iter().map(String::len).sum();
        assert!(bytes < LOG_BYTES + 100, "{bytes}");
        assert!(lines[0].len() as u64 <= LINE_BYTES);
    }
}
