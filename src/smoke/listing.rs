//! Lists collections without the SDK's own method.
//!
//! That method (3.0.3) rejects an answer without ids and creation times, although nobody asked for them;
//! milvus-lite 3.2 only returns names. So this uses the SDK's generated service directly.

use milvus::proto::milvus::ShowCollectionsRequest;
use milvus::proto::milvus::milvus_service_client::MilvusServiceClient;
use milvus::v2::prelude::ConnectConfig;
use tonic::metadata::errors::InvalidMetadataValue;
use tonic::transport::{ClientTlsConfig, Endpoint};

use super::faults::StepFault;

/// The names of all collections in the database of `config`, over a separate connection.
pub(super) async fn collections(config: &ConnectConfig) -> Result<Vec<String>, StepFault> {
    let mut request = tonic::Request::new(ShowCollectionsRequest {
        db_name: config.get_database().to_owned(),
        ..ShowCollectionsRequest::default()
    });
    let metadata = request.metadata_mut();
    let invalid = |_: InvalidMetadataValue| {
        StepFault::Refused("the login or database name has invalid characters".into())
    };
    // The SDK stores the token as the header value, already in Base64.
    if let Some(token) = config.get_token() {
        metadata.insert("authorization", token.parse().map_err(invalid)?);
    }
    if !config.get_database().is_empty() {
        metadata.insert("dbname", config.get_database().parse().map_err(invalid)?);
    }
    let unreachable = |error: tonic::transport::Error| {
        StepFault::Refused(format!("could not connect to `{}` again: {error}", config.get_uri()))
    };
    let mut endpoint = Endpoint::from_shared(config.get_uri().to_owned())
        .map_err(unreachable)?
        .connect_timeout(config.get_connect_timeout());
    if config.get_uri().starts_with("https://") {
        endpoint = endpoint.tls_config(ClientTlsConfig::new().with_enabled_roots()).map_err(unreachable)?;
    }
    let channel = endpoint.connect().await.map_err(unreachable)?;
    let answer = MilvusServiceClient::new(channel)
        .show_collections(request)
        .await
        .map_err(|status| StepFault::from(milvus::v2::error::Error::Grpc(status)))?
        .into_inner();
    match answer.status {
        Some(status) if status.code != 0 => Err(StepFault::Refused(format!(
            "the server refused to list the collections: {} (code {})",
            status.reason, status.code
        ))),
        _ => Ok(answer.collection_names),
    }
}
