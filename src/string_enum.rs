//! Enums whose variants are words on the command line, in variables and in the configuration file.

/// An unexpected word.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("expected one of {}, found `{text}`", variants.iter().map(|w| format!("`{w}`")).collect::<Vec<_>>().join(", "))]
pub struct UnknownVariant {
    pub text: String,
    pub variants: &'static [&'static str],
}

/// Defines such an enum, with `VARIANTS`, `as_str`, `Display` and `FromStr`.
macro_rules! string_enum {
    ($(#[$about:meta])* $name:ident { $($(#[$note:meta])* $variant:ident = $text:literal),+ $(,)? }) => {
        $(#[$about])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, serde::Serialize)]
        pub enum $name { $($(#[$note])* #[serde(rename = $text)] $variant),+ }

        impl $name {
            /// The words, in the order of the variants.
            pub const VARIANTS: &'static [&'static str] = &[$($text),+];

            pub fn as_str(self) -> &'static str {
                match self { $(Self::$variant => $text),+ }
            }
        }

        impl std::fmt::Display for $name {
            fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.pad(self.as_str())
            }
        }

        impl std::str::FromStr for $name {
            type Err = $crate::string_enum::UnknownVariant;

            fn from_str(text: &str) -> Result<Self, Self::Err> {
                match text {
                    $($text => Ok(Self::$variant),)+
                    _ => Err($crate::string_enum::UnknownVariant { text: text.to_owned(), variants: Self::VARIANTS }),
                }
            }
        }
    };
}

pub(crate) use string_enum;
