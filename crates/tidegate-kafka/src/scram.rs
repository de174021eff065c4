//! SCRAM (RFC 5802) as clients need it: salted passwords, proofs, and the server's own proof checked.
//!
//! Must not know: connections.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use hmac::{Hmac, KeyInit as _, Mac as _};
use sha2::{Digest as _, Sha256, Sha512};

use crate::security::{Credentials, Mechanism};

/// Iterations that a server may ask for: more is an attack on our time.
const MOST_ITERATIONS: u32 = 1_000_000;

/// The hash that a mechanism is built on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Hash {
    Sha256,
    Sha512,
}

impl Hash {
    fn hmac(self, key: &[u8], message: &[u8]) -> Vec<u8> {
        match self {
            Self::Sha256 => Hmac::<Sha256>::new_from_slice(key)
                .map(|mac| mac.chain_update(message).finalize().into_bytes().to_vec()),
            Self::Sha512 => Hmac::<Sha512>::new_from_slice(key)
                .map(|mac| mac.chain_update(message).finalize().into_bytes().to_vec()),
        }
        .unwrap_or_default()
    }

    fn digest(self, of: &[u8]) -> Vec<u8> {
        match self {
            Self::Sha256 => Sha256::digest(of).to_vec(),
            Self::Sha512 => Sha512::digest(of).to_vec(),
        }
    }

    /// `Hi`: PBKDF2 with one block.
    pub(crate) fn salted(self, password: &[u8], salt: &[u8], iterations: u32) -> Vec<u8> {
        let mut first = salt.to_vec();
        first.extend_from_slice(&1_u32.to_be_bytes());
        let mut turn = self.hmac(password, &first);
        let mut sum = turn.clone();
        for _ in 1..iterations {
            turn = self.hmac(password, &turn);
            for (sum, byte) in sum.iter_mut().zip(&turn) {
                *sum ^= byte;
            }
        }
        sum
    }
}

/// The client's side of an exchange.
#[derive(Debug)]
pub(crate) struct Exchange {
    hash: Hash,
    password: String,
    nonce: String,
    first_bare: String,
    server_signature: Vec<u8>,
}

impl Exchange {
    /// Begins it; None for a mechanism that is no SCRAM.
    pub(crate) fn new(credentials: &Credentials, nonce: String) -> Option<Self> {
        let hash = match credentials.mechanism {
            Mechanism::Plain => return None,
            Mechanism::ScramSha256 => Hash::Sha256,
            Mechanism::ScramSha512 => Hash::Sha512,
        };
        let user = credentials.user.replace('=', "=3D").replace(',', "=2C");
        Some(Self {
            hash,
            password: credentials.password.clone(),
            first_bare: format!("n={user},r={nonce}"),
            nonce,
            server_signature: Vec::new(),
        })
    }

    /// The first message.
    pub(crate) fn first(&self) -> String {
        format!("n,,{}", self.first_bare)
    }

    /// The second message, after the server's first.
    ///
    /// # Errors
    /// The server's message is none, or would cost too much.
    pub(crate) fn last(&mut self, server_first: &str) -> Result<String, String> {
        let field = |name: &str| {
            let found = server_first
                .split(',')
                .find_map(|part| part.strip_prefix(name));
            found.ok_or_else(|| format!("the broker's SCRAM message lacks {name}"))
        };
        let nonce = field("r=")?;
        if !nonce.starts_with(&self.nonce) || nonce.len() == self.nonce.len() {
            return Err("the broker's nonce does not continue ours".to_owned());
        }
        let salt = STANDARD.decode(field("s=")?);
        let salt = salt.map_err(|_| "the broker's salt is no base64".to_owned())?;
        let iterations = field("i=")?.parse::<u32>();
        let iterations = iterations
            .ok()
            .filter(|count| (1..=MOST_ITERATIONS).contains(count))
            .ok_or_else(|| "the broker asks for an odd number of iterations".to_owned())?;
        let salted = self
            .hash
            .salted(self.password.as_bytes(), &salt, iterations);
        let client_key = self.hash.hmac(&salted, b"Client Key");
        let stored = self.hash.digest(&client_key);
        let without_proof = format!("c=biws,r={nonce}");
        let signed = format!("{},{server_first},{without_proof}", self.first_bare);
        let signature = self.hash.hmac(&stored, signed.as_bytes());
        let proof: Vec<u8> = client_key
            .iter()
            .zip(&signature)
            .map(|(key, signature)| key ^ signature)
            .collect();
        let server_key = self.hash.hmac(&salted, b"Server Key");
        self.server_signature = self.hash.hmac(&server_key, signed.as_bytes());
        Ok(format!("{without_proof},p={}", STANDARD.encode(proof)))
    }

    /// Checks that the server knows the password too.
    ///
    /// # Errors
    /// It does not, or it refuses us.
    pub(crate) fn check(&self, server_last: &str) -> Result<(), String> {
        if let Some(error) = server_last.strip_prefix("e=") {
            return Err(format!("the broker refuses the user: {error}"));
        }
        let proof = server_last
            .split(',')
            .find_map(|part| part.strip_prefix("v="));
        let proof = proof.and_then(|proof| STANDARD.decode(proof).ok());
        if proof.as_deref() == Some(&self.server_signature[..]) {
            return Ok(());
        }
        Err("the broker does not prove that it knows the password".to_owned())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The example of RFC 7677.
    #[test]
    fn the_example_of_the_rfc_holds() {
        let credentials = Credentials {
            mechanism: Mechanism::ScramSha256,
            user: "user".to_owned(),
            password: "pencil".to_owned(),
        };
        let mut exchange = Exchange::new(&credentials, "rOprNGfwEbeRWgbNEkqO".to_owned()).unwrap();
        assert_eq!(exchange.first(), "n,,n=user,r=rOprNGfwEbeRWgbNEkqO");
        let first = "r=rOprNGfwEbeRWgbNEkqO%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0,s=W22ZaJ0SNY7soEsUEjb6gQ==,i=4096";
        let last = exchange.last(first).unwrap();
        assert_eq!(
            last,
            "c=biws,r=rOprNGfwEbeRWgbNEkqO%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0,p=dHzbZapWIk4jUhN+Ute9ytag9zjfMHgsqmmiz7AndVQ="
        );
        let end = "v=6rriTRBi23WpRR/wtup+mMhUZUn/dB5nLTJRsjl95G4=";
        assert_eq!(exchange.check(end), Ok(()));
        assert!(exchange.check("v=AAAA").is_err());
        assert!(exchange.check("e=other-error").is_err());
    }

    #[test]
    fn odd_servers_are_refused() {
        let credentials = Credentials {
            mechanism: Mechanism::ScramSha512,
            user: "a=b,c".to_owned(),
            password: "p".to_owned(),
        };
        let mut exchange = Exchange::new(&credentials, "abc".to_owned()).unwrap();
        assert_eq!(exchange.first(), "n,,n=a=3Db=2Cc,r=abc");
        for bad in [
            "",
            "r=abc,s=AA==,i=1",
            "r=xyz,s=AA==,i=1",
            "r=abcd,s=*,i=1",
            "r=abcd,s=AA==,i=99999999",
            "r=abcd,s=AA==,i=0",
        ] {
            assert!(exchange.last(bad).is_err(), "{bad}");
        }
    }
}
