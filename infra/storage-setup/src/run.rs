//! The steps: what there is, what is wanted, and the difference.

use std::collections::BTreeSet;

use aws_sdk_s3::{
    Client,
    types::{
        BucketLifecycleConfiguration, BucketLocationConstraint, CorsConfiguration, CreateBucketConfiguration,
        LifecycleRule, PublicAccessBlockConfiguration,
    },
};
use teiten_bucket::Access;
use teiten_footage::CameraId;

use crate::{
    answer::{Answer, SetupError, sort, status},
    policy::{Change, Component, Place, bucket_statements, change},
    rules::{RULES_MAX, Rule, cors_change, frames_rules, lifecycle_change, media_rules},
    settings::Settings,
};

/// What became of a step.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Outcome {
    /// It was right already.
    Kept,
    /// It is now.
    Made,
    /// The store cannot do that; the words say what follows.
    LeftOut,
}

/// One step that is done.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Step {
    /// What became of it.
    pub outcome: Outcome,
    /// What is so now, or what is not.
    pub words: String,
}

/// Sets the store up, telling each step to `tell`. `region` is where buckets are made, where that has to be said.
pub async fn run(
    client: &Client,
    settings: &Settings,
    region: Option<&str>,
    mut tell: impl FnMut(Step),
) -> Result<(), SetupError> {
    if settings.frames == settings.media {
        return Err(SetupError::OneBucket { bucket: settings.media.clone() });
    }
    let store = Store { client, settings, region };
    for bucket in [&settings.frames, &settings.media] {
        tell(store.bucket(bucket).await?);
    }
    tell(store.lifecycle(&settings.frames, &frames_rules(settings)).await?);
    let cameras = store.cameras().await?;
    let media_rules = media_rules(&cameras, settings);
    if media_rules.is_empty() {
        let words = format!("bucket {}: no camera yet, so no lifecycle rules yet", settings.media);
        tell(Step { outcome: Outcome::Kept, words });
    } else {
        tell(store.lifecycle(&settings.media, &media_rules).await?);
    }
    tell(store.cors().await?);
    tell(store.access(Place::Frames).await?);
    tell(store.access(Place::Media).await?);
    for component in Component::all() {
        if settings.principals.0.contains_key(&component) {
            continue;
        }
        let name = component.name();
        tell(match &settings.policies {
            Some(folder) => {
                let words =
                    format!("rights of {name}: its user's policy is {}/{name}.json", folder.display());
                Step { outcome: Outcome::Kept, words }
            }
            None => {
                let words = format!(
                    "rights of {name}: no user is named for it (TEITEN_STORAGE_PRINCIPALS), so none in the buckets' policies; \
                     its user's own policy has to be {}",
                    component.user_policy(settings)
                );
                Step { outcome: Outcome::LeftOut, words }
            }
        });
    }
    Ok(())
}

struct Store<'a> {
    client: &'a Client,
    settings: &'a Settings,
    region: Option<&'a str>,
}

fn done(outcome: Outcome, words: String) -> Result<Step, SetupError> {
    Ok(Step { outcome, words })
}

