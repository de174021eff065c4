//! XML documents of S3: read into a tree of bounded depth and size, written from parts.
//!
//! Must not know: what a document means.

use quick_xml::Reader;
use quick_xml::events::Event;

use crate::form::escape;
use crate::refusal::{Refusal, refuse};

/// Levels of nesting that are read.
const DEPTH: usize = 32;
/// Bytes of a document that is read.
const BYTES: usize = 4 << 20;
/// Elements that are read.
const ELEMENTS: usize = 50_000;

/// One element.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Element {
    pub(super) name: String,
    pub(super) text: String,
    pub(super) children: Vec<Element>,
}

impl Element {
    /// The first child of this name.
    pub(super) fn child(&self, name: &str) -> Option<&Self> {
        self.children.iter().find(|child| child.name == name)
    }

    /// The text of the first child of this name.
    pub(super) fn value(&self, name: &str) -> Option<&str> {
        self.child(name).map(|child| child.text.as_str())
    }

    /// All children of this name.
    pub(super) fn all<'a>(&'a self, name: &'a str) -> impl Iterator<Item = &'a Self> {
        self.children.iter().filter(move |child| child.name == name)
    }

    /// The element in XML, without a namespace.
    pub(super) fn write(&self) -> String {
        let mut inner = escape(&self.text);
        for child in &self.children {
            inner.push_str(&child.write());
        }
        format!("<{0}>{inner}</{0}>", self.name)
    }
}

/// `<name>text</name>`
pub(super) fn leaf(name: &str, text: &str) -> String {
    format!("<{name}>{}</{name}>", escape(text))
}

fn malformed() -> Refusal {
    refuse(
        "MalformedXML",
        "The XML you provided was not well-formed or did not validate against our published schema",
    )
}

/// Reads a document.
///
/// # Errors
/// `MalformedXML`.
pub(super) fn parse(bytes: &[u8]) -> Result<Element, Refusal> {
    if bytes.len() > BYTES {
        return Err(malformed());
    }
    let text = std::str::from_utf8(bytes).map_err(|_| malformed())?;
    let mut reader = Reader::from_str(text);
    let mut stack: Vec<Element> = Vec::new();
    let mut count = 0;
    loop {
        match reader.read_event().map_err(|_| malformed())? {
            Event::Start(start) => {
                count += 1;
                if stack.len() >= DEPTH || count > ELEMENTS {
                    return Err(malformed());
                }
                stack.push(Element {
                    name: local(start.local_name().as_ref()),
                    ..Element::default()
                });
            }
            Event::Empty(start) => {
                let element = Element {
                    name: local(start.local_name().as_ref()),
                    ..Element::default()
                };
                match stack.last_mut() {
                    Some(parent) => parent.children.push(element),
                    None => return Ok(element),
                }
            }
            Event::Text(text) => {
                if let Some(top) = stack.last_mut() {
                    top.text.push_str(&text.decode().map_err(|_| malformed())?);
                }
            }
            Event::GeneralRef(reference) => {
                if let Some(top) = stack.last_mut() {
                    let name = reference.decode().map_err(|_| malformed())?;
                    top.text.push(resolve(&name).ok_or_else(malformed)?);
                }
            }
            Event::CData(data) => {
                if let Some(top) = stack.last_mut() {
                    top.text.push_str(&data.decode().map_err(|_| malformed())?);
                }
            }
            Event::End(_) => {
                let Some(mut done) = stack.pop() else {
                    return Err(malformed());
                };
                if !done.children.is_empty() {
                    done.text.clear();
                }
                match stack.last_mut() {
                    Some(parent) => parent.children.push(done),
                    None => return Ok(done),
                }
            }
            Event::DocType(_) | Event::Eof => return Err(malformed()),
            Event::Comment(_) | Event::Decl(_) | Event::PI(_) => {}
        }
    }
}

fn local(name: &[u8]) -> String {
    String::from_utf8_lossy(name).into_owned()
}

fn resolve(name: &str) -> Option<char> {
    match name {
        "amp" => Some('&'),
        "lt" => Some('<'),
        "gt" => Some('>'),
        "quot" => Some('"'),
        "apos" => Some('\''),
        other => {
            let code = match other.strip_prefix("#x") {
                Some(hex) => u32::from_str_radix(hex, 16).ok()?,
                None => other.strip_prefix('#')?.parse().ok()?,
            };
            char::from_u32(code)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn documents_are_read_and_written_alike() {
        let text = "<A xmlns=\"u\"> <B>x &amp; &#65;</B>\n<C/><B>y</B></A>";
        let read = parse(text.as_bytes()).unwrap();
        assert_eq!(read.value("B"), Some("x & A"));
        assert_eq!(read.all("B").count(), 2);
        assert_eq!(read.write(), "<A><B>x &amp; A</B><C></C><B>y</B></A>");
    }

    #[test]
    fn bad_documents_are_refused() {
        for text in [
            "",
            "<A>",
            "<A></B>",
            "plain",
            "<!DOCTYPE a [<!ENTITY x \"y\">]><a>&x;</a>",
        ] {
            assert_eq!(
                parse(text.as_bytes()).unwrap_err().code,
                "MalformedXML",
                "{text}"
            );
        }
        let deep = "<a>".repeat(100);
        assert!(parse(deep.as_bytes()).is_err());
    }
}
