//! The exchange of requests and responses over one connection: keep-alive, pipelining, and the order of responses.

use std::collections::VecDeque;
use std::fmt;

use memchr::memchr;

use super::body::{Body, BodyError, Budget, Use};
use super::head::{self, Framing, Head, MAX_HEAD};
use super::reply::{Response, Responses, Style};
use crate::protocol::interface::{Ending, Io, Protocol};
use crate::settlement::Settlement;

/// Answers requests.
pub(crate) trait Service: Send {
    /// The part of the head that is kept until the body is complete.
    type Request: fmt::Debug + Send;

    /// Decides by its head whether a request is served.
    ///
    /// # Errors
    /// Returns the response to a request that is not served. Its body is discarded.
    fn accept(&mut self, head: &Head<'_>) -> Result<Self::Request, Response>;

    /// Serves a request. If it enqueues a parcel, that gets the ticket.
    fn serve(&mut self, request: Self::Request, body: &[u8], ticket: u64, io: &mut Io<'_>) -> Served;

    /// Returns the response to a request whose parcel is settled.
    fn settled(&self, settlement: &Settlement) -> Response {
        let _ = settlement;
        Response::refusal(503, "the request is not answered")
    }
}

/// The outcome of [`Service::serve`].
#[derive(Debug)]
pub(crate) enum Served {
    Now(Response),
    /// The response follows when the parcel is settled.
    Later,
}

/// The limits of an [`Exchange`].
#[derive(Clone, Debug)]
pub(crate) struct ExchangeOptions {
    /// Maximum length of a body in bytes, before and after decompression.
    pub(crate) max_body: usize,
    /// The bound on the bodies of all connections.
    pub(crate) budget: Budget,
    /// Where responses are counted.
    pub(crate) responses: Responses,
}

/// An HTTP/1 connection, as the server.
#[derive(Debug)]
pub(crate) struct Exchange<S: Service> {
    service: S,
    options: ExchangeOptions,
    state: State<S::Request>,
    /// How far an incomplete head has been searched for its end.
    searched: usize,
    /// The beginning of the incomplete head has been found valid.
    begun: bool,
    /// The responses that have not been written, in the order of the requests.
    replies: VecDeque<Reply>,
    next_ticket: u64,
    /// No further request is accepted: the connection ends once everything is answered.
    closing: bool,
    /// The request that has begun is the last.
    draining: bool,
}

#[derive(Debug)]
enum State<R> {
    Head,
    Body { body: Body, purpose: Purpose<R>, style: Style },
}

#[derive(Debug)]
enum Purpose<R> {
    Serve(R),
    /// The request is refused once its body has been skipped.
    Refuse(Response),
}

#[derive(Debug)]
struct Reply {
    ticket: u64,
    style: Style,
    content: Content,
}

#[derive(Debug)]
enum Content {
    /// The parcel is not settled.
    Pending,
    Ready(Response),
    /// `100 Continue`.
    Continue,
}

impl<S: Service> Exchange<S> {
    pub(crate) fn with_service(service: S, options: ExchangeOptions) -> Self {
        Self {
            service,
            options,
            state: State::Head,
            searched: 0,
            begun: false,
            replies: VecDeque::new(),
            next_ticket: 0,
            closing: false,
            draining: false,
        }
    }

    /// Consumes a part of a request. Returns `None` if more bytes are needed.
    fn step(&mut self, input: &[u8], io: &mut Io<'_>) -> Option<usize> {
        match &mut self.state {
            State::Head => self.head(input, io),
            State::Body { body, .. } => match body.receive(input) {
                Ok((consumed, false)) => (consumed > 0).then_some(consumed),
                Ok((consumed, true)) => {
                    self.complete(io);
                    Some(consumed)
                }
                Err(BodyError(response)) => {
                    self.fail(response);
                    None
                }
            },
        }
    }

    /// Consumes a head.
    fn head(&mut self, input: &[u8], io: &mut Io<'_>) -> Option<usize> {
        // Empty lines before a request are ignored.
        let blank = input.iter().take_while(|byte| matches!(byte, b'\r' | b'\n')).count();
        if blank > 0 {
            return Some(blank);
        }
        if input.is_empty() {
            return None;
        }
        let Some(end) = head::find_end(input, self.searched).filter(|end| *end <= MAX_HEAD) else {
            if input.len() >= MAX_HEAD {
                let reason = format!("the request head is longer than {MAX_HEAD} bytes");
                self.fail(Response::refusal(431, reason).closing());
            } else if !self.begun && memchr(b'\n', &input[self.searched..]).is_some() {
                self.begun = true;
                if let Some(response) = head::refuse_early(input) {
                    self.fail(response);
                }
            }
            self.searched = input.len();
            return None;
        };
        (self.searched, self.begun) = (0, false);
        match Head::parse(&input[..end]).and_then(|head| Ok((head.framing()?, head))) {
            Ok((framing, head)) => Some(end + self.begin(&head, framing, &input[end..], io)),
            Err(response) => {
                self.fail(response);
                None
            }
        }
    }

    /// Begins a request. Returns how many bytes of its body are consumed with it.
    fn begin(&mut self, head: &Head<'_>, framing: Framing, rest: &[u8], io: &mut Io<'_>) -> usize {
        let style = Style { head: head.method == "HEAD", old: head.old, close: !head.keeps_alive() };
        let framing = match framing {
            Framing::None if head.method == "POST" => {
                let reason = "a POST needs a Content-Length, or Transfer-Encoding: chunked";
                self.fail(Response::refusal(411, reason).closing());
                return 0;
            }
            Framing::Length(0) => Framing::None,
            framing => framing,
        };
        if let Framing::Length(length) = framing
            && length > self.options.max_body as u64
        {
            let reason = format!("the body is larger than {} bytes", self.options.max_body);
            self.answer(style, Response::refusal(413, reason).closing());
            return 0;
        }
        let expects = match head.get("expect") {
            Ok(None) => false,
            Ok(Some(it)) if it.eq_ignore_ascii_case("100-continue") => !head.old,
            _ => {
                self.answer(style, Response::refusal(417, "only 100-continue can be expected").closing());
                return 0;
            }
        };
        let decision = usage(head).and_then(|usage| Ok((usage, self.service.accept(head)?)));
        let (usage, purpose) = match decision {
            Ok((usage, request)) => (usage, Purpose::Serve(request)),
            // The body may or may not follow.
            Err(response) if expects => {
                self.answer(style, response.closing());
                return 0;
            }
            Err(response) => (Use::Discard, Purpose::Refuse(response)),
        };
        if let (Framing::Length(length), Use::Plain, Purpose::Serve(_)) = (framing, usage, &purpose)
            && let Some(body) = usize::try_from(length).ok().and_then(|length| rest.get(..length))
        {
            // The whole body is here: it need not be collected.
            if let Purpose::Serve(request) = purpose {
                self.serve(request, body, style, io);
            }
            return body.len();
        }
        if framing != Framing::None && expects && rest.is_empty() {
            self.replies.push_back(Reply { ticket: u64::MAX, style, content: Content::Continue });
        }
        let body = Body::new(framing, usage, self.options.max_body, &self.options.budget);
        self.state = State::Body { body, purpose, style };
        if framing == Framing::None {
            self.complete(io);
        }
        0
    }

    /// Serves the request whose body is complete.
    fn complete(&mut self, io: &mut Io<'_>) {
        let State::Body { body, purpose, style } = std::mem::replace(&mut self.state, State::Head) else {
            return;
        };
        let outcome = match purpose {
            Purpose::Refuse(response) => {
                self.answer(style, response);
                Ok(())
            }
            Purpose::Serve(request) => body.finish(|bytes| self.serve(request, bytes, style, io)),
        };
        if let Err(BodyError(response)) = outcome {
            self.answer(style, response);
        }
    }

    fn serve(&mut self, request: S::Request, body: &[u8], style: Style, io: &mut Io<'_>) {
        let ticket = self.next_ticket;
        self.next_ticket += 1;
        let content = match self.service.serve(request, body, ticket, io) {
            Served::Now(response) => Content::Ready(response),
            Served::Later => Content::Pending,
        };
        self.push(Reply { ticket, style, content });
    }

    fn answer(&mut self, style: Style, response: Response) {
        self.push(Reply { ticket: u64::MAX, style, content: Content::Ready(response) });
    }

    /// Answers a request that is not understood.
    fn fail(&mut self, response: Response) {
        match std::mem::replace(&mut self.state, State::Head) {
            State::Head => self.answer(Style::default(), response.closing()),
            State::Body { style, purpose: Purpose::Serve(_), .. } => self.answer(style, response.closing()),
            State::Body { style, purpose: Purpose::Refuse(first), .. } => self.answer(style, first.closing()),
        }
    }

    fn push(&mut self, reply: Reply) {
        let last = reply.style.close || self.draining;
        self.closing |= last || matches!(&reply.content, Content::Ready(response) if response.close);
        self.replies.push_back(reply);
    }

    /// Writes the responses whose predecessors have all been written.
    fn write(&mut self, io: &mut Io<'_>) {
        while let Some(reply) = self.replies.front() {
            match &reply.content {
                Content::Pending => break,
                Content::Continue => io.out.extend_from_slice(b"HTTP/1.1 100 Continue\r\n\r\n"),
                Content::Ready(response) => {
                    let close = reply.style.close || self.closing && self.replies.len() == 1;
                    if response.status >= 400 {
                        log::debug!("{}: answered {}", io.peer, response.status);
                    }
                    let style = Style { close, ..reply.style };
                    response.write(style, io.received, &self.options.responses, &mut io.out);
                }
            }
            self.replies.pop_front();
        }
        if self.closing {
            io.close = true;
        }
    }
}

impl<S: Service> Protocol for Exchange<S> {
    fn receive(&mut self, input: &[u8], io: &mut Io<'_>) -> usize {
        let mut at = 0;
        while !self.closing
            && let Some(consumed) = self.step(&input[at..], io)
        {
            at += consumed;
        }
        self.write(io);
        if self.closing {
            self.state = State::Head;
            return input.len();
        }
        at
    }

    fn end(&mut self, _rest: &[u8], _ending: Ending, _io: &mut Io<'_>) {
        // An incomplete request is not answered: its sender keeps the messages.
        self.closing = true;
        self.state = State::Head;
    }

    fn settled(&mut self, ticket: u64, settlement: &Settlement, io: &mut Io<'_>) {
        if let Some(reply) = self.replies.iter_mut().find(|it| it.ticket == ticket) {
            reply.content = Content::Ready(self.service.settled(settlement));
        }
        self.write(io);
    }

    fn drain(&mut self, io: &mut Io<'_>) {
        self.draining = true;
        // A request that has begun to arrive is served.
        if matches!(self.state, State::Head) && self.searched == 0 {
            self.closing = true;
        }
        self.write(io);
    }

    fn refuses_when_full(&self) -> bool {
        true
    }

    fn unsettled(&self) -> usize {
        self.replies.len()
    }

    fn memory(&self) -> usize {
        let body = match &self.state {
            State::Head => 0,
            State::Body { body, .. } => body.memory(),
        };
        let bodies = |reply: &Reply| match &reply.content {
            Content::Ready(response) => response.body.capacity(),
            Content::Pending | Content::Continue => 0,
        };
        let replies: usize = self.replies.iter().map(bodies).sum();
        body + replies + self.replies.capacity() * size_of::<Reply>()
    }
}

/// Returns the use of the body by its content coding.
fn usage(head: &Head<'_>) -> Result<Use, Response> {
    match head.get("content-encoding")? {
        None => Ok(Use::Plain),
        Some(it) if it.eq_ignore_ascii_case("identity") => Ok(Use::Plain),
        Some(it) if it.eq_ignore_ascii_case("gzip") || it.eq_ignore_ascii_case("x-gzip") => Ok(Use::Gzip),
        Some(it) => {
            let reason = format!("the content coding {it:?} is not supported; use gzip, or none");
            Err(Response::refusal(415, reason).header("Accept-Encoding", "gzip"))
        }
    }
}
