//! Requests whose bodies gix writes and answers it reads, as streams.

use std::{
    io::{self, BufRead, BufReader, Cursor, Read, Write},
    sync::{Arc, Mutex},
};

use reqwest::{Url, blocking::Response, header::HeaderMap};

use super::{Sender, into_io};
use crate::call::{Call, Watched, lock};

/// The largest request that is sent: wants and haves of a negotiation.
const MAX_REQUEST_BYTES: usize = 64 << 20;

fn header_lines(headers: &HeaderMap) -> Vec<u8> {
    let mut lines = Vec::new();
    for (name, value) in headers {
        lines.extend_from_slice(name.as_str().as_bytes());
        lines.push(b':');
        lines.extend_from_slice(value.as_bytes());
        lines.push(b'\n');
    }
    lines
}

type OpenBody = Box<BufReader<Watched<Response>>>;

fn open(response: Response, call: &Arc<Call>) -> OpenBody {
    Box::new(BufReader::with_capacity(
        64 << 10,
        Watched::new(response, Arc::clone(call)),
    ))
}

/// The halves of a GET that was answered.
pub(super) fn answered(response: Response, call: &Arc<Call>) -> (Headers, Body) {
    let lines = header_lines(response.headers());
    (
        Headers(Lines::Known(Cursor::new(lines))),
        Body {
            source: Source::Open(open(response, call)),
        },
    )
}

/// The parts of a POST that is yet to be written.
pub(super) fn pending(
    sender: Sender,
    url: Url,
    request_headers: HeaderMap,
) -> (PostBuffer, Headers, Body) {
    let exchange = Arc::new(Mutex::new(Exchange {
        state: State::Writing(Vec::new()),
        url,
        request_headers,
        sender,
    }));
    (
        PostBuffer(Arc::clone(&exchange)),
        Headers(Lines::Pending(Arc::clone(&exchange))),
        Body {
            source: Source::Pending(exchange),
        },
    )
}

/// A POST that is sent when its answer is first read: by then gix has written the whole body.
struct Exchange {
    state: State,
    url: Url,
    request_headers: HeaderMap,
    sender: Sender,
}

enum State {
    Writing(Vec<u8>),
    Answered {
        headers: Option<Vec<u8>>,
        body: Option<OpenBody>,
    },
}

impl Exchange {
    fn answer(&mut self) -> io::Result<(&mut Option<Vec<u8>>, &mut Option<OpenBody>)> {
        if let State::Writing(body) = &mut self.state {
            let body = std::mem::take(body);
            let sent = self
                .sender
                .send(&self.url, &self.request_headers, Some(&body))
                .and_then(|response| self.sender.check(response));
            let response = sent.map_err(|error| into_io(error, &self.sender.call))?;
            self.state = State::Answered {
                headers: Some(header_lines(response.headers())),
                body: Some(open(response, &self.sender.call)),
            };
        }
        match &mut self.state {
            State::Answered { headers, body } => Ok((headers, body)),
            State::Writing(_) => Err(io::Error::other("the request was not answered")),
        }
    }
}

/// Collects the body of a POST.
pub(super) struct PostBuffer(Arc<Mutex<Exchange>>);

impl Write for PostBuffer {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        match &mut lock(&self.0).state {
            State::Writing(body) if body.len() + bytes.len() > MAX_REQUEST_BYTES => Err(
                io::Error::new(io::ErrorKind::QuotaExceeded, "the negotiation is too long"),
            ),
            State::Writing(body) => {
                body.extend_from_slice(bytes);
                Ok(bytes.len())
            }
            State::Answered { .. } => Err(io::ErrorKind::BrokenPipe.into()),
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// The headers of an answer, one a line.
pub(super) struct Headers(Lines);

enum Lines {
    Pending(Arc<Mutex<Exchange>>),
    Known(Cursor<Vec<u8>>),
}

impl Headers {
    fn lines(&mut self) -> io::Result<&mut Cursor<Vec<u8>>> {
        if let Lines::Pending(exchange) = &self.0 {
            let lines = lock(exchange).answer()?.0.take().unwrap_or_default();
            self.0 = Lines::Known(Cursor::new(lines));
        }
        match &mut self.0 {
            Lines::Known(lines) => Ok(lines),
            Lines::Pending(_) => Err(io::Error::other("the headers were not read")),
        }
    }
}

impl Read for Headers {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        self.lines()?.read(buffer)
    }
}

impl BufRead for Headers {
    fn fill_buf(&mut self) -> io::Result<&[u8]> {
        self.lines()?.fill_buf()
    }

    fn consume(&mut self, amount: usize) {
        if let Lines::Known(lines) = &mut self.0 {
            lines.consume(amount);
        }
    }
}

enum Source {
    Pending(Arc<Mutex<Exchange>>),
    Open(OpenBody),
}

/// The body of an answer.
pub(super) struct Body {
    source: Source,
}

impl Body {
    fn open(&mut self) -> io::Result<&mut OpenBody> {
        if let Source::Pending(exchange) = &self.source {
            let body = lock(exchange).answer()?.1.take();
            self.source =
                Source::Open(body.ok_or_else(|| io::Error::other("the body was read twice"))?);
        }
        match &mut self.source {
            Source::Open(body) => Ok(body),
            Source::Pending(_) => Err(io::Error::other("the body was not opened")),
        }
    }
}

impl Read for Body {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        self.open()?.read(buffer)
    }
}

impl BufRead for Body {
    fn fill_buf(&mut self) -> io::Result<&[u8]> {
        self.open()?.fill_buf()
    }

    fn consume(&mut self, amount: usize) {
        if let Source::Open(body) = &mut self.source {
            body.consume(amount);
        }
    }
}
