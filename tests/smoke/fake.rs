//! A minimal in-memory Milvus for the tests of the library and of the program, honest except for one [`Lie`].
//!
//! Implements the real protocol through the service that the SDK generates. Supports only what the smoke test
//! requests, without indexes: every search is exact.

use std::net::SocketAddr;
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Duration;

use milvus::proto::common::{ConsistencyLevel, IndexState, KeyValuePair, PlaceholderGroup, Status};
use milvus::proto::milvus::milvus_service_server::{MilvusService, MilvusServiceServer};
use milvus::proto::milvus::search_request::SearchInput;
use milvus::proto::milvus::{self as rpc};
use milvus::proto::schema::{self, CollectionSchema, SearchResultData, i_ds::IdField};
use prost::Message as _;
use tonic::{Request, Response};

mod lie;
mod rows;

pub(super) use lie::Lie;
use rows::{Stored, columns, longs, score, select, stored};

type Answer<T> = Result<Response<T>, tonic::Status>;

pub(super) struct Fake {
    pub(super) uri: String,
    state: Arc<Mutex<State>>,
}

#[derive(Default)]
struct State {
    collection: Option<String>,
    schema: CollectionSchema,
    metric: String,
    rows: Vec<Stored>,
    stale: Vec<Stored>,
    reads_since_write: usize,
    drops: usize,
}

struct Service {
    lie: Lie,
    state: Arc<Mutex<State>>,
}

impl Fake {
    /// Starts a server on a free port of 127.0.0.1, which lives as long as the test process.
    pub(super) fn start(lie: Lie) -> Self {
        let state = Arc::new(Mutex::new(State::default()));
        let service = Service { lie, state: Arc::clone(&state) };
        let (tell, address) = std::sync::mpsc::channel::<SocketAddr>();
        std::thread::spawn(move || {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
            runtime.block_on(async {
                let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
                tell.send(listener.local_addr().unwrap()).unwrap();
                tonic::transport::Server::builder()
                    .add_service(MilvusServiceServer::new(service))
                    .serve_with_incoming(tonic::transport::server::TcpIncoming::from(listener))
                    .await
                    .unwrap();
            });
        });
        Self { uri: format!("http://{}", address.recv().unwrap()), state }
    }

    /// The collection on the server, if any.
    pub(super) fn collection(&self) -> Option<String> {
        self.state.lock().unwrap().collection.clone()
    }

    /// How many requests to drop a collection came.
    pub(super) fn drops(&self) -> usize {
        self.state.lock().unwrap().drops
    }
}

fn fine() -> Status {
    Status::default()
}

fn refused(reason: &str) -> Status {
    Status { code: 100, reason: reason.into(), ..Status::default() }
}

fn pair(key: &str, value: &str) -> KeyValuePair {
    KeyValuePair { key: key.into(), value: value.into() }
}

fn parameter<'a>(pairs: &'a [KeyValuePair], key: &str) -> Option<&'a str> {
    pairs.iter().find(|pair| pair.key == key).map(|pair| pair.value.as_str())
}

impl Service {
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap()
    }

    #[expect(clippy::result_large_err, reason = "the service's methods return this error")]
    fn check_rights<T>(&self, request: &Request<T>) -> Result<(), tonic::Status> {
        match self.lie {
            Lie::RefusesRequests => Err(tonic::Status::unauthenticated("auth check failure")),
            Lie::EchoesLogin => {
                // The SDK sends the login in Base64; a server sees it decoded.
                assert!(request.metadata().get("authorization").is_some());
                Err(tonic::Status::invalid_argument("no such user: root:s3cret"))
            }
            _ => Ok(()),
        }
    }

    /// The rows that a reader sees now.
    fn visible(&self, consistent: bool) -> Vec<Stored> {
        let mut state = self.state();
        state.reads_since_write += 1;
        let late = match self.lie {
            Lie::IsLate => !consistent,
            Lie::IsLateAlways => true,
            _ => false,
        };
        if late && state.reads_since_write < 4 { state.stale.clone() } else { state.rows.clone() }
    }

    fn write(&self, change: impl FnOnce(&mut Vec<Stored>)) {
        let mut state = self.state();
        let before = state.rows.clone();
        state.stale = before;
        state.reads_since_write = 0;
        change(&mut state.rows);
    }
}

/// Tells whether a request asks to see all writes, or its own.
fn is_consistent(level: i32) -> bool {
    [ConsistencyLevel::Strong as i32, ConsistencyLevel::Session as i32].contains(&level)
}

#[tonic::async_trait]
impl MilvusService for Service {
    async fn connect(&self, _: Request<rpc::ConnectRequest>) -> Answer<rpc::ConnectResponse> {
        if self.lie == Lie::RefusesLogin {
            return Err(tonic::Status::unauthenticated("auth check failure, please check the password"));
        }
        Ok(Response::new(rpc::ConnectResponse { status: Some(fine()), ..rpc::ConnectResponse::default() }))
    }

