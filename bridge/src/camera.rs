//! One camera's windows: which are open, when each closes, and which empty ones to hold or to report missed.
//!
//! A value with time as an argument. Two things run side by side here. *Open windows* collect whatever
//! frames arrive, live or backlog, in any order. The *live cursor* walks the windows of the present one by
//! one, so that each of them is stored, held or reported missed; backlog lies behind it and does not move it.

use std::{
    collections::{BTreeMap, HashSet},
    time::Duration,
};

use teiten_footage::{
    Batch, Frame, FrameId, Timestamp, Window, WindowLength,
    limits::{CAPTURED_AHEAD_MAX, GAPS_IN_A_ROW_MAX, HOLD_MAX, WINDOW_GRACE, hold_max},
};

use crate::windows::{Admitted, Excess, Limits};

/// What a camera's windows call for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Outcome {
    /// Store this batch, and say so; a held one too.
    Store(Batch),
    /// Report that this window stays empty.
    Missed(Window),
}

/// No deadline is farther away than this: one that seems to be was made before the clock was set back.
const DEADLINE_MAX: Duration =
    CAPTURED_AHEAD_MAX.saturating_add(WindowLength::MAX.duration()).saturating_add(WINDOW_GRACE);

fn is_due(deadline: Timestamp, now: Timestamp) -> bool {
    deadline <= now || is_lost(deadline, now)
}

fn is_lost(deadline: Timestamp, now: Timestamp) -> bool {
    deadline > now + DEADLINE_MAX
}

#[derive(Debug)]
struct Open {
    frames: Vec<Frame>,
    ids: HashSet<FrameId>,
    bytes: usize,
    deadline: Timestamp,
}

/// Where the present of a camera is: every window before `next` is settled (stored, held or missed).
#[derive(Debug)]
struct Live {
    next: Window,
    /// When this cursor was set: a camera that comes back with the last seconds' frames is given its grace.
    since: Timestamp,
    /// When the newest frame was captured, and how late it came: so may those that follow it.
    newest: Timestamp,
    late: Duration,
    /// The last frame before `next`; `None` until the first window is closed.
    last: Option<Frame>,
    /// Windows after `next` that are stored already, with the last frame of each.
    ahead: BTreeMap<Window, Frame>,
    missed_in_a_row: u64,
}

/// One camera's windows.
#[derive(Debug)]
pub(crate) struct Camera {
    open: BTreeMap<Window, Open>,
    live: Option<Live>,
    /// While there is no cursor: where the last one stopped. A straggler from before does not set a new one.
    settled_before: Option<Window>,
    /// Another bridge has this camera from here on; the window before is completed, and what stays empty is held until
    /// there is a frame that it goes on from.
    ceded_from: Option<Window>,
    /// When a frame was admitted last.
    heard: Timestamp,
    /// Batches handed out and not yet released.
    batches_out: usize,
    /// Bytes of frames in open windows, in batches handed out, and kept for holding.
    bytes: usize,
}

impl Camera {
    pub(crate) fn new(now: Timestamp) -> Self {
        Self {
            open: BTreeMap::new(),
            live: None,
            settled_before: None,
            ceded_from: None,
            heard: now,
            batches_out: 0,
            bytes: 0,
        }
    }

    pub(crate) fn bytes(&self) -> usize {
        self.bytes
    }

    pub(crate) fn heard(&self) -> Timestamp {
        self.heard
    }

    /// Whether nothing would be lost by forgetting this camera.
    pub(crate) fn is_idle(&self) -> bool {
        self.open.is_empty() && self.live.is_none() && self.batches_out == 0
    }

    /// When [`Camera::on_timer`] has something to do.
    pub(crate) fn deadline(&self) -> Option<Timestamp> {
        let closing = self.open.values().map(|open| open.deadline).min();
        // While the next live window is open, its own deadline settles it.
        let settling =
            self.live.as_ref().filter(|live| !self.open.contains_key(&live.next)).map(Live::deadline);
        closing.into_iter().chain(settling).min()
    }

