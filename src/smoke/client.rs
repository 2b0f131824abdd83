//! Sends the smoke test's requests through the official SDK.
//!
//! One method per request, returning values for [`super::check`]. Nothing is judged here.
//!
//! Rows are selected by literal filters, never by the SDK's lists of ids: those become expression templates,
//! which Milvus before 2.5 does not support.

use std::collections::HashMap;
use std::time::{Duration, Instant};

use milvus::v2::prelude as sdk;
use milvus::v2::prelude::{ClientV2, ConnectConfig, Error};

use super::NotReached;
use super::check::{Field, Hit, ReadRow};
use super::connection::configuration;
use super::data::Dataset;
use super::faults::{StepFault, no_server};
use super::{Consistency, Index, Metric, Options};

const ID: &str = "id";
const VECTOR: &str = "vector";
const COLOR: &str = "color";

/// The name of the vector index.
const INDEX: &str = "vector_index";

/// The bytes of vectors per insert. Milvus allows 64 MiB per message by default; smaller inserts reveal a
/// slow server sooner.
const BATCH_BYTES: usize = 4 << 20;

/// The maximum number of rows per insert.
const BATCH_ROWS: usize = 5_000;

/// How often to poll the server while waiting for a state.
const POLL: Duration = Duration::from_millis(200);

/// A connection and the collection under test.
pub(super) struct MilvusClient {
    client: ClientV2,
    config: ConnectConfig,
    collection: String,
    options: Options,
}

impl MilvusClient {
    /// Connects and logs in; the other methods use `collection`.
    pub(super) async fn connect(
        options: &Options,
        collection: String,
        timeout: Duration,
    ) -> Result<Self, StepFault> {
        let begun = Instant::now();
        let refused = |error: &Error| no_server(&options.uri, error, begun.elapsed().as_secs_f64());
        let config =
            configuration(&options.uri, options.login.as_ref(), options.database.as_deref(), timeout);
        let client = ClientV2::new(&config).await.map_err(|error| refused(&error))?;
        let milvus = Self { client, config, collection, options: options.clone() };
        // Some servers accept any connection and only check the login on the first request.
        let first = sdk::HasCollectionRequest::builder().collection_name(&milvus.collection).build()?;
        match milvus.client.has_collection(first).await {
            Ok(_) => Ok(milvus),
            Err(error) => match refused(&error) {
                why @ NotReached::LoginRefused { .. } => Err(why.into()),
                _ => Err(error.into()),
            },
        }
    }

    pub(super) fn collection(&self) -> &str {
        &self.collection
    }

    /// The fields that [`MilvusClient::create`] creates.
    pub(super) fn fields(&self) -> Vec<Field> {
        let field = |name: &str, kind: sdk::DataType, primary, dim| Field {
            name: name.into(),
            kind: format!("{kind:?}"),
            primary,
            dim,
        };
        vec![
            field(ID, sdk::DataType::Int64, true, 0),
            field(VECTOR, sdk::DataType::FloatVector, false, self.dim()),
            field(COLOR, sdk::DataType::VarChar, false, 0),
        ]
    }

    pub(super) async fn create(&self) -> Result<(), StepFault> {
        let field = |name| sdk::FieldSchema::new().name(name);
        let schema = sdk::CollectionSchema::new()
            .add_field(field(ID).data_type(sdk::DataType::Int64).primary_key(true))
            .add_field(field(VECTOR).data_type(sdk::DataType::FloatVector).dimension(self.dim()))
            .add_field(field(COLOR).data_type(sdk::DataType::VarChar).max_length(64));
        let request = sdk::CreateCollectionRequest::builder()
            .collection_name(&self.collection)
            .description("created by `milvusctl smoke`; safe to drop")
            .schema(schema)
            .consistency_level(self.level())
            .build()?;
        Ok(self.client.create_collection(request).await?)
    }

    /// Inserts the rows with these ids in batches and returns the number the server acknowledged.
    pub(super) async fn insert(&self, data: &Dataset, ids: &[i64]) -> Result<i64, StepFault> {
        let rows = (BATCH_BYTES / (self.options.dim * size_of::<f32>())).clamp(1, BATCH_ROWS);
        let mut taken = 0;
        for batch in ids.chunks(rows) {
            let rows: Vec<_> = batch.iter().filter_map(|id| data.row(*id)).collect();
            let request = sdk::InsertRequest::builder()
                .collection_name(&self.collection)
                .columns(vec![
                    sdk::FieldData::int64(ID, batch.to_vec()),
                    sdk::FieldData::float_vector(
                        VECTOR,
                        rows.iter().map(|row| row.vector.to_vec()).collect(),
                    ),
                    sdk::FieldData::varchar(COLOR, rows.iter().map(|row| row.color.to_owned()).collect()),
                ])
                .build()?;
            taken += self.client.insert(request).await?.insert_count();
        }
        Ok(taken)
    }

    /// Flushes everything inserted so far to the object storage and waits for it.
    pub(super) async fn flush(&self, patience: Duration) -> Result<(), StepFault> {
        let request = sdk::FlushRequest::builder()
            .collection_names([&self.collection])
            .wait_flushed_ms(milliseconds(patience))
            .build()?;
        self.client.flush(request).await?;
        Ok(())
    }

