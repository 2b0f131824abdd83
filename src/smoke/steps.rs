//! The sequence of the smoke test: each step sends requests, checks the answers, and is timed and reported.

use std::hash::{BuildHasher as _, Hasher as _, RandomState};
use std::pin::pin;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use super::check::{self, Wrong};
use super::client::MilvusClient;
use super::data::Dataset;
use super::faults::StepFault;
use super::probe;
use super::{Consistency, Options, SmokeError, SmokeReport, SmokeStep, SmokeStepName, StepEvent};
use crate::text::forms;

/// How often a running step checks for a stop.
const TICK: Duration = Duration::from_millis(50);

/// The time limit for connecting: a running server answers in milliseconds.
const CONNECT: Duration = Duration::from_secs(10);

/// How long a request with a relevant outcome may continue after a stop.
const GRACE: Duration = Duration::from_secs(3);

/// The extra time limit for dropping the collection.
const DROP: Duration = Duration::from_secs(10);

/// How long a weak consistency level may return stale answers. `Bounded` lags five seconds by default;
/// `Eventually` promises no time at all, so patience must end somewhere.
const PATIENCE: Duration = Duration::from_secs(30);

/// How long to wait before asking again after a stale answer.
const POLL: Duration = Duration::from_millis(250);

/// The number of rows per search.
const NEAREST: usize = 10;

/// The number of known rows to search for, and of unseen vectors to compare with brute force.
const QUERIES: usize = 10;

/// The range of ids per filter: Milvus returns at most 16,384 rows at once.
const FILTER_SPAN: i64 = 10_000;

