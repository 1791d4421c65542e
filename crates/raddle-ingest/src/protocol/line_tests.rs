//! Lines and counted frames, on chosen and on arbitrary bytes.
//!
//! The properties run on a few hundred inputs each; `RADDLE_FUZZ_INPUTS=10000000` sets another number (see `testing::inputs`).

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::UNIX_EPOCH;

use jiff::tz::TimeZone;
use proptest::prelude::*;

use super::interface::{Ending, Io, Protocol};
use super::lines::{LineOptions, Lines};
use super::testing::{inputs, pieces};
use crate::books::SourceId;
use crate::message::{Content, Parcel};
use crate::settlement::{Acknowledge, Settlement};

/// The bytes that a connection may keep beyond the limit of a message: a count, its space, a line ending, and a count
/// that follows.
const SLACK: usize = 32;

/// What a connection may keep while it searches for a frame: a frame or a line, two frames behind it or within it, and what is around them.
pub(super) const fn bound(max_message: usize) -> usize {
    3 * (max_message + SLACK)
}

/// Ignores settlements.
struct Nobody;

impl Acknowledge for Nobody {
    fn settle(&self, _connection: u64, _ticket: u64, _settlement: Settlement) {}

    fn flush(&self) {}
}

/// The output of a protocol for a stream.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Outcome {
    /// The messages: texts as they are, rejected ones with their reason, length and bytes.
    pub(super) messages: Vec<String>,
    out: Vec<u8>,
    close: bool,
    pub(super) doubtful: u64,
}

/// A call of a protocol.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Call<'a> {
    Receive(&'a [u8]),
    Pause,
}