    /// Creates the vector index and waits until it is built.
    pub(super) async fn create_index(&self) -> Result<(), StepFault> {
        let parameters: &[(&str, &str)] = match self.options.index {
            Index::AutoIndex | Index::Flat => &[],
            Index::Hnsw => &[("M", "16"), ("efConstruction", "200")],
            Index::IvfFlat => &[("nlist", "32")],
        };
        let index = sdk::IndexParam::new()
            .field_name(VECTOR)
            .index_name(INDEX)
            .index_type(self.index_type())
            .metric_type(self.metric())
            .extra_params(map(parameters));
        // Not `sync`: the SDK would first ask for a timestamp, which not every server provides.
        let request = sdk::CreateIndexRequest::builder()
            .collection_name(&self.collection)
            .index_params(vec![index])
            .sync(false)
            .build()?;
        self.client.create_index(request).await?;
        loop {
            let index = self.index().await?;
            match index.get_state() {
                sdk::IndexStateCode::Finished => return Ok(()),
                sdk::IndexStateCode::Failed => {
                    return Err(StepFault::Refused("the server could not build the index".into()));
                }
                _ => tokio::time::sleep(POLL).await,
            }
        }
    }

    async fn index(&self) -> Result<sdk::IndexDesc, StepFault> {
        let request = sdk::DescribeIndexRequest::builder()
            .collection_name(&self.collection)
            .field_name(VECTOR)
            .build()?;
        let answer = self.client.describe_index(request).await?;
        answer.indexes().iter().find(|index| index.get_field_name() == VECTOR).cloned().ok_or_else(|| {
            StepFault::Refused(
                "the server does not describe the index that was created on the vectors".into(),
            )
        })
    }

    /// The metric of the vector index according to the server; `None` if unknown to us.
    pub(super) async fn described_metric(&self) -> Result<Option<Metric>, StepFault> {
        Ok(match self.index().await?.get_metric_type() {
            sdk::MetricType::Cosine => Some(Metric::Cosine),
            sdk::MetricType::L2 => Some(Metric::L2),
            sdk::MetricType::Ip => Some(Metric::Ip),
            _ => None,
        })
    }

    /// Loads the collection and waits until it is loaded.
    pub(super) async fn load(&self, patience: Duration) -> Result<(), StepFault> {
        let request = sdk::LoadCollectionRequest::builder()
            .collection_name(&self.collection)
            .sync(true)
            .timeout_ms(milliseconds(patience))
            .build()?;
        Ok(self.client.load_collection(request).await?)
    }

    /// Searches the `limit` nearest rows for each query; returns one list of hits per query.
    pub(super) async fn search(
        &self,
        queries: Vec<Vec<f32>>,
        limit: usize,
    ) -> Result<Vec<Vec<Hit>>, StepFault> {
        // Enough effort for a healthy index to find nearly everything; see `check::least_recall`.
        let effort: &[(&str, &str)] = match self.options.index {
            Index::AutoIndex | Index::Flat => &[],
            Index::Hnsw => &[("ef", "128")],
            Index::IvfFlat => &[("nprobe", "32")],
        };
        let request = sdk::SearchRequest::builder()
            .collection_name(&self.collection)
            .vector_field(VECTOR)
            .vectors(sdk::SearchVectors::Float(queries))
            .metric_type(self.metric())
            .extra_params(map(effort))
            .limit(i64::try_from(limit).unwrap_or(i64::MAX))
            .consistency_level(self.level())
            .build()?;
        let answer = self.client.search(request).await?;
        answer
            .results()
            .iter()
            .map(|result| match result.get_ids() {
                sdk::Ids::Int64(ids) => Ok(ids
                    .iter()
                    .zip(result.get_scores())
                    .map(|(&id, &score)| Hit { id, score: f64::from(score) })
                    .collect()),
                ids if ids.is_empty() => Ok(vec![]),
                _ => Err(StepFault::Refused("the search returned ids that are not numbers".into())),
            })
            .collect()
    }

    /// Reads the rows with these ids, with all fields.
    pub(super) async fn rows(&self, ids: &[i64]) -> Result<Vec<ReadRow>, StepFault> {
        self.query(&id_filter(ids), &[ID, COLOR, VECTOR]).await
    }

    /// Reads which of these ids exist.
    pub(super) async fn present(&self, ids: &[i64]) -> Result<Vec<ReadRow>, StepFault> {
        self.query(&id_filter(ids), &[ID]).await
    }

    /// Reads the ids of the rows of one color with ids from `low` up to, not including, `high`.
    pub(super) async fn of_color(&self, color: &str, low: i64, high: i64) -> Result<Vec<ReadRow>, StepFault> {
        let filter = format!("{COLOR} == \"{color}\" and {ID} >= {low} and {ID} < {high}");
        self.query(&filter, &[ID, COLOR]).await
    }

