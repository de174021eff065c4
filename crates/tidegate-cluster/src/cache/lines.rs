//! Cuts the body of a watch into lines.

use bytes::BytesMut;
use http_body_util::BodyExt;
use kube::client::Body;
use tokio::time::{Instant, timeout_at};

/// The longest line that is taken in; an object is at most a few MiB.
const MAX_LINE: usize = 64 << 20;

/// The lines of a watch.
pub(super) struct Lines {
    body: Body,
    buffer: BytesMut,
    /// No line break stands before this position.
    searched: usize,
}

/// What came next.
#[derive(Debug)]
pub(super) enum Next {
    Line(BytesMut),
    /// The server ended the watch, as it does every few minutes.
    End,
    Broken(String),
}

impl Lines {
    pub(super) fn new(body: Body) -> Self {
        Self {
            body,
            buffer: BytesMut::new(),
            searched: 0,
        }
    }

    /// The next line, without its break; empty lines are left out.
    pub(super) async fn next(&mut self, deadline: Instant) -> Next {
        loop {
            if let Some(line) = self.cut() {
                if line.iter().all(u8::is_ascii_whitespace) {
                    continue;
                }
                return Next::Line(line);
            }
            if self.buffer.len() > MAX_LINE {
                return Next::Broken("an event is longer than 64 MiB".to_owned());
            }
            match timeout_at(deadline, self.body.frame()).await {
                Err(_) => return Next::Broken("the watch went silent".to_owned()),
                Ok(None) => return Next::End,
                Ok(Some(Ok(frame))) => {
                    if let Ok(data) = frame.into_data() {
                        self.buffer.extend_from_slice(&data);
                    }
                }
                Ok(Some(Err(error))) => {
                    let words = crate::config::chain(&error);
                    // Servers and balancers cut long streams in many ways; all mean: go on from here.
                    return if words.contains("unexpected EOF") || words.contains("UnexpectedEof") {
                        Next::End
                    } else {
                        Next::Broken(words)
                    };
                }
            }
        }
    }

    fn cut(&mut self) -> Option<BytesMut> {
        let found = self.buffer[self.searched..]
            .iter()
            .position(|byte| *byte == b'\n');
        let Some(found) = found else {
            self.searched = self.buffer.len();
            return None;
        };
        let line = self.buffer.split_to(self.searched + found + 1);
        self.searched = 0;
        Some(line)
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[tokio::test]
    async fn lines_are_cut() {
        let mut lines = Lines::new(Body::from(b"{\"a\":1}\n\n \n{\"b\":2}\n{\"cut".to_vec()));
        let deadline = Instant::now() + Duration::from_secs(5);
        let mut seen = Vec::new();
        while let Next::Line(line) = lines.next(deadline).await {
            seen.push(String::from_utf8_lossy(&line).trim().to_owned());
        }
        assert_eq!(seen, ["{\"a\":1}", "{\"b\":2}"]);
    }
}