    /// Takes one frame of `window`; `room` is how many bytes all cameras together may still take. Windows
    /// that this closes are added to `outcomes`, whether or not the frame is admitted.
    pub(crate) fn on_frame(
        &mut self,
        window: Window,
        frame: Frame,
        now: Timestamp,
        limits: &Limits,
        room: usize,
        outcomes: &mut Vec<Outcome>,
    ) -> Result<Admitted, Excess> {
        if let Some(from) = self.ceded_from
            && (window >= from || now >= from.start() + WINDOW_GRACE)
        {
            while self.close_oldest(outcomes) {}
            // With the camera's newest frame the other bridge goes on; backlog tells it nothing of the present.
            if self.live.as_ref().is_none_or(|live| live.newest <= frame.captured) {
                // Those that this frame comes after are empty; the others' frames the other bridge may be given.
                self.hold_before(window, outcomes);
                self.silence();
                self.ceded_from = None;
            }
            return Ok(Admitted::Ceded);
        }
        let before = self.open.range(..window).next_back().map(|(before, _)| *before);
        if let Some(before) = before.filter(|before| before.next() == window) {
            self.close(before, outcomes);
        }
        if self.open.get(&window).is_some_and(|open| open.ids.contains(&frame.id)) {
            return Ok(Admitted::Duplicate);
        }
        self.check(window, frame.jpeg.len(), limits, room)?;
        if !self.open.contains_key(&window) && self.open.len() >= limits.open_windows_max {
            self.close_oldest(outcomes);
        }
        let is_news = self.settled_before.is_none_or(|settled| window >= settled);
        if self.live.is_none()
            && self.ceded_from.is_none()
            && is_news
            && now.since(frame.captured) <= HOLD_MAX
        {
            self.live = Some(Live::starting(window, now));
        }
        self.heard = now;
        self.bytes += frame.jpeg.len();
        self.note(window, &frame, now);
        let open = self.open.entry(window).or_insert_with(|| Open {
            frames: Vec::new(),
            ids: HashSet::new(),
            bytes: 0,
            deadline: window.end().max(now) + WINDOW_GRACE,
        });
        open.bytes += frame.jpeg.len();
        open.ids.insert(frame.id);
        open.frames.push(frame);
        Ok(Admitted::New)
    }

    /// Windows from that of `last` on, which arrived at `at`, are this bridge's now; that one's frames another bridge has.
    pub(crate) fn go_on_from(&mut self, window: Window, last: Frame, at: Timestamp, now: Timestamp) {
        let is_too_old = now.since(last.captured) > hold_max(window.length());
        if self.live.is_some() || self.ceded_from.is_some() || is_too_old {
            return;
        }
        self.live = Some(Live::starting(window.next().max(self.settled_before.unwrap_or(window)), now));
        self.note(window, &last, at);
        if let Some(live) = &mut self.live {
            self.bytes += last.jpeg.len();
            live.last = Some(last);
        }
    }

    /// Notes how late the camera is, and a newer picture of windows that are stored already: that is what is held.
    fn note(&mut self, window: Window, frame: &Frame, now: Timestamp) {
        let Some(live) = &mut self.live else { return };
        if live.newest < frame.captured {
            live.newest = frame.captured;
            live.late = now.since(frame.captured).min(HOLD_MAX);
        }
        let kept = if window < live.next { live.last.as_mut() } else { live.ahead.get_mut(&window) };
        if let Some(last) = kept.filter(|last| last.captured < frame.captured) {
            self.bytes += frame.jpeg.len();
            self.bytes -= last.jpeg.len();
            *last = frame.clone();
        }
    }

    /// Whether one more frame of `bytes` is within every limit.
    fn check(&self, window: Window, bytes: usize, limits: &Limits, room: usize) -> Result<(), Excess> {
        if let Some(open) = self.open.get(&window) {
            if open.frames.len() >= limits.window_frames_max {
                return Err(Excess::WindowFrames);
            }
            if open.bytes + bytes > limits.window_bytes_max {
                return Err(Excess::WindowBytes);
            }
        }
        if self.batches_out >= limits.camera_batches_max {
            return Err(Excess::CameraBatches);
        }
        if self.bytes + bytes > limits.camera_bytes_max {
            return Err(Excess::CameraBytes);
        }
        if bytes > room {
            return Err(Excess::TotalBytes);
        }
        Ok(())
    }

    /// Closes every window whose grace is over, and settles the live ones that stayed empty.
    pub(crate) fn on_timer(&mut self, now: Timestamp, outcomes: &mut Vec<Outcome>) {
        let due: Vec<Window> = self
            .open
            .iter()
            .filter(|(_, open)| is_due(open.deadline, now))
            .map(|(window, _)| *window)
            .collect();
        for window in due {
            self.close(window, outcomes);
        }
        while self.settle_next(now, outcomes) {}
    }

    /// Closes every open window, the oldest first, whatever its grace, and holds what is empty already: nothing more
    /// will come.
    pub(crate) fn close_all(&mut self, now: Timestamp, outcomes: &mut Vec<Outcome>) {
        while self.close_oldest(outcomes) {}
        if let Some(until) = self.empty_until(now) {
            self.hold_before(until, outcomes);
        }
        self.silence();
    }

    /// Another bridge has this camera now: it holds windows and reports them missed, once it hears a frame. The present
    /// window, of length `length`, is completed here as well, since both of them hear what arrives: so it is whole at its
    /// end. Empty ones are held here until that frame, for the other bridge may have heard none; what both hold is there once.
    pub(crate) fn cede(&mut self, now: Timestamp, length: WindowLength) {
        if self.ceded_from.is_none() {
            self.ceded_from = Some(Window::containing(now, length).next());
        }
    }

    /// It is this bridge's again.
    pub(crate) fn reclaim(&mut self) {
        self.ceded_from = None;
    }

    /// Whether it is being handed over.
    pub(crate) fn is_ceding(&self) -> bool {
        self.ceded_from.is_some()
    }

    /// A batch of `bytes` that was handed out needs no memory any more.
    pub(crate) fn release(&mut self, bytes: usize) {
        self.batches_out -= 1;
        self.bytes -= bytes;
    }

