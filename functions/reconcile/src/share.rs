//! How many batches a run sends, and of which camera: a function of what earlier ones sent and what became of it.

/// What part of what a run may send at least is a camera's: so much is added for each beyond ten, and no more is sent of one of which
/// nothing comes back.
const PART_OF_CAMERA: usize = 10;

/// What there is of one camera that lacks segments.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Lack {
    /// Batches that can be sent.
    pub batches: usize,
    /// Those that earlier runs sent, and that have no segment yet.
    pub awaited: usize,
    /// Those that have one since the last run.
    pub encoded: usize,
    /// Whether none of many runs had one.
    pub is_unanswered: bool,
    /// Whether there was no time to look for all of them.
    pub is_partial: bool,
}

/// The most that is sent of a camera of which nothing comes back.
pub const fn of_camera(batches_max: usize) -> usize {
    batches_max.div_ceil(PART_OF_CAMERA)
}

/// How many batches may be under way: `batches_max`, and up to a tenth of that for each camera that lacks some if that is more. But
/// no more than that is begun with, and no more than twice what the last run had encoded in time: what waits for its turn at `encode`
/// holds up what is live.
pub fn room(batches_max: usize, cameras: &[Lack]) -> usize {
    let lacking = cameras.iter().filter(|lack| lack.batches + lack.awaited > 0 || lack.is_partial).count();
    let encoded: usize = cameras.iter().map(|lack| lack.encoded).sum();
    // Those of which nothing comes back do not tell how quickly others do.
    let late: usize = cameras.iter().filter(|lack| !lack.is_unanswered).map(|lack| lack.awaited).sum();
    let in_time = if late * 10 <= encoded { 2 * encoded } else { 0 };
    in_time.min(lacking * of_camera(batches_max)).max(batches_max)
}

/// Shares `room` evenly: how many batches are sent of each camera. What one does not need is the others'; what of it is under way
/// counts for its share.
pub fn share(room: usize, batches_max: usize, cameras: &[Lack]) -> Vec<usize> {
    let wanted = |lack: &Lack| {
        let most = if lack.is_unanswered { of_camera(batches_max) } else { batches_max };
        lack.batches.min(most.saturating_sub(lack.awaited))
    };
    let mut order: Vec<usize> = (0..cameras.len()).collect();
    order.sort_by_key(|index| cameras[*index].awaited + wanted(&cameras[*index]));
    let (mut room, mut shares) = (room, vec![0; cameras.len()]);
    for (done, index) in order.iter().enumerate() {
        let lack = &cameras[*index];
        let all = (lack.awaited + wanted(lack)).min(room / (cameras.len() - done));
        shares[*index] = all.saturating_sub(lack.awaited);
        room -= all;
    }
    shares
}

#[cfg(test)]
mod tests {
    use super::*;

    const fn lack(batches: usize, awaited: usize) -> Lack {
        Lack { batches, awaited, encoded: 0, is_unanswered: false, is_partial: false }
    }

    #[test]
    fn what_a_camera_does_not_need_is_the_others() {
        let shares = |room, cameras: &[Lack]| share(room, 1000, cameras);
        assert_eq!(shares(1000, &[lack(5000, 0), lack(5, 0), lack(5000, 0)]), [497, 5, 498]);
        assert_eq!(shares(1000, &[lack(5000, 0)]), [1000]);
        assert_eq!(shares(9000, &[lack(5000, 0), lack(1, 0)]), [1000, 1], "one has no more than that");
        assert_eq!(shares(2, &[lack(9, 0), lack(9, 0), lack(9, 0)]), [0, 1, 1]);
        assert_eq!(shares(1000, &[]), [0; 0]);
    }

    #[test]
    fn what_is_under_way_counts_for_its_camera_alone() {
        let shares = |cameras: &[Lack]| share(1000, 1000, cameras);
        assert_eq!(shares(&[lack(5000, 1000)]), [0]);
        assert_eq!(shares(&[lack(5000, 300)]), [700]);
        assert_eq!(shares(&[lack(5000, 1000), lack(5, 0)]), [0, 5]);
        assert_eq!(shares(&[lack(5000, 1000), lack(5000, 0)]), [0, 500]);
    }

    #[test]
    fn of_a_camera_of_which_nothing_comes_back_little_is_sent() {
        let unanswered = |batches, awaited| Lack { is_unanswered: true, ..lack(batches, awaited) };
        assert_eq!(share(1000, 1000, &[unanswered(5000, 0), unanswered(5000, 60)]), [100, 40]);
    }

    #[test]
    fn more_may_be_under_way_the_more_cameras_lack_some_as_long_as_it_is_encoded_in_time() {
        let many = |encoded, awaited| {
            let mut cameras = vec![lack(3600, 0); 100];
            cameras[0] = Lack { encoded, ..lack(3600, awaited) };
            room(1000, &cameras)
        };
        assert_eq!(many(0, 0), 1000);
        assert_eq!(many(1000, 0), 2000);
        assert_eq!(many(8000, 800), 10_000);
        assert_eq!(many(8000, 801), 1000, "it is late");
        assert_eq!(room(1000, &[Lack { encoded: 1000, ..lack(3600, 0) }]), 1000);
        assert_eq!(room(0, &[lack(1, 0)]), 0);
    }
}