pub(super) fn run(
    options: &Options,
    on_step: &mut dyn FnMut(StepEvent<'_>),
    stop: &AtomicBool,
) -> Result<SmokeReport, SmokeError> {
    let runtime =
        tokio::runtime::Builder::new_current_thread().enable_all().build().map_err(SmokeError::Runtime)?;
    let mut recorder =
        Recorder { options, on_step, stop, begun: Instant::now(), steps: Vec::new(), interrupted: false };
    // A halt means a failed step, which is in the report.
    let done = runtime.block_on(all_steps(&mut recorder)).is_ok();
    Ok(SmokeReport {
        ok: done && recorder.steps.iter().all(|step| step.ok),
        uri: options.uri.clone(),
        steps: recorder.steps,
        interrupted: recorder.interrupted,
    })
}

/// A step failed and is recorded; only the drop may follow.
struct Halt;

async fn all_steps(recorder: &mut Recorder<'_>) -> Result<(), Halt> {
    let options = recorder.options;
    let milvus = recorder
        .step(SmokeStepName::Connect, Cancel::Now, async |limit| {
            probe::greet(&options.uri, limit.remaining().min(CONNECT), limit.stop)?;
            MilvusClient::connect(options, unique_name(), limit.remaining().min(CONNECT)).await
        })
        .await?;
    let used = use_collection(recorder, &milvus).await;
    let dropped = recorder.drop(&milvus).await;
    used.and(dropped)
}

/// Everything between connecting and dropping; may leave a collection behind at any point.
async fn use_collection(recorder: &mut Recorder<'_>, milvus: &MilvusClient) -> Result<(), Halt> {
    let options = recorder.options;
    // If abandoned midway, the server might create the collection after the check for it.
    recorder
        .step(SmokeStepName::CreateCollection, Cancel::Gracefully, async |_| milvus.create().await)
        .await?;
    let data = Dataset::generate(options);
    let ids: Vec<i64> = data.ids().collect();
    let (last, first) = ids.split_last().ok_or(Halt)?;
    recorder
        .step(SmokeStepName::Insert, Cancel::Now, async |limit| {
            check::taken("inserted", first.len(), milvus.insert(&data, first).await?)?;
            milvus.flush(limit.remaining()).await
        })
        .await?;
    recorder.step(SmokeStepName::CreateIndex, Cancel::Now, async |_| milvus.create_index().await).await?;
    recorder
        .step(SmokeStepName::Load, Cancel::Now, async |limit| milvus.load(limit.remaining()).await)
        .await?;
    read_back(recorder, milvus, &data, *last).await?;
    let deleted: Vec<i64> = data.spread((data.len() / 10).clamp(2, 1000));
    recorder
        .step(SmokeStepName::Delete, Cancel::Now, async |limit| {
            check::taken("deleted", deleted.len(), milvus.delete(&deleted).await?)?;
            limit.until_right(async || Ok(check::gone(&deleted, &milvus.present(&deleted).await?)?)).await
        })
        .await?;
    recorder
        .step(SmokeStepName::Count, Cancel::Now, async |limit| {
            let count = async || Ok(check::count(data.len(), deleted.len(), milvus.count().await?)?);
            limit.until_right(count).await
        })
        .await
}

/// The steps that only read, except for inserting the last row.
async fn read_back(
    recorder: &mut Recorder<'_>,
    milvus: &MilvusClient,
    data: &Dataset,
    last: i64,
) -> Result<(), Halt> {
    let options = recorder.options;
    recorder
        .step(SmokeStepName::Consistency, Cancel::Now, async |limit| {
            check::taken("inserted", 1, milvus.insert(data, &[last]).await?)?;
            limit
                .until_right(async || {
                    search_known(milvus, data, options, &[last]).await?;
                    Ok(check::rows(data, &[last], &milvus.rows(&[last]).await?)?)
                })
                .await
        })
        .await?;
    recorder
        .step(SmokeStepName::Search, Cancel::Now, async |limit| {
            let known = data.spread(QUERIES);
            let unseen = data.unseen_vectors(QUERIES, options.seed);
            limit
                .until_right(async || {
                    search_known(milvus, data, options, &known).await?;
                    search_unseen(milvus, data, options, &unseen).await
                })
                .await
        })
        .await?;
    recorder
        .step(SmokeStepName::Get, Cancel::Now, async |limit| {
            let ids = data.spread(QUERIES);
            limit.until_right(async || Ok(check::rows(data, &ids, &milvus.rows(&ids).await?)?)).await
        })
        .await?;
    recorder
        .step(SmokeStepName::Filter, Cancel::Now, async |limit| {
            let color = data.row(last).map_or("", |row| row.color);
            for low in (0..=last).step_by(usize::try_from(FILTER_SPAN).unwrap_or(usize::MAX)) {
                let high = low + FILTER_SPAN;
                let ask = async || {
                    let found = milvus.of_color(color, low, high).await?;
                    Ok(check::filtered(data, color, low, high, &found)?)
                };
                limit.until_right(ask).await?;
            }
            Ok(())
        })
        .await?;
    recorder
        .step(SmokeStepName::List, Cancel::Now, async |_| {
            Ok(check::listed(milvus.collection(), &milvus.list().await?)?)
        })
        .await?;
    recorder
        .step(SmokeStepName::Describe, Cancel::Now, async |_| {
            check::described(&milvus.fields(), &milvus.describe().await?)?;
            match milvus.described_metric().await? {
                Some(metric) if metric == options.metric => Ok(()),
                other => Err(Wrong::False(format!(
                    "the index was created with the metric {:?} and is described with {other:?}",
                    options.metric
                ))
                .into()),
            }
        })
        .await
}

/// Searches for known rows, each of which must find itself.
async fn search_known(
    milvus: &MilvusClient,
    data: &Dataset,
    options: &Options,
    ids: &[i64],
) -> Result<(), StepFault> {
    let queries: Vec<Vec<f32>> =
        ids.iter().filter_map(|id| data.row(*id)).map(|row| row.vector.to_vec()).collect();
    let answers = answers(milvus, queries.clone()).await?;
    for ((id, query), hits) in ids.iter().zip(&queries).zip(&answers) {
        check::hits(data, options, query, NEAREST, hits)?;
        check::finds_itself(data, options.metric, *id, hits)?;
    }
    Ok(())
}

/// Searches for unseen vectors and compares with brute force.
async fn search_unseen(
    milvus: &MilvusClient,
    data: &Dataset,
    options: &Options,
    queries: &[Vec<f32>],
) -> Result<(), StepFault> {
    let answers = answers(milvus, queries.to_vec()).await?;
    let mut recalls = Vec::with_capacity(queries.len());
    for (query, hits) in queries.iter().zip(&answers) {
        check::hits(data, options, query, NEAREST, hits)?;
        recalls.push(check::recall(data, options.metric, query, NEAREST, hits));
        // Brute force over many rows takes a while; yield to check for a stop in between.
        tokio::task::yield_now().await;
    }
    Ok(check::mean_recall(options.index, &recalls)?)
}

async fn answers(milvus: &MilvusClient, queries: Vec<Vec<f32>>) -> Result<Vec<Vec<check::Hit>>, StepFault> {
    let asked = queries.len();
    let answers = milvus.search(queries, NEAREST).await?;
    if answers.len() == asked {
        return Ok(answers);
    }
    Err(Wrong::False(format!("searched for {asked} vectors, but got {} answers", answers.len())).into())
}

/// A unique name: two tests may run at once, and an aborted one may have left its collection.
fn unique_name() -> String {
    // The standard library seeds hashers from the system's randomness.
    let random = RandomState::new().build_hasher().finish();
    format!("milvusctl_smoke_{random:016x}")
}

/// What happens to the current request when a step is stopped or times out.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Cancel {
    /// Abandon it at once.
    Now,
    /// Wait a little longer, because its outcome decides what to clean up.
    Gracefully,
}

#[derive(Clone, Copy)]
struct Limit<'a> {
    deadline: Instant,
    stop: &'a AtomicBool,
    consistency: Consistency,
}

