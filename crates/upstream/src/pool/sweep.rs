//! Looking after idle connections once a second.
//!
//! One task per worker walks the hosts that hold idle connections and closes those whose host
//! closed them, whose idle timeout passed or whose time is up. It exists only while there is
//! something to look at: an idle worker sleeps.

use std::{
    cell::{Cell, RefCell},
    rc::{Rc, Weak},
    time::Duration,
};

use nuncio_api::Timers;

use crate::host::Host;

/// How late an idle connection may be closed, at most.
const INTERVAL: Duration = Duration::from_secs(1);

/// The walk over one worker's hosts.
pub(crate) struct Sweeper {
    timers: Timers,
    hosts: RefCell<Vec<Weak<Host>>>,
    runs: Cell<bool>,
}

impl Sweeper {
    pub(crate) fn new(timers: Timers) -> Rc<Self> {
        Rc::new(Self { timers, hosts: RefCell::default(), runs: Cell::new(false) })
    }

    /// `host` has something to look at. Cheap when it is watched already.
    pub(crate) fn watch(self: &Rc<Self>, host: &Rc<Host>) {
        if host.is_watched.replace(true) {
            return;
        }
        self.hosts.borrow_mut().push(Rc::downgrade(host));
        if !self.runs.replace(true) {
            tokio::task::spawn_local(Rc::clone(self).run());
        }
    }

    async fn run(self: Rc<Self>) {
        while !self.hosts.borrow().is_empty() {
            self.timers.sleep(INTERVAL).await;
            self.sweep();
        }
        self.runs.set(false);
    }

    fn sweep(&self) {
        let hosts = self.hosts.take();
        for weak in hosts {
            let Some(host) = weak.upgrade() else { continue };
            let mut has_more = false;
            for pool in host.pools() {
                has_more |= pool.sweep(&host);
            }
            host.state.context.publish_http2();
            if has_more {
                self.hosts.borrow_mut().push(weak);
            } else {
                host.is_watched.set(false);
            }
        }
    }
}
