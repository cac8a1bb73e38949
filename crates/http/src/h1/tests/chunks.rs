//! Chunked bodies, as tables.

use bytes::BytesMut;
use nuncio_api::{Frame, message::BodyLength};

use super::super::body::{BodyReader, BodyRules};
use super::super::chunked::TrailerLimits;
use super::lines;

const RULES: BodyRules = BodyRules { trailers: TrailerLimits { bytes: 1024, count: 4 }, keep_trailers: true };

/// Body, trailers and leftover.
type Whole = (String, Vec<String>, String);

/// Reads a chunked message; or says why it is refused; `None` when it is cut.
fn chunked(text: &str) -> Result<Option<Whole>, &'static str> {
    let mut buf = BytesMut::from(text);
    let mut reader = BodyReader::of_request(BodyLength::Unknown, false);
    let (mut body, mut trailers) = (String::new(), Vec::new());
    while !reader.is_done() {
        match reader.decode(&mut buf, RULES).map_err(|e| e.details)? {
            None => return Ok(None),
            Some(Frame::Data { data, .. }) => body.push_str(std::str::from_utf8(&data).unwrap()),
            Some(Frame::Trailers(t)) => trailers = lines(&t),
        }
    }
    Ok(Some((body, trailers, String::from_utf8_lossy(&buf).into_owned())))
}

#[test]
fn chunks_are_joined() {
    let whole = |body: &str, trailers: &[&str], left: &str| {
        Ok(Some((body.to_owned(), trailers.iter().map(|t| (*t).to_owned()).collect(), left.to_owned())))
    };
    assert_eq!(chunked("3\r\nabc\r\n0\r\n\r\n"), whole("abc", &[], ""));
    assert_eq!(chunked("0\r\n\r\nGET"), whole("", &[], "GET"));
    assert_eq!(chunked("3;a=b;c=\"d\"\r\nabc\r\n00A  \r\n0123456789\r\n000\r\n\r\n"), whole("abc0123456789", &[], ""));
    assert_eq!(chunked("1\r\na\r\n0\r\nX-T: v\r\nHost: z\r\nContent-Length: 4\r\n\r\n"), whole("a", &["x-t: v"], ""));
    assert_eq!(chunked("1\r\na\r\n0\r\nHost: z\r\n\r\nrest"), whole("a", &[], "rest"));
    assert_eq!(chunked("1\r\na\r\n0\r\nx: v\r\n\t w\r\ny: 1\r\n\r\nrest"), whole("a", &["x: v\t w", "y: 1"], "rest"));
    assert_eq!(chunked("0\r\nx: v\r\n w\r\n"), Ok(None));
    assert_eq!(chunked("0\r\n x: v\r\n\r\n"), Err("http1.codec_error"));
    for cut in
        ["", "3", "3\r", "3\r\n", "3\r\nab", "3\r\nabc", "3\r\nabc\r", "3\r\nabc\r\n0\r\n", "0\r\n\r", "0\r\nx: 1\r\n"]
    {
        assert_eq!(chunked(cut), Ok(None), "{cut:?}");
    }
}

#[test]
fn chunks_that_come_together_are_one_frame() {
    let frames = |text: &str| {
        let mut buf = BytesMut::from(text);
        let mut reader = BodyReader::of_request(BodyLength::Unknown, false);
        let mut all = Vec::new();
        while let Some(frame) = reader.decode(&mut buf, RULES).unwrap() {
            all.push(match frame {
                Frame::Data { data, end } => format!("{}{}", data.escape_ascii(), if end { "." } else { "" }),
                Frame::Trailers(trailers) => lines(&trailers).join(","),
            });
            if reader.is_done() {
                break;
            }
        }
        all
    };
    assert_eq!(frames("3\r\nabc\r\n2\r\nde\r\n1\r\nf\r\n0\r\n\r\n"), ["abcdef."]);
    assert_eq!(frames("3\r\nabc\r\n2\r\nde\r\n"), ["abcde"]);
    assert_eq!(frames("3\r\nabc\r\n2\r\nd"), ["abcd"]);
    assert_eq!(frames("1\r\na\r\n1\r\nb\r\n0\r\nX-T: v\r\n\r\n"), ["ab", "x-t: v"]);
    assert_eq!(frames("0\r\nX-T: v\r\n\r\n"), ["x-t: v"]);
}

#[test]
fn data_before_a_broken_chunk_is_not_handed_out() {
    let mut buf = BytesMut::from("3\r\nabc\r\nzz\r\n");
    let mut reader = BodyReader::of_request(BodyLength::Unknown, false);
    assert!(reader.decode(&mut buf, RULES).is_err());
    let mut buf = BytesMut::from("3\r\nabc\r\n0\r\nbad trailer\r\n\r\n");
    let mut reader = BodyReader::of_request(BodyLength::Unknown, false);
    assert!(matches!(reader.decode(&mut buf, RULES), Ok(Some(Frame::Data { end: false, .. }))));
    assert!(reader.decode(&mut buf, RULES).is_err());
}

#[test]
fn broken_chunks_are_refused() {
    for text in [
        "zz\r\nabc\r\n",
        "0x3\r\nabc\r\n",
        "-1\r\n",
        "+3\r\nabc\r\n",
        "\r\nabc\r\n",
        ";a\r\n",
        " 3\r\nabc\r\n",
        "3\nabc\n0\n\n",
        "3 3\r\nabc\r\n",
        "3\r\nabcdef\r\n0\r\n\r\n",
        "3\r\nabc0\r\n\r\n",
        "3\r\nabc\n0\r\n\r\n",
        "3\r\nabc\r0\r\n\r\n",
        "fffffffffffffffff\r\n",
        "10000000000000000\r\n",
        "3;a\rb\r\nabc\r\n",
        "3;a\0\r\nabc\r\n",
        "3;a\nabc\r\n0\r\n\r\n",
        "0\r\nbad trailer\r\n\r\n",
        "0\r\n x: 1\r\n\r\n",
        "G",
    ] {
        assert!(chunked(text).is_err(), "{text:?}: {:?}", chunked(text));
    }
}

#[test]
fn chunk_lines_extensions_and_trailers_are_limited() {
    assert!(chunked(&format!("1;{}", "a".repeat(5000))).is_err());
    let extended = format!("1;{}\r\na\r\n", "a".repeat(3000));
    assert_eq!(chunked(&extended), Ok(None));
    assert!(chunked(&extended.repeat(6)).is_err());
    assert_eq!(chunked("0\r\na: 1\r\nb: 1\r\nc: 1\r\nd: 1\r\ne: 1\r\n\r\n"), Err("http1.too_many_headers"));
    assert_eq!(chunked(&format!("0\r\na: {}", "b".repeat(2000))), Err("http1.headers_too_large"));
}
