//! Request heads: the request line, the headers, and the framing of the body.

use memchr::memmem;

use super::reply::Response;

/// The longest head in bytes.
pub(crate) const MAX_HEAD: usize = 16 << 10;

/// The maximum number of headers.
const MAX_HEADERS: usize = 64;

/// A complete request head.
#[derive(Debug)]
pub(crate) struct Head<'a> {
    pub(crate) method: &'a str,
    pub(crate) target: &'a str,
    /// The client uses HTTP/1.0.
    pub(crate) old: bool,
    headers: Vec<(&'a str, &'a [u8])>,
}

/// The framing of the body.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Framing {
    None,
    Length(u64),
    Chunked,
}

/// Returns the length of the head at the front of `input`, if it is complete. `from` is how far it was searched before.
pub(crate) fn find_end(input: &[u8], from: usize) -> Option<usize> {
    let from = from.saturating_sub(3);
    let rest = &input[from..];
    let usual = memmem::find(rest, b"\n\r\n").map(|at| at + 3);
    let bare = memmem::find(&rest[..usual.unwrap_or(rest.len())], b"\n\n").map(|at| at + 2);
    bare.or(usual).map(|end| from + end)
}

/// Returns the refusal of a head of which only the beginning has arrived, if it cannot become valid.
pub(crate) fn refuse_early(input: &[u8]) -> Option<Response> {
    let mut headers = [httparse::EMPTY_HEADER; MAX_HEADERS];
    httparse::Request::new(&mut headers).parse(input).err().map(refuse)
}

fn refuse(error: httparse::Error) -> Response {
    match error {
        httparse::Error::Version => Response::refusal(505, "only HTTP/1.0 and HTTP/1.1 are supported"),
        httparse::Error::TooManyHeaders => Response::refusal(431, format!("more than {MAX_HEADERS} headers")),
        error => Response::refusal(400, format!("the request head is not valid: {error}")),
    }
    .closing()
}

impl<'a> Head<'a> {
    /// Reads a complete head.
    pub(crate) fn parse(input: &'a [u8]) -> Result<Self, Response> {
        let mut headers = [httparse::EMPTY_HEADER; MAX_HEADERS];
        let mut request = httparse::Request::new(&mut headers);
        match request.parse(input) {
            Ok(httparse::Status::Complete(_)) => {}
            Ok(httparse::Status::Partial) => {
                return Err(Response::refusal(400, "the request head is not valid").closing());
            }
            Err(error) => return Err(refuse(error)),
        }
        let head = Self {
            method: request.method.unwrap_or_default(),
            target: request.path.unwrap_or_default(),
            old: request.version == Some(0),
            headers: request.headers.iter().map(|it| (it.name, it.value)).collect(),
        };
        if !head.old && head.all("host").count() != 1 {
            return Err(Response::refusal(400, "a request needs one Host header").closing());
        }
        Ok(head)
    }

    fn all(&self, name: &str) -> impl Iterator<Item = &'a [u8]> {
        self.headers
            .iter()
            .filter(move |(known, _)| known.eq_ignore_ascii_case(name))
            .map(|(_, value)| *value)
    }

    /// Returns the value of a header that may occur once.
    pub(crate) fn get(&self, name: &str) -> Result<Option<&'a str>, Response> {
        let mut values = self.all(name);
        let Some(value) = values.next() else { return Ok(None) };
        if values.next().is_some() {
            return Err(Response::refusal(400, format!("more than one {name} header")));
        }
        match std::str::from_utf8(value) {
            Ok(value) => Ok(Some(value.trim())),
            Err(_) => Err(Response::refusal(400, format!("the {name} header is not UTF-8"))),
        }
    }

    /// Returns whether a header, a list of words, has the word.
    pub(crate) fn has(&self, name: &str, word: &str) -> bool {
        let mut words = self.all(name).flat_map(|value| value.split(|byte| *byte == b','));
        words.any(|it| it.trim_ascii().eq_ignore_ascii_case(word.as_bytes()))
    }

    /// Returns how the body is delimited.
    ///
    /// A head that two programs could read differently is refused, since it could be used for request smuggling.
    pub(crate) fn framing(&self) -> Result<Framing, Response> {
        let mut codings = self.all("transfer-encoding");
        let lengths: Vec<&[u8]> = self.all("content-length").map(<[u8]>::trim_ascii).collect();
        if let Some(coding) = codings.next() {
            if !coding.trim_ascii().eq_ignore_ascii_case(b"chunked") || codings.next().is_some() {
                return Err(Response::refusal(501, "the only supported transfer coding is chunked").closing());
            }
            if self.old || !lengths.is_empty() {
                let reason = "Transfer-Encoding with Content-Length, or in HTTP/1.0";
                return Err(Response::refusal(400, reason).closing());
            }
            return Ok(Framing::Chunked);
        }
        let Some(first) = lengths.first() else { return Ok(Framing::None) };
        let number =
            std::str::from_utf8(first).ok().filter(|it| it.bytes().all(|byte| byte.is_ascii_digit()));
        match number.and_then(|it| it.parse().ok()) {
            Some(length) if lengths.iter().all(|it| it == first) => Ok(Framing::Length(length)),
            _ => Err(Response::refusal(400, "the Content-Length is not one number").closing()),
        }
    }

    /// Returns whether the connection may be used for another request.
    pub(crate) fn keeps_alive(&self) -> bool {
        if self.old { self.has("connection", "keep-alive") } else { !self.has("connection", "close") }
    }
}
