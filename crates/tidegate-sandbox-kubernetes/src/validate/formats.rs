//! Formats of single texts: names, keys, addresses, amounts. Each rule answers every reason why a text breaks it.

use std::net::IpAddr;

use crate::metadata;

pub(super) const PERCENT: &str = "a valid percent string must be a numeric string followed by an ending '%' (e.g. '1%',  or '93%', regex used for validation is '[0-9]+%')";
const CONFIG_KEY: &str = "a valid config key must consist of alphanumeric characters, '-', '_' or '.' (e.g. 'key.name',  or 'KEY_NAME',  or 'key-name', regex used for validation is '[-._a-zA-Z0-9]+')";
const WILDCARD: &str = "a wildcard DNS-1123 subdomain must start with '*.', followed by a valid DNS subdomain, which must consist of lower case alphanumeric characters, '-' or '.' and end with an alphanumeric character (e.g. '*.example.com', regex used for validation is '\\*\\.[a-z0-9]([-a-z0-9]*[a-z0-9])?(\\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*')";
const ENV_NAME: &str = "a valid environment variable name must consist only of printable ASCII characters other than '='";
const HEADER: &str = "a valid HTTP header must consist of alphanumeric characters or '-' (e.g. 'X-Header-Name', regex used for validation is '[-A-Za-z0-9]+')";
pub(super) const IP: &str = "must be a valid IP address, (e.g. 10.9.8.7 or 2001:db8::ffff)";
const CIDR: &str = "must be a valid CIDR value, (e.g. 10.9.8.0/24 or 2001:db8::/64)";

/// The reasons that `metadata` gives in one text.
fn each(why: Option<String>) -> Vec<String> {
    why.map(|why| why.split("; ").map(str::to_owned).collect())
        .unwrap_or_default()
}

fn one(bad: bool, why: &str) -> Vec<String> {
    if bad {
        vec![why.to_owned()]
    } else {
        Vec::new()
    }
}

pub(super) fn subdomain(text: &str) -> Vec<String> {
    each(metadata::subdomain(text))
}

pub(super) fn label(text: &str) -> Vec<String> {
    each(metadata::dns_label(text))
}

pub(super) fn qualified(text: &str) -> Vec<String> {
    each(metadata::qualified(text))
}

pub(super) fn label_value(text: &str) -> Vec<String> {
    each(metadata::label_value(text))
}

pub(super) fn wildcard(text: &str) -> Vec<String> {
    let rest = text.strip_prefix("*.");
    one(
        rest.is_none_or(|rest| metadata::subdomain(rest).is_some()),
        WILDCARD,
    )
}

pub(super) fn config_key(text: &str) -> Vec<String> {
    let mut whys = Vec::new();
    if text.len() > 253 {
        whys.push("must be no more than 253 characters".to_owned());
    }
    let good = |c: char| c.is_ascii_alphanumeric() || "-._".contains(c);
    if text.is_empty() || !text.chars().all(good) {
        whys.push(CONFIG_KEY.to_owned());
    }
    if text == "." {
        whys.push("must not be '.'".to_owned());
    } else if text == ".." {
        whys.push("must not be '..'".to_owned());
    } else if text.starts_with("..") {
        whys.push("must not start with '..'".to_owned());
    }
    whys
}

pub(super) fn env_name(text: &str) -> Vec<String> {
    let good = |c: char| (c.is_ascii_graphic() || c == ' ') && c != '=';
    one(text.is_empty() || !text.chars().all(good), ENV_NAME)
}

pub(super) fn http_header(text: &str) -> Vec<String> {
    let good = |c: char| c.is_ascii_alphanumeric() || c == '-';
    one(text.is_empty() || !text.chars().all(good), HEADER)
}

