// What is measured inside the page. `startProbe` is sent there as text, so it refers to nothing but its arguments and the page.

/**
 * Watches all videos of the page, until `window.probe.stop()` tells, for each camera: how far playback advanced, how often it waited,
 * froze or jumped, and how old the picture was each time when the clock in it was looked at.
 */
export function startProbe(readClock) {
  const LOOK_EVERY_MS = 50;
  const CLOCK_EVERY_MS = 100;
  /** The picture stands still for longer than this: a viewer notices. */
  const FROZEN_MS = 300;

  const watched = [...document.querySelectorAll('[data-camera]')].map((tile) => {
    const video = tile.querySelector('video');
    const record = {
      name: tile.dataset.camera,
      startedAt: performance.now(),
      startPosition: video.currentTime,
      startDropped: video.getVideoPlaybackQuality().droppedVideoFrames,
      startShown: video.getVideoPlaybackQuality().totalVideoFrames,
      waits: 0,
      freezes: [],
      jumps: 0,
      delaysMs: [],
      unread: 0,
      states: {},
    };
    video.addEventListener('waiting', () => (record.waits += 1));
    video.addEventListener('seeking', () => (record.jumps += 1));
    return { tile, video, record, position: video.currentTime, movedAt: performance.now(), frozen: false };
  });

  let lookedAt = performance.now();
  const looks = setInterval(() => {
    const now = performance.now();
    // When this page's own thread was held up, the videos played on unseen.
    const unseen = now - lookedAt > 3 * LOOK_EVERY_MS;
    lookedAt = now;
    for (const one of watched) {
      const state = one.tile.dataset.state;
      one.record.states[state] = (one.record.states[state] ?? 0) + 1;
      if (one.video.currentTime !== one.position || unseen) {
        if (one.frozen) one.record.freezes.push(Math.round(now - one.movedAt));
        one.frozen = false;
        one.position = one.video.currentTime;
        one.movedAt = now;
      } else if (now - one.movedAt > FROZEN_MS) {
        one.frozen = true;
      }
    }
  }, LOOK_EVERY_MS);

  const canvas = document.createElement('canvas');
  const context = canvas.getContext('2d', { willReadFrequently: true });
  const readings = setInterval(() => {
    for (const { video, record } of watched) {
      const { videoWidth: width, videoHeight: height } = video;
      if (width === 0) continue;
      // The clock is at the bottom; only that part is copied.
      const strip = Math.min(height, Math.ceil(width / 8));
      canvas.width = width;
      canvas.height = strip;
      context.drawImage(video, 0, height - strip, width, strip, 0, 0, width, strip);
      const now = Date.now();
      const { data } = context.getImageData(0, 0, width, strip);
      const luma = (x, y) => {
        const at = ((y - (height - strip)) * width + x) * 4;
        return 0.299 * data[at] + 0.587 * data[at + 1] + 0.114 * data[at + 2];
      };
      const captured = readClock(width, height, luma);
      if (captured === null) record.unread += 1;
      else record.delaysMs.push(now - captured);
    }
  }, CLOCK_EVERY_MS);

  window.probe = {
    stop: () => {
      clearInterval(looks);
      clearInterval(readings);
      return watched.map(({ video, record, frozen, movedAt }) => {
        const quality = video.getVideoPlaybackQuality();
        return {
          ...record,
          freezes: frozen ? [...record.freezes, Math.round(performance.now() - movedAt)] : record.freezes,
          seconds: (performance.now() - record.startedAt) / 1000,
          advanced: video.currentTime - record.startPosition,
          dropped: quality.droppedVideoFrames - record.startDropped,
          shown: quality.totalVideoFrames - record.startShown,
        };
      });
    },
  };
}
