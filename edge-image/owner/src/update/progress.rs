//! What a camera's telemetry means for an update that was asked of it (docs/formats.md, "Updates"). Pure.

use serde::Deserialize;

/// What is read of telemetry.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub(super) struct Telemetry {
    agent_uptime_seconds: u64,
    uptime_seconds: Option<u64>,
    update: Option<String>,
    versions: Versions,
}

#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
struct Versions {
    image: Option<String>,
}

/// How an update ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Outcome {
    /// Frames have flowed: the camera keeps it.
    Kept {
        /// What runs now, as it calls itself.
        image: String,
    },
    /// It was not installed; the camera runs on as before.
    Refused {
        /// Why, in the camera's words.
        why: String,
    },
    /// It was installed, and the camera restarted into what it ran before: nothing was heard of a trial.
    NotTried {
        /// What runs now, as it calls itself.
        image: String,
    },
    /// It was tried, and the camera runs what it ran before.
    WentBack {
        /// What runs now, as it calls itself.
        image: String,
        /// What the camera last said of the update.
        last: String,
    },
}

/// The agent and what tells of updates start together, so one that runs for so long without a word of an update
/// runs from a slot that is not on trial.
const SETTLED_SECONDS: u64 = 20;

/// What was heard so far of an update that was asked for.
#[derive(Debug, Default)]
pub(super) struct Progress {
    /// What ran when it was asked for.
    image: Option<String>,
    uptime_seconds: u64,
    restarted: bool,
    was_on_trial: bool,
    last: String,
}

impl Progress {
    /// Before the update was asked for: what the camera runs.
    pub(super) fn before(&mut self, telemetry: &Telemetry) {
        self.image = telemetry.versions.image.clone();
        self.uptime_seconds = telemetry.uptime_seconds.unwrap_or_default();
    }

    /// Once it is asked for: what there is to say, if anything, and how it ended, if it has.
    pub(super) fn heard(&mut self, telemetry: &Telemetry) -> (Option<String>, Option<Outcome>) {
        let uptime_seconds = telemetry.uptime_seconds.unwrap_or_default();
        let restarts = uptime_seconds < self.uptime_seconds;
        // Of a new run that is first heard once it is older than the one before was, what it says tells.
        let is_on_trial = telemetry.update.as_ref().is_some_and(|state| state.contains(" on trial"));
        self.was_on_trial |= is_on_trial;
        self.restarted |= restarts || is_on_trial || self.runs_another_image(telemetry);
        self.uptime_seconds = uptime_seconds;
        let image = || telemetry.versions.image.clone().unwrap_or_default();
        match &telemetry.update {
            Some(state) => {
                let news = (*state != self.last || restarts).then(|| state.clone());
                self.last.clone_from(state);
                let outcome = match state.strip_prefix("failed: ") {
                    Some(why) => Some(Outcome::Refused { why: why.to_owned() }),
                    // Without a restart, it is the update before this one.
                    None if self.restarted && state.ends_with(" confirmed") => {
                        Some(Outcome::Kept { image: image() })
                    }
                    None => None,
                };
                (news, outcome)
            }
            None if self.restarted && telemetry.agent_uptime_seconds >= SETTLED_SECONDS => {
                // A confirmed one that was switched off and on since has no word of it any more.
                let outcome = if self.runs_another_image(telemetry) {
                    Outcome::Kept { image: image() }
                } else if self.last.starts_with("install") && !self.was_on_trial {
                    Outcome::NotTried { image: image() }
                } else {
                    Outcome::WentBack { image: image(), last: self.last.clone() }
                };
                (None, Some(outcome))
            }
            None => (restarts.then(|| "restarted".to_owned()), None),
        }
    }

