//! The fake server's rows, as stored and as used in requests and responses.

use milvus::proto::schema::{
    self, FieldData, field_data::Field, scalar_field::Data as Scalar, vector_field::Data as Vector,
};

#[derive(Clone)]
pub(super) struct Stored {
    pub(super) id: i64,
    pub(super) color: String,
    pub(super) vector: Vec<f32>,
}

/// Selects the rows matching one of the smoke test's three filters.
pub(super) fn select(rows: &[Stored], filter: &str) -> Vec<Stored> {
    if let Some(ids) = filter.strip_prefix("id in [").and_then(|rest| rest.strip_suffix(']')) {
        let ids: Vec<i64> = ids.split(", ").map(|id| id.parse().unwrap()).collect();
        return rows.iter().filter(|row| ids.contains(&row.id)).cloned().collect();
    }
    let words: Vec<&str> = filter.split(' ').collect();
    match words[..] {
        [""] => rows.to_vec(),
        ["color", "==", color, "and", "id", ">=", low, "and", "id", "<", high] => {
            let (low, high): (i64, i64) = (low.parse().unwrap(), high.parse().unwrap());
            let color = color.trim_matches('"');
            rows.iter().filter(|row| row.color == color && (low..high).contains(&row.id)).cloned().collect()
        }
        _ => panic!("unknown filter: {filter}"),
    }
}

pub(super) fn score(metric: &str, a: &[f32], b: &[f32]) -> f32 {
    let pairs = || a.iter().zip(b);
    match metric {
        "L2" => pairs().map(|(a, b)| (a - b) * (a - b)).sum(),
        // The smoke test's vectors have length 1, so the cosine equals the inner product.
        "COSINE" | "IP" => pairs().map(|(a, b)| a * b).sum(),
        other => panic!("unknown metric: {other}"),
    }
}

fn numbers(field: &FieldData) -> &Field {
    field.field.as_ref().unwrap()
}

pub(super) fn stored(fields: &[FieldData]) -> Vec<Stored> {
    let field = |name: &str| numbers(fields.iter().find(|field| field.field_name == name).unwrap());
    let Field::Scalars(schema::ScalarField { data: Some(Scalar::LongData(ids)), .. }) = field("id") else {
        panic!("ids are not numbers")
    };
    let Field::Scalars(schema::ScalarField { data: Some(Scalar::StringData(colors)), .. }) = field("color")
    else {
        panic!("colors are not strings")
    };
    let Field::Vectors(schema::VectorField { dim, data: Some(Vector::FloatVector(floats)), .. }) =
        field("vector")
    else {
        panic!("vectors are not floats")
    };
    let vectors = floats.data.chunks(usize::try_from(*dim).unwrap());
    ids.data
        .iter()
        .zip(&colors.data)
        .zip(vectors)
        .map(|((&id, color), vector)| Stored { id, color: color.clone(), vector: vector.to_vec() })
        .collect()
}

pub(super) fn longs(name: &str, data: Vec<i64>) -> FieldData {
    let data = Some(Scalar::LongData(schema::LongArray { data }));
    let field = schema::ScalarField { data, ..schema::ScalarField::default() };
    FieldData {
        r#type: schema::DataType::Int64 as i32,
        field_name: name.into(),
        field: Some(Field::Scalars(field)),
        ..FieldData::default()
    }
}

pub(super) fn columns(rows: &[Stored], names: &[String]) -> Vec<FieldData> {
    let asked = |name: &str| names.iter().any(|asked| asked == name);
    let mut columns = vec![longs("id", rows.iter().map(|row| row.id).collect())];
    if asked("color") {
        let data = rows.iter().map(|row| row.color.clone()).collect();
        let data = Some(Scalar::StringData(schema::StringArray { data }));
        let field = schema::ScalarField { data, ..schema::ScalarField::default() };
        columns.push(FieldData {
            r#type: schema::DataType::VarChar as i32,
            field_name: "color".into(),
            field: Some(Field::Scalars(field)),
            ..FieldData::default()
        });
    }
    if asked("vector") {
        let dim = rows.first().map_or(0, |row| row.vector.len());
        let data = rows.iter().flat_map(|row| row.vector.clone()).collect();
        let field = schema::VectorField {
            dim: i64::try_from(dim).unwrap(),
            data: Some(Vector::FloatVector(schema::FloatArray { data })),
            ..schema::VectorField::default()
        };
        columns.push(FieldData {
            r#type: schema::DataType::FloatVector as i32,
            field_name: "vector".into(),
            field: Some(Field::Vectors(field)),
            ..FieldData::default()
        });
    }
    columns
}
