//! Request bodies: delimited by a length or in chunks, plain or compressed, bounded in memory.

use std::io::{self, Write};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use flate2::write::MultiGzDecoder;
use memchr::memchr;

use super::head::Framing;
use super::reply::Response;

/// The longest line that begins a chunk, and the longest trailer.
const MAX_CHUNK_LINE: usize = 1 << 10;

/// The longest trailer section.
const MAX_TRAILERS: usize = 16 << 10;

/// A bound on the memory of the bodies of all connections. Clones share it.
#[derive(Clone, Debug)]
pub(crate) struct Budget(Arc<(AtomicUsize, usize)>);

impl Budget {
    /// Creates a budget of `bytes`.
    pub(crate) fn new(bytes: usize) -> Self {
        Self(Arc::new((AtomicUsize::new(0), bytes)))
    }

    fn reserve(&self, bytes: usize) -> bool {
        let (used, most) = &*self.0;
        if used.fetch_add(bytes, Ordering::Relaxed) + bytes > *most {
            self.release(bytes);
            return false;
        }
        true
    }

    fn release(&self, bytes: usize) {
        self.0.0.fetch_sub(bytes, Ordering::Relaxed);
    }

    #[cfg(test)]
    pub(crate) fn used(&self) -> usize {
        self.0.0.load(Ordering::Relaxed)
    }
}

/// The use of the bytes of a body.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Use {
    Plain,
    Gzip,
    /// The request is refused already; the body is read to find the next request.
    Discard,
}

/// A body while it arrives.
#[derive(Debug)]
pub(crate) struct Body {
    frame: Frame,
    content: Content,
    /// How many bytes may still arrive, before decompression.
    room: usize,
}

/// Where in the body the next byte is.
#[derive(Debug)]
enum Frame {
    /// In data, of which so much is missing.
    Length(u64),
    ChunkLine,
    ChunkData(u64),
    /// Behind the data of a chunk.
    ChunkEnd,
    /// In the trailers, which may have so many bytes.
    Trailers(usize),
}

#[derive(Debug)]
enum Content {
    Plain(Bounded),
    Gzip(Box<MultiGzDecoder<Bounded>>),
    Discarded,
}

/// Bytes up to a limit.
#[derive(Debug)]
struct Bounded {
    bytes: Vec<u8>,
    most: usize,
    budget: Budget,
    reserved: usize,
    failure: Option<Exceeded>,
}

#[derive(Clone, Copy, Debug)]
enum Exceeded {
    Body,
    Budget,
}

impl Write for Bounded {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        if bytes.len() > self.most - self.bytes.len() {
            self.failure = Some(Exceeded::Body);
            return Err(io::ErrorKind::FileTooLarge.into());
        }
        let length = self.bytes.len() + bytes.len();
        if length > self.bytes.capacity() {
            // Grows by doubling, and reserves the allocated bytes.
            let capacity = (2 * self.bytes.capacity()).clamp(4096, self.most.max(4096)).max(length);
            if !self.budget.reserve(capacity - self.reserved) {
                self.failure = Some(Exceeded::Budget);
                return Err(io::ErrorKind::OutOfMemory.into());
            }
            self.reserved = capacity;
            self.bytes.reserve_exact(capacity - self.bytes.len());
        }
        self.bytes.extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl Drop for Bounded {
    fn drop(&mut self) {
        self.budget.release(self.reserved);
    }
}

/// A body that cannot be read. The bytes behind it cannot be interpreted.
#[derive(Debug)]
pub(crate) struct BodyError(pub(crate) Response);

impl Body {
    /// Creates an empty body that is at most `most` bytes long, before and after decompression.
    pub(crate) fn new(framing: Framing, usage: Use, most: usize, budget: &Budget) -> Self {
        let bounded =
            || Bounded { bytes: Vec::new(), most, budget: budget.clone(), reserved: 0, failure: None };
        Self {
            frame: match framing {
                Framing::None => Frame::Length(0),
                Framing::Length(length) => Frame::Length(length),
                Framing::Chunked => Frame::ChunkLine,
            },
            content: match usage {
                Use::Plain => Content::Plain(bounded()),
                Use::Gzip => Content::Gzip(Box::new(MultiGzDecoder::new(bounded()))),
                Use::Discard => Content::Discarded,
            },
            room: most,
        }
    }