    /// Whether it is another one than when the update was asked for.
    fn runs_another_image(&self, telemetry: &Telemetry) -> bool {
        self.image.is_some() && telemetry.versions.image != self.image
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Telemetry of a machine that has been up for so long, its agent for two seconds less.
    fn telemetry(uptime: u64, update: Option<&str>, image: &str) -> Telemetry {
        let update = update.map_or(String::new(), |update| format!(r#""update":"{update}","#));
        let agent = uptime.saturating_sub(2);
        serde_json::from_str(&format!(
            r#"{{"at":"","agent_uptime_seconds":{agent},"uptime_seconds":{uptime},{update}"versions":{{"image":"{image}"}}}}"#
        ))
        .unwrap()
    }

    /// What is said on the way, and how it ends.
    fn follow(heard: &[Telemetry]) -> (Vec<String>, Option<Outcome>) {
        let mut progress = Progress::default();
        progress.before(&telemetry(500, None, "1"));
        let mut said = Vec::new();
        for telemetry in heard {
            let (news, outcome) = progress.heard(telemetry);
            said.extend(news);
            if outcome.is_some() {
                return (said, outcome);
            }
        }
        (said, None)
    }

    #[test]
    fn an_update_that_is_kept_is_told_step_by_step() {
        let (said, outcome) = follow(&[
            telemetry(510, Some("asked for"), "1"),
            telemetry(520, Some("downloading"), "1"),
            telemetry(530, Some("downloading"), "1"),
            telemetry(9, Some("slot B on trial"), "2"),
            telemetry(80, Some("slot B confirmed"), "2"),
        ]);
        assert_eq!(said, ["asked for", "downloading", "slot B on trial", "slot B confirmed"]);
        assert_eq!(outcome, Some(Outcome::Kept { image: "2".into() }));
    }

    #[test]
    fn a_restart_shows_though_the_new_run_is_first_heard_when_it_is_older_than_the_one_before() {
        let (_, outcome) = follow(&[
            telemetry(510, Some("installing"), "1"),
            telemetry(530, Some("slot B on trial"), "1"),
            telemetry(590, Some("slot B confirmed"), "1"),
        ]);
        assert_eq!(outcome, Some(Outcome::Kept { image: "1".into() }), "the same image once more");
        let (_, outcome) =
            follow(&[telemetry(510, Some("installing"), "1"), telemetry(590, Some("slot B confirmed"), "2")]);
        assert_eq!(outcome, Some(Outcome::Kept { image: "2".into() }));
        let (_, outcome) = follow(&[
            telemetry(510, Some("installing"), "1"),
            telemetry(530, Some("slot B on trial"), "2"),
            telemetry(560, None, "1"),
        ]);
        let last = "slot B on trial".into();
        assert_eq!(outcome, Some(Outcome::WentBack { image: "1".into(), last }));
    }

    #[test]
    fn a_refused_one_says_why() {
        let (_, outcome) =
            follow(&[telemetry(510, Some("asked for"), "1"), telemetry(511, Some("failed: 404"), "1")]);
        assert_eq!(outcome, Some(Outcome::Refused { why: "404".into() }));
    }

    #[test]
    fn the_word_of_an_earlier_update_is_not_taken_for_this_one() {
        let (_, outcome) = follow(&[
            telemetry(510, Some("slot B confirmed"), "1"),
            telemetry(520, Some("downloading"), "1"),
        ]);
        assert_eq!(outcome, None);
    }

    #[test]
    fn a_camera_that_went_back_runs_what_it_ran_without_a_word_of_an_update() {
        let (said, outcome) = follow(&[
            telemetry(510, Some("installing"), "1"),
            telemetry(9, Some("slot B on trial"), "2"),
            telemetry(5, None, "1"),
            telemetry(15, None, "1"),
            telemetry(25, None, "1"),
        ]);
        assert_eq!(said, ["installing", "slot B on trial", "restarted"]);
        let last = "slot B on trial".into();
        assert_eq!(outcome, Some(Outcome::WentBack { image: "1".into(), last }));
    }

    #[test]
    fn a_camera_that_restarts_into_what_it_ran_without_a_trial_did_not_go_back() {
        let heard = |last| follow(&[telemetry(510, Some(last), "1"), telemetry(25, None, "1")]).1;
        let not_tried = Some(Outcome::NotTried { image: "1".into() });
        assert_eq!(heard("installed, restarting into it"), not_tried);
        assert_eq!(heard("installing"), not_tried, "its last word was not heard any more");
        let last = "downloading".to_owned();
        assert_eq!(heard(&last), Some(Outcome::WentBack { image: "1".into(), last }), "switched off and on");
    }

    #[test]
    fn a_kept_one_that_was_switched_off_and_on_runs_another_image() {
        let (_, outcome) = follow(&[telemetry(510, Some("installing"), "1"), telemetry(30, None, "2")]);
        assert_eq!(outcome, Some(Outcome::Kept { image: "2".into() }));
    }
}