/// The name of a port: 15 characters at most, a letter at least, no two hyphens in a row.
pub(super) fn port_name(text: &str) -> Vec<String> {
    let mut whys = Vec::new();
    if text.len() > 15 {
        whys.push("must be no more than 15 characters".to_owned());
    }
    let good = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-';
    if text.is_empty() || !text.chars().all(good) {
        whys.push(
            "must contain only alpha-numeric characters (a-z, 0-9), and hyphens (-)".to_owned(),
        );
    }
    if !text.chars().any(|c| c.is_ascii_lowercase()) {
        whys.push("must contain at least one letter (a-z)".to_owned());
    }
    if text.contains("--") {
        whys.push("must not contain consecutive hyphens".to_owned());
    }
    if text.starts_with('-') || text.ends_with('-') {
        whys.push("must not begin or end with a hyphen".to_owned());
    }
    whys
}

pub(super) fn ip(text: &str) -> Vec<String> {
    one(text.parse::<IpAddr>().is_err(), IP)
}

pub(super) fn cidr(text: &str) -> Vec<String> {
    one(parse_cidr(text).is_none(), CIDR)
}

/// Address and length of the prefix.
pub(super) fn parse_cidr(text: &str) -> Option<(IpAddr, u8)> {
    let (address, length) = text.split_once('/')?;
    let address: IpAddr = address.parse().ok()?;
    let most = if address.is_ipv4() { 32 } else { 128 };
    let length = length
        .bytes()
        .all(|byte| byte.is_ascii_digit())
        .then(|| length.parse().ok())??;
    (length <= most).then_some((address, length))
}

/// Whether the inner range lies in the outer one and is smaller.
pub(super) fn is_strict_subset(inner: (IpAddr, u8), outer: (IpAddr, u8)) -> bool {
    let bits = |address: IpAddr| match address {
        IpAddr::V4(v4) => (u128::from(u32::from(v4)) << 96, false),
        IpAddr::V6(v6) => (u128::from(v6), true),
    };
    let ((inner_bits, inner_six), (outer_bits, outer_six)) = (bits(inner.0), bits(outer.0));
    let mask = u128::MAX.checked_shl(128 - u32::from(outer.1)).unwrap_or(0);
    inner_six == outer_six && inner.1 > outer.1 && inner_bits & mask == outer_bits & mask
}

/// A path below a directory: relative, without `..`.
pub(super) fn local_path(text: &str) -> Vec<String> {
    let mut whys = Vec::new();
    if text.starts_with('/') {
        whys.push("must be a relative path".to_owned());
    }
    if text.split('/').any(|part| part == "..") {
        whys.push("must not contain '..'".to_owned());
    }
    whys
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn texts_follow_their_rules() {
        let check = |rule: fn(&str) -> Vec<String>, text: &str, good: bool| {
            assert_eq!(rule(text).is_empty(), good, "{text:?}");
        };
        for (text, good) in [
            ("a.b", true),
            ("..a", false),
            (".", false),
            (".a", true),
            ("", false),
            ("a/b", false),
        ] {
            check(config_key, text, good);
        }
        for (text, good) in [
            ("http", true),
            ("80", false),
            ("a--b", false),
            ("-a", false),
            ("A", false),
            ("a-1", true),
        ] {
            check(port_name, text, good);
        }
        for (text, good) in [
            ("10.0.0.0/8", true),
            ("10.0.0.0", false),
            ("::/0", true),
            ("10.0.0.0/33", false),
            ("x/8", false),
            ("1.1.1.1/+8", false),
        ] {
            check(cidr, text, good);
        }
        for (text, good) in [("*.a.b", true), ("*.*.b", false), ("a.b", false)] {
            check(wildcard, text, good);
        }
        for (text, good) in [
            ("A", true),
            ("a b", true),
            ("a=b", false),
            ("", false),
            ("é", false),
        ] {
            check(env_name, text, good);
        }
    }

    #[test]
    fn ranges_contain_smaller_ranges() {
        let check = |inner: &str, outer: &str, expected: bool| {
            let (inner, outer) = (parse_cidr(inner).unwrap(), parse_cidr(outer).unwrap());
            assert_eq!(is_strict_subset(inner, outer), expected);
        };
        check("10.1.0.0/16", "10.0.0.0/8", true);
        check("10.0.0.0/8", "10.0.0.0/8", false);
        check("11.0.0.0/16", "10.0.0.0/8", false);
        check("10.1.0.0/16", "0.0.0.0/0", true);
        check("::1/128", "10.0.0.0/8", false);
    }
}
