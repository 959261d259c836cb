//! Every message vector is canonical CBOR to an implementation other than the one that wrote it.

use ciborium::Value;
use serde_json::Value as Json;

fn vectors() -> Vec<Json> {
    serde_json::from_str(include_str!("../../tests/vectors/messages.json")).unwrap()
}

fn hex(text: &str) -> Vec<u8> {
    (0..text.len()).step_by(2).map(|at| u8::from_str_radix(&text[at..at + 2], 16).unwrap()).collect()
}

fn encoded(value: &Value) -> Vec<u8> {
    let mut bytes = Vec::new();
    ciborium::into_writer(value, &mut bytes).unwrap();
    bytes
}

fn decoded(vector: &Json) -> (Vec<u8>, Value) {
    let bytes = hex(vector["cbor"].as_str().unwrap());
    let value = ciborium::from_reader(bytes.as_slice()).unwrap();
    (bytes, value)
}

/// Sorts every map's keys by their encoding (RFC 8949 §4.2.1).
fn canonical(value: Value) -> Value {
    match value {
        Value::Map(entries) => {
            let mut entries: Vec<_> =
                entries.into_iter().map(|(key, value)| (key, canonical(value))).collect();
            entries.sort_by_key(|(key, _)| encoded(key));
            Value::Map(entries)
        }
        Value::Array(items) => Value::Array(items.into_iter().map(canonical).collect()),
        Value::Tag(tag, inner) => Value::Tag(tag, Box::new(canonical(*inner))),
        other => other,
    }
}

/// Tells whether `value` has what the vector's JSON says. Only the codec knows the names of messages (`type`) and of
/// error numbers, and that a version's major and minor are an array.
fn says(value: &Value, json: &Json) -> bool {
    match (value, json) {
        (Value::Tag(_, inner), _) => says(inner, json),
        (Value::Map(entries), Json::Object(fields)) => {
            let field = |key: &str| {
                entries.iter().find(|(name, _)| name.as_text() == Some(key)).map(|(_, value)| value)
            };
            fields
                .iter()
                .all(|(key, json)| key == "type" || field(key).is_some_and(|value| says(value, json)))
        }
        (Value::Bytes(bytes), Json::Object(fields)) => {
            fields["hex"].as_str().map(hex).as_ref() == Some(bytes)
        }
        (Value::Array(items), Json::Object(fields)) => {
            says(&items[0], &fields["major"]) && says(&items[1], &fields["minor"])
        }
        (Value::Array(items), Json::Array(expected)) => {
            items.len() == expected.len() && items.iter().zip(expected).all(|(value, json)| says(value, json))
        }
        (Value::Integer(number), Json::Number(expected)) => {
            i128::from(*number) == i128::from(expected.as_u64().unwrap())
        }
        (Value::Integer(number), Json::String(_)) => u16::try_from(*number).is_ok(),
        (Value::Text(text), Json::String(expected)) => text == expected,
        (Value::Bool(value), Json::Bool(expected)) => value == expected,
        _ => false,
    }
}

#[test]
fn message_vectors_are_canonical() {
    for vector in vectors() {
        let (bytes, value) = decoded(&vector);
        assert_eq!(encoded(&canonical(value)), bytes, "{}", vector["name"]);
    }
}

#[test]
fn message_vectors_say_what_their_json_says() {
    for vector in vectors() {
        let (_, value) = decoded(&vector);
        let number =
            value.as_map().unwrap().iter().find(|(key, _)| key.as_text() == Some("t")).unwrap().1.clone();
        assert!(
            number.as_integer().is_some_and(|number| u16::try_from(number).is_ok()),
            "{}",
            vector["name"]
        );
        assert!(says(&value, &vector["message"]), "{}", vector["name"]);
    }
}
