//! A value as it stands in a file: maybe absent, maybe of the wrong type.

use std::ops::Range;

use schemars::{JsonSchema, Schema, SchemaGenerator};
use serde::de::{Deserialize, Deserializer};
use serde::ser::{Error as _, Serialize, Serializer};

/// Bytes of a file's text.
pub(crate) type Span = Range<usize>;

/// The value of one key, and where it stands.
///
/// A value of the wrong type is kept as "present, but nothing", so that it does
/// not hide what else is wrong; `shape` has said what is wrong with it.
///
/// A field without a serde default is a required key: serde lets a missing
/// field's type try to read itself, which makes it absent, and schemars lists
/// it under `required`.
#[derive(Debug)]
pub(crate) struct Field<T> {
    span: Option<Span>,
    value: Option<T>,
}

/// A list of texts.
pub(crate) type Texts = Field<Vec<Field<String>>>;

impl<T> Field<T> {
    /// A default: a value that stands nowhere.
    pub(crate) fn of(value: T) -> Self {
        Self {
            span: None,
            value: Some(value),
        }
    }

    /// The default of a key whose type has one.
    pub(crate) fn of_default() -> Self
    where
        T: Default,
    {
        Self::of(T::default())
    }

    /// The value, unless it is absent or of the wrong type.
    pub(crate) fn get(&self) -> Option<&T> {
        self.value.as_ref()
    }

    /// Where it stands; the file's beginning for what stands nowhere.
    pub(crate) fn span(&self) -> Span {
        self.span.clone().unwrap_or(0..0)
    }

    /// The key is not there and has no default.
    pub(crate) fn is_absent(&self) -> bool {
        self.span.is_none() && self.value.is_none()
    }
}

impl<T> Field<Vec<T>> {
    /// The elements of a list; none if there is no list.
    pub(crate) fn items(&self) -> &[T] {
        self.get().map_or(&[], Vec::as_slice)
    }
}

/// Absent.
impl<T> Default for Field<T> {
    fn default() -> Self {
        Self {
            span: None,
            value: None,
        }
    }
}

impl<'de, T: Deserialize<'de>> Deserialize<'de> for Field<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        /// Keeps a failure inside: outside, it would end the whole document.
        struct Lenient<T>(Option<T>);

        impl<'de, T: Deserialize<'de>> Deserialize<'de> for Lenient<T> {
            fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                Ok(Self(T::deserialize(deserializer).ok()))
            }
        }

        let read = toml::Spanned::<Lenient<T>>::deserialize(deserializer);
        Ok(read.map_or_else(
            |_missing| Self::default(),
            |found| Self {
                span: Some(found.span()),
                value: found.into_inner().0,
            },
        ))
    }
}

/// Only for the `default` of a schema: an absent value has none.
impl<T: Serialize> Serialize for Field<T> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match &self.value {
            Some(value) => value.serialize(serializer),
            None => Err(S::Error::custom("absent")),
        }
    }
}

/// The schema of the value itself.
impl<T: JsonSchema> JsonSchema for Field<T> {
    fn schema_name() -> std::borrow::Cow<'static, str> {
        T::schema_name()
    }

    fn schema_id() -> std::borrow::Cow<'static, str> {
        T::schema_id()
    }

    fn json_schema(generator: &mut SchemaGenerator) -> Schema {
        T::json_schema(generator)
    }

    fn inline_schema() -> bool {
        T::inline_schema()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(serde::Deserialize)]
    struct Document {
        name: Field<String>,
        #[serde(default = "Field::of_default")]
        count: Field<u8>,
        list: Field<Vec<Field<u8>>>,
    }

    fn read(text: &str) -> Document {
        toml::from_str(text).expect("always of this shape")
    }

    #[test]
    fn present_values_know_their_place() {
        let document = read("name = \"a\"\ncount = 7\nlist = [1, 2]");
        assert_eq!(document.name.get().map(String::as_str), Some("a"));
        assert_eq!(document.name.span(), 7..10);
        assert_eq!(document.count.get(), Some(&7));
        assert_eq!(document.list.items()[1].span(), 32..33);
    }

    #[test]
    fn absent_values_have_a_default_or_are_absent() {
        let document = read("");
        assert!(document.name.is_absent());
        assert_eq!(document.count.get(), Some(&0));
        assert!(document.list.items().is_empty());
    }

    #[test]
    fn a_wrong_type_hides_nothing_else() {
        let document = read("name = 5\ncount = 300\nlist = [1, \"b\", 3]");
        assert!(document.name.get().is_none() && !document.name.is_absent());
        assert!(document.count.get().is_none() && !document.count.is_absent());
        let items: Vec<_> = document.list.items().iter().map(Field::get).collect();
        assert_eq!(items, [Some(&1), None, Some(&3)]);
    }
}