impl Limit<'_> {
    fn remaining(&self) -> Duration {
        self.deadline.saturating_duration_since(Instant::now())
    }

    /// Asks until the answer is right, as long as the consistency level allows stale answers.
    async fn until_right(
        &self,
        mut ask: impl AsyncFnMut() -> Result<(), StepFault>,
    ) -> Result<(), StepFault> {
        // Ends before the step's own limit, so that the report names the wrong answer rather than a timeout.
        let patience = Instant::now() + PATIENCE.min(self.remaining().mul_f64(0.8));
        loop {
            match ask().await {
                Err(StepFault::Wrong(Wrong::Stale(what))) if !self.consistency.is_immediate() => {
                    if Instant::now() + POLL > patience {
                        return Err(Wrong::Stale(format!("{what}, also after waiting")).into());
                    }
                    tokio::time::sleep(POLL).await;
                }
                outcome => return outcome,
            }
        }
    }
}

/// Times and reports the steps, and enforces the time limit and the stop.
struct Recorder<'a> {
    options: &'a Options,
    on_step: &'a mut dyn FnMut(StepEvent<'_>),
    stop: &'a AtomicBool,
    begun: Instant,
    steps: Vec<SmokeStep>,
    interrupted: bool,
}

impl<'a> Recorder<'a> {
    async fn step<T>(
        &mut self,
        name: SmokeStepName,
        unfinished: Cancel,
        work: impl AsyncFnOnce(Limit<'a>) -> Result<T, StepFault>,
    ) -> Result<T, Halt> {
        let limit = Limit {
            deadline: self.begun + self.options.timeout,
            stop: self.stop,
            consistency: self.options.consistency,
        };
        let begun = Instant::now();
        (self.on_step)(StepEvent::Started(name));
        let outcome = self.bounded(limit, unfinished, Box::pin(work(limit))).await;
        self.record(name, begun, outcome)
    }

    async fn bounded<T>(
        &self,
        limit: Limit<'a>,
        unfinished: Cancel,
        work: impl Future<Output = Result<T, StepFault>>,
    ) -> Result<T, StepFault> {
        let mut work = pin!(work);
        let mut end: Option<(StepFault, Instant)> = None;
        loop {
            if end.is_none() {
                let fault = if self.stop.load(Ordering::Relaxed) {
                    Some(StepFault::Stopped)
                } else if limit.remaining().is_zero() {
                    Some(StepFault::TimedOut { seconds: self.begun.elapsed().as_secs_f64() })
                } else {
                    None
                };
                let grace = if unfinished == Cancel::Gracefully { GRACE } else { Duration::ZERO };
                end = fault.map(|fault| (fault, Instant::now() + grace));
            }
            match end {
                Some((fault, until)) if Instant::now() >= until => return Err(fault),
                _ => {}
            }
            if let Ok(outcome) = tokio::time::timeout(TICK, work.as_mut()).await {
                // Done, but too late to continue.
                return match end {
                    Some((fault, _)) => Err(fault),
                    None => outcome,
                };
            }
        }
    }

    /// Drops the collection whatever happened before, with its own time limit and regardless of a stop.
    async fn drop(&mut self, milvus: &MilvusClient) -> Result<(), Halt> {
        let begun = Instant::now();
        (self.on_step)(StepEvent::Started(SmokeStepName::Drop));
        let work = async {
            milvus.drop().await?;
            if milvus.exists().await? {
                return Err(Wrong::False("the collection is still there after being dropped".into()).into());
            }
            Ok(())
        };
        let outcome = match tokio::time::timeout(DROP, work).await {
            Ok(outcome) => outcome,
            Err(_) => Err(StepFault::TimedOut { seconds: begun.elapsed().as_secs_f64() }),
        };
        let outcome = outcome.map_err(|fault| {
            StepFault::Refused(format!(
                "{fault}; the collection `{}` may be left on the server, drop it there",
                milvus.collection()
            ))
        });
        self.record(SmokeStepName::Drop, begun, outcome)
    }

    fn record<T>(
        &mut self,
        name: SmokeStepName,
        begun: Instant,
        outcome: Result<T, StepFault>,
    ) -> Result<T, Halt> {
        let error = outcome.as_ref().err().map(|fault| self.without_secrets(&fault.to_string()));
        self.interrupted |=
            matches!(outcome, Err(StepFault::Stopped | StepFault::NoServer(super::NotReached::Stopped)));
        let step = SmokeStep { name, ok: error.is_none(), seconds: begun.elapsed().as_secs_f64(), error };
        (self.on_step)(StepEvent::Finished(&step));
        self.steps.push(step);
        outcome.map_err(|_| Halt)
    }

    /// Masks secrets, since a server may repeat in an error what it was sent.
    fn without_secrets(&self, text: &str) -> String {
        let secrets = self.options.login.iter().flat_map(|login| forms(login.secret().expose()));
        secrets.fold(text.to_owned(), |text, secret| text.replace(&secret, "***"))
    }
}