    /// Consumes bytes of the body. Returns how many, and whether the body is complete.
    pub(crate) fn receive(&mut self, input: &[u8]) -> Result<(usize, bool), BodyError> {
        let mut at = 0;
        loop {
            let rest = &input[at..];
            match self.frame {
                Frame::Length(0) => return Ok((at, true)),
                Frame::Length(missing) => {
                    let taken = self.data(rest, missing)?;
                    at += taken;
                    self.frame = Frame::Length(missing - taken as u64);
                    if taken as u64 != missing {
                        return Ok((at, false));
                    }
                }
                Frame::ChunkData(missing) => {
                    let taken = self.data(rest, missing)?;
                    at += taken;
                    if taken as u64 != missing {
                        self.frame = Frame::ChunkData(missing - taken as u64);
                        return Ok((at, false));
                    }
                    self.frame = Frame::ChunkEnd;
                }
                Frame::ChunkLine => {
                    let Some(length) = line(rest, MAX_CHUNK_LINE)? else { return Ok((at, false)) };
                    at += length;
                    self.frame = match chunk_size(&rest[..length])? {
                        0 => Frame::Trailers(MAX_TRAILERS),
                        size => Frame::ChunkData(size),
                    };
                }
                Frame::ChunkEnd => {
                    let Some(length) = line(rest, 2)? else { return Ok((at, false)) };
                    if !matches!(&rest[..length], b"\r\n" | b"\n") {
                        return Err(malformed("a chunk is longer than its size says"));
                    }
                    at += length;
                    self.frame = Frame::ChunkLine;
                }
                Frame::Trailers(room) => {
                    let Some(length) = line(rest, MAX_CHUNK_LINE.min(room))? else { return Ok((at, false)) };
                    at += length;
                    if matches!(&rest[..length], b"\r\n" | b"\n") {
                        self.frame = Frame::Length(0);
                    } else {
                        self.frame = Frame::Trailers(room - length);
                    }
                }
            }
        }
    }

    /// Adds data of the body, of which `missing` bytes are still to come.
    fn data(&mut self, input: &[u8], missing: u64) -> Result<usize, BodyError> {
        let taken = usize::try_from(missing).unwrap_or(usize::MAX).min(input.len());
        let input = &input[..taken];
        if taken > self.room {
            return Err(too_large());
        }
        self.room -= taken;
        let written = match &mut self.content {
            Content::Plain(bounded) => bounded.write_all(input),
            Content::Gzip(decoder) => decoder.write_all(input),
            Content::Discarded => Ok(()),
        };
        written.map_err(|error| self.error(&error))?;
        Ok(taken)
    }

    fn error(&self, error: &io::Error) -> BodyError {
        let failure = match &self.content {
            Content::Plain(bounded) => bounded.failure,
            Content::Gzip(decoder) => decoder.get_ref().failure,
            Content::Discarded => None,
        };
        match failure {
            Some(Exceeded::Body) => too_large(),
            Some(Exceeded::Budget) => {
                let reason = "too many requests at once: there is no memory for this body";
                BodyError(Response::refusal(503, reason).header("Retry-After", "1").closing())
            }
            None => malformed(format!("the body is not gzip: {error}")),
        }
    }

    /// Passes the bytes of the complete body to `consume`.
    pub(crate) fn finish<R>(mut self, consume: impl FnOnce(&[u8]) -> R) -> Result<R, BodyError> {
        if let Content::Gzip(decoder) = &mut self.content
            && let Err(error) = decoder.try_finish()
        {
            return Err(self.error(&error));
        }
        Ok(match &self.content {
            Content::Plain(bounded) => consume(&bounded.bytes),
            Content::Gzip(decoder) => consume(&decoder.get_ref().bytes),
            Content::Discarded => consume(&[]),
        })
    }

    /// Returns the number of bytes in memory.
    pub(crate) fn memory(&self) -> usize {
        /// The memory of a decoder.
        const DECODER: usize = 80 << 10;
        match &self.content {
            Content::Plain(bounded) => bounded.bytes.capacity(),
            Content::Gzip(decoder) => DECODER + decoder.get_ref().bytes.capacity(),
            Content::Discarded => 0,
        }
    }
}

/// Returns the length of the line at the front of `input` with its end, if it is complete.
fn line(input: &[u8], most: usize) -> Result<Option<usize>, BodyError> {
    match memchr(b'\n', &input[..input.len().min(most)]) {
        Some(at) => Ok(Some(at + 1)),
        None if input.len() >= most => Err(malformed("the chunks of the body are not valid")),
        None => Ok(None),
    }
}

/// Reads the line that begins a chunk: a hexadecimal number, and extensions, which are ignored.
fn chunk_size(line: &[u8]) -> Result<u64, BodyError> {
    let text = line.trim_ascii_end();
    let number = &text[..memchr(b';', text).unwrap_or(text.len())];
    let number = number.trim_ascii_end();
    let size = std::str::from_utf8(number).ok().filter(|it| it.bytes().all(|byte| byte.is_ascii_hexdigit()));
    let size = size.filter(|it| it.len() <= 15).and_then(|it| u64::from_str_radix(it, 16).ok());
    size.ok_or_else(|| malformed("the size of a chunk is not a hexadecimal number"))
}

fn malformed(reason: impl Into<String>) -> BodyError {
    BodyError(Response::refusal(400, reason).closing())
}

fn too_large() -> BodyError {
    BodyError(Response::refusal(413, "the body is too large").closing())
}