/// Feeds a stream to a protocol, as a connection does. Panics if the protocol keeps more than `bound` bytes.
pub(super) fn run(
    protocol: &mut dyn Protocol,
    calls: &[Call<'_>],
    ending: Ending,
    bound: usize,
) -> (Vec<Parcel>, Outcome) {
    let peer: Arc<str> = "peer".into();
    let acknowledge: Arc<dyn Acknowledge> = Arc::new(Nobody);
    let mut io = Io {
        source: SourceId::FIRST,
        peer: &peer,
        received: UNIX_EPOCH,
        connection: 1,
        acknowledge: &acknowledge,
        parcels: Vec::new(),
        out: Vec::new(),
        close: false,
        doubtful: 0,
    };
    let mut rest = Vec::new();
    for call in calls {
        let count = match call {
            Call::Receive(bytes) => {
                rest.extend_from_slice(bytes);
                protocol.receive(&rest, &mut io)
            }
            Call::Pause => protocol.pause(&rest, &mut io),
        };
        rest.drain(..count);
        let kept = rest.len() + protocol.memory();
        assert!(kept <= bound, "{kept} bytes are kept, more than {bound}");
    }
    protocol.end(&rest, ending, &mut io);
    let outcome = Outcome {
        messages: io.parcels.iter().flat_map(Parcel::rows).map(|row| shown(&row.content)).collect(),
        out: io.out,
        close: io.close,
        doubtful: io.doubtful,
    };
    (io.parcels, outcome)
}

/// Shows a message in a short form.
fn shown(content: &Content<'_>) -> String {
    match content {
        Content::Text(text, _) => (*text).to_owned(),
        Content::Rejected { reason, length, bytes } => {
            format!("rejected: {reason}, {length}: {:?}", String::from_utf8_lossy(bytes))
        }
    }
}

pub(super) fn lines(max_message: usize) -> Lines {
    Lines::new(LineOptions { max_message, zone: TimeZone::UTC })
}

fn outcome(max: usize, calls: &[Call<'_>], ending: Ending) -> Outcome {
    let (parcels, outcome) = run(&mut lines(max), calls, ending, bound(max));
    assert!(parcels.len() <= calls.len() + 1, "one parcel per read");
    assert!(parcels.iter().all(|parcel| !parcel.is_empty()));
    outcome
}

/// Checks the messages of a stream that arrives as a whole, byte by byte, and in pieces of two; with and without pauses.
#[track_caller]
fn check_ending(stream: &[u8], ending: Ending, messages: &[&str], doubtful: u64) {
    let whole = outcome(100, &[Call::Receive(stream)], ending);
    assert_eq!(whole.messages, messages, "{:?}", String::from_utf8_lossy(stream));
    assert_eq!(whole.doubtful, doubtful);
    assert!(whole.out.is_empty() && !whole.close);
    for size in 1..=stream.len().min(7) {
        let calls: Vec<_> = stream.chunks(size).map(Call::Receive).collect();
        assert_eq!(outcome(100, &calls, ending), whole, "in pieces of {size}");
    }
}

#[track_caller]
fn check(stream: impl AsRef<[u8]>, messages: &[&str], doubtful: u64) {
    check_ending(stream.as_ref(), Ending::Closed, messages, doubtful);
}

#[test]
fn line_ends_with_newline_or_return_and_newline() {
    check(b"a\nb\r\n\n\r\nc\rd\n\r\r\n", &["a", "b", "", "", "c\rd", "\r"], 0);
}

#[test]
fn unterminated_last_line_is_a_message_if_the_sender_closed() {
    check("a\nb", &["a", "b"], 0);
    check("a\nb\r", &["a", "b"], 0);
    check("a\n", &["a"], 0);
    check("", &[], 0);
}

#[test]
fn unterminated_last_line_is_rejected_if_the_stream_was_cut() {
    check_ending(b"a\nb\r", Ending::Cut, &["a", "rejected: incomplete, 2: \"b\\r\""], 0);
    check_ending(b"a\n", Ending::Cut, &["a"], 0);
    check_ending(b"a\n12", Ending::Cut, &["a", "rejected: incomplete, 2: \"12\""], 0);
    check_ending(b"20 <13>", Ending::Cut, &["rejected: incomplete, 7: \"20 <13>\""], 1);
}

#[test]
fn messages_that_are_no_text_are_rejected_with_the_reason() {
    let long = "x".repeat(101);
    let rejected = format!("rejected: oversized, 101: {:?}", &long[..100]);
    check(
        [b"one\nb\xffd\nn\0l\n", long.as_bytes(), b"\r\n", &long.as_bytes()[..100], b"\r\nlast"].concat(),
        &[
            "one",
            "rejected: not UTF-8, 3: \"b\u{fffd}d\"",
            "rejected: contains NUL, 3: \"n\\0l\"",
            &rejected,
            &long[..100],
            "last",
        ],
        0,
    );
    check("7 <13>a\0b8 <13>b\u{e9}c", &["rejected: contains NUL, 7: \"<13>a\\0b\"", "<13>béc"], 0);
    check(b"6 <13>\xff\xfe6 <13>ab", &["rejected: not UTF-8, 6: \"<13>\u{fffd}\u{fffd}\"", "<13>ab"], 0);
}

#[test]
fn counted_frames_of_logger_are_recognised() {
    // logger --octet-count -T, of util-linux 2.38: no separator
    check(
        "93 <13>1 2026-11-29T20:30:03.423142+00:00 vm root - - [timeQuality tzKnown=\"1\" isSynced=\"0\"] one\
         99 <13>1 2026-11-29T20:30:03.423195+00:00 vm root - - [timeQuality tzKnown=\"1\" isSynced=\"0\"] two lines",
        &[
            "<13>1 2026-11-29T20:30:03.423142+00:00 vm root - - [timeQuality tzKnown=\"1\" isSynced=\"0\"] one",
            "<13>1 2026-11-29T20:30:03.423195+00:00 vm root - - [timeQuality tzKnown=\"1\" isSynced=\"0\"] two lines",
        ],
        0,
    );
    check(
        "32 <13>Nov 29 20:30:03 vm root: one38 <13>Nov 29 20:30:03 vm root: two lines",
        &["<13>Nov 29 20:30:03 vm root: one", "<13>Nov 29 20:30:03 vm root: two lines"],
        0,
    );
}

#[test]
fn counted_frames_of_rsyslog_are_recognised() {
    // omfwd, rsyslog 8.2302, octet-counted
    check(
        "31 <13>Nov 29 20:31:50 vm app: one40 <13>Nov 29 20:31:50 vm app: two#012lines35 <13>Nov 29 20:31:50 vm app: last é",
        &[
            "<13>Nov 29 20:31:50 vm app: one",
            "<13>Nov 29 20:31:50 vm app: two#012lines",
            "<13>Nov 29 20:31:50 vm app: last é",
        ],
        0,
    );
    // with RSYSLOG_SyslogProtocol23Format, which ends with a newline that is counted
    check(
        "57 <13>1 2026-11-29T20:31:52.400293+00:00 vm app - - -  one\n\
         66 <13>1 2026-11-29T20:31:52.403962+00:00 vm app - - -  two#012lines\n",
        &[
            "<13>1 2026-11-29T20:31:52.400293+00:00 vm app - - -  one",
            "<13>1 2026-11-29T20:31:52.403962+00:00 vm app - - -  two#012lines",
        ],
        0,
    );
    // traditional, with TCP_FrameDelimiter="0"
    check(
        "<13>Nov 29 20:31:58 vm app: one\0<13>Nov 29 20:31:58 vm app: two#012lines\0<13>Nov 29 20:31:58 vm app: last é\0",
        &[
            "<13>Nov 29 20:31:58 vm app: one",
            "<13>Nov 29 20:31:58 vm app: two#012lines",
            "<13>Nov 29 20:31:58 vm app: last é",
        ],
        0,
    );
}

#[test]
fn messages_of_python_end_with_nul() {
    // logging.handlers.SysLogHandler over TCP
    check("<12>hi\0<11>app: x\0", &["<12>hi", "<11>app: x"], 0);
    // NUL in the middle does not end a line.
    check("<12>hi\0there\0\n", &["rejected: contains NUL, 13: \"<12>hi\\0there\\0\""], 0);
}

#[test]
fn counted_frame_may_contain_and_be_followed_by_a_line_ending() {
    check("7 <13>a\nb7 <13>c\nd", &["<13>a\nb", "<13>c\nd"], 0);
    for ending in ["", "\n", "\r\n", "\0"] {
        let stream = format!("5 <13>a{ending}5 <13>b{ending}");
        check(&stream, &["<13>a", "<13>b"], 0);
        let stream = format!("5 <13>a{ending}<13>line\n5 <13>b{ending}<14>last");
        check(&stream, &["<13>a", "<13>line", "<13>b", "<14>last"], 0);
    }
    for ending in ["\n", "\r\n", "\0"] {
        // counted with the message, as well
        let stream = format!("{0} <13>a{ending}{0} <13>b{ending}", 5 + ending.len());
        check(&stream, &["<13>a", "<13>b"], 0);
    }
    check("5 <13>a\nplain\n5 <13>b\n\n", &["<13>a", "plain", "<13>b", ""], 0);
}

#[test]
fn line_that_looks_like_a_counted_frame_is_doubtful() {
    check("5 <13>abc\nnext\n", &["5 <13>abc", "next"], 1);
    check("3 <13>abc\n", &["3 <13>abc"], 1);
    check("101 <13>abc\nnext\n", &["101 <13>abc", "next"], 1);
    check("99999999999 <13>abc\nnext\n", &["99999999999 <13>abc", "next"], 0);
    check("50 <13>abc\nnext\n", &["50 <13>abc", "next"], 1);
    for line in ["5 a\n", "5\n", "<5 <\n", "05 <13>a\n", "5  <13>a\n", "5 \n", "-5 <13>a\n"] {
        check(line, &[line.trim_end_matches('\n')], 0);
    }
    check("12 ", &["12 "], 0);
    check("12", &["12"], 0);
}

#[test]
fn incomplete_counted_frame_after_another_is_rejected() {
    check("5 <13>a20 <13>abc", &["<13>a", "rejected: incomplete, 7: \"<13>abc\""], 0);
    check_ending(b"5 <13>a20 <13>abc", Ending::Cut, &["<13>a", "rejected: incomplete, 7: \"<13>abc\""], 0);
}

#[test]
fn oversized_counted_frame_after_another_does_not_affect_the_next() {
    let long = format!("204 <13>{}", "x".repeat(200));
    let rejected = |length| format!("rejected: oversized, {length}: {:?}", &long[..100]);
    check(format!("5 <13>a{long}5 <13>b"), &["<13>a", &rejected(208), "<13>b"], 1);
    check(format!("5 <13>a{long}\n5 <13>b"), &["<13>a", &rejected(208), "<13>b"], 1);
    check(format!("5 <13>a{long}line\n"), &["<13>a", &rejected(212)], 1);
    check(format!("5 <13>a{long}"), &["<13>a", &rejected(208)], 1);
}

#[test]
fn count_beyond_the_limit_is_no_count() {
    for count in ["101", "300", "1073741824", "5000000000", "9999999999"] {
        let line = format!("{count} <13>b");
        check(format!("{line}\nc"), &[&line, "c"], 1);
        check(format!("5 <13>a{line}\nc"), &["<13>a", &line, "c"], 1);
        check(format!("5 <13>a{line}"), &["<13>a", &line], 1);
        check_resumes(format!("8 <13>good{line}"), &["<13>good", &line], 1);
    }
    // One that is believed waits for as many bytes, and not for more.
    check_resumes("8 <13>good100 <13>b", &["<13>good", "100 <13>b"], 1);
}

#[test]
fn pause_ends_a_message_that_only_following_bytes_would_confirm() {
    let ended = |calls: &[Call<'_>]| {
        let (parcels, outcome) = run(&mut lines(100), calls, Ending::Closed, 100 + SLACK);
        (parcels.len(), outcome.messages.join("|"), outcome.doubtful)
    };
    let counted = Call::Receive(b"5 <13>a");
    // The first parcel is there before the second read.
    assert_eq!(ended(&[counted, Call::Pause, counted]), (2, "<13>a|<13>a".to_owned(), 0));
    assert_eq!(ended(&[counted, Call::Receive(b"1"), Call::Pause]), (2, "<13>a|1".to_owned(), 0));
    let nul = Call::Receive(b"<13>a\0");
    assert_eq!(ended(&[nul, Call::Pause, nul]), (2, "<13>a|<13>a".to_owned(), 0));
    // The line ending comes later.
    for ending in [&b"\n"[..], b"\0", b"\r\n"] {
        let calls = [counted, Call::Pause, Call::Receive(ending), Call::Pause, counted];
        assert_eq!(ended(&calls), (2, "<13>a|<13>a".to_owned(), 0));
    }
    // It was no counted frame.
    assert_eq!(ended(&[counted, Call::Pause, Call::Receive(b"bc\n")]), (2, "<13>a|bc".to_owned(), 1));
    // The first is a frame; the second has begun.
    let begun = Call::Receive(b"5 <13>a9 <13>ab");
    assert_eq!(ended(&[begun, Call::Pause, Call::Receive(b"cde")]), (2, "<13>a|<13>abcde".to_owned(), 0));
    // The count is too large by one, and the frame that shows it arrives after a pause.
    let begun = Call::Receive(b"8 <13>abc15 <13>mess");
    assert_eq!(
        ended(&[begun, Call::Pause, Call::Receive(b"age one5 <13>b")]),
        (2, "8 <13>abc|<13>message one|<13>b".to_owned(), 1)
    );
    // An incomplete line or frame remains.
    for incomplete in [&b"5 <13>"[..], b"5 <13>a50 <13>b\n", b"abc", b"12", b"12 ", b""] {
        let calls = [Call::Receive(incomplete), Call::Pause];
        let (parcels, _) = run(&mut lines(100), &calls, Ending::Closed, 100 + SLACK);
        assert!(parcels.len() <= 2, "it came with the end");
    }
}

#[test]
fn line_that_waits_for_as_many_bytes_as_it_seems_to_count_ends_with_a_pause() {
    for (stream, messages) in [
        ("50 <13>abc\n", "50 <13>abc"),
        ("50 <13>abc\n51 <b>\n", "50 <13>abc|51 <b>"),
        // Other frames are behind it.
        ("90 <13>bad5 <13>b5 <13>c", "90 <13>bad|<13>b|<13>c"),
        ("5 <13>a90 <13>bad5 <13>b\n5 <13>c\r\n", "<13>a|90 <13>bad|<13>b|<13>c"),
    ] {
        let calls = [Call::Receive(stream.as_bytes()), Call::Pause];
        let (parcels, outcome) = run(&mut lines(100), &calls, Ending::Closed, bound(100));
        assert_eq!((parcels.len(), outcome.messages.join("|").as_str()), (1, messages), "nothing waits");
    }
    // A frame may contain a line ending, and what looks like the beginning of another frame.
    let frame = "32 <13>one\ntwo 5 <13>a5 <13>b three";
    for length in 1..frame.len() {
        let (first, second) = frame.split_at(length);
        let calls = ["5 <13>x", first, second].map(|it| Call::Receive(it.as_bytes()));
        let calls = [calls[0], calls[1], Call::Pause, calls[2]];
        let (_, outcome) = run(&mut lines(100), &calls, Ending::Closed, bound(100));
        if !first.ends_with("<13>b") {
            assert_eq!(outcome.messages, ["<13>x", &frame[3..]], "a pause after {first:?}");
        }
    }
}

#[test]
fn oversized_line_is_counted_and_not_buffered() {
    let mut calls = vec![Call::Receive(&[b'x'; 1024]); 10_000];
    calls.push(Call::Receive(b"\r\nshort\n"));
    let (_, outcome) = run(&mut lines(1000), &calls, Ending::Cut, 1000 + SLACK);
    let rejected = format!("rejected: oversized, 10240000: {:?}", "x".repeat(1000));
    assert_eq!(outcome.messages, [rejected.as_str(), "short"]);
}

/// Checks that after a frame that is not recognised, the frames behind it are: `before` are the messages up to them.
#[track_caller]
fn check_resumes(stream: impl AsRef<[u8]>, before: &[&str], doubtful: u64) {
    let good: Vec<_> = (0..50).map(|number| format!("<13>message {number}")).collect();
    let frames: Vec<_> = good.iter().map(|message| format!("{} {message}", message.len())).collect();
    let messages: Vec<_> = before.iter().copied().chain(good.iter().map(String::as_str)).collect();
    check([stream.as_ref(), frames.concat().as_bytes()].concat(), &messages, doubtful);
    // with a line ending behind each frame
    check([stream.as_ref(), (frames.join("\n") + "\n").as_bytes()].concat(), &messages, doubtful);
}

#[test]
fn oversized_first_frame_does_not_affect_the_frames_behind_it() {
    let long = format!("204 <13>{}", "x".repeat(200));
    let rejected = format!("rejected: oversized, 208: {:?}", &long[..100]);
    check_resumes(&long, &[&rejected], 1);
    let barely = format!("101 <13>{}", "x".repeat(97));
    check_resumes(&barely, &[&format!("rejected: oversized, 105: {:?}", &barely[..100])], 1);
    check_resumes("99999999999 <13>x y z ", &["99999999999 <13>x y z "], 1);
}

#[test]
fn frame_that_is_not_recognised_does_not_affect_the_frames_behind_it() {
    for (frame, line) in [
        // no priority
        ("11 hello there", "11 hello there"),
        ("9 a\nb c d e f", "9 a|b c d e f"),
        // empty
        ("0 ", "0 "),
        // a padded count
        ("   ", "   "),
        ("7    <13>abc", "7    <13>abc"),
        ("  7 <13>abc", "  |<13>abc"),
        // a byte order mark
        ("10 \u{feff}<13>abc", "10 \u{feff}<13>abc"),
        ("\u{feff}7 <13>abc", "\u{feff}|<13>abc"),
        // a count that is too small by one, or much too large
        ("6 <13>abc", "6 <13>abc"),
        ("66 <13>abc", "66 <13>abc"),
        // no frame at all
        ("x", "x"),
    ] {
        let lines: Vec<_> = line.split('|').collect();
        check_resumes(format!("8 <13>good\n{frame}"), &[&["<13>good"], &lines[..]].concat(), 1);
        if frame.trim_start_matches(['\u{feff}', ' ']) != "x" && !frame.trim().is_empty() {
            // as the first of its connection
            check_resumes(frame, &lines, 1);
        }
    }
    // A frame is a line if no frame follows.
    check_resumes("8 <13>good11 hello there", &["8 <13>good11 hello there"], 1);
}

#[test]
fn digits_before_a_count_do_not_affect_the_frames_behind_it() {
    // The 9 belongs to the first message, the count of which is too small by one.
    check("6 <13>ab95 <13>c5 <13>d", &["<13>ab", "9", "<13>c", "<13>d"], 1);
    let more = "5 <13>e".repeat(20);
    check(format!("6 <13>ab95 <13>c{more}"), &[&["6 <13>ab9", "<13>c"][..], &["<13>e"; 20]].concat(), 1);
    check("6 <13>ab95 <13>c\n5 <13>d\n5 <13>e\n", &["<13>ab", "95 <13>c", "<13>d", "<13>e"], 1);
    let long = format!("<13>{}", "x".repeat(30));
    check(format!("6 <13>ab934 {long}5 <13>d"), &["<13>ab", "9", &long, "<13>d"], 1);
    check(format!("6 <13>ab934 {long}\n5 <13>d"), &["<13>ab", &format!("934 {long}"), "<13>d"], 1);
}

#[test]
fn frame_with_a_count_that_is_too_large_does_not_affect_the_next() {
    // The first digit of the next count belongs to the frame, by its count.
    let first = "<13>message one";
    let frame = format!("{} {first}", first.len());
    check(
        format!("8 <13>abc{frame}{frame}5 <13>b5 <13>c"),
        &["8 <13>abc", first, first, "<13>b", "<13>c"],
        1,
    );
    check(format!("5 <13>x8 <13>abc{frame}{frame}"), &["<13>x", "8 <13>abc", first, first], 1);
    // The last frame is not proven by another one.
    check(format!("8 <13>abc{frame}"), &["8 <13>abc", first], 1);
    // All counts are too large by one.
    let wrong = format!("{} {first}", first.len() + 1);
    check(wrong.repeat(3) + "\n", &[&*wrong, &wrong, first], 2);
    // The message ends with digits, and its count is right.
    check(format!("6 <13>11{frame}"), &["<13>11", first], 0);
}

#[test]
fn lines_of_text_are_not_split() {
    // No frame is certain: another count, no priority, or text behind it.
    for line in ["9 a 5 <13>ab", "9 a 6 <13>b", "9 a 5 <x>ab", "9 a 05 <13>b", "9 a 5 <1234>", "9 a 5  <13>b"]
    {
        check(format!("{line}\nnext 5 <13>ab\n"), &[line, "next 5 <13>ab"], 0);
    }
    // Neither a frame nor a line that begins like one has come.
    check("a 5 <13>b\nc 5 <13>d5 <13>e\n", &["a 5 <13>b", "c 5 <13>d5 <13>e"], 0);
}

#[test]
fn wrong_count_at_the_end_of_the_stream_does_not_affect_the_last_frames() {
    check("5 <13>a90 <13>bad5 <13>b5 <13>c", &["<13>a", "90 <13>bad", "<13>b", "<13>c"], 1);
}

#[test]
fn search_for_frames_is_linear() {
    // Each of these would take many minutes if bytes were searched again and again.
    for piece in ["1 <1 ", "1 <1> ", "1111111111 <1>x", "99 <1>", "5 <13>x "] {
        let text = format!("1 {}", piece.repeat(500_000 / piece.len()));
        let calls: Vec<_> = text.as_bytes().chunks(100).map(Call::Receive).collect();
        let max = 1 << 20;
        run(&mut lines(max), &calls, Ending::Closed, bound(max));
    }
}

/// Pieces of streams that matter to the framing.
const PARTS: &[&[u8]] = &[
    b"\n",
    b"\n",
    b"\n",
    b"\r\n",
    b"\0",
    b"\0",
    b"\r",
    b"\n\n",
    b"<",
    b"<13>",
    b"<1>",
    b"7 <",
    b"1",
    b"23",
    b" ",
    b"0 <",
    b"a",
    b"some words",
    b"\xc3\xa9",
    b"\xff",
    b"9 <13>abcde",
    b"5 <13>b",
    b"5 <13>b\n",
    b"4 <1>",
    b"99 <1>c",
    b"300 <1>c",
    b"10 <13>abc\ndef",
    b"6 <13>a\n",
    b"1 <",
    b"2 <\0",
    b"99999999999 <",
    b"3000000000 <",
    b"9 hello there",
    b"0 ",
    b"  5 <13>d",
    b"5 \xef\xbb\xbf<13>",
    b"x5 <13>e5 <13>f",
    b"95 <13>g5 <13>h",
];

/// Makes a stream of choices, which is cheaper than a tree of strategies: of each three bytes, the first chooses a kind of message.
pub(super) fn stream() -> impl Strategy<Value = Vec<u8>> {
    proptest::collection::vec(any::<u8>(), 0..90).prop_map(|choices| {
        let mut stream = Vec::new();
        for choice in choices.chunks(3) {
            let [kind, a, b] = [0, 1, 2].map(|index| choice.get(index).copied().unwrap_or(0));
            match kind {
                0..=63 => {
                    // a counted frame, whose count is mostly right
                    let wrong = usize::from(b < 20);
                    let body =
                        [&b"<13>"[..], &vec![b'x'; usize::from(a) / 4], PARTS[usize::from(b) % PARTS.len()]]
                            .concat();
                    stream.extend_from_slice(format!("{} ", body.len() + wrong).as_bytes());
                    stream.extend_from_slice(&body);
                }
                64..=80 => stream.extend_from_slice(&[a, b]),
                81..=100 => stream.extend(std::iter::repeat_n(b'y', usize::from(a))),
                _ => {
                    stream.extend_from_slice(PARTS[usize::from(a) % PARTS.len()]);
                    stream.extend_from_slice(PARTS[usize::from(b) % PARTS.len()]);
                }
            }
        }
        stream
    })
}

/// The lengths of reads: mostly short, some long.
pub(super) fn lengths() -> impl Strategy<Value = Vec<usize>> {
    let length = |choice: u8| usize::from(if choice < 160 { 1 + choice % 4 } else { choice });
    proptest::collection::vec(any::<u8>().prop_map(length), 0..80)
}

/// The configuration of the properties.
pub(super) fn config() -> ProptestConfig {
    ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(inputs(500)) }
}

pub(super) fn ending() -> impl Strategy<Value = Ending> {
    prop_oneof![Just(Ending::Closed), Just(Ending::Cut)]
}

/// Checks that the messages follow each other in the stream, with nothing between them but endings and counts.
fn account(stream: &[u8], outcome: &(Vec<Parcel>, Outcome)) -> Result<(), TestCaseError> {
    // Where the messages so far may end: an empty message may be in several places.
    let mut fronts = BTreeSet::from([0]);
    for row in outcome.0.iter().flat_map(Parcel::rows) {
        let (kept, length) = match row.content {
            Content::Text(text, _) => (text.as_bytes(), text.len()),
            Content::Rejected { bytes, length, .. } => (bytes, usize::try_from(length).unwrap()),
        };
        let begins = fronts.iter().flat_map(|front| endings(stream, *front)).flat_map(|front| {
            let digits = stream[front..].iter().take_while(|byte| byte.is_ascii_digit()).count();
            let count =
                (digits > 0 && stream.get(front + digits) == Some(&b' ')).then_some(front + digits + 1);
            [Some(front), count].into_iter().flatten()
        });
        let begins = begins.filter(|begin| stream[*begin..].starts_with(kept));
        fronts = begins.map(|begin| begin + length).filter(|end| *end <= stream.len()).collect();
        prop_assert!(!fronts.is_empty(), "bytes are lost before {:?}", String::from_utf8_lossy(kept));
    }
    let complete = fronts.iter().any(|front| endings(stream, *front).contains(&stream.len()));
    prop_assert!(complete, "bytes are lost at the end, after one of {:?}", fronts);
    Ok(())
}

/// Returns the positions after up to two line endings: one that is counted, and one behind the frame.
fn endings(stream: &[u8], front: usize) -> BTreeSet<usize> {
    let after = |front: usize| match stream[front..] {
        [b'\r', b'\n', ..] => front + 2,
        [b'\n' | b'\r' | 0, ..] => front + 1,
        _ => front,
    };
    BTreeSet::from([front, after(front), after(after(front))])
}

proptest! {
    #![proptest_config(config())]

    /// For every division of a stream into reads, its messages are the same, every byte is accounted for, and memory is
    /// bounded.
    #[test]
    fn messages_do_not_depend_on_the_reads(
        stream in stream(),
        lengths in lengths(),
        ending in ending(),
        max in prop_oneof![1_usize..20, 20_usize..200],
    ) {
        let mut whole = lines(max);
        let whole = run(&mut whole, &[Call::Receive(&stream)], ending, usize::MAX);
        let calls: Vec<_> = pieces(&stream, &lengths).into_iter().map(Call::Receive).collect();
        let cut = run(&mut lines(max), &calls, ending, bound(max));
        prop_assert_eq!(&cut.1, &whole.1);
        account(&stream, &whole)?;
    }

    /// Pauses change no message of a stream without doubtful lines, and lose no bytes of any.
    #[test]
    fn pauses_lose_nothing(stream in stream(), lengths in lengths(), ending in ending(), max in 1_usize..200) {
        let whole = run(&mut lines(max), &[Call::Receive(&stream)], ending, usize::MAX);
        let calls: Vec<_> = pieces(&stream, &lengths).into_iter().flat_map(|it| [Call::Receive(it), Call::Pause]).collect();
        let paused = run(&mut lines(max), &calls, ending, bound(max));
        account(&stream, &paused)?;
        if whole.1.doubtful == 0 && paused.1.doubtful == 0 && !stream.contains(&0) {
            prop_assert_eq!(&paused.1, &whole.1);
        }
    }
}
