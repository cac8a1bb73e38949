use super::*;

fn meter(role: Role) -> FrameMeter {
    let mut meter = FrameMeter::new(role, FloodLimits::default(), &HeaderLimits::default(), Rc::default());
    match role {
        Role::Server => meter.received(PREFACE).unwrap(),
        Role::Client => meter.sent(PREFACE).unwrap(),
    }
    meter.received(&frame(scan::SETTINGS, 0, 0, &[])).unwrap();
    meter
}

fn frame(kind: u8, flags: u8, stream: u32, payload: &[u8]) -> Vec<u8> {
    let mut bytes = u32::try_from(payload.len()).unwrap().to_be_bytes()[1..].to_vec();
    bytes.extend([kind, flags]);
    bytes.extend(stream.to_be_bytes());
    bytes.extend(payload);
    bytes
}

#[test]
fn an_empty_frame_is_forgiven_once_and_at_the_end() {
    let mut meter = meter(Role::Server);
    for _ in 0..5 {
        meter.received(&frame(scan::DATA, 0, 1, b"")).unwrap();
        meter.received(&frame(scan::DATA, 0, 1, b"x")).unwrap();
        meter.received(&frame(scan::DATA, 0x8, 1, &[2, 0, 0])).unwrap();
        meter.received(&frame(scan::DATA, 0x1, 1, b"")).unwrap();
    }
    meter.received(&frame(scan::DATA, 0x8, 1, &[1, 0])).unwrap();
    assert_eq!(meter.received(&frame(scan::CONTINUATION, 0x1, 1, b"")), Err(Flood::EmptyFrames));
}

#[test]
fn settings_come_first_in_both_directions() {
    for (role, first) in [(Role::Server, PREFACE.as_slice()), (Role::Client, b"")] {
        let mut meter = FrameMeter::new(role, FloodLimits::default(), &HeaderLimits::default(), Rc::default());
        meter.received(first).unwrap();
        assert_eq!(meter.received(&frame(scan::PING, 0, 0, &[0; 8])), Err(Flood::NoSettings));
    }
}

#[test]
fn frames_of_one_size_have_no_other() {
    let sizes: [(u8, u8, &[usize]); 6] = [
        (scan::PRIORITY, 0, &[4, 6]),
        (scan::RST_STREAM, 0, &[1, 5]),
        (scan::SETTINGS, 0, &[3, 7]),
        (scan::SETTINGS, 1, &[6]),
        (scan::PING, 0, &[3, 9]),
        (scan::WINDOW_UPDATE, 0, &[0, 3]),
    ];
    for (kind, flags, wrong) in sizes {
        for size in wrong {
            let frame = frame(kind, flags, 1, &vec![0; *size]);
            assert_eq!(meter(Role::Server).received(&frame), Err(Flood::FrameSize), "kind {kind}, {size} bytes");
        }
    }
    assert_eq!(Flood::FrameSize.reason(), Reason::FRAME_SIZE_ERROR);
}

#[test]
fn a_goaway_counts_once_and_only_without_an_error() {
    let counters = Rc::new(H2Counters::default());
    let mut meter = FrameMeter::new(Role::Server, FloodLimits::default(), &HeaderLimits::default(), counters.clone());
    meter.sent(&frame(scan::GOAWAY, 0, 0, &[0x7f, 0xff, 0xff, 0xff, 0, 0, 0, 0])).unwrap();
    meter.sent(&frame(scan::GOAWAY, 0, 0, &[0, 0, 0, 1, 0, 0, 0, 0])).unwrap();
    meter.sent(&frame(scan::GOAWAY, 0, 0, &[0, 0, 0, 1, 0, 0, 0, 1])).unwrap();
    assert_eq!(counters.goaway_sent.get(), 1);
}

#[test]
fn priority_is_allowed_per_stream() {
    let mut meter = meter(Role::Server);
    meter.received(&frame(scan::HEADERS, 0x5, 1, b"x")).unwrap();
    // Trailers open nothing.
    meter.received(&frame(scan::HEADERS, 0x5, 1, b"x")).unwrap();
    let priority = frame(scan::PRIORITY, 0, 1, &[0; 5]);
    for _ in 0..200 {
        meter.received(&priority).unwrap();
    }
    assert_eq!(meter.received(&priority), Err(Flood::PriorityFrames));
}

#[test]
fn window_updates_are_allowed_per_stream_and_data_frame() {
    let mut meter = meter(Role::Client);
    meter.sent(&frame(scan::HEADERS, 0x4, 1, b"x")).unwrap();
    meter.sent(&frame(scan::DATA, 0x1, 1, b"x")).unwrap();
    let update = frame(scan::WINDOW_UPDATE, 0, 0, &[0, 0, 0, 1]);
    for _ in 0..(5 + 2 * (1 + 10)) {
        meter.received(&update).unwrap();
    }
    assert_eq!(meter.received(&update), Err(Flood::WindowUpdates));
}

#[test]
fn acknowledgements_count_until_the_socket_took_them() {
    let ack = frame(scan::PING, 0x1, 0, &[0; 8]);
    let mut meter = meter(Role::Server);
    for _ in 0..10 {
        for _ in 0..900 {
            meter.sent(&ack).unwrap();
        }
        meter.settled(0);
    }
    // A buffer that is never empty, but moves: only what is in it counts.
    for _ in 0..100 {
        for _ in 0..300 {
            meter.sent(&ack).unwrap();
        }
        meter.settled(100 * ack.len());
    }
    meter.settled(0);
    for _ in 0..1000 {
        meter.sent(&ack).unwrap();
        meter.settled(1_000_000);
    }
    assert_eq!(meter.sent(&ack), Err(Flood::ControlFrames));
}

#[test]
fn the_gauges_of_a_connection_go_with_it() {
    let counters = Rc::new(H2Counters::default());
    let mut meter = FrameMeter::new(Role::Server, FloodLimits::default(), &HeaderLimits::default(), counters.clone());
    meter.sent(&frame(scan::SETTINGS, 0x1, 0, &[])).unwrap();
    meter.sent(&frame(scan::DATA, 0, 1, b"x")).unwrap();
    meter.settled(19);
    let now = || (counters.outbound_frames_active.get(), counters.outbound_control_frames_active.get());
    assert_eq!((now(), counters.pending_send_bytes.get()), ((2, 1), 19));
    drop(meter);
    assert_eq!((now(), counters.pending_send_bytes.get()), ((0, 0), 0));
}

#[test]
fn goaway_is_said_between_frames_only() {
    let mut meter = meter(Role::Server);
    meter.received(&frame(scan::HEADERS, 0x5, 7, b"x")).unwrap();
    let expected = frame(scan::GOAWAY, 0, 0, &[0, 0, 0, 7, 0, 0, 0, 11]);
    assert_eq!(meter.goaway(11).map(Vec::from), Some(expected));
    meter.sent(&frame(scan::DATA, 0, 1, b"xyz")[..10]).unwrap();
    assert_eq!(meter.goaway(11), None);
}
