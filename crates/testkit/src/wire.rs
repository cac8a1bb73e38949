//! One raw TCP connection, as a client's or as a scripted upstream's.

use std::{io, net::SocketAddr, time::Duration};

use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpSocket, TcpStream},
};

use crate::{
    message::{Message, field},
    wait::within,
};

/// How a peer ended a connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Closed {
    /// With FIN.
    Cleanly,
    /// With RST.
    ByReset,
}

/// A connection that speaks bytes.
pub struct Wire {
    stream: TcpStream,
    buffer: Vec<u8>,
    ended: Option<Closed>,
}

impl Wire {
    /// Connects.
    pub async fn connect(address: SocketAddr) -> Self {
        Self::over(within("a connection", TcpStream::connect(address)).await.expect("a connection"))
    }

    /// Connects with a receive buffer as small as the kernel grants.
    pub async fn connect_with_small_window(address: SocketAddr) -> Self {
        let socket = TcpSocket::new_v4().unwrap();
        socket.set_recv_buffer_size(4096).unwrap();
        Self::over(within("a connection", socket.connect(address)).await.expect("a connection"))
    }

    pub(crate) fn over(stream: TcpStream) -> Self {
        stream.set_nodelay(true).unwrap();
        Self { stream, buffer: Vec::new(), ended: None }
    }

    /// Our own address.
    #[must_use]
    pub fn local_address(&self) -> SocketAddr {
        self.stream.local_addr().unwrap()
    }

    /// Sends everything.
    pub async fn send(&mut self, bytes: impl AsRef<[u8]>) {
        self.try_send(bytes).await.expect("the peer takes what is sent");
    }

    /// Sends everything, unless the peer is gone.
    pub async fn try_send(&mut self, bytes: impl AsRef<[u8]>) -> io::Result<()> {
        within("room to send", self.stream.write_all(bytes.as_ref())).await
    }

    /// Sends until nothing more is taken for `patience`; answers how many bytes went.
    pub async fn send_until_stuck(&mut self, bytes: &[u8], patience: Duration) -> usize {
        let mut sent = 0;
        while sent < bytes.len() {
            match tokio::time::timeout(patience, self.stream.write(&bytes[sent..])).await {
                Ok(written) => sent += written.expect("the peer takes what is sent"),
                Err(_) => break,
            }
        }
        sent
    }

    /// Closes our sending side.
    pub async fn half_close(&mut self) {
        self.stream.shutdown().await.unwrap();
    }

    /// Ends the connection with RST.
    pub fn reset(self) {
        socket2::SockRef::from(&self.stream).set_linger(Some(Duration::ZERO)).unwrap();
    }

    /// Everything up to and including `end`.
    pub async fn read_until(&mut self, end: &[u8]) -> Vec<u8> {
        loop {
            if let Some(at) = self.buffer.windows(end.len()).position(|window| window == end) {
                return self.buffer.drain(..at + end.len()).collect();
            }
            self.expect_more(end).await;
        }
    }

    /// Exactly so many bytes.
    pub async fn read_exactly(&mut self, count: usize) -> Vec<u8> {
        while self.buffer.len() < count {
            self.expect_more(b"").await;
        }
        self.buffer.drain(..count).collect()
    }

    /// So many bytes, or `None` when the connection ends first.
    pub async fn try_read_exactly(&mut self, count: usize) -> Option<Vec<u8>> {
        while self.buffer.len() < count {
            if !self.fill().await {
                return None;
            }
        }
        Some(self.buffer.drain(..count).collect())
    }

    /// Whatever there is, at least one byte; empty at the end.
    pub async fn read_some(&mut self) -> Vec<u8> {
        if self.buffer.is_empty() {
            self.fill().await;
        }
        std::mem::take(&mut self.buffer)
    }

    /// Everything until the peer ends the connection, and how it did.
    pub async fn read_to_end(&mut self) -> (Vec<u8>, Closed) {
        while self.fill().await {}
        (std::mem::take(&mut self.buffer), self.ended.unwrap())
    }

    /// Waits for the end of the connection, after which nothing more may have come.
    pub async fn expect_close(&mut self) -> Closed {
        let (rest, closed) = self.read_to_end().await;
        assert!(rest.is_empty(), "before the end came {:?}", String::from_utf8_lossy(&rest));
        closed
    }

    /// A response to anything but HEAD.
    pub async fn response(&mut self) -> Message {
        let head = self.head().await;
        let status = head.status();
        if (100..200).contains(&status) || status == 204 || status == 304 {
            return head;
        }
        self.with_body(head, true).await
    }

    /// Start line and fields only: the response to HEAD, or a head that is looked at before its body.
    pub async fn head(&mut self) -> Message {
        Message::parse_head(&self.read_until(b"\r\n\r\n").await)
    }

    /// A request; its body too.
    pub async fn request(&mut self) -> Message {
        let head = self.head().await;
        self.with_body(head, false).await
    }

    /// A request, or `None` when the connection ends instead.
    pub async fn next_request(&mut self) -> Option<Message> {
        while self.buffer.is_empty() {
            if !self.fill().await {
                return None;
            }
        }
        Some(self.request().await)
    }

    async fn with_body(&mut self, mut message: Message, until_close: bool) -> Message {
        if message.is_chunked() {
            self.chunks(&mut message).await;
        } else if let Some(length) = message.content_length() {
            message.body = self.read_exactly(length).await;
        } else if until_close {
            message.body = self.read_to_end().await.0;
        }
        message
    }

    async fn chunks(&mut self, message: &mut Message) {
        loop {
            let line = String::from_utf8(self.read_until(b"\r\n").await).unwrap();
            let size = usize::from_str_radix(line.trim_end(), 16).expect("a chunk size");
            if size == 0 {
                break;
            }
            message.body.extend(self.read_exactly(size).await);
            assert_eq!(self.read_exactly(2).await, b"\r\n");
        }
        loop {
            let line = String::from_utf8(self.read_until(b"\r\n").await).unwrap();
            if line == "\r\n" {
                return;
            }
            message.trailers.push(field(line.trim_end()));
        }
    }

    async fn expect_more(&mut self, wanted: &[u8]) {
        assert!(
            self.fill().await,
            "the connection ended ({:?}) while {:?} was awaited; so far {:?}",
            self.ended,
            String::from_utf8_lossy(wanted),
            String::from_utf8_lossy(&self.buffer)
        );
    }

    /// Reads once; false at the end.
    async fn fill(&mut self) -> bool {
        if self.ended.is_some() {
            return false;
        }
        match within("bytes or the end of a connection", self.stream.read_buf(&mut self.buffer)).await {
            Ok(0) => self.ended = Some(Closed::Cleanly),
            Ok(_) => {}
            Err(_) => self.ended = Some(Closed::ByReset),
        }
        self.ended.is_none()
    }
}