    /// Holds or gives up the next live window, if it is empty and its grace is over. Says whether it did.
    fn settle_next(&mut self, now: Timestamp, outcomes: &mut Vec<Outcome>) -> bool {
        let Some(live) = &self.live else { return false };
        if self.open.contains_key(&live.next) || !is_due(live.deadline(), now) {
            return false;
        }
        if is_lost(live.deadline(), now) {
            self.silence();
            // Of that clock's windows, nothing more is to come.
            self.settled_before = None;
            return false;
        }
        let is_others = self.ceded_from.is_some_and(|from| live.next >= from);
        if self.hold_next(outcomes) {
            return true;
        }
        if is_others {
            self.silence();
            return false;
        }
        self.miss_next(outcomes);
        true
    }

    /// Holds the next live window, if there is a picture young enough. Says whether it did.
    fn hold_next(&mut self, outcomes: &mut Vec<Outcome>) -> bool {
        let Some(live) = &mut self.live else { return false };
        let window = live.next;
        let may_stand_in = |last: &Frame| window.end().since(last.captured) <= hold_max(window.length());
        let last = live.last.clone().filter(may_stand_in);
        let Some(last) = last else { return false };
        live.next = window.next();
        live.missed_in_a_row = 0;
        self.bytes += last.jpeg.len();
        self.batches_out += 1;
        outcomes.push(Outcome::Store(Batch::new(window, [last]).expect("an earlier frame can be held")));
        self.walk();
        true
    }

    fn hold_before(&mut self, until: Window, outcomes: &mut Vec<Outcome>) {
        while self.live.as_ref().is_some_and(|live| live.next < until) && self.hold_next(outcomes) {}
    }

    fn miss_next(&mut self, outcomes: &mut Vec<Outcome>) {
        let Some(live) = &mut self.live else { return };
        outcomes.push(Outcome::Missed(live.next));
        live.next = live.next.next();
        live.missed_in_a_row += 1;
        if live.missed_in_a_row >= GAPS_IN_A_ROW_MAX {
            self.jump();
        }
        self.walk();
    }

    /// Up to where windows without a frame are empty, as far as can be told now: others follow that have frames, or the
    /// camera has been silent for so long that it is slower than windows.
    fn empty_until(&self, now: Timestamp) -> Option<Window> {
        let live = self.live.as_ref()?;
        let length = live.next.length();
        let is_silent = now.since(self.heard) >= length.duration();
        let present = is_silent.then(|| Window::containing(now, length).next());
        live.ahead.keys().next_back().copied().max(present)
    }

    /// Enough windows were missed in a row: goes on at the first one that has frames, or waits for one.
    fn jump(&mut self) {
        let Some(live) = &mut self.live else { return };
        let stored = live.ahead.keys().next();
        let open = self.open.range(live.next..).next().map(|(window, _)| window);
        match stored.into_iter().chain(open).min() {
            Some(window) => {
                live.next = *window;
                live.missed_in_a_row = 0;
            }
            None => self.silence(),
        }
    }

    /// Moves the cursor over windows that are stored already.
    fn walk(&mut self) {
        let Some(live) = &mut self.live else { return };
        while let Some(frame) = live.ahead.remove(&live.next) {
            if let Some(old) = live.last.replace(frame) {
                self.bytes -= old.jpeg.len();
            }
            live.next = live.next.next();
            live.missed_in_a_row = 0;
        }
    }

    fn silence(&mut self) {
        if let Some(live) = self.live.take() {
            self.settled_before = Some(live.next);
            self.bytes -=
                live.last.iter().chain(live.ahead.values()).map(|frame| frame.jpeg.len()).sum::<usize>();
        }
    }

    fn close_oldest(&mut self, outcomes: &mut Vec<Outcome>) -> bool {
        let oldest = self.open.keys().next().copied();
        oldest.is_some_and(|window| {
            self.close(window, outcomes);
            true
        })
    }

    fn close(&mut self, window: Window, outcomes: &mut Vec<Outcome>) {
        let Some(open) = self.open.remove(&window) else { return };
        let batch = Batch::new(window, open.frames).expect("an open window has frames of its own");
        let last = batch.frames().last().expect("a batch is never empty").clone();
        self.batches_out += 1;
        outcomes.push(Outcome::Store(batch));
        if let Some(live) = self.live.as_mut().filter(|live| window >= live.next) {
            // Closed again, it may have earlier frames than before.
            live.ahead.entry(window).or_insert_with(|| {
                self.bytes += last.jpeg.len();
                last
            });
            self.walk();
        }
    }
}

impl Live {
    fn starting(next: Window, now: Timestamp) -> Self {
        Self {
            next,
            since: now,
            newest: Timestamp::default(),
            late: Duration::ZERO,
            last: None,
            ahead: BTreeMap::new(),
            missed_in_a_row: 0,
        }
    }

    /// When the next window, should it still be empty, is held or missed. It waits for frames that may be as late as the
    /// newest one, unless that shows that they would have come before it.
    fn deadline(&self) -> Timestamp {
        let end = self.next.end();
        let late = if self.newest < end { self.late } else { Duration::ZERO };
        (end + late).max(self.since) + WINDOW_GRACE
    }
}
