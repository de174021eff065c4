//! One connection to one broker: frames within bounds, versions agreed on, a deadline for every answer.
//!
//! Must not know: which broker answers what, nor what to do about an answer.

use std::collections::BTreeMap;
use std::io::ErrorKind;
use std::time::Duration;

use bytes::{BufMut as _, Bytes, BytesMut};
use kafka_protocol::messages::{
    ApiKey, ApiVersionsRequest, ApiVersionsResponse, RequestHeader, ResponseHeader,
};
use kafka_protocol::protocol::{Decodable, Encodable, HeaderVersion, Message, Request, StrBytes};
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _};
use tokio::net::TcpStream;

use crate::error::{Code, KafkaError};
use crate::sasl;
use crate::security::Security;

/// Bytes of one answer that are read at most.
pub(crate) const ANSWER_BYTES: usize = 64 << 20;
/// Bytes read at a time: an announced length alone reserves nothing.
const CHUNK: usize = 64 << 10;
/// How TLS begins to say that it was not spoken to in TLS; as a length it would be far too much.
const ALERT: [u8; 2] = [0x15, 0x03];
/// How long an answer may take.
pub(crate) const ANSWER: Duration = Duration::from_secs(10);
/// How long connecting may take, agreement on versions and authentication included.
const CONNECT: Duration = Duration::from_secs(10);
/// What brokers know this client as.
const CLIENT: &str = "tidegate";

/// What bytes go through: a socket, or TLS over one.
pub(crate) trait Stream: AsyncRead + AsyncWrite + Send + Unpin {}
impl<T: AsyncRead + AsyncWrite + Send + Unpin> Stream for T {}

/// An open connection, authenticated.
pub(crate) struct Connection {
    stream: Box<dyn Stream>,
    address: String,
    correlation: i32,
    versions: BTreeMap<i16, (i16, i16)>,
    /// No user was named and nothing but versions was answered yet: the broker may want a user.
    is_unproven: bool,
}

impl std::fmt::Debug for Connection {
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        out.debug_struct("Connection")
            .field("address", &self.address)
            .finish_non_exhaustive()
    }
}

impl Connection {
    /// Connects, agrees on versions, authenticates.
    ///
    /// # Errors
    /// The broker cannot be reached, or it does not take the credentials.
    pub(crate) async fn open(address: &str, security: &Security) -> Result<Self, KafkaError> {
        let opened = tokio::time::timeout(CONNECT, Self::opened(address, security)).await;
        opened.unwrap_or_else(|_| {
            Err(KafkaError::unreachable(
                address,
                &"no answer within 10 seconds",
            ))
        })
    }

    async fn opened(address: &str, security: &Security) -> Result<Self, KafkaError> {
        let socket = TcpStream::connect(address)
            .await
            .and_then(|socket| socket.set_nodelay(true).map(|()| socket));
        let socket = socket.map_err(|error| KafkaError::unreachable(address, &error))?;
        let stream = security.wrap(socket, address).await?;
        let mut connection = Self {
            stream,
            address: address.to_owned(),
            correlation: 0,
            versions: BTreeMap::new(),
            is_unproven: false,
        };
        connection.agree().await?;
        match security.credentials() {
            Some(credentials) => sasl::authenticate(&mut connection, credentials).await?,
            None => connection.is_unproven = true,
        }
        Ok(connection)
    }

    /// Where it leads.
    pub(crate) fn address(&self) -> &str {
        &self.address
    }

    /// Asks which versions of which requests the broker knows.
    async fn agree(&mut self) -> Result<(), KafkaError> {
        let request = ApiVersionsRequest::default()
            .with_client_software_name(StrBytes::from_static_str(CLIENT))
            .with_client_software_version(StrBytes::from_static_str(env!("CARGO_PKG_VERSION")));
        let mut answer: ApiVersionsResponse = self.exchange(&request, 3).await?;
        if Code::new(answer.error_code) == Code::UNSUPPORTED_VERSION {
            answer = self.exchange(&ApiVersionsRequest::default(), 0).await?;
        }
        Code::new(answer.error_code).check("ApiVersions", None)?;
        let known = answer.api_keys.iter();
        self.versions = known
            .map(|api| (api.api_key, (api.min_version, api.max_version)))
            .collect();
        Ok(())
    }

    /// Sends a request in the newest version that both sides know, and reads its answer.
    ///
    /// # Errors
    /// The broker does not know the request, or the connection broke: it must not be used again.
    pub(crate) async fn send<R: Request>(
        &mut self,
        request: &R,
    ) -> Result<R::Response, KafkaError> {
        let version = self.version::<R>()?;
        let answer = tokio::time::timeout(ANSWER, self.exchange(request, version)).await;
        answer.unwrap_or_else(|_| {
            let name = api_name(R::KEY);
            Err(KafkaError::silent(&self.address, &name))
        })
    }

