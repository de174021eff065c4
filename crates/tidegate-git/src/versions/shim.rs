//! Masterminds semver, enough of it, until `tidegate_gocompat::semver` is there.

use std::cmp::Ordering;

#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Version {
    n: [u64; 3],
    pre: String,
}

fn number(text: &str) -> Option<u64> {
    (!text.is_empty() && text.bytes().all(|b| b.is_ascii_digit()))
        .then(|| text.parse().ok())
        .flatten()
}

fn split(text: &str) -> Option<(Vec<&str>, String)> {
    let text = text.strip_prefix('v').unwrap_or(text);
    let (text, _) = text.split_once('+').unwrap_or((text, ""));
    let (core, pre) = text
        .split_once('-')
        .map(|(c, p)| (c, Some(p)))
        .unwrap_or((text, None));
    if pre.is_some_and(|pre| {
        pre.split('.')
            .any(|id| id.is_empty() || !id.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-'))
    }) {
        return None;
    }
    let parts: Vec<&str> = core.split('.').collect();
    (parts.len() <= 3).then(|| (parts, pre.unwrap_or_default().to_owned()))
}

impl Version {
    pub(super) fn parse(text: &str) -> Result<Self, ()> {
        let (parts, pre) = split(text).ok_or(())?;
        let mut n = [0; 3];
        for (slot, part) in n.iter_mut().zip(parts) {
            *slot = number(part).ok_or(())?;
        }
        Ok(Self { n, pre })
    }
}

impl PartialOrd for Version {
    fn partial_cmp(&self, o: &Self) -> Option<Ordering> {
        Some(self.cmp(o))
    }
}
impl Ord for Version {
    fn cmp(&self, o: &Self) -> Ordering {
        self.n
            .cmp(&o.n)
            .then_with(|| match (self.pre.is_empty(), o.pre.is_empty()) {
                (true, true) => Ordering::Equal,
                (true, false) => Ordering::Greater,
                (false, true) => Ordering::Less,
                _ => {
                    let (mut a, mut b) = (self.pre.split('.'), o.pre.split('.'));
                    loop {
                        match (a.next(), b.next()) {
                            (None, None) => return Ordering::Equal,
                            (None, _) => return Ordering::Less,
                            (_, None) => return Ordering::Greater,
                            (Some(x), Some(y)) => {
                                let order = match (number(x), number(y)) {
                                    (Some(x), Some(y)) => x.cmp(&y),
                                    (Some(_), None) => Ordering::Less,
                                    (None, Some(_)) => Ordering::Greater,
                                    _ => x.cmp(y),
                                };
                                if order != Ordering::Equal {
                                    return order;
                                }
                            }
                        }
                    }
                }
            })
    }
}

struct One {
    op: String,
    at: Version,
    given: usize,
}
pub(super) struct Constraints(Vec<Vec<One>>);

impl Constraints {
    pub(super) fn parse(text: &str) -> Result<Self, ()> {
        text.split("||")
            .map(|group| {
                let words: Vec<&str> = group.split([' ', ',']).filter(|w| !w.is_empty()).collect();
                let mut all = Vec::new();
                let mut i = 0;
                while i < words.len() {
                    let w = words[i];
                    let cut = w.find(|c: char| !"<>=!~^".contains(c)).unwrap_or(w.len());
                    let (op, mut rest) = w.split_at(cut);
                    if rest.is_empty() {
                        i += 1;
                        rest = words.get(i).ok_or(())?;
                    }
                    if words.get(i + 1) == Some(&"-") {
                        all.push(one(">=", rest)?);
                        all.push(one("<=", words.get(i + 2).ok_or(())?)?);
                        i += 3;
                        continue;
                    }
                    all.push(one(op, rest)?);
                    i += 1;
                }
                if all.is_empty() { Err(()) } else { Ok(all) }
            })
            .collect::<Result<_, _>>()
            .map(Self)
    }
    pub(super) fn check(&self, v: &Version) -> bool {
        self.0.iter().any(|all| all.iter().all(|c| c.check(v)))
    }
}

fn one(op: &str, text: &str) -> Result<One, ()> {
    let (parts, pre) = split(text).ok_or(())?;
    let (mut n, mut given) = ([0; 3], 0);
    for (i, part) in parts.iter().enumerate() {
        if matches!(*part, "x" | "X" | "*") {
            break;
        }
        n[i] = number(part).ok_or(())?;
        given = i + 1;
    }
    let op = match op {
        "" | "=" => "=",
        "=>" => ">=",
        "=<" => "<=",
        "~>" => "~",
        o @ ("!=" | ">" | "<" | ">=" | "<=" | "~" | "^") => o,
        _ => return Err(()),
    };
    Ok(One {
        op: op.to_owned(),
        at: Version { n, pre },
        given,
    })
}

impl One {
    fn within(&self, v: &Version, fixed: usize) -> bool {
        *v >= self.at && v.n[..fixed] == self.at.n[..fixed]
    }
    fn check(&self, v: &Version) -> bool {
        if !v.pre.is_empty() && self.at.pre.is_empty() {
            return false;
        }
        match self.op.as_str() {
            "=" if self.given == 3 => *v == self.at,
            "=" => self.within(v, self.given),
            "!=" => {
                if self.given == 3 {
                    *v != self.at
                } else {
                    v.n[..self.given] != self.at.n[..self.given]
                }
            }
            ">" => {
                if self.given == 3 {
                    *v > self.at
                } else {
                    v.n[..self.given] > self.at.n[..self.given]
                }
            }
            ">=" => *v >= self.at,
            "<" => *v < self.at,
            "<=" => {
                if self.given == 3 {
                    *v <= self.at
                } else {
                    v.n[..self.given] <= self.at.n[..self.given]
                }
            }
            "~" => self.within(v, self.given.min(2)),
            _ => self.within(
                v,
                match self.at.n {
                    [a, ..] if a > 0 || self.given < 2 => 1,
                    [_, b, _] if b > 0 || self.given < 3 => 2,
                    _ => 3,
                }
                .min(self.given),
            ),
        }
    }
}