impl Store<'_> {
    async fn bucket(&self, bucket: &str) -> Result<Step, SetupError> {
        let what = format!("bucket {bucket}");
        let answer = self.client.head_bucket().bucket(bucket).send().await;
        // A HEAD has no body that could say so.
        let why = match answer.as_ref().err().map(status) {
            Some(301) => {
                "it is there already, in another region: set AWS_REGION, or choose another name for it"
            }
            Some(403) => {
                "it is refused: either these keys are not the administrator's, or the name is taken by somebody else's bucket, and \
                 you choose another one"
            }
            _ => "",
        };
        if !why.is_empty() {
            return Err(SetupError::Store { what, why: why.to_owned() });
        }
        if let Answer::Done(_) = sort(&what, answer)? {
            return done(Outcome::Kept, format!("{what} is there"));
        }
        let request = self.client.create_bucket().bucket(bucket);
        let request = match self.region {
            Some(region) => request.create_bucket_configuration(
                CreateBucketConfiguration::builder()
                    .location_constraint(BucketLocationConstraint::from(region))
                    .build(),
            ),
            None => request,
        };
        match sort(&what, request.send().await)? {
            Answer::Done(_) => done(Outcome::Made, format!("{what} is made")),
            Answer::Absent | Answer::Lacking => {
                Err(SetupError::Store { what, why: "it is not there, and the store makes none".to_owned() })
            }
        }
    }

    async fn lifecycle(&self, bucket: &str, wanted: &[Rule]) -> Result<Step, SetupError> {
        let what = format!("bucket {bucket}: lifecycle");
        let left_out = || {
            let words = format!(
                "bucket {bucket}: this store takes no lifecycle rules, so nothing is ever deleted by itself"
            );
            done(Outcome::LeftOut, words)
        };
        let request = self.client.get_bucket_lifecycle_configuration().bucket(bucket);
        let current: Vec<LifecycleRule> = match sort(&what, request.send().await)? {
            Answer::Done(output) => output.rules.unwrap_or_default(),
            Answer::Absent => Vec::new(),
            Answer::Lacking => return left_out(),
        };
        let words = format!("bucket {bucket}: {}", Rule::words(wanted));
        let failed =
            |error: &dyn std::fmt::Display| SetupError::Store { what: what.clone(), why: error.to_string() };
        let Some(rules) = lifecycle_change(&current, wanted).map_err(|error| failed(&error))? else {
            return done(Outcome::Kept, words);
        };
        if rules.len() > RULES_MAX {
            return Err(SetupError::Rules { bucket: bucket.to_owned(), count: rules.len() });
        }
        let configuration = BucketLifecycleConfiguration::builder().set_rules(Some(rules)).build();
        let request = self
            .client
            .put_bucket_lifecycle_configuration()
            .bucket(bucket)
            .lifecycle_configuration(configuration.map_err(|error| failed(&error))?);
        match sort(&what, request.send().await)? {
            Answer::Done(_) => done(Outcome::Made, words),
            Answer::Absent | Answer::Lacking => left_out(),
        }
    }

    /// The cameras that have anything in the bucket of media.
    async fn cameras(&self) -> Result<BTreeSet<CameraId>, SetupError> {
        let what = format!("the cameras in bucket {}", self.settings.media);
        let mut cameras = BTreeSet::new();
        let mut next_page: Option<String> = None;
        loop {
            let request = self.client.list_objects_v2().bucket(&self.settings.media).delimiter("/");
            let request = request.set_continuation_token(next_page.take());
            let Answer::Done(page) = sort(&what, request.send().await)? else {
                let why = "the store does not list folders".to_owned();
                return Err(SetupError::Store { what, why });
            };
            let folders = page.common_prefixes().iter().filter_map(|folder| folder.prefix());
            cameras.extend(folders.filter_map(|folder| CameraId::new(folder.trim_end_matches('/')).ok()));
            match page.next_continuation_token {
                Some(token) if page.is_truncated == Some(true) => next_page = Some(token),
                _ => return Ok(cameras),
            }
        }
    }

    async fn cors(&self) -> Result<Step, SetupError> {
        let bucket = &self.settings.media;
        let what = format!("bucket {bucket}: CORS");
        let left_out = || {
            let words = format!(
                "bucket {bucket}: this store has no CORS for a bucket; MinIO has it for the server \
                 (MINIO_API_CORS_ALLOW_ORIGIN)"
            );
            done(Outcome::LeftOut, words)
        };
        let current = match sort(&what, self.client.get_bucket_cors().bucket(bucket).send().await)? {
            Answer::Done(output) => output.cors_rules.unwrap_or_default(),
            Answer::Absent => Vec::new(),
            Answer::Lacking => return left_out(),
        };
        let words = format!(
            "bucket {bucket}: pages of {} may play it",
            self.settings.cors_origins.words().join(", ")
        );
        let failed =
            |error: &dyn std::fmt::Display| SetupError::Store { what: what.clone(), why: error.to_string() };
        let Some(rules) = cors_change(&current, self.settings).map_err(|error| failed(&error))? else {
            return done(Outcome::Kept, words);
        };
        let configuration = CorsConfiguration::builder().set_cors_rules(Some(rules)).build();
        let request = self
            .client
            .put_bucket_cors()
            .bucket(bucket)
            .cors_configuration(configuration.map_err(|error| failed(&error))?);
        match sort(&what, request.send().await)? {
            Answer::Done(_) => done(Outcome::Made, words),
            Answer::Absent | Answer::Lacking => left_out(),
        }
    }

    /// Who gets in beside those who have rights of their own.
    async fn access(&self, place: Place) -> Result<Step, SetupError> {
        let settings = self.settings;
        let (bucket, access) = match place {
            Place::Frames => (&settings.frames, Access::Private),
            Place::Media => (&settings.media, settings.access),
        };
        let what = format!("bucket {bucket}: policy");
        let wanted = bucket_statements(place, settings);
        let left_out = || {
            let words = format!(
                "bucket {bucket}: this store has no policies of buckets; who reads it, its own settings say"
            );
            done(Outcome::LeftOut, words)
        };
        let current = match sort(&what, self.client.get_bucket_policy().bucket(bucket).send().await)? {
            Answer::Done(output) => output.policy.filter(|text| !text.is_empty()),
            Answer::Absent => None,
            Answer::Lacking => return left_out(),
        };
        let change = change(current.as_deref(), &wanted)
            .map_err(|why| SetupError::Policy { bucket: bucket.clone(), why })?;
        let mut words = match access {
            Access::Private => format!("bucket {bucket} is private"),
            Access::Public => {
                format!("bucket {bucket} is public: anybody reads what he knows the address of")
            }
        };
        let answer = match change {
            Change::None => return done(Outcome::Kept, words),
            Change::Put(policy) => {
                let request = self.client.put_bucket_policy().bucket(bucket).policy(policy.to_string());
                let mut answer = request.clone().send().await;
                let is_refused = answer.as_ref().err().map(status) == Some(403);
                if is_refused && access == Access::Public && self.lift_block(bucket).await? {
                    words += "; what blocked public policies is lifted";
                    answer = request.send().await;
                }
                sort(&what, answer)?.is_done()
            }
            Change::Delete => {
                sort(&what, self.client.delete_bucket_policy().bucket(bucket).send().await)?.is_done()
            }
        };
        if answer { done(Outcome::Made, words) } else { left_out() }
    }

    /// Lets a bucket have a public policy, which those that AWS makes today may not. Answers whether that was what forbade it.
    async fn lift_block(&self, bucket: &str) -> Result<bool, SetupError> {
        let what = format!("bucket {bucket}: block of public access");
        let request = self.client.get_public_access_block().bucket(bucket);
        // Whoever cannot tell forbids nothing by it: the policy was refused for another reason, which is told then.
        let Ok(Answer::Done(output)) = sort(&what, request.send().await) else { return Ok(false) };
        let Some(block) = output.public_access_block_configuration else { return Ok(false) };
        if block.block_public_policy != Some(true) && block.restrict_public_buckets != Some(true) {
            return Ok(false);
        }
        // What it says of access lists stays: none is used.
        let lifted = PublicAccessBlockConfiguration::builder()
            .set_block_public_acls(block.block_public_acls)
            .set_ignore_public_acls(block.ignore_public_acls)
            .block_public_policy(false)
            .restrict_public_buckets(false)
            .build();
        let request = self.client.put_public_access_block().bucket(bucket);
        let answer = request.public_access_block_configuration(lifted).send().await;
        Ok(sort(&what, answer)?.is_done())
    }
}

impl<T> Answer<T> {
    fn is_done(&self) -> bool {
        matches!(self, Self::Done(_))
    }
}