    async fn query(&self, filter: &str, fields: &[&str]) -> Result<Vec<ReadRow>, StepFault> {
        let request = sdk::QueryRequest::builder()
            .collection_name(&self.collection)
            .filter(filter)
            .output_fields(fields.iter().copied())
            .consistency_level(self.level())
            .build()?;
        let answer = self.client.query(request).await?;
        let mut found = Vec::new();
        for row in answer.results().rows()? {
            let asked = |field| fields.contains(&field);
            found.push(ReadRow {
                id: row.get_i64(ID)?,
                color: match row.get(COLOR) {
                    Ok(sdk::ResultValue::String(color)) if asked(COLOR) => Some(color.to_owned()),
                    _ => None,
                },
                vector: match row.get(VECTOR) {
                    Ok(sdk::ResultValue::FloatVector(vector)) if asked(VECTOR) => Some(vector.to_vec()),
                    _ => None,
                },
            });
        }
        Ok(found)
    }

    pub(super) async fn count(&self) -> Result<i64, StepFault> {
        let request = sdk::QueryRequest::builder()
            .collection_name(&self.collection)
            .output_fields(["count(*)"])
            .consistency_level(self.level())
            .build()?;
        let answer = self.client.query(request).await?;
        match answer.results().rows()?.next() {
            Some(row) => Ok(row.get_i64("count(*)")?),
            None => Err(StepFault::Refused("the server counted nothing: its answer is empty".into())),
        }
    }

    /// Deletes the rows with these ids and returns the number the server acknowledged.
    pub(super) async fn delete(&self, ids: &[i64]) -> Result<i64, StepFault> {
        let request =
            sdk::DeleteRequest::builder().collection_name(&self.collection).filter(id_filter(ids)).build()?;
        Ok(self.client.delete(request).await?.delete_count())
    }

    pub(super) async fn list(&self) -> Result<Vec<String>, StepFault> {
        super::listing::collections(&self.config).await
    }

    /// The fields of the collection according to the server.
    pub(super) async fn describe(&self) -> Result<Vec<Field>, StepFault> {
        let request = sdk::DescribeCollectionRequest::builder().collection_name(&self.collection).build()?;
        let answer = self.client.describe_collection(request).await?;
        let fields = answer.description().get_schema().get_fields().iter();
        Ok(fields
            .filter(|field| !field.is_dynamic())
            .map(|field| Field {
                name: field.get_name().to_owned(),
                kind: format!("{:?}", field.get_data_type()),
                primary: field.is_primary_key(),
                dim: field.get_dimension(),
            })
            .collect())
    }

    /// Drops the collection if it exists.
    pub(super) async fn drop(&self) -> Result<(), StepFault> {
        // Dropping a missing collection is an error for some servers and fine for others.
        if !self.exists().await? {
            return Ok(());
        }
        let request = sdk::DropCollectionRequest::builder().collection_name(&self.collection).build()?;
        Ok(self.client.drop_collection(request).await?)
    }

    /// Whether the collection exists.
    pub(super) async fn exists(&self) -> Result<bool, StepFault> {
        let request = sdk::HasCollectionRequest::builder().collection_name(&self.collection).build()?;
        Ok(self.client.has_collection(request).await?.exists())
    }

    fn dim(&self) -> u32 {
        u32::try_from(self.options.dim).unwrap_or(u32::MAX)
    }

    const fn level(&self) -> sdk::ConsistencyLevel {
        match self.options.consistency {
            Consistency::Strong => sdk::ConsistencyLevel::Strong,
            Consistency::Bounded => sdk::ConsistencyLevel::Bounded,
            Consistency::Session => sdk::ConsistencyLevel::Session,
            Consistency::Eventually => sdk::ConsistencyLevel::Eventually,
        }
    }

    const fn metric(&self) -> sdk::MetricType {
        match self.options.metric {
            Metric::Cosine => sdk::MetricType::Cosine,
            Metric::L2 => sdk::MetricType::L2,
            Metric::Ip => sdk::MetricType::Ip,
        }
    }

    const fn index_type(&self) -> sdk::IndexType {
        match self.options.index {
            Index::AutoIndex => sdk::IndexType::AutoIndex,
            Index::Hnsw => sdk::IndexType::Hnsw,
            Index::IvfFlat => sdk::IndexType::IvfFlat,
            Index::Flat => sdk::IndexType::Flat,
        }
    }
}

fn id_filter(ids: &[i64]) -> String {
    let ids: Vec<String> = ids.iter().map(i64::to_string).collect();
    format!("{ID} in [{}]", ids.join(", "))
}

fn map(pairs: &[(&str, &str)]) -> HashMap<String, String> {
    pairs.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned())).collect()
}

/// At least one, since zero means no limit to the SDK.
fn milliseconds(duration: Duration) -> i64 {
    i64::try_from(duration.as_millis()).unwrap_or(i64::MAX).max(1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rows_are_selected_by_a_literal_filter() {
        assert_eq!(id_filter(&[1, 5, 9]), "id in [1, 5, 9]");
    }

    #[test]
    fn zero_patience_does_not_mean_no_limit() {
        assert_eq!(milliseconds(Duration::ZERO), 1);
        assert_eq!(milliseconds(Duration::from_secs(2)), 2000);
    }
}