    async fn get_version(&self, _: Request<rpc::GetVersionRequest>) -> Answer<rpc::GetVersionResponse> {
        Ok(Response::new(rpc::GetVersionResponse { status: Some(fine()), version: "9.9.9-fake".into() }))
    }

    async fn create_collection(&self, request: Request<rpc::CreateCollectionRequest>) -> Answer<Status> {
        let request = request.into_inner();
        {
            let mut state = self.state();
            let schema = CollectionSchema::decode(&*request.schema).unwrap();
            *state = State {
                collection: Some(request.collection_name),
                schema,
                drops: state.drops,
                ..State::default()
            };
        }
        if self.lie == Lie::CreateHangs {
            tokio::time::sleep(Duration::from_secs(600)).await;
        }
        Ok(Response::new(fine()))
    }

    async fn has_collection(&self, request: Request<rpc::HasCollectionRequest>) -> Answer<rpc::BoolResponse> {
        self.check_rights(&request)?;
        let value = self.state().collection.is_some();
        Ok(Response::new(rpc::BoolResponse { status: Some(fine()), value }))
    }

    async fn drop_collection(&self, _: Request<rpc::DropCollectionRequest>) -> Answer<Status> {
        let mut state = self.state();
        state.drops += 1;
        if self.lie != Lie::DropsNothing {
            state.collection = None;
        }
        Ok(Response::new(fine()))
    }

    async fn show_collections(
        &self,
        _: Request<rpc::ShowCollectionsRequest>,
    ) -> Answer<rpc::ShowCollectionsResponse> {
        let names = match self.lie {
            Lie::ListsNothing => vec![],
            _ => self.state().collection.clone().into_iter().collect(),
        };
        // As milvus-lite 3.2 answers: names, but no IDs or creation times.
        Ok(Response::new(rpc::ShowCollectionsResponse {
            status: Some(fine()),
            collection_names: names,
            ..rpc::ShowCollectionsResponse::default()
        }))
    }

    async fn describe_collection(
        &self,
        _: Request<rpc::DescribeCollectionRequest>,
    ) -> Answer<rpc::DescribeCollectionResponse> {
        let state = self.state();
        let mut schema = state.schema.clone();
        // An insert needs the true schema, so the lie begins once the rows exist.
        if self.lie == Lie::DescribesOtherDim && state.reads_since_write > 0 {
            for pair in schema.fields.iter_mut().flat_map(|field| &mut field.type_params) {
                if pair.key == "dim" {
                    pair.value = "3".into();
                }
            }
        }
        Ok(Response::new(rpc::DescribeCollectionResponse {
            status: Some(fine()),
            schema: Some(schema),
            collection_name: state.collection.clone().unwrap_or_default(),
            shards_num: 1,
            num_partitions: 1,
            ..rpc::DescribeCollectionResponse::default()
        }))
    }

    async fn insert(&self, request: Request<rpc::InsertRequest>) -> Answer<rpc::MutationResult> {
        let request = request.into_inner();
        let new = stored(&request.fields_data);
        let ids: Vec<i64> = new.iter().map(|row| row.id).collect();
        self.write(|rows| rows.extend(new));
        let fewer = i64::from(self.lie == Lie::InsertsFewer);
        Ok(Response::new(rpc::MutationResult {
            status: Some(fine()),
            insert_cnt: i64::from(request.num_rows) - fewer,
            i_ds: Some(schema::IDs { id_field: Some(IdField::IntId(schema::LongArray { data: ids })) }),
            acknowledged: true,
            timestamp: 7,
            ..rpc::MutationResult::default()
        }))
    }

    async fn flush(&self, _: Request<rpc::FlushRequest>) -> Answer<rpc::FlushResponse> {
        Ok(Response::new(rpc::FlushResponse { status: Some(fine()), ..rpc::FlushResponse::default() }))
    }

    async fn create_index(&self, request: Request<rpc::CreateIndexRequest>) -> Answer<Status> {
        let request = request.into_inner();
        let metric = parameter(&request.extra_params, "metric_type").unwrap().to_owned();
        self.state().metric = metric;
        Ok(Response::new(fine()))
    }

    async fn describe_index(
        &self,
        _: Request<rpc::DescribeIndexRequest>,
    ) -> Answer<rpc::DescribeIndexResponse> {
        let state = match self.lie {
            Lie::IndexFails => IndexState::Failed,
            _ => IndexState::Finished,
        };
        let metric = match self.lie {
            Lie::DescribesOtherMetric => "JACCARD".to_owned(),
            _ => self.state().metric.clone(),
        };
        Ok(Response::new(rpc::DescribeIndexResponse {
            status: Some(fine()),
            index_descriptions: vec![rpc::IndexDescription {
                index_name: "vector_index".into(),
                field_name: "vector".into(),
                params: vec![pair("index_type", "FLAT"), pair("metric_type", &metric)],
                state: state as i32,
                ..rpc::IndexDescription::default()
            }],
        }))
    }