    fn version<R: Request>(&self) -> Result<i16, KafkaError> {
        let ours = <R as Message>::VERSIONS;
        let name = api_name(R::KEY);
        let Some((least, most)) = self.versions.get(&R::KEY).copied() else {
            return Err(KafkaError::unknown_request(&self.address, &name));
        };
        let version = most.min(ours.max);
        if version < least.max(ours.min) {
            return Err(KafkaError::unknown_request(&self.address, &name));
        }
        Ok(version)
    }

    async fn exchange<R: Request>(
        &mut self,
        request: &R,
        version: i16,
    ) -> Result<R::Response, KafkaError> {
        self.correlation = self.correlation.wrapping_add(1);
        let frame = self.frame(request, version)?;
        let written = async {
            self.stream.write_all(&frame).await?;
            self.stream.flush().await
        };
        written
            .await
            .map_err(|error| KafkaError::broken(&self.address, &error))?;
        let mut answer = self.read().await?;
        let name = api_name(R::KEY);
        let garbled = |why: &dyn std::fmt::Display| KafkaError::garbled(&self.address, &name, why);
        // ApiVersions is answered with the old header, so that anybody can read it.
        let layout = if R::KEY == ApiKey::ApiVersions as i16 {
            0
        } else {
            R::Response::header_version(version)
        };
        let header = ResponseHeader::decode(&mut answer, layout).map_err(|e| garbled(&e))?;
        if header.correlation_id != self.correlation {
            return Err(garbled(&"it answers another request"));
        }
        let is_old = R::KEY == ApiKey::ApiVersions as i16 && answer.len() >= 2 && {
            // A broker that does not know this version answers with the oldest one.
            Code::new(i16::from_be_bytes([answer[0], answer[1]])) == Code::UNSUPPORTED_VERSION
        };
        let version = if is_old { 0 } else { version };
        R::Response::decode(&mut answer, version).map_err(|e| garbled(&e))
    }

    fn frame<R: Request>(&self, request: &R, version: i16) -> Result<Bytes, KafkaError> {
        let mut frame = BytesMut::new();
        frame.put_i32(0);
        let header = RequestHeader::default()
            .with_request_api_key(R::KEY)
            .with_request_api_version(version)
            .with_correlation_id(self.correlation)
            .with_client_id(Some(StrBytes::from_static_str(CLIENT)));
        let encoded = header
            .encode(&mut frame, R::header_version(version))
            .and_then(|()| request.encode(&mut frame, version));
        encoded.map_err(|error| KafkaError::unsayable(&api_name(R::KEY), version, &error))?;
        let length = i32::try_from(frame.len() - 4)
            .map_err(|error| KafkaError::unsayable(&api_name(R::KEY), version, &error))?;
        frame[..4].copy_from_slice(&length.to_be_bytes());
        Ok(frame.freeze())
    }

    async fn read(&mut self) -> Result<Bytes, KafkaError> {
        let broken = |address: &str, error: &std::io::Error| KafkaError::broken(address, error);
        let mut length = [0; 4];
        let read = self.stream.read_exact(&mut length).await;
        read.map_err(|error| match error.kind() {
            ErrorKind::UnexpectedEof if self.is_unproven => KafkaError::unproven(&self.address),
            _ => broken(&self.address, &error),
        })?;
        self.is_unproven = false;
        if length[..2] == ALERT {
            return Err(KafkaError::encrypted(&self.address));
        }
        let length = usize::try_from(i32::from_be_bytes(length)).unwrap_or(usize::MAX);
        if length > ANSWER_BYTES {
            return Err(KafkaError::garbled(
                &self.address,
                "a request",
                &format!("it announces more than {ANSWER_BYTES} bytes; is this Kafka's port?"),
            ));
        }
        let mut frame = BytesMut::with_capacity(length.min(CHUNK));
        while frame.len() < length {
            let room = (length - frame.len()).min(CHUNK);
            let mut part = (&mut self.stream).take(u64::try_from(room).unwrap_or(0));
            let read = part.read_buf(&mut frame).await;
            match read {
                Ok(0) => {
                    let ended = std::io::Error::from(ErrorKind::UnexpectedEof);
                    return Err(broken(&self.address, &ended));
                }
                Ok(_) => {}
                Err(error) => return Err(broken(&self.address, &error)),
            }
        }
        Ok(frame.freeze())
    }
}

/// Kafka's name of a request.
pub(crate) fn api_name(key: i16) -> String {
    match ApiKey::try_from(key) {
        Ok(key) => format!("{key:?}"),
        Err(()) => format!("request {key}"),
    }
}
