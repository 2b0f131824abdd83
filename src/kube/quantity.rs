//! Kubernetes's quantities: `500m`, `1.5`, `4Gi`. The API server may return them in another form than given,
//! so they are compared by value.

use serde_json::Value;

/// An amount in billionths, the finest unit that Kubernetes keeps.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Quantity(i128);

/// Billionths per unit.
const SCALE: i128 = 1_000_000_000;

impl Quantity {
    /// Parses a string or number; `None` if it is not a quantity.
    pub fn of(value: &Value) -> Option<Self> {
        match value {
            Value::String(text) => Self::parse(text),
            Value::Number(number) => Self::parse(&number.to_string()),
            _ => None,
        }
    }

    /// Parses `text` by Kubernetes's grammar (apimachinery, `resource/quantity.go`).
    pub fn parse(text: &str) -> Option<Self> {
        let (negative, text) = match text.strip_prefix('-') {
            Some(rest) => (true, rest),
            None => (false, text.strip_prefix('+').unwrap_or(text)),
        };
        let end = text.find(|c: char| !c.is_ascii_digit() && c != '.').unwrap_or(text.len());
        let (digits, suffix) = text.split_at(end);
        let (whole, fraction) = digits.split_once('.').unwrap_or((digits, ""));
        if whole.is_empty() && fraction.is_empty() || fraction.contains('.') {
            return None;
        }
        let (up, down) = factor(suffix)?;
        let unscaled: i128 = format!("{whole}{fraction}").parse().ok()?;
        let parts = 10_i128.checked_pow(u32::try_from(fraction.len()).ok()?)?.checked_mul(down)?;
        let amount = unscaled.checked_mul(up)?.checked_mul(SCALE)?;
        // Kubernetes rounds up finer amounts.
        let amount = amount.checked_add(parts - 1)?.div_euclid(parts);
        Some(Self(if negative { -amount } else { amount }))
    }

    /// The amount in whole units, rounded up; 0 if negative.
    pub fn whole(self) -> u64 {
        let amount = self.0.max(0);
        let whole = amount / SCALE + i128::from(amount % SCALE > 0);
        u64::try_from(whole).unwrap_or(u64::MAX)
    }
}

/// The factor and the divisor of a suffix.
fn factor(suffix: &str) -> Option<(i128, i128)> {
    let binary = |n: u32| Some((1024_i128.pow(n), 1));
    let decimal = |n: u32| Some((10_i128.pow(n), 1));
    match suffix {
        "" => Some((1, 1)),
        "n" => Some((1, 1_000_000_000)),
        "u" => Some((1, 1_000_000)),
        "m" => Some((1, 1000)),
        "k" => decimal(3),
        "M" => decimal(6),
        "G" => decimal(9),
        "T" => decimal(12),
        "P" => decimal(15),
        "E" => decimal(18),
        "Ki" => binary(1),
        "Mi" => binary(2),
        "Gi" => binary(3),
        "Ti" => binary(4),
        "Pi" => binary(5),
        "Ei" => binary(6),
        _ => match suffix.strip_prefix(['e', 'E'])?.parse::<i32>().ok()? {
            exponent @ 0..=18 => decimal(exponent.unsigned_abs()),
            exponent @ -9..=-1 => Some((1, 10_i128.pow(exponent.unsigned_abs()))),
            _ => None,
        },
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn equal_amounts_are_equal_in_any_spelling() {
        for (one, other) in [
            (json!("1024Mi"), json!("1Gi")),
            (json!("0.05"), json!("50m")),
            (json!(0.05), json!("50m")),
            (json!(2), json!("2")),
            (json!("2000m"), json!(2)),
            (json!("1e3"), json!("1k")),
            (json!("1.5Gi"), json!("1536Mi")),
            (json!(5_368_709_120_u64), json!("5Gi")),
        ] {
            assert_eq!(Quantity::of(&one), Quantity::of(&other), "{one} {other}");
            assert!(Quantity::of(&one).is_some());
        }
        assert_ne!(Quantity::parse("1G"), Quantity::parse("1Gi"));
    }

    #[test]
    fn whole_units_are_rounded_up() {
        for (text, whole) in [("1Ki", 1024), ("1500m", 2), ("0", 0), ("-1", 0)] {
            assert_eq!(Quantity::parse(text).map(Quantity::whole), Some(whole), "{text}");
        }
    }

    #[test]
    fn invalid_quantities_are_none() {
        for text in ["", "Gi", ".", "1.2.3", "1gb", "one", "1 Gi", "e3", "-"] {
            assert_eq!(Quantity::parse(text), None, "{text:?}");
        }
        assert_eq!(Quantity::of(&json!(true)), None);
    }
}