    async fn load_collection(&self, _: Request<rpc::LoadCollectionRequest>) -> Answer<Status> {
        let status = if self.lie == Lie::LoadFails { refused("not enough memory") } else { fine() };
        Ok(Response::new(status))
    }

    async fn get_loading_progress(
        &self,
        _: Request<rpc::GetLoadingProgressRequest>,
    ) -> Answer<rpc::GetLoadingProgressResponse> {
        let progress = if self.lie == Lie::LoadHangs { 50 } else { 100 };
        Ok(Response::new(rpc::GetLoadingProgressResponse {
            status: Some(fine()),
            progress,
            refresh_progress: 100,
        }))
    }

    async fn search(&self, request: Request<rpc::SearchRequest>) -> Answer<rpc::SearchResults> {
        let request = request.into_inner();
        let Some(SearchInput::PlaceholderGroup(group)) = &request.search_input else {
            panic!("search without vectors")
        };
        let rows = self.visible(is_consistent(request.consistency_level));
        let metric = self.state().metric.clone();
        let limit: usize = parameter(&request.search_params, "topk").unwrap().parse().unwrap();
        let queries = PlaceholderGroup::decode(&**group).unwrap().placeholders.remove(0).values;
        let (mut ids, mut scores, mut topks) = (vec![], vec![], vec![]);
        for query in &queries {
            let query: Vec<f32> =
                query.chunks(4).map(|four| f32::from_le_bytes(four.try_into().unwrap())).collect();
            let mut hits: Vec<(i64, f32)> =
                rows.iter().map(|row| (row.id, score(&metric, &query, &row.vector))).collect();
            hits.sort_by(|a, b| if metric == "L2" { a.1.total_cmp(&b.1) } else { b.1.total_cmp(&a.1) });
            let is_a_row = rows.iter().any(|row| row.vector == query);
            match self.lie {
                Lie::MissesBest => drop(hits.remove(0)),
                Lie::MixesRanks => hits.swap(0, limit - 1),
                Lie::InventsRows => hits[1].0 = 1_000_000,
                Lie::MixesScores => hits[1].1 = hits[limit].1 + 0.5,
                Lie::PoorRecall if !is_a_row => drop(hits.drain(..limit)),
                _ => {}
            }
            hits.truncate(limit);
            topks.push(i64::try_from(hits.len()).unwrap());
            ids.extend(hits.iter().map(|hit| hit.0));
            scores.extend(hits.iter().map(|hit| hit.1));
        }
        Ok(Response::new(rpc::SearchResults {
            status: Some(fine()),
            results: Some(SearchResultData {
                num_queries: i64::try_from(queries.len()).unwrap(),
                top_k: i64::try_from(limit).unwrap(),
                scores,
                ids: Some(schema::IDs { id_field: Some(IdField::IntId(schema::LongArray { data: ids })) }),
                topks,
                primary_field_name: "id".into(),
                ..SearchResultData::default()
            }),
            ..rpc::SearchResults::default()
        }))
    }

    async fn query(&self, request: Request<rpc::QueryRequest>) -> Answer<rpc::QueryResults> {
        let request = request.into_inner();
        let rows = self.visible(is_consistent(request.consistency_level));
        let mut found = select(&rows, &request.expr);
        let filters = request.expr.starts_with("color");
        match self.lie {
            Lie::PaintsRows if !filters => found.iter_mut().for_each(|row| row.color = "mauve".into()),
            Lie::BendsVectors => found.iter_mut().for_each(|row| row.vector[0] += 0.5),
            Lie::FiltersTooMuch if filters => {
                let color = found[0].color.clone();
                found.extend(rows.iter().find(|row| row.color != color).cloned());
            }
            Lie::FiltersTooLittle if filters => drop(found.pop()),
            _ => {}
        }
        let fields_data = if request.output_fields == ["count(*)"] {
            let more = usize::from(self.lie == Lie::CountsOneMore);
            vec![longs("count(*)", vec![i64::try_from(found.len() + more).unwrap()])]
        } else {
            columns(&found, &request.output_fields)
        };
        Ok(Response::new(rpc::QueryResults {
            status: Some(fine()),
            fields_data,
            output_fields: request.output_fields,
            primary_field_name: "id".into(),
            ..rpc::QueryResults::default()
        }))
    }

    async fn delete(&self, request: Request<rpc::DeleteRequest>) -> Answer<rpc::MutationResult> {
        let request = request.into_inner();
        let doomed: Vec<i64> = select(&self.state().rows, &request.expr).iter().map(|row| row.id).collect();
        self.write(|rows| {
            if self.lie != Lie::DeletesNothing {
                rows.retain(|row| !doomed.contains(&row.id));
            }
        });
        Ok(Response::new(rpc::MutationResult {
            status: Some(fine()),
            delete_cnt: i64::try_from(doomed.len()).unwrap(),
            i_ds: Some(schema::IDs { id_field: Some(IdField::IntId(schema::LongArray { data: doomed })) }),
            acknowledged: true,
            timestamp: 8,
            ..rpc::MutationResult::default()
        }))
    }
}
