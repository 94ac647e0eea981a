//! The one message that carries sockets: their names in a line, the sockets beside it (SCM_RIGHTS,
//! unix(7)).

use std::io::{self, IoSlice, IoSliceMut};
use std::mem::MaybeUninit;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use rustix::net::{
    RecvAncillaryBuffer, RecvAncillaryMessage, RecvFlags, SendAncillaryBuffer,
    SendAncillaryMessage, SendFlags, recvmsg, sendmsg,
};

use super::inherited::NAMES;

/// Names the protocol and its version.
const GREETING: &str = "tidegate-sockets-1";
const LINE_BYTES_MAX: usize = 128;
const SPACE: usize = rustix::cmsg_space!(ScmRights(NAMES.len()));

/// Sends sockets under their names.
pub(super) fn send(stream: impl AsFd, sockets: &[(&'static str, OwnedFd)]) -> io::Result<()> {
    let mut line = GREETING.to_owned();
    for (name, _) in sockets {
        line.push(' ');
        line.push_str(name);
    }
    line.push('\n');
    let descriptors: Vec<BorrowedFd<'_>> = sockets.iter().map(|(_, fd)| fd.as_fd()).collect();
    let mut space = [MaybeUninit::uninit(); SPACE];
    let mut ancillary = SendAncillaryBuffer::new(&mut space);
    if !ancillary.push(SendAncillaryMessage::ScmRights(&descriptors)) {
        return Err(io::ErrorKind::InvalidInput.into());
    }
    let text = [IoSlice::new(line.as_bytes())];
    let sent = sendmsg(stream, &text, &mut ancillary, SendFlags::empty())?;
    if sent == line.len() {
        Ok(())
    } else {
        Err(io::ErrorKind::WriteZero.into())
    }
}

/// Receives what [`send`] sent.
pub(super) fn receive(stream: impl AsFd) -> io::Result<Vec<(String, OwnedFd)>> {
    let mut line = [0; LINE_BYTES_MAX];
    let mut space = [MaybeUninit::uninit(); SPACE];
    let mut ancillary = RecvAncillaryBuffer::new(&mut space);
    let mut text = [IoSliceMut::new(&mut line)];
    let flags = RecvFlags::CMSG_CLOEXEC;
    let received = recvmsg(stream, &mut text, &mut ancillary, flags)?.bytes;
    let mut descriptors = Vec::new();
    for message in ancillary.drain() {
        if let RecvAncillaryMessage::ScmRights(passed) = message {
            descriptors.extend(passed);
        }
    }
    let unreadable = || io::Error::from(io::ErrorKind::InvalidData);
    if received == 0 {
        return Err(io::ErrorKind::UnexpectedEof.into());
    }
    let line = std::str::from_utf8(&line[..received]).map_err(|_| unreadable())?;
    let line = line.strip_suffix('\n').ok_or_else(unreadable)?;
    let mut words = line.split(' ');
    if words.next() != Some(GREETING) {
        return Err(unreadable());
    }
    let names: Vec<String> = words.map(str::to_owned).collect();
    if names.len() != descriptors.len() {
        return Err(unreadable());
    }
    Ok(names.into_iter().zip(descriptors).collect())
}

#[cfg(test)]
mod tests {
    use std::io::Write as _;
    use std::net::TcpListener;
    use std::os::unix::net::UnixStream;

    use super::*;

    #[test]
    fn sockets_arrive_under_their_names_as_the_same_sockets() {
        let (one, other) = UnixStream::pair().unwrap();
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let sockets = [("http", OwnedFd::from(listener))];
        send(&one, &sockets).unwrap();
        drop(sockets);
        let received = receive(&other).unwrap();
        assert_eq!(received.len(), 1);
        let (name, socket) = received.into_iter().next().unwrap();
        assert_eq!(name, "http");
        assert_eq!(TcpListener::from(socket).local_addr().unwrap(), address);
    }

    #[test]
    fn anything_else_is_refused() {
        for text in [
            "",
            "hello\n",
            "tidegate-sockets-1 http\n",
            "tidegate-sockets-1",
        ] {
            let (mut one, other) = UnixStream::pair().unwrap();
            one.write_all(text.as_bytes()).unwrap();
            drop(one);
            assert!(receive(&other).is_err(), "{text:?}");
        }
    }
}
